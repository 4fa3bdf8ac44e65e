"""Plans how applications, service principals and people are switched off or deleted, with the credentials that they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure import credentials
from connectors.azure.revoking_calls import GONE, every, found
from connectors.azure.revoking_desk import KEPT_TOKENS, RESTORABLE, TOKENS, Away, Joined, called, left, place, uids
from connectors.azure.revoking_grants import grants, mediated
from connectors.azure.revoking_things import SESSIONS_FIELDS, federated_state, object_path, sessions, state_of
from countersign.document import shown
from countersign.fields import flag, guid, rows, text
from countersign.identity import uid
from countersign.revocation import CREDENTIAL, ENTRY, IDENTITY, SESSION, Residual, RevocationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connectors.azure.revoking_desk import Desk, Person, Said
    from countersign.fields import Row
    from countersign.revocation import Holding

_KEYS = {"client-secret": "passwordCredentials", "certificate": "keyCredentials"}
_NO_SWITCH = "Entra has no switch for one secret or certificate, and its identity is not the partner's"
_LATER = "it is removed for good by a plan of deletion"
_NOT_THEIRS = "the identity is not the partner's, so that it is not switched off"
_BY_HAND = "take it away in the Entra admin centre"
EXTERNAL = Residual(
    "Access tokens issued before stay good until they expire, as a rule 60 to 90 minutes; sessions of guests are their own tenant's.",
    90 * 60,
)


def service_principal(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for a service principal: another tenant's application, one of ours, a managed identity, an agent."""
    fields = ",displayName,servicePrincipalType,passwordCredentials,keyCredentials"
    row = found(desk.visit.door.graph, object_path("servicePrincipals", person.id) + fields)
    yield from grants(desk, person)
    carried = (*person.of("identity"), *person.of("trust"), *mediated(person))
    keys, federated = person.of("credential", *_KEYS), person.of("credential", "federated-credential")
    if row is None:
        yield from map(Away, uids((*carried, *keys, *federated)))
        return
    if not person.is_whole:
        yield from left([each for each in carried if each is not person.own], _NOT_THEIRS, _BY_HAND)
        yield from _not_ours(person)
        yield from _keys(desk, person, "servicePrincipals", keys, row)
        yield from left(federated, "its owner is an Azure resource, where it is kept", "delete it at the managed identity in Azure")
        return
    yield from _principal(desk, person, row, uids((*carried, *keys, *federated)))


def _principal(desk: Desk, person: Person, row: Row, takes: tuple[str, ...]) -> Iterator[Said]:
    kind = text(row, "servicePrincipalType")
    action = (
        "agent-identity"
        if kind == "ServiceIdentity" or text(row, "@odata.type") == "#microsoft.graph.agentIdentity"
        else "service-principal"
    )
    word = {"ManagedIdentity": "managed identity"}.get(kind or "", "agent" if action == "agent-identity" else "enterprise application")
    state, name = state_of("servicePrincipals", row), called(row, "displayName", person.id)
    if desk.phase == "disable":
        if not state["enabled"]:
            yield from map(Away, takes)
            return
        yield desk.step(
            person, f"disable-{action}", f"Disable the {word} {name} for sign-in.", parameters={"id": person.id}, before=state,
            after={**state, "enabled": False}, order=IDENTITY, takes=takes,
            residual=KEPT_TOKENS if kind == "ManagedIdentity" else TOKENS,
        )  # fmt: skip
    elif kind == "ManagedIdentity":
        why = "a managed identity goes with its Azure resource, and with nothing else; until then it stays disabled"
        yield from left(
            [each for each in person.holdings if each.uid in takes],
            why,
            "delete the managed identity, or the resource it belongs to, in Azure",
        )
    elif (app_id := guid(row, "appId")) in desk.deleted and app_id is not None:
        yield Joined(app_id, takes)
    else:
        yield desk.step(
            person, f"delete-{action}", f"Delete the {word} {name}.", parameters={"id": person.id}, before=state, after=GONE,
            order=IDENTITY, takes=takes, reversible=False, residual=RESTORABLE,
        )  # fmt: skip


