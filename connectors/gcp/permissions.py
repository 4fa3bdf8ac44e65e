"""Every call that is made, the permission it takes, and the custom roles that an administrator installs."""

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
    verb: str = "GET"
    in_query: tuple[str, ...] = ()
    """Parameters that go into the query where the rest is a body; GET and DELETE have no body."""
    writes: bool = False
    """Whether it changes something, so that it is never made again when its answer was lost."""

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
TOKEN_INFO = Call("oauth2.tokeninfo", "none", path="tokeninfo", verb="POST")
"""Whose token it is; whoever bears one may ask."""
API_KEYS = Call("apikeys.projects.locations.keys.list", "apikeys.keys.list", path="v2/{parent}/keys")

CALLS = (
    PROJECT, SEARCH_RESOURCES, SEARCH_POLICIES, LIST_ASSETS, ACCOUNTS, KEYS, PROJECT_ROLE, ORGANIZATION_ROLE, POOLS, PROVIDERS,
    WORKFORCE_POOLS, WORKFORCE_PROVIDERS, ACCOUNT_USE, KEY_USE, API_KEYS,
)  # fmt: skip
_RESOURCES = "cloudresourcemanager"
_VERSION = "options.requestedPolicyVersion"

ACCOUNT = Call("iam.projects.serviceAccounts.get", "iam.serviceAccounts.get", _IAM, path="v1/{name}")
ACCOUNT_POLICY = Call(
    "iam.projects.serviceAccounts.getIamPolicy",
    "iam.serviceAccounts.getIamPolicy",
    _IAM,
    path="v1/{resource}:getIamPolicy",
    verb="POST",
    in_query=(_VERSION,),
)
PROVIDER_GET = Call(
    "iam.projects.locations.workloadIdentityPools.providers.get", "iam.workloadIdentityPoolProviders.get", _FEDERATION, path="v1/{name}"
)
WORKFORCE_PROVIDER_GET = Call("iam.locations.workforcePools.providers.get", "iam.workforcePoolProviders.get", _IAM, path="v1/{name}")
API_KEY = Call("apikeys.projects.locations.keys.get", "apikeys.keys.get", path="v2/{name}")
PROJECT_POLICY, FOLDER_POLICY, ORGANIZATION_POLICY = (
    Call(
        f"{_RESOURCES}.{kind}.getIamPolicy",
        f"resourcemanager.{kind}.getIamPolicy",
        path="v3/{resource}:getIamPolicy",
        verb="POST",
    )
    for kind in ("projects", "folders", "organizations")
)
LOOKS = (
    ACCOUNT, ACCOUNT_POLICY, PROVIDER_GET, WORKFORCE_PROVIDER_GET, API_KEY, PROJECT_POLICY, FOLDER_POLICY, ORGANIZATION_POLICY,
)  # fmt: skip
"""What is asked only to plan a revocation, and to see what came of it; always as the reader."""


def _write(name: str, permission: str, path: str, *, verb: str = "POST", in_query: tuple[str, ...] = ()) -> Call:
    return Call(name, permission, path=path, verb=verb, in_query=in_query, writes=True)


