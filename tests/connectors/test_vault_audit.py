from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import vault
from connectors.vault import audit_log
from connectors.vault.audit import Device, device_of
from connectors.vault.audit_log import Maker, Sightings, files_of, stream
from connectors.vault.use import ONLY_AUDIT
from countersign.errors import ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity, Record
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "canary-90fe"


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        for kind in ("approle", "userpass"):
            server.enable_auth(kind)
        server.policy("orders", 'path "secret/data/orders" { capabilities = ["read"] }')
        for role in ("worker", "idle"):
            server.approle(role, policies=["orders"])
            server.secret_id(role)
        server.login("worker")
        server.user("bob")
        server.kv("orders", {"password": CANARY})
        server.namespace("team")
        server.enable_auth("approle", path="robots", namespace="team")
        server.approle("builder", mount="robots", namespace="team")
        server.login("builder", mount="robots", namespace="team")
        yield server


@pytest.fixture
def root(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)


def _source(server: SandboxVault, **more: Any) -> VaultSource:
    return VaultSource.model_validate({"name": "prod", "provider": "vault", "address": server.address, **more})


def _read(source: VaultSource, scope: int = 0) -> list[Record]:
    request = ReadRequest(source=source, scope=vault.scopes(source)[scope], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request, sleep=lambda _seconds: None))


def _coverage(found: list[Record]) -> dict[str, Coverage]:
    return {r.operation: r for r in found if isinstance(r, Coverage)}


def _identities(found: list[Record], kind: str) -> dict[str, Identity]:
    return {r.name: r for r in found if isinstance(r, Identity) and r.kind == kind}


def _credentials(found: list[Record], kind: str) -> list[Credential]:
    return [r for r in found if isinstance(r, Credential) and r.kind == kind]


@pytest.mark.usefixtures("root")
def test_the_audit_log_says_who_used_what(bao: SandboxVault) -> None:
    before = datetime.now(UTC)
    client = bao.login("worker")
    client.lookup_token()
    unused = str(bao.client().auth.token.create(policies=["issue"], display_name="unused")["auth"]["accessor"])
    found = _read(_source(bao, audit_log=str(bao.audit_log)))
    log = _coverage(found)["READ audit log"]
    assert (log.state, log.error, log.rows > 50) == ("complete", None, True)

    worker, idle = (_identities(found, "approle")[name] for name in ("worker", "idle"))
    assert (worker.last_active_state, worker.last_active_at is not None and worker.last_active_at > before) == ("known", True)
    assert worker.use_seen_to is not None
    assert (idle.last_active_state, idle.unknown["last_active_at"].startswith("not seen in the audit log since 20")) == ("unknown", True)
    by_role: dict[str, list[str]] = {}
    for one in _credentials(found, "secret-id"):
        by_role.setdefault(one.identity_uid, []).append(one.last_used_state)
    assert {role: sorted(states) for role, states in by_role.items()} == {
        "vault:prod:approle/worker": ["known", "known", "never"],
        "vault:prod:approle/idle": ["never"],
    }
    tokens = {c.uid: c for c in _credentials(found, "token")}
    never = tokens[f"vault:prod:token/{unused}"]
    assert (never.last_used_state, never.last_used_at, "last_used_at" in never.unknown, never.use_seen_to) == (
        "never",
        None,
        False,
        _log_end(found),
    )
    used = [c for c in tokens.values() if c.identity_uid == worker.uid and c.last_used_at and c.last_used_at > before]
    assert len(used) == 1
    assert client.token not in "".join(map(repr, found))
    assert CANARY not in "".join(map(repr, found))


def _log_end(found: list[Record]) -> datetime | None:
    return max(c.use_seen_to for c in found if isinstance(c, Credential) and c.use_seen_to is not None)


