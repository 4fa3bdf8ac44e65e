"""Which users' policies could let them into CodeCommit, the only place where an IAM user's SSH key opens anything."""

from __future__ import annotations

from fnmatch import fnmatchcase
from sys import intern
from typing import TYPE_CHECKING

from countersign.aws_documents.fields import details, text
from countersign.aws_documents.policy import document

if TYPE_CHECKING:
    from collections.abc import Mapping

_GIT = ("codecommit:gitpull", "codecommit:gitpush")


GitUser = tuple[str, str]
"""Immutable id and name of a user: a tuple, since there are many."""
_Means = tuple[tuple[str, ...], tuple[str, ...]]
"""ARNs of managed policies and names of groups; most users share theirs with many others."""


class GitUsers:
    """Gathers policies and users page by page. A policy that cannot be read counts as letting in: a call says more than a guess."""

    def __init__(self, others: int) -> None:
        """Remember so many, at least, of those who could not use Git."""
        self._most = others
        self._policies: dict[str, bool] = {}
        self._groups: dict[str, tuple[bool, tuple[str, ...]]] = {}
        self._could: list[GitUser] = []
        self._others: list[GitUser] = []
        self._by_means: dict[_Means, list[GitUser]] = {}
        self._seen = 0

    def learn(self, page: Mapping[str, object]) -> None:
        """Take in one answer of GetAccountAuthorizationDetails."""
        for policy in details(page, "Policies"):
            current = [one.get("Document") for one in details(policy, "PolicyVersionList") if one.get("IsDefaultVersion") is True]
            self._policies[intern(text(policy, "Arn"))] = any(map(could_use_git, current)) or not current
        for group in details(page, "GroupDetailList"):
            self._groups[intern(text(group, "GroupName"))] = (_inline(group, "GroupPolicyList"), _attached(group))
        for user in details(page, "UserDetailList"):
            self._learn_user((text(user, "UserId"), text(user, "UserName")), user)

    def users(self) -> tuple[list[GitUser], list[GitUser], int]:
        """Give the users who could use Git, some of the others, and how many of these there are; once all pages have been seen."""
        groups = {name: inline or any(map(self._lets_in, attached)) for name, (inline, attached) in self._groups.items()}
        could, others = list(self._could), list(self._others)
        for (attached, member), users in self._by_means.items():
            lets_in = any(map(self._lets_in, attached)) or any(groups.get(name, True) for name in member)
            (could if lets_in else others).extend(users)
        return could, others[: self._most], self._seen - len(could)

    def _learn_user(self, user: GitUser, detail: Mapping[str, object]) -> None:
        if not all(user):
            return
        self._seen += 1
        listed = detail.get("GroupList")
        groups = tuple(intern(str(group)) for group in listed) if isinstance(listed, list) else ()
        attached = _attached(detail)
        if _inline(detail, "UserPolicyList"):
            self._could.append(user)
        elif attached or groups:
            self._by_means.setdefault((attached, groups), []).append(user)
        elif len(self._others) < self._most:
            self._others.append(user)

    def _lets_in(self, arn: str) -> bool:
        return self._policies.get(arn, True)


def could_use_git(policy: object) -> bool:
    """Whether any statement of a policy allows CodeCommit's Git actions, whatever its resources, conditions and denials."""
    parsed = document(policy)
    if parsed is None:
        return True
    listed = parsed.get("Statement")
    statements = [listed] if isinstance(listed, dict) else listed
    if not isinstance(statements, list):
        return True
    return any(_allows(one) for one in statements if isinstance(one, dict))


def _allows(statement: dict[str, object]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if "NotAction" in statement:
        return not all(_matches(statement["NotAction"], action) for action in _GIT)
    return any(_matches(statement.get("Action"), action) for action in _GIT)


def _matches(patterns: object, action: str) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns if isinstance(patterns, list) else []
    return any(isinstance(one, str) and fnmatchcase(action, one.lower().replace("[", "[[]")) for one in listed)


def _inline(holder: Mapping[str, object], name: str) -> bool:
    return any(could_use_git(one.get("PolicyDocument")) for one in details(holder, name))


def _attached(holder: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(intern(text(one, "PolicyArn")) for one in details(holder, "AttachedManagedPolicies"))
