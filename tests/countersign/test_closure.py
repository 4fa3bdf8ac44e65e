"""What is a partner's, by everything that was read: what goes whole, what goes in part, what nobody may decide by guessing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.offboarding.closure import Closure, close
from tests.countersign.estates import ACME, AS_OF, AWS, BRIGHT, DAY, STRANGER, Bench, asked, grant, key, one, register, trust, workload

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.identity import Record
    from countersign.register.records import Register


@pytest.fixture
def found(tmp_path: Path) -> Any:
    bench = Bench(tmp_path)

    def closing(*records: Record, held: Register | None = None, **how: Any) -> Closure:
        return close(bench.database(records, held), "acme", **how)

    return closing


def told(closure: Closure) -> dict[str, bool]:
    return {held.uid.split("/", 1)[1].split("#")[0] + f" {held.what}": held.whole for held in closure.holdings}


def test_what_is_registered_goes_with_everything_that_it_holds(found: Any) -> None:
    job = one("backup")
    other = one("other")
    records = [job, key(job), grant(job), other, key(other), grant(other)]
    closure = found(*records, held=register(workload("backup", "aws:*:user/backup", partner="acme")))
    assert {"ID-backup identity": True, "backup-access-key credential": True, "ID-backup grant": True} == told(closure)
    assert {"workload backup"} == {held.how for held in closure.holdings}


def test_of_somebody_else_s_identity_only_the_partner_s_way_in_goes(found: Any) -> None:
    role = one("shared", kind="role")
    records = [role, trust(role, ACME), trust(role, BRIGHT), grant(role)]
    closure = found(*records, held=register(workload("ours", "aws:*:role/shared")))
    assert {"ID-shared identity": False, "ID-shared trust": False} == told(closure)
    (way,) = [held for held in closure.holdings if held.what == "trust"]
    assert (ACME, (f"aws-account {BRIGHT}",)) == (way.record["party"], way.others)


def test_whom_only_the_partner_can_be_goes_whole_and_whom_others_can_be_does_not(found: Any) -> None:
    alone, beside, stranger = (one(name, kind="role") for name in ("alone", "beside", "stranger"))
    records = [alone, trust(alone, ACME), beside, trust(beside, ACME), trust(beside, BRIGHT), stranger, trust(stranger, STRANGER)]
    expected = {"ID-alone identity": True, "ID-alone trust": True, "ID-beside identity": False, "ID-beside trust": False}
    assert expected == told(found(*records))


def test_what_its_identities_made_goes_to_any_depth_and_what_you_registered_of_it_stays(found: Any) -> None:
    first = one("first", tags={"partner": "acme"})
    second, third = one("second", created_by=first.aliases[0]), one("third", created_by="arn:aws:iam::444455556666:user/second")
    ours = one("ours", created_by=first.aliases[0])
    closure = found(first, second, third, ours, key(third), held=register(workload("ours", "aws:*:user/ours")))
    assert {"ID-first identity", "ID-second identity", "ID-third identity", "third-access-key credential"} == set(told(closure))
    assert ["it was created by acme and is registered as yours: it stays; rotate what acme may have kept of it"] == [
        note.said for note in closure.noted if note.name == "ours"
    ]


def test_what_may_be_two_partners_is_left_for_a_person_to_decide(found: Any) -> None:
    both = one("job@acme.example", tags={"partner": "bright"})
    closure = found(both, key(both))
    assert {} == told(closure)
    (open_,) = closure.undecided
    assert (both.uid, True) == (open_.uid, "tag partner=bright (bright)" in open_.why and "mail domain acme.example (acme)" in open_.why)


def test_a_tag_alone_is_told_as_weak_and_a_trust_beside_it_is_not(found: Any) -> None:
    tagged, trusting = one("tagged", tags={"partner": "acme"}), one("trusting", kind="role", tags={"partner": "acme"})
    closure = found(tagged, trusting, trust(trusting, ACME))
    assert ["only a tag says that it is acme's (tag partner=acme): look at it"] == [
        note.said for note in closure.noted if note.level == "warning"
    ]


def test_what_countersign_reads_with_is_never_touched(found: Any) -> None:
    ourselves = one("reader", kind="role", tags={"partner": "acme"})
    closure = found(ourselves, asked(f"arn:aws:sts::{AWS}:assumed-role/reader/countersign-run"))
    assert ({}, ["Countersign reads with it (tag partner=acme); it is left as it is"]) == (
        told(closure),
        [note.said for note in closure.noted],
    )


def test_a_scope_that_only_the_partner_administers_is_told(found: Any) -> None:
    admin = one("admin", tags={"partner": "acme"})
    warned = [note.said for note in found(admin, grant(admin)).noted if note.uid == f"aws:{AWS}:account/{AWS}"]
    assert ["only acme administers it: name an administrator of yours before, or nobody can get in"] == warned


def test_what_is_left_out_stays_and_what_is_asked_for_alone_goes_alone(found: Any) -> None:
    one_of, other = one("one", tags={"partner": "acme"}), one("other", tags={"partner": "acme"})
    held_by = [key(one_of), key(other)]
    assert {"ID-one identity", "one-access-key credential"} == set(told(found(one_of, other, *held_by, only=(one_of.uid,))))
    without = found(one_of, other, *held_by, without=(held_by[0].uid,))
    assert {"ID-one identity", "ID-other identity", "other-access-key credential"} == set(told(without))
    said = "it is to stay, and stops all the same, since its identity is switched off: leave the identity out instead"
    assert [(held_by[0].uid, said)] == [(note.uid, note.said) for note in without.noted if "to stay" in note.said]


def test_what_an_earlier_plan_held_counts_after_its_evidence_is_gone(found: Any) -> None:
    role = one("alone", kind="role")
    before = found(role, trust(role, ACME))
    after = found(role, also=before.holdings)
    assert [held for held in before.holdings if held.what == "identity"] == list(after.holdings)
    # Not read is not gone: the live look says which.
    assert [held for held in before.holdings if held.what == "identity"] == list(found(one("somebody"), also=before.holdings).holdings)


def test_somebody_else_s_identity_is_nothing_of_the_partner_s_once_it_is_let_in_no_more(found: Any) -> None:
    role = one("shared", kind="role")
    before = found(role, trust(role, ACME), trust(role, BRIGHT))
    assert () == found(role, trust(role, BRIGHT), also=before.holdings).holdings


def test_a_later_use_changes_no_holding(found: Any) -> None:
    job = one("job", tags={"partner": "acme"})
    earlier = found(job, key(job, used=3 * DAY))
    later = found(replace(job, observed_at=AS_OF + DAY), key(job, used=DAY))
    assert earlier.holdings == later.holdings
    assert earlier.context != later.context


_PARTIES = {"acme": ACME, "bright": BRIGHT, "": STRANGER}


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["none", "acme", "bright"]),
            st.sets(st.sampled_from(sorted(_PARTIES))),
            st.sampled_from(["", "acme", "bright", "own"]),
        ),
        min_size=8,
        max_size=16,
    )
)
def test_nothing_of_another_goes_whole(tmp_path_factory: pytest.TempPathFactory, estate: list[tuple[str, set[str], str]]) -> None:
    """Tag, trusts and registration drawn for each role; whole goes only what no other has a better claim to."""
    records: list[Record] = []
    workloads = []
    for number, (tag, trusted, registered) in enumerate(estate):
        role = one(f"role{number}", kind="role", tags={} if tag == "none" else {"partner": tag})
        records += [role, *(trust(role, _PARTIES[party]) for party in sorted(trusted))]
        if registered:
            workloads.append(workload(f"w{number}", f"aws:*:role/role{number}", partner=None if registered == "own" else registered))
    closure = close(Bench(tmp_path_factory.mktemp("closure")).database(records, register(*workloads)), "acme")
    whole = {held.name for held in closure.holdings if held.what == "identity" and held.whole}
    expected = set()
    for number, (tag, trusted, registered) in enumerate(estate):
        if registered == "acme" or (not registered and tag == "acme") or (not registered and tag == "none" and trusted == {"acme"}):
            expected.add(f"role{number}")
    assert expected == whole
    assert {f"role{number}" for number, (_, trusted, _) in enumerate(estate) if "acme" in trusted} == {
        held.name for held in closure.holdings if held.what == "trust" and held.record["party"] == ACME
    }
