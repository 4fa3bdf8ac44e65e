"""A bundle and its ledger attacked from outside and by whoever holds the key; each attack fails in our command and in `verify.py` alone.

The forger here is written from the layout alone and shares no code with the product.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from countersign.cli import answer
from sandbox.tsa import SandboxTsa
from tests.acceptance import ninety_estate as estate
from tests.acceptance.ninety_nights import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Files = dict[str, bytes]
B, S, C, T = "bundle.dsse.json", "statement.dsse.json", "checkpoint", "timestamp.tsr"
R1, R2, R3 = "00000001", "00000002", "00000003"
L1, L2, L3 = f"ledger/{R1}", f"ledger/{R2}", f"ledger/{R3}"
NIGHTS = (11, estate.FULL_DISK, 13)
DAYS = tuple(str(estate.day(number)) for number in (NIGHTS[0], NIGHTS[-1]))
ALONE = """
import json, runpy, sys
sys.modules["countersign"] = sys.modules["connectors"] = None
main = runpy.run_path(sys.argv[1])["main"]
codes = []
for words in json.load(sys.stdin):
    try:
        codes.append(main(words))
    except SystemExit as ended:
        codes.append(ended.code)
    except BaseException as error:
        codes.append(f"{type(error).__name__}: {error}")
print("CODES " + json.dumps(codes))
"""
"""Runs verify.py once for many command lines, with this project out of reach."""


@dataclass(frozen=True)
class Case:
    """What the auditor has, made once."""

    home: Path
    files: Files
    tsa: SandboxTsa

    @property
    def evidence(self) -> Path:
        return self.home.with_name("evidence")

    @property
    def key(self) -> Ed25519PrivateKey:
        return _key((self.home / "keys" / "evidence.pem").read_bytes())

    def words(self, path: Path, *, all_known: bool = True) -> list[str]:
        """Give the words of a check by an auditor who knows the key, and all else there is to know."""
        known = [
            "--checkpoint",
            str(self.home / "kept"),
            "--from",
            DAYS[0],
            "--to",
            DAYS[1],
            "--tsa-ca",
            str(self.home / "keys" / "tsa-ca.pem"),
        ]
        return [str(path), "--key", str(self.home / "keys" / "evidence.pub.pem"), *(known if all_known else ())]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    home = tmp_path_factory.mktemp("attacked") / "harbour"
    make(home, NIGHTS)
    # The authority is gone when the export leaves its entry: what it stamped is what is attacked.
    shutil.copytree(home / "evidence", home.with_name("evidence"))
    bundle = home.with_name("bundle.zip")
    assert 3 == answer(["export", "--from", DAYS[0], "--to", DAYS[1], "-o", str(bundle), "-p", str(home)])
    shutil.copy(home / "evidence" / R3 / C, home / "kept")
    with zipfile.ZipFile(bundle) as opened, SandboxTsa() as tsa:
        yield Case(home, {name: opened.read(name) for name in opened.namelist()}, tsa)


def _key(pem: bytes) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def keyid(key: Ed25519PrivateKey) -> str:
    return hashlib.sha256(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def payload_of(envelope: bytes) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


def signed(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    kind = "application/vnd.in-toto+json"
    signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload))
    signatures = [{"keyid": keyid(key), "sig": base64.b64encode(signature).decode()}]
    return canonical({"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": signatures})


def note(origin: str, leaves: list[bytes], key: Ed25519PrivateKey) -> bytes:
    text = f"{origin}\n{len(leaves)}\n{base64.b64encode(root(leaves)).decode()}\n".encode()
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    hashed = hashlib.sha256(origin.encode() + b"\n\x01" + raw).digest()[:4]
    return text + f"\n— {origin} {base64.b64encode(hashed + key.sign(text)).decode()}\n".encode()


def leaf(payload: bytes) -> bytes:
    return hashlib.sha256(b"\0" + payload).digest()


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zipped(entries: list[tuple[str, bytes]]) -> bytes:
    """Write the bundle's form of ZIP."""
    body, central = b"", b""
    for name, content in entries:
        method, data = (0, content) if name == B else (8, deflated(content))
        middle = (20, 0, method, 0, 0x0021, zlib.crc32(content), len(data), len(content), len(name.encode()))
        central += (
            pack("<4sH", b"PK\1\2", 0x0314)
            + pack("<HHHHHIIIH", *middle)
            + pack("<HHHHII", 0, 0, 0, 0, 0o100644 << 16, len(body))
            + name.encode()
        )
        body += b"PK\3\4" + pack("<HHHHHIIIHH", *middle, 0) + name.encode() + data
    return body + central + pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(entries), len(entries), len(central), len(body), 0)


