"""Seeds users and roles in AWS: what Acme keeps well, what Brightpath left behind, and what Corvid was never asked to tidy."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.aws.permissions import permission_files
from sandbox.aws import CALLER_ACCOUNT, trust, trust_issuer
from sandbox.estate.places import (
    ACME_ACCOUNT,
    BRIGHTPATH_ACCOUNT,
    CORVID_ACCOUNT,
    DATA,
    EXTERNAL_ID,
    INVENTORY_ROLE,
    LEGACY,
    PROD,
    REVOCATION_ID,
    REVOCATION_ROLE,
    STRANGER_ACCOUNT,
)  # fmt: skip

if TYPE_CHECKING:
    from sandbox.aws import SandboxAccount, SandboxAws

ADMIN = "AdministratorAccess"
READ = "ReadOnlyAccess"

_BACKUP = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:PutObject", "s3:ListBucket"], "Resource": "arn:aws:s3:::northwind-backup*"}],
}
_GIT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "codecommit:GitPull", "Resource": f"arn:aws:codecommit:eu-west-2:{PROD}:shop"}],
}
_EC2 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def seed(aws: SandboxAws, now: datetime) -> None:
    """Write the users and roles of the accounts that are read live; ages are relative to `now` (UTC)."""
    _inventory_role(aws.account(CALLER_ACCOUNT), now)
    _prod(aws.account(PROD), now)
    _data(aws.account(DATA), now)
    _legacy(aws.account(LEGACY), now)
    for service in ("iam", "access-analyzer", "cloudtrail", "rolesanywhere", "secretsmanager"):
        aws.deny(LEGACY, f"{service}:*")


def _prod(account: SandboxAccount, now: datetime) -> None:
    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    account.root(mfa=True, password_last_used=ago(70))
    _inventory_role(account, now)
    # People.
    for name, changed, used in (("maria.keller", 40, 1.2), ("devika.rao", 15, 0.3)):
        account.user(name, ago(1500), console=True, mfa=True, password_changed=ago(changed), password_last_used=ago(used), policies=(READ,))
    account.user("sam.osei", ago(700), console=True, password_changed=ago(60), password_last_used=ago(3), policies=(READ,))
    account.user("acme-pavel", ago(400), console=True, mfa=True, password_changed=ago(30), password_last_used=ago(1), policies=(READ,))
    # A script works with his key; he himself has not been here since spring.
    account.user("corvid-jlarsen", ago(1500), console=True, password_changed=ago(1500), password_last_used=ago(210), policies=(ADMIN,))
    account.key("corvid-jlarsen", ago(260), last_used=ago(0.2))
    # Programs.
    account.user(
        "acme-backup", ago(420), tags={"partner": "acme", "nhi:owner": "maria", "nhi:purpose": "order backup"}, inline={"backup": _BACKUP}
    )
    account.key("acme-backup", ago(55), last_used=ago(3))
    account.key("acme-backup", ago(2), last_used=ago(0.1))
    account.user("acme-monitor", ago(300), tags={"partner": "acme"}, policies=("CloudWatchReadOnlyAccess",))
    account.key("acme-monitor", ago(40), last_used=ago(0.05))
    account.user("corvid-deploy", ago(1490), policies=(ADMIN,))
    account.key("corvid-deploy", ago(412), last_used=ago(3))
    account.user("corvid-report", ago(150), policies=(READ,))
    account.key("corvid-report", ago(150))
    account.user("ci-artifacts", ago(200), tags={"owner": "devika"}, inline={"artifacts": _BACKUP, "git": _GIT})
    account.key("ci-artifacts", ago(25), last_used=ago(0.1))
    account.user("legacy-ftp", ago(2100), policies=("AmazonS3FullAccess",))
    account.key("legacy-ftp", ago(2100), active=False)
    account.key("legacy-ftp", ago(700), last_used=ago(210))
    # Roles.
    account.role(
        "acme-operations",
        trust(ACME_ACCOUNT, external_id="nw-7c1f"),
        ago(420),
        tags={"partner": "acme"},
        last_used=ago(1),
        policies=(READ,),
    )
    subject = {"StringEquals": {"token.acme.example:sub": "pipeline:northwind-shop", "token.acme.example:aud": "sts.amazonaws.com"}}
    # Its template was Brightpath's, and so is its tag.
    account.role(
        "acme-pipeline", trust_issuer(PROD, "token.acme.example", subject), ago(200), tags={"partner": "brightpath"}, last_used=ago(0.5),
        inline={"deploy": _BACKUP},
    )  # fmt: skip
    account.role("corvid-support", trust(CORVID_ACCOUNT), ago(1480), last_used=ago(12), policies=("PowerUserAccess",))
    account.role("corvid-monitor", trust(CORVID_ACCOUNT, external_id="nw-watch"), ago(700), last_used=ago(2), policies=(READ,))
    account.role("audit-bridge", trust(STRANGER_ACCOUNT, external_id="audit"), ago(900), last_used=ago(30), policies=("SecurityAudit",))
    account.role("orders-service", _EC2, ago(620), tags={"owner": "devika"}, last_used=ago(0.1), inline={"orders": _BACKUP})
    account.role("AWSServiceRoleForSupport", _EC2, ago(1500), path="/aws-service-role/support.amazonaws.com/")


def _data(account: SandboxAccount, now: datetime) -> None:
    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    account.root(mfa=True, password_last_used=ago(60))
    _inventory_role(account, now)
    account.user("devika.rao", ago(1500), console=True, mfa=True, password_changed=ago(15), password_last_used=ago(2), policies=(ADMIN,))
    account.user("brightpath-etl", ago(1100), tags={"partner": "brightpath"}, policies=("AmazonS3ReadOnlyAccess",))
    account.key("brightpath-etl", ago(50), last_used=ago(2))
    # People of Corvid's log in as what its tag says is a machine.
    account.user(
        "corvid-nightly",
        ago(800),
        tags={"track": "machine"},
        console=True,
        password_changed=ago(800),
        password_last_used=ago(6),
        policies=(READ,),
    )
    account.user("corvid-legacy-sync", ago(1300), policies=("AmazonS3FullAccess",))
    account.key("corvid-legacy-sync", ago(300), last_used=ago(1))
    account.key("corvid-legacy-sync", ago(120), last_used=ago(1))
    account.user("warehouse-loader", ago(500), tags={"owner": "devika"}, inline={"load": _BACKUP})
    account.key("warehouse-loader", ago(30), last_used=ago(0.1))
    account.role("brightpath-reader", trust(BRIGHTPATH_ACCOUNT, external_id="nw-bp-01"), ago(1100), last_used=ago(20), policies=(READ,))
    account.role("corvid-support", trust(CORVID_ACCOUNT), ago(1480), last_used=ago(33), policies=("PowerUserAccess",))
    account.role("corvid-monitor", trust(CORVID_ACCOUNT, external_id="nw-watch"), ago(690), last_used=ago(4), policies=(READ,))
    account.role("corvid-admin", trust(CORVID_ACCOUNT, external_id="1"), ago(1480), last_used=ago(300), policies=(ADMIN,))
    account.role("public-share", trust("*"), ago(950), last_used=ago(8), policies=("AmazonS3ReadOnlyAccess",))


def _legacy(account: SandboxAccount, now: datetime) -> None:
    _inventory_role(account, now)
    account.user("corvid-mainframe", now - timedelta(days=1900), policies=(ADMIN,))
    account.key("corvid-mainframe", now - timedelta(days=1900), last_used=now - timedelta(days=5))


def _inventory_role(account: SandboxAccount, now: datetime) -> None:
    lets_us_in = trust(CALLER_ACCOUNT, external_id=EXTERNAL_ID)
    account.role(INVENTORY_ROLE, lets_us_in, now - timedelta(days=90), last_used=now - timedelta(days=1), policies=("SecurityAudit",))
    # Used in the last drill; it holds no more than it was given, so its policy is the account's own.
    account.role(
        REVOCATION_ROLE, trust(CALLER_ACCOUNT, external_id=REVOCATION_ID), now - timedelta(days=90), last_used=now - timedelta(days=20),
        inline={"revoke": json.loads(permission_files()["revoke.json"])},
    )  # fmt: skip
