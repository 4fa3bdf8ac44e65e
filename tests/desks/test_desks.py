"""What every desk must do, against a stand-in for each tracker over real HTTP, and what a cut wire or a killed process does to them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from countersign.desk import AnswerLostError, DeskBusyError, DeskError, DeskRefusedError, outbox
from countersign.remediation import Action, Draft, key
from countersign.state import State
from countersign.ticket_body import Quoted, line
from tests.desks.github_standin import GitHubStandIn
from tests.desks.gitlab_standin import GitLabStandIn
from tests.desks.jira_standin import JiraCloudStandIn, JiraDataCenterStandIn
from tests.desks.served import OWNER, PARTNER, SERVICE, Answer
from tests.desks.servicenow_standin import ServiceNowStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORK = multiprocessing.get_context("fork")
DUE = datetime(2027, 1, 31, 12, tzinfo=UTC)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
STAND_INS: dict[str, Any] = {
    each.kind: each for each in (GitHubStandIn, GitLabStandIn, JiraCloudStandIn, JiraDataCenterStandIn, ServiceNowStandIn)
}
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    "../../etc/passwd\x00\x1b[31mred\u202egnp.exe",
    "@everybody @mkeller #1 !2 northwind/access#3 GH-4 ~bug %v1 &5",
    "cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa\nTicket key: cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\N{PILE OF POO}é" * 5000,
    "```\n/close\n````\n# heading [x](javascript:alert(1)) {{color}} [~mkeller]",
    "two\r\n/assign @mkeller",
]


@pytest.fixture(params=STAND_INS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    monkeypatch.setenv("PARTNER_TOKEN", f"token-of-{PARTNER}")
    monkeypatch.setenv("WRONG_TOKEN", "token-of-nobody")
    monkeypatch.setattr("countersign.desk.github.WRITE_COST", 1)  # GitHub's own pace would take these tests seconds
    with STAND_INS[request.param]() as served:
        yield served
    assert served.strange == []


@pytest.fixture
def desk(server: Any) -> Any:
    return server.desk()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def key_of(scope: str) -> str:
    return key("northwind", "rotation-age", "acme", "maria", scope)


NAME = key_of("one")


def draft(title: str = "Keys of acme", body: str = "Rotate them.", **more: Any) -> Draft:
    said: dict[str, Any] = {"control": "rotation-age", "partner": "acme", "accountable": "maria", "severity": "high", "due": DUE}
    return Draft(title=title, body=(line(Quoted(body)),), **{**said, **more})


def told(server: Any, body: str, severity: str, due: str) -> list[str]:
    """The lines of a description, as the tracker that renders Markdown has them, or as plain text."""
    if server.kind in {"github", "gitlab"}:
        return [f"`{body}`", "", "---", "", f"- Severity: {severity}", f"- Due: {due}", "", f"Ticket key: {NAME}"]
    return [body, "", f"Severity: {severity}", f"Due: {due}", f"Ticket key: {NAME}"]


# The port


def test_a_ticket_lives(desk: Any, server: Any) -> None:
    assert desk.find(NAME) is None
    made = desk.create(NAME, draft())
    assert desk.find(NAME) == made
    title, text, owner, open_ = server.fields(made.id)
    assert (title, owner, open_) == ("Keys of acme", OWNER, True)
    assert text.splitlines() == told(server, "Rotate them.", "high", "2027-01-31T12:00:00Z")

    desk.comment(made.id, "Still there.")
    desk.transition(made.id, "closed")
    closed = desk.find(NAME)
    assert (closed.id, closed.state) == (made.id, "closed")
    assert desk.closed([made.id]) == {made.id: closed.closed_at}

    desk.transition(made.id, "open")
    assert desk.find(NAME) == made
    assert desk.closed([made.id]) == {}
    happened = [(entry.actor, entry.what) for entry in desk.history(made.id) if entry.what != "updated"]
    assert happened == [(SERVICE, "created"), (SERVICE, "commented"), (SERVICE, "closed"), (SERVICE, "opened")]
    assert [entry.text for entry in desk.history(made.id) if entry.what == "commented"] == ["Still there."]


def test_what_is_as_it_should_be_is_not_written_again(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft())
    before = server.clock
    desk.update(made.id, draft())
    desk.transition(made.id, "open")
    assert server.clock == before


def test_an_update_changes_what_differs(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft())
    desk.update(made.id, draft("[escalated] Keys of acme", "Rotate them now.", severity="critical", due=None))
    title, text, _, _ = server.fields(made.id)
    assert "escalated" in title
    assert text.splitlines() == told(server, "Rotate them now.", "critical", "none")


def test_what_people_close_as_not_to_be_fixed_is_told_apart(desk: Any, server: Any) -> None:
    fixed, refused = (desk.create(key_of(name), draft()).id for name in ("fixed", "refused"))
    server.people_change(fixed, open=False)
    server.people_change(refused, declined=True)
    assert sorted(desk.closed([fixed, refused])) == sorted([fixed, refused])
    assert (desk.declined(fixed), desk.declined(refused)) == (False, True)


def test_people_may_take_a_ticket_over_and_edit_it(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft(accountable=None))
    assert server.fields(made.id)[2] == ""
    server.people_change(made.id, title="mine", text="all mine")
    desk.update(made.id, draft())
    assert server.fields(made.id)[0::2] == ("Keys of acme", OWNER)
    server.people_change(made.id, owner=SERVICE)
    desk.update(made.id, draft())
    assert server.fields(made.id)[2] == SERVICE


def test_a_mark_that_people_took_off_comes_back(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft())
    server.unlabel(made.id)
    desk.update(made.id, draft())
    assert desk.find(NAME) == made


def test_an_owner_whom_the_tracker_does_not_know_loses_no_ticket(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft(accountable="pavel"))
    desk.update(made.id, draft(accountable="pavel", body="Changed."))
    assert server.fields(made.id)[2] == ""


def test_the_open_ticket_of_a_key_comes_first_and_then_the_newest(desk: Any) -> None:
    first, second, third = (desk.create(NAME, draft()) for _ in range(3))
    desk.transition(third.id, "closed")
    assert desk.find(NAME).id == second.id
    for ticket in (first, second):
        desk.transition(ticket.id, "closed")
    found = desk.find(NAME)
    assert (found.id, found.state) == (third.id, "closed")


def test_a_ticket_that_a_partner_planted_is_not_ours(desk: Any, server: Any) -> None:
    server.plant(NAME)
    assert desk.find(NAME) is None


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text(desk: Any, server: Any, hostile: str) -> None:
    written = draft(f"[high] {hostile}, acme", f"1. {hostile}\nend")
    made = desk.create(NAME, written)
    desk.comment(made.id, hostile)
    before = server.clock
    desk.update(made.id, written)
    assert server.clock == before
    assert desk.find(NAME) == made
    assert desk.find("cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa") is None
    title, text, _, _ = server.fields(made.id)
    assert title.isprintable()
    assert not any(mark in title for mark in ("@e", "@m", "#1", "!2", "#3", "~b", "%v", "&5", "`", "<", "](", "[~m"))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert not any(line.lstrip().startswith("/") for line in text.splitlines())
    assert text.endswith(f"Ticket key: {NAME}")


def test_a_title_of_ours_is_as_it_was_drafted(desk: Any, server: Any) -> None:
    said = "[critical] rotation-age: arn:aws:iam::123456789012:user/ci (ci@acme.example), acme"
    assert server.fields(desk.create(NAME, draft(said)).id)[0] == said


def test_many_tickets_take_few_calls(desk: Any, server: Any) -> None:
    made = [desk.create(key_of(f"many {number}"), draft()).id for number in range(6)]
    for ticket in made[::2]:
        server.people_change(ticket, open=False)
    server.remove(made[1])
    before = server.requests
    said = desk.closed(made)
    assert sorted(said) == sorted({*made[::2], made[1]})
    assert [ticket for ticket, at in said.items() if at is None] == [made[1]]
    assert server.requests - before <= 4
    assert desk.closed([]) == {}


def test_listings_are_read_to_their_end(desk: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"countersign.desk.{server.module}.PAGE", 2)
    made = [desk.create(NAME, draft()).id for _ in range(5)]
    for ticket in made[:4]:
        desk.transition(ticket, "closed")
    for _ in range(3):
        desk.comment(made[0], "again")
    assert sorted(desk.closed(made)) == made[:4]
    assert desk.find(NAME).id == made[4]
    assert len([entry for entry in desk.history(made[0]) if entry.what == "commented"]) == 3


# Severities

SEVERITIES: dict[str, dict[str, Any]] = {
    "github": {"critical": "severity/critical", "high": "severity: high", "medium": "minor", "low": "minor"},
    "gitlab": {"critical": "severity::critical", "high": "severity::high", "medium": "minor", "low": "minor"},
    "jira": {"critical": "Highest", "high": "High", "medium": "Low", "low": "Low"},
    "servicenow": {
        "critical": {"impact": "1", "urgency": "1"},
        "high": {"impact": "2", "urgency": "1"},
        "medium": {"impact": "3", "urgency": "3"},
        "low": {"impact": "3", "urgency": "3"},
    },
}


def labels_of(server: Any, ticket: str) -> list[str]:
    labels = server.issues[int(ticket.partition(":")[2])]["labels"]
    return [each["name"] if server.kind == "github" else each for each in labels]


def severity_of(server: Any, ticket: str) -> Any:
    """What a ticket's fields say of its severity, as the settings write it."""
    if server.module == "servicenow":
        task = server.tasks[ticket.removeprefix("servicenow:")]
        return {name: task[name] for name in ("impact", "urgency")}
    if server.module == "jira":
        return server.issues[ticket.removeprefix("jira:")]["priority"]["name"]
    return ",".join(sorted(set(labels_of(server, ticket)) - {"countersign", NAME, "theirs"}))


