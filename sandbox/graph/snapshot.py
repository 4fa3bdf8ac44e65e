"""All of a tenant that taking access away could touch, as plain JSON: for a comparison of before and after."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.graph.tenant import SandboxTenant

_MADE_ANEW = ("id", "createdDateTime", "modifiedDateTime")
"""What differs in an assignment that was deleted and made again."""
_ASSIGNED = ("appRoleAssignedTo", "oauth2PermissionGrants", "roleAssignments", "roleEligibilitySchedules")
_WHAT = ("clientId", "consentType", "principalId", "resourceId", "appRoleId", "roleDefinitionId", "directoryScopeId", "appScopeId")
_STAMPS = ("createdOn", "updatedOn", "createdBy", "updatedBy")
_REPORTS = ("reports/", "auditLogs/")


def of(tenant: SandboxTenant) -> dict[str, Any]:
    """Return a tenant's directory, links and Azure side; an assignment is told without its id, which a new one would not have."""
    found: dict[str, Any] = {}
    for collection, objects in sorted(tenant.objects.items()):
        if collection.startswith(_REPORTS):
            continue
        if collection.rpartition("/")[2] in _ASSIGNED:
            found[collection] = {_named(each): {k: v for k, v in each.items() if k not in _MADE_ANEW} for each in objects.values()}
        else:
            found[collection] = {key: _plain(each) for key, each in sorted(objects.items())}
    links = {f"{one}/{how}": list(others) for (one, how), others in sorted(tenant.links.items())}
    tables = {name: {key: _unstamped(row) for key, row in sorted(rows.items())} for name, rows in tenant.azure.tables.items()}
    return copy.deepcopy({"directory": found, "links": links, "azure": tables, "deleted": sorted(tenant.deleted)})


@contextmanager
def kept(tenant: SandboxTenant) -> Iterator[None]:
    """Let something happen to a tenant, and put everything back as it was."""
    directory = copy.deepcopy((tenant.objects, tenant.links, tenant.deleted))
    tables = copy.deepcopy((tenant.azure.tables, tenant.azure.subscriptions))
    yield
    tenant.objects, tenant.links, tenant.deleted = directory
    tenant.azure.tables, tenant.azure.subscriptions = tables


def _named(assigned: Mapping[str, Any]) -> str:
    """Name an assignment by what it gives to whom."""
    return " ".join(str(assigned[name]) for name in _WHAT if assigned.get(name) is not None)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    # null and false are one: nobody disabled it
    return {name: bool(value) if name == "isDisabled" else value for name, value in found.items()}


def _unstamped(row: Mapping[str, Any]) -> dict[str, Any]:
    properties = row.get("properties")
    if not isinstance(properties, dict):
        return dict(row)
    return {**row, "properties": {name: value for name, value in properties.items() if name not in _STAMPS}}
