"""Everybody who was judged: each subject and control over all nights, counts of a partner's part, samples that anybody draws again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.inventory import sql_text
from countersign.period.database import columns
from countersign.verdicts import ABOUT, EXCEPTED, FAIL, PASS, UNKNOWN, VERDICTS, column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

AT_ONCE = 12
"""Controls that are counted in one pass over the nights, so that the counts of a large estate fit into memory."""
_BITS = 15
"""A night's verdict is counted in its own bits of one number: more than eighty years of nights fit."""


def populations(db: duckdb.DuckDBPyConnection, controls: Iterable[str]) -> None:
    """Fill `populations` from the views `verdicts` and `identities` of the nights."""
    _describe(db)
    judged = tuple(_judged(db, controls))
    for start in range(0, len(judged), AT_ONCE):
        part = judged[start : start + AT_ONCE]
        counts = ", ".join(_counts(place) for place in range(len(part)))
        db.execute(f"""
            CREATE OR REPLACE TEMP TABLE counted AS
            SELECT * FROM (SELECT subject, {counts} FROM ({_daily(db, [name for _, name in part])}) GROUP BY subject)
            JOIN described USING (subject)""")
        for place, (control, _) in enumerate(part):
            db.execute(_of_control(place, control))
    db.execute("DROP TABLE IF EXISTS counted")


def results(db: duckdb.DuckDBPyConnection, controls: Iterable[str]) -> Iterator[tuple[int, str, dict[str, int]]]:
    """Yield run, control and counts by verdict, from the view `verdicts`: of one partner's part, where it holds no more."""
    for control, name in _judged(db, controls):
        counts = ", ".join(f'count(*) FILTER ("{name}" = {sql_text(verdict)})' for verdict in VERDICTS)
        for sequence, *found in db.execute(f"SELECT sequence, {counts} FROM verdicts GROUP BY sequence ORDER BY sequence").fetchall():
            yield sequence, control, dict(zip(VERDICTS, found, strict=True))


def tonight(db: duckdb.DuckDBPyConnection, controls: Iterable[str], sequence: int) -> dict[str | None, dict[str, int]]:
    """Count the verdicts of one run by partner (None: nobody's but the customer's) and verdict, all controls together."""
    judged = tuple(_judged(db, controls))
    if not judged:
        return {}
    sums = ", ".join(
        f"""sum({" + ".join(f'''("{name}" IS NOT DISTINCT FROM {sql_text(verdict)})::INTEGER''' for _, name in judged)})::BIGINT"""
        for verdict in VERDICTS
    )
    kinds = ", ".join(f"count(*) FILTER (subject_kind = {sql_text(kind)})" for kind in ("identity", "credential"))
    rows = db.execute(f"SELECT partner, {kinds}, {sums} FROM verdicts WHERE sequence = ? GROUP BY partner", [sequence]).fetchall()
    return {partner: dict(zip(("identities", "credentials", *VERDICTS), counts, strict=True)) for partner, *counts in rows}


def samples(db: duckdb.DuckDBPyConnection, size: int, seed: str) -> None:
    """Fill `samples` from `populations`: of each control the `size` subjects whose SHA-256 with control and seed is smallest."""
    db.execute(
        """
        INSERT INTO samples BY NAME
        SELECT control, place, draw, subject, identity_name, partner, verdict, first_seen, last_seen, population FROM (
            SELECT *, row_number() OVER (PARTITION BY control ORDER BY draw, subject) AS place FROM (
                SELECT control, subject, sha256(concat(subject, control, $seed)) AS draw, count(*) OVER (PARTITION BY control) AS population
                FROM populations
            ) QUALIFY place <= $size
        ) JOIN populations USING (control, subject)""",
        {"seed": seed, "size": size},
    )


