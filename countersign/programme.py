"""Loads the customer's programme folder: `countersign.yaml` and the register beside it, with every problem said at once."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from countersign import document
from countersign.desk_settings import AnyDesk, Desk, read_desk
from countersign.document import Document, Path_, meant
from countersign.errors import ConfigError, Problem, Where
from countersign.register.fields import AccountId, Address, Period, Slug, SourceName, Span, at_least_one, shape
from countersign.register.load import load_register
from countersign.register.records import Entry, Register
from countersign.vendors import Vendors, read_vendors

FILE = "countersign.yaml"
_S3 = "s3://"

_SECRET_KEY = re.compile(
    r"(?:.*[_-])?(?:secret|password|passwd|pwd|token|credentials?|(?:secret|api|private|access)[_-]?(?:id|key)(?:[_-]id)?)", re.IGNORECASE
)
_ENVIRONMENT = {
    "aws": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the workload's own identity",
    "azure": "AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH, a managed identity, or a workload identity",
    "gcp": "GOOGLE_APPLICATION_CREDENTIALS, or the workload's own identity",
    "vault": "VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID",
    "state": "PGPASSWORD or a file named by PGPASSFILE",
    "desk": "`token_from`, which names an environment variable or a file",
}


Region = Annotated[str, AfterValidator(shape(r"[a-z]{2}(-[a-z]+)+-\d", "is not an AWS region", "write it as eu-west-2"))]
TenantId = Annotated[
    str,
    AfterValidator(
        shape(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "is not a tenant id", "write the tenant's id in lower case, not its domain")
    ),
]
ProjectId = Annotated[
    str,
    AfterValidator(
        shape(
            r"(?:[a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "is not a project id", "write the project's id, not its number or name"
        )
    ),
]
OrganizationId = Annotated[
    str, AfterValidator(shape(r"[0-9]{1,20}", "is not the number of an organization", 'write it as "123456789012", in quotes'))
]
HostPort = Annotated[str, AfterValidator(shape(r"[\w.-]+:[0-9]{1,5}", "is not a host and a port", "write it as host:443"))]
RoleName = Annotated[
    str,
    AfterValidator(
        shape(
            r"(?:arn:aws[a-z-]*:iam::(?:\{account\}|[0-9]{12}):role/)?[\w+=,.@/-]{1,512}",
            "is not the name of a role",
            "write the role's name, or its ARN with {account} in place of the account number",
        )
    ),
]


Signer = Annotated[
    str, AfterValidator(shape(r"[a-z][a-z0-9+.-]*:\S.*", "is not a signer", 'write "file:keys/evidence.pem", or the URI of a key service'))
]


Bucket = Annotated[
    str,
    AfterValidator(
        shape(
            r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?",
            "is not a bucket",
            "write s3://bucket/prefix, with lower-case letters, digits, dots and dashes in the bucket's name",
        )
    ),
]
UrlFrom = Annotated[
    str,
    AfterValidator(
        shape(
            r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*",
            "does not say where the channel's address is",
            "write env:NAME or file:PATH, and never the address itself, which is a secret (replace it, if the file was ever shared)",
        )
    ),
]
KeyFile = Annotated[str, AfterValidator(shape(r"file:\S.*", "is not a key file", 'write "file:keys/pseudonyms.key"'))]


class AwsSource(Entry):
    """AWS accounts that are read with one role; the credentials to assume it come from the SDK's own chain."""

    name: SourceName
    provider: Literal["aws"] = "aws"
    accounts: tuple[AccountId, ...] = ()
    """Accounts to read; with `organization`, in addition to its own."""
    organization: bool = False
    """Read every active account of the organisation; the credentials at hand are its management account's, or a delegated one's."""
    regions: Annotated[tuple[Region, ...], BeforeValidator(at_least_one)]
    """STS is called in the first one; what is regional (secrets, Roles Anywhere, Access Analyzer) is read in each."""
    role: RoleName | None = None
    """Name of the role, or its ARN with `{account}`; None: read with the credentials at hand."""
    external_id: str | None = None
    """Sent when the role is assumed. It is no secret."""
    endpoint: Address | None = None
    """None: AWS itself."""
    revoke_role: RoleName | None = None
    """Role that revokes, as `role` is written; None: the credentials in COUNTERSIGN_REVOKE_AWS_... revoke."""
    revoke_external_id: str | None = None
    """Sent when that role is assumed. It is no secret."""


