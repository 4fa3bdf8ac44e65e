"""The plans that wait for somebody's decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.errors import CountersignError
from countersign.offboarding import folder, process
from countersign.offboarding.journal import Journal
from countersign.register.approvals import may_approve
from countersign.state import State

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme


@dataclass(frozen=True, slots=True)
class Waiting:
    """A plan that waits."""

    plan: Plan
    whom: tuple[str, ...]
    """Ids of those who may approve it and have not."""


def undecided(programme: Programme, now: datetime) -> tuple[tuple[Waiting, ...], tuple[str, ...]]:
    """Return the plans that could be begun at `now` (UTC) if they were approved, and were not declined; and why others cannot be read."""
    found, troubles = [], []
    try:
        plans = folder.plans(programme)
    except CountersignError as error:
        return (), (f"the plans cannot be read: {error.message}",)
    if not plans:
        return (), ()
    with State(programme.state) as state:
        states = Journal(state.engine).states()
    for plan in plans:
        if states.get(plan.id) != "planned" or now >= plan.expires:
            continue
        try:
            decision = process.decision(programme, plan, now)
        except CountersignError as error:
            troubles.append(f"plan {plan.id}: {error.message}")
            continue
        if not decision.holds and not decision.declined:
            may = may_approve(programme.register, plan.control, plan.asked.requested_by)
            found.append(Waiting(plan, tuple(who for who in may if who not in decision.approvers)))
    return tuple(found), tuple(troubles)
