"""Turns `az ad sp list` and `az ad app list` into records: who has an app in the tenant, and what it authenticates with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.files.folder import APP_LIST, SP_LIST, Export
from connectors.files.reading import IN_A_NEWER_FILE, NOT_EXPORTED, FileTally, Into
from countersign.entra_documents import NO_LISTS, own_credentials, shown_credentials
from countersign.fields import Row, entra_end, flag, guid, kept, moment, pairs, text, texts
from countersign.identity import Credential, Identity, Record, Trust, uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Tenants from which Microsoft publishes its own apps (Microsoft Services, Microsoft).
MICROSOFT = frozenset({"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"})

# `az ad ... list` stops here without --all, and says so only on the terminal.
DEFAULT_STOP = 100

NO_OBJECT_ID = "entry without an object id"

_KINDS = {SP_LIST: "service-principal", APP_LIST: "application"}
_SHOWN = (
    "id", "appId", "displayName", "servicePrincipalType", "accountEnabled", "isDisabled", "appOwnerOrganizationId", "createdByAppId",
    "createdDateTime", "signInAudience", "tags", "notes", "alternativeNames",
)  # fmt: skip


def records(exports: Sequence[Export], into: Into) -> Iterator[Record]:
    """Yield the records of one tenant; where two files hold the same object, the newer file's is kept."""
    seen: set[str] = set()
    # Applications and service principals have credentials of the same kinds: all of them are listed only where both lists are.
    own = ("client-secret", "certificate")
    whole = own if {export.format for export in exports} >= {SP_LIST, APP_LIST} else ()
    for export in sorted(exports, key=lambda one: (one.modified, one.name), reverse=True):
        kind = _KINDS[export.format]
        tally = into.export(export, kind, *whole)
        entries = [row for row in export.document or () if isinstance(row, dict)]
        tally.answered(len(entries))
        for row in entries:
            yield from _object(row, kind, tally, seen)
        if len(entries) == DEFAULT_STOP:
            tally.gap(f"has exactly {DEFAULT_STOP} entries, where `{export.format}` stops without --all; export with --all")
        yield from tally.provenance((kind, *own))
        yield from tally.observations(kept(row, _SHOWN) | shown_credentials(row) for row in entries)
        yield tally.coverage()


def _object(row: Row, kind: str, tally: FileTally, seen: set[str]) -> Iterator[Record]:
    object_id = guid(row, "id")
    if object_id is None:
        tally.drop(NO_OBJECT_ID)
        return
    subject = uid("azure", tally.scope, kind, object_id)
    if subject in seen:
        tally.leave_out(IN_A_NEWER_FILE)
        return
    seen.add(subject)
    identity = _identity(row, kind, subject, object_id, tally)
    yield identity
    publisher = guid(row, "appOwnerOrganizationId") if kind == "service-principal" else None
    if publisher is not None and publisher != tally.scope and publisher not in MICROSOFT:
        # The publisher holds the app's credentials, so it may act as this principal; its own registration is what narrows that.
        yield Trust(
            identity_uid=subject,
            provider="azure",
            scope=tally.scope,
            party_kind="entra-tenant",
            party=publisher,
            condition="app registration",
        )
    for what, key_id, item in own_credentials(row, tally, seen, no_lists=f"{NO_LISTS}; export without --query"):
        yield _credential(item, what, key_id, identity)


def _identity(row: Row, kind: str, subject: str, object_id: str, tally: FileTally) -> Identity:
    unknown = {"last_active_at": NOT_EXPORTED, "grants": NOT_EXPORTED}
    app_id = guid(row, "appId")
    created, why = moment(row, "createdDateTime")
    if why is not None:
        unknown["created_at"] = why
    enabled = _enabled(row, kind)
    if enabled is None:
        unknown["enabled"] = "the export has no " + ("accountEnabled" if kind == "service-principal" else "isDisabled")
    if kind == "application" or text(row, "servicePrincipalType") == "ManagedIdentity":
        unknown["trusts"] = "federated credentials are not in this export"
    elif "appOwnerOrganizationId" not in row:
        unknown["trusts"] = "the export has no appOwnerOrganizationId"
    tags = pairs(*texts(row, "tags"))
    return Identity(
        uid=subject,
        provider="azure",
        scope=tally.scope,
        kind=kind,
        native_id=object_id,
        name=text(row, "displayName") or app_id or object_id,
        aliases=(*((app_id,) if app_id else ()), *texts(row, "alternativeNames")),
        track="machine",
        enabled=enabled,
        provider_managed=guid(row, "appOwnerOrganizationId") in MICROSOFT,
        console=False,
        created_at=created,
        created_by=text(row, "createdByAppId"),
        use_seen_to=tally.export.modified,
        owner_claim=tags.get("owner"),
        purpose=tags.get("purpose") or text(row, "notes"),
        tags=tags,
        observed_at=tally.started,
        unknown=unknown,
    )


def _enabled(row: Row, kind: str) -> bool | None:
    if kind == "service-principal" and flag(row, "accountEnabled") is not True:
        return flag(row, "accountEnabled")
    if kind == "application" and "isDisabled" not in row:
        return None
    return flag(row, "isDisabled") is not True  # null is Graph's way of saying that nobody disabled it


def _credential(item: Row, kind: str, key_id: str, identity: Identity) -> Credential:
    unknown = {"last_used_at": NOT_EXPORTED}
    created, no_start = moment(item, "startDateTime")
    expires, never, no_end = entra_end(item)
    if no_start is not None:
        unknown["created_at"] = no_start
    if no_end is not None:
        unknown["expires_at"] = no_end
    return Credential(
        uid=uid("azure", identity.scope, kind, key_id),
        identity_uid=identity.uid,
        provider="azure",
        scope=identity.scope,
        kind=kind,
        enabled=True,  # Entra has no switch for one credential: listed is enabled, also past its end
        created_at=created,
        expires_at=expires,
        never_expires=never,
        use_seen_to=identity.use_seen_to,
        observed_at=identity.observed_at,
        unknown=unknown,
    )
