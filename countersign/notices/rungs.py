"""Which steps of the ladders are reached: of the clocks of findings that were seen failing, and of plans that wait for an approval.

A ladder stands on the terms that were sealed when its clock began, so that a later change of the register moves none of its steps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import duckdb
import sqlalchemy as sa

from countersign.clocks.log import WITHOUT
from countersign.clocks.nights import TermsThen, judged
from countersign.clocks.replay import RUNGS
from countersign.expectation import expectations
from countersign.facts import stood
from countersign.notices.undecided import undecided
from countersign.register.exceptions import exception_valid
from countersign.schema import findings, reading, tickets
from countersign.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from countersign.clocks.nights import JudgedNight
    from countersign.notices.undecided import Waiting
    from countersign.programme import Programme
    from countersign.register.records import Register

Ladder = Literal["escalate", "rotate", "revoke", "approve"]
_OfFinding = Literal["escalate", "rotate", "revoke"]
_AT_ONCE = 10_000
"""Fingerprints that are asked for in one statement."""
_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A step that is reached, of findings of one ticket that began together, or of one plan."""

    about: str
    """Key of the ticket that carries them, `-` where none does, or id of the plan."""
    group: str
    """What stays the same whatever ticket carries them and whoever is accountable: control and partner; or id of the plan."""
    ticket: str | None
    """The desk's id; None: the desk has no open ticket for them."""
    clock: Ladder
    control: str
    partner: str | None
    accountable: tuple[str, ...]
    """Who is accountable: of findings one person at most, of a plan those who may approve it."""
    severity: str
    count: int
    """Findings, or 1 for a plan."""
    since: datetime
    """When the clock began (UTC)."""
    due: datetime
    """When its time is over, pauses left aside."""
    percent: int
    """The highest step of `RUNGS` that is reached."""


@dataclass(frozen=True, slots=True)
class Ladders:
    """All that stands at a moment."""

    reached: tuple[Reached, ...]
    """Worst first."""
    unclear: int
    """Open findings of which nobody can tell what was agreed when they began."""
    troubles: tuple[str, ...] = ()
    """Why plans could not be read."""


class _Standing(NamedTuple):
    """Open findings of one control, partner, owner and ticket that began together."""

    control: str
    partner: str | None
    accountable: str | None
    since: datetime
    key: str | None
    ticket: str | None
    rank: int
    findings: int
    partner_then: str | None
    """Whose they were when they began: that contract's terms hold."""


def ladders(programme: Programme, now: datetime, *, note: bool = False) -> Ladders:
    """Return the steps that are reached at `now` (UTC), of what the last run that could look saw failing.

    `note`: put on file which plans are decided; otherwise nothing is written.
    Raises CountersignError when the state database cannot be read; a plan that cannot be is said, and hides nothing else.
    """
    with reading(programme.state) as db:
        if db is None or not sa.inspect(db).has_table(findings.name):
            return Ladders((), 0)
        every = judged(db, programme.customer, programme.evidence.store)
        nights = _Agreed(every)
        groups = tuple(_standing(db, _accepted(programme.register, now), _moved(every)))
    waiting, troubles = undecided(programme, now, note=note)
    found = [each for one in waiting if (each := _of_plan(programme, one, now)) is not None]
    unclear = 0
    ends_by = {record.id: record.clock for record in expectations()}
    for group in groups:
        terms = nights.at(group.since, group.control, group.partner_then)
        if not isinstance(terms, Terms):
            unclear += group.findings
        else:
            found += (each for name in _clocks(group, ends_by.get(group.control)) if (each := _highest(group, name, terms, now)))
    worst_first = sorted(found, key=lambda each: (-each.percent, _RANK[each.severity], each.due, each.group, each.about, each.clock))
    return Ladders(tuple(worst_first), unclear, troubles)


class _Agreed:
    """What was agreed when a finding began, by the night that found it."""

    def __init__(self, nights: Sequence[JudgedNight]) -> None:
        self._terms = TermsThen(nights)
        self._nights: defaultdict[datetime, list[JudgedNight]] = defaultdict(list)
        for night in nights:
            self._nights[night.as_of].append(night)

    def at(self, since: datetime, control: str, partner: str | None) -> Terms | str:
        """Return the terms; text: why nobody can tell them."""
        night = next((night for night in self._nights[since] if not night.stopped), None)
        return "the run that found it is not on file" if night is None else self._terms.of(night.run, control, partner)


