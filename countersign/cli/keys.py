"""`countersign keys`: the public half of the key that signs, and a change of keys."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

Uri = Annotated[str, typer.Option("--to", metavar="SIGNER", help="The new key, as `signer` says it: file:PATH, hv:NAME, awskms:KEY ...")]


def public(
    signer_uri: Annotated[
        str | None, typer.Argument(metavar="[SIGNER]", help="file:PATH, hv:NAME, awskms:KEY ...; without it, the programme's own.")
    ] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there, such as keys/evidence.pub.pem.")
    ] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Print the public half of a signing key (PEM), for whoever checks the evidence, or write it to a new file. Signs nothing."""
    from countersign.evidence import signer
    from countersign.programme import load

    key = signer.load(signer_uri, programme) if signer_uri else signer.load(load(programme).evidence.signer)
    pem = signer.public_pem(key).decode()
    if output is not None:
        signer.write_public(key, programme / output)
    if as_json:
        show.document({"keyid": key.public_key.keyid, "pem": pem, "file": None if output is None else (programme / output).absolute()})
    elif output is None:
        show.out(pem.rstrip("\n"))
    else:
        show.out(f"Public key: {show.path(programme / output)}", f"Key id:     {key.public_key.keyid}")
    return EXIT_FINE


def rotate(*, to: Uri, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Change to another signing key. The old key signs an entry of the ledger that names the new one; then countersign.yaml is changed.

    From the next entry on only the new key signs. Older evidence still verifies with the old public key: keep it, and publish both.
    Exit code 0: done; 1: sealed, and `signer` in countersign.yaml is for you to change, as the message says.
    """
    from countersign.programme import load
    from countersign.rotation import rotate as change

    done = change(load(programme), to, clock=lambda: datetime.now(UTC))
    if as_json:
        show.document(
            {
                "old": done.old,
                "new": done.new,
                "entry": None if done.sealed is None else done.sealed.path.name,
                "public": done.public.absolute(),
                "signer": to,
                "written": done.written,
            }
        )
        return EXIT_FINE if done.written else EXIT_ACT
    entry = "was sealed before" if done.sealed is None else f"is entry {done.sealed.path.name}"
    show.out(
        f"The change from key {done.old[:16]} to {done.new[:16]} {entry}.",
        f"Public key: {show.path(done.public)} (publish it as you did the old one, and keep the old one)",
    )
    if done.written:
        show.out(show.text(f"countersign.yaml now says `signer: {to}`."))
        return EXIT_FINE
    show.out(show.text(f'Change countersign.yaml now: `signer: "{to}"`. Until then nothing can be sealed.'))
    return EXIT_ACT
