"""Run a flow from this process: on the Prefect API that is configured, or on an ephemeral one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from countersign import run_evidence
from countersign.errors import CountersignError
from countersign.reconciliation import KIND
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from countersign.offboarding.process import Outcome
    from countersign.programme import Programme
    from countersign.results import RunResult, Tell

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # On a busy small machine the ephemeral server needs 15 to 45 seconds; Prefect gives it 20.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}


def nightly(programme: Programme, *, slot: str, as_of: datetime | None = None, only: Sequence[str] = ()) -> RunResult:
    """Run the nightly reconciliation through Prefect and read its result from the evidence, never from Prefect.

    Raises CountersignError when the flow left no sealed run.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from flows.nightly_reconciliation import nightly_reconciliation

    with State(programme.state) as ledger:
        had = ledger.sound_run(programme.customer, KIND, slot) is not None
    state = nightly_reconciliation(str(programme.folder), as_of=as_of, sources=list(only), slot=slot, return_state=True)
    with State(programme.state) as ledger:
        run = next((row for row in ledger.runs() if row.kind == KIND and row.slot == slot and row.evidence is not None), None)
    if run is None or run.state == "running" or not run_evidence.was_judged(programme.evidence.store, run):
        raise CountersignError(f"the flow run ended {state.name} and judged nothing: {state.message}", fix="see `countersign runs`")
    return replace(run_evidence.earlier(programme.evidence.store, run), repeated=had)


def applied(programme: Programme, plan: str, work: Callable[[Tell], Outcome]) -> Outcome:
    """Carry out a plan as a flow run, so that Prefect shows it; the work itself, and all that is secret about it, stays in this process.

    Raises what `work` raises.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from prefect import flow, get_run_logger
    from prefect.client.schemas.objects import State as Ended
    from prefect.client.schemas.objects import StateType

    from flows.telling import to_log

    came: list[Outcome] = []
    refused: list[CountersignError] = []

    @flow(name="offboard-apply", flow_run_name=f"apply {plan}", persist_result=False, validate_parameters=False)
    def offboard_apply(programme: str, plan: str) -> Ended[None]:
        del programme
        try:
            came.append(work(to_log(get_run_logger())))
        except CountersignError as error:
            refused.append(error)
            return Ended(type=StateType.FAILED, name="Refused", message=error.message)
        outcome = came[0]
        whole = outcome.applied.state == "applied" and (outcome.certified is None or outcome.certified.state == "complete")
        message = f"{plan} {outcome.applied.state}, evidence {outcome.applied.evidence}"
        kind, name = (StateType.COMPLETED, "Completed") if whole else (StateType.FAILED, "Incomplete")
        return Ended(type=kind, name=name, message=message)

    state = offboard_apply(str(programme.folder), plan, return_state=True)
    if refused:
        raise refused[0]
    if not came:
        raise CountersignError(f"the flow run ended {state.name}: {state.message}", fix="see `countersign offboard status`")
    return came[0]
