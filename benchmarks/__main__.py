"""Runs the benchmarks named (all when none is), prints each goal with our figure and the peers', and says whether it holds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.goals import GOALS
from benchmarks.meter import BrokenError

if TYPE_CHECKING:
    from benchmarks.line import Line


def main() -> int:
    """Return 0 when all benchmarks ran and answered right, whatever their figures; 1 when one broke or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(GOALS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print the goals as JSON lines")
    asked = parser.parse_args()
    strange = sorted(set(asked.names) - set(GOALS))
    if strange:
        parser.error(f"no benchmark is called {', '.join(strange)}; there are {', '.join(GOALS)}")
    broken = 0
    for name in asked.names or GOALS:
        began = time.monotonic()
        try:
            for line in GOALS[name]():
                print(_said(line, as_json=asked.json), flush=True)  # noqa: T201 - this is a command
        except BrokenError as error:
            broken += 1
            print(f"{name} broke: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)  # noqa: T201 - this is a command
    return 1 if broken else 0


def _said(line: Line, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(line))
    peer = f"  (others: {line.peer})" if line.peer else ""
    return f"{'holds' if line.holds else 'falls short':<12}{line.goal}: {line.ours}{peer}"


if __name__ == "__main__":
    sys.exit(main())
