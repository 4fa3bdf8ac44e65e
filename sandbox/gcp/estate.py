"""What the local Google Cloud holds: organizations, projects, accounts, keys, bindings and pools, and the moves that seed them."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.gcp.callers import Tokens
from sandbox.gcp.refusal import Json, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONG_AGO = datetime(2024, 1, 15, 9, 0, tzinfo=UTC)
"""When a thing was created if nobody says."""
NEVER = "9999-12-31T23:59:59Z"
"""What Google writes for a key that does not expire."""
_PACIFIC = timedelta(hours=7)


def stamp(at: datetime) -> str:
    """Write an instant as Google's JSON does: RFC 3339 in UTC, fractions only if there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def pacific_day(at: datetime) -> str:
    """Write the day of an instant as Activity Analyzer does: the Pacific day, at 07:00 UTC."""
    return f"{(at.astimezone(UTC) - _PACIFIC).date().isoformat()}T07:00:00Z"


def filled(fields: Mapping[str, object]) -> Json:
    """Leave out what is empty or false, as Google's JSON does."""
    return {name: value for name, value in fields.items() if value not in (None, False, "", [], {}, ())}


@dataclass(slots=True, eq=False)
class Bound:
    """A thing that carries an IAM policy: an organization, a project, an account or another resource."""

    bindings: list[Json] = field(default_factory=list, kw_only=True)
    """Bindings in JSON form; each pair of role and condition once."""

    def bind(self, role: str, *members: str, condition: str | Mapping[str, str] | None = None) -> None:
        """Grant a role; `condition` is a CEL expression, or an Expr with title and description."""
        expression = {"title": "condition", "expression": condition} if isinstance(condition, str) else condition and dict(condition)
        for binding in self.bindings:
            if (binding["role"], binding.get("condition")) == (role, expression):
                binding["members"].extend(member for member in members if member not in binding["members"])
                return
        self.bindings.append({"role": role, "members": list(members), **({"condition": expression} if expression else {})})

    def policy(self, version: object = 3) -> Json:
        """Write the policy; version 3 says that there are conditions. Another policy has another etag.

        To who asks for an older version a conditional binding has another role's name and no condition (IAM page "Policy versions").
        """
        if not self.bindings:
            return {"etag": "ACAB", "version": 1}
        conditional = any("condition" in binding for binding in self.bindings)
        digest = hashlib.sha256(json.dumps(self.bindings).encode()).digest()
        etag = base64.b64encode(b"\x07" + digest[:7]).decode()
        shown = copy.deepcopy(self.bindings)
        if str(version) != "3":
            for binding in shown:
                if binding.pop("condition", None) is not None:
                    binding["role"] += "_withcond_sandbox"
        return {"bindings": shown, "etag": etag, "version": 3 if conditional and str(version) == "3" else 1}


@dataclass(slots=True, eq=False)
class Key:
    """A key of a service account."""

    account: Account = field(repr=False)
    key_id: str
    created: datetime
    expires: datetime | None = None
    disabled: bool = False
    exposed: bool = False
    compromised: bool = False
    origin: str = "GOOGLE_PROVIDED"
    managed: str = "USER_MANAGED"

    @property
    def name(self) -> str:
        """The resource name, with the account's email as IAM writes it."""
        return f"{self.account.name}/keys/{self.key_id}"


