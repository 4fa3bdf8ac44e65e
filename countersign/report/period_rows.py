"""What the page of a period asks its tables: counts of everything, and of long tables only the worst rows, however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

MOST = 300
"""Rows of one table that the page shows."""
FEW = 100
"""The same for tables that stand beside a summary of theirs."""
_WORST = "list_position(['critical', 'high', 'medium', 'low'], severity)"

NIGHTS = "SELECT * FROM nights ORDER BY day"
CONTROLS = f"""
    SELECT c.*, coalesce(r.unknown_scopes, 0) AS unknown_scopes
    FROM controls c
    LEFT JOIN (SELECT control, arg_max(unknown_scopes, sequence) AS unknown_scopes FROM results GROUP BY ALL) r USING (control)
    ORDER BY list_position(['fail', 'unknown', 'pass'], verdict) NULLS LAST, {_WORST}, failed DESC, control
"""  # noqa: S608 - put together from the constant above
FAILED = "SELECT control, sequence, CASE WHEN unknown < population THEN failed END AS failed FROM results"
"""Of a night on which nothing about a control was known, there is no number."""
# A finding stands from the run that found it to the run that saw it hold: neither the day it began nor that of its due date.
STANDING = """
    SELECT severity, opened_sequence AS sequence, count(*) AS change FROM spells GROUP BY ALL
    UNION ALL SELECT severity, closed_sequence, -count(*) FROM spells WHERE closed IS NOT NULL GROUP BY ALL
"""
FINDINGS = """
    SELECT severity, count(*) FILTER (state = 'open') AS open, count(*) FILTER (state = 'excepted') AS excepted,
        count(*) FILTER (state = 'resolved') AS resolved, count(*) FILTER (state <> 'resolved' AND overdue_days > 0) AS overdue,
        count(*) FILTER (state <> 'resolved' AND due IS NULL) AS no_due,
        count(*) FILTER (state <> 'resolved' AND unobserved_since IS NOT NULL) AS unobserved,
        count(*) FILTER (overdue_days > 0) AS ever_overdue, count(*) FILTER (opened_sequence IS NOT NULL) AS opened
    FROM spells GROUP BY severity
"""
OVERDUE = f"""
    SELECT *, count(*) OVER () AS of_all FROM spells WHERE overdue_days > 0
    ORDER BY overdue_days DESC, closed IS NOT NULL, {_WORST}, control, subject, opened, fingerprint LIMIT $most
"""  # noqa: S608 - as above
OPEN = f"""
    SELECT *, count(*) OVER () AS of_all FROM spells WHERE state <> 'resolved'
    ORDER BY state = 'excepted', {_WORST}, days DESC, control, subject, opened, fingerprint LIMIT $most
"""  # noqa: S608 - as above
TICKETS = f"""
    SELECT *, count(*) OVER () AS of_all FROM tickets
    ORDER BY closed IS NOT NULL, overdue_days DESC NULLS LAST, {_WORST}, opened, key LIMIT $most
"""  # noqa: S608 - as above
TICKET_COUNTS = """
    SELECT count(*) AS all, count(*) FILTER (closed IS NULL) AS open, count(*) FILTER (closed IS NULL AND overdue_days > 0) AS overdue,
        count(*) FILTER (opened_sequence IS NOT NULL) AS opened, count(*) FILTER (closed IS NOT NULL) AS closed,
        count(*) FILTER (closed IS NULL AND failures > 0) AS failing, count(*) FILTER (closed IS NULL AND ticket IS NULL) AS unopened
    FROM tickets
"""
CLOCKS = """
    SELECT clock, count(*) AS all, count(*) FILTER (met AND NOT coalesce(running, false)) AS met, count(*) FILTER (NOT met) AS missed,
        count(*) FILTER (coalesce(running, false) AND met IS DISTINCT FROM false AND agreed_seconds IS NOT NULL) AS running,
        count(*) FILTER (agreed_seconds IS NULL) AS no_level, min(agreed_seconds) AS least_agreed, max(agreed_seconds) AS most_agreed,
        quantile_disc(taken_seconds, 0.5) FILTER (NOT coalesce(running, false)) AS median, max(taken_seconds) AS longest
    FROM clocks GROUP BY clock ORDER BY list_position(['detect', 'escalate', 'rotate', 'revoke'], clock), clock
"""
MISSED = f"""
    SELECT c.clock, c.agreed_seconds, c.taken_seconds, c.running, s.*, count(*) OVER () AS of_all
    FROM clocks c JOIN spells s USING (fingerprint, opened) WHERE NOT c.met
    ORDER BY c.taken_seconds - c.agreed_seconds DESC NULLS LAST, {_WORST}, s.subject, c.clock, s.fingerprint, s.opened LIMIT $most
"""  # noqa: S608 - as above
EXCEPTIONS = """
    SELECT e.*, c.accountable, count(*) OVER () AS of_all FROM exceptions e LEFT JOIN controls c USING (control)
    ORDER BY e.state = 'invalid' DESC NULLS LAST, e.refused_first IS NULL, NOT coalesce(e.in_force, false), e.nights_used DESC,
        e.expires, e.exception LIMIT $most
