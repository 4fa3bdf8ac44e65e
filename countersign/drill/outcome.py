"""What came of a drill: sealed in the ledger, and on file as a run, so that it is known when each path was last walked to its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import rfc8785
import sqlalchemy as sa

from countersign import entry, schema
from countersign.clock import instant, stamp
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from countersign.drill.record import Timed
    from countersign.programme import Programme

TYPE = "urn:countersign:drill:v1"
FILE = "drill.json"
Drilled = Literal["remediation", "exception"]
State = Literal["passed", "failed", "waits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a drill, or how far it has come."""

    path: Drilled
    drill: str
    state: State
    why: str | None
    """Why it failed, or what it waits for; None: it passed."""
    steps: tuple[Timed, ...]
    said: Mapping[str, Any]
    """drill.json; of a drill that waits, what it would say now."""
    plan: str | None = None
    """The plan that it waits for, or carried out."""
    evidence: Path | None = None
    """The entry in the ledger; None: it waits."""


def seal(  # noqa: PLR0913, PLR0917 - what happened, when, and the surroundings
    programme: Programme,
    path: Drilled,
    drill: str,
    began: datetime,
    steps: Sequence[Timed],
    more: Mapping[str, Any],
    why: str | None,
    *,
    plan: str | None = None,
    clock: Callable[[], datetime],
) -> Result:
    """Seal what came of a drill as an entry `drill-<path>`, and put it among the runs; `why`: why it failed, None: it passed.

    Raises EvidenceError, and then it is not in the ledger.
    """
    said = document(path, drill, began, steps, more, why, clock())
    complete = why is None
    about = {
        "state": "complete" if complete else "failed", "path": path, "drill": drill, "asOf": said["ended"],
        "findings": more.get("findings", 0), "seconds": said["seconds"]["whole"], "plan": plan, "why": why,
    }  # fmt: skip
    sealed = entry.seal(programme, f"drill-{path}", {FILE: rfc8785.dumps(said)}, about, clock=clock)
    put_on_file(programme)
    return Result(
        path=path, drill=drill, state="passed" if complete else "failed", why=why, steps=tuple(steps), said=said, plan=plan,
        evidence=sealed.path,
    )  # fmt: skip


def document(  # noqa: PLR0913, PLR0917 - what happened and when
    path: Drilled, drill: str, began: datetime, steps: Sequence[Timed], more: Mapping[str, Any], why: str | None, now: datetime
) -> dict[str, Any]:
    """Return drill.json."""
    seconds = {step.step: step.seconds for step in steps} | {"whole": math.ceil((now - began).total_seconds())}
    return {
        "type": TYPE, "path": path, "drill": drill, "state": "failed" if why is not None else "passed", "why": why, "began": stamp(began),
        "ended": stamp(now), "steps": [step.as_json() for step in steps], **more, "seconds": {**seconds, **more.get("seconds", {})},
    }  # fmt: skip


def put_on_file(programme: Programme) -> None:
    """Enter among the runs what the ledger has of drills and the state database has not, since a process died in between."""
    engine = schema.open_engine(programme.state)
    try:
        known = set()
        with engine.connect() as connection:
            known = set(connection.scalars(sa.select(schema.runs.c.run)))
        missing = []
        for sealed in entry.open_store(programme).entries():
            said = statement.read(sealed.path / STATEMENT)
            if said.kind.startswith("drill-") and said.run not in known:
                missing.append({
                    "run": said.run, "customer": programme.customer, "kind": said.kind, "slot": said.run,
                    "as_of": instant(str(said.predicate["asOf"])), "state": said.predicate["state"],
                    "started": instant(str(said.predicate["started"])), "finished": instant(str(said.predicate["finished"])),
                    "evidence": sealed.path.name, "statement_digest": said.digest,
                })  # fmt: skip
        if missing:
            with schema.writing(engine).begin() as connection:
                connection.execute(sa.insert(schema.runs), missing)
    finally:
        engine.dispose()
