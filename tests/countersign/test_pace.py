from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from countersign.pace import Budget, Quota, budget, quota


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


def test_a_quota_is_spent_at_once_and_waits_only_where_it_is_soon_free() -> None:
    clock = Clock()
    changes = Quota(3, 3600, clock=clock, sleep=clock.sleep)
    assert [0, 0] == [changes.take(60), changes.take(60)]
    clock.now = 100
    assert [0, 3500] == [changes.take(60), changes.take(60)]
    clock.now = 3550
    assert (changes.take(60), clock.now) == (0, 3600)
    assert (changes.take(60), clock.now) == (0, 3600)
    assert (changes.take(60), clock.now) == (100, 3600)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.floats(0, 40))
def test_no_window_of_time_sees_more_than_a_quota(pauses: list[float], patience: float) -> None:
    clock = Clock()
    changes = Quota(5, 60, clock=clock, sleep=clock.sleep)
    spent: list[float] = []
    for pause in pauses:
        asked = clock.now = clock.now + pause
        if changes.take(patience) == 0:
            spent.append(clock.now)
        assert clock.now - asked <= patience + 1e-6
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(spent, spent[5:], strict=False))


def test_desks_at_one_server_share_its_quota() -> None:
    assert quota("test", "shared", units=3, seconds=60) is quota("test", "shared", units=3, seconds=60)
    assert quota("test", "shared", units=3, seconds=60) is not quota("test", "other", units=3, seconds=60)


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
