"""Reads the verdict of every control on every subject out of a judged database, by what the records themselves name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countersign.expectation import Expectation, expectations
from countersign.facts import opened

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of one control, by subject; whoever is in none of them is outside the population."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)
    """Subject to the reason."""

    def of(self, subject: str) -> str:
        """Name the verdict of one subject."""
        found = [name for name in ("passed", "failed", "unknown") if subject in getattr(self, name)]
        return " and ".join(found) or "outside"


def query(e: Expectation) -> str:
    """Give the control, subject, verdict and reason of each member of the population."""
    facts = " UNION ALL BY NAME ".join(f"SELECT * FROM facts_{kind}" for kind in e.subjects)  # noqa: S608 - our own records
    why = ", ".join((*(f'"{column}"' for column in e.unknown_from), "'not known'"))
    return f"""
        SELECT '{e.id}', subject, CASE WHEN "{e.population}" IS NULL OR "{e.holds.column}" IS NULL THEN 'unknown'
                                       WHEN {e.holds.breaks()} THEN 'failed' ELSE 'passed' END, coalesce({why})
        FROM ({facts}) WHERE "{e.population}" IS DISTINCT FROM FALSE"""  # noqa: S608 - our own records


def verdicts(database: Path) -> dict[str, Verdicts]:
    """Give the verdicts of all controls that the registry has."""
    records = expectations()
    found = {e.id: Verdicts() for e in records}
    with opened(database) as db:
        for control, subject, verdict, reason in db.execute(" UNION ALL ".join(map(query, records))).fetchall():
            if verdict == "unknown":
                found[control].unknown[subject] = reason
            else:
                getattr(found[control], verdict).add(subject)
    return found
