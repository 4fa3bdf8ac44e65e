"""Halden Marine's three Entra tenants, with every trap beside the verdict that is right for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from clouds_programme import (
    BRIGHTWATER_ISSUER,
    BRIGHTWATER_TENANT,
    FLEET,
    MADE,
    OWN_ISSUER,
    PERSON,
    QUARRY_TENANT,
    STRANGER_ISSUER,
    STRANGER_TENANT,
    STRAY,
    SUBSIDIARY,
    TENANT,
    TESSEL_TENANT,
)

if TYPE_CHECKING:
    from datetime import datetime

    from clouds_programme import Notes

    from sandbox.graph import Application, SandboxTenant

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example")',
    "../../../etc/passwd",
    "\x1b[31mred\x1b[0m",
    "x" * 10_000,
)
FLEET_SIZE = 1_200
FLEET_APPS = 45
"""Registered in FLEET beside them, each with a service principal of its own: three batches of federated credentials."""
BLOCKED: dict[str, Any] = {
    "usersAndGroups": {"accessType": "blocked", "targets": [{"target": "AllUsers", "targetType": "user"}]},
    "applications": {"accessType": "blocked", "targets": [{"target": "AllApplications", "targetType": "application"}]},
}


def guid(name: str) -> str:
    """Make up an id, the same for the same name."""
    return str(uuid5(UUID(TENANT), name))


class Entra:
    """Seeds a tenant and notes what has to be found in it."""

    def __init__(self, tenant: SandboxTenant, notes: Notes) -> None:
        self.tenant, self.notes, self.ago = tenant, notes, notes.ago

    def uid(self, kind: str, native: str) -> str:
        return f"azure:{self.tenant.id}:{kind}/{native}"

    def app(self, name: str, *broken: str, seen: float | None = 1, age: float = 400, federated: bool = False, **facets: Any) -> Application:
        """Register an application that both its objects fail `broken` for; `seen` None: nobody knows when it signed in.

        `keyed=True`: it has credentials, which are judged for use in its stead; `facets` are also those of `Notes.identity`.
        """
        judged = {key: facets.pop(key) for key in ("partner", "by", "ours") if key in facets}
        alone, of_app = facets.pop("keyed", False) or federated, facets.pop("app_only", ())
        made = self.tenant.application(name, self.ago(age), **facets)
        if seen is not None:
            self.tenant.signed_in(made.app_id, self.ago(seen))
        unclear = ("inactive",) if seen is None else ()
        self.notes.identity(self.uid("application", made.id), *broken, *of_app, unclear=() if alone else unclear, **judged)
        if of_app and "ours" not in judged:
            judged = {}  # what names a partner is on the application alone
        self.notes.identity(self.uid("service-principal", made.service_principal), *broken, unclear=unclear, **judged)
        return made

    def secret(  # noqa: PLR0913 -- a secret has that many facets, all but three optional
        self,
        app: Application,
        start: float,
        end: float | None,
        *broken: str,
        used: float | None = 1,
        newest: bool = True,
        unclear: tuple[str, ...] = (),
    ) -> str:
        ends = None if end is None else self.ago(-end)
        key = self.tenant.secret(app.id, self.ago(start), ends)
        if used is not None:
            self.tenant.credential_used(app, key, self.ago(used))
        if newest and (end is None or end > 0):
            self.notes.unproven(self.uid("client-secret", key))
        return self.notes.credential(self.uid("client-secret", key), self.uid("application", app.id), *broken, unclear=unclear)

    def foreign(self, name: str, home: str, *broken: str, seen: float | None = 1, unclear: tuple[str, ...] = (), **facets: Any) -> str:
        """Let in another tenant's application."""
        judged = {key: facets.pop(key) for key in ("partner", "by", "ours") if key in facets}
        made = self.tenant.foreign(name, home, appId=guid(f"app {name}"), **facets)
        if seen is not None:
            self.tenant.signed_in(guid(f"app {name}"), self.ago(seen))
        unclear += ("inactive",) if seen is None and facets.get("accountEnabled", True) else ()
        self.notes.identity(self.uid("service-principal", made), *broken, unclear=unclear, **judged)
        return made

    def guest(self, mail: str, *broken: str, seen: float | None = 2, **facets: Any) -> str:
        """Invite somebody, whose second factor nobody here can see."""
        judged = {key: facets.pop(key) for key in ("partner", "by", "ours") if key in facets}
        used: datetime | None = None if seen is None else self.ago(seen)
        made = self.tenant.guest(mail, self.ago(400), last_sign_in=used, **facets)
        unclear = PERSON if facets.get("accountEnabled", True) else ()
        self.notes.identity(self.uid("user", made), *broken, unclear=unclear, **judged)
        return made

    def way_in(self, kind: str, native: str, *broken: str, **judged: Any) -> None:
        """Note a delegation: another tenant's standing way in."""
        self.notes.identity(self.uid(kind, native), *broken, **judged)

    def main(self) -> None:
        self._published_elsewhere()
        self._people()
        self._applications()
        self._credentials()
        self._outside_issuers()
        self._delegations()
        self._azure()

    def _published_elsewhere(self) -> None:
        tenant = self.tenant
        bright: dict[str, Any] = {"partner": "brightwater", "by": BRIGHTWATER_TENANT}
        console = self.foreign("Brightwater Console", BRIGHTWATER_TENANT, "over-privileged", *STRAY, **bright)
        tenant.app_role(console, "AppRoleAssignment.ReadWrite.All", self.ago(300))
        collector = self.foreign("Quarry Collector", QUARRY_TENANT, "inactive", seen=200, partner="quarry", ours=True)
        tenant.app_role(collector, "Directory.Read.All", self.ago(300))
        self.foreign("Stranger Sync", STRANGER_TENANT, "named-owner", "unknown-third-party", seen=None)
        tessel: dict[str, Any] = {"partner": "tessel", "by": TESSEL_TENANT, "unclear": ("used-after-end",)}
        self.foreign("Tessel Live", TESSEL_TENANT, "contract-ended", *STRAY, seen=None, **tessel)
        self.foreign("Tessel Off", TESSEL_TENANT, seen=None, accountEnabled=False, **tessel)
        assistant = self.foreign("Quarry Assistant", QUARRY_TENANT, "over-privileged", partner="quarry", ours=True)
        tenant.delegated(assistant, "openid Directory.AccessAsUser.All")
        reader = self.foreign("Quarry Reader", QUARRY_TENANT, partner="quarry", ours=True)
        tenant.delegated(reader, "openid User.Read")
        bright["by"] = "created by Brightwater Console"
        child = self.app("child", *MADE, createdByAppId=guid("app Brightwater Console"), **bright)
        bright["by"] = "created by child, which was created by Brightwater Console"
        grandchild = self.app("grandchild", *MADE, createdByAppId=child.app_id, **bright)
        for made, by in ((child, console), (grandchild, child.service_principal)):
            self.notes.creators[self.uid("application", made.id)] = self.uid("service-principal", by)
            self.notes.creators[self.uid("service-principal", made.service_principal)] = self.uid("service-principal", by)
        for name in HOSTILE:
            self.foreign(name, STRANGER_TENANT, "named-owner", "unknown-third-party")

    def _people(self) -> None:
        tenant = self.tenant
        bright: dict[str, Any] = {"partner": "brightwater"}
        quarry: dict[str, Any] = {"partner": "quarry", "ours": True}
        by: dict[str, Any] = {"by": "brightwater.example"}
        admin = self.guest("ops@brightwater.example", "over-privileged", *STRAY, **bright, **by)
        tenant.directory_role(admin, "Global Administrator")
        inner, outer = (tenant.add("groups", displayName=name, isAssignableToRole=True) for name in ("Inner", "Tier0"))
        tenant.link(outer, "members", self.guest("night@quarry.example", "over-privileged", **quarry), inner)
        tenant.link(inner, "members", self.guest("deep@quarry.example", "over-privileged", **quarry), outer)
        tenant.directory_role(outer, "Privileged Role Administrator")
        self.guest("idle@brightwater.example", "inactive", seen=200, **bright, ours=True)
        self.guest("pending@brightwater.example", "inactive", seen=None, state="PendingAcceptance", **bright, ours=True)
        self.guest("gone@brightwater.example", accountEnabled=False, **bright, **by)
        self.guest("someone@mail.example")
        ended = ("contract-ended", "used-after-end", *STRAY)
        eligible = self.guest("elig@tessel.example", "over-privileged", *ended, seen=0.1, partner="tessel", by="tessel.example")
        tenant.directory_role(eligible, "Global Administrator", eligible=True)
        lena = tenant.user("lena@halden.example", self.ago(900), last_sign_in=self.ago(1))
        self.notes.identity(self.uid("user", lena), unclear=PERSON)
        tenant.directory_role(lena, "Global Administrator")
        tenant.user("nobody.special@halden.example", self.ago(900), last_sign_in=self.ago(1))

    def _applications(self) -> None:
        self.app("ledger-api", "named-owner")
        self.app("ledger-web", ours=True)
        owner = self.guest("dev@brightwater.example", "over-privileged", partner="brightwater", ours=True)
        bot = self.app("recon-bot", "named-owner", owners=[owner])
        self.tenant.app_role(bot.service_principal, "Application.ReadWrite.All", self.ago(100))
        self.notes.identity(self.uid("service-principal", bot.service_principal), "over-privileged")
        weak = self.guest("junior@brightwater.example", partner="brightwater", ours=True)
        self.app("small-bot", "named-owner", owners=[weak])
        self.app("brightwater-by-name", *STRAY, partner="brightwater", by="brightwater-*")
        self.app("unseen", ours=True, seen=None)
        young = self.tenant.application("young", self.ago(10))
        self.notes.identity(self.uid("application", young.id), ours=True)
        self.notes.identity(self.uid("service-principal", young.service_principal), ours=True, unclear=("inactive",))

    def _credentials(self) -> None:
        def keyed(name: str) -> Application:
            return self.app(name, ours=True, keyed=True)

        self.secret(keyed("s-expired"), 100, -10, "expired-but-enabled", used=20)
        renewed = keyed("s-renewed")
        self.secret(renewed, 100, -2, "expired-but-enabled", used=3)
        self.secret(renewed, 50, 100)
        overlapping = keyed("s-overlap")
        self.secret(overlapping, 100, 200, "overlap-too-long", newest=False)
        self.secret(overlapping, 30, 200)
        rotating = keyed("s-rotating")
        self.secret(rotating, 100, 200, newest=False)
        self.secret(rotating, 3, 200)
        self.secret(keyed("s-old"), 900, 100, "rotation-age")
        self.secret(keyed("s-edge"), 179.9, 100)
        self.secret(keyed("s-no-end-told"), 20, None, unclear=("credential-expiry", "expired-but-enabled"))
        for year in (2299, 9999):  # what Microsoft's own tools have written for "never"
            forever = keyed(f"s-{year}")
            key = self.tenant.secret(forever.id, self.ago(20), self.notes.now.replace(year=year, month=12, day=31))
            self.tenant.credential_used(forever, key, self.ago(1))
            uid = self.notes.credential(self.uid("client-secret", key), self.uid("application", forever.id), "credential-expiry")
            self.notes.unproven(uid)
        self.secret(keyed("s-idle"), 100, 80, "inactive", used=60)
        self.secret(keyed("s-unused"), 100, 80, used=None, unclear=("inactive",))
        self.secret(keyed("s-fresh"), 10, 80, used=None)
        certified = keyed("c-old")
        key = self.tenant.certificate(certified.id, self.ago(400), self.ago(-300))
        self.tenant.credential_used(certified, key, self.ago(1), certificate=True)
        self.notes.credential(self.uid("certificate", key), self.uid("application", certified.id), "rotation-age")
        off = self.tenant.application("s-off", self.ago(900), isDisabled=True)
        self.tenant.change(off.service_principal, accountEnabled=False, isDisabled=True)
        self.tenant.secret(off.id, self.ago(900), None)
        on_principal = self.app("s-on-principal", ours=True)
        key = self.tenant.secret(on_principal.service_principal, self.ago(300), self.ago(-100))
        self.tenant.credential_used(on_principal, key, self.ago(1), credentialOrigin="servicePrincipal")
        uid = self.uid("service-principal", on_principal.service_principal)
        self.notes.unproven(self.notes.credential(self.uid("client-secret", key), uid, "rotation-age"))

    def _outside_issuers(self) -> None:
        def trusting(name: str, issuer: str, *broken: str, **facets: Any) -> None:
            app = self.app(name, *broken, federated=True, **facets)
            key = self.tenant.federated(app.id, issuer, f"repo:halden/{name}")
            self.notes.credential(self.uid("federated-credential", key), self.uid("application", app.id))

        trusting("deployer", BRIGHTWATER_ISSUER, partner="brightwater", ours=True)
        trusting(
            "deployer-two",
            BRIGHTWATER_ISSUER,
            "named-owner",
            app_only=("workload-registered",),
            partner="brightwater",
            by=BRIGHTWATER_ISSUER,
        )
        trusting("stray-ci", STRANGER_ISSUER, "named-owner", app_only=("unknown-third-party",))
        trusting("own-ci", OWN_ISSUER, ours=True)

    def _delegations(self) -> None:
        tenant = self.tenant
        helpers = guid("stranger helpers")
        self.agents()
        tenant.directory_role(helpers, "Directory Readers", organization=STRANGER_TENANT)
        self.way_in("foreign-principal", helpers, "unknown-third-party")
        # Nobody can list a service provider's roles; but it is one in no other tenant, so they are no copy of any.
        tenant.partner(BRIGHTWATER_TENANT, service_provider=True)
        self.way_in("partner-tenant", BRIGHTWATER_TENANT, "unconditioned-trust", *STRAY, partner="brightwater", by=BRIGHTWATER_TENANT,
                    unclear=("over-privileged",))  # fmt: skip
        tenant.partner(QUARRY_TENANT, service_provider=True, roles=["Global Reader"])
        self.way_in("partner-tenant", QUARRY_TENANT, partner="quarry", ours=True, unclear=("over-privileged",))
        tenant.partner(STRANGER_TENANT)
        self.way_in("partner-tenant", STRANGER_TENANT, "unknown-third-party")
        tenant.partner(TESSEL_TENANT, b2bCollaborationInbound=BLOCKED, b2bDirectConnectInbound=BLOCKED)
        self.way_in("partner-tenant", TESSEL_TENANT, partner="tessel", by=TESSEL_TENANT, unclear=("used-after-end",))

    def agents(self) -> None:
        """Give Quarry's agents a role here that nobody registered; in SUBSIDIARY not all that they hold can be listed."""
        agents = guid("quarry agents")
        self.tenant.directory_role(agents, "User Administrator", organization=QUARRY_TENANT)
        self.way_in("foreign-principal", agents, "over-privileged", *STRAY, partner="quarry", by=QUARRY_TENANT,
                    unclear=("replicated-access",))  # fmt: skip

    def _azure(self) -> None:
        tenant, azure = self.tenant, self.tenant.azure
        production = azure.subscription("production")
        scope = f"/subscriptions/{production}"
        backup = self.foreign("Brightwater Backup", BRIGHTWATER_TENANT, "over-privileged", partner="brightwater", ours=True)
        azure.role(backup, "Owner", scope, self.ago(200))
        # Brightwater's is the one owner, unless Quarry's staff hold a role there that cannot be listed
        self.notes.unclear.add(("sole-administrator", self.uid("subscription", production)))
        viewer = self.foreign("Brightwater Viewer", BRIGHTWATER_TENANT, partner="brightwater", ours=True)
        azure.role(viewer, "Reader", scope, self.ago(200))
        night = tenant.managed_identity(
            "mi-nightly", f"{scope}/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mi-nightly"
        )
        azure.role(night, "Contributor", scope, self.ago(200))
        self.notes.identity(self.uid("service-principal", night), "named-owner", "over-privileged", unclear=("inactive",))
        site = tenant.managed_identity("web", f"{scope}/resourcegroups/rg/providers/Microsoft.Web/sites/web")
        self.notes.identity(self.uid("service-principal", site), ours=True, unclear=("inactive",))
        second = azure.subscription("data")
        given = azure.lighthouse(BRIGHTWATER_TENANT, second, {guid("brightwater group"): "Contributor"})
        self.way_in(
            "lighthouse-delegation", given.lower().lstrip("/"), "over-privileged", *STRAY, partner="brightwater", by=BRIGHTWATER_TENANT
        )
        given = azure.lighthouse(STRANGER_TENANT, production, {guid("stranger group"): "Reader"})
        self.way_in("lighthouse-delegation", given.lower().lstrip("/"), "unknown-third-party")

    def subsidiary(self) -> None:
        """Seed a tenant whose delegated grants are denied: nobody's grants are complete there."""
        self.tenant.azure.subscription("only")
        self.agents()
        strong = self.app("strong", "named-owner", seen=None)
        self.tenant.app_role(strong.service_principal, "RoleManagement.ReadWrite.Directory", self.ago(90))
        self.notes.identity(self.uid("service-principal", strong.service_principal), "over-privileged")
        plain = self.app("plain", ours=True, seen=None)
        self.notes.unclear.add(("over-privileged", self.uid("service-principal", plain.service_principal)))
        self.notes.scope("azure", SUBSIDIARY, "entra-sub")

    def fleet(self) -> None:
        """Seed 1,200 service principals; every hundredth has a secret that has ended, and each of the others one that has not."""
        self.tenant.azure.subscription("only")
        for number in range(FLEET_SIZE):
            made = self.tenant.add("servicePrincipals", displayName=f"worker-{number:04}", appOwnerOrganizationId=FLEET)
            ended = number % 100 == 99
            key = self.tenant.secret(made, self.ago(20), self.ago(5 if ended else -60))
            uid = self.notes.identity(self.uid("service-principal", made), ours=True)
            uid = self.notes.credential(self.uid("client-secret", key), uid, *(("expired-but-enabled",) if ended else ()))
            if not ended:
                self.notes.unproven(uid)
        for number in range(FLEET_APPS):
            app = self.tenant.application(f"unit-{number:02}", self.ago(5))
            key = self.tenant.federated(app.id, OWN_ISSUER, f"unit:{number}")
            uid = self.notes.identity(self.uid("application", app.id), ours=True)
            self.notes.credential(self.uid("federated-credential", key), uid)
            self.notes.identity(self.uid("service-principal", app.service_principal), ours=True, unclear=("inactive",))
