"""Work: one night's tickets, from what fails to the last write at the tracker. `work_tickets FOLDER DESK` and the fields of `Asked`."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.estate import AS_OF, DAY
from benchmarks.findings import CONTROLS, CUSTOMER, LOGINS, PROVIDER, SCOPE, failing
from countersign.desk import outbox
from countersign.desk.github import WRITE_COST, GitHubDesk
from countersign.desk_settings import GitHub
from countersign.expectation import expectations
from countersign.finding import life
from countersign.pace import Budget, Quota
from countersign.remediation import Night, plan
from countersign.state import State
from countersign.ticket_words import Sources, worded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from countersign.desk import Desk

MINUTE = 60.0
POINTS = {False: 1, True: 5}
"""What GitHub counts for a read and for a write against the 900 points that it gives in a minute."""
TITLES = {record.id: record.title for record in expectations()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which night it is."""

    count: int
    """Findings."""
    night: int
    budget: int
    """Tickets that may be opened in it."""
    changed: int
    """So many of each hundred findings have other facts than before."""
    waits: int
    """1: the tracker's word that we are too fast is waited for. 0: the pace's clock runs ahead instead, and nobody waits."""


class Pace(Budget):
    """The desk's own budget on a clock that nobody waits for; writes down when each call would have gone out."""

    def __init__(self, units: float, seconds: float) -> None:
        self.slept = 0.0
        self.sent: list[tuple[float, bool]] = []
        super().__init__(units, seconds, clock=self.now, sleep=self._sleep)

    def now(self) -> float:
        """Return the seconds, those slept among them."""
        return time.monotonic() + self.slept

    def take(self, cost: float = 1) -> float:
        """Wait as the desk would, and note when and whether it is a write."""
        waited = super().take(cost)
        self.sent.append((self.now(), cost == WRITE_COST))
        return waited

    def most(self, weights: Mapping[bool, int]) -> int:
        """Return the most that was spent within any minute, by what a read and a write count."""
        spent = most = first = 0
        for at, write in self.sent:
            spent += weights[write]
            while at - self.sent[first][0] >= MINUTE:
                spent -= weights[self.sent[first][1]]
                first += 1
            most = max(most, spent)
        return most

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds


def tickets(state: State, desk: Desk, asked: Asked) -> dict[str, Any]:
    """Do a night's part of the ledger and of the desk as a run does; says what it came to and what each part took."""
    spent = _Spent()
    at = AS_OF + asked.night * DAY
    run = f"run-{asked.night}"
    with state.lock("bench", at):
        state.claim_slot(run, customer=CUSTOMER, kind="reconcile", slot=str(asked.night), as_of=at, now=at)
        known = state.known()
        seen: dict[tuple[str, str], frozenset[str]] = {(PROVIDER, SCOPE): frozenset()}
        facts = failing(asked.count, asked.night, asked.changed)
        found = tuple(life(known, facts, unknown=(), seen=seen, judged=frozenset(CONTROLS), as_of=at))
        spent.up_to("ledger read, findings' lives")
        outbox.reread(desk, state)
        spent.up_to("what people closed")
        night = Night(customer=CUSTOMER, as_of=at, budget=asked.budget, titles=TITLES)
        sources = Sources(records={record.id: record for record in expectations()}, people={person: person.title() for person in LOGINS})
        planned = plan([each.after for each in found], state.tickets(desk.target), seen, night)
        actions = [action if action.draft is None else replace(action, draft=worded(action.draft, sources)) for action in planned]
        spent.up_to("plan and words")
        state.apply(run, found, at=at, target=desk.target, actions=actions)
        spent.up_to("ledger and claims written")
        receipts = outbox.carry_out(actions, desk, state, as_of=at, clock=lambda: at, evidence=run, digest=f"sha256:{'ab' * 32}")
        spent.up_to("tickets written")
        state.finish_run(run, "complete", now=at, evidence=run, statement_digest=None)
    done = Counter(receipt.action for receipt in receipts)
    failed = sorted({str(receipt.error) for receipt in receipts if receipt.action == "failed"})
    return {"done": dict(sorted(done.items())), "failed": failed[:3], "spent": spent.said}


class _Spent:
    """CPU and wall seconds by part."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[float, float]] = {}
        self._last = (time.process_time(), time.perf_counter())
        self.said["start"] = (round(self._last[0], 2), 0.0)

    def up_to(self, part: str) -> None:
        now = (time.process_time(), time.perf_counter())
        self.said[part] = (round(now[0] - self._last[0], 3), round(now[1] - self._last[1], 3))
        self._last = now


def main(arguments: Sequence[str]) -> None:
    """Run it and print what it came to."""
    folder, settings, *numbers = arguments
    asked = Asked(**dict(zip((field.name for field in fields(Asked)), map(int, numbers), strict=True)))
    paces: list[Pace] = []

    def budget(*_key: str, units: float, seconds: float) -> Budget:
        if asked.waits:
            return Budget(1e9, 1.0)
        paces.append(Pace(units, seconds))
        return paces[-1]

    # GitHub's quota of an hour leaves the rest of a first night to the next one, and what is measured is the work on all of it.
    unlimited = patch("countersign.desk.github.quota", lambda *_key, **_limits: Quota(1_000_000, 1.0))
    with State(f"sqlite:///{Path(folder) / 'state.db'}") as state, patch("countersign.desk.github.budget", budget), unlimited:
        desk = GitHubDesk(GitHub.model_validate_json(settings), LOGINS)
        said = tickets(state, desk, asked)
    for pace in paces:
        said["minutes"] = round(pace.slept / MINUTE, 2)
        said["points a minute"], said["writes a minute"] = pace.most(POINTS), pace.most({False: 0, True: 1})
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main(sys.argv[1:])
