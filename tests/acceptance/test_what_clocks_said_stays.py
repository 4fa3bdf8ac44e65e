"""What a clock called met or missed stays so, whatever comes to light, and all that speaks of one due date says the same."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign import scaffold
from countersign.approval import read_statement
from countersign.clocks.replay import replay
from countersign.clocks.story import Event, Story
from countersign.notices.digest import digests
from countersign.notices.rungs import ladders
from countersign.offboarding import folder, process
from countersign.offboarding.journal import Debt, Followed, Journal, Run
from countersign.programme import load
from countersign.state import State
from tests.acceptance.test_clocks_by_an_outsider import DAY, FIRST, HOUR, INSTANT, answer, held, ledger, run, seasons, stamp, story
from tests.countersign.plans_to_approve import planned, programme_folder
from tests.countersign.test_clocks_replay import PARTNER, export, rewrite
from tests.countersign.test_plan_approval import answered, sign_elsewhere
from tests.countersign.test_undertaken import change, holding, make, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.offboarding.plan import Plan

BEGIN = datetime(2026, 10, 5, 1, tzinfo=UTC)  # a Monday
ON = {0: (), 1: ("slow", "waiting", "gone"), 3.5: ("slow", "waiting"), 4.5: ("slow", "waiting")}
"""Day of each night, and whose keys are old on it; they are to be rotated within two days, so by day 3."""
ASKED = 1.25
LAST = max(ON)


# Stories


@st.composite
def tales(draw: st.DrawFn) -> tuple[Story, datetime, datetime]:
    """Draw a finding, plans that ask and answer in any order, and two times; all of it falls together, or misses by an instant."""
    season = draw(seasons)
    events: list[Event] = []
    terms: dict[str, Any] = {}
    stands = excepted = False

    def at(step: int) -> datetime:
        return FIRST[season] + 2 * DAY + step * 6 * HOUR

    for night in sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=9))):
        kind = draw(st.sampled_from(("seen", "seen", "told", "resolved", "excepted", "unobserved")))
        if kind in ("resolved", "unobserved"):
            events += [run(at(night), kind)] * stands
            stands = stands and kind == "unobserved"
            continue
        begins = "excepted" if kind == "excepted" else "reopened" if terms else "new"
        ends = [] if excepted is (kind == "excepted") else ["excepted" if kind == "excepted" else "exception-ended"]
        if not stands:
            terms[run(at(night), "").source] = draw(held(season))
        events += [run(at(night), each) for each in (ends if stands else [begins])]
        events += [run(at(night), each) for each in ("seen", kind) if kind != "excepted"]
        stands, excepted = True, kind == "excepted"
    kinds = st.sampled_from(("asked", "asked", "given", "withdrawn", "taken", "returned"))
    misses = st.sampled_from((timedelta(), timedelta(), INSTANT, -INSTANT))
    for step, miss, kind, number in draw(st.lists(st.tuples(st.integers(0, 64), misses, kinds, st.integers(1, 3)), max_size=10)):
        events.append(Event(at(step) + miss, kind, f"plan-{number}"))
    told = story(*draw(st.permutations(events)), ends_by=draw(st.sampled_from(("rotate", "revoke"))), held=terms)
    dues = [clock.due for clock in replay(told, at(70)) if clock.due is not None]
    near = [st.builds(lambda due, miss: due + miss, st.sampled_from(dues), misses)] if dues else []
    times = st.one_of(st.integers(0, 70).map(at), *near)
    first, second = sorted((draw(times), draw(times)))
    return told, first, second


@settings(max_examples=150, deadline=None)
@given(tales())
def test_what_is_met_or_missed_stays_so_and_what_has_ended_is_settled(tale: tuple[Story, datetime, datetime]) -> None:
    told, first, second = tale
    before, after = replay(told, first), {(each.clock, each.life): each for each in replay(told, second)}
    assert before == replay(replace(told, events=tuple(event for event in told.events if event.at <= first)), first)
    for each in before:
        again = after[each.clock, each.life]
        if each.state in ("met", "missed"):
            assert each.state == again.state
            if each.ended is not None:
                assert each == replace(again, why=each.why)


# Nights


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nights on which keys are old; a plan that would take one of them was made, and waits for a day, which is its cap."""
    home = tmp_path_factory.mktemp("stays") / "northwind"
    scaffold.init(home)
    rewrite(home / "register" / "controls" / "default.yaml", "slas", {"rotate": "P2D"})
    for day, names in ON.items():
        at = BEGIN + day * DAY
        export(home, at, {"fine": at - DAY, **{f"{PARTNER}-{name}": BEGIN - 200 * DAY for name in names}})
        answer(None, home, "reconcile", "--as-of", stamp(at), "--slot", f"day-{day}")
        if day == 1:
            with State(f"sqlite:///{home / 'state.db'}") as state:
                asked(Journal(state.engine), "plan-waiting", ASKED, keys(home)["waiting"])
    return home


