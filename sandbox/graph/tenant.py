"""One Entra tenant of the stand-in: raw Graph objects, who may read them, and helpers for those that an estate is made of."""

from __future__ import annotations

import copy
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sandbox.graph.azure import SandboxAzure
from sandbox.graph.kinds import CHILDREN, KINDS, LINKS, OBJECTS, READER, REVOKER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandbox.graph.contract import Contract

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
"""The tenant that Microsoft's own applications are registered in."""
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
"""appId of Microsoft Graph in every tenant."""
APP_ROLES: Mapping[str, str] = {
    "AppRoleAssignment.ReadWrite.All": "06b708a9-e830-4db3-a914-8e69da51d44f",
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "AuditLog.Read.All": "b0afded3-3588-46d8-8b3d-9842eff778da",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "Directory.ReadWrite.All": "19dbc75e-c2e2-444c-a770-ec69d8559fc7",
    "Mail.Read": "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
    "Policy.Read.All": "246dd0d5-5bd0-4def-940b-0421030a5b68",
    "RoleManagement.Read.Directory": "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
    "RoleManagement.ReadWrite.Directory": "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
}
"""Application permissions of Microsoft Graph, the same ids in every tenant."""
DIRECTORY_ROLES: Mapping[str, str] = {
    "Application Administrator": "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
    "Cloud Application Administrator": "158c047a-c907-4556-b7ef-446551a6b5f7",
    "Directory Readers": "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
    "Global Reader": "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
    "Privileged Authentication Administrator": "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
    "Privileged Role Administrator": "e8611ab8-c189-46e8-94e1-60213ab1f814",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
}
"""Template ids of built-in roles, the same in every tenant."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application that was registered here, and its service principal."""

    id: str
    app_id: str
    service_principal: str


