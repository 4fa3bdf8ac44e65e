"""`countersign escalate`: tell people that an agreed time runs out."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.notices.escalation import Message, Pass

LINES = 5
"""Lines of each message that are shown; --json has them all."""


def escalate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who would be told what, and tell nobody.")] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Tell people of each agreed time of which 50, 75, 100 or 150 percent is over: each step once, over the channels of countersign.yaml.

    Needs no cloud and no run. Meant to be started every few minutes (deployments/prefect.yaml has it as `escalation`).

    Exit code 0: all were told, or nobody had to be; 1: a message did not get through, there is nobody to tell, or what was agreed is not on
    file.
    """
    from countersign.notices.escalation import escalate as tell
    from countersign.programme import load

    loaded = load(programme)
    done = tell(loaded, lambda: datetime.now(UTC), dry=dry_run)
    if as_json:
        show.document(_document(done, dry=dry_run))
    else:
        _print(done, dry=dry_run, channels=len(loaded.escalation.channels))
    return EXIT_FINE if done.ok else EXIT_ACT


def _document(done: "Pass", *, dry: bool) -> dict[str, Any]:
    return {
        "dry_run": dry,
        "told": [_row(message) for message in done.told],
        "failed": [_row(message) for message in done.failed],
        "later": done.later,
        "nobody_to_tell": [
            {"control": each.control, "partner": each.partner, "clock": each.clock, "percent": each.percent, "about": each.about}
            for each in done.unreachable
        ],
        "unclear": done.unclear,
        "troubles": done.troubles,
    }


def _row(message: "Message") -> dict[str, Any]:
    whom = None if message.recipient is None else message.recipient.ref
    return {
        "channel": message.channel, "recipient": whom, "ticket": message.ticket, "title": message.title, "lines": message.lines,
        "error": message.error,
    }  # fmt: skip


def _print(done: "Pass", *, dry: bool, channels: int) -> None:
    if not done.told and not done.failed:
        show.out("Nobody has to be told of anything.")
    for message in (*done.told, *done.failed):
        whom = message.ticket or ("" if message.recipient is None else f"{message.recipient.name} ({message.recipient.ref})")
        said = "would tell" if dry else "told" if message.error is None else "could not tell"
        show.out(show.text(f"{said}  {message.channel}{f', {whom}' if whom else ''}", "bold").append(f"\n    {message.title}", "default"))
        for line in message.lines[:LINES]:
            show.out(show.text(f"    - {line}", "dim"))
        if len(message.lines) > LINES:
            show.out(show.text(f"    - ... and {len(message.lines) - LINES} more", "dim"))
        if message.error is not None:
            show.out(show.text(f"    {message.error}; it is tried again by the next pass", "red"))
    show.out(*(show.text(said, "red" if bad else "default") for said, bad in _besides(done, channels)))


def _besides(done: "Pass", channels: int) -> "Iterator[tuple[str, bool]]":
    """Yield what else is to be known, and whether it is bad."""
    if done.later:
        yield f"{done.later} tickets are commented later: somebody was told today, or a run is writing to them.", False
    if done.unreachable:
        yield f"Nobody can be told of {len(done.unreachable)} steps: name live owners with e-mail addresses in the register.", True
    for trouble in done.troubles:
        yield f"Nobody is told of a plan: {trouble}", True
    if done.unclear:
        yield f"What was agreed when {done.unclear} open findings began is not on file; `countersign clocks` says why.", False
    if not channels:
        yield "No channel is configured, so only tickets are commented: `escalation: {channels: [...]}` in countersign.yaml.", False
