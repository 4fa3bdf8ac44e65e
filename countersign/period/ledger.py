"""Rows that the statements of a period say by themselves: runs, nights, sources, operations and results; and what came of tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from countersign.errors import EvidenceError
from countersign.period import lens as one_partner
from countersign.period import reach
from countersign.period.members import FAILED, moment
from countersign.period.nights import Entry, Scope
from countersign.verdicts import EXCEPTED, FAIL, PASS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.period.lens import Lens
    from countersign.period.members import Member

Row = dict[str, object]
RESULTS, TICKETS, PLAN, SUITE = "results.json", "tickets.json", "plan.json", "expectations/suite.json"
_PASSED_OVER = "a live source reads this scope; the export was passed over"


def runs(members: Sequence[Member], lens: Lens | None) -> Iterator[Row]:
    """Yield the table `runs`."""
    for member in members:
        said = member.predicate
        code = said.get("code") or {}
        limited = [str(name) for name in said.get("limitedTo") or ()]
        error, guard = said.get("error"), member.guard
        if lens is not None:
            own = {source["source"] for source in said.get("sources") or () if (source["provider"], source["scope"]) in lens.scopes}
            limited = [name if name in own else one_partner.WITHHELD for name in limited]
            error, guard = (None if text is None else one_partner.WITHHELD for text in (error, guard))
        yield {
            "sequence": member.sequence, "run": member.said.run, "kind": member.kind, "slot": said.get("slot"),
            "state": _state(member), "as_of": member.as_of, "started": moment(said.get("started")), "finished": member.finished,
            "statement_digest": member.said.digest, "keyid": member.keyid, "judged": member.is_judged, "error": error, "guard": guard,
            "limited_to": limited, "resumed": len(said.get("resumed") or ()), "code_version": code.get("version"),
            "code_commit": code.get("commit"), "register_digest": said.get("registerDigest"),
            "configuration_digest": said.get("configurationDigest"),
            "runner": None if lens is not None else (said.get("actors") or {}).get("runner"), "timestamped_at": member.timestamped_at(),
        }  # fmt: skip


def entries(members: Sequence[Member], lens: Lens | None) -> Iterator[Entry]:
    """Yield what the nights follow from. For one partner, a night is as whole as the reading of the scopes that held what is theirs."""
    for member in members:
        if member.kind == FAILED:
            error = str(member.predicate.get("error")) if lens is None else one_partner.WITHHELD
            yield Entry(member.sequence, member.said.run, member.day, judged=False, state="failed", error=error)
        elif member.is_judged:
            unread = tuple(_unread(member, lens))
            state, guard = _state(member) or "failed", member.guard
            if lens is not None:
                state, guard = _state_for(state, unread), None if guard is None else "the run guard stopped it"
            limited = () if lens is not None else tuple(str(name) for name in member.predicate.get("limitedTo") or ())
            yield Entry(
                member.sequence, member.said.run, member.day, judged=True, state=state, guard=guard, limited_to=limited, unread=unread
            )


def sources(members: Sequence[Member], before: Iterable[reach.Place], lens: Lens | None) -> Iterator[Row]:
    """Yield the table `sources`; of one partner, without counts, which tell of others. `before`: as reach.lost has it."""
    lost = reach.lost(members, before)
    for member in members:
        for each in lost[member.sequence]:
            if lens is None or lens.expects((each.provider, each.scope), member.sequence):
                yield {
                    "sequence": member.sequence, "as_of": member.as_of, "source": each.source, "provider": each.provider,
                    "scope": each.scope, "state": each.state, "passed_over": False,
                    "reason": each.reason if lens is None else reach.NOTHING,
                }  # fmt: skip
        for source in _sources(member, lens):
            kept = source["kept"] if lens is None else {}
            yield _place(member, source) | {
                "state": source["state"], "caller": source["caller"], "passed_over": source["passedOver"],
                "identities": kept.get("identities"), "credentials": kept.get("credentials"), "reason": _reason(source),
            }  # fmt: skip


def operations(members: Sequence[Member], lens: Lens | None) -> Iterator[Row]:
    """Yield the table `operations`; of one partner, without counts, which tell of others."""
    for member in members:
        for source in _sources(member, lens):
            for row in source["operations"]:
                again, dropped = row["independentCount"], row["dropped"]
                counts: Row = {
                    "pages": row["pages"], "returned": row["returned"], "dropped": sum(dropped.values()), "independent_count": again,
                    "dropped_why": "; ".join(f"{why}: {count}" for why, count in sorted(dropped.items())) or None,
                }  # fmt: skip
                yield _place(member, source) | (counts if lens is None else {}) | {
                    "operation": row["operation"], "state": row["state"], "agrees": None if again is None else again == row["returned"],
                    "error": row["error"], "started": moment(row["started"]), "finished": moment(row["finished"]),
                }  # fmt: skip


def results(members: Sequence[Member]) -> Iterator[Row]:
    """Yield the table `results` as the statements have it."""
    for member in members:
        unread = _unread_scopes(member, None)
        for row in member.predicate["results"]:
            yield {
                "sequence": member.sequence, "as_of": member.as_of, "control": row["control"], "verdict": row["verdict"],
                "population": row["population"], "passed": row["passed"], "failed": row["failed"], "excepted": row["excepted"],
                "unknown": row["unknown"], "unknown_scopes": None if unread is None else unread.get(row["control"], 0),
            }  # fmt: skip


def results_for(members: Sequence[Member], lens: Lens, counted: Mapping[tuple[int, str], Mapping[str, int]]) -> Iterator[Row]:
    """Yield the table `results` of one partner: counted again from verdicts, with the unread scopes that held what is theirs.

    A control that judged nothing of theirs on a night, and that no such scope hides anything from, has no row.
    """
    for member in members:
        unread = _unread_scopes(member, lens) or {}
        for control in sorted({row["control"] for row in member.predicate["results"]}):
            counts, hidden = counted.get((member.sequence, control)), unread.get(control, 0)
            if counts is None or sum(counts.values()) + hidden == 0:
                continue
            unknown = counts[UNKNOWN] + hidden
            verdict = "fail" if counts[FAIL] else "unknown" if unknown else "pass"
            yield {
                "sequence": member.sequence, "as_of": member.as_of, "control": control, "verdict": verdict,
                "population": sum(counts.values()) + hidden, "passed": counts[PASS], "failed": counts[FAIL], "excepted": counts[EXCEPTED],
                "unknown": unknown, "unknown_scopes": hidden,
            }  # fmt: skip


def controls(member: Member) -> dict[str, Row]:
    """Return title, severity and framework ids of each control, as a run's own suite has them, or its results where it has no suite."""
    held: dict[str, Row] = {}
    for said in (document(member, RESULTS) or {}).get("controls", ()):
        held[said["id"]] = {"title": said["title"], "severity": said["severity"], "maps_to": []}
    for check in (document(member, SUITE) or {}).get("expectations", ()):
        meta = check["meta"]
        held[meta["control"]] = {"title": meta["title"], "severity": meta["severity"], "maps_to": meta["maps_to"]}
    return held


