"""Kestrel Rail, an invented customer on all four clouds, whose partner Zeta has to go; seeded by somebody who only read the design."""

from __future__ import annotations

import functools
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.vault import policy_hcl, revoke_hcl
from sandbox.aws import CALLER_ACCOUNT, SandboxAws, trust, trust_issuer
from sandbox.gcp import SandboxGcp
from sandbox.gcp.contract import Contract as GcpContract
from sandbox.graph import SandboxGraph
from sandbox.graph.contract import Contract as GraphContract
from sandbox.vault import SandboxVault
from sandbox.vault_front import VaultFront
from sandbox.vault_snapshot import snapshot as vault_snapshot
from tests.acceptance.offboarding_programme import (
    ALPHA,
    BETA,
    EXTERNAL_ID,
    OMEGA_ACCOUNT,
    OMEGA_ISSUER,
    OMEGA_TENANT,
    ORGANIZATION,
    OWN_ISSUER,
    READER,
    REVOKER,
    REVOKING_ID,
    TENANT,
    ZETA_ACCOUNT,
    ZETA_ISSUER,
    ZETA_TENANT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sandbox.aws import SandboxAccount
    from sandbox.gcp.estate import Project

graph_contract = functools.cache(GraphContract.found)
gcp_contract = functools.cache(GcpContract.read)
HOSTILE = "<img src=x onerror=alert(1)>"
ANSI = "\x1b[2Jgone\u202egpj.exe"
FORMULA = "=cmd|' /C calc'!A0"
_WRITING = re.compile(r"iam:(Add|Attach|Create|Delete|Detach|Put|Remove|Reject|Update)")
_MADE = re.compile(r"^POST /v1.0/(?!\$batch|.*getByIds)|^POST /subscriptions")
_GOOGLE = ("disable", "enable", "delete", "patch", "setIamPolicy", "undelete", "undelete")
_LOOKED = re.compile("lookup|audit-hash")
CANARY = "kestrel-canary-5e1f-never-read"


def shared_trust() -> dict[str, Any]:
    """Write the trust policy of a role that Zeta, Omega and a service of the customer's take, with oddities that have to stay."""
    return {
        "Version": "2012-10-17",
        "Id": "kept as it is",
        "Statement": [
            {
                "Sid": "Both",
                "Effect": "Allow",
                "Principal": {"AWS": [OMEGA_ACCOUNT, ZETA_ACCOUNT, f"arn:aws:iam::{BETA}:root"]},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"StringEquals": {"sts:ExternalId": "k-9"}},
            },
            {"Sid": "Ours", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
            {"Sid": "ZetaAlone", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ZETA_ACCOUNT}:role/deploy"}, "Action": "sts:AssumeRole"},
            {"Sid": "Never", "Effect": "Deny", "Principal": {"AWS": ZETA_ACCOUNT}, "Action": "sts:SetSourceIdentity"},
        ],
    }  # fmt: skip


@dataclass(slots=True)
class Ids:
    """The ids of what was made, by a short name."""

    of: dict[str, str] = field(default_factory=dict)


class Kestrel:
    """The estate: running inside a `with` block."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)
        self.ids: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self.aws = self._stack.enter_context(SandboxAws())
            self.graph = self._stack.enter_context(SandboxGraph(contract=graph_contract()))
            self.gcp = self._stack.enter_context(SandboxGcp(contract=gcp_contract()))
            self.vault = self._stack.enter_context(SandboxVault())
            self.front = self._stack.enter_context(VaultFront(self.vault.address))
            self._amazon()
            self._entra()
            self._google()
            self._safe()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def ago(self, days: float) -> datetime:
        """Give an instant so many days before now."""
        return self.now - timedelta(days=days)

    def snapshot(self) -> dict[str, Any]:
        """Give the whole state of the four clouds."""
        return {
            "aws": self.aws.snapshot(),
            "azure": self.graph.snapshot(),
            "gcp": self.gcp.snapshot(),
            "vault": vault_snapshot(self.vault.address, self.vault.root_token),
        }

    def calm(self) -> None:
        """End every fault of every cloud, and forget what was asked."""
        self.aws.calm()
        self.aws.asked.clear()
        self.graph.heal()
        self.graph.clear()
        self.gcp.heal()
        self.gcp.clear()
        self.front.heal()

    def writes(self) -> Counter[str]:
        """Count what was asked for that changes something, whatever came of it, since the last `calm`."""
        found = [f"aws {one.account} {one.operation}" for one in self.aws.asked if _WRITING.match(one.operation)]
        found += [
            f"azure {one.method} {one.path}"
            for one in self.graph.requests
            if one.method in {"PATCH", "DELETE", "PUT"} or _MADE.search(f"{one.method} {one.path}")
        ]
        found += [
            f"gcp {one.method} {sorted(map(str, one.parameters.items()))}"
            for one in self.gcp.calls
            if one.method.rpartition(".")[2] in _GOOGLE
        ]
        found += [
            f"vault {method} {path}"
            for method, path in self.front.calls
            if method in {"POST", "PUT", "DELETE"} and not _LOOKED.search(path)
        ]
        return Counter(found)

    @property
    def reading(self) -> dict[str, str]:
        """What a process needs to read the estate."""
        return {**self.aws.environment, **self._azure, "VAULT_TOKEN": self._tokens["VAULT_TOKEN"]}

    @property
    def revoking(self) -> dict[str, str]:
        """What it needs besides to take access away."""
        return {**self._azure_revoking, "COUNTERSIGN_REVOKE_VAULT_TOKEN": self._tokens["COUNTERSIGN_REVOKE_VAULT_TOKEN"]}

    # ---- AWS ----

    def _amazon(self) -> None:
        for number in (ALPHA, BETA):
            account = self.aws.account(number)
            account.role(READER, trust(CALLER_ACCOUNT, external_id=EXTERNAL_ID), self.ago(400), last_used=self.ago(1))
            account.role(REVOKER, trust(CALLER_ACCOUNT, external_id=REVOKING_ID), self.ago(400))
        self.alpha, self.beta = self.aws.account(ALPHA), self.aws.account(BETA)
        alpha, ago = self.alpha, self.ago
        alpha.group("operators", policies=("ReadOnlyAccess",))
        common = alpha.policy(
            "common", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}
        )
        self._user(alpha, "zeta-batch", 5, groups=("operators",), policies=(common,), tags={"partner": "zeta"}, console=True, mfa=True)
        self.ids["key/zeta-batch/off"] = alpha.key("zeta-batch", ago(300), active=False)
        self._user(alpha, "omega-batch", 5, groups=("operators",), policies=(common,), tags={"partner": "omega"})
        self._user(alpha, "kestrel-ops", 5, groups=("operators",), policies=(common,))
        self._user(alpha, "=cmd@calc", 5)
        self._user(alpha, "zeta-fresh", 1 / 24, created=ago(400))
        self._role(alpha, "zeta-only", trust(ZETA_ACCOUNT, external_id="z-1"))
        self._role(alpha, "omega-only", trust(OMEGA_ACCOUNT, external_id="o-1"))
        self._role(alpha, "shared-etl", shared_trust())
        self._role(alpha, "kestrel-app", {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]})  # fmt: skip
        for name, issuer in (("zeta", ZETA_ISSUER), ("omega", OMEGA_ISSUER), ("own", OWN_ISSUER)):
            host = issuer.removeprefix("https://")
            self.ids[f"oidc/{name}"] = alpha.oidc_provider(issuer, ago(300), client_ids=("sts.amazonaws.com", f"{name}-aud"))
            self._role(alpha, f"by-{name}-oidc", trust_issuer(ALPHA, host, {"StringEquals": {f"{host}:sub": "repo:kestrel/alpha"}}))
        self._made("svc-made", "zeta-only", role=True)
        self._made("svc-made-again", "svc-made", role=False)
        self._made("svc-of-omega", "omega-only", role=True)
        self._user(self.beta, "zeta-reports", 5)
        self._user(self.beta, "omega-reports", 5)
        cross = trust(ZETA_ACCOUNT, OMEGA_ACCOUNT, external_id="x")
        self._role(self.beta, "cross", cross)

    def _user(self, account: SandboxAccount, name: str, key_age: float, **facets: Any) -> None:
        self.ids[f"user/{name}"] = account.user(name, facets.pop("created", self.ago(500)), **facets)
        self.ids[f"key/{name}"] = account.key(name, self.ago(key_age), last_used=self.ago(key_age / 2))

    def _role(self, account: SandboxAccount, name: str, policy: Mapping[str, object]) -> None:
        self.ids[f"role/{name}"] = account.role(name, policy, self.ago(300), last_used=self.ago(1), policies=("ReadOnlyAccess",))

    def _made(self, name: str, by: str, *, role: bool) -> None:
        when = self.ago(20)
        self._user(self.alpha, name, 5, created=when)
        actor = f"arn:aws:sts::{ALPHA}:assumed-role/{by}/pipeline" if role else f"arn:aws:iam::{ALPHA}:user/{by}"
        arn = f"arn:aws:iam::{ALPHA}:user/{name}"
        self.alpha.event(
            "CreateUser", when, by=actor, session_issuer=f"arn:aws:iam::{ALPHA}:role/{by}" if role else None, request={"userName": name},
            response={"user": {"userName": name, "userId": self.ids[f"user/{name}"], "arn": arn}}, resources=(("AWS::IAM::User", name),),
        )  # fmt: skip

    # ---- Entra ----

    def _entra(self) -> None:
        tenant = self.tenant = self.graph.tenant(TENANT)
        self._azure, self._azure_revoking = tenant.environment(), tenant.revoking_environment()
        tenant.microsoft_graph()
        for name, home in (("zeta", ZETA_TENANT), ("omega", OMEGA_TENANT)):
            agent = self.ids[f"sp/{name}"] = tenant.foreign(f"{name.title()} Agent", home)
            self.ids[f"app-role/{name}"] = tenant.app_role(agent, "User.Read.All", self.ago(200))
            guest = self.ids[f"guest/{name}"] = tenant.guest(f"ann@{name}.example", self.ago(200), last_sign_in=self.ago(2))
            tenant.directory_role(guest, "Global Reader")
            tenant.delegated(agent, "User.Read Mail.Read")
            tenant.delegated(agent, "Files.Read", principal=guest)
            tenant.partner(home, inboundTrust={"isMfaAccepted": True, "isCompliantDeviceAccepted": False, "isHybridAzureADJoinedDeviceAccepted": False})  # fmt: skip
            made = tenant.application(f"{name}-connector", self.ago(300))
            self.ids[f"app/{name}"], self.ids[f"appid/{name}"], self.ids[f"app-sp/{name}"] = made.id, made.app_id, made.service_principal
            for number in (1, 2):
                key = self.ids[f"secret/{name}/{number}"] = tenant.secret(made.id, self.ago(10), self.ago(-100), name=f"s{number}")
                tenant.secret_text(key)
            issuer = ZETA_ISSUER if name == "zeta" else OMEGA_ISSUER
            self.ids[f"fic/{name}"] = tenant.federated(made.id, issuer, "repo:x", name="ci")
            tenant.app_role(made.service_principal, "Directory.Read.All", self.ago(100))
        portal = tenant.application("kestrel-portal", self.ago(700), notes=HOSTILE)
        self.ids["app/own"] = portal.id
        self.ids["secret/own"] = tenant.secret(portal.id, self.ago(10), self.ago(-100))
        self.ids["fic/own/own"] = tenant.federated(portal.id, OWN_ISSUER, "repo:kestrel/portal", name="own")
        self.ids["fic/own/zeta"] = tenant.federated(portal.id, ZETA_ISSUER, "repo:zeta/portal", name="zeta")
        self.ids["app/hostile"] = tenant.application(HOSTILE, self.ago(200)).id
        self.ids["app/ansi"] = tenant.application(ANSI, self.ago(200)).id
        self.ids["user/own"] = tenant.user("lena@kestrel.example", self.ago(900), last_sign_in=self.ago(1))
        tenant.directory_role(self.ids["user/own"], "Global Administrator")

    # ---- Google ----

    def _google(self) -> None:
        top = self.gcp.organization(ORGANIZATION)
        prod = self.prod = self.gcp.project("kestrel-prod", "650000000101", organization=top)
        data = self.gcp.project("kestrel-data", "650000000102", organization=top)
        outside = ("user:olga@omega.example", "user:zoe@zeta.example", "group:rail@kestrel.example")
        prod.bind("roles/viewer", *outside)
        prod.bind("roles/viewer", *outside[:2], condition={"title": "office hours", "description": HOSTILE, "expression": "request.time.getHours() < 18"})  # fmt: skip
        data.bind("roles/storage.admin", "user:zoe@zeta.example")
        top.bind("roles/browser", "group:rail@kestrel.example", "user:zoe@zeta.example", "domain:omega.example")
        for name in ("zeta", "omega", "kestrel"):
            account = self._account(prod, f"{name}-loader", display_name=FORMULA if name == "zeta" else "")
            prod.bind("roles/storage.objectViewer", f"serviceAccount:{account.email}")
            for number in (1, 2):
                prod.key(account, f"{name}{number}", self.ago(30), self.ago(-100), disabled=name == "zeta" and number == 2)
        app = self._account(prod, "kestrel-app")
        app.bind(
            "roles/iam.serviceAccountTokenCreator",
            *(f"serviceAccount:robot@{name}-ops.iam.gserviceaccount.com" for name in ("omega", "zeta")),
        )
        prod.pool("ci")
        for name, issuer in (("zeta", ZETA_ISSUER), ("omega", OMEGA_ISSUER), ("own", OWN_ISSUER)):
            prod.provider("ci", f"{name}-ci", oidc=issuer, condition=f"assertion.sub.startsWith('{name}:')", audiences=("kestrel",))
        app.bind("roles/iam.workloadIdentityUser", f"principalSet://iam.googleapis.com/{prod.pools['ci'].name}/attribute.sub/own:x")

    def _account(self, project: Project, name: str, **facets: Any) -> Any:
        made = project.service_account(name, created=self.ago(400), **facets)
        project.used(made, self.ago(1))
        self.ids[f"sa/{name}"] = str(made.unique_id)
        return made

    # ---- Vault ----

    def _safe(self) -> None:
        vault = self.vault
        vault.policy("little", 'path "secret/data/x/*" {\n  capabilities = ["read"]\n}\n')
        vault.policy("maker", 'path "auth/token/create*" {\n  capabilities = ["create", "update", "sudo"]\n}\n')
        vault.enable_auth("approle")
        userpass = vault.enable_auth("userpass")
        self.tokens: dict[str, Any] = {}
        for name in ("zeta", "omega", "kestrel"):
            self.ids[f"role-id/{name}"] = vault.approle(f"{name}-sync", policies=["little", "maker"], secret_id_ttl="240h")
            self.ids[f"secret-id/{name}"] = vault.secret_id(f"{name}-sync")
            self.tokens[name] = vault.login(f"{name}-sync")
            self.ids[f"approle-entity/{name}"] = self.tokens[name].auth.token.lookup_self()["data"]["entity_id"]
            vault.approle(f"{name}-idle", policies=["little"], secret_id_ttl="240h")
            vault.secret_id(f"{name}-idle")
            self.ids[f"entity/{name}"] = vault.entity(f"{name}-oncall", policies=["little"], alias=(userpass, f"{name}-oncall"))
            vault.user(f"{name}-oncall", policies=["little"])
            made = vault.client().auth.token.create(
                policies=["little"], no_parent=True, display_name=f"{name}-robot", meta={"partner": name}, ttl="100h"
            )
            self.ids[f"orphan/{name}"] = made["auth"]["accessor"]
            self.tokens[f"{name}/orphan"] = vault.client(token=made["auth"]["client_token"])
            child = self.tokens[name].auth.token.create_orphan(policies=["little"], ttl="100h")
            self.ids[f"entity-orphan/{name}"] = child["auth"]["accessor"]
            self.tokens[f"{name}/entity-orphan"] = vault.client(token=child["auth"]["client_token"])
        vault.entity(HOSTILE, metadata={"note": ANSI.encode("unicode_escape").decode()})
        for name, issuer in (("zeta", ZETA_ISSUER), ("omega", OMEGA_ISSUER), ("own", OWN_ISSUER)):
            self._jwt(f"jwt-{name}", issuer, f"{name}-pipeline")
        vault.kv("x/y", {"password": CANARY}, custom_metadata={"owner": "ada"})
        self._tokens = vault.identities(policy_hcl(), revoke_hcl())

    def _jwt(self, mount: str, issuer: str, role: str) -> None:
        client = self.vault.client()
        self.vault.enable_auth("jwt", path=mount)
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        client.write_data(f"auth/{mount}/config", data={"jwt_validation_pubkeys": [pem], "bound_issuer": issuer})
        given = {"role_type": "jwt", "user_claim": "sub", "bound_subject": "repo:x", "bound_audiences": ["kestrel"]}
        client.write_data(f"auth/{mount}/role/{role}", data={**given, "token_policies": ["little"], "token_ttl": "15m"})
