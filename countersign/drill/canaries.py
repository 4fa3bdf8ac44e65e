"""Canaries in the scopes set aside: made, tried with their own secrets, looked for by every control that they have to fail, removed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from countersign.canary import PARTNER, planter
from countersign.drill.record import Canary, Record, keep
from countersign.drill.scopes import DrillFailedError
from countersign.inventory import sql_text
from countersign.offboarding.plan import Asked
from countersign.offboarding.planning import make
from countersign.offboarding.stepping import Hands, attempt
from countersign.rehearsal import rehearse
from countersign.results import Rehearsal
from countersign.state import State
from countersign.verdicts import EXCEPTED, FAIL, NAME, column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from countersign.drill.scopes import Place
    from countersign.finding import Known
    from countersign.offboarding.verifying import Attempt
    from countersign.programme import Programme
    from countersign.results import Tell

PAUSES = (5.0, 10.0, 20.0, 40.0)
"""Seconds between two looks for what a provider takes time to show, or to end."""
NOT_JUDGED = "not judged"
FOUND = frozenset({FAIL, EXCEPTED})
"""Verdicts of a control that was not blind."""


def plant(
    programme: Programme, record: Record, places: Sequence[Place], *, clock: Callable[[], datetime], tell: Tell
) -> tuple[Record, dict[str, str]]:
    """Make the canaries of a drill, each on record as soon as it is there; returns the record and the secrets by credential's uid.

    Raises CanaryError.
    """
    secrets: dict[str, str] = {}
    for place in places:
        source, scope = place.source, place.scope
        tell(f"making canaries in {source.provider} {scope.name}")
        with planter(source.provider, source, scope, now=clock) as made:
            for each in made.plant(record.drill):
                canary = Canary(
                    provider=source.provider, source=source.name, scope=scope.name, uid=each.uid, name=each.name, breaks=each.breaks,
                    credential=each.credential,
                )  # fmt: skip
                record = keep(programme, replace(record, canaries=(*record.canaries, canary)))
                if each.credential is not None and each.secret is not None:
                    secrets[each.credential] = each.secret
    return record, secrets


def remove(places: Iterable[Place], *, clock: Callable[[], datetime], tell: Tell) -> tuple[str, ...]:
    """Remove all that bears the drill's name in these scopes, whichever drill made it; returns the names. Raises CanaryError."""
    found: list[str] = []
    for place in places:
        tell(f"removing canaries in {place.source.provider} {place.scope.name}")
        with planter(place.source.provider, place.source, place.scope, now=clock) as made:
            found += made.remove()
    return tuple(found)


def detect(programme: Programme, record: Record, *, sleep: Callable[[float], None], tell: Tell) -> tuple[Record, tuple[Known, ...]]:
    """Read the sources and judge, with nothing written, and say of each canary which of its controls found it.

    `programme` is the staged one. Returns the record, and the findings that a run would have. What a provider does not show at once is
    looked for again; a canary that is seen, and not found failing, is not.
    """
    for pause in (*PAUSES, None):
        with rehearse(programme, tell=tell) as (stage, result):
            if not isinstance(result, Rehearsal):
                raise DrillFailedError("the run that looks for the canaries was not made", fix="run the drill again")
            seen = tuple(_judged(result.staged / NAME, canary) for canary in record.canaries)
            with State(stage.state) as state:
                known = tuple(listed.finding for listed in state.findings(partner=PARTNER, run=result.run))
        if pause is None or all(any(verdict != NOT_JUDGED for _, verdict in canary.found) for canary in seen):
            break
        sleep(pause)
    mine = {canary.uid for canary in seen}
    findings = tuple(each for each in known if {each.subject, each.identity} & mine and each.state != "resolved")
    return replace(record, canaries=seen, findings=len(findings)), findings


def blind(record: Record) -> tuple[str, ...]:
    """Say each control that did not find a canary which it had to find, in a sentence."""
    return tuple(
        f"{control} is blind in {canary.provider} {canary.scope}: it says {verdict!r} of {canary.name}"
        for canary in record.canaries
        for control, verdict in canary.found
        if verdict not in FOUND
    )


