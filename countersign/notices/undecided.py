"""The plans that wait for somebody's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.offboarding import folder, process
from countersign.offboarding.journal import Journal
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme


def undecided(programme: Programme, now: datetime) -> Iterator[Plan]:
    """Yield the plans that could be begun at `now` (UTC) if they were approved, and were not declined. Raises CountersignError."""
    plans = folder.plans(programme)
    if not plans:
        return
    with State(programme.state) as state:
        states = Journal(state.engine).states()
    for plan in plans:
        if states.get(plan.id) == "planned" and now < plan.expires:
            decision = process.decision(programme, plan, now)
            if not decision.holds and not decision.declined:
                yield plan
