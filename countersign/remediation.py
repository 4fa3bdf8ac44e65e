"""What to do about findings: a pure plan of tickets to open, change, reopen and close."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from countersign.clock import stamp
from countersign.finding import inert, was_seen
from countersign.ticket_body import Quoted, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from countersign.finding import Known, Seen
    from countersign.ticket_body import Body

ActionKind = Literal["create", "update", "reopen", "close", "unchanged", "rolled-up"]
TicketState = Literal["claimed", "sent", "unknown", "open", "closed"]

ALL = "all"
NO_PARTNER = "no-partner"
UNASSIGNED = "unassigned"
ROLL_UP = "roll-up"
RUN_GUARD = "run-guard"
SHOWN = 20
"""Findings written out in a ticket; the rest are in the evidence."""
REOPEN_WINDOW = timedelta(days=14)
"""Closed longer ago than this, a ticket is followed by a new one instead of being reopened."""
THIRD = 2
"""Reopened this often before: the next time is escalated."""
_RANK: Mapping[str, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What the plan may know besides findings and tickets."""

    customer: str
    as_of: datetime
    budget: int
    """Tickets that may be opened or reopened in this run; beyond it one roll-up per partner."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Control id to what is wrong when it fails."""
    declined: frozenset[str] = frozenset()
    """Tickets (by the desk's ids) that people closed as not to be fixed: a wish for an exception, which is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    """The ledger's newest row for one ticket key."""

    key: str
    state: TicketState
    ticket: str | None
    """The desk's id, such as `local:12`; None: not known to be there."""
    control: str
    partner: str | None
    digest: str | None
    """Digest of the findings as the ticket last told them; None: never told."""
    standing: int
    """Unresolved findings that the ledger says it carries, counted before this run is applied."""
    said_closed_at: datetime | None = None
    """When people closed it at the desk (a claim, not evidence); None: as far as we know they did not."""
    closed_at: datetime | None = None
    reopened: int = 0
    commented_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The findings that a ticket stands for."""

    shown: tuple[Known, ...]
    """The worst of them, worst first: those that the ticket writes out."""
    open: int
    excepted: int
    unread: int
    """Of both: those that could not be checked this time."""

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self.open + self.excepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A ticket. Names in it come from outside: an adapter writes them so that they do nothing in its own markup."""

    title: str
    body: Body
    """Of a draft that stands for findings what comes before their words, which `countersign.ticket_words` adds.

    Empty in an update: the description stays as it is.
    """
    control: str
    partner: str | None
    accountable: str | None
    """Whom it is assigned to; None: nobody accountable is known."""
    severity: str
    due: datetime | None
    escalated: bool = False
    replaces: str | None = None
    """An older closed ticket for the same key."""
    carried: Carried | None = None
    """None: it stands for no findings, and `body` says it all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do about one ticket key."""

    kind: ActionKind
    key: str
    control: str
    partner: str | None
    ticket: str | None = None
    draft: Draft | None = None
    digest: str | None = None
    joins: tuple[str, ...] = ()
    """Fingerprints that this ticket carries from now on and did not before."""
    comment: str | None = None
    told: bool = False
    """Of one that is reopened: whether its description tells of these very findings and facts already."""
    under: str | None = None
    """Key of the roll-up ticket that stands for this one tonight."""


@dataclass(frozen=True, slots=True)
class _Group:
    key: str
    control: str
    partner: str | None
    accountable: str | None
    findings: Sequence[Known]

    def digest(self) -> str:
        lines = sorted(f"{f.fingerprint} {f.facts_digest} {f.state} {f.severity} {f.excepted} {f.excepted_until}" for f in self.findings)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def severity(self) -> str:
        return min((f.severity for f in self.findings), key=_RANK.__getitem__)


def key(customer: str, control: str, partner: str, owner: str, scope: str) -> str:
    """Name a ticket for ever: `cs1-` and 26 characters that depend on all five parts.

    Raises ValueError when a part is empty, since a key without it would merge what does not belong together.
    """
    parts = [customer, control, partner, owner, scope]
    if not all(parts):
        raise ValueError(f"a ticket key needs all five parts: {parts}")
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return f"cs1-{base64.b32encode(digest).decode().lower()[:26]}"


