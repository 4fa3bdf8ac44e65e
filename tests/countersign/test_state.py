import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from countersign import schema
from countersign.desk import AnswerLostError, DeskRefusedError, Ticket
from countersign.desk.local import LocalDesk, local_tickets
from countersign.desk.outbox import Receipt, carry_out, reread
from countersign.errors import CountersignError
from countersign.finding import Failing, Seen, fingerprint, life
from countersign.rehearsal import copy_ledger
from countersign.remediation import Draft, Night, plan, scan_looks_wrong
from countersign.state import Claim, State, StateBusyError
from countersign.ticket_words import Sources, worded

START = datetime(2026, 11, 22, 2, tzinfo=UTC)
AWS = ("aws", "444455556666")
VAULT = ("vault", "prod")
SEEN: Seen = {AWS: frozenset(), VAULT: frozenset()}
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def fails(number: int, control: str = "rotation-age", digest: str = "f1", *, severity: str = "high", name: str = "acme-backup") -> Failing:
    subject = f"aws:444455556666:access-key/AKIA{number}"
    return Failing(
        fingerprint=fingerprint(control, subject),
        control=control,
        subject=subject,
        subject_kind="credential",
        identity="aws:444455556666:user/AIDA1",
        identity_name=name,
        provider="aws",
        scope="444455556666",
        partner="acme",
        accountable="maria",
        severity=severity,
        reason="200 days old",
        facts_digest=digest,
        due=None,
    )


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def night(  # noqa: PLR0913  (what a night can differ in)
    state: State,
    day: int,
    failing: list[Failing],
    *,
    seen: Seen = SEEN,
    desk_type: type[LocalDesk] = LocalDesk,
    budget: int = 200,
) -> tuple[Receipt, ...]:
    desk = desk_type(state.engine, lambda: at(day))
    with state.lock("night", at(day)):
        claim = state.claim_slot(
            f"run-{day}-{os.getpid()}", customer="northwind", kind="reconcile", slot=str(day), as_of=at(day), now=at(day)
        )
        assert claim.outcome != "done"
        run = claim.run.run
        judged = frozenset({"rotation-age", "named-owner"})
        failing = [row._replace(due=at(day + 7)) for row in failing]
        transitions = list(life(state.known(), failing, unknown=(), seen=seen, judged=judged, as_of=at(day)))
        reread(desk, state)
        tonight = Night(customer="northwind", as_of=at(day), budget=budget)
        planned = plan((transition.after for transition in transitions), state.tickets(desk.target), seen, tonight)
        actions = [each if each.draft is None else replace(each, draft=worded(each.draft, Sources(records={}))) for each in planned]
        state.apply(run, transitions, at=at(day), target=desk.target, actions=actions)
        receipts = carry_out(actions, desk, state, as_of=at(day), clock=lambda: at(day), evidence=f"evidence/{run}", digest="sha256:ab")
        state.finish_run(run, "complete", now=at(day), evidence=f"evidence/{run}", statement_digest="sha256:ab")
    return receipts


def done(receipts: tuple[Receipt, ...]) -> list[str]:
    return [receipt.action for receipt in receipts]


def desk_tickets(state: State) -> list[tuple[str, str]]:
    with state.engine.connect() as connection:
        return [(row.key, row.state) for row in connection.execute(sa.select(local_tickets).order_by(local_tickets.c.id))]


def child(work: Callable[[], object]) -> int | None:
    process = FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def test_keys_that_standing_findings_name_are_told(url: str) -> None:
    unnamed = fails(2)._replace(subject="aws:444455556666:access-key/AIDA2@20260101T000000Z", identity="aws:444455556666:user/AIDA2")
    other = fails(3)._replace(subject="aws:444455556666:user/AIDA3", identity="aws:444455556666:user/AIDA3", subject_kind="identity")
    with State(url) as state:
        night(state, 0, [fails(1), unnamed, other])
        assert state.named_keys() == {"aws:444455556666:user/AIDA1"}
        night(state, 1, [])
        assert state.named_keys() == frozenset()


