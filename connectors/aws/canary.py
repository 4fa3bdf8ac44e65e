"""Canaries in one AWS account: a user with an access key, and an administrator role that nobody can assume."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Self, cast

from connectors.aws.asking import ask, names, rows
from connectors.aws.door import ORGANIZATION, Account
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import text
from countersign.canary import ENVIRONMENT, PARTNER, PREFIX, CanaryError, Planted, environment
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from types import TracebackType

    from connectors.aws.listing import Item
    from countersign.programme import AwsSource, Source
    from countersign.reading import Scope

BREAKS = ("named-owner", "workload-registered")
"""Nobody registered them, whatever the customer's policies say."""
_TAGS = [{"Key": PARTNER, "Value": "yes"}]
_POLICY = "countersign-drill-administrator"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_NOBODY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
"""A role has to say something of who may assume it; what denies, and allows nobody, lets nobody in."""
_LEFTOVERS = "run the drill again; what stays then was given something by others, and is deleted in IAM's console"


def planter(source: Source, scope: Scope, *, now: Callable[[], datetime]) -> AwsPlanter:
    """Enter an account that is set aside; nothing is asked of AWS before the `with` block."""
    del now  # nothing here depends on the time
    return AwsPlanter(cast("AwsSource", source), scope)  # the programme loader hands each connector its own kind of source


class AwsPlanter:
    """One account, entered as the identity that drills; see `countersign.canary.Planter`."""

    def __init__(self, source: AwsSource, scope: Scope) -> None:
        self._source, self._scope = source, scope
        self._entered: Account | None = None

    def __enter__(self) -> Self:
        """Enter; raises CanaryError where there is no identity that drills, or it belongs to another account."""
        try:
            self._entered = Account(self._source, self._scope.name, None, "drill", base=_credentials(environment(os.environ)))
        except ReadError as error:
            raise _refused(error) from error
        called = self._entered.caller.split("/")[1 if ":assumed-role/" in self._entered.caller else -1]
        if called.startswith(PREFIX):
            raise CanaryError(
                f"the identity that drills is itself called {called}, and would be removed", fix=f"do not begin it with {PREFIX}"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered = None

    def plant(self, drill: str) -> Iterator[Planted]:
        """Make a user with an access key, and, where the account does not manage an organisation, a role that may do everything."""
        name = f"{PREFIX}{drill}-user"
        user = self._made("iam:CreateUser", "User", {"UserName": name, "Tags": _TAGS})
        key = self._made("iam:CreateAccessKey", "AccessKey", {"UserName": name})
        yield Planted(
            uid=self._uid("user", text(user, "UserId")), name=name, breaks=BREAKS,
            credential=self._uid("access-key", text(key, "AccessKeyId")), secret=text(key, "SecretAccessKey"),
        )  # fmt: skip
        if self._scope.detail.get(ORGANIZATION) == self._scope.name:
            return  # an administrator there is one of every account
        name = f"{PREFIX}{drill}-role"
        asked = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(_NOBODY), "Tags": _TAGS}
        role = self._made("iam:CreateRole", "Role", asked)
        try:
            ask(self._account, "iam:PutRolePolicy", {"RoleName": name, "PolicyName": _POLICY, "PolicyDocument": json.dumps(_EVERYTHING)})
        except ReadError as error:
            raise _refused(error) from error
        yield Planted(uid=self._uid("role", text(role, "RoleId")), name=name, breaks=tuple(sorted((*BREAKS, "over-privileged"))))

    def remove(self) -> tuple[str, ...]:
        """Delete the users and roles whose name begins with PREFIX, with their keys and policies."""
        try:
            users = _found(rows(self._account, "iam:ListUsers", "Users"), "UserName")
            roles = _found(rows(self._account, "iam:ListRoles", "Roles"), "RoleName")
        except ReadError as error:
            raise _refused(error) from error
        stays = []
        for kind, found in (("User", users), ("Role", roles)):
            for name in found:
                try:
                    self._delete(kind, name)
                except GoneError:
                    continue  # somebody else was faster
                except ReadError as error:
                    stays.append(f"{name} ({error.message})")
        if stays:
            raise CanaryError(f"in account {self._scope.name} there stays {', '.join(stays)}", fix=_LEFTOVERS)
        return (*users, *roles)

    def _delete(self, kind: str, name: str) -> None:
        """Take from a user or role what hangs on it, such as the policy that revoking attached, and delete it."""
        whose = {f"{kind}Name": name}
        if kind == "User":
            for key in list(rows(self._account, "iam:ListAccessKeys", "AccessKeyMetadata", whose)):
                ask(self._account, "iam:DeleteAccessKey", {**whose, "AccessKeyId": text(key, "AccessKeyId")})
        for policy in list(rows(self._account, f"iam:ListAttached{kind}Policies", "AttachedPolicies", whose)):
            ask(self._account, f"iam:Detach{kind}Policy", {**whose, "PolicyArn": text(policy, "PolicyArn")})
        for inline in list(names(self._account, f"iam:List{kind}Policies", "PolicyNames", whose)):
            ask(self._account, f"iam:Delete{kind}Policy", {**whose, "PolicyName": inline})
        ask(self._account, f"iam:Delete{kind}", whose)

    def _made(self, operation: str, member: str, parameters: Item) -> Item:
        """Make something, and return the member of the answer that tells of it."""
        try:
            made = ask(self._account, operation, parameters).get(member)
        except ReadError as error:
            raise _refused(error) from error
        if not isinstance(made, dict):
            raise CanaryError(f"{operation}: the answer has no {member}")
        return made

    @property
    def _account(self) -> Account:
        if self._entered is None:
            message = "a planter is used within its `with` block"
            raise RuntimeError(message)
        return self._entered

    def _uid(self, kind: str, native: str) -> str:
        return uid("aws", self._scope.name, kind, native)


def _found(listed: Iterator[Mapping[str, object]], name: str) -> tuple[str, ...]:
    return tuple(sorted(one for row in listed if (one := text(row, name)).startswith(PREFIX)))


def _credentials(variables: Mapping[str, str]) -> Mapping[str, str]:
    key, secret, token = (variables.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    if not key or not secret:
        raise CanaryError(
            "there is no identity that drills", fix=f"set {ENVIRONMENT}AWS_ACCESS_KEY_ID and {ENVIRONMENT}AWS_SECRET_ACCESS_KEY"
        )
    return {"AccessKeyId": key, "SecretAccessKey": secret} | ({"SessionToken": token} if token else {})


def _refused(error: ReadError) -> CanaryError:
    denied = isinstance(error, ScopeDeniedError)
    return CanaryError(error.message, fix="give the identity that drills drill.json, see docs/connectors/aws.md" if denied else error.fix)
