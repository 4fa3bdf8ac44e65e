"""What the OSCAL documents ask the tables of a period: a row for each control and source, and of findings the worst, however many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.period import Period

MOST = 2_000
"""Open findings that a document lists, and excepted ones as many again."""
Row = dict[str, Any]

_CONTROLS = """
    SELECT c.*, r.*, runs.state AS run_state, runs.guard, p.providers
    FROM controls c
    LEFT JOIN (
        SELECT control AS r_control, count(*) AS runs_judged, count(*) FILTER (verdict = 'pass') AS runs_passed,
            count(*) FILTER (verdict = 'fail') AS runs_failed, count(*) FILTER (verdict = 'unknown') AS runs_unknown,
            count(*) FILTER (verdict = 'not assessed') AS runs_not_assessed, max(sequence) AS sequence,
            arg_max(as_of, sequence) AS judged_as_of, arg_max(unknown_scopes, sequence) AS unknown_scopes
        FROM results GROUP BY control
    ) r ON r_control = c.control
    LEFT JOIN runs ON runs.sequence = r.sequence
    LEFT JOIN (
        SELECT control AS p_control, list(DISTINCT provider ORDER BY provider) AS providers FROM populations
        WHERE provider IS NOT NULL GROUP BY control
    ) p ON p_control = c.control
    ORDER BY c.control
"""
# A sum of which a part is not known is not known.
_SOURCES = """
    WITH latest AS (SELECT max(sequence) AS sequence FROM sources)
    SELECT source, provider, count(DISTINCT scope) AS scopes, count(DISTINCT s.sequence) AS runs,
        count(DISTINCT s.sequence) FILTER (state <> 'complete' AND NOT coalesce(passed_over, false)) AS runs_not_complete,
        count(*) FILTER (s.sequence = latest.sequence) AS last_scopes,
        count(*) FILTER (s.sequence = latest.sequence AND state = 'complete') AS last_complete,
        sum(identities) FILTER (s.sequence = latest.sequence) AS identities,
        sum(credentials) FILTER (s.sequence = latest.sequence) AS credentials,
        count(*) FILTER (s.sequence = latest.sequence AND (identities IS NULL OR credentials IS NULL)) AS uncounted
    FROM sources s, latest GROUP BY source, provider ORDER BY source, provider
"""
_STANDING = """
    SELECT s.*, c.title, c.control IS NOT NULL AS is_judged FROM spells s LEFT JOIN controls c USING (control) WHERE s.state = $state
    ORDER BY coalesce(nullif(list_position(['critical', 'high', 'medium', 'low'], s.severity), 0), 5), s.overdue_days DESC NULLS LAST,
        s.days DESC NULLS LAST, s.control, s.subject, s.opened, s.fingerprint
    LIMIT $most
"""
_COUNTS = "SELECT state, count(*) FROM spells GROUP BY state"
_REGISTERS = """
    SELECT register_digest, min(sequence) AS first, max(sequence) AS last FROM runs WHERE judged AND register_digest IS NOT NULL
    GROUP BY register_digest ORDER BY first
"""
_CODE = "SELECT arg_max(code_version, sequence), arg_max(code_commit, sequence) FROM runs WHERE judged"
_NIGHTS = "SELECT * FROM nights ORDER BY day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What both documents are made from."""

    controls: tuple[Row, ...]
    """With the last run that judged each, and how its runs came out."""
    sources: tuple[Row, ...]
    """One for each source and provider, counts as the last judged run had them."""
    open: tuple[Row, ...]
    """The worst open findings, `MOST` at the most."""
    excepted: tuple[Row, ...]
    counts: Mapping[str, int]
    """State of findings to how many there are in all."""
    exceptions: tuple[Row, ...]
    nights: tuple[Row, ...]
    people: tuple[Row, ...]
    registers: tuple[Row, ...]
    """Digests of the registers that were in force, in order, with the first and the last run that had each."""
    code: tuple[str | None, str | None]
    """Version and commit of the program that made the last judged run; None: not known."""


def ask(period: Period) -> Asked:
    """Read it all, bounded by the number of controls, sources, exceptions, people and days, and by `MOST`."""
    with duckdb.connect(str(period.database), read_only=True) as db:
        db.execute("SET memory_limit = '500MB'; SET threads = 2; SET TimeZone = 'UTC'")
        code = db.execute(_CODE).fetchone() or (None, None)
        return Asked(
            controls=_rows(db, _CONTROLS),
            sources=_rows(db, _SOURCES),
            open=_rows(db, _STANDING, {"state": "open", "most": MOST}),
            excepted=_rows(db, _STANDING, {"state": "excepted", "most": MOST}),
            counts=dict(db.execute(_COUNTS).fetchall()),
            exceptions=_rows(db, "SELECT * FROM exceptions ORDER BY exception"),
            nights=_rows(db, _NIGHTS),
            people=_rows(db, "SELECT * FROM people ORDER BY person"),
            registers=_rows(db, _REGISTERS),
            code=(code[0], code[1]),
        )


def _rows(db: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object] | None = None) -> tuple[Row, ...]:
    cursor = db.execute(query, values) if values else db.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchall())
