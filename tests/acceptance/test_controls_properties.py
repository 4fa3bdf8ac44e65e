"""What holds of every control whatever the estate: unknown decides nothing, use makes nothing stale, tighter finds no less, names do not count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from controls_estate import AS_OF, SCOPES, Estate
from controls_programme import write
from controls_random import World, blanks, refusals, renamed, used_again, worlds
from controls_verdicts import Verdicts, verdicts
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from countersign import facts
from countersign.expectation import expectations
from countersign.finding import fingerprint
from countersign.identity import Identity
from countersign.inventory import collect, spool
from countersign.judge import judge
from countersign.programme import load
from countersign.register.records import EXPIRY_REQUIRED, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from countersign.programme import Programme
    from countersign.register.records import Register

USE_IS_THE_OFFENCE = {"used-after-end", "human-unattended"}
"""Controls that a use can break: it came after the end, or nobody was at the keyboard."""
ABOUT_THE_POLICIES = {"register-policy"}
"""Controls that judge the limits themselves: a looser one that is made tight enough is no longer found."""
ABOUT_THE_READING = {"source-unobserved"}
"""Controls that a refusal breaks: it is what they find."""
NAMED_BY_THEIR_NAME = {"source-unobserved"}
"""A source has no other id than its name in countersign.yaml, so another name is another source."""

few = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an estate takes a second: making it small would take minutes
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A programme, and a folder for what is judged under it."""

    programme: Programme
    folder: Path
    numbers: Iterator[int]

    def judged(self, world: World, programme: Programme | None = None, sources: dict[str, str] | None = None) -> dict[str, Verdicts]:
        """Take an estate all the way from spool to verdicts."""
        held = programme or self.programme
        night = self.folder / str(next(self.numbers))
        readings = [
            spool(
                records,
                replace(SCOPES[scope], source=(sources or {}).get(SCOPES[scope].source, SCOPES[scope].source)),
                night / "work",
                night / "seen",
            )
            for scope, records in world.by_scope(sources).items()
        ]
        settled = collect(readings, night / "work", night / "inventory")
        tables = (
            *facts.register_tables(held, AS_OF),
            *facts.governance_tables(held, AS_OF, runs=(), tickets=(), readings=settled, last=None),
        )
        facts.build(night / "facts.duckdb", night / "inventory", tables, settled)
        return verdicts(night / "facts.duckdb")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("properties")
    return Bench(load(write(folder / "programme", Estate().build().subjects)), folder, count())


Change = tuple[str, str, str, str]


def told(changes: Iterable[Change], *seen: World) -> str:
    """Say what changed, with the records of the first that did."""
    found = list(changes)
    return "\n".join([*map(str, found), *(world.about({subject for _, subject, *_ in found[:1]}) for world in seen)])


def changed(before: dict[str, Verdicts], after: dict[str, Verdicts]) -> Iterator[Change]:
    """Yield (control, subject, verdict before, verdict after) where they differ."""
    for control, mine in before.items():
        other = after[control]
        everybody = mine.passed | mine.failed | set(mine.unknown) | other.passed | other.failed | set(other.unknown)
        for subject in sorted(everybody):
            was, now = mine.of(subject), other.of(subject)
            if was != now:
                yield control, subject, was, now


@few
@given(data=st.data())
def test_what_nobody_could_read_turns_no_verdict_but_to_unknown(bench: Bench, data: st.DataObject) -> None:
    world = data.draw(worlds())
    dim = data.draw(blanks(world))
    turned = [
        change
        for change in changed(bench.judged(world), bench.judged(dim))
        if change[3] != "unknown" and change[2:] != ("unknown", "outside")
    ]
    assert [] == turned, told(turned, world, dim)


@few
@given(data=st.data())
def test_a_listing_that_was_refused_turns_no_verdict_but_to_unknown(bench: Bench, data: st.DataObject) -> None:
    world = data.draw(worlds())
    dim = data.draw(refusals(world))
    lost = {getattr(record, "uid", None) for record in world.records if record not in dim.records}
    turned = [
        change
        for change in changed(bench.judged(world), bench.judged(dim))
        if change[0] not in ABOUT_THE_READING and change[1] not in lost and change[3] != "unknown" and change[2:] != ("unknown", "outside")
    ]
    assert [] == turned, told(turned, world, dim)


@few
@given(data=st.data())
def test_a_more_recent_use_makes_nothing_more_stale(bench: Bench, data: st.DataObject) -> None:
    world = data.draw(worlds())
    busier = data.draw(used_again(world))
    worse = [
        change
        for change in changed(bench.judged(world), bench.judged(busier))
        if change[0] not in USE_IS_THE_OFFENCE and change[2:] not in {("failed", "passed"), ("failed", "unknown"), ("unknown", "passed")}
    ]
    assert [] == worse, told(worse, world, busier)


