"""How long evidence is kept: calendar periods from the end of a run, the longest wins; and which runs are due for disposal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PERIOD = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?", re.ASCII)
_MONTHS = 12
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def retain_until(finished: datetime, periods: Iterable[str]) -> datetime:
    """Return until when (UTC, whole seconds) what ended at `finished` is kept: the end of the longest of the ISO 8601 periods.

    Years and months are those of the calendar, in UTC. Where the day does not exist (29 February, 31 April), the period ends with the
    month, at the first instant of the next one: never a moment less than was agreed. The last second of the year 9999 stands for all
    that is later. Raises ValueError for no period at all, or for text that is none.
    """
    return max(_end(finished.astimezone(UTC), period) for period in periods)


def _end(finished: datetime, period: str) -> datetime:
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError(f"not a period such as P7Y: {period!r}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    try:
        whole = finished if not finished.microsecond else finished.replace(microsecond=0) + timedelta(seconds=1)
        return _later(whole, years * _MONTHS + months) + timedelta(weeks=weeks, days=days)
    except OverflowError:
        return _NEVER


def _later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * _MONTHS + start.month - 1 + months, _MONTHS)
    if year > _NEVER.year:
        raise OverflowError
    try:
        return start.replace(year=year, month=month + 1)
    except ValueError:  # the month has no such day
        return _later(start.replace(day=1, hour=0, minute=0, second=0), months + 1)
