from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import hvac
import pytest
import requests

from connectors import vault
from connectors.vault import api, bounds, leases
from connectors.vault.permissions import REVOKE_PERMISSIONS
from countersign.identity import Coverage, Credential, Grant, Identity, Provenance, Record, Trust
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from sandbox.vault import SandboxVault

CANARY = "canary-77ab"
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----"""
Answer = tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        _build(server)
        yield server


def _build(server: SandboxVault) -> None:
    root = server.client()
    for kind in ("approle", "userpass", "jwt", "kubernetes", "cert"):
        server.enable_auth(kind)
    server.enable_auth("jwt", path="bare")
    server.policy("issue", 'path "pki/issue/leased" { capabilities = ["update"] }')
    server.policy("admin", 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }')
    server.pki()
    leased = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "ec", "generate_lease": True, "max_ttl": "100h"}
    root.write_data("pki/roles/leased", data=leased)
    server.approle("worker", policies=["issue"])
    server.secret_id("worker")
    server.login("worker").write_data("pki/issue/leased", data={"common_name": "worker.example", "ttl": "10h"})
    root.write_data("pki/issue/leased", data={"common_name": "root.example", "ttl": "20h"})
    server.approle("idle")
    server.secret_id("idle")
    server.user("bob")
    server.kv("orders", {"password": CANARY})

    root.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": [PUBLIC_KEY], "bound_issuer": "https://token.acme.example"})
    roles: dict[str, dict[str, Any]] = {
        "deploy": {"bound_claims": {"project": ["orders"]}, "token_policies": ["admin"]},
        "anyone": {"bound_claims": {"project": ["*"]}, "bound_claims_type": "glob"},
        "templated": {"bound_subject": "x", "token_policies": ["team-{{.project}}"], "token_policies_template_claims": True},
    }
    for name, about in roles.items():
        root.write_data(f"auth/jwt/role/{name}", data={"role_type": "jwt", "user_claim": "sub", **about})
    person = {"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": "https://vault.example/cb"}
    root.write_data("auth/jwt/role/person", data=person)
    root.write_data("auth/bare/config", data={"jwt_validation_pubkeys": [PUBLIC_KEY]})
    root.write_data("auth/bare/role/whose", data={"role_type": "jwt", "user_claim": "sub", "bound_subject": "x"})
    where = {"kubernetes_host": "https://k8s.acme.example", "kubernetes_ca_cert": _authority(server), "disable_local_ca_jwt": True}
    root.write_data("auth/kubernetes/config", data=where)
    for name, (accounts, spaces) in {"pod": ("builder", "ci"), "cluster": ("*", "*")}.items():
        bound = {"bound_service_account_names": accounts, "bound_service_account_namespaces": spaces}
        root.write_data(f"auth/kubernetes/role/{name}", data={**bound, "token_policies": ["issue"]})
    root.write_data("auth/cert/certs/open", data={"certificate": _authority(server)})
    root.write_data("auth/cert/certs/narrow", data={"certificate": _authority(server), "allowed_common_names": ["web-*.example"]})


def _authority(server: SandboxVault) -> str:
    return str(server.client().read("pki/cert/ca")["data"]["certificate"])


@pytest.fixture
def root(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)


def _source(server: SandboxVault, **more: Any) -> VaultSource:
    return VaultSource.model_validate({"name": "prod", "provider": "vault", "address": server.address, **more})


def _read(source: VaultSource, *, sleep: Callable[[float], None] = lambda _seconds: None) -> list[Record]:
    request = ReadRequest(source=source, scope=vault.scopes(source)[0], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request, sleep=sleep))


def _coverage(found: list[Record]) -> dict[str, Coverage]:
    return {r.operation: r for r in found if isinstance(r, Coverage)}


def _identities(found: list[Record], kind: str) -> dict[str, Identity]:
    return {r.name: r for r in found if isinstance(r, Identity) and r.kind == kind}


def _credentials(found: list[Record], kind: str) -> list[Credential]:
    return [r for r in found if isinstance(r, Credential) and r.kind == kind]


@contextmanager
def _wire(server: SandboxVault, answer: Callable[[str, str], Answer | None]) -> Iterator[str]:
    """A server before the real one, which answers some calls otherwise; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: in two, the second waits 40 ms for an acknowledgement

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            other = answer(self.command, self.path.partition("?")[0].removeprefix("/v1/"))
            if other is None:
                sent = {name: value for name, value in self.headers.items() if name.lower().startswith(("x-vault", "content-type"))}
                real = session.request(self.command, server.address + self.path, data=body, headers=sent, timeout=10)
                other = (real.status_code, real.content)
            self.send_response(other[0])
            for name, value in (other[2] if len(other) == 3 else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(other[1])))
            self.end_headers()
            self.wfile.write(other[1])

        do_GET = do_POST = do_LIST = do_SCAN = do_PUT = _serve  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    session = requests.Session()
    wire = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=wire.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{wire.server_port}"
    finally:
        wire.shutdown()
        wire.server_close()


