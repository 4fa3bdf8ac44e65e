"""From the rows of a tenant to credentials: by key id, and never a secret or its hint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from connectors.azure import records
from connectors.azure.visit import PROVIDER
from countersign.entra_documents import own_credentials
from countersign.fields import entra_end, moment, text
from countersign.identity import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.azure.estate import Estate, Seen
    from connectors.azure.visit import Operation, Visit
    from countersign.fields import Row
    from countersign.identity import PartyKind, Trust

DIVERTED = "https://{}.countersign-revoked.invalid"
"""Issuer of a federated credential that was switched off, with its id: a host that can never be (RFC 6761, 6.4)."""
_DIVERTED = re.compile(r"https://[0-9a-f-]{36}\.countersign-revoked\.invalid/?", re.IGNORECASE)
NO_USE_OF_FEDERATED = "Graph does not say when a federated credential was last used"
NO_START_OF_FEDERATED = "Graph does not say when a federated credential was created"
_ENTRA_ISSUER = re.compile(
    r"https://(?:login\.microsoftonline\.[a-z]+/([0-9a-f-]{36})/v2\.0|sts\.windows\.net/([0-9a-f-]{36}))/?", re.IGNORECASE
)


def of_object(operation: Operation, estate: Estate, kind: str, object_id: str, seen: Seen) -> Iterator[Credential]:
    """Tell the secrets and certificates of an application or service principal; what is left out is counted in the operation."""
    elsewhere = kind == "application" and records.serves_others(seen.row)
    identity = operation.visit.uid(kind, object_id)
    for what, key_id, item in own_credentials(seen.row, operation, estate.credentials):
        yield _credential(operation.visit, estate, item, what, key_id, identity, seen, elsewhere=elsewhere)


def _credential(  # noqa: PLR0913, PLR0917 -- a record has these parts
    visit: Visit, estate: Estate, item: Row, kind: str, key_id: str, identity: str, seen: Seen, *, elsewhere: bool
) -> Credential:
    unknown = {}
    created, no_start = moment(item, "startDateTime")
    expires, never, no_end = entra_end(item)
    if no_start is not None:
        unknown["created_at"] = no_start
    if no_end is not None:
        unknown["expires_at"] = no_end
    last = None if elsewhere else estate.use.keys.get(key_id)
    if last is None:
        unknown["last_used_at"] = records.ELSEWHERE if elsewhere else estate.use.no_key
    return Credential(
        uid=visit.uid(kind, key_id),
        identity_uid=identity,
        provider=PROVIDER,
        scope=visit.tenant,
        kind=kind,
        enabled=True,  # Entra has no switch for one credential: listed is enabled, also past its end
        created_at=created,
        expires_at=expires,
        never_expires=never,
        last_used_at=last,
        last_used_state="unknown" if last is None else "known",
        observed_at=seen.at,
        unknown=unknown,
    )


def federated(visit: Visit, estate: Estate, credential_id: str, seen: Seen) -> Iterator[Credential | Trust]:
    """Tell a federated credential, and the outside issuer whose subject may sign in with it."""
    kind, object_id = estate.federated_of[credential_id]
    identity = visit.uid(kind, object_id)
    yield Credential(
        uid=visit.uid("federated-credential", credential_id),
        identity_uid=identity,
        provider=PROVIDER,
        scope=visit.tenant,
        kind="federated-credential",
        enabled=not is_diverted(seen.row),
        observed_at=seen.at,
        unknown={"created_at": NO_START_OF_FEDERATED, "last_used_at": NO_USE_OF_FEDERATED},
    )
    party = party_of(visit.tenant, seen.row)
    if party is not None:
        yield records.trust(visit, identity, *party)


def is_diverted(row: Row) -> bool:
    """Whether a federated credential was switched off: its issuer is a host that can never be."""
    return _DIVERTED.fullmatch(text(row, "issuer") or "") is not None


def party_of(own_tenant: str, row: Row) -> tuple[PartyKind, str, str | None] | None:
    """Return the outside party that a federated credential lets in, and what narrows it; None where it lets nobody in from outside."""
    issuer, subject = text(row, "issuer"), text(row, "subject")
    if issuer is None or is_diverted(row):
        return None
    entra = _ENTRA_ISSUER.fullmatch(issuer)
    tenant = (entra[1] or entra[2]).lower() if entra else None
    if tenant is None:
        return "oidc-issuer", issuer, subject
    # Another tenant's managed identity or application: the party is the tenant, by whichever name its issuer goes.
    return None if tenant == own_tenant else ("entra-tenant", tenant, subject)
