from __future__ import annotations

import os
import socket
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from countersign.errors import CountersignError, ScopeDeniedError
from countersign.expectation import expectations
from countersign.facts import build, opened, register_tables
from countersign.inventory import Reading, collect, spool, unread
from countersign.programme import load
from countersign.reading import ReadRequest, connector
from countersign.register.check import check
from countersign.shares import family
from sandbox import estate
from sandbox.aws import CALLER_ACCOUNT
from sandbox.estate.aws_ways_in import CLOSED
from sandbox.estate.gcp import NUMBERS
from sandbox.estate.places import (
    CANARY,
    DATA,
    HOSTILE_FORMULA,
    HOSTILE_HTML,
    HOSTILE_SUM,
    LEGACY,
    MAINFRAME,
    ORGANIZATION,
    PROD,
    TENANT,
)
from sandbox.gcp.contract import Contract as GcpContract
from sandbox.graph.contract import Contract as GraphContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.programme import Programme
    from countersign.reading import Scope
    from sandbox.estate import Clouds

NOW = datetime.now(UTC)
"""Vault's clock is the machine's, so the estate's is too."""
PROVIDERS = ("aws", "azure", "gcp", "vault")


@pytest.fixture(scope="module")
def clouds() -> Iterator[Clouds]:
    with estate.running(graph=GraphContract.found(), gcp=GcpContract.read()) as clouds:
        yield clouds


@pytest.fixture(scope="module")
def northwind(clouds: Clouds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("northwind")
    estate.seed(clouds, NOW, folder)
    with patch.dict(os.environ, estate.environment(clouds)):
        yield folder


@pytest.fixture(scope="module")
def readings(northwind: Path) -> tuple[Reading, ...]:
    programme = load(northwind)
    scopes = [scope for source in programme.sources for scope in connector(source.provider).scopes(source)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda scope: _read(programme, scope, northwind), scopes))
    return collect(found, northwind / "work", northwind / "inventory")


