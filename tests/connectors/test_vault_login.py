from __future__ import annotations

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors import vault
from connectors.vault import records
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Coverage, Credential, Identity, Record
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from sandbox.kubernetes import SandboxKubernetes, signed
from sandbox.vault import SandboxVault, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
"""Signs the JWTs of the build system in these tests."""


@dataclass(frozen=True)
class Tls:
    ca: Path
    certificate: Path
    key: Path


def _signed_certificate(name: str, subject: Any, issuer: str, signing: Any, *, authority: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(subject.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        # Python 3.13 asks of a certificate what RFC 5280 does: whose key it holds and whose signed it, and what an authority's may sign.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(signing, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    made = Tls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    pem = serialization.Encoding.PEM
    made.ca.write_bytes(_signed_certificate("Northwind Root", root, "Northwind Root", root, authority=True).public_bytes(pem))
    made.certificate.write_bytes(_signed_certificate("vault", leaf, "Northwind Root", root, authority=False).public_bytes(pem))
    made.key.write_bytes(leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made


@pytest.fixture(scope="module")
def https() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def bao(tls: Tls, https: str) -> Iterator[SandboxVault]:
    listener = f'listener "tcp" {{ address = "{https}"\n tls_cert_file = "{tls.certificate}"\n tls_key_file = "{tls.key}" }}\n'
    with SandboxVault(config=listener) as server:
        server.policy("reader", vault.policy_hcl())
        server.enable_auth("jwt")
        public = ISSUER_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        client = server.client()
        client.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": [public], "bound_issuer": "https://ci.example"})
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": ["countersign"],
            "token_policies": ["reader"],
            "token_ttl": "10m",
        }
        client.write_data("auth/jwt/role/countersign", data=role)
        yield server


def _source(server: SandboxVault, **more: Any) -> VaultSource:
    return VaultSource.model_validate({"name": "prod", "provider": "vault", "address": server.address, **more})


def _read(source: VaultSource) -> list[Record]:
    request = ReadRequest(source=source, scope=vault.scopes(source)[0], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request, sleep=lambda _seconds: None))


def _myself(found: list[Record]) -> Identity:
    (one,) = [r for r in found if isinstance(r, Identity) and r.tags.get("countersign") == "self"]
    return one


def _own_sessions(found: list[Record]) -> int:
    (row,) = [r for r in found if isinstance(r, Coverage) and r.operation == "LIST auth/token/accessors"]
    return row.dropped["own session"]


def _tokens_of(found: list[Record], identity: Identity) -> list[Credential]:
    return [r for r in found if isinstance(r, Credential) and r.kind == "token" and r.identity_uid == identity.uid]


def _jwt(**claims: Any) -> str:
    now = int(time.time())
    return signed({"iss": "https://ci.example", "sub": "nightly", "aud": "countersign", "iat": now, "exp": now + 300, **claims}, ISSUER_KEY)


def _by(method: str, bao: SandboxVault, file: Path) -> VaultSource:
    return _source(bao, auth={"method": method, "role": "countersign", "jwt_file": str(file)})


def test_a_jwt_logs_in_and_reads(bao: SandboxVault, tmp_path: Path) -> None:
    file = tmp_path / "jwt"
    file.write_text(_jwt() + "\n", encoding="utf-8")
    found = _read(_by("jwt", bao, file))
    me = _myself(found)
    assert (me.kind, me.name, me.track, me.unknown["created_by"]) == ("entity", "nightly", "machine", records.WHO_MADE_IT)
    assert (_own_sessions(found), _tokens_of(found, me)) == (1, [])
    assert file.read_text(encoding="utf-8").strip() not in "".join(map(repr, found))

    # The token ends, and by then the file holds the next JWT.
    bao.client().sys.revoke_prefix("auth/jwt/login")
    file.write_text(_jwt(sub="nightly-2"), encoding="utf-8")
    assert _myself(_read(_by("jwt", bao, file))).name == "nightly-2"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "audience claim does not match any expected audience"),
        ({"exp": 1_000_000_000}, "token is expired"),
        ({"iss": "https://evil.example"}, "invalid issuer"),
    ],
)
def test_a_jwt_that_is_not_for_us_is_refused_and_never_shown(bao: SandboxVault, tmp_path: Path, claims: dict[str, Any], said: str) -> None:
    file = tmp_path / "jwt"
    file.write_text(_jwt(**claims), encoding="utf-8")
    with pytest.raises(ScopeDeniedError, match=said) as error:
        _read(_by("jwt", bao, file))
    shown = "".join(traceback.format_exception(error.value))
    assert [part for part in file.read_text(encoding="utf-8").split(".") if part in shown] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b" \n", "is empty"),
        (b"\xff\xfecanary", "holds no JWT"),
        (b"canary", "must have three parts"),
    ],
)
def test_a_file_without_a_jwt_is_named_and_not_quoted(bao: SandboxVault, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "jwt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ScopeDeniedError, match=said) as error:
        _read(_by("jwt", bao, file))
    assert "canary" not in "".join(traceback.format_exception(error.value))


def test_a_pod_logs_in_by_its_service_account(bao: SandboxVault, tls: Tls, tmp_path: Path) -> None:
    file, client = tmp_path / "token", bao.client()
    with SandboxKubernetes(tls.certificate, tls.key) as cluster:
        bao.enable_auth("kubernetes")
        where = {"kubernetes_host": cluster.address, "kubernetes_ca_cert": tls.ca.read_text(encoding="utf-8"), "disable_local_ca_jwt": True}
        client.write_data("auth/kubernetes/config", data=where)
        bound = {"bound_service_account_names": ["countersign"], "bound_service_account_namespaces": ["audit"], "audience": "vault"}
        client.write_data("auth/kubernetes/role/countersign", data={**bound, "token_policies": ["reader"]})

        file.write_text(cluster.token("audit", "countersign"), encoding="utf-8")
        found = _read(_by("kubernetes", bao, file))
        me = _myself(found)
        assert (me.kind, me.name, me.track) == ("entity", "audit/countersign", "machine")
        assert (_own_sessions(found), _tokens_of(found, me)) == (1, [])

        deleted = cluster.token("audit", "countersign")
        cluster.delete("audit", "countersign")
        # A login is kept for its source and file, so each token gets a file of its own.
        for number, (token, said) in enumerate(
            (
                (cluster.token("audit", "intruder"), "service account name not authorized"),
                (cluster.token("other", "countersign"), "namespace not authorized"),
                (cluster.token("audit", "countersign", audience="another"), "audience claim does not match"),
                (deleted, "permission denied"),
            )
        ):
            file = tmp_path / f"token-{number}"
            file.write_text(token, encoding="utf-8")
            with pytest.raises(ScopeDeniedError, match=said) as error:
                _read(_by("kubernetes", bao, file))
            assert [part for part in token.split(".") if part in "".join(traceback.format_exception(error.value))] == []


def test_a_private_authority_is_trusted_only_when_it_is_named(
    bao: SandboxVault, tls: Tls, https: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    # The setting wins over what the machine says.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
    assert _myself(_read(_source(bao, address=f"https://{https}", ca=str(tls.ca)))).kind == "token"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    port = https.rpartition(":")[2]
    for address, ca, said in (
        (f"https://{https}", None, "certificate is not trusted .unable to get local issuer certificate.; name the PEM file"),
        (f"https://localhost:{port}", tls.ca, "certificate is not trusted .Hostname mismatch"),
        (f"https://{https}", tls.ca.with_name("none.pem"), "the file of `ca` cannot be used.*none.pem"),
        (f"https://{https}", tls.key, "no TLS connection .NO_CERTIFICATE_OR_CRL_FOUND"),
        (bao.address.replace("http://", "https://"), tls.ca, "no TLS connection .WRONG_VERSION_NUMBER"),
        (f"http://{https}", tls.ca, "https:// where it speaks TLS"),
    ):
        source = _source(bao, address=address, ca=None if ca is None else str(ca))
        with pytest.raises(ReadError, match=said) as error:
            _read(source)
        assert not isinstance(error.value, ScopeDeniedError)
        assert [False] * len(tried := list(vault.probe(source))) == [probe.ok for probe in tried]


_HOLDER = """
import sys
from threading import Thread
from sandbox.vault import SandboxVault

server = SandboxVault()
starting = Thread(target=server.__enter__)
starting.start()
starting.join()
print(server.address, flush=True)
sys.stdin.read()
"""


def test_the_server_outlives_the_thread_that_started_it_and_never_the_process(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as holder:
        try:
            assert holder.stdout is not None
            host, port = holder.stdout.readline().strip().removeprefix("http://").split(":")
            assert requests.get(f"http://{host}:{port}/v1/sys/health", timeout=5).ok
            with socket.create_connection((host, int(port)), timeout=5) as line:
                holder.send_signal(signal.SIGKILL)
                # A server that is killed hangs up, or resets what it had not yet accepted; one that lives on says nothing: TimeoutError.
                with suppress(ConnectionResetError):
                    assert line.recv(1) == b""
        finally:
            holder.kill()
