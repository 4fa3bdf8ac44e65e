"""The auditor's bundle, made from a few sealed nights: the same bytes each time, tables that agree, and nothing that should be withheld."""

# ruff: noqa: S608 - SQL of the test's own

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countersign import rotation, scaffold
from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import BUNDLE, BUNDLE_TYPE, STATEMENT, ZipEntry, read_envelope, verify, zip_local
from countersign.export import Exported, NotAPeriodError, Wanted, bundle, export, tables
from countersign.period import NoSuchPeriodError
from countersign.period.tables import TABLES
from countersign.programme import load
from countersign.reconciliation import reconcile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIRST, LAST = date(2026, 11, 18), date(2026, 11, 21)
NIGHTS = (18, 20, 21)
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
MARK, OTHER = "zzq", "zzqbeta"
"""Every name in the estate begins with the first; one partner's with the second."""
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
USERS = {"zzqalpha-backup": 200, "zzqalpha-sync": 10, "zzqbeta-deploy": 300, "=zzqown+1": 150, "zzqown-job": 5}


def user(name: str, age: int) -> str:
    created, rotated = (datetime(2026, 11, 1, tzinfo=UTC) - timedelta(days=days) for days in (900, age))
    key = f"true,{rotated.isoformat()},N/A,N/A,N/A,false,N/A,N/A,N/A,N/A"
    return f"{name},arn:aws:iam::111111111111:user/{name},{created.isoformat()},false,N/A,N/A,N/A,false,{key},false,N/A,false,N/A"


def register(folder: Path) -> None:
    """Put partners and people with marked names into the programme's register."""
    for path in folder.rglob("*.yaml"):
        text = path.read_text()
        for old, new in {
            "business-owner": "zzqmaria", "technical-owner": "zzqdevika", "duty-manager": "zzqsam", "example-partner": "zzqalpha", "Ada Example": "Zzq Ada Quux",
            "Ben Example": "zzqBen The Key", "Cleo Example": "zzqCleo", "@example.example": "@zzqmail.example", "soc": "zzqsoc",
        }.items():  # fmt: skip
            text = text.replace(old, new)
        path.write_text(text)
    partners, exceptions = folder / "register" / "partners", folder / "register" / "exceptions"
    (partners / "example-partner.yaml").unlink()
    for name in ("zzqalpha", "zzqbeta"):
        (partners / f"{name}.yaml").write_text(
            f"partner: {{id: {name}, name: {name} Managed Services}}\n"
            "contract: {reference: zzq-1, starts: 2025-02-20, ends: 2028-01-26, evidence_retention: P7Y, notify_within: PT24H, direct_evidence_access: true}\n"
            f"contacts: {{escalation: [ops@{name}.example], security: soc@{name}.example}}\n"
            f"footprint: {{name_patterns: ['{name}-*'], tags: {{partner: {name}}}}}\n"
        )
    (exceptions / "EX-0001.yaml").write_text(
        "{exception: EX-0001, control: rotation-age, subject: 'aws:111111111111:access-key/zzqbeta-deploy/1', reason: zzqbeta moves in winter., "
        "compensating_control: zzqwatch looks., exit_criteria: zzqdone is done., requested_by: zzqdevika, approved_by: zzqmaria, "
        "approved_on: 2026-11-10, expires: 2027-01-10}\n"
    )


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights out of four, the first of them partial."""
    folder = tmp_path_factory.mktemp("sealed") / "programme"
    scaffold.init(folder)
    register(folder)
    config = folder / "countersign.yaml"
    config.write_text(config.read_text().replace("evidence: {", 'evidence: {pseudonyms: "file:keys/pseudonyms.key", '))
    assert "pseudonyms" in config.read_text()
    (folder / "exports" / "zzqaccount.csv").write_text("\n".join((HEADER, *(user(*each) for each in USERS.items()))) + "\n")
    for night in NIGHTS:
        broken = folder / "exports" / "zzqbroken.csv"
        broken.write_text("user,arn\nzzq\n") if night == 18 else broken.unlink(missing_ok=True)
        reconcile(load(folder), datetime(2026, 11, night, 2, tzinfo=UTC))
    return folder


def made(folder: Path, output: Path, **wanted: object) -> Exported:
    asked = Wanted(**{"first": FIRST, "last": LAST, "output": output, "samples": 3} | wanted)  # type: ignore[arg-type]
    return export(load(folder), asked, now=lambda: NOW)


@pytest.fixture(scope="module")
def whole(programme: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return made(programme, tmp_path_factory.mktemp("whole") / "whole.zip")


def files(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as held:
        return {name: held.read(name) for name in held.namelist()}


def deep(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte that a bundle holds, and what is packed in what it holds."""
    yield "the ZIP itself", path.read_bytes()
    for name, content in files(path).items():
        yield name, content
        if name.endswith(".xlsx"):
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                yield from ((f"{name}/{each}", inner.read(each)) for each in inner.namelist())
        elif name.endswith(".parquet"):
            place = path.with_suffix(".parquet")
            place.write_bytes(content)
            yield f"{name} read", repr(duckdb.sql(f"SELECT * FROM '{place}'").fetchall()).encode()
        elif name.endswith(".dsse.json"):
            place = path.with_suffix(".json")
            place.write_bytes(content)
            yield f"{name} payload", read_envelope(place).payload


