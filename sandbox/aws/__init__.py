"""A local AWS that speaks the real protocols of IAM, STS and seven services more, with helpers that seed accounts and give them a past."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

from sandbox.aws import gaps, organizations
from sandbox.aws.account import SandboxAccount
from sandbox.aws.anywhere import Shown
from sandbox.aws.disturbances import Break, Broken, Failure, normal
from sandbox.aws.estate import REGION, Asked, Estate
from sandbox.aws.front import HANDS, Front
from sandbox.aws.organizations import Member
from sandbox.aws.snapshot import taken
from sandbox.aws.trust import trust, trust_issuer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from botocore.awsrequest import AWSRequest
    from mypy_boto3_iam import IAMClient

__all__ = [
    "CALLER_ACCOUNT",
    "CALLER_KEY",
    "CALLER_USER",
    "Asked",
    "Broken",
    "Member",
    "SandboxAccount",
    "SandboxAws",
    "Shown",
    "trust",
    "trust_issuer",
]

CALLER_ACCOUNT = "123456789012"
"""The account whose credentials `environment` holds: from here roles in other accounts are assumed."""
CALLER_KEY = "AKIAIOSFODNN7EXAMPLE"
CALLER_USER = "countersign-runner"
"""The user in the caller's account to whom the key belongs."""
_running: list[SandboxAws] = []


@cache
def _session() -> boto3.Session:
    """Give the session that seeds: a new one for each sandbox would read the services' models again each time."""
    return boto3.Session(CALLER_KEY, "sandbox", region_name=REGION)


