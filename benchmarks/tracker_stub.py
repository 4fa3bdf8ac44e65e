"""Answers GitHub's REST API for the issues of one repository, as far as our desk asks it; a process of its own.

Source: GitHub's description of its REST API, version 2022-11-28. Shapes are whole: what nobody of ours reads is there too, and is paid for.
"""

from __future__ import annotations

import argparse
import json
import re
import ssl
import tempfile
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

from benchmarks.bucket import Bucket, Calls, serve_until_told
from benchmarks.estate import AS_OF
from benchmarks.findings import LOGINS
from sandbox import certificates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REPOSITORY = "northwind/access"
TOKEN = "token-of-"  # noqa: S105 - what every token of the stub begins with; the rest is who bears it
ACCOUNT = "countersign-bot"
RETRY_S = 1
HOUR_S = 1800
"""What is said to whoever spent the hour's quota."""
MOST_A_PAGE = 100
LONGEST_TITLE, LONGEST_BODY = 256, 65536
OPEN_CONNECTION = 2
"""Round trips before a request: one for TCP, one for TLS 1.3 without resumption (RFC 8446, 2)."""
_ONE = re.compile(r"/issues/(\d+)(/comments|/labels|/timeline)?")
_KEY = re.compile(r"cs1-[a-z2-7]{26}")
_PERSON = (
    "avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url",
    "organizations_url", "repos_url", "events_url", "received_events_url",
)  # fmt: skip
_COUNTS = (
    "public_repos", "public_gists", "followers", "following", "private_gists", "total_private_repos", "owned_private_repos",
    "disk_usage", "collaborators",
)  # fmt: skip
_BLANK = ("name", "company", "blog", "location", "email", "hireable", "bio")
_PARTS = ("repository_url", "labels_url", "comments_url", "events_url", "html_url", "timeline_url")
_LOOKS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


class Said(NamedTuple):
    """An answer, and the name to count it by."""

    status: int
    content: object
    name: str
    headers: Mapping[str, str] = {}


