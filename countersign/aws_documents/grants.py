"""What users and roles may do: policies gathered over all pages, judged together once the last page has been seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING

from countersign.aws_documents.fields import details, text
from countersign.aws_documents.policy import allowed, managed
from countersign.identity import Grant
from countersign.privilege import LIMITED, STRENGTH, Verdict
from countersign.privilege.aws import ALL, BEYOND, BITS, judge
from countersign.privilege.aws_statements import NOT_READ, Allowances, held_by

if TYPE_CHECKING:
    from countersign.identity import Identity

TOGETHER = "several policies together"
"""Role of the grant that says what the policies of one holder make of it where no single one does."""
UNREAD_GROUP = "policies of the group, which were not read"


@dataclass(frozen=True, slots=True)
class _Policies:
    """Policies that one user, role or group holds by itself."""

    attached: tuple[tuple[str, str], ...]
    """(name, ARN) of managed policies."""
    inline: tuple[tuple[str, Allowances], ...]
    """(name, what it allows) of inline policies."""
    arn: str = ""
    """Of the group."""


@dataclass(frozen=True, slots=True)
class _Holder:
    uid: str
    scope: str
    name: str
    arn: str
    own: _Policies
    groups: tuple[str, ...]
    boundary: str | None
    """ARN of the permissions boundary."""


@dataclass(frozen=True, slots=True)
class _Held:
    """One policy in a holder's hands."""

    role: str
    via: str
    allows: Allowances


class Grants:
    """Gathers policies and their holders page by page; `records` gives the grants when all pages are in.

    Policy documents are weighed at once and dropped, so that what is kept is small: names and bits.
    """

    def __init__(self) -> None:
        self._allows: dict[str, Allowances] = {}
        self._groups: dict[str, _Policies] = {}
        self._holders: list[_Holder] = []

    def learn(self, page: Mapping[str, object]) -> None:
        """Take in the managed policies and groups of a page."""
        for policy in details(page, "Policies"):
            default = [one for one in details(policy, "PolicyVersionList") if one.get("IsDefaultVersion") is True]
            self._allows[intern(text(policy, "Arn"))] = _allows(default[0].get("Document")) if len(default) == 1 else NOT_READ
        for group in details(page, "GroupDetailList"):
            self._groups[intern(text(group, "GroupName"))] = _policies(group, "GroupPolicyList", text(group, "Arn"))

    def holds(self, identity: Identity, detail: Mapping[str, object]) -> None:
        """Take in a UserDetail or RoleDetail."""
        groups = detail.get("GroupList")
        boundary = detail.get("PermissionsBoundary")
        holder = _Holder(
            identity.uid,
            identity.scope,
            identity.name,
            text(detail, "Arn"),
            _policies(detail, "UserPolicyList" if identity.kind == "user" else "RolePolicyList"),
            tuple(intern(str(group)) for group in groups) if isinstance(groups, list) else (),
            (text(boundary, "PermissionsBoundaryArn") or None) if isinstance(boundary, Mapping) else None,
        )
        if holder.own.attached or holder.own.inline or holder.groups:
            self._holders.append(holder)

    def records(self) -> Iterator[Grant]:
        """Give one grant per policy that a user or role holds, itself or through a group, and one for what they are together.

        Each policy is judged with what the holder's policies deny taken away, and within its permissions boundary.
        What was not read leaves None where it could make a difference.
        """
        for holder in self._holders:
            held = tuple(self._held(holder))
            own = tuple(self._own(holder))
            denied = 0
            for one in held:
                denied |= one.allows.denied
            sure, maybe = (ALL, 0) if holder.boundary is None else self._cap(holder, own)
            certain = possible = 0
            strongest = LIMITED
            for one in held:
                bits = held_by(one.allows, holder.name, own) if one.allows.own else (one.allows.certain, one.allows.possible)
                certain, possible = certain | bits[0], possible | bits[1]
                verdict = _within(bits, sure, maybe, denied)
                strongest = max(strongest, verdict, key=_strength)
                yield _grant(holder, one.role, verdict, one.via)
            if len(held) > 1 or holder.boundary is not None:
                yield from self._together(holder, (certain & ~denied, possible & ~denied), (sure, maybe), strongest)

    def _together(self, holder: _Holder, held: tuple[int, int], cap: tuple[int, int], strongest: Verdict) -> Iterator[Grant]:
        verdict = _within(held, *cap, 0)
        if holder.boundary is not None and _strength(judge(*held)) > max(_strength(verdict), STRENGTH[None]):
            verdict = _within((held[0] | BITS[BEYOND], held[1]), cap[0] | BITS[BEYOND], cap[1], 0)
        if _strength(verdict) > _strength(strongest):
            yield _grant(holder, TOGETHER, verdict, "combined")

    def _held(self, holder: _Holder) -> Iterator[_Held]:
        yield from self._each(holder.own, "direct", "inline")
        for name in holder.groups:
            group = self._groups.get(name)
            if group is None:
                yield _Held(UNREAD_GROUP, f"group:{name}", NOT_READ)
            else:
                yield from self._each(group, f"group:{name}", f"group:{name}")

    def _each(self, policies: _Policies, attached_via: str, inline_via: str) -> Iterator[_Held]:
        for name, arn in policies.attached:
            yield _Held(name, attached_via, self._by_arn(arn))
        for name, allows in policies.inline:
            yield _Held(name, inline_via, allows)

    def _by_arn(self, arn: str) -> Allowances:
        return managed(arn) or self._allows.get(arn, NOT_READ)

    def _own(self, holder: _Holder) -> Iterator[str]:
        """Give the ARNs of what the holder would promote itself by rewriting; AWS's own policies cannot be rewritten."""
        groups = [self._groups[name] for name in holder.groups if name in self._groups]
        yield holder.arn
        yield from (group.arn for group in groups)
        yield from (arn for policies in (holder.own, *groups) for _, arn in policies.attached if ":iam::aws:" not in arn)

    def _cap(self, holder: _Holder, own: Iterable[str]) -> tuple[int, int]:
        allows = self._by_arn(holder.boundary or "")
        certain, possible = held_by(allows, holder.name, own)
        return certain & ~allows.denied, possible & ~allows.denied


def _within(bits: tuple[int, int], sure: int, maybe: int, denied: int) -> Verdict:
    certain, possible = bits[0] & ~denied, bits[1] & ~denied
    return judge(certain & sure, (certain | possible) & (sure | maybe))


def _strength(verdict: Verdict) -> int:
    return STRENGTH[verdict.power]


def _allows(document: object) -> Allowances:
    return allowed(document) or NOT_READ


def _policies(detail: Mapping[str, object], inline: str, arn: str = "") -> _Policies:
    return _Policies(
        tuple((intern(text(one, "PolicyName")), intern(text(one, "PolicyArn"))) for one in details(detail, "AttachedManagedPolicies")),
        tuple((intern(text(one, "PolicyName")), _allows(one.get("PolicyDocument"))) for one in details(detail, inline)),
        arn,
    )


def _grant(holder: _Holder, role: str, verdict: Verdict, via: str) -> Grant:
    return Grant(identity_uid=holder.uid, provider="aws", scope=holder.scope, role=role, power=verdict.power, rule=verdict.rule, via=via)
