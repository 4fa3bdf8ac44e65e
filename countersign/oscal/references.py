"""Check what NIST's JSON schema cannot: that every reference of an OSCAL document leads somewhere, and that it says the right version."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from countersign.oscal.words import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOTS = ("assessment-results", "plan-of-action-and-milestones")
_LISTS = {
    "parties": "party", "components": "component", "inventory-items": "inventory-item", "users": "user", "locations": "location",
    "observations": "observation", "risks": "risk", "findings": "finding", "tasks": "task", "activities": "activity",
    "remediations": "response", "resources": "resource", "assessment-platforms": "assessment-platform",
}  # fmt: skip
"""Name of a list to what its members are, by what refers to them."""
_ANY_TYPE = {"subject-uuid", "actor-uuid"}
"""What these refer to is said by `type` beside them."""
_TYPES = {"tool": "component"}
_REFERENCES = {"party-uuids": "party", "member-of-organizations": "party", "role-id": "role", "objective-id": "objective"}


def problems(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is wrong, a sentence each, in the order of the document; an empty tuple: nothing.

    Seen are uuids that two things share, references by uuid, role, objective and `#fragment` to what the document does not hold, and
    an oscal-version other than the one we write. Works on any of the two documents, also on one of somebody else's that is valid.
    """
    if len(document) != 1 or next(iter(document)) not in ROOTS:
        return (f"the document has to be one of: {', '.join(ROOTS)}",)
    root = document[next(iter(document))]
    found: list[str] = []
    version = root.get("metadata", {}).get("oscal-version")
    if version != VERSION:
        found.append(f"oscal-version is {version!r} where {VERSION!r} is due")
    defined = _defined(root)
    twice = Counter(name for kind, name in _nodes(root) if kind == "uuid")
    found += [f"the uuid {name} stands for {count} things" for name, count in twice.items() if count > 1]
    found += [f"no {kind} of this document is {name!r}" for kind, name in _asked_for(root) if name not in defined.get(kind, ())]
    return tuple(dict.fromkeys(found))


def _nodes(node: object) -> Iterator[tuple[str, object]]:
    """Yield every name and value of every object below."""
    if isinstance(node, list):
        for each in node:
            yield from _nodes(each)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            yield from _nodes(value)


def _defined(root: Mapping[str, Any]) -> dict[str, set[object]]:
    defined: dict[str, set[object]] = {"uuid": set(), "role": {role["id"] for role in root.get("metadata", {}).get("roles", [])}}
    for name, value in _nodes(root):
        if name in _LISTS and isinstance(value, list):
            defined.setdefault(_LISTS[name], set()).update(each["uuid"] for each in value if isinstance(each, dict) and "uuid" in each)
        elif name == "objectives-and-methods":
            parts = (part for objective in value for part in objective["parts"])  # type: ignore[attr-defined] # a list, by the schema
            defined.setdefault("objective", set()).update(part["id"] for part in parts if "id" in part)
    return defined


def _asked_for(node: object) -> Iterator[tuple[str, object]]:
    """Yield what is referred to: its kind and its name."""
    if isinstance(node, list):
        for each in node:
            yield from _asked_for(each)
    elif isinstance(node, dict):
        for name, value in node.items():
            kind = _kind(node, name, value)
            if kind is None:
                yield from _asked_for(value)
            elif isinstance(value, list):
                yield from ((kind, each) for each in value)
            else:
                yield kind, str(value).removeprefix("#")


def _kind(node: Mapping[str, Any], name: str, value: object) -> str | None:
    """Return what the value refers to; None: it is no reference."""
    if name in _ANY_TYPE:
        return str(_TYPES.get(node["type"], node["type"]))
    if name == "target-id":
        return "objective" if node["type"] == "objective-id" else None
    if name == "href":
        return "resource" if str(value).startswith("#") else None
    return _REFERENCES.get(name) or (name.removesuffix("-uuid") if name.endswith("-uuid") else None)