def test_a_severity_is_a_field_where_the_settings_say_which(server: Any) -> None:
    said = SEVERITIES[server.module]
    desk = server.desk(severities=said)
    made = desk.create(NAME, draft(severity="high"))
    assert severity_of(server, made.id) == said["high"]
    for severity in ("critical", "medium", "low"):
        desk.update(made.id, draft(severity=severity))
        assert severity_of(server, made.id) == said[severity]
    clock, requests = server.clock, server.requests
    desk.update(made.id, draft(severity="low"))
    assert (server.clock, server.requests) == (clock, requests + 1)
    assert desk.find(NAME) == made


def test_what_people_made_of_a_severity_is_set_right_and_their_labels_stay(server: Any) -> None:
    said = SEVERITIES[server.module]
    desk = server.desk(severities=said)
    made = desk.create(NAME, draft())
    if server.module in {"github", "gitlab"}:
        server.relabel(made.id, [NAME, "theirs", "minor", said["critical"]])
    else:
        server.people_change(made.id, **{"priority": "Lowest"} if server.module == "jira" else said["low"])
    desk.update(made.id, draft())
    assert severity_of(server, made.id) == said["high"]
    assert server.module not in {"github", "gitlab"} or "theirs" in labels_of(server, made.id)


def test_without_the_setting_a_severity_is_people_s(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft())
    assert severity_of(server, made.id) in ("", "Medium", {"impact": "", "urgency": ""})
    if server.module in {"github", "gitlab"}:
        server.relabel(made.id, ["countersign", NAME, "minor"])
    before = severity_of(server, made.id)
    desk.update(made.id, draft(severity="critical"))
    assert severity_of(server, made.id) == before