def test_a_finding_from_night_to_night(url: str) -> None:
    with State(url) as state:
        assert done(night(state, 0, [fails(1), fails(2)])) == ["created"]
        assert state.summary(state.runs()[0].run) == {"open": 2, "new": 2, "resolved": 0, "reopened": 0, "unobserved": 0, "excepted": 0}
        assert done(night(state, 1, [fails(1), fails(2)])) == ["unchanged"]
        assert done(night(state, 2, [fails(1)])) == ["updated"]
        assert done(night(state, 3, [], seen={VAULT: frozenset()})) == ["unchanged"]
        assert state.summary(state.runs()[0].run)["unobserved"] == 1
        assert done(night(state, 4, [])) == ["closed"]
        assert done(night(state, 5, [])) == []
        assert done(night(state, 6, [fails(1)])) == ["reopened"]
        assert [event for _, _, event in state.events(fails(1).fingerprint)] == ["new", "unobserved", "resolved", "reopened"]
        desk = LocalDesk(state.engine, lambda: at(7))
        history = desk.history("local:1")
        assert [entry.what for entry in history] == [
            "created",
            "updated",
            "commented",
            "commented",
            "closed",
            "opened",
            "updated",
            "commented",
        ]
        assert {"countersign"} == {entry.actor for entry in history}
        assert "Evidence: evidence/run-6" in str(desk.read("local:1")["body"])
        assert desk.read("local:1")["assignee"] == "maria"
        (open_one,) = state.findings(state="open", control="rotation-age", partner="acme", run=state.runs()[0].run)
        assert ("local:1", at(6), at(13), at(0)) == (
            open_one.ticket,
            open_one.finding.since,
            open_one.finding.due,
            open_one.finding.first_seen,
        )
        assert list(state.findings(partner="globex")) == []


def test_what_is_loaded_is_what_was_written(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1)])
        (row,) = state.known().values()
        again = list(life(state.known(), [fails(1)], unknown=(), seen=SEEN, judged=frozenset({"rotation-age"}), as_of=at(1)))
        assert again[0].after is again[0].before
        assert ("open", at(0), at(7)) == (row.state, row.since, row.due)
        assert state.runs()[0].run == row.last_seen_run


def test_applying_a_run_again_changes_nothing(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1)])
        run = state.runs()[0].run
        first = list(life({}, [fails(1), fails(2)], unknown=(), seen=SEEN, judged=frozenset(), as_of=at(0)))
        actions = list(plan([t.after for t in first], (), SEEN, Night(customer="northwind", as_of=at(0), budget=9)))
        for _ in range(2):
            state.apply(run, first, at=at(0), target="local", actions=actions)
            assert len(state.events(fails(2).fingerprint)) == 1
            assert state.summary(run)["new"] == 2
            assert len(state.tickets("local")) == 1


def killed(owner: type, name: str, *, after: bool) -> type:
    """Return a child class whose process dies by SIGKILL around one method."""
    method = getattr(owner, name)

    def dies(self: object, *args: object, **values: object) -> None:
        if after:
            method(self, *args, **values)
        os.kill(os.getpid(), signal.SIGKILL)

    return type("Dying", (owner,), {name: dies})


STEPS = [
    (State, "claim_slot"),
    (State, "_write_findings"),
    (State, "apply"),
    (State, "recover"),
    (State, "take"),
    (LocalDesk, "find"),
    (LocalDesk, "create"),
    (State, "settle"),
    (State, "finish_run"),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_killed_at_any_step_then_run_again_loses_nothing_and_doubles_nothing(url: str, owner: type, name: str, after: bool) -> None:  # noqa: FBT001
    findings = [fails(1), fails(2, severity="critical"), fails(3, "named-owner")]
    dying = killed(owner, name, after=after)

    def dies() -> None:
        with (dying if owner is State else State)(url) as state:
            night(state, 0, findings, desk_type=dying if owner is LocalDesk else LocalDesk)

    State(url).engine.dispose()
    assert child(dies) == -signal.SIGKILL
    with State(url) as state:
        if (name, after) != ("finish_run", True):
            night(state, 0, findings)
        assert len(desk_tickets(state)) == 3
        assert len({key for key, _ in desk_tickets(state)}) == 3
        assert [event for row in findings for _, _, event in state.events(row.fingerprint)] == ["new"] * 3
        assert [str(listed.ticket).partition(":")[0] for listed in state.findings()] == ["local"] * 3
        assert done(night(state, 1, findings)) == ["unchanged"] * 3


LATER_STEPS = [(LocalDesk, "update"), (LocalDesk, "comment"), (LocalDesk, "transition"), (State, "settle")]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("owner", "name"), LATER_STEPS, ids=[name for _, name in LATER_STEPS])
def test_killed_while_changing_and_closing_tickets_catches_up(url: str, owner: type, name: str, after: bool) -> None:  # noqa: FBT001
    with State(url) as state:
        night(state, 0, [fails(1), fails(2), fails(3, "named-owner")])
    dying = killed(owner, name, after=after)

    def dies() -> None:
        with (dying if owner is State else State)(url) as state:
            night(state, 1, [fails(1, digest="f2"), fails(2)], desk_type=dying if owner is LocalDesk else LocalDesk)

    assert child(dies) == -signal.SIGKILL
    with State(url) as state:
        night(state, 1, [fails(1, digest="f2"), fails(2)])
        assert sorted((standing for _, standing in desk_tickets(state)), reverse=True) == ["open", "closed"]
        desk = LocalDesk(state.engine, lambda: at(2))
        assert sum(entry.what == "commented" for entry in desk.history(str(state.findings(state="open")[0].ticket))) <= 1
        assert done(night(state, 2, [fails(1, digest="f2"), fails(2)])) == ["unchanged"]


