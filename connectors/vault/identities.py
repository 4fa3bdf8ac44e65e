"""Reading whoever can log in: AppRoles with their secret-ids, userpass users, entities and tokens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from connectors.vault import credentials, records
from connectors.vault.api import Json, Page, Refusal, each
from connectors.vault.records import AppRole, Entity, Mount
from connectors.vault.use import ONLY_AUDIT
from connectors.vault.visit import Operation, Visit, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from connectors.vault.audit_log import Maker, Sightings
    from connectors.vault.grants import Grants
    from countersign.identity import Record


@dataclass(slots=True)
class Known:
    """What one listing must know of another so that nobody is counted twice."""

    approles: list[AppRole] = field(default_factory=list)
    logins: dict[tuple[str, str], Entity] = field(default_factory=dict)
    """The entity behind each (accessor of auth mount, alias name)."""
    owners: dict[str, str] = field(default_factory=dict)
    """Uid of the identity that stands for each entity id."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Uid of each token that is an identity of its own, by accessor."""
    whole: set[str] = field(default_factory=set)
    """Accessors of the AppRole mounts whose roles are all known, each with its role-id."""
    certain: bool = True
    """Whether every entity was read."""


def listed(visit: Visit, operation: Operation, path: str, *, stored: Callable[[str], str] = str) -> Iterator[Page]:
    """LIST a path and count; a refusal ends the listing and is counted. `stored`: see `Api.pages`."""
    try:
        for page in visit.api.pages(path, stored=stored):
            operation.answered(len(page.keys))
            yield page
    except Refusal as refusal:
        operation.fail(refusal)


def approles(visit: Visit, mount: Mount, known: Known) -> Iterator[Record]:
    """Yield the secret-ids of each role of a mount; the roles themselves wait in `known` for the entities."""
    base = f"auth/{mount.path}role"
    listing = visit.operation(f"LIST {base}", "approle", "secret-id")
    reads = visit.operation(f"GET {base}/*")
    id_reads = visit.operation(f"GET {base}/*/role-id")
    secret_ids = visit.operation(f"LIST {base}/*/secret-id", "secret-id")
    lookups = visit.operation(f"POST {base}/*/secret-id-accessor/lookup")

    def look(name: str) -> tuple[Json | Refusal, Json | Refusal, list[str] | Refusal]:
        path = f"{base}/{name}"
        return visit.api.get(path), visit.api.get(f"{path}/role-id"), visit.api.keys(f"{path}/secret-id")

    names = [name for page in listed(visit, listing, base) for name in page.keys]
    for batch in each(names, look):
        seen: list[Mapping[str, object]] = []
        accessors: dict[str, list[str] | None] = {}
        roles: dict[str, AppRole] = {}
        for name, (role_answer, id_answer, keys_answer) in batch:
            role = reads.settle(role_answer)
            if role is None and isinstance(role_answer, Refusal) and role_answer.gone:
                continue
            role_id = (id_reads.settle(id_answer) or {}).get("role_id") or None
            accessors[name] = secret_ids.settle(keys_answer)
            native_id = name if mount.path == "approle/" else mount.path + name
            roles[name] = AppRole(
                uid=visit.uid("approle", native_id),
                accessor=mount.accessor,
                native_id=native_id,
                name=name,
                role_id=role_id,
                policies=None if role is None else records.policies(role, "token_policies", "policies"),
                closed=role is not None and records.closed("approle", role),
            )
            seen.append({"name": name, "role_id": role_id, **records.pick(role or {}, records.ROLE_FIELDS)})
        yield reads.observe(seen)
        claims: dict[str, list[Mapping[str, str]]] = {name: [] for name in roles}
        pairs = [(roles[name], accessor) for name, found in accessors.items() for accessor in found or ()]
        yield from _secret_ids(visit, base, pairs, lookups, claims)
        for name, role_facts in roles.items():
            listed_all = accessors[name] is not None
            known.approles.append(records.with_claims(role_facts, claims[name] if listed_all else None))
    if listing.state == reads.state == id_reads.state == "complete":
        known.whole.add(mount.accessor)
    yield from told(listing, reads, id_reads, secret_ids, lookups, each=True)


