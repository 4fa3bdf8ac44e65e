"""Python's search for circles of objects, while a run makes millions of records."""

from __future__ import annotations

import gc

import pytest

from countersign.memory import seldom_searched


def test_circles_are_looked_for_as_before_once_the_run_is_over_however_it_ended() -> None:
    before = gc.get_threshold()
    with seldom_searched():
        assert gc.isenabled()
        assert gc.get_threshold()[0] > before[0]
    with pytest.raises(ZeroDivisionError), seldom_searched():
        divmod(1, 0)
    assert gc.get_threshold() == before
