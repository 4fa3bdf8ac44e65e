"""Last authentications as Activity Analyzer tells them, by the day, and what their absence says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.gcp.names import tail
from connectors.gcp.permissions import ACCOUNT_USE, KEY_USE
from countersign.fields import Row, inner, moment, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from connectors.gcp.permissions import Call
    from connectors.gcp.visit import Operation, Visit
    from countersign.identity import Observation, UseState

PAGE = 1000
BLIND = "use by domain-wide delegation, HMAC keys, and API keys bound to an account is never recorded"
_SHOWN = ("fullResourceName", "activityType", "observationPeriod", "activity")


@dataclass(frozen=True, slots=True)
class Seen:
    """What Activity Analyzer says of one account or key."""

    at: datetime | None
    """Start of the (Pacific) day of the last authentication; None: none while it watched."""
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Use:
    """The same as facts want it."""

    at: datetime | None
    state: UseState
    seen_to: datetime | None
    why: str | None
    """Why it is unknown."""


def use(seen: Seen | None, created: datetime | None, gap: str | None) -> Use:
    """Decide what is known of the last use; `gap` says why the listing is not whole, None where it is.

    Google leaves the time out for what has "never been used", but tells nothing of what was before it began to watch: only
    what was created since then is known to be unused.
    """
    if seen is None:
        return Use(None, "unknown", None, gap or f"Activity Analyzer has no row for it; {BLIND}")
    if seen.at is not None:
        return Use(seen.at, "known", seen.end, None)
    if seen.start is None or seen.end is None:
        return Use(None, "unknown", None, "Activity Analyzer saw no use, and does not say from when to when it watched")
    if created is not None and created >= seen.start:
        return Use(None, "never", seen.end, None)
    watched = f"not seen to authenticate from {seen.start.date()} to {seen.end.date()}"
    before = "when it was created is not known" if created is None else "what was before is not recorded"
    return Use(None, "unknown", seen.end, f"{watched}; {before}, and {BLIND}")


@dataclass(frozen=True, slots=True)
class Activity:
    """The use of all accounts and keys of a project."""

    accounts: Mapping[str, Seen]
    """By unique id, and by e-mail where Google gave no id."""
    keys: Mapping[str, Seen]
    accounts_gap: str | None
    keys_gap: str | None


def read_activity(visit: Visit) -> Iterator[Observation | Activity]:
    """Yield the observations of both queries, and the activity last."""
    accounts: dict[str, Seen] = {}
    keys: dict[str, Seen] = {}
    of_accounts, of_keys = visit.operation(ACCOUNT_USE), visit.operation(KEY_USE)
    yield from _query(visit, ACCOUNT_USE, of_accounts, accounts)
    yield from _query(visit, KEY_USE, of_keys, keys)
    yield Activity(accounts, keys, of_accounts.why, of_keys.why)


def _query(visit: Visit, call: Call, operation: Operation, into: dict[str, Seen]) -> Iterator[Observation]:
    kind = call.name.rpartition(":")[2]
    asked = {"parent": f"projects/{visit.scope}/locations/global/activityTypes/{kind}", "pageSize": PAGE}
    for page in operation.listed("activities", asked):
        for row in page:
            name = _subject(row, kind)
            if name is None:
                operation.drop("activity without the name of its account or key")
                continue
            into[name] = seen(row)
        yield operation.observe([{key: row[key] for key in _SHOWN if key in row} for row in page], parameters=asked)


def _subject(row: Row, kind: str) -> str | None:
    if kind == "serviceAccountKeyLastAuthentication":
        name = text(row, "fullResourceName") or text(inner(inner(row, "activity"), "serviceAccountKey"), "fullResourceName")
        return tail(name)
    about = inner(inner(row, "activity"), "serviceAccount")
    return text(about, "serviceAccountId") or tail(text(row, "fullResourceName") or text(about, "fullResourceName"))


def seen(row: Row) -> Seen:
    """Read one activity; what is no time is None."""
    period = inner(row, "observationPeriod")
    at, _ = moment(inner(row, "activity"), "lastAuthenticatedTime")
    return Seen(at, moment(period, "startTime")[0], moment(period, "endTime")[0])
