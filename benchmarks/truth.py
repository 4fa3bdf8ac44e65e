"""What reading a tenant, a project or a server of a size must come to, by kind of identity and credential."""

from __future__ import annotations

TOKENS_A_ROLE = 20
"""Tokens of a Vault for each AppRole."""


def azure(principals: int) -> dict[str, int]:
    """Count what is in a tenant (`principals` a multiple of 1,000); Microsoft Graph's own service principal is one more."""
    return {
        "service-principal": principals + 1, "application": principals // 10, "client-secret": principals // 10,
        "federated-credential": principals // 100, "user": principals // 100,
    }  # fmt: skip


def gcp(accounts: int) -> dict[str, int]:
    """Count what is in a project (`accounts` a multiple of 500): each account has a key, and one person may act as some."""
    return {"service-account": accounts, "service-account-key": accounts, "member": 1}


def vault(tokens: int) -> dict[str, int]:
    """Count what is in a server; each token is an identity and a credential, as are root's and the reader's."""
    return {"approle": tokens // TOKENS_A_ROLE, "mount": 1, "secret-id": tokens // TOKENS_A_ROLE, "token": 2 * (tokens + 2)}