@pytest.mark.usefixtures("root")
def test_without_the_log_use_is_unknown(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    assert {c.unknown["last_used_at"] for kind in ("token", "secret-id") for c in _credentials(found, kind)} == {ONLY_AUDIT}
    assert "READ audit log" not in _coverage(found)


def test_a_child_namespace_is_in_the_same_log(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(vault.policy_hcl(namespaces=("team",))))
    found = _read(_source(bao, audit_log=str(bao.audit_log), namespaces=("team",)), scope=1)
    assert {operation: row.error for operation, row in _coverage(found).items() if row.state != "complete"} == {}
    assert _identities(found, "approle")["builder"].last_active_state == "known"
    assert [one.last_used_state for one in _credentials(found, "secret-id")] == ["known"]
    assert [one.last_used_state for one in _credentials(found, "token")] == ["never"]


@pytest.mark.parametrize("more", [{"leases": False}, {"audit_log": "/none"}, {"audit_log": "log"}])
def test_where_nothing_is_allowed_the_log_alone_makes_no_inventory(
    bao: SandboxVault, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token('path "auth/token/lookup-self" { capabilities = ["read"] }', name="nobody"))
    source = _source(bao, **{name: str(bao.audit_log) if value == "log" else value for name, value in more.items()})
    with pytest.raises(ScopeDeniedError, match="every operation was denied"):
        _read(source)


def _rotated(log: Path, folder: Path) -> tuple[Path, list[bytes]]:
    """The log as a rotation leaves it: half in .2.gz, a quarter in .1, the rest in the log, whose last line is torn."""
    lines = log.read_bytes().splitlines(keepends=True)
    half, most = len(lines) // 2, len(lines) * 3 // 4
    path = folder / "audit.log"
    (folder / "audit.log.2.gz").write_bytes(gzip.compress(b"".join(lines[:half])))
    (folder / "audit.log.1").write_bytes(b"".join(lines[half:most]))
    path.write_bytes(b"".join(lines[most:]) + lines[-1][:40])
    return path, lines


def _uses(found: list[Record]) -> dict[str, tuple[datetime | None, str]]:
    return {c.uid: (c.last_used_at, c.last_used_state) for kind in ("token", "secret-id") for c in _credentials(found, kind)}


@pytest.mark.usefixtures("root")
def test_rotated_logs_are_read_as_one_and_a_gap_moves_the_beginning(bao: SandboxVault, tmp_path: Path) -> None:
    path, lines = _rotated(bao.audit_log, tmp_path)
    whole = tmp_path / "whole" / "audit.log"
    whole.parent.mkdir()
    whole.write_bytes(b"".join(lines))
    (tmp_path / "audit.log.md").write_text("no log", encoding="utf-8")
    expected, rotated = _read(_source(bao, audit_log=str(whole))), _read(_source(bao, audit_log=str(path)))
    assert _uses(rotated) == _uses(expected)
    assert _coverage(rotated)["READ audit log"].pages == 3
    assert "never" in {state for _, state in _uses(rotated).values()}

    # Without .1 what is older than the log is unknown again, unless it is seen.
    (tmp_path / "audit.log.1").rename(tmp_path / "elsewhere")
    holed = _uses(_read(_source(bao, audit_log=str(path))))
    changed = {(state, holed[uid][1]) for uid, (_, state) in _uses(rotated).items() if state != holed[uid][1]}
    assert changed == {("never", "unknown")}
    (tmp_path / "audit.log.1").write_bytes(b"\x00 no JSON\n" * 3)
    found = _read(_source(bao, audit_log=str(path)))
    assert _coverage(found)["READ audit log"].dropped == {"a line that is no entry": 3}
    assert "never" not in {state for _, state in _uses(found).values()}
    (tmp_path / "audit.log.2.gz").write_bytes((tmp_path / "audit.log.2.gz").read_bytes()[:-20])
    row = _coverage(_read(_source(bao, audit_log=str(path))))["READ audit log"]
    assert (row.state, row.error is not None and row.error.startswith("audit.log.2.gz: ")) == ("partial", True)


@pytest.mark.usefixtures("root")
def test_a_log_that_is_not_this_servers_or_not_there_says_nothing(bao: SandboxVault, tmp_path: Path) -> None:
    foreign = tmp_path / "audit.log"
    text = bao.audit_log.read_text(encoding="utf-8").replace("hmac-sha256:", "hmac-sha256:0")
    foreign.write_text(text, encoding="utf-8")
    for path, state, said in (
        (foreign, "partial", "it names no accessor of this server"),
        (tmp_path / "none.log", "failed", "none.log: "),
        (tmp_path, "failed", f"{tmp_path.name}: "),
    ):
        found = _read(_source(bao, audit_log=str(path)))
        row = _coverage(found)["READ audit log"]
        assert (row.state, row.error is not None and row.error.startswith(said), str(tmp_path) in str(row.error)) == (state, True, False)
        assert {state for _, state in _uses(found).values()} == {"unknown"}
        assert {c.unknown["last_used_at"] for c in _credentials(found, "token")} == {f"the audit log does not say: {row.error}"}


@pytest.mark.usefixtures("root")
def test_without_the_right_to_hash_use_is_unknown_and_that_is_said(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    hcl = "}\n".join(block for block in vault.policy_hcl().split("}\n") if "audit" not in block)
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(hcl, name="no-hash"))
    found = _read(_source(bao, audit_log=str(bao.audit_log)))
    states = {operation: row.state for operation, row in _coverage(found).items() if "audit" in operation}
    assert states == {"GET sys/audit": "denied", "POST sys/audit-hash/file": "denied", "READ audit log": "partial"}
    assert {state for _, state in _uses(found).values()} == {"unknown"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"file/": {"type": "file", "options": {"file_path": "/var/log/audit.log"}}}, Device("file")),
        (
            {
                "a/": {"type": "file", "options": {"file_path": "/logs/audit.log"}},
                "b/": {"type": "file", "options": {"file_path": "/var/log/audit.log", "hmac_accessor": "false"}},
            },
            Device("b", plain=True),
        ),
        (
            {"shipped/": {"type": "file", "options": {"file_path": "stdout"}}, "s/": {"type": "syslog", "options": {}}, "odd/": 3},
            Device("shipped"),
        ),
        ({"file/": {"type": "file", "options": {"file_path": "/x", "log_raw": "true"}}}, "its device writes secrets as they are"),
        ({"file/": {"type": "file", "options": {"file_path": "/x", "format": "jsonx"}}}, "its device writes jsonx, not json"),
        ({"a/": {"type": "file", "options": {}}, "b/": {"type": "file", "options": {}}}, "the server has 2 audit devices of type file"),
        ({}, "the server has 0 audit devices"),
        (
            {"file/": {"type": "file", "options": {"filter": "mount_type == kv", "fallback": "false"}}},
            Device("file", doubt="its device does not write everything (filter)"),
        ),
    ],
)
def test_the_device_that_writes_the_log_is_found(table: dict[str, Any], expected: Device | str) -> None:
    found = device_of(table, Path("/var/log/audit.log"))
    assert found.startswith(expected) if isinstance(found, str) and isinstance(expected, str) else found == expected


