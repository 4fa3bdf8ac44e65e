"""One reading of one scope: who asks, how each operation goes, and pages that end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.door import GoneError
from connectors.gcp.paging import pages
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import Row, listed
from countersign.identity import uid
from countersign.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from connectors.gcp.door import Door
    from connectors.gcp.permissions import Call

PROVIDER = "gcp"


@dataclass(slots=True, kw_only=True)
class Visit:
    """What every reader of a scope needs."""

    door: Door
    source: str
    scope: str
    """Project id, or `organizations/N`."""
    now: Callable[[], datetime]
    operations: list[Operation] = field(default_factory=list)
    failures: list[ReadError] = field(default_factory=list)

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this scope."""
        return uid(PROVIDER, self.scope, kind, native_id)

    def operation(self, call: Call, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        made = Operation(
            visit=self, call=call, source=self.source, provider=PROVIDER, scope=self.scope, operation=call.name, covers=covers,
            now=self.now, caller=self.door.caller,
        )  # fmt: skip
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
        others = (error for error in self.failures if not isinstance(error, ScopeDeniedError | GoneError))
        denied = ScopeDeniedError(self.scope, f"every operation was refused; the first, {self.failures[0].message}")
        return next(others, denied)


@dataclass(slots=True, kw_only=True)
class Operation(Tally):
    """The running count of one operation."""

    visit: Visit
    call: Call

    def answered(self, rows: int = 1) -> None:
        """Count an answer and the rows in it."""
        self.caller = self.visit.door.caller  # a machine's credentials know whose they are once they have been used
        Tally.answered(self, rows)

    def ask(self, asked: Row, listing: str | None = None) -> Row | None:
        """Make one call of several; None when it failed, which is counted, or its subject is gone.

        The answer is one row, or where it has a `listing`, the rows in that.
        """
        try:
            answer = self.visit.door.ask(self.call, asked)
        except GoneError:
            self.gone()
        except ReadError as error:
            self.fail(error)
        else:
            self.answered(1 if listing is None else len(listed(answer, listing)))
            return answer
        return None

    def listed(self, listing: str, asked: Row) -> Iterator[tuple[Row, ...]]:
        """Yield the rows under `listing` page by page; a failure is counted, and ends the pages."""
        try:
            for page, misshapen in pages(self.visit.door, self.call, listing, asked):
                self.answered(len(page) + misshapen)
                self.drop("entry that is no object", misshapen)
                yield page
        except ReadError as error:
            self.fail(error)

    def fail(self, error: ReadError) -> None:
        """Count a call that was refused or failed."""
        self.visit.failures.append(error)
        self.refuse(error.message.removeprefix(f"{error.operation}: "), denied=isinstance(error, ScopeDeniedError))
