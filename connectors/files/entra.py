"""Turns `az ad sp list` and `az ad app list` into records: who has an app in the tenant, and what it authenticates with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.files.folder import APP_LIST, SP_LIST, Export
from connectors.files.reading import NOT_EXPORTED, Into, Tally
from countersign.fields import GUID, Row, flag, guid, kept, moment, pairs, rows, text, texts
from countersign.identity import Credential, Identity, Record, Trust, uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Tenants from which Microsoft publishes its own apps (Microsoft Services, Microsoft).
MICROSOFT = frozenset({"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"})

# `az ad ... list` stops here without --all, and says so only on the terminal.
DEFAULT_STOP = 100

ROTATED_BY_AZURE = "credential of a managed identity, which Azure rotates"
OF_A_SIGNING_PAIR = "second half of a SAML signing certificate"
NO_OBJECT_ID = "entry without an object id"
IN_A_NEWER_FILE = "also in a newer file"

_KINDS = {SP_LIST: "service-principal", APP_LIST: "application"}
_SHOWN = (
    "id", "appId", "displayName", "servicePrincipalType", "accountEnabled", "isDisabled", "appOwnerOrganizationId", "createdByAppId",
    "createdDateTime", "signInAudience", "tags", "notes", "alternativeNames",
)  # fmt: skip
_SHOWN_OF_A_CREDENTIAL = ("keyId", "startDateTime", "endDateTime", "displayName", "usage", "type")


def records(exports: Sequence[Export], into: Into) -> Iterator[Record]:
    """Yield the records of one tenant; where two files hold the same object, the newer file's is kept."""
    seen: set[str] = set()
    for export in sorted(exports, key=lambda one: (one.modified, one.name), reverse=True):
        kind = _KINDS[export.format]
        tally = Tally(into, export, covers=(kind, "client-secret", "certificate"))
        entries = [row for row in export.document or () if isinstance(row, dict)]
        for row in entries:
            yield from _object(row, kind, tally, seen)
        if len(entries) == DEFAULT_STOP:
            tally.gaps[f"has exactly {DEFAULT_STOP} entries, where `{export.format}` stops without --all; export with --all"] += 1
        yield from tally.provenance(tally.covers)
        yield from tally.observations(_shown(row) for row in entries)
        yield tally.coverage()


def _object(row: Row, kind: str, tally: Tally, seen: set[str]) -> Iterator[Record]:
    object_id = guid(row, "id")
    if object_id is None:
        tally.drop(NO_OBJECT_ID)
        return
    subject = uid("azure", tally.into.scope, kind, object_id)
    if subject in seen:
        tally.dropped[IN_A_NEWER_FILE] += 1
        return
    seen.add(subject)
    tally.rows += 1
    identity = _identity(row, kind, subject, object_id, tally)
    yield identity
    publisher = guid(row, "appOwnerOrganizationId") if kind == "service-principal" else None
    if publisher is not None and publisher != tally.into.scope and publisher not in MICROSOFT:
        # The publisher holds the app's credentials, so it may act as this principal; its own registration is what narrows that.
        yield Trust(
            identity_uid=subject,
            provider="azure",
            scope=tally.into.scope,
            party_kind="entra-tenant",
            party=publisher,
            condition="app registration",
        )
    yield from _credentials(row, identity, tally, seen)


def _identity(row: Row, kind: str, subject: str, object_id: str, tally: Tally) -> Identity:
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
        scope=tally.into.scope,
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
        observed_at=tally.into.at,
        unknown=unknown,
    )


def _enabled(row: Row, kind: str) -> bool | None:
    if kind == "service-principal" and flag(row, "accountEnabled") is not True:
        return flag(row, "accountEnabled")
    if kind == "application" and "isDisabled" not in row:
        return None
    return flag(row, "isDisabled") is not True  # null is Graph's way of saying that nobody disabled it


def _credentials(row: Row, identity: Identity, tally: Tally, seen: set[str]) -> Iterator[Credential]:
    secrets, keys = rows(row, "passwordCredentials"), rows(row, "keyCredentials")
    if secrets is None or keys is None:
        tally.gaps["entry without passwordCredentials or keyCredentials; export without --query"] += 1
    if text(row, "servicePrincipalType") == "ManagedIdentity":
        tally.dropped[ROTATED_BY_AZURE] += len(secrets or ()) + len(keys or ())
        return
    # A SAML signing certificate is listed three times under one customKeyIdentifier: to sign, to verify, and its password.
    signing = {text(key, "customKeyIdentifier") for key in keys or () if text(key, "usage") == "Sign"} - {None}
    for kind, listed in (("client-secret", secrets or ()), ("certificate", keys or ())):
        for item in listed:
            if text(item, "customKeyIdentifier") in signing and text(item, "usage") != "Sign":
                tally.dropped[OF_A_SIGNING_PAIR] += 1
                continue
            key_id = text(item, "keyId")
            if key_id is None or not GUID.fullmatch(key_id):
                tally.drop("credential without a key id")
                continue
            subject = uid("azure", identity.scope, kind, key_id.lower())
            if subject in seen:
                tally.dropped["credential listed twice"] += 1
                continue
            seen.add(subject)
            yield _credential(item, kind, subject, identity)


def _credential(item: Row, kind: str, subject: str, identity: Identity) -> Credential:
    unknown = {"last_used_at": NOT_EXPORTED}
    created, no_start = moment(item, "startDateTime")
    expires, no_end = moment(item, "endDateTime")
    if no_start is not None:
        unknown["created_at"] = no_start
    if no_end is not None:
        unknown["expires_at"] = no_end
    return Credential(
        uid=subject,
        identity_uid=identity.uid,
        provider="azure",
        scope=identity.scope,
        kind=kind,
        enabled=True,  # Entra has no switch for one credential: listed is enabled, also past its end
        created_at=created,
        expires_at=expires,
        use_seen_to=identity.use_seen_to,
        observed_at=identity.observed_at,
        unknown=unknown,
    )


def _shown(row: Row) -> Row:
    credentials = {
        key: [kept(item, _SHOWN_OF_A_CREDENTIAL) for item in rows(row, key) or ()] for key in ("passwordCredentials", "keyCredentials")
    }
    return kept(row, _SHOWN) | credentials