def resign(files: Mapping[str, bytes], key: Ed25519PrivateKey, change: Callable[[Any], object] = lambda _: None) -> Files:
    """Do what who holds the key can: list the files as they are now, say what one likes, sign it."""
    body = json.loads(payload_of(files[B]))
    listed = {name: content for name, content in sorted(files.items()) if name != B}
    body["subject"] = [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}} for name, content in listed.items()]
    body["predicate"]["packed"] = {name: hashlib.sha256(deflated(content)).hexdigest() for name, content in listed.items()}
    change(body["predicate"])
    return {**files, B: signed(canonical(body), key)}


def edited(envelope: bytes, change: Callable[[Any], object]) -> bytes:
    body = json.loads(envelope)
    change(body)
    return canonical(body)


def said_otherwise(envelope: bytes, change: Callable[[Any], object]) -> bytes:
    body = json.loads(payload_of(envelope))
    change(body)
    return edited(envelope, lambda outer: outer.update(payload=base64.b64encode(canonical(body)).decode()))


def told(payload: bytes) -> Any:
    return json.loads(payload)["predicate"]


def rewritten(case: Case, *, late: bool) -> Files:
    """Seal runs 2 and 3 anew with prettier results, with the right key: chain, leaves, checkpoints, bundle, all of it.

    `late`: and have it stamped today, as an authority does; else the old tokens stay away.
    """
    key, files = case.key, dict(case.files)
    payloads = [payload_of(files[f"ledger/{run}/{S}"]) for run in (R1, R2, R3)]
    for number in (1, 2):
        body = json.loads(payloads[number])
        body["predicate"]["actors"] = {"runner": "a better one"}
        body["predicate"]["log"]["previousStatement"] = "sha256:" + hashlib.sha256(payloads[number - 1]).hexdigest()
        if not late:
            body["predicate"].pop("timestamps")
        payloads[number] = canonical(body)
    leaves = [leaf(payload) for payload in payloads]
    for number, run in enumerate((R1, R2, R3)):
        place = f"ledger/{run}"
        if number:
            files[f"{place}/{S}"], files[f"{place}/{C}"] = signed(payloads[number], key), note("harbour", leaves[: number + 1], key)
            del files[f"{place}/{T}"]
            if late:
                files[f"{place}/{T}"] = _stamped(case.tsa, payloads[number])
    files["ledger/leaves.txt"] = "".join(f"{each.hex()}\n" for each in leaves).encode()
    files["ledger/checkpoint"] = files[f"{L3}/{C}"]

    def change(predicate: Any) -> None:
        predicate["ledger"]["root"] = base64.b64encode(root(leaves)).decode()
        for entry, payload in zip(predicate["ledger"]["entries"], payloads, strict=True):
            entry |= {"statement": "sha256:" + hashlib.sha256(payload).hexdigest(), "leaf": leaf(payload).hex()}

    return resign(files, key, change)


def _stamped(tsa: SandboxTsa, payload: bytes) -> bytes:
    from datetime import UTC, datetime

    return tsa.stamp("2.16.840.1.101.3.4.2.1", hashlib.sha256(payload).digest(), datetime.now(UTC))


def older(case: Case) -> Files:
    """Make the bundle of two nights ago, which was good then, and say that it is of today."""
    files = {name: content for name, content in case.files.items() if not name.startswith(f"{L3}/")}
    leaves = [leaf(payload_of(files[f"ledger/{run}/{S}"])) for run in (R1, R2)]
    files["ledger/leaves.txt"] = "".join(f"{each.hex()}\n" for each in leaves).encode()
    files["ledger/checkpoint"] = files[f"{L2}/{C}"]

    def change(predicate: Any) -> None:
        del predicate["ledger"]["entries"][-1]
        predicate["ledger"] |= {"size": 2, "last": 2, "root": base64.b64encode(root(leaves)).decode()}
        predicate["asOf"] = predicate["ledger"]["entries"][-1]["asOf"]

    return resign(files, case.key, change)


def put(name: str, content: Callable[[Files], bytes]) -> Callable[[Case], Files]:
    return lambda case: {**case.files, name: content(case.files)}


def without(start: str) -> Callable[[Case], Files]:
    return lambda case: {name: content for name, content in case.files.items() if not name.startswith(start)}


