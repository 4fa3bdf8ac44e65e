"""Work: read every account of a programme through the run's own threads. `work_fanout FOLDER THREADS`."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.estate import AS_OF
from countersign import reconciliation
from countersign.programme import load
from countersign.reconciliation import Reconciliation, read_all


def main() -> None:
    """Read with so many threads, and say how long that took."""
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    reconciliation.THREADS = threads
    with Reconciliation(load(folder), as_of=AS_OF) as run:
        began = time.perf_counter()
        readings = read_all(run)
        seconds = time.perf_counter() - began
    said = {
        "seconds": round(seconds, 2), "states": Counter(reading.state for reading in readings),
        "identities": sum(reading.identities for reading in readings),
    }  # fmt: skip
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
