"""`verdicts.parquet`: one row per subject that any control judged, with a column per control; made at night, read by the export.

Findings say what fails. An auditor asks for the whole population too: who was judged, who passed, and who could not be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.facts import SUBJECTS, opened
from countersign.inventory import PARQUET, sql_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from countersign.expectation import Expectation

NAME = "verdicts.parquet"
PASS, FAIL, EXCEPTED, UNKNOWN = VERDICTS = ("pass", "fail", "excepted", "unknown")
"""What a control's column says of a subject; null: the subject is not in that control's population."""
ABOUT = ("subject", "subject_kind", "identity", "kind", "partner", "accountable")
"""The columns before the controls'. What else is known of a subject stands in the inventory under its uid."""


def column(control: str) -> str:
    """Name the column of a control: its id with `_` for `-`."""
    return control.replace("-", "_")


def write(path: Path, database: Path, expectations: Sequence[Expectation]) -> None:
    """Write the verdicts of a judged run from its database; a subject of which nothing is asked has no row, and rows have no order.

    `unknown` counts subjects that were seen. What an unread scope hides has no row anywhere: `results.json` counts those scopes.
    """
    with opened(database) as db:
        # The file says the same words either way; as numbered ones they need not be looked up row by row.
        db.execute(f"CREATE TEMP TYPE verdict AS ENUM ({', '.join(map(sql_text, VERDICTS))})")
        excepted = {control for (control,) in db.execute("SELECT DISTINCT control FROM register_exceptions").fetchall()}
        kinds = (_of_kind(kind, tuple(e for e in expectations if kind in e.subjects), excepted) for kind in SUBJECTS)
        db.execute(f"COPY ({' UNION ALL BY NAME '.join(kinds)}) TO {sql_text(path)} ({PARQUET}, ROW_GROUP_SIZE 30720)")


def _of_kind(kind: str, judged: Sequence[Expectation], excepted: Iterable[str]) -> str:
    verdicts = ", ".join(f'{_verdict(e, excepted)} AS "{column(e.id)}"' for e in judged)
    asked = " OR ".join(f'"{column(e.id)}" IS NOT NULL' for e in judged)
    return f"SELECT * FROM (SELECT {', '.join(ABOUT)}, {verdicts} FROM judged_{kind}) WHERE {asked}"


def _verdict(e: Expectation, excepted: Iterable[str]) -> str:
    failed = _word(FAIL)
    if e.id in excepted:
        accepted = f"(SELECT subject FROM register_exceptions WHERE control = {sql_text(e.id)})"
        failed = f"CASE WHEN subject IN {accepted} THEN {_word(EXCEPTED)} ELSE {failed} END"
    return (
        f'CASE WHEN "{e.population}" IS FALSE THEN NULL WHEN "{e.population}" IS NULL OR "{e.holds.column}" IS NULL THEN {_word(UNKNOWN)} '
        f"WHEN {e.holds.breaks()} THEN {failed} ELSE {_word(PASS)} END"
    )


def _word(verdict: str) -> str:
    return f"{sql_text(verdict)}::verdict"
