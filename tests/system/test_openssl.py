"""One statement checked with nothing but openssl, as an auditor without our program would."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from countersign.evidence import signer, statement, verify
from countersign.evidence.store import FolderStore

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
