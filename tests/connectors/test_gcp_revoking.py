from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from google.oauth2 import service_account
from hypothesis import given
from hypothesis import strategies as st

from connectors import gcp
from connectors.gcp import door, revoking_login
from connectors.gcp.door import Door
from connectors.gcp.permissions import LOOKS, WRITES
from connectors.gcp.revoking_policy import Membership, bound, with_member, without
from countersign.identity import Credential, Grant, Identity, Record, Trust
from countersign.programme import GcpSource
from countersign.reading import ReadRequest, Scope
from countersign.revocation import Change, Holding, Left, RevocationDeniedError, RevocationError, revoker
from sandbox.gcp import Account, Project, SandboxGcp
from sandbox.gcp.contract import Contract

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from connectors.gcp.revoking import Hand

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
NUMBER, ORGANIZATION = "100000000001", "123456789012"
POOL = f"iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools"
TOKEN_CREATOR, GITHUB = "roles/iam.serviceAccountTokenCreator", "https://token.actions.githubusercontent.com"
BOB, EVE = "user:bob@acme.example", "user:eve@globex.example"
ROBOT = "serviceAccount:robot@acme-ops.iam.gserviceaccount.com"
PROJECT = Scope("google", "gcp", "northwind-prod")
WHOLE_ORGANIZATION = Scope("google", "gcp", f"organizations/{ORGANIZATION}")


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.read()


@pytest.fixture
def cloud(contract: Contract) -> Iterator[SandboxGcp]:
    with SandboxGcp(contract=contract) as running:
        yield running
        assert running.broken_requests == []
        assert running.broken_answers == []


@pytest.fixture
def project(cloud: SandboxGcp) -> Project:
    return cloud.project("northwind-prod", NUMBER, organization=cloud.organization(ORGANIZATION))


def source_of(cloud: SandboxGcp, **different: Any) -> GcpSource:
    usual: dict[str, Any] = {
        "name": "google",
        "projects": ("northwind-prod",),
        "endpoint": cloud.endpoint,
        "rest": cloud.rest,
        "plaintext": True,
    }
    return GcpSource(**(usual | different))


def enter(source: GcpSource) -> Door:
    return Door(source, sleep=lambda _seconds: None)


def read(cloud: SandboxGcp, scope: Scope = PROJECT) -> list[Record]:
    return list(gcp.read(ReadRequest(source=source_of(cloud), scope=scope, run="r", now=lambda: NOW), enter=enter))


def hand(cloud: SandboxGcp, scope: Scope = PROJECT) -> Hand:
    return gcp.hand(source_of(cloud), scope, run="acme", now=lambda: NOW, enter=enter, enter_to_write=enter)


def held(records: Iterable[Record], *, scope: Scope = PROJECT, partly: Sequence[str] = (), others: Sequence[str] = ()) -> Iterator[Holding]:
    """Give a holding for each record; `partly`: subjects that are not the partner's own."""
    for one in records:
        if not isinstance(one, Identity | Credential | Grant | Trust):
            continue
        what = {Identity: "identity", Credential: "credential", Grant: "grant", Trust: "trust"}[type(one)]
        uid = one.uid if isinstance(one, Identity | Credential) else ""
        whose = one.uid if isinstance(one, Identity) else one.identity_uid
        told = ("role", "resource", "via") if isinstance(one, Grant) else ("party_kind", "party", "condition")
        part = "" if uid else json.dumps([getattr(one, name) for name in told])
        kind = one.role if isinstance(one, Grant) else one.party_kind if isinstance(one, Trust) else one.kind
        yield Holding(
            uid=uid or f"{whose}#{what}/{part}",
            what=what,  # type: ignore[arg-type] # one of the four
            kind=kind,
            provider="gcp",
            source="google",
            scope=scope.name,
            identity_uid=whose,
            name=str(getattr(one, "name", None) or whose),
            whole=whose not in partly,
            how="a test says so",
            others=tuple(others),
            record=asdict(one),
        )


def of(cloud: SandboxGcp, *subjects: str, scope: Scope = PROJECT, **more: Any) -> tuple[Holding, ...]:
    """Give all that is held by some identities, as the connector reads it now."""
    found = held(read(cloud, scope), scope=scope, **more)
    return tuple(one for one in found if one.identity_uid in subjects)


def planned(one: Hand, holdings: Sequence[Holding], phase: Any = "disable") -> tuple[list[Change], list[Left]]:
    """Plan twice, since nothing has changed between, and check what a plan promises of every holding."""
    found = list(one.changes(holdings, phase, NOW))
    assert found == list(one.changes(holdings, phase, NOW))
    changes = sorted((each for each in found if isinstance(each, Change)), key=lambda each: each.place)
    left = [each for each in found if isinstance(each, Left)]
    assert len({each.id for each in changes}) == len(changes)
    for each in changes:
        assert one.look(each) == each.before != each.after
        json.dumps([each.before, each.after, dict(each.parameters)])
    return changes, left


