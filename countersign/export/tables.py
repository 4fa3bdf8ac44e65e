"""The tables of a period as CSV and Parquet: streamed, in one total order, and saying the same.

CSV is RFC 4180: UTF-8, CRLF, a header row. Nothing known is an empty cell, an empty text is `""`. Times end in Z, lists are JSON.
Spreadsheets run a cell that begins like a formula, so a text that begins with one of `FORMULA` gets an apostrophe in front, and so
does one that begins with an apostrophe: take one leading apostrophe off and the text is the one in the Parquet file. Numbers, times
and booleans are never touched.
"""

# ruff: noqa: S608 - SQL is put together from our own column names, quoted; values are bound

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import duckdb

from countersign.errors import EvidenceError
from countersign.period.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMULA = "=+-@\t\r'"
"""First characters of a text that get an apostrophe in front; the apostrophe itself so that the rule can be undone."""

FILES = {
    "completeness/sources.csv": "sources",
    "completeness/operations.csv": "operations",
    "operation/nights.csv": "nights",
    "operation/runs.csv": "runs",
    "operation/controls.csv": "controls",
    "operation/results.csv": "results",
    "operation/spells.csv": "spells",
    "samples/samples.csv": "samples",
    "exceptions/exceptions.csv": "exceptions",
    "tickets/tickets.csv": "tickets",
    "tickets/clocks.csv": "clocks",
    "accountability/raci.csv": "accountability",
    "accountability/people.csv": "people",
    "accountability/workloads.csv": "workloads",
    "partners/scorecards.csv": "partners",
    "partners/offboardings.csv": "offboardings",
    "drills/drills.csv": "drills",
}
"""Path in the bundle to its table; `populations` has a Parquet file, and a CSV file for each control."""

_MEMORY = "512MB"
_AT_ONCE = 10_000
_CONTROL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a period's tables for reading, with bounded memory and one thread, so that the order of work is always the same."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1, "memory_limit": _MEMORY, "temp_directory": str(database.with_name(database.name + ".spill")),
        "autoinstall_known_extensions": False, "autoload_known_extensions": False,
    }  # fmt: skip
    with duckdb.connect(str(database), read_only=True, config=config) as db:
        db.execute("SET preserve_insertion_order = true")
        yield db


def counts(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the number of rows of each table, tables in order of name."""
    return {table: _one(db, f"SELECT count(*) FROM {name(table)}") for table in sorted(TABLES)}


def columns(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column to DuckDB type, in the table's order."""
    return {row[0]: row[1] for row in db.execute(f"DESCRIBE {name(table)}").fetchall()}


def write_csv(db: duckdb.DuckDBPyConnection, file: IO[bytes], table: str, *, control: str | None = None) -> int:
    """Write a table, or the rows of one control, as CSV; returns the number of rows."""
    types = columns(db, table)
    cells = [_cell(column, kind) for column, kind in types.items()]
    file.write(",".join(types).encode() + b"\r\n")
    where = "" if control is None else "WHERE control = $control"
    # Sorted with an explicit end of line: one string a row keeps Python out of the cells.
    line = ", ',', ".join(cells)
    query = f"SELECT concat({line}, chr(13), chr(10)) FROM {name(table)} {where} ORDER BY {_order(types)}"
    cursor = db.execute(query, {} if control is None else {"control": control})
    written = 0
    while rows := cursor.fetchmany(_AT_ONCE):
        file.write("".join(line for (line,) in rows).encode())
        written += len(rows)
    return written


def write_parquet(db: duckdb.DuckDBPyConnection, path: Path, table: str) -> None:
    """Write a table as Parquet (zstd), each column of its type; times are UTC and say so."""
    types = columns(db, table)
    typed = ", ".join(f"timezone('UTC', {name(each)}) AS {name(each)}" if _is_time(kind) else name(each) for each, kind in types.items())
    target = "'" + str(path).replace("'", "''") + "'"
    db.execute(f"COPY (SELECT {typed} FROM {name(table)} ORDER BY {_order(types)}) TO {target} (FORMAT parquet, COMPRESSION zstd)")


def population_files(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Path in the bundle to control, for each control that judged anybody. Raises EvidenceError for one whose id cannot name a file."""
    files = {}
    for (control,) in db.execute("SELECT DISTINCT control FROM populations UNION SELECT control FROM controls ORDER BY ALL").fetchall():
        if not isinstance(control, str) or not _CONTROL.fullmatch(control):
            raise EvidenceError(f"the evidence names a control {control!r}, which is no control's id", fix="countersign verify")
        files[f"populations/{control}.csv"] = control
    return files


def name(identifier: str) -> str:
    """Quote a name of the database for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text_cell(value: str) -> str:
    """Apply the rule for texts that begin like a formula, as the CSV files do."""
    return f"'{value}" if value[:1] and value[0] in FORMULA else value


def _cell(column: str, kind: str) -> str:
    """Return SQL for one cell; the one place where the rule for formulas stands for CSV."""
    quoted = name(column)
    if _is_time(kind):
        # As clock.stamp writes it: a fraction only where there is one.
        fraction = f"CASE WHEN epoch_us({quoted}) % 1000000 = 0 THEN '' ELSE strftime({quoted}, '.%f') END"
        said = f"concat(strftime({quoted}, '%Y-%m-%dT%H:%M:%S'), {fraction}, 'Z')"
        return f"CASE WHEN {quoted} IS NULL THEN '' ELSE {said} END"
    if kind.endswith("[]"):
        text = f"to_json({quoted})::VARCHAR"
    elif kind == "VARCHAR":
        guarded = " OR ".join(f"starts_with({quoted}, {_literal(first)})" for first in FORMULA)
        text = f"CASE WHEN {guarded} THEN concat('''', {quoted}) ELSE {quoted} END"
    else:
        return f"coalesce({quoted}::VARCHAR, '')"
    escaped = f"concat('\"', replace({text}, '\"', '\"\"'), '\"')"
    return f"CASE WHEN {quoted} IS NULL THEN '' WHEN {text} = '' OR regexp_matches({text}, '[\",\\r\\n]') THEN {escaped} ELSE {text} END"


def _literal(character: str) -> str:
    return f"chr({ord(character)})"


def _is_time(kind: str) -> bool:
    return kind.startswith("TIMESTAMP")


def _order(types: dict[str, str]) -> str:
    return ", ".join(f"{name(column)} NULLS FIRST" for column in types)


def _one(db: duckdb.DuckDBPyConnection, query: str) -> int:
    row = db.execute(query).fetchone()
    return 0 if row is None else int(row[0])
