"""`countersign findings` and `countersign runs`: look at what is on file."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from countersign.cli.on_file import Ran
    from countersign.programme import Programme

WIDE = 180
"""Columns from which findings fit on lines of a table; below, each takes three short lines."""


class Standing(StrEnum):
    """The states that findings can be asked for by."""

    OPEN = "open"
    EXCEPTED = "excepted"
    UNOBSERVED = "unobserved"
    RESOLVED = "resolved"


def findings(  # noqa: PLR0913 - one parameter for each option
    *,
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="A run's findings as that run saw them; the latest run's otherwise.")
    ] = None,
    control: Annotated[str | None, typer.Option(metavar="ID", help="Of this control only, such as rotation-age.")] = None,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Of this partner only.")] = None,
    state: Annotated[Standing | None, typer.Option(help="In this state only; open and excepted ones otherwise.")] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """List findings, worst and oldest first, with who answers for each and its ticket.

    Exit code 0: none of those listed is open; 1: some are.
    """
    from countersign.cli import on_file
    from countersign.programme import load

    loaded = load(programme)
    check_names(loaded, control, partner)
    ran = on_file.newest(loaded, run)
    latest = on_file.runs(loaded)[0]
    assert ran.folder is not None
    rows = on_file.findings(loaded, ran.folder, lambda row: _wanted(row, control, partner, state))
    if run is None and latest.run.run != ran.run.run:
        why = f": {latest.guard or latest.error}" if latest.guard or latest.error else ""
        show.say(show.text(f"The latest run, {latest.run.run}, is {'stopped by the guard' if latest.guard else latest.state}{why}"))
    if ran.state == "partial":
        show.say("This run could not read everything: findings in what was not read are as they were when it was last read.")
    if as_json:
        show.document(rows)
    else:
        whose = "".join((f" of {control}" if control else "", f" of partner {partner}" if partner else ""))
        many = f"{state.value if state else 'standing'} {'finding' if len(rows) == 1 else 'findings'}{whose}"
        head = f"{len(rows) or 'No'} {many} in run {ran.run.run}, as of {show.clean(ran.run.as_of)}"
        show.out(show.text(head))
        if rows:
            show.out("", *listing(rows))
    return EXIT_ACT if any(on_file.standing(rows)) else EXIT_FINE


def runs(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """List the runs, latest first, also those that failed or were interrupted."""
    from countersign.cli import on_file
    from countersign.programme import load

    every = on_file.runs(load(programme))
    if as_json:
        show.document([on_file.run_json(ran) for ran in every])
    elif not every:
        show.out(f"There is no run on file yet. Start one: {show.program()} reconcile -p {show.path(programme)}")
    else:
        show.out(show.table(("run", "as of", "state", "new", "open", "evidence", ""), map(_run_row, every), numbers=("new", "open")))
    return EXIT_FINE


def listing(rows: "list[dict[str, Any]]") -> "list[RenderableType]":
    """Return findings (in the shape of `on_file.findings`) as a table where there is room, else as blocks of three lines."""
    if show.width() >= WIDE:
        head = ("severity", "control", "subject", "partner", "accountable", "since", "due", "ticket", "reason")
        return [show.table(head, map(_cells, rows))]
    blocks: list[RenderableType] = []
    for row in rows:
        severity, control, subject, partner, accountable, since, due, ticket, reason = map(show.clean, _cells(row))
        blocks += [
            show.text(severity).append(f"  {control}  ", "bold").append(subject, "default"),
            show.text(f"    partner {partner}, accountable {accountable}, since {since}, due {due}, ticket {ticket}", "dim"),
            show.text(f"    {reason}"),
        ]
    return blocks


def _cells(row: "Mapping[str, Any]") -> tuple[object, ...]:
    due = None if row["due"] is None else show.day(row["due"])
    cells = (row["partner"], row["accountable"], show.day(row["since"]), due, row["ticket"])
    return (row["severity"], row["control"], _name(row), *cells, _reason(row))


def _name(row: "Mapping[str, Any]") -> str:
    """Name the subject by its identity's name with what and where it is; a credential by its own id too."""
    own = str(row["subject"]).split(":", 2)[-1]
    if row["identity_name"] is None:
        return own
    kind = own if row["subject"] != row["identity"] else own.partition("/")[0]
    return f"{row['identity_name']} ({kind}, {row['provider']} {row['scope']})"


def _reason(row: "Mapping[str, Any]") -> str:
    if row["state"] == "resolved":
        return f"resolved: {row['reason']}"
    notes = [
        f"excepted by {row['excepted']}" if row["state"] == "excepted" else None,
        f"not looked at since {show.day(row['unobserved_since'])}" if row.get("unobserved_since") is not None else None,
    ]
    return "; ".join((row["reason"], *(note for note in notes if note is not None)))


def _wanted(row: "Mapping[str, Any]", control: str | None, partner: str | None, state: Standing | None) -> bool:
    if control not in (None, row["control"]) or partner not in (None, row["partner"]):
        return False
    if state is None:
        return bool(row["state"] != "resolved")
    return row["unobserved_since"] is not None if state is Standing.UNOBSERVED else bool(row["state"] == state.value)


def check_names(programme: "Programme", control: str | None, partner: str | None) -> None:
    """Refuse a control or partner that does not exist: an empty list would look like good news."""
    from countersign.cli.on_file import NotOnFileError
    from countersign.expectation import expectations

    controls = {record.id for record in expectations()}
    if control is not None and control not in controls:
        raise NotOnFileError(f"there is no control {control!r}", fix=f"use one of: {', '.join(sorted(controls))}")
    if partner is not None and partner not in programme.register.partners:
        known = ", ".join(sorted(programme.register.partners)) or "none is registered"
        raise NotOnFileError(f"there is no partner {partner!r} in the register", fix=f"use one of: {known}")


def _run_row(ran: "Ran") -> tuple[object, ...]:
    counts = ran.findings or {}
    note = f"stopped by the guard: {ran.guard}" if ran.guard else ran.error or ""
    return (ran.run.run, ran.run.as_of, ran.state, counts.get("new"), counts.get("open"), ran.run.evidence, note)
