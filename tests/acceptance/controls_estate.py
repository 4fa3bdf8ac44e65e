"""Northgate Rail's estate as typed records: whoever is in it is in order but for what the table says of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_DNS, uuid5

from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Trust, uid
from countersign.reading import Scope

if TYPE_CHECKING:
    from countersign.identity import PartyKind, Power, Record

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
MAIN, SIDE, LAB, HIST, SLOW, DARK = "444455556666", "444455557777", "444455558888", "444455559999", "444455550000", "444455551111"
MIST = "444455552222"
"""MAIN is production; only acme administers LAB, and perhaps MIST; HIST rotates; SLOW is what nobody gets round to; DARK is refused."""
ACME, COBALT, STRANGER = "111122223333", "222233334444", "999900001111"
TENANT = "3f0e0000-1111-4222-8333-444455556666"
PROJECT, VAULT = "northgate-prod", "safe"
OLD_MAKER: dict[str, str] = {"created_by": "older than the 90 days that CloudTrail looks back"}
OFF: dict[str, Any] = {"enabled": False}
MAYBE: dict[str, Any] = {"enabled": None, "unknown": OLD_MAKER | {"enabled": "whether it is enabled was not told"}}
UNTOLD_USE: dict[str, Any] = {"last_used_at": None, "last_used_state": "unknown", "unknown": {"last_used_at": "its use was not told"}}

SCOPES = {
    **{number: Scope("aws", "aws", number) for number in (MAIN, SIDE, LAB, HIST, SLOW, DARK, MIST)},
    TENANT: Scope("entra", "azure", TENANT),
    PROJECT: Scope("gcp", "gcp", PROJECT),
    VAULT: Scope("safe", "vault", VAULT),
}


class Estate:
    """Records by scope, and what each subject of the table is called by its provider."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = defaultdict(list)
        self.subjects: dict[str, str] = {}
        """Label to subject."""
        self.until: dict[str, datetime] = {}
        """Identity or credential to when it was deleted."""

    # --- makers ---

    def identity(self, label: str, *, scope: str = MAIN, kind: str = "user", name: str | None = None, **facets: Any) -> Identity:
        """Put in a machine that is in order, registered by its name unless the register does not know it."""
        provider = SCOPES[scope].provider
        native = str(uuid5(NAMESPACE_DNS, label)) if provider == "azure" else f"ID{label.upper()}"
        name = name or label
        held: dict[str, Any] = {
            "uid": uid(provider, scope, kind, native), "provider": provider, "scope": scope, "kind": kind, "native_id": native, "name": name,
            "aliases": (f"arn:aws:iam::{scope}:{kind}/{name}",) if provider == "aws" else (),
            "track": "machine", "enabled": True, "console": False, "mfa": False, "created_at": AS_OF - 400 * DAY,
            "last_active_at": AS_OF - HOUR, "last_active_state": "known", "observed_at": AS_OF, "unknown": OLD_MAKER,
        }  # fmt: skip
        made = Identity(**(held | facets))
        self.records[scope].append(made)
        self.subjects[label] = made.uid
        return made

    def credential(  # noqa: PLR0913 - all but the holder have a usual value
        self, label: str, of: Identity, what: str = "key", *, kind: str = "access-key", age: timedelta = 10 * DAY,
        used: timedelta | None = HOUR, **facets: Any,
    ) -> Credential:  # fmt: skip
        """Put in a young credential in use; `used` None: never."""
        held: dict[str, Any] = {
            "uid": uid(of.provider, of.scope, kind, f"{label.upper()}-{what.upper()}"), "identity_uid": of.uid, "provider": of.provider,
            "scope": of.scope, "kind": kind, "enabled": True, "created_at": AS_OF - age, "observed_at": AS_OF,
            "last_used_at": None if used is None else AS_OF - used, "last_used_state": "never" if used is None else "known",
        }  # fmt: skip
        made = Credential(**(held | facets))
        self.records[of.scope].append(made)
        self.subjects[f"{label}/{what}"] = made.uid
        return made

    def machine(
        self, label: str, *, scope: str = MAIN, name: str | None = None, key: dict[str, Any] | None = None, **facets: Any
    ) -> Identity:
        """Put in a user with an access key."""
        made = self.identity(label, scope=scope, name=name, **facets)
        self.credential(label, made, **(key or {}))
        return made

    def role(self, label: str, *trusts: tuple[str, str | None], scope: str = MAIN, name: str | None = None, **facets: Any) -> Identity:
        """Put in a role that (account, condition) may assume."""
        made = self.identity(label, scope=scope, kind="role", name=name, **facets)
        for party, condition in trusts:
            self.trust(made, party, condition)
        return made

    def person(self, label: str, *, password: dict[str, Any] | None = None, **facets: Any) -> Identity:
        """Put in somebody who signs in with a password and MFA."""
        who: dict[str, Any] = {"track": "human", "console": True, "mfa": True}
        secret: dict[str, Any] = {"kind": "password", "age": 30 * DAY}
        made = self.identity(label, **(who | facets))
        self.credential(label, made, "password", **(secret | (password or {})))
        return made

    def trust(self, of: Identity, party: str, condition: str | None, kind: PartyKind = "aws-account") -> None:
        self.records[of.scope].append(
            Trust(identity_uid=of.uid, provider=of.provider, scope=of.scope, party_kind=kind, party=party, condition=condition)
        )

    def grant(self, of: Identity, role: str, power: Power | None) -> None:
        self.records[of.scope].append(Grant(identity_uid=of.uid, provider=of.provider, scope=of.scope, role=role, power=power))

    # --- who is there ---

    def build(self) -> Estate:
        self._owners()
        self._partners()
        self._conflicts()
        self._rotation()
        self._entra()
        self._other_clouds()
        self._activity()
        self._privilege()
        self._trusts()
        self._people()
        self._makers()
        self._ends()
        self._incidents()
        self._reviews()
        self._house()
        self._history()
        for scope, label in ((MAIN, "main"), (MIST, "mist"), (LAB, "lab")):
            self.subjects[label] = f"aws:{scope}:account/{scope}"
        for scope, label in ((MAIN, "source-main"), (DARK, "source-dark")):
            self.subjects[label] = f"aws:{scope}:source/aws"
        self.subjects["vault"] = f"vault:{VAULT}:namespace/{VAULT}"
        return self

    def _owners(self) -> None:
        self.machine("svc-plain")
        self.machine("svc-off", **OFF)
        self.machine("claimed", owner_claim="maria", created_by=f"arn:aws:iam::{MAIN}:user/people-ann", unknown={})
        self.role("slr", provider_managed=True)
        self.machine("dim", track=None, console=None, unknown=OLD_MAKER | dict.fromkeys(("track", "console"), "its track was not told"))
        for workload in ("left", "aimless", "endless"):
            self.machine(f"{workload}-bot")
            self.machine(f"{workload}-maybe", **MAYBE)
            self.machine(f"{workload}-off", **OFF)
        self.machine("half-left-bot")
        self.machine("late-bot")

    def _partners(self) -> None:
        self.machine("acme-plain")
        self.machine("stray-tagged", tags={"partner": "acme"})
        unread = OLD_MAKER | {"trusts": "the trust policy could not be read"}
        self.role("blind-role", name="svc-blind", unknown=unread)
        self.role("blind-stray", unknown=unread)
        self.role("blind-tagged", name="acme-blind", tags={"partner": "acme"}, unknown=unread)

    def _conflicts(self) -> None:
        self.role("acme-torn", (ACME, "sts:ExternalId"), tags={"partner": "cobalt"})
        self.role("acme-two", (ACME, "sts:ExternalId"), (COBALT, "sts:ExternalId"))
        self.machine("acme-mistagged", tags={"partner": "cobalt"})
        self.role("acme-same", (ACME, "sts:ExternalId"), tags={"partner": "acme"})

    def _rotation(self) -> None:
        self.machine("svc-rot-old", key={"age": 61 * DAY})
        self.machine("svc-rot-edge", key={"age": 60 * DAY})
        self.machine("svc-rot-second", key={"age": 60 * DAY + SECOND})
        self.machine("svc-rot-undated", key={"created_at": None, "unknown": {"created_at": "the report gives no date"}})
        self.machine("svc-rot-off", key={"age": 500 * DAY, "enabled": False})
        self.machine("side-rot", scope=SIDE, name="svc-rot-side", key={"age": 61 * DAY})
        self.machine("lab-rot", scope=LAB, name="svc-rot-lab", key={"age": 120 * DAY})
        self.machine("acme-strict", key={"age": 31 * DAY})
        self.machine("lax-bot", key={"age": 61 * DAY})
        self.machine("lax-allowed", key={"age": 61 * DAY})
        self.machine("lax-allowed-old", key={"age": 201 * DAY})
        for number in range(9):
            self.machine(f"svc-ex-{number}", key={"age": 61 * DAY})
        old = self.machine("svc-overlap-old", key={"age": 50 * DAY})
        self.credential("svc-overlap-old", old, "key2", age=8 * DAY)
        fine = self.machine("svc-overlap-fine", key={"age": 50 * DAY})
        self.credential("svc-overlap-fine", fine, "key2", age=6 * DAY)
        dim = self.machine("svc-overlap-dim", key={"age": 50 * DAY})
        self.credential(
            "svc-overlap-dim", dim, "key2", age=8 * DAY, enabled=None, unknown={"enabled": "whether it is enabled was not told"}
        )

    def _entra(self) -> None:
        def app(label: str, ends_in: timedelta | None, *, age: timedelta = 10 * DAY, **facets: Any) -> None:
            made = self.identity(label, scope=TENANT, kind="service-principal")
            expires = None if ends_in is None else AS_OF + ends_in
            self.credential(label, made, "secret", kind="client-secret", age=age, expires_at=expires, **facets)

        app("app-fine", 60 * DAY)
        app("app-endless", None, never_expires=True)
        app("app-dim", None, unknown={"expires_at": "its end was not told"})
        app("app-long", 720 * DAY)
        app("app-year", 355 * DAY)
        app("app-second", 355 * DAY + SECOND)
        app("app-undated", 60 * DAY, created_at=None, unknown={"created_at": "its start was not told"})
        app("app-expired", -10 * DAY, age=30 * DAY)
        app("app-off", -10 * DAY, age=30 * DAY, enabled=False)
        made = self.identity("app-federated", scope=TENANT, kind="service-principal")
        why = {"created_at": "Graph does not say since when", "last_used_at": "Graph does not tell the use of one"}
        self.credential(
            "app-federated",
            made,
            "federated",
            kind="federated-credential",
            created_at=None,
            last_used_at=None,
            last_used_state="unknown",
            unknown=why,
        )

    def _other_clouds(self) -> None:
        account = self.identity("svc-gcp-old", scope=PROJECT, kind="service-account", name=f"svc-old@{PROJECT}.iam.gserviceaccount.com")
        self.credential("svc-gcp-old", account, kind="service-account-key", age=91 * DAY, never_expires=True)

        def token(label: str, ttl: int | None, unknown: dict[str, str]) -> None:
            made = self.identity(label, scope=VAULT, kind="approle", name=f"svc-{label}")
            end = None if ttl is None else AS_OF - HOUR + timedelta(seconds=ttl)
            credential = self.credential(label, made, kind="token", age=HOUR, ttl_s=ttl, expires_at=end, unknown=unknown)
            self.subjects[label] = credential.uid

        token("token-long", 13 * 3600, {})
        token("token-short", 12 * 3600, {})
        token("token-dim", None, {"ttl_s": "its ttl was not told", "expires_at": "its ttl was not told"})
        root = self.identity("vault-root", scope=VAULT, kind="approle", name="acme-root")
        self.grant(root, "root", "administrator")

    def _activity(self) -> None:
        self.machine("svc-idle-never", key={"age": 46 * DAY, "used": None})
        self.machine("svc-idle-young", key={"age": 44 * DAY, "used": None})
        self.machine("svc-idle-edge", key={"age": 50 * DAY, "used": 45 * DAY + timedelta(minutes=15)})
        self.machine("svc-idle-over", key={"age": 50 * DAY, "used": 45 * DAY + timedelta(minutes=15, seconds=1)})
        self.machine("svc-idle-dim", key={"age": 50 * DAY} | UNTOLD_USE)
        self.role("idle-role", name="svc-idle-role", last_active_at=AS_OF - 46 * DAY)
        self.machine("cobalt-idle", key={"age": 50 * DAY, "used": None})

    def _privilege(self) -> None:
        self.grant(self.machine("svc-admin"), "AdministratorAccess", "administrator")
        self.grant(self.machine("svc-climber"), "CreatePolicyVersion", "escalation")
        self.grant(self.machine("svc-limited"), "ReadOnlyAccess", "limited")
        self.grant(self.machine("svc-odd"), "Odd", None)
        self.grant(self.machine("svc-admin-off", enabled=False), "AdministratorAccess", "administrator")
        self.grant(self.person("acme-person"), "AdministratorAccess", "administrator")
        # LAB: a switched-off administrator of the customer's and a role of the provider's own are nobody who could help.
        self.grant(self.role("acme-boss", (ACME, "sts:ExternalId"), scope=LAB), "AdministratorAccess", "administrator")
        self.grant(self.machine("svc-lab-off", scope=LAB, enabled=False), "AdministratorAccess", "administrator")
        self.grant(self.role("lab-slr", scope=LAB, provider_managed=True), "AWSServiceRolePolicy", "administrator")
        # MIST: acme administers it; whether somebody else does as well hangs on a policy that could not be read.
        self.grant(
            self.role("mist-boss", (ACME, "sts:ExternalId"), scope=MIST, name="acme-mist-boss"), "AdministratorAccess", "administrator"
        )
        self.grant(self.machine("mist-odd", scope=MIST, name="svc-mist-odd"), "Odd", None)

    def _trusts(self) -> None:
        self.role("acme-loose", (ACME, None))
        self.role("acme-tight", (ACME, "sts:ExternalId"))
        self.role("own-trust", (SIDE, None), name="svc-own-trust")
        self.role("svc-stranger", (STRANGER, "sts:ExternalId"))
        deploy = (ACME, "sts:ExternalId")
        self.grant(self.role("rollout", deploy), "Deploy", "limited")
        self.grant(self.role("stray-side-rollout", deploy, scope=SIDE, name="rollout"), "Deploy", "limited")
        self.grant(self.role("acme-sync", deploy), "Sync", "limited")
        self.grant(self.role("side-acme-sync", deploy, scope=SIDE, name="acme-sync"), "Sync", "limited")
        self.role("stray-reach", deploy, scope=SIDE, unknown=OLD_MAKER | {"grants": "its policies could not be read"})

    def _people(self) -> None:
        self.grant(self.person("people-ann"), "AdministratorAccess", "administrator")
        self.person("people-bare", mfa=False)
        self.person("people-off", mfa=False, enabled=False)
        robot = self.person("people-robot", mfa=False, password={"age": 400 * DAY, "used": 300 * DAY})
        self.credential("people-robot", robot)
        dim = self.person(
            "people-dim", mfa=None, unknown=OLD_MAKER | {"mfa": "MFA was not told"},
            password=UNTOLD_USE,
        )  # fmt: skip
        self.credential("people-dim", dim)
        keyed = self.person("people-keyed")
        self.credential("people-keyed", keyed, age=91 * DAY)
        self.machine("svc-console", console=True)
        self.machine("svc-console-dim", console=None, unknown=OLD_MAKER | {"console": "whether it has a password was not told"})

    def _makers(self) -> None:
        def arn(name: str) -> str:
            return f"arn:aws:iam::{MAIN}:user/{name}"

        young: dict[str, Any] = {"created_at": AS_OF - 20 * DAY, "unknown": {}}
        self.machine("acme-made", created_by=arn("acme-plain"), **young)
        self.machine("stray-made-1", created_by=arn("acme-plain"), **young)
        self.machine("stray-made-2", created_by=arn("stray-made-1"), **young)
        self.machine("stray-circle-1", created_by=arn("stray-circle-2"), tags={"partner": "acme"}, **young)
        self.machine("stray-circle-2", created_by=arn("stray-circle-1"), **young)
        self.machine("maker-unknown")

    def _ends(self) -> None:
        used = AS_OF - datetime(2026, 11, 15, tzinfo=UTC)
        before = AS_OF - datetime(2026, 11, 5, tzinfo=UTC)
        last_minute = AS_OF - datetime(2026, 11, 10, 23, 30, tzinfo=UTC)
        self.machine("ended-used", key={"age": 30 * DAY, "used": used})
        self.machine("ended-off-used", key={"age": 30 * DAY, "used": used} | OFF, **OFF)
        self.machine("ended-quiet", key={"age": 30 * DAY, "used": before})
        self.machine("ended-last-day", key={"age": 30 * DAY, "used": last_minute})
        self.machine("ended-dim", key={"age": 30 * DAY} | UNTOLD_USE)
        self.machine("ended-maybe", key={"age": 30 * DAY, "used": before}, **MAYBE)
        self.machine("today-bot")
        self.machine("boreal-bot")
        self.machine("boreal-off", key={"age": 90 * DAY, "used": 50 * DAY} | OFF, **OFF)
        self.machine("boreal-maybe", key={"age": 40 * DAY, "used": 30 * DAY}, **MAYBE)

    def _incidents(self) -> None:
        self.machine("svc-inc-open")
        self.machine("svc-inc-fresh")
        self.machine("svc-inc-closed")
        self.machine("svc-inc-off", **OFF)
        self.machine("svc-inc-maybe", **MAYBE)
        self.machine("dune-bot")

    def _reviews(self) -> None:
        self.machine("stale-bot")
        self.machine("stale-maybe", **MAYBE)
        self.machine("wrong-reviewer-bot")
        self.machine("never-bot")

    def _house(self) -> None:
        for scope, label in ((MAIN, "reader"), (SIDE, "side-reader")):
            role = self.role(label, scope=scope, name="northgate-reader")
            self.grant(
                role, "SecurityAudit" if label == "reader" else "AdministratorAccess", "limited" if label == "reader" else "administrator"
            )
            self.records[scope].append(Observation(
                source="aws", scope=scope, operation="iam:GetAccountAuthorizationDetails", parameters={}, page=1, at=AS_OF,
                caller=f"arn:aws:sts::{scope}:assumed-role/northgate-reader/a-night", items=(),
            ))  # fmt: skip

    def _history(self) -> None:
        """HIST and SLOW are read in earlier nights too; `nights` cuts what was not there yet or is gone."""
        for label, ages in (("often", (210, 140, 70)), ("once", (210, 60))):
            holder = self.identity(label, scope=HIST, name=f"svc-{label}", created_at=AS_OF - 500 * DAY)
            for number, age in enumerate(ages, 1):
                key = self.credential(label, holder, f"key{number}", age=age * DAY)
                if number < len(ages):
                    self.until[key.uid] = AS_OF - ages[number] * DAY
        self.machine("newcomer", scope=HIST, name="svc-newcomer", created_at=AS_OF - 9 * DAY, key={"age": 9 * DAY})
        self.machine("slow-orphan", scope=SLOW, created_at=AS_OF - 400 * DAY)
        self.machine("slow-key", scope=SLOW, name="svc-slow-key", key={"age": 100 * DAY})
        self.machine("boreal-slow", scope=SLOW)
        self.until[self.machine("boreal-quick", scope=SLOW).uid] = AS_OF - 9 * DAY + HOUR / 2
        self.machine("fresh-key", scope=SLOW, name="svc-fresh-key", key={"age": 90 * DAY + 12 * HOUR})

    # --- nights ---

    def night(self, scope: str, as_of: datetime) -> list[Record]:
        """Give a scope as it was at an instant: what came later is not there, uses and readings are of then."""
        shift = AS_OF - as_of
        found: list[Record] = []
        for record in self.records[scope]:
            if isinstance(record, Identity | Credential):
                if (record.created_at is not None and record.created_at > as_of) or self.until.get(record.uid, AS_OF + DAY) <= as_of:
                    continue
                used = "last_active_at" if isinstance(record, Identity) else "last_used_at"
                was = getattr(record, used)
                then: dict[str, Any] = {"observed_at": as_of, used: None if was is None else was - shift}
                found.append(replace(record, **then))
            else:
                found.append(record)
        provider = SCOPES[scope].provider
        kinds = sorted({record.kind for record in found if isinstance(record, Identity | Credential)})
        found.append(Coverage(
            source=SCOPES[scope].source, provider=provider, scope=scope, operation="listing", state="complete", covers=tuple(kinds), rows=len(found),
            pages=1, started=as_of, finished=as_of,
        ))  # fmt: skip
        return found
