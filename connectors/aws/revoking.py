"""The revoking side of AWS: one account entered twice, by who looks and by who writes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from connectors.aws.door import enter, enter_to_revoke
from connectors.aws.revoking_delegations import ADMINISTRATOR, DELEGATION_ACTIONS, DELEGATIONS, administrator_changes, delegation_changes
from connectors.aws.revoking_holdings import HOLDING_ACTIONS, certificate_changes, secret_changes
from connectors.aws.revoking_plan import Hands, Planning, kind_and_id, left
from connectors.aws.revoking_roles import ROLE_ACTIONS, role_changes
from connectors.aws.revoking_users import USER_ACTIONS, user_changes
from connectors.aws.sdk import client, failure, reason_of
from countersign.errors import ReadError, ScopeDeniedError
from countersign.revocation import Change, RevocationDeniedError, RevocationError, Tried, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Literal, Self

    from connectors.aws.door import Account
    from countersign.programme import AwsSource, Source
    from countersign.reading import Scope
    from countersign.revocation import Hand, Holding, Left, State

ACTIONS = {one.name: one for one in (*USER_ACTIONS, *ROLE_ACTIONS, *DELEGATION_ACTIONS, *HOLDING_ACTIONS)}
_REFUSED = frozenset({"InvalidClientTokenId", "UnrecognizedClientException"})
_CONSOLE = {
    "s3": "S3 > Buckets > Permissions > Bucket policy",
    "kms": "KMS > Customer managed keys > Key policy, and Grants",
    "sqs": "SQS > Queues > Access policy",
    "sns": "SNS > Topics > Access policy",
    "lambda": "Lambda > Functions > Configuration > Permissions > Resource-based policy",
    "secretsmanager": "Secrets Manager > Secrets > Resource permissions",
    "ecr": "ECR > Repositories > Permissions",
    "dynamodb": "DynamoDB > Tables > Permissions",
    "elasticfilesystem": "EFS > File systems > File system policy",
    "ec2": "EC2 > Snapshots > Modify permissions",
    "rds": "RDS > Snapshots > Share snapshot",
}
"""Where the console keeps what shares a resource, by the service in its ARN."""
_NOT_TRIED = {
    "password": "IAM has no call that signs in to the console",
    "service-specific-credential": "it is tried at its own service only, in a protocol of that service",
    "ssh-key": "it is tried by a Git client at CodeCommit only",
    "signing-certificate": "it signs requests of old services only",
    "certificate": "it is tried with its private key, which nobody gives away",
}


def hand(source: Source, scope: Scope, *, run: str, now: Callable[[], datetime]) -> Hand:
    """Give the hand of one account; nothing is asked of AWS before the `with` block."""
    return AwsHand(cast("AwsSource", source), scope, run, now)  # the programme loader hands each connector its own kind of source


class AwsHand:
    """One account: planned and looked at by the reading identity, written by the revoking one."""

    def __init__(self, source: AwsSource, scope: Scope, run: str, now: Callable[[], datetime]) -> None:
        self._source = source
        self._scope = scope
        self._run = run
        self._now = now
        self._reader: Account | None = None
        self._writer: Account | None = None

    def __enter__(self) -> Self:
        """Enter the account to look; raises RevocationError when it is refused or another account answers."""
        with _ours():
            self._reader = enter(self._source, self._scope, self._run)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of both sessions."""
        self._reader = self._writer = None

    def changes(self, holdings: Sequence[Holding], phase: Literal["disable", "delete"], since: datetime) -> Iterator[Change | Left]:
        """Yield what takes these holdings away; see `countersign.revocation.Hand`."""
        plan = Planning(reader=self._read, source=self._source.name, scope=self._scope.name, phase=phase, since=since)
        grouped: dict[str, list[Holding]] = {}
        for one in sorted(holdings, key=lambda one: one.uid):
            grouped.setdefault(one.identity_uid, []).append(one)
        for uid, held in sorted(grouped.items()):
            with _ours():
                planned = list(_planned(plan, uid, held))
            yield from planned

    def look(self, change: Change) -> State:
        """Return the state now, asked afresh; raises RevocationError."""
        self._check(change)
        with _ours():
            return ACTIONS[change.action].look(self._read, change)

    def write(self, change: Change) -> None:
        """Set the one thing to `after`; raises RevocationDeniedError when the account refuses, or when reader and revoker are one."""
        self._check(change)
        reader, writer = self.who()
        if reader == writer:
            raise RevocationDeniedError(
                f"{writer} both reads and revokes; nothing was changed",
                fix="name another role in `revoke_role`, or give credentials of another identity in COUNTERSIGN_REVOKE_AWS_...",
            )
        with _ours():
            ACTIONS[change.action].write(Hands(self._read, self._write, self._now), change)

    def attempt(self, uid: str, secret: str) -> Tried:
        """Ask STS who an access key is, which needs no permission: a key that is inactive or gone is refused."""
        kind, native_id = kind_and_id(uid)
        call = "sts:GetCallerIdentity"
        if kind != "access-key" or "@" in native_id:
            why = (
                "the id of the key was not read"
                if kind == "access-key"
                else _NOT_TRIED.get(kind, "AWS has no call that tries it by itself")
            )
            return Tried(None, call, why)
        try:
            client(self._source, "sts", credentials={"AccessKeyId": native_id, "SecretAccessKey": secret}).get_caller_identity()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            # A wrong secret is told only of a key that AWS still takes, so it says nothing of what the owner would get.
            return Tried(True if code in _REFUSED else None, call, reason_of(failure(call, error)).replace(secret, "…"))
        except Exception as error:  # noqa: BLE001 - the SDK's parsers raise almost anything over a broken answer
            return Tried(None, call, reason_of(failure(call, error)).replace(secret, "…"))
        return Tried(False, call, "AWS still answers it")  # noqa: FBT003 - the field's own value

    def who(self) -> tuple[str, str]:
        """Return who reads and who writes, as ARNs without their sessions; raises RevocationError where nobody revokes."""
        with _ours():
            return _principal(self._read.caller), _principal(self._write.caller)

    @property
    def _read(self) -> Account:
        if self._reader is None:
            raise RevocationError(f"account {self._scope.name} is not entered", fix="use the hand in a `with` block")
        return self._reader

    @property
    def _write(self) -> Account:
        if self._writer is None:
            base = _credentials(environment(os.environ))
            if base is None and self._source.revoke_role is None:
                raise RevocationError(
                    f"source {self._source.name} has no identity that revokes",
                    fix="set `revoke_role` of the source, or the access key of another identity in COUNTERSIGN_REVOKE_AWS_...",
                )
            self._writer = enter_to_revoke(self._source, self._scope, self._run, base)
        return self._writer

    def _check(self, change: Change) -> None:
        """Raise RevocationError for a change of another account: nothing is looked at or written outside this one."""
        if (change.provider, change.source, change.scope) != ("aws", self._source.name, self._scope.name) or change.action not in ACTIONS:
            raise RevocationError(f"{change.action} on {change.scope} of {change.source} is no change of account {self._scope.name}")


