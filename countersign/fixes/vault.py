"""Vault and OpenBao, by the command line `vault` (OpenBao's `bao` takes the same words)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fixes.filling import DELETES_LAST as _LAST
from countersign.fixes.filling import Fix, Told, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.fixes.acts import Act
    from countersign.fixes.subjects import Subject

NAMESPACE = "export VAULT_NAMESPACE=NAMESPACE"
"""Comes first where the subject is in a child namespace: its full path is in the source's configuration only."""
_NAME = r"\w([\w.@-]*\w)?"  # what the server takes as a name; the command line trims others, and then means another one
_PART = r"\w[\w.@+=,~-]*"
_PATH = rf"{_PART}(/{_PART})*"
SHAPES = shapes(
    accessor=r"\w[\w.-]*",
    entity=r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.\w+)?",
    lease=_PATH,
    mount=_PATH,
    mount_accessor=r"\w[\w.-]*",
    name=_NAME,
    path=_PATH,
    role=_NAME,
    serial=r"[0-9a-f]{2}([:-][0-9a-f]{2})*",
)


def told(subject: Subject) -> Told:
    """Say what is known of a subject, and which of the ways below it goes."""
    kind, native = subject.kind, subject.native_id
    values: dict[str, str | None] = {"name": subject.name}
    if kind in {"approle", "auth-role", "user"}:
        values["mount"], values["role"] = _mounted(native)
    elif kind == "secret-id":
        values["accessor"] = native
        if subject.identity_kind == "approle" and subject.identity_id is not None:
            values["mount"], values["role"] = _mounted(subject.identity_id)
    elif kind == "token":
        values["accessor"] = native
    elif kind in {"database-role", "certificate"}:
        values["mount_accessor"], _, rest = native.partition(":")
        values["role" if kind == "database-role" else "serial"] = rest
    else:
        values[{"entity": "entity", "lease": "lease", "secret": "path"}.get(kind, "name")] = native
    return Told(kind, values)


def _mounted(native: str) -> tuple[str, str]:
    """Split the id of a role into its auth mount and its name; an AppRole of the usual mount is told by its name alone."""
    mount, _, name = native.rpartition("/")
    return mount or "approle", name


_ENTITY = "identity/entity/id/{entity}"
_APPROLE = "auth/{mount}/role/{role}"
_USER = "auth/{mount}/users/{role}"
_ROLE = "auth/{mount}/FOLDER/{role}"
_DESTROY = f"vault write {_APPROLE}/secret-id-accessor/destroy secret_id_accessor={{accessor}}"
_LOOK_ID = f"vault write {_APPROLE}/secret-id-accessor/lookup secret_id_accessor={{accessor}}"
_NEW_ID = f"vault write -force -wrap-ttl=5m {_APPROLE}/secret-id"
_LOOK = "vault token lookup -accessor {accessor}"
_END = "vault token revoke -accessor {accessor}"
_MOUNTS = "vault secrets list"
_MOUNT = "MOUNT is the path that `vault secrets list` shows beside the accessor in the subject."
_FOLDER = "FOLDER is certs where the mount takes certificates, and role elsewhere."
_NO_SWITCH = "It cannot be suspended: what is destroyed is gone, and a new one is made for whoever still needs it."
_LOGIN = "Where Kubernetes, a JWT issuer or certificates can vouch for the workload, log in by them"
_NEW_LOGIN = (
    "vault auth enable jwt",
    "vault write auth/jwt/config oidc_discovery_url=ISSUER_URL",
    (
        "vault write auth/jwt/role/NEW_ROLE role_type=jwt user_claim=sub bound_audiences=AUDIENCE bound_subject=SUBJECT"
        " token_policies=POLICY token_ttl=1h token_max_ttl=12h"
    ),
)
_MFA = (
    "vault list identity/mfa/method/totp",
    "vault write identity/mfa/login-enforcement/ENFORCEMENT mfa_method_ids=METHOD_ID",
)

