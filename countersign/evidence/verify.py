"""Check sealed runs, evidence folders, bundles and offboarding certificates against public keys, trusting nobody: one file, reading only.

It needs Python 3.11 or later, the standard library and `cryptography`, and nothing else of this program, so that it can be kept and
run alone: `python verify.py BUNDLE --key PUB.pem`. Keep a copy that did not come with the evidence, and compare its digest.

What holds a bundle's ZIP together: its signed statement lists the SHA-256 of every other file, and of the deflated bytes of each,
since one content can be deflated in many ways; and every header of the ZIP is made again from names, sizes and sums and compared
byte by byte. So no byte of the ZIP is free to change.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import math
import mmap
import os
import re
import struct
import sys
import unicodedata
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:countersign:run:v1"
STATEMENT = "statement.dsse.json"
INTENT = "intent.dsse.json"
INTENT_SUFFIX = "-intent"
STAGING = ".staging"
CHECKPOINT = "checkpoint"
"""In each run's folder: the signed root of the tree that ends with this run."""
TIMESTAMP = "timestamp.tsr"
"""In a run's folder, perhaps later than the rest: an RFC 3161 token over the statement's payload."""
BUNDLE = "bundle.dsse.json"
"""At the top of an auditor's bundle: the signed statement over all its other files."""
BUNDLE_TYPE = "urn:countersign:export:v1"
"""Predicate type of that statement."""
CERTIFICATE = "certificate.dsse.json"
"""In the run of an offboarding that was verified: its signed certificate, which can also be checked alone."""
CERTIFICATE_TYPE = "urn:countersign:offboarding:v1"
"""Predicate type of a certificate."""
PLAN, STEPS = "plan.json", "steps.json"
"""What a certificate is about: the plan that was approved, and what came of each of its steps."""
LEAVES = "ledger/leaves.txt"
"""In a bundle: the tree's leaf hashes from the first run on, one hex line each."""
LARGEST_ZIP = 0xFFFFFFFF
"""Bytes of a ZIP and of each file in it: more needs ZIP64, which bundles do not use."""
MOST_ZIPPED = 65_000
"""Files in a ZIP."""
LARGEST_UNPACKED = 16 * 1024**3
"""Bytes of all files of a bundle together."""
WITHIN = timedelta(minutes=15)
"""How far a timestamp may be from the end of its run."""
LATEST = timedelta(days=7)
"""How late it may be where a later statement said that it could not be had in time."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s2B5H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LARGEST_STATEMENT = 64 * 1024 * 1024
_LARGEST_NOTE = 64 * 1024
_SMALLEST_RSA = 2048
_MOST_PROBLEMS = 1000
_LONGEST_TEXT = 500
_CHUNK = 1024 * 1024
_BESIDE = frozenset({STATEMENT, CHECKPOINT, TIMESTAMP})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZIPPED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LONGEST_ZIPPED = 200
_LINK = 0o12

CheckName = Literal["keys", "bundle", "signatures", "files", "certificates", "chain", "checkpoints", "timestamps", "disposals", "coverage"]
_NAMES: tuple[CheckName, ...] = (
    "keys", "bundle", "signatures", "files", "certificates", "chain", "checkpoints", "timestamps", "disposals", "coverage",
)  # fmt: skip

PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
"""Kinds of key that sign evidence: Ed25519, ECDSA on P-256 or P-384, RSA-PSS from 2048 bits on."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["pass", "fail", "info", "gap"]
    """`info` says what was not or could not be checked, and is no pass; `gap` names days without a judged run, and is no failure."""
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One reason why the evidence does not hold."""

    file: str
    """Path from what was checked; characters that do not print are written as escapes."""
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome; `ok` only where there is no problem at all."""

    ok: bool
    checks: tuple[Check, ...]
    problems: tuple[VerifyProblem, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope in the one form that we write, its signature not yet checked."""

    payload: bytes
    payload_type: str
    signatures: tuple[tuple[str, bytes], ...]
    """(keyid, signature)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says; authentic only where its envelope's signature was checked."""

    digest: str
    """`sha256:<hex>` of the payload."""
    run: str
    kind: str
    origin: str
    sequence: int | None
    """None for an intent."""
    previous: str | None
    """Digest of the statement before it; None before the first run."""
    subjects: Mapping[str, str]
    """Path inside the run to SHA-256 hex."""
    predicate: Mapping[str, Any]
    """All that is said of the run, as signed."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a checkpoint says (https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint); its signature is not yet checked."""

    origin: str
    size: int
    """Statements in the tree."""
    root: bytes
    text: bytes
    """What the signature covers."""
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Run:
    """One run whose statement is authentic: what the checks over the whole chain need of it."""

    place: str
    """Its folder's path from what is checked; empty where that is this folder alone."""
    digest: str
    payload_hash: bytes
    leaf: bytes
    keyid: str
    origin: str
    sequence: int
    previous: str | None
    intent_previous: str | None
    run: str
    kind: str
    slot: str | None
    state: str | None
    as_of: str | None
    finished: str
    judged: bool
    retain_until: datetime | None
    wants_timestamp: bool
    unstamped: frozenset[int]
    disposed: tuple[_Disposed, ...]
    hold: tuple[str, int, int] | None
    """(id, first, last) of a hold; (id, 0, 0) of a release."""
    new_key: str | None
    subjects: Mapping[str, str]
    note: bytes | None
    token: bytes | None
    absent: tuple[str, ...] = ()
    """Files that the statement lists and that are not there."""

    def at(self, name: str) -> str:
        """Path of one of its files."""
        return _join(self.place, name)

    @property
    def ended(self) -> datetime:
        """When it was finished (UTC)."""
        return _time(self.finished)

    @property
    def day(self) -> date:
        """The day (UTC) that it is the run of."""
        return _time(self.as_of or self.finished).date()


@dataclass(frozen=True, slots=True)
class _Disposed:
    """What a tombstone says of one run."""

    sequence: int
    statement: str
    files: Mapping[str, str]
    retain_until: datetime | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the reader knows and expects, beyond the keys."""

    first: int
    expect_head: str | None
    checkpoint: Path | None
    begin: date | None
    end: date | None
    roots: tuple[x509.Certificate, ...] | None
    """None: no authority was given, so tokens are not checked."""


@dataclass(slots=True)
class _Notes:
    """Problems and counts, gathered while reading."""

    problems: list[VerifyProblem] = field(default_factory=list)
    failed: set[CheckName] = field(default_factory=set)
    infos: list[Check] = field(default_factory=list)
    said: dict[CheckName, str] = field(default_factory=dict)
    statements: int = 0
    files: int = 0
    certificates: int = 0

    def problem(self, check: CheckName, file: str, what: str) -> None:
        self.failed.add(check)
        self._keep(VerifyProblem(_printable(file), _printable(what)))

    def info(self, name: CheckName | Literal["staging"], detail: str, state: Literal["info", "gap"] = "info") -> None:
        if len(self.infos) < _MOST_PROBLEMS:
            self.infos.append(Check(name, state, _printable(detail)))

    def take(self, other: _Notes) -> None:
        """Add what was noted of one run."""
        self.failed |= other.failed
        for problem in other.problems:
            self._keep(problem)
        self.infos += other.infos[: max(0, _MOST_PROBLEMS - len(self.infos))]
        self.statements += other.statements
        self.files += other.files
        self.certificates += other.certificates

    def report(self) -> Report:
        self.said["signatures"] = f"{self.statements} statements signed by one of the keys"
        self.said.setdefault("files", f"{self.files} files as signed, and no others")
        if self.certificates:
            self.said.setdefault("certificates", f"{self.certificates} certificates of offboardings, each in agreement with itself")
        checks = tuple(
            Check(name, "fail" if name in self.failed else "pass", "see the problems" if name in self.failed else self.said[name])
            for name in _NAMES
            if name in self.failed or name in self.said
        )
        return Report(not self.problems, (*checks, *self.infos), tuple(self.problems))

    def _keep(self, problem: VerifyProblem) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)
        elif len(self.problems) == _MOST_PROBLEMS:
            self.problems.append(VerifyProblem("", f"more than {_MOST_PROBLEMS} problems: the others are not listed"))


def verify(  # noqa: PLR0913  # one keyword for each thing that a reader may know
    path: Path,
    public_keys: Sequence[Path],
    *,
    first: int = 1,
    expect_head: str | None = None,
    checkpoint: Path | None = None,
    begin: date | None = None,
    end: date | None = None,
    authorities: Sequence[Path] = (),
) -> Report:
    """Check an auditor's bundle (ZIP or unpacked), a whole evidence folder with its chain, one run folder, or one certificate.

    `first` is the sequence that an evidence folder must begin with. `expect_head` is the statement digest (`sha256:<hex>`) of a run
    that the reader knows to have been sealed, `checkpoint` a file with a checkpoint that the reader kept: without one of them, nobody
    can see that the last runs were removed or that all was sealed again by somebody who has the key. `begin` and `end` are the first
    and last day (UTC) that the evidence must be about; None, both: no expectation. `authorities` are PEM files of the roots whose
    timestamps are believed; empty: tokens are not checked. Whatever does not hold is a problem in the report; nothing is raised.
    """
    notes = _Notes()
    keys = _load_keys(public_keys, notes)
    asked = _Asked(first, expect_head, checkpoint, begin, end, _load_roots(authorities, notes) if authorities else None)
    if expect_head is not None and not _DIGEST.fullmatch(expect_head):
        notes.problem("chain", "", "the expected head is not a digest of the form sha256:<64 hex digits>")
    if (begin is None) != (end is None) or (begin is not None and end is not None and begin > end):
        notes.problem("coverage", "", "a period has a first and a last day, in this order")
        asked = _Asked(first, expect_head, checkpoint, None, None, asked.roots)
    try:
        if path.is_dir() and ((path / BUNDLE).exists() or (path / BUNDLE).is_symlink()):
            _check_bundle(_Unpacked(path), keys, asked, notes)
        elif path.is_file():
            with path.open("rb") as file:
                if file.read(1) == b"{":
                    _check_certificate_alone(path, keys, asked, notes)
                else:
                    _check_zip(file.fileno(), keys, asked, notes)
        elif not path.is_dir():
            notes.problem("files", "", "this is neither a folder of evidence nor a bundle")
        elif _is_run(path):
            _check_one(path, keys, asked, notes)
        else:
            _check_folder(path, keys, asked, notes)
    except OSError as error:
        notes.problem("files", "", f"the evidence cannot be read: {error.strerror}")
    return notes.report()


def report_text(report: Report, path: Path) -> str:
    """Write a report as lines of plain text: the checks, the problems, and whether the evidence holds."""
    rows = [("check", "result", ""), *((check.name, check.state, check.detail) for check in report.checks)]
    lines = [f"{name:<12} {state:<6} {detail}".rstrip() for name, state, detail in rows]
    lines += ["", *(f"{problem.file or _printable(str(path))}: {problem.what}" for problem in report.problems)]
    return "\n".join([*lines, "The evidence holds." if report.ok else "The evidence does not hold.", ""])


def report_document(report: Report) -> dict[str, object]:
    """Return a report as what `--json` prints."""
    return {
        "ok": report.ok,
        "checks": [{"name": check.name, "state": check.state, "detail": check.detail} for check in report.checks],
        "problems": [{"file": problem.file, "what": problem.what} for problem in report.problems],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names; returns 0 where everything holds, 1 where something does not (2: argparse's usage error)."""
    parser = argparse.ArgumentParser(
        prog="verify.py",
        description="Check an auditor's bundle, a folder of evidence, one run in it, or a certificate. Reads only; needs no network. "
        "Exit code 0: everything holds; 1: something does not; 2: the command line is wrong.",
    )
    parser.add_argument(
        "path", type=Path, metavar="PATH", help="a bundle (ZIP or unpacked), a folder of evidence, one run in it, or a certificate"
    )
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        required=True,
        metavar="PUB.pem",
        help="public key that signed it; repeat after a change of keys",
    )
    parser.add_argument("--checkpoint", type=Path, metavar="OLD", help="a checkpoint that you kept: nothing up to it may have changed")
    parser.add_argument("--from", dest="begin", type=day_of, metavar="DAY", help="first day (UTC) that the evidence must be about")
    parser.add_argument("--to", dest="end", type=day_of, metavar="DAY", help="last day (UTC) that the evidence must be about")
    parser.add_argument("--tsa-ca", type=Path, action="append", default=[], metavar="CA.pem", help="root whose timestamps you believe")
    parser.add_argument("--expect-head", metavar="DIGEST", help="digest (sha256:...) of a run that you know was sealed")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="number of the first run that is still kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args(arguments)
    if (asked.begin is None) != (asked.end is None):
        parser.error("--from and --to go together")
    report = verify(
        asked.path,
        asked.key,
        first=asked.first,
        expect_head=asked.expect_head,
        checkpoint=asked.checkpoint,
        begin=asked.begin,
        end=asked.end,
        authorities=asked.tsa_ca,
    )
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    sys.stdout.write(json.dumps(report_document(report), indent=2) + "\n" if asked.json else report_text(report, asked.path))
    return 0 if report.ok else 1


def day_of(text: str) -> date:
    """Read a day such as 2026-11-22; raises ValueError for anything else."""
    if not _DAY.fullmatch(text):
        raise ValueError("not a day such as 2026-11-22")
    return date.fromisoformat(text)


