"""Time as the providers write it and as we compare it: UTC, injected, with `never` told apart from `not known`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)")
_DURATION = re.compile(r"P(?=\d|T\d)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_PERIOD = re.compile(r"P(?=\d)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?")


def instant(text: str) -> datetime:
    """Read an RFC 3339 time as UTC; digits beyond microseconds (Vault writes nanoseconds) are cut off.

    Raises ValueError when the text is no time or has no offset.
    """
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        message = f"not an RFC 3339 time with an offset: {text!r}"
        raise ValueError(message)
    day, clock, fraction, offset = match.groups()
    micro = (fraction or "0")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micro}{'+00:00' if offset == 'Z' else offset}").astimezone(UTC)
    except OverflowError as error:
        message = f"before year 1 or after year 9999 in UTC: {text!r}"
        raise ValueError(message) from error


def expiry(text: str) -> tuple[datetime | None, bool]:
    """Read an expiry as (time, never): year 1 (Vault) and year 9999 (GCP) both mean that it never expires."""
    if text.startswith(("0001-", "9999-")):
        return None, True
    return instant(text), False


def stamp(when: datetime) -> str:
    """Write a time as RFC 3339 UTC with `Z`; microseconds only where there are any."""
    if when.tzinfo is None:
        message = "a time without a zone cannot be written"
        raise ValueError(message)
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def minute(when: datetime) -> str:
    """Write an instant for people, to the minute: `2026-11-22 08:30 UTC`. It has to be in UTC."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def duration(text: str) -> timedelta:
    """Read an ISO 8601 duration of weeks, days, hours, minutes, seconds; a day is 24 hours.

    Months and years have no fixed length, so they are refused: ValueError.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"not a duration of days or shorter units, such as P90D or PT12H: {text!r}"
        raise ValueError(message)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def is_period(text: str) -> bool:
    """Whether the text is an ISO 8601 calendar period such as P7Y (retention is counted in calendar years)."""
    return _PERIOD.fullmatch(text) is not None


def days(span: timedelta) -> str:
    """Say a span in whole days, as people do in reasons: `200 days`."""
    count = span // timedelta(days=1)
    return f"{count} day" if count == 1 else f"{count} days"
