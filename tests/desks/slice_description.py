"""Cut from a vendor's OpenAPI description what our desks use: their operations and what these refer to, without the prose.

    python -m tests.desks.slice_description github api.github.com.json > tests/data/github/openapi.json

The operations are those of the stand-in's own table, so that a stand-in can have none that its vendor has not.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.desks.contracts import SERVED, STAND_INS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.desks.served import Call

PROSE = {"description", "summary", "example", "examples", "externalDocs", "title", "tags", "operationId", "deprecated"}
SCHEME = ("type", "scheme", "in", "name")
KEPT = ("version", "title", "license")
NAMES = {"properties", "patternProperties", "headers", "schemas", "responses", "content", "securitySchemes", "mapping"}
"""Below these stand names of the vendor's, whatever they look like, and no keywords."""


def sliced(document: dict[str, Any], calls: Iterable[Call], served: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the part of a description that has the calls' operations; `served` says which path of the description a call's path is.

    Raises KeyError when the vendor has no such operation.
    """
    shapes = {_shape(path): path for path in document["paths"]}
    for_all = {"security": document["security"]} if "security" in document else {}
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        path = shapes[_shape(served(call.path))]
        item = document["paths"][path]
        shared = {"parameters": bare(item["parameters"])} if "parameters" in item else {}
        paths[path] = {**shared, **paths.get(path, {}), call.method.lower(): bare({**for_all, **item[call.method.lower()]})}
    parts = _parts(document, paths)
    schemes = document["components"].get("securitySchemes", {})
    if schemes:
        parts["securitySchemes"] = {name: {each: scheme[each] for each in SCHEME if each in scheme} for name, scheme in schemes.items()}
    info = {name: document["info"][name] for name in KEPT if name in document["info"]}
    return {
        "openapi": document["openapi"],
        "info": info,
        "servers": [{"url": document["servers"][0]["url"]}],
        "paths": paths,
        "components": parts,
    }


def bare(node: Any, *, names: bool = False) -> Any:
    """Leave prose and extensions out; what a vendor named like a keyword (`names`) stays."""
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {name: value for name, value in node.items() if names or not (name in PROSE or name.startswith("x-"))}
    return {
        name: value if name in {"enum", "default"} and not names else bare(value, names=not names and name in NAMES)
        for name, value in kept.items()
    }


def _parts(document: dict[str, Any], paths: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    left = list(_references(paths))
    while left:
        _, _, kind, name = left.pop().split("/")
        if name not in found.get(kind, {}):
            part = bare(document["components"][kind][name])
            found.setdefault(kind, {})[name] = part
            left.extend(_references(part))
    return {kind: dict(sorted(parts.items())) for kind, parts in sorted(found.items())}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def main(kind: str, file: str) -> None:
    json.dump(sliced(json.loads(Path(file).read_bytes()), STAND_INS[kind].calls, SERVED.get(kind, str)), sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