def swapped(one: str, other: str) -> Callable[[Case], Files]:
    return lambda case: {**case.files, one: case.files[other], other: case.files[one]}


def renumbered(case: Case) -> Files:
    return {name.replace(L3, "ledger/00000004"): content for name, content in case.files.items()}


def runs_swapped(case: Case) -> Files:
    def other(name: str) -> str:
        return name.replace(L1, "\0").replace(L3, L1).replace("\0", L3)

    return {other(name): content for name, content in case.files.items()}


def insider(attack: Callable[[Case], Files], change: Callable[[Any], object] = lambda _: None) -> Callable[[Case], Files]:
    """The same, with the bundle signed again."""
    return lambda case: resign(attack(case), case.key, change)


def narrowed(predicate: Any) -> None:
    predicate["period"]["from"] = DAYS[1]
    predicate["nights"] = {"expected": 1, "complete": 1, "partial": 0, "stopped": 0, "failed": 0, "missing": []}


def stranger(case: Case) -> Files:
    return {**case.files, B: signed(payload_of(case.files[B]), Ed25519PrivateKey.generate())}


def note_of_a_stranger(case: Case) -> Files:
    leaves = [bytes.fromhex(line) for line in case.files["ledger/leaves.txt"].decode().split()]
    return {**case.files, "ledger/checkpoint": note("harbour", leaves, Ed25519PrivateKey.generate())}


