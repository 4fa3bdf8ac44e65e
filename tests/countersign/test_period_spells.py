"""Spells, nights and samples of a period against plain oracles, over random lives of findings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.finding import Failing, Known, fingerprint, life
from countersign.period import database, populations
from countersign.period.nights import Entry, nights
from countersign.period.offboardings import Look, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTROL = "rotation-age"
BEGAN = datetime(2026, 3, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
SUBJECTS = tuple(f"aws:1:user/{name}" for name in "abcdef")
LEFT = 5
"""Nights before the period begins."""
COLUMNS = (
    "sequence BIGINT, as_of TIMESTAMP, fingerprint VARCHAR, control VARCHAR, subject VARCHAR, subject_kind VARCHAR, identity VARCHAR, identity_name VARCHAR, "
    "provider VARCHAR, scope VARCHAR, partner VARCHAR, accountable VARCHAR, severity VARCHAR, reason VARCHAR, state VARCHAR, first_seen TIMESTAMP, "
    "since TIMESTAMP, due TIMESTAMP, reopened BIGINT, excepted VARCHAR, excepted_until TIMESTAMP, unobserved_since TIMESTAMP, looked_before TIMESTAMP, "
    "ticket_key VARCHAR"
)


@dataclass(frozen=True)
class Tonight:
    """What one night comes to for one subject."""

    fails: bool
    excepted: bool
    read: bool
    stopped: bool
    missed: bool


TONIGHT = st.builds(
    Tonight, *[st.booleans()] * 2, *[st.sampled_from((True, True, True, False))], *[st.sampled_from((False, False, False, True))] * 2
)
LIVES = st.lists(st.tuples(*[TONIGHT] * len(SUBJECTS)), min_size=LEFT, max_size=18)


def lived(told: Sequence[tuple[Tonight, ...]]) -> Iterator[tuple[int, datetime, list[Known]]]:
    """Run the ledger of findings through the nights; yield what each sound run says of each finding."""
    known: dict[str, Known] = {}
    for number, tonight in enumerate(told, 1):
        at = BEGAN + number * DAY
        if tonight[0].missed:
            continue
        failing = [failure(subject, its, at) for subject, its in zip(SUBJECTS, tonight, strict=True) if its.fails and tonight[0].read]
        seen = {("aws", "1"): frozenset[str]()} if tonight[0].read else {}
        found = list(life(known, failing, unknown=(), seen=seen, judged=frozenset({CONTROL}), as_of=at))
        if not tonight[0].stopped:
            known |= {each.after.fingerprint: each.after for each in found}
            yield number, at, [each.after for each in found]


def failure(subject: str, tonight: Tonight, at: datetime) -> Failing:
    return Failing(
        fingerprint=fingerprint(CONTROL, subject), control=CONTROL, subject=subject, subject_kind="identity", identity=subject, identity_name="n",
        provider="aws", scope="1", partner=None, accountable="maria", severity="high", reason="old", facts_digest="x", due=at + 2 * DAY,
        excepted="EX-1" if tonight.excepted else None, excepted_until=at + 9 * DAY if tonight.excepted else None,
    )  # fmt: skip


def oracle(told: Sequence[tuple[Tonight, ...]], end: datetime) -> list[tuple[Any, ...]]:
    """Walk each subject's nights by hand: open when it fails, closed when a sound night that read its scope sees it hold."""
    spells = []
    for place, subject in enumerate(SUBJECTS):
        began: datetime | None = None
        state = "open"
        for number, tonight in enumerate(told, 1):
            at = BEGAN + number * DAY
            if tonight[0].missed or tonight[0].stopped:
                continue
            its = tonight[place]
            if tonight[0].read and its.fails:
                began = began or at
                state = "excepted" if its.excepted else "open"
                until = at + 9 * DAY
            elif began is not None and tonight[0].read:
                if number > LEFT:
                    spells.append(spell(subject, began, at, "resolved", at))
                began = None
            elif began is not None and state == "excepted" and until <= at:
                state = "open"
        if began is not None and any(number > LEFT and not (t[0].missed or t[0].stopped) for number, t in enumerate(told, 1)):
            spells.append(spell(subject, began, None, state, end))
    return sorted(spells, key=lambda row: (row[0], row[1]))


