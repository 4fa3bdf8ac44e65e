"""A server in front of the sandbox Vault that passes calls on, except those that a test tells it to spoil."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Literal, Self

import requests

if TYPE_CHECKING:
    from types import TracebackType

How = Literal["refuse", "ignore", "cut", "lose"]
"""`refuse`: 403 and nothing done; `ignore`: 204 and nothing done; `cut`: the connection ends before anything is done; `lose`: it is done,
and the connection ends before the answer."""
_TIMEOUT_S = 30
_ANSWERS = {"refuse": (403, b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}'), "ignore": (204, b"")}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to the calls of one method whose path begins so."""

    method: str
    path: str
    how: How
    times: int | None


class VaultFront:
    """The way to a real server, for as long as a `with` block lasts; what is to go wrong is said with `spoil`."""

    def __init__(self, upstream: str) -> None:
        """Take the address of the server behind."""
        self.upstream = upstream
        """Address of the server behind."""
        self._faults: list[Fault] = []
        self._lock = Lock()
        self.calls: list[tuple[str, str]] = []
        """(method, path below /v1/) of every call that came in, in order."""
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between us and 127.0.0.1
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="vault-front", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._session.close()

    def spoil(self, method: str, path: str, how: How, *, times: int | None = None) -> None:
        """Spoil calls of a method whose path below /v1/ begins so: the next `times`, or all."""
        with self._lock:
            self._faults.append(Fault(method, path, how, times))

    def heal(self) -> None:
        """Pass everything on again, and forget the calls."""
        with self._lock:
            self._faults.clear()
            self.calls.clear()

    def fate(self, method: str, path: str) -> How | None:
        """Note a call, and say what is to become of it; None: it is passed on."""
        with self._lock:
            self.calls.append((method, path))
            for place, fault in enumerate(self._faults):
                if fault.method == method and path.startswith(fault.path):
                    if fault.times is not None:
                        left = Fault(fault.method, fault.path, fault.how, fault.times - 1)
                        self._faults[place : place + 1] = [left] if left.times else []
                    return fault.how
        return None

    def passed_on(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Ask the server behind."""
        answer = self._session.request(method, self.upstream + path, data=body, headers=headers, timeout=_TIMEOUT_S)
        return answer.status_code, answer.content


def _handler(front: VaultFront) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: in two, the second waits 40 ms for an acknowledgement

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            how = front.fate(self.command, self.path.partition("?")[0].removeprefix("/v1/"))
            if how == "cut":
                self.close_connection = True
                return
            if how in _ANSWERS:
                status, said = _ANSWERS[how]
            else:
                sent = {name: value for name, value in self.headers.items() if name.lower().startswith(("x-vault", "content-type"))}
                status, said = front.passed_on(self.command, self.path, body, sent)
            if how == "lose":
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:  # noqa: PLR2004 - RFC 9110: no content, and no length
                self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_LIST = do_SCAN = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Handler