INDEX = "index.html"
# The 27 of the design, on the bundle: by who does not hold the key, and where holding it makes a difference, by who does.
BUNDLE: dict[str, Callable[[Case], Files | bytes]] = {
    "file edited": put(INDEX, lambda f: f[INDEX].replace(b"missing", b"present")),
    "file deleted": without("exceptions/exceptions.csv"),
    "file added": put("exceptions/more.csv", lambda _: b"exception\r\n"),
    "files swapped": swapped("tickets/tickets.csv", "exceptions/exceptions.csv"),
    "unsigned top-level file": put("README.txt", lambda _: b"All is well."),
    "statement edited": put(B, lambda f: said_otherwise(f[B], lambda body: body["predicate"].update(customer="harbor"))),
    "run's statement edited, by an insider": insider(
        put(f"{L1}/{S}", lambda f: said_otherwise(f[f"{L1}/{S}"], lambda body: body["predicate"].update(guard="x")))
    ),
    "re-signed by another key": stranger,
    "run re-signed by another key, by an insider": insider(
        put(f"{L1}/{S}", lambda f: signed(payload_of(f[f"{L1}/{S}"]), Ed25519PrivateKey.generate()))
    ),
    "signature removed": put(B, lambda f: edited(f[B], lambda body: body["signatures"].clear())),
    "run's signature removed, by an insider": insider(put(f"{L1}/{S}", lambda f: edited(f[f"{L1}/{S}"], lambda body: body["signatures"].clear()))),
    "signature borrowed": put(B, lambda f: edited(f[B], lambda body: body.update(signatures=json.loads(f[f"{L1}/{S}"])["signatures"]))),
    "run's signature borrowed, by an insider": insider(
        put(f"{L1}/{S}", lambda f: edited(f[f"{L1}/{S}"], lambda body: body.update(signatures=json.loads(f[f"{L3}/{S}"])["signatures"])))
    ),
    "payloadType changed": put(B, lambda f: edited(f[B], lambda body: body.update(payloadType="application/json"))),
    "run removed": without(f"{L2}/"),
    "run removed, by an insider": insider(without(f"{L2}/"), lambda said: said["ledger"]["entries"].pop(1)),
    "run renumbered": renumbered,
    "run renumbered, by an insider": insider(renumbered, lambda said: said["ledger"]["entries"][2].update(sequence=4)),
    "runs swapped": runs_swapped,
    "runs swapped, by an insider": insider(runs_swapped),
    "last run dropped": without(f"{L3}/"),
    "last run dropped, by an insider": insider(without(f"{L3}/"), lambda said: said["ledger"]["entries"].pop()),
    "older bundle replayed": older,
    "history rewritten by an insider": lambda case: rewritten(case, late=False),
    "history rewritten by an insider and stamped": lambda case: rewritten(case, late=True),
    "duplicate ZIP entry": lambda case: zipped(sorted([*case.files.items(), (INDEX, b"<p>All is well.")])),
    "duplicate ZIP entry, the same": lambda case: zipped(sorted([*case.files.items(), (INDEX, case.files[INDEX])])),
    "path traversal": put("../../harbour", lambda _: b"x"),
    "path traversal, by an insider": insider(put("../../harbour", lambda _: b"x")),
    "absolute path, by an insider": insider(put("/harbour", lambda _: b"x")),
    "checkpoint edited": put("ledger/checkpoint", lambda f: f["ledger/checkpoint"].replace(b"\n3\n", b"\n2\n")),
    "checkpoint edited, by an insider": insider(put("ledger/checkpoint", lambda f: f["ledger/checkpoint"].replace(b"\n3\n", b"\n2\n"))),
    "checkpoint re-signed": note_of_a_stranger,
    "checkpoint re-signed, by an insider": insider(note_of_a_stranger),
    "checkpoint of an earlier run, by an insider": insider(put("ledger/checkpoint", lambda f: f[f"{L2}/{C}"])),
    "checkpoint left out, by an insider": insider(without("ledger/checkpoint")),
    "timestamp moved": put(f"{L1}/{T}", lambda f: f[f"{L2}/{T}"]),
    "timestamp moved, by an insider": insider(put(f"{L1}/{T}", lambda f: f[f"{L2}/{T}"])),
    "timestamp removed": without(f"{L1}/{T}"),
    "timestamp removed, by an insider": insider(without(f"{L1}/{T}")),
    "scope narrowed without signature": put(B, lambda f: said_otherwise(f[B], lambda body: narrowed(body["predicate"]))),
    "scope narrowed with the insider's signature": insider(lambda case: case.files, narrowed),
    "broken JSON": put(B, lambda f: f[B][:-2]),
    "broken JSON of a run, by an insider": insider(put(f"{L1}/{S}", lambda f: f[f"{L1}/{S}"][:-2])),
    "truncated ZIP": lambda case: zipped(sorted(case.files.items()))[:-700],
    "something after the ZIP": lambda case: zipped(sorted(case.files.items())) + b"\0",
    "something before the ZIP": lambda case: b"#!/bin/sh\n" + zipped(sorted(case.files.items())),
    "no ZIP at all": lambda _: b"PK",
    "empty": lambda _: b"",
}  # fmt: skip


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = change(path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(content)


def _swap(one: Path, other: Path) -> None:
    one.rename(one.with_name("aside"))
    other.rename(one)
    one.with_name("aside").rename(other)


def _rewrite(folder: Path, case: Case) -> None:
    for name, content in rewritten(case, late=True).items():
        if name.startswith(("ledger/00000002/", "ledger/00000003/")):
            path = folder / name.removeprefix("ledger/")
            path.chmod(0o644)
            path.write_bytes(content)


FOLDER: dict[str, Callable[[Path, Case], object]] = {
    "file edited": lambda e, _: _edit(e / R1 / "results.json", lambda raw: raw.replace(b"0", b"1", 1)),
    "file deleted": lambda e, _: (e / R1 / "results.json").unlink(),
    "file added": lambda e, _: (e / R1 / "more.json").write_text("{}"),
    "files swapped": lambda e, _: _swap(e / R1 / "results.json", e / R3 / "results.json"),
    "unsigned top-level file": lambda e, _: (e / "README.txt").write_text("All is well."),
    "statement edited": lambda e, _: _edit(
        e / R1 / S, lambda raw: said_otherwise(raw, lambda body: body["predicate"].update(state="partial"))
    ),
    "re-signed by another key": lambda e, _: _edit(e / R1 / S, lambda raw: signed(payload_of(raw), Ed25519PrivateKey.generate())),
    "signature removed": lambda e, _: _edit(e / R1 / S, lambda raw: edited(raw, lambda body: body["signatures"].clear())),
    "signature borrowed": lambda e, _: _edit(
        e / R1 / S, lambda raw: edited(raw, lambda body: body.update(signatures=json.loads((e / R3 / S).read_bytes())["signatures"]))
    ),
    "payloadType changed": lambda e, _: _edit(e / R1 / S, lambda raw: edited(raw, lambda body: body.update(payloadType="text/plain"))),
    "run removed": lambda e, _: shutil.rmtree(e / R2),
    "run renumbered": lambda e, _: (e / R3).rename(e / "00000004"),
    "runs swapped": lambda e, _: _swap(e / R1, e / R3),
    "last run dropped": lambda e, _: shutil.rmtree(e / R3),
    "history rewritten by an insider": _rewrite,
    "checkpoint edited": lambda e, _: _edit(e / R3 / C, lambda raw: raw.replace(b"\n3\n", b"\n2\n")),
    "checkpoint re-signed": lambda e, case: _edit(e / R3 / C, lambda _: note_of_a_stranger(case)["ledger/checkpoint"]),
    "checkpoint removed": lambda e, _: (e / R3 / C).unlink(),
    "timestamp moved": lambda e, _: _swap(e / R1 / T, e / R3 / T),
    "timestamp removed": lambda e, _: (e / R1 / T).unlink(),
    "first run removed": lambda e, _: shutil.rmtree(e / R1),
    "broken JSON": lambda e, _: _edit(e / R1 / S, lambda raw: raw[:-2]),
    "a link in place of a run": lambda e, _: (e / R1).symlink_to((e / R1).rename(e.with_name("moved"))),
}  # fmt: skip


def alone(verifier: Path, lines: list[list[str]]) -> list[object]:
    """Give the exit codes of the stand-alone verifier, in an environment of its own."""
    words = (sys.executable, "-I", "-c", ALONE, str(verifier))
    done = subprocess.run(
        words, input=json.dumps(lines), check=False, capture_output=True, text=True, cwd=verifier.parent, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr
    (codes,) = (line for line in done.stdout.splitlines() if line.startswith("CODES "))
    found: list[object] = json.loads(codes.removeprefix("CODES "))
    return found


@pytest.fixture(scope="module")
def verifier(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("auditor") / "verify.py"
    path.write_bytes(case.files["verify.py"])
    return path


@pytest.fixture(scope="module")
def forged(case: Case, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("forged")
    found = {}
    for number, (name, attack) in enumerate(BUNDLE.items()):
        made = attack(case)
        found[name] = place / f"{number}.zip"
        found[name].write_bytes(made if isinstance(made, bytes) else zipped(sorted(made.items())))
    for name, spoil in FOLDER.items():
        folder = place / name.replace(" ", "-") / "evidence"
        shutil.copytree(case.evidence, folder)
        spoil(folder, case)
        found[f"folder: {name}"] = folder
    return found


def test_what_nobody_touched_holds(case: Case, verifier: Path, tmp_path: Path) -> None:
    forged_alike = tmp_path / "bundle.zip"
    forged_alike.write_bytes(zipped(sorted(case.files.items())))
    paths = (case.home.with_name("bundle.zip"), forged_alike, case.evidence)
    # The outsider's own writer makes the same bytes: the layout says all that there is to say.
    assert paths[0].read_bytes() == forged_alike.read_bytes()
    lines = [case.words(path, all_known=known) for path in paths for known in (True, False)]
    assert [0] * 6 == [answer(["verify", *words]) for words in lines]
    assert [0] * 6 == alone(verifier, lines)


def test_each_attack_fails_on_our_command_line(case: Case, forged: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    codes = {}
    for name, path in forged.items():
        codes[name] = answer(["verify", *case.words(path)])
        assert "Traceback" not in "".join(capsys.readouterr())
    assert {} == {name: code for name, code in codes.items() if code != 1}


def test_each_attack_fails_for_the_verifier_out_of_the_bundle(case: Case, forged: dict[str, Path], verifier: Path) -> None:
    codes = alone(verifier, [case.words(path) for path in forged.values()])
    assert {} == {name: code for name, code in zip(forged, codes, strict=True) if code != 1}


def test_what_only_the_auditors_own_knowledge_shows_is_seen_by_nothing_else(case: Case, forged: dict[str, Path], verifier: Path) -> None:
    """The control: these need the old checkpoint, the period or the authority; with the key alone they are as good as the real one."""
    needed = ("scope narrowed with the insider's signature", "history rewritten by an insider and stamped")
    codes = dict(zip(forged, alone(verifier, [case.words(path, all_known=False) for path in forged.values()]), strict=True))
    assert [0, 0] == [codes[name] for name in needed]
    blind = {"older bundle replayed", "history rewritten by an insider", *needed}
    assert {} == {
        name: code for name, code in codes.items() if code != 1 and name.removeprefix("folder: ") not in {*blind, "last run dropped"}
    }


def test_it_runs_as_a_script_with_nothing_of_ours_at_hand(case: Case, verifier: Path) -> None:
    for path, code in ((case.home.with_name("bundle.zip"), 0), (verifier, 1)):
        words = (sys.executable, "-I", str(verifier), *case.words(path))
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
        assert code == done.returncode, done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def _changes(size: int, count: int, seed: int) -> list[tuple[int, int]]:
    dice = random.Random(seed)  # noqa: S311 - it is to be the same each time
    return [(dice.randrange(size), dice.randrange(1, 256)) for _ in range(count)]


def test_300_changed_bytes_of_the_zip_are_all_seen(case: Case, verifier: Path, tmp_path: Path) -> None:
    real = case.home.with_name("bundle.zip").read_bytes()
    changes = _changes(len(real), 300, 5)
    paths = []
    for number, (place, bits) in enumerate(changes):
        changed = bytearray(real)
        changed[place] ^= bits
        paths.append(tmp_path / f"{number}.zip")
        paths[-1].write_bytes(changed)
    codes = alone(verifier, [case.words(path, all_known=False) for path in paths])
    assert [] == [change for change, code in zip(changes, codes, strict=True) if code != 1]


def test_150_changed_bytes_of_the_evidence_are_all_seen(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "evidence"
    shutil.copytree(case.evidence, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    dice = random.Random(7)  # noqa: S311 - it is to be the same each time
    unseen = []
    for number in range(150):
        # Half of them anywhere, half in what holds the rest together.
        path = dice.choice(files if number % 2 else [each for each in files if each.name in (S, C, T)])
        real = path.read_bytes()
        if not real:
            continue
        place, bits = dice.randrange(len(real)), dice.randrange(1, 256)
        changed = bytearray(real)
        changed[place] ^= bits
        path.chmod(0o644)
        path.write_bytes(changed)
        if answer(["verify", *case.words(folder)]) != 1:
            unseen.append((path.relative_to(folder), place, bits))
        path.write_bytes(real)
    assert "Traceback" not in "".join(capsys.readouterr())
    assert [] == unseen
    assert 0 == answer(["verify", *case.words(folder)])


def test_a_bundle_that_claims_more_than_it_holds_is_refused(case: Case, tmp_path: Path) -> None:
    """Whoever holds the key says something of entries that their own statements do not."""
    lies: dict[str, Callable[[Any], object]] = {
        "state": lambda said: said["ledger"]["entries"][1].update(state="complete"),
        "kind": lambda said: said["ledger"]["entries"][1].update(kind="reconcile"),
        "slot": lambda said: said["ledger"]["entries"][0].update(slot="another"),
        "asOf": lambda said: said["ledger"]["entries"][0].update(asOf="2026-03-12T02:00:00Z"),
        "size": lambda said: said["ledger"].update(size=4),
        "first": lambda said: said["ledger"].update(first=2),
        "origin": lambda said: said["ledger"].update(origin="other"),
        "root": lambda said: said["ledger"].update(root=base64.b64encode(bytes(32)).decode()),
        "leaf": lambda said: said["ledger"]["entries"][0].update(leaf="00" * 32),
        "packed": lambda said: said["packed"].pop(INDEX),
        "asOf of the bundle": lambda said: said.update(asOf="2020-01-01T00:00:00Z"),
        "customer": lambda said: said.update(customer="another"),
    }
    held = []
    for name, lie in lies.items():
        path = tmp_path / f"{name}.zip"
        path.write_bytes(zipped(sorted(resign(copy.copy(case.files), case.key, lie).items())))
        if answer(["verify", *case.words(path)]) == 0:
            held.append(name)
    assert [] == held


def test_statements_are_withheld_all_or_none(case: Case, tmp_path: Path) -> None:
    """Else whoever holds the key calls the bundle pseudonymised and leaves out the one night that hurts."""
    path = tmp_path / "one-left-out.zip"
    files = {name: content for name, content in case.files.items() if not name.startswith(f"{L2}/")}
    path.write_bytes(zipped(sorted(resign(files, case.key, lambda said: said["filters"].update(pseudonymised=True)).items())))
    assert 1 == answer(["verify", *case.words(path)])


@pytest.mark.parametrize("name", ["verdicts.parquet", S, C])
def test_no_bundle_is_made_of_evidence_that_does_not_hold(case: Case, name: str, tmp_path: Path) -> None:
    home = tmp_path / "harbour"
    shutil.copytree(case.home, home)

    def spoil(content: bytes) -> bytes:
        return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]

    _edit(home / "evidence" / R1 / name, spoil)
    target = tmp_path / "bundle.zip"
    assert 4 == answer(["export", "--from", DAYS[0], "--to", DAYS[1], "-o", str(target), "-p", str(home)])
    assert not target.exists()
