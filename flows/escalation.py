"""Tells people that agreed times run out, every few minutes, and each morning what is theirs."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State, StateType

from countersign.errors import CountersignError
from countersign.notices import digest
from countersign.notices.escalation import escalate
from countersign.programme import load
from countersign.state import StateBusyError


@flow(name="escalation", flow_run_name="tell what runs out", persist_result=False, validate_parameters=True)
def escalation(programme: str) -> State[None]:
    """Tell whoever has not been told yet of each step of a ladder that is reached; what did not get through is tried again by the next run.

    Args:
        programme: The programme folder, as the worker sees it.

    """
    log = get_run_logger()
    try:
        done = escalate(load(Path(programme)), lambda: datetime.now(UTC))
    except StateBusyError as error:
        return State(type=StateType.COMPLETED, message=f"nothing was done: {error.message}")
    for trouble in (*(message.error for message in done.failed), *done.troubles):
        log.warning("%s", trouble)
    said = (
        f"{len(done.told)} told, {len(done.failed)} not, {done.later} comments later, {len(done.unreachable)} steps with nobody to tell, "
        f"{done.unclear} findings of which nobody knows what was agreed, {len(done.troubles)} plans not read"
    )
    return State(type=StateType.COMPLETED, message=said) if done.ok else State(type=StateType.FAILED, name="Not told", message=said)


@flow(name="owner-digest", flow_run_name="tell owners what is theirs", persist_result=False, validate_parameters=True)
def owner_digest(programme: str) -> State[None]:
    """Send each accountable person the digest of the day, unless they had it.

    Args:
        programme: The programme folder, as the worker sees it.

    """
    log = get_run_logger()
    try:
        sent = digest.send(load(Path(programme)), lambda: datetime.now(UTC))
    except CountersignError as error:
        return State(type=StateType.FAILED, name="Not told", message=str(error))
    lost = [each for each in sent if each.state in {"failed", "no address"}]
    for each in lost:
        log.warning("%s: %s", each.digest.person.ref, each.why)
    said = f"{sum(each.state == 'told' for each in sent)} told, {len(lost)} not"
    return State(type=StateType.FAILED, name="Not told", message=said) if lost else State(type=StateType.COMPLETED, message=said)
