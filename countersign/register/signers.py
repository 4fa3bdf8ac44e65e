"""Rules of `register/allowed_signers`: each line is a key of one person of the customer's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.document import meant, shown
from countersign.register.rules import Fault, partner_at, side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.register.records import Register

RULES = {"allowed-signers": "Each key that may sign approvals is one customer person's."}


def faults(register: Register) -> Iterator[Fault]:
    """Yield every line that lets nobody sign, or somebody who must not; the field is `allowed_signers.` and the line's number.

    A leaver's line is no fault: their keys count no more, and git may want them.
    """
    if register.allowed_signers is None:
        return
    from countersign.approval import NAMESPACE, allowed_signers  # not before they are needed: they load `cryptography`

    by_name = {name: person.id for person in register.people.values() for name in (person.id, person.email) if name is not None}
    holders: dict[bytes, set[str]] = {}
    for line in allowed_signers.read(register.allowed_signers, register.customer.timezone, NAMESPACE):
        if isinstance(line, allowed_signers.Unusable):
            yield _fault(line.line, line.message, line.fix)
        elif line.ours:
            holder = holders.setdefault(line.key, set())
            for name in line.principals:
                holder.add(by_name.get(name, name))
                yield from _named(register, line.line, name, by_name)
            if len(holder) > 1:
                named = " and ".join(shown(name) for name in sorted(holder))
                yield _fault(line.line, f"one key stands for {named}, so nobody can tell who signed", "give each person a key of their own")


def _named(register: Register, line: int, name: str, by_name: dict[str, str]) -> Iterator[Fault]:
    partner = side(register, by_name.get(name, name)) or partner_at(register, name)
    if partner is not None:
        yield _fault(line, f"{shown(name)} is of partner {shown(partner)}, whose people approve nothing", "delete the line")
    elif name not in by_name:
        close = meant(name, by_name)
        fix = "write the id or e-mail of a person in customer.yaml" if close is None else f"did you mean `{close}`?"
        yield _fault(line, f"{shown(name)} is nobody of the customer's", fix)


def _fault(line: int, message: str, fix: str) -> Fault:
    return Fault("allowed-signers", f"allowed_signers.{line}", message, fix)
