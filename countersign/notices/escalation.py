"""Tells people that an agreed time runs out: over the programme's channels, and by a comment on the ticket."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from countersign.clock import minute
from countersign.clocks.replay import RUNGS
from countersign.desk import DeskBusyError, DeskError, DeskRefusedError
from countersign.desk.choice import desk_of
from countersign.desk.ticket_text import title as tame
from countersign.notices import channels
from countersign.notices.audience import Recipient, told_at
from countersign.notices.outbox import DIGEST, Key, Notice, Outbox
from countersign.notices.rungs import ladders
from countersign.schema import tickets
from countersign.state import State, StateBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.notices.rungs import Ladders, Reached
    from countersign.programme import Channel, Programme

ON_TICKET = "ticket"
"""The channel that comments on tickets are."""
TICKET_RUNGS = (100, 150)
"""Steps that a ticket is commented at: it has its due date from the start, and more comments than these nobody reads."""
SHOWN = 40
"""Lines of one message; what is more is counted."""
LONGEST = 300
DOING = {"escalate": "to open a ticket", "rotate": "to put it right", "revoke": "to revoke", "approve": "to decide"}
"""What the time of a clock is for."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one recipient is told over one channel in one pass."""

    channel: str
    recipient: Recipient | None
    """None: whoever reads the channel, or the ticket."""
    ticket: str | None
    """The desk's id of the ticket that it is a comment of; None: it is none."""
    title: str
    lines: tuple[str, ...]
    """Worst first, one for each group of findings that began together and for each plan."""
    notices: tuple[Notice, ...]
    error: str | None = None
    """Why it did not get through, so that it is tried again; None: it did, or was not tried."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What came of one pass."""

    told: tuple[Message, ...]
    failed: tuple[Message, ...]
    later: int
    """Comments that wait: their ticket was commented today, or a run holds the programme."""
    unreachable: tuple[Reached, ...]
    """Steps at which there is nobody who a message could be sent to."""
    unclear: int
    """Open findings of which nobody can tell what was agreed when they began, so that nobody is told of them."""
    troubles: tuple[str, ...]
    """Why plans could not be read, so that nobody is told of them."""

    @property
    def ok(self) -> bool:
        """Say whether everybody was told of everything."""
        return not (self.failed or self.unreachable or self.unclear or self.troubles)


def escalate(programme: Programme, clock: Callable[[], datetime], *, dry: bool = False) -> Pass:
    """Tell whoever has not been told yet, each step once; what does not get through is tried again by the next pass.

    `dry`: say what would be told, and neither send nor note anything. Raises StateBusyError while another pass works, and
    CountersignError when the state database cannot be read.
    """
    now = clock()
    stand = ladders(programme, now, note=not dry)
    reached, unreachable = _due(programme, stand)
    with State(programme.state) as state:
        if dry:
            told_already = Outbox(state.engine).told()
            keys = [key for key in sorted(reached) if not told_already(key)]
            messages = _messages(programme, reached, [Notice(0, key, again=False) for key in keys])
            return Pass(tuple(messages), (), 0, unreachable, stand.unclear, stand.troubles)
        with state.lock(f"telling (pid {os.getpid()})", now, "telling"):
            outbox = Outbox(state.engine)
            outbox.recover(digests=False)
            told_already = outbox.told()
            due = {key: steps for key, steps in reached.items() if not told_already(key)}
            outbox.claim(due, now)
            waiting = outbox.waiting()
            # What ended before anybody could be told of it is told to nobody.
            outbox.settle([each.id for each in waiting if each.key.about != DIGEST and each.key not in due], "over", at=now)
            done = list(_told(programme, state, outbox, _messages(programme, due, [each for each in waiting if each.key in due]), clock))
    told = tuple(message for message in done if message is not None and message.error is None)
    failed = tuple(message for message in done if message is not None and message.error is not None)
    return Pass(told, failed, done.count(None), unreachable, stand.unclear, stand.troubles)


def _due(programme: Programme, stand: Ladders) -> tuple[dict[Key, list[Reached]], tuple[Reached, ...]]:
    """Return what is to have been told by now, and what nobody can be told of that its last step is reached."""
    found: defaultdict[Key, list[Reached]] = defaultdict(list)
    unreachable = []
    rungs = {rung for channel in programme.escalation.channels for rung in channel.rungs}
    for reached in stand.reached:
        keys = [key for percent in RUNGS if percent <= reached.percent for key in _keys(programme, reached, percent)]
        for key in keys:
            found[key].append(reached)
        if reached.percent in rungs and not any(key.channel != ON_TICKET and key.percent == reached.percent for key in keys):
            unreachable.append(reached)
    return dict(found), tuple(unreachable)


def _keys(programme: Programme, reached: Reached, percent: int) -> Iterator[Key]:
    settings = programme.escalation
    place = (reached.group, reached.clock, reached.since, percent)
    for channel in settings.channels:
        if percent not in channel.rungs:
            continue
        if channel.to == "people":
            whom = told_at(programme.register, reached, percent)
            yield from (Key(*place, channel.name, each.ref) for each in whom if each.address is not None)
        else:
            yield Key(*place, channel.name, "")
    if settings.tickets and reached.ticket is not None and percent in TICKET_RUNGS:
        yield Key(reached.about, *place[1:], ON_TICKET, "")


