"""Whether a plan is approved: by people of the customer's who are accountable for it, each by a proof of their own, today."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from countersign.approval import LONGEST, ApprovalError, begin, out_of_time, read_statement, unsigned
from countersign.approval.commit import GIT
from countersign.approval.proofs import CommitProof, Decision, SignatureProof, TicketProof, Unproved
from countersign.clock import days, stamp
from countersign.document import shown
from countersign.register.exceptions import accountable, same_person
from countersign.register.rules import side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from countersign.approval import Statement
    from countersign.approval.proofs import Choice, PlanFacts, Proof
    from countersign.register.records import Register

DELETION = 2
"""How many approvers a deletion takes, and a plan that is large by the register's rules."""
LOCAL = "local"
"""The desk that is a file of ours: whoever has the file can write its history, so it proves nothing."""
_CHOICES = ("approve", "decline")


@dataclass(frozen=True, slots=True)
class _Given:
    """A decision by a person, proved."""

    person: str
    choice: Choice
    digest: str
    key: bytes | None
    """Public key that signed it; None: it is a ticket's."""
    name: str
    at: datetime | None
    """None: it says the day only."""


def decide(plan: PlanFacts, proofs: Sequence[Proof], register: Register, *, at: datetime, used: AbstractSet[str] = frozenset()) -> Decision:
    """Say who approved a plan, and of every other proof why it does not count.

    People, keys and the register are those of `at` (UTC, the present): an approval that was dated back by somebody who has left since
    is none. `used`: digests of proofs that approved something before, without those by which this very plan was begun.
    """
    demanded = needed(plan, register)
    approved: list[_Given] = []
    declined: dict[str, str] = {}
    against: list[_Given] = []
    refused: list[str] = []
    for proof, late in _in_order(proofs):
        given = late or _given(plan, proof, register, at)
        if isinstance(given, str):
            refused.append(f"{_told(proof.name)}: {given}")
        elif given.choice == "decline":
            against.append(given)
            declined.setdefault(given.person, f"{_told(proof.name)}: {shown(given.person)} declined")
        elif given.digest in used:
            refused.append(f"{_told(proof.name)}: it was used already, and counts once")
        elif (again := _again(given, approved, register)) is not None:
            refused.append(f"{_told(proof.name)}: {again}")
        else:
            approved.append(given)
    if declined:
        stopped = _when(against, 1)
        return Decision(needed=demanded, declined=tuple(declined), refused=(*refused, *declined.values()), decided_at=stopped)
    if len(approved) < demanded:
        refused.append(_missing(plan, register, demanded, tuple(given.person for given in approved)))
    return Decision(
        needed=demanded,
        approvers=tuple(given.person for given in approved),
        digests=tuple(given.digest for given in approved),
        proofs=tuple(given.name for given in approved),
        refused=tuple(refused),
        decided_at=_when(approved, demanded),
    )


def needed(plan: PlanFacts, register: Register) -> int:
    """Return how many different people it takes: what the plan says, and at least what the register's rules of today say."""
    more = plan.phase == "delete" or plan.steps > register.revocation.large
    return max(plan.needed, DELETION if more else 1)


def may_approve(register: Register, control: str, requested_by: str) -> tuple[str, ...]:
    """Return the ids of those who may approve what somebody asked for: accountable for its control, active, the customer's, and others."""
    return tuple(
        person
        for person in accountable(register, control)
        if _person(register, person) is None and not same_person(register, person, requested_by)
    )


def objection(plan: PlanFacts, statement: Statement, register: Register, *, at: datetime) -> str | None:
    """Say why a statement does not decide on a plan, whoever signs it; None: with its approver's signature it does.

    Whether the approver decided before is left aside.
    """
    choice: Choice = "decline" if statement.decision == "decline" else "approve"
    zone = register.customer.timezone
    begins = begin(statement.issued, zone)
    against = _first(
        (at >= plan.expires, f"the plan expired on {stamp(plan.expires)}"),
        (statement.customer != register.customer.id, f"it is for another customer, {shown(statement.customer)}"),
        (statement.subject != plan.subject, f"it is for another plan, {shown(statement.subject)}"),
        (statement.digest != plan.digest, "it is for another version of the plan"),
        (statement.decision not in _CHOICES, f"{shown(statement.decision)} is no decision; it must be approve or decline"),
        (begins < plan.made_at, "it was issued before the plan was made"),
    )
    # What was declined stays declined: the end of its time does not matter.
    timely = out_of_time(statement, zone, at) if choice == "approve" or begins > at else None
    return against or timely or _decider(plan, statement.approver, register, choice)


def _given(plan: PlanFacts, proof: Proof, register: Register, at: datetime) -> _Given | str:
    if isinstance(proof, Unproved):
        return proof.why
    if isinstance(proof, TicketProof):
        return _by_ticket(plan, proof, register, at)
    return _by_statement(plan, proof, register, at)


