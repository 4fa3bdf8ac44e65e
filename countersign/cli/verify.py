"""`countersign verify`: check sealed runs and auditors' bundles against public keys."""

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, StartFolder
from countersign.results import EXIT_ACT, EXIT_FINE


def _day(text: str) -> date:
    from countersign.evidence.verify import day_of

    try:
        return day_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def verify(  # noqa: PLR0913 - one parameter for each option
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A bundle, a folder of evidence, one run in it, or a certificate.")],
    *,
    key: Annotated[list[Path], typer.Option("--key", metavar="PUB.pem", help="Public key that signed it; repeat after a change of keys.")],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="OLD", help="A checkpoint that you kept: nothing up to it may have changed.")
    ] = None,
    begin: Annotated[
        date | None, typer.Option("--from", parser=_day, metavar="DAY", help="First day (UTC) that the evidence must be about.")
    ] = None,
    end: Annotated[
        date | None, typer.Option("--to", parser=_day, metavar="DAY", help="Last day (UTC) that the evidence must be about.")
    ] = None,
    tsa_ca: Annotated[
        list[Path] | None,
        typer.Option("--tsa-ca", metavar="CA.pem", help="Root certificate of the authority whose timestamps you believe."),
    ] = None,
    expect_head: Annotated[
        str | None, typer.Option("--expect-head", metavar="DIGEST", help="Digest (sha256:...) of a run that you know was sealed.")
    ] = None,
    first: Annotated[int, typer.Option(min=1, help="Number of the first run that is still kept.")] = 1,
    programme: StartFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Check signatures, files and the chain of sealed runs. Reads only; needs no programme and no network.

    An auditor's bundle is checked as a whole. The keys, the checkpoint and the authority must come from somewhere else than the
    evidence. Without this program: python verify.py, which does the same. Exit code 0: everything holds; 1: something does not.
    """
    from countersign.evidence import verify as evidence

    if (begin is None) != (end is None):
        raise typer.BadParameter("--from and --to go together")
    report = evidence.verify(
        programme / path,
        [programme / each for each in key],
        first=first,
        expect_head=expect_head,
        checkpoint=None if checkpoint is None else programme / checkpoint,
        begin=begin,
        end=end,
        authorities=[programme / each for each in tsa_ca or ()],
    )
    if as_json:
        show.document(evidence.report_document(report))
    else:
        # Not through a table: verify.py alone prints the very same.
        sys.stdout.write(evidence.report_text(report, path))
    return EXIT_FINE if report.ok else EXIT_ACT
