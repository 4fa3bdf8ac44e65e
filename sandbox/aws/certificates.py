"""X.509 certificates for the sandbox's users, servers and devices; whoever holds their key could use it, and nobody keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

YEAR = timedelta(days=365)


def certificate(common_name: str, since: datetime, until: datetime | None = None, *, issuer: str | None = None) -> str:
    """Make a certificate as PEM, valid for a year unless said otherwise; without `issuer` it names itself."""
    subject, issued_by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]) for name in (common_name, issuer or common_name))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since.astimezone(UTC))
        .not_valid_after((until or since + YEAR).astimezone(UTC))
        .sign(_key(), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


@cache
def _key() -> EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
