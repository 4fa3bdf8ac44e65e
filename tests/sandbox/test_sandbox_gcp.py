import http.client
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.transport.requests import AuthorizedSession
from google.cloud.asset_v1 import AssetServiceClient, ContentType
from google.cloud.asset_v1.services.asset_service.transports import AssetServiceGrpcTransport
from google.cloud.iam_admin_v1 import IAMClient
from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcTransport
from google.iam.v1.iam_policy_pb2 import SetIamPolicyRequest
from google.oauth2.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gcp import SandboxGcp
from sandbox.gcp.contract import Contract
from sandbox.gcp.paging import page

if TYPE_CHECKING:
    from sandbox.gcp.faults import Break

CREATED = datetime(2025, 3, 1, 8, 30, tzinfo=UTC)
ENDS = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
POOLS = "projects/p1/locations/global/workloadIdentityPools"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.read()


@pytest.fixture
def gcp(contract: Contract) -> Iterator[SandboxGcp]:
    with SandboxGcp(contract=contract) as cloud:
        yield cloud
        assert [] == cloud.broken_answers


@contextmanager
def clients(endpoint: str, secure: grpc.ChannelCredentials | None = None) -> Iterator[tuple[IAMClient, AssetServiceClient]]:
    with grpc.insecure_channel(endpoint) if secure is None else grpc.secure_channel(endpoint, secure) as channel:
        yield (
            IAMClient(transport=IAMGrpcTransport(channel=channel)),
            AssetServiceClient(transport=AssetServiceGrpcTransport(channel=channel)),
        )


def get(gcp: SandboxGcp, path: str, **query: Any) -> Any:
    return requests.get(f"{gcp.rest}/{path}", params=query, timeout=10)


def test_an_organization_of_five_projects_is_read_in_pages(gcp: SandboxGcp) -> None:
    org = gcp.organization("900")
    org.bind("roles/viewer", "domain:partner.example")
    projects = [gcp.project(f"p{n}", f"10{n}", organization=org) for n in range(1, 6)]
    gcp.project("elsewhere").service_account("other")
    for n in range(250):
        projects[0].service_account(f"sa-{n:03}")
    for n in range(1099):
        bucket = projects[n % 5].resource(f"//storage.googleapis.com/b{n}", "storage.googleapis.com/Bucket")
        bucket.bind("roles/storage.objectViewer", f"user:u{n}@partner.example")
    with clients(gcp.endpoint) as (iam, asset):
        accounts = iam.list_service_accounts(request={"name": "projects/p1", "page_size": 100})
        assert [100, 100, 50] == [len(each.accounts) for each in accounts.pages]
        policies = asset.search_all_iam_policies(request={"scope": "organizations/900", "page_size": 500})
        assert [500, 500, 100] == [len(each.results) for each in policies.pages]
        resources = list(asset.search_all_resources(request={"scope": "organizations/900", "page_size": 500}))
        assert 1 + 5 + 250 + 1099 == len(resources)
        assert 250 == len(list(asset.list_assets(request={"parent": "projects/101", "asset_types": ["iam.googleapis.com/ServiceAccount"]})))
        with pytest.raises(exceptions.InvalidArgument, match="Page token"):
            iam.list_service_accounts(request={"name": "projects/p2", "page_token": gcp.calls[0].parameters.get("pageToken") or "nonsense"})


@given(items=st.integers(0, 60), size=st.integers(0, 70), most=st.integers(1, 25))
def test_pages_together_are_the_list(items: int, size: int, most: int) -> None:
    rows, got, token = [{"n": n} for n in range(items)], [], ""
    while True:
        answer = page("rows", rows, {"scope": "s", "pageSize": size, "pageToken": token}, default=7, most=most)
        assert len(answer.get("rows", ())) <= most
        got += answer.get("rows", [])
        if not (token := answer.get("nextPageToken", "")):
            break
    assert rows == got


