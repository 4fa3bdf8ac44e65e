"""Work: what a partner holds among so many identities with two credentials each. `work_closure FOLDER USERS PARTNER`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.estate import ACCOUNTS, AS_OF
from benchmarks.recorded import records
from countersign.inventory import spool
from countersign.offboarding.closure import close
from countersign.programme import load
from countersign.reading import Scope
from countersign.reconciliation import Reconciliation


def main() -> None:
    """Spool the records, work out the facts, and find one partner's part of them."""
    folder, count, partner = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    each = count // ACCOUNTS
    scopes = [(Scope("recorded", "aws", f"{400000000000 + number}"), number * each) for number in range(ACCOUNTS)]
    with Reconciliation(load(folder), as_of=AS_OF) as run:
        readings = tuple(spool(records(s.name, first, each, AS_OF), s, run.work, run.folder / "observations") for s, first in scopes)
        begun = time.process_time()
        _, database = run.facts(readings)
        facts = time.process_time()
        found = close(database, partner)
        closed = time.process_time()
    kinds = {what: sum(held.what == what for held in found.holdings) for what in ("identity", "credential", "grant", "trust")}
    said = {"facts": round(facts - begun, 2), "closure": round(closed - facts, 2), "holdings": kinds, "undecided": len(found.undecided)}
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
