"""Who answers for what: the register seen as controls by people, partners and teams, and from one of them at a time; all pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from countersign.register.records import DEFAULT_CONTROL, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from countersign.errors import Where
    from countersign.register.records import Control, Register, Workload

ColumnKind = Literal["person", "left", "partner", "partner-person", "team", "unknown"]
GovernedBy = Literal["own", "default", "nobody"]

WORDS = {
    "B": "business owner",
    "T": "technical owner",
    "O": "operational owner",
    "R": "responsible",
    "A": "accountable",
    "C": "consulted",
    "I": "informed",
    "a": "approves",
    "i": "implements",
    "m": "monitors",
    "r": "revokes",
    "f": "fallback",
}
"""Letter to what it stands for, in the order in which letters are written: owners, RACI, the four answers, the fallback."""
_LETTERS = "".join(WORDS)
_OWNERS = {"business": "B", "technical": "T", "operational": "O"}
_ANSWERS = {"approves": "a", "implements": "i", "monitors": "m", "revokes": "r"}
_ORDER: tuple[ColumnKind, ...] = ("person", "left", "partner", "partner-person", "team", "unknown")


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing that somebody does for a control."""

    letter: str
    """A key of WORDS."""
    step: str | None = None
    """Life-cycle step, for R, A, C and I."""


@dataclass(frozen=True, slots=True)
class Column:
    """Somebody who is named in a control."""

    id: str
    """As the register names them: `maria`, `acme`, `acme/pavel`, `soc`."""
    name: str
    kind: ColumnKind
    """`left`: of the customer's people, no longer active; `unknown`: nothing in the register bears this name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One control with who does what for it."""

    control: str
    title: str
    """What is wrong when it fails; its id where nothing judges it."""
    governed_by: GovernedBy
    """Whether an entry of its own says so, the `default` entry, or none: then there are no cells."""
    where: Where | None
    """Where that entry is written; None: there is none."""
    cells: Mapping[str, tuple[Duty, ...]]
    """Column id to duties; a column that has none is left out."""
    missing: tuple[Duty, ...]
    """What nobody is named for, of what `register check` demands."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """All controls against all who are named in any."""

    columns: tuple[Column, ...]
    """Customer people first, then those who left, partners, partners' people, teams, and names that mean nobody."""
    rows: tuple[Row, ...]
    """By control id."""


@dataclass(frozen=True, slots=True)
class Person:
    """Everything that one person (or a partner's person, or a team) answers for."""

    column: Column
    duties: tuple[tuple[tuple[Duty, ...], tuple[str, ...]], ...]
    """Duties, and the controls for which they are the same; what covers most controls first."""
    owns: tuple[str, ...]
    """Workloads."""
    backs_up: tuple[str, ...]
    reviewed: tuple[str, ...]
    """Workloads whose access they reviewed."""
    approved: tuple[str, ...]
    """Exceptions."""
    requested: tuple[str, ...]
    declared: tuple[str, ...]
    """Incidents."""


@dataclass(frozen=True, slots=True)
class Use:
    """A workload as its partner's page shows it."""

    workload: str
    owner: str | None
    owner_is_live: bool
    backup_owner: str | None
    purpose: str | None
    expires: date | None
    identities: int
    """Patterns, not what they match."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a partner or its people do for a control, and who of the customer's is accountable for each step."""

    control: str
    duties: tuple[Duty, ...]
    accountable: tuple[tuple[str, str | None], ...]
    """Step and the person; None: nobody is named."""


@dataclass(frozen=True, slots=True)
class PartnerView:
    """What one partner delivers, and who answers for it."""

    id: str
    name: str
    reference: str
    starts: date
    ends: date | None
    """Last day of the contract; None: open-ended."""
    people: tuple[str, ...]
    """Its people that controls name, as `partner/person`."""
    delivers: tuple[Delivery, ...]
    workloads: tuple[Use, ...]


def matrix(register: Register, judged: Mapping[str, str]) -> Matrix:
    """Set out who does what for each control. `judged`: id to title of the controls that are judged.

    An entry for a control that nothing judges gets a row as well; the `default` entry has none of its own.
    """
    rows = tuple(
        _row(register, control, judged.get(control, control)) for control in sorted({*judged, *register.controls} - {DEFAULT_CONTROL})
    )
    named = {ref for row in rows for ref in row.cells}
    columns = sorted((_column(register, ref) for ref in named), key=lambda column: (_ORDER.index(column.kind), column.id))
    return Matrix(tuple(columns), rows)


def compact(duties: tuple[Duty, ...]) -> str:
    """Write duties in letters, such as `B A1234 a`: digits are the life-cycle steps in their order (`1` provision to `4` revoke)."""
    steps: dict[str, str] = defaultdict(str)
    for duty in duties:
        steps[duty.letter] += "" if duty.step is None else str(STEPS.index(duty.step) + 1)
    owner = "".join(letter for letter in "BTO" if letter in steps)
    raci = [f"{letter}{''.join(sorted(steps[letter]))}" for letter in "RACI" if letter in steps]
    answers = "".join(letter for letter in "aimrf" if letter in steps)
    return " ".join(part for part in (owner, *raci, answers) if part)


