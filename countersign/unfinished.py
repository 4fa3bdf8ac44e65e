"""What a run had read when its process died: a second start of the same slot takes it over and reads only the rest."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from countersign.clock import instant, stamp
from countersign.identity import Coverage
from countersign.inventory import Reading, files_of
from countersign.reading import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

TAKEN_OVER_WITHIN = timedelta(hours=6)
"""What was read longer ago than this is read again: a night is to say what is, not what was yesterday."""
OBSERVATIONS = "observations"
_NOTE = "run.json"
_DONE = "read"
Key = tuple[str, str, str]
"""Source, provider and name of a scope."""


def begin(work: Path, run: str, began: datetime, under: Mapping[str, object]) -> None:
    """Make an empty work folder for a run; `under` is the register, configuration and code that it runs with."""
    shutil.rmtree(work, ignore_errors=True)
    (work / _DONE).mkdir(parents=True, mode=0o700)
    work.chmod(0o700)
    _write(work / _NOTE, {"run": run, "began": stamp(began), "under": under, "resumed": []})


def can_be_taken_over(work: Path, staged: Path, run: str, now: datetime, under: Mapping[str, object]) -> bool:
    """Whether a dead run was still reading or judging, under the same register, configuration and code, and not too long ago."""
    note = _read(work / _NOTE)
    if note is None or note["run"] != run or note["under"] != orjson.loads(orjson.dumps(under)):
        return False
    sealed = any(staged.glob("*.dsse.json"))
    return staged.is_dir() and not sealed and timedelta() <= now - instant(note["began"]) <= TAKEN_OVER_WITHIN


def take_over(work: Path, staged: Path, now: datetime) -> tuple[Mapping[Key, Reading], tuple[str, ...]]:
    """Give the scopes that were read whole, by key, and each time that the run was taken over; what was begun is removed."""
    note: dict[str, Any] = _read(work / _NOTE) or {}
    resumed = (*note["resumed"], stamp(now))
    _write(work / _NOTE, note | {"resumed": resumed})
    found: dict[Key, Reading] = {}
    kept: set[Path] = set()
    for file in sorted((work / _DONE).glob("*.json")):
        said = _read(file)
        if said is None:
            continue
        reading = _reading(said["reading"])
        files = files_of(reading.scope, work, staged / OBSERVATIONS)
        if said["sizes"] == _sizes(files):
            found[key(reading.scope)] = reading
            kept.update(files.values())
    for entry in staged.iterdir():
        if entry.name != OBSERVATIONS:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for path in (staged / OBSERVATIONS).rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    return found, resumed


def keep(work: Path, reading: Reading, observations: Path) -> None:
    """Put on file that a scope was read to its end."""
    files = files_of(reading.scope, work, observations)
    name = sha256("\0".join(key(reading.scope)).encode()).hexdigest()
    _write(work / _DONE / f"{name}.json", {"reading": asdict(reading), "sizes": _sizes(files)})


def key(scope: Scope) -> Key:
    """Name a scope for looking it up."""
    return scope.source, scope.provider, scope.name


def _sizes(files: Mapping[str, Path]) -> dict[str, int]:
    return {name: path.stat().st_size if path.exists() else -1 for name, path in files.items()}


def _reading(said: dict[str, Any]) -> Reading:
    coverage = (row | {"started": instant(row["started"]), "finished": instant(row["finished"])} for row in said["coverage"])
    rows = tuple(Coverage(**{**row, "covers": tuple(row["covers"])}) for row in coverage)
    return Reading(**{**said, "scope": Scope(**said["scope"]), "coverage": rows})


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _write(file: Path, document: Mapping[str, object]) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        opened.write(orjson.dumps(document, option=orjson.OPT_UTC_Z))
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)
