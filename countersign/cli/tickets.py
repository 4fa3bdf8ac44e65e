"""`countersign tickets`: what is on the local desk, and for whom."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from countersign.desk import Entry
    from countersign.desk.local import LocalDesk
    from countersign.programme import Programme

WIDE = 140
"""Columns from which tickets fit on lines of a table; below, each takes two lines."""
_FIELDS = ("id", "state", "severity", "control", "partner", "assignee", "due", "title")
_MORE = ("key", "escalated", "replaces", "opened_at", "closed_at")


class Standing(StrEnum):
    """The states that tickets can be asked for by."""

    OPEN = "open"
    CLOSED = "closed"


def tickets(
    ticket: Annotated[str | None, typer.Argument(metavar="TICKET", help="Show this one whole, such as local:6.")] = None,
    *,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Of this partner only.")] = None,
    state: Annotated[Standing | None, typer.Option(help="In this state only; all of them otherwise.")] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """List the tickets of the local desk, open and worst first, or show one with its description and history.

    Exit code 0: none of those shown is open; 1: some are.
    """
    from countersign.cli import on_file
    from countersign.desk.local import LocalDesk
    from countersign.programme import load
    from countersign.state import State

    if ticket is not None and (partner or state):
        raise UsageError("a ticket was named, and --partner and --state are for the list", fix="leave out one or the other")
    loaded = load(programme)
    if loaded.desk.kind != "local":
        show.say(show.text(f"New tickets are at {loaded.desk.kind.replace('_', ' ')}; these are what the local desk still has."))
    rows: list[Mapping[str, object]] = []
    if not on_file.is_new(loaded):
        with State(loaded.state) as ledger:
            desk = LocalDesk(ledger.engine, lambda: datetime.now(UTC))
            rows = sorted(desk.all(), key=_worst_first)
            if any(row["id"] == ticket for row in rows):
                return _show(desk, str(ticket), as_json=as_json)
    if ticket is not None:
        raise on_file.NotOnFileError(f"the local desk has no ticket {ticket!r}", fix="`countersign tickets` lists them")
    _check_partner(loaded, partner, rows)
    shown = [row for row in rows if partner in (None, row["partner"]) and state in (None, row["state"])]
    if as_json:
        show.document([{name: row[name] for name in (*_FIELDS, *_MORE)} for row in shown])
    else:
        many = f"{state.value if state else ''} {'ticket' if len(shown) == 1 else 'tickets'}".strip()
        whose = f" of partner {partner}" if partner else ""
        show.out(show.text(f"{len(shown) or 'No'} {many}{whose} at the local desk"))
        if shown:
            show.out("", *_listing(shown))
    return EXIT_ACT if any(row["state"] == "open" for row in shown) else EXIT_FINE


def _worst_first(row: "Mapping[str, object]") -> tuple[object, ...]:
    from countersign.cli.on_file import SEVERITIES

    severity, due = str(row["severity"]), row["due"]
    rank = SEVERITIES.index(severity) if severity in SEVERITIES else 0
    return (row["state"] != "open", rank, due is None, due, int(str(row["id"]).partition(":")[2]))


def _listing(rows: "list[Mapping[str, object]]") -> "list[RenderableType]":
    cells = [[show.day(value) if isinstance(value := row[name], datetime) else value for name in _FIELDS] for row in rows]
    if show.width() >= WIDE:
        return [show.table(_FIELDS, cells)]
    lines: list[RenderableType] = []
    for row in cells:
        name, state, severity, control, partner, assignee, due, title = map(show.clean, row)
        lines += [
            show.text(severity).append(f"  {name}  ", "bold").append(title, "default"),
            show.text(f"    {state}, control {control}, partner {partner}, assignee {assignee}, due {due}", "dim"),
        ]
    return lines


def _show(desk: "LocalDesk", ticket: str, *, as_json: bool) -> int:
    row, history = desk.read(ticket), desk.history(ticket)
    if as_json:
        entries = [{name: getattr(entry, name) for name in ("at", "actor", "what", "text")} for entry in history]
        show.document({name: row[name] for name in (*_FIELDS, *_MORE, "body")} | {"history": entries})
    else:
        show.out(show.text(row["title"], "bold"), "")
        names = (*_FIELDS[:-1], "opened_at", *(name for name in ("closed_at", "replaces") if row[name] is not None))
        show.out(*(Text(f"{name.removesuffix('_at')}:".ljust(10)).append_text(show.text(row[name])) for name in names))
        show.out("", Text(show.lines(str(row["body"]))), "", *map(_entry, history))
    return EXIT_ACT if row["state"] == "open" else EXIT_FINE


def _entry(entry: "Entry") -> Text:
    said = show.lines(entry.text).replace("\n", "\n    ")
    return show.text(f"{show.clean(entry.at)}  {entry.actor} {entry.what}", "bold").append(f"\n    {said}" if said else "", "default")


def _check_partner(programme: "Programme", partner: str | None, rows: "list[Mapping[str, object]]") -> None:
    """Refuse a partner that nobody knows; one that has left the register may still have tickets."""
    from countersign.cli.look import check_names

    if not any(row["partner"] == partner for row in rows):
        check_names(programme, None, partner)
