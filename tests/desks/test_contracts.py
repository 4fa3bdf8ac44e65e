"""That the descriptions bite: what breaks one is named, in what a desk asks and in what a stand-in answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.desks.amendments import AMENDED, TIMES, UNLISTED
from tests.desks.contracts import FILES, contract
from tests.desks.github_shapes import ISSUE_FIELDS, person
from tests.desks.github_standin import GitHubStandIn
from tests.desks.gitlab_standin import GitLabStandIn
from tests.desks.served import Answer

ISSUES = "/repos/northwind/access/issues"
ISSUE = {**ISSUE_FIELDS, "number": 1, "title": "t", "state": "open", "user": person("a"), "labels": [], "closed_at": None,
         "created_at": "2026-11-22T12:00:00Z", "updated_at": "2026-11-22T12:00:00Z"}  # fmt: skip
MADE = {"id": "10", "key": "SEC-1", "self": "https://j/rest/api/2/issue/10"}
TOLD = {"id": "10", "key": "SEC-1", "fields": {"labels": ["a"], "created": "2026-11-22T12:00:00.000+0000"}}
META = "/rest/api/2/issue/createmeta/SEC/issuetypes"
LAST = {"startAt": 0, "maxResults": 50, "isLast": True, "values": [{"id": "1", "name": "Task"}]}
PROJECT = "/api/v4/projects/northwind%2Faccess"
WORK = f"{PROJECT}/issues"
TOKEN = {"PRIVATE-TOKEN": "token"}
PERSON = {"id": 11, "username": "a"}
WORKED = {"id": 1001, "iid": 1, "title": "t", "description": None, "state": "opened", "author": PERSON, "assignees": [], "labels": ["a"],
          "created_at": "2026-11-22T12:00:00.000Z", "updated_at": "2026-11-22T12:00:00.000Z", "closed_at": None,
          "due_date": "2027-01-31"}  # fmt: skip
BEARER = {"Authorization": "Bearer token"}
BASIC = {"Authorization": "Basic Ym90OnRva2Vu"}
FILLED = {"project": {"key": "SEC"}, "issuetype": {"id": "1"}, "summary": "t", "labels": ["a"], "duedate": "2027-01-31"}


def asked(method: str, path: str, **rest: Any) -> httpx.Request:
    return httpx.Request(method, f"http://127.0.0.1{path}", **rest)


@pytest.mark.parametrize(
    ("method", "path", "rest", "problem"),
    [
        ("POST", ISSUES, {"json": {"title": "t", "body": "b", "labels": ["a"], "assignees": ["b"]}}, None),
        ("POST", ISSUES, {"json": {"title": "t", "label": ["a"]}}, "'label' was unexpected"),
        ("POST", ISSUES, {"json": {"title": "t", "labels": "a"}}, "$.labels: 'a' is not of type 'array'"),
        ("POST", ISSUES, {"json": {"body": "b"}}, "'title' is a required property"),
        ("POST", ISSUES, {"content": b'{"title": "t"}', "headers": {"Content-Type": "text/plain"}}, "MediaTypeNotFound"),
        ("POST", ISSUES, {}, "MissingRequiredRequestBody"),
        ("PATCH", f"{ISSUES}/1", {"json": {"state": "closed", "state_reason": "completed"}}, None),
        ("PATCH", f"{ISSUES}/1", {"json": {"state": "closed", "state_reason": "fixed"}}, "'fixed' is not one of"),
        ("PATCH", f"{ISSUES}/one", {"json": {"state": "closed"}}, "Path parameter error: issue_number"),
        ("PUT", f"{ISSUES}/1", {"json": {"state": "closed"}}, "OperationNotFound"),
        ("GET", ISSUES, {"params": {"state": "all", "per_page": 100, "page": 2}}, None),
        ("GET", ISSUES, {"params": {"state": "reopened"}}, "'reopened' is not one of"),
        ("GET", ISSUES, {"params": {"per_page": "many"}}, "Query parameter error: per_page"),
        ("GET", ISSUES, {"params": {"label": "a"}}, "no parameter label"),
        ("GET", "/repos/northwind/access/tickets", {}, "PathNotFound"),
    ],
)
def test_a_wrong_request_to_github_is_named(method: str, path: str, rest: dict[str, Any], problem: str | None) -> None:
    only(contract("github").of_request(asked(method, path, **rest)), problem)


@pytest.mark.parametrize(
    ("method", "path", "rest", "problem"),
    [
        ("POST", "/rest/api/2/issue", {"json": {"fields": FILLED}}, None),
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "label": ["a"]}}}, "'label' was unexpected"),
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "labels": "a"}}}, "$.fields.labels: 'a' is not of type 'array'"),
        (
            "POST",
            "/rest/api/2/issue",
            {"json": {"fields": {**FILLED, "duedate": "31.1.2027"}}},
            "$.fields.duedate: '31.1.2027' is not a 'date'",
        ),
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "assignee": {"name": "b"}}}}, "'name' was unexpected"),
        ("POST", "/rest/api/2/issue", {}, "MissingRequiredRequestBody"),
        ("PUT", "/rest/api/2/issue/SEC-1", {"json": {"fields": {}, "update": {"labels": [{"add": "a"}]}}}, None),
        ("PUT", "/rest/api/2/issue/SEC-1", {"json": {"update": {"labels": {"add": "a"}}}}, "is not of type 'array'"),
        ("PUT", "/rest/api/2/issue/SEC-1", {"json": {"update": {"labels": [{"append": "a"}]}}}, "'append' was unexpected"),
        ("POST", "/rest/api/2/issue/SEC-1/comment", {"json": {"body": {"type": "doc"}}}, "$.body: {'type': 'doc'} is not of type 'string'"),
        ("POST", "/rest/api/2/issue/SEC-1/comment", {"json": {"body": "b", "visibility": {"type": "all"}}}, "'all' is not one of"),
        ("POST", "/rest/api/3/issue/bulkfetch", {"json": {"issueIdsOrKeys": ["SEC-1"], "fields": ["status"]}}, None),
        ("POST", "/rest/api/3/issue/bulkfetch", {"json": {"fields": ["status"]}}, "'issueIdsOrKeys' is a required property"),
        ("GET", "/rest/api/3/search/jql", {"params": {"jql": "a = b", "maxResults": 100}}, None),
        ("GET", "/rest/api/3/search/jql", {"params": {"jql": "a = b", "maxResults": "many"}}, "Query parameter error: maxResults"),
        ("GET", "/rest/api/3/search/jql", {"params": {"jql": "a = b", "startAt": 100}}, "no parameter startAt"),
        ("GET", "/rest/api/2/search", {"params": {"jql": "a = b"}}, "PathNotFound"),
        ("GET", "/rest/api/2/myself", {"headers": {}}, "SecurityNotFound"),
    ],
)
def test_a_wrong_request_to_jira_is_named(method: str, path: str, rest: dict[str, Any], problem: str | None) -> None:
    only(contract("jira cloud").of_request(asked(method, path, **{"headers": BASIC, **rest})), problem)


@pytest.mark.parametrize(
    ("method", "path", "rest", "problem"),
    [
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "assignee": {"name": "b"}}}}, None),
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "assignee": {"accountId": "b"}}}}, "'accountId' was unexpected"),
        ("POST", "/rest/api/2/issue", {"json": {"fields": {**FILLED, "labels": "a"}}}, "$.fields.labels: 'a' is not of type 'array'"),
        ("GET", "/rest/api/2/search", {"params": {"jql": "a = b", "startAt": 100, "validateQuery": "false"}}, None),
        ("GET", "/rest/api/2/search", {"params": {"jql": "a = b", "validateQuery": "warn"}}, "Query parameter error: validateQuery"),
        ("GET", "/rest/api/2/search", {"params": {"jql": "a = b", "nextPageToken": "c"}}, "no parameter nextPageToken"),
        ("GET", "/rest/api/3/search/jql", {"params": {"jql": "a = b"}}, "PathNotFound"),
        ("GET", "/rest/api/2/mypermissions", {"params": {"permissions": "EDIT_ISSUES"}}, "no parameter permissions"),
        ("GET", "/rest/api/2/issue/SEC-1", {"params": {"fields": "a", "failFast": "true"}}, "no parameter failFast"),
        ("GET", "/rest/api/2/myself", {"headers": BASIC}, "SecurityNotFound"),
    ],
)
def test_a_wrong_request_to_jira_data_center_is_named(method: str, path: str, rest: dict[str, Any], problem: str | None) -> None:
    only(contract("jira data center").of_request(asked(method, path, **{"headers": BEARER, **rest})), problem)


@pytest.mark.parametrize(
    ("method", "path", "rest", "problem"),
    [
        ("POST", WORK, {"json": {"title": "t", "description": "d", "labels": "a,b", "due_date": None, "assignee_ids": [11]}}, None),
        ("POST", WORK, {"json": {"title": "t", "labels": ["a", "b"], "due_date": "2027-01-31"}}, None),
        ("POST", WORK, {"json": {"title": "t", "label": "a"}}, "'label' was unexpected"),
        ("POST", WORK, {"json": {"title": "t", "state_event": "close"}}, "'state_event' was unexpected"),
        ("POST", WORK, {"json": {"title": "t", "assignee_ids": 11}}, "$.assignee_ids: 11 is not valid under any of the given schemas"),
        ("POST", WORK, {"json": {"title": "t", "due_date": "31.1.2027"}}, "$.due_date: '31.1.2027' is not valid under any"),
        ("POST", WORK, {"json": {"description": "d"}}, "'title' is a required property"),
        ("POST", WORK, {"json": {"title": "t"}, "headers": {}}, "SecurityNotFound"),
        ("PUT", f"{WORK}/1", {"json": {"state_event": "reopen"}}, None),
        ("PUT", f"{WORK}/1", {"json": {"due_date": "", "add_labels": "a"}}, None),
        ("PUT", f"{WORK}/1", {"json": {"state_event": "closed"}}, "'closed' is not one of"),
        ("PUT", f"{WORK}/1", {"json": {"title": "t", "label": "a"}}, "'label' was unexpected"),
        ("PUT", f"{WORK}/1", {"json": {}}, "is not valid under any of the given schemas"),
        ("PUT", f"{WORK}/one", {"json": {"title": "t"}}, "Path parameter error: issue_iid"),
        ("PATCH", f"{WORK}/1", {"json": {"title": "t"}}, "OperationNotFound"),
        ("GET", WORK, {"params": {"labels": "a,b", "state": "all", "scope": "all", "author_id": 11, "iids[]": [1, 2]}}, None),
        ("GET", WORK, {"params": {"state": "open"}}, "'open' is not one of"),
        ("GET", WORK, {"params": {"iids[]": ["one"]}}, "Query parameter error: iids[]"),
        ("GET", WORK, {"params": {"per_page": 101}}, "101 is greater than the maximum of 100"),
        ("GET", WORK, {"params": {"label": "a"}}, "no parameter label"),
        ("GET", "/api/v4/projects/northwind/access", {}, "PathNotFound"),
    ],
)
def test_a_wrong_request_to_gitlab_is_named(method: str, path: str, rest: dict[str, Any], problem: str | None) -> None:
    only(contract("gitlab").of_request(asked(method, path, **{"headers": TOKEN, **rest})), problem)


@pytest.mark.parametrize(
    ("kind", "method", "path", "answer", "problem"),
    [
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, json=ISSUE), None),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, json={**ISSUE, "resolved_at": None}), "'resolved_at' was unexpected"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, json={**ISSUE, "number": "1"}), "$.number: '1' is not of type 'integer'"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, json={"number": 1}), "'title' is a required property"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, json={**ISSUE, "closed_at": "yesterday"}), "'yesterday' is not a 'date-time'"),
        ("github", "GET", ISSUES, httpx.Response(200, json=ISSUE), "is not of type 'array'"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(204), "ResponseNotFound"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(200, text="[]"), "MediaTypeNotFound"),
        ("github", "GET", f"{ISSUES}/1", httpx.Response(502), None),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json=WORKED), None),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "number": 1}), "'number' was unexpected"),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "iid": "1"}), "$.iid: '1' is not of type 'integer'"),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "author": None}), "$.author: None is not of type 'object'"),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "labels": "a"}), "$.labels: 'a' is not of type 'array'"),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "state": "open"}), "'open' is not one of"),
        ("gitlab", "GET", f"{WORK}/1", httpx.Response(200, json={**WORKED, "due_date": "31.1.2027"}), "'31.1.2027' is not a 'date'"),
        ("gitlab", "GET", WORK, httpx.Response(200, json=WORKED), "is not of type 'array'"),
        ("gitlab", "POST", WORK, httpx.Response(200, json=WORKED), "ResponseNotFound"),
        ("gitlab", "POST", WORK, httpx.Response(400, json={"message": {"title": ["is too long"]}}), None),
        ("gitlab", "POST", WORK, httpx.Response(400, json={"errors": ["is too long"]}), "'errors' was unexpected"),
        ("jira cloud", "POST", "/rest/api/2/issue", httpx.Response(201, json=MADE), None),
        ("jira cloud", "POST", "/rest/api/2/issue", httpx.Response(201, json={**MADE, "number": 1}), "'number' was unexpected"),
        ("jira cloud", "POST", "/rest/api/2/issue", httpx.Response(201, json={**MADE, "id": 10}), "$.id: 10 is not of type 'string'"),
        ("jira cloud", "POST", "/rest/api/2/issue", httpx.Response(200, json=MADE), "ResponseNotFound"),
        ("jira cloud", "GET", "/rest/api/2/issue/SEC-1", httpx.Response(200, json=TOLD), None),
        ("jira cloud", "GET", "/rest/api/2/issue/SEC-1", httpx.Response(200, json={**TOLD, "fields": {"state": "a"}}), "'state' was unexpected"),
        (
            "jira cloud", "GET", "/rest/api/2/issue/SEC-1",
            httpx.Response(200, json={**TOLD, "fields": {"created": "2026-11-22T12:00:00Z"}}), "is not a 'date-time'",
        ),
        ("jira data center", "GET", "/rest/api/2/myself", httpx.Response(200, json={"name": "a", "key": "JIRAUSER1"}), None),
        ("jira data center", "GET", "/rest/api/2/myself", httpx.Response(200, json={"accountId": "a"}), "'accountId' was unexpected"),
        ("jira data center", "GET", META, httpx.Response(200, json=LAST), None),
        ("jira data center", "GET", META, httpx.Response(200, json={**LAST, "issueTypes": []}), "'issueTypes' was unexpected"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_named(kind: str, method: str, path: str, answer: httpx.Response, problem: str | None) -> None:
    only(contract(kind).of_answer(asked(method, path), answer), problem)


def test_what_the_stand_in_for_gitlab_takes_is_in_our_own_description() -> None:
    """Its table is from GitLab's reference pages and the description from its sources; no slice of one makes the other."""
    paths = json.loads(FILES["gitlab"].read_bytes())["paths"]
    described = {(method.upper(), path) for path, item in paths.items() for method in item.keys() - {"parameters"}}
    assert described == {(call.method, call.path) for call in GitLabStandIn.calls}
    for call in GitLabStandIn.calls:
        operation = paths[call.path][call.method.lower()]
        parameters = {each.get("name") or each["$ref"].rpartition("/")[2] for each in operation.get("parameters", ())}
        fields = operation["requestBody"]["content"]["application/json"]["schema"]["properties"] if "requestBody" in operation else {}
        assert call.query <= parameters
        assert call.fields <= fields.keys()


def test_what_goes_over_the_wire_is_seen(wrongs: list[str]) -> None:
    with GitHubStandIn() as server:
        server.answers("POST", Answer(201, {"number": "1"}))
        httpx.post(f"{server.url}{ISSUES}", json={"title": 1.5})
    assert [each.partition(":")[0] for each in wrongs] == [f"POST {ISSUES}", f"201 to POST {ISSUES}"]
    wrongs.clear()


def test_each_exception_is_of_a_description_and_has_its_reason() -> None:
    assert AMENDED.keys() | TIMES.keys() | {kind for kind, _ in UNLISTED} <= FILES.keys()
    assert all(why for amended in AMENDED.values() for _, _, why in amended)
    assert all(UNLISTED.values())


def only(said: list[str], problem: str | None) -> None:
    """There is one fault, and it is the one that is meant; None: there is none."""
    assert len(said) == (problem is not None), said
    assert problem is None or problem in said[0]