# Leases


@pytest.mark.usefixtures("root")
def test_a_lease_belongs_to_its_mount_until_the_audit_log_names_its_holder(bao: SandboxVault) -> None:
    plain, informed = _read(_source(bao)), _read(_source(bao, audit_log=str(bao.audit_log)))
    mount = _identities(plain, "mount")["pki/"].uid
    assert [lease.identity_uid for lease in _credentials(plain, "lease")] == [mount, mount]
    root_token = next(i.uid for i in informed if isinstance(i, Identity) and i.tags == {"countersign": "self"})
    assert {lease.identity_uid for lease in _credentials(informed, "lease")} == {"vault:prod:approle/worker", root_token}
    (lease,) = [one for one in _credentials(informed, "lease") if one.identity_uid == "vault:prod:approle/worker"]
    assert lease.uid.startswith("vault:prod:lease/pki/issue/leased/")
    assert (lease.never_expires, lease.enabled, lease.last_used_state) == (False, True, "unknown")
    assert lease.created_at is not None
    assert lease.expires_at is not None
    assert timedelta(hours=10, seconds=-1) <= lease.expires_at - lease.created_at <= timedelta(hours=10)
    assert lease.ttl_s in {35_999, 36_000}


@pytest.mark.usefixtures("root")
def test_the_leases_of_tokens_are_told_as_the_tokens(bao: SandboxVault) -> None:
    # A wrapping token has its lease where it was asked for, and not under auth/.
    bao.client().adapter.request("GET", "/v1/secret/data/orders", wrap_ttl="1h")
    found = _read(_source(bao))
    assert len(_credentials(found, "lease")) == 2
    row = _coverage(found)["LIST sys/leases/lookup/*"]
    assert (row.state, row.covers, row.dropped) == (
        "complete",
        ("lease",),
        {"auth/: the leases of tokens, told as the tokens": 1, "the lease of a token, told as the token": 1},
    )


@pytest.mark.usefixtures("root")
def test_leases_are_left_out_when_asked_and_that_is_said(bao: SandboxVault) -> None:
    found = _read(_source(bao, leases=False))
    row = _coverage(found)["LIST sys/leases/lookup/*"]
    assert (_credentials(found, "lease"), row.state, row.dropped) == ([], "complete", {"all, by `leases: false`": 1})
    assert "POST sys/leases/lookup" not in _coverage(found)


@pytest.mark.usefixtures("root")
def test_more_leases_than_are_read_make_the_listing_partial(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MOST_LEASES", 4)
    row = _coverage(_read(_source(bao)))["LIST sys/leases/lookup/*"]
    assert (row.state, row.error) == ("partial", "more than 4 leases; the others are not read")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("status", "said", "expected"), [(403, "permission denied", 2), (400, "invalid lease", 0)])
def test_a_lease_that_may_not_be_looked_up_is_unknown_and_one_that_ended_is_gone(
    bao: SandboxVault, status: int, said: str, expected: int
) -> None:
    body = json.dumps({"errors": [said]}).encode()
    with _wire(bao, lambda verb, path: (status, body) if (verb, path) == ("POST", "sys/leases/lookup") else None) as address:
        told = _credentials(_read(_source(bao, address=address)), "lease")
    assert [sorted(one.unknown) for one in told] == [["created_at", "expires_at", "last_used_at", "ttl_s"]] * expected


# Roles of outside issuers


def _trusts(found: list[Record]) -> set[tuple[str, str, str, str | None]]:
    trusts = [r for r in found if isinstance(r, Trust)]
    return {(t.identity_uid.removeprefix("vault:prod:auth-role/"), t.party_kind, t.party, t.condition) for t in trusts}


