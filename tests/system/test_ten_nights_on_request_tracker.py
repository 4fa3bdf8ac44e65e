"""Ten nights and some on a changing estate against a real Request Tracker: which tickets stand there after each, and what was written.

What is expected follows from the contract of tickets alone. The server is read with the token of an accountable person, never through our desk.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from countersign import cli
from countersign.programme import load
from countersign.reconciliation import reconcile
from tests.system.rt_server import OWNER, QUEUE, SERVICE, RequestTracker
from tests.system.ten_nights_estate import AGREED, NAMES, Estate, User, first_night, secret, user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

    from countersign.results import RunResult

Row = dict[str, Any]
CLOSED = {"resolved", "rejected", "deleted"}
RANK = ("low", "medium", "high", "critical")


# What stands in Request Tracker


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket as RT tells of it."""

    id: int
    status: str
    owner: str
    due: str
    priority: int
    subject: str
    updated: str
    history: tuple[str, ...]
    """Its transactions, oldest first."""
    texts: tuple[str, ...]
    """What our account said in it, oldest first: the ticket's own text, then comments and correspondence."""

    def described(self, names: frozenset[str]) -> list[frozenset[str]]:
        """Give the names in each text that has any: RT keeps a ticket's first text for ever, so that a new description is a comment."""
        told = (frozenset(name for name in names if name in text) for text in self.texts)
        return [found for found in told if found]

    @property
    def comments(self) -> int:
        """Count what we said after its own text."""
        return len(self.texts) - 1


def read(server: RequestTracker) -> dict[int, Ticket]:
    """Read the whole queue as the accountable owner sees it."""
    with server.as_user(OWNER) as client:
        listed = pages(client, "/tickets", f"Queue = '{QUEUE}'", "Subject,Status,Owner,LastUpdated,Due,Priority")
        changes = pages(client, "/transactions", f"TicketQueue = '{QUEUE}'", "Type,Creator,ObjectId")
        texts = pages(client, "/attachments", json.dumps([{"field": "id", "operator": ">", "value": 0}]), "Content,TransactionId")
    said = {row["TransactionId"]: row["Content"] for row in texts}
    found = {}
    for row in listed:
        own = [change for change in changes if change["ObjectId"] == row["id"]]
        ours = [
            change["id"] for change in own if change["Type"] in {"Create", "Comment", "Correspond"} and change["Creator"]["id"] == SERVICE
        ]
        found[int(row["id"])] = Ticket(
            id=int(row["id"]), status=row["Status"], owner=row["Owner"]["id"], due=row["Due"], priority=int(row["Priority"]),
            subject=row["Subject"], updated=row["LastUpdated"], history=tuple(change["id"] for change in own),
            texts=tuple(said[number] for number in ours),
        )  # fmt: skip
    return found


def pages(client: httpx.Client, path: str, query: str, fields: str) -> list[Row]:
    """List all that a search finds, by number."""
    rows: list[Row] = []
    # A page may be short, since what the reader may not see is left out of it.
    for page in count(1):
        asked: dict[str, str | int] = {"query": query, "fields": fields, "per_page": 100, "page": page}
        items: list[Row] = client.get(path, params=asked).raise_for_status().json()["items"]
        if not items:
            break
        rows += items
    return sorted(rows, key=lambda row: int(row["id"]))


# The story


@dataclass(frozen=True, slots=True)
class Night:
    """One night: the queue just before and after it, what the run said, and what is found."""

    before: Mapping[int, Ticket]
    after: Mapping[int, Ticket]
    result: RunResult | None
    findings: tuple[Row, ...]

    def of(self, control: str, subject: str) -> Row:
        """Give one finding."""
        (row,) = (each for each in self.findings if (each["control"], each["subject"]) == (control, subject))
        return row

    def ticket(self, control: str, subject: str) -> int:
        """Give the number of the ticket that a finding names."""
        return int(self.of(control, subject)["ticket"].removeprefix("rt:"))

    @property
    def made(self) -> list[int]:
        """The tickets of this night."""
        return sorted(set(self.after) - set(self.before))

    @property
    def written(self) -> set[int]:
        """The tickets to which anything was written."""
        return {number for number, ticket in self.after.items() if self.before.get(number) != ticket}


