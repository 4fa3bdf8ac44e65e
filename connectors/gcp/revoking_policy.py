"""Memberships in IAM policies: one member of one binding is found, taken out and put back; all else stays what it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.gcp.permissions import (
    ACCOUNT_POLICY,
    FOLDER_POLICY,
    ORGANIZATION_POLICY,
    PROJECT_POLICY,
    SET_ACCOUNT_POLICY,
    SET_FOLDER_POLICY,
    SET_ORGANIZATION_POLICY,
    SET_PROJECT_POLICY,
)
from connectors.gcp.visit import PROVIDER
from countersign.fields import Row, inner, listed, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from connectors.gcp.permissions import Call

VERSION = 3
"""Of policies with conditions: an older one is answered without them, and setting it would take them away."""
_HOSTS = ("//cloudresourcemanager.googleapis.com/", "//iam.googleapis.com/")
_PARTS_OF_ACCOUNT = 4


@dataclass(frozen=True, slots=True)
class Membership:
    """One member of one binding of the policy on one resource."""

    resource: str
    """`projects/P`, `folders/N`, `organizations/N` or `projects/P/serviceAccounts/UNIQUE`."""
    role: str
    condition: Mapping[str, Any] | None
    member: str
    account: str | None
    """Where the member is a service account that can be looked up: its name by unique id, since e-mails are given anew."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Return it as a change's parameters."""
        return {
            "resource": self.resource, "role": self.role, "condition": self.condition and dict(self.condition), "member": self.member,
            "account": self.account,
        }  # fmt: skip

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what two descriptions of the same membership have in common."""
        return self.resource, self.role, repr(sorted((self.condition or {}).items())), self.member


def resource_of(name: str, scope: str) -> str | None:
    """Read where a grant holds as the resource of a policy that can be changed here; None for a bucket, a topic and the like."""
    if name == "*":
        return scope if scope.startswith("organizations/") else f"projects/{scope}"
    host = next((host for host in _HOSTS if name.startswith(host)), None)
    rest = "" if host is None else name.removeprefix(host)
    parts = rest.split("/")
    if host == _HOSTS[0] and len(parts) == 2 and parts[0] in {"projects", "folders", "organizations"} and parts[1]:  # noqa: PLR2004 - collection and id
        return rest
    is_account = host == _HOSTS[1] and len(parts) == _PARTS_OF_ACCOUNT and (parts[0], parts[2]) == ("projects", "serviceAccounts")
    return rest if is_account and all(parts) else None


def policy_calls(resource: str) -> tuple[Call, Call, dict[str, Any]]:
    """Give the calls that read and set the policy on a resource, and what to ask the first for."""
    if "/serviceAccounts/" in resource:
        return ACCOUNT_POLICY, SET_ACCOUNT_POLICY, {"resource": resource, "options.requestedPolicyVersion": VERSION}
    asked = {"resource": resource, "options": {"requestedPolicyVersion": VERSION}}
    return {
        "projects": (PROJECT_POLICY, SET_PROJECT_POLICY, asked),
        "folders": (FOLDER_POLICY, SET_FOLDER_POLICY, asked),
        "organizations": (ORGANIZATION_POLICY, SET_ORGANIZATION_POLICY, asked),
    }[resource.partition("/")[0]]


def target(membership: Membership, scope: str, holder: str) -> str:
    """Give the subject that a membership is a matter of: the account that it lets act as, else who holds the role."""
    if "/serviceAccounts/" in membership.resource:
        project, unique = membership.resource.split("/")[1::2]
        return f"{PROVIDER}:{project if scope.startswith('organizations/') else scope}:service-account/{unique}"
    return holder


def bindings(policy: Row) -> Iterator[tuple[str, Row | None, tuple[str, ...]]]:
    """Yield role, condition (None for none) and members of each binding."""
    for binding in listed(policy, "bindings"):
        yield text(binding, "role") or "", inner(binding, "condition") or None, texts(binding, "members")


def bound(policy: Row, one: Membership) -> bool:
    """Whether a member is in the binding."""
    return any(one.member in members for role, condition, members in bindings(policy) if _same(one, role, condition))


def without(policy: Row, one: Membership) -> dict[str, Any]:
    """Give a policy without the membership; a binding that nobody is left in goes, since Google takes none without members."""
    kept: list[object] = []
    for binding in listed(policy, "bindings"):
        if not _same(one, text(binding, "role") or "", inner(binding, "condition") or None):
            kept.append(binding)
            continue
        members = [member for member in texts(binding, "members") if member != one.member]
        if members:
            kept.append({**binding, "members": members})
    return _written(policy, kept)


def with_member(policy: Row, one: Membership) -> dict[str, Any]:
    """Give a policy with the membership: in the binding of the same role and condition, or in one of its own at the end."""
    held: list[Any] = [dict(binding) for binding in listed(policy, "bindings")]
    for binding in held:
        if _same(one, text(binding, "role") or "", inner(binding, "condition") or None):
            if one.member not in texts(binding, "members"):
                binding["members"] = [*texts(binding, "members"), one.member]
            return _written(policy, held)
    fresh = {"role": one.role, "members": [one.member]} | ({"condition": dict(one.condition)} if one.condition else {})
    return _written(policy, [*held, fresh])


def _same(one: Membership, role: str, condition: Row | None) -> bool:
    return role == one.role and (condition or None) == (one.condition or None)


def _written(policy: Row, held: list[object]) -> dict[str, Any]:
    conditional = any(isinstance(one, dict) and one.get("condition") for one in (*held, *listed(policy, "bindings")))
    return {**policy, "bindings": held, **({"version": VERSION} if conditional else {})}
