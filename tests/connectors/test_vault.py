from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import hvac
import pytest
import requests

from connectors import vault
from connectors.vault import credentials, login, records, use
from connectors.vault.api import DELAYS_S, Api
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Record
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADMIN = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'
CANARY = "canary-4f1d9c"


@pytest.fixture(scope="session")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        _build(server)
        yield server


def _build(server: SandboxVault) -> None:
    approle, userpass = server.enable_auth("approle"), server.enable_auth("userpass")
    server.policy("admin", ADMIN)
    server.policy("orders", 'path "secret/data/orders/*" { capabilities = ["read"] }')
    server.approle("acme-backup", policies=["orders"])
    server.secret_id("acme-backup", metadata={"owner": "maria", "partner": "acme", "countersign": "self"})
    server.login("acme-backup", metadata={"owner": "maria", "partner": "beta"})
    server.approle("acme-short", secret_id_ttl="720h")
    server.secret_id("acme-short")
    frozen = server.approle("frozen", policies=["orders"])
    server.disable_entity(server.entity("frozen-app", metadata={"owner": "dev"}, policies=["admin"], alias=(approle, frozen)))
    server.approle("shadow-off")
    server.disable_entity(server.login("shadow-off").lookup_token()["data"]["entity_id"])
    server.user("bob", policies=["orders"])
    server.user("eve", policies=["admin"])
    server.entity("Eve", metadata={"owner": "maria"}, alias=(userpass, "eve"))
    nobody = server.entity("nobody")
    server.client().write_data("identity/group", data={"name": "admins", "policies": ["admin"], "member_entity_ids": [nobody]})
    server.kv("orders/db", {"password": CANARY}, custom_metadata={"owner": "maria", "note": CANARY})
    server.kv("orders/deep/er/key", {"password": CANARY})
    server.kv("top one?#%41", {"password": CANARY})
    server.pki()
    for name in ("live", "revoked"):
        serial = server.certificate(name, ttl="48h")
    server.client().write_data("pki/revoke", data={"serial_number": serial})
    server.enable_engine("kv", path="old", version=1)
    server.enable_engine("database")
    server.namespace("team")
    server.enable_auth("approle", path="robots", namespace="team")
    server.approle("builder", mount="robots", namespace="team")


@pytest.fixture
def root(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)


def _use(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch, hcl: str) -> str:
    token = bao.reader_token(hcl)
    monkeypatch.setenv("VAULT_TOKEN", token)
    return token


def _without(*permissions: str) -> str:
    """The least policy less some lines, by their paths."""
    blocks = vault.policy_hcl().split("}\n")
    return "}\n".join(block for block in blocks if not any(f'"{path}"' in block for path in permissions))


def _source(server: SandboxVault, **more: Any) -> VaultSource:
    return VaultSource.model_validate({"name": "prod", "provider": "vault", "address": server.address, **more})


def _read(source: VaultSource, scope: int = 0, *, sleep: Callable[[float], None] = lambda _seconds: None) -> list[Record]:
    request = ReadRequest(source=source, scope=vault.scopes(source)[scope], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request, sleep=sleep))


def _identity(found: list[Record], name: str) -> Identity:
    (one,) = [r for r in found if isinstance(r, Identity) and r.name == name]
    return one


def _names(found: list[Record], kind: str) -> list[str]:
    return sorted(r.name for r in found if isinstance(r, Identity) and r.kind == kind)


def _credentials(found: list[Record], kind: str) -> list[Credential]:
    return [r for r in found if isinstance(r, Credential) and r.kind == kind]


def _coverage(found: list[Record]) -> dict[str, Coverage]:
    rows = [r for r in found if isinstance(r, Coverage)]
    assert len(rows) == len({r.operation for r in rows})
    return {r.operation: r for r in rows}


