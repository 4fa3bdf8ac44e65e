"""The ledger's part of a bundle: the entries of the period, the tree's leaves, the checkpoint, and the keys that signed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from countersign import clock
from countersign.errors import EvidenceError
from countersign.evidence.verify import (
    BUNDLE,
    CERTIFICATE,
    CHECKPOINT,
    LEAVES,
    STATEMENT,
    TIMESTAMP,
    Statement,
    leaf_hash,
    read_envelope,
    read_statement,
    root_of,
    run_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from countersign.evidence.store import Store

EXPORT = "export"
KEY_CHANGE = "key-change"
_FIX = "countersign verify shows what was changed"
_BESIDE = (STATEMENT, CHECKPOINT, TIMESTAMP)
_OF_A_RUN = ("results.json", "tickets.json")
"""Files of a judged run that a full bundle carries as they were signed; all else in it is in the tables."""
_ALWAYS = (CERTIFICATE, "certificate.html")
"""Files of an entry that is no judged run that are carried whatever their size."""
_SMALL = 64 * 1024
"""Bytes up to which its other files are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger, with what its leaf in the tree is."""

    folder: Path
    said: Statement
    keyid: str | None
    """None: its envelope holds no signature."""
    leaf: bytes

    @property
    def sequence(self) -> int:
        """Its number in the ledger, from 1."""
        return int(self.folder.name)

    @property
    def day(self) -> date | None:
        """The day (UTC) that it is for, else that it ended on; None: it does not say."""
        when = self.said.predicate.get("asOf") or self.said.predicate.get("finished")
        try:
            return clock.instant(str(when)).date()
        except ValueError:
            return None


def entries(store: Store) -> tuple[Entry, ...]:
    """Read the statement of every entry, from 1 on. Raises EvidenceError where one is missing, broken, or that of another ledger."""
    found = []
    for sequence, sealed in enumerate(store.entries(), start=1):
        folder = store.folder / run_folder(sequence)
        try:
            envelope = read_envelope(folder / STATEMENT)
            said = read_statement(envelope.payload)
        except FileNotFoundError as error:
            raise EvidenceError(f"the statement of run {folder.name} is missing from {store.folder}", fix=_FIX) from error
        except (OSError, ValueError) as error:
            raise EvidenceError(f"{folder.name}/{STATEMENT} cannot be read: {error}", fix=_FIX) from error
        if (said.sequence, said.origin, sealed.sequence) != (sequence, store.origin, sequence):
            raise EvidenceError(f"{folder.name}/{STATEMENT} is that of run {said.sequence} of {said.origin!r}", fix=_FIX)
        found.append(Entry(folder, said, envelope.signatures[0][0] if envelope.signatures else None, leaf_hash(envelope.payload)))
    return tuple(found)


def root(found: Sequence[Entry]) -> bytes:
    """Return the root of the tree over all entries."""
    return root_of([entry.leaf for entry in found])


def leaves(found: Sequence[Entry]) -> bytes:
    """Return the leaf hashes, one hex line each."""
    return "".join(f"{entry.leaf.hex()}\n" for entry in found).encode()


def about(entry: Entry) -> dict[str, Any]:
    """Say of an entry what the bundle's statement says of it."""
    said = entry.said.predicate
    state = said.get("state")
    return {
        "sequence": entry.sequence, "run": entry.said.run, "kind": entry.said.kind, "state": state if isinstance(state, str) else None,
        "slot": said.get("slot"), "asOf": said.get("asOf"), "finished": said.get("finished"), "statement": entry.said.digest,
        "leaf": entry.leaf.hex(),
    }  # fmt: skip


def files(found: Sequence[Entry], first: int, *, statements: bool) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the bundle, content) of the ledger's part; `statements` False leaves out what the entries themselves say.

    `found` are the entries 1 to the last one of the period, whose first is `first`. Raises EvidenceError for a file that is not
    the one that was signed.
    """
    yield LEAVES, leaves(found)
    last = found[-1]
    if (last.folder / CHECKPOINT).exists():
        yield f"ledger/{CHECKPOINT}", _read(last.folder / CHECKPOINT)
    for entry in found[first - 1 :] if statements else ():
        for name in _BESIDE:
            if (entry.folder / name).exists():
                yield f"ledger/{entry.folder.name}/{name}", _read(entry.folder / name)
        for name in _carried(entry):
            content = _read(entry.folder / name)
            if hashlib.sha256(content).hexdigest() != entry.said.subjects[name]:
                raise EvidenceError(f"{entry.folder.name}/{name} is not the file that was signed, so nothing is exported", fix=_FIX)
            yield f"ledger/{entry.folder.name}/{name}", content


def keys(found: Iterable[Entry], near: Iterable[Entry], at_hand: Iterable[bytes], signs: str) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return key id to PEM of what signed the entries `near` and of what signs now, and the ids of which no key was found.

    Keys come from `at_hand` (PEM), and from entries in `found` that say a key's change.
    """
    known: dict[str, bytes] = {}
    changed = (str(_mapping(entry.said.predicate.get("newKey")).get("pem")).encode() for entry in found if entry.said.kind == KEY_CHANGE)
    for pem in (*at_hand, *changed):
        try:
            public = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            continue
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        known[hashlib.sha256(der).hexdigest()] = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    asked = sorted({entry.keyid for entry in near if entry.keyid is not None} | {signs})
    return {keyid: known[keyid] for keyid in asked if keyid in known}, tuple(keyid for keyid in asked if keyid not in known)


def earlier_envelope(found: Iterable[Path], digest: str) -> bytes | None:
    """Return the envelope of an earlier export of the very same bundle statement, None where there is none.

    `found` are folders of the ledger, newest first. Some signatures differ each time; the bundle made again must not.
    """
    for folder in found:
        try:
            said = read_statement(read_envelope(folder / STATEMENT).payload)
            if said.kind == EXPORT and _mapping(said.predicate.get("bundle")).get("statement") == digest:
                envelope = _read(folder / BUNDLE)
                if hashlib.sha256(envelope).hexdigest() == said.subjects.get(BUNDLE):
                    return envelope
        except (EvidenceError, OSError, ValueError):
            continue
    return None


def _carried(entry: Entry) -> list[str]:
    listed = entry.said.subjects
    if "results" in entry.said.predicate:
        return [name for name in _OF_A_RUN if name in listed and (entry.folder / name).exists()]
    if entry.said.kind == EXPORT:
        return []
    files = (name for name in listed if "/" not in name and (entry.folder / name).is_file())
    return sorted(name for name in files if name in _ALWAYS or (entry.folder / name).stat().st_size <= _SMALL)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _read(path: Path) -> bytes:
    try:
        if path.is_symlink():
            raise EvidenceError(f"{path.parent.name}/{path.name} is a link, not a file of the run", fix=_FIX)
        return path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path.parent.name}/{path.name} cannot be read: {error.strerror}", fix=_FIX) from error
