"""The drill of revocation: canaries are made, found, ticketed, planned against, approved, revoked, shown to be refused, and removed."""

from __future__ import annotations

import secrets as chance
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from countersign.approval import LONGEST, Statement
from countersign.canary import PARTNER
from countersign.clock import stamp
from countersign.drill import canaries, impostors, outcome, record, scopes, tickets
from countersign.drill.record import Record
from countersign.drill.scopes import DrillError, DrillFailedError, why_of
from countersign.errors import CountersignError
from countersign.offboarding import applied, folder, process
from countersign.offboarding import tickets as approval_tickets
from countersign.offboarding.journal import Journal
from countersign.offboarding.plan import DECIDED_UNDER, OURSELVES, Asked
from countersign.register.approvals import may_approve
from countersign.results import silent
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from countersign.drill.outcome import Result
    from countersign.drill.scopes import Place
    from countersign.finding import Known
    from countersign.offboarding.journal import PlanState
    from countersign.offboarding.plan import Plan
    from countersign.offboarding.process import Outcome
    from countersign.programme import Programme
    from countersign.results import Tell

PATH: outcome.Drilled = "remediation"
CONTROL = DECIDED_UNDER["drill"]


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who approves the drill's plan here and now."""

    person: str
    sign: Callable[[bytes], str]
    """Returns the text of the `.sig` file for a statement."""


def check(programme: Programme, person: str | None = None) -> tuple[str, ...]:
    """Return who may approve a drill; raises DrillError where none can begin, or where this person may not approve it."""
    scopes.demand(programme)
    able = may_approve(programme.register, CONTROL, OURSELVES)
    if not able:
        raise DrillError(f"nobody may approve a drill's plan: nobody is accountable for {CONTROL}", fix="add it to register/controls")
    if person is not None and person not in able:
        raise DrillError(f"{person!r} is not accountable for {CONTROL}", fix=f"it takes one of: {', '.join(able)}")
    return able


def drill(  # noqa: PLR0913 - who signs, what is gone on with, and the world outside
    programme: Programme,
    *,
    signer: Signer | None = None,
    go_on: str | None = None,
    clock: Callable[[], datetime] = process.now,
    sleep: Callable[[float], None] = time.sleep,
    tell: Tell = silent,
) -> Result:
    """Walk the way once, or go on with the drill that waits for its approval; what is made is removed however it ends.

    `go_on`: only with the drill of this plan. A drill whose process died, whose plan was declined or has expired, is cleaned up behind and
    sealed as failed before a new one begins. Raises DrillError where none can begin; whatever fails later is in the result.
    """
    check(programme, None if signer is None else signer.person)
    staged = scopes.staged(programme, programme.register.today(clock()))
    with record.alone(programme):
        outcome.put_on_file(programme)
        held = record.find(programme)
        if go_on is not None and (held is None or held.plan != go_on):
            raise DrillError(f"the drill of plan {go_on} is over", fix="begin a new one")
        run = _Run(programme, staged, scopes.places(staged), clock, sleep, tell)
        if held is not None:
            over = run.over(held)
            if over is None:
                return run.go_on(held, signer)
            ended = run.end(held, over)
            if go_on is not None:
                return ended
            tell(f"drill {held.drill} is sealed as failed: {over}")
        return run.begin(signer)