class Repository:
    """Issues, labels and events of one repository, in which everybody with a token may write."""

    def __init__(self, url: str, assignable: Collection[str]) -> None:
        self._url = f"{url}/repos/{REPOSITORY}"
        self._assignable = assignable
        self._issues: dict[int, dict[str, Any]] = {}
        self._events: dict[int, list[dict[str, Any]]] = {}
        self._labelled: dict[str, dict[int, None]] = {}
        """Label to the issues that ever bore it."""
        self._labels: set[str] = set()
        self._ticks = 0

    def answer(self, method: str, path: str, question: Mapping[str, str], body: Mapping[str, Any], who: str) -> Said:
        """Do what is asked; `path` comes without the repository's own."""
        if path == "/labels":
            return self._label(str(body["name"]), str(body.get("color", "ededed")), body.get("description"))
        if path.startswith("/assignees/"):
            found = unquote(path.removeprefix("/assignees/")) in self._assignable
            return Said(204, None, "GET assignee") if found else _refused(404, "Not Found", "GET assignee")
        if path == "/issues":
            return self._listing(question) if method == "GET" else self._made(body, who)
        found_one = _ONE.fullmatch(path)
        issue = None if found_one is None else self._issues.get(int(found_one[1]))
        if found_one is None or issue is None:
            return _refused(404, "Not Found", f"{method} what is not there")
        return self._one(issue, method, found_one[2] or "", question, body, who)

    def _one(  # noqa: PLR0913, PLR0917 - a request has these parts
        self, issue: dict[str, Any], method: str, rest: str, question: Mapping[str, str], body: Mapping[str, Any], who: str
    ) -> Said:
        number = issue["number"]
        if rest == "/timeline":
            return self._paged(self._events[number], question, f"{self._url}/issues/{number}/timeline", "GET timeline")
        if rest == "/comments":
            return self._comment(issue, str(body["body"]), who)
        if rest == "/labels":
            self._put_labels(issue, dict.fromkeys([*(each["name"] for each in issue["labels"]), *body["labels"]]))
            return Said(200, issue["labels"], "POST labels of an issue")
        if method == "GET":
            return Said(200, issue, "GET issue")
        if not self._allowed(body):
            return _refused(422, "Validation Failed", "PATCH issue")
        self._change(issue, body, who)
        return Said(200, issue, "PATCH issue")

    def _allowed(self, body: Mapping[str, Any]) -> bool:
        known = all(login in self._assignable for login in body.get("assignees", ()))
        return known and 0 < len(body.get("title", "?")) <= LONGEST_TITLE and len(body.get("body") or "") <= LONGEST_BODY

    def _made(self, body: Mapping[str, Any], who: str) -> Said:
        if "title" not in body or not self._allowed(body):
            return _refused(422, "Validation Failed", "POST issue")
        number, at = len(self._events) + 1, self._now()
        where = f"{self._url}/issues/{number}"
        issue = {
            "id": 3_000_000_000 + number, "node_id": f"I_kwDO{number:010d}", "url": where, **dict.fromkeys(_PARTS, f"{where}/parts"),
            "number": number, "title": body["title"], "body": (body.get("body") or "").replace("\n", "\r\n"), "state": "open",
            "state_reason": None, "user": person(who), "labels": [], "locked": False, "active_lock_reason": None, "milestone": None,
            "assignee": None, "assignees": [], "comments": 0, "created_at": at, "updated_at": at, "closed_at": None, "closed_by": None,
            "author_association": "MEMBER", "performed_via_github_app": None, "type": None,
            "reactions": {"url": f"{where}/reactions", "total_count": 0, **dict.fromkeys(_LOOKS, 0)},
        }  # fmt: skip
        self._issues[number], self._events[number] = issue, []
        self._put_labels(issue, body.get("labels", ()))
        self._assign(issue, body.get("assignees", ()))
        return Said(201, issue, "POST issue")

    def _change(self, issue: dict[str, Any], body: Mapping[str, Any], who: str) -> None:
        at = issue["updated_at"] = self._now()
        events = self._events[issue["number"]]
        if "title" in body:
            events.append({**_event("renamed", who, at), "rename": {"from": issue["title"], "to": body["title"]}})
        issue |= {name: body[name] for name in ("title", "body") if name in body}
        if "assignees" in body:
            self._assign(issue, body["assignees"])
        if body.get("state", issue["state"]) != issue["state"]:
            shut = body["state"] == "closed"
            issue |= {"state": body["state"], "state_reason": body.get("state_reason"), "closed_at": at if shut else None}
            issue["closed_by"] = person(who) if shut else None
            events.append(_event("closed" if shut else "reopened", who, at))

    def _comment(self, issue: dict[str, Any], text: str, who: str) -> Said:
        if not 0 < len(text) <= LONGEST_BODY:
            return _refused(422, "Validation Failed", "POST comment")
        at, where = self._now(), f"{self._url}/issues/comments"
        issue["comments"] += 1
        said = {
            "id": self._ticks, "node_id": f"IC_kwDO{self._ticks:010d}", "url": where, "html_url": where, "issue_url": issue["url"],
            "user": person(who), "created_at": at, "updated_at": at, "author_association": "MEMBER", "body": text,
            "performed_via_github_app": None, "reactions": {"url": where, "total_count": 0, **dict.fromkeys(_LOOKS, 0)},
        }  # fmt: skip
        self._events[issue["number"]].append({**said, "event": "commented", "actor": person(who)})
        return Said(201, said, "POST comment")

    def _listing(self, question: Mapping[str, str]) -> Said:
        wanted = [name for name in question.get("labels", "").split(",") if name]
        numbers = self._issues if not wanted else min((self._labelled.get(name, {}) for name in wanted), key=len)
        state, creator = question.get("state", "open"), question.get("creator")
        found = [
            issue
            for issue in (self._issues[number] for number in numbers)
            if state in {"all", issue["state"]} and creator in {None, issue["user"]["login"]}
            and set(wanted) <= {each["name"] for each in issue["labels"]}
        ]  # fmt: skip
        by = "updated_at" if question.get("sort") == "updated" else "number"
        found.sort(
            key=lambda issue: str(issue[by]) if by == "updated_at" else issue[by], reverse=question.get("direction", "desc") == "desc"
        )
        name = "GET issues by key" if any(_KEY.fullmatch(each) for each in wanted) else f"GET listing of {state} issues"
        return self._paged(found, question, f"{self._url}/issues", name)

    @staticmethod
    def _paged(items: list[dict[str, Any]], question: Mapping[str, str], where: str, name: str) -> Said:
        size, page = int(question.get("per_page", "30")), int(question.get("page", "1"))
        size = min(size, MOST_A_PAGE)
        last = max(1, -(-len(items) // size))
        near = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = [*(("prev", "first") if page > 1 else ()), *(("next", "last") if page < last else ())]
        link = ", ".join(f'<{where}?per_page={size}&page={near[rel]}>; rel="{rel}"' for rel in wanted)
        return Said(200, items[size * (page - 1) : size * page], name, {"Link": link} if link else {})

    def _label(self, name: str, color: str, description: str | None) -> Said:
        if name in self._labels:
            errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
            return Said(422, {"message": "Validation Failed", "errors": errors, "status": "422"}, "POST label")
        self._labels.add(name)
        return Said(201, {**self._a_label(name), "color": color, "description": description}, "POST label")

    def _put_labels(self, issue: dict[str, Any], names: Collection[str]) -> None:
        issue["labels"] = [self._a_label(name) for name in names]
        for name in names:
            self._labelled.setdefault(name, {})[issue["number"]] = None

    def _a_label(self, name: str) -> dict[str, Any]:
        said = {"id": 7_000_000, "node_id": "LA_kwDO", "color": "ededed", "default": False, "description": None}
        return {**said, "url": f"{self._url}/labels/{name}", "name": name}

    @staticmethod
    def _assign(issue: dict[str, Any], logins: Collection[str]) -> None:
        issue["assignees"] = [person(login) for login in logins]
        issue["assignee"] = issue["assignees"][0] if logins else None

    def _now(self) -> str:
        self._ticks += 1
        return f"{AS_OF + timedelta(seconds=self._ticks):%Y-%m-%dT%H:%M:%SZ}"


class Server(ThreadingHTTPServer):
    """Serves one repository at one address.

    `latency` seconds pass before each answer, and `OPEN_CONNECTION` times that before the first on a connection if `far`. Above `rate`
    writes a second it refuses with GitHub's 403 (0: no limit), and after `most` writes for the rest of the hour (0: never).
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(  # noqa: PLR0913 - a stub has these knobs
        self, assignable: Collection[str], *, latency: float = 0, far: bool = False, rate: float = 0, most: int = 0,
        chain: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__(("127.0.0.1", 0), _Handler)
        if chain is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(chain)
            # The handshake is the thread's of the connection: here it would hold up all others.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'' if chain is None else 's'}://127.0.0.1:{self.server_address[1]}"
        self.calls = Calls()
        self.latency = latency
        self.far = far
        self._repository = Repository(self.url, assignable)
        self._bucket = Bucket(rate)
        self._left = most or None
        self._turn = threading.Lock()

    def answer(self, method: str, target: str, token: str, raw: bytes) -> Said:
        """Answer one request, and count it."""
        with self._turn:
            said = self._judged(method, target, token, raw)
        self.calls.add({said.name: 1})
        return said

    def _judged(self, method: str, target: str, token: str, raw: bytes) -> Said:
        kind, _, who = token.partition(TOKEN)
        if kind != "Bearer " or not who:
            return _refused(401, "Bad credentials", "who is not known")
        if method != "GET":
            if self._left == 0:
                return _refused(403, "You have exceeded a secondary rate limit.", "throttled", {"Retry-After": str(HOUR_S)})
            if not self._bucket.take():
                return _refused(403, "You have exceeded a secondary rate limit.", "throttled", {"Retry-After": str(RETRY_S)})
            self._left = None if self._left is None else self._left - 1
        path, _, query = target.partition("?")
        if path == "/user":
            counts = {"two_factor_authentication": True, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}
            return Said(200, {**person(who), **dict.fromkeys(_BLANK), **dict.fromkeys(_COUNTS, 0), **counts}, "GET user")
        root = f"/repos/{REPOSITORY}"
        if not path.startswith(root):
            return _refused(404, "Not Found", f"{method} what is not there")
        question = {name: values[0] for name, values in parse_qs(query).items()}
        return self._repository.answer(method, path.removeprefix(root), question, json.loads(raw) if raw else {}, who)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fresh = True

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.latency:
            time.sleep(self.server.latency * (1 + OPEN_CONNECTION if self.fresh and self.server.far else 1))
        if self.fresh:
            self.server.calls.add({"units:connections": 1})
        self.fresh = False
        said = self.server.answer(self.command, self.path, self.headers.get("Authorization", ""), raw)
        content = b"" if said.content is None else json.dumps(said.content).encode()
        self.server.calls.add({"bytes": len(content)})
        self.send_response(said.status)
        quota = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4000", "X-RateLimit-Resource": "core"}
        for name, value in {"Content-Type": "application/json; charset=utf-8", **quota, **said.headers}.items():
            self.send_header(name, value)
        if said.status != 204:  # noqa: PLR2004 - it has no content, not even its length
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - the library's names

    def log_message(self, *_values: object) -> None:
        """Say nothing."""


def person(login: str) -> dict[str, Any]:
    """Return a user as GitHub tells one beside an issue."""
    links = {name: f"https://api.github.com/users/{login}/{name}" for name in _PERSON}
    return {
        "login": login,
        "id": 1,
        "node_id": "MDQ6VXNlcjE=",
        "gravatar_id": "",
        **links,
        "type": "User",
        "user_view_type": "public",
        "site_admin": False,
    }


def _event(kind: str, who: str, at: str) -> dict[str, Any]:
    none = dict.fromkeys(("commit_id", "commit_url", "performed_via_github_app"))
    return {
        "id": 1,
        "node_id": "E_1",
        "url": "https://api.github.com/events",
        "event": kind,
        "actor": person(who),
        "created_at": at,
        **none,
    }


def _refused(status: int, message: str, name: str, headers: Mapping[str, str] | None = None) -> Said:
    said = {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return Said(status, said, name, headers or {})


def main() -> None:
    """Serve until standard input closes; prints the desk's settings first, and where calls are counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    parser.add_argument("--far", type=int, default=0, help="1: opening a connection takes its round trips too")
    parser.add_argument("--rate", type=float, default=0, help="writes a second; 0: no limit")
    parser.add_argument("--most", type=int, default=0, help="writes before the hour's quota is spent; 0: no limit")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        made, chain, authority = certificates.make(), Path(where) / "chain.pem", Path(where) / "authority.pem"
        chain.write_bytes(made.chain + made.key)
        authority.write_bytes(made.authority)
        people = set(LOGINS.values())
        server = Server(people, latency=asked.latency, far=bool(asked.far), rate=asked.rate, most=asked.most, chain=chain)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        desk = {"url": server.url, "repository": REPOSITORY, "token_from": "env:TRACKER_TOKEN", "ca": str(authority)}
        serve_until_told({"desk": desk, "environment": {"TRACKER_TOKEN": f"{TOKEN}{ACCOUNT}"}}, server.calls)


if __name__ == "__main__":
    main()
