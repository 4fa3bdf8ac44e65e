"""Reads requests and writes answers by botocore's own service models, and says where either breaks them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, StringShape, StructureShape
from botocore.parsers import create_parser
from botocore.utils import parse_timestamp
from botocore.validate import ParamValidator
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

from sandbox.aws.estate import utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.model import Shape
    from moto.core.model import OperationModel
    from moto.core.request import Request

REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)
"""What parsing a request that is not of its shape raises."""


class Refusal(Exception):  # noqa: N818 -- an answer of AWS, not a failure of ours
    """An error answer: a code and a message, put into the protocol's own form by `refused`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Wire:
    """Status, headers and body of one HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def protocol(service: str) -> str:
    """Give the protocol botocore speaks with a service: query, json or rest-json."""
    return str(get_service_model(service).protocol)


def operation_of(service: str, request: Request) -> tuple[str, dict[str, Any]]:
    """Give the operation a request asks for and what its path holds; an empty name when nothing in the model fits."""
    if protocol(service) == "query":
        return request.values.get("Action", ""), {}
    if protocol(service) == "json":
        return request.headers.get("X-Amz-Target", "").rpartition(".")[2], {}
    try:
        operation, path = get_service_router(service).match(request)
    except (HTTPException, NotImplementedError):
        return "", {}
    return str(operation.name), path


def known(service: str, operation: str) -> bool:
    """Whether the model has an operation of this name."""
    return operation in get_service_model(service).operation_names


def parameters(service: str, operation: str, request: Request, path: Mapping[str, Any]) -> dict[str, Any]:
    """Read the parameters of a request, times as aware UTC; raises Refusal when the model does not allow them."""
    model = _operation(service, operation)
    parser = PROTOCOL_PARSERS[determine_request_protocol(model.service_model, request.content_type)]
    raw: Any = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": request.get_data(),
        "url_path": request.path,
        "url_params": path,
    }
    try:
        given: dict[str, Any] = parser(model, timestamp_parser=lambda value: utc(parse_timestamp(value))).parse(raw)
        wrong = [*_unknown(model, request), *(breaches(model.input_shape, given) if model.input_shape else ())]
    except _UNREADABLE as error:
        wrong = [f"the request cannot be read: {error}"]
    if wrong:
        plural = "s" if len(wrong) > 1 else ""
        raise Refusal(_INVALID.get(service, "ValidationException"), f"{len(wrong)} validation error{plural} detected: {'; '.join(wrong)}")
    return given


def breaches(shape: Shape, value: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Say where a value breaks its shape: what botocore itself checks, and names, enumerations, lengths and patterns."""
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        yield f"{where or shape.name}: {report.generate_report()}"
    else:
        yield from _further(shape, value, where or shape.name)


def result_shape(service: str, operation: str) -> StructureShape:
    """Give the shape of one entry of an operation's first top-level list."""
    for member in _members(_operation(service, operation).output_shape).values():
        if isinstance(member, ListShape) and isinstance(member.member, StructureShape):
            return member.member
    message = f"{service}:{operation} lists nothing"
    raise LookupError(message)


