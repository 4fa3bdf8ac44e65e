"""Entra directory roles, application permissions and delegated scopes, owners, and Azure's own roles."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by, strongest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own application."""
_DIRECTORIES = frozenset({GRAPH_APP_ID, "00000002-0000-0000-c000-000000000000"})
"""Microsoft Graph, and Azure AD Graph before it, which spells its permissions alike."""
_AZURE_APP_ID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
_AS_THE_USER = {*((app, "Directory.AccessAsUser.All") for app in _DIRECTORIES), (_AZURE_APP_ID, "user_impersonation")}
"""Delegated permissions to do whatever the user may."""

_ROLES = "Microsoft Entra built-in roles"
_PERMISSIONS = "Microsoft Graph permissions reference"
_AZURE = "Azure permissions"
_DIRECTORY = "microsoft.directory/"

ENTRA_WAYS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (
        Rule(
            "entra-global-administrator",
            "administrator",
            "May do everything in the tenant, and can take over its Azure subscriptions.",
            _ROLES,
        ),
        ("62e90394-69f5-4237-9190-012177145e10 Global Administrator",),
    ),
    (
        Rule("entra-assign-roles", "administrator", "Can give every directory role to anybody, itself included.", _ROLES),
        (
            "e8611ab8-c189-46e8-94e1-60213ab1f814 Privileged Role Administrator",
            "e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8 Partner Tier2 Support",
            "microsoft.directory/roleAssignments/allProperties/update",
            "microsoft.directory/roleAssignments/create",
            "RoleManagement.ReadWrite.Directory",
            "RoleAssignmentSchedule.ReadWrite.Directory",
        ),
    ),
    (
        Rule("entra-role-eligibility", "escalation", "Can make anybody eligible for a directory role, who then takes it up.", _PERMISSIONS),
        ("RoleEligibilitySchedule.ReadWrite.Directory",),
    ),
    (
        Rule("entra-role-definitions", "escalation", "Can widen a custom directory role that it holds.", _ROLES),
        ("microsoft.directory/roleDefinitions/allProperties/update",),
    ),
    (
        Rule(
            "entra-grant-permissions",
            "escalation",
            "Can grant every application permission, that of assigning roles included.",
            _PERMISSIONS,
        ),
        (
            "microsoft.directory/servicePrincipals/managePermissionGrantsForAll.microsoft-company-admin",
            "microsoft.directory/permissionGrantPolicies/allProperties/update",
            "AppRoleAssignment.ReadWrite.All",
            "Policy.ReadWrite.PermissionGrant",
        ),
    ),
    (
        Rule("entra-privileged-groups", "escalation", "Can put anybody into the groups that hold directory roles.", _ROLES),
        (
            "45d8d3c5-c802-45c6-b32a-1d70b5e1e86e Identity Governance Administrator",
            "microsoft.directory/groupsAssignableToRoles/allProperties/update",
            "PrivilegedAccess.ReadWrite.AzureADGroup",
            "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
            "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",
            "EntitlementManagement.ReadWrite.All",
        ),
    ),
    (
        Rule("entra-reset-administrators", "escalation", "Can reset how anybody logs in, Global Administrators included.", _ROLES),
        (
            "7be44c8a-adaf-4e2a-84d6-ab2649e08a13 Privileged Authentication Administrator",
            "UserAuthenticationMethod.ReadWrite.All",
            "UserAuthMethod-HardwareOATH.ReadWrite.All",
            "UserAuthMethod-Phone.ReadWrite.All",
            "UserAuthMethod-QR.ReadWrite.All",
            "UserAuthMethod-TAP.ReadWrite.All",
        ),
    ),
    (
        Rule("entra-application-secrets", "escalation", "Can add a secret to every application, and act with its permissions.", _ROLES),
        (
            "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3 Application Administrator",
            "158c047a-c907-4556-b7ef-446551a6b5f7 Cloud Application Administrator",
            "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2 Hybrid Identity Administrator",
            "4ba39ca4-527c-499a-b93d-d9b492c50246 Partner Tier1 Support",
            "db506228-d27e-4b7d-95e5-295956d6615f Agent ID Administrator",
            "microsoft.directory/applications/credentials/update",
            "microsoft.directory/applications/owners/update",
            "microsoft.directory/servicePrincipals/credentials/update",
            "microsoft.directory/servicePrincipals/owners/update",
            "Application.ReadWrite.All",
            "Application.ReadUpdate.All",
        ),
    ),
    (
        Rule("entra-federation", "escalation", "Can have an issuer of its own say who logs in, administrators included.", _ROLES),
        (
            "8329153b-31d0-4727-b945-745eb3bc5f31 Domain Name Administrator",
            "be2f45a1-457d-42af-a067-6ec1fa63bc45 External Identity Provider Administrator",
            "194ae4cb-b126-40b2-bd5b-6091b380977d Security Administrator",
            "microsoft.directory/domains/federation/update",
            "microsoft.directory/domains/federationConfiguration/create",
            "microsoft.directory/domains/federationConfiguration/basic/update",
            "Domain.ReadWrite.All",
            "Organization.ReadWrite.All",
        ),
    ),
    (
        Rule(
            "entra-reset-users",
            "escalation",
            "Can reset how users log in who are no administrators, but may own applications or hold roles in Azure.",
            _ROLES,
        ),
        (
            "fe930be7-5e62-47db-91af-98c3a49a38b1 User Administrator",
            "c4e39bd9-1100-46d3-8c65-fb160da0071f Authentication Administrator",
            "729827e3-9c14-49f7-bb1b-9608f156bbb8 Helpdesk Administrator",
            "966707d0-3269-4727-9be2-8c3a10f19b9d Password Administrator",
            "microsoft.directory/users/password/update",
            "User-PasswordProfile.ReadWrite.All",
            "User.ReadWrite.All",
        ),
    ),
    (
        Rule("entra-group-members", "escalation", "Can put anybody into the groups that hold roles in Azure or in applications.", _ROLES),
        (
            "fdd7a751-b60b-444a-984c-02652fe8fa1c Groups Administrator",
            "9360feb5-f418-4baa-8175-e2a00bac4301 Directory Writers",
            "59d46f88-662b-457b-bceb-5c3809e5908f Lifecycle Workflows Administrator",
            "microsoft.directory/groups/members/update",
            "microsoft.directory/groups/owners/update",
            "microsoft.directory/groups/dynamicMembershipRule/update",
            "microsoft.directory/groups.security/members/update",
            "microsoft.directory/groups.security/owners/update",
            "Directory.ReadWrite.All",
            "Group.ReadWrite.All",
            "GroupMember.ReadWrite.All",
        ),
    ),
    (
        Rule("entra-devices", "escalation", "Can run programs on every managed device, administrators' own included.", _ROLES),
        (
            "3a2c62db-5318-420d-8d74-23affee5d9d5 Intune Administrator",
            "DeviceManagementConfiguration.ReadWrite.All",
            "DeviceManagementScripts.ReadWrite.All",
            "DeviceManagementRBAC.ReadWrite.All",
        ),
    ),
)
"""Each rule with the directory roles (template id, name), actions of custom roles and permissions any of which is enough."""

