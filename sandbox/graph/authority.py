"""The token authority of the stand-in: discovery and the client credentials grant (RFC 6749, 4.4; RFC 7523), with Entra's errors."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import uuid4

from sandbox.graph.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.graph.tenant import SandboxTenant
    from sandbox.graph.wire import Asked

LIVES_S = 3599
GRAPH, ARM = "graph", "arm"
_AUDIENCES: Mapping[str, frozenset[str]] = {
    "https://graph.microsoft.com": frozenset({GRAPH}),
    "https://management.azure.com": frozenset({ARM}),
    "https://management.core.windows.net": frozenset({ARM}),
}
_JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_PARTS = 3
_SIGNATURE = 256
"""Bytes of a signature with an RSA key of 2,048 bits."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token is good for."""

    tenant: str
    client: str
    audiences: frozenset[str]
    expires: float
    """Seconds since 1970."""


class Authority:
    """Issues tokens and knows them again."""

    def __init__(self) -> None:
        self.lives_s = LIVES_S
        self._tokens: dict[str, Token] = {}

    def find(self, header: str) -> Token | None:
        """Return what the token of an `Authorization` header is good for; None where there is none that is still good."""
        scheme, _, text = header.partition(" ")
        token = self._tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        return token if token is not None and token.expires > time.time() else None

    def expire(self) -> None:
        """Let every token that was issued so far run out."""
        self._tokens.clear()

    def answer(self, address: str, tenant: SandboxTenant | None, asked: Asked) -> Answer:
        """Answer for discovery and the token endpoint of a tenant, None for one that is not known."""
        name = asked.path.strip("/").split("/")[0]
        if tenant is None:
            return _refused(400, "invalid_request", 90002, f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID.")
        if asked.path.endswith("/.well-known/openid-configuration"):
            return Answer(200, _discovery(f"{address}/{tenant.id}"))
        if not asked.path.endswith("/oauth2/v2.0/token") or asked.method != "POST":
            return Answer(404)
        form = dict(parse_qsl(asked.body.decode(errors="replace"), keep_blank_values=True))
        return self._token(address, tenant, form)

    def _token(self, address: str, tenant: SandboxTenant, form: Mapping[str, str]) -> Answer:
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        client = form.get("client_id", "")
        known = {**tenant.readers, **tenant.revokers}
        refused = _unproven(form) or (_wrong_secret(form, {known[client]}) if client in known else _signed_in(tenant, client, form))
        if refused is not None:
            return refused
        resource, default, _ = form.get("scope", "").rpartition("/.default")
        # One address serves both APIs here, so a token for it is good for both. Microsoft's own names are told apart, and the
        # address by its other name is Resource Manager's only.
        here = {address: frozenset({GRAPH, ARM}), address.replace("127.0.0.1", "localhost"): frozenset({ARM})}
        audiences = {**_AUDIENCES, **here}.get(resource.rstrip("/"))
        if not default or audiences is None:
            message = (
                f"The provided request must include a 'scope' input parameter. The provided value '{form.get('scope', '')}' is not valid."
            )
            return _refused(400, "invalid_scope", 70011, message)
        expires = time.time() + self.lives_s
        roles = sorted(tenant.granted(client)) if GRAPH in audiences else []
        text = _token_text({
            "aud": resource, "iss": f"{address}/{tenant.id}/", "tid": tenant.id, "appid": client, "oid": client, "idtyp": "app",
            "app_displayname": "countersign-reader", "roles": roles, "exp": int(expires),
        })  # fmt: skip
        self._tokens[text] = Token(tenant.id, client, audiences, expires)
        body = {"token_type": "Bearer", "expires_in": self.lives_s, "ext_expires_in": self.lives_s, "access_token": text}
        return Answer(200, body, {"Cache-Control": "no-store"})


def _unproven(form: Mapping[str, str]) -> Answer | None:
    """Return the refusal of a form that proves nothing, None for one with a secret or an assertion."""
    if "client_assertion" in form:
        if form.get("client_assertion_type") != _JWT_ASSERTION or not _well_formed(form["client_assertion"]):
            return _refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
    elif "client_secret" not in form:
        message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        return _refused(401, "invalid_client", 7000218, message)
    return None


def _wrong_secret(form: Mapping[str, str], good: set[str]) -> Answer | None:
    if "client_assertion" in form or form["client_secret"] in good:
        return None
    message = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value."
    return _refused(401, "invalid_client", 7000215, message)


def _signed_in(tenant: SandboxTenant, client: str, form: Mapping[str, str]) -> Answer | None:
    """Return why an application of the directory gets no token; None where it does."""
    principals = [each for each in tenant.objects.get("servicePrincipals", {}).values() if each["appId"] == client]
    applications = [each for each in tenant.objects.get("applications", {}).values() if each["appId"] == client]
    if not principals:
        message = f"Application with identifier '{client}' was not found in the directory '{tenant.id}'."
        return _refused(400, "unauthorized_client", 700016, message)
    if any(each["accountEnabled"] is False for each in principals) or any(each["isDisabled"] for each in (*principals, *applications)):
        return _refused(400, "unauthorized_client", 7000112, f"Application '{client}'({principals[0]['displayName']}) is disabled.")
    if "client_assertion" in form:
        return _foreign_token(tenant, (*applications, *principals), form["client_assertion"])
    now = f"{tenant.clock():%Y-%m-%dT%H:%M:%SZ}"
    listed = [each for found in (*principals, *applications) for each in found["passwordCredentials"]]
    late = {tenant.secret_texts.get(each["keyId"], "") for each in listed if (each["endDateTime"] or "9999") < now}
    if form["client_secret"] in late - {""}:
        return _refused(401, "invalid_client", 7000222, f"The provided client secret keys for app '{client}' are expired.")
    return _wrong_secret(form, {tenant.secret_texts[each["keyId"]] for each in listed if each["keyId"] in tenant.secret_texts})


def _foreign_token(tenant: SandboxTenant, found: Iterable[Mapping[str, Any]], assertion: str) -> Answer | None:
    """Return the refusal of an assertion that no certificate and no federated credential stands for; signatures are not checked."""
    payload = assertion.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    for each in found:
        if said.get("iss") == each["appId"] and each["keyCredentials"]:
            return None
        for collection in ("applications", "servicePrincipals"):
            trusted = tenant.objects.get(f"{collection}/{each['id']}/federatedIdentityCredentials", {}).values()
            if any((one["issuer"], one["subject"]) == (said.get("iss"), said.get("sub")) for one in trusted):
                return None
    message = f"No matching federated identity record found for presented assertion subject '{said.get('sub')}'."
    return _refused(401, "invalid_client", 700213, message)


def _token_text(claims: Mapping[str, object]) -> str:
    """Write a token that looks like Entra's, a signed JWT; the signature is of nothing, since only we know our tokens again."""
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, secrets.token_bytes(_SIGNATURE)))


def _discovery(issuer: str) -> dict[str, Any]:
    return {
        "issuer": f"{issuer}/v2.0",
        "authorization_endpoint": f"{issuer}/oauth2/v2.0/authorize",
        "token_endpoint": f"{issuer}/oauth2/v2.0/token",
        "jwks_uri": f"{issuer}/discovery/v2.0/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "tenant_region_scope": None,
    }


def _refused(status: int, error: str, code: int, message: str) -> Answer:
    now, trace = datetime.now(UTC), str(uuid4())
    description = f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {now:%Y-%m-%d %H:%M:%SZ}"
    body = {
        "error": error,
        "error_description": description,
        "error_codes": [code],
        "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
        "trace_id": trace,
        "correlation_id": trace,
    }
    return Answer(status, body, {"Cache-Control": "no-store"})


def _well_formed(text: str) -> bool:
    """Say whether a text is three parts of base64url with JSON objects in the first two (RFC 7519, 3)."""
    parts = text.split(".")
    try:
        objects = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2]]
    except (binascii.Error, ValueError):
        return False
    return len(parts) == _JWT_PARTS and all(isinstance(each, dict) for each in objects) and bool(parts[2])
