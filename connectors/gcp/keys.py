"""Keys of service accounts that people made or uploaded; those that Google rotates itself are left out, and counted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.permissions import KEYS, LIST_ASSETS
from connectors.gcp.use import use
from connectors.gcp.visit import PROVIDER
from countersign.fields import Row, inner, kept, listed, moment, text
from countersign.identity import Credential, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from connectors.gcp.accounts import Accounts
    from connectors.gcp.use import Activity
    from connectors.gcp.visit import Operation, Visit
    from countersign.identity import Observation

PAGE = 1000
_ASSET = "iam.googleapis.com/ServiceAccountKey"
_OF = re.compile(r"/serviceAccounts/([^/]{1,200})/keys/([0-9A-Za-z_-]{1,100})$")
_SHOWN = ("name", "keyType", "keyOrigin", "validAfterTime", "validBeforeTime", "disabled", "disableReason")
_LOST = re.compile(r"SERVICE_ACCOUNT_KEY_(?:EXTENDED_STATUS_KEY|DISABLE_REASON)_(?:EXPOSED|COMPROMISE_DETECTED)")
ROTATED_BY_GOOGLE = "SYSTEM_MANAGED key, which Google rotates"


@dataclass(slots=True)
class Keys:
    """The user-managed keys of one project: key id to its account's unique id and what Google says of it."""

    visit: Visit
    accounts: Accounts
    rows: dict[str, tuple[str, Row]] = field(default_factory=dict)
    details: Operation | None = None
    listing: Operation | None = None

    def read(self) -> Iterator[Observation]:
        """List all keys in one paged call, then look at each account that has some; account by account where that call fails."""
        listing = self.listing = self.visit.operation(LIST_ASSETS, "service-account-key")
        yield from self._assets(listing)
        if not listing.refused:
            holders = {unique for unique, _ in self.rows.values()}
            self.details = self.visit.operation(KEYS)
        else:
            # Then the slow way is the listing; the fast one was only a wish.
            listing.covers = ()
            holders = set(self.accounts.ids.values()) | {unique for unique, _ in self.rows.values()}
            self.details = self.visit.operation(KEYS, "service-account-key")
        assets: dict[str, list[str]] = {}
        for key, (unique, _) in self.rows.items():
            assets.setdefault(unique, []).append(key)
        for unique in sorted(holders):
            if self.details.state == "denied":
                break  # what is refused for one account is refused for all
            yield from self._of_account(unique, assets, self.details)
        accounts = self.accounts.listing
        if listing.refused and accounts is not None and accounts.why is not None:
            self.details.refuse(accounts.why, denied=bool(accounts.denied))  # some may have had keys too

    def _assets(self, listing: Operation) -> Iterator[Observation]:
        asked = {"parent": f"projects/{self.visit.scope}", "assetTypes": [_ASSET], "contentType": "RESOURCE", "pageSize": PAGE}
        for page in listing.listed("assets", asked):
            items = []
            for row in page:
                data = inner(inner(row, "resource"), "data")
                named, told = _OF.search(text(row, "name") or ""), _OF.search(text(data, "name") or "")
                holder = self.accounts.ids.get(named[1]) if named else None
                if named is None:
                    listing.drop("key without a name")
                elif self._user_managed(data, listing):
                    if holder is None and not self.accounts.whole and named[1].isdecimal():
                        self.accounts.unlisted(named[1], told[1] if told and "@" in told[1] else None)
                        holder = named[1]
                    if holder is None:
                        listing.leave_out("its account is not in IAM's list")
                    else:
                        self.rows[named[2]] = (holder, data)
                items.append(_shown(data))
            yield listing.observe(items, parameters=asked)

    def _of_account(self, unique: str, assets: Mapping[str, list[str]], details: Operation) -> Iterator[Observation]:
        asked = {"name": f"projects/{self.visit.scope}/serviceAccounts/{unique}", "keyTypes": ["USER_MANAGED"]}
        answer = details.ask(asked, "keys")
        if answer is None:
            return
        # IAM is the authority: what it no longer lists is gone.
        for key in assets.get(unique, ()):
            self.rows.pop(key, None)
        found = listed(answer, "keys")
        for row in found:
            named = _OF.search(text(row, "name") or "")
            if named is None:
                details.drop("key without a name")
            elif self._user_managed(row, details):
                self.rows[named[2]] = (unique, row)
        yield details.observe([_shown(row) for row in found], parameters=asked)

    @staticmethod
    def _user_managed(row: Row, operation: Operation) -> bool:
        kind = row.get("keyType")
        if kind == "SYSTEM_MANAGED":
            operation.leave_out(ROTATED_BY_GOOGLE)
        elif kind != "USER_MANAGED":
            operation.drop("key of an unknown type")
        return kind == "USER_MANAGED"

    @property
    def gap(self) -> str | None:
        """Why it is not known of every key whether it was exposed; None where it is."""
        why = None if self.details is None else self.details.why
        if why is None and self.listing is not None and self.listing.covers:  # a key that it left out was not asked for either
            why = self.listing.why
        return None if why is None else f"whether its keys were exposed was not read: {why}"

    def records(self, activity: Activity) -> Iterator[Credential | Trust]:
        """Yield every key, and a trust to anyone for each live key that Google found where others can read it."""
        open_to_all: set[tuple[str, str]] = set()
        for key, (unique, row) in sorted(self.rows.items()):
            holder = self.visit.uid("service-account", unique)
            credential = self._credential(key, holder, row, activity)
            yield credential
            if exposed(row) and credential.enabled and not _over(credential.expires_at, credential.observed_at):
                open_to_all.add((holder, key))
        for holder, key in sorted(open_to_all):
            party = f"anyone who found key {key}"
            yield Trust(identity_uid=holder, provider=PROVIDER, scope=self.visit.scope, party_kind="anyone", party=party)

    def _credential(self, key: str, holder: str, row: Row, activity: Activity) -> Credential:
        never = (text(row, "validBeforeTime") or "").startswith("9999-")
        created, no_start = moment(row, "validAfterTime")
        expires, no_end = (None, None) if never else moment(row, "validBeforeTime")
        used = use(activity.keys.get(key), created, activity.keys_gap)
        reasons = {"created_at": no_start, "expires_at": no_end, "last_used_at": used.why}
        return Credential(
            uid=self.visit.uid("service-account-key", key),
            identity_uid=holder,
            provider=PROVIDER,
            scope=self.visit.scope,
            kind="service-account-key",
            enabled=row.get("disabled") is not True,
            created_at=created,
            expires_at=expires,
            never_expires=never,
            last_used_at=used.at,
            last_used_state=used.state,
            use_seen_to=used.seen_to,
            observed_at=self.visit.now(),
            unknown={name: why for name, why in reasons.items() if why is not None},
        )


def exposed(row: Row) -> bool:
    """Whether Google found the key published, or used by somebody who should not have it (iam v1 ServiceAccountKey)."""
    said = (row.get("disableReason"), *(one.get("key") for one in listed(row, "extendedStatus")))
    return any(isinstance(one, str) and _LOST.fullmatch(one) for one in said)


def _over(expires: datetime | None, now: datetime) -> bool:
    return expires is not None and expires <= now


def _shown(row: Row) -> dict[str, object]:
    # Not the value of a status: it says where the key can be found.
    return {**kept(row, _SHOWN, whole=True), "extendedStatus": [str(one.get("key")) for one in listed(row, "extendedStatus")]}
