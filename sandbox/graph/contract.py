"""Microsoft's own description of Graph v1.0, as a check of what is asked and what is answered.

Nobody here wrote the facts: they come from Microsoft's schema (CSDL) or from the models of its Python library. `/beta` is
in neither, so of it only the two reports that are used are let through.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from countersign.errors import CountersignError
from sandbox.graph import odata
from sandbox.graph.schema import Both, Csdl, Member, Schema, Wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "COUNTERSIGN_GRAPH_CSDL"
BETA = frozenset({"reports/servicePrincipalSignInActivities", "reports/appCredentialSignInActivities"})
"""The paths of `/beta` that are used."""
_OPTIONS = frozenset({"$select", "$filter", "$expand", "$top", "$skip", "$orderby", "$count", "$search", "$skiptoken", "$format"})
_TYPES_OF_PRINCIPALS = ("servicePrincipal", "user", "application", "group")
"""A list of directory objects may be asked for properties of any of them."""
_OPEN = frozenset({"customSecurityAttributeValue", "identity", "userIdentity"})
"""Types that may have more than the schema says."""
_NO_GUID = frozenset({"appRoleAssignment"})
"""Directory objects whose id is some other text."""
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,12})?)?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*=*")
_MANY = 10
"""Problems that are worth telling of one answer."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What a path leads to."""

    type: str
    collection: bool
    parameters: Mapping[str, Member] | None = None
    """Of an action; None: it is no action."""
    plain: bool = False
    """A count or a reference, which has no properties."""


class _WrongPathError(Exception):
    """A path leads nowhere."""