def test_to_github_labels_that_differ_in_case_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    monkeypatch.setattr("countersign.desk.github.WRITE_COST", 1)
    with GitHubStandIn() as server:
        desk = server.desk(severities={**SEVERITIES["github"], "medium": "Minor", "low": "Minor"})
        made = desk.create(NAME, draft())
        server.relabel(made.id, ["Countersign", NAME, "Severity: High", "MINOR"])
        desk.update(made.id, draft())
        assert labels_of(server, made.id) == ["Countersign", NAME, "Severity: High"]
        clock = server.clock
        desk.update(made.id, draft())
        assert server.clock == clock


def test_a_field_that_no_screen_of_jira_s_has_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    with JiraCloudStandIn() as server:
        made = server.desk(severities=SEVERITIES["jira"]).create(NAME, draft())
        server.off_screen.add("priority")
        desk = server.desk(severities=SEVERITIES["jira"])
        second = desk.create(key_of("second"), draft())
        for ticket in (made, second):
            desk.update(ticket.id, draft(severity="critical"))
        assert [severity_of(server, ticket.id) for ticket in (made, second)] == ["High", "Medium"]
        assert "critical" in server.fields(made.id)[1]
        assert [probe.detail for probe in desk.probe() if not probe.ok] == ["put Priority on the create screen and the edit screen"]


