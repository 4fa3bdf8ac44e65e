"""Who calls the local Google Cloud: key files, the tokens they are worth, and what each account may do."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from sandbox.gcp.estate import Account, Estate, Key

_BITS = 2048
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(slots=True)
class Tokens:
    """The access tokens that were issued, and the public halves of the keys that a file was made of."""

    held: dict[str, Account] = field(default_factory=dict)
    public: dict[str, rsa.RSAPublicKey] = field(default_factory=dict)
    may: dict[str, frozenset[str]] = field(default_factory=dict)
    """Unique id of an account to its permissions."""

    def __deepcopy__(self, memo: dict[int, object]) -> Tokens:
        """Stay the same in a copy of the estate, since keys cannot be copied."""
        return self

    def issue(self, account: Account) -> str:
        """Give a token for an account."""
        token = f"ya29.sandbox-{secrets.token_urlsafe(24)}"
        self.held[token] = account
        return token


def key_file(estate: Estate, key: Key, address: str) -> str:
    """Make the file of a key, as its owner got it once; `address`: of the REST side."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    estate.tokens.public[key.key_id] = private.public_key()
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    account = key.account
    return json.dumps(
        {
            "type": "service_account",
            "project_id": account.project.project_id,
            "private_key_id": key.key_id,
            "private_key": pem.decode(),
            "client_email": account.email,
            "client_id": account.unique_id,
            "token_uri": f"{address}/token",
        }
    )


def token(estate: Estate, body: bytes) -> tuple[int, dict[str, Any]]:
    """Answer the token endpoint (RFC 7523, Google's page "Using OAuth 2.0 for Server to Server Applications")."""
    asked = dict(parse_qsl(body.decode("utf-8", "replace")))
    if asked.get("grant_type") != GRANT:
        return _no("unsupported_grant_type", "Invalid grant_type")
    try:
        head, claims, signature = asked["assertion"].split(".")
        key_id, issuer = _read(head)["kid"], _read(claims)["iss"]
        signed = _decoded(signature)
    except (KeyError, ValueError):
        return _no("invalid_grant", "Invalid JWT: Failed to parse the assertion")
    account = next((each.accounts[issuer] for each in estate.projects.values() if issuer in each.accounts), None)
    why = "Invalid grant: account not found" if account is None else "Account disabled" if account.disabled else None
    if account is None or why is not None:
        return _no("invalid_grant", str(why))
    key, public = account.keys.get(key_id), estate.tokens.public.get(key_id)
    if key is None or key.disabled or public is None or not _fits(public, signed, f"{head}.{claims}"):
        return _no("invalid_grant", "Invalid JWT Signature.")
    return 200, {"access_token": estate.tokens.issue(account), "expires_in": 3599, "token_type": "Bearer"}


def token_info(account: Account | None) -> tuple[int, dict[str, Any]]:
    """Answer tokeninfo: of a service account it has the unique id as `azp`, and the e-mail."""
    if account is None or account.disabled:
        return _no("invalid_token", "Invalid Value")
    about = {"azp": account.unique_id, "aud": account.unique_id, "email": account.email, "email_verified": "true", "expires_in": "3599"}
    return 200, {**about, "access_type": "online", "scope": "https://www.googleapis.com/auth/cloud-platform"}


def _fits(public: rsa.RSAPublicKey, signature: bytes, text: str) -> bool:
    try:
        public.verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _no(error: str, why: str) -> tuple[int, dict[str, Any]]:
    return 400, {"error": error, "error_description": why}


def _read(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_decoded(part))
    return found


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
