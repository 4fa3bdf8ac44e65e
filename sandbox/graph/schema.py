"""The types of Microsoft Graph v1.0, read from Microsoft's own schema (CSDL) or from the models of its Python library.

The library's wheel is read as an archive and never installed; its models are generated from the schema, so both say the same.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
_SAME = {
    "Edm.Int16": "Edm.Int32",
    "Edm.Int64": "Edm.Int32",
    "Edm.Single": "Edm.Double",
    "Edm.Decimal": "Edm.Double",
    "Edm.Stream": "Edm.Binary",
}
"""Types that the library does not tell apart, and we need not."""


@dataclass(frozen=True, slots=True)
class Member:
    """A property, a navigation, or a parameter of an action."""

    type: str
    """`Edm.String`, or a type of `microsoft.graph` without the namespace."""
    collection: bool = False
    """Also true of a set of flags, which stands in JSON as one text with commas."""
    nullable: bool | None = field(default=None, compare=False)
    """None: the source does not say."""


@dataclass(frozen=True, slots=True)
class Structure:
    """An entity type or a complex type, with what it has of its own."""

    base: str | None
    members: Mapping[str, Member]


class Schema(Protocol):
    """Facts about Graph v1.0, whoever they come from."""

    def root(self, name: str) -> Member | None:
        """Return the type of an entity set (a collection) or singleton."""
        ...

    def structure(self, name: str) -> Structure | None:
        """Return an entity or complex type."""
        ...

    def enum(self, name: str) -> frozenset[str] | None:
        """Return the members of an enumeration."""
        ...

    def keyless_entity(self, name: str) -> bool:
        """Say whether a type that does not derive from `entity` is an entity type nevertheless."""
        ...

    def operation(self, name: str, bound: str, *, collection: bool) -> Mapping[str, Member] | None:
        """Return the parameters of an action or function that is bound to a type itself, not to its base."""
        ...


class Csdl:
    """Microsoft's schema as XML (OData CSDL 4.01)."""

    def __init__(self, file: Path) -> None:
        """Read a file; one with a slice of the types will do."""
        self._structures: dict[str, Structure] = {}
        self._enums: dict[str, frozenset[str]] = {}
        self._roots: dict[str, Member] = {}
        self._operations: dict[tuple[str, str, bool], dict[str, Member]] = {}
        self._entities: set[str] = set()
        root = ET.parse(file).getroot()  # noqa: S314 -- the customer's own file, or Microsoft's
        for element in root.iter(f"{_EDM}Schema"):
            for part in element:
                self._take(part)
        # the library reads a set of flags as a collection; we say so of both
        flags = {each.get("Name", "") for each in root.iter(f"{_EDM}EnumType") if each.get("IsFlags") == "true"}
        for name, each in self._structures.items():
            members = {key: replace(member, collection=True) if member.type in flags else member for key, member in each.members.items()}
            self._structures[name] = Structure(each.base, members)

    def root(self, name: str) -> Member | None:
        """Return the type of an entity set (a collection) or singleton."""
        return self._roots.get(name)

    def structure(self, name: str) -> Structure | None:
        """Return an entity or complex type."""
        return self._structures.get(name)

    def enum(self, name: str) -> frozenset[str] | None:
        """Return the members of an enumeration."""
        return self._enums.get(name)

    def keyless_entity(self, name: str) -> bool:
        """Say whether it is an entity type."""
        return name in self._entities

    def operation(self, name: str, bound: str, *, collection: bool) -> Mapping[str, Member] | None:
        """Return the parameters of an action or function that is bound to a type itself."""
        return self._operations.get((name, bound, collection))

    @property
    def names(self) -> tuple[str, ...]:
        """All structures, in the file's order."""
        return tuple(self._structures)

    def _take(self, each: ET.Element) -> None:
        tag, name = each.tag.removeprefix(_EDM), each.get("Name", "")
        if tag in {"EntityType", "ComplexType"}:
            members = {
                part.get("Name", ""): _member(part) for tag in ("Property", "NavigationProperty") for part in each.iterfind(f"{_EDM}{tag}")
            }
            base = each.get("BaseType")
            self._structures[name] = Structure(None if base is None else _plain(base), members)
            if tag == "EntityType":
                self._entities.add(name)
        elif tag == "EnumType":
            self._enums[name] = frozenset(member.get("Name", "") for member in each.iterfind(f"{_EDM}Member"))
        elif tag in {"Action", "Function"}:
            bound, *parameters = each.iterfind(f"{_EDM}Parameter")
            to = _member(bound)
            self._operations[name, to.type, to.collection] = {part.get("Name", ""): _member(part) for part in parameters}
        elif tag == "EntityContainer":
            for part in each:
                if part.tag.removeprefix(_EDM) in {"EntitySet", "Singleton"}:
                    type_ = part.get("EntityType") or part.get("Type") or ""
                    self._roots[part.get("Name", "")] = Member(_plain(type_), collection=part.get("EntityType") is not None)


