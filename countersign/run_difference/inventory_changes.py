"""What differs between the inventories of two runs, fact by fact, as rows of a table `changes` in DuckDB.

Only keys whose rows differ in what does not move by itself are ever put side by side, so a quiet night costs a few hashes a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from countersign.clock import instant
from countersign.inventory import TABLES, sql_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from countersign.run_difference.looked import Looked
    from countersign.run_difference.sealed import Sealed

IN_USE = timedelta(days=30)
"""Used within this time before the earlier run, a thing is in use, and its next use is no news."""
KINDS = ("identities", "credentials", "grants", "trusts")
FACT = "STRUCT(fact VARCHAR, before JSON, after JSON, why_before VARCHAR, why_after VARCHAR)"
"""One fact that differs; `why_*` is why it is not known on that side."""
CHANGES = f"""
    CREATE TABLE changes (
        kind VARCHAR, what VARCHAR, subject VARCHAR, subject_kind VARCHAR, name VARCHAR, provider VARCHAR, scope VARCHAR, holder VARCHAR,
        control VARCHAR, severity VARCHAR, partners VARCHAR[], reason VARCHAR, side VARCHAR, facts {FACT}[], extra JSON
    )"""
"""`side` is the run that did not look (`before`, `after`) where `what` is `unobserved`; `holder` the identity that it is part of."""
_SILENT = "the source does not say"
_NULL_IS_UNKNOWN = frozenset({"track", "enabled", "console", "mfa", "created_at", "last_active_state", "last_used_state", "power"})
_MOVES = frozenset({"observed_at", "use_seen_to", "ttl_s"})
"""Facts that are other ones every night and mean nothing by themselves."""
_USES = ("last_used_at", "last_active_at")
_NO_FACTS = frozenset({"uid", "identity_uid", "provider", "scope", "kind", "native_id", "unknown"})
# An AWS key goes by its holder and the second of its creation until its id is asked for (decision 0006): it is the same key.
_RENAMED = """
    UPDATE one_before SET key = renamed.key FROM (
        SELECT a.key AS former, b.key FROM one_before a JOIN one_after b ON a.holder = b.holder AND a.subject_kind = b.subject_kind
        WHERE a.provider = 'aws' AND a.subject_kind = 'access-key' AND contains(a.key, '@') <> contains(b.key, '@')
          AND date_trunc('second', a.created_at) = date_trunc('second', b.created_at)
          AND a.key NOT IN (SELECT key FROM one_after) AND b.key NOT IN (SELECT key FROM one_before)
        QUALIFY count(*) OVER (PARTITION BY a.key) = 1 AND count(*) OVER (PARTITION BY b.key) = 1
    ) renamed WHERE one_before.key = renamed.former"""


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the inventory: what makes a row the same one in two runs, and what may differ."""

    name: str
    key: str
    holder: str
    said_name: str
    facts: dict[str, str]
    """Fact to the SQL of its value."""
    grouped: bool = False
    """Whether several rows may have one key; a fact is then the list of all their values."""


def _values(table: str) -> dict[str, str]:
    values = {name: name for name in TABLES[table] if name not in _NO_FACTS}
    for name in values:
        if name.endswith("_state"):
            values[name] = f"nullif({name}, 'unknown')"
        # Neither has an order of its own, so another order is no difference.
        elif TABLES[table][name].endswith("[]"):
            values[name] = f"CASE WHEN len({name}) > 1 THEN list_sort({name}) ELSE {name} END"
        elif TABLES[table][name].startswith("MAP"):
            values[name] = f"CASE WHEN cardinality({name}) > 1 THEN map_from_entries(list_sort(map_entries({name}))) ELSE {name} END"
    return values


