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
    "update identity/lookup/entity",
    "update sys/audit-hash/+",
    "update sys/leases/lookup",
)
REVOKE_PERMISSIONS: tuple[str, ...] = (
    "delete auth/+/certs/+",
    "delete auth/+/role/+",
    "delete auth/+/users/+",
    "delete identity/entity-alias/id/+",
    "delete identity/entity/id/+",
    "read auth/token/lookup-self",
    "update +/revoke",
    "update +/rotate-role/+",
    "update auth/+/certs/+",
    "update auth/+/role/+",
    "update auth/+/role/+/secret-id-accessor/destroy",
    "update auth/+/users/+",
    "update auth/token/revoke-accessor",
    "update identity/entity/id/+",
    "update sys/leases/revoke",
)
DRILL_MOUNT = "countersign-drill-approle"
"""Auth mount that a drill makes for its canaries, so that it writes to no role of anybody else's."""
DRILL_PERMISSIONS: tuple[str, ...] = (
    f"create auth/{DRILL_MOUNT}/role/+",
    f"create sys/auth/{DRILL_MOUNT}",
    "delete identity/entity/id/+",
    f"delete sys/auth/{DRILL_MOUNT}",
    f"list auth/{DRILL_MOUNT}/role/",
    "list identity/entity/id/",
    f"read auth/{DRILL_MOUNT}/role/+/role-id",
    "read identity/entity/id/+",
    "read sys/auth",
    f"sudo sys/auth/{DRILL_MOUNT}",
    f"update auth/{DRILL_MOUNT}/role/+",
    f"update auth/{DRILL_MOUNT}/role/+/secret-id",
    f"update sys/auth/{DRILL_MOUNT}",
)
"""What the identity that drills needs: it makes one auth mount, whose roles hold no policy, and deletes the entities of that mount."""
# Whoever may write an entity, role or user may give it any policy, so the switch is the one thing of it that may be written. A jwt
# role takes no write without its type, and one without the way it compares claims sets that back.
_ONLY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "auth/+/certs/+": {"token_bound_cidrs": ()},
    "auth/+/role/+": {
        "bound_claims_type": ("glob", "string"), "role_type": ("jwt", "oidc"), "secret_id_bound_cidrs": (), "token_bound_cidrs": (),
    },
    "auth/+/users/+": {"token_bound_cidrs": ()},
    f"auth/{DRILL_MOUNT}/role/+": {"secret_id_ttl": (), "token_ttl": ()},
    f"auth/{DRILL_MOUNT}/role/+/secret-id": {"metadata": ()},
    "identity/entity/id/+": {"disabled": ()},
    f"sys/auth/{DRILL_MOUNT}": {"description": (), "type": ("approle",)},
}  # fmt: skip


def policy_hcl(*, namespaces: tuple[str, ...] = (), scan: bool = True) -> str:
    """Write the least policy that reads everything: for the token's own namespace, and for each child namespace named.

    `scan=False` leaves out OpenBao's own capability, which HashiCorp Vault refuses as unknown.
    """
    return _hcl((line for line in PERMISSIONS if scan or not line.startswith("scan ")), namespaces)


def revoke_hcl(*, namespaces: tuple[str, ...] = ()) -> str:
    """Write the least policy that revokes what is read here; it reads nothing but who it is."""
    return _hcl(REVOKE_PERMISSIONS, namespaces)


def drill_hcl(*, namespaces: tuple[str, ...] = ()) -> str:
    """Write the least policy that makes and removes canaries; for a namespace that is set aside."""
    return _hcl(DRILL_PERMISSIONS, namespaces)


def permission_files() -> Mapping[str, str]:
    """Give the policies that an administrator installs, file name to text; `drill`, `read` and `revoke` belong to three identities."""
    return {"drill.hcl": drill_hcl(), "read-hashicorp.hcl": policy_hcl(scan=False), "read.hcl": policy_hcl(), "revoke.hcl": revoke_hcl()}


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
    only = _ONLY.get(path, {}) if "update" in capabilities else {}
    allowed = "".join(f'    "{name}" = {json.dumps(values)}\n' for name, values in only.items())
    parameters = f"  allowed_parameters = {{\n{allowed}  }}\n" if allowed else ""
    return f'path "{prefix}{path}" {{\n  capabilities = {json.dumps(capabilities)}\n{parameters}}}\n'
