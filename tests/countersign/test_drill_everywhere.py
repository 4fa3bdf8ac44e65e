"""The same drill in each of the clouds, each on its stand-in with three identities that may not do each other's work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from countersign import scaffold
from countersign.drill import remediation
from countersign.drill.remediation import Signer
from countersign.programme import DrillScope, load
from sandbox.ssh_keys import Key
from tests.connectors.test_canaries import in_aws, in_azure, in_gcp  # noqa: F401 - fixtures, each a stand-in for this module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.connectors.test_canaries import Bench


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_it_finds_and_revokes_what_it_made_and_nothing_else(
    cloud: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench: Bench = request.getfixturevalue(f"in_{cloud}")
    for name, value in bench.drills.items():
        monkeypatch.setenv(name, value)
    key, home = Key(), tmp_path / "northwind"
    scaffold.init(home, customer="northwind")
    (home / "register" / "allowed_signers").write_text(key.line("business-owner"), "utf-8")
    aside = DrillScope(source=bench.source.name, scope=bench.scope.name)
    programme = replace(load(home), sources=(bench.source,), drill=(aside,))
    before = bench.snapshot()

    result = remediation.drill(programme, signer=Signer("business-owner", key.sign), sleep=lambda _seconds: None)
    assert ("passed", None) == (result.state, result.why)
    assert [] == result.said["blind"]
    assert result.said["proofs"].keys() == {"refused"}
    assert before == bench.snapshot()
