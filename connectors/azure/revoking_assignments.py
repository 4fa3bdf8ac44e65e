"""What somebody holds in a tenant, as it is seen, taken away and given back.

An assignment is found by what it says, and not by its id: one that is made again has another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.azure.revoking_calls import GONE, Action, every, found, manager
from countersign.fields import guid, inner, text
from countersign.revocation import RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from connectors.azure.door import Door
    from connectors.azure.revoking_calls import Parameters
    from countersign.fields import Row
    from countersign.revocation import Change, State

ROLE_ASSIGNMENTS = "/v1.0/roleManagement/directory/roleAssignments"
SCHEDULES = "/v1.0/roleManagement/directory/roleEligibilitySchedules"
_REQUESTS = "/v1.0/roleManagement/directory/roleEligibilityScheduleRequests"
_GRANTS = "/v1.0/oauth2PermissionGrants"
_AUTHORIZATION, _MANAGED_SERVICES = "?api-version=2022-04-01", "?api-version=2022-10-01"


def is_app_role(row: Row, about: Parameters) -> bool:
    """Whether a row is this application permission."""
    return (guid(row, "principalId"), guid(row, "resourceId"), guid(row, "appRoleId")) == (
        about["principal"],
        about["resource"],
        about["role"],
    )


def is_consent(row: Row, about: Parameters) -> bool:
    """Whether a row is this consent."""
    said = (guid(row, "clientId"), guid(row, "resourceId"), text(row, "consentType"), guid(row, "principalId"))
    return said == (about["client"], about["resource"], about["consent"], about["principal"])


def is_role(row: Row, about: Parameters) -> bool:
    """Whether a row is this directory role, held or eligible."""
    said = (guid(row, "principalId"), guid(row, "roleDefinitionId"), text(row, "directoryScopeId"))
    return said == (about["principal"], about["role"], about["scope"])


def _the_one(given: Iterable[Row], what: str) -> Row | None:
    listed = list(given)
    if len(listed) > 1:
        raise RevocationError(f"there are {len(listed)} of {what}, so that it cannot be told which is meant; nothing was changed")
    return listed[0] if listed else None


def _app_role(door: Door, about: Parameters) -> Row | None:
    given = every(door.graph, f"/v1.0/servicePrincipals/{about['principal']}/appRoleAssignments?$top=999")
    return _the_one((row for row in given if is_app_role(row, about)), "this permission")


def _consent(door: Door, about: Parameters) -> Row | None:
    given = every(door.graph, f"/v1.0/servicePrincipals/{about['client']}/oauth2PermissionGrants?$top=999")
    return _the_one((row for row in given if is_consent(row, about)), "this consent")


def _directory_role(door: Door, about: Parameters) -> Row | None:
    given = every(door.graph, held_by(ROLE_ASSIGNMENTS, about["principal"]))
    return _the_one((row for row in given if is_role(row, about)), "this role")


def _schedule(door: Door, about: Parameters) -> Row | None:
    given = every(door.graph, held_by(SCHEDULES, about["principal"]))
    return _the_one((row for row in given if is_role(row, about)), "this eligibility")


def held_by(path: str, principal: str) -> str:
    """Return where the directory roles of one principal are listed."""
    return f"{path}?$filter=principalId%20eq%20'{principal}'"


def consent_state(row: Row | None) -> State:
    """Return what a client may do in people's names; the words in the order in which they stand."""
    return GONE if row is None else {"exists": True, "scope": " ".join((text(row, "scope") or "").split())}


def schedule_state(row: Row | None) -> State:
    """Return until when somebody may activate a role; None: no end."""
    expiration = inner(inner(row or {}, "scheduleInfo"), "expiration")
    return GONE if row is None else {"exists": True, "until": text(expiration, "endDateTime")}


def _is_there(look: Callable[[Door, Parameters], Row | None]) -> Callable[[Door, Parameters], State]:
    return lambda door, about: GONE if look(door, about) is None else {"exists": True}


def _target(look: Callable[[Door, Parameters], Row | None], reader: Door, change: Change) -> str:
    row = look(reader, change.parameters)
    found_id = None if row is None else text(row, "id")
    if found_id is None:
        raise RevocationError("it is not there any more, so that there is nothing to take away")
    return quote(found_id, safe="")


def _write_app_role(reader: Door, door: Door, change: Change) -> None:
    about = change.parameters
    path = f"/v1.0/servicePrincipals/{about['resource']}/appRoleAssignedTo"
    if change.after["exists"]:
        door.graph.change("POST", path, {"principalId": about["principal"], "resourceId": about["resource"], "appRoleId": about["role"]})
    else:
        door.graph.change("DELETE", f"{path}/{_target(_app_role, reader, change)}")


