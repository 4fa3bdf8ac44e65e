"""The organisation: which accounts it has, who else administers it, and who outside manages its bills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connectors.aws.analyzer import ANALYZED, ANALYZERS
from connectors.aws.door import ORGANIZATION, account_of, caller, role_arn
from connectors.aws.federation import outsider, trust
from connectors.aws.listing import Listing, keeping
from connectors.aws.sdk import client, reason_of, told
from countersign.aws_documents.fields import details, moment, tags_of, text
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Grant
from countersign.reading import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import Identity, Trust
    from countersign.programme import AwsSource

LIST_ACCOUNTS = "organizations:ListAccounts"
ACCOUNT_TAGS = "organizations:ListTagsForResource"
DELEGATED = Listing(
    service="organizations",
    action="ListDelegatedAdministrators",
    items="DelegatedAdministrators",
    reduce=keeping("Id", "Name", "State", "Status", "DelegationEnabledDate"),
    start="NextToken",
    size={"MaxResults": 20},
    covers=("account",),
)
DELEGATED_SERVICES = Listing(
    service="organizations",
    action="ListDelegatedServicesForAccount",
    items="DelegatedServices",
    reduce=keeping("ServicePrincipal", "DelegationEnabledDate"),
    start="NextToken",
    size={"MaxResults": 20},
    covers=("account",),
)
BILLING = Listing(
    service="organizations",
    action="ListOutboundResponsibilityTransfers",
    items="ResponsibilityTransfers",
    reduce=keeping("Arn", "Id", "Name", "Type", "Status", "Source", "Target", "StartTimestamp", "EndTimestamp"),
    start="NextToken",
    size={"MaxResults": 20},
    covers=("billing-transfer",),
)
OWN = "own"
"""Key of the management account's detail: numbers of accounts that are the organisation's own and are not read, with commas."""
_NAME, _LISTED, _LEFT_OUT = "name", "accounts", "left out"
"""Keys of a scope's detail: the account's name; on the management account, how many there are and how many are not read."""
_MOST_PAGES = 2000
"""Pages of 20 accounts; AWS allows no organisation of that size."""


@dataclass(frozen=True, slots=True)
class _Member:
    number: str
    name: str
    state: str
    management: str


def scopes_of(source: AwsSource) -> tuple[Scope, ...]:
    """List the organisation's active accounts, and those configured in addition.

    Raises ScopeDeniedError or ReadError when the listing is refused or breaks off: part of an organisation is never taken for
    all of it.
    """
    if source.role is None:
        raise ReadError(
            "list accounts", f"source {source.name} reads an organisation and names no role; name the role that all accounts have"
        )
    members = _members(source)
    active = [one for one in members if one.state == "ACTIVE"]
    left = {state: sum(one.state == state for one in members) for state in sorted({one.state for one in members} - {"ACTIVE"})}
    analyzed = ",".join(_analyzed(source))
    scopes = []
    for one in active:
        detail = {"role": role_arn(source, one.number) or "", ORGANIZATION: one.management, _NAME: one.name}
        if one.number == one.management:
            detail |= {_LISTED: str(len(members)), _LEFT_OUT: ", ".join(f"{count} {state}" for state, count in left.items())}
            detail[OWN] = ",".join(member.number for member in members if member.state != "ACTIVE")
        elif analyzed:
            detail[ANALYZED] = analyzed
        scopes.append(Scope(source.name, "aws", one.number, detail))
    known = {scope.name for scope in scopes}
    more = [number for number in source.accounts if number not in known]
    scopes += [Scope(source.name, "aws", number, {"role": role_arn(source, number) or ""}) for number in more]
    return tuple(scopes)


def is_management(scope: Scope) -> bool:
    """Whether a scope is the account that manages the organisation it was found in."""
    return scope.detail.get(ORGANIZATION) == scope.name


def name_of(scope: Scope) -> str:
    """Give the account's name, or its number where no organisation gives it a name."""
    return scope.detail.get(_NAME) or scope.name


def count_accounts(visit: Visit) -> None:
    """Say on the management account how many accounts there are, and how many of them are not read because they are closed."""
    detail = visit.request.scope.detail
    if not detail.get(_LISTED, "").isdecimal():
        return
    tally = visit.tally(LIST_ACCOUNTS)
    tally.answered(int(detail[_LISTED]))
    for part in filter(None, detail.get(_LEFT_OUT, "").split(", ")):
        count, _, state = part.partition(" ")
        tally.leave_out(f"the account is {state}", int(count))


def account_tags(visit: Visit) -> tuple[dict[str, str], str | None]:
    """Ask for the tags of an account in an organisation with the credentials at hand, since members may not; the reason where refused."""
    if ORGANIZATION not in visit.request.scope.detail:
        return {}, None
    source = visit.account.source
    found: dict[str, str] = {}
    start: dict[str, str] = {}
    try:
        for _ in range(_MOST_PAGES):
            answer = told(
                ACCOUNT_TAGS,
                lambda more=start: client(source, "organizations", patient=False).list_tags_for_resource(ResourceId=visit.number, **more),  # type: ignore[misc] # the default binds this page's start
            )
            if not isinstance(answer.get("Tags"), list):
                return {}, f"{ACCOUNT_TAGS}: the answer has no list of Tags"
            found |= tags_of(answer)
            if not text(answer, "NextToken"):
                break
            start = {"NextToken": text(answer, "NextToken")}
    except ReadError as error:
        return {}, str(error)
    return found, None


