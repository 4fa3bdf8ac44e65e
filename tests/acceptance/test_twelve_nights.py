"""A month with twelve nights of the ninety: exported, verified, and its answers held against the truth; the ninety are in tests/system."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from countersign.cli import answer
from tests.acceptance import ninety_estate as estate
from tests.acceptance import ninety_nights
from tests.acceptance.ninety_truth import Bundle, Nights, draw, seen, when

if TYPE_CHECKING:
    from pathlib import Path

NIGHTS = Nights((11, 12, 13, 15, 17, 20, 21, 23, 25, 27, 28, 30), 11, 31)
FROM, TO = str(estate.day(NIGHTS.first)), str(estate.day(NIGHTS.last))
day = estate.day


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ninety_nights.make(tmp_path_factory.mktemp("twelve") / "harbour", NIGHTS.numbers)


@pytest.fixture(scope="module")
def path(programme: Path) -> Path:
    made = programme.with_name("bundle.zip")
    assert 3 == answer(["export", "--from", FROM, "--to", TO, "-o", str(made), "-p", str(programme)])
    return made


@pytest.fixture(scope="module")
def bundle(path: Path) -> Bundle:
    return Bundle(path)


def test_the_nights_are_told_as_they_went_and_the_verifier_sees_the_same_gaps(
    programme: Path, path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {str(date): state for date, state in NIGHTS.states().items()} == {
        row["day"]: row["state"] for row in bundle.rows("operation/nights.csv")
    }
    known = ["--key", str(programme / "keys" / "evidence.pub.pem"), "--tsa-ca", str(programme / "keys" / "tsa-ca.pem")]
    capsys.readouterr()
    assert 0 == answer(["verify", str(path), *known, "--from", FROM, "--to", TO, "--json"])
    gaps = [check["detail"] for check in json.loads(capsys.readouterr().out)["checks"] if check["state"] == "gap"]
    assert len(NIGHTS.gaps()) == sum(int(found[1]) if (found := re.search(r"\((\d+) days\)", text)) else 1 for text in gaps)


def test_a_killed_night_was_taken_over_and_a_full_disk_is_on_file(bundle: Bundle) -> None:
    runs = {row["slot"]: row for row in bundle.rows("operation/runs.csv")}
    assert ("complete", "1") == (runs[str(day(estate.KILLED))]["state"], runs[str(day(estate.KILLED))]["resumed"])
    dead = [row for row in bundle.rows("operation/runs.csv") if "the process died" in row["error"]]
    assert [(estate.at(estate.DEAD), "failed")] == [(when(row["as_of"]), row["state"]) for row in dead]
    failed = runs[str(day(estate.FULL_DISK))]
    assert ("failed", "false", True) == (failed["kind"], failed["judged"], "No space left" in failed["error"])


def test_a_finding_that_came_back_has_two_spells(bundle: Bundle) -> None:
    spells = [row for row in bundle.rows("operation/spells.csv") if row["control"] == "human-mfa"]
    assert [(estate.at(11), estate.at(13)), (estate.at(25), estate.at(30))] == [
        (when(row["opened"]), when(row["closed"])) for row in spells
    ]
    assert ["2", "5"] == [row["days"] for row in spells]


def test_what_was_excepted_by_whom(bundle: Bundle) -> None:
    rows = {row["exception"]: row for row in bundle.rows("exceptions/exceptions.csv")}
    used, refused = rows["EX-0001"], rows["EX-0003"]
    assert ("aster/pavel", "ana", "true", "6", "") == tuple(
        used[key] for key in ("requested_by", "approved_by", "in_force", "nights_used", "refused")
    )
    assert (str(day(20)), str(day(30)), str(day(estate.EXPIRES_1))) == (used["first_used"][:10], used["last_used"][:10], used["expires"])
    assert ("0", "false", True) == (
        refused["nights_used"],
        refused["in_force"],
        "requested" in refused["refused"] + refused["refused_first"],
    )


def test_populations_hold_everybody_with_first_and_last_seen(bundle: Bundle) -> None:
    for control, truth in (("rotation-age", seen(NIGHTS.credentials())), ("contract-ended", seen(NIGHTS.of_partners()))):
        rows = bundle.rows(f"populations/{control}.csv")
        assert truth == {row["subject"]: (when(row["first_seen"]), when(row["last_seen"]), int(row["nights"])) for row in rows}, control
        sample = [row["subject"] for row in bundle.rows("samples/samples.csv") if row["control"] == control]
        assert draw(truth, control, f"harbour:{FROM}:{TO}", 25) == sample


def test_who_was_accountable_is_told_as_it_was_that_night(bundle: Bundle) -> None:
    rows = [row for row in bundle.rows("accountability/raci.csv") if row["control"] == "human-mfa" and row["step"] == "review"]
    told = {n: {r["accountable"] for r in rows if when(r["from_as_of"]) <= estate.at(n) <= when(r["to_as_of"])} for n in NIGHTS.judged}
    assert {number: {"ana" if number < estate.OWN_ENTRY else "bo"} for number in NIGHTS.judged} == told