def taken(changes: Iterable[Change], left: Iterable[Left] = ()) -> set[str]:
    return {uid for each in changes for uid in each.takes} | {each.uid for each in left}


def carried_out(one: Hand, changes: Iterable[Change]) -> None:
    for each in changes:
        one.write(each)
        assert one.look(each) == each.after


def account_uid(account: Account) -> str:
    return f"gcp:northwind-prod:service-account/{account.unique_id}"


def member_uid(member: str, scope: str = "northwind-prod") -> str:
    return f"gcp:{scope}:member/{member}"


def identities(records: Iterable[Record]) -> dict[str, bool | None]:
    return {one.uid: one.enabled for one in records if isinstance(one, Identity)}


def differing(before: Any, after: Any, path: str = "") -> set[str]:
    """Name the places where two snapshots differ."""
    if before == after:
        return set()
    if isinstance(before, dict) and isinstance(after, dict):
        return {place for key in before.keys() | after.keys() for place in differing(before.get(key), after.get(key), f"{path}/{key}")}
    return {path}


def actions(changes: Iterable[Change]) -> list[str]:
    return [each.action for each in changes]


def full_circle(cloud: SandboxGcp, holdings: Sequence[Holding], scope: Scope = PROJECT) -> list[Change]:
    """Disable, see that nothing is left to do, take it back in reverse, and disable again; gives the changes."""
    before = cloud.snapshot()
    with hand(cloud, scope) as one:
        changes, left = planned(one, holdings)
        assert left == []
        assert taken(changes) == {each.uid for each in holdings}
        assert all(each.reversible for each in changes)
        carried_out(one, changes)
        assert list(one.changes(holdings, "disable", NOW)) == []
        for each in reversed(changes):
            back = each.undone()
            one.write(back)
            assert one.look(back) == back.after
        assert cloud.snapshot() == before
        carried_out(one, changes)
    return changes


def test_an_account_its_keys_and_its_roles(cloud: SandboxGcp, project: Project) -> None:
    mine, other = project.service_account("acme-backup"), project.service_account("globex-backup")
    for account in (mine, other):
        project.key(account, f"{account.email[:4]}1", NOW)
        project.key(account, f"{account.email[:4]}2", NOW)
        project.bind("roles/storage.admin", f"serviceAccount:{account.email}")
        project.bind(
            "roles/viewer", f"serviceAccount:{account.email}", condition={"title": "hours", "expression": "request.time.getHours() < 9"}
        )
    project.bind("roles/viewer", "user:ann@northwind.example")
    before = cloud.snapshot()
    holdings = of(cloud, account_uid(mine))
    assert 5 == len(holdings)
    changes = full_circle(cloud, holdings)
    assert ["disable-account", "disable-key", "disable-key", "remove-member", "remove-member"] == actions(changes)
    touched = {
        f"/projects/northwind-prod/accounts/{mine.unique_id}{rest}"
        for rest in ("/disabled", "/keys/acme1/disabled", "/keys/acme2/disabled")
    }
    assert differing(before, cloud.snapshot()) == {*touched, "/projects/northwind-prod/policy"}
    conditional = {"title": "hours", "expression": "request.time.getHours() < 9"}
    assert project.bindings == [
        {"role": "roles/storage.admin", "members": [f"serviceAccount:{other.email}"]},
        {"role": "roles/viewer", "members": [f"serviceAccount:{other.email}"], "condition": conditional},
        {"role": "roles/viewer", "members": ["user:ann@northwind.example"]},
    ]
    found = read(cloud)
    assert identities(found)[account_uid(mine)] is False
    assert {False} == {one.enabled for one in found if isinstance(one, Credential) and one.identity_uid == account_uid(mine)}
    assert [] == [one for one in found if isinstance(one, Grant) and one.identity_uid == account_uid(mine)]

    with hand(cloud) as one:
        gone, left = planned(one, of(cloud, account_uid(mine)), "delete")
        assert (["delete-account"], [False], []) == (actions(gone), [each.reversible for each in gone], left)
        assert 3 == len(gone[0].takes), "its keys go with it"
        carried_out(one, gone)
        assert list(one.changes(holdings, "delete", NOW)) == []
    assert account_uid(mine) not in identities(read(cloud))
    assert other.email in project.accounts
    assert not other.disabled


def test_a_key_alone_is_deleted_and_no_other(cloud: SandboxGcp, project: Project) -> None:
    account = project.service_account("shared")
    for name in ("k1", "k2"):
        project.key(account, name, NOW)
    before = cloud.snapshot()
    key = tuple(one for one in of(cloud, account_uid(account)) if one.uid.endswith("/k1"))
    (change,) = full_circle(cloud, key)
    assert change.residual is not None
    assert 3600 == change.residual.seconds
    with hand(cloud) as one:
        gone, _ = planned(one, key, "delete")
        carried_out(one, gone)
    assert {f"/projects/northwind-prod/accounts/{account.unique_id}/keys/k1"} == differing(before, cloud.snapshot())


