"""What IAM v1 answers: service accounts, keys, roles, and the pools through which others sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gcp.estate import NEVER, Account, Estate, Key, Pool, filled, stamp
from sandbox.gcp.paging import page
from sandbox.gcp.projects import wanted_version
from sandbox.gcp.refusal import Json, Refused, denied, invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS = "SERVICE_ACCOUNT_KEY_EXTENDED_STATUS_KEY_"
_REASON = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_"

PREDEFINED: dict[str, tuple[str, tuple[str, ...]]] = {
    "roles/bigquery.dataViewer": ("BigQuery Data Viewer", ("bigquery.datasets.get", "bigquery.tables.getData", "bigquery.tables.list")),
    "roles/editor": (
        "Editor",
        ("compute.instances.create", "iam.serviceAccounts.actAs", "storage.buckets.create", "storage.objects.create"),
    ),
    "roles/iam.securityReviewer": ("Security Reviewer", ("iam.roles.list", "iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.list")),
    "roles/iam.serviceAccountAdmin": (
        "Service Account Admin",
        ("iam.serviceAccounts.create", "iam.serviceAccounts.delete", "iam.serviceAccounts.disable", "iam.serviceAccounts.setIamPolicy"),
    ),
    "roles/iam.serviceAccountKeyAdmin": ("Service Account Key Admin", ("iam.serviceAccountKeys.create", "iam.serviceAccountKeys.list")),
    "roles/iam.serviceAccountTokenCreator": (
        "Service Account Token Creator",
        ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken", "iam.serviceAccounts.signJwt"),
    ),
    "roles/iam.serviceAccountUser": ("Service Account User", ("iam.serviceAccounts.actAs", "iam.serviceAccounts.get")),
    "roles/iam.workloadIdentityUser": (
        "Workload Identity User",
        ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken"),
    ),
    "roles/logging.logWriter": ("Logs Writer", ("logging.logEntries.create",)),
    "roles/owner": ("Owner", ("iam.serviceAccounts.actAs", "resourcemanager.projects.delete", "resourcemanager.projects.setIamPolicy")),
    "roles/resourcemanager.organizationAdmin": (
        "Organization Administrator",
        ("resourcemanager.organizations.setIamPolicy", "resourcemanager.projects.setIamPolicy"),
    ),
    "roles/resourcemanager.projectIamAdmin": (
        "Project IAM Admin",
        ("resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy"),
    ),
    "roles/secretmanager.secretAccessor": ("Secret Manager Secret Accessor", ("secretmanager.versions.access",)),
    "roles/storage.admin": ("Storage Admin", ("storage.buckets.delete", "storage.buckets.setIamPolicy", "storage.objects.delete")),
    "roles/storage.objectViewer": ("Storage Object Viewer", ("storage.objects.get", "storage.objects.list")),
    "roles/viewer": ("Viewer", ("compute.instances.list", "iam.serviceAccounts.list", "storage.buckets.list")),
}
"""A handful of Google's own roles: title, and some of what each permits."""


def account_body(account: Account) -> Json:
    """Write a ServiceAccount. There is no creation time in it: IAM keeps none that it tells."""
    about = {"name": account.name, "projectId": account.project.project_id, "uniqueId": account.unique_id, "email": account.email}
    texts = {"displayName": account.display_name, "description": account.description, "disabled": account.disabled}
    return filled({**about, **texts, "oauth2ClientId": account.unique_id, "etag": "MDEwMjE5MjA="})


def key_body(key: Key) -> Json:
    """Write a ServiceAccountKey as the list does: neither half of the key is in it."""
    reason = _REASON + ("EXPOSED" if key.exposed else "COMPROMISE_DETECTED" if key.compromised else "USER_INITIATED")
    statuses = [
        {"key": _STATUS + status, "value": value}
        for held, status, value in (
            (key.exposed, "EXPOSED", "https://example.com/a-public-repository"),
            (key.compromised, "COMPROMISE_DETECTED", "used by an attacker"),
        )
        if held
    ]
    return filled(
        {
            "name": key.name,
            "validAfterTime": stamp(key.created),
            "validBeforeTime": NEVER if key.expires is None else stamp(key.expires),
            "keyAlgorithm": "KEY_ALG_RSA_2048",
            "keyOrigin": key.origin,
            "keyType": key.managed,
            "disabled": key.disabled,
            "disableReason": reason if key.disabled else None,
            "extendedStatus": statuses,
        }
    )


