"""Makes a plan: what a partner holds, what takes each of it away, and what would remain."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from countersign.clock import instant, stamp
from countersign.errors import CountersignError
from countersign.offboarding.closure import Closure, close
from countersign.offboarding.plan import DECIDED_UNDER, OURSELVES, Asked, Noted, Plan, PlanError, Unread
from countersign.register.approvals import may_approve
from countersign.rehearsal import looked
from countersign.results import silent
from countersign.revocation import Change, Left, RevocationError, revoker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from countersign.inventory import Reading
    from countersign.programme import Programme
    from countersign.register.records import Register
    from countersign.results import Tell

_PHASES: dict[str, Literal["disable", "delete"]] = {"disable": "disable", "delete": "delete"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one reading of all sources gave: how each scope went, and the database of the facts."""

    readings: tuple[Reading, ...]
    database: Path


def make(  # noqa: PLR0913 - what is asked, what it is like, and the surroundings
    programme: Programme,
    asked: Asked,
    *,
    like: Plan | None = None,
    used_after: datetime | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    tell: Tell = silent,
) -> Plan:
    """Read the sources afresh and plan; nothing is written anywhere.

    `like`: the plan that is looked at again (or whose disabled things are deleted): it counts as made when that was, and what that held
    counts even where nothing says any more whose it is. `used_after`: when that was switched off; a use since then stops the plan.
    Raises PlanError for a question that cannot be, CountersignError when nothing
    can be read.
    """
    demand(programme, asked)
    only = _sources_of(programme, asked)
    with looked(programme, only=only, named=_named(like), tell=tell) as (readings, database):
        return plan(programme, asked, Seen(readings, database), like=like, used_after=used_after, clock=clock, tell=tell)


def plan(  # noqa: PLR0913 - what is asked, what was read, and when
    programme: Programme,
    asked: Asked,
    seen: Seen,
    *,
    like: Plan | None = None,
    used_after: datetime | None = None,
    clock: Callable[[], datetime],
    tell: Tell = silent,
) -> Plan:
    """Plan from what was read already; each change is looked up live with the reading identity. Raises PlanError."""
    demand(programme, asked)
    again = like is not None and like.asked == asked
    made_at = like.made_at if like is not None and again else clock().replace(microsecond=0)
    found = close(
        seen.database, asked.partner, only=asked.only, without=(uid for uid, _ in asked.without), also=() if like is None else like.holdings
    )
    if asked.phase == "delete" and like is not None:
        # Nothing is deleted that was not switched off and watched first.
        off = {held.uid for held in like.holdings}
        found = replace(found, holdings=tuple(held for held in found.holdings if held.uid in off))
    tell(f"{len(found.holdings)} things are {asked.partner}'s; looking each of them up")
    changes, left, unread = _changes(programme, asked, found, seen, made_at, clock)
    if asked.emergency:
        waits = "it cannot be taken back, so it is not done in an emergency"
        left += [
            Left(change.target, change.name, f"{change.says}: {waits}", "plan without --emergency")
            for change in changes
            if not change.reversible
        ]
        changes = [change for change in changes if change.reversible]
    approvers = may_approve(programme.register, DECIDED_UNDER[asked.trigger], asked.requested_by)
    needed = 2 if asked.phase == "delete" or len(changes) > programme.register.revocation.large else 1
    return Plan(
        id=like.id if like is not None and again else f"{asked.partner}-{made_at:%Y%m%dt%H%M%Sz}-{secrets.token_hex(3)}",
        customer=programme.customer,
        asked=asked,
        made_at=made_at,
        register=programme.register.digest,
        steps=tuple(sorted(changes, key=attrgetter("place"))),
        left=tuple(sorted(left, key=attrgetter("uid", "why"))),
        undecided=found.undecided,
        unread=tuple(sorted({*unread, *_unread(seen.readings)}, key=attrgetter("provider", "scope", "source", "why"))),
        holdings=tuple(sorted(found.holdings, key=attrgetter("uid"))),
        noted=(*_stops(asked, approvers, needed, changes), *_used_since(found, used_after), *found.noted),
        approvers=approvers,
        needed=needed,
        context=found.context | _context(programme.register, asked, seen.readings),
    )


def demand(programme: Programme, asked: Asked) -> None:
    """Refuse a question that cannot be: an unknown partner or person, or a partner's person who asks. Raises PlanError."""
    register = programme.register
    if asked.partner not in register.partners:
        known = ", ".join(sorted(register.partners)) or "none is registered"
        raise PlanError(f"there is no partner called {asked.partner!r} in the register", fix=f"use one of: {known}")
    if asked.requested_by != OURSELVES and asked.requested_by not in register.people:
        raise PlanError(
            f"{asked.requested_by!r} is nobody of the customer's in the register", fix="name a person of register/customer.yaml with --as"
        )
    if asked.emergency and asked.phase != "disable":
        raise PlanError("in an emergency things are switched off, never deleted", fix="leave out --emergency, or plan the deletion later")


