"""Check sealed runs against a public key, trusting nobody: standard library and `cryptography` only, reading only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

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
LEAVES = "ledger/leaves.txt"
"""In a bundle: the tree's leaf hashes from the first run on, one hex line each."""

_LARGEST_STATEMENT = 64 * 1024 * 1024
_MOST_PROBLEMS = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

CheckName = Literal["keys", "signatures", "files", "chain"]
_NAMES: tuple[CheckName, ...] = ("keys", "signatures", "files", "chain")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["pass", "fail", "info"]
    """`info` says what was not or could not be checked; it is no pass."""
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyProblem:
    """One reason why the evidence does not hold."""

    file: str
    """Path from the folder that was checked; characters that do not print are written as escapes."""
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


def verify(path: Path, public_keys: Sequence[Path], *, first: int = 1, expect_head: str | None = None) -> Report:
    """Check one run folder, or a whole evidence folder with its chain.

    `first` is the sequence that a whole folder must begin with (above 1 once runs were disposed of). `expect_head` is
    the statement digest (`sha256:<hex>`) of a run that the reader knows to have been sealed: without it, nobody can
    see that the last runs were removed. Whatever does not hold is a problem in the report; nothing is raised.
    """
    notes = _Notes()
    keys = _load_keys(public_keys, notes)
    if expect_head is not None and not _DIGEST.fullmatch(expect_head):
        notes.problem("chain", "", "the expected head is not a digest of the form sha256:<64 hex digits>")
    try:
        if not path.is_dir():
            notes.problem("files", "", "this is not a folder of evidence")
        elif _is_run(path):
            run = _check_run(path, run_folder_name(path), "", keys, notes)
            notes.info("chain", "one run alone: whether runs before or after it are missing needs the whole evidence folder")
            if expect_head is not None and (run is None or run.digest != expect_head):
                notes.problem("chain", "", "this run is not the expected head; looking further needs the whole folder")
        else:
            _check_chain(path, keys, notes, first, expect_head)
    except OSError as error:
        notes.problem("files", "", f"the folder cannot be read: {error.strerror}")
    return notes.report()


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
    """Read an envelope file; raises ValueError where it is not exactly in the form that we write, OSError as `open` does.

    One form only, so that no byte of the file can change unseen: keys sorted, no spaces, canonical base64.
    """
    with path.open("rb") as file:
        raw = file.read(_LARGEST_STATEMENT + 1)
    if len(raw) > _LARGEST_STATEMENT:
        raise ValueError("larger than any statement")
    body = _object(parse(raw), {"payload", "payloadType", "signatures"})
    signatures = body["signatures"]
    if not isinstance(signatures, list) or not isinstance(body["payloadType"], str):
        raise ValueError("not a DSSE envelope")  # noqa: TRY004  # broken input, whatever its type
    pairs = tuple((entry["keyid"], _base64(entry["sig"])) for entry in (_object(entry, {"keyid", "sig"}) for entry in signatures))
    if not all(isinstance(keyid, str) for keyid, _ in pairs):
        raise ValueError("not a DSSE envelope")
    if raw != json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode():
        raise ValueError("not in the form in which statements are written")
    return Envelope(_base64(body["payload"]), body["payloadType"], pairs)