def _judged(verdicts: Path, canary: Canary) -> Canary:
    """Return a canary with the verdict of each control that it has to fail: the worst one of itself and of its credentials."""
    columns = {control: column(control) for control in canary.breaks}
    with duckdb.connect() as db:
        table = f"read_parquet({sql_text(verdicts)})"
        there = {row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()}  # noqa: S608 - the path is written as SQL text
        found = []
        for control, name in columns.items():
            said: set[str] = set()
            if name in there:
                query = f'SELECT DISTINCT "{name}"::VARCHAR FROM {table} WHERE (subject = $uid OR identity = $uid) AND "{name}" IS NOT NULL'  # noqa: S608 - a control's own name
                said = {row[0] for row in db.execute(query, {"uid": canary.uid}).fetchall()}
            found.append((control, next((word for word in (FAIL, EXCEPTED, "unknown", "pass") if word in said), NOT_JUDGED)))
    return replace(canary, found=tuple(found))


def accepted(
    programme: Programme, record: Record, secrets: Mapping[str, str], *, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> Record:
    """Try each secret before anything is revoked: that it is refused afterwards proves nothing where it was never taken.

    Raises DrillFailedError for one that the provider does not take.
    """
    results, _ = _tried(programme, record, secrets, "accepted", (clock, sleep))
    for canary, result in zip(record.canaries, results, strict=True):
        if result == "refused":
            raise DrillFailedError(f"the provider never took the secret of {canary.name}", fix="look at what the provider says of it")
    return replace(record, canaries=tuple(replace(each, before=result) for each, result in zip(record.canaries, results, strict=True)))


def refused(
    programme: Programme, record: Record, secrets: Mapping[str, str], *, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> tuple[Record, tuple[Attempt, ...]]:
    """Try each secret after the revocation, and again where a provider takes time to end it; returns the last attempts too."""
    results, attempts = _tried(programme, record, secrets, "refused", (clock, sleep))
    return replace(record, canaries=tuple(replace(each, after=said) for each, said in zip(record.canaries, results, strict=True))), attempts


def _tried(
    programme: Programme,
    record: Record,
    secrets: Mapping[str, str],
    wanted: str,
    pace: tuple[Callable[[], datetime], Callable[[float], None]],
) -> tuple[list[str | None], tuple[Attempt, ...]]:
    """Return for each canary what its secret is good for, None where it has none, and the last attempt with each secret."""
    clock, sleep = pace
    results: list[str | None] = []
    attempts: list[Attempt] = []
    with Hands(programme, f"drill-{record.drill}", clock) as hands:
        for canary in record.canaries:
            if canary.credential is None or canary.credential not in secrets:
                results.append(None if canary.credential is None else "not tried")
                continue
            for pause in (*PAUSES, None):
                said = attempt(hands, (canary.source, canary.scope), canary.credential, secrets[canary.credential])
                result = {True: "refused", False: "accepted", None: "not told"}[said.refused]
                if pause is None or result == wanted:
                    break
                sleep(pause)
            results.append(result)
            attempts.append((canary.credential, said, clock()))
    return results, tuple(attempts)


def left(programme: Programme, record: Record, *, clock: Callable[[], datetime], tell: Tell) -> Iterator[str]:
    """Read the sources again, and say in a sentence each canary of a drill that is left, and each scope where nobody could look.

    Only by what they are: a name is only a name, and somebody else's may begin the same way.
    """
    if not record.canaries:
        return
    only = tuple(sorted(canary.uid for canary in record.canaries))
    asked = Asked(partner=PARTNER, trigger="drill", reason=f"what drill {record.drill} left", only=only)
    fresh = make(programme, asked, clock=clock, tell=tell)
    for holding in fresh.holdings:
        yield f"still there: {holding.name} ({holding.uid})"
    for unread in fresh.unread:
        if (unread.source, unread.scope) in record.places:
            yield f"not read: {unread.provider} {unread.scope}: {unread.why}"
