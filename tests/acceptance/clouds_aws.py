"""Halden Marine's AWS organisation: a management account, two that are read, one that is suspended and one that refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouds_programme import (
    ALPHA,
    BETA,
    BRIGHTWATER_ACCOUNT,
    BRIGHTWATER_ISSUER,
    EXTERNAL_ID,
    MADE,
    MANAGEMENT,
    READER,
    REFUSING,
    STRANGER_ACCOUNT,
    STRANGER_ISSUER,
    STRANGER_PAYER,
    STRAY,
    SUSPENDED,
)

from sandbox.aws import CALLER_ACCOUNT, CALLER_KEY, CALLER_USER, Member, Shown, trust, trust_issuer
from sandbox.aws.estate import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clouds_programme import Notes

    from sandbox.aws import SandboxAccount, SandboxAws


def allow(*actions: str, resource: str = "*", effect: str = "Allow") -> Mapping[str, object]:
    """Write a policy of one statement."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource}]}


def older_than_the_trail(judged: Mapping[str, object]) -> tuple[str, ...]:
    """Tell what is unclear of one older than CloudTrail looks back: who created it, unless a workload has it anyhow."""
    return () if judged.get("ours") else ("derived-identity",)


PASS, RUN = allow("iam:PassRole"), allow("lambda:CreateFunction", "lambda:InvokeFunction")


