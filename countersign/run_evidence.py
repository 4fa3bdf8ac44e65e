"""What the statement of a run says, beyond the digests of its files; and reading it back."""

from __future__ import annotations

import getpass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from countersign import clock, results
from countersign.errors import EvidenceError
from countersign.evidence import ledger, statement
from countersign.evidence.verify import STATEMENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from countersign.inventory import Reading
    from countersign.judge import ControlResult
    from countersign.programme import Programme
    from countersign.results import RunResult
    from countersign.state import Run


def about(programme: Programme, as_of: datetime, only: Sequence[str]) -> dict[str, object]:
    """Say under what a run was made: code, register, configuration, who ran it, and which sources it was limited to."""
    return {
        "customer": programme.customer,
        "asOf": clock.stamp(as_of),
        "code": {"version": metadata.version("countersign"), "commit": _commit()},
        "registerDigest": programme.register.digest,
        "configurationDigest": programme.digest,
        "limitedTo": list(only),
        "actors": {"runner": _runner()},
    }


def settled(
    readings: tuple[Reading, ...],
    judged: Sequence[ControlResult],
    findings: Mapping[str, int],
    tickets: Mapping[str, int],
    stopped: str | None,
) -> dict[str, object]:
    """Say what a judged run read, found and did."""
    return {
        "state": results.state_of(readings),
        "sources": [_source(reading) for reading in readings],
        "results": [_counts(result) for result in judged],
        "findings": dict(findings),
        "tickets": dict(tickets),
        "guard": stopped,
    }


def run_of(folder: Path) -> str | None:
    """Return the id of the run that was judged and sealed in a folder; None for a failed entry."""
    said = statement.read(folder / STATEMENT)
    return None if said.kind == "failed" else said.run


def was_judged(store: Path, run: Run) -> bool:
    """Say whether a run on file came to verdicts; False for one that failed before."""
    return run.evidence is not None and run_of(store / run.evidence) == run.run


def earlier(store: Path, run: Run) -> RunResult:
    """Read the result of a sealed run back from its evidence. Raises EvidenceError when it is not there any more."""
    folder = store / str(run.evidence)
    predicate: Any = statement.read(folder / STATEMENT).predicate
    try:
        document = orjson.loads((folder / "results.json").read_bytes())
    except FileNotFoundError as error:
        why = ledger.why_missing(folder, "results.json")
        raise EvidenceError(f"run {run.run} cannot be read back: {why}", fix="countersign evidence list") from error
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{folder}/results.json cannot be read: {error}", fix="countersign verify shows what was changed") from error
    return results.RunResult(
        run=run.run,
        kind=run.kind,
        slot=run.slot,
        state=predicate["state"],
        as_of=run.as_of,
        evidence=folder,
        statement_digest=str(run.statement_digest),
        sources=document["sources"],
        controls=document["controls"],
        findings=predicate["findings"],
        tickets=predicate["tickets"],
        guard=predicate["guard"],
        repeated=True,
    )


def _source(reading: Reading) -> dict[str, object]:
    return {
        "source": reading.scope.source,
        "provider": reading.scope.provider,
        "scope": reading.scope.name,
        "state": reading.state,
        "caller": reading.caller,
        "passedOver": reading.passed_over,
        "kept": {"identities": reading.identities, "credentials": reading.credentials},
        "operations": [
            {
                "operation": row.operation, "state": row.state, "pages": row.pages, "returned": row.rows, "dropped": dict(row.dropped),
                "independentCount": row.independent_count, "error": row.error, "started": clock.stamp(row.started),
                "finished": clock.stamp(row.finished),
            }
            for row in reading.coverage
        ],
    }  # fmt: skip


def _counts(result: ControlResult) -> dict[str, object]:
    return {
        "control": result.id, "verdict": result.verdict, "population": result.population, "passed": result.passed, "failed": result.failed,
        "excepted": result.excepted, "unknown": result.unknown,
    }  # fmt: skip


def _runner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _commit() -> str | None:
    """Return the commit of a checkout; None for an installed wheel."""
    git = Path(__file__).parents[1] / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (git / ref).exists():
            return (git / ref).read_text(encoding="ascii").strip()
        packed = (git / "packed-refs").read_text(encoding="ascii").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), None)
    except OSError:
        return None
