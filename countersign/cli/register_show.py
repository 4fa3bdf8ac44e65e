"""`countersign register show`: who answers for what, in words, as a matrix, and for one control, partner or person."""

from __future__ import annotations

from collections import Counter
from pathlib import Path  # noqa: TC003 - Typer looks it up when the program runs
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from countersign.programme import Programme
    from countersign.register.matrix import Column, Duty, Matrix, PartnerView, Person, Row
    from countersign.register.records import Register

_GAP = 2
"""Columns between two cells of a table."""
_FEW = 8
_HEADS = {"person": "", "left": " (left)", "partner": " (partner)", "partner-person": "", "team": " (team)", "unknown": " (nobody)"}


def show_register(  # noqa: PLR0913 - one parameter for each option
    *,
    as_matrix: Annotated[bool, typer.Option("--matrix", help="Controls by people, partners and teams: who answers what.")] = False,
    control: Annotated[str | None, typer.Option(metavar="ID", help="What is agreed for this control.")] = None,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="What this partner delivers, and who answers for it.")] = None,
    person: Annotated[
        str | None, typer.Option(metavar="ID", help="Everything this person answers for; also partner/person or a team.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all of it as one page that needs nothing else.")] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Show the register: who answers for what.

    With --matrix, --control, --partner and --person leave only the controls in which they have a part.
    """
    from countersign.expectation import expectations
    from countersign.programme import load
    from countersign.register.matrix import matrix, of_partner, of_person

    loaded = load(programme)
    register = loaded.register
    seen = matrix(register, {record.id: record.title for record in expectations()})
    _known(register, seen, control, partner, person)
    if html is not None:
        _page(html, loaded, seen)
    if as_matrix:
        rows = tuple(row for row in seen.rows if _has_part(row, control, partner, person))
        _matrix(seen.columns, rows, as_json=as_json)
    elif control is not None:
        _control(register, next(row for row in seen.rows if row.control == control), as_json=as_json)
    elif partner is not None:
        _partner(of_partner(register, seen, partner), as_json=as_json)
    elif person is not None:
        _person(of_person(register, seen, person), as_json=as_json)
    elif as_json:
        show.document(_overview(loaded, seen))
    elif html is None:
        _say_overview(register, seen)
    return EXIT_FINE


def _known(register: Register, seen: Matrix, control: str | None, partner: str | None, person: str | None) -> None:
    from countersign.cli.on_file import NotOnFileError

    people = {*register.people, *register.teams, *(column.id for column in seen.columns if column.kind != "partner")}
    for what, name, known in (
        ("control", control, {row.control for row in seen.rows}),
        ("partner", partner, set(register.partners)),
        ("person", person, people),
    ):
        if name is not None and name not in known:
            raise NotOnFileError(
                f"there is no {what} {name!r} in the register", fix=f"use one of: {', '.join(sorted(known)) or 'none yet'}"
            )


def _has_part(row: Row, control: str | None, partner: str | None, person: str | None) -> bool:
    wanted = [ref for ref in (partner, person) if ref is not None]
    there = [any(ref == name or ref.startswith(f"{name}/") for ref in row.cells) for name in wanted]
    return control in (None, row.control) and all(there)


def _page(path: Path, loaded: Programme, seen: Matrix) -> None:
    from countersign.errors import CountersignError
    from countersign.report.matrix import write

    try:
        write(path, loaded.register, seen)
    except OSError as error:
        raise CountersignError(
            f"{show.clean(path)} cannot be written: {error.strerror}", fix="name a file in a folder that exists"
        ) from error
    show.say(f"Wrote {show.path(path)}")


def _matrix(columns: Sequence[Column], rows: Sequence[Row], *, as_json: bool) -> None:
    from countersign.register.matrix import WORDS

    named = tuple(column for column in columns if any(column.id in row.cells for row in rows))
    if as_json:
        show.document({"columns": [_column(column) for column in named], "rows": [_row(row) for row in rows]})
        return
    if not rows:
        show.out("Nothing in the register fits.")
        return
    for table in _tables(named, rows):
        show.out(table, "")
    show.out(", ".join(f"{letter} {WORDS[letter]}" for letter in "BTORACI"))
    show.out("1 provision, 2 rotate, 3 review, 4 revoke; " + ", ".join(f"{letter} {WORDS[letter]}" for letter in "aimrf"))
    if any(row.governed_by == "default" for row in rows):
        show.out("* under the default entry")
    alone = [row.control for row in rows if row.governed_by == "nobody"]
    if alone:
        show.out(Text(f"Nobody answers for {_few(alone)}: give each an entry, or write controls/default.yaml.", "red"))


def _tables(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[Table]:
    """Cut the matrix into tables that fit the terminal, each with the controls."""
    from countersign.register.matrix import compact

    first = max(len("control"), *(len(row.control) for row in rows))
    last = max((len(compact(row.missing)) for row in rows), default=0)
    last = max(last, len("missing")) if last else 0
    room = max(show.width() - first - _GAP - (last + _GAP if last else 0), 1)
    left = list(columns)
    while True:
        taken: list[Column] = []
        used = 0
        while left and (not taken or used + _wide(left[0], rows) <= room):
            used += _wide(left[0], rows)
            taken.append(left.pop(0))
        made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
        made.add_column("control", no_wrap=True)
        for column in taken:
            style = "bold red" if column.kind in ("left", "unknown") else "bold"
            made.add_column(show.text(column.id + _HEADS[column.kind], style), overflow="fold")
        if last and not left:
            made.add_column(Text("missing", "bold red"))
        for row in rows:
            cells = [show.text(compact(row.cells.get(column.id, ())), "red" if column.kind == "left" else "") for column in taken]
            if row.governed_by == "nobody":
                made.add_row(show.text(row.control, "red"), Text("nobody answers for it", "red") if taken else "")
                continue
            made.add_row(_named(row), *cells, *((Text(compact(row.missing), "red"),) if last and not left else ()))
        yield made
        if not left:
            return


def _wide(column: Column, rows: Sequence[Row]) -> int:
    from countersign.register.matrix import compact

    words = [len(word) for word in (column.id + _HEADS[column.kind]).split()]
    return _GAP + max(*words, *(len(compact(row.cells.get(column.id, ()))) for row in rows))


def _named(row: Row) -> Text:
    said = show.text(row.control, "")
    return said.append(" *", "dim") if row.governed_by == "default" else said


def _control(register: Register, row: Row, *, as_json: bool) -> None:
    from countersign.register.matrix import spoken

    entry = register.control(row.control)
    if as_json:
        agreed = None if entry is None else entry.model_dump(mode="json", exclude={"control"})
        show.document(_row(row) | {"agreed": agreed})
        return
    show.out(show.text(row.control, "bold"), show.text(f"  fails as: {row.title}"))
    if entry is None:
        show.out(Text("  Nobody answers for it: it has no entry, and there is no default one.", "red"))
        return
    by = "by its own entry" if row.governed_by == "own" else "by the default entry"
    show.out(show.text(f"  governed {by}, {row.where}"), show.text(f"  objective: {show.clean(entry.objective)}"), "")
    show.out(show.table(("who", "does"), ((ref, spoken(duties)) for ref, duties in row.cells.items())), "")
    spans = entry.slas.model_dump(mode="json").items()
    show.out(show.text("  service levels: " + ", ".join(f"{name} {span or 'not agreed'}" for name, span in spans)))
    show.out(show.text(f"  evidence: {', '.join(entry.evidence) or 'not said'}"))
    if row.missing:
        show.out("", Text(f"Nobody is named for: {spoken(row.missing)}", "red"))


def _partner(view: PartnerView, *, as_json: bool) -> None:
    from countersign.register.matrix import spoken

    if as_json:
        show.document({
            "partner": view.id, "name": view.name,
            "contract": {"reference": view.reference, "starts": view.starts.isoformat(), "ends": _day(view.ends)},
            "people": view.people,
            "delivers": [
                {"control": each.control, "duties": _duties(each.duties), "accountable": dict(each.accountable)} for each in view.delivers
            ],
            "workloads": [
                {
                    "workload": use.workload, "owner": use.owner, "owner_is_live": use.owner_is_live, "backup_owner": use.backup_owner,
                    "purpose": use.purpose, "expires": _day(use.expires), "identities": use.identities,
                }
                for use in view.workloads
            ],
        })  # fmt: skip
        return
    show.out(show.text(f"{view.name} ({view.id})", "bold"))
    show.out(show.text(f"  contract {view.reference}, {view.starts} to {view.ends or 'open end'}"))
    show.out(show.text(f"  people named: {', '.join(view.people) or 'none'}"), "")
    if view.delivers:
        same: dict[tuple[str, str], list[str]] = {}
        for each in view.delivers:
            same.setdefault((spoken(each.duties), _accountable(each.accountable)), []).append(each.control)
        rows = ((", ".join(controls), does, who) for (does, who), controls in same.items())
        show.out(show.table(("controls", "what it does", "accountable at the customer"), rows), "")
    else:
        show.out("  No control gives it a part.", "")
    if view.workloads:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for head in ("workload", "owner", "backup", "expires", "identities", "purpose"):
            made.add_column(head, overflow="fold", justify="right" if head == "identities" else "left")
        for use in view.workloads:
            owner = show.text(use.owner or "nobody", "" if use.owner_is_live else "red")
            rest = (use.backup_owner, _day(use.expires), use.identities, use.purpose)
            made.add_row(show.text(use.workload, ""), owner, *(show.text(cell, "") for cell in rest))
        show.out(made)
    else:
        show.out("  No workload is registered for it.")


def _accountable(steps: Sequence[tuple[str, str | None]]) -> str:
    people: dict[str, list[str]] = {}
    for step, ref in steps:
        people.setdefault(ref or "nobody", []).append(step)
    return "; ".join(ref if len(people) == 1 else f"{ref} ({', '.join(done)})" for ref, done in people.items())


def _person(view: Person, *, as_json: bool) -> None:
    from countersign.register.matrix import spoken

    column = view.column
    lists = {
        "owns": view.owns, "backs_up": view.backs_up, "reviewed": view.reviewed, "approved": view.approved, "requested": view.requested,
        "declared": view.declared,
    }  # fmt: skip
    if as_json:
        show.document(_column(column) | {"duties": [{"duties": _duties(same), "controls": list(of)} for same, of in view.duties]} | lists)
        return
    left = column.kind in ("left", "unknown")
    is_what = {"left": ", who has left", "team": ", a team", "unknown": ", whom nothing in the register knows"}.get(column.kind, "")
    show.out(show.text(f"{column.name} ({column.id}){is_what}", "bold red" if left else "bold"))
    for same, controls in view.duties:
        show.out("", show.text(f"  {spoken(same)}"), show.text(f"    for {', '.join(controls)}", "dim"))
    said = {
        "owns": "owns the workloads", "backs_up": "backs up the owner of", "reviewed": "reviewed the access of",
        "approved": "approved the exceptions", "requested": "requested the exceptions", "declared": "declared the incidents",
    }  # fmt: skip
    listed = [show.text(f"  {said[key]} {', '.join(names)}") for key, names in lists.items() if names]
    if listed:
        show.out("", *listed)
    if not view.duties and not listed:
        show.out("  The register names them for nothing.")


def _overview(loaded: Programme, seen: Matrix) -> dict[str, Any]:
    register = loaded.register
    governed = Counter(row.governed_by for row in seen.rows)
    workloads = Counter(entry.partner for entry in register.workloads.values())
    return {
        "customer": {"id": register.customer.id, "name": register.customer.name},
        "digest": register.digest,
        "people": [{"id": each.id, "name": each.name, "active": each.active} for each in register.people.values()],
        "teams": dict(register.teams),
        "partners": [
            {
                "id": each.id, "name": each.name, "reference": each.contract.reference, "starts": each.contract.starts.isoformat(),
                "ends": _day(each.contract.ends), "workloads": workloads[each.id],
            }
            for each in register.partners.values()
        ],
        "controls": {
            "own": governed["own"], "default": governed["default"],
            "nobody": [row.control for row in seen.rows if row.governed_by == "nobody"],
        },
        "workloads": len(register.workloads), "own_workloads": workloads[None], "exceptions": sorted(register.exceptions),
        "incidents": sorted(key for key, entry in register.incidents.items() if entry.closed_at is None),
    }  # fmt: skip


def _say_overview(register: Register, seen: Matrix) -> None:
    governed = Counter(row.governed_by for row in seen.rows)
    workloads = Counter(entry.partner for entry in register.workloads.values())
    gone = sorted(person.id for person in register.people.values() if not person.active)
    show.out(show.text(f"{register.customer.name} ({register.customer.id})", "bold"), "")
    here = [f"{person.name} ({person.id})" for person in register.people.values() if person.active]
    show.out(show.text(f"People: {', '.join(here) or 'none'}"))
    if gone:
        show.out(show.text(f"Left: {', '.join(gone)}"))
    show.out(show.text(f"Teams: {', '.join(register.teams) or 'none'}"))
    parts = [f"{governed['own']} with an entry of their own", f"{governed['default']} under the default entry"]
    show.out(f"Controls: {len(seen.rows)}, {', '.join(part for part in parts if part[0] != '0')}")
    alone = [row.control for row in seen.rows if row.governed_by == "nobody"]
    if alone:
        show.out(Text(f"Nobody answers for {_few(alone)}", "red"))
    count = len(register.workloads)
    show.out(f"Workloads: {count}, {workloads[None]} of them the customer's own")
    show.out(show.text(f"Exceptions: {', '.join(sorted(register.exceptions)) or 'none'}"))
    still = sorted(key for key, entry in register.incidents.items() if entry.closed_at is None)
    show.out(show.text(f"Open incidents: {', '.join(still) or 'none'}"), "")
    partners: Iterable[tuple[object, ...]] = (
        (each.id, each.name, each.contract.reference, each.contract.starts, each.contract.ends or "open end", workloads[each.id])
        for each in register.partners.values()
    )
    show.out(show.table(("partner", "name", "contract", "from", "to", "workloads"), partners, numbers=("workloads",)))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


def _day(when: object) -> str | None:
    return None if when is None else str(when)


def _column(column: Column) -> dict[str, object]:
    return {"id": column.id, "name": column.name, "kind": column.kind}


def _row(row: Row) -> dict[str, object]:
    where = None if row.where is None else {"file": row.where.file, "line": row.where.line}
    return {
        "control": row.control, "title": row.title, "governed_by": row.governed_by, "where": where,
        "cells": {ref: _duties(duties) for ref, duties in row.cells.items()}, "missing": _duties(row.missing),
    }  # fmt: skip


def _duties(duties: Sequence[Duty]) -> list[dict[str, object]]:
    from countersign.register.matrix import WORDS

    return [{"duty": WORDS[duty.letter], "step": duty.step} for duty in duties]