def test_a_provider_is_switched_off_and_its_pools_members_go(cloud: SandboxGcp, project: Project) -> None:
    target = project.service_account("deploy")
    project.pool("acme")
    project.provider("acme", "gitlab", oidc="https://gitlab.acme.example", condition="assertion.namespace == 'acme'")
    everyone = f"principalSet://{POOL}/acme/*"
    project.bind("roles/viewer", everyone, BOB)
    target.bind("roles/iam.workloadIdentityUser", everyone)
    uid = "gcp:northwind-prod:workload-identity-provider/acme/gitlab"
    before = cloud.snapshot()
    holdings = (*of(cloud, uid), *of(cloud, account_uid(target), partly=[account_uid(target)]))
    assert {"identity", "trust", "grant"} == {one.what for one in holdings}
    changes = full_circle(cloud, holdings)
    assert {"disable-provider", "remove-member"} == set(actions(changes))
    assert identities(read(cloud))[uid] is False
    assert project.bindings == [{"role": "roles/viewer", "members": [BOB]}]
    with hand(cloud) as one:
        gone, left = planned(one, of(cloud, uid), "delete")
        assert (["delete-provider"], []) == (actions(gone), left)
        carried_out(one, gone)
    assert uid not in identities(read(cloud))
    accounts = f"/projects/northwind-prod/accounts/{target.unique_id}"
    places = ("disabled", "state", "expireTime")
    assert differing(before, cloud.snapshot()) == {
        "/projects/northwind-prod/policy",
        f"{accounts}/policy",
        *(f"/projects/northwind-prod/pools/acme/providers/gitlab/{each}" for each in places),
    }


def test_a_pool_that_partners_share_keeps_its_members(cloud: SandboxGcp, project: Project) -> None:
    target = project.service_account("deploy")
    project.pool("ci")
    project.provider("ci", "acme", oidc="https://acme.example")
    project.provider("ci", "globex", oidc="https://globex.example")
    everyone = f"principalSet://{POOL}/ci/*"
    project.bind("roles/viewer", everyone)
    target.bind("roles/iam.workloadIdentityUser", everyone)
    uid = "gcp:northwind-prod:workload-identity-provider/ci/acme"
    before = cloud.snapshot()
    trusts = [one for one in of(cloud, account_uid(target), partly=[account_uid(target)]) if "acme" in str(one.record.get("party"))]
    holdings = (*of(cloud, uid), *trusts)
    (change,) = full_circle(cloud, holdings)
    assert ("disable-provider", uid) == (change.action, change.target)
    assert {"/projects/northwind-prod/pools/ci/providers/acme/disabled"} == differing(before, cloud.snapshot())


def test_a_provider_that_lets_others_in_is_left_and_said(cloud: SandboxGcp, project: Project) -> None:
    project.pool("ci")
    project.provider("ci", "github", oidc=GITHUB)
    uid = "gcp:northwind-prod:workload-identity-provider/ci/github"
    holdings = of(cloud, uid, partly=[uid], others=["oidc-issuer of globex"])
    with hand(cloud) as one:
        changes, left = planned(one, holdings)
        assert ([], {each.uid for each in holdings}) == (changes, taken((), left))
        assert "lets others in too (oidc-issuer of globex)" in left[0].why
        alone = of(cloud, uid, partly=[uid])
        changes, left = planned(one, alone)
        assert (["disable-provider"], [], {each.uid for each in alone}) == (actions(changes), left, taken(changes))
        carried_out(one, changes)
        assert [] == list(one.changes(alone, "delete", NOW)), "what is not the partner's own is never deleted"


def test_of_a_customers_account_only_the_partners_way_in_goes(cloud: SandboxGcp, project: Project) -> None:
    target = project.service_account("deploy")
    target.bind(TOKEN_CREATOR, EVE, BOB, "user:ann@northwind.example")
    target.bind("roles/iam.serviceAccountUser", BOB, condition="request.time < timestamp('2027-01-01T00:00:00Z')")
    target.bind("roles/viewer", BOB)
    project.key(target, "k1", NOW)
    uid = account_uid(target)
    before = cloud.snapshot()
    trust = [
        one
        for one in of(cloud, uid, partly=[uid], others=["globex"])
        if one.what == "identity" or "bob" in str(one.record.get("condition"))
    ]
    changes = full_circle(cloud, trust)
    assert ["remove-member"] * 2 == actions(changes)
    assert {uid} == {each.target for each in changes}
    assert all("others use the account too" in str(each.residual and each.residual.what) for each in changes)
    assert target.bindings == [
        {"role": TOKEN_CREATOR, "members": [EVE, "user:ann@northwind.example"]},
        {"role": "roles/viewer", "members": [BOB]},
    ]
    assert {f"/projects/northwind-prod/accounts/{target.unique_id}/policy"} == differing(before, cloud.snapshot())
    with hand(cloud) as one:
        assert [] == list(one.changes(trust, "delete", NOW))


