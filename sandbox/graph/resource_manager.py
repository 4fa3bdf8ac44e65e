"""What Azure Resource Manager answers: subscriptions, Resource Graph's queries, and single role assignments and registrations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sandbox.graph import kql, odata
from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from sandbox.graph.tenant import SandboxTenant
    from sandbox.graph.wire import Asked

QUERY = "/providers/microsoft.resourcegraph/resources"
_PAGE, _PAGE_MAX = 100, 1000
_ASSIGNMENT = re.compile(r"(?P<scope>.*)/providers/microsoft\.authorization/roleassignments/[0-9a-f-]{36}")
_REGISTRATION = re.compile(r"(?P<scope>.*)/providers/microsoft\.managedservices/registrationassignments/[0-9a-f-]{36}")
_ASSIGNED = frozenset({"principalId", "roleDefinitionId", "principalType", "condition", "conditionVersion", "description"})
_OLDEST = "2021-03-01"
_KNOWN = frozenset({"query", "subscriptions", "managementGroups", "options", "facets"})
_OPTIONS = frozenset({"$skipToken", "$top", "$skip", "resultFormat", "allowPartialScopes", "authorizationScopeFilter"})


def answer(tenant: SandboxTenant, asked: Asked, address: str) -> Answer:
    """Answer a request whose token is good."""
    path = asked.path.rstrip("/").lower()
    version = re.match(r"\d{4}-\d\d-\d\d", asked.query.get("api-version", ""))
    if version is None:
        return error(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
    for pattern, one in ((_ASSIGNMENT, _assignment), (_REGISTRATION, _registration)):
        if pattern.fullmatch(path):
            return one(tenant, asked, path)
    if path == "/subscriptions" and asked.method == "GET":
        return _subscriptions(tenant, asked, address)
    if path == QUERY and asked.method == "POST":
        if version[0] < _OLDEST:
            return error(
                400, "InvalidApiVersionParameter", f"The api-version '{version[0]}' gives a table; the sandbox serves {_OLDEST} and newer."
            )
        return _resources(tenant, asked)
    return error(404, "InvalidResourceType", f"The sandbox does not serve {asked.method} {asked.path[:200]}.")


def error(status: int, code: str, message: str) -> Answer:
    """Write an error as Azure Resource Manager does."""
    return Answer(status, {"error": {"code": code, "message": message}})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "type": row["type"], "name": row["name"], "properties": row["properties"]}


def _assignment(tenant: SandboxTenant, asked: Asked, path: str) -> Answer:
    """Read, make or delete one role assignment, by its resource id in lower case."""
    rows = tenant.azure.tables["authorizationresources"]
    row = rows.get(path)
    if asked.method == "PUT":
        given = json.loads(asked.body).get("properties", {})
        if not {"principalId", "roleDefinitionId"} <= given.keys() <= _ASSIGNED:
            return error(400, "BadRequest", "The request content is not a role assignment.")
        same = ("principalId", "roleDefinitionId")
        scope = path.partition("/providers/microsoft.authorization/")[0] or "/"
        twin = any(
            (each["properties"].get("scope") or "").lower() == scope and all(each["properties"].get(name) == given[name] for name in same)
            for each in rows.values()
            if each["type"] == "microsoft.authorization/roleassignments"
        )
        if row is not None or twin:
            return error(409, "RoleAssignmentExists", "The role assignment already exists.")
        return Answer(201, _shown(rows[tenant.azure.assign(asked.path, given, tenant.clock()).lower()]))
    if asked.method == "DELETE":
        return Answer(204) if row is None else Answer(200, _shown(rows.pop(path)))
    if not tenant.azure.readable:
        return error(403, "AuthorizationFailed", "The client does not have authorization to perform this action.")
    return error(404, "RoleAssignmentNotFound", "The role assignment is not found.") if row is None else Answer(200, _shown(row))


def _registration(tenant: SandboxTenant, asked: Asked, path: str) -> Answer:
    """Read or delete one delegation by Lighthouse; its definition stays."""
    row = tenant.azure.tables["managedservicesresources"].get(path)
    if asked.method == "DELETE":
        if row is None:
            return Answer(204)
        del tenant.azure.tables["managedservicesresources"][path]
        return Answer(200)
    if not tenant.azure.readable:
        return error(403, "AuthorizationFailed", "The client does not have authorization to perform this action.")
    return error(404, "RegistrationAssignmentNotFound", "It is not found.") if row is None else Answer(200, _shown(row))


def _subscriptions(tenant: SandboxTenant, asked: Asked, address: str) -> Answer:
    # Without any role the list is empty, which is no error
    all_ = list(tenant.azure.subscriptions.values()) if tenant.azure.readable else []
    try:
        start = odata.offset(asked.query["$skiptoken"]) if "$skiptoken" in asked.query else 0
    except odata.QueryError as wrong:
        return error(400, "InvalidSkipToken", str(wrong))
    body: dict[str, Any] = {"value": all_[start : start + _PAGE], "count": {"type": "Total", "value": len(all_)}}
    if start + _PAGE < len(all_):
        version = asked.query["api-version"]
        body["nextLink"] = f"{address}/subscriptions?api-version={version}&$skiptoken={odata.token(start + _PAGE)}"
    return Answer(200, body)


def _resources(tenant: SandboxTenant, asked: Asked) -> Answer:
    try:
        body = json.loads(asked.body)
        options = dict(body.get("options") or {})
        unknown = {*body} - _KNOWN | {*options} - _OPTIONS
        top, start = int(options.get("$top", _PAGE)), int(options.get("$skip", 0))
        if "$skipToken" in options:
            start = odata.offset(str(options["$skipToken"]))
        query = str(body["query"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return error(400, "BadRequest", "Please provide below info when asking for support: the request's body is not a query.")
    if unknown or not 1 <= top <= _PAGE_MAX or options.get("resultFormat", "objectArray") != "objectArray":
        return error(400, "BadRequest", f"Invalid request: {', '.join(sorted(unknown)) or '$top or resultFormat'}.")
    if not tenant.azure.readable:
        message = "The client does not have authorization to perform action 'Microsoft.Resources/subscriptions/resources/read'."
        return error(403, "AuthorizationFailed", message)
    try:
        rows = kql.run(query, _within(tenant, body.get("subscriptions")))
    except kql.KqlError as wrong:
        inner = [{"code": "InvalidQuery", "message": str(wrong)}]
        return Answer(400, {"error": {"code": "BadRequest", "message": "Please provide a valid query.", "details": inner}})
    page, more = rows[start : start + top], start + top < len(rows)
    found: dict[str, Any] = {"totalRecords": len(rows), "count": len(page), "data": page, "facets": [], "resultTruncated": "false"}
    # Resource Graph gives no token where the query projects the id away: the rest of the rows is then out of reach
    if more and "id" in page[0]:
        found["$skipToken"] = odata.token(start + top)
    elif more:
        found["resultTruncated"] = "true"
    return Answer(200, found, {"x-ms-user-quota-remaining": "14", "x-ms-user-quota-resets-after": "00:00:05"})


def _within(tenant: SandboxTenant, subscriptions: object) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the tables narrowed to some subscriptions; what lies above all subscriptions is always there."""
    if not isinstance(subscriptions, list):
        return tenant.azure.tables
    wanted = {"", *map(str, subscriptions)}
    return {name: {key: row for key, row in rows.items() if row["subscriptionId"] in wanted} for name, rows in tenant.azure.tables.items()}