_ACCOUNT, _KEY = "iam.projects.serviceAccounts", "iam.projects.serviceAccounts.keys"
DISABLE_ACCOUNT = _write(f"{_ACCOUNT}.disable", "iam.serviceAccounts.disable", "v1/{name}:disable")
ENABLE_ACCOUNT = _write(f"{_ACCOUNT}.enable", "iam.serviceAccounts.enable", "v1/{name}:enable")
DELETE_ACCOUNT = _write(f"{_ACCOUNT}.delete", "iam.serviceAccounts.delete", "v1/{name}", verb="DELETE")
SET_ACCOUNT_POLICY = _write(f"{_ACCOUNT}.setIamPolicy", "iam.serviceAccounts.setIamPolicy", "v1/{resource}:setIamPolicy")
DISABLE_KEY = _write(f"{_KEY}.disable", "iam.serviceAccountKeys.disable", "v1/{name}:disable")
ENABLE_KEY = _write(f"{_KEY}.enable", "iam.serviceAccountKeys.enable", "v1/{name}:enable")
DELETE_KEY = _write(f"{_KEY}.delete", "iam.serviceAccountKeys.delete", "v1/{name}", verb="DELETE")
_WORKLOAD, _WORKFORCE = "iam.projects.locations.workloadIdentityPools.providers", "iam.locations.workforcePools.providers"
_UPDATE_MASK = ("updateMask",)
UPDATE_PROVIDER = _write(f"{_WORKLOAD}.patch", "iam.workloadIdentityPoolProviders.update", "v1/{name}", verb="PATCH", in_query=_UPDATE_MASK)
DELETE_PROVIDER = _write(f"{_WORKLOAD}.delete", "iam.workloadIdentityPoolProviders.delete", "v1/{name}", verb="DELETE")
UPDATE_WORKFORCE_PROVIDER = _write(
    f"{_WORKFORCE}.patch", "iam.workforcePoolProviders.update", "v1/{name}", verb="PATCH", in_query=_UPDATE_MASK
)
DELETE_WORKFORCE_PROVIDER = _write(f"{_WORKFORCE}.delete", "iam.workforcePoolProviders.delete", "v1/{name}", verb="DELETE")
DELETE_API_KEY = _write("apikeys.projects.locations.keys.delete", "apikeys.keys.delete", "v2/{name}", verb="DELETE")
UNDELETE_API_KEY = _write("apikeys.projects.locations.keys.undelete", "apikeys.keys.undelete", "v2/{name}:undelete")
SET_PROJECT_POLICY, SET_FOLDER_POLICY, SET_ORGANIZATION_POLICY = (
    _write(f"{_RESOURCES}.{kind}.setIamPolicy", f"resourcemanager.{kind}.setIamPolicy", "v3/{resource}:setIamPolicy")
    for kind in ("projects", "folders", "organizations")
)
WRITES = (
    DISABLE_ACCOUNT, ENABLE_ACCOUNT, DELETE_ACCOUNT, SET_ACCOUNT_POLICY, DISABLE_KEY, ENABLE_KEY, DELETE_KEY, UPDATE_PROVIDER,
    DELETE_PROVIDER, UPDATE_WORKFORCE_PROVIDER, DELETE_WORKFORCE_PROVIDER,
    DELETE_API_KEY, UNDELETE_API_KEY, SET_PROJECT_POLICY, SET_FOLDER_POLICY, SET_ORGANIZATION_POLICY,
)  # fmt: skip
"""Each change, and its undoing; always as the revoking identity, which reads nothing."""

CREATE_ACCOUNT = _write(f"{_ACCOUNT}.create", "iam.serviceAccounts.create", "v1/{name}/serviceAccounts")
CREATE_KEY = _write(f"{_KEY}.create", "iam.serviceAccountKeys.create", "v1/{name}/keys")
DRILLS = (ACCOUNTS, CREATE_ACCOUNT, CREATE_KEY, DELETE_ACCOUNT)
"""What makes and removes canaries, in a project that is set aside; always as the identity that drills."""

PERMISSIONS: tuple[str, ...] = tuple(sorted({call.permission for call in (*CALLS, *LOOKS)}))
REVOKE_PERMISSIONS: tuple[str, ...] = tuple(sorted({call.permission for call in WRITES}))
DRILL_PERMISSIONS: tuple[str, ...] = tuple(sorted({call.permission for call in DRILLS}))


_OF_ORGANIZATIONS = ("iam.workforcePool", "resourcemanager.folders.", "resourcemanager.organizations.")
"""Starts of permissions that a custom role of a project cannot have."""


def permission_files() -> Mapping[str, str]:
    """Give custom roles for `gcloud iam roles create --file`: of an organization, and `*-project.yaml` for a project."""
    reader = ("Countersign reader", "Lists identities, credentials and who may use them; changes nothing.")
    revoker = ("Countersign revoker", "Takes away what was approved for removal; for another identity than the reader's.")
    driller = ("Countersign drill", "Makes and removes canaries in a project that is set aside; for a third identity.")
    return {"drill-project.yaml": _role(*driller, DRILL_PERMISSIONS)} | {
        f"{name}{place}.yaml": _role(*about, (one for one in held if not (place and one.startswith(_OF_ORGANIZATIONS))))
        for name, about, held in (("read", reader, PERMISSIONS), ("revoke", revoker, REVOKE_PERMISSIONS))
        for place in ("", "-project")
    }


def _role(title: str, description: str, permissions: Iterable[str]) -> str:
    held = "".join(f"- {permission}\n" for permission in permissions)
    return f"title: {title}\ndescription: {description}\nstage: GA\nincludedPermissions:\n{held}"
