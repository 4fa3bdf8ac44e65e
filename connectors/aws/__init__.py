"""Reads AWS accounts and organisations in bulk calls, and revokes: one change at a time, by another identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connectors.aws.canary import planter
from connectors.aws.door import account_of, caller, enter, role_arn
from connectors.aws.organization import scopes_of
from connectors.aws.permissions import DRILL_PERMISSIONS, LOOK_PERMISSIONS, PERMISSIONS, REVOKE_PERMISSIONS, permission_files
from connectors.aws.probing import probes
from connectors.aws.reading import AUTHORIZATION, CORE, REPORT, AccountReading
from connectors.aws.revoking import hand
from connectors.aws.sdk import reason_of
from countersign.errors import ReadError
from countersign.reading import Probe, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.identity import Record
    from countersign.programme import AwsSource, Source
    from countersign.reading import ReadRequest

PROVIDER = "aws"
__all__ = [
    "AUTHORIZATION",
    "CORE",
    "DRILL_PERMISSIONS",
    "LOOK_PERMISSIONS",
    "PERMISSIONS",
    "PROVIDER",
    "REPORT",
    "REVOKE_PERMISSIONS",
    "hand",
    "permission_files",
    "planter",
    "probe",
    "read",
    "scopes",
]


def scopes(source: Source) -> tuple[Scope, ...]:
    """List the accounts to read: the organisation's active ones and those configured, else the account of the credentials at hand.

    Raises ScopeDeniedError or ReadError when they cannot be listed, or when other accounts are to be read without a role.
    """
    aws = _aws(source)
    if aws.organization:
        return scopes_of(aws)
    if aws.accounts:
        arns = {account: role_arn(aws, account) for account in aws.accounts}
        return tuple(Scope(aws.name, PROVIDER, account, {"role": arn} if arn else {}) for account, arn in arns.items())
    if aws.role is not None:
        raise ReadError("list accounts", f"source {aws.name} names a role and no accounts; list the accounts to read")
    return (Scope(aws.name, PROVIDER, account_of(caller(aws))),)


def read(request: ReadRequest) -> Iterator[Record]:
    """Yield the records of one account, page by page.

    Raises ScopeDeniedError when the account refuses, or when the credentials turn out to belong to another account: nothing
    is ever read from an account that was not asked for. Raises ReadError when it cannot be reached.
    """
    yield from AccountReading(enter(_aws(request.source), request.scope, request.run), request).records()


def probe(source: Source) -> Iterator[Probe]:
    """Enter each account and try each operation with the smallest call; no report is generated."""
    aws = _aws(source)
    try:
        accounts = scopes(source)
    except ReadError as error:
        yield Probe(source.name, error.operation, ok=False, detail=reason_of(error))
        return
    for scope in accounts:
        yield from probes(aws, scope)


def _aws(source: Source) -> AwsSource:
    return cast("AwsSource", source)  # the programme loader hands each connector its own kind of source
