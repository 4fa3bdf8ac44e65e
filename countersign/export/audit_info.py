"""AuditInfo.txt and controls-to-requirements.csv: what a bundle is, in plain text, and which requirements its controls speak to."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from typing import TYPE_CHECKING, Any

from countersign.export.tables import text_cell
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = "AuditInfo.txt"
REQUIREMENTS = "controls-to-requirements.csv"
_WIDTH = 100
_LONGEST = 2_000
_FOLDERS = (
    ("index.html", "The report: start here. It needs no network and no scripts."),
    (
        "workbook.xlsx",
        "Summary, samples, exceptions, tickets, nights, overdue findings for a spreadsheet; long sheets are cut and say so.",
    ),
    (REQUIREMENTS, "Which requirements of which framework each control speaks to: identifiers only, the texts are their owners'."),
    ("populations/", "Everybody whom each control judged in the period, never only the failures: one Parquet file, and CSV by control."),
    ("completeness/", "What was asked of each source in each run, how much came back, and an independent count where there is one."),
    ("operation/", "Nights, runs, results of each run and control, controls as they were last, and spells: each time a finding was open."),
    ("samples/", "What was drawn from each population."),
    ("exceptions/", "What was accepted for a time: by whom, why, until when, whether it was used."),
    ("tickets/", "Tickets, and each finding against the clocks that were agreed."),
    (
        "accountability/",
        "Who is responsible, accountable, consulted and informed, as the register said then; people; workloads and owners.",
    ),
    ("partners/, drills/", "Scorecards, what became of access after contracts ended, and drills."),
    ("oscal/", "Assessment results and plan of action in OSCAL: aggregates and open findings."),
    ("ledger/", "The tree's leaves and signed checkpoint, and the statement of each entry unless they are withheld."),
    ("keys/", "Public keys that signed. Get the customer's key from the customer: a key from the bundle proves nothing about it."),
    ("verify.py, VERIFY.txt", "The check, standing alone, and how to use it; also how to check one statement with openssl only."),
    ("bundle.dsse.json", "The signed statement over every other file of this bundle."),
)


def text(predicate: Mapping[str, Any], *, name: str, verify: str, control: str, notes: Sequence[str] = ()) -> bytes:
    """Write the plain text.

    `predicate` is what the bundle's statement says, `name` the customer's, `verify` the line that checks it, `control` one that the
    example draws for, `notes` what could not be said.
    Holds nothing of the day on which it is made, so that the same evidence gives the same text.
    """
    said, filters, nights, ledger = predicate, predicate["filters"], predicate["nights"], predicate["ledger"]
    samples = filters["samples"]
    lines = [
        "COUNTERSIGN: EVIDENCE FOR AN AUDIT",
        "",
        f"Customer        {_line(name)} ({_line(said['customer'])})",
        f"Period          {said['period']['from']} to {said['period']['to']}, both days included; every time in this bundle is UTC",
        f"As of           {said['asOf']}",
        f"Partner         {'all' if filters['partner'] is None else _line(filters['partner'])}",
        f"Names           {'replaced by pseudonyms' if filters['pseudonymised'] else 'as they were'}",
        f"Made by         countersign {said['code']['version']}, commit {said['code']['commit'] or 'not known'}",
        f"Ledger          {_line(ledger['origin'])}, entries {ledger['first']} to {ledger['last']}, tree of {ledger['size']}",
        f"Root            {ledger['root']}",
        "",
        *_heading("Nights"),
        f"Expected {nights['expected']}, complete {nights['complete']}, partial {nights['partial']}, failed {nights['failed']},",
        f"stopped by the run guard {nights['stopped']}, missing {len(nights['missing'])}.",
        *_wrapped("Missing: " + ", ".join(nights["missing"]) if nights["missing"] else "No night is missing."),
        "",
        *_heading("What is withheld"),
        *(line for each in said["withheld"] for line in _wrapped(f"- {_line(each['what'])}: {_line(each['why'])}", "  ")),
        *(() if said["withheld"] else ("Nothing.",)),
        "",
        *_heading("What could not be said"),
        *(line for note in notes for line in _wrapped(f"- {_line(note)}", "  ")),
        *(() if notes else ("Nothing of note.",)),
        "",
        *_heading("What is where"),
        *(line for path, what in _FOLDERS for line in _wrapped(f"{path:<30}{what}", " " * 30)),
        "",
        *_wrapped(
            "CSV files are UTF-8 after RFC 4180, with a header row. Nothing known is an empty cell, an empty text is two quotes. "
            "Spreadsheets run cells that begin like a formula, so a text that begins with = + - @ ' TAB or CR has one apostrophe in "
            "front: take it off, and the text is as it was."
        ),
        "",
        *_heading("Rows"),
        *(f"{table:<20}{count:>12,}" for table, count in sorted(said["counts"].items())),
        "",
        *_heading("How the samples were drawn"),
        *_wrapped(
            f"Of each control's population the {samples['size']} subjects with the smallest SHA-256 (lower-case hex) of subject, control "
            f"and seed, written one after the other in UTF-8. The seed is {_line(samples['seed'])}. Anybody can draw them again, here "
            "for one control, in the unpacked bundle:"
        ),
        "",
        redraw(control, samples["seed"], samples["size"]),
        "",
        *_heading("How to check this bundle"),
        verify,
        "",
        *_wrapped("VERIFY.txt says what that proves, what it does not, and how to do without this program."),
    ]
    return ("\n".join(lines) + "\n").encode()


def redraw(control: str, seed: str, size: int) -> str:
    """Return the shell line that draws one control's sample again from the unpacked bundle, with Python's standard library only."""
    # The seed goes as an argument in the shell's own quotes: it is whatever text the auditor gave.
    return (
        f"python3 -c 'import csv, hashlib, sys; c, seed, n = sys.argv[1:]; "
        f'p = [r["subject"] for r in csv.DictReader(open("populations/" + c + ".csv", encoding="utf-8", newline=""))]; '
        f"p = [s[1:] if s[:1] == chr(39) else s for s in p]; "
        f"print(*sorted((hashlib.sha256((s + c + seed).encode()).hexdigest(), s) for s in p)[:int(n)], sep=chr(10))' "
        f"{control} {_shell(seed)} {size}"
    )


def requirements(controls: Iterable[Mapping[str, Any]]) -> bytes:
    """Write a row for each control and each requirement that it speaks to; a control without any has one row with none."""
    made = io.StringIO(newline="")
    rows = csv.writer(made)
    rows.writerow(("control", "title", "family", "severity", "framework", "requirement"))
    for control in sorted(controls, key=lambda each: str(each["control"])):
        for cited in sorted(control["maps_to"] or ()) or ("",):
            framework, _, requirement = cited.partition(":")
            said = (control["control"], control["title"], control["family"], control["severity"], framework, requirement)
            rows.writerow([text_cell(str(cell)) if cell is not None else "" for cell in said])
    return made.getvalue().encode()


def _heading(title: str) -> tuple[str, str]:
    return title.upper(), "-" * len(title)


def _wrapped(said: str, indent: str = "") -> list[str]:
    return textwrap.wrap(said, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _line(said: object) -> str:
    return inert(str(said))[:_LONGEST]


def _shell(seed: str) -> str:
    quoted = "'" + seed.replace("'", "'\"'\"'") + "'"
    return seed if re.fullmatch(r"[A-Za-z0-9_.:/-]+", seed) else quoted
