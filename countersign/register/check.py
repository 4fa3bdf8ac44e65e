"""The accountability compiler: every rule that a register must keep, each with file, line, a plain sentence and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.document import meant, shown
from countersign.errors import Problem, Where
from countersign.register import exceptions
from countersign.register.records import STEPS
from countersign.register.rules import Fault, customer_person, known_name, unknown_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import date

    from countersign.register.records import Control, EntryKind, Partner, Register, Step, Workload

RULES = {
    "name-clash": "A name stands for one person, partner or team only.",
    "unknown-name": "Everybody named in the register exists in it.",
    "unknown-control": "A control in the register is one that is judged.",
    "owner-business": "Every control has an active customer person as business owner.",
    "owner-technical": "Every control has an active customer person as technical owner.",
    "owner-operational": "Every control has an operational owner: an active customer person or a partner's person.",
    "raci-step": "Every control says who does what in all four life-cycle steps.",
    "raci-responsible": "Every life-cycle step has somebody who does it.",
    "raci-accountable": "Every life-cycle step has exactly one accountable person, who is an active customer person.",
    "answer-approves": "Every control says which active customer person approves.",
    "answer-implements": "Every control says who implements.",
    "answer-monitors": "Every control says who monitors.",
    "answer-revokes": "Every control says which active customer person revokes.",
    "partner-approves-own-work": "No partner approves what it implements.",
    "partner-monitors-own-work": "No partner alone monitors what it implements.",
    "fallback": "Every control has an active customer person as fallback.",
    "slas": "Every control has service levels for detecting, escalating, rotating and revoking.",
    "contract-dates": "A contract does not end before it starts.",
    "contract-retention": "Every contract says how long evidence is kept.",
    "contract-notification": "Every contract says within what time the partner notifies.",
    "contract-evidence-access": "Every contract gives the customer direct access to evidence.",
    "workload-owner": "Every workload is owned by an active customer person, and so is its backup.",
    "workload-purpose": "Every workload says what it is for.",
    "workload-expiry": "Every workload expires, no later than its partner's contract.",
    "exception-control": "An exception is from a control of the register.",
    "exception-approver": "An exception is approved by another active customer person than its requester, accountable for the control.",
    "exception-requester": "An exception says who requested it.",
    "exception-expired": "An exception has not expired.",
    "exception-reason": "An exception says why.",
    "exception-compensating-control": "An exception says what protects in the meantime.",
    "exception-exit-criteria": "An exception says what must happen for it to end.",
    "evidence-key": "The key that signs evidence lies where no partner works.",
}
"""Rule to what it demands. Their problems bear these names for good: findings and documents refer to them."""


def check(
    register: Register, today: date, *, signer: str | None = None, known_controls: Collection[str] | None = None
) -> tuple[Problem, ...]:
    """Return every broken rule, in the order of files and lines; empty when the register holds.

    `today` is the day of the customer's calendar. `signer` is the evidence signer of `countersign.yaml`, and
    `known_controls` the ids of the controls that are judged; what is None is not checked.
    """
    problems = [
        *_at(register, "customer", register.customer.id, _names(register)),
        *(problem for entry in register.partners.values() for problem in _at(register, "partner", entry.id, _partner(entry))),
        *(
            problem
            for entry in register.controls.values()
            for problem in _at(register, "control", entry.control, _control(register, entry, known_controls))
        ),
        *(
            problem
            for entry in register.workloads.values()
            for problem in _at(register, "workload", entry.workload, _workload(register, entry))
        ),
        *(
            problem
            for entry in register.exceptions.values()
            for problem in _at(register, "exception", entry.exception, exceptions.faults(register, entry, today))
        ),
    ]
    problems.sort(key=lambda problem: (problem.where.file, problem.where.line or 0))
    return (*_signer(register, signer), *problems)


def _at(register: Register, kind: EntryKind, entry_id: str, faults: Iterable[Fault]) -> Iterator[Problem]:
    for fault in faults:
        yield Problem(register.where(kind, entry_id, fault.field), fault.field, fault.message, fault.fix, fault.rule)


def _names(register: Register) -> Iterator[Fault]:
    homes = (("people", set(register.people)), ("partners", set(register.partners)), ("teams", set(register.teams)))
    for index, (home, names) in enumerate(homes):
        for other, others in homes[index + 1 :]:
            for name in sorted(names & others):
                message = f"{shown(name)} is in both {home} and {other}"
                field = f"teams.{name}" if other == "teams" else "people"
                yield Fault("name-clash", field, message, "rename one of the two")
    for partner in register.external_people:
        if partner not in register.partners:
            yield unknown_name("external_people", "partner", partner, register.partners)


def _partner(partner: Partner) -> Iterator[Fault]:
    contract = partner.contract
    if contract.ends is not None and contract.ends < contract.starts:
        yield Fault("contract-dates", "contract.ends", "is before the contract starts", "correct one of the two dates")
    if contract.evidence_retention is None:
        fix = "agree on a period and add `evidence_retention: P7Y`"
        yield Fault("contract-retention", "contract.evidence_retention", "the contract does not say how long evidence is kept", fix)
    if contract.notify_within is None:
        fix = "agree on a time and add `notify_within: PT24H`"
        yield Fault("contract-notification", "contract.notify_within", "the contract does not say when the partner must notify", fix)
    if contract.direct_evidence_access is not True:
        verb = "does not say whether the customer may read" if contract.direct_evidence_access is None else "does not let the customer read"
        fix = "agree on access and set `direct_evidence_access: true`"
        yield Fault("contract-evidence-access", "contract.direct_evidence_access", f"the contract {verb} the evidence itself", fix)


def _control(register: Register, control: Control, known: Collection[str] | None) -> Iterator[Fault]:
    if known is not None and control.control not in known:
        close = meant(control.control, known)
        fix = "see `countersign findings` or docs/controls.md for the ids" if close is None else f"did you mean `{close}`?"
        yield Fault("unknown-control", "control", f"no control called {shown(control.control)} is judged", fix)
    owners = control.owners
    yield from customer_person(register, "owner-business", "owners.business", owners.business, "the business owner")
    yield from customer_person(register, "owner-technical", "owners.technical", owners.technical, "the technical owner")
    yield from _operational(register, owners.operational)
    yield from _answers(register, control)
    for name in STEPS:
        step: Step | None = getattr(control.raci, name)
        if step is None:
            fix = f"add `{name}: {{R: ..., A: ..., C: [], I: []}}`"
            yield Fault("raci-step", f"raci.{name}", f"the life-cycle step {name} is missing", fix)
        else:
            yield from _step(register, f"raci.{name}", step)
    yield from customer_person(register, "fallback", "fallback", control.fallback, "the fallback")
    for name in ("detect", "escalate", "rotate", "revoke"):
        if getattr(control.slas, name) is None:
            yield Fault("slas", f"slas.{name}", f"there is no service level to {name}", f"add `{name}:` with a duration, such as PT24H")


def _operational(register: Register, ref: str | None) -> Iterator[Fault]:
    field = "owners.operational"
    if ref is None:
        yield Fault("owner-operational", field, "there is no operational owner", "name a customer person or a partner's (acme/pavel)")
    elif "/" in ref:
        yield from known_name(register, field, ref)
    else:
        yield from customer_person(register, "owner-operational", field, ref, "the operational owner")


def _answers(register: Register, control: Control) -> Iterator[Fault]:
    answers = control.answers
    maker = register.party(answers.implements)
    if maker is not None and register.party(answers.approves) == maker:
        message = f"partner {shown(maker)} implements the control and approves it"
        yield Fault("partner-approves-own-work", "answers.approves", message, "let a customer person approve")
    else:
        yield from customer_person(register, "answer-approves", "answers.approves", answers.approves, "who approves")
    if answers.implements is None:
        yield Fault("answer-implements", "answers.implements", "nobody is said to implement the control", "name a partner, person or team")
    else:
        yield from known_name(register, "answers.implements", answers.implements)
    if not answers.monitors:
        yield Fault("answer-monitors", "answers.monitors", "nobody is said to monitor the control", "name a person, partner or team")
    elif maker is not None and all(register.party(ref) == maker for ref in answers.monitors):
        message = f"partner {shown(maker)} implements the control and alone monitors it"
        yield Fault("partner-monitors-own-work", "answers.monitors", message, "let the customer or another partner monitor as well")
    for ref in answers.monitors:
        yield from known_name(register, "answers.monitors", ref)
    yield from customer_person(register, "answer-revokes", "answers.revokes", answers.revokes, "who revokes")


def _step(register: Register, field: str, step: Step) -> Iterator[Fault]:
    if step.R is None:
        yield Fault("raci-responsible", f"{field}.R", "nobody is responsible for this step", "add `R:` with a person, partner or team")
    else:
        yield from known_name(register, f"{field}.R", step.R)
    yield from customer_person(register, "raci-accountable", f"{field}.A", step.A, "the accountable person")
    for letter, refs in (("C", step.C), ("I", step.I)):
        for ref in refs:
            yield from known_name(register, f"{field}.{letter}", ref)


def _workload(register: Register, workload: Workload) -> Iterator[Fault]:
    partner = register.partners.get(workload.partner or "")
    if workload.partner is not None and partner is None:
        yield unknown_name("partner", "partner", workload.partner, register.partners)
    yield from customer_person(register, "workload-owner", "owner", workload.owner, "the owner")
    if workload.backup_owner is not None:
        yield from customer_person(register, "workload-owner", "backup_owner", workload.backup_owner, "the backup owner")
    if workload.purpose is None:
        yield Fault("workload-purpose", "purpose", "it is not said what the workload is for", "add `purpose:` in a few words")
    if workload.expires is None:
        yield Fault("workload-expiry", "expires", "the workload never expires", "add `expires:` with a day up to the contract's end")
    elif partner is not None and partner.contract.ends is not None and workload.expires > partner.contract.ends:
        message = f"the workload expires on {workload.expires}, after the contract of {shown(partner.id)} ends on {partner.contract.ends}"
        yield Fault("workload-expiry", "expires", message, f"set it to {partner.contract.ends} or earlier, or renew the contract")


def _signer(register: Register, signer: str | None) -> Iterator[Problem]:
    """Refuse a key in a Vault where a partner has identities: whoever runs that Vault can sign, and it may be the partner."""
    if signer is None or not signer.startswith("hv:"):
        return
    for workload in register.workloads.values():
        if any(pattern.startswith("vault:") for pattern in workload.identities):
            message = f"the signing key is kept in Vault, where workload {shown(workload.workload)} of a partner has identities"
            fix = 'keep it where no partner works: `signer: "file:keys/evidence.pem"` or a key service of your own'
            yield Problem(Where("countersign.yaml"), "evidence.signer", message, fix, "evidence-key")
            return
