"""Pools and providers: who outside Google may come in with tokens of their own, from which issuer, under which condition."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509

from connectors.gcp.members import Party
from connectors.gcp.permissions import POOLS, PROVIDERS, WORKFORCE_POOLS, WORKFORCE_PROVIDERS
from connectors.gcp.visit import PROVIDER
from countersign.fields import Row, inner, kept, listed, text
from countersign.identity import Identity, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.gcp.accounts import Created
    from connectors.gcp.permissions import Call
    from connectors.gcp.visit import Operation, Visit
    from countersign.identity import Observation

_NAME = re.compile(
    r"(?:projects/[0-9a-z:.-]+/)?locations/[a-z0-9-]+/work(?:loadIdentity|force)Pools/([A-Za-z0-9.-]+)(?:/providers/([A-Za-z0-9.-]+))?"
)
_ENTITY = re.compile(r"""\sentityID\s*=\s*["']([^"'<>]{1,2000})["']""")
_SHOWN_POOL = ("name", "displayName", "disabled", "state", "mode", "sessionDuration")
_SHOWN = ("name", "displayName", "disabled", "state", "attributeCondition", "attributeMapping", "aws")


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of a pool."""

    uid: str
    pool: str
    row: Row
    enabled: bool | None
    """None where its state, or the pool's, is a word that is not known."""
    parties: tuple[Party, ...] | None
    """Whom it lets in; None where that cannot be told."""


@dataclass(slots=True)
class Federation:
    """The pools of a project, or the workforce pools of an organization."""

    visit: Visit
    workforce: bool = False
    pools: dict[str, tuple[Provider, ...]] = field(default_factory=dict)
    listings: tuple[Operation, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of identity that a provider is."""
        return "workforce-provider" if self.workforce else "workload-identity-provider"

    @property
    def whole(self) -> bool:
        """Whether a pool that is not here does not exist."""
        return all(listing.state == "complete" for listing in self.listings)

    def read(self) -> Iterator[Observation]:
        """List pools, and the providers of each, yielding each page as it was answered."""
        calls: tuple[Call, Call] = (WORKFORCE_POOLS, WORKFORCE_PROVIDERS) if self.workforce else (POOLS, PROVIDERS)
        pools, providers = self.visit.operation(calls[0], self.kind), self.visit.operation(calls[1], self.kind)
        self.listings = (pools, providers)
        asked: dict[str, object] = {"parent": f"projects/{self.visit.scope}/locations/global", "pageSize": 1000}
        if self.workforce:
            asked = {"location": "locations/global", "parent": self.visit.scope, "pageSize": 100}
        found: list[Row] = []
        for page in pools.listed("workforcePools" if self.workforce else "workloadIdentityPools", asked):
            found += page
            yield pools.observe([kept(row, _SHOWN_POOL, whole=True) for row in page], parameters=asked)
        for row in found:
            name = text(row, "name") or ""
            match = _NAME.fullmatch(name)
            if match is None or match[2] is not None:
                pools.drop("pool without a usable name")
                continue
            yield from self._providers(match[1], row, providers)
        if pools.refused and not found:
            providers.refuse(str(pools.why), denied=bool(pools.denied))  # no pool, so nobody to ask about

    def _providers(self, pool: str, about: Row, listing: Operation) -> Iterator[Observation]:
        pools = "workforcePools" if self.workforce else f"projects/{self.visit.scope}/locations/global/workloadIdentityPools"
        asked = {"parent": f"locations/global/{pools}/{pool}" if self.workforce else f"{pools}/{pool}", "pageSize": 100}
        held: list[Provider] = []
        for page in listing.listed("workforcePoolProviders" if self.workforce else "workloadIdentityPoolProviders", asked):
            for row in page:
                match = _NAME.fullmatch(text(row, "name") or "")
                if match is None or match[2] is None:
                    listing.drop("provider without a usable name")
                    continue
                live = enabled(about, row)
                if live is None:
                    listing.gap("a state that is not known")
                held.append(Provider(self.visit.uid(self.kind, f"{pool}/{match[2]}"), pool, row, live, parties(row)))
            yield listing.observe([_shown(row) for row in page], parameters=asked)
        self.pools[pool] = tuple(held)

    def records(self, created: Created | None, gaps: dict[str, str]) -> Iterator[Identity | Trust]:
        """Yield every provider and whom it trusts; `gaps` are reasons for what was not read of any of them, by field."""
        for provider in (provider for pool in self.pools.values() for provider in pool):
            name = str(text(provider.row, "name"))
            born, no_birth = created.of(name) if created else (None, "Google tells no such time of workforce providers")
            unknown = {**gaps, "last_active_at": "Google tells no last use of a provider"}
            if no_birth is not None:
                unknown["created_at"] = no_birth
            if provider.enabled is None:
                unknown["enabled"] = "Google gave a state that is not known"
            if provider.parties is None:
                unknown["trusts"] = "whom it trusts is of a kind that is not known, or cannot be read"
            yield Identity(
                uid=provider.uid,
                provider=PROVIDER,
                scope=self.visit.scope,
                kind=self.kind,
                native_id=provider.uid.rpartition(f"{self.kind}/")[2],
                name=provider.uid.rpartition(f"{self.kind}/")[2],
                aliases=(name,),
                track="delegation",
                enabled=provider.enabled,
                created_at=born,
                purpose=text(provider.row, "description") or text(provider.row, "displayName"),
                observed_at=self.visit.now(),
                unknown=unknown,
            )
            for one in provider.parties or ():
                yield trust(self.visit, provider.uid, one)


def enabled(pool: Row, provider: Row) -> bool | None:
    """Whether tokens are exchanged: neither the pool nor the provider is disabled or deleted; None where a state is not known."""
    if any(one.get("disabled") is True or one.get("state") == "DELETED" for one in (pool, provider)):
        return False
    return True if all(one.get("state") in {None, "ACTIVE"} for one in (pool, provider)) else None


def trust(visit: Visit, subject: str, one: Party) -> Trust:
    """Say that a party may act as a subject."""
    return Trust(
        identity_uid=subject, provider=PROVIDER, scope=visit.scope, party_kind=one.kind, party=one.party, condition=one.condition
    )  # fmt: skip


def parties(row: Row) -> tuple[Party, ...] | None:
    """Give whom a provider lets in; None where its kind is new or its issuer cannot be read. No condition: anyone at that issuer."""
    condition = text(row, "attributeCondition")
    if issuer := text(inner(row, "oidc"), "issuerUri"):
        return (Party("oidc-issuer", issuer, condition),)
    if account := text(inner(row, "aws"), "accountId"):
        return (Party("aws-account", account, condition),)
    if entity := _ENTITY.search(text(inner(row, "saml"), "idpMetadataXml") or ""):
        return (Party("saml-provider", entity[1], condition),)
    anchors = listed(inner(inner(row, "x509"), "trustStore"), "trustAnchors")
    try:
        read = [x509.load_pem_x509_certificate((text(one, "pemCertificate") or "").encode()) for one in anchors]
    except ValueError:
        return None
    subjects = sorted({one.subject.rfc4514_string() for one in read})
    return tuple(Party("x509-issuer", subject, condition) for subject in subjects) or None


def _shown(row: Row) -> dict[str, object]:
    # Neither key material nor client settings: only who is trusted.
    return {**kept(row, _SHOWN, whole=True), "trusts": [[one.kind, one.party] for one in parties(row) or ()]}
