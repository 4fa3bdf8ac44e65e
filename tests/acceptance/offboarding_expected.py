"""What Zeta's end changes in Kestrel Rail's four clouds, written by hand from the design."""

from __future__ import annotations

import copy
from typing import Any

from tests.acceptance.offboarding_programme import ALPHA, BETA, OMEGA_ACCOUNT, TENANT, ZETA_TENANT

Snapshot = dict[str, Any]
DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"
USERS = {ALPHA: ("zeta-batch", "zeta-fresh", "svc-made", "svc-made-again"), BETA: ("zeta-reports",)}
ROLES = ("zeta-only", "by-zeta-oidc")
ZOE, ROBOT = "user:zoe@zeta.example", "serviceAccount:robot@zeta-ops.iam.gserviceaccount.com"
LOADER = "serviceAccount:zeta-loader@kestrel-prod.iam.gserviceaccount.com"
_BLOCKED = {
    "applications": {"accessType": "blocked", "targets": [{"target": "AllApplications", "targetType": "application"}]},
    "usersAndGroups": {"accessType": "blocked", "targets": [{"target": "AllUsers", "targetType": "user"}]},
}


def plain(snapshot: Snapshot) -> Snapshot:
    """Leave out what two snapshots of one state differ in: Vault writes an alias without metadata in two ways."""
    made = copy.deepcopy(snapshot)
    for entity in made["vault"]["/"]["entities"].values():
        for alias in entity["aliases"]:
            alias["custom_metadata"] = alias["custom_metadata"] or {}
    return made


def switched_off(before: Snapshot, ids: dict[str, str]) -> Snapshot:
    """Give the state once all of Zeta's is switched off, and nothing else is changed."""
    made = plain(before)
    for account, users in USERS.items():
        for name in users:
            user = made["aws"][account]["users"][name]
            user["policies"] = sorted([*user["policies"], DENY_ALL])
            user["keys"] = dict.fromkeys(user["keys"], "Inactive")
    alpha, beta = made["aws"][ALPHA], made["aws"][BETA]
    for name in ROLES:
        alpha["roles"][name]["policies"] = sorted([*alpha["roles"][name]["policies"], DENY_ALL])
    both, ours, _, never = alpha["roles"]["shared-etl"]["trust"]["Statement"]
    both["Principal"]["AWS"] = [OMEGA_ACCOUNT, f"arn:aws:iam::{BETA}:root"]
    alpha["roles"]["shared-etl"]["trust"]["Statement"] = [both, ours, never]
    beta["roles"]["cross"]["trust"]["Statement"][0]["Principal"]["AWS"] = [OMEGA_ACCOUNT]
    alpha["oidc"][ids["oidc/zeta"]] = []
    _entra(made["azure"][TENANT]["directory"], ids)
    _google(made["gcp"], ids)
    _vault(made["vault"]["/"], ids)
    return made


def _entra(directory: Snapshot, ids: dict[str, str]) -> None:
    directory["applications"][ids["app/zeta"]]["isDisabled"] = True
    for app, one in (("app/zeta", "fic/zeta"), ("app/own", "fic/own/zeta")):
        credential = directory[f"applications/{ids[app]}/federatedIdentityCredentials"][ids[one]]
        credential["issuer"] = f"https://{ids[one]}.countersign-revoked.invalid"
    for name in ("sp/zeta", "app-sp/zeta"):
        directory["servicePrincipals"][ids[name]]["accountEnabled"] = False
    directory["users"][ids["guest/zeta"]]["accountEnabled"] = False
    theirs = [ids[name] for name in ("sp/zeta", "app-sp/zeta", "guest/zeta")]
    for collection, objects in directory.items():
        if collection.rpartition("/")[2] in {"appRoleAssignedTo", "oauth2PermissionGrants", "roleAssignments"}:
            for name in [name for name, one in objects.items() if one.get("clientId", one["principalId"]) in theirs]:
                del objects[name]
    partner = directory["policies/crossTenantAccessPolicy/partners"][ZETA_TENANT]
    partner |= {"b2bCollaborationInbound": _BLOCKED, "b2bDirectConnectInbound": _BLOCKED}
    partner["inboundTrust"] = dict.fromkeys(partner["inboundTrust"], False)


