"""Every test here is a contract test too: what a desk sends over HTTP, and what it is answered, is held against the description of its tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.desks.contracts import FILES, contract
from tests.desks.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def wrongs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What breaks a contract; a test that leaves any here has found a fault."""
    wrong: list[str] = []
    send = httpx.HTTPTransport.handle_request

    def watched(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        kind = Served.kinds.get(request.url.port or 0, "")
        if kind not in FILES:
            return send(transport, request)
        held = contract(kind)
        wrong.extend(held.of_request(request))
        answer = send(transport, request)
        answer.read()
        wrong.extend(held.of_answer(request, answer))
        return answer

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", watched)
    yield wrong
    assert wrong == []