def _by_statement(plan: PlanFacts, proof: SignatureProof | CommitProof, register: Register, at: datetime) -> _Given | str:
    from countersign.approval import sshsig  # not before it is needed: it loads `cryptography`

    try:
        statement = read_statement(proof.statement)
    except ApprovalError as error:
        return error.message
    against = objection(plan, statement, register, at=at)
    if against is not None:
        return against
    message, purpose = (proof.signed, {"namespace": GIT}) if isinstance(proof, CommitProof) else (proof.statement, {})
    against = unsigned(
        message,
        proof.signature,
        register.people[statement.approver],
        allowed_signers=register.allowed_signers,
        zone=register.customer.timezone,
        at=at,
        **purpose,
    )
    if against is not None:
        return against
    key = sshsig.read(proof.signature).key
    choice: Choice = "decline" if statement.decision == "decline" else "approve"
    at_second = statement.issued if isinstance(statement.issued, datetime) else None
    return _Given(statement.approver, choice, hashlib.sha256(proof.statement).hexdigest(), key, proof.name, at_second)


def _by_ticket(plan: PlanFacts, proof: TicketProof, register: Register, at: datetime) -> _Given | str:
    people = [person.id for person in register.people.values() if person.accounts.get(proof.desk) == proof.actor]
    choice: Choice = "decline" if proof.choice == "decline" else "approve"
    whose = "more than one person's" if people else "nobody's"
    against = _first(
        (at >= plan.expires, f"the plan expired on {stamp(plan.expires)}"),
        (proof.desk == LOCAL, "the local desk proves nothing: whoever has its file can write its history"),
        (proof.made_by != proof.ourselves, f"the ticket was made by {shown(proof.made_by)}, not by us, so it may say anything"),
        (proof.stated != plan.digest, "the ticket does not state this plan's digest"),
        (proof.choice not in _CHOICES, f"its state {shown(proof.becomes)} stands for no decision"),
        (proof.actor == proof.ourselves, "our own account moved the ticket, which decides nothing"),
        (len(people) != 1, f"the account {shown(proof.actor)} at {shown(proof.desk)} is {whose} in customer.yaml"),
        (proof.at > at, f"the ticket was moved at a time that is still to come, {stamp(proof.at)}"),
        (proof.at < plan.made_at, "the ticket was moved before the plan was made"),
        (choice == "approve" and at - proof.at >= LONGEST, f"the ticket was moved more than {days(LONGEST)} ago"),
    ) or _decider(plan, people[0], register, choice)
    said = json.dumps([plan.digest, proof.desk, proof.ticket, proof.actor, stamp(proof.at), proof.becomes])
    return against or _Given(people[0], choice, hashlib.sha256(said.encode()).hexdigest(), None, proof.name, proof.at)


def _decider(plan: PlanFacts, person: str, register: Register, choice: Choice) -> str | None:
    """Say why a person cannot decide on a plan; who asked for it may decline it."""
    named = accountable(register, plan.control)
    against = _person(register, person)
    if against is not None:
        return against
    if person not in named:
        return f"{shown(person)} is not accountable for {shown(plan.control)}"
    if choice == "approve" and same_person(register, person, plan.requested_by):
        return f"{shown(person)} asked for the plan, and somebody else has to approve it"
    return None


def _person(register: Register, person: str) -> str | None:
    partner = side(register, person)
    if partner is not None:
        return f"{shown(person)} is of partner {shown(partner)}, whose people approve nothing"
    if person not in register.people:
        return f"{shown(person)} is nobody of the customer's"
    return None if register.people[person].active else f"{shown(person)} is no longer active"


def _again(given: _Given, approved: Sequence[_Given], register: Register) -> str | None:
    for other in approved:
        if same_person(register, given.person, other.person):
            return f"{shown(other.person)} approved it already, and counts once"
        if given.key is not None and given.key == other.key:
            return f"it is by the same key as {shown(other.person)}'s"
    return None


def _when(given: Sequence[_Given], count: int) -> datetime | None:
    """Return when so many had been given; None: fewer were, or one of them does not say when to the second."""
    times = sorted(each.at for each in given if each.at is not None)
    return times[count - 1] if count <= len(times) == len(given) else None


def _missing(plan: PlanFacts, register: Register, demanded: int, approved: Sequence[str]) -> str:
    left = [
        person
        for person in may_approve(register, plan.control, plan.requested_by)
        if not any(same_person(register, person, other) for other in approved)
    ]
    lacking = demanded - len(approved)
    what = "1 approval is missing" if lacking == 1 else f"{lacking} approvals are missing"
    if len(left) < lacking:
        who = f"only {' and '.join(left)} could give one" if left else "nobody could give one"
        return f"{what}, and {who}: name who is accountable for {plan.control} in register/controls"
    return f"{what}; it could come from {' or '.join(left)}"


def _in_order(proofs: Sequence[Proof]) -> Iterator[tuple[Proof, str | None]]:
    """Give each proof, with a reason where a later entry of the same ticket's history takes its place; what was declined stays declined."""
    last: dict[tuple[str, str], int] = {}
    for index, proof in enumerate(proofs):
        if isinstance(proof, TicketProof):
            before = last.get((proof.desk, proof.ticket))
            earlier = None if before is None else proofs[before]
            if not isinstance(earlier, TicketProof) or earlier.at <= proof.at:
                last[proof.desk, proof.ticket] = index
    for index, proof in enumerate(proofs):
        late = isinstance(proof, TicketProof) and last[proof.desk, proof.ticket] != index and proof.choice != "decline"
        yield proof, "the ticket was moved again after that" if late else None


def _first(*reasons: tuple[bool, str]) -> str | None:
    return next((why for broken, why in reasons if broken), None)


def _told(name: str) -> str:
    """Name a proof in a line that goes to a terminal."""
    return name if name.isprintable() and len(name) <= 200 else shown(name)  # noqa: PLR2004 - a line of a terminal or two
