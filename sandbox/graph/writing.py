"""What Graph does when it is told to change something: the writes that taking access away needs, and those that give it back.

Permissions are those of Microsoft's reference pages ("one of the following").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.graph import making
from sandbox.graph.directory import Refusal
from sandbox.graph.kinds import KINDS
from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.graph.tenant import SandboxTenant

Body = dict[str, Any]

_APPS = frozenset({"Application.ReadWrite.All"})
_AGENTS_SWITCHED = frozenset({"AgentIdentity.EnableDisable.All", "AgentIdentity.ReadWrite.All"})
_AGENTS_DELETED = frozenset({"AgentIdentity.DeleteRestore.All", "AgentIdentity.ReadWrite.All"})
_ROLES = frozenset({"RoleManagement.ReadWrite.Directory"})
_ELIGIBLE = _ROLES | {"RoleEligibilitySchedule.ReadWrite.Directory"}
_CONSENT = frozenset({"DelegatedPermissionGrant.ReadWrite.All", "Directory.ReadWrite.All"})
_APP_ROLES = frozenset({"AppRoleAssignment.ReadWrite.All"})
_SWITCHED = frozenset({"User.EnableDisableAccount.All", "User.ReadWrite.All"})
_DELETED = frozenset({"User.DeleteRestore.All", "User.ReadWrite.All"})
_SESSIONS = frozenset({"User.RevokeSessions.All", "User.ReadWrite.All"})
_POLICY = frozenset({"Policy.ReadWrite.CrossTenantAccess"})
_ASSIGNMENTS = "roleManagement/directory/roleAssignments"
_SCHEDULES = "roleManagement/directory/roleEligibilitySchedules"
_REQUEST = "unifiedRoleEligibilityScheduleRequest"
_PARTNERS = "policies/crossTenantAccessPolicy/partners"
_NOTHING = Answer(204)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One change that somebody asked for."""

    needs: frozenset[str]
    """Any one of these lets an application make it."""
    make: Callable[[SandboxTenant, Body], Answer]
    type: str | None = None
    """Type of the object that is answered."""


def meant(method: str, path: str) -> Wanted | None:
    """Find what a write of a path under the version means; None for one that is not served."""
    for wanted, pattern, needs, make, type_ in _ROUTES:
        match = re.fullmatch(pattern, path) if method == wanted else None
        if match is not None:
            return Wanted(needs, partial(_made, make, match.groups()), type_)
    return None


def _made(make: Callable[..., Answer], ids: tuple[str, ...], tenant: SandboxTenant, body: Body) -> Answer:
    return make(tenant, body, *ids)


def _one(tenant: SandboxTenant, collection: str, key: str) -> Body:
    found = tenant.objects.get(collection, {}).get(key)
    if found is None:
        message = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
        raise Refusal(404, "Request_ResourceNotFound", message)
    return found


def _bad(message: str) -> Refusal:
    return Refusal(400, "Request_BadRequest", message)


def _set(tenant: SandboxTenant, body: Body, *ids: str, collection: str, may: frozenset[str]) -> Answer:
    """Change some properties of one object."""
    path = collection.format(*ids)
    found = _one(tenant, path, ids[-1])
    if not body or not body.keys() <= may:
        raise _bad(f"Property '{next(iter(body.keys() - may), '')}' is read-only or cannot be set here.")
    found |= body
    return _NOTHING


def _delete(tenant: SandboxTenant, _body: Body, *ids: str, collection: str) -> Answer:
    """Delete one object that nothing hangs on."""
    path = collection.format(*ids)
    _one(tenant, path, ids[-1])
    del tenant.objects[path][ids[-1]]
    return _NOTHING


def _delete_object(tenant: SandboxTenant, _body: Body, key: str, *, collection: str) -> Answer:
    """Delete a directory object with what it holds; it could be restored for 30 days."""
    found = _one(tenant, collection, key)
    if found.get("servicePrincipalType") == "ManagedIdentity":
        raise Refusal(403, "Authorization_RequestDenied", "A managed identity is deleted with its Azure resource.")
    if collection == "applications":
        for other in [each for each in tenant.objects.get("servicePrincipals", {}).values() if each["appId"] == found["appId"]]:
            _remove(tenant, "servicePrincipals", other["id"])
    _remove(tenant, collection, key)
    return _NOTHING


