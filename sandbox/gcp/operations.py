"""The operations that the local Google Cloud knows: one table for both wires."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.gcp import assets, changes, iam, making, projects
from sandbox.gcp.estate import Estate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.gcp.refusal import Json

IAM_ADMIN = "google.iam.admin.v1.IAM"
ASSET = "google.cloud.asset.v1.AssetService"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one API."""

    method: str
    """Its id in Google's discovery document, such as `iam.projects.serviceAccounts.list`."""
    permission: str
    """What the caller must be granted, such as `iam.serviceAccounts.list`; a few depend on the request (`needs`)."""
    verb: str
    path: re.Pattern[str]
    """The REST path without the leading slash; its one group, if any, is the resource and bears the parameter's name."""
    answer: Callable[[Estate, Json], Json]
    rpc: tuple[str, str] | None = None
    """gRPC service and method, where a client library speaks gRPC."""
    names: frozenset[str] = field(init=False)
    """What `deny`, `throttle` and the like may call it, beside `*` and its permission."""

    def __post_init__(self) -> None:
        names = {self.method, self.api, *(self.rpc[1:] if self.rpc else ())}
        object.__setattr__(self, "names", frozenset(names))

    @property
    def api(self) -> str:
        """The API's host, such as `iam.googleapis.com`."""
        return f"{self.method.partition('.')[0]}.googleapis.com"

    @property
    def parameter(self) -> str | None:
        """The parameter that names the resource."""
        return next(iter(self.path.groupindex), None)

    def needs(self, asked: Json) -> str:
        """Give the permission that this request needs."""
        if self.method == "cloudasset.assets.list" and asked.get("contentType") == "IAM_POLICY":
            return "cloudasset.assets.listIamPolicy"
        if self.api == "policyanalyzer.googleapis.com":
            return projects.ACTIVITIES.get(asked["parent"].rpartition("/")[2], self.permission)
        return self.permission


def _operation(
    method: str, permission: str, call: str, answer: Callable[[Estate, Json], Json], rpc: tuple[str, str] | None = None
) -> Operation:
    verb, _, template = call.partition(" ")
    # {name=projects/*} as Google's own annotations write it (google/api/http.proto); `*` is one segment.
    pattern = re.sub(r"\{(\w+)=([^}]+)\}", lambda match: f"(?P<{match[1]}>{match[2]})", template)
    return Operation(method, permission, verb, re.compile(pattern.replace("*", "[^/]+")), answer, rpc)


_POOLS = "projects/*/locations/*/workloadIdentityPools"
_ACCOUNTS = "projects/*/serviceAccounts"
_KEYS = f"{_ACCOUNTS}/*/keys/*"
_API_KEYS = "projects/*/locations/*/keys/*"
_PROVIDERS = (
    ("iam.projects.locations.workloadIdentityPools.providers", "iam.workloadIdentityPoolProviders", f"{_POOLS}/*/providers/*"),
    ("iam.locations.workforcePools.providers", "iam.workforcePoolProviders", "locations/*/workforcePools/*/providers/*"),
)
"""Of either sort of pool: id and permission without the verb, and the path."""

OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "iam.projects.serviceAccounts.list",
        "iam.serviceAccounts.list",
        "GET v1/{name=projects/*}/serviceAccounts",
        iam.list_accounts,
        (IAM_ADMIN, "ListServiceAccounts"),
    ),
    _operation(
        "iam.projects.serviceAccounts.get",
        "iam.serviceAccounts.get",
        f"GET v1/{{name={_ACCOUNTS}/*}}",
        iam.get_account,
        (IAM_ADMIN, "GetServiceAccount"),
    ),
    _operation(
        "iam.projects.serviceAccounts.keys.list",
        "iam.serviceAccountKeys.list",
        f"GET v1/{{name={_ACCOUNTS}/*}}/keys",
        iam.list_keys,
        (IAM_ADMIN, "ListServiceAccountKeys"),
    ),
    _operation(
        "iam.projects.serviceAccounts.getIamPolicy",
        "iam.serviceAccounts.getIamPolicy",
        f"POST v1/{{resource={_ACCOUNTS}/*}}:getIamPolicy",
        iam.account_policy,
        (IAM_ADMIN, "GetIamPolicy"),
    ),
    _operation("iam.roles.list", "iam.roles.list", "GET v1/roles", iam.list_roles, (IAM_ADMIN, "ListRoles")),
    _operation("iam.projects.roles.list", "iam.roles.list", "GET v1/{parent=projects/*}/roles", iam.list_roles),
    _operation("iam.organizations.roles.list", "iam.roles.list", "GET v1/{parent=organizations/*}/roles", iam.list_roles),
    _operation("iam.roles.get", "iam.roles.get", "GET v1/{name=roles/*}", iam.get_role, (IAM_ADMIN, "GetRole")),
    _operation("iam.projects.roles.get", "iam.roles.get", "GET v1/{name=projects/*/roles/*}", iam.get_role),
    _operation("iam.organizations.roles.get", "iam.roles.get", "GET v1/{name=organizations/*/roles/*}", iam.get_role),
    _operation(
        "iam.projects.locations.workloadIdentityPools.list",
        "iam.workloadIdentityPools.list",
        "GET v1/{parent=projects/*/locations/*}/workloadIdentityPools",
        iam.list_pools,
    ),
    _operation(
        "iam.projects.locations.workloadIdentityPools.providers.list",
        "iam.workloadIdentityPoolProviders.list",
        f"GET v1/{{parent={_POOLS}/*}}/providers",
        iam.list_providers,
    ),
    _operation(
        "iam.locations.workforcePools.list",
        "iam.workforcePools.list",
        "GET v1/{location=locations/*}/workforcePools",
        iam.list_workforce_pools,
    ),
    _operation(
        "iam.locations.workforcePools.providers.list",
        "iam.workforcePoolProviders.list",
        "GET v1/{parent=locations/*/workforcePools/*}/providers",
        iam.list_workforce_providers,
    ),
    _operation(
        "cloudasset.searchAllResources",
        "cloudasset.assets.searchAllResources",
        "GET v1/{scope=*/*}:searchAllResources",
        assets.search_resources,
        (ASSET, "SearchAllResources"),
    ),
    _operation(
        "cloudasset.searchAllIamPolicies",
        "cloudasset.assets.searchAllIamPolicies",
        "GET v1/{scope=*/*}:searchAllIamPolicies",
        assets.search_policies,
        (ASSET, "SearchAllIamPolicies"),
    ),
    _operation(
        "cloudasset.assets.list", "cloudasset.assets.listResource", "GET v1/{parent=*/*}/assets", assets.list_assets, (ASSET, "ListAssets")
    ),
    *(
        _operation(
            f"policyanalyzer.{scope}.locations.activityTypes.activities.query",
            projects.ACTIVITIES["serviceAccountLastAuthentication"],
            f"GET v1/{{parent={scope}/*/locations/*/activityTypes/*}}/activities:query",
            projects.activities,
        )
        for scope in ("projects", "organizations")
    ),
    _operation(
        "apikeys.projects.locations.keys.list",
        "apikeys.keys.list",
        "GET v2/{parent=projects/*/locations/*}/keys",
        projects.list_api_keys,
    ),
    _operation("cloudresourcemanager.projects.list", "resourcemanager.projects.list", "GET v3/projects", projects.list_projects),
    _operation("cloudresourcemanager.projects.search", "resourcemanager.projects.get", "GET v3/projects:search", projects.search_projects),
    _operation("cloudresourcemanager.projects.get", "resourcemanager.projects.get", "GET v3/{name=projects/*}", projects.get_project),
    _operation(
        "cloudresourcemanager.projects.getIamPolicy",
        "resourcemanager.projects.getIamPolicy",
        "POST v3/{resource=projects/*}:getIamPolicy",
        projects.project_policy,
    ),
    _operation(
        "cloudresourcemanager.organizations.getIamPolicy",
        "resourcemanager.organizations.getIamPolicy",
        "POST v3/{resource=organizations/*}:getIamPolicy",
        projects.organization_policy,
    ),
    _operation(
        "cloudresourcemanager.folders.getIamPolicy",
        "resourcemanager.folders.getIamPolicy",
        "POST v3/{resource=folders/*}:getIamPolicy",
        projects.folder_policy,
    ),
    *(
        _operation(f"{method}.get", f"{permission}.get", f"GET v1/{{name={path}}}", changes.get_provider)
        for method, permission, path in _PROVIDERS
    ),
    _operation("apikeys.projects.locations.keys.get", "apikeys.keys.get", f"GET v2/{{name={_API_KEYS}}}", changes.get_api_key),
)

