"""`countersign evidence`: what is in the ledger and until when, holds, disposal, timestamps, and what an auditor keeps of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.disposal import Plan
    from countersign.evidence.ledger import Entry, Ledger
    from countersign.programme import Programme

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is sealed into the ledger.")]
By = Annotated[str, typer.Option(metavar="WHO", help="Who decided it; it is sealed into the ledger.")]
File = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it into this new file.")]
_RUNS = re.compile(r"(\d{1,18})(?:(-)(\d{1,18})?)?", re.ASCII)


def listed(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """List the entries of the ledger: what each is, how much of it is here, until when it is kept, and which hold it is under.

    Only from the statements; whether they are authentic is for `countersign verify`. Exit code 0.
    """
    from countersign.entry import open_store
    from countersign.evidence import ledger
    from countersign.programme import load

    loaded = load(programme)
    found = ledger.read(open_store(loaded))
    rows = [_row(loaded, found, each) for each in found.entries]
    if as_json:
        show.document({"entries": rows, "holds": [{"id": each.id, "runs": [each.first, each.last], "reason": each.reason, "by": each.by,
                                                   "entry": each.entry} for each in found.holds]})  # fmt: skip
        return EXIT_FINE
    if not rows:
        show.out(f"Nothing is sealed yet. Start a run: {show.program()} reconcile -p {show.path(programme)}")
        return EXIT_FINE
    columns = ("entry", "kind", "as of", "state", "size", "kept until", "held by")
    show.out(show.table(columns, (_cells(row) for row in rows), numbers=("size",)))
    for each in found.holds:
        show.out(show.text(f"{each.id}: entries {each.first} to {each.last}, by {each.by}: {each.reason}"))
    return EXIT_FINE


def fetch(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Bring the local copy of a bucket up to date: the files of every entry, each checked with its statement, as `verify` needs them.

    Where evidence is kept in a folder there is nothing to do. Exit code 0; 1: some file of an entry is not in the bucket as it was signed.
    """
    from countersign.entry import open_store
    from countersign.evidence import ledger
    from countersign.programme import load

    store = open_store(load(programme))
    found = ledger.read(store)
    lacking = []
    for each in found.entries:
        folder = store.fetch(each.sequence)
        if each.sequence not in found.disposed:
            lacking += [f"{folder.name}/{name}" for name in each.files if not (folder / name).exists()]
    if as_json:
        show.document({"folder": store.folder.absolute(), "entries": len(found.entries), "lacking": lacking})
    else:
        show.out(show.text(f"{show.path(store.folder)} holds {len(found.entries)} entries."))
        for name in lacking:
            show.out(show.text(f"{name}: not in the bucket as it was signed"))
    return EXIT_ACT if lacking else EXIT_FINE


