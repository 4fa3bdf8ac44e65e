"""How the programme itself is run, as tables for `facts/`: entries of the register with what breaks a rule in each, service levels, drills.

What only the ledger knows (runs, tickets, what came of plans) is given. When a scope was last read wholly is carried from run to run:
each leaves its table `looked` beside its inventory for the next.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

import duckdb

from countersign.expectation import expectations
from countersign.facts.register_tables import RegisterTable
from countersign.inventory import sql_text
from countersign.register.check import control_of, faults
from countersign.register.policy import register_subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime
    from pathlib import Path

    from countersign.facts.register_tables import Row
    from countersign.inventory import Reading
    from countersign.programme import Programme
    from countersign.register.records import Register

TABLES = {
    "register_entries": (
        "subject VARCHAR, customer VARCHAR, kind VARCHAR, entry VARCHAR, partner VARCHAR, accountable VARCHAR, holds BOOLEAN"
    ),
    "register_faults": "subject VARCHAR, control VARCHAR, rule VARCHAR, said VARCHAR",
    "register_slas": (
        "customer VARCHAR, control VARCHAR, clock VARCHAR, detect_us BIGINT, escalate_us BIGINT, rotate_us BIGINT, revoke_us BIGINT"
    ),
    "agreed_then": (
        "since TIMESTAMP, control VARCHAR, partner VARCHAR, clock VARCHAR, why VARCHAR, detect_us BIGINT, detect_limit_us BIGINT, "
        "detect_why VARCHAR, escalate_us BIGINT, agreed_us BIGINT, allowed_us BIGINT, day_us BIGINT, worked_us BIGINT, due TIMESTAMP"
    ),
    "under_plans": "fingerprint VARCHAR, if_fails VARCHAR, if_unread VARCHAR, why VARCHAR, worked_us BIGINT, due TIMESTAMP",
    "looked_for": "provider VARCHAR, scope VARCHAR, listed_as VARCHAR",
    "drills": "customer VARCHAR, path VARCHAR, period_us BIGINT, last_at TIMESTAMP, began_at TIMESTAMP",
    "approvals_owed": (
        "customer VARCHAR, plan VARCHAR, partner VARCHAR, acted_by VARCHAR, taken_at TIMESTAMP, owed_until TIMESTAMP, settled_at TIMESTAMP"
    ),
    "revoked": "subject VARCHAR, plan VARCHAR, since TIMESTAMP, lasts_us BIGINT",
    "given_back": "subject VARCHAR, since TIMESTAMP",
    "desk_tickets": "key VARCHAR",
    "looked": "provider VARCHAR, scope VARCHAR, looked_at TIMESTAMP, looked_before TIMESTAMP",
}
"""Table to its columns; each is there, empty, where nobody gives it."""
DRILLS = ("remediation", "exception")
"""Paths that are exercised; the runs that do it are of kind `drill-<path>`."""


class Ran(Protocol):
    """A run as the ledger knows it."""

    @property
    def kind(self) -> str:
        """`reconcile`, `drill-remediation`, ..."""

    @property
    def state(self) -> str:
        """`complete`, where it did all that it was to do."""

    @property
    def as_of(self) -> datetime:
        """The time that it was for, in UTC."""


class Owed(NamedTuple):
    """An approval that is, or was, owed for acting without one."""

    plan: str
    partner: str
    by: str
    """Id of the person who acted."""
    taken_at: datetime
    owed_until: datetime
    settled_at: datetime | None
    """None: it is still owed."""


class Revoked(NamedTuple):
    """An identity or credential that a plan took away wholly, and nobody has given back since."""

    subject: str
    plan: str
    at: datetime
    """When the last step that takes it was seen to be made (UTC)."""
    lasts: timedelta
    """For how long what it had opened could still be used, as far as that is known."""


class GivenBack(NamedTuple):
    """An identity or credential that a plan gave back."""

    subject: str
    at: datetime


class AgreedThen(NamedTuple):
    """What was agreed when findings of a control and partner began, as the replay of the clocks has it; spans in microseconds."""

    since: datetime
    control: str
    partner: str | None
    """Whose they were when they began."""
    clock: str | None
    """The clock that the control sets; None: this version does not know the control."""
    why: str | None = None
    """Why nothing of what was agreed is known; None: the rest holds, None there being what is not agreed."""
    detect_us: int | None = None
    detect_limit_us: int | None = None
    """What still counts as in time."""
    detect_why: str | None = None
    """Why it is not known when anybody had looked before; None: what the findings themselves say holds."""
    escalate_us: int | None = None
    agreed_us: int | None = None
    """To put it right, as the contract says it."""
    allowed_us: int | None = None
    """What that is of the partner's time."""
    day_us: int | None = None
    """How long a working day is; None: the partner's time is wall time."""
    worked_us: int | None = None
    """The partner's time so far."""
    due: datetime | None = None
    """What ends later is late; seeing it fail then is seeing it late, as any later night knows. None: that is beyond the calendar."""


