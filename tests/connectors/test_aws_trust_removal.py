import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.aws_documents import Reading, role_of, user_of
from countersign.aws_documents.policy import outside_parties
from countersign.aws_documents.trust_removal import NOBODY, names_deleted, opens, same, without
from countersign.clock import instant

OWN, PARTNER, OTHER = "444455556666", "999988887777", "121212121212"
SHARED = f"arn:aws:iam::{OWN}:oidc-provider/token.shared.example"
PARTIES = {("aws-account", PARTNER), ("oidc-issuer", "https://token.shared.example")}
names = st.sampled_from(
    [OWN, PARTNER, OTHER, "*", f"arn:aws:iam::{PARTNER}:root", f"arn:aws:iam::{PARTNER}:role/a", f"arn:aws:iam::{OTHER}:user/b"]
)
listed = names | st.lists(names, max_size=4)
principals = st.just("*") | st.fixed_dictionaries(
    {}, optional={"AWS": listed, "Service": st.just("ec2.amazonaws.com"), "Federated": st.just(SHARED), "CanonicalUser": st.just("79a5")}
)
statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Action": st.sampled_from(["sts:AssumeRole", "sts:*", ["sts:AssumeRoleWithWebIdentity"], "sts:TagSession"]),
    },
    optional={"Sid": st.text(max_size=3), "Principal": principals, "NotPrincipal": st.just({"AWS": PARTNER})},
)
policies = st.fixed_dictionaries({"Version": st.just("2012-10-17"), "Statement": statements | st.lists(statements, max_size=4)})


@given(policies)
def test_the_partner_goes_and_everybody_else_stays_as_they_were(policy: dict[str, Any]) -> None:
    before = copy.deepcopy(policy)
    after = without(policy, PARTIES, OWN)
    assert policy == before
    assert after is not None
    was, now = (outside_parties(one, OWN) or () for one in (policy, after))
    assert {(one.kind, one.party) for one in now} == {(one.kind, one.party) for one in was} - PARTIES
    assert after == without(after, PARTIES, OWN)
    untouched = [one for one in _listed(policy) if not any(part in str(one) for part in (PARTNER, "token.shared"))]
    assert untouched == [one for one in _listed(after) if one in untouched]
    assert {**after, "Statement": 0} == {**policy, "Statement": 0}
    assert bool(_listed(policy)) is bool(_listed(after))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_odd_documents_are_not_touched(value: object) -> None:
    assert without(value, PARTIES, OWN) in (None, value)
    assert same(value, value)


def test_the_last_to_go_leaves_a_policy_that_lets_nobody_in() -> None:
    alone = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "sts:AssumeRole"}}
    after = without(alone, PARTIES, OWN)
    assert {"Version": "2012-10-17", "Statement": [NOBODY]} == after
    assert (True, False) == (opens(alone), opens(after))


def test_deleted_principals_go_with_others_and_never_alone() -> None:
    dead = "AROAEXAMPLEEXAMPLE777"
    policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": [dead, OTHER]}, "Action": "sts:AssumeRole"}]}
    assert names_deleted(policy)
    assert policy == without(policy, PARTIES, OWN)
    policy["Statement"].append({"Effect": "Allow", "Principal": {"AWS": PARTNER}, "Action": "sts:AssumeRole"})
    after = without(policy, PARTIES, OWN)
    assert after is not None
    assert [{"AWS": [OTHER]}] == [one["Principal"] for one in after["Statement"]]


def test_lists_in_another_order_are_the_same_policy() -> None:
    assert same({"a": ["x", "y"], "b": "z"}, {"b": ["z"], "a": ["y", "x"]})
    assert not same({"a": ["x"]}, {"a": ["x", "y"]})


@pytest.mark.parametrize(
    ("arn", "enabled"),
    [
        ("arn:aws:iam::aws:policy/AWSDenyAll", False),
        ("arn:aws-us-gov:iam::aws:policy/AWSDenyAll", False),
        (f"arn:aws:iam::{OWN}:policy/AWSDenyAll", True),
        ("arn:aws:iam::aws:policy/AWSDenyAllElse", True),
    ],
)
def test_whoever_is_denied_everything_is_not_enabled(arn: str, enabled: bool) -> None:  # noqa: FBT001 - a case's answer
    reading = Reading(account=OWN, observed_at=instant("2026-11-21T06:00:00Z"), report=None)
    attached = {"AttachedManagedPolicies": [{"PolicyName": "AWSDenyAll", "PolicyArn": arn}]}
    assert enabled is user_of({"UserId": "AIDAEXAMPLE", **attached}, None, reading).enabled
    assert enabled is role_of({"RoleId": "AROAEXAMPLE", "AssumeRolePolicyDocument": {"Statement": []}, **attached}, reading).enabled


def _listed(policy: dict[str, Any]) -> list[Any]:
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]
