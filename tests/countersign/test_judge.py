"""Verdicts through Great Expectations over real facts: counts, unknowns, failing keys with reasons and sources."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from test_facts import AS_OF, DAY, SCOPE, key, register, user

from countersign import facts, findings_file
from countersign.errors import NotJudgedError
from countersign.expectation import Expectation, Severity, expect, expectations
from countersign.finding import Failing, fingerprint, life
from countersign.identity import Coverage, Provenance
from countersign.inventory import collect, spool, unread
from countersign.judge import Judgement, judge
from countersign.reading import Scope
from countersign.validation import Check, validate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.identity import Record
    from countersign.inventory import Reading

DENIED = Scope("aws", "aws", "555566667777")


def judged(
    folder: Path, records: Iterable[Record], *extra: Reading, records_of_controls: tuple[Expectation, ...] | None = None
) -> tuple[Judgement, list[dict[str, Any]]]:
    from types import SimpleNamespace

    reading = spool(records, SCOPE, folder / "work", folder / "observations")
    readings = collect([reading, *extra], folder / "work", folder / "inventory")
    programme: Any = SimpleNamespace(register=register(), sources=(), vendors=None)
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF), readings)
    judgement = judge(database, records_of_controls or expectations(), readings)
    with facts.opened(database) as db:
        found = db.execute("SELECT * FROM failures ORDER BY control, subject")
        names = [column[0] for column in found.description]
        return judgement, [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judgement, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("night")
    denied = unread(DENIED, "denied", "sts:AssumeRole", "AccessDenied: not authorised", started=AS_OF, finished=AS_OF, work=folder / "work")
    rows: list[Record] = [
        user("old"), key("AKIAOLD", user("old"), created_at=AS_OF - 200 * DAY),
        user("fine"), key("AKIAFINE", user("fine"), created_at=AS_OF - 90 * DAY, last_used_at=AS_OF - DAY, last_used_state="known"),
        user("undated"), key("AKIAWHEN", user("undated"), created_at=None, unknown={"created_at": "report denied"}),
        Provenance(provider="aws", scope="444455556666", kind="access-key", field="created_at", call="iam:ListAccessKeys", at=AS_OF - timedelta(minutes=5)),
        Coverage(source="aws", provider="aws", scope="444455556666", operation="iam:GetAccountAuthorizationDetails", state="complete",
                 covers=("user", "role"), started=AS_OF, finished=AS_OF),
    ]  # fmt: skip
    return judged(folder, rows, denied)


def result(judgement: Judgement, control: str) -> Any:
    (found,) = [result for result in judgement.results if result.id == control]
    return found


def test_counts_add_up_and_an_unread_account_is_unknown_never_a_pass(night: tuple[Judgement, list[dict[str, Any]]]) -> None:
    rotation = result(night[0], "rotation-age")
    assert (rotation.population, rotation.passed, rotation.failed, rotation.excepted, rotation.unknown) == (4, 1, 1, 0, 2)
    assert [(reason.reason, reason.unit) for reason in rotation.unknown_reasons] == [
        ("report denied", "subject"),
        ("aws 555566667777 was not read wholly: sts:AssumeRole: AccessDenied: not authorised", "scope"),
    ]
    for each in night[0].results:
        assert each.population == each.passed + each.failed + each.excepted + each.unknown


def test_the_failing_key_says_why_and_who_said_so(night: tuple[Judgement, list[dict[str, Any]]]) -> None:
    (row,) = [row for row in night[1] if row["control"] == "rotation-age"]
    assert row["subject"] == "aws:444455556666:access-key/AKIAOLD"
    assert row["fingerprint"] == fingerprint("rotation-age", row["subject"])
    assert row["reason"] == "created 2026-05-06, 200 days ago; limit 90 days"
    assert json.loads(row["facts"])["created_at"] == "2026-05-06T02:00:00Z"
    assert {"fact": "created_at", "call": "iam:ListAccessKeys", "at": "2026-11-22T01:55:00Z"} in json.loads(row["sources"])


def test_only_a_standing_finding_without_a_verdict_tonight_is_unknown(tmp_path: Path) -> None:
    rows = [
        user("old"), key("AKIAOLD", user("old"), created_at=AS_OF - 200 * DAY),
        user("undated"), key("AKIAWHEN", user("undated"), created_at=None, unknown={"created_at": "report denied"}),
    ]  # fmt: skip
    judgement, failing = judged(tmp_path, rows)
    (row,) = (row for row in failing if row["control"] == "rotation-age")
    (old,) = (now for now in findings_file.failing(tmp_path / "facts.duckdb", register()) if now.fingerprint == row["fingerprint"])

    def stood(control: str, subject: str) -> Failing:
        return old._replace(fingerprint=fingerprint(control, subject), control=control, subject=subject)

    when = old.subject.replace("AKIAOLD", "AKIAWHEN")
    before = [old, stood("rotation-age", when), stood("no-such-control", when)]
    standing = [t.after for t in life({}, before, unknown=(), seen={}, judged=frozenset(), as_of=AS_OF - DAY)]
    assert "rotation-age" in judgement.unclear
    assert "unconditioned-trust" not in judgement.unclear
    unknown = findings_file.unknown(tmp_path / "facts.duckdb", standing, judgement.unclear)
    assert unknown == {fingerprint("rotation-age", when)}


def test_an_unread_scope_is_itself_a_finding(night: tuple[Judgement, list[dict[str, Any]]]) -> None:
    rows = [row for row in night[1] if row["control"] == "source-unobserved"]
    assert [(row["subject"], row["reason"]) for row in rows] == [
        ("aws:555566667777:source/aws", "denied: sts:AssumeRole: AccessDenied: not authorised")
    ]


def test_great_expectations_keeps_the_suite_and_its_counts(night: tuple[Judgement, list[dict[str, Any]]]) -> None:
    validated = night[0].validated
    (kept,) = [e for e in validated.suite["expectations"] if e["meta"]["control"] == "rotation-age"]  # type: ignore[attr-defined]
    assert (kept["severity"], kept["meta"]["severity"]) == ("critical", "high")
    assert validated.counts["rotation-age"].unexpected == 1
    json.dumps(validated.result)


def test_an_empty_population_is_not_assessed(tmp_path: Path) -> None:
    judgement, failures = judged(tmp_path, [])
    assert {"not assessed"} == {each.verdict for each in judgement.results if each.id != "source-unobserved"}
    assert failures == []


def test_nothing_is_judged_when_the_two_counts_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rotation,) = [e for e in expectations() if e.id == "rotation-age"]
    monkeypatch.setattr("countersign.expectation.Holds.breaks", lambda _self: "days_past_rotation > 1000")
    with pytest.raises(NotJudgedError, match="rotation-age: Great Expectations counted 1 failing"):
        judged(tmp_path, [user(), key(created_at=AS_OF - 200 * DAY)], records_of_controls=(rotation,))


def test_a_check_that_raises_inside_great_expectations_is_no_verdict(tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    with facts.opened(database) as db:
        db.execute("CREATE TABLE examined AS SELECT 1 AS here")
    check = Check(
        "rotation-age",
        "not_there",
        expect("column_values_to_be_between", column="x", max_value=0),
        "critical",
        "",
        {"control": "rotation-age"},
    )
    with pytest.raises(NotJudgedError, match="could not check rotation-age"):
        validate(database, "examined", "countersign", [check])


def test_a_record_that_compares_text_with_a_number_is_refused_with_its_file(tmp_path: Path) -> None:
    (rotation,) = [e for e in expectations() if e.id == "rotation-age"]
    text = replace(rotation, holds=replace(rotation.holds, column="identity_name"))
    with pytest.raises(NotJudgedError, match=r"expectations/rotation_age\.py cannot be tested"):
        judged(tmp_path, [user(), key()], records_of_controls=(text,))


def test_a_record_that_names_a_missing_fact_is_refused_with_its_file(tmp_path: Path) -> None:
    (rotation,) = [e for e in expectations() if e.id == "rotation-age"]
    with pytest.raises(NotJudgedError, match=r"expectations/rotation_age\.py names facts .*no_such_fact"):
        judged(tmp_path, [user()], records_of_controls=(replace(rotation, population="no_such_fact"),))


def test_an_untranslated_check_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="expect_column_values_to_match_regex"):
        expect("column_values_to_match_regex", column="identity_name", regex="x").breaks()
    assert Severity.CRITICAL == "critical"
