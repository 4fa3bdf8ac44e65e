"""How a partner did against the contract, clock by clock: counted from the same replay that settles a dispute about one finding."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from countersign.clocks.laps import laps
from countersign.clocks.replay import NOT_AGREED, replay
from countersign.clocks.story import in_order
from countersign.terms import CLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from countersign.clocks.replay import Clock
    from countersign.clocks.story import Story
    from countersign.terms import ClockName

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One clock of one partner; counts are of lives of findings."""

    clock: ClockName
    agreed: tuple[timedelta, ...]
    """Every service level that was agreed for one of them, shortest first."""
    total: int
    """All but those that nothing is agreed for."""
    met: int
    missed: int
    running: int
    unknown: int
    not_agreed: int
    median: timedelta | None
    """Of the partner's time, over those that have ended; None: none has."""
    of_work: bool
    """Whether business hours hold for one of them, so that the partner's time is hours of work."""
    worst: timedelta | None
    """Of the partner's time, those that run included; None: no time is known."""
    worst_exposure: timedelta | None
    worst_finding: str | None
    """Fingerprint of the one with the worst partner's time."""

    @property
    def share_met(self) -> float | None:
        """Return the share met of those that were met or missed; None: there is none."""
        return None if not self.met + self.missed else self.met / (self.met + self.missed)

    @property
    def unknown_share(self) -> float | None:
        """Return the share unknown of all that something is agreed for; None: there is none."""
        return None if not self.total else self.unknown / self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A partner's scorecard."""

    partner: str | None
    """None: what is the customer's own, or nobody's."""
    findings: int
    lives: int
    reopened: int
    """Lives that began after an earlier one was resolved."""
    overdue: int
    """Clocks whose time is over and that have not ended as far as anybody knows."""
    exceptions_used: int
    """Lives that an exception held for at some time."""
    paused: timedelta | None
    """How long the customer's decisions stopped the partner's time, all clocks together; None: never."""
    measures: tuple[Measure, ...]


def scorecards(stories: Iterable[Story], now: datetime, begins: datetime | None = None, ends: datetime | None = None) -> tuple[Card, ...]:
    """Return a card for each partner, by id, the customer's own last; of the lives that began from `begins` on and before `ends` (UTC)."""
    held: defaultdict[str | None, list[Story]] = defaultdict(list)
    for story in stories:
        held[story.partner].append(story)
    return tuple(_card(partner, held[partner], now, begins, ends) for partner in sorted(held, key=lambda name: (name is None, name or "")))


def _card(partner: str | None, held: list[Story], now: datetime, begins: datetime | None, ends: datetime | None) -> Card:
    clocks: list[tuple[str, Clock]] = []
    findings, lives, reopened, excepted = set(), 0, 0, 0
    for story in held:
        wanted = set()
        for life, began, used in _lives(story, now):
            if (begins is None or began >= begins) and (ends is None or began < ends):
                wanted.add(life)
                lives, reopened, excepted = lives + 1, reopened + (life > 1), excepted + used
        if wanted:
            findings.add(story.fingerprint)
            clocks += ((story.fingerprint, clock) for clock in replay(story, now) if clock.life in wanted)
    paused = [pause.ended - pause.began for _, clock in clocks for pause in clock.pauses]
    return Card(
        partner=partner, findings=len(findings), lives=lives, reopened=reopened, exceptions_used=excepted,
        overdue=sum(clock.late for _, clock in clocks), paused=sum(paused[1:], paused[0]) if paused else None,
        measures=tuple(_measure(name, [each for each in clocks if each[1].clock == name]) for name in CLOCKS),
    )  # fmt: skip


def _lives(story: Story, now: datetime) -> Iterator[tuple[int, datetime, bool]]:
    """Yield each life: its number, when it began, and whether an exception held at some time."""
    events = in_order(tuple(event for event in story.events if event.at <= now))
    for lap in laps(events)[0]:
        end = now if lap.ended is None else lap.ended.at
        yield lap.number, lap.began.at, any(each.kind == "excepted" and lap.began.at <= each.at <= end for each in events)


def _measure(name: ClockName, mine: list[tuple[str, Clock]]) -> Measure:
    agreed = [each for each in mine if each[1].why != NOT_AGREED]
    states = [clock.state for _, clock in agreed]
    times = [(clock.partner_time, fingerprint) for fingerprint, clock in agreed if clock.partner_time is not None]
    worst = max(times, default=None)
    done = [clock.partner_time for _, clock in agreed if clock.ended is not None and clock.partner_time is not None]
    return Measure(
        clock=name, agreed=tuple(sorted({clock.agreed for _, clock in agreed if clock.agreed is not None})), total=len(agreed),
        met=states.count("met"), missed=states.count("missed"), running=states.count("running"), unknown=states.count("unknown"),
        not_agreed=len(mine) - len(agreed),
        of_work=any(clock.hours is not None for _, clock in agreed), median=_median(done), worst=None if worst is None else worst[0],
        worst_exposure=max((clock.exposure for _, clock in agreed if clock.exposure is not None), default=None),
        worst_finding=None if worst is None else worst[1],
    )  # fmt: skip


def _median(times: list[timedelta]) -> timedelta | None:
    return timedelta(microseconds=int(median(time // _TICK for time in times))) if times else None
