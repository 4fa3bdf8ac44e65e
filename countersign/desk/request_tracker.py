"""A desk in a queue of Request Tracker 5 that the customer runs, over its REST 2.0.

Which ticket is whose key's stands in its subject, as `[cs1-...]` at the end, and only a ticket that our own account made counts: no
custom field is needed, and nobody else can make one that we take for ours. RT answers 200 to changes that it refused, and says why in the
language of the account, so whatever was written is read again. A ticket's first text cannot be replaced: a new description is a comment.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from countersign.desk import AnswerLostError, DeskError, DeskRefusedError, Entry, Standing, Ticket, Transition
from countersign.desk.missing import asked_alone
from countersign.desk.request_tracker_wire import Wire
from countersign.desk.ticket_text import EVIDENCE
from countersign.desk.wire import time_of
from countersign.finding import inert
from countersign.reading import Probe
from countersign.ticket_body import in_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.desk_settings import RequestTracker
    from countersign.remediation import Draft

PREFIX = "rt:"
NOBODY = "Nobody"
SUBJECT_BYTES = 200
"""RT cuts a subject after so many bytes of UTF-8."""
CHUNK = 100
"""Tickets asked for in one search."""
ATTEMPTS = 5
"""How often a change is tried anew because somebody else was faster."""
NEW_TEXT = "The description of this ticket is now:\n\n"
_KEY = re.compile(r"cs1-[a-z2-7]{26}")
_TAG = re.compile(r"\[(cs1-[a-z2-7]{26})\]")
_TOKEN = re.compile(r"\d+-(\d+)-[0-9A-Za-z]+")
_PRIORITY = {"critical": 100, "high": 75, "medium": 50, "low": 25}
_NEVER = 1970
"""Year of the time that RT writes where there is none."""
_HISTORY = "Type,Field,OldValue,NewValue,Creator,Created,ObjectType,ObjectId,_hyperlinks"
_SAID = {"Create": "created", "Comment": "commented", "Correspond": "commented"}


@dataclass(frozen=True, slots=True)
class _Record:
    """A ticket as RT has it now."""

    asked: int
    number: int
    """Another one than asked for: it was merged into that one."""
    fields: Mapping[str, Any]
    etag: str

    @property
    def merged(self) -> bool:
        return self.number != self.asked


class RequestTrackerDesk:
    """Tickets in one queue. `owners` says who is who in RT: a person's id in the register, and the name of their account."""

    search_lag = timedelta(0)
    redescribes_in_comments = True

    def __init__(self, settings: RequestTracker, owners: Mapping[str, str]) -> None:
        self._settings = settings
        self._owners = owners
        self._wire = Wire(settings)
        self.target = f"request_tracker:{settings.url.rstrip('/')}#{settings.queue}"

    def find(self, key: str) -> Ticket | None:
        """Return the open ticket of a key that our account made, else the newest closed one, else None."""
        if not _KEY.fullmatch(key):
            raise DeskError(f"{key!r} is no key of a ticket")
        # Over subjects in the database, not RT's index of full texts, which lags: what was made a moment ago is found.
        query = f"Queue = '{self._settings.queue}' AND Creator = '__CurrentUser__' AND Subject LIKE '{key}'"
        ours = [item for item in self._search(query, order="DESC") if _TAG.findall(str(item.get("Subject"))) == [key]]
        ended = {str(item["id"]) for item in self._search(f"{query} AND Status = '__Inactive__'")} if ours else set()
        newest = min(ours, key=lambda item: str(item["id"]) in ended, default=None)
        if newest is None:
            return None
        open_ = str(newest["id"]) not in ended
        return Ticket(f"{PREFIX}{newest['id']}", key, "open" if open_ else "closed", None if open_ else _ended(newest))

    def closed(self, ids: Sequence[str]) -> Mapping[str, datetime | None]:
        """Return which of these tickets are closed and since when, in two searches for a hundred of them.

        One that was merged is as the one that it became. None: it is gone, or hidden from us.
        """
        found: dict[str, datetime | None] = {}
        missing: list[int] = []
        for part in _chunks([_number(id) for id in ids]):  # noqa: A001  (a ticket's id is called id)
            which = " OR ".join(f"id = {number}" for number in part)
            seen = {int(item["id"]) for item in self._search(f"({which})")}
            missing += [number for number in part if number not in seen]
            found |= {f"{PREFIX}{item['id']}": _ended(item) for item in self._search(f"({which}) AND Status = '__Inactive__'")}
        return found | asked_alone(self, missing, self._closed_at, PREFIX)

    def declined(self, id: str) -> bool:  # noqa: A002  (the port's name)
        """Say whether people closed it as not to be fixed: with the status that the settings name."""
        return self._read(_number(id)).fields.get("Status") == self._settings.declines

    def create(self, key: str, draft: Draft) -> Ticket:
        """Make a ticket; never repeats a create whose answer was lost."""
        if not _KEY.fullmatch(key):
            raise DeskError(f"{key!r} is no key of a ticket")
        fields: dict[str, object] = {
            "Queue": self._settings.queue,
            "Subject": _subject(draft.title, key),
            "Content": _plain(in_plain(draft.body)),
            "ContentType": "text/plain",
            "Priority": _PRIORITY.get(draft.severity, 0),
        }
        if draft.due is not None:
            fields["Due"] = _due(draft.due)
        if draft.replaces is not None:
            fields["RefersTo"] = _number(draft.replaces)
        owner = self._owner(draft)
        if owner is not None:
            fields["Owner"] = owner  # where RT does not let them own it, it makes the ticket all the same, and nobody's
        made = self._wire.post("ticket", fields)
        number = str(made.get("id")) if isinstance(made, dict) else ""
        if not (number.isascii() and number.isdigit()):
            raise AnswerLostError(f"{self.target} did not say which ticket it made")
        return Ticket(f"{PREFIX}{number}", key, "open", None)

    def update(self, id: str, draft: Draft) -> None:  # noqa: A002  (the port's name)
        """Set subject, priority and due date where they differ, give a ticket of nobody's to its owner, and tell the new description.

        One that people gave to somebody else stays theirs; one that was merged keeps its fields, which are another ticket's.
        """
        number = _number(id)
        for _ in range(ATTEMPTS):
            record = self._read(number)
            changes = {} if record.merged else self._changes(record, draft)
            if not changes:
                break
            said = self._wire.put(f"ticket/{number}", changes, record.etag)
            if said is not None:
                self._hold(number, draft, said)
                break
        else:
            raise DeskError(f"{id} is being changed by others all the time")
        if draft.body:
            self._describe(number, _plain(in_plain(draft.body)))

    def comment(self, id: str, text: str) -> None:  # noqa: A002  (the port's name)
        """Add a comment; RT tells those who watch the queue's comments."""
        self._say(_number(id), _plain(text))

    def transition(self, id: str, state: Standing) -> None:  # noqa: A002  (the port's name)
        """Open or close it; already being so is no error. One that was merged is opened, but not closed: it is another's too."""
        number = _number(id)
        status = self._settings.opens if state == "open" else self._settings.closes
        for _ in range(ATTEMPTS):
            record = self._read(number)
            if self._inactive(record.number) == (state == "closed") or (record.merged and state == "closed"):
                return
            said = self._wire.put(f"ticket/{record.number}", {"Status": status}, record.etag)
            if said is not None and self._inactive(record.number) != (state == "closed"):
                raise DeskError(f"{id} did not become {state}: {_words(said)}", fix="check the right ModifyTicket and the status names")
        raise DeskError(f"{id} is being changed by others all the time")

    def history(self, id: str) -> tuple[Entry, ...]:  # noqa: A002  (the port's name)
        """Return what happened to it, and to what was merged into it, oldest first."""
        entries = []
        for item in self._transactions(_number(id)):
            what, text = self._what(item)
            entries.append(Entry(_instant(item.get("Created")), _name(item["Creator"]), what, text))
        return tuple(entries)

    def ourselves(self) -> str:
        """Return the name of our account, which the token bears the number of."""
        return self._ourselves

    @cached_property
    def _ourselves(self) -> str:
        match = _TOKEN.fullmatch(self._wire.token())
        if match is None:
            raise DeskRefusedError("the token is not one of RT::Authen::Token's", fix="make one under Settings, Auth Tokens")
        user, _ = self._wire.get(f"user/{match[1]}")
        return str(user.get("Name"))

    def opened(self, id: str) -> tuple[str, str]:  # noqa: A002  (the port's name)
        """Return the account that made a ticket, and the plain text that it made it with (empty: it has none)."""
        number = _number(id)
        for item in self._own(number):
            if item["Type"] == "Create":
                return _name(item["Creator"]), self._text(item)
        raise DeskError(f"the history of {id} does not say who made it")

    def transitions(self, id: str) -> tuple[Transition, ...]:  # noqa: A002  (the port's name)
        """Return every change of this ticket's status, oldest first; those of tickets merged into it are left out.

        Raises DeskError when the history cannot be read up to its newest entry.
        """
        return tuple(
            Transition(
                _instant(item.get("Created")),
                _name(item["Creator"]),
                str(item["OldValue"]),
                str(item["NewValue"]),
                f"{id}, entry {item['id']}",
            )
            for item in self._own(_number(id))
            if item["Type"] == "Status"
        )

    def probe(self) -> Iterator[Probe]:
        """Try what can be tried without changing anything; what cannot be known yet is said in the detail."""
        scope = self._settings.queue
        try:
            who = self.ourselves()
            yield Probe(scope, "sign in", ok=True, detail=f"as {who}")
            queue, _ = self._wire.get(f"queue/{quote(self._settings.queue, safe='')}")
            disabled = str(queue.get("Disabled")) == "1"
            yield Probe(scope, "see the queue", ok=not disabled, detail="the queue is disabled" if disabled else "")
            creates = any(link.get("ref") == "create" and link.get("type") == "ticket" for link in _links(queue))
            yield Probe(scope, "create tickets", ok=creates, detail="" if creates else f"{who} needs the right CreateTicket")
            mine = f"Queue = '{self._settings.queue}' AND Creator = '__CurrentUser__'"
            newest = list(islice(self._search(mine, order="DESC"), 1))
            if newest:
                yield from self._probe_ticket(int(newest[0]["id"]), who)
            else:
                yield Probe(scope, "change tickets", ok=True, detail="not known before there is a ticket of ours")
        except DeskError as error:
            yield Probe(scope, "ask", ok=False, detail=str(error))

    def _probe_ticket(self, number: int, who: str) -> Iterator[Probe]:
        links = _links(self._read(number).fields)
        comments = any(link.get("ref") == "comment" for link in links)
        yield Probe(self._settings.queue, "comment", ok=comments, detail="" if comments else f"{who} needs the right CommentOnTicket")
        # RT lists the steps that we may take from the status at hand.
        changes = any(link.get("ref") == "lifecycle" for link in links)
        yield Probe(self._settings.queue, "change tickets", ok=changes, detail="" if changes else f"{who} needs the right ModifyTicket")

    def _search(self, query: str, *, order: Literal["ASC", "DESC"] = "ASC") -> Iterator[dict[str, Any]]:
        return self._wire.pages("tickets", query=query, fields="Subject,Status,Resolved,LastUpdated", orderby="id", order=order)

    def _inactive(self, number: int) -> bool:
        return any(True for _ in self._search(f"id = {number} AND Status = '__Inactive__'"))

    def _closed_at(self, number: int) -> datetime | None:
        record = self._read(number)
        return _ended(record.fields) if record.fields.get("Status") == "deleted" or self._inactive(record.number) else None

    def _read(self, number: int) -> _Record:
        fields, etag = self._wire.get(f"ticket/{number}", of_ticket=True)
        if not str(fields.get("id")).isdecimal():
            raise DeskError(f"{PREFIX}{number} came without its number")
        return _Record(number, int(fields["id"]), fields, etag)

    def _owner(self, draft: Draft) -> str | None:
        return None if draft.accountable is None else self._owners.get(draft.accountable)

    def _changes(self, record: _Record, draft: Draft) -> dict[str, object]:
        """Say what has to be written for a ticket to be as drafted."""
        has, changes = record.fields, dict[str, object]()
        subject = _subject(draft.title, self._key(record))
        if has.get("Subject") != subject:
            changes["Subject"] = subject
        if str(has.get("Priority")) != str(_PRIORITY.get(draft.severity, 0)):
            changes["Priority"] = _PRIORITY.get(draft.severity, 0)
        due = _moment(has.get("Due"))
        if due != (None if draft.due is None else draft.due.replace(microsecond=0)):
            changes["Due"] = "" if draft.due is None else _due(draft.due)
        owner = self._owner(draft)
        if owner not in {None, NOBODY} and _name(has.get("Owner")) == NOBODY:
            changes["Owner"] = owner
        return changes

    def _key(self, record: _Record) -> str:
        """Read whose key's ticket it is; people may have edited it out of the subject, but not out of the history."""
        keys = _TAG.findall(str(record.fields.get("Subject")))
        if len(keys) != 1:
            old = (str(item["OldValue"]) for item in self._own(record.number) if item["Type"] == "Set" and item["Field"] == "Subject")
            keys = next((found for found in map(_TAG.findall, old) if len(found) == 1), [])
        if len(keys) != 1:
            raise DeskError(f"{PREFIX}{record.number} bears no key of ours")
        return str(keys[0])

    def _hold(self, number: int, draft: Draft, said: tuple[str, ...]) -> None:
        """Check that what was written is there."""
        left = self._changes(self._read(number), draft).keys() - {"Owner"}
        if left:
            raise DeskError(f"{PREFIX}{number} did not take {', '.join(sorted(left))}: {_words(said)}", fix="check the right ModifyTicket")

    def _describe(self, number: int, body: str) -> None:
        """Tell the description, unless it is what we told last."""
        ours, last = self.ourselves(), None
        for item in reversed(self._own(number)):
            if _name(item["Creator"]) == ours and item["Type"] in {"Create", "Comment"}:
                text = self._text(item)
                if item["Type"] == "Create" or text.startswith(NEW_TEXT):
                    last = text.removeprefix(NEW_TEXT)
                    break
        if last is None or _facts(last) != _facts(body):
            self._say(number, f"{NEW_TEXT}{body}")

    def _say(self, number: int, text: str) -> None:
        # A comment, not correspondence: that would go to requestors, and open what is closed.
        self._wire.post(f"ticket/{number}/comment", {"Content": text or "-", "ContentType": "text/plain"}, of_ticket=True)

    def _transactions(self, number: int) -> list[dict[str, Any]]:
        """Read a ticket's history to its end: RT leaves out what we may not see, and does not say how much there is."""
        newest = self._read(number).etag.strip('W/"')
        items: list[dict[str, Any]] = []
        for item in self._wire.pages(f"ticket/{number}/history", of_ticket=True, fields=_HISTORY, orderby="id"):
            items.append(item)
            if newest.isdigit() and int(item["id"]) >= int(newest):
                break
        if not all(item.keys() >= set(_HISTORY.split(",")) for item in items):
            raise DeskError(f"the history of {PREFIX}{number} came without {_HISTORY}")
        if not items or (newest.isdigit() and int(items[-1]["id"]) < int(newest)):
            raise DeskError(f"the history of {PREFIX}{number} could not be read to its end")
        return items

    def _own(self, number: int) -> list[dict[str, Any]]:
        """Read what happened to this very ticket: RT tells it with the history of all that was merged with it."""
        return [
            item
            for item in self._transactions(number)
            if item.get("ObjectType") == "RT::Ticket" and str(item.get("ObjectId")) == str(number)
        ]

    def _text(self, item: Mapping[str, Any]) -> str:
        """Read the first plain text of an entry; empty where it has none."""
        for link in _links(item):
            number = str(link.get("_url")).rpartition("/")[2]
            if link.get("ref") == "attachment" and number.isdigit():
                attachment, _ = self._wire.get(f"attachment/{number}", of_ticket=True)
                if attachment.get("ContentType") == "text/plain":
                    return base64.b64decode(str(attachment.get("Content"))).decode("utf-8", errors="replace")
        return ""

    def _what(self, item: Mapping[str, Any]) -> tuple[Literal["created", "updated", "commented", "opened", "closed"], str]:
        kind, becomes = str(item["Type"]), str(item["NewValue"])
        if kind == "Create":
            return "created", self._text(item)
        if kind in _SAID:
            return "commented", self._text(item)
        if kind == "Status":
            return "closed" if becomes in self._settings.inactive else "opened", f"{item['OldValue']} to {becomes}"
        return "updated", f"{item['Field'] or kind}: {becomes}"


