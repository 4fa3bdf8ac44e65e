"""Gathers the stories of findings: their events in the state database, and what the sealed runs say of looking, tickets and terms."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import sqlalchemy as sa

from countersign import findings_file
from countersign.clocks.hours import Hours
from countersign.clocks.story import Event, Story, Terms
from countersign.errors import CountersignError
from countersign.evidence import ledger, statement
from countersign.evidence.verify import STATEMENT
from countersign.expectation import expectations
from countersign.register import sealed
from countersign.register.records import WEEK
from countersign.schema import Utc, finding_events, findings, reading, runs
from countersign.undertaken import undertaken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from countersign.programme import Programme
    from countersign.register.records import Register

WITHOUT = frozenset({"drill-overdue", "approval-owed", "sla-detect", "sla-escalate", "sla-rotate", "sla-revoke"})
"""Controls about clocks: their findings have none of their own."""
PLAN_HOLDS = timedelta(days=7)
"""How long a plan can be approved (countersign/offboarding/plan.py, which lies above)."""
_BEGINS = frozenset({"new", "reopened", "excepted"})
_AT_DESK = frozenset({"created", "updated", "reopened", "unchanged"})

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


@dataclass(frozen=True)
class _Night:
    """A judged run and its sealed folder."""

    run: str
    as_of: datetime
    folder: Path

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """What its statement says; nothing where it cannot be read."""
        try:
            return statement.read(self.folder / STATEMENT).predicate
        except CountersignError:
            return {}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which findings; None lets everything through."""

    fingerprint: str | None = None
    """Or its first characters."""
    partner: str | None = None
    control: str | None = None


def stories(programme: Programme, until: datetime, asked: Asked | None = None) -> tuple[Story, ...]:
    """Read the findings that are asked for with what was on file of them at `until` (UTC), in the order of their fingerprints.

    Nothing is written. Raises CountersignError when the state database cannot be read.
    What sealed evidence cannot say any more leaves clocks unknown.
    """
    with reading(programme.state) as db:
        if db is None or not sa.inspect(db).has_table(findings.name):
            return ()
        rows = _rows(db, asked or Asked())
        events = _events(db, rows)
        nights = tuple(night for night in _nights(db, programme) if night.as_of <= until)
        of_plans = _of_plans(db)
    for each in undertaken(programme.state).revoked:
        of_plans[each.subject].append(Event(each.at, "taken", each.plan))
    _add_seen(events, rows, nights)
    with duckdb.connect() as seen:
        _read_nights(seen, nights, [row["fingerprint"] for row in rows])
        for fingerprint, event in _of_nights(seen, nights, every=len(rows) == 1):
            events[fingerprint].append(event)
    terms = _AllTerms(nights)
    looked = _looked(nights, {event.source for mine in events.values() for event in mine if event.kind in _BEGINS})
    ends_by = {record.id: record.clock for record in expectations()}
    found = []
    for row in rows:
        mine = events[row["fingerprint"]]
        begins = [event.source for event in mine if event.kind in _BEGINS]
        mine += [Event(at, "looked", run) for run in begins if (at := looked.get((run, row["provider"], row["scope"]))) is not None]
        for uid in {row["subject"], row["identity"]} - {None}:
            mine += of_plans.get(uid, ())
        agreed = {run: terms.of(run, row["control"], row["partner"]) for run in begins}
        about = {name: row[name] for name in ("fingerprint", "control", "subject", "identity_name", "provider", "scope")}
        who = {name: row[name] for name in ("partner", "accountable", "severity")}
        found.append(Story(**about, **who, ends_by=ends_by.get(row["control"]), events=tuple(mine), terms=agreed))
    return tuple(found)


def _rows(db: Connection, asked: Asked) -> list[dict[str, Any]]:
    query = sa.select(findings).where(findings.c.control.not_in(WITHOUT)).order_by(findings.c.fingerprint)
    if asked.fingerprint is not None:
        query = query.where(findings.c.fingerprint.startswith(asked.fingerprint, autoescape=True))
    if asked.partner is not None:
        query = query.where(findings.c.partner == asked.partner)
    if asked.control is not None:
        query = query.where(findings.c.control == asked.control)
    return [{**row} for row in db.execute(query).mappings()]


