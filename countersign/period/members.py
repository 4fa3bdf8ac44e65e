"""The sealed entries that belong to a period, each read from its statement, and their files, believed only where the digest fits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from countersign import clock
from countersign.errors import EvidenceError
from countersign.evidence.verify import (
    STATEMENT,
    TIMESTAMP,
    check_signature,
    key_id,
    load_key,
    pae,
    read_envelope,
    read_statement,
    run_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from countersign.evidence.verify import Envelope, PublicKey, Statement

FINDINGS = "findings.parquet"
EXPORT, FAILED, DISPOSAL = "export", "failed", "disposal"
_FIX = "countersign verify shows what was changed"
_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
_GENERALIZED_TIME = re.compile(rb"\x18[\x0f-\x1f](\d{14})(?:\.\d+)?Z")


class NoSuchPeriodError(EvidenceError):
    """No entry of the ledger belongs to the days that were asked for."""

    exit_code = 2


class NoSuchPartnerError(EvidenceError):
    """Nothing in the evidence of the period knows the partner that was asked for."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the ledger."""

    folder: Path
    said: Statement
    keyid: str | None
    """Of the key that signed it; None: its envelope holds no signature."""
    disposed: frozenset[str]
    """Files that a later entry of the ledger says were disposed of."""

    @property
    def sequence(self) -> int:
        """Its number in the ledger, from 1."""
        return int(self.folder.name)

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What its statement says."""
        return self.said.predicate

    @property
    def kind(self) -> str:
        """reconcile, failed, export, disposal, hold, release, key-change, drill-..., offboard."""
        return self.said.kind

    @property
    def as_of(self) -> datetime | None:
        """The moment that it is for (UTC, no zone); None: it is for none."""
        return moment(self.predicate.get("asOf"))

    @property
    def finished(self) -> datetime:
        """When it ended (UTC, no zone)."""
        return moment(self.predicate.get("finished")) or datetime.min  # noqa: DTZ901 - every moment here is UTC without a zone

    @property
    def at(self) -> datetime:
        """The moment that places it in a period: what it is for, else when it ended."""
        return self.as_of or self.finished

    @property
    def day(self) -> date:
        """The day (UTC) of its night. A run that died is sealed by the next one, so its night is the one on which it began."""
        began = moment(self.predicate.get("started"))
        left_behind = self.kind == FAILED and self.predicate.get("slot") is None
        return began.date() if left_behind and began is not None else self.at.date()

    @property
    def is_judged(self) -> bool:
        """Whether it came to verdicts."""
        return self.kind != FAILED and "results" in self.predicate

    @property
    def guard(self) -> str | None:
        """Why the run guard let nothing be acted on; None: it let it."""
        return None if self.predicate.get("guard") is None else str(self.predicate["guard"])

    def file(self, name: str) -> Path | None:
        """Return a file of the run; None where its statement lists none of that name, or where it was disposed of.

        Raises EvidenceError where it is missing otherwise, or not the one that was signed.
        """
        expected = self.said.subjects.get(name)
        path = self.folder / name
        if expected is None or (name in self.disposed and not path.exists()):
            return None
        try:
            if path.is_symlink():
                raise EvidenceError(f"{self.folder.name}/{name} is a link, not a file of the run", fix=_FIX)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EvidenceError(f"{self.folder.name}/{name} cannot be read: {error.strerror}", fix=_FIX) from error
        if found != expected:
            raise EvidenceError(f"{self.folder.name}/{name} is not the file that was signed, so nothing is said of the period", fix=_FIX)
        return path

    def timestamped_at(self) -> datetime | None:
        """Return what an RFC 3161 token over its statement says (UTC); None: there is none. Whose token it is, is not checked here.

        Raises EvidenceError for a token that does not bear the statement's digest.
        """
        path = self.folder / TIMESTAMP
        try:
            token = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvidenceError(f"{self.folder.name}/{TIMESTAMP} cannot be read: {error.strerror}", fix=_FIX) from error
        # RFC 3161, 2.4.2: in a TSTInfo the imprint comes before genTime, which is a GeneralizedTime in UTC.
        _, _, info = token.partition(_TST_INFO)
        imprint = info.find(bytes.fromhex(self.said.digest.partition(":")[2]))
        found = _GENERALIZED_TIME.search(info, imprint) if imprint >= 0 else None
        if found is None:
            raise EvidenceError(f"{self.folder.name}/{TIMESTAMP} is no timestamp of this run's statement", fix=_FIX)
        return datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S")  # noqa: DTZ007 - every moment here is UTC without a zone


@dataclass(frozen=True, slots=True)
class Members:
    """The entries of a period, in order, and where the ledger part runs from and to."""

    entries: tuple[Member, ...]
    origin: str
    last_sequence: int
    begins: date
    """Day of the ledger's first entry, where that is on file as entry 1; else of the first one that is there."""
    is_whole: bool
    """Whether the ledger's first entry is on file."""

    @property
    def judged(self) -> tuple[Member, ...]:
        """Those that came to verdicts."""
        return tuple(member for member in self.entries if member.is_judged)