def fitting(shape: StructureShape, record: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a record what a shape has room for."""
    return {name: value for name, value in record.items() if name in shape.members}


def answered(service: str, operation: str, answer: Mapping[str, Any]) -> Wire:
    """Write an answer as the service does; it is not checked here."""
    model = _operation(service, operation)
    serializer = get_serializer_class(service, protocol(service))(model, context=SerializationContext(REQUEST_ID))
    made = serializer.serialize(answer)
    body = made["body"]
    headers = {**made["headers"], "x-amzn-RequestId": REQUEST_ID}
    return Wire(made["status_code"], headers, body if isinstance(body, bytes) else body.encode())


def read_back(service: str, operation: str, wire: Wire) -> dict[str, Any]:
    """Read an answer with botocore's parser, as a client does."""
    given = {"status_code": wire.status, "headers": {name.lower(): value for name, value in wire.headers.items()}, "body": wire.body}
    parsed: dict[str, Any] = create_parser(protocol(service)).parse(given, _operation(service, operation).output_shape)  # type: ignore[arg-type] # None is allowed, and means no output
    parsed.pop("ResponseMetadata", None)
    return parsed


def output_breaches(service: str, operation: str, answer: Mapping[str, Any]) -> list[str]:
    """Say where an answer breaks the operation's output shape."""
    shape = _operation(service, operation).output_shape
    if shape is None:
        return [f"{name}: there is no answer to this operation" for name in answer]
    return list(breaches(shape, answer))


def refused(service: str, refusal: Refusal) -> Wire:
    """Write an error answer in the protocol's own form, with the status the model gives its code."""
    spoken = protocol(service)
    status, field = _error_facts(service, refusal.code)
    if spoken == "query":
        model = get_service_model(service)
        fault = "Sender" if status < _SERVER_ERROR else "Receiver"
        body = (
            f'<ErrorResponse xmlns="{model.metadata["xmlNamespace"]}"><Error><Type>{fault}</Type><Code>{escape(refusal.code)}</Code>'
            f"<Message>{escape(refusal.message)}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        )
        return Wire(status, {"Content-Type": "text/xml", "x-amzn-RequestId": REQUEST_ID}, body.encode())
    headers = {"x-amzn-RequestId": REQUEST_ID, "Content-Type": "application/x-amz-json-1.1" if spoken == "json" else "application/json"}
    if spoken == "json":
        return Wire(status, headers, json.dumps({"__type": refusal.code, field: refusal.message}).encode())
    return Wire(status, headers | {"x-amzn-ErrorType": refusal.code}, json.dumps({field: refusal.message}).encode())


def code_for(service: str, meaning: str) -> str:
    """Give a service's own error code for `denied`, `unknown-key`, `expired`, `throttled`, `unknown-operation` or `internal`."""
    if meaning == "throttled" and service == "organizations":
        return "TooManyRequestsException"
    return _CODES[meaning][protocol(service) == "query"]


_SERVER_ERROR = 500
_INVALID = {
    "iam": "ValidationError",
    "sts": "ValidationError",
    "organizations": "InvalidInputException",
    "secretsmanager": "InvalidParameterException",
}
_CODES = {
    "denied": ("AccessDeniedException", "AccessDenied"),
    "unknown-key": ("UnrecognizedClientException", "InvalidClientTokenId"),
    "expired": ("ExpiredTokenException", "ExpiredToken"),
    "throttled": ("ThrottlingException", "Throttling"),
    "unknown-operation": ("UnknownOperationException", "InvalidAction"),
    "internal": ("InternalServerException", "ServiceFailure"),
}
"""By meaning: the code in the JSON protocols, the code in the query protocol."""
_STATUS = {
    **dict.fromkeys(("AccessDenied", "InvalidClientTokenId", "ExpiredToken", "OptInRequired"), 403),
    **dict.fromkeys(("ServiceFailure", "InternalServerException", "InternalFailure", "ServiceException"), 500),
    **dict.fromkeys(("ServiceUnavailable", "ServiceUnavailableException"), 503),
}
"""Status of codes that the models leave out."""
_REST_STATUS = {
    "UnrecognizedClientException": 403,
    "ExpiredTokenException": 403,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
}


def _error_facts(service: str, code: str) -> tuple[int, str]:
    """Give the status of a code and the name of its message's field."""
    for shape in get_service_model(service).error_shapes:
        detail = shape.metadata.get("error", {})
        if code in {shape.name, detail.get("code")}:
            field = next((name for name in _members(shape) if name.lower() == "message"), "message")
            return int(detail.get("httpStatusCode", _STATUS.get(code, 400))), field
    by_protocol = _REST_STATUS if protocol(service) == "rest-json" else {}
    return by_protocol.get(code, _STATUS.get(code, 400)), "message"


def _members(shape: Shape | None) -> Mapping[str, Shape]:
    return shape.members if isinstance(shape, StructureShape) else {}


@cache
def _operation(service: str, operation: str) -> OperationModel:
    model: OperationModel = get_service_model(service).operation_model(operation)
    return model


def _unknown(model: OperationModel, request: Request) -> Iterator[str]:
    members = _members(model.input_shape)
    names = {member.serialization.get("name", name) for name, member in members.items()} | {"Action", "Version"}
    sent = {name.partition(".")[0] for name in request.values}
    if protocol(model.service_model.service_name) != "query":
        sent |= set(json.loads(request.get_data() or b"{}"))
    yield from (f"Unknown parameter {name!r}" for name in sorted(sent - names))


def _further(shape: Shape, value: Any, where: str) -> Iterator[str]:  # noqa: ANN401 -- of any type the model has
    if isinstance(shape, StructureShape):
        yield from (f"{where}: Unknown member {name!r}" for name in sorted(set(value) - set(shape.members)))
        inside = [(member, value[name], f"{where}.{name}") for name, member in shape.members.items() if value.get(name) is not None]
    elif isinstance(shape, ListShape):
        yield from _sized(shape, len(value), where)
        inside = [(shape.member, entry, where) for entry in value]
    elif isinstance(shape, MapShape):
        inside = [(shape.value, entry, where) for entry in value.values()]
    else:
        inside = []  # a leaf
        if isinstance(shape, StringShape):
            yield from _worded(shape, value, where)
        elif shape.type_name in {"integer", "long"}:
            yield from _sized(shape, value, where)
    for member, entry, place in inside:
        yield from _further(member, entry, place)


def _worded(shape: StringShape, value: str, where: str) -> Iterator[str]:
    yield from _sized(shape, len(value), where)
    if shape.enum and value not in shape.enum:
        yield f"{where}: Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = _pattern(shape.metadata.get("pattern", ""))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{where}: Member must satisfy regular expression pattern: {pattern.pattern}"


def _sized(shape: Shape, size: int, where: str) -> Iterator[str]:
    if size > shape.metadata.get("max", size):
        yield f"{where}: Member must be no more than {shape.metadata['max']}"
    if size < shape.metadata.get("min", size):
        yield f"{where}: Member must be at least {shape.metadata['min']}"


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """Compile a pattern of a model; None for none, and for those with classes of Unicode, which Python does not have."""
    return re.compile(text) if text and "\\p{" not in text else None