_DELEGATED = Rule(
    "entra-delegated-everyone",
    "escalation",
    "May use such a permission as every user who signs in, an administrator among them.",
    _PERMISSIONS,
)
_DELEGATED_USER = Rule(
    "entra-delegated-user", "escalation", "May use such a permission as one user, for whom an administrator had to allow it.", _PERMISSIONS
)
_OWNER = Rule(
    "entra-owner",
    "escalation",
    "Can add a secret to an application that is or can become an administrator.",
    "Overview of enterprise application ownership",
)

AZURE_WAYS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (
        Rule("azure-everything", "administrator", "Allows every action, that of giving roles included.", "Azure built-in roles"),
        ("* Microsoft.Authorization/roleAssignments/write",),
    ),
    (
        Rule("azure-assign-roles", "administrator", "Can give every role, Owner included, to anybody, itself included.", _AZURE),
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignmentScheduleRequests/write",
            "Microsoft.Authorization/roleEligibilityScheduleRequests/write",
        ),
    ),
    (
        Rule("azure-role-definitions", "escalation", "Can add any action to a custom role that it holds.", _AZURE),
        ("Microsoft.Authorization/roleDefinitions/write",),
    ),
    (
        Rule(
            "azure-contributor",
            "escalation",
            "Allows everything but giving roles: it can act under every managed identity there is.",
            "Azure built-in roles",
        ),
        ("*",),
    ),
    (
        Rule("azure-policy", "escalation", "Can have a policy deploy anything under the policy's own managed identity.", _AZURE),
        ("Microsoft.Authorization/policyAssignments/write",),
    ),
    (
        Rule(
            "azure-managed-identity",
            "escalation",
            "Can take up a managed identity: put it on a machine of its own, or trust an issuer of its own.",
            _AZURE,
        ),
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/~/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
        ),
    ),
    (
        Rule("azure-command-machines", "escalation", "Can run commands on machines, and so act under each one's managed identity.", _AZURE),
        (
            "Microsoft.Compute/virtualMachines/runCommand/action",
            "Microsoft.Compute/virtualMachines/runCommands/write",
            "Microsoft.Compute/virtualMachines/extensions/write",
            "Microsoft.Compute/virtualMachineScaleSets/extensions/write",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/runCommand/action",
            "Microsoft.HybridCompute/machines/runCommands/write",
            "Microsoft.HybridCompute/machines/extensions/write",
        ),
    ),
    (
        Rule("azure-run-code", "escalation", "Can change what a service runs, and so act under its managed identity.", _AZURE),
        (
            "Microsoft.Web/sites/write",
            "Microsoft.Web/sites/publishxml/action",
            "Microsoft.Web/sites/functions/write",
            "Microsoft.Logic/workflows/write",
            "Microsoft.Automation/automationAccounts/runbooks/write",
            "Microsoft.DataFactory/factories/pipelines/write",
            "Microsoft.ContainerInstance/containerGroups/containers/exec/action",
            "Microsoft.App/containerApps/write",
        ),
    ),
    (
        Rule(
            "azure-cluster-admin", "escalation", "Can become administrator of Kubernetes clusters, and act under their identities.", _AZURE
        ),
        (
            "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
            "Microsoft.ContainerService/managedClusters/runcommand/action",
        ),
    ),
)
"""Each rule with the actions any of which is enough; `*` is an action that nobody has thought of."""

