"""What a run read, on disk: records are spooled page by page per scope, then become one Parquet file per table."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO

import duckdb
import orjson
import zstandard

from countersign.identity import Coverage, CoverageState, Credential, Grant, Identity, Observation, Provenance, Record, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.reading import Scope

_STAMP = "TIMESTAMP"
_MAP = "MAP(VARCHAR, VARCHAR)"
TABLES: dict[str, dict[str, str]] = {
    "identities": {
        "uid": "VARCHAR",
        "provider": "VARCHAR",
        "scope": "VARCHAR",
        "kind": "VARCHAR",
        "native_id": "VARCHAR",
        "name": "VARCHAR",
        "aliases": "VARCHAR[]",
        "track": "VARCHAR",
        "enabled": "BOOLEAN",
        "provider_managed": "BOOLEAN",
        "console": "BOOLEAN",
        "mfa": "BOOLEAN",
        "created_at": _STAMP,
        "created_by": "VARCHAR",
        "last_active_at": _STAMP,
        "last_active_state": "VARCHAR",
        "use_seen_to": _STAMP,
        "owner_claim": "VARCHAR",
        "purpose": "VARCHAR",
        "tags": _MAP,
        "observed_at": _STAMP,
        "unknown": _MAP,
    },
    "credentials": {
        "uid": "VARCHAR",
        "identity_uid": "VARCHAR",
        "provider": "VARCHAR",
        "scope": "VARCHAR",
        "name": "VARCHAR",
        "kind": "VARCHAR",
        "enabled": "BOOLEAN",
        "created_at": _STAMP,
        "expires_at": _STAMP,
        "never_expires": "BOOLEAN",
        "last_used_at": _STAMP,
        "last_used_state": "VARCHAR",
        "use_seen_to": _STAMP,
        "ttl_s": "BIGINT",
        "observed_at": _STAMP,
        "unknown": _MAP,
    },
    "grants": {
        "identity_uid": "VARCHAR",
        "provider": "VARCHAR",
        "scope": "VARCHAR",
        "role": "VARCHAR",
        "resource": "VARCHAR",
        "power": "VARCHAR",
        "rule": "VARCHAR",
        "via": "VARCHAR",
    },
    "trusts": {
        "identity_uid": "VARCHAR",
        "provider": "VARCHAR",
        "scope": "VARCHAR",
        "party_kind": "VARCHAR",
        "party": "VARCHAR",
        "condition": "VARCHAR",
    },
    "coverage": {
        "source": "VARCHAR",
        "provider": "VARCHAR",
        "scope": "VARCHAR",
        "operation": "VARCHAR",
        "state": "VARCHAR",
        "covers": "VARCHAR[]",
        "pages": "BIGINT",
        "rows": "BIGINT",
        "dropped": "MAP(VARCHAR, BIGINT)",
        "independent_count": "BIGINT",
        "error": "VARCHAR",
        "started": _STAMP,
        "finished": _STAMP,
    },
    "provenance": {"provider": "VARCHAR", "scope": "VARCHAR", "kind": "VARCHAR", "field": "VARCHAR", "call": "VARCHAR", "at": _STAMP},
}
_TABLE_OF: dict[type, str] = {
    Identity: "identities",
    Credential: "credentials",
    Grant: "grants",
    Trust: "trusts",
    Coverage: "coverage",
    Provenance: "provenance",
}
_WRITE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
"""How evidence is written. At level 1 the uids, which are most of it, take less room than at the engine's own 3, and less time."""
OBSERVATION_LEVEL = 3
"""Zstandard's own default: nothing is gained by waiting longer."""
LARGEST_ROW = 64 * 1024 * 1024
"""Bytes of one spooled row; a role with ten thousand tags would not come near it."""
_BUFFER = 1 << 17
"""Bytes per file before they are written out: at the usual 8 kB a large scope makes 200,000 system calls."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading one scope ended."""

    scope: Scope
    state: CoverageState
    identities: int = 0
    credentials: int = 0
    reason: str | None = None
    """Why the state is not `complete`: each operation that is missing, with the provider's words."""
    coverage: tuple[Coverage, ...] = ()
    caller: str | None = None
    """Who asked, by the provider's word; None where nothing answered."""
    passed_over: bool = False
    """True for an export of a scope that a live source is there to read: its rows are not in the inventory."""


