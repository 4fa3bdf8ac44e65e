"""Plans how other tenants lose their way in: cross-tenant access, Lighthouse, and principals of theirs that hold a role here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.azure.people import is_blocked
from connectors.azure.revoking_assignments import registration
from connectors.azure.revoking_calls import GONE, found
from connectors.azure.revoking_desk import AZURE_SETTLES, Away, left, place, uids
from connectors.azure.revoking_grants import grants, mediated
from connectors.azure.revoking_things import BLOCKED, NO_TRUST, PARTNERS, inbound
from countersign.document import shown
from countersign.fields import flag, inner
from countersign.revocation import ENTRY, Change, Left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.azure.revoking_desk import Desk, Person, Said

_SETTINGS = (
    ("block-collaboration", "b2bCollaborationInbound", "Block inbound B2B collaboration from the tenant {}."),
    ("block-direct-connect", "b2bDirectConnectInbound", "Block inbound B2B direct connect from the tenant {}."),
)


def partner_tenant(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for a tenant of the cross-tenant access policy.

    Its entry is never deleted: without one the default holds, which lets every tenant in unless somebody changed it.
    """
    row = found(desk.visit.door.graph, f"{PARTNERS}/{person.id}")
    if row is None:
        yield from map(Away, uids(person.holdings))
        return
    takes = uids(person.holdings)
    for action, name, says in _SETTINGS:
        if not is_blocked(inner(row, name)):
            before = inbound(name, row)
            yield desk.step(
                person, action, says.format(person.id), parameters={"tenant": person.id}, before=before, after={**before, name: BLOCKED},
                order=ENTRY, takes=takes,
            )  # fmt: skip
    if any(flag(inner(row, "inboundTrust"), key) for key in NO_TRUST):
        before = inbound("inboundTrust", row)
        yield desk.step(
            person, "withdraw-inbound-trust", f"Trust no claims about people and devices of the tenant {person.id}.",
            parameters={"tenant": person.id}, before=before, after={**before, "inboundTrust": NO_TRUST}, order=ENTRY, takes=takes,
            residual=None,
        )  # fmt: skip
    if flag(row, "isServiceProvider"):
        why = (
            "it is a service provider: its delegated administration (GDAP) is agreed in the partner's centre, and no call of yours ends it"
        )
        yield from left(
            person.holdings, why, "end the relationship in the Microsoft 365 admin centre, under Settings, Partner relationships"
        )
    else:
        yield from map(Away, takes)


def lighthouse(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for Azure resources that were handed to another tenant."""
    parameters = {"registration": person.id}
    before = registration(desk.visit.door, parameters)
    if not before["exists"]:
        yield from map(Away, uids(person.holdings))
        return
    at = "/" + person.id.partition("/providers/microsoft.managedservices/")[0]
    yield desk.step(
        person, "delete-registration",
        f"Remove the Lighthouse delegation {shown(person.name)} of {place(at)}; only its owner can hand it over again.",
        parameters=parameters, before=before, after=GONE, order=ENTRY, takes=uids(person.holdings), reversible=False,
        residual=AZURE_SETTLES,
    )  # fmt: skip


def foreign_principal(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for a principal of another tenant: its roles here are all there is of it."""
    carried = uids((*person.of("identity"), *person.of("trust")))
    planned = list(grants(desk, person))
    changes = [each for each in planned if isinstance(each, Change)]
    yield from (replace(each, takes=tuple(sorted({*each.takes, *carried}))) if isinstance(each, Change) else each for each in planned)
    through = mediated(person)
    yield from left(through, "it is held through a group", "take the principal out of the group")
    if not changes and not through and not any(isinstance(each, Left) for each in planned):
        yield from map(Away, carried)
    elif not changes:
        rest = [each for each in person.holdings if each.uid in carried]
        yield from left(rest, "not every role of it can be taken away from here", "look at each of its roles below")
