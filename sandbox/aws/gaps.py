"""What moto's IAM and STS lack or get wrong and reading an account depends on, closed from outside while a sandbox runs."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.exceptions import AccessDeniedError
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.exceptions import DeleteConflictException, MalformedPolicyDocument, NotFoundException, ReportNotPresentException
from moto.iam.models import AWSManagedPolicy, IAMBackend, User, iam_backends
from moto.iam.responses import IamResponse
from moto.sts.models import sts_backends
from moto.sts.responses import TokenResponse

from sandbox.aws.estate import Root
from sandbox.aws.paging import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sandbox.aws.estate import Estate

_SLOTS = 2
_UNIQUE_ID = re.compile(r'"(A(?:ROA|IDA)[A-Z0-9]{12,})"')


@contextmanager
def closed(estate: Estate) -> Iterator[None]:
    """Close the gaps in this process's moto while inside."""
    actions: dict[type, dict[str, Callable[..., Any]]] = {
        IamResponse: {
            "get_account_authorization_details": _authorization_details(estate),
            "generate_credential_report": _generate_report(estate),
            "get_credential_report": _get_report(estate),
            "put_user_permissions_boundary": _put_boundary,
            "delete_user_permissions_boundary": _delete_boundary,
        },
        TokenResponse: {
            "assume_role": _assume_role(TokenResponse.assume_role),
        },
        IAMBackend: {
            "attach_user_policy": _knowing_aws_policies(IAMBackend.attach_user_policy),
            "attach_role_policy": _knowing_aws_policies(IAMBackend.attach_role_policy),
            "attach_group_policy": _knowing_aws_policies(IAMBackend.attach_group_policy),
            "delete_user": _only_when_empty(estate, IAMBackend.delete_user),
            "update_assume_role_policy": _knowing_principals(IAMBackend.update_assume_role_policy),
        },
        User: {"__init__": _named_like_a_user(User.__init__)},
    }
    with ExitStack() as stack:
        for owner, replacements in actions.items():
            for name, replacement in replacements.items():
                stack.enter_context(patch.object(owner, name, replacement, create=True))
        yield


def report_text(account: str, root: Root) -> str:
    """Write the credential report as AWS does: root first, `+00:00` stamps, `N/A` and `no_information`, real-looking use."""
    into = io.StringIO()
    keys = [f"access_key_{slot}_{column}" for slot in (1, 2) for column in _KEY_COLUMNS]
    certificates = [f"cert_{slot}_{column}" for slot in (1, 2) for column in ("active", "last_rotated")]
    writer = csv.writer(into, lineterminator="\n")
    writer.writerow([*_USER_COLUMNS, *keys, *certificates])
    nothing = ["false", "N/A"] * _SLOTS
    root_keys = [cell for created, used in root.keys for cell in _key_cells("true", created, used)]
    used = _cell(root.password_last_used, "no_information")
    first = [
        "<root_account>",
        f"arn:aws:iam::{account}:root",
        _cell(root.created_at),
        "not_supported",
        used,
        "not_supported",
        "not_supported",
    ]
    writer.writerow([*first, _flag(root.mfa), *_padded(root_keys), *nothing])
    users: dict[str, Any] = iam_backends[account]["aws"].users
    for user in users.values():
        password = ["false", "N/A", "N/A", "N/A"]
        if user.password:
            changed = getattr(user, "password_changed", None) or user.create_date
            password = ["true", _cell(user.password_last_used, "no_information"), _cell(changed), "N/A"]
        cells = [
            cell
            for key in user.access_keys
            for cell in _key_cells(_flag(key.status == "Active"), key.create_date, key.last_used and key.last_used.timestamp)
        ]
        signing = [
            cell for kept in user.signing_certificates.values() for cell in (_flag(kept.status == "Active"), _cell(kept.upload_date))
        ]
        row = [user.name, user.arn, _cell(user.create_date), *password, _flag(bool(user.mfa_devices)), *_padded(cells)]
        writer.writerow([*row, *(signing + nothing)[: len(nothing)]])
    return into.getvalue()


_USER_COLUMNS = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed"),
    *("password_next_rotation", "mfa_active"),
)
_KEY_COLUMNS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")


