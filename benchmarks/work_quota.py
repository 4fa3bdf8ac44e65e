"""Work: replay nights on a virtual clock. `work_quota NIGHTS`, JSON: by name, scopes as [provider, how many, size, calls by size]."""

from __future__ import annotations

import json
import sys

from benchmarks.quotas import LATENCY_S, reading, replayed


def main() -> None:
    """Say of each night how many calls it takes, and how many seconds until the last scope is read."""
    nights = {}
    for name, parts in json.loads(sys.argv[1]).items():
        readings = [
            reading(provider, str(number), {int(at): calls for at, calls in counted.items()}, size)
            for provider, many, size, counted in parts
            for number in range(many)
        ]
        nights[name] = {"calls": sum(one.calls for one in readings), "seconds": round(replayed(readings), 1)}
    print(json.dumps({"nights": nights, "latency": LATENCY_S}))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
