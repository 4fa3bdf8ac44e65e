from __future__ import annotations

import ast
import base64
import hashlib
import json
import multiprocessing
import resource
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature  # type: ignore[attr-defined]  # its public face, not re-exported

from countersign.errors import EvidenceError
from countersign.evidence import signer, statement, verify
from countersign.evidence.store import FolderStore, Head, Log, Sealed, Staging

if TYPE_CHECKING:
    from collections.abc import Callable

NIGHT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
TREE = {
    "results.json": b'{"controls":[]}',
    "observations/aws/users.jsonl.zst": b"\x28\xb5\x2f\xfd users",
    "observations/aws/keys.jsonl.zst": b"keys",
}


def build(run: str = "r", kind: str = "reconcile", **extra: object) -> Callable[[Log], dict[str, Any]]:
    return lambda log: statement.build(
        run=run,
        kind=kind,
        slot="2026-11-22",
        started=NIGHT,
        finished=NIGHT,
        subjects=log.subjects,
        predicate_extra=extra,
        log=log.entry(),
    )


def fill(staging: Staging, tree: dict[str, bytes] = TREE) -> Staging:
    for name, content in tree.items():
        path = staging.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return staging


def seal_runs(folder: Path, key: Path, count: int) -> list[Sealed]:
    store = FolderStore(folder, origin="northwind")
    with_key = signer.load(f"file:{key}")
    sealed = []
    for number in range(1, count + 1):
        with store.stage(f"run-{number}") as staging:
            fill(staging, {**TREE, "night.txt": f"night {number}".encode()})
            store.seal_intent(staging, build(staging.run_id), with_key)
            fill(staging, {"receipts.json": b"[]", "blank": b""})
            sealed.append(store.seal(staging, build(staging.run_id), with_key))
    return sealed


def problems(folder: Path, *keys: Path, **asked: Any) -> list[tuple[str, str]]:
    report = verify.verify(folder, keys, **asked)
    assert report.ok is (report.problems == ())
    return [(problem.file, problem.what) for problem in report.problems]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "evidence.pem"
    signer.keygen(path)
    return path


@pytest.fixture(scope="module")
def public(key: Path) -> Path:
    return signer.public_path(key)


@pytest.fixture(scope="module")
def chain(key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "evidence"
    seal_runs(folder, key, 3)
    return folder


@pytest.fixture
def tampered(chain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chain, tmp_path / "evidence"))


# --- the key


def test_keygen_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "evidence.pem"
    public = signer.keygen(path)
    assert [each.stat().st_mode & 0o777 for each in (path.parent, path, public)] == [0o700, 0o600, 0o644]
    assert tmp_path / "keys" / "evidence.pub.pem" == public
    loaded = serialization.load_pem_public_key(public.read_bytes())
    der = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(der).hexdigest() == signer.load("file:keys/evidence.pem", tmp_path).public_key.keyid


