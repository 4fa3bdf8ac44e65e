"""One case for every control, decided before it was run: who fails, who holds, who is unknown and why, and who is not asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from controls_estate import AS_OF, DARK, DAY, HIST, SCOPES, SLOW, Estate
from controls_programme import write
from controls_table import CLOCKS, CONTROLS, IDENTITIES, REGISTER, WHO
from controls_verdicts import Verdicts, verdicts

from countersign import findings_file
from countersign.errors import ScopeDeniedError
from countersign.expectation import expectations
from countersign.finding import fingerprint
from countersign.inventory import spool
from countersign.programme import load
from countersign.reconciliation import Reconciliation

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from countersign.results import RunResult

NIGHTS = tuple(AS_OF - days * DAY for days in (183, 98, 9))
"""Earlier nights, on which only HIST and SLOW were read: as far apart as a rotation may be, and more than two in all."""
SEVERITIES = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Night:
    """What the last night came to."""

    subjects: dict[str, str]
    verdicts: dict[str, Verdicts]
    findings: dict[tuple[str, str], dict[str, Any]]
    """(control, subject) to the row of the findings file."""
    result: RunResult

    def subject(self, label: str) -> str:
        """Give the subject of a label; those of the register and the ledger are their own labels."""
        if label in self.subjects:
            return self.subjects[label]
        return f"ledger:northgate:{label}" if label.startswith(("finding/", "drill/")) else f"register:northgate:{label}"


def run(folder: Path, estate: Estate, as_of: datetime, scopes: tuple[str, ...]) -> tuple[RunResult, dict[str, Verdicts]]:
    with Reconciliation(load(folder), as_of=as_of, clock=lambda: as_of) as night:
        readings = [
            night.settle(SCOPES[scope], ScopeDeniedError("sts:AssumeRole", "AccessDenied"))
            if scope == DARK
            else spool(estate.night(scope, as_of), SCOPES[scope], night.work, night.folder / "observations")
            for scope in scopes
        ]
        judged = night.judge(readings)
        found = verdicts(judged.database)
        planned = night.plan(judged)
        return night.record(judged, planned, night.act(planned)), found


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    estate = Estate().build()
    folder = write(tmp_path_factory.mktemp("northgate") / "programme", estate.subjects)
    for as_of in NIGHTS:
        run(folder, estate, as_of, (HIST, SLOW))
    result, found = run(folder, estate, AS_OF, tuple(SCOPES))
    rows = findings_file.read(result.evidence / findings_file.NAME)
    return Night(estate.subjects, found, {(str(row["control"]), str(row["subject"])): row for row in rows}, result)


each = pytest.mark.parametrize("control", CONTROLS)


def test_every_control_of_the_design_is_here_and_every_control_that_is_judged_is_in_the_table() -> None:
    assert set(CONTROLS) == {record.id for record in expectations()}


@each
def test_a_severity_is_no_milder_than_its_reason(control: str) -> None:
    (record,) = [record for record in expectations() if record.id == control]
    assert SEVERITIES.index(record.severity) <= SEVERITIES.index(CONTROLS[control].at_least), CONTROLS[control].because


@each
def test_who_fails_holds_is_unknown_or_is_not_asked(night: Night, control: str) -> None:
    case, found = CONTROLS[control], night.verdicts[control]
    wanted = {
        **dict.fromkeys(case.fails, "failed"), **dict.fromkeys(case.holds, "passed"),
        **dict.fromkeys(case.unknown, "unknown"), **dict.fromkeys(case.outside, "outside"),
    }  # fmt: skip
    assert wanted == {label: found.of(night.subject(label)) for label in wanted}
    reasons = {label: found.unknown[night.subject(label)] for label in case.unknown}
    assert {} == {label: said for label, said in reasons.items() if case.unknown[label].casefold() not in said.casefold()}


@pytest.mark.parametrize("control", [name for name, case in (IDENTITIES | REGISTER).items() if not case.some])
def test_nobody_else_fails(night: Night, control: str) -> None:
    known = {night.subject(label) for label in (*CONTROLS[control].fails, *CONTROLS[control].may)}
    assert set() == night.verdicts[control].failed - known


def test_findings_bear_the_partner_and_who_is_accountable(night: Night) -> None:
    said = {}
    for control, label in WHO:
        row = night.findings.get((control, night.subject(label)), {})
        said[control, label] = (row.get("partner"), row.get("accountable"))
    assert said == WHO


def test_only_a_valid_exception_excepts(night: Night) -> None:
    excepted = {(control, subject): row for (control, subject), row in night.findings.items() if row["state"] == "excepted"}
    assert {("rotation-age", night.subject("svc-ex-0/key"))} == set(excepted)


def test_a_stranger_that_the_vendors_file_knows_has_a_name(night: Night) -> None:
    row = night.findings["unknown-third-party", night.subject("svc-stranger")]
    assert "Datalynx" in str(row)


def test_two_partners_that_claim_one_issuer_are_told(night: Night) -> None:
    claimants = {"register:northgate:partner/dune", "register:northgate:partner/echo"}
    assert night.verdicts["register-footprint"].failed
    assert set() == night.verdicts["register-footprint"].failed - claimants


def test_the_clock_of_a_finding_runs_over_by_its_own_service_level(night: Night) -> None:
    def clock(control: str, label: str) -> str:
        return f"ledger:northgate:finding/{fingerprint(control, night.subject(label))}"

    # Known for nine days: beyond seven to rotate, and beyond one hour to revoke.
    assert clock("rotation-age", "slow-key/key") in night.verdicts["sla-rotate"].failed
    assert clock("contract-ended", "boreal-slow") in night.verdicts["sla-revoke"].failed
    # Over its limit for twelve hours, and found tonight.
    fresh = clock("rotation-age", "fresh-key/key")
    assert not [name for name in CLOCKS if fresh in night.verdicts[name].failed]
    # Over its limit ten days ago; found a day later, by the first look in three months: the customer agreed on a look a day.
    assert clock("rotation-age", "slow-key/key") in night.verdicts["sla-detect"].failed


def test_what_is_gone_tonight_is_not_known_to_have_been_late(night: Night) -> None:
    """Found nine days ago, and gone half an hour later, as far as anybody can know; agreed is an hour."""
    quick = f"ledger:northgate:finding/{fingerprint('contract-ended', night.subject('boreal-quick'))}"
    assert quick not in night.verdicts["sla-revoke"].failed


def test_unknown_has_its_share_in_every_count(night: Night) -> None:
    for control in night.result.controls:
        counted: Any = control
        assert counted["population"] == sum(counted[part] for part in ("passed", "failed", "excepted", "unknown")), counted["id"]
        assert counted["unknown"] == sum(why["count"] for why in counted["unknown_reasons"]), counted["id"]
