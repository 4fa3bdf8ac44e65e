"""Records out of the two IAM documents: GetAccountAuthorizationDetails pages joined with the credential report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.aws_documents.fields import details, moment, tags_of, text
from countersign.aws_documents.grants import Grants
from countersign.aws_documents.keys import ListedKey, key_credentials
from countersign.aws_documents.policy import outside_parties
from countersign.aws_documents.report import NEVER_USED, ROOT, USE_UNKNOWN, ReportKey, ReportRow, Use
from countersign.clock import stamp
from countersign.identity import Credential, Identity, Record, Trust, uid

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.identity import Track

OWNER_TAGS = ("nhi:owner", "owner", "owned-by", "ownedby")
"""Tag keys (any case) that claim an owner, best first."""
PURPOSE_TAGS = ("nhi:purpose", "purpose")
"""Tag keys (any case) that state a purpose, best first."""
TRACK_TAGS = ("nhi:track", "track")
"""Tag keys (any case) that may say of a user that it is a `machine` (any case), best first; any other value says nothing."""
DENY_ALL = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/AWSDenyAll")
"""ARN of AWS's policy that denies everything, in any partition."""

KeyLookup = Callable[[Identity, tuple[ReportKey, ...]], Sequence[ListedKey] | None]
"""Lists a user's keys by id; None: not listed, so the report has to do."""

_NO_CREATOR = {"created_by": "IAM does not say who created it"}
_SSO_PATH = "/aws-reserved/sso.amazonaws.com/"
_SERVICE_PATH = "/aws-service-role/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is known about one reading of an account, besides the pages themselves."""

    account: str
    observed_at: datetime
    report: Mapping[str, ReportRow] | None
    """Rows by ARN; None: there is no report, and `report_reason` says why."""
    report_at: datetime | None = None
    """When the report was generated: use is known up to then."""
    report_reason: str = "the credential report was not read"
    root_password: bool | None = None
    """Whether the root user has a password (AccountPasswordPresent); None: not known."""


class AccountRecords:
    """The records of one account, page by page; `end` gives what can be said only after the last page."""

    def __init__(self, reading: Reading, keys: KeyLookup | None = None) -> None:
        self._reading = reading
        self._keys = keys
        self._grants = Grants()
        self.joined = 0
        """Users so far that have a row in the report."""

    def page(self, page: Mapping[str, object]) -> Iterator[Record]:
        """Turn one answer of GetAccountAuthorizationDetails into records; raises ValueError where an id is missing."""
        self._grants.learn(page)
        report = self._reading.report or {}
        for detail in details(page, "UserDetailList"):
            row = report.get(text(detail, "Arn"))
            self.joined += row is not None
            user = user_of(detail, row, self._reading)
            yield user
            yield from credentials_of(user, row, self._reading, self._keys)
            self._grants.holds(user, detail)
        for detail in details(page, "RoleDetailList"):
            role = role_of(detail, self._reading)
            yield role
            yield from trusts_of(role, detail)
            self._grants.holds(role, detail)

    def end(self) -> Iterator[Record]:
        """Give the root user and all grants: a policy may come on a later page than those who hold it."""
        yield from root_of(self._reading)
        yield from self._grants.records()


def identities_of(pages: Iterable[Mapping[str, object]], reading: Reading, keys: KeyLookup | None = None) -> Iterator[Record]:
    """Turn all pages of GetAccountAuthorizationDetails into records.

    A page is the response as botocore or `aws iam get-account-authorization-details` gives it. Raises ValueError where
    an entry has no immutable id.
    """
    records = AccountRecords(reading, keys)
    for page in pages:
        yield from records.page(page)
    yield from records.end()


