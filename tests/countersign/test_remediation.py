from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.finding import Known, fingerprint
from countersign.remediation import Action, Night, TicketRow, key, plan, scan_looks_wrong

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)
TONIGHT = Night(customer="northwind", as_of=NIGHT, budget=200, titles={"rotation-age": "Credential is past its rotation date"})
AWS = ("aws", "444455556666")
VAULT = ("vault", "prod")
SEEN = frozenset({AWS, VAULT})
ROTATION = key("northwind", "rotation-age", "acme", "maria", "all")


def finding(number: int = 1, place: tuple[str, str] = AWS, **changes: object) -> Known:
    control = str(changes.get("control", "rotation-age"))
    subject = f"{place[0]}:{place[1]}:access-key/AKIA{number}"
    row = Known(
        fingerprint=fingerprint(control, subject),
        control=control,
        subject=subject,
        subject_kind="credential",
        identity=None,
        identity_name="acme-backup",
        provider=place[0],
        scope=place[1],
        partner="acme",
        accountable="maria",
        severity="high",
        reason="too old",
        facts_digest="f1",
        state="open",
        first_seen=NIGHT,
        since=NIGHT,
        due=NIGHT + timedelta(days=7),
    )
    return row._replace(**changes)


def gone(row: Known) -> Known:
    return row._replace(state="resolved", closed_at=NIGHT, ticket_key=ROTATION)


def opened(action: Action, standing: int = 1, **changes: object) -> TicketRow:
    row = TicketRow(
        key=action.key,
        state="open",
        ticket="local:1",
        control=action.control,
        partner=action.partner,
        digest=action.digest,
        standing=standing,
        commented_at=NIGHT - timedelta(days=1),
    )
    return replace(row, **changes)  # type: ignore[arg-type]  # the point of the test


def tonight(
    findings: list[Known], tickets: list[TicketRow], seen: frozenset[tuple[str, str]] = SEEN, night: Night = TONIGHT
) -> list[Action]:
    return list(plan(findings, tickets, dict.fromkeys(seen, frozenset()), night))


def only(actions: list[Action]) -> Action:
    assert len(actions) == 1
    return actions[0]


def carried(findings: list[Known], actions: list[Action]) -> tuple[list[Known], list[TicketRow]]:
    joins = {print_: action.key for action in actions for print_ in action.joins}
    after = [row._replace(ticket_key=joins.get(row.fingerprint, row.ticket_key)) for row in findings]
    counts = {action.key: sum(row.ticket_key == action.key for row in after) for action in actions}
    rows = [opened(action, counts[action.key], ticket=f"local:{n}") for n, action in enumerate(actions, 1) if action.kind == "create"]
    return after, rows


def test_the_key_depends_on_each_part_and_on_where_it_ends() -> None:
    assert ROTATION[:4] == "cs1-"
    assert len(ROTATION) == 30
    assert key("a", "bc", "d", "e", "f") != key("ab", "c", "d", "e", "f")
    assert key("northwind", "rotation-age", "acme", "maria", "all") == ROTATION
    for empty in range(5):
        with pytest.raises(ValueError, match="five"):
            key(*("" if part == empty else "x" for part in range(5)))


anything = st.lists(
    st.builds(
        finding,
        number=st.integers(1, 30),
        place=st.sampled_from([AWS, VAULT]),
        control=st.sampled_from(["rotation-age", "named-owner"]),
        partner=st.sampled_from([None, "acme", "globex"]),
        accountable=st.sampled_from([None, "maria"]),
        severity=st.sampled_from(["critical", "high", "low"]),
        state=st.sampled_from(["open", "excepted"]),
    ),
    unique_by=lambda row: row.fingerprint,
)


@given(anything)
def test_the_second_night_changes_nothing_and_order_does_not_matter(findings: list[Known]) -> None:
    first = tonight(findings, [])
    assert first == tonight(findings[::-1], [])
    assert {"create"} >= {action.kind for action in first}
    after, rows = carried(findings, first)
    assert {"unchanged"} >= {action.kind for action in tonight(after, rows)}


