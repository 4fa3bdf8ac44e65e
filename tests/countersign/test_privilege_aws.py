from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.aws_documents import Reading, identities_of
from countersign.aws_documents.grants import TOGETHER, UNREAD_GROUP
from countersign.aws_documents.policy import allowed
from countersign.identity import Grant
from countersign.privilege import STRENGTH, Verdict
from countersign.privilege.aws import ACTION_OF, BEYOND, BITS, WAYS, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.identity import Power

ACCOUNT = "444455556666"
HERE = f"arn:aws:iam::{ACCOUNT}"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
ADMIN, IAM = "aws-every-action", "aws-every-iam-action"


def allow(*actions: str, on: object = "*", when: object = None) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on} | ({} if when is None else {"Condition": when})


def deny(*actions: str, on: object = "*", when: object = None) -> dict[str, Any]:
    return allow(*actions, on=on, when=when) | {"Effect": "Deny"}


def verdict(*statements: Any) -> Verdict:
    found = allowed({"Version": "2012-10-17", "Statement": list(statements)})
    assert found is not None
    return judge(found.certain & ~found.denied, found.possible & ~found.denied)


@pytest.mark.parametrize(
    ("statements", "rule"),
    [
        ([EVERYTHING], ADMIN),
        ([allow("s3:*", "*:*", on=["*"])], ADMIN),
        ([allow("*", when={})], ADMIN),
        ([allow("*", when=MFA)], ADMIN),
        ([allow("*", when={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})], ADMIN),
        ([allow("*", when={"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}})], ADMIN),
        ([allow("*", when={"StringEquals": {"aws:ResourceTag/env": "dev"}})], None),
        ([allow("*", when={"StringLike": {"aws:ResourceTag/env": "*"}})], ADMIN),
        ([allow("*", on="arn:aws:s3:::*")], None),
        ([allow("*", on="arn:aws:iam::*:*")], IAM),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], ADMIN),
        ([{"Effect": "Allow", "NotAction": ["iam:*", "organizations:*"], "Resource": "*"}], "aws-assume-any-role"),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::x"}], ADMIN),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:iam::*:*"}], "aws-identity-center"),
        ([EVERYTHING, deny("*")], None),
        ([EVERYTHING, deny("*", when=MFA)], ADMIN),
        ([EVERYTHING, deny("s3:*")], ADMIN),
        ([EVERYTHING, deny("iam:*")], "aws-assume-any-role"),
        ([EVERYTHING, deny("iam:Create*", "iam:Add*")], ADMIN),
        ([EVERYTHING, deny("iam:?*", "sts:*")], "aws-identity-center"),
        ([EVERYTHING, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}], None),
        ([EVERYTHING, {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::x"}], None),
        ([allow("IAM:*")], IAM),
        ([allow("iam:*", on="arn:aws:iam::*:user/*")], "aws-attach-policy"),
        ([allow("iam:*", on="arn:aws:iam::*:saml-provider/*")], "aws-saml-provider"),
        ([allow("iam:Get*", "iam:List*")], None),
        ([allow("iam:Put*", on=f"{HERE}:role/*")], "aws-attach-policy"),
        ([allow("iam:PutRolePolicy", on=f"{HERE}:role/app-*")], None),
        ([allow("iam:PutRolePolicy", on=f"{HERE}:role/app/*")], None),
        ([allow("iam:PutRolePolicy", on=f"{HERE}:user/*")], None),
        ([allow("iam:PutUserPolicy"), deny("iam:PutUserPolicy", on="arn:aws:iam::*:user/*")], None),
        ([allow("iam:PutUserPolicy"), deny("iam:PutUserPolicy", on="arn:aws:iam::*:user/boss")], "aws-attach-policy"),
        ([allow("iam:CreateAccessKey", on="arn:aws:iam::*:user/${aws:username}")], None),
        ([allow("iam:AttachRolePolicy", when={"StringEquals": {"iam:PermissionsBoundary": f"{HERE}:policy/b"}})], None),
        ([allow("iam:AttachRolePolicy", when={"ArnEquals": {"iam:PolicyARN": [f"{HERE}:policy/b"]}})], None),
        ([allow("iam:AttachRolePolicy", when={"ArnLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/*"}})], "aws-attach-policy"),
        ([allow("sts:AssumeRole")], "aws-assume-any-role"),
        ([allow("sts:*", on="arn:aws:iam::*:role/*")], "aws-assume-any-role"),
        ([allow("sts:AssumeRole", on="arn:aws:iam::*:role/CountersignInventory")], None),
        ([allow("iam:PassRole")], None),
        ([allow("iam:PassRole", "ec2:RunInstances")], "aws-pass-role-machine"),
        ([allow("iam:PassRole", when={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}), allow("ec2:*Instances")], None),
        ([allow("iam:PassRole", when={"StringLike": {"iam:PassedToService": ["x", "ec2.*"]}}), allow("ec2:RunInstances")], "aws-pass-role-machine"),
        ([allow("iam:PassRole", on=f"{HERE}:role/web"), allow("ec2:RunInstances")], None),
        ([allow("ssm:SendCommand", on=["arn:aws:ssm:*:*:document/Patch", "arn:aws:ec2:*:*:instance/*"])], None),
        ([allow("ssm:SendCommand", on=["arn:aws:ssm:*::document/AWS-RunShellScript", "arn:aws:ec2:*:*:instance/*"])], "aws-command-machines"),
        ([allow("lambda:UpdateFunctionCode", on="arn:aws:lambda:eu-west-1:*:function:*")], "aws-change-functions"),
        ([allow("lambda:UpdateFunctionCode", on="arn:aws:lambda:eu-west-1:*:function:web")], None),
        ([], None),
    ],
)  # fmt: skip
def test_a_policy_is_judged_by_what_it_allows_on_everything(statements: list[dict[str, Any]], rule: str | None) -> None:
    assert rule == verdict(*statements).rule


