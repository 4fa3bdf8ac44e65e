"""What every part of revoking shares: an action, the looking-up of one plan, and what is left for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from countersign.revocation import Change, Holding, Left, Residual, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from connectors.aws.door import Account

GONE: State = {"exists": False}
ROLE_SECONDS = 43_200
"""The longest that a role's session can last (CreateRole: MaxSessionDuration)."""
OURS = ("Countersign itself reads or revokes here by it", "give Countersign another identity, change the source's settings, and plan again")
DISABLE_FIRST = "apply a plan that disables it, and watch it, before it is deleted"


@dataclass(frozen=True, slots=True)
class Hands:
    """Who looks and who writes, in one account."""

    reader: Account
    writer: Account
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One kind of change: how it is seen and made."""

    name: str
    looks: tuple[str, ...]
    writes: tuple[str, ...]
    look: Callable[[Account, Change], State]
    """Raises ReadError."""
    write: Callable[[Hands, Change], None]
    """Raises ReadError; what it names is found again by its immutable id, by the reader, before the writer is told its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """One look at what could be changed in one account."""

    reader: Account
    source: str
    scope: str
    phase: Literal["disable", "delete"]
    since: datetime

    def change(  # noqa: PLR0913 -- a change has that many facets
        self,
        action: Action,
        *,
        target: str,
        name: str,
        says: str,
        parameters: Mapping[str, Any],
        after: State,
        takes: Sequence[Holding],
        order: int,
        reversible: bool = True,
        residual: Residual | None = None,
    ) -> Iterator[Change | Left]:
        """Give the change with its state before; nothing where it is done already or its thing is gone, a Left where it comes too early."""
        draft = Change(
            action=action.name, phase=self.phase, provider="aws", source=self.source, scope=self.scope, target=target, name=name, says=says,
            parameters=dict(parameters), before={}, after=after, reversible=reversible, order=order,
            takes=tuple(sorted(one.uid for one in takes)), writes=action.writes, looks=action.looks, residual=residual,
        )  # fmt: skip
        before = action.look(self.reader, draft)
        if before in (after, GONE):
            return
        if self.phase == "delete" and _is_open(before):
            yield from left(takes, "it is still in use: nothing has switched it off", DISABLE_FIRST)
        else:
            yield replace(draft, before=before)


def left(holdings: Sequence[Holding], why: str, advice: str) -> Iterator[Left]:
    """Say of each holding that nothing takes it away, and what a person can do."""
    for one in sorted(holdings, key=lambda one: one.uid):
        yield Left(one.uid, one.name, why, advice)


def is_ours(plan: Planning, kind: Literal["user", "role"], name: str) -> bool:
    """Whether a user or role is one by which Countersign itself reads or revokes here: taking it away would stop the run half-way."""
    caller, source = plan.reader.caller, plan.reader.source
    who = caller.split("/")[1] if ":assumed-role/" in caller else ""
    roles = {who, *(one.rpartition("/")[2] for one in (source.role, source.revoke_role) if one)}
    return name in roles if kind == "role" else ":user/" in caller and caller.rpartition("/")[2] == name


def kind_and_id(uid: str) -> tuple[str, str]:
    """Give the kind and the immutable id inside a subject's uid."""
    kind, _, native_id = uid.split(":", 2)[-1].partition("/")
    return kind, native_id


def same_party(holdings: Sequence[Holding]) -> bool:
    """Whether a way in may be shut as a whole: it is the partner's, or nobody else uses it."""
    return any(one.what == "identity" and one.whole for one in holdings) or not any(one.others for one in holdings)


def _is_open(before: State) -> bool:
    """Whether a thing that is to be deleted still works."""
    return before.get("active") is True or before.get("denied") is False or bool(before.get("audiences"))
