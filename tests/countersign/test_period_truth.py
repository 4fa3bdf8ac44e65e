"""What the tables of a period must not blur: why an exception held or did not, what was not read, who was judged on a day judged twice."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sealed_nights import Ledger, source

from countersign import scaffold
from countersign.register.load import load_register
from tests.countersign.test_period import CONTROL, at, finding, identity, made, plain, row, uid, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from countersign.register.records import Register

ACCOUNT = "111111111111"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def exception(number: int, **said: object) -> dict[str, object]:
    return {
        "exception": f"EX-000{number}", "control": CONTROL, "subject": uid(f"u{number}"), "reason": "frozen", "compensating_control": "watched",
        "exit_criteria": "rotated", "requested_by": "duty-manager", "approved_by": "business-owner", "approved_on": date(2026, 10, 20),
        "expires": date(2026, 12, 31),
    } | said  # fmt: skip


def excepting(folder: Path, *exceptions: Mapping[str, object], rotates: str = "technical-owner") -> Register:
    """Make a register with these exceptions; `rotates`: who is accountable for rotation."""
    root = folder / f"register-{len(list(folder.iterdir()))}"
    scaffold.init(root)
    default = root / "register" / "controls" / "default.yaml"
    default.write_text(default.read_text().replace("A: technical-owner", f"A: {rotates}"))
    for each in exceptions:
        kept = {name: value for name, value in each.items() if value is not None}
        (root / "register" / "exceptions" / f"{each['exception']}.yaml").write_text(yaml.safe_dump(kept))
    return load_register(root / "register")


def test_an_exception_that_is_over_was_refused_on_the_way_or_never_held_is_told_apart(ledger: Ledger, tmp_path: Path) -> None:
    by_owner = {"approved_by": "technical-owner"}
    own = {"requested_by": "business-owner", "expires": date(2026, 11, 4)}
    asked = {"approved_by": None, "approved_on": None}
    always = [
        exception(1, expires=date(2026, 11, 2)), exception(3, **own), exception(4, **asked), exception(5), exception(7, **asked, expires=date(2026, 11, 3)),
        exception(8, requested_by="business-owner"),
    ]  # fmt: skip
    first = excepting(tmp_path, *always, exception(2, **by_owner), exception(6))
    then = excepting(tmp_path, *always, exception(2, **by_owner), rotates="duty-manager")
    last = excepting(tmp_path, *always, exception(2, **by_owner, ended_on=date(2026, 11, 5)), rotates="duty-manager")
    used = [finding(f"u{number}", at(1), "excepted", excepted=f"EX-000{number}") for number in (1, 2, 5, 6)]
    for day, register in ((1, first), (2, first), (3, then), (4, then), (5, last), (6, last)):
        held = used if day < 3 else used[2:3]
        ledger.night(at(day), register=register, findings=held)
    told = {
        row["exception"]: (row["state"], row["in_force"], row["nights_used"], row["refused"], row["refused_first"], row["refused_since"])
        for row in made(ledger, 6, tmp_path).rows("exceptions")
    }
    themselves = 'approved_by: "business-owner" approved an exception that they requested'
    nobody = "approved_by: nobody has approved it yet"
    assert {
        "EX-0001": ("ended", False, 2, "expires: the exception expired on 2026-11-02", None, None),
        "EX-0002": (
            "ended", False, 2, "ended_on: the exception was ended on 2026-11-05",
            f'approved_by: "technical-owner" is not accountable for {CONTROL}', plain(3),
        ),
        "EX-0003": ("invalid", False, 0, "expires: the exception expired on 2026-11-04", themselves, plain(1)),
        "EX-0004": ("requested", False, 0, nobody, None, None),
        "EX-0005": ("in force", True, 6, None, None, None),
        "EX-0006": ("ended", False, 2, "it is not in the register any more", None, None),
        "EX-0007": ("requested", False, 0, "expires: the exception expired on 2026-11-03", None, None),
        "EX-0008": ("invalid", False, 0, themselves, themselves, plain(1)),
    } == told  # fmt: skip


def test_a_night_names_the_entries_of_its_failures(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(1))
    ledger.failed(at(2, 1), "the disk was full")
    ledger.failed(at(2), "the disk was full")
    ledger.failed(at(3, 1), "the disk was full")
    ledger.night(at(3))
    ledger.failed(at(5), "interrupted", began=at(4))
    told = [(row["sequence"], row["failures"], row["failed_sequences"]) for row in made(ledger, 5, tmp_path).rows("nights")]
    assert [(1, 0, []), (None, 2, [2, 3]), (5, 1, [4]), (None, 1, [6]), (None, 0, [])] == told


def test_a_scope_that_an_earlier_night_read_and_this_one_did_not_is_told_as_not_read(ledger: Ledger, tmp_path: Path) -> None:
    listing = source("exports", name="exports", provider="files")
    broken = {"operation": "file:main.csv", "state": "failed", "error": "is of no known export"}
    partial = source("exports", name="exports", provider="files", state="partial", operations=[broken])
    own, far, live = source(ACCOUNT, name="exports"), source("222222222222"), source(ACCOUNT, name="live")
    eve, long_ago = "2026-10-31T02:00:00Z", "2026-05-05T02:00:00Z"
    seen = [
        {"provider": "register", "scope": "northwind", "looked_at": "2026-11-01T02:00:00Z", "looked_before": eve},
        {"provider": "aws", "scope": "333333333333", "looked_at": eve, "looked_before": eve},
        {"provider": "aws", "scope": "000000000000", "looked_at": long_ago, "looked_before": long_ago},
    ]
    ledger.night(at(1), sources=[partial, own, far], state="partial", looked=seen)
    ledger.night(at(2), sources=[partial, far], state="partial")
    ledger.night(at(3), sources=[source("x", name="other")], said={"limitedTo": ["other"]})
    changed = {"configurationDigest": "sha256:1"}
    ledger.night(at(4), sources=[listing, live], said=changed)  # 222222222222 is of a source that is there no more
    ledger.night(at(5), sources=[listing, live], said=changed)
    ledger.night(at(6), sources=[listing, source("444444444444", name="live")], said=changed)
    told = [
        (row["sequence"], row["source"], row["scope"], row["state"], row["identities"], row["reason"])
        for row in made(ledger, 6, tmp_path).rows("sources")
        if row["state"] not in {"complete", "partial"}
    ]
    why = "this run had nothing of it; of the same source, files exports partial: file:main.csv: is of no known export"
    assert [
        (1, "exports", "333333333333", "not read", None, why),
        (2, "exports", ACCOUNT, "not read", None, why),
        (2, "exports", "333333333333", "not read", None, why),
        (4, "aws", "222222222222", "not configured", None, "the configuration has changed, and this run had no source of that name"),
        (6, "live", ACCOUNT, "not read", None, "this run had nothing of it, and nothing on file says why"),
    ] == [each for each in told if each[2] != "x"]


def test_populations_are_of_every_judged_run_and_nights_are_days(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(1), verdicts=[verdict("a"), verdict("gone")], identities=[identity("a"), identity("gone")])
    ledger.night(
        at(2, 1), verdicts=[verdict("a", "fail"), verdict("gone", "fail"), verdict("brief", "excepted")], identities=[identity("brief")]
    )
    ledger.night(at(2, 9), verdicts=[verdict("a", "unknown")])
    ledger.night(at(2, 14), verdicts=[verdict("a")])
    ledger.night(at(3), verdicts=[verdict("a")])
    names = ("nights", "passed", "failed", "excepted", "unknown", "verdict", "first_seen", "last_seen", "identity_name")
    period = made(ledger, 3, tmp_path)
    told = {each["subject"]: tuple(each[name] for name in names) for each in period.rows("populations")}
    assert {
        uid("a"): (3, 3, 0, 0, 0, "pass", plain(1), plain(3), "a"),
        uid("gone"): (2, 1, 1, 0, 0, "fail", plain(1), plain(2, 1), "gone"),
        uid("brief"): (1, 0, 0, 1, 0, "excepted", plain(2, 1), plain(2, 1), "brief"),
    } == told
    assert 3 == period.count("samples")


def test_an_exception_that_only_the_first_run_of_a_day_used_was_used(ledger: Ledger, tmp_path: Path) -> None:
    register = excepting(tmp_path, exception(1))
    held = [finding("u1", at(1), "excepted", excepted="EX-0001")]
    ledger.night(at(1, 1), register=register, findings=held)
    ledger.night(at(1), register=register)
    told = row(made(ledger, 1, tmp_path), "exceptions")
    assert (1, plain(1, 1), plain(1, 1)) == (told["nights_used"], told["first_used"], told["last_used"])


def test_a_partner_reads_no_file_names_and_paths_of_the_customer(ledger: Ledger, tmp_path: Path) -> None:
    said = (
        "iam:ListUsers", "GET /servicePrincipals/*/appRoleAssignedTo", "iam.projects.serviceAccounts.keys.list", "Resource Graph: roleassignments",
        "file:keys-warehouse.json", "file:keys-ledger.json", f"file:{ACCOUNT}.csv", "LIST auth/warehouse/role", "warehouse-mainframe",
    )  # fmt: skip
    reading = [{"operation": each, "state": "failed", "error": f"{each}: is broken"} for each in said]
    ledger.night(
        at(1),
        sources=[source(ACCOUNT, state="partial", operations=reading)],
        state="partial",
        verdicts=[verdict("mine", partner="acme"), verdict("own")],
        identities=[identity("mine"), identity("own")],
    )
    period = made(ledger, 1, tmp_path, partner="acme")
    shown = [row["operation"] for row in period.rows("operations")]
    hidden = ["(withheld 4)", "LIST (withheld 1)", "file:(withheld 2)", "file:(withheld 3)"]
    assert sorted((*said[:4], said[6], *hidden)) == sorted(shown)
    everything = json.dumps([list(period.rows(table)) for table in ("operations", "sources", "nights")], default=str)
    assert [] == [word for word in ("warehouse", "ledger") if word in everything]


def test_a_scope_that_a_partner_lost_sight_of_is_not_read_for_them_too(ledger: Ledger, tmp_path: Path) -> None:
    theirs: dict[str, Any] = {"verdicts": [verdict("mine", partner="acme")], "identities": [identity("mine")]}
    broken = source(
        "exports", name="aws", provider="files", state="partial", operations=[{"operation": "file:secret.csv", "state": "failed"}]
    )
    ledger.night(at(1), sources=[source(ACCOUNT)], **theirs)
    ledger.night(at(2), sources=[broken], state="partial")
    ledger.night(at(3), sources=[source(ACCOUNT)], **theirs)
    rows = [(row["sequence"], row["state"], row["reason"]) for row in made(ledger, 3, tmp_path, partner="acme").rows("sources")]
    assert [(1, "complete", None), (2, "not read", "this run had nothing of it"), (3, "complete", None)] == rows
