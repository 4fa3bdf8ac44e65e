from __future__ import annotations

import base64
import csv
import io
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import files
from countersign.errors import ReadError
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Record, Trust
from countersign.programme import FilesSource
from countersign.reading import ReadRequest, Scope

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TENANT = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
VENDOR = "9b1c2d3e-1111-4222-8333-444455556666"
MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"

T = TypeVar("T")


def exports(path: Path) -> FilesSource:
    return FilesSource(name="exports", provider="files", path=path)


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def put(folder: Path, name: str, content: str | bytes | list[Any] | dict[str, Any], at: datetime = WRITTEN) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else json.dumps(content).encode()
    path.write_bytes(data)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def read(folder: Path) -> list[Record]:
    source = exports(folder)
    return [record for scope in files.scopes(source) for record in files.read(request(source, scope))]


def request(source: FilesSource, scope: Scope) -> ReadRequest:
    return ReadRequest(source=source, scope=scope, run="run-1", now=lambda: NOW)


def of(records: list[Record], kind: type[T]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def only(found: list[T]) -> T:
    assert len(found) == 1, found
    return found[0]


def coverage(records: list[Record]) -> dict[str, tuple[str, str | None]]:
    return {row.operation: (row.state, row.error) for row in of(records, Coverage)}


# --- Entra -----------------------------------------------------------------------------------------------------------


def principal(number: int, name: str = "app", **fields: Any) -> dict[str, Any]:
    return {
        "id": guid(number),
        "appId": guid(number + 1000),
        "displayName": name,
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": TENANT,
        "passwordCredentials": [],
        "keyCredentials": [],
        "tags": [],
        "notes": None,
        "alternativeNames": [],
    } | fields


def application(number: int, name: str = "app", **fields: Any) -> dict[str, Any]:
    return {
        "id": guid(number),
        "appId": guid(number + 1000),
        "displayName": name,
        "signInAudience": "AzureADMyOrg",
        "createdDateTime": "2024-05-01T10:00:00Z",
        "isDisabled": None,
        "passwordCredentials": [],
        "keyCredentials": [],
    } | fields


def secret(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "keyId": guid(number),
        "startDateTime": "2025-01-01T00:00:00Z",
        "endDateTime": "2026-01-01T00:00:00.1234567Z",
        "hint": "abc",
        "displayName": "ci",
        "secretText": None,
    } | fields


def test_an_application_and_its_secrets(tmp_path: Path) -> None:
    put(tmp_path, f"{TENANT}/a.json", [application(1, "billing", passwordCredentials=[secret(7)], tags=["owner:maria"], notes="invoices")])
    records = read(tmp_path)
    app = only(of(records, Identity))
    assert (
        Identity(
            uid=f"azure:{TENANT}:application/{guid(1)}",
            provider="azure",
            scope=TENANT,
            kind="application",
            native_id=guid(1),
            name="billing",
            aliases=(guid(1001),),
            track="machine",
            enabled=True,
            console=False,
            created_at=datetime(2024, 5, 1, 10, tzinfo=UTC),
            use_seen_to=WRITTEN,
            owner_claim="maria",
            purpose="invoices",
            tags={"owner": "maria"},
            observed_at=NOW,
            unknown={
                "last_active_at": "not in this export",
                "grants": "not in this export",
                "trusts": "federated credentials are not in this export",
            },
        )
        == app
    )
    assert Credential(
        uid=f"azure:{TENANT}:client-secret/{guid(7)}",
        identity_uid=app.uid,
        provider="azure",
        scope=TENANT,
        kind="client-secret",
        enabled=True,
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
        expires_at=datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
        use_seen_to=WRITTEN,
        observed_at=NOW,
        unknown={"last_used_at": "not in this export"},
    ) == only(of(records, Credential))


def test_whose_app_a_service_principal_is(tmp_path: Path) -> None:
    rows = [
        principal(1, "ours"),
        principal(2, "vendor's", appOwnerOrganizationId=VENDOR.upper()),
        principal(3, "Microsoft Graph", appOwnerOrganizationId=MICROSOFT),
        principal(4, "job", servicePrincipalType="ManagedIdentity", appOwnerOrganizationId=None, keyCredentials=[secret(9)]),
        principal(5, "off", accountEnabled=False),
    ]
    put(tmp_path, f"{TENANT}/sp.json", rows)
    records = read(tmp_path)
    by_name = {one.name: one for one in of(records, Identity)}
    assert {"Microsoft Graph"} == {name for name, one in by_name.items() if one.provider_managed}
    assert {"off"} == {name for name, one in by_name.items() if not one.enabled}
    trust = only(of(records, Trust))
    assert (by_name["vendor's"].uid, "entra-tenant", VENDOR, "app registration") == (
        trust.identity_uid,
        trust.party_kind,
        trust.party,
        trust.condition,
    )
    assert of(records, Credential) == []
    row = next(row for row in of(records, Coverage) if row.operation.endswith("sp.json"))
    assert dict(row.dropped) == {"credential of a managed identity, which Azure rotates": 1}
    assert row.state == "complete"


def test_a_saml_signing_certificate_counts_once(tmp_path: Path) -> None:
    pair = {"customKeyIdentifier": "QUJD", "type": "AsymmetricX509Cert"}
    keys = [secret(1, usage="Sign", **pair), secret(2, usage="Verify", **pair), secret(3, usage="Verify", customKeyIdentifier="REVG")]
    put(tmp_path, f"{TENANT}/sp.json", [principal(1, keyCredentials=keys, passwordCredentials=[secret(4, **pair)])])
    assert [f"azure:{TENANT}:certificate/{guid(1)}", f"azure:{TENANT}:certificate/{guid(3)}"] == [
        one.uid for one in of(read(tmp_path), Credential)
    ]


def test_a_list_of_exactly_a_hundred_may_have_been_cut(tmp_path: Path) -> None:
    put(tmp_path, f"{TENANT}/sp.json", [principal(number) for number in range(100)])
    state, error = coverage(read(tmp_path))[f"file:{TENANT}/sp.json"]
    assert state == "partial"
    assert error is not None
    assert "--all" in error


def test_the_tenant_is_said_by_az_account_show_or_the_folder_and_never_guessed(tmp_path: Path) -> None:
    put(tmp_path, "one/app.json", [application(1)])
    put(tmp_path, "one/account.json", {"tenantId": TENANT, "homeTenantId": TENANT, "environmentName": "AzureCloud", "id": guid(5)})
    put(tmp_path, f"two/{VENDOR.upper()}/app.json", {"value": [application(2)]})
    put(tmp_path, "three/app.json", [application(3)])
    records = read(tmp_path)
    assert {TENANT, VENDOR} == {one.scope for one in of(records, Identity)}
    refused = only([row for row in of(records, Coverage) if row.state == "failed"])
    assert (refused.provider, refused.scope, refused.operation) == ("files", "exports", "file:three/app.json")
    assert refused.error is not None
    assert "az account show" in refused.error


# --- Google ----------------------------------------------------------------------------------------------------------


def account(unique: str, email: str, project: str = "shop", **fields: Any) -> dict[str, Any]:
    return {"name": f"projects/{project}/serviceAccounts/{email}", "email": email, "uniqueId": unique, "projectId": project} | fields


def key(name: str, email: str, project: str = "shop", **fields: Any) -> dict[str, Any]:
    return {
        "name": f"projects/{project}/serviceAccounts/{email}/keys/{name}",
        "keyType": "USER_MANAGED",
        "validAfterTime": "2025-02-03T04:05:06Z",
        "validBeforeTime": "9999-12-31T23:59:59Z",
    } | fields


def test_service_accounts_and_their_keys(tmp_path: Path) -> None:
    email = "deploy@shop.iam.gserviceaccount.com"
    put(tmp_path, "sa.json", [account("111", email, description="owner=maria; purpose=deploys the shop")])
    system = key("s1", email, keyType="SYSTEM_MANAGED")
    ends = key("k2", email, validBeforeTime="2026-12-01T00:00:00Z", disabled=True)
    put(tmp_path, "keys.json", [system, key("k1", email), ends])
    records = read(tmp_path)
    deploy = only(of(records, Identity))
    assert ("gcp:shop:service-account/111", email, True, "maria", "deploys the shop") == (
        deploy.uid,
        deploy.name,
        deploy.enabled,
        deploy.owner_claim,
        deploy.purpose,
    )
    first, second = of(records, Credential)
    assert ("gcp:shop:service-account-key/k1", deploy.uid, True, None, True) == (
        first.uid,
        first.identity_uid,
        first.enabled,
        first.expires_at,
        first.never_expires,
    )
    assert (False, datetime(2026, 12, 1, tzinfo=UTC), False) == (second.enabled, second.expires_at, second.never_expires)
    assert {"complete"} == {row.state for row in of(records, Coverage)}
    listed = next(row for row in of(records, Coverage) if row.operation == "file:keys.json")
    assert dict(listed.dropped) == {"SYSTEM_MANAGED key, which Google rotates": 1}


def test_an_account_without_a_key_list_and_a_key_without_an_account_are_said(tmp_path: Path) -> None:
    put(tmp_path, "sa.json", [account("111", "a@shop.iam.gserviceaccount.com")])
    put(tmp_path, "keys.json", [key("k1", "gone@shop.iam.gserviceaccount.com")])
    records = read(tmp_path)
    stranger = next(one for one in of(records, Identity) if one.name.startswith("gone"))
    assert None is stranger.enabled
    assert "enabled" in stranger.unknown
    assert stranger.uid == only(of(records, Credential)).identity_uid
    state, error = coverage(records)["gcloud iam service-accounts keys list"]
    assert state == "partial"
    assert error is not None
    assert "no key list for 1 of 1" in error


def test_one_list_of_two_projects_gives_two_scopes(tmp_path: Path) -> None:
    put(tmp_path, "sa.json", [account("1", "a@x.example", "shop"), account("2", "b@x.example", "desk")])
    assert {("shop", "gcp:shop:service-account/1"), ("desk", "gcp:desk:service-account/2")} == {
        (one.scope, one.uid) for one in of(read(tmp_path), Identity)
    }


# --- AWS -------------------------------------------------------------------------------------------------------------

COLUMNS = [
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation"),
    *("mfa_active",),
    *(f"access_key_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated", "last_used_date", "last_used_region")),
    *(f"cert_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated")),
]
AWS = "444455556666"


