"""Who writes: the revoking identity's credentials, apart from the reader's; and old keys, tried as their owner would."""

from __future__ import annotations

import json
import os
import re
import warnings
from typing import TYPE_CHECKING, Any

from connectors.gcp.door import Door, application_default, tokens
from countersign.errors import ReadError
from countersign.revocation import RevocationError, Tried, environment

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from countersign.programme import GcpSource

FILE = "GOOGLE_APPLICATION_CREDENTIALS"
GOOGLES = "https://oauth2.googleapis.com/token"
CALL = "oauth2.token (JWT bearer, RFC 7523)"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_IMPERSONATE = "{}/v1/projects/-/serviceAccounts/{}:generateAccessToken"
_REFUSALS = frozenset({"invalid_grant", "unauthorized_client", "invalid_client", "disabled_client", "deleted_client"})
_SUBJECT = re.compile(r"gcp:.+:(service-account|service-account-key)/([0-9A-Za-z_-]{1,100})")
_LONGEST = 300


def writing_door(source: GcpSource) -> Door:
    """Enter a source as the identity that revokes; raises RevocationError where there is none, ReadError where Google refuses it."""
    return Door(source, credentials=lambda: revoking_credentials(source))


def revoking_credentials(source: GcpSource) -> Credentials:
    """Load the revoking identity: the file named in the environment, or `revoke_account`, impersonated by it or by the reader.

    Raises RevocationError.
    """
    from google.auth import impersonated_credentials
    from google.auth.exceptions import GoogleAuthError

    path = environment(os.environ).get(FILE)
    if path is None and source.revoke_account is None:
        fix = f"set COUNTERSIGN_REVOKE_{FILE} to its file, or `revoke_account` of the source {source.name} to an account it may impersonate"
        raise RevocationError("there is no identity to revoke with", fix=fix)
    try:
        base = application_default(tokens(source)) if path is None else _of_file(path)
        if source.revoke_account is None:
            return base
        return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call] # google-auth has no types
            base,
            target_principal=source.revoke_account,
            target_scopes=list(_SCOPES),
            delegates=[],
            iam_endpoint_override=_IMPERSONATE.format(source.rest.rstrip("/"), source.revoke_account) if source.rest else None,
        )
    except (GoogleAuthError, OSError, ValueError, ReadError) as error:
        said = " ".join(str(error).split())[:_LONGEST]
        raise RevocationError(
            f"the revoking identity's credentials cannot be used: {said}", fix=f"see COUNTERSIGN_REVOKE_{FILE}"
        ) from error


def _of_file(path: str) -> Credentials:
    import google.auth  # loaded here: Google's libraries take a second

    with warnings.catch_warnings():
        # The library warns of files that strangers handed in; this one is the operator's own, as the reader's is.
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded: Credentials = google.auth.load_credentials_from_file(path, scopes=_SCOPES)[0]  # type: ignore[no-untyped-call] # google-auth has no types
    return loaded


def attempt(source: GcpSource, uid: str, secret: str) -> Tried:
    """Ask for a token with a key file, as its owner would; a token that is given is thrown away unused."""
    from google.auth.exceptions import GoogleAuthError, RefreshError
    from google.oauth2 import service_account

    subject = _SUBJECT.fullmatch(uid)
    if subject is None:
        return Tried(None, CALL, "Google has no call that any such credential may make and that changes nothing")
    info, why = _read(secret, subject[1], subject[2], {GOOGLES, f"{(source.rest or '').rstrip('/')}/token"})
    if why is not None:
        return Tried(None, CALL, why)
    try:
        credentials = service_account.Credentials.from_service_account_info(info, scopes=_SCOPES[:1])  # type: ignore[no-untyped-call] # google-auth has no types
        credentials.refresh(tokens(source))
    except RefreshError as error:
        return _refused(error)
    except (GoogleAuthError, ValueError, OSError) as error:
        return Tried(None, CALL, f"it could not be tried ({type(error).__name__})")
    return Tried(refused=False, call=CALL, said="an access token was given")


def _read(secret: str, kind: str, native: str, allowed: set[str]) -> tuple[dict[str, Any], str | None]:
    """Read a key file, and say why it cannot be tried, if so."""
    try:
        info = json.loads(secret)
        key, account, address = (info[name] for name in ("private_key_id", "client_id", "token_uri"))
    except (ValueError, TypeError, KeyError):
        return {}, "what was given is not the file of a service account's key"
    if native != (key if kind == "service-account-key" else account):
        return {}, "what was given is the file of another key"
    if address not in allowed:
        return {}, f"its token_uri is not Google's ({GOOGLES}), and a key is shown to nobody else"
    return info, None


def _refused(error: Exception) -> Tried:
    """Read why no token was given: only words that are about the key or the account count as its refusal."""
    answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    code, why = str(answer.get("error", ""))[:_LONGEST], " ".join(str(answer.get("error_description", "")).split())[:_LONGEST]
    said = f"{code}: {why}"
    if code not in _REFUSALS:
        return Tried(None, CALL, said if code else "no token, and no reason that can be read")
    if why.startswith("Invalid JWT:"):  # a clock that is wrong, say: nothing about the key
        return Tried(None, CALL, said)
    return Tried(refused=True, call=CALL, said=said)
