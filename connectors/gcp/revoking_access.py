"""Where policies let somebody in, read live for one plan: whose memberships they are, and who else comes in by the same one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.gcp.bindings import PAGE, Bindings, acts_as
from connectors.gcp.federation import Federation
from connectors.gcp.members import member
from connectors.gcp.names import tail
from connectors.gcp.paging import pages
from connectors.gcp.permissions import PROJECT, SEARCH_POLICIES
from connectors.gcp.revoking_policy import Membership, bindings, resource_of
from connectors.gcp.visit import PROVIDER, Visit
from countersign.errors import ReadError
from countersign.fields import Row, inner, listed, text, texts
from countersign.revocation import RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from connectors.gcp.federation import Provider
    from connectors.gcp.revoking_state import Sight
    from countersign.revocation import State

_ACCOUNT = re.compile(rf"{PROVIDER}:(.+):service-account/([0-9]{{1,30}})", re.DOTALL)
_MEMBER = re.compile(rf"{PROVIDER}:.+?:member/(.+)", re.DOTALL)
_POOLS = re.compile(rf"{PROVIDER}:.+:(?:workload-identity|workforce)-provider/([^/]+)/[^/]+")
_CONTAINERS = ("cloudresourcemanager.googleapis.com/Organization", "cloudresourcemanager.googleapis.com/Folder")


@dataclass(frozen=True, slots=True)
class Way:
    """One membership that lets somebody in, as it is now."""

    membership: Membership
    state: State
    providers: tuple[str, ...] = ()
    """Where it is a pool's: subjects of all its providers, or of those through which the party that was asked for comes in."""
    parties: frozenset[tuple[str, str, str | None]] = frozenset()
    """Kind, party and condition of who comes in by it; empty where that was not asked."""


