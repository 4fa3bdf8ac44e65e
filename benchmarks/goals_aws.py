"""Goals A and E: one AWS account over the wire, night after night, and a hundred accounts at once."""

from __future__ import annotations

import math
import statistics
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks import depth
from benchmarks.estate import ROLE_EVERY, worth_a_call
from benchmarks.line import Line, at_most, linear
from benchmarks.meter import BrokenError, check, folder, run, started, work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.meter import Measured

CORE = frozenset({
    "iam:GetAccountSummary", "iam:GenerateCredentialReport", "iam:GetCredentialReport", "iam:GetAccountAuthorizationDetails",
    "iam:ListAccessKeys", "iam:GetAccessKeyLastUsed",
})  # fmt: skip
"""Calls that goal A's formula is about; without them nothing is known of users, roles and keys. All others are depth's."""
SIZES = (1000, 5000, 10000)
NAMED = 5000
"""The size that the goal names."""
CHANGED = 25
"""Users whose report row changes between two nights."""
GIT_IN_A_HUNDRED, OTHERS = 2, 100
"""Users of a hundred who may use CodeCommit (the administrators), so that their SSH keys are asked for; and how many others are."""
ACCOUNTS, LATENCY_S = 100, 0.08
USERS_EACH, FIRST = 20, 500
"""Of each account; from that number on users are no partner's, behind whom every key is asked for."""
ONE_BY_ONE = 25
"""Accounts that are read with one thread; the time of all is counted from theirs."""
_CALLS = {1000: "Custodian 2,214, Prowler 10,584", 5000: "Custodian 11,062, Prowler 52,636"}
_CPU = "Custodian 36, Cartography 164, Prowler 198"


def aws() -> Iterator[Line]:
    """Goal A: one account over the wire, on the first night and on those after it."""
    later: dict[int, Measured] = {}
    for users in SIZES:
        with _programme(users=users) as (where, stub):
            first = read("reused", users, 0, where, stub)
            nights = [read("reused", users, 1, where, stub) for _ in range(3 if users == NAMED else 1)]
            later[users] = min(nights, key=lambda night: night.rss)
            yield from _calls(users, first, nights[0])
            if users == NAMED:
                cpu = statistics.median(night.cpu for night in nights)
                yield at_most(f"A  {users:,} users, a night: at most 3.5 CPU s with start-up", cpu, 3.5, f"{cpu:.1f} CPU s", _CPU)
                yield Line(f"-  {users:,} users, the first night", f"{first.cpu:.1f} CPU s", holds=True, peer=_CPU)
                yield from _changes(users, where, stub)
            megabytes = max(night.rss for night in (first, *nights))
            peer = "Custodian 86, Prowler 464" if users == SIZES[0] else ""
            yield at_most(f"A  {users:,} users: at most 120 MB", megabytes, 120, f"{megabytes:.0f} MB", peer)
    small, large = SIZES[0], SIZES[-1]
    grown = (later[large].rss - later[small].rss) * 1024 / (large - small)
    yield at_most("A  memory grows by at most 2 kB a user", grown, 2, f"{grown:.1f} kB")
    yield linear("A  CPU of a night", {users: later[users].cpu for users in (small, large)})
    yield from _disturbed()


def fanout() -> Iterator[Line]:
    """Goal E: a hundred accounts through the run's own threads, against one after the other."""
    costs: dict[int, Measured] = {}
    for threads, accounts in ((1, ONE_BY_ONE), (16, ACCOUNTS)):
        with (
            started("iam_stub", accounts=accounts, users=USERS_EACH, first=FIRST, latency=LATENCY_S) as stub,
            folder(stub, accounts) as where,
        ):
            found = costs[threads] = run(f"fanout {threads}", work("work_fanout", where, threads), stub=stub)
        check(found, {"states": {"complete": accounts}, "identities": accounts * _identities(USERS_EACH)})
    alone, together = costs[1].said["seconds"] * ACCOUNTS / ONE_BY_ONE, costs[16].said["seconds"]
    calls = costs[16].answered / ACCOUNTS
    said = (
        f"{together:.0f} s with 16 threads, {alone:.0f} s with one, {together / alone:.2f} of it; "
        f"{calls:.0f} calls an account, {costs[16].cpu:.0f} CPU s, {costs[16].rss:.0f} MB"
    )
    goal = f"E  {ACCOUNTS} accounts, {LATENCY_S * 1000:.0f} ms latency: at most a third of the time that they take one by one"
    yield at_most(goal, together, alone / 3, said, "94 s to 26 s with 16 threads, a session per account 75 s")