def keys(home: Path) -> dict[str, str]:
    return {str(row["identity_name"]).removeprefix(f"{PARTNER}-"): row["subject"] for row in ledger(home)}


@pytest.fixture
def copy(programme: Path, tmp_path: Path) -> Iterator[tuple[Path, Journal]]:
    home = tmp_path / "copy"
    shutil.copytree(programme, home)
    with State(f"sqlite:///{home / 'state.db'}") as state:
        yield home, Journal(state.engine)


def asked(journal: Journal, name: str, day: float, uid: str, **question: Any) -> Plan:
    wanted = replace(plan(name, change("off", uid), holdings=(holding(uid),), only=(uid,), **question), made_at=BEGIN + day * DAY)
    journal.planned(wanted)
    return wanted


def carried_out(journal: Journal, wanted: Plan, day: float, made: float, *, glass: bool = False) -> None:
    """Begin a plan with the approval of that instant, or with none, make its steps, and end."""
    at, until = BEGIN + day * DAY, BEGIN + made * DAY
    begun = Run(
        run=f"run-{wanted.id}", plan=wanted.id, number=1, began_at=at, ended_at=None, state=None, approvers=("maria",), approved_at=None if glass else at,
        broken_glass={"by": "maria"} if glass else None, sequence=None, statement_digest=None,
    )  # fmt: skip
    journal.begin(begun, [wanted.id], Debt(wanted.id, PARTNER, "maria", "at night", at, at + DAY, None, ()) if glass else None)
    for step in wanted.steps:
        make(journal, wanted, step, until)
    follows = wanted.asked.follows
    undone = None if follows is None else Followed(follows, tuple(replace(step, phase="disable").id for step in wanted.steps), "restored")
    journal.finish(begun, "applied", until, (1, "sha256:"), undone)


def rotation(capsys: pytest.CaptureFixture[str], home: Path, name: str, day: float = LAST) -> dict[str, Any]:
    (row,) = [each for each in ledger(home) if each["identity_name"] == f"{PARTNER}-{name}"]
    told = answer(capsys, home, "clocks", "--finding", row["fingerprint"], "--as-of", stamp(BEGIN + day * DAY))["clocks"]
    (clock,) = [each for each in told if each["clock"] == "rotate"]
    return dict(clock)


def on_day(clock: dict[str, Any], what: str) -> float:
    return (datetime.fromisoformat(clock[what]) - BEGIN) / DAY


def test_what_was_taken_in_time_was_taken_in_time_though_it_is_given_back_later(
    copy: tuple[Path, Journal], capsys: pytest.CaptureFixture[str]
) -> None:
    home, journal = copy
    uid = keys(home)["gone"]
    taking = asked(journal, "plan-1", 1.75, uid)
    carried_out(journal, taking, 1.75, 2)
    before = rotation(capsys, home, "gone")
    assert ("met", 2) == (before["state"], on_day(before, "ended"))
    back = replace(
        plan("plan-2", replace(taking.steps[0], phase="restore"), holdings=taking.holdings, phase="restore", follows="plan-1"),
        made_at=BEGIN + 5 * DAY,
    )
    journal.planned(back)
    carried_out(journal, back, 5, 5.25)
    assert before == rotation(capsys, home, "gone")
    assert before == rotation(capsys, home, "gone", 6)


def test_what_was_given_back_before_a_run_looked_was_not_taken(copy: tuple[Path, Journal], capsys: pytest.CaptureFixture[str]) -> None:
    home, journal = copy
    taking = asked(journal, "plan-1", 1.75, keys(home)["gone"])
    carried_out(journal, taking, 1.75, 2)
    back = replace(
        plan("plan-2", replace(taking.steps[0], phase="restore"), holdings=taking.holdings, phase="restore", follows="plan-1"),
        made_at=BEGIN + 2.25 * DAY,
    )
    journal.planned(back)
    carried_out(journal, back, 2.25, 2.5)
    told = rotation(capsys, home, "gone")
    assert ("unknown", 3.5) == (told["state"], on_day(told, "ended"))


def test_an_approval_that_is_found_after_somebody_acted_without_it_does_not_shorten_the_wait(
    copy: tuple[Path, Journal], capsys: pytest.CaptureFixture[str]
) -> None:
    home, journal = copy
    broken = asked(journal, "plan-1", 1.25, keys(home)["gone"])
    carried_out(journal, broken, 1.75, 3.4, glass=True)
    before = rotation(capsys, home, "gone")
    assert ("met", 3.4, 3.5) == (before["state"], on_day(before, "ended"), on_day(before, "due"))
    journal.looked("plan-1", "given", BEGIN + 1.5 * DAY, BEGIN + 5 * DAY)
    assert before == rotation(capsys, home, "gone")


