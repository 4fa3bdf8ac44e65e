"""Reads who holds what in the directory: application permissions, delegated permissions, directory roles, and members of groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.azure.directory import many, type_of
from connectors.azure.door import Refusal
from connectors.azure.estate import Estate, Foreigner, Holder, Holding
from connectors.azure.visit import Visit, listed, look_up
from countersign.fields import flag, guid, inner, kept, rows, text, texts
from countersign.privilege import LIMITED, UNREAD, azure, strongest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.azure.visit import Operation
    from countersign.fields import Row
    from countersign.identity import Record
    from countersign.privilege import Verdict

APP_ROLES = "GET /servicePrincipals/*/appRoleAssignedTo"
DELEGATED = "GET /oauth2PermissionGrants"
DEFINITIONS = "GET /roleManagement/directory/roleDefinitions"
ASSIGNMENTS = "GET /roleManagement/directory/roleAssignments"
ELIGIBLE = "GET /roleManagement/directory/roleEligibilitySchedules"
MEMBERS = "GET /groups/*/members"
GROUPS = "GET /groups/*"

_ASSIGNED_FIELDS = ("id", "principalId", "roleDefinitionId", "directoryScopeId", "principalOrganizationId", "memberType", "status")


def app_roles(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read application permissions from the side of what offers them: one call per resource instead of one per client."""
    operation = visit.operation(APP_ROLES)
    offered: dict[str, dict[str, str]] = {}
    for object_id, seen in estate.principals.items():
        roles = {
            role_id: text(role, "value") or role_id
            for role in rows(seen.row, "appRoles") or ()
            if (role_id := guid(role, "id")) is not None and "Application" in texts(role, "allowedMemberTypes")
        }
        if roles:
            offered[object_id] = roles
    for resource, found in many(operation, [(each, f"/servicePrincipals/{each}/appRoleAssignedTo?$top=999") for each in offered]):
        held = []
        for row in found or ():
            client, role = guid(row, "principalId"), guid(row, "appRoleId")
            if client is None or role is None:
                operation.drop("assignment without a holder or a role")
            elif (text(row, "principalType") or "ServicePrincipal").lower() != "serviceprincipal":
                operation.leave_out("a person's or group's access to an application")
            else:
                held.append(row)
                # A role of zeros is plain access; a role that the resource no longer offers gives nothing.
                value = offered[resource].get(role)
                verdict = LIMITED if value is None else azure.app_role(_app_id(estate, resource), value)
                estate.holdings.append(Holding(client, "service-principal", value or role, _name(estate, resource), verdict))
        if held:
            yield operation.observe([kept(row, ("id", "appRoleId", "principalId", "resourceId", "createdDateTime")) for row in held])
    estate.add_gap(operation.why)
    if offered:
        yield operation.coverage()


