"""`countersign runs`: the runs on file, and `runs diff`: what differs between two of them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE, EXIT_PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from rich.console import RenderableType

    from countersign.cli.on_file import Ran
    from countersign.run_difference import Change, Difference, FactChange, Sealed, Told

FEW = 10
"""Rows of one outcome that people are shown; `--json` has all."""
FACTS = 5
"""Facts of one row that people are shown."""
_ORDER = ("new", "reopened", "exception-ended", "excepted", "changed", "gone", "resolved", "unobserved")
_COLUMNS = {
    "new": ("new", "reopened"),
    "changed": ("changed", "excepted", "exception-ended"),
    "gone": ("gone", "resolved"),
    "unobserved": ("unobserved",),
}
"""Column of the table of counts to the outcomes that it counts."""


class Kind(StrEnum):
    """What can be compared."""

    ALL = "all"
    FINDINGS = "findings"
    IDENTITIES = "identities"
    CREDENTIALS = "credentials"
    GRANTS = "grants"
    TRUSTS = "trusts"
    REGISTER = "register"


def runs(context: typer.Context, *, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """List the runs, latest first, also those that failed or were interrupted; `diff` says what differs between two.

    The column `unknown` is the share of all verdicts that is unknown.
    """
    from countersign.cli import on_file
    from countersign.cli.run import UsageError
    from countersign.programme import load

    if context.invoked_subcommand is not None:
        if programme != HERE or as_json:
            raise UsageError("options of `runs diff` stand after `diff`", fix="countersign runs diff [BEFORE] [AFTER] -p DIR --json")
        return EXIT_FINE
    every = on_file.runs(load(programme))
    if as_json:
        show.document([on_file.run_json(ran) for ran in every])
    elif not every:
        show.out(f"There is no run on file yet. Start one: {show.program()} reconcile -p {show.path(programme)}")
    else:
        columns = ("run", "as of", "state", "new", "open", "unknown", "evidence", "")
        show.out(show.table(columns, map(_run_row, every), numbers=("new", "open", "unknown")))
    return EXIT_FINE


def diff(  # noqa: PLR0913 - one parameter for each option
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A run's id, its folder of evidence, latest, or previous.")] = "previous",
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same; the two are put in the order of their sealing.")] = "latest",
    *,
    kind: Annotated[Kind, typer.Option(help="Compare this only.")] = Kind.ALL,
    partner: Annotated[str | None, typer.Option(metavar="ID", help="Only what was or is attributed to this partner.")] = None,
    all_facts: Annotated[
        bool, typer.Option("--all-facts", help="Show what moves by itself too: ages, times of observation, the next use of what is in use.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Say what differs between two runs: new, changed, gone, and what one of them did not look at; each fact with who said it.

    Only from the sealed evidence, and only from files that are as their signed statement lists them; the state database is not needed.
    Gone is only what the later run would have seen: its scope was read and the listing of its kind is complete. All else that is missing
    is unobserved, with the operation that was missing.

    Exit code 0: nothing differs; 1: something does; 3: one of the runs did not look at something that the other saw, whatever else differs.
    """
    from countersign.entry import open_store, public_keys
    from countersign.programme import load
    from countersign.run_difference import KINDS, compared, pair

    loaded = load(programme)
    store = open_store(loaded)
    store.head()
    earlier, later = pair(store.folder, before, after, public_keys(loaded))
    for sealed in (earlier, later):
        store.fetch(int(sealed.name))
    kinds = KINDS if kind is Kind.ALL else (kind.value,)
    with compared(earlier, later, kinds=kinds, partner=partner, all_facts=all_facts) as difference:
        if as_json:
            show.document_of(_head(difference), "changes", map(_change_json, difference.rows()))
        else:
            _tell(difference, partner)
        if difference.unobserved:
            return EXIT_PARTIAL
        return EXIT_ACT if difference.differs else EXIT_FINE


def _run_row(ran: "Ran") -> tuple[object, ...]:
    from countersign.shares import percent

    counts = ran.findings or {}
    note = f"stopped by the guard: {ran.guard}" if ran.guard else ran.error or ""
    unknown = None if ran.judged is None or not ran.judged[1] else percent(*ran.judged)
    return (ran.run.run, ran.run.as_of, ran.state, counts.get("new"), counts.get("open"), unknown, ran.run.evidence, note)


def _tell(difference: "Difference", partner: str | None) -> None:
    from countersign.run_difference import KINDS

    before, after = difference.before, difference.after
    show.out(show.text("What differs" + (f" of partner {partner}" if partner else ""), "bold"))
    for word, run in (("from", before), ("to", after)):
        show.out(show.text(f"  {word:<4}  run {run.said.run} ({run.name}), as of {show.clean(_as_of(run))}{_notes(run)}"))
    show.out(*map(show.text, _standing_of_the_evidence(before, after)))
    counts = [
        (kind, *(sum(difference.counts[kind].get(what, 0) for what in whats) or None for whats in _COLUMNS.values()))
        for kind in KINDS if kind in difference.counts
    ]  # fmt: skip
    show.out("", show.table(("", *_COLUMNS), counts, numbers=tuple(_COLUMNS)))
    for kind in KINDS:
        for what in _ORDER:
            count = difference.counts.get(kind, {}).get(what, 0)
            if count:
                show.out("", show.text(f"{kind}: {count:,} {_words(what)}", "bold"))
                show.out(*(_unseen(difference, kind) if what == "unobserved" else _some(difference, kind, what, count)))
    if not difference.differs:
        more = ", as far as both runs looked" if difference.unobserved else ""
        show.out("", f"Nothing differs{more}.")


