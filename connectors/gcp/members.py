"""Reads the members of an IAM policy: what each is, where it is at home, and what narrows who it may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from countersign.identity import PartyKind, Track

MemberKind = Literal[
    "user", "service-account", "group", "domain", "anyone", "pool", "workforce", "project-role", "principal-set", "deleted", "unknown"
]  # fmt: skip

_PREFIXES: dict[str, MemberKind] = {
    "user": "user", "serviceAccount": "service-account", "group": "group", "domain": "domain",
    "projectOwner": "project-role", "projectEditor": "project-role", "projectViewer": "project-role", "deleted": "deleted",
}  # fmt: skip
_PRINCIPAL = r"principal(?:Set)?://"
_POOL = re.compile(_PRINCIPAL + r"iam\.googleapis\.com/projects/([^/]+)/locations/[^/]+/workloadIdentityPools/([^/]+)/(.+)", re.DOTALL)
_WORKFORCE = re.compile(_PRINCIPAL + r"iam\.googleapis\.com/locations/[^/]+/workforcePools/([^/]+)/(.+)", re.DOTALL)
_PROJECTS_ACCOUNTS = re.compile(_PRINCIPAL + r"cloudresourcemanager\.googleapis\.com/projects/([^/]+)/.+", re.DOTALL)
_HOST = ".iam.gserviceaccount.com"
_KUBERNETES = re.compile(r"(.+)\.svc\.id\.goog\[.*\]", re.DOTALL)
_AGENT = re.compile(r"(?:service-(?:org-|folder-)?|[op])?([0-9]{1,30})(?:-[0-9]{1,30})?")  # the last form writes a log sink's entries
# Projects of Google's own in which its service agents live (the IAM page "Service agents"); a name that only looks like an agent's,
# in anybody else's project, is an ordinary account.
_AGENTS_LIVE_IN = frozenset({
    "appengine-flex", "bigquery-encryption", "cloud-filer", "cloud-memcache-sa", "cloud-ml.google.com", "cloud-redis", "cloud-tpu",
    "cloudcomposer-accounts", "cloudservices", "compute-system", "container-analysis", "container-engine-robot",
    "containerregistry", "dataflow-service-producer-prod", "dataproc-accounts", "dlp-api", "endpoints-portal", "firebase-rules",
    "firebase-sa-management", "gae-api-prod.google.com", "gcf-admin-robot", "genomics-api", "gs-project-accounts", "remotebuildexecution",
    "repo-mirror", "security-center-api", "serverless-robot-prod", "service-consumer-management", "service-networking",
    "sourcerepo-service-accounts", "websecurityscanner",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """One member, as its text says it."""

    text: str
    kind: MemberKind
    name: str
    """The e-mail where there is one, else the text."""
    home: str | None = None
    """Id or number of the project that it belongs to, or the mail domain; None where it has neither."""
    pool: str | None = None
    selector: str | None = None
    """Which of a pool's principals, such as `subject/ci` or `attribute.repository/acme/app`; `*`: all of them."""
    agent: bool = False
    """Whether Google itself runs it on behalf of `home`."""

    @property
    def track(self) -> Track:
        """Whether a person or a program uses it, or others come in by it."""
        return {"user": "human", "service-account": "machine"}.get(self.kind, "delegation")  # type: ignore[return-value] # both are tracks

    @property
    def pool_of_clusters(self) -> bool:
        """Whether its pool is the one that Google keeps for a project's own Kubernetes clusters, which is in no list."""
        return (self.pool or "").endswith(".svc.id.goog")


@dataclass(frozen=True, slots=True)
class Party:
    """Who may act as something, seen from outside."""

    kind: PartyKind
    party: str
    condition: str | None


def member(text: str) -> Member:
    """Read a member as IAM writes it (IAM page "Principal identifiers"); never fails."""
    if text in {"allUsers", "allAuthenticatedUsers"}:
        return Member(text, "anyone", text)
    if text.startswith(("principal://", "principalSet://")):
        return _principal(text)
    prefix, colon, rest = text.partition(":")
    kind = _PREFIXES.get(prefix, "unknown") if colon and rest else "unknown"
    if kind == "service-account":
        home, agent = _home(rest)
        return Member(text, kind, rest, home=home, agent=agent)
    if kind in {"user", "group"}:
        return Member(text, kind, rest, home=(rest.rpartition("@")[2].lower() or None) if "@" in rest else None)
    if kind in {"domain", "project-role"}:
        return Member(text, kind, text, home=rest.lower())
    return Member(text, kind, text)


def _principal(text: str) -> Member:
    if match := _POOL.fullmatch(text):
        return Member(text, "pool", text, home=match[1], pool=match[2], selector=match[3])
    if match := _WORKFORCE.fullmatch(text):
        return Member(text, "workforce", text, pool=match[1], selector=match[2])
    match = _PROJECTS_ACCOUNTS.fullmatch(text)
    return Member(text, "principal-set", text, home=match and match[1])


def party(one: Member, project: str | None) -> Party | None:
    """Give who stands behind a member; None where its text does not say. `project`: the id of `home`, where that is a project.

    A mailbox, an account, and a part of a pool narrow it; a group does not, since others say who is in it.
    """
    if one.kind == "anyone":
        return Party("anyone", "*", None)
    if one.home is None:
        return None
    if one.kind == "user":
        return Party("email-domain", one.home, one.name)
    if one.kind in {"group", "domain"}:
        return Party("email-domain", one.home, None)
    narrowed = {"service-account": one.name, "pool": None if one.selector == "*" else f"{one.pool}/{one.selector}"}.get(one.kind)
    return Party("gcp-principal", project or one.home, narrowed)


def _home(email: str) -> tuple[str | None, bool]:
    """Give the project (id or number) of a service account, and whether Google runs it for that project."""
    if match := _KUBERNETES.fullmatch(email):
        return match[1], False
    local, _, host = email.partition("@")
    if host == "appspot.gserviceaccount.com":
        return _domain_first(local), False
    if host in {"developer.gserviceaccount.com", "cloudbuild.gserviceaccount.com"}:
        return local.removesuffix("-compute"), False  # accounts that a project's own people make use of
    place = host.removesuffix(_HOST) if host.endswith(_HOST) else host.removesuffix(".gserviceaccount.com")
    agent = _AGENT.fullmatch(local)
    if agent and (place in _AGENTS_LIVE_IN or place.startswith("gcp-sa-")):
        return agent[1], True
    return (_domain_first(place) if host.endswith(_HOST) else place) or None, False


def _domain_first(project: str) -> str:
    """Write the id of a project with a domain in its name, which e-mails have the other way round: `p.example.com` is `example.com:p`."""
    name, dot, domain = project.partition(".")
    return f"{domain}:{name}" if dot else name
