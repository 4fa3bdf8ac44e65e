"""What GitHub's answers have beside what they say: every field that its description says is always there, and that no desk of ours reads."""

from __future__ import annotations

from typing import Any

_URL = "https://api.github.com/x"
_AT = "2026-11-22T12:00:00Z"


def _all(names: str, *, are: object) -> dict[str, Any]:
    return dict.fromkeys(names.split(), are)


_PERSON = _all(
    "avatar_url events_url followers_url following_url gists_url html_url organizations_url received_events_url repos_url starred_url"
    " subscriptions_url url",
    are=_URL,
) | {"id": 1, "node_id": "U_1", "gravatar_id": "", "type": "User", "site_admin": False}
_ACCOUNT = (
    _all("bio blog company location name email hireable", are=None)
    | _all("followers following public_gists public_repos collaborators disk_usage owned_private_repos", are=0)
    | _all("private_gists total_private_repos", are=0)
    | {"two_factor_authentication": True, "created_at": _AT, "updated_at": _AT, "user_view_type": "private"}
)
_LABEL = {"id": 1, "node_id": "L_1", "url": _URL, "color": "ededed", "description": None, "default": False}
_EVENT = {"id": 1, "node_id": "E_1", "url": _URL, "commit_id": None, "commit_url": None, "performed_via_github_app": None}

ISSUE_FIELDS = _all("comments_url events_url html_url repository_url labels_url url", are=_URL) | {
    "id": 1,
    "node_id": "I_1",
    "assignee": None,
    "milestone": None,
    "locked": False,
    "comments": 0,
}
COMMENT_FIELDS = {"id": 1, "node_id": "C_1", "html_url": _URL, "issue_url": _URL, "url": _URL, "author_association": "MEMBER"}
REPOSITORY_FIELDS = (
    _all(
        "archive_url assignees_url blobs_url branches_url collaborators_url comments_url commits_url compare_url contents_url"
        " git_commits_url git_refs_url git_tags_url issue_comment_url issue_events_url issues_url keys_url labels_url milestones_url"
        " notifications_url pulls_url releases_url statuses_url trees_url clone_url git_url ssh_url contributors_url deployments_url"
        " downloads_url events_url forks_url hooks_url html_url languages_url merges_url stargazers_url subscribers_url"
        " subscription_url tags_url teams_url url svn_url",
        are=_URL,
    )
    | _all("description language homepage mirror_url license", are=None)
    | _all("fork has_projects has_wiki has_pages has_discussions disabled", are=False)
    | _all("forks forks_count open_issues open_issues_count size stargazers_count watchers watchers_count", are=0)
    | _all("network_count subscribers_count", are=0)
    | _all("pushed_at created_at updated_at", are=_AT)
    | {"id": 1, "node_id": "R_1", "name": "access", "default_branch": "main"}
)


def person(login: str) -> dict[str, Any]:
    return {**_PERSON, "login": login}


def account(login: str) -> dict[str, Any]:
    return {**_PERSON, **_ACCOUNT, "login": login}


def label(name: str) -> dict[str, Any]:
    return {**_LABEL, "name": name}


def event(kind: str, who: str, at: str) -> dict[str, Any]:
    return {**_EVENT, "event": kind, "actor": person(who), "created_at": at}
