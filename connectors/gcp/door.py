"""The way into Google Cloud: channels and credentials, patience with a busy service, and its errors in our words."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from connectors.gcp.permissions import TOKEN_INFO
from countersign import pace
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import Row, inner, listed, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import grpc
    from google.auth.credentials import Credentials

    from connectors.gcp.permissions import Call
    from countersign.programme import GcpSource

DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Waits between tries: over a minute in all, since quotas are counted by the minute."""
LONGEST_WAIT_S = 120.0
"""The most that a service may tell us to wait at once."""
TIMEOUT_S = 60.0
_CONNECT_S = 10.0
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_OPTIONS = (("grpc.max_receive_message_length", -1),)  # a page of a thousand assets is larger than gRPC's usual limit
_DENIED, _ABSENT, _TOO_MANY, _OK = frozenset({401, 403}), 404, 429, 200
_BUSY = frozenset({_TOO_MANY, 500, 502, 503, 504})
_LONGEST_REASON = 400
_lock = threading.Lock()


class GoneError(ReadError):
    """What was asked about does not exist."""


@dataclass(frozen=True, slots=True)
class Busy:
    """An answer that says to come back later."""

    reason: str
    retry_after_s: float | None
    lost: bool = True
    """Whether the call may have been carried out all the same."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is, by Google's own word."""

    id: str | None
    """Unique id of the account or person; None: Google does not tell."""
    shown: str


Channels = tuple["grpc.Channel", "grpc.Channel"]
"""One to IAM and one to Cloud Asset."""


@cache
def _default_credentials() -> Credentials:
    import google.auth  # loaded here: Google's libraries take a second

    return google.auth.default(scopes=_SCOPES)[0]


def application_default(asking: Callable[..., Any]) -> Credentials:
    """Give the process's Application Default Credentials with a valid token, asked for by `asking` (`tokens`); raises ReadError."""
    from google.auth.exceptions import GoogleAuthError

    try:
        with _lock:  # one token for all threads, not one each
            credentials = _default_credentials()
            if not credentials.valid:
                credentials.refresh(asking)  # type: ignore[no-untyped-call] # google-auth has no types
    except GoogleAuthError as error:
        message = f"{_short(error)}; set GOOGLE_APPLICATION_CREDENTIALS, or give the workload an identity of its own"
        raise ReadError("google.auth.default", message) from error
    return credentials


def channels(source: GcpSource, credentials: Credentials | None) -> Channels:
    """Open the gRPC channels of a source: with TLS and credentials, or with neither where `plaintext` says so."""
    import grpc
    from google.auth.transport.grpc import secure_authorized_channel

    def channel(host: str) -> grpc.Channel:
        target = source.endpoint or f"{host}:443"
        if credentials is None:
            return grpc.insecure_channel(target, options=_OPTIONS)
        authority = Path(source.ca).read_bytes() if source.ca else None
        tls = grpc.ssl_channel_credentials(authority)
        return secure_authorized_channel(  # type: ignore[no-untyped-call] # google-auth has no types
            credentials, tokens(source), target, ssl_credentials=tls, options=_OPTIONS
        )

    return channel("iam.googleapis.com"), channel("cloudasset.googleapis.com")


def tokens(source: GcpSource) -> Callable[..., Any]:
    """Give what google-auth asks for tokens with: it trusts the source's own authority at the source's own REST address."""
    from google.auth.transport.requests import Request

    ask: Callable[..., Any] = Request()
    here = f"{(source.rest or '').rstrip('/')}/"

    def asking(url: str, *asked: Any, **more: Any) -> Any:  # noqa: ANN401 -- google-auth's own signature, without types
        if source.ca is not None and url.startswith(here) and source.rest:
            more["verify"] = source.ca
        return ask(url, *asked, **more)

    return asking


