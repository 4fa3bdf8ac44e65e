"""Takes away what an account holds for a partner: secrets and server certificates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from connectors.aws.asking import ask, rows
from connectors.aws.revoking_plan import GONE, Action, left
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import text
from countersign.aws_documents.policy import document
from countersign.aws_documents.trust_removal import same
from countersign.errors import ReadError
from countersign.revocation import CREDENTIAL, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.aws.door import Account
    from connectors.aws.revoking_plan import Hands, Planning
    from countersign.revocation import Change, Holding, Left, State

RECOVERY_DAYS = 30
"""How long a deleted secret can be brought back: the longest that Secrets Manager allows."""
_DENIAL = {
    "Sid": "CountersignRevoked",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "secretsmanager:GetSecretValue",
    "Resource": "*",
}
_KNOWN = "what was read of it before is known to whoever read it; what it opens is changed where it opens it"


def secret_changes(plan: Planning, arn: str, holding: Holding) -> Iterator[Change | Left]:
    """Plan for one secret: nobody may read it, then it is deleted; a customer's own is left to its owner."""
    found = _described(plan.reader, arn)
    if found is None:
        return
    owner = text(found, "OwningService")
    if owner:
        yield from left([holding], f"it belongs to {owner}, which alone may change it", f"take it away in {owner}")
        return
    if not holding.whole:
        advice = "have its value changed where it was issued, and rotate it"
        yield from left([holding], "it is kept for more than the partner, and its value would still be known", advice)
        return
    name, which = holding.name or arn, {"id": arn}
    if plan.phase == "delete":
        yield from plan.change(
            DELETE_SECRET, target=holding.uid, name=name, says=f"Delete the secret {name}, with {RECOVERY_DAYS} days to bring it back",
            parameters=which, after=GONE, takes=[holding], order=CREDENTIAL, reversible=False,
            residual=Residual("it can be brought back with secretsmanager:RestoreSecret", RECOVERY_DAYS * 86_400),
        )  # fmt: skip
        return
    before = _policy(plan.reader, arn)
    after = {"Version": "2012-10-17", "Statement": []} if before is None else before
    listed = after.get("Statement")
    statements = listed if isinstance(listed, list) else [listed]
    yield from plan.change(
        DENY_SECRET,
        target=holding.uid,
        name=name,
        says=f"Deny everybody to read the secret {name}, in its resource policy",
        parameters=which,
        after={"exists": True, "policy": after if _DENIAL in statements else {**after, "Statement": [*statements, _DENIAL]}},
        takes=[holding],
        order=CREDENTIAL,
        residual=Residual(_KNOWN, None),
    )


def certificate_changes(plan: Planning, native_id: str, holding: Holding) -> Iterator[Change | Left]:
    """Plan for one server certificate, which IAM cannot switch off."""
    name = _name(plan.reader, native_id)
    if name is None:
        return
    if plan.phase == "disable" or not holding.whole:
        why = "IAM cannot switch a server certificate off" if holding.whole else "it is kept for more than the partner"
        advice = "take it off the load balancers that use it; it goes when what was disabled is deleted"
        yield from left([holding], why, advice if holding.whole else "have its authority revoke it, and replace it")
        return
    yield from plan.change(
        DELETE_CERTIFICATE, target=holding.uid, name=name, says=f"Delete the server certificate {name}", parameters={"id": native_id},
        after=GONE, takes=[holding], order=CREDENTIAL, reversible=False,
    )  # fmt: skip


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _described(account: Account, arn: str) -> Any:  # noqa: ANN401 -- an Item, or None
    """Describe a secret; None when it is gone or planned to be."""
    try:
        found = ask(account, "secretsmanager:DescribeSecret", {"SecretId": arn}, _region(arn))
    except GoneError:
        return None
    if text(found, "ARN") != arn:
        raise ReadError("secretsmanager:DescribeSecret", f"the answer is not of {arn}")
    return None if found.get("DeletedDate") is not None else found


def _policy(account: Account, arn: str) -> dict[str, Any] | None:
    found = ask(account, "secretsmanager:GetResourcePolicy", {"SecretId": arn}, _region(arn))
    if text(found, "ARN") != arn:
        raise ReadError("secretsmanager:GetResourcePolicy", f"the answer is not of {arn}")
    if not text(found, "ResourcePolicy"):
        return None
    parsed = document(text(found, "ResourcePolicy"))
    if parsed is None:
        raise ReadError("secretsmanager:GetResourcePolicy", f"the policy of {arn} could not be read")
    return dict(parsed)


def _look_policy(account: Account, change: Change) -> State:
    arn = change.parameters["id"]
    if _described(account, arn) is None:
        return GONE
    try:
        now = _policy(account, arn)
    except GoneError:
        return GONE
    for known in (change.before.get("policy"), change.after.get("policy")):
        if known is not None and same(now, known):
            return {"exists": True, "policy": known}
    return {"exists": True, "policy": now}


def _write_policy(hands: Hands, change: Change) -> None:
    arn, policy = change.parameters["id"], change.after["policy"]
    if policy is None:
        ask(hands.writer, "secretsmanager:DeleteResourcePolicy", {"SecretId": arn}, _region(arn))
    else:
        told = {"SecretId": arn, "ResourcePolicy": json.dumps(policy, separators=(",", ":"))}
        ask(hands.writer, "secretsmanager:PutResourcePolicy", told, _region(arn))


def _look_secret(account: Account, change: Change) -> State:
    state = _look_policy(account, change)
    if state == GONE:
        return GONE
    policy = state["policy"] or {}
    listed = policy.get("Statement")
    return {"exists": True, "active": _DENIAL not in (listed if isinstance(listed, list) else [listed])}


def _delete_secret(hands: Hands, change: Change) -> None:
    arn = change.parameters["id"]
    ask(hands.writer, "secretsmanager:DeleteSecret", {"SecretId": arn, "RecoveryWindowInDays": RECOVERY_DAYS}, _region(arn))


def _name(account: Account, native_id: str) -> str | None:
    for one in rows(account, "iam:ListServerCertificates", "ServerCertificateMetadataList"):
        if text(one, "ServerCertificateId") == native_id:
            return text(one, "ServerCertificateName")
    return None


def _look_certificate(account: Account, change: Change) -> State:
    return GONE if _name(account, change.parameters["id"]) is None else {"exists": True}


def _delete_certificate(hands: Hands, change: Change) -> None:
    name = _name(hands.reader, change.parameters["id"])
    if name is None:
        raise GoneError("iam:ListServerCertificates", f"the certificate {change.parameters['id']} is gone")
    ask(hands.writer, "iam:DeleteServerCertificate", {"ServerCertificateName": name})


DENY_SECRET = Action(
    name="deny-secret",
    looks=("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"),
    writes=("secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy"),
    look=_look_policy,
    write=_write_policy,
)
DELETE_SECRET = Action(
    name="delete-secret",
    looks=("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"),
    writes=("secretsmanager:DeleteSecret",),
    look=_look_secret,
    write=_delete_secret,
)
DELETE_CERTIFICATE = Action(
    name="delete-server-certificate",
    looks=("iam:ListServerCertificates",),
    writes=("iam:DeleteServerCertificate",),
    look=_look_certificate,
    write=_delete_certificate,
)
HOLDING_ACTIONS = (DENY_SECRET, DELETE_SECRET, DELETE_CERTIFICATE)
