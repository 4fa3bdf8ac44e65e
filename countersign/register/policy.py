"""Which limits hold for whom: the customer's, per environment, and what a partner or a workload adds to tighten them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from countersign.register.exceptions import exception_valid
from countersign.register.records import EXPIRY_REQUIRED, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
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


class Effective(NamedTuple):
    """The limits of both tracks."""

    human: Policy
    machine: Policy


class _Level(NamedTuple):
    """A partner or a workload that adds limits of its own."""

    register: Register
    at: datetime
    kind: EntryKind
    entry: str
    own: Overrides

    def may_loosen(self, control: str) -> bool:
        """Whether a valid exception from the control lets this entry have a looser limit."""
        subject = register_subject(self.register, self.kind, self.entry)
        return any(
            exception.control == control and exception.subject == subject and exception_valid(self.register, exception, self.at) is None
            for exception in self.register.exceptions.values()
        )


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


def effective(
    register: Register, at: datetime, *, partner: str | None, environment: str | None, workload: Workload | None = None
) -> Effective:
    """Return the limits in force at an instant, for a workload or for whatever else a partner (None: the customer) has in an environment.

    The customer's general limits, replaced by those of the environment where it sets any, then tightened by the partner's and the
    workload's own. A looser value counts for nothing unless a valid exception from its control, with the partner's or workload's entry
    as its subject, allows it.
    """
    base = _customers(register, environment)
    for level in _levels(register, at, partner, workload):
        base = Effective(*(_fold(level, getattr(base, track), getattr(level.own, track)) for track in Effective._fields))
    return base


def looser(register: Register, at: datetime) -> Iterator[Looser]:
    """Yield every limit of a partner or workload that is looser than what it would replace and that no exception allows."""
    for partner in register.partners.values():
        base = _customers(register, None)
        yield from _looser(_Level(register, at, "partner", partner.id, partner.policies), base)
    for workload in register.workloads.values():
        base = effective(register, at, partner=workload.partner, environment=workload.environment)
        yield from _looser(_Level(register, at, "workload", workload.workload, workload.policies), base)


def register_subject(register: Register, kind: str, entry: str) -> str:
    """Return the subject id of an entry of the register."""
    return f"register:{register.customer.id}:{kind}/{entry}"


def _customers(register: Register, environment: str | None) -> Effective:
    general = Effective(register.policies.human, register.policies.machine)
    own = register.policies.environments.get(environment or "")
    if own is None:
        return general
    return Effective(*(_replaced(getattr(general, track), getattr(own, track)) for track in Effective._fields))


def _levels(register: Register, at: datetime, partner: str | None, workload: Workload | None) -> Iterator[_Level]:
    held = register.partners.get(partner or "")
    if held is not None:
        yield _Level(register, at, "partner", held.id, held.policies)
    if workload is not None:
        yield _Level(register, at, "workload", workload.workload, workload.policies)


def _replaced(base: Policy, own: Policy | None) -> Policy:
    """Take what `own` sets, kind by kind where a limit is per kind, and the rest of `base`."""
    if own is None:
        return base
    values = {name: getattr(own, name) for name in own.model_fields_set}
    for name in values.keys() & {"rotate_within", "max_lifetime"}:
        values[name] = getattr(base, name) | values[name]
    return base.model_copy(update=values)


def _fold(level: _Level, base: Policy, own: Policy | None) -> Policy:
    if own is None:
        return base

    def chosen(field: str, old: timedelta | None, new: timedelta) -> timedelta:
        return new if old is None or new <= old or level.may_loosen(LIMIT_OF[field]) else old

    values: dict[str, object] = {}
    for name in own.model_fields_set:
        new, old = getattr(own, name), getattr(base, name)
        if isinstance(new, timedelta):
            values[name] = chosen(name, old, new)
        elif isinstance(new, dict):
            values[name] = old | {key: chosen(name, old.get(key), span) for key, span in new.items()}
        elif name == "expiry_required" and new is not None:
            demanded = EXPIRY_REQUIRED if old is None else old
            values[name] = tuple(dict.fromkeys((*demanded, *new)))
        elif new is not None:
            values[name] = new
    return base.model_copy(update=values)


def _looser(level: _Level, base: Effective) -> Iterator[Looser]:
    for track in Effective._fields:
        policy: Policy | None = getattr(level.own, track)
        for name in sorted(policy.model_fields_set) if policy is not None else ():
            new, old = getattr(policy, name), getattr(getattr(base, track), name)
            pairs = [(f"{name}.{key}", span, old.get(key)) for key, span in new.items()] if isinstance(new, dict) else [(name, new, old)]
            for field, wanted, limit in pairs:
                if not isinstance(wanted, timedelta) or limit is None or wanted <= limit:
                    continue
                if not level.may_loosen(LIMIT_OF[name]):
                    yield Looser(level.kind, level.entry, f"policies.{track}.{field}", LIMIT_OF[name], _days(wanted), _days(limit))


def _days(span: timedelta) -> str:
    days, rest = divmod(span, timedelta(days=1))
    hours = rest / timedelta(hours=1)
    return f"{days} days" if days and not hours else f"{days * 24 + hours:g} hours"
