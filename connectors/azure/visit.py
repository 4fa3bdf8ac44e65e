"""One reading of one tenant: who asks, through which door, and how each operation goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.azure.door import BATCH, Refusal
from connectors.azure.permissions import lacking
from countersign.identity import uid
from countersign.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from connectors.azure.door import Door
    from countersign.fields import Row
    from countersign.pace import Budget

PROVIDER = "azure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every reader of a tenant needs."""

    door: Door
    source: str
    tenant: str
    now: Callable[[], datetime]
    caller: str
    """Who reads, by the token's own word."""
    own_principal: str | None
    """Object id of the service principal that reads; None where the token does not say."""

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this tenant."""
        return uid(PROVIDER, self.tenant, kind, native_id)

    def operation(self, name: str, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        return Operation(
            visit=self, source=self.source, provider=PROVIDER, scope=self.tenant, operation=name, covers=covers, now=self.now,
            caller=self.caller,
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Operation(Tally):
    """The running count of one operation."""

    visit: Visit

    def fail(self, refusal: Refusal) -> None:
        """Count a call that the service refused, with the permission that is missing where that is the reason."""
        self.refuse(f"{refusal}; {lacking(self.operation)}" if refusal.denied else str(refusal), denied=refusal.denied)

    def settle(self, answer: Row | Refusal) -> Row | None:
        """Count the answer to a look-up; None when it was refused, or what it asks for is gone since it was listed."""
        if not isinstance(answer, Refusal):
            self.answered()
            return answer
        if answer.gone:
            self.gone()
        else:
            self.fail(answer)
        return None


def listed(operation: Operation, path: str, *, quota: Budget | None = None) -> Iterator[tuple[Row, ...]]:
    """Yield a Graph collection page by page, counting; a refusal ends it and is counted."""
    try:
        for page in operation.visit.door.graph.pages(path, quota=quota):
            operation.answered(len(page))
            yield page
    except Refusal as refusal:
        operation.fail(refusal)


def look_up(visit: Visit, paths: list[tuple[str, str]]) -> list[tuple[str, Row | Refusal]]:
    """GET many single objects by `$batch`; a whole batch that is refused is the answer of each of its items."""
    found: list[tuple[str, Row | Refusal]] = []
    for start in range(0, len(paths), BATCH):
        chunk = paths[start : start + BATCH]
        try:
            found += visit.door.graph.batch(chunk)
        except Refusal as refusal:
            found += [(key, refusal) for key, _ in chunk]
    return found
