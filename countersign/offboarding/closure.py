"""Everything by which a partner can get in, out of what was read: registered, attributed, created by it, or open to it from outside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from countersign.clock import stamp
from countersign.facts import attribute, opened
from countersign.offboarding.plan import Noted
from countersign.revocation import Holding, Left

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

_GRANT, _TRUST = ("role", "resource", "via"), ("party_kind", "party", "condition")
"""Columns that tell one grant, one trust of an identity from another."""
_WEAK = 5
"""Evidence from this rank on is a tag or a name, which anybody may have chosen."""
_NAMED = 8
"""Names that a sentence tells before it counts the rest."""


@dataclass(frozen=True, slots=True)
class Closure:
    """What is a partner's, and what the approver should know about it."""

    holdings: tuple[Holding, ...]
    undecided: tuple[Left, ...]
    noted: tuple[Noted, ...]
    context: dict[str, Any]
    """`used`: uid to last use (RFC 3339, UTC), for what is known of it."""


def close(database: Path, partner: str, *, only: Sequence[str] = (), without: Iterable[str] = (), also: Sequence[Holding] = ()) -> Closure:
    """Find everything by which a partner can get in, from a run's facts (`countersign.facts.build`).

    `only`: uids of identities to look at, empty for all. `without`: uids of identities or credentials to leave. `also`: holdings of an
    earlier plan, which count even where nothing says any more whose they are; as they are now, and not at all where they are gone.
    """
    with opened(database) as db:
        attribute(db)
        db.execute("SET VARIABLE partner = ?", [partner])
        db.execute(_sql())
        db.execute("CREATE TEMP TABLE left_out (uid VARCHAR)")
        _fill(db, "left_out", without)
        db.execute("CREATE TEMP TABLE wanted (uid VARCHAR)")
        _fill(db, "wanted", only)
        narrowed = "uid NOT IN (SELECT uid FROM left_out)" + (" AND uid IN (SELECT uid FROM wanted)" if only else "")
        db.execute(f"DELETE FROM weighed WHERE NOT ({narrowed})")
        left_out = tuple(without)
        holdings = _with_earlier(db, tuple(_holdings(db)), tuple(held for held in also if not {held.uid, held.identity_uid} & {*left_out}))
        noted = (*_noted(db, partner), *_stop_all_the_same(db, holdings))
        return Closure(holdings, tuple(_undecided(db)), noted, {"used": _used(db, holdings)})


def _holdings(db: duckdb.DuckDBPyConnection) -> Iterator[Holding]:
    mine = "SELECT * FROM weighed WHERE NOT undecided AND NOT is_own AND ((whole AND NOT provider_managed) OR lets_in)"
    told = "w.whole AND NOT w.provider_managed AS _whole, w.how AS _how, w.others AS _others"
    for row in _rows(db, f"SELECT i.*, {told} FROM identities i JOIN ({mine}) w USING (uid) ORDER BY uid"):
        yield _holding(row, "identity", row["uid"], row["uid"])
    whole = f"SELECT * FROM ({mine}) WHERE whole AND NOT provider_managed"
    theirs = f"""
        SELECT c.*, coalesce(c.name, w.name) AS _name, {told} FROM credentials c JOIN ({whole}) w ON w.uid = c.identity_uid
        WHERE c.uid NOT IN (SELECT uid FROM left_out) ORDER BY c.uid"""
    for row in _rows(db, theirs):
        yield _holding(row, "credential", row["uid"], row["identity_uid"])
    for row in _rows(db, f"SELECT g.*, w.name AS _name, {told} FROM grants g JOIN ({whole}) w ON w.uid = g.identity_uid ORDER BY ALL"):
        yield _holding(row, "grant", _part("grant", row, _GRANT), row["identity_uid"])
    trusts = f"""
        SELECT t.*, w.name AS _name, {told} FROM (SELECT DISTINCT * EXCLUDE (party_key, party_of) FROM ways) t
        JOIN ({mine}) w ON w.uid = t.identity_uid WHERE t.is_theirs OR w.whole ORDER BY ALL"""
    for row in _rows(db, trusts):
        yield _holding(row, "trust", _part("trust", row, _TRUST), row["identity_uid"])


