from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from connectors import vault
from countersign.identity import uid
from countersign.programme import VaultSource
from countersign.revocation import Change, Holding
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.revocation import State

STATIC = "acme"
"""The account of the database whose password the server looks after."""


@pytest.fixture
def bao(postgresql: Path) -> Iterator[SandboxVault]:
    with _connected(postgresql) as database:
        database.execute(f"CREATE ROLE {STATIC} LOGIN PASSWORD 'first'")
    with SandboxVault() as server:
        server.enable_engine("database")
        connection = {
            "plugin_name": "postgresql-database-plugin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@/postgres?host={postgresql}",
            "username": "postgres",
            "password": "unused",
            "allowed_roles": [STATIC, "dynamic"],
        }
        root = server.client()
        root.write_data("database/config/main", data=connection)
        root.write_data(f"database/static-roles/{STATIC}", data={"db_name": "main", "username": STATIC, "rotation_period": 604_800})
        create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        root.write_data("database/roles/dynamic", data={"db_name": "main", "creation_statements": create, "default_ttl": "1h"})
        yield server
    with _connected(postgresql) as database:
        database.execute(f"DROP ROLE {STATIC}")


def _connected(postgresql: Path) -> psycopg.Connection:
    return psycopg.connect(host=str(postgresql), user="postgres", dbname="postgres", autocommit=True)


def _accounts(postgresql: Path) -> dict[str, str]:
    with _connected(postgresql) as database:
        return dict(database.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND rolname <> 'postgres'").fetchall())


def _holding(kind: str, native: str) -> Holding:
    return Holding(
        uid=uid("vault", "prod", kind, native),
        what="credential",
        kind=kind,
        provider="vault",
        source="prod",
        scope="prod",
        identity_uid="vault:prod:mount/database",
        name=native,
        whole=True,
        how="registered",
    )


def test_a_static_password_is_rotated_and_a_leased_account_dropped_in_the_database(
    bao: SandboxVault, postgresql: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bao.identities(vault.policy_hcl(), vault.revoke_hcl()).items():
        monkeypatch.setenv(name, value)
    accessor = bao.client().sys.list_mounted_secrets_engines()["data"]["database/"]["accessor"]
    theirs, others = (bao.client().read("database/creds/dynamic") for _ in range(2))
    first, since = _accounts(postgresql), datetime.now(UTC)
    held = [_holding("database-role", f"{accessor}:{STATIC}"), _holding("lease", theirs["lease_id"])]
    source = VaultSource.model_validate({"name": "prod", "provider": "vault", "address": bao.address})
    with vault.hand(source, vault.scopes(source)[0], run="r1", now=lambda: datetime.now(UTC)) as hand:
        changes = [one for one in hand.changes(held, "disable", since) if isinstance(one, Change)]
        assert [(one.action, one.reversible) for one in changes] == [("rotate-static-role", False), ("revoke-lease", False)]
        for change in changes:
            assert hand.look(change) == change.before
            hand.write(change)
            assert hand.look(change) == change.after
        assert list(hand.changes(held, "disable", since)) == []
        rotated: State = hand.look(changes[0])
    assert rotated == {"exists": True, "username": STATIC, "db_name": "main", "rotated_since_plan": True}
    now = _accounts(postgresql)
    assert now[STATIC] != first[STATIC]
    assert {name: password for name, password in first.items() if name != STATIC} == {
        **{name: password for name, password in now.items() if name != STATIC},
        theirs["data"]["username"]: first[theirs["data"]["username"]],
    }
    assert others["data"]["username"] in now
