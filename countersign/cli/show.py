"""Puts text, tables, progress and JSON on the terminal, with nothing in them that could command it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import sysconfig
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from countersign.clock import stamp
from countersign.errors import ConfigError
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from countersign.errors import CountersignError, Problem
    from countersign.results import Tell

NOTHING = "-"
PIPED_WIDTH = 220
"""Columns where nobody says how many there are, as in a pipe: rich would take 80 and cut reasons to shreds."""

_STYLES = {
    "critical": "bold red",
    **dict.fromkeys(("high", "failed", "denied", "fail"), "red"),
    **dict.fromkeys(("medium", "partial", "interrupted", "unknown", "info"), "yellow"),
    **dict.fromkeys(("low", "running"), "cyan"),
    **dict.fromkeys(("complete", "pass", "ok"), "green"),
}


def clean(value: object) -> str:
    """Turn a value into one line without control characters (a terminal obeys them); None becomes `-`, times end in UTC."""
    if value is None:
        return NOTHING
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else inert(str(value))


def day(value: datetime | None) -> str:
    """Return the day of a time (UTC), `-` for None."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d}"


def text(value: object, style: str | None = None) -> Text:
    """Return cleaned text, in the colour that its word has everywhere unless a style is given."""
    said = clean(value)
    return Text(said, style if style is not None else _STYLES.get(said, ""), overflow="fold")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> Table:
    """Return a table of cleaned cells; the columns in `numbers` are set flush right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def out(*parts: RenderableType) -> None:
    """Print on standard output; plain strings are ours, what comes from outside is `text` or in a `table`."""
    _print(sys.stdout, parts)


def say(*parts: RenderableType) -> None:
    """Print on standard error."""
    _print(sys.stderr, parts)


def width() -> int:
    """Return how many columns standard output has."""
    return _console(sys.stdout).width


def document(value: object) -> None:
    """Print one JSON document on standard output; ASCII only, so that no name in it can command a terminal."""
    _write(sys.stdout, json.dumps(value, indent=2, default=_plain) + "\n")


def document_of(head: Mapping[str, object], name: str, rows: Iterable[object]) -> None:
    """Print one JSON document as `document` does, whose last field is a list of as many rows as there are, each on a line of its own."""
    opening = json.dumps(head, indent=2, default=_plain).removesuffix("\n}")
    _write(sys.stdout, f'{opening},\n  "{name}": [')
    between = "\n    "
    for row in rows:
        _write(sys.stdout, between + json.dumps(row, default=_plain))
        between = ",\n    "
    _write(sys.stdout, "\n  ]\n}\n" if between != "\n    " else "]\n}\n")


def lines(value: str) -> str:
    """Clean text of several lines, such as a message, line by line."""
    return "\n".join(inert(line) for line in value.splitlines())


def error(problem: CountersignError, *, as_json: bool) -> None:
    """Say what is wrong and what to do about it on standard error, and as a document on standard output when JSON was asked for."""
    problems = problem.problems if isinstance(problem, ConfigError) else ()
    if problems:
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        say(f"countersign: {many} to put right first", *map(problem_text, problems))
    else:
        say(Text(f"countersign: {lines(str(problem))}"))
    if as_json:
        document({"error": problem.message, "fix": problem.fix, "problems": problem_list(problems)})


def problem_text(problem: Problem) -> Text:
    """Return a problem of a file as people read it: where, what, and the fix on a line of its own."""
    return Text(lines(str(problem)))


def problem_list(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return problems of files as JSON shows them."""
    return [
        {
            "file": problem.where.file, "line": problem.where.line, "field": problem.field, "message": problem.message, "fix": problem.fix,
            "rule": problem.rule,
        }
        for problem in problems
    ]  # fmt: skip


@contextmanager
def progress(title: str) -> Iterator[Tell]:
    """Show on standard error that work goes on; yields what to call with each message, from any thread.

    On a terminal a bar shows how much is done, as soon as anybody says so; elsewhere each message is a line. Ctrl-C raises
    KeyboardInterrupt also in the middle of a query, of which DuckDB makes a RuntimeError.
    """
    try:
        with _shown(title) as tell:
            yield tell
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


@contextmanager
def _shown(title: str) -> Iterator[Tell]:
    console = _console(sys.stderr)
    if not console.is_terminal:
        say(Text(clean(title)))

        def line(message: str, share: float | None = None, /) -> None:
            del share
            say(Text(clean(message)))

        yield line
        return
    columns = (TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(escape(clean(title)), total=None)

        def step(message: str, share: float | None = None, /) -> None:
            bar.console.print(Text(clean(message)))
            bar.update(task, description=escape(clean(message)))
            if share is not None:
                bar.update(task, total=1.0, completed=share)

        yield step


def path(where: Path) -> str:
    """Return a path as a person would type it in a shell here: relative where that is shorter, quoted where needed."""
    here = Path.cwd()
    absolute = where if where.is_absolute() else here / where
    return shlex.quote(clean(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))


@cache
def program() -> str:
    """Return this program as it is started from a shell here, since what is suggested has to work when it is copied."""
    script = Path(sysconfig.get_path("scripts")) / "countersign"
    found = shutil.which("countersign")
    if found is not None and script.exists() and script.samefile(found):
        return "countersign"
    running = Path(sys.argv[0])
    if running.name == "countersign" and running.is_file():
        said = path(running)
        return said if "/" in said else f"./{said}"  # a shell looks up a bare name on PATH only
    found = shutil.which("python")
    ours = found is not None and Path(found).absolute() == Path(sys.executable)
    return f"{'python' if ours else path(Path(sys.executable))} -m countersign"


def _console(stream: TextIO) -> Console:
    known = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if known else PIPED_WIDTH, highlight=False, markup=False, emoji=False)


def _print(stream: TextIO, parts: Sequence[RenderableType]) -> None:
    console = _console(stream)
    with console.capture() as captured:
        for part in parts:
            # Only tables are fitted to the width: a path or a command that is broken over lines cannot be copied.
            console.print(part, soft_wrap=not isinstance(part, Table))
    _write(stream, re.sub(r" +$", "", captured.get(), flags=re.MULTILINE))


def _write(stream: TextIO, said: str) -> None:
    try:
        stream.write(said)
        stream.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`): go on quietly, so that the exit code still says how it went.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for a {type(value).__name__}")
