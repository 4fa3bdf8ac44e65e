"""Google Cloud: service accounts, their keys, who may do what or act as whom, outside issuers, and API keys; never a secret itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connectors.gcp.canary import planter
from connectors.gcp.door import Door
from connectors.gcp.names import tail
from connectors.gcp.paging import pages
from connectors.gcp.permissions import (
    ACCOUNT_USE,
    ACCOUNTS,
    API_KEYS,
    DRILL_PERMISSIONS,
    KEY_USE,
    KEYS,
    LIST_ASSETS,
    PERMISSIONS,
    POOLS,
    PROJECT,
    PROVIDERS,
    REVOKE_PERMISSIONS,
    SEARCH_POLICIES,
    SEARCH_RESOURCES,
    WORKFORCE_POOLS,
    WORKFORCE_PROVIDERS,
    permission_files,
)  # fmt: skip
from connectors.gcp.reading import read_organization, read_project
from connectors.gcp.revoking import hand
from connectors.gcp.visit import PROVIDER, Visit
from countersign.errors import ReadError
from countersign.fields import Row, inner, listed, text
from countersign.reading import Probe, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from connectors.gcp.permissions import Call
    from countersign.identity import Record
    from countersign.programme import GcpSource, Source
    from countersign.reading import ReadRequest

__all__ = [
    "DRILL_PERMISSIONS",
    "PERMISSIONS",
    "PROVIDER",
    "REVOKE_PERMISSIONS",
    "hand",
    "permission_files",
    "planter",
    "probe",
    "read",
    "scopes",
]

_PROJECT = "cloudresourcemanager.googleapis.com/Project"
_PAGE = 500


def scopes(source: Source, *, enter: Callable[[GcpSource], Door] = Door) -> tuple[Scope, ...]:
    """List the configured projects, and with `organization` every active project found in it, and the organization itself.

    Raises ReadError when the projects of the organization cannot be listed and none is configured; where some are, these are
    read, and the organization's own scope tells what is missing.
    """
    gcp = _gcp(source)
    found: dict[str, dict[str, str]] = {project: {} for project in gcp.projects}
    if gcp.organization is None:
        return tuple(Scope(gcp.name, PROVIDER, project) for project in found)
    organization, about = f"organizations/{gcp.organization}", {}
    try:
        for project, number in _active(gcp, organization, enter):
            found[project] = {"number": number} if number else {}
    except ReadError as error:
        if not gcp.projects:
            raise
        about = {"unlisted": error.message}
    return (
        *(Scope(gcp.name, PROVIDER, project, detail) for project, detail in found.items()),
        Scope(gcp.name, PROVIDER, organization, about),
    )


def read(request: ReadRequest, *, enter: Callable[[GcpSource], Door] = Door) -> Iterator[Record]:
    """Yield the records of one project, or of an organization and its folders.

    Raises ScopeDeniedError when every operation is refused, ReadError when there are no credentials or Google does not answer.
    """
    gcp, scope = _gcp(request.source), request.scope
    door = enter(gcp)
    try:
        visit = Visit(door=door, source=scope.source, scope=scope.name, now=request.now)
        if scope.name.startswith("organizations/"):
            yield from read_organization(visit, scope.detail.get("unlisted"))
        else:
            yield from read_project(visit, scope.detail.get("number"), gcp.organization)
    finally:
        door.close()


def probe(source: Source, *, enter: Callable[[GcpSource], Door] = Door) -> Iterator[Probe]:
    """Try each read of each scope with the smallest call; changes nothing."""
    gcp = _gcp(source)
    try:
        found, door = scopes(source, enter=enter), enter(gcp)
    except ReadError as error:
        yield Probe(gcp.name, error.operation, ok=False, detail=_reason(error))
        return
    try:
        for scope in found:
            tried = _try_organization(door, scope.name) if scope.name.startswith("organizations/") else _try_project(door, scope.name)
            yield from tried
    finally:
        door.close()


def _active(gcp: GcpSource, organization: str, enter: Callable[[GcpSource], Door]) -> Iterator[tuple[str, str | None]]:
    """Yield id and number of each project that is not about to be deleted; raises ReadError."""
    door = enter(gcp)
    try:
        for page, _ in pages(door, SEARCH_RESOURCES, "results", {"scope": organization, "assetTypes": [_PROJECT], "pageSize": _PAGE}):
            for row in page:
                project = text(inner(row, "additionalAttributes"), "projectId") or tail(text(row, "name"))
                if project is None or project.isdecimal():
                    raise ReadError(SEARCH_RESOURCES.name, "a project was found that has no id")
                if text(row, "state") in {None, "ACTIVE"}:
                    yield project, tail(text(row, "project"))
    finally:
        door.close()


def _try_project(door: Door, project: str) -> Iterator[Probe]:
    name, here = f"projects/{project}", f"projects/{project}/locations/global"
    accounts = yield from _try(door, project, ACCOUNTS, {"name": name, "pageSize": 1})
    yield from _try(door, project, PROJECT, {"name": name})
    yield from _try(door, project, SEARCH_RESOURCES, {"scope": name, "pageSize": 1})
    yield from _try(door, project, SEARCH_POLICIES, {"scope": name, "pageSize": 1})
    yield from _try(door, project, LIST_ASSETS, {"parent": name, "contentType": "RESOURCE", "pageSize": 1})
    for call in (ACCOUNT_USE, KEY_USE):
        yield from _try(door, project, call, {"parent": f"{here}/activityTypes/{call.name.rpartition(':')[2]}", "pageSize": 1})
    pools = yield from _try(door, project, POOLS, {"parent": here, "pageSize": 1})
    yield from _try(door, project, API_KEYS, {"parent": here, "pageSize": 1})
    if unique := _first(accounts, "accounts", "uniqueId"):
        yield from _try(door, project, KEYS, {"name": f"{name}/serviceAccounts/{unique}", "keyTypes": ["USER_MANAGED"]})
    if pool := _first(pools, "workloadIdentityPools", "name"):
        yield from _try(door, project, PROVIDERS, {"parent": pool, "pageSize": 1})


def _try_organization(door: Door, organization: str) -> Iterator[Probe]:
    yield from _try(door, organization, SEARCH_RESOURCES, {"scope": organization, "pageSize": 1})
    yield from _try(door, organization, SEARCH_POLICIES, {"scope": organization, "pageSize": 1})
    asked = {"location": "locations/global", "parent": organization, "pageSize": 1}
    pools = yield from _try(door, organization, WORKFORCE_POOLS, asked)
    if pool := _first(pools, "workforcePools", "name"):
        yield from _try(door, organization, WORKFORCE_PROVIDERS, {"parent": pool, "pageSize": 1})


def _try(door: Door, scope: str, call: Call, asked: Row) -> Generator[Probe, None, Row]:
    """Yield how a call went, and return its answer; an empty one where it was refused."""
    try:
        answer = door.ask(call, asked)
    except ReadError as error:
        reason = _reason(error)
        needs = "" if call.permission in reason else f"; reading needs {call.permission}"
        yield Probe(scope, call.name, ok=False, detail=f"{reason}{needs}")
        return {}
    yield Probe(scope, call.name, ok=True, detail=door.caller)
    return answer


def _first(answer: Row, listing: str, key: str) -> str | None:
    return next((text(row, key) for row in listed(answer, listing)), None)


def _reason(error: ReadError) -> str:
    return error.message.removeprefix(f"{error.operation}: ")


def _gcp(source: Source) -> GcpSource:
    return cast("GcpSource", source)  # the programme loader hands each connector its own kind of source
