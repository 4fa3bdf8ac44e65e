"""One step of a plan: look, write down what is intended, write, and look until it is so; or say why it is not."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, repeat
from typing import TYPE_CHECKING, Self, TypeVar

from countersign.errors import CountersignError, ReadError
from countersign.reading import connector
from countersign.revocation import RevocationDeniedError, RevocationError, Tried, revoker

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from countersign.offboarding.journal import Journal, Step
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme
    from countersign.reading import Scope
    from countersign.revocation import Change, Hand, State

PATIENCE = timedelta(minutes=5)
"""How long a change that the provider took may be invisible."""
SETTLE = timedelta(seconds=30)
"""How long it is looked whether a write without an answer was made, before it counts as not made."""
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks; the last one is repeated."""
_T = TypeVar("_T")
_LONGEST = 500
"""Characters of a state or of a provider's words in a reason."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock, and how long to wait for what."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    patience: timedelta = PATIENCE


class Hands:
    """The scopes that a plan changes, each entered when it is first needed; a context manager, used by one thread."""

    def __init__(self, programme: Programme, run: str, clock: Callable[[], datetime]) -> None:
        self._sources = {source.name: source for source in programme.sources}
        self._run, self._clock = run, clock
        self._scopes: dict[str, tuple[Scope, ...]] = {}
        self._open: dict[tuple[str, str], Hand] = {}
        self._who: dict[tuple[str, str], tuple[str, str]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Leaving changes nothing at a provider, and must not hide what was done.
        with suppress(Exception):
            self._stack.__exit__(kind, error, trace)

    def of(self, source: str, scope: str) -> Hand:
        """Return the hand in a scope. Raises RevocationError when it cannot be entered."""
        if (source, scope) not in self._open:
            self._open[source, scope] = _safely("entering", lambda: self._enter(source, scope))
        return self._open[source, scope]

    def who(self, source: str, scope: str) -> tuple[str, str]:
        """Return who reads and who writes in a scope, asked once. Raises RevocationError."""
        if (source, scope) not in self._who:
            self._who[source, scope] = _safely("asking who we are", self.of(source, scope).who)
        return self._who[source, scope]

    def _enter(self, source: str, scope: str) -> Hand:
        found = self._sources.get(source)
        if found is None:
            raise RevocationError(f"the programme has no source {source} any more", fix="put it back into countersign.yaml, or plan again")
        if source not in self._scopes:
            self._scopes[source] = connector(found.provider).scopes(found)
        place = next((place for place in self._scopes[source] if place.name == scope), None)
        if place is None:
            raise RevocationError(f"source {source} has no scope {scope} any more", fix="put it back into countersign.yaml, or plan again")
        hand = revoker(found.provider).hand(found, place, run=self._run, now=self._clock)
        return self._stack.enter_context(hand)


def differences(plan: Plan, hands: Hands, made: frozenset[str]) -> tuple[str, ...]:
    """Look at every step that is not made, and say each one that is not as the plan says, in a sentence; nothing is written."""
    found = []
    for change in plan.steps:
        if change.id in made:
            continue
        try:
            seen = look(hands.of(change.source, change.scope), change)
        except RevocationError as error:
            found.append(f"cannot be seen: {change.target}: {error.message}")
            continue
        if seen != change.before:
            found.append(f"changed since the plan: {change.target} was {_short(change.before)} and is {_short(seen)}")
    return tuple(found)


def carry_out(  # noqa: PLR0913 - one step and its surroundings
    change: Change, step: Step, hands: Hands, journal: Journal, pace: Pace, *, plan: str, others: bool
) -> None:
    """Make one change and record it in the journal, as made, found or failed; raises only where the journal cannot be written.

    `others`: whether an earlier step of the plan changed the same scope, so that it may have brought this one about.
    """
    try:
        hand = hands.of(change.source, change.scope)
        who = hands.who(change.source, change.scope)
        seen = _first_look(hand, change, pace, written=step.may_be_made)
    except RevocationError as error:
        journal.failed(plan, change.id, None, f"nothing was written: {_cut(error.message)}")
        return
    if seen == change.before:
        journal.intended(plan, change.id, seen, who, pace.clock())
        _write(change, hand, journal, pace, plan)
    elif seen == change.after and step.may_be_made:
        journal.made(plan, change.id, seen, pace.clock(), "it was written earlier, and was seen to be made only now")
    elif seen == change.after and others:
        journal.found(plan, change.id, seen, pace.clock(), "it was so when its turn came: by an earlier step, or by somebody else")
    elif seen == change.after:
        journal.failed(plan, change.id, seen, "nothing was written: it is so already, and not by this plan")
    else:
        why = f"nothing was written: it is not as planned any more, it was {_short(change.before)} and is {_short(seen)}"
        journal.failed(plan, change.id, seen, why)


def _first_look(hand: Hand, change: Change, pace: Pace, *, written: bool) -> State:
    """Look before writing. What was `written` a moment before a process died may not show yet: it is not repeated before its time."""
    seen = look(hand, change)
    if not written or seen != change.before:
        return seen
    again, trouble = _until(hand, change, SETTLE, pace.sleep)
    if again is None:
        raise RevocationError(f"it was written earlier, and cannot be looked at: {trouble}")
    return again


def _write(change: Change, hand: Hand, journal: Journal, pace: Pace, plan: str) -> None:
    refused, patience, record = None, pace.patience, journal.failed
    try:
        _safely("writing", lambda: hand.write(change))
    except RevocationDeniedError as error:
        refused, patience, record = f"it was refused: {_cut(error.message)}", timedelta(), journal.refused
    except RevocationError as error:
        refused, patience = f"the write brought no answer that holds: {_cut(error.message)}", min(SETTLE, pace.patience)
    else:
        journal.written(plan, change.id, pace.clock())
    seen, trouble = _until(hand, change, patience, pace.sleep)
    if seen == change.after:
        journal.made(plan, change.id, seen, pace.clock(), None if refused is None else f"{refused}; but it is made")
        return
    said = refused or f"the provider took it, and after {patience.total_seconds():.0f} s it is still not so"
    now = f"it could not be looked at: {trouble}" if seen is None else f"it is {_short(seen)}"
    record(plan, change.id, seen, f"{said}; {now}")


def look(hand: Hand, change: Change) -> State:
    """Look once. Raises RevocationError."""
    return _safely("looking", lambda: hand.look(change))


def attempt(hands: Hands, place: tuple[str, str], uid: str, secret: str) -> Tried:
    """Try an old credential in its place (source, scope); never raises, and keeps no secret."""
    try:
        hand = hands.of(*place)
        return _safely("trying", lambda: hand.attempt(uid, secret))
    except RevocationError as error:
        return Tried(None, "", f"it could not be tried: {_cut(error.message)}")


def _until(hand: Hand, change: Change, patience: timedelta, sleep: Callable[[float], None]) -> tuple[State | None, str | None]:
    """Look until it is as it should be, or the patience is over; return what was seen last, and why the last look failed."""
    seen: State | None = None
    trouble: str | None = None
    waited = 0.0
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            seen, trouble = look(hand, change), None
        except RevocationError as error:
            seen, trouble = None, _cut(error.message)
        if seen == change.after or waited >= patience.total_seconds():
            break
        sleep(pause)
        waited += pause
    return seen, trouble


def _safely(doing: str, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except RevocationError:
        raise
    except ReadError as error:
        raise RevocationError(f"{doing} failed: {error.message}") from error
    except CountersignError as error:
        raise RevocationError(f"{doing} failed: {error.message}", fix=error.fix) from error
    except Exception as error:  # noqa: BLE001 - whatever a library raises; its words may hold a secret, so only its kind is told
        raise RevocationError(f"{doing} failed with {type(error).__name__}") from None


def _short(state: State) -> str:
    return _cut(json.dumps(state, sort_keys=True))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
