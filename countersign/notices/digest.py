"""The owner's digest: one message a day at most for each accountable person, with what is theirs, what is due, and what is unknown."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import sqlalchemy as sa

from countersign.clock import minute
from countersign.clocks.nights import judged
from countersign.desk.ticket_text import title as tame
from countersign.entry import open_store
from countersign.notices import channels
from countersign.notices.audience import Recipient, person
from countersign.notices.outbox import DIGEST, Key, Outbox
from countersign.notices.undecided import undecided
from countersign.register.exceptions import accountable, approvers
from countersign.schema import findings, reading, tickets
from countersign.shares import unknown_in_words
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from sqlalchemy.engine import Connection

    from countersign.programme import Programme

SOON = timedelta(days=7)
"""What is due within this time is told as due."""
ENDING = timedelta(days=14)
"""The same for the end of an exception."""
SHOWN = 25
"""Lines of one section; what is more is counted."""
LONGEST = 300
_SEVERITIES = ("critical", "high", "medium", "low")


class Row(NamedTuple):
    """Standing findings of one control, partner and severity."""

    control: str
    partner: str | None
    severity: str
    tickets: int
    """Open ones at the desk that carry them."""
    ticket: str | None
    """The desk's id of the only one; None: there is none yet, or more than one."""
    open: int
    excepted: int
    unread: int
    """Of both: those that the last run could not look at."""
    due: datetime | None
    """When the first open one is (UTC)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What one person is to know today."""

    person: Recipient
    day: date
    """Of the customer's calendar."""
    as_of: datetime | None
    """Time of the last run that came to verdicts (UTC); None: there is none."""
    decide: tuple[str, ...]
    """What waits for their decision."""
    overdue: tuple[Row, ...]
    soon: tuple[Row, ...]
    """Due within SOON."""
    others: tuple[Row, ...]
    """Theirs, and due later, accepted for a time, or due at no time."""
    fallen: tuple[Row, ...]
    """What nobody active is accountable for, so that it falls back on them."""
    unread: int
    """Findings of all these that the last run could not look at: whether they still stand is not known."""
    unknown: tuple[str, ...]
    """Controls that they answer for, and scopes, of which the last run could not tell everything."""

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to tell."""
        return not (self.decide or self.overdue or self.soon or self.others or self.fallen or self.unknown)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one digest."""

    digest: Digest
    state: str
    """`told`, `told before` today, `failed`, or `no address`."""
    why: str | None = None


def digests(programme: Programme, now: datetime) -> tuple[Digest, ...]:
    """Return the digest of each active person who has anything to be told at `now` (UTC), by id; nothing is written.

    Raises CountersignError when the state database, a plan or the last run cannot be read.
    """
    with reading(programme.state) as db:
        rows = () if db is None or not sa.inspect(db).has_table(findings.name) else tuple(_rows(db, now))
        nights = () if db is None or not sa.inspect(db).has_table("runs") else judged(db, programme.customer, programme.evidence.store)
    last = next((night for night in reversed(nights) if not night.stopped), None)
    said = _last_said(programme, None if last is None else last.folder.name)
    mine, fallen = _whose(programme, rows)
    decide = _to_decide(programme, now)
    found = []
    for ref in sorted(programme.register.people):
        whom = person(programme.register, ref)
        if whom is None:
            continue
        theirs, to_them = mine[ref], fallen[ref]
        overdue = tuple(row for row in theirs if row.due is not None and row.due < now)
        soon = tuple(row for row in theirs if row.due is not None and now <= row.due <= now + SOON)
        found.append(
            Digest(
                person=whom, day=programme.register.today(now), as_of=None if last is None else last.as_of, decide=tuple(decide[ref]),
                overdue=overdue, soon=soon, others=tuple(row for row in theirs if row not in {*overdue, *soon}), fallen=tuple(to_them),
                unread=sum(row.unread for row in (*theirs, *to_them)), unknown=tuple(_unknown(programme, ref, said)),
            )
        )  # fmt: skip
    return tuple(each for each in found if not each.is_empty)


