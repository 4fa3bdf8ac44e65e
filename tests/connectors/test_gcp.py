from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import yaml

from connectors import files, gcp
from connectors.files.gcloud import ROTATED_BY_GOOGLE
from connectors.gcp import api_keys, keys
from connectors.gcp.door import Door
from connectors.gcp.permissions import CALLS, LOOKS, ORGANIZATION_ROLE, PROJECT_ROLE
from countersign.errors import ScopeDeniedError
from countersign.identity import CREDENTIAL_KINDS, Coverage, Credential, Grant, Identity, Observation, Record, Trust
from countersign.programme import FilesSource, GcpSource
from countersign.reading import ReadRequest, Scope
from sandbox.gcp import Account, Project, SandboxGcp
from sandbox.gcp.contract import Contract
from sandbox.gcp.iam import account_body, key_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Kind = TypeVar("Kind")
NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
ORGANIZATION, NUMBER = "123456789012", "100000000001"
POOL = f"iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools"
GITHUB = "https://token.actions.githubusercontent.com"


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.read()


@pytest.fixture
def cloud(contract: Contract) -> Iterator[SandboxGcp]:
    with SandboxGcp(contract=contract) as running:
        running.estate.observed_until = ago(2)
        yield running
        assert running.broken_requests == []
        assert running.broken_answers == []


@pytest.fixture
def project(cloud: SandboxGcp) -> Project:
    return cloud.project("northwind-prod", NUMBER, organization=cloud.organization(ORGANIZATION))


def source_of(cloud: SandboxGcp, **different: Any) -> GcpSource:
    usual = {"name": "google", "endpoint": cloud.endpoint, "rest": cloud.rest, "plaintext": True}
    return GcpSource(**(usual | ({} if "organization" in different else {"projects": ("northwind-prod",)}) | different))


def enter(source: GcpSource) -> Door:
    return Door(source, sleep=lambda _seconds: None)


def read(cloud: SandboxGcp, scope: str = "northwind-prod", **source: Any) -> list[Record]:
    configured = source_of(cloud, **source)
    return read_scope(configured, next(one for one in gcp.scopes(configured, enter=enter) if one.name == scope))


def read_scope(source: GcpSource, scope: Scope) -> list[Record]:
    return list(gcp.read(ReadRequest(source=source, scope=scope, run="run:7", now=lambda: NOW), enter=enter))


def of(kind: type[Kind], records: Iterable[Record]) -> list[Kind]:
    return [record for record in records if isinstance(record, kind)]


def named(records: Iterable[Record]) -> dict[str, Identity]:
    return {record.name: record for record in of(Identity, records)}


def credentials(records: Iterable[Record]) -> dict[str, Credential]:
    return {record.uid.rpartition("/")[2]: record for record in of(Credential, records)}


def trusts(records: Iterable[Record], subject: str) -> set[tuple[str, str, str | None]]:
    return {(one.party_kind, one.party, one.condition) for one in of(Trust, records) if one.identity_uid == subject}


def grants(records: Iterable[Record], subject: str) -> set[tuple[str, str, str]]:
    return {(one.role, one.resource, one.via) for one in of(Grant, records) if one.identity_uid == subject}


def coverage(records: Iterable[Record]) -> dict[str, Coverage]:
    rows = of(Coverage, records)
    assert len(rows) == len({row.operation for row in rows})
    return {row.operation: row for row in rows}


def incomplete(records: Iterable[Record]) -> dict[str, str]:
    return {name: f"{row.state}: {row.error}" for name, row in coverage(records).items() if row.state != "complete"}


def account_uid(account: Account) -> str:
    return f"gcp:{account.project.project_id}:service-account/{account.unique_id}"


def member_uid(member: str, scope: str = "northwind-prod") -> str:
    return f"gcp:{scope}:member/{member}"


