from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from countersign import facts, findings_file, report, results
from countersign.expectation import expectations
from countersign.finding import Known, Transition, life
from countersign.identity import Coverage, Grant, Provenance, Trust
from countersign.inventory import collect, spool, unread
from countersign.judge import judge
from countersign.reading import Scope
from countersign.register.records import Answers, Contract, Control, Footprint, Owners, Partner, Person, RegisteredException, Slas, Workload
from tests.countersign.test_facts import AS_OF, DAY, SCOPE, key, register, user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.identity import Record
    from countersign.register.records import Register

HOSTILE = (
    "<img src=x onerror=alert(1)>", "</style></script><script>alert(2)</script>", "=cmd|' /C calc'!A0", "../../../etc/passwd", '"><svg onload=alert(3)>',
    "admin\u202egnp.exe", "\x1b[31mred\x1b[0m", "{{ 7*7 }}{% raw %}", "long-" + "x" * 3_000, "نسخ احتياطي",
)  # fmt: skip
VAULT = Scope("vault", "vault", "vault/ns-a")
SECOND = Scope("aws", "aws", "666677778888")
DENIED = Scope("aws", "aws", "555566667777")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ORDINARY = (
    "acme-backup", "acme-deploy", "billing-export", "ci-runner", "crm-sync", "dns-updater", "etl-nightly", "grafana-reader", "hr-feed", "invoice-mailer",
    "legacy-ftp", "log-shipper", "metrics-push", "payroll-bridge", "report-builder", "sap-connector", "siem-pull", "vm-scanner",
)  # fmt: skip


def people() -> Register:
    sla = {"slas": Slas(detect=DAY, escalate=3 * DAY, rotate=7 * DAY, revoke=DAY), "answers": Answers(approves="maria"), "owners": Owners(business="dev")}
    subject = "aws:444455556666:access-key/AKIA09"
    exception = RegisteredException(
        exception="EX-0012", control="rotation-age", subject=subject, reason="frozen for the year end", compensating_control="watched daily",
        exit_criteria="rotated in January", requested_by="dev", approved_by="maria", expires=date(2026, 12, 31), approval="EX-0012.sig",
    )  # fmt: skip
    return register(
        people={
            "maria": Person(id="maria", name="Maria Okafor", active=True),
            "dev": Person(id="dev", name="Dev Patel", active=True),
            "gone": Person(id="gone", name="Gunnar Lind", active=False),
        },
        partners={
            "acme": Partner(
                id="acme", name="Acme Managed Services", contract=Contract(reference="C-1", starts=date(2024, 1, 1), ends=date(2027, 6, 30)),
                footprint=Footprint(name_patterns=("acme-*", "*-sync"), aws_accounts=("111122223333",)),
            ),
            "globex": Partner(
                id="globex", name="Globex <script>alert(4)</script>", contract=Contract(reference="C-2", starts=date(2024, 1, 1), ends=date(2026, 10, 31)),
                footprint=Footprint(name_patterns=("legacy-*", "vm-*")),
            ),
        },
        controls={
            record.id: Control(control=record.id, **sla) for record in expectations() if record.id not in ("inactive", "named-owner")
        },
        workloads={
            "backup": Workload(
                workload="backup", partner="acme", owner="maria", backup_owner="dev", expires=date(2027, 1, 31), identities=("aws:*:user/acme-*",)
            ),
            "feeds": Workload(workload="feeds", owner="gone", backup_owner="gone", identities=("aws:*:user/hr-*", "aws:*:user/etl-*")),
            "mail": Workload(workload="mail", owner="dev", expires=date(2026, 12, 31), identities=("aws:*:user/invoice-mailer", "aws:*:user/ci-runner")),
        },
        exceptions={"EX-0012": exception},
    )  # fmt: skip


