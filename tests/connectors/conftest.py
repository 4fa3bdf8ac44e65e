"""A local Graph for the tests of the Azure connector: one server for each file, a tenant of its own for each test."""

from collections.abc import Iterator
from itertools import count
from uuid import UUID

import pytest

from sandbox.graph import SandboxGraph, SandboxTenant
from sandbox.graph.contract import Contract

_tenants = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxGraph]:
    with SandboxGraph(contract=Contract.found()) as graph:
        yield graph


@pytest.fixture
def graph(server: SandboxGraph) -> Iterator[SandboxGraph]:
    server.heal()
    server.clear()
    yield server
    assert (server.broken_requests, server.broken_answers) == ([], [])


@pytest.fixture
def tenant(graph: SandboxGraph) -> SandboxTenant:
    made = graph.tenant(str(UUID(int=next(_tenants), version=4)))
    made.azure.subscription("prod")
    return made
