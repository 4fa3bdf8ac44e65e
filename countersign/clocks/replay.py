"""The clocks of a finding, recomputed from its events alone: the same events give the same clocks, whoever asks, whenever.

Two readings: the customer's exposure is wall time and never stops; the partner's time stops while a decision is owed by the customer.
A clock is met or missed by proof only, and stays so; what nobody looked at is neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from countersign.clock import minute
from countersign.clocks.laps import laps
from countersign.clocks.story import KNOWN, in_order
from countersign.terms import CLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from countersign.clocks.laps import Lap
    from countersign.clocks.story import Event, Story
    from countersign.terms import ClockName, Hours, Terms

ClockState = Literal["met", "running", "missed", "unknown"]
RUNGS = (50, 75, 100, 150)
"""Percent of the agreed time at which somebody further up is told."""
_NIGHTS_DIFFER = 12
NOT_AGREED = "no service level is agreed"
_HELD = "an exception holds, so nothing has to be done meanwhile"
_NONE = timedelta()
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pause:
    """A time for which the partner waited for the customer."""

    began: datetime
    ended: datetime
    """Of one that goes on, now; none goes on longer than its clock."""
    reason: str
    cap: timedelta
    capped: bool
    """Whether the cap ended it."""
    source: str
    """Id of the plan."""
    going_on: bool


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of the ladder."""

    percent: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock of one life of a finding."""

    clock: ClockName
    life: int
    """Counted from 1."""
    started: datetime | None
    """None: not known."""
    ended: datetime | None
    """None: it runs, or its start is not known."""
    agreed: timedelta | None
    """As the contract has it; None: nothing is agreed, or not known."""
    allowed: timedelta | None
    """What that is of the partner's time: of business days, their hours."""
    hours: Hours | None
    """Business hours that the partner's time is counted in; None: day and night."""
    exposure: timedelta | None
    """Wall time to its end, or to now; None: not known."""
    partner_time: timedelta | None
    due: datetime | None
    """When the partner's time is over, pauses so far taken into account; what ends later is late, also while nobody works."""
    pauses: tuple[Pause, ...]
    rungs: tuple[Rung, ...]
    """By the terms at the start, without pauses."""
    state: ClockState
    why: str | None
    """Why it is unknown, or what is to be known of how it was met; None: nothing."""
    late: bool
    """Whether its time is over, it has not ended as far as anybody knows, and no exception holds, so that something has to be done."""
    register: str | None
    """Digest of the register whose terms hold."""

    def next_rung(self, now: datetime) -> Rung | None:
        """Return the next step of the ladder; None: there is none, or the clock has ended."""
        return None if self.ended is not None else next((rung for rung in self.rungs if rung.at > now), None)


def replay(story: Story, now: datetime) -> tuple[Clock, ...]:
    """Return the clocks of all lives of a finding as they stood at `now` (UTC); later events play no part.

    A control sets `rotate` or `revoke` or neither, so there is no other; and nobody need be told of what was excepted all the time.
    """
    events = in_order(tuple(event for event in story.events if event.at <= now))
    found, broken = laps(events)
    told = {(each.clock, each.life): each for lap in found for each in _of(lap, story, events, now)}
    if broken is None:
        return tuple(told.values())
    at, why = broken
    before = replace(story, events=tuple(event for event in events if event.at < at and event.kind in KNOWN))
    sure = {(each.clock, each.life): each for each in replay(before, at) if each.state in ("met", "missed")}
    return tuple(sure.get(key) or replace(each, state="unknown", why=why) for key, each in told.items())


def _of(lap: Lap, story: Story, events: Sequence[Event], now: datetime) -> Iterator[Clock]:
    terms = story.terms.get(lap.began.source, "what was agreed when it began is not on file")
    for name in CLOCKS:
        if name in ("rotate", "revoke") and name != story.ends_by:
            continue
        if isinstance(terms, str):
            yield _unknown(lap, name, terms)
        elif name == "detect":
            yield _detected(lap, terms, now)
        elif name == "escalate":
            if lap.open:
                yield _escalated(lap, terms, now)
        else:
            yield _put_right(name, lap, terms, events, now)