def receipts(members: Sequence[Member]) -> Iterator[Row]:
    """Yield what each run did about each ticket."""
    for member in members:
        for row in document(member, TICKETS) or ():
            yield {"sequence": member.sequence, "key": row["key"], "ticket": row["ticket"], "action": row["action"]}


def plans(members: Sequence[Member]) -> Iterator[Row]:
    """Yield whose each ticket was, by the plan of each run."""
    for member in members:
        for row in (document(member, PLAN) or {}).get("tickets", ()):
            yield {"sequence": member.sequence, "key": row["key"], "control": row["control"], "partner": row["partner"]}


def drills(members: Sequence[Member], lens: Lens | None) -> Iterator[Row]:
    """Yield the table `drills`."""
    for member in members:
        if member.kind.startswith("drill-"):
            # Of a drill that waited for its approval in between, the entry's own times tell only how long the last part took.
            findings, seconds = member.predicate.get("findings"), member.predicate.get("seconds")
            yield {
                "sequence": member.sequence, "as_of": member.as_of, "path": member.kind.removeprefix("drill-"), "state": _state(member),
                "seconds": seconds if isinstance(seconds, int) else None,
                "findings": findings if isinstance(findings, int) and lens is None else None,
            }  # fmt: skip


def document(member: Member, name: str) -> Any:  # noqa: ANN401 - JSON of one of our own files
    """Return what a JSON file of a run says; None where the run has none. Raises EvidenceError where it is broken."""
    path = member.file(name)
    if path is None:
        return None
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EvidenceError(
            f"{member.folder.name}/{name} cannot be read: {error}", fix="countersign verify shows what was changed"
        ) from error


