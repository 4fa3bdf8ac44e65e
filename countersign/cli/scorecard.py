"""`countersign scorecard`: how each partner did against the contract, from the same clocks that settle a dispute."""

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from countersign.cli import show
from countersign.cli.clocks import moment, seconds, span, work
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.clocks.scorecard import Card, Measure

_HEAD = ("clock", "agreed", "median", "worst", "met", "missed", "running", "unknown", "share met", "share unknown")
_NUMBERS = _HEAD[4:]


def scorecard(  # noqa: PLR0913 - one parameter for each option
    partner: Annotated[str | None, typer.Argument(metavar="PARTNER", help="Of this partner; of all otherwise.")] = None,
    *,
    begins: Annotated[str | None, typer.Option("--from", metavar="DAY", help="Of what began on this day or later.")] = None,
    ends: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Of what began on this day or before.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="As it stood at this time, such as 2026-11-22T02:15:00Z; now otherwise.")
    ] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Show each partner's time to detect, escalate, rotate and revoke against the contract, and what came back or is overdue.

    Exit code 0: nothing is overdue; 1: something is.
    """
    from countersign.cli.look import check_names
    from countersign.clocks.log import Asked, stories
    from countersign.clocks.scorecard import scorecards
    from countersign.programme import load

    now = moment("--as-of", as_of) or datetime.now(UTC)
    loaded = load(programme)
    check_names(loaded, None, partner)
    first, last = _day("--from", begins), _day("--to", ends)
    if first is not None and last is not None and last < first:
        raise UsageError("--to lies before --from", fix="turn them round")
    start = None if first is None else datetime.combine(first, time(), ZoneInfo(loaded.register.customer.timezone)).astimezone(UTC)
    cards = scorecards(stories(loaded, now, Asked(partner=partner)), now, start, None if last is None else loaded.register.end_of(last))
    if as_json:
        show.document({"as_of": now, "from": first and str(first), "to": last and str(last), "partners": [_json(card) for card in cards]})
    else:
        if not cards:
            show.out(show.text(f"No finding{f' of partner {partner}' if partner else ''} is on file"))
        for number, card in enumerate(cards):
            show.out(*([""] if number else []))
            _show(card)
    return EXIT_ACT if any(card.overdue for card in cards) else EXIT_FINE


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} is no day: {text}", fix="write year-month-day, such as 2026-10-01") from error


def _show(card: "Card") -> None:
    whose = "no partner" if card.partner is None else card.partner
    counts = f"{card.findings} {'finding' if card.findings == 1 else 'findings'}, {card.reopened} reopened, {card.overdue} overdue"
    waited = "" if card.paused is None else f", {span(card.paused)} of waiting for the customer"
    show.out(show.text(whose, "bold").append(f"  {counts}, {card.exceptions_used} excepted{waited}", "default"))
    show.out(show.table(_HEAD, [_cells(measure) for measure in card.measures], numbers=_NUMBERS))


def _cells(measure: "Measure") -> tuple[object, ...]:
    agreed = " or ".join(span(each) for each in measure.agreed) or ("not agreed" if measure.not_agreed else None)
    say = work if measure.of_work else span
    counts = (measure.met, measure.missed, measure.running, measure.unknown)
    return (
        measure.clock,
        agreed,
        say(measure.median),
        say(measure.worst),
        *counts,
        _share(measure.share_met),
        _share(measure.unknown_share),
    )


def _share(value: float | None) -> str:
    return show.NOTHING if value is None else f"{value:.1%}"


def _json(card: "Card") -> dict[str, object]:
    said: dict[str, object] = {
        name: getattr(card, name) for name in ("partner", "findings", "lives", "reopened", "overdue", "exceptions_used")
    }
    measures = {
        each.clock: {name: getattr(each, name) for name in ("total", "met", "missed", "running", "unknown", "not_agreed", "of_work")}
        | {"agreed_seconds": [seconds(value) for value in each.agreed], "worst_finding": each.worst_finding}
        | {f"{name}_seconds": seconds(getattr(each, name)) for name in ("median", "worst", "worst_exposure")}
        | {"share_met": each.share_met, "unknown_share": each.unknown_share}
        for each in card.measures
    }
    return said | {"paused_seconds": seconds(card.paused), "clocks": measures}
