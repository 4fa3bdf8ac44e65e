"""From the rows of a tenant to identities; pure, like `credentials.py` beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from connectors.azure.people import way_in
from connectors.azure.resources import last_part
from connectors.azure.visit import PROVIDER, Visit
from countersign.fields import flag, guid, inner, latest, lines, moment, pairs, rows, text, texts
from countersign.identity import Grant, Identity, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from connectors.azure.estate import Delegation, Estate, Foreigner, Seen
    from countersign.fields import Row
    from countersign.identity import PartyKind, UseState

# Tenants from which Microsoft publishes its own apps (Microsoft Services, Microsoft).
MICROSOFT = frozenset({"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"})
USER_ASSIGNED = "/providers/microsoft.managedidentity/userassignedidentities/"
NO_CREATION = "Graph does not say when a service principal was created"
NO_MFA = "which authentication methods people have registered is not read"
ELSEWHERE = "the application serves other tenants too, and their sign-ins are not seen from here"
NO_USE_OF_TENANTS = "what another tenant does with its access is not read"
_HOME = re.compile(r"(.+)_([^_]+)#EXT#@.*", re.IGNORECASE)


def principal(visit: Visit, estate: Estate, object_id: str, seen: Seen) -> Iterator[Identity | Trust]:
    """Tell a service principal, and the tenant that published its application where that is another one."""
    row = seen.row
    app_id, publisher = guid(row, "appId"), guid(row, "appOwnerOrganizationId")
    unknown: dict[str, str] = {}
    enabled = _enabled(row, unknown)
    created = estate.agents_created.get(object_id)
    if created is None:
        unknown["created_at"] = NO_CREATION
    if is_user_assigned(row) and object_id in estate.unread_federation:
        unknown["trusts"] = estate.unread_federation[object_id]
    elif "appOwnerOrganizationId" not in row:
        unknown["trusts"] = "Graph did not say which tenant published the application"
    tags = _tags(row, estate.resource_tags.get(object_id, {}))
    if object_id == visit.own_principal:
        tags["countersign"] = "self"
    last, state = _used(estate, app_id, unknown)
    yield Identity(
        uid=visit.uid("service-principal", object_id),
        provider=PROVIDER,
        scope=visit.tenant,
        kind="service-principal",
        native_id=object_id,
        name=text(row, "displayName") or app_id or object_id,
        aliases=(*((app_id,) if app_id else ()), *texts(row, "alternativeNames")),
        track="machine",
        enabled=enabled,
        provider_managed=publisher in MICROSOFT,
        console=False,
        created_at=created,
        created_by=_creator(visit, estate, row),
        last_active_at=last,
        last_active_state=state,
        owner_claim=tags.get("owner"),
        purpose=tags.get("purpose") or _note(row),
        tags=tags,
        observed_at=seen.at,
        unknown=unknown | grants_unknown(estate),
    )
    if publisher is not None and publisher != visit.tenant and publisher not in MICROSOFT:
        # The publisher holds the app's credentials, so it may act as this principal; its own registration is what narrows that.
        yield trust(visit, visit.uid("service-principal", object_id), "entra-tenant", publisher, "app registration")


def application(visit: Visit, estate: Estate, object_id: str, seen: Seen) -> Identity:
    """Tell an application that is registered here; what it may do is told of its service principal."""
    row = seen.row
    app_id = guid(row, "appId")
    created, why = moment(row, "createdDateTime")
    unknown = {} if why is None else {"created_at": why}
    enabled: bool | None = flag(row, "isDisabled") is not True  # null is Graph's way of saying that nobody disabled it
    if "isDisabled" not in row:
        enabled, unknown["enabled"] = None, "Graph did not say isDisabled"
    if object_id in estate.unread_federation:
        unknown["trusts"] = estate.unread_federation[object_id]
    if serves_others(row):
        last, state = None, "unknown"
        unknown["last_active_at"] = ELSEWHERE
    else:
        last, state = _used(estate, app_id, unknown)
    reference = text(row, "serviceManagementReference")
    tags = _tags(row, {"serviceManagementReference": reference} if reference else {})
    return Identity(
        uid=visit.uid("application", object_id),
        provider=PROVIDER,
        scope=visit.tenant,
        kind="application",
        native_id=object_id,
        name=text(row, "displayName") or app_id or object_id,
        aliases=(app_id,) if app_id else (),
        track="machine",
        enabled=enabled,
        console=False,
        created_at=created,
        created_by=_creator(visit, estate, row),
        last_active_at=last,
        last_active_state="known" if state == "known" else "unknown",
        owner_claim=tags.get("owner"),
        purpose=tags.get("purpose") or _note(row),
        tags=tags,
        observed_at=seen.at,
        unknown=unknown,
    )


def is_user_assigned(row: Row) -> bool:
    """Whether a service principal is a managed identity that is an Azure resource of its own."""
    names = [name.lower() for name in texts(row, "alternativeNames")]
    return text(row, "servicePrincipalType") == "ManagedIdentity" and any(USER_ASSIGNED in name for name in names)


def serves_others(row: Row) -> bool:
    """Whether an application may be used in other tenants, where nobody here sees it."""
    return (text(row, "signInAudience") or "AzureADMyOrg") != "AzureADMyOrg"


def user(visit: Visit, estate: Estate, object_id: str, seen: Seen) -> Identity:
    """Tell a person; a guest by the mail address at home, so that the home's domain is in the name."""
    row = seen.row
    sign_in, mail = text(row, "userPrincipalName"), text(row, "mail")
    home = _HOME.fullmatch(sign_in or "")
    at_home = f"{home[1]}@{home[2]}" if home else None
    name = (mail or at_home if at_home else sign_in) or mail or text(row, "displayName") or object_id
    created, why = moment(row, "createdDateTime")
    enabled = flag(row, "accountEnabled")
    unknown = {"mfa": NO_MFA}
    if why is not None:
        unknown["created_at"] = why
    if enabled is None:
        unknown["enabled"] = "Graph did not say accountEnabled"
    last, state = _last_sign_in(estate, row, unknown)
    aliases = dict.fromkeys(each for each in (sign_in, mail, at_home, *texts(row, "otherMails"), text(row, "displayName")) if each)
    return Identity(
        uid=visit.uid("user", object_id),
        provider=PROVIDER,
        scope=visit.tenant,
        kind="user",
        native_id=object_id,
        name=name,
        aliases=tuple(each for each in aliases if each != name),
        track="human",
        enabled=enabled,
        console=True,
        created_at=created,
        last_active_at=last,
        last_active_state=state,
        observed_at=seen.at,
        unknown=unknown | grants_unknown(estate),
    )


