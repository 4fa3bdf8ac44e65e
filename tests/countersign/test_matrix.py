"""Who answers for what: every duty of the register is in the matrix once, and every view reads well and lets no name act."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign import cli, scaffold
from countersign.programme import load
from countersign.register.matrix import WORDS, Duty, compact, matrix, of_partner, of_person, spoken
from countersign.register.records import STEPS

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.register.records import Register

HOSTILE = "<script>alert(1)</script>\u202egnp.exe =1+1"
CUSTOMER = """\
customer: {id: northwind, name: %s}
people:
  - {id: maria, name: Maria Keller, active: true}
  - {id: dev, name: %s, active: true}
  - {id: tom, name: Tom Left, active: false}
external_people: [{partner: acme}]
teams: {soc: soc@northwind.example}
policies: {human: {}, machine: {}}
"""
ROTATION = """\
control: rotation-age
owners: {business: maria, technical: tom, operational: acme/pavel}
answers: {approves: maria, implements: acme, monitors: [dev, ghost]}
raci:
  provision: {R: acme, A: maria, C: [dev], I: [soc]}
  rotate: {R: acme, A: maria}
  review: {R: dev, A: maria}
fallback: dev
"""
INACTIVE = "control: inactive\nowners: {business: dev}\nraci: {revoke: {A: dev}}\n"
WORKLOAD = "workload: acme-backup\npartner: acme\nowner: maria\nbackup_owner: tom\npurpose: %s\nexpires: 2027-01-31\nidentities: ['aws:*:user/acme-backup']\n"
EXCEPTION = (
    "exception: EX-1\ncontrol: rotation-age\nsubject: 'aws:1:access-key/A'\nrequested_by: dev\napproved_by: maria\nexpires: 2027-01-01\n"
)
JUDGED = {"inactive": "Unused", "rotation-age": "Old", "human-mfa": "No MFA"}


def programme(folder: Path, files: dict[str, str], *, name: str = "Northwind plc") -> Path:
    """Write a programme whose register holds these files beside the customer's."""
    scaffold.init(folder, customer="northwind")
    for old in (folder / "register").rglob("*.yaml"):
        old.unlink()
    quoted = json.dumps("".join(c if c.isprintable() else " " for c in name), ensure_ascii=False)
    partner = f"partner: {{id: acme, name: {quoted}}}\ncontract: {{reference: C-1, starts: 2025-01-01, ends: 2027-01-31}}\n"
    for path, text in {"customer.yaml": CUSTOMER % (quoted, quoted), "partners/acme.yaml": partner, **files}.items():
        (folder / "register" / path).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"controls/rotation.yaml": ROTATION, "workloads/backup.yaml": WORKLOAD % "Nightly backup", "exceptions/EX-1.yaml": EXCEPTION}
    return programme(tmp_path / "northwind", files)


@pytest.fixture
def register(folder: Path) -> Register:
    return load(folder).register


