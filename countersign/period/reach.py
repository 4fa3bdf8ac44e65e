"""Scopes that a run should have read and had nothing of: an earlier one had read them, and their source was still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from countersign.period.members import Member

Place = tuple[str, str]
NOTHING = "this run had nothing of it"
_READ = frozenset({"complete", "partial"})
_FILES = "files"


@dataclass(frozen=True, slots=True)
class Lost:
    """One scope of which a run had nothing."""

    source: str
    provider: str
    scope: str
    state: Literal["not read", "not configured"]
    reason: str


@dataclass(frozen=True, slots=True)
class _Last:
    """How a scope was read last: by which source (None: before the period, so nobody knows), under which configuration."""

    source: str | None
    configuration: object


def lost(members: Sequence[Member], before: Iterable[Place]) -> dict[int, tuple[Lost, ...]]:
    """Return what each judged run had nothing of, by sequence. `before`: (provider, scope) that the run before the period read wholly.

    A run that was limited to some sources is held to these. A scope whose source went with a change of the configuration is told
    once, as `not configured`.
    """
    known: dict[Place, _Last] = dict.fromkeys(before, _Last(None, None))
    found: dict[int, tuple[Lost, ...]] = {}
    for member in members:
        said = [source for source in member.predicate.get("sources") or () if not source["passedOver"]]
        met = {(source["provider"], source["scope"]) for source in member.predicate.get("sources") or ()}
        missing = tuple(_missing(member, said, {place: last for place, last in known.items() if place not in met}))
        found[member.sequence] = missing
        for each in missing:
            if each.state == "not configured":
                del known[each.provider, each.scope]
        configuration = member.predicate.get("configurationDigest")
        for source in said:
            if source["state"] in _READ:
                known[source["provider"], source["scope"]] = _Last(source["source"], configuration)
    return found


def _missing(member: Member, said: Sequence[Mapping[str, Any]], gone: Mapping[Place, _Last]) -> Iterator[Lost]:
    limited = frozenset(str(name) for name in member.predicate.get("limitedTo") or ())
    names = {source["source"] for source in said}
    for (provider, scope), last in sorted(gone.items()):
        changed = last.configuration is not None and member.predicate.get("configurationDigest") != last.configuration
        source = last.source or _likely(said, provider)
        if source is None or (limited and source not in limited):
            continue
        if source not in names and changed:
            yield Lost(source, provider, scope, "not configured", "the configuration has changed, and this run had no source of that name")
            continue
        broken = [each for each in said if each["source"] == source and each["state"] != "complete"]
        yield Lost(source, provider, scope, "not read", _why(broken, changed=changed))


def _likely(said: Sequence[Mapping[str, Any]], provider: str) -> str | None:
    """Return the source that may have held a scope and was not read whole; None: there is none, so nothing is said."""
    broken = (each["source"] for each in said if each["state"] != "complete" and each["provider"] in (_FILES, provider))
    return min(broken, default=None)


def _why(broken: Sequence[Mapping[str, Any]], *, changed: bool) -> str:
    # What came of a folder explains most; other scopes of the source say at least that something was wrong with it.
    for each in sorted(broken, key=lambda each: (each["provider"] != _FILES, each["provider"], each["scope"])):
        why = next(
            (f": {row['operation']}: {row['error']}" for row in each["operations"] if row["state"] != "complete" and row["error"]), ""
        )
        return f"{NOTHING}; of the same source, {each['provider']} {each['scope']} {each['state']}{why}"
    return f"{NOTHING}; the configuration has changed since it was last read" if changed else f"{NOTHING}, and nothing on file says why"
