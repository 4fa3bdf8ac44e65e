"""Where a description is wrong, or says too little for a slip to show, and what Jira Data Center has otherwise than Jira Cloud.

Sources for Data Center: Atlassian's reference of its REST API 2 (9.12 and 10), and the types that jira.js (MIT) has made of it, for what may be asked
and what is told. All that is not named here is taken to be as on Cloud, which speaks the same API 2.
"""

from __future__ import annotations

import re
from typing import Any

from tests.desks.github_standin import GitHubStandIn
from tests.desks.jira_standin import JiraCloudStandIn, JiraDataCenterStandIn

Amendment = tuple[str, dict[str, Any], str]
"""The place, what is put there (None: it is taken out), and why."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_TRUTH = {"type": "boolean"}
_DAY = {"type": "string", "format": "date", "nullable": True}
_TIME = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "array", "items": _TEXT}
_ANY = {"type": "object", "additionalProperties": True}
_ISSUE = "/rest/api/3/issue/{issueIdOrKey}"
_META = "/rest/api/3/issue/createmeta/{projectIdOrKey}/issuetypes"


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "nullable": True}


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _query(**schemas: Any) -> dict[str, Any]:
    return {"parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]}


def _told(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


_NO_BODY = "it promises JSON of no shape where no body can be (RFC 9110, 15.3.5)"
_FIELDS = "it says nothing of an issue's fields, since projects choose them; what the system's own are stands in the reference pages"


def _jira(assignee: dict[str, Any], somebody: dict[str, Any]) -> tuple[Amendment, ...]:
    """What is to be said of both: `assignee` is how one is given, `somebody` how one is told."""
    return (
        (f"paths {_ISSUE} put responses", {"204": {}}, _NO_BODY),
        (f"paths {_ISSUE}/transitions post responses", {"204": {}}, _NO_BODY),
        ("components schemas Comment properties", {"body": _TEXT}, "API 2 takes and gives texts, and its own description says so"),
        ("components schemas IssueUpdateDetails properties", {"fields": _schema("FieldsToSet")}, _FIELDS),
        ("components schemas IssueBean properties", {"fields": _schema("FieldsTold")}, _FIELDS),
        (
            "components schemas",
            {
                "FieldsToSet": _object(
                    summary=_TEXT,
                    description=_TEXT,
                    duedate=_DAY,
                    labels=_TEXTS,
                    assignee=assignee,
                    project=_object(key=_TEXT),
                    issuetype=_object(id=_TEXT),
                    resolution=_object(name=_TEXT),
                    priority=_object(name=_TEXT),
                ),
                "FieldsTold": _object(
                    summary=_TEXT,
                    description=_or_null(_TEXT),
                    duedate=_DAY,
                    labels=_TEXTS,
                    created=_TIME,
                    updated=_TIME,
                    resolution=_or_null(_object(self=_TEXT, id=_TEXT, name=_TEXT, description=_TEXT)),
                    resolutiondate=_or_null(_TIME),
                    creator=_schema("UserDetails"),
                    assignee=_or_null(somebody),
                    status=_schema("StatusDetails"),
                    priority=_or_null(_object(self=_TEXT, id=_TEXT, name=_TEXT, iconUrl=_TEXT)),
                ),
            },
            _FIELDS,
        ),
    )


_PERSON = _object(
    self=_TEXT, name=_TEXT, key=_TEXT, emailAddress=_TEXT, displayName=_TEXT, active=_TRUTH, deleted=_TRUTH, timeZone=_TEXT, locale=_TEXT
)
_FIELD = _object(
    fieldId=_TEXT, name=_TEXT, required=_TRUTH, hasDefaultValue=_TRUTH, operations=_TEXTS, schema=_ANY, allowedValues=_list(_ANY),
    autoCompleteUrl=_TEXT, defaultValue=_ANY,
)  # fmt: skip
_KIND = _object(self=_TEXT, id=_TEXT, name=_TEXT, description=_TEXT, iconUrl=_TEXT, subtask=_TRUTH)


def _page(item: dict[str, Any]) -> dict[str, Any]:
    page = _object(startAt=_NUMBER, maxResults=_NUMBER, total=_NUMBER, isLast=_TRUTH, values=_list(item))
    return {**page, "required": ["startAt", "maxResults", "isLast", "values"]}


_DATA_CENTER: tuple[Amendment, ...] = (
    (
        "paths",
        {
            f"{_ISSUE}/changelog": None,
            "/rest/api/3/issue/bulkfetch": None,
            "/rest/api/3/search/jql": None,
            "/rest/api/3/search": {
                "get": {
                    **_query(jql=_TEXT, startAt=_NUMBER, maxResults=_NUMBER, validateQuery=_TRUTH, fields=_list(_TEXT), expand=_TEXT),
                    "security": [{"basicAuth": []}, {}],
                    "responses": {"200": _told(_schema("Found")), "400": _told(_schema("ErrorCollection")), "401": {}},
                }
            },
        },
        "it has one search, and neither of Cloud's ways past it; an issue's changes come with the issue",
    ),
    (
        "components schemas",
        {
            "Found": _object(expand=_TEXT, startAt=_NUMBER, maxResults=_NUMBER, total=_NUMBER, issues=_list(_schema("IssueBean"))),
            "User": _PERSON,
            "UserDetails": _PERSON,
            "FieldMetadata": _FIELD,
            "PageOfCreateMetaIssueTypes": _page(_KIND),
            "PageOfCreateMetaIssueTypeWithField": _page(_FIELD),
        },
        "people have names and no account ids; what an issue takes comes in pages whose items are `values`, and which may lack `total`",
    ),
    (
        "paths /rest/api/3/mypermissions get",
        _query(projectKey=_TEXT, projectId=_TEXT, issueKey=_TEXT, issueId=_TEXT),
        "it always tells all permissions, and none can be named",
    ),
    (
        "paths /rest/api/3/user/assignable/search get",
        _query(username=_TEXT, project=_TEXT, issueKey=_TEXT, startAt=_NUMBER, maxResults=_NUMBER, actionDescriptorId=_NUMBER),
        "people are searched for by name",
    ),
    (
        f"paths {_ISSUE} get",
        {
            "parameters": [
                {"name": "issueIdOrKey", "in": "path", "required": True, "schema": _TEXT},
                *_query(fields=_list(_TEXT), expand=_TEXT, properties=_list(_TEXT), updateHistory=_TRUTH)["parameters"],
            ]
        },
        "it knows neither `fieldsByKeys` nor `failFast`",
    ),
    (f"paths {_META} get responses", {"404": _told(_schema("ErrorCollection"))}, "a project that is not there, or hidden, is not found"),
    (f"paths {_META}/{{issueTypeId}} get responses", {"404": _told(_schema("ErrorCollection"))}, "as above"),
    ("components securitySchemes basicAuth", {"scheme": "bearer"}, "a personal access token is sent as one (RFC 6750)"),
)

AMENDED: dict[str, tuple[Amendment, ...]] = {
    GitHubStandIn.kind: (
        (
            "components schemas timeline-issue-events",
            {"additionalProperties": True},
            "each of the events that it may be names all of its own fields, and it none",
        ),
        (
            "paths /repos/{owner}/{repo}/issues/{issue_number} patch responses 200 content application/json",
            {"schema": _schema("issue")},
            "it joins an issue with suggestions, which only they get who ask for them, and each of the two would refuse the other's fields",
        ),
    ),
    JiraCloudStandIn.kind: _jira(_object(accountId=_TEXT), _object(accountId=_TEXT, displayName=_TEXT)),
    JiraDataCenterStandIn.kind: (*_jira(_object(name=_TEXT), _PERSON), *_DATA_CENTER),
}
UNLISTED = {(GitHubStandIn.kind, 401): "every operation tells so that a token is wrong; it is described for GET /user alone"}
"""Codes that come where they are not described."""
_JIRAS_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")
TIMES = {JiraCloudStandIn.kind: _JIRAS_TIME, JiraDataCenterStandIn.kind: _JIRAS_TIME}
"""Jira's times are described as date-time and are none (RFC 3339 has a colon in +00:00): see all 111 examples in its own description."""
