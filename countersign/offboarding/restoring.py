"""Plans how to take back what a plan has switched off: its made steps turned round, the newest first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from countersign.offboarding.journal import Journal
from countersign.offboarding.plan import Asked, Plan, PlanError
from countersign.revocation import Left
from countersign.state import State

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.offboarding.journal import Step
    from countersign.programme import Programme
    from countersign.revocation import Change


def restore(  # noqa: PLR0913 - what is taken back, and what every plan says of itself
    programme: Programme,
    origin: Plan,
    *,
    plan_id: str,
    requested_by: str,
    reason: str,
    approvers: tuple[str, ...],
    needed: int,
    now: datetime,
    steps: tuple[str, ...] = (),
) -> Plan:
    """Return the plan that restores what `origin` changed, as it was seen right before; `steps`: only these of its steps, by id.

    What was made and cannot be taken back, or may have been made, stands under `left`. Raises PlanError when nothing can be restored.
    """
    with State(programme.state) as state:
        journal = Journal(state.engine).steps(origin.id)
    unknown = sorted(set(steps) - {change.id for change in origin.steps})
    if unknown:
        raise PlanError(f"plan {origin.id} has no step {unknown[0]}", fix="name steps by the ids in its plan.json")
    asked = [(change, journal[change.id]) for change in origin.steps if change.id in journal and (not steps or change.id in steps)]
    back = [(change, step) for change, step in asked if step.state == "made" and change.reversible]
    if not back:
        raise PlanError(
            f"plan {origin.id} has made nothing that can be taken back",
            fix="`countersign offboard status --all` shows how far each plan came",
        )
    back.sort(key=lambda pair: (pair[1].verified_at or pair[1].intended_at or now, origin.steps.index(pair[0])), reverse=True)
    return Plan(
        id=plan_id,
        customer=programme.customer,
        asked=Asked(
            partner=origin.asked.partner, phase="restore", trigger=origin.asked.trigger, requested_by=requested_by, reason=reason,
            follows=origin.id, steps=steps,
        ),
        made_at=now,
        register=programme.register.digest,
        steps=tuple(_undone(change, step) for change, step in back),
        left=tuple(_left(change, why) for change, step in asked if (why := _why_not(change, step)) is not None),
        undecided=(),
        unread=(),
        holdings=origin.holdings,
        noted=(),
        approvers=approvers,
        needed=needed,
        context={},
    )  # fmt: skip


def _undone(change: Change, step: Step) -> Change:
    return replace(change.undone(), after=change.before if step.pre_image is None else step.pre_image)


def _why_not(change: Change, step: Step) -> str | None:
    if step.state == "made":
        return None if change.reversible else "it cannot be taken back"
    if step.state == "found":
        return "it was so when its turn came, so it is not this plan's to take back"
    return "it may have been made, and nobody has seen it since" if step.may_be_made else None


def _left(change: Change, why: str) -> Left:
    return Left(change.target, change.name, f"{change.says}: {why}", "look at it in the provider's console")