@pytest.mark.parametrize("taken", ["evidence.pem", "evidence.pub.pem"])
def test_keygen_never_overwrites_and_leaves_no_half_pair(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(EvidenceError, match="never overwritten"):
        signer.keygen(tmp_path / "evidence.pem")
    assert {taken: "precious"} == {path.name: path.read_text() for path in tmp_path.iterdir()}


def test_a_key_that_others_can_read_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "evidence.pem"
    signer.keygen(path)
    path.chmod(0o640)
    with pytest.raises(EvidenceError) as refused:
        signer.load(f"file:{path}")
    assert f"chmod 600 {path}" == refused.value.fix


def test_what_is_no_key_is_refused_without_quoting_it(tmp_path: Path) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    junk, locked = tmp_path / "junk.pem", tmp_path / "locked.pem"
    junk.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    locked.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    for path in (junk, locked):
        path.chmod(0o600)
        with pytest.raises(EvidenceError, match="no unencrypted private key") as refused:
            signer.load(f"file:{path}")
        assert refused.value.__cause__ is None
        assert "c2VjcmV0" not in str(refused.value)


# --- the statement


@pytest.mark.parametrize("value", [1.0, float("nan"), float("inf"), 2**53, b"bytes", {1: "x"}, NIGHT, "\ud800"])
def test_a_statement_refuses_what_has_no_single_form(value: object) -> None:
    with pytest.raises(EvidenceError):
        build(rows=[{"deep": value}])(Log("northwind", 1, None, {}))


def test_a_statement_says_what_it_was_given_in_canonical_json() -> None:
    log = Log("northwind", 2, "sha256:" + "0" * 64, {"b": "2" * 64, "a": "1" * 64})
    made = build("r1", counts={"é": 1}, partial=False, reason=None)(log)
    assert [subject["name"] for subject in made["subject"]] == ["a", "b"]
    assert {
        "run": "r1",
        "kind": "reconcile",
        "slot": "2026-11-22",
        "started": "2026-11-22T01:00:00Z",
        "finished": "2026-11-22T01:00:00Z",
        "log": log.entry(),
        "counts": {"é": 1},
        "partial": False,
        "reason": None,
    } == made["predicate"]
    assert rfc8785.dumps(made) == statement.canonical(made)
    with pytest.raises(EvidenceError, match="fields of its own"):
        build(log={})(log)


# --- sealing


def test_runs_are_sealed_in_one_chain(key: Path, public: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "evidence", origin="northwind")
    assert None is store.head()
    sealed = seal_runs(store.folder, key, 2)
    assert sealed == list(store.entries())
    assert [store.folder / "00000001", store.folder / "00000002"] == [each.path for each in sealed]
    assert Head(2, sealed[1].statement_digest) == store.head()
    first, second = (statement.read(each.path / "statement.dsse.json") for each in sealed)
    assert (None, sealed[0].statement_digest) == (first.previous, second.previous)
    intent = statement.read(sealed[1].path / "intent.dsse.json")
    assert ("reconcile-intent", None, sealed[0].statement_digest) == (intent.kind, intent.sequence, intent.previous)
    assert {0o444} == {path.stat().st_mode & 0o777 for path in sealed[0].path.rglob("*") if path.is_file()}
    report = verify.verify(store.folder, [public], expect_head=sealed[1].statement_digest)
    assert (True, {"keys", "signatures", "files", "chain", "checkpoints"}) == (
        report.ok,
        {check.name for check in report.checks if check.state == "pass"},
    )
    assert list((store.folder / ".staging").iterdir()) == []


def test_another_chain_is_not_continued(key: Path, tmp_path: Path) -> None:
    seal_runs(tmp_path, key, 1)
    with pytest.raises(EvidenceError, match="'northwind', not run 1 of 'contoso'"):
        FolderStore(tmp_path, origin="contoso").head()


def _link(staging: Staging) -> None:
    (staging.folder / "out").symlink_to("/etc/hostname")


def _linked_folder(staging: Staging) -> None:
    (staging.folder / "out").symlink_to("/etc", target_is_directory=True)


def _pipe(staging: Staging) -> None:
    subprocess.run(["mkfifo", staging.folder / "out"], check=True)


def _odd_name(staging: Staging) -> None:
    (staging.folder / "a\x1b[2J").write_bytes(b"")


def _edit_after_intent(staging: Staging) -> None:
    (staging.folder / "results.json").write_bytes(b"{}")


@pytest.mark.parametrize("spoil", [_link, _linked_folder, _pipe, _odd_name, _edit_after_intent])
def test_a_run_that_could_not_be_verified_is_not_sealed(key: Path, public: Path, tmp_path: Path, spoil: Callable[[Staging], None]) -> None:
    seal_runs(tmp_path, key, 1)
    store = FolderStore(tmp_path, origin="northwind")
    with store.stage("r") as staging:
        store.seal_intent(fill(staging), build(), signer.load(f"file:{key}"))
        spoil(staging)
        with pytest.raises(EvidenceError):
            store.seal(staging, build(), signer.load(f"file:{key}"))
    assert [each.sequence for each in store.entries()] == [1]
    assert problems(tmp_path, public) == []


def test_empty_folders_are_dropped_and_a_builder_must_say_what_it_was_told(key: Path, public: Path, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with_key = signer.load(f"file:{key}")
    with store.stage("r") as staging:
        (fill(staging).folder / "observations/gcp/empty").mkdir(parents=True)
        with pytest.raises(EvidenceError, match="does not say what it was told"):
            store.seal(staging, lambda log: build()(Log(log.origin, log.sequence, log.previous_statement, {})), with_key)
        sealed = store.seal(staging, build(), with_key)
        with pytest.raises(EvidenceError, match="sealed or released"):
            store.seal(staging, build(), with_key)
    assert set(TREE) == set(statement.read(sealed.path / "statement.dsse.json").subjects)
    assert problems(tmp_path, public) == []


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "a/b", ".hidden", "a\x00", "a\n", "x.lock", "x" * 200])
def test_a_run_id_cannot_leave_the_staging(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(EvidenceError, match="not a run id"):
        FolderStore(tmp_path / "evidence").stage(run_id)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing_in_the_listing(key: Path, public: Path, tmp_path: Path) -> None:
    seal_runs(tmp_path, key, 1)
    store = FolderStore(tmp_path, origin="northwind")
    staging = fill(store.stage("r"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # the system itself refuses to write more
    try:
        with pytest.raises(EvidenceError, match="evidence could not be kept"):
            store.seal(staging, build(), signer.load(f"file:{key}"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert problems(tmp_path, public) == []
    assert store.seal(staging, build(), signer.load(f"file:{key}")).sequence == 2
    assert problems(tmp_path, public) == []


def _seal_many(folder: Path, key: Path, writer: int) -> None:
    store = FolderStore(folder, origin="northwind")
    for number in range(15):
        with store.stage(f"w{writer}-{number}") as staging:
            fill(staging, {"results.json": f"{writer}.{number}".encode()})
            store.seal(staging, build(staging.run_id), signer.load(f"file:{key}"))


def test_six_writers_leave_one_intact_chain(key: Path, public: Path, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_seal_many, args=(tmp_path, key, writer)) for writer in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 6
    assert problems(tmp_path, public) == []
    runs = [statement.read(each.path / "statement.dsse.json") for each in FolderStore(tmp_path, origin="northwind").entries()]
    assert list(range(1, 91)) == [run.sequence for run in runs]
    assert len({run.run for run in runs}) == 90
    leaves = [verify.leaf_hash(verify.read_envelope(path / "statement.dsse.json").payload) for path in sorted(tmp_path.glob("0*"))]
    notes = [verify.read_note((path / "checkpoint").read_bytes()) for path in sorted(tmp_path.glob("0*"))]
    assert [(size, verify.root_of(leaves[:size])) for size in range(1, 91)] == [(note.size, note.root) for note in notes]


def test_a_killed_run_is_seen_as_interrupted_and_can_be_adopted(key: Path, public: Path, tmp_path: Path) -> None:
    seal_runs(tmp_path, key, 1)
    store = FolderStore(tmp_path, origin="northwind")
    program = (
        "import sys; from pathlib import Path; from countersign.evidence.store import FolderStore\n"
        "staging = FolderStore(Path(sys.argv[1]), origin='northwind').stage('killed')\n"
        "(staging.folder / 'results.json').write_text('half'); print('staged', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"staged\n"
        assert store.interrupted() == ()
        with pytest.raises(EvidenceError, match="being written by another process"):
            store.adopt("killed")
        child.send_signal(signal.SIGKILL)
    assert (tmp_path / ".staging" / "killed",) == store.interrupted()
    report = verify.verify(tmp_path, [public])
    assert report.ok
    assert any(check.state == "info" and "killed: interrupted run not yet sealed" in check.detail for check in report.checks)
    with pytest.raises(EvidenceError, match="staged already"):
        store.stage("killed")
    with store.adopt("killed") as staging:
        assert store.seal(staging, build("killed", kind="failed"), signer.load(f"file:{key}")).sequence == 2
    assert store.interrupted() == ()
    assert problems(tmp_path, public) == []
    with pytest.raises(EvidenceError, match="no interrupted run"):
        store.adopt("killed")


# --- verifying


def test_securesystemslib_accepts_our_envelopes(chain: Path, key: Path) -> None:
    ours = signer.load(f"file:{key}").public_key
    for path in sorted(chain.rglob("*.dsse.json")):
        envelope = Envelope.from_dict(json.loads(path.read_bytes()))
        assert {ours.keyid: ours} == envelope.verify([ours], 1)
        assert verify.pae(verify.read_envelope(path)) == envelope.pae()


def test_the_verifier_needs_the_standard_library_and_cryptography_only() -> None:
    tree = ast.parse(Path(verify.__file__).read_bytes())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {"cryptography"} == {name.split(".")[0] for name in imported} - sys.stdlib_module_names


def test_one_run_alone_says_that_the_chain_needs_the_whole_folder(chain: Path, public: Path) -> None:
    report = verify.verify(chain / "00000002", [public])
    assert (report.ok, [(check.name, check.state) for check in report.checks if check.name == "chain"]) == (True, [("chain", "info")])


def test_one_run_alone_is_still_held_to_its_number_and_its_statement(tampered: Path, public: Path) -> None:
    moved = (tampered / "00000002").rename(tampered / "00000009")
    assert problems(moved, public) == [("statement.dsse.json", "the statement is that of run 00000002, but lies in 00000009")]
    (moved / "statement.dsse.json").unlink()
    assert problems(moved, public) == [("statement.dsse.json", "the signed statement is missing")]


def test_a_dropped_last_run_is_seen_by_who_kept_its_digest(chain: Path, tampered: Path, public: Path) -> None:
    head = FolderStore(chain, origin="northwind").head()
    assert head is not None
    shutil.rmtree(tampered / "00000003")
    assert problems(tampered, public) == []
    assert [file for file, _ in problems(tampered, public, expect_head=head.statement_digest)] == [""]
    assert problems(chain, public, expect_head=head.statement_digest) == []
    assert problems(chain / "00000003", public, expect_head=head.statement_digest) == []
    assert [file for file, _ in problems(chain / "00000002", public, expect_head=head.statement_digest)] == [""]
    assert problems(chain, public, expect_head="latest") != []


def test_disposed_runs_must_be_asked_for(tampered: Path, public: Path) -> None:
    shutil.rmtree(tampered / "00000001")
    assert [each for each in problems(tampered, public) if "missing" in each[1]] == [("00000002", "missing: 00000001 to 00000001")]
    assert problems(tampered, public, first=2) == []
    assert problems(tampered, public, first=3) != []


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_caught(chain: Path, public: Path, data: st.DataObject) -> None:
    files = sorted(path for path in chain.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    offset = data.draw(st.integers(0, len(before) - 1))
    changed = bytearray(before)
    changed[offset] ^= data.draw(st.integers(1, 255))
    path.chmod(0o600)
    try:
        path.write_bytes(bytes(changed))
        assert problems(chain, public) != []
        assert problems(chain / path.relative_to(chain).parts[0], public) != []
    finally:
        path.write_bytes(before)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change an envelope and keep its form."""
    body = json.loads(path.read_bytes())
    change(body)
    _write(path, rfc8785.dumps(body))


def _sign_again(path: Path, key: Path, payload: bytes) -> None:
    """What an insider who holds the key can do."""
    envelope = Envelope(payload, verify.PAYLOAD_TYPE, {})
    envelope.sign(signer.load(f"file:{key}"))
    _write(path, rfc8785.dumps(envelope.to_dict()))


def _say(path: Path, key: Path, change: Callable[[dict[str, Any]], object]) -> None:
    body = json.loads(verify.read_envelope(path).payload)
    change(body)
    _sign_again(path, key, rfc8785.dumps(body))


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def _replace_by_link(path: Path) -> None:
    kept = next(folder for folder in path.parents if folder.name == "evidence").parent / "kept"
    path.rename(kept)
    path.symlink_to(kept)


def _second_signature(path: Path) -> None:
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    envelope.signatures["00"] = Signature("00", next(iter(envelope.signatures.values())).signature)
    _write(path, rfc8785.dumps(envelope.to_dict()))


def _other_key(path: Path) -> None:
    other = path.parents[2] / "other.pem"
    signer.keygen(other)
    _sign_again(path, other, verify.read_envelope(path).payload)


def _payload(path: Path, old: bytes, new: bytes) -> None:
    def change(body: dict[str, Any]) -> None:
        body["payload"] = base64.b64encode(base64.b64decode(body["payload"]).replace(old, new)).decode()

    _edit(path, change)


def _spare_bits(body: dict[str, Any]) -> None:
    """Set one of the four bits that base64 leaves unused in a signature's last letter: it still decodes to the same."""
    signature = body["signatures"][0]["sig"]
    body["signatures"][0]["sig"] = f"{signature[:-3]}{chr(ord(signature[-3]) + 1)}=="
    assert base64.b64decode(signature) == base64.b64decode(body["signatures"][0]["sig"])


def _subject(name: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": "0" * 64}}


def _link_staging(evidence: Path) -> None:
    (evidence / ".staging").rmdir()
    (evidence / ".staging").symlink_to("/")


def _empty(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def _file_for_folder(run: Path) -> None:
    shutil.rmtree(run)
    run.write_bytes(b"")


def _renumber(evidence: Path, key: Path) -> None:
    shutil.rmtree(evidence / R2)
    (evidence / R3).rename(evidence / R2)
    _say(evidence / R2 / S, key, lambda body: body["predicate"]["log"].update(sequence=2))


S, R1, R2, R3 = "statement.dsse.json", "00000001", "00000002", "00000003"
# What is done to the folder `e` by somebody who may hold the key `k`; the file and the words of the problem that must be among those found.
TAMPERS: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    "file edited": (lambda e, _: _write(e / R2 / "results.json", b"{}"), f"{R2}/results.json", "not the one that was signed"),
    "file emptied": (lambda e, _: _write(e / R2 / "results.json", b""), f"{R2}/results.json", "not the one that was signed"),
    "file deleted": (lambda e, _: (e / R2 / "results.json").unlink(), f"{R2}/results.json", "it is missing"),
    "file renamed": (lambda e, _: (e / R2 / "blank").rename(e / R2 / "bl\x1bank"), f"{R2}/bl\\x1bank", "does not list"),
    "file added": (lambda e, _: _write(e / R2 / "observations/aws/more", b"x"), f"{R2}/observations/aws/more", "does not list"),
    "hidden file added": (lambda e, _: _write(e / R2 / ".DS_Store", b"x"), f"{R2}/.DS_Store", "does not list"),
    "empty folder added": (lambda e, _: (e / R2 / "more").mkdir(), f"{R2}/more", "empty folder"),
    "pipe added": (lambda e, _: subprocess.run(["mkfifo", e / R2 / "pipe"], check=True), f"{R2}/pipe", "device or pipe"),
    "file for a link": (lambda e, _: _replace_by_link(e / R2 / "results.json"), f"{R2}/results.json", "a link"),
    "folder for a link": (lambda e, _: _replace_by_link(e / R2 / "observations"), f"{R2}/observations", "a link"),
    "files swapped": (lambda e, _: _swap(e / R2 / "results.json", e / R2 / "night.txt"), f"{R2}/night.txt", "not the one that was signed"),
    "unsigned top file": (lambda e, _: _write(e / "README.txt", b"trust me"), "README.txt", "not part of the evidence"),
    "unsigned top folder": (lambda e, _: (e / "0004").mkdir(), "0004", "not part of the evidence"),
    "staging for a link": (lambda e, _: _link_staging(e), ".staging", "not part of the evidence"),
    "statement edited": (lambda e, _: _payload(e / R2 / S, b"run-2", b"run-9"), f"{R2}/{S}", "does not fit"),
    "statement deleted": (lambda e, _: (e / R2 / S).unlink(), f"{R2}/{S}", "is missing"),
    "statement a link": (lambda e, _: _replace_by_link(e / R2 / S), f"{R2}/{S}", "a link"),
    "another key": (lambda e, _: _other_key(e / R2 / S), f"{R2}/{S}", "none of the keys"),
    "key id changed": (
        lambda e, _: _edit(e / R2 / S, lambda b: b["signatures"][0].update(keyid="0" * 64)),
        f"{R2}/{S}",
        "none of the keys",
    ),
    "signature removed": (lambda e, _: _edit(e / R2 / S, lambda b: b["signatures"].clear()), f"{R2}/{S}", "0 signatures"),
    "signature added": (lambda e, _: _second_signature(e / R2 / S), f"{R2}/{S}", "2 signatures"),
    "signature borrowed": (
        lambda e, _: _edit(e / R2 / S, lambda b: b.update(signatures=json.loads((e / R1 / S).read_bytes())["signatures"])),
        f"{R2}/{S}",
        "does not fit",
    ),
    "signature not base64": (lambda e, _: _edit(e / R2 / S, lambda b: b["signatures"][0].update(sig="!")), f"{R2}/{S}", "base64"),
    "signature's spare bits": (lambda e, _: _edit(e / R2 / S, _spare_bits), f"{R2}/{S}", "base64 in its one form"),
    "payload type changed": (lambda e, _: _edit(e / R2 / S, lambda b: b.update(payloadType="text/plain")), f"{R2}/{S}", "payload's type"),
    "field added": (lambda e, _: _edit(e / R2 / S, lambda b: b.update(note="x")), f"{R2}/{S}", "exactly the fields"),
    "statement borrowed": (lambda e, _: _write(e / R2 / S, (e / R1 / S).read_bytes()), f"{R2}/{S}", "that of run 00000001"),
    "intent as statement": (lambda e, _: _write(e / R2 / S, (e / R2 / "intent.dsse.json").read_bytes()), f"{R2}/{S}", "of an intent"),
    "broken JSON": (lambda e, _: _write(e / R2 / S, b"{"), f"{R2}/{S}", "broken JSON"),
    "deep JSON": (lambda e, _: _write(e / R2 / S, b"[" * 200_000), f"{R2}/{S}", "broken JSON"),
    "not UTF-8": (lambda e, _: _write(e / R2 / S, b"\xff"), f"{R2}/{S}", "broken JSON"),
    "huge number": (lambda e, _: _write(e / R2 / S, b"9" * 10_000), f"{R2}/{S}", "digits"),
    "a key twice": (
        lambda e, _: _write(e / R2 / S, (e / R2 / S).read_bytes().replace(b"{", b'{"payload":"",', 1)),
        f"{R2}/{S}",
        "occurs twice",
    ),
    "spaces added": (lambda e, _: _write(e / R2 / S, (e / R2 / S).read_bytes() + b"\n"), f"{R2}/{S}", "not in the form"),
    "run removed": (lambda e, _: shutil.rmtree(e / R2), R3, "missing: 00000002 to 00000002"),
    "first run removed": (lambda e, _: shutil.rmtree(e / R1), R2, "missing: 00000001 to 00000001"),
    "all runs removed": (lambda e, _: _empty(e), "", "no sealed run"),
    "run emptied": (lambda e, _: _empty(e / R2), f"{R2}/{S}", "is missing"),
    "run for a file": (lambda e, _: _file_for_folder(e / R2), R2, "not a folder"),
    "run for a link": (lambda e, _: _replace_by_link(e / R2), R2, "not a folder"),
    "run renumbered": (lambda e, _: (e / R3).rename(e / "00000004"), f"00000004/{S}", "that of run 00000003, but lies in 00000004"),
    "runs swapped": (lambda e, _: _swap(e / R1, e / R2), f"{R1}/{S}", "that of run 00000002, but lies in 00000001"),
    "run replayed": (lambda e, _: shutil.copytree(e / R1, e / "00000004"), f"00000004/{S}", "that of run 00000001"),
    "insider rewrites history": (lambda e, k: _say(e / R2 / S, k, lambda b: b["predicate"].update(slot="x")), R3, "does not follow"),
    "insider renumbers": (_renumber, R2, "does not follow"),
    "insider restarts": (
        lambda e, k: _say(e / R3 / S, k, lambda b: b["predicate"]["log"].update(previousStatement=None)),
        f"{R3}/{S}",
        "only the first run",
    ),
    "insider moves chain": (lambda e, k: _say(e / R3 / S, k, lambda b: b["predicate"]["log"].update(origin="x")), R3, "chain of 'x'"),
    "insider leads out": (lambda e, k: _say(e / R3 / S, k, lambda b: b["subject"].append(_subject("../x"))), f"{R3}/{S}", "leads out"),
    "insider lists root": (
        lambda e, k: _say(e / R3 / S, k, lambda b: b["subject"].append(_subject("/etc/passwd"))),
        f"{R3}/{S}",
        "leads out",
    ),
    "insider lists twice": (lambda e, k: _say(e / R3 / S, k, lambda b: b["subject"].append(b["subject"][0])), f"{R3}/{S}", "twice"),
    "insider says 1.0": (
        lambda e, k: _sign_again(e / R3 / S, k, verify.read_envelope(e / R3 / S).payload.replace(b'"sequence":3', b'"sequence":3.0')),
        f"{R3}/{S}",
        "no integer",
    ),
    "insider says intent": (
        lambda e, k: _say(e / R3 / S, k, lambda b: b["predicate"].update(kind="x-intent")),
        f"{R3}/{S}",
        "of an intent",
    ),
    "insider says true": (
        lambda e, k: _say(e / R1 / S, k, lambda b: b["predicate"]["log"].update(sequence=True)),
        f"{R1}/{S}",
        "not a number",
    ),
    "insider says it twice": (
        lambda e, k: _sign_again(e / R3 / S, k, verify.read_envelope(e / R3 / S).payload.replace(b"{", b'{"_type":"",', 1)),
        f"{R3}/{S}",
        "occurs twice",
    ),
    "intent borrowed": (
        lambda e, _: shutil.copy(e / R1 / "intent.dsse.json", e / R2),
        f"{R2}/intent.dsse.json",
        "not the one that was signed",
    ),
}


@pytest.mark.parametrize("name", TAMPERS)
def test_a_tampered_chain_is_caught(tampered: Path, key: Path, public: Path, name: str) -> None:
    for path in tampered.rglob("*"):
        path.chmod(0o700)
    tamper, file, words = TAMPERS[name]
    tamper(tampered, key)
    found = problems(tampered, public)
    assert [file] == [where for where, what in found if where == file and words in what][:1], found


def test_an_intent_must_fit_its_run(key: Path, public: Path, tmp_path: Path) -> None:
    for number, (change, words) in enumerate(
        (
            (lambda body: body["predicate"].update(run="other"), "belongs to another run"),
            (lambda body: body["predicate"].update(kind="reconcile"), "not the statement of an intent"),
            (lambda body: body["predicate"]["log"].update(previousStatement="sha256:" + "0" * 64), "not among the runs before it"),
        )
    ):
        store = FolderStore(tmp_path / str(number))
        with store.stage("r") as staging:
            store.seal_intent(fill(staging), build(), signer.load(f"file:{key}"))
            _say(staging.folder / "intent.dsse.json", key, change)
            store.seal(staging, build(), signer.load(f"file:{key}"))
        assert [words] == [words for _, what in problems(store.folder, public) if words in what]


def test_keys_must_be_given_and_be_public_keys(chain: Path, key: Path, public: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    assert ("", "no public key was given, so no signature can be checked") in problems(chain)
    assert ("keys", "fail") in [(check.name, check.state) for check in verify.verify(chain, [public, key]).checks]
    assert (str(tmp_path / "junk.pem"), "not a public key in PEM") in problems(chain, public, tmp_path / "junk.pem")
    assert (str(tmp_path / "none.pem"), "the key cannot be read: No such file or directory") in problems(chain, tmp_path / "none.pem")
    rotated = tmp_path / "rotated.pem"
    assert problems(chain, signer.keygen(rotated), public) == []


@pytest.mark.parametrize("name", ["nothing", "file", "empty"])
def test_what_is_no_evidence_does_not_verify(public: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    assert [file for file, _ in problems(tmp_path / name, public)] == [""]
