"""Tries an old client secret as its owner would: it asks the authority for a token, and throws away what it gets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from connectors.azure.login import owner, refusal
from connectors.azure.revoking_calls import found
from countersign.fields import guid, rows
from countersign.revocation import Tried

if TYPE_CHECKING:
    from connectors.azure.visit import Visit
    from countersign.programme import AzureSource

_CALL = "POST /{tenant}/oauth2/v2.0/token (client_credentials)"
_REFUSALS = frozenset({"7000215", "7000222", "7000112", "700016", "7000229"})
"""Entra's codes for a wrong or removed secret, an expired one, a disabled application, one that is gone, one without a principal here."""
_COLLECTIONS = {"application": "applications", "service-principal": "servicePrincipals"}
_CODE = re.compile(r"AADSTS(\d+)")


def attempt(source: AzureSource, visit: Visit, uid: str, secret: str) -> Tried:
    """Try the secret of a client secret's uid, or of its identity's.

    `secret` is the secret's value, or JSON with `clientId` and `clientSecret`: once a secret was removed, nothing says any more whose
    it was. Raises Refusal, ReadError where the owner cannot be looked up.
    """
    kind, _, native_id = uid.removeprefix(visit.uid("", "").rstrip("/")).partition("/")
    if kind not in {"client-secret", *_COLLECTIONS}:
        return Tried(
            None, _CALL, f"what signs in with a {kind} is a private key, a person or another issuer, and none of them is asked for"
        )
    client, value = _parts(secret)
    if client is None:
        client = _client(visit, kind, native_id)
    if client is None:
        return Tried(None, _CALL, "no application lists it any more; give the secret as JSON with clientId and clientSecret")
    return _asked(source, client, value)


def _parts(secret: str) -> tuple[str | None, str]:
    try:
        said = json.loads(secret)
    except ValueError:
        return None, secret
    if not isinstance(said, dict) or not isinstance(said.get("clientSecret"), str):
        return None, secret
    return guid(said, "clientId"), said["clientSecret"]


def _client(visit: Visit, kind: str, native_id: str) -> str | None:
    """Return the app id that a secret is good for."""
    graph = visit.door.graph
    if kind in _COLLECTIONS:
        row = found(graph, f"/v1.0/{_COLLECTIONS[kind]}/{native_id}?$select=id,appId")
        return None if row is None else guid(row, "appId")
    for collection in _COLLECTIONS.values():
        for page in graph.pages(f"/v1.0/{collection}?$select=id,appId,passwordCredentials&$top=999"):
            for row in page:
                if any(guid(each, "keyId") == native_id for each in rows(row, "passwordCredentials") or ()):
                    return guid(row, "appId")
    return None


def _asked(source: AzureSource, client: str, secret: str) -> Tried:
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        owner(source, client, secret).get_token(f"{source.graph.rstrip('/')}/.default")
    except ClientAuthenticationError as error:
        said = refusal(error)
        code = _CODE.search(said)
        # Another refusal may have another reason, such as a rule of conditional access or too many tries.
        return Tried(True if code is not None and code[1] in _REFUSALS else None, _CALL, _without(said, secret))
    except (AzureError, ValueError, OSError) as error:
        return Tried(None, _CALL, f"the authority gave no answer: {type(error).__name__}")
    return Tried(False, _CALL, "it gave a token")  # noqa: FBT003 -- the field's name says it


def _without(said: str, secret: str) -> str:
    return said.replace(secret, "***") if secret else said