@dataclass
class Story:
    """The nights, one after the other, on one programme and one server."""

    estate: Estate
    server: RequestTracker
    waiting: list[subprocess.Popen[str]]
    """Processes for the nights that are not run in this one."""
    nights: dict[str, Night] = field(default_factory=dict)
    killed: Mapping[int, Ticket] = field(default_factory=dict)
    """The queue just after a night was killed."""
    at_once: list[Row] = field(default_factory=list)
    """What two nights of one slot said that began together."""

    def write(self, days: float) -> datetime:
        """Put what is true into the folder, for the night after so many days."""
        as_of = self.estate.first + timedelta(days=days)
        self.estate.write(as_of, {"kind": "request_tracker", "url": self.server.url, "queue": QUEUE, "token_from": f"env:RT_{SERVICE}"})
        return as_of

    def night(self, name: str, days: float) -> None:
        """Run a night and keep what came of it."""
        as_of = self.write(days)
        before = read(self.server)
        result = reconcile(load(self.estate.folder), as_of)
        self.nights[name] = Night(before, read(self.server), result, self.findings())

    def findings(self) -> tuple[Row, ...]:
        """Give every finding, whatever its state."""
        found: list[Row] = []
        for state in ((), ("--state", "resolved")):
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                cli.answer(["findings", "-p", str(self.estate.folder), *state, "--json"])
            found += json.loads(said.getvalue())
        return tuple(found)

    def by_hand(self, control: str, subject: str, status: str) -> None:
        """Let the accountable owner give a finding's ticket another status."""
        (row,) = (each for each in self.findings() if (each["control"], each["subject"]) == (control, subject))
        with self.server.as_user(OWNER) as client:
            client.put(f"/ticket/{row['ticket'].removeprefix('rt:')}", json={"Status": status}).raise_for_status()

    def kill_after_creating(self, days: float) -> None:
        """Run a night in a process that dies once the server has made a ticket and before that is on file."""
        process = self.waiting.pop()
        _, told = process.communicate(self._order(self.write(days), die=True))
        assert process.returncode == -signal.SIGKILL, told
        self.killed = read(self.server)

    def two_at_once(self, name: str, days: float) -> None:
        """Start two nights of one slot together."""
        order = self._order(self.write(days), slot=name)
        before = read(self.server)
        both = [self.waiting.pop(), self.waiting.pop()]
        for process in both:
            assert process.stdin is not None
            process.stdin.write(order)
            process.stdin.flush()
        for process in both:
            out, told = process.communicate()
            assert process.returncode == 0, told
            self.at_once.append(json.loads(out))
        self.nights[name] = Night(before, read(self.server), None, self.findings())

    def _order(self, as_of: datetime, *, slot: str | None = None, die: bool = False) -> str:
        return json.dumps({"folder": str(self.estate.folder), "as_of": as_of.isoformat(), "slot": slot, "die": die}) + "\n"


RUNNER = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
from countersign.desk.request_tracker import RequestTrackerDesk
from countersign.errors import CountersignError
from countersign.programme import load
from countersign.reconciliation import reconcile

order = json.loads(sys.stdin.readline() or "null")
if order is None:
    sys.exit()
if order["die"]:
    create = RequestTrackerDesk.create
    RequestTrackerDesk.create = lambda *said: (create(*said), os.kill(os.getpid(), signal.SIGKILL))
try:
    done = reconcile(load(Path(order["folder"])), datetime.fromisoformat(order["as_of"]), slot=order["slot"])
    print(json.dumps({"run": done.run, "repeated": done.repeated, "tickets": dict(done.tickets)}))
except CountersignError as error:
    print(json.dumps({"refused": str(error)}))