@dataclass(frozen=True, slots=True)
class _Run:
    """A clock that began: how both of its times are read."""

    name: ClockName
    lap: Lap
    terms: Terms
    started: datetime
    now: datetime
    pauses: tuple[Pause, ...] = ()

    @property
    def held(self) -> bool:
        """Return whether an exception holds; it does from the very instant at which a run told of it."""
        return not any(start <= self.now and (end is None or self.now < end) for start, end in self.lap.open)

    @property
    def hours(self) -> Hours | None:
        return self.terms.hours_of(self.name)

    @property
    def agreed(self) -> timedelta | None:
        return self.terms.agreed[self.name]

    @property
    def allowed(self) -> timedelta | None:
        return self.terms.allowed(self.name)

    def worked(self, start: datetime, end: datetime) -> timedelta:
        return self.terms.between(self.name, start, end)

    def partner(self, at: datetime) -> timedelta:
        """Return the partner's time up to an instant."""
        spent, reached = _NONE, self.started
        for pause in self.pauses:
            if pause.began < at:
                spent += self.worked(reached, pause.began)
                reached = max(reached, min(pause.ended, at))
        return spent + self.worked(reached, at)

    def due(self) -> datetime | None:
        """Return the first instant at which the partner's time is as much as is allowed; None: nothing is, or it is beyond the calendar."""
        left, reached = self.allowed, self.started
        if left is None:
            return None
        for pause in self.pauses:
            before = self.worked(reached, pause.began)
            if before >= left:
                break
            left, reached = left - before, max(reached, pause.ended)
        try:
            return self.terms.after(self.name, reached, left)
        except OverflowError:
            return None

    def rungs(self) -> tuple[Rung, ...]:
        allowed = self.allowed
        if allowed is None:
            return ()
        try:
            return tuple(Rung(percent, self.terms.after(self.name, self.started, allowed * percent / 100)) for percent in RUNGS)
        except OverflowError:
            return ()

    def clock(self, ended: datetime | None, state: ClockState, why: str | None = None) -> Clock:
        until = self.now if ended is None else ended
        due = self.due()
        return Clock(
            clock=self.name, life=self.lap.number, started=self.started, ended=ended, agreed=self.agreed, allowed=self.allowed,
            hours=self.hours, exposure=max(_NONE, until - self.started), partner_time=self.partner(until), due=due,
            pauses=self.pauses, rungs=self.rungs(), state=state, why=why,
            late=ended is None and not self.held and (state == "missed" or (state == "unknown" and due is not None and due < self.now)),
            register=self.terms.register,
        )  # fmt: skip


def detect_limit(agreed: timedelta) -> timedelta:
    """Return what counts as detected in time, a twelfth more than agreed: nights differ by minutes, and by an hour twice a year."""
    return agreed + agreed / _NIGHTS_DIFFER


def _detected(lap: Lap, terms: Terms, now: datetime) -> Clock:
    """Return the clock of finding: from when its scope had been read wholly before."""
    if lap.looked is None:
        return replace(_unknown(lap, "detect", "nobody had read its scope wholly before it was found"), agreed=terms.agreed["detect"])
    run = _Run("detect", lap, terms, lap.looked.at, now)
    if run.agreed is None:
        return run.clock(lap.began.at, "unknown", NOT_AGREED)
    met = run.partner(lap.began.at) <= detect_limit(run.agreed)
    return run.clock(lap.began.at, "met" if met else "missed")


def _escalated(lap: Lap, terms: Terms, now: datetime) -> Clock:
    """Return the clock of telling: from when it was first open until the desk has a ticket for it."""
    run = _Run("escalate", lap, terms, lap.open[0][0], now)
    # What a plan took away, as a run confirmed, nobody has to be told of any more.
    end = lap.told or ((lap.taken or lap.ended) if lap.ended is not None else None)
    ended = None if end is None else max(end.at, run.started)
    if run.allowed is None:
        return run.clock(ended, "unknown", NOT_AGREED)
    # That there is no ticket is known at any time; whether there should be one, only while somebody can look.
    until = now if end is None else end.at
    if lap.told is None and lap.blind is not None:
        until = min(until, lap.blind)
    if run.partner(lap.open_until(until) or run.started) > run.allowed:
        return run.clock(ended, "missed")
    return run.clock(ended, *(("met", None) if lap.told is not None else _untold(run, now if ended is None else ended)))


