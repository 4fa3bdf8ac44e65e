"""The signed certificate of an offboarding: what was the partner's, what became of each of it, when, who decided, and what is left."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import rfc8785

from countersign import entry, run_evidence
from countersign.clock import stamp
from countersign.evidence import signer, statement
from countersign.evidence.verify import (
    CERTIFICATE,
    CERTIFICATE_TYPE,
    PLAN,
    STATEMENT_TYPE,
    STEPS,
    certificate_state,
    read_certificate,
    scope_id,
    seconds_to_revoke,
    steps_disagreements,
)
from countersign.offboarding.record import CertificateError, Record
from countersign.offboarding.verifying import before
from countersign.report import certificate as page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.offboarding.journal import Debt, Step
    from countersign.offboarding.plan import Plan
    from countersign.offboarding.record import Approved
    from countersign.offboarding.verifying import Row, Verified
    from countersign.programme import Programme
    from countersign.revocation import Change

KIND = "offboard"
HTML = "certificate.html"
_OVER = frozenset({"made", "found"})


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate that was sealed."""

    state: Literal["complete", "incomplete"]
    digest: str
    """Of its statement, `sha256:...`."""
    path: Path
    """The entry's folder, with certificate.dsse.json and certificate.html."""
    sequence: int
    said: Mapping[str, Any]
    """What it says."""


def certify(programme: Programme, plan: Plan, record: Record, verified: Verified, *, clock: Callable[[], datetime]) -> Certified:
    """Make the certificate of a plan, sign it with the evidence key, and seal it with its page, the plan and the steps.

    Raises CertificateError where what is known does not agree, EvidenceError where it cannot be sealed.
    """
    made = certificate(programme, plan, record, verified)
    said = made["predicate"]
    envelope, digest = statement.sign(made, signer.load(programme.evidence.signer))
    files = {CERTIFICATE: envelope, HTML: page.html(made, digest).encode(), PLAN: plan.document()}
    if record.steps_file is not None:
        files[STEPS] = record.steps_file
    about = {
        "partner": plan.asked.partner, "plan": plan.id, "digest": plan.digest(), "phase": plan.asked.phase, "state": said["state"],
        "certificate": digest, "residual": len(said["residual"]),
    }  # fmt: skip
    sealed = entry.seal(programme, KIND, files, about, clock=clock)
    return Certified(said["state"], digest, sealed.path, sealed.sequence, said)


