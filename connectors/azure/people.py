"""Reads people: guests, holders of roles, and the tenants whose people and programs are let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure.door import BATCH, Refusal
from connectors.azure.estate import Estate, Seen
from connectors.azure.visit import Visit, listed, look_up
from countersign.fields import flag, guid, inner, kept, rows, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.azure.visit import Operation
    from countersign.fields import Row
    from countersign.identity import Record

GUESTS = "GET /users (guests)"
SIGN_INS = "GET /users (signInActivity)"
ROLE_HOLDERS = "GET /users/*"
PARTNERS = "GET /policies/crossTenantAccessPolicy/partners"
CONSTRAINTS = "GET /policies/crossTenantAccessPolicy/partners/*/serviceProviderConstraints"
PARTNER_DEFAULT = "GET /policies/crossTenantAccessPolicy/default"

USER = "id,displayName,userPrincipalName,mail,otherMails,userType,accountEnabled,createdDateTime,creationType,externalUserState"
SIGN_IN = ",signInActivity"
INVITED = ("userType eq 'Guest'", "userType eq 'Member' and creationType eq 'Invitation'")
"""Guests, and people who were invited and then made members: both sign in elsewhere."""
_TOP, _TOP_WITH_SIGN_INS = 999, 120
_SHOWN = (
    "id",
    "displayName",
    "userPrincipalName",
    "mail",
    "userType",
    "accountEnabled",
    "createdDateTime",
    "creationType",
    "externalUserState",
)
_SHOWN_OF_SIGN_INS = ("lastSignInDateTime", "lastNonInteractiveSignInDateTime", "lastSuccessfulSignInDateTime")
_PARTNERS = "/policies/crossTenantAccessPolicy/partners"
_PARTNER_FIELDS = ("tenantId", "isServiceProvider", "isInMultiTenantOrganization")


def guests(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read everyone who was invited; where last sign-ins are refused, read them without."""
    operation = visit.operation(GUESTS, "user")
    for condition in INVITED:
        yield from _guests(operation, estate, condition)
    yield operation.coverage()


def _guests(operation: Operation, estate: Estate, condition: str) -> Iterator[Record]:
    try:
        for page in operation.visit.door.graph.pages(_users_path(condition, signed_in=estate.sign_ins is None)):
            operation.answered(len(page))
            yield _keep(operation, estate, page)
    except Refusal as refusal:
        # The whole request is refused for the one field; a first page that was answered says that it is allowed.
        if estate.sign_ins is not None or not _for_sign_ins(refusal):
            operation.fail(refusal)
            return
        estate.sign_ins = _why(refusal)
        for page in listed(operation, _users_path(condition, signed_in=False)):
            yield _keep(operation, estate, page)


def _keep(operation: Operation, estate: Estate, page: tuple[Row, ...]) -> Record:
    for row in page:
        object_id = guid(row, "id")
        if object_id is None:
            operation.drop("entry without an object id")
        elif object_id in estate.users:
            operation.leave_out("listed twice")
        else:
            estate.users[object_id] = Seen(row, operation.visit.now())
    return operation.observe([shown(row) for row in page])


