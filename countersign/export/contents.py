"""The files of a bundle, each made from a period's tables, or taken from the ledger as it was signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign import oscal
from countersign.evidence import verify
from countersign.export import audit_info, ledger, tables, verify_txt, workbook
from countersign.report.period import write_period

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from countersign.export.bundle import Spool
    from countersign.period import Period
    from countersign.results import Tell


def fill(  # noqa: PLR0913 - a bundle's files come from all of these
    spool: Spool,
    said: Period,
    predicate: Mapping[str, Any],
    *,
    found: Sequence[ledger.Entry],
    pems: Mapping[str, bytes],
    work: Path,
    tell: Tell,
) -> None:
    """Put every file but the statement into the spool.

    `found`: the ledger's entries from 1 to the period's last. `pems`: key id to public key. `work`: a folder for files in between.
    """
    filters, root = predicate["filters"], predicate["ledger"]["root"]
    scratch = work / "file"
    with tables.opened(said.database) as db:
        tell("writing populations", 0.5)
        tables.write_parquet(db, scratch, "populations")
        spool.add("populations/populations.parquet", scratch)
        populations = tables.population_files(db)
        for path, control in populations.items():
            with scratch.open("wb") as file:
                tables.write_csv(db, file, "populations", control=control)
            spool.add(path, scratch)
        tell("writing tables", 0.65)
        for path, table in tables.FILES.items():
            with scratch.open("wb") as file:
                tables.write_csv(db, file, table)
            spool.add(path, scratch)
        controls = _rows(db, "SELECT control, title, family, severity, maps_to FROM controls ORDER BY control")
        drawn = _rows(db, "SELECT min(control) AS control FROM samples HAVING count(*) > 0")
        with scratch.open("wb") as file:
            workbook.write(db, file, _summary(predicate))
        spool.add("workbook.xlsx", scratch)
    tell("writing the report", 0.75)
    write_period(scratch, said, root=root, pseudonymised=filters["pseudonymised"], withheld=predicate["withheld"])
    spool.add("index.html", scratch)
    for name, document in _oscal(said):
        spool.add(f"oscal/{name}.json", json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    full = filters["partner"] is None and not filters["pseudonymised"]
    for path, content in (
        *ledger.files(found, said.first_sequence, statements=full),
        *((f"keys/{keyid}.pub.pem", pem) for keyid, pem in sorted(pems.items())),
    ):
        spool.add(path, content)
    days = predicate["period"]
    command = f"python3 verify.py BUNDLE.zip --key evidence.pub.pem --from {days['from']} --to {days['to']}"
    sample = next((str(row["control"]) for row in drawn), next(iter(populations.values()), "rotation-age"))
    spool.add(audit_info.NAME, audit_info.text(predicate, name=said.name, verify=command, control=sample, notes=said.notes))
    spool.add(audit_info.REQUIREMENTS, audit_info.requirements(controls))
    spool.add("VERIFY.txt", verify_txt.text(predicate).encode())
    spool.add("verify.py", Path(verify.__file__).read_bytes())


def _oscal(said: Period) -> Iterator[tuple[str, object]]:
    yield "assessment-results", oscal.assessment_results(said)
    yield "plan-of-action-and-milestones", oscal.plan_of_action(said)


def _rows(db: DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = db.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _summary(predicate: Mapping[str, Any]) -> list[tuple[str, object]]:
    nights, filters = predicate["nights"], predicate["filters"]
    return [
        ("Customer", predicate["customer"]), ("From (UTC)", predicate["period"]["from"]), ("To (UTC)", predicate["period"]["to"]),
        ("As of", predicate["asOf"]), ("Partner", filters["partner"] or "all"), ("Pseudonymised", filters["pseudonymised"]),
        ("Seed of the samples", filters["samples"]["seed"]), ("Ledger's root", predicate["ledger"]["root"]),
        *((f"Nights {state}", nights[state]) for state in ("expected", "complete", "partial", "stopped", "failed")),
        ("Nights missing", len(nights["missing"])), *((f"Rows of {table}", count) for table, count in predicate["counts"].items()),
    ]  # fmt: skip
