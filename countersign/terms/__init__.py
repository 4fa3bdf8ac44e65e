"""What is agreed for findings of a control and partner: service levels, business hours, and when a time that began is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from countersign.register.records import WEEK, Slas
from countersign.terms.hours import Hours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.register.records import BusinessHours, Register

__all__ = ["CLOCKS", "ClockName", "Hours", "Terms", "terms_of"]

ClockName = Literal["detect", "escalate", "rotate", "revoke"]
CLOCKS: tuple[ClockName, ...] = ("detect", "escalate", "rotate", "revoke")
_NONE, _DAY = timedelta(), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed when a life of a finding began; a later change of the register moves nothing."""

    agreed: Mapping[ClockName, timedelta | None]
    """None: no service level."""
    hours: Hours | None
    """Business hours for the partner's time to rotate; None: day and night."""
    cap: timedelta
    """How long one pause lasts at most."""
    register: str
    """Digest of the register that says so."""

    def hours_of(self, clock: ClockName) -> Hours | None:
        """Return the business hours that a clock runs on; None: day and night, as all but `rotate` do."""
        return self.hours if clock == "rotate" else None

    def allowed(self, clock: ClockName) -> timedelta | None:
        """Return how much of the partner's time is agreed; None: nothing is.

        Whole days are working days where business hours hold, and anything else is hours of them.
        """
        agreed, hours = self.agreed[clock], self.hours_of(clock)
        return agreed if agreed is None or hours is None or agreed % _DAY else hours.day * (agreed // _DAY)

    def between(self, clock: ClockName, start: datetime, end: datetime) -> timedelta:
        """Return how much of the partner's time lies between two instants; none where `end` is not later."""
        hours = self.hours_of(clock)
        return max(_NONE, end - start) if hours is None else hours.between(start, end)

    def after(self, clock: ClockName, start: datetime, span: timedelta) -> datetime:
        """Return the first instant (UTC) at which `span` of the partner's time has passed since `start`.

        Raises OverflowError where that is beyond the calendar.
        """
        hours = self.hours_of(clock)
        return start + span if hours is None else hours.after(start, span)

    def due(self, clock: ClockName, start: datetime) -> datetime | None:
        """Return when the time of a clock that began at `start` is over (UTC), without pauses; None: never, or nothing is agreed."""
        allowed = self.allowed(clock)
        try:
            return None if allowed is None else self.after(clock, start, allowed)
        except OverflowError:
            return None


def terms_of(register: Register, control: str, partner: str | None) -> Terms:
    """Return what a register agrees for findings of a control and partner (None: nobody's); without an entry for the control nothing."""
    entry = register.control(control)
    slas = Slas() if entry is None else entry.slas
    party = register.partners.get(partner or "")
    return Terms(
        agreed={"detect": slas.detect, "escalate": slas.escalate, "rotate": slas.rotate, "revoke": slas.revoke},
        hours=None if party is None else _hours(register, party.contract.business_hours),
        cap=timedelta() if party is None else party.contract.pause_cap,
        register=register.digest,
    )


def _hours(register: Register, said: BusinessHours | None) -> Hours | None:
    if said is None:
        return None
    return Hours(
        zone=register.customer.timezone, days=frozenset(WEEK.index(day) for day in said.days), opens=_minutes(said.opens),
        closes=_minutes(said.closes), closed=frozenset(register.customer.closed),
    )  # fmt: skip


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
