"""What is said about each export that was read: its coverage row, its provenance and the rows an auditor can re-read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.identity import Provenance
from countersign.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from connectors.files.folder import Export
    from countersign.identity import Coverage, Observation

PAGE = 500
NO_CALLER = "not in the export"
NOT_EXPORTED = "not in this export"
IN_A_NEWER_FILE = "also in a newer file"


@dataclass(frozen=True, slots=True)
class Into:
    """Where the records of one scope go."""

    source: str
    provider: str
    scope: str
    at: datetime
    """The moment of reading, UTC."""

    def operation(self, name: str, *covers: str) -> Tally:
        """Start to count what is no single export."""
        return Tally(
            source=self.source, provider=self.provider, scope=self.scope, operation=name, covers=covers, now=lambda: self.at,
            caller=NO_CALLER,
        )  # fmt: skip

    def export(self, export: Export, *covers: str) -> FileTally:
        """Start to count what reading an export comes to; `covers` are the kinds of record it is the listing of."""
        return FileTally(
            source=self.source, provider=self.provider, scope=self.scope, operation=f"file:{export.name}", covers=covers,
            now=lambda: self.at, caller=NO_CALLER, export=export,
        )  # fmt: skip

    def failed(self, name: str, reason: str) -> Coverage:
        """Say that something told nothing."""
        operation = self.operation(name)
        operation.refuse(reason)
        return operation.coverage()


@dataclass(slots=True, kw_only=True)
class FileTally(Tally):
    """What reading one file came to, while it is being read: a file that can be read is one answer."""

    export: Export

    def provenance(self, kinds: Sequence[str], name: str = "*") -> Iterator[Provenance]:
        """Say that this file is where the fields of these kinds come from."""
        for kind in kinds:
            yield Provenance(
                provider=self.provider,
                scope=self.scope,
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
            yield self.observe(chunk, parameters=said, page=page)
