"""From the server's answers to identities; pure, like `credentials.py` beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.vault.use import ONLY_AUDIT
from connectors.vault.visit import PROVIDER, Visit
from countersign.clock import expiry, instant
from countersign.identity import Identity, Track

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from connectors.vault.api import Json

WHO_MADE_IT = "only the audit log knows who made it"
BUILT_IN = frozenset({"cubbyhole", "identity", "system", "ns_cubbyhole", "ns_identity", "ns_system", "token", "ns_token"})
"""Types of mount that every server has; what is in them is read by other paths."""
NO_MFA = "Vault's login MFA enforcement is not read"
HUMAN_MOUNTS = frozenset({"userpass", "ldap", "oidc", "okta", "github", "radius"})
MACHINE_MOUNTS = frozenset({"approle", "kubernetes", "cert", "jwt", "token", "aws", "azure", "gcp", "alicloud", "cf", "oci"})
LABELS = ("owner", "partner", "purpose", "environment", "expiry", "expires", "rotate_days", "role_name", "username")
"""Free-form metadata that is kept in observations; people put all sorts of things into metadata."""
NOWHERE = "255.255.255.255"
"""The one address that nothing connects from (RFC 919): a role bound to it lets nobody in, and keeps all else that it was."""
ROLE_FIELDS = (
    "bind_secret_id",
    "local_secret_ids",
    "secret_id_bound_cidrs",
    "secret_id_num_uses",
    "secret_id_ttl",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_max_ttl",
    "token_no_default_policy",
    "token_num_uses",
    "token_period",
    "token_policies",
    "token_ttl",
    "token_type",
)
SECRET_ID_FIELDS = ("creation_time", "expiration_time", "last_updated_time", "secret_id_num_uses", "secret_id_ttl")
TOKEN_FIELDS = (
    "accessor",
    "creation_ttl",
    "display_name",
    "entity_id",
    "expire_time",
    "explicit_max_ttl",
    "issue_time",
    "num_uses",
    "orphan",
    "path",
    "period",
    "policies",
    "renewable",
    "type",
)
ENTITY_FIELDS = ("id", "name", "disabled", "policies", "creation_time", "last_update_time", "group_ids", "merged_entity_ids")
SECRET_FIELDS = ("created_time", "updated_time", "current_version", "delete_version_after")
STATIC_ROLE_FIELDS = ("db_name", "username", "last_vault_rotation", "rotation_period", "rotation_schedule")
CERTIFICATE_FIELDS = ("common_name", "issuer", "not_before", "not_after", "revocation_time")

_SHADOW = re.compile(r"entity_[0-9a-f]{6,}(\..*)?")


@dataclass(frozen=True, slots=True)
class Mount:
    """An auth method or a secrets engine."""

    path: str
    """With the slash at its end, as the server writes it."""
    kind: str
    accessor: str


@dataclass(frozen=True, slots=True)
class Alias:
    """What an entity logs in as on one auth mount."""

    accessor: str
    mount_type: str
    name: str
    account: str | None = None
    """`<namespace>/<name>` of a Kubernetes service account, whose alias is only its uid; None for every other login."""


@dataclass(frozen=True, slots=True)
class AppRole:
    """A role as its own endpoints describe it; whether it may log in is known only with the entities."""

    uid: str
    accessor: str
    """Of its auth mount."""
    native_id: str
    name: str
    role_id: str | None
    """None: it could not be read, so that no entity can be tied to the role."""
    policies: tuple[str, ...] | None
    """None: the role could not be read."""
    closed: bool = False
    """Whether it is bound to `NOWHERE`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What its secret-ids' metadata agree on."""
    unknown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entity:
    """The parts of an entity that decide how it is told."""

    id: str
    name: str
    disabled: bool
    aliases: tuple[Alias, ...]
    metadata: Mapping[str, str]
    policies: tuple[str, ...]
    groups: tuple[str, ...]
    created_at: datetime | None

    @property
    def automatic(self) -> bool:
        """Whether this is what the server makes by itself at a first login and nobody has touched since."""
        return bool(_SHADOW.fullmatch(self.name)) and len(self.aliases) == 1 and not (self.metadata or self.policies or self.groups)


