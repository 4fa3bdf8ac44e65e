"""One reading of one tenant: who asks, through which door, and how each operation goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.azure.door import BATCH, Refusal
from connectors.azure.permissions import lacking
from countersign.identity import Coverage, CoverageState, Observation, uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from connectors.azure.door import Door
    from countersign.fields import Row
    from countersign.pace import Budget

PROVIDER = "azure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every reader of a tenant needs."""

    door: Door
    source: str
    tenant: str
    now: Callable[[], datetime]
    caller: str
    """Who reads, by the token's own word."""
    own_principal: str | None
    """Object id of the service principal that reads; None where the token does not say."""

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this tenant."""
        return uid(PROVIDER, self.tenant, kind, native_id)

    def operation(self, name: str, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        return Operation(visit=self, name=name, covers=covers, started=self.now())


@dataclass(slots=True, kw_only=True)
class Operation:
    """The running count of one operation, which may be many calls of one kind."""

    visit: Visit
    name: str
    covers: tuple[str, ...]
    started: datetime
    pages: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    """Why rows that were answered could not all be kept, and how often."""
    refused: Counter[str] = field(default_factory=Counter)
    denied: int = 0
    note: str | None = None
    """What an auditor should know of it although it is complete."""
    independent_count: int | None = None

    def answered(self, rows: int = 1) -> None:
        """Count an answer and its rows."""
        self.pages += 1
        self.rows += rows

    def drop(self, reason: str) -> None:
        """Count a row that had to be left out although it matters."""
        self.rows -= 1
        self.dropped[reason] += 1
        self.gaps[reason] += 1

    def leave_out(self, reason: str) -> None:
        """Count a row that is not wanted."""
        self.rows -= 1
        self.dropped[reason] += 1

    def refuse(self, refusal: Refusal) -> None:
        """Count a call that the service refused, with the permission that is missing where that is the reason."""
        self.denied += refusal.denied
        self.refused[f"{refusal}; {lacking(self.name)}" if refusal.denied else str(refusal)] += 1

    def settle(self, answer: Row | Refusal) -> Row | None:
        """Count the answer to a look-up; None when it was refused, or what it asks for is gone since it was listed."""
        if not isinstance(answer, Exception):
            self.answered()
            return answer
        if answer.gone:
            self.pages += 1
            self.dropped["gone since it was listed"] += 1
        else:
            self.refuse(answer)
        return None

    @property
    def gap(self) -> str | None:
        """Why not everything is known that this operation should tell; None: it is."""
        reason = next(iter(self.refused), None) or next(iter(self.gaps), None)
        return None if reason is None else f"{self.name}: {reason}"

    def observe(self, items: Iterator[Mapping[str, object]] | list[Mapping[str, object]]) -> Observation:
        """Keep an answer's allow-listed fields."""
        return Observation(
            source=self.visit.source,
            scope=self.visit.tenant,
            operation=self.name,
            parameters={},
            page=self.pages,
            at=self.visit.now(),
            caller=self.visit.caller,
            items=tuple(items),
        )

    def coverage(self) -> Coverage:
        """Say how the operation went: partial as soon as one of several calls was refused, or a row could not be kept."""
        total = sum(self.refused.values())
        state: CoverageState = "partial" if self.gaps else "complete"
        if total:
            state = "partial" if self.pages else "denied" if self.denied == total else "failed"
        reasons = [f"{reason} ({times} times)" if times > 1 else reason for reason, times in (self.refused + self.gaps).most_common()]
        return Coverage(
            source=self.visit.source,
            provider=PROVIDER,
            scope=self.visit.tenant,
            operation=self.name,
            state=state,
            covers=self.covers,
            pages=self.pages,
            rows=max(0, self.rows),
            dropped=dict(self.dropped),
            independent_count=self.independent_count,
            error="; ".join(reasons[:3]) or self.note,
            started=self.started,
            finished=self.visit.now(),
        )


def listed(operation: Operation, path: str, *, quota: Budget | None = None) -> Iterator[tuple[Row, ...]]:
    """Yield a Graph collection page by page, counting; a refusal ends it and is counted."""
    try:
        for page in operation.visit.door.graph.pages(path, quota=quota):
            operation.answered(len(page))
            yield page
    except Refusal as refusal:
        operation.refuse(refusal)


def look_up(visit: Visit, paths: list[tuple[str, str]]) -> list[tuple[str, Row | Refusal]]:
    """GET many single objects by `$batch`; a whole batch that is refused is the answer of each of its items."""
    found: list[tuple[str, Row | Refusal]] = []
    for start in range(0, len(paths), BATCH):
        chunk = paths[start : start + BATCH]
        try:
            found += visit.door.graph.batch(chunk)
        except Refusal as refusal:
            found += [(key, refusal) for key, _ in chunk]
    return found
