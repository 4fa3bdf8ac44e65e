"""Each action on one thing: the state that shows it, and the one call that sets it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from connectors.vault import records
from connectors.vault.api import ABSENT, DENIED, Api, Json, Refusal, each
from countersign.clock import instant
from countersign.revocation import RevocationDeniedError, RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from countersign.revocation import Change, State

GONE: State = {"exists": False}
_ELSEWHERE = "cannot lookup token in different namespace"
"""What OpenBao says in a child namespace of an accessor that nobody has any more."""
_OTHER_ROLE = "does not exist"
FOLDERS = {"approle": "role", "cert": "certs", "jwt": "role", "kubernetes": "role", "oidc": "role", "userpass": "users"}
"""Type of auth mount to where its roles or users are."""


def must(answer: Json | Refusal, call: str) -> Json:
    """Give the answer, or raise RevocationError for its refusal."""
    if isinstance(answer, Refusal):
        raise trouble(answer, call)
    return answer


def trouble(refusal: Refusal, call: str) -> RevocationError:
    """Turn a refusal into the error that says whether trying again may help."""
    if refusal.status == DENIED:
        return RevocationDeniedError(f"{call}: {refusal}", fix="docs/connectors/vault.md has the policies that reading and revoking need")
    return RevocationError(f"{call}: {refusal}")


def no_token(refusal: Refusal) -> bool:
    """Whether this is how the server says that no token has an accessor."""
    return refusal.gone or refusal.message.endswith(_ELSEWHERE)


def plain(name: str) -> str:
    """Give a name that stands in a path; raises RevocationError for one that would lead elsewhere."""
    if not name or name in {".", ".."} or "/" in name:
        raise RevocationError("a name that is no single part of a path is not used in a call", fix="look at it with the vault command line")
    return name


def role_path(kind: str, mount: str, name: str) -> str:
    """Name where a role or user is read, written and deleted."""
    within = "/".join(map(plain, mount.removesuffix("/").split("/")))
    return f"auth/{within}/{FOLDERS[kind]}/{plain(name)}"


def mount_there(api: Api, table: str, path: str) -> tuple[str, str] | None:
    """Give the (accessor, type) of what is mounted at a path now; None where nothing is."""
    about = must(api.get(table), f"GET {table}").get(path)
    return (str(about["accessor"]), str(about["type"])) if isinstance(about, dict) else None


def look(api: Api, action: str, parameters: Mapping[str, Any]) -> State:
    """Return the state of the one thing that an action is about. Raises RevocationError, ReadError."""
    return _LOOKS[action](api, parameters)


def call(change: Change) -> tuple[str, str, Json | None]:
    """Return the (method, path, body) that sets a change's thing to `after`."""
    return CALLS[change.action](change.parameters, change.after)


def is_own(action: str, parameters: Mapping[str, Any], about: Json) -> bool:
    """Whether an action would end the identity that `auth/token/lookup-self` tells of."""
    if action in {"disable-entity", "delete-entity", "delete-alias"}:
        return bool(parameters["entity"] == about.get("entity_id"))
    if action == "revoke-token":
        return bool(parameters["accessor"] == about.get("accessor"))
    if action in {"close-role", "delete-role", "end-tokens"}:
        return came_by(about, parameters["kind"], parameters["mount"], parameters["role"])
    return False


def came_by(token: Json, kind: str, mount: str, role: str) -> bool:
    """Whether a token was got by logging in as a role or user, by what its look-up says."""
    label = {"approle": "role_name", "cert": "cert_name", "userpass": "username"}.get(kind, "role")
    return str(token.get("path", "")).startswith(f"auth/{mount}") and records.words(token.get("meta")).get(label) == role


# Looking


def _entity(api: Api, parameters: Mapping[str, Any]) -> State:
    found = _entity_answer(api, parameters["entity"])
    return GONE if found is None else {"exists": True, "id": found["id"], "disabled": bool(found.get("disabled"))}


def _entity_answer(api: Api, entity: str) -> Json | None:
    answer = api.get(f"identity/entity/id/{plain(entity)}")
    if isinstance(answer, Refusal) and answer.empty:
        return None
    return must(answer, "GET identity/entity/id/*")