@dataclass(slots=True, eq=False)
class Account(Bound):
    """A service account; `account.bind` grants roles on it, such as the right to act as it."""

    project: Project = field(repr=False)
    email: str
    unique_id: str | None
    created: datetime = LONG_AGO
    disabled: bool = False
    description: str = ""
    display_name: str = ""
    keys: dict[str, Key] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The resource name, with the email."""
        return f"projects/{self.project.project_id}/serviceAccounts/{self.email}"


@dataclass(slots=True, eq=False)
class Resource(Bound):
    """Anything else that Cloud Asset lists, such as a bucket or a secret; `resource.bind` grants roles on it."""

    project: Project = field(repr=False)
    full_name: str
    asset_type: str
    created: datetime = LONG_AGO
    labels: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Pool:
    """A workload identity pool (of a project) or a workforce pool (of an organization), with its providers."""

    name: str
    body: Json
    providers: dict[str, Json] = field(default_factory=dict)
    created: datetime = LONG_AGO


@dataclass(slots=True, eq=False)
class Folder(Bound):
    """A folder of an organization; only its policy is of use here, and projects lie beside it."""

    number: str
    organization: Organization = field(repr=False)

    @property
    def name(self) -> str:
        """The resource name, `folders/N`."""
        return f"folders/{self.number}"


@dataclass(slots=True, eq=False)
class Organization(Bound):
    """An organization; `organization.bind` grants roles that everything below inherits."""

    number: str
    display_name: str = ""
    roles: dict[str, Json] = field(default_factory=dict)
    workforce_pools: dict[str, Pool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The resource name, `organizations/N`."""
        return f"organizations/{self.number}"

    def role(self, role_id: str, *permissions: str, title: str = "", stage: str = "GA") -> str:
        """Make a custom role; gives its name."""
        made = _role(self.name, role_id, permissions, title, stage)
        self.roles[made["name"]] = made
        return str(made["name"])

    def workforce_pool(self, pool_id: str, *, disabled: bool = False, display_name: str = "") -> None:
        """Make a workforce pool, through which people of another directory sign in."""
        name = f"locations/global/workforcePools/{pool_id}"
        body = {"name": name, "parent": self.name, "displayName": display_name, "disabled": disabled, "state": "ACTIVE"}
        self.workforce_pools[pool_id] = Pool(name, filled({**body, "sessionDuration": "3600s"}))

    def workforce_provider(  # noqa: PLR0913 -- a provider has these parts, each with a default
        self,
        pool_id: str,
        provider_id: str,
        *,
        oidc: str | None = None,
        saml: str | None = None,
        client_id: str = "",
        condition: str = "",
        mapping: Mapping[str, str] | None = None,
        disabled: bool = False,
    ) -> None:
        """Let a workforce pool trust an OIDC issuer or a SAML directory (its metadata XML)."""
        pool = self.workforce_pools[pool_id]
        trusted = {"oidc": {"issuerUri": oidc, "clientId": client_id or "client"}} if oidc else {"saml": {"idpMetadataXml": saml}}
        pool.providers[provider_id] = _provider(pool, provider_id, trusted, condition, mapping, disabled=disabled)


