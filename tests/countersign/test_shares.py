"""Every share of the known has the share of the unknown beside it, and every control has a family."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from countersign import shares
from countersign.expectation import expectations

counts = st.integers(0, 10**7)


def control(name: str = "rotation-age", *reasons: dict[str, Any], **counted: int) -> dict[str, Any]:
    held = {"passed": 0, "failed": 0, "excepted": 0, "unknown": 0} | counted
    return {"id": name, **held, "population": sum(held.values()), "unknown_reasons": list(reasons)}


def why(reason: str, count: int, unit: str = "subject", **places: int) -> dict[str, Any]:
    return {
        "reason": reason,
        "count": count,
        "unit": unit,
        "places": [{"provider": "aws", "scope": scope, "count": n} for scope, n in places.items()],
    }


def test_every_control_has_a_family() -> None:
    assert [record.id for record in expectations() if shares.family(record.id) == shares.OTHER] == [], "name it in countersign/shares.py"
    grouped = shares.by_family([control("sla-detect"), control("inactive"), control("invented"), control("register-raci")])
    assert [(name, [each["id"] for each in members]) for name, members in grouped] == [
        ("activity", ["inactive"]), ("governance", ["register-raci"]), ("service levels", ["sla-detect"]), ("other", ["invented"]),
    ]  # fmt: skip


@given(passed=counts, rest=counts, unknown=counts)
def test_shares_are_of_the_known_and_of_all(passed: int, rest: int, unknown: int) -> None:
    population = passed + rest + unknown
    found = shares.shares(population, passed, unknown)
    assert (found["passed_share"] is None) == (passed + rest == 0)
    assert (found["unknown_share"] is None) == (population == 0)
    assert all(share is None or 0 <= share <= 1 for share in found.values())
    said = shares.in_words(control(passed=passed, failed=rest, unknown=unknown))
    assert ("100% unknown" in said) == (population > 0 and unknown == population)
    assert ("; 0% unknown" in said) == (population > 0 and unknown == 0)


def test_a_whole_scope_is_at_least_one() -> None:
    dark, silent = why("aws 1 was not read wholly", 1, "scope", one=1), why("not in this export", 9, one=5, two=3)
    half = control("inactive", dark, silent, passed=46, failed=4, unknown=10)
    assert shares.in_words(half) == "92% of 50 known pass; at least 16.7% unknown"
    assert shares.in_words(control(unknown=1)) == "nothing is known; 100% unknown"
    assert shares.in_words(control()) == "nothing is in its population"
    assert shares.unknown_in_words([half, control(passed=40)]) == "at least 10% of 100 verdicts"
    assert shares.unknown_in_words([control(passed=40)]) is None
    rows = shares.unknowns([half, control("human-mfa", dark, why("not in this export", 12, two=12), unknown=13)])
    assert [(row["control"], row["unit"], row["scope"], row["count"]) for row in rows] == [
        ("human-mfa", "scope", "one", 1), ("inactive", "scope", "one", 1), ("human-mfa", "subject", "two", 12), ("inactive", "subject", "one", 5),
        ("inactive", "subject", "two", 3), ("inactive", "subject", None, 1),
    ]  # fmt: skip
    scope, subject = shares.together(rows)
    assert (scope.in_words(), subject.in_words()) == ("any number of subjects of 2 controls", "21 verdicts of 2 controls")
    assert (subject.controls, subject.places) == ((("human-mfa", 12), ("inactive", 9)), ("aws two", "aws one", "other scopes"))
