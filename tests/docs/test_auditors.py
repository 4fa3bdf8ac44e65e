"""docs/auditors.md holds on a real bundle: its lines work, its tables name every file and columns that there are."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from countersign.evidence import verify
from countersign.export.audit_info import redraw
from tests.countersign.test_oscal import wrong
from tests.docs import auditors_page as page


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page.make(tmp_path_factory.mktemp("auditors"))


@pytest.fixture(scope="module")
def bundle(hand: Path) -> Path:
    """The unpacked bundle, by the page's first lines."""
    done = page.typed(page.blocks()[0], hand)
    digest = hashlib.sha256(Path(verify.__file__).read_bytes()).hexdigest()
    assert (0, f"{digest}  bundle/verify.py\n") == (done.returncode, done.stdout), done.stderr
    return hand / "bundle"


def block(word: str) -> str:
    (found,) = (each for each in page.blocks() if word in each)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_lines_that_check_it_say_that_it_holds_and_find_a_change(hand: Path, bundle: Path) -> None:
    lines = block("cp bundle/verify.py")
    done = page.typed(lines, hand)
    assert (0, "The evidence holds.") == (done.returncode, done.stdout.splitlines()[-1]), done.stdout + done.stderr
    assert bundle.is_dir()
    whole = (hand / "bundle.zip").read_bytes()
    (hand / "bundle.zip").write_bytes(whole.replace(b"exceptions/exceptions.csv", b"exceptions/exceptionz.csv"))
    changed = page.typed(lines, hand)
    (hand / "bundle.zip").write_bytes(whole)
    assert 1 == changed.returncode


def test_the_checkpoint_of_the_quarter_before_is_held_against_it(hand: Path, bundle: Path) -> None:
    assert (bundle / "verify.py").is_file()
    kept = page.typed(block("checkpoint-2026-q3"), hand)
    assert (0, (bundle / "ledger" / "checkpoint").read_bytes()) == (kept.returncode, (hand / "checkpoint-2026-q3").read_bytes())
    done = page.typed("cp bundle/verify.py .\n" + block("--checkpoint"), hand)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert re.search(r"^checkpoints +pass .*the first 1 statements are those of your checkpoint", done.stdout, re.MULTILINE), done.stdout


def test_the_line_that_redraws_a_sample_draws_what_the_bundle_drew(hand: Path, bundle: Path) -> None:
    lines = block("cd bundle\npython3")
    assert redraw("rotation-age", "auditor-2026-q3", 25) == lines.splitlines()[1]
    done = page.typed(lines, hand)
    drawn = [(row["draw"], row["subject"]) for row in rows(bundle / "samples" / "samples.csv") if row["control"] == "rotation-age"]
    assert 25 == len(drawn)
    assert (0, drawn) == (done.returncode, [tuple(line.strip("()").replace("'", "").split(", ")) for line in done.stdout.splitlines()])


def test_the_page_tells_of_every_file(hand: Path) -> None:
    with zipfile.ZipFile(hand / "bundle.zip") as held:
        there = {name.split("/")[0] + ("/" if "/" in name else "") for name in held.namelist()}
    text = page.PAGE.read_text(encoding="utf-8")
    part = text[text.index("## What is in the bundle") : text.index("## Where to look")]
    told = {name for line in part.splitlines() if line.startswith("| `") for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert there == told


def test_the_tables_and_columns_that_answer_a_question_exist(bundle: Path) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    part = text[text.index("## Where to look") : text.index("## How to read it")]
    asked = [line.split("|")[2:4] for line in part.splitlines() if "`" in line and line.startswith("|")]
    assert 11 == len(asked)
    for file, columns in asked:
        with (bundle / file.strip(" `")).open(encoding="utf-8", newline="") as table:
            head = next(csv.reader(table))
        assert set(re.findall(r"`(\w+)`", columns)) <= set(head), file


def test_the_oscal_of_a_real_bundle_is_valid_and_names_files_that_it_holds(bundle: Path) -> None:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((bundle / "oscal").iterdir())]
    assert [[], []] == [wrong(document) for document in documents]
    links = {
        link["href"]
        for document in documents
        for root in document.values()
        for each in root["back-matter"]["resources"]
        for link in each.get("rlinks", [])
    }
    assert 6 == len(links)
    assert [] == [link for link in links if not (bundle / "oscal" / link).is_file()]


def test_the_checks_that_are_explained_are_those_of_the_verifier() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    part = text[text.index("## What each check proves") : text.index("## What nothing here proves")]
    assert list(verify._NAMES) == re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
