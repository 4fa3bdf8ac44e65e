"""Ninety nights with gaps, failures, exceptions and a partner who leaves, exported, and every answer of the bundle held against the truth."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from countersign.cli import answer
from tests.acceptance import ninety_estate as estate
from tests.acceptance import ninety_nights
from tests.acceptance.ninety_truth import Bundle, Nights, draw, seen, when, written

if TYPE_CHECKING:
    from collections.abc import Callable

NIGHTS = Nights(tuple(number for number in range(estate.DAYS) if number not in estate.MISSING), 0, estate.DAYS - 1)
PERIOD = ("--from", str(estate.FIRST), "--to", str(estate.LAST))
day = estate.day
# Who is accountable for a control, from which night to which.
ACCOUNTABLE = {
    "rotation-age": [("ana", 0, estate.NEW_ACCOUNTABLE - 1), ("eve", estate.NEW_ACCOUNTABLE, 89)],
    "human-mfa": [("ana", 0, estate.OWN_ENTRY - 1), ("bo", estate.OWN_ENTRY, 89)],
    "contract-ended": [("ana", 0, 89)],
}
NAMES = ninety_nights.PEOPLE | ninety_nights.PARTNERS
# What only one partner's evidence may hold: names, accounts, people who answer for nobody else, what was said of it.
MARKERS = {
    "aster": ["aster", estate.ASTER_TENANT, "Söhne", "pavel", "dana", "EX-000", "Two addresses", "the vendor", "invoice"],
    "borealis": ["borealis", "ivy@", "ivy,", "Borealiskeeper", "HB-borealis"],
    "cobalt": ["cobalt", "gil@", "gil,", "Cobaltkeeper", "onerror=alert(1)", "evil.example"],
}
OURS = ["svc-0", "svc-1", "helga", "payroll", "long xxx"]


def exported(programme: Path, target: Path, *words: str) -> Path:
    assert 3 == answer(["export", *PERIOD, "-o", str(target), "-p", str(programme), *words])
    return target


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ninety_nights.make(tmp_path_factory.mktemp("ninety") / "harbour", NIGHTS.numbers)


@pytest.fixture(scope="module")
def path(programme: Path) -> Path:
    return exported(programme, programme.with_name("bundle.zip"))


@pytest.fixture(scope="module")
def bundle(path: Path) -> Bundle:
    return Bundle(path)


@pytest.fixture(scope="module")
def page(bundle: Bundle) -> str:
    return bundle.page()


def keys(programme: Path) -> list[str]:
    return [word for name in ("evidence", "evidence-2") for word in ("--key", str(programme / "keys" / f"{name}.pub.pem"))]


def verified(programme: Path, bundle: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = answer(["verify", str(bundle), *keys(programme), "--tsa-ca", str(programme / "keys" / "tsa-ca.pem"), "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def the(rows: list[dict[str, str]], **wanted: str) -> list[dict[str, str]]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


# --- Which nights are missing -------------------------------------------------------------------------------------------------------


def test_the_nights_are_told_as_they_went_in_every_format(bundle: Bundle, page: str) -> None:
    truth = {str(date): state for date, state in NIGHTS.states().items()}
    assert truth == {row["day"]: row["state"] for row in bundle.rows("operation/nights.csv")}
    assert truth == {written(row["day"]): row["state"] for row in bundle.sheet("Nights")}
    props = {each["name"]: each["value"] for each in bundle.oscal("assessment-results")["results"][0]["props"]}
    states = ("complete", "partial", "stopped", "failed", "missing")
    counts = {state: list(truth.values()).count(state) for state in states}
    assert {f"nights-{state}": str(count) for state, count in counts.items()} == {
        name: props[name] for name in (f"nights-{s}" for s in states)
    }
    assert "of 90 nights, 82 are complete, 2 read only in part, 1 stopped by the run guard, 2 failed, 3 missing" in page
    for text in (
        f"{day(9)} to {day(10)} 2 missing",
        f"{day(44)} 1 missing",
        f"{day(12)} 1 failed",
        f"{day(80)} 1 stopped by the run guard",
    ):
        assert text in page


def test_failures_say_why_and_where_they_are_on_file(bundle: Bundle, page: str) -> None:
    failed, dead = the(bundle.rows("operation/runs.csv"), kind="failed")
    # Who found the dead run put it on file as what it was: a run of the night before.
    assert (estate.at(estate.DEAD), True) == (when(dead["as_of"]), "the process died" in dead["error"])
    assert f"{day(estate.DEAD)} 1 failed" in page
    assert (str(day(estate.FULL_DISK)), "No space left on device" in failed["error"]) == (failed["slot"], True)
    entries = re.search(rf"{day(estate.FULL_DISK)} 1 failed .{{0,200}}?inventory/identities.parquet'\D*(\d+)", page)
    assert entries is not None
    # The night's failure is sealed: a reader is led to its entry.
    assert failed["sequence"] == entries[1]
    (killed,) = the(bundle.rows("operation/runs.csv"), slot=str(day(estate.KILLED)))
    assert ("complete", "1") == (killed["state"], killed["resumed"])
    twice = [row["slot"] for row in bundle.rows("operation/runs.csv") if (row["as_of"] or "").startswith(str(day(estate.TWICE)))]
    assert [str(day(estate.TWICE)), f"{day(estate.TWICE)}-again"] == twice
    (night,) = the(bundle.rows("operation/nights.csv"), day=str(day(estate.TWICE)))
    assert ("2", "0") == (night["runs"], night["failures"])


def test_the_verifier_names_the_same_gaps_and_the_late_timestamps(programme: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verified(programme, path, capsys, *PERIOD)
    assert 0 == code
    gaps = [check["detail"] for check in said["checks"] if check["state"] == "gap"]
    days = {date for text in gaps for date in re.findall(r"\d{4}-\d\d-\d\d", text)}
    # All gaps of this estate are one or two days long, so first and last day are all there is.
    assert {str(date) for date in NIGHTS.gaps()} == days
    late = [check["detail"] for check in said["checks"] if check["name"] == "timestamps" and check["state"] == "info"]
    assert len(estate.NO_TIMESTAMPS) == len(late), late


# --- Who is accountable -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", ACCOUNTABLE)
def test_who_was_accountable_is_told_for_every_night(bundle: Bundle, control: str) -> None:
    rows = [row for row in bundle.rows("accountability/raci.csv") if row["control"] == control and row["step"] == "rotate"]
    told = {}
    for number in NIGHTS.judged:
        at = estate.at(number)
        told[number] = {row["accountable"] for row in rows if when(row["from_as_of"]) <= at <= when(row["to_as_of"])}
    truth = {number: {who} for who, first, last in ACCOUNTABLE[control] for number in range(first, last + 1) if number in NIGHTS.judged}
    assert truth == told
    (last,) = the(bundle.rows("operation/controls.csv"), control=control)
    assert ACCOUNTABLE[control][-1][0] == last["accountable"]


def test_a_reader_finds_who_is_accountable(bundle: Bundle, page: str) -> None:
    people = page[page.index("People, and what they answer for") :]
    for control, spans in ACCOUNTABLE.items():
        name = NAMES[spans[-1][0]]
        part = people[people.index(name) :]
        assert control in part[: part.index("controls") + 2500].split(" controls ", 1)[1]
    findings = {each["target"]["target-id"]: each for each in bundle.oscal("assessment-results")["results"][0]["findings"]}
    for control in ("rotation-age", "human-mfa"):
        if control in findings:
            props = {each["name"]: each["value"] for each in findings[control]["props"]}
            assert ACCOUNTABLE[control][-1][0] == props["accountable"]


def test_a_leaver_is_shown_as_one_and_what_she_owned_is_found(bundle: Bundle) -> None:
    people = {row["person"]: row["active"] for row in bundle.rows("accountability/people.csv")}
    assert {"dana": "false", "lee": "false", "ana": "true", "eve": "true"} == {who: people[who] for who in ("dana", "lee", "ana", "eve")}
    spells = the(bundle.rows("operation/spells.csv"), control="owner-live")
    assert {("aster-night-0", str(day(estate.LEAVES))), ("aster-night-1", str(day(estate.LEAVES)))} == {
        (row["identity_name"], row["opened"][:10]) for row in spells
    }


# --- How long was key Y overdue -----------------------------------------------------------------------------------------------------


def spell(bundle: Bundle, user: str) -> dict[str, str]:
    (row,) = the(bundle.rows("operation/spells.csv"), control="rotation-age", subject=ninety_nights.key_of(user))
    return row


def test_how_long_a_key_was_overdue(bundle: Bundle, page: str) -> None:
    row = spell(bundle, estate.OVERDUE)
    opened, closed = estate.at(estate.OVERDUE_FROM), estate.at(estate.ROTATED)
    assert ("resolved", opened, closed, "17") == (row["state"], when(row["opened"]), when(row["closed"]), row["days"])
    # Seven days were agreed to rotate it in, so ten of the seventeen are overdue.
    assert (opened + timedelta(7), "10") == (when(row["due"]), row["overdue_days"])
    assert f"{row['subject']} 10 days high rotation-age" in page
    assert f"from {day(estate.OVERDUE_FROM)} due {day(estate.OVERDUE_FROM + 7)} held again {day(estate.ROTATED)} , after 17 days" in page
    (clock,) = the(bundle.rows("tickets/clocks.csv"), fingerprint=row["fingerprint"], clock="rotate")
    assert (str(17 * 86400), str(7 * 86400), "false", "false") == (
        clock["taken_seconds"],
        clock["agreed_seconds"],
        clock["running"],
        clock["met"],
    )


def test_what_is_still_overdue_is_so_in_every_format(bundle: Bundle, page: str) -> None:
    row = spell(bundle, estate.STANDING)
    assert ("open", estate.at(estate.STANDING_FROM), "29", "22", "gil") == (
        row["state"],
        when(row["opened"]),
        row["days"],
        row["overdue_days"],
        row["accountable"],
    )
    assert f"{row['subject']} 22 days high rotation-age" in page
    (sheet,) = [each for each in bundle.sheet("Overdue") if each["subject"] == row["subject"] and each["control"] == "rotation-age"]
    assert "22" == sheet["overdue_days"].split(".")[0]
    items = [each for each in bundle.oscal("plan-of-action-and-milestones")["poam-items"] if row["fingerprint"] in json.dumps(each)]
    assert ["Open for 29 days. Overdue by 22 days."] == [each["description"].split(" It is done")[0] for each in items]


def test_a_finding_that_came_back_has_two_spells_and_a_stopped_or_partial_night_ends_none(bundle: Bundle) -> None:
    spells = [(when(row["opened"]), when(row["closed"])) for row in the(bundle.rows("operation/spells.csv"), control="human-mfa")]
    assert [(estate.at(5), estate.at(13)), (estate.at(25), estate.at(30))] == spells
    standing = the(bundle.rows("operation/spells.csv"), control="rotation-age", identity_name="svc-05")
    assert [("open", estate.at(0), "0")] == [(row["state"], when(row["opened"]), row["reopened"]) for row in standing]


# --- What was excepted by whom ------------------------------------------------------------------------------------------------------


def test_what_was_excepted_by_whom_from_when_to_when(bundle: Bundle, page: str) -> None:
    nights = {
        "EX-0001": [number for number in NIGHTS.judged if estate.APPROVED_1 <= number < estate.APPROVED_2],
        "EX-0002": [number for number in NIGHTS.judged if estate.APPROVED_2 <= number < estate.ENDED],
    }
    for rows in (bundle.rows("exceptions/exceptions.csv"), bundle.sheet("Exceptions")):
        told = {row["exception"]: row for row in rows}
        assert ["EX-0001", "EX-0002", "EX-0003"] == sorted(told)
        for name, used in nights.items():
            row = told[name]
            assert ("aster/pavel", "ana", str(len(used))) == (row["requested_by"], row["approved_by"], row["nights_used"].split(".")[0])
            assert (str(day(used[0])), str(day(used[-1]))) == (written(row["first_used"]), written(row["last_used"]))
        assert (str(day(estate.APPROVED_1)), str(day(estate.EXPIRES_1))) == (
            written(told["EX-0001"]["approved_on"]),
            written(told["EX-0001"]["expires"]),
        )
        assert str(day(estate.ENDED)) == written(told["EX-0002"]["ended_on"])
        assert estate.REASON.split("\n")[0] in told["EX-0001"]["reason"]
    for name, used in nights.items():
        part = page[page.index("Exceptions An exception") :]
        part = part[part.index(name) :]
        assert f"Asked by aster/pavel Approved by {NAMES['ana']}" in part[:900]
        assert f"Used on {len(used)} nights, {day(used[0])} to {day(used[-1])}" in part[:1200]


def test_nothing_says_that_a_used_exception_kept_nothing_from_counting(page: str) -> None:
    for sentence in re.findall(r"[^.]*kept nothing from counting: [^.]*\.", page):
        assert ("EX-0001" in sentence, "EX-0002" in sentence) == (False, False), sentence


def test_who_approved_their_own_request_excepted_nothing_and_the_bundle_says_why(bundle: Bundle) -> None:
    (row,) = the(bundle.rows("exceptions/exceptions.csv"), exception="EX-0003")
    assert ("ana", "ana", "0", "false") == (row["requested_by"], row["approved_by"], row["nights_used"], row["in_force"])
    assert "requested" in row["refused"] + row["refused_first"]


# --- The partner who left -----------------------------------------------------------------------------------------------------------


def test_the_last_access_of_a_partner_whose_contract_ended(bundle: Bundle, page: str) -> None:
    (row,) = bundle.rows("partners/offboardings.csv")
    assert ("borealis", str(day(estate.CONTRACT_ENDS)), "10", "gone", "0") == (
        row["partner"], row["ended_on"], row["identities_at_end"], row["state"], row["left_over"],
    )  # fmt: skip
    assert estate.at(estate.LONGEST_UNTIL) == when(row["last_seen"])
    assert (str(day(estate.LONGEST_UNTIL + 1)), str(estate.LONGEST_UNTIL + 1 - estate.CONTRACT_ENDS)) == (
        row["gone_on"],
        row["days_to_gone"],
    )
    spells = {r["identity_name"].split("@")[0]: r for r in the(bundle.rows("operation/spells.csv"), control="contract-ended")}
    assert 10 == len(spells)
    over = estate.at(estate.CONTRACT_ENDS + 1)
    for name, spell in spells.items():
        last = estate.LONGEST_UNTIL if name == "borealis-job-07" else estate.LINGERS_UNTIL
        assert (over, estate.at(last + 1), str(last - estate.CONTRACT_ENDS)) == (
            when(spell["opened"]),
            when(spell["closed"]),
            spell["days"],
        )
    part = page[page.index("Partners whose contract ended") :][:600]
    for text in (NAMES["borealis"], str(day(estate.CONTRACT_ENDS)), str(day(estate.LONGEST_UNTIL)), str(day(estate.LONGEST_UNTIL + 1))):
        assert text in part


# --- Populations and samples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "truth"),
    [("rotation-age", NIGHTS.credentials), ("contract-ended", NIGHTS.of_partners), ("workload-registered", NIGHTS.of_partners)],
    ids=["rotation-age", "contract-ended", "workload-registered"],
)
def test_populations_hold_everybody_with_first_and_last_seen(bundle: Bundle, control: str, truth: Callable[[], Any]) -> None:
    rows = bundle.rows(f"populations/{control}.csv")
    told = {row["subject"]: (when(row["first_seen"]), when(row["last_seen"]), int(row["nights"])) for row in rows}
    expected = seen(truth())
    assert set(expected) == set(told)
    assert {} == {subject: (expected[subject], told[subject]) for subject in expected if expected[subject] != told[subject]}


def test_whoever_is_renamed_stays_one_subject(bundle: Bundle) -> None:
    rows = [row for row in bundle.rows("populations/contract-ended.csv") if row["identity_name"] in ("Cobalt Connector", "Cobalt Bridge")]
    assert ["Cobalt Bridge"] == [row["identity_name"] for row in rows]


def test_anybody_draws_the_same_sample(bundle: Bundle, programme: Path, tmp_path: Path) -> None:
    chosen = Bundle(exported(programme, tmp_path / "chosen.zip", "--samples", "7", "--seed", "auditor's own, 7 May"))
    for made, size, seed in ((bundle, 25, f"harbour:{estate.FIRST}:{estate.LAST}"), (chosen, 7, "auditor's own, 7 May")):
        sample: dict[str, list[str]] = {}
        for row in made.rows("samples/samples.csv"):
            sample.setdefault(row["control"], []).append(row["subject"])
        populations = {name.split("/")[1][:-4] for name in made.files if name.startswith("populations/") and name.endswith(".csv")}
        expected = {c: draw([row["subject"] for row in made.rows(f"populations/{c}.csv")], c, seed, size) for c in populations}
        assert {control: drawn for control, drawn in expected.items() if drawn} == sample
        assert {(row["control"], row["subject"]) for row in made.sheet("Samples")} == {(c, s) for c, drawn in sample.items() for s in drawn}


def test_a_scope_that_was_not_read_for_a_night_is_not_told_as_read_on_all(bundle: Bundle) -> None:
    (number,) = (number for number, what in estate.PARTIAL.items() if what == "aws")
    rows = [
        row for row in bundle.rows("completeness/sources.csv") if row["scope"] == estate.MAIN and row["as_of"].startswith(str(day(number)))
    ]
    assert [True] == [row["state"] != "complete" and row["reason"] != "" for row in rows]


# --- Same evidence, same bytes; nothing of others -----------------------------------------------------------------------------------


def test_the_same_period_gives_the_same_bytes_also_later_elsewhere_and_after_another_night(
    programme: Path, path: Path, tmp_path: Path
) -> None:
    first = path.read_bytes()
    assert first == exported(programme, tmp_path / "again.zip").read_bytes()
    moved = tmp_path / "moved"
    shutil.copytree(programme, moved)
    # The authority is gone by now; the night after the period is one without.
    settings = (moved / "countersign.yaml").read_text()
    (moved / "countersign.yaml").write_text(re.sub(r"  timestamps:\n(    .*\n)+", "", settings))
    ninety_nights.run(moved, estate.DAYS + 3)
    words = (sys.executable, "-m", "countersign", "export", *PERIOD, "-o", str(tmp_path / "other.zip"), "-p", str(moved))
    environment = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    assert 3 == done.returncode, done.stderr
    assert first == (tmp_path / "other.zip").read_bytes()


@pytest.mark.parametrize("partner", MARKERS)
def test_a_partners_bundle_tells_nothing_of_others(
    programme: Path, partner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported(programme, tmp_path / "partner.zip", "--partner", partner)
    others = [marker for other, markers in MARKERS.items() if other != partner for marker in markers]
    ids = [i.id for i in estate.IDENTITIES if i.partner != partner] + [
        k.id for i in estate.IDENTITIES if i.partner != partner for k in i.keys if k.id
    ]
    made = Bundle(path)
    assert {} == made.told([*others, *OURS, *ids])
    assert made.told([partner])
    assert (0, []) == ((said := verified(programme, path, capsys, *PERIOD))[0], said[1]["problems"])


def test_file_names_of_the_customers_own_stay_at_home_too(programme: Path, tmp_path: Path) -> None:
    assert {} == Bundle(exported(programme, tmp_path / "partner.zip", "--partner", "cobalt")).told(["warehouse"])


def test_a_pseudonymised_bundle_tells_no_name_at_all(programme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(programme, tmp_path / "outside.zip", "--pseudonymise")
    names = (
        [marker for markers in MARKERS.values() for marker in markers] + OURS + [estate.MAIN, estate.LATER, estate.TENANT, estate.PROJECT]
    )
    names += ["Neill", "SUM(A1", "Öztürk", "Long-Gone", "local:", "cs1-", "warehouse", "passwd"]
    names += [i.id for i in estate.IDENTITIES] + [k.id for i in estate.IDENTITIES for k in i.keys if k.id]
    made = Bundle(path)
    assert {} == made.told(names)
    code, said = verified(programme, path, capsys, *PERIOD)
    assert (0, []) == (code, said["problems"])
    rows = made.rows("populations/rotation-age.csv")
    assert len(seen(NIGHTS.credentials())) == len({row["subject"] for row in rows})
    # The sample is drawn from the pseudonyms, so that its reader can draw it again.
    sample = [row["subject"] for row in made.rows("samples/samples.csv") if row["control"] == "rotation-age"]
    assert draw([row["subject"] for row in rows], "rotation-age", f"harbour:{estate.FIRST}:{estate.LAST}", 25) == sample


def test_no_name_runs_in_a_browser_or_a_spreadsheet(bundle: Bundle) -> None:
    page = bundle.files["index.html"].decode()
    for hostile in (estate.IMAGE, "<script>alert", "<img src=x", "\x1b", "\u202e"):
        assert hostile not in page
    for name, content in bundle.files.items():
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(content.decode(), newline="")) for cell in row]
            assert [] == [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")], name
