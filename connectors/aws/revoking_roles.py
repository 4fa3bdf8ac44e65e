"""Takes roles away: the partner's own are denied everything; out of the others' trust policies only the partner goes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connectors.aws.asking import ask, rows, thing
from connectors.aws.revoking_plan import GONE, OURS, ROLE_SECONDS, Action, is_ours, left
from connectors.aws.revoking_principals import Principals, deny_all
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import moment, text
from countersign.aws_documents.policy import document, outside_parties
from countersign.aws_documents.trust_removal import names_deleted, opens, same, without
from countersign.clock import instant, stamp
from countersign.errors import ReadError
from countersign.revocation import ENTRY, GRANT, IDENTITY, SESSION, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connectors.aws.door import Account
    from connectors.aws.listing import Item
    from connectors.aws.revoking_plan import Hands, Planning
    from countersign.revocation import Change, Holding, Left, State

SESSIONS_POLICY = "AWSRevokeOlderSessions"
"""Name of the inline policy by which IAM's console ends a role's sessions."""
SETTLES = timedelta(minutes=5)
"""How long a trust policy that was changed may still let somebody in: sessions that begin meanwhile end too."""
_CHAINED_SECONDS = 3_600
_DETAILS = "iam:GetAccountAuthorizationDetails"
_ALL: tuple[object, ...] = ("*", ["*"])
_ANYONE = (
    "its trust policy lets in anyone, by no name that could be taken out",
    "name in its trust policy who may come, without the partner",
)


def find_role(account: Account, role_id: str, name: str) -> Item | None:
    """Give what GetRole says of a role found by its id; None when there is no such role. `name` is only where to look first."""
    found = thing(account, "iam:GetRole", "Role", {"RoleName": name}) if name else None
    if found is not None and text(found, "RoleId") == role_id:
        return found
    for one in rows(account, _DETAILS, "RoleDetailList", {"Filter": ["Role"], "MaxItems": 1000}):
        if text(one, "RoleId") == role_id:
            found = thing(account, "iam:GetRole", "Role", {"RoleName": text(one, "RoleName")})
            return found if found is not None and text(found, "RoleId") == role_id else None
    return None


def role_changes(plan: Planning, uid: str, role_id: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Plan for one role: the partner's own, or one that lets the partner in."""
    role = find_role(plan.reader, role_id, next((one.name for one in held if one.what == "identity"), ""))
    if role is None:
        return
    name, path = text(role, "RoleName"), text(role, "Path")
    which = {"role_id": role_id, "role_name": name}
    if is_ours(plan, "role", name):
        yield from left(held, *OURS)
    elif path.startswith("/aws-service-role/"):
        yield from left(held, "it is linked to an AWS service, which alone can delete it", "end the service's use in its console")
    elif path.startswith("/aws-reserved/"):
        advice = "take the assignment away in IAM Identity Center"
        yield from left(held, "it belongs to IAM Identity Center, and IAM does not let it be changed", advice)
    elif not any(one.what == "identity" and one.whole for one in held):
        yield from _untrusting(plan, uid, role, which, held)
    elif plan.phase == "disable":
        yield from plan.change(
            DENY,
            target=uid,
            name=name,
            says=f"Attach AWS's policy AWSDenyAll to the role {name}, which also stops its sessions",
            parameters={**which, "policy": deny_all(plan.reader.source)},
            after={"exists": True, "denied": True},
            takes=held,
            order=IDENTITY,
            residual=Residual("sessions of other roles that it took before live until they expire", _CHAINED_SECONDS),
        )
    else:
        yield from plan.change(
            DELETE_ROLE, target=uid, name=name, says=f"Take its policies and instance profiles from the role {name}, and delete it",
            parameters={**which, "policy": deny_all(plan.reader.source)}, after=GONE, takes=held, order=GRANT, reversible=False,
        )  # fmt: skip


