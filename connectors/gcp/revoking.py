"""The revoking side of Google Cloud: looks as the reader, writes as the revoking identity, one thing at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from connectors.gcp import revoking_login
from connectors.gcp.door import Door
from connectors.gcp.permissions import (
    API_KEY,
    DELETE_ACCOUNT,
    DELETE_API_KEY,
    DELETE_KEY,
    DELETE_PROVIDER,
    DELETE_WORKFORCE_PROVIDER,
    DISABLE_ACCOUNT,
    DISABLE_KEY,
    ENABLE_ACCOUNT,
    ENABLE_KEY,
    UNDELETE_API_KEY,
    UPDATE_PROVIDER,
    UPDATE_WORKFORCE_PROVIDER,
)
from connectors.gcp.revoking_plan import Planning
from connectors.gcp.revoking_policy import policy_calls, with_member, without
from connectors.gcp.revoking_state import GONE, Sight, membership
from countersign.errors import ReadError
from countersign.fields import text
from countersign.revocation import RevocationDeniedError, RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Literal

    from connectors.gcp.permissions import Call
    from countersign.programme import GcpSource, Source
    from countersign.reading import Scope
    from countersign.revocation import Change, Holding, Left, Tried

_SWITCHES = {"disable-account": (DISABLE_ACCOUNT, ENABLE_ACCOUNT), "disable-key": (DISABLE_KEY, ENABLE_KEY)}
_DELETES = {"delete-account": DELETE_ACCOUNT, "delete-key": DELETE_KEY}


def hand(  # noqa: PLR0913 -- what the protocol says, and the two ways in
    source: Source,
    scope: Scope,
    *,
    run: str,  # noqa: ARG001 -- Google has no place for it: who writes is told apart by its own account
    now: Callable[[], datetime],
    enter: Callable[[GcpSource], Door] = Door,
    enter_to_write: Callable[[GcpSource], Door] = revoking_login.writing_door,
) -> Hand:
    """Enter a project or an organization to change it (`countersign.revocation.Hand`); nothing is asked before the `with` block."""
    return Hand(cast("GcpSource", source), scope, now, enter, enter_to_write)


class Hand:
    """One project or organization, entered to change it; `countersign.revocation.Hand` says what each part promises."""

    def __init__(
        self,
        source: GcpSource,
        scope: Scope,
        now: Callable[[], datetime],
        enter: Callable[[GcpSource], Door],
        enter_to_write: Callable[[GcpSource], Door],
    ) -> None:
        self._source, self._scope, self._now = source, scope, now
        self._enter, self._enter_to_write = enter, enter_to_write
        self._reading: Door | None = None
        self._writing: Door | None = None
        self._known: tuple[str, str] | None = None

    def __enter__(self) -> Self:
        try:
            self._reading = self._enter(self._source)
        except ReadError as error:
            raise RevocationError(error.message) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for door in (self._reading, self._writing):
            if door is not None:
                door.close()
        self._reading = self._writing = self._known = None

    def changes(self, holdings: Sequence[Holding], phase: Literal["disable", "delete"], since: datetime) -> Iterator[Change | Left]:  # noqa: ARG002 -- nothing of Google's ends sessions by a time
        """Yield what takes these holdings away, sorted."""
        yield from Planning(self._sight, self._source, self._scope, phase, self._now).of(holdings)

    def look(self, change: Change) -> dict[str, Any]:
        """Return the state now, asked of Google each time."""
        return self._sight.state(change.action, change.parameters)

    def write(self, change: Change) -> None:
        """Set the one thing; nothing is written where it is no longer as the change found it."""
        if change.scope != self._scope.name or change.source != self._scope.source:
            raise RevocationError(f"this is a change of {change.source} {change.scope}, not of {self._scope.source} {self._scope.name}")
        self.who()
        if change.action == "remove-member":
            self._set_policy(change)
            return
        state = self.look(change)
        if state == change.after:
            return
        if state != change.before:
            raise RevocationError(f"{change.target} is no longer as it was when this was planned", fix="plan again")
        call, asked = self._call(change)
        self._do(call, asked)

    def attempt(self, uid: str, secret: str) -> Tried:
        """Ask for a token with the file of an old key."""
        return revoking_login.attempt(self._source, uid, secret)

    def who(self) -> tuple[str, str]:
        """Return the e-mails or unique ids of reader and writer; raises RevocationDeniedError where they are one, or Google does not tell.

        A stand-in that is spoken to without credentials knows nobody: then both are `anonymous`, and nothing can be refused.
        """
        if self._known is None:
            writer = self._writer
            try:
                reads, writes = self._sight.door.told(), writer.door.told()
            except ReadError as error:
                raise RevocationError(error.message) from error
            if not self._source.plaintext:
                if writes.id is None:
                    why = f"Google does not tell whose the revoking identity's token is ({writes.shown})"
                    raise RevocationDeniedError(why, fix="revoke with a service account: its key file, or `revoke_account`")
                if reads.id == writes.id:
                    raise RevocationDeniedError(f"reader and revoker are the same identity ({writes.shown})", fix="give each its own")
            self._known = reads.shown, writes.shown
        return self._known

    def _call(self, change: Change) -> tuple[Call, dict[str, Any]]:
        """Give the call that sets a thing, and what it is asked."""
        name = change.parameters["name"]
        if change.action in _SWITCHES:
            return _SWITCHES[change.action][0 if change.after["disabled"] else 1], {"name": name}
        if change.action in _DELETES:
            return _DELETES[change.action], {"name": name}
        workload = name.startswith("projects/")
        if change.action == "disable-provider":
            asked = {"name": name, "updateMask": "disabled", "disabled": change.after["disabled"]}
            return (UPDATE_PROVIDER if workload else UPDATE_WORKFORCE_PROVIDER), asked
        if change.action == "delete-provider":
            return (DELETE_PROVIDER if workload else DELETE_WORKFORCE_PROVIDER), {"name": name}
        if change.after != GONE:
            return UNDELETE_API_KEY, {"name": name}
        row = self._sight.ask(API_KEY, {"name": name}) or {}
        etag = text(row, "etag")
        if etag is None or text(row, "uid") != change.before["uid"]:
            raise RevocationError(f"{name} is no longer as it was a moment ago", fix="look again")
        return DELETE_API_KEY, {"name": name, "etag": etag}

    def _do(self, call: Call, asked: dict[str, Any]) -> None:
        """Make a call as the revoking identity."""
        if self._writer.ask(call, asked) is None:
            raise RevocationError(f"{call.name}: what was to be changed does not exist", fix="look again")

    def _set_policy(self, change: Change) -> None:
        """Take one member out of a policy, or put it back; the etag of what was read lets Google refuse where others changed it since."""
        one = membership(change.parameters)
        policy = self._sight.policy(one.resource)
        state = self._sight.membership(one, policy)
        if state == change.after:
            return
        if state != change.before or policy is None:
            raise RevocationError(f"{one.role} on {one.resource} is no longer as it was when this was planned", fix="plan again")
        if text(policy, "etag") is None:
            raise RevocationError(f"the policy on {one.resource} was answered without an etag, and could overwrite somebody's change")
        back = change.after != GONE
        if back and one.account is not None and self._sight.behind(one) != change.after["unique_id"]:
            raise RevocationError(f"{one.member} is another account by now than the one that held {one.role}", fix="grant it by hand")
        _, call, _ = policy_calls(one.resource)
        self._do(call, {"resource": one.resource, "policy": with_member(policy, one) if back else without(policy, one)})

    @property
    def _sight(self) -> Sight:
        if self._reading is None:
            raise RevocationError("the scope has not been entered")
        return Sight(self._reading)

    @property
    def _writer(self) -> Sight:
        if self._writing is None:
            try:
                self._writing = self._enter_to_write(self._source)
            except ReadError as error:
                raise RevocationError(error.message) from error
        return Sight(self._writing)
