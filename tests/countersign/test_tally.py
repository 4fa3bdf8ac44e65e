from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.identity import Observation
from countersign.tally import GONE, Tally

START = datetime(2026, 11, 22, 3, tzinfo=UTC)


@dataclass
class Clock:
    """A minute later at each look."""

    looks: int = field(default=-1)

    def __call__(self) -> datetime:
        self.looks += 1
        return START + timedelta(minutes=self.looks)


def tally(**more: Any) -> Tally:
    said = {"source": "prod", "provider": "vault", "scope": "prod/team", "operation": "LIST roles", "covers": ("role",), "caller": "reader"}
    return Tally(**{**said, "now": Clock(), **more})


REASONS = st.sampled_from(["no id", "listed twice", "403 denied", "429 busy", "x" * 10_000, "<b>", "\x1b[31m"])
TIMES = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answered"), TIMES),
        st.tuples(st.just("gone")),
        st.tuples(st.sampled_from(["leave_out", "drop", "gap"]), REASONS, TIMES),
        st.tuples(st.just("refuse"), REASONS, st.booleans()),
    ),
    max_size=12,
)
Steps = list[tuple[Any, ...]]


def run(steps: Steps) -> Tally:
    one = tally()
    for name, *values in steps:
        if name == "refuse":
            one.refuse(values[0], denied=values[1])
        else:
            getattr(one, name)(*values)
    return one


def named(steps: Steps, *names: str) -> Steps:
    return [step for step in steps if step[0] in names]


@given(STEPS)
def test_it_is_complete_just_when_nothing_was_refused_lost_or_missing(steps: Steps) -> None:
    missing = named(steps, "refuse") or [step for step in named(steps, "drop", "gap") if step[2]]
    one = run(steps)
    assert (not missing, not missing) == (one.state == "complete", one.why is None)
    assert bool(missing) == bool(one.coverage().error)


@given(STEPS)
def test_what_is_missing_is_partial_with_an_answer_and_denied_only_where_every_call_was(steps: Steps) -> None:
    state, refusals = run(steps).state, named(steps, "refuse")
    answered = bool(named(steps, "answered", "gone"))
    assert (state == "partial") == (answered and state != "complete")
    assert (state == "denied") == (not answered and bool(refusals) and all(denied for _, _, denied in refusals))


@given(STEPS)
def test_the_counts_add_up_in_any_order(steps: Steps) -> None:
    row, back = run(steps).coverage(), run(steps[::-1]).coverage()
    assert (len(named(steps, "answered", "gone")), sum(rows for _, rows in named(steps, "answered"))) == (row.pages, row.rows)
    lost = sum(rows for _, _, rows in named(steps, "drop", "leave_out"))
    assert lost + len(named(steps, "gone")) == sum(row.dropped.values())
    assert 0 not in row.dropped.values()
    assert (row.state, row.pages, row.rows, row.dropped) == (back.state, back.pages, back.rows, back.dropped)


def test_the_error_says_refusals_before_gaps_the_most_frequent_first_and_how_many_more() -> None:
    one = tally(note="beta")
    assert "beta" == one.coverage().error
    one.drop("no id", 1_200)
    one.refuse("404 gone wrong")
    one.refuse("429 busy")
    one.refuse("429 busy")
    assert "429 busy (2 times); 404 gone wrong; left out: no id (1,200 times)" == one.coverage().error
    assert "LIST roles: 404 gone wrong" == one.why
    one.gap("the last page is missing")
    one.gap("a state that is not known")
    assert "429 busy (2 times); 404 gone wrong; left out: no id (1,200 times); and 2 more reasons" == one.coverage().error


def test_a_row_says_all_that_was_counted_and_when() -> None:
    one = tally()
    one.answered(3)
    one.leave_out("own session")
    one.independent_count = 3
    row = one.coverage()
    assert ("prod", "vault", "prod/team", "LIST roles", ("role",)) == (row.source, row.provider, row.scope, row.operation, row.covers)
    assert ("complete", 1, 3, {"own session": 1}, 3, None) == (
        row.state, row.pages, row.rows, row.dropped, row.independent_count, row.error,
    )  # fmt: skip
    # The last answer is what ends an operation, however much later its row is asked for.
    assert (START, START + timedelta(minutes=1)) == (row.started, row.finished)
    one.leave_out("own session")
    assert {"own session": 1} == row.dropped


@pytest.mark.parametrize(("call", "used"), [("answered", True), ("gone", True), ("left out", False), ("refused", True)])
def test_it_is_used_once_a_call_was_made(call: str, used: bool) -> None:  # noqa: FBT001 -- a case of the table
    one = tally()
    assert not one.used
    {"answered": one.answered, "gone": one.gone, "left out": lambda: one.leave_out("all"), "refused": lambda: one.refuse("403")}[call]()
    assert used == one.used


def test_what_is_gone_since_it_was_listed_is_an_answer_and_nothing_is_missing() -> None:
    one = tally()
    one.gone()
    assert ("complete", 1, 0, {GONE: 1}) == (one.state, one.pages, one.rows, one.coverage().dropped)


def test_an_observation_is_of_the_last_page_unless_it_says_another() -> None:
    one = tally()
    one.answered(2)
    one.answered(1)
    seen = one.observe(iter([{"id": "a"}]), parameters={"pageSize": 2})
    assert seen == Observation(
        source="prod", scope="prod/team", operation="LIST roles", parameters={"pageSize": 2}, page=2, at=START + timedelta(minutes=3),
        caller="reader", items=({"id": "a"},),
    )  # fmt: skip
    assert (1, {}) == ((again := one.observe((), page=1)).page, again.parameters)
