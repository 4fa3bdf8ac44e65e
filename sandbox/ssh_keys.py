"""SSH keys of people, and signatures made with `cryptography` alone, for machines without ssh-keygen; tests/system compares the two."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path

CURVES = {"nistp256": (ec.SECP256R1, hashes.SHA256), "nistp384": (ec.SECP384R1, hashes.SHA384), "nistp521": (ec.SECP521R1, hashes.SHA512)}


def wire(*parts: bytes) -> bytes:
    """Write strings as SSH does, each behind its length (RFC 4251)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def number(value: int) -> bytes:
    """Write a positive number as SSH does (RFC 4251, mpint)."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


class Key:
    """A private key of one of OpenSSH's kinds; `hardware` makes it one of a security key, `touched` or not."""

    def __init__(self, kind: str = "ed25519", *, hardware: bool = False, touched: bool = True, bits: int = 2048, sha: int = 512) -> None:
        self.kind, self.hardware, self.touched, self.sha = kind, hardware, touched, sha
        self.private: Any = (
            ed25519.Ed25519PrivateKey.generate() if kind == "ed25519"
            else rsa.generate_private_key(65537, bits) if kind == "rsa"
            else ec.generate_private_key(CURVES[kind][0]())
        )  # fmt: skip
        public: Any = self.private.public_key()
        if kind == "rsa":
            numbers: Any = public.public_numbers()
            self.name, parts = "ssh-rsa", [number(numbers.e), number(numbers.n)]
        elif kind == "ed25519":
            self.name, parts = "ssh-ed25519", [public.public_bytes(Encoding.Raw, PublicFormat.Raw)]
        else:
            self.name = f"ecdsa-sha2-{kind}"
            parts = [kind.encode(), public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)]
        if hardware:
            self.name, parts = f"sk-{self.name}@openssh.com", [*parts, b"ssh:"]
        self.blob = wire(self.name.encode(), *parts)

    def keep(self, path: Path) -> None:
        """Write the private key as OpenSSH keeps it, for its owner only; not for a key in hardware."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(self.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))

    def line(self, principals: str, options: str = "") -> str:
        """Give the line of allowed_signers for it."""
        return f"{principals} {options}{' ' if options else ''}{self.name} {base64.b64encode(self.blob).decode()}\n"

    def sign(self, message: bytes, namespace: str = "countersign") -> str:
        """Sign as `ssh-keygen -Y sign` does."""
        head = [namespace.encode(), b"", b"sha512"]
        signed = b"SSHSIG" + wire(*head, hashlib.sha512(message).digest())
        mark = b""
        if self.hardware:
            mark = bytes([int(self.touched)]) + (7).to_bytes(4, "big")
            signed = hashlib.sha256(b"ssh:").digest() + mark + hashlib.sha256(signed).digest()
        name, raw = self._raw(signed)
        blob = b"SSHSIG" + (1).to_bytes(4, "big") + wire(self.blob, *head, wire(name.encode(), raw) + mark)
        text = base64.b64encode(blob).decode()
        lines = [text[at : at + 70] for at in range(0, len(text), 70)]
        return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])

    def _raw(self, signed: bytes) -> tuple[str, bytes]:
        if self.kind == "ed25519":
            return self.name, self.private.sign(signed)
        if self.kind == "rsa":
            name = {1: "ssh-rsa", 256: "rsa-sha2-256", 512: "rsa-sha2-512"}[self.sha]
            hashed: Any = {1: hashes.SHA1, 256: hashes.SHA256, 512: hashes.SHA512}[self.sha]
            return name, self.private.sign(signed, padding.PKCS1v15(), hashed())
        r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(CURVES[self.kind][1]())))
        return self.name, wire(number(r), number(s))
