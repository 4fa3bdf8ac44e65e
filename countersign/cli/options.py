"""Options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

ProgrammeFolder = Annotated[
    Path, typer.Option("--programme", "-p", metavar="DIR", help="The programme folder: it holds countersign.yaml and register/.")
]
StartFolder = Annotated[Path, typer.Option("--programme", "-p", metavar="DIR", help="The folder from which relative paths are meant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and messages on standard error only.")]
HERE = Path()
