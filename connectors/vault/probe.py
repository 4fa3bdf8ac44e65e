"""What `countersign doctor` tries: the smallest call of each kind, per mount, with the rule that a refusal asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from connectors.vault import records
from connectors.vault.api import ABSENT, DENIED, NOT_ALLOWED, Api, Json, Refusal
from connectors.vault.audit import device_of
from connectors.vault.audit_log import files_of
from connectors.vault.login import myself
from connectors.vault.permissions import rule
from connectors.vault.scopes import scopes
from countersign.errors import ReadError
from countersign.reading import Probe, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.programme import Source, VaultSource

_MADE_UP = "countersign-doctor"
"""Asked for where a listing is empty: what may be read and is not there answers 404, what may not be read 403."""
_ELSEWHERE = "cannot lookup token in different namespace"
"""What OpenBao says in a child namespace to an accessor that nobody has."""
_ROLES = ("list role/", "read role/+", "read config")
METHODS: Mapping[str, tuple[str, ...]] = {
    "approle": ("list role/", "read role/+", "read role/+/role-id", "list role/+/secret-id/", "update role/+/secret-id-accessor/lookup"),
    "cert": ("list certs/", "read certs/+"),
    "jwt": _ROLES,
    "kubernetes": _ROLES,
    "oidc": _ROLES,
    "userpass": ("list users/", "read users/+"),
}
"""Type of auth mount to what is tried on it, as lines of `PERMISSIONS` less their mount."""
ENGINES: Mapping[str, tuple[str, ...]] = {
    "database": ("list static-roles/", "read static-roles/+"),
    "kv": ("list metadata/*", "read metadata/*", "scan detailed-metadata/*"),
    "pki": ("list certs/", "read cert/+", "list certs/detailed/", "list certs/revoked/"),
}
SERVER = ("list auth/token/accessors/", "update auth/token/lookup-accessor", "list identity/entity/id/", "read identity/entity/id/+")
OTHERS = ("read identity/group/id/+", "read sys/policies/acl/+", "update identity/lookup/entity")
LEASES = ("list sys/leases/lookup/", "update sys/leases/lookup")
_SHORTCUTS = frozenset({"scan detailed-metadata/*", "list certs/detailed/", "list certs/revoked/"})
"""What a server may lack, or its policy leave out: the same is then read one by one."""
_SUDO = frozenset({"auth/token/accessors/", "sys/leases/lookup/", "sys/audit"})
_AT_ROOT = ("sys/audit", "sys/ha-status")
_BODIES = {"auth/token/lookup-accessor": "accessor", "identity/lookup/entity": "id", "sys/leases/lookup": "lease_id"}
_VERBS = {"list": "LIST", "read": "GET", "scan": "SCAN", "update": "POST"}


def probe(source: Source) -> Iterator[Probe]:
    """Yield whether the login and each kind of call would work in each namespace; changes nothing."""
    vault = cast("VaultSource", source)
    for scope in scopes(source):
        try:
            outside = Api(vault.address, token="", namespace=vault.namespace, ca=vault.ca)
            login, about = myself(vault, outside)
            who = "" if isinstance(about, Refusal) else str(about.get("display_name"))
            yield _said(scope, "auth/token/lookup-self", about, ["read auth/token/lookup-self"], who)
            yield from _Doctor(vault, scope, outside.within(token=login.token, namespace=scope.detail["namespace"] or None)).tries()
        except ReadError as error:
            yield Probe(scope.name, error.operation, ok=False, detail=error.message)


class _Doctor:
    """One namespace under examination."""

    def __init__(self, source: VaultSource, scope: Scope, api: Api) -> None:
        self._source, self._scope, self._api = source, scope, api
        # Rules for a child namespace stand in the policy of the namespace that the login is in.
        self._prefix = scope.name.removeprefix(source.name).strip("/")
        self._names: dict[str, str] = {}

    def tries(self) -> Iterator[Probe]:
        """Yield every try."""
        for table, steps in (("sys/auth", METHODS), ("sys/mounts", ENGINES)):
            answer = self._api.get(table)
            if isinstance(answer, Refusal) and answer.status == ABSENT:
                yield Probe(self._scope.name, table, ok=False, detail=f"there is no such namespace: {answer.message}")
                return
            yield self._say(table, answer, [f"read {table}"])
            if not isinstance(answer, Refusal):
                yield from self._mounts(answer, steps, "auth/" if table == "sys/auth" else "")
        for line in (*SERVER, *OTHERS, *(LEASES if self._source.leases else ())):
            yield self._try("", line)
        if not self._source.leases:
            yield Probe(self._scope.name, "LIST sys/leases/lookup", ok=True, detail="left out by `leases: false`")
        if self._source.audit_log is not None:
            yield from self._audit(Path(self._source.audit_log))

    def _mounts(self, table: Json, steps: Mapping[str, tuple[str, ...]], prefix: str) -> Iterator[Probe]:
        for path, about in sorted(table.items()):
            kind = about.get("type") if isinstance(about, dict) else None
            if kind in records.BUILT_IN or kind is None:
                continue
            if reason := records.unread_type(about, steps):
                yield Probe(self._scope.name, f"{prefix}{path}", ok=True, detail=f"left out: {reason}")
                continue
            for line in steps[kind]:
                yield self._try(prefix + path, line)

    def _try(self, mount: str, line: str) -> Probe:
        """Make the call that a line of permission is for: with a name that a listing gave, else with one that nobody has."""
        capability, path = line.split(" ", 1)
        folder, one, rest = ("metadata", "/+", "") if line == "read metadata/*" else path.removesuffix("*").rstrip("/").partition("/+")
        listing = mount + {"cert": "certs"}.get(folder, folder)
        asked = f"{mount}{folder}{'/' + self._names.get(listing, _MADE_UP) if one else ''}{rest}"
        answer: object
        if capability == "list":
            answer = self._api.first(asked)
            if not one and not isinstance(answer, Refusal):
                self._names[listing] = next((key for key in answer.keys if not key.endswith("/")), _MADE_UP)
        elif capability == "scan":
            answer = self._api.scan(f"{asked}/{_MADE_UP}/")
        elif capability == "update":
            field = _BODIES.get(path, "secret_id_accessor")
            answer = self._api.post(asked, {field: self._names.get("auth/token/accessors", _MADE_UP) if field == "accessor" else _MADE_UP})
        else:
            answer = self._api.get(asked)
        return self._say(f"{_VERBS[capability]} {asked}", answer, _lines(mount, line), shortcut=line in _SHORTCUTS)

    def _audit(self, path: Path) -> Iterator[Probe]:
        try:
            with files_of(path)[0].path.open("rb"):
                yield Probe(self._scope.name, "READ audit log", ok=True, detail=path.name)
        except OSError as error:
            yield Probe(self._scope.name, "READ audit log", ok=False, detail=f"{path.name}: {error.strerror or type(error).__name__}")
        root = self._api.at_root()
        table = root.get("sys/audit")
        yield self._say("GET sys/audit", table, ["read sys/audit", "sudo sys/audit"])
        yield self._say("GET sys/ha-status", root.get("sys/ha-status"), ["read sys/ha-status"])
        device = None if isinstance(table, Refusal) else device_of(table, path)
        if isinstance(device, str):
            yield Probe(self._scope.name, "READ audit log", ok=False, detail=device)
        else:
            hashing = f"sys/audit-hash/{device.name if device else 'file'}"
            yield self._say(f"POST {hashing}", root.post(hashing, {"input": _MADE_UP}), ["update sys/audit-hash/+"])

    def _say(self, operation: str, answer: object, lines: list[str], *, shortcut: bool = False) -> Probe:
        prefix = "" if operation.split(" ", 1)[-1].startswith(_AT_ROOT) else self._prefix
        said = _said(self._scope, operation, answer, lines, prefix=prefix)
        if shortcut and isinstance(answer, Refusal) and answer.status in (DENIED, ABSENT, NOT_ALLOWED) and not answer.empty:
            return Probe(self._scope.name, operation, ok=True, detail=f"not used, the same is read one by one: {said.detail or answer}")
        return said


def _lines(mount: str, line: str) -> list[str]:
    """Write a line of permission for its mount, with the sudo that it needs; `+` stands for a mount of one segment only."""
    capability, path = line.split(" ", 1)
    within, name = ("auth/", mount.removeprefix("auth/")) if mount.startswith("auth/") else ("", mount)
    if mount:
        path = f"{within}{'+/' if name.count('/') == 1 else name}{path}"
    return [f"{capability} {path}", *([f"sudo {path}"] if path in _SUDO else [])]


def _said(scope: Scope, operation: str, answer: object, lines: list[str], who: str = "", prefix: str = "") -> Probe:  # noqa: PLR0913, PLR0917
    if not isinstance(answer, Refusal):
        return Probe(scope.name, operation, ok=True, detail=who)
    other = answer.message.endswith(_ELSEWHERE)
    if answer.gone or answer.empty or other or not (answer.status == DENIED or answer.busy):
        return Probe(scope.name, operation, ok=True, detail="allowed; there is nothing to read")
    if answer.busy:
        return Probe(scope.name, operation, ok=False, detail=str(answer))
    missing = " ".join(rule(lines, prefix).split())
    return Probe(scope.name, operation, ok=False, detail=f"{answer}; the policy lacks {missing}")