def _events(db: Connection, rows: Sequence[Mapping[str, Any]]) -> defaultdict[str, list[Event]]:
    found: defaultdict[str, list[Event]] = defaultdict(list)
    wanted = {row["fingerprint"] for row in rows}
    query = sa.select(finding_events.c.fingerprint, finding_events.c.at, finding_events.c.event, finding_events.c.run)
    if len(wanted) == 1:
        query = query.where(finding_events.c.fingerprint.in_(wanted))
    for fingerprint, at, kind, run in db.execute(query):
        if fingerprint in wanted:
            found[fingerprint].append(Event(at, kind, run))
    return found


def _nights(db: Connection, programme: Programme) -> tuple[_Night, ...]:
    """Return the runs that were judged and acted on, oldest first."""
    sound = runs.c.state.in_(("complete", "partial")) & runs.c.evidence.is_not(None) & (runs.c.customer == programme.customer)
    query = sa.select(runs.c.run, runs.c.as_of, runs.c.evidence).where(sound, runs.c.kind == "reconcile").order_by(runs.c.as_of, runs.c.run)
    made = (_Night(run, as_of, programme.evidence.store / evidence) for run, as_of, evidence in db.execute(query))
    return tuple(night for night in made if night.said.get("guard") is None)


def _add_seen(events: defaultdict[str, list[Event]], rows: Iterable[Mapping[str, Any]], nights: Iterable[_Night]) -> None:
    """Add the last time that each was seen, as the ledger has it, also where that run's files are gone."""
    when = {night.run: night.as_of for night in nights}
    for row in rows:
        run = row["last_seen_run"]
        if row["state"] == "open" and row["unobserved_since"] is None and run in when:
            events[row["fingerprint"]].append(Event(when[run], "seen", run))


def _read_nights(db: duckdb.DuckDBPyConnection, nights: Iterable[_Night], wanted: list[str]) -> None:
    """Make `nights`: what each sealed run said of the findings that are wanted."""
    columns = "run VARCHAR, as_of TIMESTAMP, fingerprint VARCHAR, since TIMESTAMP, state VARCHAR, blind BOOLEAN, key VARCHAR"
    db.execute(f"CREATE TABLE nights ({columns})")
    files = {str(path): night for night in nights if (path := night.folder / findings_file.NAME).exists()}
    if not files or not wanted:
        return
    db.execute("CREATE TABLE files AS SELECT unnest(?) AS file, unnest(?) AS run, unnest(?)::TIMESTAMP AS as_of", [
        list(files), [night.run for night in files.values()], [_naive(night.as_of) for night in files.values()],
    ])  # fmt: skip
    db.execute("CREATE TABLE wanted AS SELECT unnest(?) AS fingerprint", [wanted])
    db.execute(
        """INSERT INTO nights SELECT r.run, r.as_of, f.fingerprint, f.since, f.state, f.unobserved_since IS NOT NULL, f.ticket_key
        FROM read_parquet(?, union_by_name = true, filename = true) f JOIN files r ON r.file = f.filename
        SEMI JOIN wanted w ON w.fingerprint = f.fingerprint""",
        [list(files)],
    )


def _of_nights(db: duckdb.DuckDBPyConnection, nights: Iterable[_Night], *, every: bool) -> Iterator[tuple[str, Event]]:
    """Yield when each life of a finding was last seen open (each time, where `every` is asked for), and when the desk first had its ticket.

    The last time decides as much as all of them.
    """
    seen = "SELECT fingerprint, max(as_of), arg_max(run, as_of) FROM nights WHERE state = 'open' AND NOT blind GROUP BY fingerprint, since"
    if every:
        seen = "SELECT fingerprint, as_of, run FROM nights WHERE state = 'open' AND NOT blind"
    for fingerprint, at, run in db.execute(seen).fetchall():
        yield fingerprint, Event(_utc(at), "seen", run)
    live = list(_at_desk(nights))
    db.execute("CREATE TABLE live (key VARCHAR, ticket VARCHAR, began TIMESTAMP, ended TIMESTAMP)")
    if live:
        db.execute(f"INSERT INTO live SELECT {', '.join(4 * ['unnest(?)'])}", [list(column) for column in zip(*live, strict=True)])
    told = """
        SELECT n.fingerprint, min(n.as_of), arg_min(n.run, n.as_of), arg_min(l.ticket, n.as_of) FROM nights n
        JOIN live l ON l.key = n.key AND l.began <= n.as_of AND (l.ended IS NULL OR n.as_of < l.ended)
        WHERE n.state <> 'resolved' GROUP BY n.fingerprint, n.since"""
    for fingerprint, at, run, ticket in db.execute(told).fetchall():
        yield fingerprint, Event(_utc(at), "told", run, f"ticket {ticket}")


