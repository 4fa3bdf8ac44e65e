from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign import facts, findings_file, report, results, shares
from countersign.expectation import expectations
from countersign.finding import Known, Transition, life
from countersign.identity import Coverage, Grant, Provenance, Trust
from countersign.inventory import collect, spool, unread
from countersign.judge import judge
from countersign.reading import Scope
from countersign.register.records import Answers, Contract, Control, Footprint, Owners, Partner, Person, RegisteredException, Slas, Workload
from countersign.report import words
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
    sla = {
        "slas": Slas(detect=DAY, escalate=3 * DAY, rotate=7 * DAY, revoke=DAY),
        "answers": Answers(approves="maria"),
        "owners": Owners(business="dev"),
    }
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
            yield Grant(
                identity_uid=holder.uid,
                provider="aws",
                scope="444455556666",
                role="AdministratorAccess",
                power="administrator",
                rule="aws-every-action",
            )
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
            unread(DENIED, "denied", "sts:AssumeRole", "AccessDenied: <b>not</b> authorised", started=AS_OF, finished=AS_OF, work=work),
        ],
        work, folder / "inventory",
    )  # fmt: skip
    programme: Any = SimpleNamespace(register=held, sources=(), vendors=None)
    database = folder / "run.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF), readings)
    judgement = judge(database, expectations(), readings)
    seen_whole = dict.fromkeys([("aws", "444455556666"), ("vault", "vault/ns-a"), ("aws", "source/aws")], frozenset())
    judged = frozenset(result.id for result in judgement.results)
    failing = list(findings_file.failing(database, held))
    first = list(life({}, failing, unknown=(), seen=seen_whole, judged=judged, as_of=AS_OF))
    transitions = list(life(earlier(first), failing, unknown=(), seen=seen_whole, judged=judged, as_of=AS_OF))
    findings_file.write(folder / findings_file.NAME, database, transitions, None)
    return report.Page(
        customer="Northwind Trading", run="20261122T020000Z-a1b2c3", as_of=AS_OF, state=results.state_of(readings), stopped=None,
        people={person.id: person.name for person in held.people.values()},
        partners={partner.id: partner.name for partner in held.partners.values()},
        approvers={entry.exception: str(entry.approved_by) for entry in held.exceptions.values()},
        sources=results.sources(readings), controls=results.controls(judgement.results), records=expectations(),
        suite=judgement.validated.suite, validation=judgement.validated.result,
        events=Counter(t.kind for t in transitions), actions=Counter({"create": 9, "update": 4, "unchanged": 21}),
        findings=folder / findings_file.NAME,
    )  # fmt: skip


