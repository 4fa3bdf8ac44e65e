"""Gathers the stories of findings: their events in the state database, and what the sealed runs say of looking, tickets and terms."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import sqlalchemy as sa

from countersign import findings_file
from countersign.clocks.nights import TermsThen, judged
from countersign.clocks.plans import of_plans
from countersign.clocks.story import BEGINS, Event, Story
from countersign.expectation import expectations
from countersign.schema import finding_events, findings, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from countersign.clocks.nights import JudgedNight
    from countersign.programme import Programme

WITHOUT = frozenset({"drill-overdue", "approval-owed", "sla-detect", "sla-escalate", "sla-rotate", "sla-revoke"})
"""Controls about clocks: their findings have none of their own."""
_OPENS = frozenset({"created", "reopened"})
_AT_DESK = _OPENS | {"updated", "unchanged"}


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
        everything = judged(db, programme.customer, programme.evidence.store)
        nights = tuple(night for night in everything if night.as_of <= until and not night.stopped)
    taken = of_plans(programme.state)
    _add_seen(events, rows, nights)
    with duckdb.connect() as seen:
        _read_nights(seen, nights, [row["fingerprint"] for row in rows])
        for fingerprint, event in _of_nights(seen, nights, every=len(rows) == 1):
            events[fingerprint].append(event)
        partners = _partners_then(seen)
    terms = TermsThen(nights)
    looked = _looked(nights, {event.source for mine in events.values() for event in mine if event.kind in BEGINS})
    ends_by = {record.id: record.clock for record in expectations()}
    found = []
    for row in rows:
        mine = events[row["fingerprint"]]
        begins = [event.source for event in mine if event.kind in BEGINS]
        place = row["provider"], _scope_of(row)
        mine += [Event(at, "looked", run) for run in begins if (at := looked.get((run, *place))) is not None]
        for uid in {row["subject"], row["identity"]} - {None}:
            mine += taken.get(uid, ())
        with_whom = {run: partners.get((row["fingerprint"], run), row["partner"]) for run in begins}
        agreed = {run: terms.of(run, row["control"], partner) for run, partner in with_whom.items()}
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


def _scope_of(row: Mapping[str, Any]) -> str:
    """Return the scope that a finding lies in: the ledger has those about a source itself under the source's name."""
    name = str(row["scope"])
    if not name.startswith("source/"):
        return name
    return str(row["subject"]).removeprefix(f"{row['provider']}:").removesuffix(f":{name}")


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


def _add_seen(events: defaultdict[str, list[Event]], rows: Iterable[Mapping[str, Any]], nights: Iterable[JudgedNight]) -> None:
    """Add the last time that each was seen, as the ledger has it, also where that run's files are gone."""
    when = {night.run: night.as_of for night in nights}
    for row in rows:
        run = row["last_seen_run"]
        if row["state"] == "open" and row["unobserved_since"] is None and run in when:
            events[row["fingerprint"]].append(Event(when[run], "seen", run))


def _read_nights(db: duckdb.DuckDBPyConnection, nights: Iterable[JudgedNight], wanted: list[str]) -> None:
    """Make `nights`: what each sealed run said of the findings that are wanted."""
    columns = (
        "run VARCHAR, as_of TIMESTAMP, fingerprint VARCHAR, since TIMESTAMP, state VARCHAR, event VARCHAR, blind TIMESTAMP, "
        "key VARCHAR, partner VARCHAR, seen_at TIMESTAMP"
    )
    db.execute(f"CREATE TABLE nights ({columns})")
    files = {str(path): night for night in nights if (path := night.folder / findings_file.NAME).exists()}
    if not files or not wanted:
        return
    db.execute("CREATE TABLE files AS SELECT unnest(?) AS file, unnest(?) AS run, unnest(?)::TIMESTAMP AS as_of", [
        list(files), [night.run for night in files.values()], [_naive(night.as_of) for night in files.values()],
    ])  # fmt: skip
    db.execute("CREATE TABLE wanted AS SELECT unnest(?) AS fingerprint", [wanted])
    query = """
        INSERT INTO nights
        SELECT r.run, r.as_of, f.fingerprint, f.since, f.state, f.event, f.unobserved_since, f.ticket_key, f.partner, f.seen_at
        FROM read_parquet(?, union_by_name = true, filename = true) f JOIN files r ON r.file = f.filename
        SEMI JOIN wanted w ON w.fingerprint = f.fingerprint"""
    held = db.execute("DESCRIBE SELECT * FROM read_parquet(?, union_by_name = true)", [list(files)]).fetchall()
    older = all(name != "seen_at" for name, *_ in held)
    db.execute(query.replace("f.seen_at", "NULL") if older else query, [list(files)])


def _of_nights(db: duckdb.DuckDBPyConnection, nights: Sequence[JudgedNight], *, every: bool) -> Iterator[tuple[str, Event]]:
    """Yield when each life of a finding was last seen open (each time, where `every` is asked for), and when the desk first had its ticket.

    The last time decides as much as all of them.
    """
    db.execute("""
        CREATE VIEW seen AS SELECT fingerprint, since, as_of AS seen_at FROM nights WHERE state = 'open' AND blind IS NULL
        UNION SELECT fingerprint, since, seen_at FROM nights WHERE seen_at IS NOT NULL""")  # what a later run says of one that is gone
    seen = "SELECT fingerprint, seen_at FROM seen" if every else "SELECT fingerprint, max(seen_at) FROM seen GROUP BY fingerprint, since"
    names = {night.as_of: night.run for night in nights}
    for fingerprint, at in db.execute(seen).fetchall():
        yield fingerprint, Event(_utc(at), "seen", names.get(_utc(at), "an earlier run"))
    # That an exception ended is all that the log says of a night, also of one that could not look.
    unseen = "SELECT fingerprint, as_of, run FROM nights WHERE state = 'open' AND blind IS NOT NULL AND event = 'exception-ended'"
    for fingerprint, at, run in db.execute(unseen).fetchall():
        yield fingerprint, Event(_utc(at), "unobserved", run)
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


def _partners_then(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], str | None]:
    """Return whose each life of a finding was when it began, by fingerprint and run: the contract that held then is that partner's."""
    rows = db.execute("SELECT fingerprint, run, partner FROM nights WHERE since = as_of").fetchall()
    return {(fingerprint, run): partner for fingerprint, run, partner in rows}


def _at_desk(nights: Iterable[JudgedNight]) -> Iterator[tuple[str, str, datetime, datetime | None]]:
    """Yield the stretches in which the desk had an open ticket under a key, by what the runs' receipts say: key, ticket, from, until."""
    standing: dict[str, tuple[str, datetime]] = {}
    closed: set[str] = set()
    for night in nights:
        try:
            receipts = orjson.loads((night.folder / "tickets.json").read_bytes())
        except (OSError, ValueError):
            continue
        at = _naive(night.as_of)
        for row in receipts:
            if row["action"] in _OPENS:
                closed.discard(row["key"])
            # One that could not be opened again is closed still, and is unchanged as such.
            if row["action"] in _AT_DESK and row["ticket"] is not None and row["key"] not in closed:
                standing.setdefault(row["key"], (row["ticket"], at))
            elif row["action"] == "closed":
                closed.add(row["key"])
                if row["key"] in standing:
                    yield row["key"], *standing.pop(row["key"]), at
    for key, (ticket, at) in standing.items():
        yield key, ticket, at, None


def _looked(nights: Iterable[JudgedNight], began: set[str]) -> dict[tuple[str, str, str], datetime]:
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


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)