def _at_desk(nights: Iterable[_Night]) -> Iterator[tuple[str, str, datetime, datetime | None]]:
    """Yield the stretches in which the desk had an open ticket under a key, by what the runs' receipts say: key, ticket, from, until."""
    standing: dict[str, tuple[str, datetime]] = {}
    for night in nights:
        try:
            receipts = orjson.loads((night.folder / "tickets.json").read_bytes())
        except (OSError, ValueError):
            continue
        at = _naive(night.as_of)
        for row in receipts:
            if row["action"] in _AT_DESK and row["ticket"] is not None:
                standing.setdefault(row["key"], (row["ticket"], at))
            elif row["action"] == "closed" and row["key"] in standing:
                yield row["key"], *standing.pop(row["key"]), at
    for key, (ticket, at) in standing.items():
        yield key, ticket, at, None


def _looked(nights: Iterable[_Night], began: set[str]) -> dict[tuple[str, str, str], datetime]:
    """Return when each scope was last read wholly before a run that began a life: (run, provider, scope) to time (UTC)."""
    files = {
        str(path): night.run for night in nights if night.run in began and (path := night.folder / "inventory" / "looked.parquet").exists()
    }
    if not files:
        return {}
    with duckdb.connect() as db:
        query = "SELECT filename, provider, scope, looked_before FROM read_parquet(?, union_by_name = true, filename = true)"
        rows = db.execute(query, [list(files)]).fetchall()
    return {(files[file], provider, scope): _utc(at) for file, provider, scope, at in rows if at is not None}


def _of_plans(db: Connection) -> defaultdict[str, list[Event]]:
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


class _AllTerms:
    """What was agreed on each night, by the register that was sealed then."""

    def __init__(self, nights: Iterable[_Night]) -> None:
        self._nights = {night.run: night for night in nights}
        self._registers: dict[str, Register | str] = {}
        self._terms: dict[tuple[str, str, str | None], Terms | str] = {}

    def of(self, run: str, control: str, partner: str | None) -> Terms | str:
        """Return the terms of a run for findings of a control and partner; text: why they cannot be told."""
        night = self._nights.get(run)
        if night is None or not night.said:
            return f"the evidence of run {run}, which says what was agreed when it began, is not on file"
        digest = str(night.said.get("registerDigest"))
        key = (digest, control, partner)
        if key not in self._terms:
            register = self._register(digest)
            self._terms[key] = register if isinstance(register, str) else _terms(register, control, partner)
        return self._terms[key]

    def _register(self, digest: str) -> Register | str:
        """Read a register from the first run that still has it."""
        if digest not in self._registers:
            why = "the register of that night is not on file"
            for night in self._nights.values():
                if night.said.get("registerDigest") != digest:
                    continue
                path = night.folder / sealed.NAME
                try:
                    found = sealed.read(path)
                except CountersignError as error:
                    gone = error.message if path.exists() else ledger.why_missing(night.folder, sealed.NAME)
                    why = f"the register of run {night.run} cannot be read: {gone}"
                    continue
                if found.digest == digest:
                    self._registers[digest] = found
                    break
                why = f"the register of run {night.run} is not the one that its statement names"
            else:
                self._registers[digest] = why
        return self._registers[digest]


def _terms(register: Register, control: str, partner: str | None) -> Terms | str:
    entry = register.control(control)
    if entry is None:
        return f"nobody answered for control {control} in the register when it began, so nothing was agreed"
    party = register.partners.get(partner or "")
    hours = None if party is None else party.contract.business_hours
    slas = entry.slas
    return Terms(
        agreed={"detect": slas.detect, "escalate": slas.escalate, "rotate": slas.rotate, "revoke": slas.revoke},
        hours=None if hours is None else Hours(
            zone=register.customer.timezone, days=frozenset(WEEK.index(day) for day in hours.days), opens=_minutes(hours.opens),
            closes=_minutes(hours.closes), closed=frozenset(register.customer.closed),
        ),
        cap=timedelta() if party is None else party.contract.pause_cap,
        register=register.digest,
    )  # fmt: skip


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)
