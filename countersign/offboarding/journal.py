"""What was done about each plan, in the state database: written before and after every change, so that a killed process repeats nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from countersign.offboarding.plan import PlanError
from countersign.offboarding.tables import approvals_owed, approvals_used, metadata, plan_answers, plan_runs, plan_steps, plans
from countersign.schema import create, writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Engine

    from countersign.offboarding.plan import Plan
    from countersign.revocation import State

Answer = Literal["given", "declined"]
PlanState = Literal["planned", "applying", "incomplete", "applied", "restored", "deleted", "superseded", "expired"]
StepState = Literal["pending", "intended", "made", "found", "failed", "undone"]
MAY_BE_MADE: frozenset[StepState] = frozenset({"intended", "made", "found"})
"""States of steps whose change was made, or may have been."""
SETTLED: frozenset[StepState] = frozenset({"made", "found", "undone"})


@dataclass(frozen=True, slots=True)
class Step:
    """How far one step has come."""

    step: str
    """Its `Change.id`."""
    state: StepState
    """`intended`: it may be made; `found`: it was so when its turn came; `undone`: made, and taken back since."""
    attempts: int
    """How often it was written, or may have been."""
    pre_image: State | None
    """What was seen right before it was written; None: it never was."""
    seen: State | None
    """What was seen last; None: nothing."""
    intended_at: datetime | None
    written_at: datetime | None
    """When the provider answered (UTC); None: it did not, or that was not recorded."""
    verified_at: datetime | None
    reader: str | None
    """Who looked, by the provider's own word."""
    writer: str | None
    why: str | None
    """Why it is not made, or what is to be known of how it was."""
    undone_by: str | None
    """The plan that took it back."""
    refused: bool = False
    """Whether the provider refused the last write, so that it is certain that this was not made."""

    @property
    def may_be_made(self) -> bool:
        """Return whether it is made, or was written and nobody saw what came of that."""
        return self.state in MAY_BE_MADE or (self.attempts > 0 and not self.refused)


@dataclass(frozen=True, slots=True)
class Run:
    """One apply of a plan, which leaves one entry in the ledger."""

    run: str
    plan: str
    number: int
    """Counted from 1."""
    began_at: datetime
    ended_at: datetime | None
    """None: it runs, or its process died."""
    state: PlanState | None
    approvers: tuple[str, ...]
    approved_at: datetime | None
    """When the last approval that it took was given; None: not known to the second."""
    broken_glass: Mapping[str, Any] | None
    """Who acted before there was an approval, and why; None: it was approved."""
    sequence: int | None
    statement_digest: str | None


@dataclass(frozen=True, slots=True)
class Debt:
    """An approval that is owed for a break-glass."""

    plan: str
    partner: str
    by: str
    reason: str
    taken_at: datetime
    owed_until: datetime
    settled_at: datetime | None
    """None: it is still owed."""
    settled_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """An approval that was used."""

    digest: str
    """SHA-256 (hex) of what was given."""
    approver: str | None
    """Whose it is; None: a break-glass, which is no approval."""
    used_at: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """What the end of a run means for the plan that it follows."""

    plan: str
    undone: tuple[str, ...]
    """Its steps that were taken back."""
    state: PlanState | None
    """What it becomes; None: it stays as it is."""


