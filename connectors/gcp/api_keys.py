"""API keys of a project: held by it or by the service account that they are bound to; Google does not say when they are used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from connectors.gcp.permissions import API_KEYS
from connectors.gcp.visit import PROVIDER
from countersign.fields import Row, inner, kept, listed, moment, text
from countersign.identity import Credential, Grant, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.gcp.accounts import Accounts
    from connectors.gcp.visit import Visit
    from countersign.identity import Record

PAGE = 300
_NAME = re.compile(r"projects/([0-9]{1,30})/locations/[a-z0-9-]+/keys/([A-Za-z0-9_-]{1,100})")
_SHOWN = ("name", "uid", "displayName", "createTime", "updateTime", "serviceAccountEmail", "restrictions")
_CLIENTS = ("browserKeyRestrictions", "serverKeyRestrictions", "androidKeyRestrictions", "iosKeyRestrictions")
UNRESTRICTED = "any API that takes keys"
NO_USE = "Google does not tell the last use of an API key"


def read_api_keys(visit: Visit, accounts: Accounts) -> Iterator[Record]:
    """Yield the keys, their project as holder, and a limited grant for each API that a key may call."""
    listing = visit.operation(API_KEYS, "api-key", "project")
    asked = {"parent": f"projects/{visit.scope}/locations/global", "pageSize": PAGE}
    holders = set()
    for page in listing.listed("keys", asked):
        for row in page:
            match = _NAME.fullmatch(text(row, "name") or "")
            if match is None:
                listing.drop("API key without a usable name")
                continue
            holder = accounts.uid(text(row, "serviceAccountEmail") or "")
            if holder is None:
                holder = visit.uid("project", match[1])
                if holder not in holders:
                    holders.add(holder)
                    yield _project(visit, match[1])
            yield _credential(visit, text(row, "uid") or match[2], holder, row)
            yield from _grants(visit, text(row, "uid") or match[2], holder, row)
        yield listing.observe([{**kept(row, _SHOWN, whole=True), "restricted": restricted(row)} for row in page], parameters=asked)


def restricted(row: Row) -> tuple[str, ...]:
    """Name what narrows a key: the APIs it may call, the clients that may use it; nothing: anyone who has it may call any API."""
    limits = inner(row, "restrictions")
    apis = ("apiTargets",) if listed(limits, "apiTargets") else ()
    return (*apis, *(one for one in _CLIENTS if inner(limits, one)))


def _project(visit: Visit, number: str) -> Identity:
    why = "it only holds API keys"
    return Identity(
        uid=visit.uid("project", number),
        provider=PROVIDER,
        scope=visit.scope,
        kind="project",
        native_id=number,
        name=visit.scope,
        track="machine",
        enabled=True,
        provider_managed=True,
        console=False,
        observed_at=visit.now(),
        unknown=dict.fromkeys(("created_at", "last_active_at"), why),
    )


def _credential(visit: Visit, key: str, holder: str, row: Row) -> Credential:
    created, no_birth = moment(row, "createTime")
    return Credential(
        uid=visit.uid("api-key", key),
        identity_uid=holder,
        provider=PROVIDER,
        scope=visit.scope,
        name=text(row, "displayName"),
        kind="api-key",
        enabled=True,  # there is no switch: a key works until it is deleted
        created_at=created,
        observed_at=visit.now(),
        unknown={"last_used_at": NO_USE} | ({} if no_birth is None else {"created_at": no_birth}),
    )


def _grants(visit: Visit, key: str, holder: str, row: Row) -> Iterator[Grant]:
    targets = [text(one, "service") for one in listed(inner(row, "restrictions"), "apiTargets")]
    for service in targets or [UNRESTRICTED]:
        yield Grant(
            identity_uid=holder,
            provider=PROVIDER,
            scope=visit.scope,
            role=service or "an API that is not named",
            power="limited",
            via=f"api-key:{key}",
        )
