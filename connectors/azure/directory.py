"""Reads applications, service principals, their owners and federated credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure import credentials, records
from connectors.azure.door import BATCH, Refusal
from connectors.azure.estate import HOLDERS, Estate, Holder, Seen
from connectors.azure.visit import Operation, Visit, listed, look_up
from countersign.entra_documents import shown_credentials
from countersign.fields import guid, inner, kept, latest, moment, rows, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from countersign.fields import Row
    from countersign.identity import Record

EXPANDED_AT_MOST = 20
"""Graph cuts an expanded list of directory objects here and does not say so."""

PRINCIPALS = "GET /servicePrincipals"
APPLICATIONS = "GET /applications"
FEDERATED = "GET /applications/*/federatedIdentityCredentials"
FEDERATED_OF_IDENTITIES = "GET /servicePrincipals/*/federatedIdentityCredentials"
AGENTS = "GET /servicePrincipals/microsoft.graph.agentIdentity"
APP_USE = "GET /beta/reports/servicePrincipalSignInActivities"
KEY_USE = "GET /beta/reports/appCredentialSignInActivities"
ORGANIZATION = "GET /organization"

_PRINCIPAL = (
    "id,appId,displayName,servicePrincipalType,accountEnabled,isDisabled,appOwnerOrganizationId,createdByAppId,verifiedPublisher,"
    "passwordCredentials,keyCredentials,tags,notes,alternativeNames,signInAudience,appRoles"
)
_APPLICATION = (
    "id,appId,displayName,createdDateTime,createdByAppId,isDisabled,signInAudience,serviceManagementReference,notes,tags,"
    "passwordCredentials,keyCredentials,verifiedPublisher"
)
_OWNERS = "$expand=owners($select=id)"
_SHOWN = (
    "id", "appId", "displayName", "servicePrincipalType", "accountEnabled", "isDisabled", "appOwnerOrganizationId", "createdByAppId",
    "createdDateTime", "signInAudience", "serviceManagementReference", "tags", "notes", "alternativeNames",
)  # fmt: skip
_FEDERATED_FIELDS = ("id", "name", "issuer", "subject", "audiences", "description")


def principals(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read every service principal of the tenant: applications of ours and of others, managed identities, agents."""
    operation = visit.operation(PRINCIPALS, "service-principal", "client-secret", "certificate")
    path = f"/v1.0/servicePrincipals?$select={_PRINCIPAL}&{_OWNERS}&$top=999"
    for page in listed(operation, path, quota=visit.door.keys):
        for object_id, row in _objects(operation, page, estate.principals):
            estate.principals[object_id] = Seen(row, visit.now())
            if (app_id := guid(row, "appId")) is not None:
                estate.by_app_id[app_id] = object_id
            yield from credentials.of_object(operation, estate, "service-principal", object_id, estate.principals[object_id])
        yield operation.observe([shown(row) for row in page])
    operation.independent_count = _count(visit, operation, "/v1.0/servicePrincipals")
    estate.add_gap(operation.why)
    yield operation.coverage()
    yield from _owners(visit, estate, "service-principal", "servicePrincipals", estate.principals)
    if any(_is_agent(seen.row) for seen in estate.principals.values()):
        yield from _agents(visit, estate)