def _secret_ids(
    visit: Visit,
    base: str,
    pairs: Iterable[tuple[AppRole, str]],
    lookups: Operation,
    claims: Mapping[str, list[Mapping[str, str]]],
) -> Iterator[Record]:
    def look(pair: tuple[AppRole, str]) -> Json | Refusal:
        role, accessor = pair
        return visit.api.post(f"{base}/{role.name}/secret-id-accessor/lookup", {"secret_id_accessor": accessor})

    for batch in each(pairs, look):
        seen = []
        for (role, accessor), answer in batch:
            found = lookups.settle(answer)
            if isinstance(answer, Refusal):
                if not answer.gone:
                    yield credentials.unread_secret_id(visit, role, accessor, f"its look-up was refused: {answer}", visit.now())
            elif found is not None:
                seen.append({"role": role.name, "accessor": accessor, **records.observed(found, records.SECRET_ID_FIELDS)})
                claims[role.name].append(records.words(found.get("metadata")))
                told = lookups.made(partial(credentials.secret_id, visit, role, accessor, found, visit.now()))
                # What is listed is there, whatever the look-up says.
                yield told or credentials.unread_secret_id(visit, role, accessor, "its look-up is not as documented", visit.now())
        yield lookups.observe(seen)


def entities(visit: Visit, known: Known, grants: Grants) -> Iterator[Record]:
    """Yield the entities and then the AppRoles: what the server made by itself for an AppRole's login is that AppRole."""
    base = "identity/entity/id"
    listing = visit.operation(f"LIST {base}", "entity")
    reads = visit.operation(f"GET {base}/*", "entity")
    roles = {(role.accessor, role.role_id): role for role in known.approles}
    ids = (key for page in listed(visit, listing, base) for key in page.keys)
    for batch in each(ids, lambda key: visit.api.get(f"{base}/{key}")):
        seen = []
        for _, answer in batch:
            found = reads.settle(answer)
            if found is None:
                continue
            entity = reads.made(partial(records.to_entity, found))
            if entity is None:
                continue
            seen.append(records.observed(found, records.ENTITY_FIELDS) | {"aliases": [f"{a.mount_type}:{a.name}" for a in entity.aliases]})
            logins = [(alias.accessor, alias.name) for alias in entity.aliases]
            known.logins.update(dict.fromkeys(logins, entity))
            if entity.automatic and logins[0] in roles:
                known.owners[entity.id] = roles[logins[0]].uid
                listing.leave_out("the login of an AppRole, told as the AppRole")
                continue
            if entity.automatic and entity.aliases[0].mount_type == "approle" and logins[0][0] not in known.whole:
                listing.drop("the login of an AppRole that was not read")
                continue
            known.owners[entity.id] = visit.uid("entity", entity.id)
            yield records.entity_identity(visit, entity, visit.now())
            yield from grants.of(known.owners[entity.id], entity.policies, via="entity")
            yield from grants.of_groups(known.owners[entity.id], entity.groups)
        yield reads.observe(seen)
    known.certain = listing.state == reads.state == "complete"
    for role in known.approles:
        login = known.logins.get((role.accessor, role.role_id)) if role.role_id else None
        yield records.approle_identity(visit, role, login, certain=known.certain, at=visit.now())
        yield from grants.of(role.uid, role.policies)
    yield from told(listing, reads, each=True)


