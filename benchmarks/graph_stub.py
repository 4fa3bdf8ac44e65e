"""A tenant of Microsoft Entra over TLS: the sandbox's Graph, with calls counted and Graph's quota of resource units kept."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from benchmarks.bucket import Bucket, Calls, serve_until_told
from benchmarks.estate import AS_OF, DAY
from sandbox.graph import SandboxGraph, SandboxTenant
from sandbox.graph.wire import Answer, Asked

if TYPE_CHECKING:
    from sandbox.graph.authority import Token

TENANT = "5c9d2a7e-1f3b-4e6a-9d40-7b8e2f6a1c30"
WINDOW_S = 10
"""Graph counts resource units over so many seconds (its page on throttling limits)."""
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SUBSCRIPTION = "/subscriptions/8d1f4c52-0a6e-4b7d-a3c9-2e5f7b9d1c40/resourceGroups/rg/providers"


def fill(tenant: SandboxTenant, count: int) -> None:
    """Put so many service principals into a tenant (a multiple of 1,000).

    Of ten, one is an application of the tenant's own with a secret, one a managed identity that is a resource of its own, one a managed
    identity of another resource, and seven are other tenants' applications.
    """
    for n in range(count):
        if n % 10 == 0:
            _own(tenant, n)
        elif n % 10 in {1, 2}:
            kind = "Microsoft.ManagedIdentity/userAssignedIdentities" if n % 10 == 1 else "Microsoft.Web/sites"
            tenant.managed_identity(f"mi-{n}", f"{_SUBSCRIPTION}/{kind}/mi-{n}")
        else:
            tenant.foreign(f"app-{n}", str(uuid5(UUID(TENANT), f"publisher {n % 40}")))
    for n in range(count // 100):
        tenant.guest(f"guest{n}@p00.example", AS_OF - 300 * DAY, last_sign_in=AS_OF - (1 + n % 100) * DAY)


def _own(tenant: SandboxTenant, n: int) -> None:
    secret = {
        "keyId": tenant.new_id("secret"), "displayName": None, "hint": "abc", "customKeyIdentifier": None, "secretText": None,
        "startDateTime": AS_OF - (10 + n % 400) * DAY, "endDateTime": AS_OF + (n % 700 - 20) * DAY,
    }  # fmt: skip
    made = tenant.application(f"own-{n}", AS_OF - 500 * DAY, passwordCredentials=[secret])
    tenant.signed_in(made.app_id, AS_OF - (1 + n % 200) * DAY)
    if n % 100 == 0:
        tenant.federated(made.id, "https://token.actions.githubusercontent.com", f"repo:bench/{n}:ref:refs/heads/main")
    if n % 1000 == 0:
        tenant.app_role(made.service_principal, "Application.ReadWrite.All", AS_OF - 100 * DAY)


class CountingGraph(SandboxGraph):
    """Counts calls and units, and answers 429 to what is above a rate of resource units; 0: no limit."""

    def __init__(self, rate: float, retry_s: int) -> None:
        super().__init__()
        self.calls = Calls()
        self._bucket = Bucket(rate / WINDOW_S, WINDOW_S)
        self._retry_s = retry_s

    def _answer(self, request: Asked) -> Answer:
        answer = super()._answer(request)
        self.requests.clear()
        answer = replace(answer, body=answer.content())
        counts = Counter({"bytes": len(answer.body)})
        if request.path == "/v1.0/$batch":
            counts["POST /$batch"] += 1
        elif not request.path.startswith(("/v1.0/", "/beta/")):
            counts["token" if "oauth2" in request.path or ".well-known" in request.path else f"arm {request.path}"] += 1
        self.calls.add(counts)
        return answer

    def _one(self, request: Asked, token: Token) -> Answer:
        answer = super()._one(request, token)
        if not request.path.startswith(("/v1.0/", "/beta/")):
            return answer
        units = float(answer.headers.get("x-ms-resource-unit", "1"))
        path = _GUID.sub("*", request.path).removeprefix("/v1.0")
        if not self._bucket.take(units):
            self.calls.add({"throttled": 1})
            body = {"error": {"code": "TooManyRequests", "message": "Too many requests."}}
            return Answer(429, body, {"Retry-After": str(self._retry_s)})
        if request.in_batch:
            self.calls.add({f"item {path}": 1, "units:POST /$batch": units})
        else:
            self.calls.add({f"GET {path}": 1, f"units:GET {path}": units})
        return answer


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--principals", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0, help="resource units in ten seconds; 0: no limit")
    parser.add_argument("--retry", type=int, default=10, help="seconds that a 429 asks to wait")
    asked = parser.parse_args()
    with CountingGraph(asked.rate, asked.retry) as cloud:
        tenant = cloud.tenant(TENANT)
        fill(tenant, asked.principals)
        address = cloud.address
        source = {
            "name": "entra", "tenant": TENANT, "graph": address, "authority": address, "management": address, "beta_reports": True,
            "ca": str(cloud.ca),
        }  # fmt: skip
        serve_until_told({"source": source, "environment": tenant.environment()}, cloud.calls)


if __name__ == "__main__":
    main()
