"""Work: one whole night of a programme folder, as the command runs it. `work_night FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

from benchmarks.estate import AS_OF
from countersign.programme import load
from countersign.reconciliation import reconcile


def main() -> None:
    """Run it and print what it came to."""
    result = reconcile(load(Path(sys.argv[1])), AS_OF)
    failed = {str(control["id"]): control["failed"] for control in result.controls if control["failed"]}
    unknown = {str(control["id"]): control["unknown"] for control in result.controls if control["unknown"]}
    rows: list[dict[str, int]] = [scope for source in result.sources for scope in cast("list[dict[str, int]]", source["scopes"])]
    said = {
        "state": result.state, "failed": failed, "unknown": unknown, "open": result.findings["open"], "guard": result.guard,
        "identities": sum(row["identities"] for row in rows), "credentials": sum(row["credentials"] for row in rows),
    }  # fmt: skip
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
