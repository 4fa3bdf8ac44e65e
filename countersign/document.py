"""A YAML file that a person wrote: its data, the line of every field, and every mistake in words.

Values are never repeated in a message, because a value in the wrong place may be a secret.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from countersign.errors import Problem, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

Path_ = tuple[str | int, ...]
"""Where a value stands in a document: keys and list positions from the outside in."""

_Model = TypeVar("_Model", bound=BaseModel)
_Loader: type[yaml.CSafeLoader | yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "value", "merge"))
_MOST_BYTES = 1_000_000
_DEEPEST = 20
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read as YAML."""

    file: str
    """As people are told where it is."""
    data: Mapping[str, object]
    """Mappings and tuples of text, numbers and booleans. Empty values are left out, so that empty and absent are one."""
    lines: Mapping[Path_, int]
    """1-based line of each key and list item, empty ones included."""

    def where(self, path: Path_ = ()) -> Where:
        """Return the place of a field, or of the nearest thing around it that is written down."""
        while path and path not in self.lines:
            path = path[:-1]
        return Where(self.file, self.lines.get(path, 1))

    def build(
        self, model: type[_Model], problems: list[Problem], *, data: Mapping[str, object] | None = None, at: Path_ = ()
    ) -> _Model | None:
        """Make a record of the document (or of `data`, which stands `at` a path in it); None when problems were added."""
        try:
            return model.model_validate(self.data if data is None else data)
        except ValidationError as error:
            problems.extend(self._problem(model, detail, at) for detail in error.errors(include_url=False))
            return None

    def problem(self, path: Path_, message: str, fix: str, rule: str = "syntax") -> Problem:
        """Say what is wrong at a path."""
        return Problem(self.where(path), dotted(path), message, fix, rule)

    def _problem(self, model: type[BaseModel], detail: ErrorDetails, at: Path_) -> Problem:
        inner = tuple(part for part in detail["loc"] if part != "[key]")
        path = at + inner
        message, fix = _sentence(model, detail, inner)
        return self.problem(path, message, fix, str(detail.get("ctx", {}).get("rule", "syntax")))


def read(path: Path, file: str, problems: list[Problem]) -> Document | None:
    """Read a file from disk; None when it cannot be read as YAML at all. `file` is its name in messages."""
    data = read_bytes(path, file, problems)
    return None if data is None else parse(data, file, problems)


def read_bytes(path: Path, file: str, problems: list[Problem]) -> bytes | None:
    """Read a small regular file (never a pipe or a device, which could hang); None when problems were added."""
    try:
        # O_NONBLOCK: opening a pipe would wait for a writer before we could see that it is one
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                problems.append(Problem(Where(file), "", "is not a regular file", "put a plain file there"))
                return None
            data = handle.read(_MOST_BYTES + 1)
    except OSError as error:
        problems.append(Problem(Where(file), "", f"cannot be read: {error.strerror}", "check that it exists and that you may read it"))
        return None
    if len(data) > _MOST_BYTES:
        problems.append(Problem(Where(file), "", "is larger than 1 MB", "split it, or move what does not belong here elsewhere"))
        return None
    return data


def parse(data: bytes, file: str, problems: list[Problem]) -> Document | None:
    """Read YAML of one mapping; None when that is not possible. Mistakes that leave the rest readable are only added to `problems`."""
    root = _root(data, file, problems)
    if root is None:
        return None
    if not isinstance(root, yaml.MappingNode):
        problems.append(Problem(Where(file, _line(root.start_mark)), "", "does not hold keys and values", "write it as `key: value` lines"))
        return None
    reader = _Reader(file, problems, {})
    value = reader.mapping(root, ())
    return Document(file, value, reader.lines)


def parse_list(data: bytes, file: str, problems: list[Problem]) -> Document | None:
    """Read YAML of one list, which the document holds as `items`; None and `problems` as with `parse`."""
    root = _root(data, file, problems)
    if root is None:
        return None
    if not isinstance(root, yaml.SequenceNode):
        problems.append(Problem(Where(file, _line(root.start_mark)), "", "is not a list", "write one `- item` for each entry"))
        return None
    reader = _Reader(file, problems, {})
    value = reader.value(root, ("items",))
    return Document(file, {"items": value}, reader.lines)


def _root(data: bytes, file: str, problems: list[Problem]) -> yaml.Node | None:
    """Give what a file holds; None when it cannot be read as YAML, or holds nothing."""
    text = _text(data, file, problems)
    if text is None or not _is_tame(text, file, problems):
        return None
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problems.append(_syntax(error, text, file))
        return None
    if root is None:
        problems.append(Problem(Where(file), "", "is empty", "fill it in, or delete it"))
    return root


def dotted(path: Path_) -> str:
    """Write a path as people say it: `contract.ends`, `identities.0`."""
    return ".".join(str(part) if isinstance(part, int) or _NAME.fullmatch(part) else shown(part) for part in path)


def shown(text: str) -> str:
    """Write a name from outside so that it cannot act on a terminal: quoted, cut short, without control characters."""
    return json.dumps("".join("\N{REPLACEMENT CHARACTER}" if _acts(char) else char for char in text[:60]), ensure_ascii=False)


