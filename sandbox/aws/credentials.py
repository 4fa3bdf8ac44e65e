"""IAM credentials beyond passwords and access keys: of one service, signing certificates, SSH keys, server certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from moto.iam.models import Certificate, SigningCertificate, iam_backends

from sandbox.aws.certificates import YEAR, certificate
from sandbox.aws.contract import Refusal
from sandbox.aws.estate import REGION, at, given, made_up, naive, utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandbox.aws.account import SandboxAccount
    from sandbox.aws.ask import Answering, Ask
    from sandbox.aws.estate import Estate

Status = Literal["Active", "Inactive", "Expired"]
_KIND = "service-specific-credential"
_ALIASED = ("bedrock.amazonaws.com", "logs.amazonaws.com")
"""Services whose credentials are API keys with an alias instead of a name and password."""


def service_credential(  # noqa: PLR0913 -- such a thing has that many facets
    account: SandboxAccount,
    user: str,
    created: datetime,
    *,
    service: str = "codecommit.amazonaws.com",
    expires: datetime | None = None,
    status: Status = "Active",
) -> str:
    """Give a user a credential for one service, and give its id (ACCA...); `expires` None: it never does."""
    kept = account.estate.kept(account.number, "", _KIND)
    number = made_up("ACCA", 21, account.number, user, service, len(kept))
    aliased = service in _ALIASED
    kept.append(
        given(
            UserName=account.backend.get_user(user).name,
            Status=status,
            ServiceUserName=None if aliased else f"{user}-at-{account.number}",
            ServiceCredentialAlias=f"{user}-at-{account.number}"[:200] if aliased else None,
            CreateDate=utc(created),
            ExpirationDate=at(expires),
            ServiceSpecificCredentialId=number,
            ServiceName=service,
        )
    )
    return number


def signing_certificate(
    account: SandboxAccount, user: str, uploaded: datetime, *, status: Status = "Active", expires: datetime | None = None
) -> str:
    """Give a user a signing certificate, and give its id; it is valid for a year from its upload unless said otherwise."""
    owner = account.backend.get_user(user)
    number = made_up("", 32, account.number, user, "signing", len(owner.signing_certificates))
    kept = SigningCertificate(number, user, certificate(user, uploaded, expires))
    kept.upload_date, kept.status = naive(uploaded), status
    owner.signing_certificates[number] = kept
    return number


def ssh_key(account: SandboxAccount, user: str, uploaded: datetime, *, status: Status = "Active") -> str:
    """Give a user a public SSH key, and give its id (APKA...)."""
    kept = account.backend.get_user(user).upload_ssh_public_key(f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISANDBOX {user}")
    kept.upload_date, kept.status = naive(uploaded), status
    return str(kept.ssh_public_key_id)


def server_certificate(account: SandboxAccount, name: str, uploaded: datetime, *, expires: datetime | None = None, path: str = "/") -> str:
    """Keep a TLS server's certificate in IAM, and give its ARN; it is valid for a year from its upload unless said otherwise."""
    kept: Any = Certificate(account.number, REGION, name, certificate(name, uploaded, expires), "", path=path)
    # moto keeps neither time.
    kept.upload_date, kept.expiration = naive(uploaded), naive(expires or uploaded + YEAR)
    account.backend.certificates[made_up("ASCA", 21, account.number, name)] = kept
    return str(kept.arn)


def _service_credentials(estate: Estate, ask: Ask) -> dict[str, Any]:
    everyone, name, service = (ask.parameters.get(one) for one in ("AllUsers", "UserName", "ServiceName"))
    if everyone and name is not None:
        raise Refusal("InvalidInput", "UserName cannot be given together with AllUsers.")
    users = iam_backends[ask.account]["aws"].users
    there = {user.name for user in users.values()}
    if not everyone:
        wanted = name or ask.user
        if wanted not in there:
            raise Refusal("NoSuchEntity", f"The user with name {wanted} cannot be found.")
        there = {wanted}
    rows = estate.kept(ask.account, "", _KIND)
    return {
        "ServiceSpecificCredentials": [row for row in rows if row["UserName"] in there and service in {None, row["ServiceName"]}],
        "IsTruncated": False,
    }


def _update_service_credential(estate: Estate, ask: Ask) -> dict[str, Any]:
    _credential(estate, ask)["Status"] = ask.parameters["Status"]
    return {}


def _delete_service_credential(estate: Estate, ask: Ask) -> dict[str, Any]:
    estate.kept(ask.account, "", _KIND).remove(_credential(estate, ask))
    return {}


def _credential(estate: Estate, ask: Ask) -> dict[str, Any]:
    number = ask.parameters["ServiceSpecificCredentialId"]
    user = ask.parameters.get("UserName") or ask.user
    for row in estate.kept(ask.account, "", _KIND):
        if (row["ServiceSpecificCredentialId"], row["UserName"]) == (number, user):
            return row
    raise Refusal("NoSuchEntity", f"Service Specific Credential {number} does not exist")


def _server_certificates(_: Estate, ask: Ask) -> dict[str, Any]:
    prefix = ask.parameters.get("PathPrefix", "/")
    rows = [
        given(
            Path=kept.path,
            ServerCertificateName=kept.cert_name,
            ServerCertificateId=number,
            Arn=kept.arn,
            UploadDate=at(getattr(kept, "upload_date", None)),
            Expiration=at(getattr(kept, "expiration", None)),
        )
        for number, kept in iam_backends[ask.account]["aws"].certificates.items()
        if kept.path.startswith(prefix)
    ]
    return {"ServerCertificateMetadataList": rows, "IsTruncated": False}


ANSWERS: Mapping[str, Answering] = {
    "iam:ListServiceSpecificCredentials": _service_credentials,
    "iam:UpdateServiceSpecificCredential": _update_service_credential,
    "iam:DeleteServiceSpecificCredential": _delete_service_credential,
    "iam:ListServerCertificates": _server_certificates,
}