def read_wholly(members: Sequence[Member]) -> dict[int, frozenset[tuple[str, str]]]:
    """Return for each run the (provider, scope) that it read whole."""
    return {
        member.sequence: frozenset(place for place, states in _states(member).items() if set(states) == {"complete"}) for member in members
    }


def _state(member: Member) -> str | None:
    state = member.predicate.get("state")
    return None if state is None else str(state)


def _sources(member: Member, lens: Lens | None) -> Iterator[dict[str, Any]]:
    for source in member.predicate.get("sources") or ():
        if lens is None:
            yield source
        elif (source["provider"], source["scope"]) in lens.scopes:
            yield source | {"operations": one_partner.operations(source)}


def _place(member: Member, source: Mapping[str, Any]) -> Row:
    where = {"source": source["source"], "provider": source["provider"], "scope": source["scope"]}
    return {"sequence": member.sequence, "as_of": member.as_of, **where}


def _reason(source: Mapping[str, Any]) -> str | None:
    if source["passedOver"]:
        return _PASSED_OVER
    said = (f"{row['operation']}: {row['error'] or row['state']}" for row in source["operations"] if row["state"] != "complete")
    return "; ".join(said) or None


def _states(member: Member) -> dict[tuple[str, str], list[str]]:
    """Return the states of each scope, one for each source that read it."""
    found: dict[tuple[str, str], list[str]] = {}
    for source in member.predicate.get("sources") or ():
        if not source["passedOver"]:
            found.setdefault((source["provider"], source["scope"]), []).append(source["state"])
    return found


def _unread(member: Member, lens: Lens | None) -> Iterator[Scope]:
    met = set()
    for source in _sources(member, lens):
        place = (source["provider"], source["scope"])
        if not source["passedOver"]:
            met.add(place)
            if source["state"] != "complete":
                yield Scope(" ".join(place), source["state"], _reason(source))
    for place in () if lens is None else sorted(lens.scopes):
        if place not in met and lens is not None and lens.expects(place, member.sequence):
            yield Scope(" ".join(place), "failed", "it was not among the scopes that were read")


def _state_for(state: str, unread: Sequence[Scope]) -> str:
    """Return how a run went for one partner, whose scopes may be whole on a night on which others' were not."""
    if state == "failed":
        return "failed"
    return "partial" if unread else "complete"


def _unread_scopes(member: Member, lens: Lens | None) -> dict[str, int] | None:
    """Count for each control the scopes that were not read and may hide some of its population; None: the run does not say."""
    said = document(member, RESULTS)
    if said is None:
        return None
    found: dict[str, int] = {}
    for control in said["controls"]:
        for why in control["unknown_reasons"]:
            if why.get("unit") != "scope":
                continue
            places = why.get("places") or ()
            mine = why["count"] if lens is None else sum(p["count"] for p in places if (p["provider"], p["scope"]) in lens.scopes)
            found[control["id"]] = found.get(control["id"], 0) + mine
    return found


def ended(members: Sequence[Member], first_day: datetime) -> datetime:
    """Return the moment to which what stands is counted: the period's last entry, or the beginning of its last day where that is later.

    So nothing is counted beyond what is on file, but for nights at the end on which nobody looked.
    """
    return max(first_day, *(member.at for member in members))
