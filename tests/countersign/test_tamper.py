"""The ways to falsify evidence that must be seen, on a real ledger and on a bundle of it; each is found, and its place is named."""

from __future__ import annotations

import base64
import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from auditors_bundle import Ledger, bundle_files, day, edit, edit_payload, problems, put, resigned, sign, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.evidence import signer, verify
from sandbox.tsa import SandboxTsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

S, C, T, B = verify.STATEMENT, verify.CHECKPOINT, verify.TIMESTAMP, verify.BUNDLE
R1, R2, R3, R5 = "00000001", "00000002", "00000003", "00000005"
L1, L2, L5 = f"ledger/{R1}", f"ledger/{R2}", f"ledger/{R5}"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def tsa() -> Iterator[SandboxTsa]:
    with SandboxTsa() as authority:
        yield authority


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, tsa: SandboxTsa) -> Ledger:
    folder = tmp_path_factory.mktemp("honest")
    signer.keygen(folder / "evidence.pem")
    signer.keygen(folder / "other.pem")
    (folder / "ca.pem").write_bytes(tsa.ca)
    ledger = Ledger(folder / "evidence", folder / "evidence.pem", tsa).nights()
    shutil.copy(ledger.runs[-1] / C, folder / "kept.checkpoint")
    return ledger


@pytest.fixture(scope="module")
def rewritten(honest: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """What an insider who holds the key makes of it: run 2 and all that follow sealed again, today, with timestamps of today."""
    ledger = Ledger(tmp_path_factory.mktemp("rewritten") / "evidence", honest.key, honest.tsa).nights(0)
    for kind, after in (("reconcile", 1), ("failed", 3), ("reconcile", 4), ("reconcile", 5)):
        ledger.stamp(ledger.seal(kind, after, files={"results.json": b'{"controls":["better"]}'}).path, datetime.now(UTC))
    return ledger


@pytest.fixture(scope="module")
def bundle(honest: Ledger) -> Files:
    return bundle_files(honest)


def expected(honest: Ledger) -> dict[str, Any]:
    """All that an auditor can know beforehand."""
    home = honest.key.parent
    return {"checkpoint": home / "kept.checkpoint", "begin": day(0), "end": day(5), "authorities": [home / "ca.pem"]}


def move(files: Files, old: str, new: str) -> None:
    for name in [name for name in files if name.startswith(old)]:
        files[new + name.removeprefix(old)] = files.pop(name)


def drop(files: Files, start: str) -> None:
    for name in [name for name in files if name.startswith(start)]:
        del files[name]


def swap(files: Files, one: str, other: str) -> None:
    files[one], files[other] = files[other], files[one]


def other(honest: Ledger) -> Path:
    return honest.key.parent / "other.pem"


def twice(files: Files, name: str) -> bytes:
    return zipped(sorted([*files.items(), (name, b"another")]))


def other_note(files: Files, honest: Ledger) -> Files:
    """Sign the checkpoint by another key, and the bundle by the right one."""
    text = files["ledger/checkpoint"].split(b"\n\n")[0] + b"\n"
    key = signer.load(f"file:{other(honest)}")
    public = verify.load_key(signer.public_path(other(honest)).read_bytes())
    line = verify.base64.b64encode(verify.note_key_hash(public, "northwind") + bytes.fromhex(key.sign(text).signature)).decode()
    return resigned({**files, "ledger/checkpoint": text + f"\n\N{EM DASH} northwind {line}\n".encode()}, honest.key)


def edited_note(note: bytes) -> bytes:
    return note.replace(b"\n5\n", b"\n6\n")


# What is done to the files of a bundle by somebody who may hold the ledger's key, giving nothing (they were changed in place), other
# files, or the bytes of the ZIP; then the file and the words of the problem that must be among those found.
BUNDLE_CASES: dict[str, tuple[Callable[[Files, Ledger, Ledger], object], str, str]] = {
    "file edited": (lambda f, *_: f.update({"index.html": f["index.html"] + b"x"}), "index.html", "not the one that was signed"),
    "file deleted": (lambda f, *_: drop(f, "index.html"), "index.html", "it is missing"),
    "file added": (lambda f, *_: f.update({f"{L2}/more.json": b"{}"}), f"{L2}/more.json", "does not list"),
    "files swapped": (lambda f, *_: swap(f, "tickets/tickets.csv", "exceptions/exceptions.csv"), "tickets/tickets.csv", "not the one"),
    "unsigned top-level file": (lambda f, *_: f.update({"README.txt": b"trust me"}), "README.txt", "does not list"),
    "statement edited": (
        lambda f, *_: f.update({B: edit_payload(f[B], lambda b: b["predicate"].update(customer="contoso"))}),
        B,
        "does not fit the statement",
    ),
    "re-signed by another key": (lambda f, h, _: f.update({B: sign(verify.envelope_of(f[B]).payload, other(h))}), B, "none of the keys"),
    "signature removed": (lambda f, *_: f.update({B: edit(f[B], lambda b: b["signatures"].clear())}), B, "0 signatures"),
    "signature borrowed": (
        lambda f, *_: f.update({B: edit(f[B], lambda b: b.update(signatures=json.loads(f[f"{L1}/{S}"])["signatures"]))}),
        B,
        "does not fit the statement",
    ),
    "payloadType changed": (lambda f, *_: f.update({B: edit(f[B], lambda b: b.update(payloadType="text/plain"))}), B, "payload's type"),
    "run removed": (lambda f, *_: drop(f, L2), f"{L2}/{S}", "it is missing"),
    "run renumbered": (lambda f, *_: move(f, L2, "ledger/00000009"), f"ledger/00000009/{S}", "does not list"),
    "runs swapped": (lambda f, *_: swap(f, f"{L1}/{S}", f"{L2}/{S}"), f"{L1}/{S}", "its sequence is 2, and not 1"),
    "last run dropped": (lambda f, *_: drop(f, L5), f"{L5}/{S}", "it is missing"),
    "older bundle replayed": (lambda _, h, __: bundle_files(h, 0, 3), "kept.checkpoint", "is of 5 statements, and 3 are here"),
    "history rewritten, seen by the kept checkpoint": (lambda _, __, r: bundle_files(r), "kept.checkpoint", "history was rewritten"),
    "history rewritten, seen by the timestamps": (lambda _, __, r: bundle_files(r), f"{L2}/{T}", "while the run says"),
    "duplicate ZIP entry": (lambda f, *_: twice(f, "index.html"), "index.html", "twice in the ZIP"),
    "path traversal": (lambda f, *_: f.update({"../evil": b"x"}), "../evil", "leads out"),
    "checkpoint edited": (
        lambda f, h, _: resigned({**f, "ledger/checkpoint": edited_note(f["ledger/checkpoint"])}, h.key),
        "ledger/checkpoint",
        "does not fit the checkpoint",
    ),
    "checkpoint re-signed": (lambda f, h, _: other_note(f, h), "ledger/checkpoint", "none of the keys"),
    "timestamp moved": (
        lambda f, h, _: resigned({**f, f"{L2}/{T}": f[f"{L1}/{T}"]}, h.key),
        f"{L2}/{T}",
        "not a timestamp of this statement",
    ),
    "timestamp removed": (
        lambda f, h, _: resigned({n: c for n, c in f.items() if n != f"{L2}/{T}"}, h.key),
        f"{L2}/{T}",
        "the timestamp is missing",
    ),
    "scope narrowed without signature": (
        lambda f, *_: f.update({B: edit_payload(f[B], lambda b: b["predicate"]["period"].update({"from": str(day(1))}))}),
        B,
        "does not fit the statement",
    ),
    "scope narrowed with the insider's signature": (lambda _, h, __: bundle_files(h, 1, 5), B, "the bundle is about"),
    "broken JSON": (lambda f, *_: f.update({B: f[B][:-1]}), B, "broken JSON"),
    "truncated ZIP": (lambda f, *_: zipped(sorted(f.items()))[:-1000], "", "truncated"),
}  # fmt: skip


def test_the_untouched_bundle_holds_for_an_auditor_who_knows_all_there_is(honest: Ledger, bundle: Files, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(zipped(sorted(bundle.items())))
    report = verify.verify(tmp_path / "b.zip", [honest.public], **expected(honest))
    assert (True, ()) == (report.ok, report.problems)
    passed = {check.name for check in report.checks if check.state == "pass"}
    assert {"keys", "bundle", "signatures", "files", "chain", "checkpoints", "timestamps", "coverage"} == passed
    gaps = [check.detail for check in report.checks if check.state == "gap"]
    assert [f"{day(2)} to {day(3)}: no judged run (2 days)"] == gaps


def test_there_are_27_cases() -> None:
    assert 27 == len(BUNDLE_CASES)


@pytest.mark.parametrize("case", BUNDLE_CASES)
def test_a_tampered_bundle_is_caught(honest: Ledger, rewritten: Ledger, bundle: Files, tmp_path: Path, case: str) -> None:
    tamper, file, words = BUNDLE_CASES[case]
    files = dict(bundle)
    made = tamper(files, honest, rewritten)
    made = made if isinstance(made, bytes | dict) else files
    path = tmp_path / "b.zip"
    path.write_bytes(made if isinstance(made, bytes) else zipped(sorted(made.items())))
    found = problems(path, honest.public, **expected(honest))
    assert [words] == [words for where, what in found if where.endswith(file) and words in what][:1], found


def put_edited(path: Path, change: Callable[[bytes], bytes]) -> None:
    put(path, change(path.read_bytes()))


def swap_paths(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


# The same on the evidence folder itself, where the case has a meaning there.
LEDGER_CASES: dict[str, tuple[Callable[[Path, Ledger, Ledger], object], str, str]] = {
    "file edited": (lambda e, *_: put(e / R2 / "results.json", b"{}"), f"{R2}/results.json", "not the one that was signed"),
    "file deleted": (lambda e, *_: (e / R2 / "results.json").unlink(), f"{R2}/results.json", "it is missing"),
    "file added": (lambda e, *_: put(e / R2 / "more.json", b"{}"), f"{R2}/more.json", "does not list"),
    "files swapped": (lambda e, *_: swap_paths(e / R2 / "results.json", e / R2 / "tickets.json"), f"{R2}/tickets.json", "not the one"),
    "unsigned top-level file": (lambda e, *_: put(e / "README.txt", b"trust me"), "README.txt", "not part of the evidence"),
    "statement edited": (
        lambda e, *_: put_edited(e / R2 / S, lambda raw: edit_payload(raw, lambda b: b["predicate"].update(slot="x"))),
        f"{R2}/{S}",
        "does not fit the statement",
    ),
    "re-signed by another key": (
        lambda e, h, _: put_edited(e / R2 / S, lambda raw: sign(verify.envelope_of(raw).payload, other(h))),
        f"{R2}/{S}",
        "none of the keys",
    ),
    "signature removed": (
        lambda e, *_: put_edited(e / R2 / S, lambda raw: edit(raw, lambda b: b["signatures"].clear())),
        f"{R2}/{S}",
        "0 signatures",
    ),
    "signature borrowed": (
        lambda e, *_: put_edited(
            e / R2 / S, lambda raw: edit(raw, lambda b: b.update(signatures=json.loads((e / R1 / S).read_bytes())["signatures"]))
        ),
        f"{R2}/{S}",
        "does not fit the statement",
    ),
    "payloadType changed": (
        lambda e, *_: put_edited(e / R2 / S, lambda raw: edit(raw, lambda b: b.update(payloadType="text/plain"))),
        f"{R2}/{S}",
        "payload's type",
    ),
    "run removed": (lambda e, *_: shutil.rmtree(e / R2), R3, "missing: 00000002 to 00000002"),
    "run renumbered": (lambda e, *_: (e / R5).rename(e / "00000006"), f"00000006/{S}", "that of run 00000005"),
    "runs swapped": (lambda e, *_: swap_paths(e / R1, e / R2), f"{R1}/{S}", "that of run 00000002"),
    "last run dropped": (lambda e, *_: shutil.rmtree(e / R5), "kept.checkpoint", "is of 5 statements, and 4 are here"),
    "older copy replayed": (
        lambda e, *_: [shutil.rmtree(e / run) for run in ("00000004", R5)],
        "",
        f"the evidence ends on {day(3)}, before {day(5)}",
    ),
    "history rewritten, seen by the kept checkpoint": (
        lambda e, _, r: (shutil.rmtree(e), shutil.copytree(r.folder, e)),
        "kept.checkpoint",
        "history was rewritten",
    ),
    "history rewritten, seen by the timestamps": (
        lambda e, _, r: (shutil.rmtree(e), shutil.copytree(r.folder, e)),
        f"{R2}/{T}",
        "while the run says",
    ),
    "checkpoint edited": (lambda e, *_: put_edited(e / R5 / C, edited_note), f"{R5}/{C}", "does not fit the checkpoint"),
    "checkpoint re-signed": (
        lambda e, h, _: put_edited(e / R5 / C, lambda raw: other_note({"ledger/checkpoint": raw, B: bundle_files(h)[B]}, h)["ledger/checkpoint"]),
        f"{R5}/{C}",
        "none of the keys",
    ),
    "checkpoint borrowed": (lambda e, *_: swap_paths(e / R1 / C, e / R2 / C), f"{R2}/{C}", "elsewhere"),
    "checkpoint removed": (lambda e, *_: (e / R2 / C).unlink(), f"{R2}/{C}", "the checkpoint is missing"),
    "all checkpoints removed": (lambda e, *_: [note.unlink() for note in e.glob(f"*/{C}")], f"{R1}/{C}", "the checkpoint is missing"),
    "timestamp moved": (lambda e, *_: swap_paths(e / R1 / T, e / R2 / T), f"{R2}/{T}", "not a timestamp of this statement"),
    "timestamp removed": (lambda e, *_: (e / R2 / T).unlink(), f"{R2}/{T}", "the timestamp is missing"),
    "timestamp of another authority": (lambda e, h, _: foreign(e, h), f"{R2}/{T}", ""),
    "scope narrowed by removing the first": (lambda e, *_: shutil.rmtree(e / R1), R2, "missing: 00000001 to 00000001"),
    "broken JSON": (lambda e, *_: put_edited(e / R2 / S, lambda raw: raw[:-1]), f"{R2}/{S}", "broken JSON"),
}  # fmt: skip


def foreign(folder: Path, honest: Ledger) -> None:
    said = verify.read_statement(verify.read_envelope(folder / R2 / S).payload)
    ended = datetime.fromisoformat(said.predicate["finished"])
    Ledger(folder, honest.key, honest.tsa).stamp(folder / R2, ended, foreign=True)


def test_the_untouched_ledger_holds_for_an_auditor_who_knows_all_there_is(honest: Ledger) -> None:
    report = verify.verify(honest.folder, [honest.public], **expected(honest))
    assert (True, ()) == (report.ok, report.problems)
    passed = {check.name for check in report.checks if check.state == "pass"}
    assert {"keys", "signatures", "files", "chain", "checkpoints", "timestamps", "coverage"} == passed


@pytest.mark.parametrize("case", LEDGER_CASES)
def test_a_tampered_ledger_is_caught(honest: Ledger, rewritten: Ledger, tmp_path: Path, case: str) -> None:
    copied = honest.copy(tmp_path / "evidence")
    tamper, file, words = LEDGER_CASES[case]
    tamper(copied.folder, honest, rewritten)
    found = copied.problems(**expected(honest))
    assert [words] == [words for where, what in found if where.endswith(file) and words in what][:1], found


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_a_ledger_is_caught(honest: Ledger, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(path for path in honest.folder.rglob("*") if path.is_file() and path.name != ".lock")))
    before = path.read_bytes()
    changed = bytearray(before)
    changed[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))
    put(path, bytes(changed))
    try:
        assert [] != honest.problems(**expected(honest))
    finally:
        put(path, before)


# --- what who holds the key says of the bundle as a whole, against what its own entries say


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no night is missing": (lambda p: p["nights"].update(missing=[], complete=6), "nights that the bundle's statement counts"),
    "fewer nights were due": (lambda p: p["nights"].update(expected=4, missing=[]), "nights that the bundle's statement counts"),
    "as of another moment": (lambda p: p.update(asOf="2020-01-01T00:00:00Z"), "as of another moment than its last entry"),
    "another customer": (lambda p: p.update(customer="other"), "of the customer 'northwind', and not of 'other'"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_the_key_holder_says_of_the_whole_is_held_against_the_entries(honest: Ledger, bundle: Files, tmp_path: Path, lie: str) -> None:
    change, words = LIES[lie]
    predicate = json.loads(base64.b64decode(json.loads(bundle[B])["payload"]))["predicate"]
    change(predicate)
    (tmp_path / "b.zip").write_bytes(zipped(sorted(resigned(bundle, honest.key, predicate).items())))
    assert any(words in what for _, what in problems(tmp_path / "b.zip", honest.public))


def test_statements_are_withheld_all_or_not_at_all(honest: Ledger, bundle: Files, tmp_path: Path) -> None:
    predicate = json.loads(base64.b64decode(json.loads(bundle[B])["payload"]))["predicate"]
    predicate["filters"]["pseudonymised"] = True
    some = {name: content for name, content in bundle.items() if not name.startswith(f"{L2}/")}
    (tmp_path / "b.zip").write_bytes(zipped(sorted(resigned(some, honest.key, predicate).items())))
    assert f"{L1}/{S}" in {file for file, what in problems(tmp_path / "b.zip", honest.public) if "somebody chose which" in what}
