"""What holds for identities that only some clouds have: standing ways in from outside, places that hold credentials, found accounts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from countersign import facts
from countersign.identity import Coverage, Credential, Grant, Identity, Trust
from countersign.inventory import collect, spool
from countersign.programme import AwsSource
from countersign.reading import Scope
from countersign.register.records import Contract, Customer, Footprint, Partner, Person, Policies, Policy, Register

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.identity import Record

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
TENANT = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
ACME = "6d1f7a34-2c58-4e0b-9a71-5be0c9d3f821"
REGISTER = Register(
    customer=Customer(id="northwind", name="Northwind", timezone="Europe/London"),
    people={"maria": Person(id="maria", name="Maria", email="maria@Northwind.example", active=True)},
    partners={
        "acme": Partner(
            id="acme",
            name="Acme",
            contract=Contract(reference="C-1", starts=date(2025, 1, 1), ends=date(2027, 1, 1)),
            footprint=Footprint(entra_tenants=(ACME,), email_domains=("acme.example",), gcp_projects=("acme-ops",)),
        )
    },
    policies=Policies(human=Policy(mfa="required"), machine=Policy(max_idle=timedelta(days=45))),
    digest="sha256:0",
)


def judged(
    folder: Path, provider: str, scope: str, records: Iterable[Record], found: Iterable[tuple[str, str]] = ()
) -> dict[str, dict[str, Any]]:
    reading = spool(records, Scope("s", provider, scope), folder / "work", folder / "observations")
    readings = collect([reading], folder / "work", folder / "inventory")
    programme: Any = SimpleNamespace(
        register=REGISTER, sources=(AwsSource(name="aws", accounts=("444455556666",), regions=("eu-west-2",)),), vendors=None
    )
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF, found), readings)
    with facts.opened(database) as db:
        rows = db.execute("SELECT * FROM facts WHERE subject_kind <> 'scope'")
        names = [column[0] for column in rows.description]
        return {row[0].partition("/")[2]: dict(zip(names, row, strict=True)) for row in rows.fetchall()}


def one(provider: str, scope: str, kind: str, name: str, **changes: Any) -> Identity:
    held: dict[str, Any] = {
        "uid": f"{provider}:{scope}:{kind}/{name}", "provider": provider, "scope": scope, "kind": kind, "native_id": name, "name": name,
        "track": "machine", "enabled": True, "created_at": AS_OF - timedelta(days=900), "observed_at": AS_OF,
    }  # fmt: skip
    return Identity(**(held | changes))


def lets_in(identity: Identity, party_kind: Any, party: str, condition: str | None = None) -> Trust:
    return Trust(
        identity_uid=identity.uid, provider=identity.provider, scope=identity.scope, party_kind=party_kind, party=party, condition=condition
    )


def test_a_delegation_is_judged_for_its_party_and_needs_an_owner_only_with_a_partner_behind_it(tmp_path: Path) -> None:
    partner, stranger = (
        one("azure", TENANT, "partner-tenant", name, track="delegation") for name in (ACME, "e5b3d8c4-0f16-4a2d-a7e9-84c1f6b02d39")
    )
    rows = judged(tmp_path, "azure", TENANT, [
        partner, lets_in(partner, "entra-tenant", ACME.upper(), "cross-tenant access"), stranger, lets_in(stranger, "entra-tenant", stranger.name),
    ])  # fmt: skip
    assert ("acme", True, 0, 0) == tuple(rows[ACME][name] for name in ("partner", "needs_owner", "unknown_parties", "unconditioned_trusts"))
    assert (None, False, 1, 1) == tuple(
        rows[stranger.name][name] for name in ("partner", "needs_owner", "unknown_parties", "unconditioned_trusts")
    )
    assert {(False, False, False)} == {(row["idles"], row["must_have_mfa"], row["track_why"] is not None) for row in rows.values()}


@pytest.mark.parametrize(
    ("kind", "party", "partner", "unknown"),
    [
        ("email-domain", "acme.example", "acme", 0), ("email-domain", "northwind.example", None, None), ("email-domain", "gmail.com", None, 1),
        ("gcp-principal", "acme-ops", "acme", 0), ("gcp-principal", "shop", None, None), ("gcp-principal", "elsewhere", None, 1),
        ("x509-issuer", "CN=Acme", None, 1),
    ],
)  # fmt: skip
def test_parties_are_the_customer_s_own_a_partner_s_or_unknown(
    tmp_path: Path, kind: Any, party: str, partner: str | None, unknown: int | None
) -> None:
    member = one("gcp", "shop", "member", "m", track="delegation")
    row = judged(tmp_path, "gcp", "shop", [member, lets_in(member, kind, party, "the mailbox")], found=[("gcp", "shop")])["m"]
    assert (partner, unknown) == (row["partner"], row["unknown_parties"])


def test_an_account_that_the_organisation_turned_out_to_hold_is_no_outside_party(tmp_path: Path) -> None:
    role = one("aws", "444455556666", "role", "r")
    records = [role, lets_in(role, "aws-account", "444455557777")]
    assert judged(tmp_path / "a", "aws", "444455556666", records)["r"]["unknown_parties"] == 1
    assert judged(tmp_path / "b", "aws", "444455556666", records, found=[("aws", "444455557777")])["r"]["trusted_from_outside"] is False


def test_secrets_of_an_account_live_though_nobody_is_asked_to_own_the_account(tmp_path: Path) -> None:
    account = one("aws", "444455556666", "account", "444455556666", provider_managed=True)
    secret = Credential(
        uid="aws:444455556666:secret/db", identity_uid=account.uid, provider="aws", scope="444455556666", kind="secret", enabled=True,
        created_at=AS_OF - timedelta(days=400), last_used_state="known", last_used_at=AS_OF - timedelta(days=100), observed_at=AS_OF,
    )  # fmt: skip
    rows = judged(tmp_path, "aws", "444455556666", [account, secret])
    assert (True, 55) == (rows["db"]["idles"], round(rows["db"]["days_past_idle"]))
    assert (False, False) == (rows["444455556666"]["needs_owner"], rows["444455556666"]["idles"])


def test_a_missing_listing_leaves_open_only_what_it_may_hide(tmp_path: Path) -> None:
    def missing(operation: str, kind: str) -> Coverage:
        return Coverage(
            source="s", provider="gcp", scope="shop", operation=operation, state="denied", covers=(kind,), started=AS_OF, finished=AS_OF
        )

    account = one("gcp", "shop", "service-account", "1", last_active_state="known", last_active_at=AS_OF)
    found = [
        judged(tmp_path / kind, "gcp", "shop", [account, missing(operation, kind)])["1"]["idles"]
        for operation, kind in (("apikeys.keys.list", "api-key"), ("iam.serviceAccountKeys.list", "service-account-key"))
    ]
    assert [True, None] == found


def test_who_logs_in_by_federation_alone_is_judged_by_its_own_use(tmp_path: Path) -> None:
    app = one("azure", TENANT, "application", "a", last_active_state="known", last_active_at=AS_OF - timedelta(days=60))
    federated = Credential(
        uid="f", identity_uid=app.uid, provider="azure", scope=TENANT, kind="federated-credential", enabled=True, observed_at=AS_OF
    )
    row = judged(tmp_path, "azure", TENANT, [app, federated])["a"]
    assert (True, 15) == (row["idles"], round(row["days_past_idle"]))


def test_who_can_become_an_administrator_counts_like_one_and_the_rule_is_named(tmp_path: Path) -> None:
    app = one("azure", TENANT, "service-principal", "a")
    grants = (
        Grant(identity_uid=app.uid, provider="azure", scope=TENANT, role=role, power=power, rule=rule)
        for role, power, rule in (("Mail.Read", "limited", None), ("Application.ReadWrite.All", "escalation", "entra-app-secrets"))
    )
    row = judged(tmp_path, "azure", TENANT, [app, *grants])["a"]
    assert (1, "can become an administrator", "Application.ReadWrite.All [entra-app-secrets]") == (
        row["admin_grants"],
        row["admin_power"],
        row["admin_roles"],
    )
