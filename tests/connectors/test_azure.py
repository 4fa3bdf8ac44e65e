"""The Entra and Azure connector against a local Graph that checks every request by Microsoft's own schema."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import azure, files
from connectors.azure.people import way_in
from connectors.azure.permissions import needed
from countersign.errors import ScopeDeniedError
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Record, Trust, uid
from countersign.privilege import LIMITED
from countersign.privilege import azure as rules
from countersign.programme import AzureSource, FilesSource
from countersign.reading import ReadRequest
from sandbox.graph import SandboxGraph, SandboxTenant
from sandbox.graph.tenant import APP_ROLES, DIRECTORY_ROLES, GRAPH_APP

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
PARTNER = "3f0e0000-0000-4000-8000-00000000ac3e"
STRANGER = "99999999-0000-4000-8000-000000000001"


class Read:
    """The records of one reading, by type."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(records)
        self.identities = {each.uid: each for each in self.records if isinstance(each, Identity)}
        self.credentials = {each.uid: each for each in self.records if isinstance(each, Credential)}
        self.grants = [each for each in self.records if isinstance(each, Grant)]
        self.trusts = [each for each in self.records if isinstance(each, Trust)]
        self.coverage = {each.operation: each for each in self.records if isinstance(each, Coverage)}

    def held_by(self, subject: str) -> list[tuple[str, str, str]]:
        return [(each.role, each.resource, each.via) for each in self.grants if each.identity_uid == subject]

    def trusting(self, subject: str) -> list[tuple[str, str, str | None]]:
        return [(each.party_kind, each.party, each.condition) for each in self.trusts if each.identity_uid == subject]


def source_of(tenant: SandboxTenant, graph: SandboxGraph, **settings: Any) -> AzureSource:
    settings = {"management": graph.address, **settings}
    return AzureSource(name="entra", tenant=tenant.id, graph=graph.address, authority=graph.address, ca=str(graph.ca), **settings)


def login(tenant: SandboxTenant, graph: SandboxGraph) -> TokenCredential:
    client, secret = tenant.reader()
    return ClientSecretCredential(
        tenant.id, client, secret, authority=graph.address, disable_instance_discovery=True, connection_verify=str(graph.ca)
    )


def read(tenant: SandboxTenant, graph: SandboxGraph, *, credential: TokenCredential | None = None, **settings: Any) -> Read:
    source = source_of(tenant, graph, **settings)
    request = ReadRequest(source=source, scope=azure.scopes(source)[0], run="r1", now=lambda: NOW)
    waits = []
    return Read(azure.read(request, credential=credential or login(tenant, graph), sleep=waits.append))


def subject(tenant: SandboxTenant, kind: str, native_id: str) -> str:
    return uid("azure", tenant.id, kind, native_id)


