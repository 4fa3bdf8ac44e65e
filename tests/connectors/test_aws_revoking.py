from collections.abc import Iterator

import pytest
from aws_reader import ACCOUNT, ISSUER, NOW, PARTNER, ago, full, held, named, of, of_kind, open_door, read, running
from aws_revoker import RUN, SINCE, allowing, differences, entered, holding_of, holdings, made, open_doors, planned, trusts_in, user

from connectors import aws
from connectors.aws.revoking import ACTIONS
from countersign.identity import Grant, Trust
from countersign.revocation import Change, RevocationDeniedError, RevocationError
from sandbox.aws import CALLER_ACCOUNT, SandboxAws, trust, trust_issuer

DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
OTHER = "121212121212"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as started:
        open_doors(started, ACCOUNT)
        yield started


def test_a_user_and_each_of_its_credentials_are_switched_off_taken_back_and_deleted(cloud: SandboxAws) -> None:
    user(cloud)
    user(cloud, "bystander")
    records = read(cloud)
    mine = holdings(records, "acme-svc")
    start = cloud.snapshot()
    with entered(cloud) as hand:
        changes, left = planned(hand, mine)
        assert [] == left
        assert {one.uid for one in mine} == {uid for one in changes for uid in one.takes}
        assert ["deny-user", *["deactivate-access-key"] * 2] == [one.action for one in changes][:3]
        assert {"deactivate-service-specific-credential", "deactivate-signing-certificate", "deactivate-ssh-key"} == {
            one.action for one in changes[3:]
        }
        for one in changes:
            before = cloud.snapshot()
            made(hand, [one])
            assert 1 == len(differences(before, cloud.snapshot()))
        assert ([], []) == planned(hand, mine)
        off = read(cloud)
        assert (False, True) == (named(off)["acme-svc"].enabled, named(off)["bystander"].enabled)
        for kind, count in {"access-key": 2, "service-specific-credential": 1, "signing-certificate": 1, "ssh-key": 1}.items():
            kinds = [one for one in held(off, kind).values() if one.identity_uid == named(off)["acme-svc"].uid]
            assert [False] * count == [one.enabled for one in kinds]
        made(hand, [one.undone() for one in reversed(changes)])
        assert start == cloud.snapshot()
        too_early, why = planned(hand, mine, "delete")
        assert ([], {one.uid for one in mine}) == (too_early, {one.uid for one in why})
        made(hand, changes)
        final, left = planned(hand, mine, "delete")
        assert [] == left
        assert "delete-user" == final[-1].action
        assert not any(one.reversible for one in final)
        made(hand, final)
        assert ([], []) == planned(hand, mine, "delete")
    after = cloud.snapshot()
    del start[ACCOUNT]["users"]["acme-svc"]
    start[ACCOUNT]["groups"]["acme-svc-ops"]["users"] = []
    start[ACCOUNT]["service-specific-credential"] = after[ACCOUNT]["service-specific-credential"]
    assert {} == differences(start, after)
    assert ["bystander"] == [one["UserName"] for one in after[ACCOUNT]["service-specific-credential"]]