def management(visit: Visit) -> Iterator[Identity | Grant | Trust]:
    """Give what only the management account can say: who else administers the organisation, and who outside manages its bills."""
    count_accounts(visit)
    for page in visit.pages(DELEGATED):
        for item in page:
            number = text(item, "Id")
            if not number:
                visit.counted(DELEGATED).drop("no Id")
                continue
            for services in visit.pages(DELEGATED_SERVICES, {"AccountId": number}):
                for service in services:
                    yield _delegated(visit, number, text(service, "ServicePrincipal") or "a service without name")
    for page in visit.pages(BILLING, {"Type": "BILLING"}):
        for item in page:
            if text(item, "Id") or text(item, "Arn"):
                yield from _transfer(visit, item)
            else:
                visit.counted(BILLING).drop("no Id")


def _members(source: AwsSource) -> list[_Member]:
    organizations = client(source, "organizations")
    found: dict[str, _Member] = {}
    start: dict[str, str] = {}
    starts: set[str] = set()
    for _ in range(_MOST_PAGES):
        try:
            answer = told(LIST_ACCOUNTS, lambda more=start: organizations.list_accounts(MaxResults=20, **more))  # type: ignore[misc] # the default binds this page's start
        except ScopeDeniedError as error:
            who = caller(source)
            why = f"{reason_of(error)}; {who} needs {LIST_ACCOUNTS} in the management account, or in one it has delegated administration to"
            raise ScopeDeniedError(LIST_ACCOUNTS, why) from error
        if not isinstance(answer.get("Accounts"), list):
            raise ReadError(LIST_ACCOUNTS, "an answer has no list of Accounts")
        for item in details(answer, "Accounts"):
            number = text(item, "Id")
            if not number:
                raise ReadError(LIST_ACCOUNTS, "an account without Id was listed; nothing is read, since one that counts may be missing")
            state = text(item, "State") or text(item, "Status") or "in no state"
            # An account's ARN bears the number of the account that manages it.
            found[number] = _Member(number, text(item, "Name"), state, account_of(text(item, "Arn")))
        token = text(answer, "NextToken")
        if not token:
            return list(found.values())
        if token in starts and (answer["Accounts"] or start.get("NextToken") != token):
            break
        starts.add(token)
        start = {"NextToken": token}
    raise ReadError(LIST_ACCOUNTS, "the listing does not come to an end")


def _analyzed(source: AwsSource) -> Iterator[str]:
    """Give the regions where the credentials at hand see an analyzer of the whole organisation; none where they may not look."""
    for region in source.regions:
        try:
            answer = told(
                ANALYZERS.operation,
                lambda where=region: client(source, "accessanalyzer", where, patient=False).list_analyzers(type="ORGANIZATION"),  # type: ignore[misc] # the default binds the region
            )
        except ReadError:
            continue
        if any(text(item, "status") == "ACTIVE" and text(item, "type") == "ORGANIZATION" for item in details(answer, "analyzers")):
            yield region


def _delegated(visit: Visit, number: str, service: str) -> Grant:
    return Grant(
        identity_uid=f"aws:{number}:account/{number}",
        provider="aws",
        scope=visit.number,
        role=f"delegated administrator of {service}",
        resource="organization",
        power=None,
        via="delegated",
    )


def _transfer(visit: Visit, item: Item) -> Iterator[Identity | Trust]:
    native_id, status = text(item, "Id") or text(item, "Arn"), text(item, "Status")
    starts, ends = moment(item.get("StartTimestamp")), moment(item.get("EndTimestamp"))
    began = starts is None or starts <= visit.now
    target = item.get("Target")
    party = text(target, "ManagementAccountId") if isinstance(target, dict) else ""
    unknown = {"created_by": "Organizations does not say who agreed to it"}
    if not status:
        unknown["enabled"] = f"{BILLING.operation} gives no Status"
    if not party:
        unknown["trusts"] = f"{BILLING.operation} does not say whom the bills go to"
    if starts is None:
        unknown["created_at"] = f"{BILLING.operation} gives no StartTimestamp"
    transfer = replace(
        outsider(
            visit,
            "billing-transfer",
            native_id,
            text(item, "Name") or native_id,
            enabled=(status == "ACCEPTED" and began and (ends is None or ends > visit.now)) if status else None,
            aliases=tuple(filter(None, [text(item, "Arn")])),
            unknown=unknown,
        ),
        created_at=starts,
    )
    yield transfer
    if party:
        yield trust(transfer, "aws-account", party, "billing only")
