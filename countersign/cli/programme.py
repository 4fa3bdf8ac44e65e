"""`countersign init` and `countersign keygen`: begin a programme."""

from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, StartFolder
from countersign.results import EXIT_FINE


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    *,
    customer: Annotated[
        str, typer.Option(metavar="ID", help="Short name of your organisation: lower-case letters, digits, dashes.")
    ] = "example",
    programme: StartFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Write a commented programme folder with its evidence key. Nothing is overwritten."""
    from countersign import scaffold

    folder = programme / folder
    files = scaffold.init(folder, customer=customer)
    if as_json:
        show.document({"programme": folder.absolute(), "files": [file.absolute() for file in files]})
        return EXIT_FINE
    there, program = show.path(folder), show.program()
    show.out(
        f"Wrote {len(files)} files into {there}. What comes next:",
        f"  edit {there}/register/customer.yaml, and the partner and workload beside it: they are examples",
        f"  {program} register check -p {there}",
        f"  put exports into {there}/exports/, or name your accounts in {there}/countersign.yaml; then",
        f"  {program} doctor -p {there}",
        f"  {program} reconcile -p {there}",
    )
    return EXIT_FINE


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key, such as keys/evidence.pem.")],
    *,
    programme: StartFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Make a signing key: FILE, readable by you alone, and its public half, with .pub.pem in place of .pem. Nothing is overwritten."""
    from countersign.evidence import signer

    file = programme / file
    public = signer.keygen(file)
    keyid = signer.load(f"file:{file.absolute()}").public_key.keyid
    if as_json:
        show.document({"private": file.absolute(), "public": public.absolute(), "keyid": keyid})
        return EXIT_FINE
    show.out(
        f"Private key: {show.path(file)} (mode 0600; keep it where no partner works)",
        f"Public key:  {show.path(public)} (give it to whoever checks the evidence)",
        f"Key id:      {keyid}",
    )
    return EXIT_FINE
