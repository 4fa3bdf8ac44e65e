"""A finding is accepted for a time by the right person only: what the program refuses to write, it calls a fault where it was written by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from countersign import cli, findings_file, scaffold
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.register import exception_file
from countersign.register.check import check
from countersign.register.exceptions import SIGNED, exception_valid, faults, statement
from countersign.register.load import load_register
from countersign.register.records import RegisteredException
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime.now(UTC)  # the program goes by the clock on the wall
TODAY = NOW.date()
SUBJECT = "aws:111111111111:access-key/old@20250101T000000Z"
ADA, BEN = Key(), Key()


def day(days: int) -> str:
    return str(TODAY + timedelta(days=days))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A programme of the scaffold: business-owner (Ada) and technical-owner (Ben) are accountable for every control."""
    folder = tmp_path / "northwind"
    scaffold.init(folder)
    customer = folder / "register" / "customer.yaml"
    text = customer.read_text(encoding="utf-8").replace("timezone: UTC", "timezone: Etc/UTC")
    people = "  - {id: twin, name: Ada again, email: ADA@example.example, active: true}\n  - {id: lee, name: Lee, active: false}\n"
    text = text.replace("people:\n", f"people:\n{people}") + "exceptions: {max_span: P90D, max_renewals: 1}\n"
    customer.write_text(text, encoding="utf-8")
    return folder


