"""`findings.parquet`: one row per finding of a run, with its facts and the call and time behind each; made and read here."""

from __future__ import annotations

import tempfile
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from countersign.clock import instant
from countersign.expectation import expectations
from countersign.facts import opened
from countersign.facts.governance import TABLES
from countersign.finding import Failing, Known
from countersign.inventory import PARQUET, sql_text
from countersign.terms import terms_of
from countersign.ticket_words import Said

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.finding import Transition
    from countersign.register.records import Register

NAME = "findings.parquet"
BATCH = 10_000
_LEDGER = {
    "fingerprint": "VARCHAR",
    "control": "VARCHAR",
    "subject": "VARCHAR",
    "subject_kind": "VARCHAR",
    "identity": "VARCHAR",
    "identity_name": "VARCHAR",
    "provider": "VARCHAR",
    "partner": "VARCHAR",
    "accountable": "VARCHAR",
    "severity": "VARCHAR",
    "reason": "VARCHAR",
    "state": "VARCHAR",
    "first_seen": "TIMESTAMP",
    "since": "TIMESTAMP",
    "due": "TIMESTAMP",
    "closed_at": "TIMESTAMP",
    "reopened": "BIGINT",
    "excepted": "VARCHAR",
    "excepted_until": "TIMESTAMP",
    "unobserved_since": "TIMESTAMP",
    "ticket_key": "VARCHAR",
}
_WHOSE = frozenset({"partner", "workload"})
_CARRIED = {
    "looked_before": "TIMESTAMP", "partner_then": "VARCHAR", "opened_at": "TIMESTAMP", "seen_at": "TIMESTAMP", "known_until": "TIMESTAMP",
    "told": "BOOLEAN",
}  # fmt: skip
"""What is known of a finding's life, from run to run: its clocks need no earlier run's file."""
_TIMES = tuple(name for name, kind in (_LEDGER | _CARRIED).items() if kind == "TIMESTAMP")
_of_ledger = attrgetter(*_LEDGER)
_CONTROL, _PARTNER, _DUE = (Failing._fields.index(name) for name in ("control", "partner", "due"))


def source_scope(source: str) -> str:
    """Name the scope under which the ledger keeps findings about a source itself: seen whenever the source was tried."""
    return f"source/{source}"


def failing(database: Path, register: Register, standing: Iterable[Known] = ()) -> Iterator[Failing]:
    """Yield what fails in this run, from the `failures` view of its database; due dates are those of lives that begin in this run.

    A key that could not be named tonight is left out where one of the `standing` findings names it: on a night when its listing
    is refused, a key is no second finding under a stand-in's name.
    """
    held = tuple(standing)
    met = {row.fingerprint for row in held}
    named = {(row.control, row.identity) for row in held if row.subject_kind == "credential" and not _stands_in(row.subject)}
    clocks = {record.id: record.clock for record in expectations()}

    @cache
    def due(control: str, partner: str | None) -> datetime | None:
        clock = clocks.get(control)
        return None if clock is None else terms_of(register, control, partner).due(clock, as_of)

    columns = (  # the fields of Failing, in their order, without the due date
        "fingerprint, control, subject, subject_kind, identity, identity_name, provider, "
        "CASE WHEN kind = 'source' THEN 'source/' || split_part(subject, ':source/', 2) ELSE scope END, "
        "partner, accountable, severity, reason, facts_digest, excepted, timezone('UTC', excepted_until)"
    )
    with opened(database) as db:
        as_of: datetime = db.execute("SELECT timezone('UTC', as_of) FROM run").fetchall()[0][0]
        cursor = db.execute(f"SELECT {columns} FROM failures ORDER BY control, subject")
        while rows := cursor.fetchmany(BATCH):
            for row in rows:
                now = Failing._make((*row[:_DUE], due(row[_CONTROL], row[_PARTNER]), *row[_DUE:]))
                if _stands_in(now.subject) and now.fingerprint not in met and (now.control, now.identity) in named:
                    continue
                yield now


