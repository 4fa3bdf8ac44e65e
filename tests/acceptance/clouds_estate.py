"""Halden Marine, an invented customer on all four clouds: seeded by somebody who only read the design."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from clouds_aws import Nimbus
from clouds_entra import Entra
from clouds_gcp import Google
from clouds_programme import FLEET, SUBSIDIARY, TENANT, Addresses, Notes
from clouds_vault import Safe

from sandbox.aws import SandboxAws
from sandbox.gcp import SandboxGcp
from sandbox.gcp.contract import Contract as GcpContract
from sandbox.graph import SandboxGraph
from sandbox.graph.contract import Contract as GraphContract
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType

graph_contract = functools.cache(GraphContract.found)
gcp_contract = functools.cache(GcpContract.read)
CLIENT, CLIENT_SECRET = "c11e0000-0000-4000-8000-000000000001", "a-secret-of-the-sandbox"


@dataclass(slots=True)
class Clouds:
    """The stand-ins: each tenant has a Graph of its own, so that what goes wrong with one leaves the others alone."""

    aws: SandboxAws
    graph: SandboxGraph
    graph_sub: SandboxGraph
    graph_fleet: SandboxGraph
    gcp: SandboxGcp
    vault: SandboxVault


class Halden:
    """The estate: running inside a `with` block, with what has to be found in it."""

    def __init__(self, now: datetime) -> None:
        self.notes = Notes(now)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            graph, sub, fleet = (self._stack.enter_context(SandboxGraph(contract=graph_contract())) for _ in range(3))
            aws = self._stack.enter_context(SandboxAws())
            gcp = self._stack.enter_context(SandboxGcp(contract=gcp_contract()))
            self.clouds = Clouds(aws, graph, sub, fleet, gcp, self._stack.enter_context(SandboxVault()))
            self._seed()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _seed(self) -> None:
        clouds, notes = self.clouds, self.notes
        tenants = []
        for graph, tenant_id in ((clouds.graph, TENANT), (clouds.graph_sub, SUBSIDIARY), (clouds.graph_fleet, FLEET)):
            tenant = graph.tenant(tenant_id)
            tenant.readers[CLIENT] = CLIENT_SECRET
            tenant.microsoft_graph()
            tenants.append(Entra(tenant, notes))
        notes.unclear.add(("own-identities", f"azure:{TENANT}:caller/application {CLIENT}"))  # registered in none of the tenants
        tenants[0].main()
        tenants[1].subsidiary()
        tenants[2].fleet()
        Google(clouds.gcp, notes).seed()
        self.nimbus = Nimbus(clouds.aws, notes)
        self.nimbus.seed()
        self.safe = Safe(clouds.vault, notes)
        self.token = self.safe.seed()
        clouds.graph_sub.deny("/v1.0/oauth2PermissionGrants")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to read the estate."""
        azure = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": CLIENT_SECRET}
        return {**self.clouds.aws.environment, **azure, "VAULT_TOKEN": self.token}

    @property
    def addresses(self) -> Addresses:
        """Where the stand-ins are."""
        clouds = self.clouds
        graphs = tuple((graph.address, str(graph.ca)) for graph in (clouds.graph, clouds.graph_sub, clouds.graph_fleet))
        return Addresses(
            clouds.aws.endpoint, graphs, clouds.gcp.endpoint, clouds.gcp.rest, clouds.vault.address, str(clouds.vault.audit_log)
        )