def users(visit: Visit, mount: Mount, known: Known, grants: Grants) -> Iterator[Record]:
    """Yield the userpass users who have no entity yet; whoever has one is told as that entity, with the user's policies."""
    base = f"auth/{mount.path}users"
    listing = visit.operation(f"LIST {base}", "user")
    reads = visit.operation(f"GET {base}/*")
    names = (name for page in listed(visit, listing, base) for name in page.keys)
    for batch in each(names, lambda name: visit.api.get(f"{base}/{name}")):
        seen = []
        for name, answer in batch:
            found = reads.settle(answer)
            if isinstance(answer, Refusal) and answer.gone:
                continue
            entity = known.logins.get((mount.accessor, name))
            if entity is None:
                uid = visit.uid("user", mount.path + name)
                yield records.user_identity(visit, mount, name, found, certain=known.certain, at=visit.now())
            else:
                uid = known.owners[entity.id]
                listing.leave_out("the login of an entity, told as the entity")
            held = None if found is None else records.policies(found, "token_policies", "policies")
            yield from grants.of(uid, held, via=f"user:{mount.path}{name}")
            seen.append({"name": name, **records.pick(found or {}, records.ROLE_FIELDS)})
        yield reads.observe(seen)
    yield from told(listing, reads, each=True)


def tokens(visit: Visit, known: Known, grants: Grants) -> Iterator[Record]:
    """Yield every token that has an accessor; one without an entity is an identity as well."""
    listing = visit.operation("LIST auth/token/accessors", "token")
    lookups = visit.operation("POST auth/token/lookup-accessor", "token")
    accessors = (key for page in listed(visit, listing, "auth/token/accessors") for key in page.keys)
    for batch in each(accessors, lambda accessor: visit.api.post("auth/token/lookup-accessor", {"accessor": accessor})):
        seen = []
        for accessor, answer in batch:
            if accessor == visit.own_accessor and visit.own_session:
                listing.leave_out("own session")
                continue
            found = lookups.settle(answer)
            if found is None:
                continue
            seen.append(records.observed(found, records.TOKEN_FIELDS, metadata="meta"))
            entity = found.get("entity_id") or None
            credential = lookups.made(partial(credentials.token, visit, "", found, visit.now()))
            if credential is None:
                continue
            if entity is None:
                uid = known.tokens[accessor] = visit.uid("token", accessor)
                yield records.token_identity(visit, found, *_maker(visit, known, accessor), visit.now())
            elif entity in known.owners:
                uid = known.owners[entity]
            else:
                uid = known.owners[entity] = visit.uid("entity", entity)
                yield records.unread_entity(visit, entity, visit.now())
            yield replace(credential, identity_uid=uid)
            yield from grants.of(uid, records.policies(found, "policies"), via="direct" if entity is None else "token")
        yield lookups.observe(seen)
    yield from told(listing, lookups, each=True)


def _maker(visit: Visit, known: Known, accessor: str) -> tuple[str | None, str]:
    """Say who made a token that has no entity, as lineage finds it: a uid, or the id of an entity that is not here; None, and why."""
    log = visit.uses.log
    if log is None:
        return None, records.WHO_MADE_IT if visit.uses.why == ONLY_AUDIT else visit.uses.why
    maker = log.makers.get(accessor)
    if maker is None:
        # It was made before the log begins, or by no request, as the first root token: nothing is missing that could be read.
        why = log.unread or ("" if accessor in log.searched else "the audit log was not searched for who made it")
        return None, why or records.WHO_MADE_IT
    if maker.entity:
        if maker.entity in known.owners or known.certain:
            return known.owners.get(maker.entity, maker.entity), ""
        return None, "an entity made it that was not among the entities read"
    return (visit.uid("token", maker.token) if maker.token else _role(visit, log, maker)), records.WHO_MADE_IT


def _role(visit: Visit, log: Sightings, maker: Maker) -> str | None:
    """Name the role or user that a login was as; None where its mount is not one that is read."""
    mount, name = maker.login or ("", "")
    kind, path = log.mounts.get(mount, ("", ""))
    told = {"approle": "approle", "userpass": "user"}.get(kind, "auth-role")
    return visit.uid(told, name if path == "approle/" else path + name) if path else None
