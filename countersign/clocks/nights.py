"""The runs that were judged, and what was agreed on each of those nights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from countersign.errors import CountersignError
from countersign.evidence import ledger, statement
from countersign.evidence.verify import STATEMENT
from countersign.register import sealed
from countersign.schema import runs
from countersign.terms import terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from countersign.register.records import Register
    from countersign.terms import Terms


@dataclass(frozen=True)
class JudgedNight:
    """A judged run and its sealed folder."""

    run: str
    as_of: datetime
    """UTC."""
    folder: Path

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """What its statement says; nothing where it cannot be read."""
        try:
            return statement.read(self.folder / STATEMENT).predicate
        except CountersignError:
            return {}

    @property
    def stopped(self) -> bool:
        """Return whether the guard kept it from having any effect."""
        return self.said.get("guard") is not None


def judged(db: Connection, customer: str, store: Path) -> tuple[JudgedNight, ...]:
    """Return the judged runs of a customer, oldest first; `store` is the folder of sealed entries."""
    sound = runs.c.state.in_(("complete", "partial")) & runs.c.evidence.is_not(None) & (runs.c.customer == customer)
    query = sa.select(runs.c.run, runs.c.as_of, runs.c.evidence).where(sound, runs.c.kind == "reconcile").order_by(runs.c.as_of, runs.c.run)
    return tuple(JudgedNight(run, as_of, store / evidence) for run, as_of, evidence in db.execute(query))


class TermsThen:
    """What was agreed on each night, by the register that was sealed then."""

    def __init__(self, nights: Iterable[JudgedNight]) -> None:
        self._nights = {night.run: night for night in nights}
        self._sealed = sealed.Terms()
        self._registers: dict[str, Register | str] = {}
        self._terms: dict[tuple[str, str, str | None], Terms | str] = {}

    def of(self, run: str, control: str, partner: str | None) -> Terms | str:
        """Return the terms of a run for findings of a control and partner; text: why they cannot be told."""
        night = self._nights.get(run)
        if night is None or not night.said:
            return f"the evidence of run {run}, which says what was agreed when it began, is not on file"
        digest = str(night.said.get("registerDigest"))
        key = (digest, control, partner)
        if key not in self._terms:
            register = self._register(digest, night)
            self._terms[key] = register if isinstance(register, str) else terms_of(register, control, partner)
        return self._terms[key]

    def _register(self, digest: str, first: JudgedNight) -> Register | str:
        """Read a register from the run that asks, or the first other one that still has it."""
        if digest not in self._registers:
            why = "the register of that night is not on file"
            for night in (first, *self._nights.values()):
                if night.said.get("registerDigest") != digest:
                    continue
                path = night.folder / sealed.NAME
                try:
                    found = self._sealed.read(path)
                except CountersignError as error:
                    gone = error.message if path.exists() else ledger.why_missing(night.folder, sealed.NAME)
                    why = f"the register of run {night.run} cannot be read: {gone}"
                    continue
                if found.digest == digest:
                    self._registers[digest] = found
                    break
                why = f"the register of run {night.run} is not the one that its statement names"
            else:
                self._registers[digest] = why
        return self._registers[digest]
