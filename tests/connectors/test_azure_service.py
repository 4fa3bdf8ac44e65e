"""The Entra and Azure connector against a Graph that is busy, refuses, or answers nonsense; nobody waits here for real."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AccessToken, TokenCredential
from azure.identity import ClientSecretCredential
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import azure
from connectors.azure.door import asked_wait, wait
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity
from countersign.programme import AzureSource
from countersign.reading import ReadRequest
from sandbox.graph import Application, SandboxGraph, SandboxTenant
from sandbox.graph.faults import How

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
PARTNER = "3f0e0000-0000-4000-8000-00000000ac3e"


def source_of(tenant: SandboxTenant, graph: SandboxGraph, address: str | None = None, **settings: Any) -> AzureSource:
    given_ = {
        "graph": address or graph.address,
        "authority": graph.address,
        "management": graph.address,
        "ca": str(graph.ca),
        "beta_reports": True,
    }
    return AzureSource(name="entra", tenant=tenant.id, **{**given_, **settings})


def login(tenant: SandboxTenant, graph: SandboxGraph, secret: str | None = None) -> TokenCredential:
    client, right = tenant.reader()
    options = {"authority": graph.address, "disable_instance_discovery": True, "connection_verify": str(graph.ca)}
    return ClientSecretCredential(tenant.id, client, secret or right, **options)


class Read:
    """One reading to its end, with the waits it asked for."""

    def __init__(self, tenant: SandboxTenant, graph: SandboxGraph, *, credential: TokenCredential | None = None, **settings: Any) -> None:
        source = source_of(tenant, graph, **settings)
        request = ReadRequest(source=source, scope=azure.scopes(source)[0], run="r1", now=lambda: NOW)
        self.waits = []
        self.records = tuple(azure.read(request, credential=credential or login(tenant, graph), sleep=self.waits.append))
        self.identities = [each for each in self.records if isinstance(each, Identity)]
        self.credentials = [each for each in self.records if isinstance(each, Credential)]
        self.coverage = {each.operation: each for each in self.records if isinstance(each, Coverage)}
        self.states = {each.operation: each.state for each in self.coverage.values() if each.state != "complete"}


class Anyones:
    """A credential that is not of the SDK, with a token that says nothing of itself."""

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(f"token for {scopes[0]}", 4_102_444_800)


def peopled(tenant: SandboxTenant) -> Application:
    """Make an estate in which every operation has something to read."""
    app = tenant.application("payroll", OLD)
    tenant.federated(app.id, "https://token.acme.example", "x")
    tenant.secret(app.id, OLD, NOW)
    tenant.app_role(app.service_principal, "Mail.Read", OLD)
    tenant.delegated(app.service_principal, "User.Read")
    tenant.guest("pavel@acme.example", OLD)
    group = tenant.add("groups", displayName="admins")
    tenant.link(group, "members", tenant.user("eve@northwind.example", OLD))
    tenant.directory_role(group, "User Administrator")
    tenant.directory_role(group, "Directory Readers", eligible=True)
    tenant.partner(PARTNER, service_provider=True)
    (prod,) = tenant.azure.subscriptions
    tenant.azure.role(app.service_principal, "Owner", f"/subscriptions/{prod}", OLD)
    tenant.azure.lighthouse(PARTNER, prod, {PARTNER: "Contributor"})
    return app


def test_1200_service_principals_come_once_each_although_the_service_is_busy(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    made = {tenant.foreign(f"sp{number}", PARTNER) for number in range(1_200)}
    assert 1_200 == len(made)
    graph.throttle(2, prefix="/v1.0/servicePrincipals", retry_after=7)
    graph.throttle(3, retry_after=None)
    found = Read(tenant, graph)
    assert {} == found.states
    assert Counter(made) == Counter(each.native_id for each in found.identities)
    listing = found.coverage["GET /servicePrincipals"]
    assert (2, 1_200, 1_200) == (listing.pages, listing.rows, listing.independent_count)
    assert 7 in found.waits
    assert 429 in {each.status for each in graph.requests if each.path == "/v1.0/servicePrincipals"}


@pytest.mark.parametrize("retry_after", [5, None])
def test_of_a_batch_only_what_was_refused_is_asked_again(tenant: SandboxTenant, graph: SandboxGraph, retry_after: int | None) -> None:
    apps = [tenant.application(f"app{number}", OLD) for number in range(45)]
    for app in apps:
        tenant.federated(app.id, "https://token.acme.example", app.id)
    graph.throttle(4, prefix="/v1.0/applications/*/federatedIdentityCredentials", retry_after=retry_after, items=True)
    found = Read(tenant, graph)
    assert {} == found.states
    assert {app.id for app in apps} == {each.identity_uid.rpartition("/")[2] for each in found.credentials}
    asked = [each for each in graph.requests if each.path.endswith("/federatedIdentityCredentials")]
    answered = Counter(each.path for each in asked if each.status == 200)
    assert (45, {1}) == (len(answered), set(answered.values()))
    refused = sum(each.status == 429 for each in asked)
    assert (45 + refused, True) == (len(asked), refused > 10)
    assert found.waits
    assert all(seconds == 5 if retry_after else 0.5 <= seconds <= 60 for seconds in found.waits)


def test_a_service_that_stays_busy_is_given_up_and_said_so(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    peopled(tenant)
    graph.throttle(1, prefix="/v1.0/oauth2PermissionGrants", retry_after=11)
    graph.throttle(1, prefix="/v1.0/applications", retry_after=3_600)
    found = Read(tenant, graph)
    assert {"GET /oauth2PermissionGrants": "failed", "GET /applications": "failed"} == found.states
    assert "429 TooManyRequests" in found.coverage["GET /oauth2PermissionGrants"].error
    assert [11.0] * 6 == found.waits  # and an hour is not waited for at all


@pytest.mark.parametrize(("operation", "path", "permission", "kept"), [
    ("GET /servicePrincipals", "/v1.0/servicePrincipals", "Application.Read.All", {"application", "user", "partner-tenant", "lighthouse-delegation"}),
    ("GET /applications", "/v1.0/applications", "Application.Read.All", {"service-principal", "user", "partner-tenant", "lighthouse-delegation"}),
    ("GET /applications/*/federatedIdentityCredentials", "/v1.0/applications/*/federated", "Application.Read.All", None),
    ("GET /servicePrincipals/*/appRoleAssignedTo", "/v1.0/servicePrincipals/*/appRole", "Application.Read.All", None),
    ("GET /oauth2PermissionGrants", "/v1.0/oauth2", "Directory.Read.All", None),
    ("GET /roleManagement/directory/roleAssignments", "/v1.0/roleManagement/directory/roleAssignments", "RoleManagement.Read.Directory", None),
    ("GET /roleManagement/directory/roleEligibilitySchedules", "/v1.0/roleManagement/directory/roleElig", "RoleManagement.Read.Directory", None),
    ("GET /groups/*/members", "/v1.0/groups", "Directory.Read.All", {"application", "service-principal", "user", "partner-tenant", "lighthouse-delegation"}),
    ("GET /users (guests)", "/v1.0/users", "Directory.Read.All", {"application", "service-principal", "partner-tenant", "lighthouse-delegation"}),
    ("GET /policies/crossTenantAccessPolicy/partners", "/v1.0/policies", "Policy.Read.All", {"application", "service-principal", "user", "lighthouse-delegation"}),
    ("GET /beta/reports/servicePrincipalSignInActivities", "/beta/reports/servicePrincipalSignIn", "AuditLog.Read.All", None),
    ("GET /organization", "/v1.0/organization", "Directory.Read.All", None),
    ("Resource Graph: roleassignments", "/providers/Microsoft.ResourceGraph", "the role Reader", {"application", "service-principal", "user", "partner-tenant"}),
])  # fmt: skip
def test_a_denied_part_is_said_with_what_it_takes_and_the_rest_is_read(  # noqa: PLR0913, PLR0917 -- a table of cases
    tenant: SandboxTenant, graph: SandboxGraph, operation: str, path: str, permission: str, kept: set[str] | None
) -> None:
    peopled(tenant)
    graph.deny(path)
    found = Read(tenant, graph)
    assert "denied" == found.coverage[operation].state
    assert permission in found.coverage[operation].error
    assert (kept or {"application", "service-principal", "user", "partner-tenant", "lighthouse-delegation"}) == {
        each.kind for each in found.identities
    }
    assert [] == found.waits


@pytest.mark.parametrize(
    "path",
    [
        "/v1.0/servicePrincipals/*/appRole",
        "/v1.0/oauth2",
        "/v1.0/roleManagement/directory/roleAssignments",
        "/providers/Microsoft.ResourceGraph",
    ],
)
def test_a_denied_part_of_the_grants_leaves_them_unknown_and_not_none(tenant: SandboxTenant, graph: SandboxGraph, path: str) -> None:
    app = peopled(tenant)
    graph.deny(path)
    found = Read(tenant, graph)
    told = next(each for each in found.identities if each.native_id == app.service_principal)
    assert "403" in told.unknown["grants"]


def test_without_the_definitions_a_built_in_role_is_known_and_any_other_is_not(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    guest = tenant.guest("pavel@acme.example", OLD)
    tenant.directory_role(guest, "Global Administrator")
    tenant.add("roleManagement/directory/roleAssignments", principalId=guest, roleDefinitionId=PARTNER, principalOrganizationId=tenant.id)
    graph.deny("/v1.0/roleManagement/directory/roleDefinitions")
    powers = {each.role: each.power for each in Read(tenant, graph).records if type(each).__name__ == "Grant"}
    assert {"62e90394-69f5-4237-9190-012177145e10": "administrator", PARTNER: None} == powers


def test_a_reader_without_any_permission_is_one_denied_tenant(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    peopled(tenant)
    tenant.permissions.clear()
    tenant.azure.readable = False
    with pytest.raises(ScopeDeniedError, match="every operation was denied"):
        Read(tenant, graph)


@pytest.mark.parametrize(("how", "said", "waits"), [
    ("not-json", "not JSON", False),
    ("truncated", "not JSON", False),
    ("cut", "broke off", True),
    ("500", "500 InternalServerError", True),
    ("next-itself", "read before", False),
    ("next-elsewhere", "another host: localhost", False),
    ("wrong-types", "without an object id", False),
])  # fmt: skip
@pytest.mark.parametrize(
    ("path", "operation"), [("/v1.0/servicePrincipals", "GET /servicePrincipals"), ("/v1.0/applications", "GET /applications")]
)
def test_a_broken_answer_ends_as_a_row_that_says_so(  # noqa: PLR0913, PLR0917 -- a table of cases
    tenant: SandboxTenant, graph: SandboxGraph, path: str, operation: str, how: How, said: str, *, waits: bool
) -> None:
    peopled(tenant)
    graph.break_answer(path, how)
    found = Read(tenant, graph)
    assert found.coverage[operation].state in {"failed", "partial"}
    assert said in found.coverage[operation].error
    assert waits is bool(found.waits)
    assert {"user", "partner-tenant", "lighthouse-delegation"} <= {each.kind for each in found.identities}
    assert not [each for each in graph.requests if each.host.startswith("localhost")]


@pytest.mark.parametrize("how", ["500", "wrong-types"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1.0/$batch",
        "/providers/Microsoft.ResourceGraph",
        "/v1.0/users",
        "/beta/reports",
        "/v1.0/policies",
        "/v1.0/organization",
        "/subscriptions",
    ],
)
def test_no_part_can_break_the_rest(tenant: SandboxTenant, graph: SandboxGraph, path: str, how: How) -> None:
    app = peopled(tenant)
    graph.break_answer(path, how)
    found = Read(tenant, graph)
    assert app.service_principal in {each.native_id for each in found.identities}
    assert all("Error" not in (each.error or "").split(" ")[0] for each in found.coverage.values())


def test_once_out_of_order_is_asked_again(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    peopled(tenant)
    graph.break_answer("/v1.0/applications", "503-once")
    found = Read(tenant, graph)
    assert ({}, 1) == (found.states, len(found.waits))


def test_a_wrong_secret_is_a_denied_tenant_in_entras_own_words_without_the_secret(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    with pytest.raises(ScopeDeniedError, match="AADSTS7000215: Invalid client secret") as caught:
        Read(tenant, graph, credential=login(tenant, graph, secret="not-the-secret"))
    assert "not-the-secret" not in str(caught.value)


def test_the_environments_credentials_read_the_sources_tenant_whatever_tenant_they_name(
    tenant: SandboxTenant, graph: SandboxGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tenant.environment()
    for name, value in {**environment, "AZURE_TENANT_ID": PARTNER}.items():
        monkeypatch.setenv(name, value)
    tenant.foreign("Acme", PARTNER)
    source = source_of(tenant, graph)
    found = list(azure.read(ReadRequest(source=source, scope=azure.scopes(source)[0], run="r1", now=lambda: NOW)))
    assert ["Acme"] == [each.name for each in found if isinstance(each, Identity)]


def test_an_address_that_is_not_there_or_not_trusted_says_what_to_do(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    credential = login(tenant, graph)
    with pytest.raises(ReadError, match="did not answer"):
        Read(tenant, graph, credential=Anyones(), address="https://127.0.0.1:9")
    with pytest.raises(ReadError, match="name the PEM file of its authority in `ca`"):
        Read(tenant, graph, credential=credential, ca=None)
    with pytest.raises(ReadError, match="the file of `ca` cannot be used"):
        Read(tenant, graph, credential=credential, ca="/nowhere.pem")
    source = source_of(tenant, graph, authority="http://127.0.0.1:9")
    request = ReadRequest(source=source, scope=azure.scopes(source)[0], run="r1", now=lambda: NOW)
    with pytest.raises(ReadError, match="https"):
        list(azure.read(request))


def test_the_doctor_says_what_cannot_be_read_and_what_it_takes(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    peopled(tenant)
    well = list(azure.probe(source_of(tenant, graph), credential=login(tenant, graph)))
    assert [] == [each for each in well if not each.ok]
    tenant.permissions -= {"Policy.Read.All", "AuditLog.Read.All", "Directory.Read.All"}
    tenant.azure.readable = False
    ill = {each.operation: each.detail for each in azure.probe(source_of(tenant, graph), credential=login(tenant, graph)) if not each.ok}
    assert {
        "GET /organization", "GET /oauth2PermissionGrants", "GET /policies/crossTenantAccessPolicy/partners", "GET /users (signInActivity)", "GET /groups/*",
        "GET /beta/reports/servicePrincipalSignInActivities", "GET /beta/reports/appCredentialSignInActivities", "GET /subscriptions",
        "Resource Graph: roledefinitions", "Resource Graph: roleassignments", "Resource Graph: userassignedidentities", "Resource Graph: registrationassignments",
    } == set(ill)  # fmt: skip
    assert "it takes the application permission Policy.Read.All" in ill["GET /policies/crossTenantAccessPolicy/partners"]


def test_the_doctor_says_what_is_not_configured(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    found = list(azure.probe(source_of(tenant, graph, beta_reports=False, management=None), credential=login(tenant, graph)))
    assert {True} == {each.ok for each in found}
    said = " ".join(each.detail for each in found)
    assert ("`beta_reports` is off" in said, "no `management` address" in said) == (True, True)


def test_the_doctor_names_a_login_that_fails(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    (found,) = azure.probe(source_of(tenant, graph), credential=login(tenant, graph, secret="wrong"))
    assert (tenant.id, "token", False) == (found.scope, found.operation, found.ok)


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(0, 300)), st.integers(0, 20), st.floats(0, 1))
def test_waits_are_what_was_asked_else_double_up_to_a_minute(asked: float | None, attempt: int, chance: float) -> None:
    seconds = wait(asked, attempt, lambda: chance)
    assert asked == seconds if asked is not None else min(60, 2**attempt) / 2 <= seconds <= 60


@pytest.mark.parametrize(("headers", "seconds"), [
    ({}, None),
    ({"retry-after": "12"}, 12),
    ({"retry-after": "-1"}, 0),
    ({"retry-after": "Sun, 22 Nov 2026 02:00:30 GMT", "date": "Sun, 22 Nov 2026 02:00:00 GMT"}, 30),
    ({"retry-after": "Sun, 22 Nov 2026 02:00:30 GMT"}, None),
    ({"retry-after": "soon"}, None),
    ({"x-ms-user-quota-resets-after": "00:01:05"}, 65),
    ({"x-ms-user-quota-resets-after": "later"}, None),
])  # fmt: skip
def test_an_answer_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == asked_wait(headers)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-ms-user-quota-resets-after"]), st.text(max_size=30)))
def test_no_header_is_too_odd(headers: dict[str, str]) -> None:
    assert (asked_wait(headers) or 0) >= 0
