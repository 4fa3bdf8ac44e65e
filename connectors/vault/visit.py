"""One reading of one namespace: who asks, how each operation goes, and what readers tell each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from connectors.vault.api import DENIED, Api, Refusal
from connectors.vault.use import Uses
from countersign.identity import Coverage, CoverageState, Observation, uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

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

    def operation(self, name: str, *covers: str, **parameters: object) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        return Operation(visit=self, name=name, covers=covers, parameters=parameters, started=self.now())


@dataclass(slots=True, kw_only=True)
class Operation:
    """The running count of one operation, which may be many calls of one kind."""

    visit: Visit
    name: str
    covers: tuple[str, ...]
    parameters: Mapping[str, object]
    started: datetime
    pages: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    denied: int = 0
    failed: str | None = None
    """Why no call could have read it, or read it whole; None: only refusals count."""

    def answered(self, rows: int = 1) -> None:
        """Count an answer and its rows."""
        self.pages += 1
        self.rows += rows

    def refuse(self, refusal: Refusal) -> None:
        """Count a call that the server refused, or whose answer makes no sense."""
        self.refused[str(refusal)] += 1
        self.denied += refusal.status == DENIED

    def settle(self, answer: Answer | Refusal) -> Answer | None:
        """Count the answer of a look-up; None when it was refused, or what it asks for is gone since it was listed."""
        if not isinstance(answer, Refusal):
            self.answered()
            return answer
        if answer.gone:
            self.pages += 1
            self.dropped["gone since it was listed"] += 1
        else:
            self.refuse(answer)
        return None

    def made(self, make: Callable[[], Answer]) -> Answer | None:
        """Turn an answer into a record; None, and counted, where it lacks what identifies it or holds something else than it should."""
        try:
            return make()
        except (AttributeError, KeyError, TypeError, ValueError):
            self.dropped["an answer that is not as documented"] += 1
            return None

    def observe(self, items: Sequence[Mapping[str, object]]) -> Observation:
        """Keep an answer's allow-listed fields."""
        return Observation(
            source=self.visit.source,
            scope=self.visit.scope,
            operation=self.name,
            parameters=self.parameters,
            page=self.pages,
            at=self.visit.now(),
            caller=self.visit.caller,
            items=tuple(items),
        )

    def coverage(self) -> Coverage:
        """Say how the operation went: partial as soon as one of several calls was refused."""
        total = sum(self.refused.values())
        state: CoverageState = "complete"
        if total or self.failed:
            state = "partial" if self.pages else "denied" if total and self.denied == total else "failed"
        worst = self.refused.most_common(1)
        return Coverage(
            source=self.visit.source,
            provider=PROVIDER,
            scope=self.visit.scope,
            operation=self.name,
            state=state,
            covers=self.covers,
            pages=self.pages,
            rows=self.rows,
            dropped=dict(self.dropped),
            error="; ".join([*([self.failed] if self.failed else []), *(f"{total} refused: {reason}" for reason, _ in worst)]) or None,
            started=self.started,
            finished=self.visit.now(),
        )


def told(listing: Operation, *details: Operation) -> Iterator[Coverage]:
    """Yield how a listing went, and the detail operations that were used at all."""
    yield listing.coverage()
    for operation in details:
        if operation.pages or operation.refused:
            yield operation.coverage()