def read(store: Path, first: date, last: date, keys: Sequence[Path]) -> Members:
    """Read the statements of a local evidence folder and pick the entries of the days `first` to `last` (UTC, both included).

    `keys`: public keys (PEM); where any are given, each statement of the period must be signed by one of them; none: signatures are
    not looked at. Raises NoSuchPeriodError where no entry belongs to these days, EvidenceError where the ledger is broken or an entry
    within the period is missing.
    """
    public = _load(keys)
    numbers = _numbers(store)
    found: list[tuple[int, Envelope, Statement]] = []
    for number in numbers:
        path = store / run_folder(number) / STATEMENT
        try:
            envelope = read_envelope(path)
            said = read_statement(envelope.payload)
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise EvidenceError(f"{path.parent.name}/{STATEMENT} is no statement: {what}", fix=_FIX) from error
        if said.sequence != number:
            raise EvidenceError(f"the statement in {path.parent.name} is that of entry {said.sequence}", fix=_FIX)
        found.append((number, envelope, said))
    disposed = _disposed(said for _, _, said in found)
    every = tuple(
        Member(
            store / run_folder(number), said, envelope.signatures[0][0] if envelope.signatures else None, disposed.get(number, frozenset())
        )
        for number, envelope, said in found
    )
    mine = [member for member in every if first <= member.at.date() <= last]
    while mine and mine[-1].kind == EXPORT:
        mine.pop()
    while mine and mine[0].kind == EXPORT:
        mine.pop(0)
    if not mine:
        raise _nothing(every, first, last)
    _check_chain(every, mine)
    envelopes = {number: envelope for number, envelope, _ in found}
    for member in mine if public else ():
        _check_signature(envelopes[member.sequence], member, public)
    return Members(tuple(mine), mine[0].said.origin, mine[-1].sequence, every[0].day, every[0].sequence == 1)


def moment(text: object) -> datetime | None:
    """Read a statement's time as UTC without a zone; None stays None. Raises EvidenceError for anything else."""
    if text is None:
        return None
    try:
        return clock.instant(str(text)).astimezone(UTC).replace(tzinfo=None)
    except ValueError as error:
        raise EvidenceError(f"a statement holds a time that is none: {error}", fix=_FIX) from error


def _numbers(store: Path) -> list[int]:
    try:
        names = [entry.name for entry in store.iterdir()]
    except OSError as error:
        raise NoSuchPeriodError(f"there is no evidence in {store}: {error.strerror}", fix="start a run: countersign reconcile") from error
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and name == run_folder(int(name)))


def _disposed(statements: Iterator[Statement]) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for said in statements:
        if said.kind == DISPOSAL:
            for each in said.predicate.get("disposed") or ():
                number = int(each["sequence"])
                found[number] = found.get(number, frozenset()) | frozenset(each.get("files") or ())
    return found


def _nothing(every: Sequence[Member], first: date, last: date) -> NoSuchPeriodError:
    days = sorted({member.at.date() for member in every if member.kind != EXPORT})
    there = f"there are entries from {days[0]} to {days[-1]}" if days else "there is no entry at all"
    fix = "ask for days in between" if days else "start a run: countersign reconcile"
    return NoSuchPeriodError(f"nothing was sealed for the days {first} to {last}; {there}", fix=fix)


def _check_chain(every: Sequence[Member], mine: Sequence[Member]) -> None:
    """Raise EvidenceError where an entry between the period's first and last is missing, or does not follow the one before it."""
    part = [member for member in every if mine[0].sequence <= member.sequence <= mine[-1].sequence]
    for before, after in pairwise(part):
        if after.sequence != before.sequence + 1:
            missing = f"{run_folder(before.sequence + 1)} to {run_folder(after.sequence - 1)}"
            raise EvidenceError(f"entries of the period are missing: {missing}", fix=_FIX)
        if (after.said.previous, after.said.origin) != (before.said.digest, before.said.origin):
            raise EvidenceError(f"entry {after.folder.name} does not follow the one before it", fix=_FIX)


def _load(keys: Sequence[Path]) -> dict[str, PublicKey]:
    found = {}
    for path in keys:
        try:
            public = load_key(path.read_bytes())
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            fix = "name the customer's public key, such as keys/evidence.pub.pem"
            raise EvidenceError(f"the public key {path.name} cannot be used: {what}", fix=fix) from error
        found[key_id(public)] = public
    return found


def _check_signature(envelope: Envelope, member: Member, keys: Mapping[str, PublicKey]) -> None:
    for keyid, signature in envelope.signatures:
        if keyid in keys:
            try:
                check_signature(keys[keyid], signature, pae(envelope))
            except ValueError as error:
                raise EvidenceError(f"{member.folder.name}: {error}", fix=_FIX) from error
            return
    raise EvidenceError(f"the statement of {member.folder.name} is signed by none of the keys that were given", fix=_FIX)
