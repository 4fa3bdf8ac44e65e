"""Evidence in a bucket with Object Lock: nights, races, deaths and strangers, on a real server."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from countersign import scaffold
from countersign.cli import answer, doctor
from countersign.entry import open_store
from countersign.errors import EvidenceError
from countersign.evidence import bucket, permissions, signer, statement
from countersign.evidence.s3 import S3Store
from countersign.evidence.verify import STATEMENT, verify
from countersign.programme import load
from countersign.reconciliation import reconcile
from tests.countersign.buckets import BUCKET, ENVIRONMENT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.evidence.store import Build, Log, Sealed, Store
    from tests.countersign.buckets import Front

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
ENDS = datetime(2033, 11, 22, 2, 0, tzinfo=UTC)
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
ROW = (
    "old,arn:aws:iam::111111111111:user/old,2024-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,true,2026-05-06T02:00:00+00:00,"
    "N/A,eu-west-2,s3,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with serving() as server:
        server.bucket(BUCKET)
        yield server


@pytest.fixture(autouse=True)
def calm(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    front.calm()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("[", "-").replace("]", "")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "evidence.pem"
    signer.keygen(path)
    return path


@pytest.fixture
def store(front: Front, prefix: str, key: Path, tmp_path: Path) -> S3Store:
    return opened(front, prefix, key, tmp_path / "copy")


def opened(front: Front, prefix: str, key: Path, folder: Path, **more: Any) -> S3Store:
    keys = (signer.public_path(key),)
    return S3Store(f"s3://{BUCKET}/{prefix}", folder, origin="northwind", endpoint=front.endpoint, keys=keys, **more)


def building(run: str, kind: str = "reconcile", ends: datetime = ENDS) -> Build:
    def build(log: Log) -> dict[str, object]:
        extra = {"state": "complete", "retainUntil": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
        return statement.build(
            run=run, kind=kind, slot=None, started=NOW, finished=NOW, subjects=log.subjects, predicate_extra=extra, log=log.entry()
        )

    return build


def sealed(store: Store, key: Path, run: str = "run-1", **files: str) -> Sealed:
    with store.stage(run) as staging:
        for name, text in (files or {"results": "{}", "inventory/keys": "é"}).items():
            path = staging.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return store.seal(staging, building(run), signer.load(f"file:{key}"))


def ok(folder: Path, key: Path) -> bool:
    report = verify(folder, [signer.public_path(key)])
    assert () == report.problems
    return report.ok


def keys_of(front: Front, prefix: str) -> list[str]:
    page = front.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
    return [each["Key"].removeprefix(f"{prefix}/") for each in page.get("Contents", ())]


# --- what an entry looks like


def test_an_entry_is_locked_read_back_and_says_so(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    one = sealed(store, key)
    assert keys_of(front, prefix) == [
        "00000001/checkpoint", "00000001/statement.dsse.json", "files/run-1/inventory/keys", "files/run-1/results",
    ]  # fmt: skip
    said = statement.read(one.path / STATEMENT).predicate["store"]
    assert said == {
        "bucket": f"s3://{BUCKET}/{prefix}",
        "files": "files/run-1",
        "objects": 2,
        "mode": "COMPLIANCE",
        "retainUntil": "2033-11-22T03:00:00Z",
    }
    for name in keys_of(front, prefix):
        head = front.client().head_object(Bucket=BUCKET, Key=f"{prefix}/{name}")
        assert ("COMPLIANCE", ENDS + timedelta(hours=1)) == (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"])
    kept = store.retention_of(1)
    assert (ENDS + timedelta(hours=1), "COMPLIANCE", False) == (kept.until, kept.mode, kept.held)
    assert store.names(1) == ("checkpoint", "inventory/keys", "results", "statement.dsse.json")
    assert ok(store.folder, key)


def test_what_a_plain_sync_brings_verifies(front: Front, store: S3Store, key: Path, prefix: str, tmp_path: Path) -> None:
    sealed(store, key, "run-1")
    sealed(store, key, "run-2", results="[]")
    target = tmp_path / "synced"
    front.sync(f"{prefix}/", target, exclude="files/")
    for folder in sorted(target.iterdir()):
        envelope = json.loads((folder / STATEMENT).read_bytes())
        files = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["store"]["files"]
        front.sync(f"{prefix}/{files}/", folder)
    assert ok(target, key)


def test_the_local_copy_may_go_and_comes_back(front: Front, store: S3Store, key: Path, prefix: str, tmp_path: Path) -> None:
    first, _ = sealed(store, key, "run-1"), sealed(store, key, "run-2", results="[]")
    store.put_once(1, "timestamp.tsr", b"token")
    shutil.rmtree(store.folder)
    assert [1, 2] == [entry.sequence for entry in store.entries()]
    assert ["checkpoint", "statement.dsse.json", "timestamp.tsr"] == sorted(path.name for path in first.path.iterdir())
    assert "é" == (store.fetch(1) / "inventory" / "keys").read_text()
    assert b"token" == store.get(1, "timestamp.tsr")
    store.fetch(2)
    (first.path / "timestamp.tsr").unlink()
    assert ok(store.folder, key)
    (first.path / "results").unlink()
    assert "{}" == (store.fetch(1) / "results").read_text()
    with pytest.raises(EvidenceError, match="exists already"):
        opened(front, prefix, key, tmp_path / "another").put_once(1, "timestamp.tsr", b"other")
    with pytest.raises(EvidenceError, match="there is no entry 00000003"):
        store.fetch(3)


def test_a_hold_and_a_removal(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    sealed(store, key)
    store.hold(1, on=True)
    assert store.retention_of(1).held
    with pytest.raises(EvidenceError, match=r"s3:DeleteObject on .*/files/run-1/results: .*AccessDenied"):
        store.remove(1, ["results"])
    store.hold(1, on=False)
    assert not store.retention_of(1).held
    with pytest.raises(EvidenceError, match="AccessDenied"):
        store.remove(1, ["results"])  # locked still
    front.client().put_object_retention(  # moto lets COMPLIANCE be shortened, and so time pass
        Bucket=BUCKET, Key=f"{prefix}/files/run-1/results", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": NOW - timedelta(days=365)}
    )
    store.remove(1, ["results"])
    assert "results" not in store.names(1)
    assert not (store.fetch(1) / "results").exists()


def test_listings_of_many_pages_and_files_of_many_parts(store: S3Store, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    monkeypatch.setattr(bucket, "LARGE", 5 * 1024 * 1024)
    large = "0123456789abcdef" * (11 * 1024 * 64)
    for number in range(1, 4):
        sealed(store, key, f"run-{number}", **{f"file-{each}": "" for each in range(4)})
    with store.stage("large") as staging:
        (staging.folder / "large").write_text(large)
        store.seal(staging, building("large"), signer.load(f"file:{key}"))
    assert ("COMPLIANCE", ENDS + timedelta(hours=1)) == (store.retention_of(4).mode, store.retention_of(4).until)
    shutil.rmtree(store.folder)
    assert [1, 2, 3, 4] == [store.fetch(entry.sequence) and entry.sequence for entry in store.entries()]
    assert large == (store.folder / "00000004" / "large").read_text()
    assert ok(store.folder, key)
    assert () == store.notices()


def test_what_is_asked_of_the_bucket_is_what_the_policy_allows(front: Front, store: S3Store, key: Path) -> None:
    sealed(store, key)
    shutil.rmtree(store.folder)
    sealed(store, key, "run-2")
    store.fetch(1)
    store.put_once(1, "timestamp.tsr", b"token")
    store.retention_of(1)
    needed = {
        r"GET /[^/]+\?object-lock": {"s3:GetBucketObjectLockConfiguration"},
        r"GET /[^/]+\?versions": {"s3:ListBucketVersions"},
        r"GET /[^?]+\?versionId=": {"s3:GetObjectVersion"},
        r"HEAD /[^?]+\?versionId=": {"s3:GetObjectVersion", "s3:GetObjectRetention"},
        r"PUT /[^?]+\?$": {"s3:PutObject", "s3:PutObjectRetention"},
    }
    asked = {pattern for method, path in front.asked for pattern in needed if re.match(pattern, f"{method} {path}")}
    assert [] == [each for each in front.asked if not any(re.match(pattern, " ".join(each)) for pattern in needed)]
    assert needed.keys() == asked
    # The other two: what a file in parts needs.
    assert {"s3:GetObject", "s3:AbortMultipartUpload"} == {*permissions.BUCKET, *permissions.WRITE} - set[str]().union(*needed.values())


# --- nights


@pytest.fixture
def folder(front: Front, prefix: str, tmp_path: Path) -> Path:
    target = tmp_path / "programme"
    scaffold.init(target)
    (target / "exports" / "111111111111.csv").write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    settings = (target / "countersign.yaml").read_text(encoding="utf-8")
    there = f"{{store: s3://{BUCKET}/{prefix}, lock: COMPLIANCE, region: eu-west-2, endpoint: '{front.endpoint}', "
    assert "{store: evidence/, " in settings
    (target / "countersign.yaml").write_text(settings.replace("{store: evidence/, ", there), encoding="utf-8")
    return target


def test_nights_in_a_bucket_one_refused_and_one_without_the_local_copy(folder: Path, front: Front, prefix: str) -> None:
    front.denied = "GET .*object-lock"
    with pytest.raises(EvidenceError, match=r"s3:GetObjectLockConfiguration on .*AccessDenied") as refused:
        reconcile(load(folder), NOW)
    assert 4 == refused.value.exit_code
    front.calm()
    assert [] == keys_of(front, prefix), "refused before anything was read or written"

    first = reconcile(load(folder), NOW - timedelta(days=2))
    assert "00000001" == first.evidence.name
    shutil.rmtree(folder / "evidence")
    second = reconcile(load(folder), NOW - timedelta(days=1))
    assert "00000002" == second.evidence.name
    assert (0, first.findings["open"]) == (second.findings["new"], second.findings["open"])
    store = open_store(load(folder))
    assert isinstance(store, S3Store)
    assert 0 == answer(["evidence", "fetch", "-p", str(folder)])
    assert ok(folder / "evidence", folder / "keys" / "evidence.pem")
    assert () == store.notices()

    held = ["evidence", "hold", "1", "--reason", "a dispute", "--by", "counsel", "-p", str(folder)]
    assert 0 == answer(held)
    assert "ON" == front.client().head_object(Bucket=BUCKET, Key=f"{prefix}/00000001/{STATEMENT}")["ObjectLockLegalHoldStatus"]
    shutil.rmtree(folder / "evidence")
    days = ["--from", f"{NOW - timedelta(days=2):%Y-%m-%d}", "--to", f"{NOW - timedelta(days=1):%Y-%m-%d}"]
    assert 0 == answer(["export", *days, "-o", str(folder / "b.zip"), "-p", str(folder)])
    assert verify(folder / "b.zip", [folder / "keys" / "evidence.pub.pem"]).ok


@pytest.mark.parametrize(
    ("denied", "said"),
    [
        (r"PUT .*/files/.*/results", "s3:PutObject on .*/results: .*AccessDenied"),
        (r"PUT .*statement\.dsse\.json", "s3:PutObject on .*statement.dsse.json: .*AccessDenied"),
        (r"HEAD ", "s3:HeadObject on .*Forbidden"),
        (r"GET .*object-lock", "s3:GetObjectLockConfiguration on .*AccessDenied"),
        (r"GET .*versions", "s3:ListObjectVersions on .*AccessDenied"),
    ],
    ids=["put", "claim", "read-back", "configuration", "listing"],
)
def test_what_the_bucket_refuses_is_one_sentence_and_nothing_is_claimed(  # noqa: PLR0913, PLR0917 - fixtures
    front: Front, store: S3Store, key: Path, prefix: str, denied: str, said: str
) -> None:
    front.denied = denied
    with pytest.raises(EvidenceError, match=said) as refused:
        sealed(store, key)
    assert "\n" not in refused.value.message
    assert refused.value.fix
    front.calm()
    assert [] == [name for name in keys_of(front, prefix) if not name.startswith("files/")]
    assert 1 == sealed(store, key, "run-2").sequence


def test_a_bucket_without_object_lock_is_refused_before_anything_is_written(front: Front, key: Path, tmp_path: Path) -> None:
    front.bucket("plain", lock=False)
    plain = S3Store("s3://plain/x", tmp_path / "copy", endpoint=front.endpoint)
    with pytest.raises(EvidenceError, match="the bucket plain has no Object Lock"):
        sealed(plain, key)
    assert [] == front.client().list_objects_v2(Bucket="plain").get("Contents", [])
    with pytest.raises(EvidenceError, match="NoSuchBucket"):
        sealed(S3Store("s3://nowhere", tmp_path / "copy", endpoint=front.endpoint), key)


def test_a_bucket_that_takes_objects_without_locking_them_is_found_out(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    front.unlocked = True
    with pytest.raises(
        EvidenceError, match=r"the bucket says no retention for .*/files/run-1/.*, not COMPLIANCE until 2033-11-22T03:00:00Z"
    ):
        sealed(store, key)
    assert [] == [name for name in keys_of(front, prefix) if not name.startswith("files/")]


# --- races and deaths

WRITER = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from countersign.evidence import signer, statement
    from countersign.evidence.s3 import S3Store

    uri, endpoint, folder, key, name, count = sys.argv[1:]
    at = datetime(2026, 11, 22, tzinfo=UTC)
    store = S3Store(uri, Path(folder), origin="northwind", endpoint=endpoint, keys=[signer.public_path(Path(key))])
    for number in range(int(count)):
        run = f"{name}-{number}"
        with store.stage(run) as staging:
            (staging.folder / "who").write_text(name)
            print("sealing", flush=True)
            sys.stdin.readline()
            said = {"state": "complete", "retainUntil": "2033-11-22T02:00:00Z"}
            store.seal(
                staging,
                lambda log: statement.build(
                    run=run, kind="reconcile", slot=None, started=at, finished=at, subjects=log.subjects, predicate_extra=said, log=log.entry()
                ),
                signer.load(f"file:{key}"),
            )
"""


