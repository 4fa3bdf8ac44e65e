"""When a plan is made without being asked for: after a night, for access that should be gone. It is prepared, never carried out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from countersign import facts
from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.offboarding import folder, process
from countersign.offboarding.journal import Journal
from countersign.offboarding.plan import OURSELVES, Asked, Plan, Trigger, drift
from countersign.offboarding.planning import Seen, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from countersign.finding import Known
    from countersign.offboarding.journal import PlanState
    from countersign.programme import Programme
    from countersign.reconciliation import Judged, Reconciliation
    from countersign.results import RunResult, Tell

WHOLE: Mapping[str, Trigger] = {"contract-ended": "contract-end"}
"""Controls after which everything of the partner goes."""
SINGLE: Mapping[str, Trigger] = {"incident-open": "incident", "sla-revoke": "missed-sla", "inactive": "inactivity"}
"""Controls after which only the identities that fail them go, the most urgent first."""
_REASONS: Mapping[str, str] = {
    "incident": "an incident is open and the access is still there",
    "missed-sla": "the time to revoke that was agreed is over",
    "inactivity": "nobody has used it for longer than the limit",
}
_WAITS: frozenset[PlanState] = frozenset({"planned", "applying", "incomplete"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of a night's triggers."""

    plans: tuple[Plan, ...] = ()
    """Made tonight."""
    standing: tuple[str, ...] = ()
    """Ids of plans of earlier nights that still fit and wait."""
    problems: tuple[str, ...] = ()
    """Why a plan could not be made; the night itself is not touched by that."""

    def told(self, result: RunResult) -> RunResult:
        """Return the night's result with what was prepared after it."""
        rows = tuple(
            {
                "plan": each.id, "partner": each.asked.partner, "trigger": each.asked.trigger, "steps": len(each.steps),
                "approvers": list(each.approvers), "needed": each.needed, "expires": stamp(each.expires),
            }
            for each in self.plans
        )  # fmt: skip
        return replace(result, prepared=rows, not_prepared=self.problems)


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


def prepare(run: Reconciliation, judged: Judged) -> Prepared:
    """Prepare the plans that a sealed night calls for; a plan of an earlier night that still fits is left to wait.

    What fails is told and kept out of the night's result; nothing is raised. Nothing is changed at any provider.
    """
    try:
        asked = [each for each in due(_open(run)) if each.partner in run.programme.register.partners]
        if not asked:
            return Prepared()
        missing = {source.name for source in run.programme.sources} - {source.name for source in run.sources}
        if missing:
            # What a partner has there would be missing from its plan, and nothing in the plan would say so.
            return _failed(run.tell, f"no plan was prepared: {', '.join(sorted(missing))} was not asked tonight")
        preparing = _Preparing.begin(run, judged)
    except Exception as error:  # noqa: BLE001 - the night is sealed already, and its result stands whatever becomes of plans
        return _failed(run.tell, f"no plan was prepared: {_why(error)}")
    for each in asked:
        try:
            preparing.one(each)
        except Exception as error:  # noqa: BLE001 - as above; and the others are still prepared
            preparing.problem(f"no plan for {each.partner} ({each.trigger}): {_why(error)}")
    return Prepared(tuple(preparing.made), tuple(preparing.standing), tuple(preparing.problems))


def on_file(programme: Programme) -> tuple[Plan, ...]:
    """Return the plans on file that nobody asked for; none where they cannot be read."""
    try:
        return tuple(each for each in folder.plans(programme) if each.asked.requested_by == OURSELVES)
    except CountersignError:
        return ()


def _open(run: Reconciliation) -> Iterator[Known]:
    for control in (*WHOLE, *SINGLE):
        yield from (listed.finding for listed in run.state.findings(control=control, state="open"))


