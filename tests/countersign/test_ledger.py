"""The ledger: checkpoints, retention, holds and disposal, entries that are no runs, and what a rewritten history does."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countersign import disposal, entry, scaffold
from countersign.cli import answer
from countersign.errors import EvidenceError
from countersign.evidence import checkpoint, ledger, merkle, signer, statement
from countersign.evidence.store import FolderStore
from countersign.evidence.verify import (
    CHECKPOINT,
    STATEMENT,
    TIMESTAMP,
    check_signature,
    leaf_hash,
    load_key,
    read_envelope,
    read_note,
    root_of,
    verify,
)
from countersign.programme import load
from countersign.reconciliation import Reconciliation, read_all, reconcile
from countersign.state import State
from tests.countersign.test_reconciliation import export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from countersign.evidence.store import Sealed
    from countersign.programme import Programme
    from countersign.state import Run

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=40)
RUN = {"findings.parquet": b"findings", "inventory/identities.parquet": b"identities", "results.json": b"{}"}


def at(when: datetime) -> Callable[[], datetime]:
    return lambda: when


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger") / "programme"
    scaffold.init(folder)
    change(folder / "countersign.yaml", "retention: P7Y", "retention: P30D")
    change(folder / "register/partners/example-partner.yaml", "evidence_retention: P7Y", "evidence_retention: P1M")
    return folder


@pytest.fixture
def folder(scaffolded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scaffolded, tmp_path / "programme"))


@pytest.fixture
def programme(folder: Path) -> Programme:
    return load(folder)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(programme: Programme, when: datetime = NOW, files: Mapping[str, bytes] = RUN) -> Sealed:
    """Seal what looks like a judged run to those who read the ledger."""
    said = {"asOf": when.isoformat().replace("+00:00", "Z"), "state": "complete", "results": []}
    return entry.seal(programme, "reconcile", files, said, clock=at(when))


def note(programme: Programme, sequence: int) -> Path:
    return programme.evidence.store / f"{sequence:08d}" / CHECKPOINT


def leaves(programme: Programme) -> list[bytes]:
    return [leaf_hash(read_envelope(path).payload) for path in sorted(programme.evidence.store.glob(f"0*/{STATEMENT}"))]


def problems(programme: Programme) -> list[tuple[str, str]]:
    report = verify(programme.evidence.store, entry.public_keys(programme))
    return [(problem.file, problem.what) for problem in report.problems]


def said(sealed: Sealed) -> Mapping[str, Any]:
    return statement.read(sealed.path / STATEMENT).predicate


# --- checkpoints


def test_each_entry_has_a_signed_checkpoint_of_the_tree_that_ends_with_it(programme: Programme) -> None:
    for _ in range(5):
        run(programme)
    key = load_key(entry.public_keys(programme)[0].read_bytes())
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    for size in range(1, 6):
        text, _, line = note(programme, size).read_text(encoding="utf-8").partition("\n\n")
        assert ["example", str(size), base64.b64encode(root_of(leaves(programme)[:size])).decode()] == text.split("\n")
        start, name, signature = line.split(" ")
        assert ("\N{EM DASH}", "example", "\n") == (start, name, line[-1])
        decoded = base64.b64decode(signature)
        assert hashlib.sha256(b"example\n\x01" + raw).digest()[:4] == decoded[:4]
        check_signature(key, decoded[4:], f"{text}\n".encode())
        assert CHECKPOINT not in statement.read(note(programme, size).parent / STATEMENT).subjects
    assert problems(programme) == []


def test_other_keys_sign_checkpoints_too(programme: Programme) -> None:
    private = generate_private_key(SECP256R1())
    path = programme.folder / "keys" / "p256.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = read_note(checkpoint.write("example", 7, bytes(32), signer.load(f"file:{path}")))
    assert hashlib.sha256(b"example\n\xff" + der).digest()[:4] == made.key_hash
    check_signature(load_key(signer.public_pem(signer.load(f"file:{path}"))), made.signature, made.text)


@pytest.mark.parametrize("origin", ["", "north wind", "north+wind", "north\nwind", "north\u00a0wind", "\x1b[2J"])
def test_an_origin_that_a_note_cannot_name_is_refused(origin: str, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot name a ledger"):
        FolderStore(tmp_path, origin=origin)


def _edit(folder: Path) -> None:
    path = folder / "00000002" / STATEMENT
    body = json.loads(path.read_bytes())
    body["payload"] = base64.b64encode(base64.b64decode(body["payload"]).replace(b"complete", b"partial")).decode()
    path.chmod(0o644)
    path.write_text(json.dumps(body, sort_keys=True, separators=(",", ":")))


def _swap(folder: Path) -> None:
    (folder / "00000001").rename(folder / "x")
    (folder / "00000002").rename(folder / "00000001")
    (folder / "x").rename(folder / "00000002")


def _no_checkpoint(folder: Path) -> None:
    (folder / "00000003" / CHECKPOINT).unlink()


def _older_checkpoint(folder: Path) -> None:
    shutil.copyfile(folder / "00000002" / CHECKPOINT, folder / "00000003" / "new")
    (folder / "00000003" / "new").replace(folder / "00000003" / CHECKPOINT)


def _broken_checkpoint(folder: Path) -> None:
    (folder / "00000003" / CHECKPOINT).chmod(0o644)
    (folder / "00000003" / CHECKPOINT).write_bytes(b"\xff\n")


def _no_run(folder: Path) -> None:
    shutil.rmtree(folder / "00000002")


def _no_statement(folder: Path) -> None:
    (folder / "00000001" / STATEMENT).unlink()


def _broken_statement(folder: Path) -> None:
    (folder / "00000001" / STATEMENT).chmod(0o644)
    (folder / "00000001" / STATEMENT).write_bytes(b'{"payload":"')


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_edit, "history was rewritten"), (_swap, "history was rewritten"), (_no_checkpoint, "is missing, although run 00000002"),
        (_older_checkpoint, "is that of 2 runs"), (_broken_checkpoint, "not UTF-8"), (_no_run, "run 00000002 is missing"),
        (_no_statement, "is missing"), (_broken_statement, "is no statement"),
    ],
)  # fmt: skip
def test_nothing_is_signed_over_a_history_that_was_changed(programme: Programme, spoil: Callable[[Path], None], why: str) -> None:
    for _ in range(3):
        run(programme)
    spoil(programme.evidence.store)
    before = sorted(programme.evidence.store.glob("0*"))
    with pytest.raises(EvidenceError, match=why) as refused:
        run(programme)
    assert "from a copy" in str(refused.value.fix)
    store = entry.open_store(programme)
    with store.stage("r") as staging, pytest.raises(EvidenceError, match=why):
        store.seal_intent(staging, lambda log: log.entry(), signer.load(programme.evidence.signer))
    assert before == sorted(programme.evidence.store.glob("0*"))


def test_evidence_from_before_there_were_checkpoints_is_continued(programme: Programme) -> None:
    for _ in range(6):
        run(programme)
    for number in range(1, 7):
        note(programme, number).unlink()
    run(programme)
    made = read_note(note(programme, 7).read_bytes())
    assert (7, root_of(leaves(programme))) == (made.size, made.root)
    run(programme)
    assert 8 == read_note(note(programme, 8).read_bytes()).size


# --- entries


def test_an_entry_says_its_kind_its_files_and_how_long_it_is_kept(programme: Programme) -> None:
    sealed = entry.seal(programme, "export", {"a/bundle.json": b"{}"}, {"size": 7}, clock=at(NOW))
    made = statement.read(sealed.path / STATEMENT)
    assert ("export", "a/bundle.json", 7, "2026-12-22T02:00:00Z") == (
        made.kind,
        *made.subjects,
        made.predicate["size"],
        made.predicate["retainUntil"],
    )
    assert made.run.startswith("export-20261122T020000Z-")
    assert "asOf" not in made.predicate
    alone = entry.seal(programme, "drill", {}, {"note": "x"}, clock=at(NOW))
    assert {"note": "x"} == json.loads((alone.path / entry.NAME).read_bytes())
    with pytest.raises(EvidenceError, match="fields of its own called run"):
        entry.seal(programme, "export", {}, {"run": "another"}, clock=at(NOW))
    assert (2, []) == (len(leaves(programme)), problems(programme))


def test_the_longest_of_settings_and_contracts_is_kept(folder: Path) -> None:
    change(folder / "register/partners/example-partner.yaml", "evidence_retention: P1M", "evidence_retention: P10Y")
    assert datetime(2036, 11, 22, 2, 0, tzinfo=UTC) == entry.retain_until(load(folder), NOW)
    change(folder / "countersign.yaml", "retention: P30D", "retention: P11Y")
    assert datetime(2037, 11, 22, 2, 0, tzinfo=UTC) == entry.retain_until(load(folder), NOW)


# --- holds and disposal


def test_what_is_past_its_retention_and_not_held_goes_and_the_chain_stays_whole(programme: Programme) -> None:
    first, second = run(programme), run(programme)
    held, _ = disposal.hold(programme, 2, 2, reason="case 7", by="Maria", clock=at(NOW))
    run(programme, LATER)
    (first.path / TIMESTAMP).write_bytes(b"token")
    beside = {name: (first.path / name).read_bytes() for name in (STATEMENT, CHECKPOINT, TIMESTAMP)}

    plan = disposal.plan(programme, LATER)
    assert [1] == [due.entry.sequence for due in plan.due]
    assert [(2, f"held by {held.id}")] == [(each.sequence, why) for each, why in plan.kept]
    assert (first.path / "results.json").exists()

    _, tomb = disposal.dispose(programme, clock=at(LATER))
    assert tomb is not None
    assert beside == {path.name: path.read_bytes() for path in first.path.iterdir()}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in RUN.items()}
    (gone,) = said(tomb)["disposed"]
    assert (1, first.statement_digest, files, "2026-12-22T02:00:00Z") == tuple(
        gone[name] for name in ("sequence", "statement", "files", "retainUntil")
    )
    (first.path / TIMESTAMP).unlink()
    assert problems(programme) == []

    disposal.release(programme, held.id, reason="closed", by="Maria", clock=at(LATER))
    disposal.dispose(programme, clock=at(LATER))
    assert not (second.path / "results.json").exists()
    assert (disposal.Plan((), (), ()), None) == disposal.dispose(programme, clock=at(LATER))
    assert problems(programme) == []


def test_the_newest_run_with_verdicts_always_stays(programme: Programme) -> None:
    only = run(programme)
    entry.seal(programme, "export", {"bundle.json": b"{}"}, {}, clock=at(NOW))
    plan, _ = disposal.dispose(programme, clock=at(LATER))
    assert ([2], [1]) == ([due.entry.sequence for due in plan.due], [each.sequence for each, _ in plan.kept])
    assert (only.path / "findings.parquet").exists()


def test_a_contract_that_asks_for_longer_now_keeps_what_was_sealed_before(folder: Path) -> None:
    run(load(folder))
    run(load(folder))
    change(folder / "register/partners/example-partner.yaml", "evidence_retention: P1M", "evidence_retention: P2Y")
    assert () == disposal.plan(load(folder), LATER).due
    assert [1] == [due.entry.sequence for due in disposal.plan(load(folder), NOW + timedelta(days=800)).due]


@pytest.mark.parametrize("dies", ["before the first file", "after one file"])
def test_killed_between_tombstone_and_removal_the_next_disposal_finishes(folder: Path, programme: Programme, dies: str) -> None:
    first, second = run(programme), run(programme)
    run(programme, LATER)
    one = "real(self, sequence, list(names)[:1]); " if dies == "after one file" else ""
    script = dedent(f"""
        import os, signal
        from datetime import datetime
        from pathlib import Path
        from countersign import disposal
        from countersign.evidence.store import FolderStore
        from countersign.programme import load
        real = FolderStore.remove
        def remove(self, sequence, names):
            {one}os.kill(os.getpid(), signal.SIGKILL)
        FolderStore.remove = remove
        disposal.dispose(load(Path({str(folder)!r})), clock=lambda: datetime.fromisoformat({LATER.isoformat()!r}))
    """)
    died = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert problems(programme) == []
    assert (second.path / "results.json").exists()
    # A hold that comes now keeps what is left, until it is released.
    plan = disposal.plan(programme, LATER)
    assert ((), [1, 2]) == (plan.due, [each.sequence for each in plan.unfinished])
    _, none = disposal.dispose(programme, clock=at(LATER))
    assert none is None
    assert {STATEMENT, CHECKPOINT} == {path.name for path in (*first.path.iterdir(), *second.path.iterdir())}
    assert problems(programme) == []


def test_a_hold_on_what_is_not_there_or_gone_is_refused(programme: Programme) -> None:
    with pytest.raises(disposal.HoldError, match="the newest is 0"):
        disposal.hold(programme, 1, None, reason="r", by="b", clock=at(NOW))
    run(programme)
    run(programme, LATER)
    disposal.dispose(programme, clock=at(LATER))
    for first, last, why in (
        (0, 1, "no runs 0 to 1"),
        (2, 1, "no runs 2 to 1"),
        (1, 9, "no runs 1 to 9"),
        (1, None, "00000001 were disposed of"),
    ):
        with pytest.raises(disposal.HoldError, match=why):
            disposal.hold(programme, first, last, reason="r", by="b", clock=at(LATER))
    with pytest.raises(disposal.HoldError, match="no hold 'x' in force"):
        disposal.release(programme, "x", reason="r", by="b", clock=at(LATER))


def test_a_store_removes_nothing_outside_an_entry_and_overwrites_nothing(programme: Programme) -> None:
    sealed = run(programme)
    store = entry.open_store(programme)
    for name in (STATEMENT, CHECKPOINT, TIMESTAMP, "../00000001/results.json", "/etc/hostname", "a/../../x"):
        with pytest.raises(EvidenceError, match="is not removed"):
            store.remove(1, [name])
    (sealed.path / "out").symlink_to(programme.folder, target_is_directory=True)
    with pytest.raises(EvidenceError, match="is not removed"):
        store.remove(1, ["out/countersign.yaml"])
    (sealed.path / "out").unlink()
    store.put_once(1, TIMESTAMP, b"first")
    for name in (TIMESTAMP, "results.json", "new.json"):
        with pytest.raises(EvidenceError):
            store.put_once(1, name, b"second")
    assert (b"first", tuple(sorted((*RUN, STATEMENT, CHECKPOINT, TIMESTAMP)))) == (store.get(1, TIMESTAMP), store.names(1))
    with pytest.raises(EvidenceError, match="no run 00000002"):
        store.fetch(2)


@pytest.mark.parametrize("predicate", [{}, {"hold": 1}, {"hold": {"id": "h", "runs": [1], "reason": "r", "by": "b"}}])
def test_an_entry_that_does_not_say_what_its_kind_has_to_is_one_clear_error(programme: Programme, predicate: dict[str, object]) -> None:
    entry.seal(programme, "hold", {}, predicate, clock=at(NOW))
    with pytest.raises(EvidenceError, match="does not say what an entry of kind 'hold' has to"):
        ledger.read(entry.open_store(programme))


# --- the command


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = answer(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_lists_holds_releases_and_disposes(folder: Path, programme: Programme, capsys: pytest.CaptureFixture[str]) -> None:
    here = ("-p", str(folder))
    assert (0, "Nothing is sealed yet") == (told(capsys, "evidence", "list", *here)[0], told(capsys, "evidence", "list", *here)[1][:21])
    run(programme, NOW - timedelta(days=400))
    run(programme)
    code, out, _ = told(capsys, "evidence", "hold", "1-", "--reason", "case \x1b[2J7", "--by", "Maria", *here, "--json")
    name = json.loads(out)["id"]
    assert (0, [1, 2]) == (code, json.loads(out)["runs"])
    assert 0 == told(capsys, "evidence", "dispose", *here)[0]
    assert 2 == told(capsys, "evidence", "hold", "1-x", "--reason", "r", "--by", "b", *here)[0]
    assert 0 == told(capsys, "evidence", "release", name, "--reason", "closed", "--by", "Maria", *here)[0]
    code, out, _ = told(capsys, "evidence", "dispose", *here)
    assert (1, True, True) == (code, "Nothing was removed" in out, (programme.evidence.store / "00000001/results.json").exists())
    code, out, _ = told(capsys, "evidence", "dispose", "--yes", *here, "--json")
    assert (0, [1], "00000005") == (code, [each["sequence"] for each in json.loads(out)["due"]], json.loads(out)["entry"])
    code, out, _ = told(capsys, "evidence", "list", *here, "--json")
    rows = json.loads(out)["entries"]
    assert [5, None, None, None, None] == [row["disposed_in"] for row in rows]
    assert [None, sum(map(len, RUN.values()))] == [row["bytes"] for row in rows[:2]]
    code, out, _ = told(capsys, "evidence", "list", *here)
    assert (0, True, True) == (code, "disposed of, entry 5" in out, "for good" in out)


def test_an_auditor_gets_a_checkpoint_a_proof_of_one_run_and_one_of_growth(
    folder: Path, programme: Programme, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, kept, file = ("-p", str(folder)), tmp_path / "kept.txt", tmp_path / "proof.json"
    assert 2 == told(capsys, "evidence", "checkpoint", *here)[0]
    for _ in range(3):
        run(programme)
    assert 0 == told(capsys, "evidence", "checkpoint", "-o", str(kept), *here)[0]
    assert note(programme, 3).read_bytes() == kept.read_bytes()
    assert 2 == told(capsys, "evidence", "checkpoint", "-o", str(kept), *here)[0]  # nothing is overwritten
    third = run(programme)
    made = json.loads(told(capsys, "evidence", "prove", "2", *here)[1])
    root, leaf, proof = bytes.fromhex(made["root"]), bytes.fromhex(made["leaf"]), [bytes.fromhex(each) for each in made["proof"]]
    assert merkle.includes(root, made["size"], made["index"], leaf, proof)
    assert (leaves(programme)[1], read_note(made["checkpoint"].encode()).root) == (leaf, root)
    assert 0 == told(capsys, "evidence", "prove", statement.read(third.path / STATEMENT).run, "-o", str(file), *here, "--json")[0]
    assert 4 == json.loads(file.read_text())["sequence"]
    assert 2 == told(capsys, "evidence", "prove", "9", *here)[0]
    grown = json.loads(told(capsys, "evidence", "checkpoint", "--since", str(kept), *here)[1])
    hashes = [bytes.fromhex(each) for each in grown["proof"]]
    assert merkle.continues(bytes.fromhex(grown["root_before"]), grown["from"], bytes.fromhex(grown["root"]), grown["size"], hashes)
    # Another history of the same length, signed with the same key.
    shutil.rmtree(programme.evidence.store)
    for _ in range(4):
        run(programme, LATER)
    code, _, err = told(capsys, "evidence", "checkpoint", "--since", str(kept), *here)
    assert (4, True) == (code, "history was rewritten" in err)


# --- nights


@pytest.fixture(scope="module")
def two_nights(scaffolded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound night, and one with nothing at all to read, whose register breaks after its start."""
    folder = Path(shutil.copytree(scaffolded, tmp_path_factory.mktemp("nights") / "programme"))
    programme = load(folder)
    export(folder, "111111111111", {"old": (200, None), "fine": (10, 1)})
    reconcile(programme, slot="2026-11-21")
    (folder / "exports/111111111111.csv").unlink()
    customer = folder / "register/customer.yaml"
    sound = customer.read_bytes()
    with Reconciliation(programme, slot="2026-11-22") as during:
        customer.write_bytes(b": broken")
        judged = during.judge(read_all(during))
        planned = during.plan(judged)
        during.record(judged, planned, during.act(planned))
    customer.write_bytes(sound)
    return folder


