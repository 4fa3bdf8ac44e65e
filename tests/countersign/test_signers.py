"""Keys that services hold: each signs a statement on a real server, and plain cryptography verifies it; nothing but one sentence when it cannot."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import boto3
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key
from moto.core.exceptions import JsonRESTError
from moto.kms.responses import KmsResponse
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from countersign.errors import EvidenceError
from countersign.evidence import key_services, signer, statement
from countersign.evidence.permissions import transit_policy
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.evidence.signer import Signer

SAID = {"subject": [], "predicate": {"name": "Zoë"}}


def signed(key: Signer) -> tuple[bytes, bytes, str]:
    """Sign a statement; returns what the signature covers, the signature, and the key id it names."""
    envelope = json.loads(statement.sign(SAID, key)[0])
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    (one,) = envelope["signatures"]
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload), base64.b64decode(one["sig"]), one["keyid"]


def check(pem: bytes, covered: bytes, signature: bytes) -> None:
    """Verify as an auditor's own program would, from the PEM alone."""
    public = load_pem_public_key(pem)
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, covered)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, covered, ec.ECDSA(hashes.SHA256() if public.curve.name == "secp256r1" else hashes.SHA384()))
    else:
        assert isinstance(public, rsa.RSAPublicKey)
        public.verify(signature, covered, padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size), hashes.SHA256())


def holds(key: Signer) -> str:
    """Check one statement of a signer by its exported PEM alone; returns the key id."""
    pem = signer.public_pem(key)
    covered, signature, keyid = signed(key)
    check(pem, covered, signature)
    with pytest.raises(InvalidSignature):
        check(pem, covered + b"x", signature)
    assert signer.keyid(load_pem_public_key(pem)) == keyid == key.public_key.keyid
    return keyid


# --- files


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_other_kinds_of_key_in_files_sign(kind: str, tmp_path: Path) -> None:
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
    private = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(curves[kind])
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    holds(signer.load("file:key.pem", tmp_path))