def user_of(detail: Mapping[str, object], row: ReportRow | None, reading: Reading) -> Identity:
    """Turn a UserDetail and its row of the report into an identity; raises ValueError without a UserId.

    A user with a password is a person's and one without is a program's, unless a tag of TRACK_TAGS says `machine`. That ends no finding of
    a password's: such a user is out of human-mfa and fails machine-console, with MFA or without. No tag makes a program a person's:
    whoever may tag would take it out of named-owner and over-privileged.
    """
    unknown = dict(_NO_CREATOR)
    if row is None:
        reason = _no_row(reading)
        unknown |= dict.fromkeys(("track", "console", "mfa", "last_active_at"), reason)
    console = None if row is None else row.password_enabled
    if row is not None and console is None:
        unknown |= dict.fromkeys(("track", "console"), "the credential report does not say whether there is a password")
    if row is not None and row.mfa is None:
        unknown["mfa"] = "the credential report does not say whether MFA is active"
    use = _user_use(row, unknown)
    tags = tags_of(detail)
    track = _track(tags, console)
    if track is not None:
        unknown.pop("track", None)
    return Identity(
        uid=uid("aws", reading.account, "user", _id(detail, "UserId")),
        provider="aws",
        scope=reading.account,
        kind="user",
        native_id=_id(detail, "UserId"),
        name=text(detail, "UserName") or _id(detail, "UserId"),
        aliases=_aliases(detail),
        track=track,
        enabled=not _is_denied(detail),
        console=console,
        mfa=None if row is None else row.mfa,
        created_at=moment(detail.get("CreateDate")),
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=None if row is None else reading.report_at,
        owner_claim=_claim(tags, OWNER_TAGS),
        purpose=_claim(tags, PURPOSE_TAGS),
        tags=tags,
        observed_at=reading.observed_at,
        unknown=unknown,
    )


def credentials_of(user: Identity, row: ReportRow | None, reading: Reading, keys: KeyLookup | None = None) -> Iterator[Credential]:
    """Give a user's password and access keys; nothing without a row, since only the report tells that there are any."""
    if row is None:
        return
    if row.password_enabled:
        yield _password(user, row, reading)
    if row.keys:
        yield from key_credentials(user, row.keys, keys(user, row.keys) if keys else None, report_at=reading.report_at)


def role_of(detail: Mapping[str, object], reading: Reading) -> Identity:
    """Turn a RoleDetail into an identity; raises ValueError without a RoleId.

    A role that was never used, or not in the 400 days that IAM looks back, has no RoleLastUsed: state `never`.
    """
    path = text(detail, "Path")
    person = path.startswith(_SSO_PATH)
    unknown: dict[str, str] = dict(_NO_CREATOR)
    if person:
        unknown["mfa"] = "people sign in through IAM Identity Center, which IAM does not see"
    if outside_parties(detail.get("AssumeRolePolicyDocument"), reading.account) is None:
        unknown["trusts"] = "the trust policy could not be read"
    last_used = detail.get("RoleLastUsed")
    used_at = moment(last_used.get("LastUsedDate")) if isinstance(last_used, Mapping) else None
    tags = tags_of(detail)
    return Identity(
        uid=uid("aws", reading.account, "role", _id(detail, "RoleId")),
        provider="aws",
        scope=reading.account,
        kind="role",
        native_id=_id(detail, "RoleId"),
        name=text(detail, "RoleName") or _id(detail, "RoleId"),
        aliases=_aliases(detail),
        track="human" if person else "machine",
        enabled=not _is_denied(detail),
        provider_managed=path.startswith(_SERVICE_PATH),
        console=person,
        created_at=moment(detail.get("CreateDate")),
        last_active_at=used_at,
        last_active_state="never" if used_at is None else "known",
        owner_claim=_claim(tags, OWNER_TAGS),
        purpose=_claim(tags, PURPOSE_TAGS),
        tags=tags,
        observed_at=reading.observed_at,
        unknown=unknown,
    )


def trusts_of(role: Identity, detail: Mapping[str, object]) -> Iterator[Trust]:
    """Give the outside parties of a role's trust policy; none where it cannot be read (the role's `unknown` says so)."""
    for party in outside_parties(detail.get("AssumeRolePolicyDocument"), role.scope) or ():
        yield Trust(
            identity_uid=role.uid, provider="aws", scope=role.scope, party_kind=party.kind, party=party.party, condition=party.condition
        )


