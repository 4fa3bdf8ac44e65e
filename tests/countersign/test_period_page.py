"""The page of a period: what a reader looks for is there, everything from outside is text, and nothing unknown looks like a pass."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinyhtml5.parser import HTMLParser

from countersign import shares
from countersign.period import Period
from countersign.report import charts, period_duties
from countersign.report.period import kept, span, standing, write_period
from countersign.report.period_look import Facts, first_look
from tests.countersign import period_nights as made
from tests.countersign.test_report import HOSTILE, Reader

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = {"p", "div", "ul", "ol", "dl", "table", "details", "section", "article", "h1", "h2", "h3", "pre", "nav"}
VALUES = st.lists(st.none() | st.integers(0, 10**7), max_size=60)


class Strict(Reader):
    """Also refuses what a browser would silently take apart: blocks in a paragraph, paragraphs in a span."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not (tag in BLOCKS and {"p", "span", "bdi", "h2", "h3"} & set(self.open)), (tag, self.open, self.getpos())
        super().handle_starttag(tag, attrs)


def period(folder: Path, **changes: Any) -> Period:
    whole = Period(
        customer="northwind", name="Northwind Trading", first=made.FIRST, last=made.LAST, as_of=made.END.replace(tzinfo=UTC),
        counted_to=made.END.replace(tzinfo=UTC), origin="northwind.example/evidence", size=187, first_sequence=101, last_sequence=187, partner=None,
        sample_size=25, seed="seed", people=made.PEOPLE, partners=made.PARTNERS, notes=("Entry 105 has no verdicts: <i>older</i>.",),
        database=folder / "period.duckdb",
    )  # fmt: skip
    return replace(whole, **changes)


