"""Goal A': a night of a million identities in four clouds, by the calls measured here and the providers' documented quotas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import truth
from benchmarks.goals_aws import read as read_aws
from benchmarks.goals_aws import rotate
from benchmarks.goals_clouds import read, stub
from benchmarks.line import Line, at_most
from benchmarks.meter import folder, run, started, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ESTATE = {"aws": (50, 11_000), "gcp": (20, 10_000), "azure": (3, 50_000), "vault": (5, 20_000)}
"""Scopes of each provider, and identities in each: a million in all."""
SIZES = {"aws": (1_000, 5_000), "gcp": (500, 2_000), "azure": (2_000, 10_000), "vault": (200, 600)}
"""Where the calls are counted; beyond, they are drawn out on a straight line."""
CHANGED = 100
"""One user of so many has a report row that changed since last night."""
HOUR = 3600
_PEERS = "Custodian 16.7 h, Cartography 33 h, Prowler 81 h for AWS alone"

Calls = dict[int, dict[str, int]]


def quota() -> Iterator[Line]:
    """Count each connector's calls at two sizes, and replay nights drawn from them."""
    first, night = _aws()
    others = {"gcp": _gcp(), "azure": _azure(), "vault": _vault()}
    alone = {"aws": [_scopes("aws", night)], **{name: [_scopes(name, calls)] for name, calls in others.items()}}
    rest = [part for name in others for part in alone[name]]
    nights = {**alone, "all": alone["aws"] + rest, "aws first": [_scopes("aws", first)], "first": [_scopes("aws", first), *rest]}
    said = run("quota", work("work_quota", json.dumps(nights))).said
    calls = {name: int(told["calls"]) for name, told in said["nights"].items()}
    took = {name: float(told["seconds"]) for name, told in said["nights"].items()}
    many, each = ESTATE["aws"]
    what = f"AWS, {many} accounts of {each:,} users, 1 report row in {CHANGED} changed"
    peer = "Custodian 1.2 M, Prowler 5.8 M by their calls a user"
    yield at_most(f"A' {what}: at most 15,000 calls", calls["aws"], 15_000, f"{calls['aws']:,} calls", peer)
    yield at_most(f"A' {what}: at most 30 min of quota time", took["aws"], HOUR / 2, f"{took['aws'] / 60:.1f} min", _PEERS)
    for name in others:
        many, each = ESTATE[name]
        yield Line(f"-  {name}, {many} scopes of {each:,} identities", f"{calls[name]:,} calls, {took[name] / 60:.1f} min", holds=True)
    total = sum(many * each for many, each in ESTATE.values())
    waits = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in said["latency"].items())
    told = f"{took['all'] / 60:.0f} min for {calls['all']:,} calls (ms a call: {waits})"
    yield at_most(f"A' {total:,} identities in four clouds: at most one hour of API time", took["all"], HOUR, told, _PEERS)
    told = f"{took['first'] / 60:.0f} min; AWS {calls['aws first']:,} calls in {took['aws first'] / 60:.0f} min"
    yield at_most("A' the same on the first night, and once a week: at most one hour of API time", took["first"], HOUR, told, _PEERS)


def _scopes(provider: str, calls: Calls) -> tuple[str, int, int, Calls]:
    return (provider, *ESTATE[provider], calls)


def _aws() -> tuple[Calls, Calls]:
    """Count the calls of a first night, and of one on which some rows have changed."""
    first, night = {}, {}
    for users in SIZES["aws"]:
        with started("iam_stub", users=users) as address, folder(address) as where:
            first[users] = dict(read_aws("reused", users, 0, where, address).calls)
            rotate(address, users // CHANGED)
            night[users] = dict(read_aws("reused", users, 1, where, address).calls)
    return first, night


def _gcp() -> Calls:
    return {size: _counted("gcp_stub", "gcp", truth.gcp(size), accounts=size) for size in SIZES["gcp"]}


def _azure() -> Calls:
    return {size: _counted("graph_stub", "azure", truth.azure(size), principals=size) for size in SIZES["azure"]}


def _vault() -> Calls:
    return {size: _counted("vault_stub", "vault", truth.vault(size), tokens=size) for size in SIZES["vault"]}


def _counted(module: str, provider: str, wanted: Mapping[str, int], **options: int) -> dict[str, int]:
    with stub(module, **options) as (source, environment, calls):
        return dict(read(f"quota {provider}", provider, source, calls, wanted, environment).calls)