def _with_earlier(db: duckdb.DuckDBPyConnection, found: tuple[Holding, ...], also: Sequence[Holding]) -> tuple[Holding, ...]:
    """Add what an earlier plan held and nothing points to any more, as the inventory has it now.

    An identity or credential that was not read stays as it was: some are read for what they may do only, so whoever lost that is out of
    sight and not gone. Whether it is there is for the live look to say. Somebody else's identity counts only with what lets the partner in.
    """
    have = {holding.uid for holding in found}
    missing = [holding for holding in also if holding.uid not in have and (holding.whole or holding.what != "identity")]
    if not missing:
        return found
    db.execute("CREATE TEMP TABLE asked_for (uid VARCHAR)")
    _fill(db, "asked_for", (holding.identity_uid for holding in missing))
    _fill(db, "asked_for", (holding.uid for holding in missing))
    now: dict[str, dict[str, Any]] = {}
    for table in ("identities", "credentials"):
        now |= {row["uid"]: row for row in _rows(db, f"SELECT * FROM {table} WHERE uid IN (SELECT uid FROM asked_for)")}
    for table, name, parts in (("grants", "grant", _GRANT), ("trusts", "trust", _TRUST)):
        for row in _rows(db, f"SELECT * FROM {table} WHERE identity_uid IN (SELECT uid FROM asked_for)"):
            now[_part(name, row, parts)] = row
    again = (replace(held, record=_record(now[held.uid])) if held.uid in now else held for held in missing)
    return (*found, *(held for held in again if held.uid in now or held.what in {"identity", "credential"}))


def _undecided(db: duckdb.DuckDBPyConnection) -> Iterator[Left]:
    for row in _rows(db, "SELECT uid, name, told FROM weighed WHERE undecided AND NOT is_own ORDER BY uid"):
        said = "; ".join(piece[2:] for piece in row["told"][:_NAMED])
        yield Left(
            row["uid"], row["name"], f"evidence points to more than one: {said}", "register it in a workload of whose it is, and plan again"
        )


def _noted(db: duckdb.DuckDBPyConnection, partner: str) -> Iterator[Noted]:
    for row in _rows(db, "SELECT * FROM weighed WHERE is_own ORDER BY uid"):
        said = f"Countersign reads with it ({row['how']}); it is left as it is"
        yield Noted(level="warning", uid=row["uid"], name=row["name"], said=said)
    for row in _rows(db, "SELECT * FROM weighed WHERE whole AND NOT undecided AND NOT is_own AND NOT provider_managed ORDER BY uid"):
        if row["best_rank"] >= _WEAK:
            said = f"only a {'tag' if row['best_rank'] == _WEAK else 'name'} says that it is {partner}'s ({row['how']}): look at it"
            yield Noted(level="warning", uid=row["uid"], name=row["name"], said=said)
        if row["others"]:
            yield Noted(level="warning", uid=row["uid"], name=row["name"], said=f"others use it too and lose it: {_named(row['others'])}")
        if row["workload"] is not None:
            yield Noted(level="note", uid=row["uid"], name=row["name"], said=f"workload {row['workload']} runs with it and stops")
    for row in _rows(db, "SELECT * FROM weighed WHERE whole AND NOT undecided AND provider_managed AND NOT lets_in ORDER BY uid"):
        said = f"it is a place and no way in ({row['how']}): what lies in it stays, so look at it"
        yield Noted(level="warning", uid=row["uid"], name=row["name"], said=said)
    yield from _created(db, partner)
    places = "SELECT subject, identity_name FROM facts_scope WHERE partner = ? AND administration_is_shared = FALSE ORDER BY subject"
    for row in _rows(db, places, [partner]):
        said = f"only {partner} administers it: name an administrator of yours before, or nobody can get in"
        yield Noted(level="warning", uid=row["subject"], name=row["identity_name"], said=said)


