"""Azure's side of a tenant: subscriptions, role assignments, managed identities and Lighthouse, as rows of Resource Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

ROLES: Mapping[str, str] = {
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Managed Services Registration assignment Delete Role": "91c1777a-f3dc-4fae-b103-61d183457e46",
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
}
"""Built-in roles, the same ids in every tenant."""
_ACTIONS: Mapping[str, Mapping[str, list[str]]] = {
    "Contributor": {
        "actions": ["*"],
        "notActions": [f"Microsoft.Authorization/{each}" for each in ("*/Delete", "*/Write", "elevateAccess/Action")],
    },
    "Owner": {"actions": ["*"]},
    "User Access Administrator": {"actions": ["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"]},
    "Storage Blob Data Reader": {
        "actions": ["Microsoft.Storage/storageAccounts/blobServices/containers/read"],
        "dataActions": ["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"],
    },
}
_DEFINITIONS = "/providers/Microsoft.Authorization/RoleDefinitions"


class SandboxAzure:
    """What Resource Graph knows of one tenant; without `readable` its reader has no role anywhere."""

    def __init__(self, tenant_id: str) -> None:
        self.readable = True
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, dict[str, Any]]] = {
            "resources": {},
            "resourcecontainers": {},
            "authorizationresources": {},
            "managedservicesresources": {},
        }
        """By table, then resource id in lower case."""
        self._tenant = tenant_id
        for name, role in ROLES.items():
            permission = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": [], **_ACTIONS.get(name, {})}
            said = {"roleName": name, "type": "BuiltInRole", "description": name, "assignableScopes": ["/"]}
            self.add("authorizationresources", f"{_DEFINITIONS}/{role}", properties={**said, "permissions": [permission]})

    def add(self, table: str, resource_id: str, **fields: object) -> str:
        """Add a row; type, name, subscription and resource group are read from the resource id. Returns the id."""
        segments = resource_id.strip("/").split("/")
        at = [segment.lower() for segment in segments]
        provider = len(at) - 1 - at[::-1].index("providers") if "providers" in at else None
        kind = at[0].rstrip("s") if provider is None else "/".join([at[provider + 1], *at[provider + 2 :: 2]])
        # Resource Graph answers every column, with null or an empty text where there is nothing
        row: dict[str, Any] = dict.fromkeys(("identity", "plan", "sku", "tags", "zones", "extendedLocation", "properties"))
        row |= {"id": resource_id, "name": segments[-1], "type": kind, "tenantId": self._tenant}
        row |= {"kind": "", "managedBy": "", "location": ""}
        row["subscriptionId"] = segments[1] if at[0] == "subscriptions" else ""
        row["resourceGroup"] = segments[3] if at[2:3] == ["resourcegroups"] else ""
        self.tables[table][resource_id.lower()] = row | fields
        return resource_id

    def subscription(self, name: str, *, managed_by: Iterable[str] = ()) -> str:
        """Add a subscription; `managed_by` are tenants that Lighthouse lets manage it. Returns its id, a guid."""
        made = str(uuid5(UUID(self._tenant), f"subscription/{name}"))
        self.subscriptions[made] = {
            "id": f"/subscriptions/{made}",
            "authorizationSource": "RoleBased",
            "managedByTenants": [{"tenantId": tenant} for tenant in managed_by],
            "subscriptionId": made,
            "tenantId": self._tenant,
            "displayName": name,
            "state": "Enabled",
        }
        self.add("resourcecontainers", f"/subscriptions/{made}", name=name, type="microsoft.resources/subscriptions")
        return made

    def role(  # noqa: PLR0913 -- an assignment says that much
        self,
        principal_id: str,
        role: str,
        scope: str,
        created: datetime,
        *,
        principal_type: str = "ServicePrincipal",
        created_by: str | None = None,
        condition: str | None = None,
    ) -> str:
        """Assign a built-in role at a scope (`/`, `/subscriptions/...`); returns the assignment's resource id."""
        at = created.isoformat()
        name = uuid5(UUID(self._tenant), f"{principal_id}/{role}/{scope}")
        properties = {
            "principalId": principal_id,
            "principalType": principal_type,
            "roleDefinitionId": f"{_DEFINITIONS}/{ROLES[role]}",
            "scope": scope,
            "createdOn": at,
            "updatedOn": at,
            "createdBy": created_by or "",
            "updatedBy": created_by or "",
            "condition": condition,
            "description": "",
        }
        resource_id = f"{scope.rstrip('/')}/providers/Microsoft.Authorization/RoleAssignments/{name}"
        return self.add("authorizationresources", resource_id, properties=properties)

    def assign(self, resource_id: str, given: Mapping[str, object], at: datetime) -> str:
        """Write a role assignment as Resource Manager was told to; returns its resource id."""
        scope = resource_id[: resource_id.lower().index("/providers/microsoft.authorization/")] or "/"
        made = {"createdOn": at.isoformat(), "updatedOn": at.isoformat(), "createdBy": "", "updatedBy": "", "condition": None}
        return self.add("authorizationresources", resource_id, properties={**made, "description": "", **given, "scope": scope})

    def lighthouse(
        self, managing_tenant: str, subscription: str, authorizations: Mapping[str, str], *, name: str = "Managed services"
    ) -> str:
        """Delegate a subscription to another tenant; `authorizations` is its principal's id to our role.

        Returns the resource id of the registration assignment.
        """
        made = uuid5(UUID(self._tenant), f"lighthouse/{managing_tenant}/{subscription}")
        services = f"/subscriptions/{subscription}/providers/Microsoft.ManagedServices"
        given = [
            {"principalId": principal, "principalIdDisplayName": f"{name} {role}", "roleDefinitionId": ROLES[role]}
            for principal, role in authorizations.items()
        ]
        definition = self.add(
            "managedservicesresources",
            f"{services}/registrationDefinitions/{made}",
            properties={
                "registrationDefinitionName": name,
                "description": "",
                "managedByTenantId": managing_tenant,
                "managedByTenantName": name,
                "manageeTenantId": self._tenant,
                "authorizations": given,
                "eligibleAuthorizations": [],
                "provisioningState": "Succeeded",
            },
        )
        self.subscriptions[subscription]["managedByTenants"].append({"tenantId": managing_tenant})
        return self.add(
            "managedservicesresources",
            f"{services}/registrationAssignments/{made}",
            properties={"registrationDefinitionId": definition, "provisioningState": "Succeeded"},
        )
