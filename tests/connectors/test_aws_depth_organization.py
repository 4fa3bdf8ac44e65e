from collections.abc import Iterator
from typing import Any

import pytest
from aws_reader import ACCOUNT, ago, of, open_door, read, running, source_of

from connectors import aws
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Grant, Identity, Record, Trust
from countersign.reading import Scope
from sandbox.aws import CALLER_ACCOUNT, Member, SandboxAws, trust

SIDE, CLOSED, OUTSIDE, PARTNER = "555566667777", "666677778888", "777788889999", "999988887777"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as at_hand:
        members = (Member(ACCOUNT, name="Shop", tags={"partner": "acme", "owner": "dev"}), SIDE, Member(CLOSED, state="SUSPENDED"))
        at_hand.organization(CALLER_ACCOUNT, *members)
        yield at_hand


def scopes(cloud: SandboxAws, **different: Any) -> dict[str, Scope]:
    return {scope.name: scope for scope in aws.scopes(source_of(cloud, **({"accounts": (), "organization": True} | different)))}


def read_in(cloud: SandboxAws, account: str, **different: Any) -> list[Record]:
    return read(cloud, account, **({"accounts": (), "organization": True} | different))


def row(records: list[Record], operation: str) -> Coverage:
    (found,) = (one for one in of(Coverage, records) if one.operation == operation)
    return found


def test_active_accounts_are_found_and_those_configured_are_added(cloud: SandboxAws) -> None:
    found = scopes(cloud, accounts=(OUTSIDE, SIDE))
    assert [CALLER_ACCOUNT, ACCOUNT, SIDE, OUTSIDE] == list(found)
    assert [found[CALLER_ACCOUNT].name] == [name for name, one in found.items() if one.detail.get("own") == CLOSED]
    assert {f"arn:aws:iam::{name}:role/CountersignInventory" for name in found} == {one.detail["role"] for one in found.values()}


def test_the_listing_is_followed_by_its_token_also_across_empty_pages(cloud: SandboxAws) -> None:
    cloud.organization(CALLER_ACCOUNT, *(f"{number:012}" for number in range(45)))
    cloud.spoil(CALLER_ACCOUNT, "organizations:ListAccounts", "empty-page", times=3)
    assert (46, 6) == (len(scopes(cloud)), cloud.calls[CALLER_ACCOUNT, "ListAccounts"])


def test_a_refused_listing_is_one_clear_error_and_nobody_is_read(cloud: SandboxAws) -> None:
    cloud.deny(CALLER_ACCOUNT, "organizations:ListAccounts")
    with pytest.raises(ScopeDeniedError, match=rf"AccessDenied.*arn:aws:iam::{CALLER_ACCOUNT}:user/.*needs organizations:ListAccounts"):
        scopes(cloud, accounts=(OUTSIDE,))
    (probe,) = aws.probe(source_of(cloud, organization=True))
    assert (probe.ok, probe.operation) == (False, "organizations:ListAccounts")


@pytest.mark.parametrize("how", ["not-parseable", "empty", "cut", "wrong-type", "same-token"])
def test_a_broken_listing_is_never_taken_for_a_whole_one(cloud: SandboxAws, how: Any) -> None:
    cloud.spoil(CALLER_ACCOUNT, "organizations:ListAccounts", how)
    with pytest.raises(ReadError, match="organizations:ListAccounts"):
        scopes(cloud)


def test_an_organization_needs_a_role(cloud: SandboxAws) -> None:
    with pytest.raises(ReadError, match="names no role"):
        scopes(cloud, role=None)


def test_the_management_account_is_read_with_the_credentials_at_hand_where_it_has_no_role(cloud: SandboxAws) -> None:
    records = read_in(cloud, CALLER_ACCOUNT)
    assert "countersign-runner" in {one.name for one in of(Identity, records)}
    listed = row(records, "organizations:ListAccounts")
    assert (listed.state, listed.rows, listed.dropped) == ("complete", 4, {"the account is SUSPENDED": 1})
    open_door(cloud, CALLER_ACCOUNT)
    cloud.calls.clear()
    read_in(cloud, CALLER_ACCOUNT)
    assert cloud.calls[CALLER_ACCOUNT, "GetCallerIdentity"] == 0


def test_another_account_is_never_read_with_the_credentials_at_hand(cloud: SandboxAws) -> None:
    with pytest.raises(ScopeDeniedError, match=f"sts:AssumeRole: AccessDenied.*{SIDE}"):
        read_in(cloud, SIDE)


def test_an_accounts_tags_are_those_of_the_organization(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).secret("orders/db", ago(9))
    (holder,) = (one for one in of(Identity, read_in(cloud, ACCOUNT)) if one.kind == "account")
    assert ({"partner": "acme", "owner": "dev"}, "dev", "Shop") == (holder.tags, holder.owner_claim, holder.name)
    cloud.deny(CALLER_ACCOUNT, "organizations:ListTagsForResource")
    records = read_in(cloud, ACCOUNT)
    (holder,) = (one for one in of(Identity, records) if one.kind == "account")
    assert ({}, True) == (holder.tags, "AccessDenied" in holder.unknown["tags"])
    assert {"complete"} == {one.state for one in of(Coverage, records)}


