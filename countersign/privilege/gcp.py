"""Google Cloud roles: basic and predefined ones by name, custom ones by their permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by

if TYPE_CHECKING:
    from collections.abc import Collection

_OWNER = Rule(
    "gcp-owner", "administrator", "The basic role Owner may do everything in the project.", "IAM basic and predefined roles reference"
)
RULES: tuple[Rule, ...] = (_OWNER,)


def role(name: str, permissions: Collection[str] | None = None) -> Verdict:
    """Judge a role by its name (`roles/owner`, `projects/p/roles/custom`); `permissions`: a custom role's includedPermissions.

    A custom role whose permissions are None was not read: power None.
    """
    if name == "roles/owner":
        return given_by(_OWNER)
    return LIMITED if name.startswith("roles/") or permissions is not None else UNREAD


def on_service_account(name: str, permissions: Collection[str] | None, account: Verdict) -> Verdict:
    """Judge a role held on one service account: who may make its tokens or keys can do what it can (`account`)."""
    del name, permissions, account
    return LIMITED