def line(user: str, **cells: str) -> dict[str, str]:
    arn = f"arn:aws:iam::{AWS}:root" if user == "<root_account>" else f"arn:aws:iam::{AWS}:user/{user}"
    base = {"user": user, "arn": arn, "user_creation_time": "2024-01-02T03:04:05+00:00", "password_enabled": "false", "mfa_active": "false"}
    return dict.fromkeys(COLUMNS, "N/A") | base | {"access_key_1_active": "false", "access_key_2_active": "false"} | cells


def table(*lines: dict[str, str], columns: list[str] = COLUMNS, end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


ROBOT = line(
    "robot",
    access_key_1_active="true",
    access_key_1_last_rotated="2026-01-01T00:00:00Z",
    access_key_1_last_used_date="2026-11-01T00:00:00+00:00",
    access_key_2_active="true",
    access_key_2_last_rotated="2026-01-01T00:00:00+00:00",
)
ALICE = line(
    "alice",
    password_enabled="true",
    password_last_used="no_information",
    password_last_changed="2026-10-01T00:00:00+00:00",
    mfa_active="true",
)
ROOT = line(
    "<root_account>", password_enabled="not_supported", password_last_changed="not_supported", password_last_used="", mfa_active="true"
)

EXPECTED_REPORT = {
    f"aws:{AWS}:user/robot",
    f"aws:{AWS}:user/alice",
    f"aws:{AWS}:access-key/robot@20260101T000000Z#1",
    f"aws:{AWS}:access-key/robot@20260101T000000Z#2",
    f"aws:{AWS}:password/alice",
}


@pytest.mark.parametrize(
    "content",
    [
        table(ROBOT, ALICE),
        table(ROBOT, ALICE, end="\r\n", quoting=csv.QUOTE_ALL),
        table(ROBOT, ALICE, columns=COLUMNS[::-1]),
        table(ROBOT, ALICE).encode("utf-8-sig"),
        table(ROBOT, ALICE, end="\r\n").encode("utf-16"),
        {
            "ReportFormat": "text/csv",
            "GeneratedTime": "2026-11-19T00:00:00+00:00",
            "Content": base64.b64encode(table(ROBOT, ALICE).encode()).decode(),
        },
    ],
    ids=["plain", "quoted-crlf", "other-order", "bom", "powershell", "envelope"],
)
def test_a_credential_report_in_each_of_its_dresses(tmp_path: Path, content: Any) -> None:
    put(tmp_path, "whatever.txt", content)
    records = read(tmp_path)
    assert {"complete"} == {row.state for row in of(records, Coverage)}
    assert {one.uid for one in [*of(records, Identity), *of(records, Credential)]} == EXPECTED_REPORT
    robot = next(one for one in of(records, Identity) if one.name == "robot")
    assert {"native_id", "grants"} <= set(robot.unknown)
    assert (datetime(2026, 11, 19, tzinfo=UTC) if isinstance(content, dict) else WRITTEN) == robot.use_seen_to


def test_a_report_is_no_older_than_what_it_tells(tmp_path: Path) -> None:
    content = base64.b64encode(table(ROBOT, ALICE).encode()).decode()
    put(tmp_path, "report.json", {"ReportFormat": "text/csv", "GeneratedTime": "2015-02-02T20:02:02+00:00", "Content": content})
    robot = next(one for one in of(read(tmp_path), Identity) if one.name == "robot")
    assert robot.use_seen_to is not None
    assert robot.use_seen_to > datetime(2026, 1, 1, tzinfo=UTC)


def test_the_root_row_is_a_user_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "report.csv", table(ROOT, ALICE))
    records = read(tmp_path)
    root = next(one for one in of(records, Identity) if one.name == "<root_account>")
    assert (f"aws:{AWS}:user/{AWS}", "human", True) == (root.uid, root.track, root.mfa)


