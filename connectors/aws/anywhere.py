"""IAM Roles Anywhere: whose certificates let a workload outside AWS take a role, and which workloads did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from connectors.aws.door import account_of
from connectors.aws.federation import outsider, trust
from connectors.aws.listing import Listing, keeping
from countersign.aws_documents.fields import details, moment, text
from countersign.aws_documents.policy import document
from countersign.clock import instant, stamp
from countersign.identity import Credential, Grant, Identity
from countersign.pace import budget
from countersign.privilege import LIMITED, UNREAD, Verdict, strongest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.aws.kept import Kept
    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import PartyKind, Trust
    from countersign.pace import Budget

ANCHORS = Listing(
    service="rolesanywhere",
    action="ListTrustAnchors",
    items="trustAnchors",
    reduce=keeping("trustAnchorArn", "name", "enabled", "createdAt", "updatedAt"),
    start="nextToken",
    covers=("trust-anchor", "roles-anywhere-subject", "certificate"),  # without an anchor nothing else is asked
)
PROFILES = Listing(
    service="rolesanywhere",
    action="ListProfiles",
    items="profiles",
    reduce=keeping("profileArn", "name", "enabled", "roleArns", "managedPolicyArns", "createdBy", "createdAt", "durationSeconds"),
    start="nextToken",
    covers=("trust-anchor",),
)
SUBJECTS = Listing(
    service="rolesanywhere",
    action="ListSubjects",
    items="subjects",
    reduce=keeping("subjectId", "x509Subject", "enabled", "lastSeenAt", "createdAt", "updatedAt"),
    start="nextToken",
    covers=("roles-anywhere-subject", "certificate"),
)
SUBJECT = Listing(
    service="rolesanywhere",
    action="GetSubject",
    items="subject",
    reduce=keeping("subjectId", "x509Subject", "lastSeenAt"),
    covers=("certificate",),
)
SUBJECTS_ASKED = 60
"""Subjects a region and night whose certificates are asked for, at one a second; an answer is good until the subject is seen again."""
_BURST = 5
_SERVICE = "rolesanywhere.amazonaws.com"
_NARROWS = "aws:principaltag/x509"
_ANY = frozenset({"*", ""})
_EQUALS = frozenset({"stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"})


@dataclass(frozen=True, slots=True)
class _Door:
    """A role that Roles Anywhere may assume."""

    uid: str
    arn: str
    anchors: tuple[str, ...]
    """Patterns of the trust anchors it is for; empty: any."""
    condition: str | None
    """What of the certificate its trust policy demands; None: nothing."""


@dataclass(frozen=True, slots=True)
class _Profile:
    name: str
    roles: frozenset[str]
    narrowed: bool
    """By a session policy, so that the role's own power is only an upper bound."""


