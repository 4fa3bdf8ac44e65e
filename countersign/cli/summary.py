"""What a run came to, for people: what was read, the verdicts, the worst findings, and where the proof is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from countersign import shares
from countersign.cli import look, on_file, show
from countersign.entry import KEYS, public_keys
from countersign.evidence import signer
from countersign.findings_file import NAME as FINDINGS
from countersign.results import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from countersign.programme import Programme
    from countersign.results import Outcome, Rehearsal

WORST = 5
REASONS = 5
"""Reasons for unknown verdicts that a summary names."""
REASON = 100
"""Characters of such a reason; `countersign unknowns` has it whole."""
_FINDINGS = ("open", "new", "reopened", "resolved", "excepted", "unobserved")
_TICKETS = ("created", "updated", "reopened", "closed", "unchanged", "rolled-up", "failed")
_WOULD = {
    "created": "create {}",
    "updated": "update {}",
    "reopened": "reopen {}",
    "closed": "close {}",
    "unchanged": "leave {} unchanged",
    "rolled-up": "roll up {}",
}
_WORDS = {
    "complete": "everything that should be read was read",
    "partial": "some of it could not be read: what is not seen is neither passed nor closed",
    "failed": "nothing could be read, so nothing was judged",
}


def summary(programme: Programme, result: RunResult) -> None:
    """Print the summary of a run on standard output."""
    _read_and_judged(programme, result, f"Run {result.run} of", "were left as they were")
    _worst(programme, result.evidence, result)
    tickets = _counts(result.tickets, _TICKETS)
    if any(result.tickets.values()):
        tickets += f", at the local desk: {show.program()} tickets -p {show.path(programme.folder)}"
    show.out("", f"Findings: {_counts(result.findings, _FINDINGS)}", f"Tickets:  {tickets}")
    for error in result.errors:
        show.out(show.text(f"  not written, the next run tries again: {error}"))
    _plans(programme, result)
    show.out(f"Evidence: {show.path(result.evidence)}", f"Report:   {show.path(result.evidence / 'report.html')}")
    show.out(f"Check it: {verify_command(programme, result)}")


def _plans(programme: Programme, result: RunResult) -> None:
    """Say which plans of revocation were prepared, and which could not be."""
    for each in result.prepared:
        said = f"{each['plan']} ({each['trigger']}, {each['steps']} changes) waits for its approval"
        show.out(show.text(f"Prepared: {said}: {show.program()} approve {each['plan']} -p {show.path(programme.folder)}"))
    for problem in result.not_prepared:
        show.out(show.text(f"Not prepared: {problem}"))


def rehearsed(programme: Programme, result: Rehearsal | RunResult) -> None:
    """Print what a run would come to on standard output; a RunResult where its slot had its run already."""
    show.out(show.text("Dry run: nothing was written.", "bold"))
    if isinstance(result, RunResult):
        summary(programme, result)
        return
    _read_and_judged(programme, result, "A run of", "would be left as they are")
    _worst(programme, result.staged, result)
    would = ", ".join(word.format(result.tickets[name]) for name, word in _WOULD.items() if result.tickets.get(name))
    show.out("", f"Findings: would be {_counts(result.findings, _FINDINGS)}", f"Tickets:  would {would}" if would else "Tickets:  none")


def _read_and_judged(programme: Programme, result: Outcome, what: str, left: str) -> None:
    show.out(show.text(f"{what} {programme.register.customer.name}, as of {show.clean(result.as_of)}", "bold"))
    show.out(Text.assemble("State: ", show.text(result.state), f", {_WORDS[result.state]}."))
    if isinstance(result, RunResult) and result.repeated:
        show.out(show.text(f"Slot {result.slot} had its run already; this is that run's result."))
    if result.guard is not None:
        show.out(show.text(f"Stopped: {result.guard}. The scan looks wrong, so findings and tickets {left}."))
    sources: Any = result.sources
    counts = ("identities", "credentials")
    scopes = tuple(_scopes(programme, sources))
    show.out("", show.table(("source", "scope", "state", *counts), (row[:-1] for row in scopes), numbers=counts))
    for source, scope, state, *_, reason in scopes:
        if reason:
            show.out(show.text(f"{source} {scope}, {state}: {reason}"))
    show.out("", *_verdicts(programme, result.controls))


def verify_command(programme: Programme, result: RunResult) -> str:
    """Return the command that checks the whole chain up to this run."""
    store, head = show.path(programme.evidence.store), result.statement_digest
    keys = " ".join(f"--key {show.path(key)}" for key in public_keys(programme) or (public_key(programme),))
    return f"{show.program()} verify {store} {keys} --expect-head {head}"


def public_key(programme: Programme) -> Path:
    """Return where the public half of the programme's key lies; for a key in a service, where `keys public -o` is told to put it."""
    scheme, _, name = programme.evidence.signer.partition(":")
    return signer.public_path(programme.folder / name) if scheme == "file" else programme.folder / KEYS / "evidence.pub.pem"


