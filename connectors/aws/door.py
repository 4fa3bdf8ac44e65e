"""The way into an AWS account: one shared session, the right account or none, and errors in our words."""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countersign.errors import ReadError, ScopeDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

    from countersign.programme import AwsSource

Answer = TypeVar("Answer")

SESSION_SECONDS = 900
"""How long an assumed role lasts; a longer read assumes it again."""
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired"}
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_DEFAULT_REGION = "us-east-1"
_lock = threading.Lock()


class GoneError(ReadError):
    """What was asked about no longer exists."""


class NotYetError(ReadError):
    """The credential report has not been written yet."""


_SESSION = re.compile(r"/countersign-[\w+=,.@-]+")
_KINDS: Mapping[str, type[ReadError]] = {
    "NoSuchEntity": GoneError,
    "ReportInProgress": NotYetError,
    "ReportNotPresent": NotYetError,
    "ReportExpired": NotYetError,
}


class Account:
    """One account, entered as one caller."""

    def __init__(self, source: AwsSource, number: str, role: str | None, run: str) -> None:
        """Enter the account; raises ScopeDeniedError when it is refused or another account answers, else ReadError."""
        self._source = source
        self.number = number
        self._role = role
        self._session_name = re.sub(r"[^\w+=,.@-]", "-", f"countersign-{run}", flags=re.ASCII)[:64]
        self.caller = ""
        """ARN of who asks, by STS's word."""
        self._iam = self._enter()

    def ask(self, operation: str, question: Callable[[IAMClient], Answer]) -> Answer:
        """Put one question to IAM; raises ScopeDeniedError, GoneError or ReadError, naming the operation.

        An assumed role that ran out is assumed again, once.
        """
        try:
            return question(self._iam)
        except ClientError as error:
            if self._role is None or _code(error) not in _EXPIRED:
                raise failure(operation, error) from error
        except BotoCoreError as error:
            raise failure(operation, error) from error
        self._iam = self._enter()
        try:
            return question(self._iam)
        except (ClientError, BotoCoreError) as error:
            raise failure(operation, error) from error

    def _enter(self) -> IAMClient:
        if self._role is None:
            self.caller = caller(self._source)
            self._check("the credentials of this process belong")
            return _iam(self._source)
        parameters = {"ExternalId": self._source.external_id} if self._source.external_id else {}
        try:
            answer = sts(self._source).assume_role(
                RoleArn=self._role,
                RoleSessionName=self._session_name,
                DurationSeconds=SESSION_SECONDS,
                **parameters,  # type: ignore[arg-type] # an optional parameter that STS does not accept as None
            )
        except (ClientError, BotoCoreError) as error:
            raise failure("sts:AssumeRole", error) from error
        self.caller = answer["AssumedRoleUser"]["Arn"]
        self._check(f"{self._role} belongs")
        given = answer["Credentials"]
        return _iam(self._source, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def _check(self, whose: str) -> None:
        actual = account_of(self.caller)
        if actual != self.number:
            operation = "sts:GetCallerIdentity" if self._role is None else "sts:AssumeRole"
            message = (
                f"{whose} to account {actual}, not to {self.number}; nothing was read. Name a role in that account, or its credentials"
            )
            raise ScopeDeniedError(operation, message)


def caller(source: AwsSource) -> str:
    """Give the ARN behind the process's own credentials; raises ScopeDeniedError or ReadError."""
    try:
        return sts(source).get_caller_identity()["Arn"]
    except (ClientError, BotoCoreError) as error:
        raise failure("sts:GetCallerIdentity", error) from error


def account_of(arn: str) -> str:
    """Give the account number inside an ARN."""
    return next(iter(arn.split(":", 5)[4:5]), "")


def role_arn(source: AwsSource, account: str) -> str | None:
    """Give the ARN of the source's role in an account; None when the source reads as the caller itself.

    The role is a name with or without path, the same in all accounts, or an ARN with `{account}` for the number.
    """
    if source.role is None or source.role.startswith("arn:"):
        return source.role and source.role.replace("{account}", account)
    partition = session().get_partition_for_region(_region(source))
    return f"arn:{partition}:iam::{account}:role/{source.role.removeprefix('/')}"


@cache
def session() -> boto3.Session:
    """Give the process's one session: one per account would cost three times the time and memory."""
    with _lock:
        return boto3.Session()


def sts(source: AwsSource) -> STSClient:
    """Make an STS client with the process's own credentials, at the regional endpoint."""
    shared = session()
    with _lock:  # making clients is not thread-safe, using them is
        return shared.client("sts", region_name=_region(source), endpoint_url=source.endpoint, config=_config())


def failure(operation: str, error: Exception) -> ReadError:
    """Put an error of the SDK in our words: ScopeDeniedError for a refusal, GoneError for a missing subject, else ReadError."""
    if isinstance(error, ClientError):
        detail = error.response.get("Error", {})
        # Our session is named after the run: left in, an unchanged refusal would read as a new one every night.
        told = _SESSION.sub("/countersign", detail.get("Message", ""))
        message = f"{detail.get('Code', 'error')}: {told}".rstrip(": ")
        if _code(error) in _DENIED:
            return ScopeDeniedError(operation, message)
        return _KINDS.get(_code(error), ReadError)(operation, message)
    return ReadError(operation, str(error))


def reason_of(error: ReadError) -> str:
    """Give the provider's words without the operation in front."""
    return error.message.removeprefix(f"{error.operation}: ")


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _iam(source: AwsSource, key: str | None = None, secret: str | None = None, token: str | None = None) -> IAMClient:
    shared = session()
    with _lock:
        return shared.client(
            "iam",
            region_name=_region(source),
            endpoint_url=source.endpoint,
            config=_config(),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )


def _region(source: AwsSource) -> str:
    return source.regions[0] if source.regions else session().region_name or _DEFAULT_REGION


def _config() -> Config:
    # Config wins over the environment inside botocore, so the standard variable has to be read here to count.
    attempts = os.environ.get("AWS_MAX_ATTEMPTS", "")
    if attempts.isdecimal() and int(attempts) > 0:
        return Config(retries={"mode": "adaptive", "total_max_attempts": int(attempts)})
    return Config(retries={"mode": "adaptive", "max_attempts": 8})