def _clocks(group: _Standing, ends_by: str | None) -> tuple[_OfFinding, ...]:
    # Whoever has a ticket is told; until then that clock runs too.
    telling: tuple[_OfFinding, ...] = () if group.ticket is not None else ("escalate",)
    ending: tuple[_OfFinding, ...] = ("rotate", "revoke")
    return (*telling, *(name for name in ending if name == ends_by))


def _accepted(register: Register, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return what is accepted by the register of today, as control and subject: a run may not have seen it yet."""
    held = (entry for entry in register.exceptions.values() if exception_valid(register, entry, now) is None)
    return tuple(sorted((entry.control, entry.subject) for entry in held))


def _moved(nights: Sequence[JudgedNight]) -> dict[str, str | None]:
    """Return the findings that are another partner's than when they began, by fingerprint with whose they were then."""
    with duckdb.connect() as db:
        stood.recall(db, nights[-1].folder if nights else None)
        query = "SELECT fingerprint, partner_then FROM stood WHERE state = 'open' AND partner_then IS DISTINCT FROM partner ORDER BY ALL"
        return dict(db.execute(query).fetchall())


def _standing(db: Connection, accepted: tuple[tuple[str, str], ...], moved: Mapping[str, str | None]) -> Iterator[_Standing]:
    rank = sa.case(_RANK, value=findings.c.severity, else_=3).label("rank")
    latest = sa.select(sa.func.max(tickets.c.id)).group_by(tickets.c.target, tickets.c.key)
    live = sa.select(tickets.c.key, tickets.c.ticket).where(tickets.c.id.in_(latest), tickets.c.state == "open").subquery()
    place = (findings.c.control, findings.c.partner, findings.c.accountable, findings.c.since, findings.c.ticket_key, live.c.ticket)
    each = (
        sa.select(*place, rank, findings.c.fingerprint)
        .outerjoin(live, live.c.key == findings.c.ticket_key)
        .where(findings.c.state == "open", findings.c.unobserved_since.is_(None), findings.c.control.not_in(WITHOUT))
        .where(sa.tuple_(findings.c.control, findings.c.subject).not_in(accepted))
        .subquery()
    )
    together = [each.c[column.name] for column in place]
    apart: Counter[tuple[Any, ...]] = Counter()
    for start in range(0, len(moved), _AT_ONCE):
        few = list(moved)[start : start + _AT_ONCE]
        for *where, fingerprint in db.execute(sa.select(*together, each.c.rank, each.c.fingerprint).where(each.c.fingerprint.in_(few))):
            apart[*where, moved[fingerprint]] += 1
    left: Counter[tuple[Any, ...]] = Counter()
    for (*where, rank_, then), count in apart.items():
        left[tuple(where)] += count
        yield _Standing._make((*where, rank_, count, then))
    grouped = sa.select(*together, sa.func.min(each.c.rank), sa.func.count()).group_by(*together)
    for *where, rank_, count in db.execute(grouped):
        if count > left[tuple(where)]:
            yield _Standing._make((*where, rank_, count - left[tuple(where)], where[1]))


def _highest(group: _Standing, clock: _OfFinding, terms: Terms, now: datetime) -> Reached | None:
    allowed = terms.allowed(clock)
    if allowed is None:
        return None
    percent = max((each for each in RUNGS if terms.after(clock, group.since, allowed * each / 100) <= now), default=None)
    if percent is None:
        return None
    return Reached(
        about=group.key or "-", group=f"{group.control}|{group.partner or '-'}", ticket=group.ticket, clock=clock,
        control=group.control, partner=group.partner,
        accountable=() if group.accountable is None else (group.accountable,), severity=list(_RANK)[group.rank], count=group.findings,
        since=group.since, due=terms.after(clock, group.since, allowed), percent=percent,
    )  # fmt: skip


def _of_plan(programme: Programme, waiting: Waiting, now: datetime) -> Reached | None:
    """Return what is reached of the time in which a plan is to be decided on, by the register of today."""
    plan, within = waiting.plan, programme.register.revocation.approve_within
    percent = max((each for each in RUNGS if plan.made_at + within * each / 100 <= now), default=None)
    if percent is None:
        return None
    return Reached(
        about=plan.id, group=plan.id, ticket=None, clock="approve", control=plan.control, partner=plan.asked.partner,
        accountable=waiting.whom,
        severity="critical", count=1, since=plan.made_at, due=plan.made_at + within, percent=percent,
    )  # fmt: skip