def digest(payload: bytes) -> str:
    """`sha256:<hex>` of a statement's payload, as the next statement names it."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def run_folder(sequence: int) -> str:
    """Name of the folder of a sealed run."""
    return f"{sequence:08d}"


def run_folder_name(path: Path) -> str:
    """Name of a folder, also where it was given as `.` or through a link."""
    return path.resolve().name


def is_portable(name: str) -> bool:
    """Whether a path of a file inside a run is relative, stays inside, and can be said in JSON."""
    return all(part not in {"", ".", ".."} for part in name.split("/")) and not any(
        character == "\\" or unicodedata.category(character) in {"Cc", "Cs"} for character in name
    )


def pae(envelope: Envelope) -> bytes:
    """Return the bytes that a DSSE signature covers (pre-authentication encoding, DSSE protocol v1)."""
    kind = envelope.payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(envelope.payload), envelope.payload)


def read_envelope(path: Path) -> Envelope:
    """Read an envelope file as `envelope_of` does; raises OSError as `open` does."""
    with path.open("rb") as file:
        return envelope_of(file.read(_LARGEST_STATEMENT + 1))


def envelope_of(raw: bytes) -> Envelope:
    """Read an envelope; raises ValueError where it is not exactly in the form that we write.

    One form only, so that no byte of the file can change unseen: keys sorted, no spaces, canonical base64.
    """
    if len(raw) > _LARGEST_STATEMENT:
        raise ValueError("larger than any statement")
    body = _object(parse(raw), {"payload", "payloadType", "signatures"})
    signatures = body["signatures"]
    if not isinstance(signatures, list) or not isinstance(body["payloadType"], str):
        raise ValueError("not a DSSE envelope")  # noqa: TRY004  # broken input, whatever its type
    payload = _base64(body["payload"])
    pairs = tuple((entry["keyid"], _base64(entry["sig"])) for entry in (_object(entry, {"keyid", "sig"}) for entry in signatures))
    if not all(isinstance(keyid, str) for keyid, _ in pairs):
        raise ValueError("not a DSSE envelope")
    if raw != json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode():
        raise ValueError("not in the form in which statements are written")
    return Envelope(payload, body["payloadType"], pairs)


def read_statement(payload: bytes) -> Statement:
    """Read an envelope's payload; raises ValueError where it is not the statement of a run or of an intent."""
    predicate, listed = _said(payload, PREDICATE_TYPE, "the statement of a run")
    log = _object(predicate.get("log"), {"origin", "previousStatement", "sequence"})
    sequence, previous = log["sequence"], log["previousStatement"]
    texts = (predicate.get("run"), predicate.get("kind"), log["origin"])
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("the statement does not say its run, kind and origin")
    if sequence is not None and (type(sequence) is not int or sequence < 1):
        raise ValueError("the statement's sequence is not a number from 1")
    if previous is not None and not (isinstance(previous, str) and _DIGEST.fullmatch(previous)):
        raise ValueError("the statement before it is not named by a digest")
    run, kind, origin = cast("tuple[str, str, str]", texts)
    subjects = _subjects(listed)
    if not _BESIDE.isdisjoint(subjects):
        raise ValueError("the statement lists itself, a checkpoint or a timestamp, which cannot be files of it")
    return Statement(digest(payload), run, kind, origin, sequence, previous, subjects, predicate)


def read_note(raw: bytes) -> Note:
    """Read a checkpoint; raises ValueError where it is not exactly a note with one signature, in the one form."""
    try:
        lines = raw.decode().split("\n")
    except UnicodeDecodeError:
        raise ValueError("not a checkpoint: not UTF-8") from None
    if len(raw) > _LARGEST_NOTE or len(lines) != 6 or lines[3] or lines[5]:  # noqa: PLR2004  # origin, size, root, nothing, signature, end
        raise ValueError("not a checkpoint: there must be three lines, an empty one and one signature")
    origin, size, root, start = *lines[:3], f"\N{EM DASH} {lines[0]} "
    if not origin or "+" in origin or not origin.isprintable() or any(each.isspace() for each in origin) or not lines[4].startswith(start):
        raise ValueError("not a checkpoint: not signed in the name of its origin")
    if not (size.isascii() and size.isdigit() and len(size) < 20 and str(int(size)) == size):  # noqa: PLR2004  # more than any count of runs
        raise ValueError("not a checkpoint: its size is not a number")
    hashed, signed = _base64(root), _base64(lines[4].removeprefix(start))
    if len(hashed) != 32 or len(signed) < 5:  # noqa: PLR2004  # SHA-256; four bytes that tell keys apart, and a signature
        raise ValueError("not a checkpoint: the root or the signature is too short")
    return Note(origin, int(size), hashed, "\n".join((*lines[:3], "")).encode(), signed[:4], signed[4:])


def parse(raw: bytes) -> object:
    """Parse JSON; raises ValueError for anything odd: not UTF-8, a key twice, a float, NaN, nesting without end."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float)
    except RecursionError:
        raise ValueError("broken JSON: nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("broken JSON: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"broken JSON: {error}") from None


# --- Keys


def load_key(pem: bytes) -> PublicKey:
    """Load a public key; raises ValueError for what is no PEM and for kinds of key that do not sign evidence."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a public key in PEM") from None
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _SMALLEST_RSA:
            raise ValueError(f"an RSA key of {key.key_size} bits, where there must be {_SMALLEST_RSA} or more")
        return key
    raise ValueError("neither an Ed25519 key, nor ECDSA on P-256 or P-384, nor RSA")


def key_id(key: PublicKey) -> str:
    """SHA-256 (hex) of the DER SubjectPublicKeyInfo, whatever the kind of key."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def check_signature(key: PublicKey, signature: bytes, message: bytes) -> None:
    """Check a signature as the kind of key makes it (SHA-384 for P-384, else SHA-256; DER for ECDSA, PSS for RSA); raises ValueError."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO), hashes.SHA256())
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()))
    except InvalidSignature:
        raise ValueError("the signature does not fit the statement") from None


def note_key_hash(key: PublicKey, origin: str) -> bytes:
    """Return the four bytes by which a checkpoint names its key (https://c2sp.org/signed-note; kind 0xFF for all but Ed25519)."""
    if isinstance(key, Ed25519PublicKey):
        said = b"\x01" + key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        said = b"\xff" + key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(origin.encode() + b"\n" + said).digest()[:4]


def _load_keys(paths: Sequence[Path], notes: _Notes) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    for path in paths:
        try:
            key = load_key(path.read_bytes())
        except OSError as error:
            notes.problem("keys", str(path), f"the key cannot be read: {error.strerror}")
        except ValueError as error:
            notes.problem("keys", str(path), str(error))
        else:
            keys[key_id(key)] = key
    if not paths:
        notes.problem("keys", "", "no public key was given, so no signature can be checked")
    notes.said["keys"] = f"{len(keys)} public keys"
    return keys


def _load_roots(paths: Sequence[Path], notes: _Notes) -> tuple[x509.Certificate, ...]:
    roots: list[x509.Certificate] = []
    for path in paths:
        try:
            roots += x509.load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            notes.problem("timestamps", str(path), f"the authority's certificate cannot be read: {error.strerror}")
        except ValueError:
            notes.problem("timestamps", str(path), "not a certificate in PEM")
    return tuple(roots)


