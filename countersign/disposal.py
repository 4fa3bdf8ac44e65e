"""Legal holds, and the disposal of what is past its retention: each is an entry of the ledger before anything is done."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign import entry
from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.evidence import ledger
from countersign.evidence.verify import run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from countersign.evidence.ledger import Entry, Hold
    from countersign.evidence.store import Sealed, Store
    from countersign.programme import Programme

_KEPT_FOR_GOOD = frozenset({ledger.DISPOSAL, ledger.HOLD, ledger.RELEASE, "key-change"})
"""Kinds of entry that say what happened to the others."""


class HoldError(CountersignError):
    """There is nothing to hold or release by that name; another may be meant."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Due:
    """A run whose files are to go."""

    entry: Entry
    until: datetime
    """When its retention ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a disposal would do, or did."""

    due: tuple[Due, ...]
    unfinished: tuple[Entry, ...]
    """Runs with a tombstone whose files are still there, since the process died or a hold came between."""
    kept: tuple[tuple[Entry, str], ...]
    """Runs past their retention that stay, with the reason."""


def kept_until(programme: Programme, each: Entry) -> datetime | None:
    """Return until when an entry is kept: as it says itself, or longer where what was agreed since is longer; None: for good."""
    if each.kind in _KEPT_FOR_GOOD:
        return None
    agreed = entry.retain_until(programme, each.finished)
    return agreed if each.retain_until is None else max(agreed, each.retain_until)


def hold(  # noqa: PLR0913 - one keyword for each thing that a hold says
    programme: Programme, first: int, last: int | None, *, reason: str, by: str, clock: Callable[[], datetime]
) -> tuple[Hold, Sealed]:
    """Keep the runs from `first` to `last` (None: the newest) until the hold is released. Raises HoldError for runs that do not exist."""
    store = entry.open_store(programme)
    head = store.head()
    newest = 0 if head is None else head.sequence
    last = newest if last is None else last
    if not 1 <= first <= last <= newest:
        raise HoldError(f"there are no runs {first} to {last}: the newest is {newest}", fix="countersign evidence list")
    gone = sorted(set(range(first, last + 1)) & ledger.read(store).disposed.keys())
    if gone:
        raise HoldError(f"the files of run {run_folder(gone[0])} were disposed of, so they cannot be kept", fix="countersign evidence list")
    # First the store's own hold: dying in between leaves too much kept, not too little.
    for sequence in range(first, last + 1):
        store.hold(sequence, on=True)
    placed = {"id": f"hold-{clock():%Y%m%d}-{secrets.token_hex(2)}", "runs": [first, last], "reason": reason, "by": by}
    sealed = entry.seal(programme, ledger.HOLD, {}, {"hold": placed}, clock=clock)
    return ledger.Hold(str(placed["id"]), first, last, reason, by, sealed.sequence), sealed


def release(programme: Programme, name: str, *, reason: str, by: str, clock: Callable[[], datetime]) -> tuple[Hold, Sealed]:
    """End a hold by its id. Raises HoldError where none of that name is in force."""
    store = entry.open_store(programme)
    found = ledger.read(store)
    ended = next((each for each in found.holds if each.id == name), None)
    if ended is None:
        there = ", ".join(each.id for each in found.holds)
        raise HoldError(f"there is no hold {name!r} in force", fix=f"use one of: {there}" if there else "there is none at all")
    said = {"id": ended.id, "runs": [ended.first, ended.last], "reason": reason, "by": by}
    sealed = entry.seal(programme, ledger.RELEASE, {}, {"hold": said}, clock=clock)
    # Only then the store's own hold, and read anew: another hold on the same runs may have come.
    now = ledger.read(store)
    for sequence in range(ended.first, ended.last + 1):
        if not now.held_by(sequence):
            store.hold(sequence, on=False)
    return ended, sealed


def plan(programme: Programme, now: datetime) -> Plan:
    """Say what is past its retention at `now`. Raises EvidenceError when the ledger cannot be read."""
    store = entry.open_store(programme)
    found = ledger.read(store)
    newest_judged = max((each.sequence for each in found.entries if each.judged), default=0)
    due: list[Due] = []
    unfinished: list[Entry] = []
    kept: list[tuple[Entry, str]] = []
    for each in found.entries:
        held = found.held_by(each.sequence)
        if each.sequence in found.disposed:
            if not held and _left(store, each):
                unfinished.append(each)
            continue
        until = kept_until(programme, each)
        if until is None or until >= now or not each.files:
            continue
        if held:
            kept.append((each, f"held by {', '.join(held)}"))
        elif each.sequence == newest_judged:
            kept.append((each, "the newest run with verdicts, from which the next night goes on"))
        else:
            due.append(Due(each, until))
    return Plan(tuple(due), tuple(unfinished), tuple(kept))


def dispose(programme: Programme, *, clock: Callable[[], datetime]) -> tuple[Plan, Sealed | None]:
    """Do what `plan` says: first the tombstone, then the files; returns the plan, and the tombstone where a new one was needed.

    A process that dies in between leaves files behind that the next disposal removes. Files are removed only of runs that are not
    held once the tombstone is there. Raises EvidenceError when the tombstone cannot be sealed, or a store refuses.
    """
    made, store = plan(programme, clock()), entry.open_store(programme)
    sealed = None
    if made.due:
        listed = "".join(f"{each.entry.sequence} {each.entry.run} {stamp(each.until)}\n" for each in made.due)
        sealed = entry.seal(programme, ledger.DISPOSAL, {"due.txt": listed.encode()}, lambda: _tombstone(store, made.due), clock=clock)
    now = ledger.read(store)
    for each in (*made.unfinished, *(due.entry for due in made.due)):
        if each.sequence in now.disposed and not now.held_by(each.sequence):
            store.remove(each.sequence, each.files)
    return made, sealed


def _tombstone(store: Store, due: Sequence[Due]) -> dict[str, object]:
    """Say what is disposed of: what is due, but for what a hold or another disposal was faster with."""
    found = ledger.read(store)
    return {
        "disposed": [
            {
                "sequence": each.entry.sequence,
                "statement": each.entry.statement,
                "files": dict(each.entry.files),
                "retainUntil": stamp(each.until),
                "why": "its retention has ended, and it is under no hold",
            }
            for each in due
            if not found.held_by(each.entry.sequence) and each.entry.sequence not in found.disposed
        ]
    }


def _left(store: Store, each: Entry) -> bool:
    return not each.files.keys().isdisjoint(store.names(each.sequence))
