"""What reading and revoking need: application permissions of Microsoft Graph, and roles of Azure, as an administrator installs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from countersign.privilege.azure import GRAPH_APP_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

_IDS: Mapping[str, str] = {
    "AgentIdentity.DeleteRestore.All": "5b016f9b-18eb-41d4-869a-66931914d1c8",
    "AgentIdentity.EnableDisable.All": "69ee0943-4fa4-4ec8-8e52-d12e4ea661a3",
    "AgentIdentity.Read.All": "b2b8f011-2898-4234-9092-5059f6c1ebfa",
    "AppRoleAssignment.ReadWrite.All": "06b708a9-e830-4db3-a914-8e69da51d44f",
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "Application.ReadWrite.OwnedBy": "18a4783c-866b-4cc7-a460-3d5e5662c884",
    "AuditLog.Read.All": "b0afded3-3588-46d8-8b3d-9842eff778da",
    "DelegatedPermissionGrant.ReadWrite.All": "8e8e4742-1d95-4f68-9d56-6ee75648c72a",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "Policy.Read.All": "246dd0d5-5bd0-4def-940b-0421030a5b68",
    "Policy.ReadWrite.CrossTenantAccess": "338163d7-f101-4c92-94ba-ca46fe52447c",
    "RoleManagement.Read.Directory": "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
    "RoleManagement.ReadWrite.Directory": "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8",
    "User.DeleteRestore.All": "eccc023d-eccf-4e7b-9683-8813ab36cecc",
    "User.EnableDisableAccount.All": "3011c876-62b7-4ada-afa2-506cbbecc68c",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.RevokeSessions.All": "77f3a031-c388-4f99-b373-dc68676a979e",
}
"""Ids of Graph's application permissions, the same in every tenant: Microsoft Graph permissions reference."""

READ_GRAPH = (
    "AgentIdentity.Read.All",
    "Application.Read.All",
    "AuditLog.Read.All",
    "Directory.Read.All",
    "Policy.Read.All",
    "RoleManagement.Read.Directory",
)
READ_AZURE = (
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleDefinitions/read",
    "Microsoft.ManagedIdentity/userAssignedIdentities/read",
    "Microsoft.ManagedServices/registrationAssignments/read",
    "Microsoft.ManagedServices/registrationDefinitions/read",
    "Microsoft.ResourceGraph/resources/read",
    "Microsoft.Resources/subscriptions/read",
)
REVOKE_GRAPH = (
    "AgentIdentity.DeleteRestore.All",
    "AgentIdentity.EnableDisable.All",
    "AppRoleAssignment.ReadWrite.All",
    "Application.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Policy.ReadWrite.CrossTenantAccess",
    "RoleManagement.ReadWrite.Directory",
    "User.DeleteRestore.All",
    "User.EnableDisableAccount.All",
    "User.Read.All",
    "User.RevokeSessions.All",
)
REVOKE_AZURE = (
    "Microsoft.Authorization/roleAssignments/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.ManagedServices/registrationAssignments/delete",
)
DRILL_PERMISSIONS = ("Application.ReadWrite.OwnedBy",)
"""What the identity that drills needs: it lists applications, and manages those only that it made itself."""

ANSWERED_BY: tuple[tuple[str, str], ...] = (
    ("/beta/reports/", "AuditLog.Read.All"),
    ("/servicePrincipals/microsoft.graph.agentIdentity", "AgentIdentity.Read.All"),
    ("/servicePrincipals", "Application.Read.All"),
    ("/applications", "Application.Read.All"),
    ("/roleManagement", "RoleManagement.Read.Directory"),
    ("/policies", "Policy.Read.All"),
    ("/oauth2PermissionGrants", "Directory.Read.All"),
    ("/organization", "Directory.Read.All"),
    ("signInActivity", "AuditLog.Read.All"),
    ("/users", "Directory.Read.All"),
    ("/groups", "Directory.Read.All"),
)
"""Part of a path to the permission that opens it; the first that fits."""


def needed(operation: str) -> str | None:
    """Return the permission that an operation or path takes, None for what is no call of Graph."""
    return next((permission for part, permission in ANSWERED_BY if part in operation), None)


def lacking(operation: str) -> str:
    """Say what an operation that was refused would take."""
    permission = needed(operation)
    if permission is None:
        return "it takes the role Reader at the root management group"
    return f"it takes the application permission {permission}, with an administrator's consent"


def permission_files() -> Mapping[str, str]:
    """Give what an administrator installs, file name to text: Graph permissions and Azure roles, apart for each identity.

    `drill.json`, `read.json` and `revoke.json` are the `requiredResourceAccess` of an application's manifest.
    """
    return {
        "drill.json": _manifest(DRILL_PERMISSIONS),
        "drill.txt": _listed(DRILL_PERMISSIONS),
        "read.json": _manifest(READ_GRAPH),
        "read.txt": _listed(READ_GRAPH),
        "revoke.json": _manifest(REVOKE_GRAPH),
        "revoke.txt": _listed(REVOKE_GRAPH),
        "azure-read-role.json": _role("Countersign inventory", "Reads who may do what, and nothing else.", READ_AZURE),
        "azure-revoke-role.json": _role(
            "Countersign revocation", "Takes away role assignments and Lighthouse delegations, and gives assignments back.", REVOKE_AZURE
        ),
    }


def _manifest(names: tuple[str, ...]) -> str:
    access = [{"id": _IDS[name], "type": "Role"} for name in names]
    return _json([{"resourceAppId": GRAPH_APP_ID, "resourceAccess": access}])


def _listed(names: tuple[str, ...]) -> str:
    return "".join(f"{name} {_IDS[name]}\n" for name in names)


def _role(name: str, description: str, actions: tuple[str, ...]) -> str:
    """Write a role as `az role definition create` takes it; the root management group has the tenant's id."""
    scopes = ["/providers/Microsoft.Management/managementGroups/TENANT-ID"]
    role = {
        "Name": name,
        "IsCustom": True,
        "Description": description,
        "Actions": list(actions),
        "NotActions": [],
        "AssignableScopes": scopes,
    }
    return _json(role)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
