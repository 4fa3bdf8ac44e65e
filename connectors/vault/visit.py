"""One reading of one namespace: who asks, how each operation goes, and what readers tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from connectors.vault.api import DENIED, Api, Refusal
from connectors.vault.use import Uses
from countersign.identity import uid
from countersign.tally import GONE, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from countersign.identity import Coverage

PROVIDER = "vault"
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every reader of a scope needs."""

    api: Api
    source: str
    scope: str
    now: Callable[[], datetime]
    caller: str
    """Display name, and entity where there is one, of the token that reads."""
    own_accessor: str | None
    """Accessor of the token that reads; None when it could not be looked up."""
    own_entity: str | None
    own_session: bool
    """Whether this process logged in for the token, so that it is not part of the estate."""
    uses: Uses = field(default_factory=Uses)
    """When what is read was last used."""

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this scope."""
        return uid(PROVIDER, self.scope, kind, native_id)

    def operation(self, name: str, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        return Operation(
            source=self.source, provider=PROVIDER, scope=self.scope, operation=name, covers=covers, now=self.now, caller=self.caller
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Operation(Tally):
    """The running count of one operation."""

    def fail(self, refusal: Refusal) -> None:
        """Count a call that the server refused, or whose answer makes no sense."""
        self.refuse(str(refusal), denied=refusal.status == DENIED)

    def settle(self, answer: Answer | Refusal) -> Answer | None:
        """Count the answer of a look-up; None when it was refused, or what it asks for is gone since it was listed."""
        if not isinstance(answer, Refusal):
            self.answered(len(answer) if isinstance(answer, list) else 1)
            return answer
        if answer.gone:
            self.gone()
        else:
            self.fail(answer)
        return None

    def made(self, make: Callable[[], Answer]) -> Answer | None:
        """Turn an answer into a record; None, and counted, where it lacks what identifies it or holds something else than it should."""
        try:
            return make()
        except (AttributeError, KeyError, TypeError, ValueError):
            self.drop("an answer that is not as documented")
            return None


def told(listing: Operation, *details: Operation, each: bool = False) -> Iterator[Coverage]:
    """Yield how a listing went, and the detail operations that were used at all.

    `each`: the first of them asked for each row of the listing, so that the listing's length counts its answers a second time.
    """
    yield listing.coverage()
    if each and details[0].used:
        details[0].independent_count = listing.rows - details[0].dropped[GONE]
    for operation in details:
        if operation.used:
            yield operation.coverage()
