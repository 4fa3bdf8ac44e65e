"""`countersign reconcile`: one run, here or through Prefect."""

import logging
import os
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.errors import CountersignError
from countersign.results import EXIT_USAGE, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from countersign.programme import Programme
    from countersign.results import RunResult, Tell

INTERRUPTED = 130


class UsageError(CountersignError):
    """The command line asks for something that cannot be."""

    exit_code = EXIT_USAGE


def reconcile(  # noqa: PLR0913 - one parameter for each option
    *,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Judge as if it were this time, such as 2026-11-22T02:15:00Z; now otherwise."),
    ] = None,
    source: Annotated[list[str] | None, typer.Option("--source", metavar="NAME", help="Read this source only; repeat for several.")] = None,
    prefect: Annotated[bool, typer.Option("--prefect", help="Run through Prefect, also where PREFECT_API_URL is not set.")] = False,
    slot: Annotated[
        str | None, typer.Option(metavar="SLOT", help="What this is the run of, such as a date; a slot that had its run is not run again.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, judge and plan, say what a run would do, and write nothing; not through Prefect.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Read every source, judge every control, open and close tickets, and seal the evidence.

    Exit code 0: nothing is open; 1: findings are open; 3: some of it could not be read; 4: nothing could, or the run failed.
    """
    from countersign.programme import load

    if dry_run and prefect:
        raise UsageError("a dry run does not go through Prefect", fix="leave out --prefect")
    when = None if as_of is None else _instant(as_of)
    loaded = load(programme)
    only = tuple(source or ())
    missing = sorted(set(only) - {each.name for each in loaded.sources})
    if missing:
        known = ", ".join(each.name for each in loaded.sources)
        raise UsageError(f"there is no source called {', '.join(missing)}", fix=f"use one of: {known}")
    try:
        if dry_run:
            return _rehearse(loaded, when, slot, only, as_json=as_json)
        with show.progress(f"reconciling {loaded.customer}") as tell:
            if prefect or os.environ.get("PREFECT_API_URL"):
                result = through_prefect(loaded, slot=slot, as_of=when, only=only, tell=tell)
            else:
                result = _directly(loaded, when, slot, only, tell)
    except KeyboardInterrupt:
        if dry_run:
            return interrupted("nothing was written", "start it again when you like", as_json=as_json)
        return interrupted(
            "what was read until then is on file as a failed run, or the next run puts it there",
            f"countersign runs -p {show.path(programme)}",
            as_json=as_json,
        )
    report(loaded, result, as_json=as_json)
    return result.exit_code


def _directly(programme: "Programme", as_of: datetime | None, slot: str | None, only: "Sequence[str]", tell: "Tell") -> "RunResult":
    from countersign.offboarding.process import look_at_waiting
    from countersign.offboarding.triggers import Prepared, prepare
    from countersign.reconciliation import reconcile as directly

    for trouble in look_at_waiting(programme, datetime.now(UTC))[1]:
        tell(trouble)
    prepared = [Prepared()]
    result = directly(programme, as_of, slot=slot, only=only, tell=tell, after=lambda run, judged: prepared.append(prepare(run, judged)))
    return prepared[-1].told(result)


def _rehearse(programme: "Programme", as_of: datetime | None, slot: str | None, only: "Sequence[str]", *, as_json: bool) -> int:
    from countersign.rehearsal import rehearse

    with ExitStack() as stack:
        with show.progress(f"rehearsing {programme.customer}") as tell:
            stage, result = stack.enter_context(rehearse(programme, as_of, slot=slot, only=only, tell=tell))
        if as_json:
            from countersign.results import to_json

            show.document(to_json(result, dry_run=True))
        else:
            from countersign.cli.summary import rehearsed

            rehearsed(stage, result)
    return result.exit_code


def interrupted(what: str, see: str, *, as_json: bool) -> int:
    """Say what a person who pressed Ctrl-C leaves behind and where to look; returns the exit code."""
    show.error(CountersignError(f"interrupted; {what}", fix=see), as_json=as_json)
    return INTERRUPTED


def report(programme: "Programme", result: "RunResult", *, as_json: bool) -> None:
    """Print a run's result: the summary, or the document of `--json`."""
    if as_json:
        from countersign.results import to_json

        show.document(to_json(result))
    else:
        from countersign.cli.summary import summary

        summary(programme, result)


def through_prefect(
    programme: "Programme",
    *,
    slot: str | None = None,
    as_of: datetime | None = None,
    only: "Sequence[str]" = (),
    tell: "Tell" = silent,
) -> "RunResult":
    """Run the nightly flow with Prefect's own words kept off the terminal, where `tell` gives ours."""
    from countersign.clock import stamp
    from countersign.offboarding.triggers import Prepared, on_file
    from flows import launch

    for name, value in launch.QUIET.items():
        os.environ.setdefault(name, value)
    tell("starting Prefect")
    from flows import nightly_reconciliation

    del nightly_reconciliation  # imported because Prefect sets up its loggers then
    before = {each.id for each in on_file(programme)}
    with told(tell):
        result = launch.nightly(programme, slot=slot or f"by-hand:{stamp(datetime.now(UTC))}", as_of=as_of, only=only)
    # Why one could not be prepared stands in the flow's log, and was told.
    return Prepared(tuple(each for each in on_file(programme) if each.id not in before)).told(result)


class _Teller(logging.Handler):
    """Passes on what the run itself says in the flow's log, and none of what Prefect adds."""

    def __init__(self, tell: "Tell") -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        # Only what is told in our own words carries a share (flows/telling.py).
        if hasattr(record, "share"):
            self._tell(record.getMessage(), getattr(record, "share", None))


@contextmanager
def told(tell: "Tell") -> "Iterator[None]":
    """Pass on what a flow says of its work to `tell` while the block runs, in place of Prefect's log lines."""
    teller = _Teller(tell)
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    try:
        for logger in loggers:
            # Prefect's server still gets every line; a task that fails is told in our words, not as a traceback.
            logger.setLevel(logging.INFO)
            logger.propagate = False
            logger.addHandler(teller)
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(teller)
            logger.setLevel(level)
            logger.propagate = propagate


def _instant(text: str) -> datetime:
    from countersign.clock import instant

    try:
        return instant(text)
    except ValueError as error:
        raise UsageError(f"--as-of: {error}", fix="write it as 2026-11-22T02:15:00Z") from error
