"""How far a drill has come, in a file of the programme folder, so that the next process goes on with it or cleans up behind it."""

from __future__ import annotations

import fcntl
import json
import math
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from countersign.clock import instant, stamp
from countersign.drill.scopes import DrillError
from countersign.offboarding.folder import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from countersign.programme import Programme

FOLDER = "drills"
FILE = "open.json"
STEPS = ("plant", "detect", "ticket", "plan", "approve", "revoke", "verify", "remove")


@dataclass(frozen=True, slots=True)
class Timed:
    """One step, with its times."""

    step: str
    began: datetime
    ended: datetime | None = None
    """None: it did not come to its end."""
    why: str | None = None
    """Why it failed."""

    @property
    def seconds(self) -> int | None:
        """Return how long it took, rounded up; None: it did not come to its end."""
        return None if self.ended is None else math.ceil((self.ended - self.began).total_seconds())

    def as_json(self) -> dict[str, Any]:
        """Return it as drill.json has it."""
        state = "failed" if self.why is not None else "running" if self.ended is None else "done"
        ended = None if self.ended is None else stamp(self.ended)
        return {"step": self.step, "state": state, "began": stamp(self.began), "ended": ended, "seconds": self.seconds, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One canary, without its secret, which is kept in memory alone."""

    provider: str
    source: str
    scope: str
    uid: str
    name: str
    breaks: tuple[str, ...]
    credential: str | None
    """None: it has no credential that could be tried."""
    found: tuple[tuple[str, str], ...] = ()
    """Each control that it has to fail, with the verdict of the run that looked; `not judged`: the run asked nothing of it."""
    before: str | None = None
    """What its secret was good for before the revocation: `accepted`, `not told`; None: it has none."""
    after: str | None = None
    """The same afterwards: `refused`, `accepted`, `not told`, `not tried`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A drill of revocation that is not over."""

    drill: str
    """Its id, in the name of everything that it makes."""
    began: datetime
    places: tuple[tuple[str, str], ...]
    """(source, scope) of each scope in which it may have made something."""
    steps: tuple[Timed, ...] = ()
    canaries: tuple[Canary, ...] = ()
    findings: int = 0
    tickets: tuple[str, ...] = ()
    """Keys of the tickets that it opened, or was about to open."""
    plan: str | None = None
    """Id of its plan; None: there is none yet."""
    digest: str | None = None
    refusals: tuple[tuple[str, str], ...] = ()
    """Approvals that must be refused, each with why it was."""
    approvers: tuple[str, ...] = ()
    certificate: str | None = None
    seconds_to_revoke: tuple[tuple[str, int | None], ...] = ()
    """Provider to the seconds from the approval until the last change there was seen."""

    @property
    def waits(self) -> bool:
        """Return whether it has come as far as its approval, and no further."""
        return self.plan is not None and bool(self.steps) and self.steps[-1].step == "approve" and self.steps[-1].ended is None

    def begun(self, step: str, now: datetime) -> Record:
        """Return it with a step begun; a step that is going on goes on."""
        if self.steps and self.steps[-1].step == step and self.steps[-1].ended is None:
            return self
        return replace(self, steps=(*self.steps, Timed(step, now)))

    def done(self, now: datetime, why: str | None = None) -> Record:
        """Return it with the step ended that goes on."""
        return replace(self, steps=(*self.steps[:-1], replace(self.steps[-1], ended=now, why=why)))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"began": stamp(self.began), "steps": [step.as_json() for step in self.steps]}


@contextmanager
def alone(programme: Programme) -> Iterator[None]:
    """Hold the programme's drills for this process, which lets go by dying. Raises DrillError while another holds them."""
    home = programme.folder / FOLDER
    home.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DrillError("another drill runs in this programme folder", fix="wait for it to end") from None
        yield
    finally:
        os.close(handle)


def keep(programme: Programme, record: Record) -> Record:
    """Write how far it has come, whole or not at all; returns it."""
    write(_path(programme), json.dumps(record.as_json(), indent=2).encode())
    return record


def find(programme: Programme) -> Record | None:
    """Return the drill that is not over; None: there is none. Raises DrillError for a file that is no record."""
    try:
        held = json.loads(_path(programme).read_bytes())
        return _read(held)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "remove the file; what a drill made is found again by its name"
        raise DrillError(f"{_path(programme)} is no record of a drill", fix=fix) from error


def newest(mine: Record, on_file: Record | None) -> Record:
    """Return what this process knows of a drill, with what only the file has: a step that failed half-way wrote no more than that."""
    if on_file is None or on_file.drill != mine.drill:
        return mine
    more = {name: getattr(on_file, name) for name in ("canaries", "tickets", "plan", "digest") if not getattr(mine, name)}
    return replace(mine, steps=on_file.steps, **more)


def forget(programme: Programme) -> None:
    """Take the record away: the drill is over, and sealed."""
    _path(programme).unlink(missing_ok=True)


def _path(programme: Programme) -> Path:
    return programme.folder / FOLDER / FILE


def _read(held: dict[str, Any]) -> Record:
    steps = tuple(
        Timed(step["step"], instant(step["began"]), None if step["ended"] is None else instant(step["ended"]), step["why"])
        for step in held["steps"]
    )
    canaries = tuple(
        Canary(**{**each, "breaks": tuple(each["breaks"]), "found": tuple((c, v) for c, v in each["found"])}) for each in held["canaries"]
    )
    pairs = {name: tuple((a, b) for a, b in held[name]) for name in ("places", "refusals", "seconds_to_revoke")}
    lists = {name: tuple(held[name]) for name in ("tickets", "approvers")}
    return Record(**{**held, **pairs, **lists, "began": instant(held["began"]), "steps": steps, "canaries": canaries})