def _google(cloud: Snapshot, ids: dict[str, str]) -> None:
    prod = cloud["projects"]["kestrel-prod"]
    account = prod["accounts"][ids["sa/zeta-loader"]]
    account["disabled"] = account["keys"]["zeta1"]["disabled"] = True
    prod["pools"]["ci"]["providers"]["zeta-ci"]["disabled"] = True
    carriers = [prod, *prod["accounts"].values(), cloud["projects"]["kestrel-data"], *cloud["organizations"].values()]
    for carrier in carriers:
        for binding in carrier["policy"]:
            binding["members"] = [one for one in binding["members"] if one not in {ZOE, ROBOT, LOADER}]
        carrier["policy"] = [binding for binding in carrier["policy"] if binding["members"]]


def _vault(root: Snapshot, ids: dict[str, str]) -> None:
    for name in ("entity/zeta", "approle-entity/zeta"):
        root["entities"][ids[name]]["disabled"] = True
    root["methods"]["approle/"]["roles"]["zeta-idle"]["secret_id_bound_cidrs"] = ["255.255.255.255/32"]
    root["methods"]["jwt-zeta/"]["roles"]["zeta-pipeline"]["token_bound_cidrs"] = ["255.255.255.255"]
    for name in ("orphan/zeta", "entity-orphan/zeta"):
        del root["tokens"][ids[name]]


def given_back(before: Snapshot, ids: dict[str, str]) -> Snapshot:
    """Give the state once all that can be taken back was: tokens that were revoked stay so."""
    made = plain(before)
    for name in ("orphan/zeta", "entity-orphan/zeta"):
        del made["vault"]["/"]["tokens"][ids[name]]
    return made


def deleted(before: Snapshot, ids: dict[str, str]) -> Snapshot:
    """Give the state once what was switched off is deleted: what is the customer's stays as it is switched off."""
    made = switched_off(before, ids)
    for account, users in USERS.items():
        for name in users:
            del made["aws"][account]["users"][name]
    alpha = made["aws"][ALPHA]
    for name in ROLES:
        del alpha["roles"][name]
    for group in alpha["groups"].values():
        group["users"] = [name for name in group["users"] if not name.startswith("zeta-")]
    del alpha["oidc"][ids["oidc/zeta"]]
    tenant = made["azure"][TENANT]
    directory = tenant["directory"]
    for collection, name in (
        ("applications", "app/zeta"), ("servicePrincipals", "sp/zeta"), ("servicePrincipals", "app-sp/zeta"), ("users", "guest/zeta"),
    ):  # fmt: skip
        del directory[collection][ids[name]]
    directory.pop(f"applications/{ids['app/zeta']}/federatedIdentityCredentials")
    tenant["deleted"] = sorted([*tenant["deleted"], *(ids[name] for name in ("app/zeta", "sp/zeta", "app-sp/zeta", "guest/zeta"))])
    tenant["links"].pop(f"{ids['app/zeta']}/owners", None)
    prod = made["gcp"]["projects"]["kestrel-prod"]
    del prod["accounts"][ids["sa/zeta-loader"]]
    del prod["pools"]["ci"]["providers"]["zeta-ci"]
    root = made["vault"]["/"]
    for name in ("entity/zeta", "approle-entity/zeta"):
        del root["entities"][ids[name]]
    for name in ("zeta-sync", "zeta-idle"):
        del root["methods"]["approle/"]["roles"][name]
    del root["methods"]["jwt-zeta/"]["roles"]["zeta-pipeline"]
    del root["methods"]["userpass/"]["roles"]["zeta-oncall"]
    root["tokens"] = {name: one for name, one in root["tokens"].items() if one["entity_id"] != ids["approle-entity/zeta"]}
    return made


def differences(one: object, other: object, path: tuple[str, ...] = ()) -> list[str]:
    """Give where two snapshots differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        return [line for name in names for line in differences(one.get(name), other.get(name), (*path, str(name)))]
    return [] if one == other else [f"{'/'.join(path)}: {str(one)[:200]} -> {str(other)[:200]}"]
