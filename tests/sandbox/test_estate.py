from __future__ import annotations

import os
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from countersign.errors import ScopeDeniedError
from countersign.expectation import expectations
from countersign.facts import build, opened, register_tables
from countersign.inventory import Reading, collect, spool, unread
from countersign.programme import load
from countersign.reading import ReadRequest, connector
from countersign.register.check import check
from sandbox import estate
from sandbox.aws import SandboxAws
from sandbox.estate.places import CANARY, HOSTILE_FORMULA, HOSTILE_HTML, LEGACY
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.programme import Programme
    from countersign.reading import Scope

NOW = datetime.now(UTC)
"""Vault's clock is the machine's, so the estate's is too."""


@pytest.fixture(scope="module")
def northwind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("northwind")
    with SandboxAws() as aws, SandboxVault() as vault:
        estate.seed(aws, vault, NOW, folder)
        with patch.dict(os.environ, estate.environment(aws, vault)):
            yield folder


@pytest.fixture(scope="module")
def readings(northwind: Path) -> tuple[Reading, ...]:
    programme = load(northwind)
    found = [
        one
        for source in programme.sources
        for one in (_read(programme, scope, northwind) for scope in connector(source.provider).scopes(source))
    ]
    return collect(found, northwind / "work", northwind / "inventory")


def _read(programme: Programme, scope: Scope, folder: Path) -> Reading:
    source = next(one for one in programme.sources if one.name == scope.source)
    request = ReadRequest(source=source, scope=scope, run="run-1", now=lambda: NOW)
    try:
        return spool(connector(source.provider).read(request), scope, folder / "work", folder / "observations")
    except ScopeDeniedError as error:
        return unread(scope, "denied", error.operation, str(error), started=NOW, finished=NOW, work=folder / "work")


def test_the_register_breaks_the_two_rules_that_it_should(northwind: Path) -> None:
    programme = load(northwind)
    problems = check(programme.register, NOW.date(), signer=programme.evidence.signer, known_controls=[one.id for one in expectations()])
    assert [(problem.where.file, problem.rule) for problem in problems] == [
        ("register/workloads/corvid-etl.yaml", "workload-owner"),
        ("register/workloads/corvid-support.yaml", "workload-expiry"),
    ]


def test_every_scope_is_read_but_the_one_that_denies_it(readings: tuple[Reading, ...]) -> None:
    missing = {(one.scope.provider, one.scope.name): one.reason for one in readings if one.state != "complete"}
    assert {("aws", LEGACY)} == set(missing), missing
    assert 50 <= sum(one.identities for one in readings) <= 80


def test_every_control_is_held_and_broken_by_whom_it_should(northwind: Path, readings: tuple[Reading, ...]) -> None:
    build(northwind / "facts.duckdb", northwind / "inventory", register_tables(load(northwind), NOW), readings)
    shown: dict[str, dict[str, set[str]]] = defaultdict(lambda: {"held": set(), "broken": set()})
    with opened(northwind / "facts.duckdb") as db:
        for one in expectations():
            kinds = ", ".join(f"'{kind}'" for kind in one.subjects)
            judged = f'subject_kind IN ({kinds}) AND "{one.population}" AND "{one.holds.column}" IS NOT NULL'
            query = f"SELECT identity_name, bool_or({one.holds.breaks()}) FROM facts WHERE {judged} GROUP BY identity_name"  # noqa: S608 our own records
            rows = db.execute(query).fetchall()
            for name, is_broken in rows:
                shown[one.id]["broken" if is_broken else "held"].add(name)
    assert [intended for intended in estate.TRUTH if intended[1] not in shown[intended[0]][intended[2]]] == []
    assert {one.id for one in expectations()} == {control for control, _, verdict in estate.TRUTH if verdict == "held"}
    assert {one.id for one in expectations()} == {control for control, _, verdict in estate.TRUTH if verdict == "broken"}


def test_hostile_names_arrive_as_they_are_and_secrets_not_at_all(northwind: Path, readings: tuple[Reading, ...]) -> None:
    assert readings
    written = b"".join(path.read_bytes() for path in (northwind / "work").rglob("*.jsonl"))
    assert HOSTILE_HTML.encode() in written
    assert HOSTILE_FORMULA.encode() in written
    assert CANARY.encode() not in written


def test_the_same_names_every_time(northwind: Path, tmp_path: Path) -> None:
    estate.exports.write(tmp_path / "exports", NOW)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "exports").rglob("*") if path.is_file()}
    assert again == {path.relative_to(northwind): path.read_bytes() for path in (northwind / "exports").rglob("*") if path.is_file()}
