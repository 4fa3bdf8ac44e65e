"""Carry out a plan at a desk so that a crash at any point neither loses a ticket nor makes a second one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from countersign.desk import AnswerLostError, DeskBusyError, DeskError, DeskRefusedError, TicketGoneError
from countersign.desk.ticket_text import EVIDENCE
from countersign.remediation import REOPEN_WINDOW
from countersign.ticket_body import line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from countersign.desk import Desk
    from countersign.remediation import Action, Draft
    from countersign.state import State


MOST_GONE, GONE_SHARE = 3, 0.1
"""More tickets than this, and a larger share of ours, are not deleted at once: then we may not see them any more."""
Done = Literal["created", "updated", "closed", "reopened", "unchanged", "rolled-up", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one action."""

    key: str
    ticket: str | None
    """The desk's id; None: there is none, or none we know of."""
    action: Done
    error: str | None = None


def reread(desk: Desk, state: State) -> frozenset[str]:
    """Ask the desk which of our open tickets people closed or took away, and note it in the ledger; to be done before planning.

    Returns those (by the desk's ids) that people closed as not to be fixed.
    Raises DeskError when it cannot say, or says that so many are gone that our rights rather than the tickets are.
    """
    ours = {row.ticket: row.key for row in state.tickets(desk.target) if row.state == "open" and row.ticket is not None}
    said = desk.closed(list(ours)) if ours else {}
    gone = [ticket for ticket, at in said.items() if at is None]
    if len(gone) > MOST_GONE and len(gone) > len(ours) * GONE_SHARE:
        raise DeskError(f"{desk.target} shows nothing of {len(gone)} tickets that we made", fix="let our account see its tickets")
    closed = {ticket: at for ticket, at in said.items() if at is not None}
    declined = frozenset(ticket for ticket in closed if desk.declined(ticket))
    state.said_closed(desk.target, closed)
    for ticket in gone:
        _forget(desk, state, ours[ticket])
    return declined


def carry_out(  # noqa: PLR0913  (what to do, where, and what proves it)
    actions: Iterable[Action], desk: Desk, state: State, *, as_of: datetime, clock: Callable[[], datetime], evidence: str, digest: str
) -> tuple[Receipt, ...]:
    """Carry out a plan that `State.apply` has put on file, and return a receipt for each action, in order.

    `evidence` (path) and `digest` (of its statement) go into each ticket. A DeskError fails one action; after DeskRefusedError or
    DeskBusyError no further call is made. What failed is planned again next night. `as_of` is the night's time; `clock` tells how long
    ago an answer was lost.
    """
    night = _Night(as_of, clock, f"{EVIDENCE}{evidence} ({digest})")
    state.recover(desk.target)
    receipts: list[Receipt] = []
    stopped: str | None = None
    carried: dict[str, str | None] = {}
    for action in actions:
        if action.kind == "unchanged":
            receipt = Receipt(action.key, action.ticket, "unchanged")
        elif action.kind == "rolled-up":
            receipt = Receipt(action.key, carried.get(action.under or ""), "rolled-up")
        elif stopped is not None:
            receipt = Receipt(action.key, action.ticket, "failed", f"not tried: {stopped}")
        else:
            try:
                receipt = _DO[action.kind](action, desk, state, night)
            except TicketGoneError as error:
                _forget(desk, state, action.key)
                receipt = Receipt(action.key, action.ticket, "failed", f"{error.message}; the next run makes a new one where it is needed")
            except DeskError as error:
                receipt = Receipt(action.key, action.ticket, "failed", error.message)
                if isinstance(error, DeskRefusedError | DeskBusyError):
                    stopped = error.message
        carried[action.key] = receipt.ticket
        receipts.append(receipt)
    return tuple(receipts)


@dataclass(frozen=True, slots=True)
class _Night:
    as_of: datetime
    clock: Callable[[], datetime]
    proof: str


def _taken(action: Action, desk: Desk, state: State, night: _Night) -> bool:
    """Say whether the ticket is ours to look for and to make. Raises DeskError while the desk's search may not show it yet."""
    taken = state.take(desk.target, action.key, now=night.clock(), search_lag=desk.search_lag)
    if taken == "hidden":
        minutes = round(desk.search_lag.total_seconds() / 60)
        lag = f"{desk.target} may not show for {minutes} minutes whether an earlier attempt made it"
        raise DeskError(lag, fix="run again then; a run before that makes no second ticket")
    return taken == "ours"


