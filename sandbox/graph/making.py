"""What Graph makes for an identity that drills: applications, client secrets and service principals."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from countersign.clock import instant
from sandbox.graph.directory import Refusal
from sandbox.graph.kinds import KINDS
from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from sandbox.graph.tenant import SandboxTenant
    from sandbox.graph.writing import Body

_MAKERS = frozenset({"Application.ReadWrite.OwnedBy", "Application.ReadWrite.All"})
_YEARS = timedelta(days=730)
"""How long a client secret lasts of which nobody says it."""


def _application(tenant: SandboxTenant, body: Body) -> Answer:
    if not body.get("displayName"):
        raise Refusal(400, "Request_BadRequest", "Property 'displayName' is required.")
    return _created(tenant, "applications", createdDateTime=tenant.clock(), **body)


def _principal(tenant: SandboxTenant, body: Body) -> Answer:
    app_id = body.get("appId")
    found = next((each for each in tenant.objects.get("applications", {}).values() if each["appId"] == app_id), None)
    if found is None:
        raise Refusal(
            400, "NoBackingApplicationObject", f"The appId '{app_id}' of the service principal does not reference an application."
        )
    if any(each["appId"] == app_id for each in tenant.objects.get("servicePrincipals", {}).values()):
        raise Refusal(409, "Request_MultipleObjectsWithSameKeyValue", "The service principal cannot be created: it is there already.")
    names = {"displayName": found["displayName"], "appDisplayName": found["displayName"], "servicePrincipalNames": [app_id]}
    return _created(tenant, "servicePrincipals", appOwnerOrganizationId=tenant.id, **names, **body)


def _password(tenant: SandboxTenant, body: Body, key: str) -> Answer:
    if key not in tenant.objects.get("applications", {}):
        raise Refusal(404, "Request_ResourceNotFound", f"Resource '{key}' does not exist.")
    asked, now = body.get("passwordCredential") or {}, tenant.clock()
    end = instant(asked["endDateTime"]) if "endDateTime" in asked else now + _YEARS
    key_id = tenant.secret(key, now, end, name=asked.get("displayName"))
    made = next(each for each in tenant.objects["applications"][key]["passwordCredentials"] if each["keyId"] == key_id)
    # The text is told this once.
    about = {"@odata.context": f"{tenant.address}/v1.0/$metadata#microsoft.graph.passwordCredential"}
    return Answer(200, {**about, **made, "secretText": tenant.secret_text(key_id)})


def _created(tenant: SandboxTenant, collection: str, **fields: object) -> Answer:
    made = tenant.add(collection, **fields)
    return Answer(201, {"@odata.context": f"{tenant.address}/v1.0/$metadata#{collection}/$entity", **tenant.objects[collection][made]})


ROUTES = (
    ("POST", "applications", _MAKERS, _application, KINDS["applications"].type),
    ("POST", "servicePrincipals", _MAKERS, _principal, KINDS["servicePrincipals"].type),
    ("POST", r"applications/([0-9a-fA-F-]{36})/addPassword", _MAKERS, _password, "passwordCredential"),
)
"""As in `sandbox.graph.writing`: method, path, permissions, what is done, and the type of what is answered."""