RULES: tuple[Rule, ...] = (*(rule for rule, _ in ENTRA_WAYS), _DELEGATED, _DELEGATED_USER, _OWNER, *(rule for rule, _ in AZURE_WAYS))

_UNHEARD = "~.~/~/write"
_GIVING_ROLES = frozenset({"azure-everything", "azure-assign-roles"})
_BY_ROLE = {way.split(" ")[0]: given_by(rule) for rule, ways in ENTRA_WAYS for way in ways if " " in way}
_BY_PERMISSION = {
    way.lower(): given_by(rule) for rule, ways in ENTRA_WAYS for way in ways if " " not in way and not way.startswith(_DIRECTORY)
}
_BY_ACTION = tuple((way.lower(), given_by(rule)) for rule, ways in ENTRA_WAYS for way in ways if way.startswith(_DIRECTORY))


def directory_role(template_id: str) -> Verdict:
    """Judge a directory role by its template id (roleDefinition.templateId), in any case."""
    return _BY_ROLE.get(template_id.lower(), LIMITED)


def custom_directory_role(actions: Collection[str]) -> Verdict:
    """Judge a custom directory role by its allowedResourceActions, such as `microsoft.directory/applications/credentials/update`."""
    held = [action.lower() for action in actions]
    return strongest(verdict for wanted, verdict in _BY_ACTION if any(_does(action, wanted) for action in held))


