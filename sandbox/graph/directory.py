"""What Graph answers to a GET: which objects a path means, and how the query shapes, orders and pages them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from sandbox.graph import odata
from sandbox.graph.kinds import AGENTS, CHILDREN, KINDS, LINKS, OBJECTS, Kind
from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sandbox.graph.odata import Expand
    from sandbox.graph.tenant import SandboxTenant
    from sandbox.graph.wire import Asked

PAGE = 100
PAGE_MAX = 999
EXPANDED_MAX = 20
"""Graph cuts an expanded list of directory objects here, and does not say so."""
_OPTIONS = frozenset({"$select", "$filter", "$expand", "$top", "$skip", "$orderby", "$count", "$search", "$skiptoken", "$format"})
_TYPES = {KINDS[path].type: KINDS[path] for path in OBJECTS}
_DIRECTORY_OBJECT = Kind("directoryObject", frozenset(), directory=True)
_SIGN_IN = "signInActivity"
_ONE = {"principal": "principalId", "roleDefinition": "roleDefinitionId"}
"""Navigations to one object, and the property that holds its id."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Meant:
    """What a path means in a tenant."""

    kind: Kind
    collection: str
    """Path of the collection, for the property names that its objects have."""
    found: Sequence[Object]
    single: bool = False
    count: bool = False
    """Whether only the number is asked for."""
    one_type: str | None = None
    """A derived type that the path asks for."""


