"""Tables under pseudonyms: no field of any table gets through, what stays can be read, and the same name is the same everywhere."""

# ruff: noqa: S608 - SQL of the test's own

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import stat
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import EvidenceError
from countersign.expectation import expectations
from countersign.export.pseudonyms import Pseudonyms, load_key
from countersign.period.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))
NAMES = Pseudonyms(KEY)


def one(kind: str, value: str) -> str:
    return "h1:" + hmac.new(KEY, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()


def filled(file: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    with duckdb.connect(str(file)) as db:
        for table, columns in TABLES.items():
            db.execute(f"CREATE TABLE {table} ({columns}\n)")
            for row in rows.get(table, []):
                names = ", ".join(row)
                db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' for _ in row)})", list(row.values()))
    return file


def outside(
    tmp_path: Path, rows: dict[str, list[dict[str, Any]]], *, seed: str = "s", size: int = 2
) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Return the tables as they leave, and the reveal table."""
    names, target = Pseudonyms(KEY), tmp_path / "outside.duckdb"
    names.write(filled(tmp_path / "inside.duckdb", rows), target, seed=seed, sample_size=size)
    reveal = io.BytesIO()
    names.reveal(target, reveal)
    with duckdb.connect(str(target), read_only=True) as db:
        found = {}
        for table in TABLES:
            cursor = db.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in cursor.description or ()]
            found[table] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found, reveal.getvalue().decode()


def test_no_field_of_any_table_gets_through(tmp_path: Path) -> None:
    rows: dict[str, list[dict[str, Any]]] = {}
    with duckdb.connect() as db:
        for table, columns in TABLES.items():
            db.execute(f"CREATE TABLE {table} ({columns}\n)")
            shape = {row[0]: row[1] for row in db.execute(f"DESCRIBE {table}").fetchall()}
            rows[table] = [{
                column: f"marker-{table}-{column}" if kind == "VARCHAR" else [f"marker-{table}-{column}", "aws"] for column, kind in shape.items() if "VARCHAR" in kind
            } for _ in range(2)]  # fmt: skip
    found, reveal = outside(tmp_path, rows)
    assert "marker" not in repr(found)
    assert {len(rows[table]) for table in rows if table != "samples"} == {len(found[table]) for table in found if table != "samples"}
    # and whoever holds the reveal table gets all of it back, word by word where it was a sentence
    revealed = {row["value"] for row in csv.DictReader(io.StringIO(reveal, newline=""))}
    planted = {
        value
        for table in rows
        if table != "samples"
        for row in rows[table]
        for cell in row.values()
        for value in ([cell] if isinstance(cell, str) else cell)
    }
    assert planted - revealed <= {"aws"}


def test_what_is_ours_stays_and_a_name_is_the_same_everywhere(tmp_path: Path) -> None:
    subject, record = "aws:444455556666:user/bob", next(each for each in expectations() if each.id == "rotation-age")
    found, reveal = outside(tmp_path, {
        "partners": [{"partner": "acme", "name": "Access Keys Ltd", "retention": "P7Y"}],
        "people": [{"person": "maria", "name": "Maria O'Key", "party": "acme", "active": True}],
        "controls": [{"control": record.id, "title": record.title, "severity": "high", "maps_to": list(record.maps_to), "accountable": "maria", "failed": 3}],
        "spells": [{
            "subject": subject, "identity": subject, "identity_name": "bob", "partner": "acme", "state": "open", "provider": "aws",
            "reason": f"created 2026-05-05, 200 days ago; limit 90 days; {subject} of Access Keys Ltd (acme), told by bob's owner maria, not by Eve",
        }],
        "exceptions": [{
            "exception": "EX-1", "reason": "the key is there", "state": "requested", "in_force": True,
            "refused_first": 'approved_by: "maria" approved an exception that they requested',
        }],
        "nights": [{"failed_sequences": [3, 4]}],
        "accountability": [{"control": record.id, "step": "rotate", "responsible": "acme, maria", "accountable": "maria"}],
        "runs": [{"run": "20261121T020000Z-5ed304", "slot": "acme's own", "limited_to": ["aws", "vault"], "statement_digest": f"sha256:{'ab' * 32}"}],
    })  # fmt: skip
    (spell,), (control,), (exception,) = found["spells"], found["controls"], found["exceptions"]
    assert (one("subject", subject), one("subject", subject), one("name", "bob")) == (
        spell["subject"],
        spell["identity"],
        spell["identity_name"],
    )
    assert (
        f"created 2026-05-05, 200 days ago; limit 90 days; {one('subject', subject)} of {one('name', 'Access Keys Ltd')} ({one('partner', 'acme')}), "
        f"told by {one('name', 'bob')}'s owner {one('person', 'maria')}, not by {one('word', 'Eve')}"
    ) == spell["reason"]
    assert (record.id, record.title, "high", list(record.maps_to), one("person", "maria"), 3) == tuple(
        control[name] for name in ("control", "title", "severity", "maps_to", "accountable", "failed")
    )
    assert (one("text", "the key is there"), "requested", True) == (exception["reason"], exception["state"], exception["in_force"])
    assert f'approved_by: "{one("person", "maria")}" approved an exception that they requested' == exception["refused_first"]
    assert [3, 4] == found["nights"][0]["failed_sequences"]
    assert f"{one('partner', 'acme')}, {one('person', 'maria')}" == found["accountability"][0]["responsible"]
    run = found["runs"][0]
    assert ("20261121T020000Z-5ed304", one("text", "acme's own"), [one("source", "aws"), one("source", "vault")]) == (
        run["run"],
        run["slot"],
        run["limited_to"],
    )
    assert {"subject", "name", "partner", "person", "exception", "word", "text", "source"} == {
        row["kind"] for row in csv.DictReader(io.StringIO(reveal))
    }


def test_samples_are_drawn_from_the_pseudonyms_so_that_the_reader_can_draw_them(tmp_path: Path) -> None:
    people = [
        {"control": "inactive", "subject": f"aws:1:user/{number}", "identity_name": str(number), "verdict": "pass"} for number in range(9)
    ]
    found, _ = outside(tmp_path, {"populations": people}, seed="theirs", size=4)
    drawn = sorted(
        (hashlib.sha256(f"{row['subject']}inactivetheirs".encode()).hexdigest(), row["subject"]) for row in found["populations"]
    )[:4]
    assert [(place + 1, *each, 9) for place, each in enumerate(drawn)] == [
        (row["place"], row["draw"], row["subject"], row["population"]) for row in sorted(found["samples"], key=lambda row: row["place"])
    ]


@given(st.text(), st.text(alphabet=st.characters(categories=("Lu", "Ll", "Lo", "Nd")), min_size=7))
def test_a_word_that_is_not_ours_never_stays(around: str, name: str) -> None:
    unknown = f"{name}\N{CYRILLIC SMALL LETTER ZHE}q"
    assert unknown not in NAMES.sentence(f"{around} {unknown} {around}")
    assert unknown not in NAMES.words(f"{around} {unknown}.{around}")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "p.key"
    first = load_key(f"file:{path}")
    assert (first, 32, 0o600) == (load_key(f"file:{path}"), len(first), stat.S_IMODE(path.stat().st_mode))
    path.write_text("short")
    with pytest.raises(EvidenceError, match="64 hex digits"):
        load_key(f"file:{path}")
    path.chmod(0o640)
    with pytest.raises(EvidenceError, match="other accounts"):
        load_key(f"file:{path}")