class SandboxAws:
    """An AWS of any number of accounts on 127.0.0.1; one at a time in a process, since moto's state is the process's.

    Beyond moto it pages, reports the root user, checks role trust with ExternalId (see `gaps`), refuses denied calls,
    inactive and unknown keys, and answers what moto lacks (see `front`). Every request is checked against botocore's model
    of its service, and so is every answer that is not moto's. It checks no signatures and evaluates no permission policies.
    """

    environment: Mapping[str, str] = {
        "AWS_ACCESS_KEY_ID": CALLER_KEY,
        "AWS_SECRET_ACCESS_KEY": "sandbox-secret",
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    """What a process needs to call as `CALLER_USER`, and to find no real credentials of the person at the keyboard."""

    def __init__(self, port: int = 0) -> None:
        """Take a port, 0 for any free one."""
        self._port = port
        self._stack = ExitStack()
        self.estate = Estate()
        self._accounts: dict[str, SandboxAccount] = {}
        self.endpoint = ""
        """Address of every service, such as `http://127.0.0.1:4566`; empty before the start."""

    def __enter__(self) -> Self:
        """Start empty: nothing of an earlier sandbox is left. Raises RuntimeError while another one runs in this process."""
        if _running:
            message = "a sandbox AWS already runs in this process, and its state cannot be shared"
            raise RuntimeError(message)
        for backends in (iam_backends, sts_backends):
            backends.clear()
        mock_random.seed(20260101)  # the same ids every time, so that two demos can be compared
        self._stack.enter_context(gaps.closed(self.estate))
        requests = logging.getLogger("werkzeug")
        self._stack.callback(requests.setLevel, requests.level)
        requests.setLevel(logging.ERROR)
        server = make_server(
            "127.0.0.1",
            self._port,
            Front(self.estate, DomainDispatcherApplication(create_backend_app)),
            threaded=True,
            request_handler=MotoRequestHandler,
        )
        # moto's own server asks twice a second whether it should stop, which a test suite waits for each time.
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox-aws", daemon=True)
        serving.start()
        self._stack.callback(serving.join)
        self._stack.callback(server.shutdown)
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        _running.append(self)
        self._stack.callback(_running.remove, self)
        runner = self.account(CALLER_ACCOUNT)
        runner.user(CALLER_USER, datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
        runner.key(CALLER_USER, datetime(2026, 1, 5, 9, 1, tzinfo=UTC), key_id=CALLER_KEY)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, and give moto back as it was. Raises AssertionError when an answer of the sandbox broke a service's model."""
        self._stack.close()
        if error is None and self.estate.wrong:
            raise AssertionError("; ".join(self.estate.wrong))

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Calls so far by (account, action), without the sandbox's own; clear it to count from now."""
        return self.estate.calls

    @property
    def asked(self) -> list[Asked]:
        """What was asked so far, in order: account, operation, Region and names of the parameters; clear it to list from now."""
        return self.estate.asked

    def account(self, number: str) -> SandboxAccount:
        """Give an account; it comes into being by being asked for."""
        if number not in self._accounts:
            self._accounts[number] = SandboxAccount(number, self.estate, self._client(number))
        return self._accounts[number]

    def deny(self, account: str, operation: str) -> None:
        """Refuse an operation such as `iam:ListAccessKeys`, `rolesanywhere:*` or `*`, in an account from now on: a real AccessDenied.

        `sts:AssumeRole` is refused by the account that the role is in. `access-analyzer:ListFindings` is the permission for
        `ListFindingsV2` too. For this and what follows the account may be `*`.
        """
        self.estate.disturbances.denied.add((account, normal(operation)))

    def allow(self, account: str, operation: str) -> None:
        """Take back a `deny`."""
        self.estate.disturbances.denied.discard((account, normal(operation)))

    def only(self, account: str, principal: str, permissions: Iterable[str]) -> None:
        """Let a `role/<name>` or `user/<name>` call what these permissions allow, and nothing else; GetCallerIdentity needs none."""
        kind, _, name = principal.partition("/")
        arn = f"arn:aws:sts::{account}:assumed-role/{name}" if kind == "role" else f"arn:aws:iam::{account}:user/{name}"
        self.estate.allowed[arn] = frozenset(map(normal, permissions))

    def ignore(self, account: str, operation: str) -> None:
        """Answer an operation as if it had been done, and do nothing, until `calm`."""
        self.estate.disturbances.ignored.add((account, normal(operation)))

    def throttle(self, account: str, operation: str, *, times: int | None = 1) -> None:
        """Answer the next calls with the service's own error for too many; None: all of them."""
        self.estate.disturbances.failures[account, normal(operation)] = Failure(None, "", times)

    def limit(self, account: str, operation: str, *, calls: int = 2, seconds: float = 1.0) -> None:
        """Throttle what is more than so many calls within so many seconds of the machine's clock, in each Region."""
        self.estate.disturbances.limits[account, normal(operation)] = (calls, seconds)

    def fail(self, account: str, operation: str, code: str, message: str = "", *, times: int | None = None) -> None:
        """Answer the next calls with an error code such as `OptInRequired` or `InternalFailure`; None: all of them."""
        self.estate.disturbances.failures[account, normal(operation)] = Failure(code, message or code, times)

    def spoil(self, account: str, operation: str, how: Broken, *, times: int | None = None) -> None:
        """Break the next answers in a way `Broken` names; None: all of them."""
        self.estate.disturbances.breaks[account, normal(operation)] = Break(how, times)

    def slow(self, account: str, operation: str, seconds: float) -> None:
        """Keep each answer back for so many seconds."""
        self.estate.disturbances.delays[account, normal(operation)] = seconds

    def calm(self) -> None:
        """Take back every `throttle`, `limit`, `fail`, `spoil`, `slow` and `ignore`."""
        self.estate.disturbances.calm()

    def pages(self, operation: str, most: int) -> None:
        """Give no more than so many entries on a page of an operation, whatever is asked for.

        This holds for what the sandbox answers itself, for ListUsers, ListAccessKeys and GetAccountAuthorizationDetails.
        """
        self.estate.disturbances.pages[normal(operation)] = most

    def at(self, now: datetime) -> None:
        """Set the time that CloudTrail counts its 90 days back from; otherwise it is the machine's."""
        self.estate.now = now

    # Each of these is described where it is defined, beside what answers for it.
    organization = organizations.found
    delegated_administrator = organizations.delegate
    service_access = organizations.service_access
    billing_transfer = organizations.billing_transfer

    def snapshot(self) -> dict[str, Any]:
        """Give all that revoking could change, in every account, as plain JSON; what moves by itself (last use) is left out."""
        return taken(self.estate, {CALLER_ACCOUNT, *self._accounts})

    def expire_sessions(self, account: str) -> None:
        """Let every session that was assumed in an account so far run out."""
        self.estate.expired |= {role.access_key_id for role in sts_backends[account]["aws"].assumed_roles}

    def _client(self, number: str) -> IAMClient:
        client = _session().client("iam", endpoint_url=self.endpoint, config=Config(retries={"total_max_attempts": 1}))

        def act_in_account(request: AWSRequest, **_: object) -> None:
            request.headers[HANDS] = number

        client.meta.events.register("before-sign.iam", act_in_account)
        return client