def unknown(database: Path, standing: Iterable[Known], controls: Container[str]) -> frozenset[str]:
    """Return the fingerprints among the standing findings whose subject is there, but whose verdict is unknown in this run.

    `controls` are those of which any subject's verdict is unknown: no other's findings need be looked at.
    """
    standing = [row for row in standing if row.control in controls]
    if not standing:
        return frozenset()
    records = {record.id: record for record in expectations()}
    found: set[str] = set()
    with opened(database) as db:
        _load(
            db,
            "standing",
            {"fingerprint": "VARCHAR", "control": "VARCHAR", "subject": "VARCHAR"},
            ({"fingerprint": row.fingerprint, "control": row.control, "subject": row.subject} for row in standing),
        )
        for control in sorted({row.control for row in standing} & records.keys()):
            record = records[control]
            kinds = ", ".join(f"'{kind}'" for kind in record.subjects)
            query = f"""
                SELECT s.fingerprint FROM standing s JOIN facts f ON f.subject = s.subject AND f.subject_kind IN ({kinds})
                WHERE s.control = ? AND ("{record.population}" IS NULL OR ("{record.population}" AND "{record.holds.column}" IS NULL))"""
            found.update(row[0] for row in db.execute(query, [control]).fetchall())
    return frozenset(found)


