"""The tables of the state database, the same on SQLite and PostgreSQL, and how to open them."""

from __future__ import annotations

import importlib.util
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Dialect, Engine

VERSION = 1
"""Version of the tables below; a change of them comes with a migration and a new number."""

BUSY_SECONDS = 30
SCHEMA_LOCK = 0x5C5_0001
"""PostgreSQL advisory lock that serialises table creation."""

metadata = sa.MetaData()


class Utc(sa.types.TypeDecorator[datetime]):
    """A time as RFC 3339 text in UTC, always with microseconds, so that its order as text is its order in time."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write a zoned time; raises ValueError for one without a zone."""
        del dialect
        return written(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401  (SQLAlchemy's signature)
        """Read it back."""
        del dialect
        return read(value)


# Half a million rows share a few thousand times: cached, they also share the objects.
@lru_cache(maxsize=1 << 16)
def read(text: str | None) -> datetime | None:
    """Read a time as `Utc` keeps it, from rows that come from the driver itself; None stays None."""
    return None if text is None else datetime.fromisoformat(text)


@lru_cache(maxsize=1 << 16)
def written(when: datetime | None) -> str | None:
    """Write a time as `Utc` keeps it, for rows that go to the driver itself; None stays None. Raises ValueError without a zone."""
    if when is None:
        return None
    if when.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return f"{when.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

holder = sa.Table(
    "lock_holder",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("since", Utc, nullable=False),
    comment="who took the programme lock last; the lock itself is the database's",
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("customer", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("as_of", Utc, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started", Utc, nullable=False),
    sa.Column("finished", Utc),
    sa.Column("evidence", sa.Text),
    sa.Column("statement_digest", sa.Text),
)
sa.Index(
    "one_run_per_slot",
    runs.c.customer,
    runs.c.kind,
    runs.c.slot,
    unique=True,
    sqlite_where=runs.c.state != "failed",
    postgresql_where=runs.c.state != "failed",
)

findings = sa.Table(
    "findings",
    metadata,
    # The columns of `finding.Known`, in its order.
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("subject_kind", sa.Text, nullable=False),
    sa.Column("identity", sa.Text),
    sa.Column("identity_name", sa.Text),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("partner", sa.Text),
    sa.Column("accountable", sa.Text),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("facts_digest", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("first_seen", Utc, nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.Column("due", Utc),
    sa.Column("closed_at", Utc),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Column("excepted", sa.Text),
    sa.Column("excepted_until", Utc),
    sa.Column("unobserved_since", Utc),
    sa.Column("ticket_key", sa.Text),
    sa.Column("last_seen_run", sa.Text),
)

finding_events = sa.Table(
    "finding_events",
    metadata,
    sa.Column("run", sa.Text, sa.ForeignKey(runs.c.run), primary_key=True),
    sa.Column("fingerprint", sa.Text, sa.ForeignKey(findings.c.fingerprint), primary_key=True),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("at", Utc, nullable=False),
    sqlite_with_rowid=False,
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ticket", sa.Text),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("partner", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("claimed_at", Utc, nullable=False),
    sa.Column("claimed_by", sa.Text, nullable=False),
    sa.Column("said_closed_at", Utc),
    sa.Column("closed_at", Utc),
    sa.Column("reopened", sa.Integer, nullable=False, default=0),
    sa.Column("commented_at", Utc),
)
sa.Index(
    "one_live_ticket_per_key",
    tickets.c.target,
    tickets.c.key,
    unique=True,
    sqlite_where=tickets.c.state != "closed",
    postgresql_where=tickets.c.state != "closed",
)


def open_engine(url: str) -> Engine:
    """Open the database at `url`, `sqlite:///FILE` (made with mode 0600) or `postgresql+psycopg://...`, and make its tables.

    Raises CountersignError when the URL names neither, when the file or psycopg is missing, or when a newer version made the tables.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        path = Path(str(parsed.database))
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise CountersignError(
                f"the state database {path} cannot be opened: {error.strerror}", fix="make its folder, or own it"
            ) from error
        engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    try:
        create(engine, metadata)
        _check_version(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(url: str) -> Iterator[Connection | None]:
    """Look at the database at `url` as it is at one moment, and change nothing; None: there is no such file yet.

    Its tables may be missing. Raises CountersignError as `open_engine` does.
    """
    parsed = _parsed(url)
    sqlite = parsed.drivername == "sqlite"
    if sqlite and not Path(str(parsed.database)).exists():
        yield None
        return
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS} if sqlite else {}, poolclass=sa.NullPool)
    with engine.connect() as connection:
        if sqlite:
            # Not SQLite's read-only mode: that leaves its -wal and -shm files behind.
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        if sa.inspect(connection).has_table(schema_version.name):
            _refuse_other(connection.scalar(sa.select(sa.func.max(schema_version.c.version))))
        yield connection


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise CountersignError("the state database's URL cannot be read", fix="write state: sqlite:///state.db") from error
    if parsed.drivername == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    if parsed.drivername != "postgresql+psycopg":
        fix = "write state: sqlite:///state.db, or postgresql+psycopg://USER@HOST/DATABASE"
        raise CountersignError(f"state cannot be kept in {parsed.drivername!r}", fix=fix)
    if importlib.util.find_spec("psycopg") is None:
        raise CountersignError("PostgreSQL needs the psycopg package", fix='pip install "countersign[postgresql]"')
    return parsed


def writing(engine: Engine) -> Engine:
    """Return the engine for transactions that write: on SQLite they take the write lock at once instead of half-way."""
    return engine.execution_options(countersign_immediate=True)


def create(engine: Engine, tables: sa.MetaData) -> None:
    """Make the tables that are missing; several processes may do so at once."""
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        tables.create_all(connection)


def _check_version(engine: Engine) -> None:
    with writing(engine).begin() as connection:
        found = connection.scalar(sa.select(sa.func.max(schema_version.c.version)))
        if found is None:
            connection.execute(sa.insert(schema_version).values(version=VERSION))
        _refuse_other(found)


def _refuse_other(version: int | None) -> None:
    if version not in (None, VERSION):
        raise CountersignError(
            f"the state database has schema version {version}, this program knows {VERSION}", fix="use the Countersign that made it"
        )


def _sqlite_connect(connection: Any, record: object) -> None:  # noqa: ANN401  (a DB-API connection)
    del record
    # The driver must not open transactions of its own, or BEGIN IMMEDIATE comes too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: a claim must survive a power cut before the ticket is created.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # KiB: fingerprints hit pages at random, and SQLite's 2 MiB would write each page many times.
    cursor.execute("PRAGMA cache_size = -131072")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("countersign_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