def sql_text(text: object) -> str:
    """Write a text or path as an SQL string, for the places that take no bound values."""
    return "'" + str(text).replace("'", "''") + "'"


def folder_name(text: str) -> str:
    """Turn a scope's name into a file name that cannot leave its folder: readable, with a digest where it was changed."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:60].lstrip(".") or "_"
    return safe if safe == text else f"{safe}-{sha256(text.encode()).hexdigest()[:8]}"


def spool(records: Iterable[Record], scope: Scope, work: Path, observations: Path) -> Reading:
    """Write a scope's records as they come, one page in memory at a time.

    `work` gets one file a table in a folder of the scope's own, replaced whole on a second try; `observations` gets
    what the provider answered, compressed. An exception from `records` passes through, and what was written does not count.
    """
    where = _spooled(work, scope)
    where.mkdir(parents=True, exist_ok=True)
    seen_file = _observed(observations, scope)
    seen_file.parent.mkdir(parents=True, exist_ok=True)
    files: dict[str, BinaryIO] = {}
    counts: dict[type, int] = dict.fromkeys((*_TABLE_OF, Observation), 0)
    coverage: list[Coverage] = []
    caller = None
    done = False
    try:
        for table in TABLES:
            files[table] = (where / f"{table}.jsonl").open("wb", buffering=_BUFFER)
        with seen_file.open("wb") as raw, zstandard.ZstdCompressor(level=OBSERVATION_LEVEL).stream_writer(raw) as seen:
            writers = {kind: files[table].write for kind, table in _TABLE_OF.items()} | {Observation: seen.write}
            dumps, rare = orjson.dumps, {Observation, Coverage}
            for record in records:
                kind = type(record)
                writers[kind](dumps(record, None, _WRITE))
                counts[kind] += 1
                if kind in rare:
                    if isinstance(record, Observation):
                        caller = record.caller
                    elif isinstance(record, Coverage):
                        coverage.append(record)
        done = True
    finally:
        for file in files.values():
            file.close()
        if not done:
            _forget(where, seen_file)
    missing = tuple(row for row in coverage if row.state != "complete")
    return Reading(
        scope,
        "partial" if missing else "complete",
        identities=counts[Identity],
        credentials=counts[Credential],
        reason="; ".join(f"{row.operation}: {row.error or row.state}" for row in missing) or None,
        coverage=tuple(coverage),
        caller=caller,
    )


def files_of(scope: Scope, work: Path, observations: Path) -> dict[str, Path]:
    """Name the files that `spool` writes for a scope: one a table, and what the provider answered."""
    where = _spooled(work, scope)
    return {table: where / f"{table}.jsonl" for table in TABLES} | {"observations": _observed(observations, scope)}


def unread(  # noqa: PLR0913 - what a coverage row says
    scope: Scope, state: CoverageState, operation: str, error: str, *, started: datetime, finished: datetime, work: Path
) -> Reading:
    """Record that a scope could not be read at all: a coverage row and nothing else, which is not the same as `none`."""
    row = Coverage(
        source=scope.source,
        provider=scope.provider,
        scope=scope.name,
        operation=operation,
        state=state,
        error=error,
        started=started,
        finished=finished,
    )
    where = _spooled(work, scope)
    where.mkdir(parents=True, exist_ok=True)
    (where / "coverage.jsonl").write_bytes(orjson.dumps(row, option=_WRITE))
    return Reading(scope, state, reason=f"{operation}: {error}", coverage=(row,))


def collect(readings: Iterable[Reading], work: Path, into: Path, *, live: frozenset[tuple[str, str]] = frozenset()) -> tuple[Reading, ...]:
    """Turn the spooled scopes into one Parquet file a table under `into`; returns the readings, amended where an export was passed over.

    An export (`files`) of a scope that a live source reads is passed over, also on a night when that source is refused or left
    out (`live`: provider and scope): the two name one key differently, so it would count twice, or seem to be gone.
    A row that a provider returned twice (pages shift while they are read) is kept once, the latest.
    """
    settled = _pass_over_exports(tuple(readings), live)
    into.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute(f"SET memory_limit = '1GB'; SET threads = 2; SET temp_directory = {sql_text(work / 'spill')}")
        for table, columns in TABLES.items():
            spooled: dict[str, list[str]] = {}
            for reading in settled:
                part = _spooled(work, reading.scope) / f"{table}.jsonl"
                if (table == "coverage" or not reading.passed_over) and part.exists() and part.stat().st_size:
                    spooled.setdefault(reading.scope.source, []).append(str(part))
            query, arguments = _rows(table, spooled)
            file = into / f"{table}.parquet"
            db.execute(f"COPY ({query}) TO {sql_text(file)} ({PARQUET})", arguments)
            if "uid" in columns:
                _keep_latest(db, file, work / "twice.parquet")
    return settled


def _rows(table: str, spooled: Mapping[str, list[str]]) -> tuple[str, list[object]]:
    """Return the query of a table's rows with the source of each, over the spooled files by source; no files, no rows."""
    columns = TABLES[table] if "source" in TABLES[table] else {"source": "VARCHAR"} | TABLES[table]
    if not spooled:
        return f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in columns.items())} WHERE FALSE", []
    spec = ", ".join(f"'{name}': '{kind}'" for name, kind in TABLES[table].items())
    read = f"read_json(?, format='newline_delimited', columns={{{spec}}}, maximum_object_size={LARGEST_ROW})"
    told = "" if "source" in TABLES[table] else "? AS source, "
    arguments: list[object] = []
    for source, paths in sorted(spooled.items()):
        arguments += [source, paths] if told else [paths]
    return " UNION ALL ".join([f"SELECT {told}* FROM {read}"] * len(spooled)), arguments


