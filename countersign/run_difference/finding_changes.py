"""What differs between the findings of two runs, with what changed in the inventory behind it, as rows of the table `changes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.clock import instant
from countersign.inventory import sql_text
from countersign.run_difference.inventory_changes import FACT
from countersign.run_difference.sealed import FINDINGS

if TYPE_CHECKING:
    import duckdb

    from countersign.run_difference.looked import Looked
    from countersign.run_difference.sealed import Sealed

BEHIND = 5
"""Changes of the inventory that are named behind one finding."""
_OF_THE_ROW = ("severity", "partner", "accountable", "excepted", "excepted_until", "due")
# Ages and the last use of what is in use are other ones every night; a limit of days is not (`facts_digest` goes by the same rule).
_MOVES = r"(fact IN ('last_used_at', 'activity') OR (fact LIKE '%\_days' ESCAPE '\' AND fact NOT LIKE '%\_limit\_days' ESCAPE '\'))"
# The same in the text of the facts, to hash half a million of them without taking them apart; no value can hold a bare `"`.
_MOVING = r""""(\w+_days|last_used_at|activity)":("([^"\\]|\\.)*"|[^,}]*),?"""
_STEADY = f"regexp_replace(replace(facts, '_limit_days\"', '_limit\"'), '{_MOVING}', '', 'g')"
_KIND = "split_part(replace(subject, concat(provider, ':', scope, ':'), ''), '/', 1)"


def compare(db: duckdb.DuckDBPyConnection, before: Sealed, after: Sealed, looked: Looked, *, all_facts: bool) -> None:
    """Add findings to `changes`; `looked` is what the later run looked at. Those of the inventory must be there already.

    What a finding came to: `new`, `reopened`, `excepted`, `exception-ended`, `changed`, `resolved`, `unobserved`. One that the later run
    does not have any more was resolved by a run between the two: the ledger lets none go without proof.
    """
    mark = f"hash({', '.join(_OF_THE_ROW)}, state, reopened, {'facts' if all_facts else _STEADY})"
    for side, run in (("before", before), ("after", after)):
        file = sql_text(run.file(FINDINGS))
        # By narrow columns: facts are only hashed, and fetched where something differs.
        db.execute(f"""
            CREATE OR REPLACE TEMP TABLE found_{side} AS
            SELECT fingerprint, state, first_seen, reopened, unobserved_since IS NOT NULL AS unseen, {mark} AS mark
            FROM read_parquet({file})""")
        db.execute(f"CREATE OR REPLACE TEMP VIEW {side}_findings AS SELECT *, {_KIND} AS kind FROM read_parquet({file})")
    earlier = f"TIMESTAMP '{instant(before.predicate['asOf']).replace(tzinfo=None)}'"
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE lives AS
        SELECT * FROM (
            SELECT fingerprint, CASE
                WHEN coalesce(b.state, 'resolved') = 'resolved' THEN CASE WHEN a.state <> 'resolved' THEN 'resolved' END
                WHEN b.unseen THEN 'unobserved'
                WHEN b.reopened > CASE WHEN a.state IS NULL AND b.first_seen > {earlier} THEN b.reopened ELSE coalesce(a.reopened, 0) END
                THEN 'reopened'
                WHEN coalesce(a.state, 'resolved') = 'resolved' THEN CASE WHEN a.state IS NULL THEN 'new' ELSE 'reopened' END
                WHEN a.state <> b.state THEN CASE WHEN b.state = 'excepted' THEN 'excepted' ELSE 'exception-ended' END
                WHEN a.mark IS DISTINCT FROM b.mark THEN 'changed' END AS what
            FROM found_before a FULL JOIN found_after b USING (fingerprint)
        ) WHERE what IS NOT NULL""")
    for side in ("before", "after"):
        db.execute(f"CREATE OR REPLACE TEMP TABLE one_{side} AS FROM {side}_findings SEMI JOIN lives USING (fingerprint)")
    _keep_facts(db, all_facts=all_facts)
    _keep_unseen(db, looked)
    _add(db)


def _keep_facts(db: duckdb.DuckDBPyConnection, *, all_facts: bool) -> None:
    """Make `fact_changes`: what differs of each finding that both runs have, the columns of its row first."""
    pairs = "one_before a JOIN one_after b USING (fingerprint)"
    rows = " UNION ALL ".join(
        f"SELECT fingerprint, {place} AS place, '{name}' AS fact, to_json(a.{name}) AS before, to_json(b.{name}) AS after "
        f"FROM {pairs} WHERE a.{name} IS DISTINCT FROM b.{name}"
        for place, name in enumerate(_OF_THE_ROW)
    )
    asked = "TRUE" if all_facts else f"NOT {_MOVES}"
    told_already = ", ".join(map(sql_text, _OF_THE_ROW))
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE fact_changes AS
        WITH told AS (
            SELECT fingerprint, a.facts::JSON AS before, b.facts::JSON AS after,
                   unnest(list_distinct(list_concat(json_keys(a.facts), json_keys(b.facts)))) AS fact
            FROM {pairs} WHERE a.facts <> b.facts
        ),
        found AS (
            {rows}
            UNION ALL
            SELECT fingerprint, {len(_OF_THE_ROW)}, fact, before -> concat('$."', fact, '"'), after -> concat('$."', fact, '"')
            FROM told WHERE {asked} AND fact NOT IN ({told_already})
        )
        SELECT fingerprint, list({{'fact': fact, 'before': before, 'after': after, 'why_before': NULL, 'why_after': NULL}}::{FACT}
                                 ORDER BY place, fact) AS facts
        FROM found WHERE before IS DISTINCT FROM after GROUP BY fingerprint""")