"""
REFUSED = "SELECT exception, state, nights_used FROM exceptions WHERE refused_first IS NOT NULL AND state <> 'in force' ORDER BY exception"
"""Exceptions that a run refused within their time, and that hold no more."""
IN_FORCE = "SELECT count(*) AS all FROM exceptions WHERE in_force"
PEOPLE = "SELECT * FROM people ORDER BY party IS NOT NULL, party, lower(name), person"
WORKLOADS = """
    SELECT *, count(*) OVER () AS of_all FROM workloads
    ORDER BY accountable IS NOT NULL, partner IS NULL, partner, workload LIMIT $most
"""
PARTNERS = "SELECT * FROM partners ORDER BY partner IS NULL, overdue DESC NULLS LAST, open DESC NULLS LAST, partner"
OFFBOARDINGS = "SELECT * FROM offboardings ORDER BY list_position(['still there', 'unknown', 'gone'], state), ended_on, partner"
DRILLS = "SELECT *, count(*) OVER () AS of_all FROM drills ORDER BY as_of, sequence LIMIT $most"
ACCOUNTABILITY = "SELECT * FROM accountability ORDER BY from_sequence, register_digest, control, step"
SOURCES = """
    SELECT source, provider, scope, count(*) FILTER (state <> 'not configured') AS nights,
        count(*) FILTER (state = 'complete') AS wholly, count(*) FILTER (state = 'partial') AS in_part,
        count(*) FILTER (state NOT IN ('complete', 'partial', 'not configured')) AS lost, count(*) FILTER (passed_over) AS passed_over,
        arg_max(state, sequence) AS state,
        arg_max(identities, sequence) AS identities, arg_max(credentials, sequence) AS credentials, arg_max(caller, sequence) AS caller,
        arg_max(reason, sequence) FILTER (state <> 'complete') AS reason,
        max(as_of) FILTER (state <> 'complete') AS reason_of, count(*) OVER () AS of_all
    FROM sources GROUP BY source, provider, scope
    ORDER BY lost DESC, in_part DESC, source, provider, scope LIMIT $most
"""
COUNTED = """
    SELECT count(*) FILTER (agrees) AS agree, count(*) FILTER (NOT agrees) AS differ, count(*) FILTER (agrees IS NULL) AS untold,
        count(*) AS all
    FROM operations
"""
DIFFER = """
    SELECT *, count(*) OVER () AS of_all FROM operations WHERE NOT agrees
    ORDER BY abs(returned - independent_count) DESC NULLS LAST, sequence DESC, source, scope, operation LIMIT $most
"""
ERRORS = """
    SELECT source, provider, scope, operation, error, count(*) AS times, min(as_of) AS first, max(as_of) AS last, count(*) OVER () AS of_all
    FROM operations WHERE error IS NOT NULL GROUP BY source, provider, scope, operation, error
    ORDER BY times DESC, source, provider, scope, operation, error LIMIT $most
"""
SAMPLED = """
    SELECT s.control, c.title, any_value(s.population) AS population, count(*) AS all, count(*) FILTER (s.verdict = 'pass') AS passed,
        count(*) FILTER (s.verdict = 'fail') AS failed, count(*) FILTER (s.verdict = 'excepted') AS excepted,
        count(*) FILTER (s.verdict = 'unknown') AS unknown
    FROM samples s LEFT JOIN controls c USING (control) GROUP BY s.control, c.title ORDER BY s.control
"""
SAMPLES = "SELECT *, count(*) OVER () AS of_all FROM samples ORDER BY place, control LIMIT $most"
RUNS = "SELECT *, count(*) OVER () AS of_all FROM runs ORDER BY sequence DESC LIMIT $most"
KINDS = """
    SELECT kind, count(*) AS all, count(*) FILTER (timestamped_at IS NOT NULL) AS stamped, min(sequence) AS first, max(sequence) AS last
    FROM runs GROUP BY kind ORDER BY min(sequence)
"""
END = "SELECT statement_digest, as_of, run, sequence, code_version FROM runs ORDER BY sequence DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table that the page shows, and how many there are."""

    rows: tuple[dict[str, Any], ...]
    total: int

    @property
    def more(self) -> int:
        """How many are left out."""
        return self.total - len(self.rows)


def asked(db: duckdb.DuckDBPyConnection, question: str) -> tuple[dict[str, Any], ...]:
    """Return every row that answers a question, by column name."""
    found = db.execute(question)
    names = [column[0] for column in found.description or ()]
    return tuple(dict(zip(names, row, strict=True)) for row in found.fetchall())


def worst(db: duckdb.DuckDBPyConnection, question: str, most: int = MOST) -> Rows:
    """Return the first `most` rows that answer a question whose column `of_all` counts all."""
    found = db.execute(question, {"most": most})
    names = [column[0] for column in found.description or ()]
    rows = tuple(dict(zip(names, row, strict=True)) for row in found.fetchall())
    return Rows(rows, rows[0]["of_all"] if rows else 0)