def _alias(api: Api, parameters: Mapping[str, Any]) -> State:
    found = _entity_answer(api, parameters["entity"])
    for alias in (found or {}).get("aliases") or ():
        if alias.get("id") == parameters["alias"]:
            return {"exists": True, "entity": parameters["entity"], "mount": alias.get("mount_accessor"), "name": alias.get("name")}
    return GONE


def role(api: Api, parameters: Mapping[str, Any]) -> State:
    """Look at a role or user: whose mount it is on, its role-id, the addresses that it may be used from, and a digest of the rest."""
    kind, mount, name = parameters["kind"], parameters["mount"], parameters["role"]
    there = mount_there(api, "sys/auth", mount)
    path = role_path(kind, mount, name)
    answer = None if there is None else api.get(path)
    if answer is None or (isinstance(answer, Refusal) and answer.empty):
        return GONE
    found = must(answer, f"GET {path}")
    bound = records.bound_by(kind)
    rest = json.dumps({name: value for name, value in found.items() if name != bound}, sort_keys=True)
    state: State = {"exists": True, "mount": None if there is None else there[0], bound: list(found.get(bound) or ())}
    if kind == "approle":
        state["role_id"] = must(api.get(f"{path}/role-id"), f"GET {path}/role-id").get("role_id")
    return state | {"rest_sha256": hashlib.sha256(rest.encode()).hexdigest()}


def _secret_id(api: Api, parameters: Mapping[str, Any]) -> State:
    path = role_path("approle", parameters["mount"], parameters["role"])
    answer = api.get(path)
    if isinstance(answer, Refusal) and answer.status == ABSENT:
        return GONE
    must(answer, f"GET {path}")
    answer = api.post(f"{path}/secret-id-accessor/lookup", {"secret_id_accessor": parameters["accessor"]})
    if isinstance(answer, Refusal) and (answer.status == ABSENT or answer.message.endswith(_OTHER_ROLE)):
        return GONE
    must(answer, f"POST {path}/secret-id-accessor/lookup")
    return {"exists": True, "accessor": parameters["accessor"]}


def _token(api: Api, parameters: Mapping[str, Any]) -> State:
    answer = api.post("auth/token/lookup-accessor", {"accessor": parameters["accessor"]})
    if isinstance(answer, Refusal) and no_token(answer):
        return GONE
    found = must(answer, "POST auth/token/lookup-accessor")
    return {"exists": True, "accessor": found["accessor"], "entity": found.get("entity_id") or None}


def _lease(api: Api, parameters: Mapping[str, Any]) -> State:
    answer = api.post("sys/leases/lookup", {"lease_id": parameters["lease"]})
    if isinstance(answer, Refusal) and answer.gone:
        return GONE
    return {"exists": True, "id": must(answer, "POST sys/leases/lookup")["id"]}


def _certificate(api: Api, parameters: Mapping[str, Any]) -> State:
    there = mount_there(api, "sys/mounts", parameters["mount"])
    if there is None or there[0] != parameters["mount_accessor"]:
        return GONE
    path = f"{parameters['mount']}cert/{plain(parameters['serial'])}"
    answer = api.get(path)
    if isinstance(answer, Refusal) and answer.empty:
        return GONE
    found = must(answer, f"GET {path}")
    return {"exists": True, "serial": parameters["serial"], "revoked": bool(found.get("revocation_time"))}


def _static_role(api: Api, parameters: Mapping[str, Any]) -> State:
    there = mount_there(api, "sys/mounts", parameters["mount"])
    if there is None or there[0] != parameters["mount_accessor"]:
        return GONE
    path = f"{parameters['mount']}static-roles/{plain(parameters['role'])}"
    answer = api.get(path)
    if isinstance(answer, Refusal) and answer.empty:
        return GONE
    found = must(answer, f"GET {path}")
    rotated = records.when(found.get("last_vault_rotation"))
    done = rotated is not None and rotated >= instant(parameters["since"])
    return {"exists": True, "username": found.get("username"), "db_name": found.get("db_name"), "rotated_since_plan": done}


