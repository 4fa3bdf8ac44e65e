"""What the identity that keeps evidence may do, as policies to install in the bucket, in Vault and in AWS KMS; and no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUCKET = ("s3:GetBucketObjectLockConfiguration", "s3:ListBucketVersions")
"""On the bucket: that Object Lock is on, and every version, since a plain delete only hides."""
WRITE = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectRetention")
"""On the objects, every night. HeadObject shows a retention only to those who may GetObjectRetention."""
HOLD = ("s3:GetObjectLegalHold", "s3:PutObjectLegalHold")
"""For `countersign evidence hold` and `release`: another identity, tightly held."""
DISPOSE = ("s3:DeleteObjectVersion",)
"""For `countersign evidence dispose`: S3 itself refuses it while an object is locked or held."""
NEVER = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketVersioning",
)
"""Denied to the identity of every night, whatever else it is given."""
KMS = ("kms:GetPublicKey", "kms:Sign")

_READ = ("s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion")
_BUCKET_ARN, _OBJECTS_ARN = "arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/PREFIX/*"


def permission_files() -> Mapping[str, str]:
    """Return file name to text; BUCKET, PREFIX and the key's name are for the reader to put in."""
    look = _allow("LookAtTheBucket", BUCKET, _BUCKET_ARN)
    return {
        "s3-write.json": _policy(
            look,
            _allow("AddAndReadBack", WRITE, _OBJECTS_ARN),
            {**_allow("NeverTakeAway", NEVER, _BUCKET_ARN), "Effect": "Deny", "Resource": [_BUCKET_ARN, _OBJECTS_ARN]},
        ),
        "s3-hold.json": _policy(look, _allow("Hold", (*HOLD, *_READ), _OBJECTS_ARN)),
        "s3-dispose.json": _policy(look, _allow("Dispose", (*DISPOSE, *_READ), _OBJECTS_ARN)),
        "kms-sign.json": _policy(_allow("Sign", KMS, "arn:aws:kms:REGION:ACCOUNT:key/KEY-ID")),
        "vault-sign.hcl": transit_policy("evidence"),
    }


def transit_policy(name: str) -> str:
    """Return the policy of Vault or OpenBao that lets a token sign with one key of transit, and read its public half."""
    return (
        f'path "transit/sign/{name}" {{\n  capabilities = ["update"]\n}}\n\n'
        f'path "transit/keys/{name}" {{\n  capabilities = ["read"]\n}}\n'
    )  # fmt: skip


def _allow(sid: str, actions: Sequence[str], resource: str) -> dict[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}


def _policy(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"
