from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.finding import Failing, Known, Transition, fingerprint, guard, life

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)
LATER = NIGHT + timedelta(days=1)
CONTROLS = ("rotation-age", "named-owner")
SCOPES = (("aws", "444455556666"), ("vault", "prod"))
ALL_SEEN = frozenset(SCOPES)
ALL_JUDGED = frozenset(CONTROLS)


def fails(control: str = CONTROLS[0], place: tuple[str, str] = SCOPES[0], number: int = 1, **changes: object) -> Failing:
    subject = f"{place[0]}:{place[1]}:access-key/AKIA{number}"
    row = Failing(
        fingerprint=fingerprint(control, subject),
        control=control,
        subject=subject,
        subject_kind="credential",
        identity=f"{place[0]}:{place[1]}:user/AIDA{number}",
        identity_name="acme-backup",
        provider=place[0],
        scope=place[1],
        partner="acme",
        accountable="maria",
        severity="high",
        reason="created 2026-05-05, 200 days ago; limit 90 days",
        facts_digest="f1",
        due=NIGHT + timedelta(days=7),
    )
    return row._replace(**changes)


def run(  # noqa: PLR0913  (what life asks for)
    known: dict[str, Known],
    failing: list[Failing],
    *,
    unknown: frozenset[str] = frozenset(),
    seen: frozenset[tuple[str, str]] = ALL_SEEN,
    judged: frozenset[str] = ALL_JUDGED,
    as_of: datetime = LATER,
) -> list[Transition]:
    return list(life(known, failing, unknown=unknown, seen=dict.fromkeys(seen, frozenset()), judged=judged, as_of=as_of))


def ledger(transitions: list[Transition], before: dict[str, Known] | None = None) -> dict[str, Known]:
    return (before or {}) | {transition.after.fingerprint: transition.after for transition in transitions}


def only(transitions: list[Transition]) -> Transition:
    assert len(transitions) == 1
    return transitions[0]


def nights(*failing: Failing) -> dict[str, Known]:
    return ledger(run({}, list(failing), as_of=NIGHT))


rows = st.lists(
    st.builds(
        fails,
        control=st.sampled_from(CONTROLS),
        place=st.sampled_from(SCOPES),
        number=st.integers(1, 6),
        facts_digest=st.sampled_from(["f1", "f2"]),
        excepted=st.sampled_from([None, "EX-1"]),
        excepted_until=st.sampled_from([None, NIGHT + timedelta(hours=1), LATER + timedelta(days=9)]),
    ),
    unique_by=lambda row: row.fingerprint,
)
scopes = st.frozensets(st.sampled_from(SCOPES))
controls = st.frozensets(st.sampled_from(CONTROLS))


@given(rows, rows, controls)
def test_nothing_seen_closes_nothing(first: list[Failing], second: list[Failing], judged: frozenset[str]) -> None:
    after = run(nights(*first), second, seen=frozenset(), judged=judged)
    assert [transition for transition in after if transition.after.state == "resolved"] == []


@given(rows, scopes, controls)
def test_a_second_identical_run_only_says_still(failing: list[Failing], seen: frozenset[tuple[str, str]], judged: frozenset[str]) -> None:
    known = ledger(run({}, failing, as_of=NIGHT))
    second = run(known, failing, seen=seen, judged=judged, as_of=NIGHT)
    assert {"still"} >= {transition.kind for transition in second}
    assert all(transition.after is transition.before for transition in second)


@given(rows, rows, scopes, controls, st.data())
def test_no_finding_is_lost_and_unknown_never_resolves(
    first: list[Failing], second: list[Failing], seen: frozenset[tuple[str, str]], judged: frozenset[str], data: st.DataObject
) -> None:
    known = nights(*first)
    unknown = data.draw(st.frozensets(st.sampled_from(sorted(known)))) if known else frozenset()
    after = run(known, second, unknown=unknown, seen=seen, judged=judged)
    prints = [transition.after.fingerprint for transition in after]
    assert sorted({*known, *(row.fingerprint for row in second)}) == sorted(prints)
    for transition in after:
        row = transition.after
        if row.state == "resolved":
            assert row.fingerprint not in unknown
            assert (row.provider, row.scope) in seen
            assert row.control in judged
            assert row.fingerprint not in {failing.fingerprint for failing in second}


@given(rows, rows, scopes, st.randoms())
def test_order_does_not_matter(first: list[Failing], second: list[Failing], seen: frozenset[tuple[str, str]], random: object) -> None:
    known = nights(*first)
    mixed = list(second)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis's Random
    backwards = dict(reversed(known.items()))
    assert ledger(run(known, second, seen=seen)) == ledger(run(backwards, mixed, seen=seen))


def test_a_rename_is_the_same_finding() -> None:
    after = only(run(nights(fails()), [fails(identity_name="acme-new-name", reason="201 days")]))
    assert (after.kind, after.after.identity_name, after.after.reason) == ("still", "acme-new-name", "201 days")