def _untrusting(plan: Planning, uid: str, role: Item, which: Mapping[str, str], held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Take the partner's principals out of a role's trust policy; what runs already is ended where nobody else is let in."""
    name = which["role_name"]
    trusts = [one for one in held if one.what == "trust"]
    if not trusts:
        return  # the customer's role, and no reading finds the partner in it any more
    parties = {(str(one.record.get("party_kind") or one.kind), str(one.record.get("party") or "")) for one in trusts}
    before = document(role.get("AssumeRolePolicyDocument"))
    now = None if before is None else outside_parties(before, plan.scope)
    if before is None or now is None:
        yield from left(held, "its trust policy could not be read", f"correct the trust policy of {name}")
        return
    here = {(one.kind, one.party) for one in now}
    nameless = [one for one in trusts if ("anyone", "*") in here and ("anyone" in {one.kind, one.record.get("party_kind")})]
    unnamed = [one for one in trusts if one not in nameless and not one.record.get("party")]
    yield from left(nameless, *_ANYONE)
    yield from left(unnamed, "whom it trusts was not told", "plan again after the next reading")
    named = parties - {("anyone", "*")}
    takes = [one for one in held if one not in nameless and one not in unnamed] if len(nameless) + len(unnamed) < len(trusts) else []
    if not takes:
        yield from left(
            [one for one in held if one.what != "trust"], "it is not the partner's, and nothing in it names the partner", _ANYONE[1]
        )
        return
    if plan.phase == "delete":
        if here & named:
            yield from left(takes, "it still lets the partner in", "apply a plan that disables it first")
        return
    after = without(before, named, plan.scope) or {}
    others = sorted({other for one in held for other in one.others})
    ends = not opens(after) and not others
    seconds = role.get("MaxSessionDuration")
    remains = Residual(
        "sessions that it opened live until they expire"
        + (f"; they are not ended, since {', '.join(others)} use the role too" if others else ""),
        seconds if isinstance(seconds, int) else ROLE_SECONDS,
    )
    dead = names_deleted(before) and here & named
    yield from plan.change(
        UNTRUST,
        target=uid,
        name=name,
        says=f"Take {', '.join(sorted(party for _, party in named))} out of the trust policy of the role {name}"
        + (", and with them principals that were deleted, which IAM no longer takes" if dead else ""),
        parameters={**which, "parties": sorted(map(list, named))},
        after={"exists": True, "trust": after},
        takes=takes,
        order=ENTRY,
        reversible=not dead,
        residual=None if ends else remains,
    )
    if ends:
        yield from plan.change(
            END_SESSIONS,
            target=uid,
            name=name,
            says=f"Deny everything to sessions of the role {name} that began before now, with the inline policy {SESSIONS_POLICY}",
            parameters={**which, "since": stamp(plan.since)},
            after={"exists": True, "sessions_ended_since_plan": True},
            takes=takes,
            order=SESSION,
            residual=Residual("sessions of other roles that it took before live until they expire", _CHAINED_SECONDS),
        )


def _role(account: Account, change: Change) -> Item | None:
    return find_role(account, change.parameters["role_id"], change.parameters["role_name"])


def _name_of(account: Account, change: Change) -> str | None:
    role = _role(account, change)
    return None if role is None else text(role, "RoleName")


ROLES = Principals(
    "Role",
    _name_of,
    ("instance_profiles", "ListInstanceProfilesForRole", "RemoveRoleFromInstanceProfile"),
    ("InstanceProfiles", "InstanceProfileName"),
)


def _look_trust(account: Account, change: Change) -> State:
    role = _role(account, change)
    if role is None:
        return GONE
    now = document(role.get("AssumeRolePolicyDocument"))
    if now is None:
        raise ReadError("iam:GetRole", "the trust policy could not be read")
    # IAM may give lists in another order than they were written in; that is no change.
    for known in (change.before.get("trust"), change.after.get("trust")):
        if known is not None and same(now, known):
            return {"exists": True, "trust": known}
    return {"exists": True, "trust": dict(now)}


def _write_trust(hands: Hands, change: Change) -> None:
    name = ROLES.sure_name(hands.reader, change)
    ask(hands.writer, "iam:UpdateAssumeRolePolicy", {"RoleName": name, "PolicyDocument": _text(change.after["trust"])})


def _look_sessions(account: Account, change: Change) -> State:
    role = _role(account, change)
    if role is None:
        return GONE
    asked = {"RoleName": text(role, "RoleName"), "PolicyName": SESSIONS_POLICY}
    try:
        answer = ask(account, "iam:GetRolePolicy", asked)
    except GoneError:
        return {"exists": True, "sessions_ended_since_plan": False, "policy": None}
    policy = document(answer.get("PolicyDocument"))
    if policy is None:
        raise ReadError("iam:GetRolePolicy", "the policy could not be read")
    if _ended(policy, change.parameters["since"]):
        return {"exists": True, "sessions_ended_since_plan": True}
    return {"exists": True, "sessions_ended_since_plan": False, "policy": dict(policy)}


def _ended(policy: Mapping[str, Any], since: str) -> bool:
    """Whether a policy denies everything to sessions older than an instant that is not before the plan."""
    listed = policy.get("Statement")
    for one in listed if isinstance(listed, list) else [listed]:
        if not isinstance(one, dict) or one.get("Effect") != "Deny" or any(one.get(what) not in _ALL for what in ("Action", "Resource")):
            continue
        condition = one.get("Condition")
        keys = condition.get("DateLessThan") if isinstance(condition, dict) and len(condition) == 1 else None
        when = moment(keys.get("aws:TokenIssueTime")) if isinstance(keys, dict) and len(keys) == 1 else None
        if when is not None and when >= instant(since):
            return True
    return False


def _write_sessions(hands: Hands, change: Change) -> None:
    whose = {"RoleName": ROLES.sure_name(hands.reader, change), "PolicyName": SESSIONS_POLICY}
    if change.after["sessions_ended_since_plan"]:
        until = {"DateLessThan": {"aws:TokenIssueTime": stamp(hands.now() + SETTLES)}}
        denial = {"Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": until}
        policy: Mapping[str, Any] | None = {"Version": "2012-10-17", "Statement": [denial]}
    else:
        policy = change.after["policy"]
    if policy is None:
        ask(hands.writer, "iam:DeleteRolePolicy", whose)
    else:
        ask(hands.writer, "iam:PutRolePolicy", {**whose, "PolicyDocument": _text(policy)})


def _text(policy: Mapping[str, Any]) -> str:
    return json.dumps(policy, separators=(",", ":"))


DENY = ROLES.deny()
UNTRUST = Action(
    name="untrust",
    looks=("iam:GetRole",),
    writes=("iam:UpdateAssumeRolePolicy",),
    look=_look_trust,
    write=_write_trust,
)
END_SESSIONS = Action(
    name="end-sessions",
    looks=("iam:GetRole", "iam:GetRolePolicy"),
    writes=("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    look=_look_sessions,
    write=_write_sessions,
)
DELETE_ROLE = ROLES.delete()
ROLE_ACTIONS = (DENY, UNTRUST, END_SESSIONS, DELETE_ROLE)
