"""A period as its readers see it: who and when, and the rows of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from countersign.period.tables import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date, datetime
    from pathlib import Path

_BATCH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What the evidence of some days says; its tables are in `database`, as tables.py has them."""

    customer: str
    """Id; `name` is how people say it."""
    name: str
    first: date
    last: date
    """Both included, in UTC."""
    as_of: datetime
    """Of the period's last entry that is no export (UTC, with its zone); what stands is counted to it, never to the clock."""
    counted_to: datetime
    """The moment (UTC, with its zone) to which days are counted: `as_of`, or the beginning of the last day where that is later."""
    origin: str
    """Of the ledger."""
    size: int
    """Entries of the ledger up to the period's last one."""
    first_sequence: int
    last_sequence: int
    partner: str | None
    """The only partner whose rows are in the tables; None: everybody's are."""
    sample_size: int
    seed: str
    people: Mapping[str, str]
    """Id to name."""
    partners: Mapping[str, str]
    """Id to name."""
    notes: tuple[str, ...]
    """What could not be said, and why."""
    database: Path

    def rows(self, table: str, order_by: str | None = None, where: str = "TRUE") -> Iterator[dict[str, Any]]:
        """Yield the rows of a table, each by column, times in UTC without a zone.

        `order_by` and `where` are SQL of ours, never anybody's text; after `order_by` rows are in the table's own order, which is total.
        """
        order = ORDER[table] if order_by is None else f"{order_by}, {ORDER[table]}"
        with duckdb.connect(str(self.database), read_only=True) as db:
            db.execute("SET memory_limit = '500MB'; SET threads = 2; SET TimeZone = 'UTC'")
            cursor = db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY {order}")
            names = [column[0] for column in cursor.description or ()]
            while rows := cursor.fetchmany(_BATCH):
                yield from (dict(zip(names, row, strict=True)) for row in rows)

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        with duckdb.connect(str(self.database), read_only=True) as db:
            row = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        return 0 if row is None else int(row[0])
