"""A night on moto as it comes: none of our sandbox's corrections, and a credential report that claims to be of 2015."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from countersign import findings_file, scaffold
from countersign.programme import load
from countersign.reconciliation import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.now(UTC).replace(microsecond=0)
SOURCE = '  - {{name: aws, provider: aws, accounts: [{accounts}], regions: [eu-west-2], role: CountersignInventory, external_id: ours, endpoint: "{endpoint}"}}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    script = Path(__file__).with_name("plain_moto.py")
    with subprocess.Popen(
        [sys.executable, str(script), NOW.isoformat()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


def test_every_finding_is_right_on_a_server_that_we_did_not_mend(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programme"
    scaffold.init(folder)
    config = folder / "countersign.yaml"
    source = SOURCE.format(accounts='"111111111111", "222222222222"', endpoint=endpoint)
    config.write_text(config.read_text().replace("  - {name: exports, provider: files, path: exports/}", source))
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    result = reconcile(load(folder), NOW)

    assert ("complete", 1) == (result.state, result.exit_code)
    rows = [row for row in findings_file.read(result.evidence / findings_file.NAME) if row["control"] != "named-owner"]
    want = {
        ("rotation-age", "old", 1), ("inactive", "old", 1),
        ("rotation-age", "pair", 2), ("inactive", "pair", 2), ("overlap-too-long", "pair", 1),
        ("rotation-age", "turned", 1), ("inactive", "turned", 1),
        ("human-mfa", "alice", 1),
        ("unconditioned-trust", "vendor", 1), ("unknown-third-party", "vendor", 1), ("unknown-third-party", "narrow", 1),
    }  # fmt: skip
    for account in ("111111111111", "222222222222"):
        here = [(row["control"], row["identity_name"]) for row in rows if row["scope"] == account]
        assert want == {(control, name, here.count((control, name))) for control, name in here}
    assert all("access-key/AKIA" in row["subject"] for row in rows if row["control"] in ("rotation-age", "inactive", "overlap-too-long"))
