"""Entra directory roles, application permissions and delegated scopes, owners, and Azure's own roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.privilege import LIMITED, Rule, Verdict, given_by

if TYPE_CHECKING:
    from collections.abc import Collection

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own application."""

_GLOBAL_ADMINISTRATOR = Rule(
    "entra-global-administrator",
    "administrator",
    "Global Administrator may do everything in the tenant, and can take over its Azure subscriptions.",
    "Microsoft Entra built-in roles",
)
RULES: tuple[Rule, ...] = (_GLOBAL_ADMINISTRATOR,)


def directory_role(template_id: str) -> Verdict:
    """Judge a directory role by its template id (roleDefinition.templateId), in any case."""
    return given_by(_GLOBAL_ADMINISTRATOR) if template_id.lower() == "62e90394-69f5-4237-9190-012177145e10" else LIMITED


def custom_directory_role(actions: Collection[str]) -> Verdict:
    """Judge a custom directory role by its allowedResourceActions, such as `microsoft.directory/applications/credentials/update`."""
    del actions
    return LIMITED


def app_role(resource_app_id: str, value: str) -> Verdict:
    """Judge an application permission (appRole.value, such as `RoleManagement.ReadWrite.Directory`) of a resource's app id."""
    del resource_app_id, value
    return LIMITED


def delegated(resource_app_id: str, scope: str, *, for_everyone: bool) -> Verdict:
    """Judge one delegated permission (a word of oauth2PermissionGrant.scope); `for_everyone`: consentType AllPrincipals."""
    del resource_app_id, scope, for_everyone
    return LIMITED


def owner_of(owned: Verdict) -> Verdict:
    """Judge the owner of an application or service principal: whoever may add a secret to it can become it."""
    del owned
    return LIMITED


def azure_role(actions: Collection[str], not_actions: Collection[str]) -> Verdict:
    """Judge an Azure role definition by its actions and notActions, wildcards as Azure writes them."""
    del actions, not_actions
    return LIMITED
