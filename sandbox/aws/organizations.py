"""AWS Organizations of the sandbox: who belongs to it, who administers it, and who from outside pays for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sandbox.aws.contract import Refusal
from sandbox.aws.estate import at, given, made_up, utc, wire_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.aws import SandboxAws
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

State = Literal["PENDING_ACTIVATION", "ACTIVE", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"]
_STATUS = {"ACTIVE": "ACTIVE", "SUSPENDED": "SUSPENDED", "PENDING_CLOSURE": "PENDING_CLOSURE", "CLOSED": "SUSPENDED"}
_FOUNDED = datetime(2019, 3, 4, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Member:
    """One account of an organisation."""

    number: str
    name: str = ""
    """Empty for `account-` and its number."""
    state: State = "ACTIVE"
    joined: datetime = _FOUNDED
    invited: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    email: str = ""
    """Empty for one made up."""


@dataclass(slots=True)
class Organization:
    """The one organisation of a sandbox."""

    management: str
    members: tuple[Member, ...]
    """All accounts, the management account first."""
    retired_status: bool
    delegated: list[tuple[str, str, datetime]] = field(default_factory=list)
    """(account, service principal, since)."""
    services: list[tuple[str, datetime]] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def number(self) -> str:
        """The organisation's id."""
        return made_up("o-", 12, self.management).lower()

    def arn(self, account: str) -> str:
        """Give the ARN of a member."""
        return f"arn:aws:organizations::{self.management}:account/{self.number}/{account}"

    def account(self, member: Member) -> dict[str, Any]:
        """Describe a member as the service does."""
        return given(
            Id=member.number,
            Arn=self.arn(member.number),
            Email=_email(member),
            Name=member.name or f"account-{member.number}",
            State=member.state,
            Status=_STATUS.get(member.state) if self.retired_status else None,
            Paths=[f"{self.number}/r-root/{member.number}/"],
            JoinedMethod="INVITED" if member.invited else "CREATED",
            JoinedTimestamp=utc(member.joined),
        )


def found(aws: SandboxAws, management: str | Member, *members: str | Member, retired_status: bool = False) -> Organization:
    """Found the organisation: its management account, and every other account.

    `retired_status` also gives accounts the field Status, which AWS retired in September 2026 in favour of State.
    """
    everyone = tuple(one if isinstance(one, Member) else Member(one) for one in (management, *members))
    aws.estate.organization = Organization(everyone[0].number, everyone, retired_status)
    return aws.estate.organization


def delegate(aws: SandboxAws, account: str, service: str, since: datetime) -> None:
    """Make a member the delegated administrator of a service, such as `access-analyzer.amazonaws.com`."""
    _existing(aws.estate).delegated.append((account, service, since))


def service_access(aws: SandboxAws, service: str, since: datetime) -> None:
    """Let a service act in the organisation."""
    _existing(aws.estate).services.append((service, since))


def billing_transfer(  # noqa: PLR0913 -- a transfer has that many facets, all but two optional
    aws: SandboxAws,
    manager: str,
    started: datetime | None,
    *,
    name: str = "Billing transfer",
    status: Literal["REQUESTED", "DECLINED", "CANCELED", "EXPIRED", "ACCEPTED", "WITHDRAWN"] = "ACCEPTED",
    ended: datetime | None = None,
    email: str = "billing@channel.example.com",
) -> str:
    """Hand the organisation's billing to an outside management account and give the transfer's id (rt-...)."""
    ours = _existing(aws.estate)
    number = made_up("rt-", 11, ours.number, manager, name, len(ours.transfers)).lower()
    ours.transfers.append(
        given(
            Arn=f"arn:aws:organizations::{ours.management}:transfer/{ours.number}/billing/outbound/{number}",
            Name=name,
            Id=number,
            Type="BILLING",
            Status=status,
            Source={"ManagementAccountId": ours.management, "ManagementAccountEmail": _email(ours.members[0])},
            Target={"ManagementAccountId": manager, "ManagementAccountEmail": email},
            StartTimestamp=at(started),
            EndTimestamp=at(ended),
        )
    )
    return number


def _email(member: Member) -> str:
    return member.email or f"aws+{member.number}@example.com"


def _existing(estate: Estate) -> Organization:
    if estate.organization is None:
        message = "found the organisation first: aws.organization(management, ...)"
        raise LookupError(message)
    return estate.organization


def _ours(estate: Estate, ask: Ask, *, managing: bool = False) -> Organization:
    """Give the organisation to whom it may concern: its management account, else a delegated administrator; raises Refusal."""
    ours = estate.organization
    if ours is None or ask.account not in {one.number for one in ours.members}:
        raise Refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    may = {ours.management} | (set() if managing else {account for account, _, _ in ours.delegated})
    if ask.account not in may:
        raise Refusal("AccessDeniedException", "You don't have permissions to access this resource.")
    return ours


