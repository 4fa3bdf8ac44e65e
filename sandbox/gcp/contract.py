"""Google's discovery documents as a check on requests and answers, read from the google-api-python-client wheel as an archive."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.gcp.refusal import Json

DOCUMENTS = ("iam.v1", "cloudasset.v1", "policyanalyzer.v1", "apikeys.v2", "cloudresourcemanager.v3", "iamcredentials.v1")
"""The APIs that are checked."""
_WHEEL = "google_api_python_client-*.whl"
_FOLDER = "googleapiclient/discovery_cache/documents"
_FORMATS = {
    "int64": re.compile(r"-?\d{1,19}"),
    "uint64": re.compile(r"\d{1,20}"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "google-duration": re.compile(r"-?\d+(\.\d{1,9})?s"),
    "byte": re.compile(r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}==|[A-Za-z0-9+/_-]{3}=)?"),
}
"""What strings of a format look like (developers.google.com/discovery/v1/type-format)."""
_INT32 = 2**31
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "boolean": (bool, "a boolean"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
}
"""What a value of a type is in Python, and in words. Numbers of 64 bits are texts (a string with a format)."""


@dataclass(frozen=True, slots=True)
class _Method:
    method: str
    verb: str
    path: re.Pattern[str]
    custom: bool
    """Whether the path ends in a colon and a verb of its own (AIP-136)."""
    parameters: Mapping[str, Json]
    in_path: tuple[str, ...]
    common: frozenset[str]
    request: Json | None
    response: Json | None
    schemas: Mapping[str, Json]


class Contract:
    """The documents, ready to check by; all checks give what is wrong, nothing if all is right."""

    def __init__(self, documents: Sequence[Json]) -> None:
        self._methods = {method.method: method for document in documents for method in _methods(document, document)}

    @classmethod
    def read(cls, folder: Path | None = None) -> Contract:
        """Read the documents from the wheel in a folder, None for this environment's. Raises CountersignError if it is missing."""
        folder = folder or Path(sys.prefix) / "contracts"
        wheels = sorted(folder.glob(_WHEEL))
        if not wheels:
            raise CountersignError(
                f"there is no {_WHEEL} in {folder}, with Google's discovery documents", fix="run `make test`, which fetches it"
            )
        with zipfile.ZipFile(wheels[-1]) as archive:
            return cls([json.loads(archive.read(f"{_FOLDER}/{name}.json")) for name in DOCUMENTS])

    def check_request(
        self, verb: str, path: str, query: Sequence[tuple[str, str]] = (), body: Json | bytes | None = None
    ) -> tuple[str, ...]:
        """Check a REST request; `path` without host and leading slash."""
        fitting = [method for method in self._methods.values() if method.path.fullmatch(path)]
        # `keys/k1:disable` would also do as the name of a key; Google takes it for the custom method.
        fitting = [method for method in fitting if method.custom] or fitting
        if not fitting:
            return (f"unknown path: {path}",)
        allowed = [method for method in fitting if method.verb == verb]
        if not allowed:
            return (f"{verb} is not for {path}, but {', '.join(sorted({method.verb for method in fitting}))}",)
        return (*_query_problems(allowed[0], query), *_body_problems(allowed[0], body))

    def check_message(self, method: str, asked: Json) -> tuple[str, ...]:
        """Check the JSON form of a gRPC request as parameters, or as the body, of an operation such as `iam.roles.list`."""
        known, problems, body = self._methods[method], list[str](), dict[str, Any]()
        for name, value in _flat(asked, self._methods[method].parameters):
            if name in known.parameters:
                problems += _value_problems(known.schemas, _single(known.parameters[name], value), value, name)
            else:
                body[name] = value
        if known.request is None:
            return (*problems, *(f"unknown field: {name}" for name in body))
        return (*problems, *_value_problems(known.schemas, known.request, body, ""))

    def check_response(self, method: str, answer: object) -> tuple[str, ...]:
        """Check the JSON of an answer of an operation such as `iam.roles.list`."""
        known = self._methods[method]
        return tuple(_value_problems(known.schemas, known.response or {"type": "object"}, answer, ""))

    def schema(self, method: str, name: str) -> Json:
        """Give a schema, such as `ServiceAccount`, from the document that an operation is in."""
        return self._methods[method].schemas[name]

    def parameters(self, method: str) -> frozenset[str]:
        """Give the parameters of an operation, in path and query, without those that every operation has."""
        return frozenset(self._methods[method].parameters)