def _words(what: str) -> str:
    return {"unobserved": "not looked at by one of the two", "exception-ended": "no longer excepted"}.get(what, what)


def _notes(run: "Sealed") -> str:
    said = run.predicate
    notes = [
        str(said["state"]) if said["state"] != "complete" else None,
        f"limited to {', '.join(run.limited_to)}" if run.limited_to else None,
        f"stopped by the guard, its findings were not taken over: {said['guard']}" if said.get("guard") else None,
    ]
    return "".join(f"; {note}" for note in notes if note)


def _standing_of_the_evidence(before: "Sealed", after: "Sealed") -> "Iterator[str]":
    doubts = [f"{run.name}: {run.unverified}" for run in (before, after) if run.unverified is not None]
    if doubts:
        yield f"  not verified, although the files are those that the statements list: {'; '.join(doubts)}"
    else:
        yield "  verified: the files that were read are those that the statements list, signed with the programme's key"
    for name, word in (("registerDigest", "register"), ("configurationDigest", "configuration"), ("code", "program")):
        if before.predicate[name] != after.predicate[name]:
            yield f"  the {word} is not the same in both"


def _some(difference: "Difference", kind: str, what: str, count: int) -> "Iterator[RenderableType]":
    if what == "changed" and count > FEW:
        yield show.text(f"  {', '.join(f'{fact} {many:,}' for fact, many in difference.facts_of(kind))}")
    for change in difference.rows(kind, what, FEW):
        yield from _block(change)
    if count > FEW:
        yield show.text(f"  and {count - FEW:,} more; --json has all", "dim")


def _block(change: "Change") -> "Iterator[RenderableType]":
    place = "" if change.scope is None else f" ({change.subject_kind}, {change.provider} {change.scope})"
    name = show.text(change.name or change.subject, "default").append_text(show.text(place, "dim"))
    if change.severity is not None:
        name = show.text(change.severity).append_text(show.text(f"  {change.control}  ", "bold")).append_text(name)
    yield Text("  ").append_text(name)
    if change.kind == "findings" and change.what not in ("changed", "excepted", "exception-ended"):
        yield show.text(f"      {change.reason}")
    for fact in change.facts[:FACTS]:
        yield show.text(f"      {_fact(fact)}{_by(fact.told)}")
    if len(change.facts) > FACTS:
        yield show.text(f"      and {len(change.facts) - FACTS} more facts", "dim")
    for words in change.behind:
        yield show.text(f"      because: {words}", "dim")
    if change.what in ("new", "gone") and change.kind not in ("findings", "register"):
        listed = "seen by" if change.what == "new" else "no longer in"
        yield show.text(
            f"      {listed} {change.told.call}, {show.clean(change.told.at)}" if change.told else "      its scope was read", "dim"
        )


def _unseen(difference: "Difference", kind: str) -> "Iterator[RenderableType]":
    groups = difference.unseen(kind)
    for group in groups[:FEW]:
        kinds = ", ".join(f"{count:,} {name or kind}" for name, count in group.kinds)
        yield show.text(f"  {group.provider} {group.scope}, in {group.run.name}: {group.why}", "default")
        yield show.text(f"      {kinds}", "dim")
    if len(groups) > FEW:
        rest = sum(group.count for group in groups[FEW:])
        yield show.text(f"  and {rest:,} more in {len(groups) - FEW:,} places; --json has all", "dim")


def _fact(fact: "FactChange") -> str:
    from countersign.run_difference import said

    before = fact.before if fact.why_before is None else f"not known ({fact.why_before})"
    after = fact.after if fact.why_after is None else f"not known ({fact.why_after})"
    return said(fact.fact, before, after)


def _by(told: "Told | None") -> str:
    return "" if told is None else f"  [{told.call}, {show.clean(told.at)}]"


def _as_of(run: "Sealed") -> "datetime":
    from countersign.clock import instant

    return instant(run.predicate["asOf"])


def _head(difference: "Difference") -> "dict[str, object]":
    before, after = difference.before, difference.after
    return {
        "before": _run_json(before),
        "after": _run_json(after),
        "same_register": before.predicate["registerDigest"] == after.predicate["registerDigest"],
        "same_configuration": before.predicate["configurationDigest"] == after.predicate["configurationDigest"],
        "same_program": before.predicate["code"] == after.predicate["code"],
        "counts": difference.counts,
    }


def _run_json(run: "Sealed") -> "dict[str, object]":
    said = run.predicate
    return {
        "run": run.said.run,
        "as_of": said["asOf"],
        "state": said["state"],
        "guard": said.get("guard"),
        "limited_to": list(run.limited_to),
        "evidence": run.folder,
        "statement_digest": run.said.digest,
        "verified": run.unverified is None,
        "not_verified_because": run.unverified,
    }


def _change_json(change: "Change") -> "dict[str, object]":
    return {
        "kind": change.kind,
        "what": change.what,
        "subject": change.subject,
        "subject_kind": change.subject_kind,
        "name": change.name,
        "provider": change.provider,
        "scope": change.scope,
        "control": change.control,
        "severity": change.severity,
        "reason": change.reason,
        "not_looked": change.not_looked,
        "facts": [
            {
                "fact": fact.fact,
                "before": fact.before,
                "after": fact.after,
                "unknown_before": fact.why_before,
                "unknown_after": fact.why_after,
                "source": _told_json(fact.told),
            }
            for fact in change.facts
        ],
        "behind": list(change.behind),
        "source": _told_json(change.told),
    }


def _told_json(told: "Told | None") -> "Mapping[str, object] | None":
    return None if told is None else {"call": told.call, "at": told.at}
