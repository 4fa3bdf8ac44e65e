"""One statement checked with nothing but openssl, as an auditor without our program would."""

import base64
import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.dsse import Envelope

from countersign.evidence import signer, statement, verify
from countersign.evidence.store import FolderStore
from countersign.export import verify_txt

NIGHT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


def openssl(*words: str | Path) -> bytes:
    assert shutil.which("openssl") is not None, "openssl is missing: apt-get install openssl"
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def test_openssl_alone_checks_a_statement_and_the_name_of_its_key(tmp_path: Path) -> None:
    public = signer.keygen(tmp_path / "evidence.pem")
    key = signer.load(f"file:{tmp_path / 'evidence.pem'}")
    store = FolderStore(tmp_path / "evidence", origin="northwind")
    with store.stage("r1") as staging:
        (staging.folder / "results.json").write_bytes(b"{}")
        sealed = store.seal(
            staging,
            lambda log: statement.build(
                run="r1",
                kind="reconcile",
                slot=None,
                started=NIGHT,
                finished=NIGHT,
                subjects=log.subjects,
                predicate_extra={},
                log=log.entry(),
            ),
            key,
        )
    envelope = verify.read_envelope(sealed.path / verify.STATEMENT)
    (tmp_path / "signed").write_bytes(verify.pae(envelope))
    (tmp_path / "signature").write_bytes(envelope.signatures[0][1])
    said = openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", tmp_path / "signed", "-sigfile", tmp_path / "signature"
    )  # fmt: skip
    assert b"Signature Verified Successfully" == said.strip()

    (tmp_path / "key.der").write_bytes(openssl("pkey", "-pubin", "-in", public, "-outform", "DER"))
    hashed = openssl("dgst", "-sha256", "-r", tmp_path / "key.der").split()[0].decode()
    assert hashed == key.public_key.keyid


KEYS: dict[verify_txt.Kind, Any] = {
    "ed25519": Ed25519PrivateKey.generate,
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-pss": lambda: rsa.generate_private_key(65537, 2048),
}
FILES = {"index.html": b"<!DOCTYPE html>", "ledger/leaves.txt": b"", "tickets/tickets.csv": b"key\r\n"}


def lines_to_type(text: str) -> str:
    """The lines of part 2 of VERIFY.txt, which begin with four spaces."""
    part = text.split("\n\n\n")[2]
    return "".join(f"{line.strip()}\n" for line in part.splitlines() if line.startswith("    "))


def typed(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-e", "-c", lines], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def unpacked(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A bundle's files and its statement, signed by a key of the kind asked for, whose public half lies beside the bundle."""
    private = KEYS[request.param]()
    (tmp_path / "k.pem").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "k.pem").chmod(0o600)
    (tmp_path / "k.pub.pem").write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    bundle = tmp_path / "a bundle"
    for name, content in FILES.items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(content)
    listed = [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}} for name, content in FILES.items()]
    body = {
        "_type": verify.STATEMENT_TYPE, "subject": listed, "predicateType": verify.BUNDLE_TYPE,
        "predicate": {"packed": {"index.html": "0" * 64}, "ledger": {"entries": [{"statement": "sha256:" + "1" * 64}]}},
    }  # fmt: skip
    envelope = Envelope(rfc8785.dumps(body), verify.PAYLOAD_TYPE, {})
    envelope.sign(signer.load(f"file:{tmp_path / 'k.pem'}"))
    (bundle / verify.BUNDLE).write_bytes(rfc8785.dumps(envelope.to_dict()))
    return bundle


@pytest.mark.parametrize(("kind", "unpacked"), [(kind, kind) for kind in KEYS], indirect=["unpacked"])
def test_the_lines_of_verify_txt_check_a_bundle(kind: verify_txt.Kind, unpacked: Path) -> None:
    key = verify.load_key((unpacked.parent / "k.pub.pem").read_bytes())
    assert kind == verify_txt.kind_of(key)
    text = verify_txt.text({"period": {"from": "2026-07-01", "to": "2026-09-30"}}, frozenset({kind}), key="../k.pub.pem")
    lines = lines_to_type(text)

    good = typed(lines, unpacked)
    said = "Signature Verified Successfully" if kind == "ed25519" else "Verified OK"
    assert (0, [said, verify.key_id(key), verify.key_id(key)], "") == (good.returncode, good.stdout.split("\n")[:-1], good.stderr)
    # It looked at every file that the statement lists, and at nothing else in it that looks like a digest.
    assert len(FILES) == len((unpacked / "files.sha256").read_text().splitlines())

    (unpacked / "tickets/tickets.csv").write_bytes(b"key\r\n2\r\n")
    changed = typed(lines, unpacked)
    assert (1, True) == (changed.returncode, "tickets/tickets.csv: FAILED" in changed.stdout)

    envelope = json.loads((unpacked / verify.BUNDLE).read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b"index.html", b"index.htm_")
    envelope["payload"] = base64.b64encode(payload).decode()
    (unpacked / verify.BUNDLE).write_bytes(rfc8785.dumps(envelope))
    forged = typed(lines, unpacked)
    assert (True, []) == (forged.returncode != 0, [line for line in forged.stdout.splitlines() if line == said])


def test_all_of_verify_txt_fits_on_a_terminal_and_shows_every_kind_of_key() -> None:
    text = verify_txt.text({"period": {"from": "2026-07-01", "to": "2026-09-30"}})
    assert all(len(line) <= 140 for line in text.splitlines())
    assert [text.isascii(), *(name in text for name in ("Ed25519", "P-256", "P-384", "RSA-PSS"))] == [True] * 5