def root_of(reading: Reading) -> Iterator[Record]:
    """Give the account's root user from its row of the report; nothing where the report has none."""
    row = next((one for one in (reading.report or {}).values() if one.user == ROOT), None)
    if row is None:
        return
    # The report says `false` where an organization took the root user's password away, and `not_supported` where it does not say.
    password = row.password_enabled if reading.root_password is None else reading.root_password
    unknown = dict(_NO_CREATOR)
    if row.mfa is None:
        unknown["mfa"] = "the credential report does not say whether MFA is active"
    use = _user_use(row, unknown)
    root = Identity(
        uid=uid("aws", reading.account, "user", reading.account),
        provider="aws",
        scope=reading.account,
        kind="user",
        native_id=reading.account,
        name=ROOT,
        aliases=(row.arn,),
        track="human",
        enabled=True,
        console=password is not False,
        mfa=row.mfa,
        created_at=row.created_at,
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=reading.report_at,
        observed_at=reading.observed_at,
        unknown=unknown,
    )
    yield root
    if root.console:
        yield _password(root, row, reading)
    yield from key_credentials(root, row.keys, None, report_at=reading.report_at)


def _password(user: Identity, row: ReportRow, reading: Reading) -> Credential:
    unknown: dict[str, str] = {}
    if row.password_enabled is None:
        unknown["enabled"] = "the credential report does not say whether there is a password"
    if row.password_changed_at is None:
        unknown["created_at"] = "the credential report does not say when the password was set"
    if row.password_use.state == "unknown":
        unknown["last_used_at"] = "the credential report does not say when the password was used"
    return Credential(
        uid=uid("aws", reading.account, "password", user.native_id),
        identity_uid=user.uid,
        provider="aws",
        scope=reading.account,
        kind="password",
        enabled=row.password_enabled,
        created_at=row.password_changed_at,
        last_used_at=row.password_use.at,
        last_used_state=row.password_use.state,
        use_seen_to=reading.report_at,
        observed_at=reading.observed_at,
        unknown=unknown,
    )


def _user_use(row: ReportRow | None, unknown: dict[str, str]) -> Use:
    if row is None:
        return USE_UNKNOWN
    has_password = row.password_enabled is not False
    uses = [key.use for key in row.keys] + ([row.password_use] if has_password else [])
    if not uses or any(use.state == "unknown" for use in uses):
        unknown["last_active_at"] = "the credential report does not say" if uses else "has no credential, and no record of use"
        return USE_UNKNOWN
    known = [use.at for use in uses if use.at is not None]
    return Use(max(known), "known") if known else NEVER_USED


def _no_row(reading: Reading) -> str:
    if reading.report is None:
        return reading.report_reason
    when = "" if reading.report_at is None else f" of {stamp(reading.report_at)}"
    return f"not in the credential report{when}: created since"


def _id(detail: Mapping[str, object], name: str) -> str:
    value = text(detail, name)
    if not value:
        message = f"an entry of GetAccountAuthorizationDetails has no {name}"
        raise ValueError(message)
    return value


def _aliases(detail: Mapping[str, object]) -> tuple[str, ...]:
    arn = text(detail, "Arn")
    return (arn,) if arn else ()


def _is_denied(detail: Mapping[str, object]) -> bool:
    """Whether AWS's own policy that denies everything is attached, which is as near as IAM comes to switching somebody off."""
    return any(DENY_ALL.fullmatch(text(one, "PolicyArn")) for one in details(detail, "AttachedManagedPolicies"))


def _track(tags: Mapping[str, str], console: bool | None) -> Track | None:  # noqa: FBT001 -- what the report says, as it says it
    if (_claim(tags, TRACK_TAGS) or "").casefold() == "machine":
        return "machine"
    return None if console is None else "human" if console else "machine"


def _claim(tags: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    claims = {key.casefold(): value.strip() for key, value in tags.items()}
    return next((claims[name] for name in names if claims.get(name)), None)
