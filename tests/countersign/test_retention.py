"""How long evidence is kept: calendar periods in UTC, never less than agreed, the longest wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.clock import is_period
from countersign.evidence.retention import retain_until

PERIODS = st.builds(lambda y, m, w, d: f"P{y}Y{m}M{w}W{d}D", *[st.integers(0, 40)] * 4)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the strategy adds the zone


@pytest.mark.parametrize(
    ("finished", "period", "expected"),
    [
        ("2026-11-22T02:10:30Z", "P7Y", "2033-11-22T02:10:30Z"),
        ("2026-11-22T02:10:30.000001Z", "P7Y", "2033-11-22T02:10:31Z"),
        ("2028-02-29T12:00:00Z", "P4Y", "2032-02-29T12:00:00Z"),
        ("2028-02-29T12:00:00Z", "P1Y", "2029-03-01T00:00:00Z"),
        ("2096-02-29T12:00:00Z", "P4Y", "2100-03-01T00:00:00Z"),
        ("2027-01-31T23:59:59Z", "P1M", "2027-03-01T00:00:00Z"),
        ("2027-10-31T10:00:00Z", "P18M", "2029-05-01T00:00:00Z"),
        ("2026-12-15T10:00:00Z", "P13M2W1D", "2028-01-30T10:00:00Z"),
        ("2026-11-22T00:00:00Z", "P0D", "2026-11-22T00:00:00Z"),
        ("2026-11-22T00:00:00Z", "P9000Y", "9999-12-31T23:59:59Z"),
        ("2026-11-22T00:00:00Z", "P99999999999999999999D", "9999-12-31T23:59:59Z"),
    ],
)
def test_periods_are_those_of_the_calendar(finished: str, period: str, expected: str) -> None:
    assert is_period(period)
    assert datetime.fromisoformat(expected) == retain_until(datetime.fromisoformat(finished), [period])


def test_the_longest_wins_whatever_the_units() -> None:
    finished = datetime(2026, 2, 1, tzinfo=UTC)
    assert datetime(2026, 3, 2, tzinfo=UTC) == retain_until(finished, ["P1M", "P4W", "P29D"])
    local = datetime(2027, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=13)))
    assert datetime(2027, 12, 31, 12, 0, tzinfo=UTC) == retain_until(local, ["P1Y"])


@given(MOMENTS, st.lists(PERIODS, min_size=1, max_size=4))
def test_another_period_never_shortens(finished: datetime, periods: list[str]) -> None:
    until = retain_until(finished, periods)
    assert until == max(retain_until(finished, [period]) for period in periods)
    assert until >= finished
    assert (0, UTC) == (until.microsecond, until.tzinfo)


@given(MOMENTS, MOMENTS, PERIODS)
def test_what_ended_later_is_never_kept_less_long(one: datetime, other: datetime, period: str) -> None:
    first, second = sorted((one, other))
    assert retain_until(first, [period]) <= retain_until(second, [period])


@given(MOMENTS, st.integers(0, 60))
def test_years_are_whole_calendar_years(finished: datetime, years: int) -> None:
    until = retain_until(finished, [f"P{years}Y"])
    assert (until.replace(year=2000) - finished.replace(year=2000)) < timedelta(days=1)
    assert years == until.year - finished.year or (finished.month, finished.day, until.day) == (12, 31, 1)


@pytest.mark.parametrize("periods", [[], ["7Y"], ["P"], ["PT1H"], ["P1.5Y"], ["P-1Y"]])
def test_what_is_no_period_is_refused(periods: list[str]) -> None:
    with pytest.raises(ValueError, match=r"period|empty"):
        retain_until(datetime(2026, 1, 1, tzinfo=UTC), periods)
