"""Calls to a Vault or OpenBao server: paging, patience with a busy server, and refusals as values."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import hvac
import requests
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter

from countersign.errors import ReadError

Json = Mapping[str, Any]
Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH = 500
"""Items of a page, of a round of look-ups, and of an observation."""
THREADS = 8
"""Beyond this, look-ups by accessor get no faster."""
DELAYS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits between tries: a rate-limit quota answers 429 without Retry-After, unless it is told to say when."""
LONGEST_WAIT_S = 60.0
"""However long a server says to wait."""

DENIED, ABSENT, NOT_ALLOWED = 403, 404, 405
_BAD_REQUEST, _BUSY, _SERVER_ERROR, _NO_SENSE = 400, 429, 500, 502


class Refusal(Exception):  # noqa: N818 - most refusals are answers to carry on with, not errors
    """The server's answer when it does not do what was asked."""

    def __init__(self, status: int, messages: Sequence[str]) -> None:
        text = "; ".join(" ".join(message.split()) for message in messages)
        self.status = status
        self.message = "".join(c if c.isprintable() else "?" for c in text)[:300]
        super().__init__(f"{status} {self.message}".strip())

    @property
    def busy(self) -> bool:
        """Whether the same call may be answered later."""
        return self.status == _BUSY or self.status >= _SERVER_ERROR

    @property
    def empty(self) -> bool:
        """Whether this is how Vault says an empty list, or a thing never written: 404 without a message."""
        return self.status == ABSENT and not self.message

    @property
    def gone(self) -> bool:
        """Whether a thing that was listed a moment ago is no more (an accessor that ended is a 400 or a 403)."""
        return self.status == ABSENT or "invalid accessor" in self.message or self.message == "invalid lease"


@dataclass(frozen=True, slots=True)
class Page:
    """Names of one answer to a LIST, with what OpenBao adds about each."""

    keys: tuple[str, ...]
    info: Mapping[str, Json]


