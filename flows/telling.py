"""What Prefect is told of a run: its final state, a summary that points at the evidence, and events for new findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.events import emit_event

from countersign.clock import stamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from countersign.finding import Transition
    from countersign.results import RunResult, Tell

_COLUMNS = ("id", "population", "passed", "failed", "excepted", "unknown")
MOST_EVENTS = 100
"""Prefect's event queue drops what comes too fast: beyond this, one event says how many more there are."""


def to_log(log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> Tell:
    """Return what puts a run's messages into the flow's log, as said by who said them."""

    def tell(message: str, share: float | None = None, /) -> None:
        log.info(message, stacklevel=2, extra={"share": share})

    return tell


def slot_of_this_run() -> str | None:
    """Name the slot of the flow run we are in: its scheduled time, or the run itself when a person started it."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    run = context.flow_run
    if run.auto_scheduled and run.expected_start_time is not None:
        return stamp(run.expected_start_time)
    return f"flow-run:{run.id}"


def verdict(result: RunResult) -> State[None]:
    """Return the state a flow run ends in: only a complete run that was acted on is green."""
    where = f"run {result.run}, evidence {result.evidence.name}, {result.statement_digest}"
    if result.guard is not None:
        message = f"The scan looks wrong and nothing was changed: {result.guard}. {where}"
        return State(type=StateType.FAILED, name="Stopped", message=message)
    if result.state == "complete" and not result.errors:
        return State(type=StateType.COMPLETED, message=where)
    if result.state == "failed":
        return State(type=StateType.FAILED, name="Failed", message=f"No source could be read. {where}")
    unread = [
        f"{scope['provider']} {scope['scope']}: {scope['reason']}"
        for source in result.sources
        for scope in source["scopes"]  # type: ignore[attr-defined]
        if scope["state"] != "complete"
    ]
    wrong = [*unread, *(f"ticket {error}" for error in result.errors)]
    return State(type=StateType.FAILED, name="Partial", message=f"{'; '.join(wrong)}. {where}")


def tell_prefect(result: RunResult, transitions: Iterable[Transition]) -> None:
    """Leave a summary artifact and events; names of subjects stay in the evidence, Prefect gets fingerprints and counts."""
    rows = "\n".join(f"| {' | '.join(str(control[name]) for name in _COLUMNS)} |" for control in result.controls)
    create_markdown_artifact(
        key="nightly-reconciliation",
        description=f"{result.state} as of {stamp(result.as_of)}",
        markdown=(
            f"# {result.state} as of {stamp(result.as_of)}\n\nEvidence: `{result.evidence.name}`, statement `{result.statement_digest}`\n\n"
            f"Findings: {_counts(result.findings)}. Tickets: {_counts(result.tickets)}.\n\n"
            f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n{rows}\n"
        ),
    )
    fresh = [transition.after for transition in transitions if transition.kind in ("new", "reopened")]
    for finding in fresh[:MOST_EVENTS]:
        emit_event(
            event="countersign.finding.new",
            resource={"prefect.resource.id": f"countersign.finding.{finding.fingerprint}", "prefect.resource.name": finding.control},
            payload={"control": finding.control, "severity": finding.severity, "partner": finding.partner, "run": result.run},
        )
    if len(fresh) > MOST_EVENTS:
        emit_event(
            event="countersign.findings.more",
            resource={"prefect.resource.id": f"countersign.run.{result.run}"},
            payload={"count": len(fresh) - MOST_EVENTS, "evidence": result.evidence.name},
        )


def _counts(counts: object) -> str:
    return ", ".join(f"{count} {name}" for name, count in dict(counts).items() if count) or "none"  # type: ignore[call-overload]
