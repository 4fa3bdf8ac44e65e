"""Exceptions as files: a new one is never put over another, and a line changed leaves all that a person wrote around it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from countersign import document
from countersign.errors import CountersignError
from countersign.register.records import RegisteredException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.errors import Problem
    from countersign.register.records import Register

_NUMBERED = re.compile(r"EX-([0-9]{1,9})")


class FileRefusedError(CountersignError):
    """An exception's file cannot be written as it should be; nothing was changed."""

    exit_code = 2


def next_id(register: Register, folder: Path) -> str:
    """Return the number after the highest that an exception, or any file in its folder, bears: `EX-0013`."""
    names = [*register.exceptions, *(path.name.partition(".")[0] for path in folder.glob("EX-*"))]
    taken = [int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name)) is not None]
    return f"EX-{max(taken, default=0) + 1:04}"


def text_of(exception: RegisteredException) -> str:
    """Write a new exception as YAML, all text in quotes. Raises FileRefusedError where it would not read back as it is."""
    given = exception.model_dump(mode="json", exclude_none=True)
    written = "".join(f"{name}: {_value(value)}\n" for name, value in given.items())
    _demand(written, exception, "a text holds characters that no register file may hold; leave control characters out")
    return written


def changed(text: str, fields: Mapping[str, str | None], wanted: RegisteredException) -> str:
    """Return the text of a file with these keys set, the rest as it stands, comments too.

    `wanted` is what it must say then. Raises FileRefusedError where the file is not written with a key to a line.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    for name, value in fields.items():
        if value is None:
            continue
        line = re.compile(rf"^({name}:)[^#\r\n]*?([ \t]+#[^\r\n]*)?(?=\r?$)", re.MULTILINE)
        said = _value(value)
        text, count = line.subn(lambda match, said=said: f"{match[1]} {said}{match[2] or ''}", text, count=1)  # type: ignore[misc]  # bound per turn
        if not count:
            text = f"{text}{'' if text.endswith(end) or not text else end}{name}: {said}{end}"
    lines = "; ".join(f"{name}: {_value(value)}" for name, value in fields.items() if value is not None)
    _demand(text, wanted, f"the file is not written with one key to a line; write into it by hand: {lines}")
    return text


def create(path: Path, text: str) -> bool:
    """Write a new file whole, or not at all; False where there is one of this name already. Raises FileRefusedError."""
    try:
        path.parent.mkdir(exist_ok=True)
        temporary = _beside(path, text, 0o644)
        try:
            # Unlike a rename, a link never takes the place of what is there.
            os.link(temporary, path)
        finally:
            temporary.unlink()
    except FileExistsError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


def replace(path: Path, text: str) -> None:
    """Put a new text in the place of a file's, at one moment, or not at all. Raises FileRefusedError."""
    try:
        path = path.resolve()
        temporary = _beside(path, text, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        try:
            temporary.replace(path)
        except OSError:
            temporary.unlink()
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def read(path: Path) -> str:
    """Return a file's text with its line ends as they are. Raises FileRefusedError."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefusedError(f"{path} cannot be read as text", fix="check its permissions") from error


def _beside(path: Path, text: str, mode: int) -> Path:
    # A name that begins with a dot is none of the register's, should we die before it is gone.
    descriptor, name = tempfile.mkstemp(prefix=".countersign-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    return Path(name)


def _value(value: object) -> str:
    """Write a text as YAML: a day or a plain id as it is, all else as JSON does, which YAML reads as it was."""
    text = str(value)
    plain = re.fullmatch(r"\d{4}-\d\d-\d\d|[A-Za-z][A-Za-z0-9._/-]*", text) and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _demand(text: str, wanted: RegisteredException, fix: str) -> None:
    problems: list[Problem] = []
    try:
        read_back = document.parse(text.encode("utf-8"), "exception", problems)
    except UnicodeEncodeError:
        read_back = None
    record = None if read_back is None or problems else read_back.build(RegisteredException, problems)
    if record != wanted:
        raise FileRefusedError("the exception cannot be written so that it reads back as it was said", fix=fix)


def _unwritable(path: Path, error: OSError) -> FileRefusedError:
    return FileRefusedError(f"{path} cannot be written: {error.strerror}", fix="check the folder's permissions and free space")