class Api:
    """One namespace of one server, with one HTTP session that threads share."""

    def __init__(  # noqa: PLR0913 - an address has these parts
        self,
        address: str,
        *,
        token: str,
        namespace: str | None,
        ca: str | None = None,
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
        delays: Sequence[float] = DELAYS_S,
    ) -> None:
        if session is None:
            session = requests.Session()
            session.verify = ca or True
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_maxsize=THREADS))
        self._address = address
        self.namespace = namespace
        self._session = session
        self._sleep = sleep
        self._delays = tuple(delays)
        # An empty token, not None: hvac would look for one in the environment and send it with a login.
        self._client = hvac.Client(address, token=token, namespace=namespace, session=session, adapter=RawAdapter, verify=ca or True)

    def within(self, *, token: str, namespace: str | None) -> Api:
        """Reach the same server over the same connections, as another caller or in another namespace."""
        return Api(self._address, token=token, namespace=namespace, session=self._session, sleep=self._sleep, delays=self._delays)

    def at_root(self) -> Api:
        """Reach the root namespace as the same caller; what concerns the whole server is only there."""
        return self.within(token=str(self._client.token or ""), namespace=None)

    def get(self, path: str) -> Json | Refusal:
        """GET a path; returns the `data` of the answer. Raises ReadError when there is no answer."""
        return self._part("data", "GET", path)

    def post(self, path: str, body: Json) -> Json | Refusal:
        """POST a look-up; returns the `data` of the answer. Raises ReadError when there is no answer."""
        return self._part("data", "POST", path, json=body)

    def login(self, path: str, body: Json) -> Json | Refusal:
        """POST a login; returns the `auth` of the answer. Raises ReadError when there is no answer."""
        return self._part("auth", "POST", path, json=body)

    def once(self, method: str, path: str, body: Json | None, *, part: str = "data") -> Json | Refusal:
        """Make a call that changes something, and never twice; returns a part of the answer. Raises ReadError when there is no answer."""
        still = Api(self._address, token=str(self._client.token or ""), namespace=self.namespace, session=self._session, delays=())
        for delay in (*self._delays, None):
            answer = still._part(part, method, path, json=body)
            # A quota refuses before anything is done; whatever else is busy may have done it.
            if delay is None or not (isinstance(answer, Refusal) and answer.status == _BUSY):
                break
            self._sleep(delay)
        return answer

    def scan(self, path: str) -> Page | Refusal:
        """Ask for a whole tree in one answer (OpenBao only). Raises ReadError when there is no answer."""
        try:
            return _page(self._call("SCAN", path))
        except Refusal as refusal:
            return refusal

    def keys(self, path: str) -> list[str] | Refusal:
        """LIST a path in one answer. Raises ReadError when there is no answer.

        For what OpenBao cannot be asked page by page: it pages secret-ids by what it stores them under, which nobody is told.
        """
        try:
            return list(_page(self._call("LIST", path)).keys)
        except Refusal as refusal:
            return [] if refusal.empty else refusal

    def first(self, path: str) -> Page | Refusal:
        """LIST the first name only, where the server can stop there. Raises ReadError when there is no answer."""
        try:
            return _page(self._call("LIST", path, params={"limit": 1}))
        except Refusal as refusal:
            return Page((), {}) if refusal.empty else refusal

    def pages(self, path: str, *, stored: Callable[[str], str] = str) -> Iterator[Page]:
        """LIST page by page where the server can (OpenBao's `after` and `limit`), else all in one page; at least one page.

        `stored` turns a name into the one that the server sorts by and compares `after` with. Raises Refusal, ReadError.
        """
        after = ""
        while True:
            try:
                page = _page(self._call("LIST", path, params={"after": after, "limit": BATCH}))
            except Refusal as refusal:
                if not refusal.empty:
                    raise
                page = Page((), {})
            # A server that knows no limit gives everything again.
            if after and (not page.keys or stored(page.keys[-1]) == after):
                return
            if after and stored(page.keys[-1]) < after:
                raise Refusal(_NO_SENSE, ["the listing goes back instead of on"])
            yield page
            if len(page.keys) != BATCH:
                return
            after = stored(page.keys[-1])

    def _part(self, part: str, method: str, path: str, **options: object) -> Json | Refusal:
        try:
            answer = self._call(method, path, **options).get(part) or {}
        except Refusal as refusal:
            return refusal
        return answer if isinstance(answer, dict) else Refusal(_NO_SENSE, [f"`{part}` of the answer is no object"])

    def _call(self, method: str, path: str, **options: object) -> Json:
        url = "/v1/" + quote(path, safe="/")
        for delay in (*self._delays, None):
            try:
                response = self._client.adapter.request(method, url, raise_exception=False, **options)
            except requests.exceptions.SSLError as error:
                raise ReadError(path, f"{self._address}: {_tls_problem(error)}") from error
            except requests.RequestException as error:
                raise ReadError(path, f"{self._address} did not answer: {type(error).__name__}") from error
            except OSError as error:  # what requests raises, unwrapped, when the file is not there
                raise ReadError(path, f"the file of `ca` cannot be used: {error}") from error
            status: int = response.status_code
            if delay is None or not (status == _BUSY or status >= _SERVER_ERROR):
                break
            self._sleep(max(delay, _asked_to_wait(response.headers.get("Retry-After", ""))))
        try:
            body: Json = response.json() if response.content else {}
        except requests.exceptions.JSONDecodeError:
            body = {"errors": ["the answer is not JSON; is this the address of the server, with https:// where it speaks TLS?"]}
            # 400 is how a port that speaks TLS answers plain HTTP.
            status = _NO_SENSE if response.ok or status == _BAD_REQUEST else status
        if not isinstance(body, dict):
            body = {"errors": ["the answer is JSON, and not what this server's API gives"]}
            status = _NO_SENSE if response.ok else status
        if not response.ok or "errors" in body:
            # Some look-ups answer 404 with the reason under data.error.
            data, errors = body.get("data"), body.get("errors")
            reason = data.get("error") if isinstance(data, dict) else None
            raise Refusal(status, [*map(str, errors if isinstance(errors, list) else ()), *([str(reason)] if reason else [])])
        return body


def _tls_problem(error: BaseException) -> str:
    """Say why there is no TLS connection, from the innermost reason."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message}); name the PEM file of its authority in `ca`"
    return f"no TLS connection ({getattr(cause, 'reason', None) or 'no reason given'})"


def _asked_to_wait(header: str) -> float:
    """Read Retry-After in seconds; 0 where there is none, or none that makes sense."""
    return min(float(header), LONGEST_WAIT_S) if header.isdecimal() else 0.0


def _page(body: Json) -> Page:
    data = body.get("data") or {}
    keys, info = (data.get("keys") or [], data.get("key_info") or {}) if isinstance(data, dict) else (None, None)
    if not isinstance(keys, list) or not isinstance(info, dict):
        raise Refusal(_NO_SENSE, ["the answer to LIST holds no list of names"])
    return Page(
        tuple(key for key in keys if isinstance(key, str)), {name: about for name, about in info.items() if isinstance(about, dict)}
    )


def each(items: Iterable[Item], call: Callable[[Item], Answer]) -> Iterator[list[tuple[Item, Answer]]]:
    """Make one call per item, several at a time; yields batches of (item, answer), in the order of the items."""
    rest = iter(items)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="vault") as pool:
        while batch := list(islice(rest, BATCH)):
            yield list(zip(batch, pool.map(call, batch), strict=True))
