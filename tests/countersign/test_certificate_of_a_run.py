"""A plan that was applied at a real server is read again and certified, from what the journal, the ledger and the folder hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from countersign.evidence import signer, verify
from countersign.offboarding.certificate import Certified, certify
from countersign.offboarding.record import CertificateError, fingerprint, gather
from countersign.offboarding.verifying import verify as look_again
from countersign.programme import load
from countersign.results import silent
from tests.countersign.sealed_nights import Ledger
from tests.countersign.signed_by_hand import Key
from tests.countersign.test_applying import WHO, bao, blank, case, glass, identities, state_url
from tests.countersign.test_certificate import statement_time
from tests.countersign.test_period import identity, made, register, source, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.countersign.test_applying import Case

__all__ = ["bao", "blank", "case", "identities", "state_url"]


def certified(case: Case) -> Certified:
    verified = look_again(case.programme, case.plan, case.again, clock=case.clock, tell=silent)
    return certify(case.programme, case.plan, gather(case.programme, case.plan), verified, clock=case.clock)


def test_an_offboarding_is_certified_from_what_is_on_file(case: Case) -> None:
    case.keep()
    statement = case.approve()
    (token,) = case.secrets
    applied = case.apply(secrets={case.uids[-1]: token["client_token"]})
    soon = certified(case)
    assert ("complete", {"session"}) == (soon.state, {row["about"] for row in soon.said["residual"]})
    case.clock.at += timedelta(hours=2)  # what outlives the changes is over now
    made = certified(case)
    assert ("complete", []) == (made.state, made.said["residual"])
    (proof,) = (row["proof"] for row in made.said["holdings"] if row["uid"] == case.uids[-1])
    assert ("refused", statement_time(applied.tried[0][2])) == (proof["result"], proof["at"])
    (approval,) = made.said["approvals"]
    signature = next((case.programme.folder / "offboarding" / case.plan.id / "approvals").glob("*.sig")).read_text("utf-8")
    assert (statement.approver, "ssh", fingerprint(signature)) == (approval["approver"], approval["kind"], approval["key"])
    assert {approval["digest"]} == set(applied.digests)
    kinds = [each["kind"] for each in made.said["ledger"]]
    assert ("offboard-plan", "offboard", 3) == (kinds[0], kinds[-1], len(kinds))
    assert applied.statement_digest == made.said["ledger"][-1]["statement"]
    assert [step.step.verified_at for step in applied.steps] == [verify._time(step["verifiedAt"]) for step in made.said["steps"]]
    key = signer.public_path(case.programme.folder / case.programme.evidence.signer.removeprefix("file:"))
    report = verify.verify(made.path / verify.CERTIFICATE, (key,))
    assert ((), True) == (report.problems, report.ok)
    assert () == verify.verify(made.path.parent, (key,)).problems


def test_before_anything_was_applied_it_is_incomplete_and_says_what_is_to_be_done(case: Case) -> None:
    case.keep()
    made = certified(case)
    assert ("incomplete", [], ["not made"] * len(case.plan.steps)) == (
        made.state, made.said["approvals"], [step["outcome"] for step in made.said["steps"]],
    )  # fmt: skip
    assert [["holding", uid] for uid in sorted(case.uids)] == [[row["about"], row["id"]] for row in made.said["residual"]]


def test_steps_whose_run_is_not_on_record_are_not_certified(case: Case) -> None:
    case.keep()
    case.approve()
    applied = case.apply()
    assert applied.evidence is not None
    (applied.evidence / verify.STEPS).write_bytes(b"{}")
    with pytest.raises(CertificateError, match="is not the file that was sealed"):
        gather(case.programme, case.plan)


def test_what_was_done_without_an_approval_says_so_until_the_approval_came(case: Case) -> None:
    case.keep()
    signers = case.programme.folder / "register" / "allowed_signers"
    cleo = Key()
    signers.write_text(signers.read_text("utf-8") + cleo.line("duty-manager"), "utf-8")
    case.programme = load(case.programme.folder)
    case.apply(broken_glass=glass(case, key=cleo))
    case.clock.at += timedelta(hours=2)
    owing = certified(case)
    assert ("incomplete", "duty-manager", False) == (owing.state, owing.said["brokenGlass"]["by"], owing.said["brokenGlass"]["settled"])
    assert {"approval", "holding"} == {row["about"] for row in owing.said["residual"]}
    assert {"made", "not made"} == {step["outcome"] for step in owing.said["steps"]}

    case.approve()
    case.apply()
    case.clock.at += timedelta(hours=2)
    paid = certified(case)
    assert ("complete", True, [WHO[0]]) == (
        paid.state, paid.said["brokenGlass"]["settled"], [each["approver"] for each in paid.said["approvals"]],
    )  # fmt: skip


def test_the_auditors_tables_know_the_latest_certificate(tmp_path: Path) -> None:
    ledger, night = Ledger(tmp_path), datetime(2026, 11, 3, 2, tzinfo=UTC)
    held = {"acme": {"name": "Acme", "reference": "C-1", "ends": "2026-11-02"}}
    seen = {"register": register(tmp_path, **held), "sources": [source("111111111111")], "identities": [identity("x")]}
    ledger.night(night, verdicts=[verdict("x", partner="acme")], **seen)
    about = {"customer": "northwind", "partner": "acme"}
    ledger.entry("offboard", night, about | {"state": "applied"}, {"steps.json": b"{}"}, slot=None)
    for state in ("incomplete", "complete"):
        ledger.entry("offboard", night, about | {"state": state, "certificate": f"sha256:{state}"}, {"plan.json": b"{}"}, slot=None)
    (row,) = made(ledger, 3, tmp_path).rows("offboardings")
    assert ("complete", "sha256:complete", 1, "still there") == (row["certified"], row["certificate"], len(row["runs"]), row["state"])