class Refusal(Exception):  # noqa: N818 -- an answer, not a failure of ours
    """Graph answers with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def meant(tenant: SandboxTenant, path: str) -> Meant:
    """Find what a path under the version means, such as `applications/<id>/owners`. Raises Refusal."""
    segments = path.replace("(", "/(", 1).strip("/").split("/")
    for length in range(len(segments), 0, -1):
        collection = "/".join(segments[:length])
        if collection in KINDS:
            return _inside(tenant, collection, segments[length:])
    raise Refusal(400, "BadRequest", f"Resource not found for the segment '{segments[0]}'.")


def _inside(tenant: SandboxTenant, collection: str, rest: Sequence[str]) -> Meant:
    kind, objects = KINDS[collection], tenant.objects.get(collection, {})
    if not rest:
        return Meant(kind, collection, tuple(objects.values()), single=kind.single)
    first = rest[0]
    if first == "$count" and len(rest) == 1 and not kind.single:
        return Meant(kind, collection, tuple(objects.values()), count=True)
    if first.startswith("microsoft.graph.") and len(rest) == 1:
        of_type = tuple(each for each in objects.values() if each.get("@odata.type") == f"#{first}")
        opened = replace(kind, read=AGENTS) if first.endswith(".agentIdentity") else kind
        return Meant(opened, collection, of_type, one_type=first)
    if first.startswith("("):
        name, _, value = first.strip("()").partition("=")
        found = next((each for each in objects.values() if str(each.get(name)) == value.strip("'")), None)
    else:
        found = objects.get(first)
    if found is None:
        raise _missing(first)
    if len(rest) == 1:
        return Meant(kind, collection, (found,), single=True)
    child = _child(tenant, collection, found, rest[1])
    if child is not None and rest[1:2] == ["federatedIdentityCredentials"] and rest[2:] not in ([], ["$count"]):
        return _one_of(child, rest[2])
    if child is None or len(rest) > 3 or rest[2:] not in ([], ["$count"]):  # noqa: PLR2004 -- object, navigation, $count
        raise Refusal(400, "BadRequest", f"Resource not found for the segment '{rest[-1]}'.")
    if child.kind.single and not child.found:
        raise _missing(rest[1])
    return replace(child, count=rest[2:] == ["$count"])


def _one_of(child: Meant, key: str) -> Meant:
    found = next((each for each in child.found if each["id"] == key), None)
    if found is None:
        raise _missing(key)
    return replace(child, found=(found,), single=True)


def _missing(what: str) -> Refusal:
    message = f"Resource '{what}' does not exist or one of its queried reference-property objects are not present."
    return Refusal(404, "Request_ResourceNotFound", message)


def _child(  # noqa: PLR0911 -- one for each navigation
    tenant: SandboxTenant, collection: str, parent: Object, name: str
) -> Meant | None:
    """Return what a navigation of an object leads to, None where there is no such navigation."""
    own = str(parent.get(KINDS[collection].key))
    path = f"{collection}/{own}/{name}"
    if collection.endswith("/partners") and name == "serviceProviderConstraints":
        return Meant(CHILDREN[name], path, tuple(tenant.objects.get(path, {}).values()), single=True)
    if collection not in OBJECTS:
        return None
    if name in LINKS:
        kind = replace(_DIRECTORY_OBJECT, read=KINDS[collection].read)
        return Meant(kind, path, tuple(_objects(tenant, tenant.links.get((own, name), ()))))
    if name == "transitiveMembers" and collection == "groups":
        kind = replace(_DIRECTORY_OBJECT, read=KINDS[collection].read)
        return Meant(kind, path, tuple(_objects(tenant, _members(tenant, own))))
    if name == "memberOf":
        groups = tuple(group for (group, how), members in tenant.links.items() if how == "members" and own in members)
        return Meant(replace(_DIRECTORY_OBJECT, read=KINDS[collection].read), path, tuple(_objects(tenant, groups)))
    if name == "appRoleAssignments" and collection != "applications":
        given = (each for stored, all_ in tenant.objects.items() if stored.endswith("/appRoleAssignedTo") for each in all_.values())
        return Meant(CHILDREN["appRoleAssignedTo"], "appRoleAssignedTo", tuple(each for each in given if each["principalId"] == own))
    if name == "oauth2PermissionGrants" and collection in {"servicePrincipals", "users"}:
        holder = "clientId" if collection == "servicePrincipals" else "principalId"
        grants = tenant.objects.get(name, {}).values()
        return Meant(KINDS[name], name, tuple(each for each in grants if each[holder] == own))
    holders = {"federatedIdentityCredentials": {"servicePrincipals", "applications"}, "appRoleAssignedTo": {"servicePrincipals"}}
    if collection in holders.get(name, ()):
        return Meant(CHILDREN[name], path, tuple(tenant.objects.get(path, {}).values()))
    return None


def units(asked: Asked, kind: Kind) -> int:
    """Return what a GET costs in resource units."""
    return max(1, kind.units - ("$select" in asked.query) + ("$expand" in asked.query))


def answer(tenant: SandboxTenant, asked: Asked, found: Meant, base: str) -> Answer:
    """Answer a GET for what a path means; `base` is the address with the version. Raises Refusal."""
    try:
        return _answer(tenant, asked, found, base)
    except odata.QueryError as error:
        raise Refusal(400, "BadRequest", str(error)) from error


def _answer(tenant: SandboxTenant, asked: Asked, found: Meant, base: str) -> Answer:
    query = asked.query
    _check_options(asked, found)
    chosen = odata.select(query["$select"]) if "$select" in query else None
    expanded = odata.expand(query["$expand"]) if "$expand" in query else ()
    known = _known(tenant, found)
    for name in chosen or ():
        _check_name(name, known, found.kind)
    for each in expanded:
        if each.name not in _ONE and _child(tenant, found.collection, {}, each.name) is None:
            raise odata.QueryError(
                f"Parsing OData Select and Expand failed: Could not find a property named '{each.name}' on type '{_named(found.kind)}'."
            )
    if _SIGN_IN in (chosen or ()) and found.kind.type == "user":
        _check_sign_in(tenant)
        chosen = (*(chosen or ()), "id")
    if found.single:
        context = {"@odata.context": f"{base}/$metadata#{asked.path.split('/', 2)[2]}/$entity"}
        return Answer(200, context | _shaped(tenant, found.found[0], found, chosen, expanded))
    items = _filtered(found, query, known, asked)
    if found.count:
        return Answer(200, str(len(items)).encode(), {"Content-Type": "text/plain"})
    size, start = _page(query)
    page = items[start : start + size]
    body: Object = {"@odata.context": f"{base}/$metadata#{_context(asked, chosen)}"}
    if query.get("$count") == "true" and (not found.kind.directory or _eventual(asked)):
        body["@odata.count"] = len(items)
    if start + size < len(items):
        more = {**{name: value for name, value in query.items() if name != "$skip"}, "$skiptoken": odata.token(start + size)}
        host = base.rpartition("/")[0]
        body["@odata.nextLink"] = f"{host}{quote(asked.path)}?{urlencode(more, quote_via=quote, safe='$,()')}"
    body["value"] = [_shaped(tenant, each, found, chosen, expanded) for each in page]
    return Answer(200, body)


def _check_options(asked: Asked, found: Meant) -> None:
    query = asked.query
    for name in query:
        if name.startswith("$") and name not in _OPTIONS:
            raise odata.QueryError(f"The query parameter '{name}' is not supported.")
    if "$search" in query:
        raise odata.QueryError("This request is not supported: $search.")
    if "$skip" in query and found.kind.directory:
        raise odata.QueryError("'$skip' is not supported by the service.")
    if found.count and found.kind.directory and not _eventual(asked):
        raise Refusal(400, "Request_BadRequest", "$count is not currently supported.")


def _check_name(name: str, known: frozenset[str] | None, kind: Kind) -> None:
    if known is not None and name not in known and name not in LINKS and not name.startswith("extension_"):
        raise odata.QueryError(f"Could not find a property named '{name}' on type '{_named(kind)}'.")


def _check_sign_in(tenant: SandboxTenant) -> None:
    if not tenant.premium:
        message = "Neither tenant is B2C or tenant doesn't have premium license"
        raise Refusal(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", message)
    if "AuditLog.Read.All" not in tenant.permissions:
        raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _eventual(asked: Asked) -> bool:
    return asked.headers.get("consistencylevel", "").lower() == "eventual"


def _known(tenant: SandboxTenant, found: Meant) -> frozenset[str] | None:
    """Return the property names that a collection's objects can have, as far as they show.

    None: there is a contract, which knows better, or the objects are of several types.
    """
    if found.kind.type == "directoryObject" or (tenant.contract is not None and not found.kind.beta):
        return None
    return frozenset({"id", found.kind.key, *found.kind.empty, *tenant.names.get(found.collection, ())})


def _filtered(found: Meant, query: Mapping[str, str], known: frozenset[str] | None, asked: Asked) -> list[Object]:
    items = list(found.found)
    if "$filter" in query:
        wanted = odata.filter_(query["$filter"])
        for path in wanted.paths:
            _check_name(path.partition("/")[0], known, found.kind)
        if wanted.advanced and found.kind.directory and not (_eventual(asked) and (query.get("$count") == "true" or found.count)):
            raise Refusal(400, "Request_UnsupportedQuery", "Unsupported Query.")
        items = [each for each in items if wanted.holds(each)]
    for name, descends in reversed(odata.order(query["$orderby"])) if "$orderby" in query else ():
        _check_name(name.partition("/")[0], known, found.kind)
        items.sort(key=lambda each: str(odata.value(each, name) or ""), reverse=descends)
    return items


def _page(query: Mapping[str, str]) -> tuple[int, int]:
    """Return a page's size and where it starts."""
    top = query.get("$top", str(PAGE))
    if not top.isdecimal() or not 1 <= int(top) <= PAGE_MAX:
        raise odata.QueryError(f"Invalid page size specified: '{top[:20]}'. Must be between 1 and {PAGE_MAX} inclusive.")
    skip = query.get("$skip", "0")
    if not skip.isdecimal():
        raise odata.QueryError(f"Invalid value '{skip[:20]}' for $skip query option found.")
    return int(top), odata.offset(query["$skiptoken"]) if "$skiptoken" in query else int(skip)


