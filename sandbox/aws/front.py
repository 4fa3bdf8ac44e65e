"""The sandbox's front door: knows callers, counts and refuses calls, answers what moto lacks, and lets moto answer the rest."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from moto.core.request import Request
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.iam.models import get_account_id_from, iam_backends, mark_account_as_visited
from moto.iam.responses import IamResponse
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse
from werkzeug.test import run_wsgi_app

from sandbox.aws import access_analyzer, anywhere, contract, credentials, federation, organizations, paging, secret_store, trail
from sandbox.aws.ask import Ask
from sandbox.aws.contract import Refusal, Wire
from sandbox.aws.disturbances import PERMISSIONS, permission
from sandbox.aws.estate import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from sandbox.aws.ask import Answering
    from sandbox.aws.disturbances import Broken
    from sandbox.aws.estate import Estate

HANDS = "x-moto-account-id"
"""Requests with this header are the sandbox's own: in the account it names, never refused, never counted."""
_SERVICES = {
    "iam": "iam",
    "sts": "sts",
    "organizations": "organizations",
    "access-analyzer": "accessanalyzer",
    "rolesanywhere": "rolesanywhere",
    "secretsmanager": "secretsmanager",
    "cloudtrail": "cloudtrail",
}
"""By the name requests are signed for: botocore's name. Requests for any other service go to moto unseen."""
_OF_MOTO = {"iam": frozenset(method_names_from_class(IamResponse)), "sts": frozenset(method_names_from_class(TokenResponse))}
_UNPAGED = frozenset({"ListUsers", "ListSigningCertificates", "ListSSHPublicKeys", "ListAccessKeys"})
"""What moto answers whole, whatever page was asked for."""
_SCOPE = re.compile(r"Credential=(?P<key>[^/\s]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_ANSWERS: Mapping[str, Answering] = {
    **organizations.ANSWERS,
    **credentials.ANSWERS,
    **federation.ANSWERS,
    **access_analyzer.ANSWERS,
    **anywhere.ANSWERS,
    **secret_store.ANSWERS,
    **trail.ANSWERS,
}
_INSTEAD = {
    "not-parseable": b"<!DOCTYPE html><html><body><h1>It works!</h1></body>",
    "empty": b"",
}


