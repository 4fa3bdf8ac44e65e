"""What resource policies share with outside parties, as IAM Access Analyzer finds it: a second list beside our own reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.aws.federation import outsider, trust
from connectors.aws.listing import Listing, keeping
from countersign.aws_documents.fields import text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import Identity, PartyKind, Trust

ANALYZERS = Listing(
    service="accessanalyzer",
    action="ListAnalyzers",
    items="analyzers",
    reduce=keeping("arn", "type", "status"),
    start="nextToken",
    covers=("shared-resource",),
)
# The older call, since it gives party and condition in its pages; the newer one has them only finding by finding.
FINDINGS = Listing(
    service="accessanalyzer",
    action="ListFindings",
    items="findings",
    reduce=keeping(
        "id", "principal", "condition", "resource", "resourceType", "resourceOwnerAccount", "isPublic", "status", "updatedAt", "error"
    ),
    start="nextToken",
    size={"maxResults": 100},
    covers=("shared-resource",),
)
ANALYZED = "analyzed"
"""Key of a scope's detail: regions where an analyzer of the whole organisation reports on this account too."""
_NARROWING = frozenset(
    {
        *("sts:externalid", "aws:principalorgid", "aws:principalarn", "aws:principalaccount", "aws:userid", "aws:sourcearn"),
        *("aws:sourceaccount", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceorgid", "kms:calleraccount"),
        *("kms:grantisforawsresource", "s3:dataaccesspointaccount"),
    }
)
"""Condition keys that say who may come in or from where; others say how (transport, the service in between)."""
_NAMED = 3


class Sharing:
    """Gathers one account's findings over its regions; resources come out once each, with every party."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._resources: dict[str, tuple[Item, dict[tuple[PartyKind, str, str | None], None]]] = {}
        self._roles: dict[str, None] = {}
        """Roles of this account that outside parties may assume, by the analyzer's word."""

    def read(self) -> Iterator[Identity | Trust]:
        """Read each region and give the shared resources."""
        silent = []
        elsewhere = set(self._visit.request.scope.detail.get(ANALYZED, "").split(","))
        for region in self._visit.regions:
            before = self._visit.counted(ANALYZERS).refused.total()
            found = self._analyzer(region)
            if found is not None:
                self._findings(region, found, whole=region not in elsewhere)
            elif region not in elsewhere and self._visit.counted(ANALYZERS).refused.total() == before:
                silent.append(region)
        tally = self._visit.counted(ANALYZERS)
        if silent:
            tally.note = f"no analyzer of outside access is on in {', '.join(silent)}: what resource policies share there is not known"
        for item, parties in self._resources.values():
            yield from _records(self._visit, item, parties)

    def cross_check(self, roles: Collection[str]) -> None:
        """Hold the analyzer's roles against ours: `roles` are the ARNs of those that we found to trust an outside party."""
        if not self._roles:
            return
        tally = self._visit.counted(FINDINGS)
        tally.independent_count = len(self._resources) + len(self._roles)
        missed = [arn for arn in self._roles if arn not in roles]
        if missed:
            named = ", ".join(missed[:_NAMED])
            tally.leave_out("a role that the analyzer calls open to the outside, and its trust policy as we read it does not", len(missed))
            tally.note = f"the analyzer names outside access to {named}, which the trust policy as we read it does not give"

    def _analyzer(self, region: str) -> tuple[str, str] | None:
        """Find the region's analyzer of outside access, that of the organisation before the account's own: its ARN and type."""
        found: dict[str, str] = {}
        for page in self._visit.pages(ANALYZERS, region=region):
            for item in page:
                if text(item, "status") == "ACTIVE" and text(item, "arn"):
                    found.setdefault(text(item, "type"), text(item, "arn"))
        return next(((found[kind], kind) for kind in ("ORGANIZATION", "ACCOUNT") if kind in found), None)

    def _findings(self, region: str, analyzer: tuple[str, str], *, whole: bool) -> None:
        arn, kind = analyzer
        if kind == "ACCOUNT" and not whole:
            return
        wanted = {"analyzerArn": arn, "filter": {"status": {"eq": ["ACTIVE", "ARCHIVED"]}}}
        for page in self._visit.pages(FINDINGS, wanted, region=region):
            for item in page:
                self._take(item)

    def _take(self, item: Item) -> None:
        tally = self._visit.counted(FINDINGS)
        resource = text(item, "resource")
        if text(item, "status") == "RESOLVED":
            return
        if text(item, "error"):
            tally.drop(f"could not be analysed: {text(item, 'error')}")
        elif not resource:
            tally.drop("no resource")
        elif text(item, "resourceType") == "AWS::IAM::Role":
            if text(item, "resourceOwnerAccount") == self._visit.number:
                self._roles[resource] = None
            else:
                tally.leave_out("a role of another account of the organisation, which is read there")
        else:
            parties = _parties(item)
            if not parties:
                tally.drop("no outside principal")
                return
            _, known = self._resources.setdefault(resource, (item, {}))
            known.update(dict.fromkeys(parties))


def _records(visit: Visit, item: Item, parties: Mapping[tuple[PartyKind, str, str | None], None]) -> Iterator[Identity | Trust]:
    owner = text(item, "resourceOwnerAccount")
    shared = outsider(
        visit,
        "shared-resource",
        text(item, "resource"),
        text(item, "resource"),
        aliases=(text(item, "resourceType"), *((f"account {owner}",) if owner and owner != visit.number else ())),
        unknown={
            "created_at": "Access Analyzer says when it found the access, not when it was given",
            "created_by": "Access Analyzer does not say who gave the access",
            "last_active_at": "Access Analyzer does not say whether the access is used",
        },
    )
    yield shared
    yield from (trust(shared, *party) for party in parties)


def _parties(item: Item) -> list[tuple[PartyKind, str, str | None]]:
    condition = _condition(item.get("condition"))
    if item.get("isPublic") is True:
        return [("anyone", "*", condition)]
    principal = item.get("principal")
    found: list[tuple[PartyKind, str, str | None]] = []
    for kind, name in principal.items() if isinstance(principal, dict) else ():
        party = _party(str(kind), str(name))
        if party is not None:
            found.append((*party, condition))
    return found


def _party(kind: str, name: str) -> tuple[PartyKind, str] | None:
    if kind == "AWS" and name == "*":
        return "anyone", "*"
    if kind == "AWS" and name:
        return "aws-account", (name.split(":", 5)[4] or name) if name.count(":") >= 5 else name  # noqa: PLR2004 -- arn:partition:service:region:account:resource
    if kind == "CanonicalUser" and name:
        return "aws-account", name
    if kind == "Federated" and ":saml-provider/" in name:
        return "saml-provider", name
    if kind == "Federated" and name:
        issuer = name.split(":oidc-provider/", 1)[-1]
        return "oidc-issuer", f"https://{issuer.removeprefix('https://')}"
    return ("aws-service", name) if kind == "Service" and name else None


def _condition(value: object) -> str | None:
    """Name the keys of a finding's condition that narrow who may come in."""
    keys = sorted(str(key) for key, wanted in value.items() if wanted != "*") if isinstance(value, dict) else []
    return ", ".join(key for key in keys if _narrows(key.lower())) or None


def _narrows(key: str) -> bool:
    return key in _NARROWING or key.endswith((":sub", ":aud")) or key.startswith("saml:")
