"""Google Cloud: service accounts, keys, pools, API keys, members of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fixes.filling import DELETES_LAST as _LAST
from countersign.fixes.filling import Fix, Told, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.fixes.acts import Act
    from countersign.fixes.subjects import Subject

_ID = r"[0-9a-z][0-9a-z-]{0,62}"
SHAPES = shapes(
    email=r"[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com",
    key_id=r"[0-9A-Za-z_][0-9A-Za-z_-]{0,99}",
    member=r"allUsers|allAuthenticatedUsers|[A-Za-z]+:[!-~]([ -~]*[!-~])?",
    name=r"(?!)",  # shown in the console's path, and never put into a command
    organization=r"\d{1,30}",
    pool=_ID,
    project=r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{0,62}",
    provider=_ID,
    unique_id=r"\d{1,30}",
)


def told(subject: Subject) -> Told:
    """Say what is known of a subject, and which of the ways below it goes."""
    kind, native = subject.kind, subject.native_id
    organization = subject.scope.removeprefix("organizations/") if subject.scope.startswith("organizations/") else None
    values: dict[str, str | None] = {
        "name": subject.name,
        "email": subject.name,
        "organization": organization,
        "project": None if organization else subject.scope,
    }
    if kind == "service-account":
        values["unique_id"] = native
    elif kind == "service-account-key":
        values |= {"key_id": native, "unique_id": subject.identity_id}
    elif kind == "api-key":
        values["key_id"] = native
    elif kind in {"workload-identity-provider", "workforce-provider"}:
        values["pool"], _, values["provider"] = native.partition("/")
    elif kind == "member":
        kind = "organization-member" if organization else "member"
        values["member"] = native
    return Told(kind, values)


_ACCOUNT = "IAM & Admin > Service Accounts > {name}"
_OFF = "gcloud iam service-accounts disable {unique_id} --project={project}"
_GONE = "gcloud iam service-accounts delete {unique_id} --project={project}"
_KEY_OFF = "gcloud iam service-accounts keys disable {key_id} --iam-account={unique_id} --project={project}"
_KEY_GONE = "gcloud iam service-accounts keys delete {key_id} --iam-account={unique_id} --project={project}"
_KEY_USED = (
    "gcloud policy-intelligence query-activity --activity-type=serviceAccountKeyLastAuthentication --project={project} --query-filter="
    "'activities.full_resource_name=\"//iam.googleapis.com/projects/{project}/serviceAccounts/{email}/keys/{key_id}\"'"
)
_WIF = "IAM & Admin > Workload Identity Federation > {pool} > {provider}"
_WIF_SHOW = (
    "gcloud iam workload-identity-pools providers describe {provider} --workload-identity-pool={pool} --location=global --project={project}"
)
_WIF_UPDATE = (
    "gcloud iam workload-identity-pools providers update-TYPE {provider} --workload-identity-pool={pool} --location=global"
    " --project={project}"
)
_WIF_GONE = (
    "gcloud iam workload-identity-pools providers delete {provider} --workload-identity-pool={pool} --location=global --project={project}"
)
_STAFF = "IAM & Admin > Workforce Identity Federation > {pool} > {provider}"
_STAFF_SHOW = "gcloud iam workforce-pools providers describe {provider} --workforce-pool={pool} --location=global"
_STAFF_UPDATE = "gcloud iam workforce-pools providers update-TYPE {provider} --workforce-pool={pool} --location=global"
_STAFF_GONE = "gcloud iam workforce-pools providers delete {provider} --workforce-pool={pool} --location=global"
_API_KEY = "\"$(gcloud services api-keys list --project={project} --filter=uid={key_id} --format='value(name)')\""
_POLICY = "gcloud projects get-iam-policy {project} --format=json > policy.json"
_TAKE = "gcloud projects remove-iam-policy-binding {project} --member={member} --role=ROLE --all"
_GIVE = "gcloud projects add-iam-policy-binding {project} --member={member} --role=SMALLER_ROLE --condition=None"
_ORGANIZATION_POLICY = "gcloud organizations get-iam-policy {organization} --format=json > policy.json"
_ORGANIZATION_TAKE = "gcloud organizations remove-iam-policy-binding {organization} --member={member} --role=ROLE --all"
_ORGANIZATION_GIVE = "gcloud organizations add-iam-policy-binding {organization} --member={member} --role=SMALLER_ROLE --condition=None"
_ACCOUNT_POLICY = "gcloud iam service-accounts get-iam-policy {unique_id} --project={project} --format=json > policy.json"
_ACCOUNT_TAKE = "gcloud iam service-accounts remove-iam-policy-binding {unique_id} --project={project} --member=MEMBER --role=ROLE --all"
_IN_POLICY = (
    "It has no switch here: keep policy.json, which gives it back, and take it out of each role that the file has it in "
    "(--all: under every condition)."
)
_TYPE = "TYPE is oidc, aws, saml or x509, as the first line says."
_STAFF_TYPE = "TYPE is oidc or saml, as the first line says."
_NO_SWITCH = "Google cannot suspend an API key; a deleted one can be had back for 30 days (gcloud services api-keys undelete)."

FIXES: Mapping[tuple[Act, str], Fix] = {
    ("disable", "service-account"): Fix(
        says="Disable it: its tokens are refused at once, and enabling it gives all back. Delete it after the watch period; Google "
        "keeps it "
        f"for 30 days more. {_LAST}",
        console=_ACCOUNT + " > Details > Disable service account",
        commands=(_OFF, _GONE),
    ),
    ("disable", "service-account-key"): Fix(
        says=f"See when it was last used, disable it, and watch; enabling gives it back. Tokens that it got live up to an hour. {_LAST}",
        console=None,  # the console shows keys as disabled, and can only delete them
        commands=(_KEY_USED, _KEY_OFF, _KEY_GONE),
    ),
    ("disable", "api-key"): Fix(
        says=f"{_NO_SWITCH} Delete it when its project's metrics show no traffic by it.",
        console="APIs & Services > Credentials > API Keys > {name} > Delete",
        commands=(f"gcloud services api-keys delete {_API_KEY}",),
    ),
    ("disable", "member"): Fix(
        says=_IN_POLICY,
        console="IAM & Admin > IAM > View by principals > {name} > Edit principal > Delete role",
        commands=(_POLICY, _TAKE),
    ),
    ("disable", "organization-member"): Fix(
        says=_IN_POLICY,
        console="IAM & Admin > IAM, with the organization selected > View by principals > {name} > Edit principal > Delete role",
        commands=(_ORGANIZATION_POLICY, _ORGANIZATION_TAKE),
    ),
    ("disable", "workload-identity-provider"): Fix(
        says=f"Disable it: no token of its issuer is exchanged any more; those that were live up to 12 hours. {_TYPE} Google keeps a "
        f"deleted "
        f"provider for 30 days. {_LAST}",
        console=_WIF + " > Status: off",
        commands=(_WIF_SHOW, f"{_WIF_UPDATE} --disabled", _WIF_GONE),
    ),
    ("disable", "workforce-provider"): Fix(
        says=f"Disable it: nobody signs in by it any more; sessions that run last up to 12 hours. {_STAFF_TYPE} Google keeps a deleted "
        f"provider for 30 days. {_LAST}",
        console=_STAFF + " > Status: off",
        commands=(_STAFF_SHOW, f"{_STAFF_UPDATE} --disabled", _STAFF_GONE),
    ),
    ("rotate", "service-account-key"): Fix(
        says=f"Make a second key, move its users to it, and keep its file nowhere else; disable this one when it is silent, and "
        f"watch. {_LAST}",
        console=_ACCOUNT + " > Keys > Add key > Create new key",
        commands=(
            "gcloud iam service-accounts keys create NEW_KEY.json --iam-account={unique_id} --project={project}",
            _KEY_USED,
            _KEY_OFF,
            _KEY_GONE,
        ),
    ),
    ("bound", "service-account-key"): Fix(
        says="Have new keys of the project end by themselves (constraints/iam.serviceAccountKeyExpiryHours), make one, move the users "
        "of this "
        f"one to it; disable this one when it is silent, and watch. {_LAST}",
        console="IAM & Admin > Organization Policies > Service account key expiry duration in hours > Manage policy; "
        f"then {_ACCOUNT} > Keys > Add key > Create new key",
        commands=(
            "gcloud resource-manager org-policies allow iam.serviceAccountKeyExpiryHours 2160h --project={project}",
            "gcloud iam service-accounts keys create NEW_KEY.json --iam-account={unique_id} --project={project}",
            _KEY_USED,
            _KEY_OFF,
            _KEY_GONE,
        ),
    ),
    ("rotate", "api-key"): Fix(
        says=f"Make a second key, restricted to the API and the clients that it is for, and move its users. {_NO_SWITCH}",
        console="APIs & Services > Credentials > API Keys > {name} > Rotate key; then Delete the previous key",
        commands=(
            "gcloud services api-keys create --project={project} --display-name=NEW_NAME --api-target=service=SERVICE",
            f"gcloud services api-keys delete {_API_KEY}",
        ),
    ),
    ("federate", "service-account-key"): Fix(
        says="Attach the account to what runs on Google Cloud; let what runs elsewhere come by workload identity federation, with a "
        "condition on "
        f"its subject. People impersonate the account. Then disable the key when it is silent, and watch. {_LAST}",
        console="IAM & Admin > Workload Identity Federation > Create pool > Add provider > Grant access",
        commands=(
            "gcloud iam workload-identity-pools create POOL_ID --location=global --project={project}",
            (
                "gcloud iam workload-identity-pools providers create-oidc PROVIDER_ID --workload-identity-pool=POOL_ID --location=global"
                " --project={project} --issuer-uri=ISSUER_URI --attribute-mapping=google.subject=assertion.sub "
                "--attribute-condition=CONDITION"
            ),
            (
                "gcloud iam service-accounts add-iam-policy-binding {unique_id} --project={project} --member=PRINCIPAL"
                " --role=roles/iam.workloadIdentityUser"
            ),
            _KEY_USED,
            _KEY_OFF,
            _KEY_GONE,
        ),
    ),
    ("trace", "service-account"): Fix(
        says="Disable it if it is not, and make another where it is still needed. The audit log says who used it and for what; data "
        "access is in "
        "it only where that is switched on.",
        console=_ACCOUNT + " > Details > Disable service account; then Logs > View logs",
        commands=(
            _OFF,
            (
                'gcloud logging read \'protoPayload.authenticationInfo.serviceAccountKeyName:"{unique_id}" OR'
                ' protoPayload.authenticationInfo.principalSubject:"{unique_id}"\' --project={project} --freshness=30d --limit=100'
            ),
        ),
    ),
    ("trace", "service-account-key"): Fix(
        says="Disable it if it is not, and do not enable it again: make another where it is still needed. The audit log says from "
        "where it was "
        f"used and for what; data access is in it only where that is switched on. {_LAST}",
        console=None,
        commands=(
            _KEY_OFF,
            (
                "gcloud logging read 'protoPayload.authenticationInfo.serviceAccountKeyName:\"{key_id}\"' --project={project} "
                "--freshness=30d"
                " --limit=100"
            ),
            _KEY_GONE,
        ),
    ),
    ("remove-rights", "service-account"): Fix(
        says="Give it the smaller role that its work needs, then take it out of the roles that the finding names; policy.json gives "
        "it back.",
        console="IAM & Admin > IAM > View by principals > {name} > Edit principal",
        commands=(
            _POLICY,
            "gcloud projects add-iam-policy-binding {project} --member=serviceAccount:{email} --role=SMALLER_ROLE --condition=None",
            "gcloud projects remove-iam-policy-binding {project} --member=serviceAccount:{email} --role=ROLE --all",
        ),
    ),
    ("remove-rights", "member"): Fix(
        says="Give it the smaller role that its work needs, then take it out of the roles that the finding names; policy.json gives "
        "it back.",
        console="IAM & Admin > IAM > View by principals > {name} > Edit principal",
        commands=(_POLICY, _GIVE, _TAKE),
    ),
    ("remove-rights", "organization-member"): Fix(
        says="Give it the smaller role that its work needs, then take it out of the roles that the finding names; policy.json gives "
        "it back.",
        console="IAM & Admin > IAM, with the organization selected > View by principals > {name} > Edit principal",
        commands=(_ORGANIZATION_POLICY, _ORGANIZATION_GIVE, _ORGANIZATION_TAKE),
    ),
    ("remove-rights", "workload-identity-provider"): Fix(
        says="Whoever comes by it holds roles as principal:// or principalSet:// of its pool: give that principal the smaller role, "
        "then take it "
        "out of those that the finding names; policy.json gives it back.",
        console="IAM & Admin > IAM > View by principals > the principal of the pool > Edit principal",
        commands=(
            _POLICY,
            "gcloud projects add-iam-policy-binding {project} --member=PRINCIPAL --role=SMALLER_ROLE --condition=None",
            "gcloud projects remove-iam-policy-binding {project} --member=PRINCIPAL --role=ROLE --all",
        ),
    ),
    ("remove-rights", "workforce-provider"): Fix(
        says="Whoever comes by it holds roles as principal:// or principalSet:// of its pool: give that principal the smaller role, "
        "then take it "
        "out of those that the finding names; policy.json gives it back.",
        console="IAM & Admin > IAM, with the organization selected > View by principals > the principal of the pool > Edit principal",
        commands=(
            _ORGANIZATION_POLICY,
            "gcloud organizations add-iam-policy-binding {organization} --member=PRINCIPAL --role=SMALLER_ROLE --condition=None",
            "gcloud organizations remove-iam-policy-binding {organization} --member=PRINCIPAL --role=ROLE --all",
        ),
    ),
    ("add-condition", "service-account"): Fix(
        says="Bind the role to one subject or attribute of the pool in place of the wide member that policy.json has, then take the "
        "wide one out. "
        "Where the finding names a key that was found in public, disable that key and make another.",
        console=_ACCOUNT + " > Principals with access > Grant access; then Remove access of the wide one",
        commands=(
            _ACCOUNT_POLICY,
            "gcloud iam service-accounts add-iam-policy-binding {unique_id} --project={project} --member=NARROW_MEMBER --role=ROLE",
            _ACCOUNT_TAKE,
            "gcloud iam service-accounts keys disable KEY_ID --iam-account={unique_id} --project={project}",
        ),
    ),
    ("add-condition", "workload-identity-provider"): Fix(
        says=f"Demand the subject, repository or account that is meant, in an attribute condition. {_TYPE}",
        console=_WIF + " > Edit > Attribute conditions",
        commands=(_WIF_SHOW, f"{_WIF_UPDATE} --attribute-condition=CONDITION"),
    ),
    ("add-condition", "workforce-provider"): Fix(
        says=f"Demand the group or domain that is meant, in an attribute condition. {_STAFF_TYPE}",
        console=_STAFF + " > Edit > Attribute conditions",
        commands=(_STAFF_SHOW, f"{_STAFF_UPDATE} --attribute-condition=CONDITION"),
    ),
    ("add-condition", "member"): Fix(
        says="Give the role to persons, accounts or one attribute of a pool instead, then take the wide member out; policy.json gives "
        "it back.",
        console="IAM & Admin > IAM > Grant access; then View by principals > {name} > Edit principal > Delete role",
        commands=(
            _POLICY,
            "gcloud projects add-iam-policy-binding {project} --member=NARROW_MEMBER --role=ROLE --condition=None",
            _TAKE,
        ),
    ),
    ("add-condition", "organization-member"): Fix(
        says="Give the role to persons, accounts or one attribute of a pool instead, then take the wide member out; policy.json gives "
        "it back.",
        console="IAM & Admin > IAM, with the organization selected > Grant access; then View by principals > {name} > Edit principal",
        commands=(
            _ORGANIZATION_POLICY,
            "gcloud organizations add-iam-policy-binding {organization} --member=NARROW_MEMBER --role=ROLE --condition=None",
            _ORGANIZATION_TAKE,
        ),
    ),
    ("remove-trust", "service-account"): Fix(
        says="Take the party's member out of the account's own policy; policy.json gives it back. Tokens that it has live up to 12 "
        "hours. Where the "
        "finding names a key that was found in public, disable that key.",
        console=_ACCOUNT + " > Principals with access > Remove access",
        commands=(
            _ACCOUNT_POLICY,
            _ACCOUNT_TAKE,
            "gcloud iam service-accounts keys disable KEY_ID --iam-account={unique_id} --project={project}",
        ),
    ),
    ("require-mfa", "member"): Fix(
        says="Have the organization that keeps the account enforce 2-Step Verification; who cannot loses the roles here.",
        console="Google Admin console > Security > Authentication > 2-Step Verification > Enforcement: On",
        commands=(_POLICY, _TAKE),
    ),
    ("require-mfa", "organization-member"): Fix(
        says="Have the organization that keeps the account enforce 2-Step Verification; who cannot loses the roles here.",
        console="Google Admin console > Security > Authentication > 2-Step Verification > Enforcement: On",
        commands=(_ORGANIZATION_POLICY, _ORGANIZATION_TAKE),
    ),
    ("free-person", "member"): Fix(
        says="Give the program a service account of its own in a registered workload, with the role that it needs; then have the "
        "person's own "
        "credentials revoked where the program has them (gcloud auth revoke).",
        console="IAM & Admin > Service Accounts > Create service account",
        commands=(
            "gcloud iam service-accounts create ACCOUNT_ID --project={project}",
            (
                "gcloud projects add-iam-policy-binding {project} --member=serviceAccount:ACCOUNT_ID@{project}.iam.gserviceaccount.com"
                " --role=SMALLER_ROLE --condition=None"
            ),
        ),
    ),
    ("share-administration", "project"): Fix(
        says="Make a person of yours an owner, and let them try it before the partner's roles are taken down.",
        console="IAM & Admin > IAM > Grant access > Owner",
        commands=("gcloud projects add-iam-policy-binding {project} --member=user:EMAIL --role=roles/owner --condition=None",),
    ),
    ("share-administration", "organization"): Fix(
        says="Make a person of yours an organization administrator, and let them try it before the partner's roles are taken down.",
        console="IAM & Admin > IAM, with the organization selected > Grant access > Organization Administrator",
        commands=(
            (
                "gcloud organizations add-iam-policy-binding {organization} --member=user:EMAIL"
                " --role=roles/resourcemanager.organizationAdmin --condition=None"
            ),
        ),
    ),
}
"""By act, and by kind as `told` gives it."""