def _write_consent(reader: Door, door: Door, change: Change) -> None:
    about = change.parameters
    if not change.after["exists"]:
        door.graph.change("DELETE", f"{_GRANTS}/{_target(_consent, reader, change)}")
    elif change.before["exists"]:
        door.graph.change("PATCH", f"{_GRANTS}/{_target(_consent, reader, change)}", {"scope": change.after["scope"]})
    else:
        given = {
            "clientId": about["client"],
            "consentType": about["consent"],
            "principalId": about["principal"],
            "resourceId": about["resource"],
        }
        door.graph.change("POST", _GRANTS, {**given, "scope": change.after["scope"]})


def _role(about: Parameters) -> dict[str, Any]:
    return {"principalId": about["principal"], "roleDefinitionId": about["role"], "directoryScopeId": about["scope"]}


def _write_directory_role(reader: Door, door: Door, change: Change) -> None:
    if change.after["exists"]:
        door.graph.change("POST", ROLE_ASSIGNMENTS, _role(change.parameters))
    else:
        door.graph.change("DELETE", f"{ROLE_ASSIGNMENTS}/{_target(_directory_role, reader, change)}")


def _write_schedule(_: Door, door: Door, change: Change) -> None:
    why = {"justification": "Countersign, by an approved plan"}
    if change.after["exists"]:
        until = change.after["until"]
        ends = {"type": "noExpiration"} if until is None else {"type": "afterDateTime", "endDateTime": until}
        door.graph.change(
            "POST", _REQUESTS, {"action": "adminAssign", **_role(change.parameters), **why, "scheduleInfo": {"expiration": ends}}
        )
    else:
        door.graph.change("POST", _REQUESTS, {"action": "adminRemove", **_role(change.parameters), **why})


# ---- Azure ----

_ASSIGNED = ("principalId", "principalType", "roleDefinitionId", "condition", "conditionVersion", "description")


def azure_role(door: Door, about: Parameters) -> State:
    """Look up a role assignment of Azure by its resource id, which stays when it is made again."""
    row = found(manager(door), f"{quote(about['assignment'])}{_AUTHORIZATION}")
    if row is None:
        return GONE
    said = inner(row, "properties")
    return {"exists": True, "scope": text(said, "scope"), **{name: text(said, name) for name in _ASSIGNED}}


def _write_azure_role(_: Door, door: Door, change: Change) -> None:
    path = f"{quote(change.parameters['assignment'])}{_AUTHORIZATION}"
    if change.after["exists"]:
        given = {name: change.after[name] for name in _ASSIGNED if change.after[name] is not None}
        manager(door).change("PUT", path, {"properties": given})
    else:
        manager(door).change("DELETE", path)


def registration(door: Door, about: Parameters) -> State:
    """Look up a delegation by Lighthouse."""
    row = found(manager(door), f"/{quote(about['registration'])}{_MANAGED_SERVICES}")
    said = inner(row or {}, "properties")
    if row is None or text(said, "provisioningState") == "Deleted":
        return GONE
    return {"exists": True, "definition": (text(said, "registrationDefinitionId") or "").lower()}


def _delete_registration(_: Door, door: Door, change: Change) -> None:
    manager(door).change("DELETE", f"/{quote(change.parameters['registration'])}{_MANAGED_SERVICES}")


_APP_ROLE_PATHS = ("GET /servicePrincipals/{id}/appRoleAssignments",), (
    "DELETE /servicePrincipals/{id}/appRoleAssignedTo/{id}", "POST /servicePrincipals/{id}/appRoleAssignedTo",
)  # fmt: skip
_AZURE_PATH = "{scope}/providers/Microsoft.Authorization/roleAssignments/{id}"
_LIGHTHOUSE_PATH = "{scope}/providers/Microsoft.ManagedServices/registrationAssignments/{id}"

ASSIGNMENTS: Mapping[str, Action] = {
    "remove-app-role": Action(*_APP_ROLE_PATHS, _is_there(_app_role), _write_app_role),
    "remove-consent": Action(
        ("GET /servicePrincipals/{id}/oauth2PermissionGrants",),
        ("DELETE /oauth2PermissionGrants/{id}", "PATCH /oauth2PermissionGrants/{id}", "POST /oauth2PermissionGrants"),
        lambda door, about: consent_state(_consent(door, about)),
        _write_consent,
    ),
    "remove-directory-role": Action(
        ("GET /roleManagement/directory/roleAssignments",),
        ("DELETE /roleManagement/directory/roleAssignments/{id}", "POST /roleManagement/directory/roleAssignments"),
        _is_there(_directory_role),
        _write_directory_role,
    ),
    "remove-eligible-role": Action(
        ("GET /roleManagement/directory/roleEligibilitySchedules",),
        ("POST /roleManagement/directory/roleEligibilityScheduleRequests",),
        lambda door, about: schedule_state(_schedule(door, about)),
        _write_schedule,
    ),
    "remove-azure-role": Action((f"GET {_AZURE_PATH}",), (f"DELETE {_AZURE_PATH}", f"PUT {_AZURE_PATH}"), azure_role, _write_azure_role),
    "delete-registration": Action((f"GET {_LIGHTHOUSE_PATH}",), (f"DELETE {_LIGHTHOUSE_PATH}",), registration, _delete_registration),
}
"""By the name that a change has."""
