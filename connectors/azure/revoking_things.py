"""What can be changed in a tenant: for each action the calls that show the one thing, and the one call that changes it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from connectors.azure.revoking_assignments import ASSIGNMENTS
from connectors.azure.revoking_calls import GONE, Action, found
from countersign.fields import flag, guid, inner, moment, rows, text, texts
from countersign.revocation import RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connectors.azure.door import Door
    from connectors.azure.revoking_calls import Parameters
    from countersign.fields import Row
    from countersign.revocation import Change, State

PARTNERS = "/v1.0/policies/crossTenantAccessPolicy/partners"
_AGENT = "/microsoft.graph.agentIdentity"
BLOCKED: State = {
    "applications": {"accessType": "blocked", "targets": [{"target": "AllApplications", "targetType": "application"}]},
    "usersAndGroups": {"accessType": "blocked", "targets": [{"target": "AllUsers", "targetType": "user"}]},
}
"""An inbound setting of cross-tenant access that lets nobody in."""
NO_TRUST: State = {"isCompliantDeviceAccepted": False, "isHybridAzureADJoinedDeviceAccepted": False, "isMfaAccepted": False}


def _told(row: Row, key: str) -> bool:
    value = flag(row, key)
    if value is None:
        raise RevocationError(f"Graph did not say {key}, so that nobody knows whether it is switched off")
    return value


# ---- switches ----


def object_path(collection: str, object_id: str) -> str:
    """Return where one object of a collection is read."""
    fields = {"servicePrincipals": "id,appId,accountEnabled", "applications": "id,appId,isDisabled", "users": "id,accountEnabled"}
    return f"/v1.0/{collection}/{object_id}?$select={fields[collection]}"


def state_of(collection: str, row: Row | None) -> State:
    """Return the state of an application, service principal or user: which one it is, and whether it is enabled."""
    if row is None:
        return GONE
    if collection == "users":
        return {"exists": True, "id": text(row, "id"), "enabled": _told(row, "accountEnabled")}
    # null is Graph's way of saying that nobody disabled the application
    enabled = flag(row, "isDisabled") is not True if collection == "applications" else _told(row, "accountEnabled")
    return {"exists": True, "id": text(row, "id"), "app_id": text(row, "appId"), "enabled": enabled}


def _object(collection: str) -> Callable[[Door, Parameters], State]:
    return lambda door, about: state_of(collection, found(door.graph, object_path(collection, about["id"])))


def _switch(collection: str, cast: str = "") -> Callable[[Door, Door, Change], None]:
    def write(_: Door, door: Door, change: Change) -> None:
        enabled = change.after["enabled"]
        body = {"isDisabled": not enabled} if collection == "applications" else {"accountEnabled": enabled}
        door.graph.change("PATCH", f"/v1.0/{collection}/{change.parameters['id']}{cast}", body)

    return write


def _delete(collection: str, cast: str = "") -> Callable[[Door, Door, Change], None]:
    return lambda _, door, change: door.graph.change("DELETE", f"/v1.0/{collection}/{change.parameters['id']}{cast}")


def switch(collection: str, cast: str = "") -> Action:
    """Enable or disable one object."""
    return Action((f"GET /{collection}/{{id}}",), (f"PATCH /{collection}/{{id}}{cast}",), _object(collection), _switch(collection, cast))


def removal(collection: str, cast: str = "") -> Action:
    """Delete one object."""
    return Action((f"GET /{collection}/{{id}}",), (f"DELETE /{collection}/{{id}}{cast}",), _object(collection), _delete(collection, cast))


def sessions(row: Row | None, since: datetime) -> State:
    """Return whether everything that a user had signed in with was ended since a moment (UTC)."""
    if row is None:
        return GONE
    valid_from, why = moment(row, "signInSessionsValidFromDateTime")
    # Nobody ever ended a session of theirs where Graph says null; times come in whole seconds.
    if valid_from is None and row.get("signInSessionsValidFromDateTime") is not None:
        raise RevocationError(f"Graph did not say since when sessions of {text(row, 'id')} count: {why}")
    return {
        "exists": True,
        "id": text(row, "id"),
        "sessions_ended_since_plan": valid_from is not None and valid_from >= since.replace(microsecond=0),
    }


SESSIONS_FIELDS = "id,signInSessionsValidFromDateTime"


def _look_sessions(door: Door, about: Parameters) -> State:
    row = found(door.graph, f"/v1.0/users/{about['id']}?$select={SESSIONS_FIELDS}")
    return sessions(row, datetime.fromisoformat(about["since"]))


def _end_sessions(_: Door, door: Door, change: Change) -> None:
    door.graph.change("POST", f"/v1.0/users/{change.parameters['id']}/revokeSignInSessions")


# ---- credentials ----


def _look_key(kind: str) -> Callable[[Door, Parameters], State]:
    def look(door: Door, about: Parameters) -> State:
        row = found(door.graph, f"/v1.0/{about['collection']}/{about['id']}?$select=id,{kind}")
        held = None if row is None else rows(row, kind)
        if row is not None and held is None:
            raise RevocationError(f"Graph did not say {kind} of {about['id']}")
        listed = [guid(each, "keyId") for each in held or ()]
        return {"exists": True, "id": about["id"], "key_id": about["key_id"]} if about["key_id"] in listed else GONE

    return look


def _remove_secret(_: Door, door: Door, change: Change) -> None:
    about = change.parameters
    door.graph.change("POST", f"/v1.0/{about['collection']}/{about['id']}/removePassword", {"keyId": about["key_id"]})


def _remove_certificate(reader: Door, door: Door, change: Change) -> None:
    """Write the list of certificates without one: `removeKey` takes a proof that only the owner of another key can give."""
    about = change.parameters
    path = f"/v1.0/{about['collection']}/{about['id']}"
    held = rows(reader.graph.get(f"{path}?$select=id,keyCredentials"), "keyCredentials")
    kept = [each for each in held or () if guid(each, "keyId") != about["key_id"]]
    if held is None or len(kept) != len(held) - 1:
        raise RevocationError(
            f"certificate {about['key_id']} is not listed once, so that it cannot be taken out alone; nothing was changed"
        )
    door.graph.change("PATCH", path, {"keyCredentials": kept})


def federated_state(row: Row | None) -> State:
    """Return whom a federated credential lets in."""
    if row is None:
        return GONE
    return {
        "exists": True, "id": text(row, "id"), "name": text(row, "name"), "issuer": text(row, "issuer"), "subject": text(row, "subject"),
        "audiences": sorted(texts(row, "audiences")),
    }  # fmt: skip


def _federated(about: Parameters) -> str:
    return f"/v1.0/applications/{about['id']}/federatedIdentityCredentials/{about['credential']}"


def _look_federated(door: Door, about: Parameters) -> State:
    return federated_state(found(door.graph, _federated(about)))


def _divert(_: Door, door: Door, change: Change) -> None:
    door.graph.change("PATCH", _federated(change.parameters), {"issuer": change.after["issuer"]})


def _delete_federated(_: Door, door: Door, change: Change) -> None:
    door.graph.change("DELETE", _federated(change.parameters))


# ---- cross-tenant access ----


def inbound(name: str, row: Row | None) -> State:
    """Return one inbound setting of a partner tenant; None: the default holds."""
    if row is None:
        return GONE
    said = inner(row, name)
    setting: State | None = None
    if said and name == "inboundTrust":
        setting = {key: flag(said, key) for key in NO_TRUST}
    elif said:
        setting = {part: _targets(inner(said, part)) if said.get(part) else None for part in BLOCKED}
    return {"exists": True, "tenant": text(row, "tenantId"), name: setting}


def _targets(said: Row) -> State:
    targets = [{"target": text(each, "target"), "targetType": text(each, "targetType")} for each in rows(said, "targets") or ()]
    return {"accessType": text(said, "accessType"), "targets": sorted(targets, key=str)}


def _setting(name: str) -> Action:
    def write(_: Door, door: Door, change: Change) -> None:
        said = change.after[name]
        body = said if said is None else {key: value for key, value in said.items() if value is not None}
        door.graph.change("PATCH", f"{PARTNERS}/{change.parameters['tenant']}", {name: body})

    path = "/policies/crossTenantAccessPolicy/partners/{id}"
    return Action(
        (f"GET {path}",), (f"PATCH {path}",), lambda door, about: inbound(name, found(door.graph, f"{PARTNERS}/{about['tenant']}")), write
    )


_SECRET, _CERTIFICATE = ("passwordCredentials", "POST /{collection}/{id}/removePassword"), ("keyCredentials", "PATCH /{collection}/{id}")
_FEDERATED_PATH = "/applications/{id}/federatedIdentityCredentials/{id}"

ACTIONS: Mapping[str, Action] = {
    "disable-service-principal": switch("servicePrincipals"),
    "disable-agent-identity": switch("servicePrincipals", _AGENT),
    "disable-application": switch("applications"),
    "disable-user": switch("users"),
    "delete-service-principal": removal("servicePrincipals"),
    "delete-agent-identity": removal("servicePrincipals", _AGENT),
    "delete-application": removal("applications"),
    "delete-user": removal("users"),
    "end-sessions": Action(("GET /users/{id}",), ("POST /users/{id}/revokeSignInSessions",), _look_sessions, _end_sessions),
    "remove-secret": Action(("GET /{collection}/{id}",), (_SECRET[1],), _look_key(_SECRET[0]), _remove_secret),
    "remove-certificate": Action(("GET /{collection}/{id}",), (_CERTIFICATE[1],), _look_key(_CERTIFICATE[0]), _remove_certificate),
    "divert-federated-credential": Action((f"GET {_FEDERATED_PATH}",), (f"PATCH {_FEDERATED_PATH}",), _look_federated, _divert),
    "delete-federated-credential": Action((f"GET {_FEDERATED_PATH}",), (f"DELETE {_FEDERATED_PATH}",), _look_federated, _delete_federated),
    **ASSIGNMENTS,
    "block-collaboration": _setting("b2bCollaborationInbound"),
    "block-direct-connect": _setting("b2bDirectConnectInbound"),
    "withdraw-inbound-trust": _setting("inboundTrust"),
}
"""By the name that a change has."""