def said(path: Path) -> Mapping[str, object]:
    content = files(path)[BUNDLE]
    place = path.with_suffix(".dsse")
    place.write_bytes(content)
    return json.loads(read_envelope(place).payload)  # type: ignore[no-any-return]


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_the_bundle_verifies_and_says_what_it_is(programme: Path, whole: Exported) -> None:
    report = verify(whole.path, [programme / "keys" / "evidence.pub.pem"])
    assert report.problems == ()
    body = said(whole.path)
    predicate: dict[str, object] = body["predicate"]  # type: ignore[assignment]
    held = files(whole.path)
    assert BUNDLE_TYPE == body["predicateType"]
    assert {name: hashlib.sha256(content).hexdigest() for name, content in held.items() if name != BUNDLE} == {
        each["name"]: each["digest"]["sha256"]
        for each in body["subject"]  # type: ignore[attr-defined]
    }
    assert sorted(held) == list(held)
    assert {
        "expected": 4, "complete": 2, "partial": 1, "stopped": 0, "failed": 0, "missing": ["2026-11-19"],
    } == predicate["nights"]  # fmt: skip
    assert ("2026-11-21T02:00:00Z", {"from": "2026-11-18", "to": "2026-11-21"}) == (predicate["asOf"], predicate["period"])
    assert set(TABLES) == set(predicate["counts"])  # type: ignore[call-overload]
    assert {
        "AuditInfo.txt",
        "VERIFY.txt",
        "verify.py",
        "index.html",
        "workbook.xlsx",
        "populations/populations.parquet",
        "ledger/leaves.txt",
    } <= set(held)
    assert whole.exit_code == 3