"""


def runner() -> subprocess.Popen[str]:
    """Start a process that has everything loaded and waits to be told its night."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", RUNNER], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2])


STORM = ("acme-hu-1", "acme-hu-2", "brook-hu-1", "brook-hu-2")
FLOOD = 60
"""Keys that are new and too old at once, on the night whose scan looks wrong."""


def tell(story: Story) -> None:
    """Run all nights."""
    estate, users = story.estate, story.estate.users
    rotation, idle = ("rotation-age", estate.key("brook-old-1")), ("inactive", estate.key("acme-idle-1"))

    story.night("first", 0)
    story.night("same", 1)

    users["acme-old-4"] = User(key=100)
    estate.brook_limit = 80
    story.night("more", 2)
    users["acme-old-5"] = User(key=100)
    story.night("more, the same day", 2.25)

    story.by_hand(*rotation, "resolved")
    story.by_hand(*idle, "rejected")
    story.night("closed by hand", 3)

    estate.broken = True
    story.by_hand(*rotation, "resolved")
    story.by_hand("inactive", estate.key("brook-idle-1"), "resolved")
    story.night("unread", 4)

    estate.broken = False
    users["ivan"] = User(mfa=True)
    for name in ("acme-idle-1", "acme-idle-2"):
        users[name] = replace(users[name], active=False)
    story.night("gone", 5)

    users["jo"] = User(mfa=False)
    story.kill_after_creating(6)
    story.night("after a kill", 6)

    users["ivan"] = User(mfa=False)
    users["kim"] = User(mfa=False)
    story.by_hand(*rotation, "resolved")
    story.two_at_once("two at once", 7)

    # More than two weeks after they went; nobody closes anything by hand from here on, since the server's own clock did not jump.
    users["acme-idle-1"] = replace(users["acme-idle-1"], active=True)
    story.night("back late", 21)

    users |= dict.fromkeys(STORM, User(mfa=False))
    estate.tickets_per_run = 1
    story.night("storm", 22)

    estate.tickets_per_run = 200
    estate.accepted = {
        name: {
            "control": control,
            "subject": subject,
            "approved_by": by,
            "approved_on": str(estate.day(22)),
            "expires": str(estate.day(last)),
        }
        for name, control, subject, by, last in (
            ("EX-0001", "human-mfa", user("helga"), "noah", 24),
            ("EX-0002", "rotation-age", estate.key("acme-old-1"), "maria", 60),
        )
    }
    story.night("accepted", 23)

    users |= {f"svc-flood-{number}": User(key=300) for number in range(FLOOD)}
    users["jo"] = User(mfa=True)
    story.night("looks wrong", 24)
    story.night("still looks wrong", 25)

    for number in range(FLOOD):
        del users[f"svc-flood-{number}"]
    story.night("last", 26)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    try:
        with RequestTracker(folder) as server, pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as started:
            patch.setenv(f"RT_{SERVICE}", server.tokens[SERVICE])
            waiting = [started.enter_context(runner()) for _ in range(3)]
            told = Story(Estate(folder / "programme", first_night()), server, waiting)
            told.estate.folder.mkdir()
            tell(told)
            yield told
    finally:
        shutil.rmtree(folder)


# What is expected


@dataclass(frozen=True, slots=True)
class Group:
    """Findings that share a ticket."""

    night: str
    """The night that makes the ticket."""
    control: str
    users: tuple[str, ...]
    accountable: str = "maria"
    severity: str = "high"


