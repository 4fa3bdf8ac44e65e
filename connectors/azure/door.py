"""Calls to Microsoft Graph and Azure Resource Manager: paging, `$batch`, patience with a busy service, and refusals as values."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import orjson

from countersign.errors import ReadError
from countersign.fields import inner, text
from countersign.pace import Budget, budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from azure.core.credentials import TokenCredential
    from azure.core.pipeline import Pipeline
    from azure.core.pipeline.transport import RequestsTransport

    from countersign.fields import Row
    from countersign.programme import AzureSource

Key = TypeVar("Key")

BATCH = 20
"""What Graph takes in one `$batch`."""
TRIES = 7
LONGEST_WAIT_S = 300.0
"""A service that asks for more patience than this is not waited for."""
_NO_ANSWER = 599
"""No status of HTTP: there was no connection, or it ended before the answer began."""
BUSY = frozenset({408, 429, 500, 502, 503, 504, _NO_ANSWER})
DENIED = frozenset({401, 403})
GONE = 404
_OK, _NO_SENSE = 200, 502
_TOO_MANY = 429
_MADE = frozenset({200, 201, 202, 204})
_BACKOFF_S, _BACKOFF_MAX_S = 1.0, 60.0
_CONNECTS = 3
"""How often a connection is tried in a row; a host that is not there will not be there in a minute either."""
_CONNECT_S, _SILENT_S, _ANSWER_S = 15.0, 60.0, 300.0
_ANSWER_BYTES = 256 * 1024 * 1024
_PAGES = 10_000
_EMPTY_PAGES = 100


class Refusal(Exception):  # noqa: N818 -- most refusals are answers to carry on with, not errors
    """The service's answer when it does not do what was asked, or answers what makes no sense."""

    def __init__(self, status: int, code: str | None, message: str, retry_after: float | None = None) -> None:
        said = " ".join(message.split())
        self.status = status
        self.code = code
        self.message = "".join(c if c.isprintable() else "?" for c in said)[:300]
        self.retry_after = retry_after
        """Seconds that the service asked to wait; None: it did not say."""
        super().__init__(" ".join(str(part) for part in (status or None, code, self.message) if part))

    @property
    def denied(self) -> bool:
        """Whether it is a matter of permission."""
        return self.status in DENIED

    @property
    def gone(self) -> bool:
        """Whether a thing that was listed a moment ago is no more."""
        return self.status == GONE

    @property
    def unlicensed(self) -> bool:
        """Whether the tenant lacks the licence of the feature, so that the feature cannot be in use."""
        return "PremiumLicense" in (self.code or "") or "NonPremiumTenant" in (self.code or "")


