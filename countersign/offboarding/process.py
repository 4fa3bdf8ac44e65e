"""The whole way of a plan: made, decided on, carried out, looked at again, certified; the same for the terminal, the flow and a drill."""

from __future__ import annotations

import secrets as chance
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.offboarding import applying, certificate, folder, planning, tickets
from countersign.offboarding.approvals import evidence, facts, given
from countersign.offboarding.broken_glass import settle_debt
from countersign.offboarding.journal import Journal, question
from countersign.offboarding.plan import DECIDED_UNDER, Plan, PlanError
from countersign.offboarding.record import gather
from countersign.offboarding.restoring import restore
from countersign.offboarding.verifying import verify
from countersign.register.approvals import decide, may_approve
from countersign.results import silent
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from countersign.approval.proofs import Decision, Proof
    from countersign.offboarding.applied import Applied
    from countersign.offboarding.broken_glass import BrokenGlass
    from countersign.offboarding.certificate import Certified
    from countersign.offboarding.plan import Asked
    from countersign.offboarding.verifying import Attempt
    from countersign.programme import Programme
    from countersign.results import Tell


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of carrying out a plan."""

    applied: Applied
    certified: Certified | None
    """None: nothing ended, so there is nothing to certify (a restore, or a plan of which no step was made)."""


def now() -> datetime:
    """Return the time (UTC)."""
    return datetime.now(UTC)


def make(programme: Programme, asked: Asked, *, clock: Callable[[], datetime] = now, tell: Tell = silent) -> Plan:
    """Plan what is asked; nothing is written. Raises PlanError for what cannot be planned yet, or at all."""
    if asked.phase == "disable":
        return planning.make(programme, asked, clock=clock, tell=tell)
    planning.demand(programme, asked)
    if asked.follows is None:
        raise PlanError(
            f"to {asked.phase} needs the plan that switched it off", fix="name that plan: `countersign offboard status` lists them"
        )
    origin = folder.find(programme, asked.follows)
    if asked.phase == "restore":
        moment = clock().replace(microsecond=0)
        approvers = may_approve(programme.register, DECIDED_UNDER[asked.trigger], asked.requested_by)
        return restore(
            programme, origin, plan_id=f"{asked.partner}-{moment:%Y%m%dt%H%M%Sz}-{chance.token_hex(3)}", requested_by=asked.requested_by,
            reason=asked.reason, approvers=approvers, needed=1, now=moment, steps=asked.steps,
        )  # fmt: skip
    off = _switched_off(programme, origin)
    until = off + programme.register.revocation.watch
    if clock() < until:
        days = programme.register.revocation.watch // timedelta(days=1)
        raise PlanError(
            f"what plan {origin.id} switched off on {stamp(off)} is watched for {days} days, until {stamp(until)}",
            fix="delete it then, or shorten `revocation: {watch: ...}` in register/customer.yaml",
        )
    return planning.make(programme, asked, like=origin, used_after=off, clock=clock, tell=tell)


def keep(programme: Programme, plan: Plan, *, clock: Callable[[], datetime] = now, tell: Tell = silent) -> Plan:
    """Seal a plan, put it on file, where it can be approved, and open its approval tickets; returns it.

    A desk that cannot be reached holds nothing up: it is told, and asked again when the plan is looked at.
    """
    for trouble in look_at_waiting(programme, clock(), plan)[1]:  # nobody looks any more at one whose place this plan takes
        tell(trouble)
    folder.keep(programme, plan, clock=clock)
    try:
        tickets.ask(programme, plan, clock=clock)
    except CountersignError as error:
        tell(f"no approval ticket was opened: {error.message}")
    return plan


def decision(programme: Programme, plan: Plan, at: datetime, more: Sequence[Proof] = ()) -> Decision:
    """Say who approved a plan as of a time (UTC, the present), by all that lies on file or at the desk, and by `more`."""
    return _decided(programme, plan, at, (*_proofs(programme, plan), *more))


def look(programme: Programme, plan: Plan, at: datetime) -> Decision:
    """Say what `decision` says, and put on file that somebody looked, and what is decided: from then on nobody is waited for.

    What could not be read, such as a ticket, is no proof, so that is a look that found none.
    """
    made = decision(programme, plan, at)
    with State(programme.state) as state:
        Journal(state.engine).looked(plan.id, "declined" if made.declined else "given" if made.holds else None, made.decided_at, at)
    return made


def look_at_waiting(
    programme: Programme, at: datetime, like: Plan | None = None, *, note: bool = True
) -> tuple[tuple[tuple[Plan, Decision], ...], tuple[str, ...]]:
    """Look at each plan that could be begun at `at` (UTC, the present) if it were approved; returns each decision, and what cannot be read.

    `like`: only at those that ask what this one asks, which takes their place; None: at all. `note`: as `look` does, since the partner's
    time stands still while a decision is owed, so that whoever reads clocks has to know what is decided; otherwise nothing is written.
    """
    try:
        plans = folder.plans(programme)
        if not plans:
            return (), ()
        with State(programme.state) as state:
            states = Journal(state.engine).states()
    except CountersignError as error:
        return (), (f"the plans cannot be read: {error.message}",)
    found, troubles = [], []
    for plan in plans:
        if states.get(plan.id) == "planned" and at < plan.expires and (like is None or question(plan) == question(like)):
            try:
                found.append((plan, look(programme, plan, at) if note else decision(programme, plan, at)))
            except CountersignError as error:
                troubles.append(f"plan {plan.id}: {error.message}")
    return tuple(found), tuple(troubles)


def _proofs(programme: Programme, plan: Plan) -> tuple[Proof, ...]:
    return (*given(programme, plan), *tickets.proofs(programme, plan))


def _judge(programme: Programme) -> tuple[Callable[[Plan, datetime], Decision], dict[str, bytes]]:
    """Return what decides on a plan, and the files that show what counted, which are there once it has decided."""
    counted: dict[str, bytes] = {}

    def judged(plan: Plan, at: datetime) -> Decision:
        proofs = _proofs(programme, plan)
        made = _decided(programme, plan, at, proofs)
        counted.update(evidence(proofs, made))
        return made

    return judged, counted


def _decided(programme: Programme, plan: Plan, at: datetime, proofs: Sequence[Proof]) -> Decision:
    with State(programme.state) as state:
        used = Journal(state.engine).used(but=plan.id)
    return decide(facts(plan), proofs, programme.register, at=at, used=used)


def carry_out(  # noqa: PLR0913 - the plan, and the world outside
    programme: Programme,
    plan: Plan,
    *,
    secrets: Mapping[str, str] | None = None,
    broken_glass: BrokenGlass | None = None,
    clock: Callable[[], datetime] = now,
    sleep: Callable[[float], None] = time.sleep,
    tell: Tell = silent,
) -> Outcome:
    """Apply an approved plan, read everything again, and certify what has ended.

    `secrets`: old credentials by the uid of their holding, to prove that they are refused; kept nowhere. Raises PlanError where it is
    refused (then nothing was written), StateBusyError while another is applied, EvidenceError.
    """
    judged, counted = _judge(programme)
    applied = applying.apply(
        programme, plan, judged, lambda each: again(programme, each, clock=clock, tell=tell),
        clock=clock, sleep=sleep, tell=tell, proofs=counted, secrets=secrets, broken_glass=broken_glass,
        patience=programme.register.revocation.patience,
    )  # fmt: skip
    _tell_desk(programme, plan, f"Plan {plan.id} is {applied.state}; evidence {applied.evidence}.", clock, tell, over=not applied.left)
    begun = any(done.step.attempts or done.settled for done in applied.steps)
    if plan.asked.phase == "restore" or not begun:
        return Outcome(applied, None)
    return Outcome(applied, certify(programme, plan, applied.tried, clock=clock, tell=tell))


def settle(programme: Programme, plan: Plan, *, clock: Callable[[], datetime] = now) -> bool:
    """Take the approval that is owed for a break-glass; False: nothing is owed. Raises PlanError where what is on file does not count."""
    judged, counted = _judge(programme)
    return settle_debt(programme, plan, judged, clock=clock, proofs=counted)


def again(programme: Programme, plan: Plan, *, clock: Callable[[], datetime] = now, tell: Tell = silent) -> Plan:
    """Ask a plan's question again, of everything as it is now. Raises PlanError where the answer must not be acted on."""
    used_after = None
    if plan.asked.phase == "delete" and plan.asked.follows is not None:
        used_after = _switched_off(programme, folder.find(programme, plan.asked.follows))
    fresh = planning.make(programme, plan.asked, like=plan, used_after=used_after, clock=clock, tell=tell)
    stops = [note.said for note in fresh.noted if note.level == "stop"]
    if stops:
        raise PlanError(f"plan {plan.id} must not be applied any more: {'; '.join(stops)}", fix="settle that, and make a new plan")
    return fresh


