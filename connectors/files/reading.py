"""What is said about each export that was read: its coverage row, its provenance and the rows an auditor can re-read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.identity import Coverage, CoverageState, Observation, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from connectors.files.folder import Export

PAGE = 500
NO_CALLER = "not in the export"
NOT_EXPORTED = "not in this export"


@dataclass(frozen=True, slots=True)
class Into:
    """Where the records of one scope go."""

    source: str
    provider: str
    scope: str
    at: datetime
    """The moment of reading, UTC."""


@dataclass(slots=True)
class Tally:
    """What reading one file came to, while it is being read."""

    into: Into
    export: Export
    covers: tuple[str, ...]
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    """Why the file does not tell everything it should, and how often; empty: it does."""
    error: str | None = None
    """Why the file told nothing."""

    @property
    def operation(self) -> str:
        """The name this file goes by in coverage and observations."""
        return f"file:{self.export.name}"

    def drop(self, reason: str) -> None:
        """Count a row that had to be left out although it matters."""
        self.dropped[reason] += 1
        self.gaps[reason] += 1

    def coverage(self) -> Coverage:
        """Say how the file went."""
        state: CoverageState = "failed" if self.error else "partial" if self.gaps else "complete"
        gaps = "; ".join(f"{reason} ({times} times)" if times > 1 else reason for reason, times in self.gaps.items())
        return Coverage(
            source=self.into.source,
            provider=self.into.provider,
            scope=self.into.scope,
            operation=self.operation,
            state=state,
            covers=self.covers,
            pages=0 if self.error else 1,
            rows=self.rows,
            dropped=dict(self.dropped),
            error=self.error or gaps or None,
            started=self.into.at,
            finished=self.into.at,
        )

    def provenance(self, kinds: Sequence[str], name: str = "*") -> Iterator[Provenance]:
        """Say that this file is where the fields of these kinds come from."""
        for kind in kinds:
            yield Provenance(
                provider=self.into.provider,
                scope=self.into.scope,
                kind=kind,
                field=name,
                call=f"{self.export.format} ({self.operation})",
                at=self.export.modified,
            )

    def observations(self, items: Iterator[Mapping[str, object]]) -> Iterator[Observation]:
        """Keep the allow-listed rows, some hundreds to a page; a file without rows leaves one empty page."""
        said = {"format": self.export.format, "sha256": self.export.sha256, "modified": stamp(self.export.modified), "rows": self.rows}
        page = 0
        while (chunk := tuple(islice(items, PAGE))) or page == 0:
            page += 1
            yield Observation(
                source=self.into.source,
                scope=self.into.scope,
                operation=self.operation,
                parameters=said,
                page=page,
                at=self.into.at,
                caller=NO_CALLER,
                items=chunk,
            )