def _keep_unseen(db: duckdb.DuckDBPyConnection, looked: Looked) -> None:
    """Make `unseen`: why the later run could not look at a place and kind that a finding stands in."""
    places = db.execute("""
        SELECT DISTINCT provider, scope, kind FROM one_after
        SEMI JOIN (FROM lives WHERE what = 'unobserved') unseen USING (fingerprint)""").fetchall()
    silent = "it was looked at, and what is known of it is not enough to judge it"
    rows = [(*place, (None if place[0] in ("register", "ledger") else looked.missing(*place)) or silent) for place in places]
    db.execute("CREATE OR REPLACE TEMP TABLE unseen (provider VARCHAR, scope VARCHAR, kind VARCHAR, why VARCHAR)")
    if rows:
        db.executemany("INSERT INTO unseen VALUES (?, ?, ?, ?)", rows)


def _add(db: duckdb.DuckDBPyConnection) -> None:
    """Add the findings to `changes`; behind one that came or went stand the changes of its subject and of its identity."""
    moved = "SELECT fingerprint FROM lives WHERE what IN ('new', 'reopened', 'resolved')"
    found = " UNION ".join(
        f"SELECT {name} AS subject FROM one_{side} SEMI JOIN ({moved}) moved USING (fingerprint)"
        for side in ("before", "after")
        for name in ("subject", "identity")
    )
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE behind AS
        SELECT subject AS about,
               list({{'kind': kind, 'what': what, 'name': name, 'facts': facts}}
                    ORDER BY what = 'gone' DESC, kind, name)[:{BEHIND}] AS changes
        FROM changes SEMI JOIN ({found}) asked USING (subject) WHERE what <> 'unobserved' GROUP BY subject""")
    names = ("control", "subject", "identity", "identity_name", "provider", "scope", "kind", "severity", "reason", "sources")
    columns = ", ".join(f"coalesce(b.{name}, a.{name}) AS {name}" for name in names)
    db.execute(f"""
        INSERT INTO changes
        WITH shown AS (
            SELECT l.*, l.what IN ('new', 'reopened', 'resolved') AS moved, [a.partner, b.partner] AS partners, {columns}
            FROM lives l LEFT JOIN one_before a USING (fingerprint) LEFT JOIN one_after b USING (fingerprint)
        )
        SELECT 'findings', f.what, f.subject, f.kind, f.identity_name, f.provider, f.scope, f.identity, f.control, f.severity, f.partners,
               CASE WHEN f.what = 'unobserved' THEN u.why ELSE f.reason END, CASE WHEN f.what = 'unobserved' THEN 'after' END,
               CASE WHEN f.moved THEN [] ELSE coalesce(c.facts, []) END,
               to_json({{'sources': f.sources, 'behind': list_concat(s.changes, i.changes)}})
        FROM shown f
        LEFT JOIN fact_changes c USING (fingerprint)
        LEFT JOIN unseen u ON u.provider = f.provider AND u.scope = f.scope AND u.kind = f.kind
        LEFT JOIN behind s ON f.moved AND s.about = f.subject
        LEFT JOIN behind i ON f.moved AND i.about = f.identity AND f.identity <> f.subject
        WHERE f.what <> 'changed' OR len(c.facts) > 0""")