def writer(store: S3Store, folder: Path, key: Path, name: str, count: int) -> subprocess.Popen[str]:
    where = (store.bucket.uri, str(store.bucket.endpoint), str(folder))
    command = [sys.executable, "-c", dedent(WRITER), *where, str(key), name, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def test_six_writers_on_two_copies_leave_one_chain(store: S3Store, key: Path, tmp_path: Path) -> None:
    copies = (store.folder, tmp_path / "elsewhere")
    writers = [writer(store, copies[number % 2], key, f"writer{number}", 2) for number in range(6)]
    for each in writers:
        assert each.stdout is not None
        assert "sealing\n" == each.stdout.readline()
    for each in writers:
        each.communicate("\n" * 2)
    assert [0] * 6 == [each.returncode for each in writers]
    runs = [statement.read(entry.path / STATEMENT).run for entry in store.entries()]
    assert sorted(runs) == [f"writer{number}-{count}" for number in range(6) for count in range(2)]
    for number in range(1, 13):
        store.fetch(number)
    assert ok(store.folder, key)
    assert () == store.notices()
    assert () == store.interrupted()


def test_a_writer_killed_before_its_claim_leaves_what_is_listed_and_is_sealed_later(front: Front, store: S3Store, key: Path) -> None:
    sealed(store, key)
    dying = writer(store, store.folder, key, "dying", 1)
    front.kill = ("PUT", "00000002/statement.dsse.json", dying.pid)
    dying.communicate("\n")
    assert -9 == dying.returncode
    assert 1 == len(list(store.entries()))
    assert [("files/dying-0/who", "was put by a run that never claimed a place, and is part of no entry")] == [
        (notice.key, notice.what) for notice in store.notices()
    ]
    assert ["dying-0"] == [path.name for path in store.interrupted()]
    with store.adopt("dying-0") as staging:
        (staging.folder / "failure.json").write_text("{}")
        again = store.seal(staging, building("dying-0", "failed"), signer.load(f"file:{key}"))
    assert "files/dying-0.2" == statement.read(again.path / STATEMENT).predicate["store"]["files"]
    assert ok(store.folder, key)


def test_a_writer_killed_after_its_claim_has_sealed(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    dying = writer(store, store.folder, key, "dying", 1)
    front.kill = ("PUT", "00000001/checkpoint", dying.pid)
    dying.communicate("\n")
    assert -9 == dying.returncode
    assert () == store.interrupted()
    assert ["dying-0"] == [statement.read(entry.path / STATEMENT).run for entry in store.entries()]
    assert "00000001/checkpoint" not in keys_of(front, prefix)
    sealed(store, key)
    assert "00000001/checkpoint" in keys_of(front, prefix)
    store.fetch(1)
    assert ok(store.folder, key)


def test_a_claim_whose_answer_is_lost_has_sealed_and_is_not_sealed_twice(front: Front, store: S3Store, key: Path) -> None:
    with store.stage("run-1") as staging:
        (staging.folder / "who").write_text("run-1")
        front.lose = "00000001/statement.dsse.json"
        with pytest.raises(EvidenceError, match="s3:PutObject"):
            store.seal(staging, building("run-1"), signer.load(f"file:{key}"))
        front.calm()
        with pytest.raises(EvidenceError, match="run run-1 is sealed already, as entry 00000001"):
            store.seal(staging, building("run-1", "failed"), signer.load(f"file:{key}"))
    assert () == store.interrupted()
    assert ["reconcile"] == [statement.read(entry.path / STATEMENT).kind for entry in store.entries()]


def test_a_checkpoint_that_is_refused_is_put_there_by_the_next(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    front.denied = "PUT .*/checkpoint"
    assert 1 == sealed(store, key).sequence
    front.calm()
    sealed(store, key, "run-2")
    assert "00000001/checkpoint" in keys_of(front, prefix)
    assert ok(store.folder, key)


# --- strangers


def test_a_plain_delete_and_an_overwrite_are_noticed_and_the_locked_version_counts(
    front: Front, store: S3Store, key: Path, prefix: str
) -> None:
    for run in ("run-1", "run-2"):
        sealed(store, key, run)
    other = front.client()
    for name in ("00000002/statement.dsse.json", "00000001/statement.dsse.json", "files/run-1/results"):
        other.delete_object(Bucket=BUCKET, Key=f"{prefix}/{name}")
    other.put_object(Bucket=BUCKET, Key=f"{prefix}/files/run-2/results", Body=b"forged")
    other.put_object(Bucket=BUCKET, Key=f"{prefix}/00000001/checkpoint", Body=b"forged")
    other.put_object(Bucket=BUCKET, Key=f"{prefix}/notes.txt", Body=b"hello")
    said = {notice.key: notice.what for notice in store.notices()}
    assert {key: what.split(";")[0] for key, what in said.items()} == {
        "00000001/checkpoint": "was overwritten by somebody, 1 times",
        "00000001/statement.dsse.json": "was deleted by somebody",
        "00000002/statement.dsse.json": "was deleted by somebody",
        "files/run-1/results": "was deleted by somebody",
        "files/run-2/results": "was overwritten by somebody, 1 times",
        "notes.txt": "is not part of the evidence",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("countersign.entry.open_store", lambda _: store)
        tried = doctor._store(SimpleNamespace(evidence=SimpleNamespace(store=store.folder)))  # type: ignore[arg-type]  # all it reads
    assert (False, True) == (tried.ok, tried.detail.endswith("; and 5 more"))
    shutil.rmtree(store.folder)
    third = sealed(store, key, "run-3")
    assert 3 == third.sequence, "a place behind a delete marker stays taken"
    for number in (1, 2):
        store.fetch(number)
    assert ok(store.folder, key)


def test_a_place_claimed_behind_a_delete_marker_is_lost_to_the_first(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    sealed(store, key, "run-1")
    late = store.stage("run-3")
    meant = building("run-3")

    asked: list[int | None] = []

    def build(log: Log) -> Any:
        asked.append(log.sequence)
        if asked == [2, 2]:  # after the look, and before the claim
            sealed(store, key, "run-2")
            front.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/00000002/{STATEMENT}")
        return meant(log)

    with late:
        assert 3 == store.seal(late, build, signer.load(f"file:{key}")).sequence
    assert [2, 2, 3] == asked
    assert ["run-1", "run-2", "run-3"] == [statement.read(entry.path / STATEMENT).run for entry in store.entries()]
    assert ok(store.folder, key)


def test_an_entry_of_a_strangers_key_is_never_built_upon(front: Front, store: S3Store, key: Path, prefix: str, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    signer.keygen(stranger)
    theirs = S3Store(
        f"s3://{BUCKET}/{prefix}",
        tmp_path / "theirs",
        origin="northwind",
        endpoint=front.endpoint,
        keys=[key.with_name("evidence.pub.pem")],
    )
    sealed(theirs, stranger)
    with pytest.raises(EvidenceError, match=r"00000001/statement.dsse.json is not signed by a key of this programme"):
        sealed(store, key, "run-2")
    assert [] == list(store.folder.glob("0*"))


def test_another_bucket_is_not_mistaken_for_the_copys(front: Front, store: S3Store, key: Path, prefix: str) -> None:
    sealed(store, key)
    with pytest.raises(EvidenceError, match=r"entry 00000001 of the local copy .* is not in"):
        opened(front, f"{prefix}-other", key, store.folder).head()


def test_nothing_in_s3_is_asked_for_without_need(front: Front, store: S3Store, key: Path) -> None:
    for run in ("run-1", "run-2"):
        sealed(store, key, run)
    front.asked.clear()
    assert store.head() is not None
    assert 1 == len(front.asked)
