"""The way into an AWS account: the right account or none, and its session renewed while a long reading lasts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar, cast

from botocore import xform_name
from botocore.exceptions import EndpointConnectionError

from connectors.aws.sdk import ExpiredError, NotOfferedError, client, offered, partition_of, sts, told
from countersign.errors import ReadError, ScopeDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from mypy_boto3_iam import IAMClient

    from connectors.aws.listing import Item, Listing
    from countersign.programme import AwsSource
    from countersign.reading import Scope

Answer = TypeVar("Answer")

SESSION_SECONDS = 900
"""How long an assumed role lasts; a longer read assumes it again."""
ORGANIZATION = "organization"
"""Key of a scope's detail: the account that manages the organisation in which the scope was found."""


class Account:
    """One account, entered as one caller."""

    def __init__(  # noqa: PLR0913 -- who enters, where and as whom
        self,
        source: AwsSource,
        number: str,
        role: str | None,
        run: str,
        *,
        external_id: str | None = None,
        base: Mapping[str, str] | None = None,
    ) -> None:
        """Enter the account; raises ScopeDeniedError when it is refused or another account answers, else ReadError.

        `base`: the credentials that enter, or assume the role; None: the process's own.
        """
        self.source = source
        self._external_id = external_id
        self._base = base
        self.number = number
        self._role = role
        self._session_name = re.sub(r"[^\w+=,.@-]", "-", f"countersign-{run}", flags=re.ASCII)[:64]
        self._clients: dict[tuple[str, str | None, bool], Any] = {}
        self.caller = ""
        """ARN of who asks, by STS's word."""
        self._credentials = self._enter()

    def ask(self, operation: str, question: Callable[[IAMClient], Answer]) -> Answer:
        """Put one question to IAM; raises ScopeDeniedError, GoneError or ReadError, naming the operation.

        An assumed role that ran out is assumed again, once.
        """
        return self._renewing(operation, lambda: question(self._client("iam", None, patient=True)))

    def call(self, listing: Listing, parameters: Item, *, region: str | None = None) -> Item:
        """Put any question and give the answer as it was parsed, which may be anything. Region None: the source's first.

        Raises as `ask` does, and NotOfferedError where the service is not in the region.
        """

        def question() -> Item:
            client = self._client(listing.service, region, patient=listing.patient)
            return cast("Item", getattr(client, xform_name(listing.action))(**parameters))

        try:
            return self._renewing(listing.operation, question)
        except ReadError as error:
            nobody = isinstance(error.__cause__, EndpointConnectionError)
            if nobody and region is not None and self.source.endpoint is None and not offered(listing.service, region):
                raise NotOfferedError(listing.operation, f"there is no {listing.service} in {region}") from error
            raise

    def _renewing(self, operation: str, question: Callable[[], Answer]) -> Answer:
        try:
            return told(operation, question)
        except ExpiredError:
            if self._role is None:
                raise
        self._credentials = self._enter()
        return told(operation, question)

    def _client(self, service: str, region: str | None, *, patient: bool) -> Any:  # noqa: ANN401 -- made from the service's model
        key = service, region, patient
        if key not in self._clients:
            self._clients[key] = client(self.source, service, region, self._credentials, patient=patient)
        return self._clients[key]

    def _enter(self) -> Mapping[str, str] | None:
        self._clients.clear()
        role = self._role
        if role is None:
            self.caller = caller(self.source, self._base)
            self._check("the credentials of this process belong" if self._base is None else "the credentials given belong")
            return self._base
        parameters = {"ExternalId": self._external_id} if self._external_id else {}
        answer = told(
            "sts:AssumeRole",
            lambda: sts(self.source, self._base).assume_role(
                RoleArn=role,
                RoleSessionName=self._session_name,
                DurationSeconds=SESSION_SECONDS,
                **parameters,  # type: ignore[arg-type] # an optional parameter that STS does not accept as None
            ),
        )
        self.caller = answer["AssumedRoleUser"]["Arn"]
        self._check(f"{role} belongs")
        return cast("Mapping[str, str]", answer["Credentials"])

    def _check(self, whose: str) -> None:
        actual = account_of(self.caller)
        if actual != self.number:
            operation = "sts:GetCallerIdentity" if self._role is None else "sts:AssumeRole"
            right = "Name a role in that account, or its credentials"
            message = f"{whose} to account {actual}, not to {self.number}; nothing was asked of it. {right}"
            raise ScopeDeniedError(operation, message)


def enter(source: AwsSource, scope: Scope, run: str) -> Account:
    """Enter a scope's account with its role.

    In an organisation, the account that the credentials at hand belong to is read with these where its role refuses:
    a management account often has no such role. Raises as `Account` does, with the role's refusal.
    """
    role = scope.detail.get("role") or role_arn(source, scope.name)
    try:
        return Account(source, scope.name, role, run, external_id=source.external_id)
    except ScopeDeniedError:
        if role is None or ORGANIZATION not in scope.detail or account_of(caller(source)) != scope.name:
            raise
    return Account(source, scope.name, None, run)


def enter_to_revoke(source: AwsSource, scope: Scope, run: str, base: Mapping[str, str] | None) -> Account:
    """Enter a scope's account with the role that revokes, or with the credentials `base` where the source names none."""
    role = None if source.revoke_role is None else arn_of(source, source.revoke_role, scope.name)
    return Account(source, scope.name, role, run, external_id=source.revoke_external_id, base=base)


def caller(source: AwsSource, base: Mapping[str, str] | None = None) -> str:
    """Give the ARN behind some credentials, None: the process's own; raises ScopeDeniedError or ReadError."""
    return told("sts:GetCallerIdentity", lambda: sts(source, base).get_caller_identity()["Arn"])


def account_of(arn: str) -> str:
    """Give the account number inside an ARN."""
    return next(iter(arn.split(":", 5)[4:5]), "")


def role_arn(source: AwsSource, account: str) -> str | None:
    """Give the ARN of the source's role in an account; None when the source reads as the caller itself."""
    return None if source.role is None else arn_of(source, source.role, account)


def arn_of(source: AwsSource, role: str, account: str) -> str:
    """Give the ARN of a role in an account: its name with or without path, the same in all accounts, or its ARN with `{account}`."""
    if role.startswith("arn:"):
        return role.replace("{account}", account)
    return f"arn:{partition_of(source)}:iam::{account}:role/{role.removeprefix('/')}"