def wait(asked: float | None, attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before try `attempt` + 2: what was asked, else doubling with jitter and a cap."""
    if asked is not None:
        return asked
    # Between half and all of it, so that several readers do not come back together.
    return float(min(_BACKOFF_MAX_S, _BACKOFF_S * 2**attempt)) * (0.5 + chance() / 2)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, by Retry-After (seconds or a date) or Resource Graph's quota header.

    Header names are in lower case. None: it does not say, or says nothing that can be read.
    """
    if (said := headers.get("retry-after", "").strip()) != "":
        try:
            return max(0.0, float(said))
        except ValueError:
            then, now = _date(said), _date(headers.get("date", ""))
            return None if then is None or now is None else max(0.0, (then - now).total_seconds())
    parts = headers.get("x-ms-user-quota-resets-after", "").split(":")
    if len(parts) == 3 and all(part.isdecimal() for part in parts):  # noqa: PLR2004 -- hh:mm:ss
        return float(int(parts[0]) * 3600 + int(parts[1]) * 60 + int(parts[2]))
    return None


def _date(said: str) -> datetime | None:
    try:
        return parsedate_to_datetime(said)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes


class Api:
    """One service with its own audience; every call but `change` is a read. `sleep` waits between tries."""

    def __init__(self, address: str, pipeline: Pipeline[Any, Any], quota: Budget, sleep: Callable[[float], None]) -> None:
        self.address = address.rstrip("/")
        self._pipeline = pipeline
        self._quota = quota
        self._sleep = sleep

    def get(self, path: str, *, quota: Budget | None = None, **headers: str) -> Row:
        """GET a path, or a link of this service; returns the object it answers. Raises Refusal, ReadError.

        `quota` is a narrower one that this call counts against as well.
        """
        if quota is not None:
            quota.take()
        return _object(self._ask("GET", self._url(path), units(path), headers))

    def count(self, path: str) -> int | None:
        """GET the number of objects in a directory collection, as Graph counts them itself; None where it does not."""
        try:
            said = self._ask("GET", self._url(f"{path}/$count"), 1, {"ConsistencyLevel": "eventual"})
        except Refusal:
            return None
        number = said.decode("utf-8-sig", "replace").strip()
        return int(number) if number.isdecimal() and number.isascii() else None

    def post(self, path: str, body: Row, cost: float = 1) -> Row:
        """POST a query; returns the object it answers. Raises Refusal, ReadError."""
        return _object(self._ask("POST", self._url(path), cost, {}, body))

    def change(self, method: str, path: str, body: Row | None = None) -> None:
        """Send a change once, and again only where the service was too busy to look at it (429).

        Raises Refusal, also where the answer was lost, so that the change may have been made or not; ReadError.
        """
        for attempt in range(TRIES):
            self._quota.take(1)
            reply = self._send(method, self._url(path), {}, body)
            if reply.status in _MADE:
                return
            refusal = _refusal(reply.status, reply.headers, _parsed(reply.content))
            if refusal.status != _TOO_MANY or not _again(refusal) or attempt == TRIES - 1:
                raise refusal
            self._sleep(wait(refusal.retry_after, attempt))

    def pages(self, path: str, *, quota: Budget | None = None, **headers: str) -> Iterator[tuple[Row, ...]]:
        """GET a collection page by page, at least one page. Raises Refusal, ReadError.

        Refused as broken: a link to another host, a link that was followed before, and pages without end.
        """
        link: str | None = self._url(path)
        followed: set[str] = set()
        empty = 0
        while link is not None:
            if link in followed:
                raise Refusal(0, None, "the next page is a page that was read before")
            if len(followed) >= _PAGES or empty >= _EMPTY_PAGES:
                raise Refusal(0, None, f"the pages do not end: {len(followed)} were read, the last {empty} of them empty")
            followed.add(link)
            page = self.get(link, quota=quota, **headers)
            found = page.get("value")
            if not isinstance(found, list):
                raise Refusal(0, None, "the answer has no list of objects")
            empty = 0 if found else empty + 1
            yield tuple(item if isinstance(item, dict) else {} for item in found)
            link = self.next_link(page)

    def whole(self, page: Row) -> list[Row]:
        """Return all objects of a collection whose first page is at hand, empty for what is no object. Raises Refusal, ReadError."""
        first = page.get("value")
        if not isinstance(first, list):
            raise Refusal(0, None, "the answer has no list of objects")
        link = self.next_link(page)
        further = () if link is None else self.pages(link)
        return [*(item if isinstance(item, dict) else {} for item in first), *(row for found in further for row in found)]

    def queried(self, path: str, query: str, top: int) -> Iterator[tuple[tuple[Row, ...], int | None]]:
        """POST a query of Resource Graph; yields each page and how many rows there are in all, as it says. Raises Refusal, ReadError."""
        options: dict[str, object] = {"resultFormat": "objectArray", "$top": top}
        followed: set[str] = set()
        while True:
            answer = self.post(path, {"query": query, "options": options})
            data, total = answer.get("data"), answer.get("totalRecords")
            if not isinstance(data, list):
                raise Refusal(0, None, "the answer has no list of rows")
            yield tuple(row if isinstance(row, dict) else {} for row in data), total if isinstance(total, int) else None
            token = text(answer, "$skipToken")
            if token is None and text(answer, "resultTruncated") == "true":
                raise Refusal(0, None, "the answer is cut off and has no token for the rest")
            if token is None:
                return
            if token in followed or len(followed) >= _PAGES:
                raise Refusal(0, None, "the pages do not end")
            followed.add(token)
            options["$skipToken"] = token

    def next_link(self, page: Row) -> str | None:
        """Return the link to the next page, None at the end. Raises Refusal when it leads to another host, who would get our token."""
        link = text(page, "@odata.nextLink") or text(page, "nextLink")
        if link is None:
            if page.get("@odata.nextLink") or page.get("nextLink"):
                raise Refusal(0, None, "the link to the next page is not a text")
            return None
        there, here = urlsplit(link), urlsplit(self.address)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Refusal(0, None, f"the next page is on another host: {there.netloc[:100]}")
        return link

    def batch(self, paths: Iterable[tuple[Key, str]]) -> Iterator[tuple[Key, Row | Refusal]]:
        """GET many paths, 20 at a time by `$batch`; yields each key with its answer. Raises Refusal, ReadError for a whole batch.

        Only the items that were refused for being too many are asked again.
        """
        rest = iter(paths)
        while chunk := list(islice(rest, BATCH)):
            answers = self._batch(dict(enumerate(path for _, path in chunk)))
            for number, (key, _) in enumerate(chunk):
                yield key, answers[number]

    def _batch(self, paths: Mapping[int, str]) -> dict[int, Row | Refusal]:
        answers: dict[int, Row | Refusal] = {}
        for attempt in range(TRIES):
            left = {number: path for number, path in paths.items() if number not in answers or _again(answers[number])}
            if not left:
                break
            if attempt:
                pauses = [found.retry_after for number in left if isinstance(found := answers.get(number), Refusal)]
                said = [pause for pause in pauses if pause is not None]
                self._sleep(wait(max(said) if said else None, attempt - 1))
            # The path in a batch is without the version: /v1.0/$batch asks v1.0.
            wanted = [{"id": str(number), "method": "GET", "url": path} for number, path in left.items()]
            body = self.post("/v1.0/$batch", {"requests": wanted}, sum(units(path) for path in left.values()))
            told = body.get("responses")
            if not isinstance(told, list):
                raise Refusal(0, None, "the answer to the batch has no list of responses")
            answers |= dict.fromkeys(left, Refusal(_NO_SENSE, None, "the answer to the batch leaves this item out"))
            answers |= {
                int(number): _item(one) for one in told if isinstance(one, dict) and (number := text(one, "id") or "") in map(str, left)
            }
        return answers

    def _url(self, path: str) -> str:
        return path if path.startswith("https://") else self.address + path

    def _ask(self, method: str, url: str, cost: float, headers: Mapping[str, str], body: Row | None = None) -> bytes:
        for attempt in range(TRIES):
            self._quota.take(cost)
            try:
                reply = self._send(method, url, headers, body)
                if reply.status == _OK:
                    return reply.content
                refusal = _refusal(reply.status, reply.headers, _parsed(reply.content))
            except Refusal as broken:
                refusal = broken
            if refusal.status == _NO_ANSWER and attempt >= _CONNECTS - 1:
                raise ReadError(urlsplit(url).path, f"{self.address} did not answer: {refusal.message}")
            if not _again(refusal) or attempt == TRIES - 1:
                break
            self._sleep(wait(refusal.retry_after, attempt))
        raise refusal

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Row | None) -> _Reply:
        """Send once and read the whole answer. Raises Refusal when it breaks off or does not end, ReadError when there is none."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
        from azure.core.rest import HttpRequest

        from connectors.azure.login import refusal

        asked = HttpRequest(method, url, headers={"Accept": "application/json", **headers}, json=body)
        deadline = time.monotonic() + _ANSWER_S
        content = bytearray()
        try:
            with self._pipeline.run(asked, stream=True, connection_timeout=_CONNECT_S, read_timeout=_SILENT_S).http_response as response:
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > _ANSWER_BYTES or time.monotonic() > deadline:
                        raise Refusal(0, None, f"the answer does not end: {len(content)} bytes were read")
                lowered = {name.lower(): value for name, value in response.headers.items()}
                return _Reply(response.status_code, lowered, bytes(content))
        except ClientAuthenticationError as error:
            raise Refusal(401, None, f"no token for it: {refusal(error)}") from error
        except ServiceRequestError as error:
            if (problem := _tls_problem(error)) is not None:
                raise ReadError(urlsplit(url).path, f"{self.address}: {problem}") from error
            raise Refusal(_NO_ANSWER, None, "no connection") from error
        except AzureError as error:
            raise Refusal(_NO_SENSE, None, f"the answer broke off: {type(error).__name__}") from error
        except OSError as error:  # what requests raises, unwrapped, when the file is not there
            raise ReadError(urlsplit(url).path, f"the file of `ca` cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class Door:
    """What one tenant is read through."""

    graph: Api
    manager: Api | None
    """Azure Resource Manager; None: it is not read."""
    reports: Budget
    """Graph's narrower quota of sign-in reports."""
    keys: Budget
    """Graph's narrower quota of pages of service principals with their `keyCredentials`."""


