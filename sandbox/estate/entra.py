"""Seeds Northwind's directory: its people and guests, the applications it registered, and those that partners and strangers publish."""

from __future__ import annotations

from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from sandbox.estate.graph_rows import application, certificate, principal, secret
from sandbox.estate.places import (
    ACME_ISSUER,
    ACME_TENANT,
    BRIGHTPATH_TENANT,
    CANARY,
    CORVID_TENANT,
    HOSTILE_FORMULA,
    STRANGER_ISSUER,
    STRANGER_TENANT,
    TENANT,
    guid,
)  # fmt: skip
from sandbox.graph import sign_in_activity

if TYPE_CHECKING:
    from sandbox.estate.graph_rows import Row
    from sandbox.graph import SandboxTenant

CORVID_AGENTS = guid("corvid/admin agents")
"""A group of Corvid's that holds a role here and is no object of this directory (granular delegated administration)."""


def seed(tenant: SandboxTenant, now: datetime) -> None:
    """Write the directory; ages are relative to `now` (UTC)."""
    _people(tenant, now)
    _applications(tenant, now)
    _published_elsewhere(tenant, now)
    _managed_identities(tenant, now)
    _permissions(tenant, now)
    _roles(tenant)
    _sign_ins(tenant, now)


def reader(tenant: SandboxTenant) -> dict[str, str]:
    """Give the environment in which the application that reads the directory for Northwind logs in; it holds a secret."""
    client = guid("app/countersign")
    return {"AZURE_TENANT_ID": tenant.id, "AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": tenant.readers[client]}


def _people(tenant: SandboxTenant, now: datetime) -> None:
    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    for name, age, used in (("maria", 1600, 0.4), ("devika", 1600, 0.2), ("sam", 720, 1)):
        tenant.user(f"{name}@northwind.example", ago(age), id=guid(f"user/{name}"), last_sign_in=ago(used))
    tenant.guest("pavel@acme.example", ago(400), id=guid("user/pavel"), displayName="Pavel Novak", last_sign_in=ago(1))
    tenant.guest("ines@acme.example", ago(12), id=guid("user/ines"), displayName="Ines Okoye", state="PendingAcceptance")
    tenant.guest("lena@brightpath.example", ago(900), id=guid("user/lena"), displayName="Lena Fuchs", last_sign_in=ago(131))
    tenant.guest("j.larsen@corvid.example", ago(1480), id=guid("user/larsen"), displayName="Jens Larsen", last_sign_in=ago(21))
    tenant.guest("k.moss@corvid.example", ago(1300), id=guid("user/moss"), displayName="Kay Moss", accountEnabled=False)


def _registered(tenant: SandboxTenant, row: Row, *owners: str, **principal_fields: object) -> None:
    """Add an application with its service principal; `owners` are names of people."""
    slug_of = {"id": guid(f"principal/{row['appId']}"), "appId": row["appId"]}
    tenant.add("applications", **row)
    made = principal("", row["displayName"], TENANT) | slug_of | {"createdByAppId": row.get("createdByAppId")} | principal_fields
    tenant.add("servicePrincipals", **made)
    tenant.link(row["id"], "owners", *(guid(f"user/{name}") for name in owners))