def test_keys_tell_their_times_and_by_rest_only_why_they_are_disabled(gcp: SandboxGcp) -> None:
    project = gcp.project("p1", "101")
    account = project.service_account(
        "deploy", "1122", created=CREATED, disabled=True, description="owner=a@example.com", display_name="Deploy"
    )
    project.key(account, "never", CREATED)
    project.key(account, "leaked", CREATED, ENDS, disabled=True, exposed=True, origin="USER_PROVIDED")
    project.key(account, "stolen", CREATED, compromised=True)
    project.key(account, "google", CREATED, ENDS, managed="SYSTEM_MANAGED")
    name = "projects/p1/serviceAccounts/deploy@p1.iam.gserviceaccount.com"
    with clients(gcp.endpoint) as (iam, _):
        (listed,) = iam.list_service_accounts(request={"name": "projects/101"})
        keys = {
            key.name.rpartition("/")[2]: key
            for key in iam.list_service_account_keys(request={"name": name, "key_types": ["USER_MANAGED"]}).keys
        }
        assert listed == iam.get_service_account(request={"name": "projects/-/serviceAccounts/1122"})
        assert 4 == len(iam.list_service_account_keys(request={"name": name}).keys)
    assert (name, "1122", True, "owner=a@example.com", "Deploy") == (
        listed.name,
        listed.unique_id,
        listed.disabled,
        listed.description,
        listed.display_name,
    )
    assert ["leaked", "never", "stolen"] == sorted(keys)
    assert (9999, False) == (keys["never"].valid_before_time.year, keys["never"].disabled)
    assert (CREATED, ENDS, True) == (keys["leaked"].valid_after_time, keys["leaked"].valid_before_time, keys["leaked"].disabled)
    by_rest = {key["name"].rpartition("/")[2]: key for key in get(gcp, f"v1/{name}/keys", keyTypes=["USER_MANAGED"]).json()["keys"]}
    assert "SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED" == by_rest["leaked"]["disableReason"]
    assert "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_COMPROMISE_DETECTED" == by_rest["stolen"]["extendedStatus"][0]["key"]
    assert {"name", "validAfterTime", "validBeforeTime", "keyAlgorithm", "keyOrigin", "keyType"} == by_rest["never"].keys()
    missing = [get(gcp, f"v1/projects/{project}/serviceAccounts/nobody").status_code for project in ("p1", "-", "no-such-project")]
    assert [404, 403, 404] == missing


def test_policies_are_searched_by_what_their_bindings_say(gcp: SandboxGcp) -> None:
    org = gcp.organization("900")
    org.bind("roles/resourcemanager.organizationAdmin", "user:admin@example.com")
    project = gcp.project("p1", "101", organization=org)
    account = project.service_account("deploy", "1122")
    project.bind("roles/owner", "user:guest@partner.example", condition="request.time < timestamp('2027-01-01T00:00:00Z')")
    project.bind("roles/viewer", "group:team@example.com")
    project.bind("roles/viewer", "allUsers", "group:team@example.com")
    account.bind("roles/iam.serviceAccountTokenCreator", "serviceAccount:ci@partner.iam.gserviceaccount.com")
    with clients(gcp.endpoint) as (iam, asset):

        def found(scope: str, query: str = "") -> list[tuple[str, list[tuple[str, list[str]]]]]:
            results = asset.search_all_iam_policies(request={"scope": scope, "query": query})
            return [(each.resource.rpartition("/")[2], [(b.role, list(b.members)) for b in each.policy.bindings]) for each in results]

        owner, viewer = ("roles/owner", ["user:guest@partner.example"]), ("roles/viewer", ["group:team@example.com", "allUsers"])
        creator = ("roles/iam.serviceAccountTokenCreator", ["serviceAccount:ci@partner.iam.gserviceaccount.com"])
        assert [("p1", [owner, viewer]), ("1122", [creator])] == found("projects/101")
        assert ["900", "p1", "1122"] == [name for name, _ in found("organizations/900")]
        assert [("p1", [owner]), ("1122", [creator])] == found("organizations/900", "policy:partner")
        assert [("p1", [viewer])] == found("organizations/900", 'memberTypes:(allUsers OR group) AND resource:"p1"')
        assert [("900", [("roles/resourcemanager.organizationAdmin", ["user:admin@example.com"])]), ("p1", [owner])] == found(
            "organizations/900", "NOT memberTypes:serviceAccount NOT memberTypes=group"
        )
        with pytest.raises(exceptions.InvalidArgument, match="Invalid query"):
            found("projects/p1", "policy:(")
        (binding,) = iam.get_iam_policy(request={"resource": account.name, "options": {"requested_policy_version": 3}}).bindings
        assert creator == (binding.role, list(binding.members))
    policy = requests.post(f"{gcp.rest}/v3/projects/p1:getIamPolicy", json={"options": {"requestedPolicyVersion": 3}}, timeout=10).json()
    assert (3, "request.time < timestamp('2027-01-01T00:00:00Z')") == (policy["version"], policy["bindings"][0]["condition"]["expression"])