def _member(part: ET.Element) -> Member:
    text = part.get("Type", "")
    inner = re.fullmatch(r"Collection\((.*)\)", text)
    return Member(_plain(inner[1] if inner else text), collection=inner is not None, nullable=part.get("Nullable") != "false")


def _plain(name: str) -> str:
    return _SAME.get(name, name.removeprefix("microsoft.graph.").removeprefix("graph."))


_FIELD = re.compile(r'"([^"]+)": lambda n : setattr\(self, \'\w+\', n\.(get_\w+)\(([\w.]*)\)\)')
_ENUM_MEMBER = re.compile(r'^\s+\w+ = "(.*?)",', re.MULTILINE)
_TEMPLATE = re.compile(r'"\{\+baseurl\}/([^"{]*)')
_SCALARS = {
    "get_str_value": "Edm.String",
    "get_bool_value": "Edm.Boolean",
    "get_uuid_value": "Edm.Guid",
    "get_datetime_value": "Edm.DateTimeOffset",
    "get_date_value": "Edm.Date",
    "get_time_value": "Edm.TimeOfDay",
    "get_timedelta_value": "Edm.Duration",
    "get_int_value": "Edm.Int32",
    "get_float_value": "Edm.Double",
    "get_bytes_value": "Edm.Binary",
}
_PRIMITIVES = {
    "str": "Edm.String",
    "UUID": "Edm.Guid",
    "bool": "Edm.Boolean",
    "int": "Edm.Int32",
    "float": "Edm.Double",
    "bytes": "Edm.Binary",
}
_GENERATED = "msgraph/generated/"


