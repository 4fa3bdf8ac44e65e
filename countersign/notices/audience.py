"""Who is told at which step of a ladder: whoever operates first, then whoever is answerable, and at last whom the control falls back on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.clocks.replay import RUNGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.notices.rungs import Reached
    from countersign.register.records import Register

TOLD_TOO = 100
"""From this step on a partner's contacts are told of what is theirs to put right."""
_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"'\\?&=#%/]+@[^\s@,;:<>()\[\]\"'\\?&=#%/]+")


@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    """Somebody who can be written to."""

    ref: str
    """A person's id, or `partner:address` for one of a partner's contacts."""
    name: str
    address: str | None
    """One mailbox; None: none is known, so no message reaches them."""


def told_at(register: Register, reached: Reached, percent: int) -> tuple[Recipient, ...]:
    """Return who is told at this step of the ladder, by id; nobody: the register has nobody who could be told.

    Where nobody active with an address holds the role, the next one up is told in their place, and above the last one the nearest below.
    A partner hears of its own alone, and of no plan.
    """
    return tuple(sorted(set(_at(register, reached, percent))))


def person(register: Register, ref: str | None) -> Recipient | None:
    """Return an active person of the customer's; None: there is none of this id."""
    found = register.live(ref)
    return None if found is None else Recipient(found.id, found.name, _one_mailbox(found.email))


def _at(register: Register, reached: Reached, percent: int) -> Iterator[Recipient]:
    here = RUNGS.index(percent)
    if percent == TOLD_TOO and reached.clock != "approve":
        yield from _contacts(register, reached.partner)
    unreachable: tuple[Recipient, ...] = ()
    for step in (*RUNGS[here:], *reversed(RUNGS[:here])):
        people = tuple(each for ref in _role(register, reached, step) for each in _whom(register, reached, ref))
        if any(each.address is not None for each in people):
            yield from people
            return
        unreachable = unreachable or people
    yield from unreachable


def _role(register: Register, reached: Reached, percent: int) -> tuple[str | None, ...]:
    entry = register.control(reached.control)
    owners = None if entry is None else entry.owners
    fallback = None if entry is None else entry.fallback
    if percent == RUNGS[-1]:
        return (fallback,)
    if reached.clock == "approve" or percent == TOLD_TOO:
        return reached.accountable or (None if owners is None else owners.business,)
    if owners is None:
        return ()
    return (owners.operational if percent == RUNGS[0] else owners.technical,)


def _whom(register: Register, reached: Reached, ref: str | None) -> tuple[Recipient, ...]:
    mine = person(register, ref)
    if mine is not None:
        return (mine,)
    party = register.party(ref)
    # A partner's person has no address of their own in the register; another partner's business is none of theirs.
    return tuple(_contacts(register, party)) if party is not None and party == reached.partner else ()


def _contacts(register: Register, partner: str | None) -> Iterator[Recipient]:
    entry = register.partners.get(partner or "")
    if entry is not None:
        for contact in entry.contacts.escalation:
            address = _one_mailbox(contact)
            if address is not None:
                yield Recipient(f"{entry.id}:{address}", entry.name, address)


def _one_mailbox(text: str | None) -> str | None:
    """Return an address that is one mailbox and nothing more: a list, or what an address of a channel would read as more, is none."""
    return text if text is not None and text.isprintable() and _ADDRESS.fullmatch(text) else None