def _key_cells(active: str, created: datetime, used: datetime | None) -> list[str]:
    where = ["N/A", "N/A"] if used is None else ["eu-west-2", "s3"]
    return [active, _cell(created), _cell(used), *where]


def _padded(cells: list[str]) -> list[str]:
    empty = ["false", "N/A", "N/A", "N/A", "N/A"]
    return cells + empty * (_SLOTS - len(cells) // len(_KEY_COLUMNS))


def _cell(when: datetime | None, otherwise: str = "N/A") -> str:
    return otherwise if when is None else when.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _flag(value: bool) -> str:  # noqa: FBT001 -- a cell's value, not a switch
    return "true" if value else "false"


def _authorization_details(estate: Estate) -> Callable[[IamResponse], ActionResult]:
    def details(self: IamResponse) -> ActionResult:
        """Page through users, groups, roles and policies, in that order; AWS's own policies only where attached."""
        wanted = set(self._get_param("Filter", [])) or {"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"}
        backend = self.backend
        boundaries = {getattr(user, "permissions_boundary", {}).get("PermissionsBoundaryArn") for user in backend.users.values()}
        boundaries |= {role.permissions_boundary_arn for role in backend.roles.values()}
        entries: list[tuple[str, Any]] = []
        entries += [("UserDetailList", one) for one in backend.users.values() if "User" in wanted]
        entries += [("GroupDetailList", one) for one in backend.groups.values() if "Group" in wanted]
        entries += [("RoleDetailList", one) for one in backend.roles.values() if "Role" in wanted]
        for policy in backend.managed_policies.values():
            of_aws = isinstance(policy, AWSManagedPolicy)
            if of_aws and "AWSManagedPolicy" in wanted and (policy.attachment_count or policy.arn in boundaries):
                entries.append(("Policies", policy))
            if not of_aws and "LocalManagedPolicy" in wanted:
                entries.append(("Policies", policy))
        start = start_of(self._get_param("Marker") or "0")
        size = int(self._get_param("MaxItems") or 100)
        end = start + min(size, estate.disturbances.pages.get("iam:GetAccountAuthorizationDetails", size))
        answer: dict[str, Any] = {name: [] for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")}
        for name, entry in entries[start:end]:
            answer[name].append(entry)
        answer["IsTruncated"] = end < len(entries)
        if answer["IsTruncated"]:
            answer["Marker"] = str(end)
        return ActionResult(answer)

    return details


def _generate_report(estate: Estate) -> Callable[[IamResponse], ActionResult]:
    def generate(self: IamResponse) -> ActionResult:
        account = self.current_account
        known = account in estate.reports
        if account not in estate.frozen:
            estate.reports[account] = (report_text(account, estate.roots.setdefault(account, Root())), utcnow().replace(microsecond=0))
        return ActionResult({"State": "COMPLETE" if known else "STARTED"})

    return generate


def _get_report(estate: Estate) -> Callable[[IamResponse], ActionResult]:
    def get(self: IamResponse) -> ActionResult:
        if self.current_account not in estate.reports:
            message = "No report exists. Use GenerateCredentialReport to have one written."
            raise ReportNotPresentException(message)
        text, at = estate.reports[self.current_account]
        return ActionResult({"Content": text, "ReportFormat": "text/csv", "GeneratedTime": at})

    return get


def _put_boundary(self: IamResponse) -> ActionResult:
    arn = self._get_param("PermissionsBoundary")
    load_aws_policy(self.backend, arn)
    user: Any = self.backend.get_user(self._get_param("UserName"))
    user.permissions_boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    return EmptyResult()


def _delete_boundary(self: IamResponse) -> ActionResult:
    user: Any = self.backend.get_user(self._get_param("UserName"))
    if getattr(user, "permissions_boundary", None) is None:
        message = f"The user {user.name} has no permissions boundary."
        raise NotFoundException(message)
    user.permissions_boundary = None
    return EmptyResult()


def _assume_role(original: Callable[[TokenResponse], ActionResult]) -> Callable[[TokenResponse], ActionResult]:
    def assume(self: TokenResponse) -> ActionResult:
        """Check what moto takes on trust: that the role exists, trusts this caller, and that the ExternalId fits."""
        arn = self._get_param("RoleArn")
        _, caller, _ = sts_backends[self.current_account]["aws"].get_caller_identity(self.get_access_key(), "us-east-1")
        roles = iam_backends[arn.split(":")[4]]["aws"].roles.values()
        role = next((role for role in roles if role.arn == arn), None)
        external_id = self._get_param("ExternalId")
        if role is None or not trusts(json.loads(role.assume_role_policy_document), caller, self.current_account, external_id):
            raise AccessDeniedError(caller, f"sts:AssumeRole on resource: {arn}")
        return original(self)

    return assume


def trusts(policy: dict[str, Any], caller: str, account: str, external_id: str | None) -> bool:
    """Whether a trust policy lets this caller in. Conditions other than an equal ExternalId never hold here."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    matching = [one for one in statements if _names(one, caller, account) and _holds(one.get("Condition", {}), external_id)]
    return any(one["Effect"] == "Allow" for one in matching) and all(one["Effect"] != "Deny" for one in matching)


def _names(statement: dict[str, Any], caller: str, account: str) -> bool:
    principal, actions = statement.get("Principal", {}), statement["Action"]
    named = [principal] if isinstance(principal, str) else principal.get("AWS", [])
    named = [named] if isinstance(named, str) else named
    assuming = {"sts:AssumeRole", "sts:*", "*"} & set([actions] if isinstance(actions, str) else actions)
    return bool(assuming) and bool({"*", account, f"arn:aws:iam::{account}:root", caller} & set(named))


def _holds(condition: dict[str, Any], external_id: str | None) -> bool:
    for operator, keys in condition.items():
        for key, values in keys.items():
            wanted = [values] if isinstance(values, str) else values
            if operator != "StringEquals" or key.lower() != "sts:externalid" or external_id not in wanted:
                return False
    return True


def _knowing_aws_policies(original: Callable[..., None]) -> Callable[..., None]:
    def attach(self: IAMBackend, policy_arn: str, *names: str, **named: str) -> None:
        load_aws_policy(self, policy_arn)
        original(self, policy_arn, *names, **named)

    return attach


def _only_when_empty(estate: Estate, original: Callable[..., None]) -> Callable[..., None]:
    def delete(self: IAMBackend, user_name: str) -> None:
        """Refuse as AWS does while the user holds anything: moto looks at its policies only."""
        user: Any = self.get_user(user_name)
        services = [one for one in estate.kept(self.account_id, "", "service-specific-credential") if one["UserName"] == user_name]
        held = {
            "access keys": user.access_keys,
            "login profile": user.password,
            "MFA device": user.mfa_devices,
            "SSH public keys": user.ssh_public_keys,
            "signing certificates": user.signing_certificates,
            "service specific credentials": services,
            "groups": [one for one in self.groups.values() if user in one.users],
        }
        first = next((name for name, found in held.items() if found), None)
        if first is not None:
            message = f"Cannot delete entity, must delete {first} first."
            raise DeleteConflictException(message)
        original(self, user_name)

    return delete


def _knowing_principals(original: Callable[..., None]) -> Callable[..., None]:
    def update(self: IAMBackend, role_name: str, policy_document: str) -> None:
        """Refuse a policy that names a principal by its unique id, as AWS shows deleted ones and does not take them back."""
        found = _UNIQUE_ID.search(policy_document)
        if found is not None:
            message = f'Invalid principal in policy: "AWS":"{found[1]}"'
            raise MalformedPolicyDocument(message)
        original(self, role_name, policy_document)

    return update


def load_aws_policy(backend: IAMBackend, arn: str) -> None:
    """Make one of AWS's own policies known in an account, where it exists and is not yet."""
    # Loading all 1,582 for every account takes seconds; a sandbox attaches a handful.
    name = arn.rpartition("/")[2]
    if arn.startswith("arn:aws:iam::aws:policy/") and arn not in backend.managed_policies and name in _aws_policies():
        policy = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, _aws_policies()[name])
        backend.managed_policies[policy.arn] = policy


@cache
def _aws_policies() -> dict[str, Any]:
    return dict(json.loads(aws_managed_policies_data))


def _named_like_a_user(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: User, *values: Any, **named: Any) -> None:  # noqa: ANN401 -- moto's own constructor, passed through
        original(self, *values, **named)
        self.id = f"AIDA{self.id.upper()[:17]}"

    return init
