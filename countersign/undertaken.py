"""What came of plans, out of the state database, as far as a night judges it: approvals that are owed, and what was taken away.

The tables are those of `countersign/offboarding/tables.py`, which lies above; where nothing was ever planned there are none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from countersign.facts.governance import GivenBack, Owed, Revoked, Undertaken
from countersign.schema import Utc, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

_times = (sa.column(name, Utc) for name in ("taken_at", "owed_until", "settled_at"))
_DEBTS = sa.table("approvals_owed", sa.column("plan"), sa.column("partner"), sa.column("by"), *_times)
_PLANS = sa.table("plans", sa.column("plan"), sa.column("question"))
_STEPS = sa.table(
    "plan_steps", sa.column("plan"), sa.column("state"), sa.column("intended_at", Utc), sa.column("verified_at", Utc), sa.column("takes"),
    sa.column("lasts_s"),
)  # fmt: skip
_SO = frozenset({"made", "found"})
"""States of steps whose change is in force."""
_MAY_BE = _SO | {"intended"}


class Taken(NamedTuple):
    """What a plan took wholly at some time."""

    subject: str
    """Uid of the identity or credential."""
    plan: str
    at: datetime
    """When its last step was seen to be made (UTC)."""
    back_at: datetime | None
    """When it was given back, or may have been (UTC); None: it was not."""


def undertaken(url: str) -> Undertaken:
    """Read what came of all plans from the state database at `url`; nothing is written. Raises CountersignError as `reading` does."""
    with reading(url) as db:
        if db is None or not sa.inspect(db).has_table(_STEPS.name):
            return Undertaken()
        owed = tuple(Owed(*row) for row in db.execute(sa.select(*_DEBTS.c).order_by(_DEBTS.c.plan)))
        steps = tuple(_steps(db))
    return Undertaken(owed, tuple(_revoked(steps)), tuple(_given_back(steps)))


def ever_taken(url: str) -> tuple[Taken, ...]:
    """Read what all plans took wholly, also what was given back since; nothing is written. Raises CountersignError as `reading` does."""
    with reading(url) as db:
        if db is None or not sa.inspect(db).has_table(_STEPS.name):
            return ()
        steps = tuple(_steps(db))
    back: dict[tuple[str, str], datetime] = {}
    for row in steps:
        if row["phase"] == "restore" and row["state"] in _MAY_BE:
            at = row["intended_at"] or row["verified_at"]
            back |= {(row["follows"], uid): min(at, back.get((row["follows"], uid), at)) for uid in row["takes"]}
    found = []
    for (plan, uid), mine in sorted(_taking(steps).items()):
        states = {row["state"] for row in mine}
        # A step that is undone keeps the time at which it was made; what gave it back says when.
        if states & {"made", "undone"} and states <= _SO | {"undone"} and ("undone" not in states or (plan, uid) in back):
            found.append(Taken(uid, plan, max(row["verified_at"] for row in mine), back.get((plan, uid))))
    return tuple(found)


def _steps(db: Connection) -> Iterator[dict[str, Any]]:
    """Yield the steps of plans that take, or give back, an identity or credential, each with its plan's phase and what that follows."""
    query = sa.select(*_STEPS.c, _PLANS.c.question).join_from(_STEPS, _PLANS, _STEPS.c.plan == _PLANS.c.plan).where(_STEPS.c.takes != "[]")
    touched = sa.select(_STEPS.c.plan).where(_STEPS.c.state != "pending")
    for row in db.execute(query.where(_STEPS.c.plan.in_(touched)).order_by(_STEPS.c.plan)).mappings():
        _, phase, _, _, follows, _ = json.loads(row["question"])
        yield {**row, "takes": json.loads(row["takes"]), "phase": phase, "follows": follows}


def _revoked(steps: Sequence[dict[str, Any]]) -> Iterator[Revoked]:
    """Yield what plans took wholly: every step of the plan that takes it is in force, one was made by us, and none is taken back."""
    back = {(row["follows"], uid) for row in steps if row["phase"] == "restore" and row["state"] in _MAY_BE for uid in row["takes"]}
    for (plan, uid), mine in sorted(_taking(steps).items()):
        states = {row["state"] for row in mine}
        if "made" in states and states <= _SO and (plan, uid) not in back:
            yield Revoked(uid, plan, max(row["verified_at"] for row in mine), timedelta(seconds=max(row["lasts_s"] or 0 for row in mine)))


def _taking(steps: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the steps that take something, by their plan and its uid."""
    taking: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in steps:
        if row["phase"] != "restore":
            for uid in row["takes"]:
                taking[row["plan"], uid].append(row)
    return taking


def _given_back(steps: Sequence[dict[str, Any]]) -> Iterator[GivenBack]:
    """Yield what was given back, each with the last time."""
    last: dict[str, Any] = {}
    for row in steps:
        if row["phase"] == "restore" and row["state"] in _SO:
            last |= {uid: max(row["verified_at"], last.get(uid, row["verified_at"])) for uid in row["takes"]}
    yield from (GivenBack(uid, at) for uid, at in sorted(last.items()))
