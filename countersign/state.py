"""What must survive between nights: runs, the ledger of findings, and the outbox of tickets."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.finding import Known
from countersign.remediation import TicketRow
from countersign.schema import Utc, finding_events, findings, holder, open_engine, read, runs, tickets, writing, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from sqlalchemy.engine import Connection

    from countersign.finding import Transition
    from countersign.remediation import Action, TicketState

RunState = Literal["running", "complete", "partial", "failed"]

BATCH = 5_000
LOCKS = {"run": 0x5C5_0002, "offboarding": 0x5C5_0003, "telling": 0x5C5_0004, "digest": 0x5C5_0005}
"""PostgreSQL advisory locks that one process at a time holds; the database's own, so one database serves one programme."""
Locked = Literal["run", "offboarding", "telling", "digest"]
_SHARED = tuple(
    Known._fields.index(name)
    for name in ("control", "subject_kind", "provider", "scope", "partner", "accountable", "severity", "state", "last_seen_run")
)
_TIMES = tuple(index for index, name in enumerate(Known._fields) if isinstance(findings.c[name].type, Utc))
Taken = Literal["ours", "theirs", "hidden"]
# What is done for each ticket is built once: building a statement takes SQLAlchemy longer than running it takes the database.
_OF_KEY = (tickets.c.target == sa.bindparam("_target")) & (tickets.c.key == sa.bindparam("_key"))
# A literal: with a parameter no database can tell that its index of the tickets that are not closed will do, and reads them all.
_NOT_CLOSED = tickets.c.state != sa.literal_column("'closed'")
_LIVE = sa.select(tickets.c.id).where(_OF_KEY, _NOT_CLOSED)
# The live ticket of a key is its newest: there is no second one, and the next is made only when it is closed.
_NEWEST = sa.func.coalesce(_LIVE.scalar_subquery(), sa.select(sa.func.max(tickets.c.id)).where(_OF_KEY).scalar_subquery())
_ASKED_FOR = (tickets.c.state == "claimed") | ((tickets.c.state == "unknown") & (tickets.c.claimed_at <= sa.bindparam("_shown")))
_TAKE = sa.update(tickets).where(_OF_KEY, _NOT_CLOSED, _ASKED_FOR).values(state="sent", claimed_at=sa.bindparam("_now"))
_EVER = datetime.max.replace(tzinfo=UTC)
_LOST = _LIVE.where(tickets.c.state == "unknown")
_MAKE_WAY = (
    sa.update(tickets)
    .where(_OF_KEY, _NOT_CLOSED, tickets.c.ticket == sa.bindparam("_ticket"))
    .values(state="closed", closed_at=tickets.c.said_closed_at)
)


class StateBusyError(CountersignError):
    """Another process runs this programme right now; nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as the ledger knows it."""

    run: str
    customer: str
    kind: str
    """`reconcile`, `drill`, ..."""
    slot: str
    """What the run is the run of, such as `2026-11-22`: one sound run per slot."""
    as_of: datetime
    state: RunState
    started: datetime
    finished: datetime | None
    """None: it runs, or it died."""
    evidence: str | None
    statement_digest: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What came of asking for a slot, and the run that has it."""

    outcome: Literal["claimed", "done", "adopted"]
    """`done`: the slot had its run, there is nothing to do. `adopted`: a run died in it; go on under its id and as_of."""
    run: Run


@dataclass(frozen=True, slots=True)
class Listed:
    """A finding with the ticket that carries it."""

    finding: Known
    ticket: str | None
    """The desk's id; None: no ticket, or none confirmed yet."""


