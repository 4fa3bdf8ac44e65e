"""A desk in the issues of a project on GitLab, gitlab.com's or the customer's own.

Which issue is whose key's stands in a label of that name: listing by label asks the database, not a search index that lags; only an
issue that our own account made counts. Sources: https://docs.gitlab.com/api/issues/, /notes/, /resource_state_events/, /projects/.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from countersign.desk import AnswerLostError, DeskError, Entry, Standing, Ticket
from countersign.desk.missing import asked_alone
from countersign.desk.ticket_text import (
    KEY,
    MARK,
    as_written,
    checked,
    described_in_markdown,
    fenced,
    foremost,
    is_refusal,
    marks,
    plain,
    stated_key,
    title,
    unfenced,
)
from countersign.desk.wire import Wire, json_of, time_of
from countersign.pace import budget
from countersign.reading import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.desk_settings import GitLab
    from countersign.remediation import Draft

PREFIX = "gitlab:"
PAGE = 100
"""Items to a page, and issues asked for by number at once; GitLab gives no more."""
UNITS, SECONDS = 150.0, 60.0
"""Requests: gitlab.com allows 300 notes and 200 new issues a minute for a user."""
TITLE = 255
BODY = 500_000
"""Characters, of a million that GitLab takes."""
PLANNER = 15
"""Lowest role that may make labels and change every issue."""


class GitLabDesk:
    """Issues of one project. `owners` says who is who on GitLab: a person's id in the register, and their username."""

    search_lag = timedelta(0)
    redescribes_in_comments = False

    def __init__(self, settings: GitLab, owners: Mapping[str, str]) -> None:
        self._settings = settings
        self._owners = owners
        url = settings.url.rstrip("/")
        pace = budget("gitlab", url, units=UNITS, seconds=SECONDS)
        self._wire = Wire(url, "/api/v4", token_from=settings.token_from, ca=settings.ca, sign=_signed, pace=pace)
        self._project = f"projects/{quote(settings.project, safe='')}"
        self._users: dict[str, int | None] = {}
        self.target = f"gitlab:{url}#{settings.project}"

    def find(self, key: str) -> Ticket | None:
        """Return the open issue of a key that our account made, else the newest closed one, else None."""
        found = self._issues(labels=checked(key), state="all", author_id=self._me["id"])
        ours = [item for item in found if _user(item.get("author")) == self._me["username"] and key in _labels(item)]
        return foremost(_ticket(item, key) for item in sorted(ours, key=_number_of, reverse=True))

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these issues are closed and since when, in a call for each hundred of them.

        What is not listed is asked for alone. None: it is gone, or hidden from us.
        """
        numbers = [_number(id) for id in ids]  # noqa: A001  (a ticket's id is called id)
        found: dict[str, datetime | None] = {}
        left = set(numbers)
        for start in range(0, len(numbers), PAGE):
            for item in self._issues(**{"iids[]": numbers[start : start + PAGE], "state": "all"}):
                left.discard(_number_of(item))
                if item.get("state") == "closed":
                    found[_id(item)] = _ended(item)
        found |= asked_alone(self, left, self._closed_at, PREFIX)
        return {id: found[id] for id in ids if id in found}  # noqa: A001  (as above)

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: GitLab has no word for that, so by a label."""
        return any(is_refusal(name) for name in _labels(self._read(_number(id))))

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make an issue; never repeats a create whose answer was lost."""
        self._may_label  # noqa: B018 - asks once, before anything is made that could not be found again
        fields: dict[str, object] = {"title": title(draft.title, TITLE), "description": _body(draft, checked(key))}
        fields |= {"labels": ",".join(marks(key, draft, self._settings.severities)), "due_date": _due(draft)}
        owner = self._owner(draft)
        if owner is not None:
            fields["assignee_ids"] = [owner]
        made = self._wire.write("POST", f"{self._project}/issues", fields)
        if not isinstance(made, dict) or not isinstance(made.get("iid"), int):
            raise AnswerLostError(f"{self.target} did not say which issue it made")
        return Ticket(_id(made), key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Set title, description, due date and our labels where they differ, and give an issue of nobody's to its owner.

        GitLab has no condition for a write, so that it is read just before. One that people gave to somebody else stays theirs.
        """
        issue = self._read(_number(id))
        key = _key(issue)
        changes: dict[str, object] = {}
        if issue.get("title") != title(draft.title, TITLE):
            changes["title"] = title(draft.title, TITLE)
        if draft.body and as_written(issue.get("description")) != _body(draft, key):
            changes["description"] = _body(draft, key)
        if issue.get("due_date") != _due(draft):
            changes["due_date"] = _due(draft) or ""
        has, wanted = set(_labels(issue)), set(marks(key, draft, self._settings.severities))
        if wanted - has:
            changes["add_labels"] = ",".join(sorted(wanted - has))
        if has & self._of_severities - wanted:
            changes["remove_labels"] = ",".join(sorted(has & self._of_severities - wanted))
        owner = None if issue.get("assignees") else self._owner(draft)
        if owner is not None:
            changes["assignee_ids"] = [owner]
        if changes:
            self._wire.write("PUT", f"{self._project}/issues/{_number(id)}", changes, of_ticket=True)

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment; GitLab tells those who take part in the issue."""
        said = {"body": fenced(plain(text)[:BODY])}
        self._wire.write("POST", f"{self._project}/issues/{_number(id)}/notes", said, of_ticket=True)

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so is no error."""
        number = _number(id)
        if _state(self._read(number)) == state:
            return
        change = {"state_event": "reopen" if state == "open" else "close"}
        now = self._wire.write("PUT", f"{self._project}/issues/{number}", change, of_ticket=True)
        if not isinstance(now, dict) or _state(now) != state:
            raise DeskError(f"{id} did not become {state}", fix="give our account the role Planner or Reporter in the project")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, oldest first. GitLab does not tell what a description was before."""
        number = _number(id)
        issue = self._read(number)
        path = f"{self._project}/issues/{number}"
        text = as_written(issue.get("description"))
        entries = [Entry(_instant(issue.get("created_at")), _user(issue.get("author")), "created", text)]
        for note in self._wire.pages(f"{path}/notes", {"sort": "asc", "order_by": "created_at"}, per_page=PAGE, of_ticket=True):
            text = unfenced(str(note.get("body") or ""))
            what: Literal["updated", "commented"] = "updated" if note.get("system") else "commented"
            entries.append(Entry(_instant(note.get("created_at")), _user(note.get("author")), what, text))
        for event in self._wire.pages(f"{path}/resource_state_events", {}, per_page=PAGE, of_ticket=True):
            became: Literal["opened", "closed"] = "closed" if event.get("state") == "closed" else "opened"
            entries.append(Entry(_instant(event.get("created_at")), _user(event.get("user")), became, ""))
        return tuple(sorted(entries, key=attrgetter("at")))

    def ourselves(self) -> str:
        """Return the username of our account."""
        return str(self._me["username"])

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail."""
        scope = self._settings.project
        try:
            who = self.ourselves()
            yield Probe(scope, "sign in", ok=True, detail=f"as {who}")
            project = self._wire.get(self._project)
            shut = (project.get("archived") and "it is archived") or (project.get("issues_enabled") is False and "it has no issues")
            yield Probe(scope, "see the project", ok=not shut, detail=shut or "")
            public = project.get("visibility") != "private"
            detail = "others than its members can read this project" if public else ""
            yield Probe(scope, "keep tickets from outsiders", ok=not public, detail=detail)
            enough = _role(project) >= PLANNER
            yield Probe(scope, "make issues with labels", ok=enough, detail="" if enough else f"{who} needs the role Planner or Reporter")
            next(self._issues(state="all"), None)
            yield Probe(scope, "list issues", ok=True, detail="whether the token may write issues shows with the first ticket")
        except DeskError as error:
            yield Probe(scope, "ask", ok=False, detail=str(error))

    @property
    def _of_severities(self) -> frozenset[str]:
        severities = self._settings.severities
        return frozenset() if severities is None else frozenset(severities.all().values())

    @cached_property
    def _me(self) -> dict[str, Any]:
        user = self._wire.get("user")
        if not isinstance(user.get("id"), int) or not user.get("username"):
            raise DeskError(f"{self.target} did not say who we are")
        return user

    @cached_property
    def _may_label(self) -> bool:
        """Make the label that all our issues bear, or learn that it is there (409): who may not gets 403 or 404."""
        label = {"name": MARK, "color": "#6699cc", "description": "Made and kept up to date by Countersign"}
        self._wire.send("POST", f"{self._project}/labels", passes={409}, json=label)
        return True

    def _issues(self, **parameters: object) -> Iterator[dict[str, Any]]:
        items = self._wire.pages(f"{self._project}/issues", {"scope": "all", **parameters}, per_page=PAGE)
        return (item for item in items if isinstance(item.get("iid"), int))

    def _closed_at(self, number: int) -> datetime | None:
        issue = self._read(number)
        return _ended(issue) if _state(issue) == "closed" else None

    def _read(self, number: int) -> dict[str, Any]:
        issue = self._wire.get(f"{self._project}/issues/{number}", of_ticket=True)
        if issue.get("iid") != number:
            raise DeskError(f"{PREFIX}{number} came without its number")
        return issue

    def _owner(self, draft: Draft) -> int | None:
        """Return the number of the accountable person's account; None: there is none of that name."""
        owner = None if draft.accountable is None else self._owners.get(draft.accountable)
        if owner is None:
            return None
        if owner not in self._users:
            found = json_of(self._wire.send("GET", "users", params={"username": owner}))
            users = [user for user in found if isinstance(user, dict)] if isinstance(found, list) else []
            self._users[owner] = next((int(user["id"]) for user in users if _user(user).lower() == owner.lower()), None)
        return self._users[owner]


