"""Who is told that an agreed time runs out, when, and once: nights of a real programme, and messages over real connections."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from countersign import cli
from countersign.desk.local import LocalDesk
from countersign.errors import ConfigError
from countersign.notices import channels, digest
from countersign.notices.escalation import Pass, escalate
from countersign.programme import Channel, load
from countersign.state import State, StateBusyError
from tests.countersign import test_reconciliation as nights
from tests.countersign.receivers import Hook, hook, mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

FORK = multiprocessing.get_context("fork")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PARTNER = "example-partner"
ADA, BEN, CLEO, DUTY = "ada@example.example", "ben@example.example", "cleo@example.example", "duty@partner.example"
NOW = nights.NOW


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


PEOPLE = {"name": "mail", "url_from": "env:PEOPLE_URL", "to": "people"}
ROOM = {"name": "soc", "url_from": "env:ROOM_URL", "rungs": [100, 150]}


def rewrite(file: Path, change: Any) -> None:
    held = yaml.safe_load(file.read_text())
    change(held)
    file.write_text(yaml.safe_dump(held))


def configured(folder: Path, *given: dict[str, Any], tickets: bool = True) -> None:
    rewrite(folder / "countersign.yaml", lambda held: held.update(escalation={"tickets": tickets, "channels": list(given)}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A programme after one night: a partner's old key, to be rotated in 7 days by the day and night."""
    target = tmp_path_factory.mktemp("notices") / "programme"
    nights.scaffold.init(target)
    rewrite(target / "register" / "controls" / "default.yaml", lambda held: held["slas"].update(detect=None, revoke="P300D"))
    (target / "register" / "controls" / "contract-ended.yaml").unlink()
    export(target, 200)
    nights.night(target)
    return target


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "programme"))


def export(folder: Path, age: int | None) -> None:
    """Write the one account: the age in days of the partner's key; None: it is gone, and somebody's that is fine is there."""
    keys = {"fine": (10, 1)} if age is None else {f"{PARTNER}-old": (age, 1), "fine": (10, 1)}
    nights.export(folder, "111111111111", keys)


def at(folder: Path, after: timedelta) -> Pass:
    return escalate(load(folder), lambda: NOW + after)


def whom(found: Pass) -> list[tuple[str, str | None]]:
    return sorted((message.channel, None if message.recipient is None else message.recipient.ref) for message in found.told)


def history(folder: Path, ticket: str) -> list[tuple[str, str]]:
    with State(load(folder).state) as state:
        return [(entry.what, entry.text) for entry in LocalDesk(state.engine, lambda: NOW).history(ticket)]


def rotation(folder: Path) -> str:
    with State(load(folder).state) as state:
        return next(str(found.ticket) for found in state.findings(control="rotation-age"))


def test_each_step_is_told_once_to_whom_it_concerns(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE, ROOM)
    assert at(folder, 3 * DAY) == Pass((), (), 0, (), 0, ())
    expected = {3.5: [DUTY], 5.25: [BEN], 7: [ADA, DUTY, "room"], 10.5: [CLEO, "room"]}
    for days, addresses in expected.items():
        hooked.took.clear()
        at(folder, days * DAY)
        assert addresses == hooked.whom()
        hooked.took.clear()
        assert at(folder, days * DAY + HOUR).told == ()
        assert hooked.took == []


def test_a_message_says_what_and_until_when(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE)
    at(folder, 5.25 * DAY)
    ((_, title, text),) = [each for each in hooked.took if each[0] == BEN]
    assert title == "example: 5 agreed times, up to 75 %"
    assert (
        f"75 % of the time to put it right: rotation-age, 1 finding, {PARTNER} (high), due 2026-11-29 02:00 UTC,"
        f" since 2026-11-22 02:00 UTC; accountable: " in text
    )
    assert rotation(folder) in text


def test_whoever_comes_late_is_told_once_of_the_highest_step(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE, ROOM)
    at(folder, 30 * DAY)
    assert hooked.whom() == [ADA, BEN, CLEO, DUTY, "room"]
    assert all("150 %" in text and "75 %" not in text for _, _, text in hooked.took)


