"""Cuts answers into pages by what the service's model calls its tokens and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model

from sandbox.aws.contract import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.aws.disturbances import Broken

_TOKENS = ("NextToken", "nextToken", "Marker")
_LIMITS = ("MaxResults", "maxResults", "MaxItems", "pageSize")
_MORE = ("IsTruncated", "isTruncated")
_USUAL = {"organizations": 20, "cloudtrail": 50}
_OTHERWISE = 100
_NO_TOKEN = {
    "iam": "ValidationError",
    "organizations": "InvalidInputException",
    "cloudtrail": "InvalidNextTokenException",
    "secretsmanager": "InvalidNextTokenException",
}


def page(service: str, operation: str, answer: Mapping[str, Any], asked: Mapping[str, Any], most: int | None) -> dict[str, Any]:
    """Give the page of a whole answer that was asked for; unpaged operations stay whole.

    A page holds what the request allows, else the service's usual number, and never more than `most`. Raises Refusal for
    a token that was never handed out.
    """
    names = _names(service, operation)
    if names is None:
        return dict(answer)
    token, limit, entries, more = names
    start = _start(service, asked.get(token))
    size = int(asked.get(limit) or _USUAL.get(service, _OTHERWISE))
    end = start + min(size, most or size)
    left = end < len(answer[entries])
    made = {**answer, entries: list(answer[entries][start:end])}
    if more is not None:
        made[more] = left
    return made | ({token: str(end)} if left else {})


def broken(service: str, operation: str, answer: Mapping[str, Any], asked: Mapping[str, Any], how: Broken) -> dict[str, Any]:
    """Give an answer whose entries or tokens are broken as demanded; unpaged operations stay as they are."""
    names = _names(service, operation)
    if names is None:
        return dict(answer)
    token, _, entries, more = names
    before = str(asked.get(token) or "")
    if how == "empty-page":
        made = {**answer, entries: [], token: before or "0"}
    elif how == "same-token":
        made = {**answer, token: "0"}
    else:
        _, _, turns = before.partition("-")
        made = {**answer, token: f"0-{int(turns or 0) + 1}"}
    return made | ({} if more is None else {more: True})


def list_name(service: str, operation: str) -> str | None:
    """Give the name of an answer's list on the wire; None when it has none."""
    shape = get_service_model(service).operation_model(operation).output_shape
    for name, member in (shape.members if shape else {}).items():
        if member.type_name == "list":
            return str(member.serialization.get("name", name))
    return None


def _names(service: str, operation: str) -> tuple[str, str, str, str | None] | None:
    model = get_service_model(service).operation_model(operation)
    sent, given = (shape.members if shape else {} for shape in (model.input_shape, model.output_shape))
    token = next((name for name in _TOKENS if name in sent and name in given), None)
    limit = next((name for name in _LIMITS if name in sent), None)
    entries = next((name for name, member in given.items() if member.type_name == "list"), None)
    if token is None or entries is None:
        return None
    return token, limit or "", entries, next((name for name in _MORE if name in given), None)


def start_of(token: str) -> int:
    """Give where a token says to go on: it is a position, which an endless answer follows with a dash and its turn."""
    return int(token.partition("-")[0])


def _start(service: str, token: str | None) -> int:
    if token is None:
        return 0
    try:
        return start_of(token)
    except ValueError:
        raise Refusal(_NO_TOKEN.get(service, "ValidationException"), "The token is not one that was handed out.") from None
