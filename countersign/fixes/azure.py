"""Azure: Entra's directory, Azure's roles, other tenants' ways in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fixes.filling import DELETES_LAST as _LAST
from countersign.fixes.filling import Fix, Told, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.fixes.acts import Act
    from countersign.fixes.subjects import Subject

_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
SHAPES = shapes(
    key_id=_GUID,
    name=r"(?!)",  # whatever people call things here, several may be called so: no command is given a name
    object_id=_GUID,
    registration=rf"subscriptions/{_GUID}(/resourcegroups/[\w.()-]+)?/providers/microsoft\.managedservices/registrationassignments/{_GUID}",
    subscription=_GUID,
    tenant=_GUID,
)


def told(subject: Subject) -> Told:
    """Say what is known of a subject, and which of the ways below it goes."""
    kind, native = subject.kind, subject.native_id
    values: dict[str, str | None] = {"name": subject.name, "tenant": subject.scope}
    if kind in {"client-secret", "certificate", "federated-credential"}:
        values |= {"key_id": native, "object_id": subject.identity_id}
        if subject.identity_kind == "service-principal":
            kind = "managed-identity-federation" if kind == "federated-credential" else f"principal-{kind}"
    elif kind == "partner-tenant":
        values["tenant"] = native
    elif kind == "lighthouse-delegation":
        values["registration"] = native
    elif kind == "subscription":
        values["subscription"] = native
    else:
        values["object_id"] = native
    return Told(kind, values)


_GRAPH = "https://graph.microsoft.com/v1.0"
_APPS = "Entra admin center > Entra ID > App registrations > All applications > {name}"
_ENTERPRISE = "Entra admin center > Entra ID > Enterprise apps > {name}"
_USERS = "Entra admin center > Entra ID > Users > {name}"
_CROSS_TENANT = "Entra admin center > Entra ID > External Identities > Cross-tenant access settings > Organizational settings > {tenant}"
_NO_SWITCH = (
    "Entra cannot suspend one secret or certificate: see that nobody signs in with it any more before the line that ends it for good."
)
_USED = (
    "az rest --method GET --url"
    " 'https://graph.microsoft.com/beta/reports/appCredentialSignInActivities?$filter=keyId%20eq%20%27{key_id}%27'"
)
_KEY_GONE = "az ad app credential delete --id {object_id} --key-id {key_id}"
_CERTIFICATE_GONE = "az ad app credential delete --id {object_id} --key-id {key_id} --cert"
_SP_KEY_GONE = "az ad sp credential delete --id {object_id} --key-id {key_id}"
_SP_CERTIFICATE_GONE = "az ad sp credential delete --id {object_id} --key-id {key_id} --cert"
_KEYS = _APPS + " > Certificates & secrets > Client secrets > the one whose Secret ID is {key_id} > Delete"
_CERTIFICATES = _APPS + " > Certificates & secrets > Certificates > the one whose Certificate ID is {key_id} > Delete"
_FEDERATE = "az ad app federated-credential create --id {object_id} --parameters credential.json"
_DIRECTORY_ROLES = (
    f"az rest --method GET --url '{_GRAPH}/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20%27{{object_id}}%27'"
)
_END_DIRECTORY_ROLE = f"az rest --method DELETE --url {_GRAPH}/roleManagement/directory/roleAssignments/ASSIGNMENT_ID"
_AZURE_ROLES = "az role assignment list --all --subscription SUBSCRIPTION_ID --query \"[?principalId=='{object_id}']\""
_END_AZURE_ROLE = "az role assignment delete --ids AZURE_ASSIGNMENT_ID"
_SP_OFF = "az ad sp update --id {object_id} --set accountEnabled=false"
_BLOCK = (
    f"az rest --method PATCH --url {_GRAPH}/policies/crossTenantAccessPolicy/partners/{{tenant}} --body"
    ' \'{"b2bCollaborationInbound":{"usersAndGroups":{"accessType":"blocked","targets":[{"target":"AllUsers","targetType":"user"}]},'
    '"applications":{"accessType":"blocked","targets":[{"target":"AllApplications","targetType":"application"}]}},'
    '"b2bDirectConnectInbound":{"usersAndGroups":{"accessType":"blocked","targets":[{"target":"AllUsers","targetType":"user"}]},'
    '"applications":{"accessType":"blocked","targets":[{"target":"AllApplications","targetType":"application"}]}}}\''
)
_PARTNER = f"az rest --method GET --url {_GRAPH}/policies/crossTenantAccessPolicy/partners/{{tenant}}"

_USER_OFF = Fix(
    says="Block its sign-in, which can be allowed again, and end its sessions; tokens it has live up to 90 minutes. Delete it after the "
    "watch period: Entra keeps it for 30 days more.",
    console=_USERS + " > Edit properties > Settings > Account enabled; then Overview > Revoke sessions",
    commands=(
        "az ad user update --id {object_id} --account-enabled false",
        f"az rest --method POST --url {_GRAPH}/users/{{object_id}}/revokeSignInSessions",
        "az ad user delete --id {object_id}",
    ),
)
_FOREIGN = Fix(
    says="It has no account here that could be blocked: note the roles that it holds, so that they can be given again, and take them away.",
    console="Azure portal > Subscriptions > the subscription > Access control (IAM) > Role assignments > {name} > Remove; "
    "Entra admin center > Entra ID > Roles & admins > the role > Assignments > Remove",
    commands=(_AZURE_ROLES, _END_AZURE_ROLE, _DIRECTORY_ROLES, _END_DIRECTORY_ROLE),
)
_ROLES = (
    _DIRECTORY_ROLES,
    _END_DIRECTORY_ROLE,
    _AZURE_ROLES,
    _END_AZURE_ROLE,
)

FIXES: Mapping[tuple[Act, str], Fix] = {
    ("disable", "service-principal"): Fix(
        says="Disable it for sign-in, which can be undone; tokens it has live up to 90 minutes, a managed identity's up to 24 hours. "
        "Delete "
        "it after the watch period: Entra keeps it for 30 days more; a managed identity goes with its Azure resource instead.",
        console=_ENTERPRISE + " > Properties > Enabled for users to sign-in? > No > Save",
        commands=("az ad sp show --id {object_id}", _SP_OFF, "az ad sp delete --id {object_id}"),
    ),
    ("disable", "application"): Fix(
        says="Deactivate it, which can be undone: it gets no new tokens, in any tenant; those it has live up to 90 minutes. Delete it "
        "after "
        "the watch period: Entra keeps it for 30 days more.",
        console=_APPS + " > Deactivate",
        commands=(
            "az ad app show --id {object_id}",
            f"az rest --method PATCH --url {_GRAPH}/applications/{{object_id}} --body '{{\"isDisabled\":true}}'",
            "az ad app delete --id {object_id}",
        ),
    ),
    ("disable", "user"): _USER_OFF,
    ("disable", "foreign-principal"): _FOREIGN,
    ("disable", "partner-tenant"): Fix(
        says="Block inbound collaboration and direct connect for this tenant; keep the answer of the first line to give it back. Do "
        "not delete "
        "its entry: the default would hold, which lets people in. A service provider's delegated administration (GDAP) is ended by itself.",
        console=_CROSS_TENANT + " > Inbound access > B2B collaboration > Customize settings > Block access; "
        "Microsoft 365 admin center > Settings > Partner relationships",
        commands=(_PARTNER, _BLOCK),
    ),
    ("disable", "lighthouse-delegation"): Fix(
        says="Keep the answer of the first line, then remove the delegation: it cannot be suspended, and only its owner can hand it "
        "over again.",
        console="Azure portal > Service providers > Service provider offers > {name} > trash can",
        commands=(
            (
                "az rest --method GET --url https://management.azure.com/{registration} --url-parameters api-version=2022-10-01"
                " '$expandRegistrationDefinition=true'"
            ),
            "az rest --method DELETE --url https://management.azure.com/{registration} --url-parameters api-version=2022-10-01",
        ),
    ),
    ("disable", "client-secret"): Fix(says=_NO_SWITCH, console=_KEYS, commands=(_USED, _KEY_GONE)),
    ("disable", "certificate"): Fix(says=_NO_SWITCH, console=_CERTIFICATES, commands=(_USED, _CERTIFICATE_GONE)),
    ("disable", "principal-client-secret"): Fix(says=_NO_SWITCH, console=None, commands=(_USED, _SP_KEY_GONE)),
    ("disable", "principal-certificate"): Fix(says=_NO_SWITCH, console=None, commands=(_USED, _SP_CERTIFICATE_GONE)),
    ("disable", "federated-credential"): Fix(
        says="Point its issuer at a host that cannot be, which lets nobody in and can be set back from the first line's answer. " + _LAST,
        console=_APPS + " > Certificates & secrets > Federated credentials > the one of id {key_id} > Issuer",
        commands=(
            "az ad app federated-credential show --id {object_id} --federated-credential-id {key_id}",
            (
                f"az rest --method PATCH --url {_GRAPH}/applications/{{object_id}}/federatedIdentityCredentials/{{key_id}} --body"
                ' \'{"issuer":"https://{key_id}.countersign-revoked.invalid"}\''
            ),
            "az ad app federated-credential delete --id {object_id} --federated-credential-id {key_id}",
        ),
    ),
    ("disable", "managed-identity-federation"): Fix(
        says="Point its issuer at a host that cannot be, which lets nobody in and can be set back; the first line says which resource the "
        "identity is. " + _LAST,
        console="Azure portal > Managed Identities > {name} > Settings > Federated credentials > the one of id {key_id}",
        commands=(
            "az ad sp show --id {object_id} --query alternativeNames",
            (
                "az identity federated-credential update --name CREDENTIAL_NAME --identity-name IDENTITY_NAME --resource-group "
                "RESOURCE_GROUP"
                " --issuer https://revoked.invalid --subject SUBJECT --audiences AUDIENCE"
            ),
            "az identity federated-credential delete --name CREDENTIAL_NAME --identity-name IDENTITY_NAME --resource-group RESOURCE_GROUP",
        ),
    ),
    ("rotate", "client-secret"): Fix(
        says=f"Add a second secret that ends within policy (without --append the others would go), and move its users. {_NO_SWITCH}",
        console=_APPS + " > Certificates & secrets > Client secrets > New client secret; then the one whose Secret ID is {key_id} > Delete",
        commands=(
            "az ad app credential reset --id {object_id} --append --end-date END_DATE --display-name NEW_NAME",
            _USED,
            _KEY_GONE,
        ),
    ),
    ("rotate", "certificate"): Fix(
        says=f"Add a second certificate that ends within policy (without --append the others would go), and move its users. {_NO_SWITCH}",
        console=_APPS
        + " > Certificates & secrets > Certificates > Upload certificate; then the one whose Certificate ID is {key_id} > Delete",
        commands=(
            "az ad app credential reset --id {object_id} --append --cert @NEW_CERTIFICATE.pem --display-name NEW_NAME",
            _USED,
            _CERTIFICATE_GONE,
        ),
    ),
    ("rotate", "principal-client-secret"): Fix(
        says="Better none on an enterprise app: its secrets belong to the app registration. Add one there, or a second one here that ends "
        f"within policy (without --append the others would go), and move its users. {_NO_SWITCH}",
        console=None,
        commands=(
            "az ad sp credential reset --id {object_id} --append --end-date END_DATE --display-name NEW_NAME",
            _USED,
            _SP_KEY_GONE,
        ),
    ),
    ("rotate", "principal-certificate"): Fix(
        says=f"Add a second certificate that ends within policy (without --append the others would go), and move its users. {_NO_SWITCH}",
        console=_ENTERPRISE + " > Single sign-on > SAML Certificates > Edit > New certificate, where it signs for single sign-on",
        commands=(
            "az ad sp credential reset --id {object_id} --append --cert @NEW_CERTIFICATE.pem --display-name NEW_NAME",
            _USED,
            _SP_CERTIFICATE_GONE,
        ),
    ),
    ("federate", "client-secret"): Fix(
        says="Let the workload sign in with its own platform's token: credential.json has name, issuer, subject and audiences. On "
        "Azure, give it "
        f"a managed identity. {_NO_SWITCH}",
        console=_APPS + " > Certificates & secrets > Federated credentials > Add credential; then Client secrets > {key_id} > Delete",
        commands=(_FEDERATE, _USED, _KEY_GONE),
    ),
    ("federate", "certificate"): Fix(
        says="Let the workload sign in with its own platform's token: credential.json has name, issuer, subject and audiences. On "
        "Azure, give it "
        f"a managed identity. {_NO_SWITCH}",
        console=_APPS + " > Certificates & secrets > Federated credentials > Add credential; then Certificates > {key_id} > Delete",
        commands=(_FEDERATE, _USED, _CERTIFICATE_GONE),
    ),
    ("trace", "service-principal"): Fix(
        says="Disable it for sign-in if it is not, and do not enable it again: whoever still needs access gets another. The sign-in "
        "logs say "
        "from where it was used, the audit logs what it made.",
        console=_ENTERPRISE + " > Properties > Enabled for users to sign-in? > No > Save; then Activity > Sign-in logs",
        commands=(
            _SP_OFF,
            (
                "az rest --method GET --url 'https://graph.microsoft.com/beta/auditLogs/signIns?$filter=signInEventTypes/any(t:t%20eq%20"
                "%27servicePrincipal%27)%20and%20servicePrincipalId%20eq%20%27{object_id}%27'"
            ),
        ),
    ),
    ("trace", "user"): Fix(
        says="Block its sign-in if it is not, and end its sessions. The sign-in logs say from where it was used, the audit logs what "
        "it made.",
        console=_USERS + " > Edit properties > Settings > Account enabled; then Overview > Revoke sessions; then Sign-in logs",
        commands=(
            "az ad user update --id {object_id} --account-enabled false",
            f"az rest --method POST --url {_GRAPH}/users/{{object_id}}/revokeSignInSessions",
            f"az rest --method GET --url '{_GRAPH}/auditLogs/signIns?$filter=userId%20eq%20%27{{object_id}}%27'",
        ),
    ),
    ("remove-rights", "service-principal"): Fix(
        says="Look what it holds (directory roles, application permissions, Azure roles), give it the smaller role that its work "
        "needs, and take "
        "away what the finding names; keep the answers to give it back.",
        console=_ENTERPRISE + " > Permissions > Revoke; Entra ID > Roles & admins > the role > Assignments > Remove; "
        "Azure portal > Subscriptions > Access control (IAM) > Role assignments > Remove",
        commands=(
            f"az rest --method GET --url {_GRAPH}/servicePrincipals/{{object_id}}/appRoleAssignments",
            f"az rest --method DELETE --url {_GRAPH}/servicePrincipals/{{object_id}}/appRoleAssignments/APP_ROLE_ASSIGNMENT_ID",
            *_ROLES,
        ),
    ),
    ("remove-rights", "application"): Fix(
        says="Its rights are held by its enterprise app, which the first line names: take away there what the finding names, and keep "
        "the answers "
        "to give it back.",
        console=_APPS + " > Managed application in local directory > Permissions > Revoke",
        commands=(
            "az ad app show --id {object_id} --query appId --output tsv",
            "az ad sp show --id APP_ID --query id --output tsv",
            f"az rest --method GET --url {_GRAPH}/servicePrincipals/PRINCIPAL_ID/appRoleAssignments",
            f"az rest --method DELETE --url {_GRAPH}/servicePrincipals/PRINCIPAL_ID/appRoleAssignments/APP_ROLE_ASSIGNMENT_ID",
        ),
    ),
    ("remove-rights", "user"): Fix(
        says="Look what it holds, give it the smaller role that its work needs, and take away what the finding names; keep the "
        "answers to give it "
        "back.",
        console=_USERS + " > Assigned roles > Remove assignments; Azure role assignments > Remove",
        commands=_ROLES,
    ),
    ("add-condition", "application"): Fix(
        says="Give the federated credential that the finding means one subject and one audience: credential.json has name, issuer, "
        "subject and "
        "audiences.",
        console=_APPS + " > Certificates & secrets > Federated credentials > the one of that issuer > Subject identifier",
        commands=(
            "az ad app federated-credential list --id {object_id}",
            "az ad app federated-credential update --id {object_id} --federated-credential-id CREDENTIAL_ID --parameters credential.json",
        ),
    ),
    ("add-condition", "partner-tenant"): Fix(
        says="Let in named users and groups to named applications only; a service provider's roles are limited in its GDAP relationship.",
        console=_CROSS_TENANT + " > Inbound access > B2B direct connect > Customize settings > Select external users and groups; "
        "Microsoft 365 admin center > Settings > Partner relationships",
        commands=(
            _PARTNER,
            f"az rest --method PATCH --url {_GRAPH}/policies/crossTenantAccessPolicy/partners/{{tenant}} --body @settings.json",
        ),
    ),
    ("remove-trust", "application"): Fix(
        says="Point the issuer of the federated credential that names the party at a host that cannot be, which can be set back from "
        "the first "
        f"line's answer. {_LAST}",
        console=_APPS + " > Certificates & secrets > Federated credentials > the one of that issuer",
        commands=(
            "az ad app federated-credential list --id {object_id}",
            (
                f"az rest --method PATCH --url {_GRAPH}/applications/{{object_id}}/federatedIdentityCredentials/CREDENTIAL_ID --body"
                ' \'{"issuer":"https://CREDENTIAL_ID.countersign-revoked.invalid"}\''
            ),
            "az ad app federated-credential delete --id {object_id} --federated-credential-id CREDENTIAL_ID",
        ),
    ),
    ("require-mfa", "user"): Fix(
        says="See which methods the person has registered, and have a Conditional Access policy demand multifactor authentication of them.",
        console="Entra admin center > Entra ID > Conditional Access > Policies > New policy > Users: {name} > "
        "Grant > Require multifactor authentication > Enable policy: On",
        commands=(f"az rest --method GET --url {_GRAPH}/users/{{object_id}}/authentication/methods",),
    ),
    ("free-person", "user"): Fix(
        says="Give the program an application or a managed identity of its own in a registered workload, then end the sessions that "
        "it opened in "
        "the person's name; the person signs in again, with MFA.",
        console=_USERS + " > Overview > Revoke sessions",
        commands=(f"az rest --method POST --url {_GRAPH}/users/{{object_id}}/revokeSignInSessions",),
    ),
    ("block-console", "user"): _USER_OFF,
    ("share-administration", "tenant"): Fix(
        says="Make a person of yours Global Administrator, with MFA, and let them try it before the partner's roles are taken down.",
        console="Entra admin center > Entra ID > Roles & admins > Global Administrator > Add assignments",
        commands=(
            (
                f"az rest --method POST --url {_GRAPH}/roleManagement/directory/roleAssignments --body"
                ' \'{"principalId":"USER_OBJECT_ID","roleDefinitionId":"62e90394-69f5-4237-9190-012177145e10","directoryScopeId":"/"}\''
            ),
        ),
    ),
    ("share-administration", "subscription"): Fix(
        says="Make a person of yours Owner of it, and let them try it before the partner's roles are taken down.",
        console="Azure portal > Subscriptions > {subscription} > Access control (IAM) > Add > Add role assignment > Owner",
        commands=(
            (
                "az role assignment create --assignee-object-id USER_OBJECT_ID --assignee-principal-type User --role Owner"
                " --scope /subscriptions/{subscription}"
            ),
        ),
    ),
}
"""By act, and by kind as `told` gives it."""