def opened(source: AzureSource, credential: TokenCredential, sleep: Callable[[float], None]) -> Door:
    """Open the way to a source's Graph and, where it has one, its Azure Resource Manager, over shared connections.

    Quotas are those of Microsoft's pages on throttling, for the smallest tenant; two readers of one tenant share them.
    """
    # Slow to import, and needed for this provider only.
    from azure.core.pipeline import Pipeline
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HeadersPolicy, HTTPPolicy, SansIOHTTPPolicy, UserAgentPolicy
    from azure.core.pipeline.transport import RequestsTransport

    transport: RequestsTransport = RequestsTransport(connection_verify=source.ca or True)

    def api(address: str, quota: Budget) -> Api:
        policies: list[HTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]] = [
            UserAgentPolicy("countersign"),
            # Graph throttles the low ones first, so that people at work feel less of a nightly read.
            HeadersPolicy({"x-ms-throttle-priority": "low"}),
            BearerTokenCredentialPolicy(credential, f"{address.rstrip('/')}/.default"),
        ]
        return Api(address, Pipeline(transport, policies), quota, sleep)

    def quota(api: str, address: str, units: int, seconds: float) -> Budget:
        # Who waits in a way of its own gets a quota of its own.
        if sleep is not time.sleep:
            return Budget(units, seconds, sleep=sleep)
        return budget(api, address, source.tenant, units=units, seconds=seconds)

    manager = source.resource_manager
    return Door(
        graph=api(source.graph, quota("graph", source.graph, 3_500, 10)),
        manager=None if manager is None else api(manager, quota("resource-graph", manager, 15, 5)),
        reports=quota("graph-reports", source.graph, 5, 10),
        keys=quota("graph-keys", source.graph, 150, 60),
    )