@pytest.fixture(scope="module")
def shown(northwind: Path, readings: tuple[Reading, ...]) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(control, held or broken) to the (provider, name) that it is shown by."""
    build(northwind / "facts.duckdb", northwind / "inventory", register_tables(load(northwind), NOW), readings)
    found: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    with opened(northwind / "facts.duckdb") as db:
        for one in expectations():
            kinds = ", ".join(f"'{kind}'" for kind in one.subjects)
            judged = f'subject_kind IN ({kinds}) AND "{one.population}" AND "{one.holds.column}" IS NOT NULL'
            breaks = f"bool_or({one.holds.breaks()}) OVER (PARTITION BY identity_name)"
            query = f"SELECT DISTINCT provider, identity_name, {breaks} FROM facts WHERE {judged}"  # noqa: S608 our own records
            for provider, name, is_broken in db.execute(query).fetchall():
                found[one.id, "broken" if is_broken else "held"].add((provider, name))
    return found


def _read(programme: Programme, scope: Scope, folder: Path) -> Reading:
    source = next(one for one in programme.sources if one.name == scope.source)
    request = ReadRequest(source=source, scope=scope, run="run-1", now=lambda: NOW)
    try:
        return spool(connector(source.provider).read(request), scope, folder / "work", folder / "observations")
    except ScopeDeniedError as error:
        return unread(scope, "denied", error.operation, str(error), started=NOW, finished=NOW, work=folder / "work")


def test_the_register_breaks_the_rules_that_it_should(northwind: Path) -> None:
    programme = load(northwind)
    problems = check(programme.register, NOW.date(), signer=programme.evidence.signer, known_controls=[one.id for one in expectations()])
    assert [(problem.where.file, problem.rule) for problem in problems] == [
        ("register/exceptions/EX-0002.yaml", "exception-expired"),
        ("register/workloads/corvid-etl.yaml", "workload-purpose"),
        ("register/workloads/corvid-etl.yaml", "workload-owner"),
        ("register/workloads/corvid-support.yaml", "workload-expiry"),
    ]


def test_every_scope_is_read_but_the_two_that_deny_it(readings: tuple[Reading, ...]) -> None:
    missing = {(one.scope.provider, one.scope.name): one.reason for one in readings if one.state != "complete"}
    assert {("aws", LEGACY), ("gcp", MAINFRAME)} == set(missing), missing
    assert {one.scope.name for one in readings} >= {CALLER_ACCOUNT, PROD, DATA, TENANT, *NUMBERS, f"organizations/{ORGANIZATION}", "vault"}
    assert CLOSED not in {one.scope.name for one in readings}


def test_nothing_that_is_asked_or_answered_is_not_in_the_vendors_own_schemas(clouds: Clouds, readings: tuple[Reading, ...]) -> None:
    assert readings
    assert [clouds.graph.broken_requests, clouds.graph.broken_answers] == [[], []]
    assert [clouds.gcp.broken_requests, clouds.gcp.broken_answers] == [[], []]


def test_every_control_is_held_and_broken_by_whom_it_should(shown: dict[tuple[str, str], set[tuple[str, str]]]) -> None:
    names = {key: {name for _, name in found} for key, found in shown.items()}
    assert [(*intended,) for intended in estate.TRUTH if intended[1] not in names.get((intended[0], intended[2]), ())] == []
    # What the register's own entries and the clocks of findings come to is shown by tests of their own, entry by entry and hour by hour.
    elsewhere = {"governance", "service levels"}
    shown_here = {one.id for one in expectations() if family(one.id) not in elsewhere}
    assert shown_here == {control for control, _, verdict in estate.TRUTH if verdict == "held"}
    assert shown_here == {control for control, _, verdict in estate.TRUTH if verdict == "broken"}


def test_a_tag_moves_a_log_in_to_the_other_track_and_ends_no_finding(shown: dict[tuple[str, str], set[tuple[str, str]]]) -> None:
    user = ("aws", "corvid-nightly")
    assert {"machine-console": "broken", "human-mfa": None} == {
        control: next((verdict for verdict in ("held", "broken") if user in shown[control, verdict]), None)
        for control in ("machine-console", "human-mfa")
    }


def test_one_kind_of_key_is_under_three_different_limits(northwind: Path, shown: object) -> None:
    assert shown
    with opened(northwind / "facts.duckdb") as db:
        query = "SELECT DISTINCT rotation_limit, identity_name FROM facts_credential WHERE kind = 'access-key' AND days_past_rotation > 0"
        assert {
            ("60 days (environment production)", "legacy-ftp"),
            ("45 days (partner corvid)", "corvid-deploy"),
            ("30 days (workload corvid-etl)", "corvid-legacy-sync"),
        } <= set(db.execute(query).fetchall())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_shows_controls_held_and_broken(provider: str, shown: dict[tuple[str, str], set[tuple[str, str]]]) -> None:
    intended = {(control, verdict, name) for control, name, verdict in estate.TRUTH}
    found = {(*key, name) for key, subjects in shown.items() for kind, name in subjects if kind == provider}
    controls = {verdict: {control for control, state, _ in found & intended if state == verdict} for verdict in ("held", "broken")}
    assert len(controls["held"]) >= 7, controls
    assert len(controls["broken"]) >= 5, controls


def test_hostile_names_arrive_as_they_are_and_secrets_not_at_all(northwind: Path, readings: tuple[Reading, ...]) -> None:
    assert readings
    written = b"".join(path.read_bytes() for path in (northwind / "work").rglob("*.jsonl"))
    assert [name for name in (HOSTILE_HTML, HOSTILE_FORMULA, HOSTILE_SUM) if name.encode() not in written] == []
    assert CANARY.encode() not in written


def test_the_same_names_every_time(northwind: Path, tmp_path: Path) -> None:
    estate.exports.write(tmp_path / "exports", NOW)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "exports").rglob("*") if path.is_file()}
    assert again == {path.relative_to(northwind): path.read_bytes() for path in (northwind / "exports").rglob("*") if path.is_file()}


def test_a_port_that_is_in_use_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CountersignError, match="cannot listen on port"), estate.running(taken.getsockname()[1] - 2):
            pass
