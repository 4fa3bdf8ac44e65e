"""Signing keys that never leave where they are kept: Vault's transit engine, and the key services of AWS, Google Cloud and Azure."""

from __future__ import annotations

import base64
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (  # type: ignore[attr-defined]  # its public face, not re-exported
    AWSSigner,
    AzureSigner,
    GCPSigner,
    Key,
    SecretsHandler,
    Signature,
    Signer,
    SSlibKey,
)

from countersign.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = ["SCHEMES", "ServiceSigner", "open_key"]

_LONGEST_REASON = 300
_TRANSIT = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?:/(?P<version>[1-9][0-9]{0,8}))?")
_AZURE = re.compile(r"//(?P<vault>[A-Za-z0-9-]+)\.vault\.azure\.net/keys/(?P<name>[A-Za-z0-9-]+)(?:/(?P<version>[0-9a-f]+))?")
_TRANSIT_HASH = {"ecdsa-p256": "sha2-256", "ecdsa-p384": "sha2-384", "rsa-2048": "sha2-256", "rsa-3072": "sha2-256", "rsa-4096": "sha2-256"}
"""Key type to the hash that goes with it; Ed25519 hashes by itself."""


class ServiceSigner(Signer):
    """A key that a service holds: every signature is checked with the public key before it is used."""

    def __init__(self, uri: str, key: SSlibKey, ask: Callable[[bytes], bytes]) -> None:
        self.uri = uri
        """With the version of the key where the service has versions."""
        self._key = key
        self._ask = ask

    @property
    def public_key(self) -> SSlibKey:
        """The public half, under our key id."""
        return self._key

    def sign(self, payload: bytes) -> Signature:
        """Sign; raises EvidenceError where the service does not, or where what it answers is no signature by its key."""
        try:
            answer = self._ask(payload)
        except Exception as error:
            raise EvidenceError(f"{self.uri} did not sign: {_reason(error)}", fix=_fix_signing(self.uri)) from error
        signature = Signature(self._key.keyid, answer.hex())
        try:
            self._key.verify_signature(signature, payload)
        except Exception as error:
            raise EvidenceError(
                f"{self.uri} answered with a signature that its public key does not verify",
                fix="look whether the key was replaced under the same name",
            ) from error
        return signature

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None) -> ServiceSigner:
        """Satisfy securesystemslib's interface; `countersign.evidence.signer.load` is what makes signers here."""
        raise NotImplementedError


def open_key(uri: str, scheme: str, name: str, known_as: Callable[[PublicKeyTypes], SSlibKey]) -> ServiceSigner:
    """Return the signer for a key in a service; `known_as` gives a public key our key id, and refuses kinds that we do not verify.

    Raises EvidenceError, one sentence each: the service's library is missing, the service does not answer, it refuses,
    there is no such key, the key is of no kind that can be verified.
    """
    # Its signers log what they raise; it is said once, by us.
    logging.getLogger("securesystemslib.signer").setLevel(logging.CRITICAL)
    try:
        at, public, ask = SCHEMES[scheme](name)
    except EvidenceError:
        raise
    except (ImportError, UnsupportedLibraryError) as error:
        library, install = _LIBRARIES[scheme]
        raise EvidenceError(f"signer {uri} needs {library}, which is not installed", fix=f"pip install {install}") from error
    except Exception as error:
        raise EvidenceError(f"the key {uri} could not be opened: {_reason(error)}", fix=_FIXES[scheme]) from error
    return ServiceSigner(at, known_as(public), ask)


_Opened = tuple[str, "PublicKeyTypes", "Callable[[bytes], bytes]"]


