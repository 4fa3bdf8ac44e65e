"""The REST side of the local Google Cloud: HTTP/1.1 with connections that stay open."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from sandbox.gcp.refusal import Json


class Answering(Protocol):
    """Whoever answers: takes verb, path without the leading slash, query and body; gives status, headers and body."""

    def rest_answer(
        self, verb: str, path: str, query: Sequence[tuple[str, str]], body: Json | bytes | None, bearer: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer one request."""


class RestServer:
    """A server on 127.0.0.1 until it is closed; closing ends the open connections too."""

    def __init__(self, answering: Answering, port: int, tls: ssl.SSLContext | None) -> None:
        self._server = _Server(("127.0.0.1", port), _handler(answering))
        if tls is not None:
            # The handshake is the connection's own thread's work, so that a silent client holds up nobody.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox-gcp-rest", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end every connection, and wait until no thread is left."""
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._lock = Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:  # noqa: ANN401 -- the library's signature
        with self._lock:
            self._open.discard(request)
        super().close_request(request)

    def end_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _handler(answering: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement
        wbufsize = -1

        def handle(self) -> None:
            with suppress(OSError):  # either side ended the connection
                super().handle()

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()

        def _answer(self) -> None:
            address = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = parse_qsl(address.query, keep_blank_values=True)
            status, headers, body = answering.rest_answer(
                self.command, unquote(address.path).lstrip("/"), query, _parsed(raw), self.headers.get("Authorization", "")
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 -- the library's names

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401 -- the library's signature
            """Stay quiet."""

    return Handler


def _parsed(raw: bytes) -> Json | bytes | None:
    """Read a body: a JSON object; bytes if it is none; None if there is no body."""
    if not raw:
        return None
    try:
        body = json.loads(raw)
    except ValueError:
        return raw
    return body if isinstance(body, dict) else raw
