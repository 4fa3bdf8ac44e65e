"""A plan is applied whole, or stops and says what is left; whatever happens in between, each thing is written once and is on record."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import connectors.vault
import connectors.vault.revoking
from countersign import scaffold
from countersign.approval import Statement
from countersign.approval.proofs import Decision, SignatureProof
from countersign.entry import public_keys
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, verify
from countersign.offboarding import folder
from countersign.offboarding.applying import apply
from countersign.offboarding.approvals import facts
from countersign.offboarding.broken_glass import BrokenGlass, debts, settle_debt, words
from countersign.offboarding.deciding import decided
from countersign.offboarding.journal import Journal
from countersign.offboarding.plan import Asked, Noted, Plan, PlanError
from countersign.offboarding.restoring import restore
from countersign.programme import Programme, load
from countersign.reading import Scope
from countersign.register.approvals import decide
from countersign.revocation import Change, Holding, RevocationDeniedError, RevocationError
from countersign.state import State, StateBusyError
from sandbox.vault import SandboxVault
from sandbox.vault_front import VaultFront
from tests.countersign.entity_hand import PEOPLE_ONLY, READER, WRITER, EntityHand, nothing
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.offboarding.applied import Applied

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MARIA, BEN, PAVEL = Key(), Key(), Key()
WHO = ("business-owner", "technical-owner")
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        yield server


@pytest.fixture(scope="module")
def blank(bao: SandboxVault, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("applying") / "northwind"
    scaffold.init(home, customer="northwind")
    settings = (home / "countersign.yaml").read_text(encoding="utf-8")
    source = f"  - {{name: vault, provider: vault, address: {bao.address!r}}}\n"
    (home / "countersign.yaml").write_text(settings.replace("  - {name: exports, provider: files, path: exports/}\n", source), "utf-8")
    (home / "register" / "allowed_signers").write_text(MARIA.line(WHO[0]) + BEN.line(WHO[1]) + PAVEL.line("example-partner/pavel"), "utf-8")
    return home


@dataclass
class Clock:
    """One second a call."""

    at: datetime = START

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class Case:
    """A partner with two entities and a token on the server, a programme, and a plan to take all of it away."""

    def __init__(self, bao: SandboxVault, home: Path, *, tokens: int = 1) -> None:
        self.bao, self.clock, self.told = bao, Clock(), []  # type: ignore[var-annotated]  # lines, in the end
        self.programme: Programme = load(home)
        self.names = [f"acme-{home.parent.name[-12:]}-{home.name}-{name}" for name in ("backup", "ci")]
        self.entities = [bao.entity(name) for name in self.names]
        client = bao.client()
        self.secrets = [client.auth.token.create(policies=["default"])["auth"] for _ in range(tokens)]
        place = Scope("vault", "vault", "vault", {"namespace": ""})
        self.hand = connectors.vault.hand(self.programme.sources[0], place, run="test", now=self.clock)
        self.uids = [
            *(f"vault:vault:entity/{entity}" for entity in self.entities),
            *(f"vault:vault:token/{auth['accessor']}" for auth in self.secrets),
        ]
        self.log = bao.audit_log.stat().st_size
        self.plan = self.planned()

    def planned(self, name: str = "acme-1", phase: Any = "disable", **changes: Any) -> Plan:
        held: dict[str, Any] = {
            "id": name, "customer": "northwind", "asked": Asked(partner="example-partner", phase=phase), "made_at": START,
            "register": self.programme.register.digest, "left": (), "undecided": (), "unread": (), "noted": (), "approvers": WHO, "needed": 1,
            "holdings": tuple(self.holding(uid) for uid in self.uids),
        }  # fmt: skip
        return self.again(Plan(**(held | changes | {"steps": ()})))

    def again(self, plan: Plan) -> Plan:
        """Ask the plan's question again."""
        with self.hand as hand:
            steps = [change for change in hand.changes(plan.holdings, plan.asked.phase, plan.made_at) if isinstance(change, Change)]
        if plan.asked.emergency:
            steps = [change for change in steps if change.reversible]
        return replace(plan, steps=tuple(sorted(steps, key=lambda change: change.place)))

    def holding(self, uid: str) -> Holding:
        return Holding(
            uid=uid, what="identity", kind="entity", provider="vault", source="vault", scope="vault", identity_uid=uid, name=f"{uid[-8:]}\x1b[2J\u202e",
            whole=True, how="registered",
        )  # fmt: skip

    def keep(self, plan: Plan | None = None) -> Plan:
        plan = plan or self.plan
        folder.keep(self.programme, plan, clock=self.clock)
        return plan

    def approve(self, plan: Plan | None = None, key: Key = MARIA, who: str = WHO[0], **changes: Any) -> Statement:
        plan = plan or self.plan
        held = {
            "customer": plan.customer, "subject": plan.subject(), "digest": plan.digest(), "approver": who, "issued": START,
            "expires": START + timedelta(days=5),
        }  # fmt: skip
        said = Statement(**(held | changes))
        home = self.programme.folder / "offboarding" / plan.id / "approvals"
        (home / f"{who}-{len(list(home.iterdir()))}.json").write_bytes(said.message())
        (home / f"{who}-{len(list(home.iterdir())) - 1}.sig").write_text(key.sign(said.message()), "utf-8")
        return said

    def decide(self, plan: Plan, at: datetime) -> Decision:
        beside = [
            SignatureProof(name=each.name, statement=each.statement, signature=each.signature)
            for each in folder.approvals(self.programme, plan)
        ]
        with State(self.programme.state) as state:
            used = Journal(state.engine).used(but=plan.id)
        return decide(facts(plan), beside, self.programme.register, at=at, used=used)

    def apply(self, plan: Plan | None = None, **changes: Any) -> Applied:
        held: dict[str, Any] = {"clock": self.clock, "sleep": self.slept, "tell": self.told.append}
        return apply(self.programme, plan or self.plan, self.decide, self.again, **(held | changes))

    def slept(self, seconds: float) -> None:
        self.clock.at += timedelta(seconds=seconds)

    def refused(self, plan: Plan | None = None, **changes: Any) -> str:
        """Return why it is refused; nothing was written, and nothing became of the plan."""
        before = self.writes()
        with pytest.raises(PlanError) as raised:
            self.apply(plan, **changes)
        assert self.writes() == before
        return raised.value.message

    def writes(self) -> list[str]:
        """Return what the revoker's token asked of the server to change since the case began, as its audit log has it."""
        with self.bao.audit_log.open("rb") as file:
            file.seek(self.log)
            lines = [json.loads(line) for line in file.read().splitlines()]
        asked = (line["request"] | line["auth"] for line in lines if line["type"] == "response" and not line.get("error"))
        return [each["path"] for each in asked if each.get("display_name") == "token-revoker" and each["operation"] != "read"]

    def disabled(self) -> list[bool]:
        return [self.bao.client().read(f"identity/entity/id/{entity}")["data"]["disabled"] for entity in self.entities]

    def entries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return kind and predicate of what the ledger holds, in order."""
        return [(each.kind, each.said) for each in reversed(folder.ledger(self.programme))]

    def problems(self) -> list[str]:
        """Verify the whole ledger as an auditor would."""
        report = verify(self.programme.evidence.store, public_keys(self.programme))
        return [each.what for each in report.problems]

    def state(self, plan: Plan | None = None) -> str:
        with State(self.programme.state) as state:
            return Journal(state.engine).states()[(plan or self.plan).id]

    def steps(self) -> dict[str, str]:
        with State(self.programme.state) as state:
            return {step.step: step.state for step in Journal(state.engine).steps(self.plan.id).values()}


@pytest.fixture(autouse=True)
def identities(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectors.vault, "hand", EntityHand, raising=False)
    monkeypatch.setattr(EntityHand, "moment", staticmethod(nothing))
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(READER))
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", bao.reader_token(WRITER, name="revoker"))


@pytest.fixture
def state_url() -> str:
    return "sqlite:///state.db"


@pytest.fixture
def case(bao: SandboxVault, blank: Path, tmp_path: Path, state_url: str) -> Case:
    home = Path(shutil.copytree(blank, tmp_path / "northwind"))
    settings = home / "countersign.yaml"
    settings.write_text(settings.read_text("utf-8").replace("sqlite:///state.db", state_url, 1), "utf-8")
    return Case(bao, home)


@pytest.fixture
def front(bao: SandboxVault, blank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[VaultFront, Case]]:
    """A case whose changes go through the connector itself, with its own policies, and through a server that can spoil calls."""
    with VaultFront(bao.address) as server:
        monkeypatch.setattr(connectors.vault, "hand", connectors.vault.revoking.hand)
        for name, value in bao.identities(connectors.vault.policy_hcl(), connectors.vault.revoke_hcl()).items():
            monkeypatch.setenv(name, value)
        home = Path(shutil.copytree(blank, tmp_path / "front"))
        settings = home / "countersign.yaml"
        settings.write_text(settings.read_text("utf-8").replace(bao.address, server.address), "utf-8")
        case = Case(bao, home)
        case.keep()
        case.approve()
        server.heal()
        yield server, case


def written(front: VaultFront) -> list[str]:
    return sorted(
        path.partition("/id/")[0]
        for method, path in front.calls
        if method != "GET" and "lookup" not in path and "list" not in method.lower()
    )


def test_the_connector_itself_is_carried_through_lost_and_ignored_answers(front: tuple[VaultFront, Case]) -> None:
    server, case = front
    server.spoil("POST", "identity/entity/id/", "lose", times=1)
    server.spoil("POST", "auth/token/revoke-accessor", "ignore", times=1)
    done = case.apply(secrets={case.uids[2]: case.secrets[0]["client_token"]})
    assert (done.state, done.counts, case.disabled()) == ("incomplete", {"failed": 1, "made": 2}, [True, True])
    assert "but it is made" in str(done.steps[0].step.why)
    assert "the provider took it, and after 300 s it is still not so" in str(done.left[0].step.why)
    again = case.apply(secrets={case.uids[2]: case.secrets[0]["client_token"]})
    assert (again.state, [tried.refused for _, tried, _ in again.tried]) == ("applied", [True])
    assert written(server) == ["auth/token/revoke-accessor", "auth/token/revoke-accessor", "identity/entity", "identity/entity"]


def test_the_connector_never_writes_with_the_identity_that_reads(front: tuple[VaultFront, Case], monkeypatch: pytest.MonkeyPatch) -> None:
    server, case = front
    monkeypatch.setenv("VAULT_TOKEN", os.environ["COUNTERSIGN_REVOKE_VAULT_TOKEN"])
    monkeypatch.setenv("VAULT_TOKEN", case.bao.reader_token(connectors.vault.policy_hcl() + connectors.vault.revoke_hcl(), name="both"))
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", os.environ["VAULT_TOKEN"])
    with pytest.raises(PlanError, match=r"cannot be carried out here: vault vault: .*both reads and revokes"):
        case.apply()
    assert (case.state(), case.disabled(), written(server)) == ("planned", [False, False], [])


def document(applied: Applied) -> dict[str, Any]:
    assert applied.evidence is not None
    held: dict[str, Any] = json.loads((applied.evidence / "steps.json").read_bytes())
    return held


def test_an_approved_plan_is_made_and_proved(case: Case) -> None:
    plan = case.keep()
    approval = case.approve()
    done = case.apply(secrets={case.uids[2]: case.secrets[0]["client_token"], "vault:vault:entity/other": "s.other"})
    assert (done.state, done.left, done.counts, case.disabled()) == ("applied", (), {"made": 3}, [True, True])
    assert case.writes() == [f"identity/entity/id/{case.entities[at]}" for at in _order(case)] + ["auth/token/revoke-accessor"]
    assert [kind for kind, _ in case.entries()] == ["offboard-plan", "offboard-begun", "offboard"]
    assert (len(case.told), all(line.isprintable() for line in case.told)) == (4, True)
    said = case.entries()[-1][1]
    expected = {
        "partner": "example-partner", "plan": "acme-1", "digest": plan.digest(), "phase": "disable", "state": "applied",
        "steps": {"made": 3}, "approvers": ["business-owner"], "approvals": [hashlib.sha256(approval.message()).hexdigest()],
        "apply": "apply-acme-1-1", "earlier": None, "brokenGlass": None,
    }  # fmt: skip
    assert {name: said[name] for name in expected} == expected
    assert said["secondsFromApproval"] == done.completed_at.timestamp() - START.timestamp()  # type: ignore[union-attr]  # it is complete
    steps = document(done)["steps"]
    assert [(row["before"], row["after"] == row["seen"], row["attempts"], row["reader"], row["writer"]) for row in steps] == [
        ({"exists": True, "disabled": False}, True, 1, "token-countersign-reader", "token-revoker"),
        ({"exists": True, "disabled": False}, True, 1, "token-countersign-reader", "token-revoker"),
        ({"exists": True}, True, 1, "token-countersign-reader", "token-revoker"),
    ]
    assert all(row["intended_at"] < row["written_at"] < row["verified_at"] and row["seconds"] == 2 for row in steps)
    assert steps[0]["residual"]["until"] == (done.steps[0].ends_at or START).isoformat().replace("+00:00", "Z")
    assert [(row["uid"], row["refused"]) for row in document(done)["attempts"]] == [(case.uids[2], True)]
    assert done.evidence is not None
    held = {path.relative_to(done.evidence).as_posix(): path.read_bytes() for path in done.evidence.rglob("*") if path.is_file()}
    assert held["approvals/1.json"] == approval.message()
    assert held["plan.json"] == plan.document()
    everything = b"".join(path.read_bytes() for path in case.programme.folder.rglob("*") if path.is_file())
    assert case.secrets[0]["client_token"].encode() not in everything
    assert case.problems() == []
    assert "was applied already" in case.refused()


def _order(case: Case) -> list[int]:
    return [case.uids.index(change.target) for change in case.plan.steps if "entity" in change.target]


KILLS = {"commit", "write", "wrote", "rename"}
"""A look changes nothing, and is between two of these."""


def test_killed_at_any_moment_it_goes_on_and_repeats_nothing(bao: SandboxVault, blank: Path, tmp_path: Path) -> None:
    """A child is killed at its first, second, third... commit, write or rename, until one comes to its end."""
    moments = []
    for number in count(1):
        case = Case(bao, Path(shutil.copytree(blank, tmp_path / f"kill-{number}")), tokens=0)
        case.keep()
        case.approve()
        process = FORK.Process(target=_killed_at, args=(case, number, tmp_path / f"moment-{number}"))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        moment = (tmp_path / f"moment-{number}").read_text("utf-8")
        moments.append(moment.split()[0])
        done = case.apply()
        assert (done.state, done.counts, case.disabled(), case.steps()) == (
            "applied", {"made": 2}, [True, True], {change.id: "made" for change in case.plan.steps},
        ), moment  # fmt: skip
        assert case.writes() == [f"identity/entity/id/{case.entities[at]}" for at in _order(case)], moment
        kinds = [kind for kind, _ in case.entries()]
        assert kinds == ["offboard-plan", "offboard-begun", "offboard"], moment
        assert [said["apply"] for kind, said in case.entries() if kind != "offboard-plan"] == ["apply-acme-1-1"] * 2
        assert (case.state(), done.run.sequence, done.run.ended_at is not None, case.problems()) == ("applied", 3, True, []), moment
    assert set(moments) == KILLS
    assert (moments.count("write"), moments.count("wrote"), moments.count("rename")) == (2, 2, 6)


def _killed_at(case: Case, number: int, note: Path) -> None:
    passed, decide = count(1), case.decide
    begun: list[datetime] = []

    def decides(plan: Plan, at: datetime) -> Decision:
        # From here on something is done; before, the tables were opened.
        begun.append(at)
        return decide(plan, at)

    def moment(what: str) -> None:
        if begun and what.split(maxsplit=1)[0] in KILLS and next(passed) == number:
            note.write_text(what, "utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    class Dying(EntityHand):
        pass

    Dying.moment = staticmethod(moment)
    connectors.vault.hand = Dying  # type: ignore[attr-defined]  # in the child only
    sa.event.listen(sa.Engine, "commit", lambda _connection: moment("commit"))
    # An entry gets its place in the chain by one, and each file that is signed its place in the entry.
    sys.addaudithook(lambda event, _about: moment("rename") if event == "os.rename" else None)
    apply(case.programme, case.plan, decides, case.again, clock=case.clock, sleep=case.slept)
    os._exit(0)


def test_killed_after_the_seal_and_refused_since_it_is_on_record_all_the_same(case: Case) -> None:
    case.keep()
    case.approve()

    def dies(what: str) -> None:
        if what == "wrote disable-entity":
            raise KeyboardInterrupt

    EntityHand.moment = staticmethod(dies)
    with pytest.raises(KeyboardInterrupt):
        case.apply()
    EntityHand.moment = staticmethod(nothing)
    case.clock.at += timedelta(days=30)
    assert "0 of 1 approvals count; business-owner-0: the plan expired on" in case.refused()
    kind, said = case.entries()[-1]
    assert (kind, said["state"], said["steps"]) == ("offboard", "incomplete", {"intended": 1, "pending": 2})
    sealed = folder.ledger(case.programme)[0].sealed.path / "steps.json"
    rows = json.loads(sealed.read_bytes())
    assert rows["why"].startswith("the process ended, and going on was refused: plan acme-1 is not approved")
    assert rows["steps"][0]["why"] == "the process ended before it was seen whether it was made"
    assert case.state() == "incomplete"


def test_a_denied_step_stops_the_plan_and_another_run_goes_on(case: Case, bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    case.keep()
    case.approve()
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", bao.reader_token(PEOPLE_ONLY, name="revoker"))
    done = case.apply()
    assert (done.state, done.counts) == ("incomplete", {"failed": 1, "made": 2})
    assert [each.step.why for each in done.left] == ['it was refused: 403: permission denied; it is {"exists": true}']
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", bao.reader_token(WRITER, name="revoker"))
    again = case.apply()
    assert (again.state, again.counts, len(case.writes()), again.run.number) == ("applied", {"made": 3}, 3, 2)
    assert case.entries()[-1][1]["earlier"] == {"apply": "apply-acme-1-1", "sequence": 3, "statement": done.statement_digest}
    assert document(again)["steps"][2]["attempts"] == 2


def test_what_was_refused_and_is_done_by_somebody_else_is_not_told_as_ours(case: Case, bao: SandboxVault) -> None:
    case.keep()
    case.approve()

    def denies(what: str) -> None:
        if what == "write revoke-token":
            raise RevocationDeniedError("not today")

    EntityHand.moment = staticmethod(denies)
    assert case.apply().counts == {"failed": 1, "made": 2}
    bao.client().auth.token.revoke_accessor(case.secrets[0]["accessor"])
    # In a scope that was changed before it cannot be told from what an earlier step brought about: it is so, and nobody says by whom.
    again = case.apply()
    assert ("applied", {"found": 1, "made": 2}) == (again.state, again.counts)


def test_a_new_plan_takes_the_place_of_one_that_stopped(case: Case) -> None:
    case.keep()
    case.approve()

    def dies(what: str) -> None:
        if what == "write revoke-token":
            raise RevocationDeniedError("not today")

    EntityHand.moment = staticmethod(dies)
    assert (case.apply().state, case.state()) == ("incomplete", "incomplete")
    EntityHand.moment = staticmethod(nothing)
    rest = case.keep(case.planned("acme-2", made_at=case.clock()))
    assert ([step.action for step in rest.steps], case.state()) == (["revoke-token"], "incomplete")
    case.approve(rest, issued=case.clock())
    assert (case.apply(rest).state, case.state()) == ("applied", "superseded")
    assert "was superseded by acme-2" in case.refused()


def test_what_takes_a_change_and_does_nothing_is_no_success(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.keep()
    case.approve()
    monkeypatch.setattr(EntityHand, "acts", False)
    done = case.apply()
    assert (done.state, done.counts, case.disabled()) == ("incomplete", {"failed": 1, "pending": 2}, [False, False])
    assert str(done.left[0].step.why).startswith("the provider took it, and after 300 s it is still not so; it is")
    assert [each.step.why for each in done.left[1:]] == ["it was not begun, since a step before it failed"] * 2


def test_an_answer_that_was_lost_is_settled_by_looking(case: Case) -> None:
    case.keep()
    case.approve()

    def loses(what: str) -> None:
        if what.startswith("wrote"):
            raise RevocationError("the connection broke")

    EntityHand.moment = staticmethod(loses)
    done = case.apply()
    assert (done.state, len(case.writes())) == ("applied", 3)
    assert {each.step.why for each in done.steps} == {"the write brought no answer that holds: the connection broke; but it is made"}
    assert {each.step.written_at for each in done.steps} == {None}


def test_an_unforeseen_error_stops_it_and_its_words_stay_out_of_the_evidence(case: Case) -> None:
    case.keep()
    case.approve()

    def breaks(what: str) -> None:
        if what.startswith("write"):
            raise ValueError("hvs.secret")

    EntityHand.moment = staticmethod(breaks)
    done = case.apply()
    assert done.state == "incomplete"
    assert "the write brought no answer that holds: writing failed with ValueError" in str(done.left[0].step.why)


def test_every_difference_since_the_plan_refuses_it(case: Case) -> None:
    case.keep()
    case.approve()
    first, second = case.entities
    case.bao.disable_entity(first)
    case.bao.client().delete(f"identity/entity/id/{second}")
    anew = case.bao.entity(case.names[1])
    more = replace(case.plan, holdings=(*case.plan.holdings, case.holding(f"vault:vault:entity/{anew}")))
    with pytest.raises(PlanError) as raised:
        apply(case.programme, case.plan, case.decide, lambda _plan: case.again(more), clock=case.clock, sleep=case.slept)
    said = raised.value.message
    assert said.count("not as planned any more") == 2
    assert (f"new since the plan: vault:vault:entity/{anew}" in said, case.writes(), case.state()) == (True, [], "planned")
    assert case.bao.client().read(f"identity/entity/id/{anew}")["data"]["disabled"] is False


def test_what_changes_under_way_stops_it_before_the_write(case: Case) -> None:
    case.keep()
    case.approve()
    second = case.entities[_order(case)[1]]

    def meddles(what: str) -> None:
        if what.startswith("wrote disable"):
            case.bao.client().delete(f"identity/entity/id/{second}")

    EntityHand.moment = staticmethod(meddles)
    done = case.apply()
    assert (done.counts, len(case.writes())) == ({"failed": 1, "made": 1, "pending": 1}, 1)
    assert str(done.left[0].step.why).endswith('it was {"disabled": false, "exists": true} and is {"exists": false}')


def test_an_emergency_goes_on_in_other_scopes_and_ends_incomplete(case: Case) -> None:
    urgent = case.planned("acme-now", asked=Asked(partner="example-partner", emergency=True))
    lost, same, fine = (
        replace(step, scope=scope) for step, scope in zip((*urgent.steps, urgent.steps[1]), ("gone", "gone", "vault"), strict=True)
    )
    urgent = case.keep(replace(urgent, steps=(lost, same, fine)))
    case.approve(urgent)
    done = apply(case.programme, urgent, case.decide, lambda plan: plan, clock=case.clock, sleep=case.slept)
    assert (done.state, [each.step.state for each in done.steps]) == ("incomplete", ["failed", "pending", "made"])
    assert str(done.left[0].step.why).startswith("nothing was written: source vault has no scope gone any more")

    case.bao.disable_entity(fine.parameters["id"], disabled=False)
    calm = case.keep(replace(urgent, id="acme-calm", asked=replace(urgent.asked, emergency=False)))
    case.approve(calm)
    with pytest.raises(PlanError, match="cannot be carried out here: vault gone: source vault has no scope gone any more"):
        apply(case.programme, calm, case.decide, lambda plan: plan, clock=case.clock, sleep=case.slept)
    assert case.disabled() == [False, False]


def test_what_an_earlier_step_brings_about_is_found_and_not_written(case: Case) -> None:
    """Whoever deletes an entity deletes its alias; the second of two steps finds it so."""
    first, second, _ = case.plan.steps
    case.keep()
    case.approve()

    def cascades(what: str) -> None:
        if what == "wrote disable-entity":
            case.bao.disable_entity(second.parameters["id"])

    EntityHand.moment = staticmethod(cascades)
    done = case.apply()
    assert (done.state, done.counts, len(case.writes())) == ("applied", {"found": 1, "made": 2}, 2)
    back = restore(
        case.programme, case.plan, plan_id="acme-back", requested_by="x", reason="", approvers=WHO, needed=1, now=case.clock(),
    )  # fmt: skip
    assert [step.target for step in back.steps] == [first.target]


def test_what_died_under_one_approval_ends_under_it_and_another_run_goes_on(case: Case) -> None:
    case.keep()
    mine = case.approve()

    def dies(what: str) -> None:
        if what == "wrote disable-entity":
            raise KeyboardInterrupt

    EntityHand.moment = staticmethod(dies)
    with pytest.raises(KeyboardInterrupt):
        case.apply()
    EntityHand.moment = staticmethod(nothing)
    shutil.rmtree(case.programme.folder / "offboarding" / "acme-1" / "approvals")
    (case.programme.folder / "offboarding" / "acme-1" / "approvals").mkdir()
    hers = case.approve(key=BEN, who=WHO[1])
    done = case.apply()
    assert (done.state, done.run.number, done.run.approvers, len(case.writes())) == ("applied", 2, ("technical-owner",), 3)
    ends = [(said["apply"], said["approvers"], said["state"]) for kind, said in case.entries() if kind == "offboard"]
    assert ends == [("apply-acme-1-1", ["business-owner"], "incomplete"), ("apply-acme-1-2", ["technical-owner"], "applied")]
    with State(case.programme.state) as state:
        used = {each.approver: each.digest for each in Journal(state.engine).approved("acme-1")}
    assert used == {who: hashlib.sha256(said.message()).hexdigest() for who, said in zip(WHO, (mine, hers), strict=True)}


def test_what_must_not_be_applied_is_refused(case: Case) -> None:
    assert "was never sealed" in case.refused()
    case.keep()
    assert "0 of 1 approvals count" in case.refused()
    case.approve(key=PAVEL)
    assert "is not business-owner's" in case.refused().replace('"', "")
    case.approve(key=MARIA, who=WHO[0], digest="0" * 64)
    assert "it is for another version of the plan" in case.refused()
    stopped = case.keep(replace(case.plan, id="acme-stop", noted=(Noted(level="stop", uid="u", name="n", said="our own reader is in it"),)))
    case.approve(stopped)
    assert "must not be applied: our own reader is in it" in case.refused(stopped)
    assert "was superseded by acme-stop" in case.refused(case.plan)
    assert "another customer" in case.refused(replace(case.plan, customer="southwind"))
    case.clock.at += timedelta(days=7)
    assert "expired on 2026-11-29" in case.refused(stopped)
    assert case.state(stopped) == "expired"
    assert not list(case.programme.folder.glob("evidence/*/steps.json"))


def test_two_approvers_are_two_people_of_those_who_may(case: Case) -> None:
    plan = case.keep(replace(case.plan, needed=2))
    case.approve(plan)
    case.approve(plan, reason="once more")
    assert "1 of 2 approvals count" in case.refused(plan)
    case.approve(plan, key=BEN, who=WHO[1])
    alone = case.keep(replace(plan, id="acme-2", approvers=WHO[:1]))
    case.approve(alone)
    case.approve(alone, key=BEN, who=WHO[1])
    assert '"technical-owner" is not among those who may approve' in case.refused(alone)


@given(
    approvers=st.lists(st.sampled_from(["ada", "ben", "eve", ""]), max_size=4),
    digests=st.lists(st.sampled_from(["d1", "d2", "d3"]), max_size=4),
    used=st.frozensets(st.sampled_from(["d1", "d2"])),
    needed=st.integers(-1, 3),
    holds=st.booleans(),
    may=st.frozensets(st.sampled_from(["ada", "ben", ""])),
)
def test_no_decision_counts_with_too_few_people_or_proofs(  # noqa: PLR0913, PLR0917 - what a decision can differ in
    approvers: list[str],
    digests: list[str],
    used: frozenset[str],
    needed: int,
    holds: bool,  # noqa: FBT001 - drawn
    may: frozenset[str],
) -> None:
    asked = Asked(partner="acme")
    plan = Plan(
        id="p", customer="c", asked=asked, made_at=START, register="r", steps=(), left=(), undecided=(), unread=(), holdings=(), noted=(),
        approvers=tuple(sorted(may)), needed=needed,
    )  # fmt: skip
    enough = max(1, needed)
    sound = (
        holds
        and bool(approvers)
        and set(approvers) <= may
        and len(set(approvers)) >= enough
        and len(set(digests)) >= enough
        and used.isdisjoint(digests)
    )
    said = Decision(needed=1 if holds and approvers else 99, approvers=tuple(approvers), digests=tuple(digests))
    try:
        counted = decided(plan, said, used) is said
    except PlanError:
        counted = False
    assert counted == sound


def test_an_approval_is_used_once(case: Case) -> None:
    first, second = case.keep(), case.keep(replace(case.plan, id="acme-2", asked=Asked(partner="example-partner", only=("x",))))
    case.approve(first)
    assert case.apply(first).state == "applied"
    used = case.decide(first, case.clock())
    with pytest.raises(PlanError, match="was used for another plan"):
        apply(case.programme, second, lambda _plan, _at: used, case.again, clock=case.clock, sleep=case.slept)
    Path(case.programme.state.removeprefix("sqlite:///")).unlink()
    assert "was begun, as the ledger says, and the state database knows nothing of it" in case.refused(first)


def test_only_one_is_applied_at_a_time_and_a_night_does_not_matter(case: Case) -> None:
    case.keep()
    case.approve()
    with State(case.programme.state) as state:
        with state.lock("apply acme-9", START, "offboarding"), pytest.raises(StateBusyError, match=r"another offboarding .* apply acme-9"):
            case.apply()
        with state.lock("the night", START):
            assert (case.apply().state, state.locked) == ("applied", True)


def test_restoring_gives_back_exactly_what_was(case: Case) -> None:
    case.bao.disable_entity(case.entities[0])
    case.plan = case.planned()
    case.keep()
    case.approve()
    assert case.apply().state == "applied"
    back = restore(
        case.programme, case.plan, plan_id="acme-back", requested_by="duty-manager", reason="wrong partner", approvers=WHO, needed=1,
        now=case.clock(),
    )  # fmt: skip
    assert [(left.uid, "cannot be taken back" in left.why) for left in back.left] == [(case.uids[2], True)]
    case.keep(back)
    case.approve(back, issued=case.clock())
    case.bao.disable_entity(case.entities[1], disabled=False)
    assert "changed since the plan" in case.refused(back)
    case.bao.disable_entity(case.entities[1])
    done = case.apply(back)
    assert (done.state, done.counts, case.disabled()) == ("applied", {"made": 1}, [True, False])
    assert (case.state(), case.state(back)) == ("restored", "applied")
    assert sorted(case.steps().values()) == ["made", "undone"]
    with pytest.raises(PlanError, match="nothing that can be taken back"):
        restore(case.programme, case.plan, plan_id="x", requested_by="x", reason="", approvers=(), needed=1, now=START)


def test_deleting_what_was_switched_off_ends_the_plan_before(case: Case) -> None:
    case.keep()
    case.approve()
    case.apply()
    gone = case.planned("acme-gone", "delete", asked=Asked(partner="example-partner", phase="delete", follows="acme-1"), needed=2)
    case.keep(gone)
    case.approve(gone)
    case.approve(gone, key=BEN, who=WHO[1])
    assert (case.apply(gone).counts, case.state(), case.state(gone)) == ({"made": 2}, "deleted", "applied")
    assert [case.bao.client().read(f"identity/entity/id/{entity}") for entity in case.entities] == [None, None]


def glass(case: Case, by: str = "duty-manager", key: Key = PAVEL, **changes: Any) -> BrokenGlass:
    said = replace(words(case.plan, by, "they are inside", case.clock()), **changes)
    return BrokenGlass(by=by, reason="they are inside", statement=said.message(), signature=key.sign(said.message()))


def test_broken_glass_does_what_can_be_taken_back_and_owes_the_rest(case: Case) -> None:
    case.keep()
    signers = case.programme.folder / "register" / "allowed_signers"
    assert "the key that signed it is not" in case.refused(broken_glass=glass(case))
    cleo = Key()
    signers.write_text(signers.read_text("utf-8") + cleo.line("duty-manager"), "utf-8")
    case.programme = load(case.programme.folder)
    assert "for another plan" in case.refused(broken_glass=glass(case, key=cleo, subject="plan/acme-1"))
    assert "no active person of the customer's" in case.refused(broken_glass=glass(case, "example-partner/pavel"))
    case.approve(decision="decline")
    assert "was declined by" in case.refused(broken_glass=glass(case, key=cleo))
    shutil.rmtree(case.programme.folder / "offboarding" / "acme-1" / "approvals")
    (case.programme.folder / "offboarding" / "acme-1" / "approvals").mkdir()
    done = case.apply(broken_glass=glass(case, key=cleo))
    assert (done.state, done.counts, case.disabled(), len(case.writes())) == ("incomplete", {"made": 2, "pending": 1}, [True, True], 2)
    assert [each.step.why for each in done.left] == ["it cannot be taken back, so it waits for the approval"]
    (owed,) = debts(case.programme)
    assert (owed.by, owed.plan, owed.owed_until - owed.taken_at) == ("duty-manager", "acme-1", timedelta(hours=24))
    said = case.entries()[-1][1]["brokenGlass"]
    assert (said["reason"], said["owedUntil"]) == ("they are inside", owed.owed_until.isoformat().replace("+00:00", "Z"))
    with pytest.raises(PlanError, match="0 of 1 approvals count"):
        settle_debt(case.programme, case.plan, case.decide, clock=case.clock)
    case.approve()
    assert settle_debt(case.programme, case.plan, case.decide, clock=case.clock)
    assert (settle_debt(case.programme, case.plan, case.decide, clock=case.clock), debts(case.programme)) == (False, ())
    assert case.entries()[-1][1]["settles"] == "acme-1"
    again = case.apply()
    shutil.rmtree(case.programme.folder / "offboarding" / "acme-1" / "approvals")
    assert "was applied already" in case.refused(broken_glass=glass(case, key=cleo))
    assert (again.state, again.counts, len(case.writes()), again.run.broken_glass) == ("applied", {"made": 3}, 3, None)


def test_plans_on_file(case: Case, tmp_path: Path) -> None:
    plan = case.keep()
    path = folder.keep(case.programme, plan, clock=case.clock)
    assert [kind for kind, _ in case.entries()] == ["offboard-plan"]
    assert [oct(each.stat().st_mode & 0o777) for each in (path, path.parent)] == ["0o600", "0o700"]
    assert folder.plans(case.programme) == (plan,)
    assert [folder.find(case.programme, name) for name in ("acme-1", str(path), str(path.parent))] == [plan] * 3
    for name in ("../acme-1", "acme-2", "", "\x1b[2J\0", "a" * 10_000, "..", str(tmp_path / "none.json")):
        with pytest.raises(PlanError):
            folder.find(case.programme, name)
    with pytest.raises(PlanError, match="has a step twice"):
        case.keep(replace(plan, id="acme-2", steps=plan.steps[:1] * 2))
    with pytest.raises(PlanError, match="another plan called acme-1"):
        case.keep(replace(plan, needed=2))
    path.write_bytes(replace(plan, needed=2).document())
    with pytest.raises(PlanError, match="never sealed"):
        folder.find(case.programme, "acme-1")
    case.approve(who="maria")
    (path.parent / "approvals" / "unsigned.json").write_bytes(b"{}")
    (path.parent / "approvals" / "link.json").symlink_to("/etc/passwd")
    assert [each.name for each in folder.approvals(case.programme, plan)] == ["maria-0"]
    (tmp_path / "mine.json").write_bytes(b"{}")
    with pytest.raises(PlanError, match="no statement with a signature beside it"):
        folder.take(case.programme, plan, tmp_path / "mine.json")
    (tmp_path / "mine.sig").write_text("signed", "utf-8")
    assert folder.take(case.programme, plan, tmp_path / "mine.json") == folder.take(case.programme, plan, tmp_path / "mine.json")
    assert [(each.statement, each.signature) for each in folder.approvals(case.programme, plan)][1:] == [(b"{}", "signed")]
    assert statement.read(folder.ledger(case.programme)[0].sealed.path / STATEMENT).kind == "offboard-plan"


def test_the_tables_are_made_on_postgresql_too() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    from countersign.offboarding.tables import metadata

    assert sorted(metadata.tables) == ["approvals_owed", "approvals_used", "plan_answers", "plan_runs", "plan_steps", "plans"]
    for table in metadata.tables.values():
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