def certificate(programme: Programme, plan: Plan, record: Record, verified: Verified) -> dict[str, Any]:
    """Make the certificate as an in-toto Statement v1 over plan.json and steps.json; nothing is signed or sealed.

    It says `complete` only where nothing is in its residual list. Raises CertificateError where what is known does not agree: what is
    refused by the verifier is never written.
    """
    if plan.asked.phase == "restore":
        raise CertificateError("a plan that gives access back ends nothing", fix="certify the plan that took it away")
    written = json.loads(plan.document(), parse_float=str)
    watch = programme.register.revocation.watch
    steps = [_step(planned, record.steps.get(planned["id"]), plan, watch) for planned in written["steps"]]
    over = tuple(_over(plan, record.steps))
    ended = {uid: at for change, at in sorted(over, key=lambda each: each[1]) for uid in change.takes}
    about, signers = run_evidence.about(programme, verified.at, ()), programme.register.allowed_signers
    said: dict[str, Any] = {
        "customer": {"id": programme.customer, "name": programme.register.customer.name},
        "partner": _partner(programme, plan),
        "plan": _plan(plan),
        "approvals": [_approval(programme, each) for each in record.approvals],
        "brokenGlass": _broken_glass(record.broken_glass),
        "times": {
            "triggered": _said(record.triggered_at), "approved": _said(record.approved_at), "begun": _said(record.begun_at),
            "ended": _said(max((at for _, at in over), default=None)), "verified": stamp(verified.at),
        },
        "scopes": [
            {"source": scope.source, "provider": scope.provider, "scope": scope.scope, "read": scope.why is None, "why": scope.why}
            for scope in verified.scopes
        ],
        "steps": steps,
        "sessions": list(_sessions(over)),
        "holdings": [_holding(row, ended.get(row.holding.uid)) for row in verified.rows],
        "besides": [{"uid": left.uid, "name": left.name, "why": left.why, "advice": left.advice} for left in verified.besides],
        "register": {
            "digest": verified.register, "configuration": about["configurationDigest"],
            "allowedSigners": None if signers is None else hashlib.sha256(signers.encode()).hexdigest(),
        },
        "code": about["code"],
        "ledger": [{"kind": each.kind, "run": each.run, "sequence": each.sequence, "statement": each.statement} for each in record.entries],
    }  # fmt: skip
    said["secondsToRevoke"] = seconds_to_revoke(said)
    said["residual"] = list(_residual(said))
    said["state"] = "incomplete" if any(row["about"] != "session" for row in said["residual"]) else "complete"
    subjects = {PLAN: plan.digest()} | ({} if record.steps_file is None else {STEPS: hashlib.sha256(record.steps_file).hexdigest()})
    made = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(subjects.items())],
        "predicateType": CERTIFICATE_TYPE,
        "predicate": said,
    }
    try:
        read_certificate(statement.canonical(made))
        for problem in () if record.steps_file is None else steps_disagreements(record.steps_file, said):
            raise CertificateError(f"no certificate can be made: {problem}", fix="apply the plan again: it seals what was done")
    except ValueError as error:
        raise CertificateError(f"no certificate can be made: {error}", fix="verify again; if it stays so, report it") from error
    return made


def _partner(programme: Programme, plan: Plan) -> dict[str, Any]:
    found = programme.register.partners.get(plan.asked.partner)
    if found is None:
        return {"id": plan.asked.partner, "name": plan.asked.partner, "contract": None, "ends": None}
    contract = found.contract
    return {
        "id": plan.asked.partner, "name": found.name, "contract": contract.reference,
        "ends": None if contract.ends is None else contract.ends.isoformat(),
    }  # fmt: skip


def _plan(plan: Plan) -> dict[str, Any]:
    asked = plan.asked
    return {
        "id": plan.id, "digest": plan.digest(), "phase": asked.phase, "trigger": asked.trigger, "control": plan.control,
        "requestedBy": asked.requested_by, "reason": asked.reason, "emergency": asked.emergency, "only": list(asked.only),
        "without": [{"uid": uid, "why": why} for uid, why in asked.without], "follows": asked.follows, "madeAt": stamp(plan.made_at),
        "needed": plan.needed, "approvers": list(plan.approvers),
    }  # fmt: skip


def _approval(programme: Programme, each: Approved) -> dict[str, Any]:
    person = programme.register.people.get(each.approver)
    return {
        "approver": each.approver, "name": each.approver if person is None else person.name, "kind": each.kind, "digest": each.digest,
        "key": each.key, "issued": each.issued, "reason": each.reason,
    }  # fmt: skip


def _broken_glass(debt: Debt | None) -> dict[str, Any] | None:
    if debt is None:
        return None
    return {"by": debt.by, "reason": debt.reason, "owedUntil": stamp(debt.owed_until), "settled": debt.settled_at is not None}