GROUPS = {
    "acme rotation": Group("first", "rotation-age", ("acme-old-1", "acme-old-2", "acme-old-3")),
    "acme nights": Group("first", "rotation-age", ("acme-night-1",), "noah"),
    "brook rotation": Group("first", "rotation-age", ("brook-old-1", "")),
    "own rotation": Group("first", "rotation-age", ("svc-0", "svc-1", "svc-2", "svc-3")),
    "acme idle": Group("first", "inactive", ("acme-idle-1", "acme-idle-2"), severity="medium"),
    "brook idle": Group("first", "inactive", ("brook-idle-1",), severity="medium"),
    "helga": Group("first", "human-mfa", ("helga",), "noah", "critical"),
    "ivan": Group("first", "human-mfa", ("ivan",), "noah", "critical"),
    "left 1": Group("first", "contract-ended", ("cobalt-left-1",), severity="critical"),
    "left 2": Group("first", "contract-ended", ("cobalt-left-2",), severity="critical"),
    "cobalt workload": Group("first", "workload-expired", ("cobalt-left-1", "cobalt-left-2")),
    "unread": Group("unread", "source-unobserved", ()),
    "jo": Group("after a kill", "human-mfa", ("jo",), "noah", "critical"),
    "kim": Group("two at once", "human-mfa", ("kim",), "noah", "critical"),
    "acme idle again": Group("back late", "inactive", ("acme-idle-1",), severity="medium"),
    "expired": Group("last", "exception-invalid", ()),
}


@dataclass(frozen=True, slots=True)
class Now:
    """How a ticket stands after a night that wrote to it."""

    status: str
    comments: int = 0
    """So far; a new description is one."""
    users: tuple[str, ...] | None = None
    """Whose keys the newest description names; None: as before."""


OLD = ("acme-old-1", "acme-old-2", "acme-old-3", "acme-old-4")
FIRST = [name for name, group in GROUPS.items() if group.night == "first"]
NIGHTS: dict[str, dict[str, Now]] = {
    "first": dict.fromkeys(FIRST, Now("new")),
    "same": {},
    "more": {"acme rotation": Now("new", 1, OLD), "brook rotation": Now("new", 1)},
    # One comment a day: what changed meanwhile is told on the next.
    "more, the same day": {"acme rotation": Now("new", 1)},
    "closed by hand": {
        "acme rotation": Now("new", 2, (*OLD, "acme-old-5")),
        "brook rotation": Now("open", 2),
        "acme idle": Now("open", 1),
    },
    # What was not read stays as it is, closed by hand or not.
    "unread": {"brook rotation": Now("open", 3), "unread": Now("new")},
    "gone": {"unread": Now("resolved", 1), "ivan": Now("resolved", 1), "acme idle": Now("resolved", 2), "brook idle": Now("open", 1)},
    "after a kill": {"jo": Now("new")},
    "two at once": {"ivan": Now("open", 2), "kim": Now("new"), "brook rotation": Now("open", 4)},
    "back late": {"acme idle again": Now("new")},
    "storm": {},
    "accepted": {"helga": Now("new", 1), "acme rotation": Now("new", 3)},
    "looks wrong": {},
    "still looks wrong": {},
    "last": {"helga": Now("new", 2), "jo": Now("resolved", 1), "expired": Now("new")},
}


def subjects(story: Story, group: Group, users: tuple[str, ...] | None = None) -> frozenset[str]:
    """Name what the findings of a group are about."""
    credential = group.control in {"rotation-age", "inactive"}
    names = group.users if users is None else users
    return frozenset((story.estate.key(name) if name else secret()) if credential else user(name) for name in names)


def number(story: Story, name: str) -> int:
    """Give the number of a group's ticket, as its findings named it on its first night."""
    group = GROUPS[name]
    rows = [row for row in story.nights[group.night].findings if row["control"] == group.control]
    if group.users:
        rows = [row for row in rows if row["subject"] in subjects(story, group)]
    (ticket,) = {row["ticket"] for row in rows}
    return int(ticket.removeprefix("rt:"))


def standing(night: str) -> dict[str, Now]:
    """Give how each ticket should stand after a night, from all nights until then."""
    now: dict[str, Now] = {}
    for name, changes in NIGHTS.items():
        for group, change in changes.items():
            users = now[group].users if group in now else GROUPS[group].users
            now[group] = change if change.users is not None else replace(change, users=users)
        if name == night:
            break
    return now


def names(story: Story) -> frozenset[str]:
    """Name everything that any finding of the story is about."""
    return frozenset(row["subject"] for night in story.nights.values() for row in night.findings)