def _stop_all_the_same(db: duckdb.DuckDBPyConnection, holdings: Sequence[Holding]) -> Iterator[Noted]:
    """Tell which credentials that are to stay are of no use, since their identity goes."""
    going = {held.uid for held in holdings if held.what == "identity" and held.whole}
    for row in _rows(
        db, "SELECT uid, coalesce(name, uid) AS name, identity_uid FROM credentials WHERE uid IN (SELECT uid FROM left_out) ORDER BY uid"
    ):
        if row["identity_uid"] in going:
            said = "it is to stay, and stops all the same, since its identity is switched off: leave the identity out instead"
            yield Noted(level="warning", uid=row["uid"], name=row["name"], said=said)


def _created(db: duckdb.DuckDBPyConnection, partner: str) -> Iterator[Noted]:
    """Tell of what the partner's identities made that is not the partner's by the register's word."""
    query = """
        SELECT i.uid, i.name, o.best FROM lineage l JOIN identities i USING (uid)
        JOIN (SELECT uid, arg_min(party, rank) AS best FROM pieces WHERE rank = 1 GROUP BY uid) o USING (uid)
        WHERE l.partner = ? AND o.best <> ? ORDER BY i.uid"""
    for row in _rows(db, query, [partner, partner]):
        whose = "yours" if row["best"] == "" else f"{row['best']}'s"
        said = f"it was created by {partner} and is registered as {whose}: it stays; rotate what {partner} may have kept of it"
        yield Noted(level="warning", uid=row["uid"], name=row["name"], said=said)


def _used(db: duckdb.DuckDBPyConnection, holdings: Sequence[Holding]) -> dict[str, str]:
    db.execute("CREATE TEMP TABLE held_by_them (uid VARCHAR)")
    _fill(db, "held_by_them", (holding.uid for holding in holdings))
    query = """
        SELECT uid, used FROM held_by_them JOIN (
            SELECT uid, last_active_at AS used FROM identities WHERE last_active_state = 'known'
            UNION ALL SELECT uid, last_used_at FROM credentials WHERE last_used_state = 'known'
        ) USING (uid) WHERE used IS NOT NULL ORDER BY uid"""
    return {row["uid"]: stamp(row["used"].replace(tzinfo=UTC)) for row in _rows(db, query)}


def _holding(row: Mapping[str, Any], what: Any, uid: str, identity: str) -> Holding:  # noqa: ANN401 - a literal of Holding's
    kind = {"grant": "role", "trust": "party_kind"}.get(what, "kind")
    return Holding(
        uid=uid,
        what=what,
        kind=row[kind],
        provider=row["provider"],
        source=row["source"],
        scope=row["scope"],
        identity_uid=identity,
        name=row.get("_name") or row["name"],
        whole=row["_whole"],
        how=row["_how"],
        others=tuple(row["_others"]),
        record=_record(row),
    )


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inventory row as JSON, without what moves by itself: another look at the same thing is the same holding."""
    moving = (
        "observed_at",
        "last_used_at",
        "last_used_state",
        "last_active_at",
        "last_active_state",
        "use_seen_to",
        "is_theirs",
        "unknown",
    )
    return {name: _json(value) for name, value in row.items() if not name.startswith("_") and name not in moving}


def _json(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    if isinstance(value, datetime):
        return stamp(value.replace(tzinfo=UTC))
    if isinstance(value, dict):
        return {str(name): _json(part) for name, part in sorted(value.items())}
    return [_json(part) for part in value] if isinstance(value, list) else value


def _part(what: str, row: Mapping[str, Any], names: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([row[name] for name in names]).encode()).hexdigest()
    return f"{row['identity_uid']}#{what}/{digest[:12]}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _fill(db: duckdb.DuckDBPyConnection, table: str, values: Iterable[str]) -> None:
    db.execute(f"INSERT INTO {table} SELECT unnest(?::VARCHAR[])", [list(dict.fromkeys(values))])


def _sql() -> str:
    return resources.files("countersign.offboarding").joinpath("closure.sql").read_text(encoding="utf-8")


def _rows(db: duckdb.DuckDBPyConnection, query: str, arguments: Sequence[object] = ()) -> Iterator[dict[str, Any]]:
    found = db.execute(query, list(arguments))
    names = [column[0] for column in found.description]
    for row in found.fetchall():
        yield dict(zip(names, row, strict=True))