def to_mount(path: str, about: Json) -> Mount:
    """Read a row of `sys/auth` or `sys/mounts`."""
    return Mount(path, str(about["type"]), str(about["accessor"]))


def unread_type(about: Json, readable: Container[str]) -> str | None:
    """Say why a mount is not read; None when it is."""
    if about["type"] not in readable:
        return f"type {about['type']} is not read"
    if about["type"] == "kv" and (about.get("options") or {}).get("version") != "2":
        return "kv version 1 keeps no metadata"
    return None


def bound_by(kind: str) -> str:
    """Name the field that says from where a role may log in: an AppRole's other one binds only the tokens that it gets."""
    return "secret_id_bound_cidrs" if kind == "approle" else "token_bound_cidrs"


def nowhere(kind: str) -> list[str]:
    """Give the addresses of a closed role, as the server writes them in `bound_by`."""
    return [f"{NOWHERE}/32"] if kind == "approle" else [NOWHERE]


def closed(kind: str, answer: Json) -> bool:
    """Whether a role or user is bound to an address that nothing connects from."""
    return {str(one).removesuffix("/32") for one in answer.get(bound_by(kind)) or ()} == {NOWHERE}


def pick(answer: Json, fields: Iterable[str]) -> dict[str, Any]:
    """Reduce an answer to an allow-list of its fields."""
    return {name: answer[name] for name in fields if name in answer}


def observed(answer: Json, fields: Iterable[str], *, metadata: str = "metadata") -> dict[str, Any]:
    """Reduce an answer to an allow-list of its fields and, of its free-form metadata, to the well-known labels."""
    kept = {name: value for name, value in words(answer.get(metadata)).items() if name in LABELS}
    return pick(answer, fields) | ({metadata: kept} if kept else {})


