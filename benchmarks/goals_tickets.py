"""Ten thousand findings and the tickets that they come to: calls, pace, the outbox, latency, and what a tracker's refusal does."""

from __future__ import annotations

import json
import ssl
import tempfile
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from benchmarks.findings import CHANGES_EVERY, LOGINS, PARTNERS, keys
from benchmarks.line import Line, at_most
from benchmarks.meter import BrokenError, check, run, started, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.meter import Measured

COUNT = 10_000
ALL_OF_THEM, DEFAULT = 1000, 200
"""Budgets: enough for every ticket of the estate, and what a programme allows unless it says otherwise."""
PAGE = 100
POINTS, CONTENTS, CONTENTS_AN_HOUR = 900, 80, 500
"""What GitHub allows in a minute, and of new contents in an hour (its page on secondary rate limits)."""
UPSERTS = 5000
CLAIMS, OLDER = 10_000, 100_000
COMMIT_CPU_US = 500
WRITE_CPU_MS = 10
LATENCY_S, FEW = 0.05, 100
"""Round trip to a tracker, and tickets that are opened over it."""
NEAR = 1.5
NO_SCAN = 3
"""Times the CPU, at most, that more tickets on file may cost for one: a search of all of them would cost twenty or more."""
_ROUND_TRIPS = 3
"""For a request on a connection of its own: one for TCP, one for TLS 1.3, one for itself."""
HASTY_A_SECOND, REFUSED_AT_MOST = 25, 0.05
SPENT_AFTER = 50
"""Writes after which the stub says that the hour's quota is spent."""
_WRITES = ("POST issue", "PATCH issue", "POST comment", "POST labels of an issue")
_ONCE = ("GET user", "POST label", "GET assignee")
"""What a process asks once, or once for each person, whatever the number of tickets."""


@dataclass(frozen=True, slots=True)
class _Tracker:
    """A running stub, and the programme's state beside it."""

    said: Mapping[str, Any]
    folder: str

    def night(self, name: str, number: int, budget: int = ALL_OF_THEM, *, changed: int = 0, waits: bool = False) -> Measured:
        """Run one night; raises BrokenError."""
        wanted = work("work_tickets", self.folder, json.dumps(self.said["desk"]), COUNT, number, budget, changed, int(waits))
        return run(f"tickets {name}", wanted, stub=self.said["calls"], environment=self.said["environment"])

    def hold(self, wanted: set[str]) -> Self:
        """Ask for all issues: exactly one open one for each key, and none for any other, or BrokenError."""
        found = Counter(label["name"] for issue in self._issues() for label in issue["labels"] if label["name"].startswith("cs1-"))
        if found != Counter(wanted):
            doubled = sum(count > 1 for count in found.values())
            missing, strange = len(wanted - found.keys()), len(found.keys() - wanted)
            raise BrokenError(f"the tracker is wrong: {missing} tickets are missing, {doubled} there twice, {strange} should not be open")
        return self

    def _issues(self) -> Iterator[dict[str, Any]]:
        desk = self.said["desk"]
        trusted = ssl.create_default_context(cafile=desk["ca"])
        headers = {"Authorization": f"Bearer {self.said['environment']['TRACKER_TOKEN']}"}
        for page in range(1, COUNT):
            query = f"{desk['url']}/repos/{desk['repository']}/issues?state=open&per_page={PAGE}&page={page}"
            with urllib.request.urlopen(urllib.request.Request(query, headers=headers), context=trusted) as answer:  # noqa: S310 - our own stub
                items = json.load(answer)
            yield from items
            if len(items) < PAGE:
                return


@contextmanager
def _tracker(**options: float) -> Iterator[_Tracker]:
    with started("tracker_stub", **options) as line, tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        yield _Tracker(json.loads(line), folder)


def tickets() -> Iterator[Line]:
    """Goal D: tickets."""
    found = run("honest tracker", work("honest_tracker"))
    check(found, {"differ": 0, "first": [], "strange": []})
    yield Line("-  the tracker's stub answers as the tests' stand-in does", f"{found.said['asked']} requests, none differs", holds=True)
    yield from _nights()
    yield from _storm()
    yield from _outbox()
    yield from _latency()
    yield from _refused()


