"""Reads one field of one row of a provider's JSON: a missing, empty or misshapen value is None, and a time says why it is None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from countersign import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

Row = Mapping[str, object]

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_PAIR = re.compile(r"\s*([A-Za-z][A-Za-z0-9:_.-]{0,63})\s*[=:]\s*(\S.*?)\s*")
_EMPTY: Row = {}
_NO_END = ("2299-", "9999-")


def text(row: Row, key: str) -> str | None:
    """Return the text under `key` without outer blanks; None when there is none or it is no text."""
    value = row.get(key)
    return (value.strip() or None) if isinstance(value, str) else None


def flag(row: Row, key: str) -> bool | None:
    """Return the truth value under `key`; None when there is none."""
    value = row.get(key)
    return value if isinstance(value, bool) else None


def inner(row: Row, key: str) -> Row:
    """Return the object under `key`; an empty one when there is none."""
    value = row.get(key)
    return value if isinstance(value, dict) else _EMPTY


def moment(row: Row, key: str) -> tuple[datetime | None, str | None]:
    """Return the UTC time under `key` and, where it is None, the reason."""
    written = text(row, key)
    if written is None:
        return None, f"the source gives no {key}"
    try:
        return clock.instant(written), None
    except (ValueError, OverflowError):  # a date at the edge of the calendar overflows when moved to UTC
        return None, f"{key} in the source is not a time"


def entra_end(row: Row) -> tuple[datetime | None, bool, str | None]:
    """Return when an Entra credential ends, whether never, and the reason where neither is known.

    Entra has no word for never: its portal wrote the end of 2299 for it, and command lines the end of 9999.
    """
    if (text(row, "endDateTime") or "").startswith(_NO_END):
        return None, True, None
    ends, why = moment(row, "endDateTime")
    return ends, False, why


def latest(row: Row, *keys: str) -> datetime | None:
    """Return the latest of the times under some keys; None when there is none."""
    return max((when for key in keys if (when := moment(row, key)[0]) is not None), default=None)


def rows(row: Row, key: str) -> tuple[Row, ...] | None:
    """Return the objects listed under `key`, without what is no object; None when there is no list."""
    value = row.get(key)
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else None


def listed(row: Row, key: str) -> tuple[Row, ...]:
    """Return the objects listed under `key`; none where there is no list, for answers that leave out what is empty."""
    return rows(row, key) or ()


def texts(row: Row, key: str) -> tuple[str, ...]:
    """Return the texts listed under `key`, without blanks."""
    value = row.get(key)
    return tuple(item.strip() for item in value if isinstance(item, str) and item.strip()) if isinstance(value, list) else ()


def guid(row: Row, key: str) -> str | None:
    """Return the GUID under `key` in lower case; None when there is none or it is no GUID."""
    value = text(row, key)
    return value.lower() if value is not None and GUID.fullmatch(value) else None


def pairs(*written: str) -> dict[str, str]:
    """Read `owner=maria` and `owner:maria` as a mapping with lower-case keys; the first of two wins, anything else is left out."""
    found: dict[str, str] = {}
    for part in written:
        match = _PAIR.fullmatch(part)
        if match is not None and not match[2].startswith("//"):  # a URL is no pair
            found.setdefault(match[1].lower(), match[2])
    return found


def lines(written: str | None) -> Iterator[str]:
    """Take free text apart at line ends and semicolons."""
    yield from re.split(r"[\r\n;]+", written or "")


def kept(row: Row, allowed: tuple[str, ...], *, whole: bool = False) -> dict[str, object]:
    """Return the allow-listed fields of a row, for the observation: those that are plain, or with `whole` what they hold as well."""
    return {key: row[key] for key in allowed if key in row and (whole or isinstance(row[key], str | bool | int) or _plain_list(row[key]))}


def _plain_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