def meant(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, if one is close."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)), None)


_NAME = re.compile(r"[A-Za-z0-9_-]+")


def _acts(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Co", "Zl", "Zp"} or char in _BIDI


def _text(data: bytes, file: str, problems: list[Problem]) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(
            Problem(Where(file, data[: error.start].count(b"\n") + 1), "", "is not UTF-8 text", "save the file with the encoding UTF-8")
        )
        return None
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line[: len(line) - len(line.lstrip())] and line.strip():
            problems.append(Problem(Where(file, number), "", "is indented with a tab, which YAML does not allow", "indent with spaces"))
            return None
    return text


def _is_tame(text: str, file: str, problems: list[Problem]) -> bool:
    """Refuse what could exhaust memory or the stack before any tree is built: aliases and deep nesting."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                message, fix = "uses a YAML anchor or alias (& or *)", "write the value out, or put text with & or * in quotes"
            elif depth > _DEEPEST:
                message, fix = f"is nested more than {_DEEPEST} levels deep", "remove the needless brackets or indentation"
            else:
                continue
            problems.append(Problem(Where(file, _line(event.start_mark)), "", message, fix))
            return False
    except yaml.YAMLError as error:
        problems.append(_syntax(error, text, file))
        return False
    return True


def _line(mark: object) -> int:
    return int(getattr(mark, "line", 0)) + 1


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark is not None else text[:position].count("\n") + 1 if isinstance(position, int) else None
    fix = "check indentation, colons, brackets and quotes on this line and the one above"
    # the parser's own sentence names characters and token kinds, never values
    reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")
    return Problem(Where(file, line), "", f"is not well-formed YAML: {reason}", fix)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns YAML nodes into values, remembering lines."""

    file: str
    problems: list[Problem]
    lines: dict[Path_, int]

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, object]:
        self._check_tag(node, path)
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = _line(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(line, path, "has a key that is not plain text", "write keys as plain words")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if here in self.lines:
                self._add(line, here, f"is given twice; the first is on line {self.lines[here]}", "delete one of the two")
                continue
            self.lines[here] = line
            value = self.value(value_node, here)
            if value is not None:
                found[key] = value
        return found

    def value(self, node: yaml.Node, path: Path_) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        self._check_tag(node, path)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = _line(item.start_mark)
            return tuple(self.value(item, (*path, index)) for index, item in enumerate(node.value))
        text = str(node.value)
        if any(_acts(char) and char not in "\n\t" for char in text):
            self._add(_line(node.start_mark), path, "holds a control character", "remove it (retype the value by hand)")
            return None
        return _scalar(node.tag, text)

    def _check_tag(self, node: yaml.Node, path: Path_) -> None:
        if node.tag not in _PLAIN_TAGS:
            self._add(_line(node.start_mark), path, "has a YAML tag (!)", "remove the tag; put text that begins with ! in quotes")

    def _add(self, line: int, path: Path_, message: str, fix: str) -> None:
        self.problems.append(Problem(Where(self.file, line), dotted(path), message, fix))


def _scalar(tag: str, text: str) -> object:
    """Dates stay text: the field that wants one reads it, and an id that looks like one survives."""
    if tag == _TAG + "null" or not text.strip():
        return None
    if tag == _TAG + "bool":
        return text.lower() in {"true", "yes", "on"}
    for kind, number in (("int", int), ("float", float)):
        if tag == _TAG + kind:
            try:
                return number(text.replace("_", ""))
            except ValueError:  # 12:30 and 0x1F are integers to YAML 1.1; people mean the text
                return text
    return text


def _sentence(model: type[BaseModel], detail: ErrorDetails, path: Path_) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if "fix" in context:
        return detail["msg"], str(context["fix"])
    if kind == "missing":
        return "is missing", f"add `{path[-1]}:`"
    if kind == "extra_forbidden":
        return "is not a known key", _known_keys(model, path)
    if kind == "string_type" and isinstance(given, bool | int | float):
        read_as = "true or false" if isinstance(given, bool) else "a number"
        return f"should be text, and YAML reads it as {read_as}", "put it in quotes"
    if kind == "literal_error":
        return f"should be {context.get('expected')}", f"write {context.get('expected')}"
    return _WANTED.get(kind, (detail["msg"].replace("Input should", "should", 1), "correct the value"))


_WANTED = {
    "string_type": ("should be one piece of text", "write a single value, not a list or a group of keys, and not an empty one"),
    "bool_type": ("should be true or false", "write true or false, without quotes"),
    "int_type": ("should be a whole number", "write a number without quotes"),
    "float_type": ("should be a number", "write a number without quotes"),
    "dict_type": ("should be a group of keys", "write `key: value` lines below it"),
    "model_type": ("should be a group of keys", "write `key: value` lines below it"),
    "tuple_type": ("should be a list", "write it in square brackets, or one `- item` a line"),
}


def _known_keys(model: type[BaseModel], path: Path_) -> str:
    key = str(path[-1])
    home = _model_at(model, path[:-1])
    close = meant(key, home.model_fields)
    if close is not None:
        return f"did you mean `{close}`?"
    if len(path) > 1 and key in _model_at(model, path[:-2]).model_fields:
        return f"move `{key}` one level up"
    return f"use one of {', '.join(home.model_fields)}"


def _model_at(model: type[BaseModel], path: Path_) -> type[BaseModel]:
    """Return the record class that describes what stands at a path (the innermost known one)."""
    for part in path:
        info = model.model_fields.get(str(part))
        model = next(_models(info.annotation), model) if info is not None else model
    return model


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
