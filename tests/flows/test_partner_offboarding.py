"""The offboarding as a flow: deployed, suspended until the customer's approval is there, then carried out by a worker on a real OpenBao."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prefect.flow_runs import resume_flow_run
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings

from connectors.vault import policy_hcl, revoke_hcl
from countersign import scaffold
from countersign.approval import Statement
from countersign.cli import answer
from countersign.clock import instant
from countersign.evidence.verify import verify
from countersign.offboarding import folder, process
from countersign.offboarding.plan import Asked
from countersign.programme import Programme, load
from sandbox.ssh_keys import Key
from sandbox.vault import SandboxVault
from tests.flows.test_nightly_reconciliation import prefect as prefect  # noqa: PLC0414 - the fixture, a server of its own for this module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect import Flow

    from countersign.offboarding.plan import Plan
    from tests.flows.test_nightly_reconciliation import Prefect

OWNER = "business-owner"
FLOW = "partner-offboarding/partner-offboarding"


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        yield server


def programme(home: Path, bao: SandboxVault, key: Key) -> Programme:
    scaffold.init(home, customer="northwind")
    settings = (home / "countersign.yaml").read_text(encoding="utf-8")
    source = f"  - {{name: vault, provider: vault, address: {bao.address!r}}}\n"
    (home / "countersign.yaml").write_text(settings.replace("  - {name: exports, provider: files, path: exports/}\n", source), "utf-8")
    (home / "register" / "allowed_signers").write_text(key.line(OWNER), "utf-8")
    partner = home / "register" / "partners" / "example-partner.yaml"
    partner.write_text(partner.read_text("utf-8") + "\n", "utf-8")
    return load(home)


def signed(held: Programme, plan: Plan, key: Key) -> None:
    """Approve as the business owner, and leave it beside the plan as anybody may."""
    said = Statement(
        customer=plan.customer, subject=plan.subject(), digest=plan.digest(), approver=OWNER, issued=plan.made_at, expires=plan.expires,
    ).message()  # fmt: skip
    beside = held.folder / folder.FOLDER / plan.id / folder.APPROVALS
    (beside / "owner.sig").write_text(key.sign(said))
    (beside / "owner.json").write_bytes(said)


def state_of(prefect: Prefect, run: str) -> tuple[str, str]:
    found = prefect.ask("/flow_runs/filter", flow_runs={"id": {"any_": [run]}})[0]["state"]
    return found["type"], found["name"]


def test_its_parameters_are_typed_and_say_what_they_are() -> None:
    flow: Flow[..., object] = load_flow_from_entrypoint("flows.partner_offboarding.partner_offboarding", use_placeholder_flow=False)
    properties = flow.parameters.properties
    assert ["disable", "delete"] == properties["phase"]["enum"]
    assert ["programme", "partner", "requested_by", "reason"] == flow.parameters.required
    assert all(each.get("description") for each in properties.values())


def test_it_waits_suspended_and_goes_on_when_the_approval_is_there(prefect: Prefect, bao: SandboxVault, tmp_path: Path) -> None:
    key = Key()
    held = programme(tmp_path / "northwind", bao, key)
    tag = next(iter(held.register.partners["example-partner"].footprint.tags.items()))
    theirs = bao.entity("theirs", metadata=dict([tag]))
    ours = bao.entity("ours", metadata={"owner": "us"})
    who = {**bao.identities(policy_hcl(), revoke_hcl()), "COUNTERSIGN_PROGRAMME": str(held.folder)}

    def work() -> None:
        prefect.run("worker", "start", "--pool", "countersign", "--run-once", **who)

    prefect.run("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", **who)
    asked = {"partner": "example-partner", "requested_by": "technical-owner", "reason": "the contract ends"}
    prefect.run("deployment", "run", FLOW, "--params", json.dumps(asked))
    work()
    (run,) = prefect.ask("/flow_runs/filter", flow_runs={"name": {"like_": "offboard"}})
    assert ("PAUSED", "Suspended") == state_of(prefect, run["id"])
    (plan,) = folder.plans(held)
    assert [f"vault:vault:entity/{theirs}"] == [step.target for step in plan.steps]

    # Resumed by hand without an approval, it suspends again, with the same plan.
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        resume_flow_run(run["id"])
    work()
    assert ("PAUSED", "Suspended") == state_of(prefect, run["id"])
    assert {theirs: False, ours: False} == disabled(bao, theirs, ours)

    signed(held, plan, key)
    prefect.run("deployment", "run", "approval-watch/approval-watch")
    work()
    work()
    assert ("COMPLETED", "Completed") == state_of(prefect, run["id"]), prefect.last_run()["state"]
    assert {theirs: True, ours: False} == disabled(bao, theirs, ours)
    assert (plan,) == folder.plans(held)
    assert process.decision(held, plan, plan.made_at).digests
    assert verify(held.evidence.store, [held.folder / "keys" / "evidence.pub.pem"]).ok
    artifacts = [each for each in prefect.ask("/artifacts/filter") if each["key"] == "partner-offboarding"]
    assert not any("theirs" in each["data"] for each in artifacts)
    assert instant(run["created"]) is not None


def test_applied_from_the_terminal_with_a_server_it_is_a_flow_run(
    prefect: Prefect, bao: SandboxVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Key()
    held = programme(tmp_path / "northwind", bao, key)
    theirs = bao.entity("another-of-theirs", metadata={"partner": "example-partner"})
    for name, value in bao.identities(policy_hcl(), revoke_hcl()).items():
        monkeypatch.setenv(name, value)
    asked = Asked(partner="example-partner", requested_by="technical-owner", reason="x", only=(f"vault:vault:entity/{theirs}",))
    plan = process.keep(held, process.make(held, asked))
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        assert 2 == answer(["offboard", "apply", plan.id, "-p", str(held.folder), "--json"])
        assert "is not approved" in json.loads(capsys.readouterr().out)["error"]
        signed(held, plan, key)
        assert 0 == answer(["offboard", "apply", plan.id, "-p", str(held.folder), "--json"])
    assert ("applied", "complete") == ((told := json.loads(capsys.readouterr().out))["state"], told["certificate"]["state"])
    runs = prefect.ask("/flow_runs/filter", flow_runs={"name": {"any_": [f"apply {plan.id}"]}}, sort="EXPECTED_START_TIME_ASC")
    assert [("FAILED", "Refused"), ("COMPLETED", "Completed")] == [(run["state"]["type"], run["state"]["name"]) for run in runs]
    assert {theirs: True} == disabled(bao, theirs)


def disabled(bao: SandboxVault, *entities: str) -> dict[str, Any]:
    client = bao.client()
    return {entity: client.secrets.identity.read_entity(entity)["data"]["disabled"] for entity in entities}
