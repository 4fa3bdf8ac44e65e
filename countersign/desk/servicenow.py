"""A desk in a table of tasks in the customer's ServiceNow, such as incidents, over its Table API.

Which task is whose key's stands in `correlation_id`, which is made for that; only a task that our own account made counts. ServiceNow
leaves out without a word what an access rule keeps us from reading or writing, and ignores parts of a query that it does not know, so
that every answer is looked at. Source: https://www.servicenow.com/docs, "Table API".
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, timedelta
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from countersign.desk import AnswerLostError, DeskError, DeskRefusedError, Entry, Standing, Ticket
from countersign.desk.missing import asked_alone
from countersign.desk.ticket_text import checked, described, foremost, plain, stated_key, title
from countersign.desk.wire import MOST_PAGES, Wire, an_object, time_of
from countersign.finding import inert
from countersign.pace import budget
from countersign.reading import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.desk_settings import ServiceNow
    from countersign.remediation import Draft

PREFIX = "servicenow:"
PAGE = 100
UNITS, SECONDS = 100.0, 10.0
"""Requests: the instance's own limits are an administrator's choice, and say 429."""
TITLE = 160
BODY = 4000
"""Characters that the fields of a task hold; ServiceNow cuts what is more."""
FIELDS = (
    "sys_id,number,short_description,description,correlation_id,state,assigned_to,due_date,sys_created_by,sys_created_on,sys_updated_on"
    ",closed_at,resolved_at"
)
_ID = re.compile(r"[0-9a-f]{32}")
# In journals the text between these is rendered as HTML.
_HTML = re.compile(r"\[(?=/?code\])", re.IGNORECASE)


class ServiceNowDesk:
    """Tasks in one table. `owners` says who is who: a person's id in the register, and their user name in ServiceNow."""

    search_lag = timedelta(0)
    redescribes_in_comments = False

    def __init__(self, settings: ServiceNow, owners: Mapping[str, str]) -> None:
        self._settings = settings
        self._owners = owners
        url = settings.url.rstrip("/")
        pace = budget("servicenow", url, units=UNITS, seconds=SECONDS)
        self._wire = Wire(url, "/api/now", token_from=settings.token_from, ca=settings.ca, sign=self._signed, pace=pace)
        self._users: dict[str, str | None] = {}
        self._table = f"table/{settings.table}"
        columns = () if settings.severities is None else tuple(settings.severities.critical)
        self._columns = columns
        self._fields = ",".join((FIELDS, *columns))
        self.target = f"servicenow:{url}#{settings.table}"

    def find(self, key: str) -> Ticket | None:
        """Return the open task of a key that our account made, else the newest closed one, else None."""
        query = f"correlation_id={checked(key)}^sys_created_by={self._settings.user}^ORDERBYDESCsys_created_on^ORDERBYDESCnumber"
        mine = (key, self._settings.user)
        return foremost(
            self._ticket(item, key)
            for item in self._list(self._table, query, FIELDS)
            if (item.get("correlation_id"), item.get("sys_created_by")) == mine
        )

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these tasks are closed and since when, in a call for each hundred of them.

        What is not listed is asked for alone. None: it is gone, or hidden from us.
        """
        found: dict[str, datetime | None] = {}
        left = {_number(id) for id in ids}  # noqa: A001  (a ticket's id is called id)
        for start in range(0, len(ids), PAGE):
            asked = [_number(id) for id in ids[start : start + PAGE]]  # noqa: A001  (as above)
            for item in self._list(self._table, f"sys_idIN{','.join(asked)}^ORDERBYsys_id", FIELDS):
                left.discard(str(item["sys_id"]))
                if self._state(item) == "closed":
                    found[f"{PREFIX}{item['sys_id']}"] = _ended(item)
        found |= asked_alone(self, left, self._closed_at, PREFIX)
        return {id: found[id] for id in ids if id in found}  # noqa: A001  (as above)

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: with the state that the settings name."""
        return str(self._read(_number(id)).get("state")) == self._settings.declines

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make a task; never repeats a create whose answer was lost."""
        fields: dict[str, object] = {
            "correlation_id": checked(key),
            "correlation_display": "Countersign",
            "short_description": title(draft.title, TITLE),
            "description": described(draft, key, BODY),
            "due_date": _due(draft),
            **self._severity(draft),
        }
        if self._settings.assignment_group is not None:
            fields["assignment_group"] = self._settings.assignment_group
        owner = self._owner(draft)
        if owner is not None:
            fields["assigned_to"] = owner
        made = self._wire.write("POST", self._table, fields)
        task = made.get("result") if isinstance(made, dict) else None
        if not isinstance(task, dict) or not _ID.fullmatch(str(task.get("sys_id"))):
            raise AnswerLostError(f"{self.target} did not say which task it made")
        return Ticket(f"{PREFIX}{task['sys_id']}", key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Set title, description, due date, key and severity where they differ, and give a task of nobody's to its owner.

        The Table API has no condition for a write, so that it is read just before. One that people gave to somebody else stays theirs.
        """
        number = _number(id)
        changes = self._changes(self._read(number), draft)
        if changes:
            self._patch(number, changes)
            left = self._changes(self._read(number), draft).keys() - {"assigned_to"}
            if left:
                raise DeskError(f"{id} did not take {', '.join(sorted(left))}", fix="let our account write these fields")

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a work note, or a comment that callers see too, as the settings say."""
        self._patch(_number(id), {self._settings.comments_in: _HTML.sub("[ ", plain(text))[:BODY]})

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so is no error."""
        number = _number(id)
        if self._state(self._read(number)) == state:
            return
        changes = {"state": self._settings.opens if state == "open" else self._settings.closes}
        if state == "closed" and self._settings.close_code is not None:
            changes |= {"close_code": self._settings.close_code, "close_notes": "Looked at again: what this task was about is gone."}
        self._patch(number, changes)
        if self._state(self._read(number)) != state:
            raise DeskError(f"{id} did not become {state}", fix="let our account write `state`, and check the states in countersign.yaml")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, oldest first; our account needs to read the tables sys_journal_field and sys_audit for that."""
        number = _number(id)
        task = self._read(number)
        text = str(task.get("description") or "")
        entries = [Entry(_instant(task.get("sys_created_on")), str(task.get("sys_created_by")), "created", text)]
        notes = f"element_id={number}^elementINcomments,work_notes^ORDERBYsys_created_on"
        entries += [
            Entry(_instant(note.get("sys_created_on")), str(note.get("sys_created_by")), "commented", str(note.get("value")))
            for note in self._list("table/sys_journal_field", notes, "sys_id,value,sys_created_by,sys_created_on")
        ]
        wanted = "sys_id,fieldname,oldvalue,newvalue,user,sys_created_on"
        for change in self._list("table/sys_audit", f"documentkey={number}^ORDERBYsys_created_on", wanted):
            field, becomes = str(change.get("fieldname")), str(change.get("newvalue"))
            what: Literal["updated", "opened", "closed"] = "updated"
            if field == "state":
                what = "closed" if becomes in self._settings.inactive else "opened"
            if field not in {"comments", "work_notes"}:
                said = f"{field}: {becomes}" if what == "updated" else f"{change.get('oldvalue')} to {becomes}"
                entries.append(Entry(_instant(change.get("sys_created_on")), str(change.get("user")), what, inert(said)))
        return tuple(sorted(entries, key=attrgetter("at")))

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail."""
        scope = self._settings.table
        try:
            found = list(self._list("table/sys_user", f"user_name={self._settings.user}", "sys_id,user_name"))
            known = [user for user in found if user.get("user_name") == self._settings.user]
            yield Probe(scope, "sign in", ok=True, detail=f"as {self._settings.user}")
            yield Probe(scope, "see people", ok=bool(known), detail="" if known else "it cannot read sys_user: nothing is assigned")
            query = f"sys_created_by={self._settings.user}^ORDERBYDESCsys_created_on"
            newest = next(self._list(self._table, query, self._fields), None)
            yield Probe(scope, "see the table", ok=True, detail="")
            if self._columns:
                yield self._probe_severities(newest)
            if newest is None:
                yield Probe(scope, "find tickets by their key", ok=True, detail="not known before there is a ticket of ours")
                return
            kept = bool(newest.get("correlation_id"))
            detail = "" if kept else "our newest ticket has no correlation_id: let our account write it"
            yield Probe(scope, "find tickets by their key", ok=kept, detail=detail)
        except DeskError as error:
            yield Probe(scope, "ask", ok=False, detail=str(error))

    def _probe_severities(self, newest: Mapping[str, Any] | None) -> Probe:
        """Look for the columns of `severities` in a task, where one that is not there, or hidden from us, is left out.

        Not in sys_dictionary, which takes an administrator to read and has an inherited column under another table's name.
        """
        scope, what = self._settings.table, "say the severity"
        task = newest or next(self._list(self._table, "ORDERBYDESCsys_created_on", self._fields), None)
        if task is None:
            return Probe(scope, what, ok=True, detail="not known before there is a task")
        missing = sorted(name for name in self._columns if name not in task)
        detail = f"no such columns, or we may not read them: {', '.join(missing)}" if missing else ""
        return Probe(scope, what, ok=not missing, detail=detail)

    def _signed(self, token: str) -> dict[str, str]:
        basic = b64encode(f"{self._settings.user}:{token}".encode()).decode()
        how = f"Basic {basic}" if self._settings.auth == "basic" else f"Bearer {token}"
        return {"Authorization": how, "Accept": "application/json"}

    def _changes(self, task: Mapping[str, Any], draft: Draft) -> dict[str, object]:
        """Say what has to be written for a task to be as drafted."""
        key = _key(task)
        wanted = {
            "correlation_id": key,
            "short_description": title(draft.title, TITLE),
            "description": described(draft, key, BODY),
            "due_date": _due(draft),
            **self._severity(draft),
        }
        if not draft.body:
            del wanted["description"]
        changes: dict[str, object] = {name: value for name, value in wanted.items() if _text(task.get(name)) != _text(value)}
        owner = None if task.get("assigned_to") else self._owner(draft)
        return changes if owner is None else {**changes, "assigned_to": owner}

    def _severity(self, draft: Draft) -> Mapping[str, str]:
        """Return the columns that say how severe a task is; none where the settings name none."""
        severities = self._settings.severities
        return {} if severities is None else severities.of(draft.severity)

    def _patch(self, number: str, changes: Mapping[str, object]) -> None:
        self._wire.write("PATCH", f"{self._table}/{number}", changes, of_ticket=True)

    def _closed_at(self, number: str) -> datetime | None:
        task = self._read(number)
        return _ended(task) if self._state(task) == "closed" else None

    def _read(self, number: str) -> dict[str, Any]:
        asked = {"sysparm_fields": self._fields, "sysparm_exclude_reference_link": "true", "sysparm_display_value": "false"}
        task = self._wire.get(f"{self._table}/{number}", asked, of_ticket=True).get("result")
        if not isinstance(task, dict) or task.get("sys_id") != number or not task.get("state"):
            raise DeskError(f"{PREFIX}{number} came without its fields")
        return task

    def _list(self, table: str, query: str, fields: str) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {"sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": PAGE}
        asked |= {"sysparm_exclude_reference_link": "true", "sysparm_display_value": "false"}
        for page in range(MOST_PAGES):
            # Older instances say 404 when nothing matches; a table that is not there is a 400.
            answer = self._wire.send("GET", table, passes={HTTPStatus.NOT_FOUND}, params={**asked, "sysparm_offset": page * PAGE})
            if answer.status_code == HTTPStatus.NOT_FOUND and "no record" not in answer.text.lower():
                raise DeskRefusedError(f"{self.target} answered 404 for {table}; is `url` the address of the instance?")
            items = [] if answer.status_code == HTTPStatus.NOT_FOUND else an_object(answer).get("result")
            if not isinstance(items, list) or not all(isinstance(item, dict) and _ID.fullmatch(str(item.get("sys_id"))) for item in items):
                raise DeskError(f"{self.target} gave a listing of something else than records")
            yield from items
            # Records that an access rule hides are left out of their page, so that only the named next page tells the end.
            if "next" not in answer.links:
                return
        raise DeskError(f"{self.target} gave more than {MOST_PAGES} pages")

    def _state(self, task: Mapping[str, Any]) -> Standing:
        return "closed" if str(task.get("state")) in self._settings.inactive else "open"

    def _ticket(self, task: Mapping[str, Any], key: str) -> Ticket:
        state = self._state(task)
        return Ticket(f"{PREFIX}{task['sys_id']}", key, state, None if state == "open" else _ended(task))

    def _owner(self, draft: Draft) -> str | None:
        """Return the record of the accountable person's account; None: there is none that we may see."""
        owner = None if draft.accountable is None else self._owners.get(draft.accountable)
        if owner is None or "^" in owner:
            return None
        if owner not in self._users:
            found = self._list("table/sys_user", f"user_name={owner}^active=true", "sys_id,user_name")
            self._users[owner] = next((str(user["sys_id"]) for user in found if user.get("user_name") == owner), None)
        return self._users[owner]


def _due(draft: Draft) -> str:
    """Write a time as ServiceNow keeps it: UTC, without a zone; empty where there is none."""
    return "" if draft.due is None else f"{draft.due.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _text(value: object) -> str:
    return str(value or "").replace("\r\n", "\n").strip()


def _key(task: Mapping[str, Any]) -> str:
    """Read whose key's task it is; people may have cleared the field, or edited the text."""
    key = str(task.get("correlation_id") or "") or stated_key(_text(task.get("description")))
    if not key:
        raise DeskError(f"{PREFIX}{task.get('sys_id')} bears no key of ours")
    return checked(key)


def _ended(task: Mapping[str, Any]) -> datetime:
    return _instant(task.get("closed_at") or task.get("resolved_at") or task.get("sys_updated_on"))


def _instant(value: object) -> datetime:
    return time_of(f"{value}Z", "ServiceNow")


def _number(ticket: str) -> str:
    number = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not _ID.fullmatch(number):
        raise DeskError(f"{ticket!r} is no task in ServiceNow")
    return number
