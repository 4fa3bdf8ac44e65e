"""Work: facts and verdicts over so many users' rows, beside the engine's own floor. `work_judge FOLDER USERS`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.estate import AS_OF
from benchmarks.recorded import records
from countersign.expectation import expectations
from countersign.facts import build, opened, register_tables
from countersign.inventory import collect, spool
from countersign.judge import judge
from countersign.programme import load
from countersign.reading import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from countersign.judge import Judgement
    from countersign.programme import Programme

Result = TypeVar("Result")
_ACCOUNT = "444455556666"


def main() -> None:
    """Judge a hundred users first, which shows what Great Expectations costs however few rows there are."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    programme = load(folder)
    with tempfile.TemporaryDirectory() as work:
        began = time.process_time()
        _, small = _judged(programme, Path(work) / "first", 100)
        first = time.process_time() - began
        _, small = _judged(programme, Path(work) / "small", 100)
        judgement, costs = _judged(programme, Path(work) / "large", count)
        began = time.process_time()
        _floor(Path(work) / "large" / "run.duckdb", Path(work) / "floor.parquet")
        floor = time.process_time() - began
    said = {
        "failed": {r.id: r.failed for r in judgement.results if r.failed}, "floor": round(floor, 3), "first": round(first, 2),
        "facts": round(costs["facts"] - small["facts"], 3), "judge": round(costs["judge"] - small["judge"], 3),
        "fixed": round(small["facts"] + small["judge"], 3),
    }  # fmt: skip
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


def _judged(programme: Programme, work: Path, count: int) -> tuple[Judgement, dict[str, float]]:
    work.mkdir()
    reading = spool(records(_ACCOUNT, 0, count), Scope("recorded", "aws", _ACCOUNT), work, work / "observations")
    readings = collect([reading], work, work / "inventory")
    database = work / "run.duckdb"
    costs: dict[str, float] = {}
    _timed(costs, "facts", lambda: build(database, work / "inventory", register_tables(programme, AS_OF), readings))
    judgement = _timed(costs, "judge", lambda: judge(database, expectations(), readings))
    return judgement, costs


def _timed(costs: dict[str, float], name: str, do: Callable[[], Result]) -> Result:
    began = time.process_time()
    result = do()
    costs[name] = time.process_time() - began
    return result


def _floor(database: Path, into: Path) -> None:
    """Do what judging cannot do without, in the engine alone: count every control in one pass, write every failing key."""
    rules = [
        (e.id, f"""subject_kind IN ({", ".join(f"'{kind}'" for kind in e.subjects)}) AND "{e.population}" AND ({e.holds.breaks()})""")
        for e in expectations()
    ]
    with opened(database) as db:
        counts = ", ".join(f"count(*) FILTER ({rule})" for _, rule in rules)
        db.execute(f"SELECT {counts} FROM facts").fetchall()  # noqa: S608 - our own records
        keys = " UNION ALL ".join(
            f"SELECT '{control}' AS control, subject FROM facts WHERE {rule}"  # noqa: S608 - our own records
            for control, rule in rules
        )
        db.execute(f"COPY ({keys}) TO '{into}' (FORMAT parquet)")


if __name__ == "__main__":
    main()