def _changes(  # noqa: PLR0913, PLR0917 - what is asked, what there is, and when
    programme: Programme, asked: Asked, found: Closure, seen: Seen, since: datetime, clock: Callable[[], datetime]
) -> tuple[list[Change], list[Left], set[Unread]]:
    changes: list[Change] = []
    left: list[Left] = []
    unread: set[Unread] = set()
    sources = {source.name: source for source in programme.sources}
    scopes = {(reading.scope.source, reading.scope.name): reading.scope for reading in seen.readings}
    place = attrgetter("source", "scope")
    for (source, scope), group in groupby(sorted(found.holdings, key=lambda held: (*place(held), held.uid)), place):
        held = tuple(group)
        if source not in sources or (source, scope) not in scopes:
            gone = "is not configured any more" if source not in sources else f"did not name {scope} this time"
            why = f"the source {source} {gone}"
            unread.add(Unread(source=source, provider=held[0].provider, scope=scope, why=why))
            continue
        try:
            with revoker(sources[source].provider).hand(sources[source], scopes[source, scope], run=asked.partner, now=clock) as hand:
                made = tuple(hand.changes(held, _PHASES[asked.phase], since))
        except RevocationError as error:
            if sources[source].provider == "files":
                left += [Left(each.uid, each.name, error.message, error.fix or "") for each in held if each.what == "identity"]
            else:
                unread.add(Unread(source=source, provider=held[0].provider, scope=scope, why=error.message))
            continue
        except CountersignError as error:
            unread.add(Unread(source=source, provider=held[0].provider, scope=scope, why=error.message))
            continue
        changes += [each for each in made if isinstance(each, Change)]
        left += [each for each in made if isinstance(each, Left)]
    excluded = dict(asked.without)
    dropped = [change for change in changes if change.target in excluded]
    return [change for change in changes if change not in dropped], left, unread


def _context(register: Register, asked: Asked, readings: Iterable[Reading]) -> dict[str, object]:
    """Say which scopes were read wholly, and since when the access should be gone where an event says so."""
    read = {(reading.scope.provider, reading.scope.name) for reading in readings if reading.state == "complete" and not reading.passed_over}
    context: dict[str, object] = {"read": [list(place) for place in sorted(read)]}
    if asked.trigger == "contract-end" and (ends := register.partners[asked.partner].contract.ends) is not None:
        context["triggered_at"] = stamp(register.end_of(ends))
    elif asked.trigger == "incident":
        declared = [incident.declared_at for incident in register.incidents.values() if incident.partner in (asked.partner, None)]
        context |= {"triggered_at": stamp(min(declared))} if declared else {}
    return context


def _unread(readings: Iterable[Reading]) -> Iterator[Unread]:
    """Say which scopes were not read wholly: what a partner has there nobody knows."""
    for reading in readings:
        if reading.state == "complete" or reading.passed_over:
            continue
        scope = reading.scope
        missing = [row for row in reading.coverage if row.state != "complete"]
        for row in missing:
            yield Unread(source=scope.source, provider=scope.provider, scope=scope.name, why=f"{row.operation}: {row.error or row.state}")
        if not missing:
            yield Unread(source=scope.source, provider=scope.provider, scope=scope.name, why=reading.reason or reading.state)


def _stops(asked: Asked, approvers: Sequence[str], needed: int, changes: Sequence[Change]) -> Iterator[Noted]:
    if len(approvers) < needed:
        who = ", ".join(approvers) or "nobody"
        said = f"it takes {needed} approvers and only {who} may: name who is accountable for revoking in register/controls"
        yield Noted(level="stop", uid=f"partner/{asked.partner}", name=asked.partner, said=said)
    final = sum(not change.reversible for change in changes)
    if final:
        said = f"{final} of {len(changes)} changes cannot be taken back"
        yield Noted(level="note", uid=f"partner/{asked.partner}", name=asked.partner, said=said)


def _used_since(found: Closure, off: datetime | None) -> Iterator[Noted]:
    """Say what was used although it had been switched off: whoever did is still in, and what is deleted cannot be looked into."""
    for held in found.holdings:
        used = found.context["used"].get(held.uid)
        if off is not None and used is not None and instant(used) > off:
            yield Noted(level="stop", uid=held.uid, name=held.name, said=f"it was used on {used}, after it had been switched off")


def _named(like: Plan | None) -> frozenset[str]:
    """Return the identities whose keys the plan calls by their ids: switched off, they are worth no call by themselves."""
    held = () if like is None else like.holdings
    return frozenset(each.identity_uid for each in held if each.kind == "access-key" and "@" not in each.uid)


def _sources_of(programme: Programme, asked: Asked) -> tuple[str, ...]:
    """In an emergency about single identities only their own provider is read: minutes count, and the closure is not asked for."""
    if not (asked.emergency and asked.only):
        return ()
    providers = {uid.partition(":")[0] for uid in asked.only}
    return tuple(source.name for source in programme.sources if source.provider in providers)
