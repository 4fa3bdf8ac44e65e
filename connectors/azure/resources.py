"""Reads Azure Resource Graph: role assignments and definitions, managed identities, and what Lighthouse hands to other tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure.door import Refusal
from connectors.azure.estate import HOLDERS, AzureRole, Delegation, Estate, Foreigner, Holding
from countersign.fields import guid, inner, kept, rows, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.azure.door import Api
    from connectors.azure.visit import Operation, Visit
    from countersign.fields import Row
    from countersign.identity import Record

SUBSCRIPTIONS = "GET /subscriptions"
DEFINITIONS = "Resource Graph: roledefinitions"
ASSIGNMENTS = "Resource Graph: roleassignments"
IDENTITIES = "Resource Graph: userassignedidentities"
LIGHTHOUSE = "Resource Graph: registrationassignments"

NOT_CONFIGURED = "Azure roles are not read: the source has no `management` address"
NOTHING_VISIBLE = "Azure roles: the reader sees no subscription; give it Reader at the root management group"

SUBSCRIPTIONS_PATH = "/subscriptions?api-version=2022-12-01"
QUERY_PATH = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
QUERIES = {
    DEFINITIONS: "authorizationresources | where type =~ 'microsoft.authorization/roledefinitions' "
    "| project id, properties | order by id asc",
    ASSIGNMENTS: "authorizationresources | where type =~ 'microsoft.authorization/roleassignments' "
    "| project id, properties | order by id asc",
    IDENTITIES: "resources | where type =~ 'microsoft.managedidentity/userassignedidentities' "
    "| project id, tags, properties | order by id asc",
    LIGHTHOUSE: "managedservicesresources | where type in~ ('microsoft.managedservices/registrationassignments', "
    "'microsoft.managedservices/registrationdefinitions') | project id, type, properties | order by id asc",
}
"""In Kusto's language; without an order, pages of a long answer may overlap."""
_PAGE = 1_000
_ASSIGNED = ("principalId", "principalType", "roleDefinitionId", "scope", "createdOn", "createdBy", "condition")
_REGISTERED = ("registrationDefinitionId", "registrationDefinitionName", "managedByTenantId", "managedByTenantName", "provisioningState")


