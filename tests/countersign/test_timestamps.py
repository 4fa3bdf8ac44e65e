"""RFC 3161 tokens: which are believed, and what an entry without one is told; asked of a real authority over HTTP."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from countersign import cli, scaffold
from countersign.clock import stamp as written
from countersign.evidence import signer, statement, timestamps
from countersign.evidence.store import FolderStore
from countersign.evidence.verify import STATEMENT, TIMESTAMP, check_timestamp, read_envelope, verify
from countersign.programme import load
from countersign.reconciliation import reconcile
from sandbox.tsa import Behaviour, SandboxTsa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHA256, SHA384, SHA512 = (f"2.16.840.1.101.3.4.2.{number}" for number in (1, 2, 3))
DIGEST = hashlib.sha256(b"a statement").digest()
MADE = datetime(2026, 11, 22, 2, 0, 4, 512_000, UTC)


@pytest.fixture(scope="module")
def tsa() -> Iterator[SandboxTsa]:
    with SandboxTsa() as running:
        yield running


@pytest.fixture(autouse=True)
def _behaves(tsa: SandboxTsa) -> Iterator[None]:
    yield
    tsa.behaviour = Behaviour()


def root(tsa: SandboxTsa) -> x509.Certificate:
    return x509.load_pem_x509_certificate(tsa.ca)


# What is believed


@pytest.mark.parametrize("kind", ["ec", "rsa", "rsa-pss"])
@pytest.mark.parametrize(("algorithm", "name"), [(SHA256, "sha256"), (SHA384, "sha384"), (SHA512, "sha512")])
def test_a_good_token_gives_its_time(kind: str, algorithm: str, name: str) -> None:
    with SandboxTsa(kind=kind) as tsa:  # type: ignore[arg-type]  # the parameters above
        digest = hashlib.new(name, b"a statement").digest()
        answer = tsa.stamp(algorithm, digest, MADE)
        assert MADE == check_timestamp(answer, digest, [root(tsa)], at=MADE)
        assert MADE.replace(microsecond=0) == check_timestamp(
            tsa.stamp(algorithm, digest, MADE.replace(microsecond=0)), digest, [root(tsa)], at=None
        )


def token_of(answer: bytes) -> bytes:
    """The TimeStampToken alone: what follows the status `30 03 02 01 00`."""
    return answer[answer.index(b"\x30\x03\x02\x01\x00") + 5 :]


def test_a_token_without_the_answer_around_it_is_one_too(tsa: SandboxTsa) -> None:
    assert MADE == check_timestamp(token_of(tsa.stamp(SHA256, DIGEST, MADE)), DIGEST, [root(tsa)], at=None)


def test_roots_may_be_several_and_hold_the_missing_certificate(tsa: SandboxTsa) -> None:
    with SandboxTsa() as other:
        assert MADE == check_timestamp(tsa.stamp(SHA256, DIGEST, MADE), DIGEST, [root(other), root(tsa)], at=None)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"digest": hashlib.sha256(b"another").digest()}, "the timestamp is one of something else"),
        ({"foreign": True}, "its signer's certificate does not come from a time-stamping authority that is trusted"),
        ({"with_certificates": False}, "the certificate of its signer is missing"),
        ({"made": datetime(1999, 1, 1, tzinfo=UTC)}, "a certificate was not valid at the time of the timestamp"),
        ({"made": MADE + timedelta(hours=1)}, "the timestamp says 2026-11-22T03:00:04Z, which is yet to come"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_reason(tsa: SandboxTsa, how: dict[str, Any], reason: str) -> None:
    told = {"digest": DIGEST, "made": MADE} | how
    answer = tsa.stamp(SHA256, told.pop("digest"), told.pop("made"), **told)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        check_timestamp(answer, DIGEST, [root(tsa)], at=MADE)


def test_the_digest_must_be_of_the_hash_that_the_token_names(tsa: SandboxTsa) -> None:
    with pytest.raises(ValueError, match="something else"):
        check_timestamp(tsa.stamp(SHA512, DIGEST, MADE), DIGEST, [root(tsa)], at=None)


def test_no_roots_believe_nothing(tsa: SandboxTsa) -> None:
    with pytest.raises(ValueError, match="not come from a time-stamping authority that is trusted"):
        check_timestamp(tsa.stamp(SHA256, DIGEST, MADE), DIGEST, [], at=None)


def test_a_refusal_and_an_answer_without_a_token_say_so(tsa: SandboxTsa) -> None:
    for answer, reason in [
        (b"\x30\x05\x30\x03\x02\x01\x02", "the time-stamping authority refused"),
        (b"\x30\x05\x30\x03\x02\x01\x00", "the answer holds no timestamp"),
        (b"", "broken timestamp: more or less in one place than there should be"),
        (b"\x30\x80\x00\x00", "broken timestamp: a length that is not written as DER wants it"),
        (b"\x30\x81\x05\x30\x03\x02\x01\x02", "broken timestamp: a length that is not written as DER wants it"),
        (tsa.stamp(SHA256, DIGEST, MADE) + b"\0", "broken timestamp: cut off"),
        (tsa.stamp(SHA256, DIGEST, MADE)[:-1], "broken timestamp: cut off"),
        (b"\x30" * 300_000, "larger than any timestamp"),
    ]:
        with pytest.raises(ValueError, match=f"^{reason}$"):
            check_timestamp(answer, DIGEST, [root(tsa)], at=None)


# Chains: certificates made here take the place of the stand-in's own.


@dataclass(frozen=True)
class Cert:
    """How a certificate of the chain is made; each default is what a good authority has."""

    ca: bool = True
    path: int | None = None
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    purposes_critical: bool = True
    valid: bool = True
    signs: bool = True
    odd: bool = False


LEAF = Cert(ca=False, purposes=(ExtendedKeyUsageOID.TIME_STAMPING,))


def chain(*made: Cert) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """Certificates from the root down, each issued by the one before it, and the key of the last."""
    certificates: list[x509.Certificate] = []
    issuer_key = key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority 0")])
    for depth, cert in enumerate(made):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {depth}")])
        key = issuer_key if depth == 0 else ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, cert.signs and cert.ca, False, False, False)  # noqa: FBT003 - its own order
        until = MADE + timedelta(days=1 if cert.valid else -1)
        builder = x509.CertificateBuilder(issuer, name, key.public_key(), depth + 1, MADE - timedelta(days=2), until)
        builder = builder.add_extension(x509.BasicConstraints(cert.ca, cert.path if cert.ca else None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        if cert.purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(cert.purposes)), critical=cert.purposes_critical)
        if cert.odd:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\5\0"), critical=True
            )
        certificates.append(builder.sign(issuer_key, hashes.SHA256()))
        issuer, issuer_key = name, key
    return certificates, key


def stamped_by(*made: Cert) -> tuple[bytes, x509.Certificate]:
    """An answer that brings the whole chain, and its root."""
    certificates, key = chain(*made)
    with SandboxTsa() as tsa:
        tsa._ours.key, tsa._ours.certificate = key, certificates[-1]
        held = b"".join(each.public_bytes(Encoding.DER) for each in certificates[::-1])
        lone = tsa._ours.certificate.public_bytes(Encoding.DER)
        answer = tsa.stamp(SHA256, DIGEST, MADE)
        # The lengths around the certificates are written anew, from the innermost out.
        return grown(answer, lone, held), certificates[0]


def grown(answer: bytes, part: bytes, instead: bytes) -> bytes:
    from sandbox.tsa import _der, _values

    def walk(data: bytes) -> bytes:
        if data == part:
            return instead
        return b"".join(
            instead if raw == part else _der(tag, walk(content)) if tag & 0x20 and part in content else raw
            for tag, content, raw in _values(data)
        )

    return walk(answer)


@pytest.mark.parametrize(
    "made",
    [
        (Cert(), LEAF),
        (Cert(), Cert(), LEAF),
        (Cert(path=1), Cert(path=0), LEAF),
        (Cert(), Cert(purposes=(ExtendedKeyUsageOID.TIME_STAMPING,)), LEAF),
        (Cert(), *[Cert()] * 6, LEAF),
    ],
)
def test_a_chain_that_leads_to_the_root_is_followed(made: tuple[Cert, ...]) -> None:
    answer, anchor = stamped_by(*made)
    assert MADE == check_timestamp(answer, DIGEST, [anchor], at=None)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ((Cert(), Cert(ca=False), LEAF), "a certificate above its signer's is not that of an authority"),
        ((Cert(path=0), Cert(), LEAF), "a certificate above its signer's is not that of an authority"),
        ((Cert(), Cert(signs=False), LEAF), "a certificate above its signer's may not sign certificates"),
        ((Cert(), Cert(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), LEAF), "a certificate above its signer's is not one for timestamps"),
        ((Cert(), Cert(valid=False), LEAF), "a certificate was not valid at the time of the timestamp"),
        ((Cert(valid=False), LEAF), "a certificate was not valid at the time of the timestamp"),
        ((Cert(), Cert(odd=True), LEAF), "a certificate has a critical extension that is not known here"),
        ((Cert(), Cert(ca=False)), "its signer's certificate is not one for timestamps and nothing else"),
        ((Cert(), Cert(ca=False, purposes=LEAF.purposes, purposes_critical=False)), "its signer's certificate is not one for timestamps and nothing else"),
        (
            (Cert(), Cert(ca=False, purposes=(*LEAF.purposes, ExtendedKeyUsageOID.CODE_SIGNING))),
            "its signer's certificate is not one for timestamps and nothing else",
        ),
        ((Cert(), *[Cert()] * 16, LEAF), "more certificates than any timestamp needs"),
    ],
)  # fmt: skip
def test_a_chain_that_breaks_a_rule_is_refused(made: tuple[Cert, ...], reason: str) -> None:
    answer, anchor = stamped_by(*made)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        check_timestamp(answer, DIGEST, [anchor], at=None)


def test_a_root_that_the_token_brings_itself_is_not_believed(tsa: SandboxTsa) -> None:
    answer, _ = stamped_by(Cert(), LEAF)
    with pytest.raises(ValueError, match="that is trusted"):
        check_timestamp(answer, DIGEST, [root(tsa)], at=None)


# Hostile bytes

FIXED = SandboxTsa(kind="rsa")
"""Not started: its tokens are made without the wire."""
GOOD = FIXED.stamp(SHA256, DIGEST, MADE)
FIXED._server.server_close()


def attempt(token: bytes) -> datetime | None:
    try:
        return check_timestamp(token, DIGEST, [root(FIXED)], at=None)
    except ValueError:
        return None


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_change_of_any_byte_never_gives_another_time() -> None:
    for place in range(len(GOOD)):
        for byte in {GOOD[place] ^ 1, GOOD[place] ^ 0x80, 0, 0xFF} - {GOOD[place]}:
            changed = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
            assert attempt(changed) in {None, MADE}, (place, byte)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
@example(b"\x30\x84\xff\xff\xff\xff")
@example(b"\x30\x80" * 2000)
def test_random_bytes_are_refused_and_nothing_else_is_raised(token: bytes) -> None:
    assert attempt(token) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_spliced_tokens_are_refused_or_say_the_same(data: st.DataObject) -> None:
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(GOOD))] * 2)))
    middle = data.draw(st.one_of(st.binary(max_size=20), st.integers(0, len(GOOD)).map(lambda at: GOOD[at : at + 200])))
    assert attempt(GOOD[:begin] + middle + GOOD[end:]) in {None, MADE}


# Asking


@dataclass
class Setting:
    url: str
    ca: Path
    within: timedelta = timedelta(minutes=15)


class Ledger:
    """A store with a clock of its own, whose entries say what the next ones of a programme would."""

    def __init__(self, folder: Path, tsa: SandboxTsa) -> None:
        (folder / "ca.pem").write_bytes(tsa.ca)
        signer.keygen(folder / "evidence.pem")
        self.config = Setting(tsa.address, folder / "ca.pem")
        self.store = FolderStore(folder / "evidence", origin="northwind")
        self._signer = signer.load(f"file:{folder / 'evidence.pem'}")
        self.told: list[str] = []

    def seal(self, ago: timedelta = timedelta(0)) -> dict[str, object]:
        """Seal an entry that ended so long ago; returns what it says about timestamps."""
        ended = datetime.now(UTC) - ago
        said = timestamps.said(self.store, self.config, ended)
        with self.store.stage(f"r{ended.timestamp()}") as staging:
            self.store.seal(
                staging,
                lambda log: statement.build(
                    run="r", kind="reconcile", slot=None, started=ended, finished=ended, subjects=log.subjects, predicate_extra=said, log=log.entry()
                ),
                self._signer,
            )  # fmt: skip
        return said

    def stamp(self, **how: Any) -> dict[int, str | None]:
        done = timestamps.stamp(self.store, self.config, now=lambda: datetime.now(UTC), tell=self.told.append, **how)
        return {each.sequence: each.why for each in done}

    def stamped(self) -> list[int]:
        return [sealed.sequence for sealed in self.store.entries() if (sealed.path / TIMESTAMP).exists()]


@pytest.fixture
def ledger(tmp_path: Path, tsa: SandboxTsa) -> Ledger:
    return Ledger(tmp_path, tsa)


def test_an_entry_gets_a_token_that_holds_once(ledger: Ledger, tsa: SandboxTsa) -> None:
    assert {"timestamps": True, "unstamped": []} == ledger.seal()
    assert {1: None} == ledger.stamp()
    assert {} == ledger.stamp()
    (sealed,) = ledger.store.entries()
    payload = read_envelope(sealed.path / STATEMENT).payload
    made = check_timestamp((sealed.path / TIMESTAMP).read_bytes(), hashlib.sha256(payload).digest(), [root(tsa)], at=datetime.now(UTC))
    assert [f"00000001 is stamped {written(made.replace(microsecond=0))}"] == ledger.told


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"refuses": True}, "the time-stamping authority refused"),
        ({"status": 503}, "answered with status 503"),
        ({"status": 302}, "answered with status 302"),
        ({"body": b"<html>", "status": 200}, "broken timestamp: cut off"),
        ({"body": b"0" * 300_000}, "answered with more than any timestamp"),
        ({"waits_s": 3600}, "did not answer within"),
        ({"other_digest": True}, "the timestamp is one of something else"),
        ({"ahead": timedelta(hours=2)}, "the time-stamping authority's clock says"),
        ({"ahead": timedelta(hours=-2)}, "the time-stamping authority's clock says"),
        ({"foreign": True}, "does not come from a time-stamping authority that is trusted"),
        ({"without_certificates": True}, "the certificate of its signer is missing"),
    ],
)
def test_an_authority_that_fails_leaves_the_entry_as_it_was(ledger: Ledger, tsa: SandboxTsa, how: dict[str, Any], reason: str) -> None:
    ledger.seal()
    tsa.behaviour = Behaviour(**how)
    why = ledger.stamp(wait=timedelta(seconds=0.5))[1]
    assert why is not None
    assert reason in why
    assert [] == ledger.stamped()
    tsa.behaviour = Behaviour()
    assert {1: None} == ledger.stamp()


def test_an_authority_that_is_not_there_is_asked_once(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.seal()
    ledger.config.url = "http://127.0.0.1:9/tsr"
    assert {"http://127.0.0.1:9/tsr could not be asked (ConnectionError)"} == set(ledger.stamp().values())


def test_roots_that_are_missing_or_broken_fail_nothing(ledger: Ledger) -> None:
    ledger.seal()
    ledger.config.ca.write_bytes(b"no PEM")
    assert "holds no certificates in PEM" in str(ledger.stamp()[1])
    ledger.config.ca.unlink()
    assert "cannot be read: No such file or directory" in str(ledger.stamp()[1])


def test_a_late_entry_waits_for_the_statement_that_declares_it(ledger: Ledger) -> None:
    ledger.seal(timedelta(days=8))
    ledger.seal(timedelta(hours=3))
    assert {2: "too late to be asked for before the next run has said that it is missing"} == ledger.stamp()
    assert {"timestamps": True, "unstamped": [2]} == ledger.seal()
    assert {3: None} == ledger.stamp(only=[3])
    assert {2: None} == ledger.stamp()
    assert [2, 3] == ledger.stamped()
    assert {"timestamps": True, "unstamped": []} == ledger.seal()
    ledger.stamp()
    report = verify(ledger.store.folder, [ledger.config.ca.with_name("evidence.pub.pem")], authorities=[ledger.config.ca])
    # The first was never declared, and nobody asked for it in time.
    assert ["00000001/timestamp.tsr"] == [problem.file for problem in report.problems]
    assert ["00000002/timestamp.tsr: late by 3:00:00 (h:mm:ss)"] == [
        check.detail.partition(",")[0] for check in report.checks if check.name == "timestamps" and check.state == "info"
    ]


def test_nothing_is_said_where_nothing_is_configured(ledger: Ledger) -> None:
    assert {} == timestamps.said(ledger.store, None, datetime.now(UTC))


def test_a_night_is_stamped_and_an_authority_that_is_down_costs_it_nothing(
    tmp_path: Path, tsa: SandboxTsa, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "programme"
    scaffold.init(folder)
    (folder / "ca.pem").write_bytes(tsa.ca)
    file = folder / "countersign.yaml"
    (line,) = (line for line in file.read_text().splitlines() if line.startswith("evidence:"))
    assert line.endswith("}")
    file.write_text(file.read_text().replace(line, f'{line[:-1]}, timestamps: {{url: "{tsa.address}", ca: ca.pem}}}}'))
    programme = load(folder)
    store = FolderStore(programme.evidence.store, origin=programme.customer)

    def ask() -> tuple[int, list[dict[str, Any]]]:
        code = cli.answer(["evidence", "stamp", "-p", str(folder), "--json"])
        return code, json.loads(capsys.readouterr().out)["entries"]

    assert (0, []) == ask()
    tsa.behaviour = Behaviour(refuses=True)
    first = reconcile(programme)
    assert not (first.evidence / TIMESTAMP).exists()
    assert (1, [{"sequence": 1, "at": None, "why": "the time-stamping authority refused"}]) == ask()
    tsa.behaviour = Behaviour()
    code, (entry,) = ask()
    assert (0, 1, None) == (code, entry["sequence"], entry["why"])
    assert (0, []) == ask()
    second = reconcile(programme)
    said = [statement.read(sealed.path / STATEMENT).predicate for sealed in store.entries()]
    assert [(True, []), (True, [])] == [(each["timestamps"], each["unstamped"]) for each in said]
    for result in (first, second):
        payload = read_envelope(result.evidence / STATEMENT).payload
        check_timestamp((result.evidence / TIMESTAMP).read_bytes(), hashlib.sha256(payload).digest(), [root(tsa)], at=datetime.now(UTC))
    assert verify(programme.evidence.store, [folder / "keys" / "evidence.pub.pem"], authorities=[folder / "ca.pem"]).ok