def delegated(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read what applications may do in a person's name, with everyone's consent or one person's."""
    operation = visit.operation(DELEGATED)
    found: dict[Holding, None] = {}
    for page in listed(operation, "/v1.0/oauth2PermissionGrants?$top=999"):
        for row in page:
            client, resource = guid(row, "clientId"), guid(row, "resourceId")
            if client is None or resource is None:
                operation.drop("grant without a client or a resource")
                continue
            everyone = text(row, "consentType") == "AllPrincipals"
            for scope in (text(row, "scope") or "").split():
                verdict = azure.delegated(_app_id(estate, resource), scope, for_everyone=everyone)
                via = "delegated:everyone" if everyone else "delegated:some users"
                found[Holding(client, "service-principal", scope, _name(estate, resource), verdict, via)] = None
        yield operation.observe([kept(row, ("id", "clientId", "consentType", "principalId", "resourceId", "scope")) for row in page])
    estate.holdings += found
    estate.add_gap(operation.why)
    yield operation.coverage()


def directory_roles(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read who holds a directory role, or may activate one."""
    definitions: dict[str, tuple[str, Verdict]] = {}
    operation = visit.operation(DEFINITIONS)
    for page in listed(
        operation, "/v1.0/roleManagement/directory/roleDefinitions?$select=id,displayName,templateId,isBuiltIn,isEnabled,rolePermissions"
    ):
        for row in page:
            if (role_id := guid(row, "id")) is None:
                operation.drop("role without an id")
            else:
                definitions[role_id] = (text(row, "displayName") or role_id, _judged(row, role_id))
        yield operation.observe([kept(row, ("id", "displayName", "templateId", "isBuiltIn", "isEnabled")) for row in page])
    yield operation.coverage()
    for name, path, via in ((ASSIGNMENTS, "roleAssignments", "direct"), (ELIGIBLE, "roleEligibilitySchedules", "eligible")):
        operation = visit.operation(name, "user", "foreign-principal")
        try:
            for page in operation.visit.door.graph.pages(f"/v1.0/roleManagement/directory/{path}?$expand=principal"):
                operation.answered(len(page))
                for row in page:
                    _assigned(operation, estate, row, definitions, via)
                yield operation.observe([kept(row, _ASSIGNED_FIELDS) for row in page])
        except Refusal as refusal:
            if refusal.unlicensed:
                operation.note = f"the tenant has no licence for it, so nobody is eligible: {refusal}"
            else:
                operation.fail(refusal)
        estate.add_gap(operation.why)
        yield operation.coverage()


def _judged(row: Row, role_id: str) -> Verdict:
    if flag(row, "isBuiltIn") is not False:
        return azure.directory_role(guid(row, "templateId") or role_id)
    permissions = rows(row, "rolePermissions")
    if permissions is None:
        return UNREAD
    return azure.custom_directory_role([action for each in permissions for action in texts(each, "allowedResourceActions")])


def _assigned(operation: Operation, estate: Estate, row: Row, definitions: dict[str, tuple[str, Verdict]], via: str) -> None:
    holder, role_id, home = guid(row, "principalId"), guid(row, "roleDefinitionId"), guid(row, "principalOrganizationId")
    if holder is None or role_id is None:
        operation.drop("assignment without a holder or a role")
        return
    principal = inner(row, "principal")
    kind: Holder | None
    if home is not None and home != operation.visit.tenant:
        kind = "foreign-principal"
        estate.foreigners.setdefault(holder, Foreigner(home, text(principal, "displayName"), operation.visit.now()))
    else:
        kind = type_of(principal, estate, holder)
    if kind is None:
        operation.leave_out("its holder was deleted")
        return
    # Where the definitions could not be read, a built-in role is still known by its id; any other may be anything.
    name, verdict = definitions.get(role_id) or (role_id, _by_id(role_id))
    scope = text(row, "directoryScopeId") or "/"
    if kind == "group" and (group := text(principal, "displayName")) is not None:
        estate.group_names[holder] = group
    estate.holdings.append(Holding(holder, kind, name, "*" if scope == "/" else scope, verdict, via))


def _by_id(role_id: str) -> Verdict:
    verdict = azure.directory_role(role_id)
    return UNREAD if verdict.power == "limited" else verdict


def members(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Give what groups hold to their members, through groups inside groups."""
    groups = list(dict.fromkeys(holding.holder for holding in estate.holdings if holding.kind == "group"))
    if not groups:
        return
    names = visit.operation(GROUPS)
    nameless = [group for group in groups if group not in estate.group_names]
    for group, answer in look_up(visit, [(group, f"/groups/{group}?$select=id,displayName") for group in nameless]):
        about = names.settle(answer)
        estate.group_names[group] = (text(about, "displayName") if about is not None else None) or group
    if nameless:
        yield names.coverage()
    operation = visit.operation(MEMBERS, "user")
    direct: dict[str, list[tuple[Holder, str]]] = {}
    while asked := [(group, f"/groups/{group}/members?$select=id&$top=999") for group in groups if group not in direct]:
        for group, found in many(operation, asked):
            kinds = [(type_of(row, estate, member), member) for row in found or () if (member := guid(row, "id")) is not None]
            operation.drop("member without an id", len(found or ()) - len(kinds))
            direct[group] = [(kind, member) for kind, member in kinds if kind is not None]
            groups += [member for kind, member in direct[group] if kind == "group"]
            if found:
                yield operation.observe([{"group": group, "members": [member for _, member in kinds]}])
    estate.add_gap(operation.why)
    yield operation.coverage()
    expanded = []
    for holding in estate.holdings:
        if holding.kind == "group":
            via = f"group:{estate.group_names[holding.holder]}" + ("" if holding.via == "direct" else f" ({holding.via})")
            expanded += [
                Holding(member, kind, holding.role, holding.resource, holding.verdict, via)
                for kind, member in _inside(holding.holder, direct)
            ]
        else:
            expanded.append(holding)
    estate.holdings[:] = list(dict.fromkeys(expanded))


def _inside(group: str, direct: Mapping[str, list[tuple[Holder, str]]]) -> list[tuple[Holder, str]]:
    """Return the people and programs in a group and in the groups inside it; a group may contain itself by detours."""
    found: dict[tuple[Holder, str], None] = {}
    todo, been = [group], {group}
    while todo:
        for kind, member in direct.get(todo.pop(), ()):
            if kind != "group":
                found[kind, member] = None
            elif member not in been:
                been.add(member)
                todo.append(member)
    return list(found)


def owners(estate: Estate) -> None:
    """Give owners of applications and service principals what owning makes of them: they can sign in as what they own.

    A role over one application only is worth what owning it is.
    """
    held: dict[str, list[Verdict]] = {}
    for holding in estate.holdings:
        held.setdefault(holding.holder, []).append(holding.verdict)
    worth: dict[str, Verdict] = {}
    for object_id in (*estate.principals, *estate.applications):
        app = estate.applications.get(object_id)
        principal = object_id if app is None else estate.by_app_id.get(guid(app.row, "appId") or "", "")
        verdicts = [*held.get(principal, ()), *([UNREAD] if estate.grant_gaps else [])]
        worth[object_id] = azure.owner_of(strongest(verdicts))
    for number, holding in enumerate(estate.holdings):
        about = holding.resource.removeprefix("/").lower()
        if about in worth and holding.verdict.power == "escalation":
            estate.holdings[number] = replace(holding, verdict=worth[about])
    for (kind, object_id), owning in estate.owners.items():
        owned = f"{'applications' if kind == 'application' else 'servicePrincipals'}/{object_id}"
        estate.holdings += [Holding(owner, holder, "owner", owned, worth[object_id], "owner") for holder, owner in owning]


def _app_id(estate: Estate, principal: str) -> str:
    seen = estate.principals.get(principal)
    return (guid(seen.row, "appId") if seen is not None else None) or ""


def _name(estate: Estate, principal: str) -> str:
    seen = estate.principals.get(principal)
    return (text(seen.row, "displayName") if seen is not None else None) or principal
