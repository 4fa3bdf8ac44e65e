"""Who holds which policy, and whether that policy makes an administrator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connectors.vault.api import Json, Refusal
from connectors.vault.records import policies
from connectors.vault.visit import PROVIDER, Operation, Visit
from countersign.identity import Coverage, Grant
from countersign.privilege import LIMITED, UNREAD, Verdict, vault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Grants:
    """Reads each policy and each group once, when somebody first holds it."""

    visit: Visit
    _policy_reads: Operation = field(init=False)
    _group_reads: Operation = field(init=False)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)
    _groups: dict[str, Json | Refusal] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._policy_reads = self.visit.operation("GET sys/policies/acl/*")
        self._group_reads = self.visit.operation("GET identity/group/id/*")

    def of(self, identity_uid: str, names: Iterable[str] | None, *, via: str = "direct") -> Iterator[Grant]:
        """Yield a grant per policy that this identity has not been told to hold; names of None were not readable."""
        for name in ("(policies not read)",) if names is None else names:
            if (identity_uid, name) not in self._told:
                self._told.add((identity_uid, name))
                verdict = UNREAD if names is None else self._judge(name)
                yield Grant(
                    identity_uid=identity_uid,
                    provider=PROVIDER,
                    scope=self.visit.scope,
                    role=name,
                    power=verdict.power,
                    rule=verdict.rule,
                    via=via,
                )

    def of_groups(self, identity_uid: str, groups: Iterable[str]) -> Iterator[Grant]:
        """Yield the grants that come with membership of identity groups, by group id."""
        for group in groups:
            answer = self._group(group)
            if answer is None:
                yield from self.of(identity_uid, None, via=f"group:{group}")
            else:
                yield from self.of(identity_uid, policies(answer, "policies"), via=f"group:{answer.get('name') or group}")

    def coverage(self) -> Iterator[Coverage]:
        """Say how reading policies and groups went."""
        for operation in (self._policy_reads, self._group_reads):
            if operation.used:
                yield operation.coverage()

    def _judge(self, name: str) -> Verdict:
        if name not in self._verdicts:
            self._verdicts[name] = self._read(name)
        return self._verdicts[name]

    def _read(self, name: str) -> Verdict:
        if name == vault.ROOT:
            return vault.policy(name, "")
        answer = self.visit.api.get(f"sys/policies/acl/{name}")
        if isinstance(answer, Refusal) and answer.empty:
            self._policy_reads.answered(0)
            return LIMITED  # a policy that was never written gives nothing
        found = self._policy_reads.settle(answer)
        return UNREAD if found is None else vault.policy(name, found.get("policy") or "")

    def _group(self, group: str) -> Json | None:
        if group not in self._groups:
            answer = self.visit.api.get(f"identity/group/id/{group}")
            self._group_reads.settle(answer)
            self._groups[group] = answer
        answer = self._groups[group]
        return None if isinstance(answer, Refusal) else answer