@dataclass(slots=True)
class Front:
    """A WSGI application in front of moto's."""

    estate: Estate
    behind: WSGIApplication
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = _SERVICES.get(scope["service"]) if scope else None
        if scope is None or service is None:
            return self.behind(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request({**environ, "wsgi.input": io.BytesIO(body)})
        operation, path = contract.operation_of(service, request)
        hands = request.headers.get(HANDS)
        ask = Ask(service, operation, scope["region"], hands or get_account_id_from(scope["key"]), scope["key"], {})
        if hands is not None and ask.name not in _ANSWERS:
            return self.behind(environ, start_response)
        wire = self._answer(ask, request, path, environ, unseen=hands is not None)
        if wire is None:
            return self.behind(environ, start_response)
        start_response(f"{wire.status} {HTTPStatus(wire.status).phrase}", [*wire.headers.items(), ("Content-Length", str(len(wire.body)))])
        return [wire.body]

    def _answer(self, ask: Ask, request: Request, path: Mapping[str, Any], environ: WSGIEnvironment, *, unseen: bool) -> Wire | None:
        """Give an answer; None when moto's is wanted as it is."""
        unreadable: Refusal | None = None
        try:
            if contract.known(ask.service, ask.operation):
                ask = ask.saying(contract.parameters(ask.service, ask.operation, request, path))
        except Refusal as refusal:
            unreadable = refusal
        how: Broken | None = None
        try:
            if not unseen:
                with self._lock:
                    self._admit(ask)
                    how = self.estate.disturbances.broken(ask.target, ask.name)
                time.sleep(self.estate.disturbances.delay(ask.target, ask.name))
            if unreadable is not None:
                raise unreadable
            if not unseen and self.estate.disturbances.is_ignored(ask.target, ask.name):
                return contract.answered(ask.service, ask.operation, {})
            whole = self._whole(ask, how, environ)
        except Refusal as refusal:
            return contract.refused(ask.service, refusal)
        return whole if whole is None or how is None else _spoilt(ask, whole, how)

    def _admit(self, ask: Ask) -> None:
        """Count a call and refuse it where it has to be; raises Refusal."""
        self.estate.calls[ask.target, ask.operation] += 1
        self.estate.asked.append(Asked(ask.target, ask.name, ask.region, tuple(sorted(ask.parameters))))
        if not self._offered(ask):
            message = f"The sandbox knows no operation {ask.operation or 'at this address'} of {ask.service}."
            raise Refusal(contract.code_for(ask.service, "unknown-operation"), message)
        key = iam_backends[ask.account]["aws"].access_keys.get(ask.key)
        if key is None or key.status != "Active":
            raise Refusal(contract.code_for(ask.service, "unknown-key"), "The security token included in the request is invalid.")
        if ask.key in self.estate.expired:
            raise Refusal(contract.code_for(ask.service, "expired"), "The security token included in the request is expired")
        mark_account_as_visited(ask.account, ask.key, ask.service, ask.region)
        if self.estate.disturbances.is_denied(ask.target, ask.name) or not self._may(ask):
            raise _denied(ask)
        failure = self.estate.disturbances.failure(ask.target, ask.name)
        if failure is not None and failure.code is not None:
            raise Refusal(failure.code, failure.message)
        if failure is not None or self.estate.disturbances.too_fast(ask.target, ask.name, ask.region):
            raise Refusal(contract.code_for(ask.service, "throttled"), "Rate exceeded")

    def _may(self, ask: Ask) -> bool:
        """Whether the caller is one of whom nothing special is known, or may do this."""
        if ask.name == "sts:GetCallerIdentity" or not self.estate.allowed:
            return True
        _, arn, _ = sts_backends[ask.account]["aws"].get_caller_identity(ask.key, "us-east-1")
        allowed = self.estate.allowed.get(arn.rpartition("/")[0] if ":assumed-role/" in arn else arn)
        return allowed is None or permission(ask.name) in allowed

    def _offered(self, ask: Ask) -> bool:
        return ask.name in _ANSWERS or camelcase_to_underscores(ask.operation) in _OF_MOTO.get(ask.service, ())

    def _whole(self, ask: Ask, how: Broken | None, environ: WSGIEnvironment) -> Wire | None:
        """Give the right answer, or one broken in its entries or tokens; None when moto's is wanted as it is."""
        handler: Callable[[Estate, Ask], dict[str, Any]] | None = _ANSWERS.get(ask.name)
        most = self.estate.disturbances.pages.get(ask.name)
        if handler is None:
            if ask.operation not in _UNPAGED and how is None and most is None:
                return None
            wire = _run(self.behind, environ)
            if wire.status >= HTTPStatus.BAD_REQUEST:
                return wire
            answer = contract.read_back(ask.service, ask.operation, wire)
        else:
            answer = handler(self.estate, ask)
            wrong = contract.output_breaches(ask.service, ask.operation, answer)
            if wrong:
                self.estate.wrong += (f"{ask.name}: {one}" for one in wrong)
                raise Refusal(contract.code_for(ask.service, "internal"), f"The sandbox's answer breaks the model: {'; '.join(wrong)}")
        if handler is not None or ask.operation in _UNPAGED:
            answer = paging.page(ask.service, ask.operation, answer, ask.parameters, most)
        if how in {"empty-page", "same-token", "endless"}:
            answer = paging.broken(ask.service, ask.operation, answer, ask.parameters, how)
        return contract.answered(ask.service, ask.operation, answer)


def _denied(ask: Ask) -> Refusal:
    """Refuse as IAM's policies do: who may not do what, in the words of the service."""
    operation = PERMISSIONS.get(ask.name, ask.name).replace("accessanalyzer:", "access-analyzer:")
    on = f" on resource: {ask.parameters['RoleArn']}" if "RoleArn" in ask.parameters and ask.service == "sts" else ""
    _, arn, _ = sts_backends[ask.account]["aws"].get_caller_identity(ask.key, "us-east-1")
    return Refusal(contract.code_for(ask.service, "denied"), f"User: {arn} is not authorized to perform: {operation}{on}")


def _spoilt(ask: Ask, wire: Wire, how: Broken) -> Wire:
    if how in _INSTEAD:
        return Wire(200, wire.headers | ({"Content-Type": "text/html"} if how == "not-parseable" else {}), _INSTEAD[how])
    if how == "cut":
        return Wire(200, wire.headers, wire.body[: len(wire.body) // 2])
    if how == "wrong-type":
        name = paging.list_name(ask.service, ask.operation) or "unexpected"
        if contract.protocol(ask.service) == "query":
            outer, inner = f"{ask.operation}Response", f"{ask.operation}Result"
            body = f"<{outer}><{inner}><{name}>many</{name}></{inner}></{outer}>"
        else:
            body = f'{{"{name}": "many"}}'
        return Wire(200, wire.headers, body.encode())
    return wire


def _run(application: WSGIApplication, environ: WSGIEnvironment) -> Wire:
    parts, status, headers = run_wsgi_app(application, environ, buffered=True)
    return Wire(int(status.split()[0]), dict(headers.items()), b"".join(parts))
