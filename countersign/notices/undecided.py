"""The plans that wait for somebody's decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.offboarding import process
from countersign.register.approvals import may_approve

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


def undecided(programme: Programme, now: datetime, *, note: bool = False) -> tuple[tuple[Waiting, ...], tuple[str, ...]]:
    """Return the plans that could be begun at `now` (UTC) if they were approved, and were not declined; and why others cannot be read.

    `note`: put on file what is decided (`process.look_at_waiting`).
    """
    found, troubles = process.look_at_waiting(programme, now, note=note)
    waiting = []
    for plan, decision in found:
        if not decision.holds and not decision.declined:
            may = may_approve(programme.register, plan.control, plan.asked.requested_by)
            waiting.append(Waiting(plan, tuple(who for who in may if who not in decision.approvers)))
    return tuple(waiting), troubles
