"""Puts drafts where somebody can look at them, and from there into the register; what is there already is never written over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign import document
from countersign.errors import ConfigError, CountersignError, Problem
from countersign.register.records import Control, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from countersign.register.records import Register

_PARTS = ("workloads", "controls")


class DraftFolderError(CountersignError):
    """Drafts cannot be kept or taken where they were asked for."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a folder of drafts."""

    written: tuple[str, ...]
    """Files of the register, such as `register/workloads/acme-backup.yaml`."""
    kept_out: tuple[tuple[str, str], ...]
    """Draft, and why it was left where it is."""


def keep(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write drafts (path in the folder, content) into a folder that is new or empty. Raises DraftFolderError."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            fix = "take them over with --accept, move them away, or name another folder with -o DIR"
            raise DraftFolderError(f"{folder} already holds something, perhaps drafts that somebody works on", fix=fix)
        for part in _PARTS:
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name, text in files:
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DraftFolderError(f"{folder} cannot be written: {error.strerror}", fix="check its permissions and free space") from error


def accept(folder: Path, register_folder: Path, register: Register) -> Accepted:
    """Move the drafts of a folder, as they are now, into the register.

    One whose file or whose id the register has already stays where it is. Raises ConfigError, with nothing moved, where a draft
    cannot be read as an entry; DraftFolderError where a file cannot be written.
    """
    problems: list[Problem] = []
    ready: list[tuple[Path, Path, bytes]] = []
    kept_out: list[tuple[str, str]] = []
    ids = {"workloads": set(register.workloads), "controls": set(register.controls)}
    for part, path, data, entry in _read(folder, problems):
        into = register_folder / part / path.name
        if entry in ids[part] or into.exists():
            reason = f"the register already has {entry}" if entry in ids[part] else f"there is a file register/{part}/{path.name}"
            kept_out.append((f"{folder.name}/{part}/{path.name}", reason))
            continue
        ids[part].add(entry)
        ready.append((path, into, data))
    if problems:
        raise ConfigError(tuple(problems))
    _move(ready, folder)
    return Accepted(tuple(into.relative_to(register_folder.parent).as_posix() for _, into, _ in ready), tuple(kept_out))


def _read(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Path, bytes, str]]:
    for part in _PARTS:
        for path in sorted((folder / part).glob("*.yaml")):
            name = f"{folder.name}/{part}/{path.name}"
            data = document.read_bytes(path, name, problems)
            written = None if data is None else document.parse(data, name, problems)
            entry = None if written is None else _id(part, written, problems)
            if data is not None and entry is not None:
                yield part, path, data, entry


def _move(ready: Iterable[tuple[Path, Path, bytes]], folder: Path) -> None:
    try:
        for path, into, data in ready:
            into.parent.mkdir(exist_ok=True)
            with into.open("xb") as file:
                file.write(data)
            path.unlink()
        for empty in (*(folder / part for part in _PARTS), folder):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    except OSError as error:
        fix = "check permissions and free space; what was moved already is in the register, the rest still here"
        raise DraftFolderError(f"{error.filename} cannot be written: {error.strerror}", fix=fix) from error


def _id(part: str, written: document.Document, problems: list[Problem]) -> str | None:
    if part == "workloads":
        workload = written.build(Workload, problems)
        return None if workload is None else workload.workload
    control = written.build(Control, problems)
    return None if control is None else control.control