class SearchLagsBehind(LocalDesk):
    def find(self, key: str) -> Ticket | None:
        del key


def test_six_processes_that_want_one_ticket_make_one(url: str) -> None:
    with State(url) as state, state.lock("setup", at(0)):
        LocalDesk(state.engine, lambda: at(0))
        state.claim_slot("run-0", customer="northwind", kind="reconcile", slot="0", as_of=at(0), now=at(0))
    ready = FORK.Barrier(6)

    def ensure() -> None:
        with State(url) as state:
            first = list(life({}, [fails(1)], unknown=(), seen=SEEN, judged=frozenset(), as_of=at(0)))
            actions = list(plan([t.after for t in first], state.tickets("local"), SEEN, Night(customer="northwind", as_of=at(0), budget=9)))
            ready.wait()
            state.apply("run-0", first, at=at(0), target="local", actions=actions)
            carry_out(
                actions, SearchLagsBehind(state.engine, lambda: at(0)), state, as_of=at(0), clock=lambda: at(0), evidence="e", digest="d"
            )

    workers = [FORK.Process(target=ensure) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    with State(url) as state:
        assert [(row.state, row.ticket) for row in state.tickets("local")] == [("open", "local:1")]
        assert len(desk_tickets(state)) == 1


def test_one_run_at_a_time_and_a_dead_one_lets_go(url: str) -> None:
    with State(url) as state, State(url) as other:
        with state.lock("night on host-1", at(0)):
            with pytest.raises(StateBusyError, match="night on host-1 since 2026-11-22T02:00:00Z"), other.lock("day", at(1)):
                pass
            assert not other.locked
        with other.lock("day", at(1)):
            assert other.locked

    def dies() -> None:
        with State(url) as state, state.lock("doomed", at(2)):
            os.kill(os.getpid(), signal.SIGKILL)

    assert child(dies) == -signal.SIGKILL
    with State(url) as state, state.lock("next", at(3)):
        assert state.locked


def claim(state: State, run: str, slot: str, kind: str = "reconcile") -> Claim:
    return state.claim_slot(run, customer="northwind", kind=kind, slot=slot, as_of=at(0), now=at(0))


def test_a_slot_has_one_sound_run(url: str) -> None:
    with State(url) as state:
        with pytest.raises(CountersignError, match="lock"):
            claim(state, "a", "1")
        with state.lock("test", at(0)):
            assert (claim(state, "a", "1").outcome, claim(state, "z", "1").run.run) == ("claimed", "a")
            assert claim(state, "b", "1").outcome == "adopted"
            state.finish_run("a", "failed", now=at(0), evidence=None, statement_digest=None)
            assert claim(state, "c", "1").outcome == "claimed"
            state.finish_run("c", "partial", now=at(0), evidence="e", statement_digest="d")
            assert (claim(state, "d", "1").outcome, claim(state, "d", "1").run.run) == ("done", "c")
            claim(state, "e", "2")
            claim(state, "f", "2", "drill")
            assert claim(state, "g", "3").outcome == "claimed"
            assert {run.run: run.state for run in state.runs()} == {
                "a": "failed",
                "c": "partial",
                "e": "failed",
                "f": "running",
                "g": "running",
            }


def test_people_who_close_a_ticket_are_not_believed(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1)])
        for day in (1, 2, 3):
            LocalDesk(state.engine, lambda day=day: at(day), actor="pavel").transition("local:1", "closed")
            assert done(night(state, day, [fails(1)])) == ["reopened"]
        desk = LocalDesk(state.engine, lambda: at(4), actor="pavel")
        assert desk.read("local:1")["title"] == "[escalated] [high] rotation-age: acme-backup, acme"
        assert "pavel" in {entry.actor for entry in desk.history("local:1")}
        desk.transition("local:1", "closed")
        assert done(night(state, 30, [fails(1)])) == ["created"]
        assert desk.read("local:2")["replaces"] == "local:1"
        assert done(night(state, 31, [fails(1)])) == ["unchanged"]
        assert done(night(state, 32, [])) == ["closed"]


class LosesAnswers(LocalDesk):
    def create(self, key: str, draft: Draft) -> Ticket:
        super().create(key, draft)
        raise AnswerLostError("502 Bad Gateway")


class Refuses(LocalDesk):
    def find(self, key: str) -> Ticket | None:
        raise DeskRefusedError(f"401 for {key}")


def test_a_lost_answer_is_looked_up_before_anything_is_repeated(url: str) -> None:
    with State(url) as state:
        assert done(night(state, 0, [fails(1)], desk_type=LosesAnswers)) == ["failed"]
        assert [row.state for row in state.tickets("local")] == ["unknown"]
        assert done(night(state, 1, [fails(1)])) == ["updated"]
        assert len(desk_tickets(state)) == 1