def units(path: str) -> int:
    """Return what a GET costs of Graph's quota, by its page on throttling; unknown paths cost one unit."""
    dear = ("/applications?", "/users", "/oauth2PermissionGrants", "/appRoleAssignedTo", "/groups")
    cost = 2 if any(part in path for part in dear) else 1
    return max(1, cost - ("$select=" in path) + ("$expand=" in path))


def _again(answer: Row | Refusal) -> bool:
    return isinstance(answer, Refusal) and answer.status in BUSY and (answer.retry_after or 0) <= LONGEST_WAIT_S


def _item(one: Row) -> Row | Refusal:
    status, body = one.get("status"), one.get("body")
    lowered = {name.lower(): str(value) for name, value in inner(one, "headers").items()}
    if not isinstance(status, int):
        return Refusal(_NO_SENSE, None, "the answer to a batch has an item without a status")
    if status != _OK:
        return _refusal(status, lowered, body)
    return body if isinstance(body, dict) else Refusal(0, None, "the answer to an item of a batch is not an object")


def _refusal(status: int, headers: Mapping[str, str], body: object) -> Refusal:
    error = inner(body, "error") if isinstance(body, dict) else {}
    message = text(error, "message") or ("the answer is not JSON" if body is None else "no reason given")
    return Refusal(status, text(error, "code"), message, asked_wait(headers))


def _parsed(content: bytes) -> Any:  # noqa: ANN401 -- any JSON value
    """Return what JSON means, None where it is none, or holds text that is no Unicode and could not be written again."""
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _object(content: bytes) -> Row:
    found = _parsed(content)
    if not isinstance(found, dict):
        reason = "the answer is not JSON" if found is None else "the answer is not an object"
        raise Refusal(0, None, f"{reason}; is this the address of the service?")
    return found


def _tls_problem(error: Exception) -> str | None:
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "its certificate is not trusted; name the PEM file of its authority in `ca`"
    return "no TLS connection" if "SSL" in said else None