# Refusals and a bad wire


@pytest.mark.parametrize("token", ["env:NOT_THERE", "file:/dev/null/x", "env:WRONG_TOKEN", "env:PARTNER_TOKEN"])
def test_a_desk_that_refuses_us_says_so_and_makes_nothing(server: Any, token: str) -> None:
    with pytest.raises(DeskRefusedError) as caught:
        server.desk(token_from=token).create(NAME, draft())
    assert "token-of" not in str(caught.value)
    assert server.tickets_with(NAME) == []


def test_tickets_that_are_not_there_concern_themselves_only(desk: Any, server: Any) -> None:
    made = desk.create(NAME, draft())
    server.remove(made.id)
    for strange in (made.id, "local:1", f"{server.module}:1 OR 1=1", f"{server.module}:../user"):
        with pytest.raises(DeskError) as caught:
            desk.update(strange, draft())
        assert not isinstance(caught.value, DeskRefusedError)
    with pytest.raises(DeskError, match="no key"):
        desk.create("cs1-nonsense", draft())


def test_nobody_there(server: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DeskError, match="cannot be reached") as caught:
            server.desk(url=f"http://127.0.0.1:{taken.getsockname()[1]}").create(NAME, draft())
    assert not isinstance(caught.value, AnswerLostError)


def test_a_busy_server_is_asked_again_and_a_broken_one_is_not(desk: Any, server: Any) -> None:
    desk.create(key_of("first"), draft())
    server.answers("POST", Answer(429, None, {"Retry-After": "0"}))
    made = desk.create(NAME, draft())
    server.answers(server.comments_by, Answer(server.hasty, {"message": "secondary rate limit"}, {"Retry-After": "900"}))
    with pytest.raises(DeskError, match="busy") as busy:
        desk.comment(made.id, "hello")
    assert not isinstance(busy.value, AnswerLostError | DeskRefusedError)
    server.answers("POST", Answer(502))
    with pytest.raises(AnswerLostError):
        desk.create(NAME, draft())
    server.answers("GET", Answer(503))
    with pytest.raises(DeskError) as broken:
        desk.find(NAME)
    assert not isinstance(broken.value, AnswerLostError)
    assert server.tickets_with(NAME) == [made.id]


# The outbox


def want(name: str) -> Action:
    return Action(kind="create", key=name, control="rotation-age", partner="acme", draft=draft(), digest="f1")


