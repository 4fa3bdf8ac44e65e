"""What plans mean to the clocks: the approvals that were asked for and given, and what was taken away."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from countersign.clocks.story import Event
from countersign.schema import Utc, reading
from countersign.undertaken import undertaken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

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


def of_plans(url: str) -> defaultdict[str, list[Event]]:
    """Return what plans asked for, were given and took, by the uid of each identity or credential that they take wholly.

    Reads the state database at `url`; nothing is written. Raises CountersignError when it cannot be read.
    """
    with reading(url) as db:
        found = defaultdict(list) if db is None else _asked(db)
    for each in undertaken(url).revoked:
        found[each.subject].append(Event(each.at, "taken", each.plan))
    return found


def _asked(db: Connection) -> defaultdict[str, list[Event]]:
    """Return what was asked and answered of plans that switch something off, by the uid of each identity or credential they take wholly."""
    found: defaultdict[str, list[Event]] = defaultdict(list)
    if not sa.inspect(db).has_table(_STEPS.name):
        return found
    made = {row.plan: row for row in db.execute(sa.select(_PLANS))}
    first: dict[str, Any] = {}
    for run in db.execute(sa.select(_RUNS).order_by(_RUNS.c.number)):
        first.setdefault(run.plan, run)
    takes: defaultdict[str, set[str]] = defaultdict(set)
    for plan, uids in db.execute(sa.select(_STEPS.c.plan, _STEPS.c.takes).where(_STEPS.c.takes != "[]")):
        takes[plan].update(json.loads(uids))
    asked: dict[tuple[str, str], datetime] = {}
    for plan in sorted(takes, key=lambda plan: made[plan].made_at):
        if json.loads(made[plan].question)[1] == "disable":
            decided = _decided(plan, made, first)
            for uid in takes[plan]:
                asked.setdefault((uid, decided), made[plan].made_at)
    for (uid, plan), at in sorted(asked.items()):
        found[uid] += (Event(at, "asked", plan, f"the approval of plan {plan} was owed"), _answer(plan, made, first.get(plan)))
    return found


def _decided(plan: str, made: Mapping[str, Any], begun: Mapping[str, Any]) -> str:
    """Return the plan that was decided on in the end: one that takes another's place while that waits asks for the same decision."""
    while True:
        newer = made.get(made[plan].superseded_by or "")
        if plan in begun or newer is None or not made[plan].made_at < newer.made_at < made[plan].made_at + PLAN_HOLDS:
            return plan
        plan = newer.plan


def _answer(plan: str, made: Mapping[str, Any], run: Any | None) -> Event:  # noqa: ANN401 - a row
    """Return what ended the wait for a plan's approval."""
    if run is None:
        return Event(made[plan].made_at + PLAN_HOLDS, "withdrawn", plan, "the plan expired")
    if run.broken_glass is not None:
        return Event(run.began_at, "withdrawn", plan, "somebody acted without waiting for the approval")
    if run.approved_at is None:
        return Event(run.began_at, "given", plan, "when it began; the approval's own time is not on file")
    return Event(run.approved_at, "given", plan)
