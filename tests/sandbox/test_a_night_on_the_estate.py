"""One whole night on the seeded estate, over the real protocols: every intended verdict, and the next night after."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from countersign import findings_file
from countersign.evidence.verify import verify
from countersign.programme import load
from countersign.reconciliation import reconcile
from sandbox import estate
from sandbox.estate.places import CANARY, LEGACY, MAINFRAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.results import RunResult


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunResult, RunResult]]:
    folder = tmp_path_factory.mktemp("estate") / "northwind"
    with estate.running() as clouds, pytest.MonkeyPatch.context() as environment:
        estate.seed(clouds, datetime.now(UTC), folder)
        for name, value in estate.environment(clouds).items():
            environment.setenv(name, value)
        programme = load(folder)
        yield folder, reconcile(programme), reconcile(programme)


@pytest.fixture(scope="module")
def findings(nights: tuple[Path, RunResult, RunResult]) -> list[dict[str, Any]]:
    return list(findings_file.read(nights[1].evidence / findings_file.NAME))


def test_every_intended_verdict_comes_out(findings: list[dict[str, Any]]) -> None:
    failing = {(row["control"], row["identity_name"]) for row in findings}
    wrong = [(control, name, want) for control, name, want in estate.TRUTH if ((control, name) in failing) != (want == "broken")]
    assert wrong == []


@pytest.mark.parametrize(("provider", "scope"), [("aws", LEGACY), ("gcp", MAINFRAME)])
def test_a_denied_scope_makes_the_run_partial_and_is_unknown_everywhere(
    provider: str, scope: str, nights: tuple[Path, RunResult, RunResult], findings: list[dict[str, Any]]
) -> None:
    first = nights[1]
    assert (first.state, first.exit_code) == ("partial", 3)
    assert [("source-unobserved", f"{provider}:{scope}:source/{provider}")] == [
        (row["control"], row["subject"]) for row in findings if row["scope"] == scope
    ]
    for control in first.controls:
        if control["id"] != "source-unobserved":
            assert any(scope in why["reason"] for why in control["unknown_reasons"]), control["id"]  # type: ignore[attr-defined]


def test_every_finding_says_why_who_answers_and_who_said_so(findings: list[dict[str, Any]]) -> None:
    for row in findings:
        assert row["reason"]
        assert row["accountable"]
        assert row["due"] is not None
        if row["control"] not in ("source-unobserved", "named-owner"):
            assert row["sources"], row["subject"]


def test_the_second_night_changes_nothing(nights: tuple[Path, RunResult, RunResult]) -> None:
    first, second = nights[1:]
    assert first.findings["open"] == second.findings["open"]
    assert (second.findings["new"], second.findings["resolved"], second.findings["reopened"]) == (0, 0, 0)
    assert {"unchanged"} == {name for name, count in second.tickets.items() if count}
    assert verify(nights[0] / "evidence", [nights[0] / "keys" / "evidence.pub.pem"]).ok


def test_no_secret_is_in_any_byte_that_the_nights_left(nights: tuple[Path, RunResult, RunResult]) -> None:
    import zstandard

    secrets = (CANARY, os.environ["AZURE_CLIENT_SECRET"], os.environ["VAULT_TOKEN"])
    for file in nights[0].rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.suffix == ".zst":
                data = zstandard.ZstdDecompressor().stream_reader(data).read()
            assert [secret for secret in secrets if secret.encode() in data] == [], file
    assert json.loads((nights[1].evidence / "results.json").read_text())["state"] == "partial"
