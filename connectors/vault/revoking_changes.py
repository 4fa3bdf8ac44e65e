"""Which changes take a partner's holdings away in one namespace: looked up live, nothing written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.vault import bounds, records, revoking_states
from connectors.vault.api import Json, Refusal, each
from connectors.vault.revoking_credentials import ORPHANS, credential, revoke_token
from connectors.vault.revoking_sheet import Sheet, called
from connectors.vault.revoking_states import GONE, must, role_path
from countersign.document import shown
from countersign.revocation import ENTRY, IDENTITY, SESSION, Change, Left, Residual

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from countersign.revocation import Holding, State

_MADE_WITH_THEM = ", and so do tokens that were made with them without a parent and that no step of the plan names"
_OPEN_TOKENS = f"tokens that this role gave out before live until they end, because others log in by it too{_MADE_WITH_THEM}"
_GIVEN_OUT = f"batch tokens that it gave out before are in no listing and live until they end{_MADE_WITH_THEM}"


@dataclass(slots=True)
class Planner:
    """One planning of one namespace."""

    _sheet: Sheet
    _entities: dict[str, tuple[Holding, list[str]]] = field(default_factory=dict)
    """Entity id to whom its switch stands for, and what it takes."""
    _deleted: set[tuple[str, str]] = field(default_factory=set)
    """(mount, name) of roles and users that go by themselves."""

    def plan(self) -> Iterator[Change | Left]:
        """Yield the changes and what is left; raises RevocationError, ReadError."""
        for one in self._sheet.mine:
            if one.what == "identity":
                yield from self._identity(one)
        for entity, (one, takes) in sorted(self._entities.items()):
            yield from self._switch(entity, one, takes)
        for one in self._sheet.mine:
            if one.what == "credential" and one.uid not in self._sheet.settled:
                yield from credential(self._sheet, one)
        for one in self._sheet.mine:
            if one.uid not in self._sheet.settled:
                yield from self._rest(one)

    # Identities

    def _identity(self, one: Holding) -> Iterator[Change | Left]:
        kind, native = self._sheet.native(one.uid)
        if kind == "entity":
            yield from self._entity(one, native)
        elif kind in {"approle", "user"}:
            mount, _, name = native.rpartition("/")
            method = {"approle": "approle", "user": "userpass"}[kind]
            yield from self._login(one, method, f"{mount or 'approle'}/", name)
        elif kind == "auth-role":
            mount, _, name = native.rpartition("/")
            there = revoking_states.mount_there(self._sheet.api, "sys/auth", f"{mount}/")
            if there is None or there[1] not in revoking_states.FOLDERS:
                self._sheet.settled.update(self._sheet.ending(one))
            else:
                yield from self._auth_role(one, there[1], f"{mount}/", name)
        elif kind == "token":
            yield from revoke_token(self._sheet, one, native, self._sheet.ending(one))

    def _entity(self, one: Holding, entity: str) -> Iterator[Change | Left]:
        state = revoking_states.look(self._sheet.api, "disable-entity", {"entity": entity})
        takes = self._sheet.ending(one)
        if not one.whole:
            yield from self._shared_entity(one, entity)
        elif state == GONE:
            # Its tokens are refused with it, and still listed: each is looked at by itself.
            self._sheet.settled.update(uid for uid in takes if self._sheet.native(uid)[0] != "token")
        else:
            _, already = self._entities.setdefault(entity, (one, []))
            already.extend(uid for uid in takes if uid not in already)

    def _login(self, one: Holding, kind: str, mount: str, name: str) -> Iterator[Change | Left]:
        """Take an AppRole or user away: by its entity where that is its alone, else by closing it."""
        where: dict[str, Any] = {"kind": kind, "mount": mount, "role": name}
        state = revoking_states.role(self._sheet.api, where)
        if state == GONE:
            self._sheet.settled.update(uid for uid in self._sheet.ending(one) if self._sheet.native(uid)[0] != "token")
            return
        if not one.whole:
            return
        entity = self._entity_of(state["mount"], state["role_id"] if kind == "approle" else name)
        alone = entity is not None and entity.automatic
        named = None if entity is None else self._sheet.uid("entity", entity.id)
        held = next((two for two in self._sheet.mine if two.whole and two.uid == named), None)
        takes = [uid for uid in self._sheet.ending(one) if self._sheet.native(uid)[0] != "token"]
        if self._sheet.phase == "delete":
            self._deleted.add((mount, name))
            words = f"Delete {called(kind, mount, name)}"
            yield from self._sheet.change("delete-role", one, where, state, GONE, ENTRY, takes, words)
            if alone and entity is not None:
                self._entities[entity.id] = (one, [one.uid])
        elif entity is not None and (alone or held):
            _, already = self._entities.setdefault(entity.id, (held or one, []))
            already.extend(uid for uid in self._sheet.ending(one) if uid not in already)
        else:
            yield from self._close(one, where, state, takes, IDENTITY)
            if entity is not None:
                yield from self._tokens_of(one, where)

    def _auth_role(self, one: Holding, kind: str, mount: str, name: str) -> Iterator[Change | Left]:
        path = role_path(kind, mount, name)
        answer = self._sheet.api.get(path)
        takes = self._sheet.ending(one)
        if isinstance(answer, Refusal) and answer.empty:
            self._sheet.settled.update(takes)
            return
        role = must(answer, f"GET {path}")
        where = {"kind": kind, "mount": mount, "role": name}
        if kind in {"jwt", "oidc"}:
            where |= {"role_type": str(role.get("role_type")), "bound_claims_type": str(role.get("bound_claims_type") or "string")}
        state = revoking_states.role(self._sheet.api, where)
        said = called(kind, mount, name)
        if not one.whole and self._parties(kind, mount, role) != 1:
            for uid in takes:
                whom = ", ".join(map(shown, one.others)) or "whom it trusts is not known"
                why = f"{said} is not the partner's, and others log in by it too: {whom}"
                yield self._sheet.left(uid, one.name, why, "take the partner's issuer or certificate out of the mount or the role by hand")
        elif self._sheet.phase == "delete" and one.whole:
            yield from self._sheet.change("delete-role", one, where, state, GONE, ENTRY, takes, f"Delete {said}")
        elif self._sheet.phase == "disable":
            yield from self._close(one, where, state, takes, ENTRY)
            if not one.others:
                yield from self._tokens_of(one, where)
        elif records.closed(kind, role):
            self._sheet.settled.update(takes)
        else:
            for uid in takes:
                yield self._sheet.left(
                    uid, one.name, f"{said} is yours and lets the partner in", "disable it first; whether it is kept is your decision"
                )

    def _parties(self, kind: str, mount: str, role: Json) -> int:
        """Count whom a role lets in; 0 where that is not known."""
        if kind == "cert":
            try:
                return len({party for _, party, _ in bounds.authorities(str(role.get("certificate") or ""))})
            except ValueError:
                return 0
        config = self._sheet.api.get(f"auth/{mount}config")
        return len(bounds.parties(kind, {} if isinstance(config, Refusal) else config))

    def _close(self, one: Holding, where: dict[str, Any], state: State, takes: Iterable[str], order: int) -> Iterator[Change | Left]:
        kind, bound = where["kind"], records.bound_by(where["kind"])
        said = f"Bind {called(kind, where['mount'], where['role'])} to the address {records.NOWHERE}, so that nobody can log in by it"
        residual = Residual(_OPEN_TOKENS if one.others else _GIVEN_OUT, None)
        if kind in {"approle", "userpass"} and not one.others:
            residual = ORPHANS  # of one without an entity too: an entity that was deleted may have made some
        yield from self._sheet.change(
            "close-role", one, where, state, {**state, bound: records.nowhere(kind)}, order, takes, said, residual
        )

    def _tokens_of(self, one: Holding, where: dict[str, Any]) -> Iterator[Change | Left]:
        """Yield the end of what a login gave out, but for the tokens of an entity that is switched off by itself."""
        held = {self._sheet.native(two.uid)[1] for two in self._sheet.mine if two.whole and two.kind == "entity"}
        parts = {name: where[name] for name in ("kind", "mount", "role")}
        said = f"Revoke the tokens that {called(where['kind'], where['mount'], where['role'])} gave out"
        after = {"exists": True, "tokens_ended": True}
        yield from self._sheet.looked("end-tokens", one, {**parts, "besides": sorted(held)}, after, SESSION, said)

    # Entities

    def _switch(self, entity: str, one: Holding, takes: list[str]) -> Iterator[Change | Left]:
        where = {"entity": entity}
        state = revoking_states.look(self._sheet.api, "disable-entity", where)
        if state == GONE:
            self._sheet.settled.update(uid for uid in takes if self._sheet.native(uid)[0] != "token")
            return
        said = f"the entity {entity} of {shown(one.name)}"
        if self._sheet.phase == "disable":
            words = f"Disable {said}: all its tokens and logins are refused at once"
            yield from self._sheet.change("disable-entity", one, where, state, {**state, "disabled": True}, IDENTITY, takes, words, ORPHANS)
            return
        takes = [uid for uid in takes if self._sheet.native(uid)[0] != "token"]
        logins = list(self._logins(entity))
        stays = [login for login in logins if isinstance(login, str)]
        for login in logins:
            if not isinstance(login, str):
                where_login, login_state = login
                words = f"Delete {called('userpass', where_login['mount'], where_login['role'])}"
                yield from self._sheet.change("delete-role", one, where_login, login_state, GONE, ENTRY, [one.uid], words)
        if stays:
            why = f"{said} can still log in by {', '.join(stays)}; deleted, it would come back as a new one that is not disabled"
            for uid in takes:
                yield self._sheet.left(uid, one.name, why, "leave it disabled, and take its login away where it comes from")
            return
        yield from self._sheet.change("delete-entity", one, where, state, GONE, SESSION, takes, f"Delete {said}")

    def _logins(self, entity: str) -> Iterator[tuple[dict[str, Any], State] | str]:
        """Yield each login of an entity that works: as (where, state) when it goes with the entity, as words when it stays."""
        answer = must(self._sheet.api.get(f"identity/entity/id/{revoking_states.plain(entity)}"), "GET identity/entity/id/*")
        held = {one.uid for one in self._sheet.mine if one.whole and one.what == "identity"}
        for alias in records.to_entity(answer).aliases:
            mount = self._sheet.mount_of("sys/auth", alias.accessor)
            if mount is None:
                continue
            if alias.mount_type == "userpass":
                where = {"kind": "userpass", "mount": mount, "role": alias.name}
                state = revoking_states.role(self._sheet.api, where)
                if state != GONE and (mount, alias.name) not in self._deleted:
                    yield where, state
            elif alias.mount_type == "approle":
                role = self._approle(mount, alias.name)
                native = None if role is None else role if mount == "approle/" else mount + role
                if native is not None and self._sheet.uid("approle", native) not in held:
                    yield f"the AppRole {shown(role or '')}"
            else:
                yield shown(f"auth/{mount}")

    def _shared_entity(self, one: Holding, entity: str) -> Iterator[Change | Left]:
        """Take the partner's login out of an entity that is somebody else's."""
        answer = self._sheet.api.get(f"identity/entity/id/{revoking_states.plain(entity)}")
        if isinstance(answer, Refusal) and answer.empty:
            return
        found = False
        held = {two.uid for two in self._sheet.mine if two.whole and two.what == "identity"}
        for alias in must(answer, "GET identity/entity/id/*").get("aliases") or ():
            mount = self._sheet.mount_of("sys/auth", str(alias.get("mount_accessor")))
            role = self._approle(mount, str(alias.get("name"))) if mount and alias.get("mount_type") == "approle" else None
            if role is None or self._sheet.uid("approle", role if mount == "approle/" else f"{mount}{role}") not in held:
                continue
            found = True
            if self._sheet.phase == "disable":
                self._sheet.settled.update(self._sheet.ending(one))  # closing the AppRole ends it
                continue
            where = {"entity": entity, "alias": alias["id"]}
            state = revoking_states.look(self._sheet.api, "delete-alias", where)
            words = f"Take the AppRole {shown(role)} out of the entity {entity} of {shown(one.name)}"
            yield from self._sheet.change("delete-alias", one, where, state, GONE, IDENTITY, [one.uid], words)
        if not found:
            why = f"the entity {entity} is somebody else's, and it is not known which of its logins is the partner's"
            yield self._sheet.left(one.uid, one.name, why, "delete that alias of the entity by hand")

    def _entity_of(self, accessor: str, alias: str) -> records.Entity | None:
        answer = must(
            self._sheet.api.post("identity/lookup/entity", {"alias_name": alias, "alias_mount_accessor": accessor}),
            "POST identity/lookup/entity",
        )
        return records.to_entity(answer) if answer else None

    def _approle(self, mount: str, role_id: str) -> str | None:
        """Find the AppRole that has a role-id; None where it is not there any more."""
        names = self._sheet.api.keys(f"auth/{mount}role")
        if isinstance(names, Refusal):
            raise revoking_states.trouble(names, f"LIST auth/{mount}role")
        for batch in each(names, lambda name: self._sheet.api.get(f"auth/{mount}role/{name}/role-id")):
            for name, answer in batch:
                if not isinstance(answer, Refusal) and answer.get("role_id") == role_id:
                    return name
        return None

    # What remains

    def _rest(self, one: Holding) -> Iterator[Change | Left]:
        if one.kind == "mount":
            why, advice = "a mount is a place, which many use", "look at what is in it"
        elif one.what == "identity" and one.whole:
            why, advice = f"nothing here switches off what is of the kind {one.kind}", "take it away by hand"
        else:
            why = f"it is part of {one.identity_uid}, which is not the partner's alone"
            advice = "take it out of that role, entity or group by hand"
        yield self._sheet.left(one.uid, one.name, why, advice)
