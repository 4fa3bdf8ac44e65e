"""The part of Cloud Asset's query language that the sandbox understands: `field:value` and `field=value`, joined by AND."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from sandbox.gcp.refusal import Json, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TERM = re.compile(r'(NOT\s+|-)?([A-Za-z_.]+)\s*([:=])\s*(\([^)]*\)|"[^"]*"|[^\s()]+)(?:\s+(?:AND\s+)?|$)')
Test = tuple[str, bool, tuple[str, ...], bool]
"""Field, whether it must be the whole value, the values of which one must fit, whether it must not."""


def parsed(query: str) -> tuple[Test, ...]:
    """Read a query. One that the sandbox does not understand raises Refused, as a wrong one does at Google."""
    tests, at = [], 0
    while at < len(query.strip()):
        term = _TERM.match(query.strip(), at)
        if term is None:
            raise invalid(f"Invalid query (or one that the sandbox does not understand): {query}")
        values = term[4].strip("()") if term[4].startswith("(") else term[4]
        wanted = tuple(value.strip().strip('"') for value in re.split(r"\s+OR\s+|\s*\|\s*", values))
        tests.append((term[2], term[3] == "=", wanted, bool(term[1])))
        at = term.end()
    return tuple(tests)


def fits(tests: Iterable[Test], values: Callable[[str], Iterable[str]]) -> bool:
    """Say whether every test holds; `values` gives what a field holds. `:` looks for a part, `*` stands for any text."""
    return all(
        any(_one(value, each, whole) for value in values(field) for each in wanted) is not never for field, whole, wanted, never in tests
    )


def _one(value: str, wanted: str, whole: bool) -> bool:  # noqa: FBT001 -- it is the operator
    value, wanted = value.lower(), wanted.lower()
    return fnmatch.fnmatchcase(value, wanted if whole else f"*{wanted}*")


def resource_values(result: Json) -> Callable[[str], Iterable[str]]:
    """Give the values of a ResourceSearchResult by field, labels as `labels` or `labels.key`."""

    def values(field: str) -> Iterable[str]:
        if field == "labels":
            return [*result.get("labels", {}), *result.get("labels", {}).values()]
        if field.startswith("labels."):
            return [value for key, value in result.get("labels", {}).items() if key == field.removeprefix("labels.")]
        known = {
            "name",
            "displayName",
            "description",
            "location",
            "state",
            "project",
            "organization",
            "parentFullResourceName",
            "assetType",
        }
        if field not in known:
            raise invalid(f"Invalid query field: {field}")
        return [str(result[field])] if field in result else []

    return values


def binding_values(result: Json, binding: Json) -> Callable[[str], Iterable[str]]:
    """Give the values of one binding of an IamPolicySearchResult by field."""

    def values(field: str) -> Iterable[str]:
        members = binding["members"]
        match field:
            case "policy":
                return [binding["role"], *members]
            case "policy.role" | "roles":
                return [binding["role"]]
            case "memberTypes":
                return [member.partition(":")[0] for member in members]
            case "resource" | "project" | "organization" | "assetType":
                return [str(result[field])] if field in result else []
            case _:
                raise invalid(f"Invalid query field: {field}")

    return values
