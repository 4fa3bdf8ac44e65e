"""What a running sandbox AWS knows beyond moto's own backends: roots, reports, records by listing, and what was asked."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.aws.disturbances import Disturbances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.aws.organizations import Organization

REGION = "eu-west-2"
"""Where things are when no Region is named."""


@dataclass(slots=True)
class Root:
    """The root user of an account, which moto does not have."""

    mfa: bool = True
    created_at: datetime = datetime(2019, 3, 4, 10, 0, tzinfo=UTC)
    password_last_used: datetime | None = None
    keys: tuple[tuple[datetime, datetime | None], ...] = ()
    """(created, last used) of each active key."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was put to the sandbox by anyone but itself."""

    account: str
    operation: str
    """Such as `iam:ListUsers`, by botocore's name of the service."""
    region: str
    """The Region it was signed for."""
    parameters: tuple[str, ...]
    """Names of the parameters given, sorted; empty when the request could not be read."""


@dataclass(slots=True)
class Estate:
    """State of one running sandbox."""

    roots: dict[str, Root] = field(default_factory=dict)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(account, action) asked by anyone but the sandbox itself."""
    asked: list[Asked] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    """Access key ids of sessions that have run out."""
    reports: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Credential reports by account: text and time of writing."""
    frozen: set[str] = field(default_factory=set)
    """Accounts whose report is kept as it is, as IAM does for four hours."""
    records: dict[tuple[str, str, str], list[dict[str, Any]]] = field(default_factory=dict)
    """(account, Region or empty, kind) to what is there, named as on the wire."""
    organization: Organization | None = None
    issuers: dict[str, str] = field(default_factory=dict)
    """By account: the issuer under which it identifies itself outside."""
    disturbances: Disturbances = field(default_factory=Disturbances)
    allowed: dict[str, frozenset[str]] = field(default_factory=dict)
    """Principals (ARNs, of a role's sessions without their names) who may call these operations and nothing else."""
    wrong: list[str] = field(default_factory=list)
    """Answers of the sandbox that broke a service's model."""
    now: datetime | None = None

    def kept(self, account: str, region: str, kind: str) -> list[dict[str, Any]]:
        """Give the records of a kind, to read and to add to; Region is empty where a service has none."""
        return self.records.setdefault((account, region, kind), [])

    def time(self) -> datetime:
        """Give the present, which is the machine's unless `now` was set."""
        return self.now or datetime.now(UTC)


def given(**values: object) -> dict[str, Any]:
    """Make a record of what is not None."""
    return {name: value for name, value in values.items() if value is not None}


def wire_tags(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Write tags as most services do."""
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def utc(when: datetime) -> datetime:
    """Give an instant in UTC; one without a zone is taken to be in UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def at(when: datetime | None) -> datetime | None:
    """Give an instant in UTC, or None."""
    return None if when is None else utc(when)


def naive(when: datetime) -> datetime:
    """Give a time as moto keeps it: UTC, without saying so."""
    return utc(when).replace(tzinfo=None)


def made_up(prefix: str, length: int, *parts: object) -> str:
    """Make an id of capital letters and digits, the same for the same parts, so that two demos can be compared."""
    return prefix + hashlib.sha256(repr(parts).encode()).hexdigest().upper()[: length - len(prefix)]


def made_up_uuid(*parts: object) -> str:
    """Make a UUID, the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, repr(parts)))
