"""HashiCorp Vault and OpenBao: who can log in, with what, how privileged, and how old the secrets are; never a secret itself."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, cast

from connectors.vault import audit, engines, identities, records, roles
from connectors.vault.api import ABSENT, Api, Json, Refusal
from connectors.vault.canary import planter
from connectors.vault.grants import Grants
from connectors.vault.identities import Known
from connectors.vault.leases import Leases
from connectors.vault.login import Login, myself
from connectors.vault.permissions import (
    DRILL_PERMISSIONS,
    PERMISSIONS,
    REVOKE_PERMISSIONS,
    drill_hcl,
    permission_files,
    policy_hcl,
    revoke_hcl,
)
from connectors.vault.probe import probe
from connectors.vault.provenance import CALLS
from connectors.vault.revoking import hand
from connectors.vault.scopes import scopes
from connectors.vault.visit import PROVIDER, Visit
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Observation, Record
from countersign.reading import traced, unless_denied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.vault.records import Mount
    from countersign.programme import VaultSource
    from countersign.reading import ReadRequest

__all__ = [
    "DRILL_PERMISSIONS",
    "PERMISSIONS",
    "PROVIDER",
    "REVOKE_PERMISSIONS",
    "drill_hcl",
    "hand",
    "permission_files",
    "planter",
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
    denied = ScopeDeniedError(request.scope.name, "every operation was denied; docs/connectors/vault.md has the policy that reading needs")
    yield from unless_denied(_read(request, sleep), _answered, denied)


def _answered(record: Record) -> bool:
    """Whether a record shows that the server let us read: not a denial, who we are, a listing left out, or our own file."""
    if isinstance(record, Coverage | Observation) and record.operation in (f"GET {_SELF}", audit.LOG):
        return False
    return not isinstance(record, Coverage) or (record.state != "denied" and (record.pages > 0 or record.state != "complete"))


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

    yield from traced(_everything(visit, source), CALLS, request.scope, request.now())


def _everything(visit: Visit, source: VaultSource) -> Iterator[Record]:
    known, grants = Known(), Grants(visit)
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
    yield from grants.coverage()


def _mounts(visit: Visit, path: str, covers: tuple[str, ...], readable: frozenset[str]) -> tuple[list[Mount], list[Mount], list[Record]]:
    """Read a table of mounts; returns those whose type is read, all of them, and the records that say so."""
    operation = visit.operation(f"GET {path}", *covers)
    answer = visit.api.get(path)
    if isinstance(answer, Refusal):
        if answer.status == ABSENT:
            raise ReadError(path, f"there is no such namespace: {answer.message}")
        operation.fail(answer)
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
            operation.leave_out(reason)
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