def _subject(title: str, key: str) -> str:
    """Put the key behind the title: on one line, short enough for RT, and without what looks like another ticket's key."""
    tag = f"[{key}]"
    words = " ".join(inert(title).replace("cs1-", "cs1 ").split())
    most = SUBJECT_BYTES - len(tag) - 1
    short = words if len(words.encode()) <= most else words.encode()[: most - 3].decode(errors="ignore").rstrip() + "..."
    return f"{short} {tag}".lstrip()


def _facts(text: str) -> list[str]:
    """Return the lines of a description but for the run that wrote it: that alone is nothing to tell anybody of."""
    return [line for line in text.strip().split("\n") if not line.startswith(EVIDENCE)]


def _plain(text: str) -> str:
    """Keep text as it is, except for characters that act on whoever reads it."""
    return "\n".join(inert(line) for line in text.split("\n"))


def _due(at: datetime) -> str:
    """Write a time as RT takes it: UTC, without a zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _instant(value: object) -> datetime:
    return time_of(value, "Request Tracker")


def _moment(value: object) -> datetime | None:
    at = _instant(value) if value else None
    return None if at is None or at.year <= _NEVER else at


def _ended(fields: Mapping[str, Any]) -> datetime:
    """When a closed ticket was closed: RT sets `Resolved` with every status that ends it, and keeps it when it is opened again."""
    return _moment(fields.get("Resolved")) or _instant(fields.get("LastUpdated"))


def _name(user: object) -> str:
    return str(user.get("id")) if isinstance(user, dict) else ""


def _links(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    links = fields.get("_hyperlinks")
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []


def _words(said: tuple[str, ...]) -> str:
    return inert("; ".join(said))[:300] or "nothing was said"


def _number(ticket: str) -> int:
    number = ticket.removeprefix(PREFIX)
    if not ticket.startswith(PREFIX) or not (number.isascii() and number.isdigit()):
        raise DeskError(f"{ticket!r} is no ticket of Request Tracker's")
    return int(number)


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))