def application(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for an application that is registered here."""
    graph = desk.visit.door.graph
    row = found(graph, object_path("applications", person.id) + ",displayName,passwordCredentials,keyCredentials")
    keys, federated = person.of("credential", *_KEYS), person.of("credential", "federated-credential")
    rest = (*person.of("identity"), *person.of("grant"))
    if row is None:
        yield from map(Away, uids(person.holdings))
        return
    listed = every(graph, f"/v1.0/applications/{person.id}/federatedIdentityCredentials")
    if not person.is_whole:
        yield from _federated(desk, person, federated, listed, row)
        yield from _keys(desk, person, "applications", keys, row)
        yield from _not_ours(person)
        yield from left(person.of("grant"), _NOT_THEIRS, _BY_HAND)
        return
    state, name = state_of("applications", row), called(row, "displayName", person.id)
    takes = uids((*rest, *keys))
    if desk.phase == "delete" and guid(row, "appId") not in desk.deleted:
        why = "deleting it would delete its enterprise application, which is not in this plan"
        yield from left(person.holdings, why, "plan both, or delete it in the Entra admin centre")
        return
    if desk.phase == "delete":
        yield desk.step(
            person, "delete-application", f"Delete the app registration {name}, with its enterprise application in this tenant.",
            parameters={"id": person.id}, before=state, after=GONE, order=IDENTITY, takes=uids(person.holdings), reversible=False,
            residual=RESTORABLE,
        )  # fmt: skip
        return
    yield from _federated(desk, person, federated, listed, row)
    if not state["enabled"]:
        yield from map(Away, takes)
        return
    yield desk.step(
        person, "disable-application", f"Deactivate the app registration {name}.", parameters={"id": person.id}, before=state,
        after={**state, "enabled": False}, order=IDENTITY, takes=takes,
    )  # fmt: skip


def _not_ours(person: Person) -> Iterator[Said]:
    """Say of an identity that is not the partner's that it stays: what lets the partner in is told of by itself."""
    if person.own is None:
        return
    if len(person.holdings) > 1:
        yield Away(person.uid)
    else:
        yield from left((person.own,), _NOT_THEIRS, _BY_HAND)


def _keys(desk: Desk, person: Person, collection: str, held: Sequence[Holding], row: Row) -> Iterator[Said]:
    """Plan for secrets and certificates of an identity that stays."""
    for each in held:
        key_id, kind = each.uid.rpartition("/")[2], _KEYS[each.kind]
        listed = rows(row, kind)
        if listed is None:
            raise RevocationError(f"Graph did not say {kind} of {person.id}")
        if key_id not in {guid(one, "keyId") for one in listed}:
            yield Away(each.uid)
        elif desk.phase == "disable":
            yield from left((each,), _NO_SWITCH, _LATER)
        else:
            what = "secret" if each.kind == "client-secret" else "certificate"
            yield desk.step(
                person, f"remove-{what}", f"Remove the {what} {key_id} from {called(row, 'displayName', person.id)}.",
                parameters={"collection": collection, "id": person.id, "key_id": key_id},
                before={"exists": True, "id": person.id, "key_id": key_id}, after=GONE, order=CREDENTIAL, takes=(each.uid,),
                target=each.uid, reversible=False,
            )  # fmt: skip


def _federated(desk: Desk, person: Person, held: Sequence[Holding], listed: Sequence[Row], row: Row) -> Iterator[Said]:
    """Plan for the outside issuers that an application trusts, by their credentials and by the trusts that these make."""
    trusts = person.of("trust")
    met: set[str] = set()
    for one in listed:
        credential_id = text(one, "id") or ""
        credential, party = (
            uid("azure", desk.visit.tenant, "federated-credential", credential_id),
            credentials.party_of(desk.visit.tenant, one),
        )
        known = ("party_kind", "party", "condition")
        takes = [
            *(each.uid for each in held if each.uid == credential),
            *(each.uid for each in trusts if party == tuple(each.record.get(name) for name in known)),
        ]
        if not takes or (desk.phase == "disable" and credentials.is_diverted(one)):
            continue
        met.update(takes)
        state = federated_state(one)
        parameters = {"id": person.id, "credential": credential_id}
        names = f"the federated credential {shown(state['name'] or credential_id)} of {called(row, 'displayName', person.id)}"
        if desk.phase == "disable":
            yield desk.step(
                person, "divert-federated-credential", f"Point {names} from {place(state['issuer'] or '')} to an issuer that cannot be.",
                parameters=parameters, before=state, after={**state, "issuer": credentials.DIVERTED.format(credential_id)}, order=ENTRY,
                takes=takes, target=credential,
            )  # fmt: skip
        else:
            yield desk.step(
                person, "delete-federated-credential", f"Delete {names}.", parameters=parameters, before=state, after=GONE, order=ENTRY,
                takes=takes, target=credential, reversible=False,
            )  # fmt: skip
    yield from (Away(each.uid) for each in (*held, *trusts) if each.uid not in met)


def user(desk: Desk, person: Person) -> Iterator[Said]:
    """Plan for a person: a guest, or a member of the tenant."""
    fields = f",userPrincipalName,userType,creationType,onPremisesSyncEnabled,{SESSIONS_FIELDS.partition(',')[2]}"
    row = found(desk.visit.door.graph, object_path("users", person.id) + fields)
    yield from grants(desk, person)
    carried = (*person.of("identity"), *person.of("credential"), *person.of("trust"), *mediated(person))
    if row is None:
        yield from map(Away, uids(carried))
        return
    if not person.is_whole:
        yield from left([each for each in carried if each is not person.own], _NOT_THEIRS, _BY_HAND)
        yield from _not_ours(person)
        return
    if flag(row, "onPremisesSyncEnabled"):
        why = "the account comes from a directory on the premises, which would write over any change here"
        yield from left(carried, why, "disable or delete it in that directory")
        return
    state, name = state_of("users", row), called(row, "userPrincipalName", person.id)
    if desk.phase == "delete":
        yield desk.step(
            person, "delete-user", f"Delete the account {name}.", parameters={"id": person.id}, before=state, after=GONE, order=IDENTITY,
            takes=uids(carried), reversible=False, residual=RESTORABLE,
        )  # fmt: skip
        return
    external = (
        text(row, "userType") == "Guest" or text(row, "creationType") == "Invitation" or "#EXT#" in (text(row, "userPrincipalName") or "")
    )
    others = person.own.others if person.own is not None else ()
    if state["enabled"]:
        yield desk.step(
            person, "disable-user", f"Block the account {name} from signing in.", parameters={"id": person.id}, before=state,
            after={**state, "enabled": False}, order=IDENTITY, takes=uids(carried),
            residual=_shared(others) if others else EXTERNAL if external else TOKENS,
        )  # fmt: skip
    else:
        yield from map(Away, uids(carried))
    before = sessions(row, desk.since)
    if not external and not others and not before["sessions_ended_since_plan"]:
        yield desk.step(
            person, "end-sessions", f"End all sessions of the account {name}.",
            parameters={"id": person.id, "since": desk.since.isoformat()}, before=before,
            after={**before, "sessions_ended_since_plan": True}, order=SESSION, takes=(person.uid,), reversible=False,
        )  # fmt: skip


def _shared(others: tuple[str, ...]) -> Residual:
    return Residual(f"Sessions are not ended, since others use the account too: {', '.join(map(shown, others[:8]))}.", None)
