import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.aws_documents.policy import DELETED_PRINCIPAL, Party, allowed, managed, outside_parties
from countersign.privilege.aws import ALL, IAM
from countersign.privilege.aws_statements import Allowances

OWN, THEIRS = "444455556666", "999988887777"
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
SUB = "token.example:sub"

WORDS = st.sampled_from(
    (
        *("Statement", "Effect", "Allow", "Deny", "Action", "NotAction", "Resource", "Condition", "Principal", "NotPrincipal", "AWS"),
        *("Federated", "*", "*:*", "sts:AssumeRole", "sts:*", OWN, f"arn:aws:iam::{THEIRS}:root", "StringEquals", "sts:ExternalId", "["),
        "AROAABCDEFGHIJKLMNOPQ",
    )
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def lets_in(principal: Any, condition: Any = None, action: Any = "sts:AssumeRole", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": action} | ({} if condition is None else {"Condition": condition})


def parties(*statements: dict[str, Any]) -> set[tuple[str, str, str | None]]:
    found = outside_parties(document(*statements), OWN)
    assert found is not None
    return {(party.kind, party.party, party.condition) for party in found}


def test_a_policy_is_read_as_a_mapping_as_json_and_as_iam_sends_it() -> None:
    policy = document(ALLOW_ALL)
    assert [Allowances(certain=ALL)] * 3 == [allowed(form) for form in (policy, json.dumps(policy), quote(json.dumps(policy)))]


@pytest.mark.parametrize("odd", [None, 7, "", "no json", "[1]", {}, {"Statement": "x"}, {"Statement": ["x"]}, "{" * 100_000])
def test_what_is_no_policy_is_not_judged(odd: object) -> None:
    assert allowed(odd) is None
    assert outside_parties(odd, OWN) is None


def test_aws_own_administrators_are_known_in_every_partition_without_their_document() -> None:
    assert Allowances(certain=ALL) == managed("arn:aws-us-gov:iam::aws:policy/AdministratorAccess")
    assert Allowances(certain=IAM) == managed("arn:aws:iam::aws:policy/IAMFullAccess")
    assert managed(f"arn:aws:iam::{OWN}:policy/AdministratorAccess") is None
    assert managed("arn:aws:iam::aws:policy/AdministratorAccess-Amplify") is None


@pytest.mark.parametrize(
    ("principal", "condition", "expected"),
    [
        ({"AWS": THEIRS}, None, {("aws-account", THEIRS, None)}),
        ({"AWS": [f"arn:aws:iam::{THEIRS}:role/x", f"arn:aws:iam::{OWN}:root", OWN]}, None, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"StringEquals": {"sts:ExternalId": "a"}}, {("aws-account", THEIRS, "sts:ExternalId")}),
        ({"AWS": THEIRS}, {"stringLike": {"STS:externalid": ["a*", "b"]}}, {("aws-account", THEIRS, "STS:externalid")}),
        ({"AWS": THEIRS}, {"StringLike": {"sts:ExternalId": "*"}}, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"StringLike": {"sts:ExternalId": ["a", "?*"]}}, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"StringEqualsIfExists": {"sts:ExternalId": "a"}}, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"ForAllValues:StringEquals": {"sts:ExternalId": "a"}}, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"StringNotEquals": {"sts:ExternalId": "a"}}, {("aws-account", THEIRS, None)}),
        ({"AWS": THEIRS}, {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {("aws-account", THEIRS, None)}),
        ("*", None, {("anyone", "*", None)}),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, {("anyone", "*", "aws:PrincipalOrgID")}),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalAccount": [THEIRS]}}, {("anyone", "*", "aws:PrincipalAccount")}),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalAccount": [OWN]}}, set()),
        ({"AWS": "*"}, {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/*"}}, set()),
        ({"AWS": "*"}, {"ArnLike": {"aws:PrincipalArn": [f"arn:aws:iam::{OWN}:role/*", f"arn:aws:iam::{THEIRS}:role/*"]}},
         {("anyone", "*", "aws:PrincipalArn")}),
        ({"AWS": "AROAABCDEFGHIJKLMNOPQ"}, None, {("aws-account", "AROAABCDEFGHIJKLMNOPQ", DELETED_PRINCIPAL)}),
        ({"Service": "ec2.amazonaws.com"}, None, set()),
        ({"Federated": f"arn:aws:iam::{OWN}:oidc-provider/token.example"}, None, {("oidc-issuer", "https://token.example", None)}),
        ({"Federated": f"arn:aws:iam::{OWN}:oidc-provider/token.example"}, {"StringEquals": {"token.example:aud": "sts", SUB: "a"}},
         {("oidc-issuer", "https://token.example", SUB)}),
        ({"Federated": f"arn:aws:iam::{OWN}:oidc-provider/token.example"},
         {"StringLike": {SUB: "*"}, "StringEquals": {"token.example:aud": "sts"}},
         {("oidc-issuer", "https://token.example", "token.example:aud")}),
        ({"Federated": "accounts.google.com"}, None, {("oidc-issuer", "https://accounts.google.com", None)}),
        ({"Federated": f"arn:aws:iam::{OWN}:saml-provider/Okta"}, {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
         {("saml-provider", f"arn:aws:iam::{OWN}:saml-provider/Okta", "SAML:aud")}),
    ],
)  # fmt: skip
def test_each_principal_is_one_party_with_the_condition_that_narrows_it(
    principal: object, condition: object, expected: set[tuple[str, str, str | None]]
) -> None:
    assert expected == parties(lets_in(principal, condition, "sts:AssumeRole*"))


def test_only_allowing_to_assume_lets_anybody_in() -> None:
    assert set() == parties(
        lets_in("*", effect="Deny"), lets_in("*", action="sts:TagSession"), lets_in("*", action=["s3:GetObject", "sts:Get*"])
    )
    assert {("aws-account", THEIRS, None)} == parties(lets_in({"AWS": THEIRS}, action="sts:assume?ole"))
    excluded = {"Effect": "Allow", "NotPrincipal": {"AWS": OWN}, "Action": "sts:AssumeRole"}
    assert {("anyone", "*", None)} == parties(excluded)
    assert {("aws-account", THEIRS, None)} == parties(
        {"Effect": "Allow", "Principal": {"AWS": THEIRS}, "NotAction": "sts:GetFederationToken"}
    )


def test_a_party_let_in_twice_is_told_with_and_without_its_condition() -> None:
    narrowed = lets_in({"AWS": THEIRS}, {"StringEquals": {"sts:ExternalId": "a"}})
    found = outside_parties(document(narrowed, lets_in({"AWS": THEIRS}), narrowed), OWN)
    assert (Party("aws-account", THEIRS, "sts:ExternalId"), Party("aws-account", THEIRS, None)) == found


@given(ODD)
def test_odd_json_never_raises(odd: object) -> None:
    for form in (odd, {"Statement": odd}, json.dumps(odd), quote(json.dumps({"Statement": odd}))):
        assert isinstance(allowed(form), Allowances | None)
        found = outside_parties(form, OWN)
        assert found is None or all(party.party not in {"", OWN} for party in found)


@given(st.lists(ODD, max_size=3))
def test_more_statements_never_take_a_party_away(more: list[Any]) -> None:
    kept = outside_parties(document(lets_in({"AWS": THEIRS}), *(one for one in more if isinstance(one, dict))), OWN)
    assert kept is not None
    assert Party("aws-account", THEIRS, None) in kept


def test_a_pattern_full_of_stars_is_read_at_once() -> None:
    hostile = "sts:" + "*a" * 200 + "*"
    assert set() == parties(lets_in("*", action=hostile))