class UnderPlan(NamedTuple):
    """A finding whose subject or identity plans take: how the replay has the clock that puts it right, pauses and all."""

    fingerprint: str
    if_fails: str
    """The clock's state where the finding is seen failing tonight."""
    if_unread: str
    """Its state where nobody can see."""
    why: str | None
    """Why it is unknown then."""
    worked_us: int | None
    due: datetime | None


class LookedFor(NamedTuple):
    """A kind of subject whose absence from a scope is proof tonight."""

    provider: str
    scope: str
    listed_as: str


class Clocks(NamedTuple):
    """What the replay of the clocks (countersign/clocks/tonight.py) says of the findings that stand."""

    agreed_then: tuple[AgreedThen, ...] = ()
    under_plans: tuple[UnderPlan, ...] = ()
    looked_for: tuple[LookedFor, ...] = ()


class Undertaken(NamedTuple):
    """What came of plans, as far as a night judges it."""

    owed: tuple[Owed, ...] = ()
    revoked: tuple[Revoked, ...] = ()
    given_back: tuple[GivenBack, ...] = ()


NOTHING_UNDERTAKEN = Undertaken()
NOTHING_STANDS = Clocks()


def governance_tables(  # noqa: PLR0913 - the register, the ledger and the evidence, each with what it alone knows
    programme: Programme,
    as_of: datetime,
    *,
    runs: Iterable[Ran] = (),
    tickets: Iterable[str] = (),
    undertaken: Undertaken = NOTHING_UNDERTAKEN,
    clocks: Clocks = NOTHING_STANDS,
    readings: Iterable[Reading] = (),
    last: Path | None = None,
) -> tuple[RegisterTable, ...]:
    """Return the tables of `TABLES` as they stand at `as_of` (UTC).

    `runs` are all of the ledger's; `tickets` the keys of those that the desk has open; `undertaken` what came of plans; `clocks` what was
    agreed for the findings that stand, and whether anybody looked for them; `readings` tonight's; `last` the evidence folder of the last
    run that was judged, None: this is the first.
    """
    register = programme.register
    rows: dict[str, Iterable[Row]] = {
        "register_entries": _entries(register, register.today(as_of)),
        "register_faults": _faults(programme, as_of),
        "register_slas": _slas(register),
        "agreed_then": (each._replace(since=_naive(each.since), due=each.due and _naive(each.due)) for each in clocks.agreed_then),
        "under_plans": (each._replace(due=each.due and _naive(each.due)) for each in clocks.under_plans),
        "looked_for": clocks.looked_for,
        "drills": _drills(register, as_of, tuple(runs)),
        "approvals_owed": _owed(register, as_of, undertaken.owed),
        "revoked": (
            (each.subject, each.plan, _naive(each.at), each.lasts // timedelta(microseconds=1))
            for each in undertaken.revoked
            if each.at <= as_of
        ),
        "given_back": ((each.subject, _naive(each.at)) for each in undertaken.given_back if each.at <= as_of),
        "desk_tickets": ((key,) for key in sorted(set(tickets))),
        "looked": _looked(register, as_of, readings, last),
    }
    return tuple(RegisterTable(name, columns, tuple(rows[name])) for name, columns in TABLES.items())


def _entries(register: Register, today: date) -> Iterator[Row]:
    """Yield each entry with its partner and the person of the customer's who answers for it, where it has one of its own.

    `holds`: whether it claims to be in force; False for an exception that is only requested, or was put to rest.
    """
    customer = register.customer.id

    def row(kind: str, entry: str, partner: str | None = None, owners: tuple[str | None, ...] = (), *, holds: bool = True) -> Row:
        accountable = next((ref for ref in owners if register.live(ref) is not None), None)
        return register_subject(register, kind, entry), customer, kind, entry, partner, accountable, holds

    yield row("customer", customer)
    yield from (row("person", person) for person in register.people)
    yield from (row("partner", partner, partner) for partner in register.partners)
    yield from (row("control", control, owners=(entry.owners.business,)) for control, entry in register.controls.items())
    for workload, use in register.workloads.items():
        yield row("workload", workload, use.partner, (use.owner, use.backup_owner))
    for name, exception in register.exceptions.items():
        claimed = exception.approved_by is not None and (exception.ended_on is None or exception.ended_on > today)
        yield row("exception", name, _partner_of(register, exception.subject), holds=claimed)
    yield from (row("incident", incident, entry.partner) for incident, entry in register.incidents.items())


def _partner_of(register: Register, subject: str) -> str | None:
    """Return the partner that an exception is for, where its subject is a partner's own entry of the register."""
    kind, _, entry = subject.removeprefix(f"register:{register.customer.id}:").partition("/")
    if kind == "partner" and entry in register.partners:
        return entry
    workload = register.workloads.get(entry) if kind == "workload" else None
    return None if workload is None else workload.partner


def _faults(programme: Programme, as_of: datetime) -> Iterator[Row]:
    register, known = programme.register, {record.id for record in expectations()}
    for kind, entry, fault in faults(register, register.today(as_of), signer=programme.evidence.signer, known_controls=known):
        yield register_subject(register, kind, entry), control_of(fault.rule), fault.rule, f"{fault.field}: {fault.message}"


def _slas(register: Register) -> Iterator[Row]:
    for record in expectations():
        control = register.control(record.id)
        if control is not None:
            spans = (control.slas.detect, control.slas.escalate, control.slas.rotate, control.slas.revoke)
            yield (
                register.customer.id,
                record.id,
                record.clock,
                *(None if span is None else span // timedelta(microseconds=1) for span in spans),
            )


def _drills(register: Register, as_of: datetime, runs: tuple[Ran, ...]) -> Iterator[Row]:
    """Yield each path that is to be exercised, with its last complete drill and when the programme began to run, as known at `as_of`."""
    known = [run for run in runs if run.as_of <= as_of]
    began = min((run.as_of for run in known), default=as_of)
    for path in DRILLS:
        period: timedelta | None = getattr(register.drills, path)
        if period is not None:
            last = max((run.as_of for run in known if run.kind == f"drill-{path}" and run.state == "complete"), default=None)
            yield register.customer.id, path, period // timedelta(microseconds=1), None if last is None else _naive(last), _naive(began)


def _owed(register: Register, as_of: datetime, owed: Iterable[Owed]) -> Iterator[Row]:
    """Yield each approval that is or was owed, as known at `as_of`."""
    for each in owed:
        if each.taken_at <= as_of:
            settled = None if each.settled_at is None or each.settled_at > as_of else _naive(each.settled_at)
            yield register.customer.id, each.plan, each.partner, each.by, _naive(each.taken_at), _naive(each.owed_until), settled


def _looked(register: Register, as_of: datetime, readings: Iterable[Reading], last: Path | None) -> Iterator[Row]:
    """Yield for each scope ever read when it was last read wholly, tonight included and tonight left out; None: never."""
    before = _looked_last(last)
    tonight = {
        (reading.scope.provider, reading.scope.name) for reading in readings if reading.state == "complete" and not reading.passed_over
    }
    tonight.add(("register", register.customer.id))
    for provider, scope in sorted(before.keys() | tonight):
        earlier = before.get((provider, scope))
        yield provider, scope, _naive(as_of) if (provider, scope) in tonight else earlier, earlier


def _looked_last(last: Path | None) -> dict[tuple[str, str], datetime]:
    file = None if last is None else last / "inventory" / "looked.parquet"
    if file is None or not file.exists():
        return {}
    with duckdb.connect() as db:
        rows = db.execute(f"SELECT provider, scope, looked_at FROM read_parquet({sql_text(file)}) WHERE looked_at IS NOT NULL").fetchall()
    return {(provider, scope): looked_at for provider, scope, looked_at in rows}


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)
