"""The desk that a programme names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.desk.local import LocalDesk
from countersign.programme import RequestTracker

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.engine import Engine

    from countersign.desk import Desk
    from countersign.desk.request_tracker import RequestTrackerDesk
    from countersign.programme import Programme


def desk_of(programme: Programme, engine: Engine, now: Callable[[], datetime]) -> Desk:
    """Return where the programme's tickets go; nothing is asked of it yet. `engine` and `now` are for the local desk."""
    tracker = tracker_of(programme)
    return LocalDesk(engine, now) if tracker is None else tracker


def tracker_of(programme: Programme) -> RequestTrackerDesk | None:
    """Return the desk if the customer runs it, so that an approval can be read from it; None: the local one, which proves nothing."""
    if not isinstance(programme.desk, RequestTracker):
        return None
    from countersign.desk.request_tracker import RequestTrackerDesk  # loads httpx

    name, people = programme.desk.name, programme.register.people.values()
    return RequestTrackerDesk(programme.desk, {person.id: person.accounts[name] for person in people if name in person.accounts})
