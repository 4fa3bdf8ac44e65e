"""The accountability compiler: every rule that a register must keep, each with file, line, a plain sentence and the fix."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from countersign.document import meant, shown
from countersign.errors import Problem, Where
from countersign.register import controls, exceptions, incidents, partners, signers, workloads
from countersign.register.policy import looser, register_subject
from countersign.register.records import DEFAULT_CONTROL
from countersign.register.rules import Fault, mail_domain, partner_at, unknown_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from countersign.register.policy import Looser
    from countersign.register.records import EntryKind, Person, Register, RegisteredException

_EXCEPTION_RULES = {
    "exception-control": "An exception is from a control that is judged and registered.",
    "exception-subject": "An exception for an entry of the register is for one that is there.",
    "exception-names": "Everybody named in an exception exists in the register.",
    "exception-approver": "An exception is approved by another active customer person than its requester, accountable for the control.",
    "exception-requester": "An exception says who requested it.",
    "exception-expired": "An exception has not expired.",
    "exception-reason": "An exception says why.",
    "exception-compensating-control": "An exception says what protects in the meantime.",
    "exception-exit-criteria": "An exception says what must happen for it to end.",
    "exception-approved-on": "An approval has a day that has come.",
    "exception-span": "An exception holds no longer than the customer allows.",
    "exception-renewal": "A renewal prolongs an exception of the same control and subject, and not more often than the customer allows.",
    "exception-signature": "An approval is signed by the approver, where the register says whose key is whose.",
}
RULES = {
    "name-clash": "A name stands for one person, partner or team only.",
    "unknown-name": "Everybody named in the register exists in it.",
    "person-mailbox": "Each active person has a mailbox of their own, and none at a partner.",
    **controls.RULES,
    **partners.RULES,
    **workloads.RULES,
    "policy-looser": "A partner or a workload tightens the customer's limits; a looser one needs an exception.",
    "policy-environments": "A scope is in one environment.",
    **_EXCEPTION_RULES,
    **incidents.RULES,
    **signers.RULES,
    "evidence-key": "The key that signs evidence lies where no partner works.",
}
"""Rule to what it demands. Their problems bear these names for good: findings and documents refer to them."""

_CONTROLS = {
    "register-names": ("name-clash", "unknown-name", "unknown-control", "person-mailbox", *incidents.RULES, *signers.RULES),
    "register-owners": ("owner-business", "owner-technical", "owner-operational", "fallback"),
    "register-raci": ("raci-step", "raci-responsible", "raci-accountable"),
    "register-answers": (
        "answer-approves", "answer-implements", "answer-monitors", "answer-revokes", "partner-approves-own-work",
        "partner-monitors-own-work", "evidence-key",
    ),
    "register-slas": ("slas",),
    "register-contract": ("contract-dates", "contract-retention", "contract-notification", "contract-evidence-access"),
    "register-workload": ("workload-owner", "workload-purpose", "workload-expiry", "workload-identities", "workload-review"),
    "register-policy": ("policy-looser", "policy-environments", "workload-environment"),
    "register-footprint": ("footprint-clash",),
}  # fmt: skip
_CONTROL_OF = {rule: control for control, rules in _CONTROLS.items() for rule in rules}


class Broken(NamedTuple):
    """A broken rule, and the entry that breaks it."""

    kind: EntryKind
    entry: str
    fault: Fault


def control_of(rule: str) -> str:
    """Return the control that finds a broken rule in each run; raises KeyError for what is no rule."""
    return "exception-invalid" if rule.startswith("exception-") else _CONTROL_OF[rule]


def check(
    register: Register, today: date, *, signer: str | None = None, known_controls: Collection[str] | None = None
) -> tuple[Problem, ...]:
    """Return every broken rule, in the order of files and lines; empty when the register holds.

    `today` is the day of the customer's calendar. `signer` is the evidence signer of `countersign.yaml`, and
    `known_controls` the ids of the controls that are judged; what is None is not checked.
    """
    problems = [
        Problem(_where(register, kind, entry, fault), fault.field, fault.message, fault.fix, fault.rule)
        for kind, entry, fault in faults(register, today, signer=signer, known_controls=known_controls)
    ]
    return tuple(sorted(problems, key=lambda problem: (problem.rule != "evidence-key", problem.where.file, problem.where.line or 0)))


def notes(register: Register, today: date, *, known_controls: Collection[str]) -> tuple[Problem, ...]:
    """Return what breaks no rule and should be known all the same, such as controls that nobody answers for, or a request for an exception.

    `today` is the day of the customer's calendar, `known_controls` the ids of the controls that are judged.
    """
    found = []
    alone = [control for control in sorted(known_controls) if register.control(control) is None]
    if alone:
        named = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")  # noqa: PLR2004 - as many as are named
        what = "1 judged control has no entry" if len(alone) == 1 else f"{len(alone)} judged controls have no entry"
        message = f"{what}, so nobody answers for what fails them: {named}"
        fix = f"add register/controls/default.yaml with `control: {DEFAULT_CONTROL}` for all of them, or a file for each"
        found.append(Problem(Where("register/controls"), "", message, fix, "no-entry"))
    for entry in register.exceptions.values():
        for fault in exceptions.notes(register, entry, today):
            place = register.where("exception", entry.exception, fault.field)
            found.append(Problem(place, fault.field, fault.message, fault.fix, fault.rule))
        if exceptions.standing(register, entry, today).state == "requested":
            message = f"the exception from {entry.control} is only requested, and excepts nothing"
            fix = "have somebody accountable for the control approve it, or delete it"
            found.append(Problem(register.where("exception", entry.exception), "approved_by", message, fix, "exception-requested"))
    return tuple(found)


def faults(
    register: Register, today: date, *, signer: str | None = None, known_controls: Collection[str] | None = None
) -> Iterator[Broken]:
    """Yield every broken rule with the entry that breaks it; the arguments are those of `check`."""
    customer = register.customer.id
    end = register.end_of(today) - timedelta(microseconds=1)
    loose: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for limit in looser(register, end):
        loose[limit.kind, limit.entry].append(_looser(register, limit))
    yield from _of("customer", customer, _names(register))
    yield from _of("customer", customer, _environments(register))
    yield from _of("customer", customer, signers.faults(register))
    yield from _of("customer", customer, _signer(register, signer))
    mailboxes = _mailboxes(register)
    for person in register.people.values():
        yield from _of("person", person.id, _person(register, person, mailboxes))
    claimed = partners.claims(register)
    for partner in register.partners.values():
        yield from _of("partner", partner.id, partners.faults(partner, claimed))
        yield from _of("partner", partner.id, loose["partner", partner.id])
    for control in register.controls.values():
        yield from _of("control", control.control, controls.faults(register, control, known_controls, today))
    listed = workloads.patterns(register)
    for workload in register.workloads.values():
        yield from _of("workload", workload.workload, workloads.faults(register, workload, listed, today))
        yield from _of("workload", workload.workload, loose["workload", workload.workload])
    subjects = _subjects(register)
    for exception in register.exceptions.values():
        yield from _of("exception", exception.exception, _exception(register, exception, subjects, known_controls, today))
    for incident in register.incidents.values():
        yield from _of("incident", incident.incident, incidents.faults(register, incident, end))


def _of(kind: EntryKind, entry: str, found: Iterable[Fault]) -> Iterator[Broken]:
    yield from (Broken(kind, entry, fault) for fault in found)


def _where(register: Register, kind: EntryKind, entry: str, fault: Fault) -> Where:
    if fault.rule in signers.RULES:
        return Where("register/allowed_signers", int(fault.field.rpartition(".")[2]))
    return Where("countersign.yaml") if fault.rule == "evidence-key" else register.where(kind, entry, fault.field)


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


def _environments(register: Register) -> Iterator[Fault]:
    placed: dict[str, str] = {}
    for name, environment in register.policies.environments.items():
        for index, scope in enumerate(environment.scopes):
            other = placed.setdefault(scope, name)
            if other != name:
                field = f"policies.environments.{name}.scopes.{index}"
                yield Fault(
                    "policy-environments", field, f"{shown(scope)} is in environment {shown(other)} as well", "leave it in one of the two"
                )


def _mailboxes(register: Register) -> Mapping[str, tuple[str, ...]]:
    """Return the active people behind each mailbox."""
    found: dict[str, tuple[str, ...]] = {}
    for person in register.people.values():
        if person.active and mail_domain(person.email) is not None:
            address = str(person.email).strip().lower()
            found[address] = (*found.get(address, ()), person.id)
    return found


def _person(register: Register, person: Person, mailboxes: Mapping[str, tuple[str, ...]]) -> Iterator[Fault]:
    if not person.active:
        return
    others = [other for other in mailboxes.get((person.email or "").strip().lower(), ()) if other != person.id]
    if others:
        message = f"{shown(person.id)} has the same mailbox as {shown(others[0])}, and may be the same person"
        yield Fault("person-mailbox", "email", message, "give each person one entry and their own address")
    partner = partner_at(register, person.email)
    if partner is not None:
        message = f"{shown(person.id)} has a mailbox at partner {shown(partner)}, and is listed as the customer's"
        fix = f"name them as {partner}/{person.id} where a partner's people may stand, or correct the address or the partner's footprint"
        yield Fault("person-mailbox", "email", message, fix)


def _looser(register: Register, limit: Looser) -> Fault:
    message = f"{limit.wanted} is looser than the limit of {limit.allowed}, which stays in force"
    subject = register_subject(register, limit.kind, limit.entry)
    fix = f"set {limit.allowed} or less, or have an exception approved from {limit.control} for {subject}"
    return Fault("policy-looser", limit.field, message, fix)


def _exception(
    register: Register, exception: RegisteredException, subjects: Collection[str], known: Collection[str] | None, today: date
) -> Iterator[Fault]:
    for fault in exceptions.faults(register, exception, today):
        # Whoever an exception names in vain, the exception does not hold: that is its own control's matter.
        yield replace(fault, rule="exception-names") if fault.rule == "unknown-name" else fault
    if known is not None and exception.control not in known and register.control(exception.control) is not None:
        close = meant(exception.control, known)
        fix = "see `countersign findings` or docs/controls.md for the ids" if close is None else f"did you mean `{close}`?"
        yield Fault("exception-control", "control", f"no control called {shown(exception.control)} is judged", fix)
    if exception.subject.startswith("register:") and exception.subject not in subjects:
        fix = f"write it as the finding does: register:{register.customer.id}:partner/..., or workload/..., or control/..."
        yield Fault("exception-subject", "subject", f"the register has no entry {shown(exception.subject)}", fix)


def _subjects(register: Register) -> set[str]:
    """Return the subject id of every entry that an exception can be for."""
    found = {register_subject(register, "customer", register.customer.id)}
    for kind, entries in (
        ("person", register.people), ("partner", register.partners), ("control", register.controls), ("workload", register.workloads),
        ("exception", register.exceptions), ("incident", register.incidents),
    ):  # fmt: skip
        found |= {register_subject(register, kind, entry) for entry in entries}
    return found


def _signer(register: Register, signer: str | None) -> Iterator[Fault]:
    """Refuse a key in a Vault where a partner has identities: whoever runs that Vault can sign, and it may be the partner."""
    if signer is None or not signer.startswith("hv:"):
        return
    for workload in register.workloads.values():
        if workload.partner is not None and any(pattern.startswith("vault:") for pattern in workload.identities):
            message = f"the signing key is kept in Vault, where workload {shown(workload.workload)} of a partner has identities"
            fix = 'keep it where no partner works: `signer: "file:keys/evidence.pem"` or a key service of your own'
            yield Fault("evidence-key", "evidence.signer", message, fix)
            return
