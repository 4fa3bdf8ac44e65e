"""Work: read one account over the wire into the spool, as a night does. `work_aws FOLDER bulk|night|reused DAY`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.estate import AS_OF, DAY
from connectors import aws
from countersign.identity import Coverage, Credential, Identity
from countersign.inventory import spool
from countersign.key_lookup import needs_id
from countersign.programme import AwsSource, load
from countersign.reading import ReadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from countersign.identity import Record


def main() -> None:
    """Read the account, `day` days after the first night.

    `bulk` lists no user's keys; `night` lists those that a night asks for; `reused` does too, and keeps the answers beside the folder
    for the next one.
    """
    where, mode, day = sys.argv[1:]
    folder, now = Path(where), AS_OF + int(day) * DAY
    programme = load(folder)
    source = cast("AwsSource", programme.sources[0])
    ask = (lambda _row: False) if mode == "bulk" else needs_id(programme.register, now)
    with tempfile.TemporaryDirectory() as work:
        (scope,) = aws.scopes(source)
        kept = folder / ".kept" / "aws" if mode == "reused" else None
        request = ReadRequest(source=source, scope=scope, run="bench", now=lambda: now, needs_id=ask, kept=kept)
        seen = Seen()
        reading = spool(seen.of(aws.read(request)), scope, Path(work), Path(work) / "observations")
        written = sum(file.stat().st_size for file in Path(work).rglob("*.jsonl"))
    print(json.dumps({"state": reading.state, "spooled": written, **seen.said()}))  # noqa: T201 - how the parent learns the answer


class Seen:
    """Counts records as they pass."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.with_id = 0
        """Access keys under the id that AWS gave them."""
        self.missing: list[str] = []
        """Operations that were not complete."""

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on."""
        for record in records:
            if isinstance(record, Identity | Credential):
                self.kinds[record.kind] += 1
                self.with_id += record.kind == "access-key" and "@" not in record.uid
            elif isinstance(record, Coverage) and record.state != "complete":
                self.missing.append(record.operation)
            yield record

    def said(self) -> dict[str, object]:
        """Give what was counted, as JSON has it."""
        return {"kinds": dict(sorted(self.kinds.items())), "with_id": self.with_id, "missing": self.missing}


if __name__ == "__main__":
    main()
