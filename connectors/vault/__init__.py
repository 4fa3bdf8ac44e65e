"""HashiCorp Vault and OpenBao: who can log in, with what, how privileged, and how old the secrets are; never a secret itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from connectors.vault import engines, identities, records
from connectors.vault.api import ABSENT, Api, Json, Refusal
from connectors.vault.grants import Grants
from connectors.vault.identities import Known
from connectors.vault.login import Login, sign_in
from connectors.vault.permissions import PERMISSIONS, policy_hcl
from connectors.vault.provenance import CALLS
from connectors.vault.records import Mount
from connectors.vault.visit import PROVIDER, Visit
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity, Provenance, Record
from countersign.reading import Probe, ReadRequest, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from countersign.programme import Source, VaultSource

__all__ = ["PERMISSIONS", "PROVIDER", "policy_hcl", "probe", "read", "scopes"]

_SELF = "auth/token/lookup-self"
_ENGINES: dict[str, Callable[[Visit, Mount], Iterator[Record]]] = {
    "kv": engines.secrets,
    "database": engines.database_roles,
    "pki": engines.certificates,
}
_BUILT_IN = frozenset({"cubbyhole", "identity", "system", "ns_cubbyhole", "ns_identity", "ns_system", "token", "ns_token"})


def scopes(source: Source) -> tuple[Scope, ...]:
    """Name the configured namespace and each child named beside it; makes no call."""
    vault = cast("VaultSource", source)
    home = (vault.namespace or "").strip("/")
    children = tuple(child.strip("/") for child in vault.namespaces)
    return (
        Scope(vault.name, PROVIDER, vault.name, {"namespace": home}),
        *(Scope(vault.name, PROVIDER, f"{vault.name}/{child}", {"namespace": f"{home}/{child}".strip("/")}) for child in children),
    )


def read(request: ReadRequest, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[Record]:
    """Yield the records of one namespace; `sleep` waits between tries when the server is busy.

    Raises ScopeDeniedError when the login or every single operation is refused, ReadError when the server does not answer or
    the namespace does not exist.
    """
    held: list[Record] = []
    allowed = False
    for record in _read(request, sleep):
        # A namespace where nothing is allowed is one refusal, not a row per operation.
        allowed = allowed or not _is_refusal(record)
        if allowed:
            yield from held
            held.clear()
            yield record
        else:
            held.append(record)
    if not allowed:
        raise ScopeDeniedError(request.scope.name, "every operation was denied; docs/connectors/vault.md has the policy that reading needs")


def _is_refusal(record: Record) -> bool:
    return isinstance(record, Coverage) and (record.state == "denied" or record.operation == f"GET {_SELF}")


def _read(request: ReadRequest, sleep: Callable[[float], None]) -> Iterator[Record]:
    source = cast("VaultSource", request.source)
    outside = Api(source.address, token="", namespace=source.namespace, ca=source.ca, sleep=sleep)
    login, myself = _myself(source, outside)
    if isinstance(myself, Refusal) and myself.busy:
        raise ReadError(_SELF, f"the server is sealed, failing or too busy: {myself}")
    visit = _visit(request, outside.within(token=login.token, namespace=request.scope.detail["namespace"] or None), login, myself)
    whoami = visit.operation(f"GET {_SELF}")
    whoami.settle(myself)
    yield whoami.coverage()

    at, known, grants = request.now(), Known(), Grants(visit)
    kinds: set[str] = set()
    for record in _everything(visit, known, grants):
        if isinstance(record, Identity | Credential):
            kinds.add(record.kind)
        yield record
    yield from grants.coverage()
    for kind, field, call in CALLS:
        if kind in kinds:
            yield Provenance(provider=PROVIDER, scope=visit.scope, kind=kind, field=field, call=call, at=at)


def _everything(visit: Visit, known: Known, grants: Grants) -> Iterator[Record]:
    methods, rows = _mounts(visit, "sys/auth", ("approle", "secret-id", "user"), frozenset({"approle", "userpass"}))
    yield from rows
    for mount in methods:
        if mount.kind == "approle":
            yield from identities.approles(visit, mount, known)
    yield from identities.entities(visit, known, grants)
    for mount in methods:
        if mount.kind == "userpass":
            yield from identities.users(visit, mount, known, grants)
    yield from identities.tokens(visit, known, grants)
    held, rows = _mounts(visit, "sys/mounts", ("mount", "secret", "database-role", "certificate"), frozenset(_ENGINES))
    yield from rows
    for mount in held:
        yield records.mount_identity(visit, mount, visit.now())
        yield from _ENGINES[mount.kind](visit, mount)


def _mounts(visit: Visit, path: str, covers: tuple[str, ...], readable: frozenset[str]) -> tuple[list[Mount], list[Record]]:
    """Read a table of mounts; returns those whose type is read, and the records that say so."""
    operation = visit.operation(f"GET {path}", *covers)
    answer = visit.api.get(path)
    if isinstance(answer, Refusal):
        if answer.status == ABSENT:
            raise ReadError(path, f"there is no such namespace: {answer.message}")
        operation.refuse(answer)
        return [], [operation.coverage()]
    operation.answered(len(answer))
    mounts = []
    for name, about in sorted(answer.items()):
        reason = _unreadable(about, readable)
        if reason is None:
            mounts.append(Mount(name, about["type"], about["accessor"]))
        elif about["type"] not in _BUILT_IN:
            operation.dropped[reason] += 1
    seen = operation.observe([{"path": name, **records.pick(about, ("type", "accessor", "options"))} for name, about in answer.items()])
    return mounts, [seen, operation.coverage()]


def _unreadable(about: Json, readable: Container[str]) -> str | None:
    """Say why a mount is not read; None when it is."""
    if about["type"] not in readable:
        return f"type {about['type']} is not read"
    if about["type"] == "kv" and (about.get("options") or {}).get("version") != "2":
        return "kv version 1 keeps no metadata"
    return None


def _myself(source: VaultSource, outside: Api) -> tuple[Login, Json | Refusal]:
    """Sign in and ask who we are; a token that this process got earlier may have ended, so it tries a fresh one once."""
    login = sign_in(source, outside)
    answer = outside.within(token=login.token, namespace=source.namespace).get(_SELF)
    if isinstance(answer, Refusal) and login.made_here:
        login = sign_in(source, outside, afresh=True)
        answer = outside.within(token=login.token, namespace=source.namespace).get(_SELF)
    return login, answer


def _visit(request: ReadRequest, api: Api, login: Login, myself: Json | Refusal) -> Visit:
    about: Json = {} if isinstance(myself, Refusal) else myself
    entity = about.get("entity_id") or None
    name = about.get("display_name") or "not known: auth/token/lookup-self was denied"
    return Visit(
        api=api,
        source=request.scope.source,
        scope=request.scope.name,
        now=request.now,
        caller=f"{name} (entity {entity})" if entity else str(name),
        own_accessor=about.get("accessor") or None,
        own_entity=entity,
        own_session=login.made_here,
    )


def probe(source: Source) -> Iterator[Probe]:
    """Yield whether the login and each listing would work in each namespace; changes nothing."""
    vault = cast("VaultSource", source)
    for scope in scopes(source):
        try:
            outside = Api(vault.address, token="", namespace=vault.namespace, ca=vault.ca)
            login, myself = _myself(vault, outside)
            yield _probed(scope, _SELF, myself, str(myself.get("display_name")) if not isinstance(myself, Refusal) else "")
            api = outside.within(token=login.token, namespace=scope.detail["namespace"] or None)
            yield from _probe_reads(scope, api)
        except ReadError as error:
            yield Probe(scope.name, error.operation, ok=False, detail=error.message)


def _probe_reads(scope: Scope, api: Api) -> Iterator[Probe]:
    listings = ["auth/token/accessors", "identity/entity/id"]
    methods = {"approle": "role", "userpass": "users"}
    held = {"kv": "metadata", "database": "static-roles", "pki": "certs"}
    for table, parts in (("sys/auth", methods), ("sys/mounts", held)):
        answer = api.get(table)
        yield _probed(scope, table, answer)
        prefix = "auth/" if table == "sys/auth" else ""
        if not isinstance(answer, Refusal):
            listings += [f"{prefix}{path}{parts[about['type']]}" for path, about in sorted(answer.items()) if not _unreadable(about, parts)]
    for path in listings:
        yield _probed(scope, f"LIST {path}", api.first(path))


def _probed(scope: Scope, operation: str, answer: object, who: str = "") -> Probe:
    if not isinstance(answer, Refusal):
        return Probe(scope.name, operation, ok=True, detail=who)
    return Probe(scope.name, operation, ok=False, detail=f"{answer}; add the rule for it from docs/connectors/vault.md")