def test_who_else_administers_the_organization_and_who_has_its_bills(cloud: SandboxAws) -> None:
    cloud.delegated_administrator(SIDE, "access-analyzer.amazonaws.com", ago(40))
    cloud.delegated_administrator(SIDE, "sso.amazonaws.com", ago(40))
    live = cloud.billing_transfer(PARTNER, ago(100), name="Channel")
    over = cloud.billing_transfer(OUTSIDE, ago(400), ended=ago(20))
    asked = cloud.billing_transfer(OUTSIDE, None, status="REQUESTED")
    records = read_in(cloud, CALLER_ACCOUNT)
    assert {
        (f"aws:{SIDE}:account/{SIDE}", f"delegated administrator of {name}.amazonaws.com", None) for name in ("access-analyzer", "sso")
    } == {(one.identity_uid, one.role, one.power) for one in of(Grant, records) if one.via == "delegated"}
    found = {one.native_id: one for one in of(Identity, records) if one.kind == "billing-transfer"}
    assert {live: ("Channel", True), over: ("Billing transfer", False), asked: ("Billing transfer", False)} == {
        name: (one.name, one.enabled) for name, one in found.items()
    }
    assert {(found[live].uid, "aws-account", PARTNER)} == {
        (one.identity_uid, one.party_kind, one.party) for one in of(Trust, records) if one.party == PARTNER
    }


def test_what_only_the_management_account_can_say_is_refused_by_itself(cloud: SandboxAws) -> None:
    cloud.deny(CALLER_ACCOUNT, "organizations:ListOutboundResponsibilityTransfers")
    records = read_in(cloud, CALLER_ACCOUNT)
    assert ["organizations:ListOutboundResponsibilityTransfers"] == [
        one.operation for one in of(Coverage, records) if one.state != "complete"
    ]
    assert row(records, "organizations:ListOutboundResponsibilityTransfers").covers == ("billing-transfer",)


def test_an_analyzer_of_the_organization_spares_each_account_its_own(cloud: SandboxAws) -> None:
    cloud.account(CALLER_ACCOUNT).analyzer("all", ago(300), kind="ORGANIZATION")
    queue, bucket = f"arn:aws:sqs:eu-west-2:{ACCOUNT}:orders", "arn:aws:s3:::shop"
    for resource, kind in ((queue, "AWS::SQS::Queue"), (f"arn:aws:iam::{ACCOUNT}:role/vendor", "AWS::IAM::Role")):
        cloud.account(CALLER_ACCOUNT).external_finding(resource, PARTNER, ago(3), resource_type=kind, owner=ACCOUNT)
    cloud.account(ACCOUNT).external_finding(bucket, PARTNER, ago(3), resource_type="AWS::S3::Bucket")
    management, member = read_in(cloud, CALLER_ACCOUNT), read_in(cloud, ACCOUNT)
    assert {queue: (f"account {ACCOUNT}",)} == {
        one.native_id: one.aliases[1:] for one in of(Identity, management) if one.kind == "shared-resource"
    }
    assert ["a role of another account of the organisation, which is read there"] == list(
        row(management, "access-analyzer:ListFindings").dropped
    )
    assert not [one for one in of(Identity, member) if one.kind == "shared-resource"]
    assert {bucket} == {one.native_id for one in of(Identity, read(cloud)) if one.kind == "shared-resource"}


def test_probing_tries_each_operation_in_each_account_and_region(cloud: SandboxAws) -> None:
    open_door(cloud, SIDE)
    cloud.deny(SIDE, "secretsmanager:ListSecrets")
    source = source_of(cloud, accounts=(), organization=True, regions=("eu-west-2", "us-east-1"))
    found = list(aws.probe(source))
    missing = [(one.scope, one.operation, one.detail.partition(":")[0]) for one in found if not one.ok]
    assert [(SIDE, "secretsmanager:ListSecrets", region) for region in source.regions] == missing
    assert any("needs secretsmanager:ListSecrets" in one.detail for one in found if not one.ok)
    assert {"organizations:ListDelegatedAdministrators", "organizations:ListOutboundResponsibilityTransfers"} == {
        one.operation for one in found if one.operation.startswith("organizations:") and one.scope == CALLER_ACCOUNT
    }


def test_roles_of_other_accounts_of_the_organization_do_not_stand_for_this_one(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).role("shared", trust(SIDE), ago(9))
    records = read_in(cloud, ACCOUNT)
    assert {SIDE, CALLER_ACCOUNT} == {one.party for one in of(Trust, records)}