def test_a_desk_that_refuses_us_is_asked_once(url: str) -> None:
    with State(url) as state:
        receipts = night(state, 0, [fails(1), fails(2, "named-owner")], desk_type=Refuses)
        assert done(receipts) == ["failed", "failed"]
        assert str(receipts[1].error).startswith("not tried: 401")
        assert done(night(state, 1, [fails(1), fails(2, "named-owner")])) == ["created", "created"]


def test_a_claim_whose_trouble_went_away_is_settled(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1), fails(2, "named-owner")], desk_type=LosesAnswers)
        assert done(night(state, 1, [])) == ["closed", "closed"]
        assert [standing for _, standing in desk_tickets(state)] == ["closed", "closed"]


def test_a_lost_ledger_adopts_the_tickets_that_are_there(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1)])
        with state.engine.begin() as connection:
            for table in (schema.tickets, schema.finding_events, schema.findings, schema.runs):
                connection.execute(sa.delete(table))
        assert done(night(state, 1, [fails(1)])) == ["updated"]
        assert len(desk_tickets(state)) == 1


def test_a_storm_is_rolled_up_and_worked_off_at_a_real_desk(url: str) -> None:
    storm = [fails(number, severity="critical") for number in range(5)]
    with State(url) as state:
        first = night(state, 0, storm, budget=2)
        assert done(first) == ["created"] * 3 + ["rolled-up"] * 3
        assert {first[2].ticket} == {receipt.ticket for receipt in first[3:]}
        assert all(listed.ticket is not None for listed in state.findings())
        night(state, 1, storm, budget=2)
        assert [did for did in done(night(state, 2, storm, budget=2)) if did != "unchanged"] == ["created", "closed"]
        assert done(night(state, 3, storm, budget=2)) == ["unchanged"] * 5


def test_the_run_guards_ticket(url: str) -> None:
    with State(url) as state:
        night(state, 0, [fails(1)])
        desk = LocalDesk(state.engine, lambda: at(1))
        with state.lock("night", at(1)):
            claim(state, "run-1", "1")
            action = scan_looks_wrong("30 of 40", state.tickets("local"), Night(customer="northwind", as_of=at(1), budget=1))
            state.apply("run-1", (), at=at(1), target="local", actions=[action])
            assert done(carry_out([action], desk, state, as_of=at(1), clock=lambda: at(1), evidence="e", digest="d")) == ["created"]
        assert state.findings()[0].finding.last_seen_run != "run-1"
        assert sorted(done(night(state, 2, [fails(1)]))) == ["closed", "unchanged"]


def test_a_hostile_name_stays_one_inert_line_in_the_ticket(url: str) -> None:
    name = "x\r\n99. forged\x1b[2J\u202e\x00 <script> =cmd()"
    with State(url) as state:
        night(state, 0, [fails(1, name=name)])
        ticket: Mapping[str, object] = LocalDesk(state.engine, lambda: at(1)).read("local:1")
        body = str(ticket["body"])
        assert not any(line.startswith("99.") for line in body.splitlines())
        assert body.replace("\n", "").isprintable()


def test_a_newer_database_is_left_alone(url: str) -> None:
    with State(url) as state, state.engine.begin() as connection:
        connection.execute(sa.update(schema.schema_version).values(version=schema.VERSION + 1))
    with pytest.raises(CountersignError, match="schema version"):
        State(url)


def test_the_file_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "private.db"
    with State(f"sqlite:///{path}") as state, state.lock("test", at(0)):
        claim(state, "a", "1")
        assert {0o600} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}


@pytest.mark.parametrize("wrong", ["sqlite://", "mysql://root:hunter2@h/d", "nonsense", "sqlite:////nowhere/at/all.db"])
def test_a_database_we_cannot_use_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(CountersignError) as refused:
        State(wrong)
    assert "hunter2" not in str(refused.value)


def test_a_copy_of_the_ledger_takes_nothing_but_a_look(url: str, tmp_path: Path) -> None:
    with State(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        copy_ledger(url, copy.engine)
        with schema.reading(url) as connection:
            assert connection is None or sa.inspect(connection).get_table_names() == []
        with State(url) as state:
            done(night(state, 0, [fails(1), fails(2, name="x")]))
            copy_ledger(url, copy.engine)
            assert (state.known(), state.tickets("local"), state.runs()) == (copy.known(), copy.tickets("local"), copy.runs())
            with copy.engine.connect() as one, state.engine.connect() as other:
                query = sa.select(local_tickets)
                assert one.execute(query).all() == other.execute(query).all()
    with schema.reading(url) as connection:
        assert connection is not None
        with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"):
            connection.execute(sa.delete(schema.findings))
