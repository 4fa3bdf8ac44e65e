"""`countersign clocks`: how long each finding stands against what was agreed, recomputed from what is on file."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from countersign.clocks.replay import Clock
    from countersign.clocks.story import Story

WIDE = 180
"""Columns from which clocks fit on lines of a table; below, each takes two lines."""
SHORT = 8
"""Characters of a fingerprint that are shown where many are."""
_HEAD = ("finding", "control", "partner", "clock", "agreed", "exposure", "partner's time", "state", "due", "next rung", "why")


def clocks(  # noqa: PLR0913 - one parameter for each option
    *,
    finding: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Show this one with every event and pause; its first characters are enough.")
    ] = None,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Of this partner only.")] = None,
    control: Annotated[str | None, typer.Option(metavar="ID", help="Of this control only, such as rotation-age.")] = None,
    late: Annotated[bool, typer.Option("--late", help="Only those whose time is over and that go on.")] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="As they stood at this time, such as 2026-11-22T02:15:00Z; now otherwise.")
    ] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """List the clocks that run (escalate, rotate, revoke), late ones first, or recompute all clocks of one finding.

    Exit code 0: nothing of what is shown is late; 1: something is.
    """
    from countersign.cli.look import check_names
    from countersign.clocks.log import Asked, stories
    from countersign.clocks.replay import replay
    from countersign.programme import load

    now = moment("--as-of", as_of) or datetime.now(UTC)
    loaded = load(programme)
    check_names(loaded, control, partner)
    held = stories(loaded, now, Asked(fingerprint=finding, partner=partner, control=control))
    if finding is not None:
        return _one(_only(held, finding), now, as_json=as_json)
    running = [(story, clock) for story in held for clock in replay(story, now) if clock.ended is None and not _idle(clock)]
    over = sum(clock.late for _, clock in running)
    rows = sorted(((story, clock) for story, clock in running if clock.late or not late), key=_latest_first)
    if as_json:
        show.document([_row(story, clock, now) for story, clock in rows])
    else:
        whose = "".join((f" of {control}" if control else "", f" of partner {partner}" if partner else ""))
        many = f"{len(running) or 'No'} {'clock runs' if len(running) == 1 else 'clocks run'}{whose}"
        show.out(show.text(f"{many} at {show.clean(now)}; {over or 'none'} late"))
        if rows:
            show.out("", *_listing(rows, now))
        unknown = sum(clock.state == "unknown" for _, clock in running)
        if unknown:
            show.out("", show.text(f"Of {unknown} it is not known whether they are met: the reason stands at each"))
    return EXIT_ACT if over else EXIT_FINE


def moment(option: str, text: str | None) -> datetime | None:
    """Read the time of an option; None stays None. Raises UsageError."""
    from countersign.clock import instant

    if text is None:
        return None
    try:
        return instant(text)
    except ValueError as error:
        raise UsageError(f"{option} is no time with its zone: {text}", fix="write it as 2026-11-22T02:15:00Z") from error


def span(value: timedelta | None) -> str:
    """Say a span in its two largest units, cut off: `3 d 4 h`; `-` for None."""
    if value is None:
        return show.NOTHING
    minutes = value // timedelta(minutes=1)
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    kept = [f"{count} {unit}" for count, unit in parts[:2] if count]
    return " ".join(kept) or ("0 min" if not value else "under 1 min")


def agreed(clock: "Clock") -> str:
    """Say what was agreed, and what that is in business hours."""
    if clock.hours is None or clock.allowed is None:
        return span(clock.agreed)
    return f"{span(clock.agreed)} = {work(clock.allowed)}"


def work(value: timedelta | None) -> str:
    """Say business time in hours, since a working day is no day; `-` for None."""
    return show.NOTHING if value is None else f"{value / timedelta(hours=1):.4g} h of work"


def partner_time(clock: "Clock") -> str:
    """Say the partner's time of a clock."""
    return span(clock.partner_time) if clock.hours is None else work(clock.partner_time)


def _idle(clock: "Clock") -> bool:
    from countersign.clocks.replay import NOT_AGREED

    return clock.why == NOT_AGREED


def _latest_first(row: "tuple[Story, Clock]") -> tuple[object, ...]:
    story, clock = row
    far = datetime.max.replace(tzinfo=UTC)
    return (not clock.late, clock.due or far, story.fingerprint, clock.clock)


def _only(held: "Sequence[Story]", finding: str) -> "Story":
    from countersign.cli.on_file import NotOnFileError

    if len(held) == 1:
        return held[0]
    if held:
        some = ", ".join(story.fingerprint[:16] for story in held[:3])
        raise NotOnFileError(f"{len(held)} findings begin with {finding}: {some}...", fix="give more characters")
    raise NotOnFileError(f"there is no finding {finding} with clocks", fix="`countersign findings --json` has the fingerprints")


def _cells(story: "Story", clock: "Clock", now: datetime) -> tuple[object, ...]:
    rung = clock.next_rung(now)
    following = None if rung is None else f"{rung.percent} % at {show.clean(rung.at)}"
    state = f"{clock.state}, late" if clock.late and clock.state != "missed" else clock.state
    name = f"{story.fingerprint[:SHORT]} {story.identity_name or story.subject}"
    times = (agreed(clock), span(clock.exposure), partner_time(clock))
    return (name, story.control, story.partner, clock.clock, *times, state, clock.due, following, clock.why)


