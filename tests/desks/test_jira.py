"""What only Jira does: a search that lags, and a workflow of the project's own."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import yaml

from countersign.desk import AnswerLostError, DeskError, outbox
from countersign.offboarding import tickets
from countersign.programme import load
from countersign.remediation import Action
from countersign.state import State
from tests.countersign.plans_to_approve import planned, programme_folder
from tests.desks.jira_standin import EMAIL, PROJECT, JiraCloudStandIn
from tests.desks.served import SERVICE, Answer
from tests.desks.test_desks import NAME, NOON, draft, ensure, key_of, want

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JiraCloudStandIn]:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    with JiraCloudStandIn() as served:
        yield served
    assert served.strange == []


def test_what_we_know_the_number_of_is_not_searched_for(server: JiraCloudStandIn, tmp_path: Path) -> None:
    server.lags = True
    desk, url = server.desk(), f"sqlite:///{tmp_path / 'state.db'}"
    (made,) = ensure(url, desk)
    assert desk.find(NAME) is None
    server.people_change(str(made.ticket), open=False)
    assert desk.closed([str(made.ticket)]).keys() == {made.ticket}
    desk.transition(str(made.ticket), "open")
    desk.update(str(made.ticket), draft(body="Changed."))
    (again,) = ensure(url, desk, "next night")
    assert again.action == "unchanged"
    assert server.tickets_with(NAME) == [made.ticket]


@pytest.mark.parametrize("way", ["create", "close"])
def test_a_lost_answer_is_not_asked_again_while_the_search_lags(server: JiraCloudStandIn, tmp_path: Path, way: str) -> None:
    desk, url = server.desk(), f"sqlite:///{tmp_path / 'state.db'}"
    desk.create(key_of("first"), draft())
    server.lags = True
    server.swallow("POST")
    ensure(url, desk)
    wanted = want(NAME) if way == "create" else Action(kind="close", key=NAME, control="rotation-age", partner="acme", comment="Over.")

    def again(after: timedelta) -> outbox.Receipt:
        with State(url) as state:
            times = {"as_of": NOON, "clock": lambda: NOON + after}
            (receipt,) = outbox.carry_out([wanted], desk, state, evidence="next", digest="sha256:ab", **times)
            return receipt

    soon = again(desk.search_lag - timedelta(seconds=1))
    assert (soon.action, soon.ticket) == ("failed", None)
    assert "for 15 minutes whether an earlier attempt made it" in str(soon.error)
    server.unindexed.clear()
    found = again(desk.search_lag)
    assert found.action == ("updated" if way == "create" else "closed")
    assert server.tickets_with(NAME) == [found.ticket]


def test_an_approval_ticket_whose_answer_was_lost_is_made_once(server: JiraCloudStandIn, tmp_path: Path) -> None:
    home = programme_folder(tmp_path / "programme")
    config = home / "countersign.yaml"
    desk = {"kind": "jira", "deployment": "cloud", "url": server.url, "project": PROJECT, "user": EMAIL, "token_from": "env:TRACKER_TOKEN"}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"desk": desk}))
    plan, programme = planned(home), load(home)
    at = plan.made_at
    server.answers("POST", Answer(400, {"errorMessages": ["no"]}))
    with pytest.raises(DeskError, match="no"):
        tickets.ask(programme, plan, clock=lambda: at)
    server.lags = True
    server.swallow("POST")
    with pytest.raises(AnswerLostError):
        tickets.ask(programme, plan, clock=lambda: at)
    with pytest.raises(DeskError, match="for 15 minutes whether an earlier attempt made the approval ticket"):
        tickets.ask(programme, plan, clock=lambda: at + timedelta(minutes=14))
    server.unindexed.clear()
    (made,) = tickets.ask(programme, plan, clock=lambda: at + timedelta(minutes=15))
    assert [f"jira:{number}" for number in server.issues] == [made]


def test_the_workflow_has_its_own_names(server: JiraCloudStandIn) -> None:
    desk = server.desk(closes="Rejected", opens="To Doing")
    made = desk.create(NAME, draft())
    desk.transition(made.id, "closed")
    desk.transition(made.id, "open")
    steps = [entry.text for entry in desk.history(made.id) if entry.what in {"closed", "opened"}]
    assert steps == ["Backlog to Rejected", "Rejected to Doing"]
    with pytest.raises(DeskError, match="there are: To Backlog, To Shipped, To Rejected"):
        server.desk(closes="Done").transition(made.id, "closed")
