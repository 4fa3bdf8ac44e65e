"""Everything of a Vault or OpenBao server that revoking could touch, as plain JSON: for comparing a whole server before and after."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOVING = frozenset({"ttl", "last_update_time", "last_updated_time", "request_id"})
"""What moves without anybody's changing anything, or with any change of another field."""
_TIMEOUT_S = 30
_OK = 200
_NONE = (204, 404)
_FOLDERS = {"cert": "certs", "jwt": "role", "kubernetes": "role", "oidc": "role", "userpass": "users"}
_NOT_TOKENS = ("sys/leases/lookup/auth/",)


def snapshot(address: str, root_token: str) -> dict[str, Any]:
    """Return the state of every namespace by path: logins, entities, groups, tokens, leases, policies, and what the engines keep.

    No secret is in it: no KV data, secret-id, token or password. Two snapshots are equal where nobody changed anything between.
    `address`: of a server without TLS. Raises CountersignError where the token may not read something.
    """
    # Not requests: there are some hundred calls, and each would cost as much here as at the server.
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=_TIMEOUT_S)) as connection:
        found: dict[str, Any] = {}
        rest = [""]
        while rest:
            namespace = rest.pop()
            one = _Namespace(connection, root_token, namespace)
            found[namespace or "/"] = one.state()
            rest.extend(f"{namespace}{child}" for child in one.keys("sys/namespaces"))
        return found


class _Namespace:
    def __init__(self, connection: HTTPConnection, token: str, namespace: str) -> None:
        self._connection = connection
        self._headers = {"X-Vault-Token": token, **({"X-Vault-Namespace": namespace} if namespace else {})}

    def state(self) -> dict[str, Any]:
        methods, engines = self._data("GET", "sys/auth"), self._data("GET", "sys/mounts")
        return {
            "methods": {path: self._method(path, about) for path, about in sorted(methods.items())},
            "engines": {path: self._engine(path, about) for path, about in sorted(engines.items())},
            "entities": self._each("identity/entity/id"),
            "groups": self._each("identity/group/id"),
            "tokens": {
                one: self._data("POST", "auth/token/lookup-accessor", {"accessor": one}) for one in self.keys("auth/token/accessors")
            },
            "leases": {
                one: self._data("POST", "sys/leases/lookup", {"lease_id": one}) for one in sorted(self._leases("sys/leases/lookup/"))
            },
            "policies": self._each("sys/policies/acl"),
        }

    def keys(self, path: str) -> list[str]:
        """List a folder; empty where there is none."""
        return sorted(self._data("LIST", path).get("keys") or ())

    def _each(self, folder: str) -> dict[str, Any]:
        return {name: self._data("GET", f"{folder}/{name}") for name in self.keys(folder)}

    def _looked(self, path: str, field: str, values: list[str]) -> dict[str, Any]:
        return {value: self._data("POST", path, {field: value}) for value in values}

    def _method(self, path: str, about: dict[str, Any]) -> dict[str, Any]:
        kind, base = about["type"], f"auth/{path}"
        state: dict[str, Any] = {"type": kind, "accessor": about["accessor"]}
        if kind == "approle":
            state["roles"] = self._each(f"{base}role")
            for name in state["roles"]:
                at = f"{base}role/{name}"
                secret_ids = self._looked(f"{at}/secret-id-accessor/lookup", "secret_id_accessor", self.keys(f"{at}/secret-id"))
                state["roles"][name] |= {**self._data("GET", f"{at}/role-id"), "secret_ids": secret_ids}
        elif kind in _FOLDERS:
            state["roles"] = self._each(base + _FOLDERS[kind])
        return state

    def _engine(self, path: str, about: dict[str, Any]) -> dict[str, Any]:
        kind = about["type"]
        state: dict[str, Any] = {"type": kind, "accessor": about["accessor"]}
        if kind == "kv":
            state["secrets"] = dict(self._tree(path)) if (about.get("options") or {}).get("version") == "2" else "not read"
        elif kind == "pki":
            state["certificates"] = {serial: self._data("GET", f"{path}cert/{serial}") for serial in self.keys(f"{path}certs")}
            state["roles"] = self._each(f"{path}roles")
        elif kind == "database":
            state["static-roles"] = self._each(f"{path}static-roles")
            state["roles"] = self._each(f"{path}roles")
        return state

    def _tree(self, mount: str, folder: str = "") -> Iterator[tuple[str, Any]]:
        for key in self.keys(f"{mount}metadata/{folder}"):
            if key.endswith("/"):
                yield from self._tree(mount, folder + key)
            else:
                yield folder + key, self._data("GET", f"{mount}metadata/{folder}{key}")

    def _leases(self, path: str) -> Iterator[str]:
        if path in _NOT_TOKENS:
            return
        for key in self.keys(path):
            if key.endswith("/"):
                yield from self._leases(path + key)
            else:
                yield (path + key).removeprefix("sys/leases/lookup/")

    def _data(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        self._connection.request(method, f"/v1/{quote(path)}", json.dumps(body) if body else None, self._headers)
        answer: HTTPResponse = self._connection.getresponse()
        said = answer.read()
        if answer.status in _NONE:
            return {}
        if answer.status != _OK:
            raise CountersignError(f"the snapshot of the sandbox Vault is not whole: {method} {path} was answered with {answer.status}")
        data = _plain(json.loads(said).get("data") or {})
        return data if isinstance(data, dict) else {}


def _plain(value: Any) -> Any:  # noqa: ANN401 - straight from JSON
    """Leave out what moves by itself; null and an empty list are one, since the server keeps whichever was written last."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in sorted(value.items()) if name not in _MOVING}
    return [_plain(part) for part in value] if isinstance(value, list) else [] if value is None else value
