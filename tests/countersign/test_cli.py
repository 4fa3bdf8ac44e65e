from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml
from hypothesis import given
from hypothesis import strategies as st

import countersign
from countersign import cli, scaffold
from countersign.cli import show
from countersign.desk.local import LocalDesk
from countersign.finding import inert
from countersign.programme import load
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BIN = Path(sys.executable).parent
NOW = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
AS_OF = ("--as-of", "2026-11-22T02:15:00Z")
ACCOUNT = "111111111111"
HOSTILE = "[bold]=cmd[/bold]\x1b[2J\u202egnp"
COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def ago(days: int) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def export(folder: Path, keys: Mapping[str, int]) -> None:
    """Write a credential report: each user's key is that many days old and was used yesterday."""
    none = "false,N/A,N/A,N/A,N/A"
    lines = [
        f"{name},arn:aws:iam::{ACCOUNT}:user/{name},{ago(900)},false,N/A,N/A,N/A,false,true,{ago(age)},{ago(1)},eu-west-2,s3,{none},false,N/A,false,N/A"
        for name, age in keys.items()
    ]
    (folder / "exports" / "report.csv").write_text("\n".join([COLUMNS, *lines]) + "\n", encoding="utf-8")


def programme(folder: Path, keys: Mapping[str, int]) -> Path:
    scaffold.init(folder)
    export(folder, keys)
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A programme after one night; tests that change anything take `copied`."""
    folder = programme(tmp_path_factory.mktemp("cli") / "northwind", {"old": 200, "fine": 10, HOSTILE: 300})
    assert cli.answer(["reconcile", "-p", str(folder), *AS_OF]) == 1
    return folder


@pytest.fixture
def copied(ran: Path, tmp_path: Path) -> Path:
    shutil.copytree(ran, tmp_path / "copy")
    return tmp_path / "copy"


def program(*arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "countersign", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(countersign.app_dir()), **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=280)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.answer([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    code, out, _ = shown(capsys, *arguments, "--json")
    return code, json.loads(out)


def commands() -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    root: Any = typer.main.get_command(cli._app())
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            found.update({(name, inner): each for inner, each in command.commands.items()})
        if not hasattr(command, "commands") or command.invoke_without_command:
            found[(name,)] = command
    return found


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_mode) for path in folder.rglob("*")}


def test_help_comes_without_loading_anything_slow() -> None:
    slow = ("sqlalchemy", "duckdb", "boto3", "prefect", "pydantic", "cryptography", "great_expectations", "yaml", "hvac", "moto")
    code = f"import sys, countersign.cli\ncountersign.cli.answer(['--help'])\nprint([name for name in {slow} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=countersign.app_dir())
    assert (done.stderr, "reconcile" in done.stdout) == ("[]\n", True)


@pytest.mark.parametrize("name", commands())
def test_every_command_takes_json_and_a_programme_and_shows_an_example(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    options = {option for parameter in commands()[name].params for option in parameter.opts}
    assert {"--json", "-p", "--programme"} <= options
    code, out, _ = shown(capsys, *name, "--help")
    assert (code, f"Example: countersign {' '.join(name)}" in out) == (0, True)


def test_a_night_through_the_program_prints_one_document_and_the_exit_code(tmp_path: Path) -> None:
    folder = programme(tmp_path / "northwind", {"old": 200, "fine": 10})
    done = program("reconcile", "-p", folder, *AS_OF, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["state"], result["as_of"]) == (1, "complete", "2026-11-22T02:15:00Z")
    assert "read aws 111111111111: 2 identities" in done.stderr
    again = program("findings", "--control", "rotation-age", "--json", cwd=folder)
    (finding,) = json.loads(again.stdout)
    assert (again.returncode, again.stderr) == (1, "")
    assert (finding["identity_name"], finding["state"], finding["since"]) == ("old", "open", "2026-11-22T02:15:00Z")
    assert (finding["ticket"].partition(":")[0], finding["ticket"].partition(":")[2].isdigit()) == ("local", True)
    assert list(finding)[:18] == [
        "fingerprint", "control", "subject", "subject_kind", "identity", "identity_name", "provider", "scope", "partner", "accountable",
        "severity", "state", "since", "due", "ticket", "reason", "facts", "sources",
    ]  # fmt: skip


def test_a_run_is_summed_up_with_its_worst_findings_and_a_command_that_checks_it(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied)
    code, out, err = shown(capsys, "reconcile", "--as-of", "2026-11-23T02:15:00Z")
    assert (code, err.splitlines()[-1]) == (1, "sealing the evidence")
    for expected in (
        "State: complete",
        "exports  111111111111  complete",
        "rotation-age",
        "Worst findings",
        "Tickets:",
        "evidence/00000002/report.html",
    ):
        assert expected in out
    check = out.partition(f"Check it: {show.program()} ")[2].splitlines()[0]
    code, said, _ = shown(capsys, *shlex.split(check))
    assert (code, said.splitlines()[-1]) == (0, "The evidence holds.")
    desk = out.partition(f", at the local desk: {show.program()} ")[2].splitlines()[0]
    code, said, _ = shown(capsys, *shlex.split(desk))
    assert (code, said.partition("\n")[0]) == (1, "2 tickets at the local desk")


def test_a_dry_run_says_what_would_be_and_writes_nothing(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(ran)
    code, out, _ = shown(capsys, "reconcile", "-p", ran, *AS_OF, "--dry-run")
    assert (code, out.splitlines()[0]) == (1, "Dry run: nothing was written.")
    assert ("Worst findings" in out, "Findings: would be 5 open\n" in out, "Tickets:  would leave 2 unchanged\n" in out) == (
        True,
        True,
        True,
    )
    assert [word for word in ("Evidence:", "Report:", "Check it:", "Run ") if word in out] == []
    code, said = document(capsys, "reconcile", "-p", ran, *AS_OF, "--dry-run")
    assert (code, said["dry_run"], said["evidence"], said["statement_digest"], said["repeated"]) == (1, True, None, None, False)
    assert (said["findings"]["open"], said["tickets"]["unchanged"], said["tickets"]["created"]) == (5, 2, 0)
    assert before == tree(ran)
    assert document(capsys, "reconcile", "-p", ran, "--dry-run", "--prefect")[0] == 2


def test_tickets_are_listed_and_shown_whole(copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, rows = document(capsys, "tickets", "-p", copied)
    assert (code, [(row["id"], row["state"], row["severity"], row["control"], row["partner"]) for row in rows]) == (
        1, [("local:1", "open", "high", "named-owner", None), ("local:2", "open", "high", "rotation-age", None)],
    )  # fmt: skip
    with State(load(copied).state) as state:
        LocalDesk(state.engine, lambda: NOW, actor=HOSTILE).transition("local:1", "closed")
    assert [row["id"] for row in document(capsys, "tickets", "-p", copied)[1]] == ["local:2", "local:1"]
    assert (document(capsys, "tickets", "-p", copied, "--state", "closed")[0], shown(capsys, "tickets", "local:1", "-p", copied)[0]) == (
        0,
        0,
    )
    for columns in ("80", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        _, out, _ = shown(capsys, "tickets", "-p", copied)
        assert (
            "local:2" in out,
            "[high] rotation-age: Credential is past its rotation date: 2 findings, no-partner" in " ".join(out.split()),
        ) == (True, True)
    code, out, _ = shown(capsys, "tickets", "local:2", "-p", copied)
    assert (code, inert(HOSTILE) in out, "\x1b" in out, "\u202e" in out) == (1, True, False, False)
    assert ("How to fix it:" in out, "countersign created" in out) == (True, True)
    _, whole = document(capsys, "tickets", "local:1", "-p", copied)
    assert (whole["body"].splitlines()[0], [entry["what"] for entry in whole["history"]]) == (
        "Nobody at the customer answers for this identity. An identity without an accountable person is rotated, reviewed and revoked by nobody.",
        ["created", "closed"],
    )
    assert whole["history"][1] == {"at": "2026-11-22T02:15:00Z", "actor": HOSTILE, "what": "closed", "text": ""}


def test_the_difference_of_two_nights_is_told_from_the_evidence_alone(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(copied, {"old": 5, "fine": 10, HOSTILE: 300})
    assert shown(capsys, "reconcile", "-p", copied, "--as-of", "2026-11-23T02:15:00Z")[0] == 1
    for file in copied.glob("state.db*"):
        file.unlink()
    code, said = document(capsys, "runs", "diff", "-p", copied, "--kind", "credentials")
    assert (code, said["counts"], said["before"]["verified"], said["after"]["evidence"][-8:]) == (
        1, {"credentials": {"gone": 1, "new": 1}}, True, "00000002",
    )  # fmt: skip
    assert [(row["what"], row["name"], row["source"]["call"]) for row in said["changes"]] == [
        ("gone", "old", "file:report.csv"), ("new", "old", "file:report.csv"),
    ]  # fmt: skip
    assert document(capsys, "runs", "diff", "00000002", "latest", "-p", copied)[1]["changes"] == []
    (copied / "exports" / "report.csv").write_text(f"{COLUMNS}\ncut", encoding="utf-8")
    assert shown(capsys, "reconcile", "-p", copied, "--as-of", "2026-11-24T02:15:00Z")[0] in (3, 4)
    for columns in ("80", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, _ = shown(capsys, "runs", "diff", "00000001", "00000002", "-p", copied)
        assert (code, "rotation-age  old (access-key, aws 111111111111)" in out, "because: credential old is gone" in out) == (
            1,
            True,
            True,
        )
        code, out, _ = shown(capsys, "runs", "diff", "-p", copied)
        assert (code, "not looked at by one of the two" in out, "\x1b" in out, "\u202e" in out) == (3, True, False, False)


@pytest.mark.parametrize(
    "wrong", [["diff", "never", "latest"], ["diff"], ["diff", "--partner", "nobody"], ["--json", "diff"], ["diff", "--kind", "people"]]
)
def test_runs_that_cannot_be_compared_are_refused(ran: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = document(capsys, "runs", *wrong, "-p", ran)
    assert (code, said["fix"] is not None) == (2, True)


def test_what_is_unknown_is_listed_with_its_reasons_and_shares(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = document(capsys, "unknowns", "-p", ran)
    assert (code, rows == sorted(rows, key=lambda row: (row["unit"] != "scope", -row["count"]))) == (1, True)
    assert {
        "control": "over-privileged",
        "reason": "not in this export",
        "unit": "subject",
        "provider": "aws",
        "scope": ACCOUNT,
        "count": 3,
    } in rows
    code, out, _ = shown(capsys, "unknowns", "-p", ran, "--control", "over-privileged")
    assert (code, out.splitlines()[0].startswith("Unknown: 100% of 3 verdicts of over-privileged in run ")) == (1, True)
    assert document(capsys, "unknowns", "-p", ran, "--control", "rotation-age") == (0, [])
    _, out, _ = shown(capsys, "findings", "-p", ran, "--control", "rotation-age")
    assert out.splitlines()[-1] == "rotation-age: 33.3% of 3 known pass; 0% unknown"
    (run,) = document(capsys, "runs", "-p", ran)[1]
    results = json.loads((ran / "evidence" / "00000001" / "results.json").read_text(encoding="utf-8"))
    unknown, population = (sum(control[name] for control in results["controls"]) for name in ("unknown", "population"))
    assert (run["unknown_share"], sum(row["count"] for row in rows)) == (unknown / population, unknown)
    by_id = {control["id"]: (control["passed_share"], control["unknown_share"]) for control in results["controls"]}
    assert (by_id["rotation-age"], by_id["over-privileged"], by_id["contract-ended"]) == ((1 / 3, 0), (None, 1), (None, None))


@pytest.mark.parametrize(
    "wrong", [["local:99"], [HOSTILE], ["local:99999999999999999999"], ["--partner", "nobody"], ["local:1", "--state", "open"]]
)
def test_tickets_that_do_not_exist_are_refused(ran: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = document(capsys, "tickets", "-p", ran, *wrong)
    assert (code, said["fix"] is not None) == (2, True)


@pytest.mark.parametrize(
    ("command", "path", "expected"),
    [
        (["countersign"], f"{BIN}:{os.defpath}", "countersign"),
        ([f"{BIN}/countersign"], os.defpath, f"{BIN}/countersign"),
        (["python", "-m", "countersign"], os.defpath, f"{BIN}/python -m countersign"),
    ],
)
def test_what_is_suggested_works_when_it_is_copied(command: list[str], path: str, expected: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(countersign.app_dir())}
    first = [str(BIN / command[0]), *command[1:], "init", "north wind"]
    done = subprocess.run(first, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    (suggested,) = (line.strip() for line in done.stdout.splitlines() if "register check" in line)
    assert suggested == f"{expected} register check -p 'north wind'"
    done = subprocess.run(["sh", "-c", suggested], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_scope_that_cannot_be_read_makes_the_run_partial(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "exports" / "broken.json").write_text("{", encoding="utf-8")
    code, result = document(capsys, "reconcile", "-p", copied, *AS_OF)
    assert (code, result["state"]) == (3, "partial")
    code, _, err = shown(capsys, "findings", "-p", copied)
    assert (code, "could not read everything" in err) == (1, True)


def test_hostile_names_do_not_reach_the_terminal(ran: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ("80", "300"):
        monkeypatch.setenv("COLUMNS", columns)
        _, out, _ = shown(capsys, "findings", "-p", ran, "--control", "rotation-age")
        assert (inert(HOSTILE) in out, "\x1b" in out, "\u202e" in out) == (True, False, False)
    code, out, _ = shown(capsys, "findings", "-p", ran, "--json")
    assert (code, out.isascii(), "\x1b" in out) == (1, True, False)


@given(st.text())
def test_no_text_from_outside_commands_the_terminal(text: str) -> None:
    stream = io.StringIO()
    with redirect_stdout(stream):
        show.out(show.text(text), show.table(("name",), [(text,)]))
    assert {char for char in stream.getvalue() if not char.isprintable()} <= {"\n"}
    stream = io.StringIO()
    with redirect_stdout(stream):
        show.document([text])
    assert (stream.getvalue().isascii(), json.loads(stream.getvalue())) == (True, [text])


def test_findings_fit_eighty_columns_and_lose_nothing(
    ran: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = shown(capsys, "findings", "-p", ran, "--control", "rotation-age")
    assert "old (access-key/" in out
    assert "created 2026-05-06, 200 days ago; limit 90 days" in out


def test_filters_narrow_and_unknown_names_are_refused(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "findings", "-p", ran, "--state", "resolved") == (0, [])
    _, out, _ = shown(capsys, "findings", "-p", ran, "--state", "excepted")
    assert out.startswith("No excepted findings in run ")
    for wrong in (["--control", "rotation"], ["--partner", "nobody"], ["--run", "never"]):
        code, said = document(capsys, "findings", "-p", ran, *wrong)
        assert (code, set(said)) == (2, {"error", "fix", "problems"})
        assert wrong[1] in said["error"]


def test_before_the_first_run_nothing_is_claimed_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = programme(tmp_path / "northwind", {"fine": 10})
    before = tree(folder)
    code, said = document(capsys, "findings", "-p", folder)
    assert (code, said["error"]) == (2, "no run has come to verdicts yet")
    assert document(capsys, "runs", "-p", folder) == (0, [])
    assert document(capsys, "tickets", "-p", folder) == (0, [])
    assert before == tree(folder)


def test_findings_of_a_stopped_run_are_those_of_the_run_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = programme(tmp_path / "northwind", {f"old-{number}": 200 for number in range(40)})
    assert shown(capsys, "reconcile", "-p", folder, *AS_OF)[0] == 1
    export(folder, {"fine": 10})
    code, out, _ = shown(capsys, "reconcile", "-p", folder, *AS_OF)
    assert (code, "Stopped:" in out) == (4, True)
    code, out, err = shown(capsys, "findings", "-p", folder, "--control", "rotation-age")
    assert (code, out.split()[0], "stopped by the guard" in err) == (1, "40", True)


@contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """A script's background jobs ignore Ctrl-C, and so would these tests and what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_run_is_on_file(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "countersign", "reconcile", "-p", str(copied), "--json"]
    with heeding_ctrl_c():
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=countersign.app_dir())
    with started:
        assert started.stderr is not None
        while started.stderr.readline() != "judging\n":
            assert started.poll() is None
        started.send_signal(signal.SIGINT)
        out, err = started.communicate()
    assert (started.returncode, "Traceback" in err, json.loads(out)["fix"]) == (130, False, f"countersign runs -p {copied}")
    _, runs = document(capsys, "runs", "-p", copied)
    assert [(run["state"], run["findings"] is None) for run in runs] == [("failed", True), ("complete", False)]


