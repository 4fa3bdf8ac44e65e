"""Secrets Manager of the sandbox: what is known of secrets. It holds no value, and so can give none away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.aws.contract import Refusal, fitting, result_shape
from sandbox.aws.estate import REGION, at, given, made_up, made_up_uuid, utc, wire_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

_POLICY = "policy"
"""Where a secret's resource policy is kept, as text; no listing shows it."""
_SORTED_BY = {
    "created-date": "CreatedDate",
    "last-accessed-date": "LastAccessedDate",
    "last-changed-date": "LastChangedDate",
    "name": "Name",
}


def secret(  # noqa: PLR0913 -- a secret has that many facets, all but two optional
    account: SandboxAccount,
    name: str,
    created: datetime,
    *,
    rotated: datetime | None = None,
    changed: datetime | None = None,
    accessed: datetime | None = None,
    rotation_days: int | None = None,
    next_rotation: datetime | None = None,
    owning_service: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    deleted: datetime | None = None,
    region: str = REGION,
) -> str:
    """Keep a secret and give its ARN; `rotation_days` None: it does not rotate. `accessed` is cut to its day, as AWS does."""
    kept = account.estate.kept(account.number, region, "secret")
    arn = f"arn:aws:secretsmanager:{region}:{account.number}:secret:{name}-{made_up('', 6, account.number, region, name)}"
    day = at(accessed)
    kept.append(
        given(
            ARN=arn,
            Name=name,
            Description=description,
            RotationEnabled=rotation_days is not None or None,
            RotationLambdaARN=None if rotation_days is None else f"arn:aws:lambda:{region}:{account.number}:function:rotate",
            RotationRules=None if rotation_days is None else {"AutomaticallyAfterDays": rotation_days},
            LastRotatedDate=at(rotated),
            LastChangedDate=utc(changed or rotated or created),
            LastAccessedDate=None if day is None else day.replace(hour=0, minute=0, second=0, microsecond=0),
            DeletedDate=at(deleted),
            NextRotationDate=at(next_rotation),
            Tags=wire_tags(tags) if tags else None,
            SecretVersionsToStages={made_up_uuid(arn): ["AWSCURRENT"]},
            OwningService=owning_service,
            CreatedDate=utc(created),
        )
    )
    return arn


def _secrets(estate: Estate, ask: Ask) -> dict[str, Any]:
    deleted_too = ask.parameters.get("IncludePlannedDeletion", False)
    rows = [one for one in estate.kept(ask.account, ask.region, "secret") if deleted_too or "DeletedDate" not in one]
    rows = [one for one in rows if all(_holds(one, test) for test in ask.parameters.get("Filters", []))]
    by = _SORTED_BY[ask.parameters.get("SortBy", "created-date")]
    there, missing = [one for one in rows if by in one], [one for one in rows if by not in one]
    # AWS does not say which way it sorts by itself; newest first is what its console shows.
    there.sort(key=lambda one: one[by], reverse=ask.parameters.get("SortOrder", "desc") == "desc")
    shape = result_shape(ask.service, "ListSecrets")
    return {"SecretList": [fitting(shape, one) for one in there + missing]}


def _secret(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask)
    stages = {"VersionIdsToStages": one["SecretVersionsToStages"]}
    return {name: value for name, value in one.items() if name not in {"SecretVersionsToStages", _POLICY}} | stages


def _kept(estate: Estate, ask: Ask, *, changing: bool = False) -> dict[str, Any]:
    wanted = ask.parameters["SecretId"]
    for one in estate.kept(ask.account, ask.region, "secret"):
        if wanted in {one["ARN"], one["Name"]}:
            if changing and "DeletedDate" in one:
                message = "You can't perform this operation on the secret because it was marked for deletion."
                raise Refusal("InvalidRequestException", message)
            return one
    raise Refusal("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def _named(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"ARN": one["ARN"], "Name": one["Name"]}


def _get_policy(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask, changing=True)
    return _named(one) | given(ResourcePolicy=one.get(_POLICY))


def _put_policy(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask, changing=True)
    try:
        wrong = not isinstance(json.loads(ask.parameters["ResourcePolicy"]).get("Statement"), (dict, list))
    except (ValueError, AttributeError):
        wrong = True
    if wrong:
        raise Refusal("MalformedPolicyDocumentException", "This resource policy contains a syntax error.")
    one[_POLICY] = ask.parameters["ResourcePolicy"]
    return _named(one)


def _delete_policy(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask, changing=True)
    one.pop(_POLICY, None)
    return _named(one)


def _delete(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask, changing=True)
    if one.get("OwningService"):
        raise Refusal("InvalidRequestException", "This secret is managed by another service.")
    ends = estate.time() + timedelta(days=ask.parameters.get("RecoveryWindowInDays", 30))
    one["DeletedDate"] = utc(estate.time())
    return _named(one) | {"DeletionDate": utc(ends)}


def _restore(estate: Estate, ask: Ask) -> dict[str, Any]:
    one = _kept(estate, ask)
    one.pop("DeletedDate", None)
    return _named(one)


def _value(_: Estate, ask: Ask) -> dict[str, Any]:
    message = f"{ask.name} is refused: this sandbox keeps no values, and nothing that only looks needs one."
    raise Refusal("AccessDeniedException", message)


def _holds(one: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
    tags = one.get("Tags", [])
    found = {
        "name": [one["Name"]],
        "description": [one.get("Description", "")],
        "owning-service": [one.get("OwningService", "")],
        "tag-key": [tag["Key"] for tag in tags],
        "tag-value": [tag["Value"] for tag in tags],
    }
    values = found.get(test.get("Key", ""), [text for texts in found.values() for text in texts])
    wanted = test.get("Values", [])
    refused = [text[1:] for text in wanted if text.startswith("!")]
    sought = [text for text in wanted if not text.startswith("!")]
    return not any(value.startswith(text) for value in values for text in refused) and (
        not sought or any(value.startswith(text) for value in values for text in sought)
    )


ANSWERS: Mapping[str, Answering] = {
    "secretsmanager:ListSecrets": _secrets,
    "secretsmanager:DescribeSecret": _secret,
    "secretsmanager:GetResourcePolicy": _get_policy,
    "secretsmanager:PutResourcePolicy": _put_policy,
    "secretsmanager:DeleteResourcePolicy": _delete_policy,
    "secretsmanager:DeleteSecret": _delete,
    "secretsmanager:RestoreSecret": _restore,
    "secretsmanager:GetSecretValue": _value,
    "secretsmanager:BatchGetSecretValue": _value,
}
