"""Microsoft Entra and Azure: who may sign in, with what, whose application it is, and who holds which role; never a secret."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, cast

from connectors.azure import credentials, directory, people, records, resources, roles
from connectors.azure.canary import planter
from connectors.azure.door import Refusal
from connectors.azure.estate import Estate
from connectors.azure.permissions import DRILL_PERMISSIONS, READ_AZURE, READ_GRAPH, REVOKE_AZURE, REVOKE_GRAPH, lacking, permission_files
from connectors.azure.provenance import CALLS
from connectors.azure.revoking import hand
from connectors.azure.visit import PROVIDER, Visit, check_tenant, entered
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import guid, rows
from countersign.identity import Coverage, Grant, Observation, Record
from countersign.reading import Probe, Scope, traced, unless_denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.core.credentials import TokenCredential

    from countersign.programme import AzureSource, Source
    from countersign.reading import ReadRequest

__all__ = [
    "DRILL_PERMISSIONS",
    "PERMISSIONS",
    "PROVIDER",
    "REVOKE_PERMISSIONS",
    "hand",
    "permission_files",
    "planter",
    "probe",
    "read",
    "scopes",
]

PERMISSIONS = tuple(sorted((*READ_GRAPH, *READ_AZURE)))
REVOKE_PERMISSIONS = tuple(sorted((*REVOKE_GRAPH, *REVOKE_AZURE)))

_GUEST = "/v1.0/users?$filter=userType%20eq%20'Guest'&$top=1&$select=id"
_LISTINGS = (
    (directory.PRINCIPALS, "/v1.0/servicePrincipals?$select=id&$top=1"),
    (directory.APPLICATIONS, "/v1.0/applications?$select=id&$top=1"),
    (directory.AGENTS, "/v1.0/servicePrincipals/microsoft.graph.agentIdentity?$select=id&$top=1"),
    (roles.DELEGATED, "/v1.0/oauth2PermissionGrants?$top=1"),
    (roles.DEFINITIONS, "/v1.0/roleManagement/directory/roleDefinitions?$select=id"),
    (roles.ASSIGNMENTS, "/v1.0/roleManagement/directory/roleAssignments?$top=1"),
    (roles.ELIGIBLE, "/v1.0/roleManagement/directory/roleEligibilitySchedules?$top=1"),
    (people.GUESTS, _GUEST),
    (people.SIGN_INS, f"{_GUEST},signInActivity"),
    (roles.GROUPS, "/v1.0/groups?$select=id&$top=1"),
    (people.PARTNERS, "/v1.0/policies/crossTenantAccessPolicy/partners?$top=1"),
)
_INSIDE = (
    (directory.PRINCIPALS, roles.APP_ROLES, "/v1.0/servicePrincipals/{}/appRoleAssignedTo?$top=1"),
    (directory.APPLICATIONS, directory.FEDERATED, "/v1.0/applications/{}/federatedIdentityCredentials?$top=1"),
    (roles.GROUPS, roles.MEMBERS, "/v1.0/groups/{}/members?$select=id&$top=1"),
)
"""What is tried on the first object of a listing."""
_REPORTS = (
    (directory.APP_USE, "/beta/reports/servicePrincipalSignInActivities?$top=1"),
    (directory.KEY_USE, "/beta/reports/appCredentialSignInActivities?$top=1"),
)


def scopes(source: Source) -> tuple[Scope, ...]:
    """Name the tenant, which is read, denied or failed as a whole; makes no call."""
    azure = _azure(source)
    return (Scope(azure.name, PROVIDER, azure.tenant),)


def read(
    request: ReadRequest, *, credential: TokenCredential | None = None, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Record]:
    """Yield the records of one tenant.

    `credential`: what gets the tokens; None: the SDK's own chain. `sleep` waits between tries when the service is busy.
    Raises ScopeDeniedError when there is no token, when the token turns out to be another tenant's, or when every single
    operation is refused; ReadError when the service does not answer.
    """
    denied = ScopeDeniedError(
        request.scope.name, "every operation was denied; docs/connectors/azure.md has the permissions that reading needs"
    )
    yield from unless_denied(_read(request, credential, sleep), _answered, denied)


def _answered(record: Record) -> bool:
    """Whether the reader was allowed something: who we are, and an empty list of subscriptions, are told to anyone."""
    if isinstance(record, Coverage | Observation) and record.operation in {directory.ORGANIZATION, resources.SUBSCRIPTIONS}:
        return False
    return not isinstance(record, Coverage) or record.pages > 0


def _read(request: ReadRequest, credential: TokenCredential | None, sleep: Callable[[float], None]) -> Iterator[Record]:
    source = _azure(request.source)
    visit = entered(source, credential, sleep, request.now)
    yield from traced(_everything(source, visit), CALLS, request.scope, visit.now())


def _everything(source: AzureSource, visit: Visit) -> Iterator[Record]:
    whoami = visit.operation(directory.ORGANIZATION)
    try:
        check_tenant(source, visit)
        whoami.answered()
    except Refusal as refusal:
        whoami.fail(refusal)
    yield whoami.coverage()
    estate = Estate()
    if source.beta_reports:
        yield from directory.use(visit, estate)
    azure = (resources.azure_roles,) if source.subscriptions else ()
    for reader in (
        directory.principals, directory.applications, directory.federated, roles.app_roles, roles.delegated, roles.directory_roles,
        *azure, roles.members, people.guests,
    ):  # fmt: skip
        yield from reader(visit, estate)
    roles.owners(estate)
    yield from people.role_holders(visit, estate)
    yield from people.partners(visit, estate)
    yield from _records(visit, estate)


def _records(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Yield what the rows come to, once all of them are read: each part needs to know of others."""
    for object_id, seen in estate.principals.items():
        yield from records.principal(visit, estate, object_id, seen)
    for object_id, seen in estate.applications.items():
        yield records.application(visit, estate, object_id, seen)
    for credential_id, seen in estate.federated.items():
        yield from credentials.federated(visit, estate, credential_id, seen)
    for object_id, seen in estate.users.items():
        yield records.user(visit, estate, object_id, seen)
    for object_id, about in estate.foreigners.items():
        yield from records.foreigner(visit, estate, object_id, about)
    for tenant, seen in estate.partners.items():
        yield from records.partner(visit, estate, tenant, seen)
    for given in estate.delegations:
        yield from records.lighthouse(visit, estate, given)
    for holding in estate.holdings:
        yield Grant(
            identity_uid=visit.uid(holding.kind, holding.holder),
            provider=PROVIDER,
            scope=visit.tenant,
            role=holding.role,
            resource=holding.resource,
            power=holding.verdict.power,
            rule=holding.verdict.rule,
            via=holding.via,
        )


