"""The vendors' own OpenAPI descriptions, held against what our desks really send and what the stand-ins really answer.

Which description is from where, and how a newer one gets here, is in the README.md beside each in `tests/data`. GitLab's, under CC BY-SA 4.0,
and Jira Data Center's, under no open licence, are in no package and so not here; ServiceNow and Request Tracker publish none.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.request.exceptions import ParameterValidationError
from werkzeug.datastructures import MultiDict

from tests.desks.github_standin import GitHubStandIn
from tests.desks.jira_standin import JiraCloudStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import httpx

    from tests.desks.served import Served

DATA = Path(__file__).parents[1] / "data"
FILES = {GitHubStandIn.kind: DATA / "github" / "openapi.json", JiraCloudStandIn.kind: DATA / "jira-cloud" / "openapi.json"}
STAND_INS: dict[str, type[Served]] = {each.kind: each for each in (GitHubStandIn, JiraCloudStandIn)}

SHOWN = 300
"""Characters of a complaint, which may repeat the whole answer."""
OF_ANY_SERVER = frozenset({429, 500, 502, 503, 504})
"""Codes that a server or what stands before it may give to any request (RFC 9110, RFC 6585); no description lists them all."""


def as_api_3(path: str) -> str:
    """Atlassian describes API 2 and 3 in two files, which say the same of every operation here but for a comment's text."""
    return path.replace("/rest/api/2/", "/rest/api/3/")


SERVED: dict[str, Callable[[str], str]] = {JiraCloudStandIn.kind: as_api_3}


_TEXT = {"type": "string"}
_DAY = {"type": "string", "format": "date", "nullable": True}
_TIME = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "array", "items": _TEXT}


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "nullable": True}


_NO_BODY = "it promises JSON of no shape where no body can be (RFC 9110, 15.3.5)"
_FIELDS = "it says nothing of an issue's fields, since projects choose them; what the system's own are stands in the reference pages"
AMENDED: dict[str, tuple[tuple[str, Any, str], ...]] = {
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
    JiraCloudStandIn.kind: (
        ("paths /rest/api/3/issue/{issueIdOrKey} put responses", {"204": {}}, _NO_BODY),
        ("paths /rest/api/3/issue/{issueIdOrKey}/transitions post responses", {"204": {}}, _NO_BODY),
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
                    assignee=_object(accountId=_TEXT),
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
                    assignee=_or_null(_object(accountId=_TEXT, displayName=_TEXT)),
                    status=_schema("StatusDetails"),
                    priority=_or_null(_object(self=_TEXT, id=_TEXT, name=_TEXT, iconUrl=_TEXT)),
                ),
            },
            _FIELDS,
        ),
    ),
}
"""Where a description is wrong, or says too little for a slip to show: the place, what is put there, and why."""
UNLISTED = {(GitHubStandIn.kind, 401): "every operation tells so that a token is wrong; it is described for GET /user alone"}
"""Codes that come where they are not described."""
TIMES = {JiraCloudStandIn.kind: re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")}
"""Jira's times are described as date-time and are none (RFC 3339 has a colon in +00:00): see all 111 examples in its own description."""


class Contract:
    """One description. What is wrong with a request or an answer is said in sentences; none: nothing is."""

    def __init__(self, kind: str, document: Mapping[str, Any]) -> None:
        self._kind = kind
        self._served = SERVED.get(kind, str)
        self._document = deepcopy(dict(document))
        for where, change, _ in AMENDED.get(kind, ()):
            _place(self._document, where).update(change)
        _checkable(self._document)
        self._host = self._document["servers"][0]["url"].rstrip("/")
        times = TIMES.get(kind)
        formats = {} if times is None else {"date-time": lambda value: times.fullmatch(str(value)) is not None}
        # What a description does not name is refused: vendors drop an unknown field silently, so that a slip of ours would never show.
        self._openapi = OpenAPI.from_dict(
            self._document,
            config=Config(spec_validator_cls=None, additional_properties_default_policy="forbid", extra_format_validators=formats),
        )

    def of_request(self, request: httpx.Request) -> list[str]:
        """Hold a request against the description: method, path, query, headers and body."""
        asked = self._asked(request)
        found = [_told(error) for error in self._openapi.iter_request_errors(asked)]
        unknown = sorted({name for name, _ in request.url.params.multi_items()} - self._known(asked))
        # A path that is not described is said to be so, and has no parameters to speak of.
        found += [f"no parameter {name}" for name in unknown if not found]
        return [f"{request.method} {asked.path}: {each}" for each in found]

    def of_answer(self, request: httpx.Request, answer: httpx.Response) -> list[str]:
        """Hold an answer against the description of what was asked: code, headers and body."""
        if answer.status_code in OF_ANY_SERVER or (self._kind, answer.status_code) in UNLISTED:
            return []
        asked = self._asked(request)
        said = MockResponse(answer.content, answer.status_code, dict(answer.headers), answer.headers.get("Content-Type", ""))
        errors = self._openapi.iter_response_errors(asked, said)
        return [f"{answer.status_code} to {request.method} {asked.path}: {_told(error)}" for error in errors]

    def _asked(self, request: httpx.Request) -> MockRequest:
        path = self._served(request.url.raw_path.partition(b"?")[0].decode())
        query: Any = MultiDict(request.url.params.multi_items())
        content_type = request.headers.get("Content-Type", "")
        return MockRequest(
            self._host, request.method, path, args=query, headers=dict(request.headers), data=request.read(), content_type=content_type
        )

    def _known(self, asked: MockRequest) -> set[str]:
        items = [item for path, item in self._document["paths"].items() if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", path), asked.path)]
        described = [each for item in items for each in (*item.get("parameters", ()), *item.get(asked.method, {}).get("parameters", ()))]
        return {each["name"] for each in map(self._resolved, described) if each["in"] == "query"}

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        return _place(self._document, node["$ref"].removeprefix("#/").replace("/", " ")) if "$ref" in node else node


@cache
def contract(kind: str) -> Contract:
    """Return the description of a kind of stand-in; raises KeyError when there is none here."""
    return Contract(kind, json.loads(FILES[kind].read_bytes()))


def _told(error: Exception) -> str:
    """Say what is wrong and where, without the whole value."""
    what = f"{error}: " if isinstance(error, ParameterValidationError) else ""
    last: BaseException = error
    while last.__cause__ is not None and not getattr(last, "schema_errors", ()):
        last = last.__cause__
    schema_errors: Iterable[Any] = getattr(last, "schema_errors", ())
    told = "; ".join(f"{each.json_path}: {_short(each.message)}" for each in schema_errors)
    return what + (told or _short(f"{type(last).__name__}: {last}"))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 2 :]}"


def _checkable(document: dict[str, Any]) -> None:
    """Leave of the ways to sign in those that a header shows: openapi-core takes any request for one that OAuth would let in."""
    schemes = document["components"].get("securitySchemes", {})
    for operation in (operation for item in document["paths"].values() for operation in item.values() if isinstance(operation, dict)):
        if "security" in operation:
            operation["security"] = [way for way in operation["security"] if all(schemes[name]["type"] == "http" for name in way)]


def _place(document: dict[str, Any], where: str) -> dict[str, Any]:
    for name in where.split(" "):
        document = document[name]
    return document
