"""Which changes take a partner's holdings away in one project or organization; everything is looked up live, and nothing is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.gcp.revoking_access import Access, Way
from connectors.gcp.revoking_draft import Draft, Step, account_step, api_key_step, key_step, member_step, provider_step
from connectors.gcp.revoking_policy import target
from connectors.gcp.revoking_state import GONE, Sight
from connectors.gcp.visit import PROVIDER
from countersign.revocation import Left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import Literal

    from countersign.programme import GcpSource
    from countersign.reading import Scope
    from countersign.revocation import Change, Holding

_KINDS = "service-account-key|service-account|workload-identity-provider|workforce-provider|api-key|project|member"
_UID = re.compile(rf"gcp:(.+?):({_KINDS})/(.+)", re.DOTALL)
_FOUND = re.compile(r"anyone who found key ([0-9A-Za-z_-]{1,100})")
_KEY_OF = re.compile(r"api-key:(.+)", re.DOTALL)
_PROVIDERS = ("workload-identity-provider", "workforce-provider")
_OUT_OF_IT = "take the partner's people out of it in its own directory"


@dataclass(slots=True)
class Planning:
    """One look at what is held in a scope."""

    sight: Sight
    source: GcpSource
    scope: Scope
    phase: Literal["disable", "delete"]
    now: Callable[[], datetime]
    access: Access = field(init=False)
    _held: dict[str, Holding] = field(default_factory=dict)
    _drafts: dict[tuple[object, ...], Draft] = field(default_factory=dict)
    _left: dict[str, Left] = field(default_factory=dict)
    _followers: dict[str, str] = field(default_factory=dict)
    """Uid of an identity that is not the partner's, and goes with its trusts, to why nothing may be found for it."""

    def __post_init__(self) -> None:
        self.access = Access(self.sight, self.source.name, self.scope.name, self.source.organization, self.now)

    def of(self, holdings: Sequence[Holding]) -> Iterator[Change | Left]:
        """Yield the changes, then what is left; raises RevocationError."""
        self._held = {one.uid: one for one in holdings}
        self.access.whole = frozenset(one.uid for one in holdings if one.what == "identity" and one.whole)
        # What others lean on comes first: a provider or an account that goes takes some of its grants, trusts and keys with it.
        first = {"identity": 0, "credential": 1, "trust": 2, "grant": 3}
        for one in sorted(holdings, key=lambda each: (first[each.what], each.uid)):
            getattr(self, f"_{one.what}")(one)
        for one in holdings:
            if one.what == "identity" and one.uid in self._followers:
                self._follow(one)
        made = [draft.change(self.phase, self.source.name, self.scope.name) for draft in self._drafts.values()]
        yield from sorted(made, key=lambda change: (change.place, change.id))
        yield from (self._left[uid] for uid in sorted(self._left))

    # Identities

    def _identity(self, one: Holding) -> None:
        kind, native = _parts(one.uid)[1:]
        if kind == "service-account" and one.whole:
            self._account(one, native)
        elif kind in _PROVIDERS and one.whole:
            self._provider(one, one.uid, whole=True)
        elif kind == "member" and (one.whole or not one.others):
            self._member(one, native)
        elif kind == "project":
            self._followers[one.uid] = "it only holds API keys, and none of the partner's is among them"
        elif kind in {"service-account", *_PROVIDERS}:
            self._followers[one.uid] = "it is not the partner's own, and a way in by it is left"
        elif kind == "member":
            self._leave(one, f"others come in by it too ({', '.join(one.others)})", _OUT_OF_IT)
        else:
            self._leave(one, f"Google has no way to switch off a {one.kind}", "look at it in the console")

    def _account(self, one: Holding, unique: str) -> None:
        name = f"projects/{self.scope.name}/serviceAccounts/{unique}"
        state = self.sight.account(name)
        if state == GONE or (self.phase == "disable" and state["disabled"]):
            return
        self._make(one, account_step(one.uid, name, state, delete=self.phase == "delete"))

    def _provider(self, one: Holding, uid: str, *, whole: bool) -> None:
        """Switch a provider off, or delete it where it is wholly the partner's."""
        kind, native = _parts(uid)[1:]
        pool, _, provider = native.partition("/")
        name = f"{self.access.pools(kind)}/{pool}/providers/{provider}"
        state, delete = self.sight.provider(name), self.phase == "delete" and whole
        if state != GONE and (delete or not state["disabled"]):
            self._make(one, provider_step(uid, name, state, delete=delete))

    def _member(self, one: Holding, native: str) -> None:
        found, elsewhere = self.access.held_by_member(native)
        for way in found:
            self._remove(one, way)
        told = {
            str(other.record.get("resource")) for other in self._held.values() if other.identity_uid == one.uid and other.what == "grant"
        }
        if rest := sorted(elsewhere - told):
            self._leave_bound(one, native, ", ".join(rest))

    # Credentials

    def _credential(self, one: Holding) -> None:
        kind, native = _parts(one.uid)[1:]
        if kind == "service-account-key":
            self._key(one, native, one.identity_uid)
        elif kind == "api-key":
            self._api_key(one, native)
        else:
            self._leave(one, f"Google has no way to switch off a {one.kind}", "look at it in the console")

    def _key(self, one: Holding, key: str, account: str) -> None:
        if (draft := self._drafts.get(("delete-account", account))) is not None:  # a key ends with its account
            self._take(draft, one)
            return
        unique = _parts(account)[2]
        name = f"projects/{self.scope.name}/serviceAccounts/{unique}/keys/{key}"
        state = self.sight.key(name)
        if state == GONE or (self.phase == "disable" and state["disabled"]):
            return
        uid = f"{PROVIDER}:{self.scope.name}:service-account-key/{key}"
        self._make(one, key_step(uid, name, state, delete=self.phase == "delete"))

    def _api_key(self, one: Holding, native: str) -> None:
        name, _ = self.access.api_keys.get(native, ("", None))
        state = self.sight.api_key(name) if name else GONE
        if state != GONE:
            self._make(one, api_key_step(one.uid, name, state, one.name))

    # Trusts

    def _trust(self, one: Holding) -> None:
        kind = _parts(one.identity_uid)[1]
        identity = self._held.get(one.identity_uid)
        whole = identity is not None and identity.what == "identity" and identity.whole
        if kind in _PROVIDERS:
            self._trust_of_provider(one, whole=whole)
        elif kind == "member":
            self._trust_of_member(one)
        elif kind == "service-account":
            self._trust_of_account(one, whole=whole)
        else:
            self._leave(one, f"Google has no way to end what lets others in by a {kind}", "look at it in the console")

    def _trust_of_provider(self, one: Holding, *, whole: bool) -> None:
        if (draft := self._draft_of("provider", one.identity_uid)) is not None:
            self._take(draft, one)
        elif not whole and one.others:
            why = f"the provider lets others in too ({', '.join(one.others)})"
            self._leave(one, why, "narrow its attribute condition so that it leaves the partner out")
        elif not whole:
            self._provider(one, one.identity_uid, whole=False)

    def _trust_of_member(self, one: Holding) -> None:
        if one.identity_uid in self._held:
            for draft in self._drafts.values():
                if draft.step.action == "remove-member" and one.identity_uid in draft.takes:
                    draft.takes.add(one.uid)
            if one.identity_uid in self._left:
                self._leave(one, self._left[one.identity_uid].why, self._left[one.identity_uid].advice)
        elif one.whole or not one.others:
            self._member(one, _parts(one.identity_uid)[2])
        else:
            self._leave(one, f"others come in by it too ({', '.join(one.others)})", _OUT_OF_IT)

    def _trust_of_account(self, one: Holding, *, whole: bool) -> None:
        if found := _FOUND.fullmatch(str(one.record.get("party"))):
            self._key(one, found[1], one.identity_uid)
            return
        name = f"projects/{self.scope.name}/serviceAccounts/{_parts(one.identity_uid)[2]}"
        wanted = {
            (str(each.record.get("party_kind")), str(each.record.get("party")), each.record.get("condition"))
            for each in self._held.values()
            if each.what == "trust" and each.identity_uid == one.identity_uid
        }
        mine = (str(one.record.get("party_kind")), str(one.record.get("party")), one.record.get("condition"))
        for way in self.access.acting_as(name, mine):
            by = [draft for uid in way.providers if (draft := self._draft_of("provider", uid)) is not None]
            shared = {f"{kind} {party}" for kind, party, condition in way.parties if (kind, party, condition) not in wanted}
            if by and len(by) == len(way.providers):
                for draft in by:  # the way in ends with its providers
                    self._take(draft, one)
                continue
            if not shared:
                self._remove(one, way, acts=True)
            elif not whole:
                advice = f"bind {way.membership.role} to a narrower principal than {way.membership.member}"
                self._leave(one, f"the same member lets others act as the account ({', '.join(sorted(shared))})", advice)
            elif (ended := self._draft_of("account", one.identity_uid)) is not None:
                self._take(ended, one)

    # Grants

    def _grant(self, one: Holding) -> None:
        if found := _KEY_OF.fullmatch(str(one.record.get("via"))):
            self._grant_of_key(one, found[1])
            return
        resource, role = str(one.record.get("resource")), str(one.record.get("role"))
        kind, native = _parts(one.identity_uid)[1:]
        ways = self.access.held(one.identity_uid, role, resource, str(one.record.get("via")))
        if ways is None:
            self._leave_bound(one, native if kind == "member" else one.name, resource)
            return
        for way in ways:
            others = [uid for uid in way.providers if uid not in self.access.whole]
            if not others:
                self._remove(one, way)
                continue
            if (draft := self._draft_of("provider", one.identity_uid)) is not None:
                self._take(draft, one)
            elif one.identity_uid not in self.access.whole:
                self._leave(one, f"other providers of the pool hold it too ({', '.join(others)})", "bind it to a narrower principal")

    def _grant_of_key(self, one: Holding, native: str) -> None:
        uid = f"{PROVIDER}:{self.scope.name}:api-key/{native}"
        if (draft := self._drafts.get(("delete-api-key", uid))) is not None:
            self._take(draft, one)
        elif native in self.access.api_keys:
            self._leave(one, "the API key that it goes with is not among the partner's", "register the key's account, and plan again")

    # What they have in common

    def _remove(self, one: Holding, way: Way, *, acts: bool = False) -> None:
        """Take a member out of a binding, for one holding of several perhaps; that somebody acts as an account by it is said first."""
        key = ("remove-member", way.membership.key)
        draft = self._drafts.get(key)
        if draft is None or acts:
            holder = target(way.membership, self.scope.name, min(way.providers) if way.providers else one.identity_uid)
            step = member_step(holder, way, acts=acts, shared=bool(one.others))
            draft = self._drafts[key] = Draft(one.name, step, set() if draft is None else draft.takes)
        self._take(draft, one)

    def _make(self, one: Holding, step: Step) -> None:
        self._take(self._drafts.setdefault((step.action, step.target), Draft(one.name, step)), one)

    def _take(self, draft: Draft, one: Holding) -> None:
        """Let a change take a holding, and with it somebody else's identity that the partner comes in by."""
        draft.takes.update({one.uid, *({one.identity_uid} & self._followers.keys())})

    def _draft_of(self, kind: str, uid: str) -> Draft | None:
        return self._drafts.get((f"disable-{kind}", uid)) or self._drafts.get((f"delete-{kind}", uid))

    def _leave(self, one: Holding, why: str, advice: str) -> None:
        self._left.setdefault(one.uid, Left(one.uid, one.name, why, advice))
        if one.what == "trust" and one.identity_uid in self._followers:
            self._followers[one.identity_uid] = why

    def _leave_bound(self, one: Holding, who: str, where: str) -> None:
        why = f"it holds a role on {where}, whose own API keeps that policy, and this connector does not change it"
        self._leave(one, why, f"take {who} out of the policy there")

    def _follow(self, one: Holding) -> None:
        """Leave an identity that is not the partner's where a way in by it is left; where none is, it is none of the partner's things."""
        if any(one.uid in draft.takes for draft in self._drafts.values()):
            return
        is_place = _parts(one.uid)[1] == "project"
        if (is_place and self.access.api_keys) or any(self._held[uid].identity_uid == one.uid for uid in self._left if uid in self._held):
            self._leave(one, self._followers[one.uid], "see what else of it is left")


def _parts(uid: str) -> tuple[str, str, str]:
    """Split a uid into scope, kind and native id; empty texts where it is none of Google's."""
    match = _UID.fullmatch(uid)
    return (match[1], match[2], match[3]) if match else ("", "", "")
