"""What an account of the estate holds beside users, roles and keys: secrets, ways in, findings; rows as the services' models have them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.estate import AS_OF, DAY, PARTNER_ACCOUNT, roles, users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REGION = "eu-west-2"
ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
DIRECTORY = "directory"
SERVER = "shop"
ANALYZER = "outside"
USERS_A_SECRET, USERS_A_BUCKET, USERS_A_GIT_PASSWORD = 50, 500, 200
MADE = AS_OF - 400 * DAY
ENDS = AS_OF + 200 * DAY
_PAGES = {"ListSecrets": 100, "ListFindings": 100, "ListServiceSpecificCredentials": 1000}

Row = dict[str, Any]


def oidc_arn(account: str) -> str:
    """Give the ARN of the OIDC provider."""
    return f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"


def server_certificate(account: str) -> Row:
    """Give the only server certificate."""
    return {
        "Path": "/", "ServerCertificateName": SERVER, "ServerCertificateId": "ASCA0000000000000BENCH",
        "Arn": f"arn:aws:iam::{account}:server-certificate/{SERVER}", "UploadDate": MADE, "Expiration": ENDS,
    }  # fmt: skip


def delegation_request(account: str) -> Row:
    """Give the only delegation request, which a partner's product made and somebody accepted."""
    return {
        "DelegationRequestId": "b3a1c7f0-0000-4000-8000-00000000beac", "OwnerAccountId": account, "Description": "Access for a partner",
        "Permissions": {"PolicyTemplateArn": f"arn:aws:iam::{PARTNER_ACCOUNT}:delegation-template/standard"},
        "OwnerId": f"arn:aws:iam::{account}:root", "State": "ACCEPTED", "RequestorId": PARTNER_ACCOUNT, "RequestorName": "Partner 0",
        "CreateDate": MADE, "SessionDuration": 3600, "OnlySendByOwner": False, "UpdatedTime": MADE,
    }  # fmt: skip


def git_passwords(count: int, first: int = 0) -> list[Row]:
    """Give the service-specific credentials of so many users: one user in 200 has one."""
    return [
        {
            "UserName": user.name, "Status": "Active", "ServiceUserName": f"{user.name}-at", "CreateDate": MADE,
            "ServiceSpecificCredentialId": f"ACCA{user.id[4:]}", "ServiceName": "codecommit.amazonaws.com",
        }
        for user in users(first, count)
        if int(user.name.rpartition("-")[2]) % USERS_A_GIT_PASSWORD == USERS_A_GIT_PASSWORD - 1
    ]  # fmt: skip