def test_a_ticket_is_commented_when_its_time_is_over_once_a_day_at_most(folder: Path) -> None:
    ticket = rotation(folder)
    before = history(folder, ticket)
    at(folder, 5.25 * DAY)
    assert history(folder, ticket) == before
    at(folder, 7 * DAY)
    at(folder, 7 * DAY + HOUR)
    (first,) = history(folder, ticket)[len(before) :]
    assert first[0] == "commented"
    assert first[1].startswith("100 % of the time to put it right: rotation-age, 1 finding")
    export(folder, 201)
    with State(load(folder).state) as state:
        (row,) = [row for row in state.tickets("local") if row.ticket == ticket]
        state.settle("local", row.key, "open", commented_at=NOW + 10.5 * DAY)
    assert at(folder, 10.5 * DAY).later >= 1
    assert len(history(folder, ticket)) == len(before) + 1
    at(folder, 11.5 * DAY)
    assert "150 %" in history(folder, ticket)[-1][1]


def test_no_comment_while_a_run_holds_the_programme(folder: Path, hooked: Hook) -> None:
    configured(folder, ROOM)
    with State(load(folder).state) as state, state.lock("a run", NOW):
        found = at(folder, 7 * DAY)
    assert (hooked.whom(), found.later) == (["room"], len([each for each in at(folder, 7 * DAY).told if each.channel == "ticket"]))
    assert found.later >= 1


