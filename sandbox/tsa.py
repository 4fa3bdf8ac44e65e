"""A time-stamping authority over HTTP with an authority of its own (RFC 3161), which can also be told to misbehave."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.certificates import started, usage

if TYPE_CHECKING:
    from types import TracebackType

KeyKind = Literal["ec", "rsa", "rsa-pss"]
_LIVES = timedelta(days=3650)
_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.16.2.47"
_SHA256, _POLICY = "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.32473.1.1"
"""The policy is one of the numbers that are kept for documents (RFC 5612)."""
_GRANTED, _REJECTION = 0, 2
_DIGEST_BYTES = {"2.16.840.1.101.3.4.2.1": 32, "2.16.840.1.101.3.4.2.2": 48, "2.16.840.1.101.3.4.2.3": 64}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the authority does with the next questions; the default is what a good one does."""

    refuses: bool = False
    """Answer properly that there is no timestamp."""
    status: int = 200
    """HTTP status; anything but 200 comes without a timestamp."""
    waits_s: float = 0
    """Seconds before it answers; it stops waiting when the authority ends."""
    other_digest: bool = False
    """Stamp something that nobody asked about."""
    ahead: timedelta = timedelta(0)
    """How far its clock is ahead; negative: behind."""
    foreign: bool = False
    """Sign with the key of an authority that looks the same and is another."""
    without_certificates: bool = False
    body: bytes | None = None
    """Answer with this instead of anything."""


