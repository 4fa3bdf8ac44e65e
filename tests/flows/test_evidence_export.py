"""The export as a flow: its entrypoint loads, it runs on a real Prefect server, and Prefect gets pointers only."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings

from countersign.cli import answer
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, verify
from countersign.programme import load
from countersign.reconciliation import reconcile
from flows.evidence_export import evidence_export
from tests.flows.test_nightly_reconciliation import prefect as prefect  # noqa: PLC0414 - the fixture, a server of its own for this module
from tests.flows.test_nightly_reconciliation import programme

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from prefect import Flow

    from tests.flows.test_nightly_reconciliation import Prefect

NIGHT = datetime(2026, 11, 20, 2, tzinfo=UTC)


def test_its_parameters_are_typed_and_say_what_they_are() -> None:
    flow: Flow[..., object] = load_flow_from_entrypoint("flows.evidence_export.evidence_export", use_placeholder_flow=False)
    properties = flow.parameters.properties
    assert ("date", "integer", "boolean") == (
        properties["first"]["format"],
        properties["samples"]["type"],
        properties["pseudonymise"]["type"],
    )
    assert ["programme", "first", "last", "output"] == flow.parameters.required
    assert all(each.get("description") for each in properties.values())


def test_on_a_server_it_leaves_the_bundle_and_pointers_to_it(prefect: Prefect, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = programme(tmp_path / "programme")
    reconcile(load(folder), NIGHT)
    target = tmp_path / "bundle.zip"
    words = ["export", "--from", "2026-11-20", "--to", "2026-11-20", "-o", str(target), "-p", str(folder), "--prefect", "--json"]
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        assert answer(words) == 0
        told = json.loads(capsys.readouterr().out)
        refused = evidence_export(str(folder), date(2026, 11, 20), date(2099, 1, 1), str(tmp_path / "later.zip"), return_state=True)
    assert (str(target), f"sha256:{hashlib.sha256(target.read_bytes()).hexdigest()}") == (told["file"], told["digest"])
    assert verify(target, [folder / "keys" / "evidence.pub.pem"]).ok
    runs = prefect.ask("/flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=10)
    by_state = {run["state"]["type"]: run for run in runs}
    entry = statement.read(folder / "evidence" / told["entry"] / STATEMENT)
    assert {"flowRun": by_state["COMPLETED"]["id"]} == entry.predicate["requestedBy"]
    (artifact,) = [each for each in prefect.ask("/artifacts/latest/filter") if each["key"] == "evidence-export"]
    assert told["digest"] in artifact["data"]
    assert "user/old" not in artifact["data"]

    assert ("FAILED", "Failed") == (refused.type.value, refused.name)
    assert "yet to come" in str(by_state["FAILED"]["state"]["message"])
    assert not (tmp_path / "later.zip").exists()
