"""What the clocks of one finding are made from: its events, and what was agreed when each of its lives began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from countersign.expectation import Clock as EndsBy
    from countersign.terms import Terms

OF_FINDING = ("new", "reopened", "exception-ended", "excepted", "changed", "unobserved", "seen", "told", "resolved")
OF_OTHERS = ("looked", "asked", "given", "withdrawn", "taken", "returned")
BEGINS = frozenset({"new", "reopened", "excepted"})
"""Kinds that begin a life, `excepted` where none stands."""
KNOWN = frozenset((*OF_FINDING, *OF_OTHERS))
"""Kinds of event that this version understands.

Of runs: those of `countersign.finding.Kind`; `seen`: a run saw it fail while no exception held; `told`: the desk has a ticket for it.
`looked`: its scope was last read wholly before the run named by `source` found it.
Of plans: `asked` for an approval, which was `given` or fell away (`withdrawn`); `taken`: what the finding is about was taken away;
`returned`: the same plan's doing was taken back, or may have been.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at: datetime
    """UTC; of a run its as_of."""
    kind: str
    source: str
    """Id of the run or plan that says so."""
    said: str | None = None
    """What a reader should know of it; None: the kind says it all."""


@dataclass(frozen=True, slots=True)
class Story:
    """A finding with all that happened to it."""

    fingerprint: str
    control: str
    subject: str
    identity_name: str | None
    provider: str
    scope: str
    partner: str | None
    accountable: str | None
    severity: str
    ends_by: EndsBy | None
    """The clock that the control sets for putting it right; None: this version does not know the control."""
    events: tuple[Event, ...]
    """In any order."""
    terms: Mapping[str, Terms | str]
    """Run that began a life to what was agreed then; text: why that cannot be told."""


def in_order(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Sort events by time; of those of one instant, runs' come first, run by run, so that the order they came in plays no part."""
    return tuple(sorted(set(events), key=_key))


def _key(event: Event) -> tuple[object, ...]:
    if event.kind in OF_FINDING:
        return (event.at, 0, event.source, OF_FINDING.index(event.kind), event.said or "")
    return (event.at, 1, event.kind, event.source, event.said or "")
