"""Who answered for what in a period, by its table `accountability`: the last register as a matrix, and what changed; all pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from countersign.register.matrix import WORDS, Column, Duty, Matrix, Row
from countersign.register.records import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.register.matrix import ColumnKind, GovernedBy

_LETTERS = tuple(WORDS)
_ORDER: tuple[ColumnKind, ...] = ("person", "left", "partner", "partner-person", "team")
_OF_CONTROL = {
    "business_owner": "B", "technical_owner": "T", "operational_owner": "O", "approves": "a", "implements": "i", "monitors": "m",
    "revokes": "r", "fallback": "f",
}  # fmt: skip
_OF_STEP = {"responsible": "R", "accountable": "A", "consulted": "C", "informed": "I"}
_OPTIONAL = "CI"
"""Letters that nobody needs to be named for."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a later register says differently, of every control of which it is the same."""

    sequence: int
    """The first run that read the later register."""
    as_of: datetime | None
    controls: tuple[str, ...]
    what: str
    """Such as `accountable for rotate`."""
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """What somebody is named for, and the controls for which it is the same; what covers most controls first."""

    duties: tuple[Duty, ...]
    controls: tuple[str, ...]


def matrix(rows: Sequence[Mapping[str, Any]], people: Sequence[Mapping[str, Any]], partners: Mapping[str, str]) -> Matrix:
    """Return the last register of the period as a matrix. `rows` as the table has them, by `from_sequence`; `people` as theirs has them."""
    last = rows[-1]["register_digest"] if rows else None
    now = [row for row in rows if row["register_digest"] == last]
    lines = tuple(_row(control, list(group)) for control, group in groupby(now, key=lambda row: str(row["control"])))
    known = {person["person"]: person for person in people}
    columns = sorted((_column(ref, known, partners) for ref in {ref for line in lines for ref in line.cells}), key=_place)
    return Matrix(tuple(columns), lines)


def parts(seen: Matrix, ref: str) -> tuple[Part, ...]:
    """Return everything that the matrix names somebody for."""
    same: dict[tuple[Duty, ...], list[str]] = defaultdict(list)
    for row in seen.rows:
        if row.cells.get(ref):
            same[row.cells[ref]].append(row.control)
    return tuple(Part(duties, tuple(controls)) for duties, controls in sorted(same.items(), key=lambda each: (-len(each[1]), each[1])))


def alike(seen: Matrix) -> tuple[tuple[Row, tuple[str, ...]], ...]:
    """Put the controls together for which everybody does the same: one row, and all of them; nobody's first, then by control."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in seen.rows:
        found[row.governed_by, frozenset(row.cells.items()), row.missing].append(row)
    groups = sorted(found.values(), key=lambda rows: (rows[0].governed_by != "nobody", rows[0].governed_by == "default", rows[0].control))
    return tuple((rows[0], tuple(row.control for row in rows)) for rows in groups)


def changes(rows: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return what each register of the period says differently from the one before it, in their order."""
    registers = [(key, list(group)) for key, group in groupby(rows, key=lambda row: (row["from_sequence"], row["register_digest"]))]
    return tuple(change for (_, old), (_, new) in pairwise(registers) for change in _changed(old, new))


def _changed(old: Iterable[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    before, after = _said(old), _said(new)
    were, are = ({control for control, _ in said} for said in (before, after))
    same: dict[tuple[str, str | None, str | None], list[str]] = defaultdict(list)
    for control in sorted(were ^ are):
        pair = tuple("in the register" if control in held else None for held in (were, are))
        same["the control itself", pair[0], pair[1]].append(control)
    for control, what in sorted(before.keys() | after.keys()):
        pair = before.get((control, what)), after.get((control, what))
        if control in were & are and pair[0] != pair[1]:
            same[what, *pair].append(control)
    for (what, was, now), controls in sorted(same.items(), key=lambda each: (-len(each[1]), each[1], each[0][0])):
        yield Change(new[0]["from_sequence"], new[0]["from_as_of"], tuple(controls), what, was, now)


def _said(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str | None]:
    """Return what a register says by control and by what it says it of; None where it says nothing."""
    said: dict[tuple[str, str], str | None] = {}
    for row in rows:
        said |= {(row["control"], WORDS[letter]): row[name] or None for name, letter in _OF_CONTROL.items()}
        if row["step"] is not None:
            said |= {(row["control"], f"{WORDS[letter]} for {row['step']}"): row[name] or None for name, letter in _OF_STEP.items()}
    return said


def _row(control: str, rows: Sequence[Mapping[str, Any]]) -> Row:
    first = rows[0]
    if first["governed_by"] == "nobody":
        return Row(control, first["title"] or control, "nobody", None, {}, ())
    cells: dict[str, set[Duty]] = defaultdict(set)
    missing = set()
    for row in rows:
        named = [(row[name], Duty(letter)) for name, letter in _OF_CONTROL.items()]
        named += [(row[name], Duty(letter, row["step"])) for name, letter in _OF_STEP.items() if row["step"] is not None]
        for refs, duty in named:
            for ref in _split(refs):
                cells[ref].add(duty)
            if not _split(refs) and duty.letter not in _OPTIONAL:
                missing.add(duty)
    own: GovernedBy = "own" if first["governed_by"] == "own" else "default"
    return Row(control, first["title"] or control, own, None, {ref: _ordered(duties) for ref, duties in cells.items()}, _ordered(missing))


def _split(refs: str | None) -> list[str]:
    """Take several names in one cell apart; the register's names hold no comma."""
    return [ref for each in (refs or "").split(",") if (ref := each.strip())]


def _ordered(duties: Iterable[Duty]) -> tuple[Duty, ...]:
    return tuple(sorted(duties, key=lambda duty: (_LETTERS.index(duty.letter), STEPS.index(duty.step) if duty.step in STEPS else 0)))


def _column(ref: str, people: Mapping[str, Mapping[str, Any]], partners: Mapping[str, str]) -> Column:
    person = people.get(ref)
    if person is not None and person["party"] is None:
        return Column(ref, person["name"] or ref, "person" if person["active"] else "left")
    if ref in partners:
        return Column(ref, partners[ref], "partner")
    if person is not None or ref.partition("/")[0] in partners:
        return Column(ref, ref if person is None else person["name"] or ref, "partner-person")
    return Column(ref, ref, "team")


def _place(column: Column) -> tuple[int, str]:
    return _ORDER.index(column.kind), column.id
