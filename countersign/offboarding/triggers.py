"""When a plan is made without being asked for: after a night, for access that should be gone. It is prepared, never carried out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from countersign.errors import CountersignError
from countersign.offboarding import folder, journal
from countersign.offboarding.plan import OURSELVES, Asked, Plan, Trigger, drift
from countersign.offboarding.planning import Seen, plan
from countersign.offboarding.process import keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from countersign.finding import Known
    from countersign.reconciliation import Judged, Reconciliation

WHOLE: Mapping[str, Trigger] = {"contract-ended": "contract-end"}
"""Controls after which everything of the partner goes."""
SINGLE: Mapping[str, Trigger] = {"incident-open": "incident", "sla-revoke": "missed-sla", "inactive": "inactivity"}
"""Controls after which only the identities that fail them go, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of a night's triggers."""

    plans: tuple[Plan, ...]
    """Made tonight."""
    standing: tuple[str, ...]
    """Ids of plans of earlier nights that still fit and wait."""
    problems: tuple[str, ...]
    """Why a plan could not be made; the night itself is not touched by that."""


def due(findings: Iterable[Known]) -> Iterator[Asked]:
    """Yield what should be planned, by the open findings of partners' access; each identity once, under its most urgent trigger.

    A partner whose contract is over goes as a whole, and nothing of it is planned a second time, but for an incident: that cannot wait
    for a decision on everything.
    """
    rows = [row for row in findings if row.state == "open" and row.partner is not None]
    ended = sorted({str(row.partner) for row in rows if row.control in WHOLE})
    for partner in ended:
        yield Asked(partner=partner, trigger="contract-end", requested_by=OURSELVES, reason="the contract is over and access is not")
    planned: set[str] = set()
    for control, trigger in SINGLE.items():
        by_partner: dict[str, set[str]] = {}
        for row in rows:
            if row.control == control and row.identity is not None and row.identity not in planned:
                by_partner.setdefault(str(row.partner), set()).add(row.identity)
        for partner, identities in sorted(by_partner.items()):
            if partner in ended and trigger != "incident":
                continue
            planned |= identities
            yield Asked(
                partner=partner, trigger=trigger, requested_by=OURSELVES, reason=_REASONS[trigger], only=tuple(sorted(identities)),
                emergency=trigger == "incident",
            )  # fmt: skip


_REASONS: Mapping[str, str] = {
    "incident": "an incident is open and the access is still there",
    "missed-sla": "the time to revoke that was agreed is over",
    "inactivity": "nobody has used it for longer than the limit",
}


def prepare(run: Reconciliation, judged: Judged) -> Prepared:
    """Prepare the plans that a sealed night calls for; a plan of an earlier night that still fits is left to wait.

    What fails is told and kept out of the night's result. Nothing is changed at any provider.
    """
    programme, clock = run.programme, run.clock
    seen, now = Seen(judged.readings, judged.database), clock()
    states = journal.Journal(run.state.engine).states()
    waiting = [
        each for each in folder.plans(programme) if states.get(each.id) in ("planned", "applying", "incomplete") and each.expires > now
    ]
    made: list[Plan] = []
    standing: list[str] = []
    problems: list[str] = []
    for asked in due(run.state.known().values()):
        if asked.partner not in programme.register.partners:
            continue
        before = next((each for each in reversed(waiting) if _same_question(each.asked, asked)), None)
        if before is not None and states.get(before.id) != "planned":
            standing.append(before.id)
            continue
        try:
            again = plan(programme, asked if before is None else before.asked, seen, like=before, clock=clock, tell=run.tell)
            if before is not None and not any(drift(before, again, frozenset())):
                standing.append(before.id)
            elif again.steps or again.left or again.undecided:
                fresh = again if before is None else plan(programme, asked, seen, clock=clock)
                keep(programme, fresh, clock=clock, tell=run.tell)
                made.append(fresh)
                run.tell(f"prepared plan {fresh.id}: {len(fresh.steps)} changes wait for approval")
        except CountersignError as error:
            problems.append(f"{asked.partner} ({asked.trigger}): {error.message}")
            run.tell(f"no plan for {asked.partner} ({asked.trigger}): {error.message}")
    return Prepared(tuple(made), tuple(standing), tuple(problems))


def _same_question(one: Asked, other: Asked) -> bool:
    return replace(one, reason="", requested_by="") == replace(other, reason="", requested_by="")