@pytest.fixture
def nights(two_nights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_nights, tmp_path / "programme"))


def runs(folder: Path) -> dict[str, Run]:
    with State(load(folder).state) as state:
        return {row.slot: row for row in state.runs()}


def test_an_empty_night_whose_register_breaks_meanwhile_is_on_file(nights: Path) -> None:
    assert [("complete", "00000001"), ("failed", "00000002")] == [(run.state, run.evidence) for _, run in sorted(runs(nights).items())]
    assert "reconcile" == statement.read(nights / "evidence/00000002" / STATEMENT).kind
    assert b"broken" not in (nights / "evidence/00000002/register.json").read_bytes()
    assert "retainUntil" in statement.read(nights / "evidence/00000001" / STATEMENT).predicate
    assert [] == problems(load(nights))


def test_a_night_that_died_between_sealing_and_saying_so_is_found_behind_later_entries(
    folder: Path, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: object, **_more: object) -> None:
        raise SystemExit

    export(folder, "111111111111", {"old": (200, None), "fine": (10, 1)})
    monkeypatch.setattr(State, "finish_run", die)
    with pytest.raises(SystemExit):
        reconcile(programme, slot="2026-11-21")
    monkeypatch.undo()
    assert "running" == runs(folder)["2026-11-21"].state
    clock = lambda: datetime.now(UTC)  # noqa: E731  # as everywhere here
    entry.seal(programme, "export", {}, {}, clock=clock)
    disposal.hold(programme, 1, None, reason="r", by="b", clock=clock)
    with Reconciliation(programme, slot="2026-11-22") as following:
        rows = {row.slot: (row.state, row.evidence) for row in following.state.runs()}
        following.staging.release()
    assert ("complete", "00000001") == rows["2026-11-21"]
    # And what it had found is not lost on those who ask for it.
    again = reconcile(programme, slot="2026-11-21")
    assert (True, "00000001") == (again.repeated, again.evidence.name)


