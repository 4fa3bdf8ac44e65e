"""Identities that a run found, that somebody has to answer for, and that no workload names: with the one pattern that names each."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from countersign.facts import attribute, opened, register_tables, write_register
from countersign.facts.register_tables import NAMES_PROVE_NOTHING
from countersign.inventory import TABLES, sql_text
from countersign.register.fields import IdentityPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from countersign.programme import Programme

LONGEST_NAME = 200
"""Characters up to which an identity is named by its name; a longer one hides what it is about."""
_LONGEST_PATTERN = 2000
"""Characters: a file of the register is no larger than a megabyte."""
_SCOPES_OF = {"aws-account": "aws", "entra-tenant": "azure", "gcp-principal": "gcp"}
_ODD_IN_SCOPE = re.compile(r"[*?\[\]\\:\s]")


@dataclass(frozen=True, slots=True)
class Found:
    """One such identity, in the provider's words: any of them may be hostile."""

    uid: str
    provider: str
    scope: str
    kind: str
    name: str
    track: str | None
    partner: str | None
    partner_how: str | None
    partner_why: str | None
    """Why it is not known whose it is; None: it is known, or it is nobody's but the customer's."""
    conflict: str | None
    """Evidence that contradicts itself about whose it is; None: it does not."""
    owner_claim: str | None
    creator: str | None
    """Name of the identity that made it where that was read, else the provider's word for it."""
    purpose: str | None
    tags: Mapping[str, str]
    pattern: str | None
    """The register's pattern that names it and nothing else that was read; None: no pattern can."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was looked through."""

    found: tuple[Found, ...]
    """By partner and uid."""
    left_out: Mapping[str, int]
    """Reason to count, for unregistered identities that need no workload, as far as is known."""


def search(programme: Programme, evidence: Path, as_of: datetime) -> Search:
    """Look through a sealed run's inventory, under the register as it is now."""
    inventory = evidence / "inventory"
    with tempfile.TemporaryDirectory(prefix="countersign-draft-") as scratch:
        folder = Path(scratch)
        tables = register_tables(programme, as_of, _own_scopes(inventory))
        write_register(tables, folder)
        with opened(folder / "draft.duckdb") as db:
            for file in (*(folder / f"{table.name}.parquet" for table in tables), *(inventory / f"{name}.parquet" for name in TABLES)):
                db.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet({sql_text(file)})")  # noqa: S608 our own names, a quoted path
            db.execute(_SCOPES)
            attribute(db)
            db.execute(_UNREGISTERED)
            rows = db.execute(_QUERY).fetchall()
            left = {str(reason): int(count) for reason, count in db.execute(_LEFT_OUT).fetchall()}
            scopes = db.execute("SELECT DISTINCT provider, scope FROM identities").fetchall()
    return Search(tuple(_named(rows, scopes)), left)


_SCOPES = """
    CREATE VIEW scopes AS
    SELECT source, provider, scope, CASE WHEN bool_and(state IN ('denied', 'failed')) THEN 'failed' ELSE min(state) END AS state,
           min(operation || ': ' || coalesce(error, state)) AS reason, FALSE AS passed_over
    FROM coverage GROUP BY source, provider, scope"""
_UNREGISTERED = """
    CREATE TABLE unregistered AS
    SELECT i.*, a.partner, a.partner_how, CASE WHEN a.contradicts THEN a.partner_evidence END AS conflict,
           CASE WHEN a.partner IS NULL THEN coalesce(i.unknown['trusts'], a.lineage_why) END AS partner_why,
           CASE WHEN i.provider_managed THEN 'the provider''s own, or a place'
                WHEN i.enabled = FALSE THEN 'switched off'
                WHEN a.partner IS NULL AND i.track IS NULL THEN 'nothing says whether a person or a program uses it, or whose it is'
                WHEN a.partner IS NULL AND i.track <> 'machine' THEN 'no program''s and, by what is known, no partner''s' END AS why_not
    FROM identities i LEFT JOIN attribution a USING (uid) WHERE a.workload IS NULL"""
