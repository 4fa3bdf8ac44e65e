"""What became of the exceptions that the registers of a period held: in force, over, never good, or refused on the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Literal

from countersign.period.accountability import ref_of
from countersign.register.exceptions import renewals, standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.period.accountability import InForce
    from countersign.period.ledger import Row
    from countersign.period.lens import Lens
    from countersign.register.exceptions import Standing
    from countersign.register.records import Register

State = Literal["in force", "ended", "invalid", "requested"]
_GONE = "it is not in the register any more"


@dataclass(frozen=True, slots=True)
class Life:
    """How an exception stood at the judged runs of a period."""

    state: State
    refused: str | None
    """Why it was not in force at the last of them; None: it was."""
    refused_first: str | None
    """Why the first run that refused it within its time did; None: none did."""
    refused_since: datetime | None
    """Moment (UTC, no zone) of that run."""


def exceptions(
    held: Sequence[InForce], at: datetime, subjects: Mapping[str, tuple[str | None, str | None]], lens: Lens | None
) -> Iterator[Row]:
    """Yield the exceptions that a register of the period held, as the last one had them; `at`: of the last judged run.

    `subjects`: the name and the partner of those that are known.
    """
    known = {name: (each, entry) for each in held for name, entry in each.register.exceptions.items()}
    for name in sorted(known):
        each, entry = known[name]
        identity_name, partner = subjects.get(entry.subject, (None, _partner_of(each.register, entry.subject)))
        if lens is not None and partner != lens.partner:
            continue
        now = standing(each.register, entry, each.register.today(at)) if each is held[-1] else None
        came = life(tuple(_stood(held, name)), now)
        yield {
            "exception": name, "control": entry.control, "subject": entry.subject, "identity_name": identity_name, "partner": partner,
            "requested_by": ref_of(each.register, entry.requested_by, lens), "approved_by": ref_of(each.register, entry.approved_by, lens),
            "approved_on": entry.approved_on, "reason": entry.reason, "compensating_control": entry.compensating_control,
            "exit_criteria": entry.exit_criteria, "expires": entry.expires, "renewals": len(renewals(each.register, entry)),
            "ended_on": entry.ended_on, "state": came.state, "in_force": came.refused is None, "refused": came.refused,
            "refused_first": came.refused_first, "refused_since": came.refused_since,
        }  # fmt: skip


def life(stood: Sequence[tuple[datetime, Standing]], now: Standing | None) -> Life:
    """Say what became of an exception that stood so at the runs of a period, in order. `now`: at the last one; None: it was taken out.

    One that is over was good if any run found it so, or if none saw it within its time; what came before the period is not told here.
    """
    states = {standing.state for _, standing in stood}
    since, first = next(((moment, standing.why) for moment, standing in stood if standing.state == "invalid"), (None, None))
    refused = _GONE if now is None else now.why
    if refused is None:
        state: State = "in force"
    elif now is not None and now.state in ("invalid", "requested"):
        state = now.state
    elif "approved" in states or not states - {"ended"}:
        state = "ended"
    else:
        state = "invalid" if "invalid" in states else "requested"
    return Life(state, refused, first, since)


def _stood(held: Sequence[InForce], name: str) -> Iterator[tuple[datetime, Standing]]:
    """Yield how an exception stood at the runs whose register held it: at the first of each day, since a register counts in days."""
    for each in held:
        entry, last = each.register.exceptions.get(name), None
        for run in each.runs if entry is not None else ():
            today = each.register.today(run.at.replace(tzinfo=UTC))
            if entry is not None and today != last:
                yield run.at, standing(each.register, entry, today)
                last = today


def _partner_of(register: Register, subject: str) -> str | None:
    """Return whose entry of the register an exception is for; None: the subject is no entry, or nobody's but the customer's."""
    kind, _, entry = subject.removeprefix(f"register:{register.customer.id}:").partition("/")
    workload = register.workloads.get(entry) if kind == "workload" else None
    return entry if kind == "partner" else None if workload is None else workload.partner
