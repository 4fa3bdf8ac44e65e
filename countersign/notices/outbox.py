"""The outbox of messages: one row for each step, channel and recipient, so that a crash neither loses nor repeats what was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from countersign.schema import Utc, create, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from sqlalchemy.engine import Engine

NoticeState = Literal["claimed", "sending", "told", "unknown", "over"]
"""`sending` while a process sends it; `unknown`: that process died, so that it may have been told; `over`: it need not be told any more."""
DIGEST = "digest"
"""What a digest's row is about."""
KEY = ("about", "clock", "since", "percent", "channel", "recipient")

_metadata = sa.MetaData()
notices = sa.Table(
    "notices",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("about", sa.Text, nullable=False, comment="control and partner, key of a ticket, id of a plan, or `digest`"),
    sa.Column("clock", sa.Text, nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.Column("percent", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False, comment="empty: whoever reads the channel"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("claimed_at", Utc, nullable=False),
    sa.Column("told_at", Utc),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
)
sa.Index("one_notice_per_step", *(notices.c[name] for name in KEY), unique=True)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What one row is about."""

    about: str
    clock: str
    since: datetime
    percent: int
    channel: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A row that is still to be told."""

    id: int
    key: Key
    again: bool
    """Whether it may have been told already by a process that died."""


class Outbox:
    """The rows in the state database: the steps' under the lock `telling`, digests' under the lock `digest`.

    So whoever else was sending the same is dead.
    """

    def __init__(self, engine: Engine) -> None:
        create(engine, _metadata)
        self._engine = engine
        self._write = writing(engine)
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    def claim(self, keys: Iterable[Key], at: datetime) -> None:
        """Put what is to be told on file, once; what is there stays as it is, but for what was over and is to be told after all."""
        rows = [
            {name: getattr(key, name) for name in KEY} | {"state": "claimed", "claimed_at": at, "tries": 0} for key in sorted(set(keys))
        ]
        if rows:
            insert = self._insert(notices)
            again = {"state": "claimed", "claimed_at": at, "error": None}
            with self._write.begin() as connection:
                connection.execute(insert.on_conflict_do_update(index_elements=KEY, set_=again, where=notices.c.state == "over"), rows)

    def recover(self, *, digests: bool) -> None:
        """Mark the digests, or the steps, that a dead process was sending: perhaps told, perhaps not."""
        dead = (notices.c.state == "sending") & ((notices.c.about == DIGEST) if digests else (notices.c.about != DIGEST))
        with self._write.begin() as connection:
            connection.execute(sa.update(notices).where(dead).values(state="unknown"))

    def waiting(self) -> tuple[Notice, ...]:
        """Return what is not told yet, in the order in which it was claimed."""
        query = sa.select(notices).where(notices.c.state.in_(("claimed", "unknown"))).order_by(notices.c.id)
        with self._engine.connect() as connection:
            return tuple(
                Notice(row.id, Key(*(getattr(row, name) for name in KEY)), row.state == "unknown") for row in connection.execute(query)
            )

    def told(self) -> Callable[[Key], bool]:
        """Return what says whether this step, or a higher one of its ladder, was told to its recipient over its channel."""
        place = tuple(notices.c[name] for name in KEY if name != "percent")
        query = sa.select(*place, sa.func.max(notices.c.percent)).where(notices.c.state == "told").group_by(*place)
        with self._engine.connect() as connection:
            highest = {tuple(row[:-1]): row[-1] for row in connection.execute(query)}
        return lambda key: key.percent <= highest.get(tuple(getattr(key, name) for name in KEY if name != "percent"), -1)

    def settle(self, ids: Collection[int], state: NoticeState, *, at: datetime, error: str | None = None) -> None:
        """Record what became of rows; `sending` counts as a try, and `error` is the last one's."""
        values: dict[str, object] = {"state": state, "error": error}
        if state == "sending":
            values["tries"] = notices.c.tries + 1
        if state == "told":
            values["told_at"] = at
        with self._write.begin() as connection:
            connection.execute(sa.update(notices).where(notices.c.id.in_(ids)).values(values))
