"""The server's audit log on disk, streamed once: which of the things asked for was seen in it, when last, and who made it.

The entries are those of https://developer.hashicorp.com/vault/docs/audit/schema; OpenBao writes the same.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import orjson

from countersign.clock import instant

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is read in pieces, none of which is an entry."""
MOST_GONE = 50_000
"""Tokens without an entity that are not there any more, and may have made some that are: the newest are kept, some 20 MB."""
NAME_OF_ROLE = {
    "approle": "role_name",
    "cert": "cert_name",
    "jwt": "role",
    "kubernetes": "role",
    "oidc": "role",
    "userpass": "username",
}
"""Type of auth mount to the key of a login's metadata that names the role or user. Other keys may be claims of whoever logs in."""
_CREATES = re.compile(r"(?:.*/)?auth/token/create(?:-orphan|/.*)?")
"""Paths that make a token; in a child namespace some servers write its path before."""
_ROTATED = re.compile(r"(?:\.(?P<number>\d{1,6})|[.-]\d(?:[\dTZ:_.-]*[\dZ])?)(?P<packed>\.[a-z]\w*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log."""

    path: Path
    joined: bool
    """Whether nothing is missing between this file and the newest one, as far as names tell."""
    readable: bool = True
    """False where it is compressed otherwise than by gzip."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose request made a token: an entity's, else a token's that belongs to none; or the login that gave it out. One of the three."""

    entity: str = ""
    token: str = ""
    """Accessor of a token that is listed."""
    login: tuple[str, str] | None = None
    """(accessor of auth mount, name of role or user)."""


@dataclass(slots=True)
class Sightings:
    """What was asked for, by the log's own hashed values, and what the log says of it."""

    tokens: Mapping[str, str]
    """Hashed accessor to accessor."""
    secret_ids: Mapping[str, str]
    """Hashed accessor to accessor."""
    leases: frozenset[str]
    begins: datetime | None = None
    """Time of the first entry since which no entry is missing; None: there is no entry."""
    ends: datetime | None = None
    """Time of the last entry."""
    entries: int = 0
    broken: int = 0
    """Lines that are no entry, except one that is still being written."""
    vague: int = 0
    """Logins that do not say by which mount, as older servers write them."""
    doubts: list[str] = field(default_factory=list)
    """Why what is not in the log may yet have happened, besides the lines that are broken."""
    token_used: dict[str, datetime] = field(default_factory=dict)
    """By accessor."""
    secret_id_used: dict[str, datetime] = field(default_factory=dict)
    """By accessor."""
    issued: dict[str, str] = field(default_factory=dict)
    """Hashed secret-id to its accessor, for those whose issuing is in the log."""
    entity_used: dict[str, datetime] = field(default_factory=dict)
    logins: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Last login by (accessor of auth mount, name of role or user)."""
    holders: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Lease to the (accessor, entity) that it was given to; None for what is not known."""
    makers: dict[str, Maker] = field(default_factory=dict)
    """By accessor, for tokens without an entity whose making is in the log."""
    mounts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(type, path) by accessor of auth mount."""
    unread: str | None = None
    """Why a part of the log could not be read; None: it was read from its beginning to its end."""
    searched: frozenset[str] = field(init=False)
    """Accessors of tokens that it was searched for."""
    _gone: dict[str, Maker] = field(default_factory=dict)
    """Hashed accessor to who made it, oldest first."""

    def __post_init__(self) -> None:
        self.searched = frozenset(self.tokens.values())

    def take(self, entry: Mapping[str, Any]) -> bool:
        """Note what an entry says; False when it is none, which is then counted as broken."""
        at = _time(entry)
        if at is None:
            self.broken += 1
            return False
        self.entries += 1
        self.ends = at if self.ends is None else max(at, self.ends)
        request, response, auth = _part(entry, "request"), _part(entry, "response"), _part(entry, "auth")
        caller = _text(request, "client_token_accessor") or _text(auth, "accessor")
        accessor = self.tokens.get(caller)
        made = _part(response, "auth")
        # A login shows the new token as the caller's own; being made is no use of it.
        if accessor is not None and _text(made, "accessor") != _text(auth, "accessor"):
            _later(self.token_used, accessor, at)
        if entity := _text(auth, "entity_id"):
            _later(self.entity_used, entity, at)
        self._issue(_part(response, "data"))
        login = self._login(request, made, at) if made else None
        if made or "wrap_info" in response:
            asked_by = Maker(token=accessor) if accessor else self._gone.get(caller)
            self._make(request, response, Maker(entity=entity) if entity else asked_by, login)
        lease = _text(_part(response, "secret"), "lease_id")
        if lease in self.leases:
            # The first to be given it; whoever renews it later may be somebody else.
            self.holders.setdefault(lease, (accessor, entity or None))
        return True

    def _issue(self, data: Mapping[str, Any]) -> None:
        accessor = self.secret_ids.get(_text(data, "secret_id_accessor"))
        if accessor is not None and (secret := _text(data, "secret_id")):
            self.issued[secret] = accessor

    def _make(self, request: Mapping[str, Any], response: Mapping[str, Any], caller: Maker | None, login: tuple[str, str] | None) -> None:
        """Note who made the tokens of an answer that have no entity; `login`: what it was a login as, where it was one.

        Any answer can be wrapped in a token that waits for whoever unwraps it. Where the caller is gone, whoever made the caller counts.
        """
        made, wrapped = _part(response, "auth"), _part(response, "wrap_info")
        found = {_text(wrapped, "accessor"): caller}
        if _text(request, "mount_type") in {"", "token", "ns_token"} and _CREATES.fullmatch(_text(request, "path")):
            found[_text(wrapped, "wrapped_accessor") or _text(made, "accessor")] = caller
        elif login:
            found[_text(made, "accessor")] = Maker(login=login)
        for hashed, maker in found.items():
            if not hashed or maker is None or _text(made, "entity_id"):
                continue
            if accessor := self.tokens.get(hashed):
                self.makers.setdefault(accessor, maker)
            else:
                self._gone.setdefault(hashed, maker)
        while len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _login(self, request: Mapping[str, Any], made: Mapping[str, Any], at: datetime) -> tuple[str, str] | None:
        """Note a login; returns the (accessor of auth mount, name of role or user), None where it names none."""
        self.vague += not (_text(request, "mount_type") and _text(request, "mount_accessor"))
        name = _text(_part(made, "metadata"), NAME_OF_ROLE.get(_text(request, "mount_type"), ""))
        login = (_text(request, "mount_accessor"), name) if name else None
        if login:
            _later(self.logins, login, at)
        issued = self.issued.get(_text(_part(request, "data"), "secret_id"))
        if issued is not None:
            _later(self.secret_id_used, issued, at)
        return login


def files_of(path: Path) -> tuple[LogFile, ...]:
    """Find the log and what was rotated away beside it, newest first. Raises OSError when the log cannot be found."""
    if not path.is_file():
        raise FileNotFoundError(path.name)
    numbered: list[tuple[int, Path, bool]] = []
    dated: list[tuple[str, Path, bool]] = []
    for other in path.parent.iterdir():
        match = _ROTATED.fullmatch(other.name.removeprefix(path.name)) if other.name.startswith(path.name) else None
        if match is None or not other.is_file():
            continue
        readable = match["packed"] in (None, ".gz")
        if match["number"] is not None and len(match["number"]) < len("20260101"):
            numbered.append((int(match["number"]), other, readable))
        else:
            dated.append((other.name, other, readable))
    found = [LogFile(path, joined=True)]
    joined, before = True, None
    for number, other, readable in sorted(numbered):
        joined = joined and readable and (number <= 1 if before is None else number == before + 1)
        before = number
        found.append(LogFile(other, joined, readable))
    for _, other, readable in sorted(dated, reverse=True):
        joined = joined and readable
        found.append(LogFile(other, joined, readable))
    return tuple(found)


def stream(file: LogFile, sightings: Sightings) -> tuple[datetime | None, int]:
    """Read one file as long as it is now; returns the time of its first entry (None: it has none) and how many entries it has.

    Raises OSError when it cannot be read to its end.
    """
    first, entries = None, 0
    for line, whole in _lines(file.path):
        # A device can be told to write a prefix before each entry.
        start = line.find(b"{")
        try:
            entry = orjson.loads(memoryview(line)[max(start, 0) :])
        except orjson.JSONDecodeError:
            sightings.broken += whole
            continue
        if sightings.take(entry if isinstance(entry, Mapping) else {}):
            entries += 1
            first = first or _time(entry)
    return first, entries


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Give each line, and whether it is whole: the last one may still be being written."""
    with path.open("rb") as raw:
        packed = path.suffix == ".gz"
        left = None if packed else os.fstat(raw.fileno()).st_size
        reader = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            while (left is None or left > 0) and (line := reader.readline(LONGEST_LINE)):
                left = None if left is None else left - len(line)
                if line.strip():
                    yield line, line.endswith(b"\n") or len(line) == LONGEST_LINE
        except (EOFError, zlib.error) as error:
            raise OSError(str(error)) from error


def _later(seen: dict[Any, datetime], key: str | tuple[str, str], at: datetime) -> None:
    seen[key] = max(at, seen.get(key, at))


def _part(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = entry.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


def _time(entry: Mapping[str, Any]) -> datetime | None:
    try:
        return instant(_text(entry, "time"))
    except ValueError:
        return None
