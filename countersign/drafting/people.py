"""Whom a claim means: an active person of the customer's, or why it is nobody who could own anything; all pure."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countersign.register.records import Register

_MAIL = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")
_SHORTEST_IN_NAME = 3
"""Letters of a person's id that are taken for them when they stand in an identity's name."""


def words(text: str) -> tuple[str, ...]:
    """Cut a text into lower-case words; `OrderSync`, `order_sync` and `order-sync` are the same two."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return tuple(re.findall(r"[^\W_]+", apart.casefold()))


class People:
    """The customer's people by everything they are called; a name that two people share means neither."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._mails: dict[str, set[str]] = defaultdict(set)
        self._names: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for person in register.people.values():
            self._names[words(person.id)].add(person.id)
            self._names[words(person.name)].add(person.id)
            if person.email:
                self._mails[person.email.casefold()].add(person.id)
        self._domains = {
            domain.casefold(): partner.id for partner in register.partners.values() for domain in partner.footprint.email_domains
        }

    def meant(self, claim: str) -> str | None:
        """Return the id of the active person that a claim names by id, e-mail address or name; None: it names no such person."""
        person = self._person(claim)
        return person if person is not None and self._register.live(person) is not None else None

    def why_not(self, claim: str) -> str:
        """Say why a claim, for which `meant` gives None, names no owner."""
        person = self._person(claim)
        if person is not None:
            return f"{person} has left"
        domain = next((self._domains.get(mail.rpartition("@")[2].casefold()) for mail in _MAIL.findall(claim)), None)
        partner = domain or self._register.party(claim.strip())
        if partner is not None:
            return f"is partner {partner}'s, and only the customer's people own"
        if claim.strip() in self._register.teams:
            return "is a team, and an owner is one person"
        return "is nobody that the register knows"

    def in_name(self, name: tuple[str, ...]) -> str | None:
        """Return the active person whose id or full name stands in an identity's name, given in words; None: nobody's, or several."""
        spans = {name[start:end] for start in range(len(name)) for end in range(start + 1, min(start + 4, len(name)) + 1)}
        known = {span for span in spans if len("".join(span)) >= _SHORTEST_IN_NAME} & self._names.keys()
        people = {person for span in known for person in self._names[span]}
        return next(iter(people)) if len(people) == 1 and self._register.live(next(iter(people))) is not None else None

    def _person(self, claim: str) -> str | None:
        mails = _MAIL.findall(claim)
        found = {person for mail in mails for person in self._mails.get(mail.casefold(), ())}
        if not mails:
            # Only without an address: maria.keller@elsewhere.example is not our Maria Keller.
            found = self._names.get(words(claim), set())
        return next(iter(found)) if len(found) == 1 else None
