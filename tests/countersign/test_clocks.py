"""The clocks of `facts/clocks.sql` against a plain Python oracle, and who looked when, carried from run to run.

What nights of a programme come to is held against the replay in test_clocks_agree.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from countersign import facts
from countersign.expectation import expectations
from countersign.facts.governance import AgreedThen, Clocks, LookedFor, governance_tables
from countersign.identity import Identity
from countersign.inventory import Reading, collect, spool, unread
from countersign.reading import Scope
from countersign.register.records import (
    Answers,
    Contract,
    Control,
    Customer,
    DrillPeriods,
    Footprint,
    Partner,
    Person,
    Policies,
    Policy,
    Register,
    RegisteredException,
    Slas,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY, HOUR, TICK = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
ACCOUNT, DARK = "444455556666", "777788889999"
CLOCKS = {record.id: record.clock for record in expectations()}


NOW = ("fails", "fails", "unknown", "over", "gone", "unread")
"""What became of a subject tonight: `over` it is switched off, `gone` it is not there any more, `unread` its account could not be read."""


@dataclass(frozen=True, slots=True)
class Stood:
    """A finding as the last run's file has it, and what became of its subject."""

    control: str = "named-owner"
    state: str = "open"
    first_seen: datetime = AS_OF - DAY
    since: datetime = AS_OF - DAY
    looked_before: datetime | None = AS_OF - 2 * DAY
    ticket_key: str | None = "cs1-there"
    now: str = "fails"
    excepted: bool = False
    """Whether an exception holds tonight, whatever the last run said."""
    seen_at: datetime | None = AS_OF - DAY
    known_until: datetime | None = AS_OF - DAY
    unobserved_since: datetime | None = None
    told: bool = False

    def scope(self) -> str:
        return DARK if self.now == "unread" else ACCOUNT


@dataclass(frozen=True, slots=True)
class Ran:
    kind: str
    state: str
    as_of: datetime


def register(
    slas: Mapping[str, Slas] = MappingProxyType({}), drills: DrillPeriods | None = None, excepted: Iterable[tuple[str, str]] = ()
) -> Register:
    """Give a register with an entry for each control, or for `default`, and exceptions by control and subject."""
    boreal = Partner(
        id="boreal",
        name="Boreal",
        contract=Contract(reference="C-1", starts=date(2020, 1, 1), ends=date(2026, 1, 31)),
        footprint=Footprint(tags={"partner": "boreal"}),
    )
    given = {
        f"EX-{index}": RegisteredException(
            exception=f"EX-{index}", control=control, subject=subject, reason="x", compensating_control="x", exit_criteria="x",
            requested_by="dev", approved_by="maria", approved_on=date(2026, 11, 1), expires=date(2026, 12, 1),
        )
        for index, (control, subject) in enumerate(excepted)
    }  # fmt: skip
    return Register(
        customer=Customer(id="northwind", name="Northwind"),
        people={name: Person(id=name, name=name, active=True) for name in ("maria", "dev")},
        policies=Policies(human=Policy(), machine=Policy()),
        partners={"boreal": boreal},
        controls={name: Control(control=name, slas=agreed, answers=Answers(approves="maria")) for name, agreed in slas.items()},
        exceptions=given,
        drills=drills or DrillPeriods(),
        digest="sha256:0",
    )


def bot(index: int, one: Stood) -> Identity:
    """Give a machine's identity that fails all that is judged here: nobody owns it, and its partner's contract is over."""
    unsure = one.now == "unknown"
    return Identity(
        uid=f"aws:{ACCOUNT}:user/AIDA{index}", provider="aws", scope=ACCOUNT, kind="user", native_id=f"AIDA{index}", name=f"bot-{index}",
        track="machine", enabled=None if unsure else one.now == "fails", unknown={"enabled": "not told"} if unsure else {},
        tags={"partner": "boreal"}, created_at=AS_OF - 400 * DAY, observed_at=AS_OF,
    )  # fmt: skip


