"""What the smaller APIs answer: Resource Manager's projects and policies, API keys, and Activity Analyzer's last authentications."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sandbox.gcp.estate import Account, Estate, Project, filled, pacific_day, stamp
from sandbox.gcp.paging import page
from sandbox.gcp.refusal import Json, invalid

_WATCHED = timedelta(days=90)
_LAG = timedelta(days=2)
_FILTER = re.compile(r'activities\.full_?[rR]esource_?[nN]ame\s*=\s*"?([^"\s]+)"?')
ACTIVITIES = {
    "serviceAccountLastAuthentication": "policyanalyzer.serviceAccountLastAuthenticationActivities.query",
    "serviceAccountKeyLastAuthentication": "policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query",
}
"""The permission for each kind of activity."""


def project_body(project: Project) -> Json:
    """Write a Project of Resource Manager v3, whose name is the number."""
    about = {"name": project.numbered, "projectId": project.project_id, "state": "ACTIVE", "createTime": stamp(project.created)}
    parent = None if project.organization is None else project.organization.name
    return filled({**about, "parent": parent, "displayName": project.display_name or project.project_id, "labels": dict(project.labels)})


def get_project(estate: Estate, asked: Json) -> Json:
    """Answer projects.get."""
    return project_body(estate.project(asked["name"]))


def list_projects(estate: Estate, asked: Json) -> Json:
    """Answer projects.list, of the parent in the query."""
    found = [project_body(each) for each in estate.projects_of(str(asked.get("parent") or ""))]
    return page("projects", found, asked, default=100, most=300)


def search_projects(estate: Estate, asked: Json) -> Json:
    """Answer projects:search, without a query only: every project."""
    if asked.get("query"):
        raise invalid("The sandbox searches projects without a query only.")
    return page("projects", [project_body(each) for each in estate.projects.values()], asked, default=100, most=300)


def wanted_version(asked: Json) -> object:
    """Give the version of a policy that was asked for, in the body or in the query."""
    options = asked.get("options") or {}
    return asked.get("options.requestedPolicyVersion") or options.get("requestedPolicyVersion") or 1


def project_policy(estate: Estate, asked: Json) -> Json:
    """Answer projects.getIamPolicy."""
    return estate.project(asked["resource"]).policy(wanted_version(asked))


def organization_policy(estate: Estate, asked: Json) -> Json:
    """Answer organizations.getIamPolicy."""
    return estate.organization(asked["resource"]).policy(wanted_version(asked))


def folder_policy(estate: Estate, asked: Json) -> Json:
    """Answer folders.getIamPolicy."""
    return estate.folder(asked["resource"]).policy(wanted_version(asked))


def list_api_keys(estate: Estate, asked: Json) -> Json:
    """Answer projects.locations.keys.list: never with the key's string, and without those that are deleted."""
    live = [body for body in estate.project(asked["parent"]).api_keys.values() if "deleteTime" not in body]
    return page("keys", live, asked, default=50, most=300)


def activities(estate: Estate, asked: Json) -> Json:
    """Answer activities:query: the day of each last authentication, of what was used or watched (`used`) only."""
    scope, kind = "/".join(asked["parent"].split("/")[:2]), asked["parent"].rpartition("/")[2]
    if kind not in ACTIVITIES:
        raise invalid(f"Unsupported activity type: {kind}")
    wanted = _FILTER.fullmatch(asked.get("filter") or "")
    if asked.get("filter") and wanted is None:
        raise invalid("Invalid filter.")
    until = estate.observed_until or datetime.now(UTC) - _LAG
    period = {"startTime": pacific_day(until - _WATCHED), "endTime": pacific_day(until)}
    found: list[Json] = []
    for project in estate.projects_of(scope):
        for what, at in project.use:
            of_account = isinstance(what, Account)
            if of_account is not (kind == "serviceAccountLastAuthentication"):
                continue
            account, full_name = what if isinstance(what, Account) else what.account, f"//iam.googleapis.com/{what.name}"
            about = {"serviceAccountId": account.unique_id, "projectNumber": project.number, "fullResourceName": full_name}
            activity = {
                "lastAuthenticatedTime": at and pacific_day(at),
                "serviceAccount" if of_account else "serviceAccountKey": filled(about),
            }
            row = {"fullResourceName": full_name, "activityType": kind, "observationPeriod": period, "activity": filled(activity)}
            if wanted is None or wanted[1] == full_name:
                found.append(row)
    return page("activities", found, asked, default=100, most=1000)
