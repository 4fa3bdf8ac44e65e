"""Wakes the offboardings whose approval has come: looks at all that lies on file, however it got there."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import resume_flow_run

from countersign.errors import CountersignError
from countersign.offboarding import folder, process, waiting
from countersign.programme import load


@flow(name="approval-watch", flow_run_name="look for approvals", persist_result=False, validate_parameters=True)
def approval_watch(programme: str) -> State[None]:
    """Resume each suspended offboarding whose plan is approved, or was declined; it checks the approval itself once more.

    Args:
        programme: The programme folder, as the worker sees it.

    """
    log = get_run_logger()
    loaded = load(Path(programme))
    woken: list[str] = []
    trouble = list(process.look_at_waiting(loaded, datetime.now(UTC))[1])
    for plan in folder.plans(loaded):
        run = waiting.run_of(loaded, plan.id)
        if run is None:
            continue
        try:
            decision = process.decision(loaded, plan, datetime.now(UTC))
            if (decision.holds or decision.declined) and wake(run):
                woken.append(plan.id)
        except CountersignError as error:
            trouble.append(f"{plan.id}: {error.message}")
    for each in trouble:
        log.warning("%s", each)
    message = f"{len(woken)} woken{': ' + ', '.join(woken) if woken else ''}"
    if trouble:
        return State(type=StateType.FAILED, name="Failed", message=f"{message}; {'; '.join(trouble)}")
    return State(type=StateType.COMPLETED, message=message)


def wake(run: str) -> bool:
    """Resume a flow run that is suspended; False: it is not, or it is gone."""
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(run)).state
    except ObjectNotFound:
        return False
    if state is None or not state.is_paused():
        return False
    resume_flow_run(UUID(run))
    return True