@pytest.mark.usefixtures("root")
def test_roles_say_whom_they_trust_and_what_narrows_it(bao: SandboxVault) -> None:
    found = _read(_source(bao))
    assert _trusts(found) == {
        ("jwt/deploy", "oidc-issuer", "https://token.acme.example", "bound_claims.project=orders"),
        ("jwt/anyone", "oidc-issuer", "https://token.acme.example", None),
        ("jwt/templated", "oidc-issuer", "https://token.acme.example", "bound_subject=x"),
        ("jwt/person", "oidc-issuer", "https://token.acme.example", None),
        ("kubernetes/cluster", "oidc-issuer", "https://k8s.acme.example", None),
        (
            "kubernetes/pod",
            "oidc-issuer",
            "https://k8s.acme.example",
            "bound_service_account_names=builder, bound_service_account_namespaces=ci",
        ),
        ("cert/open", "x509-issuer", "CN=Sandbox Root", None),
        ("cert/narrow", "x509-issuer", "CN=Sandbox Root", "allowed_common_names=web-*.example"),
    }
    roles = _identities(found, "auth-role")
    assert {name: (role.track, role.console) for name, role in roles.items() if name in ("person", "deploy", "pod", "open")} == {
        "person": ("human", True),
        "deploy": ("machine", False),
        "pod": ("machine", False),
        "open": ("machine", False),
    }
    assert roles["whose"].unknown["trusts"] == "the mount holds public keys and names no issuer, so it is not known whose they are"
    grants = {(g.identity_uid.partition("/")[2], g.role, g.power) for g in found if isinstance(g, Grant) and "auth-role" in g.identity_uid}
    assert grants == {
        ("jwt/deploy", "admin", "administrator"),
        ("jwt/templated", "(policies not read)", None),
        ("kubernetes/pod", "issue", "limited"),
        ("kubernetes/cluster", "issue", "limited"),
    }


@pytest.mark.usefixtures("root")
def test_a_role_or_configuration_that_may_not_be_read_leaves_its_trusts_unknown(bao: SandboxVault) -> None:
    denied = (403, b'{"errors": ["permission denied"]}')
    hidden = {"auth/jwt/config", "auth/kubernetes/role/pod"}
    with _wire(bao, lambda verb, path: denied if verb == "GET" and path in hidden else None) as address:
        found = _read(_source(bao, address=address))
    roles = _identities(found, "auth-role")
    assert roles["deploy"].unknown["trusts"] == "the mount's configuration could not be read: 403 permission denied"
    assert roles["pod"].unknown["trusts"] == "the role could not be read: 403 permission denied"
    assert {t[0] for t in _trusts(found)} == {"kubernetes/cluster", "cert/open", "cert/narrow"}
    assert [g.power for g in found if isinstance(g, Grant) and g.identity_uid.endswith("kubernetes/pod")] == [None]


@pytest.mark.parametrize(
    ("kind", "role", "expected"),
    [
        ("jwt", {}, None),
        ("jwt", {"bound_audiences": ["vault"]}, "bound_audiences=vault"),
        ("jwt", {"bound_audiences": ["*"], "bound_subject": "**", "bound_claims": {"a": "*", "b": ["x", "*"]}}, None),
        ("jwt", {"bound_claims": {"b": ["x", "y"], "a": 3}, "bound_subject": ""}, "bound_claims.a=3, bound_claims.b=x|y"),
        ("oidc", {"token_bound_cidrs": ["10.0.0.0/8"], "bound_claims": None}, None),
        (
            "kubernetes",
            {"bound_service_account_names": ["*"], "bound_service_account_namespaces": ["ci"]},
            "bound_service_account_namespaces=ci",
        ),
        ("kubernetes", {"bound_service_account_names": ["*"], "audience": "vault"}, "audience=vault"),
        ("cert", {"allowed_names": ["*"], "required_extensions": ["1.2.3:*"]}, None),
        ("cert", {"required_extensions": ["1.2.3:ci", "1.2.4:*"]}, "required_extensions.1.2.3=ci"),
        ("jwt", {"bound_claims": ["odd"], "bound_subject": {"odd": 1}}, "bound_subject={'odd': 1}"),
        ("jwt", {"bound_subject": "x" * 10_000}, f"bound_subject={'x' * 285}…"),
    ],
)
def test_a_bound_narrows_unless_it_lets_anything_through(kind: str, role: dict[str, Any], expected: str | None) -> None:
    assert bounds.condition(kind, role) == expected


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("jwt", {"bound_issuer": "https://a", "oidc_discovery_url": "https://b"}, ["https://a"]),
        ("oidc", {"bound_issuer": "", "oidc_discovery_url": "https://b"}, ["https://b"]),
        ("jwt", {"jwks_url": "https://c/x/.well-known/jwks.json"}, ["https://c/x"]),
        ("jwt", {"jwks_pairs": [{"jwks_url": "https://c"}, {"jwks_url": "https://d"}, 3]}, ["https://c", "https://d"]),
        ("jwt", {"jwt_validation_pubkeys": ["..."]}, []),
        ("kubernetes", {"kubernetes_host": "https://k", "issuer": "https://old"}, ["https://k"]),
        ("kubernetes", {"kubernetes_host": None}, []),
    ],
)
def test_the_mount_names_its_issuer(kind: str, config: dict[str, Any], expected: list[str]) -> None:
    assert bounds.parties(kind, config) == tuple(("oidc-issuer", party) for party in expected)