class Nimbus:
    """Seeds the accounts and notes what has to be found in them."""

    def __init__(self, aws: SandboxAws, notes: Notes) -> None:
        self.aws, self.notes, self.ago = aws, notes, notes.ago
        self.alpha, self.beta = aws.account(ALPHA), aws.account(BETA)

    def seed(self) -> None:
        assert MANAGEMENT == CALLER_ACCOUNT
        members = (Member(ALPHA), Member(BETA), Member(SUSPENDED, state="SUSPENDED"), Member(REFUSING))
        self.aws.organization(MANAGEMENT, *members)
        for number in (MANAGEMENT, ALPHA, BETA, REFUSING):
            path, _, name = READER.rpartition("/")
            account = self.aws.account(number)
            made = account.role(
                name,
                trust(CALLER_ACCOUNT, external_id="other" if number == REFUSING else EXTERNAL_ID),
                self.ago(300),
                path=f"/{path}/",
                last_used=self.ago(1),
                policies=("SecurityAudit",),
            )
            if number != REFUSING:
                self.notes.identity(f"aws:{number}:role/{made}", ours=True)
                # nobody says whether root has a password, so neither whether it was ever taken away
                self.notes.unclear |= {(control, f"aws:{number}:password/{number}") for control in ("inactive", "used-after-end")}
        self.notes.scope("aws", REFUSING, "nimbus")
        self.notes.unclear.add(("sole-administrator", f"aws:{REFUSING}:account/{REFUSING}"))
        self.aws.account(REFUSING).user("hidden", self.ago(900), policies=("AdministratorAccess",))
        runner = self.aws.account(CALLER_ACCOUNT)
        user = runner.backend.get_user(CALLER_USER)
        self.notes.identity(f"aws:{CALLER_ACCOUNT}:user/{user.id}", ours=True)
        user.create_date = self.ago(400)
        runner.backdate_key(CALLER_KEY, self.ago(30), last_used=self.ago(0.1))
        self.notes.unproven(f"aws:{CALLER_ACCOUNT}:access-key/{CALLER_KEY}")
        self._escalation()
        self._credentials()
        self._federation()
        self._ways_in()
        self._roles()

    def uid(self, kind: str, native: str, account: SandboxAccount | None = None) -> str:
        return f"aws:{(account or self.alpha).number}:{kind}/{native}"

    def user(self, name: str, *broken: str, keyed: bool = True, failing: tuple[str, ...] = (), **facets: Any) -> str:
        """Make a user, `keyed` with an access key in use that fails `failing`; `facets` are also those of `Notes.identity`."""
        judged = {key: facets.pop(key) for key in ("partner", "by", "ours") if key in facets} or {"ours": True}
        created = facets.pop("created", self.ago(400))
        uid = self.notes.identity(self.uid("user", self.alpha.user(name, created, **facets)), *broken, **judged)
        if keyed:
            key = self.notes.credential(self.uid("access-key", self.alpha.key(name, self.ago(5), last_used=self.ago(0.2))), uid, *failing)
            if created < self.ago(2 * 90):  # who is younger than two periods need not have rotated twice
                self.notes.unproven(key)
        return uid

    def _escalation(self) -> None:
        high = "over-privileged"
        self.user("e-two-policies", high, inline={"pass": PASS, "run": RUN})
        self.user("e-half", inline={"pass": PASS})
        self.user("e-other-half", inline={"run": RUN})
        self.alpha.group("runners", inline={"run": RUN})
        self.user("e-by-group", high, inline={"pass": PASS}, groups=("runners",))
        self.user("e-capped", inline={"pass": PASS, "run": RUN}, boundary="ReadOnlyAccess")
        self.user("e-denied", inline={"pass": PASS, "run": RUN, "no": allow("iam:PassRole", effect="Deny")})
        self.user("e-narrow", inline={"pass": allow("iam:PassRole", resource=f"arn:aws:iam::{ALPHA}:role/app"), "run": RUN})
        self.user("e-versions", high, inline={"versions": allow("iam:CreatePolicyVersion")})

    def _credentials(self) -> None:
        alpha, ago, note, repeatable = self.alpha, self.ago, self.notes.credential, ("rotation-repeatable",)
        git = self.user("c-git", keyed=False)
        endless = alpha.service_credential("c-git", ago(20))
        note(self.uid("service-specific-credential", endless), git, "credential-expiry", unclear=repeatable)
        ending = self.user("c-bedrock", keyed=False)
        made = alpha.service_credential("c-bedrock", ago(20), service="bedrock.amazonaws.com", expires=ago(-30))
        note(self.uid("service-specific-credential", made), ending, unclear=repeatable)
        ssh = self.user("c-ssh", keyed=False, inline={"git": allow("codecommit:GitPull")})
        note(self.uid("ssh-key", alpha.ssh_key("c-ssh", ago(300))), ssh, "rotation-age", unclear=("inactive", *repeatable))
        signing = self.user("c-signing", keyed=False)
        made = alpha.signing_certificate("c-signing", ago(300), expires=ago(10))
        note(self.uid("signing-certificate", made), signing, "expired-but-enabled", unclear=("inactive",))
        self.user("c-off")
        alpha.ssh_key("c-off", ago(900), status="Inactive")
        alpha.signing_certificate("c-off", ago(900), status="Inactive")
        alpha.service_credential("c-off", ago(900), status="Inactive")
        holder = self.uid("account", ALPHA)
        arn = alpha.secret("never-rotated", ago(400), accessed=ago(2))
        note(self.uid("secret", arn), holder, "rotation-age", "rotation-repeatable")  # replaced in place, and not for two periods
        arn = alpha.secret("rotates", ago(400), rotated=ago(10), rotation_days=30, accessed=ago(2))
        note(self.uid("secret", arn), holder, unclear=repeatable)
        arn = alpha.secret("forgotten", ago(100), accessed=ago(80))
        note(self.uid("secret", arn), holder, "inactive", unclear=repeatable)
        alpha.secret("deleted", ago(900), deleted=ago(1))
        alpha.server_certificate("web", ago(100), expires=ago(-200))
        self._anywhere()

    def _anywhere(self) -> None:
        alpha, ago = self.alpha, self.ago
        anchor = alpha.trust_anchor(
            "own-ca", ago(300), private_ca=f"arn:aws:acm-pca:eu-west-2:{ALPHA}:certificate-authority/11111111-2222-4333-8444-555555555555"
        )
        self.notes.identity(self.uid("trust-anchor", anchor))
        made = {}
        for name, seen in (("robot-7", 100), ("robot-8", 1)):
            shown = (Shown(ago(150), ago(-200), seen=ago(seen)),)
            made[name] = alpha.anywhere_subject(f"CN={name}", ago(200), last_seen=ago(seen), certificates=shown)
            self.notes.identity(self.uid("roles-anywhere-subject", made[name]), ours=True)
        (robot,) = (one for one in alpha.estate.kept(ALPHA, REGION, "subject") if one["subjectId"] == made["robot-7"])
        certificate = f"{made['robot-7']}/{robot['credentials'][0]['serialNumber']}"
        self.notes.credential(self.uid("certificate", certificate), self.uid("roles-anywhere-subject", made["robot-7"]), "inactive")

    def _federation(self) -> None:
        alpha, ago = self.alpha, self.ago
        bright, nowhere = BRIGHTWATER_ISSUER.removeprefix("https://"), STRANGER_ISSUER.removeprefix("https://")
        arn = alpha.oidc_provider(BRIGHTWATER_ISSUER, ago(300))
        self.notes.identity(self.uid("oidc-provider", arn), partner="brightwater", ours=True)
        arn = alpha.oidc_provider(STRANGER_ISSUER, ago(300))
        self.notes.identity(self.uid("oidc-provider", arn), "unknown-third-party")

        def role(name: str, issuer: str, condition: Mapping[str, object] | None, *broken: str, **judged: Any) -> None:
            made = alpha.role(name, trust_issuer(ALPHA, issuer, condition), ago(300), last_used=ago(1))
            self.notes.identity(self.uid("role", made), *broken, unclear=older_than_the_trail(judged), **judged)

        sub = {"StringEquals": {f"{bright}:sub": "repo:halden/alpha"}}
        role("f-narrow", bright, sub, partner="brightwater", ours=True)
        role("f-stray", bright, sub, *STRAY, partner="brightwater", by=BRIGHTWATER_ISSUER)
        role("f-open", bright, None, "unconditioned-trust", partner="brightwater", ours=True)
        role("f-nowhere", nowhere, {"StringEquals": {f"{nowhere}:sub": "x"}}, "unknown-third-party", "named-owner")
        maker = f"arn:aws:iam::{ALPHA}:role/f-narrow"
        static = ("static-where-federation",)  # Brightwater's machines may live on what ends in twelve hours only
        uid = self.user("f-made-by-partner", *MADE, created=ago(20), failing=static, partner="brightwater", by="created by f-narrow")
        self.notes.creators[uid] = f"arn:aws:iam::{ALPHA}:role/f-narrow"  # as CloudTrail names it, an alias of the role
        alpha.event(
            "CreateUser",
            ago(20),
            by=f"arn:aws:sts::{ALPHA}:assumed-role/f-narrow/pipeline",
            session_issuer=maker,
            request={"userName": "f-made-by-partner"},
            response={"user": {"userName": "f-made-by-partner", "userId": uid.rpartition("/")[2], "arn": f"arn:aws:iam::{ALPHA}:user/f-made-by-partner"}},
            resources=(("AWS::IAM::User", "f-made-by-partner"),),
        )  # fmt: skip

    def _ways_in(self) -> None:
        alpha, ago = self.alpha, self.ago
        bucket, key = "arn:aws:s3:::halden-exports", f"arn:aws:kms:eu-west-2:{ALPHA}:key/0f0e"
        alpha.external_finding(bucket, STRANGER_ACCOUNT, ago(30), resource_type="AWS::S3::Bucket", actions=("s3:GetObject",))
        self.notes.identity(self.uid("shared-resource", bucket), "unknown-third-party", "unconditioned-trust")
        for where, condition, loose in (
            (key, {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}, ("unconditioned-trust",)),  # says by what way, and not who
            (f"{key}b", {"aws:PrincipalArn": f"arn:aws:iam::{BRIGHTWATER_ACCOUNT}:role/backup"}, ()),
        ):
            alpha.external_finding(
                where, BRIGHTWATER_ACCOUNT, ago(30), resource_type="AWS::KMS::Key", actions=("kms:Decrypt",), condition=condition
            )
            self.notes.identity(self.uid("shared-resource", where), *STRAY, *loose, partner="brightwater", by=BRIGHTWATER_ACCOUNT)
        alpha.external_finding("arn:aws:s3:::halden-healed", STRANGER_ACCOUNT, ago(30), resource_type="AWS::S3::Bucket", actions=("s3:GetObject",), status="RESOLVED")  # fmt: skip
        narrow = f"arn:aws:iam::{ALPHA}:role/f-narrow"
        alpha.external_finding(narrow, {"Federated": f"arn:aws:iam::{ALPHA}:oidc-provider/token.brightwater.example"}, ago(30))
        asked = alpha.delegation_request(
            BRIGHTWATER_ACCOUNT, "Brightwater Onboarding", ago(2), expires=ago(-5), approver=f"arn:aws:iam::{ALPHA}:user/maud"
        )
        self.notes.identity(self.uid("delegation-request", asked), *STRAY, partner="brightwater", by=BRIGHTWATER_ACCOUNT,
                            unclear=("over-privileged",))  # fmt: skip
        # what is asked for may make Brightwater the one administrator, since nobody else is one
        self.notes.unclear.add(("sole-administrator", self.uid("account", ALPHA)))
        alpha.delegation_request(STRANGER_ACCOUNT, "Over", ago(90), state="EXPIRED", expires=ago(60))
        alpha.delegation_request(STRANGER_ACCOUNT, "No", ago(90), state="REJECTED", expires=ago(60))
        given = self.aws.billing_transfer(STRANGER_PAYER, ago(200))
        self.notes.identity(f"aws:{MANAGEMENT}:billing-transfer/{given}", "unknown-third-party")

    def _roles(self) -> None:
        def role(name: str, policy: Mapping[str, object], *broken: str, **judged: Any) -> None:
            made = self.beta.role(name, policy, self.ago(300), last_used=self.ago(judged.pop("used", 1)))
            self.notes.identity(self.uid("role", made, self.beta), *broken, unclear=older_than_the_trail(judged), **judged)

        bright = {"partner": "brightwater"}
        role("r-partner", trust(BRIGHTWATER_ACCOUNT, external_id="h-1"), **bright, ours=True)
        role("r-loose", trust(BRIGHTWATER_ACCOUNT), "unconditioned-trust", *STRAY, **bright, by=BRIGHTWATER_ACCOUNT)
        role("r-suspended-sister", trust(SUSPENDED), ours=True)
        role("r-refusing-sister", trust(REFUSING), ours=True)
        role("r-stranger", trust(STRANGER_ACCOUNT, external_id="x"), "unknown-third-party", "named-owner")
        role("r-idle", trust(ALPHA), "inactive", ours=True, used=60)
