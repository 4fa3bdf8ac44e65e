"""Ninety made-up nights in the tables of a period: gaps, failures, a guard stop, exceptions, an offboarding, overdue keys, hostile names."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from countersign import shares
from countersign.expectation import expectations
from countersign.period.tables import TABLES
from tests.countersign.test_report import HOSTILE, ORDINARY

if TYPE_CHECKING:
    from pathlib import Path

FIRST, LAST = date(2026, 8, 24), date(2026, 11, 21)
DAYS = tuple(FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
END = datetime(2026, 11, 21, 2)  # noqa: DTZ001 - the tables hold UTC without a zone
MISSING = {date(2026, 9, 12), date(2026, 9, 13), date(2026, 10, 20)}
FAILED = {
    date(2026, 9, 30): "the state database did not answer: connection refused",
    date(2026, 11, 2): "the register could not be read: controls/default.yaml, line 3: <b>unknown key</b>",
}
STOPPED = {date(2026, 10, 7): "412 of 800 findings are new, more than the limit of 50%"}
PARTIAL = {date(2026, 9, 3) + timedelta(days=number): "aws 555566667777: sts:AssumeRole: AccessDenied" for number in range(4)} | {
    date(2026, 11, 15): "vault vault/ns-a: permission denied", LAST: "aws 555566667777: sts:AssumeRole: AccessDenied; vault vault/ns-a: sealed",
}  # fmt: skip
PEOPLE = {
    "maria": "Maria Okafor", "devika": "Devika Rao", "sam": "Sam <b>Weiss</b>", "gunnar": "Gunnar Lind", "acme/pavel": "acme/pavel", "soc": "Security operations",
}  # fmt: skip
PARTNERS = {"acme": "Acme Managed Services", "globex": "Globex <script>alert(4)</script>", "brightpath": "Brightpath Analytics"}
SEVERITIES = ("critical", "high", "medium", "low")
OVERDUE_KEY = "aws:444455556666:access-key/AKIAIOSFODNN7EXAMPLE"


def at(day: date, hour: int = 2) -> datetime:
    return datetime(day.year, day.month, day.day, hour)  # noqa: DTZ001 - as END


def digest(text: object) -> str:
    return "sha256:" + hashlib.sha256(str(text).encode()).hexdigest()


def put(db: duckdb.DuckDBPyConnection, folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows by column name, by way of a JSON file; a column that a row leaves out is null."""
    columns = {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()}
    for row in rows:
        assert set(row) <= set(columns), (table, set(row) - set(columns))
    file = folder / f"{table}.jsonl"
    file.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    shape = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    db.execute(f"INSERT INTO {table} SELECT * FROM read_json('{file}', format = 'newline_delimited', columns = {{{shape}}})")  # noqa: S608 - names of our own tables
    file.unlink()


def empty(file: Path) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect(str(file))
    for table, columns in TABLES.items():
        db.execute(f"CREATE TABLE {table} ({columns}\n)")
    return db


def nights(file: Path) -> None:
    """Fill `file` with the whole estate."""
    chance = random.Random(5)  # noqa: S311 - the same estate each time
    with empty(file) as db:
        runs = _runs()
        put(db, file.parent, "runs", runs)
        judged = [run for run in runs if run["judged"]]
        put(db, file.parent, "nights", _nights(runs))
        records = expectations()
        spells = _spells(chance, records)
        put(db, file.parent, "spells", spells)
        put(db, file.parent, "controls", controls := _controls(chance, records, spells))
        put(db, file.parent, "results", _results(judged, controls, spells))
        put(db, file.parent, "sources", _sources(judged))
        put(db, file.parent, "operations", _operations(judged))
        put(db, file.parent, "tickets", _tickets(spells))
        put(db, file.parent, "clocks", _clocks(chance, spells))
        put(db, file.parent, "exceptions", _exceptions())
        put(db, file.parent, "accountability", _accountability(records))
        put(db, file.parent, "people", _people(spells))
        put(db, file.parent, "workloads", _workloads())
        put(db, file.parent, "partners", _partners(spells))
        put(db, file.parent, "offboardings", _offboardings())
        put(
            db,
            file.parent,
            "drills",
            [
                {
                    "sequence": 40,
                    "as_of": at(date(2026, 10, 2), 9),
                    "path": "revoke an access key",
                    "state": "passed",
                    "seconds": 312,
                    "findings": 0,
                }
            ],
        )
        put(db, file.parent, "samples", _samples(controls))


