"""What users hold beside passwords and access keys: service-specific credentials, signing certificates and SSH keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.aws.git_users import GitUser, GitUsers
from connectors.aws.listing import Listing, keeping
from countersign.aws_documents.fields import moment, text
from countersign.clock import instant, stamp
from countersign.identity import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from connectors.aws.kept import Kept
    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.aws_documents import ReportCertificate, ReportRow
    from countersign.identity import Identity

SERVICE_CREDENTIALS = Listing(
    service="iam",
    action="ListServiceSpecificCredentials",
    items="ServiceSpecificCredentials",
    reduce=keeping("ServiceSpecificCredentialId", "UserName", "ServiceName", "Status", "CreateDate", "ExpirationDate"),
    size={"MaxItems": 1000},
    covers=("service-specific-credential",),
)
SIGNING_CERTIFICATES = Listing(
    service="iam",
    action="ListSigningCertificates",
    items="Certificates",
    reduce=keeping("CertificateId", "UserName", "Status", "UploadDate"),
    size={"MaxItems": 1000},
    covers=("signing-certificate",),
)
SSH_KEYS = Listing(
    service="iam",
    action="ListSSHPublicKeys",
    items="SSHPublicKeys",
    reduce=keeping("SSHPublicKeyId", "UserName", "Status", "UploadDate"),
    size={"MaxItems": 1000},
    covers=("ssh-key",),
)
SSH_USERS = 1000
"""Users a night who could use an SSH key and are asked for theirs; what they answer is kept for a week."""
SSH_OTHERS = 100
"""Users an account of whom the same is asked although no policy lets them use one: smaller accounts are listed whole."""
_NO_USE = "IAM does not say when it was last used"


class UserCredentials:
    """Gives what users hold, as they come by; `end` gives what takes one call a user, and says whom nothing was found for."""

    def __init__(self, visit: Visit, kept: Kept) -> None:
        """List the service-specific credentials of all users, which takes one call."""
        self._visit = visit
        self._kept = kept
        self._git = GitUsers(SSH_OTHERS)
        self._by_user: dict[str, list[Item]] = {}
        for page in visit.pages(SERVICE_CREDENTIALS, {"AllUsers": True}):
            for item in page:
                self._by_user.setdefault(text(item, "UserName"), []).append(item)

    def learn(self, page: Item) -> None:
        """Take in the policies, groups and users of a page of GetAccountAuthorizationDetails."""
        self._git.learn(page)

    def of(self, user: Identity, row: ReportRow | None) -> Iterator[Credential]:
        """Give the service-specific credentials and signing certificates of a user."""
        for item in self._by_user.pop(user.name, ()):
            credential = self._service_credential(user, item)
            if credential is None:
                self._visit.counted(SERVICE_CREDENTIALS).drop("no ServiceSpecificCredentialId")
            else:
                yield credential
        if row is not None and row.certificates:
            yield from self._certificates(user, row.certificates)

    def certificates_of_root(self, root: Identity, row: ReportRow | None) -> Iterator[Credential]:
        """Give the root user's signing certificates, which can be listed by itself only: by the report, without ids."""
        for certificate in () if row is None else row.certificates:
            yield self._from_report(root, certificate)

    def end(self) -> Iterator[Credential]:
        """Give the SSH keys of those who could use one."""
        left = sum(map(len, self._by_user.values()))
        self._visit.counted(SERVICE_CREDENTIALS).leave_out("the user no longer exists, or was not read", left)
        could, others, count = self._git.users()
        yield from self._ssh_keys_of(could)
        yield from self._ssh_keys_of(others)
        if count > len(others):
            why = f"{count - len(others)} users whose policies let them into no Git repository were not asked for SSH keys"
            self._visit.counted(SSH_KEYS).note = why

    def _ssh_keys_of(self, users: Sequence[GitUser]) -> Iterator[Credential]:
        asked = 0
        for native_id, name in users:
            rows = _kept_rows(self._kept.get("ssh-keys", native_id))
            if rows is None:
                asked += 1
                if asked > SSH_USERS:
                    gap = f"only {SSH_USERS} users were asked tonight; answers are kept for a week, and the rest is asked next"
                    self._visit.counted(SSH_KEYS).gap(gap)
                    return
                rows = self._rows(SSH_KEYS, name, "SSHPublicKeyId")
            if rows is None:
                continue
            self._kept.put("ssh-keys", native_id, rows)
            yield from (self._credential("ssh-key", native_id, row) for row in rows)

    def _service_credential(self, user: Identity, item: Item) -> Credential | None:
        native_id, status = text(item, "ServiceSpecificCredentialId"), text(item, "Status")
        if not native_id:
            return None
        expires_at = moment(item.get("ExpirationDate"))
        created_at = moment(item.get("CreateDate"))
        unknown = {"last_used_at": _NO_USE}
        if created_at is None:
            unknown["created_at"] = f"{SERVICE_CREDENTIALS.operation} gives no CreateDate"
        if not status:
            unknown["enabled"] = f"{SERVICE_CREDENTIALS.operation} gives no Status"
        return Credential(
            uid=self._visit.uid("service-specific-credential", native_id),
            identity_uid=user.uid,
            provider="aws",
            scope=self._visit.number,
            kind="service-specific-credential",
            enabled=status == "Active" if status else None,
            created_at=created_at,
            expires_at=expires_at,
            never_expires=expires_at is None,
            observed_at=self._visit.now,
            unknown=unknown,
        )

    def _certificates(self, user: Identity, told: Sequence[ReportCertificate]) -> Iterator[Credential]:
        rows = _kept_rows(self._kept.get("signing-certificates", user.native_id))
        if rows is None or not _agree(told, rows):
            rows = self._listed_certificates(user.name)
        if rows is None:
            yield from (self._from_report(user, certificate) for certificate in told)
            return
        if _agree(told, rows):
            self._kept.put("signing-certificates", user.native_id, rows)
        for row in rows:
            yield self._credential("signing-certificate", user.native_id, row)

    def _listed_certificates(self, name: str) -> list[Row] | None:
        return self._rows(SIGNING_CERTIFICATES, name, "CertificateId")

    def _rows(self, listing: Listing, user: str, native_id: str) -> list[Row] | None:
        """List a user's certificates or SSH keys; None when that failed. Once refused, nobody else is asked for."""
        tally = self._visit.counted(listing)
        if tally.denied:
            return None
        failed = tally.refused.total()
        rows: list[Row] = []
        for page in self._visit.pages(listing, {"UserName": user}):
            for item in page:
                uploaded_at = moment(item.get("UploadDate"))
                if not text(item, native_id):
                    tally.drop(f"no {native_id}")
                    continue
                ends = _end_of(text(item, "CertificateBody")) if listing is SIGNING_CERTIFICATES else None
                uploaded = None if uploaded_at is None else stamp(uploaded_at)
                rows.append([text(item, native_id), text(item, "Status") or None, uploaded, None if ends is None else stamp(ends)])
        return rows if tally.refused.total() == failed else None

    def _credential(self, kind: str, user: str, row: Row) -> Credential:
        native_id, status, uploaded, ends = row
        unknown = {"last_used_at": _NO_USE}
        if status is None:
            unknown["enabled"] = "IAM gives no Status"
        if uploaded is None:
            unknown["created_at"] = "IAM gives no UploadDate"
        if kind == "signing-certificate" and ends is None:
            unknown["expires_at"] = "the certificate could not be read"
        return Credential(
            uid=self._visit.uid(kind, native_id or ""),
            identity_uid=self._visit.uid("user", user),
            provider="aws",
            scope=self._visit.number,
            kind=kind,
            enabled=None if status is None else status == "Active",
            created_at=None if uploaded is None else instant(uploaded),
            expires_at=None if ends is None else instant(ends),
            observed_at=self._visit.now,
            unknown=unknown,
        )

    def _from_report(self, user: Identity, told: ReportCertificate) -> Credential:
        when = "unknown" if told.uploaded_at is None else stamp(told.uploaded_at).replace("-", "").replace(":", "")
        unknown = {"last_used_at": _NO_USE, "expires_at": "the credential report does not say when the certificate ends"}
        if told.uploaded_at is None:
            unknown["created_at"] = "the credential report gives no date for this certificate"
        if told.active is None:
            unknown["enabled"] = "the credential report does not say whether this certificate is active"
        return Credential(
            uid=self._visit.uid("signing-certificate", f"{user.native_id}@{when}#{told.slot}"),
            identity_uid=user.uid,
            provider="aws",
            scope=self._visit.number,
            kind="signing-certificate",
            enabled=told.active,
            created_at=told.uploaded_at,
            observed_at=self._visit.now,
            unknown=unknown,
        )