WRITES: tuple[Operation, ...] = (
    *(
        _operation(f"iam.projects.serviceAccounts.{verb}", f"iam.serviceAccounts.{verb}", call, answer)
        for verb, call, answer in (
            ("disable", f"POST v1/{{name={_ACCOUNTS}/*}}:disable", changes.disable_account),
            ("enable", f"POST v1/{{name={_ACCOUNTS}/*}}:enable", changes.enable_account),
            ("delete", f"DELETE v1/{{name={_ACCOUNTS}/*}}", changes.delete_account),
            ("setIamPolicy", f"POST v1/{{resource={_ACCOUNTS}/*}}:setIamPolicy", changes.account_policy),
        )
    ),
    *(
        _operation(f"iam.projects.serviceAccounts.keys.{verb}", f"iam.serviceAccountKeys.{verb}", call, answer)
        for verb, call, answer in (
            ("disable", f"POST v1/{{name={_KEYS}}}:disable", changes.disable_key),
            ("enable", f"POST v1/{{name={_KEYS}}}:enable", changes.enable_key),
            ("delete", f"DELETE v1/{{name={_KEYS}}}", changes.delete_key),
            ("create", f"POST v1/{{name={_ACCOUNTS}/*}}/keys", making.create_key),
        )
    ),
    _operation(
        "iam.projects.serviceAccounts.create",
        "iam.serviceAccounts.create",
        "POST v1/{name=projects/*}/serviceAccounts",
        making.create_account,
    ),
    *(
        _operation(f"{method}.{verb}", f"{permission}.{'update' if verb == 'patch' else verb}", f"{http} v1/{{name={path}}}", answer)
        for method, permission, path in _PROVIDERS
        for verb, http, answer in (("patch", "PATCH", changes.patch_provider), ("delete", "DELETE", changes.delete_provider))
    ),
    _operation("apikeys.projects.locations.keys.delete", "apikeys.keys.delete", f"DELETE v2/{{name={_API_KEYS}}}", changes.delete_api_key),
    _operation(
        "apikeys.projects.locations.keys.undelete",
        "apikeys.keys.undelete",
        f"POST v2/{{name={_API_KEYS}}}:undelete",
        changes.undelete_api_key,
    ),
    *(
        _operation(
            f"cloudresourcemanager.{kind}.setIamPolicy",
            f"resourcemanager.{kind}.setIamPolicy",
            f"POST v3/{{resource={kind}/*}}:setIamPolicy",
            changes.container_policy(find),
        )
        for kind, find in (("projects", Estate.project), ("folders", Estate.folder), ("organizations", Estate.organization))
    ),
)
"""What changes something."""
GENERATE_TOKEN = _operation(
    "iamcredentials.projects.serviceAccounts.generateAccessToken",
    "iam.serviceAccounts.getAccessToken",
    f"POST v1/{{name={_ACCOUNTS}/*}}:generateAccessToken",
    changes.generate_token,
)


def routed(verb: str, path: str) -> tuple[Operation, Json] | None:
    """Find the operation of a REST call, and the parameter in its path; None if the sandbox has no such operation."""
    # Custom methods first: `keys/k1:undelete` would also do as the name of a key.
    for operation in sorted((*OPERATIONS, *WRITES, GENERATE_TOKEN), key=lambda each: ":" not in each.path.pattern.rpartition(")")[2]):
        match = operation.path.fullmatch(path)
        if match is not None and operation.verb == verb:
            return operation, dict(match.groupdict())
    return None


def called(rpc: tuple[str, str], asked: Json) -> Operation:
    """Find the operation of an rpc; where the discovery document has several for one rpc, the resource decides."""
    found = next(operation for operation in OPERATIONS if operation.rpc == rpc)
    resource = str(asked.get("parent") or asked.get("name") or "")
    for start in ("projects", "organizations"):
        if rpc[1] in {"ListRoles", "GetRole"} and resource.startswith(f"{start}/"):
            method = f"iam.{start}.{found.method.removeprefix('iam.')}"
            return next(operation for operation in OPERATIONS if operation.method == method)
    return found
