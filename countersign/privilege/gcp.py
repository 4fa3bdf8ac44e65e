"""Google Cloud roles: basic and predefined ones by name, custom ones by their permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by

if TYPE_CHECKING:
    from collections.abc import Collection

_ROLES = "IAM roles and permissions index"
_SERVICE_ACCOUNTS = "Roles for service account authentication"

WAYS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (
        Rule("gcp-owner", "administrator", "Owner may do everything, and says who else may.", "IAM basic roles"),
        ("roles/owner",),
    ),
    (
        Rule("gcp-set-policy", "administrator", "Can give any role to anybody, itself included, by writing the allow policy.", _ROLES),
        (
            "resourcemanager.projects.setIamPolicy",
            "resourcemanager.folders.setIamPolicy",
            "resourcemanager.organizations.setIamPolicy",
            "roles/iam.securityAdmin",
            "roles/resourcemanager.folderAdmin",
            "roles/resourcemanager.folderIamAdmin",
            "roles/resourcemanager.organizationAdmin",
            "roles/resourcemanager.projectIamAdmin",
        ),
    ),
    (
        Rule("gcp-editor", "escalation", "Editor can make keys of every service account and run code as any of them.", "IAM basic roles"),
        ("roles/editor",),
    ),
    (
        Rule("gcp-role-write", "escalation", "Can add any permission to a custom role that it holds.", _ROLES),
        ("iam.roles.update", "roles/iam.organizationRoleAdmin", "roles/iam.roleAdmin"),
    ),
    (
        Rule("gcp-entitlement", "escalation", "Can write itself an entitlement to any role in Privileged Access Manager.", _ROLES),
        (
            "privilegedaccessmanager.entitlements.create",
            "privilegedaccessmanager.entitlements.update",
            "privilegedaccessmanager.entitlements.setIamPolicy",
            "roles/privilegedaccessmanager.admin",
        ),
    ),
    (
        Rule("gcp-account-policy", "escalation", "Can let anybody, itself included, act as every service account.", _SERVICE_ACCOUNTS),
        ("iam.serviceAccounts.setIamPolicy", "roles/iam.admin", "roles/iam.devOps", "roles/iam.serviceAccountAdmin",
         "roles/earthengine.appsPublisher"),
    ),
    (
        Rule("gcp-account-key", "escalation", "Can make keys of every service account, and use them from anywhere.", _SERVICE_ACCOUNTS),
        (
            "iam.serviceAccountKeys.create",
            "iam.serviceAccountApiKeyBindings.create",
            "roles/assuredoss.admin",
            "roles/iam.editor",
            "roles/iam.serviceAccountApiKeyBindingAdmin",
            "roles/iam.serviceAccountKeyAdmin",
            "roles/securitycenter.admin",
        ),
    ),
    (
        Rule("gcp-account-token", "escalation", "Can make tokens of every service account.", _SERVICE_ACCOUNTS),
        (
            "iam.serviceAccounts.getAccessToken",
            "iam.serviceAccounts.implicitDelegation",
            "iam.serviceAccounts.signBlob",
            "iam.serviceAccounts.signJwt",
            "roles/iam.serviceAccountTokenCreator",
            "roles/iam.workloadIdentityUser",
        ),
    ),
    (
        Rule(
            "gcp-act-as", "escalation",
            "Can run code as every service account, with any other role that may start a machine, function or job.", _SERVICE_ACCOUNTS,
        ),
        ("iam.serviceAccounts.actAs", "roles/backupdr.computeEngineOperator", "roles/dataproc.hubAgent", "roles/iam.dataScientist",
         "roles/iam.databasesAdmin", "roles/iam.serviceAccountUser"),
    ),
    (
        Rule(
            "gcp-pool-provider", "escalation", "Can let an issuer of its own speak for identities that pools already trust.",
            "Workload Identity Federation",
        ),
        (
            "iam.googleapis.com/workloadIdentityPoolProviders.create",
            "iam.googleapis.com/workloadIdentityPoolProviders.update",
            "iam.googleapis.com/workloadIdentityPools.setIamPolicy",
            "roles/iam.workloadIdentityPoolAdmin",
        ),
    ),
    (
        Rule(
            "gcp-deployment-manager", "escalation", "Can have Deployment Manager build anything as Google's own agent, which is an editor.",
            "Deployment Manager access control",
        ),
        ("deploymentmanager.deployments.create", "deploymentmanager.deployments.update", "roles/deploymentmanager.admin",
         "roles/deploymentmanager.editor"),
    ),
    (
        Rule(
            "gcp-cloud-build", "escalation", "Can run a build script of its own as the account that builds run as.",
            "Default Cloud Build service account",
        ),
        (
            "cloudbuild.builds.create",
            "roles/cloudbuild.admin",
            "roles/cloudbuild.builds.builder",
            "roles/cloudbuild.builds.editor",
            "roles/cloudbuild.editor",
            "roles/composer.worker",
            "roles/dataflow.admin",
            "roles/dataflow.developer",
            "roles/run.sourceDeveloper",
        ),
    ),
)  # fmt: skip
"""Each rule with the permissions and the predefined roles any of which is enough; the first rule that applies decides."""

_AS_ACCOUNT = Rule("gcp-as-account", "escalation", "Can act as an account that is or can become an administrator.", _SERVICE_ACCOUNTS)
RULES: tuple[Rule, ...] = (*(rule for rule, _ in WAYS), _AS_ACCOUNT)

_ACTING_RULES = ("gcp-owner", "gcp-editor", "gcp-account-policy", "gcp-account-key", "gcp-account-token", "gcp-act-as")
_ACTING = frozenset(way for rule, ways in WAYS if rule.id in _ACTING_RULES for way in ways) | {"roles/iam.securityAdmin"}
"""What makes its holder able to act as one service account when it is held on that account."""


def role(name: str, permissions: Collection[str] | None = None) -> Verdict:
    """Judge a role by its name (`roles/owner`, `projects/p/roles/custom`); `permissions`: a custom role's includedPermissions.

    A custom role whose permissions are None was not read: power None. A predefined role is judged by its name, and by
    its permissions where they are given as well.
    """
    held = {name, *(permissions or ())}
    found = next((given_by(rule) for rule, ways in WAYS if not held.isdisjoint(ways)), LIMITED)
    return UNREAD if found == LIMITED and _unread(name, permissions) else found


def on_service_account(name: str, permissions: Collection[str] | None, account: Verdict) -> Verdict:
    """Judge a role held on one service account: who may make its tokens or keys can do what it can (`account`)."""
    acting = not _ACTING.isdisjoint({name, *(permissions or ())})
    if account.power == "limited" or not (acting or _unread(name, permissions)):
        return LIMITED
    return given_by(_AS_ACCOUNT) if acting and account.power is not None else UNREAD


def applies() -> dict[str, tuple[str, ...]]:
    """Say by rule id what makes it apply, for docs/privileges.md."""
    acting = ", ".join(f"`{rule}`" for rule in _ACTING_RULES)
    return {
        **{rule.id: tuple(f"`{way}`" for way in ways) for rule, ways in WAYS},
        _AS_ACCOUNT.id: (f"what makes one of {acting} apply, or `roles/iam.securityAdmin`, held on that account",),
    }


def _unread(name: str, permissions: Collection[str] | None) -> bool:
    return permissions is None and not name.startswith("roles/")
