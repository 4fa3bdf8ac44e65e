"""A desk in the issues of a repository on GitHub, or on the customer's own GitHub Enterprise Server.

Which issue is whose key's stands in a label of that name, since listing by label asks the database and not a search index that lags;
only an issue that our own account made counts. GitHub drops labels silently where it does not let us set them, so that is tried first.
Sources: https://docs.github.com/rest/issues, version 2022-11-28 of the API.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from countersign.desk import AnswerLostError, DeskError, DeskRefusedError, Entry, Standing, Ticket
from countersign.desk.missing import asked_alone
from countersign.desk.ticket_text import (
    KEY,
    MARK,
    as_written,
    checked,
    described_in_markdown,
    fenced,
    foremost,
    marks,
    plain,
    stated_key,
    title,
    unfenced,
)
from countersign.desk.wire import Wire, time_of
from countersign.finding import inert
from countersign.pace import budget, quota
from countersign.reading import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.desk_settings import GitHub
    from countersign.remediation import Draft

PREFIX = "github:"
PAGE = 100
"""Items to a page; GitHub gives no more."""
UNITS = 800.0
"""GitHub allows 900 points a minute and 80 new contents a minute; a write takes as much of this as lets half of those through at once."""
SECONDS = 60.0
WRITE_COST = 20.0
WRITES, HOUR = 500, 3600.0
"""GitHub allows so many new contents an hour too."""
TITLE = 256
"""Characters that GitHub takes."""
BODY = 60_000
"""Characters, of 65,536 that GitHub takes."""
_WHAT: dict[str, Literal["commented", "closed", "opened"]] = {"commented": "commented", "closed": "closed", "reopened": "opened"}


class GitHubDesk:
    """Issues of one repository. `owners` says who is who on GitHub: a person's id in the register, and their login."""

    search_lag = timedelta(0)
    redescribes_in_comments = False

    def __init__(self, settings: GitHub, owners: Mapping[str, str]) -> None:
        self._settings = settings
        self._owners = owners
        url = settings.url.rstrip("/")
        pace, writes = budget("github", url, units=UNITS, seconds=SECONDS), quota("github", url, units=WRITES, seconds=HOUR)
        self._wire = Wire(
            url, "", token_from=settings.token_from, ca=settings.ca, sign=_signed, pace=pace, write_cost=WRITE_COST, writes=writes
        )
        self._repository = f"repos/{settings.repository}"
        self._assignable: dict[str, bool] = {}
        self.target = f"github:{url}#{settings.repository}"

    def find(self, key: str) -> Ticket | None:
        """Return the open issue of a key that our account made, else the newest closed one, else None."""
        found = self._issues(labels=checked(key), state="all")
        ours = [item for item in found if _ours(item, self._ourselves) and key in _labels(item)]
        return foremost(_ticket(item, key) for item in sorted(ours, key=_number_of, reverse=True))

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these issues are closed and since when: by a listing of the open ones, and of the closed as far as needed.

        What is in neither is asked for alone. None: it is gone, or hidden from us; of one that moved elsewhere nothing is known.
        """
        left = {_number(id) for id in ids}  # noqa: A001  (a ticket's id is called id)
        if left:
            left -= {_number_of(item) for item in self._issues(labels=MARK, state="open", sort="created", direction="asc")}
        found: dict[str, datetime | None] = {}
        listing = iter(self._issues(labels=MARK, state="closed", sort="updated", direction="desc") if left else ())
        while left and (item := next(listing, None)) is not None:
            if _number_of(item) in left:
                left.discard(_number_of(item))
                found[_id(item)] = _ended(item)
        return found | asked_alone(self, left, self._closed_at, PREFIX)

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: *not planned*."""
        return self._read(_number(id)).get("state_reason") == "not_planned"

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make an issue; never repeats a create whose answer was lost."""
        checked(key)
        self._may_label  # noqa: B018 - asks once, before anything is made that could not be found again
        fields: dict[str, object] = {"title": title(draft.title, TITLE), "body": _body(draft, key)}
        fields["labels"] = marks(key, draft, self._settings.severities)
        owner = self._owner(draft)
        if owner is not None:
            fields["assignees"] = [owner]
        made = self._wire.write("POST", f"{self._repository}/issues", fields)
        if not isinstance(made, dict) or not isinstance(made.get("number"), int):
            raise AnswerLostError(f"{self.target} did not say which issue it made")
        return Ticket(_id(made), key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Set title, description and our labels where they differ, and give an issue of nobody's to its owner.

        GitHub has no condition for a write, so that it is read just before. One that people gave to somebody else stays theirs.
        """
        number = _number(id)
        issue = self._read(number)
        key = _key(issue)
        changes: dict[str, object] = {}
        if issue.get("title") != title(draft.title, TITLE):
            changes["title"] = title(draft.title, TITLE)
        if draft.body and as_written(issue.get("body")) != _body(draft, key):
            changes["body"] = _body(draft, key)
        owner = None if issue.get("assignees") else self._owner(draft)
        if owner is not None:
            changes["assignees"] = [owner]
        if changes:
            self._wire.write("PATCH", f"{self._repository}/issues/{number}", changes, of_ticket=True)
        self._label(number, _labels(issue), marks(key, draft, self._settings.severities))

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment; GitHub tells those who watch the issue."""
        said = {"body": fenced(plain(text)[:BODY])}
        self._wire.write("POST", f"{self._repository}/issues/{_number(id)}/comments", said, of_ticket=True)

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so is no error."""
        number = _number(id)
        if self._read(number).get("state") == state:
            return
        change = {"state": state, "state_reason": "reopened" if state == "open" else "completed"}
        now = self._wire.write("PATCH", f"{self._repository}/issues/{number}", change, of_ticket=True)
        if not isinstance(now, dict) or now.get("state") != state:
            raise DeskError(f"{id} did not become {state}", fix="give our account the role Triage or Write in the repository")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, oldest first. GitHub does not tell what a description was before."""
        number = _number(id)
        issue = self._read(number)
        made = Entry(_instant(issue.get("created_at")), _login(issue.get("user")), "created", as_written(issue.get("body")))
        events = self._wire.pages(f"{self._repository}/issues/{number}/timeline", {}, per_page=PAGE, of_ticket=True)
        return (made, *(_entry(event) for event in events if event.get("created_at")))

    def ourselves(self) -> str:
        """Return the login of our account."""
        return self._ourselves

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail."""
        scope = self._settings.repository
        try:
            who = self.ourselves()
            yield Probe(scope, "sign in", ok=True, detail=f"as {who}")
            repository = self._wire.get(self._repository)
            shut = (repository.get("archived") and "it is archived") or (not repository.get("has_issues") and "it has no issues")
            yield Probe(scope, "see the repository", ok=not shut, detail=shut or "")
            public = repository.get("private") is False
            yield Probe(scope, "keep tickets from outsiders", ok=not public, detail="everybody can read this repository" if public else "")
            may = repository.get("permissions")
            pushes = isinstance(may, dict) and bool(may.get("push"))
            yield Probe(scope, "make issues with labels", ok=pushes, detail="" if pushes else f"{who} needs the role Write")
            next(self._issues(state="all"), None)
            yield Probe(scope, "list issues", ok=True, detail="whether the token may write issues shows with the first ticket")
        except DeskError as error:
            yield Probe(scope, "ask", ok=False, detail=str(error))

    def _label(self, number: int, has: Sequence[str], wanted: Sequence[str]) -> None:
        """Put our labels on, and take those of other severities off, one by one: the others are people's, and may change meanwhile."""
        path = f"{self._repository}/issues/{number}/labels"
        # To GitHub names that differ in case are one, and an issue tells the one that the label was made with.
        there, due = {name.casefold() for name in has}, {name.casefold() for name in wanted}
        missing = sorted(name for name in wanted if name.casefold() not in there)
        if missing:
            self._wire.write("POST", path, {"labels": missing}, of_ticket=True)
        severities = () if self._settings.severities is None else self._settings.severities.all().values()
        over = {name.casefold() for name in severities} - due
        for name in (name for name in has if name.casefold() in over):
            self._wire.send("DELETE", f"{path}/{quote(name, safe='')}", of_ticket=True, passes={HTTPStatus.NOT_FOUND})

    @cached_property
    def _ourselves(self) -> str:
        return _login(self._wire.get("user"))

    @cached_property
    def _may_label(self) -> bool:
        """Make the label that all our issues bear, or learn that it is there: who may not gets 403 or 404."""
        label = {"name": MARK, "description": "Made and kept up to date by Countersign"}
        there = {HTTPStatus.UNPROCESSABLE_ENTITY}
        answer = self._wire.send("POST", f"{self._repository}/labels", passes=there, json=label)
        if answer.status_code in there and "already_exists" not in answer.text:
            raise DeskRefusedError(f"{self.target} does not take the label {MARK}: {inert(answer.text)[:200]}")
        return True

    def _issues(self, **parameters: str) -> Iterator[dict[str, Any]]:
        items = self._wire.pages(f"{self._repository}/issues", {"creator": self._ourselves, **parameters}, per_page=PAGE)
        return (item for item in items if "pull_request" not in item and isinstance(item.get("number"), int))

    def _closed_at(self, number: int) -> datetime | None:
        issue = self._read(number)
        return _ended(issue) if issue.get("state") == "closed" else None

    def _read(self, number: int) -> dict[str, Any]:
        issue = self._wire.get(f"{self._repository}/issues/{number}", of_ticket=True)
        if issue.get("number") != number:
            raise DeskError(f"{PREFIX}{number} came without its number")
        return issue

    def _owner(self, draft: Draft) -> str | None:
        """Return the login of the accountable person if GitHub lets issues be theirs: it refuses an issue for anybody else."""
        owner = None if draft.accountable is None else self._owners.get(draft.accountable)
        if owner is None:
            return None
        if owner not in self._assignable:
            path = f"{self._repository}/assignees/{quote(owner, safe='')}"
            answer = self._wire.send("GET", path, passes={HTTPStatus.NOT_FOUND})
            self._assignable[owner] = answer.status_code != HTTPStatus.NOT_FOUND
        return owner if self._assignable[owner] else None