@dataclass(slots=True)
class Access:
    """The policies of one scope, each read once."""

    sight: Sight
    source: str
    scope: str
    organization: str | None
    now: Callable[[], datetime]
    whole: frozenset[str] = frozenset()
    """Subjects of the identities that are wholly the partner's."""
    _policies: dict[str, Row | None] = field(default_factory=dict)
    _found: dict[str, set[str]] | None = None
    _bindings: Bindings | None = None
    _api_keys: dict[str, tuple[str, str | None]] | None = None

    @property
    def of_organization(self) -> bool:
        """Whether the scope is an organization with its folders."""
        return self.scope.startswith("organizations/")

    @property
    def api_keys(self) -> dict[str, tuple[str, str | None]]:
        """The project's API keys: uid to name, and the e-mail of the account that it is bound to."""
        if self._api_keys is None:
            self._api_keys = self.sight.api_key_names(self.scope)
        return self._api_keys

    def pools(self, kind: str) -> str:
        """Give the collection that the pools of a kind of provider are in."""
        workforce = kind == "workforce-provider"
        return "locations/global/workforcePools" if workforce else f"projects/{self.scope}/locations/global/workloadIdentityPools"

    def held_by_member(self, written: str) -> tuple[tuple[Way, ...], frozenset[str]]:
        """Give every membership of a member in the scope, and the resources whose policies are not changed here."""
        named = self._search().get(_alike(written), set()) | self._search().get(_alike(f"deleted:{written}"), set())
        here = {one for name in ("*", *named) if (one := self._where(name)) is not None}
        ways = [way for one in sorted(here) for way in self._ways(one, None, lambda each: _same(each, written), None)]
        return tuple(ways), frozenset(name for name in named if self._where(name) is None)

    def held(self, identity: str, role: str, resource: str, via: str) -> tuple[Way, ...] | None:
        """Give the memberships by which an identity holds a role on a resource; None where that policy is not changed here."""
        where = self._where(resource)
        if where is None:
            return None
        if match := _ACCOUNT.fullmatch(identity):
            name = f"projects/{match[1]}/serviceAccounts/{match[2]}"
            email = self.sight.account(name).get("email")
            gone = re.compile(rf"deleted:serviceAccount:.+\?uid={match[2]}", re.DOTALL)
            live = None if email is None else f"serviceAccount:{email}"
            return self._ways(where, role, lambda one: one == live or bool(gone.fullmatch(one)), name)
        if match := _POOLS.fullmatch(identity):
            return self._of_pool(where, role, match[1], via)
        match = _MEMBER.fullmatch(identity)
        written = match[1] if match else ""
        return self._ways(where, role, lambda one: _same(one, written), None)

    def acting_as(self, account: str, mine: tuple[str, str, str | None]) -> Iterator[Way]:
        """Give the memberships in an account's own policy by which a party (kind, party, condition) may act as it."""
        known, policy = self._known(), self._policy(account)
        found: list[Way] = []
        for role, condition, members in bindings(policy or {}):
            acting = acts_as(role, known.permissions_of(role))
            for written in dict.fromkeys(members):
                one = member(written)
                let_in = frozenset((party.kind, party.party, party.condition) for party in known.outsiders(one))
                if not acting or mine not in let_in:
                    continue
                providers = known.federation.pools.get(one.pool or "", ()) if one.kind == "pool" else ()
                used = tuple(sorted(each.uid for each in providers if each.enabled is not False and _lets_in(each, mine)))
                made = self._way(Membership(account, role, condition, written, None), policy, used)
                found.append(Way(made.membership, made.state, used, let_in))
        self._demand(known.visit)
        yield from found

    def _where(self, name: str) -> str | None:
        """Give a resource by the one name that is used here: a project by its id, an account by its unique id."""
        found = resource_of(name, self.scope)
        if found is None or self.of_organization or not found.startswith("projects/"):
            return found
        account = tail(found) if "/serviceAccounts/" in found else None
        if account is None:
            return f"projects/{self.scope}"
        state = {} if account.isdecimal() else self.sight.account(f"projects/{self.scope}/serviceAccounts/{account}")
        return f"projects/{self.scope}/serviceAccounts/{state.get('unique_id', account)}"

    def _of_pool(self, resource: str, role: str, pool: str, via: str) -> tuple[Way, ...]:
        known = self._known()
        selector = via.partition("; ")[0]

        def is_it(written: str) -> bool:
            one = member(written)
            own = one.kind == "workforce" if self.of_organization else one.kind == "pool" and one.home in known.own
            chosen = one.selector if one.selector != "*" else "direct"
            return (
                own and one.pool == pool and (str(chosen)[:200] == selector or (chosen == "direct" and selector.startswith("condition: ")))
            )

        providers = tuple(sorted(each.uid for each in known.federation.pools.get(pool, ())))
        self._demand(known.visit)
        return self._ways(resource, role, is_it, None, providers)

    def _ways(
        self, resource: str, role: str | None, is_it: Callable[[str], bool], account: str | None, providers: tuple[str, ...] = ()
    ) -> tuple[Way, ...]:
        policy = self._policy(resource)
        return tuple(
            self._way(Membership(resource, held, condition, written, account), policy, providers)
            for held, condition, members in bindings(policy or {})
            if role in {None, held}
            for written in dict.fromkeys(members)
            if is_it(written)
        )

    def _way(self, one: Membership, policy: Row | None, providers: tuple[str, ...]) -> Way:
        return Way(one, self.sight.membership(one, policy), providers)

    def _policy(self, resource: str) -> Row | None:
        if resource not in self._policies:
            self._policies[resource] = self.sight.policy(resource)
        return self._policies[resource]

    def _known(self) -> Bindings:
        """Read the pools, by which the connector tells who comes in by a member: it must be told here in the same way."""
        if self._bindings is None:
            visit = Visit(door=self.sight.door, source=self.source, scope=self.scope, now=self.now)
            federation = Federation(visit, workforce=self.of_organization)
            for _page in federation.read():
                pass
            own = {self.scope, str(tail(self.scope))}
            if not self.of_organization:
                number = tail(text(self.sight.ask(PROJECT, {"name": f"projects/{self.scope}"}) or {}, "name"))
                own = {self.scope, *(one for one in (number, self.organization) if one)}
            self._bindings = Bindings(visit, own, federation)
            self._demand(visit)
        return self._bindings

    @staticmethod
    def _demand(visit: Visit) -> None:
        """Refuse to go on where something was not read: what is not seen is not away."""
        if visit.failures:
            raise RevocationError(visit.failures[0].message, fix="let the reader read it, and plan again")
        partial = next((one for one in visit.operations if one.state != "complete" and one.used), None)
        if partial is not None:
            raise RevocationError(f"{partial.operation}: {partial.why}", fix="let the reader read it, and plan again")

    def _search(self) -> dict[str, set[str]]:
        """Ask Cloud Asset which policies name whom; it lags behind, and only adds to what is looked up by name."""
        if self._found is None:
            self._found = {}
            of_project: dict[str, Any] = {"scope": f"projects/{self.scope}", "pageSize": PAGE}
            asked = {"scope": self.scope, "pageSize": PAGE, "assetTypes": list(_CONTAINERS)} if self.of_organization else of_project
            try:
                for page, _ in pages(self.sight.door, SEARCH_POLICIES, "results", asked):
                    for row in page:
                        for binding in listed(inner(row, "policy"), "bindings"):
                            for written in texts(binding, "members"):
                                self._found.setdefault(_alike(_plain(written)), set()).add(text(row, "resource") or "")
            except ReadError as error:
                raise RevocationError(error.message) from error
        return self._found


def _lets_in(provider: Provider, mine: tuple[str, str, str | None]) -> bool:
    return any((one.kind, one.party) == mine[:2] for one in provider.parties or ())


def _same(one: str, written: str) -> bool:
    """Whether a member of a policy is the one that is written so, deleted meanwhile or not."""
    return _alike(one) == _alike(written) or _alike(_plain(one)) == _alike(f"deleted:{written}")


def _alike(written: str) -> str:
    """Write addresses alike, which Google does not tell apart by their case; what a pool calls its principals it does."""
    return written if "://" in written else written.casefold()


def _plain(written: str) -> str:
    """Write a deleted member without its unique id."""
    return written.rpartition("?uid=")[0] or written if written.startswith("deleted:") else written