def test_a_key_that_was_exposed_is_the_way_in_that_goes(cloud: SandboxGcp, project: Project) -> None:
    target = project.service_account("deploy")
    project.key(target, "k1", NOW, exposed=True)
    project.key(target, "k2", NOW)
    uid = account_uid(target)
    holdings = [one for one in of(cloud, uid, partly=[uid]) if one.what in {"identity", "trust"}]
    with hand(cloud) as one:
        changes, left = planned(one, holdings)
        assert (["disable-key"], [], {each.uid for each in holdings}) == (actions(changes), left, taken(changes))
        carried_out(one, changes)
    assert [True, False] == [each.disabled for each in target.keys.values()]


@pytest.mark.parametrize("member", [BOB, "group:ops@acme.example", "domain:acme.example", ROBOT, "principalSet://goog/public:all/acme"])
def test_an_outside_members_bindings_are_its_way_in(cloud: SandboxGcp, project: Project, member: str) -> None:
    target, bucket = project.service_account("deploy"), project.resource("//storage.googleapis.com/b1", "storage.googleapis.com/Bucket")
    for bearer in (project, target):
        bearer.bind("roles/viewer", EVE, member)
    project.bind("roles/viewer", member, condition={"title": "a", "expression": "true"})
    project.bind("roles/viewer", EVE, member, condition={"title": "b", "expression": "true"})
    before = cloud.snapshot()
    changes = full_circle(cloud, of(cloud, member_uid(member)))
    assert ["remove-member"] * 4 == actions(changes)
    assert {"/projects/northwind-prod/policy", f"/projects/northwind-prod/accounts/{target.unique_id}/policy"} == differing(
        before, cloud.snapshot()
    )
    assert member_uid(member) not in identities(read(cloud))
    assert member_uid(EVE) in identities(read(cloud))
    bucket.bind("roles/storage.admin", member)
    with hand(cloud) as one:
        holdings = of(cloud, member_uid(member))
        changes, left = planned(one, holdings)
        assert ([], {each.uid for each in holdings if each.what == "grant"}) == (
            changes,
            {each.uid for each in left} - {member_uid(member)},
        )
        assert all("//storage.googleapis.com/b1" in each.why for each in left)


def test_every_holding_is_taken_left_or_away(cloud: SandboxGcp, project: Project) -> None:
    bucket = project.resource("//storage.googleapis.com/b1", "storage.googleapis.com/Bucket")
    bucket.bind("roles/storage.admin", BOB)
    project.bind("roles/viewer", BOB, "allAuthenticatedUsers")
    project.api_key("u-1", "Maps", NOW, restrictions={"apiTargets": [{"service": "maps.googleapis.com"}]})
    project.pool("ci")
    project.provider("ci", "github", oidc=GITHUB)
    project.key(project.service_account("acme"), "k1", NOW)
    everybody = tuple(held(read(cloud)))
    with hand(cloud) as one:
        changes, left = planned(one, everybody)
        assert taken(changes, left) == {each.uid for each in everybody}
        anyone = member_uid("allAuthenticatedUsers")
        public = of(cloud, anyone, partly=[anyone], others=["x"])
        changes, left = planned(one, [each for each in public if each.what != "grant"])
        assert ([], 2) == (changes, len(left))


def test_an_api_key_is_deleted_and_can_be_had_back(cloud: SandboxGcp, project: Project) -> None:
    limits = {"apiTargets": [{"service": "maps.googleapis.com"}]}
    project.api_key("u-1", "Maps", NOW, restrictions=limits)
    project.api_key("u-2", "Maps", NOW, restrictions=limits)
    before = cloud.snapshot()
    holder = f"gcp:northwind-prod:project/{NUMBER}"
    mine = [one for one in of(cloud, holder) if one.what != "identity" and "u-1" in (one.uid + str(one.record.get("via")))]
    (change,) = full_circle(cloud, mine)
    assert ("delete-api-key", {"exists": True, "uid": "u-1"}) == (change.action, change.before)
    assert {"/projects/northwind-prod/api_keys/u-1/deleteTime"} == differing(before, cloud.snapshot())
    assert {"gcp:northwind-prod:api-key/u-2"} == {one.uid for one in read(cloud) if isinstance(one, Credential)}


