from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.privilege import LIMITED, STRENGTH, UNREAD, Verdict
from countersign.privilege.gcp import WAYS, on_service_account, role

CUSTOM = "projects/p/roles/custom"
ADMINISTRATOR, BECOMES_ONE = Verdict("administrator", "gcp-owner"), Verdict("escalation", "gcp-role-write")
AS_ACCOUNT = Verdict("escalation", "gcp-as-account")


@pytest.mark.parametrize(
    ("name", "permissions", "rule"),
    [
        ("roles/owner", None, "gcp-owner"),
        ("roles/editor", None, "gcp-editor"),
        ("roles/viewer", None, None),
        ("roles/iam.securityReviewer", None, None),
        ("roles/resourcemanager.projectIamAdmin", None, "gcp-set-policy"),
        ("roles/iam.serviceAccountUser", None, "gcp-act-as"),
        ("roles/compute.instanceAdmin.v1", None, None),
        ("roles/compute.serviceAgent", None, None),
        ("roles/storage.admin", ["storage.buckets.setIamPolicy"], None),
        ("roles/yet.unknown", ["iam.serviceAccounts.actAs"], "gcp-act-as"),
        (CUSTOM, [], None),
        (CUSTOM, ["iam.serviceAccounts.get", "iam.roles.update"], "gcp-role-write"),
        (CUSTOM, ["iam.roles.update", "resourcemanager.folders.setIamPolicy"], "gcp-set-policy"),
        ("organizations/1/roles/owner", ["storage.objects.get"], None),
        ("", [], None),
    ],
)
def test_a_role_is_judged_by_its_name_or_its_permissions(name: str, permissions: list[str] | None, rule: str | None) -> None:
    assert rule == role(name, permissions).rule
    assert (rule is None) == (role(name, permissions) == LIMITED)


def test_a_custom_role_that_was_not_read_is_not_judged() -> None:
    assert [UNREAD, UNREAD] == [role(CUSTOM), role("organizations/1/roles/x", None)]


@pytest.mark.parametrize(
    ("name", "permissions", "account", "expected"),
    [
        ("roles/iam.serviceAccountTokenCreator", None, ADMINISTRATOR, AS_ACCOUNT),
        ("roles/iam.serviceAccountUser", None, BECOMES_ONE, AS_ACCOUNT),
        ("roles/iam.workloadIdentityUser", None, ADMINISTRATOR, AS_ACCOUNT),
        ("roles/iam.securityAdmin", None, ADMINISTRATOR, AS_ACCOUNT),
        ("roles/owner", None, ADMINISTRATOR, AS_ACCOUNT),
        ("roles/iam.serviceAccountKeyAdmin", None, LIMITED, LIMITED),
        ("roles/iam.serviceAccountKeyAdmin", None, UNREAD, UNREAD),
        ("roles/iam.serviceAccountViewer", None, ADMINISTRATOR, LIMITED),
        ("roles/iam.serviceAccountViewer", None, UNREAD, LIMITED),
        ("roles/iam.roleAdmin", None, ADMINISTRATOR, LIMITED),
        (CUSTOM, ["iam.serviceAccounts.signBlob"], ADMINISTRATOR, AS_ACCOUNT),
        (CUSTOM, ["iam.serviceAccounts.list"], ADMINISTRATOR, LIMITED),
        (CUSTOM, None, ADMINISTRATOR, UNREAD),
        (CUSTOM, None, LIMITED, LIMITED),
    ],
)
def test_who_may_act_as_an_account_is_as_powerful(name: str, permissions: list[str] | None, account: Verdict, expected: Verdict) -> None:
    assert expected == on_service_account(name, permissions, account)


def test_every_way_of_every_rule_is_enough() -> None:
    for rule, ways in WAYS:
        for way in ways:
            judged = role(way) if way.startswith("roles/") else role(CUSTOM, [way])
            assert Verdict(rule.power, rule.id) == judged, way


PERMISSIONS = st.lists(
    st.sampled_from([way for _, ways in WAYS for way in ways if not way.startswith("roles/")]) | st.text(max_size=5), max_size=4
)


@given(PERMISSIONS, PERMISSIONS)
def test_more_permissions_never_lower_power(permissions: list[str], more: list[str]) -> None:
    assert STRENGTH[role(CUSTOM, permissions).power] <= STRENGTH[role(CUSTOM, permissions + more).power]
