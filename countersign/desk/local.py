"""The desk that comes with Countersign: tickets in the state database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from countersign.desk import Entry, Standing, Ticket, TicketGoneError
from countersign.schema import Utc, create, writing
from countersign.ticket_body import in_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Engine

    from countersign.remediation import Draft

OURSELVES = "countersign"

_metadata = sa.MetaData()
local_tickets = sa.Table(
    "local_tickets",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("control", sa.Text, nullable=False),
    sa.Column("partner", sa.Text),
    sa.Column("assignee", sa.Text),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("due", Utc),
    sa.Column("escalated", sa.Boolean, nullable=False),
    sa.Column("replaces", sa.Text),
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("closed_at", Utc),
    sqlite_autoincrement=True,
)
history = sa.Table(
    "local_ticket_history",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ticket", sa.Integer, sa.ForeignKey(local_tickets.c.id), nullable=False, index=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)


class LocalDesk:
    """Tickets beside the ledger, assigned to the accountable owner.

    `now` stamps what is written. `actor` is whose name goes into the history: ours, or the person's who uses the desk.
    """

    target = "local"
    search_lag = timedelta(0)
    redescribes_in_comments = False

    def __init__(self, engine: Engine, now: Callable[[], datetime], *, actor: str = OURSELVES) -> None:
        create(engine, _metadata)
        self._engine = engine
        self._write = writing(engine)
        self._now = now
        self._actor = actor

    def find(self, key: str) -> Ticket | None:
        """Return the open ticket of a key, else the newest closed one, else None."""
        query = (
            sa.select(local_tickets.c.id, local_tickets.c.key, local_tickets.c.state, local_tickets.c.closed_at)
            .where(local_tickets.c.key == key)
            .order_by(local_tickets.c.state.desc(), local_tickets.c.id.desc())
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else Ticket(_id(row.id), row.key, row.state, row.closed_at)

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these tickets are closed, and since when; None: it is gone."""
        query = sa.select(local_tickets.c.id, local_tickets.c.state, local_tickets.c.closed_at)
        with self._engine.connect() as connection:
            there = {_id(row.id): row for row in connection.execute(query)}
        closed = {ticket: row.closed_at for ticket, row in there.items() if row.state == "closed"}
        return {ticket: closed.get(ticket) for ticket in ids if ticket in closed or ticket not in there}

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Return False: here nobody can say why they close a ticket. Raises DeskError when there is none."""
        self.read(id)
        return False

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make a ticket."""
        with self._write.begin() as connection:
            values = {"key": key, "state": "open", "opened_at": self._now(), "replaces": draft.replaces, **_values(draft)}
            number = connection.execute(sa.insert(local_tickets).values(values).returning(local_tickets.c.id)).scalar_one()
            self._note(connection, number, "created", draft.title)
        return Ticket(_id(number), key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Replace what the draft says."""
        values = _values(draft)
        if not draft.body:
            del values["body"]
        self._change(id, values, "updated", draft.title)

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment."""
        self._change(id, {}, "commented", text)

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so changes nothing."""
        values = {"state": state, "closed_at": self._now() if state == "closed" else None}
        self._change(id, values, "closed" if state == "closed" else "opened", "", unless=state)

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, oldest first."""
        query = sa.select(history).where(history.c.ticket == _number(id)).order_by(history.c.id)
        with self._engine.connect() as connection:
            return tuple(Entry(row.at, row.actor, row.what, row.text) for row in connection.execute(query))

    def all(self) -> tuple[Mapping[str, object], ...]:
        """Return every ticket's fields as `read` does, but without the body, in the order in which they were made."""
        query = sa.select(*(column for column in local_tickets.c if column.name != "body")).order_by(local_tickets.c.id)
        with self._engine.connect() as connection:
            return tuple({**row, "id": _id(row["id"])} for row in connection.execute(query).mappings())

    def read(self, id: str) -> Mapping[str, object]:  # noqa: A002  (the port's name)
        """Return a ticket's fields as people see them; raises DeskError when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(local_tickets).where(local_tickets.c.id == _number(id))).mappings().first()
        if row is None:
            raise _missing(id)
        return {**row, "id": id}

    def _change(self, ticket: str, values: Mapping[str, object], what: str, text: str, *, unless: str | None = None) -> None:
        number = _number(ticket)
        with self._write.begin() as connection:
            state = connection.scalar(sa.select(local_tickets.c.state).where(local_tickets.c.id == number))
            if state is None:
                raise _missing(ticket)
            if state == unless:
                return
            if values:
                connection.execute(sa.update(local_tickets).where(local_tickets.c.id == number).values(dict(values)))
            self._note(connection, number, what, text)

    def _note(self, connection: Connection, number: int, what: str, text: str) -> None:
        entry = {"ticket": number, "at": self._now(), "actor": self._actor, "what": what, "text": text}
        connection.execute(sa.insert(history).values(entry))


def _values(draft: Draft) -> dict[str, object]:
    return {
        "title": draft.title,
        "body": in_plain(draft.body),
        "control": draft.control,
        "partner": draft.partner,
        "assignee": draft.accountable,
        "severity": draft.severity,
        "due": draft.due,
        "escalated": draft.escalated,
    }


def _id(number: int) -> str:
    return f"local:{number}"


def _number(ticket: str) -> int:
    desk, _, number = ticket.partition(":")
    if desk != "local" or not (number.isascii() and number.isdigit()):
        raise _missing(ticket)
    return int(number)


def _missing(ticket: str) -> TicketGoneError:
    return TicketGoneError(f"the local desk has no ticket {ticket!r}")