def test_a_certificate_that_is_no_authority_lets_in_only_itself(bao: SandboxVault) -> None:
    issued = bao.client().write_data("pki/issue/any", data={"common_name": "one.example"})["data"]["certificate"]
    ((kind, party, pinned),) = bounds.authorities(issued)
    assert (kind, party, pinned is not None and pinned.startswith("certificate=sha256:")) == ("x509-issuer", "CN=one.example", True)
    assert bounds.authorities(_authority(bao)) == (("x509-issuer", "CN=Sandbox Root", None),)
    with pytest.raises(ValueError, match="PEM"):
        bounds.authorities("not a certificate")


# Shortcuts, throttling and broken answers


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b'{"data": {"nodes": [{}, {}, {}]}}'), "the server has 3 nodes, each of which writes a log of its own"),
        ((403, b'{"errors": ["permission denied"]}'), "whether other nodes write logs of their own is not known"),
    ],
)
def test_one_log_of_a_cluster_says_who_was_seen_and_not_who_never_was(bao: SandboxVault, answer: Answer, said: str) -> None:
    with _wire(bao, lambda _verb, path: answer if path == "sys/ha-status" else None) as address:
        found = _read(_source(bao, address=address, audit_log=str(bao.audit_log)))
    ids = _credentials(found, "secret-id")
    assert {one.last_used_state for one in ids} == {"known", "unknown"}
    assert {one.unknown["last_used_at"].partition("; ")[2] for one in ids if one.last_used_state == "unknown"} == {said}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("status", [403, 404, 405])
def test_each_shortcut_falls_back_by_itself(bao: SandboxVault, status: int) -> None:
    refusal = (status, b'{"errors": ["unsupported"]}')

    def told(shut: set[tuple[str, str]]) -> tuple[set[str], dict[str, Any]]:
        with _wire(bao, lambda verb, path: refusal if (verb, path.rstrip("/")) in shut else None) as address:
            found = _read(_source(bao, address=address))
        return {name for name in _coverage(found) if " pki/" in name or " secret/" in name}, {
            c.uid: (c.created_at, c.expires_at, c.enabled) for kind in ("secret", "certificate") for c in _credentials(found, kind)
        }

    operations, facts = told(set())
    assert operations == {"SCAN secret/detailed-metadata", "LIST pki/certs/detailed", "LIST pki/certs/revoked"}
    without_scan, same = told({("SCAN", "secret/detailed-metadata")})
    assert same == facts
    assert operations ^ without_scan == {"SCAN secret/detailed-metadata", "LIST secret/metadata/*", "GET secret/metadata/*"}
    without_detail, same = told({("LIST", "pki/certs/detailed")})
    assert same == facts
    changed = {"LIST pki/certs/detailed", "LIST pki/certs/revoked", "LIST pki/certs", "GET pki/cert/*"}
    assert operations ^ without_detail == changed


