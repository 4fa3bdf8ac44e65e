"""Reads a folder of exports made with the vendors' own command line tools: for clouds that nobody may connect to."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from connectors.files import aws, entra, gcloud
from connectors.files.folder import ACCOUNT, PROVIDER_OF, Export, Found, Refused, opened, shown, tenant, walk
from connectors.files.reading import Into
from countersign.errors import ReadError
from countersign.reading import Probe, ReadRequest, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.identity import Record
    from countersign.programme import FilesSource, Source

PROVIDER = "files"
PERMISSIONS: tuple[str, ...] = ()
"""None: it opens files. What each export's maker needs is in docs/connectors/files.md."""

_RECORDS = {"aws": aws.records, "azure": entra.records, "gcp": gcloud.records}


def scopes(source: Source) -> tuple[Scope, ...]:
    """List the accounts, tenants and projects that the exports are of, and the folder itself under the provider `files`.

    The folder's own scope is what files that nobody recognises or that are broken count against. Raises ReadError
    where the folder is missing or holds no file.
    """
    root = _root(source)
    found = tuple(walk(root))
    if not found:
        raise ReadError("list exports", f"{root.name} holds no file; put exports there, as docs/connectors/files.md shows")
    exports, _ = _survey(root, found)
    by_scope: dict[tuple[str, str], list[str]] = {}
    for export, names in exports:
        for name in names:
            by_scope.setdefault((PROVIDER_OF[export.format], name), []).append(os.fspath(export.path.relative_to(root)))
    return (
        Scope(source.name, PROVIDER, source.name),
        *(
            # json.dumps keeps names that are no UTF-8 as ASCII escapes.
            Scope(source.name, provider, name, {"export": "yes", "files": json.dumps(files)})
            for (provider, name), files in sorted(by_scope.items())
        ),
    )


def read(request: ReadRequest) -> Iterator[Record]:
    """Yield the records of one account, tenant or project, or the coverage of the folder itself.

    A broken file is a failed Coverage row and the others go on. Raises ReadError where the folder is gone.
    """
    into = Into(request.source.name, request.scope.provider, request.scope.name, request.now())
    root = _root(request.source)
    if request.scope.provider == PROVIDER:
        yield from _folder(root, into)
        return
    exports: list[Export] = []
    for name in json.loads(request.scope.detail["files"]):
        path = root / name
        try:
            export = opened(Found(path, shown(path, root)))
        except Refused as error:
            yield into.failed(f"file:{shown(path, root)}", str(error))
        else:
            exports.append(export)
    yield from _RECORDS[request.scope.provider](exports, into)


def probe(source: Source) -> Iterator[Probe]:
    """Open every file of the folder and say what it was taken for; change nothing."""
    try:
        root = _root(source)
        exports, refused = _survey(root, tuple(walk(root)))
    except ReadError as error:
        yield Probe(source.name, "list exports", ok=False, detail=str(error))
        return
    for export, names in exports:
        yield Probe(", ".join(sorted(names)) or source.name, f"file:{export.name}", ok=True, detail=export.format)
    for name, reason in refused:
        yield Probe(source.name, f"file:{name}", ok=False, detail=reason)


def _root(source: Source) -> Path:
    root = cast("FilesSource", source).path  # the programme loader hands each connector its own kind of source
    if not root.is_dir():
        raise ReadError(
            "list exports", f"{root.name} is no folder; make it, or correct `path` of the source {source.name} in countersign.yaml"
        )
    return root


def _folder(root: Path, into: Into) -> Iterator[Record]:
    found = tuple(walk(root))
    exports, refused = _survey(root, found)
    for name, reason in refused:
        yield into.failed(f"file:{name}", reason)
    listing = into.operation("list exports")
    listing.answered(len(exports))
    yield listing.coverage()


def _survey(root: Path, found: tuple[Found, ...]) -> tuple[tuple[tuple[Export, frozenset[str]], ...], tuple[tuple[str, str], ...]]:
    """Open every file: what was recognised with its scopes (none for `az account show`), and what was refused with the reason."""
    exports: list[Export] = []
    refused: list[tuple[str, str]] = []
    tenants: dict[Path, frozenset[str]] = {}
    for one in found:
        try:
            export = replace(opened(one), document=None)  # one document in memory at a time
        except Refused as error:
            refused.append((one.name, str(error)))
            continue
        exports.append(export)
        if export.format == ACCOUNT:
            tenants[export.path.parent] = tenants.get(export.path.parent, frozenset()) | export.scopes
    placed: list[tuple[Export, frozenset[str]]] = []
    for export in exports:
        try:
            placed.append((export, _scopes_of(export, root, tenants)))
        except Refused as error:
            refused.append((export.name, str(error)))
    return tuple(placed), tuple(refused)


def _scopes_of(export: Export, root: Path, tenants: dict[Path, frozenset[str]]) -> frozenset[str]:
    if export.format == ACCOUNT:
        return frozenset()
    if PROVIDER_OF[export.format] != "azure":
        return export.scopes
    return frozenset({tenant(export.path, root, tenants)})