def _signed(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "countersign",
    }


def _body(draft: Draft, key: str) -> str:
    return described_in_markdown(draft, key, BODY)


def _ticket(issue: Mapping[str, Any], key: str) -> Ticket:
    open_ = issue.get("state") == "open"
    return Ticket(_id(issue), key, "open" if open_ else "closed", None if open_ else _ended(issue))


def _key(issue: Mapping[str, Any]) -> str:
    """Read whose key's issue it is; people may have taken the label off, or edited the text."""
    keys = [name for name in _labels(issue) if KEY.fullmatch(name)]
    key = keys[0] if len(keys) == 1 else stated_key(as_written(issue.get("body")))
    if key is None:
        raise DeskError(f"{_id(issue)} bears no key of ours")
    return key


def _labels(issue: Mapping[str, Any]) -> list[str]:
    labels = issue.get("labels")
    return [str(label.get("name")) for label in labels if isinstance(label, dict)] if isinstance(labels, list) else []


def _entry(event: Mapping[str, Any]) -> Entry:
    kind = str(event.get("event"))
    actor = _login(event.get("user") if kind == "commented" else event.get("actor"))
    text = unfenced(str(event.get("body") or "")) if kind == "commented" else ("" if kind in _WHAT else kind)
    return Entry(_instant(event["created_at"]), actor, _WHAT.get(kind, "updated"), text)


def _ours(issue: Mapping[str, Any], ourselves: str) -> bool:
    return _login(issue.get("user")).lower() == ourselves.lower()


def _login(user: object) -> str:
    return str(user.get("login")) if isinstance(user, dict) else ""


def _ended(issue: Mapping[str, Any]) -> datetime:
    return _instant(issue.get("closed_at") or issue.get("updated_at"))


def _instant(value: object) -> datetime:
    return time_of(value, "GitHub")


def _id(issue: Mapping[str, Any]) -> str:
    return f"{PREFIX}{issue['number']}"


def _number_of(issue: Mapping[str, Any]) -> int:
    return int(issue["number"])


def _number(ticket: str) -> int:
    number = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not (number.isascii() and number.isdigit()):
        raise DeskError(f"{ticket!r} is no issue on GitHub")
    return int(number)