def _nights() -> Iterator[Line]:
    """Run the first night, an unchanged one, one with a hundred findings changed, and one with all of them."""
    everything, touched = keys(COUNT), keys(COUNT, 1)
    made, moved = len(everything), len(touched)
    with _tracker() as tracker:
        first = tracker.night("first", 0)
        check(first, {"done": {"created": made}, "failed": []})
        unchanged = tracker.hold(everything).night("unchanged", 1)
        check(unchanged, {"done": {"unchanged": made}, "failed": []})
        some = tracker.night("a hundred changed", 2, changed=1)
        check(some, {"done": {"unchanged": made - moved, "updated": moved}, "failed": []})
        every = tracker.night("all changed", 3, changed=CHANGES_EVERY)
        check(every, {"done": {"updated": made}, "failed": []})
        tracker.hold(everything)
    calls = first.calls
    each = (calls["GET issues by key"] + calls["POST issue"]) / made
    beside = first.answered - calls["GET issues by key"] - calls["POST issue"]
    said = f"{each:.2f} for {made} tickets; {beside} others, of which {calls.get('GET assignee', 0)} ask who may be assigned"
    yield at_most("D  a ticket made: at most 2 calls (find, create)", each, 2, said)
    yield at_most("D  others on the first night: at most 3 and one for each person", beside, 3 + len(LOGINS), f"{beside}")
    of_tickets = unchanged.answered - _listing(unchanged) - sum(unchanged.calls.get(name, 0) for name in _ONCE)
    said = f"{of_tickets} for {made} tickets; {_listing(unchanged)} pages of {PAGE} ask what people closed, 1 call who we are"
    yield at_most("D  an unchanged night: no call for a ticket", of_tickets, 0, said)
    pages = -(-made // PAGE)
    yield at_most(f"D  an unchanged night: at most {pages + 1} calls in all", unchanged.answered, pages + 1, f"{unchanged.answered}")
    right = some.calls.get("PATCH issue", 0) == some.calls.get("POST comment", 0) == some.calls.get("GET issue", 0) == moved
    said = f"{moved} tickets of {COUNT // CHANGES_EVERY} findings: read, changed and commented once each"
    yield Line(
        "D  a hundred findings changed: as many updates and comments as tickets", said, right and some.calls.get("POST issue", 0) == 0
    )
    for name, night in (("first night", first), ("a night that changes all", every)):
        yield from _pace(name, night)
    writing, wall = first.said["spent"]["tickets written"]
    cost = 1000 * writing / made
    said = f"{cost:.1f} ms over TLS, the outbox in it, of {first.cpu:.1f} CPU s for the night; {first.rss:.0f} MB; {wall:.0f} s"
    yield at_most(f"D  CPU for a ticket made: at most {WRITE_CPU_MS} ms", cost, WRITE_CPU_MS, said, "httpx 1.4 ms a call, without TLS")
    cost = 1000 * every.said["spent"]["tickets written"][0] / (2 * made)
    said = f"{cost:.1f} ms for a write ({made} changes read first, {made} comments), {every.cpu:.1f} CPU s for the night"
    yield at_most(f"D  CPU for a write to a ticket that is there: at most {WRITE_CPU_MS} ms", cost, WRITE_CPU_MS, said)


def _pace(name: str, night: Measured) -> Iterator[Line]:
    points, writes, minutes = (night.said[what] for what in ("points a minute", "writes a minute", "minutes"))
    contents = night.calls.get("POST issue", 0) + night.calls.get("POST comment", 0)
    said = f"{writes} writes and {points} points in the worst minute; {minutes:.0f} minutes for {_writes(night)} writes"
    yield Line(
        f"D  {name}: within GitHub's {CONTENTS} contents and {POINTS} points a minute", said, writes <= CONTENTS and points <= POINTS
    )
    said = f"{contents} issues and comments in {minutes:.0f} minutes"
    yield at_most(f"D  {name}: within GitHub's {CONTENTS_AN_HOUR} contents an hour", contents, CONTENTS_AN_HOUR, said)


def _storm() -> Iterator[Line]:
    """Work the same estate off with the budget that a programme has unless it says otherwise."""
    left, number, writes = len(keys(COUNT)), 0, []
    with _tracker() as tracker:
        while left > 0:
            night = tracker.night(f"budget of {DEFAULT}, night {number}", number, DEFAULT)
            done = night.said["done"]
            opened, left = min(left, DEFAULT), max(0, left - DEFAULT)
            if night.said["failed"] or done.get("rolled-up", 0) != left or opened > done.get("created", 0):
                raise BrokenError(f"night {number} with a budget of {DEFAULT}: {night.said}")
            writes.append(_writes(night))
            number += 1
        tracker.night("after the storm", number, DEFAULT)
        tracker.hold(keys(COUNT))
    said = f"{number} nights of {', '.join(map(str, writes))} writes; in the end one open ticket for each key, and no roll-up"
    most = DEFAULT + 3 * PARTNERS
    yield at_most(f"D  with a budget of {DEFAULT}: at most {most} writes a night", max(writes), most, said)


def _outbox() -> Iterator[Line]:
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        found = run("outbox", work("work_outbox", folder, CLAIMS, 0))
    check(found, {"claimed": CLAIMS - found.said["open"], "closed": 0})
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        old = run("outbox beside old tickets", work("work_outbox", folder, CLAIMS, OLDER))
    check(old, {"claimed": CLAIMS - old.said["open"], "closed": OLDER})
    claims, takes, settles, commits = (found.said[name] for name in ("claims", "takes", "settles", "commits"))
    goal = f"D  outbox, the claims of a night in one transaction: at least {UPSERTS:,} a second"
    yield Line(goal, f"{claims[0]:,} a second", claims[0] >= UPSERTS)
    said = f"{takes[0]:,} taken, {settles[0]:,} settled a second; SQLite by itself commits {commits[0]:,} a second on this disk"
    yield Line(f"D  outbox, one by one, a durable commit each: at least {UPSERTS:,} a second", said, min(takes[0], settles[0]) >= UPSERTS)
    cost = max(takes[1], settles[1])
    said = f"{takes[1]} and {settles[1]} µs; {commits[1]} µs by SQLite alone"
    yield at_most(f"-  CPU of taking and of settling one: at most {COMMIT_CPU_US} µs each", cost, COMMIT_CPU_US, said)
    ratio = (old.said["takes"][1] + old.said["settles"][1]) / (takes[1] + settles[1])
    yield at_most(f"-  the same beside {OLDER:,} older tickets: at most {NO_SCAN} x the CPU", ratio, NO_SCAN, f"{ratio:.2f} x")


def _latency() -> Iterator[Line]:
    """Open some tickets over a wire with a latency, serially, as GitHub asks."""
    for far, trips in ((0, 1), (1, _ROUND_TRIPS)):
        with _tracker(latency=LATENCY_S, far=far) as tracker:
            night = tracker.night(f"{1000 * LATENCY_S:.0f} ms, far {far}", 0, FEW)
        check(night, {"failed": []})
        wall, calls = night.said["spent"]["tickets written"][1], night.answered
        ratio = wall / (calls * LATENCY_S)
        what = "each answer" if not far else f"each round trip, {trips} to a call on a new connection"
        said = f"{ratio:.2f} x: {wall:.1f} s for {calls} calls on {night.calls['units:connections']} connections, one at a time"
        yield at_most(f"D  {1000 * LATENCY_S:.0f} ms for {what}: at most {NEAR} x calls x latency", ratio, NEAR, said)


def _refused() -> Iterator[Line]:
    """Meet a tracker that is refusing for haste, and one whose hour is spent."""
    with _tracker(rate=HASTY_A_SECOND) as tracker:
        night = tracker.night(f"{HASTY_A_SECOND} writes a second", 0, waits=True)
        check(night, {"done": {"created": len(keys(COUNT))}, "failed": []})
        tracker.hold(keys(COUNT))
    refused = night.calls.get("throttled", 0)
    share = refused / (night.answered + refused)
    said = f"{share:.1%} of {night.answered + refused} calls; each ticket made once"
    yield at_most(f"D  {HASTY_A_SECOND} writes a second let through: at most 5 % refused", share, REFUSED_AT_MOST, said)
    with _tracker(most=SPENT_AFTER) as tracker:
        spent = tracker.night("the hour is spent", 0)
        after = spent.calls.get("throttled", 0)
        made = spent.calls.get("POST issue", 0)
        check(spent, {"done": {"created": made, "failed": len(keys(COUNT)) - made}})
    said = f"{after - 1} writes and {spent.calls['GET issues by key'] - made - 1} searches sent after the one that was told so"
    yield at_most("D  told to come back in half an hour: no write after that", after - 1, 0, said)


def _listing(night: Measured) -> int:
    return sum(count for name, count in night.calls.items() if name.startswith("GET listing"))


def _writes(night: Measured) -> int:
    return sum(night.calls.get(name, 0) for name in _WRITES)
