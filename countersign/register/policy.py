"""Which limits hold for whom: the customer's, per environment, and what a partner or a workload adds to tighten them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from countersign.register.exceptions import exception_valid
from countersign.register.records import EXPIRY_REQUIRED, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from countersign.register.records import EntryKind, Overrides, Register, Workload

LIMIT_OF = {
    "max_idle": "inactive",
    "grace": "inactive",
    "rotate_within": "rotation-age",
    "max_lifetime": "lifetime-too-long",
    "max_ttl": "lifetime-too-long",
    "overlap": "overlap-too-long",
    "review_every": "review-overdue",
    "mfa": "human-mfa",
    "expiry_required": "credential-expiry",
}
"""Field of a policy to the control whose limit it is: an exception from that control lets a partner or workload have a looser one."""

TrackOfPolicy = Literal["human", "machine"]
_TRACKS: tuple[TrackOfPolicy, ...] = ("human", "machine")
_PER_KIND = ("rotate_within", "max_lifetime")
"""Limits by kind of credential; people's are the machines' where nothing else is said of theirs."""


class Effective(NamedTuple):
    """The limits of both tracks, people's with what they take over from the machines'."""

    human: Policy
    machine: Policy
    whose: Mapping[str, str]
    """Dotted limit (`machine.rotate_within.aws_access_key`) to who set it (`partner acme`); what is not here is the general one."""


class Looser(NamedTuple):
    """A limit that a partner or workload would loosen, which nothing allows; it is not in effect."""

    kind: EntryKind
    entry: str
    field: str
    """Dotted field of the entry, such as `policies.machine.max_idle`."""
    control: str
    """The control whose limit it is."""
    wanted: str
    allowed: str


class _Level(NamedTuple):
    """A partner or a workload that adds limits of its own."""

    register: Register
    at: datetime
    kind: EntryKind
    entry: str
    own: Overrides

    def may_loosen(self, field: str) -> bool:
        """Whether a valid exception from the field's control lets this entry have a looser limit."""
        subject = register_subject(self.register, self.kind, self.entry)
        return any(
            exception.control == LIMIT_OF[field]
            and exception.subject == subject
            and exception_valid(self.register, exception, self.at) is None
            for exception in self.register.exceptions.values()
        )


class _Held(NamedTuple):
    """Limits on the way down; people's are already with what they take over from the machines'."""

    tracks: dict[TrackOfPolicy, Policy]
    whose: dict[str, str]
    apart: frozenset[str]
    """Dotted limits of which the customer said something for people: the machines' are not theirs."""


def effective(
    register: Register, at: datetime, *, partner: str | None, environment: str | None, workload: Workload | None = None
) -> Effective:
    """Return the limits in force at an instant, for a workload or for whatever else a partner (None: the customer) has in an environment.

    The customer's general limits, replaced by those of the environment where it sets any, then tightened by the partner's and the
    workload's own. A looser value counts for nothing unless a valid exception from its control, with the partner's or workload's entry
    as its subject, allows it.

    Rotation and lifetime of a kind that the customer's `human` does not name are the machines', and so are those that a level adds;
    overlap and the demand for an expiry are the machines' and what `human` adds to them.
    """
    held = _customers(register, environment)
    for level in _levels(register, at, partner, workload):
        _fold(level, held)
    return Effective(held.tracks["human"], held.tracks["machine"], held.whose)


def looser(register: Register, at: datetime) -> Iterator[Looser]:
    """Yield every limit of a partner or workload that is looser than what it would replace and that no exception allows."""
    for partner in register.partners.values():
        for level in _levels(register, at, partner.id, None):
            yield from _fold(level, _customers(register, None))
    for workload in register.workloads.values():
        held = _customers(register, workload.environment)
        *above, own = _levels(register, at, workload.partner, workload)
        for level in above:
            _fold(level, held)  # what the partner may not have was said of the partner
        yield from _fold(own, held)


def register_subject(register: Register, kind: str, entry: str) -> str:
    """Return the subject id of an entry of the register."""
    return f"register:{register.customer.id}:{kind}/{entry}"


def in_words(span: timedelta) -> str:
    """Say a span in days where it is whole days, else in hours."""
    hours = span / timedelta(hours=1)
    amount, unit = (hours / 24, "day") if hours and hours % 24 == 0 else (hours, "hour")
    return f"{amount:g} {unit}" if amount == 1 else f"{amount:g} {unit}s"


