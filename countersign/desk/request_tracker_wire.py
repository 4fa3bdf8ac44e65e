"""Requests to Request Tracker's REST 2.0, and what their answers mean: done, surely not done, or lost.

Sources: RT::REST2 in RT 5.0 (https://docs.bestpractical.com/rt/5.0.3/RT/REST2.html), and what a real 5.0.3 answers.
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

from countersign.desk import AnswerLostError, DeskError, DeskRefusedError
from countersign.finding import inert
from countersign.pace import budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.programme import RequestTracker

RATE = 20.0
"""Requests per second, on average and at most at once: RT has no limit of its own, but it serves people too."""
TIMEOUT_S = 60.0
PATIENCE_S = 120.0
"""Longer than this one request does not wait in all for a server that says that it is busy."""
BUSY_S = 5.0
"""Wait after a 429 that does not say how long."""
PAGE = 100
"""Items to a page; RT gives no more."""
MOST_PAGES = 1000
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
_SAID = 300
"""Characters of a server's own words that an error repeats."""
_OTHERS = 0o077


class Wire:
    """Speaks to one server with one token; safe to share between threads, not between processes."""

    def __init__(self, settings: RequestTracker) -> None:
        self._url = settings.url.rstrip("/")
        self._ca = settings.ca
        self._token_from = settings.token_from
        self._token: str | None = None
        self._pace = budget("request_tracker", self._url, units=RATE, seconds=1)

    @cached_property
    def _client(self) -> httpx.Client:
        try:
            trust = True if self._ca is None else ssl.create_default_context(cafile=self._ca)
        except OSError as error:  # ssl.SSLError is one
            raise DeskRefusedError(f"the authorities in {self._ca} cannot be read: {error.strerror or error}") from error
        # Each request has its own connection: one that the server is just closing would lose an answer that there was none to.
        once = httpx.Limits(max_keepalive_connections=0)
        client = httpx.Client(base_url=f"{self._url}/REST/2.0/", timeout=TIMEOUT_S, verify=trust, limits=once, follow_redirects=False)
        weakref.finalize(self, client.close)
        return client

    def token(self) -> str:
        """Return the token; raises DeskRefusedError when it is not where the settings say, or others can read it."""
        if self._token is None:
            self._token = read_token(self._token_from)
        return self._token

    def get(self, path: str, *, of_ticket: bool = False, **parameters: str | int) -> tuple[dict[str, Any], str]:
        """Return an object and its ETag (empty: none). `of_ticket`: that it is not there, or hidden, concerns this one alone."""
        answer = self._send("GET", path, reads=True, of_ticket=of_ticket, params=parameters)
        return _object(answer), answer.headers.get("ETag", "")

    def pages(self, path: str, *, of_ticket: bool = False, **parameters: str | int) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing, page by page, until a page is empty: RT may not say how many pages there are."""
        for page in range(1, MOST_PAGES + 1):
            listing, _ = self.get(path, of_ticket=of_ticket, per_page=PAGE, page=page, **parameters)
            items = listing.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) and str(item.get("id")).isdecimal() for item in items):
                raise DeskError(f"{self._url} gave a listing of something else than numbered items")
            yield from items
            last = listing.get("pages")
            if not items or (isinstance(last, int | float) and page >= last):
                return
        raise DeskError(f"{self._url} gave more than {MOST_PAGES} pages for {path}")

    def post(self, path: str, content: Mapping[str, object], *, of_ticket: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Send something new, once; raises AnswerLostError when it may have happened all the same."""
        answer = self._send("POST", path, reads=False, of_ticket=of_ticket, json=dict(content))
        try:
            return answer.json()
        except ValueError as error:
            raise AnswerLostError(f"{self._url} answered {path} with something else than JSON") from error

    def put(self, path: str, changes: Mapping[str, object], etag: str) -> tuple[str, ...] | None:
        """Change an object that is still as it was read; return what RT says about each change (it says so of refusals too).

        None: somebody changed it meanwhile, and nothing was done (412).
        """
        headers = {"If-Match": etag} if etag else {}
        answer = self._send("PUT", path, reads=False, of_ticket=True, json=dict(changes), headers=headers)
        if answer.status_code == HTTPStatus.PRECONDITION_FAILED:
            return None
        try:
            said = answer.json()
        except ValueError:
            said = None
        return tuple(str(line) for line in said) if isinstance(said, list) else ()

    def _send(self, method: str, path: str, *, reads: bool, of_ticket: bool, **rest: Any) -> httpx.Response:  # noqa: ANN401 - as httpx has it
        headers = {"Authorization": f"token {self.token()}", "Accept": "application/json", **rest.pop("headers", {})}
        waited = 0.0
        while True:
            self._pace.take()
            try:
                answer = self._client.request(method, path, headers=headers, **rest)
            except _NOT_SENT as error:
                raise DeskError(f"{self._url} cannot be reached: {inert(str(error))[:_SAID]}") from error
            except httpx.HTTPError as error:
                kind = DeskError if reads else AnswerLostError
                raise kind(f"the answer of {self._url} was lost: {type(error).__name__}") from error
            if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                break
            # It says that it did nothing, so that even a create may be sent again.
            wait = _retry_after(answer)
            waited += wait
            if waited > PATIENCE_S:
                raise DeskError(f"{self._url} is busy (429) and asks for {wait:.0f} more seconds")
            self._pace.hold(wait)
        self._judge(answer, reads=reads, of_ticket=of_ticket)
        return answer

    def _judge(self, answer: httpx.Response, *, reads: bool, of_ticket: bool) -> None:
        code = answer.status_code
        if answer.is_success or (code == HTTPStatus.PRECONDITION_FAILED and not reads):
            return
        what = (
            f"{self._url} answered {code} to {answer.request.method} {answer.request.url.path.partition('/REST/2.0')[2]}: {_said(answer)}"
        )
        if answer.is_server_error:
            raise DeskError(what) if reads else AnswerLostError(what)
        if answer.is_redirect:
            raise DeskRefusedError(f"{what}; is `url` the address of Request Tracker itself?")
        concerns_all = code == HTTPStatus.UNAUTHORIZED or (not of_ticket and code in {400, 403, 404})
        raise DeskRefusedError(what) if concerns_all else DeskError(what)


def read_token(where: str) -> str:
    """Read the token that `env:NAME` or `file:PATH` names; raises DeskRefusedError, which never repeats what is there."""
    kind, _, name = where.partition(":")
    if kind == "env":
        text = os.environ.get(name, "")
        if not text.strip():
            raise DeskRefusedError(f"the environment variable {name} holds no token")
    else:
        try:
            if Path(name).stat().st_mode & _OTHERS:
                raise DeskRefusedError(f"{name} can be read by others than its owner", fix=f"chmod 600 {name}")
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeskRefusedError(f"the token in {name} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    token = text.strip()
    if not (token.isascii() and token.isprintable() and " " not in token and token):
        raise DeskRefusedError(f"what {name} holds is no token")
    return token


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise DeskError(f"{answer.request.url.host} answered with something else than JSON") from error
    if not isinstance(found, dict):
        raise DeskError(f"{answer.request.url.host} answered with something else than an object")
    return found


def _retry_after(answer: httpx.Response) -> float:
    """Seconds to wait, by the `Retry-After` header in either of its forms (RFC 9110, 10.2.3)."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
        since = parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else datetime.now(UTC)
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError):
        return BUSY_S


def _said(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    return inert(str(message))[:_SAID] if message else answer.reason_phrase
