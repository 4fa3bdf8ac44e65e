"""Seeds what AWS accounts have besides users and roles: providers, machines with certificates, shares, secrets, who pays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.aws import CALLER_ACCOUNT, CALLER_KEY, CALLER_USER, Member
from sandbox.estate.places import (
    ACME_ACCOUNT,
    ACME_ISSUER,
    CANARY,
    CORVID_ACCOUNT,
    DATA,
    HOSTILE_SUM,
    LEGACY,
    PROD,
    STRANGER_ACCOUNT,
)  # fmt: skip

if TYPE_CHECKING:
    from sandbox.aws import SandboxAccount, SandboxAws

BACKUP_KEY = f"arn:aws:kms:eu-west-2:{PROD}:key/6a1f0c1e-7f0e-4d0a-9a55-0f1c2d3e4b5a"
"""What Acme decrypts its backups with."""
CLOSED = "444455550000"
"""Suspended, so not read."""


def seed(aws: SandboxAws, now: datetime) -> None:
    """Found the organisation and add the rest to its accounts, whose users and roles are there; ages are relative to `now` (UTC)."""
    aws.organization(
        Member(CALLER_ACCOUNT, "northwind-root"),
        Member(PROD, "northwind-prod", tags={"owner": "devika"}),
        Member(DATA, "northwind-data", tags={"owner": "devika"}),
        Member(LEGACY, "northwind-legacy"),
        Member(CLOSED, "northwind-closed", state="SUSPENDED"),
    )
    aws.billing_transfer(CORVID_ACCOUNT, now - timedelta(days=600), name="Corvid consolidated billing", email="billing@corvid.example")
    root = aws.account(CALLER_ACCOUNT)
    root.root(mfa=True, password_last_used=now - timedelta(days=80))
    root.backdate_user(CALLER_USER, now - timedelta(days=300))
    root.backdate_key(CALLER_KEY, now - timedelta(days=20), last_used=now - timedelta(days=1))
    _prod(aws.account(PROD), now)
    _data(aws.account(DATA), now)


def _prod(account: SandboxAccount, now: datetime) -> None:
    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    account.oidc_provider(ACME_ISSUER, ago(200), tags={"partner": "acme"})
    account.saml_provider("corvid-sso", ago(1480), valid_until=ago(25))
    account.service_credential("corvid-report", ago(150))
    account.signing_certificate("legacy-ftp", ago(2000), expires=ago(1635))
    account.ssh_key("ci-artifacts", ago(200))
    account.server_certificate("shop.northwind.example", ago(40), expires=ago(-325))
    account.server_certificate("old-shop.northwind.example", ago(800), expires=ago(70))
    account.secret("orders/database", ago(700), rotated=ago(12), rotation_days=30, accessed=ago(1), tags={"owner": "devika"})
    account.secret("corvid/sftp", ago(1400), accessed=ago(120))
    account.delegation_request(CORVID_ACCOUNT, "Corvid Setup Wizard", ago(35), approver=f"arn:aws:iam::{PROD}:user/corvid-jlarsen")
    account.external_finding(
        "arn:aws:s3:::northwind-invoices", {"AWS": STRANGER_ACCOUNT}, ago(300), resource_type="AWS::S3::Bucket", actions=("s3:GetObject",)
    )
    account.external_finding(
        BACKUP_KEY, {"AWS": ACME_ACCOUNT}, ago(420),
        resource_type="AWS::KMS::Key", actions=("kms:Decrypt",), condition={"aws:PrincipalArn": f"arn:aws:iam::{ACME_ACCOUNT}:role/backup"},
    )  # fmt: skip
    # Made by somebody of Corvid's, under a name that does not say so.
    made = account.user("nightly-export", ago(30), policies=("AmazonS3ReadOnlyAccess",))
    account.key("nightly-export", ago(30), last_used=ago(0.2))
    account.event(
        "CreateUser",
        ago(30),
        by=f"arn:aws:sts::{PROD}:assumed-role/corvid-support/jlarsen",
        session_issuer=f"arn:aws:iam::{PROD}:role/corvid-support",
        request={"userName": "nightly-export", "note": CANARY},
        response={"user": {"userName": "nightly-export", "userId": made, "arn": f"arn:aws:iam::{PROD}:user/nightly-export"}},
    )
    # And what they made has made another.
    mailer = account.user("report-mailer", ago(20), policies=("AmazonS3ReadOnlyAccess",))
    account.event(
        "CreateUser",
        ago(20),
        by=f"arn:aws:iam::{PROD}:user/nightly-export",
        request={"userName": "report-mailer"},
        response={"user": {"userName": "report-mailer", "userId": mailer, "arn": f"arn:aws:iam::{PROD}:user/report-mailer"}},
    )
    account.user(HOSTILE_SUM, ago(90), tags={"owner": "devika"}, policies=("CloudWatchReadOnlyAccess",))
    account.key(HOSTILE_SUM, ago(30), last_used=ago(2))


def _data(account: SandboxAccount, now: datetime) -> None:
    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    account.trust_anchor("corvid-datacentre", ago(800), expires=ago(-295))
    account.anywhere_profile("batch", ago(800), roles=(f"arn:aws:iam::{DATA}:role/corvid-support",))
    account.anywhere_subject("CN=corvid-batch-07", ago(790), last_seen=ago(70))
