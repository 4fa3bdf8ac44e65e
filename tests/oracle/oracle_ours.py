"""What Countersign says of the same rows: the report through the files connector, the inventory, the facts and the expectations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import groupby
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from oracle_report import DAY, MINUTE, NOW, ROOT, WRITTEN, text
from oracle_rules import key, when

from connectors import files
from countersign import facts
from countersign.expectation import expectations
from countersign.facts import opened
from countersign.inventory import collect, spool
from countersign.judge import judge
from countersign.programme import FilesSource
from countersign.reading import ReadRequest
from countersign.register.records import Customer, Policies, Policy, Register

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta
    from pathlib import Path

    from oracle_rules import Cells

Verdict = Literal["fail", "pass", "unknown", "not judged"]
"""`not judged`: outside the control's population, so it counts nowhere."""
CONTROLS = ("rotation-age", "inactive", "human-mfa", "overlap-too-long")
OVERLAP, GRACE = 7 * DAY, 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts by (control, subject), and how many of each control the judge counted where it was asked."""

    verdicts: Mapping[tuple[str, str], Verdict]
    counted: Mapping[str, tuple[int, int, int]]
    """Control to (passed, failed, unknown)."""

    def of(self, control: str, subject: str) -> Verdict:
        return self.verdicts.get((control, subject), "not judged")


def register(idle: timedelta) -> Register:
    """Agree to the limits that the tools have; their rules have none for two keys, and no grace."""
    held = Policy(max_idle=idle, overlap=OVERLAP, grace=GRACE, mfa="required", rotate_within={"aws_access_key": 90 * DAY})
    return Register(customer=Customer(id="northwind", name="Northwind"), policies=Policies(human=held, machine=held), digest="sha256:0")


def judged(folder: Path, rows: Iterable[Cells], idle: timedelta, *, counted: bool = False) -> Judged:
    """Judge the rows, one report an account; `counted` asks the judge itself too, which takes a second."""
    for account, mine in groupby(sorted(rows, key=account_of), account_of):
        path = folder / "exports" / f"{account}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(mine), encoding="utf-8")
        os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    source = FilesSource(name="exports", provider="files", path=folder / "exports")
    readings = [
        spool(files.read(ReadRequest(source=source, scope=scope, run="r", now=lambda: NOW)), scope, folder / "work", folder / "seen")
        for scope in files.scopes(source)
    ]
    settled = collect(readings, folder / "work", folder / "inventory")
    programme: Any = SimpleNamespace(register=register(idle), sources=(source,), vendors=None)
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, NOW), settled)
    records = [record for record in expectations() if record.id in CONTROLS]
    verdicts: dict[tuple[str, str], Verdict] = {}
    with opened(database) as db:
        for record in records:
            kinds = ", ".join(f"'{kind}'" for kind in record.subjects)
            for subject, verdict in db.execute(
                f"""SELECT subject, CASE WHEN "{record.population}" IS NULL OR "{record.holds.column}" IS NULL THEN 'unknown'
                           WHEN {record.holds.breaks()} THEN 'fail' ELSE 'pass' END
                    FROM facts WHERE subject_kind IN ({kinds}) AND "{record.population}" IS DISTINCT FROM FALSE"""  # noqa: S608 -- our own records
            ).fetchall():
                verdicts[record.id, subject] = verdict
    results = judge(database, records, settled).results if counted else ()
    return Judged(verdicts, {result.id: (result.passed, result.failed, result.unknown) for result in results})


def account_of(cells: Cells) -> str:
    return cells["arn"].split(":")[4]


def native_id(cells: Cells) -> str:
    return account_of(cells) if cells["user"] == ROOT else cells["user"]


def identity(cells: Cells) -> str:
    return f"aws:{account_of(cells)}:user/{native_id(cells)}"


def password(cells: Cells) -> str:
    return f"aws:{account_of(cells)}:password/{native_id(cells)}"


def access_key(cells: Cells, slot: int) -> str:
    """Say what the key of a slot is called: by its second, and where two share one, the active one is the first."""
    made = when(key(cells, slot, "last_rotated"))
    name = f"{native_id(cells)}@" + ("unknown" if made is None else f"{made:%Y%m%dT%H%M%SZ}")
    if has_twin(cells):
        order = sorted((1, 2), key=lambda one: (key(cells, one, "active") != "true", one))
        name += f"#{order.index(slot) + 1}"
    return f"aws:{account_of(cells)}:access-key/{name}"


def has_key(cells: Cells, slot: int) -> bool:
    return key(cells, slot, "active") == "true" or when(key(cells, slot, "last_rotated")) is not None


def has_twin(cells: Cells) -> bool:
    return has_key(cells, 1) and has_key(cells, 2) and key(cells, 1, "last_rotated") == key(cells, 2, "last_rotated")
