"""What docs/how-to/be-told.md promises, tried by somebody who read only that: who hears what, when, and how often."""

from __future__ import annotations

import multiprocessing
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from countersign import cli
from countersign.errors import ConfigError
from countersign.notices import digest
from countersign.notices.escalation import Pass, escalate
from countersign.programme import load
from countersign.state import State, StateBusyError
from tests.countersign import test_reconciliation as nights
from tests.countersign.plans_to_approve import planned, programme_folder
from tests.countersign.receivers import Hook, hook, mailbox
from tests.countersign.test_notices import ADA, BEN, CLEO, DAY, DUTY, HOUR, NOW, PARTNER, PEOPLE, ROOM, configured, rewrite
from tests.countersign.test_plan_approval import approve_plan, sign_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.offboarding.plan import Plan

FORK = multiprocessing.get_context("fork")
OTHER = "duty@other.example"
KEY = {f"{PARTNER}-a": (200, 1)}
FINE = {"fine": (10, 1)}
HOSTILE = "<script>alert(1)</script> @everyone <!channel> `rm` [x](y) {email}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Hook]:
    with hook() as served:
        yield served


@pytest.fixture
def hooked(receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> Hook:
    receiver.took.clear()
    receiver.status, receiver.kills = 200, None
    monkeypatch.setenv("PEOPLE_URL", receiver.url("{email}"))
    monkeypatch.setenv("ROOM_URL", receiver.url("room"))
    return receiver


def begun(target: Path, **limits: int) -> Path:
    """Write a programme with two partners and run a night: a key of the first is old, and is to be rotated within 7 days."""
    nights.scaffold.init(target)
    rewrite(target / "countersign.yaml", lambda held: held["limits"].update(limits))
    rewrite(target / "register" / "controls" / "default.yaml", lambda held: held["slas"].update(detect=None, revoke="P300D"))
    (target / "register" / "controls" / "contract-ended.yaml").unlink()
    other = yaml.safe_load((target / "register" / "partners" / f"{PARTNER}.yaml").read_text())
    other |= {"partner": {"id": "other-partner", "name": "Other"}, "contacts": {"escalation": [OTHER]}}
    other["footprint"] = {"email_domains": ["other.example"], "name_patterns": ["other-partner-*"]}
    (target / "register" / "partners" / "other-partner.yaml").write_text(yaml.safe_dump(other))
    night(target, KEY | FINE, 0)
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begun(tmp_path_factory.mktemp("told") / "programme")


@pytest.fixture
def folder(made: Path, tmp_path: Path, hooked: Hook) -> Path:
    """What the first night left; people are told over one channel, and tickets are not commented."""
    assert hooked.took == []
    target = Path(shutil.copytree(made, tmp_path / "programme"))
    configured(target, PEOPLE, tickets=False)
    return target


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programme_folder(tmp_path_factory.mktemp("plans") / "programme")


def night(folder: Path, keys: dict[str, tuple[int, int]], day: int) -> None:
    nights.export(folder, "111111111111", keys)
    nights.night(folder, day)


def heard(folder: Path, hooked: Hook, days: float, about: str = "rotation-age") -> list[str]:
    """Make a pass, and give whom it told of this."""
    hooked.took.clear()
    at(folder, days)
    return hooked.whom(about)


def at(folder: Path, days: float) -> Pass:
    return escalate(load(folder), lambda: NOW + days * DAY)


def people(folder: Path, number: int, **changes: Any) -> None:
    rewrite(folder / "register" / "customer.yaml", lambda held: held["people"][number].update(changes))


def accepted(folder: Path, **changes: str) -> None:
    """Write an exception for the old key, approved on the fourth day."""
    with State(load(folder).state) as state:
        subject = next(found.finding.subject for found in state.findings(control="rotation-age"))
    fields = {
        "exception": "EX-0001", "control": "rotation-age", "subject": subject, "reason": "frozen", "compensating_control": "a list",
        "exit_criteria": "rotated", "requested_by": f"{PARTNER}/operator", "approved_by": "business-owner", "approved_on": day(4),
        "expires": day(40), **changes,
    }  # fmt: skip
    file = folder / "register" / "exceptions" / "EX-0001.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(fields))


def day(number: int) -> str:
    return str((NOW + number * DAY).date())


def exit_code(folder: Path, days: float, monkeypatch: pytest.MonkeyPatch) -> int:
    class Clock:
        @staticmethod
        def now(_zone: object) -> datetime:
            return NOW + days * DAY

    monkeypatch.setattr("countersign.cli.escalate.datetime", Clock)
    return cli.answer(["escalate", "-p", str(folder)])


# Each step once


def test_two_findings_of_one_ticket_have_their_own_steps_and_each_partner_hears_of_its_own(folder: Path, hooked: Hook) -> None:
    night(folder, KEY | FINE | {f"{PARTNER}-b": (200, 1), "other-partner-x": (200, 1), "ours": (200, 1)}, 2)
    expected = {3.5: [DUTY], 5.25: [BEN], 5.5: [BEN, DUTY], 7: [ADA, DUTY], 7.25: [BEN], 9: [ADA, OTHER, DUTY], 10.5: [CLEO], 12.5: [CLEO]}
    for days, addresses in expected.items():
        assert addresses == heard(folder, hooked, days), days
        for partner, contact in ((PARTNER, DUTY), ("other-partner", OTHER)):
            lines = [line for to, _, text in hooked.took if to == contact for line in text.splitlines() if " % of" in line]
            assert all(f", {partner} (" in line for line in lines)
        assert heard(folder, hooked, days) == []


def test_a_finding_that_comes_back_has_new_steps_and_none_of_its_old_life(folder: Path, hooked: Hook) -> None:
    assert heard(folder, hooked, 7) == [ADA, BEN, DUTY]
    night(folder, FINE, 8)
    assert heard(folder, hooked, 8.1) == []
    night(folder, KEY | FINE, 9)
    for days, addresses in {12.4: [], 12.5: [DUTY], 14.25: [BEN], 16: [ADA, DUTY], 19.5: [CLEO]}.items():
        assert addresses == heard(folder, hooked, days), days


def test_an_exception_silences_the_steps_and_all_the_time_counts_when_it_ends(folder: Path, hooked: Hook) -> None:
    assert heard(folder, hooked, 3.5) == [DUTY]
    accepted(folder)
    night(folder, KEY | FINE, 5)
    assert [heard(folder, hooked, days) for days in (5.25, 7, 8)] == [[], [], []]
    accepted(folder, ended_on=day(9))
    night(folder, KEY | FINE, 11)
    assert heard(folder, hooked, 11) == [ADA, BEN, CLEO, DUTY]
    assert all("150 %" in text and "100 %" not in text for _, _, text in hooked.took)


def test_a_channel_that_comes_late_or_is_renamed_tells_each_one_message_of_the_highest_step(folder: Path, hooked: Hook) -> None:
    for days in (3.5, 5.25, 7, 10.5):
        at(folder, days)
    configured(folder, PEOPLE | {"name": "post"}, ROOM, tickets=False)
    assert heard(folder, hooked, 11) == [ADA, BEN, CLEO, DUTY, "room"]
    assert len(hooked.took) == 5
    assert all("75 %" not in text and "100 %" not in text for _, _, text in hooked.took)
    configured(folder, PEOPLE, ROOM, tickets=False)
    assert heard(folder, hooked, 11) == []


def test_two_passes_at_once_tell_each_once(folder: Path, hooked: Hook) -> None:
    def one() -> None:
        with suppress(StateBusyError):  # the other one tells
            at(folder, 7)

    passes = [FORK.Process(target=one) for _ in range(2)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    assert [each.exitcode for each in passes] == [0, 0]
    assert hooked.whom() == [ADA, BEN, DUTY]


def test_killed_between_two_recipients_only_the_first_may_hear_twice(folder: Path, hooked: Hook) -> None:
    dying = FORK.Process(target=lambda: at(folder, 7))
    dying.start()
    hooked.kills = dying.pid
    dying.join()
    hooked.kills = None
    ((first, _, _),) = hooked.took
    assert heard(folder, hooked, 7) == [ADA, BEN, DUTY]
    assert {to for to, title, _ in hooked.took if title.endswith("(perhaps told before)")} == {first}


# Plans


def decided(home: Path, plan: Plan, capsys: pytest.CaptureFixture[str], person: str, key: str, **options: Any) -> None:
    signature = sign_elsewhere(home, plan, person, key, capsys, **options)
    assert approve_plan.approve(plan.id, person=person, signature=signature, programme=home) == 0


@pytest.fixture
def waiting(home: Path, tmp_path: Path, hooked: Hook) -> Path:
    assert hooked.took == []
    target = Path(shutil.copytree(home, tmp_path / "programme"))
    configured(target, PEOPLE, tickets=False)
    return target


def asked(folder: Path, hooked: Hook, plan: Plan, hours: float) -> list[str]:
    hooked.took.clear()
    escalate(load(folder), lambda: plan.made_at + hours * HOUR)
    return hooked.whom(plan.id)


@pytest.mark.parametrize("how", ["approved", "declined"])
def test_a_plan_is_told_to_its_approvers_then_the_fallback_and_once_decided_to_nobody(
    waiting: Path, hooked: Hook, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    plan = planned(waiting)
    told = {hours: asked(waiting, hooked, plan, hours) for hours in (11.9, 12, 18, 24, 25, 36, 40)}
    assert told == {11.9: [], 12: [ADA, BEN], 18: [ADA, BEN], 24: [ADA, BEN], 25: [], 36: [CLEO], 40: []}
    again = planned(waiting, phase="delete" if how == "declined" else "restore")
    assert asked(waiting, hooked, again, 12) == [ADA, BEN]
    decided(waiting, again, capsys, "technical-owner", "dev", decline=how == "declined")
    assert [asked(waiting, hooked, again, hours) for hours in (18, 24, 40)] == [[], [], []]


# The digest


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Europe/London", datetime(2027, 3, 29, tzinfo=UTC) - HOUR),  # after a day of 23 hours
        ("America/New_York", datetime(2027, 3, 15, 4, tzinfo=UTC)),  # the same
        ("Pacific/Auckland", datetime(2027, 4, 4, 12, tzinfo=UTC)),  # after a day of 25 hours
    ],
)
def test_the_day_of_the_digest_is_the_customers_whatever_its_length(folder: Path, zone: str, midnight: datetime) -> None:
    rewrite(folder / "register" / "customer.yaml", lambda held: held["customer"].update(timezone=zone))
    length = timedelta(hours=25 if zone.startswith("Pacific") else 23)
    states = [
        digest.send(load(folder), lambda when=when: when, "business-owner")[0].state  # type: ignore[misc]
        for when in (midnight - length, midnight - timedelta(seconds=1), midnight, midnight + 23.9 * HOUR)
    ]
    assert states == ["told", "told before", "told", "told before"]


# Names


def test_names_do_nothing_in_a_title_and_an_address_adds_nothing_to_the_channels(
    folder: Path, hooked: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(folder / "register" / "customer.yaml", lambda held: held["customer"].update(name=HOSTILE))
    people(folder, 1, email="b@x.example&to=evil@evil.example")
    at(folder, 7)
    assert "evil" not in str([to for to, _, _ in hooked.took if to in {ADA, DUTY}])
    configured(folder, PEOPLE | {"name": "post"}, tickets=False)
    with mailbox() as (port, mails):
        url = f"mailto://127.0.0.1:{port}/?mode=insecure&smtp=127.0.0.1&from=countersign@northwind.example&to={{email}}"
        monkeypatch.setenv("PEOPLE_URL", url)
        at(folder, 7)
    assert {ADA, DUTY} <= {to for to, _, _ in mails}
    assert "evil@evil.example" not in {to for to, _, _ in mails}
    titles = [title for _, title, _ in hooked.took] + [title for _, title, _ in mails]
    assert not any(each in title for title in titles for each in ("<", ">", "@e", "`", "]("))
    people(folder, 0, email="a@b.example\r\nBcc: evil@evil.example")
    with pytest.raises(ConfigError, match="control character"):
        at(folder, 7)


# Differences


def test_of_a_roll_up_each_control_is_told(tmp_path: Path, hooked: Hook) -> None:
    folder = begun(tmp_path / "programme", tickets_per_run=1)
    configured(folder, PEOPLE, tickets=False)
    at(folder, 7)
    (lines,) = [text.splitlines() for to, _, text in hooked.took if to == DUTY]
    told = {control for control in ("rotation-age", "named-owner", "workload-registered") if any(control in line for line in lines)}
    assert told == {"rotation-age", "named-owner", "workload-registered"}


@pytest.mark.parametrize("change", [{"active": False}, {"email": None}], ids=["left", "no address"])
def test_a_last_step_that_nobody_hears_of_is_said(
    folder: Path, hooked: Hook, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(folder, 7)
    people(folder, 2, **change)
    assert heard(folder, hooked, 10.5) != [] or exit_code(folder, 10.5, monkeypatch) == 1


def test_whoever_is_told_already_is_not_told_again_when_the_owner_changes(folder: Path, hooked: Hook) -> None:
    assert heard(folder, hooked, 7) == [ADA, BEN, DUTY]

    def handed_over(held: Any) -> None:
        held["owners"]["business"] = held["answers"]["approves"] = "duty-manager"
        for step in held["raci"].values():
            step["A"] = "duty-manager"

    rewrite(folder / "register" / "controls" / "default.yaml", handed_over)
    night(folder, KEY | FINE, 8)
    assert heard(folder, hooked, 8.1) == [CLEO]


def test_a_new_contact_of_a_partner_is_told(folder: Path, hooked: Hook) -> None:
    assert heard(folder, hooked, 3.5) == [DUTY]
    file = folder / "register" / "partners" / f"{PARTNER}.yaml"
    rewrite(file, lambda held: held["contacts"].update(escalation=["new@partner.example", DUTY]))
    assert heard(folder, hooked, 3.6) == ["new@partner.example"]


def test_whoever_stands_in_is_not_told_the_same_step_twice(folder: Path, hooked: Hook) -> None:
    at(folder, 7)
    assert heard(folder, hooked, 10.5) == [CLEO]
    people(folder, 0, active=False)
    assert heard(folder, hooked, 11) == []


def test_an_exception_silences_the_steps_as_soon_as_it_holds(folder: Path, hooked: Hook) -> None:
    accepted(folder)
    assert heard(folder, hooked, 5.25) == []


def test_a_channel_of_the_first_steps_tells_whom_they_concern_how_far_it_is_by_then(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE | {"rungs": [50, 75]}, tickets=False)
    at(folder, 11)
    assert {to for to, _, _ in hooked.took} == {DUTY, BEN}
    assert all("150 %" in text for _, _, text in hooked.took)


def test_steps_that_cannot_be_known_are_no_fine_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder / "evidence")
    assert exit_code(folder, 30, monkeypatch) != 0


def test_a_damaged_plan_silences_no_finding(folder: Path, hooked: Hook) -> None:
    broken = folder / "offboarding" / "broken"
    broken.mkdir(parents=True)
    (broken / "plan.json").write_text("{")
    assert heard(folder, hooked, 3.5) == [DUTY]


def test_how_long_a_plan_may_wait_is_said_by_the_register_of_today(waiting: Path, hooked: Hook) -> None:
    plan = planned(waiting)
    rewrite(waiting / "register" / "customer.yaml", lambda held: held.update(revocation={"approve_within": "P9D"}))
    assert asked(waiting, hooked, plan, 12) == []
    assert asked(waiting, hooked, plan, 4.5 * 24) == [ADA, BEN]


def test_whoever_approved_is_not_asked_again(waiting: Path, hooked: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(waiting, phase="delete")
    decided(waiting, plan, capsys, "technical-owner", "dev")
    assert asked(waiting, hooked, plan, 12) == [ADA]


def test_a_name_does_nothing_in_a_digest(folder: Path, hooked: Hook) -> None:
    people(folder, 0, name=HOSTILE)
    digest.send(load(folder), lambda: NOW + HOUR, "business-owner")
    ((_, _, text),) = hooked.took
    assert not any(each in text for each in ("<script", "@everyone", "<!channel"))


def test_one_message_for_one_person(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people(folder, 0, email=f"{ADA}, evil@evil.example")
    with mailbox() as (port, mails):
        url = f"mailto://127.0.0.1:{port}/?mode=insecure&smtp=127.0.0.1&from=countersign@northwind.example&to={{email}}"
        monkeypatch.setenv("PEOPLE_URL", url)
        at(folder, 7)
    assert "evil@evil.example" not in {to for to, _, _ in mails}