def _runs() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for day in DAYS:
        if day in MISSING:
            continue
        state = "failed" if day in FAILED else "partial" if day in PARTIAL else "complete"
        sequence = len(rows) + 101
        rows.append({
            "sequence": sequence, "run": f"{day:%Y%m%d}T020000Z-{sequence:06x}", "kind": "failed" if day in FAILED else "reconcile", "slot": f"{day}T02:00:00Z",
            "state": state, "as_of": None if day in FAILED else at(day), "started": at(day), "finished": at(day) + timedelta(minutes=7),
            "statement_digest": digest(sequence), "keyid": "ab" * 32, "judged": day not in FAILED, "error": FAILED.get(day), "guard": STOPPED.get(day),
            "resumed": int(day == date(2026, 9, 20)), "code_version": "0.1.0", "register_digest": digest(day >= date(2026, 10, 5)), "runner": "runner-1",
            "timestamped_at": None if day in PARTIAL else at(day) + timedelta(minutes=8),
        })  # fmt: skip
    return rows


def _nights(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_day = {run["finished"].date(): run for run in runs}
    rows = []
    for day in DAYS:
        run = by_day.get(day)
        state = "missing" if run is None else "stopped" if day in STOPPED else run["state"]
        judged = run is not None and run["judged"]
        rows.append({
            "day": day, "state": state, "sequence": run["sequence"] if run and judged else None, "run": run["run"] if run and judged else None,
            "runs": int(judged), "failures": int(state == "failed"), "failed_sequences": [run["sequence"]] if run and state == "failed" else [], "why": {**FAILED, **STOPPED, **PARTIAL}.get(day),
        })  # fmt: skip
    return rows


def _spells(chance: random.Random, records: Any) -> list[dict[str, Any]]:
    rows = []
    for number in range(700):
        record = chance.choice(records[:24])
        name = HOSTILE[number % len(HOSTILE)] if number % 23 == 0 else chance.choice(ORDINARY)
        subject = (
            f"aws:444455556666:access-key/AKIA{number:06}"
            if number % 3
            else f"azure:91b7c3e6-40d2-4f5a-8e16-7d2a9c04be53:client-secret/{number:08x}"
        )
        opened = END - timedelta(days=chance.randrange(0, 130), hours=chance.randrange(0, 24))
        life = chance.randrange(1, 60)
        closed = opened + timedelta(days=life)
        closed = at(closed.date()) if FIRST <= closed.date() <= LAST and number % 4 else None
        until = closed or END
        due = None if number % 9 == 4 else opened + timedelta(days=chance.choice((1, 7, 14, 30)))
        late = None if due is None else max(0, -((due - until) // timedelta(days=1)))
        excepted = "EX-0012" if closed is None and number % 40 == 8 else None
        rows.append({
            "fingerprint": f"{number:064x}", "control": record.id, "subject": subject, "subject_kind": "credential", "identity": f"aws:444455556666:user/{name}"[:200],
            "identity_name": None if number % 50 == 3 else name, "provider": subject.split(":", maxsplit=1)[0], "scope": subject.split(":")[1],
            "partner": chance.choice(("acme", "acme", "globex", "brightpath", None)), "accountable": chance.choice(("maria", "devika", "sam", None)),
            "severity": record.severity.value, "reason": f"created {opened:%Y-%m-%d}; limit 90 days",
            "state": "resolved" if closed else "excepted" if excepted else "open", "opened": opened, "opened_sequence": _sequence(opened) if opened >= at(FIRST) else None,
            "closed": closed, "closed_sequence": _sequence(closed) if closed else None, "days": (until - opened).days, "due": due, "overdue_days": late, "excepted": excepted,
            "excepted_until": at(date(2027, 1, 1), 0) if excepted else None, "reopened": int(number % 31 == 0),
            "unobserved_since": END - timedelta(days=3) if closed is None and number % 37 == 5 else None, "looked_before": opened - timedelta(days=1),
            "ticket_key": f"t{number // 4}", "ticket": f"local:{number // 4}" if number % 8 else None,
        })  # fmt: skip
    rows[1] |= {
        "subject": OVERDUE_KEY, "provider": "aws", "scope": "444455556666", "identity_name": "acme-backup", "control": "rotation-age", "severity": "high", "partner": "acme",
        "accountable": "maria", "state": "open", "opened": END - timedelta(days=130), "closed": None, "closed_sequence": None, "days": 130,
        "due": END - timedelta(days=123), "overdue_days": 123, "excepted": None, "excepted_until": None,
    }  # fmt: skip
    return rows


def _sequence(when: datetime) -> int:
    """Return the entry of the first judged night at or after a time."""
    return next(run["sequence"] for run in _runs() if run["judged"] and run["as_of"] >= when)


def _controls(chance: random.Random, records: Any, spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for number, record in enumerate(records):
        failed = sum(spell["control"] == record.id and spell["state"] == "open" for spell in spells)
        excepted = sum(spell["control"] == record.id and spell["state"] == "excepted" for spell in spells)
        passed, unknown = (chance.randrange(20, 12_000), chance.choice((1, 1, 4, 41))) if number != 30 else (0, 0)
        population = passed + failed + excepted + unknown
        verdict = "not assessed" if not population else "fail" if failed else "unknown" if unknown else "pass"
        rows.append({
            "control": record.id, "title": record.title, "family": shares.family(record.id), "severity": record.severity.value, "maps_to": list(record.maps_to),
            "accountable": None if record.id == "inactive" else chance.choice(("maria", "devika")), "governed_by": "own" if number % 5 == 0 else "default",
            "verdict": verdict, "population": population, "passed": passed, "failed": failed, "excepted": excepted, "unknown": unknown,
        })  # fmt: skip
    return rows


def _results(judged: list[dict[str, Any]], controls: list[dict[str, Any]], spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for run in judged:
        for control in controls:
            if control["control"] == "overlap-too-long" and run["as_of"].date() < date(2026, 10, 1):
                continue  # this control was added in the middle
            failed = sum(
                spell["control"] == control["control"]
                and spell["opened"] <= run["as_of"]
                and (spell["closed"] is None or spell["closed"] > run["as_of"])
                for spell in spells
            )
            denied = int(run["state"] == "partial" and control["population"] > 0)  # one scope, which hides any number, counts as one
            kept = {name: control[name] for name in ("control", "verdict", "population", "passed", "excepted", "unknown")}
            rows.append(kept | {
                "sequence": run["sequence"], "as_of": run["as_of"], "failed": failed, "unknown": max(0, kept["unknown"] - 1) + denied, "unknown_scopes": denied,
                "population": max(0, kept["population"] - 1) + denied,
            })  # fmt: skip
    return rows


def _sources(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for run in judged:
        for source, scope in (
            ("aws", "444455556666"),
            ("aws", "555566667777"),
            ("entra", "91b7c3e6-40d2-4f5a-8e16-7d2a9c04be53"),
            ("vault", "vault/ns-a"),
        ):
            denied = run["state"] == "partial" and scope in str(PARTIAL[run["as_of"].date()])
            rows.append({
                "sequence": run["sequence"], "as_of": run["as_of"], "source": source, "provider": {"entra": "azure"}.get(source, source), "scope": scope,
                "state": "denied" if denied else "complete", "caller": f"arn:aws:sts::{scope}:assumed-role/countersign" if source == "aws" else None,
                "passed_over": False, "identities": None if denied else 1_412, "credentials": None if denied else 903,
                "reason": "sts:AssumeRole: AccessDenied: <b>not</b> authorised" if denied else None,
            })  # fmt: skip
    return rows


def _operations(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for run in judged:
        for scope in ("444455556666", "555566667777"):
            denied = run["state"] == "partial" and scope in str(PARTIAL[run["as_of"].date()])
            short = scope == "444455556666" and run["as_of"].date() in (date(2026, 10, 11), date(2026, 10, 12))
            rows.append({
                "sequence": run["sequence"], "as_of": run["as_of"], "source": "aws", "provider": "aws", "scope": scope, "operation": "iam:ListUsers",
                "state": "denied" if denied else "complete", "pages": 15, "returned": None if denied else 1_412 - 9 * short, "dropped": 2,
                "dropped_why": "service-linked", "independent_count": None if denied else 1_412, "agrees": None if denied else not short,
                "error": "AccessDenied" if denied else None, "started": run["started"], "finished": run["finished"],
            })  # fmt: skip
    return rows


def _tickets(spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    carried: dict[str, list[dict[str, Any]]] = {}
    for spell in spells:
        carried.setdefault(spell["ticket_key"], []).append(spell)
    return [
        {
            "key": key, "ticket": held[0]["ticket"] or None, "control": held[0]["control"], "partner": held[0]["partner"], "accountable": held[0]["accountable"],
            "severity": held[0]["severity"], "opened": held[0]["opened"], "opened_sequence": held[0]["opened_sequence"],
            "closed": None if any(spell["closed"] is None for spell in held) else max(spell["closed"] for spell in held), "reopened": held[0]["reopened"],
            "findings": len(held), "open_findings": sum(spell["closed"] is None for spell in held), "due": held[0]["due"], "overdue_days": held[0]["overdue_days"],
            "failures": 2 if key == "t7" else 0,
        }
        for key, held in carried.items()
    ]  # fmt: skip


def _clocks(chance: random.Random, spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    agreed = {"detect": 86_400, "escalate": 14_400, "rotate": 604_800, "revoke": 86_400}
    rows = []
    for spell in spells:
        for clock, limit in agreed.items():
            untold = clock == "detect" and chance.random() < 0.1
            none = clock == "revoke" and spell["severity"] == "low"
            taken = None if untold else chance.randrange(60, 3 * limit if clock != "escalate" else 2 * limit)
            rows.append({
                "fingerprint": spell["fingerprint"], "opened": spell["opened"], "control": spell["control"], "partner": spell["partner"], "clock": clock,
                "agreed_seconds": None if none else limit, "taken_seconds": taken, "running": spell["closed"] is None and clock in ("rotate", "revoke"),
                "met": None if none or taken is None else taken <= limit, "why": "nobody had looked before" if untold else None,
            })  # fmt: skip
    return rows


def _exceptions() -> list[dict[str, Any]]:
    base = {
        "severity": "high", "control": "rotation-age", "subject": "aws:444455556666:access-key/AKIA000048", "identity_name": "acme-backup", "partner": "acme", "requested_by": "devika",
        "approved_by": "maria", "approved_on": date(2026, 8, 30), "reason": "The plant is frozen for the year end; the key cannot be replaced before January.",
        "compensating_control": "Its use is watched daily by the security operations team.", "exit_criteria": "Rotated in January.", "expires": date(2026, 12, 31),
        "renewals": 1, "state": "in force", "in_force": True, "nights_used": 71, "first_used": at(date(2026, 8, 31)), "last_used": END,
    }  # fmt: skip
    return [
        base | {"exception": "EX-0012"},
        base | {"exception": "EX-0031", "control": "human-mfa", "approved_by": None, "state": "invalid", "in_force": False,
                "refused": "the signature is of nobody who may approve", "refused_first": "the signature is of nobody who may approve", "refused_since": at(FIRST),
                "nights_used": 0, "first_used": None, "last_used": None, "renewals": 0, "identity_name": HOSTILE[0], "reason": None},
        base | {"exception": "EX-0040", "control": "inactive", "ended_on": date(2026, 10, 1), "expires": date(2026, 10, 1), "state": "ended", "in_force": False,
                "refused": "ended_on: the exception was ended on 2026-10-01", "refused_first": "approved_by: sam is not accountable", "refused_since": at(date(2026, 9, 28)),
                "nights_used": 12, "last_used": at(date(2026, 9, 27))},
        base | {"exception": "EX-0050", "state": "ended", "in_force": False, "expires": date(2026, 9, 20), "refused": "expires: the exception expired on 2026-09-20", "nights_used": 12},
        base | {"exception": "EX-0051", "state": "requested", "in_force": False, "approved_by": None, "refused": "approved_by: nobody has approved it yet", "nights_used": 0},
    ]  # fmt: skip


def _accountability(records: Any) -> list[dict[str, Any]]:
    rows = []
    for number, (begin, end) in enumerate(((101, at(date(2026, 10, 4))), (140, END))):
        for record in records:
            special = record.id == "rotation-age"
            for step in ("provision", "rotate", "review", "revoke"):
                if record.id == "inactive":
                    rows.append({"register_digest": digest(number == 1), "from_sequence": begin, "from_as_of": at(FIRST), "to_as_of": end, "control": "inactive",
                                 "title": record.title, "governed_by": "nobody", "step": step, "accountable_is_customer": False})  # fmt: skip
                    continue
                rows.append({
                    "register_digest": digest(number == 1), "from_sequence": begin, "from_as_of": at(FIRST) if number == 0 else at(date(2026, 10, 5)), "to_as_of": end,
                    "control": record.id, "title": record.title, "governed_by": "own" if special else "default", "business_owner": "maria", "technical_owner": "devika",
                    "operational_owner": "acme/pavel", "approves": "maria", "implements": "acme", "monitors": "devika", "revokes": "devika", "fallback": "gunnar" if special else "sam",
                    "step": step, "responsible": "acme" if step in ("provision", "rotate") else "devika",
                    "accountable": "gunnar" if special and number == 0 and step == "rotate" else None if special and step == "review" else "maria",
                    "consulted": "sam, devika", "informed": "soc", "accountable_is_customer": not (special and step == "review"),
                })  # fmt: skip
    return rows


def _people(spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    standing = Counter(spell["accountable"] for spell in spells if spell["closed"] is None)
    late = Counter(spell["accountable"] for spell in spells if spell["closed"] is None and spell["overdue_days"])
    return [
        {"person": person, "name": name, "party": "acme" if person.startswith("acme/") else None, "active": person != "gunnar", "controls": 40 if person == "maria" else 0,
         "workloads": 3 if person in ("maria", "gunnar") else 0, "open_findings": standing[person], "overdue": late[person]}
        for person, name in PEOPLE.items()
    ]  # fmt: skip


def _workloads() -> list[dict[str, Any]]:
    return [
        {"workload": "acme-backup", "partner": "acme", "owner": "gunnar", "backup_owner": "maria", "accountable": "maria", "purpose": "Backs the shop's orders up.",
         "environment": "production", "expires": date(2027, 3, 31), "reviewed": date(2026, 9, 1), "identities": ["aws:444455556666:user/acme-*"]},
        {"workload": "<b>loader</b>", "partner": "brightpath", "owner": None, "backup_owner": None, "accountable": None, "purpose": "<img src=x onerror=alert(1)>",
         "environment": None, "expires": None, "reviewed": None, "identities": [f"aws:*:role/<i>{n}</i>" for n in range(9)]},
    ]  # fmt: skip


def _partners(spells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for partner in (*PARTNERS, None):
        own = [spell for spell in spells if spell["partner"] == partner]
        standing = [spell for spell in own if spell["state"] == "open"]
        rows.append({
            "partner": partner, "name": None if partner is None else PARTNERS[partner], "contract": None if partner is None else f"C-{partner}",
            "starts": None if partner is None else date(2024, 1, 1), "ends": {"brightpath": date(2026, 10, 13), "acme": date(2027, 6, 30)}.get(partner or ""),
            "retention": None if partner is None else "P7Y", "direct_evidence_access": None if partner is None else False, "identities": 1_240, "credentials": 880,
            "checks": 9_000, "passed": 8_100 - len(standing), "failed": len(standing), "excepted": 4, "unknown": 896, "opened": len(own),
            "closed": sum(spell["closed"] is not None for spell in own), "open": len(standing), "critical": sum(s["severity"] == "critical" for s in standing),
            "high": sum(s["severity"] == "high" for s in standing), "overdue": sum(bool(s["overdue_days"]) for s in standing),
            "median_days_to_close": 14, "clocks_met": 812, "clocks_missed": 77,
        })  # fmt: skip
    return rows


def _offboardings() -> list[dict[str, Any]]:
    return [
        {"partner": "brightpath", "name": PARTNERS["brightpath"], "ended_on": date(2026, 10, 13), "runs": [], "identities_at_end": 14, "last_seen": END, "gone_on": None,
         "days_to_gone": None, "left_over": 5, "state": "still there", "why": "5 live identities on the last judged night"},
        {"partner": "globex", "name": PARTNERS["globex"], "ended_on": date(2026, 9, 1), "runs": ["20260902T090000Z-000abc"], "identities_at_end": 22,
         "last_seen": at(date(2026, 9, 8)), "gone_on": date(2026, 9, 9), "days_to_gone": 8, "left_over": 0, "state": "gone", "why": None},
    ]  # fmt: skip


def _samples(controls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for control in controls[:12]:
        draws = sorted(
            (hashlib.sha256(f"aws:1:user/{n}{control['control']}seed".encode()).hexdigest(), f"aws:1:user/{n}") for n in range(60)
        )[:25]
        rows += [
            {"control": control["control"], "place": place, "draw": draw, "subject": subject, "identity_name": HOSTILE[place % 10], "partner": "acme",
             "verdict": ("pass", "fail", "unknown")[place % 3], "first_seen": at(FIRST), "last_seen": END, "population": control["population"]}
            for place, (draw, subject) in enumerate(draws, 1)
        ]  # fmt: skip
    return rows