def _signed(token: str) -> dict[str, str]:
    return {"PRIVATE-TOKEN": token, "Accept": "application/json"}


def _body(draft: Draft, key: str) -> str:
    return described_in_markdown(draft, key, BODY)


def _due(draft: Draft) -> str | None:
    """Write a due date as GitLab takes it: the day, in UTC."""
    return None if draft.due is None else f"{draft.due.astimezone(UTC):%Y-%m-%d}"


def _state(issue: Mapping[str, Any]) -> Standing:
    return "closed" if issue.get("state") == "closed" else "open"


def _ticket(issue: Mapping[str, Any], key: str) -> Ticket:
    state = _state(issue)
    return Ticket(_id(issue), key, state, None if state == "open" else _ended(issue))


def _key(issue: Mapping[str, Any]) -> str:
    """Read whose key's issue it is; people may have taken the label off, or edited the text."""
    keys = [name for name in _labels(issue) if KEY.fullmatch(name)]
    key = keys[0] if len(keys) == 1 else stated_key(as_written(issue.get("description")))
    if key is None:
        raise DeskError(f"{_id(issue)} bears no key of ours")
    return key


def _labels(issue: Mapping[str, Any]) -> list[str]:
    labels = issue.get("labels")
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _role(project: Mapping[str, Any]) -> int:
    """Return the higher of the roles that we have by the project and by its group (10 Guest, 15 Planner, 20 Reporter and so on)."""
    may = project.get("permissions")
    roles = [access for access in may.values() if isinstance(access, dict)] if isinstance(may, dict) else []
    return max((int(access.get("access_level") or 0) for access in roles), default=0)


def _user(user: object) -> str:
    return str(user.get("username")) if isinstance(user, dict) else ""


def _ended(issue: Mapping[str, Any]) -> datetime:
    return _instant(issue.get("closed_at") or issue.get("updated_at"))


def _instant(value: object) -> datetime:
    return time_of(value, "GitLab")


def _id(issue: Mapping[str, Any]) -> str:
    return f"{PREFIX}{issue['iid']}"


def _number_of(issue: Mapping[str, Any]) -> int:
    return int(issue["iid"])


def _number(ticket: str) -> int:
    number = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not (number.isascii() and number.isdigit()):
        raise DeskError(f"{ticket!r} is no issue on GitLab")
    return int(number)
