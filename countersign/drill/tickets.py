"""The tickets that a run would open for the canaries: opened at the programme's desk, marked as a drill's, and closed when it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from countersign.canary import PARTNER
from countersign.desk.choice import desk_of
from countersign.drill.record import keep
from countersign.expectation import expectations
from countersign.remediation import ALL, UNASSIGNED, Night, key, plan
from countersign.state import State
from countersign.ticket_body import line
from countersign.ticket_words import Sources, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from countersign.drill.record import Record
    from countersign.finding import Known
    from countersign.programme import Programme

MARK = "[drill]"


def ask(programme: Programme, record: Record, findings: Iterable[Known], *, clock: Callable[[], datetime]) -> Record:
    """Open one ticket for each that a run would open for these findings; returns the record with their keys. Raises DeskError.

    They are no part of the ledger of findings, so no night ever touches them.
    """
    night = Night(
        customer=programme.customer, as_of=clock(), budget=programme.limits.tickets_per_run,
        titles={record.id: record.title for record in expectations()},
    )  # fmt: skip
    drafts = {}
    found = tuple(findings)
    sources = Sources(records={record.id: record for record in expectations()})
    note = line("This is a drill: there is nothing to do here, and it closes this ticket itself.")
    for action in plan(found, (), {(each.provider, each.scope): frozenset[str]() for each in found}, night):
        if action.draft is not None:
            owner = action.draft.accountable or UNASSIGNED
            name = key(programme.customer, f"{record.drill} {action.key}", PARTNER, owner, ALL)
            drill = replace(action.draft, title=f"{MARK} {action.draft.title}", body=(note,))
            drafts[name] = worded(drill, sources)
    # On record before they are made, so that whoever cleans up behind a killed drill finds them.
    record = keep(programme, replace(record, tickets=tuple(drafts)))
    with State(programme.state) as state:
        desk = desk_of(programme, state.engine, clock)
        for name, draft in drafts.items():
            if desk.find(name) is None:
                desk.create(name, draft)
    return record


def close(programme: Programme, record: Record, *, clock: Callable[[], datetime]) -> None:
    """Close the tickets of a drill. Raises DeskError."""
    if not record.tickets:
        return
    with State(programme.state) as state:
        desk = desk_of(programme, state.engine, clock)
        for name in record.tickets:
            ticket = desk.find(name)
            if ticket is not None and ticket.state == "open":
                desk.comment(ticket.id, f"Drill {record.drill} is over.")
                desk.transition(ticket.id, "closed")
