"""The drill as a flow: deployed, suspended until the customer's approval is there, then carried out by a worker on a real OpenBao."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from connectors.vault import drill_hcl, policy_hcl, revoke_hcl
from countersign.evidence.verify import verify
from countersign.offboarding import folder
from countersign.programme import load
from countersign.state import State
from sandbox.ssh_keys import Key
from sandbox.vault import SandboxVault
from sandbox.vault_snapshot import snapshot
from tests.flows.test_nightly_reconciliation import prefect as prefect  # noqa: PLC0414 - the fixture, a server of its own for this module
from tests.flows.test_partner_offboarding import programme, signed, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.test_nightly_reconciliation import Prefect


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        yield server


def test_it_waits_suspended_for_the_approval_and_then_walks_to_its_end(prefect: Prefect, bao: SandboxVault, tmp_path: Path) -> None:
    key = Key()
    held = programme(tmp_path / "northwind", bao, key)
    settings = held.folder / "countersign.yaml"
    settings.write_text(f"{settings.read_text('utf-8')}\ndrill: [{{source: vault, scope: vault}}]\n", "utf-8")
    held = load(held.folder)
    driller = bao.reader_token(drill_hcl(), name="driller")
    who = {
        **bao.identities(policy_hcl(), revoke_hcl()), "COUNTERSIGN_DRILL_VAULT_TOKEN": driller, "COUNTERSIGN_PROGRAMME": str(held.folder),
    }  # fmt: skip

    before = snapshot(bao.address, bao.root_token)

    def work() -> None:
        prefect.run("worker", "start", "--pool", "countersign", "--run-once", **who)

    prefect.run("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", **who)
    deployed = httpx.get(f"{prefect.api}/deployments/name/remediation-drill/remediation-drill", timeout=60).json()
    (schedule,) = deployed["schedules"]
    assert ("0 10 1 * *", "Europe/London", False) == (schedule["schedule"]["cron"], schedule["schedule"]["timezone"], schedule["active"])
    prefect.run("deployment", "run", "remediation-drill/remediation-drill")
    work()
    (run,) = prefect.ask("/flow_runs/filter", flow_runs={"name": {"like_": "drill"}})
    assert ("PAUSED", "Suspended") == state_of(prefect, run["id"]), run["state"]
    (plan,) = folder.plans(held)

    # Resumed by hand without an approval, it suspends again, with the same plan.
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        resume_flow_run(run["id"])
    work()
    assert ("PAUSED", "Suspended") == state_of(prefect, run["id"])
    assert (plan,) == folder.plans(held)

    signed(held, plan, key)
    prefect.run("deployment", "run", "approval-watch/approval-watch")
    work()
    work()
    assert ("COMPLETED", "Completed") == state_of(prefect, run["id"]), prefect.last_run()["state"]
    assert before == snapshot(bao.address, bao.root_token)
    with State(held.state) as state:
        assert [("drill-remediation", "complete")] == [(each.kind, each.state) for each in state.runs()]
    assert verify(held.evidence.store, [held.folder / "keys" / "evidence.pub.pem"]).ok