def send(programme: Programme, clock: Callable[[], datetime], only: str | None = None) -> tuple[Sent, ...]:
    """Send each digest that nobody sent today, over the first channel for people that takes digests; `only` to one person.

    One whose answer was lost is not sent again on that day. Raises ChannelError where there is no such channel, StateBusyError while
    somebody else is telling, and CountersignError as `digests` does.
    """
    channel = next((each for each in programme.escalation.channels if each.to == "people" and each.digest), None)
    if channel is None:
        raise channels.ChannelError(
            "no channel takes digests", fix="add one to `escalation: {channels: [...]}` in countersign.yaml, with `to: people`"
        )
    channels.check(channel)
    now = clock()
    found = []
    with State(programme.state) as state, state.lock(f"digest (pid {os.getpid()})", now, "digest"):
        outbox = Outbox(state.engine)
        outbox.recover(digests=True)
        for digest in digests(programme, now):
            if only not in (None, digest.person.ref):
                continue
            if digest.person.address is None:
                found.append(Sent(digest, "no address", f"register/customer.yaml has no e-mail address of {digest.person.ref}"))
                continue
            midnight = datetime.combine(digest.day, time(), ZoneInfo(programme.register.customer.timezone)).astimezone(UTC)
            key = Key(DIGEST, "day", midnight, 0, DIGEST, digest.person.ref)
            outbox.claim([key], now)
            mine = [each.id for each in outbox.waiting() if each.key == key and not each.again]
            if not mine:
                found.append(Sent(digest, "told before"))
                continue
            outbox.settle(mine, "sending", at=clock())
            try:
                channels.send(channel, title(programme, digest), "\n".join(lines(digest)), digest.person.address)
            except channels.ChannelError as error:
                outbox.settle(mine, "claimed", at=clock(), error=error.message)
                found.append(Sent(digest, "failed", error.message))
            else:
                outbox.settle(mine, "told", at=clock())
                found.append(Sent(digest, "told"))
    return tuple(found)


def title(programme: Programme, digest: Digest) -> str:
    """Return the subject of a digest."""
    late, soon = sum(row.open for row in digest.overdue), sum(row.open for row in digest.soon)
    words = [f"{late} overdue"] * bool(late) + [f"{soon} due soon"] * bool(soon) + [f"{len(digest.decide)} to decide"] * bool(digest.decide)
    whole = sum(row.open + row.excepted for row in (*digest.overdue, *digest.soon, *digest.others))
    yours = f"{whole} finding{'s are' if whole != 1 else ' is'} yours"
    return tame(f"{programme.register.customer.name}, {digest.day}: {', '.join(words) or 'nothing is due'}; {yours}", LONGEST)


def lines(digest: Digest) -> Iterator[str]:
    """Yield the lines of a digest: plain text, in which names from outside do nothing."""
    when = "no run has come to verdicts yet" if digest.as_of is None else f"as of the run of {digest.as_of:%Y-%m-%d %H:%M} UTC"
    yield f"{tame(digest.person.name, LONGEST)}, this is what you answer for, {when}."
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("Waiting for your decision", digest.decide),
        ("Overdue", map(_line, digest.overdue)),
        (f"Due within {SOON.days} days", map(_line, digest.soon)),
        ("Yours, and due later or accepted for a time", map(_line, digest.others)),
        ("Nobody active is accountable for these, so they fall back on you", map(_line, digest.fallen)),
        ("Unknown, neither in order nor not", (*_unread(digest), *digest.unknown)),
    )
    for head, section in sections:
        held = list(section)
        if held:
            yield ""
            yield f"{head}:"
            yield from (f"- {tame(each, LONGEST)}" for each in held[:SHOWN])
            if len(held) > SHOWN:
                yield f"- ... and {len(held) - SHOWN} more"
    yield ""
    yield "`countersign findings` and `countersign clocks` say more. This comes once a day at most, and not when there is nothing to tell."


def _rows(db: Connection, now: datetime) -> Iterator[tuple[str | None, Row]]:
    """Yield what stands, in groups, each with whom the ledger says is accountable; what is overdue apart from what is not."""
    latest = sa.select(sa.func.max(tickets.c.id)).group_by(tickets.c.target, tickets.c.key)
    live = sa.select(tickets.c.key, tickets.c.ticket).where(tickets.c.id.in_(latest), tickets.c.state == "open").subquery()
    is_open = findings.c.state == "open"
    late = sa.case((is_open & (findings.c.due < now), 2), (is_open & (findings.c.due <= now + SOON), 1), else_=0)
    place = (findings.c.accountable, findings.c.control, findings.c.partner, findings.c.severity)
    rank = sa.case({name: number for number, name in enumerate(_SEVERITIES)}, value=findings.c.severity, else_=3)
    held = (sa.func.count(live.c.ticket.distinct()), sa.func.min(live.c.ticket))
    unread = sa.func.sum(sa.case((findings.c.unobserved_since.is_not(None), 1), else_=0))
    opened = sa.func.sum(sa.case((is_open, 1), else_=0))
    due = sa.func.min(sa.case((is_open, findings.c.due)), type_=findings.c.due.type)
    query = (
        sa.select(*place, *held, opened, sa.func.count(), unread, due)
        .outerjoin(live, live.c.key == findings.c.ticket_key)
        .where(findings.c.state != "resolved")
        .group_by(*place, late)
        .order_by(late.desc(), rank, due, findings.c.control)
    )
    for who, control, partner, severity, many, ticket, open_, standing, unread_, first in db.execute(query):
        yield who, Row(control, partner, severity, many, ticket if many == 1 else None, open_, standing - open_, unread_, first)


