from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from connectors import aws, vault
from countersign import scaffold
from countersign.cli import answer, on_file
from countersign.expectation import expectations
from countersign.programme import load
from countersign.results import RunResult, to_json
from docs import generate_controls, generate_help, generate_privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "countersign" / "scaffold").rglob("*.md")))
FENCE = re.compile(r"(?:<!-- (?P<mark>[a-z]+: [a-z]+) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`((?:\.ci|benchmarks|connectors|countersign|deployments|docs|expectations|flows|requirements|sandbox|tests)/[\w./-]+)`")
ELSEWHERE = re.compile(r"larder|backup.owner|^countersign/app/")
"""What the how-to pages have their reader write, and where the folders lie in a wheel."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def test_the_pages_of_the_controls_are_what_the_records_say() -> None:
    made = generate_controls.pages()
    docs = ROOT / "docs"
    there = {
        path.relative_to(docs).as_posix(): path.read_text(encoding="utf-8")
        for path in (docs / "controls.md", *(docs / "controls").glob("*"))
    }
    assert sorted(made) == sorted(there), "run: make docs"
    assert made == there, "run: make docs"


def test_the_page_of_the_privileges_is_what_the_rules_say() -> None:
    assert generate_privileges.page() == generate_privileges.PAGE.read_text(encoding="utf-8"), "run: make docs"


def test_the_help_in_the_readme_is_what_the_program_says() -> None:
    found = generate_help.BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [generate_help.block()] == found, "run: make docs"


def test_the_demo_in_the_readme_shows_controls_that_there_are() -> None:
    (block,) = re.findall(r"<!-- demo -->\n(.*?)<!-- /demo -->", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    shown = re.findall(r"^([a-z-]+) +(?:pass|fail|unknown|not assessed) ", block, re.MULTILINE)
    assert shown
    assert set(shown) <= {record.id for record in expectations()}


@each_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        assert not anchor or anchor in set(anchors(there)), target


@each_page
def test_paths_that_are_named_exist(page: Path) -> None:
    named = {path for path in PATH.findall(page.read_text(encoding="utf-8")) if not ELSEWHERE.search(path)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


@each_page
def test_commands_that_are_named_are_the_programs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page):
        grouped = words[:1] in (["register"], ["exception"], ["keys"], ["evidence"], ["offboard"]) or words[:2] == ["runs", "diff"]
        name = words[:2] if grouped else words[:1]
        assert answer([*name, "--help"]) == 0, words
        known = capsys.readouterr().out
        assert [word for word in words if word.startswith("-") and not re.search(rf"(?<!\S){word}(?!\S)", known)] == [], words


@each_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match for code in code_of(page) for match in re.findall(r"(?:^|\n)make ([a-z-]+)", code)}
    assert named <= targets


@each_page
def test_sample_sources_load(page: Path, tmp_path: Path) -> None:
    for index, sample in enumerate(samples(page)):
        folder = tmp_path / str(index)
        scaffold.init(folder, customer="northwind")
        settings = yaml.safe_load((folder / "countersign.yaml").read_text(encoding="utf-8"))
        (folder / "countersign.yaml").write_text(yaml.safe_dump(settings | sample), encoding="utf-8")
        assert len(load(folder).sources) == len(sample["sources"])


def test_the_documents_of_json_have_the_fields_that_are_told(tmp_path: Path) -> None:
    blocks = {
        match["mark"]: json.loads(match["body"]) for match in FENCE.finditer(operations()) if (match["mark"] or "").startswith("json")
    }
    when = datetime(2026, 11, 22, 2, tzinfo=UTC)
    empty: dict[str, Any] = {"sources": [], "controls": [], "findings": {}, "tickets": {}}
    result = RunResult(
        run="r", kind="reconcile", slot="s", state="partial", as_of=when, evidence=tmp_path, statement_digest="sha256:", **empty
    )
    assert list(to_json(result)) == list(blocks["json: reconcile"])
    assert set(on_file._FIRST) <= set(blocks["json: findings"])
    for control in blocks["json: reconcile"]["controls"]:
        assert control["population"] == control["passed"] + control["failed"] + control["excepted"] + control["unknown"]


def test_every_connector_has_a_page_that_names_its_permissions() -> None:
    providers = {path.stem for path in (ROOT / "connectors").iterdir() if not path.name.startswith("_")}
    assert providers == {path.stem for path in (ROOT / "docs" / "connectors").glob("*.md")}
    page = (ROOT / "docs" / "connectors" / "aws.md").read_text(encoding="utf-8")
    assert [name for name in aws.PERMISSIONS if f"`{name}`" not in page] == []
    assert vault.policy_hcl() in (ROOT / "docs" / "connectors" / "vault.md").read_text(encoding="utf-8")


def test_pages_that_the_program_names_exist() -> None:
    sources = [
        path for folder in ("connectors", "countersign", "deployments", "flows") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    named = {
        name
        for path in sources
        if path.suffix in {".py", ".yaml", ".sql"}
        for name in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert "docs/operations.md" in named


def test_decisions_are_numbered_and_say_why() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, path in enumerate(decisions, start=1):
        text = path.read_text(encoding="utf-8")
        assert path.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert ["Decision", "Why", "What follows"] == re.findall(r"^\*\*([^*]+)\.\*\*", text, re.MULTILINE)
        assert len(text.split()) < 260, "half a page"


def operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def anchors(page: Path) -> Iterator[str]:
    """As GitHub makes them: lower case, spaces to dashes, nothing but letters, digits, dashes and underscores."""
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def code_of(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    blocks = [match["body"].replace("\\\n", "") for match in FENCE.finditer(text) if match["kind"] == "sh"]
    return [*blocks, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `countersign` of each command line, without what a shell does with them."""
    for line in (line for code in code_of(page) for line in code.splitlines()):
        found = re.match(r"(?:\$ )?(?:\.venv/bin/)?countersign ([a-z-].*)", line.strip())
        if found:
            words = shlex.split(re.split(r" [>|;#] ?|\$\(", found[1])[0].replace('"', ""))
            yield [word for word in words if re.fullmatch(r"-{0,2}[a-z][a-z-]*|-p", word)]


def samples(page: Path) -> Iterator[dict[str, Any]]:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match["kind"] == "yaml" and "sources:" in match["body"]:
            yield yaml.safe_load(match["body"])