def spoken(duties: tuple[Duty, ...]) -> str:
    """Write duties in words: `business owner; accountable for provision, rotate; approves`."""
    steps: dict[str, list[str]] = defaultdict(list)
    for duty in duties:
        steps[duty.letter] += [] if duty.step is None else [duty.step]
    said = []
    for letter in (letter for letter in _LETTERS if letter in steps):
        every = sorted(steps[letter], key=STEPS.index)
        where = "every step" if tuple(every) == STEPS else ", ".join(every)
        said.append(WORDS[letter] + (f" for {where}" if every else ""))
    return "; ".join(said)


def of_person(register: Register, seen: Matrix, ref: str) -> Person:
    """Gather everything that a person, a partner's person or a team answers for, by the name that the register uses."""
    same: dict[tuple[Duty, ...], list[str]] = defaultdict(list)
    for row in seen.rows:
        if row.cells.get(ref):
            same[row.cells[ref]].append(row.control)
    duties = sorted(((duties, tuple(controls)) for duties, controls in same.items()), key=lambda pair: (-len(pair[1]), pair[1]))
    workloads = register.workloads.values()
    return Person(
        column=_column(register, ref),
        duties=tuple(duties),
        owns=tuple(sorted(entry.workload for entry in workloads if entry.owner == ref)),
        backs_up=tuple(sorted(entry.workload for entry in workloads if entry.backup_owner == ref)),
        reviewed=tuple(sorted(entry.workload for entry in workloads if any(review.by == ref for review in entry.reviews))),
        approved=tuple(sorted(entry.exception for entry in register.exceptions.values() if entry.approved_by == ref)),
        requested=tuple(sorted(entry.exception for entry in register.exceptions.values() if entry.requested_by == ref)),
        declared=tuple(sorted(entry.incident for entry in register.incidents.values() if entry.declared_by == ref)),
    )


def of_partner(register: Register, seen: Matrix, partner_id: str) -> PartnerView:
    """Gather what a registered partner delivers, with the customer's accountable person for each step. Raises KeyError for no partner."""
    partner = register.partners[partner_id]
    people = tuple(column.id for column in seen.columns if column.kind == "partner-person" and column.id.startswith(f"{partner_id}/"))
    delivers = []
    for row in seen.rows:
        duties = _ordered({duty for ref in (partner_id, *people) for duty in row.cells.get(ref, ())})
        if duties:
            accountable = tuple((step, _accountable(row, step)) for step in STEPS)
            delivers.append(Delivery(row.control, duties, accountable))
    workloads = sorted((entry for entry in register.workloads.values() if entry.partner == partner_id), key=lambda entry: entry.workload)
    contract = partner.contract
    return PartnerView(
        id=partner_id,
        name=partner.name,
        reference=contract.reference,
        starts=contract.starts,
        ends=contract.ends,
        people=people,
        delivers=tuple(delivers),
        workloads=tuple(_use(register, entry) for entry in workloads),
    )


def _row(register: Register, control_id: str, title: str) -> Row:
    entry = register.control(control_id)
    if entry is None:
        return Row(control_id, title, "nobody", None, {}, ())
    cells: dict[str, list[Duty]] = defaultdict(list)
    missing = []
    for ref, duty in _named(entry):
        if ref is not None:
            cells[ref].append(duty)
        elif duty.letter not in "CI":
            missing.append(duty)
    own: GovernedBy = "own" if entry.control == control_id else "default"
    where = register.where("control", entry.control)
    return Row(control_id, title, own, where, {ref: _ordered(set(duties)) for ref, duties in cells.items()}, tuple(missing))


def _named(entry: Control) -> Iterator[tuple[str | None, Duty]]:
    """Yield every place of a control's entry where somebody is to be named, with the name or None."""
    for layer, letter in _OWNERS.items():
        yield getattr(entry.owners, layer), Duty(letter)
    for name in STEPS:
        step = getattr(entry.raci, name)
        for letter in "RA":
            yield (None if step is None else getattr(step, letter)), Duty(letter, name)
        for letter in "CI":
            yield from ((ref, Duty(letter, name)) for ref in (() if step is None else getattr(step, letter)))
    for answer, letter in _ANSWERS.items():
        said = getattr(entry.answers, answer)
        refs = said if isinstance(said, tuple) else (said,)
        yield from ((ref, Duty(letter)) for ref in refs or (None,))
    yield entry.fallback, Duty("f")


def _ordered(duties: set[Duty]) -> tuple[Duty, ...]:
    return tuple(sorted(duties, key=lambda duty: (_LETTERS.index(duty.letter), STEPS.index(duty.step) if duty.step else 0)))


def _accountable(row: Row, step: str) -> str | None:
    return next((ref for ref, duties in row.cells.items() if Duty("A", step) in duties), None)


def _column(register: Register, ref: str) -> Column:
    person = register.people.get(ref)
    if person is not None:
        return Column(ref, person.name, "person" if person.active else "left")
    if ref in register.partners:
        return Column(ref, register.partners[ref].name, "partner")
    if ref in register.teams:
        return Column(ref, register.teams[ref], "team")
    head, _, _ = ref.partition("/")
    return Column(ref, ref, "partner-person" if head != ref and head in register.partners else "unknown")


def _use(register: Register, entry: Workload) -> Use:
    return Use(
        workload=entry.workload,
        owner=entry.owner,
        owner_is_live=register.live(entry.owner) is not None,
        backup_owner=entry.backup_owner,
        purpose=entry.purpose,
        expires=entry.expires,
        identities=len(entry.identities),
    )
