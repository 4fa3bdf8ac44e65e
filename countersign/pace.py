"""Rate budgets: how fast one API may be asked, shared by every thread of the process that asks it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_budgets: dict[tuple[str, ...], Budget] = {}
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


def budget(*key: str, units: float, seconds: float) -> Budget:
    """Return the process's one budget of an API and whoever its quota counts for, such as `("graph", tenant)`."""
    with _lock:
        if key not in _budgets:
            _budgets[key] = Budget(units, seconds)
        return _budgets[key]
