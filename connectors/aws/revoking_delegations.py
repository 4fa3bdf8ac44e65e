"""Shuts standing ways in: OIDC and SAML providers, trust anchors, delegation requests, delegated administrators, billing transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.aws.asking import ask, rows
from connectors.aws.revoking_plan import GONE, ROLE_SECONDS, Action, left, same_party
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import moment, text
from countersign.clock import stamp
from countersign.errors import ReadError
from countersign.revocation import ENTRY, GRANT, Residual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connectors.aws.door import Account
    from connectors.aws.listing import Item
    from connectors.aws.revoking_plan import Hands, Planning
    from countersign.revocation import Change, Holding, Left, State

_SESSIONS = Residual("sessions of roles that were taken through it live until they expire", ROLE_SECONDS)
_PENDING = frozenset({"UNASSIGNED", "ASSIGNED", "PENDING_APPROVAL", "ACCEPTED"})
_OVER = frozenset({"REJECTED", "EXPIRED"})
_SHARED = ("others come in by it too, and it can only be shut for all", "give the others a way of their own, then plan again")
ADMINISTRATOR = "delegated administrator of "
"""Beginning of the role of a grant that makes an account one (see `organization`)."""


def delegation_changes(plan: Planning, kind: str, uid: str, native_id: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Plan for one way in; nothing where it is shut or gone already."""
    if not same_party(held):
        yield from left(held, *_SHARED)
        return
    yield from _PLANS[kind](plan, uid, native_id, held)