Row = list[str | None]
"""Id, Status, time of upload and of end; None where IAM does not say."""


def _kept_rows(answer: object) -> list[Row] | None:
    """Read kept rows back; None when there are none, or they are not what was put."""
    if not isinstance(answer, list):
        return None
    for row in answer:
        if not isinstance(row, list) or len(row) != 4 or not row[0] or not all(one is None or isinstance(one, str) for one in row):  # noqa: PLR2004 -- the fields of a Row
            return None
        try:
            [instant(one) for one in row[2:] if one is not None]
        except ValueError:
            return None
    return answer


def _agree(told: Sequence[ReportCertificate], rows: Sequence[Row]) -> bool:
    """Whether the report and a listing tell of the same certificates, so that the listing stays true while the report does."""
    ours = sorted((stamp(one.uploaded_at), one.active) for one in told if one.uploaded_at is not None and one.active is not None)
    listed = sorted((stamp(instant(row[2]).replace(microsecond=0)), row[1] == "Active") for row in rows if row[2] is not None)
    return len(ours) == len(told) and len(listed) == len(rows) and ours == listed


def _end_of(body: str) -> datetime | None:
    from cryptography import x509  # slow to import, and only few accounts have any

    try:
        return x509.load_pem_x509_certificate(body.encode()).not_valid_after_utc
    except ValueError:
        return None