def extra(story: Story, name: str) -> set[int]:
    """Give the tickets of a night that stand for no group: roll-ups and what they stood for, and that the scan looks wrong."""
    storm = set(story.nights["storm"].made)
    return {
        "storm": storm,
        "accepted": storm | set(story.nights["accepted"].made),
        "looks wrong": set(story.nights["looks wrong"].made),
        "last": set(story.nights["looks wrong"].made),
        # A link would show on both tickets.
        "back late": {number(story, "acme idle")},
    }.get(name, set())


@pytest.mark.parametrize("name", NIGHTS)
def test_nothing_but_the_expected_tickets_is_written(story: Story, name: str) -> None:
    night = story.nights[name]
    expected = {number(story, group) for group in NIGHTS[name]}
    assert len(expected) == len(NIGHTS[name])
    others = night.written - expected - extra(story, name)
    assert {each: (night.before.get(each), night.after[each]) for each in others} == {}
    # What the killed night made is as it should be, so that nothing is written to it.
    assert expected - (set(story.killed) if name == "after a kill" else set()) <= night.written
    made = set(story.killed) if name == "after a kill" else set(night.after)
    new = {number(story, group) for group in NIGHTS[name] if GROUPS[group].night == name}
    assert made - set(story.nights["gone"].after if name == "after a kill" else night.before) - extra(story, name) == new


@pytest.mark.parametrize("name", NIGHTS)
def test_every_ticket_stands_as_expected(story: Story, name: str) -> None:
    night, expected, every = story.nights[name], standing(name), names(story)
    if name == "unread":
        # Somebody had closed it, and tonight nobody could look.
        expected["brook idle"] = Now("resolved", 0, ("brook-idle-1",))
    after = {group: night.after[number(story, group)] for group in expected}
    assert {group: (ticket.status, ticket.comments) for group, ticket in after.items()} == {
        group: (now.status, now.comments) for group, now in expected.items()
    }
    assert {group: ticket.owner for group, ticket in after.items()} == {
        group: OWNER if GROUPS[group].accountable == "maria" else "Nobody" for group in after
    }
    shown = {group: ticket.described(every)[-1] for group, ticket in after.items() if GROUPS[group].users}
    assert shown == {group: subjects(story, GROUPS[group], expected[group].users) for group in shown}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_run_says_what_it_did(story: Story, name: str) -> None:
    night = story.nights[name]
    was = {ticket: night.before[ticket].status in CLOSED for ticket in night.before}
    now = {ticket: night.after[ticket].status in CLOSED for ticket in night.after}
    done = {
        "created": len(night.made),
        "closed": sum(now[ticket] and not was[ticket] for ticket in was),
        "reopened": sum(was[ticket] and not now[ticket] for ticket in was),
        "failed": 0,
    }
    said = night.result.tickets if night.result is not None else next(each["tickets"] for each in story.at_once if "tickets" in each)
    assert {what: said[what] for what in done} == done


def described_again(story: Story, name: str) -> dict[str, int]:
    """Count the new descriptions that a night told in tickets that were there before."""
    night, every = story.nights[name], names(story)
    was = {group: night.before.get(number(story, group)) for group in standing(name)}
    counts = {group: len(night.after[old.id].described(every)) - len(old.described(every)) for group, old in was.items() if old is not None}
    return {group: count for group, count in counts.items() if count}


CHANGED = {
    "more": {"acme rotation", "brook rotation"},
    "closed by hand": {"acme rotation"},
    "accepted": {"helga", "acme rotation"},
    "last": {"helga"},
}
REOPENED = {
    "closed by hand": {"brook rotation", "acme idle"},
    "unread": {"brook rotation"},
    "gone": {"brook idle"},
    "two at once": {"brook rotation"},
}
"""What people closed, and is as it was."""


