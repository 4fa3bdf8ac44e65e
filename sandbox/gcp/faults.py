"""What goes wrong on demand: refused permissions, switched-off APIs, throttling, slowness and broken answers."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Literal

from sandbox.gcp.refusal import Json, Refused, api_disabled, denied, throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sandbox.gcp.operations import Operation

Break = Literal["page-token-repeats", "never-ends", "empty-page", "not-json", "wrong-type", "unknown-enum", "missing-id", "unavailable"]
"""How an answer is broken: every page gives the same next token (1), a new one for ever (2), or a first page holds nothing but
a token, which Google allows (3); a body that is not of the protocol (4) or JSON that is a list (5; REST); an enum value that
nobody knows yet (6); rows without their identifier (7); UNAVAILABLE (8)."""

UNKNOWN_ENUM = 99
"""The number that gRPC sends for `unknown-enum`; REST sends a name."""
_ENUMS = ("keyType", "keyOrigin", "stage", "mode")
"""Fields that are enums on both wires; `state` is a text in Cloud Asset's messages."""
_IDENTIFIERS = ("uniqueId", "uid", "fullResourceName", "resource", "name", "projectId")


@dataclass(slots=True)
class _Broken:
    kind: Break
    name: str
    left: int | None

    def due(self, operation: Operation, asked: Json, kinds: Iterable[Break]) -> bool:
        if self.kind not in kinds or self.left == 0 or not _named(self.name, operation, asked):
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass(slots=True)
class Faults:
    """What is switched on; a new one is empty."""

    denied: set[tuple[str, str]] = field(default_factory=set)
    """(project id, `organizations/N` or `*`; operation, permission, API or `*`)."""
    disabled: set[tuple[str, str]] = field(default_factory=set)
    """(project id or `*`; API)."""
    throttle: tuple[int, float | None, str] | None = None
    """Every how manieth call, seconds to wait or None, operation or `*`."""
    slow: list[tuple[float, str]] = field(default_factory=list)
    broken: list[_Broken] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    """Operations that answer as if they had been carried out, and are not."""
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What somebody else does just before an operation is carried out, once."""
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: Lock = field(default_factory=Lock)

    def break_answer(self, kind: Break, name: str, times: int | None) -> None:
        """Break answers of an operation (or `*`), so many times, or for good if None."""
        self.broken.append(_Broken(kind, name, times))

    def before(self, operation: Operation, asked: Json, scope: tuple[str, str], stopping: Event) -> None:
        """Hold up or refuse a call before it is answered; `scope` is (id, number) of the project, or `organizations/N` twice."""
        for seconds, name in self.slow:
            if _named(name, operation, asked):
                stopping.wait(seconds)
        with self._lock:
            if any(broken.due(operation, asked, ("unavailable",)) for broken in self.broken):
                raise Refused("UNAVAILABLE", "The service is currently unavailable.")
            if self.throttle is not None and _named(self.throttle[2], operation, asked) and next(self._count) % self.throttle[0] == 0:
                raise throttled(operation.api, self.throttle[1])
        if {(scope[0], operation.api), ("*", operation.api)} & self.disabled:
            raise api_disabled(operation.api, scope[1])
        if any(whose in {scope[0], "*"} and _named(name, operation, asked) for whose, name in self.denied):
            resource = str(asked.get(operation.parameter or "parent") or asked.get("parent") or "")
            raise denied(operation.needs(asked), resource or scope[0])

    def interfere(self, operation: Operation) -> None:
        """Let somebody else go first, where that was asked for."""
        act = self.meanwhile.pop(operation.method, None)
        if act is not None:
            act()

    def after(self, operation: Operation, asked: Json, answer: Json, *, by_grpc: bool) -> Json | bytes:
        """Break an answer, or give it back as it is; bytes are sent as they are."""
        with self._lock:
            due = [each.kind for each in self.broken if each.due(operation, asked, _AFTER)]
        if due:
            answer = copy.deepcopy(answer)
        for kind in due:
            match kind:
                case "not-json":
                    return b"\xff\xff\xff\xff" if by_grpc else b"<html><body>502 Bad Gateway</body></html>"
                case "wrong-type":
                    return b"\xff\xff\xff\xff" if by_grpc else b"[]"
                case "page-token-repeats":
                    answer["nextPageToken"] = asked.get("pageToken") or answer.get("nextPageToken") or _OURS
                case "never-ends":
                    answer["nextPageToken"] = f"{asked.get('pageToken', '')}{_OURS}"
                case "empty-page":
                    answer = answer if asked.get("pageToken") else {"nextPageToken": _OURS}
                case "unknown-enum":
                    new = dict.fromkeys(_ENUMS, UNKNOWN_ENUM) if by_grpc else dict.fromkeys((*_ENUMS, "state"), "NEW_VALUE")
                    _everywhere(answer, partial(_with_values, new))
                case "missing-id":
                    _everywhere(answer, _without_identifier)
        return answer


_AFTER: tuple[Break, ...] = ("page-token-repeats", "never-ends", "empty-page", "not-json", "wrong-type", "unknown-enum", "missing-id")
_OURS = "sandbox-"
"""Made-up page tokens are this, once or more; such a token asks for the first page."""


def _named(name: str, operation: Operation, asked: Json) -> bool:
    return name == "*" or name in operation.names or name == operation.needs(asked)


def without_made_up_token(asked: Json) -> Json:
    """Take a page token off a request that a broken answer made up."""
    token = str(asked.get("pageToken") or "")
    return {name: value for name, value in asked.items() if name != "pageToken" or token.replace(_OURS, "")}


def _everywhere(value: object, change: Callable[[Json], None]) -> None:
    """Apply a change to every object inside an answer."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict):
            change(inner)
        _everywhere(inner, change)


def _with_values(new: Json, row: Json) -> None:
    row.update({name: value for name, value in new.items() if name in row})


def _without_identifier(row: Json) -> None:
    for name in _IDENTIFIERS:
        if isinstance(row.get(name), str):
            del row[name]
            return