def _listing(rows: "Iterable[tuple[Story, Clock]]", now: datetime) -> "list[RenderableType]":
    cells = [_cells(story, clock, now) for story, clock in rows]
    if show.width() >= WIDE:
        return [show.table(_HEAD, cells)]
    lines: list[RenderableType] = []
    for row in cells:
        finding, control, partner, clock, terms, exposure, worked, state, due, rung, why = map(show.clean, row)
        lines += [
            show.text(state).append(f"  {clock}  ", "bold").append(f"{finding}, {control}, partner {partner}", "default"),
            show.text(f"    agreed {terms}, exposure {exposure}, partner's time {worked}, due {due}, next rung {rung}", "dim"),
        ]
        if why != show.NOTHING:
            lines.append(show.text(f"    {why}"))
    return lines


def _one(story: "Story", now: datetime, *, as_json: bool) -> int:
    from countersign.clocks.replay import replay
    from countersign.clocks.story import in_order

    every = replay(story, now)
    events = in_order(tuple(event for event in story.events if event.at <= now))
    if as_json:
        rows = [{"at": event.at, "event": event.kind, "source": event.source, "said": event.said} for event in events]
        show.document(_about(story) | {"as_of": now, "clocks": [_json(clock) for clock in every], "events": rows})
        return EXIT_ACT if any(clock.late for clock in every) else EXIT_FINE
    show.out(show.text(f"{story.control}: {story.identity_name or story.subject}", "bold"))
    show.out(show.text(f"{story.fingerprint}  {story.subject}"))
    show.out(
        show.text(f"partner {show.clean(story.partner)}, accountable {show.clean(story.accountable)}; as it stood at {show.clean(now)}"), ""
    )
    head = ("life", "clock", "started", "ended", "agreed", "exposure", "partner's time", "state", "due", "why")
    cells = [
        (c.life, c.clock, c.started, c.ended, agreed(c), span(c.exposure), partner_time(c), c.state, c.due, c.why) for c in every
    ]  # fmt: skip
    show.out(show.table(head, cells))
    for clock in every:
        if clock.rungs:
            rungs = ", ".join(f"{rung.percent} % {show.clean(rung.at)}" for rung in clock.rungs)
            show.out("", show.text(f"Ladder of {clock.clock}, life {clock.life}: {rungs}"))
        if clock.hours is not None:
            show.out(show.text(f"    partner's time: {_hours(clock)}", "dim"))
        for pause in clock.pauses:
            show.out(show.text(f"    paused {_paused(pause)}"))
    registers = sorted({clock.register for clock in every if clock.register is not None})
    show.out("", show.text(f"Terms: {', '.join(registers) or 'not on file'}"), "")
    show.out(
        show.table(
            ("at", "event", "by", "what"), [(f"{event.at:%Y-%m-%d %H:%M:%S} UTC", event.kind, event.source, event.said) for event in events]
        )
    )
    return EXIT_ACT if any(clock.late for clock in every) else EXIT_FINE


def _paused(pause: Any) -> str:  # noqa: ANN401 - a Pause, of a module that help need not load
    until = "and goes on" if pause.going_on else f"until {show.clean(pause.ended)}{', when its cap was over' if pause.capped else ''}"
    return f"from {show.clean(pause.began)} {until}: {pause.reason} (at most {span(pause.cap)})"


def _hours(clock: "Clock") -> str:
    hours = clock.hours
    assert hours is not None
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    days = " ".join(names[day] for day in sorted(hours.days))
    times = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (hours.opens, hours.closes))
    closed = "" if not hours.closed else f", closed on {len(hours.closed)} days"
    return f"{days} {times} {hours.zone}{closed}"


def _about(story: "Story") -> dict[str, object]:
    names = ("fingerprint", "control", "subject", "identity_name", "provider", "scope", "partner", "accountable", "severity")
    return {name: getattr(story, name) for name in names}


def _row(story: "Story", clock: "Clock", now: datetime) -> dict[str, object]:
    rung = clock.next_rung(now)
    return _about(story) | _json(clock) | {"next_rung": None if rung is None else {"percent": rung.percent, "at": rung.at}}


def _json(clock: "Clock") -> dict[str, object]:
    said: dict[str, object] = {name: getattr(clock, name) for name in ("clock", "life", "state", "late", "why", "started", "ended", "due")}
    said |= {f"{name}_seconds": seconds(getattr(clock, name)) for name in ("agreed", "allowed", "exposure")}
    said |= {"partner_seconds": seconds(clock.partner_time), "business_hours": None if clock.hours is None else _hours(clock)}
    names = ("began", "ended", "going_on", "reason", "source", "capped")
    pauses = [{name: getattr(pause, name) for name in names} | {"cap_seconds": seconds(pause.cap)} for pause in clock.pauses]
    rungs = [{"percent": rung.percent, "at": rung.at} for rung in clock.rungs]
    return said | {"pauses": pauses, "rungs": rungs, "register": clock.register}


def seconds(value: timedelta | None) -> float | None:
    """Return a span as JSON has it; whole seconds without a fraction."""
    if value is None:
        return None
    said = value.total_seconds()
    return int(said) if said.is_integer() else said