def _whose(programme: Programme, rows: Iterable[tuple[str | None, Row]]) -> tuple[defaultdict[str, list[Row]], defaultdict[str, list[Row]]]:
    """Give each row to whom it is of, or to whom its control falls back on where that is nobody active."""
    mine: defaultdict[str, list[Row]] = defaultdict(list)
    fallen: defaultdict[str, list[Row]] = defaultdict(list)
    for who, row in rows:
        if programme.register.live(who) is not None:
            mine[str(who)].append(row)
            continue
        entry = programme.register.control(row.control)
        fallen[str(None if entry is None else entry.fallback)].append(row)
    return mine, fallen


def _to_decide(programme: Programme, now: datetime) -> defaultdict[str, list[str]]:
    """Return what waits for each person: plans, exceptions that were asked for, and exceptions that end soon."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for waiting in undecided(programme, now)[0]:
        plan = waiting.plan
        for who in waiting.whom:
            changes = f"{len(plan.steps)} change{'s' * (len(plan.steps) != 1)}"
            found[who].append(f"plan {plan.id} against {plan.asked.partner}, {changes}: approve or decline it by {minute(plan.expires)}")
    today = programme.register.today(now)
    for exception in programme.register.exceptions.values():
        if exception.ended_on is not None or exception.expires < today:
            continue
        about = f"exception {exception.exception} ({exception.control}, {exception.subject})"
        if exception.approved_by is None:
            for who in approvers(programme.register, exception, today)[0]:
                found[who].append(f"{about}: approve it, or leave it; asked for until {exception.expires}")
        elif exception.expires <= today + ENDING and exception.approved_by is not None:
            found[exception.approved_by].append(f"{about} ends after {exception.expires}: have it put right, or renewed")
    return found


def _last_said(programme: Programme, entry: str | None) -> Mapping[str, Any]:
    """Return what the last judged run read and came to; nothing where its file is gone."""
    if entry is None:
        return {}
    try:
        said: Mapping[str, Any] = orjson.loads((open_store(programme).fetch(int(entry)) / "results.json").read_bytes())
    except OSError:
        return {}
    return said


def _unknown(programme: Programme, who: str, said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the controls that somebody answers for of which something is unknown, and then the scopes that hide it."""
    theirs = [
        control for control in said.get("controls", ()) if control["unknown"] and who in accountable(programme.register, control["id"])
    ]
    for control in sorted(theirs, key=lambda each: (-each["unknown"], each["id"])):
        words = unknown_in_words([control])
        if words is not None:
            yield f"{control['id']}: {words}"
    if theirs or any(who in accountable(programme.register, control["id"]) for control in said.get("controls", ())):
        for source in said.get("sources", ()):
            for scope in source["scopes"]:
                if scope["state"] != "complete":
                    yield f"{source['name']} {scope['scope']} was not read wholly ({scope['state']}): {scope['reason']}"


def _unread(digest: Digest) -> Sequence[str]:
    if not digest.unread:
        return ()
    return (f"{digest.unread} of these findings could not be looked at by the last run: whether they still stand is not known",)


def _line(row: Row) -> str:
    counts = [f"{row.open} open"] * bool(row.open) + [f"{row.excepted} accepted"] * bool(row.excepted)
    due = "" if row.due is None else f", {'first ' * (row.open > 1)}due {minute(row.due)}"
    where = row.ticket or (f"{row.tickets} tickets" if row.tickets else "no ticket yet")
    return f"[{row.severity}] {row.control}, {row.partner or 'no partner'}: {', '.join(counts)}{due}; {where}"