def last_run(folder: Path, findings: Iterable[Stood], left_out: tuple[str, ...] = ()) -> Path:
    """Write the evidence of a last run: what of it the clocks read."""
    last = folder / "last"
    last.mkdir(parents=True)
    columns = {"fingerprint": "VARCHAR", "subject": "VARCHAR", "subject_kind": "VARCHAR", "identity": "VARCHAR", "identity_name": "VARCHAR",
               "partner": "VARCHAR", "accountable": "VARCHAR", "severity": "VARCHAR", "due": "TIMESTAMP", "provider": "VARCHAR", "scope": "VARCHAR", "control": "VARCHAR", "state": "VARCHAR", "event": "VARCHAR",
               "first_seen": "TIMESTAMP", "since": "TIMESTAMP", "looked_before": "TIMESTAMP",
               "ticket_key": "VARCHAR", "seen_at": "TIMESTAMP", "known_until": "TIMESTAMP", "unobserved_since": "TIMESTAMP",
               "told": "BOOLEAN"}  # fmt: skip
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"CREATE TABLE found ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        for index, one in enumerate(findings):
            subject = f"aws:{one.scope()}:user/AIDA{index}"
            said: tuple[object, ...] = (
                f"f{index}",
                subject,
                "identity",
                subject,
                f"bot-{index}",
                "boreal",
                "maria",
                "high",
                None,
                "aws",
                one.scope(),
            )
            held = (
                one.control,
                one.state,
                "resolved" if one.state == "resolved" else "still",
                one.first_seen,
                one.since,
                one.looked_before,
                one.ticket_key,
                one.seen_at,
                one.known_until,
                one.unobserved_since,
                one.told,
            )
            db.execute(f"INSERT INTO found VALUES ({', '.join('?' * len(columns))})", [*said, *held])  # noqa: S608 -- names of ours
        kept = ", ".join(name for name in columns if name not in left_out)
        db.execute(f"COPY (SELECT {kept} FROM found) TO '{last / 'findings.parquet'}' (FORMAT parquet)")  # noqa: S608 -- as above
    return last


