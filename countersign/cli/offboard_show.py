"""How a plan of revocation is shown in the terminal: what changes, what cannot be taken back, who else is hit, what remains."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from countersign.cli import show
from countersign.results import EXIT_ACT, EXIT_FINE, EXIT_PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from countersign.offboarding.certificate import Certified
    from countersign.offboarding.plan import Noted, Plan
    from countersign.offboarding.process import Outcome
    from countersign.programme import Programme
    from countersign.revocation import Change

WIDE = 60
"""Characters of two states that are shown side by side."""
FEW = 12
"""Lines of one kind that are printed before the rest is counted; the plan's file has them all."""


def shown(plan: Plan, *, every: bool = False) -> None:
    """Print a plan for the person who decides; `every`: all steps, however many."""
    asked = plan.asked
    what = {"disable": "switch off what is", "delete": "delete what was switched off of", "restore": "give back what was switched off of"}
    limits = (" in an emergency: only what is reversible" if asked.emergency else "") + (
        f", {len(asked.only)} identities only" if asked.only else ""
    )
    show.out(show.text(f"Plan {plan.id}: {what[asked.phase]} {asked.partner}{limits}", "bold"))
    show.out(show.text(f"Asked by {asked.requested_by} ({asked.trigger}){f': {asked.reason}' if asked.reason else ''}"))
    counts = Counter(step.provider for step in plan.steps)
    final = sum(not step.reversible for step in plan.steps)
    places = ", ".join(f"{count} in {provider}" for provider, count in sorted(counts.items()))
    back = f"{final} of them cannot be taken back" if final else "all can be taken back" if plan.steps else "nothing to do"
    show.out(f"{_count(len(plan.steps), 'change')}{f': {places}' if places else ''}; {back}")
    if plan.steps:
        rows = [
            (number, step.provider, step.scope, step.says, _moves(step), "yes" if step.reversible else "NO")
            for number, step in enumerate(plan.steps if every else plan.steps[:FEW], 1)
        ]
        show.out("", show.table(("#", "provider", "scope", "change", "from -> to", "reversible"), rows, numbers=("#",)))
        if not every and len(plan.steps) > FEW:
            show.out(f"... and {len(plan.steps) - FEW} more (--all)")
    _section("Must be settled before it can be applied", _notes(plan.noted, "stop"))
    _section("Look at these before you decide", _notes(plan.noted, "warning"), every=every)
    _section("What lives on for a while", _residuals(plan), every=every)
    _section("What stops with it", _notes(plan.noted, "note"), every=every)
    _section("Left as it is, as you asked", (f"{uid}: {why}" for uid, why in asked.without), every=every)
    _section("Not decided: whose it is", (f"{left.uid} ({left.name}): {left.why}. {left.advice}" for left in plan.undecided), every=every)
    _section("No change takes these away", (f"{left.uid} ({left.name}): {left.why}. {left.advice}" for left in plan.left), every=every)
    _section(
        "Not read, so nobody knows what is there", (f"{place.provider} {place.scope}: {place.why}" for place in plan.unread), every=every
    )
    show.out("")
    who = ", ".join(plan.approvers) or "nobody"
    count = "two approvers" if plan.needed > 1 else "one approver"
    show.out(show.text(f"It takes {count} of: {who}. It can be begun until {plan.expires:%Y-%m-%d %H:%M} UTC."))
    show.out(f"Digest sha256:{plan.digest()}")


