from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from countersign import scaffold
from countersign.key_lookup import needs_id
from countersign.programme import load
from countersign.reading import KeyRow

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def key(name: str, *, age: int = 20, used: int | None = 1, several: bool = False, tags: dict[str, str] | None = None) -> KeyRow:
    last = None if used is None else NOW - timedelta(days=used)
    return KeyRow(name=name, tags=tags or {}, created_at=NOW - timedelta(days=age), last_used_at=last, several=several)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (key("own-batch"), False),  # registered, sound, and nobody else's
        (key("unheard-of"), False),
        (key("own-batch", age=91), True),
        (key("own-batch", age=60, used=46), True),
        (key("own-batch", age=46, used=None), True),
        (key("own-batch", several=True), True),
        (key("Example-Partner-Backup"), True),
        (key("anyone", tags={"partner": "example-partner"}), True),
        (key("someone@partner.example"), True),
    ],
)
def test_an_id_is_looked_up_for_keys_that_may_fail_and_for_partners(tmp_path: Path, row: KeyRow, wanted: bool) -> None:  # noqa: FBT001
    scaffold.init(tmp_path / "programme")
    own = tmp_path / "programme" / "register" / "workloads" / "own.yaml"
    own.write_text('workload: own\nowner: business-owner\nexpires: 2027-06-30\nidentities: ["aws:*:user/own-*"]\n', encoding="utf-8")
    assert wanted == needs_id(load(tmp_path / "programme").register, NOW)(row)


@pytest.mark.parametrize(
    ("where", "limits"),
    [
        ("environment", "{rotate_within: {aws_access_key: P10D}}"),
        ("workload", "{rotate_within: {aws_access_key: P10D}}"),
        ("workload", "{max_idle: PT12H}"),
        ("environment", "{max_ttl: PT12H}"),
        ("workload", "{max_lifetime: {aws_access_key: P365D}}"),
    ],
)
def test_the_strictest_limit_of_all_places_decides(tmp_path: Path, where: str, limits: str) -> None:
    scaffold.init(tmp_path / "programme")
    register = tmp_path / "programme" / "register"
    if where == "environment":
        customer = register / "customer.yaml"
        said = f'policies:\n  environments: {{live: {{scopes: ["aws:*"], machine: {limits}}}}}\n'
        customer.write_text(customer.read_text(encoding="utf-8").replace("policies:\n", said, 1), encoding="utf-8")
    else:
        said = f"workload: tight\nowner: business-owner\nexpires: 2027-06-30\npolicies: {{machine: {limits}}}\n"
        (register / "workloads" / "tight.yaml").write_text(said + 'identities: ["aws:*:user/other-*"]\n', encoding="utf-8")
    assert needs_id(load(tmp_path / "programme").register, NOW)(key("own-batch"))
