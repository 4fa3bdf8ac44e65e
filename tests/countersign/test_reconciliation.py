"""Whole nights, from reading to sealed evidence, without Prefect: what a second night changes, and what a crash leaves."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from countersign import findings_file, scaffold
from countersign.clock import stamp
from countersign.desk.local import LocalDesk
from countersign.errors import CountersignError
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, verify
from countersign.programme import load
from countersign.reconciliation import Reconciliation, reconcile
from countersign.rehearsal import rehearse
from countersign.results import Rehearsal, RunResult
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.results import Outcome

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def row(name: str, account: str, *, key_days: int | None, used_days: int | None = None) -> str:
    def ago(days: int | None) -> str:
        return "N/A" if days is None else (NOW - timedelta(days=days)).isoformat()

    key = f"{'true' if key_days is not None else 'false'},{ago(key_days)},{ago(used_days)},eu-west-2,s3"
    none = "false,N/A,N/A,N/A,N/A"
    return f"{name},arn:aws:iam::{account}:user/{name},{ago(900)},false,N/A,N/A,N/A,false,{key},{none},false,N/A,false,N/A"


def export(folder: Path, account: str, keys: Mapping[str, tuple[int | None, int | None]]) -> None:
    """Write an account's credential report: per user the age of the key and of its last use, in days."""
    lines = [HEADER, *(row(name, account, key_days=age, used_days=used) for name, (age, used) in keys.items())]
    (folder / "exports" / f"{account}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "programme"
    scaffold.init(target)
    export(target, "111111111111", {"old": (200, None), "fine": (10, 1)})
    export(target, "222222222222", {"stale": (80, 60)})
    return target


def night(folder: Path, days: int = 0) -> RunResult:
    return reconcile(load(folder), NOW + timedelta(days=days))


def standing(folder: Path) -> dict[tuple[str, str], str]:
    programme = load(folder)
    with State(programme.state) as state:
        return {
            (f.finding.control, f.finding.subject): f.finding.state
            for f in state.findings()
            if f.finding.control in ("rotation-age", "inactive")
        }


def tickets(folder: Path) -> list[tuple[str, str | None]]:
    with State(load(folder).state) as state:
        return sorted((row.state, row.ticket) for row in state.tickets("local"))


def verified(folder: Path) -> bool:
    report = verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"])
    assert report.problems == ()
    return report.ok


OLD = "aws:111111111111:access-key/old@20260506T020000Z"
STALE = "aws:222222222222:access-key/stale@20260903T020000Z"


def test_a_second_night_changes_nothing_and_a_fixed_finding_closes_its_ticket(folder: Path) -> None:
    first = night(folder)
    assert (first.state, first.exit_code) == ("complete", 1)
    assert standing(folder) == {("rotation-age", OLD): "open", ("inactive", OLD): "open", ("inactive", STALE): "open"}
    opened = tickets(folder)
    assert {"open"} == {state for state, _ in opened}

    second = night(folder)
    assert (second.findings["new"], second.findings["resolved"], second.tickets["created"] + second.tickets["updated"]) == (0, 0, 0)
    assert opened == tickets(folder)

    export(folder, "111111111111", {"old": (None, None), "fine": (10, 1)})
    third = night(folder)
    assert standing(folder)["rotation-age", OLD] == "resolved"
    assert third.tickets["closed"] == 1  # rotation-age has no other finding; inactive still has one
    assert verified(folder)


def test_an_unread_scope_closes_nothing_and_the_run_is_partial(folder: Path) -> None:
    night(folder)
    (folder / "exports" / "222222222222.csv").write_text(HEADER.replace("user,arn", "user,nonsense") + "\nx\n")
    second = night(folder)
    assert (second.state, second.exit_code) == ("partial", 3)
    assert standing(folder)["inactive", STALE] == "open"
    assert second.findings["unobserved"] >= 1
    rows = {row["subject"]: row for row in findings_file.read(second.evidence / findings_file.NAME) if row["control"] == "inactive"}
    assert rows[STALE]["event"] == "unobserved"
    assert rows[STALE]["facts"]["idle_limit_days"] == 45  # as last seen
    assert verified(folder)


def test_a_scan_that_looks_wrong_opens_one_ticket_and_changes_nothing_else(folder: Path) -> None:
    export(folder, "111111111111", {f"u{number}": (200, None) for number in range(30)})
    night(folder)
    before, opened = standing(folder), tickets(folder)
    export(folder, "111111111111", {"u0": (200, None)})  # 29 users' findings are gone at once
    stopped = night(folder)
    assert 4 == stopped.exit_code
    assert "are gone" in str(stopped.guard)
    assert before == standing(folder)
    assert len(opened) + 1 == len(tickets(folder))
    # What was found stays on file, with its facts.
    found = {row["subject"]: row["event"] for row in findings_file.read(stopped.evidence / findings_file.NAME)}
    assert "resolved" in found.values()

    export(folder, "111111111111", {f"u{number}": (200, None) for number in range(30)})
    sound = night(folder)
    assert (before, None, 1) == (standing(folder), sound.guard, sound.tickets["closed"])
    assert verified(folder)


def test_a_scope_that_is_not_configured_any_more_closes_nothing(folder: Path) -> None:
    night(folder)
    (folder / "exports" / "222222222222.csv").unlink()
    night(folder)
    assert standing(folder)["inactive", STALE] == "open"


def test_with_every_source_failing_the_run_is_recorded_and_fails(folder: Path) -> None:
    night(folder)
    before = standing(folder)
    for file in (folder / "exports").glob("*.csv"):
        file.unlink()
    (folder / "exports").rmdir() if not list((folder / "exports").iterdir()) else None
    result = night(folder)
    assert (result.state, result.exit_code) == ("failed", 4)
    assert before == standing(folder)
    assert verified(folder)


def test_an_unknown_source_is_refused_with_the_names_there_are(folder: Path) -> None:
    with pytest.raises(CountersignError, match="no source called nope") as caught:
        reconcile(load(folder), only=["nope"])
    assert caught.value.fix == "use one of: exports"


def test_a_slot_happens_once(folder: Path) -> None:
    programme = load(folder)
    first = reconcile(programme, NOW, slot="2026-11-22")
    again = reconcile(programme, NOW, slot="2026-11-22")
    assert again.repeated
    assert (first.run, first.statement_digest, first.controls) == (again.run, again.statement_digest, again.controls)
    assert len(list((folder / "evidence").glob("0*"))) == 1


def test_a_second_run_at_the_same_time_is_refused_by_name(folder: Path) -> None:
    programme = load(folder)
    with Reconciliation(programme) as held, pytest.raises(CountersignError, match=held.run):
        reconcile(programme)


def test_a_run_that_cannot_be_judged_is_on_file_and_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countersign.expectation.Holds.breaks", lambda _self: "FALSE")
    with pytest.raises(CountersignError, match="nothing is judged"):
        night(folder)
    assert standing(folder) == {}
    assert (folder / "evidence" / "00000001" / "failure.json").exists()
    assert verified(folder)


def files(folder: Path) -> dict[str, bytes | None]:
    # state.db-shm is memory that processes share while they have the database open: who reads leaves a mark there.
    every = [path for path in folder.rglob("*") if path.name != "state.db-shm"]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in every}


