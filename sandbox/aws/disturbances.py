"""What goes wrong on demand: refusals, throttling, errors and broken answers, by account and operation."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, TypeVar

Broken = Literal["not-parseable", "cut", "empty", "wrong-type", "empty-page", "same-token", "endless"]
"""How an answer is broken: HTML instead of data; half of it; nothing, with status 200; text where its list belongs; a page
with nothing on it but a token, which is legal; one token again and again; a new token for ever."""
PERMISSIONS = {"accessanalyzer:ListFindingsV2": "accessanalyzer:ListFindings", "accessanalyzer:GetFindingV2": "accessanalyzer:GetFinding"}
"""Operations that ask for the permission of another [botocore's documentation of each]."""
EVERYWHERE = "*"


@dataclass(slots=True)
class Failure:
    """An error to answer; `code` None means the service's own code for throttling."""

    code: str | None
    message: str
    left: int | None
    """How many times more; None for always."""


@dataclass(slots=True)
class Break:
    """A way to break answers."""

    how: Broken
    left: int | None


Demand = TypeVar("Demand", Failure, Break)


@dataclass(slots=True)
class Limit:
    """At most so many calls within so many seconds."""

    calls: int
    seconds: float
    times: deque[float] = field(default_factory=deque)

    def exceeded(self) -> bool:
        """Count a call, and say whether it is one too many; a refused call does not count."""
        now = time.monotonic()
        while self.times and now - self.times[0] >= self.seconds:
            self.times.popleft()
        if len(self.times) >= self.calls:
            return True
        self.times.append(now)
        return False


@dataclass(slots=True)
class Disturbances:
    """Every demand so far, by (account or `*`, operation such as `iam:ListUsers`, `iam:*` or `*`)."""

    denied: set[tuple[str, str]] = field(default_factory=set)
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    breaks: dict[tuple[str, str], Break] = field(default_factory=dict)
    limits: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    ignored: set[tuple[str, str]] = field(default_factory=set)
    """Operations that are answered as if they had been done."""
    delays: dict[tuple[str, str], float] = field(default_factory=dict)
    """Seconds to wait before an answer."""
    pages: dict[str, int] = field(default_factory=dict)
    """Entries on a page at most, by operation."""
    _running: dict[tuple[str, str, str], Limit] = field(default_factory=dict)

    def is_denied(self, account: str, operation: str) -> bool:
        """Whether an operation, or the permission it asks for, is denied in an account."""
        return any(place in self.denied for place in (*places(account, operation), *places(account, permission(operation))))

    def is_ignored(self, account: str, operation: str) -> bool:
        """Whether an operation is answered and not done."""
        return any(place in self.ignored for place in places(account, operation))

    def failure(self, account: str, operation: str) -> Failure | None:
        """Take the next error meant for an operation; None when there is none."""
        return _take(self.failures, places(account, operation))

    def broken(self, account: str, operation: str) -> Broken | None:
        """Take the next way to break an operation's answer; None when there is none."""
        taken = _take(self.breaks, places(account, operation))
        return None if taken is None else taken.how

    def delay(self, account: str, operation: str) -> float:
        """Give the seconds an answer is to be kept back."""
        return next((self.delays[place] for place in places(account, operation) if place in self.delays), 0.0)

    def too_fast(self, account: str, operation: str, region: str) -> bool:
        """Count a call against its limit, which is each account's and each Region's own."""
        for place in places(account, operation):
            if place in self.limits:
                calls, seconds = self.limits[place]
                return self._running.setdefault((account, region, place[1]), Limit(calls, seconds)).exceeded()
        return False

    def calm(self) -> None:
        """Take back everything but denials and page sizes."""
        for demands in (self.failures, self.breaks, self.limits, self.delays, self.ignored, self._running):
            demands.clear()


def normal(operation: str) -> str:
    """Write an operation or permission with botocore's name of its service, as `accessanalyzer` for `access-analyzer`."""
    service, colon, action = operation.rpartition(":")
    return f"{service.replace('-', '')}{colon}{action}"


def permission(operation: str) -> str:
    """Give the permission an operation asks for, with botocore's name of its service."""
    return PERMISSIONS.get(operation, operation)


def places(account: str, operation: str) -> tuple[tuple[str, str], ...]:
    """Give where a demand on an operation may be written, the most exact first."""
    service, _, action = operation.partition(":")
    return tuple((whose, what) for whose in (account, EVERYWHERE) for what in (operation, action, f"{service}:*", EVERYWHERE))


def _take(demands: dict[tuple[str, str], Demand], where: tuple[tuple[str, str], ...]) -> Demand | None:
    for place in where:
        demand = demands.get(place)
        if demand is None:
            continue
        if demand.left is not None:
            demand.left -= 1
            if demand.left <= 0:
                del demands[place]
        return demand
    return None
