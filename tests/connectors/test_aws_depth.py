import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from aws_reader import (
    ACCOUNT,
    ISSUER,
    PARTNER,
    ago,
    coverage,
    full,
    held,
    named,
    of,
    of_kind,
    read,
    running,
    source_of,
    states,
)

from connectors import aws
from connectors.aws import anywhere, users
from connectors.aws.git_users import could_use_git
from connectors.aws.sdk import session
from countersign.identity import Grant, Identity, Observation, Record, Trust
from sandbox.aws import CALLER_ACCOUNT, SandboxAws, Shown, trust


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as at_hand:
        yield at_hand


def trusts_of(records: Iterable[Record], identity: Identity) -> set[tuple[str, str, str | None]]:
    return {(one.party_kind, one.party, one.condition) for one in of(Trust, records) if one.identity_uid == identity.uid}


def test_credentials_of_one_service_are_listed_for_all_users_in_one_call(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    natives = {name: account.user(name, ago(400)) for name in ("builder", "reader")}
    ends = account.service_credential("builder", ago(10), expires=ago(-20), service="bedrock.amazonaws.com")
    endless = account.service_credential("reader", ago(300))
    off = account.service_credential("reader", ago(300), status="Inactive")
    records = read(cloud)
    found = held(records, "service-specific-credential")
    assert {
        ends: (f"aws:{ACCOUNT}:user/{natives['builder']}", True, ago(10), ago(-20), False),
        endless: (f"aws:{ACCOUNT}:user/{natives['reader']}", True, ago(300), None, True),
        off: (f"aws:{ACCOUNT}:user/{natives['reader']}", False, ago(300), None, True),
    } == {name: (one.identity_uid, one.enabled, one.created_at, one.expires_at, one.never_expires) for name, one in found.items()}
    assert {"unknown"} == {one.last_used_state for one in found.values()}
    assert all("does not say" in one.unknown["last_used_at"] for one in found.values())
    assert cloud.calls[ACCOUNT, "ListServiceSpecificCredentials"] == 1


def test_signing_certificates_are_asked_for_only_of_those_whom_the_report_shows_with_one(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("signer", ago(400))
    account.user("other", ago(400))
    live = account.signing_certificate("signer", ago(100), expires=ago(-3))
    off = account.signing_certificate("signer", ago(200), status="Inactive")
    found = held(read(cloud), "signing-certificate")
    assert {live: (True, ago(100), ago(-3)), off: (False, ago(200), ago(200 - 365))} == {
        name: (one.enabled, one.created_at, one.expires_at) for name, one in found.items()
    }
    assert {f"aws:{ACCOUNT}:user/{native}"} == {one.identity_uid for one in found.values()}
    assert cloud.calls[ACCOUNT, "ListSigningCertificates"] == 1


def test_a_refused_listing_of_certificates_leaves_what_the_report_says(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("signer", ago(400))
    account.signing_certificate("signer", ago(100))
    cloud.deny(ACCOUNT, "iam:ListSigningCertificates")
    records = read(cloud)
    ((name, one),) = held(records, "signing-certificate").items()
    assert (f"{native}@{ago(100):%Y%m%dT%H%M%SZ}#1", True, ago(100), None) == (name, one.enabled, one.created_at, one.expires_at)
    assert "does not say when the certificate ends" in one.unknown["expires_at"]
    refused = coverage(records, "iam:ListSigningCertificates")
    assert (refused.state, refused.covers) == ("denied", ("signing-certificate",))


def test_ssh_keys_are_asked_for_of_all_who_could_use_one_and_of_few_others(cloud: SandboxAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "SSH_OTHERS", 1)
    account = cloud.account(ACCOUNT)
    git = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["CodeCommit:Git*"], "Resource": "*"}]}
    account.group("developers", inline={"git": git})
    account.user("asked-too", ago(400))
    account.user("reader", ago(400), policies=("AmazonS3ReadOnlyAccess",))
    account.user("dev", ago(400), groups=("developers",))
    account.user("root-like", ago(400), policies=("AdministratorAccess",))
    on, off, idle = (
        account.ssh_key("dev", ago(300)),
        account.ssh_key("root-like", ago(30), status="Inactive"),
        account.ssh_key("asked-too", ago(9)),
    )
    account.ssh_key("reader", ago(9))
    records = read(cloud)
    assert {on: (True, ago(300)), off: (False, ago(30)), idle: (True, ago(9))} == {
        name: (one.enabled, one.created_at) for name, one in held(records, "ssh-key").items()
    }
    row = coverage(records, "iam:ListSSHPublicKeys")
    assert (3, "complete") == (cloud.calls[ACCOUNT, "ListSSHPublicKeys"], row.state)
    assert (row.error or "").startswith("1 users whose policies let them into no Git repository")