def test_an_organization_its_folders_and_workforce(cloud: SandboxGcp, project: Project) -> None:
    organization = cloud.organization(ORGANIZATION)
    folder, account = cloud.folder("77", organization), project.service_account("acme")
    organization.workforce_pool("acme")
    organization.workforce_provider("acme", "okta", oidc="https://acme.okta.example")
    people = "principalSet://iam.googleapis.com/locations/global/workforcePools/acme/group/admins"
    for bearer in (organization, folder):
        bearer.bind("roles/viewer", EVE, BOB, people, f"serviceAccount:{account.email}")
    scope, before = WHOLE_ORGANIZATION, cloud.snapshot()
    provider = f"gcp:organizations/{ORGANIZATION}:workforce-provider/acme/okta"
    holdings = of(cloud, provider, account_uid(account), member_uid(BOB, scope.name), scope=scope)
    changes = full_circle(cloud, holdings, scope)
    assert ["disable-provider", *["remove-member"] * 6] == actions(changes)
    assert {"organizations/123456789012", "folders/77"} == {each.parameters.get("resource", "folders/77") for each in changes}
    assert organization.bindings == folder.bindings == [{"role": "roles/viewer", "members": [EVE]}]
    assert {
        f"/organizations/{ORGANIZATION}/policy",
        "/folders/77",
        f"/organizations/{ORGANIZATION}/workforce_pools/acme/providers/okta/disabled",
    } == (differing(before, cloud.snapshot()))
    with hand(cloud, scope) as one:
        carried_out(one, planned(one, of(cloud, provider, scope=scope), "delete")[0])
    assert provider not in identities(read(cloud, scope))


def test_wherever_it_was_interrupted_the_rest_is_planned_as_before(cloud: SandboxGcp, project: Project) -> None:
    mine, target = project.service_account("acme"), project.service_account("deploy")
    project.key(mine, "k1", NOW)
    target.bind(
        TOKEN_CREATOR, BOB, f"serviceAccount:{mine.email}", f"principalSet://{POOL}/acme/*", f"principalSet://{POOL}/acme/attribute.a/b"
    )
    project.pool("acme")
    project.provider("acme", "gitlab", oidc="https://gitlab.acme.example")
    project.bind("roles/owner", f"serviceAccount:{mine.email}", f"serviceAccount:{target.email}", BOB, f"principalSet://{POOL}/acme/*")
    project.bind("roles/viewer", EVE, BOB, condition="true")
    project.api_key("u-1", "Maps", NOW, service_account=mine.email)
    subjects = {account_uid(mine), account_uid(target), member_uid(BOB), "gcp:northwind-prod:workload-identity-provider/acme/gitlab"}
    partly = [account_uid(target)]
    holdings = [one for one in of(cloud, *subjects, partly=partly) if one.identity_uid not in partly or one.what in {"identity", "trust"}]
    assert {"identity", "credential", "trust", "grant"} == {one.what for one in holdings}
    for phase in ("disable", "delete"):
        with hand(cloud) as one:
            changes, left = planned(one, holdings, phase)
            assert [] == left
            for number, change in enumerate(changes, 1):
                one.write(change)
                there = [each for each in of(cloud, *subjects, partly=partly) if each.uid in {other.uid for other in holdings}]
                rest, left = planned(one, there, phase)
                assert [(each.id, each.before, each.after) for each in changes[number:]] == [
                    (each.id, each.before, each.after) for each in rest
                ]
                assert [] == left
    assert (BOB, True) not in identities(read(cloud)).items()
    assert {target.email} == set(project.accounts)


def test_an_account_that_was_made_anew_is_another_one(cloud: SandboxGcp, project: Project) -> None:
    account = project.service_account("acme")
    project.key(account, "k1", NOW)
    project.bind("roles/viewer", f"serviceAccount:{account.email}")
    with hand(cloud) as one:
        changes, _ = planned(one, of(cloud, account_uid(account)))
        del project.accounts[account.email]
        anew = project.service_account(account.email, "999999999999999999999")
        project.key(anew, "k1", NOW)
        before = cloud.snapshot()
        for each in changes:
            assert one.look(each) != each.before
            with pytest.raises(RevocationError, match="no longer as it was"):
                one.write(each)
        assert before == cloud.snapshot()
        assert (False, False) == (anew.disabled, anew.keys["k1"].disabled)


def test_a_role_is_not_given_back_to_another_account_of_the_same_name(cloud: SandboxGcp, project: Project) -> None:
    account = project.service_account("acme")
    project.bind("roles/viewer", EVE, f"serviceAccount:{account.email}")
    with hand(cloud) as one:
        (change,) = [each for each in planned(one, of(cloud, account_uid(account)))[0] if each.action == "remove-member"]
        one.write(change)
        del project.accounts[account.email]
        project.service_account(account.email, "999999999999999999999")
        with pytest.raises(RevocationError, match="is another account by now"):
            one.write(change.undone())
    assert project.bindings == [{"role": "roles/viewer", "members": [EVE]}]


def test_a_deleted_member_is_found_by_its_unique_id(cloud: SandboxGcp, project: Project) -> None:
    account = project.service_account("acme")
    project.bind("roles/viewer", f"serviceAccount:{account.email}", EVE)
    grant = [one for one in of(cloud, account_uid(account)) if one.what == "grant"]
    project.bindings[0]["members"][0] = f"deleted:serviceAccount:{account.email}?uid={account.unique_id}"
    del project.accounts[account.email]
    anew = project.service_account(account.email, "999999999999999999999")
    project.bind("roles/viewer", f"serviceAccount:{anew.email}")
    with hand(cloud) as one:
        changes, _ = planned(one, grant)
        carried_out(one, changes)
    assert [EVE, f"serviceAccount:{anew.email}"] == project.bindings[0]["members"]