def _context(asked: Asked, chosen: Sequence[str] | None) -> str:
    path = asked.path.split("/", 2)[2]
    return f"{path}({','.join(chosen)})" if chosen else path


def _shaped(tenant: SandboxTenant, found: Object, about: Meant, chosen: Sequence[str] | None, expanded: Iterable[Expand]) -> Object:
    names: Iterable[str]
    if chosen is not None:
        names = dict.fromkeys(chosen)
    else:
        unasked = about.kind.unasked
        names = found if unasked is None else [name for name in found if name in unasked]
    kept = {name: found[name] if name in found else tenant.unset(about.kind, name) for name in names if name not in LINKS}
    if "@odata.type" in found and not about.one_type:
        kept = {"@odata.type": found["@odata.type"], **kept}
    for each in expanded:
        kept[each.name] = _expanded(tenant, found, about, each)
    return kept


def _expanded(tenant: SandboxTenant, found: Object, about: Meant, wanted: Expand) -> Object | list[Object] | None:
    chosen = odata.select(wanted.options["$select"]) if "$select" in wanted.options else None
    if wanted.name in _ONE:
        target = str(found.get(_ONE[wanted.name]))
        if wanted.name == "roleDefinition":
            role: Object | None = tenant.objects["roleManagement/directory/roleDefinitions"].get(target)
            return role
        inside = replace(about, kind=_DIRECTORY_OBJECT)
        principal = next(iter(_objects(tenant, (target,))), None)
        return None if principal is None else _shaped(tenant, principal, inside, _with_type(chosen), ())
    child = _child(tenant, about.collection, found, wanted.name)
    assert child is not None, "the name was checked"
    of_type = _with_type(chosen) if child.kind.type == "directoryObject" else chosen
    return [_shaped(tenant, each, child, of_type, ()) for each in child.found[:EXPANDED_MAX]]


def _with_type(chosen: Sequence[str] | None) -> Sequence[str] | None:
    return None if chosen is None else ("@odata.type", *chosen)


def _objects(tenant: SandboxTenant, ids: Iterable[str]) -> Iterable[Object]:
    """Return directory objects of any type, each with its type's name and what Graph tells of it without being asked."""
    for each in ids:
        collection, found = tenant.find(each) or ("", {})
        if not found:
            continue  # it was deleted
        kind = KINDS[collection]
        told = found if kind.unasked is None else {name: value for name, value in found.items() if name in kind.unasked}
        yield {"@odata.type": f"#microsoft.graph.{kind.type}", **told}


def _members(tenant: SandboxTenant, group: str) -> Iterable[str]:
    """Return the ids of all that are in a group, directly or in groups inside it, which may go in circles."""
    found: dict[str, None] = {}
    left = [group]
    while left:
        fresh = [each for each in tenant.links.get((left.pop(), "members"), ()) if each not in found]
        found.update(dict.fromkeys(fresh))
        left += fresh
    return found


def _named(kind: Kind) -> str:
    return f"microsoft.graph.{kind.type}"