def ensure(url: str, desk: Any, run: str = "night", now: datetime = NOON) -> tuple[outbox.Receipt, ...]:
    with State(url) as state:
        state.apply(run, (), at=NOON, target=desk.target, actions=[want(NAME)])
        return outbox.carry_out([want(NAME)], desk, state, as_of=NOON, clock=lambda: now, evidence=run, digest="sha256:ab")


def test_six_at_once_make_one_ticket(server: Any, url: str) -> None:
    with State(url):
        pass
    with ThreadPoolExecutor(6) as pool:
        receipts = [each for done in pool.map(lambda _: ensure(url, server.desk()), range(6)) for each in done]
    assert sorted(receipt.action for receipt in receipts) == ["created", *["unchanged"] * 5]
    assert len(server.tickets_with(NAME)) == 1


@pytest.mark.parametrize("happened", [True, False])
def test_a_lost_answer_is_looked_up(server: Any, url: str, *, happened: bool) -> None:
    desk = server.desk()
    desk.create(key_of("first"), draft())
    if happened:
        server.swallow("POST")
    else:
        server.answers("POST", Answer(504))
    (lost,) = ensure(url, desk)
    assert (lost.action, lost.ticket) == ("failed", None)
    # Where a search does not lag, a clock that was set back hides nothing.
    (found,) = ensure(url, desk, "next night", NOON + (desk.search_lag or -timedelta(hours=1)))
    assert found.action == ("updated" if happened else "created")
    assert server.tickets_with(NAME) == [found.ticket]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_create_and_record(server: Any, url: str, moment: str) -> None:
    def dying() -> None:
        desk = server.desk()
        create = desk.create

        def create_and_die(key: str, draft: Draft) -> None:
            if moment == "after":
                create(key, draft)
            os.kill(os.getpid(), signal.SIGKILL)

        desk.create = create_and_die
        ensure(url, desk)

    process = FORK.Process(target=dying)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with State(url) as state, state.lock("next night", NOON):
        desk = server.desk()
        later = NOON + desk.search_lag
        state.apply("next", (), at=NOON, target=desk.target, actions=[want(NAME)])
        (receipt,) = outbox.carry_out([want(NAME)], desk, state, as_of=NOON, clock=lambda: later, evidence="next", digest="sha256:ab")
        outbox.reread(desk, state)
        (row,) = state.tickets(desk.target)
    assert receipt.action == ("updated" if moment == "after" else "created")
    assert server.tickets_with(NAME) == [receipt.ticket]
    assert (row.state, row.ticket) == ("open", receipt.ticket)


def test_a_ticket_that_people_deleted_is_made_anew_and_one_only(server: Any, url: str) -> None:
    desk = server.desk()
    (first,) = ensure(url, desk)
    server.remove(first.ticket)
    with State(url) as state:
        outbox.reread(desk, state)
    (second,) = ensure(url, desk, "next night", NOON + desk.search_lag)
    assert second.action == "created"
    assert server.tickets_with(NAME) == [second.ticket]
    assert ensure(url, desk, "the night after")[0].action in {"unchanged", "updated"}
    assert server.tickets_with(NAME) == [second.ticket]


def test_a_ticket_that_is_gone_when_it_is_written_to_is_made_anew_by_the_next_run(server: Any, url: str) -> None:
    desk = server.desk()
    (first,) = ensure(url, desk)
    server.remove(first.ticket)
    with State(url) as state:
        change = replace(want(NAME), kind="update", ticket=first.ticket, comment="Changed.")
        (failed,) = outbox.carry_out([change], desk, state, as_of=NOON, clock=lambda: NOON, evidence="night", digest="sha256:ab")
    assert (failed.action, "the next run makes a new one" in str(failed.error)) == ("failed", True)
    (second,) = ensure(url, desk, "next night", NOON + desk.search_lag)
    assert server.tickets_with(NAME) == [second.ticket]