def list_accounts(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.list: 20 a page, 100 at most."""
    project = estate.project(asked["name"])
    return page("accounts", [account_body(each) for each in project.accounts.values()], asked, default=20, most=100)


def get_account(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.get."""
    return account_body(_account(estate, asked["name"], "iam.serviceAccounts.get"))


def list_keys(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.keys.list: all at once, of the types asked for."""
    types = asked.get("keyTypes") or []
    if "KEY_TYPE_UNSPECIFIED" in types or len(set(types)) < len(types):
        raise invalid("Key types must be specified, each once.")
    keys = _account(estate, asked["name"], "iam.serviceAccountKeys.list").keys.values()
    return filled({"keys": [key_body(key) for key in keys if not types or key.managed in types]})


def account_policy(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.getIamPolicy."""
    return _account(estate, asked["resource"], "iam.serviceAccounts.getIamPolicy").policy(wanted_version(asked))


def list_roles(estate: Estate, asked: Json) -> Json:
    """Answer roles.list (no parent: Google's own), projects.roles.list and organizations.roles.list; permissions with view FULL only."""
    parent = asked.get("parent") or ""
    if not parent:
        roles: Iterable[Json] = [_predefined(name) for name in PREDEFINED]
    elif parent.startswith("organizations/"):
        roles = estate.organization(parent).roles.values()
    else:
        roles = estate.project(parent).roles.values()
    full = asked.get("view") == "FULL"
    shown = [{field: value for field, value in role.items() if full or field != "includedPermissions"} for role in roles]
    return page("roles", shown, asked, default=300, most=1000)


def get_role(estate: Estate, asked: Json) -> Json:
    """Answer roles.get, projects.roles.get and organizations.roles.get."""
    name = asked["name"]
    if name in PREDEFINED:
        return _predefined(name)
    if name.startswith("roles/"):
        raise not_found(f"The role named {name} was not found.")
    holder = estate.organization(name) if name.startswith("organizations/") else estate.project(name)
    if name not in holder.roles:
        raise not_found(f"The role named {name} was not found.")
    return holder.roles[name]


def list_pools(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.workloadIdentityPools.list."""
    return page(
        "workloadIdentityPools", [pool.body for pool in estate.project(asked["parent"]).pools.values()], asked, default=50, most=1000
    )


def list_providers(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.workloadIdentityPools.providers.list."""
    pool = _pool(estate.project(asked["parent"]).pools, asked["parent"])
    return page("workloadIdentityPoolProviders", _live(pool), asked, default=50, most=100)


def list_workforce_pools(estate: Estate, asked: Json) -> Json:
    """Answer locations.workforcePools.list, whose organization is in the query."""
    if not asked.get("parent"):
        raise invalid("The parent, organizations/N, is required.")
    pools = estate.organization(asked["parent"]).workforce_pools.values()
    return page("workforcePools", [pool.body for pool in pools], asked, default=50, most=100)


def list_workforce_providers(estate: Estate, asked: Json) -> Json:
    """Answer locations.workforcePools.providers.list."""
    pools = {name: pool for each in estate.organizations.values() for name, pool in each.workforce_pools.items()}
    return page("workforcePoolProviders", _live(_pool(pools, asked["parent"])), asked, default=50, most=100)


def _live(pool: Pool) -> list[Json]:
    return [body for body in pool.providers.values() if body.get("state") != "DELETED"]


def _account(estate: Estate, name: str, permission: str) -> Account:
    try:
        return estate.account(name)
    except Refused as refused:
        # With `-` for the project Google says 403 where it would say 404: it cannot tell whose permission to check.
        raise (denied(permission, name) if "/-/" in name else refused) from None


def _pool(pools: dict[str, Pool], parent: str) -> Pool:
    pool_id = parent.rpartition("/")[2]
    if pool_id not in pools:
        raise not_found("Requested entity was not found.")
    return pools[pool_id]


def _predefined(name: str) -> Json:
    title, permissions = PREDEFINED[name]
    return {"name": name, "title": title, "includedPermissions": sorted(permissions), "stage": "GA", "etag": "AA=="}
