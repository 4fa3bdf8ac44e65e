"""What differs between the registers of two runs, as the verdicts read them: the `register_*` tables that each run sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.inventory import sql_text
from countersign.run_difference.inventory_changes import FACT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from countersign.run_difference.sealed import Sealed

_START = "register_"
_LIMITS = ("policies", "limits", "default_policies", "workloads")
_NUMBERED = frozenset({"policies", "limits", "default_policies", "scope_policies"})
"""Tables of limits: their numbers mean nothing outside of their run, so they are compared by what they say."""
_ENTRY = {
    "workloads": "workload", "patterns": "workload", "partners": "partner", "footprint": "partner", "controls": "control",
    "exceptions": "exception", "incidents": "incident", "incident_patterns": "incident", "environments": "environment",
}  # fmt: skip
"""Table to the kind of entry that its first column names; another table goes by its own name."""
_MEMBERS = {
    "patterns": ("identities", "concat(provider, ':', scope, ':', kind, '/', name)"),
    "incident_patterns": ("identities", "concat(provider, ':', scope, ':', kind, '/', name)"),
    "environments": ("scopes", "concat(provider, ':', scope)"),
    "footprint": ("footprint", "concat(kind, ' ', key || '=', value)"),
}
"""Table with several rows for an entry to the name and the SQL of what they are together."""
_DAY, _HOUR = 86_400_000_000, 3_600_000_000


def compare(db: duckdb.DuckDBPyConnection, before: Sealed, after: Sealed) -> None:
    """Add the register's entries to `changes`; a table or column that only one of the runs has is left out."""
    names = sorted(name.removeprefix(_START) for name in before.tables() & after.tables() if name.startswith(_START))
    files = [{name: f"read_parquet({sql_text(run.table(_START + name))})" for name in names} for run in (before, after)]
    columns = [{name: [row[0] for row in db.execute(f"DESCRIBE FROM {side[name]}").fetchall()] for name in names} for side in files]
    shared = {name: [column for column in columns[0][name] if column in columns[1][name]] for name in names}
    several = {name for name in names if any(_has_several(db, side[name], shared[name][0]) for side in files)}
    for side, tables in zip(("before", "after"), files, strict=True):
        db.execute(f"CREATE OR REPLACE TEMP TABLE said_{side} (entry VARCHAR, fact VARCHAR, value JSON, is_entry BOOLEAN)")
        for name in names:
            if name not in _NUMBERED:
                query = _together(name, tables[name], shared[name]) if name in several or name in _MEMBERS else None
                db.execute(f"INSERT INTO said_{side} {query or _one_by_one(name, tables[name], shared[name])}")
        if set(_LIMITS) <= set(names):
            db.execute(f"INSERT INTO said_{side} {_limits(tables, shared)}")
    _add(db)


def _has_several(db: duckdb.DuckDBPyConnection, table: str, key: str) -> bool:
    return db.execute(f"SELECT count(*) > count(DISTINCT {key}) FROM {table}").fetchone() == (True,)


def _entry(name: str, key: str) -> str:
    return f"concat('{_ENTRY.get(name, name)}/', coalesce(nullif({key}::VARCHAR, ''), 'customer'))"


def _together(name: str, table: str, columns: Sequence[str]) -> str:
    """Return the query of a table that has several rows for an entry: they are one fact of it, whatever their order."""
    fact, row = _MEMBERS.get(name, (name, f"concat_ws(' ', {', '.join(f'{column}::VARCHAR' for column in columns[1:])})"))
    return f"SELECT {_entry(name, columns[0])}, '{fact}', to_json(list_sort(list({row}))), FALSE FROM {table} GROUP BY 1"


def _one_by_one(name: str, table: str, columns: Sequence[str]) -> str:
    """Return the query of a table with one row for an entry: a fact for each column."""
    # An end is said by its day, and limits by what they are instead of by their number.
    facts = [name for name in columns[1:] if name != "policy" and f"{name.removesuffix('_at')}_on" not in columns]
    each = ", ".join(f"{{'fact': '{fact.removesuffix('_us')}', 'value': {_value(fact)}}}" for fact in facts)
    said = f"[{each}]" if each else "[{'fact': 'there', 'value': to_json(TRUE)}]"
    return (
        f"SELECT entry, told.fact, told.value, TRUE FROM (SELECT {_entry(name, columns[0])} AS entry, unnest({said}) AS told FROM {table})"
    )


