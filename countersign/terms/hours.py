"""Business hours as a contract has them: how much of them lies between two instants, and when a span of them is over."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

BASE = date(2000, 1, 1)
"""Nothing that a clock measures began before this day."""
_DAY, _NONE = timedelta(days=1), timedelta()
_MIDNIGHT = 24 * 60
_LAST_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """The same hours on each working day, on the clock of one zone.

    What is open stays open until it closes: an hour that the clock shows twice counts twice, one that it leaves out is not there.
    """

    zone: str
    """IANA name."""
    days: frozenset[int]
    """Monday is 0; at least one."""
    opens: int
    """Minutes since midnight."""
    closes: int
    """Minutes since midnight, later than `opens`; 1440 is the end of the day."""
    closed: frozenset[date] = frozenset()

    @property
    def day(self) -> timedelta:
        """Return how long a working day is, as the clock on the wall shows it."""
        return timedelta(minutes=self.closes - self.opens)

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Return how much business time lies between two instants; none where `end` is not later. Raises ValueError before 2000."""
        return _NONE if end <= start else self._until(end) - self._until(start)

    def after(self, start: datetime, span: timedelta) -> datetime:
        """Return the first instant (UTC) at which `span` of business time has passed since `start`.

        Raises ValueError before 2000, and OverflowError where that is beyond the calendar.
        """
        if span <= _NONE:
            return start.astimezone(UTC)
        table = _table(self)
        wanted = self._until(start) + span
        while table.total < wanted:
            table.grow()
        # The first working day by whose end there is enough.
        low, high = 0, len(table.opened) - 1
        while low < high:
            middle = (low + high) // 2
            if table.before[middle] + (table.shut[middle] - table.opened[middle]) >= wanted:
                high = middle
            else:
                low = middle + 1
        return table.opened[low] + (wanted - table.before[low])

    def _until(self, at: datetime) -> timedelta:
        table = _table(self)
        at = at.astimezone(UTC)
        if at.date() <= BASE:
            raise ValueError("business hours are not counted before the year 2000")
        while table.reach <= at:
            table.grow()
        found = bisect_right(table.opened, at) - 1
        return _NONE if found < 0 else table.before[found] + min(at, table.shut[found]) - table.opened[found]


class _Table:
    """The working days since the base, as far as anybody has asked: when each opened and shut, and how much there was before."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._zone = ZoneInfo(hours.zone)
        self._day = BASE
        self.opened: list[datetime] = []
        self.shut: list[datetime] = []
        self.before: list[timedelta] = []
        self.total = _NONE
        self.reach = datetime.combine(BASE, time(), UTC) - _DAY

    def grow(self) -> None:
        """Add a year."""
        hours = self._hours
        for _ in range(366):
            if self._day.weekday() in hours.days and self._day not in hours.closed:
                opened = self._instant(hours.opens, first=True)
                shut = self._instant(hours.closes, first=hours.closes == _MIDNIGHT)  # the next day begins at the first of two midnights
                if opened < shut:
                    self.opened.append(opened)
                    self.shut.append(shut)
                    self.before.append(self.total)
                    self.total += shut - opened
            self._day += _DAY
        # No zone is more than a day off: whatever is two days back is complete.
        self.reach = datetime.combine(self._day, time(), UTC) - 2 * _DAY

    def _instant(self, minute: int, *, first: bool) -> datetime:
        """Return when the clock shows a time of the day: of two such instants the first or the last, of none when it jumps over it."""
        local = datetime.combine(self._day, time()) + timedelta(minutes=minute)
        early = local.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        late = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        if late >= early:
            return early if first else late
        # In a gap the two readings stand on either side of the jump.
        while early - late > _LAST_INSTANT:
            middle = late + (early - late) / 2
            if middle.astimezone(self._zone).replace(tzinfo=None) < local:
                late = middle
            else:
                early = middle
        return early


@lru_cache(maxsize=64)
def _table(hours: Hours) -> _Table:
    return _Table(hours)
