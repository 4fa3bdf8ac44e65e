"""The four clocks against a calendar of an outsider's own: every minute of the wall clock looked at by itself, no arithmetic on spans."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign import cli, scaffold
from countersign.clocks.replay import replay
from countersign.clocks.story import Event, Story
from countersign.offboarding.journal import Journal
from countersign.state import State
from countersign.terms import Hours, Terms
from tests.countersign.test_clocks_replay import PARTNER, export, rewrite
from tests.countersign.test_undertaken import change, holding, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from countersign.clocks.replay import Clock

INSTANT, MINUTE, HOUR, DAY = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PERCENTS = (50, 75, 100, 150)
ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca")
FIRST = {"spring": datetime(2026, 2, 1, tzinfo=UTC), "autumn": datetime(2026, 9, 21, tzinfo=UTC)}
"""Seasons of 100 days, in which every zone that changes its clocks does so, Casablanca at both ends of Ramadan."""
SEASON = 100 * 1440


# The outsider's calendar


@cache
def wall(zone: str, season: str) -> tuple[Any, Any]:
    """Give what the clock on the wall shows in each UTC minute of a season: the day's ordinal, and the minute of the day."""
    place, first = ZoneInfo(zone), FIRST[season]
    quarters = [(first + number * 15 * MINUTE).astimezone(place).replace(tzinfo=None) for number in range(SEASON // 15)]
    since = np.array([(at - datetime(1, 1, 1)) // MINUTE for at in quarters])  # noqa: DTZ001 -- as the wall shows it
    shown = (since[:, None] + np.arange(15)).ravel()  # no zone changes its clocks within a quarter of an hour
    return shown // 1440 + 1, shown % 1440


def opened(hours: Hours | None, season: str) -> Any:
    """Give for each minute of a season whether it counts."""
    if hours is None:
        return np.ones(SEASON, bool)
    days, minutes = wall(hours.zone, season)
    works = np.isin((days - 1) % 7, sorted(hours.days)) & ~np.isin(days, [day.toordinal() for day in hours.closed])
    return works & (minutes >= hours.opens) & (minutes < hours.closes)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts the minutes that count from a minute of a season on."""

    season: str
    start: datetime
    counts: Any

    def spent(self, until: datetime) -> timedelta:
        begin, end = ((at - FIRST[self.season]) // MINUTE for at in (self.start, until))
        return int(self.counts[begin:end].sum()) * MINUTE

    def over(self, span: timedelta) -> datetime | None:
        """Give the first instant at which `span` was used up; None: not in this season."""
        begin = (self.start - FIRST[self.season]) // MINUTE
        if not span:
            return self.start
        used = np.cumsum(self.counts[begin:])
        minute = int(np.searchsorted(used, span / MINUTE))  # the first one by whose end it was all used
        if minute >= len(used):
            return None
        before = (int(used[minute]) - 1) * MINUTE
        return self.start + minute * MINUTE + (span - before)


# What an outsider expects


@dataclass(frozen=True, slots=True)
class Expected:
    started: datetime
    ended: datetime | None
    exposure: timedelta
    partner: timedelta
    rungs: tuple[datetime | None, ...]
    due: datetime | None
    state: str
    late: bool


def in_working_time(agreed: timedelta, hours: Hours | None) -> timedelta:
    """Give a service level in time that counts: whole days as so many working days, any other as it stands."""
    if hours is None or agreed % DAY:
        return agreed
    return agreed // DAY * (hours.closes - hours.opens) * MINUTE


def lives_of(events: list[Event]) -> list[list[Event]]:
    lives: list[list[Event]] = []
    stands = False
    for event in events:
        if event.kind in ("asked", "given", "withdrawn", "taken", "looked"):
            continue
        if not stands:
            if event.kind not in ("new", "reopened", "excepted"):
                continue
            lives.append([])
            stands = True
        lives[-1].append(event)
        stands = event.kind != "resolved"
    return lives


def waits(events: list[Event], cap: timedelta, now: datetime) -> list[tuple[datetime, datetime]]:
    spans = []
    for asked in (event for event in events if event.kind == "asked"):
        answers = [e.at for e in events if e.source == asked.source and e.kind in ("given", "withdrawn") and e.at >= asked.at]
        spans.append((asked.at, min([*answers, asked.at + cap, now])))
    return spans


def expect(told: Story, now: datetime, season: str, name: str, number: int) -> Expected | None:
    """Give what is expected of one clock that ends when the finding is put right (`rotate`, `revoke`)."""
    kinds = ("new", "reopened", "excepted", "exception-ended", "seen", "told", "changed", "unobserved", "resolved")
    events = sorted((e for e in told.events if e.at <= now), key=lambda e: (e.at, kinds.index(e.kind) if e.kind in kinds else 99))
    lives = lives_of(events)
    if len(lives) < number:
        return None
    life = lives[number - 1]
    start, terms = life[0].at, told.terms[life[0].source]
    assert isinstance(terms, Terms)
    agreed = terms.agreed[name]  # type: ignore[index]  # one of the clocks
    assert agreed is not None
    hours = terms.hours if name == "rotate" else None
    allowed = in_working_time(agreed, hours)
    gone = next((e.at for e in life if e.kind == "resolved"), None)
    sightings = [e.at for e in life if e.kind == "seen"]
    taken = [e.at for e in events if e.kind == "taken" and e.at > max([start, *sightings]) and (gone is None or e.at <= gone)]
    ended = taken[0] if gone is not None and taken else gone
    until = ended or now
    counts = opened(hours, season)
    rungs = tuple(Tally(season, start, counts.copy()).over(allowed * percent / 100) for percent in PERCENTS)
    for began, stopped in waits(events, terms.cap, until):
        begin, end = ((max(at, start) - FIRST[season]) // MINUTE for at in (began, stopped))
        counts[begin:end] = False
    tally = Tally(season, start, counts)
    due, held = tally.over(allowed), not answerable(life, until, until)
    over = due is not None and until > due
    # Whether somebody had to act changes with the nights only: the first instant too many, and each night from then on.
    turns = [] if due is None else [due + INSTANT, *(event.at for event in life if event.at > due)]
    excused = due is not None and not any(answerable(life, at, until) for at in turns if at <= until)
    # What fails when it is due can end no earlier than that; and what is taken away too late was there till then.
    sighted = due is not None and due < now and any(due <= at for at in sightings)
    outlived = taken and any(answerable(life, at, until) for at in turns if at <= taken[0])
    if sighted or outlived:
        state = "missed"
    elif ended is not None:
        state = "unknown" if over and not excused else "met"
    else:
        state = "unknown" if over and not taken and not (held and excused) else "running"
    return Expected(
        started=start, ended=ended, exposure=until - start, partner=tally.spent(until), rungs=rungs, due=due, state=state,
        late=ended is None and not held and (state == "missed" or (state == "unknown" and over)),
    )  # fmt: skip


def answerable(life: list[Event], at: datetime, until: datetime) -> bool:
    """Say whether something had to be done at an instant: no exception held, by what the nights up to `until` say."""
    words = ("new", "reopened", "excepted", "exception-ended")
    return [event.kind for event in life if event.at <= min(at, until) and event.kind in words][-1] != "excepted"


# Stories


def agreed(hours: Hours | None = None, cap: timedelta = DAY, **levels: timedelta | None) -> Terms:
    return Terms(
        agreed={"detect": DAY, "escalate": 4 * HOUR, "rotate": 5 * DAY, "revoke": DAY} | levels, hours=hours, cap=cap, register="sha256:r"
    )


def story(*events: Event, ends_by: Any = "rotate", held: Mapping[str, Terms | str] | Terms | str | None = None) -> Story:
    runs = [event.source for event in events if event.kind in ("new", "reopened", "excepted")]
    by_run = dict.fromkeys(runs, agreed() if held is None else held) if held is None or isinstance(held, (Terms, str)) else held
    return Story(
        fingerprint="e" * 64, control="rotation-age", subject="aws:1:access-key/K", identity_name="k", provider="aws", scope="1", partner="acme",
        accountable="maria", severity="high", ends_by=ends_by, events=events, terms=by_run,
    )  # fmt: skip


def run(at: datetime, kind: str) -> Event:
    return Event(at, kind, f"run-{at:%Y%m%dT%H%M}")


def the(told: Story, now: datetime, name: str = "rotate", life: int = 1) -> Clock:
    return next(each for each in replay(told, now) if (each.clock, each.life) == (name, life))


def found(each: Clock) -> Expected:
    assert each.started is not None
    assert each.exposure is not None
    assert each.partner_time is not None
    assert PERCENTS == tuple(rung.percent for rung in each.rungs)
    return Expected(
        each.started, each.ended, each.exposure, each.partner_time, tuple(rung.at for rung in each.rungs), each.due, each.state, each.late
    )


def within(each: Expected, season: str) -> Expected:
    """Leave out what lies beyond the season."""
    last = FIRST[season] + SEASON * MINUTE
    *rungs, due = (None if at is None or at > last else at for at in (*each.rungs, each.due))
    return replace(each, rungs=tuple(rungs), due=due)


@st.composite
def calendars(draw: st.DrawFn, season: str) -> Hours:
    first = FIRST[season].date()
    opens = draw(st.integers(4 * 60, 20 * 60))  # later than any clock changes: what opens in the hour that comes twice is a matter of words
    closes = draw(st.one_of(st.integers(opens + 4 * 60, 24 * 60), st.just(24 * 60)))
    if draw(st.booleans()):
        opens = 0
    closed = draw(st.frozensets(st.dates(first, first + 60 * DAY), max_size=8))
    return Hours(draw(st.sampled_from(ZONES)), draw(st.frozensets(st.integers(0, 6), min_size=3)), opens, closes, closed)


levels = st.sampled_from([HOUR * 6, DAY, 5 * DAY, 2 * DAY, 30 * HOUR, 90 * MINUTE, 7 * DAY])
seasons = st.sampled_from(sorted(FIRST))


@st.composite
def waiting(draw: st.DrawFn, begin: datetime, name: str) -> list[Event]:
    """A plan that waits for an approval, and what comes of it."""
    asked = begin + draw(st.integers(0, 35 * 24 * 4)) * 15 * MINUTE + 5 * MINUTE
    after = asked + draw(st.integers(1, 7 * 96)) * 15 * MINUTE
    match draw(st.sampled_from(["given", "taken", "withdrawn", "nothing"])):
        case "nothing":
            return [Event(asked, "asked", name)]
        case "taken":
            return [Event(asked, "asked", name), Event(after, "given", name), Event(after + 7 * MINUTE, "taken", name)]
        case kind:
            return [Event(asked, "asked", name), Event(after, kind, name)]


@st.composite
def told_stories(draw: st.DrawFn) -> tuple[Story, str, datetime]:  # noqa: C901 -- what can happen on a night
    """A finding as nights write it, with every reading on file, and plans that wait."""
    season = draw(seasons)
    begin = FIRST[season] + 2 * DAY
    nights = sorted(draw(st.sets(st.integers(0, 35 * 24 * 4), min_size=1, max_size=10)))
    events: list[Event] = []
    terms: dict[str, Terms | str] = {}
    stands, excepted, blind_before = False, False, False
    for night in nights:
        at = begin + night * 15 * MINUTE
        what = draw(st.sampled_from(["fails", "fails", "fails", "gone", "unread", "excepted"]))
        if what == "unread":
            if stands:
                if not blind_before:
                    events.append(run(at, "unobserved"))
                blind_before = True
            continue
        blind_before = False
        if what == "gone":
            if stands:
                events.append(run(at, "resolved"))
            stands = excepted = False
        elif what == "excepted":
            if not (stands and excepted):
                events.append(run(at, "excepted"))
            if not stands:
                terms[run(at, "").source] = draw(held(season))
            stands = excepted = True
        else:
            if not stands:
                events.append(run(at, "reopened" if terms else "new"))
                terms[run(at, "").source] = draw(held(season))
            elif excepted:
                events.append(run(at, "exception-ended"))
            events.append(run(at, "seen"))
            stands, excepted = True, False
    events += [event for number in range(draw(st.integers(0, 3))) for event in draw(waiting(begin, f"plan-{number}"))]
    told = story(*draw(st.permutations(events)), ends_by=draw(st.sampled_from(["rotate", "revoke"])), held=terms)
    return told, season, begin + draw(st.integers(nights[0], 42 * 24 * 4)) * 15 * MINUTE + MINUTE  # never the very instant of a night


@st.composite
def held(draw: st.DrawFn, season: str) -> Terms:
    hours = draw(st.one_of(st.none(), calendars(season)))
    return agreed(hours, draw(st.sampled_from([timedelta(), 6 * HOUR, DAY, 3 * DAY])), rotate=draw(levels), revoke=draw(levels))


@settings(max_examples=300, deadline=None)
@given(told_stories())
def test_a_random_life_is_as_an_outsider_counts_it(drawn: tuple[Story, str, datetime]) -> None:
    told, season, now = drawn
    clocks = {each.life: each for each in replay(told, now) if each.clock == told.ends_by}
    for number in range(1, len(told.terms) + 2):
        wanted = expect(told, now, season, str(told.ends_by), number)
        assert (wanted is None) == (number not in clocks)
        if wanted is not None:
            assert within(wanted, season) == within(found(clocks[number]), season)


# By hand


MONDAY = datetime(2026, 9, 21, 2, tzinfo=UTC)
OFFICE = Hours("UTC", frozenset(range(5)), 9 * 60, 17 * 60)
WEEK = agreed(OFFICE, rotate=5 * DAY, cap=2 * DAY)
ALWAYS = agreed(rotate=6 * DAY, revoke=6 * DAY)


def on(days: float, kind: str, source: str | None = None) -> Event:
    return Event(MONDAY + days * DAY, kind, source or f"run-{days}")


def life(*events: Event, held: Terms = ALWAYS) -> Story:
    return story(on(0, "new"), on(0, "seen"), *events, held=held)


def at_end(told: Story, days: float, name: str = "rotate") -> Clock:
    return the(told, MONDAY + days * DAY, name)


@pytest.mark.parametrize(
    ("zone", "opens", "began", "agreed_for", "due"),
    [
        ("Europe/London", "Fri 09:00", "2026-10-23T09:00+01:00", 2 * DAY, "2026-10-26T17:00+00:00"),
        ("America/New_York", "Sun 00:00", "2026-11-01T00:00-04:00", 6 * HOUR, "2026-11-01T05:00-05:00"),
        ("America/New_York", "Sun 00:00", "2026-03-08T00:00-05:00", 6 * HOUR, "2026-03-08T07:00-04:00"),
        ("Australia/Lord_Howe", "Sun 00:00", "2026-04-05T00:00+11:00", 6 * HOUR, "2026-04-05T05:30+10:30"),
        ("Australia/Lord_Howe", "Sun 00:00", "2026-10-04T00:00+10:30", 6 * HOUR, "2026-10-04T06:30+11:00"),
        ("Africa/Casablanca", "Sun 00:00", "2026-02-15T00:00+01:00", 6 * HOUR, "2026-02-15T05:00+00:00"),
        ("Africa/Casablanca", "Sun 00:00", "2026-03-22T00:00+00:00", 6 * HOUR, "2026-03-22T07:00+01:00"),
        ("Asia/Kolkata", "Fri 09:00", "2026-03-27T16:00+05:30", 2 * HOUR, "2026-03-30T10:00+05:30"),
    ],
)
def test_hours_worked_over_nights_when_clocks_change_worked_out_by_hand(
    zone: str, opens: str, began: str, agreed_for: timedelta, due: str
) -> None:
    hours = Hours(zone, frozenset(range(5)), 9 * 60, 17 * 60) if opens == "Fri 09:00" else Hours(zone, frozenset(range(7)), 0, 24 * 60)
    start = datetime.fromisoformat(began).astimezone(UTC)
    assert datetime.fromisoformat(due) == the(story(Event(start, "new", "run-1"), held=agreed(hours, rotate=agreed_for)), start).due


def test_what_ends_after_its_due_date_is_late_also_while_nobody_works() -> None:
    friday = MONDAY + timedelta(days=4, hours=15)  # when the office closes; it opens again on Monday
    assert friday == at_end(life(held=WEEK), 1).due
    taken, gone = 4 * DAY + 16 * HOUR, on(5, "resolved")
    assert "missed" == at_end(life(on(4.7, "seen"), held=WEEK), 4.8).state
    assert "missed" == at_end(life(on(taken / DAY, "taken", "plan-1"), gone, held=WEEK), 9).state
    assert "met" == at_end(life(on((taken - HOUR) / DAY, "taken", "plan-1"), gone, held=WEEK), 9).state
    assert "unknown" == at_end(life(gone, held=WEEK), 9).state
    assert ["running", "unknown"] == [at_end(life(held=WEEK), (at - MONDAY) / DAY).state for at in (friday, friday + INSTANT)]


def test_no_pause_outlives_its_clock_and_the_due_date_of_what_ended_moves_no_more() -> None:
    told = life(on(1, "asked", "plan-1"), on(1.5, "taken", "plan-1"), on(1.75, "resolved"), on(2.5, "given", "plan-1"))
    clocks = [at_end(told, days) for days in (1.8, 2.1, 9)]
    assert {(MONDAY + 6.5 * DAY, 5 * DAY / 5)} == {(clock.due, clock.partner_time) for clock in clocks}
    assert {(MONDAY + 1.5 * DAY, False, False)} == {(p.ended, p.capped, p.going_on) for clock in clocks for p in clock.pauses}


def test_an_approval_asked_for_at_the_last_instant_moves_the_due_date_by_the_whole_wait() -> None:
    asked = Event(MONDAY + 6 * DAY - INSTANT, "asked", "plan-1")
    assert MONDAY + 7 * DAY == at_end(life(asked), 20).due
    assert MONDAY + 6 * DAY == at_end(life(replace(asked, at=asked.at + INSTANT)), 20).due


def test_a_cap_beyond_the_calendar_ends_no_wait() -> None:
    asked = life(on(1, "asked", "plan-1"), held=replace(ALWAYS, cap=timedelta.max))
    assert [(MONDAY + 1 * DAY, True)] == [(pause.began, pause.going_on) for pause in at_end(asked, 20).pauses]


def test_nothing_is_late_that_the_run_of_this_instant_found_excepted() -> None:
    assert not at_end(life(on(5, "seen"), on(7, "excepted")), 7).late


def test_nobody_need_be_told_of_what_was_taken_away_before_anybody_had_to_be() -> None:
    told = life(on(0.1, "taken", "plan-1"), on(1, "resolved"))
    assert MONDAY + 0.1 * DAY == at_end(told, 2).ended
    assert "met" == at_end(told, 2, "escalate").state


def test_no_clock_ends_before_it_begins() -> None:
    told = story(on(0, "excepted"), on(2, "told"), on(5, "exception-ended"), on(5, "seen"), held=ALWAYS)
    clock = at_end(told, 6, "escalate")
    assert clock.started is not None
    assert clock.ended is not None
    assert clock.started <= clock.ended


# A programme


BEGIN = datetime(2026, 10, 21, 1, tzinfo=UTC)  # a Wednesday, four nights before London's clocks go back
LONDON = Hours("Europe/London", frozenset(range(5)), 9 * 60, 17 * 60 + 30, frozenset({date(2026, 10, 26)}))
NIGHTS = (0, 1, 4, 7, 13, 14)
UNREAD, LOOSENED, REPLACED = 7, 4, 14


def answer(capsys: pytest.CaptureFixture[str] | None, folder: Path, *words: str) -> Any:
    """Give what a command says as JSON; None: it is not asked to say it."""
    if capsys is not None:
        capsys.readouterr()
    assert cli.answer([words[0], "-p", str(folder), *words[1:], *(["--json"] if capsys else [])]) in (
        0,
        1,
        3,
    )  # 3: something could not be read
    return None if capsys is None else json.loads(capsys.readouterr().out)


def stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nights on which two keys of a partner and one of our own are old; one is accepted for a while, one is replaced, one night cannot read."""
    folder = tmp_path_factory.mktemp("outsider") / "northwind"
    scaffold.init(folder)
    register, old = folder / "register", BEGIN - 200 * DAY
    rewrite(register / "customer.yaml", "customer", {"timezone": LONDON.zone, "closed": sorted(LONDON.closed)})
    rewrite(register / "partners" / f"{PARTNER}.yaml", "contract", {"business_hours": {"from": "09:00", "to": "17:30"}})
    for day in NIGHTS:
        at = BEGIN + day * DAY
        names = [] if day == 0 else [f"{PARTNER}-slow", f"{PARTNER}-accepted", "ours"]
        names += [f"{PARTNER}-found-late"] if day > UNREAD else []
        fresh = {f"{PARTNER}-quick": at - DAY if day >= REPLACED else old} if day else {}
        export(folder, at, {"fine": at - DAY, **dict.fromkeys(names, old), **fresh})
        if day == UNREAD:
            (folder / "exports" / "report.csv").write_text("not a report\n", encoding="utf-8")
        if day == LOOSENED:
            rewrite(register / "controls" / "default.yaml", "slas", {"rotate": "P90D", "detect": "P2D"})
            key = next(row["subject"] for row in ledger(folder) if row["identity_name"] == f"{PARTNER}-accepted")
            accepted = {
                "exception": "EX-0001", "control": "rotation-age", "subject": key, "reason": "frozen", "compensating_control": "a list",
                "exit_criteria": "rotated", "requested_by": f"{PARTNER}/operator", "approved_by": "business-owner",
                "approved_on": at.date() - DAY, "expires": at.date() + 9 * DAY,
            }  # fmt: skip
            (register / "exceptions" / "EX-0001.yaml").write_text(yaml.safe_dump(accepted), encoding="utf-8")
        answer(None, folder, "reconcile", "--as-of", stamp(at), "--slot", f"day-{day}")
    return folder


def ledger(folder: Path) -> list[dict[str, Any]]:
    with State(f"sqlite:///{folder / 'state.db'}") as held:
        rows = [row.finding for row in held.findings(control="rotation-age")]
    return [{"subject": row.subject, "identity_name": row.identity_name, "fingerprint": row.fingerprint} for row in rows]


def test_a_finding_its_ticket_and_its_clock_are_due_at_one_instant_and_that_is_the_calendar_s(
    programme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tickets = {row["id"]: row for row in answer(capsys, programme, "tickets")}
    at = stamp(BEGIN + NIGHTS[-1] * DAY)
    on_ticket: dict[str, list[str]] = {}
    seen = set()
    for row in answer(capsys, programme, "findings"):
        if row["control"].startswith(("sla-", "drill-", "approval-")):
            continue
        clocks = answer(capsys, programme, "clocks", "--finding", row["fingerprint"], "--as-of", at)["clocks"]
        fix = next(each for each in clocks if each["clock"] in ("rotate", "revoke"))
        rung = next(each["at"] for each in fix["rungs"] if each["percent"] == 100)
        assert row["due"] == rung == fix["due"]
        began = datetime.fromisoformat(row["since"])
        hours = LONDON if row["partner"] == PARTNER and fix["clock"] == "rotate" else None
        levels = {"rotate": timedelta(seconds=fix["agreed_seconds"])}
        loosened = began >= BEGIN + LOOSENED * DAY
        if fix["clock"] == "rotate" and row["control"] == "rotation-age":
            assert levels["rotate"] == (90 * DAY if loosened else 7 * DAY)
        span = in_working_time(timedelta(seconds=fix["agreed_seconds"]), hours)
        tally = Tally("autumn", began, opened(hours, "autumn"))
        wanted = tally.over(span)
        if wanted is not None:
            assert stamp(wanted) == row["due"]
            assert [None if (each := tally.over(span * percent / 100)) is None else stamp(each) for percent in PERCENTS[:3]] == [
                each["at"] for each in fix["rungs"][:3]
            ]
            seen.add(hours is not None)
        if row["state"] == "open":
            on_ticket.setdefault(row["ticket"], []).append(row["due"])
    assert {True, False} == seen
    assert {name: min(dues) for name, dues in on_ticket.items()} == {name: tickets[name]["due"] for name in on_ticket}


@pytest.mark.parametrize("day", NIGHTS[3:])
def test_a_finding_about_a_clock_stands_exactly_where_the_clocks_say_missed_and_late(
    programme: Path, capsys: pytest.CaptureFixture[str], day: int
) -> None:
    at = stamp(BEGIN + day * DAY)
    with State(f"sqlite:///{programme / 'state.db'}") as held:
        last = next(each.run for each in held.runs() if each.as_of == BEGIN + day * DAY)
    rows = answer(capsys, programme, "findings", "--run", last)
    said = {
        (row["subject"].rpartition("/")[2], row["control"].removeprefix("sla-"))
        for row in rows
        if row["control"].startswith("sla-") and row["state"] == "open"
    }
    wanted = set()
    for row in rows:
        if row["control"].startswith(("sla-", "drill-", "approval-")) or row["state"] == "resolved":
            continue
        for clock in answer(capsys, programme, "clocks", "--finding", row["fingerprint"], "--as-of", at)["clocks"]:
            tonight = row["since"] == at
            if clock["state"] == "missed" and (clock["late"] or clock["clock"] == "detect") and not tonight:
                wanted.add((row["fingerprint"], clock["clock"]))
    assert wanted == said
    assert {UNREAD: set(), 13: {"rotate"}, 14: {"detect", "rotate"}}[day] == {clock for _, clock in wanted}


def rotate_of(capsys: pytest.CaptureFixture[str], folder: Path, name: str) -> dict[str, Any]:
    (row,) = [each for each in ledger(folder) if each["identity_name"] == name]
    clocks = answer(capsys, folder, "clocks", "--finding", row["fingerprint"], "--as-of", stamp(BEGIN + (REPLACED + 4) * DAY))["clocks"]
    return next(each for each in clocks if each["clock"] == "rotate")


@pytest.fixture
def plans(programme: Path, tmp_path: Path) -> Iterator[tuple[Path, Journal, dict[str, str]]]:
    """A copy of the programme, its journal of plans, and its keys by name."""
    folder = tmp_path / "copy"
    shutil.copytree(programme, folder)
    with State(f"sqlite:///{folder / 'state.db'}") as held:
        yield folder, Journal(held.engine), {row["identity_name"]: row["subject"] for row in ledger(folder)}


def made(journal: Journal, name: str, days: float, *uids: str, only: tuple[str, ...] = ()) -> None:
    steps = [change(f"off-{number}", uid) for number, uid in enumerate(uids)]
    journal.planned(replace(plan(name, *steps, holdings=tuple(map(holding, uids)), only=only), made_at=BEGIN + days * DAY))


def waited(capsys: pytest.CaptureFixture[str], folder: Path, name: str) -> list[tuple[str, float, float]]:
    """Give the waits of a key's clock to rotate: plan, and from when to when, in days since the first night."""
    pauses = rotate_of(capsys, folder, name)["pauses"]
    assert not any(each["going_on"] for each in pauses)
    return [
        (each["source"], *((datetime.fromisoformat(each[end]) - BEGIN) / DAY for end in ("began", "ended")))
        for each in pauses
    ]  # fmt: skip


def test_nobody_waits_for_what_is_decided_though_nobody_acts_on_it(
    plans: tuple[Path, Journal, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, journal, keys = plans
    for number, (name, answer) in enumerate({f"{PARTNER}-slow": "given", f"{PARTNER}-accepted": "declined"}.items()):
        made(journal, f"plan-{number}", 1.25 + number / 10, keys[name], only=(name,))
        journal.looked(f"plan-{number}", answer, BEGIN + 1.5 * DAY, BEGIN + 1.5 * DAY)  # type: ignore[arg-type]  # one of the two
    made(journal, "plan-9", 2.25, keys["ours"], only=("ours",))
    assert [("plan-0", 1.25, 1.5)] == waited(capsys, folder, f"{PARTNER}-slow")
    assert [("plan-1", 1.35, 1.5)] == waited(capsys, folder, f"{PARTNER}-accepted")
    assert [] == waited(capsys, folder, "ours")  # nobody's partner time: no cap is agreed


def test_an_answer_that_comes_to_light_late_changes_nothing_that_was_told_before(
    plans: tuple[Path, Journal, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, journal, keys = plans
    made(journal, "plan-1", 1.25, keys[f"{PARTNER}-slow"])
    journal.looked("plan-1", None, None, BEGIN + 1.75 * DAY)
    journal.looked("plan-1", "given", BEGIN + 1.5 * DAY, BEGIN + 2 * DAY)
    journal.looked("plan-1", "declined", BEGIN + 1.8 * DAY, BEGIN + 3 * DAY)  # decided is decided
    assert [("plan-1", 1.25, 1.75)] == waited(capsys, folder, f"{PARTNER}-slow")


def test_a_plan_made_in_another_s_place_is_waited_for_by_what_it_takes_only(
    plans: tuple[Path, Journal, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, journal, keys = plans
    slow, other = (keys[f"{PARTNER}-{name}"] for name in ("slow", "accepted"))
    made(journal, "plan-1", 1.25, slow, other)
    made(journal, "plan-2", 1.5, other)
    journal.looked("plan-2", "given", BEGIN + 1.75 * DAY, BEGIN + 1.75 * DAY)
    made(journal, "plan-3", 2.25, slow, other)  # asked anew: what was decided before is another decision
    assert [("plan-1", 1.25, 1.5), ("plan-3", 2.25, 3.25)] == waited(capsys, folder, f"{PARTNER}-slow")
    assert [("plan-1", 1.25, 1.75), ("plan-3", 2.25, 3.25)] == waited(capsys, folder, f"{PARTNER}-accepted")
