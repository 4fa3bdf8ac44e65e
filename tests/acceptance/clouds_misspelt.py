"""Sends the requests that the connectors made once more, each with one name misspelt, and gives those that were not refused."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandbox.gcp import SandboxGcp
    from sandbox.gcp.contract import Contract
    from sandbox.graph import Request, SandboxGraph

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_COLUMN = re.compile(r"(?<![\w.'/])(?:id|name|type|properties|tags|subscriptionId)\b(?!')")
"""Columns of Resource Graph."""
_IN_QUOTES = re.compile(r"'(?:[^']|'')*'")
_WORDS = frozenset({"eq", "ne", "and", "or", "not", "any", "null", "true", "false", "startswith"})
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BATCH_PATH = "/v1.0/$batch"
_BATCH = {"requests": [{"id": "1", "method": "GET", "url": "/organization"}]}
_IDS = re.compile(r"v1\.0|beta|v\d\w*|\$batch|\$count|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|")
Sent = tuple[str, str, dict[str, str], Any]
"""Method, path, query and JSON body."""


def _misspelt(name: str) -> str:
    return f"{name}z"


def _one_segment_wrong(path: str) -> Iterator[str]:
    segments = path.split("/")
    for place, segment in enumerate(segments):
        if not _IDS.fullmatch(segment):
            yield "/".join([*segments[:place], _misspelt(segment), *segments[place + 1 :]])


def _one_name_wrong(text: str) -> Iterator[str]:
    """Misspell each name in a `$select`, `$expand`, `$filter` or `$orderby`."""
    hidden = [span for match in _IN_QUOTES.finditer(text) for span in [match.span()]]
    for match in _NAME.finditer(text):
        quoted = any(start <= match.start() < end for start, end in hidden)
        if not quoted and match[0] not in _WORDS and text[match.start() - 1 : match.start()] != "$":
            yield f"{text[: match.start()]}{_misspelt(match[0])}{text[match.end() :]}"


def _renamed(fields: Mapping[str, Any], wrong: str) -> dict[str, Any]:
    return {_misspelt(name) if name == wrong else name: value for name, value in fields.items()}


def _of_graph(method: str, path: str, query: dict[str, str], body: dict[str, Any] | None) -> Iterator[Sent]:
    for wrong in _one_segment_wrong(path):
        yield method, wrong, query, body
    for name, value in query.items():
        yield method, path, _renamed(query, name), body
        if name in {"$select", "$expand", "$filter", "$orderby"}:
            yield from ((method, path, {**query, name: wrong}, body) for wrong in _one_name_wrong(value))
    yield from ((method, path, query, wrong) for wrong in _of_body(body or {}))


def _of_body(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Misspell each name in the body of a batch or of a query of Resource Graph, and each column and table in the query."""
    for name, value in body.items():
        yield _renamed(body, name)
        if isinstance(value, dict):
            yield from ({**body, name: _renamed(value, option)} for option in value)
        elif isinstance(value, list):
            yield from ({**body, name: [_renamed(value[0], part)]} for part in value[0])
        elif name == "query":
            table, bar, rest = value.partition("|")
            yield {**body, name: f"{_misspelt(table.strip())} {bar}{rest}"}
            for column in _COLUMN.finditer(rest):
                yield {**body, name: f"{table}{bar}{rest[: column.start()]}{_misspelt(column[0])}{rest[column.end() :]}"}


def graph(server: SandboxGraph, asked: Iterable[Request], token: str) -> tuple[int, list[str]]:
    """Send each distinct request in its right form and in every wrong one; returns how many were wrong, and what was answered amiss."""
    right: dict[str, Sent] = {}
    for one in asked:
        if one.status == 200 and (one.with_token or one.in_batch):
            query = {name: value for name, value in one.query.items() if name != "$skiptoken"}
            is_batch = one.path == _BATCH_PATH
            body = _BATCH if is_batch else json.loads(one.body) if one.body else None
            # the same of another object of the same kind says nothing new
            right.setdefault(_GUID.sub("*", repr((one.method, one.path, query, body))), (one.method, one.path, query, body))
    wrong = {_GUID.sub("*", repr(sent)): sent for one in right.values() for sent in _of_graph(*one)}
    amiss = []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for is_right, (method, path, query, body) in [(True, one) for one in right.values()] + [(False, one) for one in wrong.values()]:
            asked_for = "&".join(f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in query.items())
            address = f"{server.address}{quote(path, safe='/$')}?{asked_for}"
            how = {"ConsistencyLevel": "eventual"}
            # `verify` is said here, since the environment has its say before the session
            answer = session.request(method, address, json=body, headers=how, timeout=30, verify=str(server.ca))
            statuses = {answer.status_code}
            if path == _BATCH_PATH and answer.status_code == 200:
                statuses = {item["status"] for item in answer.json()["responses"]}
            if (statuses == {200}) is not is_right or not statuses <= {200, 400, 404}:
                amiss.append(f"{'right' if is_right else 'wrong'}, and answered {statuses}: {method} {path} {query} {body}")
    return len(wrong), amiss


def google(server: SandboxGcp, contract: Contract, calls: Iterable[Any]) -> tuple[int, list[str]]:
    """The same for Google: REST requests are sent, messages of gRPC (which cannot hold a wrong name) are put to the contract."""
    forms: dict[str, tuple[str, str, Mapping[str, Any]]] = {}
    let_through: list[str] = []
    count = 0
    for call in calls:
        verb, _, path = call.name.partition(" /")
        if not path:
            for name in call.parameters:
                count += 1
                if contract.check_message(call.method, call.parameters) or not contract.check_message(
                    call.method, _renamed(call.parameters, name)
                ):
                    let_through.append(f"{call.name}: {_misspelt(name)}")
            continue
        given = {name: value for name, value in call.parameters.items() if name not in {"parent", "name"}}
        for name in given:
            forms[f"{verb} {call.method} {name}"] = (verb, path, _renamed(given, name))
        for number, wrong_path in enumerate(_fixed_segment_wrong(path)):
            forms[f"{verb} {call.method} segment {number}"] = (verb, wrong_path, given)
    with requests.Session() as session:
        for what, (verb, path, fields) in forms.items():
            pairs = list(
                itertools.chain.from_iterable([(k, each) for each in v] if isinstance(v, list) else [(k, v)] for k, v in fields.items())
            )
            how: dict[str, Any] = {"json": fields} if verb == "POST" else {"params": pairs}
            if session.request(verb, f"{server.rest}/{path}", timeout=30, **how).status_code not in {400, 404}:
                let_through.append(what)
    return count + len(forms), let_through


def _fixed_segment_wrong(path: str) -> Iterator[str]:
    """Misspell the names of collections, which stand at every second place, and what comes after a colon."""
    segments = path.split("/")
    for place, segment in enumerate(segments):
        if place % 2 == 1 or ":" in segment:
            yield "/".join([*segments[:place], _misspelt(segment), *segments[place + 1 :]])
