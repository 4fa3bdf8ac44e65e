"""A plan as a document: read back to the byte or not at all, and what counts as drift when its question is asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.offboarding.plan import Asked, Noted, Plan, PlanError, Unread, drift, read
from countersign.revocation import Change, Holding, Left, Residual

MADE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def holding(name: str, what: Any = "identity", **changes: Any) -> Holding:
    held: dict[str, Any] = {
        "uid": f"aws:1:user/{name}", "what": what, "kind": "user", "provider": "aws", "source": "aws", "scope": "1",
        "identity_uid": f"aws:1:user/{name}", "name": name, "whole": True, "how": "workload w", "record": {"name": name, "tags": {"a": "b"}},
    }  # fmt: skip
    return Holding(**(held | changes))


def change(name: str, **changes: Any) -> Change:
    held: dict[str, Any] = {
        "action": "deny", "phase": "disable", "provider": "aws", "source": "aws", "scope": "1", "target": f"aws:1:user/{name}", "name": name,
        "says": f"Deny {name}", "parameters": {"id": name}, "before": {"on": True}, "after": {"on": False}, "reversible": True, "order": 20,
        "takes": (f"aws:1:user/{name}",), "writes": ("w",), "looks": ("l",), "residual": Residual("tokens live", 60),
    }  # fmt: skip
    return Change(**(held | changes))


def plan(*names: str, **changes: Any) -> Plan:
    held: dict[str, Any] = {
        "id": "acme-1", "customer": "northwind", "asked": Asked(partner="acme", without=(("x", "why"),), only=("y",)), "made_at": MADE,
        "register": "sha256:0", "steps": tuple(change(name) for name in names), "left": (Left("u", "n", "why", "do"),), "undecided": (),
        "unread": (Unread(source="aws", provider="aws", scope="2", why="denied"),), "holdings": tuple(holding(name) for name in names),
        "noted": (Noted(level="note", uid="u", name="n", said="s"),), "approvers": ("maria",), "needed": 1, "context": {"used": {"u": "t"}},
    }  # fmt: skip
    return Plan(**(held | changes))


def test_it_is_read_back_as_it_was_written() -> None:
    made = plan("a", "b", steps=(change("a"), change("b", residual=None)))
    assert made == read(made.document(), "plan.json")


@given(st.data())
def test_any_changed_byte_makes_it_no_plan_or_another_one(data: st.DataObject) -> None:
    document = plan("a", "b").document()
    at = data.draw(st.integers(0, len(document) - 1))
    changed = bytearray(document)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        other = read(bytes(changed), "plan.json")
    except PlanError:
        return
    assert other.digest() != plan("a", "b").digest()


@pytest.mark.parametrize("broken", [b"", b"{}", b"[]", b"null", b'{"type": 1}', b"\xff", b'{"id": "../x"}'])
def test_what_is_no_plan_is_refused_in_one_sentence(broken: bytes) -> None:
    with pytest.raises(PlanError, match=r"plan\.json is no plan, or was changed since it was made"):
        read(broken, "plan.json")


def test_a_step_under_another_id_is_no_plan() -> None:
    held = json.loads(plan("a").document())
    held["steps"][0]["id"] = "0" * 16
    with pytest.raises(PlanError):
        read(json.dumps(held, separators=(",", ":"), sort_keys=True).encode(), "plan.json")


def told(signed: Plan, now: Plan, *made: str) -> list[str]:
    return list(drift(signed, now, frozenset(change(name).id for name in made)))


def test_the_same_answer_is_no_drift_and_a_later_use_is_none() -> None:
    assert [] == told(plan("a", "b"), plan("a", "b", context={"used": {"u": "later"}}))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (plan("a", "b"), "new since the plan: Deny b"),
        (plan(), "not as planned any more: Deny a"),
        (plan("a", steps=(change("a", before={"on": True, "id": "other"}),)), "changed since the plan: aws:1:user/a"),
        (plan("a", holdings=(holding("a"), holding("new"))), "new since the plan: aws:1:user/new (new) is the partner's too"),
        (plan("a", unread=(Unread(source="aws", provider="aws", scope="3", why="denied"),)), "not read this time: aws 3"),
        (plan("a", approvers=("sam",)), "may not approve any more: maria"),
    ],
)
def test_what_differs_is_told(now: Plan, said: str) -> None:
    (line, *_) = told(plan("a"), now)
    assert line.startswith(said)


def test_what_its_own_steps_brought_about_is_none() -> None:
    signed = plan("a", "b", "c", steps=(change("a"), change("b", before={"on": False}), change("c", scope="9")))
    denied = holding("a", "grant", uid="aws:1:user/a#grant/deny-all")
    token, key = (holding("a", "credential", uid=f"aws:1:{kind}/new", kind=kind) for kind in ("token", "access-key"))
    # a is made; b may have come with it, and was so from the start; c is in another scope and still to do
    now = plan("c", steps=(change("c", scope="9"),), holdings=(*signed.holdings, denied))
    assert [] == told(signed, now, "a")
    covered = replace(
        now, steps=(change("c", scope="9", takes=("aws:1:user/c", token.uid, key.uid)),), holdings=(*signed.holdings, token, key)
    )
    assert [f"new since the plan: {key.uid} (a) is the partner's too"] == list(drift(signed, covered, frozenset({change("a").id})))
    assert ["not as planned any more: Deny c (aws:1:user/c) is done already, or cannot be done"] == told(signed, plan(), "a")
