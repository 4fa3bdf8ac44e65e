"""AWS: IAM, Roles Anywhere, Secrets Manager, Organizations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fixes.filling import DELETES_LAST as _LAST
from countersign.fixes.filling import Fix, Told, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.fixes.acts import Act
    from countersign.fixes.subjects import Subject

_NAME = r"[\w+=,.@][\w+=,.@-]{0,127}"  # what IAM allows, but for a first character that the command line takes for an option
_ARN = r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:[\w+=,.@:/-]+"
SHAPES = shapes(
    access_key_id=r"[A-Z0-9]{16,128}",
    account=r"\d{12}",
    anchor_id=r"[0-9a-f-]{36}",
    arn=_ARN,
    certificate_name=_NAME,
    bucket=r"[a-z0-9][a-z0-9.-]{2,62}",
    credential_id=r"\w{8,128}",
    id=r"\w[\w-]{0,127}",
    key_id=r"[0-9A-Za-z][0-9A-Za-z-]{0,127}",
    name=r"(?!)",  # shown in the console's path
    region=r"[a-z]{2}(-[a-z]+)+-\d{1,2}",
    role_name=_NAME,
    role_id=r"[A-Z0-9]{16,128}",
    user_name=_NAME,
    user_id=r"[A-Z0-9]{16,128}",
)


def told(subject: Subject) -> Told:
    """Say what is known of a subject, and which of the ways below it goes."""
    kind, native, owner = subject.kind, subject.native_id, subject.identity_id
    values: dict[str, str | None] = {"account": subject.scope, "arn": native, "id": native}
    values |= dict.fromkeys(("name", "user_name", "role_name", "certificate_name"), subject.name)
    if native.startswith("arn:") and native.count(":") >= 5:  # noqa: PLR2004 -- arn:partition:service:region:account:resource
        values["region"] = native.split(":")[3] or None
    if kind == "user":
        kind = "root-user" if native == subject.scope else "user"
        values["user_id"] = native
    elif kind == "role":
        values["role_id"] = native
    elif kind in _OF_USERS:
        values["credential_id"] = values["access_key_id"] = native
        values["user_id"] = owner
        if owner == subject.scope:
            kind = "root-password" if kind == "password" else "root-credential"
    elif kind == "certificate":
        kind = "saml-certificate" if native.startswith("arn:") else "subject-certificate"
    elif kind == "trust-anchor":
        values["anchor_id"] = native.rpartition("/")[2]
    elif kind == "billing-transfer":
        values["id"] = native.rpartition("/")[2]
    elif kind == "shared-resource":
        kind, values["bucket"], values["key_id"] = _shared(native)
    return Told(kind, values)


def _shared(arn: str) -> tuple[str, str | None, str | None]:
    """Tell a bucket and a key of KMS from the many other things that can be shared."""
    service, _, rest = arn.partition(":")[2].partition(":")[2].partition(":")
    if service == "s3":
        return "shared-bucket", rest.rpartition(":")[2].partition("/")[0], None
    if service == "kms" and ":key/" in rest:
        return "shared-key", None, rest.rpartition("/")[2]
    return "shared-resource", None, None


_OF_USERS = frozenset({"access-key", "password", "service-specific-credential", "signing-certificate", "ssh-key"})
_SURE = "Go on only if the first line prints the name that the others use: it looks by the id, and finds nothing in another account."
_DENY = "arn:aws:iam::aws:policy/AWSDenyAll"
_USER = "aws iam list-users --query \"Users[?UserId=='{user_id}'].UserName\" --output text"
_ROLE = "aws iam list-roles --query \"Roles[?RoleId=='{role_id}'].RoleName\" --output text"
_IN_CONSOLE = "IAM > Users > {name} > Security credentials"
_LAST_USED = "aws iam get-access-key-last-used --access-key-id {access_key_id}"
_KEY_OFF = "aws iam update-access-key --user-name {user_name} --access-key-id {access_key_id} --status Inactive"
_KEY_GONE = "aws iam delete-access-key --user-name {user_name} --access-key-id {access_key_id}"
_SERVICE_OFF = (
    "aws iam update-service-specific-credential --user-name {user_name} --service-specific-credential-id {credential_id} --status Inactive"
)
_SERVICE_GONE = "aws iam delete-service-specific-credential --user-name {user_name} --service-specific-credential-id {credential_id}"
_SIGNING_OFF = "aws iam update-signing-certificate --user-name {user_name} --certificate-id {credential_id} --status Inactive"
_SIGNING_GONE = "aws iam delete-signing-certificate --user-name {user_name} --certificate-id {credential_id}"
_SSH_OFF = "aws iam update-ssh-public-key --user-name {user_name} --ssh-public-key-id {credential_id} --status Inactive"
_SSH_GONE = "aws iam delete-ssh-public-key --user-name {user_name} --ssh-public-key-id {credential_id}"
_CONSOLE_OFF = "aws iam delete-login-profile --user-name {user_name}"
_GET_TRUST = "aws iam get-role --role-name {role_name} --query Role.AssumeRolePolicyDocument --output json > trust.json"
_SET_TRUST = "aws iam update-assume-role-policy --role-name {role_name} --policy-document file://trust.json"
_END_SESSIONS = (
    "aws iam put-role-policy --role-name {role_name} --policy-name AWSRevokeOlderSessions --policy-document"
    ' \'{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",'
    '"Condition":{"DateLessThan":{"aws:TokenIssueTime":"TIME_NOW"}}}]}\''
)
_GET_BUCKET = "aws s3api get-bucket-policy --bucket {bucket} --query Policy --output text > policy.json"
_SET_BUCKET = "aws s3api put-bucket-policy --bucket {bucket} --policy file://policy.json"
_GET_KEY = "aws kms get-key-policy --key-id {key_id} --region {region} --query Policy --output text > policy.json"
_SET_KEY = "aws kms put-key-policy --key-id {key_id} --region {region} --policy file://policy.json"
_GET_OIDC = "aws iam get-open-id-connect-provider --open-id-connect-provider-arn {arn}"
_ROOT = "Sign in as the root user of account {account} > account menu, top right > Security credentials"
_FROM_OUTSIDE = "aws iam create-role --role-name NEW_ROLE --assume-role-policy-document file://trust.json"

_ROOT_CREDENTIAL = Fix(
    says="Only the root user can do it, or in an organisation its central root access: deactivate it, watch, then delete it. "
    "A root user needs no keys.",
    console=_ROOT + " > Access keys or certificates > {id} > Actions > Deactivate",
    commands=(),
)  # fmt: skip
_TAKE_PASSWORD = Fix(
    says=f"IAM cannot suspend a password: take console access away; it can be given again with a new password. {_SURE}",
    console=f"{_IN_CONSOLE} > Console sign-in > Manage console access > Disable access",
    commands=(_USER, "aws iam get-login-profile --user-name {user_name}", _CONSOLE_OFF),
)

FIXES: Mapping[tuple[Act, str], Fix] = {
    ("disable", "user"): Fix(
        says="Attach AWS's own policy AWSDenyAll: it stops password, keys and sessions at once, and comes off again. "
        f"Delete the user in the console when nobody missed it over the watch period. {_SURE}",
        console="IAM > Users > {name} > Permissions > Add permissions > Attach policies directly > AWSDenyAll",
        commands=(_USER, f"aws iam attach-user-policy --user-name {{user_name}} --policy-arn {_DENY}"),
    ),
    ("disable", "role"): Fix(
        says="Attach AWS's own policy AWSDenyAll: it stops the role and its sessions at once, and comes off again. "
        f"Delete the role in the console when nobody missed it over the watch period. {_SURE}",
        console="IAM > Roles > {name} > Permissions > Add permissions > Attach policies > AWSDenyAll",
        commands=(_ROLE, f"aws iam attach-role-policy --role-name {{role_name}} --policy-arn {_DENY}"),
    ),
    ("disable", "root-user"): Fix(
        says="IAM cannot deny the root user anything. Remove its password and keys from outside by central root access, which can also "
        "allow them again; in an account without an organisation lock its password and MFA away.",
        console="IAM, in the management account > Root access management > {account} > Take privileged action > Delete root user "
        "credentials",
        commands=(),
    ),
    ("disable", "access-key"): Fix(
        says=f"See when it was last used, deactivate it, and watch; Activate gives it back. {_LAST}",
        console=f"{_IN_CONSOLE} > Access keys > {{access_key_id}} > Actions > Deactivate",
        commands=(_LAST_USED, _KEY_OFF, _KEY_GONE),
    ),
    ("disable", "password"): _TAKE_PASSWORD,
    ("disable", "root-credential"): _ROOT_CREDENTIAL,
    ("disable", "root-password"): Fix(
        says="Set a new long password and keep it apart from its MFA device; in an organisation, delete it by central root access.",
        console=_ROOT + " > Password > Edit",
        commands=(),
    ),
    ("disable", "service-specific-credential"): Fix(
        says=f"Make it inactive and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > the section of its service > {{credential_id}} > Actions > Deactivate",
        commands=(_SERVICE_OFF, _SERVICE_GONE),
    ),
    ("disable", "signing-certificate"): Fix(
        says=f"Make it inactive and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > X.509 Signing certificates > {{credential_id}} > Actions > Deactivate",
        commands=(_SIGNING_OFF, _SIGNING_GONE),
    ),
    ("disable", "ssh-key"): Fix(
        says=f"Make it inactive and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > SSH public keys for AWS CodeCommit > {{credential_id}} > Actions > Deactivate",
        commands=(_SSH_OFF, _SSH_GONE),
    ),
    ("disable", "server-certificate"): Fix(
        says=f"IAM cannot suspend it: take it off every load balancer and distribution first, then delete it. {_SURE}",
        console=None,
        commands=(
            (
                "aws iam list-server-certificates --query"
                " \"ServerCertificateMetadataList[?ServerCertificateId=='{id}'].ServerCertificateName\" --output text"
            ),
            "aws iam delete-server-certificate --server-certificate-name {certificate_name}",
        ),
    ),
    ("disable", "secret"): Fix(
        says="Schedule its deletion: nobody can read it from then on, and restore-secret gives it back for 30 days. "
        "What it opens is closed only where it opens it.",
        console="Secrets Manager > Secrets > {name} > Actions > Delete secret > waiting period 30 days",
        commands=(
            "aws secretsmanager describe-secret --secret-id {arn} --region {region}",
            "aws secretsmanager delete-secret --secret-id {arn} --region {region} --recovery-window-in-days 30",
        ),
    ),
    ("disable", "saml-certificate"): Fix(
        says="Fetch the provider's metadata with its present certificates from your identity provider, and put it in place of the old.",
        console="IAM > Identity providers > {name} > Replace metadata",
        commands=("aws iam update-saml-provider --saml-provider-arn {arn} --saml-metadata-document file://METADATA.xml",),
    ),
    ("disable", "subject-certificate"): Fix(
        says="Have its authority revoke it, and give Roles Anywhere the authority's new list of revocations; that list can be "
        "disabled again.",
        console=None,
        commands=(
            (
                "aws rolesanywhere import-crl --name REVOKED --crl-data fileb://CRL.pem --trust-anchor-arn TRUST_ANCHOR_ARN --enabled"
                " --region REGION"
            ),
        ),
    ),
    ("disable", "roles-anywhere-subject"): Fix(
        says="Roles Anywhere cannot suspend one subject: see which certificates it has, have their authority revoke them, and give Roles "
        "Anywhere its new list of revocations; that list can be disabled again.",
        console=None,
        commands=(
            "aws rolesanywhere get-subject --subject-id {id} --region REGION",
            (
                "aws rolesanywhere import-crl --name REVOKED --crl-data fileb://CRL.pem --trust-anchor-arn TRUST_ANCHOR_ARN --enabled"
                " --region REGION"
            ),
        ),
    ),
    ("disable", "trust-anchor"): Fix(
        says=f"Disable it: no certificate of its authority gets a session any more, those that run last up to 12 hours. {_LAST}",
        console="IAM > Roles > Roles Anywhere > Manage > Trust anchors > {name} > Disable",
        commands=(
            "aws rolesanywhere disable-trust-anchor --trust-anchor-id {anchor_id} --region {region}",
            "aws rolesanywhere delete-trust-anchor --trust-anchor-id {anchor_id} --region {region}",
        ),
    ),
    ("disable", "oidc-provider"): Fix(
        says="Remove every audience, so that no token fits; note them down, adding them gives it back. Sessions that run last up to 12 "
        f"hours. {_LAST}",
        console="IAM > Identity providers > {name} > Audiences > Remove",
        commands=(
            _GET_OIDC,
            "aws iam remove-client-id-from-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id AUDIENCE",
            "aws iam delete-open-id-connect-provider --open-id-connect-provider-arn {arn}",
        ),
    ),
    ("disable", "saml-provider"): Fix(
        says="IAM cannot suspend it: keep its metadata, take it out of the trust policies that name it, and delete it when nobody came "
        "by it over the watch period.",
        console="IAM > Identity providers > {name} > Delete",
        commands=(
            "aws iam get-saml-provider --saml-provider-arn {arn} --query SAMLMetadataDocument --output text > metadata.xml",
            "aws iam delete-saml-provider --saml-provider-arn {arn}",
        ),
    ),
    ("disable", "delegation-request"): Fix(
        says="Reject it while it is pending. Once it was accepted, only the console ends its session, and it ends by itself within 12 "
        "hours.",
        console="IAM > Temporary delegation requests > {id} > Actions > Revoke access",
        commands=("aws iam reject-delegation-request --delegation-request-id {id}",),
    ),
    ("disable", "billing-transfer"): Fix(
        says="Withdraw it, in the management account: it cannot be suspended, and it ends with the month. A new one takes a new "
        "invitation.",
        console="Billing and Cost Management > Preferences and Settings > Billing transfers > Outbound billing > Withdraw",
        commands=(
            "aws organizations describe-responsibility-transfer --id {id}",
            "aws organizations terminate-responsibility-transfer --id {id}",
        ),
    ),
    ("disable", "shared-bucket"): Fix(
        says="Take the party out of policy.json; keep the old text to give it back. Access points and ACLs are looked at apart.",
        console="S3 > Buckets > {bucket} > Permissions > Bucket policy > Edit",
        commands=(_GET_BUCKET, _SET_BUCKET),
    ),
    ("disable", "shared-key"): Fix(
        says="Take the party out of policy.json, and retire its grants; keep the old text to give it back.",
        console="KMS > Customer managed keys > {key_id} > Key policy > Edit",
        commands=(_GET_KEY, _SET_KEY, "aws kms list-grants --key-id {key_id} --region {region}"),
    ),
    ("disable", "shared-resource"): Fix(
        says="Open the finding at Access Analyzer, and take the party out of the resource's own policy; keep the old one to give it back.",
        console="IAM > Access Analyzer > External access > Active > {arn} > Go to console",
        commands=(
            ('aws accessanalyzer list-findings-v2 --analyzer-arn ANALYZER_ARN --filter \'{"resource":{"eq":["{arn}"]}}\' --region REGION'),
        ),
    ),
    ("rotate", "access-key"): Fix(
        says="Make a second key, move the user's programs to it, deactivate this one when it is silent, and watch; Activate gives it back. "
        f"A user has two keys at most. {_LAST}",
        console=f"{_IN_CONSOLE} > Access keys > Create access key; then {{access_key_id}} > Actions > Deactivate",
        commands=("aws iam create-access-key --user-name {user_name}", _LAST_USED, _KEY_OFF, _KEY_GONE),
    ),
    ("rotate", "root-credential"): _ROOT_CREDENTIAL,
    ("rotate", "root-password"): Fix(
        says="Sign in as the root user and set a new password.", console=_ROOT + " > Password > Edit", commands=()
    ),
    ("rotate", "password"): Fix(
        says=f"Have it changed at the next log-in. {_SURE}",
        console=f"{_IN_CONSOLE} > Console sign-in > Manage console access > Reset password > User must create new password at next sign-in",
        commands=(_USER, "aws iam update-login-profile --user-name {user_name} --password-reset-required"),
    ),
    ("rotate", "service-specific-credential"): Fix(
        says=f"Make a new one, move its users, make this one inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > the section of its service > Generate credentials; then {{credential_id}} > Actions > Deactivate",
        commands=(
            "aws iam create-service-specific-credential --user-name {user_name} --service-name SERVICE_NAME",
            _SERVICE_OFF,
            _SERVICE_GONE,
        ),
    ),
    ("bound", "service-specific-credential"): Fix(
        says="Make one that ends, where its service has such (Bedrock has), move its users, make this one inactive, and "
        f"watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > the section of its service > Generate API Key > expiration; then {{credential_id}} > Actions > "
        f"Deactivate",
        commands=(
            "aws iam create-service-specific-credential --user-name {user_name} --service-name SERVICE_NAME --credential-age-days DAYS",
            _SERVICE_OFF,
            _SERVICE_GONE,
        ),
    ),
    ("rotate", "signing-certificate"): Fix(
        says=f"Upload a new one, move its users, make this one inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > X.509 Signing certificates > Upload; then {{credential_id}} > Actions > Deactivate",
        commands=(
            "aws iam upload-signing-certificate --user-name {user_name} --certificate-body file://NEW_CERTIFICATE.pem",
            _SIGNING_OFF,
            _SIGNING_GONE,
        ),
    ),
    ("rotate", "ssh-key"): Fix(
        says=f"Upload a new public key, make this one inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > SSH public keys for AWS CodeCommit > Upload; then {{credential_id}} > Actions > Deactivate",
        commands=("aws iam upload-ssh-public-key --user-name {user_name} --ssh-public-key-body file://NEW_KEY.pub", _SSH_OFF, _SSH_GONE),
    ),
    ("rotate", "server-certificate"): Fix(
        says="Upload the new one under another name, put it on what uses this one, and delete this one when nothing does.",
        console=None,
        commands=(
            (
                "aws iam upload-server-certificate --server-certificate-name NEW_NAME --certificate-body file://NEW_CERTIFICATE.pem"
                " --private-key file://NEW_KEY.pem --certificate-chain file://CHAIN.pem"
            ),
            "aws iam delete-server-certificate --server-certificate-name {certificate_name}",
        ),
    ),
    ("rotate", "secret"): Fix(
        says="Rotate it now; without a rotation function, change it where it opens something and write the new value. "
        "Then have it rotated by schedule.",
        console="Secrets Manager > Secrets > {name} > Rotation > Rotate secret immediately",
        commands=(
            "aws secretsmanager describe-secret --secret-id {arn} --region {region}",
            "aws secretsmanager rotate-secret --secret-id {arn} --region {region}",
        ),
    ),
    ("rotate", "saml-certificate"): Fix(
        says="Fetch the provider's metadata with its new certificate from your identity provider, and put it in place of the old.",
        console="IAM > Identity providers > {name} > Replace metadata",
        commands=("aws iam update-saml-provider --saml-provider-arn {arn} --saml-metadata-document file://METADATA.xml",),
    ),
    ("rotate", "subject-certificate"): Fix(
        says="Have its authority issue a new certificate to the workload and revoke this one; then give Roles Anywhere the new list of "
        "revocations.",
        console=None,
        commands=(
            (
                "aws rolesanywhere import-crl --name REVOKED --crl-data fileb://CRL.pem --trust-anchor-arn TRUST_ANCHOR_ARN --enabled"
                " --region REGION"
            ),
        ),
    ),
    ("federate", "access-key"): Fix(
        says="Give the workload a role: an instance, task or function has one attached, outside AWS it comes by OIDC or Roles Anywhere; "
        f"trust.json names who may come. Then deactivate the key and watch. {_LAST}",
        console="IAM > Identity providers > Add provider; IAM > Roles > Create role > Web identity; "
        f"then {_IN_CONSOLE} > Access keys > {{access_key_id}} > Actions > Deactivate",
        commands=(
            "aws iam create-open-id-connect-provider --url ISSUER_URL --client-id-list sts.amazonaws.com",
            _FROM_OUTSIDE,
            _LAST_USED,
            _KEY_OFF,
            _KEY_GONE,
        ),
    ),
    ("federate", "service-specific-credential"): Fix(
        says=f"Have its program sign its requests as a role, make this one inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > the section of its service > {{credential_id}} > Actions > Deactivate",
        commands=(_FROM_OUTSIDE, _SERVICE_OFF, _SERVICE_GONE),
    ),
    ("federate", "ssh-key"): Fix(
        says=f"Use git-remote-codecommit with a role, make this key inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > SSH public keys for AWS CodeCommit > {{credential_id}} > Actions > Deactivate",
        commands=(_FROM_OUTSIDE, _SSH_OFF, _SSH_GONE),
    ),
    ("federate", "signing-certificate"): Fix(
        says=f"Use a role by Roles Anywhere, make this certificate inactive, and watch; it can be activated again. {_LAST}",
        console=f"{_IN_CONSOLE} > X.509 Signing certificates > {{credential_id}} > Actions > Deactivate",
        commands=(_FROM_OUTSIDE, _SIGNING_OFF, _SIGNING_GONE),
    ),
    ("trace", "access-key"): Fix(
        says="Deactivate it if it is not, and do not give it back: make another where it is still needed. CloudTrail says, in each region, "
        f"who used it and for what. {_LAST}",
        console=f"{_IN_CONSOLE} > Access keys > {{access_key_id}} > Actions > Deactivate; CloudTrail > Event history > AWS access key",
        commands=(
            _KEY_OFF,
            "aws cloudtrail lookup-events --lookup-attributes AttributeKey=AccessKeyId,AttributeValue={access_key_id} --region REGION",
            _KEY_GONE,
        ),
    ),
    ("trace", "role"): Fix(
        says="Attach AWSDenyAll, which stops the role and its sessions. CloudTrail says, in each region, who took it and for what. "
        + _SURE,
        console="IAM > Roles > {name} > Permissions > Add permissions > Attach policies > AWSDenyAll; CloudTrail > Event history",
        commands=(
            _ROLE,
            f"aws iam attach-role-policy --role-name {{role_name}} --policy-arn {_DENY}",
            "aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={role_name} --region REGION",
        ),
    ),
    ("remove-rights", "user"): Fix(
        says="Cap it by a permissions boundary, which comes off again, and see what breaks; then replace the policies that the finding "
        f"names by one for its work. {_SURE}",
        console="IAM > Users > {name} > Permissions > Set permissions boundary; then Permissions policies > Remove",
        commands=(
            _USER,
            "aws iam put-user-permissions-boundary --user-name {user_name} --permissions-boundary BOUNDARY_ARN",
            "aws iam list-attached-user-policies --user-name {user_name}",
            "aws iam list-user-policies --user-name {user_name}",
            "aws iam list-groups-for-user --user-name {user_name}",
            "aws iam detach-user-policy --user-name {user_name} --policy-arn POLICY_ARN",
        ),
    ),
    ("remove-rights", "role"): Fix(
        says="Cap it by a permissions boundary, which comes off again, and see what breaks; then replace the policies that the finding "
        f"names by one for its work. {_SURE}",
        console="IAM > Roles > {name} > Permissions > Set permissions boundary; then Permissions policies > Remove",
        commands=(
            _ROLE,
            "aws iam put-role-permissions-boundary --role-name {role_name} --permissions-boundary BOUNDARY_ARN",
            "aws iam list-attached-role-policies --role-name {role_name}",
            "aws iam list-role-policies --role-name {role_name}",
            "aws iam detach-role-policy --role-name {role_name} --policy-arn POLICY_ARN",
        ),
    ),
    ("remove-rights", "trust-anchor"): Fix(
        says="Narrow what the profiles behind it hand out, by a session policy; then replace the policies of the roles that the "
        "finding names.",
        console="IAM > Roles > Roles Anywhere > Manage > Profiles > the profile that the finding names > Edit > Session policies",
        commands=(
            "aws rolesanywhere list-profiles --region {region}",
            "aws rolesanywhere update-profile --profile-id PROFILE_ID --session-policy file://session-policy.json --region {region}",
        ),
    ),
    ("add-condition", "role"): Fix(
        says="Edit trust.json so that the statement demands sts:ExternalId (another account), or the token's subject and audience (an "
        f"issuer); tell the partner the external id first. {_SURE}",
        console="IAM > Roles > {name} > Trust relationships > Edit trust policy",
        commands=(_ROLE, _GET_TRUST, _SET_TRUST),
    ),
    ("add-condition", "oidc-provider"): Fix(
        says="Name the audiences that are yours, and demand the token's subject in the trust policy of each role that names the provider.",
        console="IAM > Identity providers > {name} > Audiences > Add audience",
        commands=(
            _GET_OIDC,
            "aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id AUDIENCE",
        ),
    ),
    ("add-condition", "trust-anchor"): Fix(
        says="In the trust policy of each role that its profiles hand out, demand this anchor (aws:SourceArn) and the certificate's "
        "subject "
        "(aws:PrincipalTag/x509Subject/CN).",
        console="IAM > Roles > the role that a profile hands out > Trust relationships > Edit trust policy",
        commands=(
            "aws rolesanywhere list-profiles --region {region}",
            "aws iam get-role --role-name ROLE_NAME --query Role.AssumeRolePolicyDocument --output json > trust.json",
            "aws iam update-assume-role-policy --role-name ROLE_NAME --policy-document file://trust.json",
        ),
    ),
    ("add-condition", "shared-bucket"): Fix(
        says="Edit policy.json so that its statement names one principal of the party, or demands aws:PrincipalOrgID or the like.",
        console="S3 > Buckets > {bucket} > Permissions > Bucket policy > Edit",
        commands=(_GET_BUCKET, _SET_BUCKET),
    ),
    ("add-condition", "shared-key"): Fix(
        says="Edit policy.json so that its statement names one principal of the party, or demands kms:CallerAccount or the like.",
        console="KMS > Customer managed keys > {key_id} > Key policy > Edit",
        commands=(_GET_KEY, _SET_KEY),
    ),
    ("remove-trust", "role"): Fix(
        says="Take the party out of trust.json, keeping the old text; sessions that it has end by the last line (TIME_NOW in UTC, such as "
        f"2026-11-22T17:00:00Z), or by Revoke sessions in the console. {_SURE}",
        console="IAM > Roles > {name} > Trust relationships > Edit trust policy; then Revoke sessions > Revoke active sessions",
        commands=(_ROLE, _GET_TRUST, _SET_TRUST, _END_SESSIONS),
    ),
    ("require-mfa", "user"): Fix(
        says="Have the person register a device; who does not by the due date loses the password "
        f"(IAM > Users > Security credentials > Manage console access). {_SURE}",
        console="Signed in as {name} > account menu, top right > Security credentials > Multi-factor authentication (MFA) > Assign "
        "MFA device",
        commands=(_USER, "aws iam list-mfa-devices --user-name {user_name}"),
    ),
    ("require-mfa", "root-user"): Fix(
        says="Sign in as the root user and register a device that is kept apart from the password.",
        console=_ROOT + " > Multi-factor authentication (MFA) > Assign MFA device",
        commands=(),
    ),
    ("block-console", "user"): _TAKE_PASSWORD,
    ("free-person", "user"): Fix(
        says="Give the program a role, or a user of its own in a registered workload; then deactivate the key that it used and watch. "
        f"The person keeps the password, with MFA. {_SURE}",
        console=f"{_IN_CONSOLE} > Access keys > the key that was used > Actions > Deactivate",
        commands=(
            _USER,
            "aws iam list-access-keys --user-name {user_name}",
            "aws iam get-access-key-last-used --access-key-id ACCESS_KEY_ID",
            "aws iam update-access-key --user-name {user_name} --access-key-id ACCESS_KEY_ID --status Inactive",
        ),
    ),
    ("share-administration", "account"): Fix(
        says="Give a person of yours AdministratorAccess in it, and let them try it before the partner's rights are taken down.",
        console="IAM Identity Center > AWS accounts > {account} > Assign users or groups > AdministratorAccess",
        commands=(
            (
                "aws sso-admin create-account-assignment --instance-arn INSTANCE_ARN --target-id {account} --target-type AWS_ACCOUNT"
                " --permission-set-arn PERMISSION_SET_ARN --principal-type USER --principal-id USER_ID"
            ),
        ),
    ),
}
"""By act, and by kind as `told` gives it."""
