"""What breaks a rule of the register is a finding in each run: the same rules, on the same entry, with somebody who answers for it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from test_reconciliation import export
from test_register import BROKEN, EXCEPTION, FILES, PARTNER

from countersign import facts, findings_file, scaffold
from countersign.expectation import expectations
from countersign.facts.governance import governance_tables
from countersign.finding import fingerprint
from countersign.inventory import collect
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.register.check import control_of, faults
from countersign.register.load import load_register
from countersign.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.register.records import Register

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
KNOWN = {record.id for record in expectations()}
RECORDS = [record for record in expectations() if record.subjects == ("register",)]


def written(folder: Path, files: dict[str, str]) -> Register:
    for name, text in files.items():
        (folder / "register" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "register" / name).write_text(text, encoding="utf-8")
    return load_register(folder / "register")


def entries(folder: Path, held: Register, signer: str | None = None) -> dict[str, dict[str, Any]]:
    """Give the facts of each entry of the register."""
    programme: Any = SimpleNamespace(register=held, sources=(), vendors=None, evidence=SimpleNamespace(signer=signer))
    (folder / "work").mkdir()
    readings = collect((), folder / "work", folder / "inventory")
    tables = (*facts.register_tables(programme, AS_OF), *governance_tables(programme, AS_OF))
    facts.build(folder / "facts.duckdb", folder / "inventory", tables, readings)
    with facts.opened(folder / "facts.duckdb") as db:
        found = db.execute("SELECT * FROM facts_register")
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["subject"].removeprefix("register:northwind:"): row for row in rows}


def failing(rows: dict[str, dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Give how many rules of each control an entry breaks; an entry outside the population must break none."""
    found = {}
    for record in RECORDS:
        for subject, row in rows.items():
            count = row[record.holds.column]
            assert count == 0 or row[record.population]
            if count:
                found[record.id, subject] = count
    return found


def test_a_register_in_order_passes_with_each_entry_under_its_controls(tmp_path: Path) -> None:
    rows = entries(tmp_path, written(tmp_path, FILES))
    assert {} == failing(rows)
    people = {"person/maria", "person/dev", "person/soc", "person/lee"}
    each = {"control/rotation-age", "partner/acme", "workload/acme-backup", "exception/EX-0012", "incident/INC-7", "customer/northwind"}
    judged = {record.id: {subject for subject, row in rows.items() if row[record.population]} for record in RECORDS}
    assert {
        "register-names": people | each,
        **{name: {"control/rotation-age"} for name in ("register-owners", "register-raci", "register-slas")},
        "register-answers": {"control/rotation-age", "customer/northwind"},
        **{name: {"partner/acme"} for name in ("register-contract", "register-footprint")},
        "register-workload": {"workload/acme-backup"},
        "register-policy": {"customer/northwind", "partner/acme", "workload/acme-backup"},
        "exception-invalid": {"exception/EX-0012"},
    } == judged
    whose = {subject: (row["partner"], row["accountable"]) for subject, row in rows.items() if row["partner"] or row["accountable"]}
    assert {
        "control/rotation-age": (None, "maria"),
        "partner/acme": ("acme", None),
        "workload/acme-backup": ("acme", "maria"),
        "incident/INC-7": ("acme", None),
    } == whose


def test_every_broken_rule_is_a_finding_of_its_control_on_its_entry(tmp_path: Path) -> None:
    files = dict(FILES)
    for _, file, old, new, _ in BROKEN:
        files[file] = files[file].replace(old, new, 1)  # as far as those before have left anything of it
    held = written(tmp_path, files)
    broken = list(faults(held, held.today(AS_OF), signer="hv:evidence", known_controls=KNOWN))

    rows = entries(tmp_path, held, signer="hv:evidence")

    told: dict[tuple[str, str], list[str]] = {}
    for kind, entry, fault in broken:
        told.setdefault((control_of(fault.rule), f"{kind}/{entry}"), []).append(f"{fault.field}: {fault.message}")
    assert {place: len(said) for place, said in told.items()} == failing(rows)
    assert {record.id for record in RECORDS} == {control for control, _ in told}
    for (control, subject), said in told.items():
        shown = rows[subject][f"{control.replace('-', '_')}_said"]
        assert "; ".join(sorted(said)[:5]) == shown.partition("; and ")[0]
        assert (f"; and {len(said) - 5} more" if len(said) > 5 else "") == shown[len(shown.partition("; and ")[0]) :]