class Anywhere:
    """Gathers the roles that Roles Anywhere may assume, then reads each region."""

    def __init__(self, visit: Visit, kept: Kept) -> None:
        self._visit = visit
        self._kept = kept
        self._doors: list[_Door] = []
        self._powers: dict[str, Verdict] = {}

    def learn(self, page: Item) -> None:
        """Take in the roles of one answer of GetAccountAuthorizationDetails."""
        for role in details(page, "RoleDetailList"):
            for anchors, condition in _ways_in(role.get("AssumeRolePolicyDocument")):
                self._doors.append(_Door(self._visit.uid("role", text(role, "RoleId")), text(role, "Arn"), anchors, condition))

    def granted(self, grant: Grant) -> None:
        """Take in what a role may do; most are not for Roles Anywhere, and are passed over."""
        if any(door.uid == grant.identity_uid for door in self._doors):
            here = Verdict(grant.power, grant.rule)
            self._powers[grant.identity_uid] = strongest((here, self._powers.get(grant.identity_uid, LIMITED)))

    def read(self) -> Iterator[Identity | Credential | Grant | Trust]:
        """Give trust anchors and subjects of every region. Where there is no trust anchor nothing else is asked."""
        for region in self._visit.regions:
            anchors = [item for page in self._visit.pages(ANCHORS, region=region, pace=self._pace(region, "anchors")) for item in page]
            if not anchors:
                continue
            profiles = tuple(self._profiles(region))
            failed = self._visit.counted(PROFILES).why
            for item in anchors:
                if text(item, "trustAnchorArn"):
                    yield from self._anchor(item, profiles, failed)
                else:
                    self._visit.counted(ANCHORS).drop("no trustAnchorArn")
            yield from self._subjects(region)

    def _pace(self, region: str, family: str) -> Budget:
        return budget("aws", "rolesanywhere", self._visit.number, region, family, units=_BURST, seconds=_BURST)

    def _profiles(self, region: str) -> Iterator[_Profile]:
        for page in self._visit.pages(PROFILES, region=region, pace=self._pace(region, "profiles")):
            for item in page:
                roles = item.get("roleArns")
                if item.get("enabled") is not False and isinstance(roles, list):
                    narrowed = bool(item.get("sessionPolicy") or item.get("managedPolicyArns"))
                    yield _Profile(text(item, "name") or text(item, "profileArn"), frozenset(map(str, roles)), narrowed)

    def _anchor(self, item: Item, profiles: tuple[_Profile, ...], why: str | None) -> Iterator[Identity | Grant | Trust]:
        arn = text(item, "trustAnchorArn")
        enabled = item.get("enabled")
        unknown = {} if isinstance(enabled, bool) else {"enabled": f"{ANCHORS.operation} does not say"}
        unknown |= {} if why is None else {"grants": why, "trusts": why}
        parties, unread = _issuers(item, self._visit.number)
        if unread is not None:
            unknown["trusts"] = unread
        anchor = replace(
            outsider(
                self._visit,
                "trust-anchor",
                arn,
                text(item, "name") or arn,
                enabled=enabled if isinstance(enabled, bool) else None,
                unknown=unknown,
            ),
            created_at=moment(item.get("createdAt")),
        )
        yield anchor
        opened = [
            (door, profile)
            for door in self._doors
            for profile in profiles
            if door.arn in profile.roles and (not door.anchors or any(fnmatchcase(arn, one) for one in door.anchors))
        ]
        if why is None:
            conditions = [door.condition for door, _ in opened]
            condition = "no profile and role lets it in" if not opened else None if None in conditions else conditions[0]
            for kind, party in parties:
                yield trust(anchor, kind, party, condition)
        for door, profile in opened:
            verdict = self._powers.get(door.uid, LIMITED)
            if profile.narrowed and verdict.power != "limited":
                verdict = UNREAD
            yield Grant(
                identity_uid=anchor.uid,
                provider="aws",
                scope=self._visit.number,
                role=door.arn,
                power=verdict.power,
                rule=verdict.rule,
                via=f"profile:{profile.name}",
            )

    def _subjects(self, region: str) -> Iterator[Identity | Credential]:
        pace = self._pace(region, "subjects")
        found: list[tuple[Item, _Certificates | None]] = []
        for page in self._visit.pages(SUBJECTS, region=region, pace=pace):
            for item in page:
                if text(item, "subjectId"):
                    found.append((item, _kept(self._kept.get("subjects", text(item, "subjectId")))))
                else:
                    self._visit.counted(SUBJECTS).drop("no subjectId")
        # Those of whom nothing is known come first; of the others a week-old answer is wrong about their last use only.
        found.sort(key=lambda one: one[1] is not None)
        asked = 0
        for item, before in found:
            subject = self._subject(item)
            yield subject
            known = before
            if known is None or known.seen != _seen(item):
                asked += 1
                if asked <= SUBJECTS_ASKED:
                    known = self._asked(item, region, pace) or before
                elif known is None:
                    gap = f"only {SUBJECTS_ASKED} subjects were asked in {region} tonight; answers are kept, and the rest is asked next"
                    self._visit.counted(SUBJECT).gaps[gap] = 1
            if known is not None:
                self._kept.put("subjects", subject.native_id, [known.seen, known.rows])
                yield from (self._certificate(subject, row, current=known.seen == _seen(item)) for row in known.rows)

    def _asked(self, item: Item, region: str, pace: Budget) -> _Certificates | None:
        told = self._visit.one(SUBJECT, {"subjectId": text(item, "subjectId")}, region=region, pace=pace)
        if told is None:
            return None
        return _Certificates(_seen(told), [row for one in details(told, "credentials") if (row := _row(one)) is not None])

    def _subject(self, item: Item) -> Identity:
        native_id = text(item, "subjectId")
        enabled, seen_at = item.get("enabled"), moment(item.get("lastSeenAt"))
        unknown = {"created_by": "Roles Anywhere knows a subject from when its certificate first came"}
        if not isinstance(enabled, bool):
            unknown["enabled"] = f"{SUBJECTS.operation} does not say"
        return Identity(
            uid=self._visit.uid("roles-anywhere-subject", native_id),
            provider="aws",
            scope=self._visit.number,
            kind="roles-anywhere-subject",
            native_id=native_id,
            name=text(item, "x509Subject") or native_id,
            aliases=tuple(filter(None, [text(item, "subjectArn")])),
            track="machine",
            enabled=enabled if isinstance(enabled, bool) else None,
            console=False,
            created_at=moment(item.get("createdAt")),
            last_active_at=seen_at,
            last_active_state="never" if seen_at is None else "known",
            observed_at=self._visit.now,
            unknown=unknown,
        )

    def _certificate(self, subject: Identity, row: Row, *, current: bool) -> Credential:
        serial, enabled, seen, starts, ends = row
        unknown = {}
        if enabled is None:
            unknown["enabled"] = f"{SUBJECT.operation} does not say"
        if starts is None or ends is None:
            unknown |= dict.fromkeys(("created_at", "expires_at"), "the certificate could not be read")
        if not current:
            unknown["last_used_at"] = "its subject was seen since its certificates were last asked for"
        return Credential(
            uid=self._visit.uid("certificate", f"{subject.native_id}/{serial}"),
            identity_uid=subject.uid,
            provider="aws",
            scope=self._visit.number,
            kind="certificate",
            enabled=None if enabled is None else enabled == "true",
            created_at=None if starts is None else instant(starts),
            expires_at=None if ends is None else instant(ends),
            last_used_at=instant(seen) if current and seen is not None else None,
            last_used_state="unknown" if not current else "never" if seen is None else "known",
            observed_at=self._visit.now,
            unknown=unknown,
        )


