"""Which key may sign the next entry: the one that signed the last, or that a change of keys named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.errors import EvidenceError
from countersign.evidence.verify import STATEMENT, read_envelope, read_statement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.evidence.signer import Signer

KIND = "key-change"
_MARK = b'"key-change"'


@dataclass(frozen=True, slots=True)
class Change:
    """One change of keys, as its statement says."""

    old: str
    """Key id of the key that signed the change."""
    new: str
    """Key id of the one that signs from the next entry on."""


def changes(folders: Iterable[Path]) -> tuple[Change, ...]:
    """Read the changes of keys among entries (their folders, in order); unchecked. Raises EvidenceError at one that is broken."""
    found = []
    for folder in folders:
        try:
            envelope = read_envelope(folder / STATEMENT)
            # A year of statements is read each time, and few are a change.
            said = read_statement(envelope.payload) if _MARK in envelope.payload else None
            if said is not None and said.kind == KIND:
                found.append(Change(envelope.signatures[0][0], str(said.predicate["newKey"]["keyid"])))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EvidenceError(f"{folder / STATEMENT} cannot be read: {error}", fix="countersign verify shows what was changed") from error
    return tuple(found)


def check_may_sign(last: Path | None, signer: Signer) -> None:
    """Refuse any key but the one in force after the entry in the folder `last` (None: there is none yet): EvidenceError.

    The key of an entry signs the next one too, unless the entry is a change of keys: no verifier accepts another.
    """
    if last is None:
        return
    try:
        envelope = read_envelope(last / STATEMENT)
        said = read_statement(envelope.payload)
        in_force = str(said.predicate["newKey"]["keyid"]) if said.kind == KIND else envelope.signatures[0][0]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EvidenceError(f"{last / STATEMENT} cannot be read: {error}", fix="countersign verify shows what was changed") from error
    if in_force != signer.public_key.keyid:
        raise EvidenceError(
            f"the key {signer.public_key.keyid[:16]} may not sign entry {int(last.name) + 1}: {in_force[:16]} signs this ledger",
            fix="put the former `signer` back into countersign.yaml, and change keys with: countersign keys rotate --to NEW",
        )
