"""The programme folder loads with absolute paths, refuses written-out secrets, and says every mistake at once."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from countersign import programme
from countersign.desk_settings import RequestTracker
from countersign.errors import ConfigError, Problem
from countersign.programme import AwsSource, AzureSource, FilesSource, Limits, VaultAuth, VaultSource

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
customer: northwind
state: sqlite:///state.db               # or postgresql+psycopg://…
evidence: {store: evidence/, signer: "file:keys/evidence.pem", retention: P7Y}
sources:
  - {name: aws, provider: aws, accounts: ["444455556666"], regions: [eu-west-2], role: null, external_id: null, endpoint: null}
  - {name: vault, provider: vault, address: "http://127.0.0.1:8200", namespace: null, auth: {method: token}}
  - {name: exports, provider: files, path: exports/}      # AWS credential report CSV, GAAD JSON, az/gcloud JSON lists
desk: {kind: local}                      # local | request_tracker
limits: {max_new_share: 0.5, max_gone_share: 0.3, tickets_per_run: 200}
"""
CUSTOMER = """\
customer: {id: northwind, name: Northwind plc, timezone: Pacific/Auckland}
people: []
policies: {human: {}, machine: {}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "register").mkdir()
    (tmp_path / "register/customer.yaml").write_text(CUSTOMER, encoding="utf-8")
    (tmp_path / "countersign.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "countersign.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "countersign.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        programme.load(folder)
    assert all(problem.message and problem.fix for problem in caught.value.problems)
    return caught.value.problems


def test_the_folder_of_the_design_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)

    loaded = programme.load(folder.relative_to(folder.parent))

    assert (loaded.folder, loaded.customer) == (folder, "northwind")
    assert loaded.state == f"sqlite:///{folder}/state.db"
    assert loaded.evidence.store == folder / "evidence"
    assert loaded.evidence.signer == f"file:{folder}/keys/evidence.pem"
    assert loaded.sources == (
        AwsSource(name="aws", accounts=("444455556666",), regions=("eu-west-2",)),
        VaultSource(name="vault", address="http://127.0.0.1:8200", auth=VaultAuth(method="token")),
        FilesSource(name="exports", path=folder / "exports"),
    )
    assert loaded.limits == Limits()
    assert loaded.digest == f"sha256:{hashlib.sha256(CONFIG.encode()).hexdigest()}"
    assert programme.today_in(loaded.register, datetime(2026, 11, 22, 12, tzinfo=UTC)) == date(2026, 11, 23)


def test_a_tracker_is_named_with_where_its_token_is(folder: Path) -> None:
    change(folder, "kind: local", RT.replace("env:RT", "file:keys/rt.token") + ", ca: ca.pem, name: helpdesk")
    desk = programme.load(folder).desk
    assert desk == RequestTracker(
        url="https://rt.northwind.example/rt",
        queue="Partner access",
        token_from=f"file:{folder / 'keys/rt.token'}",
        ca=str(folder / "ca.pem"),
        name="helpdesk",
    )


def test_what_is_left_out_has_a_default(folder: Path) -> None:
    (folder / "countersign.yaml").write_text(CONFIG[: CONFIG.index("desk:")], encoding="utf-8")
    change(folder, ", auth: {method: token}", "")
    loaded = programme.load(folder)
    assert (loaded.desk.kind, loaded.limits.tickets_per_run) == ("local", 200)
    assert isinstance(loaded.sources[1], VaultSource)
    assert loaded.sources[1].auth == VaultAuth(method="token")


def test_everything_optional_can_be_given(folder: Path) -> None:
    change(folder, "sqlite:///state.db", "postgresql+psycopg://countersign@db.internal:5432/countersign?sslmode=verify-full")
    change(folder, "role: null, external_id: null", 'role: "arn:aws:iam::{account}:role/ops/Inventory", external_id: "0042"')
    change(
        folder, "namespace: null, auth: {method: token}", "namespaces: [team-a], ca: ca.pem, auth: {method: jwt, role: r, jwt_file: jwt}"
    )
    loaded = programme.load(folder)
    assert loaded.state == "postgresql+psycopg://countersign@db.internal:5432/countersign?sslmode=verify-full"
    aws, vault, _ = loaded.sources
    assert isinstance(aws, AwsSource)
    assert isinstance(vault, VaultSource)
    assert (aws.role, aws.external_id) == ("arn:aws:iam::{account}:role/ops/Inventory", "0042")
    assert (vault.namespaces, vault.ca) == (("team-a",), f"{folder}/ca.pem")
    assert vault.auth == VaultAuth(method="jwt", role="r", jwt_file=f"{folder}/jwt")


VAULT = 'provider: vault, address: "http://127.0.0.1:8200", namespace: null, auth: {method: token}'

SECRET = "hunter2-do-not-print"
JIRA = 'kind: jira, deployment: cloud, url: "https://northwind.example", project: SEC, user: bot@northwind.example, token_from: "env:JIRA"'
SNOW = 'kind: servicenow, url: "https://northwind.service-now.com", user: countersign, token_from: "env:SNOW"'
HUB = "kind: github, repository: n/a, token_from: env:T, severities: {critical: a, high: a, medium: a, low: LOW}"
SNOW_SEVERITIES = f'{SNOW}, severities: {{critical: {{impact: "1"}}, high: {{impact: "1"}}, medium: {{impact: "1"}}, low: LOW}}'
RT = 'kind: request_tracker, url: "https://rt.northwind.example/rt", queue: Partner access, token_from: "env:RT"'


def test_azure_resource_manager_is_that_of_graph_s_cloud_and_paths_are_made_absolute(folder: Path) -> None:
    tenant = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
    change(folder, VAULT, f"provider: azure, tenant: {tenant}, ca: ca.pem")
    (azure,) = (source for source in programme.load(folder).sources if isinstance(source, AzureSource))
    assert (azure.resource_manager, azure.ca) == ("https://management.azure.com", f"{folder}/ca.pem")
    change(folder, f"tenant: {tenant}", f'tenant: {tenant}, graph: "https://graph.local"')
    (azure,) = (source for source in programme.load(folder).sources if isinstance(source, AzureSource))
    assert azure.resource_manager is None


SECRETS = [
    # old text, new text, place of the problem, field, what to use instead
    ("auth: {method: token}", f"auth: {{method: token, token: {SECRET}}}", 6, "sources.1.auth.token", "VAULT_TOKEN"),
    ("auth: {method: token}", f"auth: {{method: approle, secret_id: {SECRET}}}", 6, "sources.1.auth.secret_id", "VAULT_SECRET_ID"),
    ("http://127.0.0.1", f"http://root:{SECRET}@127.0.0.1", 6, "sources.1.address", "VAULT_TOKEN"),
    ("http://127.0.0.1", f"http://{SECRET}@127.0.0.1", 6, "sources.1.address", "VAULT_TOKEN"),
    ("endpoint: null", f"secret_access_key: {SECRET}", 5, "sources.0.secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("endpoint: null", f"aws_access_key_id: {SECRET}", 5, "sources.0.aws_access_key_id", "AWS_SECRET_ACCESS_KEY"),
    ("sqlite:///state.db ", f"postgresql+psycopg://me:{SECRET}@db/x ", 2, "state", "PGPASSWORD"),
    ("sqlite:///state.db ", f"postgresql+psycopg://me:a/b#{SECRET}@db/x ", 2, "state", "PGPASSWORD"),
    ("sqlite:///state.db ", f"postgresql+psycopg://me@db/x?password={SECRET} ", 2, "state", "PGPASSWORD"),
    ("kind: local", f"kind: local, api_token: {SECRET}", 8, "desk.api_token", "environment variable"),
]


@pytest.mark.parametrize("case", SECRETS)
def test_a_written_out_secret_is_refused_and_not_repeated(folder: Path, case: tuple[str, str, int, str, str]) -> None:
    old, new, line, field, instead = case
    change(folder, old, new)

    (problem,) = refused(folder)

    assert (problem.rule, str(problem.where), problem.field) == ("literal-secret", f"countersign.yaml:{line}", field)
    assert instead in problem.fix
    assert SECRET not in str(problem)


WRONG = [
    ("customer: northwind", "customer: southwind", 1, "customer", "not the customer of the register", "customer: northwind"),
    ("customer: northwind\n", "", 1, "customer", "missing", "add `customer:`"),
    ("limits:", "limit:", 9, "limit", "not a known key", "did you mean `limits`?"),
    ("max_new_share: 0.5", "max_new_share: 1.5", 9, "limits.max_new_share", "less than or equal to 1", "correct"),
    ("max_new_share: 0.5", "max_new_share: .nan", 9, "limits.max_new_share", "should be a number", "without quotes"),
    ("tickets_per_run: 200", "tickets_per_run: true", 9, "limits.tickets_per_run", "whole number", "without quotes"),
    ("retention: P7Y", "retention: 7", 3, "evidence.retention", "reads it as a number", "quotes"),
    ('"file:keys/evidence.pem"', "keys/evidence.pem", 3, "evidence.signer", "not a signer", "file:keys/evidence.pem"),
    ("sqlite:///state.db ", "sqlite:// ", 2, "state", "not the address of an SQLite file", "sqlite:///state.db"),
    ("sqlite:///state.db ", "postgresql://db/x ", 2, "state", "not a database", "postgresql+psycopg://"),
    ("sqlite:///state.db ", "mysql://db/x ", 2, "state", "not a database", "sqlite:///state.db"),
    ('["444455556666"]', "[444455556666]", 5, "sources.0.accounts.0", "loses leading zeros", "quote it"),
    ('["444455556666"]', '["444455556666", "444455556666"]', 5, "sources.0.accounts", "twice", "once"),
    ('["444455556666"]', "[]", 5, "sources.0.accounts", "is empty", "organization: true"),
    ('accounts: ["444455556666"]', "organization: true", 5, "sources.0.role", "`organization` needs it", "every account"),
    ("role: null", 'role: "arn:aws:iam::111122223333:role/x"', 5, "sources.0.role", "one account only", "{account}"),
    ("role: null", 'role: "{account.__class__}"', 5, "sources.0.role", "not the name of a role", "{account}"),
    ("endpoint: null", 'endpoint: "file:///etc/passwd"', 5, "sources.0.endpoint", "not a web address", "https://"),
    ("endpoint: null", 'endpoint: "http://[::1"', 5, "sources.0.endpoint", "not a web address", "https://"),
    ("name: vault", "name: aws", 6, "sources.1.name", "another source too, on line 5", "own name"),
    ("name: vault", "name: ../vault", 6, "sources.1.name", "not a name for a source", "lower-case"),
    (VAULT, "provider: azure, tenant: northwind.example", 6, "sources.1.tenant", "not a tenant id", "not its domain"),
    (VAULT, "provider: gcp", 6, "sources.1.projects", "is empty", "`organization`"),
    (VAULT, "provider: gcp, projects: [shop]", 6, "sources.1.projects.0", "not a project id", "not its number"),
    (VAULT, "provider: gcp, organization: '1', plaintext: true", 6, "sources.1.plaintext", "`endpoint` of your own", "take it out"),
    ("provider: vault", "provider: valut", 6, "sources.1.provider", "not a provider", "did you mean `vault`?"),
    ("provider: vault", "provider: ldap", 6, "sources.1.provider", "not a provider", "aws, azure, gcp, vault, files"),
    ("provider: vault, ", "", 6, "sources.1.provider", "missing", "aws, azure, gcp, vault, files"),
    ("method: token", "method: userpass", 6, "sources.1.auth.method", "should be 'token'", "'approle'"),
    ("method: token", "method: kubernetes", 6, "sources.1.auth.role", "kubernetes needs it", "role"),
    ("method: token", "method: jwt, role: r", 6, "sources.1.auth.jwt_file", "jwt needs it", "file"),
    ("path: exports/", "paths: exports/, path: exports/", 7, "sources.2.paths", "not a known key", "did you mean `path`?"),
    ("kind: local", f"{SNOW}, closes: '3'", 8, "desk.closes", "`inactive`", "`inactive`"),
    ("kind: local", "kind: file", 8, "desk.folder", "missing", "folder"),
    ("kind: local", f"{SNOW}, table: Incident", 8, "desk.table", "no name of a table", "incident"),
    ("kind: local", "kind: github, repository: northwind, token_from: env:T", 8, "desk.repository", "not the name of", "owner/name"),
    ("kind: local", "kind: gitlab, project: access, token_from: env:T", 8, "desk.project", "not the path", "group/project"),
    ("kind: local", JIRA.replace("SEC", "sec-12"), 8, "desk.project", "not the key", "SEC"),
    ("kind: local", JIRA.replace(", user: bot@northwind.example", ""), 8, "desk.user", "missing", "address"),
    ("kind: local", JIRA.replace("cloud", "data_center"), 8, "desk.user", "for Jira Cloud", "leave it out"),
    ("kind: local", JIRA.replace("https:", "http:"), 8, "desk.url", "in the clear", "https://"),
    ("kind: local", f"{JIRA}, severities: {{critical: A, high: A, medium: A}}", 8, "desk.severities.low", "missing", "add `low:`"),
    ("kind: local", f"{JIRA}, severities: high", 8, "desk.severities", "a group of keys", "key: value"),
    ("kind: local", HUB.replace("LOW", "1"), 8, "desk.severities.low", "reads it as a number", "quotes"),
    ("kind: local", HUB.replace("LOW", "'a,b'"), 8, "desk.severities.low", "no label", "without a comma"),
    ("kind: local", HUB.replace("LOW", "Countersign"), 8, "desk.severities.low", "no label", "bear anyway"),
    ("kind: local", HUB.replace("LOW", "a" * 51), 8, "desk.severities.low", "no label", "at most 50"),
    ("kind: local", SNOW_SEVERITIES.replace("LOW", "{}"), 8, "desk.severities.low", "no column", "impact"),
    ("kind: local", SNOW_SEVERITIES.replace("LOW", "{Impact: a}"), 8, "desk.severities.low.Impact", "no name of a column", "u_severity"),
    ("kind: local", SNOW_SEVERITIES.replace("LOW", "{state: a}"), 8, "desk.severities.low.state", "something else", "how severe"),
    ("kind: local", SNOW_SEVERITIES.replace("LOW", "{urgency: a}"), 8, "desk.severities.low", "the columns that", "the same columns"),
    ("kind: local", "kind: lokal", 8, "desk.kind", "should be 'local'", "'local'"),
    ("{kind: local}", "local", 8, "desk", "not a desk", "kind: local"),
    ("kind: local", RT.replace("https:", "http:"), 8, "desk.url", "in the clear", "https://"),
    ("kind: local", RT.replace(", queue: Partner access", ""), 8, "desk.queue", "missing", "queue"),
    ("kind: local", RT.replace("Partner access", "\"x' OR Queue != 'x\""), 8, "desk.queue", "not the name of a queue", "as RT shows it"),
    ("kind: local", RT.replace("env:RT", SECRET), 8, "desk.token_from", "does not say where", "never the token itself"),
    ("kind: local", f"{RT}, closes: done", 8, "desk.closes", "`inactive`", "`inactive`"),
    ("kind: local", f"{RT}, declines: resolved", 8, "desk.declines", "approves too", "a status each"),
]


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_said_with_line_field_and_fix(folder: Path, case: tuple[str, str, int, str, str, str]) -> None:
    old, new, line, field, message, fix = case
    change(folder, old, new)

    (problem,) = refused(folder)

    assert (str(problem.where), problem.field) == (f"countersign.yaml:{line}", field)
    assert message in problem.message
    assert fix in problem.fix


def test_a_programme_without_sources_is_refused(folder: Path) -> None:
    text = CONFIG[: CONFIG.index("sources:")] + CONFIG[CONFIG.index("desk:") :]
    for sources in ("", "sources: []\n", "sources: {aws: 1}\n", "sources: [aws]\n"):
        (folder / "countersign.yaml").write_text(text + sources, encoding="utf-8")
        (problem,) = refused(folder)
        assert problem.field.startswith("sources")


def test_both_files_are_judged_at_once(folder: Path) -> None:
    change(folder, "state:", "stat:")
    (folder / "register/customer.yaml").write_text(CUSTOMER.replace("people", "poeple"), encoding="utf-8")
    assert [(str(problem.where), problem.field) for problem in refused(folder)] == [
        ("countersign.yaml:1", "state"),
        ("countersign.yaml:2", "stat"),
        ("register/customer.yaml:1", "people"),
        ("register/customer.yaml:2", "poeple"),
    ]


def test_a_folder_that_is_no_programme_says_where_to_begin(tmp_path: Path) -> None:
    config, customer = refused(tmp_path)
    assert (str(config.where), str(customer.where)) == ("countersign.yaml", "register/customer.yaml")
    assert "countersign init" in config.fix


def test_a_pipe_does_not_hang(folder: Path) -> None:
    (folder / "countersign.yaml").unlink()
    os.mkfifo(folder / "countersign.yaml")
    (problem,) = refused(folder)
    assert problem.message == "is not a regular file"


def test_the_settings_of_evidence_have_absolute_paths_and_a_bucket_has_a_copy(folder: Path) -> None:
    loaded = programme.load(folder).evidence
    assert (None, None, None, None) == (loaded.s3, loaded.timestamps, loaded.pseudonyms, loaded.lock)
    more = (
        'lock: GOVERNANCE, region: eu-west-2, timestamps: {url: "http://tsa.example/tsr", ca: keys/ca.pem}, pseudonyms: "file:keys/p.key"'
    )
    change(folder, "store: evidence/", f"store: s3://northwind-evidence/nightly, copy: here/, {more}")
    made = programme.load(folder).evidence
    assert ("s3://northwind-evidence/nightly", folder / "here", "GOVERNANCE") == (made.s3, made.store, made.lock)
    assert made.timestamps is not None
    assert (folder / "keys/ca.pem", timedelta(minutes=15), f"file:{folder}/keys/p.key") == (
        made.timestamps.ca,
        made.timestamps.within,
        made.pseudonyms,
    )
    change(folder, ", copy: here/", "")
    assert folder / "evidence" == programme.load(folder).evidence.store


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("store: evidence/", "store: evidence/, copy: here/", "evidence.copy", "is only for a store in S3"),
        ("store: evidence/", "store: evidence/, lock: GOVERNANCE", "evidence.lock", "is only for a store in S3"),
        ("store: evidence/", 'store: evidence/, s3: "s3://bucket"', "evidence.s3", "is not a known key"),
        ("store: evidence/", "store: s3://Bucket_/x, lock: COMPLIANCE", "evidence.s3", "is not a bucket"),
        ("store: evidence/", "store: s3://bucket/x, copy: [a], lock: COMPLIANCE", "evidence.copy", "is not a folder"),
        ("store: evidence/", "store: s3://bucket/x", "evidence.lock", "is missing, and what it says cannot be taken back"),
        ("store: evidence/", "store: s3://bucket/x, lock: NONE", "evidence.lock", "should be 'GOVERNANCE' or 'COMPLIANCE'"),
        ("retention: P7Y", "retention: 7 years", "evidence.retention", "is not a period"),
        ("retention: P7Y", 'pseudonyms: "hv:key"', "evidence.pseudonyms", "is not a key file"),
        ("retention: P7Y", "timestamps: {url: ftp://tsa, ca: ca.pem}", "evidence.timestamps.url", "is not a web address"),
        ("retention: P7Y", "timestamps: {url: https://tsa.example}", "evidence.timestamps.ca", "is missing"),
    ],
)
def test_settings_of_evidence_that_do_not_fit_are_said(folder: Path, old: str, new: str, field: str, message: str) -> None:
    change(folder, old, new)
    assert [(field, message)] == [(problem.field, problem.message) for problem in refused(folder)]
