"""The four clouds that the estate lies in, and a time-stamping authority, started together."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.errors import CountersignError
from sandbox.aws import SandboxAws
from sandbox.gcp import SandboxGcp
from sandbox.graph import SandboxGraph
from sandbox.tsa import SandboxTsa
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.gcp.contract import Contract as GcpContract
    from sandbox.graph.contract import Contract as GraphContract


@dataclass(frozen=True, slots=True)
class Clouds:
    """All of them, running."""

    aws: SandboxAws
    vault: SandboxVault
    graph: SandboxGraph
    gcp: SandboxGcp
    tsa: SandboxTsa


@contextmanager
def running(port_base: int = 0, *, graph: GraphContract | None = None, gcp: GcpContract | None = None) -> Iterator[Clouds]:
    """Start them all, empty, for a `with` block.

    AWS listens on `port_base`, and Vault, Graph, Google's gRPC and REST and the time-stamping authority on the ports after it; 0: on any
    free ones.
    Requests, answers and seeds are checked against the contracts that are given. Raises CountersignError.
    """
    at = _ports(port_base) if port_base else (0,) * 6
    with ExitStack() as stack, ThreadPoolExecutor(1) as beside:
        # Vault is another process, and Google's libraries take seconds to load: both have time while the rest starts.
        vault = SandboxVault(port=at[1] or None)
        stack.callback(vault.close)
        starting = beside.submit(vault.__enter__)
        clouds = Clouds(
            stack.enter_context(SandboxAws(at[0])),
            vault,
            stack.enter_context(SandboxGraph(contract=graph, port=at[2])),
            stack.enter_context(SandboxGcp(contract=gcp, port=at[3])),
            stack.enter_context(SandboxTsa(port=at[5])),
        )
        starting.result()
        yield clouds


def _ports(base: int) -> tuple[int, ...]:
    """Give the ports from `base` on. Raises CountersignError where one is in use, before anything has started."""
    ports = tuple(range(base, base + 6))
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise CountersignError(
                    f"the clouds cannot listen on port {port}: {error.strerror}", fix="name another base for their six ports"
                ) from error
    return ports
