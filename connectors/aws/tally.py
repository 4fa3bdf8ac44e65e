"""Counts of what was asked and answered in one account, kept per operation until they become coverage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.aws.sdk import reason_of
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from countersign.identity import CoverageState
    from countersign.reading import Scope


@dataclass(slots=True)
class Tally:
    """How one operation is going, in all the regions where it is asked."""

    operation: str
    covers: tuple[str, ...]
    now: Callable[[], datetime]
    pages: int = 0
    rows: int = 0
    error: ReadError | None = None
    """The first failure of each region; what was answered before it was kept."""
    gap: str | None = None
    """Why rows that were answered could not all be kept."""
    remark: str | None = None
    """What there is to say of an operation of which nothing is missing."""
    failures: int = 0
    spent: float = 0.0
    """Seconds of waiting for answers."""
    dropped: dict[str, int] = field(default_factory=dict)
    independent_count: int | None = None
    started: datetime = field(init=False)
    finished: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.finished = self.now()

    def page(self, rows: int) -> None:
        """Count one answer."""
        self.pages += 1
        self.rows += rows
        self.finished = self.now()

    def fail(self, error: ReadError, region: str | None = None) -> None:
        """Keep the first failure; where a region is named, the first of each."""
        self.failures += 1
        placed = error if region is None else type(error)(self.operation, f"{region}: {reason_of(error)}")
        if self.error is None:
            self.error = placed
        elif region is not None:
            both = self.refused and isinstance(error, ScopeDeniedError)
            self.error = (ScopeDeniedError if both else ReadError)(self.operation, f"{reason_of(self.error)}; {reason_of(placed)}")
        self.finished = self.now()

    def drop(self, reason: str, rows: int = 1) -> None:
        """Count rows that were answered and cannot be kept."""
        self.dropped[reason] = self.dropped.get(reason, 0) + rows

    @property
    def refused(self) -> bool:
        """Whether there is no use in asking again."""
        return isinstance(self.error, ScopeDeniedError)

    @property
    def state(self) -> CoverageState:
        """`partial` when something was answered and kept, and something is missing."""
        if self.error is None:
            return "partial" if self.gap else "complete"
        if self.pages:
            return "partial"
        return "denied" if self.refused else "failed"

    def coverage(self, scope: Scope) -> Coverage:
        """Turn the counts into a coverage row."""
        return Coverage(
            source=scope.source,
            provider=scope.provider,
            scope=scope.name,
            operation=self.operation,
            state=self.state,
            covers=self.covers,
            pages=self.pages,
            rows=self.rows,
            dropped=self.dropped,
            independent_count=self.independent_count,
            error=self.gap or self.remark if self.error is None else reason_of(self.error),
            started=self.started,
            finished=self.finished,
        )