def app_role(resource_app_id: str, value: str) -> Verdict:
    """Judge an application permission (appRole.value, such as `RoleManagement.ReadWrite.Directory`) of a resource's app id."""
    return _BY_PERMISSION.get(value.lower(), LIMITED) if resource_app_id.lower() in _DIRECTORIES else LIMITED


def delegated(resource_app_id: str, scope: str, *, for_everyone: bool) -> Verdict:
    """Judge one delegated permission (a word of oauth2PermissionGrant.scope); `for_everyone`: consentType AllPrincipals."""
    as_the_user = (resource_app_id.lower(), scope.lower()) in {(app, one.lower()) for app, one in _AS_THE_USER}
    if not as_the_user and app_role(resource_app_id, scope) == LIMITED:
        return LIMITED
    return given_by(_DELEGATED if for_everyone else _DELEGATED_USER)


def owner_of(owned: Verdict) -> Verdict:
    """Judge the owner of an application or service principal: whoever may add a secret to it can become it."""
    return owned if owned.power in {"limited", None} else given_by(_OWNER)


def azure_role(actions: Collection[str], not_actions: Collection[str], *, conditioned: bool = False) -> Verdict:
    """Judge an Azure role definition by its actions and notActions, wildcards as Azure writes them.

    `conditioned`: the definition or the assignment has a condition. Conditions are mostly about which roles may be
    given, and are not understood here: power None where the role gives roles and nothing else raises it.
    """
    found = _azure(tuple(one.lower() for one in actions), tuple(one.lower() for one in not_actions))
    if not conditioned:
        return found[0] if found else LIMITED
    others = [verdict for verdict in found if verdict.rule not in _GIVING_ROLES]
    return strongest((*others, UNREAD) if len(others) < len(found) else others)


def applies() -> dict[str, tuple[str, ...]]:
    """Say by rule id what makes it apply, for docs/privileges.md."""
    listed = "an application permission listed above"
    return {
        **{rule.id: tuple(_said(way) for way in ways) for rule, ways in ENTRA_WAYS},
        _DELEGATED.id: (f"{listed}, `Directory.AccessAsUser.All`, or Azure's `user_impersonation`, delegated for all principals",),
        _DELEGATED_USER.id: ("the same, delegated for one principal",),
        _OWNER.id: ("owner of a service principal or application with such power",),
        **{rule.id: tuple(f"`{way.replace('* ', '*` with `')}`" for way in ways if "~" not in way) for rule, ways in AZURE_WAYS},
    }


def _said(way: str) -> str:
    template, _, name = way.partition(" ")
    return f"{name} (`{template}`)" if name else f"`{way}`"


@lru_cache(maxsize=1024)
def _azure(actions: tuple[str, ...], not_actions: tuple[str, ...]) -> tuple[Verdict, ...]:
    def allowed(way: str) -> bool:
        words = [_UNHEARD if word == "*" else word.lower() for word in way.split(" ")]
        return all(_covered(word, actions) and not _covered(word, not_actions) for word in words)

    return tuple(given_by(rule) for rule, ways in AZURE_WAYS if any(map(allowed, ways)))


def _covered(action: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(action, pattern.replace("[", "[[]")) for pattern in patterns)


def _does(held: str, wanted: str) -> bool:
    """Whether an action is the wanted one, or one that takes it in: all entities, a kind of the entity, all properties, all tasks."""
    has, asks = held.split("/"), wanted.split("/")
    if len(has) < len(asks) and has[-1] == "alltasks":
        has = [*has[:-1], *["allproperties"] * (len(asks) - len(has)), "alltasks"]
    if len(asks) < len(has) and has[-2:-1] == ["allproperties"]:
        has = [*has[: len(asks) - 1], has[-1]]
    if len(has) != len(asks) or has[0] != asks[0]:
        return False
    entity = has[1] in {asks[1], "allentities"} or has[1].startswith(f"{asks[1]}.")
    middle = all(one in {other, "allproperties"} for one, other in zip(has[2:-1], asks[2:-1], strict=True))
    return entity and middle and has[-1] in {asks[-1], "alltasks"}
