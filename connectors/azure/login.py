"""Gets tokens for one tenant: the SDK's own chain of credentials, without a browser, pinned to the tenant that is read."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from countersign.errors import ReadError, ScopeDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import AccessToken, TokenCredential

    from countersign.programme import AzureSource

TOKEN = "token"  # noqa: S105 -- the name of an operation
_JWT_PARTS = 3


def chain(source: AzureSource) -> TokenCredential:
    """Build the SDK's default chain (environment, workload identity, managed identity, developer tools) for the source's tenant.

    Raises ReadError when the authority is not reached over https.
    """
    # Slow to import, and needed for this provider only.
    from azure.identity import AzureAuthorityHosts, DefaultAzureCredential

    host = urlsplit(source.authority).hostname or ""
    microsofts = {AzureAuthorityHosts.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_GOVERNMENT, AzureAuthorityHosts.AZURE_CHINA}
    options: dict[str, Any] = {"connection_verify": source.ca} if source.ca else {}
    try:
        credential = DefaultAzureCredential(
            authority=source.authority,
            additionally_allowed_tenants=[source.tenant],
            exclude_interactive_browser_credential=True,
            disable_instance_discovery=host not in microsofts,
            **options,
        )
    except ValueError as error:
        raise ReadError(TOKEN, f"source {source.name}: {error}") from error
    return _Pinned(credential, source.tenant)


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
