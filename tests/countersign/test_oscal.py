"""OSCAL of a period: valid by NIST's schema and by trestle's models, no reference that leads nowhere, and nothing unknown that is satisfied."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trestle.oscal.assessment_results import AssessmentResults
from trestle.oscal.poam import PlanOfActionAndMilestones

from countersign.oscal import asked, assessment_results, plan_of_action, problems, words
from tests.countersign import period_nights as made
from tests.countersign.test_period_page import period
from tests.countersign.test_report import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.period import Period

SCHEMAS = Path(__file__).parents[1] / "data" / "oscal-1.2.1"
RESULTS, PLAN = "assessment-results", "plan-of-action-and-milestones"
DIGESTS = {
    RESULTS: "4f9e277a177adbcca9527612ce450a33dc6096773fa229d413d801d196c61985",
    PLAN: "c02062bbc6f5092012286cbc6161b643eb6aecfbb918cb5790be777860da2c11",
}
VALIDATORS: dict[str, Any] = {}
Document = dict[str, Any]


def validator(root: str) -> Any:
    if root not in VALIDATORS:
        text = gzip.decompress((SCHEMAS / f"{root}.json.gz").read_bytes())
        assert DIGESTS[root] == hashlib.sha256(text).hexdigest()
        VALIDATORS[root] = jsonschema_rs.validator_for(json.loads(text))
    return VALIDATORS[root]


def wrong(document: Document) -> list[str]:
    (root,) = document
    # Through JSON, as it is written: sorted, so that nothing rests on the order of keys.
    read = json.loads(json.dumps(document, sort_keys=True, ensure_ascii=False).encode())
    assert read == document
    return [f"{error.instance_path}: {error.message}"[:300] for error in validator(root).iter_errors(read)][:5] + list(problems(document))


def both(of: Period) -> tuple[Document, Document]:
    return assessment_results(of), plan_of_action(of)


@pytest.fixture(scope="module")
def ninety(tmp_path_factory: pytest.TempPathFactory) -> Period:
    folder = tmp_path_factory.mktemp("oscal")
    made.nights(folder / "period.duckdb")
    return period(folder)


@pytest.fixture(scope="module")
def results(ninety: Period) -> Document:
    return assessment_results(ninety)


@pytest.fixture(scope="module")
def plan(ninety: Period) -> Document:
    return plan_of_action(ninety)


@pytest.fixture
def scratch(tmp_path: Path) -> Period:
    """A period with tables and nothing in them."""
    made.empty(tmp_path / "period.duckdb").close()
    return replace(period(tmp_path), people={}, partners={}, notes=())


def result(document: Document) -> Document:
    return document[RESULTS]["results"][0]  # type: ignore[no-any-return]


def said(thing: Document) -> dict[str, str]:
    return {prop["name"]: prop["value"] for prop in thing["props"]}


def texts(node: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every string of a document with the name it stands under."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from texts(each, name)
    elif isinstance(node, str):
        yield name, node


def put(of: Period, table: str, *rows: dict[str, Any]) -> None:
    with duckdb.connect(str(of.database)) as db:
        made.put(db, of.database.parent, table, list(rows))


def spell(**changes: Any) -> dict[str, Any]:
    return {
        "fingerprint": "f" * 64, "control": "rotation-age", "subject": "aws:1:access-key/A", "subject_kind": "credential", "identity": "aws:1:user/a", "identity_name": "a",
        "provider": "aws", "scope": "1", "partner": None, "accountable": "maria", "severity": "high", "reason": "created 2025-01-01; limit 90 days", "state": "open",
        "opened": datetime(2026, 9, 1, 2), "opened_sequence": 110, "days": 81, "due": datetime(2026, 9, 8, 2), "overdue_days": 74, "reopened": 0, "ticket_key": "k",  # noqa: DTZ001 - tables hold UTC without a zone
    } | changes  # fmt: skip


def control(**changes: Any) -> dict[str, Any]:
    return {
        "control": "rotation-age", "title": "Credential is past its rotation date", "family": "rotation", "severity": "high", "maps_to": ["csf-2.0:PR.AA-01", "pci-dss-4.0.1:8.6.3"],
        "accountable": "maria", "governed_by": "own", "verdict": "pass", "population": 9, "passed": 9, "failed": 0, "excepted": 0, "unknown": 0,
    } | changes  # fmt: skip


def test_both_documents_of_ninety_hostile_nights_are_valid(results: Document, plan: Document) -> None:
    assert ([], []) == (wrong(results), wrong(plan))


def test_trestle_reads_both_and_writes_the_same(results: Document, plan: Document) -> None:
    for model, root, document in ((AssessmentResults, RESULTS, results), (PlanOfActionAndMilestones, PLAN, plan)):
        read: Any = model.model_validate(document[root])
        again = json.loads(read.model_dump_json(by_alias=True, exclude_none=True))
        assert json.loads(re.sub(r'(T\d\d:\d\d:\d\d)Z"', r'\1+00:00"', json.dumps(document[root]))) == json.loads(
            re.sub(r'(T\d\d:\d\d:\d\d)Z"', r'\1+00:00"', json.dumps(again))
        )


def test_the_same_tables_give_the_same_documents_and_other_tables_another_uuid(ninety: Period, results: Document, plan: Document) -> None:
    assert (results, plan) == both(ninety)
    other = assessment_results(replace(ninety, notes=()))
    assert results[RESULTS]["uuid"] != other[RESULTS]["uuid"]
    # What is in them keeps its uuid.
    assert result(results)["risks"] == result(other)["risks"]
    assert {"last-modified": "2026-11-21T02:00:00Z", "oscal-version": "1.2.1"} == {
        name: results[RESULTS]["metadata"][name] for name in ("last-modified", "oscal-version")
    }


def test_every_control_is_observed_and_only_what_is_known_to_hold_everywhere_is_satisfied(ninety: Period, results: Document) -> None:
    controls = {row["control"]: row for row in ninety.rows("controls")}
    observed = {said(each)["control"]: said(each) for each in result(results)["observations"]}
    assert {name: {column: str(row[column]) for column in ("verdict", "population", "passed", "failed", "excepted", "unknown")} for name, row in controls.items()} == {
        name: {column: each[column] for column in ("verdict", "population", "passed", "failed", "excepted", "unknown")} for name, each in observed.items()
    }  # fmt: skip
    states = {said(each)["control"]: each["target"]["status"]["state"] for each in result(results)["findings"]}
    held = {name for name, row in controls.items() if row["verdict"] == "pass" and not row["excepted"]}  # the guard stopped no last run
    assert held == {name for name, state in states.items() if state == "satisfied"}
    assert set(states) == {name for name, row in controls.items() if row["verdict"] != "not assessed"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, {"state": "satisfied", "reason": "pass"}),
        ({"verdict": "fail", "failed": 1, "passed": 8}, {"state": "not-satisfied", "reason": "fail"}),
        ({"verdict": "unknown", "unknown": 2, "passed": 7}, {"state": "not-satisfied", "reason": "other", "remarks": "Not known: 2 of 9 could not be judged, and none is known to fail."}),
        ({"excepted": 1, "passed": 8}, {"state": "not-satisfied", "reason": "other", "remarks": "1 of 9 fail under approved exceptions; all others hold."}),
        ({"verdict": "not assessed", "population": 0, "passed": 0}, None),
        ({"guard": "9 of 10 are gone"}, {"state": "not-satisfied", "reason": "other", "remarks": "The run guard did not believe the run that says it holds."}),
    ],
)  # fmt: skip
def test_how_a_verdict_becomes_a_status(scratch: Period, changes: dict[str, Any], status: dict[str, str] | None) -> None:
    changes = dict(changes)
    put(scratch, "runs", {"sequence": 7, "judged": True, "guard": changes.pop("guard", None)})
    put(scratch, "results", {"sequence": 7, "control": "rotation-age"})
    put(scratch, "controls", control(**changes))
    document = assessment_results(scratch)
    assert [] == wrong(document)
    findings = result(document).get("findings", [])
    assert ([status] if status else []) == [each["target"]["status"] for each in findings]
    assert ["rotation-age"] == [said(each)["control"] for each in result(document)["observations"]]
    # What cannot be a token of OSCAL (8.6.3) is a prop, never a control id.
    (objective,) = document[RESULTS]["local-definitions"]["objectives-and-methods"]
    assert ("PR.AA-01", "rotation-age") == (objective["control-id"], objective["parts"][0]["id"])
    assert ["csf-2.0:PR.AA-01", "pci-dss-4.0.1:8.6.3"] == [prop["value"] for prop in objective["props"] if prop["name"] == "requirement"]


def test_an_open_finding_has_its_deadline_its_ticket_and_who_answers(scratch: Period) -> None:
    put(scratch, "controls", control(verdict="fail", failed=1))
    put(scratch, "people", {"person": "maria", "name": "Maria Okafor", "active": True})
    put(scratch, "spells", spell(ticket="OPS-7"))
    results, plan = both(scratch)
    assert ([], []) == (wrong(results), wrong(plan))
    (risk,) = result(results)["risks"]
    assert ("open", "2026-09-08T02:00:00Z", "74", "OPS-7") == (
        risk["status"],
        risk["deadline"],
        said(risk)["overdue-days"],
        said(risk)["ticket"],
    )
    (response,) = risk["remediations"]
    assert ("planned", "Ticket OPS-7") == (response["lifecycle"], response["title"])
    (answering,) = response["tasks"][0]["responsible-roles"]
    names = {party["uuid"]: party["name"] for party in results[RESULTS]["metadata"]["parties"]}
    assert ["Maria Okafor"] == [names[uuid] for uuid in answering["party-uuids"]]
    (item,) = plan[PLAN]["poam-items"]
    assert ([{"risk-uuid": risk["uuid"]}], [risk]) == (item["related-risks"], plan[PLAN]["risks"])
    assert result(results)["findings"][0]["related-risks"] == item["related-risks"]


def test_without_a_ticket_a_date_or_a_person_nothing_is_made_up(scratch: Period) -> None:
    bare = spell(
        ticket_key=None, due=None, overdue_days=None, accountable=None, reason=None, severity=None, days=None, control="gone-control"
    )
    put(scratch, "spells", bare)
    results, plan = both(scratch)
    assert ([], []) == (wrong(results), wrong(plan))
    (risk,) = plan[PLAN]["risks"]
    assert {"deadline", "related-observations"}.isdisjoint(risk)
    (response,) = risk["remediations"]
    assert ("recommendation", None) == (response["lifecycle"], response.get("tasks"))
    assert "not on file" in risk["description"]
    assert "unknown number of days" in plan[PLAN]["poam-items"][0]["description"]


def test_an_excepted_finding_is_a_deviation_that_somebody_approved_and_no_item_of_the_plan(scratch: Period) -> None:
    put(scratch, "controls", control(excepted=1, passed=8))
    put(scratch, "spells", spell(state="excepted", excepted="EX-1"))
    put(scratch, "exceptions", {
        "exception": "EX-1", "control": "rotation-age", "subject": "aws:1:access-key/A", "requested_by": "devika", "approved_by": "maria", "approved_on": date(2026, 9, 3),
        "reason": "Frozen.", "compensating_control": "It is watched.", "exit_criteria": "Thaw.", "expires": date(2026, 12, 31), "renewals": 1, "in_force": True, "nights_used": 71,
    })  # fmt: skip
    results, plan = both(scratch)
    assert ([], []) == (wrong(results), wrong(plan))
    (risk,) = result(results)["risks"]
    assert ("deviation-approved", "Compensating control: It is watched.") == (risk["status"], risk["mitigating-factors"][0]["description"])
    opened, accepted = risk["risk-log"]["entries"]
    assert ("open", "deviation-approved", "2026-09-03T00:00:00Z") == (opened["status-change"], accepted["status-change"], accepted["start"])
    parties = {party["uuid"]: said(party)["id"] for party in results[RESULTS]["metadata"]["parties"]}
    assert ["maria"] == [parties[each["party-uuid"]] for each in accepted["logged-by"]]
    assert ("devika", "2026-12-31") == (said(accepted)["requested-by"], said(accepted)["expires"])
    assert ["No finding is open"] == [item["title"] for item in plan[PLAN]["poam-items"]]


def test_what_could_not_be_looked_at_says_so_and_an_exception_that_does_not_hold_accepts_nothing(scratch: Period) -> None:
    put(scratch, "spells", spell(unobserved_since=datetime(2026, 11, 2, 2)))  # noqa: DTZ001 - as above
    put(
        scratch,
        "exceptions",
        {
            "exception": "EX-9",
            "control": "rotation-age",
            "subject": "aws:1:access-key/A",
            "state": "invalid",
            "in_force": False,
            "refused": "nobody accountable approved it",
        },
    )
    results, plan = both(scratch)
    assert ([], []) == (wrong(results), wrong(plan))
    (risk,) = result(results)["risks"]
    assert ("open", "EX-9", "2026-11-02T02:00:00Z") == (
        risk["status"],
        said(risk)["exception-refused"],
        risk["risk-log"]["entries"][-1]["start"],
    )


def test_at_most_so_many_findings_the_worst_first_and_how_many_more(scratch: Period) -> None:
    few = [
        spell(fingerprint=f"{n:064x}", subject=f"s{n}", identity_name=None, severity=("low", "critical", "high")[n % 3], overdue_days=n)
        for n in range(asked.MOST + 30)
    ]
    put(scratch, "spells", *few)
    results, plan = both(scratch)
    assert ((), []) == (problems(results), wrong(plan))
    items = plan[PLAN]["poam-items"]
    assert (asked.MOST, asked.MOST) == (len(items), len(result(results)["risks"]))
    assert ("critical", "s2029", "low") == (said(items[0])["severity"], items[0]["title"].split(": ")[1], said(items[-1])["severity"])
    for document in (results[RESULTS], plan[PLAN]):
        assert "30 more stand in operation/spells.csv" in document["metadata"]["remarks"]
        assert ("2030", "2000") == (said(document["metadata"])["open-findings"], said(document["metadata"])["open-findings-listed"])


def test_an_empty_period_is_valid_and_claims_nothing(scratch: Period) -> None:
    results, plan = both(scratch)
    assert ([], []) == (wrong(results), wrong(plan))
    assert {"findings", "observations", "risks"}.isdisjoint(result(results))
    assert "no item to act on" in plan[PLAN]["poam-items"][0]["description"]


def test_a_source_is_a_component_with_counts_and_what_was_not_counted_is_left_out(scratch: Period) -> None:
    put(scratch, "controls", control())
    put(
        scratch,
        "populations",
        {"control": "rotation-age", "subject": "s", "provider": "aws"},
        {"control": "rotation-age", "subject": "t", "provider": "aws"},
    )
    whole = {
        "sequence": 7,
        "source": "aws",
        "provider": "aws",
        "state": "complete",
        "passed_over": False,
        "identities": 5,
        "credentials": 3,
    }
    put(scratch, "sources", whole | {"scope": "1"}, whole | {"scope": "2"}, whole | {"scope": "1", "sequence": 6, "state": "denied"})
    put(scratch, "sources", whole | {"source": "entra", "provider": "azure", "scope": "3", "state": "denied", "identities": None})
    document = assessment_results(scratch)
    assert [] == wrong(document)
    aws, entra = result(document)["local-definitions"]["components"]
    assert ("operational", "10", "6", "1") == (
        aws["status"]["state"],
        said(aws)["identities"],
        said(aws)["credentials"],
        said(aws)["runs-not-complete"],
    )
    assert ("other", None, None) == (entra["status"]["state"], said(entra).get("identities"), said(entra).get("credentials"))
    assert [{"subject-uuid": aws["uuid"], "type": "component"}] == result(document)["observations"][0]["subjects"]


def test_nights_that_are_not_complete_are_in_the_log(ninety: Period, results: Document) -> None:
    gaps = [night for night in ninety.rows("nights") if night["state"] != "complete"]
    entries = result(results)["assessment-log"]["entries"]
    assert [(f"{night['day']}: {night['state']}", f"{night['day']}T00:00:00Z") for night in gaps] == [
        (each["title"], each["start"]) for each in entries
    ]
    assert str(sum(night["state"] == "missing" for night in gaps)) == said(result(results))["nights-missing"]


def test_people_are_named_only_where_the_document_refers_to_them(ninety: Period, results: Document) -> None:
    named = {said(party)["id"] for party in results[RESULTS]["metadata"]["parties"] if party["type"] == "person"}
    assert named <= set(made.PEOPLE)
    text = json.dumps({**result(results), "metadata": results[RESULTS]["metadata"]["responsible-parties"]})
    uuids = [party["uuid"] for party in results[RESULTS]["metadata"]["parties"] if party["type"] == "person"]
    assert [] == [uuid for uuid in uuids if uuid not in text and uuid not in named]
    assert set(ninety.partners) == {
        said(party)["id"] for party in results[RESULTS]["metadata"]["parties"] if party["type"] == "organization"
    } - {"northwind"}


def test_names_from_outside_do_not_act_in_markdown(results: Document, plan: Document) -> None:
    # Titles and sentences are Markdown; props and names of parties are plain strings.
    prose = {
        text
        for document in (results, plan)
        for name, text in texts(document)
        if name in {"title", "description", "statement", "remarks", "prose", "text"}
    }
    assert [] == [text for text in prose if re.search(r"(?<!\\)[<\[`{*]", text)]
    assert any("\\<" in text for text in prose)
    assert [] == [text for document in (results, plan) for _, text in texts(document) if not text.replace("\n", "").isprintable()]


@pytest.mark.parametrize(
    ("change", "said_wrong"),
    [
        (lambda d: d[RESULTS]["metadata"].update({"oscal-version": "1.1.2"}), "oscal-version is '1.1.2' where '1.2.1' is due"),
        (lambda d: result(d)["risks"].pop(0), "no risk of this document is"),
        (lambda d: result(d)["observations"].pop(0), "no observation of this document is"),
        (lambda d: result(d)["observations"][0].update(subjects=[{"subject-uuid": "x", "type": "component"}]), "no component of this document is 'x'"),
        (lambda d: result(d)["local-definitions"].pop("assessment-assets"), "no component of this document is"),
        (lambda d: d[RESULTS]["metadata"]["parties"].clear(), "no party of this document is"),
        (lambda d: d[RESULTS]["metadata"]["roles"].clear(), "no role of this document is 'customer'"),
        (lambda d: d[RESULTS]["back-matter"]["resources"].pop(0), "no resource of this document is"),
        (lambda d: d[RESULTS]["local-definitions"]["objectives-and-methods"].pop(0), "no objective of this document is 'approval-owed'"),
        (lambda d: d[RESULTS].update(uuid=result(d)["uuid"]), "stands for 2 things"),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_told(results: Document, change: Any, said_wrong: str) -> None:
    document = copy.deepcopy(results)
    change(document)
    assert any(said_wrong in each for each in problems(document)), problems(document)


def test_what_is_no_document_of_ours_is_told() -> None:
    assert ("the document has to be one of: assessment-results, plan-of-action-and-milestones",) == problems({"catalog": {}})


@settings(deadline=None, max_examples=60)
@given(st.text(), st.text(max_size=700), st.sampled_from(HOSTILE))
def test_any_text_becomes_what_the_schema_takes(one: str, other: str, hostile: str) -> None:
    for text in (one, other, one + hostile + other, hostile * 900):
        assert re.fullmatch(r"\S(.*\S)?", words.line(text))
        assert len(words.line(text)) <= 501
        assert re.fullmatch(r"[^\W\d][\w.-]*", words.token(text), re.ASCII)
        assert words.line(text) == re.sub(r"\\(.)", r"\1", words.markup(text))


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.text(max_size=30) | st.sampled_from(HOSTILE), min_size=6, max_size=6),
    st.sampled_from([None, datetime(1, 1, 1), datetime(1969, 12, 31), datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(9999, 12, 31)]),  # noqa: DTZ001 - as above
)
def test_hostile_rows_stay_valid(tmp_path_factory: pytest.TempPathFactory, names: list[str], when: datetime | None) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    made.empty(folder / "period.duckdb").close()
    subject, identity, person, partner, ticket, reason = (name.encode("utf-8", "replace").decode() for name in names)
    of = replace(period(folder), people={person: reason}, partners={partner: reason}, name=reason, notes=(reason,))
    put(of, "controls", control(title=reason, accountable=person, verdict="fail", control=ticket, maps_to=[reason, "csf-2.0:" + reason]))
    put(of, "people", {"person": person, "name": reason, "party": partner})
    wide = spell(
        subject=subject, identity_name=identity, accountable=person, partner=partner, ticket=ticket, reason=reason, control=ticket, due=when
    )
    put(of, "spells", wide | {"opened": when} if when else wide)
    put(of, "spells", wide | {"state": "excepted", "excepted": ticket, "subject": subject + "2", "fingerprint": "a"})
    put(
        of,
        "exceptions",
        {
            "exception": ticket,
            "control": ticket,
            "subject": subject,
            "approved_by": person,
            "reason": reason,
            "approved_on": when and when.date(),
        },
    )
    put(of, "nights", {"day": date(2026, 9, 1) + timedelta(days=1), "state": "failed", "runs": 0, "failures": 1, "why": reason})
    put(of, "sources", {"sequence": 1, "source": identity, "provider": partner, "scope": reason, "state": "denied"})
    results, plan = both(of)
    assert ([], []) == (wrong(results), wrong(plan))