def test_an_exception_and_its_end_leave_the_clock_alone() -> None:
    first = nights(fails())
    accepted = only(run(first, [fails(excepted="EX-1", excepted_until=LATER + timedelta(days=1))]))
    assert (accepted.kind, accepted.after.state, accepted.after.since) == ("excepted", "excepted", NIGHT)
    ended = only(run(ledger([accepted]), [fails()], as_of=LATER + timedelta(days=2)))
    assert (ended.kind, ended.after.state, ended.after.since) == ("exception-ended", "open", NIGHT)
    assert NIGHT + timedelta(days=7) == ended.after.due


def test_a_due_date_is_fixed_when_the_life_begins_and_moves_only_with_it() -> None:
    later = [NIGHT + timedelta(days=days) for days in (1, 2, 3)]
    first = nights(fails())
    loosened = only(run(first, [fails(due=later[0] + timedelta(days=90), severity="low", partner="corvid")]))
    assert NIGHT + timedelta(days=7) == loosened.after.due
    gone = only(run(ledger([loosened]), [], as_of=later[1]))
    again = only(run(ledger([gone]), [fails(due=later[2] + timedelta(days=90))], as_of=later[2]))
    assert ("reopened", later[2] + timedelta(days=90)) == (again.kind, again.after.due)
    never = only(run(nights(fails(due=None)), [fails()]))
    assert never.after.due is None  # nothing was agreed when it began


def test_an_exception_ends_on_its_day_even_where_nobody_can_look() -> None:
    until = LATER + timedelta(hours=1)
    known = nights(fails(excepted="EX-1", excepted_until=until))
    assert only(run(known, [], seen=frozenset())).kind == "unobserved"
    ended = only(run(known, [], seen=frozenset(), as_of=until))
    assert ("exception-ended", "open", until) == (ended.kind, ended.after.state, ended.after.unobserved_since)
    assert only(run(known, [fails(excepted="EX-1", excepted_until=until)], as_of=until)).after.state == "open"


def test_a_finding_that_comes_back_starts_a_new_clock_and_remembers() -> None:
    known = nights(fails())
    resolved = only(run(known, []))
    assert (resolved.kind, resolved.after.closed_at) == ("resolved", LATER)
    back = only(run(ledger([resolved]), [fails()], as_of=LATER + timedelta(days=1)))
    assert ("reopened", 1, NIGHT, LATER + timedelta(days=1)) == (back.kind, back.after.reopened, back.after.first_seen, back.after.since)
    assert run(ledger([resolved]), []) == []


@pytest.mark.parametrize("changes", [{"facts_digest": "f2"}, {"accountable": "dev"}, {"severity": "critical"}, {"partner": None}])
def test_what_matters_is_a_change(changes: dict[str, object]) -> None:
    assert only(run(nights(fails()), [fails(**changes)])).kind == "changed"


def test_a_missing_listing_hides_its_own_kinds_and_nothing_else() -> None:
    key, role = fails(), fails(subject="aws:444455556666:role/AROA1", fingerprint="role")
    for scope, kind in (("444455556666", "access-key"), ("example.com:shop", "service-account-key")):
        known = nights(
            *(
                row._replace(scope=scope, subject=row.subject.replace("444455556666", scope).replace("access-key", kind))
                for row in (key, role)
            )
        )
        after = life(known, [], unknown=(), seen={("aws", scope): frozenset({kind})}, judged=ALL_JUDGED, as_of=LATER)
        assert {key.fingerprint: "unobserved", "role": "resolved"} == {each.after.fingerprint: each.kind for each in after}


def test_unobserved_remembers_since_when_and_ends_when_seen_again() -> None:
    first = only(run(nights(fails()), [], judged=frozenset()))
    second = only(run(ledger([first]), [], seen=frozenset({SCOPES[1]}), as_of=LATER + timedelta(days=1)))
    assert (second.kind, second.after.unobserved_since) == ("unobserved", LATER)
    assert second.after is second.before
    seen = only(run(ledger([second]), [fails()], as_of=LATER + timedelta(days=2)))
    assert (seen.kind, seen.after.unobserved_since) == ("still", None)


def test_one_subject_cannot_fail_a_control_twice_in_one_run() -> None:
    with pytest.raises(ValueError, match="twice"):
        run({}, [fails(), fails()])


def test_a_hostile_name_stays_on_its_line() -> None:
    name = "a\n2. forged\x1b[31m\u202e\x00"
    assert only(run({}, [fails(identity_name=name)])).after.identity_name == "a 2. forged [31m  "


@pytest.mark.parametrize(
    ("new", "gone", "before", "total", "first", "trips"),
    [
        (0, 0, 0, 0, False, False),
        (19, 0, 0, 19, False, False),
        (11, 0, 9, 20, False, True),
        (10, 0, 10, 20, False, False),
        (20, 0, 0, 20, True, False),
        (0, 19, 19, 0, False, False),
        (0, 6, 20, 14, False, False),
        (0, 7, 20, 13, False, True),
    ],
)
def test_the_run_guard(new: int, gone: int, before: int, total: int, first: bool, trips: bool) -> None:  # noqa: FBT001, PLR0913, PLR0917  (a table of cases)
    reason = guard(new=new, gone=gone, open_before=before, total=total, max_new_share=0.5, max_gone_share=0.3, first_run=first)
    assert trips == (reason is not None)
