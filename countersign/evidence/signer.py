"""The key that signs evidence: made, loaded, and refused where others could read it."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from securesystemslib.signer import CryptoSigner, Signer, SSlibKey  # type: ignore[attr-defined]  # its public face, not re-exported

from countersign.errors import EvidenceError

__all__ = ["Signer", "keygen", "keyid", "load", "public_path"]


def keygen(path: Path) -> Path:
    """Make an Ed25519 key: the private half (PKCS#8 PEM, mode 0600) at `path`, the public half (PEM, 0644) beside it.

    Returns the public key's path. Never overwrites; a missing parent folder is made with mode 0700. Raises EvidenceError.
    """
    public = public_path(path)
    key = Ed25519PrivateKey.generate()
    made: list[Path] = []
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600, made)
        _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644, made)
    except OSError as error:
        for half in made:
            with suppress(OSError):
                half.unlink()
        if isinstance(error, FileExistsError):
            raise EvidenceError(
                f"{error.filename} exists already, and a key is never overwritten", fix="choose another name, or move the old key away"
            ) from error
        raise EvidenceError(
            f"the key could not be written to {path}: {error.strerror}", fix="check the folder's permissions and free space"
        ) from error
    return public


def public_path(path: Path) -> Path:
    """Where the public half of the private key at `path` lies: `.pub.pem` in place of `.pem`."""
    return path.with_name(path.name.removesuffix(".pem") + ".pub.pem")


def load(uri: str, folder: Path = Path()) -> Signer:
    """Load the signer that `uri` names: `file:PATH`, where a relative path starts at `folder`.

    Raises EvidenceError for another scheme, a key file that group or others may read, and anything but an unencrypted
    Ed25519 private key in PEM.
    """
    scheme, colon, name = uri.partition(":")
    if not colon or scheme != "file" or not name:
        raise EvidenceError(f"signer {scheme!r} is not in this version", fix="use signer: file:keys/evidence.pem")
    path = folder / name
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise EvidenceError(f"the key {path} can be read or changed by other accounts of this machine", fix=f"chmod 600 {path}")
            pem = file.read()
    except OSError as error:
        raise EvidenceError(f"the key {path} could not be read: {error.strerror}", fix=f"countersign keygen {path}") from error
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: a parser's message may quote what it read.
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise EvidenceError(f"{path} is no unencrypted Ed25519 private key in PEM", fix="make one: countersign keygen FILE")
    public = private.public_key()
    return CryptoSigner(private, SSlibKey.from_crypto(public, keyid(public), "ed25519"))


def keyid(public: Ed25519PublicKey) -> str:
    """SHA-256 (hex) of the DER SubjectPublicKeyInfo: `openssl pkey -pubin -outform DER | sha256sum` gives the same."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _write_new(path: Path, content: bytes, mode: int, made: list[Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made.append(path)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
