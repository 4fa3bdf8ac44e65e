"""One reading of one account: its listings page by page, how each operation goes, and what was answered as raw material."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.aws.listing import Item, Listing, plain
from connectors.aws.sdk import GoneError, NotOfferedError, reason_of
from countersign.aws_documents.fields import details, text
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import uid
from countersign.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from connectors.aws.door import Account
    from countersign.identity import Observation
    from countersign.pace import Budget
    from countersign.reading import ReadRequest

OPERATION_SECONDS = 120.0
"""How long one operation may take in all in one account, waiting included: a slow service must not hold the rest."""
_EMPTY_PAGES = 25
"""Empty pages in a row after which a listing is given up; some services give a few before they are done."""


@dataclass(slots=True, kw_only=True)
class Operation(Tally):
    """The running count of one operation, in all the regions where it is asked."""

    spent: float = 0.0
    """Seconds of waiting for answers."""

    def fail(self, error: ReadError, region: str | None = None) -> None:
        """Count a call that failed, in the named region; None: in the one that the service has."""
        reason = reason_of(error)
        self.refuse(reason if region is None else f"{region}: {reason}", denied=isinstance(error, ScopeDeniedError))


class Visit:
    """What every reader of an account needs."""

    def __init__(self, account: Account, request: ReadRequest) -> None:
        self.account = account
        self.request = request
        self.number = account.number
        self.tallies: dict[str, Operation] = {}
        self._seen: list[Observation] = []

    @property
    def now(self) -> datetime:
        """The time, by the run's clock."""
        return self.request.now()

    @property
    def regions(self) -> tuple[str, ...]:
        """Where regional services are read."""
        return self.account.source.regions

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this account."""
        return uid("aws", self.number, kind, native_id)

    def tally(self, operation: str, covers: tuple[str, ...] = ()) -> Operation:
        """Give the running count of an operation."""
        if operation not in self.tallies:
            scope = self.request.scope
            self.tallies[operation] = Operation(
                source=scope.source, provider=scope.provider, scope=scope.name, operation=operation, covers=covers, now=self.request.now,
                caller=self.account.caller,
            )  # fmt: skip
        return self.tallies[operation]

    def counted(self, listing: Listing) -> Operation:
        """Give the running count of a listing's operation."""
        return self.tally(listing.operation, listing.covers)

    def pages(
        self, listing: Listing, parameters: Item | None = None, *, region: str | None = None, pace: Budget | None = None
    ) -> Iterator[tuple[Item, ...]]:
        """Follow a listing to its end; a failure is kept in its tally and ends the pages, as does a listing that never ends."""
        tally = self.counted(listing)
        asked = dict(parameters or {})
        starts: set[str] = set()
        before: tuple[Item, ...] = ()
        empty = 0
        while True:
            answer = self._answer(tally, listing, {**asked, **listing.size}, region, pace)
            if answer is None:
                return
            rows = answer.get(listing.items)
            if not isinstance(rows, list) and (rows is not None or not is_data(answer)):
                tally.fail(ReadError(listing.operation, f"the answer has no list of {listing.items}"), region)
                return
            items = tuple(details(answer, listing.items))
            tally.answered(len(rows or ()))
            tally.drop("not an object", len(rows or ()) - len(items))
            if items:
                where = {"Region": region} if region else {}
                self.see(listing.operation, {**(parameters or {}), **where}, len(starts) + 1, tuple(map(listing.reduce, items)))
            yield items
            start = text(answer, listing.start)
            empty = 0 if items else empty + 1
            again = bool(items) and items == before
            # An empty page may bear the token that it was asked with: there is more, and not yet.
            waiting = not items and start == asked.get(listing.start)
            wrong = "is the same as the one before" if again else _wrong(answer, "" if waiting else start, starts, empty)
            before = items
            if wrong is not None:
                tally.fail(ReadError(listing.operation, f"page {len(starts) + 1} {wrong}"), region)
            if wrong is not None or not start:
                return
            starts.add(start)
            asked[listing.start] = start

    def one(self, listing: Listing, parameters: Item, *, region: str | None = None, pace: Budget | None = None) -> Item | None:
        """Ask for a single thing; None when it is gone, or could not be read (`why` says so). After a refusal nothing is asked."""
        tally = self.counted(listing)
        if tally.denied:
            return None
        answer = self._answer(tally, listing, parameters, region, pace)
        if answer is None:
            return None
        thing = answer.get(listing.items) if listing.items else answer
        if not isinstance(thing, Mapping):
            tally.fail(ReadError(listing.operation, f"the answer has no {listing.items}"))
            return None
        tally.answered(1)
        self.see(listing.operation, parameters, 1, (listing.reduce(thing),))
        return thing

    def why(self, listing: Listing) -> str:
        """Say why a thing could not be read."""
        return self.counted(listing).why or f"{listing.operation}: it is gone"

    def see(self, operation: str, parameters: Item, page: int, items: tuple[Item, ...]) -> None:
        """Keep an answer, to be handed out with the next records."""
        self._seen.append(self.observation(operation, parameters, page, items))

    def drain(self) -> Iterator[Observation]:
        """Hand out the answers kept so far."""
        seen, self._seen = self._seen, []
        yield from seen

    def observation(self, operation: str, parameters: Item, page: int, items: tuple[Item, ...]) -> Observation:
        """Turn an answer into a record."""
        said = {name: plain(value) for name, value in parameters.items()}
        return self.tally(operation).observe(items, parameters=said, page=page)

    def _answer(self, tally: Operation, listing: Listing, asked: Item, region: str | None, pace: Budget | None) -> Item | None:
        if tally.spent > OPERATION_SECONDS:
            tally.fail(ReadError(listing.operation, f"given up after {OPERATION_SECONDS:.0f} seconds; the rest was not asked for"))
            return None
        began = time.monotonic()
        try:
            if pace is not None:
                pace.take()
            return self.account.call(listing, asked, region=region)
        except GoneError:
            return None
        except NotOfferedError as error:
            tally.note = reason_of(error)
            return None
        except ReadError as error:
            tally.fail(error, region)
            return None
        finally:
            if not listing.patient:
                tally.spent += time.monotonic() - began


def is_data(answer: Item) -> bool:
    """Whether an answer without its list may be one that has nothing to list: the SDK reads an error page as an empty answer."""
    about = answer.get("ResponseMetadata")
    headers = about.get("HTTPHeaders") if isinstance(about, Mapping) else None
    kind, size = (text(headers, name) for name in ("content-type", "content-length")) if isinstance(headers, Mapping) else ("", "")
    return size != "0" and ("json" in kind or "xml" in kind)


def _wrong(answer: Item, start: str, starts: set[str], empty: int) -> str | None:
    if start and start in starts:
        return "ends where an earlier page ended"
    if empty > _EMPTY_PAGES:
        return f"is the {empty}th empty one in a row"
    # IAM's model spells it in two ways.
    if not text(answer, "Marker") and (answer.get("IsTruncated") is True or answer.get("isTruncated") is True):
        return "promises more and does not say where it starts"
    return None
