"""The state of a sandbox AWS that revoking could change, for comparing before and after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.aws.estate import Estate

_UNTOUCHED = frozenset({"event", "finding", "analyzer"})
"""Kinds of record that say what happened or was found, and are no access by themselves."""


def taken(estate: Estate, accounts: Iterable[str]) -> dict[str, Any]:
    """Give users, roles, groups, providers, certificates and records of each account, and the organisation, as plain JSON."""
    there = sorted({*accounts, *(account for account, _, _ in estate.records)})
    found: dict[str, Any] = {number: _account(iam_backends[number]["aws"]) for number in there}
    for (account, region, kind), rows in sorted(estate.records.items()):
        if kind not in _UNTOUCHED and rows:
            found[account][f"{kind}@{region}" if region else kind] = sorted(rows, key=lambda row: json.dumps(row, default=str))
    if estate.organization is not None:
        found["organization"] = {"delegated": sorted(estate.organization.delegated), "transfers": estate.organization.transfers}
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str, sort_keys=True))
    return plain


def _account(iam: Any) -> dict[str, Any]:  # noqa: ANN401 -- moto's backend
    return {
        "users": {user.name: _user(iam, user) for user in iam.users.values()},
        "roles": {role.name: _role(iam, role) for role in iam.roles.values()},
        "groups": {
            group.name: {
                "users": sorted(user.name for user in group.users),
                "policies": sorted(group.managed_policies),
                "inline": dict(group.policies),
            }
            for group in iam.groups.values()
        },
        "oidc": {arn: sorted(one.client_id_list) for arn, one in iam.open_id_providers.items()},
        "saml": {one.arn: one.create_date for one in iam.saml_providers.values()},
        "server_certificates": {number: one.cert_name for number, one in iam.certificates.items()},
    }


def _user(iam: Any, user: Any) -> dict[str, Any]:  # noqa: ANN401 -- moto's backend and user
    return {
        "id": user.id,
        "tags": iam.tagger.list_tags_for_resource(user.arn).get("Tags", []),
        "password": bool(user.password),
        "keys": {key.access_key_id: key.status for key in user.access_keys},
        "ssh": {key.ssh_public_key_id: key.status for key in user.ssh_public_keys},
        "certificates": {number: one.status for number, one in user.signing_certificates.items()},
        "mfa": sorted(user.mfa_devices),
        "policies": sorted(user.managed_policies),
        "inline": dict(user.policies),
        "boundary": getattr(user, "permissions_boundary", None),
    }


def _role(iam: Any, role: Any) -> dict[str, Any]:  # noqa: ANN401 -- moto's backend and role
    return {
        "id": role.id,
        "tags": role.tags,
        "trust": json.loads(role.assume_role_policy_document),
        "policies": sorted(role.managed_policies),
        "inline": {name: json.loads(document) for name, document in role.policies.items()},
        "boundary": role.permissions_boundary_arn,
        "profiles": sorted(one.name for one in iam.instance_profiles.values() if role in one.roles),
    }
