"""Work: one night on so many identities with two credentials each, from records to sealed evidence. `work_million FOLDER USERS NIGHT`."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from pathlib import Path

from benchmarks.estate import ACCOUNTS, AS_OF, DAY
from benchmarks.recorded import records
from countersign.inventory import spool
from countersign.memory import seldom_searched
from countersign.programme import load
from countersign.reading import Scope
from countersign.reconciliation import Reconciliation


def main() -> None:
    """Run the night with CPU seconds by phase; nothing changed since the night before but the time, also of the reading."""
    folder, count, night = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    each, at = count // ACCOUNTS, AS_OF + night * DAY
    scopes = [(Scope("recorded", "aws", f"{400000000000 + number}"), number * each) for number in range(ACCOUNTS)]
    costs: dict[str, float] = {}
    last = time.process_time()

    def done(phase: str) -> None:
        nonlocal last
        now = time.process_time()
        costs[phase] = round(now - last, 2)
        last = now

    costs["start"] = round(last, 2)
    with seldom_searched():  # as within the run, or what is taken away for them would be too much
        for scope, first in scopes:
            deque(records(scope.name, first, each, at), maxlen=0)
    done("making records")
    programme = load(folder)
    with Reconciliation(programme, as_of=at) as run:
        done("opening")
        readings = tuple(spool(records(s.name, first, each, at), s, run.work, run.folder / "observations") for s, first in scopes)
        done("spool")
        judged = run.judge(readings)
        done("collect, facts, judge")
        planned = run.plan(judged)
        done("plan")
        receipts = run.act(planned)
        done("ledger, tickets")
        result = run.record(judged, planned, receipts)
        done("seal")
    costs["spool"] = round(costs["spool"] - costs["making records"], 2)
    said = {
        "state": result.state, "failed": {str(control["id"]): control["failed"] for control in result.controls if control["failed"]},
        "open": result.findings["open"], "new": result.findings["new"], "guard": result.guard, "costs": costs,
        "identities": sum(reading.identities for reading in readings), "credentials": sum(reading.credentials for reading in readings),
    }  # fmt: skip
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
