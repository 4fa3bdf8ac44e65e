"""What a planning of changes has so far: whose holdings, which of them are settled, and how a change is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from connectors.vault import revoking_states
from connectors.vault.revoking_states import must
from connectors.vault.visit import PROVIDER
from countersign.document import shown
from countersign.identity import uid as uid_of
from countersign.revocation import Change, Left, Residual, RevocationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from connectors.vault.api import Api, Json
    from countersign.reading import Scope
    from countersign.revocation import Holding, State

_OURS = "this is the identity that Countersign works with here"
_LOOKS = {
    "delete-alias": ("GET identity/entity/id/<id>",),
    "delete-entity": ("GET identity/entity/id/<id>",),
    "destroy-secret-id": ("POST auth/<mount>/role/<name>/secret-id-accessor/lookup",),
    "disable-entity": ("GET identity/entity/id/<id>",),
    "end-tokens": ("GET sys/auth", "LIST auth/token/accessors", "POST auth/token/lookup-accessor"),
    "revoke-certificate": ("GET <mount>/cert/<serial>",),
    "revoke-lease": ("POST sys/leases/lookup",),
    "revoke-token": ("POST auth/token/lookup-accessor",),
    "rotate-static-role": ("GET <mount>/static-roles/<name>",),
}
_REVERSIBLE = frozenset({"close-role", "disable-entity"})


@dataclass(slots=True)
class Sheet:
    """One planning of one namespace."""

    api: Api
    scope: Scope
    me: Json
    """What `auth/token/lookup-self` says of the token that reads."""
    phase: Literal["disable", "delete"]
    since: datetime
    mine: tuple[Holding, ...]
    """Identities first, each group by uid."""
    settled: set[str] = field(default_factory=set)
    """Uids that a change takes, that are left, or that are away."""

    def looked(  # noqa: PLR0913, PLR0917 - a change has these parts
        self,
        action: str,
        one: Holding,
        where: dict[str, Any],
        after: State,
        order: int,
        says: str,
        takes: Sequence[str] = (),
        residual: Residual | None = None,
    ) -> Iterator[Change | Left]:
        """Look at the thing, and yield the change that sets it to `after`; nothing where it is so. Raises RevocationError."""
        before = revoking_states.look(self.api, action, where)
        yield from self.change(action, one, where, before, after, order, takes or [one.uid], says, residual)

    def change(  # noqa: PLR0913, PLR0917 - a change has these parts
        self,
        action: str,
        one: Holding,
        where: dict[str, Any],
        before: State,
        after: State,
        order: int,
        takes: Iterable[str],
        says: str,
        residual: Residual | None = None,
    ) -> Iterator[Change | Left]:
        """Yield the change, or nothing where it is done; what would end ourselves is left."""
        takes = tuple(sorted(takes))
        if before != after and revoking_states.is_own(action, where, self.me):
            for uid in takes:
                yield self.left(uid, one.name, _OURS, "read with another identity, and plan again")
            return
        self.settled.update(takes)
        if before == after:
            return
        verb, path, _ = revoking_states.CALLS[action](where, after)
        yield Change(
            action=action,
            phase=self.phase,
            provider=PROVIDER,
            source=self.scope.source,
            scope=self.scope.name,
            target=one.uid,
            name=one.name,
            says=says,
            parameters=where,
            before=before,
            after=after,
            reversible=action in _REVERSIBLE,
            order=order,
            takes=takes,
            writes=(f"{verb} {path}",),
            looks=_LOOKS.get(action) or ("GET sys/auth", f"GET {path}"),
            residual=residual,
        )

    def left(self, uid: str, name: str, why: str, advice: str) -> Left:
        """Say that a holding stays."""
        self.settled.add(uid)
        return Left(uid, name, why, advice)

    def ending(self, one: Holding) -> list[str]:
        """Give an identity's uid with those of what ends when it can log in no more: not its leases, nor what is sealed elsewhere."""
        ending = {"secret-id", "token"}
        mine = (two for two in self.mine if two.identity_uid == one.uid and (two.what in {"grant", "trust"} or two.kind in ending))
        return list(dict.fromkeys((one.uid, *(two.uid for two in mine))))

    def mount_of(self, table: str, accessor: str) -> str | None:
        """Give the path at which the mount with an accessor is now; None where it is not there any more."""
        for path, about in must(self.api.get(table), f"GET {table}").items():
            if isinstance(about, dict) and about.get("accessor") == accessor:
                return str(path)
        return None

    def uid(self, kind: str, native: str) -> str:
        """Name a thing of this namespace."""
        return uid_of(PROVIDER, self.scope.name, kind, native)

    def native(self, uid: str) -> tuple[str, str]:
        """Give the (kind, native id) of a uid; raises RevocationError for one of another scope."""
        begin = self.uid("", "")[:-1]
        if not uid.startswith(begin):
            raise RevocationError(f"{shown(uid)} is of another scope than {self.scope.name}", fix="plan again")
        kind, _, native = uid.removeprefix(begin).partition("/")
        return kind, native


def called(kind: str, mount: str, name: str) -> str:
    """Name a role or user in a sentence."""
    what = {"approle": "the AppRole", "userpass": "the user"}.get(kind, "the role")
    return f"{what} {shown(name)} on {shown(f'auth/{mount}')}"
