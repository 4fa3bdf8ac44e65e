"""The few statements of Kusto's language that a reader of Azure Resource Graph needs; all others are refused as mistakes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = dict[str, Any]

_PATH = r"[A-Za-z_]\w*(?:\.\w+|\[\s*(?:'[^']*'|\"[^\"]*\")\s*\])*"
_TEXT = r"(?:'[^']*'|\"[^\"]*\")"
_TOLD = re.compile(rf"({_TEXT})|(\()|(\))|(\|)|(,)|(\band\b)|(\bor\b)", re.IGNORECASE)
_TEST: Mapping[str, Callable[[str, str], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "=~": lambda one, other: one.lower() == other.lower(),
    "!~": lambda one, other: one.lower() != other.lower(),
    "has": lambda one, other: other.lower() in re.split(r"\W+", one.lower()) or other.lower() in one.lower(),
    "contains": lambda one, other: other.lower() in one.lower(),
    "startswith": lambda one, other: one.lower().startswith(other.lower()),
    "endswith": lambda one, other: one.lower().endswith(other.lower()),
}
_CHANGES: Mapping[str, Callable[[str], str]] = {"tostring": str, "tolower": str.lower, "toupper": str.upper}
_ATOM = re.compile(rf"\s*({_PATH}|\w+\(\s*{_PATH}\s*\))\s*(==|!=|=~|!~|\bhas\b|\bcontains\b|\bstartswith\b|\bendswith\b)\s*({_TEXT})\s*")
_LIST = re.compile(rf"\s*({_PATH}|\w+\(\s*{_PATH}\s*\))\s+(in~?)\s*\((\s*{_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)\s*")
_EMPTY = re.compile(rf"\s*(isempty|isnotempty|isnull|isnotnull)\(\s*({_PATH})\s*\)\s*")


class KqlError(ValueError):
    """The query has a mistake, or a statement that is not served."""


def run(query: str, tables: Mapping[str, Mapping[str, Row]]) -> list[Row]:
    """Return the rows that a query asks for. Raises KqlError."""
    table, *statements = _split(query, "|")
    rows = tables.get(table.strip().lower())
    if rows is None:
        raise KqlError(f"'{table.strip()[:80]}' is not a table.")
    found = [dict(row) for row in rows.values()]
    for statement in statements:
        verb, _, rest = statement.strip().partition(" ")
        found = _run(verb.lower(), rest.strip(), found, statement)
    return found


def _run(verb: str, rest: str, rows: list[Row], statement: str) -> list[Row]:
    if verb == "where":
        test = _condition(rest)
        return [row for row in rows if test(row)]
    if verb in {"project", "extend"}:
        named = [_column(part) for part in _split(rest, ",")]
        return [({} if verb == "project" else dict(row)) | {name: of(row) for name, of in named} for row in rows]
    ordered = re.fullmatch(rf"by\s+({_PATH})(?:\s+(asc|desc))?", rest)
    if verb in {"order", "sort"} and ordered:
        # Kusto sorts downwards unless told otherwise
        return sorted(rows, key=lambda row: _text(_value(row, ordered[1])), reverse=ordered[2] != "asc")
    if verb in {"take", "limit"} and rest.isdecimal():
        return rows[: int(rest)]
    if verb == "count" and not rest:
        return [{"Count": len(rows)}]
    raise KqlError(f"Query is invalid near '{statement.strip()[:80]}'.")


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark (`|`, `,`, `and`, `or`) outside of quotes and parentheses."""
    parts, start, depth = [], 0, 0
    for match in _TOLD.finditer(text):
        depth += bool(match[2]) - bool(match[3])
        if match[0].lower() == mark and depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _condition(text: str) -> Callable[[Row], bool]:
    either = [[_atom(each) for each in _split(part, "and")] for part in _split(text, "or")]
    return lambda row: any(all(test(row) for test in tests) for tests in either)


def _atom(text: str) -> Callable[[Row], bool]:
    if match := _ATOM.fullmatch(text):
        of, how, wanted = _expression(match[1]), _TEST[match[2]], match[3][1:-1]
        return lambda row: how(_text(of(row)), wanted)
    if match := _LIST.fullmatch(text):
        of, all_ = _expression(match[1]), [each[1:-1] for each in re.findall(_TEXT, match[3])]
        same = _TEST["=~" if match[2] == "in~" else "=="]
        return lambda row: any(same(_text(of(row)), each) for each in all_)
    if match := _EMPTY.fullmatch(text):
        path, empty = match[2], match[1] in {"isempty", "isnull"}
        return lambda row: (_value(row, path) in (None, "", {}, [])) is empty
    if text.strip().startswith("(") and text.strip().endswith(")"):
        return _condition(text.strip()[1:-1])
    raise KqlError(f"Query is invalid near '{text.strip()[:80]}'.")


def _column(text: str) -> tuple[str, Callable[[Row], Any]]:
    name, equals, expression = text.partition("=")
    if equals:
        return name.strip(), _expression(expression.strip())
    return re.sub(r"\W+", "_", text.strip()).strip("_"), _expression(text.strip())


def _expression(text: str) -> Callable[[Row], Any]:
    if re.fullmatch(_TEXT, text):
        return lambda _row: text[1:-1]
    if match := re.fullmatch(r"(tostring|tolower|toupper)\(\s*(.+?)\s*\)", text):
        inner, name = _expression(match[2]), match[1]
        change = _CHANGES[name]
        return lambda row: change(_text(inner(row)))
    if re.fullmatch(_PATH, text):
        return lambda row: _value(row, text)
    raise KqlError(f"Query is invalid near '{text[:80]}'.")


def _value(row: Row, path: str) -> Any:  # noqa: ANN401 -- any JSON value
    column, *inside = re.findall(r"\w+", path)
    if column not in row:
        raise KqlError(f"Failed to resolve scalar expression named '{column}'.")
    found: Any = row[column]
    for name in inside:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)
