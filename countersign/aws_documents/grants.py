"""What users and roles may do: policies gathered over all pages, judged once the last page has been seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING

from countersign.aws_documents.fields import details, text
from countersign.aws_documents.policy import administrator, is_administrator_policy
from countersign.identity import Grant
from countersign.privilege import LIMITED, UNREAD, given_by
from countersign.privilege.aws import EVERY_ACTION

if TYPE_CHECKING:
    from countersign.identity import Identity


@dataclass(frozen=True, slots=True)
class _Policies:
    """Policies that one user, role or group holds by itself."""

    attached: tuple[tuple[str, str], ...]
    """(name, ARN) of managed policies."""
    inline: tuple[tuple[str, bool | None], ...]
    """(name, administrator) of inline policies."""


@dataclass(frozen=True, slots=True)
class _Holder:
    uid: str
    scope: str
    own: _Policies
    groups: tuple[str, ...]
    boundary: str | None
    """ARN of the permissions boundary."""


class Grants:
    """Gathers policies and their holders page by page; `records` gives the grants when all pages are in.

    Policy documents are judged at once and dropped, so that what is kept is small: names and verdicts.
    """

    def __init__(self) -> None:
        self._verdicts: dict[str, bool | None] = {}
        self._groups: dict[str, _Policies] = {}
        self._holders: list[_Holder] = []

    def learn(self, page: Mapping[str, object]) -> None:
        """Take in the managed policies and groups of a page."""
        for policy in details(page, "Policies"):
            default = [one for one in details(policy, "PolicyVersionList") if one.get("IsDefaultVersion") is True]
            self._verdicts[intern(text(policy, "Arn"))] = administrator(default[0].get("Document")) if len(default) == 1 else None
        for group in details(page, "GroupDetailList"):
            self._groups[intern(text(group, "GroupName"))] = _policies(group, "GroupPolicyList")

    def holds(self, identity: Identity, detail: Mapping[str, object]) -> None:
        """Take in a UserDetail or RoleDetail."""
        groups = detail.get("GroupList")
        boundary = detail.get("PermissionsBoundary")
        holder = _Holder(
            identity.uid,
            identity.scope,
            _policies(detail, "UserPolicyList" if identity.kind == "user" else "RolePolicyList"),
            tuple(intern(str(group)) for group in groups) if isinstance(groups, list) else (),
            (text(boundary, "PermissionsBoundaryArn") or None) if isinstance(boundary, Mapping) else None,
        )
        if holder.own.attached or holder.own.inline or holder.groups:
            self._holders.append(holder)

    def records(self) -> Iterator[Grant]:
        """Give one grant per policy that a user or role holds, itself or through a group.

        A permissions boundary that is not itself administrator caps everything; one whose document was not read leaves
        an administrator policy at None, as does a policy or group whose document was not read.
        """
        for holder in self._holders:
            yield from self._granted(holder, holder.own, "direct", "inline")
            for name in holder.groups:
                group = self._groups.get(name)
                if group is None:
                    yield _grant(holder, "policies of the group, which were not read", None, f"group:{name}")
                else:
                    yield from self._granted(holder, group, f"group:{name}", f"group:{name}")

    def _granted(self, holder: _Holder, policies: _Policies, attached_via: str, inline_via: str) -> Iterator[Grant]:
        for name, arn in policies.attached:
            yield _grant(holder, name, self._capped(self._verdict(arn), holder.boundary), attached_via)
        for name, verdict in policies.inline:
            yield _grant(holder, name, self._capped(verdict, holder.boundary), inline_via)

    def _verdict(self, arn: str) -> bool | None:
        return True if is_administrator_policy(arn) else self._verdicts.get(arn)

    def _capped(self, verdict: bool | None, boundary: str | None) -> bool | None:  # noqa: FBT001 -- a verdict with three values, not a switch
        if boundary is None or verdict is False:
            return verdict
        cap = self._verdict(boundary)
        return verdict if cap else cap


def _policies(detail: Mapping[str, object], inline: str) -> _Policies:
    return _Policies(
        tuple((intern(text(one, "PolicyName")), intern(text(one, "PolicyArn"))) for one in details(detail, "AttachedManagedPolicies")),
        tuple((intern(text(one, "PolicyName")), administrator(one.get("PolicyDocument"))) for one in details(detail, inline)),
    )


def _grant(holder: _Holder, role: str, privileged: bool | None, via: str) -> Grant:  # noqa: FBT001 -- a verdict with three values, not a switch
    verdict = UNREAD if privileged is None else given_by(EVERY_ACTION) if privileged else LIMITED
    return Grant(identity_uid=holder.uid, provider="aws", scope=holder.scope, role=role, power=verdict.power, rule=verdict.rule, via=via)
