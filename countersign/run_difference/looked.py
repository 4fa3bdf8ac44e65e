"""What a sealed run really looked at, and which call said what: so that absence is never taken for an end."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC
from typing import TYPE_CHECKING

import duckdb

from countersign.inventory import sql_text
from countersign.reading import EXPORT
from countersign.run_difference.sealed import Told

if TYPE_CHECKING:
    from countersign.run_difference.sealed import Sealed

_ALIKE = {"last_used_at": "last_active_at", "last_used_state": "last_active_state"}
"""Credentials and identities name the same fact differently, and so may the calls behind them."""


class Looked:
    """One run's coverage and provenance, by (provider, scope) and kind."""

    def __init__(self, run: Sealed) -> None:
        """Read them; raises EvidenceError where their files are not those that were signed."""
        self._limited_to = run.limited_to
        self._readings: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        """(provider, scope) to (source, state); what was passed over was not read."""
        self._lost: dict[str, str] = {}
        """Provider to the source of it that could not say which scopes it has, with the reason."""
        for row in run.predicate["sources"]:
            if row["passedOver"]:
                continue
            self._readings[row["provider"], row["scope"]].append((row["source"], row["state"]))
            if row["scope"] == row["source"] and row["state"] in ("denied", "failed"):
                why = "; ".join(f"{each['operation']}: {each['error'] or each['state']}" for each in row["operations"])
                self._lost[row["provider"]] = f"source {row['source']} could not say what there is: {why or row['state']}"
        self._missing: dict[tuple[str, str, str], list[tuple[frozenset[str], str]]] = defaultdict(list)
        """(source, provider, scope) to what is missing: the kinds it lists, empty for all, and why."""
        self._listed: dict[tuple[str, str, str], Told] = {}
        self._exports: set[tuple[str, str]] = set()
        """Those that files were read of, which list some kinds and say nothing of the others."""
        self._told: dict[tuple[str, str, str], dict[str, Told]] = defaultdict(dict)
        with duckdb.connect() as db:
            coverage, provenance = (sql_text(run.table(name)) for name in ("coverage", "provenance"))
            rows = db.execute(
                f"SELECT source, provider, scope, operation, state, covers, error, finished FROM read_parquet({coverage}) ORDER BY finished"
            )
            for source, provider, scope, operation, state, covers, error, finished in rows.fetchall():
                if operation.startswith(EXPORT):
                    self._exports.add((provider, scope))
                if state == "complete":
                    self._listed.update({(provider, scope, kind): Told(operation, finished.replace(tzinfo=UTC)) for kind in covers})
                else:
                    why = f"{operation}: {error or state}"
                    self._missing[source, provider, scope].append((frozenset(covers or ()), why))
            said = db.execute(
                f'SELECT provider, scope, kind, field, arg_max(call, "at"), max("at") FROM read_parquet({provenance}) GROUP BY ALL'
            )
            for provider, scope, kind, field, call, at in said.fetchall():
                self._told[provider, scope, kind][field] = Told(call, at.replace(tzinfo=UTC))

    def missing(self, provider: str, scope: str, kind: str | None) -> str | None:
        """Say why a subject of a kind could not be seen, if it were there; None: it would have been (decision 0011)."""
        readings = self._readings.get((provider, scope), [])
        if not readings:
            if provider in self._lost:
                return self._lost[provider]
            limited = f"; the run was limited to {', '.join(self._limited_to)}" if self._limited_to else ""
            return f"it was not read{limited}"
        whole = [source for source, state in readings if state in ("complete", "partial")]
        hidden = [
            why
            for source in whole or [source for source, _ in readings]
            for covers, why in self._missing.get((source, provider, scope), [])
            if not covers or kind is None or kind in covers
        ]
        if not hidden and kind is not None and (provider, scope) in self._exports and (provider, scope, kind) not in self._listed:
            hidden.append("no file that lists its kind was read")
        if not whole and not hidden:
            return f"it was not read: {readings[0][1]}"
        return "; ".join(hidden) or None

    def listed(self, provider: str, scope: str, kind: str | None) -> Told | None:
        """Return the listing of a kind that was answered whole; None: no call is said to list it."""
        return None if kind is None else self._listed.get((provider, scope, kind))

    def told(self, provider: str, scope: str, kind: str | None, field: str) -> Told | None:
        """Return the call that said a field of a kind; None: it is not on file."""
        fields = self._told.get((provider, scope, kind or ""), {})
        return fields.get(field) or fields.get(_ALIKE.get(field, field)) or fields.get("*")
