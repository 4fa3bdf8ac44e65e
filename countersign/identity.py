"""The typed records that every connector yields: what a provider said, in the same words for every provider.

`None` means that the provider says there is none. Where something was not read or cannot be known, the field is
None *and* `unknown` names the field with the reason. All times are UTC.

What there are millions of has no slots: orjson, which writes them down, is twice as fast with an object that has a `__dict__`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Track = Literal["human", "machine", "delegation"]
"""`delegation`: an outside party's standing way in that is no identity of ours (a shared resource, a partner tenant, a pool provider)."""
Power = Literal["administrator", "escalation", "limited"]
"""`escalation`: not an administrator, but able to become one (`countersign.privilege`)."""
UseState = Literal["known", "never", "unknown"]
CoverageState = Literal["complete", "partial", "denied", "failed"]
PartyKind = Literal[
    "aws-account", "anyone", "oidc-issuer", "saml-provider", "x509-issuer", "aws-service", "entra-tenant", "gcp-principal", "email-domain"
]  # fmt: skip
"""`gcp-principal`: a Google project, by its id; `email-domain`: whoever has a mailbox there; `x509-issuer`: a certificate authority."""


def uid(provider: str, scope: str, kind: str, native_id: str) -> str:
    """Return the subject id `provider:scope:kind/immutable-id` that findings are fingerprinted by."""
    return f"{provider}:{scope}:{kind}/{native_id}"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Anything that can authenticate."""

    uid: str
    provider: str
    scope: str
    """Account, project, tenant or namespace, as the connector's scopes name it."""
    kind: str
    """`user`, `role`, `service-principal`, `application`, `service-account`, `entity`, `approle`, `token`, ..."""
    native_id: str
    """The provider's immutable id (AIDA..., object id, unique id)."""
    name: str
    """What people call it; may be hostile, may change."""
    aliases: tuple[str, ...] = ()
    """Other names the provider knows it by (ARN, appId, e-mail)."""
    track: Track | None
    enabled: bool | None
    provider_managed: bool = False
    """True where nobody can be asked to own it: the provider's own (service-linked roles), and places (`mount`, `account`, `project`)."""
    console: bool | None = None
    """Whether it can log in interactively."""
    mfa: bool | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    last_active_at: datetime | None = None
    last_active_state: UseState = "unknown"
    use_seen_to: datetime | None = None
    """Use is known up to this time (a report's age); None: up to the moment of reading."""
    owner_claim: str | None = None
    """A tag, label or directory owner: evidence, not accountability."""
    purpose: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    observed_at: datetime
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Field name to reason, for each field that could not be read."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What an identity authenticates with. Never the secret itself."""

    uid: str
    identity_uid: str
    provider: str
    scope: str
    name: str | None = None
    """What people call it, where it has a name of its own (a stored secret, an API key); may be hostile, may change."""
    kind: str
    """`access-key`, `password`, `client-secret`, `certificate`, `service-account-key`, `secret-id`, `token`, `secret`, ..."""
    enabled: bool | None
    created_at: datetime | None = None
    """When this secret came into being: creation, or the last rotation where the provider rotates in place."""
    expires_at: datetime | None = None
    never_expires: bool = False
    """True: the provider says that it has no end. False with `expires_at` None: this kind has no expiry to set."""
    last_used_at: datetime | None = None
    last_used_state: UseState = "unknown"
    use_seen_to: datetime | None = None
    """Use is known up to this time (a report's age); None: up to the moment of reading."""
    ttl_s: int | None = None
    observed_at: datetime
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A privilege that an identity holds."""

    identity_uid: str
    provider: str
    scope: str
    role: str
    """Policy or role, by the provider's name."""
    resource: str = "*"
    """Where it holds, by the provider's own path; `*`: everywhere in the scope."""
    power: Power | None
    """By the provider's listed rules (`countersign.privilege`). None: what the role allows could not be read."""
    rule: str | None = None
    """Id of the listed rule that decided; None where it is limited or not known."""
    via: str = "direct"
    """`direct`, `inline`, `group:<name>`, `entity`, `eligible`, `owner`, ..."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """A party outside the identity's own scope that may act as it."""

    identity_uid: str
    provider: str
    scope: str
    party_kind: PartyKind
    party: str
    """Account number, issuer URL, tenant id, project id, mail domain, subject of a certificate authority; `*` for anyone."""
    condition: str | None = None
    """The condition that narrows it (`sts:ExternalId`, `token.example:sub`); None: nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How one operation on one scope went: `complete`, or what is missing and why."""

    source: str
    provider: str
    scope: str
    operation: str
    """The provider's name of the call, such as `iam:GetAccountAuthorizationDetails`."""
    state: CoverageState
    covers: tuple[str, ...] = ()
    """Kinds of record this operation is the listing of (`user`, `access-key`, ...); empty for details and counts."""
    pages: int = 0
    rows: int = 0
    """Rows that the provider returned, kept or not."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason to count, for rows and parts of rows that were not kept."""
    independent_count: int | None = None
    """The same population counted by a second method, where the provider has one."""
    error: str | None = None
    started: datetime
    finished: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Which call said a field of a kind in a scope, and when."""

    provider: str
    scope: str
    kind: str
    field: str
    """Field name of the record, or `*` for all fields not named."""
    call: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One answer of a provider, reduced to an allow-list of fields: the raw material an auditor can re-read."""

    source: str
    scope: str
    operation: str
    parameters: Mapping[str, object]
    page: int
    at: datetime
    caller: str
    """Who asked, by the provider's word (STS caller ARN, token display name)."""
    items: tuple[Mapping[str, object], ...]


Record = Identity | Credential | Grant | Trust | Coverage | Provenance | Observation

CREDENTIAL_KINDS = frozenset({
    "access-key", "password", "client-secret", "certificate", "federated-credential", "service-account-key", "api-key", "secret-id",
    "token", "secret", "database-role", "lease", "service-specific-credential", "signing-certificate", "ssh-key", "server-certificate",
})  # fmt: skip
"""Kinds of subject that are credentials; every other kind is an identity."""
IDENTITIES_TOO = frozenset({"token"})
"""Kinds that are both: a token without an entity is itself the identity."""
