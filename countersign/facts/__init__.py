"""Facts from the inventory, the register and what earlier runs left: loaded into DuckDB and joined by the SQL files of this folder.

Each file makes tables that later ones read, in the order of `_STEPS`; each file of `SUBJECTS` is one query with a row for each subject of
that kind and a column for each fact. Null means unknown, and a column that ends in `_why` says why.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import resources
from itertools import chain
from typing import TYPE_CHECKING

import duckdb

from countersign.facts import governance, history, stood
from countersign.facts.governance import governance_tables
from countersign.facts.register_tables import RegisterTable, register_tables
from countersign.inventory import PARQUET, TABLES, Reading, sql_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "SUBJECTS",
    "RegisterTable",
    "attribute",
    "build",
    "create",
    "governance_tables",
    "moved",
    "opened",
    "register_tables",
    "write_register",
]

_STEPS = (
    "kinds",
    "history",
    "trusts",
    "evidence",
    "lineage",
    "attribution",
    "privileges",
    "gaps",
    "who",
    "copies",
    "incidents",
    "unattended",
    "callers",
)
_PARQUET = "FORMAT parquet, COMPRESSION lz4, WRITE_BLOOM_FILTER false"
"""How facts are written, for tonight only: whole columns are read, so that nothing would ask which values a part of the file holds."""
_ROWS = 30_720
"""Rows that are gathered before they are written: with the engine's own four times as many, a million do not fit into its memory."""
_AT_ONCE = 100
"""Rows of the register that one statement writes."""
SUBJECTS = {"identity": "identities", "credential": "credentials", "scope": "scopes", "register": "entries", "finding": "clocks"}
"""Kind of subject to the SQL file with its facts; `facts_<kind>` is the view of them, and `facts` that of all together."""


def write_register(tables: Iterable[RegisterTable], into: Path) -> None:
    """Keep the register's tables beside the inventory's, as Parquet: the verdicts can be recomputed from the evidence alone."""
    with duckdb.connect() as db:
        for table in tables:
            create(db, table)
            db.execute(f"COPY {table.name} TO {sql_text(into / f'{table.name}.parquet')} ({PARQUET})")


def build(
    database: Path, inventory: Path, tables: Iterable[RegisterTable], readings: Iterable[Reading], *, last: Path | None = None
) -> None:
    """Make the `facts` of the DuckDB file `database` (views of Parquet files beside it), from the Parquet files under `inventory`.

    `last`: evidence folder of the last run that was judged; None: this is the first.
    """
    settled = tuple(readings)
    with opened(database) as db:
        _look_in(db, inventory)
        given = (*tables, *_read_tables(settled))
        missing = governance.TABLES.keys() - {table.name for table in given}
        for table in (*given, *(RegisterTable(name, governance.TABLES[name], ()) for name in sorted(missing))):
            create(db, table)
        stood.recall(db, last)
        history.recall(db, last)
        for step in _STEPS:
            db.execute(_sql(step))
            if step == "history":
                history.settle(db, database)
        for kind, file in SUBJECTS.items():
            if kind == "finding":
                stood.look_again(db)
            # As Parquet beside the database: writing a table into it takes twice as long.
            parquet = sql_text(database.with_suffix(f".{kind}.parquet"))
            *before, query = db.extract_statements(_sql(file))
            for statement in before:
                db.execute(statement)
            db.execute(f"COPY ({query.query.rstrip().rstrip(';')}) TO {parquet} ({_PARQUET}, ROW_GROUP_SIZE {_ROWS})")
            db.execute(f"CREATE OR REPLACE VIEW facts_{kind} AS SELECT * FROM read_parquet({parquet})")
        together = " UNION ALL BY NAME ".join(f"SELECT * FROM facts_{kind}" for kind in SUBJECTS)
        db.execute(f"CREATE OR REPLACE VIEW facts AS {together}")


def moved(database: Path, inventory: Path) -> None:
    """Let the facts of `database` go on after the Parquet files that they were built from were moved to `inventory`."""
    with opened(database) as db:
        _look_in(db, inventory)


def _look_in(db: duckdb.DuckDBPyConnection, inventory: Path) -> None:
    for name in TABLES:
        db.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({sql_text(inventory / f'{name}.parquet')})")


def attribute(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `attribution` (uid, partner, partner_how, workload) from the inventory and register tables that `db` has."""
    for step in _STEPS[: _STEPS.index("attribution") + 1]:
        if step != "history":
            db.execute(_sql(step))


def create(db: duckdb.DuckDBPyConnection, table: RegisterTable) -> None:
    """Make a table with its rows, in place of the one that has its name."""
    db.execute(f"CREATE OR REPLACE TABLE {table.name} ({table.columns})")
    # Many rows to a statement: one by one, each takes a millisecond.
    for start in range(0, len(table.rows), _AT_ONCE):
        rows = table.rows[start : start + _AT_ONCE]
        one = f"({', '.join('?' * len(rows[0]))})"
        db.execute(f"INSERT INTO {table.name} VALUES {', '.join([one] * len(rows))}", list(chain.from_iterable(rows)))


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the run's scratch database with the limits of a small machine (1 GB before it spills to disk, two threads)."""
    with duckdb.connect(str(database)) as db:
        db.execute("SET memory_limit = '1GB'; SET threads = 2; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
        yield db


def _sql(name: str) -> str:
    return resources.files("countersign.facts").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def _read_tables(readings: tuple[Reading, ...]) -> tuple[RegisterTable, ...]:
    """Say which scopes were to be read, how it went, and as whom."""
    scopes = tuple((r.scope.source, r.scope.provider, r.scope.name, r.state, r.reason, r.passed_over) for r in readings)
    callers = tuple((r.scope.provider, r.scope.name, r.caller) for r in readings if r.caller)
    return (
        RegisterTable(
            "scopes", "source VARCHAR, provider VARCHAR, scope VARCHAR, state VARCHAR, reason VARCHAR, passed_over BOOLEAN", scopes
        ),
        RegisterTable("callers", "provider VARCHAR, scope VARCHAR, caller VARCHAR", callers),
    )
