import json
from collections.abc import Iterator
from typing import Any

import pytest
from aws_reader import ACCOUNT, NOW, PARTNER, ago, coverage, full, held, of, of_kind, open_door, read, running, states
from hypothesis import given
from hypothesis import strategies as st

from connectors import aws
from connectors.aws.anywhere import _narrowed
from connectors.aws.creators import creation
from connectors.aws.git_users import could_use_git
from countersign.errors import ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity
from sandbox.aws import SandboxAws


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as at_hand:
        yield at_hand


DEPTH = sorted(
    one
    for one in set(aws.PERMISSIONS) - set(aws.CORE)
    if not one.startswith(("organizations:", "sts:", "cloudtrail:", "access-analyzer:ListA"))
)


@pytest.mark.parametrize("how", ["denied", "not-parseable", "empty", "wrong-type", "endless", "OptInRequired"])
def test_whatever_some_listings_do_nothing_else_is_lost(cloud: SandboxAws, how: Any) -> None:
    full(cloud)
    first = read(cloud)
    whole = {one.uid for one in (*of(Identity, first), *of(Credential, first))}
    for half in (DEPTH[::2], DEPTH[1::2]):
        for operation in half:
            disturb(cloud, operation, how)
        records = read(cloud)
        missing = [row for row in of(Coverage, records) if row.state != "complete"]
        unasked = {one for one, first in ASKED_AFTER.items() if {first, ASKED_AFTER.get(first)} & set(half)}
        unmoved = UNPAGED if how == "endless" else SINGLE if how == "wrong-type" else set()
        assert set(half) - unmoved - unasked <= {row.operation for row in missing} <= set(half)
        hidden = {kind for row in missing for kind in row.covers}
        # With a provider goes its certificate, and without a trust anchor nobody asks for subjects.
        hidden |= {"certificate"} if "saml-provider" in hidden else set()
        hidden |= {"certificate", "roles-anywhere-subject"} if "trust-anchor" in hidden else set()
        hidden |= {"certificate"} if "roles-anywhere-subject" in hidden else set()
        lost = whole - {one.uid for one in (*of(Identity, records), *of(Credential, records))}
        assert {uid.split(":", 2)[2].partition("/")[0] for uid in lost} <= hidden | {"account"}
        cloud.calm()
        for operation in half:
            cloud.allow(ACCOUNT, operation)


def disturb(cloud: SandboxAws, operation: str, how: Any) -> None:
    if how == "denied":
        cloud.deny(ACCOUNT, operation)
    elif how == "OptInRequired":
        cloud.fail(ACCOUNT, operation, how)
    else:
        cloud.spoil(ACCOUNT, operation, how)


ASKED_AFTER = {
    "iam:GetOpenIDConnectProvider": "iam:ListOpenIDConnectProviders",
    "rolesanywhere:ListProfiles": "rolesanywhere:ListTrustAnchors",
    "rolesanywhere:ListSubjects": "rolesanywhere:ListTrustAnchors",
    "rolesanywhere:GetSubject": "rolesanywhere:ListSubjects",
}
SINGLE = {"iam:GetOpenIDConnectProvider", "rolesanywhere:GetSubject"}
UNPAGED = {*SINGLE, "iam:ListOpenIDConnectProviders", "iam:ListSAMLProviders"}


def test_a_service_that_does_not_know_the_operation_has_none_of_its_kind(cloud: SandboxAws) -> None:
    full(cloud)
    cloud.fail(ACCOUNT, "iam:ListDelegationRequests", "InvalidAction", "Could not find operation ListDelegationRequests")
    records = read(cloud)
    row = coverage(records, "iam:ListDelegationRequests")
    assert (row.state, row.error, {}) == (
        "complete", "InvalidAction: Could not find operation ListDelegationRequests", of_kind(records, "delegation-request"),
    )  # fmt: skip


def test_pages_are_followed_also_across_empty_ones(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    wanted = {account.secret(f"s{number}", ago(9)) for number in range(5)}
    cloud.pages("secretsmanager:ListSecrets", 2)
    cloud.spoil(ACCOUNT, "secretsmanager:ListSecrets", "empty-page", times=1)
    records = read(cloud)
    assert wanted == set(held(records, "secret"))
    assert coverage(records, "secretsmanager:ListSecrets").state == "complete"


def test_throttled_calls_are_tried_again(cloud: SandboxAws, monkeypatch: pytest.MonkeyPatch) -> None:
    full(cloud)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    cloud.throttle(ACCOUNT, "secretsmanager:ListSecrets", times=1)
    assert {"complete"} == set(states(read(cloud)).values())


ODD = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(ODD)
def test_odd_documents_never_stop_a_reading(odd: Any) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Action": odd, "NotAction": odd, "Condition": odd}]}
    assert could_use_git(policy) in {True, False}
    assert len(_narrowed(odd)) == 2
    event = {"responseElements": {"user": odd}, "userIdentity": odd}
    assert creation({"CloudTrailEvent": json.dumps(event)}) is None or isinstance(odd, dict)
    assert creation({"CloudTrailEvent": odd}) is None


def test_an_unreachable_account_is_still_refused_as_a_whole(cloud: SandboxAws) -> None:
    open_door(cloud, "111111111111")
    cloud.deny("111111111111", "*")
    with pytest.raises(ScopeDeniedError):
        read(cloud, "111111111111")


def test_hostile_names_pass_through_as_they_are(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    name = "=HYPERLINK(1)<b>\x1b[31m../../" + "x" * 300
    account.secret("ok", ago(9))
    account.external_finding(f"arn:aws:sqs:eu-west-2:{ACCOUNT}:{name}", PARTNER, ago(3), resource_type="AWS::SQS::Queue")
    assert f"arn:aws:sqs:eu-west-2:{ACCOUNT}:{name}" in of_kind(read(cloud), "shared-resource")


def test_nothing_here_asks_the_machines_clock(cloud: SandboxAws) -> None:
    full(cloud)
    assert {NOW} == {one.observed_at for one in of(Identity, read(cloud))}