def foreigner(visit: Visit, estate: Estate, object_id: str, about: Foreigner) -> Iterator[Identity | Trust]:
    """Tell a person, group or program of another tenant that holds a role here without an account here."""
    subject = visit.uid("foreign-principal", object_id)
    unknown = {"last_active_at": NO_USE_OF_TENANTS, "created_at": "the assignment does not say when it was made"}
    if about.tenant is None:
        unknown["trusts"] = "Azure does not say which tenant the group belongs to"
    name = about.name or object_id
    yield _delegation(visit, "foreign-principal", object_id, name, about.at, unknown | grants_unknown(estate), enabled=True)
    if about.tenant is not None:
        yield trust(visit, subject, "entra-tenant", about.tenant, "named principal")


def partner(visit: Visit, estate: Estate, tenant: str, seen: Seen) -> Iterator[Identity | Trust]:
    """Tell a tenant of the cross-tenant access policy, and what narrows its way in."""
    roles = estate.constraints.get(tenant, ())
    enabled, condition = way_in(seen.row, estate.partner_default, roles)
    unknown = {"last_active_at": NO_USE_OF_TENANTS, "created_at": "the policy does not say since when"}
    if enabled is None:
        unknown["enabled"] = unknown["trusts"] = "its entry leaves it to the default policy, which could not be read"
    if flag(seen.row, "isServiceProvider"):
        unknown["grants"] = "roles of a service provider are agreed in the partner's centre and cannot be listed from the customer's side"
        if roles is None:
            unknown["trusts"] = "whether its roles are limited could not be read"
    yield _delegation(visit, "partner-tenant", tenant, tenant, seen.at, unknown, enabled=enabled)
    if enabled is not None:
        yield trust(visit, visit.uid("partner-tenant", tenant), "entra-tenant", tenant, "not known" if roles is None else condition)


