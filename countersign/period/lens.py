"""What one partner may see of a period: the scopes that held what is theirs, and words that name anybody else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from countersign.register.records import Footprint, Register

OTHER = "another partner"
WITHHELD = "withheld: it tells of others than this partner"
_PROSE: dict[str, tuple[str, ...]] = {
    "runs": ("slot", "error", "guard", "runner"),
    "nights": ("why",),
    "sources": ("source", "caller", "reason"),
    "operations": ("source", "operation", "dropped_why", "error"),
    "controls": ("title", "accountable"),
    "populations": ("accountable",),
    "spells": ("reason", "accountable", "excepted"),
    "tickets": ("accountable",),
    "exceptions": (
        "exception", "requested_by", "approved_by", "reason", "compensating_control", "exit_criteria", "refused", "refused_first",
    ),
    "accountability": (
        "title", "business_owner", "technical_owner", "operational_owner", "approves", "implements", "monitors", "revokes", "fallback",
        "responsible", "accountable", "consulted", "informed",
    ),
    "people": ("person", "name"),
    "workloads": ("owner", "backup_owner", "accountable", "purpose", "environment"),
    "partners": ("contract",),
    "offboardings": ("why",),
}  # fmt: skip
"""Columns of free text, in which somebody else may be named; the others are this partner's own identifiers, or ours."""
_SENTENCES: dict[str, tuple[str, ...]] = {"spells": ("reason",), "sources": ("reason",), "operations": ("error",), "nights": ("why",)}
_SENTENCES |= {"workloads": ("purpose",)}
_SENTENCES |= {"exceptions": ("reason", "compensating_control", "exit_criteria", "refused", "refused_first")}
"""Of those, the columns that providers or people wrote, and that may name an identity."""
_SHORTEST = 3
_CALL = re.compile(
    r"[a-z][a-z0-9-]*:[A-Z][A-Za-z]+"  # AWS: service and action
    r"|[a-z]+(\.[A-Za-z]+)*\.(list|get|search[A-Za-z]*|query)(:[A-Za-z]+)?"  # Google Cloud: the method's full name
    r"|(GET|POST) /[A-Za-z/*]+( \([a-z]+\))?|Resource Graph: [a-z]+"  # Microsoft Graph and Azure, identifiers as *
    r"|(GET|LIST|POST) (sys/(audit|auth|ha-status|mounts|leases/lookup(/\*)?|policies/acl/\*)|identity/[a-z/*-]+|auth/token/[a-z-]+)"
)
"""Operations that name nothing but a provider's own API."""
_KIND = re.compile(r"(file:|(GET|LIST|POST|READ|SCAN) )?")


@dataclass(frozen=True, slots=True)
class Lens:
    """One partner's view."""

    partner: str
    scopes: Mapping[tuple[str, str], tuple[int, int]]
    """(provider, scope) that held something of theirs, to the first and the last run that saw it."""

    def expects(self, place: tuple[str, str], sequence: int) -> bool:
        """Whether a run had to read a scope to see what is theirs."""
        first, last = self.scopes.get(place, (1, 0))
        return first <= sequence <= last


def look(db: duckdb.DuckDBPyConnection, partner: str) -> Lens:
    """Find the scopes that held what was this partner's, from the views `every_verdict` and `found`."""
    rows = db.execute(
        """
        SELECT p.provider, p.scope, min(sequence), max(sequence) FROM (
            SELECT sequence, regexp_extract(subject, '^([^:]+):(.+?):([a-z0-9_-]+)/', ['provider', 'scope', 'kind']) AS p FROM every_verdict
            WHERE partner = $partner AND subject_kind IN ('identity', 'credential', 'scope')
            UNION ALL SELECT sequence, {'provider': provider, 'scope': scope, 'kind': ''} FROM found
            WHERE partner = $partner AND subject_kind IN ('identity', 'credential', 'scope')
        ) WHERE p.scope <> '' GROUP BY ALL""",
        {"partner": partner},
    ).fetchall()
    return Lens(partner, {(provider, scope): (first, last) for provider, scope, first, last in rows})


