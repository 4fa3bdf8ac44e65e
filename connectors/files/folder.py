"""Walks a folder of exports and says of each file what it is, by its content, or why it cannot be read."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from countersign.fields import GUID, Row, guid, moment, rows, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

# A parsed JSON document takes some ten times its size in memory; a credential report is streamed, so it may be larger.
JSON_LIMIT = 256 * 1024 * 1024
CSV_LIMIT = 1024 * 1024 * 1024

REPORT, DETAILS, SP_LIST, APP_LIST, ACCOUNT, SA_LIST, KEY_LIST = FORMATS = (
    "aws iam get-credential-report",
    "aws iam get-account-authorization-details",
    "az ad sp list",
    "az ad app list",
    "az account show",
    "gcloud iam service-accounts list",
    "gcloud iam service-accounts keys list",
)
PROVIDER_OF = {REPORT: "aws", DETAILS: "aws", SP_LIST: "azure", APP_LIST: "azure", SA_LIST: "gcp", KEY_LIST: "gcp"}
KNOWN = "known are the JSON (for a credential report also the CSV) of: " + ", ".join(f"`{name}`" for name in FORMATS)

_AWS_ACCOUNT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):")
_GCP_PROJECT = re.compile(r"projects/([a-z0-9.:-]{1,100})/serviceAccounts/")
_REPORT_COLUMNS = {"user", "arn", "user_creation_time"}


class Refused(Exception):  # noqa: N818 - it is a verdict on one file, not a fault
    """Why one file is not read: a sentence that names the place and the fix."""


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the folder, not yet opened."""

    path: Path
    name: str
    """Relative to the folder, safe to print."""
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """One file that was opened and recognised."""

    path: Path
    name: str
    format: str
    modified: datetime
    """When the file was last written; a credential report's envelope knows better and says when AWS made it."""
    sha256: str
    scopes: frozenset[str]
    """Accounts, projects or (`az account show`) the tenant that it names; empty for az lists, whose tenant is said beside them."""
    document: Row | tuple[object, ...] | None
    """Parsed JSON: an object, or the rows of a list; None for a report, which is read by `report_lines`."""


def shown(path: Path, root: Path) -> str:
    """Write a path relative to the folder so that it can be printed: control characters and broken UTF-8 are escaped."""
    name = os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def walk(root: Path) -> Iterator[Found]:
    """List the plain files below the folder, sorted, without hidden ones; links and special files come with a refusal.

    A link to a place inside the folder is left out, since its target is listed itself.
    """
    inside = root.resolve()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*links, *(name for name in files if not name.startswith("."))]):
            path = Path(folder) / name
            found = shown(path, root)
            if path.is_symlink():
                if not path.resolve().is_relative_to(inside):
                    yield Found(path, found, "is a link that leaves the folder; copy the file itself here")
            elif not stat.S_ISREG(path.lstat().st_mode):
                yield Found(path, found, "is no plain file; remove it")
            else:
                yield Found(path, found)


def opened(found: Found) -> Export:
    """Read one file and say what it is. Raises Refused where it cannot be read, is broken or is none of the known exports."""
    if found.refusal is not None:
        raise Refused(found.refusal)
    try:
        with _plain(found.path) as file:
            status = os.fstat(file.fileno())
            modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
            start = file.read(4096)
            file.seek(0)
            if _decoded(start, cut=True).lstrip()[:1] in ("{", "["):
                if status.st_size > JSON_LIMIT:
                    raise Refused(f"has {status.st_size:,} bytes; JSON is read up to {JSON_LIMIT:,}: export in pages or by project")
                return _json(found, modified, file.read())
            if status.st_size > CSV_LIMIT:
                raise Refused(f"has {status.st_size:,} bytes; a report is read up to {CSV_LIMIT:,}")
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror or error}; check that it is there and its permissions") from None
    account = _csv_account(report_lines(found.path))
    return Export(found.path, found.name, REPORT, modified, digest, frozenset({account}), None)


def report_lines(path: Path, document: Row | tuple[object, ...] | None = None) -> Iterator[str]:
    """Stream the lines of a credential report, from the CSV itself or from the JSON envelope around it.

    Raises Refused where its text cannot be decoded, and OSError.
    """
    if isinstance(document, dict):
        yield from _enclosed(document).splitlines(keepends=True)
        return
    with _plain(path) as file:
        mark = file.read(2)
    encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Windows PowerShell's `>` writes UTF-16
    with path.open(encoding=encoding, newline="") as lines:
        number = 0
        try:
            for line in lines:
                number += 1
                yield line
        except UnicodeError:
            raise Refused(f"line {number + 1}: is no UTF-8 text; export it again") from None


def tenant(path: Path, root: Path, accounts: dict[Path, frozenset[str]]) -> str:
    """Say whose directory an az export is of: by an `az account show` beside or above it, else by a folder named as the tenant id.

    `accounts` holds the tenant ids found per folder. Raises Refused where nothing says it, or two things are said.
    """
    folder = path.parent
    while folder.is_relative_to(root):
        named = accounts.get(folder, frozenset())
        if len(named) > 1:
            raise Refused(f"lies beside `az account show` files of {len(named)} tenants; give each tenant a folder of its own")
        if named:
            return next(iter(named))
        if GUID.fullmatch(folder.name):
            return folder.name.lower()
        folder = folder.parent
    raise Refused(
        "does not say which tenant it is of; put the output of `az account show` beside it, or the file in a folder named as the tenant id"
    )


