"""workbook.xlsx: what people sort and filter in a spreadsheet, bounded; populations are in Parquet and CSV instead."""

# ruff: noqa: S608 - SQL is put together from our own column names, quoted; values are bound

from __future__ import annotations

import re
from datetime import date, datetime
from typing import IO, TYPE_CHECKING

import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from countersign.export import tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection
    from xlsxwriter.format import Format  # type: ignore[import-untyped]  # as above
    from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]  # as above

MOST_ROWS = 20_000
"""Rows of a sheet; the CSV file that the last line names has them all."""
_LONGEST = 2_000
"""Characters of a cell; Excel takes 32,767 and shows far fewer."""
_WIDEST = 60
_LONG = frozenset(
    {"subject", "identity", "identity_name", "reason", "why", "compensating_control", "exit_criteria", "refused", "refused_first"}
)
"""Columns whose cells are long, so that they begin wide."""
_CREATED = datetime(1980, 1, 1)  # noqa: DTZ001 - a spreadsheet knows no zones; fixed, so that the same tables give the same bytes
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SHEETS = (
    ("Samples", "samples", "control, place", "", "samples/samples.csv"),
    ("Exceptions", "exceptions", "exception", "", "exceptions/exceptions.csv"),
    ("Tickets", "tickets", "key", "", "tickets/tickets.csv"),
    ("Nights", "nights", "day", "", "operation/nights.csv"),
    (
        "Overdue",
        "spells",
        "overdue_days DESC, fingerprint, opened",
        "WHERE overdue_days > 0 AND state <> 'resolved'",
        "operation/spells.csv",
    ),
)
"""Sheet, table, order (the columns that are named first come first), which rows, and the file with every row."""


def write(db: DuckDBPyConnection, file: IO[bytes], summary: Sequence[tuple[str, object]]) -> None:
    """Write the workbook; `summary` is the first sheet, as pairs of what and how much."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(file, options) as book:
        book.set_properties({"created": _CREATED, "title": "Countersign export"})
        formats = {"head": book.add_format({"bold": True, "bottom": 1}), "time": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})}
        formats["day"] = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet = book.add_worksheet("Summary")
        sheet.set_column(0, 0, 36)
        sheet.set_column(1, 1, _WIDEST)
        for row, (what, said) in enumerate(summary):
            _put(sheet, row, 0, what, formats)
            _put(sheet, row, 1, said, formats)
        for title, table, order, where, whole in _SHEETS:
            _sheet(db, book.add_worksheet(title), formats, table, order, where, whole)


def _sheet(  # noqa: PLR0913, PLR0917 - what a sheet is made from
    db: DuckDBPyConnection, sheet: Worksheet, formats: Mapping[str, Format], table: str, order: str, where: str, whole: str
) -> None:
    columns = list(tables.columns(db, table))
    rest = ", ".join(f"{tables.name(column)} NULLS FIRST" for column in columns)
    cursor = db.execute(f"SELECT * FROM {tables.name(table)} {where} ORDER BY {order}, {rest} LIMIT {MOST_ROWS + 1}")
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        sheet.set_column(place, place, 48 if column in _LONG else max(14, len(column) + 2))
        sheet.write_string(0, place, column, formats["head"])
    written = 0
    while rows := cursor.fetchmany(1_000):
        for values in rows:
            written += 1
            if written > MOST_ROWS:
                sheet.write_string(written, 0, f"There are more rows: all of them are in {whole}.")
                return
            for place, value in enumerate(values):
                _put(sheet, written, place, value, formats)
    if written:
        sheet.autofilter(0, 0, written, len(columns) - 1)


def _put(sheet: Worksheet, row: int, column: int, value: object, formats: Mapping[str, Format]) -> None:
    """Write one cell, of its type; a text is never a formula or a link here, so it needs no apostrophe."""
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int):
        sheet.write_number(row, column, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value, formats["time"])
    elif isinstance(value, date):
        sheet.write_datetime(row, column, datetime(value.year, value.month, value.day), formats["day"])  # noqa: DTZ001 - as _CREATED
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … (cut)"
        sheet.write_string(row, column, _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
