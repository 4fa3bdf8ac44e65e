"""The place where people work on tickets: one small port, and one file per tracker that speaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from countersign.reading import Probe
    from countersign.remediation import Draft

Standing = Literal["open", "closed"]


class DeskError(CountersignError):
    """The desk did not do one thing, and certainly did not do it by half (a 409 or 429, a ticket that is gone)."""


class TicketGoneError(DeskError):
    """The desk has no such ticket any more, or hides it from us, which no desk tells apart."""


class DeskBusyError(DeskError):
    """The desk asks to be left alone for longer than we wait: going on would only anger it."""


class DeskRefusedError(DeskError):
    """The desk refuses us as we are configured (400, 401, 403, 404): going on would only repeat it."""


class AnswerLostError(DeskError):
    """The answer was cut off or was a 5xx: a create may have happened, so it is looked up before it is tried again."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the desk tells it: a claim, not evidence."""

    id: str
    """With the desk's name in front, such as `local:12`."""
    key: str
    state: Standing
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a ticket's history."""

    at: datetime
    actor: str
    """Who, by the desk's own word."""
    what: Literal["created", "updated", "commented", "opened", "closed"]
    text: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a ticket's status, from its history."""

    at: datetime
    actor: str
    """Account that made it, by the tracker's own word."""
    was: str
    """Status before, as the tracker calls it."""
    becomes: str
    entry: str
    """The entry of the history, for people."""


class Desk(Protocol):
    """What every tracker must do. All methods raise DeskError; `id` is Ticket.id."""

    @property
    def target(self) -> str:
        """Name of this desk in the outbox; two projects are two targets."""
        ...

    @property
    def search_lag(self) -> timedelta:
        """How long after it was made a ticket may be hidden from `find`."""
        ...

    @property
    def redescribes_in_comments(self) -> bool:
        """Whether a new description is a comment, that people are told of; elsewhere it takes the old one's place silently."""
        ...

    def find(self, key: str) -> Ticket | None:
        """Return the ticket of a key: the open one, else the newest closed one, else None."""
        ...

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these tickets are closed, and since when, in few calls for many tickets; None: it is gone.

        Nothing is said of one that could not be asked about.
        """
        ...

    def declined(self, id: str) -> bool:  # noqa: A002  (a ticket's id is called id)
        """Say whether people closed it as not to be fixed, by the tracker's word for that: they wish for an exception, which is none."""
        ...

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make a ticket; never repeats a create whose answer was lost."""
        ...

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (a ticket's id is called id)
        """Replace title, body (unless the draft's is empty), assignee, severity and due date; does so silently where the desk can."""
        ...

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (as above)
        """Add a comment that people are told about."""
        ...

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (as above)
        """Open or close it; already being so is no error."""
        ...

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (as above)
        """Return what happened to it, oldest first."""
        ...


class Probed(Desk, Protocol):
    """A desk outside the state database, which the doctor tries."""

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail. Raises nothing."""
        ...


class Tracker(Desk, Protocol):
    """A desk that the customer runs for itself, so that its history says who decided. All methods raise DeskError."""

    def ourselves(self) -> str:
        """Return the account that we use."""
        ...

    def opened(self, id: str) -> tuple[str, str]:  # noqa: A002  (as above)
        """Return the account that made a ticket, and the text that it made it with, which nobody can have edited since."""
        ...

    def transitions(self, id: str) -> tuple[Transition, ...]:  # noqa: A002  (as above)
        """Return every change of this ticket's status, oldest first; those of tickets merged into it are theirs."""
        ...
