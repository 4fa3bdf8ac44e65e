"""OpenSSL's own authority and verifier: its tokens hold for us, and the stand-in's tokens hold for it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from cryptography import x509

from countersign.evidence.verify import check_timestamp
from sandbox.tsa import SandboxTsa

if TYPE_CHECKING:
    from pathlib import Path

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'
CONFIG = """
[tsa]
default_tsa = made
[made]
dir = .
serial = serial
default_policy = 1.3.6.1.4.1.32473.1
digests = sha256, sha384, sha512
ess_cert_id_chain = no
{more}
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


def openssl(folder: Path, *words: str) -> str:
    assert shutil.which("openssl") is not None, "openssl is missing: apt-get install openssl"
    done = subprocess.run(["openssl", *words], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def authority(folder: Path, key: str, more: str) -> x509.Certificate:
    (folder / "tsa.cnf").write_text(CONFIG.format(more=more))
    (folder / "serial").write_text("01\n")
    (folder / "statement").write_bytes(STATEMENT)
    new = ["-newkey", "rsa:2048"] if key == "rsa" else ["-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{key}"]
    openssl(
        folder,
        "req",
        "-x509",
        *new,
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=a root",
        "-days",
        "30",
        "-config",
        "tsa.cnf",
        "-extensions",
        "ca",
    )
    openssl(folder, "req", *new, "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=stamps", "-config", "/dev/null")
    openssl(
        folder, "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "leaf.pem", "-days", "20",
        "-extfile", "tsa.cnf", "-extensions", "leaf",
    )  # fmt: skip
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())


def reply(folder: Path, hashed: str = "sha256", *words: str) -> bytes:
    openssl(folder, "ts", "-query", "-data", "statement", f"-{hashed}", "-cert", "-out", "question.tsq")
    openssl(
        folder,
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-queryfile",
        "question.tsq",
        "-signer",
        "leaf.pem",
        "-inkey",
        "leaf.key",
        "-out",
        "answer.tsr",
        *words,
    )
    return (folder / "answer.tsr").read_bytes()


@pytest.mark.parametrize("key", ["rsa", "P-256", "P-384"])
@pytest.mark.parametrize(
    ("hashed", "more"),
    [
        ("sha256", "signer_digest = sha256"),
        ("sha512", "signer_digest = sha384\ness_cert_id_alg = sha512\naccuracy = secs:1, millisecs:500\nordering = yes\ntsa_name = yes"),
        ("sha384", "signer_digest = sha512\ness_cert_id_alg = sha1\nclock_precision_digits = 6"),
    ],
)
def test_what_openssl_stamps_holds_for_us(tmp_path: Path, key: str, hashed: str, more: str) -> None:
    root = authority(tmp_path, key, more)
    digest, now = hashlib.new(hashed, STATEMENT).digest(), datetime.now(UTC)
    for answer in (reply(tmp_path, hashed), reply(tmp_path, hashed, "-chain", "ca.pem"), reply(tmp_path, hashed, "-token_out")):
        assert abs(check_timestamp(answer, digest, [root], at=now) - now) < timedelta(minutes=1)
        with pytest.raises(ValueError, match="something else"):
            check_timestamp(answer, hashlib.sha256(b"another").digest(), [root], at=now)


def test_what_openssl_refuses_is_a_refusal(tmp_path: Path) -> None:
    root = authority(tmp_path, "P-256", "signer_digest = sha256")
    (tmp_path / "tsa.cnf").write_text((tmp_path / "tsa.cnf").read_text().replace("digests = sha256, ", "digests = "))
    with pytest.raises(ValueError, match=r"^the time-stamping authority refused$"):
        check_timestamp(reply(tmp_path), hashlib.sha256(STATEMENT).digest(), [root], at=None)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_what_the_stand_in_stamps_holds_for_openssl(tmp_path: Path, kind: str) -> None:
    (tmp_path / "statement").write_bytes(STATEMENT)
    openssl(tmp_path, "ts", "-query", "-data", "statement", "-sha256", "-cert", "-out", "question.tsq")
    with SandboxTsa(kind=kind) as tsa:  # type: ignore[arg-type]  # the parameters above
        question = (tmp_path / "question.tsq").read_bytes()
        answer = requests.post(tsa.address, data=question, headers={"Content-Type": "application/timestamp-query"}, timeout=30)
        (tmp_path / "answer.tsr").write_bytes(answer.content)
        (tmp_path / "ca.pem").write_bytes(tsa.ca)
    # With the question (its nonce too), and with the file alone, as an auditor has it.
    for asked in (("-queryfile", "question.tsq"), ("-data", "statement")):
        assert "Verification: OK" in openssl(tmp_path, "ts", "-verify", *asked, "-in", "answer.tsr", "-CAfile", "ca.pem")
    assert "Time stamp:" in openssl(tmp_path, "ts", "-reply", "-in", "answer.tsr", "-text")
