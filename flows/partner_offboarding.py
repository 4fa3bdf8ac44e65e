"""Offboarding a partner: plan, wait for the customer's approval without holding a worker, carry out, certify."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from pydantic import Field

from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.offboarding import folder, process, waiting
from countersign.offboarding.plan import Asked, Plan
from countersign.offboarding.process import Outcome
from countersign.programme import Programme, load
from flows.telling import to_log


@flow(name="partner-offboarding", flow_run_name="offboard {partner}", persist_result=False, validate_parameters=True)
def partner_offboarding(  # noqa: PLR0913, PLR0917 - one parameter for each thing that may be asked for
    programme: str,
    partner: str,
    requested_by: str,
    reason: Annotated[str, Field(min_length=1)],
    phase: Literal["disable", "delete"] = "disable",
    trigger: Literal["by-hand", "contract-end", "incident", "inactivity", "missed-sla"] = "by-hand",
    emergency: bool = False,  # noqa: FBT001, FBT002 - Prefect gives parameters by name
    only: list[str] | None = None,
    without: dict[str, str] | None = None,
    follows: str | None = None,
    plan: str | None = None,
) -> State[None]:
    """Plan the end of a partner's access, suspend until it is approved, then carry it out and certify it.

    An approval is proved by what lies beside the plan, in the register's repository or in the tracker, and checked when the run goes on:
    resuming it by hand approves nothing, and it suspends again. Ends Completed where everything has ended, red as `Incomplete` where
    something is left, as `Refused` where it must not be carried out.

    Args:
        programme: The programme folder, as the worker sees it.
        partner: Id of the partner in the register.
        requested_by: Who asks: the id of a person of the customer's, who cannot approve it then.
        reason: Why, for whoever approves it.
        phase: Switch off, or delete what an earlier plan switched off.
        trigger: What led to it; it names the control whose accountable people decide.
        emergency: Only what is reversible and ends access at once.
        only: Uids of identities. Empty: all that is the partner's.
        without: Uid of an identity or credential that stays, to why.
        follows: The plan whose disabled things are deleted.
        plan: Id of a plan on file to carry out, such as one that a night prepared. Empty: make one.

    """
    log = get_run_logger()
    loaded = load(Path(programme))
    try:
        asked = Asked(
            partner=partner, phase=phase, trigger=trigger, requested_by=requested_by, reason=reason, only=tuple(only or ()),
            without=tuple(sorted((without or {}).items())), emergency=emergency, follows=follows or None,
        )  # fmt: skip
        made = _plan_of_this_run(loaded, asked, plan)
        now = datetime.now(UTC)
        decision = process.decision(loaded, made, now)
        if decision.declined:
            return State(type=StateType.FAILED, name="Declined", message=f"{made.id} was declined by {', '.join(decision.declined)}")
        if not decision.holds:
            log.info("plan %s waits for approval until %s: %s", made.id, stamp(made.expires), "; ".join(decision.refused))
            left = int((made.expires - now).total_seconds())
            # A key of its own each time: with the same one Prefect takes a second suspension for the first, and goes on.
            suspend_flow_run(timeout=max(60, left), key=f"{made.id}-{stamp(now)}")
        outcome = process.carry_out(loaded, made, tell=to_log(log))
    except CountersignError as error:
        return State(type=StateType.FAILED, name="Refused", message=str(error))
    waiting.forget(loaded, made.id)
    _point(made, outcome)
    certified = outcome.certified
    message = f"{made.id} {outcome.applied.state}, certificate {None if certified is None else f'{certified.state} {certified.digest}'}"
    whole = outcome.applied.state == "applied" and (certified is None or certified.state == "complete")
    return State(type=StateType.COMPLETED, message=message) if whole else State(type=StateType.FAILED, name="Incomplete", message=message)


def _plan_of_this_run(programme: Programme, asked: Asked, named: str | None) -> Plan:
    """Return the plan that this flow run waits with, since a resumed run begins anew; else the one that is named, else a new one."""
    context = FlowRunContext.get()
    run = None if context is None or context.flow_run is None else str(context.flow_run.id)
    before = None if run is None else waiting.plan_of(programme, run)
    if before is not None:
        return folder.find(programme, before)
    made = folder.find(programme, named) if named else process.keep(programme, process.make(programme, asked))
    if run is not None:
        waiting.remember(programme, made.id, run)
    create_markdown_artifact(
        key="partner-offboarding",
        description=f"Plan {made.id}",
        markdown=(
            f"# Plan {made.id}\n\n{len(made.steps)} changes, {sum(not step.reversible for step in made.steps)} of them cannot be taken "
            f"back; {len(made.left)} things no change takes away, {len(made.undecided)} undecided, {len(made.unread)} scopes not read.\n\n"
            f"Digest `sha256:{made.digest()}`\n\nIt takes {made.needed} of: {', '.join(made.approvers) or 'nobody'}. Approve it with\n\n"
            f"    countersign approve {made.id} --as PERSON --key FILE -p {programme.folder}\n"
        ),
    )
    return made


def _point(made: Plan, outcome: Outcome) -> None:
    certified = outcome.certified
    create_markdown_artifact(
        key="partner-offboarding",
        description=f"Plan {made.id}: {outcome.applied.state}",
        markdown=(
            f"# Plan {made.id}: {outcome.applied.state}\n\nEvidence: `{outcome.applied.evidence}`\n\n"
            + ("" if certified is None else f"Certificate: {certified.state}, `{certified.path.name}`, `{certified.digest}`\n\n")
            + "".join(f"- {count} {state}\n" for state, count in outcome.applied.counts.items())
        ),
    )
