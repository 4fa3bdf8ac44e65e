"""The approval tickets of a plan, one for each approver that it takes: opened at the programme's desk, read back, told how it ended."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from countersign.approval.proofs import TicketProof, Unproved
from countersign.clock import instant, stamp
from countersign.desk import AnswerLostError, DeskError
from countersign.desk.approval_ticket import CONTROL, approval_draft, ticket_proofs
from countersign.desk.choice import desk_of, tracker_of
from countersign.desk_settings import RequestTracker
from countersign.offboarding import folder
from countersign.remediation import key
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from countersign.desk import Desk
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme
    from countersign.remediation import Draft

FILE = "tickets.json"
ASKED = "tickets-asked.json"
"""When each ticket was last asked for."""


def ask(programme: Programme, plan: Plan, *, clock: Callable[[], datetime]) -> tuple[str, ...]:
    """Open the tickets that are not open yet, and return the desk's ids of all. Raises DeskError, StateBusyError.

    One whose answer was lost is looked up by its key when this is called again, never made twice: not before the desk's search shows it.
    """
    ids, asked = dict(_known(programme, plan)), dict(_held(_file(programme, plan, ASKED)))
    with State(programme.state) as state, state.lock(f"approval tickets of {plan.id} (pid {os.getpid()})", clock(), "offboarding"):
        desk = desk_of(programme, state.engine, clock)
        for number in range(1, plan.needed + 1):
            name = key(programme.customer, CONTROL, plan.asked.partner, str(number), plan.id)
            if name not in ids:
                found = desk.find(name)
                if found is None:
                    _check_shown(desk, asked.get(name), clock())
                    # On file first: whoever comes after a process that died here has to know how long ago it asked.
                    asked[name] = stamp(clock())
                    _write(programme, plan, ASKED, asked)
                    try:
                        found = desk.create(name, _draft(programme, plan, number))
                    except AnswerLostError:
                        raise
                    except DeskError:
                        # Surely not made, so nothing stands against asking again at once.
                        del asked[name]
                        _write(programme, plan, ASKED, asked)
                        raise
                ids[name] = found.id
                _write(programme, plan, FILE, ids)
    return tuple(ids.values())


def proofs(programme: Programme, plan: Plan) -> tuple[TicketProof | Unproved, ...]:
    """Return what people decided by the tickets, where the customer runs the tracker; what cannot be read is no proof, and says so."""
    tracker = tracker_of(programme)
    if tracker is None or not isinstance(programme.desk, RequestTracker):
        return ()
    found: list[TicketProof | Unproved] = []
    for ticket in _known(programme, plan).values():
        try:
            found += ticket_proofs(tracker, programme.desk, ticket)
        except DeskError as error:
            found.append(Unproved(name=ticket, why=f"the ticket cannot be read: {error.message}"))
    return tuple(found)


def tell(programme: Programme, plan: Plan, said: str, *, clock: Callable[[], datetime], over: bool) -> None:
    """Add a comment to the tickets; `over`: close them where they are ours alone, since in a tracker of people's their state is theirs.

    Raises DeskError.
    """
    ours = tracker_of(programme) is None
    with State(programme.state) as state:
        desk = desk_of(programme, state.engine, clock)
        for ticket in _known(programme, plan).values():
            desk.comment(ticket, said)
            if over and ours:
                desk.transition(ticket, "closed")


def _draft(programme: Programme, plan: Plan, number: int) -> Draft:
    settings = programme.desk
    words: dict[str, str | None] = {"approves": None, "declines": None}
    if isinstance(settings, RequestTracker):
        words = {"approves": settings.approves, "declines": settings.declines}
    whom = plan.approvers[(number - 1) % len(plan.approvers)] if plan.approvers else None
    return approval_draft(
        plan.subject(), plan.digest(), _summary(plan, number), plan.expires, partner=plan.asked.partner, accountable=whom, **words
    )


def _summary(plan: Plan, number: int) -> Iterator[str]:
    final = sum(not step.reversible for step in plan.steps)
    counts = Counter(step.provider for step in plan.steps)
    if plan.needed > 1:
        yield f"approval {number} of {plan.needed}, each by another person"
    yield f"asked by {plan.asked.requested_by} ({plan.asked.trigger}): {plan.asked.reason or 'no reason given'}"
    yield f"{len(plan.steps)} changes: {', '.join(f'{count} in {provider}' for provider, count in sorted(counts.items())) or 'none'}"
    yield f"{final} of them cannot be taken back"
    yield f"{len(plan.left)} things no change takes away, {len(plan.undecided)} undecided, {len(plan.unread)} places not read"
    yield f"may approve: {', '.join(plan.approvers) or 'nobody'}"
    yield f"see it all with: countersign approve {plan.id}"


def _check_shown(desk: Desk, asked: str | None, now: datetime) -> None:
    """Raise DeskError while a ticket that was asked for may be there and hidden from the desk's search."""
    if asked is not None and now - instant(asked) < desk.search_lag:
        minutes = round(desk.search_lag.total_seconds() / 60)
        lag = f"{desk.target} may not show for {minutes} minutes whether an earlier attempt made the approval ticket"
        raise DeskError(lag, fix="ask again then; before that no second ticket is made")


def _known(programme: Programme, plan: Plan) -> dict[str, str]:
    return _held(_file(programme, plan))


def _held(file: Path) -> dict[str, str]:
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(ticket) for name, ticket in said.items()} if isinstance(said, dict) else {}


def _write(programme: Programme, plan: Plan, name: str, held: dict[str, str]) -> None:
    folder.write(_file(programme, plan, name), json.dumps(held, indent=2).encode())


def _file(programme: Programme, plan: Plan, name: str = FILE) -> Path:
    return programme.folder / folder.FOLDER / plan.id / name
