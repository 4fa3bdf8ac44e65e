"""Trust policies of roles, as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def trust(*principals: str, external_id: str | None = None) -> dict[str, Any]:
    """Write a trust policy for accounts, ARNs or `*`, narrowed by an ExternalId when one is given."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust_issuer(account: str, issuer: str, condition: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Write a trust policy for an OIDC issuer (host and path, no scheme) with the condition given."""
    principal = {"Federated": f"arn:aws:iam::{account}:oidc-provider/{issuer}"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}