class Contract:
    """Facts of Graph v1.0 and the checks that they allow; each check returns its problems, as Graph would word them."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._members: dict[str, dict[str, Member] | None] = {}

    @classmethod
    def csdl(cls, file: Path) -> Self:
        """Use Microsoft's schema, or a slice of it."""
        return cls(Csdl(file))

    @classmethod
    def wheel(cls, file: Path) -> Self:
        """Use the wheel of msgraph-sdk, unread and uninstalled."""
        return cls(Wheel(file))

    @classmethod
    def found(cls) -> Self:
        """Use the schema that COUNTERSIGN_GRAPH_CSDL names, the wheel that `make test` fetched, or both. Raises CountersignError.

        A schema that was cut down to the types in use lacks some of their navigations: those are taken from the wheel.
        """
        named = os.environ.get(VARIABLE)
        wheels = sorted((Path(sys.prefix) / "contracts").glob("msgraph_sdk-*.whl"))
        if named:
            if not Path(named).is_file():
                raise CountersignError(
                    f"{VARIABLE} names a file that is not there: {named}", fix="unset it, or name Microsoft's Graph schema (CSDL)"
                )
            return cls(Both(Csdl(Path(named)), Wheel(wheels[-1]))) if wheels else cls.csdl(Path(named))
        if not wheels:
            raise CountersignError(
                "Microsoft's description of Graph is not here", fix=f"run `make test`, which fetches it, or set {VARIABLE}"
            )
        return cls.wheel(wheels[-1])

    def members(self, type_: str) -> Mapping[str, Member] | None:
        """Return everything a type has, with what it inherits; None for a type that is not known."""
        if type_ not in self._members:
            structure = self._schema.structure(type_)
            inherited = {} if structure is None or structure.base is None else self.members(structure.base) or {}
            self._members[type_] = None if structure is None else {**inherited, **structure.members}
        return self._members[type_]

    def member(self, type_: str, name: str) -> Member | None:
        """Return a property or navigation of a type, inherited or not; None where there is none."""
        return (self.members(type_) or {}).get(name)

    def derives(self, type_: str, base: str) -> bool:
        """Say whether a type is another one or derives from it."""
        return base in self._bases(type_)

    def entity(self, type_: str) -> bool:
        """Say whether a type has a life of its own, so that one navigates to it."""
        return any(each == "entity" or self._schema.keyless_entity(each) for each in self._bases(type_))

    def check_request(self, method: str, path: str, query: Mapping[str, str], body: object = None) -> tuple[str, ...]:
        """Check a request; `path` begins with `/v1.0/` or `/beta/`, the query's values are decoded, the body is parsed JSON."""
        version, rest = path.strip("/").partition("/")[::2]
        if version == "beta":
            known = any(rest == each or rest.startswith(f"{each}/") for each in BETA)
            return (
                ()
                if known and method == "GET"
                else (f"Resource not found for the segment '{rest.partition('/')[0]}' (not a beta path in use).",)
            )
        if rest == "$batch":
            return ()
        try:
            place = self._walk(rest)
        except _WrongPathError as wrong:
            return (str(wrong),)
        return (*self._query(place, query), *self._body(method, place, body))[:_MANY]

    def check_response(self, path: str, body: object) -> tuple[str, ...]:
        """Check a good answer to a GET of a path that `check_request` let through."""
        version, rest = path.strip("/").partition("/")[::2]
        if version == "beta":
            return ()
        place = self._walk(rest)
        if place.plain or place.parameters is not None:
            return ()
        if not place.collection:
            return tuple(self._object(place.type, body, place.type))[:_MANY]
        if not isinstance(body, dict) or not isinstance(body.get("value"), list):
            return ("the answer is not a collection",)
        strange = tuple(f"the collection has '{name}'" for name in body if name != "value" and not name.startswith("@odata."))
        found = (problem for item in body["value"] for problem in self._object(place.type, item, place.type))
        return (*strange, *(problem for problem, _ in zip(found, range(_MANY), strict=False)))

    def check_object(self, type_: str, found: object) -> tuple[str, ...]:
        """Check one object of a type."""
        return tuple(self._object(type_, found, type_))[:_MANY]

    def _bases(self, type_: str) -> Iterator[str]:
        name: str | None = type_
        while name is not None:
            yield name
            structure = self._schema.structure(name)
            name = None if structure is None else structure.base

    # ---- paths ----

    def _walk(self, path: str) -> _Place:
        first, *rest = path.replace("(", "/(").split("/")
        root = self._schema.root(first)
        if root is None:
            raise _nothing(first)
        place = _Place(root.type, root.collection)
        for segment in rest:
            if place.plain or place.parameters is not None:
                raise _nothing(segment)
            place = self._step(place, segment)
        return place

    def _step(self, place: _Place, segment: str) -> _Place:
        name = segment.removeprefix("microsoft.graph.")
        if name != segment and self.derives(name, place.type):
            return replace(place, type=name)
        if segment == "$ref" or (segment == "$count" and place.collection):
            return replace(place, plain=True)
        for base in self._bases(place.type):
            parameters = self._schema.operation(name, base, collection=place.collection)
            if parameters is not None:
                return replace(place, parameters=parameters)
        if place.collection:
            self._check_key(place.type, segment)
            return replace(place, collection=False)
        member = self.member(place.type, segment)
        if member is None or member.type.startswith("Edm."):
            raise _nothing(segment)
        return _Place(member.type, member.collection)

    def _check_key(self, type_: str, segment: str) -> None:
        alternate = re.fullmatch(r"\((\w+)='[^']*'\)", segment)
        if alternate is not None and self.member(type_, alternate[1]) is None:
            raise _WrongPathError(_no_property(alternate[1], type_))
        if alternate is None and self.derives(type_, "directoryObject") and type_ not in _NO_GUID and not _GUID.fullmatch(segment):
            raise _WrongPathError(f"Invalid object identifier '{segment[:80]}'.")

    # ---- queries ----

    def _query(self, place: _Place, query: Mapping[str, str]) -> Iterator[str]:
        for name in query:
            if name.startswith("$") and name not in _OPTIONS:
                yield f"The query parameter '{name}' is not supported."
        try:
            for name in odata.select(query["$select"]) if "$select" in query else ():
                yield from self._path(place.type, name)
            for each in odata.expand(query["$expand"]) if "$expand" in query else ():
                yield from self._expand(place.type, each)
            for name, _ in odata.order(query["$orderby"]) if "$orderby" in query else ():
                yield from self._path(place.type, name)
            if "$filter" in query:
                yield from self._filter(place.type, odata.filter_(query["$filter"]))
        except odata.QueryError as error:
            yield str(error)

    def _path(self, type_: str, path: str) -> Iterator[str]:
        if self._leads_to(type_, path) is None and not path.startswith("extension_"):
            yield _no_property(path, type_)

    def _leads_to(self, type_: str, path: str) -> Member | None:
        """Return what a property path of a query ends at; a list of directory objects has the properties of any of them."""
        found = None
        for start in (type_, *(_TYPES_OF_PRINCIPALS if type_ == "directoryObject" else ())):
            inside: str | None = start
            for name in path.split("/"):
                found = None if inside is None else self.member(inside, name)
                inside = None if found is None else found.type
            if found is not None:
                return found
        return found

    def _expand(self, type_: str, wanted: odata.Expand) -> Iterator[str]:
        member = self.member(type_, wanted.name)
        if member is None:
            yield f"Parsing OData Select and Expand failed: {_no_property(wanted.name, type_)}"
        elif not self.entity(member.type):
            yield f"Property '{wanted.name}' on type 'microsoft.graph.{type_}' is not a navigation property or complex property."
        else:
            yield from self._query(_Place(member.type, member.collection), wanted.options)

    def _filter(self, type_: str, wanted: odata.Filter) -> Iterator[str]:
        for path in wanted.paths:
            yield from self._path(type_, path)
        for path, literal in wanted.compared:
            member = self._leads_to(type_, path)
            if member is not None and not _comparable(member.type, literal):
                yield f"A binary operator with incompatible types was detected: '{path}' is {member.type}, and not {literal[:80]}."

    # ---- objects ----

    def _body(self, method: str, place: _Place, body: object) -> Iterator[str]:
        if place.parameters is not None:
            given = body if isinstance(body, dict) else {}
            yield from (f"The parameter '{name}' is not one of the operation's." for name in given if name not in place.parameters)
            for name, member in place.parameters.items():
                if name in given:
                    yield from self._value(member, given[name], name)
                elif member.nullable is False:
                    yield f"The parameter '{name}' is missing."
        elif method in {"POST", "PATCH", "PUT"} and not place.plain:
            if (method == "POST") is not place.collection:
                yield f"Specified HTTP method is not allowed for the request target: {method}."
            yield from self._object(place.type, body, place.type)
        elif method == "DELETE" and place.collection:
            yield "Specified HTTP method is not allowed for the request target: DELETE."

    def _object(self, type_: str, found: object, at: str) -> Iterator[str]:
        if not isinstance(found, dict):
            yield f"{at} is not an object"
            return
        named = str(found.get("@odata.type", "")).removeprefix("#microsoft.graph.")
        if named and not self.derives(named, type_):
            yield f"{at} cannot be a {named}"
            return
        members = self.members(named or type_)
        if members is None:
            yield f"{at}: there is no type '{named or type_}'"
            return
        for name, value in found.items():
            member = members.get(name)
            if member is not None:
                if value is not None or member.nullable is False:
                    yield from self._value(member, value, f"{at}.{name}")
            elif "@odata." not in name and not name.startswith("extension_") and (named or type_) not in _OPEN:
                yield f"Could not find a property named '{name}' on type 'microsoft.graph.{named or type_}'."

    def _value(self, member: Member, value: object, at: str) -> Iterator[str]:
        if not member.collection:
            yield from self._one(member.type, value, at)
        elif isinstance(value, list):
            for each in value:
                yield from self._one(member.type, each, at)
        elif isinstance(value, str) and self._schema.enum(member.type) is not None:
            for each in value.split(","):
                yield from self._one(member.type, each.strip(), at)
        else:
            yield f"{at} is not a list"

    def _one(self, type_: str, value: object, at: str) -> Iterator[str]:
        if type_.startswith("Edm."):
            if not _scalar(type_, value):
                yield f"{at} is not {type_}: {str(value)[:80]!r}"
            return
        enum = self._schema.enum(type_)
        if enum is None:
            yield from self._object(type_, value, at)
        elif value not in enum:
            yield f"{at} is not a member of {type_}: {str(value)[:80]!r}"


