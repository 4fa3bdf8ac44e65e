"""Estates of any shape for Northgate's register, and what may be done to them: blank a field, use something again, give other names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from controls_estate import ACME, AS_OF, COBALT, DAY, MAIN, SCOPES, SIDE, STRANGER, TENANT, VAULT
from hypothesis import strategies as st

from countersign.identity import Coverage, Credential, Grant, Identity, Trust, uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from countersign.identity import Power, Record

POWERS: tuple[Power | None, ...] = ("administrator", "escalation", "limited", None)
GROUPS = (
    "svc", "acme", "left", "aimless", "endless", "ended", "boreal", "cobalt", "dune", "stale", "never", "lax-allowed", "svc-inc-open", "stray", "stray",
    "people",
)  # fmt: skip
"""How names begin; the register knows most of them, and nothing of those that stray."""
KINDS = {
    MAIN: {"user": ("access-key", "password"), "role": ()},
    SIDE: {"user": ("access-key", "password"), "role": ()},
    TENANT: {"service-principal": ("client-secret", "certificate", "federated-credential"), "user": ("password",)},
    VAULT: {"approle": ("secret-id", "token"), "entity": ()},
}
REPLACED_IN_PLACE = ("password",)
"""Kinds whose last use may be older than what is there now."""
WHY = "it was not told"

ago = st.sampled_from([0, 1, 6, 8, 29, 31, 44, 46, 59, 61, 89, 91, 120, 200, 300, 500]).map(
    lambda days: AS_OF - days * DAY - timedelta(hours=1)
)
maybe = st.sampled_from([True, True, True, False, None])


@dataclass(frozen=True, slots=True)
class World:
    """One estate: its records, without the rows of coverage."""

    records: tuple[Record, ...]
    denied: frozenset[tuple[str, str]] = frozenset()
    """Scope and kind of each listing that was refused."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: FBT001 - hypothesis calls it by position
        printer.text(f"<{len(self.records)} records>")

    def about(self, subjects: Iterable[str]) -> str:
        """Give the records of a few subjects, for the message of a test that failed."""
        wanted = set(subjects)
        wanted |= {record.identity_uid for record in self.records if isinstance(record, Credential) and record.uid in wanted}
        return "\n".join(
            str(record) for record in self.records if wanted & {getattr(record, "uid", ""), getattr(record, "identity_uid", "")}
        )

    def by_scope(self, sources: Mapping[str, str] | None = None) -> dict[str, list[Record]]:
        """Give the records of each scope, every listing complete; `sources` gives sources other names."""
        found: dict[str, list[Record]] = {scope: [] for scope in KINDS}
        for record in self.records:
            if isinstance(record, Identity | Credential | Grant | Trust):
                found[record.scope].append(record)
        for scope, kinds in KINDS.items():
            source = SCOPES[scope].source
            for kind in {*kinds, *(each for held in kinds.values() for each in held)}:
                refused = (scope, kind) in self.denied
                found[scope].append(Coverage(
                    source=(sources or {}).get(source, source), provider=SCOPES[scope].provider, scope=scope, operation=f"list:{kind}",
                    state="denied" if refused else "complete", covers=(kind,), error="AccessDenied" if refused else None, started=AS_OF, finished=AS_OF,
                ))  # fmt: skip
        return found


def _reasons(fields: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: WHY for name in names if fields.get(name) is None}


def _not_before(fields: dict[str, Any], use: str) -> None:
    """Let nothing be used before it was there."""
    if fields[use] is not None and fields["created_at"] is not None:
        fields[use] = max(fields[use], fields["created_at"])


@st.composite
def _use(draw: st.DrawFn, at: str, state: str) -> dict[str, Any]:
    what = draw(st.sampled_from(["known", "known", "never", "unknown"]))
    return {at: draw(ago) if what == "known" else None, state: what}


