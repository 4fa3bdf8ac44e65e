"""What plans mean to the clocks: the approvals that were asked for and given, and what was taken away."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from countersign.clocks.story import Event
from countersign.schema import Utc, reading
from countersign.undertaken import ever_taken

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

PLAN_HOLDS = timedelta(days=7)
"""How long a plan can be approved (countersign/offboarding/plan.py, which lies above)."""

_PLANS = sa.table("plans", sa.column("plan"), sa.column("question"), sa.column("made_at", Utc), sa.column("superseded_by"))
_RUNS = sa.table(
    "plan_runs",
    sa.column("plan"),
    sa.column("number"),
    sa.column("began_at", Utc),
    sa.column("approved_at", Utc),
    sa.column("broken_glass"),
)
_STEPS = sa.table("plan_steps", sa.column("plan"), sa.column("takes"))
_ANSWERS = sa.table("plan_answers", sa.column("plan"), sa.column("answer"), sa.column("answered_at", Utc))


def of_plans(url: str) -> defaultdict[str, list[Event]]:
    """Return what plans asked for, were given and took, by the uid of each identity or credential that they take wholly.

    Reads the state database at `url`; nothing is written. Raises CountersignError when it cannot be read.
    """
    with reading(url) as db:
        found = defaultdict(list) if db is None else _asked(db)
    for each in ever_taken(url):
        found[each.subject].append(Event(each.at, "taken", each.plan))
        if each.back_at is not None:
            found[each.subject].append(Event(each.back_at, "returned", each.plan))
    return found


def _asked(db: Connection) -> defaultdict[str, list[Event]]:
    """Return what was asked and answered of plans that switch something off, by the uid of each identity or credential they take wholly."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    if sa.inspect(db).has_table(_STEPS.name):
        plans = _Plans(db)
        first: dict[tuple[str, str], str] = {}
        for plan in sorted(plans.takes, key=lambda plan: plans.made[plan].made_at):
            if json.loads(plans.made[plan].question)[1] == "disable":
                for uid in plans.takes[plan]:
                    first.setdefault((uid, plans.decided(plan, uid)), plan)
        for (uid, last), plan in sorted(first.items()):
            # Named by the plan that began to wait: one that is made in its place later renames nothing that was told.
            asked = Event(plans.made[plan].made_at, "asked", plan, f"the approval of plan {plan} was owed")
            found[uid] += (asked, _in_the_name_of(plan, plans.answer(last, uid)))
    return found


def _in_the_name_of(plan: str, answer: Event) -> Event:
    if answer.source == plan:
        return answer
    said = f"plan {answer.source} had taken its place"
    return replace(answer, source=plan, said=said if answer.said is None else f"{said}: {answer.said}")


class _Plans:
    """The plans of a state database, as far as they make somebody wait."""

    def __init__(self, db: Connection) -> None:
        self.made = {row.plan: row for row in db.execute(sa.select(_PLANS))}
        self.takes: defaultdict[str, set[str]] = defaultdict(set)
        """Plan to the uids of what it takes wholly."""
        for plan, uids in db.execute(sa.select(_STEPS.c.plan, _STEPS.c.takes).where(_STEPS.c.takes != "[]")):
            self.takes[plan].update(json.loads(uids))
        self._begun: dict[str, Any] = {}
        for run in db.execute(sa.select(_RUNS).order_by(_RUNS.c.number)):
            self._begun.setdefault(run.plan, run)
        answers = db.execute(sa.select(_ANSWERS).where(_ANSWERS.c.answer.is_not(None))) if sa.inspect(db).has_table(_ANSWERS.name) else ()
        self._answers = {row.plan: row for row in answers}

    def decided(self, plan: str, uid: str) -> str:
        """Return the plan that was decided on in the end: one that takes another's place while that waits asks for the same decision."""
        while plan not in self._begun and plan not in self._answers:
            newer = self._in_its_place(plan)
            if newer is None or uid not in self.takes.get(newer, ()):
                break
            plan = newer
        return plan

    def answer(self, plan: str, uid: str) -> Event:
        """Return what first ended the wait for a plan's approval."""
        ends = [Event(self.made[plan].made_at + PLAN_HOLDS, "withdrawn", plan, "the plan expired")]
        said, run, newer = self._answers.get(plan), self._begun.get(plan), self._in_its_place(plan)
        if said is not None:
            declined = said.answer == "declined"
            ends.append(Event(said.answered_at, "withdrawn" if declined else "given", plan, "it was declined" if declined else None))
        if run is not None and run.broken_glass is not None:
            ends.append(Event(run.began_at, "withdrawn", plan, "somebody acted without waiting for the approval"))
        elif run is not None and said is None:
            # Begun by a version that put no answers on file.
            late = None if run.approved_at is not None else "when it began; the approval's own time is not on file"
            ends.append(Event(run.approved_at or run.began_at, "given", plan, late))
        if newer is not None and uid not in self.takes.get(newer, ()):
            ends.append(Event(self.made[newer].made_at, "withdrawn", plan, f"plan {newer}, made in its place, leaves it out"))
        return min(ends, key=lambda event: event.at)

    def _in_its_place(self, plan: str) -> str | None:
        """Return the plan that was made in place of one that still waited; None: there is none."""
        newer = self.made.get(self.made[plan].superseded_by or "")
        held = self.made[plan].made_at
        return newer.plan if newer is not None and held < newer.made_at < held + PLAN_HOLDS else None