def plan(findings: Iterable[Known], tickets: Iterable[TicketRow], seen: Seen, night: Night) -> Iterator[Action]:
    """Yield one action for each ticket key that is in play, worst first; the same input gives the same plan.

    `findings` are the rows after this run: the `after` of each of its transitions. `tickets` are the newest ledger rows
    of one desk by key. Nothing seen: no action. A ticket is closed only when each finding it carried is shown to be
    resolved in a scope that was seen, or to be carried by another ticket.
    """
    if not seen:
        return
    rows = {row.key: row for row in tickets}
    groups, left = _grouped(findings, seen, night)
    opening = sorted(
        (group for group in groups if _opens(group, rows.get(group.key))),
        key=lambda group: (group.key not in rows, _RANK[group.severity()], -len(group.findings), group.key),
    )
    rolled = opening[night.budget :]
    rollups = _roll_ups(rolled, night)
    wanted = {group.key for group in opening}
    live = sorted((group for group in groups if group.key in rows and group.key not in wanted), key=attrgetter("key"))
    placed: set[str] = set()
    for group in (*opening[: night.budget], *rollups, *live):
        action = _act(group, rows.get(group.key), night)
        placed.add(group.key)
        if action.joins:
            left.update(f.ticket_key for f in group.findings if f.ticket_key is not None and f.ticket_key != group.key)
        yield action
    under = {rollup.partner: rollup.key for rollup in rollups}
    for group in rolled:
        yield Action(kind="rolled-up", key=group.key, control=group.control, partner=group.partner, under=under[group.partner])
    for row in sorted(rows.values(), key=attrgetter("key")):
        if row.key not in placed and row.state != "closed":
            yield _close(row) if left[row.key] >= row.standing else _unchanged(row)


def scan_looks_wrong(reason: str, tickets: Iterable[TicketRow], night: Night) -> Action:
    """Return the one action of a run that the guard stopped: a ticket that says why; the next sound run closes it."""
    name = key(night.customer, RUN_GUARD, NO_PARTNER, UNASSIGNED, ALL)
    row = next((row for row in tickets if row.key == name), None)
    draft = Draft(
        title="The scan looks wrong; nothing was changed",
        body=(
            line(f"{reason}."),
            line("No finding and no other ticket was changed."),
            line("Check the sources with `countersign doctor`; if the change is real, raise the limit in countersign.yaml for one run."),
        ),
        control=RUN_GUARD,
        partner=None,
        accountable=None,
        severity="high",
        due=None,
    )
    digest = hashlib.sha256(reason.encode()).hexdigest()
    action = Action(kind="create", key=name, control=RUN_GUARD, partner=None, draft=draft, digest=digest)
    return action if row is None else _settle(action, row, night, still=True)


def _grouped(findings: Iterable[Known], seen: Seen, night: Night) -> tuple[list[_Group], Counter[str]]:
    groups: dict[tuple[str, str, str, str], list[Known]] = {}
    left: Counter[str] = Counter()
    for f in findings:
        if f.state != "resolved":
            scope = f.subject if f.severity == "critical" else ALL
            groups.setdefault((f.control, f.partner or NO_PARTNER, f.accountable or UNASSIGNED, scope), []).append(f)
        elif f.ticket_key is not None and f.closed_at == night.as_of and was_seen(f, seen) and not _unread(f):
            left[f.ticket_key] += 1
    return [
        _Group(key(night.customer, *place), place[0], group[0].partner, group[0].accountable, group) for place, group in groups.items()
    ], left


def _unread(finding: Known) -> bool:
    # Not by the finding's scope: what fails in a scope that was read in part was seen to fail.
    return finding.unobserved_since is not None


def _opens(group: _Group, row: TicketRow | None) -> bool:
    """Whether a ticket would be opened or reopened for the group, which is what the budget counts."""
    if not any(f.state == "open" and not _unread(f) for f in group.findings):
        return False
    return row is None or row.ticket is None or row.state == "closed" or row.said_closed_at is not None


def _roll_ups(rolled: Sequence[_Group], night: Night) -> list[_Group]:
    partners: dict[str | None, list[_Group]] = {}
    for group in rolled:
        partners.setdefault(group.partner, []).append(group)
    rollups = []
    for partner, groups in partners.items():
        owners = Counter(owner for group in groups for owner in [group.accountable] * len(group.findings) if owner is not None)
        owner = min(owners, key=lambda owner: (-owners[owner], owner), default=None)
        name = key(night.customer, ROLL_UP, partner or NO_PARTNER, ALL, ALL)
        rollups.append(_Group(name, ROLL_UP, partner, owner, [f for group in groups for f in group.findings]))
    return sorted(rollups, key=attrgetter("key"))


