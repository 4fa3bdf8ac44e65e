"""What the facts of a night need of the replay, so that the findings of the service-level controls say what the clocks say.

Terms are worked out once for all findings of a control and partner that began on one night, and in the replay itself for those few that
plans take: the rest is the facts' own (countersign/facts/clocks.sql), in one pass.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import sqlalchemy as sa

from countersign.clocks.log import WITHOUT
from countersign.clocks.nights import TermsThen, judged
from countersign.clocks.plans import of_plans
from countersign.clocks.replay import detect_limit, replay
from countersign.clocks.story import BEGINS, Event, Story
from countersign.expectation import expectations
from countersign.facts import stood
from countersign.facts.governance import AgreedThen, Clocks, LookedFor, UnderPlan
from countersign.finding import kind_seen
from countersign.schema import finding_events, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.clocks.nights import JudgedNight
    from countersign.clocks.replay import Clock
    from countersign.expectation import Clock as EndsBy
    from countersign.finding import Seen
    from countersign.terms import ClockName, Terms

_TICK = timedelta(microseconds=1)
_AT_ONCE = 10_000
"""Fingerprints that are asked for in one statement."""
_TONIGHT = "tonight"


@dataclass(frozen=True, slots=True)
class OnFile:
    """Where what happened before is on file."""

    state: str
    """URL of the state database."""
    customer: str
    store: Path
    """Folder of the sealed entries."""
    last: Path | None
    """Evidence folder of the last run that was judged; None: there is none."""


def clocks_tonight(on_file: OnFile, as_of: datetime, seen: Seen) -> Clocks:
    """Return what `governance_tables` needs of the replay for the findings that stand at the beginning of the night of `as_of` (UTC).

    `seen` is what was read tonight. Nothing is written. Raises CountersignError when the state database cannot be read.
    """
    if on_file.last is None:
        return Clocks()
    ends_by: dict[str, EndsBy] = {record.id: record.clock for record in expectations()}
    with duckdb.connect() as db:
        stood.recall(db, on_file.last)
        db.execute("CREATE TABLE without AS SELECT unnest(?) AS control", [sorted(WITHOUT)])
        db.execute("CREATE VIEW timed AS SELECT * FROM stood ANTI JOIN without USING (control) WHERE since IS NOT NULL")
        lives = db.execute("SELECT DISTINCT since, control, partner_then FROM timed ORDER BY ALL").fetchall()
        places = db.execute("SELECT DISTINCT provider, scope, listed_as FROM timed WHERE listed_as IS NOT NULL ORDER BY ALL").fetchall()
        taken = of_plans(on_file.state)
        rows = _touched(db, taken, [control for control, clock in ends_by.items() if clock != "escalate"])
    with reading(on_file.state) as state:
        nights = () if state is None or not lives else tuple(n for n in judged(state, on_file.customer, on_file.store) if n.as_of <= as_of)
        events = {} if state is None else _events(state, [row["fingerprint"] for row in rows])
    then = _Then(nights, as_of, ends_by)
    agreed = tuple(then.agreed(_utc(since), control, partner) for since, control, partner in lives)
    told = (_told(row, events[row["fingerprint"]], taken, then, as_of) for row in rows)
    return Clocks(
        agreed_then=agreed,
        under_plans=tuple(found for story in told if (found := _under_plan(story, as_of)) is not None),
        looked_for=tuple(LookedFor(*place) for place in places if kind_seen(*_asked_of(*place), seen)),
    )


class _Then:
    """What was agreed on the night on which a life began."""

    def __init__(self, nights: Iterable[JudgedNight], as_of: datetime, ends_by: Mapping[str, EndsBy]) -> None:
        held = tuple(nights)
        self._nights = {night.as_of: night for night in reversed(held)}
        self._terms = TermsThen(held)
        self._as_of = as_of
        self.ends_by = ends_by

    def terms(self, since: datetime, control: str, partner: str | None) -> Terms | str:
        night = self._nights.get(since)
        if night is None:
            return "the run that began it is not on file"
        return self._terms.of(night.run, control, partner)

    def agreed(self, since: datetime, control: str, partner: str | None) -> AgreedThen:
        terms, clock = self.terms(since, control, partner), self.ends_by.get(control)
        found = AgreedThen(since, control, partner, clock)
        if isinstance(terms, str):
            return found._replace(why=terms)
        detect = terms.agreed["detect"]
        found = found._replace(
            detect_us=_us(detect),
            detect_limit_us=None if detect is None else _us(detect_limit(detect)),
            detect_why=None if (self._nights[since].folder / "inventory" / "looked.parquet").exists() else "who had looked is not on file",
            escalate_us=_us(terms.agreed["escalate"]),
        )
        return found if clock is None or clock == "escalate" else _put_right(found, terms, clock, self._as_of)


def _put_right(found: AgreedThen, terms: Terms, clock: ClockName, as_of: datetime) -> AgreedThen:
    allowed, hours = terms.allowed(clock), terms.hours_of(clock)
    return found._replace(
        agreed_us=_us(terms.agreed[clock]),
        allowed_us=_us(allowed),
        day_us=None if hours is None else _us(hours.day),
        worked_us=_us(terms.between(clock, found.since, as_of)),
        due=terms.due(clock, found.since),
    )


def _touched(db: duckdb.DuckDBPyConnection, uids: Iterable[str], controls: list[str]) -> list[dict[str, Any]]:
    """Return the standing findings that are put right on a clock and whose subject or identity is one of `uids`."""
    db.execute("CREATE TABLE uids AS SELECT unnest(?)::VARCHAR AS uid", [sorted(uids)])
    db.execute("CREATE TABLE ended AS SELECT unnest(?) AS control", [controls])
    found = db.execute("""
        SELECT * FROM timed SEMI JOIN ended USING (control)
        WHERE subject IN (SELECT uid FROM uids) OR identity IN (SELECT uid FROM uids) ORDER BY fingerprint""")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _events(db: sa.Connection, fingerprints: list[str]) -> defaultdict[str, list[Event]]:
    found: defaultdict[str, list[Event]] = defaultdict(list)
    table = finding_events
    query = sa.select(table.c.fingerprint, table.c.at, table.c.event, table.c.run)
    for start in range(0, len(fingerprints), _AT_ONCE):
        for fingerprint, at, kind, run in db.execute(query.where(table.c.fingerprint.in_(fingerprints[start : start + _AT_ONCE]))):
            found[fingerprint].append(Event(at, kind, run))
    return found


def _told(row: Mapping[str, Any], events: Iterable[Event], taken: Mapping[str, list[Event]], then: _Then, as_of: datetime) -> Story:
    """Return the story of a finding as far as its clock of putting right needs it: its log, when it was last seen, and plans.

    Whatever exception held ends tonight: while one holds, nobody asks.
    """
    since, mine = _utc(row["since"]), list(events)
    terms = then.terms(since, row["control"], row["partner_then"])
    if row["seen_at"] is not None:
        mine.append(Event(_utc(row["seen_at"]), "seen", "the last run"))
    for uid in {row["subject"], row["identity"]} - {None}:
        mine += taken.get(uid, ())
    if row["state"] == "excepted":
        mine.append(Event(as_of, "exception-ended", _TONIGHT))
    names = ("fingerprint", "control", "subject", "identity_name", "provider", "scope", "partner", "accountable", "severity")
    began = {event.source: terms for event in mine if event.kind in BEGINS}
    return Story(**{name: row[name] for name in names}, ends_by=then.ends_by[row["control"]], events=tuple(mine), terms=began)


def _under_plan(story: Story, as_of: datetime) -> UnderPlan | None:
    """Replay a clock for both things that may come of the night; None: the log knows of no life that goes on."""
    fails = _last_clock(story, as_of, "seen")
    unread = _last_clock(story, as_of, "unobserved")
    if fails is None or unread is None:
        return None
    return UnderPlan(story.fingerprint, fails.state, unread.state, unread.why, _us(fails.partner_time), fails.due)


def _last_clock(story: Story, as_of: datetime, kind: str) -> Clock | None:
    found = replay(replace(story, events=(*story.events, Event(as_of, kind, _TONIGHT))), as_of)
    last = next((clock for clock in reversed(found) if clock.clock == story.ends_by), None)
    return None if last is None or last.ended is not None else last


def _asked_of(provider: str, scope: str, listed_as: str) -> tuple[tuple[str, str], str]:
    """Return the place and kind that a reading answers for: a source answers for itself."""
    return ((provider, listed_as), "source") if listed_as.startswith("source/") else ((provider, scope), listed_as)


def _us(span: timedelta | None) -> int | None:
    return None if span is None else span // _TICK


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)