def details(*users: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"UserDetailList": list(users), "GroupDetailList": [], "RoleDetailList": [], "Policies": []} | fields


def user(name: str, identifier: str, **fields: Any) -> dict[str, Any]:
    return {
        "Path": "/",
        "UserName": name,
        "UserId": identifier,
        "Arn": f"arn:aws:iam::{AWS}:user/{name}",
        "CreateDate": "2024-01-02T03:04:05+00:00",
        "GroupList": [],
        "AttachedManagedPolicies": [],
        "Tags": [],
    } | fields


VENDOR_ROLE = {
    "Path": "/",
    "RoleName": "vendor",
    "RoleId": "AROAVENDOR0000000001",
    "Arn": f"arn:aws:iam::{AWS}:role/vendor",
    "CreateDate": "2025-01-01T00:00:00+00:00",
    "AssumeRolePolicyDocument": {
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}}]
    },
    "AttachedManagedPolicies": [{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}],
}


def test_report_and_details_of_one_account_are_joined_by_arn(tmp_path: Path) -> None:
    put(tmp_path, "report.csv", table(ROBOT, line("deleted-since")))
    put(tmp_path, "page1.json", details(user("robot", "AIDAROBOT00000000001"), IsTruncated=True, Marker="x"))
    put(tmp_path, "page2.json", details(RoleDetailList=[VENDOR_ROLE], IsTruncated=False))
    records = read(tmp_path)
    assert {f"aws:{AWS}:user/AIDAROBOT00000000001", f"aws:{AWS}:role/AROAVENDOR0000000001"} == {one.uid for one in of(records, Identity)}
    assert [f"aws:{AWS}:access-key/AIDAROBOT00000000001@20260101T000000Z#{number}" for number in (1, 2)] == sorted(
        one.uid for one in of(records, Credential)
    )
    assert (only(of(records, Trust)).party, only(of(records, Trust)).condition) == ("999988887777", None)
    assert (only(of(records, Grant)).role, only(of(records, Grant)).power) == ("AdministratorAccess", "administrator")
    assert {"complete"} == {row.state for row in of(records, Coverage)}
    report = next(row for row in of(records, Coverage) if row.operation == "file:report.csv")
    assert dict(report.dropped) == {"user of the report who is not in the authorization details": 1}


