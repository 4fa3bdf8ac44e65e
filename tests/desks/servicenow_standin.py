"""ServiceNow's incidents as its Table API's reference describes them.

Source of the table: "Table API" in ServiceNow's API reference (parameters of GET, POST and PATCH), and the fields of `incident`,
`sys_user`, `sys_journal_field` and `sys_audit` in a new instance. Encoded queries know the operators that are used.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.desk.servicenow import ServiceNowDesk
from countersign.desk_settings import ServiceNow
from tests.desks.served import OWNER, PARTNER, SERVICE, TOKENS, Answer, Request, Served, call

_T = "/api/now/table/{table}"
_GET = "sysparm_display_value sysparm_exclude_reference_link sysparm_fields sysparm_query_no_domain sysparm_view"
_LIST = f"{_GET} sysparm_query sysparm_limit sysparm_offset sysparm_no_count sysparm_suppress_pagination_header sysparm_query_category"
_WRITE = (
    "short_description description correlation_id correlation_display state assigned_to assignment_group due_date close_code close_notes"
    " work_notes comments impact urgency"
)
_LENGTHS = {"short_description": 160, "description": 4000, "correlation_id": 100}
_PEOPLE = {SERVICE: "a" * 32, OWNER: "b" * 32, PARTNER: "c" * 32}
_START = datetime(2026, 11, 22, 12, tzinfo=UTC)
_JOURNALS = {"work_notes", "comments"}


class ServiceNowStandIn(Served):
    kind = module = "servicenow"
    comments_by = "PATCH"
    calls = (
        call("GET", _T, _LIST),
        call("POST", _T, fields=_WRITE),
        call("GET", f"{_T}/{{sys_id}}", _GET),
        call("PATCH", f"{_T}/{{sys_id}}", fields=_WRITE),
    )

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, dict[str, str]] = {}
        self.audit: list[dict[str, str]] = []
        self.journal: list[dict[str, str]] = []
        self.made = 0
        self.clock = _START

    # What the tests see of it

    def desk(self, **changed: Any) -> ServiceNowDesk:
        said = {"url": self.url, "user": SERVICE, "token_from": "env:TRACKER_TOKEN", "close_code": "Solved", **changed}
        return ServiceNowDesk(ServiceNow.model_validate(said), {"maria": OWNER, "pavel": "who-is-not-there"})

    def tickets_with(self, key: str) -> list[str]:
        return [f"servicenow:{number}" for number, task in self.tasks.items() if key in task["description"]]

    def fields(self, ticket: str) -> tuple[str, str, str, bool]:
        """Title, text, assignee, and whether it is open."""
        task = self.tasks[_n(ticket)]
        who = next((name for name, number in _PEOPLE.items() if number == task["assigned_to"]), "")
        return task["short_description"], task["description"], who, task["state"] not in {"6", "7", "8"}

    def people_change(self, ticket: str, **changes: Any) -> None:
        names = {"title": "short_description", "text": "description", "owner": "assigned_to", "open": "state"}
        given = {names.get(name, name): value for name, value in changes.items() if name != "declined"}
        if "declined" in changes:
            given["state"] = "8"
        if "open" in changes:
            given["state"] = "2" if changes["open"] else "7"
        if "owner" in changes:
            given["assigned_to"] = _PEOPLE[changes["owner"]]
        self._change(_n(ticket), given, OWNER)

    def unlabel(self, ticket: str) -> None:
        self.tasks[_n(ticket)]["correlation_id"] = ""

    def remove(self, ticket: str) -> None:
        self.tasks.pop(_n(ticket))

    def plant(self, key: str) -> None:
        self._make({"short_description": "Planted", "description": f"Ticket key: {key}", "correlation_id": key}, PARTNER)

    # How ServiceNow behaves

    def who(self, headers: Any) -> str | None:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        user, _, password = b64decode(token).decode().partition(":")
        return TOKENS.get(password) if (scheme, user) == ("Basic", SERVICE) else None

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - a branch for each operation
        table, number, method = request.values["table"], request.values.get("sys_id"), request.call.method
        if request.who == PARTNER:
            return _error(403, "Insufficient rights to query records")
        if number is None and method == "GET":
            return self._listing(table, request)
        if table != "incident":
            return _error(400, f"Invalid table {table}")
        if method == "POST":
            return Answer(201, {"result": self._make(request.body, request.who)})
        if number not in self.tasks:
            return _error(404, "No Record found")
        if method == "GET":
            return Answer(200, {"result": _only(self.tasks[number], request)})
        if request.body.get("state") == "6" and not request.body.get("close_code"):
            return _error(403, "Operation Failed: Data Policy Exception: the following fields are mandatory: Resolution code")
        self._change(number, request.body, request.who)
        return Answer(200, {"result": self.tasks[number]})

    def _listing(self, table: str, request: Request) -> Answer:
        people = [{"sys_id": number, "user_name": who, "active": "true"} for who, number in _PEOPLE.items()]
        tables = {"incident": list(self.tasks.values()), "sys_user": people}
        tables |= {"sys_journal_field": self.journal, "sys_audit": self.audit}
        if table not in tables:
            return _error(400, f"Invalid table {table}")
        items = tables[table]
        for part in request.said("sysparm_query").split("^"):
            match = re.fullmatch(r"(ORDERBYDESC|ORDERBY)(\w+)|(\w+?)(=|IN)(.*)", part)
            if match is None:
                self.strange.append(part)
            elif match[3]:
                allowed = match[5].split(",") if match[4] == "IN" else [match[5]]
                items = [item for item in items if item[match[3]] in allowed]
        orders = re.findall(r"(ORDERBYDESC|ORDERBY)(\w+)", request.said("sysparm_query"))
        for order, name in reversed(orders):
            items = sorted(items, key=lambda item, name=name: item[name], reverse=order == "ORDERBYDESC")  # type: ignore[misc]
        start, size = int(request.said("sysparm_offset", "0")), int(request.said("sysparm_limit", "10000"))
        more = {"Link": f'<{self.url}/next>;rel="next"'} if start + size < len(items) else {}
        return Answer(200, {"result": [_only(item, request) for item in items[start : start + size]]}, more)

    def _make(self, said: dict[str, str], who: str) -> dict[str, str]:
        self.made += 1
        number, at = f"{self.made:032x}", self._tick()
        bare = dict.fromkeys((*_WRITE.split(), "closed_at", "resolved_at"), "")
        self.tasks[number] = {
            **bare, **_cut(said), "sys_id": number, "number": f"INC{self.made:07}", "state": "1", "sys_created_by": who,
            "sys_created_on": at, "sys_updated_on": at,
        }  # fmt: skip
        return self.tasks[number]

    def _change(self, number: str, said: dict[str, str], who: str) -> None:
        task, at = self.tasks[number], self._tick()
        entry = {"sys_id": f"{len(self.audit) + len(self.journal):032x}", "sys_created_on": at}
        for name, value in _cut(said).items():
            if name in _JOURNALS:
                self.journal.append({**entry, "element_id": number, "element": name, "value": value, "sys_created_by": who})
                continue
            old = {"oldvalue": task[name], "newvalue": value}
            self.audit.append({**entry, "documentkey": number, "fieldname": name, "user": who, **old})
            task[name] = value
        ended = at if task["state"] in {"6", "7", "8"} else ""
        task |= {"sys_updated_on": at, "resolved_at": ended, "closed_at": ended if task["state"] == "7" else ""}

    def _tick(self) -> str:
        self.clock += timedelta(seconds=1)
        return f"{self.clock:%Y-%m-%d %H:%M:%S}"


def _cut(said: dict[str, str]) -> dict[str, str]:
    return {name: value[: _LENGTHS.get(name, 100_000)] for name, value in said.items()}


def _only(item: dict[str, str], request: Request) -> dict[str, str]:
    return {name: item[name] for name in request.said("sysparm_fields").split(",") if name in item}


def _error(code: int, words: str) -> Answer:
    return Answer(code, {"error": {"message": words, "detail": ""}, "status": "failure"})


def _n(ticket: str) -> str:
    return ticket.removeprefix("servicenow:")
