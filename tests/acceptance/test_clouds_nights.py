"""Nights on four clouds that their makers know nothing of: every finding right, none invented, none missed, whatever is refused in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from threading import Event
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import clouds_misspelt
import clouds_programme
import duckdb
import pytest
import zstandard
from azure.identity import ClientSecretCredential
from clouds_entra import FLEET_APPS, FLEET_SIZE, HOSTILE
from clouds_estate import CLIENT, CLIENT_SECRET, Halden, gcp_contract
from clouds_programme import ALPHA, DARK, FLEET, MANAGEMENT, ORGANIZATION, PROJECTS, REFUSING, SUBSIDIARY, SUSPENDED, TENANT

from connectors.vault import policy_hcl
from countersign import findings_file
from countersign.evidence.verify import verify
from countersign.expectation import expectations
from countersign.facts import opened
from countersign.programme import load
from countersign.reconciliation import Reconciliation, read_all, reconcile
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.results import RunResult
    from sandbox.graph.wire import Answer, Asked

ROOT = Path(__file__).parents[2]
Subject = tuple[str, str]


@pytest.fixture(scope="module")
def halden() -> Iterator[Halden]:
    with Halden(datetime.now(UTC).replace(microsecond=0)) as estate, pytest.MonkeyPatch.context() as environment:
        for name, value in estate.environment.items():
            environment.setenv(name, value)
        yield estate


@pytest.fixture(scope="module")
def folder(halden: Halden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clouds_programme.write(tmp_path_factory.mktemp("halden") / "programme", halden.notes, halden.addresses)


def night(halden: Halden, folder: Path, minutes: int, **limits: Any) -> RunResult:
    result = reconcile(load(folder), halden.notes.now + timedelta(minutes=minutes), **limits)
    assert result.guard is None
    return result


def rows(result: RunResult) -> dict[Subject, dict[str, Any]]:
    return {(row["control"], row["subject"]): row for row in findings_file.read(result.evidence / findings_file.NAME)}


def standing(folder: Path) -> set[Subject]:
    with State(load(folder).state) as state:
        return {(one.finding.control, one.finding.subject) for one in state.findings() if one.finding.state != "resolved"}


def desk(folder: Path) -> dict[str, tuple[str, str | None]]:
    with State(load(folder).state) as state:
        return {row.key: (row.state, row.ticket) for row in state.tickets("local")}


def inventory(result: RunResult, query: str, *values: str) -> list[tuple[Any, ...]]:
    """Ask a question of the inventory that lies in the evidence of a run; `{x}` is its table x."""
    tables = {file.stem: f"read_parquet('{file}')" for file in (result.evidence / "inventory").glob("*.parquet")}
    with duckdb.connect() as db:
        return db.execute(query.format(**tables), values).fetchall()


class First:
    """The first night, with what nobody is told one by one: whose verdicts are unknown, and how partners were recognised."""

    def __init__(self, halden: Halden, folder: Path) -> None:
        with Reconciliation(load(folder), as_of=halden.notes.now) as run:
            judged = run.judge(read_all(run))
            with opened(judged.database) as db:
                self.unclear = {
                    (one.id, str(subject))
                    for one in expectations()
                    for (subject,) in db.execute(
                        f'SELECT subject FROM facts WHERE list_contains(?, subject_kind) AND ("{one.population}" IS NULL'  # noqa: S608 -- our own records
                        f' OR ("{one.population}" AND "{one.holds.column}" IS NULL))',
                        [list(one.subjects)],
                    ).fetchall()
                }
                found = db.execute(
                    "SELECT subject, partner, partner_how FROM facts WHERE subject_kind = 'identity' AND partner IS NOT NULL"
                )
                self.partners = {subject: (partner, how) for subject, partner, how in found.fetchall()}
            planned = run.plan(judged)
            self.result = run.record(judged, planned, run.act(planned))
        self.rows = rows(self.result)


# The tests below are one story in the order of the file: each night follows the one before.


@pytest.fixture(scope="module")
def first(halden: Halden, folder: Path) -> First:
    fleet = halden.clouds.graph_fleet
    fleet.throttle(6, retry_after=1)
    fleet.throttle(7, prefix="/v1.0/servicePrincipals", retry_after=None)
    fleet.throttle(8, retry_after=None, items=True)
    found = First(halden, folder)
    fleet.heal()
    return found


def test_every_finding_is_right_none_is_invented_and_none_missed(halden: Halden, first: First) -> None:
    wanted = halden.notes.wanted
    assert (set(), set()) == (wanted.keys() - first.rows.keys(), first.rows.keys() - wanted.keys())
    assert {"open"} == {row["state"] for row in first.rows.values()}


def test_each_is_laid_to_its_partner_and_to_the_person_who_answers_for_it(halden: Halden, first: First) -> None:
    said = {found: (row["partner"], row["accountable"]) for found, row in first.rows.items()}
    assert {found: halden.notes.expected(*found) for found in halden.notes.wanted} == said
    assert first.result.tickets["created"] > 0
    assert 0 == first.result.tickets["failed"]


def test_partners_are_recognised_by_the_evidence_that_is_there(halden: Halden, first: First) -> None:
    expected = {uid: partner for uid, (partner, _) in halden.notes.partners.items()}
    assert expected == {uid: partner for uid, (partner, _) in first.partners.items()}
    assert {} == {uid: (by, first.partners[uid][1]) for uid, (_, by) in halden.notes.partners.items() if by not in first.partners[uid][1]}


def test_what_cannot_be_known_is_unknown_and_nothing_else_is(halden: Halden, first: First) -> None:
    assert (set(), set()) == (halden.notes.unclear - first.unclear, first.unclear - halden.notes.unclear)


def test_the_run_is_partial_and_names_what_is_missing(first: First) -> None:
    assert ("partial", 3) == (first.result.state, first.result.exit_code)
    missing = inventory(first.result, "SELECT DISTINCT scope, operation, state FROM {coverage} WHERE state <> 'complete'")
    assert {
        (REFUSING, "sts:AssumeRole", "denied"),
        (SUBSIDIARY, "GET /oauth2PermissionGrants", "denied"),
        (DARK, DARK, "denied"),
    } == set(missing)
    scopes: list[dict[str, Any]] = [scope for source in first.result.sources for scope in source["scopes"]]  # type: ignore[attr-defined]
    assert {REFUSING: "denied", SUBSIDIARY: "partial", DARK: "denied"} == {
        scope["scope"]: scope["state"] for scope in scopes if scope["state"] != "complete"
    }
    reasons = {scope["scope"]: scope["reason"] for scope in scopes if scope["reason"]}
    assert {REFUSING, SUBSIDIARY, DARK} == reasons.keys()
    for scope, call in ((REFUSING, "sts:AssumeRole"), (SUBSIDIARY, "GET /oauth2PermissionGrants"), (DARK, "iam.serviceAccounts.list")):
        assert call in reasons[scope]
    assert SUSPENDED not in {scope["scope"] for scope in scopes}
    controls: dict[str, Any] = {str(control["id"]): control for control in first.result.controls}
    assert {record.id for record in expectations()} == controls.keys()
    looked_at = {record.id for record in expectations() if {"identity", "credential"} & set(record.subjects)}
    for name, control in controls.items():
        assert control["population"] == sum(control[part] for part in ("passed", "failed", "excepted", "unknown")), name
        if name in looked_at:  # the others judge scopes one by one, the register, and the ledger
            unread = " ".join(why["reason"] for why in control["unknown_reasons"] if why["unit"] == "scope")
            assert (True, True) == (REFUSING in unread, DARK in unread), name


def test_twelve_hundred_are_read_once_each_with_429s_in_between(halden: Halden, first: First) -> None:
    asked = halden.clouds.graph_fleet.requests
    assert {429} < {request.status for request in asked}
    assert any(request.in_batch for request in asked if request.status == 429)
    read = inventory(first.result, "SELECT kind, count(*), count(DISTINCT uid) FROM {identities} WHERE scope = ? GROUP BY kind", FLEET)
    everyone = FLEET_SIZE + FLEET_APPS + 1  # Microsoft Graph is there as well
    assert {("service-principal", everyone, everyone), ("application", FLEET_APPS, FLEET_APPS)} == set(read)
    held = inventory(first.result, "SELECT count(*), count(DISTINCT uid) FROM {credentials} WHERE scope = ?", FLEET)
    assert [(FLEET_SIZE + FLEET_APPS,) * 2] == held


def test_who_made_an_identity_is_on_file(halden: Halden, first: First) -> None:
    made = dict(inventory(first.result, "SELECT uid, created_by FROM {identities} WHERE created_by IS NOT NULL"))
    assert halden.notes.creators == {uid: made.get(uid) for uid in halden.notes.creators}


def test_use_of_a_vault_role_is_known_from_the_audit_log(halden: Halden, first: First) -> None:
    known = inventory(first.result, "SELECT uid FROM {identities} WHERE last_active_state = 'known' AND kind = 'approle'")
    assert {(uid,) for uid in halden.safe.used} == set(known)
    leases = inventory(first.result, "SELECT split_part(identity_uid, '/', 1) FROM {credentials} WHERE kind = 'lease'")
    assert [("vault:safe:token",)] == leases  # the root token's, by the audit log


def test_hostile_names_do_no_harm_and_no_secret_is_left_behind(halden: Halden, folder: Path, first: First) -> None:
    assert set(HOSTILE[:3]) < {row["identity_name"] for row in first.rows.values()}
    assert HOSTILE[0] not in (first.result.evidence / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in (first.result.evidence / "report.html").read_text(encoding="utf-8")
    secrets = (CLIENT_SECRET, halden.token, halden.clouds.vault.root_token, "canary-halden")
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.suffix == ".zst":
                data = zstandard.ZstdDecompressor().stream_reader(data).read()
            assert [] == [secret for secret in secrets if secret.encode() in data], file


def test_the_second_night_changes_nothing(halden: Halden, folder: Path, first: First) -> None:
    before, tickets = standing(folder), desk(folder)
    second = night(halden, folder, 1)
    assert (first.result.findings["open"], 0, 0, 0) == tuple(second.findings[name] for name in ("open", "new", "resolved", "reopened"))
    assert {"unchanged"} == {name for name, count in second.tickets.items() if count}
    assert (before, tickets) == (standing(folder), desk(folder))


GOOGLE_DENIALS = (
    ("halden-data", "cloudasset.assets.searchAllIamPolicies"),
    (f"organizations/{ORGANIZATION}", "cloudasset.assets.searchAllIamPolicies"),  # where halden-core's strongest role is given
    ("halden-core", "iam.serviceAccountKeys.list"),
    ("halden-core", "cloudasset.assets.listResource"),
)
AWS_DENIALS = ((ALPHA, "iam:GetAccountAuthorizationDetails"), (ALPHA, "rolesanywhere:ListSubjects"))
HALF_READ = {
    ("source-unobserved", place)
    for place in (
        f"aws:{ALPHA}:source/nimbus",
        f"azure:{TENANT}:source/entra",
        f"azure:{FLEET}:source/entra-fleet",
        "gcp:halden-core:source/google",
        "gcp:halden-data:source/google",
        f"gcp:organizations/{ORGANIZATION}:source/google",
        "vault:safe:source/safe",
    )
}


@pytest.mark.usefixtures("first")
def test_denials_close_nothing_and_are_named(halden: Halden, folder: Path) -> None:
    clouds, before, tickets = halden.clouds, standing(folder), desk(folder)
    for account, operation in AWS_DENIALS:
        clouds.aws.deny(account, operation)
    for scope, permission in GOOGLE_DENIALS:
        clouds.gcp.deny(scope, permission)
    clouds.graph.deny("/v1.0/servicePrincipals")
    clouds.graph.deny("/v1.0/applications/*/federatedIdentityCredentials")
    clouds.graph.deny("/v1.0/policies/crossTenantAccessPolicy/partners/*/serviceProviderConstraints")
    clouds.graph_fleet.break_answer("/v1.0/servicePrincipals", "next-itself")
    clouds.vault.policy("countersign-reader", policy_hcl().replace('path "auth/+/role/"', 'path "auth/+/roles-of-nobody/"'))
    third = night(halden, folder, 2)
    assert before | HALF_READ == standing(folder)
    assert (len(HALF_READ), 0, 0) == tuple(third.findings[name] for name in ("new", "resolved", "reopened"))
    assert tickets.items() <= desk(folder).items()
    assert 0 == third.tickets["closed"]


@pytest.mark.usefixtures("first")
def test_healed_it_is_as_before(halden: Halden, folder: Path) -> None:
    clouds = halden.clouds
    for account, operation in AWS_DENIALS:
        clouds.aws.allow(account, operation)
    for scope, permission in GOOGLE_DENIALS:
        clouds.gcp.allow(scope, permission)
    clouds.graph.heal()
    clouds.graph_fleet.heal()
    clouds.vault.policy("countersign-reader", policy_hcl())
    fourth = night(halden, folder, 3)
    assert halden.notes.wanted.keys() == standing(folder)
    assert (0, len(HALF_READ), 0) == tuple(fourth.findings[name] for name in ("new", "resolved", "reopened"))


@pytest.mark.usefixtures("first")
def test_answers_that_make_no_sense_close_and_invent_nothing(halden: Halden, folder: Path) -> None:
    graph, google = halden.clouds.graph, halden.clouds.gcp
    graph.break_answer("/v1.0/applications/*/federatedIdentityCredentials", "wrong-types")
    graph.break_answer("/v1.0/groups/*/members", "wrong-types")
    google.break_answer("missing-id", "cloudasset.assets.list")
    before = standing(folder)
    result = night(halden, folder, 4)
    graph.heal()
    google.heal()
    google.deny(DARK)
    assert {("source-unobserved", f"azure:{TENANT}:source/entra"), ("source-unobserved", "gcp:halden-core:source/google")} == standing(
        folder
    ) - before
    assert (0, 0, 2) == tuple(result.findings[name] for name in ("new", "resolved", "reopened"))


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(("provider", "minutes"), [("aws", 5), ("gcp", 6)])
def test_an_organisation_that_may_not_be_listed_closes_and_invents_nothing(
    halden: Halden, folder: Path, provider: str, minutes: int
) -> None:
    aws, google = (MANAGEMENT, "organizations:ListAccounts"), (f"organizations/{ORGANIZATION}", "cloudasset.assets.searchAllResources")
    halden.clouds.aws.deny(*aws) if provider == "aws" else halden.clouds.gcp.deny(*google)
    result = night(halden, folder, minutes)
    halden.clouds.aws.allow(*aws) if provider == "aws" else halden.clouds.gcp.allow(*google)
    news = {found for found, row in rows(result).items() if row["event"] == "new"}
    assert {
        ("source-unobserved", "aws:nimbus:source/nimbus") if provider == "aws" else ("source-unobserved", "gcp:google:source/google")
    } == news
    assert halden.notes.wanted.keys() | news == standing(folder)


@pytest.mark.usefixtures("first")
def test_a_run_of_one_source_invents_nothing_of_the_others(halden: Halden, folder: Path) -> None:
    result = night(halden, folder, 7, only=["google"])
    assert (0, 1, 0) == tuple(result.findings[name] for name in ("new", "resolved", "reopened"))
    assert halden.notes.wanted.keys() == standing(folder)


@pytest.mark.usefixtures("first")
def test_nothing_that_is_asked_breaks_a_contract(halden: Halden) -> None:
    clouds = halden.clouds
    for graph in (clouds.graph, clouds.graph_sub, clouds.graph_fleet):
        assert ([], []) == (graph.broken_requests, graph.broken_answers)
    assert ([], []) == (clouds.gcp.broken_requests, clouds.gcp.broken_answers)
    assert [] == clouds.aws.estate.wrong


@pytest.mark.usefixtures("first")
def test_a_wrong_name_in_any_request_is_refused(halden: Halden) -> None:
    graph, google = halden.clouds.graph, halden.clouds.gcp
    secret = ClientSecretCredential(
        TENANT, CLIENT, CLIENT_SECRET, authority=graph.address, disable_instance_discovery=True, connection_verify=str(graph.ca)
    )
    token = secret.get_token(f"{graph.address}/.default").token
    sent, answered = clouds_misspelt.graph(graph, tuple(graph.requests), token)
    assert (True, []) == (sent > 150, answered)
    sent, let_through = clouds_misspelt.google(google, gcp_contract(), tuple(google.calls))
    assert (True, []) == (sent > 80, let_through)
    for cloud in (graph, google):
        cloud.broken_requests.clear()


def test_all_of_it_is_sealed(folder: Path) -> None:
    report = verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"])
    assert (True, ()) == (report.ok, report.problems)


def test_killed_among_twelve_hundred_it_reads_the_rest_and_comes_to_what_a_twin_comes_to(halden: Halden, tmp_path: Path) -> None:
    clouds, notes = halden.clouds, halden.notes
    calm, shaken = (clouds_programme.write(tmp_path / name, notes, halden.addresses) for name in ("calm", "shaken"))
    as_of = notes.now + timedelta(minutes=30)
    undisturbed = reconcile(load(calm), as_of, slot="night")
    scopes = sum(len(source["scopes"]) for source in undisturbed.sources)  # type: ignore[arg-type,misc]
    unread = 2  # REFUSING and DARK, which nobody reads to an end
    _kill_when_page_two_is_asked_for(halden, shaken, as_of, whole=scopes - unread - 1)
    for graph in (clouds.graph, clouds.graph_sub, clouds.graph_fleet):
        graph.clear()
    clouds.gcp.clear()
    clouds.aws.calls.clear()
    before = clouds.vault.audit_log.stat().st_size
    result = reconcile(load(shaken), as_of, slot="night")
    assert ([], []) == (clouds.graph.requests, clouds.graph_sub.requests)
    assert before == clouds.vault.audit_log.stat().st_size
    assert {MANAGEMENT, REFUSING} == {account for account, _ in clouds.aws.calls}
    assert {"sts:AssumeRole"} == {f"sts:{action.rpartition(':')[2]}" for account, action in clouds.aws.calls if account == REFUSING}
    assert {"GetCallerIdentity", "ListAccounts", "ListAnalyzers"} >= {
        action.rpartition(":")[2] for account, action in clouds.aws.calls if account == MANAGEMENT
    }
    asked = {str(part) for call in clouds.gcp.calls for part in call.parameters.values()}
    assert not [part for part in asked for project in PROJECTS if project != DARK and project in part]
    pages = [request for request in clouds.graph_fleet.requests if request.path == "/v1.0/servicePrincipals" and request.status == 200]
    assert 2 == len(pages)
    assert _told(undisturbed) == _told(result)
    assert {key: state for key, (state, _) in desk(calm).items()} == {key: state for key, (state, _) in desk(shaken).items()}
    assert (undisturbed.findings, undisturbed.tickets) == (result.findings, result.tickets)


def _told(result: RunResult) -> list[tuple[object, ...]]:
    found = [
        tuple(row[name] for name in ("control", "subject", "identity_name", "partner", "accountable", "severity", "state", "reason"))
        for row in rows(result).values()
    ]
    counted = [(source["name"], str(source["state"]), [(s["scope"], s["state"], s["identities"], s["credentials"]) for s in source["scopes"]]) for source in result.sources]  # type: ignore[attr-defined]  # fmt: skip
    return [*sorted(found, key=str), *counted]


def _kill_when_page_two_is_asked_for(halden: Halden, folder: Path, as_of: datetime, *, whole: int) -> None:
    """Start a run, and kill it once it has one page of the fleet, waits for the other, and has read every other scope."""
    held, on = Event(), Event()
    faults = halden.clouds.graph_fleet._faults
    before = faults.before

    def wait(asked: Asked) -> Answer | None:
        if "$skiptoken" in asked.query:
            held.set()
            on.wait(60)
        return before(asked)

    script = dedent(f"""
        from datetime import datetime
        from pathlib import Path
        from countersign.programme import load
        from countersign.reconciliation import reconcile
        reconcile(load(Path({str(folder)!r})), datetime.fromisoformat({as_of.isoformat()!r}), slot="night")
    """)
    command = [sys.executable, "-c", script]
    with patch.object(faults, "before", wait), subprocess.Popen(command, cwd=ROOT, env={**os.environ, **halden.environment}) as run:
        while run.poll() is None and not (held.is_set() and len(list(folder.glob(".work/read/*.json"))) == whole):
            time.sleep(0.005)
        run.kill()
        on.set()
    assert -signal.SIGKILL == run.returncode