def _act(group: _Group, row: TicketRow | None, night: Night) -> Action:
    opens = _opens(group, row)
    if row is not None and not opens and (row.state == "closed" or row.ticket is None or all(_unread(f) for f in group.findings)):
        return _unchanged(row)
    digest = group.digest()
    if row is not None and not opens and row.digest == digest:
        return _unchanged(row)
    action = Action(
        kind="create",
        key=group.key,
        control=group.control,
        partner=group.partner,
        draft=_draft(group, night),
        digest=digest,
        joins=tuple(sorted(f.fingerprint for f in group.findings if f.ticket_key != group.key)),
    )
    return action if row is None else _settle(action, row, night, still=opens)


def _settle(action: Action, row: TicketRow, night: Night, *, still: bool) -> Action:
    """Turn a wish for a ticket into what its ledger row calls for; `still`: the trouble was seen in this run."""
    draft = action.draft
    if row.ticket is None or draft is None:
        return action
    closed_at = row.closed_at if row.state == "closed" else row.said_closed_at
    if closed_at is not None and still:
        if night.as_of - closed_at > REOPEN_WINDOW:
            follows = line("Follows ", Quoted(row.ticket), f", which was closed {stamp(closed_at)}.")
            return replace(action, draft=replace(draft, replaces=row.ticket, body=(follows, *draft.body)))
        third = row.reopened >= THIRD
        again = f" for the {row.reopened + 1}. time and escalated" if third else ""
        if row.ticket in night.declined:
            said = (
                f"Closed as not to be fixed, and still observed: reopened{again}. This asks {draft.accountable or UNASSIGNED}, who is"
                " accountable, to decide: have it put right, or accept it for a time with `countersign exception request`."
            )
        elif row.state == "closed":
            said = f"It was gone, and is observed again: reopened{again}."
        else:
            said = (
                f"Closed, but still observed: reopened{again}. Closing a ticket accepts no risk;"
                " ask the accountable owner for an exception with `countersign exception request`."
            )
        told = row.digest == action.digest
        return replace(action, kind="reopen", ticket=row.ticket, draft=_escalated(draft) if third else draft, comment=said, told=told)
    if row.digest == action.digest:
        return _unchanged(row)
    told_today = row.commented_at is not None and row.commented_at.date() >= night.as_of.date()
    return replace(
        action,
        kind="update",
        ticket=row.ticket,
        draft=_escalated(draft) if row.reopened > THIRD else draft,
        comment=None if told_today else "The findings behind this ticket changed; the description is up to date.",
    )


def _escalated(draft: Draft) -> Draft:
    return replace(draft, escalated=True, title=f"[escalated] {draft.title}")


def _close(row: TicketRow) -> Action:
    said = "Each finding behind this ticket was looked at again and holds now, or is carried by another ticket."
    return Action(kind="close", key=row.key, control=row.control, partner=row.partner, ticket=row.ticket, comment=said)


def _unchanged(row: TicketRow) -> Action:
    return Action(kind="unchanged", key=row.key, control=row.control, partner=row.partner, ticket=row.ticket)


def _draft(group: _Group, night: Night) -> Draft:
    findings = sorted(group.findings, key=lambda f: (_RANK[f.severity], f.state, f.since, f.fingerprint))
    opened = [f for f in findings if f.state == "open"]
    # A ticket whose findings are all accepted is parked until the first exception ends.
    ends = [f.due for f in opened] if opened else [f.excepted_until for f in findings]
    about = inert(findings[0].identity_name or findings[0].subject) if len(findings) == 1 else f"{len(findings)} findings"
    title = night.titles.get(group.control, "Too many tickets for one run" if group.control == ROLL_UP else "")
    return Draft(
        title=f"[{findings[0].severity}] {group.control}: {title}{': ' * bool(title)}{about}, {group.partner or NO_PARTNER}",
        body=(),
        control=group.control,
        partner=group.partner,
        accountable=group.accountable,
        severity=findings[0].severity,
        due=min((end for end in ends if end is not None), default=None),
        carried=Carried(
            shown=tuple(findings[:SHOWN]),
            open=len(opened),
            excepted=len(findings) - len(opened),
            unread=sum(_unread(f) for f in findings),
        ),
    )
