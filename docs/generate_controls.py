"""Writes the pages about the controls from their records: run it by `make docs`."""  # noqa: INP001 - a script beside the pages it writes

from __future__ import annotations

import importlib
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from countersign.expectation import Expectation, Severity, expectations
from countersign.facts import SUBJECTS
from countersign.report import words
from countersign.shares import FAMILIES, family

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
INDEX = "controls.md"
NOTE = "<!-- Made from expectations/ by `make docs`: change the record, not this page. -->"

_MANY = {
    "identity": "identities",
    "credential": "credentials",
    "scope": "scopes",
    "register": "entries of the register",
    "finding": "findings, drills and plans",
}
INTRODUCTION = """\
A control is judged over every subject in its population, every night. It passes, fails, or stays unknown with a reason; a control
with an empty population is not assessed. Each page says what is compared, when it is unknown and what to do."""


def pages() -> dict[str, str]:
    """Return the text of each page by its path from `docs/`."""
    records = expectations()
    return {INDEX: _index(records), **{f"controls/{record.id}.md": _page(record) for record in records}}


def main() -> None:
    """Write the pages, and remove those of controls that are gone."""
    made = pages()
    for path in (HERE / "controls").glob("*.md"):
        if f"controls/{path.name}" not in made:
            path.unlink()
    (HERE / "controls").mkdir(exist_ok=True)
    for name, text in made.items():
        (HERE / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"docs/{INDEX} and {len(made) - 1} pages in docs/controls/\n")


def _index(records: tuple[Expectation, ...]) -> str:
    severities = list(Severity)
    ordered = sorted(records, key=lambda record: (severities.index(record.severity), record.id))
    cited: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for framework, ids in words.frameworks(record.maps_to).items():
            for one in ids:
                cited[framework][one].append(_link(record, "controls/"))
    parts = [
        "# Controls",
        NOTE,
        INTRODUCTION,
        *(part for name in FAMILIES for part in _family(name, ordered)),
        "## By framework",
        "Ids and our own reading of them, not the standards' texts. A control supports a requirement; none of them meets one alone.",
    ]
    for framework in sorted(cited):
        rows = ((one, ", ".join(links)) for one, links in sorted(cited[framework].items(), key=lambda item: _natural(item[0])))
        parts += [f"### {framework}", _table(("id", "controls"), rows)]
    return "\n\n".join(parts) + "\n"


def _family(name: str, ordered: list[Expectation]) -> tuple[str, str]:
    rows = (
        (_link(record, "controls/"), record.title, record.severity.value, _judges(record))
        for record in ordered
        if family(record.id) == name
    )
    return f"## {name.capitalize()}", _table(("control", "fails when", "severity", "judges"), rows)


def _page(record: Expectation) -> str:
    says = (importlib.import_module(f"expectations.{record.id.replace('-', '_')}").__doc__ or "").strip()
    summary, _, more = says.partition("\n\n")
    kwargs = dict(record.holds.arguments)
    check = words.check(
        {
            "type": f"expect_{record.holds.type}",
            "kwargs": kwargs,
            "meta": {"subjects": record.subjects, "population": f"`{record.population}`", "fact": f"`{record.holds.column}`"},
        }
    )
    arguments = "".join(f", {name}={list(value) if isinstance(value, tuple) else value!r}" for name, value in kwargs.items())
    mapped = "\n".join(f"- {framework}: {', '.join(ids)}" for framework, ids in sorted(words.frameworks(record.maps_to).items()))
    return "\n\n".join((
        f"# {record.title}",
        NOTE,
        f"Control `{record.id}` of {family(record.id)} · {record.severity.value} · judges {_judges(record)}",
        f"Service level `{record.clock}` sets the due date.",
        f"{summary} {record.why}",
        *((more,) if more else ()),
        "## Before and after",
        f"**Fails.** {record.before}",
        f"**Holds.** {record.after}",
        "## What is judged",
        check,
        _table(
            ("", *record.example_held),
            (
                ("holds", *(f"`{_value(value)}`" for value in record.example_held.values())),
                ("fails", *(f"`{_value(value)}`" for value in record.example_broken.values())),
            ),
        ),
        f"In Great Expectations' words: `expect_{record.holds.type}(column={record.holds.column!r}{arguments})`.",
        f"The facts are columns of {_files(record)}.",
        "## When it is unknown",
        _unknown(record),
        "## What a finding says",
        f"> {record.reason}",
        f"It carries the facts {', '.join(f'`{name}`' for name in record.shows)}; where a provider said them, it names the call.",
        "## What to do",
        record.remedy,
        "## Frameworks",
        mapped,
        f"Back to [all controls](../{INDEX}).",
    )) + "\n"  # fmt: skip


def _unknown(record: Expectation) -> str:
    if not record.unknown_from:
        return "Never: the run itself, the register or the ledger knows."
    reasons = ", ".join(f"`{name}`" for name in record.unknown_from)
    return (
        f"When `{record.population}` or `{record.holds.column}` is null. The reason given is the first of {reasons} that is known.\n"
        "What was not read of a scope counts as one more, because nobody knows how many it hides."
    )


def _judges(record: Expectation) -> str:
    return " and ".join(_MANY[subject] for subject in record.subjects)


def _files(record: Expectation) -> str:
    return " and ".join(f"[{SUBJECTS[subject]}.sql](../../countersign/facts/{SUBJECTS[subject]}.sql)" for subject in record.subjects)


def _link(record: Expectation, folder: str) -> str:
    return f"[{record.id}]({folder}{record.id}.md)"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """Order A.5.9 before A.5.16."""
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in text.replace(":", ".").replace("-", ".").split("."))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
