"""The local Graph as its clients meet it: azure-identity and azure-core over TLS."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, IncompleteReadError, ServiceResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ClientAssertionCredential, ClientSecretCredential, EnvironmentCredential

from sandbox.graph import SandboxGraph, SandboxTenant
from sandbox.graph.contract import Contract
from sandbox.graph.tenant import DIRECTORY_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = "3f0e5d0a-9a3c-4b7e-8a54-0c1d2e3f4a5b"
PARTNER = "9b1d7c11-2222-4333-8444-555566667777"
MAY = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
DIRECTORY_AUDIT = {"activityDateTime": MAY, "activityDisplayName": "Add service principal"}


@cache
def contract() -> Contract:
    return Contract.found()


@pytest.fixture
def graph() -> Iterator[SandboxGraph]:
    with SandboxGraph(contract=contract()) as running:
        yield running
        assert running.broken_answers == []


@pytest.fixture
def tenant(graph: SandboxGraph) -> SandboxTenant:
    return graph.tenant(TENANT)


def credential(graph: SandboxGraph, tenant: SandboxTenant, client: str | None = None, secret: str | None = None) -> ClientSecretCredential:
    own = tenant.reader()
    return ClientSecretCredential(
        tenant.id,
        client or own[0],
        secret or own[1],
        authority=graph.address,
        disable_instance_discovery=True,
        connection_verify=str(graph.ca),
    )


@contextmanager
def client(graph: SandboxGraph, tenant: SandboxTenant, *, scope: str | None = None, retries: int = 0) -> Iterator[Client]:
    policies = [
        UserAgentPolicy("test"),
        RetryPolicy(retry_total=retries, retry_backoff_factor=0),
        BearerTokenCredentialPolicy(credential(graph, tenant), scope or f"{graph.address}/.default"),
    ]
    with PipelineClient(graph.address, policies=policies, transport=RequestsTransport(connection_verify=str(graph.ca))) as pipeline:
        yield Client(graph.address, pipeline)


class Client:
    def __init__(self, address: str, pipeline: PipelineClient[HttpRequest, HttpResponse]) -> None:
        self.address = address
        self.pipeline = pipeline

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **query: str) -> HttpResponse:
        asked = "&".join(f"{'' if name == 'skip_token' else '$'}{name}={quote(value)}" for name, value in query.items())
        url = path if path.startswith("https:") else f"{self.address}{path}"
        return self.pipeline.send_request(HttpRequest(method, url + (f"?{asked}" if asked else ""), headers=headers))

    def get(self, path: str, **query: str) -> Any:
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text()
        return answer.json()

    def all(self, path: str, **query: str) -> list[Any]:
        found, link = [], path
        while link:
            page = self.get(link, **query)
            found, link, query = [*found, *page["value"]], page.get("@odata.nextLink"), {}
        return found

    def batch(self, *requests: dict[str, Any]) -> HttpResponse:
        return self.pipeline.send_request(HttpRequest("POST", f"{self.address}/v1.0/$batch", json={"requests": list(requests)}))

    def azure(self, query: str, **options: Any) -> HttpResponse:
        url = f"{self.address}/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
        body = {"query": query, "options": {f"${name}": value for name, value in options.items()}}
        return self.pipeline.send_request(HttpRequest("POST", url, json=body))


def code(answer: HttpResponse) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# ---- tokens ----


def test_one_login_serves_every_request_and_asks_for_two_things(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        c.get("/v1.0/organization")
        c.get("/v1.0/applications")
    assert [each.path for each in graph.requests] == [
        f"/{TENANT}/v2.0/.well-known/openid-configuration", f"/{TENANT}/oauth2/v2.0/token", "/v1.0/organization", "/v1.0/applications",
    ]  # fmt: skip
    assert graph.requests[1].body == ""
    assert [each.tenant for each in graph.requests[2:]] == [TENANT, TENANT]


def test_the_environment_logs_in(graph: SandboxGraph, tenant: SandboxTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    for name, value in tenant.environment().items():
        monkeypatch.setenv(name, value)
    found = EnvironmentCredential(authority=graph.address, disable_instance_discovery=True, connection_verify=str(graph.ca))
    assert found.get_token("https://graph.microsoft.com/.default").token != ""


def test_a_federated_credential_logs_in(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({"alg": "RS256"}, {"sub": "build"}, {"any": "thing"})
    ]
    given = {"authority": graph.address, "disable_instance_discovery": True, "connection_verify": str(graph.ca)}
    good = ClientAssertionCredential(tenant.id, tenant.reader()[0], lambda: ".".join(parts), **given)
    assert good.get_token(f"{graph.address}/.default").token != ""
    with pytest.raises(ClientAuthenticationError, match="AADSTS50027"):
        ClientAssertionCredential(tenant.id, tenant.reader()[0], lambda: "no.jwt", **given).get_token(f"{graph.address}/.default")


def test_bad_secret_unknown_app_and_unknown_tenant_are_told_apart(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    scope = "https://graph.microsoft.com/.default"
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential(graph, tenant, secret="wrong").get_token(scope)
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        credential(graph, tenant, client=PARTNER).get_token(scope)
    with pytest.raises(ClientAuthenticationError, match="AADSTS70011"):
        credential(graph, tenant).get_token("https://storage.azure.com/.default")
    unknown = ClientSecretCredential(
        PARTNER, "a", "b", authority=graph.address, disable_instance_discovery=True, connection_verify=str(graph.ca)
    )
    with pytest.raises((ClientAuthenticationError, ValueError)):
        unknown.get_token(scope)


@pytest.mark.parametrize(("scope", "graph_status", "arm_status"), [
    ("https://graph.microsoft.com/.default", 200, 401), ("https://management.azure.com/.default", 401, 200), (None, 200, 200),
])  # fmt: skip
def test_a_token_is_for_one_audience(
    graph: SandboxGraph, tenant: SandboxTenant, scope: str | None, graph_status: int, arm_status: int
) -> None:
    with client(graph, tenant, scope=scope) as c:
        assert (c.ask("/v1.0/organization").status_code, c.azure("resources").status_code) == (graph_status, arm_status)


def test_the_other_name_of_the_address_is_azures_alone(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant, scope=f"{graph.address.replace('127.0.0.1', 'localhost')}/.default") as c:
        assert (c.ask("/v1.0/organization").status_code, c.azure("resources").status_code) == (401, 200)


def test_a_token_shows_the_objects_of_its_own_tenant(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    graph.tenant(PARTNER).application("theirs", MAY)
    tenant.application("ours", MAY)
    with client(graph, tenant) as c:
        assert [each["displayName"] for each in c.all("/v1.0/applications")] == ["ours"]


def test_no_token_and_an_expired_token_are_refused_with_graphs_error(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with (
        client(graph, tenant) as c,
        PipelineClient(graph.address, policies=[], transport=RequestsTransport(connection_verify=str(graph.ca))) as bare,
    ):
        without = bare.send_request(HttpRequest("GET", f"{graph.address}/v1.0/users"))
        assert code(without) == (401, "InvalidAuthenticationToken")
        assert c.ask("/v1.0/users").status_code == 200
        graph.expire_tokens()
        assert code(c.ask("/v1.0/users")) == (401, "InvalidAuthenticationToken")


# ---- TLS ----


def test_the_certificate_stands_up_to_the_strict_rules_of_python_313(graph: SandboxGraph) -> None:
    context = ssl.create_default_context(cafile=str(graph.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    port = int(graph.address.rpartition(":")[2])
    for name in ("127.0.0.1", "localhost"):
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
            assert secure.version() == "TLSv1.3"


def test_a_client_that_never_shakes_hands_keeps_nobody_waiting(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with socket.create_connection(("127.0.0.1", int(graph.address.rpartition(":")[2]))), client(graph, tenant) as c:
        assert c.get("/v1.0/organization")["value"][0]["id"] == TENANT


# ---- reading ----


def test_1200_service_principals_come_whole_with_429s_in_between(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    made = [tenant.foreign(f"app {number}", PARTNER) for number in range(1200)]
    graph.throttle(3, retry_after=0)
    with client(graph, tenant, retries=6) as c:
        found = c.all("/v1.0/servicePrincipals", select="id,appOwnerOrganizationId", top="200")
    assert [each["id"] for each in found] == made
    assert {tuple(each) for each in found} == {("id", "appOwnerOrganizationId")}
    assert [each.status for each in graph.requests[2:]].count(429) == 2
    assert graph.resource_units[TENANT] == 6


def test_a_throttled_answer_may_lack_the_header(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        graph.throttle(1, retry_after=7, prefix="/v1.0/users")
        graph.throttle(1, retry_after=None, prefix="/v1.0/applications")
        assert [c.ask(f"/v1.0/{name}").headers.get("Retry-After") for name in ("users", "applications", "organization")] == [
            "7",
            None,
            None,
        ]


@pytest.mark.parametrize(("query", "size"), [({}, 100), ({"top": "7"}, 7), ({"top": "999"}, 130)])
def test_pages_have_the_size_asked_for(graph: SandboxGraph, tenant: SandboxTenant, query: dict[str, str], size: int) -> None:
    for number in range(130):
        tenant.add("oauth2PermissionGrants", clientId=PARTNER, resourceId=PARTNER, scope=str(number))
    with client(graph, tenant) as c:
        assert len(c.get("/v1.0/oauth2PermissionGrants", **query)["value"]) == size
        assert len(c.all("/v1.0/oauth2PermissionGrants", **query)) == 130


def test_select_leaves_everything_else_out_and_says_null_for_what_is_not_there(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    tenant.application("one", MAY, serviceManagementReference="CMDB-7")
    with client(graph, tenant) as c:
        page = c.get("/v1.0/applications", select="displayName,createdDateTime,isDisabled,serviceManagementReference,managerApplications")
    assert page["value"] == [{
        "displayName": "one", "createdDateTime": "2026-05-04T09:00:00Z", "isDisabled": None, "serviceManagementReference": "CMDB-7", "managerApplications": [],
    }]  # fmt: skip


def test_a_user_tells_little_unasked(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    tenant.guest("pavel@acme.example", MAY)
    with client(graph, tenant) as c:
        assert "userType" not in c.get("/v1.0/users")["value"][0]
        assert c.get("/v1.0/users", select="userType,externalUserState")["value"] == [
            {"userType": "Guest", "externalUserState": "Accepted"}
        ]


FILTERS = [
    ("userType eq 'Guest'", ["Pavel"]),
    ("userType eq 'guest' and accountEnabled eq true", ["Pavel"]),
    ("not (userType eq 'Guest')", ["maria"]),
    ("userType ne 'Guest'", ["maria"]),
    ("startswith(displayName,'Pa') or startswith(displayName,'ma')", ["maria", "Pavel"]),
    ("displayName in ('maria', 'nobody')", ["maria"]),
    ("createdDateTime ge 2026-05-31T23:00:00-01:00", ["Pavel"]),
    ("identities/any(i:i/issuer eq 'ExternalAzureAD')", ["Pavel"]),
    ("mail eq null", []),
    ("displayName eq 'O''Hara'", []),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
def test_filters(graph: SandboxGraph, tenant: SandboxTenant, wanted: str, expected: list[str]) -> None:
    tenant.user("maria@northwind.example", MAY)
    tenant.guest("pavel@acme.example", JUNE, displayName="Pavel")
    with client(graph, tenant) as c:
        asked = c.ask("/v1.0/users", filter=wanted, count="true", headers={"ConsistencyLevel": "eventual"}).json()
    assert ([each["displayName"] for each in asked["value"]], asked["@odata.count"]) == (expected, len(expected))


def test_an_advanced_filter_needs_the_header(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        assert code(c.ask("/v1.0/users", filter="userType ne 'Guest'")) == (400, "Request_UnsupportedQuery")
        assert c.ask("/v1.0/users/$count").status_code == 400
        assert c.ask("/v1.0/users/$count", headers={"ConsistencyLevel": "eventual"}).text() == "0"


def test_expanded_owners_are_cut_at_twenty_without_a_word(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    owners = [tenant.user(f"user{number}@northwind.example", MAY) for number in range(21)]
    app = tenant.application("crowded", MAY, owners=owners)
    with client(graph, tenant) as c:
        (found,) = c.get("/v1.0/applications", expand="owners($select=id)", select="id")["value"]
        assert found == {"id": app.id, "owners": [{"@odata.type": "#microsoft.graph.user", "id": owner} for owner in owners[:20]]}
        assert [each["id"] for each in c.all(f"/v1.0/applications/{app.id}/owners")] == owners


def test_grants_are_seen_from_both_sides(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    app = tenant.application("backup", MAY)
    given = tenant.app_role(app.service_principal, "Directory.ReadWrite.All", JUNE)
    tenant.delegated(app.service_principal, "User.Read Mail.Read")
    with client(graph, tenant) as c:
        (to,) = c.all(f"/v1.0/servicePrincipals/{tenant.microsoft_graph()}/appRoleAssignedTo", top="999")
        (of,) = c.all(f"/v1.0/servicePrincipals/{app.service_principal}/appRoleAssignments")
        (grant,) = c.all("/v1.0/oauth2PermissionGrants")
    assert (to, of["id"]) == (of, given)
    assert (to["principalDisplayName"], to["resourceDisplayName"], to["createdDateTime"]) == (
        "backup",
        "Microsoft Graph",
        "2026-06-01T00:00:00Z",
    )
    assert (grant["consentType"], grant["scope"]) == ("AllPrincipals", "User.Read Mail.Read")


def test_roles_are_read_with_their_principal(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    foreign = tenant.foreign("Acme Operations", PARTNER)
    tenant.directory_role(foreign, "Global Administrator", organization=PARTNER)
    tenant.directory_role(foreign, "User Administrator", eligible=True)
    with client(graph, tenant) as c:
        (found,) = c.all("/v1.0/roleManagement/directory/roleAssignments", expand="principal")
        (eligible,) = c.all("/v1.0/roleManagement/directory/roleEligibilitySchedules")
        roles = {each["id"]: each["displayName"] for each in c.all("/v1.0/roleManagement/directory/roleDefinitions")}
    assert (found["principalOrganizationId"], found["principal"]["@odata.type"]) == (PARTNER, "#microsoft.graph.servicePrincipal")
    assert [roles[each["roleDefinitionId"]] for each in (found, eligible)] == ["Global Administrator", "User Administrator"]


def test_what_else_an_estate_is_made_of(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    app = tenant.application("deployer", MAY)
    key = tenant.secret(app.id, MAY, JUNE, name="pipeline")
    tenant.certificate(app.service_principal, MAY, None)
    tenant.federated(app.id, "https://token.acme.example", "repo:acme/deploy")
    robot = tenant.managed_identity("vm-1", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm-1")
    agent = tenant.add(
        "servicePrincipals/microsoft.graph.agentIdentity", displayName="agent", createdDateTime=MAY, agentIdentityBlueprintId=PARTNER
    )
    tenant.link(agent, "sponsors", robot)
    group = tenant.add("groups", displayName="Operators", isAssignableToRole=True)
    outer = tenant.add("groups", displayName="Everybody")
    tenant.link(group, "members", robot, outer)
    tenant.link(outer, "members", group)
    tenant.partner(PARTNER, service_provider=True, roles=["User Administrator"])
    tenant.add("auditLogs/directoryAudits", **DIRECTORY_AUDIT)
    tenant.signed_in(app.app_id, JUNE)
    tenant.credential_used(app, key, JUNE)
    with client(graph, tenant) as c:
        assert [each["keyId"] for each in c.get(f"/v1.0/applications(appId='{app.app_id}')")["passwordCredentials"]] == [key]
        assert c.all(f"/v1.0/applications/{app.id}/federatedIdentityCredentials")[0]["issuer"] == "https://token.acme.example"
        assert c.get(f"/v1.0/servicePrincipals/{robot}")["servicePrincipalType"] == "ManagedIdentity"
        assert [each["@odata.type"] for each in c.all(f"/v1.0/servicePrincipals/{robot}/memberOf")] == ["#microsoft.graph.group"]
        (found,) = c.all("/v1.0/servicePrincipals/microsoft.graph.agentIdentity", expand="sponsors")
        assert [each["id"] for each in found["sponsors"]] == [robot]
        assert "#microsoft.graph.agentIdentity" in {each.get("@odata.type") for each in c.all("/v1.0/servicePrincipals")}
        assert [each["isServiceProvider"] for each in c.all("/v1.0/policies/crossTenantAccessPolicy/partners")] == [True]
        limits = c.get(f"/v1.0/policies/crossTenantAccessPolicy/partners/{PARTNER}/serviceProviderConstraints")
        assert limits["allowedRoleTemplateIds"] == [DIRECTORY_ROLES["User Administrator"]]
        assert {each["id"] for each in c.all(f"/v1.0/groups/{outer}/transitiveMembers", select="id")} == {robot, group, outer}
        assert c.get("/v1.0/policies/crossTenantAccessPolicy/default")["isServiceDefault"] is True
        assert len(c.all("/v1.0/auditLogs/directoryAudits", filter="activityDisplayName eq 'Add service principal'")) == 1
        assert (
            c.all("/beta/reports/servicePrincipalSignInActivities")[0]["lastSignInActivity"]["lastSignInDateTime"] == "2026-06-01T00:00:00Z"
        )
        assert c.all("/beta/reports/appCredentialSignInActivities")[0]["keyId"] == key


def test_what_is_not_there(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        assert code(c.ask(f"/v1.0/applications/{PARTNER}")) == (404, "Request_ResourceNotFound")
        assert code(c.ask(f"/v1.0/applications/{PARTNER}/owners")) == (404, "Request_ResourceNotFound")
        assert [code(c.ask("/v1.0/users", top=top))[0] for top in ("0", "1000", "x")] == [400, 400, 400]
        assert code(c.ask("/v1.0/users", skiptoken="made-up")) == (400, "BadRequest")
        assert code(c.ask(f"/v1.0/applications/{PARTNER}", method="DELETE")) == (403, "Authorization_RequestDenied")


# ---- permissions ----

NEEDS = [
    ("/v1.0/servicePrincipals", "Application.Read.All"),
    ("/v1.0/servicePrincipals/microsoft.graph.agentIdentity", "AgentIdentity.Read.All"),
    ("/v1.0/applications", "Application.Read.All"),
    ("/v1.0/oauth2PermissionGrants", "Directory.Read.All"),
    ("/v1.0/roleManagement/directory/roleAssignments", "RoleManagement.Read.Directory"),
    ("/v1.0/roleManagement/directory/roleEligibilitySchedules", "RoleManagement.Read.Directory"),
    ("/v1.0/policies/crossTenantAccessPolicy/partners", "Policy.Read.All"),
    ("/v1.0/users", "User.Read.All"),
    ("/v1.0/auditLogs/directoryAudits", "AuditLog.Read.All"),
    ("/beta/reports/servicePrincipalSignInActivities", "AuditLog.Read.All"),
]


@pytest.mark.parametrize(("path", "permission"), NEEDS)
def test_each_path_needs_its_permission(graph: SandboxGraph, tenant: SandboxTenant, path: str, permission: str) -> None:
    with client(graph, tenant) as c:
        tenant.permissions = {permission}
        assert c.ask(path).status_code == 200
        tenant.permissions = {"Mail.Read"}
        assert code(c.ask(path)) == (403, "Authorization_RequestDenied")


def test_sign_in_times_need_a_permission_and_a_licence_or_nothing_comes(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    tenant.user("maria@northwind.example", MAY, last_sign_in=JUNE)
    with client(graph, tenant) as c:
        (found,) = c.all("/v1.0/users", select="signInActivity")
        assert (sorted(found), found["signInActivity"]["lastSignInDateTime"]) == (["id", "signInActivity"], "2026-06-01T00:00:00Z")
        tenant.permissions.discard("AuditLog.Read.All")
        assert code(c.ask("/v1.0/users", select="id,signInActivity")) == (403, "Authorization_RequestDenied")
        tenant.permissions.add("AuditLog.Read.All")
        tenant.premium = False
        assert code(c.ask("/v1.0/users", select="id,signInActivity")) == (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")


# ---- batches ----


def test_each_item_of_a_batch_is_judged_by_itself(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    app = tenant.application("one", MAY)
    graph.throttle(4, items=True, retry_after=3)
    tenant.permissions.discard("Policy.Read.All")
    paths = [
        f"/applications/{app.id}/owners?$select=id",
        "/policies/crossTenantAccessPolicy/partners",
        "applications?$select=nope",
        "/users",
    ]
    with client(graph, tenant) as c:
        answers = c.batch(*({"id": str(number), "method": "GET", "url": path} for number, path in enumerate(paths))).json()["responses"]
    found = {each["id"]: each for each in answers}
    assert [each["id"] for each in answers] == ["3", "2", "1", "0"]
    assert [found[str(number)]["status"] for number in range(4)] == [200, 403, 400, 429]
    assert found["0"]["body"]["value"] == []
    assert found["3"]["headers"]["Retry-After"] == "3"
    assert [(each.status, each.in_batch) for each in graph.requests[2:]] == [
        (200, False),
        (200, True),
        (403, True),
        (400, True),
        (429, True),
    ]


@pytest.mark.parametrize("count", [0, 21])
def test_a_batch_is_of_one_to_twenty(graph: SandboxGraph, tenant: SandboxTenant, count: int) -> None:
    with client(graph, tenant) as c:
        assert code(c.batch(*({"id": str(number), "method": "GET", "url": "/users"} for number in range(count)))) == (400, "BadRequest")


# ---- the contract ----


def test_a_wrong_name_is_refused_and_remembered(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        answer = c.ask("/v1.0/servicePrincipals", select="id,createdDateTime")
    assert "Could not find a property named 'createdDateTime'" in answer.text()
    assert graph.broken_requests == [
        "GET /v1.0/servicePrincipals: Could not find a property named 'createdDateTime' on type 'microsoft.graph.servicePrincipal'."
    ]


def test_an_object_that_graph_cannot_say_is_not_taken(tenant: SandboxTenant) -> None:
    with pytest.raises(ValueError, match="createdDateTime"):
        tenant.add("servicePrincipals", createdDateTime=MAY)
    with pytest.raises(ValueError, match=r"Edm\.Guid"):
        tenant.foreign("Acme", "acme")


def test_an_answer_that_graph_would_not_give_is_our_own_mistake() -> None:
    with SandboxGraph(contract=contract()) as graph:
        tenant = graph.tenant(TENANT)
        app = tenant.application("one", MAY)
        tenant.objects["applications"][app.id]["createdDateTime"] = "in May"
        with client(graph, tenant) as c:
            assert code(c.ask("/v1.0/applications")) == (500, "InternalServerError")
        (mistake,) = graph.broken_answers
        assert "createdDateTime is not Edm.DateTimeOffset: 'in May'" in mistake


def test_without_a_contract_only_own_names_are_known() -> None:
    with SandboxGraph() as graph:
        tenant = graph.tenant(TENANT)
        tenant.application("one", MAY)
        with client(graph, tenant) as c:
            for query in ({"select": "nope"}, {"filter": "nope eq 1"}, {"orderby": "nope"}, {"expand": "nope"}, {"top": "1", "limit": "2"}):
                assert code(c.ask("/v1.0/applications", **query)) == (400, "BadRequest")
            assert code(c.ask("/v1.0/applicants")) == (400, "BadRequest")
            assert code(c.ask("/beta/users")) == (400, "BadRequest")
            assert c.get("/v1.0/applications", select="displayName", expand="owners")["value"] == [{"displayName": "one", "owners": []}]
        assert len(graph.broken_requests) == 7


# ---- faults ----


def test_a_denied_path_denies_nothing_else(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    app = tenant.application("one", MAY)
    graph.deny("/v1.0/applications/*/owners")
    with client(graph, tenant) as c:
        assert code(c.ask(f"/v1.0/applications/{app.id}/owners")) == (403, "Authorization_RequestDenied")
        assert c.ask(f"/v1.0/applications/{app.id}").status_code == 200
        graph.heal()
        assert c.ask(f"/v1.0/applications/{app.id}/owners").status_code == 200


def test_spoilt_answers(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    tenant.application("one", MAY)
    path = "/v1.0/applications"
    with client(graph, tenant) as c:
        graph.break_answer(path, "503-once")
        assert [c.ask(path).status_code for _ in range(2)] == [503, 200]
        graph.break_answer(path, "500", times=2)
        assert [c.ask(path).status_code for _ in range(3)] == [500, 500, 200]
        graph.break_answer(path, "not-json", times=1)
        assert c.ask(path).text().startswith("<html>")
        graph.break_answer(path, "truncated", times=1)
        with pytest.raises(json.JSONDecodeError):
            json.loads(c.ask(path).text())
        graph.break_answer(path, "cut", times=1)
        with pytest.raises((IncompleteReadError, ServiceResponseError, HttpResponseError)):
            c.ask(path)
        graph.break_answer(path, "next-itself", times=1)
        assert c.get(path, top="5")["@odata.nextLink"] == f"{graph.address}{path}?$top=5"
        graph.break_answer(path, "next-elsewhere", times=1)
        assert c.get(path)["@odata.nextLink"] == f"{graph.address.replace('127.0.0.1', 'localhost')}{path}"
        tenant.application("two", MAY)
        graph.break_answer(path, "wrong-types", times=1)
        first, last = c.get(path)["value"]
        assert (first["id"], first["tags"], first["createdDateTime"], last) == (7, "none", 7, "not an object")
        assert c.get(path)["value"][0]["displayName"] == "one"


def test_a_slow_answer_ends_with_the_server() -> None:
    with SandboxGraph() as graph:
        tenant = graph.tenant(TENANT)
        graph.slow(600, prefix="/v1.0/users")
        with client(graph, tenant) as c:
            assert c.ask("/v1.0/applications").status_code == 200
            graph._faults.closing.set()
            assert c.ask("/v1.0/users").status_code == 200


# ---- Azure ----


def test_resource_graph_pages_what_a_query_asks_for(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    production = tenant.azure.subscription("production")
    for number in range(5):
        tenant.azure.role(f"principal-{number}", "Owner", f"/subscriptions/{production}", MAY)
    query = "authorizationresources | where type =~ 'Microsoft.Authorization/roleAssignments' | project id, principal = tostring(properties.principalId) | order by id asc"
    with client(graph, tenant) as c:
        first = c.azure(query, top=3)
        second = c.azure(query, top=3, skipToken=first.json()["$skipToken"]).json()
    assert {each["principal"] for each in [*first.json()["data"], *second["data"]]} == {f"principal-{number}" for number in range(5)}
    assert (first.json()["totalRecords"], second["count"], "$skipToken" in second) == (5, 2, False)
    assert first.headers["x-ms-user-quota-remaining"].isdecimal()


def test_a_query_that_drops_the_id_cannot_be_paged(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    with client(graph, tenant) as c:
        found = c.azure("authorizationresources | project name", top=2).json()
    assert ("$skipToken" in found, found["resultTruncated"]) == (False, "true")


def test_lighthouse_managed_identities_and_subscriptions(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    production = tenant.azure.subscription("production")
    tenant.azure.lighthouse(PARTNER, production, {PARTNER: "Contributor"})
    resource = f"/subscriptions/{production}/resourceGroups/ops/providers/Microsoft.ManagedIdentity/userAssignedIdentities/robot"
    robot = tenant.managed_identity("robot", resource)
    with client(graph, tenant) as c:
        (definition,) = c.azure("managedservicesresources | where type == 'microsoft.managedservices/registrationdefinitions'").json()[
            "data"
        ]
        (assignment,) = c.azure("ManagedServicesResources | where type == 'microsoft.managedservices/registrationassignments'").json()[
            "data"
        ]
        (found,) = c.azure("resources | where type =~ 'microsoft.managedidentity/userassignedidentities'").json()["data"]
        (subscription,) = c.get("/subscriptions?api-version=2022-12-01")["value"]
    assert (definition["properties"]["managedByTenantId"], assignment["properties"]["registrationDefinitionId"]) == (
        PARTNER,
        definition["id"],
    )
    assert (found["properties"]["principalId"], found["subscriptionId"], found["resourceGroup"]) == (robot, production, "ops")
    assert (subscription["displayName"], subscription["managedByTenants"]) == ("production", [{"tenantId": PARTNER}])


def test_without_a_role_there_is_no_subscription_and_no_query(graph: SandboxGraph, tenant: SandboxTenant) -> None:
    tenant.azure.subscription("production")
    tenant.azure.readable = False
    with client(graph, tenant) as c:
        assert c.get("/subscriptions?api-version=2022-12-01")["value"] == []
        assert code(c.azure("resources")) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    "query", ["robots", "resources | where type", "resources | join kind=inner (resources) on id", "resources | where type = 'x'"]
)
def test_a_query_with_a_mistake_is_refused(graph: SandboxGraph, tenant: SandboxTenant, query: str) -> None:
    with client(graph, tenant) as c:
        assert code(c.azure(query)) == (400, "BadRequest")
        assert code(c.ask("/subscriptions")) == (400, "MissingApiVersionParameter")
