"""What is kept of AWS's answers as raw material: an allow-list of fields; policies as digests, trust policies whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from countersign.aws_documents.fields import details, moment, tags_of, text
from countersign.aws_documents.policy import document
from countersign.clock import stamp

if TYPE_CHECKING:
    from countersign.aws_documents import ListedKey

_KEY_COLUMNS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
_REPORT_COLUMNS = frozenset(
    (
        *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed"),
        *("password_next_rotation", "mfa_active"),
        *(f"access_key_{slot}_{column}" for slot in (1, 2) for column in _KEY_COLUMNS),
        *(f"cert_{slot}_{column}" for slot in (1, 2) for column in ("active", "last_rotated")),
    )
)


def authorization_items(page: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Reduce one page of GetAccountAuthorizationDetails: one item per user, role, group and policy."""
    for detail in details(page, "UserDetailList"):
        yield _holder("user", detail, "UserName", "UserId", "UserPolicyList") | {"GroupList": detail.get("GroupList") or []}
    for detail in details(page, "RoleDetailList"):
        used = detail.get("RoleLastUsed")
        yield _holder("role", detail, "RoleName", "RoleId", "RolePolicyList") | {
            "AssumeRolePolicyDocument": _canonical(detail.get("AssumeRolePolicyDocument")),
            "RoleLastUsed": _when(used.get("LastUsedDate")) if isinstance(used, Mapping) else None,
        }
    for detail in details(page, "GroupDetailList"):
        yield _holder("group", detail, "GroupName", "GroupId", "GroupPolicyList")
    for policy in details(page, "Policies"):
        versions = {text(one, "VersionId"): _digest(one.get("Document")) for one in details(policy, "PolicyVersionList")}
        yield {"Entity": "policy", "Arn": text(policy, "Arn"), "DefaultVersionId": text(policy, "DefaultVersionId"), "Versions": versions}


def report_item(cells: Mapping[str, str]) -> Mapping[str, object]:
    """Reduce one row of the credential report to the columns that are known to hold no secret."""
    return {name: cell for name, cell in cells.items() if name in _REPORT_COLUMNS}


def key_items(listed: Sequence[ListedKey]) -> tuple[Mapping[str, object], ...]:
    """Give the keys of one user as iam:ListAccessKeys gave them."""
    return tuple(
        {"AccessKeyId": key.id, "Status": "Active" if key.active else "Inactive", "CreateDate": stamp(key.created_at)} for key in listed
    )


def _holder(entity: str, detail: Mapping[str, object], name: str, native_id: str, inline: str) -> dict[str, object]:
    boundary = detail.get("PermissionsBoundary")
    return {
        "Entity": entity,
        "Arn": text(detail, "Arn"),
        name: text(detail, name),
        native_id: text(detail, native_id),
        "CreateDate": _when(detail.get("CreateDate")),
        "AttachedManagedPolicies": [text(one, "PolicyArn") for one in details(detail, "AttachedManagedPolicies")],
        inline: {text(one, "PolicyName"): _digest(one.get("PolicyDocument")) for one in details(detail, inline)},
        "PermissionsBoundary": text(boundary, "PermissionsBoundaryArn") or None if isinstance(boundary, Mapping) else None,
        "Tags": tags_of(detail),
    }


def _when(value: object) -> str | None:
    when = moment(value)
    return None if when is None else stamp(when)


def _canonical(policy: object) -> str | None:
    parsed = document(policy)
    # Keys sorted, so that the text and its digest are of the policy and not of the order in which it was answered.
    return None if parsed is None else json.dumps(parsed, sort_keys=True, separators=(",", ":"))


def _digest(policy: object) -> str | None:
    canonical = _canonical(policy)
    return None if canonical is None else f"sha256:{sha256(canonical.encode()).hexdigest()}"
