"""Writes deployments/permissions/: what an administrator of each provider installs, made from what the connectors declare; run by `make docs`."""  # noqa: E501, INP001 - a script beside the pages it writes

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "deployments" / "permissions"
PROVIDERS = ("aws", "azure", "gcp", "vault")


def files() -> dict[str, str]:
    """Return every file as `<provider>/<name>` to its text."""
    from countersign.evidence import permissions
    from countersign.reading import connector

    declared = {provider: connector(provider).permission_files() for provider in PROVIDERS} | {"evidence": permissions.permission_files()}
    return {f"{whose}/{name}": text for whose, made in declared.items() for name, text in sorted(made.items())}


def main() -> None:
    """Write the files that differ, and remove what no connector declares any more."""
    made = files()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.relative_to(FOLDER).as_posix() not in {*made, "README.md"}:
            path.unlink()
    for name, text in made.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(made)} files in deployments/permissions/\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
