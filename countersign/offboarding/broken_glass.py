"""Acting before there is an approval: only what can be taken back, by a person who signs for it, and the approval is owed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from countersign import entry
from countersign.approval import ApprovalError, Statement, read_statement, refusal
from countersign.clock import stamp
from countersign.document import shown
from countersign.offboarding import folder
from countersign.offboarding.deciding import INTENT, decided
from countersign.offboarding.journal import Debt, Journal
from countersign.register.rules import side
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from countersign.offboarding.deciding import Decision
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme
    from countersign.revocation import Change

LONGEST = timedelta(days=1)
"""How long the signature of a break-glass may wait for its use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """Somebody of the customer's takes it on themselves to act now."""

    by: str
    """Id of a person of the customer's."""
    reason: str
    statement: bytes
    """What they signed: `words(...).message()`."""
    signature: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of the statement."""
        return hashlib.sha256(self.statement).hexdigest()


def words(plan: Plan, by: str, reason: str, now: datetime) -> Statement:
    """Return the statement that a person signs to break the glass; it approves nothing else, and is no approval."""
    return Statement(
        customer=plan.customer, subject=_subject(plan), digest=plan.digest(), approver=by, issued=now, expires=now + LONGEST, reason=reason,
    )  # fmt: skip


def refused(programme: Programme, plan: Plan, glass: BrokenGlass, at: datetime) -> str | None:
    """Return why the glass may not be broken for this plan at this time; None: it may."""
    register = programme.register
    try:
        said = read_statement(glass.statement)
    except ApprovalError as error:
        return error.message
    if plan.asked.phase != "disable":
        return f"the plan is to {plan.asked.phase}, and only what can be taken back is done without an approval"
    mine = (programme.customer, _subject(plan), plan.digest(), glass.by, glass.reason)
    if (said.customer, said.subject, said.digest, said.approver, said.reason) != mine or not glass.reason.strip():
        return "what was signed is for another plan, or names another person or reason, or none"
    if register.live(glass.by) is None or side(register, glass.by) is not None:
        return f"{shown(glass.by)} is no active person of the customer's"
    if isinstance(said.issued, datetime) and said.issued < plan.made_at:
        return "it was signed before the plan was made"
    return refusal(
        said, glass.signature, allowed_signers=register.allowed_signers, people=register.people, zone=register.customer.timezone, at=at,
        longest=LONGEST,
    )  # fmt: skip


def may_do(change: Change) -> bool:
    """Return whether a step may be made before the approval is there."""
    return change.reversible and change.phase == "disable"


def debt(programme: Programme, plan: Plan, glass: BrokenGlass, now: datetime) -> Debt:
    """Return what is owed from now on."""
    until = now + programme.register.revocation.owed_within
    return Debt(plan.id, plan.asked.partner, glass.by, glass.reason, now, until, None, ())


def debts(programme: Programme) -> tuple[Debt, ...]:
    """Return the approvals that are still owed, oldest first; whether they are overdue is for the reader's clock."""
    with State(programme.state) as state:
        return tuple(owed for owed in Journal(state.engine).debts() if owed.settled_at is None)


def settle_debt(
    programme: Programme,
    plan: Plan,
    decide: Callable[[Plan, datetime], Decision],
    *,
    clock: Callable[[], datetime],
    proofs: Mapping[str, bytes] | None = None,
) -> bool:
    """Take the approval that is owed for a plan and seal it; nothing is changed at a provider. False: nothing is owed.

    Raises PlanError, saying what is missing, where the approval does not hold; StateBusyError; EvidenceError.
    """
    with State(programme.state) as state, state.lock(f"offboard settle {plan.id} (pid {os.getpid()})", clock(), "offboarding"):
        journal = Journal(state.engine)
        owed = next((owed for owed in journal.debts() if owed.plan == plan.id and owed.settled_at is None), None)
        if owed is None:
            return False
        held = folder.ledger(programme)
        folder.check_sealed(programme, plan, held)
        decision = decided(plan, decide(plan, clock()), journal.used(but=plan.id))
        if folder.latest(held, INTENT, "settles", plan.id) is None:
            said = {
                "partner": plan.asked.partner, "plan": plan.id, "digest": plan.digest(), "phase": plan.asked.phase, "settles": plan.id,
                "approvers": list(decision.approvers), "approvals": list(decision.digests), "owedUntil": stamp(owed.owed_until),
            }  # fmt: skip
            files = dict(folder.proofs(folder.approvals(programme, plan), decision.digests))
            entry.seal(programme, INTENT, {folder.FILE: plan.document(), **files, **(proofs or {})}, said, clock=clock)
        return journal.settle(plan.id, decision.digests, decision.approvers, clock())


def _subject(plan: Plan) -> str:
    return f"break-glass/{plan.id}"