def _check_envelope(envelope: Envelope, keys: Mapping[str, PublicKey]) -> str:
    """Check an envelope's one signature; returns the key's id."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"the payload's type is {envelope.payload_type!r}, not {PAYLOAD_TYPE!r}")
    if len(envelope.signatures) != 1:
        raise ValueError(f"{len(envelope.signatures)} signatures, where there must be exactly one")
    keyid, signature = envelope.signatures[0]
    if keyid not in keys:
        raise ValueError(f"signed by the key {keyid!r}, which is none of the keys given")
    check_signature(keys[keyid], signature, pae(envelope))
    return keyid


def _check_note(raw: bytes, keys: Mapping[str, PublicKey]) -> tuple[Note, str]:
    """Check a checkpoint's signature; returns what it says and the key's id."""
    note = read_note(raw)
    for keyid, key in keys.items():
        if note_key_hash(key, note.origin) == note.key_hash:
            try:
                check_signature(key, note.signature, note.text)
            except ValueError:
                raise ValueError("the signature does not fit the checkpoint") from None
            return note, keyid
    raise ValueError("the checkpoint is signed by none of the keys given")


# --- One run


def _check_one(path: Path, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes) -> None:
    run = _check_run(path, run_folder_name(path), "", keys, notes)
    notes.info("chain", "one run alone: whether runs before or after it are missing needs the whole evidence folder")
    if asked.expect_head is not None and (run is None or run.digest != asked.expect_head):
        notes.problem("chain", "", "this run is not the expected head; looking further needs the whole folder")
    if asked.checkpoint is not None:
        notes.problem(
            "checkpoints", "", "one run alone cannot be held against a checkpoint; it needs the whole evidence folder or a bundle"
        )
    if asked.begin is not None:
        notes.problem("coverage", "", "one run alone covers no period; it needs the whole evidence folder or a bundle")
    if run is not None:
        for name in run.absent:
            notes.problem("files", name, "the statement lists this file, and it is missing")
        _check_checkpoints((run,), [run.leaf] if run.sequence == 1 else None, keys, notes)
        _check_timestamps((run,), asked.roots, notes, followed=True)


def _check_run(folder: Path, name: str, prefix: str, keys: Mapping[str, PublicKey], notes: _Notes) -> _Run | None:
    """Check one run folder; returns None where its statement cannot be believed."""
    if prefix and (folder.is_symlink() or not folder.is_dir()):
        notes.problem("files", name, "not a folder")
        return None
    read = _read_statement(folder, STATEMENT, prefix, keys, notes)
    if read is None:
        return None
    said, payload, keyid = read
    place = _join(prefix, STATEMENT)
    if said.sequence is None or said.kind.endswith(INTENT_SUFFIX):
        notes.problem("signatures", place, "this is the statement of an intent, not of a run")
        return None
    if name != run_folder(said.sequence):
        notes.problem("chain", place, f"the statement is that of run {run_folder(said.sequence)}, but lies in {name}")
        return None
    absent, beside = _check_files(folder, prefix, said.subjects, notes)
    if CERTIFICATE in said.subjects and CERTIFICATE not in absent:
        _check_certificate_of(said, keyid, _Unpacked(folder), said.subjects.keys() - set(absent), prefix, "", keys, notes)
    intent = None
    if INTENT in said.subjects and INTENT not in absent:
        intent = _check_intent(folder, prefix, said, keyid, keys, notes)
    try:
        return _run_of(said, payload, keyid, prefix, intent, absent, beside)
    except ValueError as error:
        notes.problem("signatures", place, str(error))
        return None


def _run_of(  # noqa: PLR0913, PLR0917  # what was read of a run, put together in one place
    said: Statement,
    payload: bytes,
    keyid: str,
    place: str,
    intent: str | None,
    absent: tuple[str, ...],
    beside: Mapping[str, bytes],
) -> _Run:
    """Take from an authentic statement what the checks over the chain need; raises ValueError where it is not what we write."""
    predicate = said.predicate
    if (said.previous is None) != (said.sequence == 1):
        raise ValueError("only the first run, and always the first, has no statement before it")
    finished, as_of, state, slot = (_text(predicate, name) for name in ("finished", "asOf", "state", "slot"))
    if finished is None:
        raise ValueError("the statement does not say when its run was finished")
    for time in (finished, as_of):
        if time is not None:
            _time(time)
    retain = _text(predicate, "retainUntil")
    unstamped = predicate.get("unstamped", [])
    if not isinstance(unstamped, list) or not all(type(each) is int for each in unstamped):
        raise ValueError("what the statement says of runs without a timestamp is no list of numbers")
    tombstone = said.kind == "disposal"
    return _Run(
        place=place,
        digest=said.digest,
        payload_hash=hashlib.sha256(payload).digest(),
        leaf=leaf_hash(payload),
        keyid=keyid,
        origin=said.origin,
        sequence=said.sequence or 0,
        previous=said.previous,
        intent_previous=intent,
        run=said.run,
        kind=said.kind,
        slot=slot,
        state=state,
        as_of=as_of,
        finished=finished,
        judged=said.kind == "reconcile" and isinstance(predicate.get("results"), list),
        retain_until=None if retain is None else _time(retain),
        wants_timestamp=bool(predicate.get("timestamps")),
        unstamped=frozenset(unstamped),
        disposed=_disposed(predicate) if tombstone else (),
        hold=_hold(predicate, said.kind) if said.kind in {"hold", "release"} else None,
        new_key=_new_key(predicate) if said.kind == "key-change" else None,
        subjects=said.subjects if absent else {},
        note=beside.get(CHECKPOINT),
        token=beside.get(TIMESTAMP),
        absent=absent,
    )


def _disposed(predicate: Mapping[str, Any]) -> tuple[_Disposed, ...]:
    listed = predicate.get("disposed")
    if not isinstance(listed, list):
        raise ValueError("the tombstone does not list what was disposed of")  # noqa: TRY004  # broken input, whatever its type
    found = []
    for entry in listed:
        sequence, statement, files = (_field(entry, name) for name in ("sequence", "statement", "files"))
        retain = _text(entry, "retainUntil")
        if type(sequence) is not int or not isinstance(statement, str) or not isinstance(files, dict):
            raise ValueError("the tombstone does not say which files of which run were disposed of")
        found.append(_Disposed(sequence, statement, files, None if retain is None else _time(retain)))
    return tuple(found)


def _hold(predicate: Mapping[str, Any], kind: str) -> tuple[str, int, int]:
    said = predicate.get("hold")
    name, runs = _field(said, "id"), [0, 0] if kind == "release" else _field(said, "runs")
    if not isinstance(name, str) or not isinstance(runs, list) or [type(each) for each in runs] != [int, int]:
        raise ValueError("the hold does not say its id and its first and last run")
    return name, runs[0], runs[1]


def _new_key(predicate: Mapping[str, Any]) -> str:
    keyid, pem = (_field(predicate.get("newKey"), name) for name in ("keyid", "pem"))
    if not isinstance(pem, str) or key_id(load_key(pem.encode())) != keyid:
        raise ValueError("the change of keys does not name the new key by its id")
    return str(keyid)


def _check_intent(  # noqa: PLR0913, PLR0917  # the run it belongs to, and where
    folder: Path, prefix: str, said: Statement, keyid: str, keys: Mapping[str, PublicKey], notes: _Notes
) -> str | None:
    """Check the intent inside a run; returns the digest of the statement that it follows."""
    read = _read_statement(folder, INTENT, prefix, keys, notes)
    if read is None:
        return None
    intent = read[0]
    place = _join(prefix, INTENT)
    if intent.sequence is not None or not intent.kind.endswith(INTENT_SUFFIX):
        notes.problem("signatures", place, "this is not the statement of an intent")
    if (intent.run, intent.origin) != (said.run, said.origin):
        notes.problem("signatures", place, "the intent belongs to another run")
    if read[2] != keyid:
        notes.problem("signatures", place, "the intent is signed by another key than its run")
    for name, sha256 in intent.subjects.items():
        if said.subjects.get(name) != sha256:
            notes.problem("files", _join(prefix, name), "changed or removed after the intent that covers it")
    return intent.previous


def _read_statement(
    folder: Path, name: str, prefix: str, keys: Mapping[str, PublicKey], notes: _Notes
) -> tuple[Statement, bytes, str] | None:
    """Read an envelope whose signature is good: (statement, payload, key's id); None where it is not, and then there is a problem."""
    path, place = folder / name, _join(prefix, name)
    if path.is_symlink() or not path.is_file():
        notes.problem("signatures", place, "the signed statement is missing" if not path.is_symlink() else "a link, not a file")
        return None
    try:
        envelope = read_envelope(path)
        keyid = _check_envelope(envelope, keys)
        said = read_statement(envelope.payload)
    except OSError as error:
        notes.problem("signatures", place, f"cannot be read: {error.strerror}")
    except ValueError as error:
        notes.problem("signatures", place, str(error))
    else:
        notes.statements += 1
        return said, envelope.payload, keyid
    return None


def _check_files(folder: Path, prefix: str, subjects: Mapping[str, str], notes: _Notes) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """Hold a run's files against its statement; returns those that are missing, and what lies beside the statement."""
    missing = set(subjects)
    beside: dict[str, bytes] = {}
    root = str(folder)
    for name, kind in _walk(root):
        place = _join(prefix, name)
        if kind != "file":
            notes.problem("files", place, kind)
            continue
        try:
            with open(f"{root}/{name}", "rb") as file:  # noqa: PTH123  # a year has 20,000 files; a Path for each is a third of the time
                if name in subjects:
                    missing.discard(name)
                    if hashlib.file_digest(file, "sha256").hexdigest() == subjects[name]:
                        notes.files += 1
                    else:
                        notes.problem("files", place, "the file is not the one that was signed")
                elif name in _BESIDE:
                    beside[name] = b"" if name == STATEMENT else file.read(_LARGEST_STATEMENT)
                else:
                    notes.problem("files", place, "a file that the statement does not list")
        except OSError as error:
            notes.problem("files", place, f"cannot be read: {error.strerror}")
            missing.discard(name)
    return tuple(sorted(missing)), beside


def _walk(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (path inside, `file` or what is wrong with it) of everything below a folder, never following a link."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(f"{folder}/{inside}") as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            yield inside, f"cannot be read: {error.strerror}"
            continue
        if not entries and inside:
            yield inside, "an empty folder, which no statement can list"
        for entry in entries:
            name = _join(inside, entry.name)
            if entry.is_symlink():
                yield name, "a link, not a file"
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            else:
                yield name, "file" if entry.is_file(follow_symlinks=False) else "a device or pipe, not a file"


def _is_run(path: Path) -> bool:
    if (path / STATEMENT).exists() or (path / STATEMENT).is_symlink():
        return True
    return _is_run_name(run_folder_name(path)) and not any(_is_run_name(entry.name) for entry in path.iterdir())


def _is_run_name(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 20 and name == run_folder(int(name))  # noqa: PLR2004  # more than any count of runs


# --- An evidence folder


def _check_folder(folder: Path, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes) -> None:
    names = _list_runs(folder, notes)
    runs: list[_Run] = []
    leaves: list[bytes] = []
    seen: set[str] = set()
    due = asked.first
    before: _Run | None = None
    for name, run, noted in _read_runs(folder, names, keys):
        number = int(name)
        if number < due:
            notes.problem("chain", name, f"a run before {run_folder(due)}, where the evidence must begin")
        elif number > due:
            notes.problem("chain", name, f"missing: {run_folder(due)} to {run_folder(number - 1)}")
        notes.take(noted)
        if run is None:
            notes.problem("chain", name, "the chain cannot be followed through this run")
        else:
            _check_link(run, before, name, notes)
            if asked.first == 1 and run.intent_previous is not None and run.intent_previous not in seen:
                notes.problem("chain", name, "the intent follows a statement that is not among the runs before it")
            seen.add(run.digest)
            runs.append(run)
            if run.sequence == len(leaves) + 1:
                leaves.append(run.leaf)
        before, due = run, max(due, number + 1)
    if due == asked.first:
        notes.problem("chain", "", "there is no sealed run here")
    if asked.first > 1:
        notes.info("chain", f"runs before {run_folder(asked.first)} were not asked for: what the first run follows cannot be checked")
    notes.said["chain"] = f"runs {run_folder(asked.first)} to {run_folder(due - 1)} in one unbroken chain"
    last = runs[-1].origin if runs else None
    _check_chain(tuple(runs), leaves if asked.first == 1 else None, keys, asked, notes, known=seen, origin=last)
    _check_absent(tuple(runs), notes)
    if asked.begin is not None and asked.end is not None and runs:
        _check_span(runs, asked.begin, asked.end, notes)
        _note_gaps({run.day for run in runs if run.judged}, asked.begin, asked.end, notes)


def _read_runs(folder: Path, names: Sequence[str], keys: Mapping[str, PublicKey]) -> Iterator[tuple[str, _Run | None, _Notes]]:
    def read(name: str) -> tuple[str, _Run | None, _Notes]:
        notes = _Notes()
        return name, _check_run(folder / name, name, name, keys, notes), notes

    # Two threads: one hashes files, which needs no interpreter, while the other reads JSON. More do not help.
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(read, names)


def _list_runs(folder: Path, notes: _Notes) -> list[str]:
    names = []
    for entry in sorted(folder.iterdir()):
        if _is_run_name(entry.name):
            names.append(entry.name)
        elif entry.name == STAGING and entry.is_dir() and not entry.is_symlink():
            for left in sorted(entry.iterdir()):
                if not left.name.endswith((".lock", ".part")):
                    notes.info("staging", f"{STAGING}/{left.name}: interrupted run not yet sealed, or one being written; not checked")
        else:
            notes.problem("files", entry.name, "not part of the evidence")
    return sorted(names, key=int)


def _check_link(run: _Run, before: _Run | None, name: str, notes: _Notes) -> None:
    if before is not None and run.previous != before.digest:
        notes.problem("chain", name, "the statement does not follow the one before it")
    if before is not None and run.origin != before.origin:
        notes.problem("chain", name, f"the statement belongs to the chain of {run.origin!r}, not of {before.origin!r}")


def _check_absent(runs: Sequence[_Run], notes: _Notes) -> None:
    """Hold the files that are missing against the tombstones of later entries."""
    gone = 0
    for run in runs:
        if not run.absent:
            continue
        tombs = [(tomb, one) for tomb in runs if tomb.sequence > run.sequence for one in tomb.disposed if one.sequence == run.sequence]
        listed = {name for _, one in tombs for name in one.files}
        unexplained = [name for name in run.absent if name not in listed]
        for name in unexplained:
            notes.problem("files", run.at(name), "the statement lists this file, and it is missing")
        for tomb, one in tombs:
            wrong = _tomb_problem(run, tomb, one, runs)
            if wrong is not None:
                notes.problem("disposals", tomb.at(STATEMENT), f"disposed of run {run_folder(run.sequence)}, but {wrong}")
        left = listed - set(run.absent)
        if left:
            notes.info("disposals", f"{run.place}: {len(left)} files that the tombstone lists are still there")
        gone += not unexplained
    if gone:
        notes.said["disposals"] = f"{gone} runs whose files were disposed of, each by a signed tombstone, after its time and under no hold"


def _tomb_problem(run: _Run, tomb: _Run, one: _Disposed, runs: Sequence[_Run]) -> str | None:
    if one.statement != run.digest:
        return "names another statement"
    if any(run.subjects.get(name) != sha256 for name, sha256 in one.files.items()):
        return "lists files that are not those of the run's statement"
    said = [until for until in (run.retain_until, one.retain_until) if until is not None]
    if not said:
        return "nothing says until when it was to be kept"
    until = max(said)
    if tomb.ended < until:
        return f"before {until:%Y-%m-%dT%H:%M:%SZ}, until when it was to be kept"
    held: dict[str, int] = {}
    for other in runs:
        if other.hold is not None and other.sequence < tomb.sequence:
            name, begin, end = other.hold
            held.pop(name, None)
            if begin <= run.sequence <= end:
                held[name] = other.sequence
    return f"the hold of {run_folder(min(held.values()))} was in force" if held else None


# --- The chain as a whole, of a folder or of a bundle


def _check_chain(  # noqa: PLR0913  # what was read, and what was asked
    runs: Sequence[_Run],
    leaves: Sequence[bytes] | None,
    keys: Mapping[str, PublicKey],
    asked: _Asked,
    notes: _Notes,
    *,
    known: set[str],
    origin: str | None,
    followed: bool = True,
) -> None:
    """Check what only the whole chain shows. `leaves` are those from the first statement on; None: they are not all here.

    `known` are the digests of all statements, also of those withheld. `followed` False: later entries exist elsewhere, and may explain
    what the last of these runs lacks.
    """
    _check_keys_in_force(runs, notes)
    _check_checkpoints(runs, leaves, keys, notes)
    _check_timestamps(runs, asked.roots, notes, followed=followed)
    _check_kept(runs, leaves, origin, keys, asked, notes)
    if asked.expect_head is not None and asked.expect_head not in known:
        notes.problem("chain", "", "the expected head is not among the runs: runs were removed, or this is an older or another chain")
    if asked.expect_head is None and asked.checkpoint is None:
        notes.info(
            "chain",
            "whether later runs were removed, or all were sealed again by who holds the key, cannot be seen without a checkpoint or the "
            "digest of a run that you kept (expected head)",
        )


def _check_keys_in_force(runs: Sequence[_Run], notes: _Notes) -> None:
    """One key signs at a time, and hands over to the next by an entry that it signs itself."""
    force: str | None = None
    for run in runs:
        if force is not None and run.keyid != force:
            notes.problem("keys", run.at(STATEMENT), f"signed by the key {run.keyid}, while {force} was the one in force")
        force = run.new_key or force or run.keyid


def _check_checkpoints(runs: Sequence[_Run], leaves: Sequence[bytes] | None, keys: Mapping[str, PublicKey], notes: _Notes) -> None:
    """Check the signed root in each run's folder against the statements up to it."""
    roots = _roots(leaves or (), {run.sequence for run in runs})
    begun = before = checked = 0
    for run in runs:
        if run.note is None and not begun and run.retain_until is None:
            before = run.sequence
            continue
        begun = run.sequence
        problem = "the checkpoint is missing" if run.note is None else _note_problem(run, run.note, roots.get(run.sequence), keys)
        if problem is None:
            checked += 1
        else:
            notes.problem("checkpoints", run.at(CHECKPOINT), problem)
    if before:
        notes.info("checkpoints", f"runs up to {run_folder(before)} were sealed before there were checkpoints")
    if begun:
        notes.said["checkpoints"] = f"{checked} checkpoints signed" + (", each over the statements up to it" if roots else "")
        if not roots:
            notes.info("checkpoints", "their roots were not made again, which needs all statements from the first on")


def _note_problem(run: _Run, raw: bytes, root: bytes | None, keys: Mapping[str, PublicKey]) -> str | None:
    try:
        note, keyid = _check_note(raw, keys)
    except ValueError as error:
        return str(error)
    if (note.origin, note.size) != (run.origin, run.sequence):
        return f"the checkpoint of {note.size} statements of {note.origin!r}, which belongs elsewhere"
    if keyid != run.keyid:
        return "signed by another key than the statement beside it"
    if root not in {None, note.root}:
        return "the tree of the statements up to this one does not have the root that was signed"
    return None


def _check_kept(  # noqa: PLR0913, PLR0917  # what was read, and what was asked
    runs: Sequence[_Run],
    leaves: Sequence[bytes] | None,
    origin: str | None,
    keys: Mapping[str, PublicKey],
    asked: _Asked,
    notes: _Notes,
) -> None:
    """Hold the statements against a checkpoint that the reader kept."""
    if asked.checkpoint is None:
        return
    place = str(asked.checkpoint)
    try:
        with asked.checkpoint.open("rb") as file:
            note, keyid = _check_note(file.read(_LARGEST_NOTE + 1), keys)
    except OSError as error:
        notes.problem("checkpoints", place, f"cannot be read: {error.strerror}")
        return
    except ValueError as error:
        notes.problem("checkpoints", place, str(error))
        return
    signers = {run.sequence: run.keyid for run in runs}
    if origin is not None and note.origin != origin:
        notes.problem("checkpoints", place, f"your checkpoint is of the chain of {note.origin!r}, not of {origin!r}")
    elif leaves is None:
        notes.problem("checkpoints", place, "your checkpoint needs all statements from the first on, and they are not here")
    elif note.size > len(leaves):
        what = f"your checkpoint is of {note.size} statements, and {len(leaves)} are here in one chain"
        notes.problem("checkpoints", place, f"{what}: runs were removed, or this is an older copy")
    elif signers.get(note.size, keyid) != keyid:
        notes.problem("checkpoints", place, "your checkpoint is signed by another key than the run that it ends with")
    elif _roots(leaves, {note.size})[note.size] != note.root:
        notes.problem("checkpoints", place, f"the first {note.size} statements are not those of your checkpoint: history was rewritten")
    else:
        others = notes.said.get("checkpoints")
        notes.said["checkpoints"] = f"the first {note.size} statements are those of your checkpoint" + (f"; {others}" if others else "")


def _check_timestamps(runs: Sequence[_Run], roots: tuple[x509.Certificate, ...] | None, notes: _Notes, *, followed: bool) -> None:
    """Check that each run was stamped when it was finished, or that a later statement says why not."""
    explained = set[int]().union(*(run.unstamped for run in runs))
    last = max((run.sequence for run in runs), default=0)
    tokens = 0
    for run in runs:
        place = run.at(TIMESTAMP)
        open_end = not followed and run.sequence == last
        if run.token is not None:
            tokens += 1
            _check_token_of(run, run.token, roots, notes, may_be_late=open_end or run.sequence in explained)
        elif run.sequence in explained:
            notes.info("timestamps", f"{place}: none could be had, as a later statement says")
        elif run.wants_timestamp and open_end:
            notes.info("timestamps", f"{place}: none, and the entries that could say why come after this bundle")
        elif run.wants_timestamp:
            notes.problem("timestamps", place, "the timestamp is missing, and no later statement says that it could not be had")
    if tokens and roots is None:
        notes.info("timestamps", "the timestamps were not checked: that needs the certificate of their authority (--tsa-ca)")
    elif tokens:
        notes.said["timestamps"] = f"{tokens} timestamps of an authority that was given"
    elif roots is not None:
        notes.info("timestamps", "there are no timestamps")


def _check_token_of(run: _Run, token: bytes, roots: tuple[x509.Certificate, ...] | None, notes: _Notes, *, may_be_late: bool) -> None:
    place = run.at(TIMESTAMP)
    if run.payload_hash not in token:
        notes.problem("timestamps", place, "not a timestamp of this statement")
        return
    if roots is None:
        return
    try:
        made = check_timestamp(token, run.payload_hash, roots, at=None)
    except ValueError as error:
        notes.problem("timestamps", place, str(error))
        return
    delay = made - run.ended
    if -WITHIN <= delay <= WITHIN:
        return
    if WITHIN < delay <= LATEST and may_be_late:
        notes.info("timestamps", f"{place}: late by {str(delay).partition('.')[0]} (h:mm:ss), as a later statement says or can say")
    else:
        notes.problem("timestamps", place, f"made at {made:%Y-%m-%dT%H:%M:%SZ}, while the run says that it was finished at {run.finished}")


def _check_span(runs: Sequence[_Run], begin: date, end: date, notes: _Notes) -> None:
    """Check that a folder reaches from the first to the last day of a period: what lies outside could have been removed."""
    notes.said["coverage"] = f"entries from {begin} to {end}"
    earliest, latest = min(run.day for run in runs), max(run.day for run in runs)
    if earliest > begin and runs[0].sequence > 1:
        notes.problem("coverage", "", f"the evidence begins on {earliest}, after {begin}: earlier runs are not here")
    elif earliest > begin:
        notes.info("coverage", f"the chain begins on {earliest}, after {begin}: nothing was sealed before")
    if latest < end:
        notes.problem("coverage", "", f"the evidence ends on {latest}, before {end}: later runs were removed or never made")


def _note_gaps(days: set[date], begin: date, end: date, notes: _Notes) -> None:
    """Say which days of a period have no judged run; they are shown, not hidden, and are no failure."""
    due, last = begin.toordinal(), end.toordinal() + 1
    for found in [*sorted(day.toordinal() for day in days if begin <= day <= end), last]:
        if found == due + 1:
            notes.info("coverage", f"{date.fromordinal(due)}: no judged run", "gap")
        elif found > due:
            notes.info("coverage", f"{date.fromordinal(due)} to {date.fromordinal(found - 1)}: no judged run ({found - due} days)", "gap")
        due = found + 1


def _roots(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    """Return the roots of the trees of the first n leaves, for each n asked for that there are leaves for; one pass over them all."""
    found = {}
    full: list[tuple[int, bytes]] = []
    for size, leaf in enumerate(leaves, 1):
        width, node = 1, leaf
        while full and full[-1][0] == width:
            node, width = hashlib.sha256(b"\1" + full.pop()[1] + node).digest(), width * 2
        full.append((width, node))
        if size in sizes:
            root = full[-1][1]
            for _, left in reversed(full[:-1]):
                root = hashlib.sha256(b"\1" + left + root).digest()
            found[size] = root
    return found


# --- A bundle


class _Source(Protocol):
    """The files of a bundle, from a ZIP or from a folder that it was unpacked into."""

    def names(self, notes: _Notes) -> set[str]:
        """Name all files; what is no file is a problem."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's content; raises ValueError where it cannot be had whole, OSError as `open` does."""

    def packed(self, name: str) -> str | None:
        """SHA-256 (hex) of its bytes as they lie in the ZIP; None for one that is not packed."""

    @property
    def is_zip(self) -> bool:
        """Whether the packed bytes are here to be checked."""


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """A bundle that somebody unpacked."""

    folder: Path
    is_zip: bool = False

    def names(self, notes: _Notes) -> set[str]:
        found = set()
        for name, kind in _walk(str(self.folder)):
            if kind == "file":
                found.add(name)
            else:
                notes.problem("files", name, kind)
        return found

    def chunks(self, name: str) -> Iterator[bytes]:
        with (self.folder / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def packed(self, name: str) -> str | None:
        del name
        return None


@dataclass(frozen=True, slots=True)
class _Zipped:
    """A bundle's ZIP whose headers are in the one form; its bytes are not yet checked."""

    data: mmap.mmap
    entries: Mapping[str, ZipEntry]
    is_zip: bool = True

    def names(self, notes: _Notes) -> set[str]:
        del notes
        return set(self.entries)

    def chunks(self, name: str) -> Iterator[bytes]:
        entry = self.entries[name]
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        crc = size = 0
        for raw in self._raw(entry):
            for chunk in (raw,) if entry.method == 0 else _inflated(inflate, raw):
                size += len(chunk)
                if size > entry.size:
                    raise ValueError("unpacks to more than its header says")
                crc = zlib.crc32(chunk, crc)
                yield chunk
        if entry.method and not inflate.eof:
            raise ValueError("cannot be unpacked: its end is missing")
        if (size, crc) != (entry.size, entry.crc):
            raise ValueError("does not unpack to what its header says")

    def packed(self, name: str) -> str | None:
        entry = self.entries[name]
        if entry.method == 0:
            return None
        hashed = hashlib.sha256()
        for raw in self._raw(entry):
            hashed.update(raw)
        return hashed.hexdigest()

    def _raw(self, entry: ZipEntry) -> Iterator[bytes]:
        begin = entry.offset + _LOCAL.size + len(entry.name)
        for at in range(begin, begin + entry.packed, _CHUNK):
            yield self.data[at : min(at + _CHUNK, begin + entry.packed)]


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What a bundle's statement says of the part of the ledger that it is about."""

    origin: str
    first: int
    last: int
    root: bytes
    entries: tuple[Mapping[str, Any], ...]
    begin: date
    end: date
    customer: str
    nights: Mapping[str, Any]
    limited: str | None
    """How it was made for somebody who is not to see all, and so without the statements of runs; None: it holds them."""


def _check_zip(descriptor: int, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes) -> None:
    try:
        data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:
        notes.problem("bundle", "", "an empty file")
        return
    with data:
        entries = _zip_entries(data, notes)
        if entries is not None:
            _check_bundle(_Zipped(data, entries), keys, asked, notes)


def _zip_entries(data: mmap.mmap, notes: _Notes) -> dict[str, ZipEntry] | None:
    """Read a ZIP's directory and hold every header against the one form; None where it is not in it."""
    if len(data) > LARGEST_ZIP or len(data) < _END.size or data[:2] != b"PK":
        notes.problem("bundle", "", "neither a ZIP nor a folder")
        return None
    _, _, _, _, count, size, offset, _ = _END.unpack_from(data, len(data) - _END.size)
    if data[len(data) - _END.size :] != zip_end(count, size, offset) or offset + size + _END.size != len(data):
        notes.problem("bundle", "", "the ZIP is truncated, or bytes were put into it, before it or after it")
        return None
    if count > MOST_ZIPPED:
        notes.problem("bundle", "", f"{count} files, where {MOST_ZIPPED} are the most")
        return None
    found = _zip_directory(data, count, offset, notes)
    before = len(notes.problems)
    _check_zip_names([entry.name for entry in found], notes)
    if sum(entry.size for entry in found) > LARGEST_UNPACKED:
        notes.problem("bundle", "", f"unpacks to more than {LARGEST_UNPACKED} bytes")
    due = 0
    for entry in found:
        header = zip_local(entry) if entry.name.isascii() else b""
        if entry.offset != due or data[due : due + len(header)] != header:
            notes.problem("bundle", entry.name, "its header in the ZIP does not fit the directory, or bytes were put in before it")
        due = entry.offset + len(header) + entry.packed
    if due != offset or len(found) != count:
        notes.problem("bundle", "", "the ZIP's directory does not follow its files, or does not list what it says")
    elif found != sorted(found, key=lambda entry: entry.name):
        notes.problem("bundle", "", "the ZIP's files are not in the order of their names")
    return {entry.name: entry for entry in found} if len(notes.problems) == before and "bundle" not in notes.failed else None


def _zip_directory(data: mmap.mmap, count: int, offset: int, notes: _Notes) -> list[ZipEntry]:
    """Read the directory's lines as far as they can be read; those not in the one form are problems."""
    found: list[ZipEntry] = []
    end = len(data) - _END.size
    for _ in range(count):
        if offset + _CENTRAL.size > end:
            notes.problem("bundle", "", "the ZIP's directory is shorter than it says")
            break
        values = _CENTRAL.unpack_from(data, offset)
        flags, method, crc, packed, size, longest, extra, comment, begin = (*values[4:6], *values[8:14], values[-1])
        raw = data[offset + _CENTRAL.size : offset + _CENTRAL.size + longest]
        entry = ZipEntry(raw.decode("utf-8", "backslashreplace"), method, crc, packed, size, begin)
        line = data[offset : offset + _CENTRAL.size + longest + extra + comment]
        if flags & 1:
            notes.problem("bundle", entry.name, "encrypted")
        elif method not in {0, 8}:
            notes.problem("bundle", entry.name, f"packed by a method that is not used here ({method})")
        elif values[-2] >> 28 == _LINK:
            notes.problem("bundle", entry.name, "a link, not a file")
        elif not raw.isascii() or line != zip_central(entry):
            notes.problem(
                "bundle", entry.name, "its line in the ZIP's directory is not in the one form (name, date, mode, flags, comment, extra)"
            )
        found.append(entry)
        offset += len(line)
    return found


def _check_zip_names(names: Sequence[str], notes: _Notes) -> None:
    seen: set[str] = set()
    for name in names:
        alike = unicodedata.normalize("NFKC", name).casefold()
        if alike in seen:
            notes.problem("bundle", name, "twice in the ZIP (names that differ in case or Unicode form are the same to some systems)")
        seen.add(alike)
        if not is_portable(name) or ":" in name:
            notes.problem("bundle", name, "a path that leads out of the bundle, or that some system would read so")
        elif not _ZIPPED.fullmatch(name) or len(name) > _LONGEST_ZIPPED:
            notes.problem("bundle", name, "a name with other characters than letters, digits, dots, dashes and underlines")


def _inflated(inflate: Any, raw: bytes) -> Iterator[bytes]:  # noqa: ANN401  # zlib does not name the class of its decompressor
    while raw:
        if inflate.eof:
            raise ValueError("cannot be unpacked: something follows its end")
        try:
            yield inflate.decompress(raw, _CHUNK)
        except zlib.error:
            raise ValueError("cannot be unpacked") from None
        raw = inflate.unconsumed_tail
    if inflate.unused_data:
        raise ValueError("cannot be unpacked: something follows its end")


def _check_bundle(source: _Source, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes) -> None:
    names = source.names(notes)
    if BUNDLE not in names:
        notes.problem("bundle", BUNDLE, "the bundle's signed statement is missing")
        return
    try:
        envelope = envelope_of(_content(source, BUNDLE, _LARGEST_STATEMENT))
        signed_by = _check_envelope(envelope, keys)
        predicate, listed = _said(envelope.payload, BUNDLE_TYPE, "the statement of a bundle")
        subjects, ledger, packed = _subjects(listed), _ledger(predicate), _object(predicate.get("packed"), None)
    except (ValueError, OSError) as error:
        notes.problem("bundle", BUNDLE, str(error))
        return
    notes.statements += 1
    _check_listed(source, names, subjects, packed, notes)
    subjects = {name: sha256 for name, sha256 in subjects.items() if name in names}
    runs, leaves = _read_ledger(source, subjects, ledger, keys, notes)
    notes.said["bundle"] = (
        f"signed as a whole: {ledger.begin} to {ledger.end}, entries {ledger.first} to {ledger.last} of {ledger.origin!r}"
    )
    _check_retired(runs, signed_by, notes)
    _check_period(ledger, asked, notes)
    _check_bundle_chain(runs, leaves, ledger, keys, asked, notes)
    _check_last_note(source, subjects, ledger, keys, notes)


def _check_listed(source: _Source, names: set[str], subjects: Mapping[str, str], packed: Mapping[str, Any], notes: _Notes) -> None:
    """Hold every file of a bundle against its statement."""
    for name in sorted(names - {BUNDLE} - subjects.keys()):
        notes.problem("files", name, "a file that the bundle's statement does not list")
    for name in sorted(subjects):
        if name not in names:
            notes.problem("files", name, "the bundle's statement lists this file, and it is missing")
            continue
        hashed = hashlib.sha256()
        try:
            for chunk in source.chunks(name):
                hashed.update(chunk)
        except (ValueError, OSError) as error:
            notes.problem("files", name, str(error))
            continue
        if hashed.hexdigest() != subjects[name]:
            notes.problem("files", name, "the file is not the one that was signed")
        elif source.is_zip and source.packed(name) != packed.get(name):
            notes.problem("files", name, "packed in another way than was signed")
        else:
            notes.files += 1
    if source.is_zip and source.packed(BUNDLE) is not None:
        notes.problem("bundle", BUNDLE, "the bundle's statement must be stored, not packed")
    if not source.is_zip:
        notes.info("bundle", "unpacked: the ZIP itself was not checked, the files in it were")


def _read_ledger(
    source: _Source, subjects: Mapping[str, str], ledger: _Ledger, keys: Mapping[str, PublicKey], notes: _Notes
) -> tuple[list[_Run], list[bytes]]:
    """Read the statements and leaves of a bundle and hold them against what its statement says; returns what can be believed."""
    leaves = _leaves(source, subjects, notes)
    if len(leaves) != ledger.last or root_of(leaves) != ledger.root:
        notes.problem("checkpoints", LEAVES, f"not the {ledger.last} leaves whose root the bundle's statement gives")
    came = _by_run(source, subjects, notes)
    runs: list[_Run] = []
    missing = 0
    for entry in ledger.entries:
        number = entry["sequence"]
        place = f"ledger/{run_folder(number)}"
        here = came.pop(run_folder(number), {})
        if number > len(leaves) or leaves[number - 1].hex() != entry["leaf"]:
            notes.problem("checkpoints", LEAVES, f"line {number} is not the leaf that the bundle's statement gives")
        if STATEMENT in here:
            if ledger.limited is not None:
                notes.problem(
                    "signatures",
                    f"{place}/{STATEMENT}",
                    f"a bundle made {ledger.limited} holds no run's statement, or somebody chose which",
                )
            run = _read_bundled(source, here, place, entry, ledger.customer, keys, notes)
            runs += [run] if run is not None else []
            continue
        missing += 1
        if ledger.limited is None:
            notes.problem("signatures", f"{place}/{STATEMENT}", "the signed statement is missing")
    for folder, others in came.items():
        for name in others:
            notes.problem("files", f"ledger/{folder}/{name}", "of a run that the bundle's statement does not name")
    if missing and ledger.limited is not None:
        what = f"made {ledger.limited}: {missing} statements of runs were withheld, so they and their files were not checked"
        notes.info("signatures", what)
    return runs, leaves


def _by_run(source: _Source, subjects: Mapping[str, str], notes: _Notes) -> dict[str, dict[str, str]]:
    """Return what came along of each run: its folder to path inside it to SHA-256; keys are checked in passing."""
    came: dict[str, dict[str, str]] = {}
    for name, sha256 in subjects.items():
        top, _, rest = name.partition("/")
        folder, _, inside = rest.partition("/")
        if top == "ledger" and _is_run_name(folder):
            came.setdefault(folder, {})[inside] = sha256
        elif top == "keys":
            _check_bundled_key(source, name, notes)
    return came


def _read_bundled(  # noqa: PLR0913, PLR0917  # the run, and where it is told of
    source: _Source,
    came: Mapping[str, str],
    place: str,
    entry: Mapping[str, Any],
    customer: str,
    keys: Mapping[str, PublicKey],
    notes: _Notes,
) -> _Run | None:
    """Read one run's statement in a bundle, and hold the files that came along (path inside the run to SHA-256) against it."""
    where = f"{place}/{STATEMENT}"
    beside: dict[str, bytes] = {}
    try:
        envelope = envelope_of(_content(source, where, _LARGEST_STATEMENT))
        keyid = _check_envelope(envelope, keys)
        said = read_statement(envelope.payload)
        for name in (CHECKPOINT, TIMESTAMP):
            if name in came:
                beside[name] = _content(source, f"{place}/{name}", _LARGEST_STATEMENT)
        run = _run_of(said, envelope.payload, keyid, place, None, (), beside)
    except (ValueError, OSError) as error:
        notes.problem("signatures", where, str(error))
        return None
    notes.statements += 1
    told = {
        "sequence": run.sequence, "run": run.run, "kind": run.kind, "state": run.state, "slot": run.slot, "asOf": run.as_of,
        "finished": run.finished, "statement": run.digest, "leaf": run.leaf.hex(),
    }  # fmt: skip
    for name, value in told.items():
        if entry[name] != value:
            notes.problem("chain", where, f"its {name} is {value!r}, and not {entry[name]!r} as the bundle's statement says")
    if said.predicate.get("customer", customer) != customer:
        notes.problem(
            "chain", where, f"of the customer {said.predicate['customer']!r}, and not of {customer!r} as the bundle's statement says"
        )
    for name, sha256 in came.items():
        if name not in _BESIDE and said.subjects.get(name) != sha256:
            notes.problem("files", f"{place}/{name}", "not the file that the run's statement lists")
    if CERTIFICATE in came:
        _check_certificate_of(said, keyid, source, came.keys(), place, place, keys, notes)
    return run if run.sequence == entry["sequence"] else None


def _check_bundled_key(source: _Source, name: str, notes: _Notes) -> None:
    """Check that a key is the one that its name says; it came with the bundle, so it proves nothing."""
    try:
        if name != f"keys/{key_id(load_key(_content(source, name, _LARGEST_NOTE)))}.pub.pem":
            notes.problem("files", name, "another key than its name says")
    except (ValueError, OSError) as error:
        notes.problem("files", name, str(error))


def _check_retired(runs: Sequence[_Run], signed_by: str, notes: _Notes) -> None:
    """Refuse a bundle signed by a key that one of its own entries took out of force."""
    handed_over = [run for run in runs if run.new_key is not None]
    if handed_over and signed_by in {run.keyid for run in handed_over} and signed_by != handed_over[-1].new_key:
        notes.problem("keys", BUNDLE, f"signed by the key {signed_by}, which {handed_over[-1].place} had taken out of force")


def _check_period(ledger: _Ledger, asked: _Asked, notes: _Notes) -> None:
    if asked.begin is not None and (ledger.begin, ledger.end) != (asked.begin, asked.end):
        notes.problem("coverage", BUNDLE, f"the bundle is about {ledger.begin} to {ledger.end}, not about {asked.begin} to {asked.end}")
    if asked.begin is None:
        notes.info("coverage", f"that {ledger.begin} to {ledger.end} is the period you asked for can only be seen with --from and --to")
    else:
        notes.said["coverage"] = f"{ledger.begin} to {ledger.end}, as asked for"
    judged = {_day(entry) for entry in ledger.entries if entry["kind"] == "reconcile" and entry["state"] in {"complete", "partial"}}
    _note_gaps(judged, ledger.begin, ledger.end, notes)
    _check_nights(ledger, judged, notes)
    if ledger.first > 1 and ledger.begin not in judged:
        notes.info(
            "coverage", f"what was sealed before entry {ledger.first} is not here, so whether it belongs to {ledger.begin} cannot be seen"
        )


def _check_nights(ledger: _Ledger, judged: set[date], notes: _Notes) -> None:
    """Hold what the bundle's statement counts of nights against the entries that it names."""
    try:
        missing = {day_of(day) for day in ledger.nights["missing"]}
        expected, *counts = (int(ledger.nights[name]) for name in ("expected", "complete", "partial", "stopped", "failed"))
    except (LookupError, TypeError, ValueError):
        notes.problem("coverage", BUNDLE, "the bundle's statement does not say which nights there were")
        return
    days = {ledger.begin + timedelta(days=after) for after in range((ledger.end - ledger.begin).days + 1)}
    there = days & judged
    # Before its first entry nothing was promised; a bundle that begins later cannot show when that was.
    began = _day(ledger.entries[0])
    due = sum(day >= began for day in days) if ledger.first == 1 else expected
    holds = missing <= days - there and expected == due <= len(days) and sum(counts) + len(missing) == expected
    if ledger.limited is None:
        holds = holds and sum(counts[:3]) == len(there)
    if not holds:
        notes.problem("coverage", BUNDLE, "the nights that the bundle's statement counts are not those of the entries that it names")


def _check_bundle_chain(  # noqa: PLR0913, PLR0917  # what was read, and what was asked
    runs: Sequence[_Run], leaves: Sequence[bytes], ledger: _Ledger, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes
) -> None:
    before: _Run | None = None
    for run in runs:
        follows = before if before is not None and before.sequence + 1 == run.sequence else None
        _check_link(run, follows, run.place, notes)
        if run.origin != ledger.origin:
            notes.problem("chain", run.at(STATEMENT), f"of the chain of {run.origin!r}, not of {ledger.origin!r}")
        before = run
    if runs:
        notes.said["chain"] = f"entries {ledger.first} to {ledger.last} in one unbroken chain"
    _check_chain(
        runs, leaves, keys, asked, notes, followed=False, known={entry["statement"] for entry in ledger.entries}, origin=ledger.origin
    )


def _check_last_note(source: _Source, subjects: Mapping[str, str], ledger: _Ledger, keys: Mapping[str, PublicKey], notes: _Notes) -> None:
    """Check the signed root that ends a bundle's part of the ledger."""
    place = f"ledger/{CHECKPOINT}"
    if place not in subjects:
        if any(name.startswith("ledger/") and name.endswith(f"/{CHECKPOINT}") for name in subjects):
            notes.problem("checkpoints", place, "the checkpoint is missing")
        else:
            notes.info("checkpoints", "this bundle has no checkpoint, as where all of it was sealed before there were any")
        return
    try:
        note, _ = _check_note(_content(source, place, _LARGEST_NOTE), keys)
    except (ValueError, OSError) as error:
        notes.problem("checkpoints", place, str(error))
        return
    if (note.origin, note.size, note.root) != (ledger.origin, ledger.last, ledger.root):
        notes.problem("checkpoints", place, f"not the checkpoint of the {ledger.last} statements that the bundle's statement gives")
    else:
        others = notes.said.get("checkpoints")
        notes.said["checkpoints"] = f"the root of {ledger.last} statements signed" + (f"; {others}" if others else "")


def _leaves(source: _Source, subjects: Mapping[str, str], notes: _Notes) -> list[bytes]:
    if LEAVES not in subjects:
        notes.problem("checkpoints", LEAVES, "the leaves of the ledger are missing")
        return []
    try:
        *lines, rest = _content(source, LEAVES, _LARGEST_STATEMENT).decode("ascii", "replace").split("\n")
    except (ValueError, OSError) as error:
        notes.problem("checkpoints", LEAVES, str(error))
        return []
    if rest or not all(_SHA256.fullmatch(line) for line in lines):
        notes.problem("checkpoints", LEAVES, "each line must be 64 hex digits")
        return []
    return [bytes.fromhex(line) for line in lines]


def _ledger(predicate: Mapping[str, Any]) -> _Ledger:
    """Read what a bundle's statement says of the ledger; raises ValueError where it is not what we write."""
    said, period, filters = (_field(predicate, name) for name in ("ledger", "period", "filters"))
    origin, first, last, size, entries = (_field(said, name) for name in ("origin", "first", "last", "size", "entries"))
    begin, end = (_field(period, name) for name in ("from", "to"))
    if not isinstance(origin, str) or not all(type(each) is int for each in (first, last, size)) or not isinstance(entries, list):
        raise ValueError("the bundle's statement does not say which part of which ledger it is about")
    if not 1 <= first <= last == size or len(entries) != last - first + 1:
        raise ValueError("the bundle's statement does not name every entry from the first to the last")
    for due, entry in enumerate(entries, first):
        told = [_field(entry, name) for name in ("sequence", "run", "kind", "statement", "leaf", "finished", "state", "slot", "asOf")]
        if type(told[0]) is not int or told[0] != due or not all(isinstance(each, str) for each in told[1:6]):
            raise ValueError(f"the bundle's statement does not say what entry {due} is")
        _day(entry)
    if not isinstance(begin, str) or not isinstance(end, str) or day_of(begin) > day_of(end):
        raise ValueError("the bundle's statement does not say what period it is about")
    partner, pseudonymised = _text(filters, "partner"), _field(filters, "pseudonymised")
    limits = [f"for the partner {partner!r} alone"] * (partner is not None) + ["with pseudonyms"] * (pseudonymised is not False)
    root, customer, nights = _base64(_field(said, "root")), _text(predicate, "customer"), _object(_field(predicate, "nights"), None)
    if _text(predicate, "asOf") != (entries[-1]["asOf"] or entries[-1]["finished"]) or customer is None:
        raise ValueError("the bundle's statement does not say whose it is, or is as of another moment than its last entry")
    return _Ledger(origin, first, last, root, tuple(entries), day_of(begin), day_of(end), customer, nights, " and ".join(limits) or None)


def _day(entry: Mapping[str, Any]) -> date:
    return _time(_text(entry, "asOf") or entry["finished"]).date()


def _content(source: _Source, name: str, most: int) -> bytes:
    content = bytearray()
    for chunk in source.chunks(name):
        content += chunk
        if len(content) > most:
            raise ValueError("larger than any such file")
    return bytes(content)


# --- Certificates of offboardings

_PLACE = {"source": "text", "provider": "text", "scope": "text"}
_PLANNED = {
    "id": "text", "action": "text", "says": "text", **_PLACE, "target": "text", "name": "text", "takes": ["text"], "reversible": "flag",
    "writes": ["text"], "looks": ["text"], "before": "object", "after": "object",
}  # fmt: skip
"""Fields of a step that are the plan's own, by the same names."""
_HELD = {"uid": "text", "what": "text", "kind": "text", **_PLACE, "name": "text", "whole": "flag", "how": "text", "others": ["text"]}
"""Fields of a holding that are the plan's own, by the same names."""
_CERTIFICATE: Mapping[str, Any] = {
    "state": ("complete", "incomplete"),
    "customer": {"id": "text", "name": "text"},
    "partner": {"id": "text", "name": "text", "contract": "text?", "ends": "text?"},
    "plan": {
        "id": "text", "digest": "sha256", "phase": ("disable", "delete"), "trigger": "text", "control": "text", "requestedBy": "text",
        "reason": "text", "emergency": "flag", "only": ["text"], "without": [{"uid": "text", "why": "text"}], "follows": "text?",
        "madeAt": "time", "needed": "count", "approvers": ["text"],
    },
    "approvals": [{
        "approver": "text", "name": "text", "kind": ("ssh", "ticket", "commit"), "digest": (None, "sha256"), "key": "text?",
        "issued": "text?", "reason": "text?",
    }],
    "brokenGlass": (None, {"by": "text", "reason": "text", "owedUntil": "time", "settled": "flag"}),
    "times": {"triggered": "time?", "approved": "time?", "begun": "time?", "ended": "time?", "verified": "time"},
    "secondsToRevoke": {"fromApproval": "count?", "fromTrigger": "count?"},
    "scopes": [{**_PLACE, "read": "flag", "why": "text?"}],
    "steps": [{
        **_PLANNED, "outcome": ("made", "found", "failed", "undone", "not made"), "why": "text?", "seen": (None, "object"),
        "intendedAt": "time?", "writtenAt": "time?", "verifiedAt": "time?", "attempts": "count", "readAs": "text?",
        "wroteAs": "text?", "watchedUntil": "time?",
    }],
    "sessions": [{"step": "text", "what": "text", "seconds": "count?", "until": "time?"}],
    "holdings": [{
        **_HELD, "identity": "text", "isNew": "flag",
        "verdict": ("ended", "still there", "unknown", "excluded", "undecided", "no way"), "why": "text?", "advice": "text?",
        "needed": ["text"],
        "proof": (None, {"result": ("refused", "accepted", "not told", "not tried"), "call": "text?", "said": "text", "at": "time?"}),
    }],
    "besides": [{"uid": "text", "name": "text", "why": "text", "advice": "text"}],
    "residual": [{
        "about": ("holding", "scope", "besides", "session", "approval", "plan"), "id": "text", "what": "text", "why": "text",
        "until": "time?", "who": ["text"],
    }],
    "register": {"digest": "text", "allowedSigners": (None, "sha256"), "configuration": "text"},
    "code": {"version": "text", "commit": "text?"},
    "ledger": [{"kind": "text", "run": "text", "sequence": "count", "statement": "digest"}],
}  # fmt: skip
"""What a certificate says: name to kind of value; `?` may be null, a tuple holds the alternatives, a list the kind of its items."""
_KINDS: Mapping[str, Any] = {
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "count": lambda value: type(value) is int and value >= 0,
    "object": lambda value: isinstance(value, dict),
    "time": lambda value: isinstance(value, str) and _INSTANT.fullmatch(value) is not None,
    "sha256": lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
    "digest": lambda value: isinstance(value, str) and _DIGEST.fullmatch(value) is not None,
}


def read_certificate(payload: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the certificate of an offboarding: what it says, and its subjects (file to SHA-256 hex).

    Raises ValueError where it is none, where it is not in its form, and where what it says of itself does not agree: a certificate
    that says `complete` while one of its rows does not.
    """
    predicate, listed = _said(payload, CERTIFICATE_TYPE, "the certificate of an offboarding")
    subjects = _subjects(listed)
    _shaped(predicate, _CERTIFICATE, "the certificate")
    if subjects.keys() - {STEPS} != {PLAN} or subjects[PLAN] != predicate["plan"]["digest"]:
        raise ValueError("the certificate is not about the plan that it names")
    for problem in _disagreements(predicate):
        raise ValueError(f"the certificate does not agree with itself: {problem}")
    if STEPS not in subjects and any(step["outcome"] != "not made" for step in predicate["steps"]):
        raise ValueError(f"the certificate tells of steps, and does not name {STEPS}")
    return predicate, subjects


def plan_disagreements(raw: bytes, said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a certificate tells otherwise than the plan itself (the bytes of plan.json); raises ValueError for what is no plan."""
    try:
        plan = json.loads(raw, object_pairs_hook=_once, parse_float=str)
        asked, told = plan["asked"], said["plan"]
        pairs = {
            "customer": (plan["customer"], said["customer"]["id"]), "partner": (asked["partner"], said["partner"]["id"]),
            "excluded": ([{"uid": uid, "why": why} for uid, why in asked["without"]], told["without"]),
            "steps": ([{name: step[name] for name in _PLANNED} for step in plan["steps"]],
                      [{name: step[name] for name in _PLANNED} for step in said["steps"]]),
            "holdings": (_by_uid([{name: held[name] for name in _HELD} | {"identity": held["identity_uid"]} for held in plan["holdings"]]),
                         _by_uid([{name: held[name] for name in (*_HELD, "identity")} for held in said["holdings"] if not held["isNew"]])),
            **{name: (plan[name], told[name]) for name in ("id", "control", "needed", "approvers")},
            **{name: (asked[name], told[name]) for name in ("phase", "trigger", "reason", "emergency", "only", "follows")},
            "requestedBy": (asked["requested_by"], told["requestedBy"]), "madeAt": (plan["made_at"], told["madeAt"]),
        }  # fmt: skip
    except (KeyError, TypeError, RecursionError, UnicodeDecodeError):
        raise ValueError("not a plan of revocation") from None
    for name, (planned, certified) in pairs.items():
        if planned != certified:
            yield f"its {name} is not what the plan says"


def steps_disagreements(raw: bytes, said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a certificate tells of made steps otherwise than steps.json, as it was sealed when the plan was applied.

    What became of them since, such as a step that was taken back, is not in that file. Raises ValueError for what is no such file.
    """
    names = {
        "state": "outcome", "why": "why", "seen": "seen", "intended_at": "intendedAt", "written_at": "writtenAt",
        "verified_at": "verifiedAt", "attempts": "attempts", "reader": "readAs", "writer": "wroteAs",
    }  # fmt: skip
    try:
        held = json.loads(raw, object_pairs_hook=_once, parse_float=str)
        rows = {row["id"]: {name: row[name] for name in names} for row in held["steps"]}
        digest_of = held["digest"]
    except (KeyError, TypeError, RecursionError, UnicodeDecodeError):
        raise ValueError("not the steps of a plan") from None
    if digest_of != said["plan"]["digest"]:
        yield "the steps are those of another plan"
    for step in said["steps"]:
        made = step["outcome"] in {"made", "found"}
        if made and rows.get(step["id"]) != {name: step[own] for name, own in names.items()}:
            yield f"step {step['id']} is not on record as it is told"


def certificate_state(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what an offboarding leaves over, from a certificate's own rows: (what it is about, its id), sorted.

    What is about a `session` ends by itself or cannot be called back by anybody: it is told, and keeps nothing from being complete.
    """
    until = _time(said["times"]["verified"])
    open_ = [("holding", held["uid"]) for held in said["holdings"] if held["verdict"] != "ended"]
    open_ += [("scope", scope_id(scope)) for scope in said["scopes"] if not scope["read"]]
    open_ += [("besides", each["uid"]) for each in said["besides"]]
    open_ += [("session", each["step"]) for each in said["sessions"] if each["until"] is None or _time(each["until"]) > until]
    if said["brokenGlass"] is not None and not said["brokenGlass"]["settled"]:
        open_.append(("approval", said["plan"]["id"]))
    if said["plan"]["emergency"]:
        open_.append(("plan", said["plan"]["id"]))
    return sorted(open_)


def seconds_to_revoke(said: Mapping[str, Any]) -> dict[str, int | None]:
    """Work out the seconds until the last step was seen to be made, rounded up, from a certificate's own times.

    None: a step is left, or the begin is not known, or it came after the end.
    """
    times, over = said["times"], all(step["outcome"] in {"made", "found"} for step in said["steps"])
    found: dict[str, int | None] = {}
    for name, begin in (("fromApproval", times["approved"]), ("fromTrigger", times["triggered"])):
        known = over and begin is not None and times["ended"] is not None and _time(begin) <= _time(times["ended"])
        found[name] = math.ceil((_time(times["ended"]) - _time(begin)).total_seconds()) if known else None
    return found


def scope_id(scope: Mapping[str, Any]) -> str:
    """Name a scope as the residual list of a certificate does."""
    return f"{scope['source']} {scope['provider']} {scope['scope']}"


def _disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    left = sorted((row["about"], row["id"]) for row in said["residual"])
    if left != certificate_state(said):
        yield "the residual list is not what its rows leave over"
    waiting = sum(about != "session" for about, _ in left)
    if (said["state"] == "complete") is bool(waiting):
        yield f"it says {said['state']}, and {waiting} things wait for somebody"
    yield from _approval_disagreements(said)
    yield from _step_disagreements(said)
    yield from _scope_disagreements(said)
    yield from _holding_disagreements(said)
    yield from _proof_disagreements(said)
    if said["secondsToRevoke"] != seconds_to_revoke(said):
        yield "the time to revoke is not the one between its own times"


def _approval_disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    plan, by, times = said["plan"], [each["approver"] for each in said["approvals"]], said["times"]
    touched = any(step["outcome"] != "not made" for step in said["steps"])
    enough = len(set(by)) >= plan["needed"] > 0
    keys = [each["key"] for each in said["approvals"] if each["key"] is not None]
    if len(set(by)) != len(by) or len(set(keys)) != len(keys):
        yield "one person, or one key, approved twice"
    if not set(by) <= set(plan["approvers"]) or plan["requestedBy"] in by:
        yield "somebody approved who may not"
    if any(each["kind"] == "ssh" and each["key"] is None for each in said["approvals"]):
        yield "an approval by signature names no key"
    if touched and not enough and said["brokenGlass"] is None:
        yield "steps were made without the approvals that the plan needs"
    if said["brokenGlass"] is not None and (plan["phase"] != "disable" or said["brokenGlass"]["settled"] is not enough):
        yield "what it says of the approval that was owed is not so"
    order = [_time(times[name]) for name in ("approved", "begun", "ended", "verified") if times[name] is not None]
    if order != sorted(order) or order[0] < _time(plan["madeAt"]):
        yield "its times are not in order"


def _step_disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    times, steps = said["times"], {step["id"]: step for step in said["steps"]}
    if len(steps) != len(said["steps"]):
        yield "a step is listed twice"
    seen = [step["verifiedAt"] for step in said["steps"] if step["verifiedAt"] is not None]
    if times["ended"] != max(seen, key=_time, default=None):
        yield "it did not end when its last step was seen to be made"
    for step in said["steps"]:
        is_made = step["outcome"] in {"made", "found"}
        watched = is_made and step["reversible"] and said["plan"]["phase"] == "disable"
        if is_made and (step["verifiedAt"] is None or step["seen"] != step["after"]):
            yield f"step {step['id']} counts as made and was not seen to be"
        if not is_made and (step["verifiedAt"] is not None or step["why"] is None):
            yield f"step {step['id']} was not made, and it is not said why"
        stamps = (times["begun"], step["intendedAt"], step["writtenAt"], step["verifiedAt"], times["verified"])
        order = [_time(at) for at in stamps if at is not None]
        if order != sorted(order) or (is_made and times["begun"] is None):
            yield f"the times of step {step['id']} are not in order"
        if watched is (step["watchedUntil"] is None) or (watched and _time(step["watchedUntil"]) < _time(step["verifiedAt"])):
            yield f"until when step {step['id']} is watched is not said, or cannot be"
    for each in said["sessions"]:
        step = steps.get(each["step"])
        begin = None if step is None else step["verifiedAt"]
        ends = None if begin is None or each["seconds"] is None else _time(begin) + timedelta(seconds=each["seconds"])
        if begin is None or (None if each["until"] is None else _time(each["until"])) != ends:
            yield f"the end of what outlives step {each['step']} is not what its own figures give"


def _holding_disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    read = {(scope["source"], scope["provider"], scope["scope"]): scope["read"] for scope in said["scopes"]}
    left_out = {each["uid"] for each in said["plan"]["without"]}
    told = {uid for held in said["holdings"] for uid in (held["uid"], held["identity"])} | {each["uid"] for each in said["besides"]}
    if not left_out <= told:
        yield "it does not tell of everything that the plan excludes"
    for held in said["holdings"]:
        over = held["verdict"] == "ended"
        if over and not read.get((held["source"], held["provider"], held["scope"])):
            yield f"{held['uid']} counts as ended, and its scope was not read"
        if over and (held["needed"] or (held["proof"] is not None and held["proof"]["result"] == "accepted")):
            yield f"{held['uid']} counts as ended, and something of it is left"
        if not over and held["why"] is None:
            yield f"{held['uid']} has not ended, and it is not said why"
        if held["verdict"] == "excluded" and left_out.isdisjoint({held["uid"], held["identity"]}):
            yield f"{held['uid']} counts as excluded, and the plan does not exclude it"


def _scope_disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    if len({scope_id(scope) for scope in said["scopes"]}) != len(said["scopes"]):
        yield "a scope is listed twice"
    for scope in said["scopes"]:
        if scope["read"] is not (scope["why"] is None):
            yield f"it is not said why {scope_id(scope)} was not read"


def _proof_disagreements(said: Mapping[str, Any]) -> Iterator[str]:
    ended: dict[str, datetime] = {}
    for step in said["steps"]:
        for uid in step["takes"] if step["verifiedAt"] is not None else ():
            ended[uid] = max(_time(step["verifiedAt"]), ended.get(uid, _time(step["verifiedAt"])))
    for held in said["holdings"]:
        proof = held["proof"]
        if proof is None:
            continue
        if (proof["result"] == "not tried") is not (proof["at"] is None):
            yield f"the negative proof of {held['uid']} has no time"
        if proof["result"] == "refused" and held["uid"] in ended and _time(proof["at"]) < ended[held["uid"]]:
            yield f"the negative proof of {held['uid']} was made before its access had ended"


def _by_uid(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["uid"]))


def _shaped(value: Any, shape: Any, place: str) -> None:  # noqa: ANN401  # JSON, and what it must look like
    """Demand that a value has exactly the form that `shape` gives; raises ValueError."""
    if isinstance(shape, dict):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            raise ValueError(f"{place} must have exactly the fields " + ", ".join(sorted(shape)))
        for name, kind in shape.items():
            _shaped(value[name], kind, f"{place}: {name}")
    elif isinstance(shape, list):
        for item in value if isinstance(value, list) else (None,):
            _shaped(item, shape[0], place)
    elif isinstance(shape, str):
        if not _fits(value, shape):
            raise ValueError(f"{place} is no {shape.removesuffix('?')}")
    elif shape[0] is None and value is not None:
        _shaped(value, shape[1], place)
    elif value not in shape:
        raise ValueError(f"{place} is none of {', '.join(shape)}")


def _fits(value: object, kind: str) -> bool:
    return (kind.endswith("?") and value is None) or bool(_KINDS[kind.removesuffix("?")](value))


def _check_certificate_alone(path: Path, keys: Mapping[str, PublicKey], asked: _Asked, notes: _Notes) -> None:
    if asked.expect_head is not None or asked.checkpoint is not None or asked.begin is not None:
        notes.problem("chain", "", "one certificate alone cannot be held against a head, a checkpoint or a period")
    notes.info("chain", "one certificate alone: whether it was sealed, and what came after it, needs the evidence folder or a bundle")
    source = _Unpacked(path.parent)
    beside: dict[str, bytes] = {}
    try:
        raw = _content(source, path.name, _LARGEST_STATEMENT)
        for name in (PLAN, STEPS):
            if (path.parent / name).is_file():
                beside[name] = _content(source, name, _LARGEST_STATEMENT)
    except ValueError as error:
        notes.problem("files", "", str(error))
        return
    checked = _check_offboarding(raw, beside, "", keys, notes)
    if checked is None:
        return
    said, subjects, _, _ = checked
    for name, sha256 in subjects.items():
        if name not in beside:
            notes.info("files", f"{name} is not beside the certificate, so it was not compared")
        elif hashlib.sha256(beside[name]).hexdigest() != sha256:
            notes.problem("files", name, "not the file that the certificate names")
        else:
            notes.files += 1
    notes.said["files"] = f"{notes.files} of the {len(subjects)} files that it names lie beside it, as they were"
    notes.said["certificates"] = f"in agreement with itself: {said['state']} for {said['partner']['id']}, plan {said['plan']['id']}"


def _check_certificate_of(  # noqa: PLR0913, PLR0917  # the run it lies in, and where
    run: Statement,
    signed_by: str,
    source: _Source,
    here: AbstractSet[str],
    place: str,
    inside: str,
    keys: Mapping[str, PublicKey],
    notes: _Notes,
) -> None:
    """Check the certificate that came with a run, and hold it against what the run's own statement says of it.

    `here`: the run's files that are here to be read, below the path `inside` of the source.
    """
    where = _join(place, CERTIFICATE)
    try:
        raw = _content(source, _join(inside, CERTIFICATE), _LARGEST_STATEMENT)
        beside = {name: _content(source, _join(inside, name), _LARGEST_STATEMENT) for name in (PLAN, STEPS) if name in here}
    except (ValueError, OSError) as error:
        notes.problem("certificates", where, str(error))
        return
    checked = _check_offboarding(raw, beside, where, keys, notes)
    if checked is None:
        return
    said, subjects, keyid, named = checked
    told = {"certificate": named, "partner": said["partner"]["id"], "plan": said["plan"]["id"], "state": said["state"],
            "phase": said["plan"]["phase"], "customer": said["customer"]["id"]}  # fmt: skip
    wrong = [name for name, value in told.items() if run.predicate.get(name) != value]
    wrong += [name for name, sha256 in subjects.items() if run.subjects.get(name) != sha256]
    if wrong or keyid != signed_by:
        notes.problem("certificates", where, f"the run that it lies in says otherwise of its {', '.join(wrong) or 'key'}")


def _check_offboarding(
    raw: bytes, beside: Mapping[str, bytes], where: str, keys: Mapping[str, PublicKey], notes: _Notes
) -> tuple[dict[str, Any], dict[str, str], str, str] | None:
    """Check a certificate's signature, form and agreement; returns what it says, its subjects, the key's id and its own digest."""
    try:
        envelope = envelope_of(raw)
        keyid = _check_envelope(envelope, keys)
        notes.statements += 1
    except ValueError as error:
        notes.problem("signatures", where, str(error))
        return None
    try:
        said, subjects = read_certificate(envelope.payload)
        for name, content in beside.items():
            if hashlib.sha256(content).hexdigest() == subjects.get(name):
                for problem in (plan_disagreements if name == PLAN else steps_disagreements)(content, said):
                    notes.problem("certificates", where, problem)
    except ValueError as error:
        notes.problem("certificates", where, str(error))
        return None
    notes.certificates += 1
    return said, subjects, keyid, digest(envelope.payload)


# --- Reading what is written


def _said(payload: bytes, kind: str, what: str) -> tuple[dict[str, Any], list[Any]]:
    """Read an in-toto statement of one kind: its predicate and its subjects; raises ValueError for another."""
    body = _object(parse(payload), {"_type", "predicate", "predicateType", "subject"})
    predicate, listed = body["predicate"], body["subject"]
    if (body["_type"], body["predicateType"]) != (STATEMENT_TYPE, kind) or not isinstance(predicate, dict) or not isinstance(listed, list):
        raise ValueError(f"not {what}")
    return predicate, listed


def _subjects(listed: list[Any]) -> dict[str, str]:
    subjects: dict[str, str] = {}
    for entry in listed:
        subject = _object(entry, {"digest", "name"})
        name, sha256 = subject["name"], _object(subject["digest"], {"sha256"})["sha256"]
        if not isinstance(name, str) or not is_portable(name):
            raise ValueError(f"the statement lists a path that leads out of the run or cannot be a file of it: {name!r}")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"the statement lists {name!r} without a SHA-256")
        if name in subjects:
            raise ValueError(f"the statement lists {name!r} twice")
        subjects[name] = sha256
    return subjects


def _object(value: object, keys: set[str] | None) -> dict[str, Any]:
    """Return a JSON object with exactly these fields (None: any); raises ValueError for anything else."""
    if not isinstance(value, dict) or (keys is not None and value.keys() != keys):
        raise ValueError("there must be exactly the fields " + ", ".join(sorted(keys)) if keys is not None else "not a JSON object")
    return value


def _field(value: object, name: str) -> Any:  # noqa: ANN401  # JSON
    if not isinstance(value, dict) or name not in value:
        raise ValueError(f"there is no field {name}")
    return value[name]


def _text(value: object, name: str) -> str | None:
    found = value.get(name) if isinstance(value, dict) else None
    if found is not None and not isinstance(found, str):
        raise ValueError(f"{name} is no text")
    return found


def _time(text: str) -> datetime:
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"not a time in UTC: {text[:40]!r}")
    return datetime.fromisoformat(f"{text[:-1]}+00:00")


def _base64(text: object) -> bytes:
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("not base64")
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    if base64.b64encode(decoded).decode() != text:
        raise ValueError("not base64 in its one form")
    return decoded


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("broken JSON: a key occurs twice")
    return found


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"a number that is no integer: {text[:20]}")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _printable(text: str) -> str:
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text[:_LONGEST_TEXT]
    )
    return shown + "..." * (len(text) > _LONGEST_TEXT)


# --- Hashes


def leaf_hash(payload: bytes) -> bytes:
    """Hash one statement's payload as a leaf of the tree (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\0" + payload).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree over leaf hashes in their order (RFC 6962 section 2.1); the empty tree's is SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        # Pairs from the left; a last one without a partner goes up as it is, which is RFC 6962's split at a power of two.
        pairs = [hashlib.sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        level = pairs if len(level) % 2 == 0 else [*pairs, level[-1]]
    return level[0]


# --- The one form of a bundle's ZIP: whoever writes one uses these, and the check rebuilds every header with them.


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One file in a bundle's ZIP (APPNOTE.TXT 6.3, without ZIP64)."""

    name: str
    """ASCII; each part between slashes begins with a letter or digit and goes on with those and `. _ -`."""
    method: int
    """0: stored, as the bundle's statement always is; 8: raw deflate, its bytes held by `packed` in that statement."""
    crc: int
    packed: int
    """Bytes in the ZIP."""
    size: int
    """Bytes once unpacked."""
    offset: int
    """Where its local header begins."""


def zip_local(entry: ZipEntry) -> bytes:
    """Write the header in front of a file's bytes: dated 1980-01-01, no flags, no extra fields."""
    return (
        _LOCAL.pack(b"PK\x03\x04", 20, 0, entry.method, 0, 33, entry.crc, entry.packed, entry.size, len(entry.name), 0)
        + entry.name.encode()
    )


def zip_central(entry: ZipEntry) -> bytes:
    """Write a file's line in the directory: made on Unix, a plain file with mode 0644, no comment."""
    head = (b"PK\x01\x02", 20, 3, 20, 0, entry.method, 0, 33, entry.crc, entry.packed, entry.size, len(entry.name))
    return _CENTRAL.pack(*head, 0, 0, 0, 0, 0o100644 << 16, entry.offset) + entry.name.encode()


def zip_end(count: int, size: int, offset: int) -> bytes:
    """Write the end of a ZIP whose directory has `count` lines, `size` bytes and begins at `offset`."""
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, size, offset, 0)


# ---- RFC 3161: timestamps ------------------------------------------------------------------------------------------------------------

_LARGEST_TOKEN = 256 * 1024
_MOST_CERTIFICATES = 16
_TIMELY = timedelta(minutes=5)
"""How far clocks may differ before a time counts as one that has not come yet."""
_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID, _NULL, _TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0x05, 0x18
_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_RSA, _RSA_PSS, _MGF1 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA_WITH = {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
_ECDSA_WITH = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
_GENERALIZED = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{0,30}[1-9]))?Z", re.ASCII)