def test_details_alone_leave_the_report_s_facts_unknown_and_say_when_a_page_is_missing(tmp_path: Path) -> None:
    put(tmp_path, "page1.json", details(user("robot", "AIDAROBOT00000000001"), NextToken="more"))
    records = read(tmp_path)
    robot = only(of(records, Identity))
    assert (robot.track, robot.console, robot.mfa) == (None, None, None)
    assert robot.unknown["mfa"] == "no credential report of this account is in the folder"
    state, error = coverage(records)["file:page1.json"]
    assert state == "partial"
    assert error is not None
    assert "last page" in error


def test_of_two_reports_the_newer_counts(tmp_path: Path) -> None:
    put(tmp_path, "old.csv", table(line("left"), ROBOT), at=datetime(2026, 8, 1, tzinfo=UTC))
    put(tmp_path, "new.csv", table(ROBOT))
    assert {"robot"} == {one.name for one in of(read(tmp_path), Identity)}


# --- The folder ------------------------------------------------------------------------------------------------------


def test_every_broken_file_is_named_with_its_place_and_the_others_go_on(tmp_path: Path) -> None:
    put(tmp_path, "good.csv", table(ROBOT))
    put(tmp_path, "cut.json", '[{"appId": "x",\n "id": ')
    put(tmp_path, "notes.txt", "call Pavel")
    put(tmp_path, "empty.json", "[]")
    put(tmp_path, "nothing.csv", "")
    put(tmp_path, "mixed.json", [account("1", "a@x.example"), {"hello": 1}])
    put(tmp_path, "latin.csv", table(ROBOT).replace("robot", "r\xf6bot").encode("latin-1"))
    put(tmp_path, ".hidden.json", "nonsense")
    (tmp_path / "bad\x1b[31m\n.csv").write_text("a,b")
    records = read(tmp_path)
    assert "robot" in {one.name for one in of(records, Identity)}
    failed = {row.operation: row.error or "" for row in of(records, Coverage) if row.state == "failed"}
    assert {
        "file:cut.json",
        "file:notes.txt",
        "file:empty.json",
        "file:nothing.csv",
        "file:mixed.json",
        "file:latin.csv",
        "file:bad\\x1b[31m\\n.csv",
    } == set(failed)
    assert failed["file:cut.json"].startswith("line 2, column ")
    assert "az ad sp list" in failed["file:notes.txt"]
    assert failed["file:mixed.json"].startswith("entry 2: ")
    assert "line" in failed["file:latin.csv"]