def test_assets_mirror_what_their_own_apis_say(gcp: SandboxGcp) -> None:
    project = gcp.project("p1", "101", organization=gcp.organization("900"), created=CREATED, labels={"owner": "a"})
    account = project.service_account("deploy", "1122", created=CREATED)
    project.key(account, "k1", CREATED, ENDS, disabled=True)
    with clients(gcp.endpoint) as (_, asset):
        (key,) = asset.list_assets(
            request={"parent": "organizations/900", "content_type": ContentType.RESOURCE, "asset_types": [".*ServiceAccountKey"]}
        )
        (found,) = asset.search_all_resources(request={"scope": "projects/p1", "query": "labels.owner:a state=ACTIVE"})
        (of_key,) = asset.search_all_resources(request={"scope": "projects/p1", "asset_types": ["iam.googleapis.com/ServiceAccountKey"]})
        assert [] == list(asset.list_assets(request={"parent": "projects/p1", "content_type": ContentType.IAM_POLICY}))
        account.bind("roles/iam.serviceAccountUser", "allAuthenticatedUsers")
        (policy,) = asset.list_assets(request={"parent": "projects/p1", "content_type": ContentType.IAM_POLICY})
        (masked,) = asset.search_all_resources(request={"scope": "projects/p1", "query": "displayName=p1", "read_mask": "name,createTime"})
    full_name = "//iam.googleapis.com/projects/p1/serviceAccounts/1122"
    assert ("", CREATED) == (masked.project, masked.create_time)
    assert (f"{full_name}/keys/k1", ["projects/101", "organizations/900"]) == (key.name, list(key.ancestors))
    assert get(gcp, f"v1/{account.name}/keys").json()["keys"] == [dict(key.resource.data)]
    assert (full_name, ["allAuthenticatedUsers"]) == (policy.name, list(policy.iam_policy.bindings[0].members))
    assert ("//cloudresourcemanager.googleapis.com/projects/p1", "projects/101", CREATED, "ACTIVE", {"owner": "a"}) == (
        found.name,
        found.project,
        found.create_time,
        found.state,
        dict(found.labels),
    )
    assert {"projectId": "p1"} == dict(found.additional_attributes)
    assert (CREATED, full_name) == (of_key.create_time, of_key.parent_full_resource_name)


def test_pools_say_whom_they_trust(gcp: SandboxGcp) -> None:
    org = gcp.organization("900")
    project = gcp.project("p1", "101", organization=org)
    project.pool("ci")
    project.pool("old", disabled=True)
    project.provider("ci", "github", oidc="https://token.actions.githubusercontent.com", audiences=["https://a.example"])
    project.provider("ci", "amazon", aws="123456789012", condition="attribute.aws_role == 'ci'", disabled=True)
    project.provider("ci", "saml", saml="<EntityDescriptor/>")
    project.provider("ci", "mtls", x509="PEM")
    org.workforce_pool("partner")
    org.workforce_provider("partner", "entra", oidc="https://login.example/v2.0", condition="true")
    assert [("ci", None), ("old", True)] == [
        (each["name"].rpartition("/")[2], each.get("disabled")) for each in get(gcp, f"v1/{POOLS}").json()["workloadIdentityPools"]
    ]
    first = get(gcp, f"v1/{POOLS}/ci/providers", pageSize=3).json()
    second = get(gcp, f"v1/{POOLS}/ci/providers", pageSize=3, pageToken=first["nextPageToken"]).json()
    github, amazon, saml, mtls = first["workloadIdentityPoolProviders"] + second["workloadIdentityPoolProviders"]
    assert {"issuerUri": "https://token.actions.githubusercontent.com", "allowedAudiences": ["https://a.example"]} == github["oidc"]
    assert "attributeCondition" not in github
    assert ({"accountId": "123456789012"}, "attribute.aws_role == 'ci'", True) == (
        amazon["aws"],
        amazon["attributeCondition"],
        amazon["disabled"],
    )
    assert ("<EntityDescriptor/>", "PEM") == (
        saml["saml"]["idpMetadataXml"],
        mtls["x509"]["trustStore"]["trustAnchors"][0]["pemCertificate"],
    )
    (pool,) = get(gcp, "v1/locations/global/workforcePools", parent="organizations/900").json()["workforcePools"]
    (entra,) = get(gcp, f"v1/{pool['name']}/providers").json()["workforcePoolProviders"]
    assert ("organizations/900", "https://login.example/v2.0") == (pool["parent"], entra["oidc"]["issuerUri"])
    assert 404 == get(gcp, f"v1/{POOLS}/nothing/providers").status_code


