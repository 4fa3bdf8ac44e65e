"""Outside parties' standing ways into an account: OIDC and SAML providers, and permissions delegated to partner products."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.aws.listing import Listing, keeping
from countersign.aws_documents.fields import moment, tags_of, text
from countersign.aws_documents.records import OWNER_TAGS, PURPOSE_TAGS
from countersign.identity import Credential, Grant, Identity, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import PartyKind

OIDC_PROVIDERS = Listing(
    service="iam",
    action="ListOpenIDConnectProviders",
    items="OpenIDConnectProviderList",
    reduce=keeping("Arn"),
    covers=("oidc-provider",),
)
OIDC_PROVIDER = Listing(
    service="iam",
    action="GetOpenIDConnectProvider",
    reduce=keeping("Url", "ClientIDList", "CreateDate", "Tags"),
    covers=("oidc-provider",),
)
SAML_PROVIDERS = Listing(
    service="iam",
    action="ListSAMLProviders",
    items="SAMLProviderList",
    reduce=keeping("Arn", "ValidUntil", "CreateDate"),
    covers=("saml-provider",),
)
DELEGATION_REQUESTS = Listing(
    service="iam",
    action="ListDelegationRequests",
    items="DelegationRequests",
    reduce=keeping(
        *("DelegationRequestId", "RequestorId", "RequestorName", "OwnerId", "ApproverId", "State", "ExpirationTime", "CreateDate"),
        *("SessionDuration", "RolePermissionRestrictionArns", "UpdatedTime"),
    ),
    size={"MaxItems": 1000},
    covers=("delegation-request",),
)
_IN_FORCE = frozenset({"ACCEPTED", "FINALIZED"})
_NOT_IN_FORCE = frozenset({"UNASSIGNED", "ASSIGNED", "PENDING_APPROVAL", "REJECTED", "EXPIRED"})
NO_USE = "AWS does not say when it was last used"
_NO_CREATOR = "IAM does not say who created it"


def providers(visit: Visit) -> Iterator[Identity | Credential | Trust]:
    """Give the OIDC providers, with one call for each, and the SAML providers."""
    for page in visit.pages(OIDC_PROVIDERS):
        for item in page:
            arn = text(item, "Arn")
            if arn:
                yield from _oidc(visit, arn)
            else:
                visit.counted(OIDC_PROVIDERS).drop("no Arn")
    for page in visit.pages(SAML_PROVIDERS):
        for item in page:
            if text(item, "Arn"):
                yield from _saml(visit, item)
            else:
                visit.counted(SAML_PROVIDERS).drop("no Arn")


def delegation_requests(visit: Visit) -> Iterator[Identity | Grant | Trust]:
    """Give what partner products have asked for and been given; requests that nobody owns are listed nowhere."""
    for page in visit.pages(DELEGATION_REQUESTS):
        for item in page:
            if text(item, "DelegationRequestId"):
                yield from _request(visit, item)
            else:
                visit.counted(DELEGATION_REQUESTS).drop("no DelegationRequestId")


def outsider(  # noqa: PLR0913 -- what there is to say of a delegation, most of it optional
    visit: Visit,
    kind: str,
    native_id: str,
    name: str,
    *,
    enabled: bool | None = True,
    aliases: tuple[str, ...] = (),
    tags: Mapping[str, str] | None = None,
    unknown: Mapping[str, str] | None = None,
) -> Identity:
    """Make the identity of an outside party's standing way in; when it was created and last used is for the caller to add."""
    given = dict(tags or {})
    claims = {key.casefold(): value.strip() for key, value in given.items()}
    return Identity(
        uid=visit.uid(kind, native_id),
        provider="aws",
        scope=visit.number,
        kind=kind,
        native_id=native_id,
        name=name,
        aliases=aliases,
        track="delegation",
        enabled=enabled,
        console=False,
        owner_claim=next((claims[tag] for tag in OWNER_TAGS if claims.get(tag)), None),
        purpose=next((claims[tag] for tag in PURPOSE_TAGS if claims.get(tag)), None),
        tags=given,
        observed_at=visit.now,
        unknown={"created_by": _NO_CREATOR, "last_active_at": NO_USE, **(unknown or {})},
    )