class State:
    """The state database at a URL, SQLite or PostgreSQL; a context manager."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self._write = writing(self.engine)
        self._insert = postgresql.insert if self.engine.dialect.name == "postgresql" else _sqlite_insert
        self.locked = False
        """Whether this object holds the programme lock, so that every other claimant is dead."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.engine.dispose()

    @contextmanager
    def lock(self, owner: str, now: datetime, what: Locked = "run") -> Iterator[None]:
        """Hold the programme for one run, or beside it for one change of the clouds or for telling; who dies lets go by dying.

        Raises StateBusyError, naming who holds it and since when, when another process does.
        """
        if self.engine.dialect.name == "sqlite":
            ending = "lock" if what == "run" else f"{what}.lock"
            held = _file_lock(f"{self.engine.url.database}.{ending}", f"{owner} since {stamp(now)}", what)
        else:
            held = self._advisory_lock(owner, now, what)
        with held:
            before, self.locked = self.locked, self.locked or what == "run"
            try:
                yield
            finally:
                self.locked = before

    @contextmanager
    def _advisory_lock(self, owner: str, now: datetime, what: str) -> Iterator[None]:
        number, row_id = LOCKS[what], list(LOCKS).index(what) + 1
        # Its own connection, outside the pool and outside transactions: the server drops the lock when it breaks.
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number))):
                row = connection.execute(sa.select(holder.c.owner, holder.c.since).where(holder.c.id == row_id)).first()
                raise _busy("an unknown owner" if row is None else f"{row.owner} since {stamp(row.since)}", what)
            upsert = postgresql.insert(holder).values(id=row_id, owner=owner, since=now)
            connection.execute(upsert.on_conflict_do_update(index_elements=["id"], set_={"owner": owner, "since": now}))
            try:
                yield
            finally:
                # A closed connection gives it up too, but some time after the next run has asked.
                connection.scalar(sa.select(sa.func.pg_advisory_unlock(number)))

    def claim_slot(self, run: str, *, customer: str, kind: str, slot: str, as_of: datetime, now: datetime) -> Claim:  # noqa: PLR0913  (one row)
        """Claim a slot for a run, under the programme lock.

        A running row of the same kind belongs to a dead process, since we hold the lock: in this slot it is adopted, in
        another it is marked failed. A failed run leaves its slot free. Raises CountersignError without the lock.
        """
        if not self.locked:
            raise CountersignError("a slot can only be claimed under the programme lock")
        mine = (runs.c.customer == customer) & (runs.c.kind == kind)
        with self._write.begin() as connection:
            connection.execute(sa.update(runs).where(mine, runs.c.state == "running", runs.c.slot != slot).values(state="failed"))
            row = connection.execute(sa.select(runs).where(mine, runs.c.slot == slot, runs.c.state != "failed")).first()
            if row is not None:
                earlier = Run(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public face has an underscore here)
                return Claim("adopted" if earlier.state == "running" else "done", earlier)
            fresh = Run(
                run=run, customer=customer, kind=kind, slot=slot, as_of=as_of, state="running", started=now, finished=None, evidence=None,
                statement_digest=None,
            )  # fmt: skip
            connection.execute(sa.insert(runs).values({name: getattr(fresh, name) for name in Run.__slots__}))
        return Claim("claimed", fresh)

    def running(self, customer: str, kind: str, slot: str) -> Run | None:
        """Return the run that a slot has begun and not ended; under the programme lock its process is dead. None: there is none."""
        mine = (runs.c.customer == customer) & (runs.c.kind == kind) & (runs.c.slot == slot)
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(runs).where(mine, runs.c.state == "running")).first()
        return None if row is None else Run(**row._mapping)  # noqa: SLF001  (as below)

    def sound_run(self, customer: str, kind: str, slot: str) -> Run | None:
        """Return the sound run that a slot has had; None: the slot is free, or its run is not over."""
        mine = (runs.c.customer == customer) & (runs.c.kind == kind) & (runs.c.slot == slot)
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(runs).where(mine, runs.c.state.in_(("complete", "partial")))).first()
        return None if row is None else Run(**row._mapping)  # noqa: SLF001  (as above)

    def finish_run(self, run: str, state: RunState, *, now: datetime, evidence: str | None, statement_digest: str | None) -> None:
        """Record how a run ended and where its evidence is."""
        values = {"state": state, "finished": now, "evidence": evidence, "statement_digest": statement_digest}
        with self._write.begin() as connection:
            connection.execute(sa.update(runs).where(runs.c.run == run).values(values))

    def runs(self) -> tuple[Run, ...]:
        """List all runs, latest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(runs).order_by(runs.c.started.desc(), runs.c.run.desc()))
            return tuple(Run(**row._mapping) for row in rows)  # noqa: SLF001  (as above)

    def known(self) -> dict[str, Known]:
        """Load the ledger of findings by fingerprint, resolved ones included."""
        return {row.fingerprint: row for row in self._rows(sa.select(findings))}

    def named_keys(self) -> frozenset[str]:
        """Return the identities (uids) behind standing findings that name an AWS access key by its own id."""
        named = findings.c.subject.like("aws:%:access-key/%") & findings.c.subject.not_like("%@%")
        query = sa.select(findings.c.identity).distinct().where(findings.c.state != "resolved", findings.c.identity.is_not(None), named)
        with self.engine.connect() as connection:
            return frozenset(connection.scalars(query))

    def findings(
        self, *, control: str | None = None, partner: str | None = None, state: str | None = None, run: str | None = None
    ) -> tuple[Listed, ...]:
        """List findings, worst and oldest first; each filter that is None lets everything through.

        `state` is `open`, `excepted`, `resolved` or `unobserved`. `run` keeps what that run changed, or saw as the last one.
        """
        latest = sa.select(sa.func.max(tickets.c.id)).group_by(tickets.c.key)
        query = (
            sa.select(findings, tickets.c.ticket)
            .outerjoin(tickets, (tickets.c.key == findings.c.ticket_key) & tickets.c.id.in_(latest))
            .order_by(
                sa.case({"critical": 0, "high": 1, "medium": 2, "low": 3}, value=findings.c.severity, else_=4),
                findings.c.since,
                findings.c.fingerprint,
            )
        )
        if control is not None:
            query = query.where(findings.c.control == control)
        if partner is not None:
            query = query.where(findings.c.partner == partner)
        if state == "unobserved":
            query = query.where(findings.c.unobserved_since.is_not(None))
        elif state is not None:
            query = query.where(findings.c.state == state)
        if run is not None:
            touched = sa.select(finding_events.c.fingerprint).where(finding_events.c.run == run)
            query = query.where((findings.c.last_seen_run == run) | findings.c.fingerprint.in_(touched))
        with self.engine.connect() as connection:
            return tuple(Listed(Known._make(row[:-1]), row[-1]) for row in connection.execute(query))

    def summary(self, run: str) -> dict[str, int]:
        """Count what stands (`open`, `excepted`, `unobserved`) and what the run did (`new`, `resolved`, `reopened`, ...)."""
        counts = dict.fromkeys(("open", "new", "resolved", "reopened", "unobserved", "excepted"), 0)
        with self.engine.connect() as connection:
            done = sa.select(finding_events.c.event, sa.func.count()).where(finding_events.c.run == run).group_by(finding_events.c.event)
            counts.update({row[0]: row[1] for row in connection.execute(done)})
            standing = sa.select(findings.c.state, sa.func.count()).where(findings.c.state != "resolved").group_by(findings.c.state)
            counts.update({"open": 0, "excepted": 0})
            counts.update({row[0]: row[1] for row in connection.execute(standing)})
            unread = sa.select(sa.func.count()).where(findings.c.unobserved_since.is_not(None))
            counts["unobserved"] = connection.scalar(unread) or 0
        return counts

    def events(self, fingerprint: str) -> tuple[tuple[datetime, str, str], ...]:
        """Return the life of one finding as (when, run, event), oldest first."""
        query = (
            sa.select(finding_events.c.at, finding_events.c.run, finding_events.c.event)
            .where(finding_events.c.fingerprint == fingerprint)
            .order_by(finding_events.c.at, finding_events.c.event)
        )
        with self.engine.connect() as connection:
            return tuple((row.at, row.run, row.event) for row in connection.execute(query))

    def apply(self, run: str, transitions: Iterable[Transition], *, at: datetime, target: str, actions: Iterable[Action] = ()) -> None:
        """Write what a run found and claim the tickets it wants, in one transaction.

        `at` is the run's as_of. Done again for the same run it changes nothing, so it may be repeated after any crash.
        """
        actions = tuple(actions)
        joins = {fingerprint: action.key for action in actions for fingerprint in action.joins}
        with self._write.begin() as connection:
            looked = self._write_findings(connection, run, transitions, joins, at)
            if looked:
                # One statement instead of half a million rows: whatever stands and was not missed was seen.
                stands = (findings.c.state != "resolved") & findings.c.unobserved_since.is_(None)
                connection.execute(sa.update(findings).where(stands).values(last_seen_run=run))
            if joins:
                moved = sa.update(findings).where(findings.c.fingerprint == sa.bindparam("_print")).values(ticket_key=sa.bindparam("_key"))
                connection.execute(moved, [{"_print": fingerprint, "_key": key} for fingerprint, key in joins.items()])
            self._claim(connection, run, [action for action in actions if action.kind == "create"], target, at)

    def _write_findings(
        self, connection: Connection, run: str, transitions: Iterable[Transition], joins: dict[str, str], at: datetime
    ) -> bool:
        """Upsert changed rows (a joining ticket's key at once, taken out of `joins`) and append their events."""
        upsert = self._insert(findings)
        upsert = upsert.on_conflict_do_update(
            index_elements=["fingerprint"],
            set_={name: upsert.excluded[name] for name in Known._fields[1:]},
        )
        append = self._insert(finding_events).on_conflict_do_nothing()
        looked = False
        stream = iter(transitions)
        while batch := list(islice(stream, BATCH)):
            looked = True
            changed = [transition for transition in batch if transition.after is not transition.before]
            rows = []
            for transition in changed:
                row = transition.after._asdict()
                row["ticket_key"] = joins.pop(transition.after.fingerprint, transition.after.ticket_key)
                rows.append(row)
            self._many(connection, upsert, rows)
            self._many(
                connection,
                append,
                [
                    {"run": run, "fingerprint": transition.after.fingerprint, "event": transition.kind, "at": at}
                    for transition in changed
                    if transition.kind != "still"
                ],
            )
        return looked

    @staticmethod
    def _many(connection: Connection, statement: postgresql.Insert, rows: list[dict[str, Any]]) -> None:
        """Insert many rows: compiled once and handed to the driver, since SQLAlchemy takes longer over half a million rows than SQLite."""
        if not rows:
            return
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
        times = [name for name in rows[0] if isinstance(statement.table.c[name].type, Utc)]
        for row in rows:
            for name in times:
                row[name] = written(row[name])
        names = compiled.positiontup
        values: Any = rows if names is None else list(map(itemgetter(*names), rows))
        connection.exec_driver_sql(str(compiled), values)

    def _claim(self, connection: Connection, run: str, wanted: Iterable[Action], target: str, at: datetime) -> None:
        """Put the tickets to be made on file; whatever is on file for their keys and not closed stays as it is."""
        claims: list[dict[str, Any]] = []
        replaced: list[dict[str, str]] = []
        for action in wanted:
            if action.draft is not None and action.draft.replaces is not None:
                # People closed it too long ago to be reopened: its row makes way for the next ticket's.
                replaced.append({"_target": target, "_key": action.key, "_ticket": action.draft.replaces})
            row = {"target": target, "key": action.key, "state": "claimed", "control": action.control, "partner": action.partner}
            claims.append({**row, "claimed_at": at, "claimed_by": run, "reopened": 0})
        if replaced:
            connection.execute(_MAKE_WAY, replaced)
        claim = self._insert(tickets).on_conflict_do_nothing(index_elements=["target", "key"], index_where=_NOT_CLOSED)
        self._many(connection, claim, claims)

    def tickets(self, target: str) -> tuple[TicketRow, ...]:
        """Return the newest row of each ticket key at one desk, with the number of unresolved findings it carries."""
        latest = sa.select(sa.func.max(tickets.c.id)).where(tickets.c.target == target).group_by(tickets.c.key)
        carried = (
            sa.select(findings.c.ticket_key, sa.func.count().label("standing"))
            .where(findings.c.state != "resolved")
            .group_by(findings.c.ticket_key)
            .subquery()
        )
        names = ("key", "state", "ticket", "control", "partner", "digest", "said_closed_at", "closed_at", "reopened", "commented_at")
        query = (
            sa.select(*(tickets.c[name] for name in names), sa.func.coalesce(carried.c.standing, 0).label("standing"))
            .outerjoin(carried, carried.c.ticket_key == tickets.c.key)
            .where(tickets.c.id.in_(latest))
            .order_by(tickets.c.key)
        )
        with self.engine.connect() as connection:
            return tuple(TicketRow(**row._mapping) for row in connection.execute(query))  # noqa: SLF001  (as above)

    def take(self, target: str, key: str, *, now: datetime, search_lag: timedelta) -> Taken:
        """Win the right to create a claimed ticket, once: `ours` for exactly one of those who ask, from `now` on.

        `hidden`: it was asked for less than `search_lag` ago, nobody knows what came of that, and a search may not show it yet.
        """
        ticket = {"_target": target, "_key": key}
        # Where no search lags, a clock that was set back hides nothing either.
        shown = now - search_lag if search_lag else _EVER
        with self._write.begin() as connection:
            if connection.execute(_TAKE, {**ticket, "_now": now, "_shown": shown}).rowcount == 1:
                return "ours"
            return "theirs" if connection.scalar(_LOST, ticket) is None else "hidden"

    def recover(self, target: str) -> None:
        """Under the programme lock, mark tickets that a dead process was sending as unknown: perhaps created, perhaps not."""
        if self.locked:
            sending = (tickets.c.target == target) & (tickets.c.state == "sent")
            with self._write.begin() as connection:
                connection.execute(sa.update(tickets).where(sending).values(state="unknown"))

    def settle(self, target: str, key: str, state: TicketState, **values: Any) -> None:  # noqa: ANN401  (columns of `tickets`)
        """Record what became of the newest ticket of a key: its state, and any other columns by name."""
        values["state"] = state
        with self._write.begin() as connection:
            connection.execute(_settling(*sorted(values)), {**values, "_target": target, "_key": key})

    def reopened(self, target: str, key: str, *, digest: str | None, at: datetime) -> None:
        """Record that a closed ticket was opened again, and once more at that."""
        values = {"closed_at": None, "said_closed_at": None, "digest": digest, "commented_at": at, "state": "open"}
        again = _settling(*sorted(values)).values(reopened=tickets.c.reopened + 1)
        with self._write.begin() as connection:
            connection.execute(again, {**values, "_target": target, "_key": key})

    def said_closed(self, target: str, closed: dict[str, datetime]) -> None:
        """Record which live tickets (desk id to time) people closed at the desk; all others there count as open."""
        live = (tickets.c.target == target) & (tickets.c.state == "open")
        with self._write.begin() as connection:
            connection.execute(sa.update(tickets).where(live, tickets.c.said_closed_at.is_not(None)).values(said_closed_at=None))
            if closed:
                query = (
                    sa.update(tickets).where(live, tickets.c.ticket == sa.bindparam("_ticket")).values(said_closed_at=sa.bindparam("_at"))
                )
                connection.execute(query, [{"_ticket": ticket, "_at": at} for ticket, at in closed.items()])

    def _rows(self, query: sa.Select[Any]) -> Iterator[Known]:
        # Few distinct words fill most columns: shared, the ledger of a large estate takes half the memory.
        same: dict[str | None, str | None] = {}
        share = same.setdefault
        with self.engine.connect().execution_options(yield_per=BATCH) as connection:
            # By the driver itself, like writing: SQLAlchemy takes longer over a row than the database.
            for row in connection.exec_driver_sql(str(query.compile(dialect=connection.dialect))):
                fields = list(row)
                for at in _SHARED:
                    fields[at] = share(fields[at], fields[at])
                for at in _TIMES:
                    fields[at] = read(fields[at])
                yield Known._make(fields)


@cache
def _settling(*names: str) -> sa.Update:
    """Return the update of a key's newest ticket that sets these columns to parameters of their names."""
    return sa.update(tickets).where(tickets.c.id == _NEWEST).values({name: sa.bindparam(name) for name in names})


def _sqlite_insert(table: sa.Table) -> postgresql.Insert:
    # Both dialects write upserts alike; their classes share no type.
    return cast("postgresql.Insert", sqlite.insert(table))


@contextmanager
def _file_lock(path: str, owner: str, what: str) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(os.pread(handle, 1000, 0).decode(errors="replace") or "an unknown owner", what) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, owner.encode(errors="replace"), 0)
        yield
    finally:
        # The file stays: removing it would let two processes lock two files of one name.
        os.close(handle)


def _busy(who: str, what: str) -> StateBusyError:
    return StateBusyError(
        f"another {what} holds this programme: {who}", fix="wait for it to end, or end that process; its lock goes with it"
    )
