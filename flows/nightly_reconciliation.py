"""The nightly reconciliation: read every scope, judge, plan, act, record."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from countersign.clock import stamp
from countersign.errors import ScopeDeniedError
from countersign.inventory import Reading
from countersign.offboarding.process import look_at_waiting
from countersign.offboarding.triggers import prepare
from countersign.programme import load
from countersign.reading import Scope
from countersign.reconciliation import THREADS, Reconciliation
from flows.telling import slot_of_this_run, tell_prefect, to_log, verdict

# Prefect types its own runners more narrowly than its decorator takes them.
_THREADS: Any = ThreadPoolTaskRunner(max_workers=THREADS)


def worth_another_try(_task: Any, _run: Any, state: State[Any]) -> bool:  # noqa: ANN401 - Prefect's signature
    """Try again whatever failed, but not what the provider refused."""
    return not isinstance(state.data, ScopeDeniedError) and not isinstance(getattr(state.data, "exception", None), ScopeDeniedError)


@task(
    task_run_name="read {scope.provider} {scope.name}",
    retries=2,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_another_try,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def read_scope(run: Reconciliation, scope: Scope) -> Reading:
    """Read one scope into the run's spool; raising is what makes Prefect try again."""
    return run.read(scope)


@flow(
    name="nightly-reconciliation",
    flow_run_name="reconcile {programme}",
    task_runner=_THREADS,
    persist_result=False,
    validate_parameters=True,
)
def nightly_reconciliation(
    programme: str, as_of: datetime | None = None, sources: list[str] | None = None, slot: str | None = None
) -> State[None]:
    """Run one night of the programme folder at `programme`.

    `as_of`: judge as if it were that time (with a zone); None: now. `sources`: only those; None: all.
    `slot`: what this run is the run of, so that it happens once; None: the scheduled time, or this flow run.
    Ends Completed, or red as `Partial`, `Stopped` or `Failed`; the evidence holds the truth, Prefect only points at it.
    """
    log = get_run_logger()
    loaded = load(Path(programme))
    for trouble in look_at_waiting(loaded, datetime.now(UTC))[1]:
        log.warning("%s", trouble)
    with Reconciliation(loaded, as_of=as_of, slot=slot or slot_of_this_run(), only=sources or (), tell=to_log(log)) as run:
        if run.earlier is not None:
            log.info("slot %s had its run already: %s", run.slot, run.earlier.evidence)
            return verdict(run.earlier)
        scopes, readings = run.scopes()
        todo = f"{len(scopes)} scopes to read"
        progress: Any = create_progress_artifact(progress=0.0, key="nightly-reconciliation-progress", description=todo)
        futures = {read_scope.submit(run, scope): scope for scope in scopes}
        for done, future in enumerate(as_completed(list(futures)), start=1):
            outcome = future.result(raise_on_failure=False)
            readings += (outcome if isinstance(outcome, Reading) else run.settle(futures[future], outcome),)
            update_progress_artifact(progress, progress=100.0 * done / len(scopes))
        judged = run.judge(readings)
        planned = run.plan(judged)
        receipts = run.act(planned)
        result = run.record(judged, planned, receipts)
        tell_prefect(result, planned.transitions)
        if planned.stopped is None:
            prepare(run, judged)
        log.info("as of %s: %s, evidence %s", stamp(result.as_of), result.state, result.evidence)
        return verdict(result)