class _Authority:
    """A root and one certificate for timestamps under it."""

    def __init__(self, kind: KeyKind) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        self.key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        )
        self.pss = kind == "rsa-pss"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Countersign sandbox time authority")])
        root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
        self.root = (
            started(name, name, root_key.public_key(), _LIVES)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(signs_certificates=True), critical=True)
            .add_extension(root_id, critical=False)
            .sign(root_key, hashes.SHA256())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Countersign sandbox time stamps")])
        self.certificate = (
            started(subject, name, self.key.public_key(), _LIVES)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), critical=False)
            .sign(root_key, hashes.SHA256())
        )

    def sign(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the AlgorithmIdentifier and the signature."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return _sequence(_oid("1.2.840.10045.4.3.2")), self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        if not self.pss:
            return _sequence(_oid("1.2.840.113549.1.1.1"), _NULL), self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        hashed = _algorithm(_SHA256)
        mask = _sequence(_oid("1.2.840.113549.1.1.8"), hashed)
        parameters = _sequence(_der(0xA0, hashed), _der(0xA1, mask), _der(0xA2, _integer(32)))
        signature = self.key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return _sequence(_oid("1.2.840.113549.1.1.10"), parameters), signature


class SandboxTsa:
    """The authority, listening on the loopback for a `with` block; its keys are made at the start and forgotten at the end."""

    def __init__(self, *, kind: KeyKind = "ec", port: int = 0) -> None:
        """Take the kind of key that signs timestamps, and a port, 0 for any free one."""
        self.behaviour = Behaviour()
        self.asked = 0
        """How many questions came."""
        self._ours = _Authority(kind)
        self._other = _Authority("ec")
        self._serials = itertools.count(1)
        self._ending = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self.address = f"http://127.0.0.1:{self._server.server_port}/tsr"
        self.ca: bytes = self._ours.root.public_bytes(serialization.Encoding.PEM)
        """The root's certificate, PEM."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, question: bytes) -> tuple[int, bytes]:
        """Return an HTTP status and a TimeStampResp for a TimeStampReq."""
        told = self.behaviour
        self.asked += 1
        if told.waits_s:
            self._ending.wait(told.waits_s)
        if told.body is not None or told.status != 200:  # noqa: PLR2004 - OK
            return told.status, told.body or b""
        try:
            algorithm, digest, nonce, wants_certificates = _read_question(question)
        except (ValueError, IndexError):
            return 200, _refusal("badDataFormat", 5)
        if told.refuses:
            return 200, _refusal("not today", 25)
        if told.other_digest:
            digest = hashlib.sha256(b"something else").digest()
            algorithm = _SHA256
        with_certificates = wants_certificates and not told.without_certificates
        made = datetime.now(UTC) + told.ahead
        return 200, self.stamp(algorithm, digest, made, nonce=nonce, with_certificates=with_certificates, foreign=told.foreign)

    def stamp(  # noqa: PLR0913 - what a timestamp is made of
        self,
        algorithm: str,
        digest: bytes,
        made: datetime,
        *,
        nonce: bytes = b"",
        with_certificates: bool = True,
        foreign: bool = False,
    ) -> bytes:
        """Make a TimeStampResp; `algorithm` is the OID of the hash, `nonce` a whole INTEGER or nothing."""
        by = self._other if foreign else self._ours
        info = _sequence(
            _integer(1),
            _oid(_POLICY),
            _sequence(_algorithm(algorithm), _octets(digest)),
            _integer(next(self._serials)),
            _time(made),
            _sequence(_integer(1)),
            nonce,
        )
        der = by.certificate.public_bytes(serialization.Encoding.DER)
        attributes = _set_content(
            _attribute(_CONTENT_TYPE, _oid(_TST_INFO)),
            _attribute(_MESSAGE_DIGEST, _octets(hashlib.sha256(info).digest())),
            _attribute(_SIGNING_CERTIFICATE, _sequence(_sequence(_sequence(_octets(hashlib.sha256(der).digest()))))),
        )
        algorithm_of_signature, signature = by.sign(_der(0x31, attributes))
        signer = _sequence(
            _integer(1),
            _sequence(by.certificate.issuer.public_bytes(), _integer(by.certificate.serial_number)),
            _algorithm(_SHA256),
            _der(0xA0, attributes),
            algorithm_of_signature,
            _octets(signature),
        )
        signed = _sequence(
            _integer(3),
            _der(0x31, _algorithm(_SHA256)),
            _sequence(_oid(_TST_INFO), _der(0xA0, _octets(info))),
            _der(0xA0, der) if with_certificates else b"",
            _der(0x31, signer),
        )
        return _sequence(_sequence(_integer(_GRANTED)), _sequence(_oid(_SIGNED_DATA), _der(0xA0, signed)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], tsa: SandboxTsa) -> None:
        super().__init__(address, _Handler)
        self.tsa = tsa


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer a question (RFC 3161 section 3.4)."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 65536))
        asked = self.headers.get("Content-Type") == "application/timestamp-query"
        status, answer = self.server.tsa.answer(body) if asked else (415, b"")
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except ConnectionError:
            # Whoever asked has stopped waiting.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: the test or the demo that started this speaks for it."""


def _read_question(question: bytes) -> tuple[str, bytes, bytes, bool]:
    """Return hash, digest, nonce (a whole INTEGER, or nothing) and whether certificates are wanted. Raises ValueError or IndexError."""
    ((tag, content, _),) = _values(question)
    version, imprint, *rest = _values(content)
    (_, algorithm, _), (_, digest, _) = _values(imprint[1])
    oid = next((oid for oid in _DIGEST_BYTES if _oid(oid) == _values(algorithm)[0][2]), None)
    if tag != 0x30 or version[1] != b"\1" or oid is None or len(digest) != _DIGEST_BYTES[oid]:  # noqa: PLR2004 - SEQUENCE
        raise ValueError("not a question that can be answered")
    nonce = next((raw for tag, _, raw in rest if tag == 0x02), b"")  # noqa: PLR2004 - INTEGER
    return oid, digest, nonce, any(tag == 0x01 and content != b"\0" for tag, content, _ in rest)


def _values(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Read (tag, content, whole) of each DER value, one after the other. Raises IndexError or ValueError."""
    found, at = [], 0
    while at < len(data):
        size = data[at + 1] - 0x80 if data[at + 1] > 0x80 else 0  # noqa: PLR2004 - the long form of a length
        length = int.from_bytes(data[at + 2 : at + 2 + size], "big") if size else data[at + 1]
        end = at + 2 + size + length
        if end > len(data):
            raise ValueError("cut off")
        found.append((data[at], data[end - length : end], data[at:end]))
        at = end
    return found


def _refusal(text: str, bit: int) -> bytes:
    """Write a TimeStampResp without a timestamp; `bit` is the PKIFailureInfo (RFC 3161 section 2.4.2)."""
    bits = bytearray(4)
    bits[bit // 8] |= 0x80 >> bit % 8
    held = bytes(bits[: bit // 8 + 1])
    failure = _der(0x03, bytes([7 - bit % 8]) + held)
    return _sequence(_sequence(_integer(_REJECTION), _sequence(_der(0x0C, text.encode())), failure))


_NULL = b"\5\0"


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:  # noqa: PLR2004 - the short form of a length
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, *parts)


def _set_content(*parts: bytes) -> bytes:
    return b"".join(sorted(parts))


def _attribute(oid: str, value: bytes) -> bytes:
    return _sequence(_oid(oid), _der(0x31, value))


def _algorithm(oid: str) -> bytes:
    return _sequence(_oid(oid), _NULL)


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def _octets(content: bytes) -> bytes:
    return _der(0x04, content)


def _time(when: datetime) -> bytes:
    text = f"{when.astimezone(UTC):%Y%m%d%H%M%S.%f}".rstrip("0").rstrip(".")
    return _der(0x18, f"{text}Z".encode())


def _oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    content = bytearray()
    for number in (40 * first + second, *rest):
        sevens = [number & 0x7F]
        while number := number >> 7:
            sevens.insert(0, 0x80 | number & 0x7F)
        content += bytes(sevens)
    return _der(0x06, bytes(content))