class SandboxTenant:
    """Objects of one tenant, as Graph's JSON. Times are instants in any zone; ids are the same every time a tenant is made."""

    def __init__(self, tenant_id: str, address: str, contract: Contract | None) -> None:
        """Take the tenant's id, a guid; with a contract, every object is checked against it. Raises ValueError."""
        self.id = str(UUID(tenant_id))
        self.address = address
        self.permissions: set[str] = set(READER)
        """Application permissions of the readers; take some away to see 403s. Tokens in use feel it at once."""
        self.premium = True
        """Whether the tenant has the licence that sign-in times need."""
        self.readers: dict[str, str] = {}
        """Client id to secret of the applications that may read; they are no objects of the directory."""
        self.revocation: set[str] = set(REVOKER)
        """Application permissions of the revokers."""
        self.revokers: dict[str, str] = {}
        """Client id to secret of the applications that may take access away; no objects of the directory either."""
        self.secret_texts: dict[str, str] = {}
        """keyId to the text of a client secret, for those that somebody asked for."""
        self.deleted: dict[str, tuple[str, dict[str, Any]]] = {}
        """Directory objects that were deleted, by id, each with its collection."""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        """What time it is here."""
        self.azure = SandboxAzure(self.id)
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        """By collection, then id."""
        self.links: dict[tuple[str, str], list[str]] = {}
        """(id, `owners` or `sponsors` or `members`) to the ids linked to."""
        self.names: dict[str, set[str]] = {}
        """By collection, the properties that its objects have."""
        self.contract = contract
        self._made = 0
        self.add("organization", id=self.id, displayName="Sandbox")
        for path, kind in KINDS.items():
            if kind.single:
                self.add(path)
        for name, template in DIRECTORY_ROLES.items():
            self.add("roleManagement/directory/roleDefinitions", id=template, templateId=template, displayName=name)

    def reader(self) -> tuple[str, str]:
        """Register one more application that may read; returns its client id and secret."""
        client = self.new_id("reader")
        self.readers[client] = secrets.token_urlsafe(24)
        return client, self.readers[client]

    def environment(self) -> dict[str, str]:
        """Return what `azure.identity.EnvironmentCredential` needs to log in as a reader of its own."""
        client, secret = self.reader()
        return {"AZURE_TENANT_ID": self.id, "AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": secret}

    def revoker(self) -> tuple[str, str]:
        """Register one more application that may take access away; returns its client id and secret."""
        client = self.new_id("revoker")
        self.revokers[client] = secrets.token_urlsafe(24)
        return client, self.revokers[client]

    def revoking_environment(self) -> dict[str, str]:
        """Return what Countersign needs to log in as a revoker of its own."""
        client, secret = self.revoker()
        return {"COUNTERSIGN_REVOKE_AZURE_CLIENT_ID": client, "COUNTERSIGN_REVOKE_AZURE_CLIENT_SECRET": secret}

    def secret_text(self, key_id: str) -> str:
        """Return what an application signs in with that has this client secret."""
        return self.secret_texts.setdefault(key_id, secrets.token_urlsafe(24))

    def granted(self, client: str) -> set[str]:
        """Return the application permissions of Graph that a client has."""
        if client in self.revokers:
            return self.revocation
        if client in self.readers:
            return self.permissions
        held: set[str] = set()
        for resource in self.objects.get("servicePrincipals", {}).values():
            values = {role["id"]: role["value"] for role in resource["appRoles"]} if resource["appId"] == GRAPH_APP else {}
            for given in self.objects.get(f"servicePrincipals/{resource['id']}/appRoleAssignedTo", {}).values():
                if self.objects["servicePrincipals"].get(given["principalId"], {}).get("appId") == client:
                    held.add(values.get(given["appRoleId"], ""))
        return held

    def new_id(self, what: str) -> str:
        """Make up a guid, the same one each time the same things are made in the same order."""
        self._made += 1
        return str(uuid5(UUID(self.id), f"{what}/{self._made}"))

    def add(self, collection: str, **fields: object) -> str:
        """Add an object to a collection (`servicePrincipals`, `applications/<id>/federatedIdentityCredentials`); returns its id.

        What is not given is what Graph says of an object that nobody touched; instants become Graph's text. A path such as
        `servicePrincipals/microsoft.graph.agentIdentity` adds an object of that type. Adding an id again replaces the object.
        Raises ValueError where the contract does not know such an object, and KeyError for a collection that is not served.
        """
        collection, _, derived = collection.partition("/microsoft.graph.")
        kind = kind_of(collection)
        given = {name: _json(value) for name, value in fields.items()}
        made: dict[str, Any] = {**copy.deepcopy(dict(kind.empty)), **given}
        if kind.key == "id" or not given.get(kind.key):
            made[kind.key] = given.get(kind.key) or self.new_id(collection)
        if collection in {"servicePrincipals", "applications"} and not made["appId"]:
            made["appId"] = self.new_id("appId")
        if derived:
            made = {"@odata.type": f"#microsoft.graph.{derived}", **made}
        problems = () if self.contract is None or kind.beta else self.contract.check_object(derived or kind.type, made)
        if problems:
            raise ValueError(f"Graph cannot say this in {collection}: {'; '.join(problems)}")
        key = "" if kind.single else str(made[kind.key])
        self.objects.setdefault(collection, {})[key] = made
        self.names.setdefault(collection, {"id", *kind.empty}).update(made)
        return str(made[kind.key])

    def unset(self, kind: Kind, name: str) -> object:
        """Return what Graph says of a property that an object was never given: null, or an empty list."""
        if name in kind.empty or self.contract is None:
            return copy.deepcopy(kind.empty.get(name))
        member = self.contract.member(kind.type, name)
        return [] if member is not None and member.collection else None

    def change(self, object_id: str, **fields: object) -> None:
        """Give a directory object other values."""
        collection, found = self.find(object_id) or ("", {})
        derived = found.get("@odata.type", "").removeprefix("#")
        kept = {name: value for name, value in found.items() if not name.startswith("@")}
        self.add(f"{collection}/{derived}" if derived else collection, **{**kept, **fields})

    def find(self, object_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return a directory object with its collection, None where there is none with this id."""
        for collection in OBJECTS:
            found = self.objects.get(collection, {}).get(object_id)
            if found is not None:
                return collection, found
        return None

    def link(self, object_id: str, how: str, *others: str) -> None:
        """Make directory objects `owners`, `sponsors` or `members` of another one."""
        assert how in LINKS, f"{how} is no link that is served"
        self.links.setdefault((object_id, how), []).extend(others)

    # ---- what an estate is made of ----

    def application(self, name: str, created: datetime, *, owners: Iterable[str] = (), **fields: object) -> Application:
        """Register an application with its service principal; `fields` are of the application."""
        made = self.add("applications", displayName=name, createdDateTime=created, **fields)
        app_id = str(self.objects["applications"][made]["appId"])
        principal = self.add(
            "servicePrincipals",
            displayName=name,
            appDisplayName=name,
            appId=app_id,
            appOwnerOrganizationId=self.id,
            servicePrincipalNames=[app_id],
            createdByAppId=fields.get("createdByAppId"),
        )
        self.link(made, "owners", *owners)
        return Application(made, app_id, principal)

    def foreign(self, name: str, home: str, **fields: object) -> str:
        """Add the service principal of an application that another tenant published; returns its id."""
        given = {"signInAudience": "AzureADMultipleOrgs", "appDisplayName": name, **fields}
        return self.add("servicePrincipals", displayName=name, appOwnerOrganizationId=home, **given)

    def managed_identity(self, name: str, resource_id: str, **fields: object) -> str:
        """Add the service principal of a managed identity; `resource_id` is the Azure resource's. Returns the object id."""
        is_own = "/microsoft.managedidentity/userassignedidentities/" in resource_id.lower()
        given = {"alternativeNames": [f"isExplicit={is_own}", resource_id], "servicePrincipalType": "ManagedIdentity", **fields}
        made = self.add("servicePrincipals", displayName=name, **given)
        if is_own:
            app_id = self.objects["servicePrincipals"][made]["appId"]
            properties = {"principalId": made, "clientId": app_id, "tenantId": self.id}
            self.azure.add("resources", resource_id, properties=properties)
        return made

    def secret(self, object_id: str, start: datetime, end: datetime | None, *, name: str | None = None) -> str:
        """Add a client secret to an application or service principal; returns its keyId."""
        key_id = self.new_id("passwordCredentials")
        given = {"keyId": key_id, "displayName": name, "hint": "q~8", "startDateTime": start, "endDateTime": end}
        return self._credential(object_id, "passwordCredentials", {**given, "customKeyIdentifier": None, "secretText": None})

    def certificate(self, object_id: str, start: datetime, end: datetime | None, *, name: str | None = None) -> str:
        """Add a certificate to an application or service principal; returns its keyId."""
        key_id = self.new_id("keyCredentials")
        given = {"keyId": key_id, "displayName": name, "type": "AsymmetricX509Cert", "usage": "Verify", "startDateTime": start}
        return self._credential(object_id, "keyCredentials", {**given, "endDateTime": end, "customKeyIdentifier": None, "key": None})

    def federated(
        self,
        object_id: str,
        issuer: str,
        subject: str,
        *,
        name: str = "federated",
        audiences: Sequence[str] = ("api://AzureADTokenExchange",),
    ) -> str:
        """Let a subject of an outside issuer be an application or a managed identity; returns the credential's id."""
        collection, _ = self.find(object_id) or ("applications", {})
        path = f"{collection}/{object_id}/federatedIdentityCredentials"
        return self.add(path, issuer=issuer, subject=subject, name=name, audiences=list(audiences))

    def user(self, principal_name: str, created: datetime, *, last_sign_in: datetime | None = None, **fields: object) -> str:
        """Add a member of the tenant; without `last_sign_in` none is known. Returns the object id."""
        given: dict[str, object] = {"displayName": principal_name.partition("@")[0], "mail": principal_name, "creationType": None, **fields}
        if last_sign_in is not None:
            given["signInActivity"] = sign_in_activity(last_sign_in)
        return self.add("users", userPrincipalName=principal_name, createdDateTime=created, **given)

    def guest(
        self, mail: str, created: datetime, *, state: str = "Accepted", last_sign_in: datetime | None = None, **fields: object
    ) -> str:
        """Add a guest who was invited by mail; returns the object id."""
        name = f"{mail.replace('@', '_')}#EXT#@sandbox.onmicrosoft.com"
        identity = {"signInType": "federated", "issuer": "ExternalAzureAD", "issuerAssignedId": None}
        given = {
            "mail": mail,
            "userType": "Guest",
            "creationType": "Invitation",
            "identities": [identity],
            "externalUserState": state,
            **fields,
        }
        return self.user(name, created, last_sign_in=last_sign_in, externalUserStateChangeDateTime=created, **given)

    def microsoft_graph(self) -> str:
        """Return the object id of Microsoft Graph's own service principal, which comes into being by being asked for."""
        for made in self.objects.get("servicePrincipals", {}).values():
            if made["appId"] == GRAPH_APP:
                return str(made["id"])
        always = {"isEnabled": True, "origin": "Application", "allowedMemberTypes": ["Application"]}
        roles = [{"id": role, "value": name, "displayName": name, "description": name, **always} for name, role in APP_ROLES.items()]
        return self.foreign("Microsoft Graph", MICROSOFT, appId=GRAPH_APP, appRoles=roles)

    def app_role(self, principal_id: str, value: str, created: datetime, *, resource: str | None = None) -> str:
        """Grant an application permission, of Microsoft Graph or of a resource's object id; returns the assignment's id."""
        resource = resource or self.microsoft_graph()
        offering, holder = self.objects["servicePrincipals"][resource], (self.find(principal_id) or ("", {}))[1]
        role = next(role["id"] for role in offering["appRoles"] if role["value"] == value)
        return self.add(
            f"servicePrincipals/{resource}/appRoleAssignedTo",
            appRoleId=role,
            createdDateTime=created,
            principalId=principal_id,
            principalDisplayName=holder.get("displayName"),
            resourceId=resource,
            resourceDisplayName=offering["displayName"],
        )

    def delegated(self, client_id: str, scope: str, *, principal: str | None = None, resource: str | None = None) -> str:
        """Grant delegated permissions to a service principal, for one user or (None) for everyone; returns the grant's id."""
        consent = "AllPrincipals" if principal is None else "Principal"
        given = {"clientId": client_id, "consentType": consent, "principalId": principal, "scope": scope}
        return self.add("oauth2PermissionGrants", resourceId=resource or self.microsoft_graph(), **given)

    def directory_role(
        self, principal_id: str, role: str, *, eligible: bool = False, organization: str | None = None, **fields: object
    ) -> str:
        """Assign a built-in role by name, or make someone eligible for it.

        `organization` is the principal's tenant where it is another. Returns the id of the assignment or schedule.
        """
        given = {"principalId": principal_id, "roleDefinitionId": DIRECTORY_ROLES[role], **fields}
        if eligible:
            return self.add("roleManagement/directory/roleEligibilitySchedules", **given)
        return self.add("roleManagement/directory/roleAssignments", principalOrganizationId=organization or self.id, **given)

    def partner(
        self, tenant_id: str, *, service_provider: bool | None = None, roles: Sequence[str] | None = None, **fields: object
    ) -> None:
        """Trust another tenant in the cross-tenant access policy; `roles` are those that a service provider is limited to, by name."""
        partners = "policies/crossTenantAccessPolicy/partners"
        self.add(partners, tenantId=tenant_id, isServiceProvider=service_provider, **fields)
        if roles is not None:
            kind = "serviceProviderConstraints/microsoft.graph.delegatedAdminServiceProviderConstraints"
            self.add(f"{partners}/{tenant_id}/{kind}", allowedRoleTemplateIds=[DIRECTORY_ROLES[role] for role in roles])

    def signed_in(self, app_id: str, at: datetime) -> str:
        """Say in the (beta) report when an application last signed in."""
        activity = sign_in_activity(at)
        return self.add(
            "reports/servicePrincipalSignInActivities",
            appId=app_id,
            lastSignInActivity=activity,
            applicationAuthenticationClientSignInActivity=activity,
        )

    def credential_used(self, app: Application, key_id: str, at: datetime, *, certificate: bool = False, **fields: object) -> str:
        """Say in the (beta) report when a credential of an application was last used."""
        given = {
            "keyId": key_id,
            "keyType": "certificate" if certificate else "clientSecret",
            "keyUsage": "verify" if certificate else "sign",
            "credentialOrigin": "application",
            "signInActivity": sign_in_activity(at),
            **fields,
        }
        return self.add(
            "reports/appCredentialSignInActivities",
            appId=app.app_id,
            appObjectId=app.id,
            servicePrincipalObjectId=app.service_principal,
            **given,
        )

    def _credential(self, object_id: str, kind: str, credential: Mapping[str, object]) -> str:
        _, found = self.find(object_id) or ("", {})
        self.change(object_id, **{kind: [*found[kind], credential]})
        return str(credential["keyId"])


def kind_of(collection: str) -> Kind:
    """Return the kind of a collection, or of one inside an object. Raises KeyError."""
    return KINDS[collection] if collection in KINDS else CHILDREN[collection.rpartition("/")[2]]


def sign_in_activity(at: datetime) -> dict[str, Any]:
    """Write Graph's `signInActivity` of someone who last signed in at this time."""
    return {
        "lastSignInDateTime": _json(at),
        "lastSignInRequestId": "",
        "lastNonInteractiveSignInDateTime": None,
        "lastNonInteractiveSignInRequestId": None,
        "lastSuccessfulSignInDateTime": _json(at),
        "lastSuccessfulSignInRequestId": "",
    }


def _json(value: Any) -> Any:  # noqa: ANN401 -- any JSON value
    if isinstance(value, datetime):
        assert value.tzinfo is not None, "a time needs a zone"
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list | tuple) else value
