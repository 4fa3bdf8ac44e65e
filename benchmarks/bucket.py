"""What every stub needs: a rate that it allows, a count of what it was asked, and an end when the benchmark ends."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Bucket:
    """So many units a second, with room for `seconds` seconds' worth; a rate of 0 lets everything through."""

    def __init__(self, rate: float, seconds: float = 1) -> None:
        self._rate = rate
        self._room = self._left = rate * seconds
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, cost: float = 1) -> bool:
        """Whether so much more may be answered now."""
        if not self._rate:
            return True
        with self._lock:
            now = time.monotonic()
            self._left = min(self._room, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < cost:
                return False
            self._left -= cost
            return True


class Calls:
    """Counts by operation, with `bytes` of answers and `throttled` calls; `units:OPERATION` is what a quota counts."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, counts: Mapping[str, float]) -> None:
        """Add some counts."""
        with self._lock:
            self._counts.update(counts)

    def taken(self) -> bytes:
        """Give the counts as JSON, and begin again."""
        with self._lock:
            written = json.dumps(self._counts).encode()
            self._counts.clear()
        return written


def serve_until_told(settings: Mapping[str, object], calls: Calls) -> None:
    """Print the settings as one JSON line with the address of the counts (`calls`), and wait until standard input closes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = calls.taken()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said = {**settings, "calls": f"http://127.0.0.1:{server.server_port}"}
    print(json.dumps(said), flush=True)  # noqa: T201 - how the parent learns the addresses
    sys.stdin.read()
