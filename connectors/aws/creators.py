"""Who created young users and roles, by CloudTrail's events of the last 90 days."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connectors.aws.listing import Listing
from connectors.aws.sdk import partition_of
from countersign.aws_documents.fields import moment, text
from countersign.clock import instant, stamp
from countersign.pace import budget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from connectors.aws.kept import Kept
    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import Identity
    from countersign.programme import AwsSource

LOOKS_BACK = timedelta(days=90)
PAGES = 40
"""Pages of 50 events that are looked through for each kind of event, at two a second."""
_LATE = timedelta(hours=1)
"""How late an event may come; those of the time are looked up again the next night."""
_GLOBAL = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where a partition records what happens in IAM."""
_EVENTS = {"user": ("CreateUser", "userId"), "role": ("CreateRole", "roleId")}


def _reduce(event: Item) -> Item:
    found = creation(event)
    at = moment(event.get("EventTime"))
    return {
        "EventId": text(event, "EventId"),
        "EventName": text(event, "EventName"),
        "EventTime": None if at is None else stamp(at),
        "created": None if found is None else found[0],
        "creator": None if found is None else found[1],
    }


EVENTS = Listing(service="cloudtrail", action="LookupEvents", items="Events", reduce=_reduce, start="NextToken", size={"MaxResults": 50})


def region_of_iam(source: AwsSource) -> str:
    """Give the region whose CloudTrail records what happens in IAM."""
    return _GLOBAL.get(partition_of(source), source.regions[0])


class Creators:
    """Finds creators by immutable id; CloudTrail is asked only once somebody young turns up.

    A refusal turns it off: who created somebody is then unknown with that reason, and nothing else is missing.
    """

    def __init__(self, visit: Visit, kept: Kept) -> None:
        self._visit = visit
        self._kept = kept
        self._by: dict[str, dict[str, str]] = {}
        """Creator by id of who was created, by kind."""
        self._since: dict[str, datetime] = {}
        """From when on the events of a kind are known."""
        self._why: str | None = None
        """Why CloudTrail did not answer."""

    def add_to(self, identity: Identity) -> Identity:
        """Give the identity with its creator, or with the reason why that is not known."""
        created_at = identity.created_at
        if identity.kind not in _EVENTS or identity.provider_managed or created_at is None:
            return identity
        if self._visit.now - created_at > LOOKS_BACK:
            return replace(identity, unknown={**identity.unknown, "created_by": "older than the 90 days that CloudTrail looks back"})
        if identity.kind not in self._by:
            self._look_up(identity.kind)
        creator = self._by[identity.kind].get(identity.native_id)
        if creator is not None:
            left = {name: why for name, why in identity.unknown.items() if name != "created_by"}
            return replace(identity, created_by=creator, unknown=left)
        why = self._why
        if why is None and created_at < self._since[identity.kind]:
            why = f"more than {PAGES * 50} events since then; the older ones were not looked through"
        return replace(identity, unknown={**identity.unknown, "created_by": why or "CloudTrail has no event of its creation"})

    def _look_up(self, kind: str) -> None:
        name, _ = _EVENTS[kind]
        now = self._visit.now
        start, known = self._before(name, now)
        self._by[kind], self._since[kind] = known, now - LOOKS_BACK
        if self._why is not None:
            return
        region = region_of_iam(self._visit.account.source)
        pace = budget("aws", "cloudtrail", self._visit.number, region, units=2, seconds=1)
        wanted = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}], "StartTime": start, "EndTime": now}
        oldest = now
        tally = self._visit.counted(EVENTS)
        for number, page in enumerate(self._visit.pages(EVENTS, wanted, region=region, pace=pace), 1):
            for event in page:
                found = creation(event)
                if found is not None:
                    known.setdefault(*found)
                oldest = min(moment(event.get("EventTime")) or oldest, oldest)
            if number == PAGES:
                self._since[kind] = oldest
                break
        if tally.refused or tally.note is not None:
            self._why = tally.why or f"{EVENTS.operation}: {tally.note}"
            del self._visit.tallies[EVENTS.operation]
        elif self._since[kind] < oldest:
            self._kept.put("creators", name, [stamp(now), known])

    def _before(self, name: str, now: datetime) -> tuple[datetime, dict[str, str]]:
        """Give from when to look on, and who is known already."""
        kept: Any = self._kept.get("creators", name)  # whatever the file holds
        try:
            start = instant(kept[0]) - _LATE
            found = {str(created): str(creator) for created, creator in kept[1].items()}
        except (TypeError, ValueError, LookupError, AttributeError):
            return now - LOOKS_BACK, {}
        return (start, found) if start <= now else (now - LOOKS_BACK, {})


def creation(event: Mapping[str, object]) -> tuple[str, str] | None:
    """Read from one event who was created (an immutable id) and by whom (an ARN, or a service); None where it does not say.

    The creator is the role behind a session rather than the session, as CloudTrail's sessionIssuer names it.
    """
    try:
        body = json.loads(text(event, "CloudTrailEvent"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("errorCode"):
        return None
    answer, who = body.get("responseElements"), body.get("userIdentity")
    if not isinstance(answer, dict) or not isinstance(who, dict):
        return None
    for kind, (_, native_id) in _EVENTS.items():
        made = answer.get(kind)
        creator = _creator(who)
        if isinstance(made, dict) and text(made, native_id) and creator:
            return text(made, native_id), creator
    return None


def _creator(who: Mapping[str, object]) -> str | None:
    context = who.get("sessionContext")
    issuer = context.get("sessionIssuer") if isinstance(context, dict) else None
    role = text(issuer, "arn") if isinstance(issuer, dict) else ""
    return role or text(who, "arn") or text(who, "invokedBy") or None