def clocks(  # noqa: PLR0913 -- what a run may know beside its facts
    folder: Path,
    held: Register,
    findings: Sequence[Stood] = (),
    *,
    runs: Iterable[Ran] = (),
    left_out: tuple[str, ...] = (),
    stopped: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Give the facts of each clock by what its subject ends in."""
    last = last_run(folder, findings, left_out)
    (last / "plan.json").write_text(json.dumps({"stopped": stopped}), encoding="utf-8")
    programme: Any = SimpleNamespace(register=held, sources=(), vendors=None, evidence=SimpleNamespace(signer=None))
    (folder / "work").mkdir()
    records = [bot(index, one) for index, one in enumerate(findings) if one.now not in ("gone", "unread")]
    read = spool(records, Scope("aws", "aws", ACCOUNT), folder / "work", folder / "observations")
    dark = unread(
        Scope("aws", "aws", DARK), "denied", "sts:AssumeRole", "AccessDenied", started=AS_OF, finished=AS_OF, work=folder / "work"
    )
    readings = collect([read, dark], folder / "work", folder / "inventory")
    agreed = Clocks(
        agreed_then=tuple(agreed_then(held, since, control) for since, control in sorted({(one.since, one.control) for one in findings})),
        looked_for=(LookedFor("aws", ACCOUNT, "user"),),
    )
    tables = (
        *facts.register_tables(programme, AS_OF),
        *governance_tables(programme, AS_OF, runs=runs, tickets=["cs1-there"], clocks=agreed, last=last),
    )
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", tables, readings, last=last)
    with facts.opened(database) as db:
        found = db.execute("SELECT * FROM facts_finding")
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["subject"].removeprefix("ledger:northwind:"): row for row in rows}


def agreed_then(held: Register, since: datetime, control: str) -> AgreedThen:
    """Say what tonight's register agrees, day and night."""
    clock, entry = CLOCKS.get(control), held.control(control)
    slas = Slas() if entry is None else entry.slas
    mine: timedelta | None = None if clock is None else getattr(slas, clock)
    due = None if mine is None else since + mine

    def us(span: timedelta | None) -> int | None:
        return None if span is None else span // TICK

    return AgreedThen(
        since, control, "boreal", clock, detect_us=us(slas.detect), detect_limit_us=us(slas.detect and slas.detect * 13 / 12),
        escalate_us=us(slas.escalate), agreed_us=us(mine), allowed_us=us(mine), worked_us=us(AS_OF - since), due=due,
    )  # fmt: skip


SPANS = (HOUR, 4 * HOUR, DAY, 7 * DAY)
AGES = (
    timedelta(),
    HOUR,
    HOUR + TICK,
    4 * HOUR,
    4 * HOUR + TICK,
    DAY,
    DAY + 2 * HOUR,
    DAY + 2 * HOUR + TICK,
    7 * DAY,
    7 * DAY + TICK,
    30 * DAY,
)
JUDGED = ("named-owner", "contract-ended", "workload-registered")


def any_finding(rng: Random) -> Stood:
    first = AS_OF - rng.choice(AGES) - rng.choice((timedelta(), 3 * DAY))
    blind = rng.choice((None, AS_OF - rng.choice(AGES)))
    return Stood(
        control=rng.choice((*JUDGED, "sla-rotate", "drill-overdue", "no-such-control")),
        state=rng.choice(("open", "open", "open", "excepted")),
        first_seen=first,
        since=rng.choice((first, AS_OF - rng.choice(AGES))),
        looked_before=rng.choice((None, first - rng.choice(AGES), first - rng.choice(AGES))),
        ticket_key=rng.choice((None, "cs1-there", "cs1-lost")),
        now=rng.choice(NOW),
        excepted=rng.random() < 0.2,
        seen_at=rng.choice((None, AS_OF - rng.choice(AGES))),
        known_until=blind,
        unobserved_since=blind,
        told=rng.random() < 0.1,
    )


def any_slas(rng: Random, within: Slas | None = None) -> Slas:
    """Give service levels, none of them looser than those that it is to be within."""
    most = {name: None if within is None else getattr(within, name) for name in Slas.model_fields}
    return Slas(**{
        name: rng.choice([None, *SPANS] if within is None else [span for span in SPANS if limit is not None and span <= limit] or [None])
        for name, limit in most.items()
    })  # fmt: skip


def expected(one: Stood, slas: Slas) -> dict[str, bool | str]:
    """Say which clocks run for a finding, and whether each is over: True, False or `unknown`."""
    found: dict[str, bool | str] = {}
    age, unsure = AS_OF - one.since, one.now in ("unknown", "unread")
    if one.now in ("over", "gone"):
        return {}
    if slas.detect is not None:
        # A twelfth more than agreed is no night missed.
        found["detect"] = "unknown" if one.looked_before is None else one.since - one.looked_before > slas.detect * 13 / 12
    # Nobody can see whether an exception that is not in the register any more would hold: what the last run said stands.
    excepted = one.state == "excepted" if unsure else one.excepted
    if not excepted and slas.escalate is not None:
        blind = one.unobserved_since if unsure and one.state == "open" else None
        told = one.told or one.ticket_key == "cs1-there"
        missed = (blind or AS_OF) - one.since > slas.escalate
        found["escalate"] = False if told or age <= slas.escalate else missed or "unknown"
    for clock, limit in (("rotate", slas.rotate), ("revoke", slas.revoke)):
        if not excepted and CLOCKS[one.control] == clock and limit is not None:
            seen = one.seen_at if unsure else AS_OF
            late = seen is not None and seen - one.since >= limit and age > limit
            found[clock] = late or (unsure and age > limit and "unknown")
    return found


POPULATION = {"detect": "must_be_detected", "escalate": "must_be_escalated", "rotate": "must_be_rotated", "revoke": "must_be_revoked"}
WHY = {"detect": "detect_why", "escalate": "escalate_why", "rotate": "end_why", "revoke": "end_why"}


def said(row: Mapping[str, Any]) -> dict[str, bool | str]:
    found: dict[str, bool | str] = {}
    for clock, population in POPULATION.items():
        assert row[population] is not None
        if row[population]:
            over = row[f"hours_past_{clock}"]
            assert over is not None or row[WHY[clock]]
            found[clock] = "unknown" if over is None else over > 0
    return found


@pytest.mark.parametrize("seed", range(2))
def test_the_clocks_agree_with_a_plain_oracle_and_tighter_ones_lose_nothing(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)  # noqa: S311 -- a sample, no secret
    stood = [any_finding(rng) for _ in range(300)]
    slas = {control: any_slas(rng) for control in JUDGED}
    excepted = [(one.control, f"aws:{one.scope()}:user/AIDA{index}") for index, one in enumerate(stood) if one.excepted]
    rows = clocks(tmp_path / "agreed", register(slas, excepted=excepted), stood)
    got = {subject: said(row) for subject, row in rows.items()}
    wanted = {f"finding/f{index}": expected(one, slas[one.control]) for index, one in enumerate(stood) if one.control in slas}
    assert {subject: answers for subject, answers in wanted.items() if answers} == {
        subject: answers for subject, answers in got.items() if answers
    }
    told = [over for answers in got.values() for over in answers.values()]
    assert {True, False, "unknown"} == set(told)

    tighter = {control: any_slas(rng, within) for control, within in slas.items()}
    after = {subject: said(row) for subject, row in clocks(tmp_path / "tighter", register(tighter, excepted=excepted), stood).items()}
    assert set() == over_in(got) - over_in(after)


def over_in(told: Mapping[str, Mapping[str, bool | str]]) -> set[tuple[str, str]]:
    return {(subject, clock) for subject, answers in told.items() for clock, over in answers.items() if over is True}


def test_a_row_says_what_is_late_and_whose_it_is(tmp_path: Path) -> None:
    slas = Slas(detect=DAY, escalate=4 * HOUR, rotate=7 * DAY, revoke=HOUR)
    rows = clocks(
        tmp_path,
        register({"default": slas}),
        [Stood(since=AS_OF - 10 * DAY, first_seen=AS_OF - 10 * DAY, looked_before=AS_OF - 13 * DAY, ticket_key=None)],
    )
    (row,) = rows.values()
    assert ("boreal", "maria", "bot-0", f"aws:{ACCOUNT}:user/AIDA0") == (
        row["partner"],
        row["accountable"],
        row["identity_name"],
        row["identity"],
    )
    assert ("named-owner", f"aws:{ACCOUNT}:user/AIDA0", "high") == (row["late_control"], row["late_subject"], row["late_severity"])
    assert ("7 days", "10 days") == (row["agreed_rotate"], row["rotate_after"])
    assert ("4 hours", "9 days") == (row["agreed_escalate"], row["escalate_over"])
    assert ("24 hours", "3 days") == (row["agreed_detect"], row["unseen_for"])


def test_a_run_of_an_older_version_leaves_tickets_unknown_and_loses_no_clock(tmp_path: Path) -> None:
    left_out = ("ticket_key", "looked_before", "identity")
    slas = Slas(detect=DAY, escalate=HOUR, rotate=HOUR)
    row = clocks(tmp_path, register({"default": slas}), [Stood()], left_out=left_out)["finding/f0"]
    assert {"detect": "unknown", "escalate": "unknown", "rotate": True} == said(row)
    assert "the last run did not say which ticket carries it" == row["escalate_why"]


@pytest.mark.parametrize(("stopped", "clocks_run"), [(None, set()), ("9 of 9 open findings are gone", {"finding/f0"})])
def test_what_a_stopped_run_thought_gone_still_stands(tmp_path: Path, stopped: str | None, clocks_run: set[str]) -> None:
    held = register({"default": Slas(rotate=HOUR)})
    rows = clocks(tmp_path, held, [Stood(state="resolved")], stopped=stopped)
    assert clocks_run == set(rows)


def test_a_drill_is_due_from_the_last_complete_one_or_the_first_run(tmp_path: Path) -> None:
    held = register(drills=DrillPeriods(remediation=90 * DAY, exception=60 * DAY))
    runs = [Ran("reconcile", "complete", AS_OF - 61 * DAY), Ran("drill-remediation", "complete", AS_OF - 90 * DAY - 12 * HOUR)]
    rows = clocks(tmp_path, held, runs=runs)
    assert {"drill/remediation": {}, "drill/exception": {}} == {subject: said(row) for subject, row in rows.items()}
    assert {
        "drill/remediation": (True, 0.5, "last on 2026-08-23", "90 days", "12 hours"),
        "drill/exception": (True, 30.5, "never since the first run on 2026-08-23", "60 days", "30 days"),
    } == {
        subject: tuple(row[name] for name in ("must_be_drilled", "days_past_drill", "drilled", "agreed_drill", "drill_over"))
        for subject, row in rows.items()
    }


@pytest.mark.parametrize(
    ("runs", "last", "began"),
    [
        ((), None, 0),
        ((("reconcile", "failed", 91),), None, 91),
        ((("reconcile", "complete", 200), ("drill-remediation", "complete", 95), ("drill-remediation", "complete", 99)), 95, 200),
        ((("drill-remediation", "failed", 1), ("drill-remediation", "partial", 2), ("drill-remediation", "complete", 95)), 95, 95),
        ((("drill-remediation", "complete", 95), ("drill-exception", "complete", 1)), 95, 95),
        ((("drill-remediation", "complete", -1), ("reconcile", "complete", 91)), None, 91),  # a run of that time could not know it
    ],
)  # fmt: skip
def test_only_a_complete_drill_of_the_path_counts(runs: tuple[tuple[str, str, int], ...], last: int | None, began: int) -> None:
    programme: Any = SimpleNamespace(
        register=register(drills=DrillPeriods(remediation=90 * DAY)), sources=(), evidence=SimpleNamespace(signer=None)
    )
    ran = [Ran(kind, state, AS_OF - days * DAY) for kind, state, days in runs]
    (drills,) = (table.rows for table in governance_tables(programme, AS_OF, runs=ran) if table.name == "drills")
    ends = [None if days is None else (AS_OF - days * DAY).replace(tzinfo=None) for days in (last, began)]
    assert [("northwind", "remediation", 90 * 86_400_000_000, *ends)] == list(drills)


def test_who_looked_last_is_carried_over_nights_on_which_nobody_did(tmp_path: Path) -> None:
    programme: Any = SimpleNamespace(register=register(), sources=(), vendors=None, evidence=SimpleNamespace(signer=None))

    def night(days: int, **states: Any) -> dict[str, tuple[datetime | None, datetime | None]]:
        readings = [Reading(Scope("aws", "aws", name), state) for name, state in states.items()]
        last = tmp_path / f"night-{days - 1}"
        tables = governance_tables(programme, AS_OF + days * DAY, readings=readings, last=last)
        (looked,) = (table for table in tables if table.name == "looked")
        folder = tmp_path / f"night-{days}" / "inventory"
        folder.mkdir(parents=True)
        facts.write_register([looked], folder)
        return {str(scope): (at, before) for _, scope, at, before in looked.rows}  # type: ignore[misc]  # rows are of objects

    def at(days: int) -> datetime:
        return (AS_OF + days * DAY).replace(tzinfo=None)

    assert {"one": (at(0), None), "northwind": (at(0), None)} == night(0, one="complete", two="partial")
    assert {"one": (at(0), at(0)), "two": (at(1), None), "northwind": (at(1), at(0))} == night(1, one="denied", two="complete")
    assert {"one": (at(2), at(0)), "two": (at(1), at(1)), "northwind": (at(2), at(1))} == night(2, one="complete")
