"""The files of a run that is about to be sealed: made read-only, hashed, written through, and held against what is signed of them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import CHECKPOINT, INTENT, STATEMENT, TIMESTAMP, is_portable

if TYPE_CHECKING:
    from typing import NoReturn

    from countersign.evidence.store import Log

BESIDE = frozenset({STATEMENT, CHECKPOINT, TIMESTAMP})
"""Files of an entry's folder that its statement does not list; each is checked by its own means, and none is ever disposed of."""


def freeze(folder: Path) -> None:
    """Drop empty folders and make files read-only. Raises OSError."""
    for root, _, files in os.walk(folder, topdown=False, onerror=fail):
        for name in files:
            path = Path(root, name)
            if stat.S_ISREG(path.lstat().st_mode):
                path.chmod(0o444)
        if Path(root) != folder and not os.listdir(root):  # noqa: PTH208  # emptiness needs no paths
            Path(root).rmdir()


def hash_files(folder: Path) -> dict[str, str]:
    """Return path to SHA-256 hex of every file below the folder that a statement lists, all of them written through to the disk.

    Raises EvidenceError for links, devices and names that cannot be listed, and OSError.
    """
    found = {}
    for root, folders, files in os.walk(folder, onerror=fail):
        for name in (*folders, *files):
            path = Path(root, name)
            inside = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise EvidenceError(
                    f"{inside!r} in the run's folder is a link or a device, not a file", fix="copy the file itself into the run's folder"
                )
            if not is_portable(inside):
                raise EvidenceError(
                    f"{inside!r} in the run's folder has a name with a backslash or a character that is no text",
                    fix="give the file another name",
                )
            if stat.S_ISREG(mode) and inside not in BESIDE:
                with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    found[inside] = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
        sync(Path(root))
    return found


def check_intent(folder: Path, subjects: Mapping[str, str]) -> None:
    """Refuse files (path to SHA-256 hex) that are not as the run's intent says, where it has one: EvidenceError."""
    if INTENT not in subjects:
        return
    for name, sha256 in statement.read(folder / INTENT).subjects.items():
        if subjects.get(name) != sha256:
            raise EvidenceError(
                f"{name!r} was changed or removed after the intent that covers it was sealed", fix="write receipts into files of their own"
            )


def sync(folder: Path) -> None:
    """Write a folder's names through to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fail(error: OSError) -> NoReturn:
    """Raise what `os.walk` would pass over."""
    raise error


def check_says(made: Mapping[str, object], log: Log) -> None:
    """Refuse a statement that does not say its files and its place in the chain: EvidenceError."""
    listed = made.get("subject")
    predicate = made.get("predicate")
    says = {subject["name"]: subject["digest"]["sha256"] for subject in listed} if isinstance(listed, list) else None
    if says != dict(log.subjects) or not isinstance(predicate, Mapping) or predicate.get("log") != log.entry():
        raise EvidenceError("the statement does not say what it was told: it must hold Log.subjects and Log.entry()")
