"""A change of keys: sealed by the old key, in force from the next entry on, and never half done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from countersign import entry, rotation, scaffold
from countersign.cli import answer
from countersign.errors import EvidenceError
from countersign.evidence import signer, statement
from countersign.evidence.permissions import transit_policy
from countersign.evidence.verify import STATEMENT, read_envelope, verify
from countersign.programme import FILE, load
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.evidence.store import Sealed

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NEW = "file:keys/next.pem"


def clock() -> datetime:
    return NOW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "programme"
    scaffold.init(target)
    signer.keygen(target / "keys" / "next.pem")
    return target


def an_entry(folder: Path) -> Sealed:
    return entry.seal(load(folder), "failed", {}, {"state": "failed", "error": "a test"}, clock=clock)


def keyid(folder: Path, name: str) -> str:
    return signer.load(f"file:{folder}/keys/{name}.pem").public_key.keyid


def signed_by(folder: Path) -> list[str]:
    return [read_envelope(each / STATEMENT).signatures[0][0] for each in sorted((folder / "evidence").glob("0*"))]


def test_the_old_key_names_the_new_one_which_signs_from_then_on(folder: Path) -> None:
    an_entry(folder)
    before = (folder / FILE).read_text(encoding="utf-8")
    done = rotation.rotate(load(folder), NEW, clock=clock)
    after = an_entry(folder)

    old, new = keyid(folder, "evidence"), keyid(folder, "next")
    assert (old, new, True, folder / "keys" / "next.pub.pem") == (done.old, done.new, done.written, done.public)
    assert done.sealed is not None
    said = statement.read(done.sealed.path / STATEMENT)
    assert ("key-change", {"keyid": new, "pem": done.public.read_text()}) == (said.kind, said.predicate["newKey"])
    assert done.public.read_bytes() == (done.sealed.path / f"{new}.pub.pem").read_bytes()
    assert [old, old, new] == signed_by(folder)
    assert 3 == after.sequence
    # Nothing else of the settings has changed.
    assert before.replace('"file:keys/evidence.pem"', f'"{NEW}"') == (folder / FILE).read_text(encoding="utf-8")
    both = sorted((folder / "keys").glob("*.pub.pem"))
    assert () == verify(folder / "evidence", both).problems
    assert not verify(folder / "evidence", both[:1]).ok


def test_the_old_key_signs_nothing_more_whatever_the_setting_says(folder: Path) -> None:
    before = (folder / FILE).read_bytes()
    rotation.rotate(load(folder), NEW, clock=clock)
    (folder / FILE).write_bytes(before)
    with pytest.raises(EvidenceError, match=r"may not sign entry 2: .* signs this ledger"):
        an_entry(folder)
    assert 1 == len(signed_by(folder))
    # The change, started again, finishes, and seals nothing twice.
    again = rotation.rotate(load(folder), NEW, clock=clock)
    assert (None, True) == (again.sealed, again.written)
    assert 2 == an_entry(folder).sequence


def test_a_key_that_nobody_named_signs_nothing(folder: Path) -> None:
    an_entry(folder)
    settings = folder / FILE
    settings.write_text(settings.read_text(encoding="utf-8").replace('"file:keys/evidence.pem"', f'"{NEW}"'), encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"may not sign entry 2: .* signs this ledger"):
        an_entry(folder)
    assert 1 == len(signed_by(folder))


def test_what_cannot_be_the_new_key_is_refused_and_nothing_is_sealed(folder: Path) -> None:
    for to, said in (
        ("file:keys/evidence.pem", "is the key that signs already"),
        ("file:keys/none.pem", "could not be read"),
        ("sftp:x", "there is no signer"),
    ):
        with pytest.raises(EvidenceError, match=said):
            rotation.rotate(load(folder), to, clock=clock)
    assert [] == signed_by(folder)
    rotation.rotate(load(folder), NEW, clock=clock)
    with pytest.raises(EvidenceError, match="was replaced before"):
        rotation.rotate(load(folder), "file:keys/evidence.pem", clock=clock)
    assert 1 == len(signed_by(folder))


def test_a_vault_where_a_partner_has_identities_cannot_hold_the_new_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SandboxVault() as bao:
        bao.enable_engine("transit")
        transit = bao.client().secrets.transit
        transit.create_key("evidence", key_type="ed25519")
        monkeypatch.setenv("VAULT_ADDR", bao.address)
        monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(transit_policy("evidence")))
        with pytest.raises(EvidenceError, match='where workload "nightly-backup" of a partner has identities'):
            rotation.rotate(load(folder), "hv:evidence", clock=clock)
        workload = folder / "register" / "workloads" / "nightly-backup.yaml"
        workload.write_text(workload.read_text(encoding="utf-8").replace(', "vault:vault:approle/nightly-backup"', ""), encoding="utf-8")

        rotation.rotate(load(folder), "hv:evidence/1", clock=clock)
        transit.rotate_key("evidence")
        an_entry(folder)
        rotation.rotate(load(folder), "hv:evidence/2", clock=clock)
        an_entry(folder)
    first, second, third = dict.fromkeys(signed_by(folder))
    assert [first, second, second, third] == signed_by(folder)
    keys = sorted((folder / "keys").glob("*.pub.pem"))
    assert {f"{second[:16]}.pub.pem", f"{third[:16]}.pub.pem"} < {path.name for path in keys}
    assert () == verify(folder / "evidence", keys).problems


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("  signer: file:keys/evidence.pem  # ours", f'  signer: "{NEW}"  # ours'),
        ("  signer: 'file:keys/evidence.pem'", f'  signer: "{NEW}"'),
        ("  signer: >-\n    file:keys/evidence.pem", None),
        ("  signer: file:keys/evidence.pem  # was file:keys/evidence.pem", None),
    ],
)
def test_a_line_that_is_not_plain_is_left_to_a_person(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str, becomes: str | None
) -> None:
    text = (folder / FILE).read_text(encoding="utf-8")
    there = next(each for each in text.splitlines() if each.startswith("evidence:"))
    mine = text.replace(there, f"evidence:\n  store: evidence/\n{line}")
    (folder / FILE).write_text(mine, encoding="utf-8")
    code = answer(["keys", "rotate", "--to", NEW, "-p", str(folder), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (0 if becomes else 1, becomes is not None) == (code, said["written"])
    assert mine.replace(line, becomes or line) == (folder / FILE).read_text(encoding="utf-8")


def test_the_public_half_is_printed_and_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == answer(["keys", "public", "-p", str(folder)])
    pem = (folder / "keys" / "evidence.pub.pem").read_text()
    assert pem == capsys.readouterr().out
    assert 0 == answer(["keys", "public", NEW, "-o", "keys/copy.pub.pem", "-p", str(folder), "--json"])
    assert keyid(folder, "next") == json.loads(capsys.readouterr().out)["keyid"]
    assert (folder / "keys" / "next.pub.pem").read_text() == (folder / "keys" / "copy.pub.pem").read_text()
    assert 4 == answer(["keys", "public", "-o", "keys/next.pub.pem", "-p", str(folder)])
    assert "exists already and is another key" in capsys.readouterr().err
