"""`countersign export`: the auditor's bundle of a period, here or through Prefect."""

import getpass
import os
import shlex
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import run, show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.errors import CountersignError

if TYPE_CHECKING:
    from countersign.export import Exported, Wanted
    from countersign.programme import Programme
    from countersign.results import Tell

_SAMPLES = 25


def export(  # noqa: PLR0913 - one parameter for each option
    *,
    first: Annotated[str, typer.Option("--from", metavar="DAY", help="First day of the period (UTC), such as 2026-08-01.")],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day of the period (UTC); it is part of the period.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.zip", help="The file to write.")],
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Of this partner only: the bundle holds nothing of any other.")] = None,
    pseudonymise: Annotated[
        bool, typer.Option("--pseudonymise", help="Replace names by pseudonyms; FILE.reveal.csv, for you alone, undoes it.")
    ] = False,
    samples: Annotated[int, typer.Option(metavar="N", help="How many subjects to draw from each control's population.")] = _SAMPLES,
    seed: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The auditor's seed of the samples; customer:from:to otherwise, which nobody chose.")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", metavar="FILE.pdf", help="Write a summary as PDF too. It is no part of the bundle.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")] = False,
    prefect: Annotated[bool, typer.Option("--prefect", help="Run through Prefect, also where PREFECT_API_URL is not set.")] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Write the signed bundle of a period for an auditor, from sealed evidence only.

    It needs no access to any cloud, and a night may run meanwhile. The same evidence gives the same file. Exit code 0: every night of
    the period is complete; 3: the bundle is whole, but nights are partial, stopped, failed or missing, and it says which.
    """
    from countersign.export import Wanted
    from countersign.programme import load

    wanted = Wanted(
        first=_day(first, "--from"), last=_day(last, "--to"), output=output, partner=partner, pseudonymised=pseudonymise, samples=samples,
        seed=seed, pdf=pdf, force=force,
    )  # fmt: skip
    loaded = load(programme)
    try:
        with show.progress(f"exporting {loaded.customer}, {wanted.first} to {wanted.last}") as tell:
            through = prefect or bool(os.environ.get("PREFECT_API_URL"))
            made = _through_prefect(loaded, wanted, tell) if through else _directly(loaded, wanted, tell)
    except KeyboardInterrupt:
        return run.interrupted("no bundle was written", "start it again when you like", as_json=as_json)
    _report(made, as_json=as_json)
    return made.exit_code


def _directly(programme: "Programme", wanted: "Wanted", tell: "Tell") -> "Exported":
    from countersign.export import export as directly

    return directly(programme, wanted, tell=tell, requested={"user": _user()})


def _through_prefect(programme: "Programme", wanted: "Wanted", tell: "Tell") -> "Exported":
    from countersign.export import sealed_export
    from flows import launch

    for name, value in launch.QUIET.items():
        os.environ.setdefault(name, value)
    tell("starting Prefect")
    from flows.evidence_export import evidence_export

    with run.told(tell):
        state = evidence_export(
            str(programme.folder), wanted.first, wanted.last, str(wanted.output.absolute()), partner=wanted.partner,
            pseudonymise=wanted.pseudonymised, samples=wanted.samples, seed=wanted.seed, force=wanted.force,
            pdf=None if wanted.pdf is None else str(wanted.pdf.absolute()), return_state=True,
        )  # fmt: skip
    if not state.is_completed():
        raise CountersignError(f"the flow run ended {state.name}: {state.message}")
    # What was made is read from the evidence, never from Prefect.
    return sealed_export(programme, wanted.output, flow_run=str(state.state_details.flow_run_id))


def _report(made: "Exported", *, as_json: bool) -> None:
    from countersign.export import verify_line

    said, nights = made.said, made.said["nights"]
    words = [shlex.quote(show.clean(word)) for word in verify_line(made)]
    if as_json:
        show.document({
            "file": str(made.path), "digest": made.digest, "entry": made.entry, "reveal": None if made.reveal is None else str(made.reveal),
            **said, "verify": f"{show.program()} {' '.join(words)}",
        })  # fmt: skip
        return
    left = ("partial", "stopped", "failed")
    gaps = [f"{nights[state]} {state}" for state in left if nights[state]] + (
        [f"{len(nights['missing'])} missing"] if nights["missing"] else []
    )
    counts = said["counts"]
    rows = [
        ("nights", f"{nights['expected']} expected, {nights['complete']} complete{''.join(f', {gap}' for gap in gaps)}"),
        ("controls", f"{counts['controls']:,}"),
        ("populations", f"{counts['populations']:,} rows, every subject under every control"),
        ("open findings", ", ".join(f"{count:,} {severity}" for severity, count in said["open"].items()) or "none"),
        ("withheld", "; ".join(each["what"] for each in said["withheld"]) or "nothing"),
        ("sample", f"{said['filters']['samples']['size']} of each population, seed {said['filters']['samples']['seed']}"),
        ("file", f"{show.path(made.path)}, {said['bundle']['size']:,} bytes"),
        ("digest", made.digest),
        ("evidence", made.entry),
        *([("reveal table", f"{show.path(made.reveal)}: keep it, it undoes the pseudonyms")] if made.reveal is not None else []),
    ]
    show.out(show.table(("", ""), rows))
    show.out("", show.text("To check it, with the public key as the customer gave it:"), f"  {show.program()} {' '.join(words)}")


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise run.UsageError(f"{option}: {text!r} is no day", fix="write it as 2026-08-01") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