@st.composite
def _identity(draw: st.DrawFn, number: int, makers: tuple[str, ...]) -> Identity:
    scope = draw(st.sampled_from([MAIN, MAIN, SIDE, TENANT, VAULT]))
    kind, provider = draw(st.sampled_from(sorted(KINDS[scope]))), SCOPES[scope].provider
    name = f"{draw(st.sampled_from(GROUPS))}-{number}"
    fields: dict[str, Any] = {
        "track": draw(st.sampled_from(["machine", "machine", "machine", "human", "human", "delegation", None])),
        "enabled": draw(maybe), "console": draw(st.sampled_from([True, False, False, None])), "mfa": draw(maybe),
        "created_at": draw(ago | st.none()), "created_by": draw(st.sampled_from([None, None, "somebody", *makers])),
        **draw(_use("last_active_at", "last_active_state")),
    }  # fmt: skip
    unknown = _reasons(fields, "track", "enabled", "console", "mfa", "created_at", "created_by")
    _not_before(fields, "last_active_at")
    if fields["last_active_state"] == "unknown":
        unknown["last_active_at"] = WHY
    for part in ("trusts", "grants"):
        if draw(st.integers(0, 9)) == 0:
            unknown[part] = WHY
    return Identity(
        uid=uid(provider, scope, kind, f"ID{number}"), provider=provider, scope=scope, kind=kind, native_id=f"ID{number}", name=name,
        aliases=(f"arn:aws:iam::{scope}:{kind}/{name}",) if provider == "aws" else (), provider_managed=draw(st.integers(0, 19)) == 0,
        owner_claim=draw(st.sampled_from([None, "maria"])), tags=draw(st.sampled_from([{}, {}, {"partner": "acme"}, {"partner": "cobalt"}])),
        observed_at=AS_OF, unknown=unknown, **fields,
    )  # fmt: skip


@st.composite
def _credential(draw: st.DrawFn, of: Identity, number: int) -> Credential:
    kind = draw(st.sampled_from(KINDS[of.scope][of.kind]))
    end = draw(st.sampled_from(["none", "never", "known", "unknown"])) if kind != "access-key" else "none"
    fields: dict[str, Any] = {"enabled": draw(maybe), "created_at": draw(ago | st.none()), **draw(_use("last_used_at", "last_used_state"))}
    unknown = _reasons(fields, "enabled", "created_at")
    if kind not in REPLACED_IN_PLACE:
        _not_before(fields, "last_used_at")
    if fields["last_used_state"] == "unknown":
        unknown["last_used_at"] = WHY
    if end == "unknown":
        unknown["expires_at"] = WHY
    return Credential(
        uid=uid(of.provider, of.scope, kind, f"C{number}"), identity_uid=of.uid, provider=of.provider, scope=of.scope, kind=kind, name=f"key {number}",
        expires_at=AS_OF + draw(st.integers(-20, 720)) * DAY if end == "known" else None, never_expires=end == "never",
        ttl_s=draw(st.sampled_from([3600, 12 * 3600, 13 * 3600])) if kind == "token" else None, observed_at=AS_OF, unknown=unknown,
        use_seen_to=draw(st.sampled_from([None, None, AS_OF - timedelta(hours=4)])), **fields,
    )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn, least: int = 20, most: int = 50) -> World:
    """Draw an estate in two accounts, a tenant and a Vault; some made others, also in a circle."""
    records: list[Record] = []
    made: list[Identity] = []
    count = draw(st.integers(least, most))
    for number in range(count):
        makers = tuple(made[draw(st.integers(0, len(made) - 1))].aliases[:1] if made else ())
        made.append(draw(_identity(number, makers)))
    if len(made) > 1 and made[-1].aliases and draw(st.booleans()):
        made[0] = replace(made[0], created_by=made[-1].aliases[0], unknown={k: v for k, v in made[0].unknown.items() if k != "created_by"})
    for number, one in enumerate(made):
        records.append(one)
        held = {"scope": one.scope, "provider": one.provider, "identity_uid": one.uid}
        if KINDS[one.scope][one.kind]:
            records += [draw(_credential(one, 10 * number + slot)) for slot in range(draw(st.integers(0, 2)))]
        if "grants" not in one.unknown:
            for power in draw(st.lists(st.sampled_from(POWERS), max_size=2)):
                records.append(Grant(role=f"role {power}", power=power, **held))
        if one.kind == "role" and "trusts" not in one.unknown:
            for party in draw(st.lists(st.sampled_from([ACME, COBALT, STRANGER, MAIN]), max_size=2, unique=True)):
                records.append(
                    Trust(party_kind="aws-account", party=party, condition=draw(st.sampled_from([None, "sts:ExternalId"])), **held)
                )
    return World(tuple(records))


OF_IDENTITY = (
    "track",
    "enabled",
    "console",
    "mfa",
    "created_at",
    "created_by",
    "last_active_at",
    "trusts",
    "grants",
    "owner_claim",
    "purpose",
)
OF_CREDENTIAL = ("enabled", "created_at", "expires_at", "last_used_at", "ttl_s")