def azure_roles(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read Azure's side of the tenant, where it has an address."""
    manager = visit.door.manager
    if manager is None:
        estate.add_gap(NOT_CONFIGURED)
        return
    operation = visit.operation(SUBSCRIPTIONS)
    try:
        for page in manager.pages(SUBSCRIPTIONS_PATH):
            operation.answered(len(page))
            yield operation.observe([kept(row, ("subscriptionId", "displayName", "state", "tenantId")) for row in page])
    except Refusal as refusal:
        operation.fail(refusal)
    if not operation.rows and operation.state == "complete":
        # An empty list is how Azure answers a reader without any role, and a tenant without any subscription.
        operation.note = NOTHING_VISIBLE
        estate.add_gap(NOTHING_VISIBLE)
    yield operation.coverage()
    yield from _definitions(visit, estate, manager)
    yield from _assignments(visit, estate, manager)
    yield from _identities(visit, estate, manager)
    yield from _lighthouse(visit, estate, manager)


def _asked(operation: Operation, manager: Api) -> Iterator[tuple[Row, ...]]:
    """Yield the rows of an operation's query page by page, counting; a refusal ends it and is counted."""
    try:
        for page, total in manager.queried(QUERY_PATH, QUERIES[operation.operation], _PAGE):
            operation.answered(len(page))
            operation.independent_count = total
            yield page
    except Refusal as refusal:
        operation.fail(refusal)


def _definitions(visit: Visit, estate: Estate, manager: Api) -> Iterator[Record]:
    operation = visit.operation(DEFINITIONS)
    for page in _asked(operation, manager):
        for row in page:
            role_id, properties = last_part(text(row, "id")), inner(row, "properties")
            if role_id is None:
                operation.drop("role without an id")
            else:
                estate.azure_roles[role_id] = AzureRole(text(properties, "roleName") or role_id, _permissions(properties))
        yield operation.observe([kept(row, ("id",)) | kept(inner(row, "properties"), ("roleName", "type")) for row in page])
    yield operation.coverage()


def _permissions(properties: Row) -> tuple[tuple[tuple[str, ...], tuple[str, ...], bool], ...] | None:
    permissions = rows(properties, "permissions")
    if permissions is None:
        return None
    return tuple((texts(each, "actions"), texts(each, "notActions"), text(each, "condition") is not None) for each in permissions)


def _assignments(visit: Visit, estate: Estate, manager: Api) -> Iterator[Record]:
    operation = visit.operation(ASSIGNMENTS, "user", "foreign-principal")
    seen: set[str] = set()
    for page in _asked(operation, manager):
        for row in page:
            name = (text(row, "id") or "").lower()
            if name in seen:
                operation.leave_out("listed twice")
                continue
            seen.add(name)
            _assigned(operation, estate, inner(row, "properties"))
        yield operation.observe([kept(row, ("id",)) | kept(inner(row, "properties"), _ASSIGNED) for row in page])
    estate.add_gap(operation.why)
    yield operation.coverage()


def _assigned(operation: Operation, estate: Estate, properties: Row) -> None:
    holder, role_id = guid(properties, "principalId"), last_part(text(properties, "roleDefinitionId"))
    if holder is None or role_id is None:
        operation.drop("assignment without a holder or a role")
        return
    word = (text(properties, "principalType") or "").lower()
    kind = HOLDERS.get(word) or ("service-principal" if holder in estate.principals else None)
    if kind is None:
        operation.leave_out("its holder is a device, or was deleted")
        return
    if kind == "foreign-principal":
        estate.foreigners.setdefault(holder, Foreigner(None, None, operation.visit.now()))
    role = estate.azure_role(role_id)
    verdict = role.verdict(conditioned=text(properties, "condition") is not None)
    estate.holdings.append(Holding(holder, kind, role.name, text(properties, "scope") or "/", verdict))


def _identities(visit: Visit, estate: Estate, manager: Api) -> Iterator[Record]:
    operation = visit.operation(IDENTITIES)
    for page in _asked(operation, manager):
        for row in page:
            principal = guid(inner(row, "properties"), "principalId")
            tags = {key: value for key, value in inner(row, "tags").items() if isinstance(value, str) and value}
            if principal is not None and tags:
                estate.resource_tags[principal] = tags
        yield operation.observe([kept(row, ("id",)) | kept(inner(row, "properties"), ("principalId", "clientId")) for row in page])
    yield operation.coverage()


def _lighthouse(visit: Visit, estate: Estate, manager: Api) -> Iterator[Record]:
    operation = visit.operation(LIGHTHOUSE, "lighthouse-delegation")
    definitions: dict[str, Row] = {}
    found: list[tuple[str, Row]] = []
    for page in _asked(operation, manager):
        for row in page:
            name, properties = (text(row, "id") or "").lower().strip("/"), inner(row, "properties")
            if not name:
                operation.drop("registration without an id")
            elif "/registrationdefinitions/" in name:
                definitions[name] = properties
            else:
                found.append((name, properties))
        yield operation.observe([kept(row, ("id",)) | kept(inner(row, "properties"), _REGISTERED) for row in page])
    for name, properties in found:
        wanted = (text(properties, "registrationDefinitionId") or "").lower().strip("/")
        definition = definitions.get(wanted) or inner(inner(properties, "registrationDefinition"), "properties")
        if not definition:
            operation.gap("registration whose definition is not visible")
        estate.delegations.append(Delegation(name, properties, definition, visit.now()))
    yield operation.coverage()


def last_part(resource_id: str | None) -> str | None:
    """Return the last part of a resource id in lower case: a role definition's own id, under whatever scope it is written."""
    return (resource_id or "").rstrip("/").rpartition("/")[2].lower() or None