def role_holders(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read the users who hold a role, or own an application that can do much, and are no guests."""
    wanted = [
        holding.holder
        for holding in estate.holdings
        if holding.kind == "user"
        and holding.holder not in estate.users
        and (holding.via != "owner" or holding.verdict.power in {"administrator", "escalation"})
    ]
    operation = visit.operation(ROLE_HOLDERS, "user")
    ids = list(dict.fromkeys(wanted))
    for start in range(0, len(ids), BATCH):
        chunk = ids[start : start + BATCH]
        found = [(object_id, operation.settle(answer)) for object_id, answer in _users(visit, estate, chunk)]
        for object_id, row in found:
            if row is not None:
                estate.users[object_id] = Seen(row, visit.now())
        yield operation.observe([shown(row) for _, row in found if row is not None])
    if ids:
        yield operation.coverage()


def _users(visit: Visit, estate: Estate, ids: list[str]) -> list[tuple[str, Row | Refusal]]:
    for _ in range(2):
        select = USER if estate.sign_ins is not None else USER + SIGN_IN
        answers = look_up(visit, [(each, f"/users/{each}?$select={select}") for each in ids])
        refused = [answer for _, answer in answers if isinstance(answer, Refusal) and _for_sign_ins(answer)]
        if estate.sign_ins is not None or not refused:
            break
        estate.sign_ins = _why(refused[0])
    return answers


def partners(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read the tenants that cross-tenant access knows, and what holds where their entry is silent."""
    operation = visit.operation(PARTNER_DEFAULT)
    try:
        estate.partner_default = visit.door.graph.get("/v1.0/policies/crossTenantAccessPolicy/default")
        operation.answered()
    except Refusal as refusal:
        operation.fail(refusal)
    yield operation.coverage()
    operation = visit.operation(PARTNERS, "partner-tenant")
    for page in listed(operation, f"/v1.0{_PARTNERS}"):
        for row in page:
            tenant = guid(row, "tenantId")
            if tenant is None:
                operation.drop("partner without a tenant id")
            else:
                estate.partners[tenant] = Seen(row, visit.now())
        yield operation.observe([kept(row, _PARTNER_FIELDS) for row in page])
    yield operation.coverage()
    yield from _constraints(visit, estate)


def _constraints(visit: Visit, estate: Estate) -> Iterator[Record]:
    """Read which roles a service provider is limited to, where somebody limited it."""
    providers = [tenant for tenant, seen in estate.partners.items() if flag(seen.row, "isServiceProvider")]
    if not providers:
        return
    operation = visit.operation(CONSTRAINTS)
    for tenant, answer in look_up(visit, [(each, f"{_PARTNERS}/{each}/serviceProviderConstraints") for each in providers]):
        if isinstance(answer, Refusal) and answer.gone:
            operation.answered(0)
            estate.constraints[tenant] = ()
            continue
        found = operation.settle(answer)
        estate.constraints[tenant] = None if found is None else texts(found, "allowedRoleTemplateIds")
    yield operation.coverage()


def way_in(partner: Row, default: Row | None, roles: tuple[str, ...] | None = ()) -> tuple[bool | None, str | None]:
    """Say whether a partner tenant's people may come in, and what narrows it.

    `roles`: the role templates that a service provider is limited to; none of them, or None: nothing that could be read
    limits it. Returns (None, None) where the entry leaves it to the default and that was not read; a condition of None
    means that nothing narrows it.
    """
    found: list[str | None] = []
    if flag(partner, "isServiceProvider"):
        found.append(f"roles {', '.join(roles)}" if roles else None)
    unread = False
    for name in ("b2bDirectConnectInbound", "b2bCollaborationInbound"):
        setting = inner(partner, name) or (None if default is None else inner(default, name))
        if setting is None:
            unread = True
        elif not is_blocked(setting):
            # Collaboration takes an invitation for each person; direct connect takes none.
            narrowed = "invitation" if name == "b2bCollaborationInbound" else _targets(setting)
            # A setting that was never written: collaboration is open in every new tenant, direct connect is closed.
            if setting or name == "b2bCollaborationInbound":
                found.append(narrowed)
    if found:
        return True, None if None in found else "; ".join(part for part in found if part)
    return (None, None) if unread else (False, "blocked")


def is_blocked(setting: Row) -> bool:
    """Whether an inbound setting lets nobody in."""
    return any(
        text(inner(setting, part), "accessType") == "blocked" and every in _named(inner(setting, part))
        for part, every in (("usersAndGroups", "AllUsers"), ("applications", "AllApplications"))
    )


def _targets(setting: Row) -> str | None:
    for part, every, word in (
        ("usersAndGroups", "AllUsers", "named users and groups"),
        ("applications", "AllApplications", "named applications"),
    ):
        about = inner(setting, part)
        if text(about, "accessType") == "allowed" and (named := _named(about)) and every not in named:
            return word
    return None


def _named(about: Row) -> tuple[str, ...]:
    return tuple(target for each in rows(about, "targets") or () if (target := text(each, "target")) is not None)


def _users_path(condition: str, *, signed_in: bool) -> str:
    select, top = (USER + SIGN_IN, _TOP_WITH_SIGN_INS) if signed_in else (USER, _TOP)
    return f"/v1.0/users?$filter={condition.replace(' ', '%20')}&$select={select}&$top={top}"


def _for_sign_ins(refusal: Refusal) -> bool:
    return refusal.denied or refusal.unlicensed


def _why(refusal: Refusal) -> str:
    return f"last sign-ins of users were refused ({refusal}); they take AuditLog.Read.All and Microsoft Entra ID P1"


def shown(row: Row) -> dict[str, object]:
    """Reduce a user to its allow-listed fields."""
    return kept(row, _SHOWN) | kept(inner(row, "signInActivity"), _SHOWN_OF_SIGN_INS)