def operations(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of one source's scope, without what names the customer's own files, paths and the like.

    The name of a call of a provider's API stays, and what names the scope itself; of others the kind stays, with a number instead.
    """
    names = sorted({row["operation"] for row in source["operations"]})
    hidden = [name for name in names if source["scope"] not in name and not _CALL.fullmatch(name)]
    shown = {name: f"{_KIND.match(name)[0]}(withheld {place})" for place, name in enumerate(hidden, 1)}  # type: ignore[index]  # matches always
    return [
        row | ({"operation": shown[row["operation"]], "error": row["error"] and WITHHELD} if row["operation"] in shown else {})
        for row in source["operations"]
    ]


def names_of_others(registers: Iterable[Register], seen: Iterable[str], partner: str) -> frozenset[str]:
    """Gather the words that name another partner than this one: ids, names, contracts, people, workloads and footprints.

    `registers`: all that were in force; `seen`: partners that findings and verdicts name.
    """
    others, own = set(seen) - {partner}, {partner}
    for register in registers:
        for each in register.partners.values():
            words = own if each.id == partner else others
            words |= {each.id, each.name, each.contract.reference, *each.contacts.escalation, *_marks(each.footprint)}
            words |= {each.contacts.security} if each.contacts.security else set()
        others |= {other for other in register.external_people if other != partner}
        for workload in register.workloads.values():
            if workload.partner is not None:
                (own if workload.partner == partner else others).add(workload.workload)
    return frozenset(word for word in others - own if len(word) >= _SHORTEST)


def blank(db: duckdb.DuckDBPyConnection, words: Iterable[str], lens: Lens) -> None:
    """Take what names somebody else out of the free text of every table; the rows themselves are this partner's already.

    A sentence that names an identity that is another partner's is withheld as a whole.
    """
    db.execute(
        """
        CREATE TEMP TABLE others AS
        SELECT DISTINCT unnest([i.uid, i.name, i.native_id]) AS word FROM identities i
        SEMI JOIN (SELECT subject FROM every_verdict WHERE subject_kind = 'identity' AND partner IS NOT NULL AND partner <> $partner) v
        ON v.subject = i.uid
        """,
        {"partner": lens.partner},
    )
    for table, names in _SENTENCES.items():
        for name in names:
            db.execute(
                f"""
                UPDATE {table} SET {name} = $said WHERE {name} IN (
                    SELECT {name} FROM (SELECT DISTINCT {name}, unnest(regexp_extract_all({name}, '[^\\s,;()''"]+')) AS word FROM {table})
                    WHERE rtrim(word, '.:') IN (SELECT word FROM others WHERE length(word) >= {_SHORTEST}))""",
                {"said": WITHHELD},
            )
    pattern = _pattern(words)
    if pattern is None:
        return
    for table, names in _PROSE.items():
        said = ", ".join(f"{name} = regexp_replace({name}, $pattern, $other, 'gi')" for name in names)
        db.execute(f"UPDATE {table} SET {said}", {"pattern": pattern, "other": OTHER})


def _marks(footprint: Footprint) -> set[str]:
    """Return what a footprint is known by, patterns without their stars."""
    listed = (
        footprint.aws_accounts, footprint.entra_tenants, footprint.gcp_projects, footprint.oidc_issuers, footprint.certificate_authorities,
        footprint.email_domains, tuple(pattern.strip("*-_.") for pattern in footprint.name_patterns),
    )  # fmt: skip
    return {mark for marks in listed for mark in marks}


def _pattern(words: Iterable[str]) -> str | None:
    """Return an RE2 expression that finds any of the words where it stands alone; None: there are no words."""
    ordered = sorted(words, key=lambda word: (-len(word), word))
    if not ordered:
        return None
    # A boundary is between ASCII letters and the rest: next to any other letter it would find nothing.
    edge = re.compile(r"[A-Za-z0-9_]")
    return "|".join(
        ("\\b" if edge.match(word[0]) else "") + _quoted(word) + ("(?:/[A-Za-z0-9._-]+)?\\b" if edge.match(word[-1]) else "")
        for word in ordered
    )


def _quoted(text: str) -> str:
    return "".join(f"\\x{{{ord(character):x}}}" if not character.isalnum() or not character.isascii() else character for character in text)
