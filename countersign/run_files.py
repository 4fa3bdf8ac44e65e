"""The files of a judged run that say what was found and what it means to do: results.json, plan.json and report.html."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from countersign import findings_file, report, results
from countersign.clock import stamp
from countersign.expectation import expectations
from countersign.register import sealed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from countersign.finding import Transition
    from countersign.inventory import Reading
    from countersign.judge import Judgement
    from countersign.programme import Programme
    from countersign.register.records import Register
    from countersign.remediation import Action


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run means for the ledger and the desk, before anything is written there."""

    transitions: tuple[Transition, ...]
    actions: tuple[Action, ...]
    stopped: str | None
    """The run guard's reason to change nothing; None: go on."""


def write(  # noqa: PLR0913 - what a run has come to know, and what it means to do
    folder: Path,
    programme: Programme,
    *,
    run: str,
    as_of: datetime,
    readings: tuple[Reading, ...],
    judgement: Judgement,
    found: Sequence[Transition],
    planned: Planned,
) -> None:
    """Write the three files into a run's folder, beside the findings that are there already."""
    state = results.state_of(readings)
    sources, controls = results.sources(readings), results.controls(judgement.results)
    said = {"run": run, "as_of": stamp(as_of), "state": state, "sources": sources, "controls": controls}
    write_json(folder / "results.json", said)
    write_json(
        folder / "plan.json",
        {
            "stopped": planned.stopped,
            "transitions": [{"fingerprint": t.after.fingerprint, "event": t.kind} for t in planned.transitions if t.kind != "still"],
            "tickets": [
                {"key": a.key, "action": a.kind, "ticket": a.ticket, "control": a.control, "partner": a.partner} for a in planned.actions
            ],
        },
    )
    report.write(
        folder / "report.html",
        report.Page(
            customer=programme.register.customer.name,
            run=run,
            as_of=as_of,
            state=state,
            stopped=planned.stopped,
            people={person.id: person.name for person in programme.register.people.values()},
            partners={partner.id: partner.name for partner in programme.register.partners.values()},
            approvers={entry.exception: entry.approved_by for entry in programme.register.exceptions.values() if entry.approved_by},
            sources=sources,
            controls=controls,
            records=expectations(),
            suite=judgement.validated.suite,
            validation=judgement.validated.result,
            events=Counter(t.kind for t in found),
            actions=Counter(a.kind for a in planned.actions),
            findings=folder / findings_file.NAME,
        ),
    )


def write_register(folder: Path, register: Register) -> None:
    """Keep the register's files as they were read: what was agreed on that night stays readable when the register has moved on."""
    write_json(folder / sealed.NAME, sealed.document(register))


def write_json(path: Path, document: object) -> None:
    """Write a document with sorted keys, so that the same content is the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