class Wheel:
    """The models of Microsoft's `msgraph-sdk`, each read from the wheel when it is first asked for."""

    def __init__(self, file: Path) -> None:
        """Open a wheel."""
        self._archive = zipfile.ZipFile(file)
        self._files = {name.removeprefix(_GENERATED) for name in self._archive.namelist() if name.startswith(_GENERATED)}
        # the library spells oAuth2PermissionGrant as o_auth2_permission_grant, so names are compared without their underscores
        models = (name.removeprefix("models/") for name in self._files if name.startswith("models/") and name.count("/") == 1)
        self._models = {name.removesuffix(".py").replace("_", ""): name for name in models}
        self._folders = {name.split("/")[0].replace("_", ""): name.split("/")[0] for name in self._files if "/" in name}
        self._structures: dict[str, Structure | None] = {}
        self._enums: dict[str, frozenset[str] | None] = {}
        self._roots: dict[str, Member | None] = {}
        self._sets: dict[str, str] | None = None

    def root(self, name: str) -> Member | None:
        """Return the type of an entity set (a collection) or singleton."""
        if name not in self._roots:
            self._roots[name] = self._read_root(name)
        return self._roots[name]

    def structure(self, name: str) -> Structure | None:
        """Return an entity or complex type."""
        if name not in self._structures:
            self._structures[name] = self._read_structure(name)
        return self._structures[name]

    def enum(self, name: str) -> frozenset[str] | None:
        """Return the members of an enumeration."""
        if name not in self._enums:
            text = self._model(name)
            self._enums[name] = frozenset(_ENUM_MEMBER.findall(text)) if text is not None and "(str, Enum)" in text else None
        return self._enums[name]

    def keyless_entity(self, name: str) -> bool:
        """Say whether the library can get a collection of them: of complex types it never does."""
        return f"{name.lower()}collectionresponse" in self._models

    def operation(self, name: str, bound: str, *, collection: bool) -> Mapping[str, Member] | None:
        """Return the parameters of an action or function that is bound to a type itself."""
        folder = self._set_of(bound)
        if folder is None:
            return None
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        path = f"{folder}/{snake}/{snake}" if collection else f"{folder}/item/{snake}/{snake}"
        if f"{path}_request_builder.py" not in self._files:
            return None
        # navigations have builders too, and so has $count; only what is called by its name takes no id and gives its own response
        body = f"{path}_post_request_body.py"
        if body in self._files:
            return self._fields(self._text(body))
        builder = self._text(f"{path}_request_builder.py")
        is_function = f"{path}_get_response.py" in self._files
        return {} if is_function or ("async def post" in builder and "async def get" not in builder) else None

    def _set_of(self, type_: str) -> str | None:
        """Return the folder of the entity set of a type."""
        if self._sets is None:
            self._sets = {}
            for folder in sorted(self._folders.values()):
                builder = f"{folder}/{folder}_request_builder.py"
                found = re.search(r"-> Optional\[(\w+)CollectionResponse\]", self._text(builder)) if builder in self._files else None
                if found:
                    self._sets.setdefault(_camel(found[1]), folder)
        return self._sets.get(type_)

    def _read_root(self, name: str) -> Member | None:
        folder = self._folders.get(name.lower())
        text = self._text(f"{folder}/{folder}_request_builder.py") if f"{folder}/{folder}_request_builder.py" in self._files else ""
        template = _TEMPLATE.search(text)
        got = re.search(r"async def get\(.*?-> Optional\[(\w+)\]", text)
        if template is None or template[1] != name or got is None:
            return None
        return Member(_camel(got[1].removesuffix("CollectionResponse")), collection=got[1].endswith("CollectionResponse"))

    def _read_structure(self, name: str) -> Structure | None:
        text = self._model(name)
        found = None if text is None else re.search(r"^class \w+\((.*?)\)", text, re.MULTILINE)
        if text is None or found is None or "Parsable" not in found[1]:
            return None
        base = found[1].split(",")[0].strip()
        return Structure(None if base in {"AdditionalDataHolder", "Parsable", "BackedModel"} else _camel(base), self._fields(text))

    def _fields(self, text: str) -> dict[str, Member]:
        found = {}
        for name, how, argument in _FIELD.findall(text):
            if how in _SCALARS:
                found[name] = Member(_SCALARS[how])
            elif how == "get_collection_of_primitive_values":
                found[name] = Member(_PRIMITIVES.get(argument, "Edm.DateTimeOffset"), collection=True)
            else:
                found[name] = Member(_camel(argument), collection=how.startswith("get_collection"))
        # the library keeps @odata.type as a property of its own
        return {name: member for name, member in found.items() if not name.startswith("@")}

    def _model(self, name: str) -> str | None:
        file = self._models.get(name.lower())
        return None if file is None else self._text(f"models/{file}")

    def _text(self, name: str) -> str:
        return self._archive.read(_GENERATED + name).decode()


class Both:
    """A slice of the schema, and the library for what the slice leaves out."""

    def __init__(self, slice_: Csdl, library: Wheel) -> None:
        """Take both; where they speak of the same, the slice is believed."""
        self._slice = slice_
        self._library = library

    def root(self, name: str) -> Member | None:
        """Return the type of an entity set (a collection) or singleton."""
        return self._slice.root(name) or self._library.root(name)

    def structure(self, name: str) -> Structure | None:
        """Return an entity or complex type."""
        one, other = self._slice.structure(name), self._library.structure(name)
        return Structure(one.base, {**other.members, **one.members}) if one is not None and other is not None else one or other

    def enum(self, name: str) -> frozenset[str] | None:
        """Return the members of an enumeration."""
        return self._slice.enum(name) or self._library.enum(name)

    def keyless_entity(self, name: str) -> bool:
        """Say whether either calls it an entity type."""
        return self._slice.keyless_entity(name) or self._library.keyless_entity(name)

    def operation(self, name: str, bound: str, *, collection: bool) -> Mapping[str, Member] | None:
        """Return the parameters of an action or function that is bound to a type itself."""
        found = self._slice.operation(name, bound, collection=collection)
        return self._library.operation(name, bound, collection=collection) if found is None else found


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]
