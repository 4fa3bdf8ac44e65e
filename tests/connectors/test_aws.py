from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from aws_reader import ACCOUNT, NOW, ago, named, of, open_door, read, running, source_of, states

from connectors import aws
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Record, Trust
from countersign.programme import AwsSource
from countersign.reading import KeyRow, ReadRequest
from sandbox.aws import CALLER_ACCOUNT, CALLER_USER, SandboxAws, trust, trust_issuer

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
READ_S3 = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as aws_at_hand:
        yield aws_at_hand


def keys(records: Iterable[Record]) -> dict[str, Credential]:
    return {record.uid.rpartition("/")[2]: record for record in of(Credential, records) if record.kind == "access-key"}


def test_a_key_never_used_is_as_old_as_its_creation(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("acme-backup", ago(400))
    old, new = account.key("acme-backup", ago(200)), account.key("acme-backup", ago(1))
    records = read(cloud)
    found = keys(records)
    assert (ago(200), "never", True) == (found[old].created_at, found[old].last_used_state, found[old].enabled)
    assert (ago(1), "never", None) == (found[new].created_at, found[new].last_used_state, found[new].last_used_at)
    assert named(records)["acme-backup"].last_active_state == "never"


def test_two_keys_of_one_second_are_told_apart_by_asking_for_each(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("twins", ago(90))
    idle, busy = account.key("twins", ago(90)), account.key("twins", ago(90), last_used=ago(2))
    found = keys(read(cloud))
    assert {idle: ("never", None, None), busy: ("known", ago(2), None)} == {
        key: (found[key].last_used_state, found[key].last_used_at, found[key].use_seen_to) for key in found
    }
    assert cloud.calls[ACCOUNT, "GetAccessKeyLastUsed"] == 2


def test_two_keys_of_one_second_without_ids_have_no_known_use(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("twins", ago(90))
    account.key("twins", ago(90))
    account.key("twins", ago(90), last_used=ago(2))
    found = keys(read(cloud, needs_id=lambda _row: False))
    stamped = f"{native}@{ago(90):%Y%m%dT%H%M%SZ}"
    assert {f"{stamped}#1", f"{stamped}#2"} == set(found)
    assert [(key.last_used_state, key.last_used_at) for key in found.values()] == [("unknown", None)] * 2
    assert all("same second" in key.unknown["last_used_at"] for key in found.values())
    assert cloud.calls[ACCOUNT, "ListAccessKeys"] == 0


def test_status_tells_two_keys_of_one_second_apart_without_further_calls(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("twins", ago(90))
    off, on = account.key("twins", ago(90), last_used=ago(80), active=False), account.key("twins", ago(90))
    found = keys(read(cloud))
    assert {off: ("known", False), on: ("never", True)} == {key: (found[key].last_used_state, found[key].enabled) for key in found}
    assert cloud.calls[ACCOUNT, "GetAccessKeyLastUsed"] == 0


def test_an_inactive_first_key_does_not_hide_a_stale_second_one(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("deploy", ago(500))
    first, second = account.key("deploy", ago(30), last_used=ago(1), active=False), account.key("deploy", ago(400), last_used=ago(300))
    found = keys(read(cloud))
    assert (False, ago(30), ago(1)) == (found[first].enabled, found[first].created_at, found[first].last_used_at)
    assert (True, ago(400), ago(300)) == (found[second].enabled, found[second].created_at, found[second].last_used_at)


def test_an_older_report_brings_no_deleted_key_back_and_misses_no_new_one(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("rotated", ago(400))
    kept, gone = account.key("rotated", ago(400), last_used=ago(3)), account.key("rotated", ago(200), last_used=ago(9))
    account.freeze_report(ago(hours=3))
    account.iam.delete_access_key(UserName="rotated", AccessKeyId=gone)
    new = account.key("rotated", ago(hours=1), last_used=ago(minutes=5))
    found = keys(read(cloud))
    assert {kept, new} == set(found)
    assert (ago(minutes=5), None) == (found[new].last_used_at, found[new].use_seen_to)
    assert (ago(3), ago(hours=3)) == (found[kept].last_used_at, found[kept].use_seen_to)


def test_a_report_that_says_it_is_years_old_is_no_older_than_iam_keeps_one(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("idle", ago(400))
    account.key("idle", ago(200))
    account.freeze_report(datetime(2015, 2, 2, 20, 2, 2, tzinfo=UTC))
    (key,) = keys(read(cloud)).values()
    assert key.use_seen_to == NOW - timedelta(hours=4)


def test_ids_are_asked_for_only_where_they_are_needed(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("calm", ago(400), tags={"team": "data"})
    account.key("calm", ago(10), last_used=ago(1))
    account.user("stale", ago(400))
    stale = account.key("stale", ago(100))
    asked = []

    def needs_id(row: KeyRow) -> bool:
        asked.append((row.name, dict(row.tags), row.created_at, row.last_used_at, row.several))
        return row.created_at is not None and row.created_at < ago(90)

    assert {stale, f"{native}@{ago(10):%Y%m%dT%H%M%SZ}"} == set(keys(read(cloud, needs_id=needs_id)))
    assert [("calm", {"team": "data"}, ago(10), ago(1), False), ("stale", {}, ago(100), None, False)] == asked
    assert cloud.calls[ACCOUNT, "ListAccessKeys"] == 1


def test_keys_keep_their_report_names_when_listing_is_refused(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    natives = [account.user(name, ago(400)) for name in ("a", "b")]
    for name in ("a", "b"):
        account.key(name, ago(200))
    cloud.deny(ACCOUNT, "iam:ListAccessKeys")
    records = read(cloud)
    assert {f"{native}@{ago(200):%Y%m%dT%H%M%SZ}" for native in natives} == set(keys(records))
    refused = next(row for row in of(Coverage, records) if row.operation == "iam:ListAccessKeys")
    assert (refused.state, refused.covers, cloud.calls[ACCOUNT, "ListAccessKeys"]) == ("denied", (), 1)


def test_people_machines_and_the_root_user(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.root(mfa=False, password_last_used=ago(50), keys=((ago(900), None),))
    account.user("maria", ago(400), console=True, mfa=True, password_changed=ago(30), password_last_used=ago(2), tags={"Owner": "maria@x"})
    account.user("etl", ago(20), tags={"nhi:owner": "dev", "purpose": "nightly load", "owner": ""})
    account.role("AWSReservedSSO_Admin_1", trust(ACCOUNT), ago(9), path="/aws-reserved/sso.amazonaws.com/eu-west-2/", last_used=ago(1))
    account.role("AWSServiceRoleForSupport", trust(ACCOUNT), ago(9), path="/aws-service-role/support.amazonaws.com/")
    records = read(cloud)
    who = named(records)
    maria, etl, root = who["maria"], who["etl"], who["<root_account>"]
    assert ("human", True, True, ago(2), "maria@x") == (maria.track, maria.console, maria.mfa, maria.last_active_at, maria.owner_claim)
    assert (
        etl.track, etl.console, etl.last_active_state, etl.owner_claim, etl.purpose,
    ) == ("machine", False, "unknown", "dev", "nightly load")  # fmt: skip
    assert etl.unknown["last_active_at"] == "has no credential, and no record of use"
    assert (f"aws:{ACCOUNT}:user/{ACCOUNT}", "human", True, False) == (root.uid, root.track, root.console, root.mfa)
    assert ("human", ago(1)) == (who["AWSReservedSSO_Admin_1"].track, who["AWSReservedSSO_Admin_1"].last_active_at)
    assert (
        who["AWSServiceRoleForSupport"].track,
        who["AWSServiceRoleForSupport"].provider_managed,
        who["AWSServiceRoleForSupport"].last_active_state,
    ) == ("machine", True, "never")
    passwords = {record.identity_uid: record for record in of(Credential, records) if record.kind == "password"}
    assert {maria.uid, root.uid} == set(passwords)
    assert (True, ago(30), ago(2)) == (
        passwords[maria.uid].enabled, passwords[maria.uid].created_at, passwords[maria.uid].last_used_at,
    )  # fmt: skip
    assert (passwords[root.uid].enabled, "enabled" in passwords[root.uid].unknown) == (None, True)
    assert [f"{ACCOUNT}@{ago(900):%Y%m%dT%H%M%SZ}"] == list(keys(records))


def test_outside_trust_is_told_with_its_condition_or_none(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    issuer = "token.actions.githubusercontent.com"
    account.role("vendor", trust("arn:aws:iam::999988887777:root"), ago(10))
    account.role("careful", trust("999988887777", external_id="k-9"), ago(10))
    account.role("own", trust(f"arn:aws:iam::{ACCOUNT}:root"), ago(10))
    account.role("ci", trust_issuer(ACCOUNT, issuer, {"StringLike": {f"{issuer}:sub": "repo:northwind/*"}}), ago(10))
    records = read(cloud)
    names = {record.uid: record.name for record in of(Identity, records)}
    assert {
        ("vendor", "aws-account", "999988887777", None),
        ("careful", "aws-account", "999988887777", "sts:ExternalId"),
        ("ci", "oidc-issuer", f"https://{issuer}", f"{issuer}:sub"),
        ("CountersignInventory", "aws-account", CALLER_ACCOUNT, "sts:ExternalId"),
    } == {(names[one.identity_uid], one.party_kind, one.party, one.condition) for one in of(Trust, records)}


def test_privileges_come_from_groups_boundaries_and_documents(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    own, narrow = account.policy("everything", EVERYTHING), account.policy("read-s3", READ_S3)
    account.group("admins", policies=("AdministratorAccess",), inline={"more": READ_S3})
    account.user("direct", ago(9), policies=(own, narrow))
    account.user("member", ago(9), groups=("admins",))
    account.user("bounded", ago(9), policies=("AdministratorAccess",), boundary=narrow)
    account.role("inline", trust(ACCOUNT), ago(9), inline={"all": EVERYTHING})
    account.role("capped", trust(ACCOUNT), ago(9), policies=(own,), boundary="AdministratorAccess")
    records = read(cloud)
    names = {record.uid: record.name for record in of(Identity, records)}
    assert {
        ("direct", "everything", "direct", "administrator"),
        ("direct", "read-s3", "direct", "limited"),
        ("member", "AdministratorAccess", "group:admins", "administrator"),
        ("member", "more", "group:admins", "limited"),
        ("bounded", "AdministratorAccess", "direct", "limited"),
        ("inline", "all", "inline", "administrator"),
        ("capped", "everything", "direct", "administrator"),
    } == {(names[one.identity_uid], one.role, one.via, one.power) for one in of(Grant, records)}


def test_2300_users_take_three_calls_beyond_their_pages(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.group("admins", policies=("AdministratorAccess",))
    for number in range(2300):
        account.user(f"u{number:04}", ago(400), groups=("admins",) if number == 0 else ())
        account.key(f"u{number:04}", ago(10), last_used=ago(1))
    records = read(cloud, needs_id=lambda _row: False)
    assert len(keys(records)) == 2300
    authorization = next(row for row in of(Coverage, records) if row.operation == aws.AUTHORIZATION)
    assert (
        authorization.pages, authorization.rows, authorization.independent_count, authorization.state,
    ) == (3, 2301, 2301, "complete")  # fmt: skip
    entries = 2300 + 1 + 1 + 1  # the role, the group and its policy
    core = {operation.removeprefix("iam:") for operation in aws.CORE}
    assert -(-entries // 1000) + 3 >= sum(count for (_, action), count in cloud.calls.items() if action in core)
    assert [(named(records)["u0000"].uid, "administrator")] == [(one.identity_uid, one.power) for one in of(Grant, records)]


def test_one_denied_account_among_three_stops_only_itself(cloud: SandboxAws) -> None:
    accounts = ("111111111111", "222222222222", "333333333333")
    for number in accounts:
        open_door(cloud, number)
        cloud.account(number).user("svc", ago(9))
    cloud.deny("222222222222", "sts:AssumeRole")
    with ThreadPoolExecutor() as threads:  # as the nightly flow reads them
        one, three = threads.map(lambda number: read(cloud, number, accounts=accounts), ("111111111111", "333333333333"))
    assert (named(one)["svc"].scope, named(three)["svc"].scope) == ("111111111111", "333333333333")
    with pytest.raises(ScopeDeniedError, match=r"sts:AssumeRole: AccessDenied: .*222222222222"):
        read(cloud, "222222222222", accounts=accounts)


def test_an_account_that_answers_nothing_is_refused_as_a_whole(cloud: SandboxAws) -> None:
    cloud.deny(ACCOUNT, "iam:GetAccountAuthorizationDetails")
    cloud.deny(ACCOUNT, "iam:GetCredentialReport")
    with pytest.raises(ScopeDeniedError, match=r"GetAccountAuthorizationDetails.*GetCredentialReport"):
        read(cloud)


def test_without_the_report_its_facts_are_unknown_and_the_rest_goes_on(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("etl", ago(20))
    account.key("etl", ago(20))
    account.role("vendor", trust("999988887777"), ago(10))
    cloud.deny(ACCOUNT, "iam:GetCredentialReport")
    records = read(cloud)
    etl = named(records)["etl"]
    assert (etl.track, etl.console, etl.mfa, etl.last_active_state) == (None, None, None, "unknown")
    assert all("iam:GetCredentialReport: AccessDenied" in etl.unknown[name] for name in ("track", "console", "mfa", "last_active_at"))
    assert "999988887777" in {one.party for one in of(Trust, records)}
    assert (states(records)[aws.REPORT], states(records)[aws.AUTHORIZATION], of(Credential, records)) == ("denied", "complete", [])


def test_without_the_details_nobody_is_named_by_guess(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user("etl", ago(20))
    account.key("etl", ago(20))
    cloud.deny(ACCOUNT, "iam:GetAccountAuthorizationDetails")
    records = read(cloud)
    assert list(named(records)) == ["<root_account>"]
    report = next(row for row in of(Coverage, records) if row.operation == aws.REPORT)
    assert (states(records)[aws.AUTHORIZATION], report.state, list(report.dropped.values())) == ("denied", "partial", [1])


def test_a_user_newer_than_the_report_is_told_apart_from_one_without_password(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.freeze_report(ago(hours=2))
    account.user("fresh", ago(hours=1))
    fresh = named(read(cloud))["fresh"]
    assert (fresh.console, "created since" in fresh.unknown["console"]) == (None, True)


@pytest.mark.parametrize("external_id", ["x-2", None])
def test_a_wrong_external_id_is_refused(cloud: SandboxAws, external_id: str | None) -> None:
    with pytest.raises(ScopeDeniedError, match="sts:AssumeRole: AccessDenied"):
        read(cloud, external_id=external_id)


def test_without_a_role_only_the_callers_own_account_is_read(cloud: SandboxAws) -> None:
    (scope,) = aws.scopes(AwsSource.model_construct(name="aws", accounts=(), regions=("eu-west-2",), endpoint=cloud.endpoint))
    assert scope.name == CALLER_ACCOUNT
    assert CALLER_USER in named(read(cloud, CALLER_ACCOUNT, role=None))
    cloud.calls.clear()
    with pytest.raises(ScopeDeniedError, match=f"{CALLER_ACCOUNT}.*{ACCOUNT}"):
        read(cloud, ACCOUNT, role=None)
    assert Counter({(CALLER_ACCOUNT, "GetCallerIdentity"): 1}) == cloud.calls


def test_a_role_of_another_account_is_never_read_in_its_place(cloud: SandboxAws) -> None:
    open_door(cloud, "111111111111")
    with pytest.raises(ScopeDeniedError, match=f"111111111111.*{ACCOUNT}"):
        read(cloud, role="arn:aws:iam::111111111111:role/CountersignInventory")


def test_a_role_given_as_an_arn_takes_each_accounts_number(cloud: SandboxAws) -> None:
    template = "arn:aws:iam::{account}:role/CountersignInventory"
    assert f"arn:aws:iam::{ACCOUNT}:role/CountersignInventory" == aws.scopes(source_of(cloud, role=template))[0].detail["role"]
    assert "CountersignInventory" in named(read(cloud, role=template))


def test_an_address_where_nobody_answers_can_be_tried_again(cloud: SandboxAws) -> None:
    with pytest.raises(ReadError, match="sts:AssumeRole") as caught:
        read(cloud, endpoint="http://127.0.0.1:9")
    assert not isinstance(caught.value, ScopeDeniedError)


def test_a_session_that_runs_out_is_assumed_again(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).user("svc", ago(9))
    source = source_of(cloud)
    records = aws.read(ReadRequest(source=source, scope=aws.scopes(source)[0], run="7", now=lambda: NOW))
    first = next(records)
    cloud.expire_sessions(ACCOUNT)
    assert "svc" in named([first, *records])
    assert cloud.calls[ACCOUNT, "AssumeRole"] == 2


def test_what_was_answered_is_kept_without_policies_in_full(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.user(
        "svc",
        ago(9),
        inline={"secretive": {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "odd:Thing", "Resource": "*"}]}},
    )
    account.key("svc", ago(9))
    records = read(cloud)
    seen = of(Observation, records)
    assert [one.operation for one in seen] == [aws.REPORT, aws.AUTHORIZATION, "iam:ListAccessKeys"]
    assert {f"arn:aws:sts::{ACCOUNT}:assumed-role/CountersignInventory/countersign-run-7"} == {one.caller for one in seen}
    assert "odd:Thing" not in str(seen)
    said = {(one.kind, one.field): (one.call, one.at) for one in of(Provenance, records)}
    assert said["access-key", "created_at"] == ("iam:ListAccessKeys", NOW)
    assert said["user", "mfa"][0] == "iam:GetCredentialReport"


def test_probe_says_who_we_are_and_what_is_missing(cloud: SandboxAws) -> None:
    cloud.deny(ACCOUNT, "iam:GetAccountSummary")
    open_door(cloud, "111111111111")
    cloud.deny("111111111111", "sts:AssumeRole")
    found = {(one.scope, one.operation): one for one in aws.probe(source_of(cloud, accounts=(ACCOUNT, "111111111111")))}
    assert [place for place, one in found.items() if not one.ok] == [(ACCOUNT, "iam:GetAccountSummary"), ("111111111111", "sts:AssumeRole")]
    organization = {one for one in aws.PERMISSIONS if one.startswith("organizations:")}
    not_tried = {"iam:GenerateCredentialReport", "iam:GetAccessKeyLastUsed", "iam:GetOpenIDConnectProvider", "rolesanywhere:GetSubject"}
    not_tried |= {"access-analyzer:ListFindings", "sts:GetCallerIdentity"}
    assert {place[1] for place in found if place[0] == ACCOUNT} == set(aws.PERMISSIONS) - organization - not_tried
    assert "needs iam:GetAccountSummary" in found[ACCOUNT, "iam:GetAccountSummary"].detail
    assert "no current report" in found[ACCOUNT, "iam:GetCredentialReport"].detail
