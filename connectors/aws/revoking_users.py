"""Takes users away: AWS's deny-all policy first, then, when all they hold is gone, the users themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.aws.asking import ask, rows, thing
from connectors.aws.revoking_credentials import (
    DELETIONS,
    KINDS,
    SWITCHES,
    credential_changes,
    credentials_of,
    find_user,
    name_of,
    sure_name,
)
from connectors.aws.revoking_plan import DISABLE_FIRST, GONE, OURS, ROLE_SECONDS, Action, is_ours, left
from connectors.aws.revoking_principals import Principals, deny_all
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import text
from countersign.revocation import CREDENTIAL, GRANT, IDENTITY, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connectors.aws.door import Account
    from connectors.aws.revoking_plan import Hands, Planning
    from countersign.revocation import Change, Holding, Left, State


USERS = Principals("User", name_of, ("groups", "ListGroupsForUser", "RemoveUserFromGroup"), ("Groups", "GroupName"))


def user_changes(plan: Planning, uid: str, user_id: str, held: Sequence[Holding]) -> Iterator[Change | Left]:
    """Plan for one user: what of `held` is the user itself, and what of it are single credentials."""
    if user_id == plan.scope:
        yield from left(held, "only the root user itself can change its password and keys", "sign in as root, or have AWS support close it")
        return
    name = find_user(plan.reader, user_id, next((one.name for one in held if one.what == "identity"), ""))
    if name is None:
        return
    if is_ours(plan, "user", name):
        yield from left(held, *OURS)
        return
    whole = any(one.what == "identity" and one.whole for one in held)
    keys = [one for one in held if one.what == "credential" and one.kind in KINDS]
    rest = [one for one in held if one not in keys]
    who = {"user_id": user_id, "user_name": name}
    known: set[str] = set()
    for kind in KINDS:
        here = [one for one in keys if one.kind == kind]
        if here:
            yield from credential_changes(plan, kind, who, here, known)
    if plan.phase == "disable":
        yield from _denial(plan, uid, who, rest, whole=whole)
    else:
        yield from _deletion(plan, who, rest, known, whole=whole)


def _denial(plan: Planning, uid: str, who: Mapping[str, str], held: Sequence[Holding], *, whole: bool) -> Iterator[Change | Left]:
    if not whole:
        yield from left(
            [one for one in held if one.what == "credential"],
            "IAM has no switch for a password",
            "change or delete it in the console, under the user's security credentials",
        )
        yield from left([one for one in held if one.what != "credential"], *_OTHERS)
        return
    yield from plan.change(
        DENY,
        target=uid,
        name=who["user_name"],
        says=f"Attach AWS's policy AWSDenyAll to the user {who['user_name']}, which also stops its password and its sessions",
        parameters={**who, "policy": deny_all(plan.reader.source)},
        after={"exists": True, "denied": True},
        takes=held,
        order=IDENTITY,
        residual=Residual("sessions of roles that it took before live until they expire", ROLE_SECONDS),
    )


_OTHERS = ("its user is not the partner's, and nothing of it lets in the partner alone", "decide with its owner what the partner keeps")


def _deletion(plan: Planning, who: Mapping[str, str], held: Sequence[Holding], known: set[str], *, whole: bool) -> Iterator[Change | Left]:
    uid = f"aws:{plan.scope}:user/{who['user_id']}"
    passwords = [one for one in held if one.kind == "password" and one.what == "credential"]
    rest = [one for one in held if one not in passwords]
    name = who["user_name"]
    # Taken one by one from a user that still works, MFA would go while the password is good.
    if whole and deny_all(plan.reader.source) not in USERS.attached(plan.reader, name):
        yield from left(held, "its user is not denied everything", DISABLE_FIRST)
        return
    if passwords or whole:
        yield from plan.change(
            DELETE_PASSWORD, target=f"aws:{plan.scope}:password/{who['user_id']}", name=name, parameters=who, after=GONE,
            says=f"Delete the console password of the user {name}", takes=passwords, order=CREDENTIAL, reversible=False,
        )  # fmt: skip
    if not whole:
        yield from left(rest, *_OTHERS)
        return
    for device in _devices(plan.reader, name):
        yield from plan.change(
            DEACTIVATE_MFA, target=uid, name=device, says=f"Take the MFA device {device} from the user {name}",
            parameters={**who, "serial_number": device}, after=GONE, takes=[], order=CREDENTIAL, reversible=False,
        )  # fmt: skip
    more = [one.id for kind in KINDS for one in credentials_of(plan.reader, kind, name) if one.id not in known]
    if more:
        yield from left(rest, f"it holds what is not in this plan: {', '.join(sorted(more))}", "plan again after the next reading")
        return
    yield from plan.change(
        DELETE_USER, target=uid, name=name, says=f"Take its policies and groups from the user {name}, and delete it",
        parameters={**who, "policy": deny_all(plan.reader.source)}, after=GONE, takes=rest,
        order=GRANT, reversible=False,  # IAM deletes a user only when its credentials are gone
    )  # fmt: skip


def _devices(account: Account, name: str) -> list[str]:
    return sorted(text(one, "SerialNumber") for one in rows(account, "iam:ListMFADevices", "MFADevices", {"UserName": name}))


def _look_password(account: Account, change: Change) -> State:
    name = name_of(account, change)
    there = name is not None and thing(account, "iam:GetLoginProfile", "LoginProfile", {"UserName": name}) is not None
    return {"exists": True} if there else GONE


def _delete_password(hands: Hands, change: Change) -> None:
    ask(hands.writer, "iam:DeleteLoginProfile", {"UserName": sure_name(hands.reader, change)})


def _look_mfa(account: Account, change: Change) -> State:
    name = name_of(account, change)
    try:
        there = name is not None and change.parameters["serial_number"] in _devices(account, name)
    except GoneError:
        return GONE
    return {"exists": True} if there else GONE


def _deactivate_mfa(hands: Hands, change: Change) -> None:
    serial = change.parameters["serial_number"]
    ask(hands.writer, "iam:DeactivateMFADevice", {"UserName": sure_name(hands.reader, change), "SerialNumber": serial})


DENY = USERS.deny()
DELETE_PASSWORD = Action(
    name="delete-password",
    looks=("iam:GetUser", "iam:GetLoginProfile"),
    writes=("iam:DeleteLoginProfile",),
    look=_look_password,
    write=_delete_password,
)
DEACTIVATE_MFA = Action(
    name="deactivate-mfa-device",
    looks=("iam:GetUser", "iam:ListMFADevices"),
    writes=("iam:DeactivateMFADevice",),
    look=_look_mfa,
    write=_deactivate_mfa,
)
DELETE_USER = USERS.delete()
USER_ACTIONS = (DENY, *SWITCHES.values(), *DELETIONS.values(), DELETE_PASSWORD, DEACTIVATE_MFA, DELETE_USER)