@given(anything, st.integers(0, 3))
def test_every_open_finding_is_carried_whatever_the_budget(findings: list[Known], budget: int) -> None:
    night = replace(TONIGHT, budget=budget)
    actions = tonight(findings, [], night=night)
    joins = [print_ for action in actions for print_ in action.joins]
    assert len(joins) == len(set(joins))
    assert set(joins) >= {row.fingerprint for row in findings if row.state == "open"}
    created = [action for action in actions if action.kind == "create"]
    assert budget >= sum(action.control != "roll-up" for action in created)
    assert sum(action.control == "roll-up" for action in created) <= 3


@given(anything)
def test_nothing_seen_does_nothing(findings: list[Known]) -> None:
    after, rows = carried(findings, tonight(findings, []))
    resolved = [row._replace(state="resolved", closed_at=NIGHT) for row in after]
    assert tonight(resolved, rows, seen=frozenset()) == []


def test_criticals_stand_alone_and_the_rest_is_grouped() -> None:
    rows = [finding(1), finding(2), finding(3, severity="critical"), finding(4, severity="critical"), finding(5, accountable=None)]
    assert [len(action.joins) for action in tonight(rows, [])] == [1, 1, 2, 1]


def test_a_ticket_closes_when_every_finding_is_shown_to_be_gone() -> None:
    row = opened(only(tonight([finding(1), finding(2)], [])), standing=2)
    assert only(tonight([gone(finding(1)), gone(finding(2))], [row])).kind == "close"


def test_a_ticket_stays_while_one_finding_is_not_accounted_for() -> None:
    row = opened(only(tonight([finding(1), finding(2)], [])), standing=2)
    assert only(tonight([gone(finding(1))], [row])).kind == "unchanged"
    assert only(tonight([gone(finding(1)), gone(finding(2, VAULT))], [row], seen=frozenset({AWS}))).kind == "unchanged"
    unread = finding(2, VAULT, unobserved_since=NIGHT, ticket_key=ROTATION)
    assert only(tonight([gone(finding(1)), unread], [row], seen=frozenset({AWS}))).kind != "close"


def test_an_unread_scope_moves_nothing() -> None:
    row = opened(only(tonight([finding(1)], [])))
    unread = finding(1, unobserved_since=NIGHT, ticket_key=ROTATION, facts_digest="f2")
    assert only(tonight([unread], [replace(row, said_closed_at=NIGHT)], seen=frozenset({VAULT}))).kind == "unchanged"
    assert tonight([unread._replace(ticket_key=None)], [], seen=frozenset({VAULT})) == []


def test_what_was_seen_to_fail_in_a_scope_that_was_read_in_part_has_its_ticket() -> None:
    action = only(tonight([finding(1)], [], seen=frozenset({VAULT})))
    assert action.kind == "create"
    assert action.draft is not None
    assert action.draft.carried is not None
    assert (action.draft.carried.open, action.draft.carried.unread) == (1, 0)


def test_changed_facts_update_and_comment_once_a_day() -> None:
    row = opened(only(tonight([finding(1)], [])))
    changed = [finding(1, facts_digest="f2", ticket_key=ROTATION)]
    assert only(tonight(changed, [row])).comment is not None
    told = only(tonight(changed, [replace(row, commented_at=NIGHT - timedelta(hours=1))]))
    assert (told.kind, told.comment) == ("update", None)


def test_not_to_be_fixed_asks_the_accountable_owner_for_a_decision_and_excepts_nothing() -> None:
    first = only(tonight([finding(1)], []))
    row = opened(first, said_closed_at=NIGHT - timedelta(hours=1))
    again = only(tonight([finding(1)], [row], night=replace(TONIGHT, declined=frozenset({"local:1"}))))
    assert again.kind == "reopen"
    assert "This asks maria, who is accountable, to decide" in str(again.comment)
    assert again.told


def test_what_we_closed_and_is_back_is_said_to_be_back() -> None:
    first = only(tonight([finding(1)], []))
    row = opened(first, state="closed", closed_at=NIGHT - timedelta(days=2), digest=None)
    again = only(tonight([finding(1)], [row]))
    assert (again.kind, str(again.comment)[:35]) == ("reopen", "It was gone, and is observed again:")


