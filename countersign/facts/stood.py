"""The findings that stood when the last judged run ended, and what tonight's facts say of each: a clock runs only for what still fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from countersign.expectation import expectations
from countersign.inventory import sql_text

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from countersign.expectation import Expectation

_TEXTS = (
    "fingerprint", "control", "subject", "subject_kind", "identity", "identity_name", "provider", "scope", "partner", "accountable",
    "severity", "state", "ticket_key", "partner_then",
)  # fmt: skip
_TIMES = (
    "first_seen", "since", "due", "looked_before", "excepted_until", "unobserved_since", "opened_at", "seen_at", "known_until",
)  # fmt: skip
_KINDS = dict.fromkeys(_TEXTS, "VARCHAR") | dict.fromkeys(_TIMES, "TIMESTAMP") | {"told": "BOOLEAN"}
_OLDER = {"partner_then": "partner", "opened_at": "since"}
"""What stands in for what an older version did not say."""
_LISTED_AS = """CASE WHEN starts_with(subject, provider || ':' || scope || ':')
    THEN regexp_extract(substr(subject, length(provider) + length(scope) + 3), '^(source/.*|[^/]*)', 1) END"""


def recall(db: duckdb.DuckDBPyConnection, last: Path | None) -> None:
    """Make the view `stood` of the findings that the run in the evidence folder `last` left open or excepted.

    What a run of an older version did not say is null, and `ticket_told` says whether it named tickets. None: there are no findings.
    `listed_as` is the kind of subject by whose listing its absence can be known, of a source the whole name. A run that the guard stopped
    closed and began nothing: what it thought gone stands, and what it thought new does not.
    """
    file = None if last is None else last / "findings.parquet"
    held: set[str] = set()
    rows = "(SELECT 'resolved' AS state)"
    if file is not None and file.exists():
        rows = f"read_parquet({sql_text(file)})"
        held = _columns(db, rows)
    older = {name: instead for name, instead in _OLDER.items() if instead in held}
    columns = ", ".join(name if name in held else f"{older.get(name, 'NULL')}::{kind} AS {name}" for name, kind in _KINDS.items())
    told = "TRUE" if "ticket_key" in held else "FALSE"
    stands = "found.state <> 'resolved'"
    if "event" in held and _was_stopped(last):
        stands = f"({stands} OR found.event = 'resolved') AND found.event NOT IN ('new', 'reopened')"
    db.execute(f"""
        CREATE OR REPLACE VIEW stood AS SELECT *, {_LISTED_AS} AS listed_as
        FROM (SELECT {columns}, {told} AS ticket_told FROM {rows} found WHERE {stands})""")


def look_again(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `tonight` (fingerprint, verdict `fails`, `unknown` or `over`) of the findings of `stood` whose subject is still there.

    Reads `facts_<kind>`, each in one pass.
    """
    db.execute("CREATE TEMP TABLE tonight (fingerprint VARCHAR, verdict VARCHAR)")
    records = {record.id: record for record in expectations()}
    judged: dict[str, list[Expectation]] = {}
    for control, kind in db.execute("SELECT DISTINCT control, subject_kind FROM stood ORDER BY ALL").fetchall():
        if control in records and kind in records[control].subjects and kind != "finding":
            judged.setdefault(kind, []).append(records[control])
    for kind, mine in judged.items():
        held = _columns(db, f"facts_{kind}")
        named = sorted({name for record in mine for name in (record.population, record.holds.column)})
        facts = ", ".join(f'"{name}"' if name in held else f'NULL AS "{name}"' for name in named)
        cases = " ".join(f"WHEN {sql_text(record.id)} THEN {_verdict(record)}" for record in mine)
        db.execute(f"""
            INSERT INTO tonight SELECT _finding, CASE _control {cases} END
            FROM (SELECT fingerprint AS _finding, control AS _control, subject AS _subject FROM stood WHERE subject_kind = '{kind}')
            JOIN (SELECT subject AS _subject, {facts} FROM facts_{kind}) USING (_subject)""")


def _was_stopped(last: Path | None) -> bool:
    plan = None if last is None else last / "plan.json"
    return plan is not None and plan.exists() and orjson.loads(plan.read_bytes()).get("stopped") is not None


def _verdict(record: Expectation) -> str:
    population, fact = f'"{record.population}"', f'"{record.holds.column}"'
    unknown = f"{population} IS NULL OR ({population} AND {fact} IS NULL)"
    return f"CASE WHEN {unknown} THEN 'unknown' WHEN {population} AND ({record.holds.breaks()}) THEN 'fails' ELSE 'over' END"


def _columns(db: duckdb.DuckDBPyConnection, rows: str) -> set[str]:
    return {name for name, *_ in db.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()}
