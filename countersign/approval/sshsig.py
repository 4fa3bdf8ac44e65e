"""SSH signatures as `ssh-keygen -Y sign` makes them, taken apart and checked without OpenSSH.

The format is OpenSSH's PROTOCOL.sshsig; keys and raw signatures are those of RFC 8332, 8709 and 5656, and of PROTOCOL.u2f for
keys that live in hardware (`sk-`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

MAGIC = b"SSHSIG"
_ARMOUR = re.compile(r"\s*-----BEGIN SSH SIGNATURE-----\s*\n([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----\s*", re.ASCII)
_ECDSA: dict[str, type[SHA256 | SHA384 | SHA512]] = {"nistp256": SHA256, "nistp384": SHA384, "nistp521": SHA512}
_RSA: dict[str, type[SHA256 | SHA512]] = {"rsa-sha2-256": SHA256, "rsa-sha2-512": SHA512}
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
KEY_TYPES = (
    "ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-{curve}" for curve in _ECDSA),
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
"""Kinds of key whose signatures are taken; DSA and certificates are not among them."""
SMALLEST_RSA = 2048
_TOUCHED = 0x01


class SignatureRefusedError(ValueError):
    """The text is no signature, or one that proves nothing here; the message says why."""


@dataclass(frozen=True, slots=True)
class SshSignature:
    """A signature taken apart; nothing is checked yet."""

    key: bytes
    """The public key that is said to have made it, in SSH's wire format."""
    namespace: str
    hash_name: bytes
    reserved: bytes
    algorithm: str
    raw: bytes
    """What follows the algorithm's name: the signature itself, and for hardware keys flags and counter."""


def read(armoured: str) -> SshSignature:
    """Take apart the text of a `.sig` file. Raises SignatureRefusedError where it is none."""
    match = _ARMOUR.fullmatch(armoured)
    if match is None:
        raise SignatureRefusedError("it is not the text of an SSH signature")
    outer = _Wire(decoded("".join(match[1].split())))
    if outer.take(len(MAGIC)) != MAGIC or outer.number() != 1:
        raise SignatureRefusedError("it is an SSH signature of a version that is not known")
    key, namespace, reserved, hash_name, inner = (outer.string() for _ in range(5))
    outer.end()
    signed = _Wire(inner)
    return SshSignature(key, _text(namespace), hash_name, reserved, _text(signed.string()), signed.rest())


def check(signature: SshSignature, message: bytes, namespace: str) -> None:
    """Demand that the signature's own key made it over exactly this message. Raises SignatureRefusedError."""
    if signature.namespace != namespace:
        raise SignatureRefusedError("it was made for another purpose (namespace)")
    if signature.hash_name not in _HASHES:
        raise SignatureRefusedError("it uses a hash other than sha256 and sha512")
    digest = _HASHES[signature.hash_name](message).digest()
    parts = (signature.namespace.encode(), signature.reserved, signature.hash_name, digest)
    signed = MAGIC + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    try:
        _check(signature, signed)
    except (InvalidSignature, UnsupportedAlgorithm, NotImplementedError, ValueError) as error:
        # Our own refusals are ValueErrors as well; a library's words may not be for people.
        said = str(error) if isinstance(error, SignatureRefusedError) else "it does not match what was to be signed"
        raise SignatureRefusedError(said) from None


def key_type(key: bytes) -> str:
    """Return the kind of a public key in wire format. Raises SignatureRefusedError where it is not in KEY_TYPES."""
    kind = _text(_Wire(key).string())
    if kind not in KEY_TYPES:
        raise SignatureRefusedError("its key is of a kind that is not taken")
    return kind


def decoded(text: str) -> bytes:
    """Decode base64 that has nothing else in it. Raises SignatureRefusedError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SignatureRefusedError("it is not well-formed base64") from None


def _check(signature: SshSignature, signed: bytes) -> None:
    kind = key_type(signature.key)
    public = load_ssh_public_key(f"{kind} {base64.b64encode(signature.key).decode()}".encode())
    raw = _Wire(signature.raw)
    blob = raw.string()
    if kind.startswith("sk-"):
        mark = raw.take(5)  # one byte of flags, a counter of four
        if not mark[0] & _TOUCHED:
            raise SignatureRefusedError("the hardware key was not touched when it was made")
        signed = hashlib.sha256(_application(signature.key)).digest() + mark + hashlib.sha256(signed).digest()
    raw.end()
    if isinstance(public, RSAPublicKey):
        if signature.algorithm not in _RSA or public.key_size < SMALLEST_RSA:
            raise SignatureRefusedError(f"RSA is taken with SHA-2 and {SMALLEST_RSA} bits or more")
        public.verify(blob.rjust((public.key_size + 7) // 8, b"\0"), signed, PKCS1v15(), _RSA[signature.algorithm]())
        return
    if signature.algorithm != kind:
        raise SignatureRefusedError("it was not made by the kind of key that it names")
    if isinstance(public, EllipticCurvePublicKey):
        numbers = _Wire(blob)
        r, s = (int.from_bytes(numbers.string(), "big", signed=True) for _ in range(2))
        numbers.end()
        curve = kind.removeprefix("sk-").removesuffix("@openssh.com").removeprefix("ecdsa-sha2-")
        public.verify(encode_dss_signature(r, s), signed, ECDSA(_ECDSA[curve]()))
    elif isinstance(public, Ed25519PublicKey):
        public.verify(blob, signed)
    else:
        raise SignatureRefusedError("its key is of a kind that is not taken")


def _application(key: bytes) -> bytes:
    """Return what a hardware key was made for, such as `ssh:`: the last of its strings."""
    wire, last = _Wire(key), b""
    while wire.left():
        last = wire.string()
    return last


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise SignatureRefusedError("it holds a name that is not ASCII") from None


class _Wire:
    """Reads SSH's wire format (RFC 4251, section 5); raises SignatureRefusedError where the data ends too early or too late."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if self.left() < count:
            raise SignatureRefusedError("it is cut short")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def rest(self) -> bytes:
        return self.take(self.left())

    def left(self) -> int:
        return len(self._data) - self._at

    def end(self) -> None:
        if self.left():
            raise SignatureRefusedError("something follows where it should end")