def test_a_closed_ticket_of_an_observed_finding_is_reopened_then_escalated_then_followed() -> None:
    row = opened(only(tonight([finding(1)], [])), said_closed_at=NIGHT - timedelta(days=14))
    rows = [finding(1, ticket_key=ROTATION)]
    again = only(tonight(rows, [row]))
    assert (again.kind, again.ticket, again.draft and again.draft.escalated) == ("reopen", "local:1", False)
    third = only(tonight(rows, [replace(row, reopened=2)]))
    assert (third.kind, third.draft and third.draft.escalated) == ("reopen", True)
    late = only(tonight(rows, [replace(row, said_closed_at=NIGHT - timedelta(days=15))]))
    assert (late.kind, late.draft and late.draft.replaces) == ("create", "local:1")
    ours = replace(row, state="closed", said_closed_at=None, closed_at=NIGHT - timedelta(days=3))
    assert only(tonight(rows, [ours])).kind == "reopen"


def test_a_new_owner_gets_a_new_ticket_and_the_old_one_closes() -> None:
    row = opened(only(tonight([finding(1)], [])))
    moved = tonight([finding(1, accountable="dev", ticket_key=ROTATION)], [row])
    assert [action.kind for action in moved] == ["create", "close"]


def test_accepted_findings_open_no_ticket_and_park_the_one_there_is() -> None:
    until = NIGHT + timedelta(days=30)
    accepted = finding(1, state="excepted", excepted="EX-1", excepted_until=until)
    assert tonight([accepted], []) == []
    row = opened(only(tonight([finding(1)], [])))
    parked = only(tonight([accepted._replace(ticket_key=ROTATION)], [row]))
    assert ("update", until) == (parked.kind, parked.draft and parked.draft.due)


def test_a_storm_is_rolled_up_and_worked_off() -> None:
    rows = [finding(n, severity="critical") for n in range(5)]
    night = replace(TONIGHT, budget=2)
    first = tonight(rows, [], night=night)
    assert [action.kind for action in first] == ["create", "create", "create", "rolled-up", "rolled-up", "rolled-up"]
    assert {first[2].key} == {action.under for action in first[3:]}
    after, tickets = carried(rows, first)
    second = tonight(after, tickets, night=night)
    assert [action.kind for action in second if action.kind in {"create", "update"}] == ["create", "create", "update"]
    joins = {print_: action.key for action in second for print_ in action.joins}
    after = [row._replace(ticket_key=joins.get(row.fingerprint, row.ticket_key)) for row in after]
    more = [opened(action) for action in second if action.kind == "create"]
    tickets = [replace(row, standing=1) for row in tickets] + more
    assert [action.kind for action in tonight(after, tickets, night=night) if action.kind != "unchanged"] == ["create", "close"]


def test_a_claim_of_a_dead_run_comes_first_and_is_asked_for_again() -> None:
    claimed = opened(only(tonight([finding(1)], [])), state="unknown", ticket=None, digest=None)
    rows = [finding(1, ticket_key=ROTATION), finding(2, severity="critical")]
    assert [action.key for action in tonight(rows, [claimed], night=replace(TONIGHT, budget=1))][:1] == [ROTATION]
    assert (only(tonight([gone(finding(1))], [claimed])).kind, only(tonight([gone(finding(1))], [claimed])).ticket) == ("close", None)


def test_the_guards_ticket_opens_once_and_closes_with_the_next_sound_run() -> None:
    first = scan_looks_wrong("30 of 40 findings are new", [], TONIGHT)
    row = opened(first, standing=0)
    assert scan_looks_wrong("30 of 40 findings are new", [row], TONIGHT).kind == "unchanged"
    assert scan_looks_wrong("31 of 40 findings are new", [row], TONIGHT).kind == "update"
    assert scan_looks_wrong("31 of 40 findings are new", [replace(row, said_closed_at=NIGHT)], TONIGHT).kind == "reopen"
    assert only(tonight([], [row])).kind == "close"


def test_a_draft_says_what_it_stands_for() -> None:
    draft = only(tonight([finding(n) for n in range(23)], [])).draft
    assert draft is not None
    assert draft.title == "[high] rotation-age: Credential is past its rotation date: 23 findings, acme"
    assert draft.carried is not None
    assert (len(draft.carried.shown), draft.carried.total, draft.carried.excepted) == (20, 23, 0)
    assert draft.accountable == "maria"
