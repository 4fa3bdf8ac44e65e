"""What reading AWS may call and what revoking would take, as an administrator installs them: in two roles, kept apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ACCOUNT = (
    "access-analyzer:ListAnalyzers",
    "access-analyzer:ListFindings",
    "cloudtrail:LookupEvents",
    "iam:GenerateCredentialReport",
    "iam:GetAccessKeyLastUsed",
    "iam:GetAccountAuthorizationDetails",
    "iam:GetAccountSummary",
    "iam:GetCredentialReport",
    "iam:GetOpenIDConnectProvider",
    "iam:ListAccessKeys",
    "iam:ListDelegationRequests",
    "iam:ListOpenIDConnectProviders",
    "iam:ListSAMLProviders",
    "iam:ListSSHPublicKeys",
    "iam:ListServerCertificates",
    "iam:ListServiceSpecificCredentials",
    "iam:ListSigningCertificates",
    "rolesanywhere:GetSubject",
    "rolesanywhere:ListProfiles",
    "rolesanywhere:ListSubjects",
    "rolesanywhere:ListTrustAnchors",
    "secretsmanager:ListSecrets",
)
_MANAGEMENT = (
    "organizations:ListAccounts",
    "organizations:ListDelegatedAdministrators",
    "organizations:ListDelegatedServicesForAccount",
    "organizations:ListOutboundResponsibilityTransfers",
    "organizations:ListTagsForResource",
)
_ENTERING = ("sts:AssumeRole", "sts:GetCallerIdentity")
PERMISSIONS: tuple[str, ...] = tuple(sorted((*_ACCOUNT, *_MANAGEMENT, *_ENTERING)))
LOOK_PERMISSIONS: tuple[str, ...] = (
    "iam:GetLoginProfile",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:GetUser",
    "iam:ListAttachedRolePolicies",
    "iam:ListAttachedUserPolicies",
    "iam:ListGroupsForUser",
    "iam:ListInstanceProfilesForRole",
    "iam:ListMFADevices",
    "iam:ListRolePolicies",
    "iam:ListUserPolicies",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
)
"""What planning and looking need of the reading identity beyond what a nightly reading does."""
REVOKE_PERMISSIONS: tuple[str, ...] = (
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:AttachRolePolicy",
    "iam:AttachUserPolicy",
    "iam:DeactivateMFADevice",
    "iam:DeleteAccessKey",
    "iam:DeleteLoginProfile",
    "iam:DeleteOpenIDConnectProvider",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteSAMLProvider",
    "iam:DeleteSSHPublicKey",
    "iam:DeleteServerCertificate",
    "iam:DeleteServiceSpecificCredential",
    "iam:DeleteSigningCertificate",
    "iam:DeleteUser",
    "iam:DeleteUserPolicy",
    "iam:DetachRolePolicy",
    "iam:DetachUserPolicy",
    "iam:PutRolePolicy",
    "iam:RejectDelegationRequest",
    "iam:RemoveClientIDFromOpenIDConnectProvider",
    "iam:RemoveRoleFromInstanceProfile",
    "iam:RemoveUserFromGroup",
    "iam:UpdateAccessKey",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateSSHPublicKey",
    "iam:UpdateServiceSpecificCredential",
    "iam:UpdateSigningCertificate",
    "organizations:DeregisterDelegatedAdministrator",
    "organizations:TerminateResponsibilityTransfer",
    "rolesanywhere:DeleteTrustAnchor",
    "rolesanywhere:DisableTrustAnchor",
    "rolesanywhere:EnableTrustAnchor",
    "secretsmanager:DeleteResourcePolicy",
    "secretsmanager:DeleteSecret",
    "secretsmanager:PutResourcePolicy",
)
"""What the revoking identity writes; a test holds it against the calls of every action."""
_DRILL_LISTS = ("iam:ListRoles", "iam:ListUsers")
DRILL_PERMISSIONS: tuple[str, ...] = (
    "iam:CreateAccessKey",
    "iam:CreateRole",
    "iam:CreateUser",
    "iam:DeleteAccessKey",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteUser",
    "iam:DeleteUserPolicy",
    "iam:DetachRolePolicy",
    "iam:DetachUserPolicy",
    "iam:ListAccessKeys",
    "iam:ListAttachedRolePolicies",
    "iam:ListAttachedUserPolicies",
    "iam:ListRolePolicies",
    "iam:ListRoles",
    "iam:ListUserPolicies",
    "iam:ListUsers",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:TagUser",
)
"""What the identity that drills needs, in an account that is set aside: beyond two listings only on users and roles of a drill's name."""
_DRILLED = [f"arn:aws:iam::*:{kind}/countersign-drill-*" for kind in ("role", "user")]
_ATTACHING = ("iam:AttachRolePolicy", "iam:AttachUserPolicy")
"""Whoever may attach any policy may become anything, so that the revoking identity may attach the one that denies."""
VALUES = ("secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue")
"""Denied outright: whatever else the reading role is given, it never sees a secret."""


def permission_files() -> Mapping[str, str]:
    """Give the policies of the two roles, the trust policy that both take, and the policy of who drills, by file name.

    `<account>` and `<external id>` in trust.json are the customer's to fill in. The caller's own permission to assume the role
    and the reads of the organisation are in read-management.json.
    """
    assume = _allow("EnterAccounts", ("sts:AssumeRole",), "arn:aws:iam::*:role/CountersignInventory")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::<account>:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "<external id>"}},
    }
    return {
        "drill.json": _policy(
            _allow("ListCanaries", _DRILL_LISTS),
            _allow("MakeAndRemoveCanaries", (one for one in DRILL_PERMISSIONS if one not in _DRILL_LISTS), _DRILLED),
        ),
        "read.json": _policy(_allow("Read", _ACCOUNT), {"Sid": "NeverValues", "Effect": "Deny", "Action": list(VALUES), "Resource": "*"}),
        "look.json": _policy(_allow("LookAtWhatIsRevoked", LOOK_PERMISSIONS)),
        "read-management.json": _policy(_allow("ReadOrganization", _MANAGEMENT), assume),
        "revoke.json": _policy(
            _allow("Revoke", (one for one in REVOKE_PERMISSIONS if one not in _ATTACHING)),
            {**_allow("AttachDenialsOnly", _ATTACHING), "Condition": {"ArnLike": {"iam:PolicyARN": "arn:*:iam::aws:policy/AWSDenyAll"}}},
            {"Sid": "NeverValues", "Effect": "Deny", "Action": list(VALUES), "Resource": "*"},
        ),
        "trust.json": _policy(trust),
    }


def _allow(sid: str, actions: Iterable[str], resource: str | list[str] = "*") -> Mapping[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}


def _policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"
