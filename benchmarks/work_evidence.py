"""Work: a ledger of so many nights, the first a real one, the others sealed with its files. `work_evidence FOLDER IDENTITIES NIGHTS`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.estate import AS_OF, DAY
from benchmarks.recorded import records
from countersign import entry
from countersign.evidence import signer, statement
from countersign.evidence.staged import BESIDE
from countersign.evidence.verify import INTENT, STATEMENT
from countersign.inventory import spool
from countersign.programme import Programme, load
from countersign.reading import Scope
from countersign.reconciliation import Reconciliation

if TYPE_CHECKING:
    from countersign.evidence.store import Log


def main() -> None:
    """Say what sealing cost, and what there is."""
    folder, count, nights = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    programme = load(folder)
    first = _night(programme, count)
    began = time.process_time()
    for number in range(1, nights):
        _again(programme, first, number)
    files = [path for path in programme.evidence.store.rglob("*") if path.is_file()]
    said = {
        "seal": round(time.process_time() - began, 2), "files": len(files),
        "MB": round(sum(path.stat().st_size for path in files) / 1e6),
    }  # fmt: skip
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


def _night(programme: Programme, count: int) -> Path:
    scope = Scope("recorded", "aws", "400000000000")
    with Reconciliation(programme, as_of=AS_OF) as run:
        judged = run.judge((spool(records(scope.name, 0, count), scope, run.work, run.folder / "observations"),))
        planned = run.plan(judged)
        return run.record(judged, planned, run.act(planned)).evidence


def _again(programme: Programme, first: Path, number: int) -> None:
    """Seal the first night's files as those of a later one: what a night leaves is what has to be hashed, signed and checked."""
    store, at = entry.open_store(programme), AS_OF + number * DAY
    said = statement.read(first / STATEMENT)
    own = ("run", "kind", "slot", "started", "finished", "log")
    predicate = {name: value for name, value in said.predicate.items() if name not in own}

    def build(log: Log) -> dict[str, object]:
        return statement.build(
            run=f"night-{number:05d}", kind="reconcile", slot=f"{at:%Y-%m-%d}", started=at, finished=at, subjects=log.subjects,
            predicate_extra=predicate, log=log.entry(),
        )  # fmt: skip

    with store.stage(f"night-{number:05d}") as staging:
        for name in said.subjects.keys() - {INTENT, STATEMENT, *BESIDE}:
            target = staging.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first / name, target)
        store.seal(staging, build, signer.load(programme.evidence.signer))


if __name__ == "__main__":
    main()
