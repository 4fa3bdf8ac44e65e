"""The kinds of value in the customer's files, and what is said when one is wrong (never the value itself)."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from countersign import clock
from countersign.document import meant

KINDS = (
    "aws_access_key",
    "aws_secret",
    "aws_service_credential",
    "aws_signing_certificate",
    "aws_ssh_key",
    "password",
    "entra_secret",
    "entra_certificate",
    "gcp_key",
    "gcp_api_key",
    "vault_secret_id",
    "vault_token",
    "vault_secret",
    "vault_database_role",
    "vault_lease",
)
"""Kinds of credential that a policy may name."""


def refusal(message: str, fix: str, rule: str = "syntax") -> PydanticCustomError:
    """Make the error that the loader turns into a Problem; neither sentence may hold the value."""
    return PydanticCustomError("refused", "{message}", {"message": message, "fix": fix, "rule": rule})


def shape(pattern: str, message: str, fix: str) -> Callable[[str], str]:
    """Make a validator that takes only text of this pattern."""
    compiled = re.compile(pattern)

    def matches(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise refusal(message, fix)
        return text

    return matches


def _date(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise refusal("is not a day of the calendar", "write year-month-day, such as 2026-12-31")


def _moment(value: object) -> object:
    if isinstance(value, str):
        try:
            return clock.instant(value)
        except ValueError:
            pass
    elif isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise refusal("is not an instant with its time zone", "write it as 2026-11-22T08:30:00Z")


def _span(value: object) -> object:
    span = value
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):
            span = clock.duration(value)
    if not isinstance(span, timedelta):
        raise refusal("is not a duration of days or shorter units", "write an ISO 8601 duration, such as P90D, PT12H or PT15M")
    if span > LONGEST:
        raise refusal("is longer than a hundred years", "write a shorter one, or leave it out where there is no limit")
    return span


def _period(text: str) -> str:
    if not clock.is_period(text):
        raise refusal("is not a period", "write an ISO 8601 period, such as P7Y or P18M")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise refusal("is not a known time zone", "write a name of the IANA list, such as Europe/London or UTC") from None
    return text


def _account(value: object) -> object:
    if isinstance(value, int):
        raise refusal("is an account number without quotes, which loses leading zeros", 'quote it, such as "012345678901"')
    if isinstance(value, str) and re.fullmatch(r"[0-9]{12}", value):
        return value
    raise refusal("is not an AWS account number", "write its 12 digits in quotes")


def _kind(text: str) -> str:
    if text not in KINDS:
        close = meant(text, KINDS)
        known = f"use one of {', '.join(KINDS)}"
        raise refusal("is not a kind of credential that a policy can name", known if close is None else f"did you mean `{close}`? {known}")
    return text


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def at_least_one(value: object) -> object:
    """Refuse an empty list."""
    if value == ():
        raise refusal("is an empty list", "list at least one")
    return value


def single(value: object) -> object:
    """Refuse a list where exactly one accountable person is wanted."""
    if isinstance(value, tuple):
        raise refusal(
            "names more than one, and exactly one person is accountable", "keep one name; others can be under C or I", "raci-accountable"
        )
    return value


_ID_FIX = "begin with a letter or digit and use only letters, digits, dot, dash, underscore (at most 64)"
_REF_FIX = "write a person's id, a partner's id, or partner/person (such as acme/pavel)"
_PATTERN = r"[a-z][a-z0-9-]*:[^\s:]+:[a-z][a-z-]*/\S(?:.*\S)?"

Day = Annotated[date, BeforeValidator(_date)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
LONGEST = timedelta(days=36_525)
"""No duration of a register is longer: the calendar ends, and so do counters of microseconds."""
Span = Annotated[timedelta, BeforeValidator(_span)]
Period = Annotated[str, AfterValidator(_period), WithJsonSchema({"type": "string", "format": "duration"})]
AccountId = Annotated[str, BeforeValidator(_account), WithJsonSchema({"type": "string", "pattern": "^[0-9]{12}$"})]
Slug = Annotated[
    str,
    AfterValidator(shape(r"[a-z0-9][a-z0-9._-]{0,63}", "is not an id", f"{_ID_FIX}, in lower case")),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}),
]
EntryId = Annotated[
    str,
    AfterValidator(shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is not an id", _ID_FIX)),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}),
]
Ref = Annotated[
    str,
    AfterValidator(shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?", "is not a name", _REF_FIX)),
    WithJsonSchema({"type": "string"}),
]
Refs = Annotated[
    tuple[Ref, ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
CredentialKind = Annotated[str, AfterValidator(_kind), WithJsonSchema({"type": "string", "enum": list(KINDS)})]
NamePattern = Annotated[
    str, AfterValidator(shape(r".*[^*?\s].*", "matches every name", "write the part that only this party's names have, such as acme-*"))
]
IdentityPattern = Annotated[
    str,
    AfterValidator(
        shape(
            _PATTERN,
            "is not a pattern of identities",
            'write "provider:scope:kind/name", such as "aws:*:user/acme-backup"; only scope and name may hold *',
        )
    ),
    WithJsonSchema({"type": "string", "pattern": f"^{_PATTERN}$"}),
]
ScopePattern = Annotated[
    str,
    AfterValidator(
        shape(r"[a-z][a-z0-9-]*:\S+", "is not a pattern of scopes", 'write "provider:scope", such as "aws:444455556666" or "gcp:shop-*"')
    ),
]
FileName = Annotated[
    str, AfterValidator(shape(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", "is not a file name", "name a file that lies beside this one"))
]
Zone = Annotated[str, AfterValidator(_zone)]


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_ok = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_ok or parts.query or parts.fragment:
        raise refusal("is not a web address", "write https://host:port, without a query")
    return text


SourceName = Annotated[
    str,
    AfterValidator(
        shape(r"[a-z0-9][a-z0-9-]{0,63}", "is not a name for a source", "use lower-case letters, digits and dashes, such as aws-main")
    ),
]
Address = Annotated[str, AfterValidator(_web_address)]