def test_an_account_says_what_it_is_and_since_when(cloud: SandboxGcp, project: Project) -> None:
    backup = project.service_account("backup", created=ago(80), description="owner=maria; purpose=nightly backup;note")
    frozen = project.service_account("frozen", disabled=True, display_name="Old reports")
    project.used(backup, ago(5))
    found = read(cloud)
    one, other = named(found)[backup.email], named(found)[frozen.email]
    assert (account_uid(backup), backup.unique_id, "machine", True, False) == (one.uid, one.native_id, one.track, one.enabled, one.console)
    assert (ago(80), "maria", "nightly backup") == (one.created_at, one.owner_claim, one.purpose)
    assert ("known", datetime(2026, 11, 16, 7, tzinfo=UTC), datetime(2026, 11, 19, 7, tzinfo=UTC)) == (
        one.last_active_state,
        one.last_active_at,
        one.use_seen_to,
    )
    assert {} == one.unknown
    assert (False, "Old reports", None) == (other.enabled, other.purpose, other.owner_claim)
    assert "Activity Analyzer has no row" in other.unknown["last_active_at"]
    assert {} == incomplete(found)


def test_not_seen_is_never_used_only_for_what_is_younger_than_the_watch(cloud: SandboxGcp, project: Project) -> None:
    young, old = project.service_account("young", created=ago(60)), project.service_account("old", created=ago(900))
    project.used(young, None)
    project.used(old, None)
    found = named(read(cloud))
    assert ("never", None, {}) == (found[young.email].last_active_state, found[young.email].last_active_at, found[young.email].unknown)
    assert "unknown" == found[old.email].last_active_state
    why = found[old.email].unknown["last_active_at"]
    assert "not seen to authenticate from 2026-08-21 to 2026-11-19" in why
    assert "domain-wide delegation, HMAC keys, and API keys" in why


def test_keys_say_whether_they_end_are_off_and_who_made_them(cloud: SandboxGcp, project: Project) -> None:
    backup = project.service_account("backup", description="owner=maria")
    project.key(backup, "endless", ago(400))
    project.key(backup, "ending", ago(10), expires=ago(-80))
    project.key(backup, "off", ago(10), disabled=True)
    project.key(backup, "uploaded", ago(10), origin="USER_PROVIDED")
    project.key(backup, "googles", ago(10), managed="SYSTEM_MANAGED")
    project.used(project.key(backup, "used", ago(10)), ago(3))
    found = read(cloud)
    held = credentials(found)
    assert {"endless", "ending", "off", "uploaded", "used"} == set(held)
    assert {"gcp:northwind-prod:service-account-key/endless"} == {held["endless"].uid}
    assert (ago(400), None, True, True) == (
        held["endless"].created_at,
        held["endless"].expires_at,
        held["endless"].never_expires,
        held["endless"].enabled,
    )
    assert (ago(-80), False) == (held["ending"].expires_at, held["ending"].never_expires)
    assert held["off"].enabled is False
    assert ("known", datetime(2026, 11, 18, 7, tzinfo=UTC)) == (held["used"].last_used_state, held["used"].last_used_at)
    assert ROTATED_BY_GOOGLE == keys.ROTATED_BY_GOOGLE
    assert {ROTATED_BY_GOOGLE: 1} == coverage(found)["cloudasset.assets.list"].dropped
    seen = [item for one in of(Observation, found) if one.operation.endswith("keys.list") for item in one.items]
    assert "USER_PROVIDED" in {item.get("keyOrigin") for item in seen}


def test_an_exposed_key_that_still_works_lets_anyone_in(cloud: SandboxGcp, project: Project) -> None:
    cases = {"leaked": {}, "stolen": {}, "stopped": {"disabled": True}, "over": {"expires": ago(1)}, "fine": {}}
    accounts = {name: project.service_account(name) for name in cases}
    for name, more in cases.items():
        project.key(accounts[name], f"key-{name}", ago(30), exposed=name not in {"stolen", "fine"}, compromised=name == "stolen", **more)
    found = read(cloud)
    assert {
        name for name in cases if trusts(found, account_uid(accounts[name])) == {("anyone", f"anyone who found key key-{name}", None)}
    } == {"leaked", "stolen"}
    seen = [item for one in of(Observation, found) if one.operation.endswith("keys.list") for item in one.items]
    assert ["SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_EXPOSED"] in [item["extendedStatus"] for item in seen]
    assert "a-public-repository" not in json.dumps([one.items for one in of(Observation, found)], default=str)


