from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from countersign.pace import Budget, budget


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_budget_lets_its_units_through_at_once_and_then_as_they_are_earned() -> None:
    clock = Clock()
    reports = Budget(5, 10, clock=clock, sleep=clock.sleep)
    assert [0, 0, 0, 0, 0, 2, 2] == [reports.take() for _ in range(7)]
    clock.now += 100
    assert [0, 0, 0, 0, 0, 2] == [reports.take() for _ in range(6)]


def test_retry_after_holds_everybody_and_earns_nothing_meanwhile() -> None:
    clock = Clock()
    graph = Budget(10, 10, clock=clock, sleep=clock.sleep)
    graph.hold(30)
    assert [31, 1] == [graph.take(), graph.take()]


@given(st.lists(st.tuples(st.floats(0.1, 8), st.floats(0, 3)), min_size=1, max_size=60))
def test_no_window_of_time_sees_more_than_its_share(asked: list[tuple[float, float]]) -> None:
    clock = Clock()
    pace = Budget(8, 4, clock=clock, sleep=clock.sleep)
    spent: list[tuple[float, float]] = []
    for cost, pause in asked:
        clock.now += pause
        pace.take(cost)
        spent.append((clock.now, cost))
    for index, (start, _) in enumerate(spent):
        for later in range(index, len(spent)):
            window = spent[later][0] - start
            assert sum(cost for _, cost in spent[index : later + 1]) <= 8 + 2 * window + 8e-6 + spent[later][1]


def test_threads_share_the_budget_of_one_key() -> None:
    waits: list[float] = []
    shared = budget("test", "shared", units=100, seconds=1000)
    threads = [threading.Thread(target=lambda: waits.append(budget("test", "shared", units=100, seconds=1000).take())) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [0.0] * 100 == waits
    assert shared is budget("test", "shared", units=100, seconds=1000)
    assert shared is not budget("test", "other", units=100, seconds=1000)