def _keep_latest(db: duckdb.DuckDBPyConnection, file: Path, scratch: Path) -> None:
    """Rewrite a table without the older of two rows of one uid, in the rare case that there are any."""
    rows = f"read_parquet({sql_text(file)})"
    # Hashes are counted, which is cheaper: two that are equal by chance only have the file rewritten for nothing.
    twice = db.execute(f"SELECT count(*) - count(DISTINCT hash(uid)) FROM {rows}").fetchone()
    if twice and twice[0]:
        latest = f"SELECT * FROM {rows} QUALIFY row_number() OVER (PARTITION BY uid ORDER BY observed_at DESC, source) = 1 ORDER BY uid"
        db.execute(f"COPY ({latest}) TO {sql_text(scratch)} ({PARQUET})")
        shutil.move(scratch, file)


def _pass_over_exports(readings: tuple[Reading, ...], live: frozenset[tuple[str, str]]) -> tuple[Reading, ...]:
    live |= {(reading.scope.provider, reading.scope.name) for reading in readings if not reading.scope.detail.get("export")}
    kept = []
    for reading in readings:
        if reading.scope.detail.get("export") and (reading.scope.provider, reading.scope.name) in live:
            kept.append(replace(reading, identities=0, credentials=0, passed_over=True))
        else:
            kept.append(reading)
    return tuple(kept)


def _forget(where: Path, seen_file: Path) -> None:
    for table in TABLES:
        (where / f"{table}.jsonl").unlink(missing_ok=True)
    seen_file.unlink(missing_ok=True)


def _spooled(work: Path, scope: Scope) -> Path:
    return work / folder_name(scope.source) / folder_name(f"{scope.provider}-{scope.name}")


def _observed(observations: Path, scope: Scope) -> Path:
    return observations / folder_name(scope.source) / f"{folder_name(f'{scope.provider}-{scope.name}')}.jsonl.zst"
