"""Reading leases: what the server gave out and will take back, and whom it was given to where the audit log says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from connectors.vault import records
from connectors.vault.api import Json, Refusal, each
from connectors.vault.identities import Known, listed
from connectors.vault.visit import PROVIDER, Operation, Visit, told
from countersign.clock import expiry
from countersign.identity import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from connectors.vault.records import Mount
    from countersign.identity import Coverage, Record

MOST_LEASES = 50_000
"""Look-ups are some 400 a second, so this is about two minutes."""
FIELDS = ("id", "path", "issue_time", "expire_time", "last_renewal", "renewable", "ttl")
_BASE = "sys/leases/lookup"
_OF_TOKEN = re.compile(r"h[0-9a-f]{40,64}(\..*)?")
"""Last part of the lease of a token: its salted id. A secret's lease ends in letters of both cases."""
_USE = "a lease is used at the system that it opens, where this server does not look"


@dataclass(slots=True)
class Leases:
    """The leases of a namespace, in the two steps of listing and looking up."""

    visit: Visit
    ids: list[str] = field(default_factory=list)
    _listing: Operation = field(init=False)

    def __post_init__(self) -> None:
        self._listing = self.visit.operation(f"LIST {_BASE}/*", "lease")

    def left_out(self) -> Coverage:
        """Say that leases are not asked for."""
        self._listing.leave_out("all, by `leases: false`")
        return self._listing.coverage()

    def find(self) -> None:
        """List the ids of all leases but those of tokens, which are told as the tokens."""
        listing, folders, asked = self._listing, [""], 0
        while folders:
            folder = folders.pop()
            # Below auth/ there are only tokens. The server lists its folders itself, so one that lists without end is stopped too.
            if folder == "auth/":
                listing.leave_out("auth/: the leases of tokens, told as the tokens")
                continue
            asked += 1
            for page in listed(self.visit, listing, f"{_BASE}/{folder}"):
                for key in page.keys:
                    if len(self.ids) + asked > MOST_LEASES:
                        listing.gap(f"more than {MOST_LEASES:,} leases; the others are not read")
                        return
                    if key.endswith("/"):
                        folders.append(folder + key)
                    elif _OF_TOKEN.fullmatch(key):
                        listing.leave_out("the lease of a token, told as the token")
                    else:
                        self.ids.append(folder + key)

    def records(self, mounts: Sequence[Mount], told_mounts: set[str], known: Known) -> Iterator[Record]:
        """Yield a credential per lease, and its mount where nothing else has told it (`told_mounts`, by path)."""
        visit, lookups = self.visit, self.visit.operation(f"POST {_BASE}", "lease")
        by_length = sorted(mounts, key=lambda mount: -len(mount.path))
        for batch in each(self.ids, lambda lease: visit.api.post(_BASE, {"lease_id": lease})):
            seen = []
            for lease, answer in batch:
                found = lookups.settle(answer)
                if isinstance(answer, Refusal) and answer.gone:
                    continue
                mount = next((mount for mount in by_length if lease.startswith(mount.path)), None)
                if mount is not None and mount.path not in told_mounts:
                    told_mounts.add(mount.path)
                    yield records.mount_identity(visit, mount, visit.now())
                holder = self._holder(lease, mount, known)
                reason = f"its look-up was refused: {answer}"
                credential = None
                if found is not None:
                    reason = "its look-up is not as documented"
                    credential = lookups.made(partial(to_credential, visit, holder, lease, found, visit.now()))
                    seen.append(records.pick(found, FIELDS))
                yield credential or _unread(visit, holder, lease, reason, visit.now())
            yield lookups.observe(seen)
        yield from told(self._listing, lookups)

    def _holder(self, lease: str, mount: Mount | None, known: Known) -> str:
        accessor, entity = self.visit.uses.holder(lease)
        uid = known.owners.get(entity or "") or known.tokens.get(accessor or "")
        return uid or self.visit.uid("mount", mount.accessor if mount else lease.partition("/")[0])


def to_credential(visit: Visit, identity_uid: str, lease: str, answer: Json, at: datetime) -> Credential:
    """Tell a lease. A renewal moves its end and changes nothing about the secret, so it is as old as its issue.

    Raises ValueError for a time that is none.
    """
    ends = answer.get("expire_time")
    expires, never = expiry(str(ends)) if ends else (None, True)
    issued = records.when(answer.get("issue_time"))
    since = records.when(answer.get("last_renewal") or answer.get("last_renewal_time")) or issued
    return Credential(
        uid=visit.uid("lease", lease),
        identity_uid=identity_uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="lease",
        enabled=True,
        created_at=issued,
        expires_at=expires,
        never_expires=never,
        ttl_s=round((expires - since).total_seconds()) if expires and since else None,
        observed_at=at,
        unknown={"last_used_at": _USE} | ({} if issued else {"created_at": "the server does not say when it was issued"}),
    )


def _unread(visit: Visit, identity_uid: str, lease: str, reason: str, at: datetime) -> Credential:
    return Credential(
        uid=visit.uid("lease", lease),
        identity_uid=identity_uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="lease",
        enabled=True,
        observed_at=at,
        unknown={"last_used_at": _USE} | dict.fromkeys(("created_at", "expires_at", "ttl_s"), reason),
    )