def _transit(name: str) -> _Opened:
    """Open `NAME` (its newest version) or `NAME/VERSION` of the engine at `transit/` (https://openbao.org/api-docs/secret/transit/).

    securesystemslib's own VaultSigner takes Ed25519 keys only.
    """
    import hvac  # a provider's library loads when its key is used

    found = _TRANSIT.fullmatch(name)
    if found is None:
        raise EvidenceError(f"hv:{name} names no key of Vault", fix="write hv:NAME or hv:NAME/VERSION")
    key, wanted = found["name"], found["version"]
    if not os.environ.get("VAULT_ADDR"):
        raise EvidenceError(f"signer hv:{name} does not know its server", fix="set VAULT_ADDR")
    # No redirects: the token would go where the answer points.
    client = hvac.Client(namespace=os.environ.get("VAULT_NAMESPACE") or None, allow_redirects=False)
    if not client.token:
        _log_in(client, name)
    said: dict[str, Any] = client.secrets.transit.read_key(key)["data"]
    kind, versions = said["type"], said["keys"]
    version = wanted or str(max(map(int, versions)))
    if version not in versions:
        raise EvidenceError(f"hv:{name}: the key has no version {version}", fix=f"use one of: {', '.join(sorted(versions, key=int))}")
    if kind != "ed25519" and kind not in _TRANSIT_HASH:
        raise EvidenceError(
            f"hv:{name} is a key of type {kind}, which cannot sign evidence", fix="make one of type ed25519, ecdsa-p256 or rsa-3072"
        )
    written = versions[version]["public_key"]
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(written)) if kind == "ed25519" else load_pem_public_key(written.encode())
    how = {} if kind == "ed25519" else {"hash_algorithm": _TRANSIT_HASH[kind], "marshaling_algorithm": "asn1"}
    if kind.startswith("rsa"):
        how |= {"signature_algorithm": "pss", "salt_length": "hash"}

    def ask(payload: bytes) -> bytes:
        text = base64.b64encode(payload).decode()
        answer = client.secrets.transit.sign_data(key, hash_input=text, key_version=int(version), **how)
        return base64.b64decode(answer["data"]["signature"].split(":")[2])

    return f"hv:{key}/{version}", public, ask


def _log_in(client: Any, name: str) -> None:  # noqa: ANN401 - hvac has no types
    role = os.environ.get("VAULT_ROLE_ID")
    if not role:
        raise EvidenceError(
            f"signer hv:{name} has no way to log in to Vault", fix="set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID, or run bao login"
        )
    client.auth.approle.login(role, os.environ.get("VAULT_SECRET_ID"))


def _aws(name: str) -> _Opened:
    _, key = AWSSigner.import_(name)
    return f"awskms:{name}", _public(key), _through(lambda known: AWSSigner(name, known), key)


def _google(name: str) -> _Opened:
    _, key = GCPSigner.import_(name)
    return f"gcpkms:{name}", _public(key), _through(lambda known: GCPSigner(name, known), key)


def _azure(name: str) -> _Opened:
    found = _AZURE.fullmatch(name)
    if found is None:
        raise EvidenceError(f"azurekms:{name} names no key", fix="write azurekms://VAULT.vault.azure.net/keys/NAME")
    newest, key = AzureSigner.import_(found["vault"], found["name"])
    if found["version"] is not None and not newest.endswith(f"/{found['version']}"):
        # securesystemslib reads the newest version only.
        raise EvidenceError(f"azurekms:{name} is not the newest version of that key", fix=f"write {newest}")
    return newest, _public(key), _through(lambda known: AzureSigner.from_priv_key_uri(newest, known), key)


def _through(make: Callable[[SSlibKey], Signer], key: SSlibKey) -> Callable[[bytes], bytes]:
    inner = make(key)
    return lambda payload: bytes.fromhex(inner.sign(payload).signature)


def _public(key: SSlibKey) -> PublicKeyTypes:
    return load_pem_public_key(key.keyval["public"].encode())


def _reason(error: Exception) -> str:
    """Give a library's message in one printable line: it may quote what a server answered."""
    line = " ".join(str(error).split()) or "no reason was given"
    return f"{type(error).__name__}: {''.join(each for each in line if each.isprintable())[:_LONGEST_REASON]}"


def _fix_signing(uri: str) -> str:
    return _FIXES[uri.partition(":")[0]]


SCHEMES: Mapping[str, Callable[[str], _Opened]] = {"hv": _transit, "awskms": _aws, "gcpkms": _google, "azurekms": _azure}
"""Scheme of a signer's URI to what opens its key: the URI with its version, the public key, and what signs."""
_LIBRARIES = {
    "hv": ("hvac", "hvac"),
    "awskms": ("boto3", "boto3"),
    "gcpkms": ("Google Cloud's KMS client", "google-cloud-kms"),
    "azurekms": ("Azure's Key Vault client", "azure-keyvault-keys"),
}
_FIXES = {
    "hv": "check VAULT_ADDR, the token, and its policy: update on transit/sign/NAME and read on transit/keys/NAME",
    "awskms": "check the credentials, AWS_REGION, and the permissions kms:Sign and kms:GetPublicKey on this key",
    "gcpkms": "check the credentials, and roles/cloudkms.signer and roles/cloudkms.publicKeyViewer on this key; name its version",
    "azurekms": "check the credentials, and Key Vault Crypto User on this key",
}