_MANAGEMENT = {
    "https://graph.microsoft.com": "https://management.azure.com",
    "https://graph.microsoft.us": "https://management.usgovcloudapi.net",
    "https://dod-graph.microsoft.us": "https://management.usgovcloudapi.net",
    "https://microsoftgraph.chinacloudapi.cn": "https://management.chinacloudapi.cn",
}
"""Azure Resource Manager beside each of Microsoft's Graph addresses."""


class AzureSource(Entry):
    """A Microsoft Entra tenant and the Azure subscriptions under it."""

    name: SourceName
    provider: Literal["azure"] = "azure"
    tenant: TenantId
    graph: Address = "https://graph.microsoft.com"
    authority: Address = "https://login.microsoftonline.com"
    management: Address | None = None
    """Azure Resource Manager; None: the one of the same cloud as `graph`, and none at all beside a `graph` of your own."""
    subscriptions: bool = True
    """False: the tenant has no Azure subscription, so that nobody holds a role in one; nothing but the customer's word can tell."""
    beta_reports: bool = False
    """Read last sign-ins per application and per credential, which Graph has under /beta only and in the global cloud only."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the machine's own authorities."""

    @property
    def resource_manager(self) -> str | None:
        """The address of Azure Resource Manager; None: it is not read."""
        return (self.management or _MANAGEMENT.get(self.graph.rstrip("/"))) if self.subscriptions else None


class GcpSource(Entry):
    """Google Cloud projects, listed or found in an organisation."""

    name: SourceName
    provider: Literal["gcp"] = "gcp"
    projects: tuple[ProjectId, ...] = ()
    organization: OrganizationId | None = None
    """Read every project of this organisation, and what is bound at the organisation and its folders."""
    endpoint: HostPort | None = None
    """gRPC; None: Google's own addresses."""
    plaintext: bool = False
    """Speak to `endpoint` without TLS and without credentials: for stand-ins only."""
    revoke_account: str | None = None
    """E-mail of the service account that revokes, impersonated; None: COUNTERSIGN_REVOKE_GOOGLE_APPLICATION_CREDENTIALS names its file."""
    rest: Address | None = None
    """For services without a gRPC client; None: Google's own, or `endpoint` where that is set."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the machine's own authorities."""


class VaultAuth(Entry):
    """How to log in to Vault; what is secret about it comes from the environment."""

    method: Literal["token", "approle", "kubernetes", "jwt"] = "token"
    mount: str | None = None
    """None: a mount with the method's name."""
    role: str | None = None
    jwt_file: str | None = None
    """Absolute path; None: where Kubernetes puts it."""


class VaultSource(Entry):
    """A Vault or OpenBao server."""

    name: SourceName
    provider: Literal["vault"] = "vault"
    address: Address
    namespace: str | None = None
    """Where to log in; None: the root."""
    namespaces: tuple[str, ...] = ()
    """Further namespaces to read."""
    auth: VaultAuth = Field(default_factory=VaultAuth)
    ca: str | None = None
    """Absolute path of a PEM file; None: the machine's own authorities."""
    audit_log: str | None = None
    """Absolute path of the server's audit log (a file audit device), for last use; None: use is not known."""
    revoke_auth: VaultAuth = Field(default_factory=VaultAuth)
    """How the revoking identity logs in; what is secret about it comes from COUNTERSIGN_REVOKE_VAULT_TOKEN, ..._ROLE_ID, ..._SECRET_ID."""
    leases: bool = True
    """Read leases, which needs `sudo` on `sys/leases/lookup`."""


class FilesSource(Entry):
    """A folder of exports made with the vendors' own tools."""

    name: SourceName
    provider: Literal["files"] = "files"
    path: Path


Source = AwsSource | AzureSource | GcpSource | VaultSource | FilesSource


class Limits(Entry):
    """When a run's result is too odd to act on, and how much it may do at once."""

    max_new_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """More new findings than this share of all: nothing is changed."""
    max_gone_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    tickets_per_run: Annotated[int, Field(ge=1)] = 200


class Timestamps(Entry):
    """The authority that says when a statement existed (RFC 3161)."""

    url: Address
    ca: Path
    """PEM file with the root certificates that its tokens must lead to."""
    within: Span = timedelta(minutes=15)
    """How long after the end of a run its token may be, unless a later statement says that it was late."""


class DrillScope(Entry):
    """A scope that the customer sets aside, in which drills make identities that are broken on purpose, and remove them again."""

    source: SourceName
    """Name of a source of a cloud or of Vault."""
    scope: Annotated[str, Field(min_length=1, max_length=200)]
    """As the source calls it: account, tenant, project, `<source>` or `<source>/<namespace>`."""


