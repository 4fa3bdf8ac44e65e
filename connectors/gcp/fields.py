"""Reads one field of an answer in Google's JSON form: missing, empty and misshapen values are None, and a time says why it is None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from countersign import clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

Row = Mapping[str, object]

_PAIR = re.compile(r"\s*([A-Za-z][A-Za-z0-9:_.-]{0,63})\s*[=:]\s*(\S.*?)\s*")


def text(row: Row, key: str) -> str | None:
    """Return the text under `key` without outer blanks; None when there is none or it is no text."""
    value = row.get(key)
    return (value.strip() or None) if isinstance(value, str) else None


def child(row: Row, key: str) -> Row:
    """Return the object under `key`; an empty one when there is none."""
    value = row.get(key)
    return value if isinstance(value, Mapping) else {}


def rows(row: Row, key: str) -> tuple[Row, ...]:
    """Return the objects listed under `key`, without what is no object."""
    value = row.get(key)
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()


def texts(row: Row, key: str) -> tuple[str, ...]:
    """Return the texts listed under `key`, without empty ones."""
    value = row.get(key)
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()


def moment(row: Row, key: str) -> tuple[datetime | None, str | None]:
    """Return the UTC time under `key` and, where it is None, the reason."""
    written = text(row, key)
    if written is None:
        return None, f"Google gave no {key}"
    try:
        return clock.instant(written), None
    except (ValueError, OverflowError):  # a date at the edge of the calendar overflows when moved to UTC
        return None, f"the {key} that Google gave is not a time"


def pairs(*written: str | None) -> dict[str, str]:
    """Read `owner=maria;purpose=backup` as a mapping with lower-case keys; the first of two wins, anything else is left out."""
    found: dict[str, str] = {}
    for part in (part for line in written if line for part in line.split(";")):
        match = _PAIR.fullmatch(part)
        if match is not None and not match[2].startswith("//"):  # a URL is no pair
            found.setdefault(match[1].lower(), match[2])
    return found


def kept(row: Row, allowed: Iterable[str]) -> dict[str, object]:
    """Return the allow-listed fields of a row, for an observation."""
    return {key: row[key] for key in allowed if key in row}


def tail(name: str | None) -> str | None:
    """Return the last part of a resource name; None when there is none."""
    return (name or "").rpartition("/")[2] or None
