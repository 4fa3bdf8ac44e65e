"""A sealed run as evidence to read from: found by name without the state database, believed only as far as its statement goes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from countersign.errors import EvidenceError
from countersign.evidence import ledger, signer, statement
from countersign.evidence.verify import STATEMENT, pae, read_envelope, run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from countersign.evidence.statement import Statement

FINDINGS = "findings.parquet"
INVENTORY = "inventory"
LATEST, PREVIOUS = "latest", "previous"
_FIX = "countersign verify shows what was changed"


class NoSuchRunError(EvidenceError):
    """No sealed run of that name came to verdicts; another may have."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Sealed:
    """One judged run; `file` gives its files, each checked against the statement first."""

    folder: Path
    said: Statement
    unverified: str | None
    """Why the statement's signature is not known to be the customer's; None: it is, by the key that was given."""

    @property
    def name(self) -> str:
        """The evidence folder's name."""
        return self.folder.name

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What the statement says of the run."""
        return self.said.predicate

    @property
    def limited_to(self) -> tuple[str, ...]:
        """The sources that the run was limited to; empty: all."""
        return tuple(self.predicate.get("limitedTo") or ())

    def tables(self) -> frozenset[str]:
        """Name the tables of the inventory that the statement lists."""
        start, end = f"{INVENTORY}/", ".parquet"
        return frozenset(name[len(start) : -len(end)] for name in self.said.subjects if name.startswith(start) and name.endswith(end))

    def table(self, name: str) -> Path:
        """Return the file of a table of the inventory. Raises EvidenceError as `file` does."""
        return self.file(f"{INVENTORY}/{name}.parquet")

    def file(self, name: str) -> Path:
        """Return a file of the run. Raises EvidenceError where it is missing or not the one that was signed."""
        path = self.folder / name
        expected = self.said.subjects.get(name)
        if expected is None:
            raise EvidenceError(f"the statement of run {self.name} lists no {name}", fix=_FIX)
        try:
            if path.is_symlink():
                raise EvidenceError(f"{self.name}/{name} is a link, not a file of the run", fix=_FIX)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise EvidenceError(f"run {self.name} cannot be compared: {ledger.why_missing(self.folder, name)}", fix=_FIX) from error
        except OSError as error:
            raise EvidenceError(f"{self.name}/{name} cannot be read: {error.strerror}", fix=_FIX) from error
        if found != expected:
            raise EvidenceError(f"{self.name}/{name} is not the file that was signed, so nothing is compared", fix=_FIX)
        return path


def pair(store: Path, before: str, after: str, keys: Sequence[Path]) -> tuple[Sealed, Sealed]:
    """Find two runs of an evidence folder by run id, folder name, `latest` or `previous`, and put them in the order of their sealing.

    `latest` is the last run that came to verdicts, also one that the run guard stopped; `previous` is the judged run before the other
    one of the two, or before the latest where both are `previous` or the other is `latest`. `keys` are the customer's public keys; none:
    signatures are not checked. Raises NoSuchRunError, and EvidenceError for a statement that is broken or whose signature is false.
    """
    names = [before, after]
    newest_first = tuple(_names(store))
    found: list[Path | None] = [None if name == PREVIOUS else _find(store, newest_first, name) for name in names]
    for place, name in enumerate(names):
        if name == PREVIOUS:
            other = found[1 - place] or _find(store, newest_first, LATEST)
            found[place] = _before(store, newest_first, other)
    first, second = sorted((folder for folder in found if folder is not None), key=lambda folder: int(folder.name))
    return _opened(first, keys), _opened(second, keys)


def _names(store: Path) -> Iterator[str]:
    try:
        numbers = [int(entry.name) for entry in store.iterdir() if entry.name.isascii() and entry.name.isdigit()]
    except OSError as error:
        fix = "start a run: countersign reconcile"
        raise NoSuchRunError(f"there is no evidence in {store}: {error.strerror}", fix=fix) from error
    yield from (run_folder(number) for number in sorted(numbers, reverse=True) if (store / run_folder(number)).is_dir())


def _find(store: Path, newest_first: tuple[str, ...], name: str) -> Path:
    for each in newest_first:
        if name in newest_first and name != each:
            continue
        said = statement.read(store / each / STATEMENT)
        if name in (LATEST, each, said.run):
            if _judged(said):
                return store / each
            if name != LATEST:
                why = said.predicate.get("error") or said.kind
                raise NoSuchRunError(f"run {name} came to no verdicts ({why}), so there is nothing to compare", fix="name another run")
    if name == LATEST:
        raise NoSuchRunError("no run has come to verdicts yet", fix="start one: countersign reconcile")
    raise NoSuchRunError(f"there is no run {name!r} in {store}", fix="`countersign runs` lists them")


def _before(store: Path, newest_first: tuple[str, ...], other: Path) -> Path:
    for each in newest_first:
        if int(each) < int(other.name) and _judged(statement.read(store / each / STATEMENT)):
            return store / each
    raise NoSuchRunError(f"no run before {other.name} came to verdicts, so there is nothing to compare it with", fix="name two runs")


def _judged(said: Statement) -> bool:
    return FINDINGS in said.subjects and "results" in said.predicate


def _opened(folder: Path, keys: Sequence[Path]) -> Sealed:
    path = folder / STATEMENT
    return Sealed(folder, statement.read(path), _unverified(path, keys))


def _unverified(path: Path, keys: Sequence[Path]) -> str | None:
    """Say why a signature cannot be checked. Raises EvidenceError for one that claims to be of one of the keys and is not."""
    if not keys:
        return "no public key of the customer was given"
    try:
        public = {key.keyid: key for key in map(signer.read_public, keys)}
    except EvidenceError as error:
        return error.message
    envelope = read_envelope(path)
    ours = [(public[keyid], signature) for keyid, signature in envelope.signatures if keyid in public]
    if not ours:
        return "it was signed by another key than the programme's"
    if not signer.signs(*ours[0], pae(envelope)):
        raise EvidenceError(f"the signature of run {path.parent.name} does not fit its statement, so nothing is compared", fix=_FIX)
    return None


@dataclass(frozen=True, slots=True)
class Told:
    """The call behind something that was said, and when it was answered (UTC)."""

    call: str
    at: datetime