def _scopes(programme: Programme, sources: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    order = [source.name for source in programme.sources]
    return [
        (source["name"], scope["scope"], scope["state"], scope["identities"], scope["credentials"], scope["reason"] or "")
        for source in sorted(sources, key=lambda source: order.index(source["name"]) if source["name"] in order else len(order))
        for scope in sorted(source["scopes"], key=lambda scope: str(scope["scope"]))
    ]


def _verdicts(programme: Programme, controls: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Show by family the controls that something is to be said of, the others in a line, and why what is unknown is unknown."""
    names = ("failed", "excepted", "passed of known", "unknown")
    table = show.table(("control", "verdict", *names), (), numbers=names)
    for family, members in shares.by_family([control for control in controls if shares.says_something(control)]):
        table.add_row(show.text(family, "bold"))
        for control in members:
            table.add_row(*map(show.text, _control(control)))
    if table.row_count:
        yield table
    rest = [control for control in controls if not shares.says_something(control)]
    passed = sum(control["population"] > 0 for control in rest)
    whole = f"{passed} {'control' if passed == 1 else 'controls'} passed wholly, with nothing unknown" if passed else ""
    nobody = f"{len(rest) - passed} had no population" if len(rest) > passed else ""
    if rest:
        yield f"{'; '.join(filter(None, (whole, nobody)))}."
    reasons = shares.together(shares.unknowns(controls))
    if reasons:
        yield ""
        yield show.text(f"Unknown: {shares.unknown_in_words(controls)}", "bold")
        for each in reasons[:REASONS]:
            said = show.clean(each.reason)
            yield show.text(f"    {each.in_words()}: {said if len(said) <= REASON else f'{said[:REASON]} ...'}", "default")
        if len(reasons) > REASONS:
            more = len(reasons) - REASONS
            where = f"{show.program()} unknowns -p {show.path(programme.folder)}"
            yield show.text(f"    and {more} more {'reason' if more == 1 else 'reasons'}: {where}", "default")


def _control(control: Mapping[str, Any]) -> tuple[object, ...]:
    unknown, population = control["unknown"], control["population"]
    known = population - unknown
    passed = f"{shares.percent(control['passed'], known)} of {known:,}" if known else None
    least = ">=" if unknown < population and any(why["unit"] == "scope" for why in control["unknown_reasons"]) else ""
    share = f"{least}{shares.percent(unknown, population)}" if unknown else "0%"
    return (control["id"], control["verdict"], control["failed"] or None, control["excepted"] or None, passed, share)


def _worst(programme: Programme, folder: Path, result: Outcome) -> None:
    if result.guard is not None or not (folder / FINDINGS).exists():
        return
    rows = on_file.findings(programme, folder, lambda row: row["state"] == "open")
    if rows:
        show.out("", show.text(f"Worst findings ({min(WORST, len(rows))} of {len(rows)})", "bold"), *look.listing(rows[:WORST]))


def _counts(counts: Mapping[str, int], order: tuple[str, ...]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in order if counts.get(name)) or "none"
