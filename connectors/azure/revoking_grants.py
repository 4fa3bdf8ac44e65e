"""Plans how what an identity holds is taken away: application permissions, consents, directory roles and Azure's own, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from connectors.azure.revoking_assignments import ROLE_ASSIGNMENTS, SCHEDULES, azure_role, consent_state, held_by, schedule_state
from connectors.azure.revoking_calls import GONE, every, found
from connectors.azure.revoking_desk import AZURE_SETTLES, TOKENS, Away, left, place, uids
from countersign.document import shown
from countersign.fields import guid, inner, rows, text, texts
from countersign.revocation import GRANT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connectors.azure.revoking_desk import Desk, Person, Said
    from countersign.fields import Row
    from countersign.revocation import Holding, Residual, State

_DIRECT, _ELIGIBLE = "direct", "eligible"
_CHANGED = "what it holds by this name is not what was read", "read the source again and plan anew"


class _Given(NamedTuple):
    """One live assignment, by the names under which the inventory may know it."""

    roles: frozenset[str]
    resources: frozenset[str]
    action: str
    says: str
    parameters: dict[str, Any]
    before: State
    residual: Residual
    reversible: bool = True


def mediated(person: Person) -> tuple[Holding, ...]:
    """Return what an identity holds as a member of a group or as an owner: nothing is assigned to itself that could be taken away."""
    return tuple(each for each in person.of("grant") if not _via(each).startswith((_DIRECT, _ELIGIBLE, "delegated:")))


def grants(desk: Desk, person: Person) -> Iterator[Said]:
    """Yield what takes away each assignment that a holding names. Raises Refusal, ReadError."""
    held = person.of("grant")
    direct = [each for each in held if _via(each) == _DIRECT]
    eligible = [each for each in held if _via(each) == _ELIGIBLE]
    consents = [each for each in held if _via(each).startswith("delegated:")]
    if direct:
        given = [*(_app_roles(desk, person) if person.kind == "service-principal" else ()), *_directory(desk, person)]
        if desk.visit.door.manager is not None and any(_at(each).startswith("/") for each in direct):
            given += _azure(desk, person)
        yield from _matched(desk, person, direct, given)
    if eligible:
        yield from _matched(desk, person, eligible, list(_eligible(desk, person)))
    if consents:
        yield from _consents(desk, person, consents)


def _via(holding: Holding) -> str:
    return str(holding.record.get("via") or _DIRECT)


def _at(holding: Holding) -> str:
    return str(holding.record.get("resource") or "*")


def _matched(desk: Desk, person: Person, held: Sequence[Holding], given: Sequence[_Given]) -> Iterator[Said]:
    """Bring holdings and live assignments together; what fits nothing is away only if nothing is left that it could be."""
    met: set[str] = set()
    unexplained = False
    for each in given:
        takes = [one.uid for one in held if str(one.record.get("role")) in each.roles and _at(one) in each.resources]
        met.update(takes)
        unexplained |= not takes
        if takes:
            yield desk.step(
                person, each.action, each.says, parameters=each.parameters, before=each.before, after=GONE, order=GRANT, takes=takes,
                reversible=each.reversible, residual=each.residual,
            )  # fmt: skip
    rest = [one for one in held if one.uid not in met]
    yield from left(rest, *_CHANGED) if unexplained else map(Away, uids(rest))


def _app_roles(desk: Desk, person: Person) -> Iterator[_Given]:
    graph = desk.visit.door.graph
    for row in every(graph, f"/v1.0/servicePrincipals/{person.id}/appRoleAssignments?$top=999"):
        resource, role = guid(row, "resourceId"), guid(row, "appRoleId")
        if resource is None or role is None:
            continue
        offering = found(graph, f"/v1.0/servicePrincipals/{resource}?$select=id,displayName,appRoles") or {}
        offered = [each for each in rows(offering, "appRoles") or () if "Application" in texts(each, "allowedMemberTypes")]
        value = next((text(each, "value") for each in offered if guid(each, "id") == role), None) or role
        name = text(offering, "displayName") or resource
        yield _Given(
            frozenset({value, role}),
            frozenset({name, resource}),
            "remove-app-role",
            f"Remove the permission {shown(value)} of {shown(name)} from the enterprise application {shown(person.name)}.",
            {"principal": person.id, "resource": resource, "role": role},
            {"exists": True},
            TOKENS,
        )


def _directory(desk: Desk, person: Person) -> Iterator[_Given]:
    for row in every(desk.visit.door.graph, held_by(ROLE_ASSIGNMENTS, person.id)):
        named = _directory_role(desk, person, row)
        if named is None:
            continue
        name, resources, scope, role = named
        home = guid(row, "principalOrganizationId")
        yield _Given(
            frozenset({name, role}),
            resources,
            "remove-directory-role",
            f"Remove the directory role {shown(name)} at {place(scope)} from {shown(person.name)}.",
            {"principal": person.id, "role": role, "scope": scope},
            {"exists": True},
            TOKENS,
            # Graph assigns roles to principals of the directory only: another tenant's could not be made again.
            reversible=home in {None, desk.visit.tenant},
        )


def _eligible(desk: Desk, person: Person) -> Iterator[_Given]:
    for row in every(desk.visit.door.graph, held_by(SCHEDULES, person.id)):
        named = _directory_role(desk, person, row)
        if named is not None:
            name, resources, scope, role = named
            yield _Given(
                frozenset({name, role}),
                resources,
                "remove-eligible-role",
                f"End that {shown(person.name)} may activate the directory role {shown(name)} at {place(scope)}.",
                {"principal": person.id, "role": role, "scope": scope},
                schedule_state(row),
                TOKENS,
            )


def _directory_role(desk: Desk, person: Person, row: Row) -> tuple[str, frozenset[str], str, str] | None:
    """Return the name of a role, how its scope is told, that scope, and its id; None for somebody else's, or in an application."""
    role, scope = guid(row, "roleDefinitionId"), text(row, "directoryScopeId")
    if role is None or scope is None or guid(row, "principalId") != person.id:
        return None
    return desk.directory_role(role), frozenset({"*" if scope == "/" else scope}), scope, role


