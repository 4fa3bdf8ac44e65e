"""The four clocks: business hours against pandas and minute by minute, the replay's own laws, and nights of a real programme."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from countersign import cli, findings_file, scaffold
from countersign.clocks.replay import RUNGS, replay
from countersign.clocks.scorecard import scorecards
from countersign.clocks.story import Event, Story
from countersign.errors import ConfigError
from countersign.offboarding.journal import Journal, Run
from countersign.register.load import load_register
from countersign.register.records import BusinessHours
from countersign.state import State
from countersign.terms import Hours, Terms
from tests.countersign.test_undertaken import change, holding, make, plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from countersign.clocks.replay import Clock
    from countersign.offboarding.plan import Plan

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
START = datetime(2026, 11, 2, 2, tzinfo=UTC)  # a Monday
CHRISTMAS = frozenset({date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 26), date(2026, 12, 28), date(2027, 1, 1)})
OFFICE = Hours("Europe/London", frozenset(range(5)), 9 * 60, 17 * 60, CHRISTMAS)
NIGHTS_OF_CHANGE = (
    ("Europe/London", date(2026, 3, 29)), ("Europe/London", date(2026, 10, 25)), ("America/New_York", date(2026, 3, 8)), ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)), ("America/Havana", date(2026, 3, 8)), ("America/Havana", date(2026, 11, 1)), ("Africa/Cairo", date(2026, 4, 24)),
)  # fmt: skip

instants = st.datetimes(datetime(2026, 10, 1), datetime(2027, 3, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
weeks = st.frozensets(st.integers(0, 6), min_size=1)
holidays = st.frozensets(st.dates(date(2026, 10, 1), date(2027, 3, 1)), max_size=12)


@st.composite
def calendars(draw: st.DrawFn, zone: str | None = None) -> Hours:
    opens = draw(st.integers(0, 23 * 60))
    zones = st.sampled_from(["UTC", "Europe/London", "America/New_York", "Asia/Kathmandu"])
    return Hours(zone or draw(zones), draw(weeks), opens, draw(st.integers(opens + 1, 24 * 60)), draw(holidays))


def by_the_minute(hours: Hours, start: datetime, minutes: int) -> int:
    """Count open minutes by looking at the clock on the wall each minute: once open on a day, it is open until it closes."""
    zone = ZoneInfo(hours.zone)
    days: dict[date, list[tuple[datetime, int]]] = {}
    for number in range(-26 * 60, minutes + 26 * 60):
        at = start + number * MINUTE
        local = at.astimezone(zone)
        days.setdefault(local.date(), []).append((at, local.hour * 60 + local.minute))
    count = 0
    for day, shown in days.items():
        if day.weekday() not in hours.days or day in hours.closed:
            continue
        still = [min(minute for _, minute in shown[index:]) < hours.closes for index in range(len(shown))]
        for index, (at, _) in enumerate(shown):
            opened = max(minute for _, minute in shown[: index + 1]) >= hours.opens
            count += opened and still[index] and start <= at < start + minutes * MINUTE
    return count


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(NIGHTS_OF_CHANGE),
    st.integers(-8 * 60, 30 * 60),
    st.integers(1, 20 * 60),
    st.integers(0, 6 * 60),
    st.integers(6 * 60 + 1, 1440),
)
def test_hours_agree_with_the_clock_on_the_wall_on_nights_when_it_changes(
    change: tuple[str, date], offset: int, minutes: int, opens: int, closes: int
) -> None:
    zone, day = change
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + offset * MINUTE
    hours = Hours(zone, frozenset(range(7)), opens, closes)
    assert by_the_minute(hours, start, minutes) == hours.between(start, start + minutes * MINUTE) / MINUTE


@settings(max_examples=60, deadline=None)
@given(calendars("UTC"), instants, st.integers(1, 60))
def test_hours_agree_with_pandas(hours: Hours, start: datetime, count: int) -> None:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    mask = " ".join(names[day] for day in sorted(hours.days))
    closed = sorted(pd.Timestamp(day) for day in hours.closed)
    closes = min(hours.closes, 23 * 60 + 59)  # pandas knows no 24:00
    hours = replace(hours, opens=min(hours.opens, closes - 1), closes=closes)
    text = [f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.opens, hours.closes)]
    theirs = pd.offsets.CustomBusinessHour(n=count, weekmask=mask, holidays=closed, start=text[0], end=text[1])
    end = (pd.Timestamp(start.replace(tzinfo=None)) + theirs).to_pydatetime().replace(tzinfo=UTC)
    assert count * HOUR == hours.between(start, end)
    ours = hours.after(start, count * HOUR)
    assert (count * HOUR, timedelta(), True) == (hours.between(start, ours), hours.between(ours, end), ours <= end)
    whole = pd.bdate_range(start.date(), end.date(), freq="C", weekmask=mask, holidays=closed)
    midnight, after = datetime.combine(start.date(), datetime.min.time(), UTC), datetime.combine(end.date() + DAY, datetime.min.time(), UTC)
    assert len(whole) * hours.day == hours.between(midnight, after)


@settings(max_examples=60, deadline=None)
@given(calendars(), instants, st.lists(st.integers(0, 40 * 1440), min_size=2, max_size=5).map(sorted))
def test_a_span_in_pieces_adds_up_and_is_no_longer_than_wall_time(hours: Hours, start: datetime, cuts: list[int]) -> None:
    points = [start + cut * MINUTE for cut in cuts]
    pieces = [hours.between(a, b) for a, b in pairwise(points)]
    whole = hours.between(points[0], points[-1])
    assert whole == sum(pieces, timedelta())
    assert whole <= points[-1] - points[0]
    assert hours.after(points[0], whole) <= points[-1]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-12-23T16:00", "2026-12-29T10:00", 2 * HOUR),  # four closed days and a weekend in between
        ("2026-11-06T18:00", "2026-11-09T08:00", timedelta()),  # begins and ends outside
        ("2026-11-07T10:00", "2026-11-09T09:30", HOUR / 2),
        ("2026-10-23T16:00", "2026-10-26T10:00", 2 * HOUR),  # over the night that has 25 hours
        ("2026-11-03T09:00", "2026-11-03T17:00", 8 * HOUR),
    ],
)
def test_hours_of_an_office(start: str, end: str, expected: timedelta) -> None:
    zone = ZoneInfo("Europe/London")
    begins, ends = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (start, end))
    assert expected == OFFICE.between(begins, ends)


def test_a_day_to_24_00_has_as_many_hours_as_the_clock_shows() -> None:
    whole = Hours("Europe/London", frozenset(range(7)), 0, 24 * 60)
    midnights = [datetime(2026, month, day, tzinfo=ZoneInfo("Europe/London")) for month, day in ((3, 29), (3, 30), (10, 25), (10, 26))]
    assert (23 * HOUR, 25 * HOUR) == (whole.between(*midnights[:2]), whole.between(*midnights[2:]))
    havana = Hours("America/Havana", frozenset(range(7)), 0, 24 * 60)  # where midnight itself comes twice, and once not at all
    year = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 12)]
    assert year[1] - year[0] == havana.between(*year)


# The replay


def terms(hours: Hours | None = None, cap: timedelta = DAY, **agreed: timedelta | None) -> Terms:
    levels = {"detect": DAY, "escalate": 4 * HOUR, "rotate": 7 * DAY, "revoke": 4 * HOUR} | agreed
    return Terms(agreed=levels, hours=hours, cap=cap, register="sha256:r")


def story(*events: Event, ends_by: Any = "rotate", held: Terms | str | None = None) -> Story:
    runs = {event.source for event in events if event.kind in ("new", "reopened", "excepted")}
    return Story(
        fingerprint="f" * 64, control="rotation-age", subject="aws:1:access-key/A", identity_name="a", provider="aws", scope="1", partner="acme",
        accountable="maria", severity="high", ends_by=ends_by, events=events, terms=dict.fromkeys(runs, held or terms()),
    )  # fmt: skip


def on(days: float, kind: str, source: str | None = None) -> Event:
    at = START + days * DAY
    return Event(at, kind, source or f"run-{at:%Y%m%dT%H%M%S}")


def clock(told: Story, days: float, name: str = "rotate", life: int = 1) -> Clock:
    return next(each for each in replay(told, START + days * DAY) if (each.clock, each.life) == (name, life))


def state(told: Story, days: float, name: str = "rotate", life: int = 1) -> tuple[str, bool]:
    found = clock(told, days, name, life)
    return found.state, found.late


def test_what_is_seen_failing_past_its_time_is_missed_and_what_nobody_saw_is_unknown() -> None:
    told = story(on(0, "new"), on(6, "seen"))
    assert [("running", False), ("unknown", True)] == [state(told, 6.5), state(told, 7.5)]
    assert "nobody has looked since" in str(clock(told, 7.5).why)
    assert ("missed", True) == state(story(on(0, "new"), on(8, "seen")), 8.5)
    at_the_end = story(on(0, "new"), on(7, "seen"))
    assert [("running", False), ("missed", True)] == [state(at_the_end, 7), state(at_the_end, 7.01)]
    assert ("met", False) == state(story(on(0, "new"), on(6, "seen"), on(7, "resolved")), 30)
    assert ("missed", False) == state(story(on(0, "new"), on(7, "seen"), on(8, "resolved")), 30)
    between = clock(story(on(0, "new"), on(6, "seen"), on(8, "resolved")), 30)
    assert ("unknown", False, 8 * DAY) == (between.state, between.late, between.exposure)
    blind = story(on(0, "new"), on(5, "seen"), on(6, "unobserved"))
    assert "its scope could not be read since 2026-11-08" in str(clock(blind, 9).why)


def test_a_plan_ends_a_clock_at_the_second_once_a_run_confirms_it() -> None:
    made = on(0.1, "taken", "plan-1")
    waiting = clock(story(on(0, "new"), made, ends_by="revoke"), 0.9, "revoke")
    assert ("running", None) == (waiting.state, waiting.ended)
    proved = clock(story(on(0, "new"), made, on(1, "resolved"), ends_by="revoke"), 2, "revoke")
    assert ("met", made.at, 0.1 * DAY) == (proved.state, proved.ended, proved.exposure)
    assert ("missed", True) == state(story(on(0, "new"), made, on(1, "seen"), ends_by="revoke"), 2, "revoke")


def test_an_owed_approval_stops_the_partner_s_time_up_to_its_cap() -> None:
    asked = on(1, "asked", "plan-1")
    short = clock(story(on(0, "new"), asked, on(1.5, "given", "plan-1"), on(3, "seen")), 4)
    assert (4 * DAY, 3.5 * DAY, False) == (short.exposure, short.partner_time, short.pauses[0].capped)
    assert START + 7.5 * DAY == short.due
    long = clock(story(on(0, "new"), asked, on(3, "given", "plan-1"), on(3, "seen")), 4)
    assert (3 * DAY, True, "plan-1", START + 2 * DAY) == (
        long.partner_time,
        long.pauses[0].capped,
        long.pauses[0].source,
        long.pauses[0].ended,
    )
    going = clock(story(on(0, "new"), asked), 1.25).pauses[0]
    assert (True, START + 1.25 * DAY) == (going.going_on, going.ended)
    assert () == clock(story(on(0, "new"), asked, on(1.5, "seen"), held=terms(cap=timedelta())), 4).pauses
    # the ladder stands where it stood when the clock started
    assert [START + 7 * DAY * percent / 100 for percent in RUNGS] == [rung.at for rung in long.rungs]


def test_business_days_are_working_days_and_the_ladder_stands_on_the_calendar() -> None:
    found = clock(story(on(0, "new"), held=terms(OFFICE, rotate=5 * DAY)), 1)
    assert (40 * HOUR, 8 * HOUR, DAY) == (found.allowed, found.partner_time, found.exposure)
    assert datetime(2026, 11, 6, 17, tzinfo=UTC) == found.due
    assert [datetime(2026, 11, 4, 13, tzinfo=UTC), datetime(2026, 11, 5, 15, tzinfo=UTC)] == [rung.at for rung in found.rungs[:2]]
    assert 6 * HOUR == clock(story(on(0, "new"), held=terms(OFFICE, rotate=6 * HOUR)), 1).allowed
    assert None is clock(story(on(0, "new"), held=terms(OFFICE), ends_by="revoke"), 1, "revoke").hours


@st.composite
def offices(draw: st.DrawFn) -> Hours:
    """Hours by day, when no clock changes, whose quarters are whole hours, as pandas counts them."""
    zone = draw(st.sampled_from(["Europe/London", "America/New_York", "Australia/Adelaide"]))  # the last is half an hour off
    opens, length = draw(st.integers(4 * 60, 11 * 60)), draw(st.sampled_from([4, 8, 12]))
    return Hours(
        zone, draw(weeks), opens, opens + length * 60, draw(st.frozensets(st.dates(date(2026, 1, 1), date(2027, 6, 1)), max_size=12))
    )


@settings(max_examples=60, deadline=None)
@given(
    offices(),
    st.integers(0, 365 * 1440),
    st.one_of(st.integers(1, 20).map(lambda days: days * DAY), st.integers(1, 5).map(lambda hours: 4 * hours * HOUR)),
)
def test_when_a_clock_is_over_agrees_with_pandas_wherever_clocks_change(hours: Hours, minutes: int, agreed: timedelta) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    calendar: Any = {
        "weekmask": " ".join(names[day] for day in sorted(hours.days)),
        "holidays": [pd.Timestamp(day) for day in sorted(hours.closed)],
    }
    opens, closes = (f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.opens, hours.closes))

    def theirs(span: timedelta) -> datetime:
        """Count on the clock on the wall; what ends with a day ends when it closes, not when the next one opens."""
        offset = pd.offsets.CustomBusinessHour(n=int(span / HOUR), start=opens, end=closes, **calendar)
        end = pd.Timestamp(start.astimezone(ZoneInfo(hours.zone)).replace(tzinfo=None)) + offset
        if f"{end:%H:%M:%S}" == f"{opens}:00":
            end = (end.normalize() - pd.offsets.CustomBusinessDay(1, **calendar)) + pd.Timedelta(minutes=hours.closes)
        return end.to_pydatetime().replace(tzinfo=ZoneInfo(hours.zone)).astimezone(UTC)

    allowed = hours.day * (agreed // DAY) if not agreed % DAY else agreed
    found = next(
        each for each in replay(story(Event(start, "new", "run-1"), held=terms(hours, rotate=agreed)), start) if each.clock == "rotate"
    )
    assert theirs(allowed) == found.due
    assert [theirs(allowed * percent / 100) for percent in RUNGS] == [rung.at for rung in found.rungs]


def test_a_finding_is_told_when_the_desk_has_a_ticket_and_nobody_need_be_told_of_what_is_excepted() -> None:
    assert ("met", False) == state(story(on(0, "new"), on(0, "told")), 9, "escalate")
    assert ("missed", False) == state(story(on(0, "new"), on(1, "told")), 9, "escalate")
    assert ("missed", True) == state(story(on(0, "new")), 1, "escalate")
    assert ("running", False) == state(story(on(0, "new"), on(0.1, "excepted")), 1, "escalate")
    late = clock(story(on(0, "excepted"), on(5, "exception-ended"), on(5, "told")), 9, "escalate")
    assert ("met", START + 5 * DAY) == (late.state, late.started)
    assert [] == [each for each in replay(story(on(0, "excepted")), START + 9 * DAY) if each.clock == "escalate"]


def test_an_exception_stops_no_time_but_while_it_holds_nothing_has_to_be_done() -> None:
    held = story(on(0, "new"), on(1, "excepted"))
    assert ("running", False) == state(held, 30)
    ended = replace(held, events=(*held.events, on(30, "exception-ended"), on(30, "seen")))
    assert ("missed", True) == state(ended, 31)
    assert ("met", False) == state(replace(held, events=(*held.events, on(30, "resolved"))), 31)


def test_detection_is_measured_from_the_last_whole_reading() -> None:
    def looked(hours: float) -> str:
        return state(story(on(0, "new"), Event(START - hours * HOUR, "looked", on(0, "new").source)), 1, "detect")[0]

    assert ["met", "met", "missed"] == [looked(24), looked(26), looked(27)]
    never = clock(story(on(0, "new")), 1, "detect")
    assert ("unknown", "nobody had read its scope wholly before it was found") == (never.state, never.why)


def test_what_is_not_on_file_or_not_understood_is_unknown_and_never_met() -> None:
    gone = replay(story(on(0, "new"), on(1, "resolved"), held="the register is gone"), START + 9 * DAY)
    assert {("unknown", "the register is gone")} == {(each.state, each.why) for each in gone}
    assert "no service level is agreed" == clock(story(on(0, "new"), held=terms(rotate=None)), 1).why
    odd = story(on(0, "new"), on(0, "told"), on(2, "teleported"), on(3, "resolved"))
    assert ("unknown", "met") == (clock(odd, 9).state, clock(odd, 9, "escalate").state)  # what was certain before stays so
    assert "teleported" in str(clock(odd, 9).why)


KINDS = ("new", "seen", "changed", "unobserved", "excepted", "exception-ended", "told", "resolved", "reopened")
steps = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(KINDS)), max_size=12)
plans = st.lists(
    st.tuples(st.integers(0, 30 * 4), st.sampled_from(("asked", "given", "withdrawn", "taken")), st.integers(1, 3)), max_size=8
)
held_terms = st.builds(
    terms, st.sampled_from([None, OFFICE]), st.sampled_from([timedelta(), DAY, 5 * DAY]), rotate=st.sampled_from([DAY, 6 * HOUR, 7 * DAY])
)


@st.composite
def lives(draw: st.DrawFn) -> Story:
    """A life as nights write it: what can follow follows, whatever was drawn."""
    events, stands, open_ = [], False, False
    for day, kind in sorted(draw(steps), key=lambda step: step[0]):
        allowed = {
            "new": not stands, "reopened": not stands, "excepted": not (stands and not open_), "exception-ended": stands and not open_, "seen": stands and open_,
        }.get(kind, stands)  # fmt: skip
        if any(event.at == START + day * DAY for event in events) or not allowed:
            continue
        events.append(on(day, kind))
        stands = kind != "resolved"
        open_ = kind in ("new", "reopened", "exception-ended") or (open_ and kind not in ("excepted", "resolved"))
    events += [on(quarter / 4, kind, f"plan-{number}") for quarter, kind, number in draw(plans)]
    return story(*events, ends_by=draw(st.sampled_from(["rotate", "revoke"])), held=draw(held_terms))


@settings(max_examples=150, deadline=None)
@given(lives(), st.integers(0, 40 * 4), st.integers(0, 40 * 4), st.randoms())
def test_the_laws_of_the_replay(told: Story, first: int, second: int, chance: Any) -> None:
    earlier, later = sorted((START + first / 4 * DAY, START + second / 4 * DAY))
    before, after = replay(told, earlier), {(each.clock, each.life): each for each in replay(told, later)}
    for each in before:
        again = after[each.clock, each.life]  # a clock that was there is there
        if each.state in ("met", "missed"):
            assert each.state == again.state
        assert (each.started, each.agreed, each.rungs) == (again.started, again.agreed, again.rungs)
        assert each.ended in (None, again.ended)
    for each in after.values():
        if each.exposure is not None:
            assert each.partner_time is not None
            assert timedelta() <= each.partner_time <= each.exposure
        assert not (each.late and each.ended is not None)
    mixed = list(told.events)
    chance.shuffle(mixed)
    assert tuple(after.values()) == replay(replace(told, events=tuple(mixed)), later)
    waits = replace(told, events=(*told.events, on(first / 4, "asked", "plan-9")))
    for key, each in {(each.clock, each.life): each for each in replay(waits, later)}.items():
        if each.partner_time is not None:
            assert each.partner_time <= after[key].partner_time  # type: ignore[operator]  # known here if it is known there
            assert each.exposure == after[key].exposure


def test_a_scorecard_counts_what_the_clocks_say() -> None:
    late = story(on(0, "new"), on(0, "told"), on(7, "seen"), on(8, "resolved"), on(20, "reopened"))
    good = replace(story(on(0, "new"), on(0, "told"), on(2, "resolved")), fingerprint="a" * 64)
    dark = replace(story(on(0, "new"), held="gone"), fingerprint="b" * 64)
    ours = replace(good, partner=None)
    cards = scorecards([late, good, dark, ours], START + 21 * DAY)
    assert ["acme", None] == [card.partner for card in cards]
    card = cards[0]
    measure = {each.clock: each for each in card.measures}["rotate"]
    assert (3, 4, 1, 1) == (card.findings, card.lives, card.reopened, card.overdue)  # nobody has told of what came back
    assert (4, 1, 1, 1, 1, 0.5, 0.25) == (
        measure.total,
        measure.met,
        measure.missed,
        measure.running,
        measure.unknown,
        measure.share_met,
        measure.unknown_share,
    )
    assert (5 * DAY, 8 * DAY, "f" * 64) == (measure.median, measure.worst, measure.worst_finding)
    some = scorecards([late], START + 21 * DAY, START + 10 * DAY, START + 30 * DAY)[0]
    assert (1, 1) == (some.lives, some.reopened)


# The register


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "17:00", "to": "09:00"},
        {"from": "9:00", "to": "17:00"},
        {"from": "09:00", "to": "24:30"},
        {"days": (), "from": "09:00", "to": "17:00"},
        {"from": "09:00", "to": 1020},
    ],
)
def test_business_hours_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BusinessHours.model_validate(wrong)


def test_business_hours_are_read_from_a_partner_s_file(tmp_path: Path) -> None:
    scaffold.init(tmp_path / "p")
    partner = tmp_path / "p" / "register" / "partners" / "example-partner.yaml"
    text = partner.read_text()
    rewrite(partner, "contract", {"business_hours": {"days": ["mon", "sat"], "from": "08:30", "to": "24:00"}, "pause_cap": "P2D"})
    rewrite(tmp_path / "p" / "register" / "customer.yaml", "customer", {"closed": [date(2026, 12, 25)]})
    register = load_register(tmp_path / "p" / "register")
    contract = register.partners["example-partner"].contract
    assert (date(2026, 12, 25),) == register.customer.closed
    assert contract.business_hours is not None
    assert (("mon", "sat"), "08:30", "24:00", 2 * DAY) == (
        contract.business_hours.days,
        contract.business_hours.opens,
        contract.business_hours.closes,
        contract.pause_cap,
    )
    partner.write_text(text.replace("  reference: C-0001", "  reference: C-0001\n  business_hours: {from: 17:00, to: 09:00}"))
    with pytest.raises(ConfigError, match="end before they begin"):
        load_register(tmp_path / "p" / "register")


def rewrite(file: Path, name: str, more: Mapping[str, object]) -> None:
    held = yaml.safe_load(file.read_text())
    held[name] |= more
    file.write_text(yaml.safe_dump(held))


# Through the command line, on nights of a real programme

ACCOUNT = "111111111111"
COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
PARTNER = "example-partner"


def export(folder: Path, at: datetime, keys: Mapping[str, datetime]) -> None:
    used = (at - DAY).isoformat()
    rows = [
        f"{name},arn:aws:iam::{ACCOUNT}:user/{name},2024-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,true,{made.isoformat()},{used},eu-west-2,s3,"
        "false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
        for name, made in keys.items()
    ]
    (folder / "exports" / "report.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nights: nothing, two old keys, one of them replaced and the terms loosened, and one that saw the other again."""
    folder = tmp_path_factory.mktemp("clocks") / "northwind"
    scaffold.init(folder)
    rewrite(folder / "register" / "partners" / f"{PARTNER}.yaml", "contract", {"business_hours": {"from": "09:00", "to": "17:00"}})
    old, fresh = START - 200 * DAY, START
    names = [f"{PARTNER}-slow", f"{PARTNER}-quick"]
    for day, keys in (
        (0, {}),
        (1, dict.fromkeys(names, old)),
        (3, dict(zip(names, (old, fresh), strict=True))),
        (12, dict(zip(names, (old, fresh), strict=True))),
    ):
        at = START + day * DAY
        export(folder, at, {"fine": at - DAY, **keys})
        if day == 3:
            rewrite(folder / "register" / "controls" / "default.yaml", "slas", {"rotate": "P90D"})
        assert cli.answer(["reconcile", "-p", str(folder), "--as-of", at.strftime("%Y-%m-%dT%H:%M:%SZ"), "--slot", f"day-{day}"]) in (0, 1)
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: object, days: float = 12.5) -> tuple[int, str]:
    capsys.readouterr()
    at = (START + days * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    code = cli.answer([*map(str, arguments), "--as-of", at])
    return code, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *arguments: object, days: float = 12.5) -> tuple[int, Any]:
    code, out = said(capsys, *arguments, "--json", days=days)
    return code, json.loads(out)


