"""A local Microsoft Graph, Azure Resource Manager and token authority over TLS, with any number of tenants."""

from __future__ import annotations

import base64
import json
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

from sandbox import certificates
from sandbox.graph import directory, resource_manager, snapshot, writing
from sandbox.graph.authority import ARM, GRAPH, Authority, Token
from sandbox.graph.directory import Refusal
from sandbox.graph.faults import Faults
from sandbox.graph.tenant import Application, SandboxTenant, sign_in_activity
from sandbox.graph.wire import Answer, Asked, Server, asked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox.graph.contract import Contract

__all__ = ["Application", "Request", "SandboxGraph", "SandboxTenant", "sign_in_activity"]

BATCH_MAX = 20
_SUMMARY = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked, and how it ended."""

    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str]
    body: str
    """Its first characters; empty for the token endpoint, whose body holds a secret."""
    status: int
    tenant: str | None
    """The tenant of the token, None without a good one."""
    host: str
    with_token: bool
    in_batch: bool
    headers: Mapping[str, str]
    """Names in lower case, without `authorization`."""


class SandboxGraph:
    """Graph (`/v1.0`, two reports of `/beta`, `$batch`), Resource Manager and the token authority at one address.

    What taking access away needs can be changed, by a tenant's revokers; readers are refused with 403. With a contract each request is
    checked, and refused with 400 where Graph has no such thing; without one it knows the properties that its own objects have.
    """

    def __init__(self, *, contract: Contract | None = None, port: int = 0) -> None:
        """Take a contract to check against, and a port, 0 for any free one."""
        self._faults = Faults()
        self.throttle = self._faults.throttle
        self.deny = self._faults.deny
        self.slow = self._faults.slow
        self.break_answer = self._faults.break_answer
        self.refuse_writes = self._faults.refuse_writes
        self.ignore_writes = self._faults.ignore_writes
        self.heal = self._faults.heal
        self.address = ""
        """`https://127.0.0.1:PORT`: Graph, authority and Resource Manager at once; empty before the start.

        A token for this address is good for both APIs; one for `https://localhost:PORT`, or for Microsoft's names, for one of them.
        """
        self.ca = Path()
        """The authority's certificate in a temporary folder."""
        self.requests: list[Request] = []
        """Everything that was asked, items of batches after their batch."""
        self.broken_requests: list[str] = []
        """What requests asked for that Graph does not have: method, path, and what is wrong."""
        self.broken_answers: list[str] = []
        """Mistakes of this server, which it answered with 500; a test should find it empty."""
        self.resource_units: Counter[str] = Counter()
        """Units that Graph would have counted, by tenant."""
        self._contract = contract
        self._port = port
        self._authority = Authority()
        self._tenants: dict[str, SandboxTenant] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="countersign-graph-")
        folder = Path(self._folder.name)
        self.ca, pem = folder / "ca.pem", folder / "server.pem"
        made = certificates.make()
        self.ca.write_bytes(made.authority)
        pem.write_bytes(made.key + made.chain)
        self._server = Server(self._port, pem, self._answer)
        self.address = f"https://127.0.0.1:{self._server.server_port}"
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None, "it was entered"
        assert self._folder is not None, "it was entered"
        self._faults.closing.set()
        self._server.stop()
        self._folder.cleanup()

    def tenant(self, tenant_id: str) -> SandboxTenant:
        """Give a tenant by its id, a guid; it comes into being by being asked for. Raises ValueError."""
        key = str(UUID(tenant_id))
        if key not in self._tenants:
            self._tenants[key] = SandboxTenant(key, self.address, self._contract)
        return self._tenants[key]

    def snapshot(self) -> dict[str, Any]:
        """Return all that a change could touch, as plain JSON by tenant: two of them are equal when nothing is different."""
        return {key: snapshot.of(tenant) for key, tenant in sorted(self._tenants.items())}

    def clear(self) -> None:
        """Forget what was asked so far."""
        self.requests.clear()
        self.broken_requests.clear()
        self.resource_units.clear()

    def expire_tokens(self, *, lives_s: int | None = None) -> None:
        """Let every token that was issued so far run out, and new ones live that many seconds."""
        self._authority.expire()
        self._authority.lives_s = self._authority.lives_s if lives_s is None else lives_s

    def _answer(self, request: Asked) -> Answer:
        """Answer one request of a connection, and note it before its batch's items."""
        place = len(self.requests)
        try:
            answer, tenant = self._routed(request)
        except Exception:  # noqa: BLE001 -- a mistake of ours must not look like a network's
            self.broken_answers.append(f"{request.method} {request.path}: {traceback.format_exc()}")
            answer, tenant = _error(500, "InternalServerError", "The sandbox made a mistake."), None
        secret = request.path.endswith("/token")
        self.requests.insert(place, _noted(request, answer, tenant, "" if secret else request.body.decode(errors="replace")[:_SUMMARY]))
        return answer

    def _routed(self, request: Asked) -> tuple[Answer, str | None]:
        path = request.path
        if path.endswith(("/oauth2/v2.0/token", "/.well-known/openid-configuration")):
            name = path.strip("/").split("/")[0]
            return self._authority.answer(self.address, self._tenants.get(name.lower()), request), name
        graph = path.startswith(("/v1.0/", "/beta/"))
        token = self._authority.find(request.headers.get("authorization", ""))
        if token is None or (GRAPH if graph else ARM) not in token.audiences:
            wrong = "audience" if token is not None else ""
            return _no_token(wrong, graph=graph), None
        if path == "/v1.0/$batch":
            return self._batch(request, token), token.tenant
        return self._one(request, token), token.tenant

    def _one(self, request: Asked, token: Token) -> Answer:
        """Answer a request of a good token, or an item of its batch."""
        too_many = self._faults.before(request)
        if too_many is not None:
            return too_many
        tenant = self._tenants[token.tenant]
        answer = (self._graph if request.path.startswith(("/v1.0/", "/beta/")) else self._arm)(request, tenant, token.client)
        return self._faults.after(request, answer)

    def _arm(self, request: Asked, tenant: SandboxTenant, client: str) -> Answer:
        changes = request.method in {"PUT", "PATCH", "DELETE"}
        refused = self._faults.write_refused(request) or client not in tenant.revokers if changes else self._faults.denied(request)
        if refused:
            return resource_manager.error(403, "AuthorizationFailed", "The client does not have authorization to perform this action.")
        if changes and self._faults.write_ignored(request):
            with snapshot.kept(tenant):
                return resource_manager.answer(tenant, request, self.address)
        return resource_manager.answer(tenant, request, self.address)

    def _graph(self, request: Asked, tenant: SandboxTenant, client: str) -> Answer:
        try:
            answer = self._asked(request, tenant, client)
        except Refusal as refusal:
            if refusal.status == 400:  # noqa: PLR2004 -- HTTP's number
                self.broken_requests.append(f"{request.method} {request.path}: {refusal}")
            return _error(refusal.status, refusal.code, str(refusal))
        return answer

    def _asked(self, request: Asked, tenant: SandboxTenant, client: str) -> Answer:
        if self._contract is not None:
            problems = self._contract.check_request(request.method, request.path, request.query, _document(request))
            if problems:
                raise Refusal(400, "BadRequest", " ".join(problems))
        version, path = request.path.strip("/").partition("/")[::2]
        if request.method != "GET":
            return self._change(request, tenant, client, path)
        if self._faults.denied(request):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        found = directory.meant(tenant, path)
        if found.kind.beta is not (version == "beta"):
            raise Refusal(400, "BadRequest", f"Resource not found for the segment '{path.rpartition('/')[2]}'.")
        if not found.kind.read & tenant.granted(client):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        if found.kind.beta and not tenant.premium:
            message = "Neither tenant is B2C or tenant doesn't have premium license"
            raise Refusal(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", message)
        answer = directory.answer(tenant, request, found, f"{self.address}/{version}")
        units = directory.units(request, found.kind)
        self.resource_units[tenant.id] += units
        if self._contract is not None and version == "v1.0":
            wrong = self._contract.check_response(request.path, answer.body)
            if wrong:
                raise AssertionError("; ".join(wrong))
        return Answer(answer.status, answer.body, {"x-ms-resource-unit": str(units), "OData-Version": "4.0", **answer.headers})

    def _change(self, request: Asked, tenant: SandboxTenant, client: str, path: str) -> Answer:
        wanted = writing.meant(request.method, path)
        if wanted is None or self._faults.write_refused(request) or not wanted.needs & tenant.granted(client):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        document = _document(request)
        given = document if isinstance(document, dict) else {}
        if self._faults.write_ignored(request):
            with snapshot.kept(tenant):
                answer = wanted.make(tenant, given)
        else:
            answer = wanted.make(tenant, given)
        if self._contract is not None and wanted.type is not None and answer.body is not None:
            wrong = self._contract.check_object(wanted.type, answer.body)
            if wrong:
                raise AssertionError("; ".join(wrong))
        return answer

    def _batch(self, request: Asked, token: Token) -> Answer:
        """Judge each item by itself; answers come in another order than questions, as Graph allows itself."""
        too_many = self._faults.before(request)
        if too_many is not None or request.method != "POST":
            return too_many or _error(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
        document = _document(request)
        items = document.get("requests") if isinstance(document, dict) else None
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            return self._bad_batch(request, "Invalid batch payload format.")
        if len(items) > BATCH_MAX:
            return self._bad_batch(request, f"Number of batch request steps exceeds the maximum value of {BATCH_MAX}.")
        if not all(isinstance(item.get(name), str) and item[name] for item in items for name in ("id", "method", "url")):
            return self._bad_batch(request, "Write request id, method and url for each step of a batch.")
        if len({item["id"] for item in items}) < len(items):
            return self._bad_batch(request, "Request Id should be unique for each step of a batch.")
        answers = [self._item(request, token, item) for item in items]
        return self._faults.after(request, Answer(200, {"responses": answers[::-1]}, {"OData-Version": "4.0"}))

    def _bad_batch(self, request: Asked, message: str) -> Answer:
        self.broken_requests.append(f"{request.method} {request.path}: {message}")
        return _error(400, "BadRequest", message)

    def _item(self, request: Asked, token: Token, item: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(item["body"]).encode() if "body" in item else b""
        headers = {"host": request.host, **{str(name): str(value) for name, value in (item.get("headers") or {}).items()}}
        inner = asked(item["method"].upper(), f"/v1.0/{item['url'].lstrip('/')}", headers, body, in_batch=True)
        answer = self._one(inner, token)
        self.requests.append(_noted(inner, answer, token.tenant, body.decode()[:_SUMMARY]))
        # what is no JSON stands in a batch as base64
        given = base64.b64encode(answer.body).decode() if isinstance(answer.body, bytes) else answer.body
        return {"id": item["id"], "status": answer.status, "headers": {"Content-Type": "application/json", **answer.headers}, "body": given}


def _noted(request: Asked, answer: Answer, tenant: str | None, body: str) -> Request:
    return Request(
        method=request.method,
        path=request.path,
        query=request.query,
        body=body,
        status=answer.status,
        tenant=tenant,
        host=request.host,
        with_token="authorization" in request.headers,
        in_batch=request.in_batch,
        headers={name: value for name, value in request.headers.items() if name != "authorization"},
    )


def _document(request: Asked) -> Any:  # noqa: ANN401 -- any JSON value
    """Return the body as JSON, None where there is none, the text where it is no JSON."""
    try:
        return json.loads(request.body) if request.body else None
    except ValueError:
        return request.body.decode(errors="replace")


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    trace = str(uuid4())
    inner = {"date": "2026-01-01T00:00:00", "request-id": trace, "client-request-id": trace}
    return Answer(status, {"error": {"code": code, "message": message, "innerError": inner}}, {"request-id": trace, **(headers or {})})


def _no_token(wrong: str, *, graph: bool) -> Answer:
    code = "InvalidAuthenticationToken" if graph else "AuthenticationFailed"
    empty = "Access token is empty, has expired or is not of this service."
    message = f"Access token validation failure. Invalid {wrong}." if wrong else empty
    challenge = {"WWW-Authenticate": 'Bearer realm="", error="invalid_token"'}
    return _error(401, code, message, challenge) if graph else Answer(401, {"error": {"code": code, "message": message}}, challenge)