def _describe(db: duckdb.DuckDBPyConnection) -> None:
    """Make `described`: each subject as the last run that saw it had it. A uid names its provider and scope."""
    about = ", ".join(f"v.{name}" for name in ABOUT)
    # provider, scope, kind: a scope may hold colons and slashes, but no kind does, and the name comes last
    parts = "regexp_extract(v.subject, '^([^:]+):(.+?):([a-z0-9_-]+)/', ['provider', 'scope', 'kind'])"
    db.execute(f"""
        CREATE TEMP TABLE seen_last AS
        SELECT subject, max(sequence) AS sequence FROM verdicts GROUP BY subject;
        CREATE TEMP TABLE names AS SELECT uid, arg_max(name, sequence) AS name FROM identities GROUP BY uid;
        CREATE TEMP TABLE described AS
        SELECT s.* EXCLUDE (parts), nullif(parts.provider, '') AS provider, nullif(parts.scope, '') AS scope,
               CASE s.subject_kind WHEN 'register' THEN regexp_extract(s.subject, '/(.*)$', 1, 's') ELSE n.name END AS identity_name
        FROM (SELECT {about}, {parts} AS parts FROM verdicts v JOIN seen_last l ON l.subject = v.subject AND l.sequence = v.sequence) s
        LEFT JOIN names n ON n.uid = coalesce(s.identity, s.subject)""")


def _judged(db: duckdb.DuckDBPyConnection, controls: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each control that the verdicts have a column of, and the column."""
    held = columns(db, "verdicts").keys()
    yield from ((control, column(control)) for control in sorted(set(controls)) if column(control) in held)


def _daily(db: duckdb.DuckDBPyConnection, names: Sequence[str]) -> str:
    """Return a query for each subject's verdict of each day (v), with the first and the last run of the day that had it (b, e).

    On most days there was one run, so its rows are taken as they are.
    """
    alone = ", ".join(f'"{name}" AS v{place}, sequence AS b{place}, sequence AS e{place}' for place, name in enumerate(names))
    query = f"SELECT subject, {alone} FROM verdicts WHERE sequence IN (SELECT sequence FROM entry WHERE alone)"
    if db.execute("SELECT count(*) FROM entry WHERE NOT alone").fetchone() == (0,):
        return query
    # arg_max passes over nulls: what counts is the last run of the day that had the subject in the population
    said = ", ".join(
        f'arg_max("{name}", sequence) AS v{place}, min(sequence) FILTER ("{name}" IS NOT NULL) AS b{place}, '
        f'max(sequence) FILTER ("{name}" IS NOT NULL) AS e{place}'
        for place, name in enumerate(names)
    )
    return (
        f"{query} UNION ALL SELECT subject, {said} FROM verdicts JOIN entry USING (sequence) WHERE NOT alone GROUP BY subject, as_of::DATE"
    )


def _counts(place: int) -> str:
    weights = " ".join(f"WHEN {sql_text(verdict)} THEN {1 << (_BITS * index)}" for index, verdict in enumerate(VERDICTS))
    codes = " ".join(f"WHEN {sql_text(verdict)} THEN {index}" for index, verdict in enumerate(VERDICTS))
    return (
        f"sum(CASE v{place} {weights} END)::BIGINT AS n{place}, min(CASE WHEN v{place} IS NOT NULL THEN b{place} END) AS f{place}, "
        f"max(CASE WHEN v{place} IS NOT NULL THEN e{place} * 4 + CASE v{place} {codes} END END) AS l{place}"
    )


def _of_control(place: int, control: str) -> str:
    counted = {verdict: f"((n{place} >> {_BITS * index}) & {(1 << _BITS) - 1})" for index, verdict in enumerate(VERDICTS)}
    words = ", ".join(sql_text(verdict) for verdict in VERDICTS)
    return f"""
        INSERT INTO populations BY NAME
        SELECT {sql_text(control)} AS control, c.subject, subject_kind, kind, provider, scope, identity, identity_name, partner,
               coalesce(c.accountable, a.accountable) AS accountable, f.as_of AS first_seen, l.as_of AS last_seen,
               {" + ".join(counted.values())} AS nights, {counted[PASS]} AS passed,
               {counted[FAIL]} AS failed, {counted[EXCEPTED]} AS excepted, {counted[UNKNOWN]} AS unknown,
               [{words}][l{place} % 4 + 1] AS verdict
        FROM counted c JOIN entry f ON f.sequence = c.f{place} JOIN entry l ON l.sequence = c.l{place} // 4
        LEFT JOIN answering a ON a.control = {sql_text(control)} AND a.sequence = c.l{place} // 4 WHERE c.f{place} IS NOT NULL"""
