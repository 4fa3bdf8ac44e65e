"""Drills on a real OpenBao, from the canaries to the entry in the ledger; and what the night knows of them afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from connectors.vault import drill_hcl, policy_hcl, revoke_hcl
from countersign import cli, scaffold
from countersign.approval import Statement
from countersign.canary import PARTNER, PREFIX
from countersign.cli import offboard_status, on_file
from countersign.desk.local import LocalDesk
from countersign.drill import exception, record, remediation
from countersign.drill.remediation import Signer
from countersign.drill.scopes import DrillError
from countersign.errors import ConfigError
from countersign.evidence.verify import verify
from countersign.facts import governance_tables
from countersign.offboarding import folder, process
from countersign.programme import Programme, load
from countersign.state import State
from sandbox.ssh_keys import Key
from sandbox.vault import SandboxVault
from sandbox.vault_snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.offboarding.plan import Plan

OWNER = "business-owner"
SECRET = re.compile(rb"\bs\.[A-Za-z0-9]{24}\b")
"""A token of OpenBao's."""
KILLED = """
import os, signal, sys
from pathlib import Path
from countersign.drill import remediation
from countersign.programme import load

def tell(message, share=None):
    if message.endswith(": ticket"):
        os.kill(os.getpid(), signal.SIGKILL)

remediation.drill(load(Path(sys.argv[1])), tell=tell)
"""


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        yield server


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.fixture
def ours(bao: SandboxVault, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programme:
    """Give a programme of one Vault, in which a scope is set aside; three identities, none of which may what another may."""
    for name, value in bao.identities(policy_hcl(), revoke_hcl()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COUNTERSIGN_DRILL_VAULT_TOKEN", bao.reader_token(drill_hcl(), name="driller"))
    home = tmp_path / "northwind"
    scaffold.init(home, customer="northwind")
    settings = (home / "countersign.yaml").read_text("utf-8")
    source = f"  - {{name: vault, provider: vault, address: {bao.address!r}, leases: false}}\n"
    settings = settings.replace("  - {name: exports, provider: files, path: exports/}\n", source)
    (home / "countersign.yaml").write_text(f"{settings}\ndrill: [{{source: vault, scope: vault}}]\n", "utf-8")
    customer = home / "register" / "customer.yaml"
    customer.write_text(customer.read_text("utf-8").replace("# drills:", "drills:"), "utf-8")
    (home / "register" / "allowed_signers").write_text(key.line(OWNER), "utf-8")
    return load(home)


def seen(bao: SandboxVault) -> dict[str, Any]:
    return snapshot(bao.address, bao.root_token)


def no_pause(_seconds: float) -> None:
    """Wait for nothing: the stand-in is never late."""


def sealed(programme: Programme) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted(programme.evidence.store.glob("0*/drill.json"))]


def last_drills(programme: Programme) -> dict[str, bool]:
    """Say of each path whether the night knows when it was last walked to its end, as `drill-overdue` does."""
    with State(programme.state) as state:
        tables = governance_tables(programme, process.now(), runs=state.runs())
    (drills,) = (table for table in tables if table.name == "drills")
    return {str(row[1]): row[3] is not None for row in drills.rows}


def approve(programme: Programme, plan: Plan, key: Key, person: str = OWNER) -> None:
    said = Statement(
        customer=plan.customer, subject=plan.subject(), digest=plan.digest(), approver=person, issued=plan.made_at, expires=plan.expires,
    ).message()  # fmt: skip
    beside = programme.folder / folder.FOLDER / plan.id / folder.APPROVALS
    (beside / "owner.sig").write_text(key.sign(said))
    (beside / "owner.json").write_bytes(said)


def test_a_killed_drill_is_cleaned_up_and_the_next_one_walks_the_whole_way(ours: Programme, bao: SandboxVault, key: Key) -> None:
    before = seen(bao)
    done = subprocess.run([sys.executable, "-c", KILLED, ours.folder], env=os.environ, check=False)
    assert -signal.SIGKILL == done.returncode
    dead = record.find(ours)
    assert dead is not None
    assert before != seen(bao)

    result = remediation.drill(ours, signer=Signer(OWNER, key.sign), sleep=no_pause)
    assert ("passed", None) == (result.state, result.why)
    assert before == seen(bao)
    first, second = sealed(ours)
    assert (dead.drill, "failed", "its process ended while it was to ticket") == (first["drill"], first["state"], first["why"])
    assert second == result.said
    assert list(record.STEPS) == [step["step"] for step in second["steps"]]
    assert {"refused": 2} == second["proofs"]
    assert {"accepted"} == {canary["before"] for canary in second["canaries"]}
    assert [("vault", "named-owner", 2, 2), ("vault", "workload-registered", 2, 2)] == [
        (row["provider"], row["control"], row["canaries"], row["found"]) for row in second["controls"]
    ]
    assert ["signed by the partner", f"signed for {OWNER}, and expired", f"signed for {OWNER} by somebody else's key"] == [
        refusal["given"] for refusal in second["refusals"]
    ]
    assert second["seconds"]["revoke vault"] is not None
    assert {"remediation": True, "exception": False} == last_drills(ours)
    with State(ours.state) as state:
        tickets = [ticket for ticket in LocalDesk(state.engine, process.now).all() if str(ticket["title"]).startswith("[drill] ")]
        assert tickets
        assert {"closed"} == {ticket["state"] for ticket in tickets}
        assert not state.known()
    assert record.find(ours) is None
    # A drill is among the runs, and is no night: nobody takes it for the latest findings.
    assert [("drill-remediation", None), ("drill-remediation", None)] == [(ran.run.kind, ran.findings) for ran in on_file.runs(ours)]
    assert not any(SECRET.search(path.read_bytes()) for path in ours.folder.rglob("*") if path.is_file())
    assert PARTNER not in load(ours.folder).register.partners
    assert verify(ours.evidence.store, [ours.folder / "keys" / "evidence.pub.pem"]).ok
    with pytest.raises(DrillError, match="is over"):
        remediation.drill(ours, go_on=result.plan)


def test_it_waits_for_its_approval_and_goes_on_with_it(
    ours: Programme, bao: SandboxVault, key: Key, capsys: pytest.CaptureFixture[str]
) -> None:
    before = seen(bao)
    command = ["drill", "--path", "remediation", "--json", "-p", str(ours.folder)]
    assert 3 == cli.answer(command)
    (said,) = json.loads(capsys.readouterr().out)["drills"]
    assert ("waits", None) == (said["state"], said["evidence"])
    (plan,) = folder.plans(ours)
    assert all(step.name.startswith(PREFIX) for step in plan.steps)
    approve(ours, plan, Key())
    assert "waits" == remediation.drill(ours).state, "a key that nobody knows approves nothing"

    approve(ours, plan, key)
    assert 0 == cli.answer(command)
    (said,) = json.loads(capsys.readouterr().out)["drills"]
    assert ("passed", [OWNER]) == (said["state"], said["approvers"])
    assert {"not tried": 2} == said["proofs"], "the secrets were forgotten with the process that made the canaries"
    assert (plan,) == folder.plans(ours)
    assert () == offboard_status.rows(ours, process.now(), every=False), "a plan of which nothing is left is over"
    assert before == seen(bao)


def test_a_control_that_is_blind_makes_it_fail(ours: Programme, bao: SandboxVault, key: Key) -> None:
    before = seen(bao)
    workload = {
        "workload": "everything", "owner": OWNER, "backup_owner": "technical-owner", "purpose": "all", "identities": ["vault:vault:approle/*"],
    }  # fmt: skip
    (ours.folder / "register" / "workloads" / "everything.yaml").write_text(json.dumps(workload))
    result = remediation.drill(load(ours.folder), signer=Signer(OWNER, key.sign), sleep=no_pause)
    assert "failed" == result.state
    assert "named-owner is blind in vault vault: it says 'pass' of" in str(result.why)
    assert before == seen(bao)
    assert [result.said] == sealed(ours)
    assert {"remediation": False, "exception": False} == last_drills(ours)


def test_it_does_not_begin_where_it_could_not_end(ours: Programme, bao: SandboxVault, capsys: pytest.CaptureFixture[str]) -> None:
    before = seen(bao)
    assert 0 == cli.answer(["drill", "--dry-run", "--json", "-p", str(ours.folder)])
    said = json.loads(capsys.readouterr().out)
    assert [{"provider": "vault", "source": "vault", "scope": "vault"}] == said["scopes"]
    assert OWNER in said["approvers"]
    assert before == seen(bao)
    with pytest.raises(DrillError, match="not accountable"):
        remediation.drill(ours, signer=Signer("duty-manager", str))
    settings = ours.folder / "countersign.yaml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("scope: vault}", "scope: vault/other}"), "utf-8")
    with pytest.raises(DrillError, match="has no scope vault/other"):
        remediation.drill(load(ours.folder))
    settings.write_text(text.replace("{source: vault, scope", "{source: nothing, scope"), "utf-8")
    with pytest.raises(ConfigError, match="is no source in which a drill could be"):
        load(ours.folder)
    settings.write_text(text.replace("drill: [", "# ["), "utf-8")
    with pytest.raises(DrillError, match="no scope is set aside"):
        remediation.drill(load(ours.folder))
    assert sealed(ours) == []


def test_the_drill_of_exceptions_leaves_nothing_behind(ours: Programme) -> None:
    def files() -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (ours.folder / "register").rglob("*") if path.is_file()
        }

    before = files()
    result = exception.drill(ours)
    assert ("passed", None) == (result.state, result.why)
    assert ["find", "request", "refuse", "approve", "accept", "expire"] == [step.step for step in result.steps]
    assert ["by who requested it", "by the partner", "unsigned", "signed by somebody else's key"] == [
        refusal["given"] for refusal in result.said["refusals"]
    ]
    assert before == files()
    assert {"remediation": False, "exception": True} == last_drills(ours)
    with State(ours.state) as state:
        assert not state.known()


def test_a_drill_of_exceptions_fails_where_nobody_may_accept_anything(ours: Programme) -> None:
    for path in (ours.folder / "register" / "controls").iterdir():
        path.unlink()
    result = exception.drill(load(ours.folder))
    assert ("failed", "nobody may accept any of the canary's findings") == (result.state, result.why)
    assert {"remediation": False, "exception": False} == last_drills(ours)
