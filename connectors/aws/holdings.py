"""What an account holds that belongs to no user or role: secrets in Secrets Manager and server certificates in IAM."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.aws.listing import Listing, keeping
from countersign.aws_documents.fields import moment, text
from countersign.aws_documents.records import OWNER_TAGS
from countersign.clock import stamp
from countersign.identity import Credential, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit

SERVER_CERTIFICATES = Listing(
    service="iam",
    action="ListServerCertificates",
    items="ServerCertificateMetadataList",
    reduce=keeping("ServerCertificateId", "ServerCertificateName", "Arn", "UploadDate", "Expiration"),
    size={"MaxItems": 1000},
    covers=("server-certificate",),
)
SECRETS = Listing(
    service="secretsmanager",
    action="ListSecrets",
    items="SecretList",
    reduce=keeping(
        *("ARN", "Name", "RotationEnabled", "RotationRules", "LastRotatedDate", "LastChangedDate", "LastAccessedDate", "NextRotationDate"),
        *("Tags", "OwningService", "CreatedDate", "PrimaryRegion"),
    ),
    start="NextToken",
    size={"MaxResults": 100},
    covers=("secret",),
)
_A_MOMENT = timedelta(minutes=1)
"""Creating a secret changes it, a little later."""


def holdings(visit: Visit, tags: Mapping[str, str], name: str, why: str | None = None) -> Iterator[Identity | Credential]:
    """Give the account as a holder, and what it holds; nothing where it holds nothing and has no tags. `why`: why its tags are unknown."""
    held = False
    for credential in (*_server_certificates(visit), *_secrets(visit)):
        if not held:
            yield _holder(visit, tags, name, why)
        held = True
        yield credential
    if tags and not held:
        yield _holder(visit, tags, name, why)


def _holder(visit: Visit, tags: Mapping[str, str], name: str, why: str | None) -> Identity:
    claims = {key.casefold(): value.strip() for key, value in tags.items()}
    return Identity(
        uid=visit.uid("account", visit.number),
        provider="aws",
        scope=visit.number,
        kind="account",
        native_id=visit.number,
        name=name,
        track="machine",
        enabled=True,
        provider_managed=True,
        console=False,
        owner_claim=next((claims[tag] for tag in OWNER_TAGS if claims.get(tag)), None),
        tags=dict(tags),
        observed_at=visit.now,
        unknown={
            "created_at": "AWS does not say when an account was created",
            "created_by": "AWS does not say who created an account",
            "last_active_at": "an account is not used by itself",
            **({} if why is None else {"tags": why}),
        },
    )


def _server_certificates(visit: Visit) -> Iterator[Credential]:
    for page in visit.pages(SERVER_CERTIFICATES):
        for item in page:
            if text(item, "ServerCertificateId"):
                yield _server_certificate(visit, item)
            else:
                visit.counted(SERVER_CERTIFICATES).drop("no ServerCertificateId")


def _server_certificate(visit: Visit, item: Item) -> Credential:
    uploaded_at, ends = moment(item.get("UploadDate")), moment(item.get("Expiration"))
    unknown = {"last_used_at": "IAM does not say which server uses it"}
    if uploaded_at is None:
        unknown["created_at"] = f"{SERVER_CERTIFICATES.operation} gives no UploadDate"
    if ends is None:
        unknown["expires_at"] = f"{SERVER_CERTIFICATES.operation} gives no Expiration"
    return Credential(
        uid=visit.uid("server-certificate", text(item, "ServerCertificateId")),
        identity_uid=visit.uid("account", visit.number),
        provider="aws",
        scope=visit.number,
        name=text(item, "ServerCertificateName") or None,
        kind="server-certificate",
        enabled=True,
        created_at=uploaded_at,
        expires_at=ends,
        observed_at=visit.now,
        unknown=unknown,
    )


def _secrets(visit: Visit) -> Iterator[Credential]:
    tally = visit.counted(SECRETS)
    for region in visit.regions:
        for page in visit.pages(SECRETS, region=region):
            for item in page:
                home = text(item, "PrimaryRegion")
                if not text(item, "ARN"):
                    tally.drop("no ARN")
                elif home and home != region and home in visit.regions:
                    tally.leave_out("a replica of a secret that is read in its own region")
                else:
                    yield _secret(visit, item)


def _secret(visit: Visit, item: Item) -> Credential:
    created_at, unknown = _value_age(item)
    used_on = moment(item.get("LastAccessedDate"))
    return Credential(
        uid=visit.uid("secret", text(item, "ARN")),
        identity_uid=visit.uid("account", visit.number),
        provider="aws",
        scope=visit.number,
        name=text(item, "Name") or None,
        kind="secret",
        enabled=moment(item.get("DeletedDate")) is None,
        created_at=created_at,
        last_used_at=None if used_on is None else _end_of_day(used_on, visit.now),
        last_used_state="never" if used_on is None else "known",
        observed_at=visit.now,
        unknown=unknown,
    )


def _value_age(item: Item) -> tuple[datetime | None, dict[str, str]]:
    """Say since when a secret has had its value; None and the reason where it was changed by hand, in a way nobody tells."""
    rotated_at, changed_at = moment(item.get("LastRotatedDate")), moment(item.get("LastChangedDate"))
    created_at = moment(item.get("CreatedDate"))
    if rotated_at is not None:
        return rotated_at, {}
    if created_at is None:
        return None, {"created_at": f"{SECRETS.operation} gives no CreatedDate"}
    if changed_at is not None and changed_at - created_at > _A_MOMENT:
        why = f"never rotated, and changed on {stamp(changed_at)}: whether its value changed then, or only its settings, is not told"
        return None, {"created_at": why}
    return created_at, {}


def _end_of_day(day: datetime, now: datetime) -> datetime:
    """Give the last second of a day that is all that is known of a use, so that nothing counts as idle too early."""
    return min(day.replace(hour=23, minute=59, second=59, microsecond=0), max(now, day))