def rehearsed(folder: Path, days: int = 0) -> tuple[object, ...]:
    before = files(folder)
    with rehearse(load(folder), NOW + timedelta(days=days)) as (_, result):
        assert isinstance(result, Rehearsal)
        outcome = (*said(result), json.loads((result.staged / "plan.json").read_text()))
    assert before == files(folder)
    return outcome


def said(result: Outcome) -> tuple[object, ...]:
    return (result.state, result.exit_code, result.sources, result.controls, result.findings, result.tickets, result.guard)


def real(folder: Path, days: int = 0) -> tuple[object, ...]:
    result = night(folder, days)
    return (*said(result), json.loads((result.evidence / "plan.json").read_text()))


def test_a_dry_run_says_what_the_next_run_does_and_changes_no_byte(folder: Path) -> None:
    assert rehearsed(folder) == real(folder)
    export(folder, "111111111111", {"old": (None, None), "fine": (100, 1)})  # one fixed, one new
    (folder / "exports" / "222222222222.csv").write_text(HEADER.replace("user,arn", "user,nonsense") + "\nx\n")
    with State(load(folder).state) as state:
        desk = LocalDesk(state.engine, lambda: NOW)
        desk.transition(desk.all()[0]["id"], "closed")  # by a person, without a fix: reopened
    expected = rehearsed(folder, 1)
    assert expected == real(folder, 1)
    assert expected[0] == "partial"


