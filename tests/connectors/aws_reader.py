"""How the tests of the AWS connector read a sandbox account."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connectors import aws
from countersign import pace
from countersign.identity import Coverage, Credential, Identity, Record
from countersign.programme import AwsSource
from countersign.reading import KeyRow, ReadRequest
from sandbox.aws import CALLER_ACCOUNT, SandboxAws, trust

Kind = TypeVar("Kind")
NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
ACCOUNT = "444455556666"
PARTNER = "999988887777"
ISSUER = "token.partner.example/tenants/7"


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in SandboxAws.environment.items():
        monkeypatch.setenv(name, value)
    pace._budgets.clear()  # what an earlier test has asked for is not to hold up this one
    with SandboxAws() as cloud:
        cloud.at(NOW)
        open_door(cloud, ACCOUNT)
        yield cloud


def open_door(cloud: SandboxAws, account: str) -> None:
    cloud.account(account).role("CountersignInventory", trust(CALLER_ACCOUNT, external_id="x-1"), ago(300))


def source_of(cloud: SandboxAws, **different: Any) -> AwsSource:
    usual = {"name": "aws", "accounts": (ACCOUNT,), "regions": ("eu-west-2",), "role": "CountersignInventory", "external_id": "x-1"}
    return AwsSource(**(usual | {"endpoint": cloud.endpoint} | different))


def ago(days: float = 0, **more: float) -> datetime:
    return NOW - timedelta(days=days, **more)


def read(  # noqa: PLR0913 - what a reading can be told, all optional
    cloud: SandboxAws,
    account: str = ACCOUNT,
    needs_id: Callable[[KeyRow], bool] = lambda _row: True,
    kept: Path | None = None,
    now: datetime = NOW,
    *,
    named: frozenset[str] = frozenset(),
    **source: Any,
) -> list[Record]:
    configured = source_of(cloud, **({"accounts": (account,)} | source))
    scope = next(scope for scope in aws.scopes(configured) if scope.name == account)
    return list(
        aws.read(ReadRequest(source=configured, scope=scope, run="run:7", now=lambda: now, needs_id=needs_id, named=named, kept=kept))
    )


def of(kind: type[Kind], records: Iterable[Record]) -> list[Kind]:
    return [record for record in records if isinstance(record, kind)]


def named(records: Iterable[Record]) -> dict[str, Identity]:
    return {record.name: record for record in of(Identity, records)}


def states(records: Iterable[Record]) -> dict[str, str]:
    return {row.operation: row.state for row in of(Coverage, records)}


def held(records: Iterable[Record], kind: str) -> dict[str, Credential]:
    return {one.uid.partition(f":{kind}/")[2]: one for one in of(Credential, records) if one.kind == kind}


def of_kind(records: Iterable[Record], kind: str) -> dict[str, Identity]:
    return {one.native_id: one for one in of(Identity, records) if one.kind == kind}


def coverage(records: Iterable[Record], operation: str) -> Coverage:
    (row,) = (row for row in of(Coverage, records) if row.operation == operation)
    return row


def full(cloud: SandboxAws) -> None:
    """Give the account one of everything."""
    account = cloud.account(ACCOUNT)
    account.user("svc", ago(20), policies=("AWSCodeCommitPowerUser",))
    for used in (None, ago(2)):
        account.key("svc", ago(20), last_used=used)
    account.service_credential("svc", ago(10), expires=ago(-20), service="bedrock.amazonaws.com")
    account.signing_certificate("svc", ago(30))
    account.ssh_key("svc", ago(40))
    account.server_certificate("edge", ago(50))
    account.oidc_provider(f"https://{ISSUER}", ago(60))
    account.saml_provider("okta", ago(70))
    account.delegation_request(PARTNER, "Orbit", ago(5), approver=f"arn:aws:iam::{ACCOUNT}:role/Approver")
    account.trust_anchor("factory", ago(80))
    account.anywhere_profile("fleet", ago(80))
    account.anywhere_subject("CN=robot-7", ago(80), last_seen=ago(1))
    account.secret("orders/db", ago(90))
    account.external_finding(f"arn:aws:sqs:eu-west-2:{ACCOUNT}:orders", PARTNER, ago(3), resource_type="AWS::SQS::Queue")
