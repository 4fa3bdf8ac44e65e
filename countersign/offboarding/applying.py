"""Applies a plan: approved and unchanged, intent sealed, step by step with a look before and after, and what came of it sealed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from countersign import entry
from countersign.clock import stamp
from countersign.finding import inert
from countersign.offboarding import broken_glass as glasses
from countersign.offboarding import folder
from countersign.offboarding.applied import KIND, Applied, Done
from countersign.offboarding.deciding import INTENT, check_able, check_not_declined, decided
from countersign.offboarding.journal import SETTLED, Followed, Journal, Run
from countersign.offboarding.plan import PlanError, drift
from countersign.offboarding.stepping import PATIENCE, Hands, Pace, attempt, carry_out, differences
from countersign.revocation import RevocationError
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from countersign.evidence.store import Sealed
    from countersign.offboarding.broken_glass import BrokenGlass
    from countersign.offboarding.deciding import Decision
    from countersign.offboarding.journal import PlanState, Step
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme
    from countersign.revocation import Change, Phase, Tried

_TAKEN_BACK: tuple[Phase, ...] = ("disable", "delete")
"""Phases of the steps that a plan of the phase `restore` takes back."""


def apply(  # noqa: PLR0913 - the plan, who decides, and the world outside
    programme: Programme,
    plan: Plan,
    decide: Callable[[Plan, datetime], Decision],
    replan: Callable[[Plan], Plan],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    tell: Callable[[str], None] = lambda _line: None,
    patience: timedelta = PATIENCE,
    proofs: Mapping[str, bytes] | None = None,
    secrets: Mapping[str, str] | None = None,
    broken_glass: BrokenGlass | None = None,
) -> Applied:
    """Make the changes of a plan, or go on where an earlier run of it stopped or died.

    `decide` says who approved it, as of a time; `replan` asks the plan's question again (not asked of a restore, whose steps are looked
    at instead). `proofs` are further files of approvals (name to content) for the ledger, read after `decide`; `secrets` are old
    credentials (uid to secret) that are tried once all is done, and kept nowhere. `broken_glass`: act before there is an approval, and
    only on what can be taken back.

    Returns what came of it, `applied` or `incomplete`, sealed in the ledger either way. Raises PlanError where it is refused, with every
    reason: then nothing was written by this call. Raises StateBusyError while another plan is applied, EvidenceError where the ledger
    cannot be written: start it again, and it goes on.
    """
    with State(programme.state) as state, state.lock(f"offboard apply {plan.id} (pid {os.getpid()})", clock(), "offboarding"):
        journal, held = Journal(state.engine), folder.ledger(programme)
        folder.check_sealed(programme, plan, held)
        journal.planned(plan)
        _check_remembered(plan, journal, held)
        work = _Work(programme, plan, journal, Pace(clock, sleep, patience), tell, dict(secrets or {}), held)
        dead = work.dead()
        if dead is not None:
            done = work.put_on_file(dead)
            if done is not None and done.state == "applied":
                return done
            dead = dead if done is None else None
        try:
            run, digests = work.allowed(decide, replan, broken_glass)
        except PlanError as error:
            if dead is not None:
                work.conclude(dead, f"the process ended, and going on was refused: {error.message}")
            raise
        if dead is not None and _approval(dead) != _approval(run):
            # What it did, it did under the approval of its own intent; what is done now, under another.
            work.conclude(dead, "the process ended; another run goes on with other approvals")
            run = work.numbered(run)
        broken = None if run.broken_glass is None else broken_glass
        owed = None if broken is None else glasses.debt(programme, plan, broken, run.began_at)
        run = journal.begin(run, digests, owed)
        work.seal_intent(run, broken, proofs)
        if owed is None:
            journal.settle(plan.id, digests, run.approvers, clock())
        work.make(run)
        return work.conclude(run, None)


def _check_remembered(plan: Plan, journal: Journal, held: tuple[folder.Held, ...]) -> None:
    """Refuse a plan of which the ledger knows a run that the state database has forgotten, and with it which approvals were used."""
    known = {run.run for run in journal.runs(plan.id)}
    begun = {str(each.said["apply"]) for each in held if each.said.get("plan") == plan.id and each.said.get("apply")}
    if begun - known:
        raise PlanError(
            f"plan {plan.id} was begun, as the ledger says, and the state database knows nothing of it",
            fix="put the newest state database back, or make a new plan",
        )


def _approval(run: Run) -> tuple[tuple[str, ...], str | None]:
    return run.approvers, None if run.broken_glass is None else str(run.broken_glass["statement"])


@dataclass(frozen=True, slots=True)
class _Work:
    """One plan under the lock."""

    programme: Programme
    plan: Plan
    journal: Journal
    pace: Pace
    tell: Callable[[str], None]
    secrets: dict[str, str]
    held: tuple[folder.Held, ...]
    """What the ledger held when we began."""

    def dead(self) -> Run | None:
        """Return the run whose process died, since we hold the lock; None: there is none."""
        return next((run for run in self.journal.runs(self.plan.id) if run.ended_at is None), None)

    def put_on_file(self, dead: Run) -> Applied | None:
        """End a dead run that had only its ending to do; None: it has steps to make."""
        held = folder.latest(self.held, KIND, "apply", dead.run)
        if held is not None:
            state: PlanState = "applied" if held.said["state"] == "applied" else "incomplete"
            return self._finish(self._applied(dead, state, None, ()), held.sealed)
        if all(step.state in SETTLED for step in self.journal.steps(self.plan.id).values()):
            return self.conclude(dead, None)
        return None

    def allowed(
        self, decide: Callable[[Plan, datetime], Decision], replan: Callable[[Plan], Plan], glass: BrokenGlass | None
    ) -> tuple[Run, tuple[str, ...]]:
        """Return the run that may begin and the digests of its approvals. Raises PlanError with the reasons why none may."""
        plan, journal, now = self.plan, self.journal, self.pace.clock()
        state = journal.state(plan.id)
        if state is not None:
            if state[0] == "planned" and plan.expires <= now:
                journal.set_state(plan.id, "expired")
            check_able(plan, state, now)
        run = self.numbered(Run("", plan.id, 0, now, None, None, (), None, None, None, None))
        decision = decide(plan, now)
        check_not_declined(plan, decision)
        try:
            decision = decided(plan, decision, journal.used(but=plan.id))
        except PlanError:
            if glass is None:
                raise
            digests: tuple[str, ...] = (glass.digest,)
            run = self._unapproved(run, glass, now)
        else:
            digests = tuple(decision.digests)
            run = replace(run, approvers=tuple(decision.approvers), approved_at=decision.decided_at)
        self.tell("approved; looking whether everything is still as planned")
        made = frozenset(step.step for step in journal.steps(plan.id).values() if step.may_be_made)
        found = self._drifted(replan, made)
        if found:
            said = f"plan {plan.id} does not fit any more: " + "; ".join(found)
            raise PlanError(said, fix="make a new plan, and have that one approved")
        self._demand_two_identities(made)
        return run, digests

    def _demand_two_identities(self, made: frozenset[str]) -> None:
        """Refuse (PlanError) before anything is written where nobody could revoke, or the reader would; an emergency goes on elsewhere."""
        if self.plan.asked.emergency:
            return
        wrong = []
        with self._hands() as hands:
            for source, scope in dict.fromkeys((change.source, change.scope) for change in self.plan.steps if change.id not in made):
                try:
                    reader, writer = hands.who(source, scope)
                except RevocationError as error:
                    wrong.append(f"{source} {scope}: {error.message}")
                    continue
                # A stand-in without callers knows nobody; any provider knows who asks.
                if reader == writer != "anonymous":
                    wrong.append(f"{source} {scope}: {inert(writer)} both reads and revokes")
        if wrong:
            fix = "give this command the credentials of the identity that revokes; `countersign doctor --revoking` tries them"
            raise PlanError(f"plan {self.plan.id} cannot be carried out here: " + "; ".join(wrong), fix=fix)

    def numbered(self, run: Run) -> Run:
        """Give a run that has not begun the next number of its plan."""
        number = len(self.journal.runs(self.plan.id)) + 1
        return replace(run, run=f"apply-{self.plan.id}-{number}", number=number)

    def _unapproved(self, run: Run, glass: BrokenGlass, now: datetime) -> Run:
        why = glasses.refused(self.programme, self.plan, glass, now)
        if why is None and glass.digest in self.journal.used(but=self.plan.id):
            why = "it was used already"
        before = next((debt for debt in self.journal.debts() if debt.plan == self.plan.id), None)
        owed = before or glasses.debt(self.programme, self.plan, glass, now)
        if why is None and owed.settled_at is not None:
            why = "it was broken for this plan once, and that is settled"
        if why is not None:
            raise PlanError(f"the glass is not broken: {why}", fix="have the plan approved")
        said = {"by": glass.by, "reason": glass.reason, "statement": glass.digest, "owedUntil": stamp(owed.owed_until)}
        return replace(run, broken_glass=said)

    def _drifted(self, replan: Callable[[Plan], Plan], made: frozenset[str]) -> tuple[str, ...]:
        if self.plan.asked.phase != "restore":
            return tuple(drift(self.plan, replan(self.plan), made))
        with self._hands() as hands:
            return differences(self.plan, hands, made)

    def seal_intent(self, run: Run, glass: BrokenGlass | None, proofs: Mapping[str, bytes] | None) -> None:
        """Put on record what is about to be done, once for each run."""
        if folder.latest(self.held, INTENT, "apply", run.run) is not None:
            return
        plan, digests = self.plan, self.journal.used_by(self.plan.id)
        files = {folder.FILE: plan.document(), **self._approvals(), **(proofs or {})}
        if glass is not None:
            files |= {"break-glass.json": glass.statement, "break-glass.sig": glass.signature.encode()}
        said = {
            "partner": plan.asked.partner, "plan": plan.id, "digest": plan.digest(), "phase": plan.asked.phase, "apply": run.run,
            "approvers": list(run.approvers), "approvals": list(digests),
            "brokenGlass": None if run.broken_glass is None else dict(run.broken_glass),
        }  # fmt: skip
        entry.seal(self.programme, INTENT, files, said, clock=self.pace.clock)

    def make(self, run: Run) -> None:
        """Make the steps that are not made, in order; the first failure ends it, in an emergency only for its own scope."""
        plan, journal = self.plan, self.journal
        with self._hands() as hands:
            lost: set[tuple[str, str]] = set()
            touched: set[tuple[str, str]] = set()
            for number, change in enumerate(plan.steps, 1):
                place, step = (change.source, change.scope), journal.step(plan.id, change.id)
                if step.state in SETTLED:
                    touched.add(place)
                    continue
                if place in lost or (run.broken_glass is not None and not glasses.may_do(change)):
                    continue
                self.tell(f"{number} of {len(plan.steps)}: {inert(change.says)}")
                carry_out(change, step, hands, journal, self.pace, plan=plan.id, others=place in touched)
                came = journal.step(plan.id, change.id)
                if came.state in SETTLED:
                    touched.add(place)
                    continue
                self.tell(f"not done: {inert(came.why or 'nobody knows why')}")
                lost.add(place)
                if not plan.asked.emergency:
                    break

    def conclude(self, run: Run, why: str | None) -> Applied:
        """Seal what came of a run and end it."""
        steps = self.journal.steps(self.plan.id)
        state: PlanState = "applied" if all(step.state in SETTLED for step in steps.values()) else "incomplete"
        applied = self._applied(run, state, why, self._try() if state == "applied" else ())
        sealed = entry.seal(self.programme, KIND, applied.files(self._approvals()), applied.said(), clock=self.pace.clock)
        return self._finish(applied, sealed)

    def _finish(self, applied: Applied, sealed: Sealed) -> Applied:
        entered = sealed.sequence, sealed.statement_digest
        self.journal.finish(applied.run, applied.state, self.pace.clock(), entered, self._followed(applied))
        run = next(run for run in self.journal.runs(self.plan.id) if run.run == applied.run.run)
        return replace(applied, run=run, evidence=sealed.path, sequence=sealed.sequence, statement_digest=sealed.statement_digest)

    def _followed(self, applied: Applied) -> Followed | None:
        """Say what it means for the plan that this one follows."""
        plan, origin, complete = self.plan, self.plan.asked.follows, applied.state == "applied"
        if origin is None or self.journal.state(origin) is None:
            return None
        if plan.asked.phase == "delete":
            return Followed(origin, (), "deleted" if complete else None)
        if plan.asked.phase != "restore":
            return None
        made = {step.step for step in self.journal.steps(origin).values() if step.state == "made"}
        back = [done.change for done in applied.steps if done.step.state == "made"]
        # A step that is taken back differs from the step itself in its phase alone, as far as its id goes.
        undone = tuple(sorted(made & {replace(change, phase=phase).id for change in back for phase in _TAKEN_BACK}))
        whole = not plan.asked.steps or made == set(undone)
        return Followed(origin, undone, "restored" if complete and whole else None)

    def _applied(self, run: Run, state: PlanState, why: str | None, tried: tuple[tuple[str, Tried, datetime], ...]) -> Applied:
        steps, runs = self.journal.steps(self.plan.id), self.journal.runs(self.plan.id)
        owed = next((debt.owed_until for debt in self.journal.debts() if debt.plan == self.plan.id and debt.settled_at is None), None)
        return Applied(
            plan=self.plan, run=run, state=state, steps=tuple(Done(change, self._told(change, run, steps)) for change in self.plan.steps),
            digests=self.journal.used_by(self.plan.id), earlier=next((one for one in runs if one.number == run.number - 1), None), why=why,
            tried=tried, owed_until=owed, evidence=None, sequence=None, statement_digest=None,
        )  # fmt: skip

    def _told(self, change: Change, run: Run, steps: Mapping[str, Step]) -> Step:
        step = steps[change.id]
        if step.state == "pending" and run.broken_glass is not None and not glasses.may_do(change):
            return replace(step, why="it cannot be taken back, so it waits for the approval")
        if step.state == "pending":
            return replace(step, why="it was not begun, since a step before it failed")
        return replace(step, why="the process ended before it was seen whether it was made") if step.state == "intended" else step

    def _try(self) -> tuple[tuple[str, Tried, datetime], ...]:
        """Try the old credentials that were given, each in the scope of its holding."""
        places = {holding.uid: (holding.source, holding.scope) for holding in self.plan.holdings}
        mine = sorted(self.secrets.keys() & places.keys())
        with self._hands() as hands:
            return tuple((uid, attempt(hands, places[uid], uid, self.secrets[uid]), self.pace.clock()) for uid in mine)

    def _hands(self) -> Hands:
        return Hands(self.programme, self.plan.id, self.pace.clock)

    def _approvals(self) -> dict[str, bytes]:
        return dict(folder.proofs(folder.approvals(self.programme, self.plan), self.journal.used_by(self.plan.id)))
