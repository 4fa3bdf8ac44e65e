"""Signing in with what the environment holds; the token stays in this process and is never shown."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.vault.api import Api, Refusal
from countersign.errors import ReadError, ScopeDeniedError
from countersign.revocation import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.vault.api import Json
    from countersign.programme import VaultAuth, VaultSource

KUBERNETES_JWT = "/var/run/secrets/kubernetes.io/serviceaccount/token"

_lock = threading.Lock()
_logins: dict[tuple[str, ...], Login] = {}


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A token to read with; has no repr, so that no traceback or log line can show it."""

    token: str
    made_here: bool
    """Whether this process logged in for it, so that the token is not part of the estate."""


def sign_in(source: VaultSource, api: Api, *, afresh: bool = False) -> Login:
    """Return the source's token, logging in once per process; `afresh` logs in again when that token has ended.

    Raises ScopeDeniedError when there is no credential or it is refused, ReadError when the server is too busy to say.
    """
    if source.auth.method == "token":
        return Login(_token(os.environ), made_here=False)
    key = (source.name, source.address, source.namespace or "", repr(source.auth))
    with _lock:
        if afresh or key not in _logins:
            _logins[key] = Login(_log_in(source.auth, api, os.environ), made_here=True)
        return _logins[key]


def myself(source: VaultSource, outside: Api) -> tuple[Login, Json | Refusal]:
    """Sign in and ask who we are; a token that this process got earlier may have ended, so it tries a fresh one once.

    Raises ScopeDeniedError, ReadError like `sign_in`.
    """
    login = sign_in(source, outside)
    answer = outside.within(token=login.token, namespace=source.namespace).get("auth/token/lookup-self")
    if isinstance(answer, Refusal) and login.made_here:
        login = sign_in(source, outside, afresh=True)
        answer = outside.within(token=login.token, namespace=source.namespace).get("auth/token/lookup-self")
    return login, answer


def writer(source: VaultSource, outside: Api, environment: Mapping[str, str]) -> Login:
    """Sign in the revoking identity, anew each time; `environment` holds its variables under the SDK's own names.

    Raises ScopeDeniedError when there is no credential or it is refused, ReadError when the server is too busy to say.
    """
    if source.revoke_auth.method != "token":
        return Login(_log_in(source.revoke_auth, outside, environment, ENVIRONMENT), made_here=True)
    if token := environment.get("VAULT_TOKEN", "").strip():
        return Login(token, made_here=False)
    # Never the token that the command line left: it is a person's, or the reader's.
    raise ScopeDeniedError("login", f"there is no identity to revoke with: set {ENVIRONMENT}VAULT_TOKEN, or `revoke_auth` of the source")


def _token(environment: Mapping[str, str]) -> str:
    token = environment.get("VAULT_TOKEN", "").strip()
    if not token:
        try:
            token = (Path.home() / ".vault-token").read_text(encoding="utf-8").strip()
        except (OSError, RuntimeError, UnicodeDecodeError):
            token = ""
    if not token:
        raise ScopeDeniedError("login", "no token: set VAULT_TOKEN, or log in with the vault or bao command line")
    return token


def _log_in(auth: VaultAuth, api: Api, environment: Mapping[str, str], begin: str = "") -> str:
    mount = (auth.mount or auth.method).strip("/")
    if auth.method == "approle":
        body = {"role_id": environment.get("VAULT_ROLE_ID"), "secret_id": environment.get("VAULT_SECRET_ID")}
        if not body["role_id"]:
            raise ScopeDeniedError("login", f"{begin}VAULT_ROLE_ID is not set (and {begin}VAULT_SECRET_ID, unless the role needs none)")
    else:
        path = auth.jwt_file or (KUBERNETES_JWT if auth.method == "kubernetes" else None)
        if path is None:
            raise ScopeDeniedError("login", "auth.jwt_file is not set; name the file that holds the JWT")
        try:
            body = {"role": auth.role, "jwt": Path(path).read_text(encoding="utf-8").strip()}
        except OSError as error:
            raise ScopeDeniedError("login", f"the JWT file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise ScopeDeniedError("login", f"the JWT file {path} holds no JWT") from None  # the cause would quote what it holds
        if not body["jwt"]:
            raise ScopeDeniedError("login", f"the JWT file {path} is empty")
    operation = f"auth/{mount}/login"
    answer = api.login(operation, {name: value for name, value in body.items() if value})
    if isinstance(answer, Refusal):
        raise (ReadError if answer.busy else ScopeDeniedError)(operation, str(answer))
    token = answer.get("client_token")
    if not token:  # login MFA answers without a token
        raise ScopeDeniedError(operation, "the login gave no token (does it demand a second factor?)")
    return str(token)
