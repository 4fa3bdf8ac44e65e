"""IAM Access Analyzer of the sandbox: what outside parties can reach, as the analyzers of an account or organisation found it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sandbox.aws.contract import Refusal, fitting, result_shape
from sandbox.aws.estate import REGION, given, made_up_uuid, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

AnalyzerType = Literal[
    "ACCOUNT",
    "ORGANIZATION",
    "ACCOUNT_UNUSED_ACCESS",
    "ORGANIZATION_UNUSED_ACCESS",
    "ACCOUNT_INTERNAL_ACCESS",
    "ORGANIZATION_INTERNAL_ACCESS",
]
_EXTERNAL = ("ACCOUNT", "ORGANIZATION")


def analyzer(  # noqa: PLR0913 -- such a thing has that many facets
    account: SandboxAccount,
    name: str,
    created: datetime,
    *,
    kind: AnalyzerType = "ACCOUNT",
    region: str = REGION,
    status: Literal["ACTIVE", "CREATING", "DISABLED", "FAILED"] = "ACTIVE",
) -> str:
    """Set up an analyzer in a Region, and give its ARN."""
    arn = f"arn:aws:access-analyzer:{region}:{account.number}:analyzer/{name}"
    account.estate.kept(account.number, region, "analyzer").append(
        {"arn": arn, "name": name, "type": kind, "createdAt": utc(created), "status": status, "lastResourceAnalyzedAt": utc(created)}
    )
    return arn


def external_finding(  # noqa: PLR0913 -- a finding has that many facets, all but three optional
    account: SandboxAccount,
    resource: str,
    principal: Mapping[str, str] | str,
    found: datetime,
    *,
    resource_type: str = "AWS::IAM::Role",
    actions: tuple[str, ...] = ("sts:AssumeRole",),
    condition: Mapping[str, str] | None = None,
    public: bool = False,
    status: Literal["ACTIVE", "ARCHIVED", "RESOLVED"] = "ACTIVE",
    owner: str | None = None,
    by: str | None = None,
    region: str = REGION,
) -> str:
    """Find that an outside party can reach a resource (an ARN), and give the finding's id.

    `principal` is an account or ARN, or as in a policy `{"Federated": ...}`; `owner` is the account of the resource where an
    organisation's analyzer finds it. `by` is an analyzer's ARN; without one it is the first that looks outside in the Region,
    made when there is none.
    """
    estate = account.estate
    looking = [one["arn"] for one in estate.kept(account.number, region, "analyzer") if one["type"] in _EXTERNAL]
    where = by or (looking[0] if looking else analyzer(account, "outside", found, region=region))
    kept = estate.kept(account.number, region, "finding")
    number = made_up_uuid(where, resource, len(kept))
    external = given(
        action=list(actions),
        condition=dict(condition or {}),
        isPublic=public,
        principal={"AWS": principal} if isinstance(principal, str) else dict(principal),
    )
    common = {
        "id": number,
        "resource": resource,
        "resourceType": resource_type,
        "resourceOwnerAccount": owner or account.number,
        "status": status,
        "createdAt": utc(found),
        "analyzedAt": utc(found),
        "updatedAt": utc(found),
    }
    kept.append(
        {"analyzer": where, "findingType": "ExternalAccess", "findingDetails": [{"externalAccessDetails": external}]} | external | common
    )
    return number


def _analyzers(estate: Estate, ask: Ask) -> dict[str, Any]:
    kind = ask.parameters.get("type")
    return {"analyzers": [one for one in estate.kept(ask.account, ask.region, "analyzer") if kind in {None, one["type"]}]}


def _findings(estate: Estate, ask: Ask) -> dict[str, Any]:
    known = {one["arn"]: one for one in estate.kept(ask.account, ask.region, "analyzer")}
    arn = ask.parameters["analyzerArn"]
    if arn not in known:
        raise Refusal("ResourceNotFoundException", f"Analyzer {arn} does not exist.")
    if ask.operation == "ListFindings" and known[arn]["type"] not in _EXTERNAL:
        raise Refusal("ValidationException", "This operation is supported only for external access analyzers.")
    rows = [one for one in estate.kept(ask.account, ask.region, "finding") if one["analyzer"] == arn]
    rows = [one for one in rows if all(_holds(one, name, test) for name, test in (ask.parameters.get("filter") or {}).items())]
    shape = result_shape(ask.service, ask.operation)
    return {"findings": [fitting(shape, one) for one in rows]}


def _finding(estate: Estate, ask: Ask) -> dict[str, Any]:
    wanted = (ask.parameters["analyzerArn"], ask.parameters["id"])
    for one in estate.kept(ask.account, ask.region, "finding"):
        if (one["analyzer"], one["id"]) == wanted:
            if ask.operation == "GetFinding":
                return {"finding": fitting(result_shape(ask.service, "ListFindings"), one)}
            return {**fitting(result_shape(ask.service, "ListFindingsV2"), one), "findingDetails": one["findingDetails"]}
    raise Refusal("ResourceNotFoundException", f"Finding {wanted[1]} does not exist.")


def _holds(finding: Mapping[str, Any], name: str, test: Mapping[str, Any]) -> bool:
    """Whether one criterion of a filter holds; `principal.AWS` and `condition.<key>` look inside."""
    outer, _, inner = name.partition(".")
    value = finding.get(outer)
    if inner:
        value = (value or {}).get(inner)
    if isinstance(value, bool):
        value = str(value).lower()
    values = [] if value is None else [value]
    return (
        ("eq" not in test or any(one in test["eq"] for one in values))
        and ("neq" not in test or all(one not in test["neq"] for one in values))
        and ("contains" not in test or any(part in one for one in values for part in test["contains"]))
        and ("exists" not in test or test["exists"] == bool(values))
    )


ANSWERS: Mapping[str, Answering] = {
    "accessanalyzer:ListAnalyzers": _analyzers,
    "accessanalyzer:ListFindings": _findings,
    "accessanalyzer:ListFindingsV2": _findings,
    "accessanalyzer:GetFinding": _finding,
    "accessanalyzer:GetFindingV2": _finding,
}
