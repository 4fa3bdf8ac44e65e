"""`countersign register draft`: propose workloads and owners for what a run found and nobody registered."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from countersign.cli.on_file import Ran
    from countersign.drafting import Drafts, Proposal
    from countersign.drafting.accept import Accepted
    from countersign.errors import Problem
    from countersign.programme import Programme

FOLDER = "register-draft"
_SHOWN = 60
"""Drafts that the table lists; `--json` has them all."""
_LINES = 500
"""Lines left to decide that are listed."""


def draft(  # noqa: PLR0913 - one parameter for each option
    *,
    run: Annotated[str | None, typer.Option(metavar="ID", help="From what this run found; the latest judged run otherwise.")] = None,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="For this partner's identities only.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help=f"Folder of drafts; {FOLDER} in the programme folder otherwise.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Move the folder of drafts, or new ones, into the register.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be proposed, and write nothing.")] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Draft register entries for identities that a run found and nobody registered, with the reason of each guess.

    The drafts lie in a folder of their own until --accept moves them, as they are by then, into the register. Nothing
    in the register is written over.

    Exit code 0: nothing is left to decide; 1: some lines are.
    """
    from countersign.cli import on_file
    from countersign.programme import load

    loaded = load(programme)
    if partner is not None and partner not in loaded.register.partners:
        known = ", ".join(sorted(loaded.register.partners)) or "none is registered"
        raise on_file.NotOnFileError(f"there is no partner {partner!r} in the register", fix=f"use one of: {known}")
    folder = loaded.folder / FOLDER if output is None else output
    if accept and folder.is_dir() and not dry_run:
        if run is not None or partner is not None:
            fix = "leave out --run and --partner, or move that folder away to have new ones"
            raise on_file.NotOnFileError(f"the drafts to accept lie in {show.path(folder)} already", fix=fix)
        return _taken(loaded, folder, None, None, as_json=as_json)
    ran = on_file.newest(loaded, run)
    drafts = _drafts(loaded, ran, partner)
    if dry_run or not _proposals(drafts):
        return _say(ran, drafts, None, as_json=as_json)
    if accept:
        from countersign.drafting.accept import keep

        with tempfile.TemporaryDirectory(prefix="countersign-draft-") as scratch:
            keep(Path(scratch) / FOLDER, ((each.file, each.text) for each in _proposals(drafts)))
            return _taken(loaded, Path(scratch) / FOLDER, ran, drafts, as_json=as_json)
    from countersign.drafting.accept import keep

    keep(folder, ((each.file, each.text) for each in _proposals(drafts)))
    return _say(ran, drafts, folder, as_json=as_json, home=loaded.folder)


def _drafts(loaded: Programme, ran: Ran, partner: str | None) -> Drafts:
    from countersign.cli.on_file import NotOnFileError
    from countersign.drafting import draft as drafted
    from countersign.expectation import expectations

    if ran.folder is None or not (ran.folder / "inventory" / "identities.parquet").exists():
        raise NotOnFileError(
            f"the evidence of run {ran.run.run} holds no inventory", fix="name another run, or start one: countersign reconcile"
        )
    return drafted(loaded, ran.folder, ran.run.as_of, [record.id for record in expectations()], partner=partner)


def _proposals(drafts: Drafts) -> tuple[Proposal, ...]:
    return (*drafts.workloads, *(() if drafts.default is None else (drafts.default,)))


def _say(ran: Ran, drafts: Drafts, folder: Path | None, *, as_json: bool, home: Path | None = None) -> int:
    proposals = _proposals(drafts)
    open_lines = sum(len(each.decide) for each in proposals)
    if as_json:
        show.document(_json(ran, drafts) | {"folder": folder})
        return EXIT_ACT if open_lines else EXIT_FINE
    _table(proposals, FOLDER if folder is None else show.path(folder))
    _rest(ran, drafts)
    if folder is not None and home is not None:
        show.out("", show.text(f"The drafts lie in {show.path(folder)}: look at them, fill in what is left, then"))
        show.out(f"  {show.program()} register draft -p {show.path(home)} -o {show.path(folder)} --accept")
    return EXIT_ACT if open_lines else EXIT_FINE