def tighter(policy: Policy, draw: Any) -> Policy:
    """Draw the same limits where some are shorter, or are there at all."""

    def shorter(span: timedelta | None) -> timedelta | None:
        if not draw(st.booleans()):
            return span
        return timedelta(days=draw(st.integers(0, 60))) if span is None else span * draw(st.sampled_from([0.0, 0.3, 0.9]))

    def each_shorter(spans: dict[str, timedelta], kinds: tuple[str, ...]) -> dict[str, timedelta]:
        found = {kind: shorter(spans.get(kind)) for kind in (*spans, *kinds)}
        return {kind: span for kind, span in found.items() if span is not None}

    values: dict[str, Any] = {
        name: shorter(getattr(policy, name)) for name in ("max_idle", "max_ttl", "overlap", "review_every", "grace")
    } | {
        "rotate_within": each_shorter(policy.rotate_within, ("entra_certificate", "vault_secret_id", "password")),
        "max_lifetime": each_shorter(policy.max_lifetime, ("entra_certificate",)),
        "mfa": draw(st.sampled_from([policy.mfa, "required"])),
    }  # fmt: skip
    if draw(st.booleans()):
        values["expiry_required"] = (*(EXPIRY_REQUIRED if policy.expiry_required is None else policy.expiry_required), "password")
    changes = {name: value for name, value in values.items() if value != getattr(policy, name)}
    return policy.model_copy(update=changes)


def tightened(register: Register, draw: Any) -> Register:
    """Draw the same register with tighter limits: the customer's, an environment's, a partner's, a workload's, those of exceptions."""

    def both(overrides: Any) -> Any:
        return overrides.model_copy(
            update={
                track: tighter(held, draw)
                for track in ("human", "machine")
                if (held := getattr(overrides, track)) is not None and draw(st.booleans())
            }
        )

    environments = {name: both(entry) for name, entry in register.policies.environments.items()}
    span = timedelta(days=draw(st.sampled_from([180, 60, 10])))
    return register.model_copy(
        update={
            "exception_limits": register.exception_limits.model_copy(update={"max_span": span, "max_renewals": draw(st.integers(0, 2))}),
            "policies": both(register.policies).model_copy(update={"environments": environments}),
            "partners": {name: entry.model_copy(update={"policies": both(entry.policies)}) for name, entry in register.partners.items()},
            "workloads": {name: entry.model_copy(update={"policies": both(entry.policies)}) for name, entry in register.workloads.items()},
        }
    )


@few
@given(data=st.data())
def test_a_tighter_policy_removes_no_finding(bench: Bench, data: st.DataObject) -> None:
    world = data.draw(worlds())
    register = tightened(bench.programme.register, data.draw)
    loose, tight = bench.judged(world), bench.judged(world, replace(bench.programme, register=register))
    gone = [change for change in changed(loose, tight) if change[2] == "failed" and change[0] not in ABOUT_THE_POLICIES]
    assert [] == gone, told(gone, world)


def by_id(register: Register, world: World) -> Register:
    """Name in the register by immutable ids whoever it names by name."""
    held = [record for record in world.records if isinstance(record, Identity)]

    def ids(patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            one.uid for one in held if any(fnmatchcase(f"{one.provider}:{one.scope}:{one.kind}/{one.name}", each) for each in patterns)
        )

    return register.model_copy(
        update={
            "workloads": {
                name: entry.model_copy(update={"identities": ids(entry.identities)}) for name, entry in register.workloads.items()
            },
            "incidents": {
                name: entry.model_copy(update={"identities": ids(entry.identities)}) for name, entry in register.incidents.items()
            },
        }
    )


@few
@given(world=worlds())
def test_other_names_change_no_fingerprint(bench: Bench, world: World) -> None:
    programme = replace(bench.programme, register=by_id(bench.programme.register, world))
    names = {
        source.name: f"new-{source.name}" for source in programme.sources if source.provider != "vault"
    }  # a Vault's scope is its source
    sources = tuple(source.model_copy(update={"name": names.get(source.name, source.name)}) for source in programme.sources)
    before, after = bench.judged(world, programme), bench.judged(renamed(world), replace(programme, sources=sources), names)
    moved = [change for change in changed(before, after) if change[0] not in NAMED_BY_THEIR_NAME]
    assert [] == moved, told(moved, world)


@settings(few, max_examples=1)
@given(world=worlds(least=20))
def test_the_judge_says_the_same(bench: Bench, world: World) -> None:
    """The properties above read the verdicts as the records name them; Great Expectations and the engine come to the same."""
    found = bench.judged(world)
    night = max((folder for folder in bench.folder.iterdir() if folder.name.isdigit()), key=lambda folder: int(folder.name))
    judged = judge(night / "facts.duckdb", expectations(), ())
    assert {name: (len(mine.passed), len(mine.failed), len(mine.unknown)) for name, mine in found.items()} == {
        result.id: (result.passed, result.failed + result.excepted, result.unknown) for result in judged.results
    }
    with facts.opened(night / "facts.duckdb") as db:
        rows = db.execute("SELECT control, subject, fingerprint FROM failures").fetchall()
    assert {fingerprint(control, subject) for control, subject, _ in rows} == {print_ for *_, print_ in rows}
