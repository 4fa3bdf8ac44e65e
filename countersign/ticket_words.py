"""What a ticket tells about its findings: what and where, why it matters, each fact with its source, how to fix it, what closes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.expectation import must_hold
from countersign.fixes import LAST, fix_of
from countersign.remediation import NO_PARTNER, ROLL_UP, UNASSIGNED
from countersign.ticket_body import Commands, Heading, Points, Quoted, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.expectation import Expectation
    from countersign.finding import Known
    from countersign.fixes import Fix
    from countersign.remediation import Action, Carried, Draft
    from countersign.ticket_body import Part, Words

ASKED_OF_WHO_ASKS = "--reason WHY --compensating-control WHAT --exit-criteria WHAT --expires DAY --by WHO"
TOLD_HOW = 5
"""Findings to be fixed alike whose very places and commands a ticket writes out."""


@dataclass(frozen=True, slots=True)
class Said:
    """Facts of one finding that one call told."""

    call: str
    """The provider's operation, or `register`."""
    at: datetime
    """When it answered (UTC)."""
    facts: tuple[tuple[str, str], ...]
    """Name and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the words come from."""

    records: Mapping[str, Expectation]
    """By control id; of one that is not there only the findings are told."""
    people: Mapping[str, str] = field(default_factory=dict)
    """Person's id to name."""
    facts: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    """Fingerprint to what was said of it; none is told of one that is not there."""


def shown(actions: Iterable[Action]) -> tuple[str, ...]:
    """Return the fingerprints of all findings that the tickets write out, whose facts are wanted."""
    drafts = (action.draft for action in actions)
    return tuple(f.fingerprint for draft in drafts if draft is not None and draft.carried is not None for f in draft.carried.shown)


def worded(draft: Draft, sources: Sources) -> Draft:
    """Put a ticket into words; one that carries no findings, or has its words, stays as it is."""
    if draft.carried is None:
        return draft
    return replace(draft, body=(*draft.body, *_body(draft, draft.carried, sources)), carried=None)


def _body(draft: Draft, carried: Carried, sources: Sources) -> Iterator[Part]:
    record = sources.records.get(draft.control)
    if draft.control == ROLL_UP:
        yield line("Too many tickets for one run: the worst were opened, and these follow on later nights.")
    elif record is not None:
        yield line(f"{record.title}. {record.why}")
    yield Points(tuple((words,) for words in _head(draft, carried, sources)))
    yield Heading("What was found")
    yield Points(tuple(_finding(f, sources, several=draft.control == ROLL_UP) for f in carried.shown), numbered=True)
    if carried.total > len(carried.shown):
        yield line(f"... and {carried.total - len(carried.shown)} more; `countersign findings` and the evidence list them all.")
    if record is not None:
        yield Heading("How to fix it")
        yield from _how(record, carried.shown)
        yield Heading("What closes this ticket")
        yield from _closes(record, carried.shown)


def _head(draft: Draft, carried: Carried, sources: Sources) -> Iterator[Words]:
    yield ("Control: ", Quoted(draft.control))
    yield ("Partner: ", Quoted(draft.partner or NO_PARTNER))
    name = sources.people.get(draft.accountable or "")
    yield ("Accountable: ", Quoted(draft.accountable or UNASSIGNED), *(() if name is None else (" (", Quoted(name), ")")))
    if draft.due is not None:
        yield (f"Due: {stamp(draft.due)}" if carried.open else f"Accepted until: {stamp(draft.due)}",)
    unread = f"; {carried.unread} of them could not be checked this time" if carried.unread else ""
    yield (f"Findings: {carried.open} open, {carried.excepted} excepted{unread}",)


def _finding(f: Known, sources: Sources, *, several: bool) -> tuple[Words, ...]:
    name: Words = () if f.identity_name is None else (" of ", Quoted(f.identity_name))
    control: Words = (f"{f.control}: ",) if several else ()
    due = "" if f.due is None or f.state == "excepted" else f"; due {stamp(f.due)}"
    lines: list[Words] = [
        (*control, Quoted(f.subject), *name, ": ", Quoted(f.reason)),
        (f"{f.severity}, since {stamp(f.since)}{due}",),
    ]
    if f.excepted_until is not None:
        lines.append((f"accepted until {stamp(f.excepted_until)} by ", Quoted(str(f.excepted))))
    if f.unobserved_since is not None:
        lines.append((f"not checked since {stamp(f.unobserved_since)}: as it was last seen",))
    lines += (
        (Quoted(said.call), f" at {stamp(said.at)}: ", Quoted(", ".join(f"{name} {value}" for name, value in said.facts)))
        for said in sources.facts.get(f.fingerprint, ())
    )
    return tuple(lines)


def _how(record: Expectation, findings: Sequence[Known]) -> Iterator[Part]:
    yield line(record.remedy)
    alike: dict[str, list[tuple[int, Fix]]] = {}
    for number, finding in enumerate(findings, 1):
        fix = fix_of(finding) if finding.state == "open" else None
        if fix is not None:
            alike.setdefault(fix.says, []).append((number, fix))
    for says, fixes in alike.items():
        told = fixes[:TOLD_HOW]
        numbers = ", ".join(str(number) for number, _ in fixes)
        yield line(says if len(findings) == 1 else f"{says} (Finding{'s' * (len(fixes) > 1)} {numbers}.)")
        places = [(number, fix.console) for number, fix in told if fix.console is not None]
        if places:
            yield Points(tuple(((f"Console{f', finding {number}' * (len(findings) > 1)}: ", Quoted(place)),) for number, place in places))
        commands = [text for number, fix in told for text in (*(f"# finding {number}" for _ in fix.commands[:1]), *fix.commands)]
        if commands:
            last = f" What stands behind `{LAST.strip()}` deletes: it is for when nobody has used it for as long as you watch."
            yield line(f"Run the lines one by one, and read each answer before the next.{last * any(LAST in text for text in commands)}")
            yield Commands(tuple(commands if len(findings) > 1 else fixes[0][1].commands))
        if len(fixes) > len(told):
            yield line(f"The other {len(fixes) - len(told)} alike.")


def _closes(record: Expectation, findings: Sequence[Known]) -> Iterator[Part]:
    scopes = sorted({f"{f.provider} {f.scope}" for f in findings})
    places = [part for scope in scopes[:TOLD_HOW] for part in (", ", Quoted(scope))][1:]
    more = " and the others above" if len(scopes) > TOLD_HOW else ""
    yield line(
        "A run that reads ", *places, f"{more} wholly and finds that this holds: {must_hold(record.id)}"
        " It writes the digest of its evidence here and closes the ticket.",
    )  # fmt: skip
    yield line(
        "Closing it by hand accepts nothing: what is still observed is opened again. Whoever wants it accepted for a time asks for an"
        " exception, and the accountable owner decides:"
    )
    yield Commands((
        f"countersign exception request --finding {findings[0].fingerprint[:12]} {ASKED_OF_WHO_ASKS}",
    ))  # fmt: skip
