from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors import vault
from countersign.identity import Coverage, Credential, Identity, Record
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "ledger"
ROTATION_S = 7 * 24 * 3600


@pytest.fixture
def bao(postgresql: Path) -> Iterator[SandboxVault]:
    """A server that looks after the password of one account of a database."""
    with _connected(postgresql) as database:
        database.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'first'")
    with SandboxVault() as server:
        server.enable_engine("database")
        connection = {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@/postgres?host={postgresql}",
            "username": "postgres",
            "password": "unused",
            "allowed_roles": [ROLE],
        }
        server.client().write_data("database/config/main", data=connection)
        role = {"db_name": "main", "username": ROLE, "rotation_period": ROTATION_S}
        server.client().write_data(f"database/static-roles/{ROLE}", data=role)
        yield server
    with _connected(postgresql) as database:
        database.execute(f"DROP ROLE {ROLE}")


def _connected(postgresql: Path) -> psycopg.Connection:
    return psycopg.connect(host=str(postgresql), user="postgres", dbname="postgres", autocommit=True)


def _password_hash(postgresql: Path) -> str:
    with _connected(postgresql) as database:
        row = database.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (ROLE,)).fetchone()
    assert row is not None
    return str(row[0])


def _read(bao: SandboxVault) -> list[Record]:
    source = VaultSource.model_validate({"name": "prod", "provider": "vault", "address": bao.address})
    request = ReadRequest(source=source, scope=vault.scopes(source)[0], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request))


def _account(found: list[Record]) -> Credential:
    (one,) = [r for r in found if isinstance(r, Credential) and r.kind == "database-role"]
    return one


def _requested(bao: SandboxVault) -> set[tuple[str, str]]:
    lines = [json.loads(line) for line in bao.audit_log.read_text(encoding="utf-8").splitlines()]
    return {(line["request"]["operation"], line["request"]["path"]) for line in lines if line["type"] == "request"}


def test_a_static_account_is_as_old_as_its_password_in_the_database(
    bao: SandboxVault, postgresql: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(vault.policy_hcl()))
    before, first = _password_hash(postgresql), _read(bao)
    (mount,) = [r for r in first if isinstance(r, Identity) and r.kind == "mount" and r.name == "database/"]
    told = bao.client().read(f"database/static-roles/{ROLE}")["data"]
    account = _account(first)
    assert account.uid == f"vault:prod:database-role/{mount.native_id}:{ROLE}"
    assert (account.identity_uid, account.enabled, account.ttl_s) == (mount.uid, True, ROTATION_S)
    assert account.created_at == datetime.fromisoformat(told["last_vault_rotation"])
    assert account.last_used_state == "unknown"
    (row,) = [r for r in first if isinstance(r, Coverage) and r.operation == "LIST database/static-roles"]
    assert (row.state, row.rows, row.covers) == ("complete", 1, ("database-role",))

    bao.client().write_data(f"database/rotate-role/{ROLE}")
    rotated = _account(_read(bao))
    assert rotated.uid == account.uid
    assert rotated.created_at is not None
    assert account.created_at is not None
    assert rotated.created_at > account.created_at
    assert _password_hash(postgresql) != before


def test_the_password_is_never_asked_for_and_could_not_be(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = bao.reader_token(vault.policy_hcl())
    monkeypatch.setenv("VAULT_TOKEN", reader)
    found = _read(bao)
    requested = _requested(bao)
    assert ("read", f"database/static-roles/{ROLE}") in requested
    assert [path for _, path in requested if path.startswith(("database/static-creds", "database/creds"))] == []
    password = bao.client().read(f"database/static-creds/{ROLE}")["data"]["password"]
    assert password not in "".join(map(repr, found))
    assert ("read", f"database/static-creds/{ROLE}") in _requested(bao)  # the log would have shown it