def test_keys_are_listed_account_by_account_only_where_there_are_some(cloud: SandboxGcp, project: Project) -> None:
    accounts = [project.service_account(f"account-{number:03d}") for number in range(230)]
    for account in accounts[:2]:
        project.key(account, f"key-{account.unique_id}", ago(5))
    found = read(cloud)
    assert 230 == len([one for one in of(Identity, found) if one.kind == "service-account"])
    assert (3, 230) == (coverage(found)[gcp.ACCOUNTS.name].pages, coverage(found)[gcp.ACCOUNTS.name].rows)
    assert 2 == len([call for call in cloud.calls if call.method == gcp.KEYS.name])


def test_without_cloud_asset_keys_are_still_read_one_account_at_a_time(cloud: SandboxGcp, project: Project) -> None:
    backup, idle = project.service_account("backup"), project.service_account("idle")
    project.key(backup, "k1", ago(5), exposed=True)
    cloud.disable_api("northwind-prod", "cloudasset.googleapis.com")
    found = read(cloud)
    assert {"k1"} == set(credentials(found))
    assert ("complete", ("service-account-key",)) == (coverage(found)[gcp.KEYS.name].state, coverage(found)[gcp.KEYS.name].covers)
    off = f"denied: the API cloudasset.googleapis.com is not enabled in projects/{NUMBER}; enable it there"
    names = ("cloudasset.searchAllResources", "cloudasset.assets.list", "cloudasset.searchAllIamPolicies")
    assert dict.fromkeys(names, off) == incomplete(found)
    assert {"created_at", "grants", "trusts", "last_active_at"} == set(named(found)[idle.email].unknown)
    assert () == coverage(found)["cloudasset.assets.list"].covers


def test_without_the_list_of_accounts_what_cloud_asset_knows_is_kept(cloud: SandboxGcp, project: Project) -> None:
    backup = project.service_account("backup", created=ago(80))
    project.key(backup, "k1", ago(5))
    project.bind("roles/owner", f"serviceAccount:{backup.email}")
    cloud.deny("northwind-prod", "iam.serviceAccounts.list")
    found = read(cloud)
    one = named(found)[backup.email]
    assert (account_uid(backup), None, ago(80)) == (one.uid, one.enabled, one.created_at)
    assert "iam.serviceAccounts.list" in one.unknown["enabled"]
    assert one.uid == credentials(found)["k1"].identity_uid
    assert {("roles/owner", "*", "direct")} == grants(found, one.uid)
    assert ["denied"] == [row.state for row in of(Coverage, found) if row.state != "complete"]


def test_where_only_the_details_of_keys_are_refused_exposure_is_unknown(cloud: SandboxGcp, project: Project) -> None:
    for name in ("a", "b"):
        project.key(project.service_account(f"with-key-{name}"), f"k{name}", ago(5))
    cloud.deny("northwind-prod", gcp.KEYS.permission)
    found = read(cloud)
    assert {"ka", "kb"} == set(credentials(found))
    assert all("were exposed was not read" in one.unknown["trusts"] for one in of(Identity, found))
    assert 1 == len([call for call in cloud.calls if call.method == gcp.KEYS.name]), "what is refused for one is refused for all"


def test_who_a_policy_names_becomes_a_member(cloud: SandboxGcp, project: Project) -> None:
    project.bind(
        "roles/viewer",
        "user:Pavel@Acme.example",
        "group:ops@acme.example",
        "domain:acme.example",
        "allUsers",
        "serviceAccount:bot@acme-ops.iam.gserviceaccount.com",
        "deleted:user:left@acme.example?uid=1",
        f"serviceAccount:service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com",
    )
    found = read(cloud)
    members = {one.native_id: (one.track, one.name, one.enabled, one.console) for one in of(Identity, found) if one.kind == "member"}
    assert members == {
        "user:Pavel@Acme.example": ("human", "Pavel@Acme.example", True, True),
        "group:ops@acme.example": ("delegation", "ops@acme.example", True, False),
        "domain:acme.example": ("delegation", "domain:acme.example", True, False),
        "allUsers": ("delegation", "allUsers", True, False),
        "serviceAccount:bot@acme-ops.iam.gserviceaccount.com": ("machine", "bot@acme-ops.iam.gserviceaccount.com", True, False),
    }
    assert {("email-domain", "acme.example", "Pavel@Acme.example")} == trusts(found, member_uid("user:Pavel@Acme.example"))
    assert {("email-domain", "acme.example", None)} == trusts(found, member_uid("group:ops@acme.example"))
    assert {("email-domain", "acme.example", None)} == trusts(found, member_uid("domain:acme.example"))
    assert {("anyone", "*", None)} == trusts(found, member_uid("allUsers"))
    bot = "serviceAccount:bot@acme-ops.iam.gserviceaccount.com"
    assert {("gcp-principal", "acme-ops", "bot@acme-ops.iam.gserviceaccount.com")} == trusts(found, member_uid(bot))
    assert {"deleted member": 1, "Google's own service agent": 1} == coverage(found)["cloudasset.searchAllIamPolicies"].dropped


