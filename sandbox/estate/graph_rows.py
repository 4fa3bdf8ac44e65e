"""Applications, service principals and their credentials as Microsoft Graph writes them, with ids that follow from their names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from countersign.clock import stamp
from sandbox.estate.places import guid

Row = dict[str, Any]


def secret(now: datetime, app: str, number: int, *, age: float, life: float) -> Row:
    """Write the metadata of a client secret; `age` and `life` in days."""
    start = now - timedelta(days=age)
    return {
        "customKeyIdentifier": None,
        "displayName": f"{app} {number}",
        "endDateTime": stamp(start + timedelta(days=life)),
        "hint": None,
        "keyId": guid(f"secret/{app}/{number}"),
        "secretText": None,
        "startDateTime": stamp(start),
    }


def certificate(now: datetime, app: str, *, age: float, life: float, usage: str = "Verify") -> Row:
    """Write the metadata of a certificate; `age` and `life` in days."""
    start = now - timedelta(days=age)
    return {
        "customKeyIdentifier": None,
        "displayName": f"CN={app}",
        "endDateTime": stamp(start + timedelta(days=life)),
        "key": None,
        "keyId": guid(f"certificate/{app}/{usage}"),
        "startDateTime": stamp(start),
        "type": "X509CertAndPassword" if usage == "Sign" else "AsymmetricX509Cert",
        "usage": usage,
    }


def application(now: datetime, slug: str, name: str, *, age: float, secrets: tuple[Row, ...] = (), **fields: Any) -> Row:  # noqa: ANN401 -- Graph's own values
    """Write an application that was registered in the tenant `age` days ago."""
    return {
        "id": guid(f"application/{slug}"),
        "appId": guid(f"app/{slug}"),
        "displayName": name,
        "createdDateTime": stamp(now - timedelta(days=age)),
        "isDisabled": None,
        "signInAudience": "AzureADMyOrg",
        "notes": None,
        "tags": [],
        "passwordCredentials": list(secrets),
        "keyCredentials": [],
    } | fields


def principal(slug: str, name: str, publisher: str | None, **fields: Any) -> Row:  # noqa: ANN401 -- Graph's own values
    """Write the service principal of an application that the tenant `publisher` registered; None: of a managed identity."""
    return {
        "id": guid(f"principal/{slug}"),
        "appId": guid(f"app/{slug}"),
        "displayName": name,
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": publisher,
        "createdByAppId": None,
        "alternativeNames": [],
        "notes": None,
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
        "passwordCredentials": [],
        "keyCredentials": [],
    } | fields