@pytest.mark.usefixtures("root")
def test_nothing_is_lost_between_pages(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    bao.approle("many")
    for number in range(48):
        serial = bao.certificate(f"host-{number}.example")
        if number % 3 == 0:
            bao.client().write_data("pki/revoke", data={"serial_number": serial})
        if number % 4 == 0:
            bao.secret_id("many")
            bao.kv(f"many/{number}", {"password": CANARY})

    def told() -> dict[str, bool | None]:
        found = _read(_source(bao, address=address))
        return {c.uid: c.enabled for kind in ("certificate", "secret-id", "secret", "lease") for c in _credentials(found, kind)}

    refusal = (405, b'{"errors": ["unsupported operation"]}')
    for shut in ("", "certs/detailed"):
        with _wire(bao, lambda _verb, path, shut=shut: refusal if shut and shut in path else None) as address:  # type: ignore[misc] # mypy does not infer a default of a lambda
            monkeypatch.setattr(api, "BATCH", 500)
            whole = told()
            monkeypatch.setattr(api, "BATCH", 2)
            assert told() == whole
            assert len(whole) > 70
    bao.client().delete("auth/approle/role/many")


@pytest.mark.usefixtures("root")
def test_a_server_that_says_when_to_come_back_is_believed_within_reason(bao: SandboxVault) -> None:
    waits: list[float] = []
    later = iter([(429, b"{}", {"Retry-After": "3"}), (429, b"{}", {"Retry-After": "99999"}), (429, b"{}", {"Retry-After": "Fri"})])
    with _wire(bao, lambda verb, path: next(later, None) if (verb, path) == ("GET", "sys/mounts") else None) as address:
        found = _read(_source(bao, address=address), sleep=waits.append)
    assert waits == [3.0, 60.0, 1.0]
    assert _coverage(found)["GET sys/mounts"].state == "complete"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("call", "body", "operation"),
    [
        (("LIST", "auth/token/accessors"), b"<html>", "LIST auth/token/accessors"),
        (("LIST", "auth/token/accessors"), b"[1]", "LIST auth/token/accessors"),
        (("LIST", "auth/approle/role"), b'{"data": {"keys": "abc"}}', "LIST auth/approle/role"),
        (("LIST", "identity/entity/id"), b'{"data": [1, 2]}', "LIST identity/entity/id"),
        (("GET", "sys/mounts"), b'{"data": "x"}', "GET sys/mounts"),
        (("GET", "sys/auth"), b'{"errors": "odd"}', "GET sys/auth"),
        (("SCAN", "secret/detailed-metadata"), b'{"data": {"key_info": 3}}', "SCAN secret/detailed-metadata"),
    ],
)
def test_a_broken_answer_is_a_coverage_row_and_reading_goes_on(
    bao: SandboxVault, call: tuple[str, str], body: bytes, operation: str
) -> None:
    with _wire(bao, lambda verb, path: (200, body) if (verb, path.rstrip("/")) == call else None) as address:
        found = _read(_source(bao, address=address))
    row = _coverage(found)[operation]
    assert row.state != "complete"
    assert row.error
    assert sum(row.state == "complete" for row in _coverage(found).values()) > 5