def probe(source: Source, *, credential: TokenCredential | None = None, sleep: Callable[[float], None] = time.sleep) -> Iterator[Probe]:
    """Yield whether each read would work, with the smallest possible call, and what is not configured; changes nothing."""
    azure = _azure(source)
    try:
        visit = entered(azure, credential, sleep, lambda: datetime.now(UTC))
    except ReadError as error:
        yield Probe(azure.tenant, error.operation, ok=False, detail=error.message)
        return
    yield Probe(azure.tenant, "token", ok=True, detail=visit.caller)
    try:
        yield from _probe_graph(azure, visit)
        yield from _probe_manager(azure, visit)
    except ReadError as error:
        yield Probe(azure.tenant, error.operation, ok=False, detail=error.message)


def _probe_graph(source: AzureSource, visit: Visit) -> Iterator[Probe]:
    graph = visit.door.graph
    try:
        check_tenant(source, visit)
        yield Probe(source.tenant, directory.ORGANIZATION, ok=True, detail="")
    except Refusal as refusal:
        yield _refused(visit, directory.ORGANIZATION, refusal)
    ids: dict[str, str | None] = {}
    for operation, path in _LISTINGS:
        try:
            found = rows(graph.get(path), "value")
            ids[operation] = next((each for row in found or () if (each := guid(row, "id"))), None)
            yield Probe(source.tenant, operation, ok=True, detail="")
        except Refusal as refusal:
            yield _refused(visit, operation, refusal)
    for listing, operation, path in _INSIDE:
        if (each := ids.get(listing)) is not None:
            yield _tried(visit, operation, partial(graph.get, path.format(each)))
    for operation, path in _REPORTS if source.beta_reports else ():
        yield _tried(visit, operation, partial(graph.get, path, quota=visit.door.reports))
    if not source.beta_reports:
        detail = "not read: `beta_reports` is off, so that last use of applications and credentials stays unknown"
        yield Probe(source.tenant, directory.APP_USE, ok=True, detail=detail)


def _probe_manager(source: AzureSource, visit: Visit) -> Iterator[Probe]:
    manager = visit.door.manager
    if manager is None:
        detail = resources.NOT_CONFIGURED if source.subscriptions else "not read: `subscriptions: false` says that the tenant has none"
        yield Probe(visit.tenant, resources.ASSIGNMENTS, ok=True, detail=detail)
        return
    try:
        visible = rows(manager.get(resources.SUBSCRIPTIONS_PATH), "value")
        detail = f"{len(visible)} visible" if visible else resources.NOTHING_VISIBLE
        yield Probe(visit.tenant, resources.SUBSCRIPTIONS, ok=bool(visible), detail=detail)
    except Refusal as refusal:
        yield _refused(visit, resources.SUBSCRIPTIONS, refusal)
    for operation, query in resources.QUERIES.items():
        yield _tried(visit, operation, partial(next, manager.queried(resources.QUERY_PATH, query, 1)))


def _tried(visit: Visit, operation: str, question: Callable[[], object]) -> Probe:
    try:
        question()
    except Refusal as refusal:
        return _refused(visit, operation, refusal)
    return Probe(visit.tenant, operation, ok=True, detail="")


def _refused(visit: Visit, operation: str, refusal: Refusal) -> Probe:
    detail = f"{refusal}; {lacking(operation)}" if refusal.denied else str(refusal)
    return Probe(visit.tenant, operation, ok=False, detail=detail)


def _azure(source: Source) -> AzureSource:
    return cast("AzureSource", source)  # the programme loader hands each connector its own kind of source
