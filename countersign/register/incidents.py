"""Whether an incident says what it is about: who declared it, of a partner or identities, and closed after it began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.register.rules import Fault, customer_person, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from countersign.register.records import Incident, Register

RULES = {
    "incident-declarer": "An incident is declared by a customer person, who is active while it is open.",
    "incident-dates": "An incident is declared before it is closed, and neither in the future.",
    "incident-target": "An incident is of a partner or of identities.",
}


def faults(register: Register, incident: Incident, at: datetime) -> Iterator[Fault]:
    """Yield every broken rule of one incident at an instant."""
    rule, field, declarer = "incident-declarer", "declared_by", incident.declared_by
    if incident.closed_at is None or declarer not in register.people:  # who declared a closed one may have left since
        yield from customer_person(register, rule, field, declarer, "who declared it")
    rule = "incident-dates"
    if incident.declared_at > at:
        yield Fault(
            rule, "declared_at", "is in the future, so the incident is not open yet", "write the instant when it was declared, in UTC"
        )
    if incident.closed_at is not None and incident.closed_at < incident.declared_at:
        yield Fault(rule, "closed_at", "is before the incident was declared", "correct one of the two instants")
    elif incident.closed_at is not None and incident.closed_at > at >= incident.declared_at:
        yield Fault(rule, "closed_at", "is in the future; until then the incident is open", "write it when the incident is over")
    if incident.partner is None and not incident.identities:
        fix = "add `partner:` or `identities:`"
        yield Fault("incident-target", "incident", "it is not said which partner or which identities the incident is of", fix)
    if incident.partner is not None and incident.partner not in register.partners:
        yield unknown_name("partner", "partner", incident.partner, register.partners)
