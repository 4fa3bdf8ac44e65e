"""The part of OData's query language that a reader of Graph uses: `$filter`, `$select`, `$expand`, `$orderby`, page tokens.

The grammar is OData 4.01's (part 2, 5.1); what is not understood raises `QueryError`, as Graph answers 400.
"""

from __future__ import annotations

import base64
import binascii
import operator
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<mark>[(),])|(?P<word>[^\s(),']+))")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}

Test = Any
"""A function of an object (or of a collection's item) that says whether it is meant."""


class QueryError(ValueError):
    """The query is not one that the server understands."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A `$filter`, ready to use."""

    holds: Callable[[Any], bool]
    paths: tuple[str, ...] = ()
    """The properties it names, with `/` between a property and a part of it."""
    compared: tuple[tuple[str, str], ...] = ()
    """Each path with a literal that it is compared with, as it was written."""
    advanced: bool = False
    """Whether Graph answers it for directory objects only with `ConsistencyLevel: eventual` and `$count=true`."""


@dataclass(frozen=True, slots=True)
class Expand:
    """One navigation of `$expand` with the options in its parentheses."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


def select(text: str) -> tuple[str, ...]:
    """Take `$select` apart. Raises QueryError where a name is missing."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise QueryError("Parsing OData Select and Expand failed: Term '' is not valid in a $select or $expand expression.")
    return names


def expand(text: str) -> tuple[Expand, ...]:
    """Take `$expand` apart. Raises QueryError where it is no list of navigations."""
    found = []
    for part in _split(text, ","):
        match = re.fullmatch(r"\s*([\w.]+)\s*(?:\((.*)\))?\s*", part)
        if match is None:
            raise QueryError(f"Parsing OData Select and Expand failed: Term '{part}' is not valid in a $select or $expand expression.")
        options = dict(option.strip().partition("=")[::2] for option in _split(match[2], ";")) if match[2] else {}
        found.append(Expand(match[1], options))
    return tuple(found)


def order(text: str) -> tuple[tuple[str, bool], ...]:
    """Take `$orderby` apart into (property, whether it descends). Raises QueryError."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w/.]+)(?:\s+(asc|desc))?\s*", part)
        if match is None:
            raise QueryError(f"Syntax error in $orderby near '{part}'.")
        found.append((match[1], match[2] == "desc"))
    return tuple(found)


def filter_(text: str) -> Filter:
    """Read a `$filter`. Raises QueryError where it cannot be understood."""
    return _Parser(text).read()


def value(found: object, path: str) -> object:
    """Return what stands at a path of an object, None where there is nothing."""
    for name in path.split("/") if path else ():
        found = found.get(name) if isinstance(found, dict) else None
    return found


def token(offset: int) -> str:
    """Write a place in a list as clients should see it: as nothing they can read."""
    return base64.urlsafe_b64encode(f"page:{offset:09}".encode()).decode().rstrip("=")


def offset(token_: str) -> int:
    """Read a page token. Raises QueryError for one that was not made here."""
    try:
        text = base64.urlsafe_b64decode(token_ + "=" * (-len(token_) % 4)).decode()
        return int(text.removeprefix("page:"))
    except (binascii.Error, ValueError) as error:
        raise QueryError("The specified page token value is invalid.") from error


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark outside of parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


class _Parser:
    """A recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, at = text, list[str](), 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._wrong(text[at:])
            self._tokens.append(match[0].strip())
            at = match.end()
        self._tokens.reverse()
        self._paths: list[str] = []
        self._compared: list[tuple[str, str]] = []
        self._inside: list[tuple[str, str]] = []
        """Of each lambda around us: its variable, and the path that it runs over."""
        self._advanced = False

    def read(self) -> Filter:
        test = self._any_of()
        if self._tokens:
            raise self._wrong(self._tokens[-1])
        return Filter(test, tuple(dict.fromkeys(self._paths)), tuple(self._compared), self._advanced)

    def _wrong(self, near: str) -> QueryError:
        return QueryError(f"Invalid filter clause: syntax error near '{near[:80]}' in '{self._text[:200]}'.")

    def _next(self, *expected: str) -> str:
        found = self._tokens.pop() if self._tokens else ""
        if not found or (expected and found not in expected):
            raise self._wrong(found or "end of filter")
        return found

    def _comes(self, word: str) -> bool:
        comes = bool(self._tokens) and self._tokens[-1] == word
        if comes:
            self._tokens.pop()
        return comes

    def _any_of(self) -> Test:
        tests = [self._all_of()]
        while self._comes("or"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._comes("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda found: all(test(found) for test in tests)

    def _one(self) -> Test:
        if self._comes("not"):
            self._advanced = True
            test = self._one()
            return lambda found: not test(found)
        if self._comes("("):
            test = self._any_of()
            self._next(")")
            return test
        word = self._next()
        if word.lower() in _TEXT and self._comes("("):
            return self._text_function(word.lower())
        if word.endswith("/any") and self._comes("("):
            return self._lambda(word.removesuffix("/any"))
        return self._comparison(word)

    def _text_function(self, name: str) -> Test:
        self._advanced |= name != "startswith"
        path = self._path(self._next())
        self._next(",")
        wanted = str(self._literal(self._next(), self._paths[-1])).casefold()
        self._next(")")
        return lambda found: isinstance(value(found, path), str) and _TEXT[name](str(value(found, path)).casefold(), wanted)

    def _lambda(self, word: str) -> Test:
        path = self._path(word)
        if self._comes(")"):
            return lambda found: bool(value(found, path))
        variable, _, rest = self._next().partition(":")
        if rest:
            self._tokens.append(rest)
        self._inside.append((variable, self._paths[-1]))
        test = self._any_of()
        self._inside.pop()
        self._next(")")

        def holds(found: object) -> bool:
            items = value(found, path)
            return isinstance(items, list) and any(test(item) for item in items)

        return holds

    def _comparison(self, word: str) -> Test:
        path = self._path(word)
        outer, how = self._paths[-1], self._next("eq", "ne", "in", *_ORDER)
        if how == "in":
            self._next("(")
            wanted = [self._literal(self._next(), outer)]
            while self._comes(","):
                wanted.append(self._literal(self._next(), outer))
            self._next(")")
            return lambda found: any(_same(value(found, path), each) for each in wanted)
        literal = self._literal(self._next(), outer)
        if how == "eq":
            return lambda found: _same(value(found, path), literal)
        if how == "ne":
            self._advanced = True
            return lambda found: not _same(value(found, path), literal)
        return lambda found: _ordered(value(found, path), literal, how)

    def _path(self, word: str) -> str:
        """Return a path as it is found from the object at hand, and note how it is found from the outermost one."""
        if re.fullmatch(r"[A-Za-z_][\w/]*", word) is None:
            raise self._wrong(word)
        if not self._inside:
            self._paths.append(word)
            return word
        variable, over = self._inside[-1]
        first, _, rest = word.partition("/")
        if first != variable:
            raise self._wrong(word)
        self._paths.append(f"{over}/{rest}" if rest else over)
        return rest

    def _literal(self, word: str, outer: str) -> object:
        """Return what a word means; `outer` is the path that it is compared with."""
        self._compared.append((outer, word))
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[word]
        if re.fullmatch(r"-?\d+(\.\d+)?", word):
            return float(word)
        if re.fullmatch(r"[\w:.+-]*\d[\w:.+-]*", word):
            return word  # a guid or a date
        raise self._wrong(word)


def _same(found: object, wanted: object) -> bool:
    # Entra compares text without regard to case
    return found.casefold() == wanted.casefold() if isinstance(found, str) and isinstance(wanted, str) else found == wanted


def _ordered(found: object, wanted: object, how: str) -> bool:
    if isinstance(found, str) and isinstance(wanted, str):
        one, other = _time(found), _time(wanted)
        return _ORDER[how](one, other) if one is not None and other is not None else _ORDER[how](found.casefold(), wanted.casefold())
    return isinstance(found, int | float) and isinstance(wanted, int | float) and _ORDER[how](found, wanted)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
