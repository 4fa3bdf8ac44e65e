"""How far each plan on file is, and who has to act."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from countersign.offboarding import folder, process
from countersign.offboarding.journal import Journal
from countersign.state import State

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.offboarding.journal import Debt, PlanState
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme

_OVER = frozenset({"restored", "deleted", "superseded", "expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One plan."""

    plan: str
    partner: str
    phase: str
    trigger: str
    requested_by: str
    steps: int
    made: int
    """How many of them are made."""
    state: str
    made_at: datetime
    expires: datetime
    waits: str | None
    """Who has to do what; None: nobody."""

    def cells(self) -> tuple[object, ...]:
        """Return what a table shows of it."""
        return (self.plan, self.phase, self.requested_by, f"{self.made} of {self.steps}", self.state, self.waits)

    def as_json(self) -> dict[str, object]:
        """Return it as `--json` gives it."""
        return asdict(self)


def rows(programme: Programme, now: datetime, *, every: bool) -> tuple[Row, ...]:
    """Return the plans on file, oldest first; those that are over only where `every` is asked for."""
    with State(programme.state) as state:
        journal = Journal(state.engine)
        states, owed = journal.states(), {debt.plan: debt for debt in journal.debts() if debt.settled_at is None}
        steps = {plan: journal.steps(plan) for plan in states}
    found = []
    for plan in folder.plans(programme):
        held: PlanState = states.get(plan.id, "planned")
        if held == "planned" and plan.expires <= now:
            held = "expired"
        if every or held not in _OVER:
            made = sum(step.state in {"made", "found"} for step in steps.get(plan.id, {}).values())
            waits = _waits(programme, plan, held, owed.get(plan.id), now)
            found.append(_row(plan, held, made, waits))
    return tuple(found)


def _row(plan: Plan, held: PlanState, made: int, waits: str | None) -> Row:
    return Row(
        plan=plan.id, partner=plan.asked.partner, phase=plan.asked.phase, trigger=plan.asked.trigger, requested_by=plan.asked.requested_by,
        steps=len(plan.steps), made=made, state=held, made_at=plan.made_at, expires=plan.expires, waits=waits,
    )  # fmt: skip


def _waits(programme: Programme, plan: Plan, held: PlanState, owed: Debt | None, now: datetime) -> str | None:
    if owed is not None:
        late = " and is late" if owed.owed_until <= now else f" until {owed.owed_until:%Y-%m-%d %H:%M} UTC"
        return f"an approval is owed for {owed.by}'s break-glass{late}"
    if held in {"applying", "incomplete"}:
        return "somebody to start it again: it stopped"
    if held == "planned":
        said = process.decision(programme, plan, now)
        if said.declined:
            return None
        return "somebody to apply it: it is approved" if said.holds else said.refused[-1] if said.refused else "its approval"
    return None