def _create(action: Action, desk: Desk, state: State, night: _Night) -> Receipt:
    draft = _proved(action, night.proof)
    if not _taken(action, desk, state, night):
        return Receipt(action.key, None, "unchanged", "another process is opening it")
    done: Done
    try:
        found = desk.find(action.key)
        if found is not None and found.closed_at is not None and night.as_of - found.closed_at > REOPEN_WINDOW:
            draft = replace(draft, replaces=found.id)
        if found is None or found.id == draft.replaces:
            ticket, done = desk.create(action.key, draft), "created"
        else:
            # A create of ours whose answer was lost, or an older ledger's ticket: either way it is this one.
            ticket, done = found, "reopened" if found.state == "closed" else "updated"
            desk.transition(found.id, "open")
            desk.update(found.id, draft)
    except AnswerLostError:
        state.settle(desk.target, action.key, "unknown")
        raise
    except DeskError:
        state.settle(desk.target, action.key, "claimed")
        raise
    state.settle(desk.target, action.key, "open", ticket=ticket.id, digest=action.digest, commented_at=night.as_of)
    return Receipt(action.key, ticket.id, done)


def _update(action: Action, desk: Desk, state: State, night: _Night) -> Receipt:
    ticket, draft = _ticket(action), _proved(action, night.proof)
    if desk.redescribes_in_comments:
        if action.comment is None:
            # People were told today: the description waits for another day, and the ledger keeps what it told last.
            desk.update(ticket, replace(draft, body=()))
        else:
            state.settle(desk.target, action.key, "open", commented_at=night.as_of)
            desk.update(ticket, replace(draft, body=(line(action.comment), *draft.body)))
            state.settle(desk.target, action.key, "open", digest=action.digest)
        return Receipt(action.key, ticket, "updated")
    desk.update(ticket, draft)
    if action.comment is None:
        state.settle(desk.target, action.key, "open", digest=action.digest)
    else:
        # On file first: a comment lost in a crash is better than one told twice; the body says it all anyway.
        state.settle(desk.target, action.key, "open", digest=action.digest, commented_at=night.as_of)
        desk.comment(ticket, f"{action.comment}\n{night.proof}")
    return Receipt(action.key, ticket, "updated")


def _reopen(action: Action, desk: Desk, state: State, night: _Night) -> Receipt:
    ticket, draft = _ticket(action), _proved(action, night.proof)
    desk.transition(ticket, "open")
    commented = False
    if desk.redescribes_in_comments:
        # One comment says it all; what it told already it does not tell again.
        commented = not action.told
        draft = replace(draft, body=() if action.told else (line(str(action.comment)), *draft.body))
    desk.update(ticket, draft)
    state.reopened(desk.target, action.key, digest=action.digest, at=night.as_of)
    if not commented:
        desk.comment(ticket, f"{action.comment}\n{night.proof}")
    return Receipt(action.key, ticket, "reopened")


def _close(action: Action, desk: Desk, state: State, night: _Night) -> Receipt:
    ticket = action.ticket
    if ticket is None:
        # Claimed by a run that died, or its answer was lost: it may be there.
        if not _taken(action, desk, state, night):
            return Receipt(action.key, None, "unchanged", "another process is opening it")
        try:
            found = desk.find(action.key)
        except DeskError:
            state.settle(desk.target, action.key, "unknown")
            raise
        ticket = None if found is None else found.id
    if ticket is not None:
        desk.comment(ticket, f"{action.comment}\n{night.proof}")
        desk.transition(ticket, "closed")
    state.settle(desk.target, action.key, "closed", ticket=ticket, closed_at=night.as_of, said_closed_at=None)
    return Receipt(action.key, ticket, "closed")


def _forget(desk: Desk, state: State, key: str) -> None:
    """Note that a key's ticket is gone: what it carried is to have another, which is looked for before it is made."""
    state.settle(desk.target, key, "claimed", ticket=None, digest=None, said_closed_at=None)


_DO = {"create": _create, "update": _update, "reopen": _reopen, "close": _close}


def _proved(action: Action, proof: str) -> Draft:
    if action.draft is None:
        raise ValueError(f"a plan to {action.kind} {action.key} needs a draft")
    return replace(action.draft, body=(*action.draft.body, line(proof)))


def _ticket(action: Action) -> str:
    if action.ticket is None:
        raise ValueError(f"a plan to {action.kind} {action.key} needs its ticket")
    return action.ticket
