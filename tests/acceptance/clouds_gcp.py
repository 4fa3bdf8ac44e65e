"""Halden Marine's Google organization of five projects, one of which nobody may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouds_programme import (
    ALPHA,
    BRIGHTWATER_ACCOUNT,
    BRIGHTWATER_ISSUER,
    DARK,
    ORGANIZATION,
    OWN_ISSUER,
    PERSON,
    PROJECTS,
    STRANGER_ACCOUNT,
    STRANGER_ISSUER,
    STRAY,
    SUSPENDED,
)

if TYPE_CHECKING:
    from clouds_programme import Notes

    from sandbox.gcp import SandboxGcp
    from sandbox.gcp.estate import Account, Project

CORE, DATA, WEB, LAB = PROJECTS[:4]
TOP = f"organizations/{ORGANIZATION}"


class Google:
    """Seeds the organization and notes what has to be found in it."""

    def __init__(self, cloud: SandboxGcp, notes: Notes) -> None:
        self.cloud, self.notes, self.ago = cloud, notes, notes.ago
        self.organization = cloud.organization(ORGANIZATION)
        self.projects = {
            name: cloud.project(name, f"70000000010{number}", organization=self.organization) for number, name in enumerate(PROJECTS)
        }

    def seed(self) -> None:
        self._keys(self.projects[CORE])
        self._accounts(self.projects[LAB])
        self._members(self.projects[DATA])
        self._pools(self.projects[WEB])
        self._top()
        dark = self.projects[DARK]
        hidden = dark.service_account("hidden", created=self.ago(900))
        dark.key(hidden, "hidden", self.ago(900))
        dark.bind("roles/owner", f"serviceAccount:{hidden.email}")
        self.organization.bind("roles/viewer", f"serviceAccount:{hidden.email}")
        self.notes.scope("gcp", DARK, "google")
        self.notes.unclear.add(("own-identities", f"gcp:{CORE}:caller/anonymous"))  # an emulator asks nobody who they are
        self.cloud.deny(DARK)

    def account(
        self,
        project: Project,
        name: str,
        *broken: str,
        seen: float | None = 1,
        unclear: tuple[str, ...] = (),
        **facets: Any,
    ) -> Account:
        judged = {"ours": facets.pop("ours", True), "partner": facets.pop("partner", "")}
        made = project.service_account(name, created=facets.pop("created", self.ago(800)), **facets)
        if seen is not None:
            project.used(made, self.ago(seen))
        uid = f"gcp:{project.project_id}:service-account/{made.unique_id}"
        self.notes.identity(uid, *broken, unclear=unclear, **judged)
        return made

    def key(  # noqa: PLR0913 -- a key has that many facets, all but three optional
        self,
        account: Account,
        name: str,
        age: float,
        *broken: str,
        ends: float | None = 60,
        seen: float | None = 2,
        current: bool = True,
        **facets: Any,
    ) -> None:
        """Give a key; `current`: it is the newest that its account can use, and so is judged for how often it was rotated."""
        project = account.project
        made = project.key(account, name, self.ago(age), None if ends is None else self.ago(-ends), **facets)
        if seen is not None:
            project.used(made, self.ago(seen))
        identity = f"gcp:{project.project_id}:service-account/{account.unique_id}"
        uid = self.notes.credential(f"gcp:{project.project_id}:service-account-key/{name}", identity, *broken)
        if current:
            self.notes.unproven(uid)

    def _keys(self, core: Project) -> None:
        self.key(self.account(core, "k-old"), "old", 200, "rotation-age")
        self.key(self.account(core, "k-nine"), "nine", 10, "credential-expiry", ends=None)
        self.key(self.account(core, "k-both"), "both", 95, "rotation-age", "credential-expiry", ends=None)
        self.key(self.account(core, "k-off"), "off", 400, ends=None, disabled=True, current=False)
        self.key(self.account(core, "k-exposed", "unconditioned-trust"), "exposed", 10, exposed=True)
        self.key(self.account(core, "k-stolen", "unconditioned-trust"), "stolen", 10, compromised=True)
        self.key(self.account(core, "k-exposed-off"), "exposed-off", 10, exposed=True, disabled=True, current=False)
        self.key(self.account(core, "k-asleep", disabled=True), "asleep", 900, ends=None, current=False)
        self.key(self.account(core, "k-google"), "google", 900, managed="SYSTEM_MANAGED", current=False)
        self.key(self.account(core, "k-own"), "own", 100, "rotation-age", origin="USER_PROVIDED")
        ended = self.account(core, "k-ended")
        self.key(ended, "ended", 80, "expired-but-enabled", ends=-3, seen=5, current=False)
        two = self.account(core, "k-two")
        self.key(two, "first", 60, "overlap-too-long", current=False)
        self.key(two, "second", 20)
        self.key(self.account(core, "k-idle"), "idle", 80, "inactive", seen=60)
        project = f"gcp:{CORE}:project/{core.number}"
        silent = ("rotation-repeatable",)  # no API key says which it followed
        for uid, age, broken, unclear in (("key-old", 500, ("rotation-age",), ("inactive", *silent)), ("key-new", 10, (), silent)):
            core.api_key(uid, uid, self.ago(age), restrictions={"apiTargets": [{"service": "maps.googleapis.com"}]})
            self.notes.credential(f"gcp:{CORE}:api-key/{uid}", project, *broken, unclear=unclear)

    def _accounts(self, lab: Project) -> None:
        self.account(lab, "a-watched-never", "inactive", seen=None, created=self.ago(60))
        never = lab.accounts["a-watched-never@halden-lab.iam.gserviceaccount.com"]
        lab.used(never, None)
        old = self.account(lab, "a-old-never", seen=None, unclear=("inactive",))
        lab.used(old, None)
        self.account(lab, "a-unwatched", seen=None, unclear=("inactive",))
        self.account(lab, "a-idle", "inactive", seen=70)
        self.account(lab, "a-nobody", "named-owner", ours=False, description="owner=maud;purpose=tests")
        default = self.account(lab, f"{lab.number}-compute@developer.gserviceaccount.com", "named-owner", "over-privileged", ours=False)
        lab.bind("roles/editor", f"serviceAccount:{default.email}")
        custom = self.account(lab, "a-custom", "over-privileged")
        lab.bind(lab.role("helper", "storage.objects.get", "iam.serviceAccountKeys.create"), f"serviceAccount:{custom.email}")
        tame = self.account(lab, "a-tame")
        lab.bind(lab.role("viewer", "storage.objects.get"), f"serviceAccount:{tame.email}")
        lab.bind("roles/storage.admin", f"serviceAccount:{tame.email}")
        conditional = self.account(lab, "a-conditional", "over-privileged")
        lab.bind("roles/owner", f"serviceAccount:{conditional.email}", condition="request.time < timestamp('2099-01-01T00:00:00Z')")

    def member(self, project: Project, role: str, member: str, *broken: str, unclear: tuple[str, ...] = (), **judged: Any) -> None:
        project.bind(role, member)
        self.notes.identity(f"gcp:{project.project_id}:member/{member}", *broken, unclear=unclear, **judged)

    def _members(self, data: Project) -> None:
        human, machine = (*PERSON, "inactive"), ("inactive",)
        self.member(data, "roles/owner", "user:pat@brightwater.example", "over-privileged", *STRAY, partner="brightwater",
                    by="brightwater.example", unclear=human)  # fmt: skip
        self.member(data, "roles/viewer", "user:kim@quarry.example", partner="quarry", ours=True, unclear=human)
        self.member(data, "roles/viewer", "user:stray@elsewhere.example", "unknown-third-party", unclear=human)
        self.member(data, "roles/owner", "user:lena@halden.example", unclear=human)
        robot = "serviceAccount:robot@brightwater-ops.iam.gserviceaccount.com"
        self.member(data, "roles/editor", robot, "over-privileged", *STRAY, partner="brightwater", by="brightwater-ops", unclear=machine)
        self.member(data, "roles/viewer", "serviceAccount:spy@nowhere-prod.iam.gserviceaccount.com", "unknown-third-party", "named-owner",
                    unclear=machine)  # fmt: skip
        self.member(
            data, "roles/viewer", "group:admins@quarry.example", "unconditioned-trust", *STRAY, partner="quarry", by="quarry.example"
        )
        self.member(data, "roles/viewer", "group:team@halden.example")
        self.member(data, "roles/viewer", "domain:tessel.example", "unconditioned-trust", "contract-ended", *STRAY, partner="tessel",
                    by="tessel.example", unclear=("used-after-end",))  # fmt: skip
        for number, public in enumerate(("allUsers", "allAuthenticatedUsers")):
            bucket = data.resource(f"//storage.googleapis.com/b{number}", "storage.googleapis.com/Bucket")
            bucket.bind("roles/storage.objectViewer", public)
            self.notes.identity(f"gcp:{DATA}:member/{public}", "unconditioned-trust")
        pool = "principalSet://iam.googleapis.com/projects/999888777/locations/global/workloadIdentityPools/theirs/*"
        self.member(data, "roles/viewer", pool, "unconditioned-trust", "unknown-third-party")
        data.bind("roles/owner", "deleted:serviceAccount:old@brightwater-ops.iam.gserviceaccount.com?uid=123456789012345678901")
        # An account of a sister project is no outsider, but a member here: it has to be registered once for each project.
        sister = self.account(self.projects[CORE], "sister")
        self.member(data, "roles/viewer", f"serviceAccount:{sister.email}", ours=True, unclear=machine)
        # Whom an outside account may act as.
        shared = self.account(data, "shared", partner="brightwater")
        shared.bind("roles/iam.serviceAccountTokenCreator", robot)

    def provider(
        self, pool: str, name: str, *broken: str, condition: str = "", enabled: bool = True, unclear: tuple[str, ...] = (), **facets: Any
    ) -> None:
        judged = {key: facets.pop(key) for key in ("partner", "by", "ours") if key in facets}
        self.projects[WEB].provider(pool, name, condition=condition, disabled=not enabled, **facets)
        self.notes.identity(f"gcp:{WEB}:workload-identity-provider/{pool}/{name}", *broken, unclear=unclear, **judged)

    def _pools(self, web: Project) -> None:
        web.pool("ci")
        bright: dict[str, Any] = {"partner": "brightwater"}
        loose = "unconditioned-trust"
        only = "assertion.repository=='halden/web'"
        self.provider("ci", "bw-narrow", *STRAY, oidc=BRIGHTWATER_ISSUER, condition=only, **bright, by=BRIGHTWATER_ISSUER)
        self.provider("ci", "bw-open", loose, oidc=BRIGHTWATER_ISSUER, **bright, ours=True)
        self.provider("ci", "bw-aws", aws=BRIGHTWATER_ACCOUNT, condition="attribute.aws_role=='deploy'", **bright, ours=True)
        self.provider("ci", "aws-open", loose, "unknown-third-party", aws=STRANGER_ACCOUNT)
        self.provider("ci", "github", loose, "unknown-third-party", oidc="https://token.actions.githubusercontent.com")
        self.provider("ci", "nowhere", "unknown-third-party", oidc=STRANGER_ISSUER, condition=only)
        self.provider("ci", "own", oidc=OWN_ISSUER)
        self.provider("ci", "own-aws", aws=ALPHA)
        self.provider("ci", "own-suspended-aws", aws=SUSPENDED)
        self.provider("ci", "off", oidc=STRANGER_ISSUER, enabled=False)
        web.pool("closed", disabled=True)
        self.provider("closed", "inner", oidc=STRANGER_ISSUER)

    def _top(self) -> None:
        top = self.organization
        unclear = (*PERSON, "inactive")
        root, audit = "user:root@quarry.example", "user:audit@halden.example"
        top.bind("roles/resourcemanager.organizationAdmin", root)
        top.bind("roles/viewer", audit)
        uid = f"gcp:{TOP}:member/{root}"
        self.notes.identity(uid, "over-privileged", *STRAY, partner="quarry", by="quarry.example", unclear=unclear)
        self.notes.identity(f"gcp:{TOP}:member/{audit}", unclear=unclear)
        owner = self.account(self.projects[CORE], "owner-of-all", "over-privileged")
        top.bind("roles/owner", f"serviceAccount:{owner.email}")
        top.workforce_pool("people")
        top.workforce_provider("people", "bw", oidc=BRIGHTWATER_ISSUER, condition="'ops' in assertion.groups")
        self.notes.identity(f"gcp:{TOP}:workforce-provider/people/bw", *STRAY, partner="brightwater", by=BRIGHTWATER_ISSUER)
        top.workforce_provider("people", "stranger", oidc=STRANGER_ISSUER)
        self.notes.identity(f"gcp:{TOP}:workforce-provider/people/stranger", "unconditioned-trust", "unknown-third-party")
