"""The SDK at the edge: one shared session, clients for the right endpoint, and its errors in our words."""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countersign.errors import ReadError, ScopeDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_sts import STSClient

    from countersign.programme import AwsSource

Answer = TypeVar("Answer")

_DENIED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "OptInRequired", "SubscriptionRequiredException"),
    }
)
_DEFAULT_REGION = "us-east-1"
_PATIENT, _BRISK = 9, 4
"""Attempts for what a reading cannot do without, and for what it can: one service that is down must not hold the rest for minutes."""
_CONNECT_S, _READ_S = 10, 30
_TOLD = 500
"""Characters of an error's text that are kept: a proxy's error page says nothing after its first lines."""
_NOT_THERE = frozenset({404, 405, 500, 501})
_SESSION = re.compile(r"/countersign-[\w+=,.@-]+")
_lock = threading.Lock()


class GoneError(ReadError):
    """What was asked about no longer exists."""


class NotYetError(ReadError):
    """The credential report has not been written yet."""


class NotOfferedError(ReadError):
    """The service or the operation does not exist there, so that nothing of its kind can exist either."""


class ExpiredError(ReadError):
    """The credentials ran out."""


_KINDS: Mapping[str, type[ReadError]] = {
    "NoSuchEntity": GoneError,
    "ResourceNotFoundException": GoneError,
    "ReportInProgress": NotYetError,
    "ReportNotPresent": NotYetError,
    "ReportExpired": NotYetError,
    "ExpiredToken": ExpiredError,
    "ExpiredTokenException": ExpiredError,
    "InvalidAction": NotOfferedError,
    "UnknownOperation": NotOfferedError,
    "UnknownOperationException": NotOfferedError,
    "UnsupportedAPIEndpointException": NotOfferedError,
    "AWSOrganizationsNotInUseException": NotOfferedError,
    "AccountNotRegisteredException": GoneError,
}


class _ErrorPageError(Exception):
    """A server of HTTP answered, and no service of AWS."""


@cache
def session() -> boto3.Session:
    """Give the process's one session: one per account would cost three times the time and memory."""
    with _lock:
        made = boto3.Session()
        made.events.register("before-parse.iam", _refuse_text_for_lists)
        return made


def client(
    source: AwsSource, service: str, region: str | None = None, credentials: Mapping[str, str] | None = None, *, patient: bool = True
) -> Any:  # noqa: ANN401 -- a client's methods are made from the service's model; their answers are checked where they are read
    """Make a client; region None: the source's first, credentials None: the process's own. `patient` tries on for longer."""
    shared = cast("Any", session())
    given = credentials or {}
    with _lock:  # making clients is not thread-safe, using them is
        made = shared.client(
            service,
            region_name=region or region_of(source),
            endpoint_url=source.endpoint,
            config=_config(patient=patient),
            aws_access_key_id=given.get("AccessKeyId"),
            aws_secret_access_key=given.get("SecretAccessKey"),
            aws_session_token=given.get("SessionToken"),
        )
    if source.endpoint is not None and not patient:
        made.meta.events.register("before-parse", _know_error_pages)
    return made


def sts(source: AwsSource, credentials: Mapping[str, str] | None = None) -> STSClient:
    """Make an STS client at the regional endpoint; credentials None: the process's own."""
    return cast("STSClient", client(source, "sts", credentials=credentials))


def region_of(source: AwsSource) -> str:
    """Give the region that global services are reached through."""
    return source.regions[0] if source.regions else session().region_name or _DEFAULT_REGION


def partition_of(source: AwsSource) -> str:
    """Give the partition (`aws`, `aws-cn`, `aws-us-gov`) of the source's regions."""
    return str(session().get_partition_for_region(region_of(source)))


def offered(service: str, region: str) -> bool:
    """Whether the SDK knows the service to be in the region."""
    partition = session().get_partition_for_region(region)
    return region in session().get_available_regions(service, partition_name=partition)


def told(operation: str, question: Callable[[], Answer]) -> Answer:
    """Put a question to the SDK; raises ReadError or one of its kinds, naming the operation, whatever goes wrong."""
    try:
        return question()
    except Exception as error:  # the SDK's parsers raise almost anything over a broken answer
        raise failure(operation, error) from error


def failure(operation: str, error: Exception) -> ReadError:
    """Put an error of the SDK in our words: ScopeDeniedError for a refusal, another kind of ReadError for all else."""
    if isinstance(error, ClientError):
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", "error"))
        # Our session is named after the run: left in, an unchanged refusal would read as a new one every night.
        message = _short(f"{code}: {_SESSION.sub('/countersign', str(detail.get('Message', '')))}".rstrip(": "))
        if code in _DENIED:
            return ScopeDeniedError(operation, message)
        return _KINDS.get(code, ReadError)(operation, message)
    if isinstance(error, _ErrorPageError):
        return NotOfferedError(operation, str(error))
    if isinstance(error, BotoCoreError):
        return ReadError(operation, _short(str(error)))
    return ReadError(operation, _short(f"the answer could not be understood: {type(error).__name__}: {error}"))


def reason_of(error: ReadError) -> str:
    """Give the provider's words without the operation in front."""
    return error.message.removeprefix(f"{error.operation}: ")


def _short(text: str) -> str:
    """Keep the first line of an error's text, and not too much of it: what follows is a page or a document."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _TOLD else f"{line[:_TOLD]}…"


def _config(*, patient: bool) -> Config:
    # Config wins over the environment inside botocore, so the standard variable has to be read here to count.
    attempts = os.environ.get("AWS_MAX_ATTEMPTS", "")
    total = int(attempts) if attempts.isdecimal() and int(attempts) > 0 else _PATIENT if patient else _BRISK
    if patient:
        return Config(retries={"mode": "adaptive", "total_max_attempts": total})
    return Config(retries={"mode": "adaptive", "total_max_attempts": total}, connect_timeout=_CONNECT_S, read_timeout=_READ_S)


def _refuse_text_for_lists(operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:  # noqa: ANN401 -- botocore's own types
    """Raise ValueError for an XML answer with text in the place of a list, which the SDK would read as an empty one."""
    body = response_dict.get("body") or b""
    shape = operation_model.output_shape
    for name, member in shape.members.items() if shape is not None and isinstance(body, bytes) else ():
        tag = f"<{name}>".encode()
        at = body.find(tag) if member.type_name == "list" else -1
        if at >= 0 and body[at + len(tag) : at + len(tag) + _TOLD].lstrip()[:1] not in {b"<", b""}:
            raise ValueError(f"{name} is not a list")


def _know_error_pages(response_dict: Mapping[str, Any], **_: object) -> None:
    """Raise for a page of HTML that says 'no such thing' or 'not implemented'.

    AWS answers in its own protocols also when it fails. A stand-in or gateway that gives such a page for one operation, and
    answers others, does not have that one; it is not asked again.
    """
    body, status = response_dict.get("body"), response_dict.get("status_code")
    if status in _NOT_THERE and isinstance(body, bytes) and body.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise _ErrorPageError(f"the configured endpoint does not have it: it answers with an error page (HTTP {status})")