class Door:
    """One source, entered as one caller, until it is closed; for one thread at a time."""

    def __init__(
        self,
        source: GcpSource,
        *,
        sleep: Callable[[float], None] = time.sleep,
        credentials: Callable[[], Credentials] | None = None,
        transports: Callable[[GcpSource, Credentials | None], Channels] = channels,
    ) -> None:
        """Enter; raises ReadError where there are no credentials, or a token would travel in clear.

        `credentials`: who to enter as; None: the process's Application Default Credentials.
        """
        self._source = source
        self._sleep = sleep
        self._given_up: set[str] = set()
        if not source.plaintext and (source.rest or "").startswith("http://"):
            raise ReadError("rest", "its address is http, and a token never travels in clear; use https, or `plaintext` for a stand-in")
        self._credentials: Credentials | None = None
        if not source.plaintext:
            self._credentials = application_default(tokens(source)) if credentials is None else credentials()
        try:
            self._channels = transports(source, self._credentials)
        except OSError as error:
            raise ReadError("ca", f"its file cannot be used: {error.strerror}") from error
        self._clients: dict[str, Any] = {}
        self._session = self._make_session()

    @property
    def caller(self) -> str:
        """Who asks: the e-mail of the service account, as far as the credentials tell it."""
        if self._credentials is None:
            return "anonymous"
        email = getattr(self._credentials, "service_account_email", None) or getattr(self._credentials, "signer_email", None)
        return email if isinstance(email, str) and email else f"credentials of type {type(self._credentials).__name__}"

    def told(self) -> Caller:
        """Ask Google whose token it is (OAuth 2.0 tokeninfo); raises ReadError. Without credentials there is nobody to ask about."""
        if self._credentials is None:
            return Caller(None, "anonymous")
        from google.auth.exceptions import GoogleAuthError

        try:
            # The token is in the header that the session adds, and never in an address, which others write into their logs.
            answer = self._session.post(
                f"{self._address(TOKEN_INFO)}/{TOKEN_INFO.path}",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                timeout=(_CONNECT_S, TIMEOUT_S),
                allow_redirects=False,
                verify=self._source.ca,
            )
        except (requests.RequestException, GoogleAuthError) as error:
            raise ReadError(TOKEN_INFO.name, f"no answer: {_short(error)}") from error
        if answer.status_code in {400, 401}:  # a token of another kind, such as a federated one
            return Caller(None, self.caller)
        outcome = _settled(TOKEN_INFO, answer)
        if isinstance(outcome, Busy):
            raise ReadError(TOKEN_INFO.name, outcome.reason)
        party = text(outcome, "azp") or ""  # of a service account its unique id; of a person's token only the program's
        ident = text(outcome, "sub") or (party if party.isdecimal() else None)
        return Caller(ident, text(outcome, "email") or ident or self.caller)

    def close(self) -> None:
        """End all connections."""
        for channel in self._channels:
            channel.close()
        self._session.close()

    def ask(self, call: Call, asked: Row) -> Row:
        """Make a call and give its answer in JSON form; `asked` has the parameters by their JSON names.

        Raises ScopeDeniedError, GoneError or ReadError. Waits and tries again while the service is busy.
        """
        for delay in (*(() if call.api in self._given_up else DELAYS_S), None):
            budget = self._budget(call, asked)
            if budget is not None:
                budget.take()
            outcome = self._by_rpc(call, asked) if call.rpc else self._by_rest(call, asked)
            if not isinstance(outcome, Busy):
                return outcome
            if call.writes and outcome.lost:
                raise ReadError(call.name, f"its answer was lost, so whether it was done has to be looked at: {outcome.reason}")
            if delay is None:
                self._given_up.add(call.api)  # the next operation need not wait another minute for the same silence
                raise ReadError(call.name, f"busy or out of reach at every try: {outcome.reason}")
            told = min(outcome.retry_after_s or 0.0, LONGEST_WAIT_S)
            if told and budget is not None:
                budget.hold(told)
            self._sleep(max(delay, told))
        raise AssertionError

    def _budget(self, call: Call, asked: Row) -> pace.Budget | None:
        if call.rate is None or self._source.plaintext:  # a stand-in has none of Google's quotas
            return None
        where = self._source.endpoint or "google"
        project = "/".join(str(asked.get("parent") or asked.get("name")).split("/")[:2]) if call.rate.by_project else ""
        return pace.budget("gcp", where, call.rate.name, project, units=call.rate.per_minute, seconds=60)

    def _by_rpc(self, call: Call, asked: Row) -> Row | Busy:
        from google.api_core import exceptions
        from google.protobuf.json_format import MessageToDict

        service, method = self._method(call)
        try:
            request = getattr(service, f"{call.rpc}Request").from_json(json.dumps(asked))
            # No retry of the library's own: it gives up on RESOURCE_EXHAUSTED at once, and its waits cannot be injected.
            answer = method(request=request, retry=None, timeout=TIMEOUT_S)
            page = next(iter(answer.pages)) if hasattr(answer, "pages") else answer
            written: Row = MessageToDict(type(page).pb(page))
        except (exceptions.ResourceExhausted, exceptions.ServiceUnavailable) as error:
            return Busy(_short(error.message), _told_delay(error))
        except (exceptions.Forbidden, exceptions.Unauthorized) as error:
            raise ScopeDeniedError(call.name, _denial(call, error.message, error.reason, error.metadata or {})) from error
        except exceptions.NotFound as error:
            raise GoneError(call.name, _short(error.message)) from error
        except exceptions.DeadlineExceeded as error:
            raise ReadError(call.name, f"no answer within {TIMEOUT_S:g} seconds") from error
        except exceptions.GoogleAPICallError as error:
            name = getattr(error.grpc_status_code, "name", "error")
            raise ReadError(call.name, f"{name}: {_short(error.message)}") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise ReadError(call.name, f"the answer cannot be understood: {_short(error)}") from error
        return written

    def _method(self, call: Call) -> tuple[Any, Any]:
        """Give the module with a call's request message, and the client's method."""
        from google.cloud import asset_v1, iam_admin_v1
        from google.cloud.asset_v1.services.asset_service.transports import AssetServiceGrpcTransport
        from google.cloud.iam_admin_v1.services.iam.transports import IAMGrpcTransport

        if not self._clients:
            iam, asset = self._channels
            self._clients["iam"] = iam_admin_v1.IAMClient(transport=IAMGrpcTransport(channel=iam))
            self._clients["cloudasset"] = asset_v1.AssetServiceClient(transport=AssetServiceGrpcTransport(channel=asset))
        api = call.name.partition(".")[0]
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", str(call.rpc)).lower()
        return (iam_admin_v1 if api == "iam" else asset_v1), getattr(self._clients[api], method)

    def _by_rest(self, call: Call, asked: Row) -> Row | Busy:
        from google.auth.exceptions import GoogleAuthError

        in_path = set(re.findall(r"\{(\w+)\}", call.path))
        path = call.path.format_map({name: quote(str(asked[name]), safe="/@-._~:") for name in in_path})
        rest: dict[str, Any] = {name: value for name, value in asked.items() if name not in in_path}
        has_body = call.verb not in {"GET", "DELETE"}
        query = {name: value for name, value in rest.items() if not has_body or name in call.in_query}
        try:
            answer = self._session.request(
                call.verb,
                f"{self._address(call)}/{path}",
                params=query,
                json={name: value for name, value in rest.items() if name not in query} if has_body else None,
                timeout=(_CONNECT_S, TIMEOUT_S),
                allow_redirects=False,
                verify=self._source.ca,  # here and not on the session, where REQUESTS_CA_BUNDLE would win over it
            )
        except requests.exceptions.SSLError as error:
            untrusted = re.search(r"certificate verify failed: ([^(]*)", str(error))
            why = f"its certificate is not trusted ({untrusted[1].strip()})" if untrusted else "the handshake failed"
            raise ReadError(call.name, f"no TLS connection: {why}") from error
        except requests.ReadTimeout as error:
            raise ReadError(call.name, f"no answer within {TIMEOUT_S:g} seconds") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            return Busy(f"no answer ({type(error).__name__})", None)
        except GoogleAuthError as error:
            raise ReadError(call.name, f"no token: {_short(error)}") from error
        except requests.RequestException as error:
            raise ReadError(call.name, f"the answer cannot be understood: {_short(error)}") from error
        return _settled(call, answer)

    def _address(self, call: Call) -> str:
        source = self._source
        if source.rest is not None:
            return source.rest.rstrip("/")
        if source.endpoint is not None:
            return f"{'http' if source.plaintext else 'https'}://{source.endpoint}"
        return f"https://{call.api}"

    def _make_session(self) -> requests.Session:
        if self._credentials is None:
            return requests.Session()
        from google.auth.transport.requests import AuthorizedSession

        session: requests.Session = AuthorizedSession(  # type: ignore[no-untyped-call] # google-auth has no types
            self._credentials, auth_request=tokens(self._source) if self._source.ca and self._source.rest else None
        )
        return session


