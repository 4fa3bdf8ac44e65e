"""What the providers allow, and a night replayed against it on a virtual clock, through the program's own rate budgets."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from benchmarks.meter import PARTS
from connectors.gcp.permissions import CALLS
from countersign.pace import Budget
from countersign.reconciliation import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LATENCY_S: Mapping[str, float] = {"aws": 0.08, "azure": 0.08, "gcp": 0.08, "vault": 0.01}
"""How long an answer takes; a Vault is in one's own network."""
_GOOGLE = {call.name: call.rate for call in CALLS}


@dataclass(frozen=True, slots=True)
class Quota:
    """So many units at once, and in so many seconds."""

    name: str
    units: float
    seconds: float
    shared: bool = False
    """Whether it counts for all scopes of the provider together, since they have one caller."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Calls of one operation in one scope."""

    operation: str
    calls: int
    cost: float = 1
    """Units of quota that a call takes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one scope asks, in order."""

    provider: str
    scope: str
    asks: tuple[Ask, ...]

    @property
    def calls(self) -> int:
        """Count its calls."""
        return sum(ask.calls for ask in self.asks)


def reading(provider: str, scope: str, at: Mapping[int, Mapping[str, float]], size: int) -> Reading:
    """Draw the calls of a scope of any size from those that were counted at two sizes; each operation grows on a straight line."""
    (small, less), (large, more) = sorted(at.items())
    asks = []
    for name in more:
        if name in {"bytes", "throttled"} or name.startswith(PARTS):
            continue
        per_one = (more[name] - less.get(name, 0)) / (large - small)
        calls = math.ceil(round(more[name] + per_one * (size - large), 6))
        asks.append(Ask(name, calls, more.get(f"units:{name}", more[name]) / more[name]))
    return Reading(provider, scope, tuple(asks))


def quotas(provider: str, operation: str) -> tuple[Quota, ...]:
    """Name the quotas that a call counts against.

    AWS publishes none for IAM: 20 calls a second and account is where the stub of goal A throttles. Its other services' are from their
    pages on quotas; Google's are those that the connector keeps to; Microsoft's are of its pages on throttling, for the smallest tenant;
    a Vault has none, and 430 look-ups a second are what one was measured to answer over eight connections.
    """
    if provider == "aws":
        service = operation.partition(":")[0]
        return ({"rolesanywhere": Quota(operation, 1, 1), "cloudtrail": Quota(operation, 2, 1)}.get(service) or Quota(service, 20, 1),)
    if provider == "gcp":
        rate = _GOOGLE[operation]
        return () if rate is None else (Quota(rate.name, rate.per_minute, 60, shared=not rate.by_project),)
    if provider == "azure":
        if operation == "token":
            return ()
        if operation.startswith("arm "):
            return (Quota("arm", 15, 5),)
        narrow = {"GET /servicePrincipals": (Quota("keys", 150, 60),)}
        reports = (Quota("reports", 5, 10),) if "/reports/" in operation else ()
        return (Quota("units", 3_500, 10), *narrow.get(operation, ()), *reports)
    return (Quota("look-ups", 430, 1),)


def replayed(readings: Sequence[Reading], threads: int = THREADS) -> float:
    """Read the scopes in so many threads, each serially, and return the seconds until the last is done. Nobody waits for real."""
    clock = _Clock()
    budgets: dict[tuple[str, ...], Budget] = {}

    def budget(one: Reading, quota: Quota) -> Budget:
        key = (one.provider, quota.name, "" if quota.shared else one.scope)
        if key not in budgets:
            budgets[key] = Budget(quota.units, quota.seconds, clock=lambda: clock.now, sleep=lambda _seconds: None)
        return budgets[key]

    def steps(one: Reading) -> Iterator[tuple[tuple[Budget, ...], float, float]]:
        # A Vault is asked over eight connections at once.
        latency = LATENCY_S[one.provider] / (8 if one.provider == "vault" else 1)
        for ask in one.asks:
            against = tuple(budget(one, quota) for quota in quotas(one.provider, ask.operation))
            for _ in range(ask.calls):
                yield against, ask.cost, latency

    left = deque(map(steps, readings))
    due: list[tuple[float, int, Iterator[tuple[tuple[Budget, ...], float, float]]]] = []
    for number in range(min(threads, len(left))):
        heappush(due, (0.0, number, left.popleft()))
    while due:
        clock.now, number, scope = heappop(due)
        step = next(scope, None)
        if step is not None:
            against, cost, latency = step
            waits = [each.take(cost if place == 0 else 1) for place, each in enumerate(against)]
            heappush(due, (clock.now + max(waits, default=0.0) + latency, number, scope))
        elif left:
            heappush(due, (clock.now, number, left.popleft()))
    return clock.now


@dataclass(slots=True)
class _Clock:
    now: float = 0.0