def test_last_use_is_told_by_the_day_and_only_of_what_was_seen(gcp: SandboxGcp) -> None:
    gcp.estate.observed_until = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
    project = gcp.project("p1", "101", organization=gcp.organization("900"))
    used, idle = project.service_account("used", "11"), project.service_account("idle", "12")
    project.service_account("unwatched", "13")
    key = project.key(used, "k1", CREATED)
    project.used(used, datetime(2026, 5, 2, 3, 0, tzinfo=UTC))
    project.used(key, datetime(2026, 5, 2, 8, 0, tzinfo=UTC))
    project.used(idle, None)

    def activities(parent: str, kind: str, **query: str) -> list[Any]:
        path = f"v1/{parent}/locations/global/activityTypes/{kind}/activities:query"
        return list(get(gcp, path, **query).json()["activities"])

    first, second = activities("organizations/900", "serviceAccountLastAuthentication")
    full_name = f"//iam.googleapis.com/{used.name}"
    assert {
        "fullResourceName": full_name,
        "activityType": "serviceAccountLastAuthentication",
        "observationPeriod": {"startTime": "2026-02-19T07:00:00Z", "endTime": "2026-05-20T07:00:00Z"},
        "activity": {
            "lastAuthenticatedTime": "2026-05-01T07:00:00Z",
            "serviceAccount": {"serviceAccountId": "11", "projectNumber": "101", "fullResourceName": full_name},
        },
    } == first
    assert "lastAuthenticatedTime" not in second["activity"]
    (of_key,) = activities(
        "projects/101", "serviceAccountKeyLastAuthentication", filter=f'activities.full_resource_name="{full_name}/keys/k1"'
    )
    assert ("2026-05-02T07:00:00Z", "11") == (
        of_key["activity"]["lastAuthenticatedTime"],
        of_key["activity"]["serviceAccountKey"]["serviceAccountId"],
    )


def test_api_keys_projects_and_roles(gcp: SandboxGcp) -> None:
    project = gcp.project("p1", "101", organization=gcp.organization("900"), created=CREATED, labels={"owner": "a"})
    project.api_key("u-1", "Maps", CREATED, restrictions={"apiTargets": [{"service": "maps.googleapis.com"}]})
    custom = project.role("deployer", "run.services.update", "run.services.get")
    (key,) = get(gcp, "v2/projects/p1/locations/global/keys").json()["keys"]
    assert ("u-1", "Maps", "2025-03-01T08:30:00Z", "maps.googleapis.com") == (
        key["uid"],
        key["displayName"],
        key["createTime"],
        key["restrictions"]["apiTargets"][0]["service"],
    )
    assert "keyString" not in key
    shown = get(gcp, "v3/projects/101").json()
    assert ("projects/101", "p1", "organizations/900", {"owner": "a"}) == tuple(
        shown[field] for field in ("name", "projectId", "parent", "labels")
    )
    assert (
        [shown]
        == get(gcp, "v3/projects", parent="organizations/900").json()["projects"]
        == get(gcp, "v3/projects:search").json()["projects"]
    )
    with clients(gcp.endpoint) as (iam, _):
        assert ["run.services.get", "run.services.update"] == list(iam.get_role(request={"name": custom}).included_permissions)
        assert (
            "iam.serviceAccounts.getAccessToken"
            in iam.get_role(request={"name": "roles/iam.serviceAccountTokenCreator"}).included_permissions
        )
        assert [(custom, [])] == [
            (each.name, list(each.included_permissions)) for each in iam.list_roles(request={"parent": "projects/p1"})
        ]
        (full,) = iam.list_roles(request={"parent": "projects/p1", "view": "FULL"})
        assert 2 == len(full.included_permissions)
        assert "roles/owner" in [each.name for each in iam.list_roles(request={})]


