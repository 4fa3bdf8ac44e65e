"""Taking access away on one namespace: what `countersign.revocation` asks of a connector, for Vault and OpenBao."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Literal, Self, TypeVar, cast

from connectors.vault import revoking_states
from connectors.vault.api import Api, Json, Refusal
from connectors.vault.login import myself, writer
from connectors.vault.revoking_attempts import attempt
from connectors.vault.revoking_changes import Planner
from connectors.vault.revoking_sheet import Sheet
from countersign.errors import ReadError, ScopeDeniedError
from countersign.revocation import RevocationDeniedError, RevocationError, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from countersign.programme import Source, VaultSource
    from countersign.reading import Scope
    from countersign.revocation import Change, Holding, Left, State, Tried

Answer = TypeVar("Answer")

_SELF = "auth/token/lookup-self"
_PATIENCE = (0.25, 0.5)
"""Waits when the server is busy; whoever revokes looks again by itself."""


def hand(source: Source, scope: Scope, *, run: str, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep) -> VaultHand:
    """Enter a namespace; nothing is asked of the server before the `with` block. `sleep` waits when the server is busy."""
    del run, now  # a token's display name is not ours to choose, and nothing here depends on the time
    return VaultHand(cast("VaultSource", source), scope, sleep)


class VaultHand:
    """One namespace, entered to change it; see `countersign.revocation.Hand`."""

    def __init__(self, source: VaultSource, scope: Scope, sleep: Callable[[float], None]) -> None:
        self._source, self._scope = source, scope
        self._namespace = scope.detail["namespace"] or None
        self._outside = Api(source.address, token="", namespace=source.namespace, ca=source.ca, sleep=sleep, delays=_PATIENCE)
        self._entered: tuple[Api, Json] | None = None
        self._writing: tuple[Api, Json] | None = None

    def __enter__(self) -> Self:
        try:
            login, about = myself(self._source, self._outside)
        except ReadError as error:
            raise _refused(error) from error
        told = revoking_states.must(about, f"GET {_SELF}")
        self._entered = (self._outside.within(token=login.token, namespace=self._namespace), told)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered = self._writing = None

    def changes(self, holdings: Sequence[Holding], phase: Literal["disable", "delete"], since: datetime) -> Iterator[Change | Left]:
        """Yield what takes these holdings away; see the protocol."""
        api, me = self._reader
        mine = tuple(sorted(holdings, key=lambda one: (one.what != "identity", one.uid)))
        planner = Planner(Sheet(api, self._scope, me, phase, since, mine))
        yield from _answered(lambda: list(planner.plan()))

    def look(self, change: Change) -> State:
        """Return the state now; raises RevocationError."""
        api, _ = self._reader
        return _answered(lambda: revoking_states.look(api, change.action, change.parameters))

    def write(self, change: Change) -> None:
        """Set the one thing from `before` to `after`, where it is still as `before` says; raises RevocationError."""
        api, writes = self._writer()
        _, reads = self._reader
        if _same(reads, writes):
            raise RevocationDeniedError(
                f"the token that reads and the token that revokes are the same identity, {_named(reads)}",
                fix="give COUNTERSIGN_REVOKE_VAULT_... the credential of another identity, with the policy revoke.hcl",
            )
        for whose, about in (("reads", reads), ("revokes", writes)):
            if revoking_states.is_own(change.action, change.parameters, about):
                raise RevocationDeniedError(
                    f"this would end the identity that {whose} here, {_named(about)}", fix="take it out of the plan"
                )
        seen = self.look(change)
        if seen != dict(change.before):
            raise RevocationError("nothing was written: it is not any more as the change expects it", fix="plan again")
        verb, path, body = revoking_states.call(change)
        for one in self._of_role(change) if change.action == "end-tokens" else [body]:
            answer = _answered(partial(api.once, verb, path, one))
            if isinstance(answer, Refusal):
                raise revoking_states.trouble(answer, f"{verb} {path}")

    def attempt(self, uid: str, secret: str) -> Tried:
        """Try a token, secret-id or password as its owner would; see docs/connectors/vault.md for how a secret-id is given."""
        api, _ = self._reader
        outside = self._outside.within(token="", namespace=self._namespace)
        return _answered(lambda: attempt(api, outside, self._scope, uid, secret))

    def who(self) -> tuple[str, str]:
        """Return who reads and who writes, by `auth/token/lookup-self`; raises RevocationError."""
        return _named(self._reader[1]), _named(self._writer()[1])

    def _of_role(self, change: Change) -> list[Json]:
        """Give the bodies of the calls that end each token of a role, once it gives out no more."""
        api, _ = self._reader
        if not _answered(lambda: revoking_states.shut(api, change.parameters)):
            raise RevocationError("nothing was written: the role still gives out tokens", fix="close it first")
        return [{"accessor": accessor} for accessor in _answered(lambda: revoking_states.tokens_of(api, change.parameters))]

    @property
    def _reader(self) -> tuple[Api, Json]:
        if self._entered is None:
            message = "a hand is used within its `with` block"
            raise RuntimeError(message)
        return self._entered

    def _writer(self) -> tuple[Api, Json]:
        if self._writing is None:
            try:
                login = writer(self._source, self._outside, environment(os.environ))
            except ReadError as error:
                raise _refused(error) from error
            home = self._outside.within(token=login.token, namespace=self._source.namespace)
            about = revoking_states.must(_answered(lambda: home.get(_SELF)), f"GET {_SELF}, as the one that revokes")
            self._writing = (self._outside.within(token=login.token, namespace=self._namespace), about)
        return self._writing


def _answered(call: Callable[[], Answer]) -> Answer:
    """Make a call; no answer, or one that makes no sense, is a RevocationError."""
    try:
        return call()
    except ReadError as error:
        raise _refused(error) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RevocationError("the server's answer is not as documented", fix="look at it with the vault command line") from error


def _refused(error: ReadError) -> RevocationError:
    return (RevocationDeniedError if isinstance(error, ScopeDeniedError) else RevocationError)(error.message, fix=error.fix)


def _same(one: Json, other: Json) -> bool:
    """Whether two tokens are one identity: one entity's, or one token where there is no entity."""
    entity = one.get("entity_id")
    return entity == other.get("entity_id") if entity else one.get("accessor") == other.get("accessor")


def _named(about: Json) -> str:
    entity = about.get("entity_id")
    return f"{about.get('display_name')} ({'entity' if entity else 'accessor'} {entity or about.get('accessor')})"
