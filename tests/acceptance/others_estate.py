"""Kestrel Bank: somebody else's estate on the same protocols, with every trap beside the verdict that is right for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from others_programme import (
    BLIND,
    DARK,
    EXTERNAL_ID,
    MAIN,
    MUTE,
    ORBIT,
    PAPER,
    PAPER_KEYS,
    READER,
    SIDE,
    SISTER,
    STRANGER,
    Entry,
    Programme,
)

from connectors.vault.permissions import policy_hcl
from sandbox.aws import CALLER_ACCOUNT, trust, trust_issuer

if TYPE_CHECKING:
    from sandbox.aws import SandboxAccount, SandboxAws
    from sandbox.vault import SandboxVault

STAR = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*:*", "Resource": "*"}}
STAR_FROM_OFFICE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}],
}
ROOT_POLICY = 'path "*" {\n  capabilities = ["create", "read", "update", "delete", "list", "sudo"]\n}\n'


class Estate:
    """The estate as seeded, and what a night at `now` has to say about it."""

    def __init__(self, aws: SandboxAws, vault: SandboxVault, now: datetime) -> None:
        self.aws, self.vault, self.now = aws, vault, now
        self.wanted: set[tuple[str, str]] = set()
        """(control, subject) of every finding that is right."""
        self.excepted: set[tuple[str, str]] = set()
        """Those of them that the customer has validly accepted."""
        self.unclear: set[tuple[str, str]] = set()
        """(control, subject) whose verdict must be unknown."""
        self.newest: dict[str, tuple[datetime, str]] = {}
        """Holder to the newest of its live credentials that policy wants replaced: its creation and subject."""
        self.exceptions: list[Entry] = []
        self.names: dict[str, str] = {}
        """Name of an AWS user or role to its subject."""
        self.token = ""

    def ago(self, days: float, seconds: float = 0) -> datetime:
        return self.now - timedelta(days=days, seconds=seconds)

    def seed(self) -> None:
        self._register()
        self._main(self.aws.account(MAIN))
        self._attribution(self.aws.account(MAIN))
        self._privileges(self.aws.account(MAIN))
        self._people(self.aws.account(MAIN))
        self._trusts(self.aws.account(SIDE))
        self._half_read()
        self._vaults()
        for number in (MAIN, SIDE, DARK, BLIND, MUTE):
            reader = trust(CALLER_ACCOUNT, external_id=EXTERNAL_ID)
            path, _, name = READER.rpartition("/")
            self.aws.account(number).role(name, reader, self.ago(300), path=f"/{path}/", last_used=self.ago(1), policies=("SecurityAudit",))
        # The first night has no evidence of earlier ones, and a rotation is judged by the newest of what an identity holds.
        self.unclear |= {("rotation-repeatable", subject) for _, subject in self.newest.values()}

    # --- who is there, and what is wrong with them ---

    def user(self, account: SandboxAccount, name: str, *broken: str, age: float = 900, **facets: Any) -> str:
        subject = f"aws:{account.number}:user/{account.user(name, self.ago(age), **facets)}"
        self.names[name] = subject
        self.wanted |= {(control, subject) for control in broken}
        return subject

    def key(
        self, account: SandboxAccount, user: str, age: timedelta, *broken: str, used: timedelta | None = None, active: bool = True
    ) -> str:
        last_used = None if used is None else self.now - used
        subject = f"aws:{account.number}:access-key/{account.key(user, self.now - age, last_used=last_used, active=active)}"
        self.wanted |= {(control, subject) for control in broken}
        if active:
            self._holds(f"{account.number} {user}", self.now - age, subject)
        return subject

    def _holds(self, holder: str, born: datetime, subject: str) -> None:
        self.newest[holder] = max((born, subject), self.newest.get(holder, (born, subject)))

    def _register(self) -> None:
        """Note what the register itself breaks: its workloads and exceptions are as odd as the identities that they are about."""
        holes = ("backed", "endless", "late", "leaver", "puppet")
        no_backup = ("orbit-jobs", "ours", "z-special")  # the backup owner is the owner
        self.wanted |= {("register-workload", f"register:kestrel:workload/{name}") for name in (*holes, *no_backup)}
        self.wanted.add(("register-names", "register:kestrel:workload/ghost"))

    def role(
        self, account: SandboxAccount, name: str, policy: Any, *broken: str, age: float = 400, used: float | None = 3, **facets: Any
    ) -> str:
        last_used = None if used is None else self.ago(used)
        subject = f"aws:{account.number}:role/{account.role(name, policy, self.ago(age), last_used=last_used, **facets)}"
        self.names[name] = subject
        self.wanted |= {(control, subject) for control in broken}
        return subject

    def _main(self, main: SandboxAccount) -> None:
        today = self.programme.today

        def job(name: str) -> str:
            self.user(main, name)
            return name

        self.key(main, job("svc-old-never"), timedelta(200), "rotation-age", "inactive")
        self.key(main, job("svc-new-unused"), timedelta(1))
        keys = [
            self.key(main, job("svc-twins"), timedelta(60), used=timedelta(hours=3)),
            self.key(main, "svc-twins", timedelta(60), "inactive"),
        ]
        self.wanted.add(("overlap-too-long", min(keys)))
        self.key(main, job("svc-slots"), timedelta(300), used=timedelta(290), active=False)
        self.key(main, "svc-slots", timedelta(80), "inactive", used=timedelta(50))
        hour, second = timedelta(hours=1), timedelta(seconds=1)
        self.key(main, job("svc-edge"), timedelta(90), used=hour)
        self.key(main, job("svc-edge-over"), timedelta(90) + second, "rotation-age", used=hour)
        grace = timedelta(days=45, minutes=15)
        self.key(main, job("svc-idle-edge"), timedelta(80), used=grace)
        self.key(main, job("svc-idle-over"), timedelta(80), "inactive", used=grace + second)
        self.key(main, job("svc-overlap-edge"), timedelta(60), used=hour)
        self.key(main, "svc-overlap-edge", timedelta(7), used=hour)
        self.key(main, job("svc-overlap-over"), timedelta(60), "overlap-too-long", used=hour)
        self.key(main, "svc-overlap-over", timedelta(7) + second, used=hour)
        self.unclear.add(("inactive", self.user(main, "svc-bare", age=500)))
        self.key(main, job("svc-switched-off"), timedelta(500), active=False)
        self.user(main, "deep", path="/a/very/deep/path/")
        self.key(main, "deep", timedelta(10), used=hour)
        claims: tuple[tuple[str, Entry], ...] = (
            ("accepted", {}), ("expired", {"expires": today - timedelta(1)}), ("last day", {"expires": today}),
            ("by the requester", {"requested_by": "ana"}), ("by the partner", {"approved_by": "orbit/pavel"}), ("by a leaver", {"approved_by": "lee"}),
            ("by somebody not accountable", {"approved_by": "bo"}),
        )  # fmt: skip
        for number, (verdict, changes) in enumerate(claims):
            subject = self.key(main, job(f"svc-accepted-{number}"), timedelta(120), "rotation-age", used=hour)
            if verdict in ("accepted", "last day"):
                self.excepted.add(("rotation-age", subject))
            else:
                self.wanted.add(("exception-invalid", f"register:kestrel:exception/EX-{number}"))
            self.exceptions.append({
                "exception": f"EX-{number}", "control": "rotation-age", "subject": subject, "reason": verdict, "compensating_control": "an allow-list",
                "exit_criteria": "the vendor rotates", "requested_by": "bo", "approved_by": "ana", "expires": today + timedelta(30), **changes,
            })  # fmt: skip

    def _attribution(self, main: SandboxAccount) -> None:
        nobody, foreign = ("named-owner",), ("named-owner", "workload-registered")
        self.user(main, "lonely-tool", *nobody, tags={"owner": "ana", "Owner": "ana"})
        self.user(
            main, "=cmd+calc@x", *nobody, tags={"note": "<script>alert(1)</script>", "formula": '=HYPERLINK("http://evil")', "empty": ""}
        )
        self.user(main, "ghost-job", "named-owner", "owner-live")
        self.user(main, "puppet-job", "named-owner", "owner-live")
        self.user(main, "leaver-job", "owner-live")
        self.user(main, "backed-job")
        self.user(main, "orbit-ours")
        self.user(main, "orbit-job-1")
        self.user(main, "orbit-stray", *foreign)
        self.user(main, "ORBIT-Shouts", *foreign)
        self.user(main, "orbit-by-name", *foreign, "attribution-conflict", tags={"vendor": "zephyr"})
        self.user(main, "robot@orbit.example", *foreign)
        self.user(main, "svc-special")
        self.key(main, "svc-special", timedelta(91), "rotation-age", used=timedelta(hours=1))
        self.user(main, "orbit-late", "expiry-declared")
        self.user(main, "endless-job", "expiry-declared")
        self.user(main, "mistral-job", "contract-ended", "workload-expired")
        self.user(main, "mistral-stray", "contract-ended", *foreign)
        self.user(main, "zephyr-job")
        for name in ("lonely-tool", "=cmd+calc@x", "ghost-job", "puppet-job", "leaver-job", "backed-job", "orbit-ours", "orbit-job-1", "orbit-stray",
                     "ORBIT-Shouts", "orbit-by-name", "robot@orbit.example", "orbit-late", "endless-job", "mistral-job", "mistral-stray", "zephyr-job"):  # fmt: skip
            # The contract of mistral ended with yesterday, and its keys are used now, at whatever time of day; that of zephyr ends tonight.
            is_over = name.startswith("mistral-")
            self.key(
                main, name, timedelta(5), *(["used-after-end"] if is_over else []), used=timedelta() if is_over else timedelta(hours=2)
            )
        # CloudTrail does not remember who made what no workload has: it may have been a partner's identity.
        strays = ("lonely-tool", "=cmd+calc@x", "orbit-stray", "ORBIT-Shouts", "orbit-by-name", "robot@orbit.example", "mistral-stray")
        self.unclear |= {("derived-identity", self.names[name]) for name in strays}

    def _privileges(self, main: SandboxAccount) -> None:
        admin = ("AdministratorAccess",)
        main.group("operators", policies=admin)
        main.group("starred", inline={"all": STAR})
        main.group("readers", policies=("ReadOnlyAccess",))
        high = "over-privileged"
        self.user(main, "svc-admin", high, policies=admin)
        self.user(main, "svc-by-group", high, groups=("readers", "operators"))
        self.user(main, "svc-by-inline-group", high, groups=("starred",))
        self.user(main, "svc-star", high, inline={"star": STAR})
        self.user(main, "svc-bounded", high, policies=admin, boundary="PowerUserAccess")
        self.user(main, "svc-not-bounded", high, policies=admin, boundary="AdministratorAccess")
        self.user(main, "svc-from-office", high, inline={"office": STAR_FROM_OFFICE})
        self.user(main, "svc-power", high, policies=("PowerUserAccess",))
        for name in ("admin", "by-group", "by-inline-group", "star", "bounded", "not-bounded", "from-office", "power"):
            self.key(main, f"svc-{name}", timedelta(5), used=timedelta(hours=2))

    def _people(self, main: SandboxAccount) -> None:
        def person(name: str, *broken: str, changed: float = 60, used: float | None = 1, **facets: Any) -> str:
            last = None if used is None else self.ago(used)
            subject = self.user(main, name, *broken, console=True, password_changed=self.ago(changed), password_last_used=last, **facets)
            if name != "orbit-ops":  # the others are in no workload
                self.unclear.add(("derived-identity", subject))
            return subject

        def password(user: str) -> str:
            return user.replace(":user/", ":password/")

        person("ann", mfa=True, policies=("AdministratorAccess",))
        person("bob", "human-mfa")
        person("cat", mfa=True)
        self.key(main, "cat", timedelta(100), "rotation-age", used=timedelta(60))
        self.wanted.add(("inactive", password(person("dan", mfa=True, changed=120, used=None))))
        person("eve", mfa=True, changed=30, used=None)
        self.wanted.add(("inactive", password(person("fay", mfa=True, changed=400, used=91))))
        person("orbit-ops", "over-privileged", mfa=True, policies=("AdministratorAccess",))
        main.root(mfa=False, password_last_used=self.ago(10))
        self.wanted.add(("human-mfa", f"aws:{MAIN}:user/{MAIN}"))

    def _trusts(self, side: SandboxAccount) -> None:
        loose, strange = "unconditioned-trust", "unknown-third-party"
        disputed = "attribution-conflict"  # a workload of the customer's own names it, and a partner may act as it
        github = trust_issuer(
            SIDE, "token.actions.githubusercontent.com", {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}
        )
        orbit_ci = trust_issuer(SIDE, "ci.orbit.example", {"StringLike": {"ci.orbit.example:sub": "repo:kestrel/*"}})
        wide = trust(ORBIT)
        wide["Statement"][0]["Condition"] = {"StringLike": {"sts:ExternalId": "*"}}
        maybe = trust(ORBIT)
        maybe["Statement"][0]["Condition"] = {"StringEqualsIfExists": {"sts:ExternalId": "x"}}
        both = trust(ORBIT, external_id="x")
        both["Statement"] += trust(f"arn:aws:iam::{ORBIT}:role/deploy")["Statement"]
        refused = trust(STRANGER)
        refused["Statement"][0]["Effect"] = "Deny"
        saml: Entry = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{SIDE}:saml-provider/okta"},
                "Action": "sts:AssumeRoleWithSAML",
            },
        }
        service: Entry = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, "Action": "sts:AssumeRole"}
            ],
        }
        ours: Entry = trust("*")
        ours["Statement"][0]["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": "o-kestrel0001"}}
        self.role(side, "r-sister", trust(f"arn:aws:iam::{SISTER}:root"))
        self.role(side, "r-source", trust(f"arn:aws:iam::{MAIN}:role/anything"))
        self.role(side, "r-itself", trust(f"arn:aws:iam::{SIDE}:root"))
        self.role(side, "r-partner", trust(f"arn:aws:iam::{ORBIT}:root", external_id="k-1"), disputed)
        self.role(side, "r-partner-loose", trust(ORBIT), loose, disputed)
        self.role(side, "r-partner-star", wide, loose, disputed)
        self.role(side, "r-partner-if-exists", maybe, loose, disputed)
        self.role(side, "r-partner-both", both, loose, disputed)
        self.role(side, "r-anyone", trust("*"), loose)
        self.role(side, "r-organisation", ours)
        self.role(side, "r-service", service)
        self.role(side, "r-saml", saml)
        self.role(side, "r-github", github, strange)
        self.role(side, "r-orbit-ci", orbit_ci, disputed)
        self.role(side, "r-orbit-ci-loose", trust_issuer(SIDE, "ci.orbit.example"), loose, disputed)
        self.role(side, "r-stranger", trust(STRANGER), loose, strange)
        self.role(side, "r-stranger-knows-id", trust(STRANGER, external_id="x"), strange)
        self.role(side, "r-refuses-stranger", refused)
        self.role(side, "r-deleted", trust("AROAQWERTYUIOPASDFGHJ"))
        self.role(side, "r-never-10", service, age=10, used=None)
        self.role(side, "r-never-500", service, "inactive", age=500, used=None)
        self.role(side, "r-used-46", service, "inactive", used=46)
        self.role(
            side,
            "AWSServiceRoleForSupport",
            service,
            age=900,
            used=None,
            path="/aws-service-role/support.amazonaws.com/",
            policies=("AdministratorAccess",),
        )
        bridge = self.role(side, "bridge", trust(ORBIT, external_id="x"), "named-owner", "workload-registered")
        self.unclear.add(("derived-identity", bridge))
        born = self.ago(400)
        side.root(mfa=True, password_last_used=self.ago(5), keys=((born, None),))
        key = f"aws:{SIDE}:access-key/{SIDE}@{born:%Y%m%dT%H%M%SZ}"
        self.wanted |= {("rotation-age", key), ("inactive", key)}
        self._holds(SIDE, born, key)

    def _half_read(self) -> None:
        for operation in (
            "iam:GetAccountAuthorizationDetails",
            "iam:GenerateCredentialReport",
            "iam:GetCredentialReport",
            "iam:GetAccountSummary",
        ):
            self.aws.deny(DARK, operation)
        dark = self.aws.account(DARK)
        dark.user("mainframe", self.ago(1900), policies=("AdministratorAccess",))
        dark.key("mainframe", self.ago(1900))

        blind = self.aws.account(BLIND)
        self.aws.deny(BLIND, "iam:GetCredentialReport")
        self.role(blind, "r-blind", trust(BLIND), "inactive", age=500, used=None)
        stray = self.user(blind, "stray", age=10)
        blind.key("stray", self.ago(10))
        self.unclear |= {(control, stray) for control in ("named-owner", "over-privileged")}
        partners = self.user(
            blind, "orbit-blind", "named-owner", "workload-registered", "over-privileged", age=10, policies=("AdministratorAccess",)
        )
        # Whether a person uses them nobody knows; a name that is a partner's settles what needs no track.
        by_track = ("human-mfa", "human-unattended", "machine-console", "derived-identity", "inactive")
        self.unclear |= {(control, user) for control in by_track for user in (stray, partners)}

        mute = self.aws.account(MUTE)
        self.aws.deny(MUTE, "iam:ListAccessKeys")
        born = self.ago(200)
        subject = self.user(mute, "svc-mute")
        mute.key("svc-mute", born, last_used=self.ago(1))
        unnamed = f"aws:{MUTE}:access-key/{subject.rpartition('/')[2]}@{born:%Y%m%dT%H%M%SZ}"
        self.wanted.add(("rotation-age", unnamed))
        self._holds(MUTE, born, unnamed)

        self.wanted |= {("source-unobserved", f"aws:{number}:source/cloud") for number in (DARK, BLIND, MUTE)}
        for number in (MAIN, SIDE, MUTE, PAPER):  # the report does not say whether root has a password
            self.unclear |= {(control, f"aws:{number}:password/{number}") for control in ("inactive", "used-after-end")}
        # Who administers an account that was not read wholly, or of which only a report was seen.
        self.unclear |= {("sole-administrator", f"aws:{number}:account/{number}") for number in (DARK, BLIND, PAPER)}
        self.unclear |= {("over-privileged", f"aws:{PAPER}:user/{name}") for name, *_ in PAPER_KEYS}
        for name, age, _ in PAPER_KEYS:
            if age > 90:
                self.wanted.add(("rotation-age", f"aws:{PAPER}:access-key/{name}@{self.ago(age):%Y%m%dT%H%M%SZ}"))

    def _vaults(self) -> None:
        vault = self.vault
        vault.namespace("team")
        for namespace in (None, "team"):
            vault.enable_auth("approle", namespace=namespace)
        userpass = vault.enable_auth("userpass")
        vault.policy("everything", ROOT_POLICY)
        vault.policy("little", 'path "secret/data/x/*" {\n  capabilities = ["read"]\n}\n')

        def endless(role: str, namespace: str | None = None, **parts: Any) -> str:
            self.vault.approle(role, namespace=namespace, **parts)
            scope = "safe" if namespace is None else f"safe/{namespace}"
            subject = f"vault:{scope}:secret-id/{self.vault.secret_id(role, namespace=namespace, metadata={'owner': 'ana'})}"
            self._holds(f"{scope} {role}", self.now, subject)
            return subject

        self.wanted.add(("credential-expiry", endless("r-endless", policies=["little"])))
        self.wanted.add(("credential-expiry", endless("r-endless", namespace="team")))
        endless("r-short", secret_id_ttl="240h")
        self.wanted.add(("over-privileged", "vault:safe:approle/r-mighty"))
        endless("r-mighty", policies=["everything"], secret_id_ttl="240h")
        approle = str(vault.client().sys.list_auth_methods()["data"]["approle/"]["accessor"])
        vault.approle("r-asleep")
        role_id = str(vault.client().read("auth/approle/role/r-asleep/role-id")["data"]["role_id"])
        vault.secret_id("r-asleep")
        vault.disable_entity(vault.entity("sleeper", policies=["everything"], alias=(approle, role_id)))
        vault.disable_entity(vault.entity("gone-person", policies=["everything"], alias=(userpass, "gone")))
        vault.user("gone")
        vault.user("gil")
        person = vault.entity("gil.orbit", metadata={"vendor": "orbit"}, alias=(userpass, "gil"))
        self.wanted |= {(control, f"vault:safe:entity/{person}") for control in ("named-owner", "workload-registered")}
        self.unclear |= {(control, f"vault:safe:entity/{person}") for control in ("human-mfa", "human-unattended")}
        vault.kv("x/y", {"password": "canary-kestrel"}, custom_metadata={"owner": "ana"})
        vault.login("r-short")
        self.token = vault.reader_token(policy_hcl(namespaces=("team",)))
        for token, broken in (
            (vault.root_token, ("named-owner", "over-privileged", "credential-expiry")),
            (self.token, ("named-owner", "own-identities")),  # it reads for us, and no workload names it
        ):
            accessor = vault.client(token=token).auth.token.lookup_self()["data"]["accessor"]
            self.wanted |= {(control, f"vault:safe:token/{accessor}") for control in broken}
            self.unclear.add(("machine-console", f"vault:safe:token/{accessor}"))  # a token opens the web interface as well as the API

    @property
    def environment(self) -> dict[str, str]:
        return {**self.aws.environment, "VAULT_TOKEN": self.token}

    @property
    def programme(self) -> Programme:
        return Programme(self.now, self.aws.endpoint, self.vault.address, tuple(self.exceptions))