def certify(
    programme: Programme, plan: Plan, attempts: tuple[Attempt, ...] = (), *, clock: Callable[[], datetime] = now, tell: Tell = silent
) -> Certified:
    """Read everything again with the reading identity, say of each thing what is left of it, and seal that as a certificate."""

    def look(asked: Plan) -> Plan:
        return planning.make(programme, asked.asked, like=asked, clock=clock, tell=tell)

    verified = verify(programme, plan, look, attempts, clock=clock, tell=tell)
    return certificate.certify(programme, plan, gather(programme, plan), verified, clock=clock)


def _tell_desk(programme: Programme, plan: Plan, said: str, clock: Callable[[], datetime], tell: Tell, *, over: bool) -> None:  # noqa: PLR0913 - a message and its surroundings
    try:
        tickets.tell(programme, plan, said, clock=clock, over=over)
    except CountersignError as error:
        tell(f"the approval ticket was not told: {error.message}")


def _switched_off(programme: Programme, origin: Plan) -> datetime:
    """Return when a plan was wholly carried out. Raises PlanError where it was not."""
    with State(programme.state) as state:
        journal = Journal(state.engine)
        held = journal.state(origin.id)
        ended = [run.ended_at for run in journal.runs(origin.id) if run.state == "applied" and run.ended_at is not None]
    if held is None or held[0] != "applied" or not ended:
        said = "not carried out" if held is None else held[0]
        raise PlanError(f"plan {origin.id} is {said}: only what was switched off wholly can be deleted", fix="apply that plan first")
    return max(ended)
