"""A desk in a project of Jira, Cloud or Data Center.

Which issue is whose key's stands in a label of that name, which takes no administrator; only an issue that our own account made counts.
A search on Jira Cloud lags by seconds to minutes, so whatever we know the number of is read by its number.
Sources: Jira Cloud's REST API 2 and 3 (https://developer.atlassian.com/cloud/jira/platform/rest/), Jira Data Center's REST API 2 (9.x).
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, timedelta
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from countersign.desk import AnswerLostError, DeskError, DeskRefusedError, Entry, Standing, Ticket
from countersign.desk.missing import asked_alone
from countersign.desk.ticket_text import KEY, MARK, checked, described, foremost, is_refusal, plain, stated_key, title
from countersign.desk.wire import MOST_PAGES, Wire, json_of, time_of
from countersign.finding import inert
from countersign.pace import budget
from countersign.reading import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.desk_settings import Jira
    from countersign.remediation import Draft

PREFIX = "jira:"
PAGE = 100
"""Items to a page, and issues asked for at once."""
CLOUD_LAG = timedelta(minutes=15)
"""After that a search finds what was made; Atlassian promises no time, and people saw seconds to a few minutes."""
UNITS, SECONDS = 100.0, 10.0
"""Requests: Jira Cloud's own limits go by cost, and it says 429."""
TITLE = 255
BODY = 30_000
"""Characters, of 32,767 that Jira takes unless an administrator set another limit."""
API = "rest/api/2"
SEARCHED = "labels,status,creator,resolutiondate,updated"
READ = "summary,description,duedate,assignee,labels,status,creator,created,resolution,resolutiondate,updated"
RIGHTS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "EDIT_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES")
_NUMBER = re.compile(r"[A-Z][A-Z0-9_]*-[0-9]+")
_FILLED = frozenset({"project", "issuetype", "summary", "description", "labels", "duedate", "assignee", "reporter"})


