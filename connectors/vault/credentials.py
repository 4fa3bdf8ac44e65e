"""From the server's answers to credentials: by accessor, path or serial number, and never the secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from connectors.vault import records
from connectors.vault.use import ONLY_AUDIT
from connectors.vault.visit import PROVIDER, Visit
from countersign.clock import expiry
from countersign.identity import Credential

if TYPE_CHECKING:
    from datetime import datetime

    from connectors.vault.api import Json


def secret_id(visit: Visit, role: records.AppRole, accessor: str, answer: Json, at: datetime) -> Credential:
    """Tell a secret-id by its accessor, never by itself. Raises ValueError for a time that is none."""
    expires, never = expiry(str(answer.get("expiration_time")))
    created_at = records.when(answer.get("creation_time"))
    use = visit.uses.secret_id(accessor, created_at, mount=role.accessor, role=role.name)
    return Credential(
        uid=visit.uid("secret-id", accessor),
        identity_uid=role.uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="secret-id",
        enabled=True,
        created_at=created_at,
        expires_at=expires,
        never_expires=never,
        last_used_at=use.at,
        last_used_state=use.state,
        use_seen_to=use.seen_to,
        ttl_s=answer.get("secret_id_ttl") or None,
        observed_at=at,
        unknown=use.unknown("last_used_at"),
    )


def unread_secret_id(visit: Visit, role: records.AppRole, accessor: str, reason: str, at: datetime) -> Credential:
    """Tell a secret-id that is listed but may not be looked up."""
    use = visit.uses.secret_id(accessor, None, mount=role.accessor, role=role.name)
    return Credential(
        uid=visit.uid("secret-id", accessor),
        identity_uid=role.uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="secret-id",
        enabled=True,
        last_used_at=use.at,
        last_used_state=use.state,
        use_seen_to=use.seen_to,
        observed_at=at,
        unknown=use.unknown("last_used_at") | dict.fromkeys(("created_at", "expires_at", "ttl_s"), reason),
    )


def token(visit: Visit, identity_uid: str, answer: Json, at: datetime) -> Credential:
    """Tell a token by its accessor; an `expire_time` of null means that it never ends."""
    expires, created_at = answer.get("expire_time"), records.issued(answer)
    use = visit.uses.token(answer["accessor"], created_at)
    return Credential(
        uid=visit.uid("token", answer["accessor"]),
        identity_uid=identity_uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="token",
        enabled=True,
        created_at=created_at,
        expires_at=records.when(expires),
        never_expires=expires is None,
        last_used_at=use.at,
        last_used_state=use.state,
        use_seen_to=use.seen_to,
        ttl_s=answer.get("creation_ttl") or None,
        observed_at=at,
        unknown=use.unknown("last_used_at"),
    )


def secret(visit: Visit, mount: records.Mount, path: str, answer: Json, at: datetime) -> Credential:
    """Tell a KV secret by the metadata of its current version.

    `updated_time` would move with a change of labels too, so a rotation is the creation of the current version.
    """
    version: Json = (answer.get("versions") or {}).get(str(answer["current_version"])) or {}
    deletion = records.when(version.get("deletion_time"))
    gone = bool(version.get("destroyed")) or (deletion is not None and deletion <= at)
    return Credential(
        uid=visit.uid("secret", mount.path + path),
        identity_uid=visit.uid("mount", mount.accessor),
        provider=PROVIDER,
        scope=visit.scope,
        name=mount.path + path,
        kind="secret",
        enabled=not gone,
        created_at=records.when(version.get("created_time") or answer.get("updated_time")),
        expires_at=None if gone else deletion,
        observed_at=at,
        unknown={"last_used_at": ONLY_AUDIT},
    )


def database_role(visit: Visit, mount: records.Mount, name: str, answer: Json, at: datetime) -> Credential:
    """Tell a static database account by its last rotation."""
    rotated = records.when(answer.get("last_vault_rotation"))
    return Credential(
        uid=visit.uid("database-role", f"{mount.accessor}:{name}"),
        identity_uid=visit.uid("mount", mount.accessor),
        provider=PROVIDER,
        scope=visit.scope,
        name=name,
        kind="database-role",
        enabled=True,
        created_at=rotated,
        ttl_s=answer.get("rotation_period") or None,
        observed_at=at,
        unknown={"last_used_at": ONLY_AUDIT} | ({} if rotated else {"created_at": "the server names no rotation"}),
    )


def certificate(visit: Visit, mount: records.Mount, serial: str, answer: Json, *, revoked: bool | None) -> Credential:
    """Tell an issued certificate; `revoked` is None when the list of revocations could not be read."""
    unknown = {"last_used_at": "a certificate is used without its issuer"}
    if revoked is None:
        unknown["enabled"] = "the list of revoked certificates could not be read"
    return Credential(
        uid=visit.uid("certificate", f"{mount.accessor}:{serial}"),
        identity_uid=visit.uid("mount", mount.accessor),
        provider=PROVIDER,
        scope=visit.scope,
        name=answer.get("common_name") or None,
        kind="certificate",
        enabled=None if revoked is None else not revoked,
        created_at=records.when(answer["not_before"]),
        expires_at=records.when(answer["not_after"]),
        observed_at=visit.now(),
        unknown=unknown,
    )


def opened(answer: Json) -> Json:
    """Read `cert/<serial>` in the words of OpenBao's `certs/detailed`. Raises ValueError when it holds no certificate."""
    parsed = x509.load_pem_x509_certificate(str(answer.get("certificate", "")).encode())
    return {
        "common_name": parsed.subject.rfc4514_string(),
        "issuer": parsed.issuer.rfc4514_string(),
        "not_before": parsed.not_valid_before_utc.isoformat(),
        "not_after": parsed.not_valid_after_utc.isoformat(),
        "revocation_time": answer.get("revocation_time") or 0,
    }