Row = list[str | None]
"""Serial number, enabled (`true` or `false`), last seen, start and end of a certificate; None where it is not said."""


@dataclass(frozen=True, slots=True)
class _Certificates:
    """Certificates of a subject, as they were when it was last seen."""

    seen: str | None
    rows: list[Row]


def _seen(item: Item) -> str | None:
    seen_at = moment(item.get("lastSeenAt"))
    return None if seen_at is None else stamp(seen_at)


def _row(item: Item) -> Row | None:
    from cryptography import x509  # slow to import, and only few accounts have any

    serial, seen_at = text(item, "serialNumber"), moment(item.get("seenAt"))
    if not serial:
        return None
    enabled = item.get("enabled")
    row: Row = [
        serial,
        str(enabled).lower() if isinstance(enabled, bool) else None,
        None if seen_at is None else stamp(seen_at),
        None,
        None,
    ]
    try:
        certificate = x509.load_pem_x509_certificate(text(item, "x509CertificateData").encode())
    except ValueError:
        return row
    return [*row[:3], stamp(certificate.not_valid_before_utc), stamp(certificate.not_valid_after_utc)]


def _kept(answer: Any) -> _Certificates | None:  # noqa: ANN401 -- whatever the file holds
    """Read kept certificates back; None when there are none, or they are not what was put."""
    try:
        seen, rows = answer
        found = [[None if one is None else str(one) for one in row] for row in rows]
        if any(len(row) != 5 or not row[0] for row in found):  # noqa: PLR2004 -- the fields of a Row
            return None
        [instant(one) for row in found for one in row[2:] if one is not None]
    except (TypeError, ValueError):
        return None
    return _Certificates(None if seen is None else str(seen), found)


def _issuers(item: Item, own: str) -> tuple[list[tuple[PartyKind, str]], str | None]:
    """Name the authorities of a trust anchor; the reason where they cannot be read. An authority of the account's own is no outsider."""
    from cryptography import x509  # slow to import, and only few accounts have any

    source = item.get("source")
    data = source.get("sourceData") if isinstance(source, dict) else None
    if not isinstance(data, dict):
        return [], f"{ANCHORS.operation} does not say which authority it trusts"
    authority = text(data, "acmPcaArn")
    if authority:
        holder = account_of(authority)
        return [] if holder == own else [("aws-account", holder or authority)], None
    try:
        certificates = x509.load_pem_x509_certificates(text(data, "x509CertificateData").encode())
    except ValueError:
        return [], "the authority's certificate could not be read"
    return [("x509-issuer", one.subject.rfc4514_string()) for one in certificates], None


def _ways_in(policy: object) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Give, for each statement that lets Roles Anywhere in, the trust anchors it is for and what of a certificate it demands."""
    parsed = document(policy) or {}
    listed = parsed.get("Statement")
    for statement in [listed] if isinstance(listed, dict) else listed if isinstance(listed, list) else []:
        if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal")
        if isinstance(principal, dict) and _SERVICE in _texts(principal.get("Service")):
            yield _narrowed(statement.get("Condition"))


def _narrowed(condition: object) -> tuple[tuple[str, ...], str | None]:
    anchors: tuple[str, ...] = ()
    demanded = None
    for operator, keys in condition.items() if isinstance(condition, dict) else ():
        for key, wanted in keys.items() if isinstance(keys, dict) else ():
            values = _texts(wanted)
            if str(operator).lower() not in _EQUALS or not values or not _ANY.isdisjoint(values):
                continue
            if str(key).lower() == "aws:sourcearn":
                anchors = tuple(one.replace("[", "[[]") for one in values)
            elif str(key).lower().startswith(_NARROWS):
                demanded = demanded or str(key)
    return anchors, demanded


def _texts(value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(one for one in listed if isinstance(one, str))
