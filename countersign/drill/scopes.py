"""Where a drill may make something: the scopes that the customer set aside, and the programme as a drill sees it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from countersign.canary import PARTNER, PREFIX
from countersign.errors import CountersignError
from countersign.reading import connector
from countersign.register.records import Contract, Footprint, Partner

if TYPE_CHECKING:
    from datetime import date

    from countersign.programme import Programme, Source
    from countersign.reading import Scope

EXAMPLE = "`drill: [{source: vault, scope: vault/drills}]`"


class DrillError(CountersignError):
    """A drill cannot begin, or cannot go on."""

    exit_code = 2


class DrillFailedError(CountersignError):
    """A step of a drill showed that the way does not work; what the drill made is removed all the same."""


@dataclass(frozen=True, slots=True)
class Place:
    """One scope that is set aside."""

    source: Source
    scope: Scope


def demand(programme: Programme) -> None:
    """Refuse (DrillError) a programme in which no drill can be: no scope is set aside, or the drill's own partner is registered."""
    if not programme.drill:
        raise DrillError(
            "no scope is set aside for drills, so nothing can be made anywhere",
            fix=f"set one aside in which nothing else lives, such as {EXAMPLE}, in countersign.yaml",
        )
    if PARTNER in programme.register.partners:
        raise DrillError(f"the register has a partner called {PARTNER}, which stands for drills", fix="give that partner another id")


def staged(programme: Programme, today: date) -> Programme:
    """Return the programme with only the sources that have a scope set aside, and the drill's partner in its register, in memory alone.

    One night of such small change is no reason for the run guard to speak up.
    """
    names = {place.source for place in programme.drill}
    return replace(
        programme,
        sources=tuple(source for source in programme.sources if source.name in names),
        register=programme.register.model_copy(update={"partners": {**programme.register.partners, PARTNER: partner(today)}}),
        limits=programme.limits.model_copy(update={"max_new_share": 1.0, "max_gone_share": 1.0}),
    )


def partner(today: date) -> Partner:
    """Return the partner that stands for a drill: all that bears the drill's name or tag is its."""
    return Partner(
        id=PARTNER,
        name="Drill",
        contract=Contract(reference="drill", starts=today),
        footprint=Footprint(name_patterns=(f"{PREFIX}*",), tags={PARTNER: "yes"}),
    )


def places(programme: Programme) -> tuple[Place, ...]:
    """Find the scopes that are set aside, by asking each source for its own. Raises DrillError for one that is not there, ReadError."""
    sources = {source.name: source for source in programme.sources}
    found: list[Place] = []
    listed: dict[str, tuple[Scope, ...]] = {}
    for wanted in dict.fromkeys((each.source, each.scope) for each in programme.drill):
        source = sources[wanted[0]]
        if source.name not in listed:
            listed[source.name] = tuple(connector(source.provider).scopes(source))
        scope = next((scope for scope in listed[source.name] if scope.name == wanted[1]), None)
        if scope is None:
            known = ", ".join(sorted(scope.name for scope in listed[source.name])) or "none"
            raise DrillError(f"source {source.name} has no scope {wanted[1]}", fix=f"name one of its own under `drill:`: {known}")
        found.append(Place(source, scope))
    return tuple(found)


def why_of(error: Exception) -> str:
    """Say why a step failed. Of an error that is not ours only its kind and place: its text may hold anything, also a canary's secret."""
    if isinstance(error, CountersignError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