def test_made_again_it_is_the_same_bytes_from_another_place_zone_and_hash_seed(programme: Path, whole: Exported, tmp_path: Path) -> None:
    copy = tmp_path / "moved" / "elsewhere"
    shutil.copytree(programme, copy)
    words = (
        sys.executable,
        "-m",
        "countersign",
        "export",
        "--from",
        str(FIRST),
        "--to",
        str(LAST),
        "--samples",
        "3",
        "-p",
        str(copy),
        "-o",
    )
    env = os.environ | {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONPATH": str(Path(__file__).parents[2])}
    env.pop("PREFECT_API_URL", None)
    done = subprocess.run([*words, str(tmp_path / "again.zip")], env=env, capture_output=True, text=True, check=False)
    assert (3, whole.path.read_bytes()) == (done.returncode, (tmp_path / "again.zip").read_bytes()), done.stderr
    assert "1 missing" in done.stdout
    # its own first entry in the ledger changed nothing
    assert whole.path.read_bytes() == made(programme, tmp_path / "third.zip").path.read_bytes()


def test_every_export_is_on_file(programme: Path, whole: Exported) -> None:
    entry = statement.read(programme / "evidence" / whole.entry / STATEMENT)
    assert ("export", whole.said["bundle"]) == (entry.kind, entry.predicate["bundle"])
    assert f"sha256:{hashlib.sha256(whole.path.read_bytes()).hexdigest()}" == whole.digest
    assert files(whole.path)[BUNDLE] == (programme / "evidence" / whole.entry / BUNDLE).read_bytes()
    assert verify(programme / "evidence", [programme / "keys" / "evidence.pub.pem"]).ok


def test_csv_and_parquet_say_the_same_and_no_cell_is_a_formula(whole: Exported, tmp_path: Path) -> None:
    held = files(whole.path)
    (tmp_path / "p.parquet").write_bytes(held["populations/populations.parquet"])
    typed = duckdb.sql(f"SELECT control, subject, identity_name, nights, first_seen FROM '{tmp_path}/p.parquet' ORDER BY ALL").fetchall()
    found = [row for name in held if name.startswith("populations/") and name.endswith(".csv") for row in rows(held[name])]
    assert [
        (control, subject, name, nights, f"{seen.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}") for control, subject, name, nights, seen in typed
    ] == sorted(
        (row["control"], plain(row["subject"]), plain(row["identity_name"]), int(row["nights"]), row["first_seen"]) for row in found
    )
    assert "'=zzqown+1" in {row["identity_name"] for row in found}
    assert not [
        cell
        for name, content in held.items()
        if name.endswith(".csv")
        for row in rows(content)
        for cell in row.values()
        if cell[:1] in set("=+-@\t\r")
    ]


def plain(cell: str) -> str | None:
    return cell.removeprefix("'") or None


def test_anybody_draws_the_sample_again_with_the_line_in_audit_info(whole: Exported, tmp_path: Path) -> None:
    with zipfile.ZipFile(whole.path) as held:
        held.extractall(tmp_path)
    (line,) = [line for line in (tmp_path / "AuditInfo.txt").read_text().splitlines() if line.startswith("python3 -c")]
    drawn = subprocess.run(
        ["sh", "-c", line.replace("python3", sys.executable, 1)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    control = line.split()[-3]
    ours = [row for row in rows((tmp_path / "samples" / "samples.csv").read_bytes()) if row["control"] == control]
    assert [str((row["draw"], plain(row["subject"]))) for row in ours] == drawn.splitlines()
    assert ours


def test_a_pseudonymised_bundle_holds_no_name_in_any_byte(programme: Path, tmp_path: Path) -> None:
    done = made(programme, tmp_path / "outside.zip", pseudonymised=True)
    marks = (MARK.encode(), b"Quux", b"111111111111", b"EX-0001", b"The Key")
    assert [] == [name for name, content in deep(done.path) if any(mark in content or mark.title() in content for mark in marks)]
    assert verify(done.path, [programme / "keys" / "evidence.pub.pem"]).problems == ()
    assert (0o600, 0o600) == tuple(
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "outside.reveal.csv", programme / "keys" / "pseudonyms.key")
    )
    revealed = {row["pseudonym"]: row["value"] for row in rows((tmp_path / "outside.reveal.csv").read_bytes())}
    shown = {row["identity_name"] for row in rows(files(done.path)["populations/rotation-age.csv"])}
    assert set(USERS) == {plain(revealed[name]) for name in shown}


def test_a_bundle_for_one_partner_holds_nothing_of_another(programme: Path, tmp_path: Path) -> None:
    done = made(programme, tmp_path / "alpha.zip", partner="zzqalpha")
    hidden = (OTHER.encode(), b"zzqaccount", b"zzqbroken")  # the customer's own files are not the partner's business either
    assert [] == [name for name, content in deep(done.path) if any(word in content for word in hidden)]
    assert {"file:(withheld 1)"} == {row["operation"] for row in rows(files(done.path)["completeness/operations.csv"])}
    assert verify(done.path, [programme / "keys" / "evidence.pub.pem"]).problems == ()
    assert {"zzqalpha-backup", "zzqalpha-sync"} == {row["identity_name"] for row in rows(files(done.path)["populations/rotation-age.csv"])}
    assert not [name for name in files(done.path) if name.startswith("ledger/0")]


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"last": date(2026, 11, 23)}, NotAPeriodError, "yet to come"),
        ({"first": date(2026, 11, 22), "last": FIRST}, NotAPeriodError, "end before"),
        ({"first": date(2025, 1, 1), "last": date(2025, 2, 1)}, NoSuchPeriodError, "nothing was sealed"),
        ({"partner": "nobody"}, EvidenceError, "knows no partner"),
        ({"samples": 0}, NotAPeriodError, "cannot be drawn"),
        ({"seed": "a\x1b[31m"}, NotAPeriodError, "seed"),
        ({"output": Path("/nowhere/at/all.zip")}, NotAPeriodError, "lies in none"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    programme: Path, tmp_path: Path, wanted: dict[str, object], error: type[Exception], message: str
) -> None:
    before = sorted((programme / "evidence").iterdir())
    with pytest.raises(error, match=message) as raised:
        made(programme, **{"output": tmp_path / "x.zip"} | wanted)  # type: ignore[arg-type]
    assert (2, [], before) == (raised.value.exit_code, list(tmp_path.iterdir()), sorted((programme / "evidence").iterdir()))  # type: ignore[attr-defined]


