"""HTTP/1.1 over TLS on 127.0.0.1: one thread a connection, and handshakes that keep nobody else waiting."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_IDLE_S = 120.0
"""How long a connection may be silent before its thread gives up."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in, or one item of a batch."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Decoded; of a name that is there twice, the last value."""
    raw_query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    in_batch: bool = False

    @property
    def host(self) -> str:
        """Return the host that the client thinks it speaks to, with the port."""
        return self.headers.get("host", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A body of bytes goes out as it is, everything else as JSON."""

    status: int
    body: Any = None
    """None: no body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Promise the whole body, send half of it and hang up."""

    def content(self) -> bytes:
        """Return the body as it goes out."""
        return b"" if self.body is None else self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


def asked(method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, in_batch: bool = False) -> Asked:
    """Take a request's target (path and query) apart."""
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    lowered = {name.lower(): value for name, value in headers.items()}
    return Asked(method, unquote(parts.path), query, parts.query, lowered, body, in_batch)


class Server(ThreadingHTTPServer):
    """Answers with what a function says, on 127.0.0.1, from `start` to `stop`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, certificate: Path, answer: Callable[[Asked], Answer]) -> None:
        """Take a port (0 for any free one), a PEM file with key and certificate, and the function."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._workers: list[Thread] = []
        self._lock = Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._serving = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox-graph", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._serving.start()

    def stop(self) -> None:
        """End every connection and wait for their threads."""
        self.shutdown()
        with self._lock:
            for connection in self._open:
                # the plain shutdown: TLS's own would wait for the client to agree
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.server_close()
        self._serving.join()
        for thread in self._workers:
            thread.join()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept without a handshake: that is for the connection's own thread, since a client may never finish it."""
        plain, address = super().get_request()
        plain.settimeout(_IDLE_S)
        return self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the type that socketserver gives it
        """Start a thread for a connection."""
        with self._lock:
            self._open.add(request)
        thread = Thread(target=self.process_request_thread, args=(request, client_address), name="sandbox-graph-connection", daemon=True)
        self._workers = [each for each in self._workers if each.is_alive()] + [thread]
        thread.start()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 -- the type that socketserver gives it
        """Close a connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- the type that socketserver gives it
        """Say nothing about clients that hang up, or refuse our certificate."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.answer(asked(self.command, self.path, dict(self.headers), body))
        content = answer.content()
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(content))}
        phrase = HTTPStatus(answer.status).phrase
        lines = [f"HTTP/1.1 {answer.status} {phrase}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.wfile.write(head + (content[: len(content) // 2] if answer.cut else content))
        self.close_connection |= answer.cut

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 -- the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's own name
        """Say nothing: `SandboxGraph.requests` has it all."""