def _accounts(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask)
    return {"Accounts": [ours.account(one) for one in ours.members]}


def _account(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask)
    return {"Account": ours.account(_member(ours, ask.parameters["AccountId"]))}


def _describe(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = estate.organization
    if ours is None or ask.account not in {one.number for one in ours.members}:
        raise Refusal("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    described = {
        "Id": ours.number,
        "Arn": f"arn:aws:organizations::{ours.management}:organization/{ours.number}",
        "FeatureSet": "ALL",
        "MasterAccountId": ours.management,
        "MasterAccountArn": ours.arn(ours.management),
        "MasterAccountEmail": _email(ours.members[0]),
        "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
    }
    return {"Organization": described}


def _tags(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask)
    number = ask.parameters["ResourceId"]
    found_one = next((one for one in ours.members if one.number == number), None)
    if found_one is None:
        raise Refusal("TargetNotFoundException", "We can't find a root, OU, account, or policy with the id you specified.")
    return {"Tags": wire_tags(found_one.tags)}


def _administrators(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask)
    service = ask.parameters.get("ServicePrincipal")
    since: dict[str, datetime] = {}
    for account, principal, when in ours.delegated:
        if service in {None, principal}:
            since[account] = min(when, since.get(account, when))
    rows = [ours.account(_member(ours, account)) | {"DelegationEnabledDate": utc(when)} for account, when in since.items()]
    return {"DelegatedAdministrators": [{name: value for name, value in row.items() if name != "Paths"} for row in rows]}


def _delegated_services(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask)
    account = _member(ours, ask.parameters["AccountId"]).number
    rows = [
        {"ServicePrincipal": service, "DelegationEnabledDate": utc(since)} for whose, service, since in ours.delegated if whose == account
    ]
    if not rows:
        raise Refusal("AccountNotRegisteredException", "The account is not a delegated administrator of this organization.")
    return {"DelegatedServices": rows}


def _services(estate: Estate, ask: Ask) -> dict[str, Any]:
    return {
        "EnabledServicePrincipals": [
            {"ServicePrincipal": service, "DateEnabled": utc(since)} for service, since in _ours(estate, ask).services
        ]
    }


def _transfers(estate: Estate, ask: Ask) -> dict[str, Any]:
    return {"ResponsibilityTransfers": list(_ours(estate, ask, managing=True).transfers)}


def _terminate(estate: Estate, ask: Ask) -> dict[str, Any]:
    for row in _ours(estate, ask, managing=True).transfers:
        if row["Id"] == ask.parameters["Id"]:
            if row["Status"] != "ACCEPTED":
                raise Refusal("ResponsibilityTransferAlreadyInStatusException", f"The transfer is {row['Status']}.")
            row |= {"Status": "WITHDRAWN", "EndTimestamp": utc(ask.parameters.get("EndTimestamp") or estate.time())}
            return {"ResponsibilityTransfer": row}
    raise Refusal("ResponsibilityTransferNotFoundException", "We can't find that transfer.")


def _deregister(estate: Estate, ask: Ask) -> dict[str, Any]:
    ours = _ours(estate, ask, managing=True)
    account, service = _member(ours, ask.parameters["AccountId"]).number, ask.parameters["ServicePrincipal"]
    left = [one for one in ours.delegated if one[:2] != (account, service)]
    if len(left) == len(ours.delegated):
        raise Refusal("AccountNotRegisteredException", "The account is not a delegated administrator of this service.")
    ours.delegated[:] = left
    return {}


def _member(ours: Organization, number: str) -> Member:
    member = next((one for one in ours.members if one.number == number), None)
    if member is None:
        raise Refusal("AccountNotFoundException", "You specified an account that doesn't exist.")
    return member


ANSWERS: Mapping[str, Answering] = {
    "organizations:ListAccounts": _accounts,
    "organizations:DescribeAccount": _account,
    "organizations:DescribeOrganization": _describe,
    "organizations:ListTagsForResource": _tags,
    "organizations:ListDelegatedAdministrators": _administrators,
    "organizations:ListDelegatedServicesForAccount": _delegated_services,
    "organizations:ListAWSServiceAccessForOrganization": _services,
    "organizations:ListOutboundResponsibilityTransfers": _transfers,
    "organizations:TerminateResponsibilityTransfer": _terminate,
    "organizations:DeregisterDelegatedAdministrator": _deregister,
}