@dataclass(slots=True)
class _Preparing:
    """One night's preparing: what was read, what waits, and what came of it so far."""

    programme: Programme
    journal: Journal
    seen: Seen
    clock: Callable[[], datetime]
    tell: Tell
    states: Mapping[str, PlanState]
    waiting: tuple[Plan, ...]
    """Plans that switch something off, can still be begun, and are not over; oldest first."""
    made: list[Plan] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, run: Reconciliation, judged: Judged) -> _Preparing:
        # What was read lies where it was sealed by now.
        facts.moved(judged.database, run.sealed / "inventory")
        journal, now = Journal(run.state.engine), run.clock()
        states = journal.states()
        waiting = tuple(
            each
            for each in folder.plans(run.programme)
            if states.get(each.id) in _WAITS and each.expires > now and each.asked.phase == "disable"
        )
        return cls(run.programme, journal, Seen(judged.readings, judged.database), run.clock, run.tell, states, waiting)

    def problem(self, said: str) -> None:
        self.problems.append(said)
        self.tell(said)

    def one(self, asked: Asked) -> None:
        """Prepare one plan, unless what waits already does. Raises whatever planning raises."""
        here = [each for each in self.waiting if each.asked.partner == asked.partner and each.asked.emergency == asked.emergency]
        persons = [each.id for each in here if each.asked.requested_by != OURSELVES and _covers(each.asked, asked)]
        if persons:
            # A person's plan leaves out what the person wants left out: it is not replaced.
            self.standing += persons
            return
        # What asks the same under another trigger would make room for this one too.
        mine = [each for each in here if each.asked.requested_by == OURSELVES]
        mine = [each for each in mine if each.asked.trigger == asked.trigger or each.asked.only == asked.only]
        settled = [each for each in mine if self.states[each.id] != "planned" or (not _same(each.asked, asked) and self._approved(each))]
        self.standing += [each.id for each in settled]
        taken = {uid for each in settled for uid in each.asked.only}
        if any(not each.asked.only for each in settled) or (asked.only and taken.issuperset(asked.only)):
            return
        asked = replace(asked, only=tuple(uid for uid in asked.only if uid not in taken))
        rest = [each for each in mine if each not in settled]
        before = next((each for each in reversed(rest) if _same(each.asked, asked)), None)
        if before is not None:
            again = plan(self.programme, before.asked, self.seen, like=before, clock=self.clock, tell=self.tell)
            if not moved(before, again):
                self.standing.append(before.id)
                return
        fresh = plan(self.programme, asked, self.seen, clock=self.clock, tell=self.tell)
        if fresh.steps or fresh.left or fresh.undecided:
            process.keep(self.programme, fresh, clock=self.clock, tell=self.tell)
            for each in rest:
                self.journal.supersede(each.id, fresh.id)
            self.made.append(fresh)
            self.tell(f"prepared plan {fresh.id}: {len(fresh.steps)} changes wait for approval")

    def _approved(self, each: Plan) -> bool:
        return process.decision(self.programme, each, self.clock()).holds


def moved(before: Plan, again: Plan) -> bool:
    """Say whether a plan does not fit any more, by the same question asked again.

    A scope that could be read then and not now proves nothing: what is planned there is left out of the comparison.
    """
    blind = {(each.source, each.scope) for each in again.unread} - {(each.source, each.scope) for each in before.unread}

    # A source that could not even list its scopes stands under its own name.
    def seen(one: Plan) -> Plan:
        steps = (step for step in one.steps if blind.isdisjoint({(step.source, step.scope), (step.source, step.source)}))
        return replace(one, steps=tuple(steps), unread=())

    return any(drift(seen(before), seen(again), frozenset()))


def _same(one: Asked, other: Asked) -> bool:
    return (one.trigger, one.only) == (other.trigger, other.only)


def _covers(one: Asked, other: Asked) -> bool:
    return not one.only or (bool(other.only) and set(other.only) <= set(one.only))


def _failed(tell: Tell, said: str) -> Prepared:
    tell(said)
    return Prepared(problems=(said,))


def _why(error: Exception) -> str:
    # What a library says may hold a secret.
    return error.message if isinstance(error, CountersignError) else f"it failed with {type(error).__name__}"
