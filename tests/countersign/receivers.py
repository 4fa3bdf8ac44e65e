"""Servers that take what Apprise sends: a JSON hook over HTTP and a mailbox over SMTP, with what they took."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Hook:
    """Messages by the last part of the path they were sent to."""

    port: int = 0
    took: list[tuple[str, str, str]] = field(default_factory=list)
    """To whom, title, text."""
    status: int = 200
    kills: int | None = None
    """Process that dies as soon as its message is here, before it has the answer."""

    def url(self, to: str) -> str:
        return f"json://127.0.0.1:{self.port}/{to}"

    def whom(self, about: str = "rotation-age") -> list[str]:
        return sorted(to for to, _, text in self.took if about in text)


@contextmanager
def hook() -> Iterator[Hook]:
    state = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if state.status == 200:
                state.took.append((unquote(self.path.strip("/")), said["title"], said["message"]))
            if state.kills is not None:
                os.kill(state.kills, signal.SIGKILL)
            self.send_response(state.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mailbox() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    """A port that speaks SMTP (RFC 5321) as far as a client needs, and the mails: recipient, subject, text."""
    mails: list[tuple[str, str, str]] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mailbox.example")
            to = ""
            while line := self.rfile.readline().decode().strip():
                verb = line.partition(" ")[0].upper()
                if verb == "RCPT":
                    to = line.partition("<")[2].partition(">")[0]
                if verb == "DATA":
                    self._say("354 go on")
                    mail = message_from_bytes(b"".join(iter(self.rfile.readline, b".\r\n")), policy=policy.default)
                    text = mail.get_body(("plain",))
                    mails.append((to, str(mail["Subject"]), "" if text is None else text.get_content()))
                self._say("221 bye" if verb == "QUIT" else "250 fine")
                if verb == "QUIT":
                    return

        def _say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
            thread.join()
