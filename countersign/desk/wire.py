"""Requests to a tracker over HTTP, and what their answers mean: done, surely not done, or lost.

Sources: RFC 9110 (codes, `Retry-After`), RFC 8288 (`Link`); GitHub's limits, which also come as a 403 that names the time to come back.
"""

from __future__ import annotations

import os
import ssl
import weakref
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from countersign.clock import instant
from countersign.desk import AnswerLostError, DeskBusyError, DeskError, DeskRefusedError, TicketGoneError
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from countersign.pace import Budget, Quota

TIMEOUT_S = 60.0
KEPT_S = 1.0
"""How long a connection that nobody uses is kept; servers keep theirs for 5 seconds and more."""
PATIENCE_S = 120.0
"""Longer than this one request does not wait in all for a server that says that it is busy."""
SPENT_S = 60.0
"""Longer than this no request waits for a quota of changes that is spent."""
BUSY_S = 5.0
"""Wait after a 429 that does not say how long."""
MOST_PAGES = 1000
SAID = 300
"""Characters of a server's own words that an error repeats."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
_OTHERS = 0o077
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_CONFIGURED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""Codes that say that we are set up wrongly, unless they are about one ticket."""


class Wire:
    """Speaks to one server with one token; safe to share between threads, not between processes.

    `url` is where people open it, `api` what the paths of its API begin with, `sign` makes the headers that bear the token.
    A write costs `write_cost` of the budget, a read 1. `writes` counts the writes besides; None: they are limited by the budget alone.
    """

    def __init__(  # noqa: PLR0913 - what it takes to reach a server
        self,
        url: str,
        api: str,
        *,
        token_from: str,
        ca: str | None,
        sign: Callable[[str], Mapping[str, str]],
        pace: Budget,
        write_cost: float = 1,
        writes: Quota | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._api = api
        self._ca = ca
        self._token_from = token_from
        self._token: str | None = None
        self._sign = sign
        self._pace = pace
        self._write_cost = write_cost
        self._writes = writes

    @cached_property
    def _client(self) -> httpx.Client:
        try:
            trust = True if self._ca is None else ssl.create_default_context(cafile=self._ca)
        except OSError as error:  # ssl.SSLError is one
            raise DeskRefusedError(f"the authorities in {self._ca} cannot be read: {error.strerror or error}") from error
        # A connection is used again only at once: one that the server is just closing would lose the answer of a create.
        soon = httpx.Limits(keepalive_expiry=KEPT_S)
        client = httpx.Client(base_url=f"{self.url}{self._api}/", timeout=TIMEOUT_S, verify=trust, limits=soon, follow_redirects=False)
        weakref.finalize(self, client.close)
        return client

    def token(self) -> str:
        """Return the token; raises DeskRefusedError when it is not where the settings say, or others can read it."""
        if self._token is None:
            self._token = read_token(self._token_from)
        return self._token

    def get(self, path: str, parameters: Mapping[str, Any] | None = None, *, of_ticket: bool = False) -> dict[str, Any]:
        """Return an object. `of_ticket`: that it is not there, or hidden, concerns this one alone."""
        return an_object(self.send("GET", path, of_ticket=of_ticket, params=parameters))

    def pages(self, path: str, parameters: Mapping[str, Any], *, per_page: int, of_ticket: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing that counts its pages from 1 and names the next one in `Link`, as GitHub and GitLab do."""
        for page in range(1, MOST_PAGES + 1):
            answer = self.send("GET", path, of_ticket=of_ticket, params={**parameters, "per_page": per_page, "page": page})
            items = json_of(answer)
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise DeskError(f"{self.url} gave a listing of something else than objects")
            yield from items
            if not items or "next" not in answer.links:
                return
        raise DeskError(f"{self.url} gave more than {MOST_PAGES} pages for {path}")

    def write(self, method: str, path: str, content: Mapping[str, object], *, of_ticket: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Send a change, once; None when there is nothing to say of it. Raises AnswerLostError when it may have happened all the same."""
        answer = self.send(method, path, of_ticket=of_ticket, json=dict(content))
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise AnswerLostError(f"{self.url} answered {path} with something else than JSON") from error

    def send(
        self,
        method: str,
        path: str,
        *,
        of_ticket: bool = False,
        passes: Collection[int] = (),
        **rest: Any,  # noqa: ANN401 - as httpx has it
    ) -> httpx.Response:
        """Send one request and return its answer, which is a success or one of the codes that `passes` names."""
        reads = method == "GET"
        headers = {**self._sign(self.token()), **rest.pop("headers", {})}
        waited = 0.0
        while True:
            self._pace.take(1 if reads else self._write_cost)
            left = 0.0 if reads or self._writes is None else self._writes.take(SPENT_S)
            if left:
                raise DeskBusyError(f"{self.url} was sent as many changes as it allows, and takes the next in {left:.0f} seconds")
            try:
                answer = self._client.request(method, path, headers=headers, **rest)
            except _NOT_SENT as error:
                raise DeskError(f"{self.url} cannot be reached: {inert(str(error))[:SAID]}") from error
            except httpx.HTTPError as error:
                kind = DeskError if reads else AnswerLostError
                raise kind(f"the answer of {self.url} was lost: {type(error).__name__}") from error
            wait = busy_for(answer)
            if wait is None:
                break
            # It says that it did nothing, so that even a create may be sent again.
            waited += wait
            if waited > PATIENCE_S:
                raise DeskBusyError(f"{self.url} is busy ({answer.status_code}) and asks for {wait:.0f} more seconds")
            self._pace.hold(wait)
        if not answer.is_success and answer.status_code not in passes:
            self._judge(answer, reads=reads, of_ticket=of_ticket)
        return answer

    def _judge(self, answer: httpx.Response, *, reads: bool, of_ticket: bool) -> None:
        code, path = answer.status_code, answer.request.url.path
        shown = path.partition(self._api)[2] if self._api else path
        what = f"{self.url} answered {code} to {answer.request.method} {shown}: {_said(answer)}"
        if answer.is_server_error:
            raise DeskError(what) if reads else AnswerLostError(what)
        if answer.is_redirect and not of_ticket:
            raise DeskRefusedError(f"{what}; is `url` the address of the tracker itself?")
        if of_ticket and code in _GONE:
            raise TicketGoneError(what)
        concerns_all = code == HTTPStatus.UNAUTHORIZED or (not of_ticket and code in _CONFIGURED)
        raise DeskRefusedError(what) if concerns_all else DeskError(what)


def read_token(where: str, what: str = "token") -> str:
    """Read the token (or what else is as secret) that `env:NAME` or `file:PATH` names; raises DeskRefusedError, which never repeats it."""
    kind, _, name = where.partition(":")
    if kind == "env":
        text = os.environ.get(name, "")
        if not text.strip():
            raise DeskRefusedError(f"the environment variable {name} holds no {what}")
    else:
        try:
            if Path(name).stat().st_mode & _OTHERS:
                raise DeskRefusedError(f"{name} can be read by others than its owner", fix=f"chmod 600 {name}")
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeskRefusedError(f"the {what} in {name} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    token = text.strip()
    if not (token.isascii() and token.isprintable() and " " not in token and token):
        raise DeskRefusedError(f"what {name} holds is no {what}")
    return token


def json_of(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """Return what was read; raises DeskError when it is no JSON."""
    try:
        return answer.json()
    except ValueError as error:
        raise DeskError(f"{answer.request.url.host} answered with something else than JSON") from error


def an_object(answer: httpx.Response) -> dict[str, Any]:
    """Return the object that was read; raises DeskError when it is none."""
    found = json_of(answer)
    if not isinstance(found, dict):
        raise DeskError(f"{answer.request.url.host} answered with something else than an object")
    return found


def time_of(value: object, tracker: str) -> datetime:
    """Read a time that a tracker told, as UTC; raises DeskError, which names the tracker, when it is none."""
    try:
        return instant(str(value))
    except ValueError as error:
        raise DeskError(f"{tracker} gave a time that is none: {inert(str(value))[:40]!r}") from error


def busy_for(answer: httpx.Response) -> float | None:
    """Seconds that a server asks us to wait before the same request may be sent again; None: it did not refuse for haste."""
    spent = answer.headers.get("X-RateLimit-Remaining") == "0"
    if answer.status_code == HTTPStatus.FORBIDDEN and not spent and "Retry-After" not in answer.headers:
        return None
    if answer.status_code not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN}:
        return None
    return retry_after(answer)


def retry_after(answer: httpx.Response) -> float:
    """Seconds to wait, by the `Retry-After` header in either of its forms (RFC 9110, 10.2.3), else by GitHub's `X-RateLimit-Reset`."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    since = _date(answer.headers.get("Date", "")) or datetime.now(UTC)
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if not text and reset.isascii() and reset.isdigit():
        return max(0.0, float(reset[:12]) - since.timestamp())
    until = _date(text)
    return BUSY_S if until is None else max(0.0, (until - since).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _said(answer: httpx.Response) -> str:
    """Return a server's own words for why it refused, by the names that trackers give them."""
    try:
        said = answer.json()
    except ValueError:
        said = None
    names = ("message", "error", "errorMessages", "errors")
    words = next((said[name] for name in names if said.get(name)), None) if isinstance(said, dict) else None
    words = words.get("message", words) if isinstance(words, dict) else words
    return inert(str(words))[:SAID] if words else answer.reason_phrase
