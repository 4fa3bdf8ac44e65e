"""Canaries in one namespace of Vault or OpenBao: AppRoles in an auth mount of the drill's own, which takes them all with it."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Self, TypeVar, cast

from connectors.vault.api import DENIED, Api, Json, Refusal, each
from connectors.vault.login import writer
from connectors.vault.permissions import DRILL_MOUNT
from connectors.vault.visit import PROVIDER
from countersign.canary import ENVIRONMENT, PARTNER, PREFIX, CanaryError, Planted, environment
from countersign.errors import ReadError
from countersign.identity import uid
from countersign.programme import VaultAuth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from countersign.programme import Source, VaultSource
    from countersign.reading import Scope

Answer = TypeVar("Answer")

BREAKS = ("named-owner", "workload-registered")
"""Nobody registered them, whatever the customer's policies say."""
_MOUNTED, _ENABLE, _ROLES = f"{DRILL_MOUNT}/", f"sys/auth/{DRILL_MOUNT}", f"auth/{DRILL_MOUNT}/role"
_WITHOUT_END = {"secret_id_ttl": "0", "token_ttl": "720h"}
_PERMISSIONS = "give the identity that drills the policy drill.hcl, see docs/connectors/vault.md"


def planter(source: Source, scope: Scope, *, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep) -> VaultPlanter:
    """Enter a namespace that is set aside; nothing is asked of the server before the `with` block. `sleep` waits when it is busy."""
    del now  # nothing here depends on the time
    return VaultPlanter(cast("VaultSource", source), scope, sleep)


class VaultPlanter:
    """One namespace, entered as the identity that drills; see `countersign.canary.Planter`."""

    def __init__(self, source: VaultSource, scope: Scope, sleep: Callable[[float], None]) -> None:
        self._source, self._scope = source, scope
        self._namespace = scope.detail["namespace"] or None
        self._outside = Api(source.address, token="", namespace=source.namespace, ca=source.ca, sleep=sleep)
        self._entered: Api | None = None

    def __enter__(self) -> Self:
        variables = environment(os.environ)
        token, role = variables.get("VAULT_TOKEN"), variables.get("VAULT_ROLE_ID")
        if not token and not role:
            raise CanaryError(
                f"source {self._source.name}: there is no identity that drills",
                fix=f"set {ENVIRONMENT}VAULT_TOKEN, or {ENVIRONMENT}VAULT_ROLE_ID and {ENVIRONMENT}VAULT_SECRET_ID",
            )
        as_drill = self._source.model_copy(update={"revoke_auth": VaultAuth(method="token" if token else "approle")})
        try:
            login = writer(as_drill, self._outside, variables)
        except ReadError as error:
            raise CanaryError(error.message, fix=error.fix) from error
        self._entered = self._outside.within(token=login.token, namespace=self._namespace)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered = None

    def plant(self, drill: str) -> Iterator[Planted]:
        """Make a role with a secret-id, and one with a token; both are in no workload, and hold no more than the policy `default`."""
        if _MOUNTED not in self._mounts():
            self._asked("POST", _ENABLE, {"type": "approle", "description": "made by a drill of Countersign, which removes it"})
        role = f"{PREFIX}{drill}-secret-id"
        accessor, login = self._role(role)
        yield Planted(
            uid=self._uid("approle", f"{_MOUNTED}{role}"), name=role, breaks=BREAKS,
            credential=self._uid("secret-id", accessor), secret=json.dumps({**login, "mount": DRILL_MOUNT}),
        )  # fmt: skip
        role = f"{PREFIX}{drill}-token"
        _, login = self._role(role)
        anybody = self._outside.within(token="", namespace=self._namespace)
        token = self._asked("POST", f"auth/{DRILL_MOUNT}/login", login, part="auth", api=anybody)
        yield Planted(
            uid=self._uid("approle", f"{_MOUNTED}{role}"), name=role, breaks=BREAKS,
            credential=self._uid("token", token["accessor"]), secret=token["client_token"],
        )  # fmt: skip

    def remove(self) -> tuple[str, ...]:
        """Delete the entities that logged in by the drill's mount, and then the mount with its roles, secret-ids and tokens."""
        about = self._mounts().get(_MOUNTED)
        if about is None:
            return ()
        roles = self._keys(_ROLES)
        # The mount last: they outlive it, and only by it does a drill after one that was killed here find them.
        for entity in self._entities(about["accessor"]):
            self._asked("DELETE", f"identity/entity/id/{entity}")
        self._asked("DELETE", _ENABLE)
        if _MOUNTED in self._mounts():
            raise CanaryError(f"the auth mount {DRILL_MOUNT} is still there", fix="run the drill again, or disable the mount by hand")
        return (DRILL_MOUNT, *sorted(roles))

    def _role(self, role: str) -> tuple[str, dict[str, str]]:
        """Make a role with a secret-id without an end; returns the secret-id's accessor, and what logs in with it."""
        path = f"{_ROLES}/{role}"
        self._asked("POST", path, _WITHOUT_END)
        made = self._asked("POST", f"{path}/secret-id", {"metadata": json.dumps({PARTNER: "yes"})})
        role_id = self._answered(f"GET {path}/role-id", lambda: self._api.get(f"{path}/role-id"))["role_id"]
        return made["secret_id_accessor"], {"role_id": role_id, "secret_id": made["secret_id"]}

    def _entities(self, accessor: str) -> list[str]:
        """List the entities that log in by one mount and by no other."""
        found = []
        for batch in each(self._keys("identity/entity/id"), lambda key: self._api.get(f"identity/entity/id/{key}")):
            for key, answer in batch:
                if isinstance(answer, Refusal) and answer.gone:
                    continue
                if isinstance(answer, Refusal):
                    raise _refused("GET identity/entity/id/*", answer)
                if {alias.get("mount_accessor") for alias in answer.get("aliases") or ()} == {accessor}:
                    found.append(key)
        return found

    def _mounts(self) -> Json:
        return self._answered("GET sys/auth", lambda: self._api.get("sys/auth"))

    def _keys(self, path: str) -> list[str]:
        return self._answered(f"LIST {path}", lambda: self._api.keys(path))

    def _asked(self, verb: str, path: str, body: Json | None = None, *, part: str = "data", api: Api | None = None) -> Json:
        """Make a call that changes something, once."""
        return self._answered(f"{verb} {path}", lambda: (api or self._api).once(verb, path, body, part=part))

    @property
    def _api(self) -> Api:
        if self._entered is None:
            message = "a planter is used within its `with` block"
            raise RuntimeError(message)
        return self._entered

    def _uid(self, kind: str, native: str) -> str:
        return uid(PROVIDER, self._scope.name, kind, native)

    @staticmethod
    def _answered(call: str, ask: Callable[[], Answer | Refusal]) -> Answer:
        """Make a call; raises CanaryError where it is refused or not answered."""
        try:
            answer = ask()
        except ReadError as error:
            raise CanaryError(error.message, fix=error.fix) from error
        if isinstance(answer, Refusal):
            raise _refused(call, answer)
        return answer


def _refused(call: str, answer: Refusal) -> CanaryError:
    return CanaryError(f"{call}: {answer}", fix=_PERMISSIONS if answer.status == DENIED else None)
