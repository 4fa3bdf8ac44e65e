"""What a night judges of plans: approvals that are owed, and what was used although a plan had taken it away."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign import facts
from countersign.facts.governance import NOTHING_UNDERTAKEN, GivenBack, Owed, Revoked, Undertaken
from countersign.inventory import collect, spool
from countersign.offboarding.journal import Debt, Followed, Journal, Run
from countersign.offboarding.plan import Asked, Plan
from countersign.reading import Scope
from countersign.revocation import Change, Holding, Residual
from countersign.state import State
from countersign.undertaken import undertaken
from tests.countersign.estates import AS_OF, AWS, DAY, HOUR, key, one, register, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.identity import Record

USER = one("job")
ROLE = one("worker", kind="role", last_active_state="known", last_active_at=AS_OF - HOUR, use_seen_to=AS_OF)
MINUTES = timedelta(minutes=15)
"""How late use may show up by the policies of the register in use."""


def rows(
    folder: Path, records: Iterable[Record], done: Undertaken = NOTHING_UNDERTAKEN, last: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Give the facts of an account and of plans, by what comes after the last slash of the subject."""
    folder.mkdir(parents=True)
    programme: Any = SimpleNamespace(register=register(), sources=(), vendors=None, evidence=SimpleNamespace(signer=None))
    readings = collect(
        [spool(records, Scope("aws", "aws", AWS), folder / "work", folder / "observations")], folder / "work", folder / "inventory"
    )
    tables = (*facts.register_tables(programme, AS_OF), *facts.governance_tables(programme, AS_OF, undertaken=done))
    facts.build(folder / "facts.duckdb", folder / "inventory", tables, readings, last=last)
    with facts.opened(folder / "facts.duckdb") as db:
        cursor = db.execute("SELECT * FROM facts")
        names = [column[0] for column in cursor.description]
        return {row[names.index("subject")].rpartition("/")[2]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


def change(name: str, *takes: str, seconds: int | None = None, **changes: Any) -> Change:
    held: dict[str, Any] = {
        "action": name, "phase": "disable", "provider": "aws", "source": "aws", "scope": AWS, "target": takes[0], "name": name, "says": name,
        "parameters": {}, "before": {"on": True}, "after": {"on": False}, "reversible": True, "order": 10, "takes": takes, "writes": (),
        "looks": (), "residual": None if seconds is None else Residual("sessions live on", seconds),
    }  # fmt: skip
    return Change(**(held | changes))


def holding(uid: str, *, whole: bool = True, what: Any = "credential") -> Holding:
    return Holding(
        uid=uid, what=what, kind="user", provider="aws", source="aws", scope=AWS, identity_uid=uid, name=uid, whole=whole, how="registered"
    )


def plan(name: str, *steps: Change, holdings: Iterable[Holding], **asked: Any) -> Plan:
    return Plan(
        id=name, customer="northwind", asked=Asked(partner="acme", **asked), made_at=AS_OF - 3 * DAY, register="", steps=steps, left=(),
        undecided=(), unread=(), holdings=tuple(holdings), noted=(), approvers=(), needed=1,
    )  # fmt: skip


def make(journal: Journal, held: Plan, step: Change, at: datetime) -> None:
    journal.intended(held.id, step.id, step.before, ("reader", "writer"), at)
    journal.made(held.id, step.id, step.after, at, None)


@pytest.fixture
def state(tmp_path: Path) -> Any:
    with State(f"sqlite:///{tmp_path / 'state.db'}") as held:
        yield held


def test_what_is_wholly_taken_counts_until_it_is_given_back(state: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    assert (Undertaken(), Undertaken()) == (undertaken(url), undertaken(f"sqlite:///{tmp_path / 'none.db'}"))
    journal = Journal(state.engine)
    first, second = change("close", "user", "key", "shared", "user#trust/1", seconds=3600), change("end", "user", phase="disable")
    held = plan(
        "acme-1", first, second,
        holdings=[holding("user", what="identity"), holding("key"), holding("shared", whole=False), holding("user#trust/1", what="trust")],
    )  # fmt: skip
    journal.planned(held)
    assert Undertaken() == undertaken(url)

    at = AS_OF - 2 * DAY
    make(journal, held, first, at)
    # The user's sessions are not ended yet. What is somebody else's, and a trust, is not what is judged.
    assert (Revoked("key", "acme-1", at, HOUR),) == undertaken(url).revoked
    make(journal, held, second, at + HOUR)
    assert (Revoked("key", "acme-1", at, HOUR), Revoked("user", "acme-1", at + HOUR, HOUR)) == undertaken(url).revoked

    back = plan("acme-2", replace(first, phase="restore"), holdings=held.holdings, phase="restore", follows="acme-1")
    journal.planned(back)
    assert 2 == len(undertaken(url).revoked)
    journal.intended("acme-2", back.steps[0].id, {}, ("reader", "writer"), AS_OF - DAY)
    assert ((), ()) == undertaken(url)[1:]  # it may be back already
    journal.made("acme-2", back.steps[0].id, {}, AS_OF - DAY, None)
    assert ((), (GivenBack("key", AS_OF - DAY), GivenBack("user", AS_OF - DAY))) == undertaken(url)[1:]

    again = plan("acme-3", first, holdings=held.holdings)
    journal.planned(again)
    make(journal, again, first, AS_OF - HOUR)
    assert {"acme-3"} == {each.plan for each in undertaken(url).revoked}


def test_a_step_that_its_journal_says_is_undone_counts_no_more_and_a_break_glass_owes(state: Any, tmp_path: Path) -> None:
    journal, step = Journal(state.engine), change("close", "key")
    held = plan("acme-1", step, holdings=[holding("key")])
    journal.planned(held)
    run = Run("r", held.id, 1, AS_OF, None, None, ("maria",), None, {"by": "maria"}, None, None)
    journal.begin(run, (), Debt(held.id, "acme", "maria", "at night", AS_OF - DAY, AS_OF, None, ()))
    make(journal, held, step, AS_OF - DAY)
    found = undertaken(f"sqlite:///{tmp_path / 'state.db'}")
    assert ((Owed(held.id, "acme", "maria", AS_OF - DAY, AS_OF, None),), 1) == (found.owed, len(found.revoked))
    journal.finish(run, "applied", AS_OF, (1, "sha256:"), Followed(held.id, (step.id,), "restored"))
    assert journal.settle(held.id, (), ("dev",), AS_OF + HOUR)
    found = undertaken(f"sqlite:///{tmp_path / 'state.db'}")
    assert (AS_OF + HOUR, ()) == (found.owed[0].settled_at, found.revoked)


@pytest.mark.parametrize(
    ("until", "settled", "holds"),
    [
        (AS_OF + HOUR, None, True),
        (AS_OF, None, True),
        (AS_OF - HOUR, None, False),
        (AS_OF - HOUR, AS_OF + HOUR, False),  # as known at the time
        (AS_OF - HOUR, AS_OF - 2 * HOUR, True),
        (AS_OF - 2 * HOUR, AS_OF - HOUR, True),  # late, and owed no more
    ],
)
def test_an_approval_is_owed_until_it_is_there(tmp_path: Path, until: datetime, settled: datetime | None, *, holds: bool) -> None:
    owed = Owed("acme-1", "acme", "maria", AS_OF - DAY, until, settled)
    future = owed._replace(plan="acme-2", taken_at=AS_OF + HOUR)
    found = rows(tmp_path / "night", [], Undertaken((owed, future)))
    row = found["acme-1"]
    assert ("ledger:northwind:plan/acme-1", "finding", "plan", "acme") == tuple(
        row[name] for name in ("subject", "subject_kind", "kind", "partner")
    )
    assert (holds, "acme-2" in found) == (verdict("approval-owed", row), False)
    clocks = ("must_be_detected", "must_be_escalated", "must_be_rotated", "must_be_revoked", "must_be_drilled")
    assert not any(row[name] for name in clocks)
    assert holds or ("maria", "60 minutes") == (row["acted_by"], row["owed_over"])


def test_what_was_used_after_a_plan_took_it_names_the_plan(tmp_path: Path) -> None:
    held = key(USER, HOUR)
    taken = Revoked(held.uid, "acme-1", AS_OF - DAY, timedelta())
    name = held.uid.rpartition("/")[2]
    row = rows(tmp_path / "1", [USER, held], Undertaken(revoked=(taken,)))[name]
    assert (False, "revoked by plan acme-1", (AS_OF - DAY).date()) == (verdict("used-after-end", row), row["ended_what"], row["ended_on"])
    others = {
        "nothing": (), "given another name since": (taken._replace(at=AS_OF - 20 * DAY),),  # the key is ten days old
        "not yet": (taken._replace(at=AS_OF + DAY),), "sessions": (taken._replace(lasts=2 * DAY),),
    }  # fmt: skip
    for number, done in enumerate(others.values(), 2):
        assert verdict("used-after-end", rows(tmp_path / str(number), [USER, held], Undertaken(revoked=done))[name]) is None
    role = rows(tmp_path / "role", [ROLE], Undertaken(revoked=(taken._replace(subject=ROLE.uid),)))["ID-worker"]
    assert (False, "revoked by plan acme-1") == (verdict("used-after-end", role), role["ended_what"])


def test_what_a_plan_gave_back_may_be_used_again(tmp_path: Path) -> None:
    off = key(USER, 5 * DAY, enabled=False, observed_at=AS_OF - 2 * DAY)
    on = key(USER, HOUR)
    rows(tmp_path / "1", [USER, off])
    back = GivenBack(on.uid, AS_OF - DAY)
    name, night = on.uid.rpartition("/")[2], tmp_path / "1"
    told = [
        rows(tmp_path / str(number), [USER, on], Undertaken(given_back=given), last=night)[name]
        for number, given in enumerate(((), (back,), (back._replace(at=AS_OF - 3 * DAY),), (back._replace(at=AS_OF + DAY),)), 2)
    ]
    # Off, and nobody said so: by hand, or by an earlier plan.
    assert [False, None, False, False] == [verdict("used-after-end", row) for row in told]
    assert "switched off" == told[0]["ended_what"]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    used=st.lists(st.integers(0, 60 * 72), min_size=2, max_size=6),
    ended=st.integers(20, 60 * 72),
    lasts=st.integers(0, 600),
)
def test_a_later_use_never_makes_it_pass_and_unknown_use_stays_unknown(
    tmp_path_factory: pytest.TempPathFactory, used: list[int], ended: int, lasts: int
) -> None:
    """All in minutes before now."""
    minute = timedelta(minutes=1)
    at = AS_OF - ended * minute
    keys = {f"K{number}": key(USER, minutes * minute) for number, minutes in enumerate(used)}
    held = {name: replace(each, uid=f"aws:{AWS}:access-key/{name}") for name, each in keys.items()}
    unknown = replace(
        key(USER), uid=f"aws:{AWS}:access-key/dark", last_used_at=None, last_used_state="unknown", unknown={"last_used_at": "dark"}
    )
    never = replace(key(USER, None), uid=f"aws:{AWS}:access-key/never")
    records: list[Any] = [USER, unknown, never, *held.values()]
    done = tuple(Revoked(each.uid, "acme-1", at, lasts * minute) for each in records[1:])
    found = rows(tmp_path_factory.mktemp("used") / "night", records, Undertaken(revoked=done))
    over = at + lasts * minute + MINUTES
    for name, minutes in zip(keys, used, strict=True):
        assert (None if over >= AS_OF else AS_OF - minutes * minute <= over) == verdict("used-after-end", found[name])
    told = verdict("used-after-end", found["dark"]), verdict("used-after-end", found["never"])
    assert (None, None) == told if over >= AS_OF else (isinstance(told[0], str), told[1]) == (True, True)
