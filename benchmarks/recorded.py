"""The estate as a connector's records, page by page: what a night gets from its sources, without the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.estate import ADMIN, AS_OF, DAY, PARTNER_ACCOUNT, Key, Role, User, roles, users
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Record, Trust, uid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

PAGE = 1000
_CREATED = AS_OF - 400 * DAY
_NO_CREATOR = {"created_by": "IAM does not say who created it"}
_TAGS = {"team": "platform"}


def records(account: str, first: int, count: int, at: datetime = AS_OF) -> Iterator[Record]:
    """Yield what reading `count` users from number `first`, two keys each, and their roles comes to, read at a time."""
    for start in range(first, first + count, PAGE):
        page = list(users(start, min(PAGE, first + count - start)))
        yield Observation(
            source="recorded", scope=account, operation="iam:GetAccountAuthorizationDetails", parameters={"MaxItems": PAGE},
            page=start // PAGE + 1, at=at, caller=f"arn:aws:iam::{account}:user/bench", items=tuple(map(_item, page)),
        )  # fmt: skip
        for user in page:
            yield from _user(account, user, at)
    for role in roles(first, count):
        yield from _role(account, role, at)
    said = (
        ("user", "*", "iam:GetAccountAuthorizationDetails"),
        ("access-key", "*", "iam:GetCredentialReport"),
        ("role", "*", "iam:GetAccountAuthorizationDetails"),
    )
    for kind, field, call in said:
        yield Provenance(provider="aws", scope=account, kind=kind, field=field, call=call, at=at)
    yield Coverage(
        source="recorded", provider="aws", scope=account, operation="iam:GetAccountAuthorizationDetails", state="complete",
        covers=("user", "role"), pages=-(-count // PAGE), rows=count, independent_count=count, started=at, finished=at,
    )  # fmt: skip


def _item(user: User) -> dict[str, object]:
    one, two = user.keys
    return {
        "Entity": "user", "UserName": user.name, "UserId": user.id, "CreateDate": _CREATED, "AttachedManagedPolicies": [user.policy],
        "access_key_1_active": one.active, "access_key_1_last_rotated": one.created_at, "access_key_1_last_used_date": one.used_at,
        "access_key_2_active": two.active, "access_key_2_last_rotated": two.created_at, "access_key_2_last_used_date": two.used_at,
    }  # fmt: skip


def _user(account: str, user: User, at: datetime) -> Iterator[Record]:
    used = max((key.used_at for key in user.keys if key.used_at is not None), default=None)
    who = uid("aws", account, "user", user.id)
    yield Identity(
        uid=who, provider="aws", scope=account, kind="user", native_id=user.id, name=user.name,
        aliases=(f"arn:aws:iam::{account}:user/{user.name}",), track="human" if user.human else "machine", enabled=True,
        console=user.human, mfa=user.mfa if user.human else False, created_at=_CREATED, last_active_at=used,
        last_active_state="never" if used is None else "known", use_seen_to=at, tags=_TAGS, observed_at=at, unknown=_NO_CREATOR,
    )  # fmt: skip
    for key in user.keys:
        yield _key(account, who, key, at)
    yield _grant(account, who, user.policy)


def _key(account: str, who: str, key: Key, at: datetime) -> Credential:
    return Credential(
        uid=uid("aws", account, "access-key", key.id), identity_uid=who, provider="aws", scope=account, kind="access-key",
        enabled=key.active, created_at=key.created_at, last_used_at=key.used_at,
        last_used_state="never" if key.used is None else "known", use_seen_to=at,
        observed_at=at,
    )  # fmt: skip


def _role(account: str, role: Role, at: datetime) -> Iterator[Record]:
    who = uid("aws", account, "role", role.id)
    yield Identity(
        uid=who, provider="aws", scope=account, kind="role", native_id=role.id, name=role.name,
        aliases=(f"arn:aws:iam::{account}:role/{role.name}",), track="machine", enabled=True, console=False, created_at=_CREATED,
        last_active_at=AS_OF - DAY, last_active_state="known", observed_at=at, unknown=_NO_CREATOR,
    )  # fmt: skip
    if role.partner_trust:
        condition = "sts:ExternalId" if role.external_id else None
        yield Trust(identity_uid=who, provider="aws", scope=account, party_kind="aws-account", party=PARTNER_ACCOUNT, condition=condition)


def _grant(account: str, who: str, policy: str) -> Grant:
    return Grant(
        identity_uid=who,
        provider="aws",
        scope=account,
        role=policy.rpartition("/")[2],
        power="administrator" if policy == ADMIN else "limited",
    )