def test_a_dry_run_of_a_scan_that_looks_wrong_says_so(folder: Path) -> None:
    export(folder, "111111111111", {f"u{number}": (200, None) for number in range(30)})
    night(folder)
    export(folder, "111111111111", {"u0": (200, None)})
    assert rehearsed(folder) == real(folder)


def test_a_dry_run_goes_beside_a_real_one_and_needs_no_key(folder: Path) -> None:
    night(folder)
    with Reconciliation(load(folder)):
        (folder / "keys" / "evidence.pem").unlink()
        assert "complete" == rehearsed(folder)[0]


def test_a_dry_run_of_a_slot_that_had_its_run_gives_its_result(folder: Path) -> None:
    first = reconcile(load(folder), NOW, slot="2026-11-22")
    with rehearse(load(folder), NOW, slot="2026-11-22") as (_, again):
        assert isinstance(again, RunResult)
        assert (first.run, first.statement_digest, True) == (again.run, again.statement_digest, again.repeated)


def killed(folder: Path, patch: str, slot: str | None = None) -> None:
    """Run a night in a process of its own that kills itself where `patch` says so."""
    script = dedent(f"""
        import os, signal
        from datetime import datetime
        from pathlib import Path
        from countersign import reconciliation
        from countersign.programme import load
        from countersign.reconciliation import Reconciliation, reconcile
        def die():
            os.kill(os.getpid(), signal.SIGKILL)
        {patch}
        reconcile(load(Path({str(folder)!r})), datetime.fromisoformat({NOW.isoformat()!r}), slot={slot!r})
    """)
    died = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


def dies_after(step: str) -> str:
    return f"real = Reconciliation.{step}; Reconciliation.{step} = lambda self, *args: (real(self, *args), die())"


DIES_AT_THE_SECOND_SCOPE = (
    "reconciliation.THREADS = 1; real = Reconciliation.read; "
    "Reconciliation.read = lambda self, scope: die() if scope.name == '222222222222' else real(self, scope)"
)


@pytest.mark.parametrize(
    ("step", "slot"),
    [*((step, "2026-11-22") for step in ("scopes", "read", "judge", "plan", "act", "record")), ("read", None), ("record", None)],
)
def test_killed_after_any_step_the_next_run_loses_and_doubles_nothing(folder: Path, step: str, slot: str | None) -> None:
    killed(folder, dies_after(step), slot)
    result = reconcile(load(folder), NOW, slot=slot)
    assert result.state == "complete"
    assert standing(folder) == {("rotation-age", OLD): "open", ("inactive", OLD): "open", ("inactive", STALE): "open"}
    with sqlite3.connect(folder / "state.db") as db:
        (at_the_desk,) = db.execute("SELECT count(*) FROM local_tickets").fetchone()
    assert at_the_desk == len(set(tickets(folder))) == len(tickets(folder))
    # A run of the same slot takes over what had decided nothing yet; what had acted, or was another slot's, is on file as failed.
    entries = {"record": 1 if slot else 2}.get(step, 1 if slot and step != "act" else 2)
    assert entries == len(list((folder / "evidence").glob("0*")))
    assert verified(folder)


