"""Service accounts of a project, and when each came into being, which IAM does not say but Cloud Asset does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.names import tail
from connectors.gcp.permissions import ACCOUNTS, SEARCH_RESOURCES
from connectors.gcp.use import use
from connectors.gcp.visit import PROVIDER
from countersign.fields import Row, inner, kept, lines, moment, pairs, text
from countersign.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from connectors.gcp.use import Activity
    from connectors.gcp.visit import Operation, Visit
    from countersign.identity import Observation

PAGE, SEARCH_PAGE = 100, 500
_ACCOUNT, _PROVIDER = "iam.googleapis.com/ServiceAccount", "iam.googleapis.com/WorkloadIdentityPoolProvider"
_UNIQUE = re.compile(r"[0-9]{1,30}")
_SHOWN = ("name", "email", "uniqueId", "displayName", "description", "disabled")
_SHOWN_FOUND = ("name", "assetType", "createTime", "project", "additionalAttributes")


@dataclass(slots=True)
class Accounts:
    """The service accounts of one project, by unique id."""

    visit: Visit
    rows: dict[str, Row] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """E-mail, and unique id, to unique id."""
    listing: Operation | None = None

    def read(self) -> Iterator[Observation]:
        """List them, yielding each page as it was answered."""
        self.listing = listing = self.visit.operation(ACCOUNTS, "service-account")
        asked = {"name": f"projects/{self.visit.scope}", "pageSize": PAGE}
        for page in listing.listed("accounts", asked):
            for row in page:
                unique, email = text(row, "uniqueId"), text(row, "email")
                if unique is None or email is None or not _UNIQUE.fullmatch(unique):
                    listing.drop("account without a unique id or an e-mail")
                    continue
                self.rows[unique] = row
                self.ids[unique] = self.ids[email] = unique
            yield listing.observe([kept(row, _SHOWN, whole=True) for row in page], parameters=asked)

    def unlisted(self, unique: str, email: str | None) -> None:
        """Add an account that only others tell of (Cloud Asset, its keys), since the listing is not whole."""
        self.ids.setdefault(unique, unique)
        if email is not None:
            self.ids.setdefault(email, unique)

    @property
    def whole(self) -> bool:
        """Whether an account that is not here does not exist."""
        return self.listing is not None and self.listing.state == "complete"

    def uid(self, name: str) -> str | None:
        """Give the subject id of an account by e-mail or unique id; None when there is no such account here."""
        unique = self.ids.get(name)
        return None if unique is None else self.visit.uid("service-account", unique)

    def identities(
        self, created: Created, activity: Activity, gaps: Mapping[str, str], own_gaps: Mapping[str, Mapping[str, str]]
    ) -> Iterator[Identity]:
        """Yield every account; the gaps are reasons for what was not read of all of them, or by unique id, by field."""
        for unique in sorted(set(self.ids.values())):
            row = self.rows.get(unique)
            missing = {**own_gaps.get(unique, {}), **gaps}
            yield self._bare(unique, created, missing) if row is None else self._identity(unique, row, created, activity, missing)

    def _identity(self, unique: str, row: Row, created: Created, activity: Activity, gaps: dict[str, str]) -> Identity:
        email = str(text(row, "email"))
        unknown = dict(gaps)
        born, no_birth = created.of(unique, email)
        if no_birth is not None:
            unknown["created_at"] = no_birth
        used = use(activity.accounts.get(unique) or activity.accounts.get(email), born, activity.accounts_gap)
        if used.why is not None:
            unknown["last_active_at"] = used.why
        description, title = text(row, "description"), text(row, "displayName")
        tags = pairs(*lines(description), *lines(title))
        return Identity(
            uid=self.visit.uid("service-account", unique),
            provider=PROVIDER,
            scope=self.visit.scope,
            kind="service-account",
            native_id=unique,
            name=email,
            aliases=(email,),
            track="machine",
            enabled=row.get("disabled") is not True,  # Google leaves false fields out of its JSON
            console=False,
            created_at=born,
            last_active_at=used.at,
            last_active_state=used.state,
            use_seen_to=used.seen_to,
            owner_claim=tags.get("owner"),
            purpose=tags.get("purpose") or description or title,
            tags=tags,
            observed_at=self.visit.now(),
            unknown=unknown,
        )

    def _bare(self, unique: str, created: Created, gaps: dict[str, str]) -> Identity:
        why = (self.listing.why if self.listing else None) or "its account was not listed"
        missing = dict.fromkeys(("enabled", "last_active_at", "purpose", "tags"), why)
        born, no_birth = created.of(unique)
        if no_birth is not None:
            missing["created_at"] = no_birth
        name = next(name for name in (*(email for email, held in self.ids.items() if held == unique and email != unique), unique))
        return Identity(
            uid=self.visit.uid("service-account", unique),
            provider=PROVIDER,
            scope=self.visit.scope,
            kind="service-account",
            native_id=unique,
            name=name,
            track="machine",
            enabled=None,
            console=False,
            created_at=born,
            observed_at=self.visit.now(),
            unknown={**missing, **gaps},
        )


@dataclass(slots=True)
class Created:
    """When accounts and providers were created, by Cloud Asset's search."""

    visit: Visit
    at: dict[str, datetime] = field(default_factory=dict)
    """By unique id and e-mail of an account, by resource name of anything else."""
    accounts: dict[str, str | None] = field(default_factory=dict)
    """Unique id to e-mail of each account that was found."""
    number: str | None = None
    """The project's number, which each result tells."""
    search: Operation | None = None

    def read(self) -> Iterator[Observation]:
        """Search, yielding each page as it was answered."""
        self.search = search = self.visit.operation(SEARCH_RESOURCES)
        asked = {"scope": f"projects/{self.visit.scope}", "assetTypes": [_ACCOUNT, _PROVIDER], "pageSize": SEARCH_PAGE}
        for page in search.listed("results", asked):
            for row in page:
                name, (at, _) = text(row, "name"), moment(row, "createTime")
                if name is None:
                    search.drop("result without a name")
                    continue
                self.number = self.number or tail(text(row, "project"))
                about = inner(row, "additionalAttributes")
                unique = text(about, "uniqueId") or tail(name) or ""
                if row.get("assetType") == _ACCOUNT and _UNIQUE.fullmatch(unique):
                    self.accounts[unique] = text(about, "email")
                if at is not None:
                    self.at.update(dict.fromkeys(_names(name, row), at))
            yield search.observe([kept(row, _SHOWN_FOUND, whole=True) for row in page], parameters=asked)

    def of(self, *names: str) -> tuple[datetime | None, str | None]:
        """Give the time by the first name that is known, and else the reason why there is none."""
        found = next((self.at[name] for name in names if name in self.at), None)
        if found is not None:
            return found, None
        return None, (self.search.why if self.search else None) or "Cloud Asset's search does not have it (yet), and IAM keeps no such time"


def _names(name: str, row: Row) -> Iterator[str]:
    """Give what others call a result: unique id and e-mail of an account, and anything else by its name without the host."""
    if row.get("assetType") != _ACCOUNT:
        yield name.removeprefix("//").partition("/")[2]
        return
    about = inner(row, "additionalAttributes")
    yield from (one for one in (tail(name), text(about, "uniqueId"), text(about, "email")) if one is not None)
