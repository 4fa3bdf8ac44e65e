"""Counts of what was asked and answered in one account, kept per operation until they become coverage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.aws.door import reason_of
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from countersign.identity import CoverageState
    from countersign.reading import Scope


@dataclass(slots=True)
class Tally:
    """How one operation is going."""

    operation: str
    covers: tuple[str, ...]
    now: Callable[[], datetime]
    pages: int = 0
    rows: int = 0
    error: ReadError | None = None
    """The first failure; what was answered before it was kept."""
    gap: str | None = None
    """Why rows that were answered could not all be kept."""
    dropped: Mapping[str, int] = field(default_factory=dict)
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

    def fail(self, error: ReadError) -> None:
        """Keep the first failure."""
        self.error = self.error or error
        self.finished = self.now()

    @property
    def state(self) -> CoverageState:
        """`partial` when something was answered and kept, and something is missing."""
        if self.error is None:
            return "partial" if self.gap else "complete"
        if self.pages:
            return "partial"
        return "denied" if isinstance(self.error, ScopeDeniedError) else "failed"

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
            error=self.gap if self.error is None else reason_of(self.error),
            started=self.started,
            finished=self.finished,
        )
