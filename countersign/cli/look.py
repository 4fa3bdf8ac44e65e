"""`countersign findings` and `countersign unknowns`: look at what is on file."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from countersign.programme import Programme

WIDE = 180
"""Columns from which findings fit on lines of a table; below, each takes three short lines."""


FEW = 8
"""Controls or scopes that one reason names; `--json` has all."""


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
        show.out(*_beside(on_file.controls(ran), control, f"{show.program()} unknowns -p {show.path(programme)}"))
    return EXIT_ACT if any(on_file.standing(rows)) else EXIT_FINE


def unknowns(
    *,
    run: Annotated[str | None, typer.Option(metavar="ID", help="What that run could not judge; the latest run otherwise.")] = None,
    control: Annotated[str | None, typer.Option(metavar="ID", help="Of this control only, such as human-mfa.")] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """List why what is unknown is unknown: for each control the reasons and the scopes, the most first.

    What is unknown is no finding: it neither passes nor fails. Exit code 0: nothing is unknown; 1: something is.
    """
    from countersign import shares
    from countersign.cli import on_file
    from countersign.programme import load

    loaded = load(programme)
    check_names(loaded, control, None)
    ran = on_file.newest(loaded, run)
    controls = [each for each in on_file.controls(ran) if control in (None, each["id"])]
    rows = shares.unknowns(controls)
    if as_json:
        show.document(rows)
    else:
        many = shares.unknown_in_words(controls)
        whose = "" if control is None else f" of {control}"
        head = f"Nothing{whose} is unknown" if many is None else f"Unknown: {many}{whose}"
        show.out(show.text(f"{head} in run {ran.run.run}, as of {show.clean(ran.run.as_of)}"))
        for why in shares.together(rows):
            show.out("", show.text(f"{why.in_words()}: {why.reason}"))
            if why.unit == "scope":
                show.out(show.text(f"    {_few([name for name, _ in why.controls])}", "dim"))
            else:
                show.out(show.text(f"    {_few([f'{name} {count:,}' for name, count in why.controls])}", "dim"))
                show.out(show.text(f"    in {_few(why.places)}", "dim"))
    return EXIT_ACT if rows else EXIT_FINE


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


def _few(names: "Sequence[str]") -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW:,} more" if len(names) > FEW else "")


def _beside(controls: "list[dict[str, Any]]", control: str | None, where: str) -> "tuple[str, ...]":
    """Say what stands beside a list of findings: how many pass, and of how many nobody knows."""
    from countersign import shares

    if control is not None:
        return tuple(f"\n{control}: {shares.in_words(each)}" for each in controls if each["id"] == control)
    many = shares.unknown_in_words(controls)
    if many is None:
        return ()
    return (f"\nBeside these, {many} are unknown, neither passed nor failed: {where}",)


def _reason(row: "Mapping[str, Any]") -> str:
    if row["state"] == "resolved":
        return f"resolved: {row['reason']}"
    notes = [
        _accepted(row) if row["state"] == "excepted" else None,
        f"not looked at since {show.day(row['unobserved_since'])}" if row.get("unobserved_since") is not None else None,
    ]
    return "; ".join((row["reason"], *(note for note in notes if note is not None)))


def _accepted(row: "Mapping[str, Any]") -> str:
    until = "" if row["excepted_through"] is None else f" until {row['excepted_through']}"
    by = "" if row["excepted_by"] is None else f" (approved by {row['excepted_by']})"
    return f"excepted{until} by {row['excepted']}{by}"


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
