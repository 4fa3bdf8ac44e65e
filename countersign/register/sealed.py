"""`register.json` of a run: the register's files as they were on that night, and the register read from them again."""

from __future__ import annotations

import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from countersign.errors import EvidenceError
from countersign.register.load import digest_of, load_register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.register.records import Register

NAME = "register.json"
_AGREED = ("customer.yaml", "controls/", "partners/")
_FIX = "countersign verify shows what was changed"


def document(register: Register) -> dict[str, Any]:
    """Return what is kept: the digest, and each file's text by its path; a file that is not UTF-8 stands under `base64`."""
    texts, others = {}, {}
    for name, content in sorted(register.files.items()):
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            others[name] = b64encode(content).decode()
    return {"digest": register.digest, "files": texts, "base64": others}


def read(path: Path) -> Register:
    """Read the register that a run's `register.json` holds. Raises EvidenceError where it is not what its own digest says."""
    digest, files = _held(path)
    register = _loaded(path, files)
    if register.digest != digest:
        raise _other(path)
    return register


class Terms:
    """Reads of sealed registers what is agreed: customer, controls and partners. What was read before costs no more than its digest.

    Workloads, exceptions and incidents, of which there may be thousands, are not looked at; the registers that come out hold none.
    """

    def __init__(self) -> None:
        self._read: dict[str, Register] = {}

    def read(self, path: Path) -> Register:
        """Return what a `register.json` says of terms, under the digest of it all. Raises EvidenceError as `read` does."""
        digest, files = _held(path)
        if digest_of(files) != digest:
            raise _other(path)
        part = {name: content for name, content in files.items() if name.startswith(_AGREED)}
        key = digest_of(part)
        if key not in self._read:
            self._read[key] = _loaded(path, part)
        return self._read[key].model_copy(update={"digest": digest})


def _held(path: Path) -> tuple[str, dict[str, bytes]]:
    try:
        held = orjson.loads(path.read_bytes())
        files = {name: text.encode() for name, text in held["files"].items()}
        files |= {name: b64decode(text, validate=True) for name, text in held["base64"].items()}
        return str(held["digest"]), files
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise EvidenceError(f"{path} holds no register: {error}", fix=_FIX) from error


def _loaded(path: Path, files: Mapping[str, bytes]) -> Register:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "register"
        for name, content in files.items():
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise EvidenceError(f"{path} names a file outside of the register: {name!r}", fix=_FIX)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return load_register(folder)


def _other(path: Path) -> EvidenceError:
    return EvidenceError(f"{path} does not hold the register that its digest names", fix=_FIX)