class Channel(Entry):
    """A way in which people are told: any service that Apprise knows."""

    name: SourceName
    url_from: UrlFrom
    """Where its address is, which is a secret: `env:` and a variable, or `file:` and an absolute path."""
    to: Literal["people", "room"] = "room"
    """`people`: each is written to by their e-mail address, which takes the place of `{email}` in the channel's. `room`: many read it."""
    rungs: Annotated[tuple[Literal[50, 75, 100, 150], ...], BeforeValidator(at_least_one)] = (50, 75, 100, 150)
    """Steps of the ladders (percent of the agreed time) that are told over it."""
    digest: bool = True
    """Of a channel for people: whether each accountable person's daily digest goes over it."""


class Escalation(Entry):
    """Who is told when an agreed time runs out, and how."""

    tickets: bool = True
    """Comment on a ticket when its agreed time is over, and when it is over by half as much again."""
    channels: tuple[Channel, ...] = ()


class EvidenceConfig(Entry):
    """Where evidence is kept, for how long, and what signs it."""

    store: Path
    """The folder; with `s3` the local copy of what is there, which may be deleted and is fetched again."""
    s3: Bucket | None = None
    """`s3://bucket/prefix`, in the file written as the `store`; None: the folder is all there is."""
    region: Region | None = None
    """Of the bucket; None: what the SDK's own configuration says."""
    endpoint: Address | None = None
    """None: AWS itself."""
    lock: Literal["GOVERNANCE", "COMPLIANCE"] | None = None
    """Mode of the bucket's Object Lock; None: there is no bucket. Nobody can shorten COMPLIANCE or take it off before its time."""
    signer: Signer
    """`file:` with an absolute path, or the URI of a key service."""
    retention: Period = "P7Y"
    """Counted from the end of each run; a contract that asks for longer wins."""
    timestamps: Timestamps | None = None
    """None: statements carry no time but their own."""
    pseudonyms: KeyFile | None = None
    """`file:` with an absolute path of the key of pseudonyms in exports for outsiders; None: none are made."""


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything the customer wrote, ready to use: paths are absolute."""

    folder: Path
    customer: str
    state: str
    """SQLAlchemy URL."""
    evidence: EvidenceConfig
    sources: tuple[Source, ...]
    desk: AnyDesk
    limits: Limits
    register: Register
    digest: str
    """`sha256:...` of countersign.yaml as it lies on disk."""
    vendors: Vendors | None = None
    """Names for AWS accounts that nobody registered; None: no list is configured."""
    drill: tuple[DrillScope, ...] = ()
    """Scopes that are set aside for drills; none: nothing is ever made anywhere."""
    escalation: Escalation = field(default_factory=Escalation)


def load(folder: Path) -> Programme:
    """Read `countersign.yaml` and `register/` of a folder; raises ConfigError with all problems of both."""
    folder = folder.absolute()
    problems: list[Problem] = []
    data = None
    if (folder / FILE).exists():
        data = document.read_bytes(folder / FILE, FILE, problems)
    else:
        fix = "name the programme folder with -p DIR, or write one with `countersign init DIR`"
        problems.append(Problem(Where(FILE), "", "is missing", fix))
    written = None if data is None else document.parse(data, FILE, problems)
    settings = None if written is None else _settings(written, folder, problems)
    vendors = None if written is None else _vendors(written, folder, problems)
    register = None
    try:
        register = load_register(folder / "register")
    except ConfigError as error:
        problems.extend(error.problems)
    if settings is not None and register is not None and written is not None and settings.customer != register.customer.id:
        fix = f"write `customer: {register.customer.id}`, or correct the id in register/customer.yaml"
        problems.append(written.problem(("customer",), "is not the customer of the register", fix))
    if problems or data is None or settings is None or register is None:
        raise ConfigError(tuple(problems))
    return Programme(
        folder=folder,
        customer=settings.customer,
        state=settings.state,
        evidence=settings.evidence,
        sources=settings.sources,
        desk=settings.desk,
        limits=settings.limits,
        register=register,
        digest=f"sha256:{hashlib.sha256(data).hexdigest()}",
        vendors=vendors,
        drill=settings.drill,
        escalation=settings.escalation,
    )


def claims(sources: Iterable[Source]) -> frozenset[tuple[str, str]]:
    """Give the (provider, scope) that live sources are configured to read; what an organisation holds is found by reading only."""
    found: set[tuple[str, str]] = set()
    for source in sources:
        if isinstance(source, AwsSource):
            found |= {("aws", account) for account in source.accounts}
        elif isinstance(source, AzureSource):
            found.add(("azure", source.tenant))
        elif isinstance(source, GcpSource):
            found |= {("gcp", project) for project in source.projects}
    return frozenset(found)


def today_in(register: Register, at: datetime) -> date:
    """Return the day of the customer's calendar at an instant: what `today` means to the register's dates."""
    return register.today(at)


class _Settings(Entry):
    """The file `countersign.yaml`, once its sources are read and its paths made absolute."""

    customer: Slug
    state: str
    evidence: EvidenceConfig
    sources: tuple[Source, ...] = ()
    desk: AnyDesk = Field(default_factory=Desk)
    limits: Limits = Field(default_factory=Limits)
    vendors: str | None = None
    """Path of a list of vendors' AWS accounts; read by `_vendors`."""
    drill: tuple[DrillScope, ...] = ()
    escalation: Escalation = Field(default_factory=Escalation)


