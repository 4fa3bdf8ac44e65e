"""Tickets and approvals in a real Request Tracker from Debian's package, and what a cut wire or a killed process does to them."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from countersign import cli, scaffold
from countersign.approval.proofs import PlanFacts
from countersign.desk import AnswerLostError, DeskError, DeskRefusedError, outbox
from countersign.desk.approval_ticket import approval_draft, ticket_proofs
from countersign.desk.request_tracker import RequestTrackerDesk
from countersign.desk_settings import RequestTracker as Settings
from countersign.programme import load
from countersign.register.approvals import decide
from countersign.remediation import Action, Draft, key
from countersign.state import State
from countersign.ticket_body import Quoted, in_plain, line
from tests.countersign import test_reconciliation as nights
from tests.countersign.plans_to_approve import estate
from tests.system.rt_server import OWNER, PARTNER, QUEUE, SERVICE, STRANGER, RequestTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from countersign.approval.proofs import Decision, TicketProof

FORK = multiprocessing.get_context("fork")
DUE = datetime(2027, 1, 31, 12, tzinfo=UTC)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIGEST = "ab" * 32
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    "../../etc/passwd\x00\x1b[31mred\u202egnp.exe",
    "'; DROP TABLE Tickets; --",
    "cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa [cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa]",
    "\N{PILE OF POO}é" * 5000,
    "[northwind #1] Re: something else",
    "two\r\nBcc: everybody@example.org",
]


@pytest.fixture(scope="session")
def rt() -> Iterator[RequestTracker]:
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    try:
        with RequestTracker(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def settings(rt: RequestTracker, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in (SERVICE, OWNER, PARTNER, STRANGER):
        monkeypatch.setenv(f"RT_{name}".replace("-", "_"), rt.tokens[name])
    return Settings(url=rt.url, queue=QUEUE, token_from=f"env:RT_{SERVICE}")


@pytest.fixture
def desk(settings: Settings) -> RequestTrackerDesk:
    return desk_of(settings)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A ticket key of this test's own."""
    return key_of(request.node.name)


def desk_of(settings: Settings, **changed: str) -> RequestTrackerDesk:
    return RequestTrackerDesk(settings.model_copy(update=changed), {"maria": OWNER, "pavel": "who-is-not-there"})


def key_of(scope: str) -> str:
    return key("northwind", "rotation-age", "acme", "maria", scope)


def draft(title: str = "Keys of acme", body: str = "Rotate them.", **more: Any) -> Draft:
    said: dict[str, Any] = {"control": "rotation-age", "partner": "acme", "accountable": "maria", "severity": "high", "due": DUE}
    return Draft(title=title, body=(line(Quoted(body)),), **{**said, **more})


def on_rt(rt: RequestTracker, ticket: str, user: str = SERVICE) -> dict[str, Any]:
    with rt.as_user(user) as client:
        found: dict[str, Any] = client.get(f"/ticket/{ticket.removeprefix('rt:')}").raise_for_status().json()
    return found


def puts(rt: RequestTracker, user: str, ticket: str, **changes: object) -> tuple[int, Any]:
    with rt.as_user(user) as client:
        answer = client.put(f"/ticket/{ticket.removeprefix('rt:')}", json=changes)
    return answer.status_code, answer.json()


def tickets_with(rt: RequestTracker, name: str) -> list[str]:
    with rt.as_user(SERVICE) as client:
        listing = client.get("/tickets", params={"query": f"Subject LIKE '{name}'", "per_page": 100}).raise_for_status().json()
    return [f"rt:{item['id']}" for item in listing["items"]]


# The port