def administrator_changes(plan: Planning, held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Plan for grants that make an account an administrator of the organisation; asked in the management account."""
    for one in held:
        role = str(one.record.get("role") or one.kind)
        number, service = _number_of(one.identity_uid), role.removeprefix(ADMINISTRATOR)
        changes = plan.change(
            DEREGISTER, target=one.identity_uid, name=one.name,
            says=f"Deregister the account {number} as delegated administrator of {service}",
            parameters={"account": number, "service": service}, after=GONE, takes=[one], order=GRANT, reversible=False,
            residual=Residual("what the service did for that administrator may stay as it set it up", None),
        )  # fmt: skip
        if plan.phase == "disable":
            yield from changes
        elif any(True for _ in changes):
            yield from left([one], "it is still registered", "apply a plan that disables it first")


def _number_of(uid: str) -> str:
    """Give the number of the account that an account's uid names."""
    return uid.rpartition("/")[2]


def _oidc(plan: Planning, uid: str, arn: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    address = arn.partition(":oidc-provider/")[2] or arn
    if plan.phase == "delete":
        yield from plan.change(
            DELETE_OIDC, target=uid, name=address, says=f"Delete the OIDC provider {address}", parameters={"id": arn}, after=GONE,
            takes=held, order=ENTRY, reversible=False,
        )  # fmt: skip
        return
    now = _look_oidc(plan.reader, arn)
    if now == GONE:
        return
    yield from plan.change(
        CLOSE_OIDC,
        target=uid,
        name=address,
        says=f"Remove every audience from the OIDC provider {address}, so that no token fits",
        parameters={"id": arn},
        after={**now, "audiences": []},
        takes=held,
        order=ENTRY,
        residual=_SESSIONS,
    )


def _saml(plan: Planning, uid: str, arn: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    name = arn.partition(":saml-provider/")[2] or arn
    if plan.phase == "disable":
        if _look_saml(plan.reader, arn) != GONE:
            why = "IAM cannot switch a SAML provider off; the roles that trust it are changed by themselves"
            yield from left(held, why, "it goes when what was disabled is deleted; until then see that no other role trusts it")
        return
    yield from plan.change(
        DELETE_SAML, target=uid, name=name, says=f"Delete the SAML provider {name}", parameters={"id": arn}, after=GONE, takes=held,
        order=ENTRY, reversible=False,
    )  # fmt: skip


def _request(plan: Planning, uid: str, native_id: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    now = _look_request(plan.reader, native_id)
    state, name = now.get("state", ""), next((one.name for one in held if one.what == "identity"), native_id)
    if now == GONE or state in _OVER:
        return
    if plan.phase == "delete":
        yield from left(held, f"it is still {state}", "apply a plan that disables it first")
    elif state not in _PENDING:
        why = f"its state is {state}: what was handed out under it ends by itself, and a request that is done cannot be rejected"
        yield from left(held, why, "see its SessionDuration in IAM > Delegation requests; deny its approver to end it at once")
    else:
        yield from plan.change(
            REJECT, target=uid, name=name, says=f"Reject the delegation request {native_id} of {name}", parameters={"id": native_id},
            after={"exists": True, "state": "REJECTED"}, takes=held, order=ENTRY, reversible=False,
            residual=Residual("what was handed out under it lives until it expires", ROLE_SECONDS),
        )  # fmt: skip


def _anchor(plan: Planning, uid: str, arn: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    name = next((one.name for one in held if one.what == "identity"), arn)
    off = plan.phase == "disable"
    yield from plan.change(
        SWITCH_ANCHOR if off else DELETE_ANCHOR,
        target=uid,
        name=name,
        says=f"{'Disable' if off else 'Delete'} the Roles Anywhere trust anchor {name} ({arn})",
        parameters={"id": arn},
        after={"exists": True, "active": False} if off else GONE,
        takes=held,
        order=ENTRY,
        reversible=off,
        residual=_SESSIONS if off else None,
    )


def _transfer(plan: Planning, uid: str, native_id: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    name = next((one.name for one in held if one.what == "identity"), native_id)
    now = _look_transfer(plan.reader, native_id)
    if plan.phase == "disable":
        if now != GONE and now["ending"] is False:
            yield from left(held, "a billing transfer cannot be suspended", "it is ended when what was disabled is deleted")
        return
    yield from plan.change(
        END_TRANSFER, target=uid, name=name, says=f"Terminate the billing transfer {name} ({native_id})", parameters={"id": native_id},
        after={"exists": True, "ending": True}, takes=held, order=ENTRY, reversible=False,
        residual=Residual("bills go to the other side until the term of the transfer ends", None),
    )  # fmt: skip


def _by_id(look: Callable[[Account, str], State]) -> Callable[[Account, Change], State]:
    return lambda account, change: look(account, change.parameters["id"])


def _look_oidc(account: Account, arn: str) -> State:
    try:
        told = ask(account, "iam:GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn})
    except GoneError:
        return GONE
    listed = told.get("ClientIDList")
    if not text(told, "Url"):
        raise ReadError("iam:GetOpenIDConnectProvider", "the answer has no Url")
    audiences = sorted(map(str, listed)) if isinstance(listed, list) else []
    return {"exists": True, "created_at": _when(told), "audiences": audiences}


def _write_audiences(hands: Hands, change: Change) -> None:
    arn = change.parameters["id"]
    now = _look_oidc(hands.reader, arn)
    if now.get("created_at") != change.before["created_at"]:
        raise ReadError("iam:GetOpenIDConnectProvider", f"{arn} is another provider than the one that was planned for")
    for audience in sorted({*now["audiences"]} - {*change.after["audiences"]}):
        ask(hands.writer, "iam:RemoveClientIDFromOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn, "ClientID": audience})
    for audience in change.after["audiences"]:
        if audience not in now["audiences"]:
            ask(hands.writer, "iam:AddClientIDToOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn, "ClientID": audience})


def _delete_oidc(hands: Hands, change: Change) -> None:
    _sure(_look_oidc(hands.reader, change.parameters["id"]), change)
    ask(hands.writer, "iam:DeleteOpenIDConnectProvider", {"OpenIDConnectProviderArn": change.parameters["id"]})


def _look_saml(account: Account, arn: str) -> State:
    for one in rows(account, "iam:ListSAMLProviders", "SAMLProviderList"):
        if text(one, "Arn") == arn:
            return {"exists": True, "created_at": _when(one)}
    return GONE


def _delete_saml(hands: Hands, change: Change) -> None:
    _sure(_look_saml(hands.reader, change.parameters["id"]), change)
    ask(hands.writer, "iam:DeleteSAMLProvider", {"SAMLProviderArn": change.parameters["id"]})


def _sure(now: State, change: Change) -> None:
    """Raise ReadError for another provider under the same ARN, which is a name that can be used again."""
    if now.get("created_at") != change.before["created_at"]:
        raise ReadError(change.looks[0], f"{change.parameters['id']} is another provider than the one that was planned for")


def _look_request(account: Account, native_id: str) -> State:
    for one in rows(account, "iam:ListDelegationRequests", "DelegationRequests"):
        if text(one, "DelegationRequestId") == native_id:
            return {"exists": True, "state": text(one, "State")}
    return GONE


def _reject(hands: Hands, change: Change) -> None:
    ask(hands.writer, "iam:RejectDelegationRequest", {"DelegationRequestId": change.parameters["id"]})


def _look_anchor(account: Account, arn: str) -> State:
    for one in rows(account, "rolesanywhere:ListTrustAnchors", "trustAnchors", {}, arn.split(":")[3], "nextToken"):
        if text(one, "trustAnchorArn") == arn:
            enabled = one.get("enabled")
            if not isinstance(enabled, bool):
                raise ReadError("rolesanywhere:ListTrustAnchors", f"it does not say whether {arn} is enabled")
            return {"exists": True, "active": enabled}
    return GONE


def _of_anchor(call: str) -> Callable[[Hands, Change], None]:
    def write(hands: Hands, change: Change) -> None:
        arn = change.parameters["id"]
        verb = call or ("EnableTrustAnchor" if change.after["active"] else "DisableTrustAnchor")
        ask(hands.writer, f"rolesanywhere:{verb}", {"trustAnchorId": arn.rpartition("/")[2]}, arn.split(":")[3])

    return write


def _look_transfer(account: Account, native_id: str) -> State:
    call = "organizations:ListOutboundResponsibilityTransfers"
    for one in rows(account, call, "ResponsibilityTransfers", {"Type": "BILLING"}, start="NextToken"):
        if native_id in {text(one, "Id"), text(one, "Arn")}:
            if not text(one, "Status"):
                raise ReadError(call, f"it does not say the status of {native_id}")
            return {"exists": True, "ending": text(one, "Status") not in {"ACCEPTED", "REQUESTED"} or one.get("EndTimestamp") is not None}
    return GONE


def _terminate(hands: Hands, change: Change) -> None:
    ask(hands.writer, "organizations:TerminateResponsibilityTransfer", {"Id": change.parameters["id"].rpartition("/")[2]})


def _look_administrator(account: Account, change: Change) -> State:
    asked = {"AccountId": change.parameters["account"]}
    try:
        found = list(rows(account, "organizations:ListDelegatedServicesForAccount", "DelegatedServices", asked, start="NextToken"))
    except GoneError:
        return GONE
    return {"exists": True} if change.parameters["service"] in {text(one, "ServicePrincipal") for one in found} else GONE


def _deregister(hands: Hands, change: Change) -> None:
    asked = {"AccountId": change.parameters["account"], "ServicePrincipal": change.parameters["service"]}
    ask(hands.writer, "organizations:DeregisterDelegatedAdministrator", asked)


def _when(item: Item) -> str | None:
    at = moment(item.get("CreateDate"))
    return None if at is None else stamp(at)


CLOSE_OIDC = Action(
    name="close-oidc-provider",
    looks=("iam:GetOpenIDConnectProvider",),
    writes=("iam:RemoveClientIDFromOpenIDConnectProvider", "iam:AddClientIDToOpenIDConnectProvider"),
    look=_by_id(_look_oidc),
    write=_write_audiences,
)
DELETE_OIDC = Action(
    name="delete-oidc-provider",
    looks=("iam:GetOpenIDConnectProvider",),
    writes=("iam:DeleteOpenIDConnectProvider",),
    look=_by_id(_look_oidc),
    write=_delete_oidc,
)
DELETE_SAML = Action(
    name="delete-saml-provider",
    looks=("iam:ListSAMLProviders",),
    writes=("iam:DeleteSAMLProvider",),
    look=_by_id(_look_saml),
    write=_delete_saml,
)
REJECT = Action(
    name="reject-delegation-request",
    looks=("iam:ListDelegationRequests",),
    writes=("iam:RejectDelegationRequest",),
    look=_by_id(_look_request),
    write=_reject,
)
SWITCH_ANCHOR = Action(
    name="disable-trust-anchor",
    looks=("rolesanywhere:ListTrustAnchors",),
    writes=("rolesanywhere:DisableTrustAnchor", "rolesanywhere:EnableTrustAnchor"),
    look=_by_id(_look_anchor),
    write=_of_anchor(""),
)
DELETE_ANCHOR = Action(
    name="delete-trust-anchor",
    looks=("rolesanywhere:ListTrustAnchors",),
    writes=("rolesanywhere:DeleteTrustAnchor",),
    look=_by_id(_look_anchor),
    write=_of_anchor("DeleteTrustAnchor"),
)
END_TRANSFER = Action(
    name="end-billing-transfer",
    looks=("organizations:ListOutboundResponsibilityTransfers",),
    writes=("organizations:TerminateResponsibilityTransfer",),
    look=_by_id(_look_transfer),
    write=_terminate,
)
DEREGISTER = Action(
    name="deregister-administrator",
    looks=("organizations:ListDelegatedServicesForAccount",),
    writes=("organizations:DeregisterDelegatedAdministrator",),
    look=_look_administrator,
    write=_deregister,
)
DELEGATION_ACTIONS = (CLOSE_OIDC, DELETE_OIDC, DELETE_SAML, REJECT, SWITCH_ANCHOR, DELETE_ANCHOR, END_TRANSFER, DEREGISTER)
_PLANS: dict[str, Callable[[Planning, str, str, Sequence[Holding]], Iterator[Change | Left]]] = {
    "oidc-provider": _oidc,
    "saml-provider": _saml,
    "delegation-request": _request,
    "trust-anchor": _anchor,
    "billing-transfer": _transfer,
}
DELEGATIONS = frozenset(_PLANS)
