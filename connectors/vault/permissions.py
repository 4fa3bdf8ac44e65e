"""What reading Vault and revoking in it may do, as `capability path` lines, and the policies that say so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A LIST request carries a trailing slash, and `auth/+/role/+` matches `auth/approle/role/` with an empty last segment; only a
# rule that ends in the slash itself is more specific than that one. In the same way the rule on `sys/leases/lookup` would be
# the one for listing `sys/leases/lookup/`.
PERMISSIONS: tuple[str, ...] = (
    "list +/certs/",
    "list +/certs/detailed/",
    "list +/certs/revoked/",
    "list +/metadata/*",
    "list +/static-roles/",
    "list auth/+/certs/",
    "list auth/+/role/",
    "list auth/+/role/+/secret-id/",
    "list auth/+/users/",
    "list auth/token/accessors/",
    "list identity/entity/id/",
    "list sys/leases/lookup/",
    "list sys/leases/lookup/*",
    "read +/cert/+",
    "read +/metadata/*",
    "read +/static-roles/+",
    "read auth/+/certs/+",
    "read auth/+/config",
    "read auth/+/role/+",
    "read auth/+/role/+/role-id",
    "read auth/+/users/+",
    "read auth/token/lookup-self",
    "read identity/entity/id/+",
    "read identity/group/id/+",
    "read sys/audit",
    "read sys/auth",
    "read sys/ha-status",
    "read sys/mounts",
    "read sys/policies/acl/+",
    "scan +/detailed-metadata/*",
    "sudo auth/token/accessors/",
    "sudo sys/audit",
    "sudo sys/leases/lookup/",
    "sudo sys/leases/lookup/*",
    "update auth/+/role/+/secret-id-accessor/lookup",
    "update auth/token/lookup-accessor",
    "update sys/audit-hash/+",
    "update sys/leases/lookup",
)
REVOKE_PERMISSIONS: tuple[str, ...] = (
    "delete auth/+/certs/+",
    "delete auth/+/role/+",
    "delete auth/+/users/+",
    "list auth/+/role/+/secret-id/",
    "read +/cert/+",
    "read +/static-roles/+",
    "read auth/+/certs/+",
    "read auth/+/role/+",
    "read auth/+/users/+",
    "read auth/token/lookup-self",
    "read identity/entity/id/+",
    "read sys/auth",
    "read sys/mounts",
    "sudo sys/leases/revoke-prefix/*",
    "update +/delete/*",
    "update +/revoke",
    "update +/rotate-role/+",
    "update +/rotate-root/+",
    "update +/undelete/*",
    "update auth/+/role/+/secret-id-accessor/destroy",
    "update auth/+/role/+/secret-id-accessor/lookup",
    "update auth/token/lookup-accessor",
    "update auth/token/revoke-accessor",
    "update identity/entity/id/+",
    "update sys/leases/lookup",
    "update sys/leases/revoke",
    "update sys/leases/revoke-prefix/*",
)
# Whoever may write an entity may give it any policy, so that the switch is the one thing that may be written.
_ONLY = {"identity/entity/id/+": "disabled"}


def policy_hcl(*, namespaces: tuple[str, ...] = (), scan: bool = True) -> str:
    """Write the least policy that reads everything: for the token's own namespace, and for each child namespace named.

    `scan=False` leaves out OpenBao's own capability, which HashiCorp Vault refuses as unknown.
    """
    return _hcl((line for line in PERMISSIONS if scan or not line.startswith("scan ")), namespaces)


def revoke_hcl(*, namespaces: tuple[str, ...] = ()) -> str:
    """Write the least policy that revokes what is read here, and verifies it; it reads no secret."""
    return _hcl(REVOKE_PERMISSIONS, namespaces)


def permission_files() -> Mapping[str, str]:
    """Give the policies that an administrator installs, file name to text; `read` and `revoke` belong to two identities."""
    return {"read-hashicorp.hcl": policy_hcl(scan=False), "read.hcl": policy_hcl(), "revoke.hcl": revoke_hcl()}


def rule(lines: Iterable[str], namespace: str = "") -> str:
    """Write the rules of a policy that give these `capability path` lines, in a child namespace where one is named."""
    return _hcl(lines, (), f"{namespace}/" if namespace else "")


def _hcl(lines: Iterable[str], namespaces: tuple[str, ...], own: str = "") -> str:
    rules: dict[str, list[str]] = {}
    for line in lines:
        capability, path = line.split(" ", 1)
        rules.setdefault(path, []).append(capability)
    prefixes = (own, *(f"{namespace.strip('/')}/" for namespace in namespaces))
    return "".join(_block(path, capabilities, prefix) for prefix in prefixes for path, capabilities in sorted(rules.items()))


def _block(path: str, capabilities: list[str], prefix: str = "") -> str:
    only = _ONLY.get(path) if "update" in capabilities else None
    parameters = f'  allowed_parameters = {{\n    "{only}" = []\n  }}\n' if only else ""
    return f'path "{prefix}{path}" {{\n  capabilities = {json.dumps(capabilities)}\n{parameters}}}\n'
