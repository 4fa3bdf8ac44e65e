"""Nights on an estate that its makers know nothing of: every finding right, none invented, none missed, whatever goes wrong in between."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from others_estate import Estate
from others_programme import DARK, MAIN, ORBIT, SIDE

from countersign import findings_file, results
from countersign.evidence.verify import verify
from countersign.expectation import expectations
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.state import State
from sandbox.aws import SandboxAws, trust
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from countersign.results import RunResult

ROOT = Path(__file__).parents[2]
Subject = tuple[str, str]


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    with SandboxAws() as aws, SandboxVault() as vault, pytest.MonkeyPatch.context() as environment:
        seeded = Estate(aws, vault, datetime.now(UTC).replace(microsecond=0))
        seeded.seed()
        for name, value in seeded.environment.items():
            environment.setenv(name, value)
        yield seeded


@pytest.fixture(scope="module")
def folder(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return estate.programme.write(tmp_path_factory.mktemp("kestrel") / "programme")


def night(estate: Estate, folder: Path, minutes: int, **limits: Any) -> RunResult:
    result = reconcile(load(folder), estate.now + timedelta(minutes=minutes), **limits)
    assert result.guard is None
    return result


def rows(result: RunResult) -> list[dict[str, Any]]:
    return list(findings_file.read(result.evidence / findings_file.NAME))


def standing(folder: Path) -> set[Subject]:
    with State(load(folder).state) as state:
        return {(one.finding.control, one.finding.subject) for one in state.findings() if one.finding.state != "resolved"}


def desk(folder: Path) -> dict[str, tuple[str, str | None]]:
    with State(load(folder).state) as state:
        return {row.key: (row.state, row.ticket) for row in state.tickets("local")}


def sound(folder: Path) -> bool:
    report = verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"])
    assert () == report.problems
    return report.ok


# The tests below are one story in the order of the file: each night follows the one before.


@pytest.fixture(scope="module")
def first(estate: Estate, folder: Path) -> RunResult:
    return night(estate, folder, 0)


def test_every_finding_is_right_none_is_invented_and_none_missed(estate: Estate, first: RunResult) -> None:
    found = {(row["control"], row["subject"]): row for row in rows(first)}
    assert (set(), set()) == (estate.wanted - found.keys(), found.keys() - estate.wanted)
    assert estate.excepted == {subject for subject, row in found.items() if row["state"] == "excepted"}


def test_every_finding_has_a_ticket_also_where_the_account_was_read_in_part(folder: Path, first: RunResult) -> None:
    with State(load(folder).state) as state:
        assert [] == [one.finding.subject for one in state.findings() if one.ticket is None]
    assert first.tickets["created"] == len(desk(folder))


def test_what_was_not_read_is_unknown_in_every_control_and_never_a_verdict(estate: Estate, first: RunResult) -> None:
    assert ("partial", 3) == (first.state, first.exit_code)
    controls: dict[str, Any] = {str(control["id"]): control for control in first.controls}
    assert {record.id for record in expectations()} == controls.keys()
    for name, control in controls.items():
        counted = [control[part] for part in ("passed", "failed", "excepted", "unknown")]
        assert control["population"] == sum(counted), name
    # A scope that was not read hides members of every population of what lives there; the register, the ledger and the source itself were read.
    hides = {record.id for record in expectations() if {"identity", "credential"}.intersection(record.subjects)}
    assert hides == {
        name
        for name, control in controls.items()
        if any(DARK in why["reason"] and why["unit"] == "scope" for why in control["unknown_reasons"])
    }
    assert not [row for row in rows(first) if row["scope"] == DARK and row["control"] != "source-unobserved"]
    assert not estate.unclear & {(row["control"], row["subject"]) for row in rows(first)}
    unclear = {
        name: sum(why["count"] for why in control["unknown_reasons"] if why["unit"] == "subject") for name, control in controls.items()
    }
    assert {name: sum(control == name for control, _ in estate.unclear) for name in controls} == unclear


def test_the_most_exact_entry_of_the_register_says_whose_it_is(estate: Estate, first: RunResult) -> None:
    said = {(row["control"], row["identity_name"]): (row["partner"], row["accountable"]) for row in rows(first)}
    assert ("orbit", "bo") == said["rotation-age", "svc-special"]
    assert ("zephyr", "ana") == said["workload-registered", "orbit-by-name"]
    assert ("orbit", "ana") == said["workload-registered", "robot@orbit.example"]
    assert estate.names["mistral-job"] in {row["identity"] for row in rows(first) if row["control"] == "contract-ended"}
    (twice,) = (
        row["reason"] for row in rows(first) if row["control"] == "attribution-conflict" and row["identity_name"] == "r-partner-both"
    )
    assert f"workload a-services (the customer's own); trusts aws-account {ORBIT} (orbit)" == twice.partition(": ")[2]


def test_the_documents_have_the_shapes_that_are_promised(first: RunResult) -> None:
    document: dict[str, Any] = results.to_json(first)
    assert {
        "run",
        "kind",
        "state",
        "as_of",
        "evidence",
        "statement_digest",
        "sources",
        "controls",
        "findings",
        "tickets",
    } <= document.keys()
    assert {"name", "state", "scopes"} <= document["sources"][0].keys()
    assert {"scope", "state", "identities", "credentials", "reason"} <= document["sources"][0]["scopes"][0].keys()
    assert {"id", "population", "passed", "failed", "excepted", "unknown"} <= document["controls"][0].keys()
    assert {"open", "new", "resolved", "reopened", "unobserved", "excepted"} == document["findings"].keys()
    assert {"created", "updated", "closed", "unchanged"} <= document["tickets"].keys()
    promised = {"fingerprint", "control", "subject", "subject_kind", "identity", "identity_name", "provider", "scope", "partner", "accountable",
                "severity", "state", "since", "due", "reason", "facts", "sources"}  # fmt: skip
    for row in rows(first):
        assert promised <= row.keys()
        assert all({"fact", "call", "at"} == set(source) for source in row["sources"])
        assert None not in (row["accountable"], row["due"], row["scope"])


def test_one_minute_later_the_edges_are_passed_and_nothing_else_has_changed(estate: Estate, folder: Path, first: RunResult) -> None:
    before = standing(folder)
    second = night(estate, folder, 1)
    edges = standing(folder) - before
    names = {estate.names[name] for name in ("svc-edge", "svc-idle-edge", "svc-overlap-edge")}
    assert {("rotation-age", "new"), ("inactive", "new"), ("overlap-too-long", "new")} == {
        (row["control"], row["event"]) for row in rows(second) if (row["control"], row["subject"]) in edges
    }
    assert names == {row["identity"] for row in rows(second) if (row["control"], row["subject"]) in edges}
    assert (3, 0, first.findings["open"] + 3) == (second.findings["new"], second.findings["resolved"], second.findings["open"])
    assert 0 == second.tickets["created"] + second.tickets["closed"]
    estate.wanted |= edges


def test_a_key_in_daily_use_is_no_news(estate: Estate, folder: Path) -> None:
    main = estate.aws.account(MAIN)
    (old,) = (
        subject
        for control, subject in estate.wanted
        if control == "rotation-age" and subject.startswith(f"aws:{MAIN}") and subject in _keys_of(main, "svc-edge-over")
    )
    main.backdate_key(old.rpartition("/")[2], estate.ago(90, 1), last_used=estate.now)
    third = night(estate, folder, 2)
    assert estate.wanted == standing(folder)
    assert {"unchanged"} == {name for name, count in third.tickets.items() if count}


def _keys_of(account: Any, user: str) -> set[str]:
    return {
        f"aws:{account.number}:access-key/{key['AccessKeyId']}" for key in account.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    }


def test_what_is_put_right_is_resolved_and_what_is_renamed_stays_the_same(estate: Estate, folder: Path) -> None:
    main, side = estate.aws.account(MAIN), estate.aws.account(SIDE)
    before = desk(folder)
    mended = {("over-privileged", estate.names["svc-admin"]), ("unconditioned-trust", estate.names["r-anyone"])}
    (stale,) = ((control, key) for control, key in estate.wanted if control == "inactive" and key in _keys_of(main, "svc-slots"))
    mended.add(stale)
    main.iam.update_access_key(UserName="svc-slots", AccessKeyId=stale[1].rpartition("/")[2], Status="Inactive")
    main.iam.detach_user_policy(UserName="svc-admin", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    side.iam.update_assume_role_policy(RoleName="r-anyone", PolicyDocument=str(trust(SIDE)).replace("'", '"'))
    main.iam.update_user(UserName="svc-old-never", NewUserName="svc-renamed")
    fourth = night(estate, folder, 3)
    estate.wanted -= mended
    assert estate.wanted == standing(folder)
    assert (0, 3, 0) == (fourth.findings["new"], fourth.findings["resolved"], fourth.findings["reopened"])
    assert {estate.names["svc-old-never"]} == {row["identity"] for row in rows(fourth) if row["identity_name"] == "svc-renamed"}
    assert 1 == fourth.tickets["closed"]  # the public role was critical and had a ticket of its own
    assert 0 == fourth.tickets["created"]
    assert {ticket for _, ticket in before.values()} == {ticket for _, ticket in desk(folder).values()}


def test_an_account_that_refuses_tonight_closes_nothing_even_where_an_old_export_of_it_lies_about(estate: Estate, folder: Path) -> None:
    before, tickets = standing(folder), desk(folder)
    estate.aws.deny(MAIN, "*")
    fifth = night(estate, folder, 4)
    news = {("source-unobserved", f"aws:{MAIN}:source/cloud")}
    assert before | news == standing(folder)
    assert (1, 0) == (fifth.findings["new"], fifth.findings["resolved"])
    assert {"unobserved"} == {
        row["event"] for row in rows(fifth) if row["subject"].startswith(f"aws:{MAIN}:") and row["control"] != "source-unobserved"
    }
    assert tickets.items() <= desk(folder).items()
    assert 0 == fifth.tickets["closed"]


def test_a_key_that_cannot_be_named_tonight_is_the_finding_it_was(estate: Estate, folder: Path) -> None:
    estate.aws.allow(MAIN, "*")
    before = standing(folder)
    estate.aws.deny(MAIN, "iam:ListAccessKeys")
    shutil.rmtree(folder / ".kept")  # what was answered on earlier nights would name it
    result = night(estate, folder, 5)
    assert (0, 0, 2) == (result.findings["new"], result.findings["resolved"], result.findings["excepted"])
    assert before == standing(folder)
    estate.aws.allow(MAIN, "iam:ListAccessKeys")


def test_a_run_of_one_source_says_nothing_of_the_others(estate: Estate, folder: Path) -> None:
    before, tickets = standing(folder), desk(folder)
    for minutes, name in ((6, "safe"), (7, "paper")):
        result = night(estate, folder, minutes, only=[name])
        assert (0, 0) == (result.findings["new"], result.findings["resolved"])
    assert (before, tickets) == (standing(folder), desk(folder))


def test_once_it_can_be_read_again_only_what_was_dark_is_new(estate: Estate, folder: Path) -> None:
    before = standing(folder)
    for operation in (
        "iam:GetAccountAuthorizationDetails",
        "iam:GenerateCredentialReport",
        "iam:GetCredentialReport",
        "iam:GetAccountSummary",
    ):
        estate.aws.allow(DARK, operation)
    sixth = night(estate, folder, 8)
    dark = {(row["control"], row["identity_name"]) for row in rows(sixth) if row["event"] == "new"}
    assert {
        ("named-owner", "mainframe"),
        ("over-privileged", "mainframe"),
        ("rotation-age", "mainframe"),
        ("inactive", "mainframe"),
    } == dark
    gone = {("source-unobserved", f"aws:{number}:source/cloud") for number in (MAIN, DARK)}
    assert before - gone == standing(folder) - {(row["control"], row["subject"]) for row in rows(sixth) if row["event"] == "new"}
    assert sound(folder)


def test_killed_again_and_again_it_comes_to_what_an_undisturbed_twin_comes_to(estate: Estate, tmp_path: Path) -> None:
    calm, shaken = estate.programme.write(tmp_path / "calm"), estate.programme.write(tmp_path / "shaken")
    night(estate, calm, 9)
    for moment in (
        lambda: any(shaken.glob(".work/cloud/*/identities.jsonl")),
        lambda: _at_desk(shaken) >= 3,
        lambda: _at_desk(shaken) >= 12,
    ):
        _kill_when(moment, estate, shaken)
    night(estate, shaken, 9)
    assert (standing(calm), desk(calm).keys()) == (standing(shaken), desk(shaken).keys())
    assert {"open"} == {state for state, _ in desk(shaken).values()}
    assert _at_desk(calm) == _at_desk(shaken) == len({ticket for _, ticket in desk(shaken).values()})
    assert sound(calm)
    assert sound(shaken)


def _at_desk(folder: Path) -> int:
    if not (folder / "state.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{folder / 'state.db'}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM local_tickets").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def _kill_when(moment: Callable[[], bool], estate: Estate, folder: Path) -> None:
    script = dedent(f"""
        from datetime import datetime
        from pathlib import Path
        from countersign.programme import load
        from countersign.reconciliation import reconcile
        reconcile(load(Path({str(folder)!r})), datetime.fromisoformat({(estate.now + timedelta(minutes=9)).isoformat()!r}))
    """)
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, **estate.environment}) as run:
        while run.poll() is None and not moment():
            time.sleep(0.001)
        run.kill()
    assert -signal.SIGKILL == run.returncode