@dataclass(slots=True)
class _Run:
    """One process's part of a drill."""

    programme: Programme
    staged: Programme
    """The same with the drill's partner, and only the sources in which it works."""
    places: tuple[Place, ...]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    tell: Tell
    secrets: dict[str, str] = field(default_factory=dict)
    """Of this process's canaries, by credential; kept nowhere."""

    def begin(self, signer: Signer | None) -> Result:
        """Make canaries, find them, and plan; then go on as far as the approval lets it."""
        now = self.clock()
        held = Record(
            drill=f"{now:%y%m%d}{chance.token_hex(3)}", began=now, places=tuple((each.source.name, each.scope.name) for each in self.places)
        )
        try:
            held = self._step(held, "plant")
            canaries.remove(self.places, clock=self.clock, tell=self.tell)
            held, self.secrets = canaries.plant(self.programme, held, self.places, clock=self.clock, tell=self.tell)
            held = self._step(self._done(held), "detect")
            held, findings = canaries.detect(self.staged, held, sleep=self.sleep, tell=self.tell)
            self._demand_found(held)
            held = self._step(self._done(held), "ticket")
            held = tickets.ask(self.programme, held, findings, clock=self.clock)
            self._demand_tickets(held, findings)
            held = self._step(self._done(held), "plan")
            held = canaries.accepted(self.staged, held, self.secrets, clock=self.clock, sleep=self.sleep)
            plan = self._plan(held)
            held = replace(held, plan=plan.id, digest=plan.digest(), refusals=impostors.refusals(self.programme.register, plan))
            record.keep(self.programme, held)  # before the plan is on file, so that whoever cleans up behind a killed drill ends it
            process.keep(self.staged, plan, clock=self.clock, tell=self.tell)
            held = self._step(self._done(held), "approve")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, what was made is removed, and the drill says why it failed
            return self.end(held, why_of(error))
        return self.go_on(held, signer)

    def over(self, held: Record) -> str | None:
        """Say why a drill that is on file cannot go on; None: it waits for its approval, which may still come."""
        if not held.waits:
            step = held.steps[-1].step if held.steps else "begin"
            return f"its process ended while it was to {step}"
        there = {(place.source.name, place.scope.name) for place in self.places}
        if not there.issuperset(held.places):
            return "a scope in which it made something is not set aside any more"
        try:
            plan = folder.find(self.programme, str(held.plan))
        except CountersignError as error:
            return error.message
        now = self.clock()
        declined = process.decision(self.programme, plan, now).declined
        if declined:
            return f"its plan was declined by {', '.join(declined)}"
        return f"nobody approved it until {stamp(plan.expires)}" if plan.expires <= now else None

    def go_on(self, held: Record, signer: Signer | None) -> Result:
        """Take the approval, carry out, verify and remove; a drill without an approval waits, also where signing fails (ApprovalError)."""
        plan = folder.find(self.programme, str(held.plan))
        if signer is not None:
            self._sign(plan, signer)
        try:
            decision = process.decision(self.programme, plan, self.clock())
            if not decision.holds:
                why = "; ".join(decision.refused)
                said = outcome.document(PATH, held.drill, held.began, held.steps, self._said(held, plan), None, self.clock())
                waits = f"plan {plan.id} waits for approval until {stamp(plan.expires)}: {why}"
                return outcome.Result(
                    path=PATH, drill=held.drill, state="waits", why=waits, steps=held.steps, said={**said, "state": "waits"}, plan=plan.id
                )
            held = self._step(self._done(replace(held, approvers=decision.approvers)), "revoke")
            done = process.carry_out(self.staged, plan, secrets=self.secrets, clock=self.clock, sleep=self.sleep, tell=self.tell)
            held = self._revoked(held, done)
            held = self._verified(held, plan, done)
        except Exception as error:  # noqa: BLE001 - as above
            return self.end(held, why_of(error))
        return self.end(held, None)

    def end(self, held: Record, why: str | None) -> Result:
        """Remove everything, look that nothing is left, seal what came of it, and forget the record. Raises EvidenceError.

        What cannot be removed is told, and makes the drill fail; the next one begins with removing it.
        """
        held = record.newest(held, record.find(self.programme))
        if why is not None and held.steps and held.steps[-1].ended is None:
            held = held.done(self.clock(), why)
        held = self._step(held, "remove")
        trouble: list[str] = []
        for cleaned in (self._remove, self._close, self._retire):
            try:
                trouble += cleaned(held)
            except Exception as error:  # noqa: BLE001 - the one that cannot be cleaned must not keep the others
                trouble.append(why_of(error))
        left = "; ".join(trouble) or None
        held = held.done(self.clock(), left)
        reason = why or (None if left is None else f"something is left: {left}")
        plan = None if held.plan is None else self._found(held.plan)
        if plan is not None and left is None:
            self._set(plan, {"applied"}, "deleted")
        result = outcome.seal(
            self.programme, PATH, held.drill, held.began, held.steps, self._said(held, plan), reason, plan=held.plan, clock=self.clock
        )
        record.forget(self.programme)
        return result

    def _step(self, held: Record, step: str) -> Record:
        held = record.keep(self.programme, held.begun(step, self.clock()))
        self.tell(f"drill {held.drill}: {step}", record.STEPS.index(step) / len(record.STEPS))
        return held

    def _done(self, held: Record) -> Record:
        return record.keep(self.programme, held.done(self.clock()))

    @staticmethod
    def _demand_found(held: Record) -> None:
        if not held.canaries:
            raise DrillFailedError("no canary was made, so nothing was shown", fix="look at the scopes under `drill:`")
        missed = canaries.blind(held)
        if missed:
            raise DrillFailedError("; ".join(missed), fix="look at the control in docs/controls.md, and at what the source cannot read")

    @staticmethod
    def _demand_tickets(held: Record, findings: tuple[Known, ...]) -> None:
        if any(each.state == "open" for each in findings) and not held.tickets:
            raise DrillFailedError("no ticket was opened for the canaries' findings", fix="look at the desk")

    def _plan(self, held: Record) -> Plan:
        """Plan against the canaries and nothing else. Raises DrillFailedError where the plan would reach further, or misses one."""
        asked = Asked(
            partner=PARTNER, trigger="drill", reason=f"drill {held.drill}, on identities made for it",
            only=tuple(sorted(canary.uid for canary in held.canaries)),
        )  # fmt: skip
        plan = process.make(self.staged, asked, clock=self.clock, tell=self.tell)
        beyond = [step.target for step in plan.steps if (step.source, step.scope) not in held.places]
        theirs = {canary.uid for canary in held.canaries}
        beyond += [each.uid for each in plan.holdings if each.identity_uid not in theirs]
        if beyond:
            raise DrillFailedError(
                f"the plan reaches beyond the canaries: {', '.join(beyond[:5])}", fix="set a scope aside in which nothing else is"
            )
        missed = sorted(theirs - {each.uid for each in plan.holdings})
        stops = [note.said for note in plan.noted if note.level == "stop"]
        if missed or stops or not plan.steps:
            said = "; ".join((*(f"the plan does not have {uid}" for uid in missed), *stops)) or "the plan has no step"
            raise DrillFailedError(said, fix="see why with `countersign offboard status --all`")
        return plan

    def _sign(self, plan: Plan, signer: Signer) -> None:
        """Put the person's signed approval beside the plan, where it is judged like any other."""
        now = self.clock()
        said = Statement(
            customer=plan.customer, subject=plan.subject(), digest=plan.digest(), approver=signer.person, issued=now,
            expires=min(plan.expires, now + LONGEST), reason=plan.asked.reason,
        ).message()  # fmt: skip
        signature = signer.sign(said)
        beside = self.programme.folder / folder.FOLDER / plan.id / folder.APPROVALS
        folder.write(beside / f"{signer.person}-drill.sig", signature.encode())
        folder.write(beside / f"{signer.person}-drill.json", said)

    def _revoked(self, held: Record, done: Outcome) -> Record:
        """Enter when the last change was seen at each provider. Raises DrillFailedError where something is left."""
        if done.applied.left:
            said = "; ".join(f"{each.change.says}: {each.step.why}" for each in done.applied.left)
            raise DrillFailedError(f"not everything was revoked: {said}", fix="see the entry of the ledger")
        last: dict[str, datetime] = {}
        for each in done.applied.steps:
            if each.step.verified_at is not None:
                last[each.change.provider] = max(last.get(each.change.provider, each.step.verified_at), each.step.verified_at)
        approved = done.applied.run.approved_at
        times = tuple((provider, applied.seconds(approved, at)) for provider, at in sorted(last.items()))
        return self._step(self._done(replace(held, seconds_to_revoke=times)), "verify")

    def _verified(self, held: Record, plan: Plan, done: Outcome) -> Record:
        """Take the certificate, and try the secrets that are known. Raises DrillFailedError where something has not ended."""
        tried = {uid for uid, said, _ in done.applied.tried if said.refused}
        held, again = canaries.refused(self.staged, held, self.secrets, clock=self.clock, sleep=self.sleep)
        certified = done.certified
        if tried != self.secrets.keys() or certified is None or certified.state != "complete":
            # What a provider ended late has ended now, or not at all.
            certified = process.certify(self.staged, plan, again, clock=self.clock, tell=self.tell)
        held = replace(held, certificate=certified.digest)
        taken = [
            canary.name
            for canary in held.canaries
            if canary.after == "accepted" or (canary.before == "accepted" and canary.after == "not told")
        ]
        if taken:
            raise DrillFailedError(f"the secrets of {', '.join(taken)} are not refused", fix="look at what the provider says of them")
        if certified.state != "complete":
            said = "; ".join(f"{each['name']}: {each['why']}" for each in certified.said["residual"])
            raise DrillFailedError(f"the second reading does not show that everything has ended: {said}", fix="see the certificate")
        return self._done(held)

    def _remove(self, held: Record) -> list[str]:
        """Remove in every scope in which this drill, or the next one, may have made something; then read whether it is gone."""
        canaries.remove(self.places, clock=self.clock, tell=self.tell)
        again = canaries.remove(self.places, clock=self.clock, tell=self.tell)
        there = {(place.source.name, place.scope.name) for place in self.places}
        gone = [
            f"{source} {scope} is not set aside any more, and was not looked at"
            for source, scope in held.places
            if (source, scope) not in there
        ]
        found: list[str] = []
        for pause in (*canaries.PAUSES, None):
            found = list(canaries.left(self.staged, held, clock=self.clock, tell=self.tell))
            if pause is None or not found:
                break
            self.sleep(pause)
        return [*(f"still there: {name}" for name in again), *gone, *found]

    def _close(self, held: Record) -> list[str]:
        tickets.close(self.programme, held, clock=self.clock)
        return []

    def _retire(self, held: Record) -> list[str]:
        """End a plan that was not carried out: what it is about is gone, so it can never be."""
        plan = None if held.plan is None else self._found(held.plan)
        if plan is None:
            return []
        self._set(plan, {"planned", "applying", "incomplete"}, "expired")
        approval_tickets.tell(self.programme, plan, f"Drill {held.drill} is over.", clock=self.clock, over=True)
        return []

    def _set(self, plan: Plan, before: set[PlanState], after: PlanState) -> None:
        """Put a plan into another state where it is in one of `before`."""
        with State(self.programme.state) as state:
            journal = Journal(state.engine)
            now = journal.state(plan.id)
            if now is not None and now[0] in before:
                journal.set_state(plan.id, after)

    def _found(self, plan: str) -> Plan | None:
        try:
            return folder.find(self.programme, plan)
        except CountersignError:
            return None

    def _said(self, held: Record, plan: Plan | None) -> dict[str, Any]:
        """Return what drill.json says beyond its steps."""
        seconds: dict[str, Any] = {f"revoke {provider}": value for provider, value in held.seconds_to_revoke}
        controls: dict[tuple[str, str], list[str]] = defaultdict(list)
        for canary in held.canaries:
            for control, verdict in canary.found:
                controls[canary.provider, control].append(verdict)
        return {
            "scopes": [{"source": source, "scope": scope} for source, scope in held.places],
            "canaries": [asdict(canary) | {"breaks": list(canary.breaks), "found": dict(canary.found)} for canary in held.canaries],
            "controls": [
                {"provider": provider, "control": control, "canaries": len(said), "found": sum(each in canaries.FOUND for each in said)}
                for (provider, control), said in sorted(controls.items())
            ],
            "blind": list(canaries.blind(held)) if any(canary.found for canary in held.canaries) else [],
            "proofs": dict(sorted(Counter(canary.after for canary in held.canaries if canary.after is not None).items())),
            "findings": held.findings, "tickets": len(held.tickets),
            "plan": None if plan is None else {"id": plan.id, "digest": plan.digest(), "steps": len(plan.steps)},
            "refusals": [{"given": given, "refused": why} for given, why in held.refusals],
            "approvers": list(held.approvers), "certificate": held.certificate, "seconds": seconds,
        }  # fmt: skip
