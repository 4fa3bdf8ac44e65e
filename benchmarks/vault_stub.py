"""A real OpenBao server with so many tokens; what it is asked is counted from its own audit log."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.bucket import Calls, serve_until_told
from benchmarks.truth import TOKENS_A_ROLE
from connectors.vault import policy_hcl
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from pathlib import Path

_ID = re.compile(r"/(role|id|acl)/[^/]+")


class Audited(Calls):
    """Counts the requests in an audit log since it was last read."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log
        self._read = log.stat().st_size

    def taken(self) -> bytes:
        """Give the counts as JSON, and begin again."""
        counts: Counter[str] = Counter()
        with self._log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                entry = json.loads(line)
                if entry["type"] == "request":
                    asked = entry["request"]
                    path = _ID.sub(r"/\1/*", asked["path"])
                    counts[f"{asked['operation']} {path}"] += 1
                counts["bytes"] += len(line) if entry["type"] == "response" else 0
            self._read = file.tell()
        return json.dumps(counts).encode()


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    count = parser.parse_args().tokens
    with SandboxVault() as server:
        server.enable_auth("approle")
        client = server.client()
        for _ in range(count):
            client.auth.token.create(policies=["default"], no_parent=True, ttl="24h", display_name="bench")
        for number in range(count // TOKENS_A_ROLE):
            server.approle(f"role-{number}")
            server.secret_id(f"role-{number}")
        environment = {"VAULT_TOKEN": server.reader_token(policy_hcl())}
        calls = Audited(server.audit_log)
        serve_until_told({"source": {"name": "vault", "address": server.address}, "environment": environment}, calls)


if __name__ == "__main__":
    main()
