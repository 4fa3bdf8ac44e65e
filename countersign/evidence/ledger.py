"""What the entries of a ledger say of each other, unchecked: which runs are under a hold, and whose files were disposed of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from countersign.clock import instant
from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.evidence.statement import Statement
    from countersign.evidence.store import Store

DISPOSAL, HOLD, RELEASE = "disposal", "hold", "release"
_FIX = "countersign verify shows what was changed"


@dataclass(frozen=True, slots=True)
class Hold:
    """Runs whose files are kept, whatever their retention says, until the hold is released."""

    id: str
    first: int
    last: int
    reason: str
    by: str
    entry: int
    """Sequence of the entry that placed it."""

    def covers(self, sequence: int) -> bool:
        """Whether a run is under it."""
        return self.first <= sequence <= self.last


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as its statement says."""

    sequence: int
    path: Path
    """Its local folder."""
    run: str
    kind: str
    state: str | None
    """How a run ended; None for what is no run."""
    as_of: datetime | None
    """None for what is no run."""
    finished: datetime
    retain_until: datetime | None
    """None: sealed before statements said so."""
    judged: bool
    statement: str
    """Digest."""
    files: Mapping[str, str]
    """Path to SHA-256 hex, also of files that were disposed of."""

    def size(self) -> int | None:
        """Return the bytes of its files here; None where not all of them are."""
        try:
            return sum((self.path / name).stat().st_size for name in self.files)
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries in order, and what the later ones say of the earlier."""

    entries: tuple[Entry, ...]
    holds: tuple[Hold, ...]
    """In force."""
    disposed: Mapping[int, int]
    """Sequence of a run to that of the entry that says its files were disposed of."""

    def held_by(self, sequence: int) -> tuple[str, ...]:
        """Name the holds that a run is under."""
        return tuple(hold.id for hold in self.holds if hold.covers(sequence))


def read(store: Store) -> Ledger:
    """Read a whole ledger. Raises EvidenceError at an entry that is broken or does not say what its kind has to."""
    entries: list[Entry] = []
    holds: dict[str, Hold] = {}
    disposed: dict[int, int] = {}
    for sealed in store.entries():
        said = statement.read(sealed.path / STATEMENT)
        try:
            entries.append(_entry(sealed.path, sealed.sequence, said))
            if said.kind == HOLD:
                hold = _hold(said.predicate["hold"], sealed.sequence)
                holds[hold.id] = hold
            elif said.kind == RELEASE:
                holds.pop(said.predicate["hold"]["id"], None)
            elif said.kind == DISPOSAL:
                disposed |= {int(each["sequence"]): sealed.sequence for each in said.predicate["disposed"]}
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"{sealed.path} does not say what an entry of kind {said.kind!r} has to", fix=_FIX) from error
    return Ledger(tuple(entries), tuple(holds.values()), disposed)


def why_missing(folder: Path, name: str) -> str:
    """Say why a file that a sealed run's statement lists is not in its folder: what a later entry says of it, or that none does."""
    for said in _later(folder):
        if said.kind != DISPOSAL:
            continue
        for each in said.predicate.get("disposed") or ():
            if isinstance(each, dict) and each.get("sequence") == int(folder.name) and name in (each.get("files") or ()):
                when = str(said.predicate.get("finished"))[:10]
                return f"its files were disposed of on {when}, as entry {run_folder(said.sequence or 0)} says"
    return f"{name} is missing, and no later entry says that it was disposed of"


def _later(folder: Path) -> Iterator[Statement]:
    """Yield the statements of the entries after a run's, from the folder it lies in; what cannot be read says nothing."""
    number = int(folder.name)
    while (folder.parent / run_folder(number := number + 1)).is_dir():
        try:
            yield statement.read(folder.parent / run_folder(number) / STATEMENT)
        except EvidenceError:
            continue


def _entry(path: Path, sequence: int, said: Statement) -> Entry:
    predicate = said.predicate
    as_of, kept = predicate.get("asOf"), predicate.get("retainUntil")
    return Entry(
        sequence,
        path,
        said.run,
        said.kind,
        predicate.get("state"),
        None if as_of is None else instant(as_of),
        instant(predicate["finished"]),
        None if kept is None else instant(kept),
        "results" in predicate,
        said.digest,
        said.subjects,
    )


def _hold(said: Mapping[str, Any], entry: int) -> Hold:
    first, last = (int(number) for number in said["runs"])
    return Hold(str(said["id"]), first, last, str(said["reason"]), str(said["by"]), entry)