def _untold(run: _Run, until: datetime) -> tuple[ClockState, str | None]:
    """Say how the clock stands of what nobody was told of, and need not have been as far as anybody could look."""
    lap, allowed = run.lap, run.allowed or _NONE
    over, excepted = run.partner(until) > allowed, lap.open_until(until) != until
    if over and not excepted:
        return "unknown", f"whether it still failed is not known: its scope could not be read since {minute(lap.blind or until)}"
    if lap.ended is not None:
        return "met", "it ended before anybody had to be told"
    return "running", "while an exception holds, nobody need be told" if excepted else None


def _put_right(name: ClockName, lap: Lap, terms: Terms, events: Sequence[Event], now: datetime) -> Clock:
    """Return the clock of what ended: from when it began to fail until a plan took it away, or a run saw it gone."""
    proved = lap.ended is not None
    end = (lap.taken or lap.ended) if proved else None
    ended = None if end is None else end.at
    run = _Run(name, lap, terms, lap.began.at, now, _pauses(lap, events, terms, now if ended is None else ended, ended=proved))
    due = run.due()
    if due is None:
        return run.clock(ended, "unknown", NOT_AGREED if run.allowed is None else "its time is over beyond the end of the calendar")
    # At the very instant at which its time is over it may still end in time; whatever failed then did not, as any later one knows.
    late_when_seen = lap.seen is not None and lap.seen >= due and now > due
    if late_when_seen or (lap.there_until is not None and (lap.open_until(lap.there_until) or run.started) > due):
        return run.clock(ended, "missed", _HELD if ended is None and run.held else None)
    if ended is not None:
        return run.clock(ended, *_ended(run, ended, due))
    return run.clock(None, *_stands(run, now, due))


def _stands(run: _Run, now: datetime, due: datetime) -> tuple[ClockState, str | None]:
    lap = run.lap
    if lap.taken is not None:
        return "running", f"taken away by {lap.taken.source} at {minute(lap.taken.at)}; no run has confirmed it yet"
    if now <= due:
        return "running", _HELD if run.held else None
    if run.held and (lap.open_until(now) or due) <= due:
        return "running", "an exception held when its time was over, and holds"
    blind = "nobody has looked since" if lap.blind is None else f"its scope could not be read since {minute(lap.blind)}"
    seen = "never seen open" if lap.seen is None else f"last seen failing at {minute(lap.seen)}"
    return "unknown", f"its time was over at {minute(due)}; {seen}, and {blind}"


def _ended(run: _Run, ended: datetime, due: datetime) -> tuple[ClockState, str | None]:
    lap = run.lap
    if ended <= due:
        return "met", None if lap.taken is None else f"taken away by {lap.taken.source}, which a run confirmed"
    if (lap.open_until(ended) or due) <= due:
        return "met", "an exception held when its time was over, until it was gone"
    seen = "it was never seen open" if lap.seen is None else f"it was last seen failing at {minute(lap.seen)}"
    return "unknown", f"{seen} and gone at {minute(ended)}; its time was over in between, at {minute(due)}"


def _pauses(lap: Lap, events: Sequence[Event], terms: Terms, until: datetime, *, ended: bool) -> tuple[Pause, ...]:
    """Return the times for which an approval was owed, in order; each ends when it was given or fell away, at its cap, or with its clock.

    `until`: when the clock ended, or now.
    """
    found = []
    for asked in events:
        if asked.kind != "asked" or asked.at >= until:
            continue
        answers = (each.at for each in events if each.kind in ("given", "withdrawn") and each.source == asked.source)
        answered = next((at for at in answers if asked.at <= at <= until), None)
        began, capped = max(asked.at, lap.began.at), asked.at + min(terms.cap, _LAST - asked.at)
        over, goes_on = min(capped, answered or until), not ended and answered is None and capped > until
        if over > began:
            found.append(
                Pause(
                    began=began, ended=over, cap=terms.cap, capped=over == capped and answered != capped,
                    reason=asked.said or "an approval was owed", source=asked.source, going_on=goes_on,
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda pause: (pause.began, pause.ended, pause.source)))


def _unknown(lap: Lap, name: ClockName, why: str) -> Clock:
    """Return a clock of which nothing is known but that it is there."""
    return Clock(
        clock=name, life=lap.number, started=None, ended=lap.began.at if name == "detect" else None, agreed=None, allowed=None, hours=None,
        exposure=None, partner_time=None, due=None, pauses=(), rungs=(), state="unknown", why=why, late=False, register=None,
    )  # fmt: skip
