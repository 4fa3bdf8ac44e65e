"""What `countersign verify` and verify.py look at beyond single changes: keys, time, tombstones, periods, ZIPs, and the file alone."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import random
import shutil
import struct
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from auditors_bundle import START, Ledger, bundle_files, day, edit_payload, notes, problems, put, resigned, sign, zipped
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from countersign import cli
from countersign.evidence import signer, verify
from sandbox.tsa import SandboxTsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S, C, T, B = verify.STATEMENT, verify.CHECKPOINT, verify.TIMESTAMP, verify.BUNDLE
R1, R2, R3 = "00000001", "00000002", "00000003"
SOURCE = Path(verify.__file__)
KEYS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def key_file(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    private = KEYS[kind]()
    path = folder / f"{kind}.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    signer.public_path(path).write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return key_file(tmp_path_factory.mktemp("keys"), "ed25519")


@pytest.fixture(scope="module")
def sealed(key: Path) -> Ledger:
    return Ledger(key.parent / "evidence", key).nights()


@pytest.fixture(scope="module")
def files(sealed: Ledger) -> dict[str, bytes]:
    return bundle_files(sealed)


@pytest.fixture(scope="module")
def whole(files: dict[str, bytes]) -> bytes:
    return zipped(sorted(files.items()))


@pytest.fixture(scope="module")
def tsa() -> Iterator[SandboxTsa]:
    with SandboxTsa() as authority:
        yield authority


# --- keys


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_signs_runs_checkpoints_and_bundles(tmp_path: Path, kind: str) -> None:
    ledger = Ledger(tmp_path / "evidence", key_file(tmp_path, kind)).nights()
    shutil.copy(ledger.runs[1] / C, tmp_path / "kept")
    assert [] == ledger.problems(checkpoint=tmp_path / "kept")
    (tmp_path / "b.zip").write_bytes(zipped(sorted(bundle_files(ledger).items())))
    assert [] == problems(tmp_path / "b.zip", ledger.public, checkpoint=tmp_path / "kept")
    signature = json.loads((ledger.runs[0] / S).read_bytes())["signatures"][0]["sig"]
    changed = base64.b64encode(bytes([*base64.b64decode(signature)[:-1], base64.b64decode(signature)[-1] ^ 1])).decode()
    put(ledger.runs[0] / S, (ledger.runs[0] / S).read_bytes().replace(signature.encode(), changed.encode()))
    assert (f"{R1}/{S}", "the signature does not fit the statement") in ledger.problems()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "an RSA key of 1024 bits"),  # noqa: S505 - it must be refused
        (lambda: ec.generate_private_key(ec.SECP521R1()), "neither an Ed25519 key"),
    ],
)
def test_keys_that_are_too_weak_or_unknown_are_refused(tmp_path: Path, sealed: Ledger, make: Callable[[], Any], words: str) -> None:
    (tmp_path / "k.pem").write_bytes(make().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert [words] == [words for _, what in sealed.problems(tmp_path / "k.pem", sealed.public) if words in what]


def change_of_keys(ledger: Ledger, new: Path) -> None:
    pem = signer.public_path(new).read_text()
    ledger.seal("key-change", 6, newKey={"keyid": verify.key_id(verify.load_key(pem.encode())), "pem": pem})


def test_a_key_hands_over_to_the_next_once_and_for_all(tmp_path: Path, key: Path) -> None:
    new = key_file(tmp_path, "p256")
    ledger = Ledger(tmp_path / "evidence", key).nights(1)
    change_of_keys(ledger, new)
    ledger.seal("reconcile", 7, signed_by=new)
    both = (ledger.public, signer.public_path(new))
    assert [] == ledger.problems(*both)
    assert [f"{verify.run_folder(4)}/{S}"] == [file for file, what in ledger.problems() if "none of the keys given" in what]

    last = ledger.seal("reconcile", 8, signed_by=new).path
    put(last / S, sign(verify.read_envelope(last / S).payload, key))
    assert [f"{verify.run_folder(5)}/{S}"] == [file for file, what in ledger.problems(*both) if "was the one in force" in what]


def test_a_new_key_signs_nothing_before_its_time(tmp_path: Path, key: Path) -> None:
    new = key_file(tmp_path, "p256")
    ledger = Ledger(tmp_path / "evidence", key).nights(1)
    statement = ledger.runs[1] / S
    put(statement, sign(verify.read_envelope(statement).payload, new))
    assert [f"{R2}/{S}"] == [
        file for file, what in ledger.problems(key.with_name("ed25519.pub.pem"), signer.public_path(new)) if "in force" in what
    ]


def test_a_bundle_is_not_signed_by_a_key_that_it_saw_retired(tmp_path: Path, key: Path) -> None:
    ledger, new = Ledger(tmp_path / "evidence", key).nights(1), key_file(tmp_path, "p256")
    change_of_keys(ledger, new)
    ledger.seal("reconcile", 7, signed_by=new)
    made = bundle_files(ledger, 0, 7)
    both = (ledger.public, signer.public_path(new))
    for signed, expected in ((made, [B]), (resigned(made, new), [])):
        (tmp_path / "b.zip").write_bytes(zipped(sorted(signed.items())))
        assert expected == [file for file, _ in problems(tmp_path / "b.zip", *both)]


# --- checkpoints


def test_evidence_from_before_checkpoints_is_told_from_evidence_that_lost_them(tmp_path: Path, key: Path) -> None:
    ledger = Ledger(tmp_path / "evidence", key)
    for night in range(4):
        ledger.seal("reconcile", night, **({"retainUntil": None} if night < 2 else {}))
    for run in ledger.runs[:2]:
        (run / C).unlink()
    assert [] == ledger.problems()
    assert ("checkpoints", "info", "runs up to 00000002 were sealed before there were checkpoints") in notes(ledger.folder, ledger.public)
    (ledger.runs[2] / C).unlink()
    assert [(f"{R3}/{C}", "the checkpoint is missing")] == ledger.problems()


def test_one_run_alone_has_its_own_checkpoint(sealed: Ledger) -> None:
    assert [] == problems(sealed.folder / R2, sealed.public)
    assert ("checkpoints", "pass", "1 checkpoints signed") in notes(sealed.folder / R2, sealed.public)
    asked = problems(sealed.folder / R2, sealed.public, checkpoint=sealed.folder / R1 / C, begin=day(0), end=day(1))
    assert ["", ""] == [file for file, _ in asked]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: b"", "three lines"),
        (lambda note: note.replace(b"northwind", b"contoso"), "does not fit"),
        (lambda note: note.replace(b"northwind", b"north wind"), "in the name of its origin"),
        (lambda note: note + note.splitlines(keepends=True)[-1], "three lines"),
        (lambda note: note.replace(b"\n2\n", b"\n02\n"), "size is not a number"),
        (lambda note: note[:-3] + b"=\n", "base64"),
        (lambda note: b"\xff" + note, "not UTF-8"),
    ],
)
def test_a_kept_checkpoint_that_is_none_is_refused(tmp_path: Path, sealed: Ledger, spoil: Callable[[bytes], bytes], words: str) -> None:
    note = (sealed.folder / R2 / C).read_bytes()
    (tmp_path / "kept").write_bytes(spoil(note))
    (file, what), *rest = sealed.problems(checkpoint=tmp_path / "kept")
    assert (str(tmp_path / "kept"), []) == (file, rest)
    assert words in what or "none of the keys" in what


@given(count=st.integers(1, 70))
def test_the_roots_of_all_prefixes_are_those_of_rfc_6962(count: int) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]
    expected = {size: verify.root_of(leaves[:size]) for size in range(1, count + 1)}
    assert expected == verify._roots(leaves, set(expected))


# --- timestamps


def test_a_late_timestamp_needs_a_later_statement_that_explains_it(tmp_path: Path, key: Path, tsa: SandboxTsa) -> None:
    (tmp_path / "ca.pem").write_bytes(tsa.ca)
    asked: dict[str, Any] = {"authorities": [tmp_path / "ca.pem"]}
    ledger = Ledger(tmp_path / "evidence", key, tsa).nights(1)
    first = ledger.runs[0]
    (first / T).unlink()
    assert [(f"{R1}/{T}", "the timestamp is missing, and no later statement says that it could not be had")] == ledger.problems()
    ledger.stamp(first, START + timedelta(minutes=17))
    assert [f"{R1}/{T}"] == [file for file, _ in ledger.problems(**asked)]
    ledger.seal("reconcile", 2, unstamped=[1])
    assert [] == ledger.problems(**asked)
    assert [f"{R1}/{T}: late by 0:16:00 (h:mm:ss), as a later statement says or can say"] == [
        what for name, state, what in notes(ledger.folder, ledger.public, **asked) if (name, state) == ("timestamps", "info")
    ]
    ledger.stamp(first, START + timedelta(days=7, minutes=2))
    assert [f"{R1}/{T}"] == [file for file, _ in ledger.problems(**asked)]
    ledger.stamp(first, START - timedelta(minutes=15))
    assert [f"{R1}/{T}"] == [file for file, _ in ledger.problems(**asked)]
    (first / T).unlink()
    assert [] == ledger.problems(**asked)


def test_without_an_authority_timestamps_are_said_to_be_unchecked(tmp_path: Path, key: Path, tsa: SandboxTsa) -> None:
    ledger = Ledger(tmp_path / "evidence", key, tsa).nights(0)
    said = [what for name, state, what in notes(ledger.folder, ledger.public) if (name, state) == ("timestamps", "info")]
    assert ["the timestamps were not checked: that needs the certificate of their authority (--tsa-ca)"] == said
    (tmp_path / "ca.pem").write_text("junk")
    assert (str(tmp_path / "ca.pem"), "not a certificate in PEM") in ledger.problems(authorities=[tmp_path / "ca.pem"])


# --- disposal


def disposed(ledger: Ledger, run: int, **changed: Any) -> dict[str, Any]:
    said = verify.read_statement(verify.read_envelope(ledger.folder / verify.run_folder(run) / S).payload)
    tombstone = {
        "sequence": run,
        "statement": said.digest,
        "files": dict(said.subjects),
        "retainUntil": said.predicate["retainUntil"],
        "why": "past",
    }
    return {"disposed": [tombstone | changed]}


def remove(ledger: Ledger, run: int) -> None:
    folder = ledger.folder / verify.run_folder(run)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        elif path.name not in {S, C, T}:
            path.unlink()


@pytest.fixture
def copied(sealed: Ledger, tmp_path: Path) -> Ledger:
    return sealed.copy(tmp_path / "evidence")


def test_files_are_missing_only_where_a_tombstone_says_so(copied: Ledger) -> None:
    copied.seal("disposal", 8, **disposed(copied, 1))
    assert [] == copied.problems()
    assert [what for name, _, what in notes(copied.folder, copied.public) if name == "disposals"] == []
    remove(copied, 1)
    assert [] == copied.problems()
    assert ["pass"] == [state for name, state, _ in notes(copied.folder, copied.public) if name == "disposals"]
    remove(copied, 2)
    assert {R2} == {file.split("/")[0] for file, _ in copied.problems()}


WRONG_TOMBS: dict[str, tuple[Callable[[Ledger], object], str]] = {
    "another statement": (lambda e: e.seal("disposal", 8, **disposed(e, 1, statement="sha256:" + "0" * 64)), "names another statement"),
    "other files": (lambda e: e.seal("disposal", 8, **disposed(e, 1, files={"results.json": "0" * 64})), "lists files that are not those"),
    "some files": (lambda e: e.seal("disposal", 8, **disposed(e, 1, files={})), "it is missing"),
    "too early": (lambda e: e.seal("disposal", 1, **disposed(e, 1)), "until when it was to be kept"),
    "too early by the tombstone": (lambda e: e.seal("disposal", 8, **disposed(e, 1, retainUntil="2999-01-01T00:00:00Z")), "before 2999"),
    "held": (
        lambda e: (e.seal("hold", 6, hold={"id": "h", "runs": [1, 2], "reason": "r", "by": "b"}), e.seal("disposal", 8, **disposed(e, 1))),
        "the hold of 00000006 was in force",
    ),
    "not a tombstone": (lambda e: e.seal("reconcile", 8, **disposed(e, 1)), "it is missing"),
    "no list": (lambda e: e.seal("disposal", 8, disposed={}), "does not list what was disposed of"),
    "half a tombstone": (lambda e: e.seal("disposal", 8, disposed=[{"sequence": 1}]), "no field statement"),
}


@pytest.mark.parametrize("case", WRONG_TOMBS)
def test_a_tombstone_that_does_not_fit_explains_nothing(copied: Ledger, case: str) -> None:
    seal, words = WRONG_TOMBS[case]
    seal(copied)
    remove(copied, 1)
    assert [words] == [words for _, what in copied.problems() if words in what][:1], copied.problems()


def test_a_released_hold_holds_no_longer(copied: Ledger) -> None:
    copied.seal("hold", 6, hold={"id": "h", "runs": [1, 1], "reason": "r", "by": "b"})
    copied.seal("release", 7, hold={"id": "h"})
    copied.seal("disposal", 8, **disposed(copied, 1))
    remove(copied, 1)
    assert [] == copied.problems()


# --- periods


def test_a_folder_must_reach_from_the_first_day_to_the_last(sealed: Ledger) -> None:
    assert [] == sealed.problems(begin=day(0), end=day(5))
    assert [("", f"the evidence ends on {day(5)}, before {day(6)}: later runs were removed or never made")] == sealed.problems(
        begin=day(4), end=day(6)
    )
    assert [] == sealed.problems(begin=day(-3), end=day(2))
    gaps = [what for _, state, what in notes(sealed.folder, sealed.public, begin=day(-3), end=day(2)) if state == "gap"]
    assert [f"{day(-3)} to {day(-1)}: no judged run (3 days)", f"{day(2)}: no judged run"] == gaps
    assert [("", "a period has a first and a last day, in this order")] == sealed.problems(begin=day(1), end=day(0))


def test_a_folder_whose_beginning_is_gone_does_not_cover_the_period(copied: Ledger) -> None:
    shutil.rmtree(copied.folder / R1)
    found = copied.problems(first=2, begin=day(0), end=day(5))
    assert [("", f"the evidence begins on {day(1)}, after {day(0)}: earlier runs are not here")] == found


# --- bundles


def test_an_unpacked_bundle_is_checked_as_well(sealed: Ledger, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(whole)
    zipfile.ZipFile(tmp_path / "b.zip").extractall(tmp_path / "b")
    assert [] == problems(tmp_path / "b", sealed.public)
    assert ("bundle", "info", "unpacked: the ZIP itself was not checked, the files in it were") in notes(tmp_path / "b", sealed.public)
    (tmp_path / "b/index.html").unlink()
    (tmp_path / "b/index.html").symlink_to("/dev/zero")
    (tmp_path / "b/payload").write_text("left behind")
    subprocess.run(["mkfifo", tmp_path / "b/pipe"], check=True)
    assert {
        ("index.html", "a link, not a file"),
        ("index.html", "the bundle's statement lists this file, and it is missing"),
        ("payload", "a file that the bundle's statement does not list"),
        ("pipe", "a device or pipe, not a file"),
    } == set(problems(tmp_path / "b", sealed.public))


def test_a_bundle_for_one_partner_says_what_it_cannot_show(sealed: Ledger, tmp_path: Path) -> None:
    made = bundle_files(sealed, partner="acme")
    (tmp_path / "b.zip").write_bytes(zipped(sorted(made.items())))
    kept = {"checkpoint": sealed.folder / R3 / C, "begin": day(0), "end": day(5)}
    assert [] == problems(tmp_path / "b.zip", sealed.public, **kept)
    said = notes(tmp_path / "b.zip", sealed.public, **kept)
    told = "made for the partner 'acme' alone: 5 statements of runs were withheld, so they and their files were not checked"
    assert ("signatures", "info", told) in said
    assert [f"{day(2)} to {day(3)}: no judged run (2 days)"] == [what for _, state, what in said if state == "gap"]


INSIDERS: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "statement withheld": (lambda f: f.pop(f"ledger/{R2}/{S}"), f"ledger/{R2}/{S}", "the signed statement is missing"),
    "results changed": (lambda f: f.update({f"ledger/{R2}/results.json": b"{}"}), f"ledger/{R2}/results.json", "not the file that"),
    "leaf changed": (lambda f: f.update({verify.LEAVES: f[verify.LEAVES].replace(b"\n", b"0\n", 1)}), verify.LEAVES, "64 hex digits"),
    "leaf dropped": (lambda f: f.update({verify.LEAVES: f[verify.LEAVES][65:]}), verify.LEAVES, "not the 5 leaves"),
    "key under another name": (lambda f: f.update({f"keys/{'0' * 64}.pub.pem": b"junk"}), f"keys/{'0' * 64}.pub.pem", "not a public key"),
    "run from elsewhere": (lambda f: f.update({"ledger/00000009/x": b""}), "ledger/00000009/x", "does not name"),
    "checkpoint dropped": (lambda f: f.pop("ledger/checkpoint"), "ledger/checkpoint", "the checkpoint is missing"),
    "another checkpoint": (
        lambda f: f.update({"ledger/checkpoint": f[f"ledger/{R2}/{C}"]}),
        "ledger/checkpoint",
        "not the checkpoint of the 5 statements",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INSIDERS)
def test_an_insider_cannot_sign_a_bundle_that_contradicts_its_runs(
    sealed: Ledger, files: dict[str, bytes], tmp_path: Path, case: str
) -> None:
    change, file, words = INSIDERS[case]
    changed = dict(files)
    change(changed)
    (tmp_path / "b.zip").write_bytes(zipped(sorted(resigned(changed, sealed.key).items())))
    found = problems(tmp_path / "b.zip", sealed.public)
    assert [file] == [where for where, what in found if where == file and words in what], found


SAID: dict[str, Callable[[dict[str, Any]], object]] = {
    "no ledger": lambda p: p.pop("ledger"),
    "no packed": lambda p: p.pop("packed"),
    "an entry fewer": lambda p: p["ledger"]["entries"].pop(),
    "numbers as text": lambda p: p["ledger"].update(first="1"),
    "true for one": lambda p: p["ledger"]["entries"][0].update(sequence=True),
    "no times": lambda p: p["ledger"]["entries"][0].update(asOf=None, finished="soon"),
    "no days": lambda p: p["period"].update(to="2026-02-30"),
    "period backwards": lambda p: p["period"].update(to="1999-01-01"),
    "entries as one": lambda p: p["ledger"].update(entries={"0": 1}),
    "root no text": lambda p: p["ledger"].update(root=[1]),
    "nothing": lambda p: p.clear(),
}


@pytest.mark.parametrize("case", SAID)
def test_a_bundle_that_says_nonsense_is_one_problem_and_no_traceback(
    sealed: Ledger, files: dict[str, bytes], tmp_path: Path, case: str
) -> None:
    made = {**files, B: edit_payload(files[B], lambda body: SAID[case](body["predicate"]), sealed.key)}
    (tmp_path / "b.zip").write_bytes(zipped(sorted(made.items())))
    assert [B] == [file for file, _ in problems(tmp_path / "b.zip", sealed.public)]


# --- ZIPs


@settings(max_examples=200, deadline=None)
@given(place=st.integers(min_value=0), bits=st.integers(1, 255))
@example(place=-1, bits=1)
def test_any_changed_byte_of_a_bundle_is_caught(sealed: Ledger, whole: bytes, place: int, bits: int) -> None:
    changed = bytearray(whole)
    changed[place % len(whole)] ^= bits
    path = sealed.key.parent / "changed.zip"
    path.write_bytes(bytes(changed))
    assert [] != problems(path, sealed.public)


def test_every_byte_of_every_header_counts(sealed: Ledger, whole: bytes) -> None:
    path = sealed.key.parent / "header.zip"
    local, central, end = whole.index(b"PK\3\4"), whole.index(b"PK\1\2"), whole.index(b"PK\5\6")
    for place in (*range(local, local + 30), *range(central, central + 46), *range(end, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert [] != problems(path, sealed.public), place


ZIPS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "an empty file"),
    "no ZIP": (lambda _: b"GIF89a" * 100, "neither a ZIP"),
    "data before": (lambda z: b"PK" + z, "bytes were put into it"),
    "data after": (lambda z: z + b"\0", "bytes were put into it"),
    "a comment": (lambda z: z[:-2] + b"\1\0x", "bytes were put into it"),
    "truncated": (lambda z: z[: len(z) // 2], "truncated"),
    "data between": (lambda z: moved(z, b"xx"), "does not fit the directory"),
    "a file hidden from the directory": (lambda z: moved(z, verify.zip_local(verify.ZipEntry("a", 0, 0, 0, 0, 0))), "does not fit the directory"),
    "encrypted": (lambda z: flagged(z, 8, 1), "encrypted"),
    "another method": (lambda z: flagged(z, 10, 4), "packed by a method"),
    "a link": (lambda z: flagged(z, 41, 0x20), "a link"),
    "a date": (lambda z: flagged(z, 14, 1), "not in the one form"),
}  # fmt: skip


def moved(data: bytes, more: bytes) -> bytes:
    """Put bytes before the second file and move all that follows, as the directory says."""
    second = data.index(b"PK\3\4", 4)
    directory = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    lines, place = b"", directory
    while place < end:
        longest = struct.unpack_from("<H", data, place + 28)[0]
        offset = struct.unpack_from("<I", data, place + 42)[0]
        lines += (
            data[place : place + 42] + struct.pack("<I", offset + (len(more) if offset else 0)) + data[place + 46 : place + 46 + longest]
        )
        place += 46 + longest
    count = struct.unpack_from("<H", data, end + 10)[0]
    return data[:second] + more + data[second:directory] + lines + verify.zip_end(count, len(lines), directory + len(more))


def flagged(data: bytes, place: int, bits: int) -> bytes:
    begin = data.index(b"PK\1\2") + place
    return data[:begin] + bytes([data[begin] ^ bits]) + data[begin + 1 :]


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_in_another_form_is_refused(sealed: Ledger, whole: bytes, tmp_path: Path, case: str) -> None:
    change, words = ZIPS[case]
    (tmp_path / "b.zip").write_bytes(change(whole))
    found = problems(tmp_path / "b.zip", sealed.public)
    assert [words] == [words for _, what in found if words in what][:1], found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("INDEX.HTML", "twice in the ZIP"),
        ("/etc/passwd", "leads out"),
        ("a/../b", "leads out"),
        ("C:evil", "leads out"),
        ("a\\b", "leads out"),
        ("a\x1b[2J", "leads out"),
        ("a b", "other characters"),
        ("e" * 201, "other characters"),
        (".hidden", "other characters"),
    ],
)
def test_names_that_some_system_would_misread_are_refused(
    sealed: Ledger, files: dict[str, bytes], tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "b.zip").write_bytes(zipped(sorted({**files, name: b"x"}.items())))
    assert [words] == [words for _, what in problems(tmp_path / "b.zip", sealed.public) if words in what][:1]


def test_a_bomb_is_not_unpacked(sealed: Ledger, files: dict[str, bytes], tmp_path: Path) -> None:
    bomb = zipped(sorted(files.items())).replace(
        struct.pack("<I", len(files["index.html"])) + struct.pack("<H", len("index.html")), struct.pack("<IH", 9, len("index.html"))
    )
    (tmp_path / "b.zip").write_bytes(bomb)
    assert ("index.html", "unpacks to more than its header says") in problems(tmp_path / "b.zip", sealed.public)

    names = [f"f{number:03d}" for number in range(5)]
    entries = [verify.ZipEntry(name, 0, 0, 0, verify.LARGEST_ZIP, 34 * place) for place, name in enumerate(names)]
    directory = b"".join(map(verify.zip_central, entries))
    locals_ = b"".join(map(verify.zip_local, entries))
    (tmp_path / "b.zip").write_bytes(locals_ + directory + verify.zip_end(5, len(directory), len(locals_)))
    assert [("", f"unpacks to more than {verify.LARGEST_UNPACKED} bytes")] == problems(tmp_path / "b.zip", sealed.public)


def test_the_same_content_packed_otherwise_is_not_the_same_bundle(sealed: Ledger, files: dict[str, bytes], tmp_path: Path) -> None:
    signed = json.loads(base64.b64decode(json.loads(files[B])["payload"]))
    signed["predicate"]["packed"]["index.html"] = hashlib.sha256(b"otherwise").hexdigest()
    made = {**files, B: edit_payload(files[B], lambda body: body.update(signed), sealed.key)}
    (tmp_path / "b.zip").write_bytes(zipped(sorted(made.items())))
    assert [("index.html", "packed in another way than was signed")] == problems(tmp_path / "b.zip", sealed.public)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_random_bytes_are_refused_without_a_traceback(sealed: Ledger, data: bytes) -> None:
    path = sealed.key.parent / "random.zip"
    for content in (data, b"PK" + data, data + verify.zip_end(1, 46, max(0, len(data) - 46))):
        path.write_bytes(content)
        assert [] != problems(path, sealed.public)


# --- the file alone


def test_verify_py_needs_nothing_of_ours() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {"cryptography"} == {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)


def test_the_published_digest_is_the_one_of_this_file() -> None:
    published = Path(__file__).parents[2] / "docs" / "verify.py.sha256"
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    fix = "(cd countersign/evidence && sha256sum verify.py) > docs/verify.py.sha256"
    assert f"{digest}  verify.py\n" == published.read_text(encoding="ascii"), fix


@pytest.mark.parametrize(
    ("options", "spoiled", "expected"),
    [
        ([], False, 0),
        (["--from", str(day(0)), "--to", str(day(5)), "--json"], False, 0),
        (["--from", str(day(1)), "--to", str(day(5))], False, 1),
        (["--json"], True, 1),
    ],
)
def test_verify_py_alone_says_what_the_command_says(  # noqa: PLR0913 - what is checked, by what, and how
    sealed: Ledger, whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], *, spoiled: bool, expected: int
) -> None:
    shutil.copy(SOURCE, tmp_path / "verify.py")
    (tmp_path / "b.zip").write_bytes(whole[:-1] if spoiled else whole)
    arguments = [str(tmp_path / "b.zip"), "--key", str(sealed.public), *options]
    alone = subprocess.run([sys.executable, "-I", tmp_path / "verify.py", *arguments], cwd="/", capture_output=True, text=True, check=False)
    code = cli.answer(["verify", *arguments])
    assert (alone.returncode, alone.stdout, alone.stderr) == (code, capsys.readouterr().out, "")
    assert expected == code


def test_hostile_names_stay_inert_in_what_is_printed(copied: Ledger) -> None:
    (copied.folder / R1 / "\x1b]0;owned\x07\u202egpj.exe").write_bytes(b"")
    (copied.folder / ("x" * 250)).write_bytes(b"")
    text = verify.report_text(verify.verify(copied.folder, [copied.public]), Path("\x1b[2J"))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert max(map(len, text.splitlines())) < 700


def test_usage_errors_end_with_2(sealed: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--from", "2026-01-01"], ["--from", "yesterday", "--to", "today"]):
        arguments = [str(sealed.folder), "--key", str(sealed.public), *options]
        with pytest.raises(SystemExit) as alone:
            verify.main(arguments)
        assert (2, 2) == (alone.value.code, cli.answer(["verify", *arguments]))
    capsys.readouterr()


def test_a_year_with_gaps_is_told_in_spans() -> None:
    chosen = random.Random(7)  # noqa: S311 - which days are missing is no secret
    days = {day(after) for after in range(365) if chosen.random() > 0.1}
    noted = verify._Notes()
    verify._note_gaps(days, day(0), day(364), noted)
    told = {day(after) for check in noted.infos for after in range(365) if told_of(check.detail, after)}
    assert {day(after) for after in range(365)} - days == told


def told_of(detail: str, after: int) -> bool:
    span = detail.partition(":")[0].split(" to ")
    return span[0] <= str(day(after)) <= span[-1]


def test_the_moment_is_utc() -> None:
    assert datetime(2026, 11, 22, 1, tzinfo=UTC) == verify._time("2026-11-22T01:00:00Z")


SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    *("finished", "asOf", "retainUntil", "unstamped", "timestamps", "disposed", "hold", "newKey", "state", "slot", "results", "log", "run"),
]


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["reconcile", "failed", "disposal", "hold", "release", "key-change"]),
    said=st.dictionaries(st.sampled_from(FIELDS), SOMETHING, max_size=4),
)
def test_whatever_a_signed_statement_says_there_is_no_traceback(sealed: Ledger, kind: str, said: dict[str, Any]) -> None:
    run = sealed.key.parent / "said" / R1
    run.mkdir(parents=True, exist_ok=True)
    original = (sealed.folder / R1 / S).read_bytes()
    put(
        run / S, edit_payload(original, lambda body: (body["predicate"].update(said | {"kind": kind}), body.update(subject=[])), sealed.key)
    )
    put(run / C, (sealed.folder / R1 / C).read_bytes())
    for path in (run, run.parent):
        assert [] != problems(path, sealed.public)
