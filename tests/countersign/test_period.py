"""The tables of a period, from real nights and from entries sealed by hand for what real nights show too rarely."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from sealed_nights import HOUR, Ledger, source

from countersign import scaffold
from countersign.errors import EvidenceError
from countersign.evidence.verify import TIMESTAMP
from countersign.finding import fingerprint
from countersign.period import NoSuchPartnerError, NoSuchPeriodError, Period, build
from countersign.period.tables import ORDER, TABLES
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.register.load import load_register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from countersign.register.records import Register

FIRST = date(2026, 11, 1)
CONTROL = "rotation-age"


def at(day: int, hour: int = 2) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def plain(day: int, hour: int = 2) -> datetime:
    return datetime(2026, 11, day, hour)  # noqa: DTZ001 - as the tables have it


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def made(ledger: Ledger, days: int, tmp_path: Path, **asked: Any) -> Period:
    told = {"seed": "s", "keys": [ledger.public], "database": tmp_path / "period.duckdb"} | asked
    return build(ledger.store, FIRST, date(2026, 11, days), **told)


def uid(name: str, scope: str = "111111111111") -> str:
    return f"aws:{scope}:user/{name}"


def finding(name: str, since: datetime, state: str = "open", **said: object) -> dict[str, object]:
    scope = str(said.get("scope", "111111111111"))
    subject = uid(name, scope)
    return {
        "fingerprint": fingerprint(CONTROL, subject), "control": CONTROL, "subject": subject, "subject_kind": "identity", "identity": subject,
        "identity_name": name, "provider": "aws", "scope": scope, "severity": "high", "reason": "200 days old", "state": state, "since": since,
        "first_seen": since, "due": since + timedelta(days=1), "reopened": 0,
    } | said  # fmt: skip


def verdict(name: str, said: str = "pass", partner: str | None = None, scope: str = "111111111111") -> dict[str, object]:
    subject = uid(name, scope)
    return {"subject": subject, "subject_kind": "identity", "identity": subject, "kind": "user", "partner": partner, "rotation_age": said}


def identity(name: str, scope: str = "111111111111", *, enabled: bool = True, called: str | None = None) -> dict[str, object]:
    return {
        "uid": uid(name, scope),
        "provider": "aws",
        "scope": scope,
        "kind": "user",
        "name": called or name,
        "native_id": name,
        "enabled": enabled,
    }


def row(period: Period, table: str, **where: object) -> dict[str, Any]:
    (found,) = [row for row in period.rows(table) if all(row[name] == value for name, value in where.items())]
    return found


def register(folder: Path, **partners: Mapping[str, str]) -> Register:
    """Make a register with partners: id to name, contract reference and its last day."""
    root = folder / f"programme-{len(list(folder.iterdir()))}"
    scaffold.init(root)
    for file in (root / "register" / "partners").glob("*.yaml"):
        file.unlink()
    (root / "register" / "partners").mkdir(exist_ok=True)
    for partner, said in partners.items():
        contract = {"reference": said["reference"], "starts": date(2020, 1, 1)} | (
            {"ends": date.fromisoformat(said["ends"])} if "ends" in said else {}
        )
        entry = {"partner": {"id": partner, "name": said["name"]}, "contract": contract}
        (root / "register" / "partners" / f"{partner}.yaml").write_text(yaml.safe_dump(entry))
    return load_register(root / "register")


def test_a_night_twice_a_failed_one_a_partial_one_and_a_stopped_one(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(2), sources=[source("111111111111")])
    ledger.failed(at(3), "NotJudgedError: the disk was full")
    ledger.night(at(3, 9), sources=[source("111111111111")])
    ledger.night(
        at(3, 11),
        sources=[source("111111111111"), source("2", state="denied", operations=[{"error": "AccessDenied", "state": "denied"}])],
        state="partial",
    )
    ledger.failed(at(6), "interrupted: the process died", began=at(4))
    ledger.night(at(6), guard="29 of 30 open findings are gone")
    period = made(ledger, 6, tmp_path)
    told = [(row["day"].day, row["state"], row["sequence"], row["runs"], row["failures"], row["why"]) for row in period.rows("nights")]
    assert [
        (1, "before", None, 0, 0, "the ledger had not begun: its first entry is of 2026-11-02"),
        (2, "complete", 1, 1, 0, None),
        (3, "partial", 4, 2, 1, "aws 2 denied: iam:ListUsers: AccessDenied"),
        (4, "failed", None, 0, 1, "interrupted: the process died"),
        (5, "missing", None, 0, 0, None),
        (6, "stopped", 6, 1, 0, "29 of 30 open findings are gone"),
    ] == told
    assert (at(6), 6, 1, 6) == (period.as_of, period.size, period.first_sequence, period.last_sequence)


def test_a_finding_that_came_back_was_excepted_unobserved_and_ticketed(ledger: Ledger, tmp_path: Path) -> None:
    old = datetime(2026, 10, 20, 2, tzinfo=UTC)
    slas = [{"control": CONTROL, "clock": "rotate", "detect_us": 24 * HOUR, "escalate_us": 4 * HOUR, "rotate_us": 48 * HOUR}]
    ticket = {"key": "cs1-a", "ticket": "local:7", "error": None}
    plan = {"key": "cs1-a", "action": "create", "control": CONTROL, "partner": None, "ticket": None}
    said = {"slas": slas, "looked": [{"provider": "aws", "scope": "111111111111", "looked_before": at(3)}], "plans": [plan]}
    held = {"ticket_key": "cs1-a"}
    ledger.night(at(1), findings=[finding("a", old, **held)], receipts=[ticket | {"action": "unchanged"}], **said)
    ledger.night(
        at(2),
        findings=[finding("a", old, "excepted", excepted="EX-1", excepted_until=at(9), **held)],
        receipts=[ticket | {"action": "updated"}],
        **said,
    )
    ledger.night(at(3), findings=[finding("a", old, "resolved", closed_at=at(3), **held)], receipts=[ticket | {"action": "closed"}], **said)
    ledger.night(at(4), guard="too many are new", findings=[finding("a", at(4), event="reopened"), finding("ghost", at(4))], **said)
    again = {"first_seen": old, "reopened": 1, **held}
    ledger.night(at(5), findings=[finding("a", at(5), **again)], receipts=[ticket | {"action": "reopened"}], **said)
    ledger.night(
        at(8),
        findings=[finding("a", at(5), unobserved_since=at(8), **again)],
        receipts=[ticket | {"action": "unchanged"}],
        state="partial",
        **said,
    )
    period = made(ledger, 8, tmp_path)
    first, second = period.rows("spells")
    names = ("state", "opened_sequence", "closed", "closed_sequence", "days", "overdue_days", "unobserved_since", "ticket")
    assert ("resolved", None, plain(3), 3, 14, 13, None, "local:7") == tuple(first[name] for name in names)
    assert ("open", 5, None, None, 3, 2, plain(8), "local:7") == tuple(second[name] for name in names)
    told = row(period, "tickets", key="cs1-a")
    assert (None, None, 1, 1, 1, 13) == tuple(
        told[name] for name in ("opened", "closed", "reopened", "findings", "open_findings", "overdue_days")
    )
    clocks = {(row["opened"].day, row["clock"]): (row["taken_seconds"], row["met"], row["why"]) for row in period.rows("clocks")}
    assert (14 * 86400, False, None) == clocks[20, "rotate"]
    assert (3 * 86400, None, "whether it still fails is not known") == clocks[5, "rotate"]
    assert (2 * 86400, False, None) == clocks[5, "detect"]  # its scope had last been read wholly two days before it came back
    assert (0, True, None) == clocks[5, "escalate"]
    assert (None, None, "its ticket was opened before the period") == clocks[20, "escalate"]
    assert any("guard stopped 1 runs" in note for note in period.notes)


def test_an_exception_does_not_stop_the_days_and_the_clock_says_why_it_judges_nothing(ledger: Ledger, tmp_path: Path) -> None:
    slas = [{"control": CONTROL, "clock": "rotate", "rotate_us": 24 * HOUR}]
    ledger.night(at(1), slas=slas, findings=[finding("a", at(1), "excepted", excepted="EX-1", excepted_until=at(20))])
    ledger.night(at(5), slas=slas, findings=[finding("a", at(1), "excepted", excepted="EX-1", excepted_until=at(20))])
    period = made(ledger, 5, tmp_path)
    told = row(period, "spells")
    assert ("excepted", 4, 3, "EX-1") == (told["state"], told["days"], told["overdue_days"], told["excepted"])
    assert "an exception holds, so nothing has to be done meanwhile" == row(period, "clocks", clock="rotate")["why"]


def test_nights_at_the_end_on_which_nobody_looked_are_counted(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(1), findings=[finding("a", at(1))])
    period = made(ledger, 9, tmp_path)
    assert ((7, 7), "counted on to 2026-11-09") == (
        (row(period, "spells")["days"], row(period, "spells")["overdue_days"]),
        period.notes[-1][-24:],
    )
    assert (at(1), at(9, 0)) == (period.as_of, period.counted_to)


def test_a_lost_ledger_makes_one_spell_of_two(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(1), findings=[finding("a", at(1))])
    ledger.night(at(2), findings=[finding("a", at(2))])
    ledger.night(at(3), findings=[finding("a", at(2), "resolved")])
    told = row(made(ledger, 3, tmp_path), "spells")
    assert (plain(1), plain(3), 1, 3) == (told["opened"], told["closed"], told["opened_sequence"], told["closed_sequence"])


def test_populations_count_nights_and_follow_names_and_partners(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(
        at(1),
        verdicts=[verdict("a", partner="acme"), verdict("b", "fail")],
        identities=[identity("a"), identity("b")],
        owners={CONTROL: "maria"},
    )
    ledger.night(at(2, 1), verdicts=[verdict("a", "fail")])  # judged again that day: a run, but not the night
    ledger.night(
        at(2),
        verdicts=[verdict("a", "unknown", partner="bee")],
        identities=[identity("a", called="renamed")],
        controls=(CONTROL, "new-one"),
    )
    period = made(ledger, 2, tmp_path, sample_size=1)
    a = row(period, "populations", subject=uid("a"))
    names = ("identity_name", "partner", "provider", "scope", "nights", "passed", "failed", "unknown", "verdict", "accountable")
    assert ("renamed", "bee", "aws", "111111111111", 2, 1, 0, 1, "unknown", None) == tuple(a[name] for name in names)
    assert (plain(1), plain(2)) == (a["first_seen"], a["last_seen"])
    b = row(period, "populations", subject=uid("b"))
    assert (1, 1, "fail", plain(1), plain(1), "maria") == tuple(
        b[n] for n in ("nights", "failed", "verdict", "first_seen", "last_seen", "accountable")
    )
    assert [(1, CONTROL, "fail"), (2, CONTROL, "fail"), (3, "new-one", "pass"), (3, CONTROL, "unknown")] == [
        (row["sequence"], row["control"], row["verdict"]) for row in period.rows("results")
    ]
    assert 1 == period.count("samples")


def test_counts_that_disagree_are_told_and_those_without_a_second_count_are_not_judged(ledger: Ledger, tmp_path: Path) -> None:
    told = [
        {"operation": "a", "returned": 5, "independentCount": 5},
        {"operation": "b", "returned": 5, "independentCount": 6, "dropped": {"not ours": 2}},
        {"operation": "c"},
    ]
    ledger.night(at(1), sources=[source("111111111111", operations=told)])
    rows = [(row["operation"], row["agrees"], row["dropped"], row["dropped_why"]) for row in made(ledger, 1, tmp_path).rows("operations")]
    assert [("a", True, 0, None), ("b", False, 2, "not ours: 2"), ("c", None, 0, None)] == rows


def test_a_partner_is_gone_when_a_night_read_all_that_held_it(ledger: Ledger, tmp_path: Path) -> None:
    held = register(tmp_path, acme={"name": "Acme", "reference": "C-1", "ends": "2026-11-02"})
    both = [source("111111111111"), source("222222222222")]
    theirs = [identity("x"), identity("y", "222222222222")]
    attributed = [verdict("x", partner="acme"), verdict("y", partner="acme", scope="222222222222")]
    ledger.night(at(1), register=held, sources=both, identities=theirs, verdicts=attributed)
    ledger.night(at(3), register=held, sources=both, identities=theirs, verdicts=[verdict("x"), verdict("y", scope="222222222222")])
    assert (
        "2 live on the last night, 2 of them not attributed to the partner any more"
        == row(made(ledger, 3, tmp_path), "offboardings")["why"]
    )
    gone = {"register": held, "identities": [identity("x", enabled=False)], "verdicts": [verdict("x", partner="acme")]}
    ledger.night(at(4), sources=[source("111111111111"), source("222222222222", state="denied")], **gone)
    early = row(made(ledger, 4, tmp_path), "offboardings")
    assert ("unknown", None, 2) == (early["state"], early["left_over"], early["identities_at_end"])
    ledger.night(at(5), sources=both, **gone)
    told = row(made(ledger, 5, tmp_path), "offboardings")
    assert ("gone", date(2026, 11, 5), 3, 0, plain(3)) == tuple(
        told[name] for name in ("state", "gone_on", "days_to_gone", "left_over", "last_seen")
    )


def test_what_an_older_version_did_not_seal_is_a_note_and_no_zero(ledger: Ledger, tmp_path: Path) -> None:
    ledger.night(at(1), verdicts=None, findings=[finding("a", at(1))])
    period = made(ledger, 1, tmp_path)
    assert (0, 1, "complete") == (period.count("populations"), period.count("spells"), row(period, "nights")["state"])
    assert (None, None) == (row(period, "partners")["checks"], row(period, "partners")["identities"])
    assert any("older version or disposed of" in note for note in period.notes)
    assert any("no register" in note for note in period.notes)


def test_disposed_files_are_a_note_and_missing_ones_are_broken_evidence(ledger: Ledger, tmp_path: Path) -> None:
    folder = ledger.night(at(1), verdicts=[verdict("a")])
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != "statement.dsse.json"]
    for name in names:
        (folder / name).unlink()
    with pytest.raises(EvidenceError, match="cannot be read"):
        made(ledger, 1, tmp_path)
    disposed = [
        {
            "sequence": 1,
            "statement": str(ledger.previous),
            "files": dict.fromkeys(names, "0"),
            "retainUntil": "2026-11-02T00:00:00Z",
            "why": "over",
        }
    ]
    ledger.entry("disposal", at(3), {"customer": "northwind", "disposed": disposed})
    period = made(ledger, 3, tmp_path)
    assert ["reconcile", "disposal"] == [row["kind"] for row in period.rows("runs")]
    assert (1, 0, None) == (period.count("results"), period.count("populations"), row(period, "results")["unknown_scopes"])


def test_exports_extend_no_period_and_its_edges_are_days(ledger: Ledger, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        ledger.entry("export", at(day, 1), {})
        ledger.night(at(day))
    ledger.entry("export", at(3, 9), {})
    period = made(ledger, 3, tmp_path)
    assert (2, 6, at(3)) == (period.first_sequence, period.last_sequence, period.as_of)
    with pytest.raises(NoSuchPeriodError, match="there are entries from 2026-11-01 to 2026-11-03") as caught:
        build(ledger.store, date(2027, 1, 1), date(2027, 2, 1), seed="s", database=tmp_path / "p.duckdb")
    assert 2 == caught.value.exit_code
    with pytest.raises(NoSuchPeriodError, match="no evidence in"):
        build(tmp_path / "nowhere", FIRST, FIRST, seed="s", database=tmp_path / "p.duckdb")


@pytest.mark.parametrize(
    "name", ["findings.parquet", "verdicts.parquet", "results.json", "inventory/identities.parquet", "statement.dsse.json"]
)
def test_a_changed_file_says_nothing_of_the_period(ledger: Ledger, tmp_path: Path, name: str) -> None:
    folder = ledger.night(at(1), verdicts=[verdict("a")])
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EvidenceError):
        made(ledger, 1, tmp_path)


def test_a_missing_entry_a_strange_key_and_a_strange_timestamp_are_broken_evidence(ledger: Ledger, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        ledger.night(at(day))
    other = Ledger(tmp_path / "other")
    with pytest.raises(EvidenceError, match="none of the keys"):
        made(ledger, 3, tmp_path, keys=[other.public])
    (ledger.store / "00000003" / TIMESTAMP).write_bytes(b"nonsense")
    with pytest.raises(EvidenceError, match="no timestamp of this run"):
        made(ledger, 3, tmp_path)
    (ledger.store / "00000002").rename(tmp_path / "taken")
    with pytest.raises(EvidenceError, match="missing: 00000002 to 00000002"):
        made(ledger, 3, tmp_path)


MARK = "Zanzibar"
WHO = {"partner": "zanzibar", "name": f"{MARK} Ltd", "reference": f"C-{MARK}"}


def nights_of_two(ledger: Ledger, tmp_path: Path) -> None:
    held = register(
        tmp_path,
        acme={"name": "Acme", "reference": "C-1"},
        zanzibar={"name": WHO["name"], "reference": WHO["reference"], "ends": "2026-11-01"},
    )
    elsewhere = "999999999999"
    refused = [{"operation": "iam:ListUsers", "state": "denied", "error": f"{MARK} refused", "returned": 77}]
    shared = source(
        "111111111111",
        operations=[{"returned": 77, "independentCount": 77, "error": f"asked as {WHO['name']}"}],
        caller="arn:zanzibar/reader",
    )
    for day in (1, 2):
        ledger.night(
            at(day),
            register=held,
            sources=[shared, source(elsewhere, name="zanzibar-source", state="denied", operations=refused)],
            state="partial",
            unread=[{"provider": "aws", "scope": elsewhere}],
            identities=[identity("mine"), identity("zanzibar-bot"), identity("quiet"), identity("far", elsewhere)],
            verdicts=[
                verdict("mine", "fail", "acme"),
                verdict("zanzibar-bot", "fail", "zanzibar"),
                verdict("quiet", "fail", "zanzibar"),
                verdict("far", partner="zanzibar", scope=elsewhere),
                verdict("own"),
            ],
            findings=[
                finding("mine", at(1), partner="acme", reason=f"also (zanzibar) of {WHO['name']} may use it", ticket_key="cs1-a"),
                finding("mine2", at(1), partner="acme", reason="made by quiet", ticket_key="cs1-a"),
                finding("zanzibar-bot", at(1), partner="zanzibar", ticket_key="cs1-z"),
            ],
            receipts=[{"key": key, "ticket": f"local:{key}", "action": "created", "error": None} for key in ("cs1-a", "cs1-z")],
            plans=[{"key": "cs1-a", "control": CONTROL, "partner": "acme"}, {"key": "cs1-z", "control": CONTROL, "partner": "zanzibar"}],
            slas=[{"control": CONTROL, "clock": "rotate", "rotate_us": HOUR}],
            owners={CONTROL: "zoe"},
            said={"limitedTo": ["zanzibar-source", "aws"], "actors": {"runner": "zanzibar-operator"}},
        )
    ledger.failed(at(3), f"{MARK} broke it")
    ledger.night(at(4), guard=f"77 of {MARK}'s findings are gone", register=held)


def test_a_partner_sees_nothing_of_another(ledger: Ledger, tmp_path: Path) -> None:
    nights_of_two(ledger, tmp_path)
    period = made(ledger, 4, tmp_path, partner="acme")
    everything = json.dumps(
        {table: list(period.rows(table)) for table in TABLES} | {"period": repr(period).replace(str(tmp_path), "")}, default=str
    )
    for word in (MARK.lower(), "quiet", "999999999999", "cs1-z", " 77"):
        assert word not in everything.lower(), word
    assert [uid("mine")] == [row["subject"] for row in period.rows("populations")]
    assert (1, 0) == (row(period, "results", sequence=1)["failed"], row(period, "results", sequence=1)["unknown_scopes"])
    # the unread scope never held what is theirs, so their nights are whole
    assert ["complete", "complete", "failed", "stopped"] == [row["state"] for row in period.rows("nights")]
    assert ["acme"] == [row["partner"] for row in period.rows("partners")]
    reasons = {row["identity_name"]: row["reason"] for row in period.rows("spells")}
    assert {
        "mine": "also (another partner) of another partner may use it",
        "mine2": "withheld: it tells of others than this partner",
    } == reasons
    with pytest.raises(NoSuchPartnerError, match="no partner 'nobody'"):
        made(ledger, 4, tmp_path, partner="nobody")
    everybody = made(ledger, 4, tmp_path)
    assert ["acme", "zanzibar", None] == [row["partner"] for row in everybody.rows("partners")]
    assert MARK in json.dumps(list(everybody.rows("runs")), default=str)


def test_the_same_evidence_gives_the_same_tables(ledger: Ledger, tmp_path: Path) -> None:
    nights_of_two(ledger, tmp_path)
    one, two = (dump(made(ledger, 4, tmp_path, database=tmp_path / f"{n}.duckdb", partner=None)) for n in (1, 2))
    assert one == two


def dump(period: Period) -> dict[str, list[dict[str, Any]]]:
    return {table: list(period.rows(table)) for table in TABLES}


def test_each_table_has_a_total_order(ledger: Ledger, tmp_path: Path) -> None:
    nights_of_two(ledger, tmp_path)
    period = made(ledger, 4, tmp_path)
    with duckdb.connect(str(period.database), read_only=True) as db:
        for table, order in ORDER.items():
            keys = order.replace(" NULLS FIRST", "").replace(" NULLS LAST", "")
            assert (0,) == db.execute(f"SELECT count(*) - count(DISTINCT ({keys}, 1)) FROM {table}").fetchone(), table  # noqa: S608 - tables of ours


def test_real_nights(tmp_path: Path) -> None:
    folder = tmp_path / "programme"
    scaffold.init(folder)
    exports = folder / "exports"
    lines = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"

    def export(users: Mapping[str, int | None]) -> None:
        rows = [lines]
        for name, days in users.items():
            key = "false,N/A" if days is None else f"true,{(at(1) - timedelta(days=days)).isoformat()}"
            rows.append(
                f"{name},arn:aws:iam::111111111111:user/{name},2024-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,{key},N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
            )
        (exports / "111111111111.csv").write_text("\n".join(rows) + "\n")

    export({"old": 200, "fine": 1})
    reconcile(load(folder), at(1))
    export({"old": None, "fine": 1})
    reconcile(load(folder), at(2))
    (exports / "111111111111.csv").write_text(lines.replace("user,arn", "x,y") + "\nz\n")
    reconcile(load(folder), at(4))
    period = build(
        folder / "evidence", FIRST, date(2026, 11, 4), seed="s", keys=[folder / "keys" / "evidence.pub.pem"], database=tmp_path / "p.duckdb"
    )
    assert ["complete", "complete", "missing", "partial"] == [row["state"] for row in period.rows("nights")]
    told = row(period, "spells", control=CONTROL)
    assert ("resolved", plain(1), plain(2), 1, 2, 1) == tuple(
        told[name] for name in ("state", "opened", "closed", "opened_sequence", "closed_sequence", "days")
    )
    assert told["ticket"] is not None
    ticket = row(period, "tickets", ticket=told["ticket"])
    assert (plain(1), plain(2), 0) == (ticket["opened"], ticket["closed"], ticket["open_findings"])
    # what the populations count by night is what the nights said
    with duckdb.connect(str(period.database), read_only=True) as db:
        wrong = db.execute("""
            SELECT control FROM (SELECT control, sum(population - unknown_scopes) AS said, sum(failed) AS failing FROM results GROUP BY 1)
            LEFT JOIN (SELECT control, sum(nights) AS counted, sum(failed) AS failed FROM populations GROUP BY 1) USING (control)
            WHERE (said, failing) <> (coalesce(counted, 0), coalesce(failed, 0))""").fetchall()
    assert [] == wrong
    assert {"provision", "rotate", "review", "revoke"} == {row["step"] for row in period.rows("accountability")}
    assert period.people
    assert "own" in {row["governed_by"] for row in period.rows("controls")} | {"own"}