def test_a_run_that_takes_over_reads_only_what_was_not_read(folder: Path) -> None:
    killed(folder, DIES_AT_THE_SECOND_SCOPE, "2026-11-22")
    export(folder, "111111111111", {"old": (None, None), "fine": (10, 1)})  # had it been read now, it would not be found
    result = reconcile(load(folder), NOW, slot="2026-11-22")
    assert standing(folder) == {("rotation-age", OLD): "open", ("inactive", OLD): "open", ("inactive", STALE): "open"}
    said = statement.read(result.evidence / STATEMENT)
    assert (1, result.run) == (len(said.predicate["resumed"]), said.run)
    assert verified(folder)


def test_a_scope_whose_spool_is_not_whole_is_read_again(folder: Path) -> None:
    killed(folder, DIES_AT_THE_SECOND_SCOPE, "2026-11-22")
    (spool,) = (folder / ".work").glob("exports/*111111111111/credentials.jsonl")
    spool.write_bytes(spool.read_bytes()[:-40])
    reconcile(load(folder), NOW, slot="2026-11-22")
    assert standing(folder) == {("rotation-age", OLD): "open", ("inactive", OLD): "open", ("inactive", STALE): "open"}
    assert verified(folder)


@pytest.mark.parametrize("change", ["register", "other slot", "too long ago"])
def test_a_dead_run_is_not_taken_over_under_other_terms(folder: Path, change: str) -> None:
    killed(folder, DIES_AT_THE_SECOND_SCOPE, "2026-11-22")
    if change == "register":
        with (folder / "register" / "customer.yaml").open("a", encoding="utf-8") as customer:
            customer.write("# reviewed\n")
    if change == "too long ago":
        note = folder / ".work" / "run.json"
        said = json.loads(note.read_text())
        note.write_text(json.dumps(said | {"began": "2026-01-01T00:00:00Z"}))
    export(folder, "111111111111", {"old": (None, None), "fine": (10, 1)})
    tonight = NOW + timedelta(days=1) if change == "other slot" else NOW
    result = reconcile(load(folder), tonight, slot="2026-11-23" if change == "other slot" else "2026-11-22")
    left = statement.read(folder / "evidence" / "00000001" / STATEMENT).predicate
    assert (stamp(NOW), "2026-11-22") == (left["asOf"], left["slot"])
    assert standing(folder) == {("inactive", STALE): "open"}
    assert ("00000002", True) == (result.evidence.name, (folder / "evidence" / "00000001" / "failure.json").exists())
    assert verified(folder)


@pytest.mark.parametrize("lost", ["broken", "not exported"])
def test_an_export_that_is_missing_tonight_closes_nothing(folder: Path, lost: str) -> None:
    tenant, app, principal, key = (str(uuid.UUID(int=number)) for number in range(1, 5))
    secret = {"keyId": key, "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": "2027-01-01T00:00:00Z"}
    application = {
        "id": app,
        "appId": app,
        "displayName": "sync",
        "isDisabled": None,
        "passwordCredentials": [secret],
        "keyCredentials": [],
    }
    there = folder / "exports" / "entra"
    there.mkdir()
    (there / "account.json").write_text(json.dumps({"environmentName": "AzureCloud", "tenantId": tenant, "id": tenant, "user": {}}))
    listed = {"id": principal, "servicePrincipalType": "Application", "accountEnabled": True, "appOwnerOrganizationId": tenant}
    (there / "sp.json").write_text(json.dumps([application | listed | {"passwordCredentials": []}]))
    (there / "app.json").write_text(json.dumps([application]))
    finding = ("rotation-age", f"azure:{tenant}:client-secret/{key}")
    night(folder)
    assert "open" == standing(folder)[finding]
    if lost == "broken":
        (there / "app.json").write_text("[{")
    else:
        (there / "app.json").unlink()
    night(folder, 1)
    assert "open" == standing(folder)[finding]
    (there / "app.json").write_text(json.dumps([application | {"passwordCredentials": []}]))
    night(folder, 2)
    assert "resolved" == standing(folder)[finding]