def test_more_users_than_a_night_asks_for_are_said_to_be_missing(
    cloud: SandboxAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(users, "SSH_USERS", 2)
    for name in ("a", "b", "c"):
        cloud.account(ACCOUNT).user(name, ago(400), policies=("AdministratorAccess",))
    rows = [coverage(read(cloud, kept=tmp_path), "iam:ListSSHPublicKeys") for _ in range(2)]
    assert [("partial", ("ssh-key",)), ("complete", ("ssh-key",))] == [(row.state, row.covers) for row in rows]


def test_providers_are_ways_in_for_outside_parties(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    narrow = account.oidc_provider(f"https://{ISSUER}", ago(60), client_ids=("deploy", "build"), tags={"partner": "acme", "owner": "dev"})
    wide = account.oidc_provider("https://ci.example", ago(6), client_ids=())
    okta = account.saml_provider("okta", ago(70), valid_until=ago(-9))
    records = read(cloud)
    oidc, saml = of_kind(records, "oidc-provider"), of_kind(records, "saml-provider")
    one = oidc[narrow]
    assert ("delegation", True, ago(60), ISSUER, {"partner": "acme", "owner": "dev"}, "dev") == (
        one.track, one.enabled, one.created_at, one.name, one.tags, one.owner_claim,
    )  # fmt: skip
    assert {("oidc-issuer", f"https://{ISSUER}", "aud: build, deploy")} == trusts_of(records, one)
    assert {("oidc-issuer", "https://ci.example", None)} == trusts_of(records, oidc[wide])
    assert {("saml-provider", okta, None)} == trusts_of(records, saml[okta])
    assert ("okta", ago(70), [ago(-9)]) == (
        saml[okta].name, saml[okta].created_at, [one.expires_at for one in held(records, "certificate").values()],
    )  # fmt: skip


def test_a_provider_that_may_not_be_looked_into_is_kept_with_the_reason(cloud: SandboxAws) -> None:
    arn = cloud.account(ACCOUNT).oidc_provider(f"https://{ISSUER}", ago(60))
    cloud.deny(ACCOUNT, "iam:GetOpenIDConnectProvider")
    records = read(cloud)
    one = of_kind(records, "oidc-provider")[arn]
    assert (ISSUER, None, set()) == (one.name, one.created_at, trusts_of(records, one))
    assert all("iam:GetOpenIDConnectProvider: AccessDenied" in one.unknown[name] for name in ("created_at", "trusts"))


def test_what_partner_products_were_given_is_told_from_what_they_only_asked_for(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    approver = f"arn:aws:iam::{ACCOUNT}:role/Approver"
    given_ = account.delegation_request(PARTNER, "Orbit", ago(5), approver=approver, description="Nightly scan")
    asked = account.delegation_request("888877776666", "Comet", ago(1), state="PENDING_APPROVAL")
    records = read(cloud)
    found = of_kind(records, "delegation-request")
    assert {given_: ("Orbit", True, "Nightly scan"), asked: ("Comet", False, "Access for Comet")} == {
        name: (one.name, one.enabled, one.purpose) for name, one in found.items()
    }
    assert {("aws-account", PARTNER, f"approved by {approver}")} == trusts_of(records, found[given_])
    granted = {(one.role, one.power) for one in of(Grant, records) if one.identity_uid == found[given_].uid}
    assert {(f"arn:aws:iam::{PARTNER}:delegation-template/standard", None)} == granted


def test_secrets_tell_their_rotation_and_use_and_never_a_value(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    rotated = account.secret("rotated", ago(400), rotated=ago(20), accessed=ago(days=3, hours=2), rotation_days=30, tags={"owner": "dev"})
    old = account.secret("old", ago(400))
    touched = account.secret("touched", ago(400), changed=ago(10))
    account.secret("gone", ago(400), deleted=ago(1))
    records = read(cloud)
    found = held(records, "secret")
    assert {rotated: ago(20), old: ago(400), touched: None} == {name: one.created_at for name, one in found.items()}
    assert "whether its value changed then" in found[touched].unknown["created_at"]
    assert ("known", datetime(2026, 11, 18, 23, 59, 59, tzinfo=UTC)) == (found[rotated].last_used_state, found[rotated].last_used_at)
    assert (found[old].last_used_state, found[old].last_used_at) == ("never", None)
    assert {"rotated", "old", "touched"} == {one.name for one in found.values()}
    (holder,) = of_kind(records, "account").values()
    assert {holder.uid} == {one.identity_uid for one in found.values()}
    assert (holder.provider_managed, holder.uid) == (True, f"aws:{ACCOUNT}:account/{ACCOUNT}")
    assert not [one for one in cloud.asked if "SecretValue" in one.operation]
    (seen,) = (one for one in of(Observation, records) if one.operation == "secretsmanager:ListSecrets")
    assert [{"Key": "owner", "Value": "dev"}] in [item.get("Tags") for item in seen.items]


def test_server_certificates_belong_to_the_account(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).server_certificate("edge", ago(400), expires=ago(35))
    (one,) = held(read(cloud), "server-certificate").values()
    assert (f"aws:{ACCOUNT}:account/{ACCOUNT}", ago(400), ago(35)) == (one.identity_uid, one.created_at, one.expires_at)


def test_regions_are_read_each_and_one_that_refuses_hides_no_other(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    here, there = account.secret("a", ago(9)), account.secret("b", ago(9), region="us-east-1")
    found = held(read(cloud, regions=("eu-west-2", "us-east-1")), "secret")
    assert {here, there} == set(found)
    cloud.fail(ACCOUNT, "secretsmanager:ListSecrets", "UnrecognizedClientException", "The security token is invalid", times=1)
    records = read(cloud, regions=("ap-east-1", "us-east-1"))
    row = coverage(records, "secretsmanager:ListSecrets")
    assert ({there}, "partial", ("secret",)) == (set(held(records, "secret")), row.state, row.covers)
    assert (row.error or "").startswith("ap-east-1: UnrecognizedClientException")


def test_what_resources_share_is_told_once_for_each_with_every_party(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    queue, bucket = f"arn:aws:sqs:eu-west-2:{ACCOUNT}:orders", "arn:aws:s3:::public-files"
    account.external_finding(queue, f"arn:aws:iam::{PARTNER}:role/etl", ago(3), resource_type="AWS::SQS::Queue")
    account.external_finding(
        queue, "888877776666", ago(2), resource_type="AWS::SQS::Queue",
        condition={"aws:SourceArn": "arn:aws:sns:…", "kms:ViaService": "sqs", "aws:SecureTransport": "true"}, status="ARCHIVED",
    )  # fmt: skip
    account.external_finding(queue, "777766665555", ago(2), resource_type="AWS::SQS::Queue", status="RESOLVED")
    account.external_finding(bucket, "*", ago(9), resource_type="AWS::S3::Bucket", public=True)
    account.external_finding(f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/1", {"Federated": f"{ISSUER}"}, ago(9), resource_type="AWS::KMS::Key")
    records = read(cloud)
    found = of_kind(records, "shared-resource")
    assert {("aws-account", PARTNER, None), ("aws-account", "888877776666", "aws:SourceArn")} == trusts_of(records, found[queue])
    assert {("anyone", "*", None)} == trusts_of(records, found[bucket])
    assert ({"delegation"}, 3) == ({one.track for one in found.values()}, len(found))
    assert cloud.calls[ACCOUNT, "ListFindings"] == 1


def test_the_analyzer_checks_our_own_reading_of_roles(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.role("vendor", trust(PARTNER), ago(10))
    account.external_finding(f"arn:aws:iam::{ACCOUNT}:role/vendor", PARTNER, ago(3))
    agreed = read(cloud)
    account.external_finding(f"arn:aws:iam::{ACCOUNT}:role/unseen", PARTNER, ago(3))
    records = read(cloud)
    row, before = coverage(records, "access-analyzer:ListFindings"), coverage(agreed, "access-analyzer:ListFindings")
    assert ({}, {}, None) == (of_kind(records, "shared-resource"), before.dropped, before.error)
    assert (row.state, list(row.dropped.values())) == ("complete", [1])
    assert "role/unseen" in (row.error or "")


def test_an_account_without_analyzer_says_what_is_not_known(cloud: SandboxAws) -> None:
    row = coverage(read(cloud), "access-analyzer:ListAnalyzers")
    assert (row.state, "no analyzer of outside access is on in eu-west-2" in (row.error or "")) == ("complete", True)


def test_roles_anywhere_tells_whose_certificates_open_which_roles(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    anchor, mine, alien, off = (
        account.trust_anchor("factory", ago(80)),
        account.trust_anchor("own-ca", ago(80), private_ca=f"arn:aws:acm-pca:eu-west-2:{ACCOUNT}:certificate-authority/1"),
        account.trust_anchor("their-ca", ago(80), private_ca=f"arn:aws:acm-pca:eu-west-2:{PARTNER}:certificate-authority/1"),
        account.trust_anchor("retired", ago(80), enabled=False),
    )
    account.role(
        "robots", through_anywhere(anchor, **{"aws:PrincipalTag/x509Subject/CN": "robot-7"}), ago(9), policies=("AdministratorAccess",)
    )
    account.role("wide", through_anywhere(alien), ago(9))
    roles = tuple(f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("robots", "wide"))
    account.anywhere_profile("fleet", ago(80), roles=roles)
    records = read(cloud)
    found = of_kind(records, "trust-anchor")
    assert {("x509-issuer", "CN=factory", "aws:PrincipalTag/x509Subject/CN")} == trusts_of(records, found[anchor])
    assert {("aws-account", PARTNER, None)} == trusts_of(records, found[alien])
    assert (set(), {("x509-issuer", "CN=retired", "no profile and role lets it in")}, False) == (
        trusts_of(records, found[mine]), trusts_of(records, found[off]), found[off].enabled,
    )  # fmt: skip
    granted = {(one.identity_uid, one.role, one.power, one.via) for one in of(Grant, records) if one.via.startswith("profile:")}
    assert {
        (found[anchor].uid, roles[0], "administrator", "profile:fleet"), (found[alien].uid, roles[1], "limited", "profile:fleet"),
    } == granted  # fmt: skip


def through_anywhere(anchor: str, **tags: str) -> dict[str, Any]:
    principal = {"Service": "rolesanywhere.amazonaws.com"}
    condition = {"ArnEquals": {"aws:SourceArn": anchor}} | ({"StringEquals": tags} if tags else {})
    return {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition},
    }


def test_machines_that_came_with_certificates_are_identities(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    account.trust_anchor("factory", ago(80))
    shown = (Shown(ago(300), expires=ago(10), seen=ago(20)), Shown(ago(30), seen=ago(1), enabled=False))
    robot = account.anywhere_subject("CN=robot-7", ago(80), last_seen=ago(1), certificates=shown)
    idle = account.anywhere_subject("CN=robot-8", ago(80), enabled=False, certificates=())
    records = read(cloud)
    found = of_kind(records, "roles-anywhere-subject")
    assert {robot: ("CN=robot-7", "machine", True, "known", ago(1)), idle: ("CN=robot-8", "machine", False, "never", None)} == {
        name: (one.name, one.track, one.enabled, one.last_active_state, one.last_active_at) for name, one in found.items()
    }
    assert {(True, ago(300), ago(10), ago(20)), (False, ago(30), ago(30 - 365), ago(1))} == {
        (one.enabled, one.created_at, one.expires_at, one.last_used_at) for one in held(records, "certificate").values()
    }


def test_an_account_that_never_used_roles_anywhere_is_asked_once_and_is_whole(cloud: SandboxAws) -> None:
    records = read(cloud)
    assert {"complete"} == set(states(records).values())
    assert ["ListTrustAnchors"] == [one.operation.partition(":")[2] for one in cloud.asked if one.operation.startswith("rolesanywhere:")]


def test_who_created_the_young_is_told_by_cloudtrail_and_nobody_is_guessed(cloud: SandboxAws) -> None:
    account = cloud.account(ACCOUNT)
    robot, old, unseen = account.user("made-by-partner", ago(5)), account.user("old", ago(200)), account.user("unseen", ago(5))
    role = account.role("made-by-dev", trust(ACCOUNT), ago(40))
    issuer, dev = f"arn:aws:iam::{ACCOUNT}:role/acme-automation", f"arn:aws:iam::{ACCOUNT}:user/dev"
    session_arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/acme-automation/run-1"
    account.event("CreateUser", ago(5), by=session_arn, session_issuer=issuer, response={"user": {"userId": robot}})
    account.event("CreateUser", ago(5), by=dev, response={"user": {"userId": old}})
    account.event("CreateUser", ago(5), by=dev, error="AccessDenied", response={"user": {"userId": unseen}})
    account.event("CreateRole", ago(40), by=dev, response={"role": {"roleId": role}})
    found = {one.native_id: one for one in of(Identity, read(cloud))}
    assert {robot: issuer, role: dev, old: None, unseen: None} == {one: found[one].created_by for one in (robot, role, old, unseen)}
    assert "created_by" not in found[robot].unknown
    assert ("older than the 90 days" in found[old].unknown["created_by"], "no event" in found[unseen].unknown["created_by"]) == (True, True)


def test_cloudtrail_that_refuses_is_off_and_makes_nothing_partial(cloud: SandboxAws) -> None:
    cloud.account(ACCOUNT).user("young", ago(5))
    cloud.deny(ACCOUNT, "cloudtrail:LookupEvents")
    records = read(cloud)
    assert "cloudtrail:LookupEvents: us-east-1: AccessDenied" in named(records)["young"].unknown["created_by"]
    assert {"complete"} == set(states(records).values())
    assert cloud.calls[ACCOUNT, "LookupEvents"] == 1


def test_every_call_is_declared_and_every_declaration_is_used(cloud: SandboxAws) -> None:
    full(cloud)
    cloud.organization(CALLER_ACCOUNT, ACCOUNT)
    cloud.delegated_administrator(ACCOUNT, "access-analyzer.amazonaws.com", ago(9))
    called = set()
    events = session().events

    def note(model: Any, **_: object) -> None:
        service = {"accessanalyzer": "access-analyzer"}.get(model.service_model.service_name, model.service_model.service_name)
        called.add(f"{service}:{model.name}")

    events.register("before-call", note)
    read(cloud, organization=True)
    read(cloud, CALLER_ACCOUNT, organization=True)
    list(aws.probe(source_of(cloud)))
    events.unregister("before-call", note)
    assert set(aws.PERMISSIONS) == called
    assert tuple(sorted(aws.PERMISSIONS)) == aws.PERMISSIONS


def test_permissions_are_actions_that_exist_and_files_hold_them_all_apart() -> None:
    models = botocore.session.get_session()
    for permission in {*aws.PERMISSIONS, *aws.REVOKE_PERMISSIONS}:
        service, _, action = permission.partition(":")
        assert action in models.get_service_model(service.replace("-", "")).operation_names, permission
    assert tuple(sorted(aws.REVOKE_PERMISSIONS)) == aws.REVOKE_PERMISSIONS
    files = {name: json.loads(text)["Statement"] for name, text in aws.permission_files().items()}
    assert {"drill.json", "read.json", "read-management.json", "look.json", "revoke.json", "trust.json"} == set(files)
    allowed = {
        name: {a for one in told if one["Effect"] == "Allow" for a in one["Action"]} for name, told in files.items() if name != "trust.json"
    }
    assert set(aws.PERMISSIONS) == allowed["read.json"] | allowed["read-management.json"] | {"sts:GetCallerIdentity"}
    assert set(aws.REVOKE_PERMISSIONS) == allowed["revoke.json"]
    changing = {"iam:GenerateCredentialReport", "sts:AssumeRole"}
    assert all(one.partition(":")[2].startswith(("Get", "List", "Lookup")) for one in set(aws.PERMISSIONS) - changing)
    for name in ("read.json", "revoke.json"):
        (denied,) = (one for one in files[name] if one["Effect"] == "Deny")
        assert ("secretsmanager:GetSecretValue" in denied["Action"], denied["Resource"]) == (True, "*")
    assert "sts:ExternalId" in str(files["trust.json"])


@pytest.mark.parametrize(
    ("statement", "could"),
    [
        ({"Effect": "Allow", "Action": "codecommit:*"}, True),
        ({"Effect": "Allow", "Action": ["s3:*", "codecommit:GitP?ll"]}, True),
        ({"Effect": "Allow", "NotAction": "iam:*"}, True),
        ({"Effect": "Allow", "NotAction": ["codecommit:*"]}, False),
        ({"Effect": "Allow", "Action": "codecommit:List*"}, False),
        ({"Effect": "Deny", "Action": "*"}, False),
        ({"Effect": "Allow"}, False),
    ],
)
def test_who_could_use_git(statement: dict[str, object], could: bool) -> None:  # noqa: FBT001 -- a case's answer
    assert could_use_git({"Statement": statement}) is could


def test_subjects_beyond_the_nightly_number_are_said(cloud: SandboxAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anywhere, "SUBJECTS_ASKED", 1)
    account = cloud.account(ACCOUNT)
    account.trust_anchor("factory", ago(80))
    for number in range(3):
        account.anywhere_subject(f"CN=robot-{number}", ago(80), last_seen=ago(1))
    records = read(cloud)
    row = coverage(records, "rolesanywhere:GetSubject")
    assert (3, 1, "partial", ("certificate",)) == (
        len(of_kind(records, "roles-anywhere-subject")), len(held(records, "certificate")), row.state, row.covers,
    )  # fmt: skip
