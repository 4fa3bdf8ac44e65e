"""Reads back what runs left: how each ended, and its findings with their tickets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from countersign import findings_file
from countersign.clock import stamp
from countersign.entry import open_store
from countersign.errors import CountersignError, EvidenceError
from countersign.evidence import ledger, statement
from countersign.evidence.verify import STATEMENT
from countersign.results import EXIT_USAGE
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from countersign.programme import Programme
    from countersign.register.records import Register
    from countersign.state import Run

SEVERITIES = ("critical", "high", "medium", "low")
_FIRST = (
    "fingerprint", "control", "subject", "subject_kind", "identity", "identity_name", "provider", "scope", "partner", "accountable",
    "severity", "state", "since", "due", "ticket", "reason", "facts", "sources",
)  # fmt: skip


class NotOnFileError(CountersignError):
    """What was asked for is not there; another name may be."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Ran:
    """One run, as the ledger and its evidence tell it."""

    run: Run
    state: str
    """`complete`, `partial`, `failed`, `running`, or `interrupted` where its process died."""
    findings: Mapping[str, int] | None
    """Counts when it ended; None: it came to no verdicts, or its evidence cannot be read."""
    guard: str | None
    """Why it changed nothing although it judged; None: it did what it planned, or never got so far."""
    folder: Path | None
    """Its sealed evidence; None: there is none."""
    error: str | None
    """Why it failed, or why its evidence cannot be read."""
    judged: tuple[int, int] | None = None
    """How many verdicts of all its controls are unknown, and how many there are; None: it came to none."""


def runs(programme: Programme) -> tuple[Ran, ...]:
    """List all runs, latest first. Raises CountersignError when the ledger or the evidence folder cannot be read."""
    if is_new(programme):
        return ()
    with State(programme.state) as state:
        rows = state.runs()
    dead = {folder.name for folder in open_store(programme).interrupted()}
    return tuple(_ran(programme, row, dead) for row in rows)


def newest(programme: Programme, name: str | None) -> Ran:
    """Return the run of a name (its id, or its folder of evidence), or without one the latest that was judged and acted on.

    Raises NotOnFileError when there is none.
    """
    every = runs(programme)
    if name is not None:
        found = next((ran for ran in every if name in (ran.run.run, ran.run.evidence)), None)
        if found is None:
            raise NotOnFileError(f"there is no run {name!r}", fix="`countersign runs` lists them")
        if found.findings is None or found.folder is None:
            why = found.state if found.error is None else f"{found.state}: {found.error}"
            raise NotOnFileError(f"run {name} came to no verdicts ({why})", fix="name another run")
        return _at_hand(programme, found)
    judged = next((ran for ran in every if ran.findings is not None and ran.guard is None), None)
    if judged is None:
        raise NotOnFileError("no run has come to verdicts yet", fix="start one: countersign reconcile")
    return _at_hand(programme, judged)


def _at_hand(programme: Programme, ran: Ran) -> Ran:
    """Make sure that a judged run's findings can be read here; raises NotOnFileError where its files are gone."""
    folder = open_store(programme).fetch(int(str(ran.run.evidence)))
    if not (folder / findings_file.NAME).exists():
        why = ledger.why_missing(folder, findings_file.NAME)
        raise NotOnFileError(f"run {ran.run.run} cannot be read back: {why}", fix="name another run; `countersign runs` lists them")
    return ran


def findings(programme: Programme, folder: Path, keep: Callable[[Mapping[str, Any]], bool] = lambda _row: True) -> list[dict[str, Any]]:
    """Return the findings of a sealed run that `keep` lets through, worst and oldest first, in the shape of `findings --json`."""
    rows = [row for row in findings_file.read(folder / findings_file.NAME) if keep(row)]
    tickets: dict[str, str | None] = {}
    if rows:
        with State(programme.state) as state:
            tickets = {listed.finding.fingerprint: listed.ticket for listed in state.findings()}
    rows.sort(key=lambda row: (SEVERITIES.index(row["severity"]) if row["severity"] in SEVERITIES else 0, row["since"], row["fingerprint"]))
    shaped = []
    for row in rows:
        row["ticket"] = tickets.get(row["fingerprint"])
        row.update(_accepted(programme.register, row))
        shaped.append({name: row[name] for name in _FIRST} | {name: value for name, value in row.items() if name not in _FIRST})
    return shaped


def _accepted(register: Register, row: Mapping[str, Any]) -> dict[str, str | None]:
    """Say until which day of the customer's an exception holds, its last, and who approved it, as the register has it now."""
    entry = register.exceptions.get(row["excepted"] or "")
    until = row["excepted_until"]
    day = None if until is None else str(register.today(until - timedelta(microseconds=1)))
    return {"excepted_through": day, "excepted_by": None if entry is None else entry.approved_by}


def controls(ran: Ran) -> list[dict[str, Any]]:
    """Return what a run's controls came to, as `results.json` has it. Raises EvidenceError when that cannot be read."""
    assert ran.folder is not None
    path = ran.folder / "results.json"
    try:
        found: list[dict[str, Any]] = orjson.loads(path.read_bytes())["controls"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceError(f"{path} cannot be read: {error}", fix="countersign verify shows what was changed") from error
    return found


def run_json(ran: Ran) -> dict[str, object]:
    """Return a run as `runs --json` shows it."""
    row = ran.run
    return {
        "run": row.run,
        "kind": row.kind,
        "slot": row.slot,
        "state": ran.state,
        "as_of": stamp(row.as_of),
        "started": stamp(row.started),
        "finished": None if row.finished is None else stamp(row.finished),
        "findings": None if ran.findings is None else dict(ran.findings),
        "unknown_share": None if ran.judged is None or not ran.judged[1] else ran.judged[0] / ran.judged[1],
        "guard": ran.guard,
        "error": ran.error,
        "evidence": None if ran.folder is None else str(ran.folder),
        "statement_digest": row.statement_digest,
    }


def standing(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the findings that are open."""
    return (row for row in rows if row["state"] == "open")


def is_new(programme: Programme) -> bool:
    """Whether no run ever made the ledger: looking at it would make it."""
    scheme, _, rest = programme.state.partition(":///")
    return scheme == "sqlite" and not Path(rest.partition("?")[0]).exists()


def _ran(programme: Programme, row: Run, dead: set[str]) -> Ran:
    state = "interrupted" if row.state == "running" and row.run in dead else row.state
    if row.evidence is None:
        return Ran(row, state, None, None, None, None)
    folder = programme.evidence.store / row.evidence
    try:
        predicate = statement.read(folder / STATEMENT).predicate
    except EvidenceError as error:
        return Ran(row, state, None, None, None, error.message)
    results = predicate.get("results")
    judged = None if results is None else (sum(each["unknown"] for each in results), sum(each["population"] for each in results))
    # A drill counts findings of its own, and judged nothing of what is on file.
    findings = None if results is None else predicate.get("findings")
    return Ran(row, state, findings, predicate.get("guard"), folder, predicate.get("error") or predicate.get("why"), judged)