def test_names_of_rotated_logs_are_told_from_others(tmp_path: Path) -> None:
    names = ("audit.log", "audit.log.1", "audit.log.2.gz", "audit.log.4", "audit.log-20260101.gz", "audit.log-20260201", "audit.log.3.xz")
    for name in (*names, "audit.log.bak", "audit.logs", "audit.log.1.", "other.log", "audit.log.lock"):
        (tmp_path / name).touch()
    found = [(file.path.name, file.joined, file.readable) for file in files_of(tmp_path / "audit.log")]
    assert found == [
        ("audit.log", True, True),
        ("audit.log.1", True, True),
        ("audit.log.2.gz", True, True),
        ("audit.log.3.xz", False, False),
        ("audit.log.4", False, True),
        ("audit.log-20260201", False, True),
        ("audit.log-20260101.gz", False, True),
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["2026-01-01T00:00:00Z", "hash", "approle"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["time", "request", "response", "auth", "data", "secret", "metadata", "accessor", "secret_id", "lease_id", "mount_type"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["time", "type", "auth", "request", "response"]), _JSON))
def test_any_entry_can_be_taken(entry: dict[str, Any]) -> None:
    sightings = Sightings({"hash": "a"}, {"hash": "s"}, frozenset({"hash"}))
    assert sightings.take(entry) == (sightings.entries == 1) == (sightings.broken == 0)