def _tokens_ended(api: Api, parameters: Mapping[str, Any]) -> State:
    """Say whether a role gives out no more tokens and none that it gave out is left, whichever these are: they come and go."""
    return {"exists": True, "tokens_ended": shut(api, parameters) and not tokens_of(api, parameters)}


def shut(api: Api, parameters: Mapping[str, Any]) -> bool:
    """Whether nobody can log in by a role, because it is closed or not there. Raises RevocationError, ReadError."""
    state, kind = role(api, parameters), parameters["kind"]
    return state == GONE or records.closed(kind, state)


def tokens_of(api: Api, parameters: Mapping[str, Any]) -> list[str]:
    """Give the accessors of the tokens that a role gave out, less those of the entities in `besides`. Raises RevocationError, ReadError."""
    accessors = api.keys("auth/token/accessors")
    if isinstance(accessors, Refusal):
        raise trouble(accessors, "LIST auth/token/accessors")
    found = []
    for batch in each(accessors, lambda accessor: api.post("auth/token/lookup-accessor", {"accessor": accessor})):
        for accessor, answer in batch:
            if isinstance(answer, Refusal):
                if not no_token(answer):
                    raise trouble(answer, "POST auth/token/lookup-accessor")
            elif answer.get("entity_id") not in parameters["besides"] and came_by(
                answer, parameters["kind"], parameters["mount"], parameters["role"]
            ):
                found.append(accessor)
    return found


_LOOKS: Mapping[str, Callable[[Api, Mapping[str, Any]], State]] = {
    "close-role": role,
    "delete-alias": _alias,
    "delete-entity": _entity,
    "delete-role": role,
    "destroy-secret-id": _secret_id,
    "disable-entity": _entity,
    "end-tokens": _tokens_ended,
    "revoke-certificate": _certificate,
    "revoke-lease": _lease,
    "revoke-token": _token,
    "rotate-static-role": _static_role,
}


# Writing


def _set_entity(parameters: Mapping[str, Any], after: State) -> tuple[str, str, Json | None]:
    return "POST", f"identity/entity/id/{plain(parameters['entity'])}", {"disabled": after["disabled"]}


def _set_bounds(parameters: Mapping[str, Any], after: State) -> tuple[str, str, Json | None]:
    kind = parameters["kind"]
    bound = records.bound_by(kind)
    # Without its type, a jwt role would be written as one for oidc, and refused; without the way its claims are compared, as `string`.
    typed = {name: parameters[name] for name in ("role_type", "bound_claims_type")} if kind in {"jwt", "oidc"} else {}
    return "POST", role_path(kind, parameters["mount"], parameters["role"]), {**typed, bound: after[bound]}


def _destroy(parameters: Mapping[str, Any], _after: State) -> tuple[str, str, Json | None]:
    path = role_path("approle", parameters["mount"], parameters["role"])
    return "POST", f"{path}/secret-id-accessor/destroy", {"secret_id_accessor": parameters["accessor"]}


CALLS: Mapping[str, Callable[[Mapping[str, Any], State], tuple[str, str, Json | None]]] = {
    "close-role": _set_bounds,
    "delete-alias": lambda p, _: ("DELETE", f"identity/entity-alias/id/{plain(p['alias'])}", None),
    "delete-entity": lambda p, _: ("DELETE", f"identity/entity/id/{plain(p['entity'])}", None),
    "delete-role": lambda p, _: ("DELETE", role_path(p["kind"], p["mount"], p["role"]), None),
    "destroy-secret-id": _destroy,
    "disable-entity": _set_entity,
    # One call for each, see `revoking.VaultHand.write`.
    "end-tokens": lambda _, __: ("POST", "auth/token/revoke-accessor", None),
    "revoke-certificate": lambda p, _: ("POST", f"{p['mount']}revoke", {"serial_number": p["serial"]}),
    # Waits for the engine, so that a database that does not answer is a refusal and no promise.
    "revoke-lease": lambda p, _: ("POST", "sys/leases/revoke", {"lease_id": p["lease"], "sync": True}),
    "revoke-token": lambda p, _: ("POST", "auth/token/revoke-accessor", {"accessor": p["accessor"]}),
    "rotate-static-role": lambda p, _: ("POST", f"{p['mount']}rotate-role/{plain(p['role'])}", {}),
}
