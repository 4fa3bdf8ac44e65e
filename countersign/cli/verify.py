"""`countersign verify`: check sealed runs against a public key."""

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, StartFolder
from countersign.results import EXIT_ACT, EXIT_FINE


def verify(  # noqa: PLR0913 - one parameter for each option
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of evidence, or one run in it.")],
    *,
    key: Annotated[list[Path], typer.Option("--key", metavar="PUB.pem", help="Public key that signed it; repeat after a change of keys.")],
    expect_head: Annotated[
        str | None, typer.Option("--expect-head", metavar="DIGEST", help="Digest (sha256:...) of a run that you know was sealed.")
    ] = None,
    first: Annotated[int, typer.Option(min=1, help="Number of the first run that is still kept.")] = 1,
    programme: StartFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Check signatures, files and the chain of sealed runs. Reads only; needs no programme and no network.

    The key must come from somewhere else than the evidence. Exit code 0: everything holds; 1: something does not.
    """
    from countersign.evidence import verify as evidence

    report = evidence.verify(programme / path, [programme / each for each in key], first=first, expect_head=expect_head)
    if as_json:
        show.document(
            {
                "ok": report.ok,
                "checks": [{"name": check.name, "state": check.state, "detail": check.detail} for check in report.checks],
                "problems": [{"file": problem.file, "what": problem.what} for problem in report.problems],
            }
        )
    else:
        show.out(show.table(("check", "result", ""), [(check.name, check.state, check.detail) for check in report.checks]), "")
        for problem in report.problems:
            show.out(show.text(f"{problem.file or path}: {problem.what}"))
        show.out("The evidence holds." if report.ok else "The evidence does not hold.")
    return EXIT_FINE if report.ok else EXIT_ACT