def _remove(tenant: SandboxTenant, collection: str, key: str) -> None:
    tenant.deleted[key] = (collection, tenant.objects[collection].pop(key))
    for path, objects in tenant.objects.items():
        if path in {_ASSIGNMENTS, _SCHEDULES, "oauth2PermissionGrants"} or path.endswith("/appRoleAssignedTo"):
            # Azure's role assignments stay behind: they are no objects of the directory
            gone = [one for one, each in objects.items() if key in {each.get("principalId"), each.get("clientId")}]
            for one in gone:
                del objects[one]
    for path in [path for path in tenant.objects if path.startswith(f"{collection}/{key}/")]:
        del tenant.objects[path]
    tenant.links = {(one, how): [other for other in others if other != key] for (one, how), others in tenant.links.items() if one != key}


def _remove_password(tenant: SandboxTenant, body: Body, collection: str, key: str) -> Answer:
    found = _one(tenant, collection, key)
    left = [each for each in found["passwordCredentials"] if each["keyId"] != body["keyId"]]
    if len(left) == len(found["passwordCredentials"]):
        raise _bad("No password credential found with keyId.")
    found["passwordCredentials"] = left
    return _NOTHING


def _set_keys(tenant: SandboxTenant, body: Body, key: str, *, collection: str, may: frozenset[str]) -> Answer:
    """Change an application or service principal; of certificates only those that are there may be named, and the rest goes."""
    if "keyCredentials" in body:
        held = {each["keyId"] for each in _one(tenant, collection, key)["keyCredentials"]}
        if not {each["keyId"] for each in body["keyCredentials"]} <= held:
            raise _bad("New certificates need their key.")
    return _set(tenant, body, key, collection=collection, may=may)


def _sign_out(tenant: SandboxTenant, _body: Body, key: str) -> Answer:
    _one(tenant, "users", key)["signInSessionsValidFromDateTime"] = f"{tenant.clock():%Y-%m-%dT%H:%M:%SZ}"
    return Answer(200, {"@odata.context": f"{tenant.address}/v1.0/$metadata#Edm.Boolean", "value": True})


def _created(tenant: SandboxTenant, collection: str, fields: Mapping[str, object]) -> Answer:
    made = tenant.add(collection, **fields)
    return Answer(201, {"@odata.context": f"{tenant.address}/v1.0/$metadata#{collection}/$entity", **tenant.objects[collection][made]})


def _twice(tenant: SandboxTenant, collection: str, body: Body, names: tuple[str, ...]) -> bool:
    return any(all(each.get(name) == body.get(name) for name in names) for each in tenant.objects.get(collection, {}).values())


def _give_app_role(tenant: SandboxTenant, body: Body, resource: str) -> Answer:
    offering, holder = _one(tenant, "servicePrincipals", resource), _one(tenant, "servicePrincipals", str(body.get("principalId")))
    collection = f"servicePrincipals/{resource}/appRoleAssignedTo"
    if body.get("resourceId") != resource or body.get("appRoleId") not in {role["id"] for role in offering["appRoles"]}:
        raise _bad("Permission being assigned was not found on application.")
    if _twice(tenant, collection, body, ("principalId", "appRoleId")):
        raise _bad("Permission being assigned already exists on the object.")
    names = {"principalDisplayName": holder["displayName"], "resourceDisplayName": offering["displayName"]}
    return _created(tenant, collection, {**body, **names, "createdDateTime": tenant.clock()})


def _consent(tenant: SandboxTenant, body: Body) -> Answer:
    _one(tenant, "servicePrincipals", str(body.get("clientId")))
    _one(tenant, "servicePrincipals", str(body.get("resourceId")))
    if _twice(tenant, "oauth2PermissionGrants", body, ("clientId", "resourceId", "consentType", "principalId")):
        raise Refusal(409, "Request_MultipleObjectsWithSameKeyValue", "Permission entry already exists.")
    return _created(tenant, "oauth2PermissionGrants", body)


def _give_role(tenant: SandboxTenant, body: Body) -> Answer:
    if tenant.find(str(body.get("principalId"))) is None:
        raise _bad("The principal does not exist in the directory.")
    if _twice(tenant, _ASSIGNMENTS, body, ("principalId", "roleDefinitionId", "directoryScopeId")):
        raise _bad("A conflicting object with one or more of the specified property values is present in the directory.")
    return _created(tenant, _ASSIGNMENTS, {**body, "principalOrganizationId": tenant.id})


