"""Controls over identities: purpose, workload's end, incidents, reviews, consoles, people's keys, use after the end, our own readers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from estates import (
    ACME,
    AS_OF,
    AWS,
    DARK,
    DAY,
    HOUR,
    OTHER,
    STRANGER,
    Bench,
    asked,
    dim,
    grant,
    key,
    missing,
    one,
    password,
    person,
    register,
    trust,
    verdict,
    workload,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.register.records import Incident, Policies, Policy, Review

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from countersign.identity import Identity, Record

JOBS = "aws:*:user/job*"
TENANT = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
few = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def incident(declared: datetime = AS_OF - DAY, **changes: Any) -> Incident:
    return Incident(incident=changes.pop("incident", "INC-1"), declared_at=declared, declared_by="dev", **changes)


# --- purpose and end ---


def test_a_purpose_is_words_and_is_asked_of_what_is_registered_and_enabled(bench: Bench) -> None:
    held = register(
        workload("said", "aws:*:user/job-said"), workload("blank", "aws:*:user/job-blank", purpose="  "),
        workload("none", "aws:*:user/job-none", "aws:*:user/job-off", "aws:*:user/job-dim", "aws:*:role/job-way", purpose=None),
    )  # fmt: skip
    estate = [one(f"job-{name}") for name in ("said", "blank", "none")]
    estate += [one("job-off", enabled=False), one("job-dim", **dim("enabled")), one("stray"), one("job-way", "role", track="delegation")]
    assert {
        "job-said": True, "job-blank": False, "job-none": False, "job-off": None, "job-dim": DARK, "stray": None, "job-way": False,
    } == bench.verdicts("purpose-declared", estate, held)  # fmt: skip


def test_a_workload_ends_with_its_last_day(bench: Bench) -> None:
    ends = {date(2026, 11, 22): True, date(2026, 11, 21): False, date(2026, 11, 20): False, None: None}
    held = register(*(workload(f"w{number}", f"aws:*:user/job-{number}", expires=end) for number, end in enumerate(ends)))
    estate = [one(f"job-{number}") for number in range(len(ends))]
    assert dict(zip((one.name for one in estate), ends.values(), strict=True)) == bench.verdicts("workload-expired", estate, held)


def test_a_workload_that_expired_says_when_and_switched_off_identities_have_ended(bench: Bench) -> None:
    held = register(workload("jobs", JOBS, expires=date(2026, 11, 10)))
    estate = [one(), one("job-off", enabled=False), one("job-dim", **dim("enabled"))]
    assert {"job": False, "job-off": None, "job-dim": DARK} == bench.verdicts("workload-expired", estate, held)
    row = next(row for row in bench.rows(estate, held) if row["identity_name"] == "job")
    assert (date(2026, 11, 10), 11) == (row["workload_expires_on"], row["workload_over_days"])


# --- incidents ---


def test_an_incident_is_late_once_the_time_for_revocation_is_over(bench: Bench) -> None:
    cases: list[tuple[datetime, datetime | None, bool | None]] = [
        (AS_OF - HOUR, None, True),
        (AS_OF - HOUR - timedelta(seconds=1), None, False),
        (AS_OF + HOUR, None, None),
        (AS_OF - DAY, AS_OF - HOUR, None),
        (AS_OF - DAY, AS_OF + HOUR, False),
    ]
    incidents = {
        f"INC-{number}": incident(declared, incident=f"INC-{number}", identities=(f"aws:*:user/job-{number}",), closed_at=closed)
        for number, (declared, closed, _) in enumerate(cases)
    }
    estate = [one(f"job-{number}") for number in range(len(cases))]
    assert {f"job-{number}": case[-1] for number, case in enumerate(cases)} == bench.verdicts(
        "incident-open", estate, register(incidents=incidents)
    )


def test_an_incident_names_identities_as_workloads_do_and_the_partner_s_all(bench: Bench) -> None:
    names = ("aws:*:user/ID-by-id", "aws:*:user/by-name", "aws:*:user/by-gl*b", f"aws:{OTHER}:user/elsewhere", "aws:*:role/of-a-kind")
    held = register(
        workload("acme-jobs", "aws:*:user/registered", partner="acme"),
        incidents={
            "INC-1": incident(identities=names),
            "INC-2": incident(AS_OF - 2 * DAY, incident="INC-2", partner="acme", reason="break-in"),
        },
    )
    estate: list[Record] = [one(name) for name in ("by-id", "by-name", "by-glob", "elsewhere", "of-a-kind", "registered", "other")]
    way, dark = one("way", "role", track="delegation"), one("dark", "role", unknown={"trusts": DARK})
    estate += [way, trust(way, ACME), dark, one("off", enabled=False, tags={"partner": "acme"})]
    assert {
        "by-id": False, "by-name": False, "by-glob": False, "elsewhere": None, "of-a-kind": None, "registered": False, "other": None, "way": False,
        "dark": DARK, "off": None,
    } == bench.verdicts("incident-open", estate, held)  # fmt: skip
    (row,) = [row for row in bench.rows([one("by-name", tags={"partner": "acme"})], held) if row["subject_kind"] == "identity"]
    assert ("INC-2", "it is acme's", "break-in") == (
        row["incident"],
        row["incident_how"],
        row["incident_reason"],
    )  # the one that was declared first


def test_a_name_that_anybody_may_choose_puts_nobody_under_an_incident(bench: Bench) -> None:
    held = register(
        incidents={"INC-1": incident(identities=("azure:*:service-principal/portal", "azure:*:service-principal/ID-b", "azure:*:user/*"))}
    )
    estate = [
        one(name, kind, TENANT, "azure") for name, kind in (("portal", "service-principal"), ("b", "service-principal"), ("c", "user"))
    ]
    assert {"portal": None, "b": False, "c": False} == bench.verdicts("incident-open", {f"azure:{TENANT}": estate}, held)
    dark = one("d", "service-principal", TENANT, "azure", unknown={"trusts": DARK})
    assert {"d": None} == bench.verdicts("incident-open", {f"azure:{TENANT}": [dark]}, held)  # no incident names a partner


# --- reviews ---


def test_a_review_by_who_answers_for_it_holds_for_the_period_of_the_track(bench: Bench) -> None:
    def reviewed(ago: int) -> tuple[Review, ...]:
        return (Review(by="maria", on=(AS_OF - ago * DAY).date()),)

    policies = Policies(human=Policy(), machine=Policy(review_every=180 * DAY))
    held = register(
        workload("fresh", "aws:*:user/fresh", "aws:*:user/ann", "aws:*:user/way", reviews=reviewed(180)), workload("old", "aws:*:user/old", reviews=reviewed(182)),
        workload("never", "aws:*:user/young", "aws:*:user/aged", "aws:*:user/undated", "aws:*:user/dim"),
        workload("others", "aws:*:user/by-*", reviews=(Review(by="acme/pavel", on=date(2026, 11, 1)),)), policies=policies,
    )  # fmt: skip
    estate = [
        one("fresh"), person(), one("way", track="delegation"), one("old"), one("young", created_at=AS_OF - 180 * DAY), one("aged"),
        one("undated", **dim("created_at")), one("dim", **dim("track")), one("by-partner"), one("stray"),
    ]  # fmt: skip
    assert {
        "fresh": True, "ann": None, "way": None, "old": False, "young": True, "aged": False, "undated": DARK, "dim": DARK, "by-partner": False, "stray": None,
    } == bench.verdicts("review-overdue", estate, held)  # fmt: skip


def test_a_late_review_says_who_looked_last_and_when(bench: Bench) -> None:
    held = register(workload("jobs", JOBS, reviews=(Review(by="maria", on=date(2026, 4, 1)),)))
    (row,) = [row for row in bench.rows([one()], held) if row["subject_kind"] == "identity"]
    assert ("last reviewed 2026-04-01 by maria", 180) == (row["review"], row["review_limit_days"])


# --- consoles ---


def test_a_machine_that_can_log_in_fails_with_mfa_too(bench: Bench) -> None:
    estate = [
        one("fine"), one("login", console=True, mfa=True), one("dim", **dim("console")), one("dim-track", **dim("track")), person(),
        one("way", track="delegation", console=True), one("off", console=True, enabled=False), one("slr", provider_managed=True, console=True),
    ]  # fmt: skip
    assert {
        "fine": True, "login": False, "dim": DARK, "dim-track": DARK, "ann": None, "way": None, "off": None, "slr": None,
    } == bench.verdicts("machine-console", estate)  # fmt: skip


UNTOLD: dict[str, Any] = {"last_used_at": None, "last_used_state": "unknown", "unknown": {"last_used_at": DARK}}


UNATTENDED: list[tuple[dict[str, Any], dict[str, Any] | None, list[dict[str, Any]], object]] = [
    ({}, {"used": HOUR}, [{}], True),
    ({}, {"used": 300 * DAY}, [{}], False),
    ({}, {"used": None}, [{}], False),
    ({}, None, [{}], "when its password was last used was not told"),
    ({"console": False}, None, [{}], False),
    ({"mfa": True}, {"used": None}, [{}], True),
    (dim("mfa"), {"used": None}, [{}], DARK),
    (dim("mfa"), {"used": HOUR}, [{}], True),
    ({}, {"used": None}, [], True),
    ({}, {"used": None}, [{"used": None}], True),
    ({}, {"used": None}, [{"enabled": False}], True),
    ({}, {"used": None}, [dim("enabled")], f"access-key: {DARK}"),
    ({}, UNTOLD, [{}], DARK),
    ({}, UNTOLD, [], True),
    ({}, {"used": None}, [UNTOLD], f"access-key: {DARK}"),
    ({}, {"used": 89 * DAY}, [UNTOLD], True),  # whenever it was used, it is not that long
    ({}, {"used": None}, [{}, UNTOLD | {"kind": "ssh-key"}], False),
    ({}, {"used": 100 * DAY}, [{"used": 10 * DAY}], True),
    ({}, {"used": 101 * DAY}, [{"used": 10 * DAY}], False),
    ({}, {"used": 500 * DAY}, [{"used": 600 * DAY}], True),
    ({}, {"used": None, "use_seen_to": AS_OF - 4 * HOUR}, [{"use_seen_to": AS_OF - 4 * HOUR}], False),
    ({}, {"used": 300 * DAY, "use_seen_to": AS_OF - 9 * DAY}, [{"used": 9 * DAY}], "whether it was used in the days since the report is not known"),
]  # fmt: skip
"""(the person, the password or None, the keys, the verdict)."""


def test_a_person_s_keys_run_unattended_where_nobody_logs_in(bench: Bench) -> None:
    estate: list[Record] = []
    for number, (facets, login, keys, _) in enumerate(UNATTENDED):
        ann = person(f"ann-{number}", **facets)
        estate += [ann, *([] if login is None else [password(ann, **login)])]
        estate += [replace(made := key(ann, **each), uid=f"{made.uid}{slot}") for slot, each in enumerate(keys)]
    assert {f"ann-{number}": case[-1] for number, case in enumerate(UNATTENDED)} == bench.verdicts("human-unattended", estate)


def test_where_nobody_tells_a_person_from_a_program_it_is_unknown_unless_mfa_is_on(bench: Bench) -> None:
    why = "the source does not tell a person's use from a program's"
    guest, safe = (person(name, scope=TENANT, provider="azure", mfa=mfa) for name, mfa in (("guest", False), ("safe", True)))
    estate = {
        f"aws:{AWS}": [
            person("sso", kind="role"),
            one(),
            one("way", track="delegation"),
            person("off", enabled=False),
            one("dim", **dim("track")),
        ],
        f"azure:{TENANT}": [guest, safe],
        "vault:v": [person("kim", scope="v", provider="vault", kind="entity")],
    }
    assert {
        "sso": why, "guest": why, "kim": why, "safe": True, "job": None, "way": None, "off": None, "dim": DARK,
    } == bench.verdicts("human-unattended", estate)  # fmt: skip


def test_a_listing_of_keys_that_is_missing_may_hide_a_program(bench: Bench) -> None:
    ann, kim = person(), person("kim")
    estate = [ann, password(ann, 300 * DAY), kim, password(kim), missing(AWS, "access-key")]
    assert {"ann": "list: refused", "kim": True} == bench.verdicts("human-unattended", estate)


# --- use after the end, of what is judged by its own use ---


def test_use_after_the_workload_s_end(bench: Bench) -> None:
    cases: list[tuple[datetime | None, datetime | None, float | None]] = [
        (AS_OF - DAY, None, 10.1),
        (datetime(2026, 11, 11, tzinfo=UTC), None, 0.0),
        (AS_OF - 90 * DAY, AS_OF - HOUR, -78.9),
        (AS_OF - 90 * DAY, AS_OF - 9 * DAY, None),
        (AS_OF - 10 * DAY, AS_OF - 9 * DAY, 1.1),
        (None, None, 0.0),
    ]
    estate = [
        one(
            f"job-{number}",
            "role",
            enabled=False,
            last_active_at=used,
            last_active_state="never" if used is None else "known",
            use_seen_to=seen,
        )
        for number, (used, seen, _) in enumerate(cases)
    ]
    held = register(workload("jobs", "aws:*:role/job-*", expires=date(2026, 11, 10)))
    rows = {row["identity_name"]: row for row in bench.rows(estate, held) if row["kind"] == "role"}
    days = {name: row["days_used_after_end"] for name, row in rows.items()}
    assert {f"job-{number}": case[-1] for number, case in enumerate(cases)} == {
        name: None if each is None else round(each, 1) for name, each in days.items()
    }
    assert {(True, date(2026, 11, 10), "workload jobs")} == {(row["has_end"], row["ended_on"], row["ended_what"]) for row in rows.values()}


def test_the_earlier_end_counts_and_what_hides_the_contract_leaves_it_open(bench: Bench) -> None:
    held = register(
        workload("jobs", "aws:*:role/job", partner="bright", expires=date(2026, 11, 10)),
        workload("long", "aws:*:role/long", expires=date(2027, 1, 1)),
    )
    keyed = one("keyed", tags={"partner": "bright"})
    estate = [
        one("job", "role"), one("long", "role"), one("dark", "role", unknown={"trusts": DARK}), one("open", "role", tags={"partner": "acme"}),
        one("way", "role", track="delegation", tags={"partner": "bright"}), keyed, key(keyed),
    ]  # fmt: skip
    rows = {row["identity_name"]: row for row in bench.rows(estate, held) if row["subject_kind"] == "identity"}
    ended = {name: (row["has_end"], row["ended_what"]) for name, row in rows.items()}
    of_bright = "contract of bright"
    assert {
        "job": (True, of_bright), "long": (False, "workload long"), "dark": (None, None), "open": (False, None), "way": (True, of_bright),
        "keyed": (False, of_bright),
    } == ended  # fmt: skip
    assert None is rows["job"]["days_used_after_end"]  # its use is not known


# --- own house ---

READER = f"arn:aws:sts::{AWS}:assumed-role/reader/a-night"


def test_the_reader_is_found_by_what_each_provider_calls_it(bench: Bench) -> None:
    app = "8f2d7c11-0d7a-4f6e-9e5b-1c2d3e4f5a6b"
    mark = {"countersign": "self"}
    estate = {
        f"aws:{AWS}": [one("reader", "role"), one("reader", scope=OTHER), one("other", "role", tags=mark), asked(READER)],
        f"aws:{OTHER}": [one("keyed", scope=OTHER), asked(f"arn:aws:iam::{OTHER}:user/keyed", OTHER)],
        f"azure:{TENANT}": [
            one("app", "service-principal", TENANT, "azure", aliases=(app,)), one("registered", "application", TENANT, "azure", aliases=(app,)),
            one("else", "service-principal", TENANT, "azure"), asked(f"application {app}", TENANT),
        ],
        "gcp:ops": [one("ops@p.example", "service-account", "ops", "gcp"), asked("ops@p.example", "ops")],
        "gcp:shop": [one("ops@p.example", "member", "shop", "gcp"), asked("ops@p.example", "shop")],
        "vault:v": [one("robot", "approle", "v", "vault", tags=mark), one("app", "approle", "v", "vault"), asked("approle (entity 1)", "v")],
        "aws:444455558888": [one("someone", scope="444455558888"), asked("not in the export", "444455558888")],
    }  # fmt: skip
    own = {row["subject"] for row in bench.rows(estate) if row["is_own"]}
    assert {
        f"aws:{AWS}:role/ID-reader", f"aws:{OTHER}:user/ID-keyed", f"azure:{TENANT}:service-principal/ID-app", f"azure:{TENANT}:application/ID-registered",
        "gcp:ops:service-account/ID-ops@p.example", "gcp:shop:member/ID-ops@p.example", "vault:v:approle/ID-robot",
    } == own  # fmt: skip


def test_a_caller_that_was_not_read_is_unknown_once(bench: Bench) -> None:
    cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
    estate = {
        f"aws:{AWS}": [one(), asked(READER)],
        f"azure:{TENANT}": [one("cli", "service-principal", TENANT, "azure", aliases=(cli,), provider_managed=True), asked(f"application {cli}", TENANT)],
        "gcp:shop": [asked("anonymous", "shop")],
        "gcp:ops": [asked("anonymous", "ops")],
    }  # fmt: skip
    rows = bench.rows(estate)
    found = {
        row["subject"]: verdict("own-identities", row)
        for row in rows
        if row["subject_kind"] in {"identity", "scope"} and row["is_own"] is not False
    }
    why = "whoever reads it is not among the identities that were read"
    assert {
        f"aws:{AWS}:caller/arn:aws:sts::{AWS}:assumed-role/reader": why, f"azure:{TENANT}:caller/application {cli}": why, "gcp:ops:caller/anonymous": why,
    } == found  # fmt: skip


FAULTS: list[tuple[dict[str, Any], Callable[[Identity], list[Record]], dict[str, Any], str | None]] = [
    ({}, lambda _: [], {}, None),
    ({}, lambda _: [], {"owner": "gone", "backup_owner": None}, "nobody who is here answers for workload reading-1"),
    ({}, lambda _: [], {"partner": "acme"}, "it is acme's (workload reading-2)"),
    ({}, lambda _: [], {"identities": ()}, "no workload registers it"),
    ({}, lambda reader: [grant(reader, "limited")], {}, None),
    ({}, lambda reader: [grant(reader)], {}, "it is an administrator through AdministratorAccess"),
    ({}, lambda reader: [grant(reader, "escalation")], {}, "it can become an administrator through Some"),
    ({}, lambda reader: [key(reader, created_at=AS_OF - 91 * DAY)], {}, "past its rotation date: access-key"),
    ({}, lambda reader: [key(reader, created_at=AS_OF - 91 * DAY, enabled=False)], {}, None),
    ({}, lambda reader: [key(reader, created_at=AS_OF - 90 * DAY)], {}, None),
    ({}, lambda reader: [key(reader, **dim("created_at"))], {}, DARK),
    ({}, lambda reader: [grant(reader, None)], {}, "policy not read: Odd"),
    ({"unknown": {"grants": DARK}}, lambda _: [], {}, DARK),
    ({"unknown": {"grants": DARK}}, lambda _: [], {"identities": ()}, "no workload registers it"),
    ({}, lambda reader: [missing(reader.scope, "access-key")], {}, "list: refused"),
    (
        {"enabled": None},
        lambda reader: [grant(reader)],
        {"partner": "acme"},
        "it is acme's (workload reading-15); it is an administrator through AdministratorAccess",
    ),
]
"""(the reader, what else its account has, its workload, its faults or why they are not known; None: it has none)."""


def test_the_reader_s_own_faults(bench: Bench) -> None:
    estate: dict[str, list[Record]] = {}
    workloads = []
    for number, (facets, further, changes, _) in enumerate(FAULTS):
        scope = f"4444555600{number:02}"
        reader = one("reader", scope=scope, **facets)
        workloads.append(workload(f"reading-{number}", **({"identities": (f"aws:{scope}:user/reader",)} | changes)))
        estate[f"aws:{scope}"] = [reader, one("else", scope=scope), asked(f"arn:aws:iam::{scope}:user/reader", scope), *further(reader)]
    rows = [row for row in bench.rows(estate, register(*workloads)) if row["subject_kind"] == "identity" and row["is_own"]]
    judged = {row["scope"]: (verdict("own-identities", row), row["own_faults"]) for row in rows}
    assert [case[-1] for case in FAULTS] == [
        None if found is True else faults if found is False else found for _, (found, faults) in sorted(judged.items())
    ]


# --- what holds of them all ---


@st.composite
def people(draw: st.DrawFn) -> list[Record]:
    found: list[Record] = []
    days = st.sampled_from([None, 1, 29, 31, 89, 91, 200])
    for number in range(60):
        ann = person(f"p{number}", mfa=draw(st.sampled_from([True, False, False, None])), console=draw(st.sampled_from([True, True, None])))
        found.append(ann)
        for make in (password, key):
            state = draw(st.sampled_from(["told", "told", "untold", "none"]))
            ago = draw(days)
            if state != "none":
                found.append(make(ann, None if ago is None else ago * DAY, **(UNTOLD if state == "untold" else {})))
    return found


@few
@given(estate=people())
def test_a_tighter_limit_removes_no_finding_and_a_later_login_makes_none(bench: Bench, estate: list[Record]) -> None:
    loose = bench.verdicts("human-unattended", estate)
    tight = bench.verdicts("human-unattended", estate, register(policies=Policies(human=Policy(max_idle=30 * DAY), machine=Policy())))
    assert [] == [name for name, was in loose.items() if was is False and tight[name] is not False]
    now = [
        replace(record, last_used_at=AS_OF, last_used_state="known", unknown={}) if getattr(record, "kind", "") == "password" else record
        for record in estate
    ]
    later = bench.verdicts("human-unattended", now)
    assert [] == [name for name, is_so in later.items() if is_so is False and loose[name] is not False]


def test_hostile_names_stay_text(bench: Bench) -> None:
    name = "=cmd|' /C calc'!A0<script>../../\x1b[31m" + "x" * 10_000
    boss = one(name, "role", console=True)
    held = register(incidents={"INC-1": incident(identities=(f"aws:*:role/{boss.native_id}",))})
    estate = [boss, grant(boss), trust(boss, STRANGER), asked(READER.replace("reader", "other"))]
    rows = bench.rows(estate, held)
    assert {False} == {
        verdict(control, row) for row in rows if row["identity"] == boss.uid for control in ("incident-open", "machine-console")
    }
