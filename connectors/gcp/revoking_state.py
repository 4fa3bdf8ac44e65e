"""Looks at one thing that revoking changes: an account, a key, a provider, an API key, a membership in a policy; nothing is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.gcp.door import GoneError
from connectors.gcp.federation import parties
from connectors.gcp.names import tail
from connectors.gcp.permissions import ACCOUNT, API_KEY, API_KEYS, KEYS, PROVIDER_GET, WORKFORCE_PROVIDER_GET
from connectors.gcp.revoking_policy import Membership, bound, policy_calls
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import Row, listed, text
from countersign.revocation import RevocationDeniedError, RevocationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.gcp.door import Door
    from connectors.gcp.permissions import Call
    from countersign.revocation import State

GONE: State = {"exists": False}
PAGE = 300
_DELETED_ACCOUNT = re.compile(r"deleted:serviceAccount:.+\?uid=([0-9]{1,30})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sight:
    """Eyes of one identity in one source."""

    door: Door

    def ask(self, call: Call, asked: Row) -> Row | None:
        """Make a call; None where what it is about does not exist. Raises RevocationDeniedError, RevocationError."""
        try:
            return self.door.ask(call, asked)
        except GoneError:
            return None
        except ScopeDeniedError as error:
            raise RevocationDeniedError(error.message, fix=f"give it {call.permission}") from error
        except ReadError as error:
            raise RevocationError(error.message, fix="look again later") from error

    def account(self, name: str) -> State:
        """Look at an account by `projects/P/serviceAccounts/UNIQUE`; one that was made anew has another unique id."""
        row = self.ask(ACCOUNT, {"name": name})
        if row is None:
            return GONE
        unique, email = text(row, "uniqueId"), text(row, "email")
        if unique is None or email is None:
            raise RevocationError(f"{ACCOUNT.name}: an account was answered without its unique id or e-mail")
        return {"exists": True, "unique_id": unique, "email": email, "disabled": row.get("disabled") is True}

    def key(self, name: str) -> State:
        """Look at a key by `projects/P/serviceAccounts/UNIQUE/keys/K`."""
        account, _, key = name.partition("/keys/")
        answer = self.ask(KEYS, {"name": account, "keyTypes": ["USER_MANAGED"]})
        for row in () if answer is None else listed(answer, "keys"):
            if tail(text(row, "name")) == key:
                return {"exists": True, "unique_id": tail(account), "key": key, "disabled": row.get("disabled") is True}
        return GONE

    def provider(self, name: str) -> State:
        """Look at a provider of a pool: on or off, and whom it trusts, by which one that was made anew is told from the old one."""
        row = self.ask(PROVIDER_GET if name.startswith("projects/") else WORKFORCE_PROVIDER_GET, {"name": name})
        if row is None or text(row, "state") == "DELETED":
            return GONE
        trusted = parties(row)
        return {
            "exists": True,
            "disabled": row.get("disabled") is True,
            "trusts": None if trusted is None else sorted([one.kind, one.party] for one in trusted),
            "condition": text(row, "attributeCondition"),
        }

    def api_key(self, name: str) -> State:
        """Look at an API key; one that is deleted can be had back for 30 days, and does not work."""
        row = self.ask(API_KEY, {"name": name})
        if row is None or text(row, "deleteTime") is not None:
            return GONE
        return {"exists": True, "uid": text(row, "uid") or tail(name)}

    def api_key_names(self, project: str) -> dict[str, tuple[str, str | None]]:
        """List the API keys of a project: uid to name, and the e-mail of the account that it is bound to; raises RevocationError."""
        found: dict[str, tuple[str, str | None]] = {}
        asked: dict[str, Any] = {"parent": f"projects/{project}/locations/global", "pageSize": PAGE}
        met: set[str] = set()
        while True:
            answer = self.ask(API_KEYS, asked) or {}
            for row in listed(answer, "keys"):
                name = text(row, "name") or ""
                found[text(row, "uid") or str(tail(name))] = (name, text(row, "serviceAccountEmail"))
            token = text(answer, "nextPageToken")
            if token is None:
                return found
            if token in met:
                raise RevocationError(f"{API_KEYS.name}: the listing does not end")
            met.add(token)
            asked["pageToken"] = token

    def policy(self, resource: str) -> Row | None:
        """Read the policy on a resource, with its conditions and etag; None where the resource is gone."""
        call, _, asked = policy_calls(resource)
        return self.ask(call, asked)

    def membership(self, one: Membership, policy: Row | None) -> State:
        """Look whether a policy has a member, and whether the account behind its e-mail is still the one that was meant."""
        if policy is None or not bound(policy, one):
            return GONE
        state: State = {"exists": True, "member": one.member, "role": one.role}
        return state if one.account is None else state | {"unique_id": self.behind(one)}

    def behind(self, one: Membership) -> str | None:
        """Give the unique id of the account that a member means; None where its e-mail is another account's by now, or nobody's."""
        if match := _DELETED_ACCOUNT.fullmatch(one.member):
            return match[1]
        state = self.account(str(one.account))
        return str(tail(one.account)) if one.member == f"serviceAccount:{state.get('email')}" else None

    def state(self, action: str, parameters: Mapping[str, Any]) -> State:
        """Look at what a change is about, by its action; raises RevocationError."""
        if action == "remove-member":
            one = membership(parameters)
            return self.membership(one, self.policy(one.resource))
        looks = {"account": self.account, "key": self.key, "provider": self.provider, "api-key": self.api_key}
        kind = action.partition("-")[2]
        if kind not in looks:
            raise RevocationError(f"Google has nothing to look at for {action!r}")
        return looks[kind](str(parameters["name"]))


def membership(parameters: Mapping[str, Any]) -> Membership:
    """Read a membership from a change's parameters."""
    return Membership(**{name: parameters[name] for name in ("resource", "role", "condition", "member", "account")})