def _azure(desk: Desk, person: Person) -> Iterator[_Given]:
    condition = f"where type =~ 'microsoft.authorization/roleassignments' and tostring(properties.principalId) =~ '{person.id}'"
    for row in desk.azure(condition):
        assignment = text(row, "id") or ""
        # Resource Graph lags behind: what it lists is looked up where it is.
        state = azure_role(desk.visit.door, {"assignment": assignment})
        if not state["exists"] or (state["principalId"] or "").lower() != person.id:
            continue
        role = (state["roleDefinitionId"] or "").rpartition("/")[2].lower()
        name, scope = desk.azure_role(role), state["scope"] or "/"
        yield _Given(
            frozenset({name, role}),
            frozenset({scope, text(inner(row, "properties"), "scope") or "/"}),
            "remove-azure-role",
            f"Remove the Azure role {shown(name)} at {place(scope)} from {shown(person.name)}.",
            {"assignment": assignment},
            state,
            AZURE_SETTLES,
        )


def _consents(desk: Desk, person: Person, held: Sequence[Holding]) -> Iterator[Said]:
    """Take back consents: the whole of one where every permission in it is held, else only those that are."""
    graph = desk.visit.door.graph
    met: set[str] = set()
    unexplained = False
    for row in every(graph, f"/v1.0/servicePrincipals/{person.id}/oauth2PermissionGrants?$top=999"):
        resource = guid(row, "resourceId")
        if resource is None:
            continue
        offering = found(graph, f"/v1.0/servicePrincipals/{resource}?$select=id,displayName") or {}
        name = text(offering, "displayName") or resource
        everyone = text(row, "consentType") == "AllPrincipals"
        via = "delegated:everyone" if everyone else "delegated:some users"
        mine = [one for one in held if _via(one) == via and _at(one) in {name, resource}]
        words = (text(row, "scope") or "").split()
        takes = [one.uid for one in mine if one.record.get("role") in words]
        rest = [word for word in words if word not in {one.record.get("role") for one in mine}]
        met.update(takes)
        unexplained |= bool(rest)
        if not takes:
            continue
        whom = "everyone" if everyone else f"user {text(row, 'principalId')}"
        gone = " ".join(word for word in words if word not in rest)
        parameters = {
            "client": person.id, "resource": resource, "consent": text(row, "consentType"), "principal": guid(row, "principalId"),
        }  # fmt: skip
        yield desk.step(
            person, "remove-consent",
            f"Take back the consent of {whom} that {shown(person.name)} may do {shown(gone)} of {shown(name)} in their names.",
            parameters=parameters, before=consent_state(row), after={"exists": True, "scope": " ".join(rest)} if rest else GONE,
            order=GRANT, takes=takes,
        )  # fmt: skip
    others = [one for one in held if one.uid not in met]
    yield from left(others, *_CHANGED) if unexplained else map(Away, uids(others))
