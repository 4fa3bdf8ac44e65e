"""A desk in a folder, for those who have no tracker: one JSON file for each ticket, in which people set `state` to `closed` or `open`."""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign.clock import instant, stamp
from countersign.desk import DeskError, DeskRefusedError, Entry, Standing, Ticket, TicketGoneError
from countersign.desk.ticket_text import checked, foremost, is_refusal, plain
from countersign.reading import Probe
from countersign.ticket_body import in_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from countersign.remediation import Draft

PREFIX = "file:"
OURSELVES = "countersign"
MODE = 0o660
"""People who may close tickets are in the folder's group."""
_NAME = re.compile(r"(cs1-[a-z2-7]{26})(?:-([1-9][0-9]{0,3}))?")
_MOST = 1000
"""Tickets of one key; each follows one that was closed long before."""


class FileDesk:
    """Tickets in a folder that is there; `now` stamps what is written. A file is always whole: it is replaced, never written in place."""

    search_lag = timedelta(0)
    redescribes_in_comments = False

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now
        self.target = f"file:{folder}"

    def find(self, key: str) -> Ticket | None:
        """Return the open ticket of a key, else the newest closed one, else None; raises DeskError when one of its files is broken."""
        names = [name for name in self._names(checked(key)) if (self._folder / f"{name}.json").exists()]
        return foremost(self._ticket(name, key) for name in reversed(names))

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these tickets are closed, and since when; None: its file is gone. Of one that is broken nothing is known."""
        found: dict[str, datetime | None] = {}
        for id in ids:  # noqa: A001  (a ticket's id is called id)
            try:
                name = _stem(id)
                at = self._closed_at(name, self._read(name))
            except TicketGoneError:
                found[id] = None
            except DeskError:
                continue
            else:
                if at is not None:
                    found[id] = at
        return found

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: with a `resolution` that says so."""
        return is_refusal(str(self._read(_stem(id)).get("resolution")))

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make a ticket."""
        fields = {"key": checked(key), "state": "open", **_values(draft), "replaces": draft.replaces, "closed_at": None}
        for name in self._names(key):
            if self._write(name, {**fields, "history": [self._entry("created", draft.title)]}, new=True):
                return Ticket(f"{PREFIX}{name}", key, "open", None)
        raise DeskError(f"{self._folder} holds {_MOST} tickets of {key}")

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Replace what the draft says, if it says anything else."""
        name = _stem(id)
        fields = self._read(name)
        values = _values(draft)
        if not draft.body:
            del values["body"]
        if any(fields.get(each) != value for each, value in values.items()):
            self._change(name, fields, values, "updated", draft.title)

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment to the ticket's history."""
        self._change(_stem(id), self._read(_stem(id)), {}, "commented", text)

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so changes nothing."""
        name = _stem(id)
        fields = self._read(name)
        if fields["state"] != state:
            values = {"state": state, "closed_at": stamp(self._now()) if state == "closed" else None}
            self._change(name, fields, values, "closed" if state == "closed" else "opened", "")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what we did to it, oldest first; what people wrote into the file is not told by anything."""
        told = self._read(_stem(id))["history"]
        try:
            return tuple(Entry(instant(each["at"]), str(each["actor"]), each["what"], str(each["text"])) for each in told)
        except (KeyError, TypeError, ValueError) as error:
            raise DeskError(f"the history of {id} is broken") from error

    def probe(self) -> Iterator[Probe]:
        """Say whether the folder is there and can be written to; writes nothing."""
        there = self._folder.is_dir()
        yield Probe(str(self._folder), "see the folder", ok=there, detail="" if there else "make it, and let only those read it who may")
        may = there and os.access(self._folder, os.R_OK | os.W_OK | os.X_OK)
        yield Probe(str(self._folder), "write tickets", ok=may, detail="" if may else "it cannot be written to")

    def _names(self, key: str) -> Iterator[str]:
        return (key if number == 1 else f"{key}-{number}" for number in range(1, _MOST + 1))

    def _ticket(self, name: str, key: str) -> Ticket:
        at = self._closed_at(name, self._read(name))
        return Ticket(f"{PREFIX}{name}", key, "open" if at is None else "closed", at)

    def _closed_at(self, name: str, fields: Mapping[str, Any]) -> datetime | None:
        """When it was closed: where people did it, when the file was last written; None: it is open."""
        if fields["state"] != "closed":
            return None
        with suppress(ValueError):
            return instant(str(fields.get("closed_at")))
        try:
            return datetime.fromtimestamp((self._folder / f"{name}.json").stat().st_mtime, UTC)
        except OSError as error:
            raise DeskError(f"{PREFIX}{name} cannot be read: {error.strerror or error}") from error

    def _read(self, name: str) -> dict[str, Any]:
        try:
            fields = json.loads((self._folder / f"{name}.json").read_bytes())
        except FileNotFoundError as error:
            # Also where the whole folder is away: then the desk refuses, since nothing can be said of any.
            if self._folder.is_dir():
                raise TicketGoneError(f"{PREFIX}{name} is not there any more") from error
            raise DeskRefusedError(f"the folder {self._folder} is not there", fix="bring it back, or name another under `desk`") from error
        except OSError as error:
            raise DeskError(f"{PREFIX}{name} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise DeskError(f"{PREFIX}{name} is no JSON", fix="put right what was edited") from error
        sound = isinstance(fields, dict) and fields.get("state") in {"open", "closed"} and isinstance(fields.get("history"), list)
        if not sound:
            raise DeskError(f"{PREFIX}{name} has no `state` open or closed, or no history", fix="put right what was edited")
        return dict(fields)

    def _change(self, name: str, fields: Mapping[str, Any], values: Mapping[str, object], what: str, text: str) -> None:
        self._write(name, {**fields, **values, "history": [*fields["history"], self._entry(what, text)]}, new=False)

    def _entry(self, what: str, text: str) -> dict[str, str]:
        return {"at": stamp(self._now()), "actor": OURSELVES, "what": what, "text": plain(text)}

    def _write(self, name: str, fields: Mapping[str, object], *, new: bool) -> bool:
        """Put the file there whole; False: `new`, and there is one of that name."""
        try:
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".ticket-")
        except OSError as error:
            raise DeskRefusedError(f"{self._folder} cannot be written to: {error.strerror or error}", fix="make the folder") from error
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                os.fchmod(handle, MODE)
                json.dump(fields, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            if new:
                os.link(temporary, self._folder / f"{name}.json")  # unlike a rename, it takes no other ticket's place
            else:
                Path(temporary).replace(self._folder / f"{name}.json")
        except FileExistsError:
            return False
        except OSError as error:
            raise DeskError(f"{PREFIX}{name} cannot be written: {error.strerror or error}") from error
        finally:
            Path(temporary).unlink(missing_ok=True)
        return True


def _values(draft: Draft) -> dict[str, object]:
    return {
        "title": plain(draft.title.replace("\n", " ")),
        "body": plain(in_plain(draft.body)),
        "control": draft.control,
        "partner": draft.partner,
        "assignee": draft.accountable,
        "severity": draft.severity,
        "due": None if draft.due is None else stamp(draft.due),
        "escalated": draft.escalated,
    }


def _stem(ticket: str) -> str:
    name = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not _NAME.fullmatch(name):
        raise DeskError(f"{ticket!r} is no ticket in a file")
    return name
