"""Microsoft's description of Graph, from the wheel and (where it lies at hand) from the schema itself: one set of facts."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from countersign.errors import CountersignError
from sandbox.graph.contract import VARIABLE, Contract
from sandbox.graph.schema import Member

WHEEL = next(iter((Path(sys.prefix) / "contracts").glob("msgraph_sdk-*.whl")), None)
BESIDE = Path(__file__).parents[2].parent / "shared" / "data" / "graph-slice.csdl.xml"
CSDL = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else BESIDE
SOURCES = ("wheel", *(("csdl", "both") if CSDL.is_file() else ()))
GUID = "3f0e5d0a-9a3c-4b7e-8a54-0c1d2e3f4a5b"
APP = f"/v1.0/applications/{GUID}"


@cache
def contract_of(source: str) -> Contract:
    if source == "csdl":
        return Contract.csdl(CSDL)
    if source == "both":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, str(CSDL))
            return Contract.found()
    assert WHEEL is not None, "the wheel of msgraph-sdk is not in the contracts folder of the virtual environment: run `make test`"
    return Contract.wheel(WHEEL)


@pytest.fixture(params=SOURCES)
def contract(request: pytest.FixtureRequest) -> Contract:
    return contract_of(request.param)


FACTS = [
    ("servicePrincipal", "createdByAppId", Member("Edm.String")),
    ("servicePrincipal", "isDisabled", Member("Edm.Boolean")),
    ("servicePrincipal", "appOwnerOrganizationId", Member("Edm.Guid")),
    ("servicePrincipal", "alternativeNames", Member("Edm.String", collection=True)),
    ("servicePrincipal", "keyCredentials", Member("keyCredential", collection=True)),
    ("servicePrincipal", "owners", Member("directoryObject", collection=True)),
    ("servicePrincipal", "id", Member("Edm.String")),
    ("servicePrincipal", "createdDateTime", None),
    ("agentIdentity", "createdDateTime", Member("Edm.DateTimeOffset")),
    ("agentIdentity", "sponsors", Member("directoryObject", collection=True)),
    ("agentIdentity", "appId", Member("Edm.String")),
    ("application", "createdDateTime", Member("Edm.DateTimeOffset")),
    ("application", "isDisabled", Member("Edm.Boolean")),
    ("application", "federatedIdentityCredentials", Member("federatedIdentityCredential", collection=True)),
    ("passwordCredential", "keyId", Member("Edm.Guid")),
    ("passwordCredential", "endDateTime", Member("Edm.DateTimeOffset")),
    ("crossTenantAccessPolicyConfigurationPartner", "isServiceProvider", Member("Edm.Boolean")),
    ("crossTenantAccessPolicyConfigurationPartner", "tenantId", Member("Edm.String")),
    ("unifiedRoleAssignment", "principalOrganizationId", Member("Edm.String")),
    ("unifiedRoleAssignment", "principal", Member("directoryObject")),
    ("oAuth2PermissionGrant", "consentType", Member("Edm.String")),
    ("user", "signInActivity", Member("signInActivity")),
    ("user", "userType", Member("Edm.String")),
    ("directoryAudit", "result", Member("operationResult")),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "name", "expected"), FACTS)
def test_the_facts_that_the_connector_rests_on(contract: Contract, type_: str, name: str, expected: Member | None) -> None:
    assert contract.member(type_, name) == expected


@pytest.mark.parametrize("type_", sorted({type_ for type_, _, _ in FACTS} | {
    "appRoleAssignment", "federatedIdentityCredential", "keyCredential", "organization", "requestSchedule", "auditActivityInitiator",
    "unifiedRoleAssignmentSchedule", "unifiedRoleEligibilitySchedule", "unifiedRoleDefinition", "crossTenantAccessPolicyInboundTrust",
}))  # fmt: skip
def test_no_source_says_other_than_the_wheel(contract: Contract, type_: str) -> None:
    wheel = contract_of("wheel").members(type_) or {}
    assert {name: wheel.get(name) for name in contract.members(type_) or {}} == contract.members(type_)


@pytest.mark.parametrize("path", [
    "/v1.0/servicePrincipals", "/v1.0/applications", APP, f"{APP}/owners", f"{APP}/federatedIdentityCredentials",
    f"/v1.0/applications(appId='{GUID}')", f"/v1.0/servicePrincipals/{GUID}/appRoleAssignedTo", f"/v1.0/servicePrincipals/{GUID}/owners",
    f"/v1.0/servicePrincipals/{GUID}/federatedIdentityCredentials", "/v1.0/servicePrincipals/microsoft.graph.agentIdentity",
    "/v1.0/applications/$count", "/v1.0/oauth2PermissionGrants", "/v1.0/roleManagement/directory/roleAssignments",
    "/v1.0/roleManagement/directory/roleAssignmentSchedules", "/v1.0/roleManagement/directory/roleEligibilitySchedules",
    "/v1.0/roleManagement/directory/roleDefinitions", "/v1.0/policies/crossTenantAccessPolicy/partners",
    "/v1.0/policies/crossTenantAccessPolicy/default", "/v1.0/policies/crossTenantAccessPolicy", "/v1.0/users", "/v1.0/organization",
    "/v1.0/auditLogs/directoryAudits", "/v1.0/applications/delta", "/beta/reports/servicePrincipalSignInActivities",
    "/beta/reports/appCredentialSignInActivities",
])  # fmt: skip
def test_the_paths_that_are_read_are_known(contract: Contract, path: str) -> None:
    assert contract.check_request("GET", path, {"$top": "999"}) == ()


QUERIES = [
    ("/v1.0/servicePrincipals", {"$select": "id,appId,createdByAppId,isDisabled,verifiedPublisher", "$filter": "tags/any(t:t eq 'x')"}),
    ("/v1.0/servicePrincipals", {"$filter": f"appOwnerOrganizationId ne {GUID} and accountEnabled eq true", "$count": "true"}),
    ("/v1.0/applications", {"$expand": "owners($select=id,displayName,userPrincipalName)", "$orderby": "displayName desc"}),
    ("/v1.0/users", {"$filter": "userType eq 'Guest' or externalUserState ne null", "$select": "id,signInActivity"}),
    ("/v1.0/roleManagement/directory/roleAssignments", {"$expand": "principal"}),
    (
        "/v1.0/auditLogs/directoryAudits",
        {"$filter": "activityDateTime ge 2026-01-01T00:00:00Z and initiatedBy/app/appId eq 'x' and result eq 'success'"},
    ),
    (f"{APP}/owners", {"$select": "id,userPrincipalName,appId"}),
]


@pytest.mark.parametrize(("path", "query"), QUERIES)
def test_good_queries_pass(contract: Contract, path: str, query: dict[str, str]) -> None:
    assert contract.check_request("GET", path, query) == ()


MISTAKES: list[tuple[str, str, dict[str, str], Any, str]] = [
    ("GET", "/v1.0/servicePrincipal", {}, None, "Resource not found for the segment 'servicePrincipal'"),
    ("GET", f"/v1.0/servicePrincipals/{GUID}/credentials", {}, None, "Resource not found for the segment 'credentials'"),
    ("GET", "/v1.0/reports/servicePrincipalSignInActivities", {}, None, "Resource not found for the segment"),
    ("GET", "/v1.0/reports/appCredentialSignInActivities", {}, None, "Resource not found for the segment"),
    ("GET", "/beta/servicePrincipals", {}, None, "not a beta path in use"),
    ("GET", "/v1.0/servicePrincipals", {"$select": "id,createdDateTime"}, None, "property named 'createdDateTime'"),
    ("GET", "/v1.0/servicePrincipals", {"$select": "id,lastSignInDateTime"}, None, "property named 'lastSignInDateTime'"),
    ("GET", "/v1.0/applications", {"$expand": "owner"}, None, "property named 'owner'"),
    ("GET", "/v1.0/applications", {"$expand": "passwordCredentials"}, None, "is not a navigation property"),
    ("GET", "/v1.0/applications", {"$expand": "owners($select=accountenabled)"}, None, "property named 'accountenabled'"),
    ("GET", "/v1.0/users", {"$filter": "usertype eq 'Guest'"}, None, "property named 'usertype'"),
    ("GET", "/v1.0/users", {"$filter": "userType = 'Guest'"}, None, "Invalid filter clause"),
    ("GET", "/v1.0/users", {"$filter": "accountEnabled eq 'true'"}, None, "incompatible types"),
    ("GET", "/v1.0/servicePrincipals", {"$filter": f"appOwnerOrganizationId eq '{GUID}'"}, None, "incompatible types"),
    ("GET", "/v1.0/auditLogs/directoryAudits", {"$filter": "activityDateTime ge yesterday1"}, None, "incompatible types"),
    ("GET", "/v1.0/users", {"$orderby": "name"}, None, "property named 'name'"),
    ("GET", "/v1.0/users", {"$limit": "10"}, None, "'$limit' is not supported"),
    ("GET", "/v1.0/applications/not-a-guid", {}, None, "Invalid object identifier"),
    ("PATCH", APP, {}, {"isDisabled": "true"}, "is not Edm.Boolean"),
    ("PATCH", APP, {}, {"disabled": True}, "property named 'disabled'"),
    ("PATCH", APP, {}, {"tokenEncryptionKeyId": "key-1"}, "is not Edm.Guid"),
    ("PATCH", APP, {}, {"passwordCredentials": [{"endDateTime": "2026-13-01T00:00:00Z"}]}, "is not Edm.DateTimeOffset"),
    ("PATCH", APP, {}, {"tags": "a,b"}, "is not a list"),
    ("POST", f"{APP}/removePassword", {}, {"keyId": "key-1"}, "is not Edm.Guid"),
    ("POST", f"{APP}/removePassword", {}, {"id": GUID}, "'id' is not one of the operation's"),
    ("POST", f"{APP}/disable", {}, {}, "Resource not found for the segment 'disable'"),
    ("POST", APP, {}, {}, "method is not allowed"),
    ("DELETE", "/v1.0/applications", {}, None, "method is not allowed"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_request_are_caught(contract: Contract, mistake: tuple[str, str, dict[str, str], Any, str]) -> None:
    *asked, expected = mistake
    problems = contract.check_request(*asked)
    assert [problem for problem in problems if expected in problem] != [], problems


def test_good_changes_pass(contract: Contract) -> None:
    assert contract.check_request("PATCH", APP, {}, {"isDisabled": True}) == ()
    assert contract.check_request("POST", f"{APP}/removePassword", {}, {"keyId": GUID}) == ()
    assert contract.check_request("POST", f"/v1.0/users/{GUID}/revokeSignInSessions", {}) == ()
    assert contract.check_request("DELETE", f"/v1.0/oauth2PermissionGrants/{GUID}", {}) == ()


ANSWERS: list[tuple[str, Any, str]] = [
    ("/v1.0/applications", {"value": {}}, "not a collection"),
    ("/v1.0/applications", {"value": [], "nextLink": "x"}, "'nextLink'"),
    ("/v1.0/applications", {"value": ["x"]}, "is not an object"),
    ("/v1.0/applications", {"value": [{"lastUsed": None}]}, "property named 'lastUsed'"),
    ("/v1.0/applications", {"value": [{"createdDateTime": "2026-01-01"}]}, "is not Edm.DateTimeOffset"),
    (f"{APP}/owners", {"value": [{"@odata.type": "#microsoft.graph.passwordCredential"}]}, "cannot be a passwordCredential"),
    ("/v1.0/auditLogs/directoryAudits", {"value": [{"result": "ok"}]}, "is not a member of operationResult"),
    ("/v1.0/users", {"value": [{"signInActivity": {"lastSignIn": None}}]}, "property named 'lastSignIn'"),
]


@pytest.mark.parametrize(("path", "body", "expected"), ANSWERS)
def test_mistakes_in_an_answer_are_caught(contract: Contract, path: str, body: Any, expected: str) -> None:
    problems = contract.check_response(path, body)
    assert [problem for problem in problems if expected in problem] != [], problems


def test_good_answers_pass(contract: Contract) -> None:
    owner = {"@odata.type": "#microsoft.graph.user", "id": GUID, "userPrincipalName": "a@b.example"}
    body = {
        "@odata.context": "x",
        "@odata.nextLink": "x",
        "value": [{"id": GUID, "createdDateTime": "9999-12-31T00:00:00.1234567Z", "owners": [owner]}],
    }
    assert contract.check_response("/v1.0/applications", body) == ()
    assert contract.check_response(f"{APP}/owners", {"value": [owner]}) == ()
    assert contract.check_response("/v1.0/applications/$count", b"7") == ()


def test_a_slice_is_no_reason_to_refuse_what_the_library_knows(contract: Contract) -> None:
    paths = (f"/v1.0/groups/{GUID}/transitiveMembers", f"/v1.0/policies/crossTenantAccessPolicy/partners/{GUID}/serviceProviderConstraints")
    problems = [contract.check_request("GET", path, {}) for path in paths]
    problems.append(contract.check_request("GET", "/v1.0/roleManagement/directory/roleAssignmentSchedules", {"$expand": "principal"}))
    whole = contract is not contract_of("csdl") if "csdl" in SOURCES else True
    assert [not each for each in problems] == [whole] * 3


def test_the_sign_in_reports_are_not_in_v1(contract: Contract) -> None:
    assert contract.members("servicePrincipalSignInActivity") is None
    assert contract.members("appCredentialSignInActivity") is None


def test_the_variable_names_the_schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "slice.xml"
    namespace = "http://docs.oasis-open.org/odata/ns/edm"
    file.write_text(f'<Schema xmlns="{namespace}"><EntityType Name="robot"><Property Name="id" Type="Edm.String"/></EntityType></Schema>')
    monkeypatch.setenv(VARIABLE, str(file))
    assert Contract.found().member("robot", "id") == Member("Edm.String")


def test_without_any_description_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(CountersignError, match="make test"):
        Contract.found()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing.xml"))
    with pytest.raises(CountersignError, match="names a file that is not there"):
        Contract.found()
