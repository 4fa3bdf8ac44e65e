"""The collections of Graph that the stand-in serves: type, permissions that open them, price, and what an empty object looks like.

Permissions are those of Microsoft's reference pages ("one of the following"), costs those of its page on throttling limits
for identity and access.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_APPS = frozenset({"Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"})
_TRUSTS = frozenset({"Application.Read.All", "Application.ReadWrite.All"})
_DIRECTORY = frozenset({"Directory.Read.All", "Directory.ReadWrite.All"})
_GRANTS = _DIRECTORY | {"DelegatedPermissionGrant.Read.All", "DelegatedPermissionGrant.ReadWrite.All"}
_ROLES = _DIRECTORY | {"RoleManagement.Read.Directory", "RoleManagement.Read.All", "RoleManagement.ReadWrite.Directory"}
_SCHEDULES = frozenset({"RoleManagement.Read.Directory", "RoleManagement.Read.All", "RoleManagement.ReadWrite.Directory"})
_POLICY = frozenset({"Policy.Read.All", "Policy.ReadWrite.CrossTenantAccess"})
_USERS = _DIRECTORY | {"User.Read.All", "User.ReadWrite.All"}
AGENTS = frozenset({"AgentIdentity.Read.All", "AgentIdentity.ReadWrite.All"})
"""What lists agent identities as such; as service principals they are read with them."""
_GROUPS = _DIRECTORY | {"Group.Read.All", "Group.ReadWrite.All"}
_AUDIT = frozenset({"AuditLog.Read.All"})
_REPORTS = _AUDIT | {"Directory.Read.All"}

READER = frozenset({
    "AgentIdentity.Read.All", "Application.Read.All", "AuditLog.Read.All", "Directory.Read.All", "Policy.Read.All",
    "RoleManagement.Read.Directory", "User.Read.All",
})  # fmt: skip
"""What a reader of everything here is granted."""
REVOKER = frozenset({
    "AgentIdentity.DeleteRestore.All", "AgentIdentity.EnableDisable.All", "AppRoleAssignment.ReadWrite.All", "Application.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All", "Policy.ReadWrite.CrossTenantAccess", "RoleManagement.ReadWrite.Directory",
    "User.DeleteRestore.All", "User.EnableDisableAccount.All", "User.Read.All", "User.RevokeSessions.All",
})  # fmt: skip
"""What one that takes access away is granted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One collection, or one single object."""

    type: str
    """Name in `microsoft.graph`."""
    read: frozenset[str]
    """Any one of these lets an application read it."""
    units: int = 1
    """Resource units of a GET without `$select` and `$expand`."""
    empty: Mapping[str, object] = field(default_factory=dict)
    """What an object says that nobody gave a value to."""
    unasked: frozenset[str] | None = None
    """The properties that come without `$select`; None: all."""
    directory: bool = False
    """Whether it is made of directory objects: then some filters need `ConsistencyLevel`, and `$skip` does not work."""
    key: str = "id"
    single: bool = False
    beta: bool = False


_PUBLISHER = {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None}
_URLS = {"logoUrl": None, "marketingUrl": None, "privacyStatementUrl": None, "supportUrl": None, "termsOfServiceUrl": None}
_SERVICE_PRINCIPAL: Mapping[str, object] = {
    "deletedDateTime": None, "accountEnabled": True, "addIns": [], "alternativeNames": [], "appDescription": None, "appDisplayName": None,
    "appId": None, "applicationTemplateId": None, "appOwnerOrganizationId": None, "appRoleAssignmentRequired": False, "appRoles": [],
    "createdByAppId": None, "description": None, "disabledByMicrosoftStatus": None, "displayName": None, "homepage": None, "info": _URLS,
    "isDisabled": None, "keyCredentials": [], "loginUrl": None, "logoutUrl": None, "notes": None, "notificationEmailAddresses": [],
    "oauth2PermissionScopes": [], "passwordCredentials": [], "preferredSingleSignOnMode": None, "preferredTokenSigningKeyThumbprint": None,
    "replyUrls": [], "resourceSpecificApplicationPermissions": [], "samlSingleSignOnSettings": None, "servicePrincipalNames": [],
    "servicePrincipalType": "Application", "signInAudience": "AzureADMyOrg", "tags": [], "tokenEncryptionKeyId": None,
    "verifiedPublisher": _PUBLISHER,
}  # fmt: skip
_APPLICATION: Mapping[str, object] = {
    "deletedDateTime": None, "addIns": [], "api": None, "appId": None, "applicationTemplateId": None, "appRoles": [],
    "createdByAppId": None, "createdDateTime": None, "defaultRedirectUri": None, "description": None, "disabledByMicrosoftStatus": None,
    "displayName": None, "groupMembershipClaims": None, "identifierUris": [], "info": _URLS, "isDeviceOnlyAuthSupported": None,
    "isDisabled": None, "isFallbackPublicClient": None, "keyCredentials": [], "notes": None, "optionalClaims": None,
    "passwordCredentials": [], "publicClient": None, "publisherDomain": None, "requestSignatureVerification": None,
    "requiredResourceAccess": [], "samlMetadataUrl": None, "serviceManagementReference": None, "servicePrincipalLockConfiguration": None,
    "signInAudience": "AzureADMyOrg", "spa": None, "tags": [], "tokenEncryptionKeyId": None, "uniqueName": None,
    "verifiedPublisher": _PUBLISHER, "web": None,
}  # fmt: skip
_USER: Mapping[str, object] = {
    "deletedDateTime": None, "accountEnabled": True, "businessPhones": [], "companyName": None, "createdDateTime": None,
    "creationType": None, "department": None, "displayName": None, "employeeId": None, "employeeType": None, "externalUserState": None,
    "externalUserStateChangeDateTime": None, "givenName": None, "identities": [], "jobTitle": None, "lastPasswordChangeDateTime": None,
    "mail": None, "mobilePhone": None, "officeLocation": None, "onPremisesSyncEnabled": None, "otherMails": [], "preferredLanguage": None,
    "proxyAddresses": [], "signInActivity": None, "signInSessionsValidFromDateTime": None, "surname": None, "usageLocation": None,
    "userPrincipalName": None, "userType": "Member",
}  # fmt: skip
_USER_UNASKED = frozenset({
    "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation", "preferredLanguage",
    "surname", "userPrincipalName",
})  # fmt: skip
_GROUP: Mapping[str, object] = {
    "deletedDateTime": None, "createdDateTime": None, "description": None, "displayName": None, "groupTypes": [],
    "isAssignableToRole": None, "mail": None, "mailEnabled": False, "mailNickname": None, "securityEnabled": True, "visibility": None,
}  # fmt: skip
_SCHEDULE: Mapping[str, object] = {
    "appScopeId": None, "createdDateTime": None, "createdUsing": None, "directoryScopeId": "/", "memberType": "Direct",
    "modifiedDateTime": None, "principalId": None, "roleDefinitionId": None, "scheduleInfo": None, "status": "Provisioned",
}  # fmt: skip
_ACCESS: Mapping[str, object] = {
    "automaticUserConsentSettings": {"inboundAllowed": None, "outboundAllowed": None}, "b2bCollaborationInbound": None,
    "b2bCollaborationOutbound": None, "b2bDirectConnectInbound": None, "b2bDirectConnectOutbound": None, "inboundTrust": None,
    "tenantRestrictions": None,
}  # fmt: skip
_USE = (
    "lastSignInActivity", "delegatedClientSignInActivity", "delegatedResourceSignInActivity",
    "applicationAuthenticationClientSignInActivity", "applicationAuthenticationResourceSignInActivity",
)  # fmt: skip

KINDS: Mapping[str, Kind] = {
    "servicePrincipals": Kind("servicePrincipal", _APPS, empty=_SERVICE_PRINCIPAL, directory=True),
    "applications": Kind("application", _APPS, units=2, empty=_APPLICATION, directory=True),
    "users": Kind("user", _USERS, units=2, empty=_USER, unasked=_USER_UNASKED, directory=True),
    "groups": Kind("group", _GROUPS, units=2, empty=_GROUP, directory=True),
    "organization": Kind(
        "organization",
        _DIRECTORY | {"Organization.Read.All", "Organization.ReadWrite.All"},
        directory=True,
        empty={"createdDateTime": None, "displayName": None, "countryLetterCode": None, "tenantType": "AAD", "verifiedDomains": []},
    ),
    "oauth2PermissionGrants": Kind(
        "oAuth2PermissionGrant",
        _GRANTS,
        units=2,
        empty={"clientId": "", "consentType": "AllPrincipals", "principalId": None, "resourceId": "", "scope": ""},
    ),
    "roleManagement/directory/roleDefinitions": Kind(
        "unifiedRoleDefinition",
        _ROLES,
        empty={
            "description": None,
            "displayName": None,
            "isBuiltIn": True,
            "isEnabled": True,
            "resourceScopes": ["/"],
            "rolePermissions": [],
            "templateId": None,
            "version": None,
        },
    ),
    "roleManagement/directory/roleAssignments": Kind(
        "unifiedRoleAssignment",
        _ROLES,
        empty={
            "appScopeId": None,
            "condition": None,
            "directoryScopeId": "/",
            "principalId": None,
            "principalOrganizationId": None,
            "roleDefinitionId": None,
        },
    ),
    "roleManagement/directory/roleAssignmentSchedules": Kind(
        "unifiedRoleAssignmentSchedule", _SCHEDULES, empty={**_SCHEDULE, "assignmentType": "Assigned"}
    ),
    "roleManagement/directory/roleEligibilitySchedules": Kind("unifiedRoleEligibilitySchedule", _SCHEDULES, empty=_SCHEDULE),
    "policies/crossTenantAccessPolicy": Kind(
        "crossTenantAccessPolicy",
        _POLICY,
        single=True,
        empty={"deletedDateTime": None, "description": None, "displayName": "CrossTenantAccessPolicy", "allowedCloudEndpoints": []},
    ),
    "policies/crossTenantAccessPolicy/default": Kind(
        "crossTenantAccessPolicyConfigurationDefault",
        _POLICY,
        single=True,
        empty={**_ACCESS, "isServiceDefault": True, "invitationRedemptionIdentityProviderConfiguration": None},
    ),
    "policies/crossTenantAccessPolicy/partners": Kind(
        "crossTenantAccessPolicyConfigurationPartner",
        _POLICY,
        key="tenantId",
        empty={**_ACCESS, "isInMultiTenantOrganization": None, "isServiceProvider": None, "tenantId": ""},
    ),
    "auditLogs/directoryAudits": Kind(
        "directoryAudit",
        _AUDIT,
        empty={
            "activityDateTime": None,
            "activityDisplayName": "",
            "additionalDetails": [],
            "category": "ApplicationManagement",
            "correlationId": None,
            "initiatedBy": {"app": None, "user": None},
            "loggedByService": "Core Directory",
            "operationType": None,
            "result": "success",
            "resultReason": "",
            "targetResources": [],
        },
    ),
    "reports/servicePrincipalSignInActivities": Kind(
        "servicePrincipalSignInActivity", _REPORTS, beta=True, empty={"appId": None, **dict.fromkeys(_USE)}
    ),
    "reports/appCredentialSignInActivities": Kind(
        "appCredentialSignInActivity",
        _REPORTS,
        beta=True,
        empty=dict.fromkeys(
            (
                "appId",
                "appObjectId",
                "createdDateTime",
                "credentialOrigin",
                "expirationDateTime",
                "keyId",
                "keyType",
                "keyUsage",
                "resourceId",
                "servicePrincipalObjectId",
                "signInActivity",
            )
        ),
    ),
}
"""By path under the version."""

CHILDREN: Mapping[str, Kind] = {
    "serviceProviderConstraints": Kind("serviceProviderConstraints", _POLICY, single=True),
    "federatedIdentityCredentials": Kind(
        "federatedIdentityCredential", _TRUSTS, empty={"audiences": [], "description": None, "issuer": "", "name": "", "subject": None}
    ),
    "appRoleAssignedTo": Kind(
        "appRoleAssignment",
        _APPS,
        units=2,
        directory=True,
        empty={
            "deletedDateTime": None,
            "appRoleId": "00000000-0000-0000-0000-000000000000",
            "createdDateTime": None,
            "principalDisplayName": None,
            "principalId": None,
            "principalType": "ServicePrincipal",
            "resourceDisplayName": None,
            "resourceId": None,
        },
    ),
}
"""Collections inside an object, by the name of the navigation."""

LINKS = frozenset({"owners", "sponsors", "members"})
"""Navigations from one directory object to others."""
OBJECTS = ("servicePrincipals", "applications", "users", "groups")
"""The collections whose objects can be linked to, own things and hold roles."""