def secrets(account: str, count: int) -> list[Row]:
    """Give the secrets of an account of so many users."""
    return [
        {
            "ARN": f"arn:aws:secretsmanager:{REGION}:{account}:secret:s{number}-AbCdEf", "Name": f"s{number}", "RotationEnabled": True,
            "RotationRules": {"AutomaticallyAfterDays": 30}, "LastRotatedDate": AS_OF - 10 * DAY, "LastChangedDate": AS_OF - 10 * DAY,
            "LastAccessedDate": (AS_OF - DAY).replace(hour=0, minute=0), "CreatedDate": MADE,
            "SecretVersionsToStages": {"a" * 32: ["AWSCURRENT"]},
        }
        for number in range(count // USERS_A_SECRET)
    ]  # fmt: skip


def analyzer(account: str) -> Row:
    """Give the only analyzer."""
    return {
        "arn": f"arn:aws:access-analyzer:{REGION}:{account}:analyzer/{ANALYZER}", "name": ANALYZER, "type": "ACCOUNT", "status": "ACTIVE",
        "createdAt": MADE,
    }  # fmt: skip


def findings(account: str, count: int, first: int = 0) -> list[Row]:
    """Give what the analyzer found: the roles that a partner may assume, and buckets that it may read."""
    named = [(f"arn:aws:iam::{account}:role/{role.name}", "AWS::IAM::Role") for role in roles(first, count) if role.partner_trust]
    named += [(f"arn:aws:s3:::bucket-{account}-{number}", "AWS::S3::Bucket") for number in range(count // USERS_A_BUCKET)]
    times = dict.fromkeys(("createdAt", "analyzedAt", "updatedAt"), MADE)
    return [
        {
            "id": f"f{number}", "principal": {"AWS": PARTNER_ACCOUNT}, "condition": {}, "action": ["s3:GetObject"], "isPublic": False,
            "resource": resource, "resourceType": kind, "resourceOwnerAccount": account, "status": "ACTIVE", **times,
        }
        for number, (resource, kind) in enumerate(named)
    ]  # fmt: skip


def held(count: int) -> Counter[str]:
    """Count by kind what reading the depth of an account of so many users must come to."""
    kinds = {
        "secret": count // USERS_A_SECRET, "shared-resource": count // USERS_A_BUCKET, "oidc-provider": 1, "saml-provider": 1,
        "service-specific-credential": count // USERS_A_GIT_PASSWORD, "server-certificate": 1, "delegation-request": 1,
        "certificate": 1, "account": 1,
    }  # fmt: skip
    return Counter(kinds) + Counter()


WAYS_IN = ("shared-resource", "oidc-provider", "saml-provider", "delegation-request")


def found(count: int) -> Counter[str]:
    """Count by control what the depth of an account adds to the findings.

    A partner whom nobody registered for it may read the buckets and was granted the delegation, both unowned and unconditioned; the
    OIDC issuer is no partner's.
    """
    buckets = count // USERS_A_BUCKET
    return Counter({
        "named-owner": buckets + 1, "unconditioned-trust": buckets + 1, "workload-registered": buckets + 1, "unknown-third-party": 1,
    })  # fmt: skip


def unknown(count: int) -> dict[str, int]:
    """Count by control what cannot be told: root's password, use of service-specific credentials, what the delegation allows."""
    return {"inactive": 1 + len(git_passwords(count)), "over-privileged": 1}


class Depth:
    """The answers of one account to everything but IAM's core calls, as bytes on the wire."""

    def __init__(self, account: str, count: int, first: int) -> None:
        saml = {"Arn": f"arn:aws:iam::{account}:saml-provider/{DIRECTORY}", "ValidUntil": ENDS, "CreateDate": MADE}
        self._lists: dict[str, tuple[str, Sequence[Row]]] = {
            "ListServiceSpecificCredentials": ("ServiceSpecificCredentials", git_passwords(count, first)),
            "ListOpenIDConnectProviders": ("OpenIDConnectProviderList", [{"Arn": oidc_arn(account)}]),
            "ListSAMLProviders": ("SAMLProviderList", [saml]),
            "ListDelegationRequests": ("DelegationRequests", [delegation_request(account)]),
            "ListServerCertificates": ("ServerCertificateMetadataList", [server_certificate(account)]),
            "ListSSHPublicKeys": ("SSHPublicKeys", []),
            "ListSecrets": ("SecretList", secrets(account, count)),
            "ListAnalyzers": ("analyzers", [analyzer(account)]),
            "ListFindings": ("findings", findings(account, count, first)),
            "ListTrustAnchors": ("trustAnchors", []),
            "LookupEvents": ("Events", []),
        }

    def answer(self, action: str, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer to a call with its parameters, in Python's types; None when there is none."""
        if action == "GetOpenIDConnectProvider":
            return {"Url": ISSUER, "ClientIDList": [AUDIENCE], "ThumbprintList": [], "CreateDate": MADE}
        if action not in self._lists:
            return None
        name, rows = self._lists[action]
        size = _PAGES.get(action, 1000)
        token = "Marker" if name[0].isupper() and name != "SecretList" else "NextToken" if name == "SecretList" else "nextToken"
        start = int(question.get(token, 0))
        answer: dict[str, Any] = {name: list(rows[start : start + size])}
        if start + size < len(rows):
            answer[token] = str(start + size)
        return answer


def written_as_json(answer: Mapping[str, Any], *, iso: bool) -> bytes:
    """Write an answer as a JSON service does; its times as text (`iso`), or as seconds since 1970."""

    def plain(value: object) -> object:
        assert isinstance(value, datetime)
        return _stamp(value) if iso else value.timestamp()

    return json.dumps(answer, default=plain).encode()


def written_as_xml(value: object) -> str:
    """Write an answer's inside as IAM does."""
    if isinstance(value, dict):
        return "".join(f"<{name}>{written_as_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{written_as_xml(inner)}</member>" for inner in value)
    return str(value).lower() if isinstance(value, bool) else _stamp(value) if isinstance(value, datetime) else str(value)


def _stamp(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