def test_a_change_of_somebody_else_in_between_is_not_overwritten(cloud: SandboxGcp, project: Project) -> None:
    project.bind("roles/viewer", EVE, BOB)
    with hand(cloud) as one:
        (change,), _ = planned(one, of(cloud, member_uid(BOB)))
        cloud.meanwhile("cloudresourcemanager.projects.setIamPolicy", lambda: project.bind("roles/owner", "user:ann@northwind.example"))
        with pytest.raises(RevocationError, match="concurrent policy changes"):
            one.write(change)
        assert [EVE, BOB] == project.bindings[0]["members"]
        one.write(change)
    assert [["roles/viewer", [EVE]], ["roles/owner", ["user:ann@northwind.example"]]] == [
        [each["role"], each["members"]] for each in project.bindings
    ]


def test_what_changed_since_the_plan_is_not_written_over(cloud: SandboxGcp, project: Project) -> None:
    project.pool("ci")
    project.provider("ci", "github", oidc=GITHUB)
    uid = "gcp:northwind-prod:workload-identity-provider/ci/github"
    with hand(cloud) as one:
        (change,), _ = planned(one, of(cloud, uid))
        project.provider("ci", "github", oidc="https://gitlab.northwind.example")
        before = cloud.snapshot()
        with pytest.raises(RevocationError, match="no longer as it was"):
            one.write(change)
        with pytest.raises(RevocationError, match="this is a change of google northwind-test"):
            one.write(replace(change, scope="northwind-test"))
    assert before == cloud.snapshot()


def seeded(project: Project) -> set[str]:
    account = project.service_account("acme")
    project.key(account, "k1", NOW)
    project.bind("roles/viewer", BOB)
    account.bind(TOKEN_CREATOR, EVE)
    project.pool("ci")
    project.provider("ci", "github", oidc=GITHUB)
    project.api_key("u-1", "Maps", NOW)
    return {account_uid(account), member_uid(BOB), member_uid(EVE), "gcp:northwind-prod:workload-identity-provider/ci/github"} | {
        f"gcp:northwind-prod:project/{NUMBER}"
    }


def test_a_write_that_is_refused_and_one_that_is_not_done(cloud: SandboxGcp, project: Project) -> None:
    subjects = seeded(project)
    with hand(cloud) as one:
        changes, _ = planned(one, of(cloud, *subjects))
        before = cloud.snapshot()
        assert {"disable-account", "disable-key", "disable-provider", "delete-api-key", "remove-member"} == set(actions(changes))
        for each in changes:
            cloud.deny("*", each.writes[0])
            with pytest.raises(RevocationDeniedError, match=r"(?i)denied"):
                one.write(each)
            cloud.heal()
            cloud.ignore(each.writes[0])
            one.write(each)
            assert one.look(each) == each.before
            cloud.heal()
        assert cloud.snapshot() == before


def test_an_answer_that_was_lost_is_not_asked_for_twice(cloud: SandboxGcp, project: Project) -> None:
    account = project.service_account("acme")
    with hand(cloud) as one:
        (change,), _ = planned(one, of(cloud, account_uid(account)))
        cloud.clear()
        cloud.break_answer("unavailable", change.writes[0])
        with pytest.raises(RevocationError, match="its answer was lost"):
            one.write(change)
        assert 1 == [call.method for call in cloud.calls].count(change.writes[0])
        cloud.heal()
    cloud.throttle(1, operation=change.writes[0])

    def patient(source: GcpSource) -> Door:
        return Door(source, sleep=lambda _seconds: cloud.heal())

    with gcp.hand(source_of(cloud), PROJECT, run="acme", now=lambda: NOW, enter=enter, enter_to_write=patient) as one:
        one.write(change)
        assert one.look(change) == change.after


@pytest.mark.parametrize("call", LOOKS, ids=lambda call: call.name)
def test_what_cannot_be_looked_at_is_neither_planned_nor_away(cloud: SandboxGcp, project: Project, call: Any) -> None:
    subjects = seeded(project)
    organization = cloud.organization(ORGANIZATION)
    cloud.folder("77", organization).bind("roles/viewer", BOB)
    organization.workforce_pool("staff")
    organization.workforce_provider("staff", "okta", oidc="https://acme.okta.example")
    scope = WHOLE_ORGANIZATION if "workforce" in call.name or "folders" in call.name or "organizations" in call.name else PROJECT
    holdings = tuple(held(read(cloud, scope), scope=scope))
    if scope is PROJECT:
        account = next(one for one in subjects if ":service-account/" in one)
        holdings = of(cloud, *subjects, partly=[account] if call.name.endswith("serviceAccounts.getIamPolicy") else [])
    cloud.deny("*", call.name)
    with hand(cloud, scope) as one, pytest.raises(RevocationDeniedError) as caught:
        list(one.changes(holdings, "disable", NOW))
    assert f"give it {call.permission}" == caught.value.fix