def lighthouse(visit: Visit, estate: Estate, given: Delegation) -> Iterator[Identity | Trust | Grant]:
    """Tell a delegation of Azure resources to another tenant, and what its principals there may do; it always names them."""
    definition, subject = given.definition, visit.uid("lighthouse-delegation", given.id)
    tenant = guid(definition, "managedByTenantId")
    state = text(given.assignment, "provisioningState")
    unknown = {"last_active_at": NO_USE_OF_TENANTS, "created_at": "Resource Graph does not say when it was made"}
    if not definition:
        unknown["grants"] = unknown["trusts"] = "the definition of the registration is not visible to the reader"
    elif tenant is None:
        unknown["trusts"] = "the registration does not say which tenant manages it"
    name = text(definition, "registrationDefinitionName") or given.id
    others = tuple(each for each in (text(definition, "managedByTenantName"),) if each and each != name)
    yield _delegation(
        visit, "lighthouse-delegation", given.id, name, given.at, unknown, enabled=state not in {"Deleted", "Deleting"}, aliases=others
    )
    if tenant is not None:
        yield trust(visit, subject, "entra-tenant", tenant, "named principals")
    for key, via in (("authorizations", "lighthouse"), ("eligibleAuthorizations", "eligible")):
        for each in rows(definition, key) or ():
            role_id = last_part(text(each, "roleDefinitionId")) or "not named"
            role = estate.azure_role(role_id)
            # Who may give roles by Lighthouse may give the listed ones only.
            verdict = role.verdict(conditioned=bool(texts(each, "delegatedRoleDefinitionIds")))
            yield Grant(
                identity_uid=subject,
                provider=PROVIDER,
                scope=visit.tenant,
                role=role.name,
                resource="/" + given.id.partition("/providers/microsoft.managedservices/")[0],
                power=verdict.power,
                rule=verdict.rule,
                via=f"{via}:{text(each, 'principalIdDisplayName') or text(each, 'principalId')}",
            )


def _delegation(  # noqa: PLR0913, PLR0917 -- a record has these parts
    visit: Visit,
    kind: str,
    native_id: str,
    name: str,
    at: datetime,
    unknown: Mapping[str, str],
    *,
    enabled: bool | None,
    aliases: tuple[str, ...] = (),
) -> Identity:
    return Identity(
        uid=visit.uid(kind, native_id),
        provider=PROVIDER,
        scope=visit.tenant,
        kind=kind,
        native_id=native_id,
        name=name,
        aliases=aliases,
        track="delegation",
        enabled=enabled,
        observed_at=at,
        unknown={"console": NO_USE_OF_TENANTS, "mfa": NO_USE_OF_TENANTS, **unknown},
    )


def trust(visit: Visit, subject: str, kind: PartyKind, party: str, condition: str | None) -> Trust:
    """Tell who outside may act as an identity."""
    return Trust(identity_uid=subject, provider=PROVIDER, scope=visit.tenant, party_kind=kind, party=party, condition=condition)


def grants_unknown(estate: Estate) -> dict[str, str]:
    """Say why somebody may hold more than is known; empty where everything was read."""
    return {"grants": "; ".join(estate.grant_gaps)} if estate.grant_gaps else {}


def _enabled(row: Row, unknown: dict[str, str]) -> bool | None:
    enabled = flag(row, "accountEnabled")
    if enabled is None and flag(row, "isDisabled") is not True:
        unknown["enabled"] = "Graph did not say accountEnabled"
        return None
    return enabled is True and flag(row, "isDisabled") is not True


def _creator(visit: Visit, estate: Estate, row: Row) -> str | None:
    app_id = guid(row, "createdByAppId")
    known = estate.by_app_id.get(app_id or "")
    return app_id if known is None else visit.uid("service-principal", known)


def _tags(row: Row, further: Mapping[str, str]) -> dict[str, str]:
    """Join what is written as a pair in tags and notes with the tags of the Azure resource; nobody can write our own mark."""
    written = {key.lower(): value for key, value in further.items()} | pairs(*texts(row, "tags"), *lines(text(row, "notes")))
    return {key: value for key, value in written.items() if key != "countersign"}


def _note(row: Row) -> str | None:
    """Return the notes as they stand, unless they are written as pairs."""
    note = text(row, "notes")
    return None if note is None or pairs(*lines(note)) else note


def _used(estate: Estate, app_id: str | None, unknown: dict[str, str]) -> tuple[datetime | None, UseState]:
    last = estate.use.apps.get(app_id or "")
    if last is None:
        unknown["last_active_at"] = estate.use.no_app
        return None, "unknown"
    return last, "known"


def _last_sign_in(estate: Estate, row: Row, unknown: dict[str, str]) -> tuple[datetime | None, UseState]:
    if estate.sign_ins is not None:
        unknown["last_active_at"] = estate.sign_ins
        return None, "unknown"
    activity = inner(row, "signInActivity")
    last = latest(activity, "lastSuccessfulSignInDateTime") or latest(activity, "lastSignInDateTime", "lastNonInteractiveSignInDateTime")
    return (None, "never") if last is None else (last, "known")
