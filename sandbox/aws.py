"""A local AWS that speaks the real IAM and STS protocols, with helpers that seed accounts and give them a past."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from moto.iam.models import AccessKeyLastUsed, iam_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

from sandbox import aws_gaps

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from types import TracebackType

    from botocore.awsrequest import AWSRequest
    from mypy_boto3_iam import IAMClient

CALLER_ACCOUNT = "123456789012"
"""The account whose credentials `environment` holds: from here roles in other accounts are assumed."""
CALLER_KEY = "AKIAIOSFODNN7EXAMPLE"
CALLER_USER = "countersign-runner"
"""The user in the caller's account to whom the key belongs."""
_REGION = "eu-west-2"
_running: list[SandboxAws] = []


class SandboxAws:
    """An AWS of any number of accounts on 127.0.0.1; one at a time in a process, since moto's state is the process's.

    Beyond moto it pages, reports the root user, refuses denied calls, inactive and unknown keys, and checks role trust
    with ExternalId (see `aws_gaps`). It checks no signatures and evaluates no permission policies.
    """

    environment: Mapping[str, str] = {
        "AWS_ACCESS_KEY_ID": CALLER_KEY,
        "AWS_SECRET_ACCESS_KEY": "sandbox-secret",
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    """What a process needs to call as `CALLER_USER`, and to find no real credentials of the person at the keyboard."""

    def __init__(self, port: int = 0) -> None:
        """Take a port, 0 for any free one."""
        self._port = port
        self._stack = ExitStack()
        self._estate = aws_gaps.Estate()
        self._accounts: dict[str, SandboxAccount] = {}
        self._session = boto3.Session(CALLER_KEY, "sandbox", region_name=_REGION)
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
        self._stack.enter_context(aws_gaps.closed(self._estate))
        requests = logging.getLogger("werkzeug")
        self._stack.callback(requests.setLevel, requests.level)
        requests.setLevel(logging.ERROR)
        server = make_server(
            "127.0.0.1", self._port, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=MotoRequestHandler
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
        """Stop, and give moto back as it was."""
        self._stack.close()

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Calls so far by (account, action), without the sandbox's own; clear it to count from now."""
        return self._estate.calls

    def account(self, number: str) -> SandboxAccount:
        """Give an account; it comes into being by being asked for."""
        if number not in self._accounts:
            self._accounts[number] = SandboxAccount(number, self._estate, self._client(number))
        return self._accounts[number]

    def deny(self, account: str, operation: str) -> None:
        """Refuse an operation such as `iam:ListAccessKeys`, or `*`, in an account from now on: a real AccessDenied.

        `sts:AssumeRole` is refused by the account that the role is in.
        """
        self._estate.denied.add((account, operation.rpartition(":")[2]))

    def allow(self, account: str, operation: str) -> None:
        """Take back a `deny`."""
        self._estate.denied.discard((account, operation.rpartition(":")[2]))

    def expire_sessions(self, account: str) -> None:
        """Let every session that was assumed in an account so far run out."""
        self._estate.expired |= {role.access_key_id for role in sts_backends[account]["aws"].assumed_roles}

    def _client(self, number: str) -> IAMClient:
        client = self._session.client("iam", endpoint_url=self.endpoint, config=Config(retries={"total_max_attempts": 1}))

        def act_in_account(request: AWSRequest, **_: object) -> None:
            request.headers[aws_gaps.HANDS] = number

        client.meta.events.register("before-sign.iam", act_in_account)
        return client


class SandboxAccount:
    """One account: `iam` acts in it as an administrator; the other methods write the past straight into it.

    All times are instants, in any zone. A policy is an ARN, or the name of one of AWS's own.
    """

    def __init__(self, number: str, estate: aws_gaps.Estate, iam: IAMClient) -> None:
        self.number = number
        self.iam = iam
        """A client that `deny` does not bind."""
        self._estate = estate
        self._backend: Any = iam_backends[number]["aws"]

    def user(  # noqa: PLR0913 -- a user has that many facets, all but two optional
        self,
        name: str,
        created: datetime,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        console: bool = False,
        password_changed: datetime | None = None,
        password_last_used: datetime | None = None,
        mfa: bool = False,
        policies: tuple[str, ...] = (),
        inline: Mapping[str, object] | None = None,
        groups: tuple[str, ...] = (),
        boundary: str | None = None,
    ) -> str:
        """Create a user and give its id (AIDA...); `console` gives it a password, `inline` is policy name to document."""
        user = self._backend.create_user(_REGION, name, path, _tags(tags))
        if console:
            self._backend.create_login_profile(name, "sandbox-password")
        self.backdate_user(name, created, password_changed=password_changed, password_last_used=password_last_used)
        for policy in policies:
            self._backend.attach_user_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self._backend.put_user_policy(name, title, json.dumps(document))
        for group in groups:
            self._backend.add_user_to_group(group, name)
        if boundary is not None:
            self.iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=_arn(boundary))
        if mfa:
            self.mfa(name)
        return str(user.id)

    def key(
        self, user: str, created: datetime, *, last_used: datetime | None = None, active: bool = True, key_id: str | None = None
    ) -> str:
        """Create an access key and give its id (AKIA...); `key_id` sets the id, which is otherwise made up."""
        key = self._backend.create_access_key(user, status="Active" if active else "Inactive")
        if key_id is not None:
            self._backend.access_keys[key_id] = self._backend.access_keys.pop(key.access_key_id)
            key.access_key_id = key_id
        self.backdate_key(key.access_key_id, created, last_used=last_used)
        return str(key.access_key_id)

    def group(self, name: str, *, policies: tuple[str, ...] = (), inline: Mapping[str, object] | None = None) -> None:
        """Create a group with its policies; users join it in `user`."""
        self._backend.create_group(name)
        for policy in policies:
            self._backend.attach_group_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self._backend.put_group_policy(name, title, json.dumps(document))

    def role(  # noqa: PLR0913 -- a role has that many facets, all but three optional
        self,
        name: str,
        trust: Mapping[str, object],
        created: datetime,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        last_used: datetime | None = None,
        policies: tuple[str, ...] = (),
        inline: Mapping[str, object] | None = None,
        boundary: str | None = None,
    ) -> str:
        """Create a role with a trust policy (see `trust`) and give its id (AROA...)."""
        role = self._backend.create_role(
            role_name=name,
            assume_role_policy_document=json.dumps(trust),
            path=path,
            permissions_boundary=None if boundary is None else _arn(boundary),
            description="",
            tags=_tags(tags),
            max_session_duration="3600",
        )
        role.create_date = _naive(created)
        if boundary is not None:
            aws_gaps.load_aws_policy(self._backend, _arn(boundary))
        for policy in policies:
            self._backend.attach_role_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self._backend.put_role_policy(name, title, json.dumps(document))
        if last_used is not None:
            self.role_last_used(name, last_used)
        return str(role.id)

    def policy(self, name: str, document: Mapping[str, object]) -> str:
        """Create a managed policy of the account's own and give its ARN."""
        return str(self._backend.create_policy("", "/", json.dumps(document), name, []).arn)

    def backdate_user(
        self, name: str, created: datetime, *, password_changed: datetime | None = None, password_last_used: datetime | None = None
    ) -> None:
        """Give a user an earlier creation; the password changes then too unless said otherwise."""
        user = self._backend.get_user(name)
        user.create_date = _naive(created)
        user.password_changed = _naive(password_changed or created)
        user.password_last_used = None if password_last_used is None else _naive(password_last_used)

    def backdate_key(self, key_id: str, created: datetime, *, last_used: datetime | None = None) -> None:
        """Give a key an earlier creation and its last use; None: never used."""
        key = self._backend.access_keys[key_id]
        key.create_date = _naive(created)
        key.last_used = None if last_used is None else AccessKeyLastUsed(_naive(last_used), "s3", _REGION)

    def mfa(self, user: str) -> None:
        """Give a user an MFA device."""
        self._backend.get_user(user).enable_mfa_device(f"arn:aws:iam::{self.number}:mfa/{user}", "000000", "000001")

    def role_last_used(self, role: str, at: datetime) -> None:
        """Say when a role was last used."""
        used = self._backend.get_role(role)
        used.last_used, used.last_used_region = _naive(at), _REGION

    def root(
        self, *, mfa: bool, password_last_used: datetime | None = None, keys: tuple[tuple[datetime, datetime | None], ...] = ()
    ) -> None:
        """Describe the root user; keys are (created, last used or None). Without this it has MFA and no keys."""
        self._estate.roots[self.number] = aws_gaps.Root(mfa=mfa, password_last_used=password_last_used, keys=keys)

    def freeze_report(self, at: datetime) -> None:
        """Write the credential report as of now, date it, and keep it: IAM renews a report only every four hours."""
        root = self._estate.roots.setdefault(self.number, aws_gaps.Root())
        self._estate.reports[self.number] = (aws_gaps.report_text(self.number, root), _naive(at).replace(microsecond=0))
        self._estate.frozen.add(self.number)


def trust(*principals: str, external_id: str | None = None) -> dict[str, Any]:
    """Write a trust policy for accounts, ARNs or `*`, narrowed by an ExternalId when one is given."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust_issuer(account: str, issuer: str, condition: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Write a trust policy for an OIDC issuer (host and path, no scheme) with the condition given."""
    principal = {"Federated": f"arn:aws:iam::{account}:oidc-provider/{issuer}"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def _arn(policy: str) -> str:
    return policy if policy.startswith("arn:") else f"arn:aws:iam::aws:policy/{policy}"


def _tags(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def _naive(when: datetime) -> datetime:
    """Give a time as moto keeps it: UTC, without saying so."""
    return when.astimezone(UTC).replace(tzinfo=None)
