"""What the rules of the register have in common: a broken rule, who may be named where, and on whose side they stand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.document import meant, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from countersign.register.records import Register


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule of one entry, before its place is looked up."""

    rule: str
    field: str
    message: str
    fix: str


def customer_person(register: Register, rule: str, field: str, ref: str | None, role: str) -> Iterator[Fault]:
    """Demand an active customer person."""
    if ref is None:
        yield Fault(rule, field, f"{role} is not named", f"add `{field.rpartition('.')[2]}:` with the id of an active customer person")
    elif register.live(ref) is not None:
        return
    elif ref in register.people:
        yield Fault(rule, field, f"{role}, {shown(ref)}, is no longer active", "name an active customer person")
    elif register.party(ref) is not None:
        yield Fault(rule, field, f"{role}, {shown(ref)}, is a partner's, and must be the customer's", "name an active customer person")
    elif ref in register.teams:
        yield Fault(rule, field, f"{role}, {shown(ref)}, is a team, and must be one person", "name an active customer person")
    else:
        yield unknown_name(field, "person", ref, register.people)


def known_name(register: Register, field: str, ref: str) -> Iterator[Fault]:
    """Demand a person, a partner, a partner's person or a team that the register knows."""
    head, slash, _ = ref.partition("/")
    if not slash and not (ref in register.people or ref in register.partners or ref in register.teams):
        yield unknown_name(field, "person, partner or team", ref, (*register.people, *register.partners, *register.teams))
    elif slash and head not in register.partners:
        yield unknown_name(field, "partner", head, register.partners)
    elif slash and head not in register.external_people:
        message = f"people of {shown(head)} may not be named here"
        yield Fault("unknown-name", field, message, f"add {{partner: {head}}} to external_people in customer.yaml, or name somebody else")


def able(register: Register, rule: str, field: str, ref: str, today: date) -> Iterator[Fault]:
    """Demand a known name of somebody who can act today: no leaver, and nobody of a partner whose contract does not run."""
    faults = tuple(known_name(register, field, ref))
    yield from faults
    why = None if faults else absent(register, ref, today)
    if why is not None:
        yield Fault(rule, field, why, "name somebody who can do it today")


def absent(register: Register, ref: str, today: date) -> str | None:
    """Say why somebody who is named cannot act on a day of the customer's calendar; None: nothing speaks against it."""
    person = register.people.get(ref)
    if person is not None:
        return None if person.active else f"{shown(ref)} is no longer active"
    partner = register.partners.get(register.party(ref) or "")
    if partner is None:
        return None
    contract = partner.contract
    if contract.ends is not None and contract.ends < today:
        return f"{shown(ref)} is of a partner whose contract ended on {contract.ends}"
    return f"{shown(ref)} is of a partner whose contract begins on {contract.starts}" if contract.starts > today else None


def side(register: Register, ref: str | None) -> str | None:
    """Return the partner on whose side a name stands, None: the customer's.

    A team or a person whose mailbox is in a partner's domain stands on that partner's side, whatever list it is on.
    """
    party = register.party(ref)
    if party is not None or ref is None:
        return party
    person = register.people.get(ref)
    return partner_at(register, register.teams.get(ref) if person is None else person.email)


def partner_at(register: Register, address: str | None) -> str | None:
    """Return the partner whose mail domain an address is in, or under; None: no partner's, or not an e-mail address."""
    domain = mail_domain(address)
    for partner in register.partners.values() if domain is not None else ():
        for claimed in partner.footprint.email_domains:
            if f".{domain}".endswith(f".{claimed.lower()}"):
                return None if domain in own_domains(register) else partner.id
    return None


def mail_domain(address: str | None) -> str | None:
    """Return the domain of an e-mail address in lower case; None: it is none."""
    _, at, domain = (address or "").strip().rpartition("@")
    return domain.lower() if at and domain else None


def own_domains(register: Register) -> frozenset[str]:
    """Return the customer's mail domains: those of its footprint; where that names none, the one where most of its active people are."""
    declared = register.customer.footprint.email_domains
    if declared:
        return frozenset(domain.lower() for domain in declared)
    domains = Counter(domain for person in register.people.values() if person.active and (domain := mail_domain(person.email)))
    return frozenset(domain for domain, people in domains.most_common(1) if people * 2 > domains.total())


def unknown_name(field: str, what: str, name: str, known: Iterable[str]) -> Fault:
    """Refuse a name that nothing in the register bears, with the nearest one that does."""
    close = meant(name, known)
    home = "give the partner a file in partners/" if what == "partner" else "add the entry to customer.yaml"
    fix = home if close is None else f"did you mean `{close}`? Else {home}"
    return Fault("unknown-name", field, f"there is no {what} called {shown(name)}", fix)