def test_permissions_are_those_of_the_calls_that_write() -> None:
    assert tuple(sorted({call.permission for call in WRITES})) == gcp.REVOKE_PERMISSIONS
    assert all(call.writes for call in WRITES)
    assert not any(call.writes for call in LOOKS)
    assert revoker("gcp").hand is gcp.hand


# With TLS, and credentials as Google's own library makes them of key files.


class Secured:
    """A cloud that knows its callers: a reader, a revoker, and a partner's account with a key."""

    def __init__(self, cloud: SandboxGcp, folder: Path) -> None:
        self.cloud = cloud
        self.project = cloud.project("northwind-prod", NUMBER)
        self.tools = cloud.project("northwind-tools", "100000000002")
        self.reader = cloud.caller(self.tools.service_account("reader"), *gcp.PERMISSIONS)
        self.revoker = cloud.caller(self.tools.service_account("revoker"), *gcp.REVOKE_PERMISSIONS)
        self.partner = self.project.service_account("acme")
        self.key = self.project.key(self.partner, "k1", NOW)
        self.secret = cloud.key_file(self.key)
        self.files = {}
        for account in (self.reader, self.revoker):
            path = folder / account.email.partition("@")[0]
            path.write_text(cloud.key_file(account.project.key(account, f"{path.name}-key", NOW)), encoding="utf-8")
            self.files[path.name] = path

    def source(self, **more: Any) -> GcpSource:
        return source_of(self.cloud, plaintext=False, ca=str(self.cloud.ca), **more)

    def hand(self, **more: Any) -> Hand:
        return gcp.hand(self.source(**more), PROJECT, run="acme", now=lambda: NOW, enter=self.enter)

    def enter(self, source: GcpSource) -> Door:
        made = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call] # google-auth has no types
            str(self.files["reader"]), scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        return Door(source, sleep=lambda _seconds: None, credentials=lambda: made)

    def holdings(self) -> list[Holding]:
        request = ReadRequest(source=self.source(), scope=PROJECT, run="r", now=lambda: NOW)
        uid = account_uid(self.partner)
        return [one for one in held(gcp.read(request, enter=self.enter)) if one.identity_uid == uid]


@pytest.fixture
def secured(contract: Contract, tmp_path: Path) -> Iterator[Secured]:
    with SandboxGcp(contract=contract, tls=True, anonymous=False) as running:
        yield Secured(running, tmp_path)
        assert running.broken_answers == []


