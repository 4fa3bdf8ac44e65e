"""`countersign permissions`: what to install at a provider so that its source can be read, and nothing more."""

from enum import StrEnum
from typing import Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_FINE


class Provider(StrEnum):
    """Providers that are read live."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"
    VAULT = "vault"


def permissions(
    provider: Annotated[Provider, typer.Argument(help="Whose permissions.")],
    *,
    file: Annotated[str | None, typer.Option(metavar="NAME", help="Print this file alone, as it is to be installed.")] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Print the policies and roles that a reader needs, and apart from them those that a revoker needs.

    They are made from what the connectors declare. Give the two to different identities: whoever reads by day cannot revoke.
    """
    from countersign.cli.run import UsageError
    from countersign.reading import connector

    del programme  # every command takes it
    loaded = connector(provider.value)
    files = loaded.permission_files()
    if file is not None and file not in files:
        raise UsageError(f"there is no file {file} for {provider.value}", fix=f"use one of: {', '.join(sorted(files))}")
    if as_json:
        document = {"provider": provider.value, "read": loaded.PERMISSIONS, "revoke": loaded.REVOKE_PERMISSIONS, "files": dict(files)}
        show.document(document)
    elif file is not None:
        show.out(files[file].rstrip("\n"))
    else:
        for name, text in sorted(files.items()):
            show.out(f"# --- {name} ---", text.rstrip("\n"), "")
    return EXIT_FINE