def test_a_report_broken_half_way_fails_for_its_account(tmp_path: Path) -> None:
    put(tmp_path, "report.csv", table(ROBOT) + "stray,arn:aws:iam::444455556666:user/stray\n")
    records = read(tmp_path)
    failed = only([row for row in of(records, Coverage) if row.state == "failed"])
    assert (failed.provider, failed.scope) == ("aws", AWS)
    assert failed.error is not None
    assert "line 3" in failed.error
    assert of(records, Identity) == []


def test_links_that_leave_the_folder_and_special_files_are_refused(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/report.csv", table(ROBOT))
    folder = tmp_path / "exports"
    put(folder, "real.json", [account("1", "a@x.example")])
    (folder / "leaves.csv").symlink_to(outside)
    (folder / "leaves").symlink_to(outside.parent)
    (folder / "stays.json").symlink_to(folder / "real.json")
    os.mkfifo(folder / "pipe")
    records = read(folder)
    assert [one.name for one in of(records, Identity)] == ["a@x.example"]
    assert {"file:leaves.csv", "file:leaves", "file:pipe"} == {
        row.operation for row in of(records, Coverage) if row.provider == "files"
    } - {"list exports"}


def test_a_missing_or_empty_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ReadError, match=r"put exports there|make it"):
            files.scopes(exports(folder))


