"""What changes the local Google Cloud: accounts, keys, providers, API keys and policies, as Google's own descriptions say they do."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.gcp.estate import Bound, Estate, Key, Pool, filled, stamp
from sandbox.gcp.refusal import Json, Refused, invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEPT = timedelta(days=30)
_CONDITIONAL = 3
_READ_ONLY = frozenset({"name", "state", "expireTime"})


def disable_account(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.disable."""
    estate.account(asked["name"]).disabled = True
    return {}


def enable_account(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.enable."""
    estate.account(asked["name"]).disabled = False
    return {}


def delete_account(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.delete: policies keep the member, marked as deleted, with the unique id."""
    account = estate.account(asked["name"])
    del account.project.accounts[account.email]
    old, new = f"serviceAccount:{account.email}", f"deleted:serviceAccount:{account.email}?uid={account.unique_id}"
    for bound in _everything_bound(estate):
        for binding in bound.bindings:
            binding["members"] = [new if member == old else member for member in binding["members"]]
    return {}


def disable_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.keys.disable."""
    _key(estate, asked["name"]).disabled = True
    return {}


def enable_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.keys.enable."""
    _key(estate, asked["name"]).disabled = False
    return {}


def delete_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.keys.delete."""
    key = _key(estate, asked["name"])
    del key.account.keys[key.key_id]
    return {}


def account_policy(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.setIamPolicy."""
    return _set_policy(estate.account(asked["resource"]), asked)


def container_policy(find: Callable[[Estate, str], Bound]) -> Callable[[Estate, Json], Json]:
    """Give the answer to setIamPolicy of a project, a folder or an organization."""
    return lambda estate, asked: _set_policy(find(estate, asked["resource"]), asked)


def get_provider(estate: Estate, asked: Json) -> Json:
    """Answer providers.get of either sort of pool; a deleted one is shown too."""
    return _provider(estate, asked["name"])


def patch_provider(estate: Estate, asked: Json) -> Json:
    """Answer providers.patch of either sort of pool: only what the mask names."""
    provider = _provider(estate, asked["name"])
    if provider.get("state") == "DELETED":
        raise Refused("FAILED_PRECONDITION", "The provider is deleted.")
    mask = [name for name in str(asked.get("updateMask") or "").split(",") if name]
    if not mask or _READ_ONLY & set(mask):
        raise invalid("The update mask has to name fields that can be changed.")
    for name in mask:
        provider.pop(name, None)
        provider.update(filled({name: asked.get(name)}))
    return _done(asked["name"], provider)


def delete_provider(estate: Estate, asked: Json) -> Json:
    """Answer providers.delete of either sort of pool."""
    provider = _provider(estate, asked["name"])
    if provider.get("state") == "DELETED":
        raise not_found("Requested entity was not found.")
    provider.update(state="DELETED", expireTime=stamp(datetime.now(UTC) + _KEPT))
    return _done(asked["name"], provider)


def get_api_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.keys.get; a deleted one is shown with its deleteTime."""
    return _api_key(estate, asked["name"])


def delete_api_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.keys.delete: refused where the etag is another's."""
    key = _api_key(estate, asked["name"])
    if asked.get("etag") not in {None, key["etag"]}:
        raise Refused("ABORTED", "The etag does not match.")
    if "deleteTime" in key:
        raise Refused("FAILED_PRECONDITION", "The key is deleted.")
    key["deleteTime"] = stamp(datetime.now(UTC))
    return _done(asked["name"], key, of="type.googleapis.com/google.api.apikeys.v2.Key")


def undelete_api_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.keys.undelete."""
    key = _api_key(estate, asked["name"])
    if key.pop("deleteTime", None) is None:
        raise Refused("FAILED_PRECONDITION", "The key is not deleted.")
    return _done(asked["name"], key, of="type.googleapis.com/google.api.apikeys.v2.Key")


def generate_token(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.generateAccessToken."""
    account = estate.account(asked["name"])
    if account.disabled:
        raise Refused("FAILED_PRECONDITION", f"Service account {account.email} is disabled.")
    return {"accessToken": estate.tokens.issue(account), "expireTime": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}


def _set_policy(bound: Bound, asked: Json) -> Json:
    """Replace a policy: its etag must be the present one, and conditions take version 3 (iam v1 Policy)."""
    policy = asked.get("policy") or {}
    wanted = [dict(binding) for binding in policy.get("bindings") or []]
    if "etag" in policy and base64.b64decode(policy["etag"]) != base64.b64decode(bound.policy()["etag"]):
        raise Refused("ABORTED", "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.")
    if any("condition" in one for one in (*wanted, *bound.bindings)) and policy.get("version") != _CONDITIONAL:
        raise invalid("Specified policy has conditional role bindings, but version is not 3.")
    if any(not binding.get("members") for binding in wanted):
        raise invalid("A binding without members.")
    bound.bindings[:] = wanted
    return bound.policy()


def _everything_bound(estate: Estate) -> Iterator[Bound]:
    yield from estate.organizations.values()
    yield from estate.folders.values()
    for project in estate.projects.values():
        yield project
        yield from project.accounts.values()
        yield from project.resources


def _key(estate: Estate, name: str) -> Key:
    account, _, key_id = name.partition("/keys/")
    keys = estate.account(account).keys
    if key_id not in keys:
        raise not_found(f"Service account key {key_id} does not exist.")
    return keys[key_id]


def _provider(estate: Estate, name: str) -> Json:
    parts = name.split("/")
    pools: dict[str, Pool] = {}
    if name.startswith("projects/"):
        pools = estate.project(name).pools
    else:
        for organization in estate.organizations.values():
            pools.update(organization.workforce_pools)
    pool = pools.get(parts[-3])
    if pool is None or parts[-1] not in pool.providers:
        raise not_found("Requested entity was not found.")
    return pool.providers[parts[-1]]


def _api_key(estate: Estate, name: str) -> Json:
    found = estate.project(name).api_keys.get(name.rpartition("/")[2])
    if found is None:
        raise not_found("Requested entity was not found.")
    return found


def _done(name: str, body: Json, of: str = "") -> Json:
    """Write an Operation that is finished at once."""
    response: dict[str, Any] = {"@type": of or "type.googleapis.com/google.iam.v1beta.WorkloadIdentityPoolProvider", **body}
    return {"name": f"{name}/operations/sandbox" if not of else "operations/akmf.sandbox", "done": True, "response": response}
