"""Jira's issues as Atlassian describes them, Cloud's and Data Center's.

Source of the table: the OpenAPI description of Jira Cloud's platform REST API (version 1001.0.0, API 2, and of API 3 the two calls that
2 lacks), and for Data Center the reference of its REST API 2 for 9.12. Searches know the two queries that are asked, and on Cloud may lag.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.desk.jira import JiraDesk
from countersign.desk_settings import Jira
from tests.desks.served import OWNER, PARTNER, SERVICE, TOKENS, Answer, Request, Served, call

PROJECT, EMAIL = "SEC", "bot@northwind.example"
_A = "/rest/api/2"
_I = f"{_A}/issue/{{key}}"
_META = f"{_A}/issue/createmeta/{{project}}/issuetypes"
_START = datetime(2026, 11, 22, 12, tzinfo=UTC)
_STATUSES = {"1": ("Backlog", "new"), "2": ("Doing", "indeterminate"), "3": ("Shipped", "done"), "4": ("Rejected", "done")}
_RIGHTS = ["BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES", "DELETE_ISSUES"]
_TAKES = {"project", "issuetype", "summary", "description", "labels", "duedate", "assignee", "priority"}
_PRIORITIES = {"1": "Highest", "2": "High", "3": "Medium", "4": "Low", "5": "Lowest"}
_COMMON = (
    call("GET", f"{_A}/myself", "expand"),
    call("GET", f"{_A}/status"),
    call("GET", _META, "startAt maxResults"),
    call("GET", f"{_META}/{{type}}", "startAt maxResults"),
    call("POST", f"{_A}/issue", "updateHistory", "fields update historyMetadata properties transition"),
    call("PUT", _I, "notifyUsers", "fields update historyMetadata properties transition"),
    call("GET", f"{_I}/comment", "startAt maxResults orderBy expand"),
    call("POST", f"{_I}/comment", "expand", "body visibility properties"),
    call("GET", f"{_I}/transitions", "expand transitionId"),
    call("POST", f"{_I}/transitions", fields="transition fields update historyMetadata properties"),
)


class JiraCloudStandIn(Served):
    kind, module, cloud = "jira cloud", "jira", True
    calls = (
        *_COMMON,
        call("GET", f"{_A}/mypermissions", "projectKey projectId issueKey issueId permissions"),
        call("GET", _I, "fields expand properties updateHistory fieldsByKeys failFast"),
        call("GET", f"{_A}/user/assignable/search", "query sessionId username accountId project issueKey startAt maxResults"),
        call("GET", f"{_I}/changelog", "startAt maxResults"),
        call(
            "GET",
            "/rest/api/3/search/jql",
            "jql nextPageToken maxResults fields expand properties fieldsByKeys failFast reconcileIssues",
        ),
        call("POST", "/rest/api/3/issue/bulkfetch", fields="expand fields fieldsByKeys issueIdsOrKeys properties"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.issues: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.changes: dict[str, list[dict[str, Any]]] = {}
        self.unindexed: set[str] = set()
        self.lags = False
        self.off_screen: set[str] = set()
        """Fields that the project's screen, one for creating and editing, has not."""
        self.clock = _START

    # What the tests see of it

    def desk(self, **changed: Any) -> JiraDesk:
        said = {"url": self.url, "project": PROJECT, "token_from": "env:TRACKER_TOKEN", "user": EMAIL if self.cloud else None}
        said["deployment"] = "cloud" if self.cloud else "data_center"
        return JiraDesk(Jira.model_validate({**said, **changed}), {"maria": OWNER, "pavel": "who-is-not-there"})

    def tickets_with(self, key: str) -> list[str]:
        return [f"jira:{number}" for number, issue in self.issues.items() if key in str(issue["description"])]

    def fields(self, ticket: str) -> tuple[str, str, str, bool]:
        """Title, text, assignee, and whether it is open."""
        issue = self.issues[_n(ticket)]
        text = re.sub(r"\A\{(noformat|code)\}\n|\n\{(noformat|code)\}\Z", "", issue["description"])
        return issue["summary"], text, self._called(issue["assignee"]), _STATUSES[issue["status"]][1] != "done"

    def people_change(self, ticket: str, **changes: Any) -> None:
        issue = self.issues[_n(ticket)]
        if "open" in changes:
            self._move(_n(ticket), "1" if changes["open"] else "4", OWNER)
        if "declined" in changes:
            self._move(_n(ticket), "4", OWNER)
            issue["resolution"] = {"self": f"{self.url}/rest/api/2/resolution/10001", "id": "10001", "name": "Won't Do", "description": ""}
        if "priority" in changes:
            issue["priority"] = _priority(changes["priority"])
        names = {"title": "summary", "text": "description"}
        issue |= {names[name]: value for name, value in changes.items() if name in names}
        if "owner" in changes:
            issue["assignee"] = self._person(changes["owner"])

    def unlabel(self, ticket: str) -> None:
        self.issues[_n(ticket)]["labels"] = []

    def remove(self, ticket: str) -> None:
        self.issues.pop(_n(ticket))

    def plant(self, key: str) -> None:
        self._make({"summary": "Planted", "description": f"Ticket key: {key}", "labels": ["countersign", key]}, PARTNER)

    # How Jira behaves

    def who(self, headers: Any) -> str | None:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if not self.cloud:
            return TOKENS.get(token) if scheme == "Bearer" else None
        user, _, password = b64decode(token).decode().partition(":")
        return TOKENS.get(password) if (scheme, user) == ("Basic", EMAIL) else None

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - a branch for each operation
        path, trusted = request.call.path, request.who in {SERVICE, OWNER}
        if path == f"{_A}/myself":
            return Answer(200, self._person(request.who))
        if path == f"{_A}/status":
            return Answer(200, [_status(number) for number in _STATUSES])
        if path == f"{_A}/mypermissions":
            asked = request.said("permissions").split(",") if self.cloud else _RIGHTS
            return Answer(200, {"permissions": {name: {"key": name, "havePermission": trusted} for name in asked}})
        if path.endswith("/assignable/search"):
            asked_for = request.said("accountId" if self.cloud else "username")
            return Answer(200, [self._person(who) for who in (SERVICE, OWNER) if who == asked_for])
        if path.startswith(_META):
            return self._meta(request, trusted=trusted)
        if path.endswith(("/search/jql", "/search")):
            return self._searched(request)
        if path.endswith("/bulkfetch"):
            there = [number for number in request.body["issueIdsOrKeys"] if number in self.issues]
            return Answer(200, {"issues": [self._shown(number, request.body["fields"]) for number in there], "issueErrors": []})
        if path == f"{_A}/issue":
            return self._created(request, trusted=trusted)
        number = request.values["key"]
        if number not in self.issues:
            return Answer(404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}})
        return self._one(number, request, path.removeprefix(_I), trusted=trusted)

    def _one(self, number: str, request: Request, rest: str, *, trusted: bool) -> Answer:  # noqa: PLR0911 - as above
        issue = self.issues[number]
        match request.call.method, rest:
            case "GET", "":
                expanded: dict[str, Any] = {"changelog": {"histories": self.changes[number]}, "editmeta": {"fields": self._editable()}}
                more = {name: part for name, part in expanded.items() if name == request.said("expand")}
                return Answer(200, {**self._shown(number, request.said("fields").split(",")), **more})
            case "GET", "/comment":
                return self._part(self.comments[number], request, "comments")
            case "GET", "/changelog":
                return self._part(self.changes[number], request, "values")
            case "GET", "/transitions":
                steps = [{"id": f"{to}1", "name": f"To {_STATUSES[to][0]}", "to": _status(to)} for to in _STATUSES if to != issue["status"]]
                return Answer(200, {"transitions": steps if trusted else []})
            case "POST", "/comment":
                said = {"body": request.body["body"], "author": self._person(request.who), "created": self._tick()}
                self.comments[number].append(said)
                return Answer(201, said)
        if not trusted:
            return Answer(403, {"errorMessages": ["You do not have permission to edit issues in this project."]})
        if rest == "/transitions":
            self._move(number, request.body["transition"]["id"][0], request.who)
            return Answer(204)
        given = request.body.get("fields", {})
        refused = self._refused(given)
        if refused:
            return Answer(400, {"errorMessages": [], "errors": refused})
        self.changes[number].append({"author": self._person(request.who), "created": self._tick(), "items": [{"field": n} for n in given]})
        issue |= {name: _priority(value["name"]) if name == "priority" else value for name, value in given.items()}
        for step in request.body.get("update", {}).get("labels", []):
            issue["labels"] = [*issue["labels"], step["add"]]
        return Answer(204)

    def _meta(self, request: Request, *, trusted: bool) -> Answer:
        if request.values["project"] != PROJECT or not trusted:
            return Answer(400 if self.cloud else 404, {"errorMessages": ["No project could be found"]})
        if "type" not in request.values:
            kinds = [{"id": "10001", "name": "Epic"}, {"id": "10002", "name": "Task"}]
            return self._part(kinds, request, "issueTypes") if self.cloud else self._last(kinds, request)
        if not self.cloud:
            return self._last(self._fields(), request)
        return self._part([{"key": field["fieldId"], **field} for field in self._fields()], request, "fields")

    def _fields(self) -> list[dict[str, Any]]:
        always = {"project", "issuetype", "summary"}
        same = {"hasDefaultValue": False, "operations": ["set"], "schema": {"type": "string"}}
        allowed = {"priority": {"allowedValues": [_priority(name) for name in _PRIORITIES.values()]}}
        return [
            {"fieldId": name, "name": name.title(), "required": name in always, **same, **allowed.get(name, {})}
            for name in sorted(_TAKES - self.off_screen)
        ]

    def _editable(self) -> dict[str, Any]:
        fields = {field["fieldId"]: field for field in self._fields()}
        if not self.cloud:
            return fields
        return {name: {"key": name, **{word: said for word, said in field.items() if word != "fieldId"}} for name, field in fields.items()}

    def _searched(self, request: Request) -> Answer:
        jql = request.said("jql")
        by_label = re.fullmatch(
            r'project = "SEC" AND labels = "(cs1-[a-z2-7]{26})" AND creator = currentUser\(\) ORDER BY created DESC', jql
        )
        by_key = re.fullmatch(r"key in \((SEC-\d+(?:, SEC-\d+)*)\)", jql)
        if by_label:
            found = [
                n for n, issue in self.issues.items() if by_label[1] in issue["labels"] and self._called(issue["creator"]) == request.who
            ]
        elif by_key and request.said("validateQuery") == "false":
            found = [number for number in by_key[1].split(", ") if number in self.issues]
        else:
            self.strange.append(jql)
            return Answer(400, {"errorMessages": [f"Error in the JQL Query: {jql}"]})
        found = [number for number in reversed(found) if number not in self.unindexed]
        shown = [self._shown(number, request.said("fields").split(",")) for number in found]
        if not self.cloud:
            return self._part(shown, request, "issues")
        start, size = int(request.said("nextPageToken", "0")), int(request.said("maxResults", "50"))
        more = {"nextPageToken": str(start + size)} if start + size < len(shown) else {"isLast": True}
        return Answer(200, {"issues": shown[start : start + size], **more})

    def _created(self, request: Request, *, trusted: bool) -> Answer:
        fields = request.body["fields"]
        if fields["project"] != {"key": PROJECT} or fields["issuetype"] != {"id": "10002"} or not trusted:
            return Answer(400, {"errorMessages": [], "errors": {"project": "You cannot create issues in this project."}})
        refused = self._refused(fields)
        if refused:
            return Answer(400, {"errorMessages": [], "errors": refused})
        number = self._make(fields, request.who)
        return Answer(201, {"id": f"1{number[4:]}", "key": number, "self": f"{self.url}{_A}/issue/1{number[4:]}"})

    def _refused(self, fields: dict[str, Any]) -> dict[str, str]:
        strange = fields.keys() - (_TAKES - self.off_screen)
        found = {name: f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown." for name in strange}
        if fields.get("priority", {"name": "Low"}).get("name") not in _PRIORITIES.values():
            found["priority"] = "The priority selected is invalid."
        if not 0 < len(fields.get("summary", "x")) <= 255 or "\n" in fields.get("summary", "x"):
            found["summary"] = "Summary must be less than 255 characters."
        if len(fields.get("description", "")) > 32767:
            found["description"] = "The entered text is too long."
        if any(" " in label for label in fields.get("labels", [])):
            found["labels"] = "The label contains spaces which is invalid."
        name = "accountId" if self.cloud else "name"
        if fields.get("assignee") and fields["assignee"].get(name) not in {SERVICE, OWNER}:
            found["assignee"] = "User cannot be assigned issues."
        return found

    def _make(self, fields: dict[str, Any], who: str) -> str:
        number, at = f"{PROJECT}-{len(self.changes) + 1}", self._tick()
        self.comments[number], self.changes[number] = [], []
        bare = {"assignee": None, "duedate": None, "labels": [], "description": None}
        priority = _priority(fields.get("priority", {"name": "Medium"})["name"])
        self.issues[number] = {
            **bare, **fields, "priority": priority, "creator": self._person(who), "created": at, "updated": at, "resolutiondate": None, "resolution": None, "status": "1",
        }  # fmt: skip
        if self.lags:
            self.unindexed.add(number)
        return number

    def _move(self, number: str, to: str, who: str) -> None:
        issue, at = self.issues[number], self._tick()
        item = {"field": "status", "from": issue["status"], "fromString": _STATUSES[issue["status"]][0]}
        item |= {"to": to, "toString": _STATUSES[to][0]}
        self.changes[number].append({"author": self._person(who), "created": at, "items": [item]})
        issue |= {"status": to, "updated": at, "resolutiondate": at if _STATUSES[to][1] == "done" else None, "resolution": None}

    def _shown(self, number: str, names: list[str]) -> dict[str, Any]:
        issue = self.issues[number]
        fields = {name: _status(issue["status"]) if name == "status" else issue[name] for name in names}
        if self.cloud and fields.get("description"):
            # Cloud keeps documents, not markup, and tells them as markup again.
            fields["description"] = fields["description"].replace("{noformat}", "{code}")
        return {"id": f"1{number[4:]}", "key": number, "fields": fields}

    def _part(self, items: list[Any], request: Request, name: str) -> Answer:
        start, size = int(request.said("startAt", "0")), min(int(request.said("maxResults", "50")), 100)
        return Answer(200, {"startAt": start, "maxResults": size, "total": len(items), name: items[start : start + size]})

    def _last(self, items: list[Any], request: Request) -> Answer:
        """Give one page as Data Center gives what may have no total: it says of itself whether it is the last one."""
        start, size = int(request.said("startAt", "0")), min(int(request.said("maxResults", "50")), 100)
        ends = start + size >= len(items)
        return Answer(200, {"startAt": start, "maxResults": size, "isLast": ends, "values": items[start : start + size]})

    def _person(self, who: str) -> dict[str, str]:
        return {"accountId": who, "displayName": "Somebody"} if self.cloud else {"name": who, "key": "JIRAUSER1", "displayName": "Somebody"}

    def _called(self, user: dict[str, str] | None) -> str:
        return "" if user is None else user["accountId" if self.cloud else "name"]

    def _tick(self) -> str:
        self.clock += timedelta(seconds=1)
        return f"{self.clock:%Y-%m-%dT%H:%M:%S}.000+0000"


class JiraDataCenterStandIn(JiraCloudStandIn):
    kind, cloud = "jira data center", False
    calls = (
        *_COMMON,
        call("GET", f"{_A}/mypermissions", "projectKey projectId issueKey issueId"),
        call("GET", _I, "fields expand properties updateHistory"),
        call("GET", f"{_A}/user/assignable/search", "username project issueKey startAt maxResults actionDescriptorId"),
        call("GET", f"{_A}/search", "jql startAt maxResults validateQuery fields expand"),
    )


def _status(number: str) -> dict[str, Any]:
    name, category = _STATUSES[number]
    return {"id": number, "name": name, "statusCategory": {"id": 1, "key": category}}


def _priority(name: str) -> dict[str, str]:
    return {"id": next((number for number, each in _PRIORITIES.items() if each == name), "9"), "name": name}


def _n(ticket: str) -> str:
    return ticket.removeprefix("jira:")