def _settled(call: Call, answer: requests.Response) -> Row | Busy:
    """Read an HTTP answer; raises ScopeDeniedError, GoneError or ReadError."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    error = inner(body, "error") if isinstance(body, dict) else {}
    message = text(error, "message") or answer.reason or ""
    if answer.status_code in _BUSY:
        lost = answer.status_code != _TOO_MANY
        return Busy(f"{answer.status_code} {_short(message)}", _seconds(answer.headers.get("Retry-After")), lost=lost)
    if answer.status_code in _DENIED:
        details = next((one for one in listed(error, "details") if str(one.get("@type", "")).endswith("google.rpc.ErrorInfo")), {})
        raise ScopeDeniedError(call.name, _denial(call, message, text(details, "reason"), inner(details, "metadata")))
    if answer.status_code == _ABSENT:
        raise GoneError(call.name, _short(message))
    if answer.status_code != _OK:
        raise ReadError(call.name, f"{answer.status_code} {_short(message)}")
    if not isinstance(body, dict):
        raise ReadError(call.name, "the answer is not JSON" if body is None else "the answer is JSON, but not an object")
    return body


def _denial(call: Call, message: str, reason: str | None, about: Mapping[str, object]) -> str:
    """Say a refusal so that somebody can act on it: which API to enable where, or which permission to give."""
    if reason == "SERVICE_DISABLED":
        where = about.get("consumer") or "the project that the reader's quota counts for"
        return f"the API {about.get('service') or call.api} is not enabled in {_short(where)}; enable it there"
    said = _short(message)
    return said if call.permission in said else f"{said} ({'writing' if call.writes else 'reading'} needs {call.permission})"


def _told_delay(error: Any) -> float | None:  # noqa: ANN401 -- the library's exception, imported only where it is caught
    """Give the seconds that a gRPC error tells to wait (google.rpc.RetryInfo); None where it does not."""
    for detail in error.details:
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None


def _seconds(written: str | None) -> float | None:
    """Read Retry-After; the form with a date counts as none, so that no clock is needed."""
    return float(written) if written is not None and re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", written) else None


def _short(said: object) -> str:
    """Give a service's words on one line, and not too many."""
    line = " ".join(str(said).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"
