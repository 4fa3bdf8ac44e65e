"""Who may do what: the allow policies of a scope, turned into grants, into members that are nobody's accounts here, and into trust."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.door import GoneError
from connectors.gcp.federation import Federation, trust
from connectors.gcp.members import Member, Party, member, party
from connectors.gcp.names import tail
from connectors.gcp.permissions import ORGANIZATION_ROLE, PROJECT, PROJECT_ROLE, SEARCH_POLICIES, SEARCH_RESOURCES
from connectors.gcp.visit import PROVIDER
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import Row, inner, kept, listed, text, texts
from countersign.identity import Grant, Identity, Trust, uid
from countersign.privilege import LIMITED, UNREAD, Verdict, gcp, strongest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from connectors.gcp.accounts import Accounts
    from connectors.gcp.visit import Operation, Visit
    from countersign.identity import Record

PAGE = 500
_CRM, _IAM = "cloudresourcemanager.googleapis.com", "iam.googleapis.com"
_CONTAINERS = (f"{_CRM}/Organization", f"{_CRM}/Folder")
_ANY = Verdict("administrator")
_TOKENS_FOR_OTHERS = ("iam.serviceAccounts.getOpenIdToken", "roles/iam.serviceAccountOpenIdTokenCreator")
"""Worth nothing to Google's own APIs, but whatever believes the account's ID tokens takes their holder for it."""
_HANDED_ON = "named by the basic roles that its project's policy gives"
_ACCOUNT = re.compile(r"//iam\.googleapis\.com/projects/([^/]+)/serviceAccounts/")
_LONGEST_VIA = 200


@dataclass(frozen=True, slots=True)
class Bound:
    """One role held on one resource by one member."""

    member: Member
    role: str
    resource: str
    asset_type: str
    condition: str | None
    """Title of the condition, else its expression; None where there is none."""


@dataclass(slots=True)
class Bindings:
    """The policies set in a scope: on a project and whatever is in it, or on an organization and its folders."""

    visit: Visit
    own: set[str]
    """The names that this scope's own accounts have for a home: project id and number, organization number."""
    federation: Federation
    accounts: Accounts | None = None
    """None for an organization, which has none of its own."""
    search: Operation | None = None
    unread: dict[str, str] = field(default_factory=dict)
    """Unique id of an account to why it is not known who may act as it."""
    _roles: dict[str, Operation] = field(default_factory=dict)
    _permissions: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    _numbers: dict[str, str | None] = field(default_factory=dict)
    _members: dict[str, Member] = field(default_factory=dict)
    _trusts: set[Trust] = field(default_factory=set)
    _power: dict[str, list[Verdict]] = field(default_factory=lambda: defaultdict(list))
    """Of each account, by unique id: what its own roles in the project make of it."""
    _elsewhere: list[Bound] = field(default_factory=list)
    """Of an organization: what is held by service accounts, which may be those of its projects."""
    _homes: dict[str, str] = field(default_factory=dict)
    """E-mail to subject id of the accounts in an organization's projects."""
    _later: list[Bound] = field(default_factory=list)
    """Roles on service accounts: what they are worth depends on what the account can do."""

    def read(self) -> Iterator[Record]:
        """Yield grants, members and trust, page by page."""
        self.search = search = self.visit.operation(SEARCH_POLICIES, "member")
        scope = self.visit.scope if self.accounts is None else f"projects/{self.visit.scope}"
        asked = {"scope": scope, "pageSize": PAGE, **({"assetTypes": list(_CONTAINERS)} if self.accounts is None else {})}
        for page in search.listed("results", asked):
            for row in page:
                for bound in self._bound(row, search):
                    yield from self._held(bound)
            yield search.observe([_shown(row) for row in page], parameters=asked)
        for bound in self._later:
            yield from self._on_account(bound)
        if self._elsewhere:
            yield from self._look_for_accounts()
            for bound in self._elsewhere:
                yield from self._held_by(bound, tuple(self._subjects(bound.member)))
        for subject, one in self._members.items():
            yield from self._member(one, subject)

    @property
    def why(self) -> str | None:
        """Why the bindings may not be whole; None where they are."""
        return None if self.search is None else self.search.why

    @staticmethod
    def _bound(row: Row, search: Operation) -> Iterator[Bound]:
        resource = text(row, "resource")
        if resource is None:
            search.drop("policy without its resource")
            return
        for binding in listed(inner(row, "policy"), "bindings"):
            role = text(binding, "role")
            if role is None:
                search.drop("binding without a role")
                continue
            about = inner(binding, "condition")
            condition = (text(about, "title") or text(about, "expression") or "without a name") if about else None
            for written in texts(binding, "members"):
                yield Bound(member(written), role, resource, text(row, "assetType") or "", condition)

    def _held(self, bound: Bound) -> Iterator[Grant]:
        """Take one role of one member: give what can be said of it now, and keep the rest."""
        one = bound.member
        if (reason := self._not_ours(one)) is not None:
            if one.kind == "unknown":
                self._op.drop(reason)
            else:
                self._op.leave_out(reason)
            return
        subjects = tuple(self._subjects(one))
        if one.kind == "pool" and self._is_own(one) and self.federation.whole and not self._pool_exists(one):
            self._op.leave_out("principal of a pool that does not exist")
            return
        if not subjects and self.accounts is not None and self._is_listed_home(one):
            self._op.leave_out("service account that is not in IAM's list")
            return
        if self.accounts is None and one.kind == "service-account":
            self._elsewhere.append(bound)
            return
        yield from self._held_by(bound, subjects)

    def _held_by(self, bound: Bound, subjects: tuple[str, ...]) -> Iterator[Grant]:
        """Say that identities of ours hold a role, or a member where there is none."""
        if not subjects:
            subjects = (self.visit.uid("member", bound.member.text),)
            self._members.setdefault(subjects[0], bound.member)
        if bound.asset_type == f"{_IAM}/ServiceAccount":
            self._later.append(bound)
            return
        verdict = self._verdict(bound)
        unique = None if self.accounts is None else self.accounts.ids.get(bound.member.name)
        if unique is not None and bound.asset_type == f"{_CRM}/Project":
            self._power[unique].append(verdict)
        yield from (self._grant(subject, bound, verdict) for subject in subjects)

    def _not_ours(self, one: Member) -> str | None:
        """Say why a member is left out; None when it is not."""
        if one.kind == "deleted":
            return "deleted member"
        if one.kind == "unknown":
            return "member of an unknown type"
        if one.agent and one.home in self.own:
            return "Google's own service agent"
        if one.kind == "project-role" and one.home in self.own:
            return _HANDED_ON
        return None

    def _subjects(self, one: Member) -> Iterator[str]:
        """Give the identities of this scope that a member is; none for anybody else."""
        if one.kind == "service-account" and self.accounts is not None:
            subject = self.accounts.uid(one.name)
            if subject is not None:
                yield subject
        elif one.name in self._homes:
            yield self._homes[one.name]
        elif (one.kind == "pool" and self._is_own(one)) or (one.kind == "workforce" and self.federation.workforce):
            yield from (provider.uid for provider in self.federation.pools.get(one.pool or "", ()))

    def _look_for_accounts(self) -> Iterator[Record]:
        """Find the accounts of the organization's projects, so that what is given here counts for them and not for a stranger."""
        search = self.visit.shared(SEARCH_RESOURCES)
        asked = {"scope": self.visit.scope, "assetTypes": [f"{_IAM}/ServiceAccount"], "pageSize": PAGE}
        wanted = {bound.member.name for bound in self._elsewhere}
        for page in search.listed("results", asked):
            for row in page:
                about, place = inner(row, "additionalAttributes"), _ACCOUNT.match(text(row, "name") or "")
                email, unique = text(about, "email"), text(about, "uniqueId") or tail(text(row, "name"))
                if place is not None and unique is not None and email in wanted:
                    self._homes[email] = uid(PROVIDER, place[1], "service-account", unique)
            yield search.observe([kept(row, ("name", "additionalAttributes"), whole=True) for row in page], parameters=asked)

    def _pool_exists(self, one: Member) -> bool:
        return one.pool_of_clusters or one.pool in self.federation.pools

    def _is_own(self, one: Member) -> bool:
        return one.home is not None and (one.home in self.own or self._project(one.home) in self.own)

    def _is_listed_home(self, one: Member) -> bool:
        """Whether a member would be in the list of this project's accounts, if it existed."""
        return one.kind == "service-account" and not one.agent and one.name.endswith(f"@{self.visit.scope}.iam.gserviceaccount.com")

    def _member(self, one: Member, subject: str) -> Iterator[Identity | Trust]:
        person = one.kind == "user"
        elsewhere = "a policy names it, and what it is is kept elsewhere"
        unknown = {"created_at": elsewhere, "last_active_at": elsewhere} | ({"mfa": elsewhere} if person else {})
        if one.kind == "pool" and self._is_own(one):
            if not self.federation.whole and not one.pool_of_clusters:
                unknown["trusts"] = "the providers of its pool were not read"
        elif one.kind in {"workforce", "principal-set"} and one.home is None:
            unknown["trusts"] = "who may come in by it is not told in this scope"
        elif (other := self._party(one)) is not None:
            yield trust(self.visit, subject, other)
        if self.why is not None:
            unknown["grants"] = self.why
        yield Identity(
            uid=subject,
            provider=PROVIDER,
            scope=self.visit.scope,
            kind="member",
            native_id=one.text,
            name=one.name,
            track=one.track,
            enabled=True,  # the policy is in force; whether its own directory has disabled it is not known here
            console=person,
            observed_at=self.visit.now(),
            unknown=unknown,
        )

    def _party(self, one: Member) -> Party | None:
        """Give the party outside this scope that a member stands for; None where it is of the scope itself."""
        of_project = one.kind in {"service-account", "pool", "project-role", "principal-set"}
        if one.home is None or not of_project:
            return party(one, None)
        return None if self._is_own(one) else party(one, self._project(one.home))

    def _verdict(self, bound: Bound) -> Verdict:
        """Judge a role where it is held; `administrator` of one resource is none of the project."""
        permissions = self.permissions_of(bound.role)
        verdict = gcp.role(bound.role, permissions)
        if verdict.power == "administrator" and not bound.asset_type.startswith(f"{_CRM}/"):
            verdict = LIMITED
        return verdict

    def _on_account(self, bound: Bound) -> Iterator[Grant | Trust]:
        unique = None if self.accounts is None else self.accounts.ids.get(bound.resource.rpartition("/")[2])
        permissions = self.permissions_of(bound.role)
        account = UNREAD if unique is None else strongest(self._power.get(unique, ()))
        verdict = gcp.on_service_account(bound.role, permissions, account)
        subjects = tuple(self._subjects(bound.member)) or (self.visit.uid("member", bound.member.text),)
        yield from (self._grant(subject, bound, verdict) for subject in subjects)
        if unique is None:
            return
        acting = acts_as(bound.role, permissions)
        if acting is None:
            self.unread.setdefault(unique, f"what {bound.role} lets others do with it was not read")
        for one in self.outsiders(bound.member) if acting else ():
            found = trust(self.visit, self.visit.uid("service-account", unique), one)
            if found not in self._trusts:
                self._trusts.add(found)
                yield found

    def outsiders(self, one: Member) -> Iterator[Party]:
        """Give the outside parties that a member of an account's policy lets act as the account."""
        providers = self.federation.pools.get(one.pool or "", ()) if one.kind == "pool" and self._is_own(one) else ()
        for provider in providers:
            if provider.enabled is not False:
                for issuer in provider.parties or ():
                    chosen = None if one.selector == "*" else one.selector
                    both = " and ".join(part for part in (chosen, issuer.condition) if part)
                    yield Party(issuer.kind, issuer.party, both or None)
        if not providers and (other := self._party(one)) is not None:
            yield other

    def _grant(self, subject: str, bound: Bound, verdict: Verdict) -> Grant:
        # A container of the whole scope is `*`; a folder, an account or any other resource has its own name.
        whole = bound.asset_type == (f"{_CRM}/Project" if self.accounts is not None else f"{_CRM}/Organization")
        chosen = bound.member.selector if bound.member.kind in {"pool", "workforce"} else None
        said = [*([] if chosen in {None, "*"} else [str(chosen)]), *([] if bound.condition is None else [f"condition: {bound.condition}"])]
        return Grant(
            identity_uid=subject,
            provider=PROVIDER,
            scope=self.visit.scope,
            role=bound.role,
            resource="*" if whole else bound.resource,
            power=verdict.power,
            rule=verdict.rule,
            via="; ".join(said)[:_LONGEST_VIA] or "direct",
        )

    def permissions_of(self, role: str) -> tuple[str, ...] | None:
        """Look up what a custom role permits, once; None for Google's own roles, and where it could not be read."""
        if role.startswith("roles/"):
            return None
        if role not in self._permissions:
            call = ORGANIZATION_ROLE if role.startswith("organizations/") else PROJECT_ROLE
            if call.name not in self._roles:
                self._roles[call.name] = self.visit.operation(call)
            answer = self._roles[call.name].ask({"name": role})
            self._permissions[role] = None
            if answer is not None:
                self._permissions[role] = texts(answer, "includedPermissions")
        return self._permissions[role]

    def _project(self, home: str) -> str:
        """Give the id of a project that is named by number, where we may see it; else what it is named by."""
        if not home.isdecimal() or home in self.own:
            return home
        if home not in self._numbers:
            self._numbers[home] = self._look_up(home)
        return self._numbers[home] or home

    def _look_up(self, number: str) -> str | None:
        lookups = self.visit.shared(PROJECT)
        try:
            answer = self.visit.door.ask(PROJECT, {"name": f"projects/{number}"})
        except (ScopeDeniedError, GoneError):
            # Nothing is missing: a project that we may not see is somebody else's.
            lookups.leave_out("project of somebody else, known by its number only")
            return None
        except ReadError as error:
            lookups.fail(error)
            return None
        lookups.answered()
        return text(answer, "projectId")

    @property
    def _op(self) -> Operation:
        assert self.search is not None
        return self.search


def acts_as(role: str, permissions: Collection[str] | None) -> bool | None:
    """Whether a role on a service account lets its holder act as the account; None where what it permits was not read."""
    if not {role, *(permissions or ())}.isdisjoint(_TOKENS_FOR_OTHERS):
        return True
    power = gcp.on_service_account(role, permissions, _ANY).power
    return None if power is None else power != "limited"


def _shown(row: Row) -> dict[str, object]:
    bindings = [
        {"role": text(one, "role"), "members": list(texts(one, "members")), "condition": text(inner(one, "condition"), "expression")}
        for one in listed(inner(row, "policy"), "bindings")
    ]
    return {"resource": text(row, "resource"), "assetType": text(row, "assetType"), "bindings": bindings}
