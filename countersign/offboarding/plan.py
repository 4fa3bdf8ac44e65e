"""A plan of revocation as a document: what was asked, what would change, what would remain; and whether it still fits the clouds.

It is canonical JSON, and its SHA-256 is what approvers sign. What makes the decision is all in it; what moves without anybody's doing
(a last use) is in `context`, for the reader, and a second look may differ there.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import rfc8785

from countersign.clock import instant, stamp
from countersign.errors import CountersignError
from countersign.revocation import Change, Holding, Left, Phase, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPE = "urn:countersign:plan:v1"
VALID = timedelta(days=7)
"""How long a plan can be approved and begun."""
Trigger = Literal["by-hand", "contract-end", "incident", "inactivity", "missed-sla", "drill"]
DECIDED_UNDER: dict[str, str] = {
    "by-hand": "contract-ended", "contract-end": "contract-ended", "incident": "incident-open", "inactivity": "inactive",
    "missed-sla": "sla-revoke", "drill": "drill-overdue",
}  # fmt: skip
"""Trigger to the control whose accountable people decide."""
PASSING = frozenset({"token", "lease"})
"""Kinds that come and go by themselves while the identity that they belong to works."""
OURSELVES = "countersign"
"""Who asked for a plan that no person asked for."""
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}", re.ASCII)


class PlanError(CountersignError):
    """A plan cannot be made, read, or used; nothing was changed."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan is asked to do."""

    partner: str
    """Id in the register."""
    phase: Phase = "disable"
    trigger: Trigger = "by-hand"
    requested_by: str = OURSELVES
    """Id of a person of the customer's, or ourselves."""
    reason: str = ""
    only: tuple[str, ...] = ()
    """Uids of identities; empty: all that is the partner's."""
    without: tuple[tuple[str, str], ...] = ()
    """Uids of identities or credentials that are left as they are, each with the reason."""
    emergency: bool = False
    """Only what is reversible and ends access at once; one identity or partner under incident."""
    follows: str | None = None
    """Plan whose disabled things are deleted or restored."""
    steps: tuple[str, ...] = ()
    """Restore: ids of the steps that are taken back; empty: all that can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that the approver should know before they decide."""

    level: Literal["stop", "warning", "note"]
    """`stop`: the plan must not be applied as it is."""
    uid: str
    name: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A scope that was not read wholly, so that nobody knows what the partner has there."""

    source: str
    provider: str
    scope: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan; its steps are in the order in which they are made."""

    id: str
    """Also the name of its folder: partner, time and chance."""
    customer: str
    asked: Asked
    made_at: datetime
    """UTC; approvals are younger, and it can be begun until VALID later."""
    register: str
    """Digest of the register that it was made under."""
    steps: tuple[Change, ...]
    left: tuple[Left, ...]
    undecided: tuple[Left, ...]
    """What may be the partner's or somebody else's; nothing is done about it."""
    unread: tuple[Unread, ...]
    holdings: tuple[Holding, ...]
    """Everything found to be the partner's, as the inventory has it."""
    noted: tuple[Noted, ...]
    """Blast radius: what else uses it, who is locked out, which evidence is weak."""
    approvers: tuple[str, ...]
    """Ids of those who may approve it."""
    needed: int
    """How many of them it takes."""
    context: dict[str, Any] = field(default_factory=dict)
    """What may differ at a second look without being a change."""

    @property
    def expires(self) -> datetime:
        """Return until when it can be begun (UTC)."""
        return self.made_at + VALID

    @property
    def control(self) -> str:
        """Return the control whose accountable people decide."""
        return DECIDED_UNDER[self.asked.trigger]

    def document(self) -> bytes:
        """Return it as canonical JSON (RFC 8785)."""
        body = asdict(self)
        body |= {"type": TYPE, "made_at": stamp(self.made_at), "expires": stamp(self.expires), "control": self.control}
        for step, change in zip(body["steps"], self.steps, strict=True):
            step["id"] = change.id
        return rfc8785.dumps(_plain(body))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the document."""
        return hashlib.sha256(self.document()).hexdigest()

    def subject(self) -> str:
        """Return what approvals name it by."""
        return f"plan/{self.id}"


def read(data: bytes, where: str) -> Plan:
    """Read a plan back. Raises PlanError for anything but the exact bytes that `document` gives; `where` names the file."""
    try:
        held = json.loads(data)
        body = {name: held[name] for name in Plan.__dataclass_fields__}
        body["made_at"] = instant(held["made_at"])
        asked = held["asked"]
        left_out = tuple((uid, why) for uid, why in asked["without"])
        body["asked"] = Asked(**{**asked, "only": tuple(asked["only"]), "without": left_out, "steps": tuple(asked["steps"])})
        body["steps"] = tuple(_change(step) for step in held["steps"])
        body["left"] = tuple(Left(**left) for left in held["left"])
        body["undecided"] = tuple(Left(**left) for left in held["undecided"])
        body["unread"] = tuple(Unread(**unread) for unread in held["unread"])
        body["holdings"] = tuple(Holding(**{**row, "others": tuple(row["others"])}) for row in held["holdings"])
        body["noted"] = tuple(Noted(**noted) for noted in held["noted"])
        body["approvers"] = tuple(held["approvers"])
        plan = Plan(**body)
        sound = plan.document() == data and _ID.fullmatch(plan.id) is not None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise PlanError(f"{where} is no plan, or was changed since it was made", fix="use the file as `countersign offboard plan` wrote it")
    return plan


def drift(signed: Plan, now: Plan, made: frozenset[str]) -> Iterator[str]:
    """Yield each difference by which a plan does not fit the clouds any more, in a sentence.

    `now` is the same question asked again; `made`: ids of the signed steps that were made already, or may have been. What the plan's own
    steps brought about is no drift: a grant or trust that looks different since is judged by the steps that it would take.
    """
    yield from _drift_of_steps(signed, {change.id: change for change in now.steps}, made)
    known = {holding.uid for holding in signed.holdings}
    planned = {change.id for change in signed.steps}
    ended = {uid for change in now.steps if change.id in planned for uid in change.takes}
    for holding in now.holdings:
        # A partner at work gets a new token every hour: what a signed step ends as well changes nothing of the decision. A new key does.
        passes = holding.kind in PASSING and holding.uid in ended
        if holding.uid not in known and holding.what in {"identity", "credential"} and not passes:
            yield f"new since the plan: {holding.uid} ({holding.name}) is the partner's too"
    open_then = {(unread.provider, unread.scope) for unread in signed.unread}
    for unread in now.unread:
        if (unread.provider, unread.scope) not in open_then:
            yield f"not read this time: {unread.provider} {unread.scope}: {unread.why}"
    if set(signed.approvers) - set(now.approvers):
        yield f"may not approve any more: {', '.join(sorted(set(signed.approvers) - set(now.approvers)))}"


def _drift_of_steps(signed: Plan, again: dict[str, Change], made: frozenset[str]) -> Iterator[str]:
    touched = {(change.source, change.scope) for change in signed.steps if change.id in made}
    for change in signed.steps:
        found = again.pop(change.id, None)
        if change.id in made:
            continue
        if found is None:
            # Where a step was made before, it may have brought this one about; the look right before the write tells exactly.
            if change.before == change.after or (change.source, change.scope) in touched:
                continue
            yield f"not as planned any more: {change.says} ({change.target}) is done already, or cannot be done"
        elif (found.before, found.after) != (change.before, change.after):
            yield f"changed since the plan: {change.target} was {_short(change.before)} and is {_short(found.before)}"
    for change in again.values():
        yield f"new since the plan: {change.says} ({change.target})"


def _change(step: dict[str, Any]) -> Change:
    body = {name: step[name] for name in Change.__dataclass_fields__}
    for name in ("takes", "writes", "looks"):
        body[name] = tuple(body[name])
    if body["residual"] is not None:
        body["residual"] = Residual(**body["residual"])
    change = Change(**body)
    if change.id != step["id"]:
        raise ValueError(step["id"])
    return change


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever an inventory's row holds, as JSON
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return stamp(value) if isinstance(value, datetime) else value


def _short(state: dict[str, Any]) -> str:
    text = json.dumps(state, sort_keys=True)
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - a line of a terminal or two