def ninety(folder: Path) -> Period:
    made.nights(folder / "period.duckdb")
    return period(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Period:
    return ninety(tmp_path_factory.mktemp("period"))


@pytest.fixture(scope="module")
def html(whole: Period, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(whole, tmp_path_factory.mktemp("page"))


def test_it_is_html_as_the_standard_has_it(html: str) -> None:
    parser = HTMLParser()
    parser.parse(html)
    assert [] == parser.errors


@pytest.fixture(scope="module")
def seen(html: str) -> Strict:
    return Strict(html)


def written(period: Period, folder: Path, **more: Any) -> str:
    write_period(folder / "index.html", period, **more)
    return (folder / "index.html").read_text(encoding="utf-8")


def section(html: str, name: str) -> str:
    (found,) = re.findall(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    return Strict(found).words


def test_it_is_well_formed_and_every_reference_leads_somewhere(seen: Strict) -> None:
    ids = seen.values("id")
    assert len(set(ids)) == len(ids)
    named = {each for value in seen.values("aria-labelledby") for each in value.split()}
    assert named <= set(ids)
    assert {value[1:] for value in seen.values("href") if value.startswith("#")} <= set(ids)
    tags = Counter(tag for tag, _ in seen.elements)
    assert tags["table"] == tags["caption"] == tags["thead"]
    assert [] == [attrs for tag, attrs in seen.elements if tag == "th" and attrs.get("scope") not in ("row", "col", "rowgroup")]
    assert (1, 1, 1, 2) == (tags["h1"], tags["main"], tags["header"], tags["nav"])
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch(r"h[1-6]", tag)]
    assert [] == [(before, after) for before, after in pairwise(levels) if after > before + 1]
    bare = [
        attrs
        for tag, attrs in seen.elements
        if tag == "svg" and not {"aria-label", "aria-hidden", "aria-labelledby", "viewbox"} & set(attrs)
    ]
    assert [] == bare
    assert "en" in seen.values("lang")


def test_it_needs_nothing_from_outside_and_runs_nothing(html: str, seen: Strict) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in seen.values("content")
    assert [] == [value for value in seen.values("href", "src", "srcset", "action", "data") if not value.startswith(("#", "data:"))]
    assert {"script", "iframe", "object", "embed", "img", "form"}.isdisjoint(tag for tag, _ in seen.elements)
    assert [] == [name for _, attrs in seen.elements for name in attrs if name.startswith("on")]
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert {"#dotted", "#hatched"} == set(re.findall(r"url\((.*?)\)", style))
    assert "@import" not in style


def test_hostile_names_are_text_and_the_page_stays_small(html: str, seen: Strict) -> None:
    for name in (
        HOSTILE[0],
        HOSTILE[1],
        HOSTILE[2],
        HOSTILE[7],
        "Globex <script>alert(4)</script>",
        "Sam <b>Weiss</b>",
        "<b>unknown key</b>",
    ):
        assert name in seen.words
    assert [] == [c for c in "".join(seen.text) if not c.isprintable() and c != "\n"]
    assert len(html.encode()) < 2_000_000
    assert "NaN" not in html
    assert "None" not in seen.words.replace("None in this period", "").replace("None agreed", "")


def test_the_same_tables_give_the_same_bytes(whole: Period, html: str, tmp_path: Path) -> None:
    assert html == written(whole, tmp_path)


def test_the_first_screen_says_what_this_is_and_what_to_look_at(html: str, seen: Strict) -> None:
    head = seen.words
    assert "Northwind Trading Period2026-08-24 to 2026-11-21, 90 nights As of2026-11-21 02:00 all times are UTC" in head
    assert made.digest(187) in head
    assert (
        "Not every night is there: of 90 nights, 78 are complete, 6 read only in part, 1 stopped by the run guard, 2 failed, 3 missing."
        in head
    )
    summary = section(html, "summary")
    assert "Nights complete 78 of 90".replace(" ", "") in summary.replace(" ", "")
    assert re.search(r"known; at least [\d.<>]+% unknown", summary)
    assert "Counts that disagree 2 listings do not agree" in summary
    assert "5 live identities of Brightpath Analytics remained after its contract ended on 2026-10-13" in summary
    assert "5 nights of 90 had none. Nothing on file explains 3 of them." in summary
    assert 3 == len(re.findall(r"<li>", re.findall(r'<ol class="look".*?</ol>', html, re.DOTALL)[0]))


def test_which_nights_are_missing(html: str) -> None:
    cells = re.findall(r'class="night night-(\w+)"[^>]*title="(\d{4}-\d\d-\d\d)', html)
    assert list(made.DAYS) == [date.fromisoformat(day) for _, day in cells]
    assert {str(day) for day in made.MISSING} == {day for state, day in cells if state == "missing"}
    words_ = section(html, "nights")
    assert "2026-09-12 to 2026-09-13 2 missing nothing on file explains it none" in words_
    assert "2026-09-30 1 failed the state database did not answer: connection refused failed 136" in words_
    assert "2026-10-07 1 stopped by the run guard 412 of 800 findings are new" in words_
    assert "2026-09-03 to 2026-09-06 4 read only in part aws 555566667777: sts:AssumeRole: AccessDenied 111 to 114" in words_


def test_how_long_a_key_was_overdue_and_who_is_accountable(html: str) -> None:
    words_ = section(html, "overdue")
    assert f"acme-backup{made.OVERDUE_KEY} 123 days high rotation-age" in words_
    assert re.search(
        re.escape(made.OVERDUE_KEY)
        + r" 123 days .{0,90}Maria Okafor ?Acme Managed Services ?from 2026-07-14 ?due 2026-07-21 open, 130 days",
        words_,
    )
    days = [int(count) for count in re.findall(r"(\d+) days? (?:critical|high|medium|low) ", words_)]
    assert sorted(days, reverse=True) == days
    assert 300 >= len(days) > 100


def test_who_is_accountable_and_what_changed(html: str) -> None:
    words_ = section(html, "accountable")
    assert "Nobody answers for 1 control: inactive." in words_
    assert "Gunnar Lindgunnar, has left" in words_
    assert "business owner; accountable for every step; approves: 44 controls" in words_
    assert "acme-backupBacks the shop's orders up. Maria Okafor Gunnar Lind, Maria Okafor" in words_
    assert "2026-10-05entry 140 rotation-age accountable for rotate Gunnar Lind Maria Okafor" in words_
    for control in ("rotation-age", "human-mfa"):
        assert re.search(rf"{control}NIST CSF.*? (Maria Okafor|Devika Rao) ", section(html, "controls"))
    assert re.search(r"inactiveNIST CSF.*? nobody ", section(html, "controls"))


def test_what_was_excepted_and_by_whom(html: str) -> None:
    words_ = section(html, "exceptions")
    assert "EX-0012 in force acme-backupaws:444455556666:access-key/AKIA000048" in words_
    for said in ("Risk takenhigh", "Asked byDevika Rao", "Approved byMaria Okafor, 2026-08-30", "Expires2026-12-31, renewed 1 time", "Usedon 71 nights, 2026-08-31 to 2026-11-21",
                 "ReasonThe plant is frozen", "InsteadIts use is watched daily", "Ends whenRotated in January."):  # fmt: skip
        assert said in words_
    assert "EX-0031 not valid: the signature is of nobody who may approve" in words_
    assert "Reasonnot given" in words_


def test_over_is_not_invalid_and_what_was_refused_on_the_way_says_since_when(html: str) -> None:
    words_ = section(html, "exceptions")
    assert "EX-0040 over: ended_on: the exception was ended on 2026-10-01" in words_
    assert "Refusedfrom 2026-09-28 on: approved_by: sam is not accountable; at the end: ended_on: the exception was ended" in words_
    assert "EX-0050 over: expires: the exception expired on 2026-09-20" in words_
    assert "EX-0051 asked for, never approved" in words_
    assert 2 == words_.count("Refusedfrom")


def test_only_what_was_never_used_kept_nothing_from_counting() -> None:
    rows = [("EX-0001", "invalid", 0), ("EX-0002", "ended", 11), ("EX-0003", "invalid", 0), ("EX-0004", "invalid", 3)]
    facts = Facts(
        expected=1, stretches=(), cut=False, offboardings=(), overdue=(), controls=(), findings={"open": 0}, differ=0, people={},
        refused=[{"exception": name, "state": state, "nights_used": used} for name, state, used in rows],
    )  # fmt: skip
    (look,) = first_look(facts)
    assert (
        "2 exceptions are not valid and kept nothing from counting: EX-0001, EX-0003. 1 exception is not valid any more: EX-0004. "
        "1 exception was refused for some time before the end: EX-0002."
    ) == look.why


def test_a_scope_without_a_row_of_its_own_run_is_counted_as_not_read(tmp_path: Path) -> None:
    with made.empty(tmp_path / "period.duckdb") as db:
        states = ("complete", "complete", "not read", "not configured")
        rows = [
            {"sequence": n, "as_of": made.at(made.FIRST), "source": "s", "provider": "aws", "scope": "555", "state": state, "passed_over": False,
             "identities": 7 if state == "complete" else None, "reason": "why" if n > 1 else None}
            for n, state in enumerate(states)
        ]  # fmt: skip
        made.put(db, tmp_path, "sources", rows)
    assert "555s, aws 3 2 0 1 not known not known" in section(written(period(tmp_path), tmp_path), "completeness")


def test_every_share_has_what_is_unknown_beside_it(html: str) -> None:
    controls = section(html, "controls")
    assert (
        len(re.findall(r"[\d.]+% of [\d,]+ known pass", controls))
        == len(re.findall(r"known pass; (?:at least )?[<>\d.]+% unknown", controls))
        > 40
    )
    assert (
        len(re.findall(r"% of [\d,]+ ended or missed were met", section(html, "tickets")))
        == section(html, "tickets").count("% cannot be told")
        == 4
    )


def test_what_disagrees_is_loud_and_what_was_not_read_is_not_zero(html: str) -> None:
    words_ = section(html, "completeness")
    assert "2 listings disagree with an independent count." in words_
    assert "2026-10-12 aws 444455556666 iam:ListUsers 1,403 1,412 -9 148" in words_
    assert "555566667777aws 85 80 0 5 not known not known" in words_


def test_a_cut_period_says_so_at_the_top(tmp_path: Path) -> None:
    made.empty(tmp_path / "period.duckdb").close()
    withheld = [{"what": "statements", "why": "they tell of <others>"}]
    words_ = Strict(written(period(tmp_path, partner="acme"), tmp_path, pseudonymised=True, withheld=withheld, root="cm9vdA==")).words
    assert "Only Acme Managed Services. This page and its bundle are cut to one partner" in words_
    assert "Names and identifiers are replaced by h1:" in words_
    assert "statements they tell of <others>".replace(" ", "") in words_.replace(" ", "")
    assert "cm9vdA==" in words_


def test_why_a_night_failed_is_not_missing_where_it_was_withheld(tmp_path: Path) -> None:
    with made.empty(tmp_path / "period.duckdb") as db:
        days = [
            {"day": date(2026, 9, 1 + n), "state": state, "runs": 0, "failures": 1 - n} for n, state in enumerate(("failed", "missing"))
        ]
        made.put(db, tmp_path, "nights", days)
    page = section(written(period(tmp_path, partner="acme"), tmp_path), "nights")
    assert "2026-09-01 1 failed not told here, since it may name others" in page
    assert "2026-09-02 1 missing nothing on file explains it" in page


def test_a_period_without_anything_says_none_and_never_full_marks(tmp_path: Path) -> None:
    with made.empty(tmp_path / "period.duckdb") as db:
        made.put(db, tmp_path, "nights", [{"day": date(2026, 9, 1), "state": "missing", "runs": 0, "failures": 0}])
    page = Strict(written(period(tmp_path, first=date(2026, 9, 1), last=date(2026, 9, 1), notes=()), tmp_path)).words
    assert page.count("None in this period.") >= 7
    assert "of 1 night, 0 are complete, 1 missing" in page
    assert "100%" not in page


def test_a_night_before_the_ledger_is_not_missing(tmp_path: Path) -> None:
    with made.empty(tmp_path / "period.duckdb") as db:
        days = [
            {"day": date(2026, 9, 1) + timedelta(days=n), "state": "complete" if n else "before", "runs": n, "failures": 0} for n in (0, 1)
        ]
        made.put(db, tmp_path, "nights", days)
    page = Strict(written(period(tmp_path), tmp_path)).words
    assert (
        "Every night is there: each of 1 night has a run that read everything it was to read. 1 earlier night lies before the ledger began"
        in page
    )


@given(VALUES)
def test_bars_and_gaps_cover_every_night_once(values: list[int | None]) -> None:
    highest = max((value for value in values if value is not None), default=0)
    nights: list[int] = []
    for start, height, width in re.findall(r"M(\d+) 100v-(\d+)h(\d+)v\2z", charts.bars(values, highest)):
        assert 0 < int(height) <= charts.HEIGHT
        nights += range(int(start), int(start) + int(width))
    assert [at for at, value in enumerate(values) if value] == nights
    found = charts.gaps(values)
    assert values.count(None) == sum(gap.nights for gap in found)
    assert sum(gap.width for gap in found) == pytest.approx(100 * values.count(None) / len(values) if values else 0, abs=0.1)
    assert all(0 <= gap.x and gap.x + gap.width <= 100.01 for gap in found)


@given(VALUES, st.text(max_size=40))
def test_a_picture_is_closed_and_its_text_escaped(values: list[int | None], text: str) -> None:
    told = charts.told(values)
    assert ("no number for" in told) == (None in values and any(value is not None for value in values))
    title = f"<b>{text}</b>".replace("\r", "").replace("\x00", "")
    picture = Reader(str(charts.nightly(values, name="x", title=title, kind="small")))
    assert ["svg", "title", "desc", "svg", "path"] == [tag for tag, _ in picture.elements if tag != "rect"]
    assert "".join(picture.text) == title + told


@given(st.integers(0, 800), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_dates_under_a_picture_stand_apart(count: int, first: date) -> None:
    found = charts.ticks([first + timedelta(days=number) for number in range(count)])
    assert len(found) <= charts.TICKS
    assert all(after.x - before.x >= 100 / charts.TICKS - 0.01 for before, after in pairwise(found))


@given(
    st.lists(st.tuples(st.none() | st.integers(1, 20), st.none() | st.integers(1, 20)), max_size=20),
    st.lists(st.none() | st.integers(1, 20), max_size=9),
)
def test_what_stood_is_counted_from_the_run_that_found_it_to_the_run_that_saw_it_hold(
    spells: list[tuple[Any, Any]], nights: list[int | None]
) -> None:
    spells = [(opened, closed) for opened, closed in spells if closed is None or closed > (opened or 0)]
    changes = [{"severity": "high", "sequence": opened, "change": 1} for opened, _ in spells]
    changes += [{"severity": "high", "sequence": closed, "change": -1} for _, closed in spells if closed is not None]
    expected = [
        None if night is None else sum((opened or 0) <= night and (closed is None or closed > night) for opened, closed in spells)
        for night in nights
    ]
    assert expected == standing(changes, nights)["high"]


def test_register_rows_become_a_matrix() -> None:
    row = {
        "register_digest": "a", "from_sequence": 1, "from_as_of": None, "control": "rotation-age", "title": "T", "governed_by": "own", "business_owner": "maria",
        "technical_owner": None, "operational_owner": "acme/pavel", "approves": "maria", "implements": "acme", "monitors": "soc", "revokes": "gone", "fallback": "maria",
        "step": "rotate", "responsible": "acme", "accountable": "maria", "consulted": "maria, soc", "informed": None,
    }  # fmt: skip
    people = [
        {"person": "maria", "name": "Maria", "party": None, "active": True},
        {"person": "gone", "name": "Gone", "party": None, "active": False},
    ]
    seen = period_duties.matrix([row], people, {"acme": "Acme"})
    assert [("maria", "person"), ("gone", "left"), ("acme", "partner"), ("acme/pavel", "partner-person"), ("soc", "team")] == [
        (c.id, c.kind) for c in seen.columns
    ]
    (line,) = seen.rows
    assert ["T"] == [duty.letter for duty in line.missing]
    later = row | {"register_digest": "b", "from_sequence": 5, "accountable": None}
    (change,) = period_duties.changes([row, later])
    assert ("accountable for rotate", "maria", None, ("rotation-age",), 5) == (
        change.what,
        change.before,
        change.after,
        change.controls,
        change.sequence,
    )


@pytest.mark.parametrize(("seconds", "said"), [
    (None, "not known"), (0, "at once"), (59, "59 s"), (3_600, "1 h"), (90_061, "1 day 1 h"), (604_800, "7 days"), (-5, "at once"),
])  # fmt: skip
def test_times_are_said_as_people_do(seconds: int | None, said: str) -> None:
    assert said == span(seconds)


@pytest.mark.parametrize(
    ("period", "said"),
    [("P7Y", "for 7 years"), ("P1Y6M", "for 1 year, 6 months"), ("often", "for often"), (None, "for a time that is not on file")],
)
def test_how_long_evidence_is_kept(period: str | None, said: str) -> None:
    assert said == kept(period)


def test_families_keep_their_order(html: str) -> None:
    shown = re.findall(r'<tr role="row" class="family"><th[^>]*>(.*?)</th>', html)
    assert [name.capitalize() for name in (*shares.FAMILIES, shares.OTHER) if name.capitalize() in shown] == shown
