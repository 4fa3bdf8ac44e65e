"""Takes single credentials of users away, each by its own id: switched off, then deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.aws.asking import ask, rows, thing
from connectors.aws.revoking_plan import GONE, Action, left
from connectors.aws.sdk import GoneError
from countersign.aws_documents.fields import moment, text
from countersign.clock import stamp
from countersign.errors import ReadError
from countersign.revocation import CREDENTIAL, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from connectors.aws.door import Account
    from connectors.aws.revoking_plan import Hands, Planning
    from countersign.revocation import Change, Holding, Left, State

USER_SECONDS = 129_600
"""The longest that a session of GetSessionToken or GetFederationToken can last."""
_DETAILS = "iam:GetAccountAuthorizationDetails"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of a user's credentials: how it is listed, switched and deleted."""

    words: str
    lists: str
    items: str
    id: str
    made_at: str
    updates: str
    deletes: str
    residual: Residual | None = None


_SESSIONS = Residual("sessions opened with the key live until they expire, unless its user is denied everything", USER_SECONDS)
KINDS: Mapping[str, _Kind] = {
    "access-key": _Kind(
        *(
            "access key",
            "iam:ListAccessKeys",
            "AccessKeyMetadata",
            "AccessKeyId",
            "CreateDate",
            "iam:UpdateAccessKey",
            "iam:DeleteAccessKey",
        ),
        _SESSIONS,
    ),
    "service-specific-credential": _Kind(
        *("service-specific credential", "iam:ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
        *("ServiceSpecificCredentialId", "CreateDate", "iam:UpdateServiceSpecificCredential", "iam:DeleteServiceSpecificCredential"),
    ),
    "signing-certificate": _Kind(
        *("signing certificate", "iam:ListSigningCertificates", "Certificates", "CertificateId", "UploadDate"),
        *("iam:UpdateSigningCertificate", "iam:DeleteSigningCertificate"),
    ),
    "ssh-key": _Kind(
        *("SSH key", "iam:ListSSHPublicKeys", "SSHPublicKeys", "SSHPublicKeyId", "UploadDate"),
        *("iam:UpdateSSHPublicKey", "iam:DeleteSSHPublicKey"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Credential:
    id: str
    active: bool
    second: str
    """When it was made, as the uid of a credential without id has it."""


def find_user(account: Account, user_id: str, name: str) -> str | None:
    """Give the present name of a user by its id; None when there is no such user. `name` is only where to look first."""
    found = thing(account, "iam:GetUser", "User", {"UserName": name}) if name else None
    if found is not None and text(found, "UserId") == user_id:
        return name
    for one in rows(account, _DETAILS, "UserDetailList", {"Filter": ["User"], "MaxItems": 1000}):
        if text(one, "UserId") == user_id:
            return text(one, "UserName")
    return None


def credential_changes(
    plan: Planning, kind: str, who: Mapping[str, str], held: Sequence[Holding], known: set[str]
) -> Iterator[Change | Left]:
    """Plan for credentials of one kind of one user; the ids that were found go into `known`."""
    said = KINDS[kind]
    found = credentials_of(plan.reader, kind, who["user_name"])
    for holding, credential in _matched(held, found):
        if credential is None:
            why = f"its id was not read, and which {said.words} of {who['user_name']} it is cannot be told"
            yield from left([holding], why, f"let the reading identity call {said.lists}, and plan again")
            continue
        known.add(credential.id)
        off = plan.phase == "disable"
        yield from plan.change(
            SWITCHES[kind] if off else DELETIONS[kind],
            target=f"aws:{plan.scope}:{kind}/{credential.id}",
            name=credential.id,
            says=f"{'Deactivate' if off else 'Delete'} the {said.words} {credential.id} of the user {who['user_name']}",
            parameters={**who, "id": credential.id},
            after={"exists": True, "active": False} if off else GONE,
            takes=[holding],
            order=CREDENTIAL,
            reversible=off,
            residual=said.residual if off else None,
        )


def _matched(held: Sequence[Holding], found: Sequence[_Credential]) -> Iterator[tuple[Holding, _Credential | None]]:
    """Find each holding among what a user has now; None where it cannot be told which it is. What is gone does not come out."""
    by_id = {one.id: one for one in found}
    by_second: dict[str, list[Holding]] = {}
    for one in held:
        native_id = one.uid.rpartition(f":{one.kind}/")[2]
        if "@" in native_id:
            by_second.setdefault(native_id.partition("@")[2].partition("#")[0], []).append(one)
        elif native_id in by_id:
            yield one, by_id[native_id]
    for second, nameless in by_second.items():
        here = sorted((one for one in found if one.second == second), key=lambda one: (not one.active, one.id))
        in_order = sorted(nameless, key=lambda one: one.uid)
        if len(here) == len(nameless):
            yield from zip(in_order, here, strict=True)
        elif here or second == "unknown":
            yield from ((one, None) for one in in_order)


def credentials_of(account: Account, kind: str, name: str) -> list[_Credential]:
    """List what a user has of a kind; raises ReadError."""
    said = KINDS[kind]
    found = []
    for one in rows(account, said.lists, said.items, {"UserName": name}):
        if not text(one, said.id) or not text(one, "Status"):
            raise ReadError(said.lists, f"an entry has no {said.id} or no Status")
        made_at = moment(one.get(said.made_at))
        second = "" if made_at is None else stamp(made_at.replace(microsecond=0)).replace("-", "").replace(":", "")
        found.append(_Credential(text(one, said.id), text(one, "Status") == "Active", second))
    return found


def name_of(account: Account, change: Change) -> str | None:
    """Give the present name of the user that a change is about; None when it is gone."""
    return find_user(account, change.parameters["user_id"], change.parameters["user_name"])


def sure_name(account: Account, change: Change) -> str:
    """Give the name to write to; raises GoneError where the id has no user any more, whoever has its name now."""
    name = name_of(account, change)
    if name is None:
        raise GoneError("iam:GetUser", f"the user with the id {change.parameters['user_id']} is gone")
    return name


def _look_credential(kind: str) -> Any:  # noqa: ANN401 -- a function of the shape of Action.look
    def look(account: Account, change: Change) -> State:
        name = name_of(account, change)
        if name is None:
            return GONE
        try:
            found = credentials_of(account, kind, name)
        except GoneError:
            return GONE
        return next(({"exists": True, "active": one.active} for one in found if one.id == change.parameters["id"]), GONE)

    return look


def _switch(kind: str) -> Any:  # noqa: ANN401 -- a function of the shape of Action.write
    def write(hands: Hands, change: Change) -> None:
        said, status = KINDS[kind], "Active" if change.after["active"] else "Inactive"
        name = sure_name(hands.reader, change)
        ask(hands.writer, said.updates, {"UserName": name, said.id: change.parameters["id"], "Status": status})

    return write


def _delete(kind: str) -> Any:  # noqa: ANN401 -- a function of the shape of Action.write
    def write(hands: Hands, change: Change) -> None:
        ask(hands.writer, KINDS[kind].deletes, {"UserName": sure_name(hands.reader, change), KINDS[kind].id: change.parameters["id"]})

    return write


SWITCHES = {
    kind: Action(
        name=f"deactivate-{kind}",
        looks=("iam:GetUser", said.lists),
        writes=(said.updates,),
        look=_look_credential(kind),
        write=_switch(kind),
    )
    for kind, said in KINDS.items()
}
DELETIONS = {
    kind: Action(
        name=f"delete-{kind}", looks=("iam:GetUser", said.lists), writes=(said.deletes,), look=_look_credential(kind), write=_delete(kind)
    )
    for kind, said in KINDS.items()
}
