"""What goes wrong on demand: throttling, denied paths, slow answers and answers that make no sense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Literal

from sandbox.graph import odata
from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from sandbox.graph.wire import Asked

How = Literal["not-json", "truncated", "cut", "500", "503-once", "next-itself", "next-elsewhere", "wrong-types"]


@dataclass(slots=True)
class _Throttle:
    prefix: str
    every: int
    retry_after: int | None
    items: bool
    seen: int = 0


@dataclass(slots=True)
class _Broken:
    prefix: str
    how: How
    times: int | None
    """How many answers are still to be broken; None: all."""


class Faults:
    """Each fault holds for paths that begin with a text, in which `*` stands for anything (`/v1.0/applications/*/owners`)."""

    def __init__(self) -> None:
        self._throttles: list[_Throttle] = []
        self._denied: list[str] = []
        self._slow: list[tuple[str, float]] = []
        self._broken: list[_Broken] = []
        self._refused: list[tuple[str, str]] = []
        self._ignored: list[tuple[str, str]] = []
        self._lock = Lock()
        self.closing = Event()
        """Set when the server stops: nobody waits any more."""

    def throttle(self, every: int, *, prefix: str = "/", retry_after: int | None = 1, items: bool = False) -> None:
        """Answer every n-th request with 429 (with `items`, every n-th item of a batch); `retry_after` None leaves the header out."""
        self._throttles.append(_Throttle(prefix, every, retry_after, items))

    def deny(self, prefix: str) -> None:
        """Refuse paths with 403, whatever the permissions are."""
        self._denied.append(prefix)

    def slow(self, seconds: float, *, prefix: str = "/") -> None:
        """Let answers take longer."""
        self._slow.append((prefix, seconds))

    def break_answer(self, prefix: str, how: How, *, times: int | None = None) -> None:
        """Spoil good answers, all of them or the next few."""
        self._broken.append(_Broken(prefix, how, 1 if how == "503-once" else times))

    def refuse_writes(self, prefix: str, *, method: str = "*") -> None:
        """Refuse changes with 403, whatever the permissions are; `method` is one of HTTP's, `*` for all."""
        self._refused.append((method, prefix))

    def ignore_writes(self, prefix: str, *, method: str = "*") -> None:
        """Answer changes as if they were made, and make none."""
        self._ignored.append((method, prefix))

    def heal(self) -> None:
        """Take back every fault."""
        self._refused.clear()
        self._ignored.clear()
        self._throttles.clear()
        self._denied.clear()
        self._slow.clear()
        self._broken.clear()

    def denied(self, asked: Asked) -> bool:
        """Say whether a path is refused."""
        return any(_covers(prefix, asked.path) for prefix in self._denied)

    def write_refused(self, asked: Asked) -> bool:
        """Say whether a change is refused."""
        return self.denied(asked) or _named(self._refused, asked)

    def write_ignored(self, asked: Asked) -> bool:
        """Say whether a change is only said to be made."""
        return _named(self._ignored, asked)

    def before(self, asked: Asked) -> Answer | None:
        """Wait where answers are slow; return the 429 where this request is one too many."""
        waits = sum(seconds for prefix, seconds in self._slow if _covers(prefix, asked.path) and not asked.in_batch)
        if waits:
            self.closing.wait(waits)
        with self._lock:
            for each in self._throttles:
                if each.items == asked.in_batch and _covers(each.prefix, asked.path):
                    each.seen += 1
                    if each.seen % each.every == 0:
                        headers = {} if each.retry_after is None else {"Retry-After": str(each.retry_after)}
                        body = {"error": {"code": "TooManyRequests", "message": "Too many requests.", "innerError": {}}}
                        return Answer(429, body, headers)
        return None

    def after(self, asked: Asked, answer: Answer) -> Answer:
        """Return an answer, spoilt where it should be."""
        with self._lock:
            for each in self._broken:
                if _covers(each.prefix, asked.path) and each.times != 0:
                    each.times = None if each.times is None else each.times - 1
                    return _spoilt(asked, answer, each.how)
        return answer


def _named(faults: list[tuple[str, str]], asked: Asked) -> bool:
    return any(method in {"*", asked.method} and _covers(prefix, asked.path) for method, prefix in faults)


def _covers(prefix: str, path: str) -> bool:
    return fnmatchcase(path, prefix.replace("[", "[[]") + "*")


def _spoilt(asked: Asked, answer: Answer, how: How) -> Answer:  # noqa: PLR0911 -- one for each way
    if how == "not-json":
        return Answer(200, b"<html><body>Our services aren't available right now</body></html>", {"Content-Type": "text/html"})
    if how == "truncated":
        content = answer.content()
        return replace(answer, body=content[: len(content) // 2])
    if how == "cut":
        return replace(answer, cut=True)
    if how in {"500", "503-once"}:
        status, code = (500, "InternalServerError") if how == "500" else (503, "serviceNotAvailable")
        return Answer(status, {"error": {"code": code, "message": "The service is in trouble.", "innerError": {}}})
    if how == "wrong-types":
        return replace(answer, body=_wrong(answer.body))
    if isinstance(answer.body, dict) and "data" in answer.body:
        return replace(answer, body={**answer.body, "$skipToken": odata.token(0)})
    # the other host is this server by another name, so that whoever follows is seen in `requests`, with or without a token
    host = asked.host if how == "next-itself" else asked.host.replace("127.0.0.1", "localhost")
    link = f"https://{host}{asked.path}" + (f"?{asked.raw_query}" if asked.raw_query else "")
    body = answer.body if isinstance(answer.body, dict) else {}
    return replace(answer, body={**body, "nextLink" if "nextLink" in body else "@odata.nextLink": link})


def _wrong(body: Any) -> Any:  # noqa: ANN401 -- any JSON value
    """Give each value of each object another type than it has; the last object becomes a text."""
    if not isinstance(body, dict):
        return body
    for name in ("value", "data"):
        if isinstance(body.get(name), list):
            return {**body, name: [*(_wrong_object(each) for each in body[name][:-1]), "not an object"]}
    return _wrong_object(body)


def _wrong_object(found: Any) -> Any:  # noqa: ANN401 -- any JSON value
    if not isinstance(found, dict):
        return 7
    return {key: value if key.startswith("@") else _wrong_value(value) for key, value in found.items()}


def _wrong_value(value: object) -> object:
    if isinstance(value, bool):
        return "yes"
    if isinstance(value, str):
        return 7
    if isinstance(value, list):
        return [7, None, "text"] if value else "none"
    return {} if value is None else []
