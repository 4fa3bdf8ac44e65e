"""What a page can show of findings.parquet: counts of all, and only the worst rows, however many there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PER_CONTROL = 200
WORST = 10
# The whole file is only counted and ranked by a few narrow columns; facts are fetched for the rows that are shown.
_COUNTS = """
    SELECT control, severity, state, state = 'open' AND due < $as_of, unobserved_since IS NOT NULL, count(*)
    FROM read_parquet($file) GROUP BY ALL
"""
_ROWS = """
    WITH ranked AS (
        SELECT fingerprint, row_number() OVER (
            PARTITION BY control ORDER BY list_position(['open', 'excepted', 'resolved'], state),
            list_position(['critical', 'high', 'medium', 'low'], severity), due NULLS LAST, since, subject
        ) AS place
        FROM read_parquet($file)
    )
    SELECT f.* FROM read_parquet($file) f JOIN ranked USING (fingerprint) WHERE place <= $most
    ORDER BY list_position(['open', 'excepted', 'resolved'], f.state), list_position(['critical', 'high', 'medium', 'low'], f.severity),
             f.due NULLS LAST, f.since, f.control, f.subject
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Counts over all findings of a file, and the rows that a page shows, worst first."""

    open: Mapping[str, int]
    """Open findings by severity."""
    excepted: int
    unobserved: int
    """Findings that stand and could not be looked at in this run."""
    overdue: int
    """Open findings whose due date is over."""
    total: Mapping[str, int]
    """All findings by control, resolved ones included."""
    rows: Mapping[str, tuple[dict[str, Any], ...]]
    """By control: at most PER_CONTROL rows, as `findings_file.read` gives them."""
    worst: tuple[dict[str, Any], ...]
    """At most WORST open findings of all controls."""


def shown(file: Path, as_of: datetime) -> Shown:
    """Count and rank the findings of `file` as they stood at `as_of` (UTC)."""
    with duckdb.connect() as db:
        db.execute("SET memory_limit = '1GB'; SET threads = 2; SET TimeZone = 'UTC'")
        counts = db.execute(_COUNTS, {"file": str(file), "as_of": as_of.astimezone(UTC).replace(tzinfo=None)}).fetchall()
        found = db.execute(_ROWS, {"file": str(file), "most": PER_CONTROL})
        names = [column[0] for column in found.description or ()]
        rows = [_row(dict(zip(names, row, strict=True))) for row in found.fetchall()]
    total: Counter[str] = Counter()
    standing: Counter[str] = Counter()
    excepted = unobserved = overdue = 0
    for control, severity, state, late, unseen, count in counts:
        total[control] += count
        standing[severity] += count if state == "open" else 0
        excepted += count if state == "excepted" else 0
        overdue += count if late else 0
        unobserved += count if unseen else 0
    by_control: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_control.setdefault(row["control"], []).append(row)
    return Shown(
        open=standing, excepted=excepted, unobserved=unobserved, overdue=overdue, total=total,
        rows={control: tuple(held) for control, held in by_control.items()},
        worst=tuple(row for row in rows[:WORST] if row["state"] == "open"),
    )  # fmt: skip


def _row(row: dict[str, Any]) -> dict[str, Any]:
    told = {source["fact"]: source for source in orjson.loads(row["sources"])}
    times = {name: value.replace(tzinfo=UTC) for name, value in row.items() if isinstance(value, datetime)}
    facts = [{"name": name, "value": value, "told": told.get(name)} for name, value in orjson.loads(row["facts"]).items()]
    return row | times | {"facts": facts}
