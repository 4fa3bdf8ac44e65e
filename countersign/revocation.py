"""What the core asks of a connector's revoking side: which changes take access away, and how each is looked at and made.

Two identities work at each provider and never stand in for each other: the one that reads looks before and after, the one that revokes
writes. A change names one thing by its immutable id, and holds its state before and after: making it is setting that one thing to `after`,
undoing it is the same change with the two states changed round.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Self

    from countersign.programme import Source
    from countersign.reading import Scope

Phase = Literal["disable", "delete", "restore"]
What = Literal["identity", "credential", "grant", "trust"]
State = dict[str, "Any"]
"""State of one thing as JSON: plain values, an allow-list of fields, never a secret; compared with `==`. Gone: `{"exists": False}`."""

ENTRY, IDENTITY, CREDENTIAL, GRANT, SESSION = 10, 20, 30, 40, 50
"""Order of changes: ways in from outside, then who comes, then with what, then what it may do, then what runs already."""
ENVIRONMENT = "COUNTERSIGN_REVOKE_"
"""Beginning of the environment variables that hold the revoking identity's credentials, before the SDK's own name for each."""


class RevocationError(CountersignError):
    """A change could not be planned, made or seen; what it is about is as it was, or as `look` says."""


class RevocationDeniedError(RevocationError):
    """The provider refused; trying again with the same permissions will not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Something by which a partner can get in: a row of the inventory, and why it is the partner's."""

    uid: str
    """Subject of the identity or credential; of a grant or trust: its identity's, with `#grant/...` or `#trust/...`."""
    what: What
    kind: str
    """Kind of the identity or credential; of a grant its role, of a trust the kind of party."""
    provider: str
    source: str
    scope: str
    identity_uid: str
    """Whose it is; an identity's own uid for itself."""
    name: str
    whole: bool
    """Whether the identity is the partner's. False: it is somebody else's, and only what lets the partner in goes."""
    how: str
    """Why it is the partner's, in the words of the attribution."""
    others: tuple[str, ...] = ()
    """Who else is let in by the same identity (partners, parties), so that what ends all sessions would hit them too."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """The inventory's row, column to value."""


@dataclass(frozen=True, slots=True)
class Residual:
    """What remains possible after a change."""

    what: str
    """One sentence, such as `tokens issued before live until they expire`."""
    seconds: int | None
    """For how long at most after the change; None: nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing set from one state to another."""

    action: str
    """The connector's short name of it, such as `deactivate-access-key`."""
    phase: Phase
    provider: str
    source: str
    scope: str
    target: str
    """Subject of the one identity or credential that is changed."""
    name: str
    """What people call it; may be hostile."""
    says: str
    """One sentence in the imperative, with the names that the provider's console shows."""
    parameters: Mapping[str, Any]
    """What looking and writing need, as JSON; immutable ids wherever the provider takes them."""
    before: State
    after: State
    reversible: bool
    order: int
    """ENTRY to SESSION; within one phase all that is reversible comes first."""
    takes: tuple[str, ...]
    """Uids of the holdings that it ends."""
    writes: tuple[str, ...]
    """The provider's names of the calls that change it."""
    looks: tuple[str, ...]
    """The provider's names of the calls that show it."""
    residual: Residual | None = None

    @property
    def id(self) -> str:
        """Return 16 hex characters that depend on what is changed and how, not on its state."""
        parts = [self.phase, self.provider, self.source, self.scope, self.action, self.target, dict(self.parameters)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]

    @property
    def place(self) -> tuple[bool, int, str, str, str, str]:
        """Return what changes are ordered by: reversible ones first."""
        return (not self.reversible, self.order, self.provider, self.scope, self.target, self.action)

    def undone(self) -> Change:
        """Return the change that takes this one back; only for what is reversible."""
        return replace(self, phase="restore", before=self.after, after=self.before, says=f"Take back: {self.says}", residual=None)


@dataclass(frozen=True, slots=True)
class Left:
    """Something of the partner's that no change takes away."""

    uid: str
    name: str
    why: str
    advice: str
    """What a person can do about it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of trying an old credential."""

    refused: bool | None
    """None: it could not be tried, or the answer tells nothing."""
    call: str
    said: str
    """The provider's own words, or why it could not be tried; never the secret."""


class Hand(Protocol):
    """One scope, entered to change it. A context manager, used by one thread."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def changes(self, holdings: Sequence[Holding], phase: Literal["disable", "delete"], since: datetime) -> Iterator[Change | Left]:
        """Yield what takes these holdings away, looked up live with the reading identity; nothing for what is away already.

        `since`: when the plan was first made (UTC); the end of sessions is judged from it, so that a second look gives the same changes.
        The same holdings in the same state give equal changes. Each holding is in the `takes` of a change, or a Left, or away already.
        Raises RevocationError when it cannot look; nothing is ever written.
        """
        ...

    def look(self, change: Change) -> State:
        """Return the state now, by the reading identity, in the same terms as `before` and `after`; raises RevocationError."""
        ...

    def write(self, change: Change) -> None:
        """Set the one thing from `before` to `after`, by the revoking identity; whether it did is for `look` to say.

        Never writes when the reader's and the revoker's identity are one. Raises RevocationDeniedError, RevocationError; an answer that
        was lost is a RevocationError as well, after which `look` tells.
        """
        ...

    def attempt(self, uid: str, secret: str) -> Tried:
        """Try a credential of a holding as its owner would, with the smallest call that changes nothing; keeps and tells no secret.

        `secret` is what the provider calls it: secret access key, client secret, key file (JSON), token, secret-id.
        """
        ...

    def who(self) -> tuple[str, str]:
        """Return who reads and who writes, by the provider's own word; raises RevocationError where there is no revoking identity."""
        ...


class Revoker(Protocol):
    """The face of `connectors/<provider>` for revoking."""

    def hand(self, source: Source, scope: Scope, *, run: str, now: Callable[[], datetime]) -> Hand:
        """Enter a scope; nothing is asked of the provider before the `with` block. `run` goes into session names, `now` is the clock."""
        ...


def revoker(provider: str) -> Revoker:
    """Load the revoking side of `connectors/<provider>`; raises RevocationError for a source that cannot be changed."""
    module = importlib.import_module(f"connectors.{provider}")
    if not hasattr(module, "hand"):
        raise RevocationError(f"a source of kind {provider} can only be read", fix="revoke where the export came from")
    return cast("Revoker", module)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the revoking identity's variables under the SDK's own names: `COUNTERSIGN_REVOKE_VAULT_TOKEN` as `VAULT_TOKEN`."""
    return {name.removeprefix(ENVIRONMENT): value for name, value in variables.items() if name.startswith(ENVIRONMENT) and value}