def test_the_reader_looks_the_revoker_writes_and_the_old_key_is_refused(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", str(secured.files["revoker"]))
    key = "gcp:northwind-prod:service-account-key/k1"
    with secured.hand() as one:
        assert (secured.reader.email, secured.revoker.email) == one.who()
        changes, _ = planned(one, secured.holdings())
        tried = one.attempt(key, secured.secret)
        assert (False, "an access token was given") == (tried.refused, tried.said)
        account, disabled = changes
        carried_out(one, [disabled])
        assert (True, "invalid_grant: Invalid JWT Signature.") == (
            one.attempt(key, secured.secret).refused,
            one.attempt(key, secured.secret).said,
        )
        one.write(disabled.undone())
        assert one.attempt(key, secured.secret).refused is False
        carried_out(one, [account])
        assert (True, True) == (one.attempt(key, secured.secret).refused, one.attempt(account_uid(secured.partner), secured.secret).refused)
        assert secured.secret not in repr((changes, one.attempt(key, secured.secret)))


@pytest.mark.parametrize("impersonated", [False, True])
def test_one_identity_never_does_both(secured: Secured, monkeypatch: pytest.MonkeyPatch, *, impersonated: bool) -> None:
    monkeypatch.setenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", str(secured.files["reader"]))
    secured.cloud.caller(secured.reader, *gcp.PERMISSIONS, *gcp.REVOKE_PERMISSIONS, "iam.serviceAccounts.getAccessToken")
    with secured.hand(revoke_account=secured.reader.email if impersonated else None) as one:
        changes, _ = planned(one, secured.holdings())
        before = secured.cloud.snapshot()
        for each in changes:
            with pytest.raises(RevocationDeniedError, match="the same identity"):
                one.write(each)
    assert before == secured.cloud.snapshot()


def test_an_impersonated_account_writes_with_its_own_rights(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", str(secured.files["reader"]))
    with secured.hand(revoke_account=secured.revoker.email) as one:
        changes, _ = planned(one, secured.holdings())
        with pytest.raises(RevocationError, match=r"no token|Unable to acquire"):
            one.write(changes[0])
        secured.cloud.caller(secured.reader, *gcp.PERMISSIONS, "iam.serviceAccounts.getAccessToken")
        carried_out(one, changes)
        assert (secured.reader.email, secured.revoker.email) == one.who()
    assert (True, True) == (secured.partner.disabled, secured.key.disabled)


def test_by_default_both_come_from_the_environment(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_default_credentials", door._default_credentials.__wrapped__)  # a process asks once, a test each time
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(secured.files["reader"]))
    monkeypatch.delenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    secured.cloud.caller(secured.reader, *gcp.PERMISSIONS, "iam.serviceAccounts.getAccessToken")
    holdings = secured.holdings()
    with gcp.hand(secured.source(revoke_account=secured.revoker.email), PROJECT, run="acme", now=lambda: NOW) as one:
        assert (secured.reader.email, secured.revoker.email) == one.who()
        carried_out(one, planned(one, holdings)[0])
    assert secured.partner.disabled


def test_a_reader_may_write_nothing(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    other = secured.cloud.caller(secured.tools.service_account("other"), *gcp.PERMISSIONS)
    path = secured.files["reader"].with_name("other")
    path.write_text(secured.cloud.key_file(secured.tools.key(other, "other-key", NOW)), encoding="utf-8")
    monkeypatch.setenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with secured.hand() as one:
        changes, _ = planned(one, secured.holdings())
        for each in changes:
            with pytest.raises(RevocationDeniedError, match=r"(?i)denied"):
                one.write(each)
            assert one.look(each) == each.before


def test_without_an_identity_to_revoke_with_it_says_so(secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with secured.hand() as one, pytest.raises(RevocationError, match="no identity to revoke with"):
        one.who()
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "bad.json"))
    with secured.hand() as one, pytest.raises(RevocationError, match="credentials cannot be used"):
        one.who()


def test_what_cannot_be_tried_is_not_called_refused(secured: Secured) -> None:
    key = "gcp:northwind-prod:service-account-key/k1"
    stranger = json.dumps(json.loads(secured.secret) | {"token_uri": "https://acme.example/token"})
    with secured.hand() as one:
        for uid, secret, said in (
            ("gcp:northwind-prod:api-key/u-1", "AIza", "no call that any such credential may make"),
            (key, "not json", "not the file of a service account's key"),
            (key, "[]", "not the file of a service account's key"),
            ("gcp:northwind-prod:service-account-key/k2", secured.secret, "the file of another key"),
            (key, stranger, "shown to nobody else"),
        ):
            tried = one.attempt(uid, secret)
            assert (None, True) == (tried.refused, said in tried.said)


def test_only_words_about_the_key_are_its_refusal(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, refused in (
        ({"error": "invalid_grant", "error_description": "Invalid JWT: Token must be in a reasonable timeframe."}, None),
        ({"error": "invalid_scope", "error_description": "Bad scope."}, None),
        ({}, None),
        ({"error": "invalid_grant", "error_description": "Invalid grant: account not found"}, True),
    ):
        monkeypatch.setattr("sandbox.gcp.callers.token", lambda _estate, _body, answer=answer: (400, answer))
        tried = revoking_login.attempt(secured.source(), "gcp:northwind-prod:service-account-key/k1", secured.secret)
        assert refused is tried.refused


names = st.sampled_from([f"user:{name}@x.example" for name in "abcde"])
conditions = st.none() | st.fixed_dictionaries({"title": st.sampled_from(["a", "b"]), "expression": st.just("true")})
entries = st.tuples(st.sampled_from(["roles/viewer", "roles/owner"]), conditions, st.lists(names, min_size=1, unique=True))


def unordered(policy: dict[str, Any]) -> list[Any]:
    return sorted((each["role"], json.dumps(each.get("condition"), sort_keys=True), sorted(each["members"])) for each in policy["bindings"])


@given(st.lists(entries, max_size=5, unique_by=lambda one: (one[0], json.dumps(one[1], sort_keys=True))), entries)
def test_a_member_taken_out_and_put_back_leaves_all_else(policy: list[Any], one: Any) -> None:
    whole: dict[str, Any] = {"etag": "ACAB", "auditConfigs": [{"service": "allServices"}]} | {
        "bindings": [
            {"role": role, "members": members} | ({"condition": condition} if condition else {}) for role, condition, members in policy
        ]
    }
    untouched = json.loads(json.dumps(whole))
    membership = Membership("projects/p", one[0], one[1], one[2][0], None)
    less = without(whole, membership)
    assert not bound(less, membership)
    back = with_member(less, membership)
    assert bound(back, membership)
    assert whole == untouched
    if bound(whole, membership):
        assert unordered(back) == unordered(whole)
    else:
        assert less["bindings"] == whole["bindings"]
    mine = (membership.role, membership.condition)
    keep = [each for each in whole["bindings"] if (each["role"], each.get("condition")) != mine]
    assert keep == [each for each in less["bindings"] if (each["role"], each.get("condition")) != mine]
    assert ("ACAB", [{"service": "allServices"}]) == (less["etag"], less["auditConfigs"])