def words(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Free-form metadata as text, without empty values."""
    return {str(name): str(value) for name, value in (metadata or {}).items() if value not in (None, "")}


def when(text: Any) -> datetime | None:  # noqa: ANN401 - straight from JSON
    """Read a time that may be missing; the year 1 is how the server writes that there is none."""
    return expiry(text)[0] if text else None


def issued(answer: Json) -> datetime | None:
    """Read when a token was made, to the second where the server says no more."""
    if text := answer.get("issue_time"):
        return instant(text)
    seconds = answer.get("creation_time")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def policies(answer: Json, *names: str) -> tuple[str, ...]:
    """Policy names under any of the fields (older roles say `policies`), each once."""
    return tuple(dict.fromkeys(str(policy) for name in names for policy in answer.get(name) or ()))


def to_entity(answer: Json) -> Entity:
    """Read `identity/entity/id/<id>`."""
    return Entity(
        id=answer["id"],
        name=answer.get("name") or answer["id"],
        disabled=bool(answer.get("disabled")),
        aliases=tuple(map(_alias, answer.get("aliases") or ())),
        metadata=words(answer.get("metadata")),
        policies=policies(answer, "policies"),
        groups=tuple(answer.get("group_ids") or ()),
        created_at=when(answer.get("creation_time")),
    )


def _alias(answer: Json) -> Alias:
    about = words(answer.get("metadata"))
    namespace, name = about.get("service_account_namespace"), about.get("service_account_name")
    is_account = answer.get("mount_type") == "kubernetes" and namespace and name
    return Alias(answer["mount_accessor"], answer.get("mount_type") or "", answer["name"], f"{namespace}/{name}" if is_account else None)


def track_of(aliases: tuple[Alias, ...]) -> tuple[Track | None, str | None]:
    """Tell people from machines by how they log in; returns the track, or None and the reason."""
    kinds = {alias.mount_type for alias in aliases}
    if kinds & HUMAN_MOUNTS:
        return "human", None
    if not kinds:
        return None, "the entity has no alias, so nothing logs in as it"
    if strange := sorted(kinds - MACHINE_MOUNTS):
        return None, f"an auth method of type {', '.join(strange)} may serve people or machines"
    return "machine", None


def entity_identity(visit: Visit, entity: Entity, at: datetime) -> Identity:
    """Tell an entity; where the server made its name up, the alias is the better one."""
    track, reason = track_of(entity.aliases)
    use = visit.uses.entity(entity.id, entity.created_at)
    unknown = {"created_by": WHO_MADE_IT} | use.unknown("last_active_at")
    if track is None:
        unknown |= {"track": reason or "", "console": reason or ""}
    if track != "machine":
        unknown["mfa"] = NO_MFA
    names = tuple(dict.fromkeys(name for alias in entity.aliases for name in (alias.account, alias.name) if name))
    name = names[0] if entity.automatic else entity.name
    return Identity(
        uid=visit.uid("entity", entity.id),
        provider=PROVIDER,
        scope=visit.scope,
        kind="entity",
        native_id=entity.id,
        name=name,
        aliases=tuple(other for other in dict.fromkeys((entity.name, *names)) if other != name),
        track=track,
        enabled=not entity.disabled,
        console=None if track is None else track == "human",
        created_at=entity.created_at,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        owner_claim=entity.metadata.get("owner"),
        purpose=entity.metadata.get("purpose"),
        tags=tagged(entity.metadata, own=entity.id == visit.own_entity),
        observed_at=at,
        unknown=unknown,
    )


def unread_entity(visit: Visit, entity_id: str, at: datetime) -> Identity:
    """Stand in for an entity that a token names and that was not among those read, so that the token has an identity."""
    reason = "a token names this entity, and it was not among the entities read"
    fields = ("track", "enabled", "console", "mfa", "created_at", "owner_claim", "purpose", "tags")
    use = visit.uses.entity(entity_id, None)
    return Identity(
        uid=visit.uid("entity", entity_id),
        provider=PROVIDER,
        scope=visit.scope,
        kind="entity",
        native_id=entity_id,
        name=entity_id,
        track=None,
        enabled=None,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        tags=tagged({}, own=entity_id == visit.own_entity),
        observed_at=at,
        unknown=dict.fromkeys(fields, reason) | use.unknown("last_active_at"),
    )


def approle_identity(visit: Visit, role: AppRole, login: Entity | None, *, certain: bool, at: datetime) -> Identity:
    """Tell a role with the entity that its logins belong to; `certain` says whether all entities were read."""
    use = visit.uses.login(role.accessor, role.name, entity_id=login.id if login and login.automatic else None)
    unknown = {
        **role.unknown,
        **use.unknown("last_active_at"),
        "created_at": "an AppRole carries no time of creation",
        "created_by": WHO_MADE_IT,
    }
    # A request in a child namespace names only the entity, which is told as the role.
    names = (role.role_id, login.id if login and login.automatic else None)
    enabled: bool | None = True
    if login is not None and (login.automatic or not role.closed):
        enabled = not login.disabled  # of a closed role too: its tokens go on as long as its entity does
    elif role.closed:
        enabled = False
    elif role.role_id is None or not certain:
        enabled = None
        unknown["enabled"] = "a disabled entity stops the role's logins, and its entity could not be read"
    return Identity(
        uid=role.uid,
        provider=PROVIDER,
        scope=visit.scope,
        kind="approle",
        native_id=role.native_id,
        name=role.name,
        aliases=tuple(name for name in names if name),
        track="machine",
        enabled=enabled,
        console=False,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        owner_claim=role.tags.get("owner"),
        purpose=role.tags.get("purpose"),
        tags=tagged(role.tags, own=login is not None and login.id == visit.own_entity),
        observed_at=at,
        unknown=unknown,
    )


def with_claims(role: AppRole, claims: Iterable[Mapping[str, str]] | None) -> AppRole:
    """Tag a role, which has no metadata, with what its secret-ids' metadata agree on; None when they could not be listed."""
    if claims is None:
        reason = "its secret-ids could not be listed"
        return replace(role, unknown=dict.fromkeys(("tags", "owner_claim", "purpose"), reason))
    values: dict[str, set[str]] = {}
    for claim in claims:
        for name, value in claim.items():
            values.setdefault(name, set()).add(value)
    torn = sorted(name for name, found in values.items() if len(found) > 1)
    tags = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    return replace(role, tags=tags, unknown={"tags": f"its secret-ids disagree on {', '.join(torn)}"} if torn else {})


def token_identity(visit: Visit, answer: Json, maker: str | None, maker_why: str, at: datetime) -> Identity:
    """Tell a token that belongs to no entity: it is an identity of its own. `maker_why`: why its maker is None, where it is."""
    accessor = answer["accessor"]
    metadata, created_at = words(answer.get("meta")), issued(answer)
    use = visit.uses.token(accessor, created_at)
    return Identity(
        uid=visit.uid("token", accessor),
        provider=PROVIDER,
        scope=visit.scope,
        kind="token",
        native_id=accessor,
        name=answer.get("display_name") or accessor,
        track="machine",
        enabled=True,
        created_at=created_at,
        created_by=maker,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        owner_claim=metadata.get("owner"),
        purpose=metadata.get("purpose"),
        tags=tagged(metadata, own=accessor == visit.own_accessor),
        observed_at=at,
        unknown={"console": "a token opens the web interface as well as the API"}
        | ({"created_by": maker_why} if maker is None else {})
        | use.unknown("last_active_at"),
    )


def user_identity(  # noqa: PLR0913 - what is told, and what is known of it
    visit: Visit, mount: Mount, name: str, answer: Json | None, *, certain: bool, at: datetime
) -> Identity:
    """Tell a userpass user who has not yet an entity, so has not logged in; `certain` says whether all entities were read.

    `answer` is None where the user could not be read.
    """
    use = visit.uses.login(mount.accessor, name)
    unknown = {"mfa": NO_MFA, "created_at": "userpass does not say", "created_by": WHO_MADE_IT} | use.unknown("last_active_at")
    enabled: bool | None = True
    if answer is not None and closed("userpass", answer):
        enabled = False
    elif answer is None or not certain:
        enabled = None
        unknown["enabled"] = (
            "the user could not be read" if answer is None else "a disabled entity stops the user's logins, and not all entities were read"
        )
    return Identity(
        uid=visit.uid("user", mount.path + name),
        provider=PROVIDER,
        scope=visit.scope,
        kind="user",
        native_id=mount.path + name,
        name=name,
        track="human",
        enabled=enabled,
        console=True,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        observed_at=at,
        unknown=unknown,
    )


def mount_identity(visit: Visit, mount: Mount, at: datetime) -> Identity:
    """Tell a secrets engine, as the owner of credentials whose user Vault does not know."""
    return Identity(
        uid=visit.uid("mount", mount.accessor),
        provider=PROVIDER,
        scope=visit.scope,
        kind="mount",
        native_id=mount.accessor,
        name=mount.path,
        track="machine",
        enabled=True,
        provider_managed=True,
        console=False,
        observed_at=at,
        unknown={"created_at": "a mount carries no time of creation", "last_active_at": ONLY_AUDIT},
    )


def tagged(metadata: Mapping[str, str], *, own: bool) -> dict[str, str]:
    """Metadata as tags, with a mark on the identity that reads; nobody else can write that mark by their metadata."""
    claims = {name: value for name, value in metadata.items() if name != "countersign"}
    return claims | {"countersign": "self"} if own else claims