@st.composite
def blanks(draw: st.DrawFn, world: World) -> World:
    """Draw the same estate with fields that nobody could read: few or many."""
    odds = draw(st.sampled_from([1, 3, 8]))
    records: list[Record] = []
    lost: set[tuple[str, str]] = set()
    for record in world.records:
        after: Record = record
        if isinstance(record, Identity | Credential) and draw(st.integers(1, 10)) <= odds:
            field = draw(st.sampled_from(OF_IDENTITY if isinstance(record, Identity) else OF_CREDENTIAL))
            after = blank(record, field)
            lost.add((record.uid, field))
        elif isinstance(record, Grant) and draw(st.integers(1, 20)) <= odds:
            after = replace(record, power=None)
        records.append(after)
    return World(tuple(
        record for record in records
        if not (isinstance(record, Grant) and (record.identity_uid, "grants") in lost)
        and not (isinstance(record, Trust) and (record.identity_uid, "trusts") in lost)
    ))  # fmt: skip


def blank(record: Identity | Credential, field: str) -> Identity | Credential:
    """Take a field away, with the reason; what belongs to it goes with it."""
    changes: dict[str, Any] = {"unknown": {**record.unknown, field: WHY}}
    if field == "tags":
        changes[field] = {}
    elif field not in {"trusts", "grants"}:
        changes[field] = None
    if field == "expires_at":
        changes["never_expires"] = False
    elif field == "last_used_at":
        changes["last_used_state"] = "unknown"
    elif field == "last_active_at":
        changes["last_active_state"] = "unknown"
    return replace(record, **changes)


@st.composite
def refusals(draw: st.DrawFn, world: World) -> World:
    """Draw the same estate where a listing or two were refused: what only they tell is not there."""
    listings = [
        (scope, kind) for scope, kinds in KINDS.items() for kind in sorted({*kinds, *(each for held in kinds.values() for each in held)})
    ]
    denied = frozenset(draw(st.lists(st.sampled_from(listings), min_size=1, max_size=2)))
    lost = {record.uid for record in world.records if isinstance(record, Identity | Credential) and (record.scope, record.kind) in denied}
    return World(
        tuple(
            record
            for record in world.records
            if not lost & {getattr(record, "uid", ""), "" if isinstance(record, Credential) else getattr(record, "identity_uid", "")}
        ),
        denied,
    )


@st.composite
def used_again(draw: st.DrawFn, world: World) -> World:
    """Draw the same estate where some of what was used, or never was, has been used since."""

    def later(was: Any, record: Identity | Credential) -> Any:
        seen = record.use_seen_to or AS_OF
        start = was or record.created_at
        # Never used, and nobody knows since when: a use would say how old it is at least, which is news of another kind.
        return was if start is None or start >= seen else start + (seen - start) * draw(st.sampled_from([0.5, 0.9, 1.0]))

    records: list[Record] = []
    for record in world.records:
        after: Record = record
        if draw(st.booleans()):
            if isinstance(record, Credential) and record.last_used_state != "unknown":
                at = later(record.last_used_at, record)
                after = replace(record, last_used_at=at, last_used_state="never" if at is None else "known")
            elif isinstance(record, Identity) and record.last_active_state != "unknown":
                at = later(record.last_active_at, record)
                after = replace(record, last_active_at=at, last_active_state="never" if at is None else "known")
        records.append(after)
    return World(tuple(records))


def renamed(world: World) -> World:
    """Give the same estate with every name another: of identities (wherever they are told of), credentials and roles."""
    other: dict[str, str] = {}
    for record in world.records:
        if isinstance(record, Identity):
            other |= {alias: alias.replace(record.name, f"new-{record.native_id}") for alias in record.aliases}
    records: list[Record] = []
    for record in world.records:
        after: Record = record
        if isinstance(record, Identity):
            aliases, maker = tuple(other[alias] for alias in record.aliases), other.get(record.created_by or "", record.created_by)
            after = replace(record, name=f"new-{record.native_id}", aliases=aliases, created_by=maker)
        elif isinstance(record, Credential):
            after = replace(record, name=f"another {record.uid}")
        elif isinstance(record, Grant):
            after = replace(record, role=f"new {record.role}")
        records.append(after)
    return World(tuple(records))
