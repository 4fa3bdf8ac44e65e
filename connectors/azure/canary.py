"""Canaries in one tenant of Microsoft Entra: an application with a client secret that lasts ten years, and no permission anywhere."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self, TypeVar, cast

from connectors.azure.door import Refusal
from connectors.azure.login import revoking
from connectors.azure.visit import PROVIDER, Visit, entered
from countersign.canary import ENVIRONMENT, PARTNER, PREFIX, CanaryError, Planted, environment
from countersign.clock import stamp
from countersign.errors import CountersignError, ReadError
from countersign.fields import guid, text
from countersign.identity import uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from countersign.fields import Row
    from countersign.programme import AzureSource, Source
    from countersign.reading import Scope

Answer = TypeVar("Answer")

BREAKS = ("named-owner", "workload-registered")
"""Nobody registered them, whatever the customer's policies say."""
_LASTS = timedelta(days=3652)
_TAGS = [f"{PARTNER}:yes"]
_TRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0, None)
"""Waits between tries: what was just made is not known everywhere in a directory at once."""
_LISTS = {
    "applications": "/v1.0/applications?$select=id,appId,displayName&$top=999",
    "servicePrincipals": "/v1.0/servicePrincipals?$select=id,appId,displayName,appOwnerOrganizationId&$top=999",
}
_NOT_YET = "NoBackingApplicationObject"
"""Graph's code for a service principal of an application that it does not know yet."""
_PERMISSIONS = "give the identity that drills what is in drill.txt, see docs/connectors/azure.md"


def planter(source: Source, scope: Scope, *, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep) -> AzurePlanter:
    """Enter a tenant that is set aside; nothing is asked of it before the `with` block. `sleep` waits for what is not known yet."""
    return AzurePlanter(cast("AzureSource", source), scope.name, now, sleep)


class AzurePlanter:
    """One tenant, entered as the identity that drills; see `countersign.canary.Planter`."""

    def __init__(self, source: AzureSource, tenant: str, now: Callable[[], datetime], sleep: Callable[[float], None]) -> None:
        self._source, self._tenant = source, tenant
        self._now, self._sleep = now, sleep
        self._client = ""
        self._entered: Visit | None = None

    def __enter__(self) -> Self:
        """Log in; raises CanaryError where there is no identity that drills, or it is of another tenant."""
        variables = environment(os.environ)
        if "AZURE_CLIENT_ID" not in variables:
            raise CanaryError(
                f"source {self._source.name}: there is no identity that drills",
                fix=f"set {ENVIRONMENT}AZURE_CLIENT_ID, and {ENVIRONMENT}AZURE_CLIENT_SECRET or ..._AZURE_CLIENT_CERTIFICATE_PATH",
            )
        self._client = variables["AZURE_CLIENT_ID"].lower()
        try:
            self._entered = entered(self._source, revoking(self._source, variables), self._sleep, self._now)
        except CountersignError as error:
            said = f"source {self._source.name}: the identity that drills cannot log in: {error.message}"
            raise CanaryError(said, fix=f"look at {ENVIRONMENT}AZURE_...") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered = None

    def plant(self, drill: str) -> Iterator[Planted]:
        """Register an application with a client secret, and make its service principal."""
        name = f"{PREFIX}{drill}"
        graph = self._visit.door.graph
        # A second one of that name could not be told from ours, whose secret this is to be.
        if any(text(row, "displayName") == name for row in self._named("applications")):
            raise CanaryError(f"there is an application called {name} already", fix="remove what an earlier drill left first")
        with_tags = {"displayName": name, "tags": _TAGS, "signInAudience": "AzureADMyOrg"}
        self._told(lambda: graph.change("POST", "/v1.0/applications", with_tags))
        application = self._there("applications", "displayName", name)
        number, app_id = guid(application, "id"), guid(application, "appId")
        if number is None or app_id is None:
            raise CanaryError(f"the application {name} has no id")
        wanted = {"passwordCredential": {"displayName": PARTNER, "endDateTime": stamp(self._now() + _LASTS)}}
        secret = self._told(lambda: graph.post(f"/v1.0/applications/{number}/addPassword", wanted))
        self._told(lambda: graph.change("POST", "/v1.0/servicePrincipals", {"appId": app_id, "tags": _TAGS}))
        principal = self._there("servicePrincipals", "appId", app_id)
        yield Planted(
            uid=self._uid("application", number), name=name, breaks=BREAKS,
            credential=self._uid("client-secret", guid(secret, "keyId") or ""),
            secret=json.dumps({"clientId": app_id, "clientSecret": text(secret, "secretText")}),
        )  # fmt: skip
        yield Planted(uid=self._uid("service-principal", guid(principal, "id") or ""), name=name, breaks=BREAKS)

    def remove(self) -> tuple[str, ...]:
        """Delete the tenant's own applications and service principals whose name begins with PREFIX."""
        graph, removed, stays = self._visit.door.graph, [], []
        for collection in _LISTS:  # the service principal of an application goes with it
            for row in self._named(collection):
                name = text(row, "displayName") or ""
                try:
                    graph.change("DELETE", f"/v1.0/{collection}/{guid(row, 'id')}")
                except Refusal as refusal:
                    if not refusal.gone:
                        stays.append(f"{name} ({refusal})")
                        continue
                except ReadError as error:
                    raise CanaryError(error.message, fix=error.fix) from error
                removed.append(name)
        if stays:
            raise CanaryError(f"in tenant {self._tenant} there stays {', '.join(stays)}", fix="run the drill again, or delete it by hand")
        return tuple(sorted({*removed}))

    def _there(self, collection: str, known_by: str, value: str) -> Row:
        """Find what was just made; raises CanaryError where it does not show in half a minute."""
        for delay in _TRIES_S:
            found = [row for row in self._named(collection) if text(row, known_by) == value]
            if found:
                return found[0]
            if delay is not None:
                self._sleep(delay)
        raise CanaryError(f"{value} was made, and is in no listing of {collection}", fix="run the drill again later")

    def _named(self, collection: str) -> list[Row]:
        """List what begins with PREFIX; somebody else's published application is no canary, whatever it is called."""
        listed = self._told(lambda: [row for page in self._visit.door.graph.pages(_LISTS[collection]) for row in page])
        own = (row for row in listed if collection == "applications" or guid(row, "appOwnerOrganizationId") == self._tenant)
        found = [row for row in own if (text(row, "displayName") or "").startswith(PREFIX) and guid(row, "id")]
        if any(guid(row, "appId") == self._client for row in found):
            raise CanaryError(
                "the identity that drills has a canary's name itself, and would be removed", fix=f"do not begin it with {PREFIX}"
            )
        return found

    def _told(self, ask: Callable[[], Answer]) -> Answer:
        """Put a question; raises CanaryError. What was just made may be answered as not there, and is asked again."""
        for delay in _TRIES_S:
            try:
                return ask()
            except Refusal as refusal:
                if delay is None or not (refusal.gone or refusal.code == _NOT_YET):
                    raise CanaryError(str(refusal), fix=_PERMISSIONS if refusal.denied else None) from refusal
                self._sleep(delay)
            except ReadError as error:
                raise CanaryError(error.message, fix=error.fix) from error
        raise AssertionError

    @property
    def _visit(self) -> Visit:
        if self._entered is None:
            message = "a planter is used within its `with` block"
            raise RuntimeError(message)
        return self._entered

    def _uid(self, kind: str, native: str) -> str:
        return uid(PROVIDER, self._tenant, kind, native)
