"""The signed root of the ledger's tree: a signed note that fits on a card, and is enough to see later that history was rewritten."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from countersign.errors import EvidenceError
from countersign.evidence.signer import public_pem
from countersign.evidence.verify import CHECKPOINT, STATEMENT, leaf_hash, load_key, note_key_hash, read_note, root_of, run_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from countersign.evidence.signer import Signer

_DASH = "\N{EM DASH}"
_RESTORE = "bring the evidence folder back from a copy; `countersign verify` shows what was changed, and nothing is sealed until then"


def write(origin: str, size: int, root: bytes, signer: Signer) -> bytes:
    """Sign a tree's root as a note (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note).

    Raises EvidenceError for an origin that cannot be one.
    """
    check_origin(origin)
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
    signed = bytes.fromhex(signer.sign(text).signature)
    named = note_key_hash(load_key(public_pem(signer)), origin)
    line = f"{_DASH} {origin} {base64.b64encode(named + signed).decode()}\n"
    return text + b"\n" + line.encode()


def leaves(folder: Path, numbers: Sequence[int], origin: str) -> list[bytes]:
    """Return the leaf hashes of the sealed runs of a folder, which are those of the tree that its last checkpoint signed.

    `numbers` are the runs that it holds, sorted. Raises EvidenceError where the tree is another one, so that nothing is ever signed
    over a rewritten history: a run or a checkpoint is missing, or the checkpoint is that of other statements. Runs sealed before there
    were checkpoints need none. Signatures are not checked; `countersign verify` does. Raises OSError as `open` does.
    """
    if (gone := next((due for due, number in enumerate(numbers, 1) if due != number), None)) is not None:
        raise EvidenceError(f"run {run_folder(gone)} is missing from {folder}", fix=_RESTORE)
    found = []
    for number in numbers:
        path = folder / run_folder(number) / STATEMENT
        try:
            found.append(leaf_hash(_payload(path)))
        except FileNotFoundError:
            raise EvidenceError(f"{path} is missing", fix=_RESTORE) from None
        except ValueError as error:
            raise EvidenceError(f"{path} is no statement: {error}", fix=_RESTORE) from error
    last = next((size for size in reversed(numbers) if (folder / run_folder(size) / CHECKPOINT).exists()), None)
    if last is not None:
        _check_tree(folder, found, last, origin)
    return found


def _payload(path: Path) -> bytes:
    """Take the payload out of an envelope file without looking at the rest: ten years of nights are read each night."""
    raw, start = path.read_bytes(), b'{"payload":"'
    end = raw.find(b'"', len(start))
    if not raw.startswith(start) or end < 0:
        raise ValueError("not in the form in which statements are written")
    return base64.b64decode(raw[len(start) : end], validate=True)


def _check_tree(folder: Path, found: Sequence[bytes], last: int, origin: str) -> None:
    path = folder / run_folder(len(found)) / CHECKPOINT
    if last != len(found):
        raise EvidenceError(f"{path} is missing, although run {run_folder(last)} before it has one", fix=_RESTORE)
    try:
        note = read_note(path.read_bytes())
    except ValueError as error:
        raise EvidenceError(f"{path}: {error}", fix=_RESTORE) from error
    if (note.origin, note.size) != (origin, last):
        raise EvidenceError(f"{path} is that of {note.size} runs of {note.origin!r}, not of {last} runs of {origin!r}", fix=_RESTORE)
    if note.root != root_of(found):
        raise EvidenceError(f"the statements in {folder} are not those that {path} was signed over: history was rewritten", fix=_RESTORE)


def check_origin(origin: str) -> None:
    """Refuse an origin that cannot be the name of a signed note's key: EvidenceError."""
    if not is_origin(origin):
        raise EvidenceError(
            f"{origin!r} cannot name a ledger", fix="use a name without spaces, plus signs and characters that do not print"
        )


def is_origin(text: str) -> bool:
    """Whether a text can be the origin: not empty, and without spaces, plus signs and what does not print."""
    return bool(text) and "+" not in text and text.isprintable() and not any(character.isspace() for character in text)