def test_a_project_that_is_named_by_number_gets_its_id_where_it_can_be_seen(cloud: SandboxGcp, project: Project) -> None:
    cloud.project("northwind-data", "100000000002")
    cloud.project("acme-ops", "100000000003")
    cloud.deny("acme-ops")
    names = [f"serviceAccount:{number}-compute@developer.gserviceaccount.com" for number in ("100000000002", "100000000003", NUMBER)]
    project.bind("roles/viewer", *names)
    found = read(cloud)
    parties = [{party for _, party, _ in trusts(found, member_uid(name))} for name in names]
    assert [{"northwind-data"}, {"100000000003"}, set()] == parties
    assert {} == incomplete(found), "a project of somebody else is no gap"


def test_a_custom_role_is_judged_by_what_it_permits_and_unread_where_that_is_refused(cloud: SandboxGcp, project: Project) -> None:
    organization = cloud.organization(ORGANIZATION)
    harmless = project.role("harmless", "storage.objects.get")
    shared = organization.role("shared", "storage.objects.get")
    for name, role in (("one", harmless), ("two", shared)):
        project.bind(role, f"user:{name}@northwind.example")
    cloud.deny(f"organizations/{ORGANIZATION}", "iam.roles.get")
    found = read(cloud)
    assert {"one": "limited", "two": None} == {one.identity_uid[-len("one@northwind.example") :][:3]: one.power for one in of(Grant, found)}
    assert "iam.roles.get" in str(coverage(found)[ORGANIZATION_ROLE.name].error)
    assert "complete" == coverage(found)[PROJECT_ROLE.name].state


def test_grants_keep_their_place_and_their_condition(cloud: SandboxGcp, project: Project) -> None:
    backup = project.service_account("backup")
    bucket = project.resource("//storage.googleapis.com/orders", "storage.googleapis.com/Bucket")
    project.bind("roles/owner", f"serviceAccount:{backup.email}", condition="request.time < timestamp('2027-01-01T00:00:00Z')")
    bucket.bind("roles/storage.objectViewer", f"serviceAccount:{backup.email}", "projectOwner:northwind-prod")
    bucket.bind("roles/owner", "user:pavel@acme.example")
    found = read(cloud)
    assert grants(found, account_uid(backup)) == {
        ("roles/owner", "*", "condition: condition"),
        ("roles/storage.objectViewer", "//storage.googleapis.com/orders", "direct"),
    }
    owner = {one.power for one in of(Grant, found) if one.identity_uid == account_uid(backup) and one.resource == "*"}
    assert {"administrator"} == owner, "a conditional role is still a role"
    assert {"limited"} == {one.power for one in of(Grant, found) if one.identity_uid == member_uid("user:pavel@acme.example")}


def test_who_may_act_as_an_account_is_trusted_by_it(cloud: SandboxGcp, project: Project) -> None:
    deploy, other = project.service_account("deploy"), project.service_account("other")
    deploy.bind("roles/iam.serviceAccountTokenCreator", "user:pavel@acme.example", f"serviceAccount:{other.email}")
    deploy.bind("roles/iam.serviceAccountViewer", "user:reader@beta.example")
    deploy.bind(project.role("keymaker", "iam.serviceAccountKeys.create"), "serviceAccount:x@acme-ops.iam.gserviceaccount.com")
    found = read(cloud)
    assert trusts(found, account_uid(deploy)) == {
        ("email-domain", "acme.example", "pavel@acme.example"),
        ("gcp-principal", "acme-ops", "x@acme-ops.iam.gserviceaccount.com"),
    }
    resource = f"//iam.googleapis.com/projects/northwind-prod/serviceAccounts/{deploy.unique_id}"
    assert {("roles/iam.serviceAccountTokenCreator", resource, "direct")} == grants(found, account_uid(other))


