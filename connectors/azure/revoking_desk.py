"""One planning of one tenant: what is held of whom, and how a change is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from connectors.azure.revoking_calls import every, manager
from connectors.azure.revoking_things import ACTIONS
from connectors.azure.visit import PROVIDER
from countersign.document import shown
from countersign.fields import guid, inner, text
from countersign.finding import inert
from countersign.revocation import Change, Holding, Left, Residual

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from connectors.azure.visit import Visit
    from countersign.fields import Row
    from countersign.revocation import State

TOKENS = Residual("Access tokens issued before stay good until they expire, as a rule 60 to 90 minutes.", 90 * 60)
KEPT_TOKENS = Residual("Azure keeps tokens of a managed identity for its resource, and they stay good for up to 24 hours.", 24 * 3600)
AZURE_SETTLES = Residual("Azure may take up to 10 minutes to go by it.", 10 * 60)
RESTORABLE = Residual("An administrator can restore it, with its credentials, for 30 days.", 30 * 24 * 3600)


class Away(NamedTuple):
    """A holding that gives no access any more."""

    uid: str


class Joined(NamedTuple):
    """Holdings that go with an application which is deleted in the same plan."""

    app_id: str
    uids: tuple[str, ...]


Said = Change | Left | Away | Joined


@dataclass(frozen=True, slots=True)
class Person:
    """One identity and all that is held by it or through it; called so although most are programs."""

    uid: str
    kind: str
    id: str
    """The provider's immutable id."""
    holdings: tuple[Holding, ...]

    @property
    def own(self) -> Holding | None:
        """Return the holding that is the identity itself; None where it is not among what was asked about."""
        return next((each for each in self.holdings if each.uid == self.uid), None)

    @property
    def is_whole(self) -> bool:
        """Whether the identity is the partner's and is to go: then all that it carries goes with it."""
        return self.own is not None and self.own.whole

    @property
    def name(self) -> str:
        """Return what people call it."""
        return (self.own or self.holdings[0]).name

    def of(self, what: str, *kinds: str) -> tuple[Holding, ...]:
        """Return the holdings that are credentials, grants or trusts, of some kinds or of all."""
        return tuple(each for each in self.holdings if each.what == what and (not kinds or each.kind in kinds))


@dataclass(slots=True)
class Desk:
    """What every planner needs, and the names of roles once they were read."""

    visit: Visit
    phase: Literal["disable", "delete"]
    since: datetime
    deleted: Mapping[str, str] = field(default_factory=dict)
    """App id to uid of the applications that this plan deletes."""
    _directory: dict[str, str] | None = None
    _azure: dict[str, str] | None = None

    def step(  # noqa: PLR0913 -- a change has these parts
        self,
        person: Person,
        action: str,
        says: str,
        *,
        parameters: Mapping[str, Any],
        before: State,
        after: State,
        order: int,
        takes: Iterable[str],
        target: str | None = None,
        reversible: bool = True,
        residual: Residual | None = TOKENS,
    ) -> Change:
        """Write a change down; `target` is the identity where nothing else is said."""
        made = ACTIONS[action]
        return Change(
            action=action,
            phase=self.phase,
            provider=PROVIDER,
            source=self.visit.source,
            scope=self.visit.tenant,
            target=target or person.uid,
            name=person.name,
            says=says,
            parameters=parameters,
            before=before,
            after=after,
            reversible=reversible,
            order=order,
            takes=tuple(sorted(set(takes))),
            writes=made.writes,
            looks=made.looks,
            residual=residual,
        )

    def directory_role(self, role_id: str) -> str:
        """Return the name of a directory role, its id where it has none. Raises Refusal, ReadError."""
        if self._directory is None:
            path = "/v1.0/roleManagement/directory/roleDefinitions?$select=id,displayName"
            self._directory = _named(every(self.visit.door.graph, path), "displayName")
        return self._directory.get(role_id, role_id)

    def azure_role(self, role_id: str) -> str:
        """Return the name of an Azure role, its id where it has none. Raises Refusal, ReadError, RevocationError."""
        if self._azure is None:
            self._azure = {}
            for row in self.azure("where type =~ 'microsoft.authorization/roledefinitions'"):
                name = text(inner(row, "properties"), "roleName")
                if name is not None:
                    self._azure[(text(row, "id") or "").rpartition("/")[2].lower()] = name
        return self._azure.get(role_id, role_id)

    def azure(self, condition: str) -> list[Row]:
        """Ask Azure Resource Graph for rows of its table of authorisation."""
        path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
        query = f"authorizationresources | {condition} | project id, properties | order by id asc"
        return [row for page, _ in manager(self.visit.door).queried(path, query, 1_000) for row in page]


def left(holdings: Sequence[Holding], why: str, advice: str) -> list[Left]:
    """Say of holdings that nothing takes them away."""
    return [Left(each.uid, each.name, why, advice) for each in holdings]


def uids(holdings: Iterable[Holding]) -> tuple[str, ...]:
    """Return the uids of holdings."""
    return tuple(each.uid for each in holdings)


def place(path: str) -> str:
    """Return an address or a path whole, up to 300 characters, so that it cannot act on who reads it."""
    return f'"{inert(path)[:300]}"'


def called(row: Row, key: str, otherwise: str) -> str:
    """Return the name that the portal shows, so that it cannot act on who reads it."""
    return shown(text(row, key) or otherwise)


def _named(found: Iterable[Row], key: str) -> dict[str, str]:
    return {role_id: name for row in found if (role_id := guid(row, "id")) is not None and (name := text(row, key)) is not None}
