"""Rate budgets: how fast one API may be asked, shared by every thread of the process that asks it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_budgets: dict[tuple[str, ...], Budget] = {}
_quotas: dict[tuple[int, float, tuple[str, ...]], Quota] = {}
_lock = threading.Lock()


class Budget:
    """At most `units` at once, and `units` per `seconds` on average; safe to share between threads.

    `clock` gives seconds that never go back; `sleep` waits for so many seconds.
    """

    def __init__(
        self, units: float, seconds: float, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._units = units
        self._per_s = units / seconds
        self._clock = clock
        self._sleep = sleep
        self._left = units
        self._at = clock()
        self._turn = threading.Lock()

    def take(self, cost: float = 1) -> float:
        """Wait until `cost` units may be spent, spend them, and return the seconds that it took.

        A cost above the whole budget waits for as long as it takes to earn it.
        """
        with self._turn:
            now = self._clock()
            self._left = min(self._units, self._left + (now - self._at) * self._per_s) - cost
            self._at = now
            wait = max(0.0, -self._left / self._per_s)
        if wait:
            self._sleep(wait)
        return wait

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long: the provider has said `Retry-After`."""
        with self._turn:
            now = self._clock()
            self._left = min(self._left, -seconds * self._per_s)
            self._at = max(self._at, now)


class Quota:
    """At most `units` in any stretch of `seconds`, as soon as they are asked for; safe to share between threads.

    For what takes too long to earn again to be waited for. `clock` gives seconds that never go back; `sleep` waits for so many seconds.
    """

    def __init__(
        self, units: int, seconds: float, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._units = units
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._spent: deque[float] = deque(maxlen=units)
        """When each of the last ones was spent."""
        self._turn = threading.Lock()

    def take(self, patience: float) -> float:
        """Spend one, after waiting for at most `patience` seconds, and return 0.

        Where it takes longer nothing is spent, nobody waits, and the seconds until there is one again are returned.
        """
        with self._turn:
            now = self._clock()
            at = now if len(self._spent) < self._units else max(now, self._spent[0] + self._seconds)
            if at - now > patience:
                return at - now
            self._spent.append(at)
        if at > now:
            self._sleep(at - now)
        return 0.0


def budget(*key: str, units: float, seconds: float) -> Budget:
    """Return the process's one budget of an API and whoever its quota counts for, such as `("graph", tenant)`."""
    with _lock:
        if key not in _budgets:
            _budgets[key] = Budget(units, seconds)
        return _budgets[key]


def quota(*key: str, units: int, seconds: float) -> Quota:
    """Return the process's one quota of this size for an API and whoever it counts for."""
    with _lock:
        return _quotas.setdefault((units, seconds, key), Quota(units, seconds))
