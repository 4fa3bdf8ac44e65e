"""The desk that a programme names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.desk.file import FileDesk
from countersign.desk.local import LocalDesk
from countersign.desk_settings import Desk as Local
from countersign.desk_settings import GitHub, GitLab, Jira, RequestTracker, TicketFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.engine import Engine

    from countersign.desk import Desk, Probed
    from countersign.desk.request_tracker import RequestTrackerDesk
    from countersign.desk_settings import ServiceNow
    from countersign.programme import Programme


def desk_of(programme: Programme, engine: Engine, now: Callable[[], datetime]) -> Desk:
    """Return where the programme's tickets go; nothing is asked of it yet. `engine` and `now` are for desks of our own."""
    probed = probed_of(programme, now)
    return LocalDesk(engine, now) if probed is None else probed


def tracker_of(programme: Programme) -> RequestTrackerDesk | None:
    """Return the desk if an approval can be read from it: the customer runs it, and nobody edits its history. None: it proves nothing."""
    if not isinstance(programme.desk, RequestTracker):
        return None
    from countersign.desk.request_tracker import RequestTrackerDesk  # loads httpx

    return RequestTrackerDesk(programme.desk, _accounts(programme, programme.desk.name))


def probed_of(programme: Programme, now: Callable[[], datetime]) -> Probed | None:
    """Return the desk for the doctor to try; None: it is in the state database, which is tried anyway."""
    settings = programme.desk
    if isinstance(settings, Local):
        return None
    if isinstance(settings, TicketFolder):
        return FileDesk(settings.folder, now)
    if isinstance(settings, RequestTracker):
        return tracker_of(programme)
    return _told_only(settings, _accounts(programme, settings.name))


def _told_only(settings: GitHub | GitLab | Jira | ServiceNow, accounts: dict[str, str]) -> Probed:
    """Return the desk at a tracker that people are told by, and no approval is read from. Each loads httpx."""
    if isinstance(settings, GitHub):
        from countersign.desk.github import GitHubDesk

        return GitHubDesk(settings, accounts)
    if isinstance(settings, GitLab):
        from countersign.desk.gitlab import GitLabDesk

        return GitLabDesk(settings, accounts)
    if isinstance(settings, Jira):
        from countersign.desk.jira import JiraDesk

        return JiraDesk(settings, accounts)
    from countersign.desk.servicenow import ServiceNowDesk

    return ServiceNowDesk(settings, accounts)


def _accounts(programme: Programme, name: str) -> dict[str, str]:
    """Say who is who in a tracker: a person's id, and the name of their account."""
    people = programme.register.people.values()
    return {person.id: person.accounts[name] for person in people if name in person.accounts}