def _applications(tenant: SandboxTenant, now: datetime) -> None:
    def secret_of(app: str, number: int, *, age: float, life: float) -> Row:
        return secret(now, app, number, age=age, life=life)

    acme, brightpath, corvid = (["partner:" + name] for name in ("acme", "brightpath", "corvid"))
    backup = application(
        now, "acme-backup", "Acme Backup Console", age=420, tags=acme, notes="Restores of the order database",
        secrets=(secret_of("acme-backup", 1, age=30, life=180),),
    )  # fmt: skip
    _registered(tenant, backup, "devika")
    pipeline = application(now, "acme-pipeline", "Acme Pipeline", age=200, tags=acme, createdByAppId=guid("app/acme-portal"))
    _registered(tenant, pipeline, "devika")
    loader = application(
        now, "brightpath-loader", "Brightpath Loader", age=800, tags=brightpath,
        secrets=(secret_of("brightpath-loader", 1, age=120, life=365),),
    )  # fmt: skip
    _registered(tenant, loader, "lena")
    expired = secret_of("corvid-provisioning", 1, age=400, life=365) | {"secretText": CANARY}
    provisioning = application(
        now, "corvid-provisioning", "Corvid Provisioning", age=1490, tags=corvid,
        secrets=(expired, secret_of("corvid-provisioning", 2, age=390, life=3650)),
    )  # fmt: skip
    _registered(tenant, provisioning, "larsen")
    builder = application(now, "corvid-builder", "Corvid Builder", age=700, tags=corvid, createdByAppId=guid("app/corvid-provisioning"))
    _registered(tenant, builder)
    payroll = application(
        now, "payroll-sync", "Payroll Sync", age=600, tags=["owner:devika"], notes="Feeds payroll from the directory",
        keyCredentials=[certificate(now, "payroll-sync", age=60, life=365)],
        secrets=(secret_of("payroll-sync", 2, age=200, life=365),),
    )  # fmt: skip
    _registered(tenant, payroll, "devika")
    _registered(tenant, application(now, "calc", HOSTILE_FORMULA, age=12, secrets=(secret_of("calc", 1, age=12, life=90),)))
    archive = application(
        now, "archive-export", "Archive Export", age=1400, isDisabled=True, secrets=(secret_of("archive-export", 1, age=1400, life=3650),)
    )
    _registered(tenant, archive, accountEnabled=False)
    _registered(tenant, application(now, "timesheets", "Timesheets", age=1100), "sam", **_single_sign_on(now))
    ours = application(
        now, "countersign", "Countersign Reader", age=300, tags=["owner:maria"], secrets=(secret_of("countersign", 1, age=20, life=180),)
    )
    _registered(tenant, ours, "maria")
    tenant.readers[ours["appId"]] = token_urlsafe(24)
    tenant.federated(guid("application/acme-pipeline"), ACME_ISSUER, "pipeline:northwind-shop", name="acme-pipeline")
    tenant.federated(guid("application/corvid-builder"), STRANGER_ISSUER, "job:northwind-nightly", name="build-farm")


def _single_sign_on(now: datetime) -> Row:
    """Give what a SAML application has: a signing certificate that is listed twice, and its password."""
    pair = [
        certificate(now, "timesheets", age=1135, life=1095, usage=usage) | {"customKeyIdentifier": "VGltZXNoZWV0cw=="}
        for usage in ("Sign", "Verify")
    ]
    password = secret(now, "timesheets", 1, age=1135, life=1095) | {"customKeyIdentifier": "VGltZXNoZWV0cw==", "displayName": None}
    return {
        "preferredSingleSignOnMode": "saml",
        "notificationEmailAddresses": ["sam@northwind.example"],
        "keyCredentials": pair,
        "passwordCredentials": [password],
    }


def _published_elsewhere(tenant: SandboxTenant, now: datetime) -> None:
    del now
    for slug, name, publisher, fields in (
        ("acme-portal", "Acme Operations Portal", ACME_TENANT, {}),
        ("brightpath-analytics", "Brightpath Analytics", BRIGHTPATH_TENANT, {}),
        ("corvid-insight", "Corvid Insight", CORVID_TENANT, {"createdByAppId": guid("app/corvid-provisioning")}),
        ("corvid-mailer", "Corvid Mailer", CORVID_TENANT, {}),
        ("corvid-trial", "Corvid Forecast Trial", CORVID_TENANT, {}),
        ("shiptrack", "ShipTrack Connector", STRANGER_TENANT, {}),
        ("old-crm", "Old CRM Bridge", STRANGER_TENANT, {"accountEnabled": False}),
    ):
        tenant.add("servicePrincipals", **principal(slug, name, publisher, signInAudience="AzureADMultipleOrgs", **fields))


def _managed_identities(tenant: SandboxTenant, now: datetime) -> None:
    group = f"/subscriptions/{guid('subscription/northwind-prod')}/resourcegroups/orders/providers"
    site = f"{group}/Microsoft.Web/sites/func-orders-prod"
    rotated = certificate(now, "func-orders-prod", age=20, life=90)
    kind = {"servicePrincipalType": "ManagedIdentity"}
    names = {"alternativeNames": ["isExplicit=False", site], "keyCredentials": [rotated]}
    tenant.add("servicePrincipals", **principal("func-orders-prod", "func-orders-prod", None, **kind, **names))
    resource = f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/id-acme-runner"
    made = principal("acme-runner", "id-acme-runner", None, **kind, alternativeNames=["isExplicit=True", resource])
    tenant.add("servicePrincipals", **made)
    properties = {"principalId": made["id"], "clientId": made["appId"], "tenantId": TENANT}
    tenant.azure.add("resources", resource, properties=properties, tags={"partner": "acme", "owner": "devika"})
    tenant.federated(made["id"], ACME_ISSUER, "pipeline:northwind-infra", name="acme-infra")


