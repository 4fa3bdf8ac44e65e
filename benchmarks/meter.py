"""Runs one piece of work as a process of its own and says what it cost: wall, CPU and peak memory of its whole tree."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
LINES = ROOT / "build" / "bench.jsonl"
"""One JSON line for every measurement, appended."""
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "stub", "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT),
}  # fmt: skip


PARTS = ("item ", "units:")
"""Beginnings of counts that are no calls: items of a batch, and units of quota."""


class BrokenError(Exception):
    """A benchmark did not run, or its answer is wrong: its figures mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one process cost, with what it said."""

    name: str
    wall: float
    cpu: float
    """User and system seconds, of children too, from the start of the interpreter to its end."""
    rss: float
    """Peak MB of the largest process."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """Answers of the stub by action; `bytes` is their size."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """The last line of its output, a JSON object."""

    @property
    def answered(self) -> int:
        """Calls that the stub answered; a batch is one."""
        return sum(int(count) for name, count in self.calls.items() if name not in {"bytes", "throttled"} and not name.startswith(PARTS))

    @property
    def items(self) -> int:
        """What was asked inside of batches."""
        return sum(int(count) for name, count in self.calls.items() if name.startswith("item "))


def run(
    name: str, command: Sequence[str], *, stub: str | None = None, plain: bool = False, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command and measure it; `plain` output is not read as JSON. Raises BrokenError when it fails."""
    around = os.environ | _ENVIRONMENT | dict(environment or {})
    if stub is not None:
        counted(stub)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=ROOT, env=around)  # noqa: S603 - our own commands
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        said = out.read().decode()
        if process.returncode != 0:
            raise BrokenError(f"{name}: exit {process.returncode}\n{errors.read().decode()[-3000:]}")
    # A child's peak begins with what its parent had when it was forked: nothing large may be imported here, nor in `goals*.py`.
    if used.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        raise BrokenError(f"{name}: its memory cannot be told, since the process that runs it is as large")
    lines = said.strip().splitlines()
    measured = Measured(
        name=name, wall=round(wall, 2), cpu=round(used.ru_utime + used.ru_stime, 2), rss=round(used.ru_maxrss / 1024, 1),
        calls={} if stub is None else counted(stub), said={} if plain or not lines else json.loads(lines[-1]),
    )  # fmt: skip
    LINES.parent.mkdir(exist_ok=True)
    with LINES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(measured)) + "\n")
    return measured


def work(module: str, *arguments: str | float | Path) -> list[str]:
    """Return the command that runs one of the modules."""
    return [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]


@contextmanager
def started(module: str, **options: float) -> Iterator[str]:
    """Run one of the stubs with some options until the end of the block; yields the line that it says first."""
    command = work(module, *(part for name, value in options.items() for part in (f"--{name}", value)))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own stub
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@contextmanager
def folder(stub: str = "", accounts: int = 0) -> Iterator[Path]:
    """Write a programme folder for the length of the block; see `programme.write`."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as where:
        written = Path(where) / "programme"
        run("programme", work("programme", written, stub, accounts))
        yield written


def counted(stub: str) -> dict[str, int]:
    """Return what the stub counted since it was last asked."""
    with urllib.request.urlopen(stub) as answer:  # noqa: S310 - our own stub on loopback
        found: dict[str, int] = json.load(answer)
    return found


def check(found: Measured, want: Mapping[str, object]) -> None:
    """Raise BrokenError unless what a process said is what the seed says: a fast wrong tool fails."""
    for name, value in want.items():
        if found.said.get(name) != value:
            raise BrokenError(f"{found.name}: the answer is wrong: {name}\n  expected {value}\n  got      {found.said.get(name)}")
