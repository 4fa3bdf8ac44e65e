"""What a night prepares by itself, on a real OpenBao and on exports: one plan for each partner and trigger, never carried out."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from connectors.vault import policy_hcl, revoke_hcl
from countersign import scaffold
from countersign.approval import Statement
from countersign.cli import answer
from countersign.evidence.verify import verify
from countersign.offboarding import folder, process
from countersign.offboarding.journal import Journal
from countersign.offboarding.plan import Asked
from countersign.offboarding.triggers import Prepared, prepare
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.state import State
from sandbox.vault import SandboxVault
from tests.countersign.signed_by_hand import Key
from tests.countersign.test_reconciliation import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.offboarding.plan import Plan
    from countersign.reconciliation import Judged, Reconciliation
    from countersign.results import RunResult

HOUR = timedelta(hours=1)
PARTNER, OWNER, MARIA = "example-partner", "business-owner", Key()


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        yield server


@pytest.fixture(scope="module")
def blank(bao: SandboxVault, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("triggers") / "northwind"
    scaffold.init(home, customer="northwind")
    settings = (home / "countersign.yaml").read_text("utf-8")
    exports = "  - {name: exports, provider: files, path: exports/}\n"
    vault = f"  - {{name: vault, provider: vault, address: {bao.address!r}}}\n"
    (home / "countersign.yaml").write_text(settings.replace(exports, exports + vault), "utf-8")
    (home / "register" / "allowed_signers").write_text(MARIA.line(OWNER), "utf-8")
    return home


class Estate:
    """A programme with a partner of its own on the server, night after night."""

    def __init__(self, bao: SandboxVault, home: Path) -> None:
        self.bao, self.home, self.tag = bao, home, home.parent.name
        self.change("partners/example-partner.yaml", "tags: {partner: example-partner}", f"tags: {{partner: {self.tag}}}")
        self.entities: list[str] = []
        self.users()

    def entity(self, name: str) -> str:
        """Make an entity of the partner's; returns its uid."""
        self.entities.append(self.bao.entity(f"{self.tag}-{name}", metadata={"partner": self.tag}))
        return f"vault:vault:entity/{self.entities[-1]}"

    def users(self, **idle: int) -> None:
        """Export an account whose users have not been active for so many days."""

        def ago(days: int) -> str:
            return (datetime.now(UTC) - timedelta(days=days)).isoformat()

        none = "false,N/A,N/A,N/A,N/A"
        lines = [
            f"{PARTNER}-{name},arn:aws:iam::111111111111:user/{PARTNER}-{name},{ago(900)},false,N/A,N/A,N/A,false,"
            f"true,{ago(days + 1)},{ago(days)},eu-west-2,s3,{none},false,N/A,false,N/A"
            for name, days in {"fine": 1, **idle}.items()
        ]
        (self.home / "exports" / "111111111111.csv").write_text("\n".join((HEADER, *lines)) + "\n", "utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        path = self.home / "register" / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def contract_over(self) -> None:
        self.change("partners/example-partner.yaml", "ends: 2027-12-31", "ends: 2025-06-30")

    def incident(self, name: str, *uids: str) -> None:
        """Declare an incident long ago over entities, which the register names as it names all of Vault's."""
        names = ", ".join(f'"vault:vault:entity/{self.tag}-{each}"' for each in uids)
        (self.home / "register" / "incidents").mkdir(exist_ok=True)
        (self.home / "register" / "incidents" / f"{name}.yaml").write_text(
            f"incident: {name}\ndeclared_at: 2026-01-01T08:00:00Z\ndeclared_by: {OWNER}\nreason: seen elsewhere\nidentities: [{names}]\n",
            "utf-8",
        )

    def night(self, later: timedelta = timedelta(), **how: Any) -> tuple[RunResult, Prepared]:
        prepared: list[Prepared] = []

        def after(run: Reconciliation, judged: Judged) -> None:
            prepared.append(prepare(run, judged))

        result = reconcile(load(self.home), datetime.now(UTC) + later, after=after, **how)
        return result, prepared[-1] if prepared else Prepared()

    def plans(self) -> dict[str, str]:
        with State(load(self.home).state) as state:
            return dict(Journal(state.engine).states())

    def on_file(self) -> set[str]:
        return {each.id for each in folder.plans(load(self.home))}

    def disabled(self) -> set[bool]:
        return {self.bao.client().read(f"identity/entity/id/{each}")["data"]["disabled"] for each in self.entities}

    def approve(self, plan: Plan) -> None:
        said = Statement(
            customer=plan.customer, subject=plan.subject(), digest=plan.digest(), approver=OWNER, issued=plan.made_at, expires=plan.expires,
        ).message()  # fmt: skip
        beside = self.home / folder.FOLDER / plan.id / folder.APPROVALS
        (beside / "owner.sig").write_text(MARIA.sign(said))
        (beside / "owner.json").write_bytes(said)

    def verified(self) -> bool:
        return verify(self.home / "evidence", [self.home / "keys" / "evidence.pub.pem"]).ok


@pytest.fixture
def estate(bao: SandboxVault, blank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Estate:
    for name, value in bao.identities(policy_hcl(), revoke_hcl()).items():
        monkeypatch.setenv(name, value)
    return Estate(bao, Path(shutil.copytree(blank, tmp_path / "northwind")))


def asked(prepared: Prepared) -> list[tuple[str, tuple[str, ...], bool]]:
    return [(each.asked.trigger, each.asked.only, each.asked.emergency) for each in prepared.plans]


def test_a_contract_that_is_over_is_planned_once_and_again_when_something_changed(estate: Estate) -> None:
    backup = estate.entity("backup")
    estate.contract_over()
    result, first = estate.night()
    assert [("contract-end", (), False)] == asked(first)
    (plan,) = first.plans
    assert [backup] == [step.target for step in plan.steps]
    assert ("complete", 1, {plan.id: "planned"}) == (result.state, result.exit_code, estate.plans())

    assert ((), (plan.id,)) == ((again := estate.night()[1]).plans, again.standing)

    more = estate.entity("more")
    (fresh,) = estate.night()[1].plans
    assert {backup, more} == {step.target for step in fresh.steps}
    assert {plan.id: "superseded", fresh.id: "planned"} == estate.plans()
    assert {False} == estate.disabled()  # prepared, never carried out, however many nights pass
    assert estate.verified()


def test_a_scope_that_cannot_be_read_tonight_leaves_what_waits_alone(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.entity("backup")
    estate.users(idle=60)
    estate.contract_over()
    (plan,) = estate.night()[1].plans
    with monkeypatch.context() as dark:
        dark.setenv("VAULT_TOKEN", "revoked")
        result, blind = estate.night()
    assert ("partial", (), (plan.id,), ()) == (result.state, blind.plans, blind.standing, blind.problems)


def test_an_incident_is_an_emergency_for_its_identities_beside_the_end_of_the_contract(estate: Estate) -> None:
    ours, other, third = (estate.entity(name) for name in ("hit", "other", "third"))
    estate.contract_over()
    estate.incident("INC-1", "hit")
    prepared = estate.night()[1]
    assert [("contract-end", (), False), ("incident", (ours,), True)] == asked(prepared)
    _, emergency = prepared.plans
    assert [(ours, True)] == [(step.target, step.reversible) for step in emergency.steps]

    # Approved and not begun: what comes to the incident is planned beside it, and the approval stays good.
    estate.approve(emergency)
    estate.incident("INC-2", "other")
    after = estate.night()[1]
    assert [("incident", (other,), True)] == asked(after)
    assert {*after.standing} == {plan.id for plan in prepared.plans}
    assert {"planned"} == set(estate.plans().values())

    # Not approved, it makes room for one plan of both.
    estate.incident("INC-3", "third")
    assert [("incident", tuple(sorted((other, third))), True)] == asked(estate.night()[1])
    assert "superseded" == estate.plans()[after.plans[0].id]
    assert {False} == estate.disabled()


def test_what_nobody_uses_and_what_is_late_is_one_plan_for_each_partner_and_trigger(estate: Estate) -> None:
    estate.users(backup=60, **{f"idle{number}": 60 for number in range(8)})
    estate.change("workloads/nightly-backup.yaml", "expires: 2027-06-30", "expires: 2025-12-31")
    first = estate.night()[1]
    assert [("inactivity", 9, False)] == [(trigger, len(only), emergency) for trigger, only, emergency in asked(first)]
    second = estate.night(HOUR * 2)[1]
    late, idle = asked(second)
    assert ("missed-sla", 1, False, "inactivity", 8, False) == (late[0], len(late[1]), late[2], idle[0], len(idle[1]), idle[2])
    assert {*first.plans[0].asked.only} == {*late[1], *idle[1]}
    assert {first.plans[0].id: "superseded"} | dict.fromkeys((each.id for each in second.plans), "planned") == estate.plans()


def test_what_is_approved_under_one_trigger_is_not_replaced_under_another(estate: Estate) -> None:
    estate.users(backup=60)
    estate.change("workloads/nightly-backup.yaml", "expires: 2027-06-30", "expires: 2025-12-31")
    (plan,) = estate.night()[1].plans
    estate.approve(plan)
    late = estate.night(HOUR * 2)[1]
    assert ("inactivity", (), (plan.id,), ()) == (plan.asked.trigger, late.plans, late.standing, late.problems)
    assert {plan.id: "planned"} == estate.plans()


def test_a_person_s_plan_is_not_replaced(estate: Estate) -> None:
    backup, kept = estate.entity("backup"), estate.entity("kept")
    estate.contract_over()
    held = load(estate.home)
    theirs = Asked(partner=PARTNER, requested_by="technical-owner", reason="the end", without=((kept, "until Friday"),))
    plan = process.keep(held, process.make(held, theirs))
    assert ((), (plan.id,)) == ((prepared := estate.night()[1]).plans, prepared.standing)
    assert ([backup], {plan.id: "planned"}) == ([step.target for step in plan.steps], estate.plans())


def test_nothing_is_prepared_by_a_dry_run_of_part_of_the_sources_or_when_the_guard_stopped(estate: Estate) -> None:
    estate.entity("backup")
    estate.users(**{f"u{number}": 60 for number in range(30)})
    estate.contract_over()
    assert 1 == answer(["reconcile", "--dry-run", "-p", str(estate.home), "--json"])
    assert ("no plan was prepared: vault was not asked tonight",) == estate.night(only=["exports"])[1].problems
    assert set() == estate.on_file()
    estate.users()  # thirty users' findings are gone at once
    result, prepared = estate.night()
    assert ("are gone" in str(result.guard), Prepared(), set()) == (True, prepared, estate.on_file())


def test_the_night_says_what_it_prepared_and_what_it_could_not(estate: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    estate.entity("backup")
    estate.contract_over()
    assert 1 == answer(["reconcile", "-p", str(estate.home)])
    (plan,) = folder.plans(load(estate.home))
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Prepared: {plan.id} (contract-end, {len(plan.steps)} changes) waits for its approval" in shown
    assert 1 == answer(["offboard", "status", "-p", str(estate.home), "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (plan.id, "countersign", "planned", True) == (row["plan"], row["requested_by"], row["state"], OWNER in row["waits"])

    # A plan that somebody changed on file: the night is whole all the same, and says so.
    file = estate.home / folder.FOLDER / plan.id / folder.FILE
    file.write_bytes(file.read_bytes().replace(b"contract-end", b"incident-end"))
    assert 1 == answer(["reconcile", "-p", str(estate.home), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert ("complete", [], 1) == (said["state"], said["prepared"], len(said["not_prepared"]))
    assert "is no plan, or was changed since it was made" in said["not_prepared"][0]
    assert estate.verified()


def test_a_night_without_triggers_prepares_nothing_and_what_cannot_be_prepared_leaves_the_night_as_it_is(estate: Estate) -> None:
    estate.entity("backup")
    assert Prepared() == estate.night()[1]
    estate.contract_over()
    (estate.home / folder.FOLDER).write_text("no folder")  # so that nothing can be written there
    result, prepared = estate.night()
    assert ("complete", (), 1) == (result.state, prepared.plans, len(prepared.problems))
    assert prepared.problems[0].startswith(f"no plan for {PARTNER} (contract-end): ")
    assert estate.verified()
