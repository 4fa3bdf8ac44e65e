"""What earlier nights saw and the inventory does not say any more: two rotations in two periods, and what was used after it was switched off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_facts import AS_OF, DAY, SCOPE, key, register, user

from countersign import facts, scaffold
from countersign.facts import history
from countersign.identity import Coverage, Credential, Identity
from countersign.inventory import collect, spool, unread
from countersign.programme import load
from countersign.reconciliation import Reconciliation

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.inventory import Reading
    from countersign.register.records import Register

DENIED = "denied"
HALF = "half"
"""A night on which the keys' listing was refused."""
Estate = list[Any] | str
Story = Sequence[tuple[float, Estate]]
"""Nights so many days ago, and what was there."""
OLD = user(created_at=AS_OF - 900 * DAY)
LIMIT = 90 * DAY


def ago(days: float) -> datetime:
    return AS_OF - days * DAY


def listing(at: datetime, account: str = SCOPE.name, *, state: Any = "complete") -> Coverage:
    return Coverage(
        source="aws", provider="aws", scope=account, operation="listing", state=state, covers=("access-key", "secret", "password"), error=None,
        started=at, finished=at,
    )  # fmt: skip


def moved(record: Any, account: str, at: datetime) -> Any:
    """Put a record into another account, as it was read at an instant."""
    names = {name: getattr(record, name).replace(SCOPE.name, account) for name in ("uid", "identity_uid") if hasattr(record, name)}
    return replace(record, scope=account, observed_at=at, **names)


def read(estate: Estate, account: str, at: datetime, folder: Path) -> Reading:
    scope = replace(SCOPE, name=account)
    if isinstance(estate, str) and estate == DENIED:
        return unread(scope, "denied", "sts:AssumeRole", "AccessDenied", started=at, finished=at, work=folder / "work")
    held = [moved(one, account, at) for one in (OLD, *(() if isinstance(estate, str) else estate))]
    told = listing(at, account, state="denied" if estate == HALF else "complete")
    return spool([*held, told], scope, folder / "work", folder / "seen")