def test_a_user_that_holds_what_nobody_planned_for_is_not_deleted_and_stays_denied(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("acme-svc", ago(9), policies=("ReadOnlyAccess",))
    mine = holdings(read(cloud), "acme-svc")
    with entered(cloud) as hand:
        made(hand, planned(hand, mine)[0])
        ((change,), _) = planned(hand, mine, "delete")
        key = account.key("acme-svc", ago(1))
        with pytest.raises(RevocationError, match="DeleteConflict"):
            hand.write(change)
        assert change.after != hand.look(change)
        there = cloud.snapshot()[ACCOUNT]["users"]["acme-svc"]
        assert ([DENY_ALL], {key: "Active"}) == (there["policies"], there["keys"])
        changes, left = planned(hand, mine, "delete")
        assert ([], [True] * len(mine)) == (changes, [key in one.why for one in left])


def test_a_single_key_of_somebody_elses_user_goes_and_its_user_stays(cloud: SandboxAws) -> None:
    user(cloud)
    records = read(cloud)
    (key, _) = sorted((one for one in holdings(records, "acme-svc", whole=False) if one.kind == "access-key"), key=lambda one: one.uid)
    start = cloud.snapshot()
    with entered(cloud) as hand:
        changes, left = planned(hand, [key])
        assert (["deactivate-access-key"], []) == ([one.action for one in changes], left)
        assert 129_600 == (changes[0].residual and changes[0].residual.seconds)
        made(hand, changes)
    (place,) = differences(start, cloud.snapshot())
    assert place == f"/{ACCOUNT}/users/acme-svc/keys/{key.uid.rpartition('/')[2]}"


def test_a_key_whose_id_was_not_read_is_found_by_its_second_or_left(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("acme-svc", ago(200))
    one, two = account.key("acme-svc", ago(90)), account.key("acme-svc", ago(90), active=False)
    cloud.deny(ACCOUNT, "iam:ListAccessKeys")
    records = read(cloud)
    cloud.allow(ACCOUNT, "iam:ListAccessKeys")
    mine = [key for key in holdings(records, "acme-svc") if key.kind == "access-key"]
    assert all("@" in key.uid for key in mine)
    with entered(cloud) as hand:
        changes, left = planned(hand, mine)
        assert ([one], []) == ([change.parameters["id"] for change in changes], left)
        cloud.account(ACCOUNT).iam.delete_access_key(UserName="acme-svc", AccessKeyId=two)
        changes, left = planned(hand, mine)
        assert (0, 2) == (len(changes), len(left))


def test_a_role_of_the_partners_own_is_denied_taken_back_and_deleted(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.role("acme-own", trust(PARTNER), ago(9), policies=("ReadOnlyAccess",), inline={"x": allowing("s3:*")})
    account.role("bystander", trust(PARTNER), ago(9), policies=("ReadOnlyAccess",))
    account.iam.create_instance_profile(InstanceProfileName="acme")
    account.iam.add_role_to_instance_profile(InstanceProfileName="acme", RoleName="acme-own")
    mine = holdings(read(cloud), "acme-own")
    start = cloud.snapshot()
    with entered(cloud) as hand:
        changes, left = planned(hand, mine)
        assert (["deny-role"], []) == ([one.action for one in changes], left)
        assert {one.uid for one in mine} == set(changes[0].takes)
        made(hand, changes)
        assert {f"/{ACCOUNT}/roles/acme-own/policies"} == set(differences(start, cloud.snapshot()))
        assert (False, True) == tuple(named(read(cloud))[name].enabled for name in ("acme-own", "bystander"))
        made(hand, [changes[0].undone()])
        assert start == cloud.snapshot()
        made(hand, changes)
        final, left = planned(hand, mine, "delete")
        assert (["delete-role"], []) == ([one.action for one in final], left)
        made(hand, final)
    assert {f"/{ACCOUNT}/roles/acme-own"} == set(differences(start, cloud.snapshot()))


def test_only_the_partner_goes_out_of_a_trust_policy_that_others_share(cloud: SandboxAws) -> None:
    names = [f"arn:aws:iam::{OTHER}:root", f"arn:aws:iam::{PARTNER}:root", f"arn:aws:iam::{PARTNER}:role/robot", PARTNER]
    shared = trust(*names, external_id="x-9") | {"Id": "kept"}
    shared["Statement"].append({"Sid": "Alone", "Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "sts:AssumeRole"})
    shared["Statement"].append({"Effect": "Deny", "Principal": {"AWS": PARTNER}, "Action": "sts:TagSession"})
    cloud.account(ACCOUNT).role("shared", shared, ago(9), inline={"x": allowing("s3:*")})
    records = read(cloud)
    start = cloud.snapshot()
    with entered(cloud) as hand:
        changes, left = planned(hand, trusts_in(records, "shared", PARTNER, others=("orbit",)))
        assert (["untrust"], []) == ([one.action for one in changes], left)
        assert changes[0].residual is not None
        assert (3600, True) == (changes[0].residual.seconds, "orbit" in changes[0].residual.what)
        made(hand, changes)
        first, _, denial = shared["Statement"]
        kept = {**first, "Principal": {"AWS": [names[0]]}}
        after = cloud.snapshot()
        assert {**shared, "Statement": [kept, denial]} == after[ACCOUNT]["roles"]["shared"]["trust"]
        assert [f"/{ACCOUNT}/roles/shared/trust/Statement"] == list(differences(start, after))
        parties = {one.party for one in of(Trust, read(cloud)) if one.identity_uid == named(records)["shared"].uid}
        assert {OTHER} == parties
        assert ([], []) == planned(hand, trusts_in(records, "shared", PARTNER, others=("orbit",)))
        made(hand, [changes[0].undone()])
    assert start == cloud.snapshot()


def test_a_role_that_lets_nobody_else_in_is_shut_and_its_sessions_end(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).role("for-acme", trust(PARTNER), ago(9))
    records = read(cloud)
    mine = trusts_in(records, "for-acme", PARTNER)
    start = cloud.snapshot()
    with entered(cloud) as hand:
        changes, _ = planned(hand, mine)
        assert ["untrust", "end-sessions"] == [one.action for one in changes]
        made(hand, changes)
        assert not [one for one in of(Trust, read(cloud)) if one.party == PARTNER]
        role = cloud.snapshot()[ACCOUNT]["roles"]["for-acme"]
        assert ["Deny"] == [one["Effect"] for one in role["trust"]["Statement"]]
        (ended,) = role["inline"]["AWSRevokeOlderSessions"]["Statement"]
        assert {"DateLessThan": {"aws:TokenIssueTime": "2026-11-21T06:05:00Z"}} == ended["Condition"]
        assert ([], []) == planned(hand, mine)
        later = list(hand.changes(mine, "disable", ago(-1)))
        assert ["end-sessions"] == [one.action for one in later if isinstance(one, Change)]
        assert ([], []) == planned(hand, mine, "delete")
        made(hand, [one.undone() for one in reversed(changes)])
    assert start == cloud.snapshot()


def test_trust_in_an_issuer_in_anyone_and_in_deleted_principals(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.role("federated", trust_issuer(ACCOUNT, ISSUER), ago(9))
    account.role("anyone", trust("*", external_id="x-3"), ago(9))
    account.role("haunted", trust(PARTNER, "AROAEXAMPLEEXAMPLE777", OTHER), ago(9))
    records = read(cloud)
    with entered(cloud) as hand:
        changes, _ = planned(hand, trusts_in(records, "federated", f"https://{ISSUER}"))
        made(hand, changes)
        changes, left = planned(hand, trusts_in(records, "anyone", "*"))
        assert ([], 1) == (changes, len(left))
        ((change,), _) = planned(hand, trusts_in(records, "haunted", PARTNER))
        assert not change.reversible
        made(hand, [change])
    roles = cloud.snapshot()[ACCOUNT]["roles"]
    assert ("Deny", [OTHER]) == (
        roles["federated"]["trust"]["Statement"][0]["Effect"], roles["haunted"]["trust"]["Statement"][0]["Principal"]["AWS"],
    )  # fmt: skip


def test_ways_in_of_every_other_kind(cloud: SandboxAws) -> None:
    full(cloud)
    records = read(cloud)
    start = cloud.snapshot()
    mine = holdings(records, ISSUER, "okta", "Orbit", "factory", "CN=robot-7", f"arn:aws:sqs:eu-west-2:{ACCOUNT}:orders")
    mine += holdings(records, ACCOUNT)
    with entered(cloud) as hand:
        changes, left = planned(hand, mine)
        told = {one.uid for one in left} | {uid for one in changes for uid in one.takes}
        assert {one.uid for one in mine} == told
        assert ["close-oidc-provider", "disable-trust-anchor", "deny-secret", "reject-delegation-request"] == [
            one.action for one in changes
        ]
        assert [False] == [one.reversible for one in changes[3:]]
        assert "SQS > Queues > Access policy" in next(one.advice for one in left if "shared-resource" in one.uid)
        made(hand, changes)
        assert ([], len(left)) == (planned(hand, mine)[0], len(planned(hand, mine)[1]))
        off = read(cloud)
        assert {False} == {one.enabled for kind in ("trust-anchor", "delegation-request") for one in of_kind(off, kind).values()}
        (provider,) = of_kind(off, "oidc-provider").values()
        assert (None, True) == (provider.enabled, "enabled" in provider.unknown)
        made(hand, [one.undone() for one in reversed(changes[:3])])
        back = cloud.snapshot()
        assert {f"/{ACCOUNT}/delegation-request"} == set(differences(start, back))
        made(hand, changes[:3])
        final, _ = planned(hand, mine, "delete")
        assert {"delete-trust-anchor", "delete-oidc-provider", "delete-saml-provider", "delete-secret", "delete-server-certificate"} == {
            one.action for one in final
        }
        made(hand, final)
    gone = read(cloud)
    assert [{}] * 5 == [
        *(of_kind(gone, kind) for kind in ("oidc-provider", "saml-provider", "trust-anchor")),
        *(held(gone, kind) for kind in ("secret", "server-certificate")),
    ]


def test_administrators_and_billing_of_an_organisation(cloud: SandboxAws) -> None:
    open_door(cloud, CALLER_ACCOUNT)
    open_doors(cloud, CALLER_ACCOUNT)
    cloud.organization(CALLER_ACCOUNT, ACCOUNT)
    for service in ("access-analyzer.amazonaws.com", "guardduty.amazonaws.com"):
        cloud.delegated_administrator(ACCOUNT, service, ago(9))
    cloud.billing_transfer(PARTNER, ago(30), name="Channel")
    records = read(cloud, CALLER_ACCOUNT, organization=True)
    granted = [one for one in of(Grant, records) if one.role.startswith("delegated administrator")]
    start = cloud.snapshot()
    with entered(cloud, CALLER_ACCOUNT, organization=True) as hand:
        one, _ = (holding_of(grant, whole=True) for grant in granted)
        changes, left = planned(hand, [one])
        assert (["deregister-administrator"], []) == ([change.action for change in changes], left)
        made(hand, changes)
        assert ["guardduty.amazonaws.com"] == [each[1] for each in cloud.snapshot()["organization"]["delegated"]]
        transfer = holdings(records, "Channel")
        assert 2 == len(planned(hand, transfer)[1])
        made(hand, planned(hand, transfer, "delete")[0])
        assert ([], []) == planned(hand, transfer, "delete")
    assert {"/organization/delegated", "/organization/transfers"} == {place[:23] for place in differences(start, cloud.snapshot())}
    assert False is named(read(cloud, CALLER_ACCOUNT, organization=True))["Channel"].enabled


def test_another_user_or_role_under_the_same_name_is_not_touched(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("acme-svc", ago(9))
    account.role("acme-own", trust(PARTNER), ago(9))
    provider = account.oidc_provider(f"https://{ISSUER}", ago(60))
    mine = holdings(read(cloud), "acme-svc", "acme-own", ISSUER)
    with entered(cloud) as hand:
        changes, _ = planned(hand, mine)
        account.iam.delete_user(UserName="acme-svc")
        account.iam.delete_role(RoleName="acme-own")
        account.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
        account.user("acme-svc", ago(1))
        account.role("acme-own", trust(PARTNER), ago(1))
        account.oidc_provider(f"https://{ISSUER}", ago(1))
        start = cloud.snapshot()
        for one in changes:
            assert one.before != hand.look(one)
            with pytest.raises(RevocationError, match=r"gone|another provider"):
                hand.write(one)
        assert start == cloud.snapshot()
        renamed = holdings(read(cloud), "acme-svc")
        ((change,), _) = planned(hand, renamed)
        account.iam.update_user(UserName="acme-svc", NewUserName="elsewhere")
        made(hand, [change])
    assert [DENY_ALL] == cloud.snapshot()[ACCOUNT]["users"]["elsewhere"]["policies"]


def test_a_refused_write_one_that_does_nothing_and_one_whose_answer_is_lost(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).user("acme-svc", ago(9))
    start = cloud.snapshot()
    with entered(cloud) as hand:
        ((change,), _) = planned(hand, holdings(read(cloud), "acme-svc"))
        cloud.fail(ACCOUNT, "iam:AttachUserPolicy", "ServiceFailure", times=1)
        with pytest.raises(RevocationError, match="ServiceFailure"):
            hand.write(change)
        cloud.ignore(ACCOUNT, "iam:AttachUserPolicy")
        hand.write(change)
        assert change.before == hand.look(change)
        cloud.calm()
        cloud.deny(ACCOUNT, "iam:AttachUserPolicy")
        with pytest.raises(RevocationDeniedError, match="assumed-role/CountersignRevocation"):
            hand.write(change)
        assert start == cloud.snapshot()
        cloud.deny(ACCOUNT, "iam:GetUser")
        with pytest.raises(RevocationDeniedError, match="iam:GetUser"):
            hand.look(change)
        with pytest.raises(RevocationError, match="iam:GetUser"):
            list(hand.changes(holdings(read(cloud), "acme-svc"), "disable", SINCE))


def test_reader_and_revoker_are_never_one(cloud: SandboxAws, monkeypatch: pytest.MonkeyPatch) -> None:
    account = cloud.account(ACCOUNT)
    account.user("acme-svc", ago(9))
    account.user("revoker", ago(9))
    key = account.key("revoker", ago(9))
    mine = holdings(read(cloud), "acme-svc")
    start = cloud.snapshot()
    with entered(cloud, revoke_role="CountersignInventory", revoke_external_id="x-1") as hand:
        ((change,), _) = planned(hand, mine)
        with pytest.raises(RevocationDeniedError, match="both reads and revokes"):
            hand.write(change)
    with entered(cloud, revoke_role=None) as hand, pytest.raises(RevocationError, match="no identity that revokes"):
        hand.write(change)
    assert start == cloud.snapshot()
    monkeypatch.setenv("COUNTERSIGN_REVOKE_AWS_ACCESS_KEY_ID", key)
    with entered(cloud, revoke_role=None) as hand, pytest.raises(RevocationError, match="half of an access key"):
        hand.write(change)
    monkeypatch.setenv("COUNTERSIGN_REVOKE_AWS_SECRET_ACCESS_KEY", "sandbox-secret")
    with entered(cloud, revoke_role=None) as hand:
        assert (f"arn:aws:sts::{ACCOUNT}:assumed-role/CountersignInventory", f"arn:aws:iam::{ACCOUNT}:user/revoker") == hand.who()
        made(hand, [change])
        elsewhere = planned(hand, holdings(read(cloud), "revoker"))[0][0]
    with entered(cloud, CALLER_ACCOUNT, role=None, accounts=()) as hand, pytest.raises(RevocationError, match="is no change of account"):
        hand.look(elsewhere)


def test_an_old_key_is_tried_as_its_owner_would(cloud: SandboxAws) -> None:
    user(cloud)
    mine = holdings(read(cloud), "acme-svc")
    keys = [one for one in mine if one.kind == "access-key"]
    with entered(cloud) as hand:
        assert [False, False] == [hand.attempt(one.uid, "sandbox-secret").refused for one in keys]
        cloud.fail("*", "sts:GetCallerIdentity", "SignatureDoesNotMatch", times=1)
        assert None is hand.attempt(keys[0].uid, "another secret").refused
        made(hand, planned(hand, mine)[0])
        tried = [hand.attempt(one.uid, "sandbox-secret") for one in keys]
        assert [True, True] == [one.refused for one in tried]
        assert "InvalidClientTokenId" in tried[0].said
        for kind in ("password", "ssh-key", "signing-certificate", "service-specific-credential"):
            (uid,) = (one.uid for one in mine if one.kind == kind)
            assert None is hand.attempt(uid, "sandbox-secret").refused


def test_what_people_have_to_do_is_left_to_them(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.root(mfa=True, keys=((ago(9), None),))
    account.role("linked", trust(PARTNER), ago(9), path="/aws-service-role/x.amazonaws.com/")
    account.role("sso", trust(PARTNER), ago(9), path="/aws-reserved/sso.amazonaws.com/")
    account.delegation_request(PARTNER, "Finished", ago(5), state="FINALIZED")
    account.secret("theirs", ago(9), owning_service="rds")
    account.secret("ours", ago(9))
    records = read(cloud)
    mine = holdings(records, "<root_account>", "linked", "sso", "Finished", "CountersignInventory", "CountersignRevocation")
    mine += [one for one in holdings(records, ACCOUNT, whole=False) if one.kind == "secret"]
    with entered(cloud) as hand:
        changes, left = planned(hand, mine)
    assert ([], {one.uid for one in mine}) == (changes, {one.uid for one in left})
    assert all(one.why and one.advice for one in left)


def test_the_session_is_named_after_the_plan_and_the_declared_permissions_are_those_of_the_actions(cloud: SandboxAws) -> None:
    assert set(aws.REVOKE_PERMISSIONS) == {call for one in ACTIONS.values() for call in one.writes}
    assert set(aws.LOOK_PERMISSIONS) == {call for one in ACTIONS.values() for call in one.looks} - set(aws.PERMISSIONS)
    cloud.account(ACCOUNT).user("acme-svc", ago(9))
    with entered(cloud) as hand:
        ((change,), _) = planned(hand, holdings(read(cloud), "acme-svc"))
        cloud.deny(ACCOUNT, "iam:AttachUserPolicy")
        with pytest.raises(RevocationDeniedError) as refused:
            hand.write(change)
    assert f"countersign-{RUN}" in str(refused.value.__cause__ and refused.value.__cause__.__cause__)
    assert NOW > SINCE