def _step(planned: Mapping[str, Any], step: Step | None, plan: Plan, watch: timedelta) -> dict[str, Any]:
    """Say of a step what was planned (as plan.json has it) and what came of it."""
    names = (
        "id",
        "action",
        "says",
        "provider",
        "source",
        "scope",
        "target",
        "name",
        "takes",
        "reversible",
        "writes",
        "looks",
        "before",
        "after",
    )
    outcome = "not made" if step is None or step.state in {"pending", "intended"} else step.state
    over = step is not None and outcome in _OVER
    watched = over and planned["reversible"] and plan.asked.phase == "disable"
    why = "it was never begun" if step is None else step.why
    if step is not None and why is None and not over:
        why = f"taken back by plan {step.undone_by}" if outcome == "undone" else "it is not known to be made"
    return {
        **{name: planned[name] for name in names}, "outcome": outcome, "why": why,
        "seen": None if step is None or step.seen is None else json.loads(rfc8785.dumps(step.seen), parse_float=str),
        "intendedAt": _said(None if step is None else step.intended_at), "writtenAt": _said(None if step is None else step.written_at),
        "verifiedAt": _said(step.verified_at) if step is not None and over else None, "attempts": 0 if step is None else step.attempts,
        "readAs": step and step.reader, "wroteAs": step and step.writer,
        "watchedUntil": _said(step.verified_at + watch) if step is not None and watched and step.verified_at is not None else None,
    }  # fmt: skip


def _over(plan: Plan, steps: Mapping[str, Step]) -> Iterator[tuple[Change, datetime]]:
    """Yield the steps that are made, with when they were seen to be."""
    for change in plan.steps:
        step = steps.get(change.id)
        if step is not None and step.state in _OVER and step.verified_at is not None:
            yield change, step.verified_at


def _sessions(over: Iterable[tuple[Change, datetime]]) -> Iterator[dict[str, Any]]:
    for change, at in over:
        if change.residual is not None:
            seconds = change.residual.seconds
            until = None if seconds is None else stamp(at + timedelta(seconds=seconds))
            yield {"step": change.id, "what": change.residual.what, "seconds": seconds, "until": until}


def _holding(row: Row, ended: datetime | None) -> dict[str, Any]:
    held = row.holding
    proof = None if row.proof is None else before(row.proof, ended)
    return {
        "uid": held.uid, "what": held.what, "kind": held.kind, "provider": held.provider, "source": held.source, "scope": held.scope,
        "identity": held.identity_uid, "name": held.name, "whole": held.whole, "how": held.how, "others": list(held.others),
        "isNew": row.is_new, "verdict": row.verdict, "why": row.why, "advice": row.advice,
        "needed": [change.says for change in row.needed],
        "proof": None if proof is None else {"result": proof.result, "call": proof.call, "said": proof.said, "at": _said(proof.at)},
    }  # fmt: skip


def _residual(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is left over, in the order of `certificate_state`: what, why, until when at most, and who has to act."""
    who, plan = said["plan"]["approvers"], said["plan"]
    holdings = {row["uid"]: row for row in said["holdings"]}
    scopes = {scope_id(row): row for row in said["scopes"]}
    besides = {row["uid"]: row for row in said["besides"]}
    sessions = {row["step"]: row for row in said["sessions"]}
    steps = {row["id"]: row for row in said["steps"]}
    for about, name in certificate_state(said):
        until, act = None, who
        if about == "holding":
            row = holdings[name]
            what, why = f"{row['what']} {row['name']}: {row['verdict']}", f"{row['why']}; {row['advice']}"
        elif about == "scope":
            what, why = f"{scopes[name]['provider']} {scopes[name]['scope']} was not read", f"{scopes[name]['why']}; verify again"
        elif about == "besides":
            what, why = besides[name]["name"], f"{besides[name]['why']}; {besides[name]['advice']}"
        elif about == "session":
            until, act = sessions[name]["until"], [] if sessions[name]["until"] is not None else who
            what, why = f"{steps[name]['name']}: {sessions[name]['what']}", f"it outlives: {steps[name]['says']}"
        elif about == "approval":
            until, what, why = (
                said["brokenGlass"]["owedUntil"],
                "the approval is owed",
                f"the glass was broken by {said['brokenGlass']['by']}",
            )
        else:
            what, why = f"plan {plan['id']} was an emergency", "only what can be taken back was looked for; plan the whole offboarding"
        yield {"about": about, "id": name, "what": what, "why": why, "until": until, "who": act}


def _said(when: datetime | None) -> str | None:
    return None if when is None else stamp(when)
