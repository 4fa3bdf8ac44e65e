"""The DuckDB file of a period, within the limits of a small machine: filled from rows, and from the Parquet files of many runs."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

import duckdb
import orjson

from countersign.inventory import sql_text
from countersign.period.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from countersign.period.members import Member

_TEMPORARY = {
    "entry": "sequence BIGINT, as_of TIMESTAMP, is_night BOOLEAN, alone BOOLEAN",
    "ending": "until TIMESTAMP, last_sound BIGINT, partner VARCHAR",
    "receipts": "sequence BIGINT, key VARCHAR, ticket VARCHAR, action VARCHAR",
    "plans": "sequence BIGINT, key VARCHAR, control VARCHAR, partner VARCHAR",
}
"""What the SQL files beside this one read and nobody else."""


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make the database of a period at `path`, in place of any that is there, with all its tables empty."""
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as db:
        db.execute("SET memory_limit = '700MB'; SET threads = 2; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
        db.execute("BEGIN")  # each transaction is written through to the disk, and these are many
        for name, columns in TABLES.items():
            db.execute(f"CREATE TABLE {name} ({columns})")
        for name, columns in _TEMPORARY.items():
            db.execute(f"CREATE TEMP TABLE {name} ({columns})")
        db.execute("COMMIT")
        yield db


def fill(db: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Add rows to a table; columns that a row does not name are null."""
    spec = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in columns(db, table).items())
    # By way of a file, which is many times faster than one by one.
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for row in rows:
            file.write(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE))
        file.flush()
        read = f"read_json({sql_text(file.name)}, format='newline_delimited', columns={{{spec}}}, maximum_object_size=67108864)"
        db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM {read}")


def view(  # noqa: PLR0913 - a view, and what it is of
    db: duckdb.DuckDBPyConnection,
    name: str,
    members: Sequence[Member],
    file: str,
    columns_of: Mapping[str, str],
    *,
    all_others: bool = False,
) -> tuple[int, ...]:
    """Make a view of one Parquet file of each run, with the run's `sequence`; returns the runs that have no such file.

    `columns_of`: the columns that there are, with their types: null where the files of older runs lack one. `all_others`: and whatever
    else the files hold.
    Raises EvidenceError where a file is not the one that was signed.
    """
    found = {member.sequence: path for member in members if (path := member.file(file)) is not None}
    missing = tuple(member.sequence for member in members if member.sequence not in found)
    if not found:
        nothing = ", ".join(f"NULL::{kind} AS {column}" for column, kind in columns_of.items())
        db.execute(f"CREATE TEMP VIEW {name} AS SELECT NULL::BIGINT AS sequence, {nothing} WHERE FALSE")
        return missing
    listed = ", ".join(sql_text(path) for path in found.values())
    rows = f"read_parquet([{listed}], filename = true, union_by_name = true, hive_partitioning = false)"
    # A file lies in the folder that bears its run's number.
    number = f"left(right(filename, {len(file) + 9}), 8)::BIGINT"
    held = {column for column, *_ in db.execute(f"DESCRIBE SELECT * EXCLUDE (filename) FROM {rows}").fetchall()}
    said = [f'r."{column}"' if column in held else f"NULL::{kind} AS {column}" for column, kind in columns_of.items()]
    if all_others:
        said.append(f"r.* EXCLUDE (filename, {', '.join(sorted(held & columns_of.keys()))})")
    query = f"SELECT {number} AS sequence, {', '.join(said)} FROM {rows} r"
    db.execute(f"CREATE TEMP VIEW {name} AS {query}")
    return missing


def columns(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Name the columns of a table with their types."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()}


def run(db: duckdb.DuckDBPyConnection, file: str) -> None:
    """Run an SQL file that lies beside this module."""
    for statement in db.extract_statements(resources.files("countersign.period").joinpath(file).read_text(encoding="utf-8")):
        db.execute(statement)
