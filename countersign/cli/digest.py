"""`countersign digest`: what each accountable person is to know today."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.notices.digest import Digest, Row, Sent


def digest(
    *,
    person: Annotated[str | None, typer.Option(metavar="ID", help="Of this person of the register only.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Send each digest that was not sent today, over the channel for people.")] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Show what is each accountable person's, what is due, what waits for their decision, and what is unknown; --send tells them.

    Everybody gets one a day at most, by the customer's calendar, and none where there is nothing to tell.

    Exit code 0: nothing is overdue or waits for a decision (with --send: all were told); 1: something is (one was not told).
    """
    from countersign.notices import digest as daily
    from countersign.programme import load

    loaded = load(programme)
    if person is not None and person not in loaded.register.people:
        raise UsageError(f"the register knows no person {person!r}", fix=f"use one of: {', '.join(sorted(loaded.register.people))}")
    if send:
        sent = daily.send(loaded, lambda: datetime.now(UTC), person)
        if as_json:
            show.document([{**_document(each.digest), "sent": each.state, "why": each.why} for each in sent])
        else:
            _print_sent(sent)
        return EXIT_ACT if any(each.state in {"failed", "no address"} for each in sent) else EXIT_FINE
    found = [each for each in daily.digests(loaded, datetime.now(UTC)) if person in (None, each.person.ref)]
    if as_json:
        show.document([_document(each) for each in found])
    elif not found:
        show.out("There is nothing to tell anybody.")
    else:
        for number, each in enumerate(found):
            show.out(*([""] * bool(number)), show.text(daily.title(loaded, each), "bold"), *(show.text(line) for line in daily.lines(each)))
    return EXIT_ACT if any(each.overdue or each.decide for each in found) else EXIT_FINE


def _print_sent(sent: "tuple[Sent, ...]") -> None:
    if not sent:
        show.out("There is nothing to tell anybody.")
    for each in sent:
        why = "" if each.why is None else f": {each.why}"
        show.out(show.text(f"{each.digest.person.name} ({each.digest.person.ref}): {each.state}{why}"))


def _document(found: "Digest") -> dict[str, Any]:
    return {
        "person": found.person.ref, "name": found.person.name, "day": str(found.day), "as_of": found.as_of, "decide": found.decide,
        "overdue": _rows(found.overdue), "soon": _rows(found.soon), "others": _rows(found.others), "fallen": _rows(found.fallen),
        "unread": found.unread, "unknown": found.unknown,
    }  # fmt: skip


def _rows(rows: "tuple[Row, ...]") -> list[dict[str, Any]]:
    return [row._asdict() for row in rows]