_LEFT_OUT = "SELECT why_not, count(*) FROM unregistered WHERE why_not IS NOT NULL GROUP BY why_not ORDER BY why_not"
_QUERY = """
    WITH alone AS (      -- a text that is one identity's name and another's id names neither
        SELECT provider, scope, kind, text FROM (
            SELECT provider, scope, kind, native_id AS text, uid FROM identities
            UNION SELECT provider, scope, kind, name, uid FROM identities
        ) GROUP BY ALL HAVING count(*) = 1
    )
    SELECT u.uid, u.provider, u.scope, u.kind, u.name, u.track, u.partner, u.partner_how, u.partner_why, u.conflict, u.owner_claim,
           coalesce(c.name, u.created_by), u.purpose, u.tags, u.native_id, n.text IS NOT NULL, k.text IS NOT NULL
    FROM unregistered u LEFT JOIN identities c ON c.uid = u.created_by
    LEFT JOIN alone n ON n.provider = u.provider AND n.scope = u.scope AND n.kind = u.kind AND n.text = u.name
    LEFT JOIN alone k ON k.provider = u.provider AND k.scope = u.scope AND k.kind = u.kind AND k.text = u.native_id
    WHERE u.why_not IS NULL ORDER BY u.partner NULLS LAST, u.uid"""


def _own_scopes(inventory: Path) -> set[tuple[str, str]]:
    """Return the customer's own scopes as that run knew them: those that an organisation turned out to hold are nowhere else."""
    import duckdb

    with duckdb.connect() as db:
        rows = db.execute(
            f"SELECT kind, value FROM read_parquet({sql_text(inventory / 'register_footprint.parquet')}) WHERE partner = ''"  # noqa: S608 a quoted path
        ).fetchall()
    return {(_SCOPES_OF[kind], value) for kind, value in rows if kind in _SCOPES_OF}


def _named(rows: Iterable[tuple[object, ...]], scopes: Iterable[tuple[str, str]]) -> Iterator[Found]:
    every: dict[str, list[str]] = defaultdict(list)
    for where, called in scopes:
        every[where].append(called)
    written: dict[tuple[str, str], str | None] = {}
    for row in rows:
        uid, provider, scope, kind, name = map(str, row[:5])
        track, partner, how, why, conflict, claim, creator, purpose = map(_text, row[5:13])
        tags, native, name_alone, id_alone = row[13:]
        if (provider, scope) not in written:
            written[provider, scope] = _scope_pattern(scope, every[provider])
        proves_nothing = (provider, kind) in NAMES_PROVE_NOTHING
        texts = [str(native)] if proves_nothing or id_alone else []
        if not proves_nothing and name_alone and len(name) <= LONGEST_NAME:
            texts.insert(0, name)
        pattern = next((fit for text in texts if (fit := _pattern(provider, written[provider, scope], kind, text)) is not None), None)
        named = tags if isinstance(tags, dict) else {}
        yield Found(
            uid, provider, scope, kind, name, track, partner, how, why, conflict, claim, creator, purpose, tags=named, pattern=pattern
        )  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None or not str(value).strip() else str(value)


def _scope_pattern(scope: str, others: Iterable[str]) -> str | None:
    """Write a scope as a pattern; what a pattern cannot hold becomes `?`, unless another scope would then fit as well."""
    pattern = _ODD_IN_SCOPE.sub("?", scope)
    if pattern == scope:
        return scope
    fits = re.compile("".join("." if char == "?" else re.escape(char) for char in pattern), re.DOTALL)
    return pattern if [other for other in others if fits.fullmatch(other)] == [scope] else None


def _pattern(provider: str, scope: str | None, kind: str, text: str) -> str | None:
    pattern = f"{provider}:{scope}:{kind}/{text}"
    # A star would match others, and what is not printable cannot be written in the register.
    if scope is None or "*" in text or len(pattern) > _LONGEST_PATTERN or not pattern.isprintable():
        return None
    try:
        return _PATTERNS.validate_python(pattern)
    except ValidationError:
        return None


_PATTERNS: TypeAdapter[str] = TypeAdapter(IdentityPattern)