def _customers(register: Register, environment: str | None) -> _Held:
    tracks: dict[TrackOfPolicy, Policy] = {"human": register.policies.human, "machine": register.policies.machine}
    whose: dict[str, str] = {}
    own = register.policies.environments.get(environment or "")
    for track in _TRACKS if own is not None else ():
        policy: Policy | None = getattr(own, track)
        if policy is not None:
            tracks[track] = _replaced(tracks[track], track, policy, f"environment {environment}", whose)
    apart = frozenset(f"{name}.{kind}" for name in _PER_KIND for kind in getattr(tracks["human"], name))
    tracks["human"] = _taken_over(tracks["human"], tracks["machine"], whose)
    return _Held(tracks, whose, apart)


def _taken_over(human: Policy, machine: Policy, whose: dict[str, str]) -> Policy:
    """Give people's limits with those of machines that are theirs, too."""
    values: dict[str, object] = {"expiry_required": tuple(dict.fromkeys((*_demanded(human), *_demanded(machine))))}
    fields = []
    for name in _PER_KIND:
        values[name] = getattr(machine, name) | getattr(human, name)
        fields += [f"{name}.{kind}" for kind in getattr(machine, name).keys() - getattr(human, name).keys()]
    if machine.overlap is not None and (human.overlap is None or machine.overlap < human.overlap):
        values["overlap"] = machine.overlap
        fields.append("overlap")
        whose.pop("human.overlap", None)
    whose.update({f"human.{field}": whose[f"machine.{field}"] for field in fields if f"machine.{field}" in whose})
    return human.model_copy(update=values)


def _replaced(base: Policy, track: TrackOfPolicy, own: Policy, who: str, whose: dict[str, str]) -> Policy:
    """Take what `own` sets, kind by kind where a limit is per kind, and the rest of `base`."""
    values = {name: getattr(own, name) for name in own.model_fields_set}
    for name, value in values.items():
        if isinstance(value, dict):
            whose.update(dict.fromkeys((f"{track}.{name}.{kind}" for kind in value), who))
            values[name] = getattr(base, name) | value
        else:
            whose[f"{track}.{name}"] = who
    return base.model_copy(update=values)


def _levels(register: Register, at: datetime, partner: str | None, workload: Workload | None) -> Iterator[_Level]:
    held = register.partners.get(partner or "")
    if held is not None:
        yield _Level(register, at, "partner", held.id, held.policies)
    if workload is not None:
        yield _Level(register, at, "workload", workload.workload, workload.policies)


def _fold(level: _Level, held: _Held) -> tuple[Looser, ...]:
    """Put a level's own limits into what is held; return those that it may not have."""
    human, machine = level.own.human, level.own.machine
    refused: list[Looser] = []
    if machine is not None:
        refused += _fold_track(level, held, "machine", machine)
        tuple(_fold_track(level, held, "human", _for_people(machine, held.apart)))  # what is refused is said of the machines already
    if human is not None:
        refused += _fold_track(level, held, "human", human)
    return tuple(refused)


def _for_people(machine: Policy, apart: frozenset[str]) -> Policy:
    """Keep of a level's limits for machines what holds for people, too."""
    values = {name: getattr(machine, name) for name in machine.model_fields_set & {"overlap", "expiry_required", *_PER_KIND}}
    for name in values.keys() & set(_PER_KIND):
        values[name] = {kind: span for kind, span in values[name].items() if f"{name}.{kind}" not in apart}
    return Policy(**values)


def _fold_track(level: _Level, held: _Held, track: TrackOfPolicy, own: Policy) -> Iterator[Looser]:
    base = held.tracks[track]
    values: dict[str, object] = {}
    for name in sorted(own.model_fields_set):
        new, old = getattr(own, name), getattr(base, name)
        if name == "expiry_required":
            values[name] = tuple(dict.fromkeys((*_demanded(base), *(new or ()))))
            continue
        taken = {}
        for kind, span in (new if isinstance(new, dict) else {None: new}).items():
            field = name if kind is None else f"{name}.{kind}"
            allowed = old if kind is None else old.get(kind)
            if isinstance(span, timedelta) and allowed is not None and span > allowed and not level.may_loosen(name):
                yield Looser(level.kind, level.entry, f"policies.{track}.{field}", LIMIT_OF[name], in_words(span), in_words(allowed))
            elif span is not None:
                taken[kind] = span
                if span != allowed:
                    held.whose[f"{track}.{field}"] = f"{level.kind} {level.entry}"
        if isinstance(new, dict):
            values[name] = old | taken
        elif taken:
            values[name] = taken[None]
    held.tracks[track] = base.model_copy(update=values)


def _demanded(policy: Policy) -> tuple[str, ...]:
    return EXPIRY_REQUIRED if policy.expiry_required is None else policy.expiry_required
