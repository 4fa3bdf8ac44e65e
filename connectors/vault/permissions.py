"""What reading Vault may do, as `capability path` lines, and the policy that says so."""

from __future__ import annotations

import json

# A LIST request carries a trailing slash, and `auth/+/role/+` matches `auth/approle/role/` with an empty last segment; only a
# rule that ends in the slash itself is more specific than that one.
PERMISSIONS: tuple[str, ...] = (
    "list +/certs/",
    "list +/certs/detailed/",
    "list +/certs/revoked/",
    "list +/metadata/*",
    "list +/static-roles/",
    "list auth/+/role/",
    "list auth/+/role/+/secret-id/",
    "list auth/+/users/",
    "list auth/token/accessors/",
    "list identity/entity/id/",
    "read +/cert/+",
    "read +/metadata/*",
    "read +/static-roles/+",
    "read auth/+/role/+",
    "read auth/+/role/+/role-id",
    "read auth/+/users/+",
    "read auth/token/lookup-self",
    "read identity/entity/id/+",
    "read identity/group/id/+",
    "read sys/auth",
    "read sys/mounts",
    "read sys/policies/acl/+",
    "scan +/detailed-metadata/*",
    "sudo auth/token/accessors/",
    "update auth/+/role/+/secret-id-accessor/lookup",
    "update auth/token/lookup-accessor",
)


def policy_hcl(*, namespaces: tuple[str, ...] = (), scan: bool = True) -> str:
    """Write the least policy that reads everything: for the token's own namespace, and for each child namespace named.

    `scan=False` leaves out OpenBao's own capability, which HashiCorp Vault refuses as unknown.
    """
    rules: dict[str, list[str]] = {}
    for line in PERMISSIONS:
        capability, path = line.split(" ", 1)
        if scan or capability != "scan":
            rules.setdefault(path, []).append(capability)
    prefixes = ("", *(f"{namespace.strip('/')}/" for namespace in namespaces))
    return "".join(
        f'path "{prefix}{path}" {{\n  capabilities = {json.dumps(capabilities)}\n}}\n'
        for prefix in prefixes
        for path, capabilities in sorted(rules.items())
    )