def test_a_ticket_lives(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    assert desk.find(name) is None
    made = desk.create(name, draft())
    assert desk.find(name) == made
    fields = on_rt(rt, made.id)
    assert (fields["Subject"], fields["Priority"], fields["Due"]) == (f"Keys of acme [{name}]", "75", "2027-01-31T12:00:00Z")
    assert (fields["Owner"]["id"], fields["Queue"]["id"]) == (OWNER, on_rt(rt, made.id, OWNER)["Queue"]["id"])

    desk.comment(made.id, "Still there.")
    desk.transition(made.id, "closed")
    closed = desk.find(name)
    assert closed is not None
    assert (closed.id, closed.state) == (made.id, "closed")
    assert desk.closed([made.id]) == {made.id: closed.closed_at}

    desk.transition(made.id, "open")
    assert desk.find(name) == made
    assert desk.closed([made.id]) == {}
    assert [(entry.actor, entry.what, entry.text) for entry in desk.history(made.id) if entry.what != "updated"] == [
        (SERVICE, "created", "Rotate them."),
        (SERVICE, "commented", "Still there."),
        (SERVICE, "closed", "new to resolved"),
        (SERVICE, "opened", "resolved to open"),
    ]


def test_what_is_as_it_should_be_is_not_written_again(desk: RequestTrackerDesk, name: str) -> None:
    made = desk.create(name, draft())
    before = desk.history(made.id)
    desk.update(made.id, draft())
    desk.transition(made.id, "open")
    assert desk.history(made.id) == before


def test_an_update_changes_what_differs_and_tells_the_description_once(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    made = desk.create(name, draft())
    changed = draft("[escalated] Keys of acme", "Rotate them now.", severity="critical", due=None)
    desk.update(made.id, changed)
    once = desk.history(made.id)
    desk.update(made.id, changed)
    assert desk.history(made.id) == once
    fields = on_rt(rt, made.id)
    assert (fields["Subject"], fields["Priority"], fields["Due"]) == (f"[escalated] Keys of acme [{name}]", "100", "1970-01-01T00:00:00Z")
    assert [entry.text.endswith("Rotate them now.") for entry in once if entry.what == "commented"] == [True]


def test_people_may_take_a_ticket_over_and_edit_its_title(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    made = desk.create(name, draft(accountable=None))
    assert puts(rt, OWNER, made.id, Subject="mine")[0] == 200
    desk.update(made.id, draft(accountable="maria"))
    fields = on_rt(rt, made.id)
    assert (fields["Subject"], fields["Owner"]["id"]) == (f"Keys of acme [{name}]", OWNER)
    assert puts(rt, OWNER, made.id, Owner="root")[0] == 200
    taken = on_rt(rt, made.id)["Owner"]["id"]
    desk.update(made.id, draft())
    assert on_rt(rt, made.id)["Owner"]["id"] == taken


def test_an_owner_whom_rt_does_not_know_loses_no_ticket(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    made = desk.create(name, draft(accountable="pavel"))
    desk.update(made.id, draft(accountable="pavel", body="Changed."))
    assert on_rt(rt, made.id)["Owner"]["id"] == "Nobody"


def test_the_open_ticket_of_a_key_comes_first_and_then_the_newest(desk: RequestTrackerDesk, name: str) -> None:
    first, second, third = (desk.create(name, draft()) for _ in range(3))
    desk.transition(third.id, "closed")
    found = desk.find(name)
    assert found is not None
    assert found.id == second.id
    for ticket in (first, second):
        desk.transition(ticket.id, "closed")
    found = desk.find(name)
    assert found is not None
    assert (found.id, found.state) == (third.id, "closed")


def test_a_ticket_that_a_partner_planted_is_not_ours(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    with rt.as_user(PARTNER) as client:
        client.post("/ticket", json={"Queue": QUEUE, "Subject": f"Keys [{name}]"}).raise_for_status()
    assert desk.find(name) is None


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text(desk: RequestTrackerDesk, rt: RequestTracker, name: str, hostile: str) -> None:
    written = draft(f"[high] {hostile}, acme", f"1. {hostile}\nend")
    made = desk.create(name, written)
    before = desk.history(made.id)
    assert desk.find(name) == made
    desk.update(made.id, written)
    assert desk.history(made.id) == before
    assert desk.find("cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa") is None
    subject = on_rt(rt, made.id)["Subject"]
    assert subject.endswith(f"[{name}]")
    assert len(subject.encode()) <= 200
    assert all(char.isprintable() or char == "\n" for char in f"{subject}{before[0].text}")
    with rt.as_user(SERVICE) as client:
        (attachment,) = client.get(f"/ticket/{made.id[3:]}/attachments").json()["items"]
        assert client.get(f"/attachment/{attachment['id']}").json()["ContentType"] == "text/plain"


def test_many_tickets_take_few_calls(settings: Settings, rt: RequestTracker) -> None:
    names = [key_of(f"many {number}") for number in range(6)]
    with Cut(rt.port) as proxy:
        desk = desk_of(settings, url=proxy.url)
        made = [desk.create(each, draft()).id for each in names]
        for ticket in made[::2]:
            desk.transition(ticket, "closed")
        before = proxy.requests
        assert sorted(desk.closed(made)) == sorted(made[::2])
        assert proxy.requests - before <= 4


def test_a_long_history_is_read_to_its_end(
    desk: RequestTrackerDesk, rt: RequestTracker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countersign.desk.request_tracker_wire.PAGE", 3)
    made = desk.create(name, draft())
    number = made.id.removeprefix("rt:")
    with rt.as_user(OWNER) as client:
        for turn in range(7):
            client.put(f"/ticket/{number}", json={"Priority": turn}).raise_for_status()
        client.put(f"/ticket/{number}", json={"Status": "resolved"}).raise_for_status()
    assert [(each.actor, each.was, each.becomes) for each in desk.transitions(made.id)] == [(OWNER, "new", "resolved")]


def test_a_merged_ticket_is_talked_about_but_the_other_one_is_left_alone(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    ours = desk.create(name, draft())
    other = desk.create(key_of("the other one"), draft("Another matter"))
    assert puts(rt, OWNER, ours.id, MergeInto=int(other.id[3:])) == (200, ["Merge Successful"])
    desk.update(ours.id, draft("New title", "New body."))
    desk.transition(ours.id, "closed")
    fields = on_rt(rt, other.id)
    assert (fields["Subject"], fields["Status"]) == (f"Another matter [{key_of('the other one')}]", "new")
    assert desk.history(other.id)[-1].text.endswith("New body.")
    assert desk.closed([ours.id]) == {}
    desk.transition(other.id, "closed")
    assert desk.closed([ours.id]).keys() == {ours.id}
    desk.transition(ours.id, "open")
    assert desk.closed([ours.id, other.id]) == {}


def test_a_deleted_ticket_counts_as_closed_and_can_come_back(desk: RequestTrackerDesk, rt: RequestTracker, name: str) -> None:
    made = desk.create(name, draft())
    assert puts(rt, OWNER, made.id, Status="deleted")[1] == [f"Ticket {made.id[3:]}: Ticket deleted"]
    assert desk.closed([made.id]).keys() == {made.id}
    desk.transition(made.id, "closed")
    desk.transition(made.id, "open")
    assert (desk.closed([made.id]), desk.find(name)) == ({}, made)


def test_who_changes_meanwhile_is_not_overwritten(settings: Settings, rt: RequestTracker, name: str) -> None:
    with Cut(rt.port) as proxy:
        desk = desk_of(settings, url=proxy.url)
        made = desk.create(name, draft())
        proxy.before("PUT", lambda: puts(rt, OWNER, made.id, Priority=1))
        desk.update(made.id, draft("Another title", "Rotate them."))
    fields = on_rt(rt, made.id)
    assert (fields["Subject"], fields["Priority"]) == (f"Another title [{name}]", "75")
    changes = [(entry.actor, entry.text) for entry in desk_of(settings).history(made.id) if entry.text.startswith(("Subject", "Priority"))]
    assert changes == [(OWNER, "Priority: 1"), (SERVICE, "Priority: 75"), (SERVICE, f"Subject: Another title [{name}]")]


# Refusals and a bad wire


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"token_from": "env:RT_NOT_THERE"}, "holds no token"),
        ({"token_from": f"env:RT_{STRANGER}"}, "No permission to create tickets"),
        ({"queue": "Elsewhere"}, "No permission to create tickets"),
        ({"token_from": "file:/dev/null/x"}, "cannot be read"),
    ],
)
def test_a_desk_that_refuses_us_says_so(settings: Settings, name: str, changed: dict[str, str], words: str) -> None:
    with pytest.raises(DeskRefusedError, match=words):
        desk_of(settings, **changed).create(name, draft())


def test_a_token_is_never_repeated_and_others_may_not_read_its_file(settings: Settings, name: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("1-37-0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    file.chmod(0o644)
    with pytest.raises(DeskRefusedError, match="read by others"):
        desk_of(settings, token_from=f"file:{file}").find(name)
    file.chmod(0o600)
    with pytest.raises(DeskRefusedError) as caught:
        desk_of(settings, token_from=f"file:{file}").find(name)
    assert "401" in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_a_change_that_rt_refuses_with_200_is_an_error(settings: Settings, desk: RequestTrackerDesk, name: str) -> None:
    made = desk.create(name, draft())
    partners = desk_of(settings, token_from="env:RT_acme_pavel")
    with pytest.raises(DeskError, match="Permission Denied"):
        partners.transition(made.id, "closed")
    with pytest.raises(DeskError, match=r"did not take Subject: .*Permission Denied"):
        partners.update(made.id, draft("Mine now"))
    with pytest.raises(DeskError, match="isn't a valid status"):
        desk_of(settings, closes="nosuch").transition(made.id, "closed")
    for strange in ("rt:999999", "local:1", "rt:1 OR 1=1"):
        with pytest.raises(DeskError) as caught:
            desk.update(strange, draft())
        assert not isinstance(caught.value, DeskRefusedError)


def test_nobody_there(settings: Settings, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = desk_of(settings, url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DeskError, match="cannot be reached") as caught:
            away.create(name, draft())
    assert not isinstance(caught.value, AnswerLostError)


def test_a_busy_server_is_asked_again_and_a_broken_one_is_not(settings: Settings, rt: RequestTracker, name: str) -> None:
    with Cut(rt.port) as proxy:
        desk = desk_of(settings, url=proxy.url)
        proxy.answers("POST", b"HTTP/1.1 429 Slow Down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        made = desk.create(name, draft())
        assert tickets_with(rt, name) == [made.id]
        proxy.answers("POST", b"HTTP/1.1 429 Slow Down\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(DeskError, match="busy") as busy:
            desk.comment(made.id, "hello")
        assert not isinstance(busy.value, AnswerLostError)
        proxy.answers("POST", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(AnswerLostError):
            desk.create(name, draft())
        proxy.answers("GET", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(DeskError) as broken:
            desk.find(name)
        assert not isinstance(broken.value, AnswerLostError)
    assert tickets_with(rt, name) == [made.id]


# The outbox


def want(name: str) -> Action:
    return Action(kind="create", key=name, control="rotation-age", partner="acme", draft=draft(), digest="f1")


def ensure(url: str, desk: RequestTrackerDesk, name: str, run: str = "night") -> tuple[outbox.Receipt, ...]:
    with State(url) as state:
        state.apply(run, (), at=NOON, target=desk.target, actions=[want(name)])
        return outbox.carry_out([want(name)], desk, state, as_of=NOON, clock=lambda: NOON, evidence=run, digest="sha256:ab")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def test_six_at_once_make_one_ticket(settings: Settings, rt: RequestTracker, url: str, name: str) -> None:
    with State(url):
        pass
    with ThreadPoolExecutor(6) as pool:
        receipts = [each for done in pool.map(lambda _: ensure(url, desk_of(settings), name), range(6)) for each in done]
    assert sorted(receipt.action for receipt in receipts) == ["created", *["unchanged"] * 5]
    assert len(tickets_with(rt, name)) == 1


def test_a_lost_answer_is_looked_up(settings: Settings, rt: RequestTracker, url: str, name: str) -> None:
    with Cut(rt.port) as proxy:
        # The desk's name in the outbox has to be the same with the wire cut and with it whole.
        desk = desk_of(settings, url=proxy.url)
        proxy.swallow("POST")
        (lost,) = ensure(url, desk, name)
        assert (lost.action, lost.ticket) == ("failed", None)
        (made,) = tickets_with(rt, name)
        (found,) = ensure(url, desk, name, "next night")
        assert (found.action, found.ticket) == ("updated", made)
    assert tickets_with(rt, name) == [made]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_create_and_record(settings: Settings, rt: RequestTracker, url: str, name: str, moment: str) -> None:
    class Dying(RequestTrackerDesk):
        def create(self, key: str, draft: Draft) -> Any:
            if moment == "after":
                super().create(key, draft)
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=lambda: ensure(url, Dying(settings, {}), name))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with State(url) as state, state.lock("next night", NOON):
        desk = desk_of(settings)
        state.apply("next", (), at=NOON, target=desk.target, actions=[want(name)])
        (receipt,) = outbox.carry_out([want(name)], desk, state, as_of=NOON, clock=lambda: NOON, evidence="next", digest="sha256:ab")
        outbox.reread(desk, state)
        (row,) = state.tickets(desk.target)
    assert receipt.action == ("updated" if moment == "after" else "created")
    assert tickets_with(rt, name) == [receipt.ticket]
    assert (row.state, row.ticket) == ("open", receipt.ticket)


# Approvals


@pytest.fixture
def asked(desk: RequestTrackerDesk, name: str) -> str:
    lines = [f"aws 444455556666: access key of {HOSTILE[0]}", f"x\nPlan digest: sha256:{'cd' * 32}", f"Plan digest: sha256:{'cd' * 32}"]
    wanted = approval_draft("plan/OP-0001", DIGEST, lines, DUE, partner="acme", accountable="maria")
    return desk.create(name, wanted).id


def decisions(proofs: tuple[TicketProof, ...]) -> list[tuple[str, str | None, str | None]]:
    return [(proof.actor, proof.choice, proof.stated) for proof in proofs]


def test_the_owners_own_change_of_status_is_read_as_theirs(
    desk: RequestTrackerDesk, settings: Settings, rt: RequestTracker, asked: str
) -> None:
    assert ticket_proofs(desk, settings, asked) == ()
    since = datetime.now(UTC) - timedelta(seconds=2)
    assert puts(rt, OWNER, asked, Status="resolved")[0] == 200
    (proof,) = ticket_proofs(desk, settings, asked)
    assert (proof.desk, proof.ticket, proof.made_by, proof.ourselves) == ("rt", asked, SERVICE, SERVICE)
    assert (proof.actor, proof.was, proof.becomes, proof.choice, proof.stated) == (OWNER, "new", "resolved", "approve", DIGEST)
    assert since <= proof.at <= datetime.now(UTC)
    puts(rt, OWNER, asked, Status="open")
    puts(rt, OWNER, asked, Status="rejected")
    assert decisions(ticket_proofs(desk, settings, asked)) == [
        (OWNER, "approve", DIGEST),
        (OWNER, None, DIGEST),
        (OWNER, "decline", DIGEST),
    ]


def test_rt_refuses_a_partners_resolve_and_ours_bears_our_name(
    desk: RequestTrackerDesk, settings: Settings, rt: RequestTracker, asked: str
) -> None:
    assert puts(rt, PARTNER, asked, Status="resolved") == (200, [f"Ticket {asked[3:]}: Permission Denied"])
    with rt.as_user(PARTNER) as client:
        client.post(f"/ticket/{asked[3:]}/comment", json={"Content": "ok", "ContentType": "text/plain", "Status": "resolved"})
        client.post(f"/ticket/{asked[3:]}/correspond", json={"Content": "ok", "ContentType": "text/plain", "Status": "resolved"})
    assert "approve" not in {proof.choice for proof in ticket_proofs(desk, settings, asked)}
    assert on_rt(rt, asked)["Status"] != "resolved"
    desk.transition(asked, "closed")
    (*_, proof) = ticket_proofs(desk, settings, asked)
    assert (proof.actor, proof.choice) == (proof.ourselves, "approve")


def test_an_approval_of_something_else_does_not_come_over_by_merging(
    desk: RequestTrackerDesk, settings: Settings, rt: RequestTracker, asked: str
) -> None:
    other = desk.create(key_of("harmless"), draft("Harmless"))
    puts(rt, OWNER, other.id, Status="resolved")
    assert puts(rt, OWNER, other.id, MergeInto=int(asked[3:]))[1] == ["Merge Successful"]
    assert ticket_proofs(desk, settings, asked) == ()
    assert [proof.stated for proof in ticket_proofs(desk, settings, other.id)] == [None]


def test_a_ticket_of_somebody_elses_says_who_made_it(desk: RequestTrackerDesk, settings: Settings, rt: RequestTracker) -> None:
    with rt.as_user(PARTNER) as client:
        body = in_plain(approval_draft("plan/OP-0001", DIGEST, (), None).body)
        made = client.post("/ticket", json={"Queue": QUEUE, "Subject": "Approve", "Content": body, "ContentType": "text/plain"}).json()
    planted = f"rt:{made['id']}"
    puts(rt, OWNER, planted, Status="resolved")
    (proof,) = ticket_proofs(desk, settings, planted)
    assert (proof.made_by, proof.ourselves) == (PARTNER, SERVICE)


def test_only_the_accountable_owners_own_change_approves(
    desk: RequestTrackerDesk, settings: Settings, rt: RequestTracker, asked: str
) -> None:
    now = datetime.now(UTC)
    plan = PlanFacts(
        subject="plan/OP-0001", digest=DIGEST, made_at=now - timedelta(minutes=5), expires=now + timedelta(days=6), requested_by="countersign",
        control="contract-ended", phase="disable", steps=3, needed=1,
    )  # fmt: skip

    def decided(plan: PlanFacts) -> Decision:
        return decide(plan, ticket_proofs(desk, settings, asked), estate(), at=datetime.now(UTC) + timedelta(seconds=1))

    puts(rt, PARTNER, asked, Status="resolved")
    assert not decided(plan).holds
    desk.transition(asked, "closed")
    assert "our own account" in decided(plan).refused[0]
    desk.transition(asked, "open")
    puts(rt, OWNER, asked, Status="resolved")
    assert (decided(plan).holds, decided(plan).approvers) == (True, ("maria",))
    assert not decided(replace(plan, digest="cd" * 32)).holds
    puts(rt, OWNER, asked, Status="open")
    assert not decided(plan).holds
    puts(rt, OWNER, asked, Status="rejected")
    assert (decided(plan).holds, decided(plan).declined) == (False, ("maria",))


# A programme


@pytest.fixture
def programme(settings: Settings, tmp_path: Path) -> Path:
    folder = tmp_path / "programme"
    scaffold.init(folder)
    nights.export(folder, "111111111111", {"old": (200, None), "fine": (10, 1)})
    point_at(folder, settings.url)
    return folder


def point_at(folder: Path, url: str) -> None:
    file = folder / "countersign.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    said["desk"] = {"kind": "request_tracker", "url": url, "queue": QUEUE, "token_from": f"env:RT_{SERVICE}"}
    file.write_text(yaml.safe_dump(said), encoding="utf-8")


def test_nights_with_tickets_in_rt(programme: Path, rt: RequestTracker) -> None:
    first = nights.night(programme)
    assert (first.state, first.tickets["failed"], first.errors) == ("complete", 0, ())
    loaded = load(programme)
    with State(loaded.state) as state:
        rows = state.tickets(f"request_tracker:{rt.url}#{QUEUE}")
    opened = [row.ticket for row in rows]
    assert (len(opened), {row.state for row in rows}) == (first.tickets["created"], {"open"})
    assert [tickets_with(rt, row.key) for row in rows] == [[ticket] for ticket in opened]
    before = [desk_of(load(programme).desk).history(ticket) for ticket in opened if ticket]
    second = nights.night(programme, 1)
    assert (second.tickets["unchanged"], second.tickets["failed"]) == (len(opened), 0)
    assert [desk_of(load(programme).desk).history(ticket) for ticket in opened if ticket] == before

    # A person's closing is a claim: the finding is still there.
    puts(rt, OWNER, str(opened[0]), Status="resolved")
    third = nights.night(programme, 2)
    assert third.tickets["reopened"] == 1
    assert on_rt(rt, str(opened[0]))["Status"] == "open"


def test_a_night_without_its_desk_keeps_what_it_found(programme: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        point_at(programme, f"http://127.0.0.1:{taken.getsockname()[1]}")
        told = nights.night(programme)
    assert told.findings["open"] > 0
    assert (told.tickets["created"], told.tickets["failed"]) == (0, len(told.errors))
    assert "cannot be reached" in told.errors[0]
    assert nights.verified(programme)


# The doctor


def test_the_doctor_tells_what_is_missing(settings: Settings, desk: RequestTrackerDesk, name: str) -> None:
    desk.create(name, draft())
    assert [(probe.operation, probe.ok, probe.detail) for probe in desk.probe()] == [
        ("sign in", True, f"as {SERVICE}"),
        ("see the queue", True, ""),
        ("create tickets", True, ""),
        ("comment", True, ""),
        ("change tickets", True, ""),
    ]
    (*_, last) = desk_of(settings, token_from=f"env:RT_{OWNER}").probe()
    assert [(probe.operation, probe.ok) for probe in desk_of(settings, token_from=f"env:RT_{OWNER}").probe()][2] == (
        "create tickets",
        False,
    )
    (signed_in, asked) = desk_of(settings, token_from=f"env:RT_{STRANGER}").probe()
    assert (signed_in.ok, asked.ok) == (True, False)
    assert last.operation == "change tickets"


def test_the_doctor_of_a_programme_tries_its_desk(
    programme: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> list[tuple[str, bool]]:
        cli.answer(["doctor", "-p", str(programme), "--json"])
        return [(check["operation"], check["ok"]) for check in json.loads(capsys.readouterr().out)["checks"] if check["scope"] == "desk"]

    assert said()[:3] == [("sign in", True), ("see the queue", True), ("create tickets", True)]
    monkeypatch.delenv(f"RT_{SERVICE}")
    assert said() == [("ask", False)]


class Cut:
    """A proxy on the wire to the server that can answer by itself, swallow an answer, or let something happen first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._plan: list[tuple[str, bytes | None, Callable[[], object] | None]] = []
        self.requests = 0

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def answers(self, method: str, answer: bytes) -> None:
        """Give the next request of this method an answer, without the server."""
        self._plan.append((method, answer, None))

    def swallow(self, method: str) -> None:
        """Let the next request of this method happen, and cut the wire instead of answering."""
        self._plan.append((method, None, None))

    def before(self, method: str, act: Callable[[], object]) -> None:
        """Do something just before the next request of this method reaches the server."""
        self._plan.append((method, None, act))

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client:
            request = _message(client)
            if not request:
                return
            self.requests += 1
            method = request.split(b" ", 1)[0].decode()
            step = next((each for each in self._plan if each[0] == method), None)
            if step is not None:
                self._plan.remove(step)
                if step[1] is not None:
                    client.sendall(step[1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    return
                if step[2] is not None:
                    step[2]()
            with _connected(self._port) as server:
                server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                answer = b"".join(iter(lambda: server.recv(65536), b""))
            if step is None or step[2] is not None:
                client.sendall(answer)


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as server:
        yield server


def _message(client: socket.socket) -> bytes:
    """Read one request with its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += client.recv(65536)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