FIXES: Mapping[tuple[Act, str], Fix] = {
    ("disable", "entity"): Fix(
        says=f"Disable it: all its tokens and log-ins are refused at once, and enabling gives the same tokens back. {_LAST}",
        console="Access > Entities > {name} > Edit entity > Disable entity",
        commands=(f"vault read {_ENTITY}", f"vault write {_ENTITY} disabled=true", f"vault delete {_ENTITY}"),
    ),
    ("disable", "approle"): Fix(
        says="Bind its secret-ids to an address that nothing connects from: nobody logs in by it, and what `vault read` says gives it "
        f"back. Tokens that it gave out live on: end them by disabling its entity, or each by its accessor. {_LAST}",
        console=None,
        commands=(
            f"vault read {_APPROLE}",
            f"vault write {_APPROLE} secret_id_bound_cidrs=255.255.255.255/32",
            f"vault delete {_APPROLE}",
        ),
    ),
    ("disable", "user"): Fix(
        says="Bind it to an address that nothing connects from: nobody logs in by it, and what `vault read` says gives it back. "
        f"Tokens that it gave out live on. {_LAST}",
        console="Access > {mount} > {role} > Edit user > Generated Token's Bound CIDRs",
        commands=(f"vault read {_USER}", f"vault write {_USER} token_bound_cidrs=255.255.255.255", f"vault delete {_USER}"),
    ),
    ("disable", "auth-role"): Fix(
        says="Bind it to an address that nothing connects from: nobody logs in by it, and what `vault read` says gives it back. "
        f"Repeat role_type and bound_claims_type as `vault read` shows them, or leave them out where it does not. {_FOLDER} {_LAST}",
        console=None,
        commands=(
            f"vault read {_ROLE}",
            f"vault write {_ROLE} role_type=ROLE_TYPE bound_claims_type=BOUND_CLAIMS_TYPE token_bound_cidrs=255.255.255.255",
            f"vault delete {_ROLE}",
        ),
    ),
    ("disable", "token"): Fix(
        says=f"See whose it is, then revoke it with the tokens that it made and what it was lent. {_NO_SWITCH}",
        console=None,
        commands=(_LOOK, _END),
    ),
    ("disable", "secret-id"): Fix(
        says=f"See which one it is, then destroy it by its accessor; the role's others stay. {_NO_SWITCH}",
        console=None,
        commands=(_LOOK_ID, _DESTROY),
    ),
    ("disable", "lease"): Fix(
        says="Revoke it: what was lent is taken back where it opens something. It cannot be suspended.",
        console="Access > Leases > {lease} > Revoke lease",
        commands=("vault lease lookup {lease}", "vault lease revoke -sync {lease}"),
    ),
    ("disable", "secret"): Fix(
        says="Close what it opens, where it opens it. Then delete the newest version, which undelete gives back.",
        console="Secrets engines > {path} > Delete > Delete this version",
        commands=("vault kv metadata get {path}", "vault kv delete {path}"),
    ),
    ("disable", "database-role"): Fix(
        says=f"Rotate its password, which shuts out whoever knows it; nothing gives the old one back. {_MOUNT}",
        console="Secrets engines > MOUNT > Roles > {role} > Rotate credentials",
        commands=(_MOUNTS, "vault read MOUNT/static-roles/{role}", "vault write -force MOUNT/rotate-role/{role}"),
    ),
    ("disable", "certificate"): Fix(
        says=f"Revoke it; that cannot be undone, and whoever does not ask for revocations takes it until it ends. {_MOUNT}",
        console="Secrets engines > MOUNT > Certificates > {serial} > Revoke certificate",
        commands=(_MOUNTS, "vault read MOUNT/cert/{serial}", "vault write MOUNT/revoke serial_number={serial}"),
    ),
    ("rotate", "secret-id"): Fix(
        says="Make a new secret-id, handed over wrapped, so that only its user unwraps it; see it log in, then destroy this one by "
        "its accessor. "
        "The role's others stay.",
        console=None,
        commands=(_NEW_ID, _LOOK_ID, _DESTROY),
    ),
    ("bound", "secret-id"): Fix(
        says="Give the role a life time for new secret-ids, make one, handed over wrapped; see it log in, then destroy this one by "
        "its accessor. "
        "The role's others stay.",
        console=None,
        commands=(f"vault write {_APPROLE} secret_id_ttl=720h", _NEW_ID, _LOOK_ID, _DESTROY),
    ),
    ("rotate", "token"): Fix(
        says="Have its user log in anew, or make a new one that ends, handed over wrapped; see it in use, then revoke this one by its "
        "accessor.",
        console=None,
        commands=(
            _LOOK,
            "vault token create -policy=POLICY -ttl=12h -explicit-max-ttl=12h -display-name=NEW_NAME -wrap-ttl=5m",
            _END,
        ),
    ),
    ("bound", "token"): Fix(
        says="Give the role that it came by, or its mount, a longest life time; have its user log in anew, or make a new one that "
        "ends; then "
        "revoke this one by its accessor.",
        console="Access > the mount > Configure > Method Options > Max Lease TTL",
        commands=(
            _LOOK,
            "vault auth tune -max-lease-ttl=12h MOUNT/",
            "vault token create -policy=POLICY -ttl=12h -explicit-max-ttl=12h -display-name=NEW_NAME -wrap-ttl=5m",
            _END,
        ),
    ),
    ("rotate", "secret"): Fix(
        says="Change the value where it opens something, and write the new one from standard input (Ctrl-D ends it). Better, let an "
        "engine make "
        "credentials for a time.",
        console="Secrets engines > {path} > Create new version",
        commands=("vault kv metadata get {path}", "vault kv patch {path} KEY=-"),
    ),
    ("rotate", "database-role"): Fix(
        says=f"Rotate it now, and have it rotated within policy. {_MOUNT}",
        console="Secrets engines > MOUNT > Roles > {role} > Rotate credentials",
        commands=(
            _MOUNTS,
            "vault read MOUNT/static-roles/{role}",
            "vault write -force MOUNT/rotate-role/{role}",
            "vault write MOUNT/static-roles/{role} db_name=DB_NAME username=USERNAME rotation_period=720h",
        ),
    ),
    ("rotate", "certificate"): Fix(
        says=f"Issue a new one, put it in place, then revoke this one. {_MOUNT}",
        console="Secrets engines > MOUNT > Roles > the role > Generate certificate",
        commands=(
            _MOUNTS,
            "vault write -field=certificate MOUNT/sign/ROLE common_name=COMMON_NAME csr=@REQUEST.csr",
            "vault write MOUNT/revoke serial_number={serial}",
        ),
    ),
    ("rotate", "lease"): Fix(
        says="Have its user ask for new credentials, then revoke this lease.",
        console="Access > Leases > {lease} > Revoke lease",
        commands=("vault lease lookup {lease}", "vault lease revoke -sync {lease}"),
    ),
    ("bound", "lease"): Fix(
        says="Give the engine that lent it a longest life time, have its user ask for new credentials, then revoke this lease.",
        console="Secrets engines > the engine > Configuration > Tune > Max Lease TTL; then Access > Leases > {lease} > Revoke lease",
        commands=(
            "vault lease lookup {lease}",
            "vault secrets tune -max-lease-ttl=12h MOUNT/",
            "vault lease revoke -sync {lease}",
        ),
    ),
    ("federate", "secret-id"): Fix(
        says=f"{_LOGIN}; then destroy this secret-id by its accessor.",
        console="Access > Authentication methods > Enable new method",
        commands=(*_NEW_LOGIN, _LOOK_ID, _DESTROY),
    ),
    ("federate", "token"): Fix(
        says=f"{_LOGIN} for a short-lived token; then revoke this one by its accessor. People log in by OIDC.",
        console="Access > Authentication methods > Enable new method",
        commands=(*_NEW_LOGIN, _LOOK, _END),
    ),
    ("remove-rights", "entity"): Fix(
        says="Give it a policy for its work in place of those that the finding names (the list is written whole); what `vault read` "
        "says gives it back. What it has by a group or a log-in is changed there.",
        console="Access > Entities > {name} > Edit entity > Policies",
        commands=(f"vault read {_ENTITY}", f"vault write {_ENTITY} policies=SMALLER_POLICY"),
    ),
    ("remove-rights", "approle"): Fix(
        says="Give it a policy for its work in place of those that the finding names (the list is written whole); what `vault read` "
        "says gives it back. Tokens that it gave out keep theirs until they end.",
        console=None,
        commands=(f"vault read {_APPROLE}", f"vault write {_APPROLE} token_policies=SMALLER_POLICY"),
    ),
    ("remove-rights", "user"): Fix(
        says="Give it a policy for its work in place of those that the finding names (the list is written whole); what `vault read` "
        "says gives it back. Tokens that it gave out keep theirs until they end.",
        console="Access > {mount} > {role} > Edit user > Generated Token's Policies",
        commands=(f"vault read {_USER}", f"vault write {_USER} token_policies=SMALLER_POLICY"),
    ),
    ("remove-rights", "auth-role"): Fix(
        says="Give it a policy for its work in place of those that the finding names (the list is written whole); what `vault read` "
        f"says gives it back. Repeat role_type and bound_claims_type as that shows them, or leave them out where it does not. {_FOLDER}",
        console=None,
        commands=(
            f"vault read {_ROLE}",
            f"vault write {_ROLE} role_type=ROLE_TYPE bound_claims_type=BOUND_CLAIMS_TYPE token_policies=SMALLER_POLICY",
        ),
    ),
    ("remove-rights", "token"): Fix(
        says="A token keeps its policies: make one with a policy for its work that ends, handed over wrapped, then revoke this one by "
        "its accessor.",
        console=None,
        commands=(
            _LOOK,
            "vault token create -policy=SMALLER_POLICY -ttl=12h -explicit-max-ttl=12h -display-name=NEW_NAME -wrap-ttl=5m",
            _END,
        ),
    ),
    ("add-condition", "auth-role"): Fix(
        says="Name audience and subject (JWT, OIDC), or service accounts and their namespaces (Kubernetes: bound_service_account_names and "
        "bound_service_account_namespaces), or names in the certificate (allowed_common_names). Repeat role_type and bound_claims_type as "
        f"`vault read` shows them. {_FOLDER}",
        console=None,
        commands=(
            f"vault read {_ROLE}",
            f"vault write {_ROLE} role_type=ROLE_TYPE bound_claims_type=BOUND_CLAIMS_TYPE bound_audiences=AUDIENCE bound_subject=SUBJECT",
        ),
    ),
    ("require-mfa", "entity"): Fix(
        says="Make a method of login MFA where there is none, and enforce it for this entity.",
        console="Access > Multi-Factor Authentication > Enforcements > New enforcement > Targets > {name}",
        commands=(_MFA[0], f"{_MFA[1]} identity_entity_ids={{entity}}"),
    ),
    ("require-mfa", "user"): Fix(
        says="Make a method of login MFA where there is none, and enforce it for the mount by which the user logs in; MOUNT_ACCESSOR "
        "is beside it "
        "in what `vault auth list` says.",
        console="Access > Multi-Factor Authentication > Enforcements > New enforcement > Targets > {mount}",
        commands=("vault auth list", _MFA[0], f"{_MFA[1]} auth_method_accessors=MOUNT_ACCESSOR"),
    ),
    ("free-person", "entity"): Fix(
        says="Give the program an AppRole, or a role for its platform's own tokens, in a registered workload; then find the tokens "
        "that it opened "
        "in the person's name, and revoke each by its accessor.",
        console=None,
        commands=(
            "vault write auth/approle/role/NEW_ROLE token_policies=POLICY token_ttl=1h token_max_ttl=12h secret_id_ttl=720h",
            f"vault read {_ENTITY}",
            "vault list auth/token/accessors",
            "vault token lookup -accessor ACCESSOR",
            "vault token revoke -accessor ACCESSOR",
        ),
    ),
    ("share-administration", "namespace"): Fix(
        says="Put a person of yours into a group with the administrators' policy, and let them try it before the partner's policies "
        "are taken down.",
        console="Access > Groups > Create group > Policies; Member Entity IDs",
        commands=("vault write identity/group name=GROUP policies=ADMINISTRATORS_POLICY member_entity_ids=ENTITY_ID",),
    ),
}
"""By act, and by kind as `told` gives it."""
