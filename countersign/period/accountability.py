"""Who answered for what, by the registers that were in force in the period: one sealed copy for each time that it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.errors import CountersignError, EvidenceError
from countersign.period.lens import OTHER
from countersign.register import sealed
from countersign.register.matrix import matrix
from countersign.register.records import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from countersign.period.ledger import Row
    from countersign.period.lens import Lens
    from countersign.period.members import Member
    from countersign.register.records import Control, Partner, Register


@dataclass(frozen=True, slots=True)
class InForce:
    """One register, and the runs in a row that were judged by it."""

    register: Register
    runs: tuple[Member, ...]

    @property
    def first(self) -> Member:
        """The first of these runs."""
        return self.runs[0]

    @property
    def last(self) -> Member:
        """The last of them."""
        return self.runs[-1]


def registers(members: Sequence[Member], notes: list[str]) -> tuple[InForce, ...]:
    """Read the registers of the judged runs, in order; what is not on file, or not to be read any more, goes into `notes`.

    Raises EvidenceError for a copy that is not the register that its run's statement names.
    """
    read: dict[str, Register] = {}
    found: list[InForce] = []
    lost: list[int] = []
    for member in members:
        digest = str(member.predicate.get("registerDigest"))
        path = member.file(sealed.NAME)  # looked at for each run, also where an earlier one had the same register
        register = read.get(digest) or (None if path is None else _read(path, digest))
        if register is None:
            lost.append(member.sequence)
            continue
        read[digest] = register
        if found and found[-1].register.digest == digest:
            found[-1] = InForce(register, (*found[-1].runs, member))
        else:
            found.append(InForce(register, (member,)))
    if lost:
        notes.append(
            f"{len(lost)} runs ({lost[0]} to {lost[-1]}) hold no register that can be read: who answered for what then is not said"
        )
    return tuple(found)


def accountability(held: Sequence[InForce], titles: Mapping[str, str], mine: frozenset[str] | None, lens: Lens | None) -> Iterator[Row]:
    """Yield the table `accountability`; `mine`: only these controls, None: all."""
    for each in held:
        for row in matrix(each.register, titles).rows:
            if mine is not None and row.control not in mine:
                continue
            entry = each.register.control(row.control)
            for step in STEPS:
                yield {
                    "register_digest": each.register.digest, "from_sequence": each.first.sequence, "from_as_of": each.first.as_of,
                    "to_as_of": each.last.as_of, "control": row.control, "title": row.title, "governed_by": row.governed_by, "step": step,
                } | _step(each.register, entry, step, lens)  # fmt: skip


def people(held: Sequence[InForce], mine: frozenset[str] | None, lens: Lens | None) -> Iterator[Row]:
    """Yield the people of the registers with how much they answer for by the last one that knew them. `mine`: as above."""
    known: dict[str, Row] = {}
    for each in held:
        seen = matrix(each.register, {control: control for control in mine or ()} | dict.fromkeys(each.register.controls, ""))
        rows = [row for row in seen.rows if mine is None or row.control in mine]
        workloads = [entry for entry in each.register.workloads.values() if lens is None or entry.partner == lens.partner]
        named = {column.id: column.name for column in seen.columns if column.kind == "partner-person"}
        own = {person.id: person.name for person in each.register.people.values()}
        for ref, name in {**named, **own}.items():
            duties = sum(ref in row.cells for row in rows)
            uses = sum(ref in (entry.owner, entry.backup_owner) for entry in workloads)
            party = each.register.party(ref)
            known[ref] = {
                "person": ref, "name": name, "party": party, "active": each.register.live(ref) is not None or party is not None,
                "controls": duties, "workloads": uses,
            }  # fmt: skip
    for ref in sorted(known):
        row = known[ref]
        if lens is None or (row["party"] in (None, lens.partner)):
            yield row


def workloads(held: Sequence[InForce], lens: Lens | None) -> Iterator[Row]:
    """Yield the registered uses of identities with who owns them, each by the last register that named it."""
    known = {name: (each.register, entry) for each in held for name, entry in each.register.workloads.items()}
    for name in sorted(known):
        register, entry = known[name]
        if lens is not None and entry.partner != lens.partner:
            continue
        owners = (entry.owner, entry.backup_owner)
        yield {
            "workload": name, "partner": entry.partner, "owner": ref_of(register, entry.owner, lens),
            "backup_owner": ref_of(register, entry.backup_owner, lens),
            "accountable": next((ref for ref in owners if register.live(ref) is not None), None),
            "purpose": entry.purpose, "environment": entry.environment, "expires": entry.expires,
            "reviewed": max((review.on for review in entry.reviews), default=None), "identities": list(entry.identities),
        }  # fmt: skip


def partners(held: Sequence[InForce]) -> dict[str, Partner]:
    """Return every partner that a register of the period named, as the last one that did."""
    return {partner.id: partner for each in held for partner in each.register.partners.values()}


def end_of(held: Sequence[InForce], partner: str) -> tuple[date | None, datetime | None]:
    """Return the last day of a partner's contract, and when it is over (UTC, no zone), by the last register that names the partner."""
    for each in reversed(held):
        entry = each.register.partners.get(partner)
        if entry is not None:
            day = entry.contract.ends
            return day, None if day is None else each.register.end_of(day).replace(tzinfo=None)
    return None, None


def _read(path: Path, digest: str) -> Register | None:
    try:
        register = sealed.read(path)
    except EvidenceError:
        raise
    except CountersignError:
        return None
    if register.digest != digest:
        raise EvidenceError(
            f"{path.parent.name}/{sealed.NAME} is not the register that the statement names",
            fix="countersign verify shows what was changed",
        )
    return register


def _step(register: Register, entry: Control | None, name: str, lens: Lens | None) -> Row:
    if entry is None:
        return {"accountable_is_customer": False}
    step = getattr(entry.raci, name)
    owners, answers = entry.owners, entry.answers

    def ref(said: str | None) -> str | None:
        return ref_of(register, said, lens)

    def refs(said: tuple[str, ...]) -> str | None:
        return ", ".join(str(ref(each)) for each in said) or None

    return {
        "business_owner": ref(owners.business), "technical_owner": ref(owners.technical), "operational_owner": ref(owners.operational),
        "approves": ref(answers.approves), "implements": ref(answers.implements), "monitors": refs(answers.monitors),
        "revokes": ref(answers.revokes), "fallback": ref(entry.fallback),
        "responsible": None if step is None else ref(step.R), "accountable": None if step is None else ref(step.A),
        "consulted": None if step is None else refs(step.C), "informed": None if step is None else refs(step.I),
        "accountable_is_customer": step is not None and register.live(step.A) is not None,
    }  # fmt: skip


def ref_of(register: Register, said: str | None, lens: Lens | None) -> str | None:
    """Return a party as a reader may see it: of one partner, nobody who is another partner's."""
    party = register.party(said)
    return OTHER if lens is not None and party not in (None, lens.partner) else said
