"""What a run comes to, in the words of `--json`, of the report and of the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from countersign.clock import stamp
from countersign.shares import shares

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from countersign.identity import CoverageState
    from countersign.inventory import Reading
    from countersign.judge import ControlResult

State = Literal["complete", "partial", "failed"]


class Tell(Protocol):
    """Is told how a run goes on, from any thread."""

    def __call__(self, message: str, share: float | None = None, /) -> None:
        """Take a sentence, and how much of the run is behind us (0 to 1; None: that cannot be said)."""
        ...


def silent(message: str, share: float | None = None, /) -> None:
    """Tell nobody."""
    del message, share


EXIT_FINE, EXIT_ACT, EXIT_USAGE, EXIT_PARTIAL, EXIT_FAILED = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run comes to."""

    run: str
    kind: str
    slot: str
    state: State
    as_of: datetime
    sources: Sequence[Mapping[str, object]]
    """As `sources` gives them."""
    controls: Sequence[Mapping[str, object]]
    """As `controls` gives them."""
    findings: Mapping[str, int]
    """open, new, resolved, reopened, unobserved, excepted."""
    tickets: Mapping[str, int]
    """created, updated, closed, reopened, unchanged, rolled-up, failed."""
    guard: str | None = None
    """Why nothing was acted on although everything was judged; None: it was."""
    errors: tuple[str, ...] = ()
    """Tickets that could not be written; they are tried again by the next run."""

    @property
    def exit_code(self) -> int:
        """4 failed, 3 partial, 1 open findings, 0 fine."""
        if self.state == "failed" or self.guard is not None:
            return EXIT_FAILED
        if self.state == "partial":
            return EXIT_PARTIAL
        return EXIT_ACT if self.findings.get("open") or self.errors else EXIT_FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Outcome):
    """One finished run."""

    evidence: Path
    """Folder of the sealed run."""
    statement_digest: str
    repeated: bool = False
    """True when the slot had its run already and this is that run's result."""
    prepared: tuple[Mapping[str, object], ...] = ()
    """Plans of revocation that were prepared after it."""
    not_prepared: tuple[str, ...] = ()
    """Why a plan could not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal(Outcome):
    """What a run would come to; nothing of it is on file, and findings and tickets are as they would be."""

    staged: Path
    """Folder with what would be sealed; it goes when the rehearsal ends."""


def state_of(readings: tuple[Reading, ...]) -> State:
    """Complete when every scope was read whole; failed when none was read at all, also when there is none."""
    if all(reading.state in ("denied", "failed") for reading in readings):
        return "failed"
    return "complete" if all(reading.state == "complete" for reading in readings) else "partial"


def sources(readings: tuple[Reading, ...]) -> list[dict[str, object]]:
    """Group readings by source, as `--json` shows them."""
    by_name: dict[str, list[Reading]] = {}
    for reading in readings:
        by_name.setdefault(reading.scope.source, []).append(reading)
    return [
        {
            "name": name,
            "state": _together(tuple(reading.state for reading in scopes)),
            "scopes": [
                {
                    "scope": reading.scope.name,
                    "provider": reading.scope.provider,
                    "state": reading.state,
                    "identities": reading.identities,
                    "credentials": reading.credentials,
                    "reason": "a live source reads this scope; the export was passed over" if reading.passed_over else reading.reason,
                }
                for reading in scopes
            ],
        }
        for name, scopes in by_name.items()
    ]


def controls(results: tuple[ControlResult, ...]) -> list[dict[str, object]]:
    """Return controls as `--json` and `results.json` show them."""
    return [
        {
            "id": result.id,
            "title": result.title,
            "severity": result.severity,
            "verdict": result.verdict,
            "population": result.population,
            "passed": result.passed,
            "failed": result.failed,
            "excepted": result.excepted,
            "unknown": result.unknown,
            **shares(result.population, result.passed, result.unknown),
            "unknown_reasons": [
                {
                    "reason": why.reason,
                    "count": why.count,
                    "unit": why.unit,
                    "places": [{"provider": provider, "scope": scope, "count": count} for provider, scope, count in why.places],
                }
                for why in result.unknown_reasons
            ],
        }
        for result in results
    ]


def to_json(result: Outcome, *, dry_run: bool = False) -> dict[str, object]:
    """Return the document that `countersign reconcile --json` prints (docs/operations.md)."""
    sealed = result if isinstance(result, RunResult) else None
    return {
        "run": result.run,
        "kind": result.kind,
        "slot": result.slot,
        "state": result.state,
        "as_of": stamp(result.as_of),
        "dry_run": dry_run,
        "evidence": None if sealed is None else str(sealed.evidence),
        "statement_digest": None if sealed is None else sealed.statement_digest,
        "sources": list(result.sources),
        "controls": list(result.controls),
        "findings": dict(result.findings),
        "tickets": dict(result.tickets),
        "guard": result.guard,
        "errors": list(result.errors),
        "repeated": sealed is not None and sealed.repeated,
        "prepared": [] if sealed is None else list(sealed.prepared),
        "not_prepared": [] if sealed is None else list(sealed.not_prepared),
    }


def _together(states: tuple[CoverageState, ...]) -> CoverageState:
    if len(set(states)) == 1:
        return states[0]
    return "failed" if all(state in ("denied", "failed") for state in states) else "partial"
