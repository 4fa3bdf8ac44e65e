"""A plan in the facts that decide on it, and all that lies on file as an approval of it: beside the plan, and in the register's commits."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from countersign.approval.commit import commits
from countersign.approval.proofs import CommitProof, PlanFacts, SignatureProof, TicketProof
from countersign.clock import stamp
from countersign.offboarding import folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from countersign.approval.proofs import Decision, Proof, Unproved
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme


def facts(plan: Plan) -> PlanFacts:
    """Return what a decision needs to know of a plan."""
    return PlanFacts(
        subject=plan.subject(),
        digest=plan.digest(),
        made_at=plan.made_at,
        expires=plan.expires,
        requested_by=plan.asked.requested_by,
        control=plan.control,
        phase=plan.asked.phase,
        steps=len(plan.steps),
        needed=plan.needed,
    )


def given(programme: Programme, plan: Plan) -> tuple[SignatureProof | CommitProof | Unproved, ...]:
    """Return what lies on file as approvals of a plan, nothing of it checked: signed statements beside it first, then commits."""
    beside = (
        SignatureProof(name=f"{folder.APPROVALS}/{each.name}", statement=each.statement, signature=each.signature)
        for each in folder.approvals(programme, plan)
    )
    return (*beside, *commits(programme.folder / "register", plan.id))


def evidence(proofs: Iterable[Proof], decision: Decision) -> Iterator[tuple[str, bytes]]:
    """Yield the files (path in an entry, content) that show what counted and does not lie beside the plan: commits and tickets."""
    counted = [proof for proof in proofs if proof.name in decision.proofs and isinstance(proof, CommitProof | TicketProof)]
    for number, proof in enumerate(counted, 1):
        if isinstance(proof, TicketProof):
            said = {**asdict(proof), "at": stamp(proof.at)}
            yield f"{folder.APPROVALS}/ticket-{number}.json", json.dumps(said, indent=2, sort_keys=True).encode()
        else:
            yield f"{folder.APPROVALS}/commit-{number}.json", proof.statement
            yield f"{folder.APPROVALS}/commit-{number}.txt", proof.signed
            yield f"{folder.APPROVALS}/commit-{number}.sig", proof.signature.encode()
