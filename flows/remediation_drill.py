"""The drill of revocation, month by month: made and found, suspended until its plan is approved, revoked, verified, removed."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run

from countersign.clock import stamp
from countersign.drill import remediation
from countersign.drill.outcome import Result
from countersign.errors import CountersignError
from countersign.offboarding import folder, waiting
from countersign.programme import Programme, load
from flows.telling import to_log


@flow(name="remediation-drill", flow_run_name="drill", persist_result=False, validate_parameters=True)
def remediation_drill(programme: str) -> State[None]:
    """Make identities in the scopes set aside, find them, plan against them, suspend until that is approved, then revoke and remove them.

    Resuming it by hand approves nothing. Ends Completed where the drill passed, red as `Failed` where it did not, as `Refused` where
    none could begin. The secrets of the identities are in memory alone, so a drill that was suspended cannot show that they are refused.

    Args:
        programme: The programme folder, as the worker sees it.

    """
    log = get_run_logger()
    loaded = load(Path(programme))
    context = FlowRunContext.get()
    run = None if context is None or context.flow_run is None else str(context.flow_run.id)
    before = None if run is None else waiting.plan_of(loaded, run)
    try:
        result = remediation.drill(loaded, go_on=before, tell=to_log(log))
        if result.state == "waits" and result.plan is not None:
            log.info("%s", result.why)
            _wait(loaded, result.plan, run)
    except CountersignError as error:
        if before is not None:
            waiting.forget(loaded, before)
        return State(type=StateType.FAILED, name="Refused", message=str(error))
    if result.plan is not None:
        waiting.forget(loaded, result.plan)
    _point(result)
    message = f"drill {result.drill} {result.state}{'' if result.why is None else f': {result.why}'}"
    if result.state == "passed":
        return State(type=StateType.COMPLETED, message=message)
    return State(type=StateType.FAILED, name="Failed", message=message)


def _wait(programme: Programme, plan: str, run: str | None) -> None:
    """Suspend until somebody wakes the run: `countersign approve`, the deployment approval-watch, or a person by hand."""
    if run is not None:
        waiting.remember(programme, plan, run)
    found, now = folder.find(programme, plan), datetime.now(UTC)
    create_markdown_artifact(
        key="remediation-drill",
        description=f"A drill waits for the approval of plan {plan}",
        markdown=(
            f"# A drill waits for approval\n\nPlan `{plan}`, digest `sha256:{found.digest()}`, {len(found.steps)} changes, on identities "
            f"that were made for it. It takes one of: {', '.join(found.approvers)}. Approve it with\n\n"
            f"    countersign approve {plan} --as PERSON --key FILE -p {programme.folder}\n"
        ),
    )
    # A key of its own each time: with the same one Prefect takes a second suspension for the first, and goes on.
    suspend_flow_run(timeout=max(60, int((found.expires - now).total_seconds())), key=f"{plan}-{stamp(now)}")


def _point(result: Result) -> None:
    rows = "".join(f"| {step.step} | {step.as_json()['state']} | {step.seconds} |\n" for step in result.steps)
    evidence = "" if result.evidence is None else f"\nEvidence: `{result.evidence}`\n"
    create_markdown_artifact(
        key="remediation-drill",
        description=f"Drill {result.drill}: {result.state}",
        markdown=f"# Drill {result.drill}: {result.state}\n\n| step | state | seconds |\n|---|---|---|\n{rows}{evidence}",
    )
