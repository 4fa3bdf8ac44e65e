"""One whole night on the seeded estate, over the real protocols: every intended verdict, and a second look two hours later."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from countersign import findings_file
from countersign.evidence.verify import verify
from countersign.expectation import expectations
from countersign.programme import load
from countersign.reconciliation import reconcile
from sandbox import estate
from sandbox.estate.places import CANARY, LEGACY, MAINFRAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.results import RunResult

LATER = timedelta(hours=2)
"""Past the hour within which access is to be revoked in an incident and after a contract, and short of every other service level."""
NO_SCOPE_HIDES_IT = {record.id for record in expectations() if set(record.subjects) <= {"register", "finding"}} | {"source-unobserved"}
"""What is judged of the register, of earlier findings, and of the denial itself."""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunResult, RunResult]]:
    folder = tmp_path_factory.mktemp("estate") / "northwind"
    with estate.running() as clouds, pytest.MonkeyPatch.context() as environment:
        estate.seed(clouds, datetime.now(UTC), folder)
        for name, value in estate.environment(clouds).items():
            environment.setenv(name, value)
        programme = load(folder)
        began = datetime.now(UTC).replace(microsecond=0)
        yield folder, reconcile(programme, began), reconcile(programme, began + LATER)


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
    # Maria administers the organization, and with it every project in it: that is certain without looking into one.
    certain = {"sole-administrator"} if provider == "gcp" else set()
    for control in first.controls:
        if control["id"] not in NO_SCOPE_HIDES_IT | certain:
            assert any(scope in why["reason"] for why in control["unknown_reasons"]), control["id"]  # type: ignore[attr-defined]


def test_every_finding_says_why_who_answers_and_who_said_so(findings: list[dict[str, Any]]) -> None:
    for row in findings:
        assert row["reason"]
        assert row["accountable"]
        assert row["due"] is not None
        if row["control"] not in ("source-unobserved", "named-owner"):
            assert row["sources"], row["subject"]


def test_what_two_hours_change_is_that_the_hour_to_revoke_is_over(nights: tuple[Path, RunResult, RunResult]) -> None:
    folder, first, second = nights
    assert [None, None] == [first.guard, second.guard]
    new = [row for row in findings_file.read(second.evidence / findings_file.NAME) if row["event"] == "new"]
    late = Counter(row["facts"]["late_control"] for row in new if row["control"] == "sla-revoke")
    urgent = {"contract-ended", "incident-open"}
    assert late == Counter(row["control"] for row in findings_file.read(first.evidence / findings_file.NAME) if row["control"] in urgent)
    # An incident that was minutes old is more than an hour old now.
    others = [(row["control"], row["identity_name"], row["facts"]["incident"]) for row in new if row["control"] != "sla-revoke"]
    assert [("incident-open", "corvid-support", "INC-0002")] * 2 == others
    assert first.findings["open"] + len(new) == second.findings["open"]
    assert (second.findings["new"], second.findings["resolved"], second.findings["reopened"]) == (len(new), 0, 0)
    assert {name: count for name, count in second.tickets.items() if count} == {"unchanged": first.tickets["created"], "created": 3}
    assert verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"]).ok


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
