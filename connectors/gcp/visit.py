"""One reading of one scope: who asks, how each operation goes, and pages that end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.door import GoneError
from connectors.gcp.paging import pages
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, CoverageState, Observation, uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from connectors.gcp.door import Door
    from connectors.gcp.permissions import Call
    from countersign.fields import Row

PROVIDER = "gcp"
GONE = "gone since it was listed"


@dataclass(slots=True, kw_only=True)
class Visit:
    """What every reader of a scope needs."""

    door: Door
    source: str
    scope: str
    """Project id, or `organizations/N`."""
    now: Callable[[], datetime]
    operations: list[Operation] = field(default_factory=list)

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this scope."""
        return uid(PROVIDER, self.scope, kind, native_id)

    def operation(self, call: Call, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        made = Operation(visit=self, call=call, covers=covers, started=self.now())
        self.operations.append(made)
        return made

    def shared(self, call: Call) -> Operation:
        """Go on counting an operation that another reader may have begun."""
        return next((operation for operation in self.operations if operation.call is call), None) or self.operation(call)

    @property
    def answered(self) -> bool:
        """Whether anything was answered at all."""
        return any(operation.pages for operation in self.operations)

    def nothing_read(self) -> ReadError:
        """Give the error of a scope where nothing was answered: a refusal only if trying again cannot help."""
        errors = [operation.error for operation in self.operations if operation.error is not None]
        first = errors[0]
        if all(isinstance(error, ScopeDeniedError | GoneError) for error in errors):
            why = first.message.removeprefix(f"{first.operation}: ")
            return ScopeDeniedError(self.scope, f"every operation was refused; the first, {first.operation}: {why}")
        return next(error for error in errors if not isinstance(error, ScopeDeniedError | GoneError))


@dataclass(slots=True, kw_only=True)
class Operation:
    """The running count of one operation, which may be many calls of one kind."""

    visit: Visit
    call: Call
    covers: tuple[str, ...]
    started: datetime
    pages: int = 0
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    error: ReadError | None = None
    """The first failure; what was answered before and after it was kept."""
    failures: int = 0
    gap: str | None = None
    """Why rows that were answered could not all be understood."""

    def ask(self, asked: Row) -> Row | None:
        """Make one call of several; None when it failed, which is counted, or its subject is gone."""
        try:
            answer = self.visit.door.ask(self.call, asked)
        except GoneError:
            self.pages += 1
            self.dropped[GONE] += 1
            return None
        except ReadError as error:
            self.fail(error)
            return None
        self.pages += 1
        return answer

    def listed(self, listing: str, asked: Row) -> Iterator[tuple[Row, ...]]:
        """Yield the rows under `listing` page by page; a failure is kept, and ends the pages."""
        try:
            for page, misshapen in pages(self.visit.door, self.call, listing, asked):
                self.pages += 1
                if misshapen:
                    self.drop("entry that is no object", misshapen)
                yield page
        except ReadError as error:
            self.fail(error)

    def fail(self, error: ReadError) -> None:
        """Keep the first failure."""
        self.error = self.error or error
        self.failures += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Leave out rows that could not be understood: the operation is then not complete."""
        self.dropped[reason] += count
        self.gap = self.gap or f"left out: {reason}"

    @property
    def state(self) -> CoverageState:
        """`partial` when something was answered, and something is missing."""
        if self.error is None:
            return "partial" if self.gap else "complete"
        if self.pages:
            return "partial"
        return "denied" if isinstance(self.error, ScopeDeniedError) else "failed"

    @property
    def why(self) -> str | None:
        """What is missing and why, with the operation's name; None when nothing is."""
        if self.error is not None:
            return str(self.error)
        return None if self.gap is None else f"{self.call.name}: {self.gap}"

    def observe(self, parameters: Mapping[str, object], items: Sequence[Mapping[str, object]]) -> Observation:
        """Keep an answer's allow-listed fields."""
        visit = self.visit
        return Observation(
            source=visit.source,
            scope=visit.scope,
            operation=self.call.name,
            parameters=parameters,
            page=self.pages,
            at=visit.now(),
            caller=visit.door.caller,
            items=tuple(items),
        )

    def coverage(self) -> Coverage:
        """Say how the operation went."""
        error = self.gap
        if self.error is not None:
            error = self.error.message.removeprefix(f"{self.error.operation}: ")
            error = error if self.failures == 1 else f"{self.failures} calls failed, the first: {error}"
        return Coverage(
            source=self.visit.source,
            provider=PROVIDER,
            scope=self.visit.scope,
            operation=self.call.name,
            state=self.state,
            covers=self.covers,
            pages=self.pages,
            rows=self.rows,
            dropped=dict(self.dropped),
            error=error,
            started=self.started,
            finished=self.visit.now(),
        )
