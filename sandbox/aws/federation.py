"""Ways into an account for outside identities: OIDC and SAML providers and delegation requests; and its own way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from moto.iam.models import iam_backends

from sandbox.aws.certificates import YEAR
from sandbox.aws.contract import Refusal
from sandbox.aws.estate import at, given, made_up, made_up_uuid, naive, utc, wire_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

RequestState = Literal["UNASSIGNED", "ASSIGNED", "PENDING_APPROVAL", "FINALIZED", "ACCEPTED", "REJECTED", "EXPIRED"]
_KIND = "delegation-request"
_THUMBPRINT = "0123456789abcdef0123456789abcdef01234567"


def oidc_provider(
    account: SandboxAccount,
    url: str,
    created: datetime,
    *,
    client_ids: tuple[str, ...] = ("sts.amazonaws.com",),
    tags: Mapping[str, str] | None = None,
) -> str:
    """Trust an OIDC issuer (`https://...`) for some audiences, and give the provider's ARN."""
    kept = account.backend.create_open_id_connect_provider(url, [_THUMBPRINT], list(client_ids), wire_tags(tags))
    kept.create_date = naive(created)
    return str(kept.arn)


def saml_provider(account: SandboxAccount, name: str, created: datetime, *, valid_until: datetime | None = None) -> str:
    """Trust a SAML identity provider, for a year from its creation unless said otherwise, and give its ARN."""
    entity = f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://{name}.example.com/saml"/>'
    kept = account.backend.create_saml_provider(name, entity.ljust(1000))
    kept.create_date, kept.valid_until = naive(created), naive(valid_until or created + YEAR)
    kept.saml_provider_uuid = made_up("", 22, account.number, name)
    return str(kept.arn)


def outbound_federation(account: SandboxAccount, issuer: str | None = None) -> str:
    """Let the account vouch for its own identities outside, and give the issuer's address."""
    address = issuer or f"https://{made_up_uuid(account.number)}.tokens.sts.global.api.aws"
    account.estate.issuers[account.number] = address
    return address


def delegation_request(  # noqa: PLR0913 -- a request has that many facets, all but four optional
    account: SandboxAccount,
    requestor: str,
    requestor_name: str,
    created: datetime,
    *,
    state: RequestState = "ACCEPTED",
    owner: str | None = "",
    approver: str | None = None,
    expires: datetime | None = None,
    session_seconds: int = 3600,
    description: str = "",
    policy: str | None = None,
) -> str:
    """Let a partner's product ask for temporary rights in the account, and give the request's id.

    `owner` is an ARN, empty for the account's root; None leaves it without an owner, which IAM does not list. `policy` is
    the permission policy's JSON text.
    """
    kept = account.estate.kept(account.number, "", _KIND)
    number = made_up_uuid(account.number, requestor, len(kept))
    kept.append(
        given(
            DelegationRequestId=number,
            OwnerAccountId=account.number,
            Description=description or f"Access for {requestor_name}",
            PermissionPolicy=policy,
            Permissions={"PolicyTemplateArn": f"arn:aws:iam::{requestor}:delegation-template/standard"},
            OwnerId=f"arn:aws:iam::{account.number}:root" if owner == "" else owner,
            ApproverId=approver,
            State=state,
            ExpirationTime=at(expires),
            RequestorId=requestor,
            RequestorName=requestor_name,
            CreateDate=utc(created),
            SessionDuration=session_seconds,
            OnlySendByOwner=False,
            UpdatedTime=utc(created),
        )
    )
    return number


def _outbound(estate: Estate, ask: Ask) -> dict[str, Any]:
    if ask.account not in estate.issuers:
        raise Refusal("FeatureDisabled", "Outbound web identity federation is not enabled for this account.")
    return {"IssuerIdentifier": estate.issuers[ask.account], "JwtVendingEnabled": True}


def _requests(estate: Estate, ask: Ask) -> dict[str, Any]:
    owner = ask.parameters.get("OwnerId")
    rows = [row for row in estate.kept(ask.account, "", _KIND) if "OwnerId" in row and owner in {None, row["OwnerId"]}]
    return {"DelegationRequests": rows, "isTruncated": False}


def _request(estate: Estate, ask: Ask) -> dict[str, Any]:
    number = ask.parameters["DelegationRequestId"]
    for row in estate.kept(ask.account, "", _KIND):
        if row["DelegationRequestId"] == number:
            return {"DelegationRequest": row}
    raise Refusal("NoSuchEntity", f"Delegation request {number} does not exist.")


def _saml_provider(_: Estate, ask: Ask) -> dict[str, Any]:
    arn = ask.parameters["SAMLProviderArn"]
    for kept in iam_backends[ask.account]["aws"].saml_providers.values():
        if kept.arn == arn:
            return given(
                SAMLProviderUUID=getattr(kept, "saml_provider_uuid", None),
                SAMLMetadataDocument=kept.saml_metadata_document,
                CreateDate=at(kept.create_date),
                ValidUntil=at(kept.valid_until),
            )
    raise Refusal("NoSuchEntity", f"Manifest not found for arn {arn}")


def _remove_client_id(_: Estate, ask: Ask) -> dict[str, Any]:
    arn = ask.parameters["OpenIDConnectProviderArn"]
    kept = iam_backends[ask.account]["aws"].open_id_providers.get(arn)
    if kept is None:
        raise Refusal("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
    kept.client_id_list = [one for one in kept.client_id_list if one != ask.parameters["ClientID"]]
    return {}


def _add_client_id(_: Estate, ask: Ask) -> dict[str, Any]:
    arn = ask.parameters["OpenIDConnectProviderArn"]
    kept = iam_backends[ask.account]["aws"].open_id_providers.get(arn)
    if kept is None:
        raise Refusal("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
    if ask.parameters["ClientID"] not in kept.client_id_list:
        kept.client_id_list = [*kept.client_id_list, ask.parameters["ClientID"]]
    return {}


def _delete_saml_provider(_: Estate, ask: Ask) -> dict[str, Any]:
    arn, kept = ask.parameters["SAMLProviderArn"], iam_backends[ask.account]["aws"].saml_providers
    name = next((name for name, one in kept.items() if one.arn == arn), None)
    if name is None:
        raise Refusal("NoSuchEntity", f"SAMLProvider {arn} not found")
    del kept[name]
    return {}


def _reject(estate: Estate, ask: Ask) -> dict[str, Any]:
    row = _request(estate, ask)["DelegationRequest"]
    if row["State"] in {"FINALIZED", "REJECTED", "EXPIRED"}:
        raise Refusal("InvalidInput", f"A delegation request that is {row['State']} cannot be rejected.")
    row["State"] = "REJECTED"
    return {}


ANSWERS: Mapping[str, Answering] = {
    "iam:GetOutboundWebIdentityFederationInfo": _outbound,
    "iam:ListDelegationRequests": _requests,
    "iam:GetDelegationRequest": _request,
    "iam:GetSAMLProvider": _saml_provider,
    "iam:RemoveClientIDFromOpenIDConnectProvider": _remove_client_id,
    "iam:AddClientIDToOpenIDConnectProvider": _add_client_id,
    "iam:DeleteSAMLProvider": _delete_saml_provider,
    "iam:RejectDelegationRequest": _reject,
}
