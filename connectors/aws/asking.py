"""Single questions and whole listings for revoking, where an answer that is not whole is no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from connectors.aws.listing import Listing
from connectors.aws.sdk import GoneError
from connectors.aws.visit import is_data
from countersign.aws_documents.fields import details, text
from countersign.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.aws.door import Account
    from connectors.aws.listing import Item

_MOST_PAGES = 10_000


def ask(account: Account, operation: str, parameters: Mapping[str, Any] | None = None, region: str | None = None) -> Item:
    """Put one question such as `iam:GetUser`; raises GoneError, ScopeDeniedError or another ReadError."""
    service, _, action = operation.partition(":")
    return account.call(Listing(service=service, action=action), parameters or {}, region=region)


def thing(account: Account, operation: str, name: str, parameters: Mapping[str, Any], region: str | None = None) -> Item | None:
    """Ask for one thing, the member `name` of the answer; None when it is gone. Raises ReadError for an answer without it."""
    try:
        answer = ask(account, operation, parameters, region)
    except GoneError:
        return None
    found = answer.get(name)
    if not isinstance(found, dict):
        raise ReadError(operation, f"the answer has no {name}")
    return found


def rows(  # noqa: PLR0913, PLR0917 -- what a listing is asked with
    account: Account,
    operation: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    region: str | None = None,
    start: str = "Marker",
) -> Iterator[Item]:
    """List to the end; raises GoneError where what it is listed of is gone, ReadError for a listing that is not whole."""
    for answer in _pages(account, operation, name, parameters, region, start):
        yield from details(answer, name)


def names(account: Account, operation: str, name: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """List names to the end; raises as `rows` does."""
    for answer in _pages(account, operation, name, parameters, None, "Marker"):
        yield from map(str, cast("list[object]", answer.get(name) or []))


def _pages(  # noqa: PLR0913, PLR0917 -- what a listing is asked with
    account: Account, operation: str, name: str, parameters: Mapping[str, Any] | None, region: str | None, start: str
) -> Iterator[Item]:
    asked: dict[str, Any] = dict(parameters or {})
    for _ in range(_MOST_PAGES):
        answer = ask(account, operation, asked, region)
        listed = answer.get(name)
        if not isinstance(listed, list) and (listed is not None or not is_data(answer)):
            raise ReadError(operation, f"the answer has no list of {name}")
        yield answer
        after = text(answer, start)
        if not after and (answer.get("IsTruncated") is True or answer.get("isTruncated") is True):
            raise ReadError(operation, "a page promises more and does not say where it starts")
        if not after:
            return
        if asked.get(start) == after and listed:
            break
        asked[start] = after
    raise ReadError(operation, "the listing does not come to an end")