def _settings(written: Document, folder: Path, problems: list[Problem]) -> _Settings | None:
    secrets = tuple(_secrets(written, written.data, ()))
    found: list[Problem] = []
    sources = tuple(_sources(written, folder, found))
    desk = read_desk(written, folder, found)
    data = {key: value for key, value in written.data.items() if key not in {"sources", "desk"}}
    evidence = data.get("evidence")
    if isinstance(data.get("state"), str):
        data["state"] = _state(written, folder, found)
    if isinstance(evidence, Mapping):
        data["evidence"] = _evidence(evidence, folder)
        found.extend(_evidence_problems(written, evidence))
    escalation = data.get("escalation")
    if isinstance(escalation, Mapping):
        data["escalation"] = _escalation(escalation, folder)
    settings = written.build(_Settings, found, data=data)
    found.extend(() if settings is None else _drill_problems(written, settings.drill, sources))
    found.extend(() if settings is None else _escalation_problems(written, settings.escalation))
    said = {problem.field for problem in secrets}
    found = [*secrets, *(problem for problem in found if problem.field not in said)]
    problems.extend(sorted(found, key=lambda problem: problem.where.line or 0))
    return settings if settings is None or found else settings.model_copy(update={"sources": sources, "desk": desk})


def _drill_problems(written: Document, drill: Iterable[DrillScope], sources: Iterable[Source]) -> Iterator[Problem]:
    """Find scopes set aside where no drill could be: in a source that is not there, or that can only be read."""
    live = sorted(source.name for source in sources if source.provider != "files")
    for index, place in enumerate(drill):
        if place.source not in live:
            fix = f"name one of: {', '.join(live)}" if live else "add a source of a cloud or of Vault"
            yield written.problem(("drill", index, "source"), "is no source in which a drill could be", fix)


