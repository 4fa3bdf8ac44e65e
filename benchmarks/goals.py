"""The goals: what is run for each, what must come out, and what others take, as measured when the goals were set."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import depth
from benchmarks.estate import ACCOUNTS, ROLE_EVERY, expected, ruled_by_a_partner
from benchmarks.goals_aws import aws, fanout
from benchmarks.goals_clouds import gcp, graph
from benchmarks.goals_quota import quota
from benchmarks.goals_tickets import tickets
from benchmarks.line import Line, at_most, linear
from benchmarks.meter import check, folder, run, started, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.meter import Measured


YEAR = 365


def honest() -> Iterator[Line]:
    """Compare the stub with moto."""
    found = run("honest", work("honest", 200))
    yield Line("-  the stub gives the records that moto gives", f"{found.said['records']} records, none differs", holds=True)


def people() -> Iterator[Line]:
    """Goal G: what people wait for."""
    command = [str(Path(sys.executable).parent / "countersign"), "--help"]
    found = min((run("countersign --help", command, plain=True) for _ in range(5)), key=lambda each: each.wall)
    yield at_most("G  countersign --help: at most 0.5 s", found.wall, 0.5, f"{found.wall:.2f} s, {found.cpu:.2f} CPU s")


def night() -> Iterator[Line]:
    """One account through the whole of `reconcile`."""
    costs: dict[int, Measured] = {}
    for users in (1000, 10000, 30000):
        with started("iam_stub", users=users) as stub, folder(stub) as where:
            found = costs[users] = run(f"night {users}", work("work_night", where), stub=stub)
        wanted = expected(users) + depth.found(users)
        check(found, {"failed": dict(wanted), "unknown": depth.unknown(users), "state": "complete", "guard": None, **_size(users)})
        size = f"{found.rss:.0f} MB, {found.cpu:.1f} CPU s, {found.wall:.0f} s"
        yield at_most(f"-  a night of {users:,} users and {2 * users:,} keys: below 1 GB", found.rss, 1024, size)
    yield linear("-  CPU of a night", {users: costs[users].cpu for users in (10000, 30000)})


def judge() -> Iterator[Line]:
    """Goal B: facts and verdicts."""
    peers = {100_000: "DuckDB 0.07, GX counts 0.6, GX COMPLETE 5-9", 1_000_000: "DuckDB 0.6-1.0, GX counts 1.7, GX COMPLETE 47-67"}
    for rows, peer in peers.items():
        users = rows // 2
        with folder() as where:
            found = run(f"judge {rows}", work("work_judge", where, users))
        check(found, {"failed": dict(expected(users))})
        judging, facts, floor, fixed = (found.said[name] for name in ("judge", "facts", "floor", "fixed"))
        yield at_most(
            f"B  {rows:,} credentials, above GX's fixed cost: at most 2 x the engine's own {floor:.2f} CPU s", judging, 2 * floor,
            f"{judging:.2f} CPU s, {judging / floor:.1f} x", peer,
        )  # fmt: skip
        said = f"{judging + fixed:.2f} CPU s, {fixed:.2f} of it fixed; facts {facts:.2f} before it"
        yield at_most(f"B  {rows:,} credentials, all failing keys: at most 4 CPU s", judging + fixed, 4, said, peer)


def million() -> Iterator[Line]:
    """Goal C: a whole night, and the one after, in which nothing changed but the time."""
    costs: dict[int, float] = {}
    for users in (10_000, 100_000, 1_000_000):
        with folder() as where:
            first = run(f"million {users} first", work("work_million", where, users, 0))
            second = run(f"million {users} second", work("work_million", where, users, 1))
            checked = run(f"million {users} verified", _verify(where), plain=True)
        wanted = expected(users) + Counter({"sole-administrator": ruled_by_a_partner(users, ACCOUNTS)})
        same = {"state": "complete", "guard": None}
        check(first, same | {"failed": dict(wanted), "open": wanted.total(), "new": wanted.total()})
        # A day later the hour in which to revoke is over for those accounts.
        late = Counter({"sla-revoke": ruled_by_a_partner(users, ACCOUNTS)})
        check(second, same | {"failed": dict(wanted + late), "open": (wanted + late).total(), "new": late.total()})
        costs[users] = _without_making(first)
    again, making = _without_making(second), first.said["costs"]["making records"]
    for name, found in (("first", first), ("second", second)):
        phases = ", ".join(f"{phase} {cost}" for phase, cost in found.said["costs"].items())
        yield Line(f"-  phases of the {name} night of a million, CPU s", f"{phases}; {found.wall:.0f} s", holds=True)
    whole = costs[1_000_000]
    yield at_most("C  a million identities, two million credentials: at most 60 CPU s", whole, 60, f"{whole:.1f} CPU s")
    yield at_most("C  the same with making the records, for which connectors stand", whole + making, 60, f"{whole + making:.1f} CPU s")
    rss = max(first.rss, second.rss) / 1024
    yield at_most("C  a million: at most 2 GB", rss, 2, f"{rss:.2f} GB")
    sealed = first.said["costs"]["seal"]
    yield at_most("F  a night of a million sealed: at most 10 CPU s", sealed, 10, f"{sealed:.1f} CPU s, {sealed / whole:.0%} of the night")
    yield at_most("F  both nights of a million verified: at most 20 CPU s", checked.cpu, 20, f"{checked.cpu:.1f} CPU s")
    for least in (10_000, 100_000):
        yield linear("C  CPU of a night", {users: costs[users] for users in (least, 1_000_000)})
    yield at_most("C  an unchanged second night: at most half of the first", again, whole / 2, f"{again:.1f} CPU s, {again / whole:.0%}")


def evidence() -> Iterator[Line]:
    """Goal F: a year of nights, sealed and checked."""
    with folder() as where:
        made = run("a year sealed", work("work_evidence", where, 300, YEAR))
        checked = run("a year verified", _verify(where), plain=True)
    size = f"{made.said['files']:,} files, {made.said['MB']:,} MB"
    seal = made.said["seal"]
    yield Line("-  a year of nights sealed", f"{seal:.1f} CPU s, {1000 * seal / YEAR:.0f} ms each; {size}", holds=True)
    yield at_most("F  a year of nights verified: at most 10 s", checked.wall, 10, f"{checked.wall:.1f} s, {checked.cpu:.1f} CPU s")


def closure() -> Iterator[Line]:
    """Find what a partner holds, in less time than the facts take that it is found in."""
    spent: dict[int, float] = {}
    for users in (50_000, 200_000):
        with folder() as where:
            found = run(f"closure {users}", work("work_closure", where, users, "p00"))
        held = found.said["holdings"]
        check(found, {"undecided": 0})
        spent[users] = found.said["closure"]
    facts = found.said["facts"]
    said = f"{spent[200_000]:.1f} CPU s for {sum(held.values()):,} things, {spent[200_000] / facts:.0%}"
    yield at_most("-  a partner's closure among 200,000 identities: at most half of the facts before it", spent[200_000], facts / 2, said)
    yield linear("-  CPU of a closure", spent)


GOALS: dict[str, Callable[[], Iterator[Line]]] = {
    "honest": honest, "people": people, "aws": aws, "fanout": fanout, "graph": graph, "gcp": gcp, "quota": quota, "night": night,
    "judge": judge, "million": million, "evidence": evidence, "closure": closure, "tickets": tickets,
}  # fmt: skip


def _size(users: int) -> dict[str, int]:
    """Say what an account holds: users, roles, root, ways in; two keys each, passwords of people and of root, and depth's credentials."""
    there = depth.held(users)
    ways = sum(there[kind] for kind in (*depth.WAYS_IN, "account"))
    return {"identities": users + users // ROLE_EVERY + 1 + ways, "credentials": 2 * users + users // 10 + 1 + there.total() - ways}


def _verify(where: Path) -> list[str]:
    """Return the stand-alone check of a programme's evidence, as an auditor runs it."""
    check_alone = Path(__file__).parents[1] / "countersign" / "evidence" / "verify.py"
    return [sys.executable, str(check_alone), str(where / "evidence"), "--key", str(where / "keys" / "evidence.pub.pem"), "--json"]


def _without_making(found: Measured) -> float:
    """Take away the records made to be counted and those made to be spooled: they stand for the connectors' work."""
    return found.cpu - 2 * float(found.said["costs"]["making records"])
