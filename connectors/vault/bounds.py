"""Whom an auth role trusts and what narrows that trust: the issuer of its mount, and the bounds of the role; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.vault.api import Json
    from countersign.identity import PartyKind

CONFIG_FIELDS = ("bound_issuer", "oidc_discovery_url", "jwks_url", "oidc_client_id", "kubernetes_host", "issuer")
_LONGEST = 300
"""Characters of a condition that are kept."""
_NARROW = {
    "jwt": ("bound_subject", "bound_audiences"),
    "oidc": ("bound_subject", "bound_audiences"),
    "kubernetes": (
        "bound_service_account_names",
        "bound_service_account_namespaces",
        "bound_service_account_namespace_selector",
        "audience",
    ),
    "cert": (
        *("allowed_names", "allowed_common_names", "allowed_dns_sans", "allowed_email_sans", "allowed_uri_sans"),
        "allowed_organizational_units",
    ),
}
"""Type of auth mount to the bounds that say who, or for whom; addresses and lifetimes are no such bounds."""


def parties(kind: str, config: Json) -> tuple[tuple[PartyKind, str], ...]:
    """Name the issuers that a mount takes tokens from; none where it only holds public keys, which name nobody."""
    if kind == "kubernetes":
        # The cluster says who the bearer is; `issuer` is not checked by default and deprecated.
        named = [config.get("kubernetes_host")]
    else:
        pairs = config.get("jwks_pairs")
        urls = [config.get("jwks_url"), *(pair.get("jwks_url") for pair in pairs or () if isinstance(pair, dict))]
        named = [config.get("bound_issuer") or config.get("oidc_discovery_url")]
        named = named if named[0] else [url.split("/.well-known/")[0] for url in urls if isinstance(url, str)]
    return tuple(("oidc-issuer", name) for name in dict.fromkeys(named) if name and isinstance(name, str))


def authorities(certificates: str) -> tuple[tuple[PartyKind, str, str | None], ...]:
    """Name whose certificates a cert role takes: (kind, subject of the authority, what narrows it to one certificate).

    A certificate that is no authority's lets in only whoever holds its own key. Raises ValueError when the text holds none.
    """
    found: list[tuple[PartyKind, str, str | None]] = []
    for one in x509.load_pem_x509_certificates(certificates.encode()):
        try:
            authority = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            authority = False
        print_ = f"sha256:{one.fingerprint(hashes.SHA256()).hex()}"
        found.append(("x509-issuer", one.subject.rfc4514_string() or print_, None if authority else f"certificate={print_}"))
    return tuple(found)


def condition(kind: str, role: Json) -> str | None:
    """Write down the bounds that narrow who may log in; None: nothing does. `*` narrows nothing."""
    parts = [f"{name}={'|'.join(values)}" for name, values in _bounds(kind, role) if values and not any(map(_anything, values))]
    text = ", ".join(parts)
    return (text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…") or None


def _bounds(kind: str, role: Json) -> Iterator[tuple[str, list[str]]]:
    for name in _NARROW.get(kind, ()):
        yield name, _values(role.get(name))
    claims = role.get("bound_claims")
    if kind in ("jwt", "oidc") and isinstance(claims, dict):
        for name, value in sorted(claims.items()):
            yield f"bound_claims.{name}", _values(value)
    if kind == "cert":
        for extension in _values(role.get("required_extensions")):
            oid, _, value = extension.partition(":")
            yield f"required_extensions.{oid}", [value]


def _values(value: Any) -> list[str]:  # noqa: ANN401 - straight from JSON
    """One or several values, of which any one is enough."""
    several = value if isinstance(value, list) else [value]
    return [str(one) for one in several if one not in (None, "")]


def _anything(value: str) -> bool:
    return re.fullmatch(r"[*+?]*\*[*+?]*|\s*", value) is not None