def _escalation(given: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Make the files that hold the channels' addresses absolute."""
    channels = given.get("channels")
    if not isinstance(channels, tuple):
        return dict(given)
    return {**given, "channels": tuple(_channel(channel, folder) if isinstance(channel, Mapping) else channel for channel in channels)}


def _channel(given: Mapping[str, object], folder: Path) -> dict[str, object]:
    place = given.get("url_from")
    if isinstance(place, str) and place.startswith("file:") and len(place) > len("file:"):
        return {**given, "url_from": f"file:{folder / place.removeprefix('file:')}"}
    return dict(given)


def _escalation_problems(written: Document, escalation: Escalation) -> Iterator[Problem]:
    """Find channels of one name, and names that mean something else."""
    names: dict[str, int] = {"ticket": -1}
    for index, channel in enumerate(escalation.channels):
        if channel.name in names:
            what = "is the name of another channel too" if names[channel.name] >= 0 else "means the comments on tickets"
            yield written.problem(("escalation", "channels", index, "name"), what, "give each channel its own name")
        names.setdefault(channel.name, index)


def _vendors(written: Document, folder: Path, problems: list[Problem]) -> Vendors | None:
    named = written.data.get("vendors")
    if not isinstance(named, str):  # where it is something else, the settings say so
        return None
    if not (folder / named).exists():
        fix = "get a list from github.com/fwdcloudsec/known_aws_accounts, or take the line out"
        problems.append(written.problem(("vendors",), "names a file that does not exist", fix))
        return None
    return read_vendors(folder / named, named, problems)


def _secrets(written: Document, value: object, path: Path_) -> Iterator[Problem]:
    """Find secrets that are written out: by the key's name, or as the user part of an address."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(written, inner, (*path, key))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _secrets(written, inner, (*path, index))
    elif path and isinstance(path[-1], str) and (_SECRET_KEY.fullmatch(path[-1]) or _has_password(value)):
        source = written.data.get("sources")
        holder = source[path[1]] if path[0] == "sources" and isinstance(source, tuple) and isinstance(path[1], int) else None
        subject = path[0] if holder is None else holder.get("provider") if isinstance(holder, Mapping) else None
        instead = _ENVIRONMENT.get(str(subject), "the environment variable of the tool that needs it")
        fix = f"take it out (and replace the secret, if this file was ever shared); use {instead}"
        yield written.problem(path, "holds a secret, and secrets are never written here", fix, "literal-secret")


def _has_password(value: object) -> bool:
    if not isinstance(value, str) or value.startswith("sqlite:"):
        return False
    scheme, slashes, rest = value.partition("://")
    if not slashes:
        return False
    asked = re.split("[?&]", rest)[1:]
    # not urlsplit: a password with / or # in it would hide from that
    user, at, _ = rest.rpartition("@")
    return bool(at and (scheme.startswith("http") or ":" in user)) or any(_SECRET_KEY.fullmatch(part.partition("=")[0]) for part in asked)


def _evidence(evidence: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Make paths absolute, and tell a bucket from the folder that copies it."""
    changed = dict(evidence)
    store, copy, timestamps = evidence.get("store"), changed.pop("copy", None), evidence.get("timestamps")
    if isinstance(store, str) and store.startswith(_S3):
        changed["s3"] = store
        changed["store"] = folder / (copy if isinstance(copy, str) else "evidence/")
    elif isinstance(store, str):
        changed["store"] = folder / store
    for name in ("signer", "pseudonyms"):
        key = evidence.get(name)
        if isinstance(key, str) and key.startswith("file:") and len(key) > len("file:"):
            changed[name] = f"file:{folder / key.removeprefix('file:')}"
    if isinstance(timestamps, Mapping) and isinstance(timestamps.get("ca"), str):
        changed["timestamps"] = {**timestamps, "ca": folder / str(timestamps["ca"])}
    return changed


def _evidence_problems(written: Document, evidence: Mapping[str, object]) -> Iterator[Problem]:
    """Find settings of a bucket where there is none."""
    if "s3" in evidence:
        yield written.problem(("evidence", "s3"), "is not a known key", "write the bucket as `store: s3://bucket/prefix`")
    copy = evidence.get("copy")
    if copy is not None and not isinstance(copy, str):
        yield written.problem(("evidence", "copy"), "is not a folder", "write `copy: evidence/`")
    if str(evidence.get("store")).startswith(_S3):
        if "lock" not in evidence:
            fix = "write `lock: COMPLIANCE` (nobody can delete before the retention is over) or `lock: GOVERNANCE` (who may bypass it can)"
            yield written.problem(("evidence", "lock"), "is missing, and what it says cannot be taken back", fix)
    else:
        for name in ("copy", "region", "endpoint", "lock"):
            if name in evidence:
                yield written.problem(("evidence", name), "is only for a store in S3", "take it out, or write `store: s3://bucket/prefix`")


def _sources(written: Document, folder: Path, problems: list[Problem]) -> Iterator[Source]:
    given = written.data.get("sources")
    if not isinstance(given, tuple) or not given:
        message, fix = "is not a list of sources", "list at least one source, such as `- {name: exports, provider: files, path: exports/}`"
        problems.append(written.problem(("sources",), message, fix))
        return
    names: dict[object, int] = {}
    for index, data in enumerate(given):
        source = _source(written, folder, index, data, problems)
        name = data.get("name") if isinstance(data, Mapping) else None
        if name is not None and names.setdefault(name, index) != index:
            message = f"is the name of another source too, on line {written.where(('sources', names[name])).line}"
            problems.append(written.problem(("sources", index, "name"), message, "give each source its own name"))
        if source is not None:
            yield source


_MODELS: dict[str, type[Source]] = {"aws": AwsSource, "azure": AzureSource, "gcp": GcpSource, "vault": VaultSource, "files": FilesSource}


def _source(written: Document, folder: Path, index: int, data: object, problems: list[Problem]) -> Source | None:
    at: Path_ = ("sources", index)
    if not isinstance(data, Mapping):
        problems.append(written.problem(at, "is not a source", "write {name: ..., provider: ...}"))
        return None
    provider = data.get("provider")
    model = _MODELS.get(provider) if isinstance(provider, str) else None
    if model is None:
        problems.append(_no_provider(written, (*at, "provider"), provider))
        return None
    source = written.build(model, problems, data=_absolute(data, folder), at=at)
    if source is not None:
        before = len(problems)
        problems.extend(_source_problems(written, at, source))
        return source if len(problems) == before else None
    return None


def _no_provider(written: Document, path: Path_, provider: object) -> Problem:
    close = meant(provider, tuple(_MODELS)) if isinstance(provider, str) else None
    fix = f"use one of {', '.join(_MODELS)}" if close is None else f"did you mean `{close}`?"
    return written.problem(path, "is missing" if provider is None else "is not a provider that can be read", fix)


def _absolute(data: Mapping[str, object], folder: Path) -> dict[str, object]:
    """Make the paths of a source absolute: they are meant from the programme folder, wherever the command runs."""
    changed = dict(data)
    path, ca, auth = data.get("path"), data.get("ca"), data.get("auth")
    if isinstance(path, str):
        changed["path"] = folder / path
    if isinstance(ca, str):
        changed["ca"] = str(folder / ca)
    if isinstance(data.get("audit_log"), str):
        changed["audit_log"] = str(folder / str(data["audit_log"]))
    if isinstance(auth, Mapping) and isinstance(auth.get("jwt_file"), str):
        changed["auth"] = {**auth, "jwt_file": str(folder / str(auth["jwt_file"]))}
    return changed


def _source_problems(written: Document, at: Path_, source: Source) -> Iterator[Problem]:
    """Find what one field alone cannot show."""
    if isinstance(source, AwsSource) and len(set(source.accounts)) < len(source.accounts):
        yield written.problem((*at, "accounts"), "names an account twice", "name each account once")
    if isinstance(source, AwsSource) and not source.accounts and not source.organization:
        yield written.problem((*at, "accounts"), "is empty", "list account numbers, or write `organization: true` to read them all")
    if isinstance(source, AwsSource) and source.organization and source.role is None:
        yield written.problem((*at, "role"), "is missing, and `organization` needs it", "name the role that every account lets you assume")
    if isinstance(source, GcpSource) and not source.projects and source.organization is None:
        yield written.problem((*at, "projects"), "is empty", "list project ids, or name the `organization` to read them all")
    if isinstance(source, GcpSource) and source.plaintext and source.endpoint is None:
        yield written.problem((*at, "plaintext"), "is only for an `endpoint` of your own", "take it out, or name the endpoint")
    fixed = re.match(r"arn:[^:]*:iam::([0-9]{12}):", source.role or "") if isinstance(source, AwsSource) else None
    if isinstance(source, AwsSource) and fixed and {fixed[1]} != set(source.accounts):
        yield written.problem((*at, "role"), "is the ARN of a role in one account only", "write {account} in place of the account number")
    auth = source.auth if isinstance(source, VaultSource) else VaultAuth()
    if auth.method in {"kubernetes", "jwt"} and auth.role is None:
        yield written.problem((*at, "auth", "role"), f"is missing, and the method {auth.method} needs it", "add the role to log in with")
    if auth.method == "jwt" and auth.jwt_file is None:
        yield written.problem((*at, "auth", "jwt_file"), "is missing, and the method jwt needs it", "name the file that holds the JWT")


def _state(written: Document, folder: Path, problems: list[Problem]) -> str:
    """Return the URL, with an absolute path where it is SQLite."""
    text = str(written.data["state"])
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest.partition("?")[0]) > 1:
        path, mark, query = rest.removeprefix("/").partition("?")
        return f"sqlite:///{folder / path}{mark}{query}"
    if scheme == "postgresql+psycopg" and rest:
        return text
    if scheme in {"sqlite", "sqlite+pysqlite"}:
        fix = "write sqlite:///state.db (three slashes: a path from the programme folder)"
        problems.append(written.problem(("state",), "is not the address of an SQLite file", fix))
    else:
        close = " (postgresql:// needs its driver named)" if scheme in {"postgres", "postgresql"} else ""
        fix = f"write sqlite:///state.db, or postgresql+psycopg://host/database{close}"
        problems.append(written.problem(("state",), "is not a database that can be used", fix))
    return text