@dataclass(slots=True, eq=False)
class Project(Bound):
    """A project and everything in it. All times are instants, in any zone."""

    project_id: str
    number: str
    organization: Organization | None = None
    created: datetime = LONG_AGO
    labels: Mapping[str, str] = field(default_factory=dict)
    display_name: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    roles: dict[str, Json] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    api_keys: dict[str, Json] = field(default_factory=dict)
    use: list[tuple[Account | Key, datetime | None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The resource name with the id, `projects/P`."""
        return f"projects/{self.project_id}"

    @property
    def numbered(self) -> str:
        """The resource name with the number, `projects/N`."""
        return f"projects/{self.number}"

    def service_account(  # noqa: PLR0913 -- an account has these parts, each with a default
        self,
        name: str,
        unique_id: str | None = None,
        *,
        created: datetime = LONG_AGO,
        disabled: bool = False,
        description: str = "",
        display_name: str = "",
    ) -> Account:
        """Make a service account; a `name` with an @ is the whole email, as of Google's default accounts."""
        email = name if "@" in name else f"{name}@{self.project_id}.iam.gserviceaccount.com"
        made_up = f"1{int(self.number):010d}{len(self.accounts):010d}"
        account = Account(self, email, unique_id or made_up, created, disabled, description, display_name)
        self.accounts[email] = account
        return account

    def key(  # noqa: PLR0913 -- a key has these parts, each with a default
        self,
        account: Account,
        key_id: str,
        created: datetime,
        expires: datetime | None = None,
        *,
        disabled: bool = False,
        exposed: bool = False,
        compromised: bool = False,
        origin: str = "GOOGLE_PROVIDED",
        managed: str = "USER_MANAGED",
    ) -> Key:
        """Make a key; without `expires` it lasts until the year 9999. Exposed or compromised does not disable it by itself."""
        key = Key(account, key_id, created, expires, disabled, exposed, compromised, origin, managed)
        account.keys[key_id] = key
        return key

    def resource(
        self,
        full_name: str,
        asset_type: str,
        *,
        created: datetime = LONG_AGO,
        labels: Mapping[str, str] | None = None,
        data: Mapping[str, object] | None = None,
    ) -> Resource:
        """Make any other resource, such as `//storage.googleapis.com/b1` of type `storage.googleapis.com/Bucket`."""
        made = Resource(self, full_name, asset_type, created, labels or {}, data or {})
        self.resources.append(made)
        return made

    def role(self, role_id: str, *permissions: str, title: str = "", stage: str = "GA") -> str:
        """Make a custom role; gives its name."""
        made = _role(self.name, role_id, permissions, title, stage)
        self.roles[made["name"]] = made
        return str(made["name"])

    def pool(self, pool_id: str, *, disabled: bool = False, display_name: str = "", created: datetime = LONG_AGO) -> None:
        """Make a workload identity pool."""
        name = f"{self.numbered}/locations/global/workloadIdentityPools/{pool_id}"
        body = {"name": name, "displayName": display_name, "disabled": disabled, "state": "ACTIVE", "mode": "FEDERATION_ONLY"}
        self.pools[pool_id] = Pool(name, filled(body), created=created)

    def provider(  # noqa: PLR0913 -- a provider has these parts, each with a default
        self,
        pool_id: str,
        provider_id: str,
        *,
        oidc: str | None = None,
        aws: str | None = None,
        saml: str | None = None,
        x509: str | None = None,
        audiences: Sequence[str] = (),
        condition: str = "",
        mapping: Mapping[str, str] | None = None,
        disabled: bool = False,
    ) -> None:
        """Let a pool trust an OIDC issuer, an AWS account, a SAML directory (metadata XML) or a certificate (PEM)."""
        trusted: Json
        if oidc is not None:
            trusted = {"oidc": filled({"issuerUri": oidc, "allowedAudiences": list(audiences)})}
        elif aws is not None:
            trusted = {"aws": {"accountId": aws}}
        elif saml is not None:
            trusted = {"saml": {"idpMetadataXml": saml}}
        else:
            trusted = {"x509": {"trustStore": {"trustAnchors": [{"pemCertificate": x509 or ""}]}}}
        pool = self.pools[pool_id]
        pool.providers[provider_id] = _provider(pool, provider_id, trusted, condition, mapping, disabled=disabled)

    def api_key(
        self,
        uid: str,
        name: str,
        created: datetime,
        *,
        restrictions: Mapping[str, object] | None = None,
        service_account: str = "",
    ) -> None:
        """Make an API key, whose string nobody ever learns; `restrictions` in the API's own JSON form (V2Restrictions)."""
        body = {"name": f"{self.numbered}/locations/global/keys/{uid}", "uid": uid, "displayName": name}
        times = {"createTime": stamp(created), "updateTime": stamp(created)}
        self.api_keys[uid] = filled(
            {**body, **times, "restrictions": dict(restrictions or {}), "serviceAccountEmail": service_account, "etag": 'W/"sandbox"'}
        )

    def used(self, what: Account | Key, at: datetime | None) -> None:
        """Say when an account or key last authenticated; Google tells the day only. None: watched, and never seen to."""
        self.use = [(other, when) for other, when in self.use if other is not what]
        self.use.append((what, at))


class Estate:
    """Everything, by id; what is asked for by number or by wildcard is found here too."""

    def __init__(self) -> None:
        self.organizations: dict[str, Organization] = {}
        self.folders: dict[str, Folder] = {}
        self.projects: dict[str, Project] = {}
        self.tokens = Tokens()
        self.address = ""
        """Of the REST side, once it listens."""
        self.observed_until: datetime | None = None
        """The end of what Activity Analyzer has seen; None for the day before yesterday."""

    def project(self, name: str) -> Project:
        """Find `projects/P` or `projects/N` at the start of a resource name. Raises Refused."""
        key = [*name.split("/"), ""][1]
        found = self.projects.get(key) or next((each for each in self.projects.values() if each.number == key), None)
        if found is None:
            raise not_found(f"Unknown project: projects/{key}")
        return found

    def organization(self, name: str) -> Organization:
        """Find `organizations/N`. Raises Refused."""
        found = self.organizations.get(name.split("/")[1] if "/" in name else name)
        if found is None:
            raise not_found(f"Unknown organization: {name}")
        return found

    def folder(self, name: str) -> Folder:
        """Find `folders/N`. Raises Refused."""
        found = self.folders.get(name.rpartition("/")[2])
        if found is None:
            raise not_found(f"Unknown folder: {name}")
        return found

    def projects_of(self, scope: str) -> tuple[Project, ...]:
        """List the projects of a scope, `projects/P`, `projects/N` or `organizations/N`. Raises Refused."""
        if scope.startswith("organizations/"):
            owner = self.organization(scope)
            return tuple(each for each in self.projects.values() if each.organization is owner)
        return (self.project(scope),)

    def account(self, name: str) -> Account:
        """Find an account by `projects/P/serviceAccounts/EMAIL`, by unique id, or with `-` for the project. Raises Refused."""
        parts = name.split("/")
        among = tuple(self.projects.values()) if parts[1] == "-" else (self.project(name),)
        for project in among:
            for account in project.accounts.values():
                if parts[3] in (account.email, account.unique_id):
                    return account
        raise not_found(f"Unknown service account: {parts[3]}")


def _role(parent: str, role_id: str, permissions: Sequence[str], title: str, stage: str) -> Json:
    name = f"{parent}/roles/{role_id}"
    return {"name": name, "title": title or role_id, "includedPermissions": sorted(permissions), "stage": stage, "etag": "BwYAAAAAAAA="}


def _provider(  # noqa: PLR0913 -- the parts of a provider
    pool: Pool, provider_id: str, trusted: Json, condition: str, mapping: Mapping[str, str] | None, *, disabled: bool
) -> Json:
    about = {"name": f"{pool.name}/providers/{provider_id}", "state": "ACTIVE", "disabled": disabled, "attributeCondition": condition}
    return filled({**about, "attributeMapping": dict(mapping or {"google.subject": "assertion.sub"}), **trusted})