@pytest.mark.parametrize("weak", [ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)])  # noqa: S505 - the weak key of the test
def test_a_kind_that_nobody_verifies_is_refused(weak: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(EvidenceError, match="no unencrypted private key in PEM that evidence is signed with"):
        signer.load(f"file:{path}")


@pytest.mark.parametrize("uri", ["evidence.pem", "file:", "hv:", "sftp:key", ""])
def test_what_names_no_signer_is_refused(uri: str) -> None:
    with pytest.raises(EvidenceError, match="there is no signer"):
        signer.load(uri)


# --- Vault


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        server.enable_engine("transit")
        transit = server.client().secrets.transit
        for name, kind in (
            ("evidence", "ed25519"),
            ("p256", "ecdsa-p256"),
            ("p384", "ecdsa-p384"),
            ("rsa", "rsa-2048"),
            ("aes", "aes256-gcm96"),
        ):
            transit.create_key(name, key_type=kind)
        yield server


@pytest.fixture
def vault(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SandboxVault:
    for name in ("VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # whoever sits at the keyboard may be logged in
    monkeypatch.setenv("VAULT_ADDR", bao.address)
    hcl = "\n".join(transit_policy(name) for name in ("evidence", "p256", "p384", "rsa", "aes"))
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(hcl, name="evidence-signer"))
    return bao


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("name", ["evidence", "p256", "p384", "rsa"])
def test_vault_signs_with_no_more_than_its_policy(name: str) -> None:
    holds(signer.load(f"hv:{name}"))


def test_a_key_rotated_in_vault_keeps_the_ids_of_its_versions(vault: SandboxVault) -> None:
    transit = vault.client().secrets.transit
    transit.create_key("turning", key_type="ed25519")
    vault.policy("evidence-signer", transit_policy("turning"))
    before = signer.load("hv:turning")
    covered, signature, first = signed(before)
    pem = signer.public_pem(before)
    transit.rotate_key("turning")
    second = holds(signer.load("hv:turning"))
    assert first != second
    assert (first, second) == (holds(signer.load("hv:turning/1")), holds(signer.load("hv:turning/2")))
    assert first == holds(before), "a signer that is open goes on with its version"
    check(pem, covered, signature)
    with pytest.raises(EvidenceError, match="the key has no version 3") as refused:
        signer.load("hv:turning/3")
    assert "use one of: 1, 2" == refused.value.fix


def test_an_approle_may_log_in_for_it(vault: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    client = vault.client()
    client.sys.enable_auth_method("approle")
    vault.policy("role-signs", transit_policy("evidence"))
    client.auth.approle.create_or_update_approle("signer", token_policies=["role-signs"], token_no_default_policy=True)
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLE_ID", client.auth.approle.read_role_id("signer")["data"]["role_id"])
    monkeypatch.setenv("VAULT_SECRET_ID", client.auth.approle.generate_secret_id("signer")["data"]["secret_id"])
    holds(signer.load("hv:evidence"))


@pytest.mark.parametrize(
    ("uri", "environment", "said"),
    [
        ("hv:aes", {}, "of type aes256-gcm96, which cannot sign"),
        ("hv:none", {}, "could not be opened: Forbidden: "),
        ("hv:evidence", {"VAULT_TOKEN": "s.wrong"}, "could not be opened: Forbidden: "),
        ("hv:evidence", {"VAULT_TOKEN": ""}, "has no way to log in to Vault"),
        ("hv:evidence", {"VAULT_ADDR": ""}, "does not know its server"),
        ("hv:evidence", {"VAULT_ADDR": "http://127.0.0.1:1"}, "could not be opened: ConnectionError: "),
        ("hv:../../sys/seal", {}, "names no key of Vault"),
    ],
)
def test_what_vault_refuses_is_one_sentence(
    vault: SandboxVault, monkeypatch: pytest.MonkeyPatch, uri: str, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EvidenceError, match=said) as refused:
        signer.load(uri)
    assert refused.value.fix
    assert "\n" not in refused.value.message
    assert vault.root_token not in str(refused.value)
    assert "s.wrong" not in str(refused.value)


def test_a_key_that_may_be_read_but_not_used_says_so_when_it_is_to_sign(vault: SandboxVault) -> None:
    vault.policy("evidence-signer", 'path "transit/keys/evidence" { capabilities = ["read"] }')
    key = signer.load("hv:evidence")
    with pytest.raises(EvidenceError, match=r"hv:evidence/1 did not sign: Forbidden: ") as refused:
        statement.sign(SAID, key)
    assert refused.value.fix is not None
    assert "update on transit/sign/NAME" in refused.value.fix


def test_a_key_replaced_under_its_name_is_noticed_before_anything_is_sealed(vault: SandboxVault) -> None:
    transit = vault.client().secrets.transit
    transit.create_key("swapped", key_type="ed25519")
    vault.policy("evidence-signer", transit_policy("swapped"))
    key = signer.load("hv:swapped")
    transit.update_key_configuration("swapped", deletion_allowed=True)
    transit.delete_key("swapped")
    transit.create_key("swapped", key_type="ed25519")
    with pytest.raises(EvidenceError, match="signature that its public key does not verify"):
        statement.sign(SAID, key)


# --- the clouds' key services


def sign_as_aws_does(response: KmsResponse) -> str:
    """Sign a digest as it is, and not with a key that is to be deleted; moto 5.2.5 hashes every message once more, and asks no key for its state."""
    name = response._get_param("KeyId")
    key = response.kms_backend.describe_key(name)
    if key.key_state != "Enabled":
        raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    assert response._get_param("MessageType") == "DIGEST"
    digest, algorithm, held = response._get_param("Message"), response._get_param("SigningAlgorithm"), key.private_key.private_key
    prehashed = utils.Prehashed({"256": hashes.SHA256(), "384": hashes.SHA384()}[algorithm[-3:]])
    if algorithm.startswith("ECDSA"):
        made = held.sign(digest, ec.ECDSA(prehashed))
    else:
        assert algorithm == "RSASSA_PSS_SHA_256"
        made = held.sign(digest, padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size), prehashed)
    return json.dumps({"KeyId": key.arn, "Signature": base64.b64encode(made).decode(), "SigningAlgorithm": algorithm})


@pytest.fixture(scope="module")
def kms() -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    patch.setattr(KmsResponse, "sign", sign_as_aws_does)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


@pytest.fixture
def aws(kms: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms)
    return kms


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "RSA_2048"])
def test_aws_kms_signs(spec: str) -> None:
    key = boto3.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]["KeyId"]
    holds(signer.load(f"awskms:{key}"))


def test_what_aws_refuses_is_one_sentence(aws: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    del aws
    client = boto3.client("kms")
    made = client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    key = signer.load(f"awskms:{made}")
    client.schedule_key_deletion(KeyId=made)
    with pytest.raises(EvidenceError, match=f"awskms:{made} did not sign: "):
        statement.sign(SAID, key)
    with pytest.raises(EvidenceError, match=r"awskms:alias/none could not be opened: NotFoundException: ") as refused:
        signer.load("awskms:alias/none")
    assert "kms:GetPublicKey" in str(refused.value.fix)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(EvidenceError, match="NoRegionError"):
        signer.load("awskms:alias/none")
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"], "said once, by the error"


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1", "google-cloud-kms"),
        ("azurekms://northwind.vault.azure.net/keys/evidence", "azure-keyvault-keys"),
    ],
)
def test_a_library_that_is_not_installed_is_named(uri: str, package: str) -> None:
    with pytest.raises(EvidenceError, match="which is not installed") as refused:
        signer.load(uri)
    assert f"pip install {package}" == refused.value.fix


def test_an_azure_address_elsewhere_is_refused() -> None:
    with pytest.raises(EvidenceError, match="names no key"):
        signer.load("azurekms://evil.example/keys/evidence")
    assert {"hv", "awskms", "gcpkms", "azurekms"} == set(key_services.SCHEMES)