@given(st.lists(st.integers(min_value=0, max_value=10_000), min_size=1, max_size=20))
def test_the_newest_sighting_counts_in_whatever_order_entries_come(seconds: list[int]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    sightings = Sightings({"hash": "a"}, {}, frozenset())
    for second in seconds:
        at = (start + timedelta(seconds=second)).isoformat()
        sightings.take({"time": at, "type": "request", "auth": {"accessor": "hash", "entity_id": "e"}, "request": {}})
    newest = start + timedelta(seconds=max(seconds))
    assert (sightings.token_used, sightings.entity_used, sightings.ends) == ({"a": newest}, {"e": newest}, newest)


def test_a_login_names_its_role_by_the_key_that_the_method_owns() -> None:
    sightings = Sightings({"new": "t"}, {}, frozenset())
    made = {"accessor": "new", "metadata": {"role": "ci", "role_name": "forged"}}
    request = {"mount_type": "jwt", "mount_accessor": "auth_jwt_1"}
    sightings.take({"time": "2026-01-01T00:00:00Z", "auth": made, "request": request, "response": {"auth": made}})
    assert (list(sightings.logins), sightings.token_used) == ([("auth_jwt_1", "ci")], {})


def _entry(caller: str, new: str, *, path: str = "auth/token/create", entity: str = "", **made: Any) -> dict[str, Any]:
    auth = {"accessor": caller, "entity_id": entity}
    answer = {"auth": {"accessor": new, **made}}
    return {"time": "2026-01-01T00:00:00Z", "auth": auth, "request": {"path": path, "mount_type": "token"}, "response": answer}


@given(st.lists(st.sampled_from(["gone", "listed"]), min_size=1, max_size=12), st.sampled_from(["", "-orphan", "/role"]))
def test_a_token_is_whoevers_made_it_to_any_depth(links: list[str], end: str) -> None:
    """Each makes the next; of those that are gone, whoever made them counts."""
    hashed = [f"h{number}" for number in range(len(links))]
    sightings = Sightings({one: f"t{one}" for one, link in zip(hashed, links, strict=True) if link == "listed"}, {}, frozenset())
    for caller, new in zip(["login", *hashed], hashed, strict=False):
        sightings.take(_entry(caller, new, path=f"auth/token/create{end}", entity="e" if caller == "login" else ""))
    expected, nearest = {}, Maker(entity="e")
    for one, link in zip(hashed, links, strict=True):
        if link == "listed":
            expected[f"t{one}"], nearest = nearest, Maker(token=f"t{one}")
    assert sightings.makers == expected


def test_only_making_a_token_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sightings = Sightings({"new": "t", "in": "i"}, {}, frozenset())
    for path in ("auth/token/renew", "auth/token/lookup-accessor", "sys/wrapping/unwrap", "secret/data/auth/token/creates"):
        sightings.take(_entry("other", "new", path=path, entity="e"))
    sightings.take(_entry("nobody", "new"))
    sightings.take(_entry("other", "new", entity="e") | {"request": {"path": "kv/auth/token/create", "mount_type": "kv"}})
    sightings.take(_entry("other", "new", entity="e", entity_id="of another"))
    assert sightings.makers == {}
    login = {"mount_type": "approle", "mount_accessor": "auth_approle_1", "path": "auth/approle/login"}
    made = {"accessor": "in", "metadata": {"role_name": "acme"}}
    sightings.take({"time": "2026-01-01T00:00:00Z", "auth": made, "request": login, "response": {"auth": made}})
    assert sightings.makers == {"i": Maker(login=("auth_approle_1", "acme"))}
    sightings.take(_entry("in", "new", path="team/auth/token/create"))
    sightings.take(_entry("other", "new", entity="later"))
    assert sightings.makers["t"] == Maker(token="i")

    # Of those that are gone only the newest are remembered.
    monkeypatch.setattr(audit_log, "MOST_GONE", 2)
    crowded = Sightings({"x": "tx", "y": "ty"}, {}, frozenset())
    for new in ("first", "second", "third"):
        crowded.take(_entry("login", new, entity="e"))
    for caller, new in (("first", "x"), ("third", "y")):
        crowded.take(_entry(caller, new))
    assert crowded.makers == {"ty": Maker(entity="e")}


def test_a_prefix_and_a_torn_end_are_no_broken_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b'@cee: {"time": "2026-01-02T00:00:00Z"}\n\n{"time": "2026-01-01T00:00:00Z"}\n{"ti')
    sightings = Sightings({}, {}, frozenset())
    assert stream(files_of(log)[0], sightings) == (datetime(2026, 1, 2, tzinfo=UTC), 2)
    assert (sightings.broken, sightings.ends) == (0, datetime(2026, 1, 2, tzinfo=UTC))