def hold(
    runs: Annotated[str, typer.Argument(metavar="RUNS", help="Numbers of entries: 12, 12-42, or 12- for all from 12 to the newest.")],
    *,
    reason: Reason,
    by: By,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Keep the files of entries until the hold is released, whatever their retention says (a legal hold).

    It is an entry of the ledger, so that nobody can place or lift it unseen. With a bucket its own legal hold is put on too. Exit code 0.
    """
    from countersign import disposal
    from countersign.programme import load

    match = _RUNS.fullmatch(runs)
    if match is None:
        raise UsageError(f"{runs!r} names no entries", fix="write 12, 12-42, or 12- for all from 12 to the newest")
    first, dash, last = match.groups()
    to = int(last) if last else None if dash else int(first)
    placed, sealed = disposal.hold(load(programme), int(first), to, reason=reason, by=by, clock=_now)
    if as_json:
        show.document({"id": placed.id, "runs": [placed.first, placed.last], "entry": sealed.path.name})
    else:
        show.out(
            show.text(f"Entries {placed.first} to {placed.last} are held as {placed.id}, entry {sealed.path.name}."),
            f"To end it: {show.program()} evidence release {placed.id} -p {show.path(programme)}",
        )
    return EXIT_FINE


def release(
    name: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id, as `evidence list` gives it.")],
    *,
    reason: Reason,
    by: By,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """End a hold. What is past its retention may then be disposed of. Exit code 0."""
    from countersign import disposal
    from countersign.programme import load

    ended, sealed = disposal.release(load(programme), name, reason=reason, by=by, clock=_now)
    if as_json:
        show.document({"id": ended.id, "runs": [ended.first, ended.last], "entry": sealed.path.name})
    else:
        show.out(show.text(f"{ended.id} on entries {ended.first} to {ended.last} is released, entry {sealed.path.name}."))
    return EXIT_FINE


def dispose(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; otherwise it is only said what would go.")] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Remove the files of entries that are past their retention and under no hold; without --yes only say which.

    Statements, checkpoints and timestamps stay for good, so the chain is whole, and a signed entry lists what was removed and why.
    The newest run with verdicts always stays. Exit code 0: nothing is left to do; 1: without --yes, something would be removed.
    """
    from countersign import disposal
    from countersign.programme import load

    loaded = load(programme)
    plan, sealed = disposal.dispose(loaded, clock=_now) if yes else (disposal.plan(loaded, _now()), None)
    if as_json:
        show.document(_plan_json(plan, None if sealed is None else sealed.path.name, done=yes))
    else:
        _tell(plan, None if sealed is None else sealed.path.name, done=yes)
        if not yes and (plan.due or plan.unfinished):
            show.out(f"Nothing was removed. To do it: {show.program()} evidence dispose -p {show.path(programme)} --yes")
    return EXIT_ACT if not yes and (plan.due or plan.unfinished) else EXIT_FINE


def prove(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the number of its entry, or latest.")],
    *,
    output: File = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Prove that one entry is in the tree of the newest checkpoint, without the other entries (RFC 9162 section 2.1.3): as JSON.

    Whoever has that checkpoint, or a later proof that the tree only grew, needs nothing else of the ledger. Exit code 0.
    """
    from countersign.entry import open_store
    from countersign.evidence import proof
    from countersign.programme import load

    document = proof.of_run(open_store(load(programme)), run)
    _give(_json(document), output, f"the proof of entry {document['sequence']}", as_json=as_json)
    return EXIT_FINE


def checkpoint(
    *,
    since: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An older checkpoint that you kept: prove that the ledger only grew since.")
    ] = None,
    output: File = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Print the newest checkpoint, for an auditor to keep: the signed root of the tree over all entries (a C2SP signed note).

    Who has it can see later that history was rewritten: `countersign verify --checkpoint FILE`. With --since, the consistency proof
    (RFC 9162 section 2.1.4) as JSON. Exit code 0: here it is; 4: the ledger is not the one that it was.
    """
    from countersign.entry import open_store
    from countersign.evidence import proof
    from countersign.programme import load

    store = open_store(load(programme))
    if since is not None:
        document = proof.since(store, programme / since)
        _give(_json(document), output, f"the proof that the ledger grew from {document['from']} entries", as_json=as_json)
        return EXIT_FINE
    note, said = proof.newest(store)
    if as_json and output is None:
        show.document({"origin": said.origin, "size": said.size, "root": said.root.hex(), "note": note.decode()})
    else:
        _give(note, output, f"the checkpoint of {said.size} entries", as_json=as_json)
    return EXIT_FINE


def stamped(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Ask for the timestamps that entries of the last seven days still lack (RFC 3161); every run does this by itself too.

    Exit code 0: none is missing now; 1: some could not be had, and why; 2: no authority is configured under evidence.timestamps.
    """
    from countersign.clock import stamp
    from countersign.entry import open_store
    from countersign.evidence import timestamps
    from countersign.programme import load

    loaded = load(programme)
    if loaded.evidence.timestamps is None:
        raise UsageError("no time-stamping authority is configured", fix="write `timestamps: {url: ..., ca: ...}` under `evidence`")
    done = timestamps.stamp(open_store(loaded), loaded.evidence.timestamps, now=_now, tell=lambda _: None)
    if as_json:
        rows = [{"sequence": each.sequence, "at": None if each.at is None else stamp(each.at), "why": each.why} for each in done]
        show.document({"entries": rows})
    for each in () if as_json else done:
        said = f"has no timestamp yet: {each.why}" if each.at is None else f"is stamped {stamp(each.at)}"
        show.out(show.text(f"Entry {each.sequence} {said}."))
    if not as_json and not done:
        show.out("No timestamp of the last seven days is missing.")
    return EXIT_ACT if any(each.at is None for each in done) else EXIT_FINE


def _now() -> datetime:
    return datetime.now(UTC)


def _json(document: dict[str, object]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _give(content: bytes, output: Path | None, what: str, *, as_json: bool) -> None:
    if output is None:
        typer.echo(content, nl=False)
        return
    try:
        with output.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}", fix="name a new file") from error
    if as_json:
        show.document({"file": output.absolute()})
    else:
        show.out(show.text(f"Wrote {what} into {show.path(output)}."))


def _row(programme: "Programme", found: "Ledger", each: "Entry") -> dict[str, object]:
    from countersign.clock import stamp
    from countersign.disposal import kept_until

    kept = kept_until(programme, each)
    return {
        "sequence": each.sequence,
        "kind": each.kind,
        "run": each.run,
        "as_of": None if each.as_of is None else stamp(each.as_of),
        "finished": stamp(each.finished),
        "state": each.state,
        "bytes": each.size(),
        "kept_until": None if kept is None else stamp(kept),
        "held_by": list(found.held_by(each.sequence)),
        "disposed_in": found.disposed.get(each.sequence),
        "statement": each.statement,
    }


def _cells(row: dict[str, object]) -> tuple[object, ...]:
    from countersign.clock import instant

    disposed, held, size = row["disposed_in"], row["held_by"], row["bytes"]
    state = row["state"] if disposed is None else f"disposed of, entry {disposed}"
    names = ", ".join(str(each) for each in held) if isinstance(held, list) else ""
    said = None if not isinstance(size, int) else f"{size:,}"
    kept = "for good" if row["kept_until"] is None else str(row["kept_until"])[:10]
    return (row["sequence"], row["kind"], instant(str(row["as_of"] or row["finished"])), state, said, kept, names or None)


def _plan_json(plan: "Plan", entry: str | None, *, done: bool) -> dict[str, object]:
    from countersign.clock import stamp

    return {
        "done": done,
        "entry": entry,
        "due": [{"sequence": each.entry.sequence, "run": each.entry.run, "kept_until": stamp(each.until), "files": len(each.entry.files)}
                for each in plan.due],
        "unfinished": [each.sequence for each in plan.unfinished],
        "kept": [{"sequence": each.sequence, "why": why} for each, why in plan.kept],
    }  # fmt: skip


def _tell(plan: "Plan", entry: str | None, *, done: bool) -> None:
    if plan.due:
        cells = [(each.entry.sequence, each.entry.kind, each.entry.finished, each.until, len(each.entry.files)) for each in plan.due]
        show.out(show.table(("entry", "kind", "ended", "was kept until", "files"), cells, numbers=("files",)), "")
    for each in plan.unfinished:
        show.out(f"Entry {each.sequence}: its disposal is on file, and files of it {'were' if done else 'are'} still there.")
    for each, why in plan.kept:
        show.out(show.text(f"Entry {each.sequence} is past its retention and stays: {why}."))
    if not plan.due and not plan.unfinished:
        show.out("Nothing is due for disposal.")
    elif entry is not None:
        show.out(show.text(f"The files of {len(plan.due)} entries were removed; entry {entry} says so."))