def test_whoever_reads_a_run_is_told_that_its_files_were_disposed_of(nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programme, here = load(nights), ("-p", str(nights))
    first, second = runs(nights)["2026-11-21"], runs(nights)["2026-11-22"]
    after = datetime.now(UTC) + timedelta(days=60)
    disposal.dispose(programme, clock=at(after))
    gone = f"its files were disposed of on {after:%Y-%m-%d}, as entry 00000003 says"
    for arguments in (("findings", "--run", first.run), ("runs", "diff", first.run, second.run)):
        code, out, err = told(capsys, *arguments, *here)
        assert (True, "") == (gone in err, out), (arguments, err)
        assert code in (2, 4)
    with pytest.raises(EvidenceError, match=gone):
        reconcile(programme, slot="2026-11-21")
    assert 0 == told(capsys, "runs", *here)[0]
    # Where the newest is gone as well, as a bucket's own rules might have it, the next night says so and goes on.
    lines: list[str] = []
    export(nights, "111111111111", {"old": (200, None), "fine": (10, 1)})
    (nights / "evidence/00000002/findings.parquet").unlink()
    third = reconcile(programme, tell=lambda line, _share=None, /: lines.append(line))
    assert third.state == "complete"
    assert [f"cannot go on from run {second.run}: findings.parquet is missing, and no later entry says that it was disposed of",
            f"cannot go on from run {first.run}: {gone}"] == [line for line in lines if line.startswith("cannot go on")]  # fmt: skip
