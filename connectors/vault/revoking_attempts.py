"""Trying an old token, secret-id or password as its owner would: the proof that it is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from connectors.vault import records
from connectors.vault.api import DENIED, Api, Json, Refusal, each
from connectors.vault.revoking_states import must, role_path
from connectors.vault.visit import PROVIDER
from countersign.identity import uid as uid_of
from countersign.revocation import Tried

if TYPE_CHECKING:
    from countersign.reading import Scope

_BAD_REQUEST = 400
_OTHER_ADDRESSES = "failed to verify subset relationship"
"""How a closed role refuses, with status 500, a secret-id that is bound to addresses of its own."""
_FROM_HERE = "CIDR"


@dataclass(frozen=True, slots=True)
class _Door:
    """Where somebody logs in with a secret, and whether it is shut to all."""

    mount: str
    name: str
    kind: str
    role: Json
    """What the server says of the role or user; empty where it is not there any more."""


def attempt(reader: Api, outside: Api, scope: Scope, uid: str, secret: str) -> Tried:
    """Try a secret; `reader` finds where it belongs, `outside` calls as nobody. Raises RevocationError, ReadError.

    A login that is let in makes a token, which is revoked at once.
    """
    tried = _attempt(reader, outside, scope, uid, secret)
    return replace(tried, said=tried.said.replace(secret.strip(), "…")) if secret.strip() else tried


def _attempt(reader: Api, outside: Api, scope: Scope, uid: str, secret: str) -> Tried:
    kind, _, native = uid.removeprefix(uid_of(PROVIDER, scope.name, "", "")[:-1]).partition("/")
    if not secret or not secret.isascii() or not secret.strip().isprintable():
        return Tried(None, "none", "what was given is no token, secret-id or password that could be sent")
    if kind == "token":
        return _token(outside, native, secret.strip())
    if kind in {"secret-id", "approle"}:
        return _secret_id(reader, outside, kind, native, secret)
    if kind in {"user", "entity"}:
        return _password(reader, outside, kind, native, secret)
    return Tried(None, "none", f"there is no call that tries a {kind or 'thing without a kind'} without using it")


def _token(outside: Api, accessor: str, secret: str) -> Tried:
    owner, call = outside.within(token=secret, namespace=outside.namespace), "GET auth/token/lookup-self"
    answer = owner.get("auth/token/lookup-self")
    if not isinstance(answer, Refusal):
        if answer.get("accessor") != accessor:
            return Tried(None, call, "it is another token than the one that was asked about")
        return Tried(refused=False, call=call, said="accepted")
    if answer.status != DENIED:
        return Tried(None, call, str(answer))
    # A good token may lack the right to look itself up. This one call needs a good token and no right at all.
    call = "GET sys/internal/ui/mounts"
    second = owner.get("sys/internal/ui/mounts")
    if not isinstance(second, Refusal):
        return Tried(refused=False, call=call, said="accepted, though it may not look itself up")
    return Tried(True if second.status == DENIED else None, call, str(second))


def _secret_id(reader: Api, outside: Api, kind: str, native: str, secret: str) -> Tried:
    given = _given(secret)
    if given is None:
        return Tried(None, "none", "what was given begins like JSON and has no `secret_id`")
    door = _approle(reader, native) if kind == "approle" else _holder(reader, native)
    mount = door.mount if door else f"{given.get('mount', 'approle').strip('/')}/"
    role_id = given.get("role_id")
    if role_id is None and door and door.role:
        role_id = must(reader.get(f"{role_path('approle', mount, door.name)}/role-id"), "GET role-id").get("role_id")
    if not role_id:
        why = 'its role is not there any more: give it as JSON, {"role_id": ..., "secret_id": ...}, as its owner has it'
        return Tried(None, f"POST auth/{mount}login", why)
    return _login(outside, f"auth/{mount}login", {"role_id": role_id, "secret_id": given["secret_id"]}, door)


def _given(secret: str) -> dict[str, str] | None:
    if not secret.lstrip().startswith("{"):
        return {"secret_id": secret.strip()}
    try:
        read = json.loads(secret)
    except ValueError:
        return None
    return {name: str(value) for name, value in read.items()} if isinstance(read, dict) and read.get("secret_id") else None


def _approle(reader: Api, native: str) -> _Door:
    mount, _, name = native.rpartition("/")
    return _door(reader, "approle", f"{mount or 'approle'}/", name)


def _holder(reader: Api, accessor: str) -> _Door | None:
    """Find the role whose secret-id has an accessor; None where no role lists it any more."""
    for mount, about in sorted(must(reader.get("sys/auth"), "GET sys/auth").items()):
        if isinstance(about, dict) and about.get("type") == "approle":
            base = f"auth/{mount}role"
            names = reader.keys(base)
            listed = each([] if isinstance(names, Refusal) else names, partial(_secret_ids, reader, base))
            for name, keys in (pair for batch in listed for pair in batch):
                if not isinstance(keys, Refusal) and accessor in keys:
                    return _door(reader, "approle", mount, name)
    return None


def _secret_ids(reader: Api, base: str, name: str) -> list[str] | Refusal:
    return reader.keys(f"{base}/{name}/secret-id")


def _door(reader: Api, kind: str, mount: str, name: str) -> _Door:
    answer = reader.get(role_path(kind, mount, name))
    return _Door(mount, name, kind, {} if isinstance(answer, Refusal) else answer)


def _password(reader: Api, outside: Api, kind: str, native: str, secret: str) -> Tried:
    if kind == "user":
        mount, _, name = native.rpartition("/")
        mount = f"{mount}/"
    else:
        answer = reader.get(f"identity/entity/id/{native}")
        aliases = [] if isinstance(answer, Refusal) else answer.get("aliases") or []
        logins = [(alias["mount_path"].removeprefix("auth/"), alias["name"]) for alias in aliases if alias.get("mount_type") == "userpass"]
        if len(logins) != 1:
            return Tried(None, "none", f"the entity has {len(logins)} logins with a password, so it is not known which this would be")
        mount, name = logins[0]
    return _login(outside, f"auth/{mount}login/{name}", {"password": secret}, _door(reader, "userpass", mount, name))


def _login(outside: Api, path: str, body: Json, door: _Door | None) -> Tried:
    answer, call = outside.once("POST", path, body, part="auth"), f"POST {path}"
    if not isinstance(answer, Refusal):
        token = str(answer.get("client_token") or "")
        ended = outside.within(token=token, namespace=outside.namespace).once("POST", "auth/token/revoke-self", {}) if token else {}
        left = "; the token that it gave could not be revoked, and lives until it ends" if isinstance(ended, Refusal) else ""
        return Tried(refused=False, call=call, said=f"accepted{left}")
    if _OTHER_ADDRESSES not in answer.message and answer.status not in {_BAD_REQUEST, DENIED}:
        return Tried(None, call, str(answer))
    bound = door is not None and bool(door.role.get(records.bound_by(door.kind))) and not records.closed(door.kind, door.role)
    if bound or (_FROM_HERE in answer.message and not (door and records.closed(door.kind, door.role))):
        return Tried(None, call, f"it may be used from certain addresses only, so that a refusal here tells nothing: {answer}")
    return Tried(refused=True, call=call, said=str(answer))