def night(
    folder: Path, at: datetime, readings: Sequence[Reading], last: Path | None, held: Register | None = None
) -> tuple[Path, list[dict[str, Any]]]:
    """Judge a night; returns its folder and the facts of its credentials."""
    here = folder / f"{at:%Y%m%dT%H%M}"
    settled = collect(readings, folder / "work", here / "inventory")
    programme: Any = SimpleNamespace(register=held or register(), sources=(), vendors=None)
    facts.build(here / "facts.duckdb", here / "inventory", facts.register_tables(programme, at), settled, last=last)
    history.keep(here / "facts.duckdb", here / "inventory")
    with facts.opened(here / "facts.duckdb") as db:
        found = db.execute("SELECT * FROM facts_credential")
        names = [column[0] for column in found.description]
        return here, [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def nights(folder: Path, stories: Sequence[Story], held: Register | None = None) -> list[dict[str, dict[str, Any]]]:
    """Judge every night of all stories, each in an account of its own; returns the facts of each story's last, by the end of the subject."""
    last: Path | None = None
    ends: dict[str, dict[str, dict[str, Any]]] = {}
    for days in sorted({days for story in stories for days, _ in story}, reverse=True):
        at = ago(days)
        tonight = [(f"{number:012}", estate) for number, story in enumerate(stories) for when, estate in story if when == days]
        last, rows = night(folder, at, [read(estate, account, at, folder) for account, estate in tonight], last, held)
        for account, _ in tonight:
            ends[account] = {row["subject"].rpartition("/")[2]: row for row in rows if row["scope"] == account}
    return [ends[f"{number:012}"] for number in range(len(stories))]


def of_age(days: float, name: str | None = None, of: Identity = OLD, **changes: Any) -> Credential:
    return key(name or f"K{days:g}", of, created_at=ago(days), **changes)


def said(row: dict[str, Any]) -> tuple[Any, Any]:
    return row["should_have_rotated"], row["rotations"]


def kept(folder: Path, what: str, story: int = 0) -> list[tuple[Any, ...]]:
    file = max(folder.glob("2*")) / "inventory" / history.NAME
    query = "SELECT since, until FROM read_parquet(?) WHERE what = ? AND scope = ? ORDER BY ALL"
    return duckdb.execute(query, [str(file), what, f"{story:012}"]).fetchall()


REACHES = ((200, [of_age(210)]), (130, [of_age(140)]), (65, [of_age(70)]))


YOUNG = user("young", created_at=ago(179))
ROTATIONS: list[tuple[Story, tuple[Any, Any], str | None]] = [
        # two rotations in the last 180 days, seen at work
        ((*REACHES, (0, [of_age(70)])), (True, 2), None),
        # one, with evidence that reaches back
        (((200, [of_age(210)]), (130, [of_age(210)]), (65, [of_age(60)]), (0, [of_age(60)])), (True, 1), None),
        # none
        (((200, [of_age(400)]), (130, [of_age(400)]), (65, [of_age(400)]), (0, [of_age(400)])), (True, 0), None),
        # the first night knows nothing of rotations but what is still there
        (((0, [of_age(400)]),), (True, None), "the evidence reaches back to 2026-11-22, two periods to 2026-05-26"),
        (((0, [of_age(70)]),), (None, None), "the evidence reaches back to 2026-11-22, two periods to 2026-05-26"),
        # and that is enough where both predecessors are still there, enabled or not
        (((0, [of_age(70), of_age(140, enabled=False), of_age(210, enabled=False)]),), (True, 2), None),
        # the first of all followed none
        (((0, [of_age(70), of_age(140)]),), (None, None), "the evidence reaches back to 2026-11-22, two periods to 2026-05-26"),
        (((200, []), (130, [of_age(140)]), (65, [of_age(70)]), (0, [of_age(70)])), (False, 1), None),
        # two that were made in one second are one
        (((0, [of_age(70), of_age(140), of_age(140, "TWIN"), of_age(140, "THIRD")]),), (None, None), "the evidence"),
        # a gap longer than a period may hide one that came and went
        (((200, [of_age(210)]), (60, [of_age(70)]), (0, [of_age(70)])), (True, None), "the evidence reaches back to 2026-09-23"),
        # a refused night is a gap like a night without a run, and forgets nothing
        ((*REACHES[:2], (100, DENIED), (90, HALF), (65, [of_age(70)]), (1, DENIED), (0, [of_age(70)])), (True, 2), None),
        # an undated one may be a rotation or not
        ((*REACHES[:1], (130, [of_age(210)]), (65, [of_age(210)]), (0, [of_age(60), key("WHEN", OLD, created_at=None, enabled=False)])),
         (True, None), "when another of its credentials was created is not known"),
        # who is younger than two periods is not asked
        (((0, [YOUNG, of_age(50, of=YOUNG)]),), (False, None), None),
]  # fmt: skip


@pytest.fixture(scope="module")
def rotations(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    return nights(tmp_path_factory.mktemp("rotations"), [story for story, *_ in ROTATIONS])


@pytest.mark.parametrize("number", range(len(ROTATIONS)))
def test_two_rotations_in_two_periods(rotations: list[dict[str, dict[str, Any]]], number: int) -> None:
    _, expected, why = ROTATIONS[number]
    rows = rotations[number]
    newest = min(
        (row for row in rows.values() if row["age_days"] is not None),
        key=lambda row: (row["age_days"], row["should_have_rotated"] is False),
    )
    assert expected == said(newest)
    assert [row for row in rows.values() if row is not newest and row["should_have_rotated"]] == []
    assert why is None or newest["rotations_why"].startswith(why)


def test_what_is_replaced_in_place_is_followed_by_itself(tmp_path: Path) -> None:
    account = user("a", kind="account", provider_managed=True)
    policy = register().policies.machine.model_copy(update={"rotate_within": {"aws_secret": LIMIT}})
    held = register(policies=register().policies.model_copy(update={"machine": policy}))
    story = [
        (days, [account, of_age(made, "MOVES", account, kind="secret"), of_age(210, "STAYS", account, kind="secret")])
        for days, made in ((200, 210), (130, 140), (65, 70), (0, 70))
    ]
    (rows,) = nights(tmp_path, [story], held)
    assert {"MOVES": (True, 2), "STAYS": (True, 0)} == {name: said(row) for name, row in rows.items()}


def test_the_history_holds_only_what_the_inventory_does_not_say(tmp_path: Path) -> None:
    steady = [of_age(100, "A"), of_age(50, "B")]
    nights(tmp_path, [[(3, steady), (0, steady)], [(days, [of_age(days + 0.5)]) for days in range(5, -1, -1)]])
    assert ([], [ago(2.5).replace(tzinfo=None), ago(1.5).replace(tzinfo=None)]) == (
        kept(tmp_path, "creation"),
        [since for since, _ in kept(tmp_path, "creation", 1)],
    )
    assert [(ago(5).replace(tzinfo=None), AS_OF.replace(tzinfo=None))] * 3 == kept(tmp_path, "reading", 1)
    assert [(ago(3).replace(tzinfo=None), AS_OF.replace(tzinfo=None))] * 3 == kept(tmp_path, "gap")


def test_a_key_that_was_seen_off_and_was_used_later_stays_a_finding_until_it_is_replaced(tmp_path: Path) -> None:
    def used(days: float, **changes: Any) -> list[Credential]:
        return [of_age(80, "K", last_used_at=ago(days), last_used_state="known", **changes)]

    off = {"enabled": False}
    story: list[tuple[float, Estate]] = [
        (5, used(9)),
        (4, used(9, **off)),
        (3, DENIED),
        (2, used(3.5, **off)),
        (1, used(3.5)),
        (0, used(0.1)),
    ]
    quiet: Story = [(5, used(9)), (4, used(9, **off)), (3, used(9, **off))]
    back: Story = [(4, used(9, **off)), (3, used(9)), (2, used(2.5))]  # switched on again before it was used
    reset: Story = [
        (4, used(9, **off)),
        (2, [of_age(3, "K", last_used_at=ago(2.5), last_used_state="known")]),
    ]  # another secret under its name
    told = [rows["K"] for rows in nights(tmp_path, [quiet, back, reset, story[:4], story[:5], story])]
    assert ["switched off", None, None, "switched off", "switched off", "switched off"] == [row["ended_what"] for row in told]
    assert [True, False, False, True, True, True] == [row["has_end"] for row in told]
    assert [False, True, True, True] == [row["days_used_after_end"] > 0 for row in told if row["has_end"]]
    assert {ago(4).date()} == {row["ended_on"] for row in told if row["has_end"]}


def test_a_run_from_before_there_was_a_history_left_its_inventory(tmp_path: Path) -> None:
    before = [of_age(100, "GONE"), of_age(200, "OFF", enabled=False)]
    last, _ = night(tmp_path, ago(2), [read(before, "1", ago(2), tmp_path)], None)
    (last / "inventory" / history.NAME).unlink()
    now = [of_age(10), of_age(200, "OFF", enabled=False, last_used_at=ago(1), last_used_state="known")]
    rows = {row["subject"][-3:]: row for row in night(tmp_path, AS_OF, [read(now, "1", AS_OF, tmp_path)], last)[1]}
    assert (1.0, 2) == (rows["OFF"]["days_used_after_end"], rows["K10"]["rotations"])


def seconds(days: float) -> int:
    return int(days * 86_400)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    ages=st.lists(st.integers(0, seconds(300)), min_size=1, max_size=6, unique=True),
    lives=st.lists(st.integers(1, 3), min_size=6, max_size=6),
    when=st.lists(st.integers(1, 250), max_size=4, unique=True),
    dark=st.sets(st.integers(0, 4)),
)
def test_what_is_known_is_never_more_than_what_was_and_with_whole_evidence_no_less(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], lives: list[int], when: list[int], dark: set[int]
) -> None:
    """A key is there from its making until so many successors have come; some nights are refused."""
    ages.sort(reverse=True)
    made = [AS_OF - timedelta(seconds=age) for age in ages]

    def there(at: datetime) -> list[Credential]:
        return [
            key(f"K{number}", OLD, created_at=born)
            for number, born in enumerate(made)
            if born <= at and (len(made) <= number + lives[number] or made[number + lives[number]] > at)
        ]

    told: list[tuple[float, Estate]] = [
        (days, DENIED if number in dark else there(ago(days))) for number, days in enumerate(sorted(when, reverse=True))
    ]
    (rows,) = nights(tmp_path_factory.mktemp("random"), [[*told, (0, there(AS_OF))]])
    truth = sum(born > AS_OF - 2 * LIMIT for born in made[1:])
    found = rows[f"K{len(made) - 1}"]
    assert found["rotations"] is None or found["rotations"] <= truth
    spots = sorted({*(days for number, days in enumerate(sorted(when, reverse=True)) if number not in dark), 0}, reverse=True)
    if spots[0] >= 180 and all(earlier - later <= 90 for earlier, later in pairwise(spots)):
        assert found["should_have_rotated"] is not None
        seen = {one.uid for days in spots for one in there(ago(days))}
        if len(seen) == len(made):  # none came and went between two nights
            assert min(found["rotations"], 2) == min(truth, 2)