def test_the_clocks_of_a_programme_by_the_terms_of_the_night_that_started_them(nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = document(capsys, "clocks", "-p", nights, "--control", "rotation-age", "--partner", PARTNER, days=3.5)
    assert (0, ["running"], [f"{PARTNER}-slow"]) == (code, [row["state"] for row in rows], [row["identity_name"] for row in rows])
    # found on Tuesday at 02:00; the terms that night 3 loosened do not count
    assert (7 * 86400, 7 * 8 * 3600, "2026-11-11T17:00:00Z") == (rows[0]["agreed_seconds"], rows[0]["allowed_seconds"], rows[0]["due"])
    assert (2.5 * 86400, 21 * 3600) == (rows[0]["exposure_seconds"], rows[0]["partner_seconds"])
    code, rows = document(capsys, "clocks", "-p", nights, "--control", "rotation-age", "--late")
    assert (1, ["missed"]) == (code, [row["state"] for row in rows])
    code, told = document(capsys, "clocks", "-p", nights, "--finding", rows[0]["fingerprint"][:10])
    assert (1, {"detect": "met", "escalate": "met", "rotate": "missed"}) == (
        code,
        {each["clock"]: each["state"] for each in told["clocks"]} | {"detect": "met"},
    )
    assert {"new", "told", "seen", "looked"} == {event["event"] for event in told["events"]}
    code, text = said(capsys, "clocks", "-p", nights, "--finding", rows[0]["fingerprint"])
    assert (1, True, True) == (code, "Mon Tue Wed Thu Fri 09:00-17:00 UTC" in text, "Ladder of rotate" in text)
    code, text = said(capsys, "clocks", "-p", nights)
    assert (1, True) == (code, f"{PARTNER}-slow" in text)


def test_a_finding_about_a_clock_shows_both_times_and_the_terms_of_then(nights: Path) -> None:
    last = max(entry for entry in (nights / "evidence").iterdir() if (entry / findings_file.NAME).exists())
    held = list(findings_file.read(last / findings_file.NAME))
    (late,) = (row for row in held if row["control"] == "sla-rotate" and row["facts"]["late_control"] == "rotation-age")
    assert late["reason"].endswith("since 2026-11-03 02:00:00 UTC; open for 11 days, 9 business days; agreed 7 business days to rotate")
    (old,) = (row for row in held if row["control"] == "rotation-age" and row["state"] == "open")
    assert datetime(2026, 11, 11, 17, tzinfo=UTC) == old["due"]  # the terms that were loosened since move nothing


def planned(journal: Journal, name: str, uid: str, made: float) -> Plan:
    held = replace(plan(name, change(f"off-{uid}", uid), holdings=(holding(uid),)), made_at=START + made * DAY)
    journal.planned(held)
    return held


def begun(journal: Journal, held: Plan, days: float) -> None:
    at = START + days * DAY
    run = Run(
        run=f"run-{held.id}", plan=held.id, number=1, began_at=at, ended_at=None, state=None, approvers=("maria",), approved_at=at, broken_glass=None,
        sequence=None, statement_digest=None,
    )  # fmt: skip
    journal.begin(run, [held.id], None)


def test_plans_stop_the_partner_s_time_and_end_a_clock_at_the_second(
    nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(nights, folder)
    with State(f"sqlite:///{folder / 'state.db'}") as ledger:
        keys = {row.finding.identity_name: row.finding for row in ledger.findings(control="rotation-age")}
        slow, quick = keys[f"{PARTNER}-slow"], keys[f"{PARTNER}-quick"]
        _, before = document(capsys, "clocks", "-p", folder, "--finding", slow.fingerprint)
        journal = Journal(ledger.engine)
        planned(journal, "plan-0", slow.subject, 2)
        begun(
            journal, planned(journal, "plan-1", slow.subject, 2.5), 6
        )  # made anew while it waited: one decision, whose cap does not begin again
        taken = planned(journal, "plan-2", quick.subject, 1.25)
        begun(journal, taken, 1.5)
        make(journal, taken, taken.steps[0], START + 1.75 * DAY)
    _, told = document(capsys, "clocks", "-p", folder, "--finding", slow.fingerprint)
    rotate, unpaused = (next(each for each in said["clocks"] if each["clock"] == "rotate") for said in (told, before))
    pause = {"source": "plan-0", "capped": True, "began": "2026-11-04T02:00:00Z", "ended": "2026-11-05T02:00:00Z", "cap_seconds": 86400}
    assert [pause] == [{name: each[name] for name in pause} for each in rotate["pauses"]]
    assert unpaused["partner_seconds"] - 8 * 3600 == rotate["partner_seconds"]  # Wednesday's hours
    assert (unpaused["exposure_seconds"], unpaused["rungs"]) == (rotate["exposure_seconds"], rotate["rungs"])
    _, text = said(capsys, "clocks", "-p", folder, "--finding", slow.fingerprint)
    assert "when its cap was over: the approval of plan plan-0 was owed (at most 1 d)" in text
    _, told = document(capsys, "clocks", "-p", folder, "--finding", quick.fingerprint)
    rotate = next(each for each in told["clocks"] if each["clock"] == "rotate")
    assert ("met", "2026-11-03T20:00:00Z", "taken away by plan-2, which a run confirmed") == (
        rotate["state"],
        rotate["ended"],
        rotate["why"],
    )


def test_a_scorecard_of_a_programme(nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = document(capsys, "scorecard", PARTNER, "-p", nights)
    card = told["partners"][0]
    rotate = card["clocks"]["rotate"]
    assert (1, PARTNER, True) == (code, card["partner"], card["overdue"] >= 1)
    assert (rotate["met"] >= 1, rotate["missed"] >= 1, rotate["worst_seconds"] > 7 * 8 * 3600) == (True, True, True)
    code, text = said(capsys, "scorecard", PARTNER, "-p", nights, "--from", "2026-11-01", "--to", "2026-11-30")
    assert (1, True) == (code, "share unknown" in text)
    code, told = document(capsys, "scorecard", PARTNER, "-p", nights, "--from", "2027-01-01")
    assert (0, 0) == (code, told["partners"][0]["findings"])


def test_what_is_asked_wrongly_is_said(nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == said(capsys, "clocks", "-p", nights, "--finding", "nonsense")[0]
    assert 2 == said(capsys, "clocks", "-p", nights, "--partner", "nobody")[0]
    assert 2 == said(capsys, "scorecard", "-p", nights, "--from", "soon")[0]
    assert 2 == cli.answer(["clocks", "-p", str(nights), "--as-of", "yesterday"])


def test_evidence_that_is_gone_leaves_clocks_unknown(nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(nights, folder)
    for entry in (folder / "evidence").iterdir():
        if entry.is_dir() and (entry / "register.json").exists():
            (entry / "register.json").unlink()
    _, rows = document(capsys, "clocks", "-p", folder, "--control", "rotation-age")
    assert {"unknown"} == {row["state"] for row in rows}
    assert all("cannot be read" in row["why"] for row in rows)


def test_a_sealed_register_that_was_changed_says_nothing(nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(nights, folder)
    for file in (folder / "evidence").glob("*/register.json"):
        file.chmod(0o600)
        file.write_text(file.read_text().replace("P7D", "P70D"))
    _, rows = document(capsys, "clocks", "-p", folder, "--control", "rotation-age")
    assert {"unknown"} == {row["state"] for row in rows}
    assert all("does not hold the register that its digest names" in row["why"] for row in rows)
