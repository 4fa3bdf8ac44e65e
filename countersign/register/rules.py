"""What the rules of the register have in common: a broken rule, and who may be named where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.document import meant, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


def unknown_name(field: str, what: str, name: str, known: Iterable[str]) -> Fault:
    """Refuse a name that nothing in the register bears, with the nearest one that does."""
    close = meant(name, known)
    home = "give the partner a file in partners/" if what == "partner" else "add the entry to customer.yaml"
    fix = home if close is None else f"did you mean `{close}`? Else {home}"
    return Fault("unknown-name", field, f"there is no {what} called {shown(name)}", fix)
