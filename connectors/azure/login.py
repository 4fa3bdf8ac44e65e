"""Gets tokens for one tenant: the SDK's own chain of credentials, without a browser, pinned to the tenant that is read."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from countersign.errors import ReadError, ScopeDeniedError
from countersign.revocation import ENVIRONMENT, RevocationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import AccessToken, TokenCredential

    from countersign.programme import AzureSource

TOKEN = "token"  # noqa: S105 -- the name of an operation
_JWT_PARTS = 3
_PROOF = (
    f"name its secret in {ENVIRONMENT}AZURE_CLIENT_SECRET, its certificate in {ENVIRONMENT}AZURE_CLIENT_CERTIFICATE_PATH, "
    f"or its token's file in {ENVIRONMENT}AZURE_FEDERATED_TOKEN_FILE"
)


def chain(source: AzureSource) -> TokenCredential:
    """Build the SDK's default chain (environment, workload identity, managed identity, developer tools) for the source's tenant.

    Raises ReadError when the authority is not reached over https.
    """
    # Slow to import, and needed for this provider only.
    from azure.identity import DefaultAzureCredential

    try:
        credential = DefaultAzureCredential(
            additionally_allowed_tenants=[source.tenant], exclude_interactive_browser_credential=True, **_options(source)
        )
    except ValueError as error:
        raise ReadError(TOKEN, f"source {source.name}: {error}") from error
    return _Pinned(credential, source.tenant)


def revoking(source: AzureSource, variables: Mapping[str, str]) -> TokenCredential:
    """Build what the revoking identity logs in with; `variables` have the SDK's own names (`AZURE_CLIENT_ID`, ...).

    Raises RevocationError where they name no identity, or what they name cannot be used.
    """
    # Slow to import, and needed for this provider only.
    from azure.identity import CertificateCredential, ClientSecretCredential, WorkloadIdentityCredential

    client, options = variables.get("AZURE_CLIENT_ID"), _options(source)
    if client is None:
        raise RevocationError(f"source {source.name}: there is no revoking identity", fix=f"set {ENVIRONMENT}AZURE_CLIENT_ID; {_PROOF}")
    try:
        if secret := variables.get("AZURE_CLIENT_SECRET"):
            return ClientSecretCredential(source.tenant, client, secret, **options)
        if path := variables.get("AZURE_CLIENT_CERTIFICATE_PATH"):
            password = variables.get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
            return CertificateCredential(source.tenant, client, path, password=password, **options)
        if path := variables.get("AZURE_FEDERATED_TOKEN_FILE"):
            return WorkloadIdentityCredential(tenant_id=source.tenant, client_id=client, token_file_path=path, **options)
    except (ValueError, OSError) as error:
        # The words of the error may quote the file.
        raise RevocationError(
            f"source {source.name}: the revoking identity's credentials cannot be used ({type(error).__name__})", fix=_PROOF
        ) from error
    raise RevocationError(f"source {source.name}: the revoking identity has no credentials", fix=_PROOF)


def _options(source: AzureSource) -> dict[str, Any]:
    """Return what every credential of the SDK is told: the authority, and whose certificate it shows."""
    from azure.identity import AzureAuthorityHosts

    microsofts = {AzureAuthorityHosts.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_GOVERNMENT, AzureAuthorityHosts.AZURE_CHINA}
    here = {"authority": source.authority, "disable_instance_discovery": (urlsplit(source.authority).hostname or "") not in microsofts}
    return here | ({"connection_verify": source.ca} if source.ca else {})


def owner(source: AzureSource, client: str, secret: str) -> TokenCredential:
    """Build what the owner of a client secret logs in with. Raises ValueError for what cannot be one."""
    from azure.identity import ClientSecretCredential

    return ClientSecretCredential(source.tenant, client, secret, **_options(source))


class _Pinned:
    """Asks for tokens of one tenant, whichever tenant the environment names: one reader may serve several tenants."""

    def __init__(self, credential: TokenCredential, tenant: str) -> None:
        self._credential = credential
        self._tenant = tenant

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 -- azure-core's protocol
        options["tenant_id"] = self._tenant
        return self._credential.get_token(*scopes, **options)


def claims(credential: TokenCredential, audience: str) -> Mapping[str, Any]:
    """Get a first token and return what it says of itself; empty when it is not a JWT that can be read.

    Nothing is verified here and nothing is granted by it: it only names the caller. Raises ScopeDeniedError when the
    authority refuses, ReadError when it cannot be reached.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        token = credential.get_token(f"{audience}/.default").token
    except ClientAuthenticationError as error:
        raise ScopeDeniedError(TOKEN, refusal(error)) from error
    except (AzureError, ValueError) as error:
        raise ReadError(TOKEN, f"the authority did not give one: {refusal(error)}") from error
    except OSError as error:  # what requests raises, unwrapped, when the file is not there
        raise ReadError(TOKEN, f"the file of `ca` cannot be used: {error}") from error
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return {}
    try:
        said = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def refusal(error: Exception) -> str:
    """Say why there is no token in one line: Entra's own code and sentence where there is one."""
    said = " ".join(str(error).split())
    found = re.search(r"AADSTS\d+: .*?(?= Trace ID:|$)", said)
    line = found[0] if found else said
    return "".join(c if c.isprintable() else "?" for c in line)[:300]