def test_where_a_role_on_an_account_is_not_read_who_may_act_as_it_is_unknown(cloud: SandboxGcp, project: Project) -> None:
    deploy = project.service_account("deploy")
    deploy.bind(project.role("secret", "iam.serviceAccountKeys.create"), "user:pavel@acme.example")
    cloud.deny("northwind-prod", "iam.roles.get")
    found = read(cloud)
    assert set() == trusts(found, account_uid(deploy))
    assert "what projects/northwind-prod/roles/secret lets others do with it was not read" == named(found)[deploy.email].unknown["trusts"]


def test_a_provider_says_whom_it_lets_in_and_under_which_condition(cloud: SandboxGcp, project: Project) -> None:
    project.pool("ci", created=ago(50))
    project.provider("ci", "anyone", oidc=GITHUB)
    project.provider("ci", "ours", oidc=GITHUB, condition="assertion.repository_owner == 'northwind'")
    project.provider("ci", "aws", aws="111122223333")
    project.provider("ci", "saml", saml='<md:EntityDescriptor entityID="https://idp.acme.example"/>')
    project.provider("ci", "off", oidc=GITHUB, disabled=True)
    project.pool("closed", disabled=True)
    project.provider("closed", "in-it", oidc="https://token.acme.example")
    found = read(cloud)
    uid = "gcp:northwind-prod:workload-identity-provider/"
    assert {"ci/anyone": True, "ci/ours": True, "ci/aws": True, "ci/saml": True, "ci/off": False, "closed/in-it": False} == {
        one.native_id: one.enabled for one in of(Identity, found)
    }
    assert {("oidc-issuer", GITHUB, None)} == trusts(found, f"{uid}ci/anyone")
    assert {("oidc-issuer", GITHUB, "assertion.repository_owner == 'northwind'")} == trusts(found, f"{uid}ci/ours")
    assert {("aws-account", "111122223333", None)} == trusts(found, f"{uid}ci/aws")
    assert {("saml-provider", "https://idp.acme.example", None)} == trusts(found, f"{uid}ci/saml")
    assert {"delegation"} == {one.track for one in of(Identity, found)}
    assert ago(50) == named(found)["ci/ours"].created_at


def test_principals_of_a_pool_are_its_providers(cloud: SandboxGcp, project: Project) -> None:
    deploy = project.service_account("deploy")
    project.pool("ci")
    project.provider("ci", "github", oidc=GITHUB)
    project.pool("closed", disabled=True)
    project.provider("closed", "old", oidc="https://old.example")
    deploy.bind(
        "roles/iam.workloadIdentityUser", f"principalSet://{POOL}/ci/attribute.repository/acme/app", f"principalSet://{POOL}/closed/*"
    )
    project.bind("roles/viewer", f"principalSet://{POOL}/ci/*", f"principal://{POOL}/gone/subject/x")
    other = "principalSet://" + POOL.replace(NUMBER, "999999999999") + "/ci/*"
    project.bind("roles/viewer", other)
    found = read(cloud)
    provider = "gcp:northwind-prod:workload-identity-provider/ci/github"
    account = f"//iam.googleapis.com/projects/northwind-prod/serviceAccounts/{deploy.unique_id}"
    assert grants(found, provider) == {
        ("roles/viewer", "*", "direct"),
        ("roles/iam.workloadIdentityUser", account, "attribute.repository/acme/app"),
    }
    assert {("oidc-issuer", GITHUB, "attribute.repository/acme/app")} == trusts(found, account_uid(deploy)), (
        "a disabled pool lets nobody in"
    )
    assert {("gcp-principal", "999999999999", None)} == trusts(found, member_uid(other))
    assert {"principal of a pool that does not exist": 1} == coverage(found)["cloudasset.searchAllIamPolicies"].dropped


