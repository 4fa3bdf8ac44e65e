"""How often Python looks for circles of objects while a run makes millions of records, which hold none."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SELDOM = (100_000, 50, 100)
"""New objects, and rounds, before the next look; Python's own are 700, 10 and 10, for programs of its size."""


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Look for circles a hundred times less often within the block; what no circle holds is freed at once, as ever."""
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
