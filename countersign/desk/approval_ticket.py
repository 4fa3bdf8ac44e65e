"""The ticket by which an accountable owner approves a plan in the customer's own tracker, and what it says of the plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from countersign.approval.proofs import TicketProof
from countersign.finding import inert
from countersign.remediation import Draft
from countersign.ticket_body import Points, Quoted, line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from countersign.approval.proofs import Choice
    from countersign.desk import Tracker
    from countersign.desk_settings import RequestTracker
    from countersign.ticket_body import Body

CONTROL = "offboarding"
_DIGEST = re.compile(r"Plan digest: (?:sha256:)?([0-9a-f]{64})")
_HEX = re.compile(r"[0-9a-f]{64}")


def approval_draft(  # noqa: PLR0913 - what a ticket about a plan says
    subject: str,
    digest: str,
    summary: Iterable[str],
    due: datetime | None,
    *,
    partner: str | None = None,
    accountable: str | None = None,
    approves: str | None = "resolved",
    declines: str | None = "rejected",
) -> Draft:
    """Draft the ticket for a plan: `subject` as statements name it (`plan/<plan id>`), `digest` the SHA-256 of plan.json in hex.

    `summary` are lines for people; names in them come from outside, so each stays on its line and cannot look like the digest's.
    `approves` and `declines` are the tracker's statuses; None: what is done to this ticket proves nothing.
    Raises ValueError when the digest is none.
    """
    digest = digest.removeprefix("sha256:")
    if not _HEX.fullmatch(digest):
        raise ValueError("a plan's digest is 64 hexadecimal digits")
    if approves is None or declines is None:
        how = [line("Sign a statement to approve or to decline it. What is done to this ticket decides nothing.")]
    else:
        how = [
            line("To approve, set the status of this ticket to ", Quoted(approves), "; to decline, to ", Quoted(declines), "."),
            line(
                "What counts is who did it, by this ticket's history: the account of an accountable person of the customer's who did not"
                " ask for the plan. Read the plan first, and compare its digest with the one below."
            ),
        ]
    body: Body = (
        line("Somebody accountable has to decide about ", Quoted(subject), "."),
        *how,
        line("Plan: ", Quoted(subject)),
        line(f"Plan digest: sha256:{digest}"),
        Points(tuple(((Quoted(text),),) for text in summary)),
    )
    title = f"Approve {inert(subject)}" if partner is None else f"Approve {inert(subject)}, {inert(partner)}"
    return Draft(title=title, body=body, control=CONTROL, partner=partner, accountable=accountable, severity="critical", due=due)


def stated_digest(text: str) -> str | None:
    """Return the digest (hex) that a ticket's text states on a line of its own; None: none, or more than one."""
    found = [match[1] for match in map(_DIGEST.fullmatch, (line.rstrip() for line in text.splitlines())) if match]
    return found[0] if len(found) == 1 else None


def ticket_proofs(tracker: Tracker, settings: RequestTracker, ticket: str) -> tuple[TicketProof, ...]:
    """Read what people decided by a plan's approval ticket, for the verifier of approvals to judge: every change of its status, in order.

    `ticket` is the desk's id. Raises DeskError when the tracker cannot say, which is neither an approval nor a refusal.
    """
    choices: dict[str, Choice] = {settings.approves: "approve", settings.declines: "decline"}
    made_by, text = tracker.opened(ticket)
    ourselves, stated = tracker.ourselves(), stated_digest(text)
    return tuple(
        TicketProof(
            name=change.entry,
            desk=settings.name,
            ticket=ticket,
            made_by=made_by,
            ourselves=ourselves,
            stated=stated,
            actor=change.actor,
            at=change.at,
            was=change.was,
            becomes=change.becomes,
            choice=choices.get(change.becomes),
        )
        for change in tracker.transitions(ticket)
    )
