"""The flow on a real Prefect server: deployed from prefect.yaml, run by a process worker, and how its states look."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from prefect.logging.handlers import APILogWorker

from countersign import scaffold
from countersign.evidence.verify import verify
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.state import State
from flows import launch
from tests.countersign.receivers import hook

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CSV = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated\n"
    "old,arn:aws:iam::111111111111:user/old,2024-01-01T00:00:00Z,false,N/A,N/A,N/A,false,true,2024-01-01T00:00:00Z,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,"
    "false,N/A,false,N/A\n"
)


class Prefect:
    """A real server, with the command line pointed at it."""

    def __init__(self, home: Path, port: int) -> None:
        self.api = f"http://127.0.0.1:{port}/api"
        self.env = {
            **os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": self.api, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING", "PREFECT_CLI_PROMPT": "false",
        }  # fmt: skip

    def run(self, *words: str, **extra: str) -> str:
        done = subprocess.run([BIN / "prefect", *words], cwd=ROOT, env=self.env | extra, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, **body: Any) -> Any:
        answer = httpx.post(self.api + path, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    async def count_events(self, name: str, *, at_least: int) -> int:
        """Prefect writes events behind the run's back: wait until they are there."""
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                answer = await client.post(f"{self.api}/events/filter", json={"filter": {"event": {"name": [name]}}})
                if answer.raise_for_status().json()["total"] >= at_least:
                    return int(answer.json()["total"])
                await asyncio.sleep(0.2)

    def last_run(self) -> dict[str, Any]:
        runs = self.ask(
            "/flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=10, flow_runs={"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        )
        return runs[0]


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Prefect(home, port)
    with ExitStack() as stack:
        log = stack.enter_context((home / "server.log").open("wb"))
        env = {name: value for name, value in server.env.items() if name != "PREFECT_API_URL"}
        process = subprocess.Popen([BIN / "prefect", "server", "start", "--port", str(port)], env=env, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        # The flow that runs in this process logs behind our back: let it finish while the server still listens.
        stack.callback(APILogWorker.drain_all)
        asyncio.run(_ready(server.api, process))
        server.run("work-pool", "create", "countersign", "--type", "process")
        yield server


async def _ready(api: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(180):
        async with httpx.AsyncClient() as client:
            while process.poll() is None:
                try:
                    if (await client.get(f"{api}/health")).is_success:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
    raise AssertionError("the Prefect server ended before it was ready")


def programme(folder: Path) -> Path:
    scaffold.init(folder)
    (folder / "exports" / "report.csv").write_text(CSV)
    return folder


def test_deployed_and_run_by_a_worker_it_completes(prefect: Prefect, tmp_path: Path) -> None:
    folder = programme(tmp_path / "programme")
    prefect.run("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", COUNTERSIGN_PROGRAMME=str(folder))
    deployment = httpx.get(f"{prefect.api}/deployments/name/nightly-reconciliation/nightly", timeout=60).json()
    (schedule,) = deployment["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"], schedule["active"]) == ("0 2 * * *", "Europe/London", True)
    assert {
        "limit": deployment["global_concurrency_limit"]["limit"], "collision_strategy": deployment["concurrency_options"]["collision_strategy"],
    } == {"limit": 1, "collision_strategy": "CANCEL_NEW"}  # fmt: skip
    assert {"programme": str(folder)} == deployment["parameters"]

    prefect.run("deployment", "run", "nightly-reconciliation/nightly")
    prefect.run("worker", "start", "--pool", "countersign", "--run-once")
    run = prefect.last_run()
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Completed"), run["state"]["message"]

    with State(load(folder).state) as state:
        (ours,) = state.runs()
    assert ours.slot == f"flow-run:{run['id']}"
    assert ours.statement_digest in run["state"]["message"]
    assert verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"]).ok
    artifacts = prefect.ask("/artifacts/latest/filter")
    (summary,) = [artifact for artifact in artifacts if artifact["key"] == "nightly-reconciliation"]
    assert ours.statement_digest in summary["data"]
    assert "AKIA" not in summary["data"]
    # rotation-age, inactive, named-owner: one event each, with the fingerprint and no name
    assert 3 == asyncio.run(prefect.count_events("countersign.finding.new", at_least=3))


def test_a_partial_run_is_red_and_says_what_is_missing(prefect: Prefect, tmp_path: Path) -> None:
    folder = programme(tmp_path / "programme")
    (folder / "exports" / "broken.csv").write_text("user,arn\nx\n")
    prefect.run("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", COUNTERSIGN_PROGRAMME=str(folder))
    prefect.run("deployment", "run", "nightly-reconciliation/nightly")
    prefect.run("worker", "start", "--pool", "countersign", "--run-once")
    state = prefect.last_run()["state"]
    assert (state["type"], state["name"]) == ("FAILED", "Partial")
    assert "broken.csv" in state["message"]


def test_only_a_slot_that_had_its_run_is_repeated(prefect: Prefect, tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    loaded = load(programme(tmp_path / "programme"))
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        first, again = (launch.nightly(loaded, slot="2026-11-22") for _ in range(2))
    assert (False, True) == (first.repeated, again.repeated)
    assert (first.run, first.statement_digest) == (again.run, again.statement_digest)


def test_what_runs_out_and_the_day_s_digest_are_told(prefect: Prefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programme(tmp_path / "programme")
    reconcile(load(folder), datetime.now(UTC) - timedelta(days=30))
    config = folder / "countersign.yaml"
    channel = {"name": "mail", "url_from": "env:PEOPLE_URL", "to": "people"}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"escalation": {"channels": [channel]}}))
    prefect.run("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", COUNTERSIGN_PROGRAMME=str(folder))
    with hook() as hooked:
        monkeypatch.setitem(prefect.env, "PEOPLE_URL", hooked.url("{email}"))
        for deployment in ("escalation/escalation", "owner-digest/owner-digest"):
            prefect.run("deployment", "run", deployment)
        prefect.run("worker", "start", "--pool", "countersign", "--run-once")
        told = {to for to, _, _ in hooked.took}
        digests = [title for _, title, _ in hooked.took if " finding" in title and "yours" in title]
    assert {"ada@example.example", "ben@example.example", "cleo@example.example"} <= told
    assert len(digests) >= 1
    assert all("overdue" in title for title in digests if "0 findings" not in title)


def test_every_entrypoint_of_prefect_yaml_is_a_flow_that_loads() -> None:
    # `prefect deploy` prints success for a flow that cannot be imported.
    from prefect.flows import load_flow_from_entrypoint

    entries = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
    names = [load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False).name for entry in entries]
    assert names == [
        "nightly-reconciliation", "evidence-export", "partner-offboarding", "approval-watch", "escalation", "owner-digest",
        "remediation-drill",
    ]  # fmt: skip


def test_the_server_imports_with_the_pinned_fastapi() -> None:
    from prefect.server.api import server

    assert callable(server.create_app)
