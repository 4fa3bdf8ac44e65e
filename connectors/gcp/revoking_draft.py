"""Changes in the making: what each sets, by which calls, and what remains possible after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.gcp.permissions import (
    ACCOUNT,
    API_KEY,
    DELETE_ACCOUNT,
    DELETE_API_KEY,
    DELETE_KEY,
    DELETE_PROVIDER,
    DELETE_WORKFORCE_PROVIDER,
    DISABLE_ACCOUNT,
    DISABLE_KEY,
    KEYS,
    PROVIDER_GET,
    UPDATE_PROVIDER,
    UPDATE_WORKFORCE_PROVIDER,
    WORKFORCE_PROVIDER_GET,
)
from connectors.gcp.revoking_policy import policy_calls
from connectors.gcp.revoking_state import GONE
from connectors.gcp.visit import PROVIDER
from countersign.revocation import CREDENTIAL, ENTRY, GRANT, IDENTITY, Change, Residual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.gcp.permissions import Call
    from connectors.gcp.revoking_access import Way
    from countersign.revocation import Phase, State

_HOUR, _HALF_A_DAY = 3600, 43_200
_BY_KEY = Residual("access tokens that were got with the key live on until they expire, unless its account is disabled", _HOUR)
_BY_PROVIDER = Residual("tokens and sessions that were got through the provider live on until they expire", _HALF_A_DAY)
_BY_TRUST = Residual("access tokens of the account that were issued to it live on until they expire", _HALF_A_DAY)
_SHARED = Residual(f"{_BY_TRUST.what}; they are not ended, since others use the account too", _HALF_A_DAY)
_LAG = Residual("Google needs minutes, and does not say how many, until every service knows of a change of a policy", None)
_KEY_LAG = Residual("Google needs minutes, and does not say how many, until every service refuses a deleted API key", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is set, and how."""

    action: str
    parameters: Mapping[str, Any]
    before: State
    after: State
    target: str
    says: str
    order: int
    write: Call
    look: Call
    reversible: bool
    residual: Residual | None = None


@dataclass(slots=True)
class Draft:
    """A step, and what it takes, which grows while the holdings are gone through."""

    name: str
    step: Step
    takes: set[str] = field(default_factory=set)

    def change(self, phase: Phase, source: str, scope: str) -> Change:
        """Give the change."""
        step = self.step
        return Change(
            action=step.action, phase=phase, provider=PROVIDER, source=source, scope=scope, target=step.target, name=self.name,
            says=step.says, parameters=step.parameters, before=step.before, after=step.after, reversible=step.reversible, order=step.order,
            takes=tuple(sorted(self.takes)), writes=(step.write.name,), looks=(step.look.name,), residual=step.residual,
        )  # fmt: skip


def account_step(target: str, name: str, state: State, *, delete: bool) -> Step:
    """Disable an account, or delete it; Google rejects the tokens of a disabled one at once (iam v1, serviceAccounts.disable)."""
    return Step(
        action="delete-account" if delete else "disable-account",
        parameters={"name": name},
        before=state,
        after=GONE if delete else {**state, "disabled": True},
        target=target,
        says=f"{'Delete' if delete else 'Disable'} the service account {state['email']} (unique id {state['unique_id']})",
        order=IDENTITY,
        write=DELETE_ACCOUNT if delete else DISABLE_ACCOUNT,
        look=ACCOUNT,
        reversible=not delete,
    )


def key_step(target: str, name: str, state: State, *, delete: bool) -> Step:
    """Disable a key, or delete it."""
    return Step(
        action="delete-key" if delete else "disable-key",
        parameters={"name": name},
        before=state,
        after=GONE if delete else {**state, "disabled": True},
        target=target,
        says=f"{'Delete' if delete else 'Disable'} the key {state['key']} of the service account with the unique id {state['unique_id']}",
        order=CREDENTIAL,
        write=DELETE_KEY if delete else DISABLE_KEY,
        look=KEYS,
        reversible=not delete,
        residual=_BY_KEY,
    )


def provider_step(target: str, name: str, state: State, *, delete: bool) -> Step:
    """Disable a provider, or delete it; what it gave tokens to keeps them (iam v1, WorkloadIdentityPoolProvider.disabled)."""
    workload = name.startswith("projects/")
    update = UPDATE_PROVIDER if workload else UPDATE_WORKFORCE_PROVIDER
    return Step(
        action="delete-provider" if delete else "disable-provider",
        parameters={"name": name},
        before=state,
        after=GONE if delete else {**state, "disabled": True},
        target=target,
        says=f"{'Delete' if delete else 'Disable'} the provider {name}",
        order=IDENTITY if delete else ENTRY,
        write=(DELETE_PROVIDER if workload else DELETE_WORKFORCE_PROVIDER) if delete else update,
        look=PROVIDER_GET if workload else WORKFORCE_PROVIDER_GET,
        reversible=not delete,
        residual=_BY_PROVIDER,
    )


def api_key_step(target: str, name: str, state: State, shown: str) -> Step:
    """Delete an API key: it has no switch, and Google gives it back for 30 days (apikeys v2, keys.undelete)."""
    return Step(
        action="delete-api-key",
        parameters={"name": name, "uid": state["uid"]},
        before=state,
        after=GONE,
        target=target,
        says=f"Delete the API key {shown} ({name}), which Google keeps for 30 days and can give back",
        order=CREDENTIAL,
        write=DELETE_API_KEY,
        look=API_KEY,
        reversible=True,
        residual=_KEY_LAG,
    )


def member_step(target: str, way: Way, *, acts: bool, shared: bool) -> Step:
    """Take a member out of a binding; `acts`: by it somebody acts as an account, `shared` with others."""
    one = way.membership
    about = one.condition or {}
    under = f", under the condition {about.get('title') or about.get('expression')}" if about else ""
    look, write, _ = policy_calls(one.resource)
    return Step(
        action="remove-member",
        parameters=one.parameters,
        before=way.state,
        after=GONE,
        target=target,
        says=f"Take {one.member} out of the role {one.role} on {one.resource}{under}",
        order=ENTRY if acts else GRANT,
        write=write,
        look=look,
        reversible=True,
        residual=(_SHARED if shared else _BY_TRUST) if acts else _LAG,
    )
