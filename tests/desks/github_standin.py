"""GitHub's issues as GitHub describes them.

Source of the table: GitHub's OpenAPI description of api.github.com, version 2022-11-28 (operations users/get-authenticated, repos/get,
issues/create-label, issues/list-for-repo, issues/create, issues/get, issues/update, issues/create-comment, issues/add-labels,
issues/remove-label, issues/list-events-for-timeline, issues/check-user-can-be-assigned), which contracts.py holds both sides against. What it does beyond that is
said in the description's prose.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.desk.github import GitHubDesk
from countersign.desk.ticket_text import as_written
from countersign.desk_settings import GitHub
from tests.desks.github_shapes import COMMENT_FIELDS, ISSUE_FIELDS, REPOSITORY_FIELDS, account, event, label, person
from tests.desks.served import OWNER, PARTNER, SERVICE, TOKENS, Answer, Request, Served, call, paged

REPOSITORY = "northwind/access"
_R = "/repos/{owner}/{repo}"
_START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class GitHubStandIn(Served):
    kind = module = "github"
    hasty = 403
    calls = (
        call("GET", "/user"),
        call("GET", _R),
        call("POST", f"{_R}/labels", fields="name color description"),
        call("GET", f"{_R}/assignees/{{assignee}}"),
        call(
            "GET",
            f"{_R}/issues",
            "milestone state assignee type creator mentioned labels sort direction since per_page page",
        ),
        call("POST", f"{_R}/issues", fields="title body assignee milestone labels assignees type"),
        call("GET", f"{_R}/issues/{{issue_number}}"),
        call("PATCH", f"{_R}/issues/{{issue_number}}", fields="title body assignee state state_reason milestone labels assignees type"),
        call("POST", f"{_R}/issues/{{issue_number}}/comments", fields="body"),
        call("POST", f"{_R}/issues/{{issue_number}}/labels", fields="labels"),
        call("DELETE", f"{_R}/issues/{{issue_number}}/labels/{{name}}"),
        call("GET", f"{_R}/issues/{{issue_number}}/timeline", "per_page page"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[int, dict[str, Any]] = {}
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.labels: set[str] = set()
        self.clock = _START

    # What the tests see of it

    def desk(self, **changed: Any) -> GitHubDesk:
        said = {"url": self.url, "repository": REPOSITORY, "token_from": "env:TRACKER_TOKEN", **changed}
        return GitHubDesk(GitHub.model_validate(said), {"maria": OWNER, "pavel": "who-is-not-there"})

    def tickets_with(self, key: str) -> list[str]:
        return [f"github:{number}" for number, issue in self.issues.items() if key in str(issue["body"])]

    def fields(self, ticket: str) -> tuple[str, str, str, bool]:
        """Title, text, assignee, and whether it is open."""
        issue = self.issues[_n(ticket)]
        return issue["title"], as_written(issue["body"]), ",".join(each["login"] for each in issue["assignees"]), issue["state"] == "open"

    def people_change(self, ticket: str, **changes: Any) -> None:
        names = {"text": "body", "owner": "assignees"}
        given = {names.get(name, name): [value] if name == "owner" else value for name, value in changes.items()}
        if given.pop("declined", False):
            given |= {"state": "closed", "state_reason": "not_planned"}
        self._change(self.issues[_n(ticket)], {name: value for name, value in given.items() if name != "open"}, OWNER)
        if "open" in changes:
            self._change(self.issues[_n(ticket)], {"state": "open" if changes["open"] else "closed"}, OWNER)

    def unlabel(self, ticket: str) -> None:
        self.relabel(ticket, [])

    def relabel(self, ticket: str, names: list[str]) -> None:
        self.issues[_n(ticket)]["labels"] = [label(name) for name in names]

    def remove(self, ticket: str) -> None:
        self.issues.pop(_n(ticket))

    def plant(self, key: str) -> None:
        self._make({"title": "Planted", "body": f"Ticket key: {key}", "labels": ["countersign", key]}, PARTNER, pushes=True)

    # How GitHub behaves

    def who(self, headers: Any) -> str | None:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        return TOKENS.get(token) if scheme == "Bearer" and headers.get("User-Agent") else None

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - a branch for each operation
        values, method, path = request.values, request.call.method, request.call.path.removeprefix(_R)
        pushes = request.who in {SERVICE, OWNER}
        if path == "/user":
            return Answer(200, account(request.who))
        if f"{values['owner']}/{values['repo']}" != REPOSITORY:
            return Answer(404, {"message": "Not Found"})
        if path == "":
            may = {"push": pushes, "pull": True, "triage": pushes, "admin": False}
            said = {"full_name": REPOSITORY, "owner": person("northwind"), "has_issues": True, "archived": False, "private": True}
            return Answer(200, {**REPOSITORY_FIELDS, **said, "permissions": may})
        if path == "/labels":
            if not pushes:
                return Answer(404, {"message": "Not Found"})
            if request.body["name"] in self.labels:
                errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
                return Answer(422, {"message": "Validation Failed", "errors": errors})
            self.labels.add(request.body["name"])
            return Answer(201, {**label(request.body["name"]), **request.body})
        if path.startswith("/assignees"):
            return Answer(204) if values["assignee"] in {SERVICE, OWNER} else Answer(404, {"message": "Not Found"})
        if path == "/issues":
            return self._listing(request) if method == "GET" else self._created(request, pushes=pushes)
        issue = self.issues.get(int(values["issue_number"]))
        if issue is None:
            return Answer(410, {"message": "This issue was deleted"})
        return self._one(issue, method, path.removeprefix("/issues/{issue_number}"), request, pushes=pushes)

    def _one(self, issue: dict[str, Any], method: str, rest: str, request: Request, *, pushes: bool) -> Answer:  # noqa: PLR0911 - as above
        if rest == "/timeline":
            return paged(self.events[issue["number"]], request, self.url)
        if rest == "/comments":
            body = request.body["body"]
            if not body or len(body) > 65536:
                return Answer(422, {"message": "Validation Failed"})
            at = self._tick()
            said = {**COMMENT_FIELDS, "user": person(request.who), "created_at": at, "updated_at": at, "body": body}
            self.events[issue["number"]].append({**said, "event": "commented", "actor": person(request.who)})
            return Answer(201, said)
        if method == "GET":
            return Answer(200, issue)
        if not pushes:
            return Answer(403, {"message": "Must have admin rights to Repository."})
        if rest == "/labels":
            self._label(issue, request.body["labels"])
            return Answer(200, issue["labels"])
        if rest == "/labels/{name}":
            left = [each for each in issue["labels"] if each["name"].casefold() != request.values["name"].casefold()]
            if len(left) == len(issue["labels"]):
                return Answer(404, {"message": "Label does not exist"})
            issue["labels"] = left
            self._touch(issue)
            return Answer(200, left)
        if any(who not in {SERVICE, OWNER} for who in request.body.get("assignees", [])):
            return Answer(422, {"message": "Validation Failed"})
        self._change(issue, request.body, request.who)
        return Answer(200, issue)

    def _listing(self, request: Request) -> Answer:
        items = list(self.issues.values())
        wanted = set(request.said("labels").split(",")) - {""}
        items = [item for item in items if wanted <= {each["name"] for each in item["labels"]}]
        state, creator = request.said("state", "open"), request.said("creator")
        items = [item for item in items if state in {"all", item["state"]} and creator in {"", item["user"]["login"]}]
        by = {"created": "created_at", "updated": "updated_at"}[request.said("sort", "created")]
        items.sort(key=lambda item: str(item[by]), reverse=request.said("direction", "desc") == "desc")
        return paged(items, request, self.url)

    def _created(self, request: Request, *, pushes: bool) -> Answer:
        title, body = request.body["title"], request.body.get("body", "")
        known = {SERVICE, OWNER}
        if not 0 < len(title) <= 256 or len(body) > 65536 or any(who not in known for who in request.body.get("assignees", [])):
            return Answer(422, {"message": "Validation Failed"})
        return Answer(201, self._make(request.body, request.who, pushes=pushes))

    def _make(self, said: dict[str, Any], who: str, *, pushes: bool) -> dict[str, Any]:
        number, at = len(self.events) + 1, self._tick()
        self.events[number] = []
        self.issues[number] = {
            **ISSUE_FIELDS, "number": number, "title": said["title"], "body": said.get("body", "").replace("\n", "\r\n"), "state": "open",
            "user": person(who), "created_at": at, "updated_at": at, "closed_at": None,
            "labels": [label(name) for name in said.get("labels", []) if pushes],
            "assignees": [person(name) for name in said.get("assignees", []) if pushes],
        }  # fmt: skip
        return self.issues[number]

    def _change(self, issue: dict[str, Any], said: dict[str, Any], who: str) -> None:
        at = issue["updated_at"] = self._tick()
        before = issue["title"]
        issue |= {name: said[name] for name in ("title", "body") if name in said}
        if "title" in said:
            self.events[issue["number"]].append({**event("renamed", who, at), "rename": {"from": before, "to": said["title"]}})
        if "assignees" in said:
            issue["assignees"] = [person(name) for name in said["assignees"]]
        if said.get("state", issue["state"]) != issue["state"]:
            reason = said.get("state_reason", "completed" if said["state"] == "closed" else "reopened")
            issue |= {"state": said["state"], "state_reason": reason, "closed_at": at if said["state"] == "closed" else None}
            self.events[issue["number"]].append(event("closed" if said["state"] == "closed" else "reopened", who, at))

    def _label(self, issue: dict[str, Any], names: list[str]) -> None:
        """Put labels on; one keeps the case that it was made with, and is one with those that differ in that alone."""
        there = {each["name"].casefold(): each for each in issue["labels"]}
        for name in names:
            there.setdefault(name.casefold(), label(name))
        issue["labels"] = list(there.values())
        self._touch(issue)

    def _touch(self, issue: dict[str, Any]) -> None:
        issue["updated_at"] = self._tick()

    def _tick(self) -> str:
        self.clock += timedelta(seconds=1)
        return f"{self.clock:%Y-%m-%dT%H:%M:%SZ}"


def _n(ticket: str) -> int:
    return int(ticket.removeprefix("github:"))