def test_a_plan_that_is_made_anew_renames_no_wait_that_is_over(copy: tuple[Path, Journal], capsys: pytest.CaptureFixture[str]) -> None:
    home, journal = copy
    asked(journal, "plan-1", 1.25, keys(home)["gone"])
    before = rotation(capsys, home, "gone")
    assert ["plan-1"] == [pause["source"] for pause in before["pauses"]]
    asked(journal, "plan-2", 5, keys(home)["gone"])
    assert before == rotation(capsys, home, "gone")


def test_what_was_approved_is_known_before_a_plan_takes_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = programme_folder(tmp_path / "programme")
    first = planned(home)
    signature = sign_elsewhere(home, first, "business-owner", "maria", capsys)
    statement = signature.with_suffix("")
    folder.take(load(home), first, signature.rename(statement.with_suffix(".sig")).with_suffix(statement.suffix))
    now = datetime.now(UTC)
    process.keep(load(home), replace(first, id="example-partner-anew", made_at=now.replace(microsecond=0)), clock=lambda: now)
    assert ("given", read_statement(statement.read_bytes()).issued) == answered(home)


# One story of one due date


@pytest.mark.parametrize(("day", "late"), [(3.5, {"slow"}), (4.5, {"slow", "waiting"})])
def test_a_wait_moves_the_time_of_the_clock_and_nothing_that_people_are_told(
    programme: Path, capsys: pytest.CaptureFixture[str], day: float, late: set[str]
) -> None:
    at = BEGIN + day * DAY
    with State(f"sqlite:///{programme / 'state.db'}") as state:
        night = next(each.run for each in state.runs() if each.as_of == at)
    rows = answer(capsys, programme, "findings", "--run", night)
    names = {f"{PARTNER}-{name}" for name in late}
    old = [row for row in rows if row["control"] == "rotation-age" and row["state"] == "open"]
    said = {row["subject"].rpartition("/")[2] for row in rows if row["control"] == "sla-rotate" and row["state"] == "open"}
    assert names == {row["identity_name"] for row in old if row["fingerprint"] in said}
    clocks = answer(capsys, programme, "clocks", "--late", "--control", "rotation-age", "--as-of", stamp(at))
    assert names == {row["identity_name"] for row in clocks}
    due = BEGIN + 3 * DAY
    assert {stamp(due)} == {row["due"] for row in old}
    reached = [each for each in ladders(load(programme), at).reached if (each.control, each.clock) == ("rotation-age", "rotate")]
    assert [(due, 2, 100 if day < 4 else 150)] == [(each.due, each.count, each.percent) for each in reached]
    overdue = [row for each in digests(load(programme), at) for row in each.overdue if row.control == "rotation-age"]
    assert [(2, due)] == [(row.open, row.due) for row in overdue]


def test_nothing_calls_late_what_is_due_at_this_very_instant(programme: Path) -> None:
    due = BEGIN + 3 * DAY
    for at, percent, late in ((due - INSTANT, 75, False), (due, 100, False), (due + INSTANT, 100, True)):
        (reached,) = [each for each in ladders(load(programme), at).reached if (each.control, each.clock) == ("rotation-age", "rotate")]
        rows = [row for each in digests(load(programme), at) for row in each.overdue if row.control == "rotation-age"]
        assert (percent, late) == (reached.percent, bool(rows))


def test_a_scorecard_counts_what_each_finding_s_own_clocks_say(programme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--as-of", stamp(BEGIN + 4.75 * DAY)]
    counted: Counter[tuple[str, str]] = Counter()
    late = set()
    with State(f"sqlite:///{programme / 'state.db'}") as state:
        found = [row.finding for row in state.findings(partner=PARTNER)]
    for finding in found:
        if finding.control.startswith(("sla-", "drill-", "approval-")):
            continue
        for clock in answer(capsys, programme, "clocks", "--finding", finding.fingerprint, *at)["clocks"]:
            counted[clock["clock"], clock["state"] if clock["agreed_seconds"] is not None else "not_agreed"] += 1
            late |= {finding.fingerprint} if clock["late"] else set()
    (card,) = answer(capsys, programme, "scorecard", PARTNER, *at)["partners"]
    states = ("met", "missed", "running", "unknown", "not_agreed")
    assert counted == Counter({(name, state): said[state] for name, said in card["clocks"].items() for state in states if said[state]})
    assert len(late) == card["overdue"]
    assert {"met", "missed", "unknown"} <= {state for _, state in counted}
