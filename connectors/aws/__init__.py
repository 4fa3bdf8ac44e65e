"""Reads AWS accounts: users, roles, passwords, access keys, privileges and outside trust, in bulk calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connectors.aws.door import Account, NotYetError, account_of, caller, reason_of, role_arn
from connectors.aws.reading import AUTHORIZATION, GENERATE, KEY_USE, LIST_KEYS, REPORT, SUMMARY, AccountReading
from countersign.errors import ReadError
from countersign.reading import Probe, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_iam import IAMClient

    from countersign.identity import Record
    from countersign.programme import AwsSource, Source
    from countersign.reading import ReadRequest

PROVIDER = "aws"
PERMISSIONS = (GENERATE, KEY_USE, AUTHORIZATION, SUMMARY, REPORT, LIST_KEYS, "sts:AssumeRole", "sts:GetCallerIdentity")


def scopes(source: Source) -> tuple[Scope, ...]:
    """List the accounts to read: those configured, else the account that the process's own credentials belong to.

    Raises ReadError when that account cannot be learned, or a role is configured without accounts.
    """
    aws = _aws(source)
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
    account = Account(_aws(request.source), request.scope.name, request.scope.detail.get("role"), request.run)
    yield from AccountReading(account, request).records()


def probe(source: Source) -> Iterator[Probe]:
    """Enter each account and try each bulk read with the smallest call; no report is generated."""
    try:
        accounts = scopes(source)
    except ReadError as error:
        yield Probe(source.name, error.operation, ok=False, detail=reason_of(error))
        return
    for scope in accounts:
        role = scope.detail.get("role")
        entering = "sts:AssumeRole" if role else "sts:GetCallerIdentity"
        try:
            account = Account(_aws(source), scope.name, role, "doctor")
        except ReadError as error:
            yield Probe(scope.name, entering, ok=False, detail=reason_of(error))
            continue
        yield Probe(scope.name, entering, ok=True, detail=account.caller)
        for operation, question in _QUESTIONS:
            yield _try(account, operation, question)


_QUESTIONS: tuple[tuple[str, Callable[[IAMClient], object]], ...] = (
    (SUMMARY, lambda iam: iam.get_account_summary()),
    (REPORT, lambda iam: iam.get_credential_report()),
    (AUTHORIZATION, lambda iam: iam.get_account_authorization_details(MaxItems=1)),
)


def _try(account: Account, operation: str, question: Callable[[IAMClient], object]) -> Probe:
    try:
        account.ask(operation, question)
    except NotYetError:
        return Probe(account.number, operation, ok=True, detail="allowed; no current report, a run has one written")
    except ReadError as error:
        return Probe(account.number, operation, ok=False, detail=f"{reason_of(error)}; {account.caller} needs {operation}")
    return Probe(account.number, operation, ok=True, detail=account.caller)


def _aws(source: Source) -> AwsSource:
    return cast("AwsSource", source)  # the programme loader hands each connector its own kind of source
