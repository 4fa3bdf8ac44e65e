"""Every call that reading makes, the permission it takes, and the custom roles that an administrator installs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Rate:
    """A quota of Google's: how often calls of a kind may be made in a minute."""

    name: str
    per_minute: int
    by_project: bool = False
    """Whether it counts for each project that is read, rather than for the caller."""


_SEARCH = Rate("asset-search", 400)
_ASSETS = Rate("asset-list", 100)
_IAM = Rate("iam-reads", 6000)
_FEDERATION = Rate("federation-reads", 600, by_project=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to Google, by the id that its discovery document gives it."""

    name: str
    permission: str
    rate: Rate | None = None
    rpc: str | None = None
    """Name of the gRPC method; None: it is asked by REST."""
    path: str = ""
    """REST path, with the parameters that it takes up in braces."""

    @property
    def api(self) -> str:
        """The service's host."""
        return f"{self.name.partition('.')[0]}.googleapis.com"


_ACTIVITIES = "policyanalyzer.projects.locations.activityTypes.activities.query"

PROJECT = Call("cloudresourcemanager.projects.get", "resourcemanager.projects.get", path="v3/{name}")
SEARCH_RESOURCES = Call("cloudasset.searchAllResources", "cloudasset.assets.searchAllResources", _SEARCH, "SearchAllResources")
SEARCH_POLICIES = Call("cloudasset.searchAllIamPolicies", "cloudasset.assets.searchAllIamPolicies", _SEARCH, "SearchAllIamPolicies")
LIST_ASSETS = Call("cloudasset.assets.list", "cloudasset.assets.listResource", _ASSETS, "ListAssets")
ACCOUNTS = Call("iam.projects.serviceAccounts.list", "iam.serviceAccounts.list", _IAM, "ListServiceAccounts")
KEYS = Call("iam.projects.serviceAccounts.keys.list", "iam.serviceAccountKeys.list", _IAM, path="v1/{name}/keys")
"""By REST, since the gRPC messages (google-cloud-iam 2.27) have neither `disableReason` nor `extendedStatus`."""
PROJECT_ROLE = Call("iam.projects.roles.get", "iam.roles.get", _IAM, "GetRole")
ORGANIZATION_ROLE = Call("iam.organizations.roles.get", "iam.roles.get", _IAM, "GetRole")
POOLS = Call(
    "iam.projects.locations.workloadIdentityPools.list",
    "iam.workloadIdentityPools.list",
    _FEDERATION,
    path="v1/{parent}/workloadIdentityPools",
)
PROVIDERS = Call(
    "iam.projects.locations.workloadIdentityPools.providers.list",
    "iam.workloadIdentityPoolProviders.list",
    _FEDERATION,
    path="v1/{parent}/providers",
)
WORKFORCE_POOLS = Call("iam.locations.workforcePools.list", "iam.workforcePools.list", _IAM, path="v1/{location}/workforcePools")
WORKFORCE_PROVIDERS = Call(
    "iam.locations.workforcePools.providers.list", "iam.workforcePoolProviders.list", _IAM, path="v1/{parent}/providers"
)
ACCOUNT_USE = Call(
    f"{_ACTIVITIES}:serviceAccountLastAuthentication",
    "policyanalyzer.serviceAccountLastAuthenticationActivities.query",
    path="v1/{parent}/activities:query",
)
KEY_USE = Call(
    f"{_ACTIVITIES}:serviceAccountKeyLastAuthentication",
    "policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query",
    path="v1/{parent}/activities:query",
)
API_KEYS = Call("apikeys.projects.locations.keys.list", "apikeys.keys.list", path="v2/{parent}/keys")

CALLS = (
    PROJECT, SEARCH_RESOURCES, SEARCH_POLICIES, LIST_ASSETS, ACCOUNTS, KEYS, PROJECT_ROLE, ORGANIZATION_ROLE, POOLS, PROVIDERS,
    WORKFORCE_POOLS, WORKFORCE_PROVIDERS, ACCOUNT_USE, KEY_USE, API_KEYS,
)  # fmt: skip
PERMISSIONS: tuple[str, ...] = tuple(sorted({call.permission for call in CALLS}))
REVOKE_PERMISSIONS: tuple[str, ...] = (
    "apikeys.keys.delete",
    "apikeys.keys.get",
    "apikeys.keys.undelete",
    "iam.serviceAccountKeys.delete",
    "iam.serviceAccountKeys.disable",
    "iam.serviceAccountKeys.enable",
    "iam.serviceAccountKeys.list",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.disable",
    "iam.serviceAccounts.enable",
    "iam.serviceAccounts.get",
    "iam.serviceAccounts.getIamPolicy",
    "iam.serviceAccounts.setIamPolicy",
    "iam.serviceAccounts.undelete",
    "iam.workforcePoolProviders.get",
    "iam.workforcePoolProviders.update",
    "iam.workforcePools.get",
    "iam.workforcePools.update",
    "iam.workloadIdentityPoolProviders.get",
    "iam.workloadIdentityPoolProviders.update",
    "iam.workloadIdentityPools.get",
    "iam.workloadIdentityPools.update",
    "resourcemanager.folders.getIamPolicy",
    "resourcemanager.folders.setIamPolicy",
    "resourcemanager.organizations.getIamPolicy",
    "resourcemanager.organizations.setIamPolicy",
    "resourcemanager.projects.getIamPolicy",
    "resourcemanager.projects.setIamPolicy",
)
"""Each change that can be taken back, its undoing, its final form, and the read that proves it."""


_OF_ORGANIZATIONS = ("iam.workforcePool", "resourcemanager.folders.", "resourcemanager.organizations.")
"""Starts of permissions that a custom role of a project cannot have."""


def permission_files() -> Mapping[str, str]:
    """Give custom roles for `gcloud iam roles create --file`: of an organization, and `*-project.yaml` for a project without one."""
    reader = ("Countersign reader", "Lists identities, credentials and who may use them; changes nothing.")
    revoker = ("Countersign revoker", "Takes away what was approved for removal; for another identity than the reader's.")
    return {
        f"{name}{place}.yaml": _role(*about, (one for one in held if not (place and one.startswith(_OF_ORGANIZATIONS))))
        for name, about, held in (("read", reader, PERMISSIONS), ("revoke", revoker, REVOKE_PERMISSIONS))
        for place in ("", "-project")
    }


def _role(title: str, description: str, permissions: Iterable[str]) -> str:
    held = "".join(f"- {permission}\n" for permission in permissions)
    return f"title: {title}\ndescription: {description}\nstage: GA\nincludedPermissions:\n{held}"
