"""A small hand over a real OpenBao for the tests of applying: it switches entities off, revokes tokens, and tells each moment of it.

It is as short as a hand can be, so that a test can stand between any two of its calls; connectors/vault has the real one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

import hvac

from countersign.revocation import (
    IDENTITY,
    SESSION,
    Change,
    Holding,
    Left,
    Residual,
    RevocationDeniedError,
    RevocationError,
    State,
    Tried,
    environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from countersign.programme import Source
    from countersign.reading import Scope

READER = """
path "identity/entity/*" { capabilities = ["read"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"""
WRITER = """
path "identity/entity/id/*" { capabilities = ["update", "delete"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
"""
PEOPLE_ONLY = WRITER + 'path "auth/token/revoke-accessor" { capabilities = ["deny"] }\n'


def nothing(_moment: str) -> None:
    """Let every moment pass."""


class EntityHand:
    """Entities (`vault:SCOPE:entity/ID`) and tokens (`vault:SCOPE:token/ACCESSOR`) of one server; `moment` is called between calls."""

    moment: Callable[[str], None] = staticmethod(nothing)
    acts = True
    """False: it says that it wrote, and did nothing."""

    def __init__(self, source: Source, scope: Scope, *, run: str, now: Callable[[], datetime]) -> None:
        del run, now
        self.place, self.address = (source.name, scope.name), source.address  # type: ignore[union-attr]  # a Vault source, in these tests

    def __enter__(self) -> Self:
        self.reads = hvac.Client(self.address, token=os.environ["VAULT_TOKEN"])
        self.writes = hvac.Client(self.address, token=environment(os.environ)["VAULT_TOKEN"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def changes(self, holdings: Sequence[Holding], phase: str, since: datetime) -> Iterator[Change | Left]:
        del since
        for holding in holdings:
            change = self.change(holding.uid, holding.name, phase)
            seen = self.look(change)
            if seen["exists"] and seen != change.after:
                yield change

    def change(self, uid: str, name: str, phase: str = "disable") -> Change:
        kind, _, native = uid.rpartition(":")[2].partition("/")
        gone: State = {"exists": False}
        here: State = {"exists": True, "disabled": False} if kind == "entity" else {"exists": True}
        held: dict[str, Any] = {
            "phase": phase, "provider": "vault", "source": self.place[0], "scope": self.place[1], "target": uid, "name": name, "takes": (uid,),
            "parameters": {"id": native}, "before": here, "after": gone, "reversible": False, "order": SESSION, "looks": ("GET",),
        }  # fmt: skip
        if kind == "token":
            return Change(**held, action="revoke-token", says=f"Revoke the token of {name}", writes=("POST auth/token/revoke-accessor",))
        held["order"] = IDENTITY
        if phase == "delete":
            held["before"] = here | {"disabled": True}
            return Change(**held, action="delete-entity", says=f"Delete the entity {name}", writes=("DELETE identity/entity/id",))
        held |= {"after": here | {"disabled": True}, "reversible": True}
        return Change(
            **held, action="disable-entity", says=f"Switch the entity {name} off", writes=("POST identity/entity/id",),
            residual=Residual("batch tokens live until they expire", 3600),
        )  # fmt: skip

    def look(self, change: Change) -> State:
        self.moment(f"look {change.action}")
        try:
            if change.action == "revoke-token":
                self.reads.auth.token.lookup_accessor(change.parameters["id"])
                return {"exists": True}
            found = self.reads.read(f"identity/entity/id/{change.parameters['id']}")
        except hvac.exceptions.Forbidden as error:
            # OpenBao says so of an accessor that is gone, too; this reader may look all of them up.
            if change.action == "revoke-token":
                return {"exists": False}
            raise RevocationDeniedError("the reader may not look") from error
        except hvac.exceptions.VaultError:
            return {"exists": False}
        return {"exists": False} if found is None else {"exists": True, "disabled": found["data"]["disabled"]}

    def write(self, change: Change) -> None:
        self.moment(f"write {change.action}")
        if self.acts:
            try:
                self._write(change, change.parameters["id"])
            except hvac.exceptions.Forbidden as error:
                raise RevocationDeniedError("403: permission denied") from error
            except hvac.exceptions.VaultError as error:
                raise RevocationError(str(error)) from error
        self.moment(f"wrote {change.action}")

    def _write(self, change: Change, native: str) -> None:
        if change.action == "revoke-token":
            self.writes.auth.token.revoke_accessor(native)
        elif change.action == "delete-entity":
            self.writes.delete(f"identity/entity/id/{native}")
        else:
            self.writes.write_data(f"identity/entity/id/{native}", data={"disabled": change.after["disabled"]})

    def attempt(self, uid: str, secret: str) -> Tried:
        del uid
        try:
            hvac.Client(self.address, token=secret).auth.token.lookup_self()
        except hvac.exceptions.Forbidden:
            return Tried(refused=True, call="GET auth/token/lookup-self", said="403")
        return Tried(refused=False, call="GET auth/token/lookup-self", said="200")

    def who(self) -> tuple[str, str]:
        names = [client.auth.token.lookup_self()["data"]["display_name"] for client in (self.reads, self.writes)]
        return names[0], names[1]