def read(mode: str, users: int, day: int, where: Path, stub: str) -> Measured:
    """Read the stub's account on a day, and hold what was seen against the seed. Raises BrokenError."""
    found = run(f"aws {mode} {users} day {day}", work("work_aws", where, mode, day), stub=stub)
    kinds = depth.held(users)
    kinds.update({"user": users + 1, "role": users // ROLE_EVERY, "access-key": 2 * users, "password": users // 10 + 1})
    named = 0 if mode == "bulk" else 2 * worth_a_call(users)
    check(found, {"state": "complete", "missing": [], "kinds": dict(sorted(kinds.items())), "with_id": named})
    return found


def core_calls(found: Measured) -> int:
    """Count the calls of goal A's formula."""
    return sum(found.calls.get(operation, 0) for operation in CORE)


def _calls(users: int, first: Measured, night: Measured) -> Iterator[Line]:
    pages = math.ceil((users + users // ROLE_EVERY + 2) / 1000)
    wanted, listed = worth_a_call(users), first.calls.get("iam:ListAccessKeys", 0)
    if listed < wanted:
        raise BrokenError(f"{first.name}: {wanted} users' keys must be listed, {listed} were")
    calls = core_calls(night)
    megabytes = f"{night.calls['bytes'] / 1e6:.1f} MB"
    goal = f"A  {users:,} users, an unchanged night: at most {pages + 3} core calls"
    yield at_most(goal, calls, pages + 3, f"{calls} calls, {megabytes}", _CALLS.get(users, ""))
    goal = f"A  {users:,} users, the first night: at most {pages + 3} core calls and one for each of {wanted:,} users that need it"
    calls = core_calls(first)
    yield at_most(goal, calls, pages + 3 + wanted, f"{calls:,} calls", _CALLS.get(users, ""))
    # One each of: service-specific credentials, providers, delegation requests, server certificates; one for each OIDC provider;
    # in a Region analyzers, trust anchors, and a page for each hundred secrets and findings. See docs/connectors/aws.md.
    pages = math.ceil(len(depth.secrets("", users)) / 100) + math.ceil(len(depth.findings("", users)) / 100)
    limit = math.ceil(users / depth.USERS_A_GIT_PASSWORD / 1000) + 4 + 1 + 2 + pages
    deep = night.answered - core_calls(night) - night.calls["sts:GetCallerIdentity"]
    goal = f"A  {users:,} users, an unchanged night: at most {limit} depth calls in one Region"
    yield at_most(goal, deep, limit, f"{deep} calls")
    git = users * GIT_IN_A_HUNDRED // 100 + OTHERS
    deep = first.answered - core_calls(first) - first.calls["sts:GetCallerIdentity"]
    goal = f"A  {users:,} users, the first night: at most {limit} depth calls and one for each of {git} users asked for SSH keys"
    yield at_most(goal, deep, limit + git, f"{deep} calls")


def _changes(users: int, where: Path, stub: str) -> Iterator[Line]:
    rotate(stub, CHANGED)
    changed = read("reused", users, 2, where, stub).calls.get("iam:ListAccessKeys", 0)
    goal = f"A  {users:,} users, {CHANGED} report rows changed: asked again for {CHANGED}"
    yield Line(goal, f"{changed} calls", changed == CHANGED)
    again = read("reused", users, 8, where, stub).calls.get("iam:ListAccessKeys", 0)
    yield Line(f"A  {users:,} users, a week later: asked again for all", f"{again} calls", again == worth_a_call(users))


def rotate(stub: str, many: int) -> None:
    """Let the first key of so many users be another one, in the report and in IAM."""
    with urllib.request.urlopen(urllib.request.Request(stub, data=str(many).encode(), method="PUT")):  # noqa: S310 - our own stub
        pass


def _disturbed() -> Iterator[Line]:
    with _programme(users=200, latency=0.05) as (where, stub):
        first, *nights = (read("reused", 200, day, where, stub) for day in (0, 1, 1, 1))
        night = min(nights, key=lambda one: one.wall)
    peer = "Custodian 27, Cartography 81, Prowler 172"
    said = f"{night.wall:.1f} s for {night.answered} calls"
    yield at_most("A  200 users, 50 ms latency, an unchanged night: at most 2.5 s", night.wall, 2.5, said, peer)
    keys = first.calls["iam:ListAccessKeys"]
    said = f"{first.wall:.1f} s for {first.answered} calls, {keys} of them for keys, since a partner is behind most of the 200"
    yield Line("-  200 users, 50 ms latency, the first night", said, holds=True, peer=peer)
    with _programme(users=1000, rate=20) as (where, stub):
        found = read("night", 1000, 0, where, stub)
    share = found.calls.get("throttled", 0) / found.answered
    said = f"{share:.1%} of {found.answered} calls, {found.wall:.0f} s"
    goal = "A  20 requests a second allowed, the first night: no row lost, at most 5 % throttled"
    yield at_most(goal, share, 0.05, said, "boto3 standard 30 %, adaptive 4.7 %")


def _identities(users: int) -> int:
    there = depth.held(users)
    return users + 1 + users // ROLE_EVERY + sum(there[kind] for kind in (*depth.WAYS_IN, "account"))


@contextmanager
def _programme(**options: float) -> Iterator[tuple[Path, str]]:
    with started("iam_stub", **options) as stub, folder(stub) as where:
        yield where, stub