def shown(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.answer(["register", "show", "-p", str(folder), *arguments])
    return code, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> Any:
    return json.loads(shown(capsys, folder, *arguments, "--json")[1])


def test_a_control_is_governed_by_its_own_entry_by_the_default_or_by_nobody(folder: Path) -> None:
    assert {"rotation-age": "own", "inactive": "nobody", "human-mfa": "nobody"} == {
        row.control: row.governed_by for row in matrix(load(folder).register, JUDGED).rows
    }
    (folder / "register" / "controls" / "default.yaml").write_text(INACTIVE.replace("inactive", "default"), encoding="utf-8")
    seen = matrix(load(folder).register, JUDGED)
    assert {"rotation-age": "own", "inactive": "default", "human-mfa": "default"} == {row.control: row.governed_by for row in seen.rows}
    assert {"B A4"} == {compact(row.cells["dev"]) for row in seen.rows if row.governed_by == "default"}
    assert {"register/controls/default.yaml:1"} == {str(row.where) for row in seen.rows if row.governed_by == "default"}


def test_columns_are_the_customers_people_first_and_names_that_mean_nobody_last(register: Register) -> None:
    columns = matrix(register, JUDGED).columns
    assert [
        ("dev", "person"), ("maria", "person"), ("tom", "left"), ("acme", "partner"), ("acme/pavel", "partner-person"), ("soc", "team"),
        ("ghost", "unknown"),
    ] == [(column.id, column.kind) for column in columns]  # fmt: skip


def test_letters_words_and_what_nobody_is_named_for(register: Register) -> None:
    row = next(row for row in matrix(register, JUDGED).rows if row.control == "rotation-age")
    assert {
        "maria": "B A123 a", "tom": "T", "acme/pavel": "O", "acme": "R12 i", "dev": "R3 C1 mf", "ghost": "m", "soc": "I1",
    } == {ref: compact(duties) for ref, duties in row.cells.items()}  # fmt: skip
    assert (compact(row.missing), spoken(row.missing)) == ("R4 A4 r", "responsible for revoke; accountable for revoke; revokes")
    assert spoken(row.cells["maria"]) == "business owner; accountable for provision, rotate, review; approves"


def test_one_person_at_a_time_with_workloads_and_exceptions(register: Register) -> None:
    seen = matrix(register, JUDGED)
    maria, tom = of_person(register, seen, "maria"), of_person(register, seen, "tom")
    assert (maria.owns, maria.approved, [controls for _, controls in maria.duties]) == (("acme-backup",), ("EX-1",), [("rotation-age",)])
    assert (tom.backs_up, tom.column.kind) == (("acme-backup",), "left")
    assert of_person(register, seen, "dev").requested == ("EX-1",)


def test_one_partner_at_a_time_with_who_is_accountable(register: Register) -> None:
    view = of_partner(register, matrix(register, JUDGED), "acme")
    (delivery,) = view.delivers
    assert (compact(delivery.duties), delivery.accountable) == (
        "O R12 i", (("provision", "maria"), ("rotate", "maria"), ("review", "maria"), ("revoke", None)),
    )  # fmt: skip
    assert [("acme-backup", "maria", True, 1)] == [(use.workload, use.owner, use.owner_is_live, use.identities) for use in view.workloads]


duties = st.sets(st.builds(Duty, st.sampled_from("RACI"), st.sampled_from(STEPS)) | st.builds(Duty, st.sampled_from("BTOaimrf")))


@given(duties)
def test_letters_say_each_duty_once(held: set[Duty]) -> None:
    said: Counter[Duty] = Counter()
    for part in compact(tuple(held)).split():
        if part[0] in "RACI" and part[1:].isdigit():
            said.update(Duty(part[0], STEPS[int(digit) - 1]) for digit in part[1:])
        else:
            said.update(Duty(letter) for letter in part)
    assert Counter(held) == said
    assert set(spoken(tuple(held)).split("; ")) - {""} == {
        WORDS[letter] + (f" for {'every step' if len(steps) == 4 else ', '.join(step for step in STEPS if step in steps)}" if steps else "")
        for letter in {duty.letter for duty in held}
        for steps in [{duty.step for duty in held if duty.letter == letter} - {None}]
    }


def test_the_matrix_fits_a_hundred_columns_and_splits_where_it_cannot(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in ("100", "60"):
        monkeypatch.setenv("COLUMNS", columns)
        code, out = shown(capsys, folder, "--matrix", "--control", "rotation-age")
        table = out.partition("\n\nB business")[0]
        assert (code, max(map(len, table.splitlines())) <= int(columns)) == (0, True)
        assert sorted(["B A123 a", "T", "R12 i", "O", "R3 C1 mf", "I1", "m", "R4 A4 r"]) == sorted(
            re.findall(
                r"(?<=  )\S.*?(?=  |$)", "\n".join(line for line in table.splitlines() if line.startswith("rotation-age")), re.MULTILINE
            )
        )


def test_a_control_that_nobody_answers_for_is_said_to_be_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"^inactive +nobody answers for it$", shown(capsys, folder, "--matrix")[1], re.MULTILINE)
    assert "Nobody answers for" in shown(capsys, folder)[1]
    assert "Nobody answers for it" in shown(capsys, folder, "--control", "inactive")[1]
    assert "inactive" in document(capsys, folder)["controls"]["nobody"]


def test_documents_of_json_say_what_the_tables_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = document(capsys, folder, "--matrix", "--person", "tom")
    assert [["rotation-age"], [{"duty": "technical owner", "step": None}]] == [
        [row["control"] for row in seen["rows"]],
        seen["rows"][0]["cells"]["tom"],
    ]
    assert document(capsys, folder, "--person", "maria")["owns"] == ["acme-backup"]
    assert document(capsys, folder, "--partner", "acme")["workloads"][0]["expires"] == "2027-01-31"
    assert document(capsys, folder, "--control", "rotation-age")["agreed"]["fallback"] == "dev"
    assert document(capsys, folder)["partners"] == [
        {"id": "acme", "name": "Northwind plc", "reference": "C-1", "starts": "2025-01-01", "ends": "2027-01-31", "workloads": 1}
    ]


@pytest.mark.parametrize("option", ["--control", "--partner", "--person"])
def test_a_name_that_there_is_not_is_refused(option: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, folder, option, "nobody-such")[0] == 2


def test_hostile_names_do_nothing_on_the_page_and_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"controls/rotation.yaml": ROTATION, "workloads/backup.yaml": WORKLOAD % json.dumps(HOSTILE.replace("\u202e", "\u200b"))}
    folder = programme(tmp_path / "northwind", files, name=HOSTILE)
    page = tmp_path / "page.html"
    code, out = shown(capsys, folder, "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert (code, out) == (0, "")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "⟨U+200B⟩" in text
    assert "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">" in text
    for arguments in ((), ("--matrix",), ("--partner", "acme"), ("--person", "dev")):
        said = shown(capsys, folder, *arguments)[1]
        assert all(char.isprintable() or char == "\n" for char in said)


def test_a_page_that_cannot_be_written_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, folder, "--html", str(folder / "nowhere" / "page.html"))[0] == 4
