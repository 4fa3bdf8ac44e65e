"""What came of a plan, as the ledger keeps it: each step with what was seen and when, what is left, and how long it took."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import rfc8785

from countersign.clock import instant, stamp
from countersign.offboarding import folder
from countersign.offboarding.journal import SETTLED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from countersign.offboarding.journal import PlanState, Run, Step
    from countersign.offboarding.plan import Plan
    from countersign.revocation import Change, Tried

KIND = "offboard"
STEPS = "steps.json"
STEPS_TYPE = "urn:countersign:steps:v1"


@dataclass(frozen=True, slots=True)
class Done:
    """One step of the plan, and how far it has come."""

    change: Change
    step: Step

    @property
    def settled(self) -> bool:
        """Return whether nothing is left to do about it."""
        return self.step.state in SETTLED

    @property
    def seconds(self) -> int | None:
        """Return the seconds from the intent until it was seen to be so, rounded up; None: it is not, or not by us."""
        return None if self.step.state == "found" else seconds(self.step.intended_at, self.step.verified_at)

    @property
    def ends_at(self) -> datetime | None:
        """Return until when at most what it leaves behind can be used (UTC); None: nothing is left, or nobody can say."""
        residual, at = self.change.residual, self.step.verified_at
        return None if residual is None or residual.seconds is None or at is None else at + timedelta(seconds=residual.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of one run of a plan."""

    plan: Plan
    run: Run
    state: PlanState
    """`applied`, or `incomplete`."""
    steps: tuple[Done, ...]
    digests: tuple[str, ...]
    """SHA-256 (hex) of the approvals that were used."""
    earlier: Run | None
    """The run before, which ended incomplete."""
    why: str | None
    """What stopped it where it was no step, such as a resume that was refused."""
    tried: tuple[tuple[str, Tried, datetime], ...]
    """Old credentials that were tried afterwards: uid, what came of it, when (UTC)."""
    owed_until: datetime | None
    """Until when (UTC) the approval of a break-glass is owed; None: it was approved."""
    evidence: Path | None
    """The entry in the ledger; None: not sealed yet."""
    sequence: int | None
    statement_digest: str | None

    @property
    def left(self) -> tuple[Done, ...]:
        """Return the steps that are not made."""
        return tuple(done for done in self.steps if not done.settled)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many steps there are in each state."""
        return dict(sorted(Counter(done.step.state for done in self.steps).items()))

    @property
    def completed_at(self) -> datetime | None:
        """Return when the last change was seen (UTC); None: something is left, or there was nothing to do."""
        times = [done.step.verified_at for done in self.steps if done.step.verified_at is not None]
        return max(times) if times and not self.left else None

    @property
    def triggered_at(self) -> datetime | None:
        """Return when what led to the plan happened (UTC), where its `context` says so as `triggered_at`."""
        try:
            return instant(str(self.plan.context["triggered_at"]))
        except (KeyError, ValueError):
            return None

    def files(self, approvals: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return what is sealed (path in the entry to content): the plan, its steps, and the files of its approvals."""
        return {folder.FILE: self.plan.document(), STEPS: self.document(), **approvals}

    def document(self) -> bytes:
        """Return the steps as canonical JSON (RFC 8785)."""
        body = {
            "type": STEPS_TYPE, "plan": self.plan.id, "digest": self.plan.digest(), "run": self.run.run, "state": self.state,
            "why": self.why,
            "steps": [_row(done) for done in self.steps],
            "attempts": [{"uid": uid, **asdict(tried), "at": stamp(at)} for uid, tried, at in self.tried],
        }  # fmt: skip
        return rfc8785.dumps(body)

    def said(self) -> dict[str, Any]:
        """Return what the statement of its entry says."""
        return {
            "partner": self.plan.asked.partner, "plan": self.plan.id, "digest": self.plan.digest(), "phase": self.plan.asked.phase,
            "trigger": self.plan.asked.trigger, "follows": self.plan.asked.follows, "state": self.state, "apply": self.run.run,
            "earlier": None if self.earlier is None else {
                "apply": self.earlier.run, "sequence": self.earlier.sequence, "statement": self.earlier.statement_digest,
            },
            "steps": self.counts, "requestedBy": self.plan.asked.requested_by, "approvers": list(self.run.approvers),
            "approvals": list(self.digests), "brokenGlass": None if self.run.broken_glass is None else dict(self.run.broken_glass),
            "began": stamp(self.run.began_at), "completed": _said(self.completed_at),
            "secondsFromApproval": seconds(self.run.approved_at, self.completed_at),
            "secondsFromTrigger": seconds(self.triggered_at, self.completed_at),
        }  # fmt: skip


def seconds(begin: datetime | None, end: datetime | None) -> int | None:
    """Return the whole seconds between two times, rounded up; None where one is not known."""
    return None if begin is None or end is None else math.ceil((end - begin).total_seconds())


def _row(done: Done) -> dict[str, Any]:
    change, step = done.change, done.step
    names = ("action", "provider", "source", "scope", "target", "name", "says", "before", "after", "reversible")
    residual = change.residual
    return {
        "id": change.id, **{name: getattr(change, name) for name in names}, "takes": list(change.takes), "writes": list(change.writes),
        "looks": list(change.looks), "state": step.state, "why": step.why, "seen": step.seen, "attempts": step.attempts,
        "intended_at": _said(step.intended_at), "written_at": _said(step.written_at), "verified_at": _said(step.verified_at),
        "seconds": done.seconds, "reader": step.reader, "writer": step.writer, "undone_by": step.undone_by,
        "residual": None if residual is None else {"what": residual.what, "seconds": residual.seconds, "until": _said(done.ends_at)},
    }  # fmt: skip


def _said(when: datetime | None) -> str | None:
    return None if when is None else stamp(when)