def said(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = cli.answer(["exception", *words, "-p", str(home), "--json"])
    return code, json.loads(capsys.readouterr().out)


REQUEST = {
    "control": "rotation-age", "subject": SUBJECT, "reason": "The vendor is frozen until spring.", "compensating-control": "An allow-list.",
    "exit-criteria": "The vendor has rotated.", "expires": day(20), "by": "example-partner/operator",
}  # fmt: skip


def request(**changes: str) -> list[str]:
    given_ = REQUEST | {name.replace("_", "-"): value for name, value in changes.items()}
    return ["request", *(word for name, value in given_.items() for word in (f"--{name}", value))]


def by_hand(home: Path, number: int = 1, **changes: object) -> Path:
    """Write an exception that holds, but for the changes; None takes a field away."""
    fields: dict[str, object] = {
        "exception": f"EX-{number:04}", "control": "rotation-age", "subject": SUBJECT, "reason": "frozen", "compensating_control": "an allow-list",
        "exit_criteria": "rotated", "requested_by": "example-partner/operator", "approved_by": "business-owner", "approved_on": day(-1),
        "expires": day(20), **changes,
    }  # fmt: skip
    path = home / "register" / "exceptions" / f"EX-{number:04}.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in fields.items() if value is not None}), encoding="utf-8")
    return path


def rules(home: Path, number: int = 1) -> set[str]:
    """Give the rules that an exception breaks; it holds where it breaks none and is approved."""
    register = load_register(home / "register")
    entry = register.exceptions[f"EX-{number:04}"]
    broken = {problem.rule for problem in check(register, TODAY) if problem.where.file.endswith(f"EX-{number:04}.yaml")}
    holds = not broken and entry.approved_by is not None and entry.ended_on is None and entry.expires >= TODAY
    assert holds == (exception_valid(register, entry, NOW) is None)
    return broken


def signers(home: Path, *lines: str) -> None:
    (home / "register" / "allowed_signers").write_text("".join(lines), encoding="utf-8")


def signed(home: Path, key: Key, number: int = 1, name: str | None = None) -> None:
    """Put a signature of what the exception says beside it."""
    register = load_register(home / "register")
    entry = register.exceptions[f"EX-{number:04}"]
    assert entry.approved_by is not None
    assert entry.approved_on is not None
    text = key.sign(statement(register, entry, entry.approved_by, entry.approved_on).message())
    (home / "register" / "exceptions" / (name or f"EX-{number:04}.sig")).write_text(text, encoding="utf-8")


def test_an_exception_goes_from_its_request_to_its_end(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, asked = said(capsys, home, *request())
    file = home / "register" / "exceptions" / "EX-0001.yaml"
    assert (code, asked["exception"], asked["file"], asked["may_approve"]) == (
        0,
        "EX-0001",
        str(file),
        ["business-owner", "technical-owner"],
    )
    assert rules(home) == set()
    assert [row["state"] for row in said(capsys, home, "list")[1]] == ["requested"]

    # What a person writes into the file stays.
    file.write_text("# asked by phone\n" + file.read_text(encoding="utf-8") + "\n# see the vendor's letter\n", encoding="utf-8")
    code, approved = said(capsys, home, "approve", "EX-1", "--as", "business-owner")
    assert (code, approved["approved_by"], approved["approved_on"], approved["signature"]) == (0, "business-owner", str(TODAY), None)
    text = file.read_text(encoding="utf-8")
    assert (text.startswith("# asked by phone\n"), "# see the vendor's letter\n" in text) == (True, True)
    code, (row,) = said(capsys, home, "list")
    assert (code, row["state"], row["days_left"], row["renewals"], row["renewals_allowed"]) == (0, "approved", 20, 0, 1)
    assert said(capsys, home, "approve", "EX-1", "--as", "business-owner")[0] == 2

    assert said(capsys, home, *request())[1]["fix"] == "renew it: countersign exception renew EX-0001"
    code, renewed = said(capsys, home, "renew", "EX-1", "--expires", day(60), "--by", "duty-manager", "--reason", "still frozen")
    assert (code, renewed["exception"], renewed["entry"]["renews"], renewed["entry"]["reason"]) == (0, "EX-0002", "EX-0001", "still frozen")
    assert said(capsys, home, "approve", "EX-0002", "--as", "technical-owner")[0] == 0
    code, refused = said(capsys, home, "renew", "EX-2", "--expires", day(80), "--by", "duty-manager")
    assert (code, "may be renewed once" in refused["error"]) == (2, True)
    assert "EX-0002 renews EX-0001 already" in said(capsys, home, "renew", "EX-1", "--expires", day(80), "--by", "duty-manager")[1]["error"]

    assert said(capsys, home, "end", "EX-2")[1]["ended_on"] == str(TODAY)
    assert {row["exception"]: row["state"] for row in said(capsys, home, "list")[1]} == {"EX-0001": "approved", "EX-0002": "ended"}
    assert (rules(home), rules(home, 2), said(capsys, home, "end", "EX-2")[0]) == (set(), set(), 2)


@dataclass(frozen=True)
class Wrong:
    """One way not to accept a finding: how it is asked and approved for, how it looks when written by hand, and what is said."""

    rule: str
    why: str
    ask: dict[str, str]
    who: str = "business-owner"
    hand: dict[str, object] | None = None
    asked: bool = False
    """Whether it can be asked for, and is refused only when it is to be approved."""


WRONG = {
    "by oneself": Wrong("exception-approver", "that they requested", {"by": "business-owner"}, hand={"requested_by": "business-owner"}, asked=True),
    "by oneself at a partner": Wrong(
        "exception-approver", 'as "example-partner/business-owner"', {"by": "example-partner/business-owner"},
        hand={"requested_by": "example-partner/business-owner"}, asked=True,
    ),
    "by oneself under another name": Wrong("exception-approver", 'as "twin"', {"by": "twin"}, hand={"requested_by": "twin"}, asked=True),
    "by a partner": Wrong(
        "exception-approver", "is a partner's", {}, who="example-partner/operator",
        hand={"approved_by": "example-partner/operator", "requested_by": "duty-manager"}, asked=True,
    ),
    "by a leaver": Wrong("exception-approver", "no longer active", {}, who="lee", hand={"approved_by": "lee"}, asked=True),
    "by somebody else": Wrong("exception-approver", "not accountable", {}, who="duty-manager", hand={"approved_by": "duty-manager"}, asked=True),
    "by nobody known": Wrong("unknown-name", "no person called", {}, who="nobody", hand={"approved_by": "nobody"}, asked=True),
    "for a stranger": Wrong("unknown-name", "no person, partner or team called", {"by": "nobody"}, hand={"requested_by": "nobody"}),
    "over": Wrong("exception-expired", "expired on", {"expires": day(-1)}, hand={"expires": day(-1)}),
    "for too long": Wrong("exception-span", "90 days are allowed", {"expires": day(91)}, hand={"expires": day(90)}),
    "no reason": Wrong("exception-reason", "why", {"reason": " "}, hand={"reason": None}),
    "no protection": Wrong("exception-compensating-control", "protects", {"compensating_control": ""}, hand={"compensating_control": None}),
    "no end": Wrong("exception-exit-criteria", "to end", {"exit_criteria": ""}, hand={"exit_criteria": None}),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_the_program_refuses_is_a_fault_when_it_is_written_by_hand(
    home: Path, wrong: Wrong, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = said(capsys, home, *request(**wrong.ask))
    assert code == (0 if wrong.asked else 2)
    if wrong.asked:
        code, answer = said(capsys, home, "approve", "EX-1", "--as", wrong.who)
        assert code == 2
    assert wrong.why in answer["error"]

    by_hand(home, **(wrong.hand or {}))
    assert rules(home) - {"exception-names"} == {wrong.rule} - {"unknown-name"}
    register = load_register(home / "register")
    entry = register.exceptions["EX-0001"]
    assert {fault.rule for fault in faults(register, entry, TODAY)} == {wrong.rule}
    assert all(fault.message and fault.fix for fault in faults(register, entry, TODAY))


HAND = {
    "without a day": ({"approved_on": None}, {"exception-approved-on"}),
    "on a day to come": ({"approved_on": day(1)}, {"exception-approved-on"}),
    "by a name that was taken out": ({"approved_by": None, "approval": "EX-0001.sig"}, {"exception-approver", "exception-approved-on"}),
    "renews nothing": ({"renews": "EX-0009"}, {"exception-renewal"}),
    "renews itself": ({"renews": "EX-0001"}, {"exception-renewal"}),
    "ended": ({"ended_on": day(0), "approved_by": "lee", "expires": day(-90)}, set()),
    "only asked for": ({"approved_by": None, "approved_on": None, "reason": None}, set()),
}  # fmt: skip


@pytest.mark.parametrize("case", HAND.values(), ids=HAND)
def test_what_can_be_wrong_only_by_hand(home: Path, case: tuple[dict[str, object], set[str]]) -> None:
    fields, broken = case
    by_hand(home, **fields)
    assert broken - {"exception-approved-on"} <= rules(home) <= broken


def test_renewals_are_counted_whatever_the_numbers_and_a_ring_ends(home: Path) -> None:
    by_hand(home, 1, expires=day(-40), approved_on=day(-60))
    assert rules(home, 1) == {"exception-expired"}
    by_hand(home, 2, expires=day(5), approved_on=day(-41), renews="EX-0001")
    assert (rules(home, 1), rules(home, 2)) == (set(), set())
    by_hand(home, 3, expires=day(20), renews="EX-0002")
    assert rules(home, 3) == {"exception-renewal"}
    by_hand(home, 3, expires=day(20))  # a fresh number does not begin the count anew
    assert rules(home, 3) == {"exception-renewal"}
    by_hand(home, 3, expires=day(20), subject="aws:111111111111:access-key/another", renews="EX-0002")
    assert rules(home, 3) == {"exception-renewal"}
    by_hand(home, 3, expires=day(20), subject="aws:111111111111:access-key/another")
    by_hand(home, 1, expires=day(6), renews="EX-0002")
    assert (rules(home, 1), rules(home, 2), rules(home, 3)) == ({"exception-renewal"}, {"exception-renewal"}, set())


SIGNATURES: dict[str, Callable[[Path], object]] = {
    "none": lambda home: by_hand(home, approval=None),
    "missing": lambda _home: None,
    "no signature": lambda home: (home / "register" / "exceptions" / "EX-0001.sig").write_text("LGTM"),
    "forged": lambda home: signed(home, BEN),
    "of another text": lambda home: (by_hand(home, expires=day(5), approval="EX-0001.sig"), signed(home, ADA), by_hand(home, approval="EX-0001.sig")),
    "of another exception": lambda home: (by_hand(home, 2, subject="aws:1:user/x"), signed(home, ADA, 2, "EX-0001.sig")),
    "of another day": lambda home: (signed(home, ADA), by_hand(home, approved_on=day(0), approval="EX-0001.sig")),
    "for another approver": lambda home: (signed(home, ADA), by_hand(home, approved_by="technical-owner", approval="EX-0001.sig")),
    "with a key that has ended": lambda home: (signed(home, ADA), signers(home, ADA.line("business-owner", f'valid-before="{TODAY:%Y%m%d}Z"'))),
    "with a key of two": lambda home: (signed(home, ADA), signers(home, ADA.line("business-owner"), ADA.line("technical-owner"))),
}  # fmt: skip


@pytest.mark.parametrize("spoil", SIGNATURES.values(), ids=SIGNATURES)
def test_where_signatures_are_demanded_only_the_approvers_own_over_this_very_text_holds(
    home: Path, spoil: Callable[[Path], object]
) -> None:
    signers(home, ADA.line("ada@example.example", 'namespaces="countersign"'), BEN.line("technical-owner"))
    by_hand(home, approval="EX-0001.sig")
    spoil(home)
    assert rules(home) == {"exception-signature"}


def test_whose_key_is_whose_is_checked_line_by_line(home: Path) -> None:
    signers(
        home, "# ours\n", ADA.line("business-owner,ada@example.example"), Key().line("lee"), BEN.line("technical-owner"), BEN.line("business-owner"),
        Key().line("example-partner/operator"), Key().line("ops@partner.example"), Key().line("*@example.example"), Key().line("bussiness-owner"),
        Key().line("*", 'namespaces="git"'), "nonsense\n",
    )  # fmt: skip
    told = [problem for problem in check(load_register(home / "register"), TODAY) if problem.rule == "allowed-signers"]
    assert [str(problem.where) for problem in told] == [f"register/allowed_signers:{line}" for line in (5, 6, 7, 8, 9, 11)]
    assert told[4].fix == "did you mean `business-owner`?"


def test_a_signature_holds_until_its_maker_leaves(home: Path) -> None:
    signers(home, ADA.line("ada@example.example", 'namespaces="countersign"'))
    by_hand(home, approval="EX-0001.sig")
    signed(home, ADA)
    assert rules(home) == set()
    customer = home / "register" / "customer.yaml"
    text = customer.read_text(encoding="utf-8").replace("ada@example.example, active: true", "ada@example.example, active: false")
    customer.write_text(text, encoding="utf-8")
    assert {"exception-approver", "exception-signature"} == rules(home)


def test_every_field_is_signed_or_can_only_end_what_was_approved(home: Path) -> None:
    by_hand(home)
    register = load_register(home / "register")
    entry = register.exceptions["EX-0001"]
    said_ = statement(register, entry, "business-owner", TODAY).message()
    others: dict[str, object] = {"expires": TODAY + timedelta(days=1), "renews": "EX-0002", "exception": "EX-0003"}
    for name in SIGNED:
        changed = entry.model_copy(update={name: others.get(name, "another")})
        assert said_ != statement(register, changed, "business-owner", TODAY).message(), name
    # Who and when stand in the statement, the rest names the signature's file or ends the exception.
    assert set(RegisteredException.model_fields) - set(SIGNED) == {"approved_by", "approved_on", "approval", "ended_on"}
    assert said_ != statement(register, entry, "technical-owner", TODAY).message()
    assert said_ != statement(register, entry, "business-owner", TODAY - timedelta(days=1)).message()


def test_an_approval_signed_elsewhere_finds_its_way_in(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signers(home, ADA.line("business-owner"), BEN.line("technical-owner"))
    said(capsys, home, *request())
    code, refused = said(capsys, home, "approve", "EX-1", "--as", "business-owner")
    assert (code, "an approval is signed" in refused["error"]) == (2, True)
    assert cli.answer(["exception", "statement", "EX-1", "--as", "business-owner", "-p", str(home)]) == 0
    told = capsys.readouterr()
    assert (told.out.encode(), "exit criteria: The vendor has rotated." in told.err) == (to_sign(home, TODAY), True)
    before = sorted((home / "register" / "exceptions").iterdir())
    for key, message, why in (
        (BEN, to_sign(home, TODAY), 'is not "business-owner"\'s'),
        (ADA, to_sign(home, TODAY) + b"\n", "no signature of this approval"),
        (ADA, to_sign(home, TODAY - timedelta(days=8)), "made in the last 7 days"),
    ):
        (tmp_path / "it.sig").write_text(key.sign(message))
        code, refused = said(capsys, home, "approve", "EX-1", "--as", "business-owner", "--signature", str(tmp_path / "it.sig"))
        assert (code, why in refused["error"]) == (2, True), refused
    assert before == sorted((home / "register" / "exceptions").iterdir())
    (tmp_path / "it.sig").write_text(ADA.sign(to_sign(home, TODAY - timedelta(days=7))))
    words = ("approve", "EX-1", "--as", "business-owner", "--signature", str(tmp_path / "it.sig"))
    assert said(capsys, home, *words, "--dry-run")[1]["dry_run"] is True
    assert before == sorted((home / "register" / "exceptions").iterdir())
    code, done = said(capsys, home, *words)
    assert (code, done["approved_on"], done["notes"]) == (0, day(-7), [])
    assert (rules(home), said(capsys, home, "list")[1][0]["signed"]) == (set(), True)
    # What was signed can be had again, to check it with ssh-keygen alone.
    assert cli.answer(["exception", "statement", "EX-1", "-p", str(home)]) == 0
    assert capsys.readouterr().out.encode() == to_sign(home, TODAY - timedelta(days=7))
    (home / "register" / "allowed_signers").unlink()
    assert rules(home) == set()


def to_sign(home: Path, on: date) -> bytes:
    register = load_register(home / "register")
    return statement(register, register.exceptions["EX-0001"], "business-owner", on).message()


REFUSED = {
    "no finding": ["--finding", "0badc0de"],
    "a finding and a control": ["--finding", "0badc0de", "--control", "rotation-age"],
    "nothing": [],
    "no control": ["--control", "rotation-aeg", "--subject", SUBJECT],
    "no subject": ["--control", "rotation-age", "--subject", "the old key"],
}


@pytest.mark.parametrize("what", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused(home: Path, what: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    rest = request()[5:]
    code, answer = said(capsys, home, "request", *what, *rest)
    assert (code, bool(answer["fix"]), list((home / "register" / "exceptions").glob("*.yaml"))) == (2, True, [])


def test_a_dry_run_writes_nothing_and_nothing_is_ever_overwritten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "register" / "exceptions"
    assert said(capsys, home, *request(), "--dry-run")[1]["exception"] == "EX-0001"
    assert [path.name for path in folder.iterdir()] == [".gitkeep"]
    (folder / "EX-0007.sig").write_text("left behind")
    by_hand(home, 3, control="inactive")
    assert said(capsys, home, *request())[1]["exception"] == "EX-0008"
    assert exception_file.create(folder / "EX-0008.yaml", "another") is False
    assert sorted(path.name for path in folder.iterdir()) == [".gitkeep", "EX-0003.yaml", "EX-0007.sig", "EX-0008.yaml"]


def test_text_that_a_register_file_cannot_hold_is_refused_and_odd_text_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("\x1b[2Jgone", "a\u202eb", "\ud800"):
        assert said(capsys, home, *request(reason=text))[0] == 2
    odd = "yes: \"#no\" 'x' {a: [1]} | > & * ! % @ ` =cmd|' /C calc'!A0 <script> " + "é中🙂" * 3000
    assert said(capsys, home, *request(reason=odd))[0] == 0
    assert load_register(home / "register").exceptions["EX-0001"].reason == odd
    assert cli.answer(["exception", "list", "-p", str(home)]) == 1


HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def test_three_nights_of_a_finding_that_is_accepted_and_is_not_any_more(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    made = (NOW - timedelta(days=300)).isoformat()
    key = f"true,{made},{NOW.isoformat()},eu-west-2,s3,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    (home / "exports" / "report.csv").write_text(
        f"{HEADER}\nold,arn:aws:iam::111111111111:user/old,{made},false,N/A,N/A,N/A,false,{key}\n", encoding="utf-8"
    )

    def night(at: datetime) -> dict[str, Any]:
        result = reconcile(load(home), at)
        (row,) = (row for row in findings_file.read(result.evidence / findings_file.NAME) if row["control"] == "rotation-age")
        return row

    first = night(NOW)
    assert (first["state"], first["excepted"]) == ("open", None)
    words = [word for word in request(expires=day(1)) if word not in ("--control", "rotation-age", "--subject", SUBJECT)]
    assert said(capsys, home, *words, "--finding", first["fingerprint"][:8])[1]["notes"] == []
    assert said(capsys, home, "approve", "EX-1", "--as", "business-owner")[0] == 0
    second = night(NOW + timedelta(hours=1))
    assert (second["state"], second["event"], second["excepted"], second["since"]) == ("excepted", "excepted", "EX-0001", first["since"])
    capsys.readouterr()
    cli.answer(["findings", "--control", "rotation-age", "-p", str(home)])
    assert f"excepted until {day(1)} by EX-0001 (approved by business-owner)" in capsys.readouterr().out
    pages = sorted((home / "evidence").glob("*/report.html"))
    assert "(approved by <bdi>Ada Example</bdi>)" in pages[-1].read_text(encoding="utf-8")

    third = night(NOW + timedelta(days=2))
    assert (third["state"], third["event"], third["excepted"], third["since"], third["due"]) == (
        "open", "exception-ended", None, first["since"], first["due"],
    )  # fmt: skip
