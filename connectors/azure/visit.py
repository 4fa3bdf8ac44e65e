"""One reading of one tenant: who asks, through which door, and how each operation goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.azure.door import BATCH, Refusal, opened
from connectors.azure.login import chain, claims
from connectors.azure.permissions import lacking
from countersign.errors import ScopeDeniedError
from countersign.fields import guid
from countersign.identity import uid
from countersign.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from azure.core.credentials import TokenCredential

    from connectors.azure.door import Door
    from countersign.fields import Row
    from countersign.pace import Budget
    from countersign.programme import AzureSource

PROVIDER = "azure"
_ORGANIZATION_PATH = "/v1.0/organization?$select=id,displayName"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What every reader of a tenant needs."""

    door: Door
    source: str
    tenant: str
    now: Callable[[], datetime]
    caller: str
    """Who reads, by the token's own word."""
    own_principal: str | None
    """Object id of the service principal that reads; None where the token does not say."""

    def uid(self, kind: str, native_id: str) -> str:
        """Name a record of this tenant."""
        return uid(PROVIDER, self.tenant, kind, native_id)

    def operation(self, name: str, *covers: str) -> Operation:
        """Start to count an operation; `covers` are the kinds of record it is the listing of."""
        return Operation(
            visit=self, source=self.source, provider=PROVIDER, scope=self.tenant, operation=name, covers=covers, now=self.now,
            caller=self.caller,
        )  # fmt: skip


def entered(source: AzureSource, credential: TokenCredential | None, sleep: Callable[[float], None], now: Callable[[], datetime]) -> Visit:
    """Get a first token and open the way; `credential` None: the SDK's own chain. Raises ScopeDeniedError, ReadError."""
    credential = chain(source) if credential is None else credential
    said = claims(credential, source.graph.rstrip("/"))
    _refuse_other_tenant(source, guid(said, "tid"))
    door = opened(source, credential, sleep)
    app = guid(said, "appid") or guid(said, "azp")
    caller = f"application {app}" if app else "not known: the token does not say"
    return Visit(door=door, source=source.name, tenant=source.tenant, now=now, caller=caller, own_principal=guid(said, "oid"))


def check_tenant(source: AzureSource, visit: Visit) -> None:
    """Ask Graph whose directory it answers from. Raises ScopeDeniedError for another tenant's, Refusal, ReadError."""
    for page in visit.door.graph.pages(_ORGANIZATION_PATH):
        for row in page:
            _refuse_other_tenant(source, guid(row, "id"))


def _refuse_other_tenant(source: AzureSource, found: str | None) -> None:
    if found is not None and found != source.tenant:
        raise ScopeDeniedError(
            source.tenant, f"the credentials belong to tenant {found}, and source {source.name} is tenant {source.tenant}; nothing was read"
        )


@dataclass(slots=True, kw_only=True)
class Operation(Tally):
    """The running count of one operation."""

    visit: Visit

    def fail(self, refusal: Refusal) -> None:
        """Count a call that the service refused, with the permission that is missing where that is the reason."""
        self.refuse(f"{refusal}; {lacking(self.operation)}" if refusal.denied else str(refusal), denied=refusal.denied)

    def settle(self, answer: Row | Refusal) -> Row | None:
        """Count the answer to a look-up; None when it was refused, or what it asks for is gone since it was listed."""
        if not isinstance(answer, Refusal):
            self.answered()
            return answer
        if answer.gone:
            self.gone()
        else:
            self.fail(answer)
        return None


def listed(operation: Operation, path: str, *, quota: Budget | None = None) -> Iterator[tuple[Row, ...]]:
    """Yield a Graph collection page by page, counting; a refusal ends it and is counted."""
    try:
        for page in operation.visit.door.graph.pages(path, quota=quota):
            operation.answered(len(page))
            yield page
    except Refusal as refusal:
        operation.fail(refusal)


def look_up(visit: Visit, paths: list[tuple[str, str]]) -> list[tuple[str, Row | Refusal]]:
    """GET many single objects by `$batch`; a whole batch that is refused is the answer of each of its items."""
    found: list[tuple[str, Row | Refusal]] = []
    for start in range(0, len(paths), BATCH):
        chunk = paths[start : start + BATCH]
        try:
            found += visit.door.graph.batch(chunk)
        except Refusal as refusal:
            found += [(key, refusal) for key, _ in chunk]
    return found