def _planned(plan: Planning, uid: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Plan for what belongs to one identity."""
    kind, native_id = kind_and_id(uid)
    if kind == "user":
        yield from user_changes(plan, uid, native_id, held)
    elif kind == "role":
        yield from role_changes(plan, uid, native_id, held)
    elif kind == "account":
        yield from _of_account(plan, held)
    elif kind in DELEGATIONS:
        yield from delegation_changes(plan, kind, uid, native_id, held)
    elif kind == "shared-resource":
        service = next(iter(native_id.split(":")[2:3]), "")
        where = _CONSOLE.get(service, f"{service or 'the service'}'s page of the resource, Permissions")
        yield from left(held, "the resource's own policy shares it, which is changed in its service", f"take the partner out in {where}")
    elif kind == "roles-anywhere-subject":
        why = "Roles Anywhere cannot switch one subject off"
        advice = "have the authority revoke its certificate and import the list (rolesanywhere:ImportCrl), or disable its trust anchor"
        yield from left(held, why, advice)
    else:
        yield from left(held, f"nothing here takes a {kind} away", "take it away in AWS's console")


def _of_account(plan: Planning, held: Sequence[Holding]) -> Iterator[Change | Left]:
    for one in held:
        kind, native_id = kind_and_id(one.uid)
        if one.what == "grant" and str(one.record.get("role") or one.kind).startswith(ADMINISTRATOR):
            yield from administrator_changes(plan, [one])
        elif one.what == "credential" and kind == "secret":
            yield from secret_changes(plan, native_id, one)
        elif one.what == "credential" and kind == "server-certificate":
            yield from certificate_changes(plan, native_id, one)
        else:
            advice = "close it, or take it out of the organisation, in AWS Organizations once all in it is taken away"
            yield from left([one], "an account is not switched off with what is in it", advice)


def _credentials(variables: Mapping[str, str]) -> Mapping[str, str] | None:
    """Give the revoking identity's credentials out of its variables, None where there are none; raises RevocationError for half a key."""
    key, secret, profile = (variables.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE"))
    if key and secret:
        token = variables.get("AWS_SESSION_TOKEN")
        return {"AccessKeyId": key, "SecretAccessKey": secret} | ({"SessionToken": token} if token else {})
    if key or secret:
        raise RevocationError(
            "the revoking identity has half of an access key",
            fix="set COUNTERSIGN_REVOKE_AWS_ACCESS_KEY_ID and COUNTERSIGN_REVOKE_AWS_SECRET_ACCESS_KEY together",
        )
    if not profile:
        return None
    try:
        found: Any = boto3.Session(profile_name=profile).get_credentials()
        frozen = found.get_frozen_credentials()
    except (BotoCoreError, AttributeError) as error:
        raise RevocationError(
            f"the profile {profile} of the revoking identity gives no credentials", fix="correct COUNTERSIGN_REVOKE_AWS_PROFILE"
        ) from error
    given = {"AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key}
    return given | ({"SessionToken": frozen.token} if frozen.token else {})


def _principal(caller: str) -> str:
    """Give an ARN without its session: two sessions of one role are one identity."""
    return caller.rpartition("/")[0] if ":assumed-role/" in caller else caller


@contextmanager
def _ours() -> Iterator[None]:
    """Put refusals and failures of AWS in the words of revoking."""
    try:
        yield
    except ScopeDeniedError as error:
        raise RevocationDeniedError(error.message, fix=f"allow {error.operation}, see docs/connectors/aws.md") from error
    except ReadError as error:
        raise RevocationError(error.message) from error