class Journal:
    """The tables of plans in a state database; they are made where they are missing."""

    def __init__(self, engine: Engine) -> None:
        create(engine, metadata)
        self._engine = engine
        self._write = writing(engine)

    def planned(self, plan: Plan) -> None:
        """Enter a plan, once; plans of the same question that nobody has begun are superseded by it, unless it is the older one.

        Raises PlanError as `check_distinct` does.
        """
        check_distinct(plan)
        with self._write.begin() as connection:
            if connection.scalar(sa.select(plans.c.plan).where(plans.c.plan == plan.id)) is not None:
                return
            asks = question(plan)
            same = (plans.c.question == asks) & (plans.c.state == "planned")
            newer = connection.scalar(sa.select(plans.c.plan).where(same, plans.c.made_at > plan.made_at).order_by(plans.c.made_at.desc()))
            if newer is None:
                connection.execute(sa.update(plans).where(same).values(state="superseded", superseded_by=plan.id))
            values = {
                "plan": plan.id, "digest": plan.digest(), "partner": plan.asked.partner, "question": asks, "made_at": plan.made_at,
                "state": "planned" if newer is None else "superseded", "superseded_by": newer,
            }  # fmt: skip
            connection.execute(sa.insert(plans).values(values))
            if plan.steps:
                blank = {"plan": plan.id, "state": "pending", "attempts": 0}
                whole = {held.uid for held in plan.holdings if held.whole and held.what in {"identity", "credential"}}
                rows = [
                    blank
                    | {"step": change.id, "position": position, "takes": json.dumps(sorted(whole.intersection(change.takes)))}
                    | {"lasts_s": None if change.residual is None else change.residual.seconds}
                    for position, change in enumerate(plan.steps)
                ]
                connection.execute(sa.insert(plan_steps), rows)

    def state(self, plan: str) -> tuple[PlanState, str | None] | None:
        """Return a plan's state and what it was superseded by; None: it is not in the journal."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(plans.c.state, plans.c.superseded_by).where(plans.c.plan == plan)).first()
        return None if row is None else (row.state, row.superseded_by)

    def states(self) -> dict[str, PlanState]:
        """Return the state of every plan."""
        with self._engine.connect() as connection:
            return {row.plan: row.state for row in connection.execute(sa.select(plans.c.plan, plans.c.state).order_by(plans.c.plan))}

    def set_state(self, plan: str, state: PlanState) -> None:
        """Set a plan's state."""
        with self._write.begin() as connection:
            connection.execute(sa.update(plans).where(plans.c.plan == plan).values(state=state))

    def supersede(self, plan: str, by: str) -> None:
        """Let a plan that nobody has begun be superseded by another."""
        with self._write.begin() as connection:
            waits = (plans.c.plan == plan) & (plans.c.state == "planned")
            connection.execute(sa.update(plans).where(waits).values(state="superseded", superseded_by=by))

    def looked(self, plan: str, answer: Answer | None, given: datetime | None, now: datetime) -> None:
        """Record that somebody looked at `now` whether a plan is decided, and, once, what was; `given`: when that was, None: not known.

        No answer is older than the last look that saw none, so that what was told of the wait until then stays true.
        """
        with self._write.begin() as connection:
            self._looked(connection, plan, answer, given, now)

    def steps(self, plan: str) -> dict[str, Step]:
        """Return the steps of a plan by their ids, in the plan's order."""
        query = sa.select(plan_steps).where(plan_steps.c.plan == plan).order_by(plan_steps.c.position)
        with self._engine.connect() as connection:
            return {row["step"]: _step({**row}) for row in connection.execute(query).mappings()}

    def step(self, plan: str, step: str) -> Step:
        """Return one step of a plan. Raises PlanError where the journal does not have it."""
        query = sa.select(plan_steps).where(plan_steps.c.plan == plan, plan_steps.c.step == step)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise _missing(plan, step)
        return _step({**row})

    def runs(self, plan: str) -> tuple[Run, ...]:
        """Return the runs of a plan, first one first."""
        query = sa.select(plan_runs).where(plan_runs.c.plan == plan).order_by(plan_runs.c.number)
        with self._engine.connect() as connection:
            return tuple(_run({**row}) for row in connection.execute(query).mappings())

    def used(self, *, but: str | None = None) -> frozenset[str]:
        """Return the digests of all approvals that were used; those used by the plan `but` are left out."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(approvals_used.c.digest, approvals_used.c.plan))
            return frozenset(row.digest for row in rows if row.plan != but)

    def used_by(self, plan: str) -> tuple[str, ...]:
        """Return the digests of the approvals that a plan has used, sorted."""
        query = sa.select(approvals_used.c.digest).where(approvals_used.c.plan == plan).order_by(approvals_used.c.digest)
        with self._engine.connect() as connection:
            return tuple(connection.scalars(query))

    def approved(self, plan: str) -> tuple[Used, ...]:
        """Return the approvals that a plan has used, in the order of their digests."""
        query = sa.select(approvals_used.c.digest, approvals_used.c.approver, approvals_used.c.used_at).where(approvals_used.c.plan == plan)
        with self._engine.connect() as connection:
            return tuple(Used(*row) for row in connection.execute(query.order_by(approvals_used.c.digest)))

    def begin(self, run: Run, digests: Sequence[str], owed: Debt | None) -> Run:
        """Take the approvals and begin, or go on with the run that died, in one transaction; older plans that stopped are superseded.

        A run of the plan that is not ended belongs to a dead process, since the caller holds the lock; it is returned in place of `run`.
        Raises PlanError where an approval was used for another plan, or the plan cannot be begun any more.
        """
        with self._write.begin() as connection:
            able = plans.c.state.in_(("planned", "applying", "incomplete"))
            moved = connection.execute(sa.update(plans).where(plans.c.plan == run.plan, able).values(state="applying"))
            if moved.rowcount != 1:
                raise PlanError(f"plan {run.plan} cannot be begun any more", fix="make a new plan")
            mine = connection.execute(sa.select(plans.c.question, plans.c.made_at).where(plans.c.plan == run.plan)).one()
            older = (plans.c.question == mine.question) & (plans.c.state == "incomplete") & (plans.c.made_at < mine.made_at)
            connection.execute(sa.update(plans).where(older).values(state="superseded", superseded_by=run.plan))
            self._take(connection, run.plan, digests, run.approvers, run.began_at)
            if owed is not None and connection.scalar(sa.select(approvals_owed.c.plan).where(approvals_owed.c.plan == run.plan)) is None:
                values = {name: getattr(owed, name) for name in ("plan", "partner", "by", "reason", "taken_at", "owed_until")}
                connection.execute(sa.insert(approvals_owed).values(values))
            dead = sa.select(plan_runs).where(plan_runs.c.plan == run.plan, plan_runs.c.ended_at.is_(None))
            row = connection.execute(dead).mappings().first()
            if row is not None:
                return _run({**row})
            values = {
                "run": run.run, "plan": run.plan, "number": run.number, "began_at": run.began_at, "approved_at": run.approved_at,
                "approvers": json.dumps(list(run.approvers)),
                "broken_glass": None if run.broken_glass is None else json.dumps(run.broken_glass, sort_keys=True),
            }  # fmt: skip
            connection.execute(sa.insert(plan_runs).values(values))
            # Who acts without an approval has looked for one too: what comes to light later is no older.
            answer: Answer | None = "given" if run.broken_glass is None else None
            self._looked(connection, run.plan, answer, run.approved_at, run.began_at)
        return run

    def settle(self, plan: str, digests: Sequence[str], by: tuple[str, ...], now: datetime) -> bool:
        """Take the approvals that pay for a break-glass; False: nothing was owed. Raises PlanError as `begin` does."""
        with self._write.begin() as connection:
            owed = (approvals_owed.c.plan == plan) & approvals_owed.c.settled_at.is_(None)
            paid = connection.execute(sa.update(approvals_owed).where(owed).values(settled_at=now, settled_by=json.dumps(list(by))))
            if paid.rowcount:
                self._take(connection, plan, digests, by, now)
            return bool(paid.rowcount)

    def debts(self) -> tuple[Debt, ...]:
        """Return every break-glass, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(approvals_owed).order_by(approvals_owed.c.taken_at, approvals_owed.c.plan)).mappings()
            return tuple(Debt(**{**row, "settled_by": tuple(json.loads(row["settled_by"] or "[]"))}) for row in rows)

    def intended(self, plan: str, step: str, pre_image: State, who: tuple[str, str], now: datetime) -> None:
        """Record that a step is about to be written, with what was there; counts as an attempt."""
        values = {
            "state": "intended", "pre_image": _json(pre_image), "seen": _json(pre_image), "intended_at": now, "written_at": None,
            "reader": who[0], "writer": who[1], "why": None, "refused": False, "attempts": plan_steps.c.attempts + 1,
        }  # fmt: skip
        self._step(plan, step, values)

    def written(self, plan: str, step: str, now: datetime) -> None:
        """Record that the provider took the change; what it did is not known yet."""
        self._step(plan, step, {"written_at": now})

    def made(self, plan: str, step: str, seen: State, now: datetime, why: str | None) -> None:
        """Record that a step was seen to be made; `why`: what is to be known of how."""
        self._step(plan, step, {"state": "made", "seen": _json(seen), "verified_at": now, "why": why})

    def found(self, plan: str, step: str, seen: State, now: datetime, why: str) -> None:
        """Record that a step was so when its turn came, without having been written by us."""
        self._step(plan, step, {"state": "found", "seen": _json(seen), "verified_at": now, "why": why})

    def failed(self, plan: str, step: str, seen: State | None, why: str) -> None:
        """Record that a step is not made, as far as anybody could see; `seen`: what it is instead, None: that could not be looked at."""
        self._step(plan, step, {"state": "failed", "seen": None if seen is None else _json(seen), "verified_at": None, "why": why})

    def refused(self, plan: str, step: str, seen: State | None, why: str) -> None:
        """Record that a step failed as `failed` does, and that the provider refused the write."""
        self.failed(plan, step, seen, why)
        self._step(plan, step, {"refused": True})

    def finish(self, run: Run, state: PlanState, now: datetime, entry: tuple[int, str], follows: Followed | None) -> None:
        """Record how a run ended, where it is in the ledger (sequence, digest of the statement), and what that means for other plans."""
        ended = {"ended_at": now, "state": state, "sequence": entry[0], "statement_digest": entry[1]}
        with self._write.begin() as connection:
            connection.execute(sa.update(plan_runs).where(plan_runs.c.run == run.run).values(ended))
            connection.execute(sa.update(plans).where(plans.c.plan == run.plan).values(state=state))
            if follows is None:
                return
            if follows.undone:
                mine = (plan_steps.c.plan == follows.plan) & plan_steps.c.step.in_(follows.undone)
                connection.execute(sa.update(plan_steps).where(mine).values(state="undone", undone_by=run.plan))
            if follows.state is not None:
                connection.execute(sa.update(plans).where(plans.c.plan == follows.plan).values(state=follows.state))

    def _step(self, plan: str, step: str, values: Mapping[str, object]) -> None:
        with self._write.begin() as connection:
            query = sa.update(plan_steps).where(plan_steps.c.plan == plan, plan_steps.c.step == step).values(dict(values))
            if connection.execute(query).rowcount != 1:
                raise _missing(plan, step)

    def _looked(self, connection: Connection, plan: str, answer: Answer | None, given: datetime | None, now: datetime) -> None:
        # Two may look at once: the plan's row makes them take turns (on SQLite the whole database does).
        if connection.scalar(sa.select(plans.c.plan).where(plans.c.plan == plan).with_for_update()) is None:
            return  # a plan of another state database
        mine = plan_answers.c.plan == plan
        before = connection.execute(sa.select(plan_answers).where(mine)).first()
        if before is None:
            at = None if answer is None else min(given or now, now)
            connection.execute(sa.insert(plan_answers).values(plan=plan, looked_at=now, answer=answer, answered_at=at))
        elif before.answer is None:
            at = None if answer is None else min(max(given or now, before.looked_at), now)
            values = {"looked_at": max(before.looked_at, now), "answer": answer, "answered_at": at}
            connection.execute(sa.update(plan_answers).where(mine).values(values))

    def _take(self, connection: Connection, plan: str, digests: Sequence[str], by: tuple[str, ...], now: datetime) -> None:
        # A break-glass has a digest and no approver.
        whose = dict(zip(digests, by, strict=True)) if len(digests) == len(by) else {}
        for digest in sorted(set(digests)):
            used_for = connection.scalar(sa.select(approvals_used.c.plan).where(approvals_used.c.digest == digest))
            if used_for is None:
                connection.execute(sa.insert(approvals_used).values(digest=digest, plan=plan, approver=whose.get(digest), used_at=now))
            elif used_for != plan:
                raise PlanError(f"an approval ({digest[:16]}) was used for plan {used_for} already", fix="have this plan approved")