def _table(proposals: Sequence[Proposal], folder: str) -> None:
    rows = [(each.entry, each.partner, len(each.identities) or None, each.owner, each.why or None) for each in proposals[:_SHOWN]]
    if rows:
        show.out(show.table(("workload", "partner", "identities", "owner", "why"), rows, numbers=("identities",)))
    if len(proposals) > _SHOWN:
        show.out(f"... and {len(proposals) - _SHOWN:,} more; --json lists them all")
    left = [f"  {folder}/{each.file}:{one.line}: {one.field}: {one.question}" for each in proposals for one in each.decide]
    if left:
        show.out("", "Left to decide:", *map(show.text, left[:_LINES]))
    if len(left) > _LINES:
        show.out(f"  ... and {len(left) - _LINES:,} more; --json lists them all")


def _rest(ran: Ran, drafts: Drafts) -> None:
    identities = sum(len(each.identities) for each in drafts.workloads)
    count, left = len(drafts.workloads), sum(len(each.decide) for each in _proposals(drafts))
    many = f"{count:,} {'workload' if count == 1 else 'workloads'} for {identities:,} identities"
    said = f"{many}, from run {ran.run.run}; {left:,} {'line' if left == 1 else 'lines'} left to decide"
    show.out("", show.text(said if count else f"Run {ran.run.run} found nothing that nobody registered and that needs a workload."))
    for uid in drafts.unnamed[:10]:
        show.out(show.text(f"  no pattern of the register names only {uid}: rename it at its provider, or take it away", "red"))
    if len(drafts.unnamed) > len(drafts.unnamed[:10]):
        show.out(f"  ... and {len(drafts.unnamed) - 10:,} more that no pattern names")
    for reason, number in drafts.left_out.items():
        show.out(show.text(f"  left out: {number:,}, {reason}", "dim"))


def _json(ran: Ran, drafts: Drafts) -> dict[str, object]:
    return {
        "run": ran.run.run,
        "as_of": ran.run.as_of,
        "workloads": [
            {
                "workload": each.entry, "partner": each.partner, "owner": each.owner, "why": each.why, "identities": list(each.identities),
                "file": each.file, "decide": _decide(each),
            }
            for each in drafts.workloads
        ],
        "default_control": None if drafts.default is None else {"file": drafts.default.file, "decide": _decide(drafts.default)},
        "unnamed": list(drafts.unnamed),
        "left_out": dict(drafts.left_out),
    }  # fmt: skip


def _decide(each: Proposal) -> list[dict[str, object]]:
    return [{"line": one.line, "field": one.field, "question": one.question} for one in each.decide]


def _taken(loaded: Programme, folder: Path, ran: Ran | None, drafts: Drafts | None, *, as_json: bool) -> int:
    """Move a folder of drafts into the register, and say what `register check` finds in them."""
    from countersign.cli.register import problems
    from countersign.drafting.accept import accept
    from countersign.programme import load

    taken = accept(folder, loaded.folder / "register", loaded.register)
    found = tuple(problem for problem in problems(load(loaded.folder)) if problem.where.file in taken.written)
    if as_json:
        told = {} if ran is None or drafts is None else _json(ran, drafts)
        accepted = {"accepted": list(taken.written), "kept_out": [{"file": file, "reason": reason} for file, reason in taken.kept_out]}
        show.document(told | accepted | {"problems": show.problem_list(found)})
    else:
        _say_taken(taken, found, drafts)
    return EXIT_ACT if found or taken.kept_out else EXIT_FINE


def _say_taken(taken: Accepted, found: Sequence[Problem], drafts: Drafts | None) -> None:
    if drafts is not None:
        _table(_proposals(drafts), "register")
        show.out("")
        if not taken.kept_out:
            show.out(f"Moved {len(taken.written):,} files into the register; `countersign register check` names the same lines.")
            return
    many = len(taken.written)
    show.out(f"Moved {many:,} {'file' if many == 1 else 'files'} into the register.")
    for file, reason in taken.kept_out:
        show.out(show.text(f"  left: {file}, since {reason}", "yellow"))
    if found:
        show.out("", f"{len(found):,} {'line is' if len(found) == 1 else 'lines are'} left to decide:")
        show.out(*(show.problem_text(problem) for problem in found))
