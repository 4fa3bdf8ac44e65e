"""HashiCorp Vault and OpenBao: who can log in, with what, how privileged, and how old the secrets are; never a secret itself."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, cast

from connectors.vault import audit, engines, identities, records, roles
from connectors.vault.api import ABSENT, Api, Json, Refusal
from connectors.vault.grants import Grants
from connectors.vault.identities import Known
from connectors.vault.leases import Leases
from connectors.vault.login import Login, myself
from connectors.vault.permissions import PERMISSIONS, REVOKE_PERMISSIONS, permission_files, policy_hcl, revoke_hcl
from connectors.vault.probe import probe
from connectors.vault.provenance import CALLS
from connectors.vault.scopes import scopes
from connectors.vault.visit import PROVIDER, Visit
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity, Observation, Provenance, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.vault.records import Mount
    from countersign.programme import VaultSource
    from countersign.reading import ReadRequest

__all__ = [
    "PERMISSIONS",
    "PROVIDER",
    "REVOKE_PERMISSIONS",
    "permission_files",
    "policy_hcl",
    "probe",
    "read",
    "revoke_hcl",
    "scopes",
]

_SELF = "auth/token/lookup-self"
_ENGINES: dict[str, Callable[[Visit, Mount], Iterator[Record]]] = {
    "kv": engines.secrets,
    "database": engines.database_roles,
    "pki": engines.certificates,
}


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
    """Whether a record shows nothing that the server let us read: a denial, who we are, a listing left out, or our own file."""
    if isinstance(record, Observation):
        return record.operation == audit.LOG
    if not isinstance(record, Coverage):
        return False
    return record.state == "denied" or record.operation in (f"GET {_SELF}", audit.LOG) or (record.state == "complete" and not record.pages)


def _read(request: ReadRequest, sleep: Callable[[float], None]) -> Iterator[Record]:
    source = cast("VaultSource", request.source)
    outside = Api(source.address, token="", namespace=source.namespace, ca=source.ca, sleep=sleep)
    login, about = myself(source, outside)
    if isinstance(about, Refusal) and about.busy:
        raise ReadError(_SELF, f"the server is sealed, failing or too busy: {about}")
    visit = _visit(request, outside.within(token=login.token, namespace=request.scope.detail["namespace"] or None), login, about)
    whoami = visit.operation(f"GET {_SELF}")
    whoami.settle(about)
    yield whoami.coverage()

    at, known, grants = request.now(), Known(), Grants(visit)
    kinds: set[str] = set()
    for record in _everything(visit, source, known, grants):
        if isinstance(record, Identity | Credential):
            kinds.add(record.kind)
        yield record
    yield from grants.coverage()
    for kind, field, call in CALLS:
        if kind in kinds:
            yield Provenance(provider=PROVIDER, scope=visit.scope, kind=kind, field=field, call=call, at=at)


def _everything(visit: Visit, source: VaultSource, known: Known, grants: Grants) -> Iterator[Record]:
    methods, _, rows = _mounts(
        visit, "sys/auth", ("approle", "secret-id", "user", "auth-role"), frozenset({"approle", "userpass", *roles.FOLDERS})
    )
    yield from rows
    leases = Leases(visit)
    if source.leases:
        leases.find()
    if source.audit_log is not None:
        yield from audit.search(visit, source.audit_log, methods, leases.ids)
    for mount in methods:
        if mount.kind == "approle":
            yield from identities.approles(visit, mount, known)
    yield from identities.entities(visit, known, grants)
    for mount in methods:
        if mount.kind == "userpass":
            yield from identities.users(visit, mount, known, grants)
        elif mount.kind in roles.FOLDERS:
            yield from roles.roles(visit, mount, grants)
    yield from identities.tokens(visit, known, grants)
    held, every, rows = _mounts(visit, "sys/mounts", ("mount", "secret", "database-role", "certificate"), frozenset(_ENGINES))
    yield from rows
    for mount in held:
        yield records.mount_identity(visit, mount, visit.now())
        yield from _ENGINES[mount.kind](visit, mount)
    if source.leases:
        yield from leases.records(every, {mount.path for mount in held}, known)
    else:
        yield leases.left_out()


def _mounts(visit: Visit, path: str, covers: tuple[str, ...], readable: frozenset[str]) -> tuple[list[Mount], list[Mount], list[Record]]:
    """Read a table of mounts; returns those whose type is read, all of them, and the records that say so."""
    operation = visit.operation(f"GET {path}", *covers)
    answer = visit.api.get(path)
    if isinstance(answer, Refusal):
        if answer.status == ABSENT:
            raise ReadError(path, f"there is no such namespace: {answer.message}")
        operation.refuse(answer)
        return [], [], [operation.coverage()]
    operation.answered(len(answer))
    mounts, every = [], []
    for name, about in sorted(answer.items()):
        mount = operation.made(partial(records.to_mount, name, about))
        if mount is None:
            continue
        every.append(mount)
        reason = records.unread_type(about, readable)
        if reason is None:
            mounts.append(mount)
        elif mount.kind not in records.BUILT_IN:
            operation.dropped[reason] += 1
    rows = ((name, about) for name, about in answer.items() if isinstance(about, dict))
    seen = operation.observe([{"path": name, **records.pick(about, ("type", "accessor", "options"))} for name, about in rows])
    return mounts, every, [seen, operation.coverage()]


def _visit(request: ReadRequest, api: Api, login: Login, answer: Json | Refusal) -> Visit:
    about: Json = {} if isinstance(answer, Refusal) else answer
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
