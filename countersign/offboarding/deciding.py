"""Whether a plan may be begun: what the engine asks of a decision, whoever made it, and of the plan itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from countersign.clock import stamp
from countersign.document import shown
from countersign.offboarding.plan import Plan, PlanError

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.offboarding.journal import PlanState

INTENT = "offboard-begun"
_OVER: dict[PlanState, str] = {
    "applied": "was applied already", "restored": "was applied already, and taken back", "deleted": "was applied already, and what it "
    "switched off is deleted", "expired": "has expired", "superseded": "was superseded",
}  # fmt: skip


class Decision(Protocol):
    """Who approved, and why each other proof does not count."""

    @property
    def approvers(self) -> tuple[str, ...]:
        """Ids of the people whose approval counts."""

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 (hex) of what each of them gave."""

    @property
    def declined(self) -> tuple[str, ...]:
        """Ids of the people who declined; one is enough to stop it."""

    @property
    def decided_at(self) -> datetime | None:
        """When there were enough approvals, or somebody declined (UTC); None: neither, or not known to the second."""

    @property
    def refused(self) -> tuple[str, ...]:
        """One sentence for each proof that does not count, and for what is missing."""

    @property
    def holds(self) -> bool:
        """Whether it is approved."""


def decided(plan: Plan, decision: Decision, used: frozenset[str]) -> Decision:
    """Return the decision where it lets the plan be made. Raises PlanError with all that is missing.

    Beside its own word, it takes as many different people as the plan says, each among those whom the plan names, each with a proof
    that no other plan has `used`.
    """
    wrong = list(decision.refused)
    able = set(decision.approvers) & set(plan.approvers)
    needed = max(1, plan.needed)
    wrong += [f"{shown(who)} is not among those who may approve this plan" for who in sorted(set(decision.approvers) - able)]
    wrong += [f"an approval ({digest[:16]}) was used for another plan" for digest in sorted(set(decision.digests) & used)]
    proved = len(set(decision.digests) - used)
    sound = decision.holds and able == set(decision.approvers) and not used.intersection(decision.digests)
    if sound and min(len(able), proved) >= needed:
        return decision
    who = ", ".join(plan.approvers) or "nobody: the register names nobody who may"
    raise PlanError(
        f"plan {plan.id} is not approved: {min(len(able), proved)} of {needed} approvals count" + "".join(f"; {each}" for each in wrong),
        fix=f"have it approved by {needed} of: {who}",
    )


def check_not_declined(plan: Plan, decision: Decision) -> None:
    """Refuse (PlanError) a plan that somebody of those who decide has declined; no broken glass goes past that."""
    if decision.declined:
        who = ", ".join(map(shown, decision.declined))
        raise PlanError(f"plan {plan.id} was declined by {who}", fix="settle it with them, and make a new plan")


def check_able(plan: Plan, state: tuple[PlanState, str | None], now: datetime) -> None:
    """Refuse (PlanError) a plan that is over, that has expired before it was begun, or that says itself that it must not be applied."""
    held, by = state
    if held in _OVER:
        raise PlanError(f"plan {plan.id} {_OVER[held]}" + (f" by {by}" if by else ""), fix="make a new plan")
    if plan.made_at > now:
        raise PlanError(f"plan {plan.id} was made at a time that is still to come, {stamp(plan.made_at)}", fix="set this machine's clock")
    if held == "planned" and plan.expires <= now:
        raise PlanError(f"plan {plan.id} expired on {stamp(plan.expires)}", fix="make a new plan")
    stops = [f"{noted.said} ({shown(noted.name)})" for noted in plan.noted if noted.level == "stop"]
    if stops:
        raise PlanError(f"plan {plan.id} must not be applied: " + "; ".join(stops), fix="put that right, and make a new plan")