def test_a_file_that_vanished_after_listing_is_a_failed_row(tmp_path: Path) -> None:
    gone = put(tmp_path, "report.csv", table(ROBOT))
    put(tmp_path, "sa.json", [account("1", "a@x.example")])
    source = exports(tmp_path)
    listed = files.scopes(source)
    gone.unlink()
    aws = next(scope for scope in listed if scope.provider == "aws")
    row = only([row for row in files.read(request(source, aws)) if isinstance(row, Coverage)])
    assert (row.state, row.operation) == ("failed", "file:report.csv")


def test_what_the_auditor_gets(tmp_path: Path) -> None:
    put(
        tmp_path,
        f"{TENANT}/sp.json",
        [principal(number, passwordCredentials=[secret(number, secretText="CANARY", hint="CAN")]) for number in range(501)],
    )
    records = read(tmp_path)
    pages = of(records, Observation)
    assert [len(page.items) for page in pages] == [500, 1]
    assert {64} == {len(str(page.parameters["sha256"])) for page in pages}
    assert {"az ad sp list (file:" + f"{TENANT}/sp.json)"} == {row.call for row in of(records, Provenance)}
    assert b"CAN" not in b"".join(orjson.dumps(record, default=str) for record in records)


def test_doctor_says_what_each_file_was_taken_for(tmp_path: Path) -> None:
    put(tmp_path, "report.csv", table(ROBOT))
    put(tmp_path, "junk", "?")
    probes = list(files.probe(exports(tmp_path)))
    assert {("file:report.csv", True), ("file:junk", False)} == {(probe.operation, probe.ok) for probe in probes}


SAMPLES = (
    table(ROOT, ROBOT, ALICE).encode(),
    json.dumps(details(user("robot", "AIDAROBOT00000000001"), RoleDetailList=[VENDOR_ROLE])).encode(),
    json.dumps(
        [principal(1, passwordCredentials=[secret(3)], keyCredentials=[secret(4, usage="Sign", customKeyIdentifier="QUJD")])]
    ).encode(),
    json.dumps([application(1, passwordCredentials=[secret(3)])]).encode(),
    json.dumps([account("1", "a@x.example", disabled=True), account("2", "b@x.example")]).encode(),
    json.dumps([key("k1", "a@x.example"), key("k2", "b@x.example", keyType="SYSTEM_MANAGED")]).encode(),
    json.dumps({"ReportFormat": "text/csv", "Content": base64.b64encode(table(ROBOT).encode()).decode()}).encode(),
)
TOKENS = st.sampled_from(
    [
        b"null",
        b"[]",
        b"{}",
        b"1e400",
        b'"',
        b"\\u0000",
        b"0001-01-01T00:00:00+05:00",
        b"9999-12-31T23:59:59-05:00",
        b"\xff",
        b"\n",
        b",",
        b"7",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sample=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), TOKENS | st.binary(max_size=3)), min_size=1, max_size=4),
)
def test_a_mutated_file_gives_records_or_a_failed_row_and_never_raises(
    tmp_path: Path, sample: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    data = sample
    for where, length, new in edits:
        start = int(where * len(data))
        data = data[:start] + new + data[start + length :]
    put(tmp_path, f"{TENANT}/mutated", data)
    for record in read(tmp_path):
        assert orjson.dumps(record)


def _walk(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in below for found in _walk(item, (*path, name)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), sample=st.sampled_from([json.loads(one) for one in SAMPLES[1:]]))
def test_values_of_any_other_shape_never_raise(tmp_path: Path, data: st.DataObject, sample: Any) -> None:
    document = json.loads(json.dumps(sample))
    *above, last = data.draw(st.sampled_from(_walk(document)[1:]))
    holder = document
    for step in above:
        holder = holder[step]
    holder[last] = data.draw(
        st.sampled_from([None, [], {}, [[]], [None], {"a": 1}, 0, -1.5, True, "", "\x00", "9999-12-31T23:59:59-05:00", "a" * 300])
    )
    put(tmp_path, f"{TENANT}/mutated", document)
    for record in read(tmp_path):
        assert orjson.dumps(record)
