"""One large tenant and one large project over the wire: calls, CPU, memory, and what throttling does to them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks import truth
from benchmarks.line import Line, at_most, linear
from benchmarks.meter import check, run, started, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.meter import Measured

THROTTLED_AT_MOST = 0.05
_SLOW_TENANT, _SLOW_PROJECT = 500, 100
"""Resource units in ten seconds, and calls in one, that the throttling stubs allow: a seventh and a hundredth of a real quota's burst."""


def graph() -> Iterator[Line]:
    """Microsoft Graph: a tenant of 50,000 service principals."""
    found = {}
    for count in (5_000, 50_000):
        with stub("graph_stub", principals=count) as (source, environment, calls):
            found[count] = read(f"graph {count}", "azure", source, calls, truth.azure(count), environment)
    small, large = sorted(found)
    # A page for each 999 principals and applications and each 100 rows of the report; a batch for each 20 applications and
    # identities that outsiders may sign in as; some twenty calls whatever the size.
    limit = large // 999 + 1 + large // 10 // 999 + 1 + large // 10 // 100 + 2 * (large // 10 // 20) + large // 100 // 120 + 25
    yield from _figures(f"{large:,} service principals", found[large], limit)
    yield linear("E  Graph, calls", {count: found[count].answered for count in found})
    yield linear("E  Graph, CPU", {count: found[count].cpu for count in found})
    grown = (found[large].rss - found[small].rss) * 1024 / (large - small)
    yield Line("-  Graph, memory for each further service principal", f"{grown:.1f} kB", holds=True)
    with stub("graph_stub", principals=5_000, rate=_SLOW_TENANT) as (source, environment, calls):
        slow = read("graph throttled", "azure", source, calls, truth.azure(5_000), environment)
    yield _throttled("Graph gives a seventh of its quota", slow)


def gcp() -> Iterator[Line]:
    """Google Cloud: a project of 20,000 service accounts with a key each."""
    found = {}
    for count in (2_000, 20_000):
        with stub("gcp_stub", accounts=count) as (source, environment, calls):
            found[count] = read(f"gcp {count}", "gcp", source, calls, truth.gcp(count), environment)
    small, large = sorted(found)
    # Pages of 100 accounts, 500 results, 1,000 keys and 1,000 activities of each of two kinds; a call for each account with keys.
    limit = large + large // 100 + large // 500 + 3 * (large // 1000) + 15
    yield from _figures(f"{large:,} service accounts with keys", found[large], limit)
    yield linear("E  Google, calls", {count: found[count].answered for count in found})
    yield linear("E  Google, CPU", {count: found[count].cpu for count in found})
    grown = (found[large].rss - found[small].rss) * 1024 / (large - small)
    yield Line("-  Google, memory for each further account", f"{grown:.1f} kB", holds=True)
    with stub("gcp_stub", accounts=1_000, rate=_SLOW_PROJECT) as (source, environment, calls):
        slow = read("gcp throttled", "gcp", source, calls, truth.gcp(1_000), environment)
    yield _throttled(f"Google gives {_SLOW_PROJECT} calls a second", slow)


@contextmanager
def stub(module: str, **options: float) -> Iterator[tuple[Mapping[str, Any], Mapping[str, str], str]]:
    """Run a stub; yields the settings of its source, the environment to read it in, and where it counts its calls."""
    with started(module, **options) as line:
        said = json.loads(line)
        yield said["source"], said.get("environment", {}), said["calls"]


def read(  # noqa: PLR0913, PLR0917 - a reading has these parts
    name: str, provider: str, source: Mapping[str, Any], calls: str, wanted: Mapping[str, int], environment: Mapping[str, str]
) -> Measured:
    """Read a source and hold what was seen against the seed. Raises BrokenError."""
    found = run(name, work("work_cloud", provider, json.dumps(source)), stub=calls, environment=environment)
    check(found, {"state": "complete", "missing": [], "kinds": dict(sorted(wanted.items()))})
    return found


def _figures(what: str, found: Measured, limit: int) -> Iterator[Line]:
    calls = found.answered
    said = f"{calls:,} calls, {found.calls['bytes'] / 1e6:.0f} MB, {found.cpu:.1f} CPU s, {found.rss:.0f} MB of memory, {found.wall:.0f} s"
    yield at_most(f"E  {what}: at most {limit:,} calls", calls, limit, said)


def _throttled(what: str, found: Measured) -> Line:
    asked = found.answered - found.calls.get("POST /$batch", 0) + found.items + found.calls.get("throttled", 0)
    share = found.calls.get("throttled", 0) / asked
    said = f"{share:.1%} of {asked:,} questions, {found.wall:.0f} s"
    return at_most(f"E  {what}: no row lost, at most 5 % throttled", share, THROTTLED_AT_MOST, said)