@pytest.mark.parametrize(
    "when",
    [
        {"StringEquals": {"aws:PrincipalTag/team": "ops"}},
        {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
        {"StringNotEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}},
        {"StringEquals": "odd"},
    ],
)
def test_a_condition_that_is_not_understood_leaves_it_unknown(when: object) -> None:
    assert Verdict(None) == verdict(allow("*", when=when))
    assert Verdict("limited") == verdict(allow("s3:*", when=when))
    assert ADMIN == verdict(allow("*", when=when), EVERYTHING).rule


@pytest.mark.parametrize(
    "odd",
    [{}, {"Effect": "Allow"}, EVERYTHING | {"Effect": ["Allow"]}, EVERYTHING | {"Effect": "allow"}, EVERYTHING | {"NotAction": "s3:*"}, EVERYTHING | {"Action": {}}, allow("*", on=[7]),
     EVERYTHING | {"Condition": "x"}],
)  # fmt: skip
def test_a_statement_out_of_grammar_leaves_the_policy_unjudged(odd: dict[str, Any]) -> None:
    assert allowed({"Statement": [EVERYTHING, odd]}) is None


def test_every_way_of_every_rule_is_enough_and_none_of_its_parts_is() -> None:
    for rule, ways in WAYS[2:]:
        for way in ways:
            words = way.split(" ")
            bits = sum(BITS[word] for word in words)
            assert STRENGTH[rule.power] <= STRENGTH[judge(bits, 0).power], way
            first = next(one for one, those in WAYS if any(sum(BITS[w] for w in those_way.split(" ")) & ~bits == 0 for those_way in those))
            assert Verdict(first.power, first.id) == judge(bits, 0), way
            if BEYOND not in words:
                assert verdict(allow(*map(ACTION_OF.__getitem__, words))).power == "escalation", way


def test_actions_are_spelt_as_the_vendor_spells_its_operations() -> None:
    session = botocore.session.Session()
    services = {"sso": "sso-admin", "elasticmapreduce": "emr", "states": "stepfunctions", "airflow": "mwaa"}
    only_permissions = {"iam:PassRole", "lambda:InvokeFunction"}
    wrong = []
    for action in {action for action in ACTION_OF.values() if "*" not in action} - only_permissions:
        service, _, name = action.partition(":")
        models = ("bedrock-agentcore", "bedrock-agentcore-control") if service == "bedrock-agentcore" else (services.get(service, service),)
        if not any(name in session.get_service_model(model).operation_names for model in models):
            wrong.append(action)
    assert wrong == []


ACTIONS = st.sampled_from(sorted({*ACTION_OF.values(), "iam:P*", "iam:*", "s3:*", "ec2:*", "lambda:*", "ssm:S*", "*"}))
RESOURCES = st.sampled_from(
    ("*", f"{HERE}:role/*", f"{HERE}:user/*", f"{HERE}:policy/own", "arn:aws:s3:::x", "arn:aws:lambda:*:*:function:*")
)
CONDITIONS = st.sampled_from(
    (None, MFA, {"StringEquals": {"aws:PrincipalTag/x": "y"}}, {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})
)


@st.composite
def statement(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    made = {"Effect": effect or draw(st.sampled_from(("Allow", "Allow", "Deny")))}
    made[draw(st.sampled_from(("Action", "Action", "NotAction")))] = draw(st.lists(ACTIONS, min_size=1, max_size=4))
    made[draw(st.sampled_from(("Resource", "Resource", "NotResource")))] = draw(st.lists(RESOURCES, min_size=1, max_size=2))
    when = draw(CONDITIONS)
    return made if when is None else made | {"Condition": when}


POLICY = st.lists(statement(), max_size=5)


@given(POLICY, statement("Allow"))
def test_one_more_allow_never_lowers_power(policy: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert STRENGTH[verdict(*policy).power] <= STRENGTH[verdict(*policy, more).power]


@given(POLICY, statement("Deny"))
def test_one_more_deny_never_raises_power(policy: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert STRENGTH[verdict(*policy).power] >= STRENGTH[verdict(*policy, more).power]
    more.pop("Condition", None)
    assert STRENGTH[verdict(*policy).power] >= STRENGTH[verdict(*policy, more).power]


@given(POLICY, st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(policy: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(policy)
    random.shuffle(shuffled)
    assert verdict(*policy) == verdict(*shuffled)


@given(POLICY)
def test_the_holders_of_more_policies_have_no_less(policy: list[dict[str, Any]]) -> None:
    allows = [one for one in policy if one["Effect"] == "Allow"]
    found = grants({f"p{index}": [one] for index, one in enumerate(allows)})
    assert STRENGTH[verdict(*allows).power] == max((STRENGTH[power] for _, power, _ in found), default=0)


def grants(  # noqa: PLR0913 -- all that a user can hold policies by
    inline: Mapping[str, list[dict[str, Any]]] | None = None, *, attached: Mapping[str, object] | None = None, name: str = "x",
    groups: Mapping[str, object] | None = None, missing: tuple[str, ...] = (), boundary: object = None, boundary_arn: str | None = None,
) -> list[tuple[str, Power | None, str | None]]:  # fmt: skip
    """Give (role, power, rule) of a user's grants: `attached` and `groups` hold statements by name, `missing` groups are not told."""
    policies = {f"{HERE}:policy/{policy}": statements for policy, statements in (attached or {}).items()}
    limit = boundary_arn or (f"{HERE}:policy/limit" if boundary is not None else None)
    page = {
        "UserDetailList": [
            {
                "UserId": "AIDA1", "UserName": name, "Arn": f"{HERE}:user/{name}",
                "UserPolicyList": [{"PolicyName": policy, "PolicyDocument": {"Statement": those}} for policy, those in (inline or {}).items()],
                "AttachedManagedPolicies": [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in policies],
                "GroupList": [*(groups or {}), *missing],
                **({"PermissionsBoundary": {"PermissionsBoundaryArn": limit}} if limit else {}),
            }
        ],
        "GroupDetailList": [
            {"GroupName": group, "Arn": f"{HERE}:group/{group}", "GroupPolicyList": [{"PolicyName": f"of {group}", "PolicyDocument": {"Statement": those}}]}
            for group, those in (groups or {}).items()
        ],
        "Policies": [
            {"Arn": arn, "PolicyVersionList": [{"IsDefaultVersion": True, "Document": json.dumps({"Statement": those})}]}
            for arn, those in {**policies, **({limit: boundary} if limit and boundary is not None else {})}.items()
        ],
    }  # fmt: skip
    records = identities_of([page], Reading(account=ACCOUNT, observed_at=datetime(2026, 11, 21, tzinfo=UTC), report=None))
    return [(one.role, one.power, one.rule) for one in records if isinstance(one, Grant)]


PASS, RUN = [allow("iam:PassRole")], [allow("ec2:RunInstances")]


def test_what_only_several_policies_give_together_is_a_grant_that_says_so() -> None:
    machine = (TOGETHER, "escalation", "aws-pass-role-machine")
    assert [("a", "limited", None), ("b", "limited", None), machine] == grants({"a": PASS, "b": RUN})
    assert [("a", "limited", None), ("of ops", "limited", None), machine] == grants({"a": PASS}, groups={"ops": RUN})
    assert [("a", "limited", None), ("b", "escalation", "aws-command-machines")] == grants(
        {"a": PASS, "b": [allow("ssm:*", "ec2:RunInstances")]}
    )


def test_what_one_policy_denies_the_others_do_not_give() -> None:
    assert [("all", "limited", None), ("AWSDenyAll", "limited", None)] == grants({"all": [EVERYTHING], "AWSDenyAll": [deny("*")]})
    assert [("a", "limited", None), ("b", "limited", None), ("no", "limited", None)] == grants(
        {"a": PASS, "b": RUN, "no": [deny("iam:Pass*")]}
    )


@pytest.mark.parametrize(
    ("held", "boundary", "power"),
    [
        ([EVERYTHING], [EVERYTHING], "administrator"),
        ([EVERYTHING], [allow("s3:*")], "limited"),
        ([EVERYTHING], [allow("iam:*")], "administrator"),
        ([EVERYTHING], [EVERYTHING, deny("iam:*", "sts:*")], "escalation"),
        ([*PASS, *RUN], [allow("iam:*")], "limited"),
        ([EVERYTHING], "not read", None),
        ([allow("s3:*")], "not read", "limited"),
    ],
)
def test_a_boundary_caps_what_is_held(held: list[dict[str, Any]], boundary: Any, power: Power | None) -> None:
    limit = {"boundary_arn": f"{HERE}:policy/lost"} if boundary == "not read" else {"boundary": boundary}
    assert [power] == [found for role, found, _ in grants({"p": held}, **limit) if role == "p"]


def test_who_may_take_off_the_boundary_is_not_held_back_by_it() -> None:
    lift = allow("iam:DeleteUserPermissionsBoundary")
    assert [("p", "limited", None), (TOGETHER, "escalation", "aws-lift-boundary")] == grants(
        {"p": [EVERYTHING]}, boundary=[allow("s3:*"), lift]
    )
    assert [("p", "limited", None)] == grants({"p": [allow("s3:*"), lift]}, boundary=[allow("s3:*"), lift])
    assert [("p", "limited", None)] == grants({"p": [allow("s3:*"), lift]})


def test_who_may_rewrite_what_it_holds_promotes_itself_however_narrow_that_is() -> None:
    own = [allow("iam:PutUserPolicy", on=f"{HERE}:user/x")]
    assert [("p", "escalation", "aws-attach-policy")] == grants({"p": own})
    assert [("p", "limited", None)] == grants({"p": own}, name="y")
    assert [("p", "escalation", "aws-attach-policy")] == grants({"p": [allow("iam:*", on="arn:aws:iam::*:user/${aws:username}")]})
    assert [("p", "limited", None)] == grants({"p": [*own, deny("iam:PutUserPolicy")]})
    version = [allow("iam:CreatePolicyVersion", on=f"{HERE}:policy/ops")]
    assert [("ops", "limited", None), ("p", "escalation", "aws-policy-version")] == grants({"p": version}, attached={"ops": []})
    assert [("p", "limited", None)] == grants({"p": version})
    assert [("of ops", "escalation", "aws-attach-policy")] == grants(groups={"ops": [allow("iam:PutGroupPolicy", on=f"{HERE}:group/ops")]})
    unknown = [allow("iam:PutUserPolicy", on=f"{HERE}:user/x", when={"StringEquals": {"aws:PrincipalTag/x": "y"}})]
    assert [("p", None, None)] == grants({"p": unknown})


def test_what_was_not_read_stays_unknown_unless_the_rest_settles_it() -> None:
    odd: list[Any] = [{"Effect": "Perhaps"}]
    assert [("all", "administrator", ADMIN), (UNREAD_GROUP, None, None)] == grants({"all": [EVERYTHING]}, missing=("gone",))
    assert [("odd", None, None)] == grants({"odd": odd})
    assert [("odd", "limited", None), ("no", "limited", None)] == grants({"odd": odd, "no": [deny("*")]})
    maybe = [allow("iam:PassRole", when={"StringEquals": {"aws:PrincipalTag/x": "y"}})]
    assert [("a", "limited", None), ("b", "limited", None), (TOGETHER, None, None)] == grants({"a": maybe, "b": RUN})


def test_hostile_patterns_are_weighed_at_once() -> None:
    stars = "*a" * 5000 + "*"
    assert allowed({"Statement": [allow(f"iam:{stars}")]}) is None
    assert verdict(allow("iam:P*", on=f"arn:{stars}"), allow("*", when={"StringLike": {"aws:x": "*" * 10_000 + "x"}})).power is None
    assert verdict(allow("iam:" + "*a" * 100 + "*"), allow("iam:[a-z]*")).power == "limited"