def test_workloads_of_the_projects_own_clusters_are_members_that_trust_nobody(cloud: SandboxGcp, project: Project) -> None:
    direct = f"principal://{POOL}/northwind-prod.svc.id.goog/subject/ns/default/sa/runner"
    linked = "serviceAccount:northwind-prod.svc.id.goog[default/runner]"
    project.bind("roles/viewer", direct, linked)
    found = read(cloud)
    assert {direct: "delegation", linked: "machine"} == {one.native_id: one.track for one in of(Identity, found)}
    assert [] == of(Trust, found)
    assert all("trusts" not in one.unknown for one in of(Identity, found))


def test_api_keys_belong_to_their_project_or_to_the_account_they_are_bound_to(cloud: SandboxGcp, project: Project) -> None:
    backup = project.service_account("backup")
    project.api_key("u-open", "Maps", ago(20))
    limits = {"apiTargets": [{"service": "translate.googleapis.com"}], "serverKeyRestrictions": {"allowedIps": ["192.0.2.1"]}}
    project.api_key("u-tied", "Translate", ago(10), restrictions=limits, service_account=backup.email)
    found = read(cloud)
    held = credentials(found)
    holder = f"gcp:northwind-prod:project/{NUMBER}"
    assert (holder, ago(20), None, False) == (
        held["u-open"].identity_uid,
        held["u-open"].created_at,
        held["u-open"].expires_at,
        held["u-open"].never_expires,
    )
    assert account_uid(backup) == held["u-tied"].identity_uid
    assert {api_keys.NO_USE} == {one.unknown["last_used_at"] for one in held.values()}
    assert {(api_keys.UNRESTRICTED, "*", "api-key:u-open")} == grants(found, holder)
    assert {("translate.googleapis.com", "*", "api-key:u-tied")} == grants(found, account_uid(backup))
    assert named(found)["northwind-prod"].provider_managed
    seen = [item for one in of(Observation, found) if one.operation.startswith("apikeys") for item in one.items]
    assert [(), ("apiTargets", "serverKeyRestrictions")] == [item["restricted"] for item in seen]


def test_an_api_that_is_off_is_a_gap_and_not_an_empty_list(cloud: SandboxGcp, project: Project) -> None:
    project.service_account("backup")
    cloud.disable_api("northwind-prod", "apikeys.googleapis.com")
    row = coverage(read(cloud))["apikeys.projects.locations.keys.list"]
    assert ("denied", "the API apikeys.googleapis.com is not enabled in projects/100000000001; enable it there") == (row.state, row.error)
    assert ("api-key", "project") == row.covers


def test_one_denied_project_of_five_is_denied_alone(cloud: SandboxGcp) -> None:
    organization = cloud.organization(ORGANIZATION)
    for number in range(1, 6):
        project = cloud.project(f"northwind-{number}", f"10000000000{number}", organization=organization)
        project.bind("roles/viewer", f"serviceAccount:{project.service_account('app').email}")
    cloud.project("elsewhere-1", "200000000001")
    cloud.deny("northwind-3")
    source = source_of(cloud, organization=ORGANIZATION)
    outcomes: dict[str, object] = {}
    for scope in gcp.scopes(source, enter=enter):
        try:
            outcomes[scope.name] = incomplete(read_scope(source, scope))
        except ScopeDeniedError as error:
            outcomes[scope.name] = error.message
    refusal = outcomes.pop("northwind-3")
    assert outcomes == {name: {} for name in ("northwind-1", "northwind-2", "northwind-4", "northwind-5", f"organizations/{ORGANIZATION}")}
    assert "every operation was refused" in str(refusal)
    assert "iam.serviceAccounts.list" in str(refusal)