def came(programme: Programme, outcome: Outcome) -> None:
    """Print what came of carrying out a plan."""
    applied = outcome.applied
    rows = [
        (number, done.change.provider, done.change.scope, done.change.says, done.step.state, done.seconds, done.step.why)
        for number, done in enumerate(applied.steps, 1)
    ]
    show.out(show.table(("#", "provider", "scope", "change", "state", "seconds", "why"), rows, numbers=("#", "seconds")))
    counts = ", ".join(f"{count} {state}" for state, count in applied.counts.items())
    show.out("", show.text(f"Plan {applied.plan.id} is {applied.state}: {counts or 'nothing to change'}.", "bold"))
    taken = applied.said()["secondsFromApproval"]
    if taken is not None:
        show.out(f"{_span(taken)} from the approval until the last change was seen.")
    if applied.owed_until is not None:
        show.out(show.text(f"The approval is owed until {applied.owed_until:%Y-%m-%d %H:%M} UTC: have it approved.", "yellow"))
    if applied.left:
        again = f"{show.program()} offboard apply {applied.plan.id} -p {show.path(programme.folder)}"
        show.out(f"{_count(len(applied.left), 'change')} left. Put right what is said above, and go on with:", f"  {again}")
    if outcome.certified is not None:
        certified(outcome.certified)


def certified(made: Certified) -> None:
    """Print what a certificate says: the residual list first, for that is what somebody has to act on."""
    residual = made.said["residual"]
    complete = made.state == "complete"
    show.out("", show.text(f"Certificate: {made.state}", "bold green" if complete else "bold yellow"))
    if residual:
        _section(
            "What is left", (f"{each['what']}{_until(each['until'])}: {each['why']}" for each in residual if each["about"] != "session")
        )
        _section(
            "Lives on by itself for a while", (f"{each['what']}{_until(each['until'])}" for each in residual if each["about"] == "session")
        )
    show.out(f"Page:     {show.path(made.path / 'certificate.html')}", f"Evidence: {show.path(made.path)}, {made.digest}")


def exit_code(made: Certified) -> int:
    """Return the exit code of a certificate: what nobody could look at is another thing than what is left."""
    if made.state == "complete":
        return EXIT_FINE
    return EXIT_PARTIAL if any(not scope["read"] for scope in made.said["scopes"]) else EXIT_ACT


def _until(when: str | None) -> str:
    return "" if when is None else f", until {when[:16].replace('T', ' ')} UTC at most"


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"  # noqa: PLR2004 - two minutes


def _section(title: str, lines: Iterable[str], *, every: bool = False) -> None:
    said = list(lines)
    if not said:
        return
    show.out("", show.text(f"{title}:", "bold"))
    for line in said if every else said[:FEW]:
        show.out(show.text(f"  {line}"))
    if not every and len(said) > FEW:
        show.out(f"  ... and {len(said) - FEW} more (--all)")


def _notes(noted: Iterable[Noted], level: str) -> Iterator[str]:
    """Say each note once, with all that it is about."""
    chosen = sorted((note for note in noted if note.level == level), key=attrgetter("said", "uid"))
    for said, group in groupby(chosen, attrgetter("said")):
        about = list(group)
        names = ", ".join(f"{note.name} ({note.uid})" for note in about[:3])
        yield f"{names}{f' and {len(about) - 3} more' if len(about) > 3 else ''}: {said}"  # noqa: PLR2004 - as many as a line holds


def _moves(step: Change) -> str:
    """Say what of a thing's state changes, and how; a document that changes is only named, since the plan's file has both."""
    said = []
    for name in sorted({*step.before, *step.after}):
        was, becomes = (json.dumps(side.get(name), sort_keys=True) for side in (step.before, step.after))
        if was != becomes:
            said.append(f"{name}: {was} -> {becomes}" if len(was) + len(becomes) <= WIDE else f"{name}: see the plan")
    return "; ".join(said) or "nothing, as it is"


def _residuals(plan: Plan) -> Iterator[str]:
    """Say once what remains possible after changes, with the changes that it is so of."""
    numbers: dict[tuple[str, str], list[str]] = {}
    for number, step in enumerate(plan.steps, 1):
        if step.residual is not None:
            numbers.setdefault((step.provider, step.residual.what), []).append(str(number))
    for (provider, what), found in numbers.items():
        more = f" and {len(found) - FEW} more" if len(found) > FEW else ""
        yield f"{provider}, {'change' if len(found) == 1 else 'changes'} {', '.join(found[:FEW])}{more}: {what}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