def read_statement(payload: bytes) -> Statement:
    """Read an envelope's payload; raises ValueError where it is not the statement of a run or of an intent."""
    body = _object(parse(payload), {"_type", "predicate", "predicateType", "subject"})
    if (body["_type"], body["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError("not the statement of a run")
    predicate, listed = body["predicate"], body["subject"]
    if not isinstance(predicate, dict) or not isinstance(listed, list):
        raise ValueError("not the statement of a run")  # noqa: TRY004  # broken input, whatever its type
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
    return Statement(digest(payload), run, kind, origin, sequence, previous, _subjects(listed), predicate)


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


@dataclass(frozen=True, slots=True)
class _Run:
    """One run folder whose statement is authentic."""

    digest: str
    origin: str
    sequence: int
    previous: str | None
    intent_previous: str | None


@dataclass(slots=True)
class _Notes:
    """Problems and counts, gathered while reading."""

    problems: list[VerifyProblem] = field(default_factory=list)
    failed: set[CheckName] = field(default_factory=set)
    infos: list[Check] = field(default_factory=list)
    keys: int = 0
    statements: int = 0
    files: int = 0
    chained: str | None = None

    def problem(self, check: CheckName, file: str, what: str) -> None:
        self.failed.add(check)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(VerifyProblem(_printable(file), _printable(what)))
        elif len(self.problems) == _MOST_PROBLEMS:
            self.problems.append(VerifyProblem("", f"more than {_MOST_PROBLEMS} problems: the others are not listed"))

    def info(self, name: str, detail: str) -> None:
        if len(self.infos) < _MOST_PROBLEMS:
            self.infos.append(Check(name, "info", _printable(detail)))

    def report(self) -> Report:
        details = {
            "keys": f"{self.keys} public keys",
            "signatures": f"{self.statements} statements signed by one of the keys",
            "files": f"{self.files} files as signed, and no others",
            "chain": self.chained,
        }
        checks = tuple(
            Check(name, "fail" if name in self.failed else "pass", "see the problems" if name in self.failed else details[name] or "")
            for name in _NAMES
            if name in self.failed or details[name] is not None
        )
        return Report(not self.problems, (*checks, *self.infos), tuple(self.problems))


def _check_chain(folder: Path, keys: Mapping[str, Ed25519PublicKey], notes: _Notes, first: int, expect_head: str | None) -> None:
    seen: set[str] = set()
    due = first
    before: _Run | None = None
    for name in _list_runs(folder, notes):
        number = int(name)
        if number < due:
            notes.problem("chain", name, f"a run before {run_folder(due)}, where the evidence must begin")
        elif number > due:
            notes.problem("chain", name, f"missing: {run_folder(due)} to {run_folder(number - 1)}")
        run = _check_run(folder / name, name, name, keys, notes)
        if run is None:
            notes.problem("chain", name, "the chain cannot be followed through this run")
        else:
            _check_link(run, before, name, notes)
            if first == 1 and run.intent_previous is not None and run.intent_previous not in seen:
                notes.problem("chain", name, "the intent follows a statement that is not among the runs before it")
            seen.add(run.digest)
        before, due = run, max(due, number + 1)
    if due == first:
        notes.problem("chain", "", "there is no sealed run here")
    if first > 1:
        notes.info("chain", f"runs before {run_folder(first)} were not asked for: what the first run follows cannot be checked")
    if expect_head is None:
        notes.info("chain", "whether later runs were removed cannot be seen without the statement digest of a later run (expected head)")
    elif expect_head not in seen:
        notes.problem("chain", "", "the expected head is not among the runs: runs were removed, or this is an older or another chain")
    notes.chained = f"runs {run_folder(first)} to {run_folder(due - 1)} in one unbroken chain"


def _list_runs(folder: Path, notes: _Notes) -> list[str]:
    names = []
    for entry in sorted(folder.iterdir()):
        if _is_run_name(entry.name):
            names.append(entry.name)
        elif entry.name == STAGING and entry.is_dir() and not entry.is_symlink():
            for left in sorted(entry.iterdir()):
                if not left.name.endswith(".lock"):
                    notes.info("staging", f"{STAGING}/{left.name}: interrupted run not yet sealed, or one being written; not checked")
        else:
            notes.problem("files", entry.name, "not part of the evidence")
    return sorted(names, key=int)


def _check_link(run: _Run, before: _Run | None, name: str, notes: _Notes) -> None:
    if before is not None and run.previous != before.digest:
        notes.problem("chain", name, "the statement does not follow the one before it")
    if before is not None and run.origin != before.origin:
        notes.problem("chain", name, f"the statement belongs to the chain of {run.origin!r}, not of {before.origin!r}")


def _check_run(folder: Path, name: str, prefix: str, keys: Mapping[str, Ed25519PublicKey], notes: _Notes) -> _Run | None:
    """Check one run folder; returns None where its statement cannot be believed."""
    if prefix and (folder.is_symlink() or not folder.is_dir()):
        notes.problem("files", name, "not a folder")
        return None
    said = _check_statement(folder, STATEMENT, prefix, keys, notes)
    if said is None:
        return None
    place = _join(prefix, STATEMENT)
    if said.sequence is None or said.kind.endswith(INTENT_SUFFIX):
        notes.problem("signatures", place, "this is the statement of an intent, not of a run")
        return None
    if name != run_folder(said.sequence):
        notes.problem("chain", place, f"the statement is that of run {run_folder(said.sequence)}, but lies in {name}")
        return None
    if (said.previous is None) != (said.sequence == 1):
        notes.problem("chain", place, "only the first run, and always the first, has no statement before it")
    _check_files(folder, prefix, said.subjects, notes)
    intent = _check_intent(folder, prefix, said, keys, notes) if INTENT in said.subjects else None
    return _Run(said.digest, said.origin, said.sequence, said.previous, intent)


def _check_intent(folder: Path, prefix: str, said: Statement, keys: Mapping[str, Ed25519PublicKey], notes: _Notes) -> str | None:
    """Check the intent inside a run; returns the digest of the statement that it follows."""
    intent = _check_statement(folder, INTENT, prefix, keys, notes)
    if intent is None:
        return None
    place = _join(prefix, INTENT)
    if intent.sequence is not None or not intent.kind.endswith(INTENT_SUFFIX):
        notes.problem("signatures", place, "this is not the statement of an intent")
    if (intent.run, intent.origin) != (said.run, said.origin):
        notes.problem("signatures", place, "the intent belongs to another run")
    for name, sha256 in intent.subjects.items():
        if said.subjects.get(name) != sha256:
            notes.problem("files", _join(prefix, name), "changed or removed after the intent that covers it")
    return intent.previous


def _check_statement(folder: Path, name: str, prefix: str, keys: Mapping[str, Ed25519PublicKey], notes: _Notes) -> Statement | None:
    path, place = folder / name, _join(prefix, name)
    if path.is_symlink() or not path.is_file():
        notes.problem("signatures", place, "the signed statement is missing" if not path.is_symlink() else "a link, not a file")
        return None
    try:
        envelope = read_envelope(path)
        _check_signature(envelope, keys)
        said = read_statement(envelope.payload)
    except OSError as error:
        notes.problem("signatures", place, f"cannot be read: {error.strerror}")
    except ValueError as error:
        notes.problem("signatures", place, str(error))
    else:
        notes.statements += 1
        return said
    return None


def _check_signature(envelope: Envelope, keys: Mapping[str, Ed25519PublicKey]) -> None:
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError(f"the payload's type is {envelope.payload_type!r}, not {PAYLOAD_TYPE!r}")
    if len(envelope.signatures) != 1:
        raise ValueError(f"{len(envelope.signatures)} signatures, where there must be exactly one")
    keyid, signature = envelope.signatures[0]
    if keyid not in keys:
        raise ValueError(f"signed by the key {keyid!r}, which is none of the keys given")
    try:
        keys[keyid].verify(signature, pae(envelope))
    except InvalidSignature:
        raise ValueError("the signature does not fit the statement") from None


def _check_files(folder: Path, prefix: str, subjects: Mapping[str, str], notes: _Notes) -> None:
    missing = set(subjects)
    for name, kind in _walk(folder):
        place = _join(prefix, name)
        if kind != "file":
            notes.problem("files", place, kind)
        elif name in subjects:
            missing.discard(name)
            try:
                with (folder / name).open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                notes.problem("files", place, f"cannot be read: {error.strerror}")
                continue
            if found != subjects[name]:
                notes.problem("files", place, "the file is not the one that was signed")
            else:
                notes.files += 1
        elif name != STATEMENT:
            notes.problem("files", place, "a file that the statement does not list")
    for name in sorted(missing):
        notes.problem("files", _join(prefix, name), "the statement lists this file, and it is missing")


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (path inside, `file` or what is wrong with it) of everything below a folder, never following a link."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = sorted((folder / inside).iterdir())
        except OSError as error:
            yield inside, f"cannot be read: {error.strerror}"
            continue
        if not entries and inside:
            yield inside, "an empty folder, which no statement can list"
        for entry in entries:
            name = _join(inside, entry.name)
            if entry.is_symlink():
                yield name, "a link, not a file"
            elif entry.is_dir():
                waiting.append(name)
            else:
                yield name, "file" if entry.is_file() else "a device or pipe, not a file"


def _subjects(listed: list[Any]) -> dict[str, str]:
    subjects: dict[str, str] = {}
    for entry in listed:
        subject = _object(entry, {"digest", "name"})
        name, sha256 = subject["name"], _object(subject["digest"], {"sha256"})["sha256"]
        if not isinstance(name, str) or not is_portable(name) or name == STATEMENT:
            raise ValueError(f"the statement lists a path that leads out of the run or cannot be a file of it: {name!r}")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"the statement lists {name!r} without a SHA-256")
        if name in subjects:
            raise ValueError(f"the statement lists {name!r} twice")
        subjects[name] = sha256
    return subjects


def _load_keys(paths: Sequence[Path], notes: _Notes) -> dict[str, Ed25519PublicKey]:
    keys = {}
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            notes.problem("keys", str(path), f"the key cannot be read: {error.strerror}")
            continue
        except (ValueError, UnsupportedAlgorithm):
            notes.problem("keys", str(path), "not a public key in PEM")
            continue
        if not isinstance(key, Ed25519PublicKey):
            notes.problem("keys", str(path), "not an Ed25519 key")
            continue
        keys[hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()] = key
    if not paths:
        notes.problem("keys", "", "no public key was given, so no signature can be checked")
    notes.keys = len(keys)
    return keys


def _is_run(path: Path) -> bool:
    if (path / STATEMENT).exists() or (path / STATEMENT).is_symlink():
        return True
    return _is_run_name(run_folder_name(path)) and not any(_is_run_name(entry.name) for entry in path.iterdir())


def _is_run_name(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 20 and name == run_folder(int(name))  # noqa: PLR2004  # more than any count of runs


def _object(value: object, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise ValueError(f"there must be exactly the fields {', '.join(sorted(keys))}")
    return value


def _base64(text: object) -> bytes:
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("not base64")
    decoded = base64.b64decode(text, validate=True)
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
    return "".join(each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text)


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
