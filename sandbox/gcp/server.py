"""The local Google Cloud as a whole: two servers, one estate, and a record of what was asked."""

from __future__ import annotations

import copy
import json
import secrets
import ssl
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Self

from sandbox import certificates
from sandbox.gcp import callers
from sandbox.gcp.estate import LONG_AGO, Account, Estate, Folder, Key, Organization, Project
from sandbox.gcp.faults import Break, Faults, without_made_up_token
from sandbox.gcp.operations import WRITES, Operation, called, routed
from sandbox.gcp.refusal import HTTP, Json, Refused, denied, invalid, unauthenticated
from sandbox.gcp.snapshot import snapshot
from sandbox.gcp.wire_grpc import GrpcServer
from sandbox.gcp.wire_rest import RestServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from sandbox.gcp.contract import Contract


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was asked and answered."""

    name: str
    """The rpc, such as `ListServiceAccounts`, or verb and path, such as `GET /v1/projects/p1/serviceAccounts`."""
    method: str
    """The operation's id in Google's discovery documents, the same for both wires; empty if there is none."""
    parameters: Mapping[str, object]
    """What was asked, by the JSON names."""
    status: str
    """`OK` or the canonical code of the refusal."""


class SandboxGcp:
    """A Google Cloud on 127.0.0.1: IAM admin and Cloud Asset by gRPC, those and the smaller APIs by REST, for a `with` block.

    Without more it takes any caller (`anonymous`), since the client libraries send no token over plaintext gRPC. With
    `anonymous=False` every call must bear `token`, which may do everything, or one that an account got with its key file
    (`key_file`) or by impersonation, which may do what `caller` says. `deny` says what is refused to all.

    Only REST tells a key's `disableReason` and `extendedStatus`: the client library's messages (2.27) do not have them.
    """

    def __init__(self, *, port: int = 0, tls: bool = False, anonymous: bool = True, contract: Contract | None = None) -> None:
        """Take the port for gRPC, REST has the next one; 0 for any free ones. A `contract` checks every request and answer."""
        self.endpoint = ""
        """Address for gRPC, such as `127.0.0.1:50051`; empty before the start."""
        self.rest = ""
        """Address for REST, such as `http://127.0.0.1:50052` (https with `tls`); empty before the start."""
        self.ca: Path | None = None
        """With `tls`, the PEM file of the authority to trust."""
        self.token = f"ya29.sandbox-{secrets.token_urlsafe(24)}"
        """The bearer token that this cloud issued."""
        self.calls: list[Call] = []
        self.broken_requests: list[tuple[str, tuple[str, ...]]] = []
        """Requests that broke Google's contract, with what is wrong; they were answered with INVALID_ARGUMENT."""
        self.broken_answers: list[tuple[str, tuple[str, ...]]] = []
        """Answers of ours that would have broken it: a mistake in the sandbox; they became INTERNAL."""
        self.estate = Estate()
        self._faults = Faults()
        self._port = port
        self._tls = tls
        self._anonymous = anonymous
        self._contract = contract
        self._stopping = Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            chain = context = None
            if self._tls:
                folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-gcp-")))
                made = certificates.make()
                self.ca, served = folder / "ca.pem", folder / "server.pem"
                self.ca.write_bytes(made.authority)
                served.touch(mode=0o600)
                served.write_bytes(made.key + made.chain)
                chain, context = (made.key, made.chain), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(served)
            grpc_server = GrpcServer(self, self._port, chain)
            self._stack.callback(grpc_server.close)
            rest_server = RestServer(self, self._port and self._port + 1, context)
            self._stack.callback(rest_server.close)
            self._stack.callback(self._stopping.set)
            self.endpoint, self.rest = grpc_server.endpoint, rest_server.address
            self.estate.address = self.rest
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def organization(self, number: str, *, display_name: str = "") -> Organization:
        """Give an organization; it comes into being by being asked for."""
        return self.estate.organizations.setdefault(number, Organization(number, display_name or f"org-{number}"))

    def project(  # noqa: PLR0913 -- a project has these parts, each with a default
        self,
        project_id: str,
        number: str | None = None,
        *,
        organization: Organization | None = None,
        created: datetime = LONG_AGO,
        labels: Mapping[str, str] | None = None,
        display_name: str = "",
    ) -> Project:
        """Give a project; it comes into being by being asked for, and keeps what was said then."""
        if project_id not in self.estate.projects:
            number = number or f"{100_000_000_001 + len(self.estate.projects)}"
            self.estate.projects[project_id] = Project(project_id, number, organization, created, labels or {}, display_name)
        return self.estate.projects[project_id]

    def folder(self, number: str, organization: Organization) -> Folder:
        """Give a folder; it comes into being by being asked for."""
        return self.estate.folders.setdefault(number, Folder(number, organization))

    def caller(self, account: Account, *permissions: str) -> Account:
        """Say what an account may do when it calls; without this it may do nothing."""
        self.estate.tokens.may[str(account.unique_id)] = frozenset(permissions)
        return account

    def key_file(self, key: Key) -> str:
        """Make the file of a key, with which its account gets tokens here."""
        return callers.key_file(self.estate, key, self.rest)

    def snapshot(self) -> Json:
        """Give everything that revoking could touch, as plain JSON that stays the same while nothing is changed."""
        copied: Json = json.loads(json.dumps(snapshot(self.estate)))
        return copied

    def clear(self) -> None:
        """Forget what was asked so far."""
        self.calls.clear()
        self.broken_requests.clear()
        self.broken_answers.clear()

    def deny(self, scope: str, operation: str = "*") -> None:
        """Refuse in a project (id), `organizations/N` or `*`: an rpc, discovery id, permission or API, or everything.

        A project is refused when it is what the call asks about; a search of the whole organization still covers it.
        """
        self._faults.denied.add((scope.removeprefix("projects/"), operation))

    def allow(self, scope: str, operation: str = "*") -> None:
        """Take back a `deny` of the same words."""
        self._faults.denied.discard((scope.removeprefix("projects/"), operation))

    def disable_api(self, project: str, api: str) -> None:
        """Answer as if the project (id, or `*` for all and for organizations) had not enabled an API such as `iam.googleapis.com`."""
        self._faults.disabled.add((project, api))

    def throttle(self, every: int, *, retry_after_s: float | None = None, operation: str = "*") -> None:
        """Refuse every how manieth call as one too many; `retry_after_s` adds RetryInfo and the header Retry-After."""
        self._faults.throttle = (every, retry_after_s, operation)

    def slow(self, seconds: float, operation: str = "*") -> None:
        """Let calls wait before they are answered."""
        self._faults.slow.append((seconds, operation))

    def break_answer(self, kind: Break, operation: str = "*", *, times: int | None = None) -> None:
        """Break answers (see `Break`) of an operation, so many times or until `heal`."""
        self._faults.break_answer(kind, operation, times)

    def ignore(self, operation: str) -> None:
        """Answer an operation (discovery id) that changes something as if it had been carried out, and do nothing."""
        self._faults.ignored.add(operation)

    def meanwhile(self, operation: str, act: Callable[[], None]) -> None:
        """Let somebody else act just before an operation (discovery id) is carried out the next time."""
        self._faults.meanwhile[operation] = act

    def heal(self) -> None:
        """End every fault."""
        self._faults = Faults()

    def rpc_answer(self, rpc: tuple[str, str], asked: Json, bearer: str) -> Json | bytes:
        """Answer a gRPC call; raises Refused."""
        operation = called(rpc, asked)
        try:
            problems = self._contract.check_message(operation.method, asked) if self._contract else ()
            answer = self._answer(rpc[1], operation, asked, bearer, problems, by_grpc=True)
        except Refused as refused:
            self.calls.append(Call(rpc[1], operation.method, asked, refused.code))
            raise
        self.calls.append(Call(rpc[1], operation.method, asked, "OK"))
        return answer

    def rest_answer(
        self, verb: str, path: str, query: Sequence[tuple[str, str]], body: Json | bytes | None, bearer: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer a REST call: HTTP status, headers and body."""
        if verb == "POST" and path in {"token", "tokeninfo"}:
            return self._oauth(path, body, bearer)
        name, found = f"{verb} /{path}", routed(verb, path)
        asked = _asked(query, body, found[1] if found else {})
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        status, written = "OK", b""
        try:
            problems = self._contract.check_request(verb, path, query, body) if self._contract else ()
            answer = self._answer(name, found and found[0], asked, bearer, problems, by_grpc=False)
            written = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        except Refused as refused:
            status, written = refused.code, json.dumps(refused.body()).encode()
            if refused.retry_after_s is not None:
                headers["Retry-After"] = f"{refused.retry_after_s:g}"
        self.calls.append(Call(name, found[0].method if found else "", asked, status))
        return HTTP[status], headers, written

    def _answer(  # noqa: PLR0913 -- a call has these parts on either wire
        self, name: str, operation: Operation | None, asked: Json, bearer: str, problems: tuple[str, ...], *, by_grpc: bool
    ) -> Json | bytes:
        account = None if self._anonymous else self._caller(bearer)
        if problems:
            self.broken_requests.append((name, problems))
            raise invalid("The request breaks Google's discovery document: " + "; ".join(problems))
        if operation is None:
            raise Refused("UNIMPLEMENTED", f"The sandbox does not answer {name}.")
        if account is not None and operation.needs(asked) not in self.estate.tokens.may.get(str(account.unique_id), ()):
            raise denied(operation.needs(asked), str(asked.get(operation.parameter or "parent") or ""))
        self._faults.before(operation, asked, self._scope(operation, asked), self._stopping)
        self._faults.interfere(operation)
        ignored = operation.method in self._faults.ignored and operation in WRITES
        answer = operation.answer(copy.deepcopy(self.estate) if ignored else self.estate, without_made_up_token(asked))
        broken = self._contract.check_response(operation.method, answer) if self._contract else ()
        if broken:
            self.broken_answers.append((name, broken))
            raise Refused("INTERNAL", "The sandbox's answer breaks Google's discovery document: " + "; ".join(broken))
        return self._faults.after(operation, asked, answer, by_grpc=by_grpc)

    def _caller(self, bearer: str) -> Account | None:
        """Give whose token a call bears; None for the one that may do everything. Raises Refused."""
        token = bearer.removeprefix("Bearer ")
        if secrets.compare_digest(token.encode(), self.token.encode()):
            return None
        account = self.estate.tokens.held.get(token)
        if account is None or account.disabled or account.project.accounts.get(account.email) is not account:
            raise unauthenticated()
        return account

    def _oauth(self, path: str, body: Json | bytes | None, bearer: str) -> tuple[int, Mapping[str, str], bytes]:
        """Answer what is OAuth's and in no discovery document; tokens are never recorded."""
        if path == "token":
            status, answer = callers.token(self.estate, body if isinstance(body, bytes) else b"")
        else:
            status, answer = callers.token_info(self.estate.tokens.held.get(bearer.removeprefix("Bearer ")))
        return status, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(answer).encode()

    def _scope(self, operation: Operation, asked: Json) -> tuple[str, str]:
        """Give id and number of the project that is asked about, `organizations/N` twice, or two empty texts; raises Refused."""
        resource = str(asked.get(operation.parameter or "parent") or "")
        if not resource.startswith(("projects/", "organizations/")):
            resource = str(asked.get("parent") or "")
        if resource.startswith("organizations/"):
            return (organization := "/".join(resource.split("/")[:2])), organization
        if not resource.startswith("projects/"):
            return "", ""
        try:
            project = self.estate.account(resource).project if resource.startswith("projects/-/") else self.estate.project(resource)
        except Refused:
            return "", ""
        return project.project_id, project.number


def _asked(query: Sequence[tuple[str, str]], body: Json | bytes | None, named: Json) -> Json:
    asked: Json = {}
    for name, value in query:
        if name in {"keyTypes", "assetTypes"}:
            asked.setdefault(name, []).append(value)
        else:
            asked[name] = value
    return {**asked, **(body if isinstance(body, dict) else {}), **named}
