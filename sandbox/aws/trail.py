"""CloudTrail of the sandbox: the events of the last 90 days, looked up by one attribute and a span of time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.aws.contract import Refusal
from sandbox.aws.estate import given, made_up, made_up_uuid, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

KEPT = timedelta(days=90)
"""How far back LookupEvents sees."""
GLOBAL_REGION = "us-east-1"
"""Where the events of IAM and other services without Regions are."""
_ABOUT_RESOURCES = ("ResourceType", "ResourceName")


def event(  # noqa: PLR0913 -- an event has that many facets, all but two optional
    account: SandboxAccount,
    name: str,
    at: datetime,
    *,
    source: str = "iam.amazonaws.com",
    by: str = "",
    session_issuer: str | None = None,
    request: Mapping[str, object] | None = None,
    response: Mapping[str, object] | None = None,
    resources: tuple[tuple[str, str], ...] = (),
    error: str | None = None,
    region: str = GLOBAL_REGION,
) -> str:
    """Let something have happened, such as `CreateUser`, and give the event's id.

    `by` is who did it, an ARN, empty for the account's root; `session_issuer` is the ARN of the role whose session that
    was. `resources` are (type, name). `request` and `response` are as the API has them.
    """
    kept = account.estate.kept(account.number, region, "event")
    number = made_up_uuid(account.number, region, name, len(kept))
    who = by or f"arn:aws:iam::{account.number}:root"
    identity: dict[str, Any] = {"type": "AssumedRole" if session_issuer else "IAMUser" if by else "Root", "arn": who}
    identity |= {"accountId": who.split(":")[4], "principalId": made_up("AIDA", 21, who)}
    if session_issuer:
        issuer = {"type": "Role", "arn": session_issuer, "accountId": session_issuer.split(":")[4]}
        issuer |= {"userName": session_issuer.rpartition("/")[2], "principalId": made_up("AROA", 21, session_issuer)}
        identity["principalId"] = f"{issuer['principalId']}:{who.rpartition('/')[2]}"
        identity["sessionContext"] = {"sessionIssuer": issuer, "attributes": {"creationDate": _stamp(at), "mfaAuthenticated": "false"}}
    read_only = name.startswith(("Get", "List", "Describe"))
    told = given(
        eventVersion="1.11",
        userIdentity=identity,
        eventTime=_stamp(at),
        eventSource=source,
        eventName=name,
        awsRegion=region,
        errorCode=error,
        requestParameters=dict(request or {}),
        responseElements=dict(response or {}),
        eventID=number,
        readOnly=read_only,
        eventType="AwsApiCall",
        managementEvent=True,
        recipientAccountId=account.number,
        eventCategory="Management",
    )
    kept.append(
        given(
            EventId=number,
            EventName=name,
            ReadOnly=str(read_only).lower(),
            EventTime=utc(at),
            EventSource=source,
            Username=who.rpartition("/")[2] if "/" in who else "root",
            Resources=[{"ResourceType": kind, "ResourceName": resource} for kind, resource in resources],
            CloudTrailEvent=json.dumps(told),
        )
    )
    return number


def _events(estate: Estate, ask: Ask) -> dict[str, Any]:
    attributes = ask.parameters.get("LookupAttributes", [])
    if len(attributes) > 1:
        raise Refusal("InvalidLookupAttributesException", "You can specify only one lookup attribute.")
    start, end = ask.parameters.get("StartTime"), ask.parameters.get("EndTime")
    if start is not None and end is not None and start > end:
        raise Refusal("InvalidTimeRangeException", "The start time is after the end time.")
    oldest = estate.time() - KEPT
    if "EventCategory" in ask.parameters:
        return {"Events": []}
    found = [
        one
        for one in estate.kept(ask.account, ask.region, "event")
        if max(oldest, start or oldest) <= one["EventTime"] <= (end or one["EventTime"]) and all(_holds(one, test) for test in attributes)
    ]
    return {"Events": sorted(found, key=lambda one: one["EventTime"], reverse=True)}


def _holds(one: Mapping[str, Any], test: Mapping[str, str]) -> bool:
    key, value = test["AttributeKey"], test["AttributeValue"]
    if key in _ABOUT_RESOURCES:
        return any(resource[key] == value for resource in one["Resources"])
    return bool(one.get(key) == value)


def _stamp(when: datetime) -> str:
    return utc(when).strftime("%Y-%m-%dT%H:%M:%SZ")


ANSWERS: Mapping[str, Answering] = {"cloudtrail:LookupEvents": _events}
