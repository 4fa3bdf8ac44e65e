"""Which call says which field, per kind of record."""

from __future__ import annotations

CALLS: tuple[tuple[str, str, str], ...] = (
    ("application", "*", "GET /applications"),
    ("application", "last_active_at", "GET /beta/reports/servicePrincipalSignInActivities"),
    ("certificate", "*", "GET /applications or GET /servicePrincipals"),
    ("certificate", "last_used_at", "GET /beta/reports/appCredentialSignInActivities"),
    ("client-secret", "*", "GET /applications or GET /servicePrincipals"),
    ("client-secret", "last_used_at", "GET /beta/reports/appCredentialSignInActivities"),
    (
        "federated-credential",
        "*",
        "GET /applications/<id>/federatedIdentityCredentials or GET /servicePrincipals/<id>/federatedIdentityCredentials",
    ),
    ("foreign-principal", "*", "GET /roleManagement/directory/roleAssignments or Resource Graph: roleassignments"),
    ("lighthouse-delegation", "*", "Resource Graph: registrationassignments"),
    ("partner-tenant", "*", "GET /policies/crossTenantAccessPolicy/partners"),
    ("partner-tenant", "enabled", "GET /policies/crossTenantAccessPolicy/partners and /default"),
    ("service-principal", "*", "GET /servicePrincipals"),
    ("service-principal", "created_at", "GET /servicePrincipals/microsoft.graph.agentIdentity"),
    ("service-principal", "last_active_at", "GET /beta/reports/servicePrincipalSignInActivities"),
    ("service-principal", "tags", "GET /servicePrincipals and Resource Graph: userassignedidentities"),
    ("user", "*", "GET /users"),
)
"""(kind, field, call)."""