@pytest.mark.usefixtures("root")
def test_a_secret_id_says_whether_it_ever_ends(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    (short,) = [c for c in _credentials(found, "secret-id") if c.identity_uid == "vault:prod:approle/acme-short"]
    endless = [c for c in _credentials(found, "secret-id") if c.identity_uid == "vault:prod:approle/acme-backup"]
    assert (short.never_expires, short.ttl_s) == (False, 720 * 3600)
    assert short.expires_at is not None
    assert short.created_at is not None
    assert short.expires_at - short.created_at == timedelta(hours=720)
    assert [(c.never_expires, c.expires_at, c.ttl_s, c.last_used_state) for c in endless] == [(True, None, None, "unknown")] * 2
    assert endless[0].unknown == {"last_used_at": use.ONLY_AUDIT}


@pytest.mark.usefixtures("root")
def test_a_role_carries_what_its_secret_ids_agree_on(bao: SandboxVault) -> None:
    role = _identity(_read(_source(bao)), "acme-backup")
    assert (role.uid, role.track, role.enabled, role.tags) == ("vault:prod:approle/acme-backup", "machine", True, {"owner": "maria"})
    assert role.owner_claim == "maria"
    assert role.unknown["tags"] == "its secret-ids disagree on partner"


@pytest.mark.usefixtures("root")
def test_the_entity_that_a_login_leaves_behind_is_the_role_itself(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    assert _names(found, "entity") == ["Eve", "frozen-app", "nobody"]
    (token,) = [c for c in _credentials(found, "token") if c.identity_uid == "vault:prod:approle/acme-backup"]
    assert (token.never_expires, token.ttl_s) == (False, 3600)
    assert _coverage(found)["LIST identity/entity/id"].dropped == {"the login of an AppRole, told as the AppRole": 2}


@pytest.mark.usefixtures("root")
def test_a_disabled_entity_disables_the_role_that_logs_in_as_it(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    assert {name: _identity(found, name).enabled for name in ("frozen-app", "frozen", "shadow-off", "acme-short")} == {
        "frozen-app": False,
        "frozen": False,
        "shadow-off": False,
        "acme-short": True,
    }


@pytest.mark.usefixtures("root")
def test_people_are_told_from_machines_by_how_they_log_in(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    assert _names(found, "user") == ["bob"]
    tracks = {name: _identity(found, name).track for name in ("bob", "Eve", "frozen-app", "nobody")}
    assert tracks == {"bob": "human", "Eve": "human", "frozen-app": "machine", "nobody": None}
    assert _identity(found, "Eve").mfa is None
    assert _identity(found, "Eve").unknown["mfa"] == records.NO_MFA
    assert _identity(found, "nobody").unknown["track"] == "the entity has no alias, so nothing logs in as it"


@pytest.mark.usefixtures("root")
def test_grants_follow_the_identity_wherever_the_policy_hangs(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    eve, nobody, frozen = (_identity(found, name).uid for name in ("Eve", "nobody", "frozen"))
    grants = {(g.identity_uid, g.role, g.power, g.via) for g in found if isinstance(g, Grant)}
    assert {
        (eve, "admin", "administrator", "user:userpass/eve"),
        (nobody, "admin", "administrator", "group:admins"),
        (frozen, "orders", "limited", "direct"),
    } <= grants
    (root_token,) = [i for i in found if isinstance(i, Identity) and i.tags == {"countersign": "self"}]
    assert (root_token.uid, "root", "administrator", "direct") in grants
    (credential,) = [c for c in _credentials(found, "token") if c.uid == root_token.uid]
    assert (credential.identity_uid, credential.never_expires, credential.ttl_s) == (root_token.uid, True, None)


@pytest.mark.usefixtures("root")
def test_a_rotation_is_a_new_version_and_not_a_new_label(bao: SandboxVault) -> None:
    bao.kv("rotated", {"p": CANARY})
    before = {c.uid: c.created_at for c in _credentials(_read(_source(bao)), "secret")}
    bao.client().secrets.kv.v2.update_metadata("rotated", custom_metadata={"owner": "dev"})
    labelled = {c.uid: c.created_at for c in _credentials(_read(_source(bao)), "secret")}
    assert before == labelled
    bao.kv("rotated", {"p": CANARY})
    bao.client().secrets.kv.v2.delete_latest_version_of_secret("orders/deep/er/key")
    after = {c.uid.removeprefix("vault:prod:secret/secret/"): c for c in _credentials(_read(_source(bao)), "secret")}
    assert after["rotated"].created_at != before["vault:prod:secret/secret/rotated"]
    assert {path: c.enabled for path, c in after.items()} == {
        "orders/db": True,
        "orders/deep/er/key": False,
        "top one?#%41": True,
        "rotated": True,
    }


@pytest.mark.usefixtures("root")
def test_certificates_say_when_they_end_and_whether_they_were_revoked(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    names = {i["serial"]: i["common_name"] for o in found if isinstance(o, Observation) and "certs" in o.operation for i in o.items}
    told = {names[c.uid.split(":", 3)[3]]: c for c in _credentials(found, "certificate")}
    assert {name: c.enabled for name, c in told.items()} == {"Sandbox Root": True, "live": True, "revoked": False}
    assert told["live"].expires_at is not None
    assert told["live"].expires_at - datetime.now(UTC) < timedelta(hours=48)


@pytest.mark.usefixtures("root")
def test_what_is_not_read_is_counted(bao: SandboxVault) -> None:
    coverage = _coverage(_read(_source(bao)))
    assert coverage["GET sys/mounts"].dropped == {"kv version 1 keeps no metadata": 1}
    assert (coverage["LIST database/static-roles"].state, coverage["LIST database/static-roles"].rows) == ("complete", 0)
    assert {row.state for row in coverage.values()} == {"complete"}


@pytest.mark.usefixtures("root")
def test_a_namespace_is_a_scope_of_its_own(bao: SandboxVault) -> None:
    source = _source(bao, namespaces=("team", "gone"))
    assert [scope.name for scope in vault.scopes(source)] == ["prod", "prod/team", "prod/gone"]
    found = _read(source, 1)
    assert [i.uid for i in found if isinstance(i, Identity)] == ["vault:prod/team:approle/robots/builder"]
    with pytest.raises(ReadError, match="no such namespace") as error:
        _read(source, 2)
    assert not isinstance(error.value, ScopeDeniedError)


def test_the_least_policy_sees_everything_and_no_secret(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    source = _source(bao, namespaces=("team",))

    def told(scope: int) -> set[tuple[str, str]]:
        found = _read(source, scope)
        assert {c.state for c in found if isinstance(c, Coverage)} == {"complete"}
        return {(type(r).__name__, r.uid) for r in found if isinstance(r, Identity | Credential)}

    everything = [told(0), told(1)]
    token = _use(bao, monkeypatch, vault.policy_hcl(namespaces=("team",)))
    assert [everything[0] <= told(0), everything[1] == told(1)] == [True, True]
    reader = bao.client(token=token)
    for path in ("secret/data/orders/db", "old/orders", "auth/approle/role/acme-backup/secret-id"):
        with pytest.raises(hvac.exceptions.Forbidden):
            reader.write_data(path, data={})
    with pytest.raises(hvac.exceptions.Forbidden):
        reader.read("secret/data/orders/db")
    with pytest.raises(hvac.exceptions.Forbidden):
        reader.write_data("auth/token/revoke-accessor", data={"accessor": "x"})


@pytest.mark.usefixtures("root")
def test_no_secret_is_in_any_record(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    said = "".join(map(repr, found))
    assert CANARY not in said
    assert bao.root_token not in said
    assert max(len(o.items) for o in found if isinstance(o, Observation)) <= 500
    assert {o.caller for o in found if isinstance(o, Observation)} == {"token"}


def test_one_denied_listing_does_not_stop_the_others(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(bao, monkeypatch, _without("auth/token/accessors/"))
    found = _read(_source(bao))
    row = _coverage(found)["LIST auth/token/accessors"]
    assert (row.state, row.covers, row.rows, row.error) == (
        "denied",
        ("token",),
        0,
        "403 1 error occurred: * permission denied",
    )
    assert (_credentials(found, "token"), len(_credentials(found, "secret-id"))) == ([], 4)
    assert _names(found, "approle") == ["acme-backup", "acme-short", "frozen", "shadow-off"]


def test_what_may_not_be_looked_up_is_told_as_unknown(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = "auth/+/role/+/secret-id-accessor/lookup"
    _use(bao, monkeypatch, _without(lookup, "identity/entity/id/+", "sys/policies/acl/+"))
    found = _read(_source(bao))
    assert {_identity(found, name).enabled for name in ("acme-backup", "frozen", "bob")} == {None}
    assert "entity could not be read" in _identity(found, "frozen").unknown["enabled"]
    assert [(c.created_at, c.expires_at, c.never_expires) for c in _credentials(found, "secret-id")] == [(None, None, False)] * 4
    assert {"created_at", "expires_at", "ttl_s", "last_used_at"} == set(_credentials(found, "secret-id")[0].unknown)
    assert {g.power for g in found if isinstance(g, Grant) and g.role == "orders"} == {None}
    # Tokens of entities that could not be read still have an identity.
    assert {c.identity_uid for c in _credentials(found, "token")} <= {i.uid for i in found if isinstance(i, Identity)}


def test_without_the_shortcuts_of_openbao_the_same_is_read_one_by_one(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(hcl: str) -> tuple[set[str], dict[str, Any]]:
        _use(bao, monkeypatch, hcl)
        found = _read(_source(bao))
        return set(_coverage(found)), {
            c.uid: (c.created_at, c.expires_at, c.enabled) for kind in ("secret", "certificate") for c in _credentials(found, kind)
        }

    operations, quick = told(vault.policy_hcl())
    others, slow = told(_without("+/detailed-metadata/*", "+/certs/detailed/", "+/certs/revoked/"))
    assert quick == slow
    assert operations - others == {"SCAN secret/detailed-metadata", "LIST pki/certs/detailed", "LIST pki/certs/revoked"}
    assert others - operations == {"LIST secret/metadata/*", "GET secret/metadata/*", "LIST pki/certs", "GET pki/cert/*"}


def test_a_scope_that_allows_nothing_is_denied_as_a_whole(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(bao, monkeypatch, 'path "auth/token/lookup-self" { capabilities = ["read"] }')
    with pytest.raises(ScopeDeniedError, match="every operation was denied"):
        _read(_source(bao))
    monkeypatch.setenv("VAULT_TOKEN", "no-such-token")
    with pytest.raises(ScopeDeniedError):
        _read(_source(bao))
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(ScopeDeniedError, match="set VAULT_TOKEN"):
        _read(_source(bao))


def test_the_session_of_the_reading_itself_is_not_part_of_the_estate(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    root = bao.client()
    bao.policy("reader", vault.policy_hcl())
    monkeypatch.setenv("VAULT_ROLE_ID", bao.approle("countersign", policies=["reader"]))
    issued = root.write_data("auth/approle/role/countersign/secret-id", data={})["data"]["secret_id"]
    monkeypatch.setenv("VAULT_SECRET_ID", issued)
    source = _source(bao, auth={"method": "approle"})
    found = _read(source) + _read(source)
    assert _identity(found[: len(found) // 2], "countersign").tags == {"countersign": "self"}
    assert [c for c in _credentials(found, "token") if c.identity_uid == "vault:prod:approle/countersign"] == []
    assert [r.dropped for r in found if isinstance(r, Coverage) and r.operation == "LIST auth/token/accessors"] == [{"own session": 1}] * 2
    assert issued not in "".join(map(repr, found))
    login.sign_in(source, Api(source.address, token="", namespace=None))
    root.write_data("auth/token/revoke-accessor", data={"accessor": _own_accessor(bao, source)})
    assert _names(_read(source), "approle") != []  # logs in afresh
    monkeypatch.setenv("VAULT_SECRET_ID", "wrong")
    with pytest.raises(ScopeDeniedError, match="invalid role or secret"):
        _read(_source(bao, name="other", auth={"method": "approle"}))
    root.delete("auth/approle/role/countersign")


def _own_accessor(bao: SandboxVault, source: VaultSource) -> str:
    token = login.sign_in(source, Api(source.address, token="", namespace=None)).token
    return str(bao.client(token=token).lookup_token()["data"]["accessor"])


@pytest.mark.usefixtures("root")
def test_a_busy_server_is_asked_again_later(bao: SandboxVault) -> None:
    client = bao.client()

    def lift(seconds: float) -> None:
        waits.append(seconds)
        client.delete("sys/quotas/rate-limit/tight")

    waits: list[float] = []
    tight = {"path": "auth/approle/", "rate": 1, "interval": "10m"}
    client.write_data("sys/quotas/rate-limit/tight", data=tight)
    found = _read(_source(bao), sleep=lift)
    assert set(waits) == {0.25}
    assert _coverage(found)["LIST auth/approle/role"].state == "complete"
    assert len(_credentials(found, "secret-id")) == 4


@pytest.mark.usefixtures("root")
def test_patience_has_an_end(bao: SandboxVault) -> None:
    client = bao.client()
    client.write_data("sys/quotas/rate-limit/tight", data={"path": "auth/userpass/", "rate": 1, "interval": "10m"})
    waits: list[float] = []
    found = _read(_source(bao), sleep=waits.append)
    client.delete("sys/quotas/rate-limit/tight")
    row = _coverage(found)["GET auth/userpass/users/*"]
    assert (row.state, row.rows, str(row.error).startswith("429")) == ("failed", 0, True)
    assert sorted(waits) == sorted(DELAYS_S * 2)
    assert _coverage(found)["LIST auth/token/accessors"].state == "complete"


@pytest.mark.usefixtures("root")
def test_a_server_that_answers_nothing_but_busy_may_be_tried_again(bao: SandboxVault) -> None:
    client = bao.client()
    client.write_data("sys/quotas/rate-limit/tight", data={"path": "auth/token/", "rate": 1, "interval": "10m"})
    client.lookup_token()
    with pytest.raises(ReadError, match="too busy: 429") as error:
        _read(_source(bao))
    client.delete("sys/quotas/rate-limit/tight")
    assert not isinstance(error.value, ScopeDeniedError)


def test_nobody_there_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "x")
    source = VaultSource.model_validate({"name": "prod", "provider": "vault", "address": "http://127.0.0.1:9"})
    with pytest.raises(ReadError, match="did not answer") as error:
        _read(source)
    assert not isinstance(error.value, ScopeDeniedError)
    assert [p.ok for p in vault.probe(source)] == [False]


def test_the_probe_names_what_is_missing(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(bao, monkeypatch, _without("auth/token/accessors/"))
    tried = {probe.operation: probe.ok for probe in vault.probe(_source(bao))}
    assert [operation for operation, ok in tried.items() if not ok] == ["LIST auth/token/accessors"]
    assert {
        "auth/token/lookup-self",
        "sys/auth",
        "sys/mounts",
        "LIST identity/entity/id",
        "LIST auth/approle/role",
        "LIST auth/userpass/users",
        "LIST database/static-roles",
        "LIST pki/certs",
        "LIST secret/metadata",
    } < tried.keys()


@pytest.mark.usefixtures("root")
def test_every_kind_says_which_call_its_fields_come_from(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    told = {r.kind for r in found if isinstance(r, Identity | Credential)}
    assert told == {r.kind for r in found if isinstance(r, Provenance) and r.field == "*"}


def test_permissions_are_sorted_and_all_in_the_policy() -> None:
    assert tuple(sorted(vault.PERMISSIONS)) == vault.PERMISSIONS
    hcl = vault.policy_hcl(namespaces=("team",))
    assert all(f'path "{line.split(" ", 1)[1]}"' in hcl and f'path "team/{line.split(" ", 1)[1]}"' in hcl for line in vault.PERMISSIONS)
    assert "scan" not in vault.policy_hcl(scan=False)
    page = Path(__file__).parents[2] / "docs" / "connectors" / "vault.md"
    assert f"```hcl\n{vault.policy_hcl()}```" in page.read_text(encoding="utf-8")


def test_the_server_ends_with_its_block_even_after_an_error() -> None:
    server, folders = SandboxVault(), []

    def fail() -> None:
        with server:
            folders.append(server.audit_log.parent)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.address}/v1/sys/health", timeout=1)
    assert [folder.exists() for folder in folders] == [False]


def test_a_static_database_account_is_as_old_as_its_last_rotation() -> None:
    visit: Any = SimpleNamespace(scope="prod", uid=lambda kind, native: f"vault:prod:{kind}/{native}")
    answer = {"last_vault_rotation": "2026-05-05T10:00:00.123456789Z", "rotation_period": 86400, "username": "app"}
    told = credentials.database_role(visit, records.Mount("db/", "database", "database_1"), "app", answer, datetime.now(UTC))
    assert (told.uid, told.created_at, told.ttl_s) == (
        "vault:prod:database-role/database_1:app",
        datetime(2026, 5, 5, 10, 0, 0, 123456, UTC),
        86400,
    )