def trust(identity: Identity, party_kind: PartyKind, party: str, condition: str | None) -> Trust:
    """Make the trust of an identity in an outside party."""
    return Trust(identity_uid=identity.uid, provider="aws", scope=identity.scope, party_kind=party_kind, party=party, condition=condition)


def _oidc(visit: Visit, arn: str) -> Iterator[Identity | Trust]:
    told = visit.one(OIDC_PROVIDER, {"OpenIDConnectProviderArn": arn})
    address = arn.partition(":oidc-provider/")[2] or arn
    if told is None:
        if visit.counted(OIDC_PROVIDER).refused:
            why = visit.why(OIDC_PROVIDER)
            yield outsider(visit, "oidc-provider", arn, address, unknown={"created_at": why, "trusts": why})
        return
    address = text(told, "Url").removeprefix("https://") or address
    listed = told.get("ClientIDList")
    audiences = sorted(str(one) for one in listed) if isinstance(listed, list) else []
    provider = replace(
        outsider(
            visit,
            "oidc-provider",
            arn,
            address,
            enabled=True if audiences else None,
            aliases=(f"https://{address}",),
            tags=tags_of(told),
            unknown={} if audiences else {"enabled": "it has no audience, and AWS does not say whether any token fits then"},
        ),
        created_at=moment(told.get("CreateDate")),
    )
    yield provider
    yield trust(provider, "oidc-issuer", f"https://{address}", f"aud: {', '.join(audiences)}" if audiences else None)


def _saml(visit: Visit, item: Item) -> Iterator[Identity | Credential | Trust]:
    arn = text(item, "Arn")
    provider = replace(
        outsider(visit, "saml-provider", arn, arn.partition(":saml-provider/")[2] or arn), created_at=moment(item.get("CreateDate"))
    )
    yield provider
    yield trust(provider, "saml-provider", arn, None)
    ends = moment(item.get("ValidUntil"))
    if ends is not None:
        yield Credential(
            uid=visit.uid("certificate", arn),
            identity_uid=provider.uid,
            provider="aws",
            scope=visit.number,
            name=provider.name,
            kind="certificate",
            enabled=True,
            created_at=provider.created_at,
            expires_at=ends,
            observed_at=visit.now,
            unknown={"last_used_at": NO_USE},
        )


def _request(visit: Visit, item: Item) -> Iterator[Identity | Grant | Trust]:
    native_id, state = text(item, "DelegationRequestId"), text(item, "State")
    unknown = {}
    if state not in _IN_FORCE | _NOT_IN_FORCE:
        unknown["enabled"] = f"its State is {state or 'not given'}"
    requestor = text(item, "RequestorId")
    if not requestor:
        unknown["trusts"] = f"{DELEGATION_REQUESTS.operation} gives no RequestorId"
    request = replace(
        outsider(
            visit,
            "delegation-request",
            native_id,
            text(item, "RequestorName") or native_id,
            enabled=None if unknown.get("enabled") else state in _IN_FORCE,
            aliases=(requestor,) if requestor else (),
            unknown=unknown,
        ),
        created_at=moment(item.get("CreateDate")),
        purpose=text(item, "Description") or None,
        owner_claim=text(item, "OwnerId") or None,
    )
    yield request
    approver = text(item, "ApproverId")
    if requestor:
        yield trust(request, "aws-account", requestor, f"approved by {approver}" if approver else None)
    permissions = item.get("Permissions")
    template = text(permissions, "PolicyTemplateArn") if isinstance(permissions, dict) else ""
    if template or text(item, "PermissionPolicy"):
        # What a template allows is AWS's to say, and its parameters are filled in per request.
        yield Grant(
            identity_uid=request.uid,
            provider="aws",
            scope=visit.number,
            role=template or "the request's own policy",
            power=None,
            via="delegated",
        )