def _nothing(segment: str) -> _WrongPathError:
    return _WrongPathError(f"Resource not found for the segment '{segment[:80]}'.")


def _no_property(name: str, type_: str) -> str:
    return f"Could not find a property named '{name[:80]}' on type 'microsoft.graph.{type_}'."


def _comparable(type_: str, literal: str) -> bool:
    if literal == "null":
        return True
    if literal.startswith("'"):
        return type_ == "Edm.String" or not type_.startswith("Edm.")  # an enumeration is written as a text
    if type_ == "Edm.Boolean":
        return literal in {"true", "false"}
    if type_ in {"Edm.Int32", "Edm.Double"}:
        return re.fullmatch(r"-?\d+(\.\d+)?", literal) is not None
    return type_ != "Edm.String" and type_.startswith("Edm.") and _scalar(type_, literal)


def _scalar(type_: str, value: object) -> bool:
    if type_ == "Edm.Boolean":
        return isinstance(value, bool)
    if type_ == "Edm.Int32":
        return isinstance(value, int) and not isinstance(value, bool)
    if type_ == "Edm.Double":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) and (type_ == "Edm.String" or _text(type_, value))


@lru_cache(maxsize=4096)
def _text(type_: str, value: str) -> bool:
    """Say whether a text is one of a type that JSON writes as text."""
    if type_ == "Edm.DateTimeOffset":
        return _TIME.fullmatch(value) is not None and _is_time(value)
    if type_ == "Edm.Date":
        return re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None and _is_time(value)
    forms: Mapping[str, re.Pattern[str]] = {"Edm.Guid": _GUID, "Edm.Duration": _DURATION, "Edm.Binary": _BASE64}
    return type_ not in forms or forms[type_].fullmatch(value) is not None


def _is_time(value: str) -> bool:
    try:
        # a computer's time has six places, the schema's up to twelve
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        return False
    return True