def test_a_reader_that_went_away_changes_nothing_about_the_exit_code(ran: Path) -> None:
    command = [sys.executable, "-m", "countersign", "findings", "-p", str(ran), "--json"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=countersign.app_dir())
    with started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        err = started.stderr.read()
    assert (started.returncode, err) == (1, "")


def test_verify_says_what_was_changed(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = copied / "keys" / "evidence.pub.pem"
    code, said = document(capsys, "verify", copied / "evidence", "--key", key)
    assert (code, said["ok"], said["problems"]) == (0, True, [])
    results = copied / "evidence" / "00000001" / "results.json"
    results.chmod(0o600)
    results.write_bytes(results.read_bytes() + b" ")
    code, said = document(capsys, "verify", "evidence", "--key", "keys/evidence.pub.pem", "-p", copied)
    assert (code, said["ok"], [problem["file"] for problem in said["problems"]]) == (1, False, ["00000001/results.json"])


def test_doctor_looks_at_everything_and_changes_nothing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(copied)
    code, said = document(capsys, "doctor", "-p", copied)
    assert (code, said["ok"], {check["source"] for check in said["checks"]}) == (0, True, {"programme", "exports"})
    assert before == tree(copied)
    (copied / "keys" / "evidence.pem").chmod(0o644)
    (copied / "exports" / "report.csv").unlink()
    code, said = document(capsys, "doctor", "-p", copied)
    assert (code, [check["scope"] for check in said["checks"] if not check["ok"]]) == (1, ["evidence key", "exports"])


def test_register_check_names_file_and_line(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "register", "check", "-p", copied)[0] == 0
    workload = copied / "register" / "workloads" / "nightly-backup.yaml"
    workload.write_text(workload.read_text(encoding="utf-8").replace("owner: business-owner", "owner: nobody", 1), encoding="utf-8")
    code, said = document(capsys, "register", "check", "-p", copied)
    assert code == 1
    assert {(problem["file"], problem["line"], problem["field"]) for problem in said["problems"]} == {
        ("register/workloads/nightly-backup.yaml", 4, "owner")
    }
    workload.write_text("workload: [\n", encoding="utf-8")
    code, out, _ = shown(capsys, "register", "check", "-p", copied)
    assert (code, out.startswith("register/workloads/nightly-backup.yaml:")) == (1, True)
    assert set(document(capsys, "register", "schema")[1]) >= {"customer.yaml", "workloads/*.yaml"}


def test_a_folder_without_a_programme_is_a_usage_error(tmp_path: Path) -> None:
    done = program("reconcile", "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert (done.returncode, {problem["message"] for problem in said["problems"]} >= {"is missing"}) == (2, True)
    assert ("countersign init" in done.stderr, "Traceback" in done.stderr) == (True, False)


@pytest.mark.parametrize("arguments", [["bogus"], ["verify"], ["reconcile", "--nope"], ["reconcile", "--as-of", "yesterday"]])
def test_a_command_line_that_makes_no_sense_ends_with_2_and_a_document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = document(capsys, *arguments)
    assert (code, set(said)) == (2, {"error", "fix", "problems"})


def test_what_nobody_expected_is_a_sentence_and_a_file(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = copied / "evidence" / "00000001" / "findings.parquet"
    findings.chmod(0o600)
    findings.write_bytes(b"not parquet")
    code, out, err = shown(capsys, "findings", "-p", copied)
    file = Path(err.partition("The details are in ")[2].splitlines()[0])
    try:
        assert (code, out, "Traceback" in err) == (4, "", False)
        assert "Traceback" in file.read_text(encoding="utf-8")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        file.unlink()


def test_init_and_keygen_overwrite_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a folder"
    code, said = document(capsys, "init", folder, "--customer", "northwind")
    assert (code, said["programme"], str(folder / "countersign.yaml") in said["files"]) == (0, str(folder), True)
    assert shown(capsys, "init", folder)[0] == 2
    code, said = document(capsys, "keygen", "second.pem", "-p", folder)
    assert (code, said["public"], stat.S_IMODE((folder / "second.pem").stat().st_mode)) == (0, str(folder / "second.pub.pem"), 0o600)
    assert shown(capsys, "keygen", "second.pem", "-p", folder)[0] == 4


def test_the_package_gives_its_parts_when_asked() -> None:
    code = "import countersign, sys; first = 'pydantic' in sys.modules; countersign.reconcile, countersign.Identity; print(first, countersign.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=countersign.app_dir())
    assert done.stdout == f"False {countersign.__version__}\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = countersign.nothing
    assert (countersign.app_dir() / "connectors").is_dir()


def test_the_demo_shows_a_partial_night_and_leaves_nothing_running(tmp_path: Path) -> None:
    of_the_person = {
        "PREFECT_API_URL": "http://127.0.0.1:9/api", "VAULT_TOKEN": "not-this-one", "AZURE_CLIENT_ID": "not-this-one",
        "GOOGLE_APPLICATION_CREDENTIALS": "/not/this/one", "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    }  # fmt: skip
    done = program("demo", "--keep", "northwind", cwd=tmp_path, env=of_the_person)
    assert done.returncode == 0, done.stderr
    assert {"State: partial, some of it could not be read: what is not seen is neither passed nor closed."} <= set(done.stdout.splitlines())
    assert ("Traceback" in done.stderr, "prefect." in done.stderr, "great_expectations" in done.stderr) == (False, False, False)
    tries = [line for line in done.stdout.splitlines() if re.match(r"  \S", line) and " northwind" in line and " open " not in line]
    env = {**os.environ, "PYTHONPATH": str(countersign.app_dir())}
    codes = [subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, check=False).returncode for line in tries]
    assert codes == [1, 1, 1, 1, 0, 3, 1]
    sources = yaml.safe_load((tmp_path / "northwind" / "countersign.yaml").read_text(encoding="utf-8"))["sources"]
    addresses = [source[name] for source in sources for name in ("endpoint", "address", "graph", "rest") if name in source]
    assert len(addresses) == 5
    for address in addresses:
        with socket.socket() as door:
            assert door.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0
    assert program("demo", "--keep", "northwind", cwd=tmp_path).returncode == 2