def write(
    path: Path, database: Path, transitions: Iterable[Transition], last: Path | None, joins: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Write every finding that stands or was resolved in this run; facts of one that could not be looked at come from `last`.

    `joins`: fingerprint to the key of the ticket that carries it from now on. What the clocks need of the finding's present life is carried
    along, null where nobody noted it: `looked_before`, when its scope was last read wholly before the life began, null also: never;
    `partner_then`, whose it was then; `opened_at`, when it was first open, with no exception; `seen_at`, when a run last saw it open;
    `known_until`, the same or the first run that then could not look; `told`, whether the desk had its ticket before this run.
    """
    with opened(database) as db:
        rows = (_row(transition, joins.get(transition.after.fingerprint)) for transition in transitions)
        _load(db, "ledger", _LEDGER | {"event": "VARCHAR", "begins": "BOOLEAN"}, rows)
        for table in ("looked", "desk_tickets"):
            db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({TABLES[table]})")
        _last(db, last)
        db.execute(f"""
            COPY (
                SELECT l.* EXCLUDE (begins), coalesce(f.scope, split_part(l.subject, ':', 2)) AS scope,
                       coalesce(f.facts, last.facts, '{{}}') AS facts, coalesce(f.sources, last.sources, '[]') AS sources,
                       CASE WHEN l.begins THEN k.looked_before ELSE last.looked_before END AS looked_before,
                       CASE WHEN l.begins THEN l.partner ELSE last.partner_then END AS partner_then,
                       CASE WHEN NOT l.begins AND last.opened_at IS NOT NULL THEN last.opened_at
                            WHEN l.state = 'open' THEN run.as_of END AS opened_at,
                       CASE WHEN l.state = 'open' AND l.unobserved_since IS NULL THEN run.as_of
                            WHEN NOT l.begins THEN last.seen_at END AS seen_at,
                       CASE WHEN l.state = 'open' AND (coalesce(l.unobserved_since, run.as_of) = run.as_of OR l.event = 'exception-ended')
                            THEN run.as_of WHEN NOT l.begins THEN last.known_until END AS known_until,
                       NOT l.begins AND (coalesce(last.told, FALSE) OR t.key IS NOT NULL) AS told
                FROM ledger l CROSS JOIN run LEFT JOIN failures f USING (fingerprint) LEFT JOIN last USING (fingerprint)
                LEFT JOIN looked k ON k.provider = l.provider AND k.scope = coalesce(f.scope, split_part(l.subject, ':', 2))
                LEFT JOIN desk_tickets t ON t.key = last.ticket_key
                ORDER BY l.control, l.subject
            ) TO {sql_text(path)} ({PARQUET})""")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a findings file, times with their zone, `facts` and `sources` decoded."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        held = _columns(db, path)  # an older run's file has fewer
        times = ", ".join(f"timezone('UTC', {name}) AS {name}" for name in _TIMES if name in held)
        cursor = db.execute(f"SELECT * REPLACE ({times}) FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in cursor.description or ()]
        while rows := cursor.fetchmany(BATCH):
            for row in rows:
                found = dict(zip(names, row, strict=True))
                found["facts"] = orjson.loads(found["facts"])
                found["sources"] = orjson.loads(found["sources"])
                yield found


def said_of(path: Path, fingerprints: Collection[str]) -> dict[str, tuple[Said, ...]]:
    """Return what each call said of these findings, by fingerprint; of whose they are only the ticket's head tells."""
    with duckdb.connect() as db:
        query = "SELECT fingerprint, facts, sources FROM read_parquet(?) SEMI JOIN (SELECT unnest(?) AS fingerprint) USING (fingerprint)"
        rows = db.execute(query, [str(path), list(fingerprints)]).fetchall()
    return {fingerprint: tuple(_said(orjson.loads(facts), orjson.loads(sources))) for fingerprint, facts, sources in rows}


def _said(facts: Mapping[str, object], sources: Iterable[Mapping[str, str]]) -> Iterator[Said]:
    calls: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source in sources:
        name = source["fact"]
        if name not in _WHOSE:
            value = facts.get(name)
            words = "(none)" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            calls.setdefault((source["call"], source["at"]), []).append((name, words))
    for (call, at), said in calls.items():
        yield Said(call, instant(at), tuple(said))


def _stands_in(subject: str) -> bool:
    """Whether a subject is an AWS key that is called by its holder and its creation, since its id was not listed."""
    if "@" not in subject:
        return False
    provider, _, rest = subject.partition(":")
    return provider == "aws" and "@" in rest.partition(":access-key/")[2]


def _row(transition: Transition, joined: str | None) -> dict[str, object]:
    said = {"event": transition.kind, "begins": transition.before is None or transition.before.state == "resolved"}
    row: dict[str, object] = dict(zip(_LEDGER, _of_ledger(transition.after), strict=True), **said)
    return row if joined is None else row | {"ticket_key": joined}


def _last(db: duckdb.DuckDBPyConnection, last: Path | None) -> None:
    """Make the view `last` of what the last run's file says; what an older version did not say is null, but for whose a finding was."""
    kinds = {"fingerprint": "VARCHAR", "facts": "JSON", "sources": "JSON", "ticket_key": "VARCHAR", "since": "TIMESTAMP"} | _CARRIED
    held = set() if last is None else _columns(db, last)
    older = {"partner_then": "partner", "opened_at": "since"}
    columns = ", ".join(
        name if name in held else f"{older[name] if held and name in older else 'NULL'}::{kind} AS {name}" for name, kind in kinds.items()
    )
    rows = "(SELECT 0) WHERE FALSE" if last is None else f"read_parquet({sql_text(last)})"
    db.execute(f"CREATE OR REPLACE VIEW last AS SELECT {columns} FROM {rows}")


def _columns(db: duckdb.DuckDBPyConnection, file: Path) -> set[str]:
    return {name for name, *_ in db.execute(f"DESCRIBE SELECT * FROM read_parquet({sql_text(file)})").fetchall()}


def _load(db: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], rows: Iterable[dict[str, object]]) -> None:
    # By way of a file: DuckDB reads half a million rows from JSON in a second, and takes minutes to insert them one by one.
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
        file.flush()
        spec = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items()) + "}"
        db.execute(
            f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM read_json(?, format='newline_delimited', columns={spec})", [file.name]
        )