def test_a_refused_permission_a_refused_project_and_a_switched_off_api(gcp: SandboxGcp) -> None:
    for name in ("p1", "p2", "p3"):
        gcp.project(name, f"10{name[1]}", organization=gcp.organization("900"))
    gcp.deny("p1", "iam.serviceAccounts.list")
    gcp.deny("p2")
    gcp.disable_api("p3", "iam.googleapis.com")
    gcp.deny("organizations/900", "ListAssets")
    with clients(gcp.endpoint) as (iam, asset):
        refusals = {}
        for name in ("p1", "p2", "p3"):
            with pytest.raises(exceptions.PermissionDenied) as caught:
                iam.list_service_accounts(request={"name": f"projects/{name}"})
            refusals[name] = caught.value
        iam.list_roles(request={"parent": "projects/p1"})
        with pytest.raises(exceptions.PermissionDenied):
            asset.search_all_resources(request={"scope": "projects/102"})
        with pytest.raises(exceptions.PermissionDenied, match=r"cloudasset\.assets\.listResource"):
            asset.list_assets(request={"parent": "organizations/900", "content_type": "RESOURCE"})
        gcp.allow("organizations/900", "ListAssets")
        gcp.deny("organizations/900", "cloudasset.assets.listResource")
        assert [] == list(asset.list_assets(request={"parent": "organizations/900", "content_type": "IAM_POLICY"}))
        assert 4 == len(list(asset.search_all_resources(request={"scope": "organizations/900"})))
        gcp.allow("p2")
        assert [] == list(iam.list_service_accounts(request={"name": "projects/p2"}))
    said = "Permission 'iam.serviceAccounts.list' denied on resource '//cloudresourcemanager.googleapis.com/projects/p1' (or it may not exist)."
    assert (said, "IAM_PERMISSION_DENIED", "iam.serviceAccounts.list") == (
        refusals["p1"].message,
        refusals["p1"].reason,
        refusals["p1"].metadata["permission"],
    )
    assert ("SERVICE_DISABLED", "iam.googleapis.com") == (refusals["p3"].reason, refusals["p3"].metadata["service"])
    answer = get(gcp, "v1/projects/p3/serviceAccounts")
    assert (403, "PERMISSION_DENIED", "SERVICE_DISABLED") == (
        answer.status_code,
        answer.json()["error"]["status"],
        answer.json()["error"]["details"][0]["reason"],
    )


def test_throttling_says_when_to_come_back_only_if_told_to(gcp: SandboxGcp) -> None:
    gcp.project("p1")
    gcp.throttle(2)
    statuses = [get(gcp, "v1/projects/p1/serviceAccounts") for _ in range(4)]
    assert [200, 429, 200, 429] == [each.status_code for each in statuses]
    assert "Retry-After" not in statuses[1].headers
    gcp.throttle(2, retry_after_s=0.5, operation="iam.serviceAccounts.list")
    refused = next(each for each in (get(gcp, "v1/projects/p1/serviceAccounts") for _ in range(2)) if each.status_code == 429)
    assert ("0.5", "0.5s") == (refused.headers["Retry-After"], refused.json()["error"]["details"][1]["retryDelay"])
    with clients(gcp.endpoint) as (iam, _):
        with pytest.raises(exceptions.ResourceExhausted) as caught:
            [iam.list_service_accounts(request={"name": "projects/p1"}) for _ in range(2)]
        assert 500_000_000 == caught.value.details[1].retry_delay.nanos
        retry = Retry(predicate=if_exception_type(exceptions.ResourceExhausted), initial=0.001, maximum=0.001)
        for _ in range(4):
            iam.list_service_accounts(request={"name": "projects/p1"}, retry=retry)
        iam.list_roles(request={})