def test_a_file_that_is_there_stays_unless_force(programme: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.zip"
    target.write_text("mine")
    with pytest.raises(NotAPeriodError, match="exists already"):
        made(programme, target)
    assert target.read_text() == "mine"
    made(programme, target, force=True)
    assert zipfile.is_zipfile(target)
    assert [target.name] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("00000001/tickets.json", "not the file that was signed"),
        ("00000002/register.json", "not the file that was signed"),
        ("00000001/checkpoint", "checkpoint"),
    ],
)
def test_a_changed_file_of_a_run_ends_the_export(programme: Path, tmp_path: Path, name: str, why: str) -> None:
    copy = tmp_path / "programme"
    shutil.copytree(programme, copy)
    changed = copy / "evidence" / name
    changed.chmod(0o644)
    content = bytearray(changed.read_bytes())
    content[-4] ^= 1
    changed.write_bytes(content)
    with pytest.raises(EvidenceError, match=why):
        made(copy, tmp_path / "x.zip")
    assert [copy] == list(tmp_path.iterdir())


def test_a_key_that_others_can_read_makes_no_pseudonyms(programme: Path, tmp_path: Path) -> None:
    copy = tmp_path / "programme"
    shutil.copytree(programme, copy)
    key = copy / "keys" / "pseudonyms.key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    with pytest.raises(EvidenceError, match="other accounts"):
        made(copy, tmp_path / "x.zip", pseudonymised=True)


def test_with_a_signature_that_differs_each_time_the_same_bundle_has_the_envelope_of_the_first(programme: Path, tmp_path: Path) -> None:
    copy = tmp_path / "programme"
    shutil.copytree(programme, copy)
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = copy / "keys" / "p256.pem", copy / "keys" / "p256.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    rotation.rotate(load(copy), "file:keys/p256.pem", clock=lambda: NOW)
    first, second = (made(copy, tmp_path / f"{name}.zip").path.read_bytes() for name in ("first", "second"))
    assert first == second
    assert 2 == sum(name.startswith("keys/") for name in files(tmp_path / "first.zip"))
    assert verify(tmp_path / "first.zip", sorted((copy / "keys").glob("*.pub.pem"))).ok


def test_the_zip_is_of_the_one_form_that_the_check_rebuilds(tmp_path: Path) -> None:
    spool = bundle.Spool(tmp_path)
    spool.add("b/x.txt", b"x" * 3_000_000)
    spool.add("a.txt", b"")
    out = io.BytesIO()
    digest, size = spool.write(out, b"{}")
    content = out.getvalue()
    assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (digest, size)
    with zipfile.ZipFile(io.BytesIO(content)) as held:
        assert (["a.txt", "b/x.txt", BUNDLE], None) == (held.namelist(), held.testzip())
        first = held.infolist()[0]
        assert content.startswith(zip_local(ZipEntry("a.txt", 8, 0, first.compress_size, 0, 0)))
        assert b"x" * 3_000_000 == held.read("b/x.txt")


@pytest.mark.parametrize("name", ["a.txt", "../a", "/a", "ä.txt", "a//b", "a\\b"])
def test_a_file_that_no_zip_should_hold_is_refused(tmp_path: Path, name: str) -> None:
    spool = bundle.Spool(tmp_path)
    spool.add("a.txt", b"")
    with pytest.raises(EvidenceError):
        spool.add(name, b"")


def test_cells_are_rfc_4180_with_nothing_and_empty_told_apart(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "t.db")) as db:
        db.execute("CREATE TABLE t (a VARCHAR, b BIGINT, c TIMESTAMP, d BOOLEAN, e VARCHAR[])")
        values = [None, "", "x,y", 'say "no"', "two\r\nlines", "=1+1", "'=1", "\t", "-5", "@SUM(A1)"]
        db.executemany(
            "INSERT INTO t VALUES (?, -5, TIMESTAMP '2026-01-02 03:04:05.6', TRUE, ['a', 'b,\"c'])", [[value] for value in values]
        )
        db.execute("INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL)")
    out = io.BytesIO()
    with tables.opened(tmp_path / "t.db") as db:
        assert len(values) + 1 == tables.write_csv(db, out, "t")
    body = out.getvalue().decode()
    rest = '-5,2026-01-02T03:04:05.600000Z,true,"[""a"",""b,\\""c""]"\r\n'
    assert body.startswith(f'a,b,c,d,e\r\n,,,,\r\n,{rest}"",{rest}\'\t,{rest}')
    assert [text if text is None or text[:1] not in tables.FORMULA else f"'{text}" for text in sorted(filter(None, values))] == [
        row["a"] for row in rows(out.getvalue()) if row["a"]
    ]