def test_rights_that_are_gone_are_no_deleted_tickets(server: Any, url: str) -> None:
    desk = server.desk()
    names = [key_of(f"number {number}") for number in range(5)]
    with State(url) as state:
        state.apply("night", (), at=NOON, target=desk.target, actions=map(want, names))
        made = outbox.carry_out(list(map(want, names)), desk, state, as_of=NOON, clock=lambda: NOON, evidence="night", digest="sha256:ab")
        for receipt in made:
            server.remove(receipt.ticket)
        with pytest.raises(DeskError, match="shows nothing of 5 tickets that we made"):
            outbox.reread(desk, state)
        assert {row.ticket for row in state.tickets(desk.target)} == {receipt.ticket for receipt in made}


def test_a_desk_that_wants_to_be_left_alone_for_long_is(server: Any, url: str) -> None:
    desk = server.desk()
    desk.create(key_of("first"), draft())
    names = [key_of(f"number {number}") for number in range(4)]
    with State(url) as state:
        state.apply("night", (), at=NOON, target=desk.target, actions=map(want, names))
        server.answers("POST", Answer(server.hasty, {"message": "secondary rate limit"}, {"Retry-After": "1800"}))
        before = server.requests
        done = outbox.carry_out(list(map(want, names)), desk, state, as_of=NOON, clock=lambda: NOON, evidence="night", digest="sha256:ab")
        assert [receipt.action for receipt in done] == ["failed"] * 4
        assert all("not tried" in str(receipt.error) for receipt in done[1:])
        assert server.requests - before <= 4
        later = outbox.carry_out(list(map(want, names)), desk, state, as_of=NOON, clock=lambda: NOON, evidence="next", digest="sha256:ab")
    assert [receipt.action for receipt in later] == ["created"] * 4


def test_github_is_sent_no_more_changes_than_it_allows_an_hour(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    monkeypatch.setattr("countersign.desk.github.WRITES", 4)
    names = [key_of(f"number {number}") for number in range(6)]
    with GitHubStandIn() as server, State(url) as state:
        desk = server.desk()
        state.apply("night", (), at=NOON, target=desk.target, actions=map(want, names))
        done = outbox.carry_out(list(map(want, names)), desk, state, as_of=NOON, clock=lambda: NOON, evidence="night", digest="sha256:ab")
        # The first of the four changes made the label.
        assert [receipt.action for receipt in done] == ["created"] * 3 + ["failed"] * 3
        assert "as many changes as it allows" in str(done[3].error)
        assert "not tried" in str(done[4].error)
        assert desk.find(names[0]) is not None
        with pytest.raises(DeskBusyError):
            server.desk().comment("github:1", "Another desk at the same server, for the same quota.")


# The doctor


def test_the_doctor_tells_what_is_missing(server: Any) -> None:
    probes = list(server.desk().probe())
    assert [probe.detail for probe in probes if not probe.ok] == []
    assert probes[0].detail == f"as {SERVICE}"
    assert not all(probe.ok for probe in server.desk(token_from="env:PARTNER_TOKEN").probe())
    assert [probe.ok for probe in server.desk(token_from="env:WRONG_TOKEN").probe()] == [False]
    assert server.requests > 0


WRONG = {
    "jira": (
        {**SEVERITIES["jira"], "low": "Trivial"},
        "no priorities of this project: Trivial; there are: Highest, High, Medium, Low, Lowest",
    ),
    "servicenow": ({name: {"u_sev": "1"} for name in SEVERITIES["servicenow"]}, "no such columns, or we may not read them: u_sev"),
}


def test_the_doctor_looks_at_what_the_severities_are_said_by(server: Any) -> None:
    said = SEVERITIES[server.module]
    assert all(probe.ok for probe in server.desk(severities=said).probe())
    server.desk().create(NAME, draft())
    assert all(probe.ok for probe in server.desk(severities=said).probe())
    wrong, detail = WRONG.get(server.module, (said, None))
    assert [probe.detail for probe in server.desk(severities=wrong).probe() if not probe.ok] == ([] if detail is None else [detail])