def test_answers_break_on_demand(gcp: SandboxGcp) -> None:
    project = gcp.project("p1")
    account = project.service_account("deploy", "1122")
    project.key(account, "k1", CREATED)
    accounts = "v1/projects/p1/serviceAccounts"
    with clients(gcp.endpoint) as (iam, asset):
        gcp.break_answer("unavailable", "ListServiceAccounts", times=1)
        assert [503, 200] == [get(gcp, accounts).status_code for _ in range(2)]
        gcp.break_answer("missing-id", times=2)
        assert [""] == [each.unique_id for each in iam.list_service_accounts(request={"name": "projects/p1"})]
        assert [None] == [each.get("uniqueId") for each in get(gcp, accounts).json()["accounts"]]
        gcp.break_answer("unknown-enum", times=2)
        with pytest.warns(UserWarning, match="Unrecognized KeyType"):
            assert [99] == [int(key.key_type) for key in iam.list_service_account_keys(request={"name": account.name}).keys]
        assert ["NEW_VALUE"] == [key["keyType"] for key in get(gcp, f"v1/{account.name}/keys").json()["keys"]]
        gcp.break_answer("unknown-enum", times=1)
        gcp.break_answer("missing-id", times=1)
        assert [("", "ACTIVE")] == [
            (each.name, each.state) for each in asset.search_all_resources(request={"scope": "projects/p1", "query": "state:active"})
        ]
        gcp.break_answer("not-json", times=2)
        with pytest.raises(exceptions.InternalServerError):
            iam.list_service_accounts(request={"name": "projects/p1"})
        assert get(gcp, accounts).text.startswith("<html>")
        gcp.break_answer("wrong-type", times=1)
        assert [] == get(gcp, accounts).json()
        gcp.break_answer("empty-page", times=2)
        assert [0, 1] == [len(each.accounts) for each in iam.list_service_accounts(request={"name": "projects/p1"}).pages]
        kinds: tuple[tuple[Break, int], ...] = (("page-token-repeats", 1), ("never-ends", 3))
        for kind, expected in kinds:
            gcp.heal()
            gcp.break_answer(kind)
            tokens, token = set(), ""
            for _ in range(3):
                answer = get(gcp, accounts, pageToken=token).json()
                assert 1 == len(answer["accounts"])
                tokens.add(token := answer["nextPageToken"])
            assert expected == len(tokens)
        gcp.heal()
        gcp.slow(60, "GetRole")
        with pytest.raises(exceptions.DeadlineExceeded):
            iam.get_role(request={"name": "roles/owner"}, timeout=0.2)
        assert {"accounts"} == get(gcp, accounts).json().keys()


def test_what_it_does_not_know_is_unimplemented(gcp: SandboxGcp) -> None:
    with clients(gcp.endpoint) as (iam, _), pytest.raises(exceptions.MethodNotImplemented):
        iam.set_iam_policy(request=SetIamPolicyRequest(resource="projects/p1/serviceAccounts/a"))
    assert 501 == requests.post(f"{gcp.rest}/v1/projects/p1/serviceAccounts/a:signBlob", json={}, timeout=10).status_code


def test_a_request_that_breaks_the_contract_is_refused_and_recorded(gcp: SandboxGcp) -> None:
    gcp.project("p1")
    answer = get(gcp, "v1/projects/p1/serviceAccounts", page_size=100)
    assert (400, "INVALID_ARGUMENT") == (answer.status_code, answer.json()["error"]["status"])
    assert [("GET /v1/projects/p1/serviceAccounts", ("unknown query parameter: page_size",))] == gcp.broken_requests
    with SandboxGcp() as unchecked:
        unchecked.project("p1")
        assert 200 == get(unchecked, "v1/projects/p1/serviceAccounts", page_size=100).status_code