class JiraDesk:
    """Issues of one project. `owners` says who is who: a person's id in the register, and their account's id (Cloud) or name."""

    redescribes_in_comments = False

    def __init__(self, settings: Jira, owners: Mapping[str, str]) -> None:
        self._settings = settings
        self._owners = owners
        self._cloud = settings.deployment == "cloud"
        url = settings.url.rstrip("/")
        pace = budget("jira", url, units=UNITS, seconds=SECONDS)
        self.search_lag = CLOUD_LAG if self._cloud else timedelta(0)
        self._wire = Wire(url, "", token_from=settings.token_from, ca=settings.ca, sign=self._signed, pace=pace)
        self._assignable: dict[str, bool] = {}
        self.target = f"jira:{url}#{settings.project}"

    def find(self, key: str) -> Ticket | None:
        """Return the open issue of a key that our account made, else the newest closed one, else None."""
        query = f'project = "{self._settings.project}" AND labels = "{checked(key)}" AND creator = currentUser() ORDER BY created DESC'
        ours = [item for item in self._search(query) if self._who(item, "creator") == self._ourselves and key in _labels(item)]
        return foremost(_ticket(item, key) for item in sorted(ours, key=_place, reverse=True))

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these issues are closed and since when, in a call for each hundred of them.

        What was moved is asked for alone. None: it is gone, or hidden from us.
        """
        numbers = [_number(id) for id in ids]  # noqa: A001  (a ticket's id is called id)
        found: dict[str, datetime | None] = {}
        left = set(numbers)
        for start in range(0, len(numbers), PAGE):
            for item in self._many(numbers[start : start + PAGE]):
                left.discard(str(item.get("key")))
                if _state(item) == "closed":
                    found[f"{PREFIX}{item['key']}"] = _ended(item)
        found |= asked_alone(self, left, self._closed_at, PREFIX)
        return {id: found[id] for id in ids if id in found}  # noqa: A001  (as above)

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: by its resolution."""
        return is_refusal(str((self._read(_number(id))["fields"].get("resolution") or {}).get("name")))

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make an issue; never repeats a create whose answer was lost."""
        checked(key)
        kind, takes = self._kind, self._takes
        if "labels" not in takes:
            raise DeskRefusedError(f"{self.target} takes no labels with a new {self._settings.issue_type}", fix="put Labels on its screen")
        fields: dict[str, object] = {
            "project": {"key": self._settings.project},
            "issuetype": {"id": kind},
            "summary": title(draft.title, TITLE),
            "description": _body(draft, key),
            "labels": [MARK, key],
        }
        if "duedate" in takes and draft.due is not None:
            fields["duedate"] = _due(draft)
        priority = self._priority(draft)
        if "priority" in takes and priority is not None:
            fields["priority"] = {"name": priority}
        owner = self._owner(draft)
        if owner is not None:
            fields["assignee"] = owner
        made = self._wire.write("POST", f"{API}/issue", {"fields": fields})
        if not isinstance(made, dict) or not _NUMBER.fullmatch(str(made.get("key"))):
            raise AnswerLostError(f"{self.target} did not say which issue it made")
        return Ticket(f"{PREFIX}{made['key']}", key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Set summary, description, due date, priority and labels where they differ, and give an issue of nobody's to its owner.

        Jira has no condition for a write, so that it is read just before. One that people gave to somebody else stays theirs.
        """
        issue = self._read(_number(id))
        fields, key = issue["fields"], _key(issue)
        changes: dict[str, object] = {}
        if fields.get("summary") != title(draft.title, TITLE):
            changes["summary"] = title(draft.title, TITLE)
        if draft.body and _unwrapped(fields.get("description")) != _unwrapped(_body(draft, key)):
            changes["description"] = _body(draft, key)
        if "duedate" in self._takes and fields.get("duedate") != _due(draft):
            changes["duedate"] = _due(draft)
        priority = self._priority(draft)
        if priority not in {None, (fields.get("priority") or {}).get("name")} and "priority" in self._editable(_number(id)):
            changes["priority"] = {"name": priority}
        owner = None if fields.get("assignee") else self._owner(draft)
        if owner is not None:
            changes["assignee"] = owner
        missing = sorted({MARK, key} - set(_labels(issue)))
        if changes or missing:
            more = {"update": {"labels": [{"add": name} for name in missing]}} if missing else {}
            self._wire.write("PUT", f"{API}/issue/{_number(id)}", {"fields": changes, **more}, of_ticket=True)

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment; Jira tells those who watch the issue."""
        self._wire.write("POST", f"{API}/issue/{_number(id)}/comment", {"body": _wrapped(plain(text)[:BODY])}, of_ticket=True)

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it by a step of the project's own workflow; already being so is no error."""
        number = _number(id)
        if _state(self._read(number)) == state:
            return
        steps = self._wire.get(f"{API}/issue/{number}/transitions", of_ticket=True).get("transitions")
        listed = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
        step = self._step(listed, state)
        if step is None:
            names = ", ".join(inert(str(each.get("name")))[:40] for each in listed) or "none at all"
            fix = f"name one as `{'opens' if state == 'open' else 'closes'}` in countersign.yaml, and let our account take it"
            raise DeskError(f"no step of the workflow makes {id} {state}; there are: {names}", fix=fix)
        resolution = self._settings.resolution if state == "closed" else None
        more: dict[str, object] = {} if resolution is None else {"fields": {"resolution": {"name": resolution}}}
        self._wire.write("POST", f"{API}/issue/{number}/transitions", {"transition": {"id": step}, **more}, of_ticket=True)
        if _state(self._read(number)) != state:
            raise DeskError(f"{id} did not become {state}", fix="name a step that leads there in countersign.yaml")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, oldest first."""
        number = _number(id)
        issue = self._read(number)
        text = _unwrapped(issue["fields"].get("description"))
        entries = [Entry(_instant(issue["fields"].get("created")), self._who(issue, "creator"), "created", text)]
        entries += [
            Entry(_instant(said.get("created")), self._name(said.get("author")), "commented", _unwrapped(said.get("body")))
            for said in self._list(f"{API}/issue/{number}/comment", "comments")
        ]
        for change in self._changes(number):
            at, who = _instant(change.get("created")), self._name(change.get("author"))
            for item in change.get("items") or ():
                if item.get("field") == "status":
                    words = inert(f"{item.get('fromString')} to {item.get('toString')}")
                    entries.append(Entry(at, who, "closed" if str(item.get("to")) in self._ends else "opened", words))
                else:
                    entries.append(Entry(at, who, "updated", inert(str(item.get("field")))))
        return tuple(sorted(entries, key=attrgetter("at")))

    def ourselves(self) -> str:
        """Return the id (Cloud) or the name of our account."""
        return self._ourselves

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail."""
        scope = self._settings.project
        try:
            yield Probe(scope, "sign in", ok=True, detail=f"as {self.ourselves()}")
            # Cloud wants them named, Data Center always tells all.
            asked = {"projectKey": scope, **({"permissions": ",".join(RIGHTS)} if self._cloud else {})}
            may = self._wire.get(f"{API}/mypermissions", asked).get("permissions")
            held = may if isinstance(may, dict) else {}
            for right in RIGHTS:
                ok = bool((held.get(right) or {}).get("havePermission"))
                yield Probe(scope, right.lower().replace("_", " "), ok=ok, detail="" if ok else f"our account needs the permission {right}")
            takes = self._takes
            yield Probe(scope, "set labels", ok="labels" in takes, detail="" if "labels" in takes else "put Labels on the create screen")
            filled = _FILLED if self._settings.severities is None else _FILLED | {"priority"}
            missing = sorted(name for name, needed in takes.items() if needed and name not in filled)
            detail = f"a new {self._settings.issue_type} must also have {', '.join(missing)}" if missing else ""
            yield Probe(scope, "fill every field that must be", ok=not missing, detail=detail)
            spare = " and ".join(name for name in ("duedate", "assignee") if name not in takes)
            yield Probe(scope, "due date and assignee", ok=True, detail=f"not on the create screen: {spare}" if spare else "")
            if self._settings.severities is not None:
                wrong = self._wrong_priorities(self._settings.severities.all().values())
                yield Probe(scope, "set the priority", ok=not wrong, detail=wrong)
        except DeskError as error:
            yield Probe(scope, "ask", ok=False, detail=str(error))

    def _wrong_priorities(self, names: Iterable[str]) -> str:
        """Say why a new issue cannot have these priorities; empty: it can, as far as Jira tells."""
        if "priority" not in self._screen:
            return "put Priority on the create screen and the edit screen"
        allowed = self._screen["priority"].get("allowedValues")
        if not isinstance(allowed, list):
            return ""
        known = [str(each.get("name")) for each in allowed if isinstance(each, dict)]
        unknown = ", ".join(name for name in dict.fromkeys(names) if name not in known)
        return f"no priorities of this project: {unknown}; there are: {inert(', '.join(known))}" if unknown else ""

    def _signed(self, token: str) -> dict[str, str]:
        basic = b64encode(f"{self._settings.user}:{token}".encode()).decode()
        return {"Authorization": f"Basic {basic}" if self._cloud else f"Bearer {token}", "Accept": "application/json"}

    @cached_property
    def _ourselves(self) -> str:
        return self._name(self._wire.get(f"{API}/myself"))

    @cached_property
    def _kind(self) -> str:
        """Number of the issue type that tickets are made as."""
        path = f"{API}/issue/createmeta/{self._settings.project}/issuetypes"
        for kind in self._list(path, "issueTypes" if self._cloud else "values"):
            if kind.get("name") == self._settings.issue_type:
                return str(kind.get("id"))
        raise DeskRefusedError(f"{self.target} has no issue type {self._settings.issue_type}", fix="name one of its own as `issue_type`")

    @cached_property
    def _screen(self) -> dict[str, dict[str, Any]]:
        """What Jira says of each field that a new issue of the type takes."""
        path = f"{API}/issue/createmeta/{self._settings.project}/issuetypes/{self._kind}"
        return {str(each.get("fieldId")): each for each in self._list(path, "fields" if self._cloud else "values")}

    @property
    def _takes(self) -> dict[str, bool]:
        """Fields that a new issue of the type takes, and whether it must have them."""
        return {name: bool(each.get("required")) and not each.get("hasDefaultValue") for name, each in self._screen.items()}

    def _editable(self, number: str) -> Mapping[str, object]:
        """Return the fields of an issue that its edit screen has, which need not be those of the create screen."""
        issue = self._wire.get(f"{API}/issue/{number}", {"fields": "priority", "expand": "editmeta"}, of_ticket=True)
        return (issue.get("editmeta") or {}).get("fields") or {}

    def _priority(self, draft: Draft) -> str | None:
        """Return the priority of a draft's severity; None: it is people's."""
        return None if self._settings.severities is None else self._settings.severities.of(draft.severity)

    @cached_property
    def _ends(self) -> frozenset[str]:
        """Numbers of the statuses that count as done."""
        found = json_of(self._wire.send("GET", f"{API}/status"))
        done = [each for each in found if _category(each) == "done"] if isinstance(found, list) else []
        return frozenset(str(each.get("id")) for each in done)

    def _search(self, query: str, **more: str) -> Iterator[dict[str, Any]]:
        asked: dict[str, Any] = {"jql": query, "fields": SEARCHED, "maxResults": PAGE, **more}
        if not self._cloud:
            yield from self._list(f"{API}/search", "issues", **asked)
            return
        for _ in range(MOST_PAGES):
            found = self._wire.get("rest/api/3/search/jql", asked)
            yield from _items(found, "issues")
            if not found.get("nextPageToken"):
                return
            asked["nextPageToken"] = found["nextPageToken"]
        raise DeskError(f"{self.target} gave more than {MOST_PAGES} pages")

    def _many(self, numbers: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Read issues by their numbers: on Cloud past the search index; on Data Center by a search that bears with those that are gone."""
        if self._cloud:
            wanted = {"issueIdsOrKeys": list(numbers), "fields": SEARCHED.split(",")}
            return iter(_items(self._wire.write("POST", "rest/api/3/issue/bulkfetch", wanted), "issues"))
        return self._search(f"key in ({', '.join(numbers)})", validateQuery="false")

    def _list(self, path: str, name: str, **asked: object) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing that counts from `startAt`; one that has no `total` says which page is its last."""
        start = 0
        for _ in range(MOST_PAGES):
            found = self._wire.get(path, {"maxResults": PAGE, **asked, "startAt": start})
            items = _items(found, name)
            yield from items
            start += len(items)
            total = found.get("total")
            if not items or found.get("isLast") is True or (total is not None and start >= int(total)):
                return
        raise DeskError(f"{self.target} gave more than {MOST_PAGES} pages for {path}")

    def _changes(self, number: str) -> Iterator[dict[str, Any]]:
        if self._cloud:
            return self._list(f"{API}/issue/{number}/changelog", "values")
        found = self._wire.get(f"{API}/issue/{number}", {"fields": "created", "expand": "changelog"}, of_ticket=True)
        return iter(_items(found.get("changelog"), "histories"))

    def _closed_at(self, number: str) -> datetime | None:
        issue = self._read(number)
        return _ended(issue) if _state(issue) == "closed" else None

    def _read(self, number: str) -> dict[str, Any]:
        wanted = READ if self._settings.severities is None else f"{READ},priority"
        issue = self._wire.get(f"{API}/issue/{number}", {"fields": wanted}, of_ticket=True)
        if not isinstance(issue.get("fields"), dict) or not issue.get("key"):
            raise DeskError(f"{PREFIX}{number} came without its fields")
        return issue

    def _step(self, steps: Sequence[Mapping[str, Any]], state: Standing) -> str | None:
        """Choose the step that is named in the settings, by its name or its status's, else the first that leads there."""
        named = self._settings.opens if state == "open" else self._settings.closes
        there = [step for step in steps if (_category(step.get("to")) == "done") == (state == "closed")]
        if named is not None:
            there = [step for step in there if named in {step.get("name"), (step.get("to") or {}).get("name")}]
        return str(there[0].get("id")) if there else None

    def _owner(self, draft: Draft) -> dict[str, str] | None:
        """Return the accountable person's account if Jira lets issues be theirs: it refuses an issue for anybody else."""
        owner = None if draft.accountable is None else self._owners.get(draft.accountable)
        if owner is None or "assignee" not in self._takes:
            return None
        if owner not in self._assignable:
            asked = {"accountId" if self._cloud else "username": owner, "project": self._settings.project}
            found = json_of(self._wire.send("GET", f"{API}/user/assignable/search", params=asked))
            self._assignable[owner] = isinstance(found, list) and any(self._name(user) == owner for user in found)
        return {"accountId" if self._cloud else "name": owner} if self._assignable[owner] else None

    def _who(self, issue: Mapping[str, Any], field: str) -> str:
        return self._name(issue["fields"].get(field))

    def _name(self, user: object) -> str:
        return str(user.get("accountId" if self._cloud else "name")) if isinstance(user, dict) else ""


def _items(found: object, name: str) -> list[dict[str, Any]]:
    items = found.get(name) if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DeskError(f"Jira gave a listing without its {name}")
    return items


def _body(draft: Draft, key: str) -> str:
    return _wrapped(described(draft, key, BODY))


def _wrapped(text: str) -> str:
    """Put text into a block in which Jira renders, links and mentions nothing, and which it cannot end."""
    return f"{{noformat}}\n{re.sub(r'[{](?=noformat|code)', '{ ', text)}\n{{noformat}}"


def _unwrapped(value: object) -> str:
    """Take the block off again, by whichever name Jira gives it back: Cloud keeps it as a block of code."""
    text = str(value or "").replace("\r\n", "\n").strip()
    match = re.fullmatch(r"\{(noformat|code)[^}\n]*\}\n?(.*?)\n?\{\1\}", text, re.DOTALL)
    return (text if match is None else match[2]).strip()


def _due(draft: Draft) -> str | None:
    """Write a due date as Jira takes it: the day, in UTC."""
    return None if draft.due is None else f"{draft.due.astimezone(UTC):%Y-%m-%d}"


def _category(status: object) -> str:
    """Return `new`, `indeterminate` or `done`, which every status has, whatever it is called."""
    category = status.get("statusCategory") if isinstance(status, dict) else None
    return str(category.get("key")) if isinstance(category, dict) else ""


def _state(issue: Mapping[str, Any]) -> Standing:
    return "closed" if _category((issue.get("fields") or {}).get("status")) == "done" else "open"


def _ticket(issue: Mapping[str, Any], key: str) -> Ticket:
    state = _state(issue)
    return Ticket(f"{PREFIX}{issue['key']}", key, state, None if state == "open" else _ended(issue))


def _key(issue: Mapping[str, Any]) -> str:
    """Read whose key's issue it is; people may have taken the label off, or edited the text."""
    keys = [name for name in _labels(issue) if KEY.fullmatch(name)]
    key = keys[0] if len(keys) == 1 else stated_key(_unwrapped(issue["fields"].get("description")))
    if key is None:
        raise DeskError(f"{PREFIX}{issue['key']} bears no key of ours")
    return key


def _labels(issue: Mapping[str, Any]) -> list[str]:
    labels = (issue.get("fields") or {}).get("labels")
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _ended(issue: Mapping[str, Any]) -> datetime:
    """When a closed issue was closed: a workflow may set no resolution, and then its last change has to do."""
    return _instant(issue["fields"].get("resolutiondate") or issue["fields"].get("updated"))


def _instant(value: object) -> datetime:
    return time_of(value, "Jira")


def _place(issue: Mapping[str, Any]) -> int:
    return int(str(issue["key"]).rpartition("-")[2])


def _number(ticket: str) -> str:
    number = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not _NUMBER.fullmatch(number):
        raise DeskError(f"{ticket!r} is no issue of Jira's")
    return number
