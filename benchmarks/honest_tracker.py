"""Is the tracker's stub honest? What our desk asks in a few small nights, it must answer as the tests' stand-in for GitHub does."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import httpx

from benchmarks.tracker_stub import REPOSITORY, TOKEN, Server
from benchmarks.work_tickets import Asked, tickets
from countersign.desk.github import GitHubDesk
from countersign.desk_settings import GitHub
from countersign.pace import Budget
from countersign.state import State
from tests.desks.github_standin import GitHubStandIn
from tests.desks.served import OWNER, SERVICE, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COUNT = 150
NIGHTS = ((1000, 0), (1000, 0), (1000, 3))
"""Budget and changes of each night."""
_TELLING = {
    "number", "title", "body", "state", "login", "name", "event", "message", "code", "resource", "field", "from", "to", "locked",
}  # fmt: skip
"""Fields whose values must be the same; of all others, that they are there."""
_ONLY_OURS = {"assignee", "closed_by"}
"""GitHub tells a person there; the stand-in tells nobody, or has no such field."""


class _Asked(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    raw: bytes
    answer: Answer


class _Listening(GitHubStandIn):
    """Writes down what it was asked and what it said, as it stood at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[_Asked] = []

    def handle(self, method: str, target: str, headers: Any, raw: bytes) -> Answer | None:  # noqa: ANN401 - the base's
        with self._turn:
            answer = super().handle(method, target, headers, raw)
            assert answer is not None
            kept = Answer(answer.code, json.loads(json.dumps(answer.content)), dict(answer.headers))
            self.heard.append(_Asked(method, target, {name: headers[name] for name in ("Authorization", "User-Agent")}, raw, kept))
        return answer


def main() -> None:
    """Ask both and say what differs; exit 1 when an answer does."""
    server = Server({SERVICE, OWNER})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with _Listening() as standin, patch.dict(os.environ, {"TRACKER_TOKEN": f"{TOKEN}{SERVICE}"}):
        _nights(standin.url)
        heard = standin.heard
        differ = [found for each in heard if (found := _differs(each, _again(server, each))) is not None]
    server.shutdown()
    asked = Counter(f"{each.method} {each.target.partition('?')[0].rpartition('/')[2].strip('0123456789')}" for each in heard)
    said = {"asked": len(heard), "kinds": len(asked), "strange": standin.strange, "differ": len(differ), "first": differ[:3]}
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


def _nights(url: str) -> None:
    settings = GitHub(url=url, repository=REPOSITORY, token_from="env:TRACKER_TOKEN")  # noqa: S106 - where it is, not what
    owners = {"person00": OWNER, "person01": SERVICE, "person02": "who-is-not-there"}
    with (
        tempfile.TemporaryDirectory() as folder,
        State(f"sqlite:///{Path(folder) / 'state.db'}") as state,
        patch("countersign.desk.github.budget", lambda *_key, **_limits: Budget(1e9, 1.0)),
    ):
        for night, (budget, changed) in enumerate(NIGHTS):
            if night == 1:
                _people(url)
            tickets(state, GitHubDesk(settings, owners), Asked(count=COUNT, night=night, budget=budget, changed=changed, waits=1))
        desk = GitHubDesk(settings, owners)
        desk.history("github:1")
        desk.transition("github:3", "closed")
        desk.closed(["github:3", "github:4"])


def _people(url: str) -> None:
    """Do what people do between two nights, and read lists in small pages as nobody of ours does."""
    known = {"Authorization": f"Bearer {TOKEN}{OWNER}", "User-Agent": "people"}
    with httpx.Client(base_url=f"{url}/repos/{REPOSITORY}", headers=known) as client:
        client.patch("/issues/1", json={"state": "closed", "title": "Mine", "assignees": [OWNER]})
        client.post("/issues/2/labels", json={"labels": ["theirs"]})
        client.post("/issues", json={"title": "", "body": "no title"})
        client.post("/issues", json={"title": "t", "assignees": ["nobody-we-know"]})
        client.post("/issues/2/comments", json={"body": ""})
        for page in (1, 2, 30):
            client.get("/issues", params={"state": "all", "per_page": 7, "page": page, "sort": "created", "direction": "asc"})
        client.get("/issues", params={"state": "closed", "labels": "countersign", "sort": "updated"})
        client.get(f"{url}/user", headers={"Authorization": "Bearer nonsense"})


def _again(server: Server, asked: _Asked) -> Answer:
    """Ask the stub the same."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    try:
        connection.request(asked.method, asked.target, asked.raw or None, asked.headers)
        answer = connection.getresponse()
        content = answer.read()
        return Answer(answer.status, json.loads(content) if content else None, dict(answer.getheaders()))
    finally:
        connection.close()


def _differs(asked: _Asked, ours: Answer) -> str | None:
    theirs, what = asked.answer, f"{asked.method} {asked.target}"
    if ours.code != theirs.code:
        return f"{what}: {ours.code}, not {theirs.code}"
    if ('rel="next"' in ours.headers.get("Link", "")) != ('rel="next"' in theirs.headers.get("Link", "")):
        return f"{what}: the one has a next page, the other none"
    wanted, given = Counter(_told(theirs.content)), Counter(_told(ours.content))
    lacking = sorted((wanted - given).keys() | (_values(given) - _values(wanted)).keys())
    return f"{what}: {lacking[:3]}" if lacking else None


def _values(told: Mapping[str, int]) -> Counter[str]:
    """Keep what tells something: the stub may have more fields than the stand-in, but no other words in those that count."""
    return Counter({text: count for text, count in told.items() if " = " in text})


def _told(value: object, at: str = "") -> Iterator[str]:
    """Yield each field by its path, with its value if that counts."""
    if isinstance(value, dict):
        for name, inner in ((name, inner) for name, inner in value.items() if name not in _ONLY_OURS):
            yield from _told(inner, f"{at}.{name}")
    elif isinstance(value, list):
        yield f"{at} = {len(value)} items"
        for number, inner in enumerate(value):
            yield from _told(inner, f"{at}[{number}]")
    else:
        yield f"{at} = {value}" if at.rpartition(".")[2] in _TELLING else at


if __name__ == "__main__":
    main()
