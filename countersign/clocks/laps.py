"""The lives of a finding: from when it began to fail to when it was resolved, with what each clock asks of the time between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countersign.clocks.story import KNOWN, OF_OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from countersign.clocks.story import Event

_FAILS = frozenset({"new", "reopened"})


@dataclass(slots=True)
class Lap:
    """One life of a finding."""

    number: int
    """Counted from 1."""
    began: Event
    ended: Event | None = None
    """None: it stands."""
    open: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """Stretches in which no exception held, in order; None: the last one goes on."""
    seen: datetime | None = None
    """When a run last saw it fail while no exception held; None: none did."""
    blind: datetime | None = None
    """First run since then that could not look; None: none failed to."""
    told: Event | None = None
    looked: Event | None = None
    """When its scope was last read wholly before it was found; None: never, or nobody noted it."""
    taken: Event | None = None
    """First time after it was last seen that what it is about was taken away, and not given back before its end; None: it was not."""
    there_until: datetime | None = None
    """When it was first taken away after it was last seen, also where it was given back: until then it was there; None: it was not."""

    def open_until(self, at: datetime) -> datetime | None:
        """Return the last instant, up to `at`, at which no exception held; None: one held all the time."""
        until = [at if end is None else min(end, at) for start, end in self.open if start <= at]
        return max(until, default=None)

    def close(self, at: datetime) -> None:
        """End the stretch that goes on."""
        if self.open and self.open[-1][1] is None:
            self.open[-1] = (self.open[-1][0], at)


def laps(events: Sequence[Event]) -> tuple[tuple[Lap, ...], tuple[datetime, str] | None]:
    """Split events, in order, into lives; also return when and why the log could first not be understood, None: it could."""
    found: list[Lap] = []
    broken: tuple[datetime, str] | None = None
    lap: Lap | None = None
    for event in events:
        kind = event.kind
        if kind not in KNOWN:
            broken = broken or (event.at, f"the log holds an event that this version does not know: {kind}")
        elif kind in _FAILS or (kind == "excepted" and lap is None):
            if lap is None:
                lap = Lap(len(found) + 1, event)
                found.append(lap)
            # One that begins again without having been closed (a ledger that was begun anew) never ended.
            if kind in _FAILS:
                _opened(lap, event.at)
                _saw(lap, event.at)
        elif kind in OF_OTHERS:
            continue
        elif lap is None:
            broken = broken or (event.at, f"the log says `{kind}` of what did not stand")
        else:
            _go_on(lap, event)
            if kind == "resolved":
                lap = None
    for each in found:
        _beside(each, events)
    return tuple(found), broken


def _go_on(lap: Lap, event: Event) -> None:
    match event.kind:
        case "excepted":
            lap.close(event.at)
        case "exception-ended":
            # While it held nobody had to look; a night that ended it unseen says so itself.
            lap.blind = None
            _opened(lap, event.at)
        case "seen":
            _saw(lap, event.at)
        case "unobserved":
            lap.blind = lap.blind or event.at
        case "told":
            lap.told = lap.told or event
        case "resolved":
            lap.ended = event
            lap.close(event.at)
        case _:
            pass


def _opened(lap: Lap, at: datetime) -> None:
    if not lap.open or lap.open[-1][1] is not None:
        lap.open.append((at, None))


def _saw(lap: Lap, at: datetime) -> None:
    lap.seen, lap.blind = at, None


def _beside(lap: Lap, events: Sequence[Event]) -> None:
    """Add what is not a run's word about the finding itself."""
    end = None if lap.ended is None else lap.ended.at
    lap.looked = next((each for each in events if each.kind == "looked" and each.source == lap.began.source), None)
    since = lap.began.at if lap.seen is None else lap.seen
    took = [each for each in events if each.kind == "taken" and each.at > since and (end is None or each.at <= end)]
    back = [each for each in events if each.kind == "returned" and (end is None or each.at <= end)]
    lap.there_until = took[0].at if took else None
    lap.taken = next((each for each in took if not any(each.source == b.source and each.at <= b.at for b in back)), None)
