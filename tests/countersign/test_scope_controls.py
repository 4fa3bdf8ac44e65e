"""Controls over places: who administers an account, a project, a tenant, a subscription or a namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from estates import ACME, AWS, BRIGHT, DARK, OTHER, STRANGER, Bench, dim, grant, missing, one, person, register, trust, workload
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.finding import fingerprint
from countersign.identity import Grant, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from countersign.identity import Power, Record

TENANT = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
ORGANIZATION = "organizations/12"
ACMES: dict[str, Any] = {"tags": {"partner": "acme"}}
BRIGHTS: dict[str, Any] = {"tags": {"partner": "bright"}}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def admin(scope: str, name: str = "acme-ops", *, power: Power | None = "administrator", **facets: Any) -> list[Record]:
    held = one(name, scope=scope, **(ACMES | facets))
    return [held, grant(held, power)]


def ours(scope: str, name: str = "ann", **facets: Any) -> list[Record]:
    return admin(scope, name, **({"track": "human", "tags": {}} | facets))


def role(scope: str, *parties: str, name: str = "way-in", **facets: Any) -> list[Record]:
    held = one(name, "role", scope, **facets)
    return [held, grant(held), *(trust(held, party) for party in parties)]


def root(scope: str) -> list[Record]:
    held = person("<root_account>", scope=scope, uid=f"aws:{scope}:user/{scope}", native_id=scope)
    return [held, grant(held)]


HIDDEN = f"whose an administrator is: {DARK}"
PLACES: list[tuple[Callable[[str], Iterable[Record]], object]] = [
    (admin, False),
    (lambda a: [*admin(a), *ours(a)], True),
    (lambda a: [*admin(a), *admin(a, "bright-ops", **BRIGHTS)], True),
    (lambda a: [*admin(a), *admin(a, "acme-too"), *role(a, ACME)], False),
    (ours, True),
    (lambda a: [one(scope=a)], None),
    (lambda a: admin(a, power="escalation"), None),
    (lambda a: admin(a, enabled=False), None),
    (lambda a: [*admin(a), *ours(a, enabled=False)], False),
    (lambda a: [*admin(a), *ours(a, power="escalation")], False),
    (lambda a: [*admin(a), *ours(a, provider_managed=True)], False),
    (lambda a: [*admin(a), *root(a)], False),
    (root, None),
    (lambda a: [*admin(a), *ours(a, **dim("enabled"))], f"whether an administrator is enabled: {DARK}"),
    (lambda a: admin(a, **dim("enabled")), f"whether an administrator is enabled: {DARK}"),
    (lambda a: [*admin(a), *admin(a, "acme-too", **dim("enabled"))], False),
    (lambda a: [*admin(a), *ours(a, power=None)], "policy not read: Odd"),
    (lambda a: [*admin(a), *admin(a, "acme-too", power=None)], False),
    (lambda a: ours(a, power=None), "policy not read: Odd"),
    (lambda a: [*admin(a), one(scope=a, unknown={"grants": DARK})], DARK),
    (lambda a: [*admin(a), one("off", scope=a, enabled=False, unknown={"grants": DARK})], False),
    (lambda a: [*admin(a), *ours(a), one(scope=a, unknown={"grants": DARK})], True),
    (lambda a: [*admin(a), *role(a, unknown={"trusts": DARK})], HIDDEN),
    (lambda a: [*admin(a), *role(a, STRANGER)], f"an administrator may be used by {STRANGER}, of whom the register knows nothing"),
    (lambda a: [*admin(a), *role(a, OTHER)], True),
    (lambda a: [*admin(a), *role(a, STRANGER, name="registered")], True),
    (lambda a: role(a, ACME, track="delegation"), False),
    (lambda a: [*admin(a), *role(a, BRIGHT, track="delegation")], True),
    (lambda a: [*admin(a), missing(a, "user", "access-key")], "list: refused"),
    (lambda a: [*admin(a), missing(a, "access-key")], False),
    (lambda a: [*admin(a), *ours(a), missing(a, "user")], True),
    (lambda a: [missing(a, "role")], "list: refused"),
]
"""(an account, the verdict); None: nobody administers it."""


def test_an_account_is_administered_by_more_than_one_partner_alone(bench: Bench) -> None:
    accounts = {f"4444555600{number:02}": (make, expected) for number, (make, expected) in enumerate(PLACES)}
    estate = {f"aws:{account}": tuple(make(account)) for account, (make, _) in accounts.items()}
    held = register(workload("own", "aws:*:role/registered"))
    found = bench.verdicts("sole-administrator", estate, held, denied=[f"aws:{OTHER}"])
    assert {account: expected for account, (_, expected) in accounts.items()} | {OTHER: "it was not read: list: refused"} == {
        account: found[account] for account in (*accounts, OTHER)
    }


def test_a_finding_names_the_partner_and_its_administrators_and_is_told_from_the_account_s_own(bench: Bench) -> None:
    names = [f"acme-{number}" for number in range(7)]
    rows = bench.rows([each for name in names for each in admin(AWS, name)])
    (row,) = [row for row in rows if row["subject_kind"] == "scope" and row["kind"] == "account"]
    assert f"aws:{AWS}:account/{AWS}" == row["subject"]
    assert ("acme", None, "acme-0, acme-1, acme-2, acme-3, acme-4 and others") == tuple(
        row[name] for name in ("partner", "accountable", "administrators")
    )
    assert [f"aws:{AWS}:source/aws"] == [row["subject"] for row in rows if row["subject_kind"] == "scope" and row["was_expected"]]


def gcp(name: str, scope: str, kind: str = "service-account", **facets: Any) -> Identity:
    return one(name, kind, scope, "gcp", **facets)


def test_who_administers_the_organization_administers_its_projects(bench: Bench) -> None:
    acme = [gcp(f"acme@p{number}", f"p{number}", **ACMES) for number in range(3)]
    projects = {f"gcp:{each.scope}": [each, grant(each)] for each in acme}
    boss = gcp("boss@northwind.example", ORGANIZATION, "member", track="human")

    def judged(*records: Record) -> dict[str, object]:
        return dict(bench.verdicts("sole-administrator", {**projects, f"gcp:{ORGANIZATION}": records}))

    alone = dict.fromkeys(("p0", "p1", "p2"), False)
    assert alone | {"12": None} == judged(boss, grant(boss, "limited"))
    assert dict.fromkeys((*alone, "12"), True) == judged(boss, grant(boss))
    folder = "whether it lies in a folder that others administer"
    assert dict.fromkeys(alone, folder) | {"12": None} == judged(
        boss, grant(boss, resource="//cloudresourcemanager.googleapis.com/folders/7")
    )
    # An account of a project that holds its role from above, for all.
    assert alone | {"12": False} == judged(grant(acme[0], scope=ORGANIZATION))
    unread = judged(missing(ORGANIZATION, "member", provider="gcp"))
    assert {"what is given at the organization was not read: list: refused"} == {unread[name] for name in alone}
    shut = bench.verdicts("sole-administrator", dict(projects), denied=[f"gcp:{ORGANIZATION}"])
    assert {"what is given at the organization was not read: list: refused"} == {shut[name] for name in alone}


def test_a_subscription_is_judged_beside_its_tenant(bench: Bench) -> None:
    sub, group = "/subscriptions/ABC-1", "/providers/Microsoft.Management/managementGroups/shops"
    nobody, shared, alone, unclear = (False, None), (True, True), (True, False), (True, None)
    cases: list[tuple[tuple[str, ...], tuple[str, ...], dict[str, object]]] = [
        ((sub,), (), {"tenant": nobody, "subscription": alone}),
        ((sub,), ("*",), {"tenant": shared, "subscription": alone}),
        (("*", sub), (sub,), {"tenant": alone, "subscription": shared}),
        ((sub,), ("/",), {"tenant": nobody, "subscription": shared}),
        ((sub,), (group,), {"tenant": nobody, "subscription": unclear}),
        ((sub, group), (), {"tenant": nobody, "subscription": alone}),
        ((f"{sub}/resourceGroups/rg",), ("/administrativeUnits/1",), {"tenant": nobody}),
    ]
    estate: dict[str, list[Record]] = {}
    for number, (acmes, anns, _) in enumerate(cases):
        tenant = f"{TENANT[:-1]}{number}"
        acme, ann = (one(name, "user", tenant, "azure", track="human", **facets) for name, facets in (("acme", ACMES), ("ann", {})))
        given = [*(grant(acme, resource=each) for each in acmes), *(grant(ann, resource=each) for each in anns)]
        estate[f"azure:{tenant}"] = [acme, ann, *given]
    found: dict[str, dict[str, object]] = {scope.partition(":")[2]: {} for scope in estate}
    for row in bench.rows(estate):
        if row["subject_kind"] == "scope" and not row["was_expected"]:
            assert row["subject"] == f"azure:{row['scope']}:{row['kind']}/{row['scope'] if row['kind'] == 'tenant' else 'abc-1'}"
            found[row["scope"]][row["kind"]] = (row["is_administered"], row["administration_is_shared"])
    assert [verdicts for *_, verdicts in cases] == list(found.values())


def test_a_namespace_is_judged_as_a_whole(bench: Bench) -> None:
    token = one("root", "token", "safe", "vault", **ACMES)
    assert {"safe": False} == {
        name: found for name, found in bench.verdicts("sole-administrator", {"vault:safe": [token, grant(token)]}).items() if name == "safe"
    }


@st.composite
def administered(draw: st.DrawFn, scope: str) -> list[Record]:
    found: list[Record] = []
    for number in range(draw(st.integers(0, 4))):
        found += admin(
            scope, f"u{number}",
            tags=draw(st.sampled_from([{"partner": "acme"}, {"partner": "acme"}, {"partner": "bright"}, {}])),
            enabled=draw(st.sampled_from([True, True, True, False])),
            power=draw(st.sampled_from(["administrator", "administrator", "escalation", "limited"])),
        )  # fmt: skip
    return found


ACCOUNTS = [f"4444555600{number:02}" for number in range(40)]


def expected(estate: list[Record]) -> bool | None:
    """Say by plain rules whether an account is administered by more than one partner alone; None: by nobody."""
    powers = {record.identity_uid: record.power for record in estate if isinstance(record, Grant)}
    holders = [record for record in estate if isinstance(record, Identity) and record.enabled and powers[record.uid] == "administrator"]
    sides = {record.tags.get("partner") for record in holders}
    return None in sides or len(sides) > 1 if sides else None


def blanked(record: Record) -> Record:
    if isinstance(record, Identity):
        return replace(record, enabled=None, unknown={"enabled": DARK})
    return replace(record, power=None) if isinstance(record, Grant) else record


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_not_told_turns_no_verdict_and_nor_do_other_names(bench: Bench, data: st.DataObject) -> None:
    estate = {account: data.draw(administered(account)) for account in ACCOUNTS}

    def judged(change: Callable[[Record], Record]) -> dict[str, object]:
        changed = {f"aws:{account}": [change(record) for record in records] for account, records in estate.items()}
        return dict(bench.verdicts("sole-administrator", changed))

    told = {account: expected(records) for account, records in estate.items()}
    assert told == judged(lambda record: replace(record, name=f"new-{record.name}") if isinstance(record, Identity) else record)
    dimmed = judged(lambda record: blanked(record) if data.draw(st.booleans()) else record)
    assert {} == {
        account: dimmed[account] for account in ACCOUNTS if dimmed[account] != told[account] and not isinstance(dimmed[account], str)
    }


def test_the_finding_of_a_place_has_a_name_of_its_own() -> None:
    assert fingerprint("sole-administrator", f"aws:{AWS}:account/{AWS}") != fingerprint("named-owner", f"aws:{AWS}:account/{AWS}")