def _request_role(tenant: SandboxTenant, body: Body) -> Answer:
    """Make somebody eligible for a role, or take that away, as an administrator."""
    names = ("principalId", "roleDefinitionId", "directoryScopeId")
    there = [each for each in tenant.objects.get(_SCHEDULES, {}).values() if all(each[name] == body.get(name) for name in names)]
    if body.get("action") == "adminRemove":
        if not there:
            raise Refusal(404, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
        del tenant.objects[_SCHEDULES][there[0]["id"]]
    elif body.get("action") == "adminAssign":
        if there:
            raise Refusal(400, "RoleAssignmentExists", "The Role assignment already exists.")
        tenant.add(_SCHEDULES, scheduleInfo=body.get("scheduleInfo"), **{name: body.get(name) for name in names})
    else:
        raise _bad("The action is not served.")
    return Answer(201, {"id": tenant.new_id(_REQUEST), "status": "Provisioned", **body})


_GUID = r"([0-9a-fA-F-]{36})"
_KEY = r"([^/]+)"
_PRINCIPAL, _APPLICATION, _USER = (f"{name}/{_GUID}" for name in ("servicePrincipals", "applications", "users"))
_AGENT = rf"{_PRINCIPAL}/microsoft\.graph\.agentIdentity"
_SIGN_IN = frozenset({"accountEnabled"})
_FEDERATED = f"applications/{_GUID}/federatedIdentityCredentials/{_GUID}"
_INBOUND = frozenset({"b2bCollaborationInbound", "b2bDirectConnectInbound", "inboundTrust", "automaticUserConsentSettings"})

_ROUTES: tuple[tuple[str, str, frozenset[str], Callable[..., Answer], str | None], ...] = (
    *making.ROUTES,
    ("PATCH", _AGENT, _AGENTS_SWITCHED, partial(_set, collection="servicePrincipals", may=_SIGN_IN), None),
    ("DELETE", _AGENT, _AGENTS_DELETED, partial(_delete_object, collection="servicePrincipals"), None),
    ("PATCH", _PRINCIPAL, _APPS, partial(_set_keys, collection="servicePrincipals", may=_SIGN_IN | {"keyCredentials"}), None),
    ("DELETE", _PRINCIPAL, _APPS, partial(_delete_object, collection="servicePrincipals"), None),
    ("PATCH", _APPLICATION, _APPS, partial(_set_keys, collection="applications", may=frozenset({"isDisabled", "keyCredentials"})), None),
    ("DELETE", _APPLICATION, _APPS, partial(_delete_object, collection="applications"), None),
    ("POST", rf"(applications|servicePrincipals)/{_GUID}/removePassword", _APPS, _remove_password, None),
    (
        "PATCH",
        _FEDERATED,
        _APPS,
        partial(
            _set,
            collection="applications/{}/federatedIdentityCredentials",
            may=frozenset({"issuer", "subject", "audiences", "description"}),
        ),
        None,
    ),
    ("DELETE", _FEDERATED, _APPS, partial(_delete, collection="applications/{}/federatedIdentityCredentials"), None),
    ("PATCH", _USER, _SWITCHED, partial(_set, collection="users", may=_SIGN_IN), None),
    ("DELETE", _USER, _DELETED, partial(_delete_object, collection="users"), None),
    ("POST", f"{_USER}/revokeSignInSessions", _SESSIONS, _sign_out, None),
    ("POST", f"{_PRINCIPAL}/appRoleAssignedTo", _APP_ROLES, _give_app_role, "appRoleAssignment"),
    (
        "DELETE",
        f"{_PRINCIPAL}/appRoleAssignedTo/{_KEY}",
        _APP_ROLES,
        partial(_delete, collection="servicePrincipals/{}/appRoleAssignedTo"),
        None,
    ),
    ("POST", "oauth2PermissionGrants", _CONSENT, _consent, KINDS["oauth2PermissionGrants"].type),
    (
        "PATCH",
        f"oauth2PermissionGrants/{_KEY}",
        _CONSENT,
        partial(_set, collection="oauth2PermissionGrants", may=frozenset({"scope"})),
        None,
    ),
    ("DELETE", f"oauth2PermissionGrants/{_KEY}", _CONSENT, partial(_delete, collection="oauth2PermissionGrants"), None),
    ("POST", _ASSIGNMENTS, _ROLES, _give_role, KINDS[_ASSIGNMENTS].type),
    ("DELETE", f"{_ASSIGNMENTS}/{_KEY}", _ROLES, partial(_delete, collection=_ASSIGNMENTS), None),
    ("POST", "roleManagement/directory/roleEligibilityScheduleRequests", _ELIGIBLE, _request_role, _REQUEST),
    ("PATCH", f"{_PARTNERS}/{_GUID}", _POLICY, partial(_set, collection=_PARTNERS, may=_INBOUND), None),
)
"""Method, path, permissions, what is done, and the type of what is answered."""