def test_what_is_bound_at_the_organization_is_read_there(cloud: SandboxGcp, project: Project) -> None:
    organization = cloud.organization(ORGANIZATION)
    terraform = project.service_account("terraform")
    organization.workforce_pool("staff")
    organization.workforce_provider("staff", "okta", oidc="https://okta.example", condition="true")
    people = "principalSet://iam.googleapis.com/locations/global/workforcePools/staff/group/admins"
    outsider = "serviceAccount:x@acme-ops.iam.gserviceaccount.com"
    members = ("user:boss@northwind.example", f"serviceAccount:{terraform.email}", people, outsider)
    organization.bind("roles/resourcemanager.organizationAdmin", *members)
    project.bind("roles/viewer", "user:not-there@northwind.example", people)
    scope = f"organizations/{ORGANIZATION}"
    found = read(cloud, scope, organization=ORGANIZATION)
    assert {"boss@northwind.example", outsider.removeprefix("serviceAccount:"), "staff/okta"} == set(named(found))
    assert {("roles/resourcemanager.organizationAdmin", "*", "direct")} == grants(found, account_uid(terraform)), "no stranger here"
    provider = f"gcp:{scope}:workforce-provider/staff/okta"
    assert {("roles/resourcemanager.organizationAdmin", "*", "group/admins")} == grants(found, provider)
    assert {("oidc-issuer", "https://okta.example", "true")} == trusts(found, provider)
    assert {("gcp-principal", "acme-ops", "x@acme-ops.iam.gserviceaccount.com")} == trusts(found, member_uid(outsider, scope))
    assert {} == incomplete(found)
    in_project = named(read(cloud, "northwind-prod", organization=ORGANIZATION))[people]
    assert "not told in this scope" in in_project.unknown["trusts"]


def test_projects_that_cannot_be_listed_are_said_and_do_not_hide_the_configured_ones(cloud: SandboxGcp, project: Project) -> None:
    project.service_account("backup")
    cloud.deny(f"organizations/{ORGANIZATION}", "cloudasset.assets.searchAllResources")
    with pytest.raises(ScopeDeniedError, match=r"cloudasset\.assets\.searchAllResources"):
        gcp.scopes(source_of(cloud, organization=ORGANIZATION), enter=enter)
    both = source_of(cloud, organization=ORGANIZATION, projects=("northwind-prod",))
    configured, whole = gcp.scopes(both, enter=enter)
    assert "northwind-prod" == configured.name
    assert "its projects were not listed" in incomplete(read_scope(both, whole))["cloudasset.searchAllResources"]


def test_each_call_that_is_made_is_declared_and_each_declared_one_is_made(cloud: SandboxGcp, project: Project) -> None:
    organization = cloud.organization(ORGANIZATION)
    backup = project.service_account("backup")
    project.key(backup, "k1", ago(5))
    project.pool("ci")
    organization.workforce_pool("staff")
    project.bind(project.role("custom"), "user:a@northwind.example")
    project.bind(organization.role("custom"), "user:a@northwind.example")
    project.bind("roles/viewer", "serviceAccount:999-compute@developer.gserviceaccount.com")
    for scope in (f"organizations/{ORGANIZATION}", "northwind-prod"):
        assert {} == incomplete(read(cloud, scope, organization=ORGANIZATION))
    declared = {call.name.partition(":")[0]: call for call in CALLS}
    assert set(declared) == {call.method for call in cloud.calls}
    kinds = {str(call.parameters["parent"]).rpartition("/")[2] for call in cloud.calls if call.method.startswith("policyanalyzer")}
    assert {"serviceAccountLastAuthentication", "serviceAccountKeyLastAuthentication"} == kinds
    assert tuple(sorted({call.permission for call in (*CALLS, *LOOKS)})) == gcp.PERMISSIONS


@pytest.mark.parametrize(
    "call", [call for call in CALLS if call not in {PROJECT_ROLE, ORGANIZATION_ROLE}], ids=lambda call: call.permission
)
def test_a_refusal_names_the_permission_and_leaves_the_rest(cloud: SandboxGcp, project: Project, call: Any) -> None:
    organization = cloud.organization(ORGANIZATION)
    organization.workforce_pool("staff")
    project.key(project.service_account("backup"), "k1", ago(5))
    project.pool("ci")
    source = source_of(cloud, organization=ORGANIZATION, projects=("northwind-prod",))
    *_, whole = gcp.scopes(source, enter=enter)
    cloud.deny("*", call.permission)
    workforce = "workforce" in call.name
    found = read_scope(source, whole if workforce else Scope("google", "gcp", "northwind-prod"))
    row = coverage(found)[call.name]
    assert "denied" == row.state
    assert call.permission in str(row.error)
    probed = [one for one in gcp.probe(source, enter=enter) if one.operation == call.name and not one.ok]
    assert probed
    assert all(call.permission in one.detail for one in probed)


