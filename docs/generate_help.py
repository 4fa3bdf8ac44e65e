"""Writes what `countersign --help` says into README.md: run it by `make docs`."""  # noqa: INP001 - a script beside the pages it writes

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- help -->\n)(.*?)(?=<!-- /help -->)", re.DOTALL)
WIDTH = "100"


def block() -> str:
    """Return the program's help as README shows it, the same on every terminal."""
    quiet = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")}
    done = subprocess.run(
        [sys.executable, "-m", "countersign", "--help"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=quiet | {"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "NO_COLOR": "1", "PYTHONUTF8": "1"},
    )
    lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
    return f"```text\n{lines}\n```\n"


def main() -> None:
    """Replace the block."""
    text = README.read_text(encoding="utf-8")
    made, count = BLOCK.subn(lambda _match: block(), text)
    if count != 1:
        sys.exit("README.md needs exactly one block between <!-- help --> and <!-- /help -->")
    README.write_text(made, encoding="utf-8")
    sys.stdout.write("the help in README.md\n")


if __name__ == "__main__":
    main()
