"""The time rules of `facts.sql` against a plain Python oracle, and its three-valued answers on the traps that other tools fall into."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign import facts
from countersign.aws_documents.policy import DELETED_PRINCIPAL
from countersign.identity import Coverage, Credential, Grant, Identity, Trust
from countersign.inventory import collect, spool
from countersign.programme import AwsSource
from countersign.reading import Scope
from countersign.register.records import (
    Contract,
    Customer,
    Footprint,
    Partner,
    Person,
    Policies,
    Policy,
    Register,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from countersign.identity import Power, Record

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SCOPE = Scope("aws", "aws", "444455556666")
DAY = timedelta(days=1)
LIMIT, HUMAN_IDLE, MACHINE_IDLE, OVERLAP, GRACE = 90 * DAY, 90 * DAY, 45 * DAY, 7 * DAY, timedelta(minutes=15)


def register(**changes: Any) -> Register:
    held: dict[str, Any] = {
        "customer": Customer(id="northwind", name="Northwind", timezone="Europe/London"),
        "people": {
            "maria": Person(id="maria", name="Maria", active=True),
            "dev": Person(id="dev", name="Dev", active=True),
            "gone": Person(id="gone", name="Gone", active=False),
        },
        "policies": Policies(
            human=Policy(max_idle=HUMAN_IDLE, mfa="required", grace=GRACE),
            machine=Policy(max_idle=MACHINE_IDLE, overlap=OVERLAP, grace=GRACE, rotate_within={"aws_access_key": LIMIT}),
        ),
        "digest": "sha256:0",
    }
    return Register(**(held | changes))


def judge_facts(folder: Path, records: Iterable[Record], held: Register | None = None, scope: Scope = SCOPE) -> list[dict[str, Any]]:
    reading = spool(records, scope, folder / "work", folder / "observations")
    readings = collect([reading], folder / "work", folder / "inventory")
    programme: Any = SimpleNamespace(
        register=held or register(), sources=(AwsSource(name="aws", accounts=("444455556666",), regions=("eu-west-2",)),), vendors=None
    )
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF), readings)
    with facts.opened(database) as db:
        found = db.execute("SELECT * FROM facts ORDER BY subject, subject_kind")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def user(name: str = "acme-backup", **changes: Any) -> Identity:
    held: dict[str, Any] = {
        "uid": f"aws:444455556666:user/AIDA{name}", "provider": "aws", "scope": "444455556666", "kind": "user", "native_id": f"AIDA{name}",
        "name": name, "track": "machine", "enabled": True, "console": False, "mfa": False, "created_at": AS_OF - 900 * DAY, "observed_at": AS_OF,
    }  # fmt: skip
    return Identity(**(held | changes))


def key(name: str = "AKIA1", of: Identity | None = None, **changes: Any) -> Credential:
    held: dict[str, Any] = {
        "uid": f"aws:444455556666:access-key/{name}", "identity_uid": (of or user()).uid, "provider": "aws", "scope": "444455556666",
        "kind": "access-key", "enabled": True, "created_at": AS_OF - 10 * DAY, "last_used_state": "never", "observed_at": AS_OF,
    }  # fmt: skip
    return Credential(**(held | changes))


def the(rows: Sequence[dict[str, Any]], subject: str, kind: str = "credential") -> dict[str, Any]:
    (row,) = [row for row in rows if row["subject"].endswith(subject) and row["subject_kind"] == kind]
    return row


instants = st.integers(0, 400 * 86_400).map(lambda seconds: AS_OF - timedelta(seconds=seconds)) | st.sampled_from([
    AS_OF, AS_OF - LIMIT, AS_OF - LIMIT - timedelta(microseconds=1), AS_OF - MACHINE_IDLE - GRACE,
    AS_OF - MACHINE_IDLE - GRACE - timedelta(microseconds=1), AS_OF - OVERLAP, AS_OF - OVERLAP - timedelta(microseconds=1), AS_OF + DAY,
])  # fmt: skip


@st.composite
def estates(draw: st.DrawFn) -> list[tuple[Identity, list[Credential]]]:
    estate = []
    for number in range(draw(st.integers(1, 6))):
        holder = user(
            f"u{number}",
            enabled=draw(st.sampled_from([True, True, True, False, None])),
            track=draw(st.sampled_from(["machine", "machine", "human", None])),
        )
        keys = []
        for slot in range(draw(st.integers(0, 3))):
            state = draw(st.sampled_from(["known", "never", "unknown"]))
            keys.append(key(
                f"K{number}{slot}", holder,
                enabled=draw(st.sampled_from([True, True, True, False, None])),
                created_at=draw(st.none() | instants),
                last_used_state=state,
                last_used_at=draw(instants) if state == "known" else None,
                use_seen_to=draw(st.none() | st.just(AS_OF - timedelta(hours=4))),
            ))  # fmt: skip
        estate.append((holder, keys))
    return estate


def conj(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def expected(
    holder: Identity, keys: list[Credential]
) -> dict[str, tuple[bool | None, bool | None, bool | None, bool | None, bool | None, bool | None]]:
    """Say for each key: (rotates, too old, overlaps, overlapped too long, idles, idle too long), None for unknown."""
    live = {k.uid: conj(k.enabled, holder.enabled) for k in keys}
    alive = [k for k in keys if live[k.uid]]
    unclear = any(live[k.uid] is None for k in keys)
    undated = any(live[k.uid] is not False and k.created_at is None for k in keys)
    maybe = [k for k in keys if live[k.uid] is not False]
    newest = max((k for k in alive if k.created_at), key=lambda k: (k.created_at, k.uid), default=None)
    found = {}
    for k in keys:
        is_live = live[k.uid]
        too_old = None if k.created_at is None else AS_OF - k.created_at > LIMIT
        pair = True if len(alive) > 1 else None if unclear and len(maybe) > 1 else False
        overlapped = None
        if len(maybe) > 1 and not undated and newest is not None:
            overlapped = k.uid != newest.uid and AS_OF - newest.created_at > OVERLAP
        limit = {"human": HUMAN_IDLE, "machine": MACHINE_IDLE, None: None}[holder.track]
        active = k.created_at if k.last_used_state == "never" else None
        if k.last_used_state == "known":
            active = max(when for when in (k.last_used_at, k.created_at) if when is not None)
        idle = None
        if limit is not None:
            if active is not None:
                then, now = ((when - GRACE - active > limit) for when in (k.use_seen_to or AS_OF, AS_OF))
                idle = then if then == now else None
            elif k.created_at is not None and AS_OF - k.created_at <= limit:
                idle = False
        found[k.uid] = (is_live, too_old, conj(is_live, pair), overlapped, conj(is_live, None if limit is None else True), idle)
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(estate=estates())
def test_time_rules_agree_with_a_plain_oracle(
    tmp_path_factory: pytest.TempPathFactory, estate: list[tuple[Identity, list[Credential]]]
) -> None:
    records = [record for holder, keys in estate for record in (holder, *keys)]
    rows = judge_facts(tmp_path_factory.mktemp("facts"), records)

    def over(row: dict[str, Any], column: str) -> bool | None:
        return None if row[column] is None else row[column] > 0

    got = {
        row["subject"]: (
            row["rotates"], over(row, "days_past_rotation"), row["overlaps"], over(row, "days_past_overlap"), row["idles"], over(row, "days_past_idle"),
        )
        for row in rows if row["subject_kind"] == "credential"
    }  # fmt: skip
    want = {uid: answers for holder, keys in estate for uid, answers in expected(holder, keys).items()}
    assert got == want


def test_a_key_never_used_ages_from_its_creation_and_a_new_one_is_fine(tmp_path: Path) -> None:
    rows = judge_facts(
        tmp_path, [user(), key("OLD", created_at=AS_OF - 200 * DAY), user("b"), key("NEW", user("b"), created_at=AS_OF - DAY)]
    )
    old, new = the(rows, "OLD"), the(rows, "NEW")
    assert (old["age_days"], old["idle_days"]) == (200, 200)
    assert old["days_past_idle"] > 0
    assert old["days_past_rotation"] == 110
    assert new["days_past_idle"] < 0
    assert new["days_past_rotation"] < 0


def test_a_credential_of_a_disabled_identity_is_not_live_and_of_an_unread_one_is_unknown(tmp_path: Path) -> None:
    rows = judge_facts(tmp_path, [user(enabled=False), key("K1", created_at=AS_OF - 200 * DAY), key("K2", user("unread"))])
    assert the(rows, "K1")["rotates"] is False
    assert the(rows, "K2")["rotates"] is None
    assert the(rows, "K2")["enabled_why"] == "its identity was not read"


def test_an_unread_listing_of_credentials_leaves_use_unknown_but_says_why(tmp_path: Path) -> None:
    denied = Coverage(
        source="aws", provider="aws", scope="444455556666", operation="iam:GetCredentialReport", state="denied", covers=("password", "access-key"),
        error="AccessDenied", started=AS_OF, finished=AS_OF,
    )  # fmt: skip
    row = the(judge_facts(tmp_path, [user(), denied]), "acme-backup", "identity")
    assert row["idles"] is None
    assert row["credentials_why"] == "iam:GetCredentialReport: AccessDenied"


def test_partner_evidence_is_ranked_and_the_register_comes_first(tmp_path: Path) -> None:
    held = register(
        partners={
            "acme": Partner(id="acme", name="Acme", contract=Contract(reference="C-1", starts=date(2025, 1, 1), ends=date(2026, 11, 21)),
                            footprint=Footprint(name_patterns=("acme-*",), aws_accounts=("111122223333",))),
            "corvid": Partner(id="corvid", name="Corvid", contract=Contract(reference="C-2", starts=date(2025, 1, 1), ends=date(2026, 11, 22)),
                              footprint=Footprint(tags={"partner": "corvid"})),
        },
        workloads={
            "backup": Workload(workload="backup", partner="acme", owner="gone", backup_owner="maria", purpose="x", expires=date(2027, 1, 1),
                               identities=("aws:*:user/job-*",)),
        },
    )  # fmt: skip
    held = held.model_copy(update={"workloads": held.workloads | {
        "own": Workload(workload="own", owner="dev", purpose="x", identities=("aws:444455556666:user/acme-own",)),
    }})  # fmt: skip
    by_role = user("reader", kind="role", uid="aws:444455556666:role/AROA1", native_id="AROA1")
    trust = Trust(identity_uid=by_role.uid, provider="aws", scope="444455556666", party_kind="aws-account", party="111122223333")
    rows = judge_facts(
        tmp_path,
        [
            user("ACME-x", tags={"partner": "corvid"}),
            user("acme-y"),
            user("job-1", tags={"partner": "corvid"}),
            user("other"),
            user("acme-own"),
            by_role,
            trust,
        ],
        held,
    )
    partners = {row["identity_name"]: row["partner"] for row in rows if row["subject_kind"] == "identity"}
    assert partners == {"ACME-x": "corvid", "acme-y": "acme", "job-1": "acme", "other": None, "reader": "acme", "acme-own": None}
    job = the(rows, "job-1", "identity")
    assert (job["accountable"], job["has_named_owner"], job["owner_is_live"], job["expiry_is_declared"]) == ("maria", True, True, False)
    # The contract's last day still counts, in the customer's own time zone (London is at UTC in November).
    assert job["days_past_contract"] > 0
    assert the(rows, "ACME-x", "identity")["days_past_contract"] < 0
    assert (the(rows, "AROA1", "identity")["unconditioned_trusts"], the(rows, "AROA1", "identity")["unknown_parties"]) == (1, 0)


def test_own_accounts_are_not_outside_and_an_unread_trust_policy_is_unknown(tmp_path: Path) -> None:
    role = user("r", kind="role", uid="aws:444455556666:role/AROA2", native_id="AROA2")
    own = Trust(identity_uid=role.uid, provider="aws", scope="444455556666", party_kind="aws-account", party="444455556666")
    odd = user("o", kind="role", uid="aws:444455556666:role/AROA3", native_id="AROA3", unknown={"trusts": "policy document is not JSON"})
    rows = judge_facts(tmp_path, [role, own, odd])
    assert the(rows, "AROA2", "identity")["trusted_from_outside"] is False
    assert the(rows, "AROA3", "identity")["trusted_from_outside"] is None


def test_administrator_rights_are_unknown_while_a_policy_is_unread_and_nothing_else_shows_them(tmp_path: Path) -> None:
    def grant(of: Identity, role: str, *, power: Power | None) -> Grant:
        return Grant(identity_uid=of.uid, provider="aws", scope="444455556666", role=role, power=power)

    a, b, c = user("a"), user("b"), user("c")
    rows = judge_facts(tmp_path, [
        a, grant(a, "odd", power=None), b, grant(b, "odd", power=None), grant(b, "admin", power="administrator"), c, grant(c, "read", power="limited"),
    ])  # fmt: skip
    counts = {row["identity_name"]: row["admin_grants"] for row in rows if row["subject_kind"] == "identity"}
    assert counts == {"a": None, "b": 1, "c": 0}
    assert the(rows, "AIDAa", "identity")["grants_why"] == "policy not read: odd"


def test_a_row_returned_twice_counts_once(tmp_path: Path) -> None:
    rows = judge_facts(tmp_path, [user(), user(), key(), key()])
    assert len([row for row in rows if row["subject_kind"] != "scope"]) == 2


def test_where_two_workloads_claim_an_identity_the_one_that_names_it_exactly_has_it(tmp_path: Path) -> None:
    held = register(workloads={
        "a-all": Workload(workload="a-all", owner="dev", identities=("aws:*:user/job-*",)),
        "m-one": Workload(workload="m-one", owner="dev", identities=("aws:*:user/job-1",)),
        "z-id": Workload(workload="z-id", owner="maria", identities=("aws:*:user/AIDAjob-2", "aws:*:user/other")),
    })  # fmt: skip
    rows = judge_facts(tmp_path, [user("job-1"), user("job-2"), user("job-3")], held)
    assert {"job-1": "m-one", "job-2": "z-id", "job-3": "a-all"} == {
        row["identity_name"]: row["workload"] for row in rows if row["subject_kind"] == "identity"
    }


def test_a_deleted_principal_is_nobody_and_an_issuer_is_itself_however_it_is_written(tmp_path: Path) -> None:
    held = register(
        customer=Customer(id="northwind", name="Northwind", footprint=Footprint(entra_tenants=("3F0E0000-0000-0000-0000-000000000000",))),
        partners={"acme": Partner(id="acme", name="Acme", contract=Contract(reference="C", starts=date(2025, 1, 1)), footprint=Footprint(oidc_issuers=("Token.acme.example/",)))},
    )  # fmt: skip

    def role(name: str, kind: Any, party: str, condition: str | None) -> tuple[Identity, Trust]:
        holder = user(name, kind="role")
        return holder, Trust(
            identity_uid=holder.uid, provider="aws", scope="444455556666", party_kind=kind, party=party, condition=condition
        )

    rows = judge_facts(tmp_path, [
        *role("gone", "aws-account", "AROAQWERTYUIOPASDFGHJ", DELETED_PRINCIPAL),
        *role("ci", "oidc-issuer", "https://token.acme.example", "token.acme.example:sub"),
        *role("own", "entra-tenant", "3f0e0000-0000-0000-0000-000000000000", None),
        *role("strange", "oidc-issuer", "https://token.elsewhere.example", None),
    ], held)  # fmt: skip
    told = {
        row["identity_name"]: (row["trusted_from_outside"], row["unknown_parties"], row["partner"])
        for row in rows
        if row["subject_kind"] == "identity"
    }
    assert {"gone": (False, None, None), "ci": (True, 0, "acme"), "own": (False, None, None), "strange": (True, 1, None)} == told


def test_an_old_export_does_not_prove_that_a_key_is_in_use_or_out_of_use_since(tmp_path: Path) -> None:
    def seen(name: str, used_days: int) -> Credential:
        return key(
            name, created_at=AS_OF - 200 * DAY, last_used_state="known", last_used_at=AS_OF - used_days * DAY, use_seen_to=AS_OF - 30 * DAY
        )

    rows = judge_facts(tmp_path, [user(), seen("IDLE", 80), seen("PERHAPS", 60), seen("USED", 31)])
    assert the(rows, "IDLE")["days_past_idle"] > 0
    assert the(rows, "PERHAPS")["days_past_idle"] is None
    assert the(rows, "PERHAPS")["use_why"] == "whether it was used in the days since the report is not known"
    assert the(rows, "USED")["days_past_idle"] < 0


def test_a_report_is_as_fresh_at_another_as_of_as_it_was_at_the_reading(tmp_path: Path) -> None:
    earlier = AS_OF - 60 * DAY  # read and reported then, judged as if it were now
    rows = judge_facts(tmp_path, [user(), key(created_at=earlier - DAY, use_seen_to=earlier, observed_at=earlier)])
    assert the(rows, "AKIA1")["days_past_idle"] > 0


def test_a_password_that_was_set_after_its_last_use_does_not_say_it_was_used_then(tmp_path: Path) -> None:
    password = key("P", kind="password", created_at=AS_OF - 100 * DAY, last_used_state="known", last_used_at=AS_OF - 300 * DAY)
    assert the(judge_facts(tmp_path, [user(), password]), "P")["activity"] == "not used since it was set 2026-08-14"


@pytest.mark.parametrize(
    ("day", "zone", "over"),
    [
        (date(2026, 10, 24), "Europe/London", datetime(2026, 10, 24, 23, tzinfo=UTC)),
        (date(2026, 10, 25), "Europe/London", datetime(2026, 10, 26, 0, tzinfo=UTC)),
        (date(2026, 3, 29), "Europe/London", datetime(2026, 3, 29, 23, tzinfo=UTC)),
        (date(2026, 12, 31), "Pacific/Auckland", datetime(2026, 12, 31, 11, tzinfo=UTC)),
        (date(2026, 9, 5), "America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),  # the next day begins at one o'clock
    ],
)
def test_the_last_day_counts_to_its_end_in_the_customers_time_zone(day: date, zone: str, over: datetime) -> None:
    held = register(customer=Customer(id="northwind", name="Northwind", timezone=zone))
    assert over == held.end_of(day)


def test_a_table_of_any_length_holds_its_rows_as_they_were_given(tmp_path: Path) -> None:
    rows = tuple((n, None if n % 3 else f"it's {n}", date(2026, 1, 1) + n * DAY, n % 2 == 0) for n in range(250))
    with facts.opened(tmp_path / "facts.duckdb") as db:
        for given_rows in (rows, rows[:100], (), rows[:101]):
            facts.create(db, facts.RegisterTable("given", "n INTEGER, said VARCHAR, day DATE, even BOOLEAN", given_rows))
            assert db.execute("SELECT * FROM given ORDER BY n").fetchall() == list(given_rows)
