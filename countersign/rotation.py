"""A new signing key: the old one signs an entry that names it, and from the next entry on only the new one signs.

The setting is changed here, after the entry is sealed, and not left to a person: between the two every run would be signed by a key that
no longer may, which no verifier accepts and nobody can mend. Where the line in `countersign.yaml` is not plain, the person is told what
to write, and until then nothing is sealed at all (`countersign.evidence.key_change`).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from countersign import document, entry
from countersign.errors import EvidenceError
from countersign.evidence import key_change, signer
from countersign.programme import FILE
from countersign.register.check import check
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from countersign.errors import Problem
    from countersign.evidence.store import Sealed
    from countersign.programme import Programme

_PROBE = b"countersign: can this key sign?"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a change of keys came to."""

    old: str
    """Key id."""
    new: str
    """Key id."""
    sealed: Sealed | None
    """The entry; None: it was sealed by an earlier attempt, which did not get as far as the setting."""
    public: Path
    """Public half of the new key."""
    written: bool
    """Whether the setting was changed; False: a person has to."""


def rotate(programme: Programme, to: str, *, clock: Callable[[], datetime]) -> Rotated:
    """Seal the change to the key that `to` names (as `evidence.signer` would be written), and then change the setting.

    Holds the programme's lock, so that no run that began with the old key ends after it. Started again after it was interrupted, it
    only finishes. Raises EvidenceError, and then nothing is sealed: one of the keys cannot be used, both are the same, the new one
    has been replaced before, or a partner could use it.
    """
    new = signer.load(to, programme.folder)
    new.sign(_PROBE)
    _refuse_partners(programme, to, clock())
    now = clock()
    with State(programme.state) as state, state.lock(f"keys rotate (pid {os.getpid()})", now):
        store = entry.open_store(programme)
        changes = key_change.changes(sealed.path for sealed in store.entries())
        old, sealed = signer.load(programme.evidence.signer, programme.folder), None
        was, becomes = old.public_key.keyid, new.public_key.keyid
        if changes and changes[-1].new == becomes:
            was = changes[-1].old
        elif was == becomes:
            raise EvidenceError(
                f"{to} is the key that signs already ({was[:16]})",
                fix="name another key; before a key is rotated inside Vault, write its present version into countersign.yaml, as hv:NAME/1",
            )
        elif becomes in {change.old for change in changes}:
            raise EvidenceError(f"{to} was replaced before, and does not sign again", fix="make a new key")
        public = _publish(programme, new)
        if not changes or changes[-1].new != becomes:
            _publish(programme, old)
            pem = signer.public_pem(new)
            said = {"newKey": {"keyid": becomes, "pem": pem.decode()}, "oldKey": {"keyid": was, "pem": signer.public_pem(old).decode()}}
            sealed = entry.seal(programme, key_change.KIND, {f"{becomes}.pub.pem": pem}, said, clock=clock)
        return Rotated(was, becomes, sealed, public, _write_setting(programme.folder / FILE, to))


def _refuse_partners(programme: Programme, to: str, now: datetime) -> None:
    for problem in check(programme.register, programme.register.today(now), signer=to):
        if problem.rule == "evidence-key":
            raise EvidenceError(f"{to}: {problem.message}", fix=problem.fix)


def _publish(programme: Programme, key: signer.Signer) -> Path:
    """Put a public half into the programme's folder of keys, unless it is there."""
    for path in entry.public_keys(programme):
        if signer.read_public(path).keyid == key.public_key.keyid:
            return path
    path = programme.folder / entry.KEYS / f"{key.public_key.keyid[:16]}.pub.pem"
    signer.write_public(key, path)
    return path


def _write_setting(path: Path, to: str) -> bool:
    """Write the signer into `countersign.yaml` where its line is plain: nothing else of the file changes, or nothing at all."""
    problems: list[Problem] = []
    try:
        raw = path.read_bytes()
        text = raw.decode()
    except (OSError, UnicodeDecodeError):
        return False
    before = document.parse(raw, FILE, problems)
    evidence = None if before is None else before.data.get("evidence")
    if before is None or not isinstance(evidence, dict) or not isinstance(evidence.get("signer"), str):
        return False
    if evidence["signer"] == to:
        return True
    lines = text.splitlines(keepends=True)
    number = (before.where(("evidence", "signer")).line or 1) - 1
    if number >= len(lines) or lines[number].count(evidence["signer"]) != 1:
        return False
    for quoted in (f'"{evidence["signer"]}"', f"'{evidence['signer']}'", evidence["signer"]):
        if quoted in lines[number]:
            lines[number] = lines[number].replace(quoted, json.dumps(to))
            break
    changed = "".join(lines).encode()
    after = document.parse(changed, FILE, problems)
    wanted: Mapping[str, object] = {**before.data, "evidence": {**evidence, "signer": to}}
    if after is None or problems or after.data != wanted:
        return False
    return _replace(path, changed)


def _replace(path: Path, content: bytes) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError:
        return False
    return True
