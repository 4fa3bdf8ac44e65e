"""GitLab's issues as GitLab describes them.

Source of the table: doc/api/issues.md, notes.md, resource_state_events.md, labels.md, users.md and projects.md of GitLab's own sources,
whose tables of attributes are what is allowed here. A due date, labels and roles behave as the prose there says. GitLab's OpenAPI description
(19.5) calls `labels` and `iids` lists: its sources take both forms. The types are in our own description, `tests/data/gitlab`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from countersign.desk.gitlab import GitLabDesk
from countersign.desk.ticket_text import as_written
from countersign.desk_settings import GitLab
from tests.desks.served import OWNER, PARTNER, SERVICE, TOKENS, Answer, Request, Served, call, paged

PROJECT = "northwind/security/access"
_P = "/api/v4/projects/{id}"
_I = f"{_P}/issues/{{issue_iid}}"
_NUMBERS = {SERVICE: 11, OWNER: 12, PARTNER: 13}
_START = datetime(2026, 11, 22, 12, tzinfo=UTC)
_LEVELS = {SERVICE: 15, OWNER: 30, PARTNER: 10}


class GitLabStandIn(Served):
    kind = module = "gitlab"
    calls = (
        call("GET", "/api/v4/user"),
        call("GET", "/api/v4/users", "username search active per_page page"),
        call("GET", _P),
        call("POST", f"{_P}/labels", fields="name color description priority archived"),
        call(
            "GET",
            f"{_P}/issues",
            "assignee_id assignee_username author_id author_username confidential created_after created_before due_date iids[] in"
            " issue_type labels milestone milestone_id my_reaction_emoji order_by scope search sort state updated_after"
            " updated_before with_labels_details cursor per_page page",
        ),
        call(
            "POST",
            f"{_P}/issues",
            fields="assignee_id assignee_ids confidential created_at description discussion_to_resolve due_date iid issue_type labels"
            " merge_request_to_resolve_discussions_of milestone_id title weight epic_id",
        ),
        call("GET", _I),
        call(
            "PUT",
            _I,
            fields="add_labels assignee_ids confidential description discussion_locked due_date epic_id issue_type labels milestone_id"
            " remove_labels state_event title updated_at weight",
        ),
        call("GET", f"{_I}/notes", "activity_filter sort order_by per_page page"),
        call("POST", f"{_I}/notes", fields="body internal confidential created_at"),
        call("GET", f"{_I}/resource_state_events", "per_page page"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.states: dict[int, list[dict[str, Any]]] = {}
        self.labels: set[str] = set()
        self.clock = _START
        self._ids = count(1)

    # What the tests see of it

    def desk(self, **changed: Any) -> GitLabDesk:
        said = {"url": self.url, "project": PROJECT, "token_from": "env:TRACKER_TOKEN", **changed}
        return GitLabDesk(GitLab.model_validate(said), {"maria": OWNER, "pavel": "who-is-not-there"})

    def tickets_with(self, key: str) -> list[str]:
        return [f"gitlab:{number}" for number, issue in self.issues.items() if key in str(issue["description"])]

    def fields(self, ticket: str) -> tuple[str, str, str, bool]:
        """Title, text, assignee, and whether it is open."""
        issue = self.issues[_n(ticket)]
        who = ",".join(each["username"] for each in issue["assignees"])
        return issue["title"], as_written(issue["description"]), who, issue["state"] == "opened"

    def people_change(self, ticket: str, **changes: Any) -> None:
        names = {"text": "description", "owner": "assignee_ids"}
        said = {names.get(name, name): [_NUMBERS[value]] if name == "owner" else value for name, value in changes.items() if name != "open"}
        if said.pop("declined", False):
            said |= {"state_event": "close", "add_labels": "wontfix"}
        if "open" in changes:
            said["state_event"] = "reopen" if changes["open"] else "close"
        self._change(self.issues[_n(ticket)], said, OWNER)

    def unlabel(self, ticket: str) -> None:
        self.relabel(ticket, [])

    def relabel(self, ticket: str, names: list[str]) -> None:
        self.issues[_n(ticket)]["labels"] = names

    def remove(self, ticket: str) -> None:
        self.issues.pop(_n(ticket))

    def plant(self, key: str) -> None:
        self._make({"title": "Planted", "description": f"Ticket key: {key}", "labels": f"countersign,{key}"}, PARTNER)

    # How GitLab behaves

    def who(self, headers: Any) -> str | None:
        return TOKENS.get(headers.get("PRIVATE-TOKEN", ""))

    def answer(self, request: Request) -> Answer:  # noqa: C901, PLR0911 - a branch for each operation
        method, path, level = request.call.method, request.call.path, _LEVELS[request.who]
        if path == "/api/v4/user":
            return Answer(200, {"id": _NUMBERS[request.who], "username": request.who})
        if path == "/api/v4/users":
            return Answer(200, [_person(who) for who in _NUMBERS if who == request.said("username")])
        if request.values["id"] != PROJECT:
            return Answer(404, {"message": "404 Project Not Found"})
        if path == _P:
            may = {"project_access": {"access_level": level, "notification_level": None}, "group_access": None}
            return Answer(200, {"id": 7, "visibility": "private", "archived": False, "issues_enabled": True, "permissions": may})
        if path == f"{_P}/labels":
            if level < 15:
                return Answer(403, {"message": "403 Forbidden"})
            there = request.body["name"] in self.labels
            self.labels.add(request.body["name"])
            if there:
                return Answer(409, {"message": "Label already exists"})
            return Answer(201, {"id": next(self._ids), "description": None, "priority": None, **request.body})
        if path == f"{_P}/issues":
            if method == "GET":
                return self._listing(request)
            if not 0 < len(request.body["title"]) <= 255:
                return Answer(400, {"message": {"title": ["is too long (maximum is 255 characters)"]}})
            return Answer(201, self._make(request.body, request.who))
        issue = self.issues.get(int(request.values["issue_iid"]))
        if issue is None:
            return Answer(404, {"message": "404 Issue Not Found"})
        return self._one(issue, method, path.removeprefix(_I), request)

    def _one(self, issue: dict[str, Any], method: str, rest: str, request: Request) -> Answer:  # noqa: PLR0911 - as above
        number = issue["iid"]
        if rest == "/resource_state_events":
            return paged(self.states[number], request, self.url)
        if rest == "/notes" and method == "GET":
            order = -1 if request.said("sort", "desc") == "desc" else 1
            return paged(self.notes[number][::order], request, self.url)
        if rest == "/notes":
            self._note(number, request.body["body"], request.who, self._tick(), system=False)
            return Answer(201, self.notes[number][-1])
        if method == "GET":
            return Answer(200, issue)
        if _LEVELS[request.who] < 15:
            return Answer(403, {"message": "403 Forbidden"})
        if not request.body:
            return Answer(400, {"error": "title, description, ... are missing, at least one parameter must be provided"})
        self._change(issue, request.body, request.who)
        return Answer(200, issue)

    def _listing(self, request: Request) -> Answer:
        wanted = set(request.said("labels").split(",")) - {""}
        state, author = request.said("state", "all"), request.said("author_id")
        items = [item for item in self.issues.values() if wanted <= set(item["labels"])]
        items = [item for item in items if state in {"all", item["state"]} and author in {"", str(item["author"]["id"])}]
        if "iids[]" in request.query:
            items = [item for item in items if str(item["iid"]) in request.query["iids[]"]]
        return paged(sorted(items, key=lambda item: -int(item["iid"])), request, self.url)

    def _make(self, said: dict[str, Any], who: str) -> dict[str, Any]:
        number, at = len(self.notes) + 1, self._tick()
        self.notes[number], self.states[number] = [], []
        self.issues[number] = {
            "iid": number, "id": 1000 + number, "title": said["title"], "description": said.get("description", ""), "state": "opened",
            "author": _person(who), "created_at": at, "updated_at": at, "closed_at": None, "due_date": said.get("due_date"),
            "labels": [name for name in said.get("labels", "").split(",") if name],
            "assignees": [_numbered(number) for number in said.get("assignee_ids", [])],
        }  # fmt: skip
        return self.issues[number]

    def _change(self, issue: dict[str, Any], said: dict[str, Any], who: str) -> None:
        at, number = self._tick(), issue["iid"]
        issue["updated_at"] = at
        for name in ("title", "description"):
            if name in said:
                issue[name] = said[name]
                self._note(number, f"changed the {name}", who, at, system=True)
        if "due_date" in said:
            issue["due_date"] = said["due_date"] or None
        if "assignee_ids" in said:
            issue["assignees"] = [_numbered(number) for number in said["assignee_ids"]]
        issue["labels"] += [name for name in said.get("add_labels", "").split(",") if name and name not in issue["labels"]]
        issue["labels"] = [name for name in issue["labels"] if name not in said.get("remove_labels", "").split(",")]
        becomes = {"close": "closed", "reopen": "opened"}.get(said.get("state_event", ""), issue["state"])
        if becomes != issue["state"]:
            issue |= {"state": becomes, "closed_at": at if becomes == "closed" else None}
            told = "closed" if becomes == "closed" else "reopened"
            self.states[number].append({"id": next(self._ids), "state": told, "user": _person(who), "created_at": at})

    def _note(self, number: int, body: str, who: str, at: str, *, system: bool) -> None:
        self.notes[number].append({"id": next(self._ids), "body": body, "system": system, "author": _person(who), "created_at": at})

    def _tick(self) -> str:
        self.clock += timedelta(seconds=1)
        return f"{self.clock:%Y-%m-%dT%H:%M:%S}.000Z"


def _person(who: str) -> dict[str, Any]:
    return {"id": _NUMBERS[who], "username": who}


def _numbered(number: int) -> dict[str, Any]:
    return _person(next(who for who, each in _NUMBERS.items() if each == number))


def _n(ticket: str) -> int:
    return int(ticket.removeprefix("gitlab:"))
