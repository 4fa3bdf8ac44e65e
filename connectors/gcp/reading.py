"""Puts the readings of one scope together: everything is listed first, since what one list says another explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.gcp.accounts import Accounts, Created
from connectors.gcp.api_keys import read_api_keys
from connectors.gcp.bindings import Bindings
from connectors.gcp.federation import Federation
from connectors.gcp.keys import Keys
from connectors.gcp.names import tail
from connectors.gcp.permissions import (
    ACCOUNT_USE,
    ACCOUNTS,
    API_KEYS,
    KEY_USE,
    KEYS,
    LIST_ASSETS,
    PROJECT,
    PROVIDERS,
    SEARCH_POLICIES,
    SEARCH_RESOURCES,
    WORKFORCE_PROVIDERS,
)
from connectors.gcp.use import Activity, read_activity
from connectors.gcp.visit import PROVIDER
from countersign.errors import ReadError
from countersign.fields import text
from countersign.identity import Coverage, Credential, Identity, Provenance, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.gcp.visit import Visit

_CALLS = (
    ("service-account", "*", ACCOUNTS),
    ("service-account", "created_at", SEARCH_RESOURCES),
    ("service-account", "last_active_at", ACCOUNT_USE),
    ("service-account", "grants", SEARCH_POLICIES),
    ("service-account-key", "*", LIST_ASSETS),
    ("service-account-key", "enabled", KEYS),
    ("service-account-key", "last_used_at", KEY_USE),
    ("member", "*", SEARCH_POLICIES),
    ("workload-identity-provider", "*", PROVIDERS),
    ("workload-identity-provider", "created_at", SEARCH_RESOURCES),
    ("workforce-provider", "*", WORKFORCE_PROVIDERS),
    ("api-key", "*", API_KEYS),
    ("project", "*", API_KEYS),
)
"""Kind of record, field, and the call that says it."""


def read_project(visit: Visit, number: str | None, organization: str | None) -> Iterator[Record]:
    """Yield what is in one project; `number` and `organization` where they are known already.

    Raises ScopeDeniedError or ReadError when nothing at all is answered.
    """
    yield from _settled(visit, _project(visit, number, organization))


def read_organization(visit: Visit, unlisted: str | None) -> Iterator[Record]:
    """Yield what is set on an organization itself and its folders; `unlisted`: why its projects could not be listed, if so."""
    yield from _settled(visit, _organization(visit, unlisted))


def _project(visit: Visit, number: str | None, organization: str | None) -> Iterator[Record]:
    own = {visit.scope, *(one for one in (number or _number(visit), organization) if one)}
    accounts, created, federation = Accounts(visit), Created(visit), Federation(visit)
    yield from accounts.read()
    yield from created.read()
    if not accounts.whole:
        for unique, email in created.accounts.items():
            accounts.unlisted(unique, email)
    activity = Activity({}, {}, None, None)
    for one in read_activity(visit):
        if isinstance(one, Activity):
            activity = one
        else:
            yield one
    keys = Keys(visit, accounts)
    yield from keys.read()
    yield from federation.read()
    yield from read_api_keys(visit, accounts)
    bindings = Bindings(visit, own | {one for one in (created.number,) if one}, federation, accounts)
    yield from bindings.read()
    missing = {} if bindings.why is None else {"grants": bindings.why, "trusts": bindings.why}
    exposure = {} if keys.gap is None else {"trusts": keys.gap}
    unread = {unique: {"trusts": why} for unique, why in bindings.unread.items()}
    yield from accounts.identities(created, activity, exposure | missing, unread)
    yield from keys.records(activity)
    yield from federation.records(created, {name: why for name, why in missing.items() if name == "grants"})


def _organization(visit: Visit, unlisted: str | None) -> Iterator[Record]:
    if unlisted is not None:
        visit.shared(SEARCH_RESOURCES).fail(ReadError(SEARCH_RESOURCES.name, f"its projects were not listed: {unlisted}"))
    federation = Federation(visit, workforce=True)
    yield from federation.read()
    bindings = Bindings(visit, {visit.scope, str(tail(visit.scope))}, federation)
    yield from bindings.read()
    yield from federation.records(None, {} if bindings.why is None else {"grants": bindings.why})


def _number(visit: Visit) -> str | None:
    """Ask for the number of the project, by which other answers name it."""
    operation = visit.operation(PROJECT)
    try:
        answer = visit.door.ask(PROJECT, {"name": f"projects/{visit.scope}"})
    except ReadError as error:
        operation.fail(error)
        return None
    operation.answered()
    return tail(text(answer, "name"))


def _settled(visit: Visit, records: Iterator[Record]) -> Iterator[Record]:
    """Add how each operation went; a scope where nothing is answered is one refusal, not a row for each operation."""
    kinds: set[str] = set()
    for record in records:
        if isinstance(record, Identity | Credential):
            kinds.add(record.kind)
        yield record
    if not visit.answered:
        raise visit.nothing_read()
    at = visit.now()
    asked = {operation.operation for operation in visit.operations if operation.pages}
    for kind, field, call in _CALLS:
        if kind in kinds and call.name in asked:
            yield Provenance(provider=PROVIDER, scope=visit.scope, kind=kind, field=field, call=call.name, at=at)
    yield from coverage(visit)


def coverage(visit: Visit) -> Iterator[Coverage]:
    """Yield how each operation went that was used."""
    for operation in visit.operations:
        if operation.used or operation.covers:
            yield operation.coverage()