def test_a_small_estate_is_read_whole_and_every_operation_says_how_it_went(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("payroll", OLD)
    secret = tenant.secret(app.id, OLD, NOW + timedelta(days=90))
    guest = tenant.guest("pavel@acme.example", OLD)
    found = read(tenant, graph)
    assert {
        subject(tenant, "application", app.id),
        subject(tenant, "service-principal", app.service_principal),
        subject(tenant, "user", guest),
    } == set(found.identities)
    assert [subject(tenant, "client-secret", secret)] == list(found.credentials)
    assert {"complete"} == {row.state for row in found.coverage.values()}
    listing = found.coverage["GET /servicePrincipals"]
    assert (("service-principal", "client-secret", "certificate"), 1, 1) == (listing.covers, listing.rows, listing.independent_count)
    said = {(each.kind, each.field) for each in found.records if isinstance(each, Provenance)}
    assert {("application", "*"), ("service-principal", "*"), ("client-secret", "*"), ("user", "*")} <= said


def test_an_application_and_its_secret_say_what_graph_says_and_no_more(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    maker = tenant.application("deployer", OLD)
    app = tenant.application(
        "payroll",
        OLD,
        createdByAppId=maker.app_id,
        isDisabled=True,
        tags=["env:prod", "HideApp"],
        notes="owner: maria\npurpose: pays people",
    )
    secret = tenant.secret(app.id, OLD, NOW - timedelta(days=1))
    found = read(tenant, graph)
    told = found.identities[subject(tenant, "application", app.id)]
    assert ("payroll", (app.app_id,), "machine", False, OLD) == (told.name, told.aliases, told.track, told.enabled, told.created_at)
    assert subject(tenant, "service-principal", maker.service_principal) == told.created_by
    assert ("maria", "pays people", {"env": "prod", "owner": "maria", "purpose": "pays people"}) == (
        told.owner_claim,
        told.purpose,
        told.tags,
    )
    expired = found.credentials[subject(tenant, "client-secret", secret)]
    assert (True, OLD, NOW - timedelta(days=1), "unknown") == (
        expired.enabled,
        expired.created_at,
        expired.expires_at,
        expired.last_used_state,
    )
    principal = found.identities[subject(tenant, "service-principal", app.service_principal)]
    assert ({"created_at", "last_active_at"}, None) == (set(principal.unknown), principal.created_at)
    assert "q~8" not in str([each for each in found.records if isinstance(each, Observation | Credential)]).replace(secret, "")


def test_a_service_principal_that_another_tenant_published_is_that_tenants_to_use(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    theirs = tenant.foreign("Acme Operations", PARTNER, createdByAppId=STRANGER, accountEnabled=False)
    microsofts = tenant.microsoft_graph()
    found = read(tenant, graph)
    told = found.identities[subject(tenant, "service-principal", theirs)]
    assert (False, STRANGER, False) == (told.enabled, told.created_by, told.provider_managed)
    assert [("entra-tenant", PARTNER, "app registration")] == found.trusting(told.uid)
    assert (True, []) == (found.identities[subject(tenant, "service-principal", microsofts)].provider_managed, found.trusting(microsofts))


def test_a_guest_administrator_is_known_by_the_address_at_home(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    guest = tenant.guest("pavel@acme.example", OLD, last_sign_in=NOW - timedelta(days=3))
    unmailed = tenant.guest("x_y@acme.example", OLD)
    tenant.change(unmailed, mail=None)
    made_member = tenant.guest("olga@acme.example", OLD, userType="Member")
    tenant.user("dev@northwind.example", OLD)
    tenant.directory_role(guest, "Global Administrator")
    found = read(tenant, graph)
    told = found.identities[subject(tenant, "user", guest)]
    assert ("pavel@acme.example", "human", True, True) == (told.name, told.track, told.enabled, told.console)
    assert (NOW - timedelta(days=3), "known", None) == (told.last_active_at, told.last_active_state, told.mfa)
    assert {"mfa"} == set(told.unknown)
    assert [("Global Administrator", "*", "direct")] == found.held_by(told.uid)
    assert ["administrator"] == [each.power for each in found.grants if each.identity_uid == told.uid]
    names = {found.identities[subject(tenant, "user", each)].name for each in (unmailed, made_member)}
    assert {"x_y@acme.example", "olga@acme.example"} == names
    assert 3 == sum(each.kind == "user" for each in found.identities.values())  # a member without a role is nobody's business


def test_owners_are_holders_of_a_privilege_and_never_accountable(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    people = [tenant.user(f"u{number}@northwind.example", OLD) for number in range(25)]
    robot = tenant.application("robot", OLD)
    owned = tenant.application("owned", OLD, owners=[*people, robot.service_principal])
    tenant.application("orphan", OLD)
    tenant.link(owned.service_principal, "owners", people[0])
    found = read(tenant, graph)
    told = found.identities[subject(tenant, "application", owned.id)]
    holders = [each for each in found.grants if each.role == "owner"]
    assert (27, {"owner"}) == (len(holders), {each.via for each in holders})
    assert 26 == sum(each.resource == f"applications/{owned.id}" for each in holders)
    assert ("owner", f"servicePrincipals/{owned.service_principal}", "owner") in found.held_by(subject(tenant, "user", people[0]))
    assert [("owner", f"applications/{owned.id}", "owner")] == found.held_by(subject(tenant, "service-principal", robot.service_principal))
    assert {rules.owner_of(LIMITED).power} == {each.power for each in holders}
    assert (None, 1) == (told.owner_claim, sum(each.path.endswith("/owners") for each in graph.requests))


def test_whoever_can_become_an_administrator_through_an_application_is_told_so(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    eve, adam = tenant.user("eve@northwind.example", OLD), tenant.user("adam@northwind.example", OLD)
    strong, weak = tenant.application("strong", OLD, owners=[eve]), tenant.application("weak", OLD, owners=[eve])
    tenant.app_role(strong.service_principal, "RoleManagement.ReadWrite.Directory", OLD)
    for app in (strong, weak):
        tenant.directory_role(adam, "Application Administrator", directoryScopeId=f"/{app.id}")
    found = read(tenant, graph)
    power = {(each.identity_uid, each.resource.rpartition("/")[2]): each.power for each in found.grants}
    for person in (eve, adam):
        told = subject(tenant, "user", person)
        assert ("escalation", "limited") == (power[told, strong.id], power[told, weak.id])
        assert "human" == found.identities[told].track  # also who only owns, since owning this is a privilege


def test_a_condition_on_an_assignment_is_weighed_by_the_rules(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("tool", OLD)
    (prod,) = tenant.azure.subscriptions
    tenant.azure.role(app.service_principal, "User Access Administrator", f"/subscriptions/{prod}", OLD, condition="@Request[x] == y")
    (grant,) = read(tenant, graph).grants
    definition = ("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*")
    assert rules.azure_role(definition, (), conditioned=True).power == grant.power


def test_federated_credentials_name_the_outside_party_and_what_narrows_it(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("deploy", OLD)
    build = tenant.federated(app.id, "https://token.acme.example", "repo:acme/deploy:ref:refs/heads/main")
    tenant.federated(app.id, f"https://login.microsoftonline.com/{PARTNER}/v2.0", STRANGER)
    tenant.federated(app.id, f"https://login.microsoftonline.com/{tenant.id}/v2.0", STRANGER)
    identity = tenant.managed_identity(
        "runner", "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/runner"
    )
    tenant.federated(identity, "https://cluster.example", "system:serviceaccount:a:b")
    found = read(tenant, graph)
    credential = found.credentials[subject(tenant, "federated-credential", build)]
    assert (subject(tenant, "application", app.id), None, False) == (
        credential.identity_uid,
        credential.expires_at,
        credential.never_expires,
    )
    expected = [("oidc-issuer", "https://token.acme.example", "repo:acme/deploy:ref:refs/heads/main"), ("entra-tenant", PARTNER, STRANGER)]
    assert expected == found.trusting(subject(tenant, "application", app.id))
    assert [("oidc-issuer", "https://cluster.example", "system:serviceaccount:a:b")] == found.trusting(
        subject(tenant, "service-principal", identity)
    )
    assert 4 == len(found.credentials)


def test_what_azure_rotates_and_second_halves_are_counted_and_not_told(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker"
    identity = tenant.managed_identity("worker", path)
    tenant.certificate(identity, OLD, NOW)
    tenant.azure.add("resources", path, tags={"Owner": "maria"}, properties={"principalId": identity})
    app = tenant.application("sso", OLD)
    pair = {
        "customKeyIdentifier": "c2FtbA==",
        "startDateTime": "2026-05-01T00:00:00.1234567Z",
        "endDateTime": "2029-05-01T02:00:00+02:00",
        "key": None,
        "displayName": "saml",
    }
    key, second = tenant.new_id("key"), tenant.new_id("key")
    tenant.change(
        app.service_principal,
        keyCredentials=[
            {**pair, "keyId": key, "type": "X509CertAndPassword", "usage": "Sign"},
            {**pair, "keyId": second, "type": "AsymmetricX509Cert", "usage": "Verify"},
        ],
    )
    found = read(tenant, graph)
    told = found.identities[subject(tenant, "service-principal", identity)]
    assert ("maria", f"isExplicit=True {path}") == (told.owner_claim, " ".join(told.aliases[1:]))
    credential = found.credentials[subject(tenant, "certificate", key)]
    assert (datetime(2026, 5, 1, 0, 0, 0, 123456, UTC), datetime(2029, 5, 1, tzinfo=UTC)) == (credential.created_at, credential.expires_at)
    assert 1 == len(found.credentials)
    dropped = {"credential of a managed identity, which Azure rotates": 1, "second half of a SAML signing certificate": 1}
    assert dropped == found.coverage["GET /servicePrincipals"].dropped


def test_permissions_are_told_from_the_side_of_what_offers_them(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("tool", OLD)
    own = tenant.add("servicePrincipals", displayName="api", appOwnerOrganizationId=tenant.id, appRoles=[
        {"id": tenant.new_id("role"), "value": "Everything.Do", "displayName": "x", "description": "x", "isEnabled": True, "allowedMemberTypes": ["Application"], "origin": "Application"}
    ])  # fmt: skip
    tenant.app_role(app.service_principal, "RoleManagement.ReadWrite.Directory", OLD)
    tenant.app_role(app.service_principal, "Everything.Do", OLD, resource=own)
    tenant.delegated(app.service_principal, "Mail.Read  User.Read")
    tenant.delegated(app.service_principal, "User.Read", principal=tenant.user("a@northwind.example", OLD))
    tenant.delegated(app.service_principal, "User.Read", principal=tenant.user("b@northwind.example", OLD))
    found = read(tenant, graph)
    expected = [
        ("RoleManagement.ReadWrite.Directory", "Microsoft Graph", "direct"),
        ("Everything.Do", "api", "direct"),
        ("Mail.Read", "Microsoft Graph", "delegated:everyone"),
        ("User.Read", "Microsoft Graph", "delegated:everyone"),
        ("User.Read", "Microsoft Graph", "delegated:some users"),
    ]
    assert Counter(expected) == Counter(found.held_by(subject(tenant, "service-principal", app.service_principal)))
    strong = next(each for each in found.grants if each.role == "RoleManagement.ReadWrite.Directory")
    verdict = rules.app_role(GRAPH_APP, strong.role)
    assert (verdict.power, verdict.rule) == (strong.power, strong.rule)
    assert 2 == sum(each.path.endswith("/appRoleAssignedTo") for each in graph.requests)


def test_roles_reach_people_through_groups_and_eligibility_and_from_other_tenants(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    eve, adam = tenant.user("eve@northwind.example", OLD), tenant.user("adam@northwind.example", OLD)
    outer, inner = tenant.add("groups", displayName="admins"), tenant.add("groups", displayName="inner")
    tenant.link(outer, "members", inner, eve)
    tenant.link(inner, "members", outer, adam)
    tenant.directory_role(outer, "Application Administrator", eligible=True)
    tenant.directory_role(eve, "User Administrator", directoryScopeId="/administrativeUnits/1")
    tenant.directory_role(STRANGER, "Global Administrator", organization=PARTNER)
    found = read(tenant, graph)
    assert [
        ("User Administrator", "/administrativeUnits/1", "direct"),
        ("Application Administrator", "*", "group:admins (eligible)"),
    ] == sorted(found.held_by(subject(tenant, "user", eve)), reverse=True)
    assert [("Application Administrator", "*", "group:admins (eligible)")] == found.held_by(subject(tenant, "user", adam))
    foreign = found.identities[subject(tenant, "foreign-principal", STRANGER)]
    assert ("delegation", True, [("entra-tenant", PARTNER, "named principal")]) == (
        foreign.track,
        foreign.enabled,
        found.trusting(foreign.uid),
    )
    assert [("Global Administrator", "*", "direct")] == found.held_by(foreign.uid)


def test_azure_tells_owners_of_subscriptions_and_what_lighthouse_hands_over(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app, eve = tenant.application("deployer", OLD), tenant.user("eve@northwind.example", OLD)
    prod = tenant.azure.subscription("prod")
    group = tenant.add("groups", displayName="operators")
    tenant.link(group, "members", eve)
    tenant.azure.role(app.service_principal, "Owner", f"/subscriptions/{prod}", OLD)
    tenant.azure.role(group, "Reader", f"/subscriptions/{prod}/resourceGroups/g", OLD, principal_type="Group")
    tenant.azure.role(STRANGER, "Owner", f"/subscriptions/{prod}", OLD, principal_type="ForeignGroup")
    registration = tenant.azure.lighthouse(PARTNER, prod, {STRANGER: "Contributor"}, name="Acme care")
    found = read(tenant, graph)
    holder = subject(tenant, "service-principal", app.service_principal)
    assert [("Owner", f"/subscriptions/{prod}", "direct")] == found.held_by(holder)
    owner = rules.azure_role(("*",), ())
    assert [(owner.power, owner.rule)] == [(each.power, each.rule) for each in found.grants if each.identity_uid == holder]
    assert [("Reader", f"/subscriptions/{prod}/resourceGroups/g", "group:operators")] == found.held_by(subject(tenant, "user", eve))
    handed = found.identities[subject(tenant, "lighthouse-delegation", registration.lower().strip("/"))]
    assert ("Acme care", "delegation", True) == (handed.name, handed.track, handed.enabled)
    assert [("entra-tenant", PARTNER, "named principals")] == found.trusting(handed.uid)
    assert [("Contributor", f"/subscriptions/{prod}", "lighthouse:Acme care Contributor")] == found.held_by(handed.uid)
    unplaced = found.identities[subject(tenant, "foreign-principal", STRANGER)]
    assert ({"trusts"}, []) == ({"trusts"} & set(unplaced.unknown), found.trusting(unplaced.uid))


@pytest.mark.parametrize(("configured", "readable", "reason"), [
    (False, True, "the source has no `management` address"),
    (True, True, "the reader sees no subscription"),
    (True, False, "it takes the role Reader"),
])  # fmt: skip
def test_without_azures_roles_nobodys_grants_are_complete(
    tenant: SandboxTenant, graph: SandboxGraph, *, configured: bool, readable: bool, reason: str
) -> None:
    app = tenant.application("tool", OLD)
    tenant.azure.readable = readable
    if readable:
        tenant.azure.subscriptions.clear()
    found = read(tenant, graph, management=graph.address if configured else None)
    assert reason in found.identities[subject(tenant, "service-principal", app.service_principal)].unknown["grants"]
    assert configured is any(each.path == "/subscriptions" for each in graph.requests)


BLOCKED = {"usersAndGroups": {"accessType": "blocked", "targets": [{"target": "AllUsers", "targetType": "user"}]}, "applications": None}
OPEN = {"usersAndGroups": {"accessType": "allowed", "targets": [{"target": "AllUsers", "targetType": "user"}]}, "applications": None}
SOME = {"usersAndGroups": {"accessType": "allowed", "targets": [{"target": STRANGER, "targetType": "group"}]}, "applications": None}


@pytest.mark.parametrize(("partner", "default", "expected"), [
    ({"isServiceProvider": True}, {}, (True, None)),
    ({"isServiceProvider": False}, {}, (True, "invitation")),
    ({}, {}, (True, "invitation")),
    ({}, None, (None, None)),
    ({"b2bCollaborationInbound": BLOCKED}, {}, (False, "blocked")),
    ({}, {"b2bCollaborationInbound": BLOCKED}, (False, "blocked")),
    ({"b2bDirectConnectInbound": OPEN}, {}, (True, None)),
    ({"b2bDirectConnectInbound": SOME}, {}, (True, "named users and groups; invitation")),
    ({"b2bDirectConnectInbound": SOME}, None, (True, "named users and groups")),
])  # fmt: skip
def test_a_partner_tenant_may_come_in_by_what_its_entry_and_the_default_say(
    partner: dict[str, object], default: dict[str, object] | None, expected: tuple[bool | None, str | None]
) -> None:
    assert expected == way_in(partner, default)


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["isServiceProvider", "b2bCollaborationInbound", "b2bDirectConnectInbound", "usersAndGroups", "accessType", "targets", "target"]), inner, max_size=4
), max_leaves=12)  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["isServiceProvider", "b2bCollaborationInbound", "b2bDirectConnectInbound"]), _json, max_size=3),
    st.none() | st.just({}),
)
def test_no_entry_of_a_partner_is_too_odd_and_none_that_is_blocked_is_open(
    partner: dict[str, object], default: dict[str, object] | None
) -> None:
    enabled, condition = way_in(partner, default)
    assert (enabled is False) is (condition == "blocked")


def test_partner_tenants_are_identities_that_trust_the_tenant(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    limited = "3f0e0000-0000-4000-8000-00000000ac3f"
    tenant.partner(PARTNER, service_provider=True)
    tenant.partner(limited, service_provider=True, roles=["Global Reader"])
    tenant.partner(STRANGER, b2bCollaborationInbound=BLOCKED)
    found = read(tenant, graph)
    assert [("entra-tenant", limited, f"roles {DIRECTORY_ROLES['Global Reader']}; invitation")] == found.trusting(
        subject(tenant, "partner-tenant", limited)
    )
    acme, other = (found.identities[subject(tenant, "partner-tenant", each)] for each in (PARTNER, STRANGER))
    assert ("delegation", True, [("entra-tenant", PARTNER, None)]) == (acme.track, acme.enabled, found.trusting(acme.uid))
    assert ({"grants"}, False) == ({"grants"} & set(acme.unknown), other.enabled)


def test_last_use_is_known_with_the_beta_reports_only(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app, idle = tenant.application("payroll", OLD), tenant.application("idle", OLD)
    shared = tenant.application("shared", OLD, signInAudience="AzureADMultipleOrgs")
    secret, unused = tenant.secret(app.id, OLD, NOW), tenant.secret(idle.id, OLD, NOW)
    used = NOW - timedelta(days=2)
    for each in (app, shared):
        tenant.signed_in(each.app_id, used)
    tenant.credential_used(app, secret, used)
    without = read(tenant, graph)
    assert {"unknown"} == {each.last_active_state for each in without.identities.values()}
    assert "`beta_reports` is off" in without.credentials[subject(tenant, "client-secret", secret)].unknown["last_used_at"]
    assert not [each for each in graph.requests if each.path.startswith("/beta")]
    found = read(tenant, graph, beta_reports=True)
    for told in (subject(tenant, "application", app.id), subject(tenant, "service-principal", app.service_principal)):
        assert (used, "known") == (found.identities[told].last_active_at, found.identities[told].last_active_state)
    assert "other tenants" in found.identities[subject(tenant, "application", shared.id)].unknown["last_active_at"]
    assert "unknown" == found.identities[subject(tenant, "service-principal", idle.service_principal)].last_active_state
    assert (used, "known") == (found.credentials[subject(tenant, "client-secret", secret)].last_used_at, "known")
    assert "unknown" == found.credentials[subject(tenant, "client-secret", unused)].last_used_state
    assert "beta" == found.coverage["GET /beta/reports/appCredentialSignInActivities"].error


def test_being_signed_in_to_is_no_use(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("api", OLD)
    when = {"lastSignInDateTime": "2026-11-20T00:00:00Z"}
    tenant.add("reports/servicePrincipalSignInActivities", appId=app.app_id, lastSignInActivity=when, delegatedResourceSignInActivity=when)
    found = read(tenant, graph, beta_reports=True)
    assert "unknown" == found.identities[subject(tenant, "service-principal", app.service_principal)].last_active_state


def test_where_sign_ins_are_refused_people_are_read_without_them(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    guest, admin = tenant.guest("pavel@acme.example", OLD, last_sign_in=OLD), tenant.user("eve@northwind.example", OLD, last_sign_in=OLD)
    tenant.directory_role(admin, "User Administrator")
    tenant.permissions.discard("AuditLog.Read.All")
    found = read(tenant, graph)
    for each in (guest, admin):
        told = found.identities[subject(tenant, "user", each)]
        assert (None, "unknown") == (told.last_active_at, told.last_active_state)
        assert "AuditLog.Read.All" in told.unknown["last_active_at"]
    assert {"complete"} == {row.state for row in found.coverage.values()}
    assert ("GET /users (guests)", 1) == (found.coverage["GET /users (guests)"].operation, found.coverage["GET /users (guests)"].rows)


def test_agents_say_when_they_were_created(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    agent = tenant.add(
        "servicePrincipals/microsoft.graph.agentIdentity",
        displayName="agent",
        agentIdentityBlueprintId=STRANGER,
        createdDateTime=OLD,
        servicePrincipalType="ServiceIdentity",
    )
    found = read(tenant, graph)
    assert OLD == found.identities[subject(tenant, "service-principal", agent)].created_at


def test_hostile_names_stay_what_they_are_and_break_nothing(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    names = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "../../etc/passwd", "\x1b[31mred", "x" * 10_000, "a\u202eb", "  "]
    apps = [tenant.application(name, OLD, tags=["owner=<b>", "countersign:self", name[:50]]) for name in names]
    group = tenant.add("groups", displayName=names[0])
    tenant.link(group, "members", apps[0].service_principal)
    tenant.directory_role(group, "Directory Readers")
    found = read(tenant, graph)
    told = [found.identities[subject(tenant, "application", app.id)] for app in apps]
    assert [*names[:-1], apps[-1].app_id] == [each.name for each in told]
    assert not any("countersign" in each.tags for each in told)
    assert [("Directory Readers", "*", f"group:{names[0]}")] == found.held_by(
        subject(tenant, "service-principal", apps[0].service_principal)
    )


def test_an_export_of_the_tenant_names_everything_alike(tenant: SandboxTenant, graph: SandboxGraph, tmp_path: Path) -> None:
    app = tenant.application("payroll", OLD, createdByAppId=STRANGER, tags=["owner:maria"])
    tenant.secret(app.id, OLD, NOW)
    tenant.certificate(app.id, OLD, NOW)
    theirs = tenant.foreign("Acme", PARTNER)
    tenant.secret(theirs, OLD, NOW)
    tenant.microsoft_graph()
    (tmp_path / "sp.json").write_text(json.dumps(list(tenant.objects["servicePrincipals"].values())))
    (tmp_path / "app.json").write_text(json.dumps(list(tenant.objects["applications"].values())))
    (tmp_path / "account.json").write_text(json.dumps({"tenantId": tenant.id, "homeTenantId": tenant.id, "environmentName": "AzureCloud"}))
    exports = FilesSource(name="exports", path=tmp_path)
    scopes = [scope for scope in files.scopes(exports) if scope.provider == "azure"]
    exported = Read(
        record for scope in scopes for record in files.read(ReadRequest(source=exports, scope=scope, run="r1", now=lambda: NOW))
    )
    found = read(tenant, graph)
    assert [tenant.id] == [scope.name for scope in scopes]
    alike = (
        "uid",
        "scope",
        "kind",
        "native_id",
        "name",
        "aliases",
        "track",
        "enabled",
        "provider_managed",
        "console",
        "created_by",
        "owner_claim",
        "tags",
    )
    assert 4 == len(exported.identities)
    for key, told in exported.identities.items():
        assert [getattr(told, name) for name in alike] == [getattr(found.identities[key], name) for name in alike]
    alike = ("uid", "identity_uid", "kind", "enabled", "created_at", "expires_at", "never_expires")
    assert 3 == len(exported.credentials)
    for key, secret in exported.credentials.items():
        assert [getattr(secret, name) for name in alike] == [getattr(found.credentials[key], name) for name in alike]
    assert exported.trusts == found.trusts


def test_credentials_of_another_tenant_read_nothing_and_both_are_named(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    other = graph.tenant(str(uuid4()))
    with pytest.raises(ScopeDeniedError, match=f"(?s){other.id}.*{tenant.id}"):
        read(tenant, graph, credential=login(other, graph))
    assert {"/v1.0/organization"} >= {
        each.path for each in graph.requests if "/oauth2/" not in each.path and ".well-known" not in each.path
    }


def test_what_is_called_is_what_is_declared(tenant: SandboxTenant, graph: SandboxGraph) -> None:
    app = tenant.application("tool", OLD)
    tenant.federated(app.id, "https://token.acme.example", "x")
    tenant.app_role(app.service_principal, "Mail.Read", OLD)
    tenant.partner(PARTNER, service_provider=True)
    tenant.add(
        "servicePrincipals/microsoft.graph.agentIdentity", displayName="agent", agentIdentityBlueprintId=STRANGER, createdDateTime=OLD
    )
    group = tenant.add("groups", displayName="admins")
    tenant.link(group, "members", tenant.user("eve@northwind.example", OLD))
    tenant.azure.role(group, "Owner", "/", OLD, principal_type="Group")
    tenant.permissions = set(azure.PERMISSIONS)
    found = read(tenant, graph, beta_reports=True)
    assert {"complete"} == {row.state for row in found.coverage.values()}
    paths = {each.path for each in graph.requests if each.path.startswith(("/v1.0/", "/beta/")) and not each.path.endswith("$batch")}
    assert {name for name in azure.PERMISSIONS if "/" not in name} == {needed(path) for path in paths}
    assert {"GET", "POST"} == {each.method for each in graph.requests}
    assert {"low"} == {each.headers.get("x-ms-throttle-priority") for each in graph.requests if not each.in_batch and each.with_token}


def test_permissions_come_as_an_administrator_installs_them() -> None:
    given_ = azure.permission_files()
    drills = {"drill.json", "drill.txt"}
    assert drills | {"read.json", "read.txt", "revoke.json", "revoke.txt", "azure-read-role.json", "azure-revoke-role.json"} == set(given_)
    for word, declared in (("read", azure.PERMISSIONS), ("revoke", azure.REVOKE_PERMISSIONS)):
        assert tuple(sorted(declared)) == declared
        (manifest,) = json.loads(given_[f"{word}.json"])
        listed = dict(line.split(" ") for line in given_[f"{word}.txt"].splitlines())
        assert (GRAPH_APP, [{"id": role, "type": "Role"} for role in listed.values()]) == (
            manifest["resourceAppId"],
            manifest["resourceAccess"],
        )
        assert [role for name, role in listed.items() if name in APP_ROLES] == [APP_ROLES[name] for name in listed if name in APP_ROLES]
        role = json.loads(given_[f"azure-{word}-role.json"])
        assert set(declared) == {*listed, *role["Actions"]}
    assert not [name for name in azure.PERMISSIONS if "Write" in name or name.endswith(("/write", "/delete", "/action"))]
