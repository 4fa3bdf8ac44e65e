from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.privilege import LIMITED, STRENGTH, UNREAD, Verdict
from countersign.privilege.azure import (
    AZURE_WAYS,
    ENTRA_WAYS,
    GRAPH_APP_ID,
    app_role,
    azure_role,
    custom_directory_role,
    delegated,
    directory_role,
    owner_of,
)

OTHER_APP = "00000002-0000-0ff1-ce00-000000000000"
NO_ACCESS = ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action"]


@pytest.mark.parametrize(
    ("template_id", "power"),
    [
        ("62E90394-69F5-4237-9190-012177145E10", "administrator"),
        ("e8611ab8-c189-46e8-94e1-60213ab1f814", "administrator"),
        ("7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "escalation"),
        ("fe930be7-5e62-47db-91af-98c3a49a38b1", "escalation"),
        ("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "limited"),
        ("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "limited"),
        ("", "limited"),
    ],
)
def test_a_directory_role_is_judged_by_its_template(template_id: str, power: str) -> None:
    assert power == directory_role(template_id).power


@pytest.mark.parametrize(
    ("actions", "rule"),
    [
        (["microsoft.directory/applications/credentials/update"], "entra-application-secrets"),
        (["microsoft.directory/applications.myOrganization/credentials/update"], "entra-application-secrets"),
        (["microsoft.directory/servicePrincipals/allProperties/update"], "entra-application-secrets"),
        (["microsoft.directory/applications/allProperties/allTasks"], "entra-application-secrets"),
        (["microsoft.directory/roleAssignments/allProperties/allTasks"], "entra-assign-roles"),
        (["microsoft.directory/applications/basic/update", "microsoft.directory/users/password/update"], "entra-reset-users"),
        (["microsoft.directory/groups.security/members/update"], "entra-group-members"),
        (["microsoft.directory/applications/credentials/read", "microsoft.directory/applications/basic/update"], None),
        (["microsoft.directory/applications/standard/read", "microsoft.directory/applicationPolicies/owners/update"], None),
        (["microsoft.intune/allEntities/allTasks"], None),
        (["", "/", "microsoft.directory", "microsoft.directory/applications"], None),
        ([], None),
    ],
)
def test_a_custom_directory_role_is_judged_by_its_actions(actions: list[str], rule: str | None) -> None:
    assert rule == custom_directory_role(actions).rule


@pytest.mark.parametrize(
    ("resource", "value", "rule"),
    [
        (GRAPH_APP_ID, "RoleManagement.ReadWrite.Directory", "entra-assign-roles"),
        (GRAPH_APP_ID.upper(), "approleassignment.readwrite.all", "entra-grant-permissions"),
        ("00000002-0000-0000-c000-000000000000", "Directory.ReadWrite.All", "entra-group-members"),
        (OTHER_APP, "RoleManagement.ReadWrite.Directory", None),
        (GRAPH_APP_ID, "Directory.Read.All", None),
        (GRAPH_APP_ID, "Application.ReadWrite.OwnedBy", None),
        (GRAPH_APP_ID, "62e90394-69f5-4237-9190-012177145e10", None),
        ("", "", None),
    ],
)
def test_an_application_permission_counts_at_the_directory_only(resource: str, value: str, rule: str | None) -> None:
    assert rule == app_role(resource, value).rule


@pytest.mark.parametrize(
    ("resource", "scope", "everyone", "rule"),
    [
        (GRAPH_APP_ID, "RoleManagement.ReadWrite.Directory", True, "entra-delegated-everyone"),
        (GRAPH_APP_ID, "RoleManagement.ReadWrite.Directory", False, "entra-delegated-user"),
        (GRAPH_APP_ID, "Directory.AccessAsUser.All", True, "entra-delegated-everyone"),
        ("797f4846-ba00-4fd7-ba43-dac1f8f63013", "user_impersonation", True, "entra-delegated-everyone"),
        (OTHER_APP, "user_impersonation", True, None),
        (GRAPH_APP_ID, "User.Read", True, None),
        (GRAPH_APP_ID, "", False, None),
    ],
)
def test_a_delegated_permission_is_never_more_than_a_way(resource: str, scope: str, everyone: bool, rule: str | None) -> None:  # noqa: FBT001 -- a column of the table
    assert rule == delegated(resource, scope, for_everyone=everyone).rule
    assert delegated(resource, scope, for_everyone=everyone).power in {"escalation", "limited"}


def test_an_owner_can_become_what_is_owned() -> None:
    owner = Verdict("escalation", "entra-owner")
    owned = (Verdict("administrator", "x"), Verdict("escalation", "x"), UNREAD, LIMITED)
    assert [owner, owner, UNREAD, LIMITED] == [owner_of(one) for one in owned]


@pytest.mark.parametrize(
    ("actions", "without", "rule"),
    [
        (["*"], [], "azure-everything"),
        (["*"], NO_ACCESS, "azure-contributor"),
        (["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"], [], "azure-assign-roles"),
        (["microsoft.authorization/roleassignments/WRITE"], [], "azure-assign-roles"),
        (["Microsoft.Authorization/roleAssignments/*"], ["Microsoft.Authorization/roleAssignments/write"], None),
        (["*/read"], [], None),
        (["Microsoft.Compute/*"], [], "azure-command-machines"),
        (["Microsoft.Compute/*"], ["Microsoft.Compute/*/runCommand*/*", "Microsoft.Compute/*/extensions/*"], None),
        (["Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"], [], "azure-managed-identity"),
        (["Microsoft.Authorization/policyassignments/*"], [], "azure-policy"),
        (["Microsoft.Storage/storageAccounts/listKeys/action"], [], None),
        (["Microsoft.Authorization/*/read", "Microsoft.Resources/deployments/*"], [], None),
        (["["], ["["], None),
        ([], [], None),
    ],
)
def test_an_azure_role_is_judged_by_its_actions(actions: list[str], without: list[str], rule: str | None) -> None:
    assert rule == azure_role(actions, without).rule


def test_a_condition_leaves_open_which_roles_may_be_given() -> None:
    gives = ["Microsoft.Authorization/roleAssignments/write"]
    assert UNREAD == azure_role(gives, [], conditioned=True)
    assert "azure-run-code" == azure_role([*gives, "Microsoft.Web/sites/*"], [], conditioned=True).rule
    assert LIMITED == azure_role(["*/read"], [], conditioned=True)


def test_every_way_of_every_rule_is_enough() -> None:
    for rule, ways in ENTRA_WAYS:
        for way in ways:
            judged = (
                directory_role(way.split(" ")[0])
                if " " in way
                else custom_directory_role([way])
                if "/" in way
                else app_role(GRAPH_APP_ID, way)
            )
            assert Verdict(rule.power, rule.id) == judged, way
    for rule, ways in AZURE_WAYS:
        for way in ways:
            without = NO_ACCESS if way == "*" else []
            assert Verdict(rule.power, rule.id) == azure_role(way.split(" "), without), way


ACTIONS = st.lists(
    st.sampled_from([word for _, ways in AZURE_WAYS for way in ways for word in way.split(" ")]) | st.text(max_size=6), max_size=4
)


@given(ACTIONS, ACTIONS, ACTIONS)
def test_more_actions_never_lower_power_and_fewer_never_raise_it(actions: list[str], without: list[str], more: list[str]) -> None:
    power = STRENGTH[azure_role(actions, without).power]
    assert power <= STRENGTH[azure_role(actions + more, without).power]
    assert power >= STRENGTH[azure_role(actions, without + more).power]


@given(st.lists(st.text(alphabet="microsoft.directory/*applicationscredentialsupdate", max_size=30), max_size=4))
def test_odd_actions_are_judged_without_a_stumble(actions: list[str]) -> None:
    assert custom_directory_role(actions).power in {"administrator", "escalation", "limited"}
