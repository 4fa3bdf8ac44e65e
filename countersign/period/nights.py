"""Which nights of a period there were, and what explains those that are not complete; all pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NightState = Literal["complete", "partial", "stopped", "failed", "missing", "before"]
_WORST = {"denied": 0, "failed": 1, "partial": 2}
_SHOWN = 3
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope of a run that was not read whole."""

    name: str
    """Provider and scope, as people read it."""
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a night's state follows from: a judged run, or an entry of kind `failed`."""

    sequence: int
    run: str
    day: date
    judged: bool
    state: str
    """complete, partial or failed."""
    guard: str | None = None
    error: str | None = None
    limited_to: tuple[str, ...] = ()
    unread: tuple[Scope, ...] = ()


@dataclass(frozen=True, slots=True)
class Night:
    """A row of the table `nights`."""

    day: date
    state: NightState
    sequence: int | None
    run: str | None
    runs: int
    failures: int
    failed_sequences: tuple[int, ...]
    why: str | None


def nights(entries: Sequence[Entry], first: date, last: date, began: date | None) -> Iterator[Night]:
    """Yield one row for each day from `first` to `last`. `began`: day of the ledger's first entry; None: it is not on file.

    Of several judged runs of a day the last one is the night. A day before the ledger began is no gap: nothing was promised for it.
    """
    by_day: dict[date, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.sequence):
        by_day.setdefault(entry.day, []).append(entry)
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        yield _night(day, by_day.get(day, []), began)


def _night(day: date, entries: Sequence[Entry], began: date | None) -> Night:
    judged = [entry for entry in entries if entry.judged]
    failed = [entry for entry in entries if not entry.judged]
    numbers = tuple(entry.sequence for entry in failed)
    if judged:
        night = judged[-1]
        state = _state(night)
        return Night(day, state, night.sequence, night.run, len(judged), len(failed), numbers, _why(night, state))
    if failed:
        return Night(day, "failed", None, None, 0, len(failed), numbers, _short(failed[-1].error))
    if began is not None and day < began:
        return Night(day, "before", None, None, 0, 0, (), f"the ledger had not begun: its first entry is of {began}")
    return Night(day, "missing", None, None, 0, 0, (), None)


def _state(night: Entry) -> NightState:
    if night.guard is not None:
        return "stopped"
    if night.state == "failed":
        return "failed"
    return "partial" if night.state != "complete" or night.limited_to else "complete"


def _why(night: Entry, state: NightState) -> str | None:
    if state == "complete":
        return None
    said = [] if night.guard is None else [_short(night.guard)]
    if night.limited_to:
        said.append(_short(f"limited to {', '.join(night.limited_to)}"))
    unread = sorted(night.unread, key=lambda scope: (_WORST.get(scope.state, len(_WORST)), scope.name, scope.reason or ""))
    said += [_short(f"{scope.name} {scope.state}" + ("" if scope.reason is None else f": {scope.reason}")) for scope in unread[:_SHOWN]]
    if len(unread) > _SHOWN:
        said.append(f"and {len(unread) - _SHOWN} more scopes")
    return "; ".join(text for text in said if text) or None


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
