"""Answers of earlier nights that need not be asked again: a small file that may be lost at any time."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from countersign.clock import instant, stamp

if TYPE_CHECKING:
    from pathlib import Path

FULL_AGAIN = timedelta(days=7)
"""After this time everything is asked again, whatever is kept."""
_FILE = "aws-answers.json"
_FORMAT = 1


class Kept:
    """What earlier readings of one account were answered, by family and name; only what this one uses is kept on.

    Nothing here is believed by itself: whoever uses an answer holds it against tonight's report first.
    """

    def __init__(self, folder: Path | None, account: str, now: datetime) -> None:
        """Open the kept answers of a folder; None, a missing file or one that makes no sense: there are none."""
        self._file = None if folder is None else folder / _FILE
        self._account = account
        self.since = now
        """When the oldest of the answers were given."""
        self._before: dict[str, dict[str, object]] = {}
        self._now: dict[str, dict[str, object]] = {}
        self._open(now)

    def get(self, family: str, name: str) -> object | None:
        """Give an answer as it was put; None when there is none."""
        return self._now.get(family, {}).get(name) or self._before.get(family, {}).get(name)

    def put(self, family: str, name: str, answer: object) -> None:
        """Keep an answer (of JSON's own types) for later nights; an answer that was used is put again to stay."""
        self._now.setdefault(family, {})[name] = answer

    def save(self) -> None:
        """Write what was put, whole or not at all; a folder that cannot be written to costs calls tomorrow, and no more."""
        if self._file is None:
            return
        document = {"format": _FORMAT, "account": self._account, "since": stamp(self.since), "answers": self._now}
        part = self._file.with_suffix(".part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(orjson.dumps(document))
            part.replace(self._file)
        except OSError:
            with suppress(OSError):
                part.unlink()

    def _open(self, now: datetime) -> None:
        try:
            document = orjson.loads(b"" if self._file is None else self._file.read_bytes())
            if document["format"] != _FORMAT or document["account"] != self._account:
                return
            since = instant(document["since"])
            answers = {str(family): dict(named) for family, named in document["answers"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        if timedelta() <= now - since < FULL_AGAIN:
            self.since, self._before = since, answers