def check_distinct(plan: Plan) -> None:
    """Refuse (PlanError) a plan with two steps that are one: nobody could say which of them was made."""
    if len({change.id for change in plan.steps}) < len(plan.steps):
        raise PlanError(f"plan {plan.id} has a step twice", fix="report it: a connector planned one change two times")


def _missing(plan: str, step: str) -> PlanError:
    return PlanError(f"the journal has no step {step} of plan {plan}", fix="put back the state database that has it")


def question(plan: Plan) -> str:
    """Return what a plan asks, as JSON: a newer one of the same takes the place of one that nobody has begun."""
    asked = plan.asked
    return json.dumps([asked.partner, asked.phase, sorted(asked.only), asked.emergency, asked.follows, sorted(asked.steps)])


def _json(state: State) -> str:
    return json.dumps(state, sort_keys=True)


def _step(row: Mapping[str, Any]) -> Step:
    held = {name: row[name] for name in Step.__dataclass_fields__}
    for name in ("pre_image", "seen"):
        held[name] = None if held[name] is None else json.loads(held[name])
    return Step(**held)


def _run(row: Mapping[str, Any]) -> Run:
    glass = row["broken_glass"]
    read = {"approvers": tuple(json.loads(row["approvers"])), "broken_glass": None if glass is None else json.loads(glass)}
    return Run(**{**row, **read})
