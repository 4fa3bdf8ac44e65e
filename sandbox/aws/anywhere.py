"""IAM Roles Anywhere of the sandbox: certificate authorities that are trusted, and the machines that came with certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.aws.certificates import YEAR, certificate
from sandbox.aws.contract import Refusal, fitting, result_shape
from sandbox.aws.estate import REGION, at, given, made_up, made_up_uuid, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

_LISTS = {
    "ListTrustAnchors": ("trustAnchors", "trust-anchor"),
    "ListProfiles": ("profiles", "profile"),
    "ListSubjects": ("subjects", "subject"),
    "ListCrls": ("crls", "crl"),
}
"""By operation: the answer's list, and the kind of record in it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that a machine came with."""

    issued: datetime
    expires: datetime | None = None
    """None: a year after its issue."""
    seen: datetime | None = None
    issuer: str = "Sandbox CA"
    enabled: bool = True
    failed: bool = False


def trust_anchor(  # noqa: PLR0913 -- such a thing has that many facets
    account: SandboxAccount,
    name: str,
    created: datetime,
    *,
    enabled: bool = True,
    private_ca: str | None = None,
    expires: datetime | None = None,
    region: str = REGION,
) -> str:
    """Trust a certificate authority, and give the anchor's ARN.

    `private_ca` is the ARN of an AWS Private CA; without it the anchor is a bundle with one certificate, which expires a
    year after the creation unless said otherwise.
    """
    data = {"acmPcaArn": private_ca} if private_ca else {"x509CertificateData": certificate(name, created, expires)}
    source = {"sourceType": "AWS_ACM_PCA" if private_ca else "CERTIFICATE_BUNDLE", "sourceData": data}
    return _keep(account, region, "trust-anchor", "trustAnchor", name=name, created=created, enabled=enabled, source=source)


def anywhere_profile(  # noqa: PLR0913 -- such a thing has that many facets
    account: SandboxAccount, name: str, created: datetime, *, roles: tuple[str, ...] = (), enabled: bool = True, region: str = REGION
) -> str:
    """Let trusted machines take roles (ARNs), and give the profile's ARN."""
    more = {"roleArns": list(roles), "durationSeconds": 3600, "requireInstanceProperties": False}
    return _keep(account, region, "profile", "profile", name=name, created=created, enabled=enabled, **more)


def anywhere_crl(account: SandboxAccount, name: str, created: datetime, *, anchor: str, enabled: bool = True, region: str = REGION) -> str:  # noqa: PLR0913 -- such a thing has that many facets
    """Import a revocation list for a trust anchor (an ARN), and give its ARN."""
    return _keep(
        account, region, "crl", "crl", name=name, created=created, enabled=enabled, trustAnchorArn=anchor, crlData=b"a revocation list"
    )


def anywhere_subject(  # noqa: PLR0913 -- such a thing has that many facets
    account: SandboxAccount,
    x509_subject: str,
    created: datetime,
    *,
    last_seen: datetime | None = None,
    enabled: bool = True,
    certificates: tuple[Shown, ...] | None = None,
    region: str = REGION,
) -> str:
    """Let a machine have come with a certificate for a subject such as `CN=robot-7`, and give the subject's id.

    Without `certificates` it showed one, issued at `created`.
    """
    shown = (Shown(created, seen=last_seen),) if certificates is None else certificates
    kept = account.estate.kept(account.number, region, "subject")
    number = made_up_uuid(account.number, region, "subject", x509_subject, len(kept))
    details = [
        given(
            seenAt=at(one.seen or last_seen),
            serialNumber=str(int(made_up("", 12, number, place), 16)),
            issuer=f"CN={one.issuer}",
            enabled=one.enabled,
            x509CertificateData=certificate(
                x509_subject.removeprefix("CN="), one.issued, one.expires or one.issued + YEAR, issuer=one.issuer
            ),
            failed=one.failed,
        )
        for place, one in enumerate(shown)
    ]
    kept.append(
        given(
            subjectArn=f"arn:aws:rolesanywhere:{region}:{account.number}:subject/{number}",
            subjectId=number,
            enabled=enabled,
            x509Subject=x509_subject,
            lastSeenAt=at(last_seen),
            createdAt=utc(created),
            updatedAt=utc(last_seen or created),
            credentials=details,
            instanceProperties=[],
        )
    )
    return number


def _keep(account: SandboxAccount, region: str, kind: str, prefix: str, *, name: str, created: datetime, **more: object) -> str:  # noqa: PLR0913 -- such a thing has that many facets
    kept = account.estate.kept(account.number, region, kind)
    number = made_up_uuid(account.number, region, kind, name, len(kept))
    arn = f"arn:aws:rolesanywhere:{region}:{account.number}:{kind}/{number}"
    kept.append({f"{prefix}Id": number, f"{prefix}Arn": arn, "name": name, "createdAt": utc(created), "updatedAt": utc(created), **more})
    return arn


def _list(estate: Estate, ask: Ask) -> dict[str, Any]:
    field, kind = _LISTS[ask.operation]
    shape = result_shape(ask.service, ask.operation)
    return {field: [fitting(shape, one) for one in estate.kept(ask.account, ask.region, kind)]}


def _subject(estate: Estate, ask: Ask) -> dict[str, Any]:
    return {"subject": _one(estate, ask, "subject", "subjectId")}


def _switch(estate: Estate, ask: Ask) -> dict[str, Any]:
    """Enable or disable a trust anchor or a profile."""
    of_anchor = ask.operation.endswith("TrustAnchor")
    kind, prefix = ("trust-anchor", "trustAnchor") if of_anchor else ("profile", "profile")
    kept = _one(estate, ask, kind, f"{prefix}Id")
    kept["enabled"] = ask.operation.startswith("Enable")
    return {prefix: kept}


def _delete(estate: Estate, ask: Ask) -> dict[str, Any]:
    kept = _one(estate, ask, "trust-anchor", "trustAnchorId")
    estate.kept(ask.account, ask.region, "trust-anchor").remove(kept)
    return {"trustAnchor": kept}


def _one(estate: Estate, ask: Ask, kind: str, field: str) -> dict[str, Any]:
    number = ask.parameters[field]
    for one in estate.kept(ask.account, ask.region, kind):
        if one[field] == number:
            return one
    raise Refusal("ResourceNotFoundException", f"There is no {kind} {number}.")


ANSWERS: Mapping[str, Answering] = {
    **{f"rolesanywhere:{operation}": _list for operation in _LISTS},
    "rolesanywhere:GetSubject": _subject,
    "rolesanywhere:DeleteTrustAnchor": _delete,
    **{f"rolesanywhere:{verb}{what}": _switch for verb in ("Enable", "Disable") for what in ("TrustAnchor", "Profile")},
}