def _value(column: str) -> str:
    if not column.endswith("_us"):
        return f"to_json({column})"
    days, hours = f"{column} // {_DAY} || ' days'", f"round({column} / {_HOUR}, 2) || ' hours'"
    return f"to_json(CASE WHEN {column} % {_DAY} = 0 THEN {days} ELSE {hours} END)"


def _limits(tables: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> str:
    """Return the query of the limits: the customer's, and of a partner, an environment and a workload what differs from those above."""
    said = {
        table: ", ".join(
            f"{{'fact': concat_ws(' ', track, '{column.removesuffix('_us')}'{more}), 'value': {_value(column)}}}"
            for column in columns[table]
            if column.endswith("_us") or column in ("mfa_required", "must_expire")
        )
        for table, more in (("policies", ""), ("limits", ", policy_kind"))
    }
    return f"""
        WITH told AS (
            SELECT policy, unnest([{said["policies"]}]) AS each FROM {tables["policies"]}
            UNION ALL SELECT policy, unnest([{said["limits"]}]) FROM {tables["limits"]}
        ),
        says AS (SELECT policy, each.fact AS fact, each.value AS value FROM told),
        defaults AS (FROM {tables["default_policies"]}),
        top AS (SELECT policy FROM defaults WHERE partner = '' AND environment = ''),
        under AS (
            SELECT concat('limits/', coalesce(nullif(partner, ''), 'customer'), ' in ' || nullif(environment, '')) AS entry, '' AS start,
                   d.policy, top.policy AS above
            FROM defaults d CROSS JOIN top WHERE partner <> '' OR environment <> ''
            UNION ALL
            SELECT concat('workload/', w.workload), 'limit of ', w.policy, d.policy FROM {tables["workloads"]} w
            JOIN defaults d ON d.partner = coalesce(w.partner, '') AND d.environment = coalesce(w.environment, '') AND d.policy <> w.policy
        )
        SELECT 'limits/customer', fact, value, FALSE FROM says JOIN top USING (policy) WHERE value IS NOT NULL
        UNION ALL
        SELECT u.entry, u.start || s.fact, s.value, FALSE FROM under u JOIN says s ON s.policy = u.policy
        LEFT JOIN says o ON o.policy = u.above AND o.fact = s.fact WHERE s.value IS DISTINCT FROM o.value"""


def _add(db: duckdb.DuckDBPyConnection) -> None:
    db.execute(f"""
        INSERT INTO changes
        WITH said AS (
            SELECT coalesce(a.entry, b.entry) AS entry, coalesce(a.fact, b.fact) AS fact, a.value AS before, b.value AS after
            FROM said_before a FULL JOIN said_after b ON a.entry = b.entry AND a.fact = b.fact
        ),
        there AS (
            SELECT coalesce(a.entry, b.entry) AS entry, a.entry IS NULL AS fresh, b.entry IS NULL AS lost
            FROM (SELECT DISTINCT entry FROM said_before WHERE is_entry) a
            FULL JOIN (SELECT DISTINCT entry FROM said_after WHERE is_entry) b ON a.entry = b.entry
        ),
        told AS (
            SELECT o.entry, CASE WHEN bool_or(t.fresh) THEN 'new' WHEN bool_or(t.lost) THEN 'gone' ELSE 'changed' END AS what,
                   [CASE WHEN split_part(o.entry, '/', 1) IN ('partner', 'limits') THEN split_part(split_part(o.entry, '/', 2), ' ', 1) END,
                    any_value(o.before ->> '$') FILTER (o.fact = 'partner'),
                    any_value(o.after ->> '$') FILTER (o.fact = 'partner')] AS partners,
                   list({{'fact': o.fact, 'before': o.before, 'after': o.after, 'why_before': NULL, 'why_after': NULL}}::{FACT}
                        ORDER BY o.fact) FILTER (o.before IS DISTINCT FROM o.after) AS facts
            FROM said o LEFT JOIN there t ON t.entry = o.entry GROUP BY o.entry
        )
        SELECT 'register', what, entry, split_part(entry, '/', 1), NULL, 'register', NULL, NULL, NULL, NULL, partners, NULL, NULL,
               CASE WHEN what = 'changed' THEN facts ELSE [] END, NULL
        FROM told WHERE what <> 'changed' OR len(facts) > 0""")
