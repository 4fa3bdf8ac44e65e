"""How one operation on one scope is going: what was answered, left out, lost and refused, until it becomes a coverage row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countersign.identity import Coverage, CoverageState, Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

GONE = "gone since it was listed"
_MOST_REASONS = 3


@dataclass(slots=True, kw_only=True)
class Tally:
    """The running count of one operation, which may be many calls of one kind; for one thread at a time.

    `rows` is what the provider returned, kept or not; `dropped` may also count parts of rows, and rows that no call returned.
    """

    source: str
    provider: str
    scope: str
    operation: str
    covers: tuple[str, ...] = ()
    """Kinds of record that it is the listing of."""
    now: Callable[[], datetime]
    caller: str
    """Who asks, by the provider's own word."""
    pages: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason to rows, for all that was not kept, whether it matters or not."""
    gaps: Counter[str] = field(default_factory=Counter)
    """What is missing although it was not refused, and how often."""
    refused: Counter[str] = field(default_factory=Counter)
    """Why calls were refused or failed, and how often."""
    denied: int = 0
    """How many of these calls a permission would have let through."""
    note: str | None = None
    """What an auditor should know of an operation of which nothing is missing."""
    independent_count: int | None = None
    started: datetime = field(init=False)
    finished: datetime = field(init=False)
    """When the last call was answered, refused or given up."""

    def __post_init__(self) -> None:
        self.started = self.finished = self.now()

    def answered(self, rows: int = 1) -> None:
        """Count an answer and the rows in it."""
        self.pages += 1
        self.rows += rows
        self.finished = self.now()

    def gone(self) -> None:
        """Count a look-up of what was listed and is no more: nothing is missing."""
        self.answered(0)
        self.leave_out(GONE)

    def leave_out(self, reason: str, rows: int = 1) -> None:
        """Count rows that are not wanted: nothing is missing."""
        if rows > 0:
            self.dropped[reason] += rows

    def drop(self, reason: str, rows: int = 1) -> None:
        """Count rows that are lost though they matter: the operation is not complete."""
        self.leave_out(reason, rows)
        self.gap(f"left out: {reason}", rows)

    def gap(self, reason: str, times: int = 1) -> None:
        """Say what is missing where no row was lost and no call refused: the operation is not complete."""
        if times > 0:
            self.gaps[reason] += times

    def refuse(self, reason: str, *, denied: bool = False) -> None:
        """Count a call that was refused, failed, or made no sense; `denied`: for want of a permission."""
        self.refused[reason] += 1
        self.denied += denied
        self.finished = self.now()

    @property
    def used(self) -> bool:
        """Whether any call was made."""
        return bool(self.pages or self.refused)

    @property
    def state(self) -> CoverageState:
        """`complete` when nothing is missing, `partial` when something was answered all the same; else `denied` or `failed`.

        `denied` only when every call that went wrong was.
        """
        if not self.refused and not self.gaps:
            return "complete"
        if self.pages:
            return "partial"
        return "denied" if self.refused and self.denied == self.refused.total() else "failed"

    @property
    def why(self) -> str | None:
        """The first reason why something is missing, after the operation's name; None: nothing is."""
        reason = next(iter((*self.refused, *self.gaps)), None)
        return None if reason is None else f"{self.operation}: {reason}"

    def observe(
        self, items: Iterable[Mapping[str, object]], *, parameters: Mapping[str, object] | None = None, page: int | None = None
    ) -> Observation:
        """Keep the allow-listed fields of an answer to `parameters`; `page` counts from 1, None: the last one answered."""
        return Observation(
            source=self.source,
            scope=self.scope,
            operation=self.operation,
            parameters=parameters or {},
            page=self.pages if page is None else page,
            at=self.now(),
            caller=self.caller,
            items=tuple(items),
        )

    def coverage(self) -> Coverage:
        """Say how the operation went: refusals first, the most frequent first, and the note only where there is nothing else."""
        counted = (*self.refused.most_common(), *self.gaps.most_common())
        said = [reason if times == 1 else f"{reason} ({times:,} times)" for reason, times in counted[:_MOST_REASONS]]
        if len(counted) > _MOST_REASONS:
            said.append(f"and {len(counted) - _MOST_REASONS:,} more reasons")
        return Coverage(
            source=self.source,
            provider=self.provider,
            scope=self.scope,
            operation=self.operation,
            state=self.state,
            covers=self.covers,
            pages=self.pages,
            rows=self.rows,
            dropped=dict(self.dropped),
            independent_count=self.independent_count,
            error="; ".join(said) or self.note,
            started=self.started,
            finished=self.finished,
        )
