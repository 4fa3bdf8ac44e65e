"""What Cloud Asset v1 answers: every resource, every policy, and the resources as their own APIs write them.

As at Google, searches name a project by its id and lists by its number; an account is named by its unique id in both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.gcp.estate import Account, Bound, Estate, Organization, Project, filled, stamp
from sandbox.gcp.iam import account_body, key_body
from sandbox.gcp.paging import page
from sandbox.gcp.projects import project_body
from sandbox.gcp.query import binding_values, fits, parsed, resource_values
from sandbox.gcp.refusal import Json, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CRM = "//cloudresourcemanager.googleapis.com"
_IAM = "//iam.googleapis.com"
_PROJECT = "cloudresourcemanager.googleapis.com/Project"
_ORGANIZATION = "cloudresourcemanager.googleapis.com/Organization"
_FOLDER = "cloudresourcemanager.googleapis.com/Folder"
_ACCOUNT = "iam.googleapis.com/ServiceAccount"
_NOBODY = Bound()


def search_resources(estate: Estate, asked: Json) -> Json:
    """Answer searchAllResources: 500 a page at most."""
    wanted, tests = _types(asked), parsed(asked.get("query") or "")
    found = [each for each in _search_results(estate, asked["scope"]) if wanted(each["assetType"])]
    mask = set(filter(None, (asked.get("readMask") or "*").split(",")))
    shown = [
        {name: value for name, value in each.items() if name in mask or "*" in mask} for each in found if fits(tests, resource_values(each))
    ]
    return page("results", shown, asked, default=100, most=500)


def search_policies(estate: Estate, asked: Json) -> Json:
    """Answer searchAllIamPolicies: one result for each resource with a policy of its own, only the bindings that fit; 500 at most."""
    wanted, tests = _types(asked), parsed(asked.get("query") or "")
    found = []
    for result, bound, _ in _bound(estate, asked["scope"]):
        if not wanted(result["assetType"]):
            continue
        result["resource"] = result.pop("name")
        bindings = [binding for binding in bound.bindings if fits(tests, binding_values(result, binding))]
        if bindings:
            found.append({**result, "policy": {"bindings": bindings}})
    return page("results", found, asked, default=100, most=500)


def list_assets(estate: Estate, asked: Json) -> Json:
    """Answer assets.list with RESOURCE, IAM_POLICY or no content: 100 a page, 1,000 at most."""
    wanted, content = _types(asked), asked.get("contentType", "CONTENT_TYPE_UNSPECIFIED")
    if content not in {"CONTENT_TYPE_UNSPECIFIED", "RESOURCE", "IAM_POLICY"}:
        raise invalid(f"The sandbox has no assets of content type {content}.")
    found = []
    for name, asset_type, above, resource, bound in _assets(estate, asked["parent"]):
        if not wanted(asset_type) or (content == "IAM_POLICY" and not bound.bindings):
            continue
        asset = {"name": name, "assetType": asset_type, "ancestors": above, "updateTime": resource.pop("updateTime")}
        if content == "RESOURCE":
            asset["resource"] = {"version": "v1", **resource}
        elif content == "IAM_POLICY":
            asset["iamPolicy"] = bound.policy()
        found.append(asset)
    return page("assets", found, asked, default=100, most=1000)


def _types(asked: Json) -> Callable[[str], bool]:
    try:
        patterns = [re.compile(each) for each in asked.get("assetTypes") or []]
    except re.error as error:
        raise invalid(f"Invalid asset type: {error}") from error
    return lambda asset_type: not patterns or any(pattern.fullmatch(asset_type) for pattern in patterns)


def _place(project: Project) -> Json:
    return filled({"project": project.numbered, "organization": project.organization and project.organization.name})


def _bound(estate: Estate, scope: str) -> Iterator[tuple[Json, Bound, Project | Organization]]:
    """Give whatever can carry a policy: the start of its search result, the thing, and where it is."""
    if scope.startswith("organizations/"):
        owner = estate.organization(scope)
        yield {"name": f"{_CRM}/{owner.name}", "assetType": _ORGANIZATION, "organization": owner.name}, owner, owner
        for folder in estate.folders.values():
            if folder.organization is owner:
                yield {"name": f"{_CRM}/{folder.name}", "assetType": _FOLDER, "organization": owner.name}, folder, owner
    for project in estate.projects_of(scope):
        place = _place(project)
        yield {"name": f"{_CRM}/{project.name}", "assetType": _PROJECT, **place}, project, project
        for account in project.accounts.values():
            yield {"name": _account_name(account), "assetType": _ACCOUNT, **place}, account, project
        for resource in project.resources:
            yield {"name": resource.full_name, "assetType": resource.asset_type, **place}, resource, project


def _account_name(account: Account) -> str:
    return f"{_IAM}/{account.project.name}/serviceAccounts/{account.unique_id or account.email}"


def _search_results(estate: Estate, scope: str) -> Iterator[Json]:
    if scope.startswith("organizations/"):
        owner = estate.organization(scope)
        about = {"name": f"{_CRM}/{owner.name}", "assetType": _ORGANIZATION, "displayName": owner.display_name, "location": "global"}
        yield filled({**about, "organization": owner.name, "state": "ACTIVE"})
    for project in estate.projects_of(scope):
        yield from _in_project(project)


def _in_project(project: Project) -> Iterator[Json]:
    place, parent = _place(project), {"parentFullResourceName": f"{_CRM}/{project.name}", "parentAssetType": _PROJECT}

    def result(name: str, asset_type: str, **fields: object) -> Json:
        return filled({"name": name, "assetType": asset_type, "location": "global", **place, **parent, **fields})

    body = project_body(project)
    above = {
        "parentFullResourceName": body.get("parent") and f"{_CRM}/{body['parent']}",
        "parentAssetType": body.get("parent") and _ORGANIZATION,
    }
    shown = {field: body.get(field) for field in ("displayName", "createTime", "state", "labels")}
    yield result(f"{_CRM}/{project.name}", _PROJECT, **shown, **above, additionalAttributes={"projectId": project.project_id})
    for account in project.accounts.values():
        name, created = _account_name(account), stamp(account.created)
        texts = {"displayName": account.display_name, "description": account.description, "createTime": created, "updateTime": created}
        attributes = filled({"email": account.email, "uniqueId": account.unique_id})
        yield result(name, _ACCOUNT, **texts, additionalAttributes=attributes)
        for key in account.keys.values():
            created, of = stamp(key.created), {"parentFullResourceName": name, "parentAssetType": _ACCOUNT}
            yield result(f"{name}/keys/{key.key_id}", f"{_ACCOUNT}Key", displayName=key.name, createTime=created, updateTime=created, **of)
    for pool in project.pools.values():
        kind, created = "iam.googleapis.com/WorkloadIdentityPool", stamp(pool.created)
        yield result(f"{_IAM}/{pool.name}", kind, createTime=created, **{each: pool.body.get(each) for each in ("displayName", "state")})
        of = {"parentFullResourceName": f"{_IAM}/{pool.name}", "parentAssetType": kind}
        for provider in pool.providers.values():
            yield result(f"{_IAM}/{provider['name']}", f"{kind}Provider", createTime=created, state=provider["state"], **of)
    for key_body_ in project.api_keys.values():
        shown = {field: key_body_.get(field) for field in ("displayName", "createTime", "updateTime")}
        yield result(f"//apikeys.googleapis.com/{key_body_['name']}", "apikeys.googleapis.com/Key", **shown)
    for other in project.resources:
        created = stamp(other.created)
        yield result(other.full_name, other.asset_type, createTime=created, updateTime=created, labels=dict(other.labels))


def _assets(estate: Estate, scope: str) -> Iterator[tuple[str, str, list[str], Json, Bound]]:
    """Give name, type, ancestors, the Resource (with the asset's `updateTime`), and what carries the policy."""
    if scope.startswith("organizations/"):
        owner = estate.organization(scope)
        data = {"name": owner.name, "displayName": owner.display_name}
        yield f"{_CRM}/{owner.name}", _ORGANIZATION, [owner.name], _resource("Organization", _CRM, "", data, "2024-01-15T09:00:00Z"), owner
    for project in estate.projects_of(scope):
        numbered, body = f"{_CRM}/{project.numbered}", project_body(project)
        above = [project.numbered, *([project.organization.name] if project.organization else [])]
        parent = f"{_CRM}/{body['parent']}" if "parent" in body else ""
        yield numbered, _PROJECT, above, _resource("Project", _CRM, parent, _project_v1(project), body["createTime"]), project
        for account in project.accounts.values():
            name, made = _account_name(account), stamp(account.created)
            yield name, _ACCOUNT, above, _resource("ServiceAccount", _IAM, numbered, account_body(account), made), account
            for key in account.keys.values():
                written = _resource("ServiceAccountKey", _IAM, name, key_body(key), stamp(key.created))
                yield f"{name}/keys/{key.key_id}", f"{_ACCOUNT}Key", above, written, _NOBODY
        for pool in project.pools.values():
            kind, made = "WorkloadIdentityPool", stamp(pool.created)
            yield f"{_IAM}/{pool.name}", f"iam.googleapis.com/{kind}", above, _resource(kind, _IAM, numbered, pool.body, made), _NOBODY
            for provider in pool.providers.values():
                written = _resource(f"{kind}Provider", _IAM, f"{_IAM}/{pool.name}", provider, made)
                yield f"{_IAM}/{provider['name']}", f"iam.googleapis.com/{kind}Provider", above, written, _NOBODY
        for key_of_api in project.api_keys.values():
            written = _resource("V2Key", "//apikeys.googleapis.com", numbered, key_of_api, key_of_api["createTime"])
            yield f"//apikeys.googleapis.com/{key_of_api['name']}", "apikeys.googleapis.com/Key", above, written, _NOBODY
        for other in project.resources:
            written = _resource(
                other.asset_type.rpartition("/")[2],
                "//" + other.asset_type.partition("/")[0],
                numbered,
                dict(other.data),
                stamp(other.created),
            )
            yield other.full_name, other.asset_type, above, written, other


def _project_v1(project: Project) -> Json:
    """Write a Project as Resource Manager v1 does, which Cloud Asset kept."""
    above = project.organization and {"type": "organization", "id": project.organization.number}
    about = {"projectId": project.project_id, "projectNumber": project.number, "lifecycleState": "ACTIVE", "parent": above}
    name = project.display_name or project.project_id
    return filled({**about, "name": name, "createTime": stamp(project.created), "labels": dict(project.labels)})


def _resource(kind: str, host: str, parent: str, data: Json, updated: str) -> Json:
    document = f"https:{host}/$discovery/rest"
    return filled({"discoveryDocumentUri": document, "discoveryName": kind, "parent": parent, "data": data, "updateTime": updated})