@pytest.mark.parametrize("name", NIGHTS)
def test_what_changed_is_described_once(story: Story, name: str) -> None:
    told = described_again(story, name)
    for group in REOPENED.get(name, set()):
        told.pop(group, None)
    assert told == dict.fromkeys(CHANGED.get(name, set()), 1)


def test_what_is_reopened_unchanged_is_not_described_again(story: Story) -> None:
    assert {name: described_again(story, name).keys() & groups for name, groups in REOPENED.items()} == {name: set() for name in REOPENED}


def test_a_night_on_which_nothing_changed_writes_nothing(story: Story) -> None:
    night = story.nights["same"]
    assert len(night.after) == len(FIRST)
    assert night.before == night.after == story.nights["first"].after


def test_the_first_night_says_who_by_when_and_how_bad(story: Story) -> None:
    night = story.nights["first"]
    due = story.estate.first + AGREED
    tickets = {name: night.after[number(story, name)] for name in FIRST}
    assert {ticket.due for ticket in tickets.values()} == {f"{due:%Y-%m-%dT%H:%M:%SZ}"}
    for name, ticket in tickets.items():
        accountable = GROUPS[name].accountable
        assert any(word in ticket.texts[0] for word in (accountable, NAMES[accountable])), name
        assert f"{due:%Y-%m-%d}" in ticket.texts[0], name
        assert len(re.findall(r"\[cs1-[a-z2-7]{26}\]$", ticket.subject)) == 1, name
    ranks = {severity: {ticket.priority for name, ticket in tickets.items() if GROUPS[name].severity == severity} for severity in RANK[1:]}
    assert {severity: len(found) for severity, found in ranks.items()} == {"medium": 1, "high": 1, "critical": 1}
    assert [max(ranks[severity]) for severity in RANK[1:]] == sorted({max(found) for found in ranks.values()})


def test_an_applications_name_forges_nothing(story: Story) -> None:
    ticket = story.nights["first"].after[number(story, "brook rotation")]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", ticket.subject + ticket.texts[0].replace("\r\n", "\n"))
    assert "\nBcc:" not in ticket.texts[0].replace("\r", "\n")


@pytest.mark.parametrize(("night", "group"), [("gone", "unread"), ("gone", "ivan"), ("gone", "acme idle"), ("last", "jo")])
def test_a_ticket_is_closed_with_the_digest_of_the_evidence(story: Story, night: str, group: str) -> None:
    told = story.nights[night]
    assert told.result is not None
    assert told.result.evidence is not None
    digests = set(re.findall(r"\b[0-9a-f]{64}\b", told.after[number(story, group)].texts[-1]))
    sealed = [json.loads(file.read_bytes()) for file in told.result.evidence.glob("*.dsse.json")]
    assert digests & {hashlib.sha256(base64.b64decode(each["payload"])).hexdigest() for each in sealed}


def test_wont_fix_asks_for_an_exception_and_is_none(story: Story) -> None:
    night = story.nights["closed by hand"]
    row = night.of("inactive", story.estate.key("acme-idle-1"))
    assert (row["state"], row["excepted"]) == ("open", None)
    assert "exception" in night.after[number(story, "acme idle")].texts[-1].lower()


def test_a_third_reopening_is_escalated(story: Story) -> None:
    told = [story.nights[night].after[number(story, "brook rotation")].texts[-1] for night in ("closed by hand", "unread", "two at once")]
    assert ["escalat" in text.lower() for text in told] == [False, False, True]


def test_killed_between_create_and_record(story: Story) -> None:
    earlier, night = story.nights["gone"], story.nights["after a kill"]
    (made,) = set(story.killed) - set(earlier.after)
    assert night.made == []
    assert (set(night.after), number(story, "jo")) == (set(story.killed), made)


def test_two_nights_of_one_slot_leave_one_set_of_tickets(story: Story) -> None:
    night = story.nights["two at once"]
    assert night.made == [number(story, "kim")]
    did = [said for said in story.at_once if "run" in said and not said["repeated"]]
    assert [said["tickets"]["created"] for said in did] == [1]


