"""`countersign doctor`: try everything that a run needs, and change nothing."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from countersign.programme import Programme, Source

FAILURES = 3
"""So many failures of one scope are told one by one; where there are more, they usually have one cause."""
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Tried:
    """One thing that was tried."""

    source: str
    """Name of the source, or what of the programme itself."""
    scope: str
    operation: str
    ok: bool
    detail: str


def doctor(
    *,
    every: Annotated[bool, typer.Option("--all", help="Show every check, also those that went well.")] = False,
    revoking: Annotated[
        bool, typer.Option("--revoking", help="Try the identity that revokes instead: whether it is there, and another than the reader's.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Check configuration, register, keys, storage, and the credentials and permissions of each source. Changes nothing.

    Says for each account, tenant, project or namespace how much of it can be read, and for what cannot be read, why.

    Exit code 0: a run can start and read everything; 1: something is missing; 2: the configuration is broken.
    """
    from countersign.programme import load

    loaded = load(programme)
    with show.progress("trying every source"):
        tried = tuple(_revoking(loaded, datetime.now(UTC)) if revoking else _try(loaded, datetime.now(UTC)))
    ok = all(each.ok for each in tried)
    if as_json:
        checks = [{name: getattr(each, name) for name in ("source", "scope", "operation", "ok", "detail")} for each in tried]
        show.document({"ok": ok, "programme": loaded.folder, "checks": checks})
    else:
        rows = [(each.source, each.scope, each.operation, "ok" if each.ok else "failed", each.detail) for each in tried]
        show.out(show.table(("source", "scope", "check", "result", ""), rows if every else _short(tried)), "")
        failed = sum(not each.ok for each in tried)
        there = "Both identities are there, in every scope." if revoking else "Everything that a run needs is there."
        show.out(there if ok else f"{failed} of {len(tried)} checks failed.")
    return EXIT_FINE if ok else EXIT_ACT


def _short(tried: "Sequence[Tried]") -> Iterator[tuple[str, ...]]:
    """Give one row for what went well in each scope of a source, with the last thing it told, and a row for each thing that did not."""
    for (source, scope), checks in groupby(tried, key=lambda each: (each.source, each.scope)):
        held = tuple(checks)
        well = [each for each in held if each.ok]
        if source == "programme":
            yield from ((source, scope, each.operation, "ok" if each.ok else "failed", each.detail) for each in held)
            continue
        if well:
            told = next((each.detail for each in well if each.detail), "")
            yield source, scope, f"{len(well)} of {len(held)} reads", "ok", told
        failed = [each for each in held if not each.ok]
        shown = failed if len(failed) <= FAILURES else failed[:1]
        yield from ((source, scope, each.operation, "failed", each.detail) for each in shown)
        if len(failed) > len(shown):
            others = ", ".join(each.operation for each in failed[len(shown) :])
            yield source, scope, f"{len(failed) - len(shown)} more", "failed", f"{others} (--all says why)"
        yield from ((source, scope, each.operation, "not read", each.detail) for each in well if each.detail.startswith("not read"))


def _try(programme: "Programme", now: datetime) -> Iterator[Tried]:
    from countersign.cli.register import problems

    broken = len(problems(programme))
    detail = "it holds" if not broken else f"{broken} {'problem' if broken == 1 else 'problems'}: {show.program()} register check"
    yield Tried("programme", "register", "check", not broken, detail)
    yield _key(programme)
    yield _store(programme)
    yield _clock(programme, now)
    yield _state(programme)
    yield from _desk(programme)
    yield from _channels(programme)
    for source in programme.sources:
        yield from _source(source)


def _revoking(programme: "Programme", now: datetime) -> Iterator[Tried]:
    """Enter every scope that can be changed, with both identities; what either may do shows when a plan is made and applied."""
    from countersign.errors import CountersignError
    from countersign.reading import connector
    from countersign.revocation import revoker

    for source in programme.sources:
        if source.provider == "files":
            continue
        try:
            scopes = connector(source.provider).scopes(source)
        except CountersignError as error:
            yield Tried(source.name, source.name, "list scopes", ok=False, detail=error.message)
            continue
        for scope in scopes:
            try:
                with revoker(source.provider).hand(source, scope, run="doctor", now=lambda: now) as hand:
                    reads, writes = hand.who()
                apart = reads != writes or reads == "anonymous"
                said = f"reads as {reads}, revokes as {writes}" if apart else f"reader and revoker are both {reads}: use two identities"
                yield Tried(source.name, scope.name, "who revokes", ok=apart, detail=said)
            except Exception as error:  # noqa: BLE001 - whatever one scope does, the others are tried
                told = error.message if isinstance(error, CountersignError) else type(error).__name__
                yield Tried(source.name, scope.name, "who revokes", ok=False, detail=told)


def _channels(programme: "Programme") -> Iterator[Tried]:
    """Try whether each channel's address can be read and understood; nobody is told anything."""
    if not programme.escalation.channels:
        return
    from countersign.notices import channels

    for channel in programme.escalation.channels:
        try:
            channels.check(channel)
        except channels.ChannelError as error:
            yield Tried("programme", "escalation", f"channel {channel.name}", ok=False, detail=error.message)
        else:
            detail = "whether it takes messages shows with the first one"
            yield Tried("programme", "escalation", f"channel {channel.name}", ok=True, detail=detail)


