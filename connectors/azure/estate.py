"""What has been read of one tenant so far: raw rows by id, who holds which role, and what could not be read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from countersign.privilege import UNREAD, azure, strongest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from countersign.fields import Row
    from countersign.privilege import Verdict

Holder = Literal["user", "service-principal", "group", "foreign-principal"]
HOLDERS: Mapping[str, Holder] = {
    "user": "user",
    "serviceprincipal": "service-principal",
    "msi": "service-principal",
    "group": "group",
    "foreigngroup": "foreign-principal",
    "agentidentity": "service-principal",
    "agentidentityblueprintprincipal": "service-principal",
    "agentuser": "user",
}
"""By the provider's word for it (`@odata.type`, `principalType`), in lower case."""


class Seen(NamedTuple):
    """A row and the moment it was read."""

    row: Row
    at: datetime


@dataclass(frozen=True, slots=True)
class Holding:
    """A role in someone's hands."""

    holder: str
    """Object id."""
    kind: Holder
    role: str
    resource: str
    verdict: Verdict
    via: str = "direct"


@dataclass(frozen=True, slots=True)
class AzureRole:
    """A role definition of Azure."""

    name: str
    permissions: tuple[tuple[tuple[str, ...], tuple[str, ...], bool], ...] | None
    """Actions, notActions, and whether a condition narrows them; None: not read."""

    def verdict(self, *, conditioned: bool) -> Verdict:
        """Judge what it makes of its holder; `conditioned`: the assignment has a condition."""
        if self.permissions is None:
            return UNREAD
        return strongest(azure.azure_role(allowed, but, conditioned=conditioned or narrowed) for allowed, but, narrowed in self.permissions)


@dataclass(frozen=True, slots=True)
class Foreigner:
    """The holder of a role whose home is another tenant."""

    tenant: str | None
    """None: the provider does not say which."""
    name: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Delegation:
    """A Lighthouse registration: resources handed to another tenant."""

    id: str
    """Resource id in lower case, without its first slash."""
    assignment: Row
    definition: Row
    """Its properties; empty where it was not answered."""
    at: datetime


@dataclass(slots=True)
class Use:
    """When applications and their credentials last signed in, and why it is not known where it is not."""

    apps: dict[str, datetime] = field(default_factory=dict)
    """By app id."""
    keys: dict[str, datetime] = field(default_factory=dict)
    """By key id."""
    no_app: str = "last sign-ins of applications are in Graph's beta reports only, and `beta_reports` is off"
    no_key: str = "last uses of credentials are in Graph's beta reports only, and `beta_reports` is off"


@dataclass(slots=True)
class Estate:
    """Filled by the readers in the order in which they need each other's rows."""

    principals: dict[str, Seen] = field(default_factory=dict)
    by_app_id: dict[str, str] = field(default_factory=dict)
    """App id to the object id of its service principal here."""
    applications: dict[str, Seen] = field(default_factory=dict)
    users: dict[str, Seen] = field(default_factory=dict)
    partners: dict[str, Seen] = field(default_factory=dict)
    partner_default: Row | None = None
    """What holds for a partner whose own entry is silent; None: not read."""
    constraints: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Service provider's tenant to the role templates it is limited to; None: could not be read."""
    foreigners: dict[str, Foreigner] = field(default_factory=dict)
    delegations: list[Delegation] = field(default_factory=list)
    owners: dict[tuple[str, str], tuple[tuple[Holder, str], ...]] = field(default_factory=lambda: defaultdict(tuple))
    """(kind, id) of what is owned to its owners."""
    credentials: set[str] = field(default_factory=set)
    """Uids of the secrets and certificates that were told already."""
    federated: dict[str, Seen] = field(default_factory=dict)
    """Id of a federated credential to its row; whose it is, is in `federated_of`."""
    federated_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id of a federated credential to the (kind, id) of its identity."""
    unread_federation: dict[str, str] = field(default_factory=dict)
    """Object id to why its federated credentials are not known."""
    resource_tags: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Object id of a managed identity to the tags of its Azure resource."""
    agents_created: dict[str, datetime] = field(default_factory=dict)
    """Object id of an agent identity to its creation."""
    azure_roles: dict[str, AzureRole] = field(default_factory=dict)
    """By the id of the definition."""
    holdings: list[Holding] = field(default_factory=list)
    group_names: dict[str, str] = field(default_factory=dict)
    grant_gaps: list[str] = field(default_factory=list)
    """Why somebody may hold more than is known."""
    use: Use = field(default_factory=Use)
    sign_ins: str | None = None
    """Why last sign-ins of users are not known; None: they are."""

    def azure_role(self, role_id: str) -> AzureRole:
        """Return an Azure role, one of which nothing is known where it was not read."""
        return self.azure_roles.get(role_id, AzureRole(role_id, None))

    def add_gap(self, reason: str | None) -> None:
        """Remember why grants may be incomplete, once."""
        if reason is not None and reason not in self.grant_gaps:
            self.grant_gaps.append(reason)
