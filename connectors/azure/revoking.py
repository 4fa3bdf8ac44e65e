"""Takes access away in a tenant of Microsoft Entra and in Azure: plans with the reading identity, changes with the revoking one."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, Self, cast

from connectors.azure import revoking_attempt
from connectors.azure.login import revoking
from connectors.azure.revoking_calls import every, found, told
from connectors.azure.revoking_delegations import foreign_principal, lighthouse, partner_tenant
from connectors.azure.revoking_desk import Desk, Joined, Person, left
from connectors.azure.revoking_identities import application, service_principal, user
from connectors.azure.revoking_things import ACTIONS, object_path
from connectors.azure.visit import PROVIDER, Visit, check_tenant, entered
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import guid
from countersign.revocation import ENVIRONMENT, Change, Left, RevocationDeniedError, RevocationError, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from connectors.azure.revoking_calls import Action
    from connectors.azure.revoking_desk import Said
    from countersign.programme import AzureSource, Source
    from countersign.reading import Scope
    from countersign.revocation import Holding, State, Tried

_ID = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[^?#%]+/providers/microsoft\.managedservices/registrationassignments/[0-9a-f-]{36}"
)
"""What goes into an address: an object id, or the resource id of a registration."""
_PLANNERS: Mapping[str, Callable[[Desk, Person], Iterator[Said]]] = {
    "application": application,
    "foreign-principal": foreign_principal,
    "lighthouse-delegation": lighthouse,
    "partner-tenant": partner_tenant,
    "service-principal": service_principal,
    "user": user,
}


def hand(source: Source, scope: Scope, *, run: str, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep) -> AzureHand:
    """Enter the tenant of a source; nothing is asked of it before the `with` block.

    `run` is not used: Microsoft's tokens have no name for a session. `sleep` waits between tries when the service is busy.
    """
    del run
    return AzureHand(cast("AzureSource", source), scope.name, now, sleep)


@dataclass(slots=True)
class AzureHand:
    """One tenant, entered to change it (`countersign.revocation.Hand`)."""

    _source: AzureSource
    _scope: str
    _now: Callable[[], datetime]
    _sleep: Callable[[float], None]
    _reader: Visit | None = field(default=None, init=False)
    _revoker: Visit | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        """Log in as the reader, and make sure whose directory answers. Raises RevocationError."""
        try:
            visit = entered(self._source, None, self._sleep, self._now)
            with told():
                check_tenant(self._source, visit)
        except ReadError as error:
            raise _unread(error) from error
        self._reader = visit
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Forget both identities' tokens."""
        self._reader = self._revoker = None

    def changes(self, holdings: Sequence[Holding], phase: Literal["disable", "delete"], since: datetime) -> Iterator[Change | Left]:
        """Yield what takes these holdings away, or why nothing does, looked up live; see `Hand`. Raises RevocationError."""
        desk = Desk(self._visit, phase, since)
        ordered = sorted(holdings, key=lambda each: (each.identity_uid, each.uid))
        people = [self._person(uid, group) for uid, group in groupby(ordered, attrgetter("identity_uid"))]
        with told():
            if phase == "delete":
                desk.deleted = dict(self._deleted(people))
            said = [each for person in people for each in self._planned(desk, person)]
        joined = {each.app_id: each.uids for each in said if isinstance(each, Joined)}
        with_app = {desk.deleted[app_id]: uids for app_id, uids in joined.items()}
        for each in said:
            if isinstance(each, Change) and each.action == "delete-application":
                yield replace(each, takes=tuple(sorted({*each.takes, *with_app.get(each.target, ())})))
            elif isinstance(each, Change | Left):
                yield each

    def _person(self, uid: str, holdings: Iterator[Holding]) -> Person:
        prefix = f"{PROVIDER}:{self._scope}:"
        kind, _, native_id = uid.removeprefix(prefix).partition("/")
        if not uid.startswith(prefix) or _ID.fullmatch(native_id) is None:
            raise RevocationError(f"{uid} is nothing of tenant {self._scope}", fix="plan again")
        return Person(uid, kind, native_id, tuple(holdings))

    def _planned(self, desk: Desk, person: Person) -> Iterator[Said]:
        """Plan for one identity; whatever its planner says nothing of is left, and says so."""
        if person.id == self._visit.own_principal:
            yield from left(person.holdings, "Countersign reads this tenant with it", "give Countersign another identity, and plan again")
            return
        planner, met = _PLANNERS.get(person.kind), set[str]()
        for each in planner(desk, person) if planner is not None else ():
            met.update(each.takes if isinstance(each, Change) else each.uids if isinstance(each, Joined) else (each.uid,))
            yield each
        rest = [each for each in person.holdings if each.uid not in met]
        yield from left(rest, "there is no call that takes it away", "take it away in the Entra admin centre, or in the Azure portal")

    def _deleted(self, people: Sequence[Person]) -> Iterator[tuple[str, str]]:
        """Yield app id and uid of applications that can be deleted: that takes their service principal along, which must be meant too."""
        graph = self._visit.door.graph
        meant = {person.id for person in people if person.kind == "service-principal" and person.is_whole}
        for person in people:
            row = None
            if person.kind == "application" and person.is_whole:
                row = found(graph, object_path("applications", person.id))
            if row is None or (app_id := guid(row, "appId")) is None:
                continue
            principals = every(graph, f"/v1.0/servicePrincipals?$filter=appId%20eq%20'{app_id}'&$select=id")
            if {guid(each, "id") for each in principals} <= meant:
                yield app_id, person.uid

    def look(self, change: Change) -> State:
        """Return the state now, by the reading identity. Raises RevocationError."""
        with told():
            return self._action(change).look(self._visit.door, change.parameters)

    def write(self, change: Change) -> None:
        """Make the change by the revoking identity, which must be another than the reading one. Raises RevocationError."""
        action, revoker = self._action(change), self._changer()
        if _same(self._visit, revoker):
            raise RevocationDeniedError(
                f"the identity that revokes in tenant {self._scope} is the one that reads, or its token does not say who it is",
                fix=f"give the revoking identity an application of its own in {ENVIRONMENT}AZURE_CLIENT_ID",
            )
        if revoker.own_principal in change.parameters.values():
            raise RevocationDeniedError("the revoking identity would change itself", fix="leave it out of the plan (--without)")
        with told("revoking"):
            action.write(self._visit.door, revoker.door, change)

    def attempt(self, uid: str, secret: str) -> Tried:
        """Ask for a token with an old client secret; see `Hand`. Raises RevocationError when the owner cannot be looked up."""
        with told():
            return revoking_attempt.attempt(self._source, self._visit, uid, secret)

    def who(self) -> tuple[str, str]:
        """Return who reads and who writes, by the tokens' own word. Raises RevocationError where there is no revoking identity."""
        return self._visit.caller, self._changer().caller

    def _action(self, change: Change) -> Action:
        if (change.provider, change.source, change.scope) != (PROVIDER, self._source.name, self._scope) or change.action not in ACTIONS:
            raise RevocationError(f"{change.action} of {change.target} is no change of tenant {self._scope} here", fix="plan again")
        return ACTIONS[change.action]

    @property
    def _visit(self) -> Visit:
        if self._reader is None:
            raise RevocationError("the tenant was not entered")
        return self._reader

    def _changer(self) -> Visit:
        """Log in as the revoking identity, once."""
        if self._revoker is None:
            try:
                self._revoker = entered(self._source, revoking(self._source, environment(os.environ)), self._sleep, self._now)
            except ReadError as error:
                raise _unread(error) from error
        return self._revoker


def _same(reader: Visit, revoker: Visit) -> bool:
    """Whether two identities are one, or it cannot be told."""
    if reader.own_principal is not None and revoker.own_principal is not None:
        return reader.own_principal == revoker.own_principal
    return reader.caller == revoker.caller or not all(each.caller.startswith("application ") for each in (reader, revoker))


def _unread(error: ReadError) -> RevocationError:
    kind = RevocationDeniedError if isinstance(error, ScopeDeniedError) else RevocationError
    return kind(error.message, fix=error.fix)
