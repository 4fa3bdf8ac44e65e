"""Writes a commented programme folder to start from, which loads and passes the register check as it is."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from string import Template

from countersign.errors import ConfigError, Problem, Where

_TEMPLATES = Path(__file__).parent / "template"


def init(folder: Path, *, customer: str = "example") -> tuple[Path, ...]:
    """Write a programme folder with its evidence key, and return the files written, sorted.

    `folder` may exist, as long as nothing in it would be overwritten. Everything is made beside it first and then moved,
    so that a failure leaves nothing half-written. Raises ConfigError, or EvidenceError when the key cannot be made.
    """
    from countersign.evidence.signer import keygen

    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", customer) is None:
        raise _refused(folder, "the customer's id does not fit", "use lower-case letters, digits and dashes, such as northwind")
    existing = folder.is_dir()
    if not existing and os.path.lexists(folder):
        raise _refused(folder, "there is a file of this name", "name a folder that does not exist, or an empty one")
    try:
        home = folder if existing else folder.absolute().parent
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".countersign-init-", dir=home) as temporary:
            made = Path(temporary) / "programme"
            _write(made, customer)
            keygen(made / "keys" / "evidence.pem")
            written = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
            if existing:
                _move_into(made, folder)
            else:
                made.rename(folder)
    except OSError as error:
        raise _refused(folder, f"it cannot be written: {error.strerror}", "check the folder's permissions and free space") from error
    return tuple(folder / path for path in written)


def _refused(folder: Path, message: str, fix: str) -> ConfigError:
    return ConfigError((Problem(Where(str(folder)), "", message, fix),))


def _write(made: Path, customer: str) -> None:
    shutil.copytree(_TEMPLATES, made, ignore=shutil.ignore_patterns("gitignore"), copy_function=shutil.copyfile)
    for path in made.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(customer=customer), encoding="utf-8")
    shutil.copyfile(_TEMPLATES / "gitignore", made / ".gitignore")
    for name in ("register/exceptions", "register/incidents", "exports"):
        (made / name).mkdir()
        (made / name / ".gitkeep").touch()  # version control keeps no empty folder


def _move_into(made: Path, folder: Path) -> None:
    """Move all entries into a folder that exists, or none."""
    entries = sorted(made.iterdir())
    taken = [entry.name for entry in entries if os.path.lexists(folder / entry.name)]
    if taken:
        fix = "name another folder, or move these away first"
        raise _refused(folder, f"it already holds {', '.join(taken)}, and nothing is overwritten", fix)
    moved: list[Path] = []
    try:
        for entry in entries:
            entry.rename(folder / entry.name)
            moved.append(entry)
    except OSError:
        for entry in moved:
            (folder / entry.name).rename(entry)
        raise
