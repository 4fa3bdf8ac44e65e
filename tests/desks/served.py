"""A stand-in for a tracker's API over real HTTP: it knows the calls of a table, refuses all else, and can lose or spoil an answer."""

from __future__ import annotations

import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote, urlsplit

SERVICE, OWNER, PARTNER, STRANGER = "countersign-bot", "mkeller", "acme-pavel", "nobody-we-know"
TOKENS = {f"token-of-{who}": who for who in (SERVICE, OWNER, PARTNER)}


@dataclass(frozen=True)
class Call:
    """One operation of a published description: its path, the parameters of its query, the fields of its body."""

    method: str
    path: str
    query: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    def match(self, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def call(method: str, path: str, query: str = "", fields: str = "") -> Call:
    return Call(method, path, frozenset(query.split()), frozenset(fields.split()))


@dataclass
class Request:
    """What a stand-in's own code gets to see of a request that its table allows."""

    call: Call
    values: dict[str, str]
    query: dict[str, list[str]]
    body: dict[str, Any]
    who: str

    def said(self, name: str, otherwise: str = "") -> str:
        return self.query.get(name, [otherwise])[0]


@dataclass
class Answer:
    code: int
    content: object = None
    headers: dict[str, str] = field(default_factory=dict)


class Served:
    """The base of all stand-ins: `calls` is the table, `who` reads the token, `answer` is the vendor's behaviour."""

    kind = ""
    kinds: ClassVar[dict[int, str]] = {}
    """What listens at which port."""
    calls: tuple[Call, ...] = ()
    comments_by = "POST"
    hasty = 429
    """What somebody is told who asks too much."""

    def __init__(self) -> None:
        self.requests = 0
        self.strange: list[str] = []
        """Requests that the description does not allow; a test that leaves any here has found a fault."""
        self._plan: list[tuple[str, Answer | None]] = []
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"served": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.kinds[self._server.server_address[1]] = self.kind
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        del self.kinds[self._server.server_address[1]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answers(self, method: str, answer: Answer) -> None:
        """Give the next request of this method an answer, and do nothing."""
        self._plan.append((method, answer))

    def swallow(self, method: str) -> None:
        """Let the next request of this method happen, and cut the wire instead of answering."""
        self._plan.append((method, None))

    def who(self, headers: Any) -> str | None:
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def handle(self, method: str, target: str, headers: Any, raw: bytes) -> Answer | None:
        """Return the answer; None: cut the wire."""
        with self._turn:
            self.requests += 1
            step = next((each for each in self._plan if each[0] == method), None)
            if step is not None:
                self._plan.remove(step)
                if step[1] is not None:
                    return step[1]
            answer = self._judged(method, target, headers, raw)
            return None if step is not None else answer

    def _judged(self, method: str, target: str, headers: Any, raw: bytes) -> Answer:
        parts = urlsplit(target)
        matches = ((each, each.match(parts.path)) for each in self.calls if each.method == method)
        found = next(((each, values) for each, values in matches if values is not None), None)
        if found is None:
            return self._strange(404, f"no operation {method} {parts.path}")
        query = parse_qs(parts.query, keep_blank_values=True)
        body = json.loads(raw) if raw else {}
        for what, given, allowed in (("parameter", query, found[0].query), ("field", body, found[0].fields)):
            unknown = sorted(given.keys() - allowed)
            if unknown:
                return self._strange(400, f"no {what} {unknown} in {method} {found[0].path}")
        who = self.who(headers)
        if who is None:
            return Answer(401, {"message": "Bad credentials"})
        return self.answer(Request(found[0], found[1], query, body, who))

    def _strange(self, code: int, what: str) -> Answer:
        self.strange.append(what)
        return Answer(code, {"message": what})


class _Handler(BaseHTTPRequestHandler):
    served: Served

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.served.handle(self.command, self.path, self.headers, raw)
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        content = b"" if answer.content is None else json.dumps(answer.content).encode()
        self.send_response(answer.code)
        for name, value in {"Content-Length": str(len(content)), "Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the library's names

    def log_message(self, *_said: object) -> None:
        """Nothing."""


def paged(items: list[Any], request: Request, url: str) -> Answer:
    """Give one page, and name the next one in `Link` (RFC 8288)."""
    size, page = int(request.said("per_page", "30")), int(request.said("page", "1"))
    if not 1 <= size <= 100:
        return Answer(400, {"message": "per_page"})
    more = len(items) > size * page
    headers = {"Link": f'<{url}/next?page={page + 1}>; rel="next"'} if more else {}
    return Answer(200, items[size * (page - 1) : size * page], headers)