def spell(subject: str, began: datetime, closed: datetime | None, state: str, end: datetime) -> tuple[Any, ...]:
    past = end - (began + 2 * DAY)
    overdue = max(0, -(-past // DAY))
    inside = began > BEGAN + LEFT * DAY
    return (subject, plain(began), None if closed is None else plain(closed), state, max(0, (end - began) // DAY), overdue, inside)


def plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


@settings(max_examples=15, deadline=None)
@given(LIVES)
def test_spells_are_what_a_person_would_count_night_by_night(told: list[tuple[Tonight, ...]]) -> None:
    end = BEGAN + (len(told) + 2) * DAY + timedelta(hours=5)
    with TemporaryDirectory() as folder, database.opened(Path(folder) / "p.duckdb") as db:
        db.execute(f"CREATE TEMP TABLE found ({COLUMNS})")
        db.execute(
            "CREATE TEMP TABLE slas (sequence BIGINT, control VARCHAR, clock VARCHAR, detect_us BIGINT, escalate_us BIGINT, rotate_us BIGINT, revoke_us BIGINT)"
        )
        db.execute("CREATE TEMP TABLE looked (sequence BIGINT, provider VARCHAR, scope VARCHAR, looked_before TIMESTAMP)")
        nights_of = [(number, at, rows) for number, at, rows in lived(told) if number > LEFT]
        database.fill(db, "entry", ({"sequence": number, "as_of": plain(at), "is_night": True} for number, at, _ in nights_of))
        database.fill(db, "ending", [{"until": plain(end), "last_sound": max((n for n, _, _ in nights_of), default=0)}])
        database.fill(
            db,
            "found",
            (
                {name: plain(value) if isinstance(value, datetime) else value for name, value in row._asdict().items() if name in COLUMNS}
                | {"sequence": number, "as_of": plain(at)}
                for number, at, rows in nights_of
                for row in rows
            ),
        )
        database.run(db, "spells.sql")
        got = db.execute(
            "SELECT subject, opened, closed, state, days, overdue_days, opened_sequence IS NOT NULL FROM spells ORDER BY subject, opened"
        ).fetchall()
    assert oracle(told, end) == got


DAYS = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.sampled_from(("complete", "partial", "failed")), st.booleans()), max_size=12)


@given(DAYS, st.integers(0, 3))
def test_every_day_has_one_night_and_the_last_judged_run_is_it(told: list[tuple[int, bool, str, bool]], before: int) -> None:
    first = date(2026, 3, 2)
    entries = [
        Entry(
            number,
            f"r{number}",
            first + timedelta(days=day),
            judged=judged,
            state=state,
            guard="29 of 30 are gone" if stopped else None,
            error="full",
        )
        for number, (day, judged, state, stopped) in enumerate(told, 1)
    ]
    began = first + timedelta(days=before)
    rows = list(nights(entries, first, first + timedelta(days=6), began))
    assert [first + timedelta(days=day) for day in range(7)] == [row.day for row in rows]
    assert (sum(judged for _, judged, *_ in told), sum(not judged for _, judged, *_ in told)) == (
        sum(r.runs for r in rows),
        sum(r.failures for r in rows),
    )
    for row in rows:
        mine = [entry for entry in entries if entry.day == row.day]
        judged = [entry for entry in mine if entry.judged]
        if judged:
            assert (judged[-1].sequence, "stopped" if judged[-1].guard else judged[-1].state) == (row.sequence, row.state)
        else:
            assert ("failed" if mine else "before" if row.day < began else "missing") == row.state
        assert (row.state == "complete") <= (row.why is None)


@settings(max_examples=5, deadline=None)
@given(
    st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12), max_size=30),
    st.text(max_size=8).filter(lambda t: t.isprintable()),
)
def test_samples_are_what_anybody_draws_with_a_hash_and_a_sort(subjects: set[str], seed: str) -> None:
    with TemporaryDirectory() as folder, database.opened(Path(folder) / "p.duckdb") as db:
        database.fill(db, "populations", ({"control": CONTROL, "subject": subject, "verdict": "pass"} for subject in subjects))
        populations.samples(db, 7, seed)
        got = db.execute("SELECT place, draw, subject, population FROM samples ORDER BY place").fetchall()
    drawn = sorted((hashlib.sha256(f"{subject}{CONTROL}{seed}".encode()).hexdigest(), subject) for subject in subjects)[:7]
    assert [(place, draw, subject, len(subjects)) for place, (draw, subject) in enumerate(drawn, 1)] == got


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=14), st.integers(0, 13))
def test_a_partner_is_gone_only_by_a_night_that_read_everything(told: list[tuple[int, bool]], ends: int) -> None:
    over = plain(BEGAN + ends * DAY + timedelta(hours=22))
    looks = [Look(plain(BEGAN + n * DAY), live, live, read, () if read else (("aws", "1"),)) for n, (live, read) in enumerate(told)]
    came = outcome(looks, (BEGAN + ends * DAY).date(), over)
    if came.state == "gone":
        since = [look for look in looks if came.last_seen is None or look.as_of > came.last_seen]
        assert came.gone_on == next(look.as_of.date() for look in since if look.read)
        assert not any(look.live for look in since)
    elif came.state == "still there":
        assert (told[-1][0], None) == (came.left_over, came.gone_on)
        assert looks[-1].as_of >= over
    else:
        assert not told or looks[-1].as_of < over or (told[-1][0] == 0 and not told[-1][1])
        assert came.left_over is None