def test_doctor_says_who_asks(cloud: SandboxGcp, project: Project) -> None:
    project.service_account("backup")
    assert {(True, "anonymous")} == {(one.ok, one.detail) for one in gcp.probe(source_of(cloud), enter=enter)}


def test_custom_roles_are_written_for_gcloud() -> None:
    roles = {name: yaml.safe_load(text) for name, text in gcp.permission_files().items()}
    held = {name: role["includedPermissions"] for name, role in roles.items()}
    assert {"drill-project.yaml", "read.yaml", "read-project.yaml", "revoke.yaml", "revoke-project.yaml"} == set(roles)
    assert all({"title", "description", "stage", "includedPermissions"} == set(role) for role in roles.values())
    assert (list(gcp.PERMISSIONS), list(gcp.REVOKE_PERMISSIONS)) == (held["read.yaml"], held["revoke.yaml"])
    assert sorted(set(held["read.yaml"]) - set(held["read-project.yaml"])) == [
        "iam.workforcePoolProviders.get",
        "iam.workforcePoolProviders.list",
        "iam.workforcePools.list",
        "resourcemanager.folders.getIamPolicy",
        "resourcemanager.organizations.getIamPolicy",
    ]
    assert not [one for one in held["revoke-project.yaml"] if "workforce" in one or "organizations" in one or "folders" in one]
    assert not [
        one
        for one in gcp.PERMISSIONS
        if not one.endswith((".get", ".list", ".query", ".listResource", ".getIamPolicy")) and ".searchAll" not in one
    ]


def test_hostile_names_are_kept_as_they_are_and_break_nothing(cloud: SandboxGcp, project: Project) -> None:
    bad = '=HYPERLINK("x")<script>\x1b[31m../../etc/passwd' + "A" * 10_000
    account = project.service_account("backup", description=f"owner={bad}", display_name=bad)
    project.api_key("u-1", bad, ago(5))
    project.pool("ci", display_name=bad)
    project.provider("ci", "x", oidc=GITHUB, condition=bad)
    project.bind("roles/viewer", f"user:{bad}@acme.example", bad, "serviceAccount:", f"serviceAccount:{bad}", f"principal://{bad}")
    account.bind("roles/iam.workloadIdentityUser", f"principalSet://{POOL}/ci/attribute.x/{bad}")
    found = read(cloud)
    assert bad == named(found)[account.email].owner_claim
    assert f"{bad}@acme.example" in named(found)
    assert {"cloudasset.searchAllIamPolicies": "partial: left out: member of an unknown type (2 times)"} == incomplete(found)
    assert all(len(one.via) <= 200 for one in of(Grant, found))


def test_every_credential_kind_is_one_that_the_core_knows(cloud: SandboxGcp, project: Project) -> None:
    project.key(project.service_account("backup"), "k1", ago(5))
    project.api_key("u-1", "Maps", ago(20))
    assert {one.kind for one in of(Credential, read(cloud))} <= CREDENTIAL_KINDS


def test_a_project_that_does_not_exist_is_refused_once(cloud: SandboxGcp) -> None:
    with pytest.raises(ScopeDeniedError, match="every operation was refused"):
        read(cloud)


def test_an_export_of_the_same_project_names_the_same_subjects(cloud: SandboxGcp, project: Project, tmp_path: Path) -> None:
    backup = project.service_account("backup", description="owner=maria;purpose=nightly backup")
    project.key(backup, "k1", ago(5))
    for name, content in (("accounts", [account_body(backup)]), ("keys", [key_body(key) for key in backup.keys.values()])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    folder = FilesSource(name="exports", provider="files", path=tmp_path)
    scope = next(one for one in files.scopes(folder) if one.provider == "gcp")
    exported = list(files.read(ReadRequest(source=folder, scope=scope, run="run:7", now=lambda: NOW)))
    found = read(cloud)
    assert list(named(exported)) == [backup.email]
    for one, other in (
        (named(exported)[backup.email], named(found)[backup.email]),
        (credentials(exported)["k1"], credentials(found)["k1"]),
    ):
        assert (one.uid, one.kind, one.scope) == (other.uid, other.kind, other.scope)
    assert (named(exported)[backup.email].owner_claim, named(exported)[backup.email].purpose) == ("maria", "nightly backup")