@pytest.mark.usefixtures("root")
def test_folders_without_end_are_left_at_some_depth(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MOST_LEASES", 20)
    endless = (200, b'{"data": {"keys": ["a/"]}}')
    with _wire(bao, lambda verb, path: endless if verb == "LIST" and path.startswith("sys/leases") else None) as address:
        row = _coverage(_read(_source(bao, address=address)))["LIST sys/leases/lookup/*"]
    assert (row.state, row.error, row.pages) == ("partial", "more than 20 leases; the others are not read", 21)


@pytest.mark.usefixtures("root")
def test_rows_that_make_no_sense_are_counted_and_the_others_kept(bao: SandboxVault) -> None:
    odd = b'{"data": {"expiration_time": 3, "creation_time": [], "issue_time": "yesterday", "accessor": "x", "id": null}}'
    lookups = ("secret-id-accessor/lookup", "auth/token/lookup-accessor", "sys/leases/lookup")
    with _wire(bao, lambda verb, path: (200, odd) if verb == "POST" and path.endswith(lookups) else None) as address:
        found = _read(_source(bao, address=address))
    dropped = {
        name: row.dropped.get("an answer that is not as documented", 0) for name, row in _coverage(found).items() if "lookup" in name
    }
    assert dropped["POST auth/approle/role/*/secret-id-accessor/lookup"] == len(_credentials(found, "secret-id")) > 0
    assert dropped["POST sys/leases/lookup"] == len(_credentials(found, "lease")) > 0
    assert dropped["POST auth/token/lookup-accessor"] > 0
    assert {c.created_at for kind in ("secret-id", "lease") for c in _credentials(found, kind)} == {None}
    assert _credentials(found, "token") == []


# Permissions


def test_the_least_policy_reads_the_depth_as_well(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(vault.permission_files()["read.hcl"]))
    found = _read(_source(bao, audit_log=str(bao.audit_log)))
    assert {operation: row.error for operation, row in _coverage(found).items() if row.state != "complete"} == {}
    assert {"lease", "auth-role", "approle"} <= {r.kind for r in found if isinstance(r, Identity | Credential)}
    told = {r.kind for r in found if isinstance(r, Identity | Credential)}
    assert told == {r.kind for r in found if isinstance(r, Provenance) and r.field == "*"}


def test_the_reader_cannot_revoke(bao: SandboxVault) -> None:
    reader = bao.client(token=bao.reader_token(vault.policy_hcl()))
    entity = bao.entity("kept")
    for path, body in {
        "auth/token/revoke-accessor": {"accessor": "x"},
        "auth/approle/role/worker/secret-id-accessor/destroy": {"secret_id_accessor": "x"},
        f"identity/entity/id/{entity}": {"disabled": True},
        "sys/leases/revoke": {"lease_id": "x"},
        "sys/leases/renew": {"lease_id": "x"},
        "sys/leases/revoke-prefix/auth/approle/login": {},
        "sys/audit/other": {"type": "file"},
        "pki/revoke": {"serial_number": "x"},
    }.items():
        with pytest.raises(hvac.exceptions.Forbidden):
            reader.write_data(path, data=body)


def test_reading_and_revoking_are_written_apart() -> None:
    files = vault.permission_files()
    assert list(files) == ["drill.hcl", "read-hashicorp.hcl", "read.hcl", "revoke.hcl"]
    assert ("scan" in files["read.hcl"], "scan" in files["read-hashicorp.hcl"]) == (True, False)
    assert tuple(sorted(REVOKE_PERMISSIONS)) == REVOKE_PERMISSIONS == vault.REVOKE_PERMISSIONS
    changing = [line for line in vault.PERMISSIONS if line.startswith(("create", "delete", "patch"))]
    assert changing == []
    page = (Path(__file__).parents[2] / "docs" / "connectors" / "vault.md").read_text(encoding="utf-8")
    assert f"```hcl\n{files['revoke.hcl']}```" in page


# The doctor


def test_the_doctor_names_the_rule_that_is_missing(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = ('"sys/leases/lookup/', '"auth/+/config"', '"auth/+/role/+/secret-id/"', '"+/detailed', '"sys/audit"')
    hcl = "}\n".join(block for block in vault.policy_hcl().split("}\n") if not any(path in block for path in left_out))
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(hcl, name="narrow"))
    tried = {probe.operation: probe for probe in vault.probe(_source(bao, audit_log=str(bao.audit_log)))}
    denied = "403 1 error occurred: * permission denied; the policy lacks path"
    assert {name: probe.detail for name, probe in tried.items() if not probe.ok} == {
        "GET auth/bare/config": f'{denied} "auth/+/config" {{ capabilities = ["read"] }}',
        "GET auth/jwt/config": f'{denied} "auth/+/config" {{ capabilities = ["read"] }}',
        "GET auth/kubernetes/config": f'{denied} "auth/+/config" {{ capabilities = ["read"] }}',
        "LIST auth/approle/role/idle/secret-id": f'{denied} "auth/+/role/+/secret-id/" {{ capabilities = ["list"] }}',
        "LIST sys/leases/lookup": f'{denied} "sys/leases/lookup/" {{ capabilities = ["list", "sudo"] }}',
        "GET sys/audit": f'{denied} "sys/audit" {{ capabilities = ["read", "sudo"] }}',
    }
    assert tried["SCAN secret/detailed-metadata"].detail.startswith("not used, the same is read one by one: 403")


def test_the_doctor_finds_nothing_missing_under_the_least_policy(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(vault.policy_hcl()))
    tried = list(vault.probe(_source(bao, audit_log=str(bao.audit_log))))
    assert [probe for probe in tried if not probe.ok] == []
    assert {
        "POST auth/approle/role/idle/secret-id-accessor/lookup",
        "LIST auth/cert/certs",
        "POST sys/audit-hash/file",
        "READ audit log",
    } <= {probe.operation for probe in tried}
    (gone,) = [probe for probe in vault.probe(_source(bao, audit_log="/none/audit.log")) if not probe.ok]
    assert (gone.operation, gone.detail.startswith("audit.log: ")) == ("READ audit log", True)
    assert [p.detail for p in vault.probe(_source(bao, leases=False)) if "leases" in p.operation] == ["left out by `leases: false`"]


@pytest.mark.usefixtures("root")
def test_the_doctor_says_when_there_is_no_such_namespace(bao: SandboxVault) -> None:
    gone = [probe for probe in vault.probe(_source(bao, namespaces=("gone",))) if probe.scope == "prod/gone"]
    assert [(probe.operation, probe.ok, probe.detail.startswith("there is no such namespace")) for probe in gone][1:] == [
        ("sys/auth", False, True)
    ]
