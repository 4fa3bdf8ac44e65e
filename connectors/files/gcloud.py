"""Turns `gcloud iam service-accounts list` and `... keys list` into records; keys that Google rotates itself are left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from connectors.files.folder import KEY_LIST, SA_LIST, Export
from connectors.files.reading import IN_A_NEWER_FILE, NOT_EXPORTED, FileTally, Into
from countersign.fields import Row, flag, kept, moment, pairs, text
from countersign.identity import Credential, Identity, Record, uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ACCOUNT = re.compile(r"projects/([^/]+)/serviceAccounts/([^/\s]{1,200})")
_KEY = re.compile(_ACCOUNT.pattern + r"/keys/([0-9A-Za-z_-]{1,100})")
_UNIQUE = re.compile(r"\d{1,30}")
_COVERS = {SA_LIST: ("service-account",), KEY_LIST: ("service-account-key",)}
_SHOWN = (
    "name",
    "email",
    "uniqueId",
    "projectId",
    "displayName",
    "description",
    "disabled",
    "keyType",
    "keyOrigin",
    "validAfterTime",
    "validBeforeTime",
)

ROTATED_BY_GOOGLE = "SYSTEM_MANAGED key, which Google rotates"


def records(exports: Sequence[Export], into: Into) -> Iterator[Record]:
    """Yield the records of one project; where two files hold the same account or key, the newer file's is kept."""
    newest_first = sorted(exports, key=lambda one: (one.modified, one.name), reverse=True)
    accounts: dict[str, str] = {}  # e-mail and unique id of an account to its uid
    for export in newest_first:
        if export.format == SA_LIST:
            yield from _accounts(export, into, accounts)
    listed = set(accounts.values())
    with_keys: set[str] = set()
    seen: set[str] = set()
    for export in newest_first:
        if export.format == KEY_LIST:
            yield from _keys(export, into, accounts, with_keys, seen)
    bare = len(listed - with_keys)
    if bare:
        # Google adds a key of its own to every account, so a list that was made always shows its account.
        lists = into.operation(KEY_LIST, *_COVERS[KEY_LIST])
        lists.answered(len(seen))
        lists.gap(f"no key list for {bare} of {len(listed)} service accounts; export one for each, without --managed-by")
        yield lists.coverage()


def _begun(export: Export, into: Into) -> tuple[FileTally, list[Row]]:
    # One list may hold several projects (a shared key folder, a search): each scope takes its own rows.
    prefix = f"projects/{into.scope}/"
    mine: list[Row] = [row for row in export.document or () if isinstance(row, dict) and (text(row, "name") or "").startswith(prefix)]
    tally = into.export(export, *_COVERS[export.format])
    tally.answered(len(mine))
    return tally, mine


def _ended(tally: FileTally, mine: list[Row]) -> Iterator[Record]:
    yield from tally.provenance(tally.covers)
    yield from tally.observations(kept(row, _SHOWN) for row in mine)
    yield tally.coverage()


def _accounts(export: Export, into: Into, accounts: dict[str, str]) -> Iterator[Record]:
    tally, mine = _begun(export, into)
    for row in mine:
        unique, email = text(row, "uniqueId"), text(row, "email")
        if unique is None or email is None or not _UNIQUE.fullmatch(unique):
            tally.drop("entry without a unique id or an e-mail")
            continue
        subject = uid("gcp", into.scope, "service-account", unique)
        if unique in accounts:
            tally.leave_out(IN_A_NEWER_FILE)
            continue
        accounts[unique] = subject
        accounts.setdefault(email, subject)  # a deleted account's e-mail can be taken again: the newer file's account holds it
        yield _identity(row, subject, unique, email, tally)
    yield from _ended(tally, mine)


def _identity(row: Row, subject: str, native_id: str, email: str, tally: FileTally) -> Identity:
    unknown = {
        "created_at": "a service account has no creation time in IAM",
        "last_active_at": NOT_EXPORTED,
        "grants": NOT_EXPORTED,
        "trusts": "who may act as it (its IAM policy, workload identity pools) is not in this export",
    }
    description = text(row, "description")
    tags = pairs(*(description or "").split(";"))
    return Identity(
        uid=subject,
        provider="gcp",
        scope=tally.scope,
        kind="service-account",
        native_id=native_id,
        name=email,
        aliases=(email,),
        track="machine",
        enabled=flag(row, "disabled") is not True,  # Google leaves false fields out of its JSON
        console=False,
        use_seen_to=tally.export.modified,
        owner_claim=tags.get("owner"),
        purpose=tags.get("purpose") or description or text(row, "displayName"),
        tags=tags,
        observed_at=tally.started,
        unknown=unknown,
    )


def _keys(export: Export, into: Into, accounts: dict[str, str], with_keys: set[str], seen: set[str]) -> Iterator[Record]:
    tally, mine = _begun(export, into)
    for row in mine:
        match = _KEY.fullmatch(text(row, "name") or "")
        if match is None:
            tally.drop("entry without a key name")
            continue
        holder, key_id = match[2], match[3]
        if holder in accounts:
            with_keys.add(accounts[holder])
        if text(row, "keyType") == "SYSTEM_MANAGED":
            tally.leave_out(ROTATED_BY_GOOGLE)
            continue
        if text(row, "keyType") != "USER_MANAGED":
            tally.drop("key of an unknown type")
            continue
        subject = uid("gcp", into.scope, "service-account-key", key_id)
        if subject in seen:
            tally.leave_out(IN_A_NEWER_FILE)
            continue
        seen.add(subject)
        if holder not in accounts:
            accounts[holder] = uid("gcp", into.scope, "service-account", holder)
            yield _unlisted(holder, accounts[holder], tally)
        yield _key(row, subject, accounts[holder], tally)
    yield from _ended(tally, mine)


def _unlisted(holder: str, subject: str, tally: FileTally) -> Identity:
    why = "its account is in no `gcloud iam service-accounts list` of this folder"
    return Identity(
        uid=subject,
        provider="gcp",
        scope=tally.scope,
        kind="service-account",
        native_id=holder,
        name=holder,
        track="machine",
        enabled=None,
        console=False,
        use_seen_to=tally.export.modified,
        observed_at=tally.started,
        unknown=dict.fromkeys(("native_id", "enabled", "created_at", "last_active_at", "grants", "trusts", "purpose"), why),
    )


def _key(row: Row, subject: str, identity_uid: str, tally: FileTally) -> Credential:
    unknown = {"last_used_at": NOT_EXPORTED}
    created, no_start = moment(row, "validAfterTime")
    expires, no_end = (None, None) if _never(row) else moment(row, "validBeforeTime")
    if no_start is not None:
        unknown["created_at"] = no_start
    if no_end is not None:
        unknown["expires_at"] = no_end
    return Credential(
        uid=subject,
        identity_uid=identity_uid,
        provider="gcp",
        scope=tally.scope,
        kind="service-account-key",
        enabled=flag(row, "disabled") is not True,
        created_at=created,
        expires_at=expires,
        never_expires=_never(row),
        use_seen_to=tally.export.modified,
        observed_at=tally.started,
        unknown=unknown,
    )


def _never(row: Row) -> bool:
    """Whether a key has no end: Google writes the last day of the year 9999."""
    return (text(row, "validBeforeTime") or "").startswith("9999-")