def test_who_left_answers_for_no_finding_and_a_request_is_none(tmp_path: Path) -> None:
    left = FILES["customer.yaml"].replace("email: maria@northwind.example, active: true", "active: false")
    asked = re.sub("approv.*\n", "", FILES[EXCEPTION]).replace("subject: ", "subject: register:northwind:partner/acme # ")
    rows = entries(tmp_path, written(tmp_path, FILES | {"customer.yaml": left, EXCEPTION: asked}))
    assert (None, "dev") == (rows["control/rotation-age"]["accountable"], rows["workload/acme-backup"]["accountable"])
    assert (False, 0, "acme") == tuple(rows["exception/EX-0012"][name] for name in ("is_exception", "exception_invalid_faults", "partner"))


def test_hostile_text_stays_one_inert_line(tmp_path: Path) -> None:
    tag = '"<img src=x onerror=alert(1)> =cmd()|x ' + "\\u202e" + "x" * 300 + '": acme'
    other = FILES[PARTNER].replace("id: acme", "id: corvid").replace("C1", "C2")
    files = {
        PARTNER: FILES[PARTNER].replace("tags: {partner: acme}", f"tags: {{{tag}}}"),
        "partners/corvid.yaml": other.replace("tags: {partner: acme}", f"tags: {{{tag}}}"),
    }
    rows = entries(tmp_path, written(tmp_path, FILES | files))
    said = rows["partner/acme"]["register_footprint_said"]
    assert said.isprintable()
    assert "\u202e" not in said
    assert len(said) < 5 * 200


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / "register" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "programme"
    scaffold.init(target)
    export(target, "111111111111", {"old": (200, 1), "fine": (10, 1)})
    change(target, "customer.yaml", "policies:", "drills: {remediation: P7D}\npolicies:")
    return target


def night(folder: Path, days: int) -> dict[tuple[str, str], dict[str, Any]]:
    """Run a night and give what the register and the ledger came to, by control and what the subject ends in."""
    result = reconcile(load(folder), AS_OF + timedelta(days=days))
    assert result.guard is None
    rows = findings_file.read(result.evidence / findings_file.NAME)
    return {(row["control"], row["subject"].split(":", 2)[2]): row for row in rows if row["provider"] in ("register", "ledger")}


def test_faults_and_clocks_over_three_nights(folder: Path) -> None:
    change(folder, "customer.yaml", "Ben Example, email: ben@example.example, active: true", "Ben Example, active: false")
    change(folder, "workloads/nightly-backup.yaml", "purpose: Nightly backup of the order database\n", "")

    first = night(folder, 0)
    assert {"register-owners", "register-raci", "register-answers", "register-workload"} == {control for control, _ in first}
    assert (
        'control default: owners.technical: the technical owner, "technical-owner", is no longer active'
        == first["register-owners", "control/default"]["reason"]
    )
    assert {"business-owner"} == {row["accountable"] for row in first.values()}  # of the entry, or of the control that finds it

    old = fingerprint("rotation-age", "aws:111111111111:access-key/old@20260506T020000Z")
    second = night(folder, 8)
    assert {"still"} == {row["event"] for row in second.values() if row["provider"] == "register"}
    assert {place: first[place]["fingerprint"] for place in first} == {
        place: row["fingerprint"] for place, row in second.items() if row["provider"] == "register"
    }
    clocks = {place for place, row in second.items() if row["provider"] == "ledger"}
    assert {("sla-rotate", f"finding/{old}"), ("drill-overdue", "drill/remediation")} <= clocks
    assert not [place for place in clocks if place[0] in ("sla-escalate", "sla-detect")]  # all have tickets, and nobody looked before
    late = second["sla-rotate", f"finding/{old}"]
    assert ("old", "7 days") == (late["identity_name"].partition("@")[0], late["facts"]["agreed_rotate"])
    assert {
        "rotation-age fails for aws:111111111111:access-key/old@20260506T020000Z since 2026-11-22 02:00:00 UTC; open for 8 days; agreed 7 days to rotate"
    } == {late["reason"]}

    change(folder, "customer.yaml", "Ben Example, active: false", "Ben Example, active: true")
    export(folder, "111111111111", {"old": (1, 1), "fine": (10, 1)})
    third = night(folder, 9)
    assert {"register-workload": "changed"} | dict.fromkeys(("register-owners", "register-raci", "register-answers"), "resolved") == {
        control: row["event"] for (control, _), row in third.items() if row["provider"] == "register"
    }
    assert "resolved" == third["sla-rotate", f"finding/{old}"]["event"]
    with State(load(folder).state) as state:
        assert {"business-owner"} == {listed.finding.accountable for listed in state.findings(control="register-workload")}
        assert all(listed.ticket for listed in state.findings(control="register-workload"))
