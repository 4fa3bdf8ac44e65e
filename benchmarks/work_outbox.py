"""Work: how fast the outbox puts claims on file and settles them, and what SQLite alone takes for it. `work_outbox FOLDER CLAIMS OLDER`."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.estate import AS_OF
from countersign.remediation import ALL, Action, key
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ONE_BY_ONE = 1000
"""So many of the claims are taken and settled."""
TURN = 100
TARGET, CUSTOMER, CONTROL = "github:bench", "bench", "rotation-age"


def main() -> None:
    """Claim so many tickets beside so many older ones that are closed, settle some, and print how many a second (and CPU microseconds)."""
    folder, count, older = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with State(f"sqlite:///{folder / 'outbox.db'}") as state, state.lock("bench", AS_OF):
        state.claim_slot("run-0", customer=CUSTOMER, kind="reconcile", slot="0", as_of=AS_OF, now=AS_OF)
        old = _wanted("old", older)
        state.apply("run-0", (), at=AS_OF, target=TARGET, actions=old)
        with sqlite3.connect(folder / "outbox.db") as plain:
            plain.execute("UPDATE tickets SET state = 'closed', ticket = 'github:1'")
        actions = _wanted("new", count)
        claiming = _Spent(lambda each: state.apply("run-0", (), at=AS_OF, target=TARGET, actions=each))
        claiming.on(actions)
        told = {"ticket": "github:2", "digest": "ab" * 32, "commented_at": AS_OF}
        taking = _Spent(lambda keys: [state.take(TARGET, key, now=AS_OF, search_lag=timedelta(0)) for key in keys])
        settling = _Spent(lambda keys: [state.settle(TARGET, key, "open", **told) for key in keys])
        with _alone(folder / "alone.db", actions) as alone:
            committing = _Spent(lambda keys: [alone.execute("UPDATE tickets SET state = 'open' WHERE key = ?", (key,)) for key in keys])
            # In turns: how fast a disk commits changes from one second to the next.
            for start in range(0, ONE_BY_ONE, TURN):
                keys = [action.key for action in actions[start : start + TURN]]
                for spent in (taking, settling, committing):
                    spent.on(keys)
        found = Counter(row.state for row in state.tickets(TARGET))
    said = {"claims": claiming.said, "takes": taking.said, "settles": settling.said, "commits": committing.said}
    print(json.dumps({**said, **{name: found[name] for name in ("open", "claimed", "closed")}}))  # noqa: T201 - how the parent learns it


@contextmanager
def _alone(path: Path, actions: Sequence[Action]) -> Iterator[sqlite3.Connection]:
    """Keep the same keys by SQLite alone, a durable commit each: the least that anything with that promise takes on this disk."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE tickets (key TEXT PRIMARY KEY, state TEXT)")
        database.execute("BEGIN")
        database.executemany("INSERT INTO tickets VALUES (?, 'claimed')", ((action.key,) for action in actions))
        database.execute("COMMIT")
        yield database


class _Spent:
    """How often some work was done, and what that took."""

    def __init__(self, work: Callable[[list[Any]], object]) -> None:
        self._work = work
        self._count, self._wall, self._cpu = 0, 0.0, 0.0

    def on(self, items: list[Any]) -> None:
        """Do the work on some."""
        began, cpu = time.perf_counter(), time.process_time()
        self._work(items)
        self._count += len(items)
        self._wall += time.perf_counter() - began
        self._cpu += time.process_time() - cpu

    @property
    def said(self) -> tuple[int, int]:
        """How many a second, and CPU microseconds for each."""
        return round(self._count / self._wall), round(self._cpu / self._count * 1e6)


def _wanted(name: str, count: int) -> list[Action]:
    keys = (key(CUSTOMER, CONTROL, "p00", f"{name}{number}", ALL) for number in range(count))
    return [Action(kind="create", key=each, control=CONTROL, partner="p00") for each in keys]


if __name__ == "__main__":
    main()
