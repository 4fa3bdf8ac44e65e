"""A new programme folder loads, holds, overwrites nothing and is never half-written."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from countersign import programme
from countersign.errors import ConfigError
from countersign.evidence import signer
from countersign.expectation import expectations
from countersign.register.check import check
from countersign.scaffold import init

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_folder_loads_and_holds(tmp_path: Path) -> None:
    written = init(tmp_path / "deep" / "northwind", customer="northwind")

    folder = tmp_path / "deep" / "northwind"
    loaded = programme.load(folder)
    judged = {record.id for record in expectations()}
    assert check(loaded.register, date(2026, 11, 22), signer=loaded.evidence.signer, known_controls=judged) == ()
    assert (loaded.customer, set(loaded.register.controls)) == ("northwind", {"default", "contract-ended"})
    assert all(loaded.register.control(control) is not None for control in judged)
    signer.load(loaded.evidence.signer)
    assert (folder / "keys/evidence.pem").stat().st_mode & 0o777 == 0o600
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == list(written)
    assert [path.name for path in folder.parent.iterdir()] == ["northwind"]


def test_a_folder_in_use_is_filled_when_nothing_collides(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    init(tmp_path)
    assert programme.load(tmp_path).customer == "example"
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("taken", ["register", "countersign.yaml", ".gitignore", "keys"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).symlink_to("nowhere")  # not even a dangling link
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in init(tmp_path / "p")}
    with pytest.raises(ConfigError, match="already holds"):
        init(tmp_path / "p")
    assert {path: path.read_bytes() for path in (tmp_path / "p").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("customer", ["", "North Wind", "../x", "a: b", "$customer", "x" * 64])
def test_a_customer_id_cannot_write_yaml(tmp_path: Path, customer: str) -> None:
    with pytest.raises(ConfigError, match="id does not fit"):
        init(tmp_path / "p", customer=customer)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="there is a file of this name"):
        init(tmp_path / "p")
    with pytest.raises(ConfigError, match="cannot be written"):
        init(tmp_path / "p" / "q")
