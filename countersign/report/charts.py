"""Inline pictures of a period, pure: bars of a number over the nights, where a night without a number is a gap and never a zero."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

HEIGHT = 100
"""Height of a picture in its own units; a night is one unit wide, and the page stretches both."""
TICKS = 6
"""Dates that stand under a picture, at most: more would run into each other on a telephone."""
THINNEST = 2
"""Height of one among a million: something is never drawn as nothing."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A date under a picture; `x` in percent of its width."""

    x: float
    day: date


@dataclass(frozen=True, slots=True)
class Gap:
    """Nights in a row that have no number; `x` and `width` in percent of the picture."""

    x: float
    width: float
    nights: int


def bars(values: Sequence[int | None], highest: int) -> str:
    """Return the path of one bar a night, in a box of `len(values)` by HEIGHT; nights of one height that touch share a bar.

    None leaves its night empty, and so does 0: what tells them apart are the `gaps`. `highest` fills the height; 0: nothing does.
    """
    path, x = [], 0
    for value, nights in groupby(values):
        width = len(list(nights))
        if value:
            height = max(THINNEST, round(HEIGHT * min(value, highest) / highest)) if highest else THINNEST
            path.append(f"M{x} {HEIGHT}v-{height}h{width}v{height}z")
        x += width
    return "".join(path)


def gaps(values: Sequence[int | None]) -> tuple[Gap, ...]:
    """Return where there is no number."""
    found, at = [], 0
    for known, nights in groupby(values, key=lambda value: value is not None):
        count = len(list(nights))
        if not known:
            found.append(Gap(round(100 * at / len(values), 3), round(100 * count / len(values), 3), count))
        at += count
    return tuple(found)


def ticks(days: Sequence[date]) -> tuple[Tick, ...]:
    """Choose dates to stand under a picture: the first day, and firsts of months well apart from it and from each other."""
    if not days:
        return ()
    apart = len(days) / TICKS
    chosen = [0]
    for at, day in enumerate(days):
        if day.day == 1 and at - chosen[-1] >= apart and len(days) - at >= apart:
            chosen.append(at)
    return tuple(Tick(round(100 * at / len(days), 3), days[at]) for at in chosen)


def told(values: Sequence[int | None]) -> str:
    """Say in words what a picture shows: `12 on the first night, 40 at most, 9 on the last; no number for 5 of 90 nights`."""
    known = [value for value in values if value is not None]
    lost = len(values) - len(known)
    if not known:
        return "no night has a number"
    said = f"{known[0]:,} on the first night, {max(known):,} at most, {known[-1]:,} on the last"
    return said if lost == 0 else f"{said}; no number for {lost:,} of {len(values):,} nights"


def told_shortly(values: Sequence[int | None]) -> str:
    """Say the same in the room beside a small picture: `first 12, most 40, last 9`; its gaps are told apart only by the picture."""
    known = [value for value in values if value is not None]
    if not known:
        return "no night has a number"
    return "none on any night" if not any(known) else f"first {known[0]:,}, most {max(known):,}, last {known[-1]:,}"


def nightly(values: Sequence[int | None], *, name: str, title: str, kind: str) -> Markup:
    """Return bars over the nights as one SVG element that fills the box that the page gives it.

    `name` makes the ids of its title and description and must be unique in the page; `kind` is its CSS class. Text is escaped.
    """
    highest = max((value for value in values if value is not None), default=0)
    hatched = Markup().join(
        Markup('<rect class="unknown" x="{}%" width="{}%" height="100%"/>').format(gap.x, gap.width) for gap in gaps(values)
    )
    return Markup(
        '<svg class="nightly {kind}" role="img" aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{title}</title>'
        '<desc id="{name}-d">{told}</desc>{hatched}<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        '<path d="{path}"></path></svg><rect class="base" y="100%" width="100%" height="1"/></svg>'
    ).format(
        kind=kind, name=name, title=title, told=told(values), hatched=hatched, width=len(values) or 1, height=HEIGHT,
        path=bars(values, highest),
    )  # fmt: skip
