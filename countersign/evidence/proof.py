"""What an auditor takes away of a ledger: its newest checkpoint, a proof that one entry is in it, a proof that it only grew."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from countersign.errors import EvidenceError
from countersign.evidence import checkpoint, merkle, statement
from countersign.evidence.verify import CHECKPOINT, STATEMENT, read_note, root_of, run_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from countersign.evidence.store import Sealed, Store
    from countersign.evidence.verify import Note

_FIX = "countersign verify shows what was changed"


class NoSuchEntryError(EvidenceError):
    """There is no entry of that name; another may be meant."""

    exit_code = 2


def newest(store: Store) -> tuple[bytes, Note]:
    """Return the newest checkpoint, as it lies there and read. Raises EvidenceError where it does not agree with all statements."""
    sealed = tuple(store.entries())
    note, said, _ = _agreed(store, sealed)
    return note, said


def of_run(store: Store, name: str) -> dict[str, object]:
    """Return the proof that an entry (run id, number, or `latest`) is in the tree of the newest checkpoint, ready for JSON.

    Raises NoSuchEntryError, and EvidenceError where checkpoint and statements do not agree.
    """
    sealed = tuple(store.entries())
    note, said, leaves = _agreed(store, sealed)
    found = _named(sealed, name)
    index = found.sequence - 1
    hashes = merkle.inclusion_proof(leaves, index)
    return {
        "origin": said.origin,
        "sequence": found.sequence,
        "run": statement.read(found.path / STATEMENT).run,
        "statement": found.statement_digest,
        "leaf": leaves[index].hex(),
        "index": index,
        "size": said.size,
        "root": said.root.hex(),
        "proof": [each.hex() for each in hashes],
        "envelope": base64.b64encode((found.path / STATEMENT).read_bytes()).decode(),
        "checkpoint": note.decode(),
    }


def since(store: Store, kept: Path) -> dict[str, object]:
    """Return the proof that the tree of a checkpoint kept in a file is the beginning of the newest one's, ready for JSON.

    Raises EvidenceError where it is not: entries were rewritten or removed. Signatures are not checked; `countersign verify` does.
    """
    try:
        old = read_note(kept.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise NoSuchEntryError(f"{kept} cannot be used: {why}", fix="name a file that `countersign evidence checkpoint` wrote") from error
    note, said, leaves = _agreed(store, tuple(store.entries()))
    if old.origin != said.origin:
        raise NoSuchEntryError(f"{kept} is a checkpoint of {old.origin!r}, not of {said.origin!r}", fix="name one of this ledger")
    if old.size > said.size or root_of(leaves[: old.size]) != old.root:
        raise EvidenceError(f"the ledger does not begin with the {old.size} entries of {kept}: history was rewritten", fix=_FIX)
    return {
        "origin": said.origin,
        "from": old.size,
        "root_before": old.root.hex(),
        "size": said.size,
        "root": said.root.hex(),
        "proof": [each.hex() for each in merkle.consistency_proof(leaves, old.size)] if old.size else [],
        "checkpoint": note.decode(),
    }


def _agreed(store: Store, sealed: Sequence[Sealed]) -> tuple[bytes, Note, list[bytes]]:
    if not sealed:
        raise NoSuchEntryError("nothing is sealed yet", fix="countersign reconcile")
    leaves = checkpoint.leaves(store.folder, [each.sequence for each in sealed], store.origin)
    path = store.folder / run_folder(len(leaves)) / CHECKPOINT
    if not path.exists():
        raise NoSuchEntryError("these runs were sealed before there were checkpoints", fix="the next run makes one that covers all of them")
    note = path.read_bytes()
    return note, read_note(note), leaves


def _named(sealed: Sequence[Sealed], name: str) -> Sealed:
    if name == "latest":
        return sealed[-1]
    for each in reversed(sealed):
        if name in (each.path.name, str(each.sequence)) or statement.read(each.path / STATEMENT).run == name:
            return each
    raise NoSuchEntryError(f"there is no entry {name!r}", fix="`countersign evidence list` names them")