def principal_of(app: str) -> str:
    """Give the object id of the service principal of an application that is registered here."""
    return guid(f"principal/{guid(f'app/{app}')}")


def _permissions(tenant: SandboxTenant, now: datetime) -> None:
    """Grant applications what they may do without a person, and in everybody's name."""

    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    tenant.app_role(guid("principal/acme-portal"), "User.Read.All", ago(300))
    tenant.app_role(guid("principal/brightpath-analytics"), "Mail.Read", ago(800))
    tenant.app_role(guid("principal/corvid-insight"), "Directory.ReadWrite.All", ago(1000))
    tenant.app_role(principal_of("corvid-provisioning"), "RoleManagement.ReadWrite.Directory", ago(1490))
    tenant.app_role(principal_of("corvid-provisioning"), "Application.ReadWrite.All", ago(1490))
    tenant.app_role(principal_of("payroll-sync"), "User.Read.All", ago(600))
    for permission in ("Directory.Read.All", "Policy.Read.All", "AuditLog.Read.All"):
        tenant.app_role(principal_of("countersign"), permission, ago(300))
    tenant.delegated(guid("principal/corvid-mailer"), "Mail.Read Directory.AccessAsUser.All")
    tenant.delegated(guid("principal/shiptrack"), "User.Read offline_access Mail.Read")
    tenant.delegated(guid("principal/acme-portal"), "User.Read", principal=guid("user/devika"))


def _roles(tenant: SandboxTenant) -> None:
    """Assign directory roles, and say which tenants are trusted as a whole."""
    tenant.directory_role(guid("user/maria"), "Global Administrator")
    tenant.directory_role(guid("user/devika"), "Application Administrator", eligible=True)
    tenant.directory_role(guid("user/pavel"), "Global Reader")
    tenant.directory_role(guid("user/larsen"), "Global Administrator")
    tenant.directory_role(guid("user/moss"), "User Administrator")
    tenant.directory_role(CORVID_AGENTS, "Privileged Role Administrator", organization=CORVID_TENANT)
    tenant.partner(CORVID_TENANT, service_provider=True)
    tenant.partner(
        ACME_TENANT,
        b2bCollaborationInbound={
            "usersAndGroups": {"accessType": "allowed", "targets": [{"target": guid("acme/operators"), "targetType": "group"}]},
            "applications": {"accessType": "allowed", "targets": [{"target": "AllApplications", "targetType": "application"}]},
        },
    )


def _sign_ins(tenant: SandboxTenant, now: datetime) -> None:
    """Fill the (beta) reports; who is not in them has not been seen. Corvid's trial has never signed in."""

    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    for app, days in (
        ("acme-backup", 0.6), ("acme-pipeline", 0.3), ("acme-portal", 0.2), ("acme-runner", 0.4), ("brightpath-analytics", 9),
        ("brightpath-loader", 2), ("corvid-provisioning", 3), ("corvid-builder", 1), ("corvid-insight", 203), ("corvid-mailer", 5),
        ("shiptrack", 4), ("payroll-sync", 0.8), ("timesheets", 1), ("func-orders-prod", 0.1), ("calc", 11),
        ("countersign", 1),
    ):  # fmt: skip
        tenant.signed_in(guid(f"app/{app}"), ago(days))
    for app, number, days in (
        ("acme-backup", 1, 0.6), ("brightpath-loader", 1, 2), ("corvid-provisioning", 2, 3), ("payroll-sync", 2, 130), ("calc", 1, 11),
        ("countersign", 1, 1),
    ):  # fmt: skip
        _used(tenant, app, guid(f"secret/{app}/{number}"), ago(days), "clientSecret")
    _used(tenant, "payroll-sync", guid("certificate/payroll-sync/Verify"), ago(0.8), "certificate")


def _used(tenant: SandboxTenant, app: str, key_id: str, at: datetime, kind: str) -> None:
    tenant.add(
        "reports/appCredentialSignInActivities",
        appId=guid(f"app/{app}"),
        appObjectId=guid(f"application/{app}"),
        servicePrincipalObjectId=principal_of(app),
        keyId=key_id,
        keyType=kind,
        keyUsage="verify" if kind == "certificate" else "sign",
        credentialOrigin="application",
        signInActivity=sign_in_activity(at),
    )