def _messages(programme: Programme, due: Mapping[Key, Sequence[Reached]], notices: Sequence[Notice]) -> list[Message]:
    """Put what is to be told together: one message for each recipient on a channel, and one comment for each ticket."""
    groups: defaultdict[tuple[str, str, str | None], list[Notice]] = defaultdict(list)
    for notice in notices:
        ticket = due[notice.key][0].ticket if notice.key.channel == ON_TICKET else None
        groups[notice.key.channel, notice.key.recipient, ticket].append(notice)
    steps = [reached for found in due.values() for reached in found]
    people = {each.ref: each for reached in steps for percent in RUNGS for each in told_at(programme.register, reached, percent)}
    return [
        _message(programme, channel, people.get(recipient), ticket, [reached for each in held for reached in due[each.key]], tuple(held))
        for (channel, recipient, ticket), held in sorted(groups.items(), key=lambda group: (group[0][0], group[0][1], group[0][2] or ""))
    ]


def _message(  # noqa: PLR0913, PLR0917 - what a message is made of
    programme: Programme, channel: str, recipient: Recipient | None, ticket: str | None, found: Sequence[Reached], held: tuple[Notice, ...]
) -> Message:
    steps = sorted(dict.fromkeys(found), key=lambda each: (-each.percent, each.due, each.about, each.clock))
    worst = steps[0]
    what = (
        f"{worst.percent} % of the time {DOING[worst.clock]}" if len(steps) == 1 else f"{len(steps)} agreed times, up to {worst.percent} %"
    )
    again = " (perhaps told before)" if any(each.again for each in held) else ""
    title = tame(f"{programme.register.customer.name}: {what}{again}", LONGEST)
    return Message(channel, recipient, ticket, title, tuple(tame(_line(each), LONGEST) for each in steps), held)


def _line(reached: Reached) -> str:
    about = (
        f"plan {reached.about}" if reached.clock == "approve" else f"{reached.control}, {reached.count} finding{'s' * (reached.count > 1)}"
    )
    whose = f", {reached.partner}" if reached.partner else ""
    who = f"; accountable: {', '.join(reached.accountable) or 'nobody'}"
    ticket = "" if reached.clock == "approve" else f"; {reached.ticket or 'no ticket yet'}"
    due = "was due" if reached.percent >= TICKET_RUNGS[0] else "due"
    return (
        f"{reached.percent} % of the time {DOING[reached.clock]}: {about}{whose} ({reached.severity}), {due} {minute(reached.due)},"
        f" since {minute(reached.since)}{who}{ticket}"
    )


def body(message: Message) -> str:
    """Return the text of a message, which is plain."""
    more = [f"... and {len(message.lines) - SHOWN} more."] if len(message.lines) > SHOWN else []
    return "\n".join([*message.lines[:SHOWN], *more, "", "`countersign clocks --late` lists them all, and recomputes each from the log."])


def _told(
    programme: Programme, state: State, outbox: Outbox, messages: Iterable[Message], clock: Callable[[], datetime]
) -> Iterator[Message | None]:
    """Tell each message, and yield it with what went wrong; None: it waits for a later pass."""
    by_name = {channel.name: channel for channel in programme.escalation.channels}
    comments = []
    for message in messages:
        if message.ticket is None:
            yield _sent(by_name[message.channel], outbox, message, clock)
        else:
            comments.append(message)
    if not comments:
        return
    try:
        # A run writes to tickets too: one of us at a time, so that nobody is told twice on one day.
        with state.lock(f"telling (pid {os.getpid()})", clock()):
            yield from _commented(programme, state, outbox, comments, clock)
    except StateBusyError:
        yield from [None] * len(comments)


def _sent(channel: Channel, outbox: Outbox, message: Message, clock: Callable[[], datetime]) -> Message:
    ids = [each.id for each in message.notices]
    outbox.settle(ids, "sending", at=clock())
    try:
        channels.send(channel, message.title, body(message), None if message.recipient is None else message.recipient.address)
    except channels.ChannelError as error:
        outbox.settle(ids, "claimed", at=clock(), error=error.message)
        return _failed(message, error.message)
    outbox.settle(ids, "told", at=clock())
    return message


def _commented(
    programme: Programme, state: State, outbox: Outbox, comments: Sequence[Message], clock: Callable[[], datetime]
) -> Iterator[Message | None]:
    desk = desk_of(programme, state.engine, clock)
    told_today = _commented_on(state, desk.target, clock())
    refused: str | None = None
    for message in comments:
        ids = [each.id for each in message.notices]
        if refused is not None:
            yield _failed(message, f"not tried: {refused}")
            continue
        if message.ticket in told_today:
            yield None
            continue
        outbox.settle(ids, "sending", at=clock())
        try:
            desk.comment(str(message.ticket), "\n".join(message.lines))
        except DeskError as error:
            outbox.settle(ids, "claimed", at=clock(), error=error.message)
            refused = error.message if isinstance(error, DeskRefusedError | DeskBusyError) else None
            yield _failed(message, error.message)
            continue
        state.settle(desk.target, message.notices[0].key.about, "open", commented_at=clock())
        outbox.settle(ids, "told", at=clock())
        yield message


def _commented_on(state: State, target: str, now: datetime) -> frozenset[str]:
    """Return the tickets that somebody was told on today (UTC), by the desk's ids."""
    with state.engine.connect() as connection:
        rows = connection.execute(
            sa.select(tickets.c.ticket, tickets.c.commented_at).where(tickets.c.target == target, tickets.c.state == "open")
        )
        return frozenset(row.ticket for row in rows if row.commented_at is not None and row.commented_at.date() >= now.date())


def _failed(message: Message, why: str) -> Message:
    return Message(message.channel, message.recipient, message.ticket, message.title, message.lines, message.notices, why)
