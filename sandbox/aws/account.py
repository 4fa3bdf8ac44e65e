"""One account of the sandbox AWS: helpers that seed it and give it a past."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.iam.models import AccessKeyLastUsed, iam_backends

from sandbox.aws import access_analyzer, anywhere, credentials, federation, gaps, secret_store, trail
from sandbox.aws.estate import REGION, Root, naive, wire_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_iam import IAMClient

    from sandbox.aws.estate import Estate


class SandboxAccount:
    """One account: `iam` acts in it as an administrator; the other methods write the past straight into it.

    All times are instants, in any zone. A policy is an ARN, or the name of one of AWS's own.
    """

    def __init__(self, number: str, estate: Estate, iam: IAMClient) -> None:
        self.number = number
        self.iam = iam
        """A client that `deny` does not bind."""
        self.estate = estate
        self.backend: Any = iam_backends[number]["aws"]
        """moto's IAM of the account."""

    # Each of these is described where it is defined, beside what answers for it.
    service_credential = credentials.service_credential
    signing_certificate = credentials.signing_certificate
    ssh_key = credentials.ssh_key
    server_certificate = credentials.server_certificate
    oidc_provider = federation.oidc_provider
    saml_provider = federation.saml_provider
    outbound_federation = federation.outbound_federation
    delegation_request = federation.delegation_request
    analyzer = access_analyzer.analyzer
    external_finding = access_analyzer.external_finding
    trust_anchor = anywhere.trust_anchor
    anywhere_profile = anywhere.anywhere_profile
    anywhere_subject = anywhere.anywhere_subject
    anywhere_crl = anywhere.anywhere_crl
    secret = secret_store.secret
    event = trail.event

    def user(  # noqa: PLR0913 -- a user has that many facets, all but two optional
        self,
        name: str,
        created: datetime,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        console: bool = False,
        password_changed: datetime | None = None,
        password_last_used: datetime | None = None,
        mfa: bool = False,
        policies: tuple[str, ...] = (),
        inline: Mapping[str, object] | None = None,
        groups: tuple[str, ...] = (),
        boundary: str | None = None,
    ) -> str:
        """Create a user and give its id (AIDA...); `console` gives it a password, `inline` is policy name to document."""
        user = self.backend.create_user(REGION, name, path, wire_tags(tags))
        if console:
            self.backend.create_login_profile(name, "sandbox-password")
        self.backdate_user(name, created, password_changed=password_changed, password_last_used=password_last_used)
        for policy in policies:
            self.backend.attach_user_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self.backend.put_user_policy(name, title, json.dumps(document))
        for group in groups:
            self.backend.add_user_to_group(group, name)
        if boundary is not None:
            self.iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=_arn(boundary))
        if mfa:
            self.mfa(name)
        return str(user.id)

    def key(
        self, user: str, created: datetime, *, last_used: datetime | None = None, active: bool = True, key_id: str | None = None
    ) -> str:
        """Create an access key and give its id (AKIA...); `key_id` sets the id, which is otherwise made up."""
        key = self.backend.create_access_key(user, status="Active" if active else "Inactive")
        if key_id is not None:
            self.backend.access_keys[key_id] = self.backend.access_keys.pop(key.access_key_id)
            key.access_key_id = key_id
        self.backdate_key(key.access_key_id, created, last_used=last_used)
        return str(key.access_key_id)

    def group(self, name: str, *, policies: tuple[str, ...] = (), inline: Mapping[str, object] | None = None) -> None:
        """Create a group with its policies; users join it in `user`."""
        self.backend.create_group(name)
        for policy in policies:
            self.backend.attach_group_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self.backend.put_group_policy(name, title, json.dumps(document))

    def role(  # noqa: PLR0913 -- a role has that many facets, all but three optional
        self,
        name: str,
        trust: Mapping[str, object],
        created: datetime,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        last_used: datetime | None = None,
        policies: tuple[str, ...] = (),
        inline: Mapping[str, object] | None = None,
        boundary: str | None = None,
    ) -> str:
        """Create a role with a trust policy (see `trust`) and give its id (AROA...)."""
        role = self.backend.create_role(
            role_name=name,
            assume_role_policy_document=json.dumps(trust),
            path=path,
            permissions_boundary=None if boundary is None else _arn(boundary),
            description="",
            tags=wire_tags(tags),
            max_session_duration="3600",
        )
        role.create_date = naive(created)
        if boundary is not None:
            gaps.load_aws_policy(self.backend, _arn(boundary))
        for policy in policies:
            self.backend.attach_role_policy(_arn(policy), name)
        for title, document in (inline or {}).items():
            self.backend.put_role_policy(name, title, json.dumps(document))
        if last_used is not None:
            self.role_last_used(name, last_used)
        return str(role.id)

    def policy(self, name: str, document: Mapping[str, object]) -> str:
        """Create a managed policy of the account's own and give its ARN."""
        return str(self.backend.create_policy("", "/", json.dumps(document), name, []).arn)

    def backdate_user(
        self, name: str, created: datetime, *, password_changed: datetime | None = None, password_last_used: datetime | None = None
    ) -> None:
        """Give a user an earlier creation; the password changes then too unless said otherwise."""
        user = self.backend.get_user(name)
        user.create_date = naive(created)
        user.password_changed = naive(password_changed or created)
        user.password_last_used = None if password_last_used is None else naive(password_last_used)

    def backdate_key(self, key_id: str, created: datetime, *, last_used: datetime | None = None) -> None:
        """Give a key an earlier creation and its last use; None: never used."""
        key = self.backend.access_keys[key_id]
        key.create_date = naive(created)
        key.last_used = None if last_used is None else AccessKeyLastUsed(naive(last_used), "s3", REGION)

    def mfa(self, user: str) -> None:
        """Give a user an MFA device."""
        self.backend.get_user(user).enable_mfa_device(f"arn:aws:iam::{self.number}:mfa/{user}", "000000", "000001")

    def role_last_used(self, role: str, at: datetime) -> None:
        """Say when a role was last used."""
        used = self.backend.get_role(role)
        used.last_used, used.last_used_region = naive(at), REGION

    def root(
        self, *, mfa: bool, password_last_used: datetime | None = None, keys: tuple[tuple[datetime, datetime | None], ...] = ()
    ) -> None:
        """Describe the root user; keys are (created, last used or None). Without this it has MFA and no keys."""
        self.estate.roots[self.number] = Root(mfa=mfa, password_last_used=password_last_used, keys=keys)

    def freeze_report(self, at: datetime) -> None:
        """Write the credential report as of now, date it, and keep it: IAM renews a report only every four hours."""
        root = self.estate.roots.setdefault(self.number, Root())
        self.estate.reports[self.number] = (gaps.report_text(self.number, root), naive(at).replace(microsecond=0))
        self.estate.frozen.add(self.number)


def _arn(policy: str) -> str:
    return policy if policy.startswith("arn:") else f"arn:aws:iam::aws:policy/{policy}"