def test_what_comes_back_late_has_a_new_ticket_that_names_the_old_one(story: Story) -> None:
    night = story.nights["back late"]
    old, new = (number(story, name) for name in ("acme idle", "acme idle again"))
    assert night.made == [new]
    with story.server.as_user(OWNER) as client:
        links = client.get(f"/ticket/{new}").raise_for_status().json()["_hyperlinks"]
    linked = any(link["ref"] in {"refers-to", "depends-on", "parent"} and str(link.get("id")) == str(old) for link in links)
    assert linked or re.search(rf"(rt:|#){old}\b", night.after[new].texts[0])
    assert night.after[old].texts == night.before[old].texts
    assert night.after[old].status == "resolved"


def test_a_storm_makes_its_budget_and_one_roll_up_for_each_partner(story: Story) -> None:
    night = story.nights["storm"]
    named = {name: night.ticket("human-mfa", user(name)) for name in STORM}
    assert len(night.made) == 1 + 2
    assert night.written == set(night.made)
    assert set(named.values()) == set(night.made)
    for one in named.values():
        assert len({name.partition("-")[0] for name, ticket in named.items() if ticket == one}) == 1


def test_the_night_after_a_storm_each_has_its_own_ticket(story: Story) -> None:
    storm, night = story.nights["storm"], story.nights["accepted"]
    named = {name: night.ticket("human-mfa", user(name)) for name in STORM}
    assert len(set(named.values())) == len(STORM)
    stayed = set(named.values()) & set(storm.made)
    rolled = set(storm.made) - stayed
    assert (len(stayed), len(rolled), len(night.made)) == (1, 2, 3)
    assert {night.after[ticket].status for ticket in rolled} == {"resolved"}
    assert night.written & set(storm.made) == rolled


def test_what_is_accepted_is_parked_until_it_expires(story: Story) -> None:
    night, last = story.nights["accepted"], story.nights["last"]
    ticket = number(story, "helga")
    assert night.of("human-mfa", user("helga"))["state"] == "excepted"
    assert night.after[ticket].status not in CLOSED
    assert night.after[ticket].due != night.before[ticket].due
    assert str(story.estate.day(24)) <= night.after[ticket].due[:10] <= str(story.estate.day(25))
    assert night.of("rotation-age", story.estate.key("acme-old-1"))["state"] == "excepted"
    row = last.of("human-mfa", user("helga"))
    assert (row["state"], row["ticket"], row["since"]) == ("open", f"rt:{ticket}", f"{story.estate.first:%Y-%m-%dT%H:%M:%SZ}")
    assert last.after[ticket].due == f"{story.estate.first + AGREED:%Y-%m-%dT%H:%M:%SZ}"


def test_a_scan_that_looks_wrong_makes_one_ticket_and_changes_nothing_else(story: Story) -> None:
    night, last = story.nights["looks wrong"], story.nights["last"]
    assert night.result is not None
    assert (night.result.exit_code, night.result.guard is None) == (4, False)
    (ticket,) = night.made
    assert night.written == {ticket}
    assert (night.after[ticket].status, last.after[ticket].status) == ("new", "resolved")
    assert last.written == {ticket, *(number(story, name) for name in NIGHTS["last"])}
    assert {row["state"] for row in night.findings if row["subject"] == user("jo")} == {"open"}
    again = story.nights["still looks wrong"]
    assert (again.result is not None and again.result.exit_code, again.written) == (4, set())


def test_at_the_end_tickets_and_findings_agree(story: Story) -> None:
    last = story.nights["last"]
    live = {ticket for ticket in last.after.values() if ticket.status not in CLOSED}
    keys = [match.group() for ticket in live if (match := re.search(r"cs1-[a-z2-7]{26}", ticket.subject))]
    assert len(keys) == len(set(keys)) == len(live)
    standing_ = [row for row in last.findings if row["state"] in {"open", "excepted"}]
    assert standing_
    assert {int(row["ticket"].removeprefix("rt:")) for row in standing_} == {ticket.id for ticket in live}
