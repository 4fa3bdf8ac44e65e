"""The key that signs evidence: made, loaded from a file or a key service, and refused where others could read it."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, Signer, SSlibKey  # type: ignore[attr-defined]  # its public face, not re-exported

from countersign.errors import EvidenceError
from countersign.evidence import key_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

__all__ = ["SSlibKey", "Signer", "keygen", "keyid", "load", "public_path", "public_pem", "read_public", "signs", "write_public"]

_SMALLEST_RSA = 2048


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
    """Load the signer that `uri` names: `file:PATH`, where a relative path starts at `folder`, or a key of a service.

    Services: `hv:NAME[/VERSION]` (transit of Vault or OpenBao), `awskms:KEY`, `gcpkms:KEY VERSION`, `azurekms://VAULT/keys/KEY`;
    who may use the key comes from the environment, as each service's own tools read it. Its signatures are Ed25519, ECDSA (P-256
    with SHA-256, P-384 with SHA-384; DER) or RSA-PSS with SHA-256. Raises EvidenceError for another scheme, a key file that group
    or others may read, a private key that is encrypted or of another kind, and a service that does not answer or refuses.
    """
    scheme, colon, name = uri.partition(":")
    if not colon or not name or scheme not in {"file", *key_services.SCHEMES}:
        raise EvidenceError(
            f"there is no signer {uri!r}", fix="use file:PATH, hv:NAME, awskms:KEY, gcpkms:KEY or azurekms://VAULT/keys/KEY"
        )
    if scheme != "file":
        return key_services.open_key(uri, scheme, name, _known_as(uri))
    path = folder / name
    private = _read_private(path)
    key = None if private is None else _known(private.public_key())
    if private is None or key is None:
        raise EvidenceError(
            f"{path} is no unencrypted private key in PEM that evidence is signed with",
            fix="make one: countersign keygen FILE (Ed25519; ECDSA P-256 and P-384, and RSA from 2048 bits, are taken too)",
        )
    return CryptoSigner(private, key)


def keyid(public: PublicKeyTypes) -> str:
    """SHA-256 (hex) of the DER SubjectPublicKeyInfo: `openssl pkey -pubin -outform DER | sha256sum` gives the same."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def public_pem(signer: Signer) -> bytes:
    """Return a signer's public key as PEM (SubjectPublicKeyInfo), for auditors; securesystemslib keeps Ed25519 as raw hex."""
    key = signer.public_key
    if key.keytype == "ed25519":
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"])).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
    return load_pem_public_key(key.keyval["public"].encode()).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def write_public(signer: Signer, path: Path) -> None:
    """Write a signer's public key (PEM, 0644) to a new file. A file with the same key may be there; raises EvidenceError for another."""
    pem = public_pem(signer)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, pem, 0o644, [])
    except FileExistsError:
        if path.read_bytes() != pem:
            raise EvidenceError(f"{path} exists already and is another key", fix="choose another name") from None
    except OSError as error:
        raise EvidenceError(f"the key could not be written to {path}: {error.strerror}", fix="check the folder's permissions") from error


def read_public(path: Path) -> SSlibKey:
    """Read a public key (PEM file) that may have signed evidence. Raises EvidenceError."""
    try:
        key = _known(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise EvidenceError(f"the key {path} could not be read: {error.strerror}", fix="check the file's permissions") from error
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if key is None:
        raise EvidenceError(f"{path} is no public key in PEM that evidence is signed with", fix="take it away, or correct it")
    return key


def signs(key: SSlibKey, signature: bytes, covered: bytes) -> bool:
    """Whether a signature is that of a key over some bytes."""
    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), covered)
    except UnverifiedSignatureError:
        return False
    return True


def _read_private(path: Path) -> PrivateKeyTypes | None:
    """Read a key file; None where it is no unencrypted private key."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise EvidenceError(f"the key {path} can be read or changed by other accounts of this machine", fix=f"chmod 600 {path}")
            pem = file.read()
    except OSError as error:
        raise EvidenceError(f"the key {path} could not be read: {error.strerror}", fix=f"countersign keygen {path}") from error
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: a parser's message may quote what it read.
        return None


def _known(public: PublicKeyTypes) -> SSlibKey | None:
    """Put a public key under our key id and the scheme that verifiers expect of its kind; None for a kind that none expects."""
    if isinstance(public, Ed25519PublicKey):
        scheme = "ed25519"
    elif isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        scheme = "ecdsa-sha2-nistp256"
    elif isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP384R1):
        scheme = "ecdsa-sha2-nistp384"
    elif isinstance(public, RSAPublicKey) and public.key_size >= _SMALLEST_RSA:
        scheme = "rsassa-pss-sha256"
    else:
        return None
    return SSlibKey.from_crypto(public, keyid(public), scheme)


def _known_as(uri: str) -> Callable[[PublicKeyTypes], SSlibKey]:
    def known(public: PublicKeyTypes) -> SSlibKey:
        key = _known(public)
        if key is None:
            raise EvidenceError(
                f"{uri} is a key of a kind that evidence is not signed with",
                fix="use Ed25519, ECDSA on P-256 or P-384, or RSA from 2048 bits",
            )
        return key

    return known


def _write_new(path: Path, content: bytes, mode: int, made: list[Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made.append(path)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