def applications(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read every application that is registered in the tenant."""
    operation = visit.operation(APPLICATIONS, "application", "client-secret", "certificate")
    for page in listed(operation, f"/v1.0/applications?$select={_APPLICATION}&{_OWNERS}&$top=999"):
        for object_id, row in _objects(operation, page, estate.applications):
            estate.applications[object_id] = Seen(row, visit.now())
            yield from credentials.of_object(operation, estate, "application", object_id, estate.applications[object_id])
        yield operation.observe([shown(row) for row in page])
    operation.independent_count = _count(visit, operation, "/v1.0/applications")
    estate.add_gap(operation.why)
    yield operation.coverage()
    yield from _owners(visit, estate, "application", "applications", estate.applications)


def federated(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read who outside may sign in as applications and as user-assigned managed identities; only these can have such credentials."""
    identities = [object_id for object_id, seen in estate.principals.items() if records.is_user_assigned(seen.row)]
    for operation_name, kind, collection, ids in (
        (FEDERATED, "application", "applications", list(estate.applications)),
        (FEDERATED_OF_IDENTITIES, "service-principal", "servicePrincipals", identities),
    ):
        operation = visit.operation(operation_name, "federated-credential")
        paths = [(each, f"/{collection}/{each}/federatedIdentityCredentials") for each in ids]
        for object_id, found in many(operation, paths):
            items = [] if found is None else found
            if found is None:
                estate.unread_federation[object_id] = operation.why or "its federated credentials could not be read"
            for row in items:
                credential_id = guid(row, "id")
                if credential_id is None or text(row, "issuer") is None:
                    operation.drop("federated credential without an id or an issuer")
                    estate.unread_federation[object_id] = "one of its federated credentials has no id or no issuer"
                    continue
                estate.federated[credential_id] = Seen(row, visit.now())
                estate.federated_of[credential_id] = (kind, object_id)
            if items:
                yield operation.observe([{"of": object_id, **kept(row, _FEDERATED_FIELDS)} for row in items])
        if ids:
            yield operation.coverage()


def use(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read the beta reports of last sign-ins; where they are refused, use stays unknown with that reason."""
    found = estate.use
    operation = visit.operation(APP_USE)
    operation.note = "beta"
    for page in listed(operation, "/beta/reports/servicePrincipalSignInActivities?$top=999", quota=visit.door.reports):
        for row in page:
            if (app_id := guid(row, "appId")) is not None and (when := _signed_in(row)) is not None:
                found.apps[app_id] = max(when, found.apps.get(app_id, when))
        yield operation.observe([_reported(row, "appId") for row in page])
    yield operation.coverage()
    found.no_app = operation.why or "not in the (beta) sign-in report, which does not say how far back it looks"
    operation = visit.operation(KEY_USE)
    operation.note = "beta"
    for page in listed(operation, "/beta/reports/appCredentialSignInActivities?$top=999", quota=visit.door.reports):
        for row in page:
            when = latest(inner(row, "signInActivity"), "lastSignInDateTime", "lastNonInteractiveSignInDateTime")
            if (key_id := guid(row, "keyId")) is not None and when is not None:
                found.keys[key_id] = max(when, found.keys.get(key_id, when))
        yield operation.observe([_reported(row, "keyId") for row in page])
    yield operation.coverage()
    found.no_key = operation.why or "not in the (beta) report of credentials, which does not say how far back it looks"


def many(operation: Operation, paths: list[tuple[str, str]]) -> Iterator[tuple[str, list[Row] | None]]:
    """GET many small collections by `$batch`, each to its end; yields each key with its objects, None where they could not be read.

    A whole batch that is refused is the answer of each of its items, and the rest is asked for all the same.
    """
    for start in range(0, len(paths), BATCH):
        for key, answer in look_up(operation.visit, paths[start : start + BATCH]):
            yield key, _whole(operation, answer)


def _whole(operation: Operation, answer: Row | Refusal) -> list[Row] | None:
    """Return all objects of a collection whose first page came in a batch."""
    graph = operation.visit.door.graph
    if isinstance(answer, Refusal):
        if answer.gone:
            operation.gone()
            return []
        operation.fail(answer)
        return None
    try:
        found = graph.whole(answer)
    except Refusal as refusal:
        operation.fail(refusal)
        return None
    operation.answered(len(found))
    return found


def _objects(operation: Operation, page: tuple[Row, ...], seen: Mapping[str, Seen]) -> Iterator[tuple[str, Row]]:
    for row in page:
        object_id = guid(row, "id")
        if object_id is None:
            operation.drop("entry without an object id")
        elif object_id in seen:
            operation.leave_out("listed twice")
        else:
            yield object_id, row


def _owners(visit: Visit, estate: Estate, kind: str, collection: str, objects: Mapping[str, Seen]) -> Iterator[Record]:
    """Take the owners from the listing, and ask again for those that Graph may have cut off."""
    operation = visit.operation(f"GET /{collection}/*/owners")
    full = []
    for object_id, seen in objects.items():
        told = rows(seen.row, "owners")
        estate.owners[kind, object_id] = _holders(operation, told or (), estate)
        if told is None or len(told) >= EXPANDED_AT_MOST:
            full.append((object_id, f"/{collection}/{object_id}/owners?$select=id"))
    for object_id, found in many(operation, full):
        if found is not None:
            estate.owners[kind, object_id] = _holders(operation, found, estate)
    estate.add_gap(operation.why)
    if full:
        yield operation.observe([{"of": each, "owners": [owner for _, owner in estate.owners[kind, each]]} for each, _ in full])
    if full or operation.why is not None:
        yield operation.coverage()


def _holders(operation: Operation, told: list[Row] | tuple[Row, ...], estate: Estate) -> tuple[tuple[Holder, str], ...]:
    found: dict[tuple[Holder, str], None] = {}
    for row in told:
        owner = guid(row, "id")
        if owner is None:
            operation.drop("owner without an id")
        else:
            found[type_of(row, estate, owner) or "user", owner] = None
    return tuple(found)


def type_of(row: Row, estate: Estate, object_id: str) -> Holder | None:
    """Return what a directory object is, by its own word, else by what was read; None where neither says."""
    word = (text(row, "@odata.type") or "").rpartition(".")[2].lower()
    if word in HOLDERS:
        return HOLDERS[word]
    if object_id in estate.principals:
        return "service-principal"
    return "user" if object_id in estate.users else None


def _agents(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read when agents were created, which service principals in general do not tell."""
    operation = visit.operation(AGENTS)
    for page in listed(operation, "/v1.0/servicePrincipals/microsoft.graph.agentIdentity?$select=id,createdDateTime&$top=100"):
        for row in page:
            object_id, (created, _) = guid(row, "id"), moment(row, "createdDateTime")
            if object_id is not None and created is not None:
                estate.agents_created[object_id] = created
        yield operation.observe([kept(row, ("id", "createdDateTime")) for row in page])
    yield operation.coverage()


def _is_agent(row: Row) -> bool:
    return text(row, "servicePrincipalType") == "ServiceIdentity" or (text(row, "@odata.type") or "").endswith(".agentIdentity")


def _count(visit: Visit, operation: Operation, path: str) -> int | None:
    return visit.door.graph.count(path) if operation.pages else None


def _signed_in(row: Row) -> datetime | None:
    """Return when an application last signed in somewhere itself; when others signed in to it does not count."""
    asked = ("lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    as_client = [latest(inner(row, f"{flow}ClientSignInActivity"), *asked) for flow in ("delegated", "applicationAuthentication")]
    as_resource = [latest(inner(row, f"{flow}ResourceSignInActivity"), *asked) for flow in ("delegated", "applicationAuthentication")]
    times = [when for when in as_client if when is not None]
    if times or any(as_resource):
        return max(times, default=None)
    return latest(inner(row, "lastSignInActivity"), *asked)


def _reported(row: Row, key: str) -> dict[str, object]:
    times = ("lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    activities = {name: kept(value, times) for name, value in row.items() if isinstance(value, dict)}
    return kept(row, (key, "appId", "credentialOrigin", "keyType")) | activities


def shown(row: Row) -> Row:
    """Reduce an application or service principal to its allow-listed fields; hints and key values are left out."""
    owners = [owner for item in rows(row, "owners") or () if (owner := guid(item, "id"))]
    return kept(row, _SHOWN) | shown_credentials(row) | {"owners": owners}