def test_a_mistake_in_the_sandbox_itself_is_found_out(contract: Contract) -> None:
    with SandboxGcp(contract=contract) as gcp:
        project = gcp.project("p1")
        project.key(project.service_account("a"), "k", CREATED, origin="NOWHERE")
        assert 500 == get(gcp, f"v1/{project.accounts['a@p1.iam.gserviceaccount.com'].name}/keys").status_code
        assert "keys[].keyOrigin: not one of the enum's values: 'NOWHERE'" == gcp.broken_answers[0][1][0]


def test_over_tls_it_takes_its_own_token_only() -> None:
    with SandboxGcp(tls=True, anonymous=False) as gcp:
        gcp.project("p1").service_account("a")
        assert gcp.ca is not None
        trusted = grpc.ssl_channel_credentials(gcp.ca.read_bytes())
        ours = grpc.composite_channel_credentials(trusted, grpc.access_token_call_credentials(gcp.token))
        with clients(gcp.endpoint, ours) as (iam, _):
            assert 1 == len(list(iam.list_service_accounts(request={"name": "projects/p1"})))
        with clients(gcp.endpoint, trusted) as (iam, _), pytest.raises(exceptions.Unauthenticated):
            iam.list_service_accounts(request={"name": "projects/p1"})
        with AuthorizedSession(Credentials(token=gcp.token)) as session:  # type: ignore[no-untyped-call]
            assert 200 == session.get(f"{gcp.rest}/v1/projects/p1/serviceAccounts", verify=str(gcp.ca)).status_code
        assert 401 == requests.get(f"{gcp.rest}/v1/projects/p1/serviceAccounts", verify=str(gcp.ca), timeout=10).status_code
        strict = ssl.create_default_context(cafile=gcp.ca)
        strict.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
        connection = http.client.HTTPSConnection(gcp.rest.removeprefix("https://"), context=strict)
        connection.request("GET", "/v1/projects/p1/serviceAccounts", headers={"Authorization": f"Bearer {gcp.token}"})
        assert 200 == connection.getresponse().status
        connection.close()
        assert ["OK", "UNAUTHENTICATED", "OK", "UNAUTHENTICATED", "OK"] == [call.status for call in gcp.calls]


def test_it_remembers_what_was_asked_and_leaves_no_thread(contract: Contract) -> None:
    before = set(threading.enumerate())
    with SandboxGcp(contract=contract) as gcp, requests.Session() as kept_open:
        gcp.project("p1")
        with clients(gcp.endpoint) as (iam, _):
            iam.list_service_accounts(request={"name": "projects/p1", "page_size": 100})
        kept_open.get(f"{gcp.rest}/v1/projects/p1/serviceAccounts", params={"pageSize": 100}, timeout=10)
        kept_open.get(f"{gcp.rest}/v1/projects/p9/serviceAccounts", timeout=10)
        method = "iam.projects.serviceAccounts.list"
        assert [
            ("ListServiceAccounts", method, {"name": "projects/p1", "pageSize": 100}, "OK"),
            ("GET /v1/projects/p1/serviceAccounts", method, {"name": "projects/p1", "pageSize": "100"}, "OK"),
            ("GET /v1/projects/p9/serviceAccounts", method, {"name": "projects/p9"}, "NOT_FOUND"),
        ] == [(call.name, call.method, call.parameters, call.status) for call in gcp.calls]
        gcp.clear()
        assert [] == gcp.calls
    assert set() == set(threading.enumerate()) - before


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '=HYPERLINK("x")', "../../etc/passwd", "\x1b[31mred", "x" * 10_000, "ünï"])
def test_hostile_names_come_through_whole(gcp: SandboxGcp, name: str) -> None:
    project = gcp.project("p1")
    project.service_account("a", description=name, display_name=name)
    project.api_key("u", name, CREATED)
    with clients(gcp.endpoint) as (iam, asset):
        (account,) = iam.list_service_accounts(request={"name": "projects/p1"})
        (found,) = asset.search_all_resources(request={"scope": "projects/p1", "asset_types": ["apikeys.googleapis.com/Key"]})
    assert [name] * 3 == [account.description, account.display_name, found.display_name]


def test_googles_libraries_are_loaded_at_the_start_only() -> None:
    code = "import sys, sandbox.gcp; print([name for name in ('grpc', 'google.cloud.asset_v1', 'google.protobuf') if name in sys.modules])"
    assert "[]\n" == subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