def check_timestamp(token: bytes, digest: bytes, roots: Sequence[x509.Certificate], *, at: datetime | None) -> datetime:
    """Check an RFC 3161 token (a TimeStampResp, or the token of one alone) and return when it was made (genTime, UTC).

    `digest` is the SHA-256, SHA-384 or SHA-512 of what was stamped; its length says which, and the token must hold that one.
    `roots` are the certificates of the authorities that are trusted, and nothing else is: what the token brings along is
    only used to get from its signature to one of them (RFC 5280), as of genTime. `at` (UTC): the time of the check, so that a
    token from the future is refused; None: any time will do.

    Raises ValueError with a plain reason, and nothing else, whatever the bytes.
    """
    try:
        made = _check_token(token, digest, roots)
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - certificates are parsed by a library that raises what it likes, and the bytes are hostile
        raise ValueError(f"the timestamp holds something that cannot be read ({type(error).__name__})") from None
    if at is not None and made > at + _TIMELY:
        raise ValueError(f"the timestamp says {made:%Y-%m-%dT%H:%M:%SZ}, which is yet to come")
    return made


def _check_token(token: bytes, digest: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """RFC 3161 section 2.4.2 around RFC 5652 section 5."""
    body = iter(_signed_data(token))
    version, algorithms, content = _next(body, _INTEGER), _next(body, _SET), _next(body, _SEQUENCE)
    if version.content != b"\3":
        raise ValueError("not a timestamp: another version of signed data")
    rest = list(body)
    held = _certificates(rest.pop(0)) if rest and rest[0].tag == 0xA0 else ()  # noqa: PLR2004 - [0], certificates
    if rest and rest[0].tag == 0xA1:  # noqa: PLR2004 - [1], revocation lists, which are not looked at
        rest.pop(0)
    signers = _children(_only(rest, _SET))
    info = _wrapped(content, _TST_INFO, _OCTETS).content
    certificate = _check_signer(_only(signers, _SEQUENCE), info, (*roots, *held), {_hash_of(each).name for each in _children(algorithms)})
    made = _check_info(info, digest)
    _check_certificate(certificate, made)
    _check_path(certificate, made, roots, held)
    return made


def _signed_data(token: bytes) -> list[_Der]:
    if len(token) > _LARGEST_TOKEN:
        raise ValueError("larger than any timestamp")
    outer = _children(_single(token, _SEQUENCE))
    if outer and outer[0].tag == _SEQUENCE:
        status = _children(outer[0])
        if not status or status[0].tag != _INTEGER or status[0].content != b"\0":
            # 1 would be a timestamp with changes, and nothing was asked for that could be changed.
            raise ValueError("the time-stamping authority refused")
        if len(outer) != 2 or outer[1].tag != _SEQUENCE:  # noqa: PLR2004 - status and token
            raise ValueError("the answer holds no timestamp")
        outer = _children(outer[1])
    return _children(_wrapped(_Der(_SEQUENCE, b"".join(part.raw for part in outer), b""), _SIGNED_DATA, _SEQUENCE))


def _check_signer(signer: _Der, info: bytes, certificates: Sequence[x509.Certificate], announced: set[str]) -> x509.Certificate:
    """Check the one signature (RFC 5652 sections 5.3 to 5.6); returns the certificate of its key, which is not yet trusted."""
    parts = iter(_children(signer))
    version, name = _next(parts, _INTEGER), _next(parts, None)
    hashed = _hash_of(_next(parts, _SEQUENCE))
    # Neither is signed, and nothing follows from them; held to what they must be, so that they cannot change unseen.
    if version.content != (b"\1" if name.tag == _SEQUENCE else b"\3") or announced != {hashed.name}:
        raise ValueError("not a timestamp: what is said of its signature disagrees with itself")
    attributes = _next(parts, 0xA0)
    algorithm, signature = _next(parts, _SEQUENCE), _next(parts, _OCTETS).content
    said = _attributes(attributes)
    kind, digest = said.get(_CONTENT_TYPE), said.get(_MESSAGE_DIGEST)
    if kind is None or kind.tag != _OID or _oid(kind) != _TST_INFO:
        raise ValueError("the signature is not one of a timestamp")
    if digest is None or digest.tag != _OCTETS or digest.content != hashlib.new(hashed.name, info).digest():
        raise ValueError("the signature is not one of what the timestamp says")
    found = [each for each in certificates if _is_named(each, name)]
    if not found:
        raise ValueError("the certificate of its signer is missing")
    # What is signed is a SET, which lies here under another tag (RFC 5652 section 5.4).
    signed = bytes([_SET]) + attributes.raw[1:]
    for certificate in found:
        if _is_meant(said, certificate):
            _check_signed(certificate, algorithm, hashed, signature, signed)
            return certificate
    raise ValueError("the signature names another certificate than the one it comes with")


def _check_signed(certificate: x509.Certificate, algorithm: _Der, hashed: hashes.HashAlgorithm, signature: bytes, signed: bytes) -> None:
    parts = iter(_children(algorithm))
    oid = _oid(_next(parts, _OID))
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and (oid == _RSA or _RSA_WITH.get(oid) == hashed.name):
            key.verify(signature, signed, padding.PKCS1v15(), hashed)
        elif isinstance(key, rsa.RSAPublicKey) and oid == _RSA_PSS:
            key.verify(signature, signed, _pss(_next(parts, _SEQUENCE), hashed), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and _ECDSA_WITH.get(oid) == hashed.name:
            key.verify(signature, signed, ec.ECDSA(hashed))
        else:
            raise ValueError("signed in a way that is not known here: RSA or ECDSA with SHA-256, SHA-384 or SHA-512 is")
    except InvalidSignature:
        raise ValueError("its signature does not fit") from None
    if any(part.raw != b"\5\0" for part in parts):
        raise ValueError("not a timestamp: its kind of signature has something behind it")


def _pss(parameters: _Der, hashed: hashes.HashAlgorithm) -> padding.PSS:
    """RFC 4055 section 3.1; the hash must be the signer's own, in both places."""
    said = {part.tag: _only(_children(part), _SEQUENCE if part.tag in {0xA0, 0xA1} else _INTEGER) for part in _children(parameters)}
    if not {0xA0, 0xA1} <= said.keys() <= {0xA0, 0xA1, 0xA2, 0xA3}:
        raise ValueError("signed in a way that is not known here: RSA-PSS with SHA-1")
    mask = iter(_children(said[0xA1]))
    if _oid(_next(mask, _OID)) != _MGF1 or {_hash_of(said[0xA0]).name, _hash_of(_next(mask, _SEQUENCE)).name} != {hashed.name}:
        raise ValueError("signed in a way that is not known here: RSA-PSS with two kinds of hash")
    if next(mask, None) is not None:
        raise ValueError("not a timestamp: its kind of signature has something behind it")
    salt = int.from_bytes(said[0xA2].content, "big", signed=True) if 0xA2 in said else 20  # noqa: PLR2004 - [2], the salt's length
    if 0xA3 in said and said[0xA3].content != b"\1":  # noqa: PLR2004 - [3], the trailer
        raise ValueError("signed in a way that is not known here: RSA-PSS with another trailer")
    return padding.PSS(padding.MGF1(hashed), salt)


def _attributes(attributes: _Der) -> dict[str, _Der]:
    """Type to its one value; raises ValueError for a type that occurs twice or has more values."""
    said: dict[str, _Der] = {}
    for attribute in _children(attributes):
        parts = iter(_children(attribute))
        oid, values = _oid(_next(parts, _OID)), _children(_next(parts, _SET))
        if oid in said or len(values) != 1 or next(parts, None) is not None:
            raise ValueError("not a timestamp: a signed attribute is there twice")
        said[oid] = values[0]
    return said


def _is_named(certificate: x509.Certificate, name: _Der) -> bool:
    """Whether a SignerIdentifier is that of a certificate: issuer and serial number, or [0] its key's identifier."""
    if name.tag == 0x80:  # noqa: PLR2004 - [0]
        ours = next((each.value for each in certificate.extensions if isinstance(each.value, x509.SubjectKeyIdentifier)), None)
        return ours is not None and ours.digest == name.content
    parts = iter(_children(name))
    issuer, serial = _next(parts, _SEQUENCE), _next(parts, _INTEGER)
    number = int.from_bytes(serial.content, "big", signed=True)
    return (certificate.issuer.public_bytes(), certificate.serial_number) == (issuer.raw, number)


def _is_meant(said: Mapping[str, _Der], certificate: x509.Certificate) -> bool:
    """Whether signingCertificate, in its old or its new form, names a certificate first (RFC 2634 section 5.4, RFC 5035)."""
    der = certificate.public_bytes(Encoding.DER)
    matches = []
    for oid in (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2):
        if oid in said:
            first = _children(_next(iter(_children(_next(iter(_children(said[oid])), _SEQUENCE))), _SEQUENCE))
            new = oid == _SIGNING_CERTIFICATE_V2
            kind = _hash_of(first.pop(0)).name if new and first and first[0].tag == _SEQUENCE else "sha256" if new else "sha1"
            # SHA-1 only says which certificate is meant; the chain and the signature say whether it may be believed.
            matches.append(_next(iter(first), _OCTETS).content == hashlib.new(kind, der, usedforsecurity=False).digest())
    if not matches:
        raise ValueError("not a timestamp: the signature does not say which certificate it is of")
    return all(matches)


def _check_info(info: bytes, digest: bytes) -> datetime:
    """Read TSTInfo: the time, once the imprint is the one that is asked about."""
    parts = iter(_children(_single(info, _SEQUENCE)))
    if _next(parts, _INTEGER).content != b"\1":
        raise ValueError("not a timestamp: another version")
    _next(parts, _OID)
    imprint = iter(_children(_next(parts, _SEQUENCE)))
    hashed, held = _hash_of(_next(imprint, _SEQUENCE)), _next(imprint, _OCTETS).content
    if (hashed.digest_size, held) != (len(digest), digest):
        raise ValueError("the timestamp is one of something else")
    _next(parts, _INTEGER)
    text = _next(parts, _TIME).content.decode("ascii", "replace")
    read = _GENERALIZED.fullmatch(text)
    if read is None:
        raise ValueError("its time is not written as RFC 3161 wants it")
    try:
        year, month, day, hour, minute, second = (int(part) for part in read.groups()[:6])
        return datetime(year, month, day, hour, minute, second, int((read[7] or "")[:6].ljust(6, "0")), timezone.utc)  # noqa: UP017 - for 3.9 too
    except ValueError:
        raise ValueError("its time is no time") from None


def _check_certificate(certificate: x509.Certificate, made: datetime) -> None:
    """Check that a certificate is one for timestamps (RFC 3161 section 2.3)."""
    _check_valid(certificate, made)
    use = next((each for each in certificate.extensions if isinstance(each.value, x509.ExtendedKeyUsage)), None)
    if use is None or not use.critical or list(use.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise ValueError("its signer's certificate is not one for timestamps and nothing else")
    usage = next((each.value for each in certificate.extensions if isinstance(each.value, x509.KeyUsage)), None)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("its signer's certificate is not one to sign with")


def _check_path(leaf: x509.Certificate, made: datetime, roots: Sequence[x509.Certificate], held: Sequence[x509.Certificate]) -> None:
    """Follow issuers from a certificate to one of the roots; raises ValueError where no way leads there."""
    reason = "its signer's certificate does not come from a time-stamping authority that is trusted"
    # Each certificate is tried once, so that hostile chains end; the shortest way comes first.
    waiting, tried = [(leaf, 0)], set[x509.Certificate]()
    while waiting:
        below, depth = waiting.pop(0)
        for issuer in (*roots, *held):
            if issuer in tried or not _is_issued(below, issuer):
                continue
            try:
                _check_authority(issuer, made, depth)
            except ValueError as error:
                reason = str(error)
                continue
            if issuer in roots:
                return
            tried.add(issuer)
            waiting.append((issuer, depth + 1))
    raise ValueError(reason)


def _is_issued(below: x509.Certificate, issuer: x509.Certificate) -> bool:
    if below.issuer != issuer.subject:
        return False
    try:
        below.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _check_authority(certificate: x509.Certificate, made: datetime, below: int) -> None:
    """Check that a certificate may issue others; `below` counts the authorities between it and the signer."""
    _check_valid(certificate, made)
    said = {type(each.value): each.value for each in certificate.extensions}
    basic, usage, purposes = said.get(x509.BasicConstraints), said.get(x509.KeyUsage), said.get(x509.ExtendedKeyUsage)
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca or (basic.path_length is not None and basic.path_length < below):
        raise ValueError("a certificate above its signer's is not that of an authority")
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        raise ValueError("a certificate above its signer's may not sign certificates")
    wanted = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if isinstance(purposes, x509.ExtendedKeyUsage) and wanted.isdisjoint(purposes):
        raise ValueError("a certificate above its signer's is not one for timestamps")


def _check_valid(certificate: x509.Certificate, made: datetime) -> None:
    if not certificate.not_valid_before_utc <= made <= certificate.not_valid_after_utc:
        raise ValueError("a certificate was not valid at the time of the timestamp")
    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
    if any(each.critical and not isinstance(each.value, known) for each in certificate.extensions):
        raise ValueError("a certificate has a critical extension that is not known here")


def _certificates(held: _Der) -> tuple[x509.Certificate, ...]:
    parts = [part for part in _children(held) if part.tag == _SEQUENCE]
    if len(parts) > _MOST_CERTIFICATES:
        raise ValueError("more certificates than any timestamp needs")
    return tuple(x509.load_der_x509_certificate(part.raw) for part in parts)


@dataclass(frozen=True, slots=True)
class _Der:
    """One value of DER (X.690)."""

    tag: int
    """The identifier octet."""
    content: bytes
    raw: bytes
    """All of it, with tag and length."""


def _children(parent: _Der) -> list[_Der]:
    """Read the values inside a constructed one; raises ValueError for anything but DER: no indefinite and no needlessly long lengths."""
    data, at, found = parent.content, 0, []
    if not parent.tag & 0x20:
        raise ValueError("broken timestamp: a value has no parts")
    while at < len(data):
        start = at
        if len(data) - at < 2 or data[at] & 0x1F == 0x1F:  # noqa: PLR2004 - a tag and a length; no tag of two bytes occurs
            raise ValueError("broken timestamp: cut off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            long = data[at : at + size]
            length = int.from_bytes(long, "big")
            if not 0 < size <= 4 or len(long) < size or long[0] == 0 or length < 0x80:  # noqa: PLR2004 - the short form is up to 127
                raise ValueError("broken timestamp: a length that is not written as DER wants it")
            at += size
        if length > len(data) - at:
            raise ValueError("broken timestamp: cut off")
        at += length
        found.append(_Der(tag, data[at - length : at], data[start:at]))
    return found


def _single(data: bytes, tag: int) -> _Der:
    return _only(_children(_Der(_SEQUENCE, data, b"")), tag)


def _only(parts: Sequence[_Der], tag: int | None) -> _Der:
    if len(parts) != 1:
        raise ValueError("broken timestamp: more or less in one place than there should be")
    return _next(iter(parts), tag)


def _next(parts: Iterator[_Der], tag: int | None) -> _Der:
    part = next(parts, None)
    if part is None or tag not in {None, part.tag}:
        raise ValueError("not a timestamp: something else is where a part of one should be")
    return part


def _wrapped(content: _Der, oid: str, tag: int) -> _Der:
    """Open a ContentInfo (RFC 5652 section 3): a type, and a value of it under [0]."""
    parts = iter(_children(content))
    found, value = _oid(_next(parts, _OID)), _next(parts, 0xA0)
    if found != oid or next(parts, None) is not None:
        raise ValueError("not a timestamp: another kind of content")
    return _only(_children(value), tag)


def _oid(value: _Der) -> str:
    numbers, number = [], 0
    if not 0 < len(value.content) <= 64 or value.content[-1] & 0x80:  # noqa: PLR2004 - longer than any name of a kind
        raise ValueError("broken timestamp: the name of a kind is cut off")
    for byte in value.content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = numbers[0] if numbers else 0
    return ".".join(map(str, (min(first // 40, 2), first - 40 * min(first // 40, 2), *numbers[1:])))


def _hash_of(algorithm: _Der) -> hashes.HashAlgorithm:
    parts = _children(algorithm)
    oid = _oid(_next(iter(parts), _OID))
    if algorithm.tag != _SEQUENCE or oid not in _HASHES or any(part.raw != b"\5\0" for part in parts[1:]):
        raise ValueError("it uses another hash than SHA-256, SHA-384 or SHA-512")
    return _HASHES[oid]


if __name__ == "__main__":
    sys.exit(main())
