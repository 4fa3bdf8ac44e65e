"""Which call says which field, per kind of record."""

from __future__ import annotations

CALLS: tuple[tuple[str, str, str], ...] = (
    ("approle", "*", "GET auth/<mount>/role/<name>"),
    ("approle", "aliases", "GET auth/<mount>/role/<name>/role-id"),
    ("approle", "enabled", "GET auth/<mount>/role/<name> with GET identity/entity/id/<id>"),
    ("approle", "owner_claim", "POST auth/<mount>/role/<name>/secret-id-accessor/lookup"),
    ("approle", "purpose", "POST auth/<mount>/role/<name>/secret-id-accessor/lookup"),
    ("approle", "tags", "POST auth/<mount>/role/<name>/secret-id-accessor/lookup"),
    ("auth-role", "*", "GET auth/<mount>/role/<name> or GET auth/<mount>/certs/<name>"),
    ("auth-role", "trusts", "GET auth/<mount>/config with GET auth/<mount>/role/<name>"),
    ("certificate", "*", "LIST <mount>/certs/detailed or GET <mount>/cert/<serial>"),
    ("certificate", "enabled", "LIST <mount>/certs/revoked or GET <mount>/cert/<serial>"),
    ("database-role", "*", "GET <mount>/static-roles/<name>"),
    ("entity", "*", "GET identity/entity/id/<id>"),
    ("lease", "*", "PUT sys/leases/lookup"),
    ("lease", "identity_uid", "READ audit log, else GET sys/mounts"),
    ("mount", "*", "GET sys/mounts"),
    ("secret", "*", "SCAN <mount>/detailed-metadata or GET <mount>/metadata/<path>"),
    ("secret-id", "*", "POST auth/<mount>/role/<name>/secret-id-accessor/lookup"),
    ("token", "*", "POST auth/token/lookup-accessor"),
    ("token", "created_by", "READ audit log"),
    ("user", "*", "GET auth/<mount>/users/<name>"),
)
"""(kind, field, call), by the server's own paths."""