def test_a_run_hands_its_history_to_the_next_and_a_stopped_one_loses_none(tmp_path: Path) -> None:
    folder = tmp_path / "programme"
    scaffold.init(folder)
    people = [user(f"u{number}", uid=f"aws:{SCOPE.name}:user/u{number}", created_at=ago(900)) for number in range(30)]

    def keys(days: float) -> list[Credential]:
        return [key(f"{one.name}-{days:g}", one, created_at=ago(days)) for one in people]

    guards = []
    for at, records in ((2, [*people, *keys(300)]), (1, [*people[:1], *keys(10)[:1]]), (0, [*people, *keys(5)])):
        with Reconciliation(load(folder), as_of=ago(at)) as run:
            source = replace(SCOPE, source="exports")
            told = replace(listing(ago(at)), source="exports")
            judged = run.judge([spool([*records, told], source, run.work, run.folder / "observations")])
            planned = run.plan(judged)
            guards.append(planned.stopped)
            evidence = run.record(judged, planned, run.act(planned)).evidence
    assert guards[1] is not None
    file = str(evidence / "inventory" / history.NAME)
    rows = duckdb.execute("SELECT subject, count(*) FROM read_parquet(?) WHERE what = 'creation' GROUP BY subject", [file]).fetchall()
    assert {one.uid: 2 if one.name == "u0" else 1 for one in people} == dict(rows)