def _plain(path: Path) -> BufferedReader:
    # O_NOFOLLOW and O_NONBLOCK: the file may have become a link or a pipe since it was listed.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    file = os.fdopen(handle, "rb")
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return file
    file.close()
    raise Refused("is no plain file; remove it")


def _decoded(data: bytes, *, cut: bool = False) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, "replace" if cut else "strict")


def _json(found: Found, modified: datetime, data: bytes) -> Export:
    digest = hashlib.sha256(data).hexdigest()
    try:
        document = orjson.loads(_decoded(data))
    except orjson.JSONDecodeError as error:
        raise Refused(f"line {error.lineno}, column {error.colno}: is broken JSON ({error.msg}); export it again") from None
    except UnicodeDecodeError as error:
        raise Refused(f"{error.reason}: is no UTF-8 text; export it again") from None
    if isinstance(document, dict) and isinstance(document.get("value"), list):  # Graph's own envelope, from `az rest`
        document = document["value"]
    if isinstance(document, list):
        kind, scopes = _list_kind(document)
        return Export(found.path, found.name, kind, modified, digest, scopes, tuple(document))
    kind, scopes = _object_kind(document)
    when = moment(document, "GeneratedTime")[0] if kind == REPORT else None
    return Export(found.path, found.name, kind, when or modified, digest, scopes, document)


def _object_kind(document: Row) -> tuple[str, frozenset[str]]:
    if any(isinstance(document.get(key), list) for key in ("UserDetailList", "RoleDetailList", "GroupDetailList", "Policies")):
        return DETAILS, frozenset({_one(_arns(document), "`get-account-authorization-details`")})
    if isinstance(document.get("Content"), str):
        return REPORT, frozenset({_csv_account(iter(_enclosed(document).splitlines(keepends=True)))})
    if guid(document, "tenantId") is not None and ("homeTenantId" in document or "environmentName" in document):
        return ACCOUNT, frozenset({guid(document, "tenantId") or ""})
    raise Refused(f"is JSON of no known export; {KNOWN}")


def _list_kind(document: list[object]) -> tuple[str, frozenset[str]]:
    if not document:
        raise Refused("is an empty list, which could be any export, so nothing follows from it; remove it")
    kinds = {_row_kind(item) for item in document}
    if len(kinds) > 1 or None in kinds:
        position = next((number for number, item in enumerate(document, 1) if _row_kind(item) != _row_kind(document[0])), 1)
        raise Refused(f"entry {position}: is of no known export, or of another one than entry 1; {KNOWN}")
    kind = kinds.pop() or ""
    if kind not in (SA_LIST, KEY_LIST):
        return kind, frozenset()
    projects = (_GCP_PROJECT.match(text(item, "name") or "") for item in document if isinstance(item, dict))
    named = frozenset(match[1] for match in projects if match)
    if not named:
        raise Refused("names no project: no entry has a name like projects/P/serviceAccounts/...; export with --format json")
    return kind, named


def _row_kind(item: object) -> str | None:
    if not isinstance(item, dict):
        return None
    if "appId" in item:
        return SP_LIST if "servicePrincipalType" in item else APP_LIST
    if "keyType" in item and "/keys/" in str(item.get("name")):
        return KEY_LIST
    return SA_LIST if "uniqueId" in item and "email" in item else None


def _arns(document: Row) -> Iterator[str]:
    for key in ("UserDetailList", "RoleDetailList", "GroupDetailList", "Policies"):
        for item in rows(document, key) or ():
            match = _AWS_ACCOUNT.match(text(item, "Arn") or "")
            if match:
                yield match[1]


def _csv_account(lines: Iterator[str]) -> str:
    reader = csv.DictReader(lines)
    try:
        header = set(reader.fieldnames or ())
        if not header >= _REPORT_COLUMNS:
            raise Refused(f"is of no known export; {KNOWN}")
        accounts = (_AWS_ACCOUNT.match(row.get("arn") or "") for row in reader)
        return _one((match[1] for match in accounts if match), "the credential report")
    except csv.Error as error:
        raise Refused(f"line {reader.line_num + 1}: is broken CSV ({error}); export it again") from None


def _one(accounts: Iterator[str], what: str) -> str:
    named = set(accounts)
    if len(named) == 1:
        return named.pop()
    if named:
        raise Refused(f"speaks of {len(named)} accounts ({', '.join(sorted(named))}); {what} is of one: export each by itself")
    raise Refused(f"names no account: no ARN in {what}; export it again")


def _enclosed(document: Row) -> str:
    try:
        return base64.b64decode(text(document, "Content") or "", validate=True).decode("utf-8-sig")
    except ValueError:  # no base64, not even ASCII, or no UTF-8
        raise Refused("Content is no base64 of UTF-8 text; export it again") from None
