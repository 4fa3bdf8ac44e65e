"""What IAM makes for an identity that drills: service accounts and their keys, as Google's own descriptions say."""

from __future__ import annotations

import base64
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.gcp.callers import key_file
from sandbox.gcp.iam import account_body, key_body
from sandbox.gcp.refusal import Json, Refused, invalid

if TYPE_CHECKING:
    from sandbox.gcp.estate import Estate

_ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


def create_account(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.create."""
    project, name, about = estate.project(asked["name"]), str(asked.get("accountId") or ""), asked.get("serviceAccount") or {}
    if _ACCOUNT_ID.fullmatch(name) is None:
        raise invalid("The account ID must be between 6 and 30 lower-case letters, digits and dashes.")
    if any(email.startswith(f"{name}@") for email in project.accounts):
        raise Refused("ALREADY_EXISTS", f"Service account {name} already exists within project {project.name}.")
    unique = f"1{secrets.randbelow(10**20):020d}"
    texts = {"display_name": about.get("displayName", ""), "description": about.get("description", "")}
    return account_body(project.service_account(name, unique, created=datetime.now(UTC), **texts))


def create_key(estate: Estate, asked: Json) -> Json:
    """Answer projects.serviceAccounts.keys.create; the file in it names this cloud as the place to get tokens at, and is told this once."""
    account = estate.account(asked["name"])
    key = account.project.key(account, secrets.token_hex(20), datetime.now(UTC))
    file = key_file(estate, key, estate.address)
    return {
        **key_body(key),
        "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE",
        "privateKeyData": base64.b64encode(file.encode()).decode(),
    }