def estate() -> Iterator[Record]:
    for number, name in enumerate((*HOSTILE, *ORDINARY)):
        human = number % 9 == 4
        holder = replace(
            user(f"U{number:02}"), name=name, track="human" if human else "machine", console=human, mfa=False if human else None,
            enabled=None if number == 27 else True, unknown={"enabled": "the report leaves it out"} if number == 27 else {},
        )  # fmt: skip
        yield holder
        used = {"last_used_at": AS_OF - number * 5 * DAY, "last_used_state": "known"} if number % 4 else {}
        age = None if number == 13 else AS_OF - (20 + number * 9) * DAY
        yield key(f"AKIA{number:02}", holder, created_at=age, unknown={} if age else {"created_at": "report denied"}, **used)
        if number % 6 == 0:
            yield key(f"AKIA{number:02}B", holder, created_at=AS_OF - 12 * DAY, last_used_at=AS_OF - DAY, last_used_state="known")
        if number % 7 == 3:
            yield Grant(identity_uid=holder.uid, provider="aws", scope="444455556666", role="AdministratorAccess", privileged=True)
        if number % 8 == 5:
            party = "999900001111" if number % 16 == 5 else "111122223333"
            yield Trust(identity_uid=holder.uid, provider="aws", scope="444455556666", party_kind="aws-account", party=party)
    for field, call in {"created_at": "iam:ListAccessKeys", "*": "iam:GetAccountAuthorizationDetails"}.items():
        for kind in ("access-key", "user"):
            yield Provenance(provider="aws", scope="444455556666", kind=kind, field=field, call=call, at=AS_OF - timedelta(minutes=4))


def coverage(scope: Scope, operation: str, state: Any, covers: tuple[str, ...], error: str | None = None) -> Coverage:
    return Coverage(
        source=scope.source, provider=scope.provider, scope=scope.name, operation=operation, state=state, covers=covers, error=error,
        started=AS_OF, finished=AS_OF,
    )  # fmt: skip


def earlier(transitions: list[Transition]) -> dict[str, Known]:
    """Make up the ledger of the nights before: some findings known, one gone, two in an account that is now denied."""
    known = {}
    for number, transition in enumerate(transitions):
        row = transition.after
        if number % 3:
            known[row.fingerprint] = row._replace(
                first_seen=AS_OF - (number + 4) * DAY, since=AS_OF - (number + 2) * DAY, state="resolved" if number % 11 == 1 else "open"
            )
    (row, *_) = [t.after for t in transitions if t.after.control == "rotation-age"]
    row = row._replace(first_seen=AS_OF - 40 * DAY, since=AS_OF - 40 * DAY, due=AS_OF - 33 * DAY)
    for number, scope in enumerate(("444455556666", "555566667777", "555566667777")):
        subject = f"aws:{scope}:access-key/AKIAGONE{number}"
        known[f"{number}" * 64] = row._replace(fingerprint=f"{number}" * 64, subject=subject, scope=scope)
    return known


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> report.Page:
    return night(tmp_path_factory.mktemp("report"))


def night(folder: Path) -> report.Page:
    held = people()
    work, seen = folder / "work", folder / "observations"
    second = [
        user("S1", uid="aws:666677778888:user/AIDAS1", scope="666677778888"),
        coverage(SECOND, "iam:GenerateCredentialReport", "denied", ("password",), "AccessDenied: no iam:GenerateCredentialReport"),
    ]
    readings = collect(
        [
            spool(estate(), SCOPE, work, seen), spool(second, SECOND, work, seen), spool([], VAULT, work, seen),
            unread(DENIED, "denied", "sts:AssumeRole", "AccessDenied: <b>not</b> authorised", AS_OF, AS_OF, work),
        ],
        work, folder / "inventory",
    )  # fmt: skip
    programme: Any = SimpleNamespace(register=held, sources=())
    database = folder / "run.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF), readings)
    judgement = judge(database, expectations(), readings)
    seen_whole = frozenset({("aws", "444455556666"), ("vault", "vault/ns-a"), ("aws", "source/aws")})
    judged = frozenset(result.id for result in judgement.results)
    failing = list(findings_file.failing(database, held))
    first = list(life({}, failing, unknown=(), seen=seen_whole, judged=judged, as_of=AS_OF))
    transitions = list(life(earlier(first), failing, unknown=(), seen=seen_whole, judged=judged, as_of=AS_OF))
    findings_file.write(folder / findings_file.NAME, database, transitions, None)
    return report.Page(
        customer="Northwind Trading", run="20261122T020000Z-a1b2c3", as_of=AS_OF, state=results.state_of(readings), stopped=None,
        people={person.id: person.name for person in held.people.values()},
        partners={partner.id: partner.name for partner in held.partners.values()},
        sources=results.sources(readings), controls=results.controls(judgement.results), records=expectations(),
        suite=judgement.validated.suite, validation=judgement.validated.result,
        events=Counter(t.kind for t in transitions), actions=Counter({"create": 9, "update": 4, "unchanged": 21}),
        findings=folder / findings_file.NAME,
    )  # fmt: skip