_GRANT = """concat(role, CASE WHEN resource <> '*' THEN ' on ' || resource END, CASE WHEN via <> 'direct' THEN ' (' || via || ')' END)"""
_TABLES = (
    _Table("identities", "uid", "uid", "name", _values("identities")),
    _Table("credentials", "uid", "identity_uid", "name", _values("credentials")),
    _Table(
        "grants",
        "concat_ws(chr(31), identity_uid, role, resource, via)",
        "identity_uid",
        _GRANT,
        {"power": "power", "rule": "rule"},
        grouped=True,
    ),
    _Table(
        "trusts",
        "concat_ws(chr(31), identity_uid, party_kind, party)",
        "identity_uid",
        "party_kind || ' ' || party",
        {"condition": "condition"},
        grouped=True,
    ),
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What counts as a difference."""

    all_facts: bool
    in_use_since: str
    """SQL of the time after which a thing's last use makes it one that is in use."""

    def facts(self, table: _Table) -> list[str]:
        return [fact for fact in table.facts if self.all_facts or fact not in _MOVES]

    def steady(self, table: _Table, fact: str) -> str:
        """Return what of a fact makes a difference by itself: not the next use of what is in use, nor a renewal of what has a TTL."""
        if not self.all_facts and fact in _USES:
            return f"CASE WHEN {fact} < {self.in_use_since} THEN {fact} END"
        if not self.all_facts and fact == "expires_at":
            return "CASE WHEN ttl_s IS NULL THEN expires_at END, expires_at IS NULL"
        return table.facts[fact]

    def differs(self, fact: str) -> str:
        """Return the condition under which a fact of `a` and of `b` is told as different, in the words of `steady`."""
        plain = f"a.{fact} IS DISTINCT FROM b.{fact}"
        if not self.all_facts and fact in _USES:
            state = fact.replace("_at", "_state")
            return f"{plain} AND (a.{fact} < {self.in_use_since} OR a.{state} IS DISTINCT FROM b.{state})"
        if not self.all_facts and fact == "expires_at":
            return f"{plain} AND (a.ttl_s IS NULL OR b.ttl_s IS NULL OR a.expires_at IS NULL OR b.expires_at IS NULL)"
        return plain


def compare(  # noqa: PLR0913 - two runs, what each looked at, and what is asked
    db: duckdb.DuckDBPyConnection,
    before: Sealed,
    after: Sealed,
    looked: tuple[Looked, Looked],
    kinds: Iterable[str],
    *,
    all_facts: bool,
) -> None:
    """Add what differs in the tables `kinds` to `changes`; `all_facts` counts what moves by itself as a difference too."""
    wanted = frozenset(kinds)
    if not wanted:
        return
    rule = _Rule(all_facts, f"TIMESTAMP '{instant(before.predicate['asOf']) - IN_USE:%Y-%m-%d %H:%M:%S}'")
    for side, run in (("before", before), ("after", after)):
        for name in wanted | {"identities"}:
            db.execute(f"CREATE OR REPLACE TEMP VIEW {side}_{name} AS SELECT * FROM read_parquet({sql_text(run.table(name))})")
    for table in _TABLES:
        if table.name in wanted:
            _put_side_by_side(db, table, rule)
            if table.name == "credentials":
                db.execute(_RENAMED)
            _meet(db, table, rule)
            _keep_unseen(db, looked)
            _add(db, table)


def _put_side_by_side(db: duckdb.DuckDBPyConnection, table: _Table, rule: _Rule) -> None:
    """Make `one_before` and `one_after`: the rows of every key of which any row differs."""
    steady = ", ".join([table.key, *(rule.steady(table, fact) for fact in rule.facts(table))])
    for side in ("before", "after"):
        db.execute(
            f"CREATE OR REPLACE TEMP TABLE hashed_{side} AS SELECT {table.key} AS key, hash({steady}) AS mark FROM {side}_{table.name}"
        )
    db.execute("""
        CREATE OR REPLACE TEMP TABLE differing AS
        SELECT key FROM hashed_before ANTI JOIN hashed_after USING (mark)
        UNION SELECT key FROM hashed_after ANTI JOIN hashed_before USING (mark)""")
    for side in ("before", "after"):
        db.execute(f"DROP TABLE hashed_{side}")
        values = ", ".join(f"{value} AS {fact}" for fact, value in table.facts.items())
        rest = "NULL::VARCHAR AS subject_kind, NULL::MAP(VARCHAR, VARCHAR) AS unknown" if table.grouped else "kind AS subject_kind, unknown"
        subject = table.holder if table.grouped else "uid"
        query = f"""
            SELECT * FROM (
                SELECT {table.key} AS key, {subject} AS subject, {table.holder} AS holder, {table.said_name} AS said_name,
                       provider, scope, {rest}, {values} FROM {side}_{table.name}
            ) SEMI JOIN differing USING (key)"""
        if table.grouped:
            together = ", ".join(f"list(DISTINCT {fact} ORDER BY {fact}) AS {fact}" for fact in table.facts)
            one = ("subject", "holder", "said_name", "provider", "scope", "subject_kind", "unknown")
            query = f"SELECT key, {', '.join(f'any_value({name}) AS {name}' for name in one)}, {together} FROM ({query}) GROUP BY key"
        db.execute(f"CREATE OR REPLACE TEMP TABLE one_{side} AS {query}")


def _meet(db: duckdb.DuckDBPyConnection, table: _Table, rule: _Rule) -> None:
    """Make `met`: what either run has, with its facts that differ and the identity that it is part of."""
    # What an identity may do, or who may be it, can be unknown though the identity itself was read.
    lacking = [f"{side}.unknown['{table.name}']" if table.grouped else "NULL::VARCHAR" for side in ("ha", "hb")]
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE met AS
        SELECT coalesce(b.subject, a.subject) AS subject, coalesce(b.holder, a.holder) AS holder,
               coalesce(b.provider, a.provider) AS provider, coalesce(b.scope, a.scope) AS scope,
               coalesce(b.subject_kind, a.subject_kind, hb.kind, ha.kind, split_part(replace(coalesce(a.subject, b.subject),
                        concat(coalesce(b.provider, a.provider), ':', coalesce(b.scope, a.scope), ':'), ''), '/', 1)) AS subject_kind,
               coalesce(b.said_name, a.said_name) AS said_name, coalesce(hb.name, ha.name) AS holder_name,
               coalesce(hb.scope, ha.scope, b.scope, a.scope) AS holder_scope,
               a.key IS NULL AS fresh, b.key IS NULL AS lost, {lacking[0]} AS why_before, {lacking[1]} AS why_after,
               CASE WHEN a.key IS NULL OR b.key IS NULL THEN [] ELSE list_filter([{", ".join(_facts(table, rule))}],
                    lambda each: each IS NOT NULL) END AS facts
        FROM one_before a FULL JOIN one_after b USING (key)
        LEFT JOIN before_identities ha ON ha.uid = coalesce(a.holder, b.holder)
        LEFT JOIN after_identities hb ON hb.uid = coalesce(b.holder, a.holder)""")


def _facts(table: _Table, rule: _Rule) -> Iterator[str]:
    """Yield the SQL of each fact that differs; null where it does not."""
    for fact in rule.facts(table):
        values = ", ".join(f"'{name}': {_value(table, side, fact)}" for name, side in (("before", "a"), ("after", "b")))
        whys = ", ".join(f"'{name}': {_why(table, side, fact)}" for name, side in (("why_before", "a"), ("why_after", "b")))
        yield f"CASE WHEN {rule.differs(fact)} THEN {{'fact': '{fact}', {values}, {whys}}}::{FACT} END"


def _value(table: _Table, side: str, fact: str) -> str:
    """Return a fact as JSON; of several rows of one key all values count, one alone is said plainly."""
    column = f"{side}.{fact}"
    return f"CASE WHEN len({column}) > 1 THEN to_json({column}) ELSE to_json({column}[1]) END" if table.grouped else f"to_json({column})"


def _why(table: _Table, side: str, fact: str) -> str:
    """Return why a fact is not known on one side; null where it is, also where the provider says that there is none."""
    silent = f"'{_SILENT}'" if fact in _NULL_IS_UNKNOWN else "NULL"
    if table.grouped:
        return f"CASE WHEN list_count({side}.{fact}) < len({side}.{fact}) THEN {silent} END"
    fields = (fact, fact.replace("_state", "_at")) if fact.endswith("_state") else (fact,)
    given = ", ".join(f"{side}.unknown['{field}']" for field in fields)
    return f"CASE WHEN {side}.{fact} IS NULL THEN coalesce({given}, {silent}) END"


def _keep_unseen(db: duckdb.DuckDBPyConnection, looked: tuple[Looked, Looked]) -> None:
    """Make `unseen`: each place and kind in which one of the runs would not have seen what the other saw, with the reason."""
    rows = []
    places = db.execute("SELECT DISTINCT provider, scope, holder_scope, subject_kind, lost FROM met WHERE lost OR fresh").fetchall()
    for provider, scope, holder_scope, kind, lost in places:
        run = looked[1] if lost else looked[0]
        why = run.missing(provider, scope, kind) or run.missing(provider, holder_scope, kind)
        if why is not None:
            rows.append((lost, provider, scope, holder_scope, kind, why))
    columns = "lost BOOLEAN, provider VARCHAR, scope VARCHAR, holder_scope VARCHAR, subject_kind VARCHAR, why VARCHAR"
    db.execute(f"CREATE OR REPLACE TEMP TABLE unseen ({columns})")
    if rows:
        db.executemany("INSERT INTO unseen VALUES (?, ?, ?, ?, ?, ?)", rows)


def _add(db: duckdb.DuckDBPyConnection, table: _Table) -> None:
    """Say of each that differs whether it is new, changed, gone, or was not looked at, and add it to `changes`."""
    # A grant goes by the name of its identity too; a credential that has no name of its own, by its identity's alone.
    name = "concat(m.holder_name || ': ', m.said_name)" if table.grouped else "coalesce(m.said_name, m.holder_name)"
    db.execute(f"""
        INSERT INTO changes
        WITH judged AS (
            SELECT m.*, CASE WHEN m.lost THEN coalesce(u.why, m.why_after)
                             WHEN m.fresh THEN coalesce(u.why, m.why_before) END AS unseen_why,
                   list_filter(m.facts, lambda each: each.why_before IS NULL AND each.why_after IS NULL) AS known,
                   list_filter(m.facts, lambda each: each.why_after IS NOT NULL) AS forgotten
            FROM met m
            LEFT JOIN unseen u ON u.lost = m.lost AND u.provider = m.provider AND u.scope = m.scope
                               AND u.holder_scope = m.holder_scope AND u.subject_kind = m.subject_kind
            WHERE m.lost OR m.fresh OR len(m.facts) > 0
        )
        SELECT '{table.name}',
               CASE WHEN m.unseen_why IS NOT NULL THEN 'unobserved' WHEN m.lost THEN 'gone' WHEN m.fresh THEN 'new'
                    WHEN len(m.known) > 0 THEN 'changed' ELSE 'unobserved' END AS what,
               m.subject, m.subject_kind, {name}, m.provider, m.scope, m.holder, NULL, NULL, NULL,
               CASE WHEN m.lost OR m.fresh THEN m.unseen_why
                    WHEN len(m.known) = 0 AND len(m.forgotten) > 0 THEN concat(m.forgotten[1].fact, ': ', m.forgotten[1].why_after)
                    WHEN len(m.known) = 0 THEN concat(m.facts[1].fact, ': ', m.facts[1].why_before) END,
               CASE WHEN what = 'unobserved' THEN CASE WHEN m.lost OR len(m.forgotten) > 0 THEN 'after' ELSE 'before' END END,
               m.facts, NULL
        FROM judged m""")
