"""What a reader of a period should look at first: at most three things, chosen by a fixed rule; all pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from countersign import shares
from countersign.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST = 3
MUCH = 10
"""Percent of verdicts unknown from which on that is a thing to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rule looks at."""

    expected: int
    """Nights that were due: those before the ledger began were not."""
    stretches: Sequence[Any]
    cut: bool
    """Whether the period is cut to one partner: why a night failed may then be withheld, so that no reason is no gap."""
    offboardings: Sequence[Mapping[str, Any]]
    overdue: Sequence[Mapping[str, Any]]
    """The longest overdue first; closed ones among them."""
    controls: Sequence[Mapping[str, Any]]
    refused: Sequence[Mapping[str, Any]]
    """Exceptions that a run refused within their time, and that hold no more."""
    findings: Mapping[str, int]
    differ: int
    """Listings whose count differs from the independent one."""
    people: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at."""

    what: str
    """A few words."""
    why: str
    """One or two sentences; may hold names from outside."""
    section: str
    """Id of the section that has all of it."""


def first_look(facts: Facts) -> tuple[Look, ...]:
    """Return at most MOST things: doubts about the evidence first, then access that should be gone, what is late, who is not named."""
    return tuple(islice(_looks(facts), MOST))


def _looks(facts: Facts) -> Iterator[Look]:
    if facts.differ:
        many = f"{_many(facts.differ, 'listing', 'does', 'do')} not agree with an independent count of the same thing."
        yield Look("Counts that disagree", f"{many} Something may have been missed there.", "completeness")
    yield from _left(facts)
    yield from _gone(facts)
    yield from _late(facts)
    nobody = [control["control"] for control in facts.controls if control["accountable"] is None]
    if nobody:
        yield Look(
            "Nobody accountable", f"{_many(len(nobody), 'control', 'has', 'have')} no accountable person: {_few(nobody)}.", "accountable"
        )
    yield from _refused(facts)
    unknown, population = (sum(control[name] for control in facts.controls) for name in ("unknown", "population"))
    if unknown * 100 > population * MUCH:
        share = f"{shares.percent(unknown, population)} of {population:,} verdicts"
        yield Look("Much is unknown", f"{share} on the last judged night are unknown.", "controls")
    if facts.findings["open"]:
        yield Look("Open findings", f"{words.plural(facts.findings['open'], 'finding')} stood open at the end of the period.", "findings")


def _left(facts: Facts) -> Iterator[Look]:
    left = [row for row in facts.offboardings if row["state"] == "still there"]
    if left:
        row = left[0]
        many = "Access" if row["left_over"] is None else words.plural(row["left_over"], "live identity", "live identities")
        ended = "" if row["ended_on"] is None else f" on {row['ended_on']}"
        also = f" The same holds for {words.plural(len(left) - 1, 'more partner')}." if len(left) > 1 else ""
        why = f"{many} of {_cut(row['name'] or row['partner'])} remained after its contract ended{ended}.{also}"
        yield Look("Access after the contract", why, "offboardings")


def _gone(facts: Facts) -> Iterator[Look]:
    gone = [each for each in facts.stretches if each.state in ("missing", "failed")]
    if gone:
        unexplained = sum(each.nights for each in gone if not each.why and (each.state == "missing" or not facts.cut))
        explained = "" if facts.cut else " Each has an explanation on file."
        rest = f" Nothing on file explains {unexplained:,} of them." if unexplained else explained
        count = words.plural(sum(each.nights for each in gone), "night")
        yield Look("Nights without a judgement", f"{count} of {facts.expected:,} had none.{rest}", "nights")


def _late(facts: Facts) -> Iterator[Look]:
    row = next((row for row in facts.overdue if row["closed"] is None), None)
    if row is not None:
        person = row["accountable"]
        who = "nobody is accountable" if person is None else f"{_cut(facts.people.get(person, person))} is accountable"
        late = f"{words.name(row)} ({_cut(row['control'])}) is {words.plural(row['overdue_days'], 'day')} past its due date; {who}."
        yield Look("Overdue", f"{late} {_many(facts.findings['overdue'], 'standing finding', 'is', 'are')} overdue.", "overdue")


def _refused(facts: Facts) -> Iterator[Look]:
    invalid = [row for row in facts.refused if row["state"] == "invalid"]
    kinds = (
        ([row for row in invalid if row["nights_used"] == 0], "is", "are", "not valid and kept nothing from counting"),
        ([row for row in invalid if row["nights_used"] != 0], "is", "are", "not valid any more"),
        ([row for row in facts.refused if row["state"] == "ended"], "was", "were", "refused for some time before the end"),
    )
    said = [
        f"{_many(len(rows), 'exception', one, many)} {what}: {_few([row['exception'] for row in rows])}."
        for rows, one, many, what in kinds
        if rows
    ]
    if said:
        yield Look("Exceptions that do not hold", " ".join(said), "exceptions")


def _many(count: int, thing: str, one: str, many: str) -> str:
    return f"{words.plural(count, thing)} {one if count == 1 else many}"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(_cut(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"  # noqa: PLR2004 - as above


def _cut(text: str) -> str:
    return words.cut(text, words.LONGEST_NAME)
