from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from countersign import app_dir, scaffold
from countersign.expectation import Expectation, expectations
from countersign.facts import build, opened, register_tables
from countersign.inventory import collect
from countersign.programme import load
from countersign.shares import FAMILIES, family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.expectation import Value

ROOT = Path(__file__).parents[2]
CSF = json.loads(resources.files("countersign").joinpath("frameworks/csf-2.0.json").read_text(encoding="utf-8"))
COUNTED = {
    "owasp-nhi": (r"NHI(\d+):2025", {"": 10}),
    "soc2": (r"CC(\d)\.(\d)", {"1": 5, "2": 3, "3": 4, "4": 2, "5": 3, "6": 8, "7": 5, "8": 1, "9": 2}),
    "iso-27001": (r"A\.(\d)\.(\d+)", {"5": 37, "6": 8, "7": 14, "8": 34}),
    "pci-dss-4.0.1": (r"(\d+)(?:\.\d+){1,3}", {"": 12}),
    "dora": (r"(\d+)(?:\.\d+)?(?:\([a-z]+\))*", {"": 64}),
}
"""Framework to the shape of its ids and how many there are in each part (or in all): the texts are copyrighted, so only numbers."""

each = pytest.mark.parametrize("record", expectations(), ids=lambda record: record.id)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("empty")
    scaffold.init(folder / "programme")
    (folder / "work").mkdir()
    readings = collect((), folder / "work", folder / "inventory")
    build(
        folder / "facts.duckdb",
        folder / "inventory",
        register_tables(load(folder / "programme"), datetime(2026, 11, 22, tzinfo=UTC)),
        readings,
    )
    with opened(folder / "facts.duckdb") as db:
        return {name: kind for name, kind, *_ in db.execute("DESCRIBE facts").fetchall()}


def test_every_file_holds_the_record_it_is_named_after() -> None:
    files = {path.stem for path in (app_dir() / "expectations").glob("*.py")} - {"__init__"}
    assert {record.id.replace("-", "_") for record in expectations()} == files


@each
def test_the_examples_really_hold_and_break(record: Expectation) -> None:
    assert (False, True) == (breaks(record, record.example_held), breaks(record, record.example_broken))


@each
def test_the_examples_are_of_the_fact_that_is_judged_and_of_its_type(record: Expectation, columns: Mapping[str, str]) -> None:
    kinds = {bool: {"BOOLEAN"}, int: {"BIGINT", "DOUBLE", "HUGEINT"}, float: {"DOUBLE"}, str: {"VARCHAR"}}
    for example in (record.example_held, record.example_broken):
        assert [record.holds.column] == list(example)
        (value,) = example.values()
        assert columns[record.holds.column] in kinds[type(value)]
    assert columns[record.population] == "BOOLEAN"


@each
def test_all_facts_that_it_names_are_made(record: Expectation, columns: Mapping[str, str]) -> None:
    told = {text for text, is_fact in record.reason_parts() if is_fact}
    assert told | set(record.shows) | set(record.unknown_from) <= set(columns)
    assert all(name.endswith("_why") for name in record.unknown_from)


@each
def test_every_framework_id_exists(record: Expectation) -> None:
    assert [] == [problem for cited in record.maps_to if (problem := wrong(cited)) is not None]
    assert any(cited.startswith("csf-2.0:") for cited in record.maps_to)
    assert len(set(record.maps_to)) == len(record.maps_to)


@each
def test_it_has_a_family_and_a_page(record: Expectation) -> None:
    assert family(record.id) in FAMILIES, "name it in FAMILIES of countersign/shares.py"
    assert (ROOT / "docs" / "controls" / f"{record.id}.md").is_file(), "run: make docs"


@each
def test_its_words_are_sentences_for_people(record: Expectation) -> None:
    assert re.fullmatch(r"[A-Z].*[^.]", record.title), "a headline has no full stop"
    assert re.fullmatch(r"[A-Z].*\.", record.why)
    assert re.fullmatch(r"[A-Z].*\.", record.remedy)
    assert all(re.fullmatch(r"[`A-Z].*\.", told) for told in (record.before, record.after))


@pytest.mark.parametrize(
    ("cited", "problem"),
    [
        ("csf-2.0:PR.AA-01", None),
        ("csf-2.0:PR.AC-04", "csf-2.0:PR.AC-04 was withdrawn; cite PR.AA-05"),
        ("csf-2.0:PR.AC-4", "csf-2.0:PR.AC-4 was withdrawn; cite PR.AA-05"),
        ("csf-2.0:ID.AM-06", "csf-2.0:ID.AM-06 was withdrawn; cite GV.RR-02 or GV.SC-02"),
        ("csf-2.0:PR.AA-99", "csf-2.0:PR.AA-99 does not exist"),
        ("owasp-nhi:NHI11:2025", "owasp-nhi:NHI11:2025 does not exist"),
        ("owasp-nhi:NHI1", "owasp-nhi:NHI1 does not exist"),
        ("iso-27001:A.5.38", "iso-27001:A.5.38 does not exist"),
        ("soc2:CC6.9", "soc2:CC6.9 does not exist"),
        ("maestro:GOV-01", "maestro:GOV-01 is of no framework that is known here"),
    ],
)
def test_withdrawn_and_invented_ids_are_named(cited: str, problem: str | None) -> None:
    assert problem == wrong(cited)


def test_the_csf_table_is_whole() -> None:
    live = set(CSF["live"])
    assert 106 == len(live) == len(CSF["live"])
    assert not live & set(CSF["withdrawn"])
    categories = {name.partition("-")[0] for name in live}
    assert {successor for successors in CSF["withdrawn"].values() for successor in successors} <= live | categories


def breaks(record: Expectation, example: Mapping[str, Value]) -> bool:
    names = ", ".join(f'? AS "{name}"' for name in example)
    row = duckdb.execute(f"SELECT {record.holds.breaks()} FROM (SELECT {names})", list(example.values())).fetchone()  # noqa: S608 our own records
    assert row is not None
    return bool(row[0])


def wrong(cited: str) -> str | None:
    framework, _, name = cited.partition(":")
    if framework == "csf-2.0":
        written = re.sub(r"-(\d)$", r"-0\1", name)  # as CSF 1.1 wrote them
        if written in CSF["withdrawn"]:
            return f"{cited} was withdrawn; cite {' or '.join(CSF['withdrawn'][written])}"
        return None if name in CSF["live"] else f"{cited} does not exist"
    if framework not in COUNTED:
        return f"{cited} is of no framework that is known here"
    shape, counts = COUNTED[framework]
    found = re.fullmatch(shape, name)
    if found is None:
        return f"{cited} does not exist"
    part, number = found.groups() if len(found.groups()) == 2 else ("", found[1])
    return None if 1 <= int(number) <= counts.get(part, 0) else f"{cited} does not exist"