class Reader(HTMLParser):
    """Reads a page as strictly as a validator would where it matters: every element closed, in order, every reference met."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "circle"}
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop(), self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def values(self, *names: str) -> list[str]:
        return [value for _, attrs in self.elements for name, value in attrs.items() if name in names and value is not None]


def written(page: report.Page, folder: Path) -> str:
    report.write(folder / "report.html", page)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(page: report.Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(page, tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def seen(html: str) -> Reader:
    return Reader(html)


def test_it_is_well_formed_and_every_reference_leads_somewhere(seen: Reader) -> None:
    ids = seen.values("id")
    assert len(set(ids)) == len(ids)
    assert set(seen.values("aria-labelledby")) <= set(ids)
    assert {value[1:] for value in seen.values("href") if value.startswith("#")} <= set(ids)
    tags = Counter(tag for tag, _ in seen.elements)
    assert tags["table"] == tags["caption"] == tags["thead"]
    assert [] == [attrs for tag, attrs in seen.elements if tag == "th" and attrs.get("scope") not in ("row", "col", "rowgroup")]
    assert (1, 1, 1, 1) == (tags["h1"], tags["main"], tags["nav"], tags["header"])
    assert [] == [attrs for tag, attrs in seen.elements if tag == "svg" and not (attrs.get("aria-label") or attrs.get("aria-hidden"))]


def test_it_needs_nothing_from_outside_and_runs_nothing(html: str, seen: Reader) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in seen.values("content")
    assert [] == [value for value in seen.values("href", "src", "srcset", "action", "data") if not value.startswith(("#", "data:"))]
    assert {"script", "iframe", "object", "embed", "img", "form"}.isdisjoint(tag for tag, _ in seen.elements)
    assert [] == [name for _, attrs in seen.elements for name in attrs if name.startswith("on")]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert {"#dotted", "#hatched"} == set(re.findall(r"url\((.*?)\)", style))
    assert "@import" not in style


def test_hostile_names_are_text_and_what_would_act_unseen_is_shown(seen: Reader, page: report.Page, tmp_path: Path) -> None:
    for name in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[4], HOSTILE[7], HOSTILE[9], "Globex <script>alert(4)</script>"):
        assert name in seen.words
    assert [] == [c for c in "".join(seen.text) if not c.isprintable() and c != "\n"]
    assert "long-" + "x" * 195 + " … (2,805 more characters)" in seen.words
    turned = replace(page, customer="North\u202edniw", people={"dev": "Dev\u200b\x1b[0m"}, run="r\x00")
    again = Reader(written(turned, tmp_path)).words
    for shown in ("North⟨U+202E⟩dniw", "Dev⟨U+200B⟩⟨U+001B⟩[0m", "r⟨U+0000⟩"):
        assert shown in again


def test_the_first_screen_says_how_far_the_run_came_and_what_stands(seen: Reader, page: report.Page) -> None:
    rows = list(findings_file.read(page.findings))
    standing = Counter(row["severity"] for row in rows if row["state"] == "open")
    assert "Partial: 1 of 4 scopes was not read, 1 of 4 scopes was read only in part." in seen.words
    assert "2026-11-22 02:00 UTC" in seen.words
    tiles = " ".join(f"{standing[severity]}{severity}" for severity in ("critical", "high", "medium", "low"))
    assert f"Open findings {tiles}" in seen.words
    overdue = sum(row["state"] == "open" and row["due"] is not None and row["due"] < AS_OF for row in rows)
    assert f"{overdue} overdue" in seen.words
    assert f"New{page.events['new']} Came back{page.events['reopened']} Resolved1 Not looked at2 Excepted1" in seen.words
    assert "This run means to open 9 tickets, update 4 tickets, leave 21 tickets unchanged" in seen.words
    assert "at least 29 identities and 33 credentials" in seen.words


def test_the_worst_are_worst_first_with_people_by_name(html: str) -> None:
    (worst,) = re.findall(r'<ol class="worst".*?</ol>', html, re.DOTALL)
    severities = re.findall(r'class="chip chip-(\w+)"', worst)
    assert 10 == len(severities)
    assert sorted(severities, key=["critical", "high", "medium", "low"].index) == severities
    assert "Globex &lt;script&gt;alert(4)&lt;/script&gt;" in worst
    assert "Dev Patel" in worst
    assert set(re.findall(r'href="#(f-\w+)"', worst)) <= set(re.findall(r'<tr role="row" id="(f-\w+)"', html))


def test_what_was_not_read_is_unknown_never_none(seen: Reader) -> None:
    assert "555566667777 aws no, denied unknown unknown sts:AssumeRole: AccessDenied: <b>not</b> authorised" in seen.words
    assert "666677778888 aws in part ≥1 unknown iam:GenerateCredentialReport" in seen.words
    assert "444455556666 aws wholly 28 33 nothing" in seen.words
    assert "1 scope, which may hide any number of subjects" in seen.words


def test_every_control_shows_its_counts_beside_those_of_great_expectations(seen: Reader, page: report.Page) -> None:
    for control in page.controls:
        counts = " ".join(f"{control[kind]:,}" for kind in ("passed", "failed", "excepted"))
        assert (f"{control['id']} {control['verdict']} " in seen.words) == shares.says_something(control)
        assert not shares.says_something(control) or counts in seen.words
        judged = control["passed"] + control["failed"] + control["excepted"]
        breaking = control["failed"] + control["excepted"]
        assert f"judged{judged}{judged} breaking it, excepted ones included{breaking}{breaking}" in seen.words
    assert len(page.controls) == seen.words.count("Counted twice, with the same outcome")
    assert "Every credential with rotates true must have days_past_rotation at most 0." in seen.words
    assert "NIST CSF 2.0PR.AA-01" in seen.words
    assert "must have mfa true. Where a fact is unknown the subject counts as unknown, never as passed." in seen.words
    assert len(page.controls) == len([value for value in seen.values("aria-label") if value.startswith("Expectation of ")])


def test_every_share_has_what_is_unknown_beside_it(seen: Reader, page: report.Page) -> None:
    unknown = shares.unknown_in_words(page.controls)
    assert unknown is not None
    assert f"A{unknown[1:]} are unknown, neither passed nor failed" in seen.words
    for control in page.controls:
        said = f"{shares.in_words(control)}." if control["population"] else "Not assessed: nothing is in its population."
        assert said[:1].upper() + said[1:] in seen.words
    assert len(re.findall(r"[\d.]+% (?:of [\d,]+ known )?pass", seen.words)) == len(
        re.findall(r"known pass; (?:at least )?[<>\d.]+% unknown", seen.words)
    )
    whole = [control["id"] for control in page.controls if control["population"] and not shares.says_something(control)]
    assert not whole or f"passed wholly, with nothing unknown: {', '.join(whole)}." in seen.words
    first = shares.together(shares.unknowns(page.controls))[0]
    assert first.reason in seen.words


def test_counts_that_differ_are_called_so(page: report.Page, tmp_path: Path) -> None:
    controls = [dict(each) | {"failed": each["failed"] + (each["id"] == "rotation-age")} for each in page.controls]
    words_ = Reader(written(replace(page, controls=controls), tmp_path)).words
    assert 1 == words_.count("Counted twice, WITH DIFFERENT OUTCOMES")


def test_a_finding_shows_its_life_and_who_said_its_facts(seen: Reader) -> None:
    assert "Excepted until 2027-01-01 00:00 UTC by EX-0012 (approved by Maria Okafor)" in seen.words
    assert "not looked at since 2026-11-22" in seen.words
    assert "Resolved in this run" in seen.words
    assert "Open, came back" in seen.words
    assert "nobody is known" in seen.words
    assert "no deadline agreed" in seen.words
    assert "created_at 2026-08-13T02:00:00Z iam:ListAccessKeys, 2026-11-22T01:56:00Z" in seen.words


def stored(folder: Path, rows: list[Known]) -> Path:
    with duckdb.connect(str(folder / "none.duckdb")) as db:
        db.execute("CREATE TABLE run AS SELECT TIMESTAMP '2026-11-22 02:00' AS as_of")
        db.execute("CREATE TABLE failures (fingerprint VARCHAR, scope VARCHAR, facts JSON, sources JSON)")
    findings_file.write(folder / findings_file.NAME, folder / "none.duckdb", (Transition("new", None, row) for row in rows), None)
    return folder / findings_file.NAME


def row(number: int, **changes: Any) -> Known:
    return Known(
        fingerprint=f"{number:064x}", control="rotation-age", subject=f"aws:1:access-key/{number}", subject_kind="credential", identity=None,
        identity_name=None, provider="aws", scope="1", partner=None, accountable=None, severity="high", reason="old", facts_digest="", state="open",
        first_seen=AS_OF, since=AS_OF, due=None,
    )._replace(**changes)  # fmt: skip


def test_a_million_findings_make_no_giant_page(page: report.Page, tmp_path: Path) -> None:
    rows = [row(number, due=AS_OF + number * DAY) for number in range(1_250)]
    html = written(replace(page, findings=stored(tmp_path, rows)), tmp_path)
    assert 200 == html.count('<tr role="row" id="f-')
    assert "1,250 findings, the worst 200 shown" in html
    assert "1,050 more findings of this control: all 1,250 are in <code>findings.parquet</code>" in html
    assert "access-key/199<" in html
    assert "access-key/200<" not in html


def test_findings_of_a_control_that_was_not_judged_are_still_there(page: report.Page, tmp_path: Path) -> None:
    words_ = Reader(written(replace(page, findings=stored(tmp_path, [row(1, control="given-up<b>")])), tmp_path)).words
    assert "given-up<b> This control was not judged in this run. Its findings stay as they were. 1 finding" in words_


def test_an_empty_population_is_not_assessed_and_nothing_read_is_failed(page: report.Page, tmp_path: Path) -> None:
    nothing = {"verdict": "not assessed", "population": 0, "passed": 0, "failed": 0, "excepted": 0, "unknown": 0, "unknown_reasons": []}
    bare = replace(
        page, state="failed", sources=[], controls=[dict(each) | nothing for each in page.controls], findings=stored(tmp_path, []), events={}, actions={}
    )  # fmt: skip
    words_ = Reader(written(bare, tmp_path)).words
    assert "Failed: there was no scope to read." in words_
    count = len(page.controls)
    assert f"{count} controls: 0 fail, 0 unknown, 0 pass, {count} not assessed." in words_
    assert f"{count} controls had no population: " in words_
    assert "Not assessed: nothing is in its population." in words_
    assert "100%" not in words_
    assert "judged over" not in words_


def test_a_stopped_run_says_that_nothing_was_taken_over(page: report.Page, tmp_path: Path) -> None:
    words_ = Reader(written(replace(page, stopped="30 of 40 findings are new, more than the limit of 50%"), tmp_path)).words
    assert "Stopped by the run guard: 30 of 40 findings are new, more than the limit of 50%." in words_
    assert "none of it was taken over" in words_
    assert "Open findings, had it been taken over" in words_
    assert "No longer found" in words_
    assert "Resolved in this run" not in words_


@given(part=st.integers(0, 10**9), rest=st.integers(0, 10**9))
def test_a_share_never_rounds_something_to_nothing_or_to_all(part: int, rest: int) -> None:
    said = shares.percent(part, part + rest)
    assert (said == "not assessed") == (part + rest == 0)
    assert (said == "0%") == (part == 0 and rest > 0)
    assert (said == "100%") == (rest == 0 and part > 0)


@given(st.fixed_dictionaries({kind: st.integers(0, 10**7) for kind in words.PARTS}))
def test_a_bar_is_filled_once_and_shows_everything_there_is(counts: dict[str, int]) -> None:
    parts = words.bar(counts)
    assert [kind for kind in words.PARTS if counts[kind]] == [part.kind for part in parts]
    assert all(part.width > 1 for part in parts)
    x = 0.0
    for part in parts:
        assert x == pytest.approx(part.x, abs=0.01)
        x += part.width
    assert not parts or x == pytest.approx(100, abs=0.01)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_visible_text_can_be_seen(text: str) -> None:
    shown = words.visible(text)
    assert isinstance(shown, str)
    assert shown.isprintable()
    assert not text.isprintable() or shown == text


@pytest.mark.parametrize(("state", "states", "said"), [
    ("complete", ["complete"], "Complete: the only scope was read."),
    ("complete", ["complete"] * 3, "Complete: all 3 scopes were read."),
    ("partial", ["complete", "denied", "failed"], "Partial: 2 of 3 scopes were not read."),
    ("failed", ["denied", "failed"], "Failed: none of 2 scopes was read."),
])  # fmt: skip
def test_the_state_in_words(state: str, states: list[str], said: str) -> None:
    assert said == words.run_state(state, [{"state": each} for each in states])


@pytest.mark.parametrize(("kind", "kwargs", "said"), [
    ("be_between", {"min_value": 1.0, "max_value": 5.5}, "from 1 to 5.5."),
    ("be_between", {"min_value": 2.0}, "at least 2."),
    ("be_in_set", {"value_set": ["a<b", "c"]}, "one of a<b, c."),
    ("match_regex", {"column": "x", "regex": "^a"}, 'match regex {"regex":"^a"}.'),
])  # fmt: skip
def test_checks_in_words(kind: str, kwargs: dict[str, Any], said: str) -> None:
    meta = {"subjects": ["identity"], "population": "p", "fact": "f"}
    shown = words.check({"type": f"expect_column_values_to_{kind}", "kwargs": kwargs, "meta": meta})
    assert shown == f"Every identity with p true must have f {said}"


def test_colours_keep_their_contrast_in_light_and_dark(html: str) -> None:
    def luminance(colour: str) -> float:
        channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    schemes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)]
    for colours in schemes[:2]:
        pairs = [(ink, ground) for ink in ("ink", "quiet", "accent", "alarm") for ground in ("page", "paper", "wash")]
        pairs += [("on-alarm", "alarm"), ("ink", "alarm-wash"), ("alarm", "alarm-wash")]
        for ink, ground in pairs:
            dark, light = sorted((luminance(colours[ink]), luminance(colours[ground])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground, colours[ink], colours[ground])
        for shape in ("pass", "alarm", "mark"):  # parts of a picture need 3:1 (WCAG 1.4.11)
            dark, light = sorted((luminance(colours[shape]), luminance(colours["page"])))
            assert (light + 0.05) / (dark + 0.05) >= 3, (shape, colours[shape])
