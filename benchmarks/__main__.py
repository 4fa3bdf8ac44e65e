"""Runs the benchmarks named (all when none is), prints each goal with our figure and the peers', and says whether it holds."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.estate import ROLE_EVERY, expected, worth_a_call
from benchmarks.meter import BrokenError, Measured, check, iam, run, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Line:
    """One goal and what was measured for it."""

    goal: str
    ours: str
    peer: str
    """What others take, as recorded when the goals were set; empty where nobody does the same."""
    holds: bool


def honest() -> Iterator[Line]:
    """The stub gives what moto gives."""
    found = run("honest", work("honest", 200))
    yield Line("stub and moto: the same records", f"{found.said['records']} records, no difference", "", holds=True)


def aws() -> Iterator[Line]:
    """Goal A: one account over the wire."""
    peers = {
        1000: "Custodian 9.5, Cartography 38, Prowler 73",
        5000: "bulk boto3 2.3-3.1, Custodian 36, Cartography 164, Prowler 198",
        10000: "",
    }
    costs: dict[tuple[int, str], Measured] = {}
    for users in (1000, 5000, 10000):
        pages = math.ceil((users + users // ROLE_EVERY + 2) / 1000)
        with _programme(users) as (folder, stub):
            for mode in ("bulk", "night"):
                found = run(f"aws {mode} {users}", work("work_aws", folder, mode), stub=stub)
                check(found.name, ("complete", *_size(users)), (found.said["state"], found.said["identities"], found.said["credentials"]))
                costs[users, mode] = found
        bulk, night = costs[users, "bulk"], costs[users, "night"]
        calls = _calls(bulk) - bulk.calls.get("GetCallerIdentity", 0)
        yield Line(
            f"A  {users:,} users, all answers kept: at most {pages + 3} calls of IAM", f"{calls} calls, {bulk.calls['bytes'] / 1e6:.1f} MB",
            {1000: "Custodian 2,214, Prowler 10,584", 5000: "Custodian 11,062, Prowler 52,636"}.get(users, ""), calls <= pages + 3,
        )  # fmt: skip
        if users == 5000:  # noqa: PLR2004 - the size that the goal names
            yield Line(
                f"A  {users:,} users, all answers kept: at most 3.5 CPU s with start-up",
                f"{bulk.cpu:.1f} CPU s",
                peers[users],
                bulk.cpu <= 3.5,
            )
            yield Line(
                f"A  {users:,} users, a first night: at most 3.5 CPU s with start-up",
                f"{night.cpu:.1f} CPU s",
                peers[users],
                night.cpu <= 3.5,
            )
        wanted = worth_a_call(users)
        listed = night.calls.get("ListAccessKeys", 0)
        yield Line(
            f"A  {users:,} users: keys listed for no more than the {wanted:,} users that need it", f"{listed:,}", "", listed <= wanted
        )
        yield Line(
            f"A  {users:,} users: at most 120 MB",
            f"{night.rss:.0f} MB",
            "Custodian 86, Prowler 464 at 1,000" if users == 1000 else "",
            night.rss <= 120,
        )
    grown = (costs[10000, "night"].rss - costs[1000, "night"].rss) * 1024 / 9000
    yield Line("A  memory grows at most 2 kB a user", f"{grown:.1f} kB", "", grown <= 2)  # noqa: PLR2004
    exponent = _exponent({users: costs[users, "night"].cpu for users in (1000, 10000)})
    yield Line("A  CPU grows no faster than users (1,000 to 10,000)", f"exponent {exponent:.2f}", "", exponent <= 1.05)  # noqa: PLR2004
    with _programme(200, latency=0.05) as (folder, stub):
        found = run("aws 200 with 50 ms", work("work_aws", folder, "bulk"), stub=stub)
    yield Line(
        "A  200 users, 50 ms latency: at most 2.5 s", f"{found.wall:.1f} s", "Custodian 27, Cartography 81, Prowler 172", found.wall <= 2.5
    )
    with _programme(2000, rate=20) as (folder, stub):
        found = run("aws throttled", work("work_aws", folder, "night"), stub=stub)
        check(found.name, ("complete", *_size(2000)), (found.said["state"], found.said["identities"], found.said["credentials"]))
    share = found.calls.get("throttled", 0) / _calls(found)
    yield Line(
        "A  20 requests a second allowed: no row lost, at most 5 % throttled",
        f"{share:.1%}",
        "boto3 standard 30 %, adaptive 4.7 %",
        share <= 0.05,
    )


def night() -> Iterator[Line]:
    """One account through the whole of `reconcile`."""
    costs: dict[int, Measured] = {}
    for users in (1000, 10000, 30000):
        with _programme(users) as (folder, stub):
            found = costs[users] = run(f"night {users}", work("work_night", folder), stub=stub)
        check(
            found.name,
            (dict(expected(users)), {}, "complete", None),
            tuple(found.said[name] for name in ("failed", "unknown", "state", "guard")),
        )
        check(found.name, _size(users), (found.said["identities"], found.said["credentials"]))
    exponent = _exponent({users: costs[users].cpu for users in (10000, 30000)})
    yield Line(
        "   a night of 10,000 users and 20,000 keys: below 1 GB",
        f"{costs[10000].rss:.0f} MB, {costs[10000].cpu:.1f} CPU s",
        "",
        costs[10000].rss < 1024,
    )
    yield Line(
        "   a night of 30,000 users: below 1 GB", f"{costs[30000].rss:.0f} MB, {costs[30000].cpu:.1f} CPU s", "", costs[30000].rss < 1024
    )
    yield Line("   CPU grows no faster than users (10,000 to 30,000)", f"exponent {exponent:.2f}", "", exponent <= 1.05)  # noqa: PLR2004


def judge() -> Iterator[Line]:
    """Goal B: facts and verdicts."""
    for users, rows in ((50_000, "100 k"), (500_000, "1 M")):
        with _folder() as folder:
            found = run(f"judge {users}", work("work_judge", folder, users))
        check(found.name, dict(expected(users)), found.said["failed"])
        judging, floor, both = found.said["judge"], found.said["floor"], found.said["judge"] + found.said["facts"]
        peer = {"100 k": "DuckDB 0.07, GX counts 0.6, GX COMPLETE 5-9", "1 M": "DuckDB 0.6-1.0, GX counts 1.7, GX COMPLETE 47-67"}[rows]
        yield Line(
            f"B  {rows} credentials judged: at most 2 x the engine's own {floor:.2f} CPU s",
            f"{judging:.2f} CPU s, {judging / floor:.1f} x",
            peer,
            judging <= 2 * floor,
        )
        if rows == "1 M":
            fixed = found.said["fixed"]
            yield Line(
                f"B  {rows} credentials, all failing keys: at most 4 CPU s",
                f"{judging + fixed:.2f} CPU s (GX {fixed:.2f} of it)",
                peer,
                judging + fixed <= 4,
            )
            yield Line(
                f"B  {rows} credentials, facts and verdicts (no goal)",
                f"{both + fixed:.2f} CPU s, {found.rss:.0f} MB with spooling",
                "",
                holds=True,
            )


def million() -> Iterator[Line]:
    """Goal C: a whole night, and the one after."""
    costs: dict[int, Measured] = {}
    for users in (10_000, 100_000, 1_000_000):
        with _folder() as folder:
            first = costs[users] = run(f"million {users} first", work("work_million", folder, users, 0))
            second = run(f"million {users} second", work("work_million", folder, users, 1))
        wanted = expected(users)
        check(
            first.name,
            (dict(wanted), wanted.total(), "complete", None),
            tuple(first.said[name] for name in ("failed", "new", "state", "guard")),
        )
        check(second.name, (dict(wanted), 0, wanted.total(), None), tuple(second.said[name] for name in ("failed", "new", "open", "guard")))
    for name, found in (("first", first), ("unchanged", second)):
        print(f"      CPU s of the {name} night: " + ", ".join(f"{phase} {cost}" for phase, cost in found.said["costs"].items()))  # noqa: T201
    night = {users: found.cpu - found.said["costs"]["making records"] for users, found in costs.items()}
    again = second.cpu - second.said["costs"]["making records"]
    yield Line(
        "C  a million identities, two million credentials: at most 60 CPU s",
        f"{night[1_000_000]:.1f} CPU s, {first.wall:.0f} s",
        "",
        night[1_000_000] <= 60,
    )
    yield Line("C  the same: at most 2 GB", f"{max(first.rss, second.rss) / 1024:.2f} GB", "", max(first.rss, second.rss) <= 2048)  # noqa: PLR2004
    for least in (10_000, 100_000):
        exponent = _exponent({users: night[users] for users in (least, 1_000_000)})
        yield Line(f"C  CPU grows at most with exponent 1.05 ({least:,} to a million)", f"exponent {exponent:.2f}", "", exponent <= 1.05)  # noqa: PLR2004
    yield Line(
        "C  an unchanged second night: at most half of the first",
        f"{again:.1f} CPU s, {again / night[1_000_000]:.0%}",
        "",
        again <= night[1_000_000] / 2,
    )


def people() -> Iterator[Line]:
    """Goal G: what people wait for."""
    command = [str(Path(sys.executable).parent / "countersign"), "--help"]
    found = min((run("countersign --help", command, plain=True) for _ in range(5)), key=lambda each: each.wall)
    yield Line("G  countersign --help: at most 0.5 s", f"{found.wall:.2f} s, {found.cpu:.2f} CPU s", "", found.wall <= 0.5)  # noqa: PLR2004


_ALL: dict[str, Callable[[], Iterator[Line]]] = {
    "honest": honest, "people": people, "aws": aws, "night": night, "judge": judge, "million": million,
}  # fmt: skip


def main() -> int:
    """Return 0 when all benchmarks ran and answered right, whatever their figures; 1 when one broke or was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(_ALL)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print the goals as JSON lines")
    asked = parser.parse_args()
    strange = sorted(set(asked.names) - set(_ALL))
    if strange:
        parser.error(f"no benchmark is called {', '.join(strange)}; there are {', '.join(_ALL)}")
    broken = 0
    for name in asked.names or _ALL:
        began = time.monotonic()
        try:
            for line in _ALL[name]():
                _say(line, as_json=asked.json)
        except BrokenError as error:
            broken += 1
            print(f"{name} broke: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)  # noqa: T201 - this is a command
    return 1 if broken else 0


def _say(line: Line, *, as_json: bool) -> None:
    verdict = "holds" if line.holds else "falls short"
    if as_json:
        print(json.dumps({"goal": line.goal, "ours": line.ours, "peer": line.peer, "verdict": verdict}), flush=True)  # noqa: T201
    else:
        peer = f"  (others: {line.peer})" if line.peer else ""
        print(f"{verdict:<12}{line.goal}: {line.ours}{peer}", flush=True)  # noqa: T201


@contextmanager
def _folder(stub: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as where:
        folder = Path(where) / "programme"
        run("programme", work("programme", folder, *([stub] if stub else [])))
        yield folder


@contextmanager
def _programme(users: int, *, latency: float = 0, rate: float = 0) -> Iterator[tuple[Path, str]]:
    with iam(users, latency=latency, rate=rate) as stub, _folder(stub) as folder:
        yield folder, stub


def _size(users: int) -> tuple[int, int]:
    """Identities and credentials of an account: users, roles and root; two keys each, passwords of people and of root."""
    return users + users // ROLE_EVERY + 1, 2 * users + users // 10 + 1


def _calls(found: Measured) -> int:
    return sum(count for action, count in found.calls.items() if action != "bytes")


def _exponent(costs: dict[int, float]) -> float:
    (small, less), (large, more) = sorted(costs.items())
    return math.log(more / less) / math.log(large / small)


if __name__ == "__main__":
    sys.exit(main())
