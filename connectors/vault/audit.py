"""Searching the server's audit log for what the server lists: it hashes each accessor as the log's device does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.vault.api import Json, Refusal, each
from connectors.vault.audit_log import Sightings, files_of, stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from connectors.vault.records import Mount
    from connectors.vault.visit import Operation, Visit
    from countersign.identity import Record

LOG = "READ audit log"
_USUAL = "file"
"""Path of the device where the server does not say which it has: what its documentation calls it."""


@dataclass(frozen=True, slots=True)
class Device:
    """An audit device that writes to a file."""

    name: str
    plain: bool = False
    """Whether it writes the accessors of tokens as they are (`hmac_accessor=false`)."""
    doubt: str | None = None
    """Why it may not have written everything; None: nothing says so."""


def search(visit: Visit, file: str, methods: Sequence[Mount], leases: Iterable[str]) -> Iterator[Record]:
    """Search the log for every token and secret-id that is listed, who made the tokens, and who holds the leases; see `visit.uses`.

    Yields how it went; where it did not, use stays unknown with the reason.
    """
    path, log = Path(file), visit.operation(LOG)
    tables = visit.operation("GET sys/audit")
    table = visit.api.at_root().get("sys/audit")
    tables.settle(table)
    yield tables.coverage()
    device = Device(_USUAL, doubt="how its device is set is not known") if isinstance(table, Refusal) else device_of(table, path)
    if isinstance(device, str):
        visit.uses.why = f"the audit log is not read: {device}"
        log.refuse(visit.uses.why)
        yield log.coverage()
        return
    tokens, secret_ids = _accessors(visit, methods)
    hashing = visit.operation(f"POST sys/audit-hash/{device.name}")
    hashed = {one: one for one in tokens} if device.plain else _hashed(visit, device, tokens, hashing)
    mounts = {mount.accessor: (mount.kind, mount.path) for mount in methods}
    found = Sightings(hashed, _hashed(visit, device, secret_ids, hashing), frozenset(leases), mounts=mounts)
    if hashing.used:
        yield hashing.coverage()
    cluster = visit.operation("GET sys/ha-status")
    found.doubts += [doubt for doubt in (device.doubt, _nodes(cluster.settle(visit.api.at_root().get("sys/ha-status")))) if doubt]
    yield cluster.coverage()
    seen = _read(path, found, log)
    log.leave_out("a line that is no entry", found.broken)
    if log.refused:
        found.unread = f"the audit log was not read wholly: {log.coverage().error}"
    if found.token_used or found.issued:
        visit.uses.learn(found)
    else:
        if not log.refused:
            log.refuse("it names no accessor of this server, so it is the log of another server or of another audit device")
        visit.uses.why = f"the audit log does not say: {log.coverage().error}"
    yield log.observe(seen)
    yield log.coverage()


def device_of(table: Json, path: Path) -> Device | str:
    """Choose the device that writes the file, by `sys/audit`; a text says why none can be read."""
    files: dict[str, Mapping[str, str]] = {}
    for name, about in table.items():
        options = about.get("options") if isinstance(about, dict) else None
        if isinstance(options, dict) and about.get("type") == "file":
            files[name.strip("/")] = options
    for alike in (str, lambda one: Path(one).name):
        named = [name for name, options in files.items() if alike(str(options.get("file_path"))) == alike(str(path))]
        if len(named) == 1:
            break
    else:
        if len(files) != 1:
            return f"the server has {len(files)} audit devices of type file, and none of them alone writes {path.name}"
        named = list(files)
    options = files[named[0]]
    if str(options.get("log_raw")).lower() == "true":
        return "its device writes secrets as they are (log_raw), which must not be read"
    if options.get("format", "json") != "json":
        return f"its device writes {options['format']}, not json"
    left_out = [name for name in ("exclude", "fallback", "filter") if str(options.get(name) or "false").lower() != "false"]
    doubt = f"its device does not write everything ({', '.join(left_out)})" if left_out else None
    return Device(named[0], plain=str(options.get("hmac_accessor")).lower() == "false", doubt=doubt)


def _nodes(answer: Json | None) -> str | None:
    """Say why one node's log may not be all; None where there is one node."""
    nodes = (answer or {}).get("nodes") or (answer or {}).get("Nodes")
    if not isinstance(nodes, list):
        return "whether other nodes write logs of their own is not known"
    return f"the server has {len(nodes)} nodes, each of which writes a log of its own" if len(nodes) > 1 else None


def _accessors(visit: Visit, methods: Iterable[Mount]) -> tuple[list[str], list[str]]:
    """List accessors of tokens and of secret-ids; what is refused here is refused, and told, again when they are read."""
    listed = visit.api.keys("auth/token/accessors")
    tokens = [] if isinstance(listed, Refusal) else listed
    # Our own calls are in the log, which shows that it is the right one.
    own = [visit.own_accessor] if visit.own_accessor and visit.own_accessor not in tokens else []
    secret_ids: list[str] = []
    for base in (f"auth/{mount.path}role" for mount in methods if mount.kind == "approle"):
        names = visit.api.keys(base)
        paths = [] if isinstance(names, Refusal) else [f"{base}/{name}/secret-id" for name in names]
        for batch in each(paths, visit.api.keys):
            secret_ids += [accessor for _, found in batch if not isinstance(found, Refusal) for accessor in found]
    return own + tokens, secret_ids


def _hashed(visit: Visit, device: Device, accessors: Iterable[str], operation: Operation) -> dict[str, str]:
    """Ask how the device writes each accessor; a batch that is refused whole ends the asking."""
    root, hashed = visit.api.at_root(), {}
    for batch in each(accessors, lambda one: root.post(f"sys/audit-hash/{device.name}", {"input": one})):
        answers = [(accessor, operation.settle(answer)) for accessor, answer in batch]
        hashed.update({str(answer.get("hash")): accessor for accessor, answer in answers if answer is not None})
        if not any(answer is not None for _, answer in answers):
            break
    return hashed


def _read(path: Path, found: Sightings, log: Operation) -> list[Mapping[str, object]]:
    """Read the files, oldest first; returns what is kept of each. A gap moves the log's beginning behind it."""
    try:
        files = files_of(path)
    except OSError as error:
        log.refuse(f"{path.name}: {_reason(error)}")
        return []
    seen: list[Mapping[str, object]] = []
    for file in reversed(files):
        first, entries = None, 0
        if not file.readable:
            log.leave_out("a file that is compressed otherwise than by gzip")
            continue
        try:
            first, entries = stream(file, found)
        except OSError as error:
            found.begins = None
            log.refuse(f"{file.path.name}: {_reason(error)}")
        if file.joined and found.begins is None:
            found.begins = first
        log.answered(entries)
        seen.append({"file": file.path.name, "begins": first, "entries": entries, "joined": file.joined})
    return seen


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