def _desk(programme: "Programme") -> Iterator[Tried]:
    """Try the tracker where tickets go; the local desk is the state database, which is tried anyway."""
    from countersign.desk.choice import probed_of

    desk = probed_of(programme, lambda: datetime.now(UTC))
    if desk is None:
        return
    try:
        for probe in desk.probe():
            yield Tried("programme", "desk", probe.operation, probe.ok, probe.detail)
    except Exception as error:  # noqa: BLE001 - whatever the desk does, the sources are tried
        yield Tried("programme", "desk", "probe", ok=False, detail=f"{type(error).__name__}: {error}")


def _source(source: "Source") -> Iterator[Tried]:
    from countersign.reading import connector

    probes = 0
    try:
        for probes, probe in enumerate(connector(source.provider).probe(source), start=1):  # noqa: B007 - counted for what comes after
            yield Tried(source.name, probe.scope, probe.operation, probe.ok, probe.detail)
    except Exception as error:  # noqa: BLE001 - whatever one source does, the others are tried
        yield Tried(source.name, source.name, "probe", ok=False, detail=f"{type(error).__name__}: {error}")
    else:
        if not probes:
            yield Tried(source.name, source.name, "probe", ok=False, detail="there is nothing to read")


def _key(programme: "Programme") -> Tried:
    from countersign.errors import EvidenceError
    from countersign.evidence import signer

    try:
        key = signer.load(programme.evidence.signer)
    except EvidenceError as error:
        return Tried("programme", "evidence key", "load", ok=False, detail=f"{error.message}; {error.fix}" if error.fix else error.message)
    kept = "readable by this account alone" if programme.evidence.signer.startswith("file:") else f"kept by {programme.evidence.signer}"
    return Tried("programme", "evidence key", "load", ok=True, detail=f"key id {key.public_key.keyid[:16]}, {kept}")


def _store(programme: "Programme") -> Tried:
    from countersign.entry import open_store
    from countersign.errors import EvidenceError
    from countersign.evidence.s3 import S3Store

    store = programme.evidence.store
    try:
        opened = open_store(programme)
        head, dead = opened.head(), len(opened.interrupted())
        if isinstance(opened, S3Store):
            opened.bucket.check_lock()
            strange = [f"{notice.key} {notice.what}" for notice in opened.notices() if notice.foreign]
            if strange:
                more = f"; and {len(strange) - 1} more" if len(strange) > 1 else ""
                return Tried("programme", "evidence", "look", ok=False, detail=f"{opened.bucket.uri}: {show.clean(strange[0])}{more}")
    except EvidenceError as error:
        return Tried("programme", "evidence", "read", ok=False, detail=error.message)
    held = "no run yet" if head is None else f"{head.sequence} sealed, the last is {head.statement_digest}"
    left = f"; {dead} interrupted, which the next run puts on file" if dead else ""
    return _writable("evidence", store, f"{held}{left}")


def _writable(scope: str, folder: Path, detail: str) -> Tried:
    """Whether a folder can be written to, or made: no file is written to find out."""
    there = folder
    while not there.exists():
        there = there.parent
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Tried("programme", scope, "write", ok=True, detail=detail if there == folder else f"{detail}; the folder will be made")
    return Tried("programme", scope, "write", ok=False, detail=f"{there} cannot be written to by this account")


def _clock(programme: "Programme", now: datetime) -> Tried:
    """Compare the clock with the last sealed run: one that goes backwards would date evidence before its predecessor."""
    from countersign.clock import instant
    from countersign.entry import open_store
    from countersign.errors import EvidenceError
    from countersign.evidence import statement
    from countersign.evidence.verify import STATEMENT, run_folder

    store = programme.evidence.store
    try:
        head = open_store(programme).head()
        said = None if head is None else statement.read(store / run_folder(head.sequence) / STATEMENT).predicate["finished"]
    except EvidenceError as error:
        return Tried("programme", "clock", "compare", ok=False, detail=error.message)
    if said is not None and instant(str(said)) > now:
        return Tried("programme", "clock", "compare", ok=False, detail=f"it is {show.clean(now)}, but the last run ended {said}")
    return Tried("programme", "clock", "compare", ok=True, detail=show.clean(now))


def _state(programme: "Programme") -> Tried:
    scheme, _, rest = programme.state.partition(":///")
    if scheme == "sqlite":
        file = Path(rest.partition("?")[0])
        if not file.exists():
            return _writable("state", file.parent, f"{file.name} will be made by the first run")
        try:
            with file.open("r+b") as opened:
                head = opened.read(len(_SQLITE))
        except OSError as error:
            return Tried("programme", "state", "open", ok=False, detail=f"{file}: {error.strerror}")
        good = head in (_SQLITE, b"")
        return Tried("programme", "state", "open", ok=good, detail=file.name if good else f"{file} is no SQLite database")
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(programme.state, connect_args={"connect_timeout": 10})
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return Tried("programme", "state", "connect", ok=False, detail=str(error).partition("\n")[0])
    return Tried("programme", "state", "connect", ok=True, detail="the database answers")
