"""The whole local Google Cloud as plain JSON, to be compared before and after: everything that revoking could touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gcp.estate import Account, Bound, Estate, Organization, Pool, Project


def snapshot(estate: Estate) -> dict[str, Any]:
    """Return it without what moves by itself (etags, update times); bindings and members are sorted, since Google keeps no order."""
    return {
        "organizations": {each.number: _organization(each) for each in estate.organizations.values()},
        "folders": {each.number: _policy(each) for each in estate.folders.values()},
        "projects": {each.project_id: _project(each) for each in estate.projects.values()},
    }


def _organization(one: Organization) -> dict[str, Any]:
    return {"policy": _policy(one), "roles": one.roles, "workforce_pools": _pools(one.workforce_pools)}


def _project(one: Project) -> dict[str, Any]:
    return {
        "number": one.number,
        "policy": _policy(one),
        "roles": dict(one.roles),
        "accounts": {str(each.unique_id): _account(each) for each in one.accounts.values()},
        "pools": _pools(one.pools),
        "api_keys": {
            uid: {name: value for name, value in body.items() if name not in {"etag", "updateTime"}} for uid, body in one.api_keys.items()
        },
        "resources": {each.full_name: _policy(each) for each in one.resources},
    }


def _account(one: Account) -> dict[str, Any]:
    return {
        "email": one.email,
        "disabled": one.disabled,
        "policy": _policy(one),
        "keys": {key.key_id: {"disabled": key.disabled, "type": key.managed} for key in one.keys.values()},
    }


def _pools(pools: Mapping[str, Pool]) -> dict[str, Any]:
    return {
        name: {"pool": dict(pool.body), "providers": {each: dict(body) for each, body in pool.providers.items()}}
        for name, pool in pools.items()
    }


def _still(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in {"etag", "updateTime"}}


def _policy(one: Bound) -> list[Any]:
    held = [{**binding, "members": sorted(binding["members"])} for binding in one.bindings]
    return sorted(held, key=lambda binding: (binding["role"], str(binding.get("condition")), binding["members"]))