def test_what_does_not_get_through_is_tried_again_and_says_no_secret(
    folder: Path, hooked: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(folder, ROOM, tickets=False)
    monkeypatch.setenv("ROOM_URL", f"json://robot:hunter2secret@127.0.0.1:{hooked.port}/T0KENT0KEN")
    hooked.status = 500
    found = at(folder, 7 * DAY)
    assert found.told == ()
    assert "channel soc did not take it" in str(found.failed[0].error)
    hooked.status = 200
    assert whom(at(folder, 7 * DAY)) == [("soc", None)]
    assert at(folder, 7 * DAY).told == ()
    monkeypatch.setenv("ROOM_URL", "json://robot:hunter2secret@127.0.0.1:1/T0KENT0KEN")
    cli.answer(["escalate", "-p", str(folder), "--json"])
    assert "hunter2secret" not in capsys.readouterr().out
    with State(load(folder).state) as state, state.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT error FROM notices").fetchall()
    assert not any("hunter2secret" in str(row) or "T0KEN" in str(row) for row in kept)


def test_killed_while_telling_the_next_pass_tells_it_again_and_says_so(folder: Path, hooked: Hook) -> None:
    configured(folder, ROOM, tickets=False)
    dying = FORK.Process(target=lambda: at(folder, 7 * DAY))
    dying.start()
    hooked.kills = dying.pid
    dying.join()
    assert dying.exitcode == -9
    hooked.kills = None
    assert [to for to, _, _ in hooked.took] == ["room"]
    at(folder, 7 * DAY)
    assert hooked.took[1][1].endswith("(perhaps told before)")
    assert at(folder, 7 * DAY).told == ()


def test_one_tells_at_a_time(folder: Path) -> None:
    with State(load(folder).state) as state, state.lock("another", NOW, "telling"), pytest.raises(StateBusyError, match="another"):
        at(folder, 7 * DAY)


def test_a_later_change_of_the_register_moves_no_step(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE)
    rewrite(folder / "register" / "controls" / "default.yaml", lambda held: held["slas"].update(rotate="P90D"))
    at(folder, 3.5 * DAY)
    assert hooked.whom() == [DUTY]


def test_what_is_gone_is_told_to_nobody_and_what_was_not_seen_once_it_is_seen_again(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE, tickets=False)
    hooked.status = 500
    assert at(folder, 3.5 * DAY).failed != ()
    (folder / "exports" / "111111111111.csv").unlink()
    nights.night(folder, 4)
    assert [line for message in at(folder, 5.25 * DAY).failed for line in message.lines if "rotation-age" in line] == []
    hooked.status = 200
    export(folder, 200)
    nights.night(folder, 5)
    at(folder, 5.25 * DAY)
    assert hooked.whom() == [BEN, DUTY]
    hooked.took.clear()
    export(folder, None)
    nights.night(folder, 6)
    at(folder, 8 * DAY)
    assert hooked.whom() == []


def test_business_hours_move_the_ladder(folder: Path, hooked: Hook) -> None:
    partner = folder / "register" / "partners" / f"{PARTNER}.yaml"
    rewrite(partner, lambda held: held["contract"].update(business_hours={"from": "09:00", "to": "17:00"}))
    (folder / "state.db").unlink()
    export(folder, 200)
    nights.night(folder)
    configured(folder, PEOPLE, tickets=False)
    # A Sunday night; seven working days end on the Tuesday of the week after.
    at(folder, timedelta(days=4))
    assert hooked.whom() == []
    at(folder, timedelta(days=4, hours=11))
    assert hooked.whom() == [DUTY]


def test_the_ladder_stays_on_the_contract_of_whoever_had_it_when_it_began(folder: Path, hooked: Hook) -> None:
    partners = folder / "register" / "partners"
    held = yaml.safe_load((partners / f"{PARTNER}.yaml").read_text(encoding="utf-8"))
    theirs, nobodys = held["footprint"], {"name_patterns": ["nobody-*"]}
    held |= {"partner": {"id": "another", "name": "Another"}, "footprint": nobodys}
    held["contract"]["business_hours"] = {"from": "09:00", "to": "17:00"}
    (partners / "another.yaml").write_text(yaml.safe_dump(held), encoding="utf-8")
    (folder / "state.db").unlink()
    nights.night(folder)
    rewrite(partners / f"{PARTNER}.yaml", lambda mine: mine.update(footprint=nobodys))
    rewrite(partners / "another.yaml", lambda mine: mine.update(footprint=theirs))
    nights.night(folder, 1)
    with State(load(folder).state) as state:
        assert {"another"} == {found.finding.partner for found in state.findings(control="rotation-age")}
    configured(folder, PEOPLE, tickets=False)
    at(folder, 3.5 * DAY)
    assert hooked.whom("rotation-age") == [BEN]  # whoever is on duty at the new partner is not said


def test_a_desk_that_takes_no_ticket_is_told_of_too(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE, tickets=False)
    with State(load(folder).state) as state, state.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tickets SET state = 'claimed', ticket = NULL")
    at(folder, 2 * HOUR)
    assert hooked.whom("50 % of the time to open a ticket: rotation-age") == [DUTY]
    assert hooked.whom("no ticket yet") == sorted({BEN, DUTY})


def test_a_partner_hears_of_its_own_alone_and_a_leaver_of_nothing(folder: Path, hooked: Hook) -> None:
    nights.export(folder, "222222222222", {"ours": (300, 1)})
    rewrite(folder / "register" / "customer.yaml", lambda held: held["people"][1].update(active=False))
    nights.night(folder, 1)
    configured(folder, PEOPLE, tickets=False)
    at(folder, 9 * DAY)
    assert hooked.whom() == [ADA, DUTY]
    assert BEN not in {to for to, _, _ in hooked.took}
    (to_partner,) = [text for to, _, text in hooked.took if to == DUTY]
    assert all(PARTNER in line for line in to_partner.splitlines() if " % of the time" in line)


def test_nobody_to_tell_is_said(folder: Path, hooked: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    configured(folder, PEOPLE, tickets=False)

    def without_addresses(held: Any) -> None:
        for person in held["people"]:
            del person["email"]

    rewrite(folder / "register" / "customer.yaml", without_addresses)
    rewrite(folder / "register" / "partners" / f"{PARTNER}.yaml", lambda held: held.pop("contacts"))
    assert len(at(folder, 7 * DAY).unreachable) >= 1
    capsys.readouterr()
    assert hooked.took == []


def test_mail_arrives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailbox() as (port, mails):
        url = f"mailto://127.0.0.1:{port}/?mode=insecure&smtp=127.0.0.1&from=countersign@northwind.example&to={{email}}"
        monkeypatch.setenv("PEOPLE_URL", url)
        configured(folder, PEOPLE, tickets=False)
        assert at(folder, 5.25 * DAY).failed == ()
        assert sorted(to for to, _, _ in mails) == [BEN, DUTY]
        assert all("rotation-age" in text for _, _, text in mails)


def test_the_command_tells_and_rehearses(
    folder: Path, hooked: Hook, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(folder, ROOM, tickets=False)
    monkeypatch.setattr("countersign.cli.escalate.datetime", _Clock)
    assert cli.answer(["escalate", "-p", str(folder), "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], len(said["told"]), hooked.took) == (True, 1, [])
    assert cli.answer(["escalate", "-p", str(folder)]) == 0
    assert "told  soc" in capsys.readouterr().out
    assert hooked.whom() == ["room"]


class _Clock:
    @staticmethod
    def now(_zone: object) -> datetime:
        return NOW + 7 * DAY


# What is written in countersign.yaml


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({"name": "soc", "url_from": "slack://token/token/token"}, "does not say where the channel's address is"),
        ({"name": "ticket", "url_from": "env:X"}, "means the comments on tickets"),
        ({"name": "soc", "url_from": "env:X", "rungs": [60]}, "rungs"),
    ],
)
def test_channels_that_cannot_be(folder: Path, channel: dict[str, Any], says: str) -> None:
    configured(folder, channel)
    with pytest.raises(ConfigError, match=says):
        load(folder)


@pytest.mark.parametrize(
    ("url", "to", "says"),
    [
        ("json://h/x", "people", "must hold {email}"),
        ("json://h/{email}", "room", "must not hold {email}"),
        ("nonsense", "room", "none that Apprise knows"),
        ("", "room", "holds no address"),
    ],
)
def test_addresses_that_cannot_be(url: str, to: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_URL", url)
    with pytest.raises(channels.ChannelError, match=says):
        channels.check(Channel(name="x", url_from="env:X_URL", to=to))


def test_the_doctor_tries_each_channel_and_tells_nobody(folder: Path, hooked: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    configured(folder, PEOPLE, {"name": "lost", "url_from": "env:NOWHERE"})
    cli.answer(["doctor", "-p", str(folder), "--json"])
    checks = {each["operation"]: each for each in json.loads(capsys.readouterr().out)["checks"] if each["scope"] == "escalation"}
    assert (checks["channel mail"]["ok"], checks["channel lost"]["ok"]) == (True, False)
    assert "NOWHERE holds no address" in checks["channel lost"]["detail"]
    assert hooked.took == []


# The digest


def of(folder: Path, ref: str, after: timedelta = HOUR) -> digest.Digest:
    return next(each for each in digest.digests(load(folder), NOW + after) if each.person.ref == ref)


def test_a_digest_says_what_is_theirs_what_is_due_and_what_is_unknown(folder: Path) -> None:
    found = of(folder, "business-owner")
    assert ("rotation-age", 1) in {(row.control, row.open) for row in found.soon}
    late = of(folder, "business-owner", 8 * DAY)
    assert ("rotation-age", 1) in {(row.control, row.open) for row in late.overdue}
    (folder / "exports" / "111111111111.csv").write_text("no report\n")
    nights.night(folder, 1)
    blind = of(folder, "business-owner", 1 * DAY + HOUR)
    assert blind.unread >= 1
    text = "\n".join(digest.lines(blind))
    assert "could not be looked at by the last run: whether they still stand is not known" in text
    assert "was not read wholly" in text


def test_what_nobody_active_answers_for_falls_back(folder: Path) -> None:
    rewrite(folder / "register" / "customer.yaml", lambda held: held["people"][0].update(active=False))
    found = of(folder, "duty-manager")
    assert "rotation-age" in {row.control for row in found.fallen}
    assert "business-owner" not in {each.person.ref for each in digest.digests(load(folder), NOW + HOUR)}


def test_one_digest_a_day_at_most(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE)
    programme = load(folder)
    assert [each.state for each in digest.send(programme, lambda: NOW + HOUR, "business-owner")] == ["told"]
    assert [to for to, _, _ in hooked.took] == [ADA]
    assert [each.state for each in digest.send(programme, lambda: NOW + 20 * HOUR, "business-owner")] == ["told before"]
    assert len(hooked.took) == 1
    assert [each.state for each in digest.send(programme, lambda: NOW + 23 * HOUR, "business-owner")] == ["told"]


def test_a_digest_that_failed_is_sent_later_that_day_and_one_that_may_have_come_is_not(folder: Path, hooked: Hook) -> None:
    configured(folder, PEOPLE)
    programme = load(folder)
    hooked.status = 500
    assert [each.state for each in digest.send(programme, lambda: NOW + HOUR, "business-owner")] == ["failed"]
    hooked.status = 200
    dying = FORK.Process(target=lambda: digest.send(programme, lambda: NOW + HOUR, "business-owner"))
    dying.start()
    hooked.kills = dying.pid
    dying.join()
    hooked.kills = None
    assert len(hooked.took) == 1
    assert [each.state for each in digest.send(programme, lambda: NOW + HOUR, "business-owner")] == ["told before"]
    assert len(hooked.took) == 1


@pytest.mark.usefixtures("hooked")
def test_a_digest_needs_its_channel_and_an_address(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(folder, ROOM)
    with pytest.raises(channels.ChannelError, match="no channel takes digests"):
        digest.send(load(folder), lambda: NOW)
    assert cli.answer(["digest", "-p", str(folder), "--person", "business-owner", "--json"]) in {0, 1}
    (said,) = json.loads(capsys.readouterr().out)
    assert said["person"] == "business-owner"
    assert cli.answer(["digest", "-p", str(folder), "--person", "nobody"]) == 2
    assert "business-owner" in capsys.readouterr().err
    assert os.environ["ROOM_URL"] not in json.dumps(said)
