"""One goal, what was measured for it, and whether it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LINEAR = 1.05
"""The largest exponent that counts as growing no faster than the estate."""


@dataclass(frozen=True, slots=True)
class Line:
    """One goal and what was measured for it."""

    goal: str
    ours: str
    holds: bool
    peer: str = ""
    """What others take; empty where nobody does the same."""


def at_most(goal: str, value: float, limit: float, ours: str, peer: str = "") -> Line:
    """Hold a figure against its limit."""
    return Line(goal, ours, value <= limit, peer)


def linear(goal: str, costs: Mapping[int, float]) -> Line:
    """Hold the exponent between two sizes against `LINEAR`; `goal` is the goal's letter, with what it is about."""
    (small, less), (large, more) = sorted(costs.items())
    exponent = math.log(more / less) / math.log(large / small)
    return at_most(f"{goal}: grows no faster than the estate, {small:,} to {large:,}", exponent, LINEAR, f"exponent {exponent:.2f}")