def _methods(document: Json, resource: Json) -> Iterator[_Method]:
    for method in resource.get("methods", {}).values():
        parameters = method.get("parameters", {})
        yield _Method(
            method=method["id"],
            verb=method["httpMethod"],
            path=_path(method["path"], parameters),
            custom=":" in method["path"].rpartition("}")[2],
            parameters=parameters,
            in_path=tuple(name for name, each in parameters.items() if each["location"] == "path"),
            common=frozenset(document.get("parameters", {})),
            request=method.get("request"),
            response=method.get("response"),
            schemas=document["schemas"],
        )
    for inner in resource.get("resources", {}).values():
        yield from _methods(document, inner)


def _path(template: str, parameters: Mapping[str, Json]) -> re.Pattern[str]:
    """Turn `v1/{+name}/keys` into a pattern, with each parameter's own one in place of it."""
    parts = re.split(r"\{\+?([\w.]+)\}", template)
    patterns = [
        re.escape(part) if index % 2 == 0 else parameters[part].get("pattern", "[^/]+").strip("^$") for index, part in enumerate(parts)
    ]
    return re.compile("".join(patterns))


def _query_problems(method: _Method, query: Sequence[tuple[str, str]]) -> Iterator[str]:
    seen = [name for name, _ in query]
    for name, value in query:
        known = method.parameters.get(name)
        if known is None or name in method.in_path:
            if name not in method.common:
                yield f"unknown query parameter: {name}"
            continue
        yield from _text_problems(known, value, name)
    for name, known in method.parameters.items():
        if seen.count(name) > 1 and not known.get("repeated"):
            yield f"given more than once: {name}"
        if known.get("required") and known["location"] == "query" and name not in seen:
            yield f"missing query parameter: {name}"


def _text_problems(known: Json, value: str, at: str) -> Iterator[str]:
    """Check a value in a query, where numbers and booleans are texts."""
    kind = known["type"]
    if kind == "boolean" and value not in {"true", "false"}:
        yield f"{at}: not a boolean: {value!r}"
    elif kind == "integer" and not re.fullmatch(r"-?\d+", value):
        yield f"{at}: not a number: {value!r}"
    elif kind == "string":
        yield from _string_problems(known, value, at)


def _body_problems(method: _Method, body: Json | bytes | None) -> Iterator[str]:
    if isinstance(body, bytes):
        yield "the body is not a JSON object"
    elif body and method.request is None:
        yield f"{method.method} takes no body"
    elif body and method.request is not None:
        yield from _value_problems(method.schemas, method.request, body, "")


def _flat(asked: Json, parameters: Mapping[str, Json]) -> Iterator[tuple[str, object]]:
    """Give fields by the names of parameters: what is inside a message has a name with a dot, as in a query."""
    for name, value in asked.items():
        inner = {f"{name}.{field}": each for field, each in value.items()} if isinstance(value, dict) else {}
        if inner and inner.keys() <= parameters.keys():
            yield from inner.items()
        else:
            yield name, value


def _single(parameter: Json, value: object) -> Json:
    return {"type": "array", "items": parameter} if parameter.get("repeated") and isinstance(value, list) else parameter


def _value_problems(schemas: Mapping[str, Json], schema: Json, value: object, at: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind, here = schema.get("type", "any"), at or "the document"
    wanted = _TYPES.get(kind)
    if wanted is not None and (not isinstance(value, wanted[0]) or isinstance(value, bool) is not (kind == "boolean")):
        yield f"{here}: not {wanted[1]}: {_shown(value)}"
    elif isinstance(value, dict) and kind == "object":
        yield from _field_problems(schemas, schema, value, at)
    elif isinstance(value, list) and kind == "array":
        for inner in value:
            yield from _value_problems(schemas, schema["items"], inner, f"{at}[]")
    elif isinstance(value, str) and kind == "string":
        yield from _string_problems(schema, value, here)
    elif isinstance(value, int) and kind == "integer" and not -_INT32 <= value < _INT32:
        yield f"{here}: more than 32 bits: {value}"


def _field_problems(schemas: Mapping[str, Json], schema: Json, value: Json, at: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, inner in value.items():
        below = f"{at}.{name}".lstrip(".")
        if name in known or others is not None:
            yield from _value_problems(schemas, known.get(name, others), inner, below)
        else:
            yield f"unknown field: {below}"


def _string_problems(schema: Json, value: str, at: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: not one of the enum's values: {_shown(value)}"
    pattern = _FORMATS.get(schema.get("format", ""))
    if pattern is not None and not pattern.fullmatch(value):
        yield f"{at}: not a {schema['format']}: {_shown(value)}"


def _shown(value: object) -> str:
    return repr(value)[:80]
